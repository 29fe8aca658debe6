"""The help of a command, as kubectl and helm lay it out: plain, eighty columns, flags in groups, examples first.

Typer's own panels cut long flags (`--control-plane-…`) where a terminal is narrow; a flag that is cut cannot be typed.
"""

import copy
import os
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

F = TypeVar("F", bound=Callable[..., Any])

GROUPS = ("", "Cluster", "Keys", "Datadog", "Nodes", "Values", "Chart", "Run", "Output")
"""The order of the groups of flags; the first holds what only this command has."""

COMMANDS = {
    "Before": ("detect", "check", "plan", "diff", "values"),
    "Change": ("onboard", "apply", "upgrade", "rollback", "rotate", "uninstall"),
    "After": ("status", "verify", "history", "drift"),
}
"""The groups of commands; whatever is in none of them comes last."""

_COLUMN = 34


class Command(TyperCommand):
    """A command with this page as its help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page; the terminal's width is the formatter's."""
        formatter.write(page(self, ctx, formatter.width))


class Group(TyperGroup):
    """A command that has further ones below it, with this page as its help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page; the terminal's width is the formatter's."""
        formatter.write(page(self, ctx, formatter.width))


class App(typer.Typer):
    """A Typer whose commands and groups have this help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": Group, "rich_markup_mode": None, **settings})

    def command(self, *name: Any, **settings: Any) -> Callable[[F], F]:
        """As Typer's, with this help."""
        return super().command(*name, **{"cls": Command, **settings})

    def serving(self, arguments: Sequence[str]) -> "App":
        """The App with no more commands than a command line can mean: Typer makes all of them at every start.

        All are there where the first word is none of them, for the list and for what was probably meant, and in a shell
        that completes.
        """
        first = arguments[0] if arguments else ""
        names = {_name(each) for each in (*self.registered_commands, *self.registered_groups)}
        if first not in names | {"--version"} or "_DDHELM_COMPLETE" in os.environ:
            return self
        one = copy.copy(self)
        one.registered_commands = [each for each in self.registered_commands if _name(each) in arguments]
        one.registered_groups = [each for each in self.registered_groups if _name(each) in arguments]
        return one


def _name(registered: Any) -> str:
    return str(registered.name or registered.callback.__name__.replace("_", "-"))


def page(command: Any, ctx: Any, width: int) -> str:
    """The whole help of a Typer command (their classes are not public), lines up to ``width``."""
    from ddhelm.examples import EXAMPLES

    path = ctx.command_path
    blocks = [_wrapped(command.help or "", width), "Usage:\n" + _usage(command, ctx)]
    if lines := EXAMPLES.get(path.partition(" ")[2]):
        blocks.append("Examples:\n" + "\n".join(f"  {line}".rstrip() for line in lines))
    blocks += _commands(command, width)
    blocks += _parameters(command, ctx, width)
    if getattr(command, "commands", {}):
        blocks.append(f"`{path} COMMAND --help` tells more about a command.")
    return "\n\n".join(blocks) + "\n"


def _usage(command: Any, ctx: Any) -> str:
    below = getattr(command, "commands", {})
    arguments = [each.make_metavar(ctx) for each in command.get_params(ctx) if each.param_type_name == "argument"]
    lines = (
        [] if below and not command.invoke_without_command else [" ".join([ctx.command_path, *arguments, "[FLAGS]"])]
    )
    return "\n".join(f"  {line}" for line in [*lines, *([f"{ctx.command_path} COMMAND [FLAGS]"] if below else [])])


def _commands(command: Any, width: int) -> Iterable[str]:
    left = {name: each for name, each in getattr(command, "commands", {}).items() if not each.hidden}
    found = [(group, [(name, left.pop(name)) for name in names if name in left]) for group, names in COMMANDS.items()]
    grouped = [(group, rows) for group, rows in found if len(rows) > 1]
    lonely = [row for _, rows in found if len(rows) == 1 for row in rows]
    for group, rows in [*grouped, ("More" if grouped else "Commands", [*lonely, *left.items()])]:
        if rows:
            told = [(f"  {name}", each.get_short_help_str(200)) for name, each in rows]
            yield f"{group}:\n" + _columns(told, width)


def _parameters(command: Any, ctx: Any, width: int) -> Iterable[str]:
    arguments, groups = [], {group: [] for group in GROUPS}  # type: tuple[list[tuple[str, str]], dict[str, Any]]
    for each in command.get_params(ctx):
        if getattr(each, "hidden", False):
            continue
        _, text = each.get_help_record(ctx) or ("", "")
        if each.param_type_name == "argument":
            arguments.append((f"  {each.make_metavar(ctx)}", text))
        else:
            groups.setdefault(each.rich_help_panel or "", []).append((_spelling(each, ctx), text))
    if arguments:
        yield "Arguments:\n" + _columns(arguments, width)
    for group, rows in groups.items():
        if rows:
            yield f"{group or 'Flags'}:\n" + _columns(rows, width)


def _spelling(option: Any, ctx: Any) -> str:
    """How a flag is typed: `  -n, --namespace NAME`, `      --[no-]logs`."""
    short = [name for name in option.opts if not name.startswith("--")]
    long = [name for name in option.opts if name.startswith("--")]
    if option.secondary_opts:
        long = [f"--[no-]{long[0][2:]}"]
    start = f"  {short[0]}, " if short else "      "
    value = "" if option.is_flag or option.count else f" {option.make_metavar(ctx)}"
    return start + ", ".join(long) + value


def _columns(rows: Sequence[tuple[str, str]], width: int) -> str:
    """Two columns; what is too long for the first one has its text on the next line."""
    column = min(max(len(left) for left, _ in rows) + 2, _COLUMN)
    lines = []
    for left, text in rows:
        told = textwrap.wrap(text, max(width - column, 20), break_long_words=False, break_on_hyphens=False)
        if len(left) + 2 > column and told:
            lines.append(left)
        else:
            lines.append((left.ljust(column) + (told.pop(0) if told else "")).rstrip())
        lines += [" " * column + line for line in told]
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> str:
    return "\n\n".join(textwrap.fill(" ".join(part.split()), width) for part in text.strip().split("\n\n"))
