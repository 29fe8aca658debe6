"""What applying the desired objects would meet in the cluster: what is gone, altered, owned by others, refused.

Two questions go to the API server at once: the objects as they stand, and the objects as a forced server-side apply
would leave them (a dry run). Where the two differ, a field that the manifest sets has another value: the server's own
defaults and spellings are the same on both sides and never show. Measured: with Helm's label and annotations added,
forecast and live object are equal for all 25 objects of an untouched release (Helm 4.3 on Kubernetes 1.36).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ddhelm import tree
from ddhelm.admission import Pattern, expected, in_passing
from ddhelm.claim import LiveObject
from ddhelm.drift import BOOKKEEPING
from ddhelm.managedfields import entries, was_scaled
from ddhelm.manifest import Identity, Manifest, Object, ObjectRef, from_objects
from ddhelm.masking import Masker
from ddhelm.plan import WORKLOADS, Conflict, Deployed, Desired, Live, LiveChange
from ddhelm.steps import kept
from ddhelm.workloads import REPLICAS, Workload, workload

if TYPE_CHECKING:  # a plan without a cluster needs no kubectl
    from ddhelm.applying import Refusal
    from ddhelm.kubectl import Kubectl

MANAGER = "helm"
_SERVER_FIELDS = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


class Read(Struct, frozen=True):
    """The live state for a plan (``live``), for the proofs (``objects``), and what the server refuses to apply."""

    live: Live
    objects: Mapping[Identity, LiveObject]
    refusals: "tuple[Refusal, ...]" = ()
    workloads: tuple[Workload, ...] = ()
    standing: Mapping[Identity, Object] = {}
    forecast: Mapping[Identity, Object] = {}
    """Every object of the manifests as a forced apply would leave it; those that the server would not forecast lack."""


def applied(obj: Object, release: str, namespace: str) -> tree.Tree:
    """The object as Helm applies it: with its label and annotations, which are not in the rendered manifest."""
    body = obj.placed()
    metadata = dict(body["metadata"])
    metadata["labels"] = {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        "meta.helm.sh/release-name": release,
        "meta.helm.sh/release-namespace": namespace,
    }
    return {**body, "metadata": metadata}


def read(
    kubectl: "Kubectl",
    manifests: Mapping[str, Manifest],
    namespace: str,
    masker: Masker,
    *,
    namespaced: bool,
    conflicts: bool = True,
    patterns: Sequence[Pattern] = (),
) -> Read:
    """Read every object of the manifests (release name to manifest) live and as a forced apply would leave it.

    ``namespaced`` is False while the namespace does not exist: then only cluster-scoped objects can be asked about.
    ``conflicts`` is False where helm applies client-side, which knows none. ``patterns`` are fields that the platform's
    own admission writes, which are no difference.
    """
    wanted = _wanted(manifests, namespace, namespaced=namespaced)
    if not wanted:
        return Read(Live({}), {})
    trees = [body for _, body in wanted]
    found, result = kubectl.standing_and_forecast(trees, manager=MANAGER, conflicts=conflicts)
    standing = from_objects([body for body in found if body is not None], namespace, masker).objects
    forecast = from_objects(result.objects, namespace, masker).objects
    asked = {obj.ref.identity: (obj.ref, body) for obj, body in wanted}
    scaled = {identity for identity, obj in standing.items() if was_scaled(obj.unmasked())}
    changes = {
        identity: change
        for identity, (ref, body) in asked.items()
        if (
            change := _difference(
                ref, body, standing.get(identity), forecast.get(identity), identity in scaled, patterns
            )
        )
    }
    met = tuple(
        Conflict(asked[conflict.object][0], field, conflict.manager)
        for conflict in result.conflicts
        if conflict.object in asked
        for field in conflict.fields
    )
    return Read(
        Live(changes, met, conflicts, frozenset(standing), steady=_steady(standing, forecast)),
        {identity: live_object(obj) for identity, obj in standing.items()},
        tuple(result.refusals),
        tuple(workload(obj.body) for obj in standing.values() if obj.ref.kind in {"DaemonSet", "Deployment"}),
        standing,
        forecast,
    )


def expecting(
    kubectl: "Kubectl", manifests: Mapping[str, Manifest], namespace: str, *, conflicts: bool
) -> AbstractContextManager[None]:
    """Ask now, beside the block, what ``read`` will ask where its manifests turn out to be these."""

    def trees() -> list[tree.Tree]:
        return [body for _, body in _wanted(manifests, namespace, namespaced=True)]

    return kubectl.expecting(trees, manager=MANAGER, conflicts=conflicts)


def _wanted(manifests: Mapping[str, Manifest], namespace: str, *, namespaced: bool) -> list[tuple[Object, tree.Tree]]:
    return [
        (obj, applied(obj, release, namespace))
        for release, manifest in manifests.items()
        for obj in manifest.objects.values()
        if namespaced or not obj.ref.namespace
    ]


def keeps(
    kubectl: "Kubectl",
    deployed: Mapping[str, Deployed],
    desired: Iterable[Desired],
    namespace: str,
    masker: Masker,
) -> Mapping[Identity, bool]:
    """Of the objects that leave a release on its way to what is desired: whether those that stand are to be kept.

    Helm asks the live object, whose annotation somebody may have taken away or added. One question, where any leave.
    """
    leaving: dict[Identity, Object] = {}
    for one in desired:
        state = deployed.get(one.release.name)
        if state is not None:
            every = {**state.newest.objects, **state.manifest.objects}  # what only a failed head has goes first
            stay = state.manifest.objects.keys() & one.manifest.objects.keys()
            leaving |= {identity: obj for identity, obj in every.items() if identity not in stay}
    found = stand(kubectl, list(leaving.values()), namespace, masker)
    return {identity: kept(obj) for identity, obj in found.items()}


def stand(kubectl: "Kubectl", objects: Sequence[Object], namespace: str, masker: Masker) -> Mapping[Identity, Object]:
    """How objects stand that are not to be applied: those that an upgrade would delete."""
    found = kubectl.get_many([obj.placed() for obj in objects])
    return from_objects([body for body in found if body is not None], namespace, masker).objects


def live_object(obj: Object) -> LiveObject:
    """What the proofs want to know of one live object: labels, annotations, owners, managers, selector."""
    metadata, body = obj.metadata, obj.unmasked()
    return LiveObject(
        ref=obj.ref,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        owners=tuple(f"{o.get('kind')} {o.get('name')}" for o in metadata.get("ownerReferences") or ()),
        managers=tuple(dict.fromkeys(str(m.get("manager")) for m in _managed(body))),
        selector=tree.get(body, ("spec", "selector")),
        terminating=bool(metadata.get("deletionTimestamp")),
        stored_versions=tuple(tree.get(body, ("status", "storedVersions")) or ()),
    )


def unforeseen(refusals: "Iterable[Refusal]") -> tuple[str, ...]:
    """One line per object that the API server refuses."""
    return tuple(f"{refusal.object[1]} {refusal.object[3]}: {refusal.error.message}" for refusal in refusals)


def _difference(
    ref: ObjectRef,
    wanted: tree.Tree,
    live: Object | None,
    forecast: Object | None,
    scaled: bool,
    patterns: Sequence[Pattern],
) -> LiveChange | None:
    if live is None:
        return LiveChange(ref, missing=True, after=_own_fields(forecast.body) if forecast else None)
    if forecast is None:
        return None
    # what is equal needs no masking, which is most of the work
    if tree.same(_own_fields(live.unmasked()), _own_fields(forecast.unmasked())):
        return None
    before, after = _own_fields(live.body), _own_fields(forecast.body)
    owners = entries(tree.get(live.body, ("metadata", "managedFields"))) if patterns else ()
    changes = tuple(c for c in tree.diff(before, after) if not expected(c.path, patterns, owners))
    if not changes:
        return None
    stands = live.unmasked()
    rescaled = scaled and any(each.path == REPLICAS for each in changes)
    untouched = all(in_passing(each.path, wanted, stands) or (rescaled and each.path == REPLICAS) for each in changes)
    unsent = untouched and _holds(stands, wanted)
    return LiveChange(ref, False, changes, before, after, in_passing=untouched, unsent=unsent, scaled=rescaled)


def _steady(standing: Mapping[Identity, Object], forecast: Mapping[Identity, Object]) -> frozenset[Identity]:
    """The workloads whose pod template the forecast has as it stands: the server reads `1000m` and `1` alike."""

    def template(obj: Object) -> Any:
        return tree.get(obj.unmasked(), ("spec", "template"))

    return frozenset(
        identity
        for identity, obj in standing.items()
        if obj.ref.kind in WORKLOADS and identity in forecast and tree.same(template(obj), template(forecast[identity]))
    )


def _holds(live: Any, wanted: Any) -> bool:
    """Whether everything that the manifest sets stands there, to the letter."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(key in live and _holds(live[key], each) for key, each in wanted.items())
    if isinstance(wanted, list):
        same_length = isinstance(live, list) and len(live) == len(wanted)
        return same_length and all(map(_holds, live, wanted))
    return type(live) is type(wanted) and bool(live == wanted)


def _own_fields(body: tree.Tree) -> tree.Tree:
    metadata = {k: v for k, v in (body.get("metadata") or {}).items() if k not in _SERVER_FIELDS}
    # the API server counts a DaemonSet's templates in an annotation: its forecast is always one ahead
    if written := {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in BOOKKEEPING}:
        metadata["annotations"] = written
    else:
        metadata.pop("annotations", None)
    return {**{k: v for k, v in body.items() if k != "status"}, "metadata": metadata}


def _managed(body: tree.Tree) -> Sequence[Mapping[str, Any]]:
    return tree.get(body, ("metadata", "managedFields")) or ()
