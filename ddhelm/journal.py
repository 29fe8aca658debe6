"""Files of lines in the state folder: what ddhelm remembers on this machine, for its owner only.

Several runs may write at once: a line is one write under a lock, and a file that has grown too long makes room by
moving aside once (``NAME.1``), so that both together stay below twice the limit.
"""

import fcntl
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ddhelm import wholefile

HISTORY = "history.jsonl"
"""One line a run that changed something, or tried to."""
CALLS = "calls.log"
"""The helm and kubectl calls of the last runs, without what is secret."""

LIMIT = 1024 * 1024
"""Bytes that a file may reach before it moves aside."""

_TRIES = 10


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where ddhelm keeps what cannot be fetched again; not created here. OSError for a user without a folder."""
    source = os.environ if environ is None else environ
    base = source.get("XDG_STATE_HOME", "")
    # the XDG rule: a relative path counts as unset
    return (Path(base) if base.startswith("/") else wholefile.path("~/.local/state")) / "ddhelm"


def append(name: str, text: str, *, folder: Path | None = None, limit: int = LIMIT) -> None:
    """Add ``text`` (whole lines) to a file that only its owner can read; raises OSError."""
    place = state_folder() if folder is None else folder
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = place / name
    data = text.encode("utf-8", "replace")
    for _ in range(_TRIES):
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            here = os.fstat(handle)
            if not _is(file, here):
                continue  # another run moved it aside between open and lock
            if here.st_size and here.st_size + len(data) > limit:
                file.replace(file.with_name(f"{name}.1"))
                continue
            os.fchmod(handle, 0o600)
            os.write(handle, data)
            return
        finally:
            os.close(handle)


def lines(name: str, *, folder: Path | None = None) -> tuple[str, ...]:
    """The lines of a file, oldest first, with those that were moved aside; empty where there is none to read."""
    found: list[str] = []
    for each in (f"{name}.1", name):
        with suppress(OSError):
            file = (state_folder() if folder is None else folder) / each
            found += file.read_text(encoding="utf-8", errors="replace").split("\n")
    return tuple(line for line in found if line)


def _is(file: Path, opened: os.stat_result) -> bool:
    try:
        now = file.stat()
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)
