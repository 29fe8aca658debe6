"""Pure operations on JSON trees: values, manifests and answers of the API all have this shape.

Everything that compares or combines values goes through here, so that Helm's own rules (maps merge, lists are
replaced) and Kubernetes' (a list of containers is a map by name) are each written down once.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

Path = tuple[str | int, ...]
Tree = dict[str, Any]
ListKeys = Mapping[str, tuple[tuple[str, ...], ...]]


class Named(str):
    """A path step into a named list: ``name=agent``, ``containerPort=8125,protocol=UDP``."""

    __slots__ = ()


# The keys by which the Kubernetes API itself merges these lists (`patchMergeKey` in its Go types), so that a moved
# container is no change. initContainers are absent on purpose: they run one after another, their order has meaning.
LIST_KEYS: Final[ListKeys] = {
    "containers": (("name",),),
    "ephemeralContainers": (("name",),),
    "env": (("name",),),
    "volumes": (("name",),),
    "volumeMounts": (("mountPath",),),
    "volumeDevices": (("devicePath",),),
    "imagePullSecrets": (("name",),),
    "secrets": (("name",),),
    "webhooks": (("name",),),
    "versions": (("name",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "hostAliases": (("ip",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
}
# Lists whose elements have no name and whose order no reader of the API looks at.
UNORDERED: Final = frozenset({"tolerations", "subjects", "finalizers"})
# What the API fills in when a part of the name is not written.
_IDENTITY_DEFAULTS: Final[Mapping[str, str]] = {"protocol": "TCP"}


class Change(Struct, frozen=True):
    """One difference between two trees; ``old`` is None for an addition, ``new`` for a removal."""

    path: Path
    op: Literal["add", "remove", "replace"]
    old: Any
    new: Any


def is_utf8(value: Any) -> bool:
    r"""Whether each text of a JSON tree can be written as UTF-8.

    Python keeps as half a character what is not UTF-8 on the command line, and what JSON may escape (``"\ud800"``).
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """``over`` laid on ``base`` as Helm lays one ``-f`` file on another; neither is altered.

    Maps merge at every depth, anything else is replaced. A null replaces like any value and **stays**: it has to
    reach Helm, which deletes the chart's own default for it (see ``coalesce``).
    """
    out = dict(base)
    for key, value in over.items():
        under = out.get(key)
        out[key] = merge(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return out


def coalesce(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Tree:
    """``values`` laid on a chart's ``defaults`` as a template sees them: null deletes a key that the defaults have.

    Source: Helm's CoalesceValues; a null where the defaults have nothing is kept, as Helm keeps it.
    """
    out: Tree = {}
    for key, default in defaults.items():
        if key not in values:
            if default is not None:
                out[key] = _without_nulls(default)
            continue
        value = values[key]
        if value is None:
            continue
        out[key] = coalesce(value, default) if isinstance(value, dict) and isinstance(default, dict) else value
    return out | {key: value for key, value in values.items() if key not in defaults}


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(below) for key, below in value.items() if below is not None}


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each value that is no map and no list, with its path; an empty map or list is a leaf too."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    elif isinstance(tree, list) and tree:
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    else:
        yield path, tree


def get(tree: Any, path: Path, default: Any = None) -> Any:
    """The value at ``path``, or ``default`` where the path leaves the tree."""
    for step in path:
        at: Any = _position(tree, step) if isinstance(tree, list) and isinstance(step, Named) else step
        if not _inside(tree, at):
            return default
        tree = tree[at]
    return tree


def put(tree: Any, path: Path, value: Any) -> Any:
    """A copy of ``tree`` with ``value`` at ``path``; missing maps are made, lists are filled up with nulls."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(tree) if isinstance(tree, list) else []
        items += [None] * (step + 1 - len(items))
        items[step] = put(items[step], rest, value)
        return items
    if isinstance(tree, list) and isinstance(step, Named):
        items, at = list(tree), _position(tree, step)
        if at is None:
            return [*items, put(None, rest, value)]
        items[at] = put(items[at], rest, value)
        return items
    below = dict(tree) if isinstance(tree, dict) else {}
    below[step] = put(below.get(step), rest, value)
    return below


def drop(tree: Any, path: Path) -> Any:
    """A copy of ``tree`` without ``path``; the tree itself where there is no such path. Maps left empty stay."""
    step, rest = path[0], path[1:]
    at: Any = _position(tree, step) if isinstance(tree, list) and isinstance(step, Named) else step
    if not _inside(tree, at):
        return tree
    copy = tree.copy()
    if rest:
        copy[at] = drop(copy[at], rest)
    else:
        del copy[at]
    return copy


def _inside(tree: Any, step: Any) -> bool:
    if isinstance(tree, dict):
        return step in tree
    return isinstance(tree, list) and isinstance(step, int) and 0 <= step < len(tree)


def show(path: Path) -> str:
    r"""The path as ``helm --set`` spells it: ``datadog.confd.etcd\.yaml``, ``agents.tolerations[0].key``.

    A step into a named list is shown as ``containers[name=agent]``, which helm does not read but people do.
    """
    out = ""
    for step in path:
        if isinstance(step, int | Named):
            out += f"[{step}]"
        else:
            text = "".join(f"\\{c}" if c in "\\.,=[" else c for c in step)
            out += f".{text}" if out else text
    return out


_STEP = re.compile(r"\[(?P<of>.*?)\](?=[.\[]|\Z)|\.?(?P<key>(?:\\.|[^\\.\[])*)", re.DOTALL)


def read_path(text: str) -> Path:
    """The path that ``show`` made a text of; shown again it is the same text."""
    steps: list[str | int] = []
    for found in filter(lambda found: found[0], _STEP.finditer(text)):
        if found["of"] is None:
            steps.append(re.sub(r"\\(.)", r"\1", found["key"], flags=re.DOTALL))
        else:
            steps.append(int(found["of"]) if re.fullmatch(r"0|[1-9][0-9]*", found["of"]) else Named(found["of"]))
    return tuple(steps)


def diff(a: Any, b: Any, *, list_keys: ListKeys = LIST_KEYS, ordered: bool = False) -> tuple[Change, ...]:
    """What turns ``a`` into ``b``, in the order of ``a`` with additions last; empty when they mean the same.

    Lists named in ``list_keys`` are matched by their elements' names when every element has one and none is there
    twice; any other list is one change as a whole, because Helm replaces lists whole too. The order of maps, of
    named lists and of ``UNORDERED`` lists is no difference. ``true`` is not 1; 1 is 1.0, as in JSON.

    ``ordered``: a list that differs in nothing but its order is one change too, so that it is empty exactly for what is
    ``same``. For two manifests: an `env` variable may name only those before it, and any order rolls pods.
    """
    out: list[Change] = []
    _compare(a, b, (), list_keys, out, ordered)
    return tuple(out)


def moved(change: Change) -> bool:
    """Whether nothing but the order of a list's elements changed."""
    old, new = change.old, change.new
    return isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _permuted(old, new, same)


def _compare(a: Any, b: Any, path: Path, list_keys: ListKeys, out: list[Change], ordered: bool) -> None:
    if a is b:
        return
    if isinstance(a, dict) and isinstance(b, dict):
        for key, old in a.items():
            if key not in b:
                out.append(Change((*path, key), "remove", old, None))
            elif type(old) is not str or old != b[key]:  # nine in ten leaves are equal texts: no call for them
                _compare(old, b[key], (*path, key), list_keys, out, ordered)
        out.extend(Change((*path, key), "add", None, new) for key, new in b.items() if key not in a)
        return
    if isinstance(a, list) and isinstance(b, list):
        name, known = path[-1] if path else "", len(out)
        named = _both_named(a, b, list_keys[name]) if isinstance(name, str) and name in list_keys else None
        if named:
            _compare_named(*named, path, list_keys, out, ordered)
            if not ordered or len(out) > known or [*named[0]] == [*named[1]]:
                return
        elif same(a, b) or (not ordered and _same_list(a, b, list_keys, ordered=name not in UNORDERED)):
            return
    elif same(a, b):
        return
    out.append(Change(path, "replace", a, b))


def _compare_named(
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    path: Path,
    list_keys: ListKeys,
    out: list[Change],
    ordered: bool,
) -> None:
    for name, old in a.items():
        if name in b:
            _compare(old, b[name], (*path, Named(name)), list_keys, out, ordered)
        else:
            out.append(Change((*path, Named(name)), "remove", old, None))
    out.extend(Change((*path, Named(name)), "add", None, new) for name, new in b.items() if name not in a)


def _both_named(
    a: list[Any], b: list[Any], candidates: tuple[tuple[str, ...], ...]
) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    for fields in candidates:
        by_name = _by_name(a, fields), _by_name(b, fields)
        if by_name[0] is not None and by_name[1] is not None and (by_name[0] or by_name[1]):
            return by_name[0], by_name[1]
    return None


def _by_name(items: list[Any], fields: tuple[str, ...]) -> Mapping[str, Any] | None:
    out: dict[str, Any] = {}
    for item in items:
        name = _name(item, fields)
        if name is None or name in out:
            return None
        out[name] = item
    return out


def _name(item: Any, fields: tuple[str, ...]) -> str | None:
    if not isinstance(item, dict):
        return None
    parts = []
    for field in fields:
        value = item.get(field, _IDENTITY_DEFAULTS.get(field))
        if not isinstance(value, str | int):
            return None
        parts.append(f"{field}={value}")
    return ",".join(parts)


def _position(items: Sequence[Any], name: str) -> int | None:
    """Where the element called ``name`` (``containerPort=80,protocol=TCP``) stands in a list."""
    fields = tuple(part.split("=", 1)[0] for part in name.split(","))
    for fields_of in (fields, fields[:1]):  # the name itself may hold a comma
        for index, item in enumerate(items):
            if _name(item, fields_of) == name:
                return index
    return None


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal in JSON, every order included: ``true`` is not 1, but 1 is 1.0."""
    if a is b:
        return True
    if isinstance(a, dict):
        return isinstance(b, dict) and len(a) == len(b) and all(k in b and same(v, b[k]) for k, v in a.items())
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return False  # the two booleans are singletons: equal ones were identical
    return bool(a == b)


def _same_list(a: list[Any], b: list[Any], list_keys: ListKeys, *, ordered: bool) -> bool:
    if len(a) != len(b):
        return False

    def equal(x: Any, y: Any) -> bool:
        return same(x, y) or not diff(x, y, list_keys=list_keys)

    if all(map(equal, a, b)):
        return True
    if ordered:
        return False
    return _permuted(a, b, equal)


def _permuted(a: list[Any], b: list[Any], equal: Callable[[Any, Any], bool]) -> bool:
    rest = list(b)
    for item in a:
        at = next((i for i, other in enumerate(rest) if equal(item, other)), None)
        if at is None:
            return False
        del rest[at]
    return True


def apply(a: Any, changes: Sequence[Change]) -> Any:
    """``a`` with the changes made: ``apply(a, diff(a, b))`` equals ``b`` up to the order of named lists."""
    for change in changes:
        if not change.path:
            return change.new
        a = drop(a, change.path) if change.op == "remove" else put(a, change.path, change.new)
    return a
