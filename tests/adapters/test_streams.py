"""Readers that leave, locales without ✓, streams that are closed: ddhelm ends as it would have ended."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = shlex.quote(str(Path(sys.executable).parent / "ddhelm"))


def shell(script: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environ}
    return subprocess.run(["bash", "-c", script], env=env, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", ["check --list", "check --list -o json", "onboard --help", "--version"])
def test_a_reader_that_has_left_ends_nothing_and_is_not_complained_about(arguments: str) -> None:
    done = shell(f"{PROGRAM} {arguments} | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == (b"0\n", b"")


def test_the_exit_code_of_an_error_survives_a_reader_that_has_left() -> None:
    done = shell(f"{PROGRAM} status -n Bad 2>&1 | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == (b"3\n", b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code(closed: str) -> None:
    assert shell(f"{PROGRAM} check --list {closed}").returncode == 0
    assert shell(f"{PROGRAM} status -n Bad {closed}").returncode == 3


@pytest.mark.parametrize("arguments", ["check --list", "check --list -o json", "onboard --help", "--version"])
def test_a_full_disk_is_told_in_one_line_and_never_passes_for_success(arguments: str) -> None:
    done = shell(f"{PROGRAM} {arguments} >/dev/full")
    assert done.returncode == 1
    assert done.stderr == b"error: the output could not be written: No space left on device\nhint: df -h\n"


def test_the_exit_code_of_an_error_survives_a_full_disk() -> None:
    done = shell(f"{PROGRAM} status -n Bad >/dev/full 2>&1")
    assert done.returncode == 3


def test_a_locale_without_unicode_gets_ascii() -> None:
    script = f"{PROGRAM} completion fish >/dev/null && {sys.executable} -c '{ENCODES}'"
    done = shell(script, PYTHONIOENCODING="ascii")
    assert done.stdout == b"+ ready, x not, 5 -> 3 ...\n", done.stderr


ENCODES = (
    "from ddhelm.views import console, streams; streams.prepare(); "
    'console.out().print("\\u2713 ready, \\u2717 not, 5 \\u2192 3 \\u2026")'
)
