"""Plans the way back to revisions that Helm has stored: both releases as one unit, shown and proven like any change.

Helm brings a stored manifest back exactly, with no chart and no render. From whatever the head is: it compares with
the head itself, so that what a failed one added goes too (3.22, 4.3).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import timeline, tree
from ddhelm.actions import history, prepare, revisions
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.drift import Change, Drift, ObjectDrift
from ddhelm.errors import ReleaseError
from ddhelm.notices import rescaled
from ddhelm.pasting import has_command, typed
from ddhelm.plan import WORKLOADS, Action, ObjectChange, Plan, Problem, Restart, Step, StepKind
from ddhelm.record import Record
from ddhelm.release import NAMES, Release, Role
from ddhelm.steps import agents_in, cause, on_delete, taken_away

_OF_ROLLBACK = frozenset({"--skip", "--delete-crds", "--force-conflicts", "--only"})
OF_DRIFT = frozenset({"--skip", "--delete-crds"})
"""The flags of the two that a hint may name; any other one is of a command that makes new values."""


class Way(Struct, frozen=True):
    """Where each release goes: release name to revision; those that stay are not in it.

    ``newcomers`` stay although they did not stand then.
    """

    targets: Mapping[str, int]
    records: Mapping[str, Sequence[Record]]
    newcomers: tuple[str, ...] = ()


def way(session: Session, revision: int | None, only: Role | None) -> Way:
    """What a rollback means: that revision of each release, or what stood before the last change.

    Raises ReleaseError where there is no such revision, or nothing earlier.
    """
    found = revisions.read(session)
    revisions.existing(session, found)
    chosen = {name: records for name, records in found.items() if only is None or name == NAMES[only]}
    if not chosen:
        assert only is not None
        raise ReleaseError(
            f"release `{NAMES[only]}` does not stand in namespace `{session.access.namespace}`",
            hint="ddhelm history",
            anchor="no-release",
        )
    if revision is not None:
        for name, records in chosen.items():
            _stood(name, records, revision)
        return Way(dict.fromkeys(chosen, revision), found)
    targets = history.back(session, chosen)
    if not targets:
        raise ReleaseError(
            "there is no earlier revision to go back to: all that Helm has kept say the same as what stands now",
            hint="ddhelm history",
            anchor="no-earlier-revision",
        )
    return Way(targets, found, timeline.came_later(chosen, targets))


def make(session: Session, request: Request, goal: Way) -> Prepared:
    """The plan of a rollback; whatever stops one of an upgrade stops this one too."""
    made = _prepared(session, request, goal)
    recovered = {step.release.name: step for step in made.plan.steps if step.kind is StepKind.ROLLBACK}
    steps = []
    for step in _last(made.plan):
        name = step.release.name
        target = goal.targets.get(name)
        stays = Step(StepKind.NOTHING, step.release, "stays as it is", revision=step.revision)
        if target is None or (step.kind is StepKind.NOTHING and name not in recovered):
            steps.append(stays)
        else:
            steps.append(_to(target, step, recovered.get(name), made))
    made = _stepping(made, steps).heeding_crds(delete=request.delete_crds)
    notices = (*made.plan.notices, *(_stays(name, session.access.namespace) for name in goal.newcomers))
    return hinting(replace(made, plan=replace(made.plan, notices=notices)), _OF_ROLLBACK)


def _to(target: int, step: Step, recovery: Step | None, made: Prepared) -> Step:
    """The rollback that takes the place of an upgrade, and of a recovery before it: it starts from a head as it is."""
    back = replace(step, kind=StepKind.ROLLBACK, why="", target=target, values=None)
    if recovery is not None:
        objects = {each.ref: each for each in (*step.objects, *recovery.objects)}
        restarts = {each.ref: each for each in (*step.restarts, *recovery.restarts)}
        back = replace(
            back,
            objects=tuple(objects.values()),
            restarts=tuple(restarts.values()),
            unchanged=sum(obj.ref not in objects for obj in made.wanted(step.release.name).objects.values()),
            agents=step.agents or recovery.agents,
        )
    return replace(back, objects=_with_gone(back.objects, made, step.release))


def _stays(name: str, namespace: str) -> str:
    take_away = typed("helm uninstall {name} --namespace {namespace}", name=name, namespace=namespace)
    return f"{name} did not stand then and stays as it is: a rollback removes no release, `{take_away}` does"


def hinting(made: Prepared, flags: Set[str]) -> Prepared:
    """The same with hints that fit a command with these ``flags``, none of which closes a gap."""
    problems = tuple(on_the_way_back(made.plan, flags))
    covered = made.plan.coverage.prefixed("ddhelm onboard")
    return replace(made, plan=replace(made.plan, problems=problems, coverage=covered))


def on_the_way_back(plan: Plan, flags: Set[str] = _OF_ROLLBACK) -> Iterator[Problem]:
    """The problems with hints that fit: values of a revision are what they were, other flags are of `onboard`."""
    checks = {result.claim.name for result in plan.results}
    for problem in plan.problems:
        name = problem.text.partition(":")[0]
        named = set(re.findall(r"--[a-z-]+", problem.hint))
        fits = re.search("kubectl|helm", problem.hint) or (named and named <= flags)
        if name in checks and not fits:
            hint = f"ddhelm onboard with the values that you want; or the same command with --skip {name}"
            yield replace(problem, hint=hint)
        elif named - flags and not has_command(problem.hint):
            yield replace(problem, hint=re.sub(r"--[a-z-]+", lambda flag: _of_onboard(flag[0], flags), problem.hint))
        else:
            yield problem


def _of_onboard(flag: str, flags: Set[str]) -> str:
    return flag if flag in flags else f"ddhelm onboard {flag} and the values that you want"


def revert(session: Session, request: Request, found: Drift) -> Prepared:
    """The plan that sets back what the deployed manifests set: the deployed revision once more, where it drifted."""
    records = revisions.read(session)
    bases = {name: base for name, each in records.items() if (base := revisions.standing(each)) is not None}
    drifted: dict[str, list[ObjectDrift]] = {}
    for each in found.objects:
        if each.revertible:
            drifted.setdefault(each.release, []).append(each)
    goal = Way({name: bases[name].revision for name in drifted}, records)
    made = _prepared(session, request, goal)
    steps = [
        _repair(step, made, drifted[step.release.name], goal.targets[step.release.name])
        if step.release.name in drifted
        else Step(StepKind.NOTHING, step.release, revision=step.revision)
        for step in _last(made.plan)
    ]
    return hinting(_stepping(made, steps).heeding_crds(delete=request.delete_crds), OF_DRIFT)


def _with_gone(objects: Sequence[ObjectChange], made: Prepared, release: Release) -> tuple[ObjectChange, ...]:
    """The changes of a rollback with the objects that helm deletes in it, which are those of the head, deployed or not.

    What becomes of the others is told by what is live: how far a failed head got is in no record.
    """
    state = made.deployed[release.name]
    stay = (each for each in objects if each.action not in {Action.DELETE, Action.KEEP})
    return (*stay, *taken_away(state.newest, made.wanted(release.name), made.keeps))


def _stepping(made: Prepared, steps: Sequence[Step]) -> Prepared:
    """The same plan with other steps, and with what these do to replicas that somebody scaled."""
    before, after = (rescaled(each, made.desired, made.standing, made.deployed) for each in (made.plan.steps, steps))
    notices = (*(each for each in made.plan.notices if each not in before), *after)
    return replace(made, plan=replace(made.plan, steps=tuple(steps), notices=notices))


def _prepared(session: Session, request: Request, goal: Way) -> Prepared:
    wanted: dict[str, Record] = {}
    for name, records in goal.records.items():
        number = goal.targets.get(name)
        chosen = revisions.standing(records) if number is None else _stood(name, records, number)
        if chosen is not None:
            wanted[name] = chosen
    return prepare.of_records(session, request, wanted)


def _stood(name: str, records: Sequence[Record], revision: int) -> Record:
    """The revision of that number; ReleaseError where Helm has none, or it never stood."""
    chosen = next((each for each in records if each.revision == revision), None)
    if chosen is None:
        kept = ", ".join(str(each.revision) for each in records)
        raise ReleaseError(
            f"release `{name}` has no revision {revision}; Helm has kept {kept}",
            hint="ddhelm history, then ddhelm rollback REVISION --only worker|control-plane",
            anchor="no-revision",
        )
    if chosen.status in revisions.NEVER_STOOD:
        raise ReleaseError(
            f"revision {revision} of `{name}` is `{chosen.status}`: it never stood, so there is nothing to go back to",
            hint="ddhelm history",
            anchor="revision-failed",
        )
    return chosen


def _last(plan: Plan) -> Iterable[Step]:
    """The last step of each release: its target state."""
    return {step.release.name: step for step in plan.steps}.values()


def _repair(step: Step, made: Prepared, drifted: Sequence[ObjectDrift], target: int) -> Step:
    head, changes = made.deployed[step.release.name].head, tuple(_restored(each, made) for each in drifted)
    why = "sets back what the manifest sets; what others added stays"
    if head.revision != target:
        why += f"; revision {head.revision} is `{head.status}`, and what it added goes"
    restarts = tuple(
        Restart(
            change.ref,
            tuple(dict.fromkeys(cause(path) for path in paths)) or ("deleted in the cluster",),
            change.action is not Action.RECREATE and on_delete(change.after),
        )
        for change in changes
        if change.ref.kind in WORKLOADS
        and (
            (paths := [c.path[2:] for c in change.changes if c.path[:2] == ("spec", "template")])
            or change.action is Action.RECREATE
        )
    )
    return Step(
        StepKind.REPAIR,
        step.release,
        why,
        objects=_with_gone(changes, made, step.release),
        restarts=restarts,
        revision=step.revision,
        target=target,
        agents=agents_in(made.wanted(step.release.name)),
    )


def _restored(drift: ObjectDrift, made: Prepared) -> ObjectChange:
    obj = made.wanted(drift.release).get(drift.ref.identity)
    if drift.missing:
        return ObjectChange(drift.ref, Action.RECREATE, new=obj)
    changes = tuple(
        tree.Change(each.path, "add" if each.change is Change.REMOVED else "replace", each.live, each.deployed)
        for each in drift.fields
        if each.reverts
    )
    standing = made.standing.get(drift.ref.identity)
    return ObjectChange(drift.ref, Action.RESTORE, changes, old=standing, new=obj)
