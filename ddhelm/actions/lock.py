"""One run at a time per cluster: a Kubernetes Lease with a holder that can be named and that expires with it.

The Lease stands in the releases' namespace, so it needs no rights beyond those that the releases need anyway.
"""

import datetime
import getpass
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from ddhelm.errors import DdhelmError, PlanStale
from ddhelm.release import LEASE
from ddhelm.tree import Tree

DURATION = 120
"""Seconds after its last renewal at which a Lease counts as abandoned."""

KIND = "lease.coordination.k8s.io"
_POLL = 2.0


class Cluster(Protocol):
    """What the lock asks of kubectl."""

    def tree(self, path: str) -> Tree | None:
        """GET one path."""

    def create(self, obj: Tree) -> Tree | None:
        """Create, or None where it exists."""

    def replace(self, obj: Tree) -> Tree | None:
        """Replace, or None where it moved meanwhile."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the Lease; ``renewed`` is Unix seconds, ``duration`` seconds."""

    who: str
    since: str
    renewed: float
    duration: int

    def alive(self, now: float) -> bool:
        """Whether the holder renewed it within its duration."""
        return bool(self.who) and now < self.renewed + self.duration


def path(namespace: str) -> str:
    """Where the Lease is read."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}"


def holder(lease: Tree | None) -> Holder | None:
    """The holder that a Lease object names, or None where nobody holds it."""
    spec: dict[str, Any] = (lease or {}).get("spec") or {}
    who = spec.get("holderIdentity") or ""
    if not who:
        return None
    renewed = seconds(spec.get("renewTime") or spec.get("acquireTime") or "")
    duration = int(spec.get("leaseDurationSeconds") or DURATION)
    return Holder(who, str(spec.get("acquireTime") or "unknown"), renewed, duration)


def given_back(lease: Tree | None) -> float:
    """When the last holder gave the Lease back, all its children ended, in Unix seconds; 0 where it did not."""
    spec: dict[str, Any] = (lease or {}).get("spec") or {}
    return seconds(spec.get("renewTime") or "") if spec and not spec.get("holderIdentity") else 0.0


def me() -> str:
    """The name of this process, so that another user can find it: `anna@host (pid 4711)`."""
    return f"{user()}@{socket.gethostname()} (pid {os.getpid()})"


def user() -> str:
    """The operating system's user, by number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@dataclass(slots=True)
class Lock:
    """A Lease that this run holds."""

    cluster: Cluster
    lease: Tree
    now: Callable[[], float]
    lost: bool = False

    def renew(self) -> None:
        """Say that this run is still alive; cheap to call often. PlanStale where somebody else took the Lease."""
        held = holder(self.lease)
        if held and self.now() < held.renewed + held.duration / 4:
            return
        self.lease["spec"]["renewTime"] = _stamp(self.now())
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
            self.lease["spec"] |= {"holderIdentity": "", "renewTime": _stamp(self.now())}
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
    lock = _take(cluster, namespace, who or me(), now, sleep, now() + wait)
    try:
        yield lock
    finally:
        with suppress(DdhelmError):  # it expires by itself; what happened in the block is worth more than this
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
        lease = cluster.tree(path(namespace))
        current = holder(lease)
        if current is None or not current.alive(now()):
            taken = _write(cluster, namespace, lease, who, now())
            if taken is not None:
                return Lock(cluster, taken, now)
        elif now() >= deadline:
            age = int(now() - current.renewed)
            raise PlanStale(
                f"another run holds the lock: {current.who}, since {current.since} (renewed {age} s ago)",
                hint="wait for it with --lock-timeout 10m; a dead run loses it "
                f"{current.duration} s after its last renewal",
                anchor="lock-held",
            )
        sleep(_POLL)


def _write(cluster: Cluster, namespace: str, lease: Tree | None, who: str, now: float) -> Tree | None:
    spec = {
        "holderIdentity": who,
        "leaseDurationSeconds": DURATION,
        "acquireTime": _stamp(now),
        "renewTime": _stamp(now),
    }
    if lease is None:
        metadata = {"name": LEASE, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "ddhelm"}}
        body: Tree = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        return cluster.create(body)
    return cluster.replace({**lease, "spec": {**lease.get("spec", {}), **spec}})


def _stamp(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(stamp: str) -> float:
    """Unix seconds of an RFC 3339 time; 0 where it cannot be read."""
    try:
        return datetime.datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0
