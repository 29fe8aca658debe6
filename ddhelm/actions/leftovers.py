"""What outlives ``helm uninstall``: objects that agents, users or ddhelm made beside the releases.

Measured (chart 3.240.0, Helm 3.22 and 4.3): what is not in the manifest stays. A webhook configuration whose Service
is gone blocks the creation of every pod where its ``failurePolicy`` is ``Fail``; an APIService without its Service
makes ``kubectl delete namespace`` hang.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from msgspec import Struct

from ddhelm import resources
from ddhelm.actions.look import Reads
from ddhelm.manifest import Manifest, Object
from ddhelm.pasting import typed
from ddhelm.release import CREATED_BY_LABEL, HISTORY, LEASE, MANAGED_BY, OURS, SECRET, Release, owned
from ddhelm.steps import kept
from ddhelm.workloads import is_agent

if TYPE_CHECKING:
    from ddhelm.kubectl import Answer

GROUP = "datadoghq.com"

_WEBHOOKS = {
    "mutatingwebhookconfiguration.admissionregistration.k8s.io": "mutatingwebhookconfigurations",
    "validatingwebhookconfiguration.admissionregistration.k8s.io": "validatingwebhookconfigurations",
}
_ADMISSION = "/apis/admissionregistration.k8s.io/v1/"
_API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
_LEASE = "lease.coordination.k8s.io"
_LOCK = "the lock of ddhelm's runs"
_RUNS = "written by ddhelm: history"
_PLURALS = {"configmap": "configmaps", "secret": "secrets", _LEASE: "leases"}
# Made by Kubernetes or OpenShift in every namespace, or by controllers for somebody else's objects.
_NOBODYS = frozenset(
    {
        ("ServiceAccount", "default"),
        ("ServiceAccount", "builder"),
        ("ServiceAccount", "deployer"),
        ("ConfigMap", "kube-root-ca.crt"),
        ("ConfigMap", "openshift-service-ca.crt"),
    }
)
# What can stand in a namespace without belonging to something else there. Left out: what controllers make for other
# objects (ReplicaSets, ControllerRevisions, EndpointSlices) and events. A table, because asking for each group costs
# a process each.
_KUBERNETES = {
    "/api/v1": {
        "configmaps": "ConfigMap",
        "limitranges": "LimitRange",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "pods": "Pod",
        "replicationcontrollers": "ReplicationController",
        "resourcequotas": "ResourceQuota",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "/apis/apps/v1": {"daemonsets": "DaemonSet", "deployments": "Deployment", "statefulsets": "StatefulSet"},
    "/apis/autoscaling/v1": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "/apis/batch/v1": {"cronjobs": "CronJob", "jobs": "Job"},
    "/apis/coordination.k8s.io/v1": {"leases": "Lease"},
    "/apis/networking.k8s.io/v1": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    "/apis/policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "/apis/rbac.authorization.k8s.io/v1": {"rolebindings": "RoleBinding", "roles": "Role"},
}
_KUBERNETES_GROUPS = frozenset(
    {
        *(root.split("/")[2] for root in _KUBERNETES if root != "/api/v1"),
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "metrics.k8s.io",
        "node.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)
_LISTED = 200


class Leftover(Struct, frozen=True):
    """An object outside of the releases; ``kind`` as on kubectl's command line, ``namespace`` empty: cluster-scoped."""

    kind: str
    name: str
    namespace: str = ""
    why: str = ""

    @property
    def command(self) -> str:
        """What removes it by hand."""
        scope = f"-n {self.namespace} " if self.namespace else ""
        return typed(f"kubectl {scope}delete {{kind}} {{name}}", kind=self.kind, name=self.name)

    def __str__(self) -> str:
        return f"{self.kind.partition('.')[0]} `{self.name}`"


def services(releases: Sequence[Release], manifests: Iterable[Manifest] = ()) -> frozenset[str]:
    """Names of the releases' Services: what a webhook or APIService of ours points to.

    Those in their manifests, which the user's values may have named, and those that the chart gives the Cluster Agent's
    where it is left alone, for what outlived the manifests.
    """
    parts = ("", "-admission-controller", "-metrics-api")
    usual = {f"{release.cluster_agent}{part}" for release in releases for part in parts}
    return frozenset({*usual, *(obj.ref.name for each in manifests for obj in each.of_kind("Service"))})


def fullnames(releases: Sequence[Release], manifests: Iterable[Manifest] = ()) -> tuple[str, ...]:
    """What the chart calls the releases' objects by: the names of their node agents, and those that it would choose."""
    made = [obj.ref.name for each in manifests for obj in each.of_kind("DaemonSet") if is_agent(obj.body)]
    return tuple(dict.fromkeys([*(release.fullname for release in releases), *made]))


class Unlisted(Struct, frozen=True):
    """Where something of ours may be that could not be looked at: the resource as the API calls it, and why not."""

    plural: str
    why: str

    @property
    def command(self) -> str:
        """What shows it to somebody who may look."""
        return f"kubectl get {self.plural}"


