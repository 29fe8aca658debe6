"""Gives back a Lease whose holder does not, after somebody has seen who holds it."""

from collections.abc import Callable

from msgspec import Struct

from ddhelm import reads
from ddhelm.actions import lock
from ddhelm.actions.lock import Holder
from ddhelm.errors import PlanStale
from ddhelm.tree import Tree


class Held(Struct, frozen=True):
    """The Lease as it was read, and its holder; times are seconds.

    ``alive`` if it was renewed within its duration, by a process that is not known to have ended.
    """

    holder: Holder
    lease: Tree
    alive: bool
    age: float


def look(cluster: lock.Cluster, namespace: str, now: Callable[[], float]) -> Held | None:
    """Who holds the lock; None where nobody does."""
    lease = cluster.tree(reads.lease(namespace))
    holder = lock.holder(lease)
    if lease is None or holder is None:
        return None
    moment = now()
    return Held(holder, lease, holder.alive(moment) and not holder.ended, moment - holder.renewed)


def refuse_living(held: Held) -> None:
    """Raises PlanStale (5) where the holder is alive: two writers of a release at once break it."""
    if held.alive:
        raise PlanStale(
            f"{held.holder.who} is at work: it renewed the lock {held.age:.0f} s ago",
            hint="wait for it, or end that process; `ddhelm unlock --force` takes the lock away from a living run",
            anchor="lock-alive",
        )


def give_back(cluster: lock.Cluster, held: Held) -> None:
    """Remove the holder; PlanStale where the Lease moved since it was looked at.

    What a dead one left pending is recovered when its Lease would have ended anyway: a helm of its may live till then.
    """
    spec = {**(held.lease.get("spec") or {}), "holderIdentity": ""}
    if not held.alive:
        spec["renewTime"] = lock.stamp(held.holder.renewed + max(held.age, held.holder.duration))
    if cluster.replace({**held.lease, "spec": spec}) is None:
        raise PlanStale(
            "the lock moved while you looked at it: it was renewed, or another run took it",
            hint="ddhelm unlock, and look again",
            anchor="lock-moved",
        )
