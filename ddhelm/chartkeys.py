"""Which keys a chart knows, so that a misspelt one is an error instead of a value that nobody reads.

Helm takes any key and says nothing. A key is known if it stands in values.yaml (commented out counts), if a template
of that very chart reads it, or if it lies below a map that the chart leaves open; sub-charts likewise, below their
name or alias. In doubt a key is known: refusing a right one would be worse than missing a wrong one. Measured on
Datadog's charts 3.60 to 3.240: no key of the chart's own example files is refused (``tests/helm/test_values_keys.py``).
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from ddhelm import goyaml
from ddhelm.settings import RECORD_KEY
from ddhelm.tree import Path, Tree, show


class KeyTree(Struct):
    """Keys by name. ``is_open``: whatever lies below is known, because the chart hands it on as it is."""

    keys: dict[str, "KeyTree"] = {}
    is_open: bool = False

    def at(self, path: Path) -> "KeyTree":
        """The node at ``path``, made where it is missing."""
        node = self
        for step in path:
            below = node.keys.get(name := str(step))
            if below is None:
                below = node.keys[name] = KeyTree()
            node = below
        return node


class UnknownKey(Struct, frozen=True):
    """A key that the chart does not know, and the one that was probably meant, in ``--set`` spelling; "" for none."""

    path: Path
    suggestion: str


def known(files: Mapping[str, str], *, templates: bool = True) -> KeyTree:
    """The keys of a chart, from its files by their path in it (those of sub-charts below ``charts/NAME/``).

    Without ``templates`` only what values.yaml says, which takes a fifth of the time: templates add keys, none is lost.
    """
    root = _root()
    _read_chart(root, files, "", templates)
    return root


def standing(values: str) -> KeyTree:
    """The keys that stand in a chart's values.yaml (its text): not all, but most that people set, and soon read."""
    root = _root()
    _read_keys(root, _tree(values))
    return root


def defaults(values: str) -> Tree:
    """What a chart's values.yaml (its text) sets; {} where that is no YAML, which helm will say."""
    tree = _tree(values)
    return tree if isinstance(tree, dict) else {}


def _root() -> KeyTree:
    # ddhelm's own record is ignored by every version of the chart
    return KeyTree({"global": KeyTree(is_open=True), RECORD_KEY: KeyTree(is_open=True)})


def unknown(tree: Tree, keys: KeyTree) -> tuple[UnknownKey, ...]:
    """Each key of ``tree`` that ``keys`` does not hold, the highest one only, in the order of the tree."""
    return tuple(UnknownKey(path, _suggestion(path, keys)) for path in _strangers(tree, keys, ()))


def _strangers(tree: Mapping[str, Any], keys: KeyTree, path: Path) -> Iterator[Path]:
    if keys.is_open:
        return
    for name, value in tree.items():
        node = keys.keys.get(name)
        if node is None:
            yield (*path, name)
        elif isinstance(value, dict):
            yield from _strangers(value, node, (*path, name))


def _suggestion(path: Path, keys: KeyTree) -> str:
    """The key beside it that is spelt nearly so; else one of that very name elsewhere; else what comes nearest."""
    name = str(path[-1])
    by_word = {sibling.lower(): (*path[:-1], sibling) for sibling in keys.at(path[:-1]).keys}
    elsewhere = sorted(
        (found for found in _named(keys, name, ()) if found != path), key=lambda found: (len(found), found)
    )
    for cutoff in (_SURE, _LIKELY):
        near = difflib.get_close_matches(name.lower(), by_word, n=1, cutoff=cutoff)
        if near:
            return show(by_word[near[0]])
        if elsewhere:
            return show(elsewhere[0])
    return ""


_SURE, _LIKELY = 0.8, 0.6  # difflib's ratio: `toleration` for `tolerations` is 0.95, `tga` for `tag` 0.67


