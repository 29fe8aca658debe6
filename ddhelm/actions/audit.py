"""Records every run that changes the cluster: in a ConfigMap beside the releases, and on this machine.

A verb that writes puts its writing, from the first question answered to the last wait, into the block::

    with recording.recorded(session, "rotate api-key") as run:  # `commands.recording`
        observer = run.watching(observer)      # the events of `carry_out` and `uninstall` are understood
        run.began("Secret `ddhelm`: `api-key`")  # or, without events: say each thing before it is written
        …

What ends the block decides the outcome: its end, a DdhelmError, ^C. A failure that is told and not raised goes to
``run.failed``. A run that touched nothing (it was refused, the lock was held) leaves the cluster alone and is recorded
on this machine only; a run with nothing to do has no block. That nothing can be recorded is a warning, never a failure.
"""

import datetime
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from msgspec.structs import replace

from ddhelm import __version__, audit, journal
from ddhelm.actions import identity, lock
from ddhelm.actions.events import StepDone, StepStarted, Wrote
from ddhelm.actions.restart import Restarting
from ddhelm.actions.session import Observer, Session
from ddhelm.actions.uninstall import Finished, Started
from ddhelm.audit import Change, Entry, Outcome, Who
from ddhelm.errors import DdhelmError, Interrupted, Reported
from ddhelm.interrupts import interruptible
from ddhelm.release import HISTORY, MANAGED_BY, OURS

KEY = "runs.jsonl"
"""The key of the ConfigMap that holds the lines."""

_TIMEOUT = 10
"""Seconds that one request of the record may take: the run is over, and somebody waits."""
_TRIES = 5
_BUG = 70
# Where CI systems say which job this is; the address names who started it.
_JOBS = ("CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL")
_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class Cluster(Protocol):
    """What the record asks of kubectl."""

    def tree(self, path: str) -> dict[str, object] | None:
        """GET one path."""

    def create(self, obj: dict[str, object]) -> dict[str, object] | None:
        """Create, or None where it exists."""

    def replace(self, obj: dict[str, object]) -> dict[str, object] | None:
        """Replace, or None where it moved meanwhile."""


class Recording:
    """One run while it goes on: what it has begun, and how it ends."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.failure: Reported | None = None
        self.keeps = True
        """Whether the ConfigMap may be made; False: written only where it stands (an uninstall deletes it)."""

    def began(self, what: str, *, release: str = "", target: int | None = None) -> None:
        """Note that something is about to be written."""
        self.entry = replace(self.entry, changes=(*self.entry.changes, Change(what, release, target=target)))

    def made(self, release: str, revision: int | None) -> None:
        """Note the revision that the last step of a release made."""
        changes = list(self.entry.changes)
        for at in reversed(range(len(changes))):
            if changes[at].release == release:
                changes[at] = replace(changes[at], revision=revision)
                break
        self.entry = replace(self.entry, changes=tuple(changes))

    def failed(self, error: Reported) -> None:
        """Note a failure that the block tells without raising it."""
        self.failure = error

    def watching(self, observer: Observer) -> Observer:
        """An observer that notes what it is told, and tells it on."""

        def tell(event: object) -> None:
            if isinstance(event, StepStarted):
                self.began(str(event.step.kind), release=event.step.release.name, target=event.step.target)
            elif isinstance(event, StepDone):
                self.made(event.step.release.name, event.revision)
            elif isinstance(event, Wrote):
                self.began(event.what)
            elif isinstance(event, Restarting):
                for each in event.targets:
                    self.began(f"restart of {each.kind} {each.name}", release=each.release)
            elif isinstance(event, Started):
                self.began(f"uninstall of {event.what}")
            elif isinstance(event, Finished) and not self._said(event.what):
                self.began(f"{event.what} deleted")
            observer(event)

        return tell

    def _said(self, what: str) -> bool:
        return any(each.what == f"uninstall of {what}" for each in self.entry.changes)


@contextmanager
def recorded(
    session: Session,
    verb: str,
    *,
    plan: str = "",
    cluster: str | None = None,
    warn: Callable[[str], None] = lambda _line: None,
    now: Callable[[], float] = time.time,
) -> Iterator[Recording]:
    """Record what the block does, as ``verb``.

    ``plan`` is the digest of the plan that was shown, ``cluster`` kube-system's UID where it is known already, ``warn``
    gets a line where the record cannot be written.
    """
    run = Recording(_entry(session, verb, plan, cluster or "", now()))
    _on_this_machine(run.entry, lambda _line: None)
    try:
        yield run
    except BaseException as error:
        _end(session, run, error, warn, now)
        raise
    _end(session, run, run.failure, warn, now)


def path(namespace: str) -> str:
    """Where the ConfigMap is read."""
    return f"/api/v1/namespaces/{namespace}/configmaps/{HISTORY}"


def lines(configmap: object) -> tuple[str, ...]:
    """The lines of a ConfigMap as it was read; none where it is not there, or is somebody else's."""
    data = configmap.get("data") if isinstance(configmap, dict) else None
    text = data.get(KEY) if isinstance(data, dict) else None
    return tuple(each for each in text.split("\n") if each) if isinstance(text, str) else ()


