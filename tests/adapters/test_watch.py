"""The watch always ends: complete, stalled, out of time, or blind for too long; with a clock that nobody waits for."""

from itertools import pairwise
from typing import Any

import pytest

from ddhelm import causes
from ddhelm.actions.look import Baseline, Target
from ddhelm.actions.watch import Clock, Deadlines, Polled, Unreadable, Watched, watch
from ddhelm.errors import ClusterError, Interrupted
from ddhelm.rollout import Complete, Stalled
from tests.adapters.apiserver import ApiServer, items
from tests.adapters.test_look import (
    DAEMONSET,
    DEPLOYMENT,
    FORBIDDEN,
    evicted,
    failed_create,
    happened,
    node,
    of_deployment,
    pods,
)
from tests.unit import apitrees as api

DOWN = ClusterError("cannot reach `https://10.0.0.1:6443`", anchor="unreachable")
PODSECURITY = 'Error creating: pods "a-x" is forbidden: violates PodSecurity "baseline:latest": host namespaces'


class Time:
    """Seconds that pass only when slept."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.clock = Clock(lambda: self.seconds, self._sleep)

    def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.seconds += seconds


def watched(
    server: ApiServer, *targets: Target, since: Baseline | None = None, **deadlines: Any
) -> tuple[Watched, list[object]]:
    told: list[object] = []
    result = watch(
        server,
        targets or (DAEMONSET,),
        deadlines=Deadlines(**deadlines),
        observer=told.append,
        clock=Time().clock,
        since=since or Baseline(),
    )
    return result, told


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


def test_a_roll_out_is_watched_until_two_looks_show_it_complete(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=5, updated=3), api.daemonset(updated=4), api.daemonset())
    server.serve(pods("status.phase!=Running"), items())
    result, told = watched(server)
    assert result.progress == Complete()
    assert result.elapsed == 1.5
    assert len(told) == 4
    assert isinstance(told[0], Polled)
    assert told[0].timeout == 300


def test_a_stuck_roll_out_ends_at_its_timeout(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=4))
    server.serve(pods("status.phase!=Running"), items(api.pod("p", containers=[api.waiting("ContainerCreating")])))
    server.serve(happened("p"), items())
    result, _ = watched(server, timeout=42)
    assert isinstance(result.progress, Stalled)
    assert result.progress.timed_out
    assert result.elapsed == 42
    assert not result.ok
    assert result.failure().exit_code == 4


def test_a_pod_that_was_evicted_before_is_no_reason_to_give_up(server: ApiServer) -> None:
    pulling = api.pod("new", containers=[api.waiting("ContainerCreating")], made="2026-12-01T00:00:00Z")
    server.serve(DEPLOYMENT.path, *[api.deployment(available=0)] * 200, api.deployment())
    of_deployment(server, pending=items(pulling), failed=items(*evicted(1)))
    server.serve(happened("new"), items())
    result, _ = watched(server, DEPLOYMENT)
    assert result.ok
    assert result.elapsed > 180


def test_a_deployment_whose_new_pods_are_refused_stalls(server: ApiServer) -> None:
    server.serve(DEPLOYMENT.path, api.deployment(updated=0, total=2))
    old = api.pod("old", phase="Running", ready=True, made="2026-11-20T00:00:00Z")
    refused = api.pod("new", failed=("OutOfcpu", "Node didn't have enough resource: cpu"), made="2026-12-01T00:00:00Z")
    of_deployment(server, running=items(old), failed=items(*evicted(1), refused))
    result, _ = watched(server, DEPLOYMENT)
    assert isinstance(result.progress, Stalled)
    assert (result.progress.reason, result.progress.pod) == ("Refused", "new")
    assert result.elapsed == 60


def test_the_default_timeout_follows_the_number_of_nodes_as_it_shows(server: ApiServer) -> None:
    waiting = api.daemonset(desired=0, generation=1, observed=0)
    server.serve(DAEMONSET.path, waiting, api.daemonset(desired=9, available=8))
    server.serve(pods("status.phase!=Running"), items(api.pod("p")))
    server.serve(happened("p"), items())
    result, told = watched(server)
    assert [each.timeout for each in told[:2] if isinstance(each, Polled)] == [300, 540]
    assert result.elapsed == 540


def test_pods_are_asked_about_less_often_than_workloads(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=4))
    server.serve(pods("status.phase!=Running"), items(api.pod("p", containers=[api.waiting("ContainerCreating")])))
    server.serve(happened("p"), items())
    watched(server, timeout=30)
    assert len(server.asked_for("daemonsets")) == 30 + 16  # twice a second for 15 s, then once
    assert len(server.asked_for("/pods?")) == 11


def test_pod_security_ends_the_watch_at_the_first_look(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=0, updated=0, scheduled=0))
    server.serve(pods("status.phase!=Running"), items())
    server.serve(pods("status.phase=Running"), items())
    server.serve("/api/v1/nodes?resourceVersion=0", items(node("w-1")))
    server.serve(failed_create(), items(api.event("FailedCreate", PODSECURITY, kind="DaemonSet", name=api.WORKER)))
    result, told = watched(server)
    assert isinstance(result.progress, Stalled)
    assert result.progress.reason == "PodSecurity"
    assert result.elapsed == 0
    assert len(told) == 1


def test_an_api_server_that_restarts_does_not_fail_the_roll_out(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, *[DOWN] * 59, api.daemonset())
    result, told = watched(server)
    assert result.ok
    assert len([each for each in told if isinstance(each, Unreadable)]) == 59


@pytest.mark.parametrize(("timeout", "read"), [(300, causes.KINDS["CrashLoop"].grace), (120, 43)])
def test_silence_of_the_api_server_is_no_time_that_a_cause_lasted(server: ApiServer, timeout: int, read: int) -> None:
    """Nobody could mend or report anything then; only the time-out goes on."""
    rolling = api.daemonset(available=4)
    server.serve(DAEMONSET.path, *[rolling] * 14, *[DOWN] * 55, *[rolling] * 9, *[DOWN] * 30, rolling)
    crashing = api.pod("p", containers=[api.waiting("CrashLoopBackOff", restarts=2)])
    server.serve(pods("status.phase!=Running"), items(crashing))
    result, told = watched(server, timeout=timeout)
    looks = [each for each in told if isinstance(each, Polled | Unreadable)]
    silence = sum(after.elapsed - each.elapsed for each, after in pairwise(looks) if isinstance(each, Unreadable))
    assert isinstance(result.progress, Stalled)
    assert (result.progress.reason, silence) == ("CrashLoop", 77)
    assert result.elapsed - silence == read


def test_a_look_that_hangs_is_silence_from_its_beginning() -> None:
    """kubectl waits for half a minute before it says that the API server is silent."""

    class Hanging(ApiServer):
        def raws(self, paths: Any) -> Any:
            if time.seconds == 6:
                time.seconds += 30
            return super().raws(paths)

    server, time = Hanging(), Time()
    missing = api.pod("p", containers=[api.waiting("CreateContainerConfigError", 'secret "dd" not found')])
    server.serve(DAEMONSET.path, *[api.daemonset(available=4)] * 12, DOWN, api.daemonset(available=4))
    server.serve(pods("status.phase!=Running"), items(missing))
    result = watch(server, (DAEMONSET,), clock=time.clock, since=Baseline())
    assert isinstance(result.progress, Stalled)
    assert result.progress.reason == "Secret"
    assert result.elapsed == 20 + 31


def test_an_api_server_that_stays_away_ends_the_watch(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=5, updated=4), DOWN)
    server.serve(pods("status.phase!=Running"), items())
    told: list[object] = []
    with pytest.raises(ClusterError, match="cannot reach"):
        watch(server, (DAEMONSET,), observer=told.append, clock=Time().clock)
    last = told[-1]
    assert isinstance(last, Unreadable)
    assert last.elapsed == 60


def test_what_is_forbidden_is_not_waited_for(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, FORBIDDEN)
    with pytest.raises(ClusterError, match="forbidden"):
        watched(server)
    assert len(server.asked) == 1


def test_an_interruption_ends_the_watch_whatever_it_asks(server: ApiServer) -> None:
    class Pressed(ApiServer):
        def raws(self, paths: Any) -> Any:
            raise Interrupted("interrupted")

    with pytest.raises(Interrupted):
        watched(Pressed())


def test_nothing_to_watch_is_complete(server: ApiServer) -> None:
    assert watch(server, (), clock=Time().clock).ok
