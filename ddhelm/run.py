"""Starts processes; the only module that does.

helm and kubectl write to clusters, so how they are ended matters more than how they are started: a killed helm leaves
its release ``pending-*``. A child therefore lives in its own session (the terminal's ^C does not reach it twice), is
asked to stop by SIGINT, then SIGTERM, and is killed only when it ignored both. Nothing of a child's standard input
and no known secret reaches the log, an error or a caller's text.
"""

import logging
import os
import queue
import re
import shlex
import shutil
import signal
import sys
import threading
import time
import warnings
import weakref
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, ClassVar, Protocol, TypeVar

from ddhelm import lean, wholefile
from ddhelm.errors import Interrupted, ToolError
from ddhelm.interrupts import taken
from ddhelm.reserved import Reserved

log = logging.getLogger("ddhelm.run")

# A pipe takes this much at once or nothing (POSIX: PIPE_BUF ≥ 512, 4096 on Linux): a write can never be cut in two,
# and sh ignores how much was written.
_STDIN_CHUNK = 512 if sys.platform == "darwin" else 4096
_SHORTEST_SECRET = 6
_MASK = "***"
# what a credential plugin asks of the user while it waits: "open the page https://… and enter the code …"
_INVITATION = re.compile(r"https?://")
_COMPLAINT = re.compile(r"error|unable|failed|refused|level=|^[EWI]\d{4} ", re.IGNORECASE)
# A server on a tether: whoever reads the pipe of which we hold the other end sees it close when we are killed.
_TETHER = 'exec 3<&0; (read -r _; kill $$) <&3 3<&- >/dev/null 2>&1 & exec "$@" </dev/null 3<&-'
# kubectl and helm live for a second at most: collecting their garbage is a third of their work
_SHORT_LIVED = {"GOGC": "800", "GOMEMLIMIT": "256MiB"}

Result = TypeVar("Result")

_start_lock = threading.Lock()


