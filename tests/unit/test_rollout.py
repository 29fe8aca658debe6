"""When a roll-out is complete, when it goes on, and when waiting makes no sense any more."""

import math
from typing import Any

import pytest

from ddhelm import causes, rollout, workloads
from ddhelm.rollout import Complete, Progress, Progressing, Reading, Seen, Stalled, judge
from tests.unit import apitrees as api

TIMEOUT = 600.0
PODSECURITY = (
    'Error creating: pods "worker-node-ddagent-datadog-x" is forbidden: violates PodSecurity "baseline:latest": '
    'host namespaces (hostPID=true), hostPath volumes (volumes "procdir", "cgroups")'
)


def reading(*trees: Any, pods: list[Any] | None = None, events: list[Any] | None = None, **more: Any) -> Reading:
    """A reading of these workloads; each pod belongs to the workload that its ``app`` label names."""
    return Reading(
        workloads=tuple(workloads.workload(tree) for tree in trees),
        pods=tuple(workloads.pod(tree, tree["metadata"]["labels"]["app"]) for tree in pods or ()),
        events=tuple(workloads.event(tree) for tree in events or ()),
        **more,
    )


def watched(*readings: tuple[float, Reading], timeout: float = TIMEOUT, **more: Any) -> Progress:
    """What the last of several readings, each at its second, comes to; no earlier one may end the watch."""
    seen = Seen()
    verdict: Progress = Progressing()
    for position, (second, each) in enumerate(readings):
        verdict, seen = judge(each, seen, elapsed=second, timeout=timeout, **more)
        if position < len(readings) - 1:
            assert isinstance(verdict, Progressing), (second, verdict)
    return verdict


def stuck(each: Reading, seconds: float, **more: Any) -> Progress:
    """The same reading at 0 s and again after so many seconds."""
    return watched((0, each), (seconds, each), **more)


def test_one_complete_reading_is_not_believed_and_the_second_is() -> None:
    done = reading(api.daemonset(), api.deployment())
    assert isinstance(watched((0, done)), Progressing)
    assert watched((0, done), (1, done)) == Complete()


def test_a_pod_that_goes_again_between_two_readings_starts_the_count_anew() -> None:
    done, lost = reading(api.daemonset()), reading(api.daemonset(available=4))
    assert isinstance(watched((0, done), (1, lost), (2, done)), Progressing)


def test_a_daemonset_that_wants_no_node_is_complete_and_told_apart() -> None:
    nothing = reading(api.daemonset(desired=0), api.daemonset(api.CONTROL_PLANE))
    assert stuck(nothing, 1) == Complete(empty=(api.WORKER,))


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        (api.daemonset(updated=4), "an old pod is left"),
        (api.daemonset(available=4), "a pod is not available"),
        (api.daemonset(generation=2, observed=1), "the controller has not seen the new spec"),
        (api.deployment(updated=0), "the old Cluster Agent still runs"),
        (api.deployment(total=2), "the old Cluster Agent has not left"),
        (api.deployment(available=0), "the new Cluster Agent is not ready"),
        (api.deployment(generation=3, observed=2), "the controller has not seen the new spec"),
    ],
)
def test_what_is_not_complete_goes_on(tree: Any, why: str) -> None:
    assert isinstance(stuck(reading(tree), 100), Progressing), why


def test_a_deployment_scaled_to_nothing_is_complete() -> None:
    assert stuck(reading(api.deployment(replicas=0)), 1) == Complete()


def test_ondelete_daemonsets_are_not_waited_for_to_be_new() -> None:
    assert stuck(reading(api.daemonset(updated=0, strategy={"type": "OnDelete"})), 1) == Complete()


def test_an_object_seconds_old_without_a_status_is_behind() -> None:
    bare = {"kind": "DaemonSet", "metadata": {"name": "x", "generation": 1}, "spec": {}}
    assert not workloads.workload(bare).settled
    assert not workloads.workload(bare).empty


def test_pod_security_ends_the_watch_at_the_first_reading() -> None:
    verdict = watched(
        (0, reading(
            api.daemonset(available=0, updated=0, scheduled=0),
            events=[api.event("FailedCreate", PODSECURITY, kind="DaemonSet", name=api.WORKER)],
        )),
    )  # fmt: skip
    assert isinstance(verdict, Stalled)
    assert verdict.reason == "PodSecurity"
    assert "namespace `datadog` enforces pod security `baseline:latest`" in verdict.text
    assert verdict.hint == "ddhelm onboard --label-namespace"
    assert not verdict.timed_out


def test_failures_to_create_pods_count_only_while_pods_are_lacking() -> None:
    rolling = reading(
        api.daemonset(updated=3, available=4),
        events=[api.event("FailedCreate", PODSECURITY, kind="DaemonSet", name=api.WORKER)],
    )
    assert watched((0, rolling)) == Progressing()


