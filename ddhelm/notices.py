"""What a plan says besides its steps: what stops it, and what is worth a line before somebody says yes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ddhelm import tree
from ddhelm.claim import Result
from ddhelm.drift import sets_back
from ddhelm.manifest import Identity, Object, ObjectRef
from ddhelm.pasting import typed
from ddhelm.plan import WORKLOADS, Action, Deployed, Desired, Live, Problem, Step, StepKind
from ddhelm.steps import how_applied
from ddhelm.workloads import REPLICAS, Workload


def broken_claims(results: Iterable[Result]) -> tuple[Problem, ...]:
    """The fatal claims that do not hold, as problems; a hint that an earlier one gave is not repeated."""
    problems, told = [], set[str]()
    for result in results:
        if result.claim.severity == "fatal" and not result.ok and not result.skipped and not result.unknown:
            text = f"{result.claim.name}: not so: {result.claim.claim}"
            problems.append(Problem(text, "; ".join(result.ways(told)), result.claim.anchor, result.details))
    return tuple(problems)


def conflict_problems(steps: Iterable[Step]) -> tuple[Problem, ...]:
    """Conflicts with other managers in steps that do not force; one problem, a line for each field."""
    lines = [
        f"{conflict.ref}: `{conflict.field}` is owned by `{conflict.manager}`"
        for step in steps
        if step.kind in {StepKind.UPGRADE, StepKind.INSTALL}
        for conflict in step.conflicts
    ]
    if not lines:
        return ()
    which = "1 field that would change is" if len(lines) == 1 else f"{len(lines)} fields that would change are"
    text = f"{which} owned by other managers; Helm would fail half-way"
    hint = "give them back (kubectl), or overwrite them with --force-conflicts"
    return (Problem(text, hint, "field-conflict", tuple(lines)),)


def rescaled(
    steps: Iterable[Step],
    desired: Iterable[Desired],
    standing: Mapping[Identity, Object],
    deployed: Mapping[str, Deployed],
) -> tuple[str, ...]:
    """Notices about replicas that somebody wrote through the scale subresource, and what becomes of them.

    By themselves they are drift and no reason for a step; but whatever step is taken, Helm 3 overwrites them, and so
    does a forced one of Helm 4 (without force it stops there, see ``conflict_problems``).
    """
    working = {step.release.name for step in steps if step.kind is not StepKind.NOTHING}
    found = []
    for one in desired:
        before = deployed[one.release.name].manifest if one.release.name in deployed else None
        for identity, obj in one.manifest.objects.items():
            wanted = tree.get(obj.body, REPLICAS) if obj.ref.kind in WORKLOADS else None
            now = tree.get(standing[identity].body, REPLICAS) if identity in standing else None
            was = tree.get(old.body, REPLICAS) if before and (old := before.get(identity)) else None
            if wanted is not None and now is not None and now not in {wanted, was}:
                fate = f"gets {wanted}" if one.release.name in working else f"keeps them, {wanted} were deployed"
                has = "1 replica" if now == 1 else f"{now} replicas"
                found.append(f"{obj.ref} has {has} and {fate}: `ddhelm drift` says who scaled it")
    return tuple(found)


def outdated(workloads: Iterable[Workload]) -> Iterator[str]:
    """Notices about pods that run an older configuration and stay: their workload replaces none by itself."""
    for each in workloads:
        if each.outdated:
            pods = "1 pod runs" if each.outdated == 1 else f"{each.outdated} pods run"
            yield (
                f"{each.kind} {each.namespace}/{each.name}: {pods} an older configuration until deleted "
                f"(update strategy `OnDelete`), of {each.desired}"
            )


def taken_in(steps: Sequence[Step], standing: Mapping[Identity, Object]) -> Iterator[str]:
    """Notices about objects that are new to a release and stand already: kept ones, or those of a lost history."""
    new: list[ObjectRef] = []
    there = standing.keys() - {ref.identity for step in steps for ref in step.deleted}
    for step in steps:
        if step.kind is StepKind.INSTALL:
            count = step.unchanged + sum(each.action is Action.UPDATE for each in step.objects)
            if count:
                stand = "1 object stands" if count == 1 else f"{count} objects stand"
                yield f"{step.release.name}: {stand} already: not made, but taken into the release"
        else:
            new += [each.ref for each in step.objects if each.action is Action.CREATE and each.ref.identity in there]
    if new:
        stand = f"and {len(new) - 1} more stand" if new[1:] else "stands"
        yield f"{new[0]} {stand} already: not made, but taken into the release"


_NO_UPGRADE = ("ddhelm", "Rollback")
"""How ddhelm's descriptions begin, and Helm's of a rollback, also of one that failed."""


def past_ddhelm(steps: Iterable[Step], deployed: Mapping[str, Deployed]) -> tuple[str, ...]:
    """Notices about releases of ddhelm's that `helm upgrade` has given values which ddhelm knows nothing of."""
    found = []
    for step in steps:
        state = deployed.get(step.release.name)
        if state is None or state.rolled_back or not state.description or state.description.startswith(_NO_UPGRADE):
            continue
        revision = state.base or state.head.revision
        if gone := sum(change.op == "remove" for change in step.values_changes):
            values = "1 value goes" if gone == 1 else f"{gone} values go"
            found.append(
                f"`{state.release.name}` revision {revision} was made without ddhelm ({state.description}): {values} "
                "that ddhelm was not given; keep them with --set or -f"
            )
    return tuple(found)


def left_altered(desired: Iterable[Desired], deployed: Mapping[str, Deployed], live: Live) -> Iterator[str]:
    """Notices about objects that others altered and that helm does not set back."""
    for one in desired:
        by = how_applied(deployed.get(one.release.name), live)
        for identity in one.manifest.objects:
            found = live.changes.get(identity)
            if found is None or found.missing or found.in_passing or sets_back(found.ref, by):
                continue
            fields, ref = ", ".join(tree.show(each.path) for each in found.changes), found.ref
            place = typed(" -n {namespace}", namespace=ref.namespace) if ref.namespace else ""
            edit = typed("kubectl edit {kind} {name}", kind=f"{ref.kind}.{ref.group}".lower(), name=ref.name) + place
            yield (
                f"{ref} was altered ({fields}); client-side, Helm writes of such a kind only what the chart changes: "
                f"`{edit}` sets it back"
            )


def admitted(steps: Iterable[Step], live: Live) -> tuple[str, ...]:
    """A notice where steps update objects that the chart leaves as they are and nobody has altered."""
    passing = [
        each.ref
        for step in steps
        for each in step.objects
        if each.action is Action.UPDATE
        and (met := live.changes.get(each.ref.identity))
        and met.admitted
        and each.changes == met.changes  # and the chart does not change it too
    ]
    more = f" and {len(passing) - 1} more" if passing[1:] else ""
    said = f"{passing[0]}{more}: only admission (a webhook or policy) changes these, on their way in" if passing else ""
    return (said,) if said else ()
