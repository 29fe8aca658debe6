"""One run at a time per cluster: a Kubernetes Lease with a holder that can be named and that expires with it.

The Lease stands in the releases' namespace, so it needs no rights beyond those that the releases need anyway.
"""

import datetime
import getpass
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from msgspec import Struct

from ddhelm import process, reads
from ddhelm.errors import Interrupted, PlanStale, Reported
from ddhelm.interrupts import undisturbed
from ddhelm.record import seconds
from ddhelm.release import LEASE, MANAGED_BY, OURS
from ddhelm.tree import Tree

DURATION = 120
"""Seconds after its last renewal at which a Lease counts as abandoned; longer where one step may take longer."""

KIND = "lease.coordination.k8s.io"
_POLL = 2.0
_PROCESS = "ddhelm.dev/process"
"""Annotation: the holder and where its process runs (see ``process.own``)."""


class Cluster(Protocol):
    """What the lock asks of kubectl."""

    def tree(self, path: str) -> Tree | None:
        """GET one path."""

    def create(self, obj: Tree) -> Tree | None:
        """Create, or None where it exists."""

    def replace(self, obj: Tree) -> Tree | None:
        """Replace, or None where it moved meanwhile."""


class Holder(Struct, frozen=True):
    """Who holds the Lease; ``renewed`` is Unix seconds, ``duration`` seconds.

    ``ended``: its process ran on this machine and runs no more. False also where that cannot be known from here.
    """

    who: str
    since: str
    renewed: float
    duration: int
    ended: bool = False

    def alive(self, now: float) -> bool:
        """Whether the holder renewed it within its duration."""
        return bool(self.who) and now < self.renewed + self.duration


def holder(lease: Tree | None) -> Holder | None:
    """The holder that a Lease object names, or None where nobody holds it."""
    spec: dict[str, Any] = (lease or {}).get("spec") or {}
    who = spec.get("holderIdentity") or ""
    if not who:
        return None
    renewed = seconds(spec.get("renewTime") or spec.get("acquireTime") or "")
    duration = int(spec.get("leaseDurationSeconds") or DURATION)
    return Holder(who, str(spec.get("acquireTime") or "unknown"), renewed, duration, _ended(lease or {}, who))


def _ended(lease: Tree, who: str) -> bool:
    marks = (lease.get("metadata") or {}).get("annotations") or {}
    named, _, mark = str(marks.get(_PROCESS) or "").rpartition(" ")
    return named == who and process.ended(mark) is True


def term(lease: Tree | None) -> tuple[float, float]:
    """From when to when the last holder could write, in Unix seconds; twice 0 where there was none.

    To when it gave the Lease back, all its children ended. Where it has not, or it was taken from a dead one: to when
    the Lease expires.
    """
    spec: dict[str, Any] = (lease or {}).get("spec") or {}
    held = holder(lease)
    end = held.renewed + held.duration if held else seconds(spec.get("renewTime") or "")
    return seconds(spec.get("acquireTime") or ""), end


def me() -> str:
    """The name of this process, so that another user can find it: `anna@host (pid 4711)`."""
    import socket  # here: a plan without a cluster takes no lock

    return f"{user()}@{socket.gethostname()} (pid {os.getpid()})"


def user() -> str:
    """The operating system's user, by number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class Lock(Struct):
    """A Lease that this run holds."""

    cluster: Cluster
    lease: Tree
    now: Callable[[], float]
    lost: bool = False

    def renew(self, work: float = 0) -> None:
        """Say that this run is still alive, and will be silent for ``work`` seconds at most; cheap to call often.

        PlanStale where somebody else took the Lease.
        """
        held = holder(self.lease)
        left = held.renewed + held.duration - self.now() if held else 0
        lasting = max(DURATION, math.ceil(work * 4 / 3))
        if lasting * 3 / 4 <= left <= lasting:
            return
        self.lease["spec"] |= {"renewTime": stamp(self.now()), "leaseDurationSeconds": lasting}
        answer = self.cluster.replace(self.lease)
        if answer is None:
            self.lost = True
            raise PlanStale(
                "the lock was taken over by another run",
                hint="ddhelm status",
                anchor="lock-lost",
            )
        self.lease = answer

    def release(self) -> None:
        """Give the Lease back; it stays, without a holder."""
        if not self.lost:
            self.lease["spec"] |= {"holderIdentity": "", "renewTime": stamp(self.now())}
            self.cluster.replace(self.lease)


@contextmanager
def held(
    cluster: Cluster,
    namespace: str,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], None],
    wait: float = 0,
    who: str = "",
) -> Iterator[Lock]:
    """Hold the Lease for the length of the block; raises PlanStale (5) with the holder after ``wait`` seconds."""
    who = who or me()
    try:
        lock = _take(cluster, namespace, who, now, sleep, now() + wait)
    except (Interrupted, KeyboardInterrupt):
        # the API server may have heard what kubectl was interrupted at
        with undisturbed(), suppress(Reported):
            lease = cluster.tree(reads.lease(namespace))
            if lease is not None and (current := holder(lease)) and current.who == who:
                Lock(cluster, lease, now).release()
        raise
    try:
        yield lock
    finally:
        # it expires by itself; what happened in the block is worth more than this
        with undisturbed(), suppress(Reported):
            lock.release()


def _take(
    cluster: Cluster,
    namespace: str,
    who: str,
    now: Callable[[], float],
    sleep: Callable[[float], None],
    deadline: float,
) -> Lock:
    while True:
        lease = cluster.tree(reads.lease(namespace))
        current = holder(lease)
        if current is None or not current.alive(now()):
            taken = _write(cluster, namespace, lease, who, now())
            if taken is not None:
                return Lock(cluster, taken, now)
        elif now() >= deadline:
            raise _refusal(current, int(now() - current.renewed))
        sleep(_POLL)


def _refusal(current: Holder, age: int) -> PlanStale:
    since = f"{current.who}, since {current.since} (renewed {age} s ago)"
    if current.ended:
        return PlanStale(
            f"a run that is dead holds the lock: {since}; its process runs no more",
            hint="ddhelm unlock, or wait for it with --lock-timeout 10m",
            anchor="lock-held",
        )
    return PlanStale(
        f"another run holds the lock: {since}",
        hint=f"wait for it with --lock-timeout 10m; a dead run loses it {current.duration} s after its last renewal",
        anchor="lock-held",
    )


def _write(cluster: Cluster, namespace: str, lease: Tree | None, who: str, now: float) -> Tree | None:
    spec = {
        "holderIdentity": who,
        "leaseDurationSeconds": DURATION,
        "acquireTime": stamp(now),
        "renewTime": stamp(now),
    }
    marks = {_PROCESS: f"{who} {process.own()}"}
    if lease is None:
        labels = {MANAGED_BY: OURS}
        metadata: Tree = {"name": LEASE, "namespace": namespace, "labels": labels, "annotations": marks}
        body: Tree = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        return cluster.create(body)
    stood: Tree = lease.get("metadata") or {}
    metadata = {**stood, "annotations": {**(stood.get("annotations") or {}), **marks}}
    return cluster.replace({**lease, "metadata": metadata, "spec": {**lease.get("spec", {}), **spec}})


def stamp(seconds: float) -> str:
    """RFC 3339 text with microseconds, as a Lease has it."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
