"""How a roll-out looks on a terminal and in a pipe."""

from typing import Any

import pytest
from inline_snapshot import snapshot

from ddhelm import workloads
from ddhelm.actions.events import Warned
from ddhelm.actions.look import Target
from ddhelm.actions.watch import Polled, Unreadable, Watched
from ddhelm.causes import Cause
from ddhelm.errors import ClusterError
from ddhelm.rollout import Complete, Progress, Progressing, Reading, Stalled
from ddhelm.views import console, rollout
from tests.unit import apitrees as api

TARGETS = (Target("worker-node-ddagent", "DaemonSet", api.NAMESPACE, api.WORKER),)
PULL = Cause(
    "ImagePull",
    "image `gcr.io/datadoghq/agent:7.81.2` cannot be pulled on `w-3`: no such host",
    "check that the nodes reach the registry",
    api.WORKER,
    ("worker-node-ddagent-datadog-abcde",),
    ("w-3",),
    60,
)


def polled(elapsed: float, *trees: Any, progress: Progress | None = None) -> Polled:
    shown = Reading(workloads=tuple(workloads.workload(tree) for tree in trees))
    return Polled(TARGETS, shown, progress or Progressing(), elapsed, 480)


def seen(tree: Any) -> tuple[workloads.Workload, ...]:
    return (workloads.workload(tree),)


def test_the_first_look_is_told_whole_and_the_next_only_where_it_changed() -> None:
    first = polled(0, api.daemonset(available=0, updated=0, generation=2, observed=1), api.deployment(available=0))
    second = polled(3, api.daemonset(available=0, updated=2), api.deployment(available=0))
    third = polled(62, api.daemonset(available=4), api.deployment())
    told = [rollout.lines(None, first), rollout.lines(first, second), rollout.lines(second, third)]
    assert told == snapshot(
        [
            (
                "0:00  worker-node-ddagent-datadog: waiting for the controller",
                "0:00  worker-node-ddagent-datadog-cluster-agent: 0 of 1 ready",
            ),
            ("0:03  worker-node-ddagent-datadog: 0 of 5 ready, 2 up to date",),
            (
                "1:02  worker-node-ddagent-datadog: 4 of 5 ready",
                "1:02  worker-node-ddagent-datadog-cluster-agent: 1 of 1 ready",
            ),
        ]
    )
    assert rollout.lines(third, polled(70, api.daemonset(available=4), api.deployment())) == ()


def test_a_cause_is_told_once_and_again_when_it_is_gone() -> None:
    before = polled(10, api.daemonset(available=4))
    bad = polled(13, api.daemonset(available=4), progress=Progressing((PULL,)))
    told = [rollout.lines(before, bad), rollout.lines(bad, bad), rollout.lines(bad, before)]
    assert told == snapshot(
        [
            ("0:13  ! image `gcr.io/datadoghq/agent:7.81.2` cannot be pulled on `w-3`: no such host",),
            (),
            ("0:10  ✓ no longer: image `gcr.io/datadoghq/agent:7.81.2` cannot be pulled on `w-3`: no such host",),
        ]
    )


def test_a_pipe_gets_plain_lines_and_silence_while_nothing_changes() -> None:
    screen = console.fixed(width=200)
    with rollout.observer(screen) as observer:
        for second in range(4):
            observer(polled(second, api.daemonset(available=second // 2)))
        observer(Unreadable(ClusterError("cannot reach `https://10.0.0.1:6443`"), 5))
        observer(Unreadable(ClusterError("cannot reach `https://10.0.0.1:6443`"), 6))
        observer(polled(7, api.daemonset()))
        observer("an event of somebody else")
    assert console.text(screen) == snapshot("""\
0:00  worker-node-ddagent-datadog: 0 of 5 ready
0:02  worker-node-ddagent-datadog: 1 of 5 ready
0:05  ! cannot reach `https://10.0.0.1:6443`
0:07  worker-node-ddagent-datadog: 5 of 5 ready\
""")


def test_a_terminal_gets_a_board_that_leaves_no_trace() -> None:
    screen = console.fixed(width=120, colour=True)
    with rollout.observer(screen) as observer:
        observer(polled(61, api.daemonset(available=4), api.deployment(), progress=Progressing((PULL,))))
        observer(Unreadable(ClusterError("cannot reach `x`"), 62))
    drawn = console.text(screen)
    assert "ds/worker-node-ddagent-datadog" in drawn
    assert "1:01 passed, gives up in 6:59" in drawn
    assert "cannot reach" in drawn
    assert drawn.rstrip().endswith("\x1b[2K"), "the board is wiped when the watch ends"


@pytest.mark.parametrize("colour", [False, True], ids=["pipe", "terminal"])
def test_what_the_api_server_warns_of_is_told_once(colour: bool) -> None:
    screen = console.fixed(width=120, colour=colour)
    with rollout.observer(screen) as observer:
        observer(Warned('would violate PodSecurity "restricted:latest": host namespaces (hostNetwork=true)'))
        observer(polled(1, api.daemonset()))
        observer(Warned('would violate PodSecurity "restricted:latest": host namespaces (hostNetwork=true)'))
        observer(Warned("spec.template.metadata.annotations[x]: deprecated since v1.27"))
    told = console.text(screen)
    assert told.count('would violate PodSecurity "restricted:latest": host namespaces (hostNetwork=true)') == 1
    assert told.count("deprecated since v1.27") == 1


def test_success_is_one_line() -> None:
    screen = console.fixed()
    rollout.outcome(Watched(Complete(), seen(api.daemonset()), 41.4), screen)
    assert console.text(screen) == snapshot("✓ rolled out: 5 pods ready after 41 s")


def test_success_with_something_odd_says_what() -> None:
    screen = console.fixed(width=140)
    verdict = Complete(empty=(api.CONTROL_PLANE,))
    rollout.outcome(Watched(verdict, seen(api.daemonset()), 41.4), screen)
    assert console.text(screen) == snapshot("""\
✓ rolled out: 5 pods ready after 41 s
! `control-plane-ddagent-datadog` wants no node: nothing runs through it
  hint: ddhelm status\
""")


def test_a_stall_shows_where_it_stands_the_cause_and_what_to_do() -> None:
    screen = console.fixed(width=140)
    other = Cause("Taint", "`x` tolerates no node that it may use: [NodeAffinity]", "ddhelm onboard --tolerate K", "x")
    verdict = Stalled("ImagePull", PULL.text, PULL.hint, PULL.pods[0], "w-3", (PULL, other))
    rollout.outcome(Watched(verdict, seen(api.daemonset(available=4, updated=3)), 95), screen)
    assert console.text(screen) == snapshot("""\
WORKLOAD                        READY  UP-TO-DATE  STATE
ds/worker-node-ddagent-datadog    4/5           3  ! 2 to come
✗ the roll-out stalled after 95 s: image `gcr.io/datadoghq/agent:7.81.2` cannot be pulled on `w-3`: no such host
  hint: check that the nodes reach the registry
! `x` tolerates no node that it may use: [NodeAffinity]
  hint: ddhelm onboard --tolerate K\
""")


def test_a_stall_becomes_an_error_with_the_exit_code_of_the_table() -> None:
    verdict = Stalled("ImagePull", PULL.text, PULL.hint, causes=(PULL,), timed_out=True)
    error = Watched(verdict, (), 480).failure()
    assert error.exit_code == 4
    assert error.message.startswith("the roll-out ran out of time after 480 s: image")
    assert (error.hint, error.anchor, error.details) == (PULL.hint, "rollout-timeout", ())
