"""How a release gets from where it stands to what it shall be: the steps, and what each does to objects and pods.

A release may need several: a failed head is rolled back to the last *deployed* revision before the upgrade, because
Helm compares with that one only and never removes what a failed revision added (Helm 3.22 and 4.3 on Kubernetes 1.36).
CRDs that would vanish are given `keepCrds` in an upgrade of their own first.
"""

from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec.structs import replace

from ddhelm import tree
from ddhelm.drift import Method, sets_back
from ddhelm.manifest import Identity, Manifest, Object, ObjectRef, compare
from ddhelm.noise import noise_at
from ddhelm.plan import (
    WORKLOADS,
    Action,
    Conflict,
    Deployed,
    Desired,
    Live,
    LiveChange,
    ObjectChange,
    Restart,
    Step,
    StepKind,
)
from ddhelm.release import Release
from ddhelm.workloads import REPLICAS, is_agent, is_cluster_agent

KEEP_POLICY = "helm.sh/resource-policy"
_UNREAD: Mapping[Identity, bool] = {}


def steps_for(desired: Desired, deployed: Deployed | None, live: Live, *, keep: Desired | None = None) -> list[Step]:
    """The steps that bring one release from where it stands to ``desired``, the last one its target state.

    ``keep``: the same release with its CRDs annotated to be kept, where they would be lost; becomes a step before.
    A pending head is the caller's business: it must have been judged before (see ``recovery``).
    """
    if deployed is None or deployed.head.status == "uninstalled":  # of which nothing stands, its history kept
        return [_install(desired, live)]
    steps = [_finish_uninstall(deployed)] if deployed.head.status == "uninstalling" else recovery(deployed, live.keeps)
    if steps and steps[-1].kind is StepKind.UNINSTALL:
        gone = {identity for identity, obj in deployed.manifest.objects.items() if not kept(obj)}
        return [*steps, _install(desired, _without(gone, live))]
    before = deployed.manifest
    if steps:
        back, live = _brought_back(steps[0], desired, deployed, live)
        steps, deployed = [back], replace(deployed, head=replace(deployed.head, status="deployed"))
    if steps or keep is not None:  # what the last step makes of pod templates is not what the first one does
        live = replace(live, steady=frozenset())
    if keep is not None:
        steps.append(_upgrade(keep, deployed, before, live, "marks the CRDs to be kept"))
        marked = {identity: True for identity, obj in keep.manifest.objects.items() if kept(obj)}
        before, live = keep.manifest, Live({}, keeps={**live.keeps, **marked})  # what others changed has been met
        deployed = replace(deployed, config=keep.values.tree, chart_version=keep.chart_version)
    steps.append(_upgrade(desired, deployed, before, live, ""))
    return steps


def recovery(deployed: Deployed, keeps: Mapping[Identity, bool] = _UNREAD) -> list[Step]:
    """Steps that make a release usable again: roll back a failed or pending head, remove an install that never was."""
    head = deployed.head
    if head.status == "deployed" or (head.status == "failed" and deployed.base is None):
        return []
    if deployed.base is None:
        why = f"revision {head.revision} is `{head.status}` and no revision was ever deployed"
        return [Step(StepKind.UNINSTALL, deployed.release, why=why, revision=head.revision)]
    if deployed.base == head.revision:
        return []
    why = f"revision {head.revision} is `{head.status}`; what it added would stay behind"
    gone = taken_away(deployed.newest, deployed.manifest, keeps)
    return [Step(StepKind.ROLLBACK, deployed.release, why, gone, revision=head.revision, target=deployed.base)]


def _brought_back(back: Step, desired: Desired, deployed: Deployed, live: Live) -> tuple[Step, Live]:
    """A rollback with what it sets back of objects that the steps behind it leave alone, and what these still meet.

    How far the head got is in no record: what stands tells it. What becomes of other objects is told by the last step.
    """
    base, head = deployed.manifest, deployed.newest
    altered = {each.ref.identity for each in object_changes(head, base)}
    coming = {each.ref.identity: each for each in object_changes(base, desired.manifest)}
    met = {
        identity: _without_noise(change) if identity in coming else change
        for identity, change in _met(base, base, deployed, live, altered).items()
        if identity not in coming or not matters(coming[identity])
    }
    met = {identity: change for identity, change in met.items() if change.missing or change.changes}
    objects = list(back.objects)
    for identity, change in met.items():
        if change.missing and identity not in head.objects:
            objects.append(ObjectChange(change.ref, Action.CREATE, new=base.get(identity)))
        elif identity in altered and not change.missing:
            objects.append(_updated(change.ref, change.changes, change.before, change.after))
        else:
            objects += _repairs({identity: change}, frozenset())
    after = _without({ref.identity for ref in back.deleted}, live)
    after = replace(
        after,
        changes={identity: change for identity, change in after.changes.items() if identity not in met},
        conflicts=tuple(each for each in after.conflicts if each.ref.identity not in met),  # a rollback forces
    )
    return replace(back, objects=tuple(objects), restarts=_with_restored((), met), agents=agents_in(base)), after


