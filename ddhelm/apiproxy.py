"""Many questions through one kubectl: ``kubectl proxy`` on a private unix socket, from the first round on.

A kubectl process is 50 ms of CPU, and a credential plugin (aws, gcloud, kubelogin) a second more for each of them. What
the proxy answers with neither success nor 404 is left to the caller, who asks kubectl itself: an error keeps its words.
Nothing is written this way: a question is a GET, or a server-side apply as a dry run.
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
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from urllib.parse import quote

from ddhelm.answers import Piecewise
from ddhelm.errors import DdhelmError
from ddhelm.reserved import Reserved
from ddhelm.run import Command, RunnerLike, Server

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

log = logging.getLogger("ddhelm.apiproxy")

TIMED_OUT = -1
"""In place of an HTTP status: the API server was silent for too long."""

_AT_ONCE = 8
_LONGEST = 80
# The path of a socket may have 103 characters (macOS; Linux: 107), and a folder and a name are still to come.
_NOT_ASKED = "^(POST|PUT|DELETE)$"

_ANY = "application/json, */*"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_BLOCK = 256 * 1024


class Got(NamedTuple):
    """Status (200, 201, 404 or ``TIMED_OUT``) and body, or what the question's ``piecewise`` made of that."""

    status: int
    body: bytes = b""
    made: object = None


class Question(Reserved, frozen=True):
    """A GET of ``path``; with a ``body`` the dry run of a server-side apply to it, which ``query`` says more of.

    ``bare``: only the metadata of each object, for lists of Secrets whose data nobody wants. ``piecewise`` is handed
    the body as it arrives, which is then held by nobody.
    """

    unshown: ClassVar[tuple[str, ...]] = (
        "body",
        "piecewise",
    )

    path: str
    body: bytes | None = None
    query: str = ""
    bare: bool = False
    piecewise: Piecewise | None = None

    @classmethod
    def forecast(cls, path: str, body: bytes, *, manager: str, force: bool) -> "Question":
        """What a server-side apply of ``body`` (JSON) would make of an object; ``force``: despite other owners."""
        # fieldValidation: as `kubectl apply --validate=false` asks
        how = f"fieldManager={quote(manager)}&force={str(force).lower()}&fieldValidation=Ignore"
        return cls(path, body=body, query=how)

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.body is None else "PATCH"

    @property
    def target(self) -> str:
        """Path and query; whatever has a body is a dry run."""
        return self.path if self.body is None else f"{self.path}?dryRun=All&{self.query}"


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

    def start(self) -> None:
        """Start it ahead of its first round: it comes up while this process does something else."""
        self._at()

    def ahead(self, questions: Callable[[], Sequence[Question]], *, timeout: float) -> "Ahead | None":
        """Ask now what a later round is expected to ask; that round is given what comes back. None: nobody to ask.

        ``questions`` is called beside the caller. Where it raises nothing is asked: the round is told what fails.
        """
        server, place = self._at()
        return Ahead(place, questions, timeout, server) if server is not None else None

    def ask(
        self, questions: Sequence[Question], *, timeout: float, ahead: "Ahead | None" = None
    ) -> tuple[Got | None, ...]:
        """Status and body of each answer, in order; None where kubectl itself must be asked.

        ``timeout`` (seconds) bounds the silence of each answer. What was asked ``ahead`` is not asked again. Raises
        ``Interrupted``, and is closed then.
        """
        server, place = self._at()
        if server is None:
            return (None,) * len(questions)

        def round_(going: Callable[[], bool]) -> tuple[Got | None, ...]:
            known = ahead.answers(going) if ahead else {}
            left = [each for each in questions if each not in known]
            known |= dict(zip(left, _round(place, left, timeout, going), strict=True)) if left else {}
            return tuple(known[each] for each in questions)

        return server.ask(round_)

    def close(self) -> None:
        """End it; a later round starts another one."""
        if self._end is not None:
            self._end()
            self._end = self._server = None

    def _at(self) -> tuple[Server | None, str]:
        """The server with its own place, since another thread may have to start it again."""
        with self._starting:
            return self._started(), self._place

    def _started(self) -> Server | None:
        """The server, started now if it does not run; None where no socket fits."""
        if not self.runs:
            self.close()
            base = _base()
            if base is None:
                return None
            folder = tempfile.TemporaryDirectory(prefix="ddhelm-", dir=base)  # 0700: nobody else reaches the socket
            self._place = f"{folder.name}/api"
            flags = (f"--unix-socket={self._place}", f"--reject-methods={_NOT_ASKED}")
            try:
                self._server = self._runner.serve(self._command("proxy", *flags))
            except BaseException:
                folder.cleanup()
                raise
            # also for a caller that forgets it
            self._end = weakref.finalize(self, _ended, self._server, folder)
        return self._server