class Secrets:
    """The secret values seen in this run; ``hide`` takes them out of any text.

    Tools quote what they were given: Helm 4 prints the offending value of a schema's pattern, kubectl the document.
    """

    def __init__(self) -> None:
        self._forms: set[str] = set()
        _every.add(self)

    def add(self, *values: str) -> None:
        """Remember values and their base64 forms; shorter ones than 6 characters would hide ordinary words."""
        for value in values:
            text = value.strip()
            if len(text) >= _SHORTEST_SECRET:
                # what the environment holds need not be UTF-8
                raw = (each.encode("utf-8", "surrogateescape") for each in (text, value))
                self._forms |= {text, *(b64encode(each).decode() for each in raw)}

    def hide(self, text: str) -> str:
        """Replace each known value by ``***``, the longest first (one may contain another)."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, _MASK)
        return text


_every: "weakref.WeakSet[Secrets]" = weakref.WeakSet()


def hide(text: str) -> str:
    """Take every secret value out of a text that any part of this process has been told of."""
    for each in tuple(_every):
        text = each.hide(text)
    return text


class Later:
    """Standard input that is not known yet when its process is started: that one comes up meanwhile.

    Given once, within the ``meanwhile`` of ``run_all``; a process that was given nothing by then is ended. All commands
    of that call must fit into the runner's ``limit``: none of them ends before it was given its input.
    """

    def __init__(self) -> None:
        self._settled = threading.Event()
        self._text: str | None = None

    @property
    def given(self) -> bool:
        """Whether there is something to read."""
        return self._text is not None

    @property
    def awaited(self) -> bool:
        """Whether it has been neither given nor withdrawn."""
        return not self._settled.is_set()

    def give(self, text: str) -> None:
        """Let the process read this."""
        self._text = text
        self._settled.set()

    def withdraw(self) -> None:
        """Let it read nothing, unless it was given something."""
        self._settled.set()

    def wait(self) -> str:
        """The text, once it is given; empty after ``withdraw``."""
        self._settled.wait()
        return self._text or ""


class Command(Reserved, frozen=True):
    """One process to start.

    ``timeout`` and ``grace`` (the wait after each signal of the ladder) are seconds. ``env`` is the whole environment
    (None: ``environment()``). A ``shielded`` command is let finish at the first ^C, because it has no handler of its
    own and would leave a half-done state (helm rollback and uninstall). One that only ``reads`` is not named after an
    interrupt: it cannot have left anything behind. ``on_stderr`` gets each line at once, scrubbed, in another thread.
    Of one with ``private`` words the log gets the program's name alone.
    """

    unshown: ClassVar[tuple[str, ...]] = (
        "stdin",
        "env",
        "on_stderr",
    )

    argv: tuple[str, ...]
    stdin: str | Later | None = None
    timeout: float = 60.0
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    grace: float = 10.0
    shielded: bool = False
    reads: bool = False
    private: bool = False
    on_stderr: Callable[[str], None] | None = None

    def shown(self) -> str:
        """The command as it may be logged."""
        return shlex.join(self.argv[:1] if self.private else self.argv)


class Completed(Reserved, frozen=True):
    """How a process ended: ``code`` is negative for a signal, ``seconds`` wall time, ``err`` scrubbed text."""

    unshown: ClassVar[tuple[str, ...]] = ("stdout",)

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    err: str = ""
    seconds: float = 0.0
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.code == 0 and not self.timed_out

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")


Ended = Callable[[int, Completed], None]
"""Told of a process that has ended: its place among the commands, and how."""


class RunnerLike(Protocol):
    """What the adapters need of a runner; tests answer from a table instead of starting anything."""

    secrets: Secrets

    def run(self, command: Command) -> Completed:
        """Start one process and wait for it."""
        ...

    def run_all(
        self, commands: Sequence[Command], meanwhile: Callable[[], None] | None = None
    ) -> tuple[Completed, ...]:
        """Start several and wait for all; ``meanwhile`` is done while they run."""
        ...

    def run_each(self, commands: Iterable[Command], ended: "Ended", *, limit: int) -> None:
        """Start many, a few at a time, and hand each answer on as it comes."""
        ...

    def serve(self, command: Command) -> "Server":
        """Start a server that runs until it is closed."""
        ...


class Runner:
    """Starts processes through ``sh`` and waits for them; holds the secrets to scrub.

    ``limit`` processes run at the same time at most. ``notice`` gets each line of standard error that invites the
    user to log in somewhere, at once and in another thread: credential plugins wait for that. An exit code is an
    answer, not an error. Raises ``ToolError`` if a process cannot be started, ``Interrupted`` after ^C, SIGTERM or
    SIGHUP once every child has ended.
    """

    def __init__(
        self, secrets: Secrets | None = None, limit: int = 8, notice: Callable[[str], None] | None = None
    ) -> None:
        self.secrets = secrets if secrets is not None else Secrets()
        self._limit = limit
        self._notice = notice

    def run(self, command: Command) -> Completed:
        """Start one process and wait for it."""
        return self.run_all((command,))[0]

    def run_all(
        self, commands: Sequence[Command], meanwhile: Callable[[], None] | None = None
    ) -> tuple[Completed, ...]:
        """Start the processes at the same time; the answers come in the order of ``commands``.

        ``meanwhile`` is done in this thread while they run; they are stopped where it raises, and that is passed on.
        """
        if not commands:
            return ()
        children: list[_Child] = []
        done: list[Completed] = []
        going_well = False
        with _Signals(children) as signals:
            try:
                for command in commands:
                    if len(children) - len(done) >= self._limit:
                        done.append(children[len(done)].wait())
                    if signals.count:
                        break
                    with signals.held():
                        children.append(_Child(command, self.secrets, self._notice))
                if meanwhile is not None and not signals.count:
                    meanwhile()
                going_well = True
            finally:
                # what cannot be started or done must not leave the others behind, nor one that waits for input which
                # nobody will give it any more; not asked of sys.exc_info(), which also knows the error that a caller is
                # just cleaning up after
                for child in children[len(done) :]:
                    if not going_well or child.waits_for_input:
                        child.stop()
                done.extend(child.wait() for child in children[len(done) :])
        if signals.count:
            raise _interrupted(commands, done)
        for child in children:
            if child.callback_error is not None:
                raise child.callback_error
        return tuple(done)

    def run_each(self, commands: Iterable[Command], ended: Ended, *, limit: int) -> None:
        """Start the processes, ``limit`` at a time; ``ended`` is told of each at once, in this thread.

        No answer is kept: hundreds of agents print hundreds of kilobytes each. One that hangs holds up no other.
        """
        children: list[_Child] = []
        answers: queue.SimpleQueue[tuple[int, _Child, Completed | BaseException]] = queue.SimpleQueue()
        stopped = False

        def wait(index: int, child: _Child) -> None:
            try:
                answers.put((index, child, child.wait()))
            except BaseException as error:  # raised in the thread that asked
                answers.put((index, child, error))

        def take() -> None:
            index, child, answer = answers.get()
            children.remove(child)
            if stopped:
                return
            if isinstance(answer, BaseException):
                raise answer
            if child.callback_error is not None:
                raise child.callback_error
            ended(index, answer)

        with _Signals(children) as signals:
            try:
                for index, command in enumerate(commands):
                    if len(children) >= limit:
                        take()
                    if signals.count:
                        break
                    with signals.held():
                        children.append(_Child(command, self.secrets, self._notice))
                    threading.Thread(target=wait, args=(index, children[-1]), daemon=True).start()
                while children and not signals.count:
                    take()
            finally:
                stopped = True
                for child in children:
                    child.stop()
                while children:
                    take()
        if signals.count:
            raise Interrupted("interrupted", anchor="interrupted")

    def serve(self, command: Command) -> "Server":
        """Start a server that runs beside everything else until it is closed."""
        children: list[_Child] = []
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as tether, _Signals(children) as signals, signals.held():
            children.append(_Child(command, self.secrets, self._notice, tether))
        server = Server(children[0], os.fdopen(writing, "wb"))
        if signals.count:
            server.close()
            raise Interrupted("interrupted", anchor="interrupted")
        return server


class Server:
    """A process that serves a whole run. It ends when it is closed, and when ddhelm is killed."""

    def __init__(self, child: "_Child", tether: BinaryIO) -> None:
        self._child = child
        self._tether = tether

    @property
    def running(self) -> bool:
        """Whether it has neither been closed nor ended by itself."""
        return not self._tether.closed and self._child.running

    def ask(self, work: Callable[[Callable[[], bool]], Result]) -> Result:
        """Do some work that speaks to it; raises ``Interrupted`` after ^C, SIGTERM or SIGHUP, and is closed then.

        ``work`` gets a question: whether to go on. The answer is no after ^C and once the server has ended.
        """
        with _Signals([]) as signals:
            result = work(lambda: not signals.count and self.running)
        if signals.count:
            self.close()
            raise Interrupted("interrupted", anchor="interrupted")
        if self._child.callback_error is not None:
            raise self._child.callback_error
        return result

    def close(self) -> None:
        """End it and wait until it has; again is nothing."""
        if not self._tether.closed:
            self._child.end()
            self._child.wait()
            self._tether.close()


def environment(environ: Mapping[str, str] | None = None, **extra: str) -> dict[str, str]:
    """The environment of children: the user's without ``HELM_*`` and ``DD_*``, plus ``extra``.

    The user's ``HELM_NAMESPACE``, ``HELM_DEBUG`` or ``HELM_DRIVER`` would change what helm does behind our back;
    ``DD_API_KEY`` is nobody's business. What the user says about Go's garbage collector stands.
    """
    source = os.environ if environ is None else environ
    kept = {name: value for name, value in source.items() if not name.startswith(("HELM_", "DD_"))}
    return {**_SHORT_LIVED, **kept, **extra}


def find(tool: str) -> str:
    """Absolute path of ``helm`` or ``kubectl``: on PATH, then beside ddhelm's own executable.

    Raises ToolError (anchor ``tool-not-found``).
    """
    beside = (Path(sys.argv[0]).resolve().parent, Path(sys.executable).parent)
    for place in (None, *beside):
        found = shutil.which(tool, path=None if place is None else str(place))
        if found:
            return str(Path(found).absolute())
    raise ToolError(
        f"`{tool}` is not on PATH",
        hint={"helm": "https://helm.sh/docs/intro/install", "kubectl": "https://kubernetes.io/docs/tasks/tools"}.get(
            tool, f"install {tool}"
        ),
        anchor="tool-not-found",
    )


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where ddhelm keeps what it can fetch again; not created here. ToolError for a user without a folder."""
    source = os.environ if environ is None else environ
    base = source.get("XDG_CACHE_HOME", "")
    # the XDG rule: a relative path counts as unset
    try:
        return (Path(base) if base.startswith("/") else wholefile.path("~/.cache")) / "ddhelm"
    except OSError as error:
        raise ToolError(
            f"there is no place for the cache folder: {error.strerror}",
            hint="XDG_CACHE_HOME=FOLDER ddhelm …",
            anchor="cache-folder",
        ) from None


