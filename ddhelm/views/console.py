"""The one place that builds consoles: where output goes, how wide, with which colours.

Colours go away for ``NO_COLOR``, ``TERM=dumb`` and pipes; a pipe is never wrapped, so that a line stays one line for
``grep``. Markup is on for the words of views; whatever comes from a cluster is escaped or goes through ``words``
(the scheduler writes `[NodeAffinity]`, which markup would swallow). One ``print`` is one line, one cell of a table too:
what would end it in the middle is shown, so that no text of a cluster can pass for a line of ours. A line with a
command in it is broken by the terminal alone, never by us: pasted, the half of a command is another one.
"""

import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from ddhelm.pasting import has_command
from ddhelm.views import pasted

if TYPE_CHECKING:
    from rich.console import Console as Console  # noqa: PLC0414 - what commands hand on
    from rich.table import Table
    from rich.text import Text

STYLES = {
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "faint": "dim",
    "thing": "bold",
    "hint": "cyan",
    "head": "bold",
    "markdown.code": "cyan",
}
GOOD, WARN, BAD = "✓", "!", "✗"
_UNWRAPPED = 10_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that a terminal obeys, those that end a line for some, and those that turn the direction of writing; the
end of a line is none of them here (``_on_one_line``)."""
_THING = re.compile(r"`[^`]*`")


def out(*, environ: Mapping[str, str] = os.environ, width: int | None = None) -> "Console":
    """The console on stdout, for answers."""
    return on(sys.stdout, environ=environ, width=width)


def err(*, environ: Mapping[str, str] = os.environ, width: int | None = None) -> "Console":
    """The console on stderr, for progress, questions and problems."""
    return on(sys.stderr, environ=environ, width=width)


def on(stream: TextIO, *, environ: Mapping[str, str] = os.environ, width: int | None = None) -> "Console":
    """A console on a stream: colour and the terminal's width on a terminal, plain unwrapped lines elsewhere."""
    terminal = stream.isatty() and environ.get("TERM") != "dumb"
    if width is None and not stream.isatty():
        columns = environ.get("COLUMNS", "")
        width = int(columns) if columns.isdecimal() and int(columns) else _UNWRAPPED
    return _console(stream, terminal=terminal, colour=terminal and not environ.get("NO_COLOR"), width=width)


def fixed(*, width: int = 100, colour: bool = False) -> "Console":
    """A console that writes into memory at a fixed width; ``text`` reads it back."""
    return _console(io.StringIO(), terminal=colour, colour=colour, width=width)


def text(console: "Console") -> str:
    """What was written to a ``fixed`` console, without blanks at line ends."""
    stream = console.file
    if not isinstance(stream, io.StringIO):
        raise TypeError("only a console made by `fixed` can be read back")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s: `1 pod`, `2 pods`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def words(sentence: str, style: str = "") -> "Text":
    """A sentence with its things in backticks made bold; the backticks stay, for eyes without colour.

    Commands in them are completed (``pasted``).
    """
    from rich.text import Text

    sentence = pasted.sentence(sentence)
    shown = Text(sentence, style=style)
    for found in _THING.finditer(sentence):
        shown.stylize("thing", *found.span())
    return shown


def problem(console: "Console", sentence: str, hint: str = "", *, mark: str = WARN, style: str = "warn") -> None:
    """One problem: its mark and sentence, and below it what to type."""
    from rich.text import Text

    console.print(Text(f"{mark} ", style=style) + words(sentence))
    if hint:
        console.print(Text("  hint: ", style="faint") + Text(pasted.hint(hint), style="hint"), soft_wrap=True)


def grid(*heads: str, right: tuple[str, ...] = ()) -> "Table":
    """A table as kubectl draws them: a line of heads, columns apart by blanks, no frames."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="head", show_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        # Long names fold rather than vanish behind an ellipsis: a name that is cut cannot be pasted.
        table.add_column(head, justify="right" if head in right else "left", overflow="fold")
    return table


def _on_one_line(shown: "Text") -> "Text":
    """The text with ends of lines in it shown; those around it are empty lines that a view wants."""
    first, last = len(shown.plain) - len(shown.plain.lstrip("\n")), len(shown.plain.rstrip("\n"))
    if "\n" not in shown.plain[first:last]:
        return shown
    inner = shown.blank_copy(r"\n").join(shown[first:last].split("\n", allow_blank=True))
    return shown[:first] + inner + shown[last:]


def _visible(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _console(stream: TextIO, *, terminal: bool, colour: bool, width: int | None) -> "Console":
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text
    from rich.theme import Theme

    class Harmless(Console):
        """Shows control characters instead of obeying them: names and texts of a cluster are written by anybody."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            if isinstance(renderable, Text):
                renderable = _on_one_line(renderable)
            for segment in super().render(renderable, options):
                if not segment.control and _CONTROL.search(segment.text):
                    yield Segment(_CONTROL.sub(_visible, segment.text), segment.style)
                else:
                    yield segment

        def print(self, *objects: Any, soft_wrap: bool | None = None, **more: Any) -> None:
            whole = soft_wrap or any(isinstance(each, str | Text) and has_command(str(each)) for each in objects)
            super().print(*objects, soft_wrap=whole or None, **more)

        def render_str(self, text: str, **more: Any) -> Text:
            return _on_one_line(super().render_str(text, **more))

    return Harmless(
        file=stream,
        theme=Theme(STYLES),
        width=width,
        force_terminal=terminal,
        color_system="standard" if colour else None,
        no_color=not colour,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
