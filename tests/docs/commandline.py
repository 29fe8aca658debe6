"""The command line as Typer knows it: every command with every flag."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import typer.main

from ddhelm.cli import app


@dataclass(frozen=True, slots=True)
class Flag:
    """One parameter of one command: its spellings, its help, whether it takes a value."""

    names: tuple[str, ...]
    help: str
    takes_value: bool


@dataclass(frozen=True, slots=True)
class Verb:
    """One command: `onboard`, `diff revision`, or `` for ddhelm itself."""

    name: str
    help: str
    flags: tuple[Flag, ...]
    arguments: tuple[str, ...]
    verbs: tuple[str, ...] = field(default=())
    runs_without_verb: bool = False

    @property
    def stands_alone(self) -> bool:
        """Whether it does something without a further word: `plan` does, although there is `plan show`."""
        return not self.verbs or self.runs_without_verb

    @property
    def spellings(self) -> dict[str, Flag]:
        return {name: flag for flag in self.flags for name in flag.names}


def verbs() -> dict[str, Verb]:
    """Every command that is not hidden, by its name."""
    found: dict[str, Verb] = {}
    _walk(typer.main.get_command(app), "", found)
    return found


def _walk(command: Any, name: str, found: dict[str, Verb]) -> None:
    if command.hidden:
        return
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    flags = tuple(
        Flag((*param.opts, *param.secondary_opts), param.help or "", not (param.is_flag or param.count))
        for param in options
    )
    below = getattr(command, "commands", {})
    arguments = tuple(param.name for param in command.params if param.param_type_name == "argument")
    runs_alone = getattr(command, "invoke_without_command", False)
    found[name] = Verb(
        name, command.help or "", flags, arguments, tuple(word for word in below if not below[word].hidden), runs_alone
    )
    for verb, child in below.items():
        _walk(child, f"{name} {verb}".strip(), found)
