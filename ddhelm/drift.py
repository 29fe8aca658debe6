"""Live against deployed: what somebody changed in the cluster since Helm wrote it, who did, what an upgrade does to it.

Three sources say three things. The server's own forecast of applying the deployed manifest once more says which of its
fields have another value (defaults and spellings are the same on both sides and never show). ``managedFields`` says
who wrote them, and which fields others added. What stands in an object and belongs to nobody was put there on the way
in, by an admission webhook or policy: these run after the owners of fields are noted.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import tree
from ddhelm.admission import Pattern, expected, in_passing
from ddhelm.managedfields import SCALE, STATUS, Entry, Member, Writer, lookup
from ddhelm.manifest import ObjectRef
from ddhelm.tree import LIST_KEYS, Named, Path, Tree
from ddhelm.workloads import is_cluster_agent

HELM = "helm"
AUTOSCALER = "kube-controller-manager"
"""Manager of the HorizontalPodAutoscaler's writes through the scale subresource (Kubernetes 1.36)."""

Method = Literal["ssa", "csa"]


class Change(StrEnum):
    """How a field differs. ``OWNED``: it does not, but somebody took it over and a coming step changes it."""

    ALTERED = "altered"
    REMOVED = "removed"
    ADDED = "added"
    OWNED = "owned"


class Fate(StrEnum):
    """What the next helm upgrade does to a difference.

    Measured with Helm 3.22 and 4.3: client-side apply overwrites every field that the manifest sets, server-side apply
    stops at those that another manager owns; fields that the manifest does not set survive both, also when forced.
    """

    KEPT = "kept"
    OVERWRITTEN = "overwritten"
    CONFLICT = "conflict"
    RECREATED = "recreated"


class FieldDrift(Struct, frozen=True):
    """One field: ``deployed`` and ``live`` are masked values, None where there is none.

    ``writers`` is empty where the API server does not know who did it: a removed field has no owner any more, and what
    admission changes never gets one (``admission``). ``undo`` is what to type where reverting does not remove it.
    """

    path: Path
    change: Change
    deployed: Any
    live: Any
    writers: tuple[Writer, ...]
    fate: Fate
    admission: bool = False
    undo: str = ""

    @property
    def scaled(self) -> bool:
        """Whether it was written through the scale subresource."""
        return any(writer.subresource == SCALE for writer in self.writers)

    @property
    def reverts(self) -> bool:
        """Whether applying the deployed manifest once more sets it back."""
        return self.change is not Change.ADDED and self.fate is not Fate.KEPT


class ObjectDrift(Struct, frozen=True):
    """One object of a release that is gone, or not as it was deployed."""

    release: str
    ref: ObjectRef
    missing: bool = False
    fields: tuple[FieldDrift, ...] = ()
    cluster_agent: bool = False
    """Whether it is the Cluster Agent's Deployment."""

    @property
    def revertible(self) -> bool:
        """Whether applying the deployed manifest once more sets anything back."""
        return self.missing or any(each.reverts for each in self.fields)


class Standing(Struct, frozen=True):
    """An object as deployed (with what Helm adds), as it stands, and as a forced apply of it would leave it; masked.

    ``live`` None: it is gone. ``forecast`` None: the server would not say, and owners are all there is to go by.
    """

    release: str
    ref: ObjectRef
    deployed: Tree
    live: Tree | None
    forecast: Tree | None
    entries: tuple[Entry, ...] = ()