def test_a_replicaset_repeating_an_old_refusal_gets_time_to_try_again() -> None:
    failed = api.condition("ReplicaFailure", "True", "FailedCreate", PODSECURITY)
    each = reading(api.deployment(available=0, updated=0, total=0, conditions=[failed]))
    assert isinstance(stuck(each, 29), Progressing)
    verdict = stuck(each, 30)
    assert isinstance(verdict, Stalled)
    assert verdict.reason == "PodSecurity"


def test_a_probable_cause_is_given_its_grace_and_no_longer() -> None:
    each = reading(api.daemonset(available=4), pods=[api.pod("p", containers=[api.waiting("ImagePullBackOff", "x")])])
    grace = causes.KINDS["ImagePull"].grace
    assert isinstance(stuck(each, grace - 1), Progressing)
    verdict = stuck(each, grace)
    assert isinstance(verdict, Stalled)
    assert (verdict.reason, verdict.pod, verdict.node) == ("ImagePull", "p", "w-1")


def test_while_other_pods_come_up_a_probable_cause_does_not_end_the_watch() -> None:
    bad = [api.pod("p", containers=[api.waiting("ImagePullBackOff", "x")])]
    steps = [(i * 50.0, reading(api.daemonset(desired=9, available=8, updated=i), pods=bad)) for i in range(9)]
    assert isinstance(watched(*steps), Progressing)
    stopped = (8 * 50.0 + 60, steps[-1][1])
    assert isinstance(watched(*steps, stopped), Stalled)


def test_an_agent_that_is_ready_and_crashes_in_turn_gets_nowhere() -> None:
    crashed = {"exitCode": 1, "reason": "Error"}
    down = reading(
        api.daemonset(available=4),
        pods=[api.pod("p", containers=[api.waiting("CrashLoopBackOff", "back-off", restarts=4, last=crashed)])],
    )
    up = reading(api.daemonset(available=5, updated=4))
    flapping = [(second * 10.0, up if second % 2 else down) for second in range(7)]
    verdict = watched(*flapping)
    assert isinstance(verdict, Stalled)
    assert verdict.reason == "CrashLoop"
    assert "Error with exit code 1, 4 restarts" in verdict.text


def test_a_crash_that_is_long_past_does_not_count_its_old_age() -> None:
    bad = reading(api.daemonset(available=4), pods=[api.pod("p", containers=[api.waiting("RunContainerError", "x")])])
    quiet = reading(api.daemonset(available=4))
    assert isinstance(watched((0, bad), (20, quiet), (100, bad)), Progressing)


def test_causes_survive_readings_that_did_not_look_at_pods() -> None:
    bad = reading(api.daemonset(available=4), pods=[api.pod("p", containers=[api.waiting("RunContainerError", "x")])])
    blind = reading(api.daemonset(available=4), diagnosed=False)
    assert isinstance(watched((0, bad), (15, blind), (31, blind)), Stalled)


QUIET = reading(api.daemonset(available=4, updated=2))
PULLING = reading(
    api.daemonset(available=4, updated=2), pods=[api.pod("p", containers=[api.waiting("ErrImagePull", "no route")])]
)
LESS = reading(
    api.daemonset(available=4, updated=1), pods=[api.pod("p", containers=[api.waiting("ErrImagePull", "no route")])]
)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ([(0, PULLING)], [(100, PULLING), (159, PULLING)], "it lasts since the watch began"),
        ([(0, QUIET), (10, PULLING)], [(110, PULLING), (169, PULLING)], "the cause is younger than the last movement"),
        ([(0, LESS), (10, PULLING)], [(110, PULLING), (169, PULLING)], "the last movement is younger than the cause"),
        ([(0, PULLING)], [(105, QUIET), (125, PULLING), (159, PULLING)], "the cause shows only now and then"),
    ],
)
def test_silence_of_the_api_server_stops_the_clock_of_a_cause(
    before: list[tuple[float, Reading]], after: list[tuple[float, Reading]], why: str
) -> None:
    """100 s without an answer before the readings of ``after``; a stall comes a second after the last of them."""
    seen = Seen()
    for second, each in before:
        _, seen = judge(each, seen, elapsed=second, timeout=TIMEOUT)
    seen = seen.after_silence(100)
    for second, each in after:
        verdict, seen = judge(each, seen, elapsed=second, timeout=TIMEOUT)
        assert isinstance(verdict, Progressing), why
    second, each = after[-1]
    assert isinstance(judge(each, seen, elapsed=second + 1, timeout=TIMEOUT)[0], Stalled), why


def test_running_out_of_time_names_the_likeliest_cause() -> None:
    each = reading(api.daemonset(available=4), pods=[api.pod("p", phase="Running", containers=[api.running()])])
    verdict = stuck(each, TIMEOUT)
    assert isinstance(verdict, Stalled)
    assert verdict.timed_out
    assert verdict.blamed == ()
    assert verdict.text == f"container `agent` of `{api.WORKER}` runs and is not ready on `w-1`"
    assert verdict.hint == "kubectl -n datadog logs p -c agent"


