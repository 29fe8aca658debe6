"""Nodes in the protobuf of Kubernetes, which an API server makes of 5,000 of them in a quarter of the time of JSON.

What ``Node`` does not hold is passed over by its length. Read here and not by Google's library, which takes 50 ms to
load: every command that reads nodes would pay for it. The numbers of the fields are those of ``generated.proto`` of
``core/v1``, ``meta/v1`` and ``runtime`` (Kubernetes 1.36); the API never gives a number to another field.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from ddhelm import nodes
from ddhelm.nodes import Node, Taint

_MAGIC = b"k8s\0"
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
# `raw` of the envelope and `items` of the list: both are field 2, of bytes
_SECOND = 2 << 3 | _BYTES


def nodes_of(pieces: Iterable[bytes]) -> tuple[Node, ...]:
    """The nodes by name of a NodeList that arrives in pieces, as protobuf or as JSON; read while it does.

    ValueError for any other text and for one that was cut short.
    """
    rest, first = iter(pieces), b""
    while len(first) < len(_MAGIC) and (piece := next(rest, b"")):
        first += piece
    if not first.startswith(_MAGIC):
        return nodes.nodes_of(chain((first,), rest))
    found, held, left = _Nodes(), first, -1
    for piece in chain((b"",), rest):
        held += piece
        if left < 0:
            if (begin := _list(held)) is None:
                continue
            at, left = begin
            held = held[at:]
        taken = found.take(held[:left])
        held, left = held[taken:], left - taken
    if left != 0:
        raise ValueError("the list of nodes was cut short")
    return found.by_name()


def _list(text: bytes) -> tuple[int, int] | None:
    """Where the list begins in its envelope, and its length; None where too little has arrived to tell."""
    try:
        at = len(_MAGIC)
        while (tag := text[at]) != _SECOND:
            if tag & 7 != _BYTES:
                raise ValueError("no envelope of Kubernetes")
            length, at = _varint(text, at + 1)
            at += length
        length, at = _varint(text, at + 1)
    except IndexError:
        return None
    if b"NodeList" not in text[:at]:
        raise ValueError("no list of nodes")
    return at, length


class _Nodes:
    """Of 5,000 nodes most labels, annotations and taints are the same few: each is decoded once, by its bytes."""

    def __init__(self) -> None:
        self._found: list[Node] = []
        self._labels: dict[bytes, tuple[str, str]] = {}
        self._annotations: dict[bytes, tuple[str, str]] = {}
        self._taints: dict[bytes, Taint] = {}
        self._words: dict[bytes, str] = {}

    def take(self, text: bytes) -> int:
        """Take in the nodes that are whole in this part of the list; how many bytes of it that was."""
        at = 0
        try:
            while at < len(text):
                tag = text[at]
                length, begin = _varint(text, at + 1)
                if tag & 7 != _BYTES or (end := begin + length) > len(text):
                    break
                if tag == _SECOND:
                    self._found.append(self._node(text, begin, end))
                at = end
        except IndexError:  # the length itself has not arrived yet
            pass
        return at

    def by_name(self) -> tuple[Node, ...]:
        """All of them."""
        return tuple(sorted(self._found, key=lambda each: each.name))

    def _node(self, text: bytes, at: int, end: int) -> Node:
        parts = {number: (begin, behind) for number, begin, behind in _fields(text, at, end)}
        name, labels, annotations = self._metadata(text, *parts.get(1, _NOTHING))
        provider_id, unschedulable, taints = self._spec(text, *parts.get(2, _NOTHING))
        ready, address, info = self._status(text, *parts.get(3, _NOTHING))
        return Node(
            name,
            labels,
            annotations,
            taints,
            unschedulable,
            provider_id,
            os_image=info.get(5, ""),
            container_runtime=info.get(6, ""),
            kubelet_version=info.get(7, ""),
            architecture=info.get(10, ""),
            operating_system=info.get(9, ""),
            ready=ready,
            address=address,
        )

    def _metadata(self, text: bytes, at: int, end: int) -> tuple[str, dict[str, str], dict[str, str]]:
        name, labels, annotations = "", dict[str, str](), dict[str, str]()
        for number, begin, behind in _fields(text, at, end):
            if number == 11:
                key, value = self._label(text[begin:behind])
                labels[key] = value
            elif number == 12:
                key, value = self._annotation(text[begin:behind])
                annotations[key] = value
            elif number == 1:
                name = text[begin:behind].decode()
        return name, labels, annotations

    def _spec(self, text: bytes, at: int, end: int) -> tuple[str, bool, tuple[Taint, ...]]:
        provider_id, unschedulable, taints = "", False, list[Taint]()
        for number, begin, behind in _fields(text, at, end):
            if number == 3:
                provider_id = text[begin:behind].decode()
            elif number == 4:
                unschedulable = bool(begin)
            elif number == 5:
                taints.append(self._taint(text[begin:behind]))
        return provider_id, unschedulable, tuple(taints)

    def _status(self, text: bytes, at: int, end: int) -> tuple[bool, str, dict[int, str]]:
        ready, address, info = False, "", dict[int, str]()
        for number, begin, behind in _fields(text, at, end):
            if number == 4:
                ready = ready or text.startswith(_IS_READY, begin)
            elif number == 5 and not address and text.startswith(_INTERNAL, begin):
                address = _pair(text, begin, behind)[1].decode()
            elif number == 7:
                info = {n: self._word(text[x:y]) for n, x, y in _fields(text, begin, behind) if n in _INFO}
        return ready, address, info

    def _label(self, entry: bytes) -> tuple[str, str]:
        if (known := self._labels.get(entry)) is None:
            key, value = _pair(entry, 0, len(entry))
            known = self._labels[entry] = self._word(key), self._word(value)
        return known

    def _annotation(self, entry: bytes) -> tuple[str, str]:
        if (known := self._annotations.get(entry)) is None:
            key, value = (self._word(each) for each in _pair(entry, 0, len(entry)))
            known = self._annotations[entry] = key, nodes.shown(key, value)
        return known

    def _taint(self, entry: bytes) -> Taint:
        if (known := self._taints.get(entry)) is None:
            words = {number: self._word(entry[x:y]) for number, x, y in _fields(entry, 0, len(entry)) if number <= 3}
            known = self._taints[entry] = Taint(words.get(1, ""), words.get(2, ""), words.get(3, ""))
        return known

    def _word(self, raw: bytes) -> str:
        if (known := self._words.get(raw)) is None:
            known = self._words[raw] = raw.decode()
        return known


# type and status of a condition, the type of an address: fields are written in the order of their numbers
_IS_READY, _INTERNAL = b"\n\5Ready\x12\4True", b"\n\nInternalIP"
_NOTHING = (0, 0)
_INFO = frozenset({5, 6, 7, 9, 10})
"""osImage, containerRuntimeVersion, kubeletVersion, operatingSystem, architecture of ``NodeSystemInfo``."""


def _pair(text: bytes, at: int, end: int) -> tuple[bytes, bytes]:
    """Fields 1 and 2: key and value of a map's entry, type and text of an address."""
    first = second = b""
    for number, begin, behind in _fields(text, at, end):
        if number == 1:
            first = text[begin:behind]
        elif number == 2:
            second = text[begin:behind]
    return first, second


def _fields(text: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of each field of a message; of a varint its value in place of the begin, and -1."""
    try:
        while at < end:
            # nearly all tags and lengths are one byte: a call for each would double the time
            if (tag := text[at]) < 128:
                at += 1
            else:
                tag, at = _varint(text, at)
            kind = tag & 7
            if kind == _BYTES:
                if (length := text[at]) < 128:
                    begin = at + 1
                else:
                    length, begin = _varint(text, at)
                at = begin + length
                yield tag >> 3, begin, at
            elif kind == _VARINT:
                value, at = _varint(text, at)
                yield tag >> 3, value, -1
            elif kind in {_EIGHT_BYTES, _FOUR_BYTES}:
                at += 8 if kind == _EIGHT_BYTES else 4
            else:
                raise ValueError("no protobuf")
    except IndexError:
        raise ValueError("a message of protobuf was cut short") from None
    if at != end:
        raise ValueError("a field of protobuf is longer than its message")


def _varint(text: bytes, at: int) -> tuple[int, int]:
    """A number and what is behind it; IndexError where the text ends before."""
    value = text[at]
    if value < 128:
        return value, at + 1
    value, shift = value & 127, 7
    while True:
        at += 1
        byte = text[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at + 1
        shift += 7