class Drift(Struct, frozen=True):
    """All of it. ``unread``: objects that could not be compared in full, with the reason; ``notes`` for people."""

    objects: tuple[ObjectDrift, ...] = ()
    methods: Mapping[str, Method] = {}
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything is not as deployed."""
        return bool(self.objects)

    @property
    def exit_code(self) -> int:
        """0 for none, 2 for drift, 1 where none was found in what could not all be compared."""
        return 2 if self.objects else int(bool(self.unread))

    @property
    def fates(self) -> Mapping[Fate, int]:
        """How many differences meet which fate at the next upgrade; an object that is gone is one."""
        counts = dict.fromkeys(Fate, 0)
        for each in self.objects:
            counts[Fate.RECREATED] += each.missing
            for one in each.fields:
                counts[one.fate] += 1
        return counts


def of_object(standing: Standing, method: Method) -> ObjectDrift | None:
    """How one object differs from what was deployed; None where it does not.

    ``method``: how the next upgrade of its release applies, server-side (``ssa``) or client-side (``csa``).
    """
    if standing.live is None:
        return ObjectDrift(standing.release, standing.ref, missing=True)
    comparer = _Comparer(standing, standing.live, method)
    fields = comparer.fields()
    if not fields:
        return None
    ours = standing.ref.kind == "Deployment" and is_cluster_agent(standing.deployed)
    return ObjectDrift(standing.release, standing.ref, fields=fields, cluster_agent=ours)


def sets_back(ref: ObjectRef, method: Method) -> bool:
    """Whether helm sets back what others altered of an object that the chart leaves as it is.

    Client-side it sends the difference of two manifests for kinds that its client does not know (APIService, custom
    resources), which is empty, and never looks at what stands (3.22, 4.3).
    """
    return method == "ssa" or ref.group in _NATIVE


def without_expected(found: ObjectDrift, patterns: Sequence[Pattern], owners: Sequence[Entry]) -> ObjectDrift | None:
    """What is left of an object's drift without what the platform's own admission writes; None where nothing is."""
    kept = tuple(one for one in found.fields if not expected(one.path, patterns, owners))
    return replace(found, fields=kept) if kept or found.missing else None


_SERVER_METADATA = frozenset(
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink", "finalizers"]
)
BOOKKEEPING = frozenset(
    (
        "deployment.kubernetes.io/revision",
        "deprecated.daemonset.template.generation",
        "kubectl.kubernetes.io/restartedAt",
        "kubectl.kubernetes.io/last-applied-configuration",
    )
)
"""Annotations in which tools keep their own books. `kubectl rollout restart` is what an operator does, not drift."""
_TOKEN_LISTS = frozenset({"secrets", "imagePullSecrets"})
"""Lists of a ServiceAccount to which token controllers (Kubernetes before 1.24, OpenShift) add."""
# Kinds of groups that helm's client knows, see `sets_back`.
_NATIVE = frozenset(
    (
        *("", "apps", "batch", "autoscaling", "policy", "extensions"),
        *("admissionregistration.k8s.io", "apiextensions.k8s.io", "certificates.k8s.io", "coordination.k8s.io"),
        *("discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io"),
        *("rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io"),
    )
)
# What the API fills in by itself, so that a field which says the same says nothing (core/v1, apps/v1 defaults).
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "apiVersion": ("v1",),
    "defaultMode": (420,),
    "dnsPolicy": ("ClusterFirst",),
    "failureThreshold": (3,),
    "internalTrafficPolicy": ("Cluster",),
    "ipFamilyPolicy": ("SingleStack",),
    "periodSeconds": (10,),
    "progressDeadlineSeconds": (600,),
    "protocol": ("TCP",),
    "restartPolicy": ("Always",),
    "revisionHistoryLimit": (10,),
    "schedulerName": ("default-scheduler",),
    "scheme": ("HTTP",),
    "sessionAffinity": ("None",),
    "successThreshold": (1,),
    "terminationGracePeriodSeconds": (30,),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "timeoutSeconds": (1,),
    "type": ("", "RollingUpdate", "ClusterIP"),
}
_DEFAULTS_OF: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "DaemonSet": {"maxSurge": (0,), "maxUnavailable": (1,)},
    "Deployment": {"maxSurge": ("25%",), "maxUnavailable": ("25%",)},
}
"""Defaults that only this kind has (apps/v1); a PodDisruptionBudget has none for ``maxUnavailable``."""
_FILLED_IN = frozenset({"clusterIP", "clusterIPs", "ipFamilies", "serviceAccount"})
"""Fields of a spec that the API server writes: addresses, and the old name of `serviceAccountName`."""


class _Comparer:
    """One object, its three trees and its owners."""

    def __init__(self, standing: Standing, live: Tree, method: Method) -> None:
        self._standing, self._method = standing, method
        self._deployed, self._live = _own(standing.deployed), _own(live)
        self._forecast = None if standing.forecast is None else _own(standing.forecast)
        self._entries = standing.entries
        self._found: dict[Path, FieldDrift] = {}

    def fields(self) -> tuple[FieldDrift, ...]:
        self._changed()
        self._respelled_by_admission()
        self._added()
        self._unowned()
        return self._last_first()

    def _last_first(self) -> tuple[FieldDrift, ...]:
        """The fields, with the commands that remove elements in an order in which each can be pasted after the one
        before: what is removed from a list moves all that follow it.
        """
        removed = (each for each in self._found.values() if each.undo)
        following = iter(sorted(removed, key=lambda each: _indices(each.path, self._live), reverse=True))
        return tuple(next(following) if each.undo else each for each in self._found.values())

    # -- fields that the manifest sets

    def _changed(self) -> None:
        if self._forecast is None:
            changes = [each for each in tree.diff(self._deployed, self._live) if self._by_others(each)]
        else:
            different = tree.diff(self._forecast, self._live)
            changes = [each for each in different if not in_passing(each.path, self._deployed, self._live)]
        for each in changes:
            if _books(self._standing.ref.kind, each.path):
                continue
            change = {"add": Change.ADDED, "remove": Change.REMOVED, "replace": Change.ALTERED}[each.op]
            writers = self._writers(each.path)
            if change is Change.REMOVED:
                writers = tuple(writer for writer in writers if writer.manager != HELM)
            self._put(each.path, change, each.old, each.new, writers)

    def _by_others(self, change: tree.Change) -> bool:
        """Without a forecast: whether a difference between manifest and object is somebody's, and no other spelling."""
        if change.op == "replace":
            return any(writer.manager != HELM for writer in self._writers(change.path))
        return change.op == "remove" and bool(change.old) and change.path[0] not in {"apiVersion", "stringData"}

    def _respelled_by_admission(self) -> None:
        """Texts that the server never spells differently, which stand there with another value all the same."""
        for path, wanted in _texts(self._standing.ref.kind, self._deployed):
            found, value = lookup(self._live, path)
            if wanted and found and value != wanted and isinstance(value, str) and not self._known(path):
                self._put(path, Change.ALTERED, wanted, value, (), admission=True)

    # -- fields that it does not set

    def _added(self) -> None:
        for entry in self._entries:
            if entry.writer.subresource == STATUS:
                continue
            helms = entry.writer.manager == HELM
            if helms and entry.writer.operation != "Update":
                continue  # what helm applied is what the manifest sets, or the forecast takes it away
            for path in sorted(filter(_an_element, entry.paths) if helms else entry.paths, key=len):
                found, value = lookup(self._live, path)
                if found and not self._set(path) and not self._known(path) and self._somebodys(entry, path, value):
                    self._put(path, Change.ADDED, None, value, self._writers(path, with_helm=True))

    def _somebodys(self, entry: Entry, path: Path, value: Any) -> bool:
        """Whether a field that the manifest does not set is a thing that its owner meant to be there."""
        kind = self._standing.ref.kind
        if path[0] == "status" or _books(kind, path) or _a_default(kind, path, value):
            return False
        if entry.writer.manager == HELM:  # it owns all defaults of what it created; whole elements it must have written
            return True
        return isinstance(path[-1], Named) or path in entry.leaves or not isinstance(value, dict)

    def _unowned(self) -> None:
        """What nobody wrote and no default explains: labels, annotations, keys and elements of named lists."""
        for path, value in _elements(self._standing.ref.kind, self._live):
            if (
                not self._set(path)
                and not self._known(path)
                and not _books(self._standing.ref.kind, path)
                and not any(entry.owns(path) for entry in self._entries)
            ):
                self._put(path, Change.ADDED, None, value, (), admission=True)

    def _set(self, path: Path) -> bool:
        return lookup(self._deployed, path)[0]

    def _known(self, path: Path) -> bool:
        """Whether the field, or what it is in, has been found already."""
        return any(path[:length] in self._found for length in range(1, len(path) + 1))

    # -- who, and what becomes of it

    def _writers(self, path: Path, *, with_helm: bool = False) -> tuple[Writer, ...]:
        """Who owns a field, others before helm; helm only where nobody else does."""
        owners = [entry.writer for entry in self._entries if entry.writer.subresource != STATUS and entry.owns(path)]
        others = [writer for writer in owners if writer.manager != HELM]
        latest = sorted(others or owners, key=lambda writer: writer.time, reverse=True)
        return tuple(dict.fromkeys(latest)) if others or with_helm else tuple(dict.fromkeys(latest[:1]))

    def _put(
        self, path: Path, change: Change, old: Any, new: Any, writers: tuple[Writer, ...], *, admission: bool = False
    ) -> None:
        fate = self._fate(path, change, writers, admission)
        stays = change is Change.ADDED and fate is Fate.KEPT and not admission
        undo = removal(self._standing.ref, path, self._live) if stays else ""
        self._found[path] = FieldDrift(path, change, old, new, writers, fate, admission, undo)

    def _fate(self, path: Path, change: Change, writers: Sequence[Writer], admission: bool) -> Fate:
        if admission:
            return Fate.KEPT
        others = any(writer.manager != HELM for writer in writers)
        if change is Change.ADDED:
            applied = any(writer.manager == HELM and writer.operation == "Apply" for writer in writers)
            return Fate.OVERWRITTEN if self._method == "ssa" and applied and not others else Fate.KEPT
        if self._method == "ssa":
            return Fate.CONFLICT if others else Fate.OVERWRITTEN
        return Fate.OVERWRITTEN if sets_back(self._standing.ref, self._method) else Fate.KEPT


