"""Where this run acts, for the commands in its hints: told once by the command line, used wherever one is shown."""

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


def tree(data: Any) -> Any:
    """A JSON tree with its hints completed (whatever stands under ``hint`` or ``hints``)."""
    match data:
        case dict():
            return {key: _hints(value) if key in ("hint", "hints") else tree(value) for key, value in data.items()}
        case list():
            return [tree(item) for item in data]
    return data


def _hints(value: Any) -> Any:
    if isinstance(value, str):
        return hint(value)
    return [_hints(item) for item in value] if isinstance(value, list) else value