def hooks(
    kubectl: Reads, namespace: str, services: frozenset[str]
) -> tuple[tuple[Leftover, ...], tuple[Unlisted, ...]]:
    """Webhook configurations and APIServices whose Service is one of ours; and what could not be looked at.

    A configuration that also calls other Services is left alone.
    """
    paths = [*(_ADMISSION + plural for plural in _WEBHOOKS.values()), _API_SERVICES]
    *answers, api = kubectl.raws(paths)
    found = []
    for kind, answer in zip(_WEBHOOKS, answers, strict=True):
        for item in _items(answer):
            called = [(hook.get("clientConfig") or {}).get("service") or {} for hook in item.get("webhooks") or ()]
            if called and all(_is_ours(each, namespace, services) for each in called):
                found.append(Leftover(kind, _name(item), why="its Service goes with the release"))
    for item in _items(api):
        if _is_ours((item.get("spec") or {}).get("service") or {}, namespace, services):
            kind = "apiservice.apiregistration.k8s.io"
            found.append(Leftover(kind, _name(item), why="its Service goes with the release"))
    asked = zip((*_WEBHOOKS.values(), "apiservices"), (*answers, api), strict=True)
    return tuple(found), tuple(Unlisted(plural, each.failure.message) for plural, each in asked if each.failure)


def of_agents(kubectl: Reads, namespace: str, fullnames: Sequence[str]) -> tuple[Leftover, ...]:
    """What running agents left in the namespace: leader election, event tokens, cluster id, webhook certificate."""
    names = [f"{each}-leader-election" for each in fullnames]
    candidates = [
        *(Leftover("configmap", name, namespace, "leader election of the agents") for name in names),
        *(Leftover(_LEASE, name, namespace, "leader election of the agents") for name in names),
        Leftover("configmap", "datadog-leader-election", namespace, "leader election of the agents"),
        Leftover(_LEASE, "datadog-leader-election", namespace, "leader election of the agents"),
        *(
            Leftover("configmap", name, namespace, "how far events were read")
            for name in ("datadogtoken", *(f"{each}token" for each in fullnames))
        ),
        Leftover("configmap", "datadog-cluster-id", namespace, "the cluster's identity in Datadog"),
        Leftover("secret", "webhook-certificate", namespace, "certificate of the admission webhook"),
    ]
    return _existing(kubectl, candidates)


def of_ddhelm(kubectl: Reads, namespace: str) -> tuple[Leftover, ...]:
    """What ddhelm itself made beside the releases, found by its label: Secrets, history, Lease."""
    words = {
        "secret": "written by ddhelm: keys, token or certificates",
        "configmap": _RUNS,
        _LEASE: _LOCK,
    }
    selector = f"?labelSelector={MANAGED_BY.replace('/', '%2F')}%3D{OURS}"
    answers = kubectl.raws([_collection(kind, namespace) + selector for kind in words])
    found = [
        Leftover(kind, _name(item), namespace, why)
        for (kind, why), answer in zip(words.items(), answers, strict=True)
        for item in _items(answer)
    ]
    named = {(each.kind, each.name) for each in found}
    fixed = [
        Leftover(kind, name, namespace, words[kind])
        for kind, name in (("secret", SECRET), (_LEASE, LEASE))
        if (kind, name) not in named
    ]
    return (*found, *_existing(kubectl, fixed))


def lock(namespace: str) -> Leftover:
    """The Lease that every run that writes takes, and leaves without a holder."""
    return Leftover(_LEASE, LEASE, namespace, _LOCK)


def history(namespace: str) -> Leftover:
    """The ConfigMap in which every run that writes is recorded."""
    return Leftover("configmap", HISTORY, namespace, _RUNS)


def crds(kubectl: Reads) -> tuple[str, ...]:
    """Names of the CRDs in Datadog's API group, from discovery (the CRDs themselves are 100 KB each)."""
    (group,) = kubectl.raws([f"/apis/{GROUP}"])
    versions = [each["groupVersion"] for each in (group.tree().get("versions") or ()) if group.found]
    answers = kubectl.raws([f"/apis/{version}" for version in versions]) if versions else ()
    plurals = {resource.plural for answer in answers for resource in resources.read(answer.tree())}
    return tuple(sorted(f"{plural}.{GROUP}" for plural in plurals))


def deleted_crds(manifest: Manifest) -> tuple[Object, ...]:
    """The CRDs that an uninstall deletes: it goes by what the stored manifest says (Helm 3.13 to 4.3)."""
    return tuple(obj for obj in manifest.of_kind("CustomResourceDefinition") if not kept(obj))


