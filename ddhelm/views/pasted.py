"""Where this run acts, for the commands in its hints: told once by the command line, used wherever one is shown."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from ddhelm.pasting import Place, complete, complete_quoted

NOWHERE = Place()
_PLACE = ContextVar("place", default=NOWHERE)


def at(place: Place) -> None:
    """From now on hints bring to this place."""
    _PLACE.set(place)


def hint(text: str) -> str:
    """A hint as it is shown: pasted, it acts on this run's cluster and namespace."""
    return complete(text, _PLACE.get())


def sentence(text: str) -> str:
    """A sentence as it is shown, with the commands in its backticks completed in the same way."""
    return complete_quoted(text, _PLACE.get())


def line(text: str) -> str:
    """A line below an error: a sentence, or the hint of one of several problems."""
    return hint(text) if text.lstrip().startswith("hint: ") else sentence(text)


_TREE: Mapping[str, Callable[[str], str]] = {
    "hint": hint,
    "hints": hint,
    "fix": hint,
    "toRemove": hint,
    "details": line,
    "notes": sentence,
    "notices": sentence,
}


def tree(data: Any, shown: Callable[[str], str] | None = None) -> Any:
    """A JSON tree as it is shown: the commands in what stands under these keys completed."""
    match data:
        case dict():
            return {key: tree(value, _TREE.get(key)) for key, value in data.items()}
        case list():
            return [tree(item, shown) for item in data]
        case str() if shown:
            return shown(data)
    return data
