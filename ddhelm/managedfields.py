"""Who wrote which field of a live object, as the API server remembers it in ``metadata.managedFields``.

The form of ``fieldsV1`` is Kubernetes' own (structured-merge-diff): ``f:NAME`` a field, ``k:{…}`` the element of a
list with these keys, ``v:…`` an element by its value, ``i:N`` by its place, ``.`` the thing itself. Paths come out as
this house spells them, so that they can be held against a ``tree.diff``.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from ddhelm.tree import Named, Path, Tree, same

SCALE, STATUS = "scale", "status"
_DEFAULTS = {"protocol": "TCP"}


class Member(Named):
    """A path step to the element of a set that has this value (as JSON text): ``"kubernetes.io/pvc"``."""

    __slots__ = ()


class Writer(Struct, frozen=True):
    """Somebody who wrote an object: ``manager`` as the program called itself, ``operation`` Apply or Update.

    ``time`` is RFC 3339 in UTC, of the last change to this set of fields; ``subresource`` is empty for the object.
    """

    manager: str
    operation: str = "Update"
    time: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        through = f" through {self.subresource}" if self.subresource else ""
        return f"{self.manager}{through}"


class Entry(Struct, frozen=True):
    """One entry of ``managedFields``: a writer and the paths that it owns, parents before children.

    ``leaves`` are those of the paths below which nothing is listed: it owns them as one value.
    """

    writer: Writer
    paths: frozenset[Path]
    leaves: frozenset[Path]

    def owns(self, path: Path) -> bool:
        """Whether it owns the field at ``path``, something in it, or the list or map (as one value) that it is in."""
        return any(mine[: len(path)] == path for mine in self.paths) or any(
            path[:length] in self.leaves for length in range(1, len(path))
        )


def entries(managed: Iterable[Mapping[str, Any]] | None) -> tuple[Entry, ...]:
    """The entries of an object's ``metadata.managedFields``; what cannot be read owns nothing."""
    return tuple(_entry(each) for each in managed or ())


def changed(metadata: Mapping[str, Any], *paths: Path) -> str:
    """The API server's time (RFC 3339) of the last change to one of these fields of an object; empty where it does not
    say.
    """
    found = entries(metadata.get("managedFields"))
    return max((each.writer.time for each in found if any(each.owns(path) for path in paths)), default="")


def was_scaled(body: Mapping[str, Any]) -> bool:
    """Whether `kubectl scale` or an autoscaler set an object's replicas: that is drift, which no upgrade undoes."""
    managed = (body.get("metadata") or {}).get("managedFields") or ()
    return any(entry.get("subresource") == SCALE for entry in managed)


def lookup(tree: Any, path: Path) -> tuple[bool, Any]:
    """Whether ``path`` leads to something in a JSON tree, and to what."""
    for step in path:
        found, tree = _step(tree, step)
        if not found:
            return False, None
    return True, tree


def _entry(raw: Mapping[str, Any]) -> Entry:
    writer = Writer(
        str(raw.get("manager") or "unknown"),
        str(raw.get("operation") or ""),
        str(raw.get("time") or ""),
        str(raw.get("subresource") or ""),
    )
    fields = raw.get("fieldsV1")
    owned = list(_walk(fields, ())) if isinstance(fields, dict) else []
    return Entry(writer, frozenset(path for path, _ in owned), frozenset(path for path, leaf in owned if leaf))


def _walk(fields: Tree, path: Path) -> Iterator[tuple[Path, bool]]:
    """Each owned path, and whether nothing below it is listed."""
    if path and (not fields or "." in fields):
        yield path, not fields
    for key, below in fields.items():
        step = _name(key)
        if step is not None and isinstance(below, dict):
            yield from _walk(below, (*path, step))


def _name(key: str) -> str | int | None:
    """A key of ``fieldsV1`` as a path step; None for the thing itself and for what is not known."""
    kind, _, rest = key.partition(":")
    if kind == "f":
        return rest
    if kind == "i" and rest.isdigit():
        return int(rest)
    try:
        value = json.loads(rest) if kind in {"k", "v"} else None
    except ValueError:
        return None
    if kind == "v":
        return Member(json.dumps(value, sort_keys=True))
    if isinstance(value, dict):
        return Named(",".join(f"{name}={_text(part)}" for name, part in value.items()))
    return None


def _step(tree: Any, step: str | int) -> tuple[bool, Any]:
    if isinstance(tree, dict):
        return (True, tree[step]) if step in tree else (False, None)
    if not isinstance(tree, list):
        return False, None
    if isinstance(step, int):
        return (True, tree[step]) if 0 <= step < len(tree) else (False, None)
    if isinstance(step, Member):
        found = [item for item in tree if same(item, json.loads(step))]
    elif "," not in step:  # nearly always; a plan asks this a hundred thousand times
        key, _, text = step.partition("=")
        default = _DEFAULTS.get(key)
        found = [item for item in tree if isinstance(item, dict) and _text(item.get(key, default)) == text]
    else:
        found = [item for item in tree if isinstance(item, dict) and _called(item, step)]
    return (True, found[0]) if found else (False, None)


def _called(item: Tree, step: str) -> bool:
    """Whether a list's element has this name; read from the element's side, since a name may hold commas."""
    names = [part.partition("=")[0] for part in step.split(",")]
    for chosen in (names, names[:1]):
        if ",".join(f"{name}={_text(item.get(name, _DEFAULTS.get(name)))}" for name in chosen) == step:
            return True
    return False


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
