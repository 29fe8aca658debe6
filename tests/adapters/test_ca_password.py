"""The password of a CA's key, asked for on a real terminal or read from a file: it is nowhere to be seen afterwards."""

import datetime
import os
import select
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.test_certificates import KEYS, made, pem

PASSWORD = "plain words, a password"
# getpass asks the terminal of the session, not standard input
_ON_THIS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """`certs issue` with a CA whose key is locked; it needs no cluster."""
    key = KEYS["ec"]()
    now, days = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=30)
    (tmp_path / "ca.crt").write_bytes(made(key, begins=now - days, ends=now + days))
    (tmp_path / "ca.key").write_bytes(pem(key, PASSWORD.encode()))
    files = ["--ca-cert", str(tmp_path / "ca.crt"), "--ca-key", str(tmp_path / "ca.key")]
    return [sys.executable, "-m", "ddhelm", "certs", "issue", *files, "--out", str(tmp_path / "out"), "--days", "7"]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG"}}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "dumb"}


@dataclass
class Ended:
    """A program that ran on a terminal: all that the terminal showed, and its exit code."""

    screen: str
    code: int


def on_a_terminal(command: list[str], home: Path, *typed: str) -> Ended:
    """Run it with a terminal of its own; each text is typed once a question has come."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_THIS_TERMINAL, *command], env=environment(home), cwd=home,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    screen, waiting, until = b"", list(typed), time.monotonic() + 60
    try:
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    block = os.read(ours, 65536)
                except OSError:  # the last one who had the terminal has closed it
                    break
                screen += block
            if waiting and screen.rstrip().endswith(b"(hidden):") and not _echoes(ours):
                os.write(ours, waiting.pop(0).encode())
        return Ended(screen.decode(), process.wait(timeout=30))
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _echoes(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def written(home: Path) -> str:
    """Every file that stands in the home, but the locked key itself, as text."""
    files = [path for path in home.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)


def test_it_is_asked_for_without_an_echo_and_kept_nowhere(command: list[str], tmp_path: Path) -> None:
    ended = on_a_terminal(command, tmp_path, f"{PASSWORD}\n")
    assert ended.code == 0, ended.screen
    assert f"Password of the key in {tmp_path}/ca.key (hidden):" in ended.screen.replace("\r\n", "\n")
    assert PASSWORD not in ended.screen
    assert (tmp_path / "out" / "etcd-client.key").stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in written(tmp_path)


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [("another one\n", 3, "error:"), ("\n", 3, "error:"), ("\x03", 130, "interrupted"), ("\x04", 130, "interrupted")],
    ids=["wrong", "empty", "^C", "^D"],
)
def test_what_is_not_the_password_leaves_nothing_behind(
    command: list[str], tmp_path: Path, typed: str, code: int, said: str
) -> None:
    ended = on_a_terminal(command, tmp_path, typed)
    assert (ended.code, said in ended.screen, "Traceback" in ended.screen) == (code, True, False), ended.screen
    assert not (tmp_path / "out").exists()
    assert "another one" not in ended.screen


def run(command: list[str], home: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(home), cwd=home, input=stdin, stdin=None if stdin else subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_has_it_alone_and_its_line_end_does_not_count(command: list[str], tmp_path: Path, end: str) -> None:
    (tmp_path / "password").write_text(PASSWORD + end)
    done = run([*command, "--ca-key-password-file", str(tmp_path / "password")], tmp_path)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_standard_input_has_it_too(command: list[str], tmp_path: Path) -> None:
    done = run([*command, "--ca-key-password-file", "-"], tmp_path, f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_without_a_terminal_the_flag_is_named_and_a_wrong_file_is_told_without_what_is_in_it(
    command: list[str], tmp_path: Path
) -> None:
    nobody = run(command, tmp_path)
    assert nobody.returncode == 3
    assert "--ca-key-password-file FILE" in nobody.stderr
    (tmp_path / "wrong").write_text("something else entirely")
    for name, said in (("wrong", "password"), ("missing", "cannot be read")):
        refused = run([*command, "--ca-key-password-file", str(tmp_path / name)], tmp_path)
        assert refused.returncode == 3
        assert said in refused.stderr
        assert "something else" not in refused.stderr
    assert not (tmp_path / "out").exists()
