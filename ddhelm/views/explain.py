"""What an error means, laid out for a terminal; as Markdown for whatever else reads it."""

import sys
from collections.abc import Iterable

from ddhelm.views import console

_WIDEST = 100


def names(known: Iterable[str]) -> None:
    """One name a line."""
    for name in known:
        print(name)  # noqa: T201 - for `grep` and shells


def section(name: str, text: str) -> None:
    """The heading and the text of one error."""
    if not sys.stdout.isatty():
        print(f"### `{name}`\n\n{text}", end="")  # noqa: T201 - Markdown, to the letter
        return
    from rich.markdown import Markdown

    screen = console.out()
    screen.print(f"[head]{name}[/]\n")
    screen.print(Markdown(text), width=min(screen.width, _WIDEST))
