"""What was read from the cluster: nodes, versions, static pods, and what could not be read.

Parsing is apart from reading, so that recorded answers are as good as a cluster. A read that failed becomes an
``Unread``, never a default: what to use instead (what the release remembers, what a distribution documents) is decided
later and said.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct, convert, json

from ddhelm import nodes
from ddhelm.errors import ClusterError
from ddhelm.nodes import Node, Taint
from ddhelm.reads import READS, WORDS
from ddhelm.staticpods import StaticPod
from ddhelm.staticpods import parse as parse_static_pod
from ddhelm.tree import Tree

_Item = TypeVar("_Item")
_NOT_FOUND = re.compile(r"(?i)\bnot ?found\b|\b404\b")


class Failure(Struct, frozen=True):
    """A read that failed, in kubectl's words."""

    text: str

    @property
    def not_found(self) -> bool:
        """Whether the API said that there is no such thing, which is an answer, not a failure to read."""
        return bool(_NOT_FOUND.search(self.text))


class Answers:
    """Raw documents by the names of ``READS``. ``take`` gives each away once, so that big ones are freed early.

    ``nodes`` are those that ``nodes_of`` made while they arrived; their document is not looked at then.
    """

    def __init__(
        self, documents: Mapping[str, str | bytes | Failure], *, nodes: "tuple[Node, ...] | None" = None
    ) -> None:
        self._documents = dict(documents)
        self.nodes = nodes

    def take(self, name: str) -> str | bytes | Failure:
        """The document, or why there is none."""
        return self._documents.pop(name, Failure("it was not asked for"))


class Unread(Struct, frozen=True):
    """Something that could not be read: its name in ``READS``, in words, and why."""

    name: str
    what: str
    why: str


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

    def take(name: str) -> str | bytes | None:
        document = answers.take(name)
        if not isinstance(document, Failure):
            return document
        if not (name == "kubeadm-config" and document.not_found):
            unread.append(Unread(name, WORDS[name], document.text))
        return None

    found = _nodes(take("nodes")) if answers.nodes is None else answers.nodes
    version = _object("version", take("version"))
    namespace = _object("kube-system", take("kube-system"))
    pods = [
        pod
        for name in ("static-pods", "static-pods-by-app")
        for item in _items(name, take(name), _PODS)
        if (pod := parse_static_pod(item)) is not None
    ]
    return ClusterFacts(
        uid=_text(_mapping(namespace.get("metadata")).get("uid")) or None,
        server_version=_text(version.get("gitVersion")) or None,
        api_groups=_groups(_object("groups", take("groups"))),
        nodes=found,
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
    """The facts that ``to_json`` wrote down; ValueError, KeyError or TypeError for anything else."""
    return ClusterFacts(
        uid=convert(tree["uid"], str | None),
        server_version=convert(tree["serverVersion"], str | None),
        api_groups=convert(tree["apiGroups"], frozenset[str]),
        nodes=convert(tree["nodes"], tuple[Node, ...]),
        static_pods=convert(tree["staticPods"], tuple[StaticPod, ...]),
        kubeadm_config=convert(tree["kubeadmConfig"], dict[str, Any] | None),
        unread=convert(tree["unread"], tuple[Unread, ...]),
    )


def _plain(value: Node | Taint | StaticPod | Unread) -> Tree:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _pod_order(pod: StaticPod) -> tuple[str, str, str]:
    return pod.component, pod.node, pod.name


class _ListOf(Struct, Generic[_Item], frozen=True):
    """A list of the API; ``null`` is how Go writes one of nothing."""

    items: list[_Item] | None


_NODES = json.Decoder(_ListOf[nodes.Read])
_PODS = json.Decoder(_ListOf[Tree])


def _nodes(document: str | bytes | None) -> tuple[Node, ...]:
    """The nodes by name."""
    found = nodes.Nodes()
    found.add(_items("nodes", document, _NODES))
    return found.by_name()


def _items(name: str, document: str | bytes | None, decoder: json.Decoder[_ListOf[_Item]]) -> Sequence[_Item]:
    if document is None:
        return ()
    try:
        return decoder.decode(document).items or ()
    except ValueError as error:
        raise _unreadable(name, str(error)) from None


def _object(name: str, document: str | bytes | None) -> Mapping[str, Any]:
    if document is None:
        return {}
    try:
        return _mapping(json.decode(document))
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
    from ddhelm import goyaml  # here, because only a kubeadm cluster pays for it

    try:
        tree = goyaml.load(text, [])
    except goyaml.YamlError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return "" if value is None else str(value)