def _named(keys: KeyTree, name: str, path: Path) -> Iterator[Path]:
    for key, node in keys.keys.items():
        if key == name:
            yield (*path, key)
        yield from _named(node, name, (*path, key))


# Reading a chart -----------------------------------------------------------------------------------------------------


def _read_chart(root: KeyTree, files: Mapping[str, str], folder: str, with_templates: bool) -> None:
    """A chart below ``folder`` of the files, into ``root``; then each of its sub-charts into the key it goes by."""
    text = files.get(f"{folder}values.yaml", "")
    _read_keys(root, _tree(text))
    _read_comments(root, text)
    if with_templates:
        _read_templates(root, [text for name, text in files.items() if name.startswith(f"{folder}templates/")])
    for name, alias, conditions in _dependencies(files, folder):
        for condition in conditions:
            root.at(condition)
        _read_chart(root.at((alias,)), files, f"{folder}charts/{name}/", with_templates)
        root.at((alias, "global")).is_open = True


def _tree(text: str) -> Any:
    try:
        return goyaml.load(text)
    except goyaml.YamlError:
        return None  # helm will say it


def _dependencies(files: Mapping[str, str], folder: str) -> Iterator[tuple[str, str, list[Path]]]:
    """Name, the key it goes by, the keys that turn it on. Charts of apiVersion v1 list them in requirements.yaml."""
    seen = set()
    for source in ("Chart.yaml", "requirements.yaml"):
        tree = _tree(files.get(f"{folder}{source}", ""))
        for one in (tree.get("dependencies") if isinstance(tree, dict) else None) or ():
            name, alias = str(one.get("name", "")), str(one.get("alias") or one.get("name", ""))
            seen.add(name)
            conditions = [tuple(text.strip().split(".")) for text in str(one.get("condition") or "").split(",")]
            tags = [("tags", str(tag)) for tag in one.get("tags") or ()]
            yield name, alias, [condition for condition in (*conditions, *tags) if condition != ("",)]
    beside = {
        name.removeprefix(f"{folder}charts/").split("/")[0] for name in files if name.startswith(f"{folder}charts/")
    }
    for name in sorted(beside - seen):
        if f"{folder}charts/{name}/Chart.yaml" in files:
            yield name, name, []


def _read_keys(root: KeyTree, values: Any) -> None:
    if isinstance(values, dict):
        for key, value in values.items():
            _read_values(root.at((key,)), value)


