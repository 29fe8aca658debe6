"""What would be done, in order: deployed, desired and live state in, an ordered list of steps out.

A step changes one release. A release may need several: a failed head is rolled back to the last *deployed* revision
before the upgrade, because Helm compares with that one only and never removes what a failed revision added
(Helm 3.22 and 4.3 on Kubernetes 1.36). CRDs that would vanish are given `keepCrds` in an upgrade of their own first.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import tree
from ddhelm.claim import Result
from ddhelm.coverage import Coverage
from ddhelm.manifest import Identity, Manifest, Object, ObjectRef, compare
from ddhelm.noise import noise_at
from ddhelm.release import Release
from ddhelm.values import Values

KEEP_POLICY = "helm.sh/resource-policy"
WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")
REPLICAS: tree.Path = ("spec", "replicas")


class StepKind(StrEnum):
    """What is done to a release."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"
    REPAIR = "repair"
    UNINSTALL = "uninstall"
    NOTHING = "nothing"


class Action(StrEnum):
    """What happens to one object."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    RECREATE = "recreate"
    RESTORE = "restore"


class Head(Struct, frozen=True):
    """The newest revision of a release, as Helm recorded it. ``modified`` is Unix seconds."""

    revision: int
    status: str
    modified: int = 0

    @property
    def pending(self) -> bool:
        """Whether a helm process may be at work on this release."""
        return self.status.startswith("pending-")


class Deployed(Struct, frozen=True):
    """A release that stands in the cluster: its head, and the revision that Helm would compare with.

    ``base`` is the highest revision with status `deployed` (None: a first install that never got there); ``manifest``
    and ``config`` are that revision's, or the head's where there is none.
    """

    release: Release
    head: Head
    base: int | None
    manifest: Manifest
    config: tree.Tree
    chart: str = ""
    chart_version: str = ""
    app_version: str = ""
    updated: str = ""
    apply_method: str = ""
    rolled_back: bool = False
    """Whether that revision is an earlier one that was brought back."""
    description: str = ""
    """Helm's word for that revision; ddhelm's begin with its name."""


class Desired(Struct, frozen=True):
    """What a release shall be: its values and the manifest that the chart makes of them in this cluster."""

    release: Release
    values: Values
    manifest: Manifest
    chart_version: str
    app_version: str = ""


class Conflict(Struct, frozen=True):
    """A field that another manager owns with another value: server-side apply would refuse it."""

    ref: ObjectRef
    field: str
    manager: str


@dataclass(frozen=True, slots=True)
class LiveChange:
    """How an object of the desired manifest differs live: gone, or fields that applying it would set back.

    ``before`` and ``after`` are the masked bodies: as it stands, and as applying it would leave it. ``in_passing``: no
    reason for a step by itself, because nobody altered it and only admission would at the next write, or because
    somebody scaled it (``scaled``). ``unsent``: client-side, helm writes it only where the chart changes it.
    """

    ref: ObjectRef
    missing: bool
    changes: tuple[tree.Change, ...] = ()
    before: tree.Tree | None = field(default=None, repr=False, compare=False)
    after: tree.Tree | None = field(default=None, repr=False, compare=False)
    in_passing: bool = False
    unsent: bool = False
    scaled: bool = False

    @property
    def admitted(self) -> bool:
        """Whether only admission would change it."""
        return self.in_passing and not self.scaled


class Live(Struct, frozen=True):
    """What applying the desired objects would meet, per identity.

    ``server_side``: whether helm may apply so, which writes every object again and not only those that changed.
    """

    changes: Mapping[Identity, LiveChange]
    conflicts: tuple[Conflict, ...] = ()
    server_side: bool = False


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object and what happens to it; ``noise`` holds the changed fields that mean nothing.

    ``before`` and ``after`` are the masked bodies; None where there is none.
    """

    ref: ObjectRef
    action: Action
    changes: tuple[tree.Change, ...] = ()
    noise: tuple[tree.Change, ...] = ()
    before: tree.Tree | None = field(default=None, repr=False, compare=False)
    after: tree.Tree | None = field(default=None, repr=False, compare=False)


class Restart(Struct, frozen=True):
    """Pods of a workload that are replaced, and the fields of its pod template that cause it."""

    ref: ObjectRef
    because: tuple[str, ...]