class Ahead:
    """A round that is under way before anybody waits for it."""

    def __init__(self, place: str, questions: Callable[[], Sequence[Question]], timeout: float, server: Server) -> None:
        self._got: dict[Question, Got | None] = {}
        self._thread = threading.Thread(target=self._run, args=(place, questions, timeout, server), daemon=True)
        self._thread.start()

    def answers(self, going: Callable[[], bool]) -> dict[Question, Got | None]:
        """What it was told, by question; nothing where ``going`` said no before it was through."""
        while self._thread.is_alive() and going():
            self._thread.join(0.1)
        return self._got

    def _run(self, place: str, questions: Callable[[], Sequence[Question]], timeout: float, server: Server) -> None:
        with contextlib.suppress(DdhelmError):
            asked = questions()
            self._got = dict(zip(asked, _round(place, asked, timeout, lambda: server.running), strict=True))


def _ended(server: Server, folder: "tempfile.TemporaryDirectory[str]") -> None:
    server.close()
    folder.cleanup()


def _base() -> str | None:
    """Where a socket may stand: the first of the usual folders that is ours to write and short enough."""
    for base in (os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"), "/tmp"):  # noqa: S108 - a folder in it
        if base and len(os.fsencode(base)) <= _LONGEST and os.access(base, os.W_OK | os.X_OK) and Path(base).is_dir():
            return base
    return None


def _round(
    place: str, questions: Sequence[Question], timeout: float, going: Callable[[], bool]
) -> tuple[Got | None, ...]:
    found: list[Got | None] = [None] * len(questions)
    if not _listens(place, going):
        return tuple(found)
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for at in range(len(questions)):
        waiting.put(at)
    done: queue.SimpleQueue[tuple[int, Got | None]] = queue.SimpleQueue()
    lines = [_Line(place, timeout) for _ in range(min(_AT_ONCE, len(questions)))]
    threads = [threading.Thread(target=_work, args=(line, questions, waiting, done), daemon=True) for line in lines]
    for each in threads:
        each.start()
    left = len(questions)
    while left and going():
        # asked before: what a thread has put is there when it has ended; one that broke down is not waited for
        alive = any(each.is_alive() for each in threads)
        try:
            at, found[at] = done.get(timeout=0.1 if alive else 0)
        except queue.Empty:
            if not alive:
                break
        else:
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
    line: "_Line",
    questions: Sequence[Question],
    waiting: "queue.SimpleQueue[int]",
    done: "queue.SimpleQueue[tuple[int, Got | None]]",
) -> None:
    with contextlib.closing(line), contextlib.suppress(queue.Empty):
        while True:
            at = waiting.get_nowait()
            done.put((at, line.ask(questions[at])))


def _read(response: "HTTPResponse", question: Question) -> Got:
    if question.piecewise is None or response.status != 200:
        return Got(response.status, response.read())
    return Got(response.status, made=question.piecewise(_pieces(response)))


def _pieces(response: "HTTPResponse") -> Iterator[bytes]:
    """The body as it arrives; ValueError for one that was cut short."""
    if response.getheader("Content-Encoding") != "gzip":
        while block := response.read1(_BLOCK):
            yield block
        return
    packed = zlib.decompressobj(wbits=31)  # gzip
    while block := response.read1(_BLOCK):
        yield packed.decompress(block)
    yield packed.flush()
    if not packed.eof:
        raise ValueError("cut short")


class _Line:
    """One connection to the proxy, opened when it is first needed and again where it broke."""

    def __init__(self, place: str, timeout: float) -> None:
        self._place = place
        self._timeout = timeout
        self._connection: HTTPConnection | None = None

    def ask(self, question: Question) -> Got | None:
        """The answer; None where there is none, or one that kubectl must put into words."""
        # not `import http.client`: for another thread `http` may not have that attribute yet
        from http.client import HTTPException

        began = time.monotonic()
        try:
            response = self._sent(question).getresponse()
            got = _read(response, question)
        except TimeoutError:
            self.close()
            return Got(TIMED_OUT)
        except (OSError, HTTPException, ValueError, zlib.error):
            self.close()
            return None
        if response.will_close:
            self.close()
        log.debug("%s %s  # %s, %.2f s", question.method, question.target, response.status, time.monotonic() - began)
        return got if got.status in {200, 201, 404} else None

    def _sent(self, question: Question) -> "HTTPConnection":
        connection = self._opened()
        # without Accept-Encoding kubectl asks for gzip and unpacks it, as it does for itself
        connection.putrequest(question.method, question.target, skip_accept_encoding=True)
        if question.piecewise is not None:
            connection.putheader("Accept-Encoding", "gzip")  # a twentieth goes through the socket, and we unpack faster
        connection.putheader("Accept", f"{_METADATA}, {_ANY}" if question.bare else _ANY)
        if question.body is not None:
            connection.putheader("Content-Type", "application/apply-patch+yaml")
            connection.putheader("Content-Length", str(len(question.body)))
        connection.endheaders(question.body)
        return connection

    def _opened(self) -> "HTTPConnection":
        from http.client import HTTPConnection  # 20 ms that only a round of questions pays

        if self._connection is None:
            self._connection = HTTPConnection("localhost", timeout=self._timeout)  # a name that it lets in
            self._connection.sock = socket.socket(socket.AF_UNIX)
            self._connection.sock.settimeout(self._timeout)
            self._connection.sock.connect(self._place)
        return self._connection

    def close(self) -> None:
        """Close the connection, where there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
