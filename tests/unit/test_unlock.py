"""Taking the lock away: only from the dead, and only if it is still the one that was looked at."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from ddhelm import process
from ddhelm.actions import lock, unlock
from ddhelm.actions.lock import DURATION, holder
from ddhelm.actions.reading import BUSY, not_busy
from ddhelm.errors import PlanStale, ReleaseError
from ddhelm.record import Record

RENEWED = "2026-11-24T03:00:00.000000Z"
RENEWED_AT = 1795489200.0
NOW = RENEWED_AT + 10


class Cluster:
    """A cluster with one Lease, which may be replaced once if nothing moved."""

    def __init__(self, who: str, *, moved: bool = False) -> None:
        spec = {"holderIdentity": who, "leaseDurationSeconds": DURATION, "renewTime": RENEWED, "acquireTime": RENEWED}
        self.lease: dict[str, Any] = {"metadata": {"resourceVersion": "1"}, "spec": spec}
        self._moved = moved

    def tree(self, path: str) -> dict[str, Any] | None:
        assert path.endswith("/namespaces/datadog/leases/ddhelm")
        return self.lease

    def create(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        raise AssertionError(obj)

    def replace(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        if self._moved:
            return None
        self.lease = obj
        return obj


def held(cluster: Cluster, later: float = 0) -> unlock.Held:
    first = unlock.look(cluster, "datadog", lambda: 0.0)
    assert first is not None
    found = unlock.look(cluster, "datadog", lambda: first.holder.renewed + later)
    assert found is not None
    return found


def test_a_lease_without_holder_is_nothing_to_take() -> None:
    assert unlock.look(Cluster(""), "datadog", lambda: NOW) is None


def test_a_living_holder_is_refused_by_name() -> None:
    found = held(Cluster("anna@host (pid 1)"), DURATION - 1)
    with pytest.raises(PlanStale, match=r"anna@host \(pid 1\) is at work") as error:
        unlock.refuse_living(found)
    assert "--force" in error.value.hint


def test_a_dead_one_loses_it() -> None:
    cluster = Cluster("anna@host (pid 1)")
    found = held(cluster, DURATION + 1)
    unlock.refuse_living(found)
    unlock.give_back(cluster, found)
    assert holder(cluster.lease) is None
    assert cluster.lease["metadata"] == {"resourceVersion": "1"}


def test_one_whose_process_has_ended_on_this_machine_loses_it_at_once() -> None:
    own = process.own()
    assert own is not None
    who, (where, _, started) = "anna@host (pid 1)", own.rpartition("/")
    cluster = Cluster(who)
    cluster.lease["metadata"]["annotations"] = {"ddhelm.dev/process": f"{who} {where}/{started}"}
    with pytest.raises(PlanStale, match="is at work"):
        unlock.refuse_living(held(cluster, 3))
    cluster.lease["metadata"]["annotations"] = {"ddhelm.dev/process": f"{who} {where}/{int(started) + 1}"}
    found = held(cluster, 3)
    unlock.refuse_living(found)
    assert found.holder.ended
    unlock.give_back(cluster, found)
    assert holder(cluster.lease) is None


def pending(since: float) -> dict[str, list[Record]]:
    """A release whose upgrade began then."""
    written = lock.stamp(since)
    return {"w": [Record("w", "datadog", 2, "pending-upgrade", "datadog", "3", "7", "", written, "", {}, "")]}


def uninstalling(since: float) -> dict[str, list[Record]]:
    """An old release whose uninstall began then."""
    (old,) = pending(0)["w"]
    return {"w": [replace(old, status="uninstalling", deleted=lock.stamp(since))]}


@pytest.mark.parametrize("begun", [pending, uninstalling])
@pytest.mark.parametrize("who", ["anna@host (pid 1)", ""], ids=["died", "gave it back"])
@pytest.mark.parametrize("since", [-5.0, DURATION + 5.0], ids=["before", "after"])
def test_what_began_while_nobody_held_the_lock_is_another_helms(
    begun: Callable[[float], dict[str, list[Record]]], who: str, since: float
) -> None:
    cluster = Cluster(who)
    _, ended = lock.term(cluster.lease)
    since, now = RENEWED_AT + since, max(ended, RENEWED_AT + since) + 1
    with pytest.raises(ReleaseError, match=r"`w` is busy: revision 2 is `(pending-upgrade|uninstalling)` since \d+ s"):
        not_busy(begun(since), cluster.lease, now)
    not_busy(begun(since), cluster.lease, since + BUSY)


@pytest.mark.parametrize("begun", [pending, uninstalling])
def test_what_a_dead_holder_began_is_recovered_once_its_lease_has_expired(
    begun: Callable[[float], dict[str, list[Record]]],
) -> None:
    lease = Cluster("anna@host (pid 1)").lease
    with pytest.raises(PlanStale, match="another run is at work"):
        not_busy(begun(RENEWED_AT + 1), lease, RENEWED_AT + DURATION - 1)
    not_busy(begun(RENEWED_AT + 1), lease, RENEWED_AT + DURATION)


@pytest.mark.parametrize("status", ["deployed", "failed", "superseded", "uninstalled"])
def test_no_helm_is_at_work_on_a_release_that_is_not_pending(status: str) -> None:
    (young,) = pending(RENEWED_AT)["w"]
    not_busy({"w": [replace(young, status=status)]}, Cluster("anna@host (pid 1)").lease, RENEWED_AT + 1)


@pytest.mark.parametrize("after", [10.0, DURATION + 10.0])
def test_taking_it_from_the_dead_never_makes_the_next_run_wait_longer(after: float) -> None:
    """A pending revision is recovered when the Lease would have ended, not only when it is old."""
    cluster = Cluster("anna@host (pid 1)")
    found = replace(held(cluster, after), alive=False)
    unlock.give_back(cluster, found)
    records, free = pending(found.holder.renewed), found.holder.renewed + max(after, DURATION)
    not_busy(records, cluster.lease, free)
    with pytest.raises(ReleaseError, match="is busy") as busy:
        not_busy(records, cluster.lease, free - 7)
    assert "in 7 s" in busy.value.hint


def test_after_a_living_one_lost_it_a_pending_revision_stays_busy() -> None:
    cluster = Cluster("anna@host (pid 1)")
    found = held(cluster, 10)
    unlock.give_back(cluster, found)
    with pytest.raises(ReleaseError, match="is busy"):
        not_busy(pending(found.holder.renewed), cluster.lease, found.holder.renewed + DURATION + 1)


def test_a_lock_that_moved_meanwhile_is_left_alone() -> None:
    cluster = Cluster("anna@host (pid 1)", moved=True)
    with pytest.raises(PlanStale, match="moved"):
        unlock.give_back(cluster, held(cluster, DURATION + 1))