class Step(Struct, frozen=True):
    """One change of one release. ``target`` is the revision that is brought back; ``values`` what helm is sent.

    ``unchanged`` counts the objects that stay as they are, ``gone`` names those that change and are no longer there.
    """

    kind: StepKind
    release: Release
    why: str = ""
    objects: tuple[ObjectChange, ...] = ()
    restarts: tuple[Restart, ...] = ()
    revision: int | None = None
    target: int | None = None
    values: tree.Tree | None = None
    values_changes: tuple[tree.Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    unchanged: int = 0
    gone: tuple[ObjectRef, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether nothing of the cluster but Helm's record changes."""
        return self.kind is StepKind.NOTHING or (self.kind is StepKind.UPGRADE and not self.objects)


class Problem(Struct, frozen=True):
    """Something that stops the plan from being carried out: one line, further lines, what to type, where to read."""

    text: str
    hint: str = ""
    anchor: str = ""
    details: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The problem as lines, its hint last."""
        return (self.text, *(f"  {d}" for d in self.details), *([f"  hint: {self.hint}"] if self.hint else []))


class Plan(Struct, frozen=True):
    """Ordered steps with what was proven about their end state. ``writes`` lists Secret keys that will be written.

    ``taken_over``: releases that ddhelm did not write, with the values of theirs that it overrides; shown first.
    """

    steps: tuple[Step, ...]
    coverage: Coverage
    results: tuple[Result, ...]
    lost_crds: tuple[ObjectRef, ...] = ()
    creates_namespace: bool = False
    labels_namespace: Mapping[str, str] | None = None
    writes: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    taken_over: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything at all would be done."""
        return bool(self.writes or self.labels_namespace or self.creates_namespace) or any(
            step.kind is not StepKind.NOTHING for step in self.steps
        )


def steps_for(desired: Desired, deployed: Deployed | None, live: Live, *, keep: Desired | None = None) -> list[Step]:
    """The steps that bring one release from where it stands to ``desired``, the last one its target state.

    ``keep``: the same release with its CRDs annotated to be kept, where they would be lost; becomes a step before.
    A pending head is the caller's business: it must have been judged before (see ``recovery``).
    """
    release = desired.release
    values = desired.values.tree
    if deployed is None or deployed.head.status in {"uninstalled", "uninstalling"}:
        first = [] if deployed is None or deployed.head.status == "uninstalled" else [_finish_uninstall(deployed)]
        created = _created(desired.manifest)
        return [*first, Step(StepKind.INSTALL, release, objects=created, values=values)]
    steps = recovery(deployed)
    if steps and steps[-1].kind is StepKind.UNINSTALL:
        created = _created(desired.manifest)
        return [*steps, Step(StepKind.INSTALL, release, objects=created, values=values)]
    before = deployed.manifest
    if keep is not None:
        steps.append(_upgrade(keep, deployed, before, live, "marks the CRDs to be kept"))
        before, live = keep.manifest, Live({})  # what others changed has been met by then
        deployed = replace(deployed, config=keep.values.tree, chart_version=keep.chart_version)
    steps.append(_upgrade(desired, deployed, before, live, ""))
    return steps


def recovery(deployed: Deployed) -> list[Step]:
    """Steps that make a release usable again: roll back a failed or pending head, remove an install that never was."""
    head = deployed.head
    if head.status == "deployed" or (head.status == "failed" and deployed.base is None):
        return []
    if deployed.base is None:
        if head.status == "superseded":
            return []
        why = f"revision {head.revision} is `{head.status}` and no revision was ever deployed"
        return [Step(StepKind.UNINSTALL, deployed.release, why=why, revision=head.revision)]
    if deployed.base == head.revision:
        return []
    why = f"revision {head.revision} is `{head.status}`; what it added would stay behind"
    return [Step(StepKind.ROLLBACK, deployed.release, why=why, revision=head.revision, target=deployed.base)]


def object_changes(before: Manifest, after: Manifest) -> tuple[ObjectChange, ...]:
    """What an upgrade from one manifest to the other does, per object; noise is counted apart, see ``matters``."""
    found = []
    for old, new in compare(before, after).pairs:
        if old is None:
            assert new is not None
            found.append(ObjectChange(new.ref, Action.CREATE, after=new.body))
        elif new is None:
            found.append(ObjectChange(old.ref, Action.KEEP if kept(old) else Action.DELETE, before=old.body))
        else:
            changes = tree.diff(old.body, new.body)
            noise = tuple(c for c in changes if noise_at(new.ref.kind, c.path) is not None)
            real = tuple(c for c in changes if c not in noise)
            found.append(ObjectChange(new.ref, Action.UPDATE, real, noise, old.body, new.body))
    return tuple(found)


def matters(change: ObjectChange) -> bool:
    """Whether a change is more than noise (random ids, version labels)."""
    return change.action is not Action.UPDATE or bool(change.changes)


def restarts(before: Manifest, after: Manifest) -> tuple[Restart, ...]:
    """Workloads whose pods are replaced: exactly those whose ``spec.template`` differs, checksums included.

    Measured on charts 3.1 to 3.240, both Helm majors: "pods restart" equals "`spec.template` differs".
    """
    found = []
    for old, new in compare(before, after).pairs:
        if old is None or new is None or new.ref.kind not in WORKLOADS:
            continue
        changes = tree.diff(tree.get(old.body, ("spec", "template"), {}), tree.get(new.body, ("spec", "template"), {}))
        if changes:
            found.append(Restart(new.ref, tuple(dict.fromkeys(cause(c.path) for c in changes))))
    return tuple(found)


def cause(path: tree.Path) -> str:
    """A short word for a changed field of a pod template: `image`, `env DD_SITE`, `checksum/confd`, `volumes` …"""
    for at, step in enumerate(path):
        if step == "image":
            return "image"
        if step in {"annotations", "labels"} and at + 1 < len(path):
            return str(path[at + 1])
        if step in {"env", "volumes", "volumeMounts"}:
            return " ".join(str(p).removeprefix("name=") for p in path[at : at + 2])
    return str(path[1] if len(path) > 1 and path[0] == "spec" else path[-1] if path else "template")


def kept(obj: Object) -> bool:
    """Whether Helm leaves the object behind when it leaves the manifest."""
    return bool(tree.get(obj.body, ("metadata", "annotations", KEEP_POLICY)) == "keep")


def server_side(helm: int, state: Deployed | None) -> bool:
    """Whether helm of this major version changes the release by server-side apply (None: makes it).

    Helm 3 never does, and releases that it ever wrote stay client-side.
    """
    return helm >= 4 and (state is None or state.apply_method == "ssa")


def conflicts_matter(helm: int, deployed: Mapping[str, Deployed], releases: Iterable[Release]) -> bool:
    """Whether helm of this major version would apply one of the releases server-side, where others' fields stop it."""
    return any(server_side(helm, deployed.get(release.name)) for release in releases)


def lost_crds(before: Manifest | None, after: Manifest) -> tuple[ObjectRef, ...]:
    """CRDs that an upgrade would delete together with all their objects, without a word from Helm."""
    if before is None:
        return ()
    return tuple(
        obj.ref
        for identity, obj in before.objects.items()
        if obj.ref.kind == "CustomResourceDefinition" and identity not in after.objects and not kept(obj)
    )


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


def taken_in(steps: Iterable[Step], standing: Mapping[Identity, Object]) -> tuple[str, ...]:
    """A notice about objects that are new to the release and stand already: kept ones, or those of a failed run."""
    found = [
        each.ref
        for step in steps
        for each in step.objects
        if each.action is Action.CREATE and each.ref.identity in standing
    ]
    if not found:
        return ()
    stand = f"and {len(found) - 1} more stand" if found[1:] else "stands"
    return (f"{found[0]} {stand} already: not made, but taken into the release",)


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


def exit_code(plan: Plan, *, detailed: bool) -> int:
    """0 for nothing to do, 2 for changes where a detailed exit code was asked for."""
    return 2 if detailed and plan.changes else 0


def _created(manifest: Manifest) -> tuple[ObjectChange, ...]:
    return tuple(ObjectChange(obj.ref, Action.CREATE, after=obj.body) for obj in manifest.objects.values())


def _finish_uninstall(deployed: Deployed) -> Step:
    why = "an uninstall did not come to its end"
    return Step(StepKind.UNINSTALL, deployed.release, why=why, revision=deployed.head.revision)


def _upgrade(desired: Desired, deployed: Deployed, before: Manifest, live: Live, why: str) -> Step:
    changes = tuple(_as_it_stands(each, live) for each in object_changes(before, desired.manifest))
    masker = desired.manifest.masker  # a hand-made release may hold keys in its values
    values_changes = tree.diff(masker.body(deployed.config), masker.body(desired.values.tree))
    same = desired.chart_version == deployed.chart_version and not any(map(matters, changes))
    changed = {c.ref.identity for c in changes}
    met = _met(before, desired.manifest, deployed, live, changed)
    repairs = tuple(_repairs(met, changed))
    conflicts = tuple(c for c in live.conflicts if c.ref.identity in desired.manifest.objects)
    step = Step(
        StepKind.UPGRADE,
        desired.release,
        why=why,
        objects=changes + repairs,
        restarts=_with_restored(restarts(before, desired.manifest), met),
        revision=deployed.head.revision,
        values=desired.values.tree,
        values_changes=values_changes,
        conflicts=conflicts,
        unchanged=sum(identity not in changed for identity in desired.manifest.objects) - len(repairs),
        gone=tuple(c.ref for c in changes if c.action is Action.UPDATE and _missing(live, c.ref)),
    )
    if same and not all(each.in_passing for identity, each in met.items() if identity not in changed):
        return replace(step, kind=StepKind.REPAIR, why=why or "objects were altered or deleted in the cluster")
    if same and not values_changes and deployed.head.status == "deployed":
        return Step(StepKind.NOTHING, desired.release, why, revision=deployed.head.revision)
    return step


def _met(
    before: Manifest, after: Manifest, deployed: Deployed, live: Live, changed: Set[Identity]
) -> Mapping[Identity, LiveChange]:
    """What a step changes in the cluster besides; what admission makes of an object only where helm writes that one.

    Measured with Helm 3.22 and 4.3: server-side, helm applies every object; client-side it sends nothing for one that
    the chart leaves as it is and that stands so, to the letter (a `readOnly: false` never does).
    """
    writes_all = live.server_side and deployed.apply_method == "ssa"
    return {
        identity: change
        for identity, change in live.changes.items()
        if identity in after.objects
        and (identity in before.objects or not change.missing)  # what is new was deleted by nobody
        and (writes_all or not change.unsent or identity in changed)
    }


def _repairs(met: Mapping[Identity, LiveChange], changed: Set[Identity]) -> Iterable[ObjectChange]:
    for identity, drift in met.items():
        if identity not in changed:
            action = Action.RECREATE if drift.missing else Action.UPDATE if drift.admitted else Action.RESTORE
            yield ObjectChange(drift.ref, action, drift.changes, (), drift.before, drift.after)


def _as_it_stands(change: ObjectChange, live: Live) -> ObjectChange:
    """The change of an object that somebody scaled, from the replicas that it has: the others are what was deployed."""
    met = live.changes.get(change.ref.identity)
    if change.action is not Action.UPDATE or met is None or not met.scaled:
        return change
    scaled = tuple(each for each in met.changes if each.path == REPLICAS)
    rest = tuple(each for each in change.changes if each.path != REPLICAS)
    before = change.before if change.before is None else tree.put(change.before, REPLICAS, scaled[0].old)
    return dataclasses.replace(change, changes=(*rest, *scaled), before=before)


def _missing(live: Live, ref: ObjectRef) -> bool:
    found = live.changes.get(ref.identity)
    return found is not None and found.missing


def _with_restored(planned: tuple[Restart, ...], met: Mapping[Identity, LiveChange]) -> tuple[Restart, ...]:
    """What restarts, with the pods that somebody's change to a pod template or a deleted workload costs besides."""
    causes = {restart.ref: restart.because for restart in planned}
    for change in met.values():
        if change.ref.kind not in WORKLOADS:
            continue
        template = [c.path[2:] for c in change.changes if c.path[:2] == ("spec", "template")]
        because = ("deleted in the cluster",) if change.missing else tuple(cause(path) for path in template)
        if because:
            causes[change.ref] = tuple(dict.fromkeys((*causes.get(change.ref, ()), *because)))
    return tuple(Restart(ref, because) for ref, because in causes.items())