def _without_noise(change: LiveChange) -> LiveChange:
    loud = tuple(each for each in change.changes if noise_at(change.ref.kind, each.path) is None)
    return replace(change, changes=loud)


def taken_away(before: Manifest, after: Manifest, keeps: Mapping[Identity, bool] = _UNREAD) -> tuple[ObjectChange, ...]:
    """What helm deletes on its way from one manifest to the other, and what it leaves; for ``keeps`` see ``Live``."""
    return tuple(_left(obj, keeps) for identity, obj in before.objects.items() if identity not in after.objects)


def _left(obj: Object, keeps: Mapping[Identity, bool]) -> ObjectChange:
    return ObjectChange(obj.ref, Action.KEEP if _stays(obj, keeps) else Action.DELETE, old=obj)


def object_changes(
    before: Manifest, after: Manifest, keeps: Mapping[Identity, bool] = _UNREAD
) -> tuple[ObjectChange, ...]:
    """What an upgrade from one manifest to the other does, per object; noise is counted apart, see ``matters``."""
    found = []
    for old, new in compare(before, after).pairs:
        if old is None:
            assert new is not None
            found.append(ObjectChange(new.ref, Action.CREATE, new=new))
        elif new is None:
            found.append(_left(old, keeps))
        else:
            found.append(_updated(new.ref, tree.diff(old.body, new.body, ordered=True), old.body, new.body))
    return tuple(found)


def _updated(
    ref: ObjectRef, changes: Sequence[tree.Change], before: tree.Tree | None, after: tree.Tree | None
) -> ObjectChange:
    noise = tuple(each for each in changes if noise_at(ref.kind, each.path) is not None)
    return ObjectChange(ref, Action.UPDATE, tuple(each for each in changes if each not in noise), noise, before, after)


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
        templates = (tree.get(each.body, ("spec", "template"), {}) for each in (old, new))
        changes = tree.diff(*templates, ordered=True)
        if changes:
            found.append(Restart(new.ref, tuple(dict.fromkeys(cause(c.path) for c in changes)), on_delete(new.body)))
    return tuple(found)


def agents_in(manifest: Manifest) -> frozenset[tuple[str, str]]:
    """Kind and name of its node agents and its Cluster Agent."""
    return frozenset(
        (obj.ref.kind, obj.ref.name)
        for obj in manifest.of_kind("DaemonSet", "Deployment")
        if (is_agent if obj.ref.kind == "DaemonSet" else is_cluster_agent)(obj.body)
    )


def on_delete(body: tree.Tree | None) -> bool:
    """Whether a workload leaves its pods as they are until they are deleted."""
    return bool(tree.get(body, ("spec", "updateStrategy", "type")) == "OnDelete")


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
    """Whether the object is annotated to be kept: of a manifest it is what an uninstall heeds (3.22, 4.3)."""
    return bool(tree.get(obj.unmasked(), ("metadata", "annotations", KEEP_POLICY)) == "keep")


def _stays(obj: Object, keeps: Mapping[Identity, bool]) -> bool:
    """Whether an upgrade or a rollback leaves an object behind: there Helm reads the annotation of the live one."""
    return keeps.get(obj.ref.identity, kept(obj))


def server_side(helm: int, state: Deployed | None) -> bool:
    """Whether helm of this major version changes the release by server-side apply (None: makes it).

    Helm 3 never does, and releases that it ever wrote stay client-side.
    """
    return helm >= 4 and (state is None or state.apply_method == "ssa")


def how_applied(deployed: Deployed | None, live: Live) -> Method:
    """How helm changes a release that stands like this; ``server_side`` of the release, as far as it was asked for."""
    return "ssa" if live.server_side and (deployed is None or deployed.apply_method == "ssa") else "csa"


def conflicts_matter(helm: int, deployed: Mapping[str, Deployed], releases: Iterable[Release]) -> bool:
    """Whether helm of this major version would apply one of the releases server-side, where others' fields stop it."""
    return any(server_side(helm, deployed.get(release.name)) for release in releases)


def lost_crds(
    before: Manifest | None, after: Manifest, keeps: Mapping[Identity, bool] = _UNREAD
) -> tuple[ObjectRef, ...]:
    """CRDs that an upgrade would delete together with all their objects, without a word from Helm.

    Without ``keeps`` (see ``Live``) those that an uninstall would.
    """
    if before is None:
        return ()
    return tuple(
        obj.ref
        for identity, obj in before.objects.items()
        if obj.ref.kind == "CustomResourceDefinition" and identity not in after.objects and not _stays(obj, keeps)
    )