def _read_values(node: KeyTree, value: Any) -> None:
    """A map with keys is what it says; an empty one, a list and an unset value may hold anything."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            _read_values(node.at((key,)), below)
    else:
        node.is_open = True


# `# datadog.site -- The site of…`, as helm-docs wants it: the whole path.
_DOCUMENTED = re.compile(r"^[ \t]*#+[ \t]*(?:@param[ \t]+)?([A-Za-z_][\w-]*(?:\.[\w-]+)+)[ \t]+--?[ \t]", re.MULTILINE)
_KEY = re.compile(r"^([ ]*)([A-Za-z_][\w-]*):(?:[ \t]|$)")
_COMMENTED = re.compile(r"^([ ]*)#[# ]*?([ ]?)([ ]*)(?:- )?([A-Za-z_][\w-]*):(?:[ \t]|$)")
_PROSE = re.compile(
    r"^(ref|refs|note|warning|deprecated|example|examples|see|format|default|important|todo|ie|eg)$", re.IGNORECASE
)


def _read_comments(root: KeyTree, text: str) -> None:
    """Keys that are commented out: below the nearest key that stands further left, and open."""
    for found in _DOCUMENTED.finditer(text):
        _documented(root, tuple(found[1].split(".")))
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if key := _KEY.match(line):
            indent = len(key[1])
            above = [*((at, name) for at, name in above if at < indent), (indent, key[2])]
        elif (comment := _COMMENTED.match(line)) and not _PROSE.match(comment[4]):
            indent = len(comment[1])
            parent = tuple(name for at, name in above if at < indent)
            node = root.at(parent)
            if not node.is_open:
                node.at((comment[4],)).is_open = True


def _documented(root: KeyTree, path: Path) -> None:
    node = root
    for step in path:
        if node.is_open:
            return
        if step not in node.keys:
            node.keys[str(step)] = KeyTree(is_open=step == path[-1])
        node = node.keys[str(step)]


_TEMPLATE_COMMENT = re.compile(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", re.DOTALL)
_READ = re.compile(r"\.Values((?:\)*\.[A-Za-z_]\w*)+)")  # also ((.Values.datadog.autoscaling).workload).enabled
_INDEXED = re.compile(r"\.Values((?:\.[A-Za-z_]\w*)*)((?:[ \t]+\"[\w.-]+\")+)")
_PASSED_AS = re.compile(r"\"(\w+)\"[ \t]+\$?\w*$")
_ASSIGNED_TO = re.compile(r"\$(\w+)[ \t]*:=[ \t]*\$?\w*$")
# Functions that only ask whether a map is there; any other may hand it on as it is.
_ASKING = frozenset({"if", "else", "and", "or", "not", "empty", "hasKey", "kindIs", "eq", "ne"})


def _read_templates(root: KeyTree, templates: list[str]) -> None:
    """Paths that templates read. What lies below a map that is handed on whole is open.

    A map that gets another name (``dict "image" .Values.agents.image``, ``$agents := .Values.agents``) has the keys
    that templates read from that name (``.image.tag``, ``$agents.enabled``).
    """
    texts = [_TEMPLATE_COMMENT.sub("", text) for text in templates if ".Values" in text or "define" in text]
    reads = [
        (text, found.start(), root.at(tuple(re.findall(r"\w+", found[1]))))
        for text in texts
        for found in _READ.finditer(text)
    ]
    for text in texts:
        for found in _INDEXED.finditer(text):  # index .Values "datadog-crds" "crds"; hasKey .Values.a "b"; get …
            steps = re.findall(r'"([\w.-]+)"', found[2])
            root.at((*filter(None, found[1].split(".")), *steps))
    passed: dict[str, list[KeyTree]] = {}
    for text, at, node in reads:
        begin = text.rfind("{{", 0, at) + 1
        if not node.keys:
            node.is_open = True
        elif name := _PASSED_AS.search(text, begin, at):
            passed.setdefault(name[1], []).append(node)
        elif name := _ASSIGNED_TO.search(text, begin, at):
            _read_from_name(rf"\${name[1]}\b", [node], [text[at:]])
        elif _function(text, at) not in _ASKING:
            node.is_open = True
    for key, nodes in passed.items():
        _read_from_name(rf"\.{key}\b", nodes, texts)


def _read_from_name(name: str, nodes: list[KeyTree], texts: list[str]) -> None:
    uses = re.compile(rf"{name}((?:\)*\.[A-Za-z_]\w*)*)")
    for text in texts:
        for found in uses.finditer(text):
            if text[found.start() - 1].isalnum():  # .Values.agents.image itself, not the name that it was given
                continue
            path = tuple(re.findall(r"\w+", found[1]))
            is_open = not path and _function(text, found.start()) not in _ASKING
            for node in nodes:
                below = node.at(path)
                below.is_open = below.is_open or is_open or not below.keys


def _function(text: str, at: int) -> str:
    """What the template calls with the word at ``at``: ``toYaml`` in ``{{ toYaml .x``, ``and`` in ``{{ if (and .x``."""
    begin = text.rfind("{{", 0, at)
    depth = 0
    for position in range(at - 1, begin, -1):
        depth += (text[position] == ")") - (text[position] == "(")
        if depth < 0:
            begin = position
            word = re.match(r"\w+", text[position + 1 : at].lstrip())
            if word:
                return word[0]
            depth = 0  # a bracket around the path alone
    word = re.match(r"\{\{-?\s*(\$?\w+)", text[begin:at])
    return word[1] if word else ""
