"""YAML read as Helm's own library reads it, so that a rendered manifest means here what it means to the cluster.

Helm turns YAML into JSON with ``sigs.k8s.io/yaml``, which sits on the second version of go-yaml: YAML 1.1 words for
booleans (``y``, ``no``, ``on``), ``0755`` octal, ``08`` a float, no base 60, dates left as strings. PyYAML's resolver
differs in several of these, so only its C scanner is used (events), and the meaning of scalars is decided here.
Held against the real helm by ``tests/helm/test_goyaml.py``.
"""

import base64
import re
import struct
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Only its events and places are used. Without libyaml the same events come ten times slower."""

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NOT_JSON = frozenset(s + w for s in ("", "+", "-") for w in (".inf", ".Inf", ".INF")) | {".nan", ".NaN", ".NAN"}
_NUMERIC_START = frozenset("+-.0123456789")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INT = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII)
_TAG = "tag:yaml.org,2002:"
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}
DEEPEST = 200
"""Levels. No file for people goes a tenth as deep, and a parser that recurses does not survive all that YAML allows."""
_MOST_ALIASED = 1_000_000
"""Nodes that aliases may stand for in one document; go-yaml refuses "excessive aliasing" in the same spirit."""


class YamlError(ValueError):
    """The text is no YAML, or holds something that JSON cannot hold; ``line`` and ``column`` count from 1."""

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem)
        self.problem = problem
        self.line = line
        self.column = column


def scalar(text: str) -> Any:
    """What one plain (unquoted) scalar becomes: None, bool, int, float or the text itself.

    Whole floats become ints (``1e3`` is 1000), because JSON, through which every manifest goes, does not tell them
    apart. Raises YamlError for infinities and NaN, which JSON cannot hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START:
        return text
    if text in _NOT_JSON:
        raise YamlError(f"`{text}` cannot be written as JSON")
    return _number(text)


def _number(text: str) -> int | float | str:
    plain = text if text[0] == "." else text.replace("_", "")
    if found := _INT.fullmatch(plain):
        sign, hexadecimal, binary, octal, decimal = found.groups()
        digits, base = next((d, b) for d, b in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if d)
        whole = int(digits, base)
        if whole <= (1 << 63 if sign == "-" else (1 << 63) - 1 if sign else (1 << 64) - 1):
            return -whole if sign == "-" else whole
    if _FLOAT.fullmatch(plain):
        number = float(plain)
        if number in (float("inf"), float("-inf")):
            return text
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    return text


def load(text: str | bytes, odd: list[YamlError] | None = None) -> Any:
    """The first document of the text as a JSON tree; None when there is none. Raises YamlError.

    As in Helm: the last of two equal keys wins, ``<<`` merges, keys become strings. Aliased subtrees are the same
    object twice: treat the tree as read-only. With ``odd``, words and numbers that cannot be a value (``.inf``,
    ``!!int x``) are gathered there instead, and stand in the tree as text.
    """
    with _told(text):
        parser = _Parser(text)
        return _Builder(parser.get_event, odd).document()


def compose(text: str | bytes) -> Any:
    """The text's one document as PyYAML's nodes, which know their places; None when there is none. Raises YamlError.

    Also for one that is nested deeper than DEEPEST: libyaml's composer recurses in C, and would end the process.
    """
    with _told(text):
        depth = 0
        for event in yaml.parse(text, Loader=_Parser):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _at(event, f"nested more than {DEEPEST} levels deep")
        return yaml.compose(text, Loader=_Parser)