def _interrupted(commands: Sequence[Command], done: Sequence[Completed]) -> Interrupted:
    ends = (*(_ended(each.code) for each in done), *["was not started"] * (len(commands) - len(done)))
    # without its flags: what is told of an interruption is kept in the cluster too, where no command line belongs
    details = [
        f"`{' '.join((Path(each.argv[0]).name, *(word for word in each.argv[1:2] if word.isalpha())))}` {end}"
        for each, end in zip(commands, ends, strict=True)
        if not each.reads
    ]
    return Interrupted("interrupted", details=details, anchor="interrupted")


def _ended(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name} before it was through"


class _Child:
    """A running process and the ladder that ends it: SIGINT, SIGTERM, and SIGKILL for one that ignored both."""

    def __init__(
        self,
        command: Command,
        secrets: Secrets,
        notice: Callable[[str], None] | None,
        tether: BinaryIO | None = None,
    ) -> None:
        self.command = command
        self.callback_error: BaseException | None = None
        self._secrets = secrets
        self._notice = notice
        self._by_line = bool(command.on_stderr or notice)
        self._lines: list[str] = []
        self._ladder: list[signal.Signals] = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        self._timer: threading.Timer | None = None
        self._timed_out = False
        self._ended = False
        self._began = time.monotonic()
        self._process = _start(command, self._line if self._by_line else None, tether)
        self._group: int = self._process.pgid
        self._later(command.timeout, self._expired)

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        process = self._process  # which another thread that waits for its end takes away
        return process is not None and bool(process.is_alive()[0])

    @property
    def waits_for_input(self) -> bool:
        """Whether it has been given no standard input yet, and may be."""
        return isinstance(self.command.stdin, Later) and self.command.stdin.awaited

    def wait(self) -> Completed:
        """Block until the process has ended and its output is read."""
        process = self._process
        code = process.wait()
        stopped = len(self._ladder) < 3
        self._ended = True
        if self._timer:
            self._timer.cancel()
        if stopped:
            # what it started itself (a credential plugin) goes with it
            _kill_group(self._group, signal.SIGTERM)
        err = "".join(self._lines) if self._by_line else process.stderr.decode("utf-8", "replace")
        seconds = time.monotonic() - self._began
        ended = "ran out of time" if self._timed_out else f"exit {code}"
        self._process = None  # and with it a second copy of the output
        log.debug("%s  # %s, %.2f s", self._secrets.hide(self.command.shown()), ended, seconds)
        return Completed(
            argv=self.command.argv,
            code=code,
            stdout=process.stdout,
            err=self._secrets.hide(err),
            seconds=seconds,
            timed_out=self._timed_out,
        )

    def stop(self) -> None:
        """Take the next step of the ladder, and the following one after the grace period."""
        if self._ended or not self._ladder:
            return
        if self._timer:
            self._timer.cancel()
        _kill_group(self._group, self._ladder.pop(0))
        if isinstance(self.command.stdin, Later):
            self.command.stdin.withdraw()
        self._later(self.command.grace, self.stop)

    def end(self) -> None:
        """End a server, of which nothing can be left half done, by SIGTERM.

        Under `nohup` or `&` it inherits that SIGINT is ignored, and each run would end two seconds later.
        """
        if self._ladder[:1] == [signal.SIGINT]:
            self._ladder.pop(0)
        self.stop()

    def ask(self) -> None:
        """Stop because the user said so; impatience alone never kills."""
        if self._ladder and self._ladder[0] is not signal.SIGKILL:
            self.stop()

    def _expired(self) -> None:
        self._timed_out = True
        self.stop()

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._timer = threading.Timer(seconds, action)
        self._timer.daemon = True
        self._timer.start()

    def _line(self, line: str) -> None:
        # sh prints what a callback raises and goes on with cut output: keep it for the caller instead
        self._lines.append(line)
        if self.callback_error is not None:
            return
        text = self._secrets.hide(line.rstrip("\n"))
        try:
            if self.command.on_stderr:
                self.command.on_stderr(text)
            if self._notice and _INVITATION.search(text) and not _COMPLAINT.search(text):
                self._notice(text)
        except BaseException as error:  # re-raised in run_all
            self.callback_error = error


