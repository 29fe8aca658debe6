"""Many programs, a few at a time: each answer as it comes, none kept, none left behind."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ddhelm.errors import Interrupted
from ddhelm.run import Command, Completed, Runner


def shell(code: str, timeout: float = 60) -> Command:
    return Command(("/bin/sh", "-c", code), timeout=timeout, grace=0.2)


def ask(*commands: Command, limit: int = 3) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    Runner().run_each(commands, lambda index, done: found.append((index, done.out.strip())), limit=limit)
    return found


def test_every_answer_comes_once_with_its_place() -> None:
    assert sorted(ask(*(shell(f"echo {n}") for n in range(7)))) == [(n, str(n)) for n in range(7)]


def test_nothing_to_run_is_no_work() -> None:
    assert ask() == []


def test_one_that_hangs_holds_up_no_other() -> None:
    began = time.monotonic()
    answers = ask(shell("echo slow; exec sleep 60", timeout=1.5), *(shell(f"echo {n}") for n in range(8)), limit=2)
    assert time.monotonic() - began < 10
    assert answers[-1] == (0, "slow")
    assert len(answers) == 9


def test_no_more_than_the_limit_run_at_once(tmp_path: Path) -> None:
    count = f"mkdir {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.1; rmdir {tmp_path}/$$"
    assert max(int(out) for _, out in ask(*(shell(count) for _ in range(9)), limit=3)) <= 3


def test_an_error_of_who_is_told_stops_the_rest(tmp_path: Path) -> None:
    def told(_index: int, _done: Completed) -> None:
        raise ValueError("no")

    commands = [shell("exit 0"), shell(f"sleep 60; touch {tmp_path}/late"), shell(f"touch {tmp_path}/never")]
    began = time.monotonic()
    with pytest.raises(ValueError, match="no"):
        Runner().run_each(commands, told, limit=2)
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_stops_all_and_starts_no_more(tmp_path: Path) -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    began, told = time.monotonic(), []
    with pytest.raises(Interrupted):
        Runner().run_each(
            [shell("exec sleep 60"), shell("exec sleep 60"), shell(f"touch {tmp_path}/never")],
            lambda index, _done: told.append(index),
            limit=2,
        )
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []
