"""Decides what an uninstall removes and what it leaves; reads only.

Keys, certificates and history stay unless asked for: they cost more to make again than to keep. A namespace goes only
if ddhelm made it and nothing of others is in it.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import reads, resources, workloads
from ddhelm.actions import leftovers, revisions, rights
from ddhelm.actions.identity import KUBE_SYSTEM
from ddhelm.actions.leftovers import Leftover, Unlisted
from ddhelm.actions.reading import not_busy
from ddhelm.answers import Right
from ddhelm.errors import PreflightFailed
from ddhelm.manifest import Manifest, Object, parse
from ddhelm.masking import Masker
from ddhelm.pasting import typed
from ddhelm.record import Record
from ddhelm.release import SECRET, Release, owned
from ddhelm.settings import RECORD_KEY
from ddhelm.steps import KEEP_POLICY, kept
from ddhelm.tree import Tree

if TYPE_CHECKING:
    from ddhelm.answers import Answer
    from ddhelm.kubectl import Kubectl

NOT_OURS = "ddhelm did not make it"
_GONE = "uninstalled"
"""What helm calls a release of which it has kept the history alone: it forgets that, and deletes no object."""
_CROWDED = "it holds what is not ours"


class Going(Struct, frozen=True):
    """A release that goes: its newest revision, and how many objects Helm removes with it.

    ``strays``: objects of the release that its newest revision does not list, so that Helm would leave them.
    """

    release: Release
    revision: int
    status: str
    objects: int
    crds: tuple[str, ...] = ()
    strays: tuple[Leftover, ...] = ()


class Kept(Struct, frozen=True):
    """Something that stays: why, and the command that would remove it (empty where there is none to recommend)."""

    what: str
    why: str
    command: str = ""


class Removal(Struct, frozen=True):
    """What will go, in order, and what will stay. ``uid`` is kube-system's: which cluster this was decided for.

    ``pods`` and ``agents`` are label selectors of the Cluster Agent's and the node agents' pods, ``services`` and
    ``fullnames`` what the releases' Services and objects are called (see ``leftovers``).
    """

    namespace: str
    uid: str
    releases: tuple[Going, ...] = ()
    hooks: tuple[Leftover, ...] = ()
    secrets: tuple[Leftover, ...] = ()
    kept: tuple[Kept, ...] = ()
    delete_namespace: bool = False
    exists: bool = True
    terminating: bool = False
    """Whether the namespace is being deleted already: nothing can be made in it, not even a lock."""
    pods: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    services: frozenset[str] = frozenset()
    fullnames: tuple[str, ...] = ()
    pair: tuple[Release, ...] = ()
    unread: tuple[Unlisted, ...] = ()

    @property
    def strays(self) -> tuple[Leftover, ...]:
        """What goes of the releases besides what Helm removes."""
        return tuple(each for going in self.releases for each in going.strays)

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.releases or self.hooks or self.secrets or self.delete_namespace)


def prepare(
    kubectl: "Kubectl",
    releases: Sequence[Release],
    *,
    delete_secrets: bool = False,
    delete_namespace: bool = False,
    now: Callable[[], float] = time.time,
) -> Removal:
    """What an uninstall would do; reads only.

    Raises PlanStale or ReleaseError where another writer may be at work; PreflightFailed where helm would fail half-way
    and spoil its record (API versions that the cluster does not have any more), or where CRDs would go that hold
    objects; ClusterError, ToolError.
    """
    namespace = releases[0].namespace
    found, uid, lease = _cluster(kubectl, namespace)
    if not found.found:
        return _without_namespace(kubectl, releases, uid)
    stored = revisions.of(kubectl, namespace, superseded=False)
    not_busy(stored, lease, now())
    records, manifests, strays = _listed(kubectl, namespace, stored)
    _refuse_dead_kinds(kubectl, {name: each for name, each in manifests.items() if records[name].status != _GONE})
    every = (*manifests.values(), *strays.values())
    if manifests:  # helm would delete what it may, and say only that it failed; and the webhook waits for pods to go
        needed = (*rights.to_delete(every, namespace), Right("list", "pods", "", namespace))
        rights.require(kubectl, needed, "an uninstall")
    ours = [release for release in reversed(releases) if release.name in records]
    going = tuple(_going(kubectl, each, records[each.name], manifests[each.name], strays[each.name]) for each in ours)
    terminating = (found.tree().get("status") or {}).get("phase") == "Terminating"
    own = _own(kubectl, namespace, going, terminating=terminating, history=not delete_secrets)
    hook_services, fullnames = leftovers.services(releases, every), leftovers.fullnames(releases, every)
    hooks, unread = leftovers.hooks(kubectl, namespace, hook_services)
    agents = leftovers.of_agents(kubectl, namespace, fullnames)
    removal = Removal(
        namespace,
        uid,
        releases=going,
        hooks=hooks,
        secrets=own if delete_secrets else (),
        pods=_selectors(every, "Deployment") or tuple(f"app={release.cluster_agent}" for release in releases),
        agents=_selectors(every, "DaemonSet") or tuple(f"app={release.fullname}" for release in releases),
        services=hook_services,
        fullnames=fullnames,
        pair=tuple(releases),
        unread=unread,
        terminating=terminating,
    )
    why_not = _namespace_stays(kubectl, found.tree(), removal, agents, own, delete_namespace, delete_secrets)
    removal = replace(removal, delete_namespace=not why_not)
    return replace(removal, kept=_kept(kubectl, removal, records, manifests, own, agents, why_not))


def _without_namespace(kubectl: "Kubectl", releases: Sequence[Release], uid: str) -> Removal:
    namespace, services = releases[0].namespace, leftovers.services(releases)
    hooks, unread = leftovers.hooks(kubectl, namespace, services)
    return Removal(namespace, uid, hooks=hooks, exists=False, services=services, pair=tuple(releases), unread=unread)


def _own(
    kubectl: "Kubectl", namespace: str, going: Sequence[Going], *, terminating: bool, history: bool
) -> tuple[Leftover, ...]:
    """What ddhelm made beside the releases, the lock that this very run makes and its line in the history with it."""
    found = leftovers.of_ddhelm(kubectl, namespace)
    if terminating or not (going or found):
        return found
    made = [leftovers.lock(namespace), *((leftovers.history(namespace),) if history else ())]
    return (*found, *(each for each in made if each not in found))


def _cluster(kubectl: "Kubectl", namespace: str) -> "tuple[Answer, str, Tree]":
    """The namespace, kube-system's UID, and the lock's Lease, empty where there is none or it may not be read."""
    found, kube_system, lease = kubectl.raws([f"/api/v1/namespaces/{namespace}", KUBE_SYSTEM, reads.lease(namespace)])
    for answer in (found, kube_system, lease):
        if answer.failure is not None and not (answer is lease and answer.failure.anchor == "forbidden"):
            raise answer.failure
    return found, str(kube_system.tree().get("metadata", {}).get("uid") or ""), lease.tree()


def _listed(
    kubectl: "Kubectl", namespace: str, stored: Mapping[str, Sequence[Record]]
) -> tuple[dict[str, Record], dict[str, Manifest], dict[str, Manifest]]:
    """Of each release that stands: its newest revision, what that lists, and what else stands of the release."""
    masker = Masker(secrets.token_bytes(32))
    heads, listed, strays = {}, {}, {}
    for name, records in stored.items():
        heads[name], *others = revisions.alive(records)
        listed[name] = parse(heads[name].manifest, namespace, masker)
        theirs = [obj for each in others for obj in parse(each.manifest, namespace, masker).objects.values()]
        strays[name] = Manifest(_strays(kubectl, name, namespace, listed[name], theirs), masker)
    return heads, listed, strays


def _strays(
    kubectl: "Kubectl", name: str, namespace: str, listed: Manifest, others: Sequence[Object]
) -> Iterable[Object]:
    """The objects of other revisions that Helm would leave: they stand, are this release's, and are not to be kept.

    CRDs stay, as all that are not deleted with a release: their objects would go with them.
    """
    missing = {obj.ref.identity: obj for obj in others if obj.ref.identity not in listed.objects}
    wanted = [obj for obj in missing.values() if obj.ref.kind != "CustomResourceDefinition" and not kept(obj)]
    for obj, body in zip(wanted, kubectl.get_many([each.placed() for each in wanted]), strict=True):
        metadata = (body or {}).get("metadata") or {}
        if owned(metadata, name, namespace) and (metadata.get("annotations") or {}).get(KEEP_POLICY) != "keep":
            yield obj


def _going(kubectl: "Kubectl", release: Release, head: Record, manifest: Manifest, strays: Manifest) -> Going:
    if head.status == _GONE:
        manifest = Manifest((), manifest.masker)
    if holding := leftovers.holding(kubectl, manifest):
        raise PreflightFailed(
            f"uninstalling `{release.name}` would delete CRDs together with the objects in them",
            hint="ddhelm onboard --set operator.datadogCRDs.keepCrds=true, then uninstall again: the CRDs stay",
            anchor="crds-hold-objects",
            details=holding,
        )
    why = f"of `{release.name}`, but not in its revision {head.revision}: Helm would leave it"
    left = tuple(_leftover(obj, why) for obj in strays.objects.values())
    crds = tuple(obj.ref.name for obj in leftovers.deleted_crds(manifest))
    return Going(release, head.revision, head.status, len(manifest), crds, left)


def _leftover(obj: Object, why: str) -> Leftover:
    kind, ref = obj.ref.kind.lower(), obj.ref
    return Leftover(f"{kind}.{ref.group}" if ref.group else kind, ref.name, ref.namespace, why)


def _refuse_dead_kinds(kubectl: "Kubectl", manifests: Mapping[str, Manifest]) -> None:
    """Helm (3.22, 4.3) fails on a kind that the server does not know, deletes nothing and leaves `uninstalling`."""
    wanted = {(obj.ref.api_version, obj.ref.kind) for each in manifests.values() for obj in each.objects.values()}
    versions = sorted({version for version, _ in wanted})
    paths = [resources.group_path(version) for version in versions]
    known: set[tuple[str, str]] = set()
    for version, answer in zip(versions, kubectl.raws(paths) if paths else (), strict=True):
        if answer.failure is not None:  # an aggregated API that is down is not gone: helm tells more
            known |= {(version, kind) for each, kind in wanted if each == version}
        elif answer.found:
            known |= {(version, each.kind) for each in resources.read(answer.tree())}
    dead = sorted(wanted - known)
    if not dead:
        return
    name = next(
        name
        for name, manifest in manifests.items()
        if any((obj.ref.api_version, obj.ref.kind) in dead for obj in manifest.objects.values())
    )
    raise PreflightFailed(
        f"the stored manifest of `{name}` has kinds that this cluster does not know any more; helm would delete "
        "nothing and leave the release `uninstalling`",
        hint="helm plugin install https://github.com/helm/helm-mapkubeapis (Helm 4: with --verify=false), then "
        f"helm mapkubeapis {name} --namespace {kubectl.access.namespace}",
        anchor="api-version-gone",
        details=[f"{kind} in `{version}`" for version, kind in dead],
    )


def _selectors(manifests: Iterable[Manifest], kind: str) -> tuple[str, ...]:
    found = [workloads.workload(obj.body).selector for each in manifests for obj in each.of_kind(kind)]
    return tuple(dict.fromkeys(selector for selector in found if selector))


def _namespace_stays(
    kubectl: "Kubectl",
    namespace: Mapping[str, Any],
    removal: Removal,
    agents: Sequence[Leftover],
    own: Sequence[Leftover],
    wanted: bool,
    delete_secrets: bool,
) -> str:
    """Why the namespace must stay; empty where it may go, or is going already."""
    if removal.terminating:
        return ""
    if not leftovers.made_by_ddhelm(namespace):
        return NOT_OURS
    if not wanted:
        return "made by ddhelm"
    held = [each for each in own if each.kind == "secret"]
    if held and not delete_secrets:
        return f"it holds {held[0]}"
    return crowded(leftovers.strangers(kubectl, removal.namespace, removal.pair, agents))


def crowded(others: Sequence[str]) -> str:
    """Why a namespace with objects of others stays; empty where there are none."""
    if not others:
        return ""
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return f"{_CROWDED}: {', '.join(others[:3])}{more}"


def _kept(
    kubectl: "Kubectl",
    removal: Removal,
    records: Mapping[str, Record],
    manifests: Mapping[str, Manifest],
    own: Sequence[Leftover],
    agents: Sequence[Leftover],
    why_namespace: str,
) -> tuple[Kept, ...]:
    stays = [] if removal.secrets else [Kept(str(each), each.why, "ddhelm uninstall --delete-secrets") for each in own]
    if not removal.delete_namespace:
        stays += [Kept(str(each), each.why, each.command) for each in agents]
        ours = {each.name for each in own if each.kind == "secret"}
        stays += [
            Kept(f"secret `{name}`", "holds keys and was not made by ddhelm")
            for name in _foreign(records)
            if name not in ours
        ]
        stays.append(namespace_kept(removal.namespace, why_namespace))
    deleted = {crd for going in removal.releases for crd in going.crds}
    declared = {obj.ref.name for each in manifests.values() for obj in each.of_kind("CustomResourceDefinition")}
    for name in leftovers.crds(kubectl):
        if name not in deleted:
            why = "kept by its resource policy" if name in declared else "in Datadog's API group, not of these releases"
            stays.append(Kept(f"crd `{name}`", why, typed("kubectl delete crd {name}", name=name)))
    return tuple(stays)


def _foreign(records: Mapping[str, Record]) -> tuple[str, ...]:
    """Secrets with keys that the stored settings name and ddhelm does not manage."""
    names: dict[str, None] = {}
    for each in records.values():
        kept: Any = each.config.get(RECORD_KEY)
        settings = (kept.get("settings") or {}) if isinstance(kept, dict) else {}
        for key in ("api_key_secret", "app_key_secret"):
            name = (settings.get(key) or {}).get("name")
            if name and name != SECRET:
                names[str(name)] = None
        if settings.get("etcd_secret"):
            names[str(settings["etcd_secret"])] = None
    return tuple(names)


def namespace_kept(name: str, why: str) -> Kept:
    """A namespace that stays; a command only where it takes nothing of others with it."""
    ours = why != NOT_OURS and not why.startswith(_CROWDED)
    return Kept(f"namespace `{name}`", why, "ddhelm uninstall --delete-secrets --delete-namespace" if ours else "")
