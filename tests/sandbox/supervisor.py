"""The one process that owns the control plane's processes, so that nothing outlives a sandbox.

Started by `python -I supervisor.py FOLDER [PARENT]`; standard library only, because it starts on every test run. It
guarantees, on Linux:

- a component dies with the supervisor, even if that is killed (parent-death signal, set before exec);
- the supervisor ends, and removes FOLDER, when process PARENT ends in any way (pidfd), or on SIGTERM and SIGINT;
- every process is on record with its start time, so that a recycled process id is never signalled.

It takes one JSON request per connection on `FOLDER/control.sock` and answers with one JSON line. A component that ends
unasked is started again once the sandbox is settled, as a kubelet would.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

PR_SET_PDEATHSIG = 1
RESTART_DELAY = 0.5
STOP_TIMEOUT = 10.0


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (field 22 of its stat), or None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def open_process(pid: int, started: int) -> int | None:
    """A pidfd of the process that was recorded with this start time, or None if that one is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if start_time(pid) != started:  # read after opening: the handle and this answer speak of one process
        os.close(handle)
        return None
    return handle


def kill_recorded(pid: int, started: int, signals: tuple[int, ...], timeout: float) -> bool:
    """Sends the signals in order until the recorded process is gone, `timeout` seconds each; whether it is gone."""
    handle = open_process(pid, started)
    if handle is None:
        return True
    try:
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], timeout)[0]:
                return True
        return False
    finally:
        os.close(handle)