def holding(kubectl: Reads, manifest: Manifest) -> tuple[str, ...]:
    """Those of them of which objects exist, with their number, or of which nobody can say that none do."""
    specs = [crd.body.get("spec") or {} for crd in deleted_crds(manifest)]
    paths = [
        f"/apis/{spec['group']}/{next((v['name'] for v in spec['versions'] if v.get('served')), '')}"
        f"/{spec['names']['plural']}?limit=1"
        for spec in specs
    ]
    found = []
    for spec, answer in zip(specs, kubectl.raws(paths) if paths else (), strict=True):
        name = f"CRD `{spec['names']['plural']}.{spec['group']}`"
        if answer.failure is not None:
            found.append(f"{name} may hold objects: {answer.failure.message}")
        page = answer.tree() if answer.found else {}
        count = len(page.get("items") or ()) + int((page.get("metadata") or {}).get("remainingItemCount") or 0)
        if count:
            found.append(f"{name} holds {count} object{'' if count == 1 else 's'}")
    return tuple(found)


def made_by_ddhelm(namespace: Mapping[str, Any] | None) -> bool:
    """Whether a Namespace object carries the label that ddhelm gives those that it makes."""
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return labels.get(CREATED_BY_LABEL) == OURS


def strangers(
    kubectl: Reads, namespace: str, releases: Sequence[Release], known: Iterable[Leftover]
) -> tuple[str, ...]:
    """Everything in a namespace that is neither of the releases, nor known, nor made by Kubernetes itself.

    Asks for every kind that the server can list: deleting a namespace takes whatever is in it. What cannot be listed
    counts as a stranger.
    """
    paths, unread = _listable(kubectl, namespace)
    expected = {(each.kind.partition(".")[0], each.name) for each in known}
    ours = {release.name for release in releases}
    found = []
    while paths:
        further = {}
        for (path, kind), answer in zip(paths.items(), kubectl.raws(list(paths)), strict=True):
            if answer.failure is not None:
                unread.append(f"{kind} objects, which could not be listed ({path.partition('?')[0]})")
            for item in _items(answer):
                if not _accounted_for(item, kind, ours, namespace, expected):
                    found.append(f"{kind} `{_name(item)}`")
            page = answer.tree().get("metadata") or {} if answer.found else {}
            if token := page.get("continue"):
                further[f"{path.partition('&')[0]}&continue={quote(token, safe='')}"] = kind
        paths = further
    return (*found, *unread)


def _listable(kubectl: Reads, namespace: str) -> tuple[dict[str, str], list[str]]:
    """Path to kind of every namespaced collection: Kubernetes' own from a table, others as the server names them."""
    paths = {
        f"{root}/namespaces/{namespace}/{plural}?limit={_LISTED}": kind
        for root, kinds in _KUBERNETES.items()
        for plural, kind in kinds.items()
    }
    unread = []
    (groups,) = kubectl.raws(["/apis"])
    foreign = [each for each in groups.tree().get("groups") or () if each["name"] not in _KUBERNETES_GROUPS]
    roots = [f"/apis/{each['preferredVersion']['groupVersion']}" for each in foreign]
    for root, answer in zip(roots, kubectl.raws(roots) if roots else (), strict=True):
        if answer.failure is not None:
            unread.append(f"objects of `{root.removeprefix('/apis/')}`, which could not be listed")
        for resource in resources.read(answer.tree()):
            if resource.namespaced and resource.listable:
                paths[f"{root}/namespaces/{namespace}/{resource.plural}?limit={_LISTED}"] = resource.kind
    return paths, unread


def _accounted_for(
    item: Mapping[str, Any], kind: str, ours: set[str], namespace: str, expected: set[tuple[str, str]]
) -> bool:
    metadata: Mapping[str, Any] = item.get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    name = str(metadata.get("name"))
    return (
        bool(metadata.get("ownerReferences"))
        or (kind, name) in _NOBODYS
        or (kind.lower(), name) in expected
        or labels.get(MANAGED_BY) == OURS
        or (kind == "Secret" and labels.get("owner") == "helm" and labels.get("name") in ours)
        or (kind == "RoleBinding" and name.startswith("system:"))
        or (kind == "Secret" and "kubernetes.io/service-account.name" in annotations)
        or any(owned(metadata, each, namespace) for each in ours)
    )


def _existing(kubectl: Reads, candidates: Sequence[Leftover]) -> tuple[Leftover, ...]:
    paths = [f"{_collection(each.kind, each.namespace)}/{each.name}" for each in candidates]
    answers = kubectl.raws(paths) if paths else ()
    return tuple(each for each, answer in zip(candidates, answers, strict=True) if answer.found)


def _collection(kind: str, namespace: str) -> str:
    root = "/apis/coordination.k8s.io/v1" if kind.startswith("lease.") else "/api/v1"
    return f"{root}/namespaces/{namespace}/{_PLURALS[kind]}"


def _is_ours(service: Mapping[str, Any], namespace: str, services: frozenset[str]) -> bool:
    return service.get("namespace") == namespace and service.get("name") in services


def _items(answer: "Answer") -> Sequence[Mapping[str, Any]]:
    return answer.tree().get("items") or () if answer.found else ()


def _name(item: Mapping[str, Any]) -> str:
    return str((item.get("metadata") or {}).get("name"))