def removal(ref: ObjectRef, path: Path, live: Tree) -> str:
    """The kubectl command that removes a field, for a shell."""
    kind = ref.kind.lower() if ref.group in {"", "apps"} else f"{ref.kind.lower()}.{ref.group}"
    scope = ["-n", ref.namespace] if ref.namespace else []
    if len(path) == 3 and path[0] == "metadata" and path[1] in {"labels", "annotations"}:
        verb = "label" if path[1] == "labels" else "annotate"
        return shlex.join(["kubectl", *scope, verb, kind, ref.name, f"{path[2]}-"])
    steps: list[str] = []
    test: Tree | None = None
    below: Any = live
    for step in path:
        at: str | int = step
        if isinstance(below, list):
            at = _index(below, step)
            if isinstance(below[at], dict) and isinstance(step, Named):
                key, _, _ = step.partition("=")
                test = {"op": "test", "path": _pointer([*steps, str(at), key]), "value": below[at].get(key)}
            elif isinstance(step, Named):
                test = {"op": "test", "path": _pointer([*steps, str(at)]), "value": below[at]}
        steps.append(str(at))
        below = below[at]
    # an index is only right as long as nobody inserts something before it
    patch = [*([test] if test else []), {"op": "remove", "path": _pointer(steps)}]
    return shlex.join(["kubectl", *scope, "patch", kind, ref.name, "--type=json", "-p", json.dumps(patch)])