@contextmanager
def _told(text: str | bytes) -> Iterator[None]:
    """Raises YamlError for whatever the parser raises about this text."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(problem, *((mark.line + 1, mark.column + 1) if mark else ())) from None
    except yaml.reader.ReaderError as error:  # its place is a byte, of a text that is encoded for libyaml
        before = (text.encode() if isinstance(text, str) else text)[: error.position]
        character = f" (U+{error.character:04X})" if error.character >= 0 else ""
        raise YamlError(f"{error.reason}{character}", before.count(b"\n") + 1) from None
    except (UnicodeEncodeError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        raise YamlError("nested too deeply" if deep else "not valid text (lone surrogate)") from None


class _Builder:
    """Makes the tree from a parser's events."""

    def __init__(self, next_event: Callable[[], Any], odd: list[YamlError] | None) -> None:
        self._next = next_event
        self._odd = odd
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._aliased = 0

    def document(self) -> Any:
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        return self._node(self._next())

    def _node(self, event: Any) -> Any:
        kind = type(event)
        self._nodes += 1
        if kind is yaml.ScalarEvent:
            value = self._scalar(event)
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            return value
        if kind is yaml.AliasEvent:
            return self._alias(event)
        before = self._nodes
        if event.anchor:
            self._anchors.pop(event.anchor, None)  # until it is complete the name stands for nothing
        value = self._mapping() if kind is yaml.MappingStartEvent else self._sequence()
        if event.anchor:
            self._anchors[event.anchor] = (value, self._nodes - before + 1)
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise _at(event, f"unknown anchor `{event.anchor}`, or one that contains itself")
        value, size = self._anchors[event.anchor]
        self._nodes += size
        self._aliased += size
        if self._aliased > _MOST_ALIASED:
            raise _at(event, "excessive aliasing")
        return value

    def _sequence(self) -> list[Any]:
        items: list[Any] = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            items.append(self._node(event))
        return items

    def _mapping(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        while type(event := self._next()) is not yaml.MappingEndEvent:
            is_scalar = type(event) is yaml.ScalarEvent
            if is_scalar and event.value == "<<" and (event.tag == _TAG + "merge" or event.implicit[0]):
                self._merge(event, tree)
                continue
            key = self._node(event)
            if type(key) is not str:
                key = _key(event, key)
            tree[key] = self._node(self._next())
        return tree

    def _merge(self, event: Any, tree: dict[str, Any]) -> None:
        # As in go-yaml 2, and against the YAML type repository, a merge overrides the keys that stand before it.
        merged = self._node(self._next())
        sources = merged[::-1] if isinstance(merged, list) else [merged]
        for source in sources:
            if not isinstance(source, dict):
                raise _at(event, "map merge requires map or sequence of maps as the value")
            tree.update(source)

    def _scalar(self, event: Any) -> Any:
        tag: str | None = event.tag
        text: str = event.value
        try:
            if tag is None:
                return scalar(text) if event.implicit[0] else text
            return _tagged(tag, text)
        except YamlError as error:
            said = _at(event, error.problem)
            if self._odd is None:
                raise said from None
            self._odd.append(said)
            return text


def _tagged(tag: str, text: str) -> Any:
    short = tag.removeprefix(_TAG) if tag.startswith(_TAG) else ""
    if short == "binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
        except Base64Error:
            raise YamlError("!!binary value contains invalid base64 data") from None
    if short not in _TYPES:
        return text
    value = scalar(text)
    if not isinstance(value, _TYPES[short]) or (short in ("int", "float") and isinstance(value, bool)):
        raise YamlError(f"cannot decode `{text}` as a !!{short}")
    return value


def _key(event: Any, key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int) and _INT.fullmatch(event.value.replace("_", "")):
        if key >= 1 << 63:
            raise _at(event, f"unsupported map key `{event.value}`")
        return str(key)
    if isinstance(key, float | int):  # `scalar` took the point off a whole float
        return _float_key(key)
    raise _at(event, "a key must be a string, a number or a boolean")


def _float_key(key: float) -> str:
    """Go's ``FormatFloat(key, 'g', -1, 32)``: the fewest digits that give the same 32-bit float."""
    if abs(key) > 3.4028235e38:
        return ".inf" if key > 0 else "-.inf"
    single = struct.unpack("f", struct.pack("f", key))[0]
    digits = next(n for n in range(9) if struct.unpack("f", struct.pack("f", float(f"{single:.{n}e}")))[0] == single)
    scientific = f"{single:.{digits}e}"
    exponent = int(scientific.partition("e")[2])
    return scientific if not -4 <= exponent < 6 else f"{single:.{max(digits - exponent, 0)}f}"


def _at(event: Any, problem: str) -> YamlError:
    return YamlError(problem, event.start_mark.line + 1, event.start_mark.column + 1)
