"""A strict stand-in for ``Kubectl.raws``: each path must have been given an answer, in the order of asking."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from ddhelm.errors import DdhelmError
from ddhelm.kubectl import Answer

Said = dict[str, Any] | DdhelmError | None


class ApiServer:
    """Answers GETs. A path that nobody gave an answer to fails the test; the last answer of a path is repeated."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Said]] = {}
        self.asked: list[str] = []

    def serve(self, path: str, *answers: Said) -> None:
        """What a path (unquoted) answers: a tree, None for 404, an error; several are given one after the other."""
        self.answers[path] = list(answers)

    def raws(self, paths: Sequence[str]) -> tuple[Answer, ...]:
        return tuple(self._answer(path) for path in paths)

    def asked_for(self, part: str) -> list[str]:
        """The paths asked that hold a text."""
        return [path for path in self.asked if part in path]

    def _answer(self, path: str) -> Answer:
        plain = unquote(path)
        self.asked.append(plain)
        if plain not in self.answers:
            raise AssertionError(f"nobody said what GET {plain} answers")
        waiting = self.answers[plain]
        said = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if said is None:
            return Answer(path, None)
        if isinstance(said, DdhelmError):
            return Answer(path, None, said)
        return Answer(path, json.dumps(said).encode())


def items(*trees: Any, token: str = "") -> dict[str, Any]:
    """A list document; ``token`` says that there is more."""
    return {"kind": "List", "metadata": {"continue": token} if token else {}, "items": list(trees)}