def here() -> tuple[Entry, ...]:
    """The entries that this machine remembers, of all clusters, oldest first."""
    return audit.entries(journal.lines(journal.HISTORY))


def _entry(session: Session, verb: str, plan: str, cluster: str, began: float) -> Entry:
    access, hide = session.access, session.masker.text
    return Entry(
        secrets.token_hex(6),
        verb,
        _stamp(began),
        Who(lock.user(), socket.gethostname(), job=hide(_job(os.environ))),
        cluster,
        hide(access.context),
        hide(access.server),
        access.namespace,
        plan,
        ddhelm=__version__,
    )


def _end(
    session: Session,
    run: Recording,
    error: BaseException | None,
    warn: Callable[[str], None],
    now: Callable[[], float],
) -> None:
    outcome, code, message = _outcome(error)
    run.entry = replace(
        run.entry,
        ended=_stamp(now()),
        outcome=outcome,
        exit_code=code,
        message=audit.one_line(session.masker.text(session.secrets.hide(message))),
    )
    try:
        if run.entry.changes:
            with interruptible():
                _in_the_cluster(session, run, warn)
    except Interrupted:
        warn("this run was not recorded in the cluster: interrupted")
        if error is None:
            raise
    finally:
        _on_this_machine(run.entry, warn)


def _outcome(error: BaseException | None) -> tuple[Outcome, int, str]:
    if error is None:
        return "done", 0, ""
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return "interrupted", Interrupted.exit_code, "; ".join(getattr(error, "details", ()))
    if isinstance(error, DdhelmError):
        return "failed", error.exit_code, error.message
    return "failed", _BUG, f"a bug in ddhelm: {type(error).__name__}"


def _in_the_cluster(session: Session, run: Recording, warn: Callable[[str], None]) -> None:
    """Write the entry into the ConfigMap; a line for ``warn`` where that cannot be done."""
    kubectl = session.kubectl_within(_TIMEOUT)
    try:
        run.entry = replace(
            run.entry,
            cluster=run.entry.cluster or identity.uid(kubectl),
            who=replace(run.entry.who, name=_name(kubectl)),
        )
        if not _append(kubectl, session.access.namespace, audit.line(run.entry), makes=run.keeps):
            warn(f"this run was not recorded in ConfigMap `{HISTORY}`: others wrote it at the same time")
    except Interrupted:
        raise
    except DdhelmError as error:
        warn(f"this run was not recorded in ConfigMap `{HISTORY}`: {error.message}")


def _append(kubectl: Cluster, namespace: str, line: str, *, makes: bool) -> bool:
    """Add a line to the ring; False where other runs were always faster."""
    for _ in range(_TRIES):
        found = kubectl.tree(path(namespace))
        if found is None:
            if not makes or kubectl.create(_configmap(namespace, audit.ring((), line))) is not None:
                return True
        elif kubectl.replace(_with(found, audit.ring(lines(found), line))) is not None:
            return True
    return False


def _configmap(namespace: str, text: str) -> dict[str, object]:
    metadata = {"name": HISTORY, "namespace": namespace, "labels": {MANAGED_BY: OURS}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: text}}


def _with(configmap: dict[str, object], text: str) -> dict[str, object]:
    data = configmap.get("data")
    return {**configmap, "data": {**(data if isinstance(data, dict) else {}), KEY: text}}


def _name(kubectl: Cluster) -> str:
    """The user as the API server names them; empty where it does not say (before Kubernetes 1.28)."""
    with suppress(DdhelmError):
        answer: object = kubectl.create(dict(_REVIEW))
        for key in ("status", "userInfo", "username"):
            answer = answer.get(key) if isinstance(answer, dict) else None
        return answer if isinstance(answer, str) else ""
    return ""


def _on_this_machine(entry: Entry, warn: Callable[[str], None]) -> None:
    try:
        journal.append(journal.HISTORY, audit.line(entry) + "\n")
    except OSError as error:
        warn(f"this run was not recorded in `{error.filename or journal.HISTORY}`: {error.strerror}")


def _job(environ: "os._Environ[str]") -> str:
    if environ.get("GITHUB_RUN_ID"):
        words: Sequence[str] = [environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
        return f"{words[0]}/{words[1]}/actions/runs/{words[2]}"
    return next((environ[name] for name in _JOBS if environ.get(name)), "")


def _stamp(seconds: float) -> str:
    return (
        datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
