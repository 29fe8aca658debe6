"""The log of a run's calls: one block at its end, without what is secret, and nothing where nothing was called."""

import logging
from pathlib import Path

import pytest

from ddhelm import journal
from ddhelm.calls import LINES, Calls
from ddhelm.run import Secrets

log = logging.getLogger("ddhelm.run")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "ddhelm"


def test_a_secret_that_was_learned_after_the_line_is_hidden_too(state: Path) -> None:
    secrets = Secrets()
    calls = Calls(secrets, "https://server", "datadog").start()
    log.debug("kubectl get planted-later\n --token planted-option # exit 1")
    secrets.add("planted-later")
    calls.error = "failed: password=planted-error"
    calls.end("plan", 1)
    written = (state / journal.CALLS).read_text()
    assert "planted" not in written
    head, line, last = written.splitlines()
    assert " plan on https://server in datadog (ddhelm " in head
    assert line.startswith("  ")
    assert "kubectl get ***" in line
    assert last.startswith("  exit 1: failed: password=***")


def test_a_run_without_calls_leaves_nothing_and_a_long_one_its_last(state: Path) -> None:
    Calls(Secrets(), "x", "y").start().end("plan", 0)
    assert not state.exists()
    calls = Calls(Secrets(), "x", "y").start()
    for number in range(LINES + 10):
        log.debug("%s %s", number, "x" * 5000)
    calls.end("plan", 0)
    log.debug("after the end")
    lines = journal.lines(journal.CALLS)
    assert len(lines) == LINES + 2
    assert " 10 x" in lines[1]
    assert (state / journal.CALLS).stat().st_size < journal.LIMIT


def test_a_machine_that_cannot_be_written_to_is_no_failure(state: Path) -> None:
    state.write_text("a file where the folder should be")
    calls = Calls(Secrets(), "x", "y").start()
    log.debug("kubectl version")
    calls.end("plan", 0)
