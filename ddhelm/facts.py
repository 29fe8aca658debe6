"""What was read from the cluster: nodes, versions, static pods, and what could not be read.

Parsing is apart from reading, so that recorded answers are as good as a cluster. A read that failed becomes an
``Unread``, never a default: what to use instead (what the release remembers, what a distribution documents) is decided
later and said.

5,000 nodes are 21 MB of JSON: they are decoded one by one and only what is used is kept.
"""

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from ddhelm import masking
from ddhelm.errors import ClusterError
from ddhelm.staticpods import StaticPod
from ddhelm.staticpods import parse as parse_static_pod
from ddhelm.tree import Tree

_PODS = "/api/v1/namespaces/kube-system/pods?resourceVersion=0&labelSelector="
_COMPONENTS = "kube-apiserver,kube-scheduler,kube-controller-manager,etcd"
_ETCD_MANAGERS = "etcd-manager-main,etcd-manager-events,etcd-manager-leases,etcd-manager-cilium"

#: Name of a read → path for ``kubectl get --raw``. Label selectors keep the pods of a large cluster out of the answer:
#: kubeadm, RKE2 and Anthos label their static pods ``component``, kOps and Talos ``k8s-app``.
READS: Mapping[str, str] = MappingProxyType(
    {
        "version": "/version",
        "groups": "/apis",
        "kube-system": "/api/v1/namespaces/kube-system",
        "nodes": "/api/v1/nodes?resourceVersion=0",
        "static-pods": f"{_PODS}component%20in%20({_COMPONENTS})",
        "static-pods-by-app": f"{_PODS}k8s-app%20in%20({_COMPONENTS},{_ETCD_MANAGERS})",
        "kubeadm-config": "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
    }
)

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "version": "the Kubernetes version",
        "groups": "the API groups",
        "kube-system": "the namespace kube-system",
        "nodes": "the nodes",
        "static-pods": "the static pods in kube-system",
        "static-pods-by-app": "the static pods in kube-system (k8s-app)",
        "kubeadm-config": "the ConfigMap kube-system/kubeadm-config",
    }
)

_ANNOTATION_LIMIT = 256
_MASKER = masking.Masker(b"facts")
_NOT_FOUND = re.compile(r"(?i)\bnot ?found\b|\b404\b")


class Failure(Struct, frozen=True):
    """A read that failed, in kubectl's words."""

    text: str

    @property
    def not_found(self) -> bool:
        """Whether the API said that there is no such thing, which is an answer, not a failure to read."""
        return bool(_NOT_FOUND.search(self.text))


class Answers:
    """Raw documents by the names of ``READS``. ``take`` gives each away once, so that big ones are freed early."""

    def __init__(self, documents: Mapping[str, str | bytes | Failure]) -> None:
        self._documents = dict(documents)

    def take(self, name: str) -> str | Failure:
        """The document as text, or why there is none."""
        document = self._documents.pop(name, None)
        if document is None:
            return Failure("it was not asked for")
        return document.decode(errors="replace") if isinstance(document, bytes) else document


class Unread(Struct, frozen=True):
    """Something that could not be read: its name in ``READS``, in words, and why."""

    name: str
    what: str
    why: str


class Taint(Struct, frozen=True):
    """A taint of a node."""

    key: str
    value: str
    effect: str


class Node(Struct, frozen=True):
    """A node, reduced to what decides distribution, role and coverage.

    ``annotations`` keeps every key; secrets in the values are masked, the rest is cut at 256 characters. ``address`` is
    the first InternalIP, which is what a pod sees as ``status.hostIP``.
    """

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    provider_id: str = ""
    os_image: str = ""
    container_runtime: str = ""
    kubelet_version: str = ""
    architecture: str = ""
    operating_system: str = ""
    ready: bool = True
    address: str = ""


class ClusterFacts(Struct, frozen=True):
    """Everything that was read. ``api_groups`` holds group versions (``v1``, ``apps/v1``)."""

    uid: str | None
    server_version: str | None
    api_groups: frozenset[str]
    nodes: tuple[Node, ...]
    static_pods: tuple[StaticPod, ...]
    kubeadm_config: Tree | None
    unread: tuple[Unread, ...] = ()

    def has(self, name: str) -> bool:
        """Whether the read of that name succeeded ("there is none" is a success)."""
        return all(unread.name != name for unread in self.unread)

    @property
    def version(self) -> tuple[int, int, int]:
        """The server's version as numbers, (0, 0, 0) where it could not be read."""
        return version_of(self.server_version or "")


def version_of(text: str) -> tuple[int, int, int]:
    """`v1.29.4+rke2r1` → (1, 29, 4); (0, 0, 0) for text that is no version."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


def parse(answers: Answers) -> ClusterFacts:
    """The facts in raw answers of the API.

    A failed read is listed in ``unread``; raises ClusterError for a body that is not the JSON it should be.
    """
    unread: list[Unread] = []

    def take(name: str) -> str | None:
        document = answers.take(name)
        if isinstance(document, str):
            return document
        if not (name == "kubeadm-config" and document.not_found):
            unread.append(Unread(name, WORDS[name], document.text))
        return None

    nodes = _nodes(take("nodes"))
    version = _object("version", take("version"))
    namespace = _object("kube-system", take("kube-system"))
    pods = [
        pod
        for name in ("static-pods", "static-pods-by-app")
        for item in _items(name, take(name))
        if (pod := parse_static_pod(item)) is not None
    ]
    return ClusterFacts(
        uid=_text(_mapping(namespace.get("metadata")).get("uid")) or None,
        server_version=_text(version.get("gitVersion")) or None,
        api_groups=_groups(_object("groups", take("groups"))),
        nodes=nodes,
        # A pod that carries both labels is in both answers.
        static_pods=tuple(sorted({(p.node, p.component, p.name): p for p in pods}.values(), key=_pod_order)),
        kubeadm_config=_cluster_configuration(_object("kubeadm-config", take("kubeadm-config"))),
        unread=tuple(unread),
    )


def to_json(facts: ClusterFacts) -> Tree:
    """The facts as a JSON tree, from which ``from_json`` makes equal facts."""
    return {
        "uid": facts.uid,
        "serverVersion": facts.server_version,
        "apiGroups": sorted(facts.api_groups),
        "nodes": [
            {**_plain(node), "taints": [_plain(taint) for taint in node.taints], "labels": dict(node.labels)}
            for node in facts.nodes
        ],
        "staticPods": [
            {**_plain(pod), "args": list(pod.args), "mounts": [list(mount) for mount in pod.mounts]}
            for pod in facts.static_pods
        ],
        "kubeadmConfig": facts.kubeadm_config,
        "unread": [_plain(unread) for unread in facts.unread],
    }


def from_json(tree: Mapping[str, Any]) -> ClusterFacts:
    """The facts that ``to_json`` wrote down."""
    return ClusterFacts(
        uid=tree["uid"],
        server_version=tree["serverVersion"],
        api_groups=frozenset(tree["apiGroups"]),
        nodes=tuple(
            Node(**{**node, "taints": tuple(Taint(**taint) for taint in node["taints"])}) for node in tree["nodes"]
        ),
        static_pods=tuple(
            StaticPod(**{**pod, "args": tuple(pod["args"]), "mounts": tuple((a, b) for a, b in pod["mounts"])})
            for pod in tree["staticPods"]
        ),
        kubeadm_config=tree["kubeadmConfig"],
        unread=tuple(Unread(**unread) for unread in tree["unread"]),
    )


def _plain(value: Node | Taint | StaticPod | Unread) -> Tree:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _pod_order(pod: StaticPod) -> tuple[str, str, str]:
    return pod.component, pod.node, pod.name


def _nodes(document: str | None) -> tuple[Node, ...]:
    pool: dict[str, str] = {}
    taints: dict[Taint, Taint] = {}
    found = [_node(item, pool, taints) for item in _items("nodes", document)]
    found.sort(key=lambda node: node.name)
    return tuple(found)


def _node(item: Tree, pool: dict[str, str], known: dict[Taint, Taint]) -> Node:
    """One node. Of 5,000 nodes most strings are the same few: ``pool`` keeps one copy of each."""
    metadata, spec, status = (_mapping(item.get(part)) for part in ("metadata", "spec", "status"))
    info = _mapping(status.get("nodeInfo"))

    def one(value: object) -> str:
        text = _text(value)
        return pool.setdefault(text, text)

    def taint(entry: Mapping[str, Any]) -> Taint:
        made = Taint(one(entry.get("key")), one(entry.get("value")), one(entry.get("effect")))
        return known.setdefault(made, made)

    return Node(
        name=_text(metadata.get("name")),
        labels={one(key): one(value) for key, value in _mapping(metadata.get("labels")).items()},
        annotations={
            one(key): one(_annotation(key, _text(value)))
            for key, value in _mapping(metadata.get("annotations")).items()
        },
        taints=tuple(taint(_mapping(entry)) for entry in _list(spec.get("taints"))),
        unschedulable=spec.get("unschedulable") is True,
        provider_id=_text(spec.get("providerID")),
        os_image=one(info.get("osImage")),
        container_runtime=one(info.get("containerRuntimeVersion")),
        kubelet_version=one(info.get("kubeletVersion")),
        architecture=one(info.get("architecture")),
        operating_system=one(info.get("operatingSystem")),
        ready=any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in map(_mapping, _list(status.get("conditions")))
        ),
        address=next(
            (
                _text(a.get("address"))
                for a in map(_mapping, _list(status.get("addresses")))
                if a.get("type") == "InternalIP"
            ),
            "",
        ),
    )


def _annotation(key: str, value: str) -> str:
    """What is kept of an annotation: masked before it is cut, since half a secret has no shape; the same in every run,
    so that facts can be compared.
    """
    shown: str = masking.constant(_MASKER.keyed(key, value))
    return shown[:_ANNOTATION_LIMIT]


def _items(name: str, document: str | None) -> Iterator[Tree]:
    """The items of a list document, decoded one at a time: the whole of 5,000 nodes would take 130 MiB as dicts."""
    if document is None:
        return
    start = re.search(r'"items"\s*:\s*(\[|null)', document)
    if start is None:
        raise _unreadable(name, "it holds no list of items")
    if start[1] == "null":
        return
    decoder = json.JSONDecoder()
    index = start.end()
    try:
        while True:
            while document[index] in ", \t\r\n":
                index += 1
            if document[index] == "]":
                return
            item, index = decoder.raw_decode(document, index)
            if isinstance(item, dict):
                yield item
    except (ValueError, IndexError) as error:
        raise _unreadable(name, f"{error}" if isinstance(error, ValueError) else "it ends too early") from None


def _object(name: str, document: str | None) -> Mapping[str, Any]:
    if document is None:
        return {}
    try:
        return _mapping(json.loads(document))
    except ValueError as error:
        raise _unreadable(name, str(error)) from None


def _unreadable(name: str, why: str) -> ClusterError:
    return ClusterError(
        f"the API's answer to `{READS[name]}` is not what it should be: {why}",
        hint=f"kubectl get --raw '{READS[name]}' | head -c 400",
        anchor="unreadable-answer",
    )


def _groups(document: Mapping[str, Any]) -> frozenset[str]:
    if not document:
        return frozenset()
    found = {
        _text(_mapping(version).get("groupVersion"))
        for group in _list(document.get("groups"))
        for version in _list(_mapping(group).get("versions"))
    }
    return frozenset(found - {""}) | {"v1"}  # /apis leaves out the core group


def _cluster_configuration(config_map: Mapping[str, Any]) -> Tree | None:
    text = _mapping(config_map.get("data")).get("ClusterConfiguration")
    if not config_map:
        return None
    if not isinstance(text, str):
        return {}
    import yaml  # here, because only a kubeadm cluster pays for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        tree = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, in C where there is one
    except yaml.YAMLError:
        return {}
    # dates and such become text: the tree must survive JSON
    return json.loads(json.dumps(tree, default=str)) if isinstance(tree, dict) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return "" if value is None else str(value)
