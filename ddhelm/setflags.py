"""The small language of Helm's ``--set``, ``--set-string``, ``--set-json`` and ``--set-file``, read as Helm reads it.

Held against the real helm on generated expressions (``tests/helm/test_values_flags.py``). Two differences are meant.
Where Helm drops a part of an expression without a word (``=x``, ``a[0``, ``a[0]``, ``a[0].b=``), this raises, because
whoever typed it wanted something. And the whole object ``--set-json '{…}'``, which Helm knows from 4.0.0
(helm/helm#30294), is read whatever helm is in use: values reach it as one JSON tree, and the same command line and the
same stored values mean the same under each of them.

Helm's rules: its documentation, its source (``strvals``) and its answers.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn

from ddhelm.tree import Tree, merge

Kind = Literal["set", "set-string", "set-json", "set-file"]

DEEPEST_NAME = 30
GREATEST_INDEX = 65536
_INT64 = 1 << 63


class SetError(ValueError):
    """An expression that Helm refuses, or would drop in part; the text names keys, never values."""


def apply(kind: Kind, expression: str, base: Tree, files: Mapping[str, str] | None = None) -> Tree:
    """``base`` with one flag's expression applied, as Helm applies it to what the files and flags before it gave.

    ``files`` holds the text of each file that a ``set-file`` names. ``base`` is not altered. Raises SetError.
    """
    if kind == "set-json" and expression.strip().startswith("{"):
        return merge(base, _json_object(expression))
    parser = _Parser(expression, base, _readers(files or {})[kind])
    while not parser.at_end:
        parser.pair()
    return parser.tree


def file_paths(expression: str) -> tuple[str, ...]:
    """The files that a ``--set-file`` expression names, in order. Raises SetError."""
    paths: list[str] = []

    def remember(text: str) -> str:
        paths.append(text)
        return ""

    parser = _Parser(expression, {}, remember)
    while not parser.at_end:
        parser.pair()
    return tuple(paths)


def without_json(expression: str) -> tuple[str, ...]:
    """The names of a ``--set-json`` expression behind which nothing stands, which is null to Helm. Raises SetError."""
    if expression.strip().startswith("{"):
        return ()
    parser = _Parser(expression, {}, None)
    while not parser.at_end:
        parser.pair()
    return tuple(parser.blank)


Reader = Callable[[str], Any]


def _readers(files: Mapping[str, str]) -> Mapping[Kind, Reader | None]:
    def content(path: str) -> str:
        if path not in files:
            raise SetError(f"the file `{path}` was not read")
        return files[path]

    return {"set": typed, "set-string": str, "set-json": None, "set-file": content}


def typed(text: str) -> Any:
    """What ``--set`` makes of a value: ``true`` and ``null`` in any case, whole numbers of 64 bits, else the text.

    A number that begins with 0 stays text (``0123``, ``0x1F``), and so does one with a point or an exponent.
    """
    word = text.lower()
    if word in {"true", "false"}:
        return word == "true"
    if word == "null":
        return None
    if text == "0":
        return 0
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if text[:1] != "0" and digits.isascii() and digits.isdigit():
        number = int(text) if len(digits) < 25 else _INT64
        if -_INT64 <= number < _INT64:
            return number
    return text


def _json_object(text: str) -> Tree:
    try:
        tree, end = _DECODER.raw_decode(text.strip())
    except (ValueError, RecursionError):
        raise SetError("is no JSON object") from None
    if text.strip()[end:].strip():
        raise SetError("has something behind the JSON object")
    return dict(_text_only(tree))


def _text_only(value: Any) -> Any:
    r"""JSON may hold half a character (`"\ud800"`); Go reads it as the replacement character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_text_only(key): _text_only(below) for key, below in value.items()}
    return [_text_only(item) for item in value] if isinstance(value, list) else value


