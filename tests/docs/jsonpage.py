"""Holds documents of `-o json` against their page: exactly the fields that stand there, each of its type."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, get_args

from ddhelm.views import envelope
from tests.docs.pages import page

PAGE = "docs/reference/json.md"
KINDS = frozenset(get_args(envelope.Kind))
TYPES: dict[str, type | tuple[type, ...]] = {"text": str, "number": (int, float), "boolean": bool}
NULL = "null"
"""Stands among the fields of a map that may be null."""

Shape = dict[str, "Shape | str"]


@cache
def shape(kind: str) -> Shape:
    """The fields of a kind as the page's table has them: name to what is below, or to its type; `[]` is any element."""
    found: Shape = {}
    for names, type_ in re.findall(r"^\| (`[^|]*) \| (\w+) \|", page(PAGE).section(kind), re.MULTILINE):
        assert type_ in {*TYPES, *KINDS, "any", "map"}, f"{kind}: {type_} is no type"
        for path in re.findall(r"`([^`]+)`", names):
            *above, last = path.replace("[]", ".[]").split(".")
            at = found
            for step in above:
                below = at.setdefault(step, {})
                assert isinstance(below, dict), f"{kind}: `{path}` stands below `{step}`, which has a type"
                at = below
            assert last not in at, f"{kind}: `{path}` stands there twice"
            at[last] = {NULL: ""} if type_ == "map" else type_
    assert found, f"{PAGE} says nothing about {kind}"
    return found


def fields(kind: str) -> set[str]:
    """Every field of a kind, by its path: what has fields of its own is not one."""
    return set(_leaves(shape(kind), ""))


def check(document: dict[str, Any]) -> set[str]:
    """Fails where a document has a field that its page does not name, lacks one, or has one of another type.

    Gives the fields that it has a value for.
    """
    assert document["apiVersion"] == "ddhelm/v1"
    kind = document["kind"]
    met: set[str] = set()
    _check(document["data"], shape(kind), "", kind, met)
    return met


def _leaves(wanted: Shape | str, path: str) -> list[str]:
    if isinstance(wanted, str):
        return [path]
    return [leaf for name, below in wanted.items() if name != NULL for leaf in _leaves(below, f"{path}.{name}")]


def _check(value: Any, wanted: Shape | str, path: str, kind: str, met: set[str]) -> None:
    where = f"{kind}{path}"
    if isinstance(wanted, str):
        if value is None:
            return
        met.add(path)
        if wanted in KINDS:
            _check(value, shape(wanted), "", f"{where}: {wanted}", set())
        elif wanted != "any":
            right = isinstance(value, TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
            assert right, f"{where}: {value!r} is no {wanted}"
    elif "[]" in wanted:
        assert isinstance(value, list), f"{where} is no list"
        for each in value:
            _check(each, wanted["[]"], f"{path}.[]", kind, met)
    elif value is not None or NULL not in wanted:
        assert isinstance(value, dict), f"{where} is no map"
        named = wanted.keys() - {NULL}
        assert value.keys() == named, f"{where}: {sorted(value.keys() ^ named)}"
        for key, below in value.items():
            _check(below, wanted[key], f"{path}.{key}", kind, met)
