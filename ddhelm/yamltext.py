"""A values file as Helm reads it, with everything in it that Helm reads otherwise than its writer, line by line.

The tree itself comes from ``goyaml``. This module walks over the same text once more for its places: which line sets
which key, and which unquoted words and numbers mean something else in YAML than on paper. It reports all of them at
once, and never shows a value that stands under a key that looks like a secret's.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import yaml
from msgspec import Struct

from ddhelm import goyaml
from ddhelm.goyaml import DEEPEST
from ddhelm.pitfalls import key_pitfall, meaning, pitfall
from ddhelm.tree import Path, Tree, show

LARGEST = 4 * 1024 * 1024
"""Bytes. Helm keeps a release in one Secret of 1 MiB, packed; more than this does not fit into it."""


class Finding(Struct, frozen=True):
    """One thing about a line: an ``error`` stops, a ``note`` is worth a line. ``line`` counts from 1."""

    line: int
    text: str
    hint: str = ""
    severity: Literal["error", "note"] = "error"


class Document(Struct, frozen=True):
    """A file: its tree ({} where it is broken), the line of each key, and the findings in the order of the lines."""

    tree: Tree
    lines: dict[Path, int]
    findings: tuple[Finding, ...]


def read(content: str | bytes) -> Document:
    """One values file. Never raises: what is wrong with it stands in the findings."""
    text, broken = _decoded(content)
    if broken:
        return Document({}, {}, (broken,))
    walk = _Walk(text)
    tree: Tree = {}
    odd: list[goyaml.YamlError] = []
    try:
        loaded = goyaml.load(text, odd)
        if isinstance(loaded, dict):
            tree = loaded
        elif loaded is not None:
            walk.findings.append(_no_map(loaded))
    except goyaml.YamlError as error:
        if "nested too deeply" not in error.problem:  # the walk says it with its line
            walk.findings.append(_syntax(error, text))
    walk.findings += map(_odd, odd)
    walk.run()
    return Document(tree, walk.lines, tuple(sorted(walk.findings, key=lambda finding: finding.line)))


def _decoded(content: str | bytes) -> tuple[str, Finding | None]:
    size = len(content)
    if size > LARGEST:
        said = f"has {size / 1048576:.1f} MiB; a release holds 1 MiB, packed, so at most {LARGEST >> 20} MiB are read"
        return "", Finding(1, said, "leave out what is not for the chart")
    if isinstance(content, str):
        return content.removeprefix("\ufeff"), None
    try:
        return content.decode("utf-8").removeprefix("\ufeff"), None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return "", Finding(line, f"is not UTF-8 (byte 0x{content[error.start]:02x})", "save the file as UTF-8")


def _no_map(loaded: Any) -> Finding:
    kind = "a list" if isinstance(loaded, list) else "one word or number"
    hint = "values are `key: value`"
    if isinstance(loaded, str) and ":" in loaded:
        hint = "put a space behind the colon"
    return Finding(1, f"is {kind}, and values are a map of keys", hint)


def _syntax(error: goyaml.YamlError, text: str) -> Finding:
    """The parser's complaint in words; it names structure, not content."""
    lines = text.splitlines()
    line = min(max(error.line, 1), max(len(lines), 1))
    near = lines[line - 1] if lines else ""
    indent = near[: len(near) - len(near.lstrip())]
    if "\t" in indent or ("cannot start any token" in error.problem and "\t" in near):
        return Finding(line, "a tab: YAML is indented with spaces", "replace the tab by spaces")
    hint = ""
    if "mapping values are not allowed" in error.problem:
        hint = "a text with a colon in it has to be quoted; or a line above is indented otherwise"
    elif "%" in near and "cannot start any token" in error.problem:
        hint = "a text that begins with `%` has to be quoted"
    elif "{{" in near:
        hint = "a text that begins with `{{` has to be quoted"
    return Finding(line, f"is no YAML: {error.problem}", hint)


