"""Errors in words: one line, the details, a hint, where to read on; and the report of a bug."""

import platform
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

from ddhelm import __version__
from ddhelm.errors import DdhelmError, Reported
from ddhelm.masking import Masker, untold
from ddhelm.views import pasted

_FRAMES = 12
_KEY_COMMAND = "-key-command"


def show(error: Reported, arguments: Sequence[str] = ()) -> None:
    """Print an expected failure on standard error; no word of ``arguments`` that looks like a secret is repeated."""
    from ddhelm.views import console

    screen = console.err()
    screen.print(f"[bold red]error:[/] {_plain(untold(error.message, arguments))}", soft_wrap=True)
    for detail in error.details:
        screen.print(f"  {_plain(untold(pasted.line(detail), arguments))}", soft_wrap=True)
    if error.hint:
        screen.print(f"[bold cyan]hint:[/] {_plain(untold(pasted.hint(error.hint), arguments))}", soft_wrap=True)
    if error.anchor:
        screen.print(f"[dim]see: ddhelm explain {error.anchor}[/]")


_MEANT = {
    "install": "onboard",
    "list": "status",
    "ls": "status",
    "get": "values",
    "template": "values",
    "show": "values",
    "delete": "uninstall",
    "remove": "uninstall",
    "lint": "check",
    "test": "verify",
}
"""What hands that know helm and kubectl type, and what it is called here."""


def usage(message: str, command: str, arguments: Sequence[str] = ()) -> None:
    """Print a mistake on the command line, with the command (`ddhelm diff revision`) whose help explains it."""
    if not message.strip():  # the help has just been printed
        return
    message = " ".join(message.split()).rstrip(".,")
    unknown = re.match(r"No such command '([^']*)'", message)
    if unknown and unknown[1] in _MEANT:
        show(DdhelmError(unknown[0], hint=f"ddhelm {_MEANT[unknown[1]]}"))
    else:
        show(DdhelmError(message, hint=f"{command} --help"), arguments)


def bug(error: Exception, arguments: Sequence[str], hide: Callable[[str], str]) -> None:
    """Print a report that can be pasted into an issue: versions, the command, the end of the traceback, no secrets.

    ``hide`` takes the values out that this run knows to be secret, whatever they look like.
    """
    from ddhelm.views import console

    frames = traceback.format_exception(error)[-_FRAMES:]
    report = [
        f"ddhelm {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        f"$ ddhelm {shlex.join(_public(arguments))}",
        *"".join(frames).rstrip().splitlines(),
    ]
    screen, status = console.err(), pasted.sentence("`ddhelm status`")
    screen.print(f"[bold red]error:[/] a bug in ddhelm: {type(error).__name__}")
    screen.print(f"[bold cyan]hint:[/] {_plain(status)} shows where the cluster stands; and report this:\n")
    sys.stderr.write(Masker(b"report").text(hide("\n".join(report))) + "\n")


def _public(arguments: Sequence[str]) -> Iterator[str]:
    """The words of a command line, without those of a program that prints a key: any of them may be a password."""
    before = ""
    for word in arguments:
        flag, equals, _ = word.partition("=")
        hidden = f"{flag}=***" if equals and flag.endswith(_KEY_COMMAND) else word
        yield "***" if before.endswith(_KEY_COMMAND) else hidden
        before = word


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