def _indices(path: Path, live: Tree) -> list[int]:
    """Where a field stands in each of the lists that it is in, the outermost first."""
    found: list[int] = []
    below: Any = live
    for step in path:
        at: str | int = step
        if isinstance(below, list):
            at = _index(below, step)
            found.append(at)
        below = below[at]
    return found


def _index(items: list[Any], step: str | int) -> int:
    if isinstance(step, int):
        return step
    return next(at for at, item in enumerate(items) if lookup([item], (step,))[0])


def _pointer(steps: Iterable[str]) -> str:
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


def _own(body: Tree) -> Tree:
    metadata = {k: v for k, v in (body.get("metadata") or {}).items() if k not in _SERVER_METADATA}
    return {**{k: v for k, v in body.items() if k != "status"}, "metadata": metadata}


def _books(kind: str, path: Path) -> bool:
    """Whether a field is some tool's own book-keeping."""
    if path[:2] == ("metadata", "finalizers"):
        return True
    if kind == "ServiceAccount" and (path[0] in _TOKEN_LISTS or str(path[-1]).startswith("openshift.io/")):
        return True
    return len(path) > 2 and path[-2] == "annotations" and path[-1] in BOOKKEEPING


def _a_default(kind: str, path: Path, value: Any) -> bool:
    field = str(path[-1])
    if path[0] == "spec" and field in _FILLED_IN:
        return True
    if field == "restartPolicy" and path[-2] != "spec":
        return False  # a pod's default; an init container that restarts always is a sidecar
    defaults = _DEFAULTS_OF.get(kind, {}).get(field) or _DEFAULTS.get(field, ())
    return value in defaults or (isinstance(value, dict | list) and not value)


def _an_element(path: Path) -> bool:
    """Whether the path leads to something that no default ever adds."""
    return (isinstance(path[-1], Named) and not isinstance(path[-1], Member)) or _a_key(path)


def _a_key(path: Path) -> bool:
    return len(path) > 1 and (
        (path[-2] in {"labels", "annotations"} and len(path) > 2 and path[-3] == "metadata") or path[:-1] == ("data",)
    )


def _maps(kind: str) -> tuple[Path, ...]:
    """Maps that the server adds nothing to by itself."""
    metadata = ((), ("spec", "template")) if kind in {"DaemonSet", "Deployment", "StatefulSet"} else ((),)
    found: list[Path] = [(*at, "metadata", part) for at in metadata for part in ("labels", "annotations")]
    return (*found, ("data",)) if kind == "ConfigMap" else tuple(found)


def _elements(kind: str, body: Tree) -> Iterator[tuple[Path, Any]]:
    """Everything in an object that is there only if somebody put it there, parents before children."""
    for path in _maps(kind):
        for key, value in (tree.get(body, path) or {}).items():
            yield (*path, key), value
    yield from _named(tree.get(body, ("spec", "template", "spec")) or {}, ("spec", "template", "spec"))


def _named(body: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The elements of the named lists below ``body``."""
    if isinstance(body, dict):
        for key, value in body.items():
            fields = ("name",) if key == "initContainers" else next(iter(LIST_KEYS.get(key, ())), None)
            if isinstance(value, list) and fields:
                for item in value:
                    if isinstance(item, dict) and fields[0] in item:
                        step = Named(",".join(f"{f}={item.get(f, 'TCP')}" for f in fields))
                        yield (*path, key, step), item
                        yield from _named(item, (*path, key, step))
            else:
                yield from _named(value, (*path, key))


def _texts(kind: str, body: Tree) -> Iterator[tuple[Path, str]]:
    """Texts of an object that the server keeps as they are: labels, annotations, check files, images, environment."""
    for path, value in _elements(kind, body):
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            for key in ("image", "value"):
                if isinstance(value.get(key), str):
                    yield (*path, key), value[key]