def _odd(error: goyaml.YamlError) -> Finding:
    """A value that Helm refuses; what stood there may be a secret and is not shown."""
    number = "JSON" in error.problem
    said = error.problem if number else re.sub("`.*`", "what stands here", error.problem, flags=re.DOTALL)
    return Finding(error.line, said, "quote it, or leave it out" if number else "take the tag out")


class _Frame:
    """A map or list that is being read."""

    __slots__ = ("as_key", "index", "key", "keys", "path")

    def __init__(self, path: Path, keys: dict[str, int] | None, *, as_key: bool) -> None:
        self.path = path
        self.keys = keys  # None: a list
        self.key: str | None = None
        self.index = -1
        self.as_key = as_key


class _Walk(Struct):
    """Goes over the parser's events with the path in hand."""

    text: str
    findings: list[Finding] = []
    lines: dict[Path, int] = {}
    _stack: list[_Frame] = []
    _filled: int = 0
    _documents: int = 0

    def run(self) -> None:
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
            elif isinstance(event, yaml.NodeEvent):
                if (not self._stack and self._further_document(event)) or self._too_deep(event):
                    return
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                frame = self._stack.pop()
                if frame.as_key:
                    self._stack[-1].key = "?"
                self._after_value(frame.as_key)

    def _events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self.text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (yaml.YAMLError, UnicodeEncodeError, RecursionError):
            return  # said already: the tree was read from the same text

    def _further_document(self, event: Any) -> bool:
        """Whether this is content of a second document, which Helm 3 leaves out and Helm 4 merges."""
        empty = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and goyaml.scalar(event.value) is None
        if self._documents > 1 and not empty:
            said = "a second document begins above: Helm 3 leaves it out, Helm 4 merges it"
            self.findings.append(Finding(_line(event), said, "one file a document, each with its own -f"))
            return True
        return False

    def _too_deep(self, event: Any) -> bool:
        if len(self._stack) < DEEPEST:
            return False
        self.findings.append(Finding(_line(event), f"is nested more than {DEEPEST} levels deep"))
        return True

    def _node(self, event: Any) -> None:
        frame = self._stack[-1] if self._stack else None
        as_key = frame is not None and frame.keys is not None and frame.key is None
        if frame is not None and frame.keys is None:
            frame.index += 1
        if isinstance(event, yaml.CollectionStartEvent):
            keys: dict[str, int] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
            self._stack.append(_Frame(self._path(frame, as_key), keys, as_key=as_key))
            return
        if frame is not None and as_key:
            frame.key = self._key(event, frame)
            return
        if isinstance(event, yaml.ScalarEvent):
            self._value(event, self._path(frame, as_key))
        self._after_value(as_key)

    @staticmethod
    def _path(frame: _Frame | None, as_key: bool) -> Path:
        if frame is None:
            return ()
        return (*frame.path, "?" if as_key else frame.index if frame.keys is None else frame.key or "")

    def _after_value(self, as_key: bool) -> None:
        if self._stack and not as_key:
            self._stack[-1].key = None

    def _key(self, event: Any, frame: _Frame) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            return "?"
        line = _line(event)
        key: str = event.value
        if _is_plain(event):
            if key == "<<":
                return key
            found = key_pitfall(key)
            if found:
                self.findings.append(Finding(line, found.text, found.hint, found.severity))
            value = meaning(key)
            key = key if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        path = (*frame.path, key)
        keys = frame.keys if frame.keys is not None else {}
        if key in keys:
            said = f"`{show(path)}` stands on line {keys[key]} too; Helm takes the last one without a word"
            self.findings.append(Finding(line, said, "keep one of them"))
        keys[key] = line
        self.lines[path] = line
        return key

    def _value(self, event: Any, path: Path) -> None:
        if not _is_plain(event):
            return
        found = pitfall(event.value, path)
        if found:
            self.findings.append(Finding(_line(event), found.text, found.hint, found.severity))


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _is_plain(event: Any) -> bool:
    return bool(event.implicit[0]) and event.tag is None
