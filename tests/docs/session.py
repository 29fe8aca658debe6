"""Runs a terminal session of the docs as a reader would: its commands one after the other in one shell, its output held
against what really comes out."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import Page

_END = "=== end of command"


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page with the output that the page shows below it."""

    command: str
    shown: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, both streams together, and its exit code."""

    step: Step
    printed: str
    code: int


def steps(page: Page) -> list[Step]:
    """The commands of the page's `console` blocks, in order; `…` alone on a line stands for left-out lines."""
    found: list[Step] = []
    for block in page.blocks:
        if not block.info.startswith("console"):
            continue
        for number, line in enumerate(block.text.splitlines(), block.line):
            if line.startswith("$ "):
                found.append(Step(line.removeprefix("$ "), (), number))
            else:
                last = found.pop()
                if last.command.endswith("\\") and not last.shown:
                    found.append(Step(f"{last.command}\n{line}", (), last.line))
                else:
                    found.append(Step(last.command, (*last.shown, line), last.line))
    return found


def play(session: Sequence[Step], folder: Path, environ: Mapping[str, str]) -> list[Done]:
    """Runs the commands in one bash, so that `export` and `cd` last; a failing command does not end it."""
    lines: list[str] = []
    for number, step in enumerate(session):
        # `(exit …)` hands the code on, so that the reader's `echo $?` sees it.
        lines += [step.command, f'code=$?; printf "\\n%s {number} %s\\n" "{_END}" "$code"; (exit "$code")']
    script = folder / "session.sh"
    script.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["bash", "--norc", script],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    parts = re.split(rf"\n{_END} (\d+) (\d+)\n", done.stdout)
    printed, codes = parts[0:-1:3], parts[2::3]
    if len(codes) != len(session):
        raise AssertionError(f"the session ended early:\n{done.stdout[-3000:]}")
    return [Done(step, text, int(code)) for step, text, code in zip(session, printed, codes, strict=True)]


def missing(done: Done) -> list[str]:
    """The shown lines that did not come out, in this order; numbers, hashes, paths and widths may differ.

    `…` stands for left-out lines where it is alone, and for left-out words inside a line.
    """
    came = iter([_plain(line) for line in done.printed.splitlines()])
    lost = []
    for line in done.step.shown:
        pattern = re.compile(re.escape(_plain(line)).replace("…", ".*"))
        if line.strip() not in {"", "…"} and not any(pattern.fullmatch(other) for other in came):
            lost.append(line)
    return lost


def _plain(line: str) -> str:
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    line = re.sub(r"\b[0-9a-f]{8,}\b", "#", line)
    line = re.sub(r"`[^`]*/[^`]*`", "`/`", line)
    line = re.sub(r"\d+", "0", line)
    line = re.sub(r"[─━]+", "─", line)
    return " ".join(line.split()).removesuffix(" (0 s)")
