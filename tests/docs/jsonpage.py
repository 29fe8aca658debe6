"""Holds documents of `-o json` against their page: exactly the fields that stand there, each of its type."""

from __future__ import annotations

import re
from typing import Any

from tests.docs.pages import page

PAGE = "docs/reference/json.md"
TYPES: dict[str, type | tuple[type, ...]] = {"text": str, "number": (int, float), "boolean": bool}

Shape = dict[str, "Shape | str"]


def shape(kind: str) -> Shape:
    """The fields of a kind as the page's table has them: name to what is below, or to its type; `[]` is any element."""
    found: Shape = {}
    for names, type_ in re.findall(r"^\| (`[^|]*) \| (\w+) \|", page(PAGE).section(kind), re.MULTILINE):
        for path in re.findall(r"`([^`]+)`", names):
            *above, last = path.replace("[]", ".[]").split(".")
            at = found
            for step in above:
                below = at.setdefault(step, {})
                assert isinstance(below, dict), f"{kind}: `{path}` stands below `{step}`, which has a type"
                at = below
            at[last] = type_
    assert found, f"{PAGE} says nothing about {kind}"
    return found


def check(document: dict[str, Any]) -> None:
    """Fails where a document has a field that its page does not name, lacks one, or has one of another type."""
    assert document["apiVersion"] == "ddhelm/v1"
    _check(document["data"], shape(document["kind"]), document["kind"])


def _check(value: Any, wanted: Shape | str, where: str) -> None:
    if isinstance(wanted, str):
        assert wanted == "any" or value is None or isinstance(value, TYPES[wanted]), (
            f"{where}: {value!r} is no {wanted}"
        )
    elif "[]" in wanted:
        assert isinstance(value, list), f"{where} is no list"
        for each in value:
            _check(each, wanted["[]"], f"{where}[]")
    else:
        assert isinstance(value, dict), f"{where} is no map"
        assert value.keys() == wanted.keys(), f"{where}: {sorted(value.keys() ^ wanted.keys())}"
        for key, below in value.items():
            _check(below, wanted[key], f"{where}.{key}")
