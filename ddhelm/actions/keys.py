"""Where the Datadog keys come from: file, standard input, a program, environment, hidden prompt.

A key is a ``Key``, a value that cannot be printed. It leaves this process in one way only: through the standard
input of ``kubectl apply``, into a Kubernetes Secret.
"""

import os
import re
import secrets
import shlex
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from ddhelm import wholefile
from ddhelm.errors import ConfigError, ToolError, UsageError
from ddhelm.pasting import typed
from ddhelm.reserved import Reserved
from ddhelm.run import Command, RunnerLike

TOKEN_LENGTH = 32
"""Shortest token that the Cluster Agent and the agents accept (datadog-agent: ``authTokenMinimalLen``)."""

_FILE_LIMIT = 4096
_COMMAND_TIMEOUT = 180.0
_KEY = re.compile(r"(?<![0-9A-Za-z])([0-9a-fA-F]{32}|[0-9a-fA-F]{40})(?![0-9A-Za-z])")


class Hider(Protocol):
    """What is told of each secret value, so that no output can contain it."""

    def add(self, *values: str) -> None:
        """Hide these values from now on."""


class Key(Reserved, frozen=True):
    """A secret text. ``origin`` may be shown; the text comes out by ``reveal`` alone. ``stored``: it is in a Secret."""

    unshown: ClassVar[tuple[str, ...]] = ("_text",)

    origin: str
    _text: str
    stored: bool = False

    def reveal(self) -> str:
        """The secret itself, for the standard input of kubectl."""
        return self._text

    def __str__(self) -> str:
        return f"key from {self.origin}"


def read(
    what: str,
    *,
    variable: str,
    file: str | None,
    command: str | None = None,
    hider: Hider,
    runner: RunnerLike | None = None,
    environ: Mapping[str, str] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Key | None:
    """The key from ``--…-key-file`` (``-``: standard input) or ``--…-key-command``, else from the environment variable.

    None where none of them has one. ``runner`` starts the command, ``tell`` gets what it says on standard error.
    Raises ConfigError for a file or a command that gives nothing, too much, or what cannot be a key, UsageError for
    both at once.
    """
    environ = os.environ if environ is None else environ
    if file is not None and command is not None:
        flag = "--api-key" if what == "API key" else "--app-key"
        raise UsageError(
            f"`{flag}-file` and `{flag}-command` cannot be meant together",
            hint="give one of them",
            anchor="contradicting-flags",
        )
    if command is not None:
        assert runner is not None
        origin, text = _printed(what, command, runner, tell)
    elif file is not None:
        origin = "standard input" if file == "-" else f"`{file}`"
        text = _file(what, file, origin)
    elif environ.get(variable):
        origin, text = f"`{variable}`", environ[variable]
    else:
        return None
    text = text.strip()
    hider.add(text)
    return Key(origin, checked(what, text, origin))


def _printed(what: str, line: str, runner: RunnerLike, tell: Callable[[str], None] | None) -> tuple[str, str]:
    """A program's name, and what it prints; the line is split as a shell splits, and started without one.

    Nothing shows its arguments: it opens a vault, and what looks like any word may be the password.
    """
    try:
        argv, problem = tuple(shlex.split(line)), ""
    except ValueError as error:
        argv, problem = (), f": {str(error).lower()}"
    if not argv:
        raise ConfigError(
            f"the command for the {what} cannot be read{problem}",
            hint="write it as in a shell: `op read op://infra/datadog/api-key`",
            anchor="key-command",
        )
    if any(_KEY.search(word) for word in argv):
        raise ConfigError(
            f"the command for the {what} has a key in its arguments, where every user of this machine can read it",
            hint=f"name a program that prints the {what}",
            anchor="key-command",
        )
    program = f"`{shlex.quote(argv[0])}`"
    try:
        done = runner.run(Command(argv, timeout=_COMMAND_TIMEOUT, reads=True, private=True, on_stderr=tell))
    except ToolError as error:
        raise ConfigError(
            f"{error.message}; it should print the {what}",
            hint=f"command -v {shlex.quote(argv[0])} says where it is, if anywhere",
            anchor="key-command",
        ) from None
    if not done.ok:
        how = "did not end in time" if done.timed_out else f"ended with exit code {done.code}"
        raise ConfigError(
            f"{program}, which should print the {what}, {how}",
            hint="type it yourself; it is given no terminal and no variable that begins with DD_ or HELM_",
            anchor="key-command",
            details=[each for each in done.err.splitlines()[-3:] if each.strip() and tell is None],
        )
    if len(done.stdout) > _FILE_LIMIT:
        raise ConfigError(
            f"{program} prints too much to be the {what}",
            hint=f"it must print the {what} alone",
            anchor="unusable-key",
        )
    return program, done.out


def checked(what: str, text: str, origin: str) -> str:
    """``text`` if it can be a key at all: not empty, one line, no spaces; raises ConfigError without showing it."""
    if not text:
        raise ConfigError(
            f"the {what} from {origin} is empty", hint=f"put the {what} alone into it", anchor="unusable-key"
        )
    if re.search(r"\s", text) or not text.isprintable() or not text.isascii():
        raise ConfigError(
            f"the {what} from {origin} has spaces, several lines or odd characters in it",
            hint=f"{origin} must hold the {what} alone, with nothing around it",
            anchor="unusable-key",
        )
    return text


def looks_wrong(what: str, key: Key) -> str:
    """A warning where the key has not the form that Datadog's keys have (32 or 40 hexadecimal digits), else empty.

    Datadog's own agents only warn too: the API is the judge (datadog-agent's scrubber, `[a-fA-F0-9]{32}`/`{40}`).
    """
    digits = 32 if what == "API key" else 40
    if re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", key.reveal()):
        return ""
    return f"the {what} from {key.origin} is not {digits} hexadecimal digits, as Datadog's are; it is used as it is"


def prompt(what: str, hider: Hider, ask: "Ask | None") -> Key:
    """Ask for a key without echo; raises UsageError (64) where there is nobody to ask."""
    option = "--api-key-file" if what == "API key" else "--app-key-file"
    variable = "DD_API_KEY" if what == "API key" else "DD_APP_KEY"
    if ask is None:
        raise UsageError(
            f"a Datadog {what} is needed and there is no terminal to ask for it",
            hint=f"set {variable}, or give `{option} FILE` (`-` reads standard input)",
            anchor="no-key",
        )
    text = ask(f"Datadog {what}").strip()
    hider.add(text)
    return Key("the prompt", checked(what, text, "the prompt"))


class Ask(Protocol):
    """Asks a person for a secret, without echo."""

    def __call__(self, question: str) -> str:
        """The answer."""


def new_token(hider: Hider) -> Key:
    """A fresh token for the Cluster Agent: letters and digits, twice as long as its shortest."""
    text = secrets.token_hex(TOKEN_LENGTH)
    hider.add(text)
    return Key("a random source", text)


def _file(what: str, name: str, origin: str) -> str:
    try:
        data = wholefile.read(name, _FILE_LIMIT + 1)
    except IsADirectoryError:
        raise ConfigError(
            f"{origin} is a folder, not a file with the {what}", hint="name the file", anchor="key-file"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the {what} cannot be read from {origin}: {error.strerror}",
            hint=typed("ls -l {path}", path=wholefile.spelled(name)),
            anchor="key-file",
        ) from None
    if len(data) > _FILE_LIMIT:
        raise ConfigError(
            f"{origin} is too large to hold the {what}", hint=f"it must hold the {what} alone", anchor="unusable-key"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(
            f"{origin} is no text", hint=f"it must hold the {what} alone, as text", anchor="unusable-key"
        ) from None
