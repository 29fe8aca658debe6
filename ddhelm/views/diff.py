"""Changes of objects, path by path, as lines of text: the same lines for a terminal, a pull request and a file.

A line is (style, text); styles are `add`, `remove`, `change`, `dim`, `head` and `plain`. Colour is never the only
difference: added lines begin with `+`, removed ones with `-`.
"""

import contextlib
import difflib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ddhelm import tree
from ddhelm.plan import Action, ObjectChange, Step, StepKind
from ddhelm.settings import RECORD_KEY
from ddhelm.steps import matters
from ddhelm.values import Values
from ddhelm.views.console import counted

Line = tuple[str, str]
Layers = Mapping[str, Mapping[tree.Path, str]]
"""Release, path of a value → the layer that sets it."""

MARKS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.DELETE: "-",
    Action.KEEP: "=",
    Action.RECREATE: "+",
    Action.RESTORE: "~",
}
_STYLES = {"+": "add", "-": "remove", "~": "change", "=": "dim"}
_WIDTH = 100
_ENDS = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
RECORD_ONLY = "only what the release remembers of ddhelm's settings differs, which its objects do not show"
CRD = "CustomResourceDefinition"


class How(Struct, frozen=True):
    """How changes are shown.

    ``form``: `structural`, `unified` or `summary`; ``context``: unchanged lines around a changed one; ``noise``: show
    fields that mean nothing too; ``crds``: show the fields of CRDs; ``limit``: fields shown of one object, None: all.
    """

    form: str = "structural"
    context: int = 3
    noise: bool = False
    crds: bool = False
    limit: int | None = None


def of_steps(steps: Sequence[Step], how: How) -> Iterator[Line]:
    """Every step that changes objects, one after the other."""
    for step in steps:
        if step.kind is not StepKind.NOTHING:
            yield from of_step(step, how)


def of_step(step: Step, how: How) -> Iterator[Line]:
    """One step: a heading, then its objects."""
    changes = [change for change in step.objects if matters(change) or (how.noise and change.noise)]
    if not changes and not step.why:
        return
    yield "head", f"{step.release.name} {step.kind}" + (f": {step.why}" if step.why else "")
    if how.form == "unified":
        for change in changes:
            yield from unified(change, how.context)
        return
    created = [change for change in changes if change.action is Action.CREATE]
    if created and how.limit is not None:
        kinds = Counter(change.ref.kind for change in created)
        yield "add", "  + " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    else:
        yield from (("add", f"  + {line}") for line in _grouped(created))
    for change in changes:
        if change.action is not Action.CREATE:
            yield from _object(change, how)
            if change.ref in step.gone:
                yield "change", "      deleted in the cluster: made again"


def of_values(steps: Iterable[Step], layers: Layers, how: How) -> Iterator[Line]:
    """Which values of each release differ from the stored ones, and which layer sets them; or their number.

    ddhelm's own record is left out.
    """
    for step in steps:
        if changes := values_changes(step):
            yield "head", f"{step.release.name} values"
            yield from values_lines(changes, layers.get(step.release.name, {}), how)


def remembered(steps: Iterable[Step]) -> Iterator[Line]:
    """The releases of whose values only ddhelm's own record differs."""
    for step in steps:
        if step.values_changes and not values_changes(step):
            yield "plain", f"{step.release.name}: {RECORD_ONLY}"


def layers_of(steps: Iterable[Step], values: Mapping[str, Values]) -> Layers:
    """Which layer sets each value that a step gives; ``values`` are those of the releases, by name."""
    found: dict[str, dict[tree.Path, str]] = {}
    for step in steps:
        name = step.release.name
        for change in values_changes(step):
            # a step may give a value that no layer sets: what keeps CRDs for the next one
            with contextlib.suppress(KeyError):
                if change.op != "remove":
                    found.setdefault(name, {})[change.path] = values[name].origin(change.path).layer
    return found


def values_changes(step: Step) -> tuple[tree.Change, ...]:
    """What a step changes of a release's values, without ddhelm's own record."""
    return tuple(change for change in step.values_changes if change.path[:1] != (RECORD_KEY,))


def values_lines(changes: Sequence[tree.Change], layers: Mapping[tree.Path, str], how: How) -> Iterator[Line]:
    """The values of one release that differ, each with the layer that sets it."""
    if how.form == "summary":
        counts: Counter[str] = Counter(change.op for change in changes)
        words = {"add": "added", "replace": "changed", "remove": "removed"}
        yield "change", "  ~ values: " + ", ".join(f"{counts[op]} {word}" for op, word in words.items() if counts[op])
        return
    for change in changes:
        for style, text in fields([change], how.context):
            yield style, f"  {text}"
        if layer := layers.get(change.path):
            yield "dim", f"      set by {layer}"


def patch(steps: Sequence[Step], context: int) -> Iterator[str]:
    """All changes as one unified diff that standard tools apply; an object that changes twice stands there twice."""
    for step in steps:
        for change in step.objects:
            if matters(change) and change.action is not Action.KEEP:
                yield from (text for _, text in unified(change, context))