def _kill_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        return


class _NoAsyncio:
    """What sh asks of asyncio where nobody awaits."""

    Queue = None

    @staticmethod
    def get_running_loop() -> None:
        raise RuntimeError("no running event loop")


class _NoMetadata:
    """What sh asks of importlib.metadata: its own version, which nothing here shows."""

    PackageNotFoundError = ImportError

    @staticmethod
    def version(_name: str) -> str:
        return "2"


def _sh() -> Any:
    # loaded late: `ddhelm --version` must not pay for it; without these two, because they are three quarters of what it
    # takes (sh 2.4.0, Python 3.11: 50 ms of an offline plan's 400)
    return lean.load("sh", {"asyncio": _NoAsyncio, "importlib.metadata": _NoMetadata})


def _start(command: Command, on_line: Callable[[str], None] | None, tether: BinaryIO | None = None) -> Any:
    sh = _sh()
    # sh logs argv and the first bytes of each chunk of standard input
    logging.getLogger("sh").setLevel(logging.CRITICAL + 1)
    options: dict[str, Any] = {
        "_bg": True,
        "_bg_exc": False,
        "_return_cmd": True,
        "_tty_out": False,
        "_no_pipe": True,
        "_out_bufsize": 65536,
        "_err_bufsize": 65536,
        "_encoding": "utf-8",
        "_decode_errors": "replace",
        "_new_session": True,
        "_env": dict(environment() if command.env is None else command.env),
        "_cwd": command.cwd,
    }
    if on_line:
        options |= {"_err": on_line, "_err_bufsize": 1}
    with _start_lock, warnings.catch_warnings(), Path(os.devnull).open("rb") as nothing:
        # sh's child does nothing between fork and exec that another thread could have locked
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        options["_in"] = (tether or nothing) if command.stdin is None else _chunks(command.stdin)
        argv = ("/bin/sh", "-c", _TETHER, "sh", *command.argv) if tether else command.argv
        try:
            return sh.Command(argv[0])(*argv[1:], **options).process
        except ValueError:
            # a ^C reached the forked child too, which ended without the two numbers that sh waits for
            raise Interrupted("interrupted", anchor="interrupted") from None
        except (sh.CommandNotFound, sh.ForkException, OSError) as error:
            reason = _not_started(error)
            # `from None`: what sh says about a failed start is a traceback of our own child
            raise ToolError(
                f"`{command.argv[0]}` cannot be started: {reason}",
                hint=f"{shlex.quote(command.argv[0])} version",
                anchor="tool-not-started",
            ) from None