def test_running_out_of_time_without_any_cause_says_how_far_it_got() -> None:
    verdict = stuck(reading(api.daemonset(available=3), api.deployment()), TIMEOUT)
    assert isinstance(verdict, Stalled)
    assert verdict.reason == "Timeout"
    assert verdict.text == f"`{api.WORKER}` has 3 of 5 pods new and ready after 600 s"


def test_what_is_complete_at_the_deadline_is_complete() -> None:
    assert watched((0, reading(api.daemonset(available=3))), (TIMEOUT, reading(api.daemonset()))) == Complete()


def test_a_workload_that_someone_deletes_ends_the_watch() -> None:
    verdict = stuck(reading(api.deployment(), missing=(api.WORKER,)), 10)
    assert isinstance(verdict, Stalled)
    assert verdict.reason == "Missing"


def test_a_dead_node_that_holds_up_all_others_is_the_cause() -> None:
    dead = reading(
        api.daemonset(available=4, updated=2),
        pods=[api.pod("p", "w-5", phase="Running", deleting=True)],
        nodes_down=frozenset({"w-5", "other"}),
    )
    verdict = stuck(dead, 60)
    assert isinstance(verdict, Stalled)
    assert verdict.reason == "NodeNotReady"
    assert verdict.text.startswith("node `w-5` is not ready")
    assert verdict.hint.endswith("kubectl delete node w-5")


def test_a_sure_cause_is_named_before_a_widespread_doubtful_one() -> None:
    pods = [api.pod(f"p{i}", f"w-{i}", containers=[api.waiting("CrashLoopBackOff")]) for i in range(4)]
    each = reading(
        api.daemonset(available=0, scheduled=4),
        pods=pods,
        events=[api.event("FailedCreate", PODSECURITY, kind="DaemonSet", name=api.WORKER)],
    )
    verdict = watched((0, each))
    assert isinstance(verdict, Stalled)
    assert [cause.reason for cause in verdict.causes] == ["PodSecurity", "CrashLoop"]


def test_only_what_outlived_its_grace_is_blamed() -> None:
    """The other release's agents may still be starting, and have a cause that is none of the stall's."""
    no_secret = api.waiting("CreateContainerConfigError", 'secret "dd" not found')
    pods = [
        api.pod("w", containers=[no_secret]),
        api.pod("c1", app=api.CONTROL_PLANE, phase="Running", containers=[api.running()]),
        api.pod("c2", app=api.CONTROL_PLANE, containers=[api.waiting("ErrImagePull", "no route")]),
        api.pod("d", app=api.CLUSTER_AGENT, phase="Running", deleting=True),
    ]
    each = reading(
        api.daemonset(available=4), api.daemonset(api.CONTROL_PLANE, available=3), api.deployment(total=2), pods=pods
    )
    verdict = stuck(each, 20)
    assert isinstance(verdict, Stalled)
    assert [cause.reason for cause in verdict.causes] == ["Secret", "ImagePull", "NotReady", "Terminating"]
    assert (verdict.reason, verdict.blamed) == ("Secret", (api.WORKER,))
    verdict = stuck(each, 60)
    assert isinstance(verdict, Stalled)
    assert (verdict.reason, verdict.blamed) == ("Secret", (api.WORKER, api.CONTROL_PLANE))


@pytest.mark.parametrize(
    ("nodes", "max_unavailable", "seconds"),
    [
        (0, "10%", 300),
        (5, "10%", 300),
        (8, "10%", 480),
        (10, "10%", 600),
        (11, "10%", 360),  # 1.1 rounds up to two at a time
        (5000, "10%", 600),
        (100, 1, 6000),
        (100, "5", 1200),
        (100, 0, 6000),
        (3, "100%", 300),
    ],
)
def test_default_timeout_is_a_minute_a_round_and_at_least_five(
    nodes: int, max_unavailable: int | str, seconds: int
) -> None:
    assert rollout.default_timeout(nodes, max_unavailable) == seconds


def test_two_daemonsets_roll_at_once_so_the_longer_timeout_holds() -> None:
    small, large = workloads.workload(api.daemonset(desired=3)), workloads.workload(api.daemonset(desired=9))
    assert rollout.timeout_for([small, large, workloads.workload(api.deployment())]) == 540
    assert rollout.timeout_for([]) == 300


def test_every_kind_of_cause_says_something_and_hints_at_something() -> None:
    for kind in causes.KINDS.values():
        assert kind.text
        assert kind.hint
        assert kind.grace >= 0
    assert not any(math.isnan(kind.grace) for kind in causes.KINDS.values())
