"""Many GETs through one kubectl: ``kubectl proxy`` on a private unix socket, from the first round of reads on.

A kubectl process is 50 ms of CPU, and a credential plugin (aws, gcloud, kubelogin) a second more for each of them. What
the proxy answers with neither 200 nor 404 is left to the caller, who asks kubectl itself: an error keeps its words.
"""

import contextlib
import logging
import os
import queue
import socket
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ddhelm.run import Command, RunnerLike, Server

if TYPE_CHECKING:
    from http.client import HTTPConnection

log = logging.getLogger("ddhelm.apiproxy")

TIMED_OUT = -1
"""In place of an HTTP status: the API server was silent for too long."""

_AT_ONCE = 8
_LONGEST = 80
# The path of a socket may have 103 characters (macOS; Linux: 107), and a folder and a name are still to come.
_READ_ONLY = "^(POST|PUT|PATCH|DELETE)$"

Got = tuple[int, bytes]
"""Status and body."""


class Proxy:
    """The one ``kubectl proxy`` of a run: started by the first round of reads, ended by ``close``.

    ``command`` makes a command line of kubectl. Rounds of several threads do not disturb each other.
    """

    def __init__(self, runner: RunnerLike, command: Callable[..., Command]) -> None:
        self._runner = runner
        self._command = command
        self._starting = threading.Lock()
        self._place = ""
        self._server: Server | None = None
        self._end: Callable[[], object] | None = None

    @property
    def runs(self) -> bool:
        """Whether it is there to be asked."""
        return self._server is not None and self._server.running

    def get(self, paths: Sequence[str], *, timeout: float) -> tuple[Got | None, ...]:
        """Status and body of each path, in order; None where kubectl itself must be asked.

        ``timeout`` (seconds) bounds the silence of each answer. Raises ``Interrupted``, and is closed then.
        """
        with self._starting:  # with its own place: another thread may have to start it again
            server, place = self._started(), self._place
        if server is None:
            return (None,) * len(paths)
        return server.ask(lambda going: _round(place, paths, timeout, going))

    def close(self) -> None:
        """End it; a later round starts another one."""
        if self._end is not None:
            self._end()
            self._end = self._server = None

    def _started(self) -> Server | None:
        """The server, started now if it does not run; None where no socket fits."""
        if not self.runs:
            self.close()
            base = _base()
            if base is None:
                return None
            folder = tempfile.TemporaryDirectory(prefix="ddhelm-", dir=base)  # 0700: nobody else reaches the socket
            self._place = f"{folder.name}/api"
            flags = (f"--unix-socket={self._place}", f"--reject-methods={_READ_ONLY}")
            try:
                self._server = self._runner.serve(self._command("proxy", *flags))
            except BaseException:
                folder.cleanup()
                raise
            # also for a caller that forgets it
            self._end = weakref.finalize(self, _ended, self._server, folder)
        return self._server


def _ended(server: Server, folder: "tempfile.TemporaryDirectory[str]") -> None:
    server.close()
    folder.cleanup()


def _base() -> str | None:
    """Where a socket may stand: the first of the usual folders that is ours to write and short enough."""
    for base in (os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"), "/tmp"):  # noqa: S108 - a folder in it
        if base and len(os.fsencode(base)) <= _LONGEST and Path(base).is_dir() and os.access(base, os.W_OK | os.X_OK):
            return base
    return None


def _round(place: str, paths: Sequence[str], timeout: float, going: Callable[[], bool]) -> tuple[Got | None, ...]:
    found: list[Got | None] = [None] * len(paths)
    if not _listens(place, going):
        return tuple(found)
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for at in range(len(paths)):
        waiting.put(at)
    done: queue.SimpleQueue[tuple[int, Got | None]] = queue.SimpleQueue()
    for _ in range(min(_AT_ONCE, len(paths))):
        threading.Thread(target=_work, args=(place, paths, timeout, waiting, done), daemon=True).start()
    left = len(paths)
    while left and going():
        with contextlib.suppress(queue.Empty):
            at, found[at] = done.get(timeout=0.1)
            left -= 1
    return tuple(found)


def _listens(place: str, going: Callable[[], bool]) -> bool:
    """Wait until the proxy takes connections; False if it never will."""
    while going():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(place)
            except OSError:
                time.sleep(0.005)
            else:
                return True
    return False


def _work(
    place: str,
    paths: Sequence[str],
    timeout: float,
    waiting: "queue.SimpleQueue[int]",
    done: "queue.SimpleQueue[tuple[int, Got | None]]",
) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            at = waiting.get_nowait()
            done.put((at, _ask(place, paths[at], timeout)))


def _ask(place: str, path: str, timeout: float) -> Got | None:
    import http.client

    began = time.monotonic()
    try:
        with _connected(place, timeout) as connection:
            # without Accept-Encoding kubectl asks for gzip and unpacks it, as it does for itself
            connection.putrequest("GET", path, skip_accept_encoding=True)
            connection.putheader("Accept", "application/json, */*")
            connection.endheaders()
            response = connection.getresponse()
            body = response.read()
    except TimeoutError:
        return TIMED_OUT, b""
    except (OSError, http.client.HTTPException, ValueError):
        return None
    log.debug("GET %s  # %s, %.2f s", path, response.status, time.monotonic() - began)
    return (response.status, body) if response.status in {200, 404} else None


@contextlib.contextmanager
def _connected(place: str, timeout: float) -> "Iterator[HTTPConnection]":
    import http.client  # 20 ms that only a round of reads pays

    connection = http.client.HTTPConnection("localhost", timeout=timeout)  # the name that the proxy lets in
    connection.sock = socket.socket(socket.AF_UNIX)
    with contextlib.closing(connection):
        connection.sock.settimeout(timeout)
        connection.sock.connect(place)
        yield connection