def unified(change: ObjectChange, context: int) -> Iterator[Line]:
    """One object as a unified diff of its YAML, with file names by identity."""
    name = "/".join(part for part in (change.ref.namespace, change.ref.kind, change.ref.name) if part) + ".yaml"
    old = "/dev/null" if change.before is None else f"a/{name}"
    new = "/dev/null" if change.after is None else f"b/{name}"
    before = [] if change.before is None else yaml_lines(change.before)
    after = [] if change.after is None else yaml_lines(change.after)
    for line in difflib.unified_diff(before, after, old, new, n=context, lineterm=""):
        named = {"---": "head", "+++": "plain"}.get(line[:3])  # a head has an empty line before it
        style = named or {"+": "add", "-": "remove", "@": "dim"}.get(line[:1], "plain")
        yield style, line


def yaml_lines(body: Any) -> list[str]:
    """A body as YAML lines, keys sorted, texts of several lines as blocks: what a person would diff."""
    import yaml

    plain = json.loads(json.dumps(body, default=str))
    text = yaml.dump(plain, Dumper=_dumper(), sort_keys=True, allow_unicode=True, width=4096, default_flow_style=False)
    return str(text).rstrip("\n").split("\n")


def fields(changes: Iterable[tree.Change], context: int = 1) -> Iterator[Line]:
    """The changed fields of one object, path first."""
    for change in changes:
        for inner in _inner(change):
            yield from _field(inner, context)


def _inner(change: tree.Change) -> Iterator[tree.Change]:
    """A list that changed as a whole, element by element where its length stayed (initContainers: order matters)."""
    old, new = change.old, change.new
    if not (isinstance(old, list) and isinstance(new, list) and len(old) == len(new)) or tree.moved(change):
        yield change
        return
    for at, (before, after) in enumerate(zip(old, new, strict=True)):
        if not (isinstance(before, dict) and isinstance(after, dict) and before.get("name") == after.get("name")):
            yield change
            return
        step: str | int = tree.Named(f"name={before['name']}") if "name" in before else at
        for inner in tree.diff(before, after, ordered=True):
            yield tree.Change((*change.path, step, *inner.path), inner.op, inner.old, inner.new)


def _object(change: ObjectChange, how: How) -> Iterator[Line]:
    mark = MARKS[change.action]
    count = len(change.changes)
    crd = change.ref.kind == CRD and not how.crds
    tail = f", {counted(count, 'field')} changed (--crds full)" if crd and count else ""
    yield _STYLES[mark], f"  {mark} {change.ref} ({change.action}{tail})"
    if crd or how.form == "summary":
        return
    shown = change.changes if how.limit is None else change.changes[: how.limit]
    for style, text in fields((*shown, *(change.noise if how.noise else ())), how.context):
        yield style, f"      {text}"
    if len(shown) < count:
        yield "dim", f"      … and {count - len(shown)} more fields"


def _grouped(created: Sequence[ObjectChange]) -> Iterable[str]:
    """Objects to create, a line a kind: an install is read as a whole, its objects are all new."""
    kinds: dict[str, list[str]] = {}
    for change in created:
        kinds.setdefault(change.ref.kind, []).append(change.ref.name)
    for kind, names in kinds.items():
        yield f"{kind}: {', '.join(names)}"


def _field(change: tree.Change, context: int) -> Iterator[Line]:
    path = tree.show(change.path)
    if tree.moved(change):
        yield "change", f"{path}: only the order changed"
        yield from _lines(tree.Change((), "replace", *map(_names, (change.old, change.new))), context)
    elif ends := _line_ends(change):
        yield "change", f"{path}: only the line ends differ: {ends}"
    elif change.op == "replace" and (_long(change.old) or _long(change.new)):
        yield "change", f"{path}:"
        yield from _lines(change, context)
    elif change.op == "add":
        yield from _whole("add", "+", path, change.new)
    elif change.op == "remove":
        yield from _whole("remove", "-", path, change.old)
    else:
        yield "change", f"{path}: {_short(change.old)} → {_short(change.new)}"


def _line_ends(change: tree.Change) -> str:
    """How the lines of two texts end whose lines are the same; empty where more differs, or they are no texts."""
    old, new = change.old, change.new
    if not (isinstance(old, str) and isinstance(new, str)) or old.splitlines() != new.splitlines():
        return ""
    return f"{_ends(old)} → {_ends(new)}"


def _ends(text: str) -> str:
    lines = text.splitlines(keepends=True)
    found = [line[len(line.splitlines()[0]) :] for line in lines]
    named = dict.fromkeys(_ENDS.get(end, repr(end)) for end in found if end)
    return ", ".join([*named, *(["none after the last line"] if not all(found) else [])])


def _names(items: Iterable[Any]) -> list[Any]:
    return [item.get("name", item) if isinstance(item, dict) else item for item in items]


def _lines(change: tree.Change, context: int) -> Iterator[Line]:
    old, new = (_text_lines(value) for value in (change.old, change.new))
    for line in list(difflib.unified_diff(old, new, lineterm="", n=context))[2:]:
        style = {"+": "add", "-": "remove", "@": "dim"}.get(line[:1], "plain")
        yield style, f"  {line}"


def _whole(style: str, mark: str, path: str, value: Any) -> Iterator[Line]:
    if not _long(value):
        yield style, f"{mark} {path}: {_short(value)}"
        return
    yield style, f"{mark} {path}:"
    for line in _text_lines(value):
        yield style, f"{mark}     {line}"


def _text_lines(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    if isinstance(value, list):
        return [_short(item) for item in value]
    return yaml_lines(value)


def _long(value: Any) -> bool:
    if isinstance(value, str):
        return "\n" in value
    return isinstance(value, (dict, list)) and len(_short(value)) > _WIDTH


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper
