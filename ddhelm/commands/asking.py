"""Questions on the terminal: whether there is somebody to ask, and whether the answer is yes."""

import sys

from ddhelm.access import Access
from ddhelm.errors import UsageError
from ddhelm.views import console


def terminal() -> bool:
    """Whether there is somebody who can see a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def needed(would: str, hint: str) -> None:
    """UsageError where a question will have to be asked and there is nobody to ask.

    Said before a key is asked for or shown to Datadog: what is going to be refused shall not have done anything.
    """
    if not terminal():
        raise UsageError(f"this would {would}, and there is no terminal to ask on", hint=hint, anchor="no-terminal")


def about(access: Access, uid: str | None) -> str:
    """Which cluster a question is about; ``uid`` is kube-system's, empty where it could not be read."""
    return f"Context `{access.context}`, server {access.server}, kube-system UID {uid or 'unknown'}."


def confirm(question: str, *, hint: str, where: str = "", kept: str = "nothing was changed") -> None:
    """Ask on standard error, ``where`` first (see ``about``); UsageError for every answer but yes."""
    screen = console.err()
    if where:
        screen.print(f"\n{where}", markup=False)
    screen.print(f"{question} [y/N] ", end="", markup=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError(f"not confirmed; {kept}", hint=hint, anchor="not-confirmed")