@dataclass(slots=True)
class Component:
    """One program of the control plane and its process, if it has one."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    log: str
    process: subprocess.Popen[bytes] | None = None
    handle: int = -1
    started: int = 0
    wanted: bool = False
    paused: bool = False
    restart_at: float = 0.0
    restarts: int = 0
    exit_code: int | None = None


class Supervisor:
    """Owns the folder, the socket and the processes until `run` returns."""

    def __init__(self, folder: Path, parent: int | None) -> None:
        self.folder = folder
        self.components: dict[str, Component] = {}
        self.settled = False
        self.done = False
        self.selector = selectors.DefaultSelector()
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.parent = parent
        self.parent_handle = -1

    def run(self) -> None:
        """Serves until told to stop; then kills everything and removes the folder."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: setattr(self, "done", True))
        self.selector.register(wake, selectors.EVENT_READ, lambda: os.read(wake, 64))
        try:
            self._watch_parent()
            self._listen()
            self._record()
            while not self.done:
                for key, _ in self.selector.select(self._restart_due()):
                    key.data()
        finally:
            self._stop_all()
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.folder.parent.name == f"ddhelm-sandbox-{os.getuid()}":
                with contextlib.suppress(OSError):  # another sandbox is in it
                    self.folder.parent.rmdir()

    def _watch_parent(self) -> None:
        if self.parent is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.parent_handle = os.pidfd_open(self.parent)
        if os.getppid() != self.parent or self.parent_handle < 0:  # it ended before we looked
            self.done = True
            return
        self.selector.register(self.parent_handle, selectors.EVENT_READ, lambda: setattr(self, "done", True))

    def _listen(self) -> None:
        server = socket.socket(socket.AF_UNIX)
        # A socket's path may have 107 characters; a name relative to the folder is always short enough.
        os.chdir(self.folder)
        server.bind("control.sock")
        server.listen(16)
        self.selector.register(server, selectors.EVENT_READ, lambda: self._answer(server))

    def _answer(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            connection.settimeout(5)
            try:
                request = json.loads(stream.readline())
                answer = {"ok": self._handle(request)}
            except Exception as error:  # the requester is told; the control plane lives on
                answer = {"error": f"{type(error).__name__}: {error}"}
            with contextlib.suppress(OSError):
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()

    def _handle(self, request: dict[str, Any]) -> Any:
        verb, name = request["do"], request.get("name", "")
        if verb == "status":
            return {component.name: self._describe(component) for component in self.components.values()}
        if verb == "settle":
            self.settled = True
        elif verb == "detach":
            if self.parent_handle >= 0:
                self.selector.unregister(self.parent_handle)
                self.parent_handle = -1
        elif verb == "start":
            self._start(name)
        elif verb == "kill":
            self._stop(self.components[name])
            self._record()
        elif verb == "signal":
            self._signal(self.components[name], int(request["signal"]))
        else:
            raise ValueError(f"unknown request `{verb}`")
        return None

    def _start(self, name: str) -> None:
        old = self.components.get(name)
        if old and old.process:
            return
        specification = json.loads(Path("components.json").read_text())[name]
        component = Component(name, **specification, restarts=old.restarts if old else 0)
        self.components[name] = component
        self._spawn(component)

    def _spawn(self, component: Component) -> None:
        with Path(component.log).open("ab") as log:
            component.process = self._popen(component, log)
        pid = component.process.pid
        component.started = start_time(pid) or 0
        component.handle = os.pidfd_open(pid)
        component.wanted, component.paused, component.exit_code, component.restart_at = True, False, None, 0.0
        self.selector.register(component.handle, selectors.EVENT_READ, lambda: self._ended(component))
        self._record()

    def _popen(self, component: Component, log: BinaryIO) -> subprocess.Popen[bytes]:
        supervisor = os.getpid()
        prctl = self.libc.prctl

        def die_with_supervisor() -> None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != supervisor:
                os._exit(1)

        return subprocess.Popen(
            component.argv,
            env=component.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            process_group=0,
            preexec_fn=die_with_supervisor,  # noqa: PLW1509 - this process has one thread
        )

    def _ended(self, component: Component) -> None:
        assert component.process is not None
        component.exit_code = component.process.wait()
        self._forget(component)
        if component.wanted and self.settled:
            component.restart_at = time.monotonic() + RESTART_DELAY * min(2**component.restarts, 8)
        self._record()

    def _restart_due(self) -> float | None:
        """Starts what is due; seconds until the next one, or None."""
        now = time.monotonic()
        for component in self.components.values():
            if component.restart_at and component.restart_at <= now:
                component.restarts += 1
                self._spawn(component)
        waiting = [component.restart_at for component in self.components.values() if component.restart_at]
        return max(0.0, min(waiting) - now) if waiting else None

    def _stop(self, component: Component) -> None:
        component.wanted, component.restart_at = False, 0.0
        if component.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(component.process.pid, signal.SIGKILL)
        component.exit_code = component.process.wait(STOP_TIMEOUT)
        self._forget(component)

    def _forget(self, component: Component) -> None:
        self.selector.unregister(component.handle)
        os.close(component.handle)
        component.process, component.handle, component.paused = None, -1, False

    def _signal(self, component: Component, number: int) -> None:
        if component.process is None:
            raise ProcessLookupError(f"`{component.name}` is not running")
        component.process.send_signal(number)
        component.paused = number == signal.SIGSTOP

    def _stop_all(self) -> None:
        for component in self.components.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._stop(component)

    def _describe(self, component: Component) -> dict[str, Any]:
        return {
            "pid": component.process.pid if component.process else None,
            "started": component.started,
            "paused": component.paused,
            "wanted": component.wanted,
            "restarts": component.restarts,
            "exit_code": component.exit_code,
        }

    def _record(self) -> None:
        """Writes who runs, before anyone can ask for it; replaced in one go, so that a reader never sees half."""
        own = {"pid": os.getpid(), "started": start_time(os.getpid())}
        running = {c.name: {"pid": c.process.pid, "started": c.started} for c in self.components.values() if c.process}
        scratch = Path("processes.json.new")
        scratch.write_text(json.dumps({"supervisor": own, "components": running}))
        scratch.replace("processes.json")


def main(arguments: list[str]) -> None:
    """FOLDER and, for a sandbox that ends with its starter, that one's process id."""
    folder = Path(arguments[0]).resolve()
    Supervisor(folder, int(arguments[1]) if len(arguments) > 1 else None).run()


if __name__ == "__main__":
    main(sys.argv[1:])
