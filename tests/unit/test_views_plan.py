"""The plan for people: whatever it counts it also names."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ddhelm.actions.carry_out import Outcome
from ddhelm.actions.watch import Watched
from ddhelm.claim import LiveState, ProofContext
from ddhelm.manifest import ObjectRef
from ddhelm.plan import Action, ObjectChange, Restart, Step, StepKind
from ddhelm.proof import run
from ddhelm.release import pair
from ddhelm.rollout import Complete
from ddhelm.steps import steps_for
from ddhelm.tree import Change
from ddhelm.views import console, plan
from ddhelm.views.diff import How
from ddhelm.workloads import Workload
from tests.unit.pairs import context
from tests.unit.test_plan import QUIET, deployed, desired


@pytest.mark.parametrize("made", [context(), replace(context(), live=LiveState())], ids=["live", "offline"])
def test_every_check_that_could_not_be_decided_is_named(made: ProofContext) -> None:
    results = run(made)
    unknown = [result.claim.name for result in results if result.unknown]
    screen = console.fixed(width=200)
    plan.checks(plan.check_rows(results), screen)
    shown = console.text(screen)
    assert unknown
    assert f"{len(unknown)} could not be decided" in shown
    assert [name for name in unknown if f"? {name}: " in shown] == unknown


def wide(objects: int, fields: int) -> Any:
    """What is shown of a plan that changes so many fields of so many objects."""
    release = pair("datadog", control_plane=True)[0]
    changes = tuple(Change(("data", f"key-{at}"), "replace", "a", "b") for at in range(fields))
    refs = [ObjectRef("v1", "ConfigMap", "datadog", f"object-{at}") for at in range(objects)]
    step = Step(StepKind.UPGRADE, release, objects=tuple(ObjectChange(ref, Action.UPDATE, changes) for ref in refs))
    return SimpleNamespace(plan=SimpleNamespace(steps=(step,)), values={})


@pytest.mark.parametrize(("objects", "fields"), [(1, 3), (10, 3), (20, 3), (40, 30)])
def test_a_plan_fits_on_a_screen_and_says_where_the_rest_is(objects: int, fields: int) -> None:
    shown = plan._changes(wide(objects, fields), plan._SHORT)
    told = [text for _, text in shown]
    assert len(told) <= plan._SCREEN
    assert sum("ConfigMap datadog/object-" in text for text in told) == objects, "each object is named"
    assert ("ddhelm diff" in told[-1]) is (objects > 10)
    whole = plan._changes(wide(objects, fields), How())
    assert len(whole) == 1 + objects * (1 + fields), "diff shows all"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ((), "none restarted"),
        ((("DaemonSet", "other", Action.CREATE),), "starts DaemonSet other, Cluster Agent not restarted"),
        ((("ConfigMap", "other", Action.CREATE),), "none restarted"),
        (
            (("Deployment", "dd-cluster-agent", Action.DELETE), ("Deployment", "renamed", Action.CREATE)),
            "ends Deployment dd-cluster-agent, starts Deployment renamed",
        ),
    ],
)
def test_workloads_that_come_and_go_are_told_where_restarts_are(
    changes: tuple[tuple[str, str, Action], ...], told: str
) -> None:
    release = pair("datadog", control_plane=True)[0]
    objects = tuple(ObjectChange(ObjectRef("apps/v1", kind, "datadog", name), how) for kind, name, how in changes)
    agents = frozenset({("DaemonSet", "dd"), ("Deployment", "renamed")})
    step = Step(StepKind.UPGRADE, release, objects=objects, agents=agents)
    assert plan.pods(step, {}) == told


def workload(kind: str, name: str, container: str, image: str) -> dict[str, Any]:
    pod = {"containers": [{"name": container, "image": image}]}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {"template": {"spec": pod}}}


def test_the_agents_are_known_by_what_they_run_whatever_the_values_call_them() -> None:
    """`fullnameOverride`, as where one release was taken over from a hand-made one."""

    def made(image: str) -> tuple[dict[str, Any], ...]:
        runner = workload("Deployment", "dd-clusterchecks", "agent", image)
        cluster_agent = workload("Deployment", "dd-cluster-agent", "cluster-agent", image)
        return workload("DaemonSet", "dd", "agent", image), cluster_agent, runner

    (step,) = steps_for(desired(*made("x:8")), deployed(*made("x:7")), QUIET)
    assert plan.pods(step, {step.release.name: 47}).split(", ") == [
        "rolls 47 node agents (image)",
        "restarts the Cluster Agent (image)",
        "restarts Deployment dd-clusterchecks (image)",
    ]


def test_a_rollback_before_another_step_says_nothing_of_the_cluster_agent() -> None:
    """Which workloads a failed revision reached is seen only in what is live, so the step after it tells that."""
    release = pair("datadog", control_plane=True)[0]
    gone = ObjectChange(ObjectRef("apps/v1", "Deployment", "datadog", "extra"), Action.DELETE)
    assert plan.pods(Step(StepKind.ROLLBACK, release, objects=(gone,)), {}) == "ends Deployment extra"


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (47, "47 node agents stay as they are until deleted (OnDelete: image), Cluster Agent not restarted"),
        (1, "1 node agent stays as it is until deleted (OnDelete: image), Cluster Agent not restarted"),
    ],
)
def test_pods_that_only_a_deletion_replaces_are_not_said_to_restart(count: int, told: str) -> None:
    release = pair("datadog", control_plane=True)[0]
    agents = ObjectRef("apps/v1", "DaemonSet", "datadog", release.fullname)
    known = frozenset({("DaemonSet", agents.name), ("Deployment", "dd-cluster-agent")})
    step = Step(StepKind.UPGRADE, release, restarts=(Restart(agents, ("image",), on_delete=True),), agents=known)
    assert plan.pods(step, {release.name: count}) == told
    shown = plan._step_json(step, {})
    assert (shown["restarts"], [each["name"] for each in shown["onDelete"]]) == ([], [agents.name])


def test_an_outcome_says_which_pods_stay_as_they_were() -> None:
    """The roll-out is complete at once, although not one pod runs what was deployed."""
    held = Workload("DaemonSet", "datadog", "agents", desired=47, on_delete=True)
    done = Outcome(watched=Watched(Complete(), (held,), 1.0))
    screen = console.fixed(width=200)
    plan.outcome(done, screen)
    assert "! DaemonSet datadog/agents: 47 pods run an older configuration until deleted" in console.text(screen)
    (told,) = plan.outcome_json(cast(Any, SimpleNamespace(chart=SimpleNamespace(version="1"))), done)["data"]["notices"]
    assert told in console.text(screen)
