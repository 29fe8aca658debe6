"""Starts the supervisor of a sandbox and speaks to it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.sandbox import supervisor
from tests.sandbox.layout import Layout

ANSWER_TIMEOUT = 20.0
STOP_TIMEOUT = 20.0


class NotRunning(Exception):
    """Nobody answers for this folder."""


class NotASandbox(Exception):
    """The folder is someone else's."""


def launch(layout: Layout) -> subprocess.Popen[bytes]:
    """Starts a supervisor that ends with this process until it is told to detach."""
    with (layout.logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", supervisor.__file__, str(layout.root), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,  # ^C in the terminal is its starter's business
        )


def ask(layout: Layout, do: str, **details: Any) -> Any:
    """One request and its answer. Raises NotRunning, or RuntimeError with what the supervisor could not do."""
    try:
        with _connect(layout) as connection, connection.makefile("rwb") as stream:
            connection.settimeout(ANSWER_TIMEOUT)
            stream.write(json.dumps({"do": do, **details}).encode() + b"\n")
            stream.flush()
            line = stream.readline()
    except (FileNotFoundError, ConnectionError) as error:
        raise NotRunning(f"no sandbox runs in `{layout.root}`") from error
    if not line:
        raise NotRunning(f"the sandbox in `{layout.root}` has ended")
    answer = json.loads(line)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["ok"]


def _connect(layout: Layout) -> socket.socket:
    # By way of the folder's descriptor: a socket's path may have 107 characters, a folder's name more.
    folder = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"/proc/self/fd/{folder}/control.sock")
        except BaseException:
            connection.close()
            raise
        return connection
    finally:
        os.close(folder)


def recorded(layout: Layout) -> dict[str, tuple[int, int]]:
    """Process -> (id, start time) as the supervisor last wrote them; empty if it never did."""
    try:
        record = json.loads(layout.processes.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    entries = {"supervisor": record["supervisor"], **record["components"]}
    return {name: (entry["pid"], entry["started"]) for name, entry in entries.items()}


def alive(layout: Layout) -> dict[str, int]:
    """Process -> id of those on record that still run."""
    found = {}
    for name, (pid, started) in recorded(layout).items():
        handle = supervisor.open_process(pid, started)
        if handle is not None:
            os.close(handle)
            found[name] = pid
    return found


def stop(layout: Layout) -> None:
    """Ends the supervisor and with it everything else; removes the folder. Works on any half of a sandbox.

    Raises NotASandbox, and touches nothing, if the folder holds something else; RuntimeError if a process does not end.
    """
    if layout.foreign:
        raise NotASandbox(f"`{layout.root}` holds other files and is not a sandbox")
    processes = recorded(layout)
    # The supervisor first: it would start the others again.
    for name in ("supervisor", *(name for name in processes if name != "supervisor")):
        if name in processes:
            signals = (signal.SIGTERM, signal.SIGKILL) if name == "supervisor" else (signal.SIGKILL,)
            if not supervisor.kill_recorded(*processes[name], signals, STOP_TIMEOUT):
                raise RuntimeError(f"process {processes[name][0]} (`{name}`) does not end")
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(layout.root)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Holds the folder for one starter; whoever comes second waits and then finds what the first one made."""
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), folder.stat()):
                    yield
                    return
        finally:
            os.close(handle)
        # The folder that we waited for was removed meanwhile: claim the new one.
