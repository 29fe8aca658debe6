"""Lines on this machine: for their owner only, bounded, whole whoever writes at the same time."""

import fcntl
import multiprocessing
import stat
from pathlib import Path

import pytest

from ddhelm import journal

NAME = "runs.jsonl"


def test_it_is_for_its_owner_only_whatever_stood_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "ddhelm"
    journal.append(NAME, "one\n", folder=folder)
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / NAME).chmod(0o644)
    journal.append(NAME, "two\n", folder=folder)
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert journal.lines(NAME, folder=folder) == ("one", "two")


def test_it_makes_room_once_and_keeps_the_newest(tmp_path: Path) -> None:
    for number in range(100):
        journal.append(NAME, f"{number:09}\n", folder=tmp_path, limit=200)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 400
    kept = journal.lines(NAME, folder=tmp_path)
    assert kept == tuple(f"{number:09}" for number in range(100 - len(kept), 100))
    assert len(kept) >= 20


def test_nothing_is_there_to_read(tmp_path: Path) -> None:
    assert journal.lines(NAME, folder=tmp_path / "none") == ()


def test_where_the_state_folder_is(tmp_path: Path) -> None:
    assert journal.state_folder({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "ddhelm"
    assert journal.state_folder({"XDG_STATE_HOME": "here"}) == Path.home() / ".local/state/ddhelm"


def test_a_line_does_not_follow_a_file_that_another_run_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(NAME, "old\n", folder=tmp_path)

    def another_run_was_faster(handle: int, how: int) -> None:
        monkeypatch.undo()
        (tmp_path / NAME).replace(tmp_path / f"{NAME}.1")
        fcntl.flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", another_run_was_faster)
    journal.append(NAME, "new\n", folder=tmp_path)
    assert (tmp_path / NAME).read_text() == "new\n"
    assert journal.lines(NAME, folder=tmp_path) == ("old", "new")


def _write(folder: Path, who: int) -> None:
    for number in range(100):
        journal.append(NAME, f"{who}:{number}:{'x' * 50}\n", folder=folder, limit=6000)


def test_runs_that_write_at_once_lose_no_line_and_cut_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, who)) for who in range(3)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
        assert each.exitcode == 0
    kept = journal.lines(NAME, folder=tmp_path)
    assert len(kept) >= 6000 / 60
    for who in range(3):
        mine = [line for line in kept if line.startswith(f"{who}:")]
        assert all(line.endswith("x" * 50) for line in mine)
        numbers = [int(line.split(":")[1]) for line in mine]
        assert numbers == list(range(100 - len(numbers), 100)), "no line is lost between those kept"
