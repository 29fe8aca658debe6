"""The Lease: one holder, taken over only when it is dead, never stolen, always given back."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ddhelm import process
from ddhelm.actions import lock
from ddhelm.errors import ClusterError, Interrupted, PlanStale, ReleaseError


class Server:
    """A Lease store with optimistic locking, as the API server keeps it."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0

    def tree(self, path: str) -> dict[str, Any] | None:
        assert path == "/apis/coordination.k8s.io/v1/namespaces/datadog/leases/ddhelm"
        return self.lease

    def create(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        return None if self.lease is not None else self._store(obj)

    def replace(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        if self.lease is None or obj["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            return None
        return self._store(obj)

    def _store(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**obj, "metadata": metadata, "spec": dict(obj["spec"])}
        return {**self.lease, "spec": dict(obj["spec"])}


class Time:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def holding(server: Server, time: Time, who: str, wait: float = 0) -> Any:
    return lock.held(server, "datadog", now=time.now, sleep=time.sleep, wait=wait, who=who)


def test_the_lock_is_taken_and_given_back() -> None:
    server, time = Server(), Time()
    with holding(server, time, "anna"):
        held = lock.holder(server.lease)
        assert held is not None
        assert held.who == "anna"
        assert held.alive(time.now())
    assert lock.holder(server.lease) is None


def test_a_living_holder_is_named_and_not_disturbed() -> None:
    server, time = Server(), Time()
    with holding(server, time, "anna"), pytest.raises(PlanStale, match="anna") as caught, holding(server, time, "ben"):
        pass
    assert caught.value.exit_code == 5


def test_a_dead_holder_is_replaced_after_its_lease_ends() -> None:
    server, time = Server(), Time()
    with holding(server, time, "anna"):
        time.sleep(lock.DURATION + 1)
        with holding(server, time, "ben"):
            held = lock.holder(server.lease)
            assert held is not None
            assert held.who == "ben"


def test_renewal_keeps_the_lock_alive() -> None:
    server, time = Server(), Time()
    with holding(server, time, "anna") as mine:
        for _ in range(4):
            time.sleep(lock.DURATION * 0.8)
            mine.renew()
        held = lock.holder(server.lease)
        assert held is not None
        assert held.alive(time.now())


def test_a_lost_lock_is_noticed_at_the_next_renewal_and_not_given_back() -> None:
    server, time = Server(), Time()
    with holding(server, time, "anna") as mine:
        time.sleep(lock.DURATION + 1)
        with holding(server, time, "ben"), pytest.raises(PlanStale, match="taken over"):
            mine.renew()
    assert lock.holder(server.lease) is None


def test_waiting_ends_when_the_holder_lets_go() -> None:
    server, time = Server(), Time()
    with holding(server, time, "anna"):
        pass
    with holding(server, time, "ben", wait=60):
        held = lock.holder(server.lease)
        assert held is not None
        assert held.who == "ben"


@pytest.mark.parametrize("first", [True, False], ids=["create", "replace"])
@pytest.mark.parametrize("raised", [Interrupted("interrupted"), KeyboardInterrupt()], ids=["child", "between"])
def test_a_lock_that_was_interrupted_while_it_was_taken_is_given_back(first: bool, raised: BaseException) -> None:
    """kubectl may be ended when the API server has heard it: nobody else would give that Lease back."""

    class Hearing(Server):
        def create(self, obj: Any) -> Any:
            super().create(obj)
            raise raised

        def replace(self, obj: Any) -> Any:
            answer = super().replace(obj)
            if obj["spec"]["holderIdentity"]:
                raise raised
            return answer

    server, time = Hearing(), Time()
    if not first:
        usual = Server()
        with holding(usual, time, "before"):
            pass
        server.lease = usual.lease
    with pytest.raises(type(raised)), holding(server, time, "a"):
        pass
    assert server.lease is not None
    assert server.lease["spec"]["holderIdentity"] == ""
    with pytest.raises(type(raised)), holding(server, time, "b"):
        pass


def test_a_lease_with_an_unreadable_time_counts_as_dead() -> None:
    spec = {"holderIdentity": "anna", "renewTime": "yesterday", "leaseDurationSeconds": 60}
    held = lock.holder({"spec": spec})
    assert held is not None
    assert not held.alive(100)


def test_from_when_to_when_the_last_holder_could_write_is_known() -> None:
    server, time = Server(), Time()
    assert lock.term(None) == (0, 0)
    begun = time.now()
    with holding(server, time, "anna"):
        time.sleep(30)
        assert lock.term(server.lease) == (begun, begun + lock.DURATION)
    assert lock.term(server.lease) == (begun, time.now())


def test_an_api_server_that_is_gone_at_the_end_does_not_hide_what_happened() -> None:
    server, time = Server(), Time()

    def gone(_obj: dict[str, Any]) -> None:
        raise ClusterError("the API server does not answer")

    server.replace = gone  # type: ignore[assignment]
    with pytest.raises(ReleaseError, match="helm failed"), holding(server, time, "anna"):
        raise ReleaseError("helm failed")


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of this machine that waits until it is ended."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        yield running


def mark_of(pid: int) -> str:
    """What ``process.own`` would say in that process."""
    own = process.own()
    assert own is not None
    started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    return f"{own.rsplit('/', 2)[0]}/{pid}/{started}"


def test_a_process_that_runs_has_not_ended_and_a_killed_one_has(child: "subprocess.Popen[bytes]") -> None:
    mark = mark_of(child.pid)
    assert process.ended(mark) is False
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.ended(mark) is True, "a zombie"
    child.wait()
    assert process.ended(mark) is True


def test_a_pid_given_out_anew_is_another_process(child: "subprocess.Popen[bytes]") -> None:
    where, _, started = mark_of(child.pid).rpartition("/")
    assert process.ended(f"{where}/{int(started) - 1}") is True


@pytest.mark.parametrize("mark", ["", "None", "/", "another-boot/4026531836/1/2", "x/y/z"])
def test_of_another_machine_nothing_is_claimed(mark: str) -> None:
    assert process.ended(mark) is None


def test_the_process_that_holds_the_lock_is_told_from_one_that_has_ended(
    child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    server, time = Server(), Time()
    mark = mark_of(child.pid)
    monkeypatch.setattr(process, "own", lambda: mark)
    with holding(server, time, "anna@host (pid 1)"):
        held = lock.holder(server.lease)
        assert held is not None
        assert not held.ended
        child.kill()
        child.wait()
        held = lock.holder(server.lease)
        assert held is not None
        assert held.ended
        with pytest.raises(PlanStale, match="its process runs no more") as caught, holding(server, time, "ben"):
            pass
        assert "ddhelm unlock" in caught.value.hint
        assert server.lease is not None
        server.lease["spec"]["holderIdentity"] = "somebody else"
        held = lock.holder(server.lease)
        assert held is not None
        assert not held.ended, "the mark is that of the holder before"