class _Parser:
    """One expression, read from left to right into a copy of the tree (only what lies on the way is copied)."""

    def __init__(self, text: str, base: Tree, read: Reader | None) -> None:
        self.text = text
        self.at = 0
        self.tree = dict(base)
        self.blank: list[str] = []  # names behind which JSON was expected and nothing stands
        self._read = read
        self._cut_short = False  # the expression ended where a value was expected

    @property
    def at_end(self) -> bool:
        return self.at >= len(self.text)

    def pair(self) -> None:
        """One ``name=value`` and the comma behind it."""
        self._into_map(self.tree, level=0, path="")

    def _into_map(self, tree: Tree, level: int, path: str) -> None:
        name, stop = self._until("=[,.")
        here = f"{path}.{name}" if path else name
        if stop in {"", ","}:
            self._fail(f"`{here}` has no value")
        if not name:
            self._fail(f"there is an empty name below `{path}`" if path else "there is an empty name")
        if stop == "=":
            tree[name] = self._value(here)
        elif stop == "[":
            index = self._index(here)
            tree[name] = self._into_list(self._list(tree, name, here), index, level, here)
        else:
            if level + 1 > DEEPEST_NAME:
                self._fail(f"names go {DEEPEST_NAME} levels deep at most")
            below = tree.get(name, {})
            if not isinstance(below, dict):
                self._fail(f"`{here}` is no map")
            tree[name] = below = dict(below)
            self._into_map(below, level + 1, here)

    def _list(self, tree: Tree, name: str, here: str) -> list[Any]:
        items = tree.get(name, [])
        if not isinstance(items, list):
            self._fail(f"`{here}` is no list")
        return list(items)

    def _into_list(self, items: list[Any], index: int, level: int, path: str) -> list[Any]:
        """The list with the rest of the expression applied at ``index``."""
        here = f"{path}[{index}]"
        surplus, stop = self._until("[.=")
        if surplus:
            self._fail(f"there is something between `{here}` and its value")
        if not stop:
            self._fail(f"`{here}` has no value")
        items += [None] * (index + 1 - len(items))
        if stop == "=":
            items[index] = self._value(here)
        elif stop == "[":
            following = self._index(here)
            inner = [] if items[index] is None else items[index]
            if not isinstance(inner, list):
                self._fail(f"`{here}` is no list")
            items[index] = self._into_list(list(inner), following, level, here)
        else:
            items[index] = below = dict(items[index]) if isinstance(items[index], dict) else {}
            self._into_map(below, level, here)
            if self._cut_short:
                self._fail(
                    f"below `{here}` there is an empty value at the end, which Helm drops; a comma behind it keeps it"
                )
        return items

    def _index(self, path: str) -> int:
        text, stop = self._until("]")
        if not stop:
            self._fail(f"the bracket behind `{path}` is not closed")
        digits = text[1:] if text[:1] in {"+", "-"} else text
        if not (digits.isascii() and digits.isdigit()):
            self._fail(f"`{path}[{text}]`: an index is a whole number")
        if text.startswith("-") and int(digits[:20]):
            self._fail(f"`{path}[{text}]`: an index is not negative")
        if len(digits.lstrip("0")) > 6 or int(digits) > GREATEST_INDEX:
            self._fail(f"`{path}[{text}]`: the greatest index is {GREATEST_INDEX}")
        return int(digits)

    def _value(self, here: str) -> Any:
        if self._read is None:
            return self._json(here)
        if self.text[self.at : self.at + 1] == "{":
            self.at += 1
            return self._braces(self._read)
        if self.at_end:
            self._cut_short = True
            return ""
        return self._read(self._until(",")[0])

    def _braces(self, read: Reader) -> list[Any]:
        items = []
        stop = ","
        while stop == ",":
            text, stop = self._until(",}")
            if not stop:
                self._fail("a list in braces is not closed")
            items.append(read(text))
        if self.text[self.at : self.at + 1] == ",":
            self.at += 1
        return items

    def _json(self, here: str) -> Any:
        if self._blank():
            self.blank.append(here)
            return None
        try:
            value, self.at = _DECODER.raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            self._fail("a value is no JSON")
        self._blank()
        return _text_only(value)

    def _blank(self) -> bool:
        """Skip spaces and one comma; whether there was nothing else up to it or to the end."""
        while not self.at_end and self.text[self.at].isspace():
            self.at += 1
        if self.at_end or self.text[self.at] == ",":
            self.at += 1
            return True
        return False

    def _until(self, stops: str) -> tuple[str, str]:
        """The text up to one of ``stops``, which is passed over; a backslash takes the next character as it is."""
        out: list[str] = []
        while not self.at_end:
            character = self.text[self.at]
            self.at += 1
            if character in stops:
                return "".join(out), character
            if character == "\\":
                character = self.text[self.at : self.at + 1]
                self.at += 1
            out.append(character)
        return "".join(out), ""

    def _fail(self, problem: str) -> NoReturn:
        raise SetError(problem)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _number(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(text)
    return number


def _whole(text: str) -> float:
    number = _number(text)
    return int(text) if abs(number) <= 1 << 53 else number  # a float in Helm's hands, so more digits are lost there


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_number, parse_int=_whole)