def _chunks(given: str | Later) -> Iterator[bytes]:
    """What to write, piece by piece; asked by a thread of its own."""
    text = (given.wait() if isinstance(given, Later) else given).encode()
    for at in range(0, len(text), _STDIN_CHUNK):
        yield text[at : at + _STDIN_CHUNK]


def _not_started(error: Exception) -> str:
    if isinstance(error, _sh().CommandNotFound):
        return "there is no such executable"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be run"
    # sh quotes the traceback of its child: `OSError: [Errno 8] Exec format error: b'/path'`
    told = _last_line(str(error))
    found = _CHILD_ERROR.search(told)
    return found[1] if found else told


_CHILD_ERROR = re.compile(r"OSError: \[Errno \d+\] ([^:]+)")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


class _Signals:
    """While children run, ^C, SIGTERM and SIGHUP are passed on to them instead of ending ddhelm at once.

    An exception out of a handler could strike between fork and exec, where it would leave a child nobody knows of;
    the handlers only count and signal, and ``run_all`` raises when all have ended.
    """

    def __init__(self, children: list[_Child]) -> None:
        self.count = 0
        self._children = children
        self._holding = False
        self._stretch = taken(self._received)
        self._pid = os.getpid()

    def __enter__(self) -> "_Signals":
        self._stretch.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stretch.__exit__(None, None, None)

    def held(self) -> "_Held":
        """A stretch in which a signal is only counted; passed on at its end."""
        return _Held(self)

    def hold(self, holding: bool) -> None:
        """Begin or end such a stretch."""
        self._holding = holding
        if not holding and self.count:
            self._pass_on()

    def _received(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            os._exit(128 + number)  # a forked child that has not yet become helm
        self.count += 1
        if not self._holding:
            self._pass_on()

    def _pass_on(self) -> None:
        for child in self._children:
            if self.count > 1 or not child.command.shielded:
                child.ask()


class _Held:
    def __init__(self, signals: _Signals) -> None:
        self._signals = signals

    def __enter__(self) -> None:
        self._signals.hold(True)

    def __exit__(self, *_: object) -> None:
        self._signals.hold(False)