def _install(desired: Desired, live: Live) -> Step:
    """What stands already is not made: helm takes it in, and changes of it what the chart has otherwise."""
    met = {identity: live.changes.get(identity) for identity in desired.manifest.objects if identity in live.standing}
    by = how_applied(None, live)
    created = [
        ObjectChange(obj.ref, Action.CREATE, new=obj)
        for identity, obj in desired.manifest.objects.items()
        if identity not in met
    ]
    altered = {each.ref.identity: each for each in met.values() if each is not None and sets_back(each.ref, by)}
    return Step(
        StepKind.INSTALL,
        desired.release,
        objects=(*created, *(_updated(each.ref, each.changes, each.before, each.after) for each in altered.values())),
        restarts=_with_restored((), altered),
        values=desired.values.tree,
        conflicts=_conflicts(desired, live),
        unchanged=len(met) - len(altered),
        agents=agents_in(desired.manifest),
    )


def _without(gone: Set[Identity], live: Live) -> Live:
    """What a step meets once a step before it has deleted objects."""
    if not gone:
        return live
    return replace(
        live,
        changes={identity: change for identity, change in live.changes.items() if identity not in gone},
        conflicts=tuple(each for each in live.conflicts if each.ref.identity not in gone),
        standing=live.standing - gone,
    )


def _conflicts(desired: Desired, live: Live) -> tuple[Conflict, ...]:
    """Those in objects of the release; an install meets them where what was kept is taken in again."""
    return tuple(each for each in live.conflicts if each.ref.identity in desired.manifest.objects)


def _finish_uninstall(deployed: Deployed) -> Step:
    why = "an uninstall did not come to its end"
    return Step(StepKind.UNINSTALL, deployed.release, why=why, revision=deployed.head.revision)


def _upgrade(desired: Desired, deployed: Deployed, before: Manifest, live: Live, why: str) -> Step:
    changes = tuple(_as_it_stands(each, live) for each in object_changes(before, desired.manifest, live.keeps))
    masker = desired.manifest.masker  # a hand-made release may hold keys in its values
    values_changes = tree.diff(masker.body(deployed.config), masker.body(desired.values.tree), ordered=True)
    same = desired.chart_version == deployed.chart_version and not any(map(matters, changes))
    changed = {c.ref.identity for c in changes}
    met = _met(before, desired.manifest, deployed, live, changed)
    steady = live.steady if how_applied(deployed, live) == "ssa" else frozenset[Identity]()
    rolled = tuple(each for each in restarts(before, desired.manifest) if each.ref.identity not in steady)
    repairs = tuple(_repairs(met, changed))
    step = Step(
        StepKind.UPGRADE,
        desired.release,
        why=why,
        objects=changes + repairs,
        restarts=_with_restored(rolled, met),
        revision=deployed.head.revision,
        values=desired.values.tree,
        values_changes=values_changes,
        conflicts=_conflicts(desired, live),
        unchanged=sum(identity not in changed for identity in desired.manifest.objects) - len(repairs),
        gone=tuple(c.ref for c in changes if c.action is Action.UPDATE and _missing(live, c.ref)),
        agents=agents_in(desired.manifest),
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
    by = how_applied(deployed, live)
    return {
        identity: change
        for identity, change in live.changes.items()
        if identity in after.objects
        and (identity in before.objects or not change.missing)  # what is new was deleted by nobody
        and (change.missing or sets_back(change.ref, by))
        and (by == "ssa" or not change.unsent or identity in changed)
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
    return replace(change, changes=(*rest, *scaled), old=before)


def _missing(live: Live, ref: ObjectRef) -> bool:
    found = live.changes.get(ref.identity)
    return found is not None and found.missing


def _with_restored(planned: tuple[Restart, ...], met: Mapping[Identity, LiveChange]) -> tuple[Restart, ...]:
    """What restarts, with the pods that somebody's change to a pod template or a deleted workload costs besides."""
    found = {restart.ref: restart for restart in planned}
    for change in met.values():
        if change.ref.kind not in WORKLOADS:
            continue
        template = [c.path[2:] for c in change.changes if c.path[:2] == ("spec", "template")]
        because = ("deleted in the cluster",) if change.missing else tuple(cause(path) for path in template)
        if because:
            known = found.get(change.ref, Restart(change.ref, ()))
            every = tuple(dict.fromkeys((*known.because, *because)))
            found[change.ref] = Restart(change.ref, every, not change.missing and on_delete(change.after))
    return tuple(found.values())
