"""Reads ``charts-values/``, the layers that ship with ddhelm, and the comments beside their keys.

An operator reads and edits values, not Python, so what a role or a distribution means for the chart stands in
commented YAML. This module opens only those files; nothing of a cluster or a user passes through it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any, ClassVar

from msgspec import field

from ddhelm import goyaml
from ddhelm.distribution import Distribution, NodeKind, parse, parse_node_kinds
from ddhelm.errors import ConfigError
from ddhelm.reserved import Reserved
from ddhelm.tree import Path, Tree

LAYERS = ("common", "worker", "pair", "control-plane", "etcd-secret")
NODE_KINDS = "node-kinds"
CHART_VERSIONS = "chart-versions"


class Reasons(Mapping[Path, str]):
    """Path of a key → the comment beside or above it, read from the file on the first question.

    ruamel keeps comments and takes ten times as long, so commands that explain nothing never load it.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._read: dict[Path, str] | None = None

    def _all(self) -> dict[Path, str]:
        if self._read is None:
            self._read = reasons(self._file.read_text(encoding="utf-8"))
        return self._read

    def __getitem__(self, path: Path) -> str:
        return self._all()[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class Library(Reserved, frozen=True):
    """The folder of layers. Each file is read once, when it is asked for."""

    unshown: ClassVar[tuple[str, ...]] = ("_read",)

    folder: File
    _read: dict[str, Any] = field(default_factory=dict)

    def layer(self, name: str) -> Tree:
        """The values of one of ``LAYERS``, placeholders unfilled. Raises ConfigError for a broken file."""
        return self._document(name)

    def distributions(self) -> tuple[Distribution, ...]:
        """Every distribution that ddhelm knows, by name; the first question reads them all (10 ms)."""
        if "distributions" not in self._read:
            self._read["distributions"] = tuple(
                parse(file.stem, self._document(f"distributions/{file.stem}")) for file in self._distribution_files()
            )
        return tuple(self._read["distributions"])

    def names(self) -> tuple[str, ...]:
        """The names of all distributions; reads no file."""
        return tuple(file.stem for file in self._distribution_files())

    def node_kinds(self) -> tuple[NodeKind, ...]:
        """The kinds of nodes that need care whatever the distribution (Windows, Fargate …)."""
        return parse_node_kinds(self._document(NODE_KINDS))

    def refused_charts(self) -> tuple[Tree, ...]:
        """Chart versions that are not to be used: rows of first, last, why, use."""
        return tuple(self._document(CHART_VERSIONS)["refused"])

    def reasons(self, name: str) -> Reasons:
        """The comments of a layer (``common``), of ``node-kinds`` or of a distribution (``kops``), by raw path."""
        return Reasons(self._file(name if name in {*LAYERS, NODE_KINDS} else f"distributions/{name}"))

    def _distribution_files(self) -> list[File]:
        return sorted((self.folder / "distributions").glob("*.yaml"))

    def _file(self, name: str) -> File:
        return self.folder / f"{name}.yaml"

    def _document(self, name: str) -> Tree:
        if name not in self._read:
            self._read[name] = _load(self._file(name))
        return dict(self._read[name])


def load(folder: File | None = None) -> Library:
    """The library of this installation: inside the package when installed from a wheel, beside it in a checkout."""
    here = File(__file__).parent
    inside = here / "charts-values"
    return Library(folder or (inside if inside.is_dir() else here.parent / "charts-values"))


def _load(file: File) -> Tree:
    try:
        tree = goyaml.load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"ddhelm's own layer `{file}` cannot be read: {' '.join(str(error).split())}",
            hint="install ddhelm again",
            anchor="broken-layer",
        ) from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"ddhelm's own layer `{file}` is no map of values", hint="install ddhelm again", anchor="broken-layer"
        )
    return tree


def reasons(text: str) -> dict[Path, str]:
    """Path → reason for each key of a YAML text that has one: the comment on its line, else the lines above it."""
    from ruamel.yaml import YAML

    lines = text.splitlines()
    found: dict[Path, str] = {}
    _collect(YAML(typ="rt").load(text), (), lines, found)
    return found


def _collect(node: Any, path: Path, lines: list[str], found: dict[Path, str]) -> None:
    """Walk ruamel's maps and lists, which know the line and column of each key and element."""
    if isinstance(node, dict):
        places = [(key, value, node.lc.key(key)) for key, value in node.items()]  # type: ignore[attr-defined]
    elif isinstance(node, list):
        places = [(index, value, node.lc.item(index)) for index, value in enumerate(node)]  # type: ignore[attr-defined]
    else:
        return
    for step, value, (line, column) in places:
        reason = _end_of_line(node, step) or _above(lines, line, column)
        if reason:
            found[*path, step] = reason
        _collect(value, (*path, step), lines, found)


def _end_of_line(node: Any, key: Any) -> str:
    """The comment behind a value; ruamel hangs it on the container, together with the lines before the next key.

    The third place of its record is a value's, the first a list element's, and the fourth holds the comment behind
    a block text's `|` as plain text, but also the lines between a key and the list below it: those are tokens.
    """
    places = node.ca.items.get(key) or ()
    texts = [getattr(token, "value", "") for token in places[:3]]
    texts += [text for token in places[3:] for text in token or () if isinstance(text, str)]
    for text in texts:
        first = text.strip(" ").split("\n", 1)[0]
        if first.startswith("#"):
            return str(first).lstrip("# ").strip()
    return ""


def _above(lines: list[str], line: int, column: int) -> str:
    """The block of comment lines directly above; a flow map on one line has its reason at the key before it."""
    if lines[line][:column].strip(" -"):
        return ""
    block: list[str] = []
    for above in reversed(lines[:line]):
        if not above.strip().startswith("#"):
            break
        block.append(above.strip().lstrip("#").strip())
    return " ".join(reversed(block)).strip()
