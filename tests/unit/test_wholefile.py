"""A file is written whole, for its owner, or what stood there stands."""

import logging
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from ddhelm import journal, wholefile
from ddhelm.access import resolve
from ddhelm.actions import audit, certfiles, configfile, dump, keys, offline, planning
from ddhelm.audit import Entry, Who
from ddhelm.calls import Calls
from ddhelm.commands import requests
from ddhelm.commands.certs import Files
from ddhelm.errors import ClusterError, ConfigError, ToolError
from ddhelm.run import Secrets, cache_folder
from ddhelm.source import source

ENTRY = Entry("1", "onboard", "2026-01-01T00:00:00Z", Who("me", "here"), "uid", "prod", "https://x", "datadog", "")


def test_the_new_content_takes_the_place_of_the_old_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    path.chmod(0o644)
    wholefile.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(_handle: int) -> None:
        raise error

    path = tmp_path / "plan.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(type(error)):
        wholefile.replace(path, b"new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]


NOBODY = "~no-such-user/file"
FAILS: tuple[Callable[[], object], ...] = (
    lambda: requests.user_sources({"values": [NOBODY]}),
    lambda: keys.read("API key", variable="X", file=NOBODY, hider=Secrets(), environ={}),
    lambda: planning.read(NOBODY),
    lambda: planning.write(NOBODY, ""),
    lambda: configfile.read(NOBODY),
    lambda: offline._document(NOBODY),
    lambda: certfiles.read(NOBODY),
    lambda: certfiles.free(NOBODY, {}),
    lambda: dump.reserve(NOBODY, force=False),
    lambda: source(NOBODY),
    lambda: Files(folder=NOBODY).read(Secrets()),
)


@pytest.mark.parametrize("fails", FAILS)
def test_a_file_of_a_user_that_is_not_known_is_said(fails: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="there is no user no-such-user"):
        fails()


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user that is only a number."""

    def unknown(_uid: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("homeless")
class TestWithoutAHome:
    def test_nothing_is_remembered_and_that_is_no_failure(self) -> None:
        with pytest.raises(OSError, match="no HOME"):
            journal.append(journal.HISTORY, "line")
        assert journal.lines(journal.HISTORY) == ()
        calls = Calls(Secrets(), "https://server", "datadog").start()
        logging.getLogger("ddhelm.run").debug("kubectl version")
        calls.end("status", 0)
        said: list[str] = []
        audit._on_this_machine(ENTRY, said.append)
        assert said == [
            "this run was not recorded in `history.jsonl`: no HOME is set, and this user has no folder",
        ]

    def test_what_has_to_be_kept_asks_for_a_place(self) -> None:
        with pytest.raises(ToolError, match="no HOME is set") as caught:
            cache_folder()
        assert (caught.value.anchor, caught.value.hint) == ("cache-folder", "XDG_CACHE_HOME=FOLDER ddhelm …")

    def test_there_is_no_kubeconfig_at_the_usual_place(self) -> None:
        with pytest.raises(ClusterError) as caught:
            resolve(environ={})
        assert caught.value.anchor == "no-kubeconfig"


def test_a_hint_names_the_file_as_no_shell_has_to_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    with pytest.raises(ConfigError) as caught:
        keys.read("API key", variable="X", file="~/no such key", hider=Secrets(), environ={})
    assert caught.value.hint == "ls -l '/home/ann/no such key'"
