"""A runner that starts nothing and knows only what it was told: an unregistered command line fails the test."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ddhelm.run import Command, Completed, Ended, Later, Secrets, Server


@dataclass
class Reply:
    """What a registered command line answers; ``stdin`` is the JSON it must be given, if it is given any."""

    args: tuple[str, ...]
    done: Completed
    stdin: Any = None
    used: int = 0
    once: bool = False


@dataclass
class FakeRunner:
    """Answers from registered command lines, in the order of registration where one is registered twice.

    ``flags`` stand before (kubectl) or after (helm) every command line and are taken off before comparing; a command
    line without them fails too.
    """

    flags: tuple[str, ...] = ()
    secrets: Secrets = field(default_factory=Secrets)
    replies: list[Reply] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    def on(self, *args: str, out: str | bytes = b"", err: str = "", code: int = 0, stdin: Any = None) -> None:
        """Register a command line, without the program and without ``flags``."""
        body = out.encode() if isinstance(out, str) else out
        self.replies.append(Reply(args, Completed(("tool", *args), code, body, err), stdin))

    def run(self, command: Command) -> Completed:
        """Answer one command."""
        self.commands.append(command)
        args = self._without_flags(command.argv[1:])
        text = command.stdin.wait() if isinstance(command.stdin, Later) else command.stdin
        given = json.loads(text) if text is not None else None
        matching = [reply for reply in self.replies if reply.args == args and reply.stdin == given]
        if not matching:
            known = "\n".join(f"  {reply.args} < {reply.stdin}" for reply in self.replies)
            raise AssertionError(f"not registered: {args} < {given}\nregistered:\n{known}")
        reply = next((reply for reply in matching if not reply.used), matching[-1])
        reply.used += 1
        done = reply.done
        return Completed(command.argv, done.code, done.stdout, self.secrets.hide(done.err))

    def run_all(
        self, commands: Sequence[Command], meanwhile: Callable[[], None] | None = None
    ) -> tuple[Completed, ...]:
        """Answer several commands."""
        if meanwhile is not None:
            meanwhile()
        return tuple(
            Completed(command.argv, -2, b"")
            if isinstance(command.stdin, Later) and not command.stdin.given
            else self.run(command)
            for command in commands
        )

    def run_each(self, commands: Iterable[Command], ended: Ended, *, limit: int) -> None:
        """Answer several commands, each as it is asked."""
        for index, command in enumerate(commands):
            ended(index, self.run(command))

    def serve(self, command: Command) -> Server:
        """Answer for no server: whoever starts one needs a real one."""
        raise AssertionError(f"not registered: the server {command.argv}")

    def unused(self) -> list[tuple[str, ...]]:
        """Registered command lines that nobody asked for."""
        return [reply.args for reply in self.replies if not reply.used]

    def _without_flags(self, args: tuple[str, ...]) -> tuple[str, ...]:
        size = len(self.flags)
        for start in range(len(args) - size + 1):
            if args[start : start + size] == self.flags:
                return (*args[:start], *args[start + size :])
        raise AssertionError(f"{args} lacks the flags {self.flags}")
