"""Nodes as the API lists them, reduced to what decides; read as a whole, or while they arrive.

5,000 nodes are 21 MB of JSON: what is not used of them is skipped, never held.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct, json

from ddhelm import masking

_ANNOTATION_LIMIT = 256
_MASKER = masking.Masker(b"facts")


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


class Read(Struct, frozen=True):
    """What is looked at of a Node (``v1``) of the API; the rest of its JSON is skipped and never held."""

    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()
    status: _Status = _Status()


_SOME = json.Decoder(list[Read])


class Nodes:
    """Of 5,000 nodes most strings are the same few: one copy of each is kept, masked once."""

    def __init__(self) -> None:
        self._found: list[Node] = []
        self._keep = dict[str, str]().setdefault  # called some hundred thousand times
        self._shown: dict[tuple[str, str], str] = {}

    def add(self, answers: Iterable[Read]) -> None:
        """Take these in."""
        self._found += map(self._node, answers)

    def by_name(self) -> tuple[Node, ...]:
        """All of them."""
        return tuple(sorted(self._found, key=lambda each: each.name))

    def _node(self, read: Read) -> Node:
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


_AT_ONCE = 256 * 1024
_FIRST = b'"items":['
# a quote within a text is escaped, so no text holds this; within a node it would leave JSON that nothing can read
_BETWEEN = b'},{"metadata":{"name":'


def nodes_of(pieces: Iterable[bytes]) -> tuple[Node, ...]:
    """The nodes by name of a NodeList that arrives in pieces, as the API server writes one: read while it does.

    ValueError for any other text, also for JSON that another program wrote.
    """
    nodes, held, begun = Nodes(), b"", False
    for piece in pieces:
        held += piece
        if len(held) < _AT_ONCE:
            continue
        if not begun:
            held, begun = _behind_the_head(held), True
        if (end := held.rfind(_BETWEEN) + 1) > 0:
            nodes.add(_SOME.decode(b"[%b]" % held[:end]))
            held = held[end + 1 :]
    held = (held if begun else _behind_the_head(held)).rstrip()
    if not held.endswith(b"]}"):
        raise ValueError("no list of nodes as the API server writes it")
    nodes.add(_SOME.decode(b"[%b" % held[:-1]))
    return nodes.by_name()


def _behind_the_head(text: bytes) -> bytes:
    head, found, rest = text.partition(_FIRST)
    if not found or not head.startswith(b'{"kind":"NodeList",'):
        raise ValueError("no list of nodes as the API server writes it")
    return rest
