"""What was read from the cluster: nodes, versions, static pods, and what could not be read.

Parsing is apart from reading, so that recorded answers are as good as a cluster. A read that failed becomes an
``Unread``, never a default: what to use instead (what the release remembers, what a distribution documents) is decided
later and said.

5,000 nodes are 21 MB of JSON: what is not used of them is skipped, never held.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct, convert, json

from ddhelm import masking
from ddhelm.errors import ClusterError
from ddhelm.reads import READS, WORDS
from ddhelm.staticpods import StaticPod
from ddhelm.staticpods import parse as parse_static_pod
from ddhelm.tree import Tree

_ANNOTATION_LIMIT = 256
_MASKER = masking.Masker(b"facts")
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


class Taint(Struct, frozen=True):
    """A taint of a node."""

    key: str
    value: str = ""
    effect: str = ""


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

    def take(name: str) -> str | bytes | None:
        document = answers.take(name)
        if not isinstance(document, Failure):
            return document
        if not (name == "kubeadm-config" and document.not_found):
            unread.append(Unread(name, WORDS[name], document.text))
        return None

    nodes = _nodes(take("nodes")) if answers.nodes is None else answers.nodes
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


class _Condition(Struct, frozen=True):
    type: str = ""
    status: str = ""


class _Address(Struct, frozen=True):
    type: str = ""
    address: str = ""


class _Metadata(Struct, frozen=True):
    name: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Spec(Struct, frozen=True, rename={"provider_id": "providerID"}):
    taints: list[Taint] | None = None
    unschedulable: bool | None = None
    provider_id: str = ""


class _NodeInfo(Struct, frozen=True, rename="camel"):
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""
    architecture: str = ""
    operating_system: str = ""


class _Status(Struct, frozen=True, rename="camel"):
    conditions: list[_Condition] | None = None
    addresses: list[_Address] | None = None
    node_info: _NodeInfo = _NodeInfo()


class _NodeAnswer(Struct, frozen=True):
    """What is looked at of a Node (``v1``) of the API; the rest of its JSON is skipped and never held."""

    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()
    status: _Status = _Status()


class _ListOf(Struct, Generic[_Item], frozen=True):
    """A list of the API; ``null`` is how Go writes one of nothing."""

    items: list[_Item] | None


_NODES = json.Decoder(_ListOf[_NodeAnswer])
_SOME_NODES = json.Decoder(list[_NodeAnswer])
_PODS = json.Decoder(_ListOf[Tree])


_AT_ONCE = 256 * 1024
_FIRST = b'"items":['
# a quote within a text is escaped, so no text holds this; within a node it would leave JSON that nothing can read
_BETWEEN = b'},{"metadata":{"name":'


def nodes_of(pieces: Iterable[bytes]) -> tuple[Node, ...]:
    """The nodes by name of a NodeList that arrives in pieces, as the API server writes one: read while it does.

    ValueError for any other text, also for JSON that another program wrote.
    """
    nodes, held, begun = _Nodes(), b"", False
    for piece in pieces:
        held += piece
        if len(held) < _AT_ONCE:
            continue
        if not begun:
            held, begun = _behind_the_head(held), True
        if (end := held.rfind(_BETWEEN) + 1) > 0:
            nodes.add(_SOME_NODES.decode(b"[%b]" % held[:end]))
            held = held[end + 1 :]
    held = (held if begun else _behind_the_head(held)).rstrip()
    if not held.endswith(b"]}"):
        raise ValueError("no list of nodes as the API server writes it")
    nodes.add(_SOME_NODES.decode(b"[%b" % held[:-1]))
    return nodes.by_name()


def _behind_the_head(text: bytes) -> bytes:
    head, found, rest = text.partition(_FIRST)
    if not found or not head.startswith(b'{"kind":"NodeList",'):
        raise ValueError("no list of nodes as the API server writes it")
    return rest


def _nodes(document: str | bytes | None) -> tuple[Node, ...]:
    """The nodes by name."""
    nodes = _Nodes()
    nodes.add(_items("nodes", document, _NODES))
    return nodes.by_name()


class _Nodes:
    """Of 5,000 nodes most strings are the same few: one copy of each is kept, masked once."""

    def __init__(self) -> None:
        self._found: list[Node] = []
        self._keep = dict[str, str]().setdefault  # called some hundred thousand times
        self._shown: dict[tuple[str, str], str] = {}

    def add(self, answers: Iterable[_NodeAnswer]) -> None:
        """Take these in."""
        self._found += map(self._node, answers)

    def by_name(self) -> tuple[Node, ...]:
        """All of them."""
        return tuple(sorted(self._found, key=lambda each: each.name))

    def _node(self, read: _NodeAnswer) -> Node:
        info, one, keep = read.status.node_info, self._one, self._keep
        return Node(
            name=read.metadata.name,
            labels={keep(k, k): keep(v, v) for k, v in (read.metadata.labels or {}).items()},
            annotations={
                keep(key, key): self._annotation(key, value) for key, value in (read.metadata.annotations or {}).items()
            },
            taints=tuple(Taint(one(t.key), one(t.value), one(t.effect)) for t in read.spec.taints or ()),
            unschedulable=bool(read.spec.unschedulable),
            provider_id=read.spec.provider_id,
            os_image=one(info.os_image),
            container_runtime=one(info.container_runtime_version),
            kubelet_version=one(info.kubelet_version),
            architecture=one(info.architecture),
            operating_system=one(info.operating_system),
            ready=any(each.type == "Ready" and each.status == "True" for each in read.status.conditions or ()),
            address=next((each.address for each in read.status.addresses or () if each.type == "InternalIP"), ""),
        )

    def _one(self, text: str) -> str:
        return self._keep(text, text)

    def _annotation(self, key: str, value: str) -> str:
        if (known := self._shown.get((key, value))) is None:
            known = self._shown[key, value] = self._one(_annotation(key, value))
        return known


def _annotation(key: str, value: str) -> str:
    """What is kept of an annotation: masked before it is cut, since half a secret has no shape; the same in every run,
    so that facts can be compared.
    """
    shown: str = masking.constant(_MASKER.keyed(key, value))
    return shown[:_ANNOTATION_LIMIT]


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
    from json import dumps, loads  # takes any key that YAML can make

    import yaml  # here, because only a kubeadm cluster pays for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        tree = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, in C where there is one
    except yaml.YAMLError:
        return {}
    # dates and such become text: the tree must survive JSON
    return loads(dumps(tree, default=str)) if isinstance(tree, dict) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return "" if value is None else str(value)
