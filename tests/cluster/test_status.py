"""status on a real control plane: what Helm and the DaemonSets keep silent about is named."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.charts import chart
from tests.cluster.by_hand import helm
from tests.cluster.driver import Ddhelm, Result
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

DAEMONSETS = "/apis/apps/v1/namespaces/datadog/daemonsets"


@pytest.fixture
def onboarded(cluster: Clusters) -> tuple[Sandbox, Ddhelm]:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    return sandbox, ddhelm


def problems(result: Result) -> list[str]:
    return [each["text"] for each in result.json["data"]["problems"]]


def ready(sandbox: Sandbox, name: str) -> int:
    return int(sandbox.api_get(f"{DAEMONSETS}/{name}")["status"].get("numberReady", 0))


def test_a_healthy_pair_is_told_in_every_format_and_nothing_is_written(onboarded: tuple[Sandbox, Ddhelm]) -> None:
    sandbox, ddhelm = onboarded
    before = len(sandbox.writes())
    table = ddhelm("status").out
    assert "✓ 8 of 8 nodes run exactly one agent" in table
    assert f"ds/{WORKER}-datadog" in table
    told = ddhelm("status", "-o", "json").json
    assert (told["apiVersion"], told["kind"]) == ("ddhelm/v1", "Status")
    data = told["data"]
    assert data["healthy"]
    assert [(each["name"], each["revision"], each["status"]) for each in data["releases"]] == [
        (WORKER, 1, "deployed"),
        (CONTROL_PLANE, 1, "deployed"),
    ]
    assert all(each["chart"].startswith("datadog-") and each["updated"] for each in data["releases"])
    coverage = data["coverage"]
    assert (coverage["nodes"], coverage["running"], coverage["exceptions"]) == (8, 8, [])
    assert len(data["workloads"]) == 3
    assert "apiVersion: ddhelm/v1" in ddhelm("status", "-o", "yaml").out
    assert len(sandbox.writes()) == before
    sandbox.kubectl("-n", "datadog", "delete", "secret", "ddhelm")
    (gone,) = problems(ddhelm("status", "-o", "json", code=4))
    assert gone.startswith("Secret `ddhelm` is gone"), "what runs goes on, and nothing that starts again does"


def test_a_node_that_no_daemonset_wants_is_named_and_the_hint_mends_it(onboarded: tuple[Sandbox, Ddhelm]) -> None:
    sandbox, ddhelm = onboarded
    sandbox.kubectl("taint", "node", "worker-2", "dedicated=gpu:NoExecute")
    wait_for(lambda: ready(sandbox, f"{WORKER}-datadog") == 4, 20, "the agent to be evicted")
    told = ddhelm("status", code=4)
    assert "✗ 7 of 8 nodes run exactly one agent" in told.out
    assert "no agent on `worker-2`: taint `dedicated=gpu:NoExecute`" in told.out
    hint = next(line for line in told.out.splitlines() if "--tolerate" in line).partition("ddhelm onboard ")[2]
    ddhelm.onboard(*hint.split(), key=None)
    assert "✓ 8 of 8 nodes run exactly one agent" in ddhelm("status").out


def test_a_node_that_loses_its_agent_at_the_next_restart_is_named(onboarded: tuple[Sandbox, Ddhelm]) -> None:
    sandbox, ddhelm = onboarded
    sandbox.kubectl("taint", "node", "worker-3", "dedicated=gpu:NoSchedule")
    told = ddhelm("status", "-o", "json", code=4)
    (problem,) = problems(told)
    assert "`worker-3`" in problem
    assert "does not come back after a restart" in problem
    (exception,) = told.json["data"]["coverage"]["exceptions"]
    assert (exception["node"], exception["untilRestart"]) == ("worker-3", [WORKER])
    checked = ddhelm("check").out
    assert "! agents-survive-restart" in checked
    assert "an agent that still runs on 1 node does not come back after a restart (worker-3)" in checked
    assert "until restart" in next(line for line in checked.splitlines() if line.startswith("worker-3 "))


def test_an_agent_that_does_not_start_and_a_daemonset_that_is_gone_are_named(
    onboarded: tuple[Sandbox, Ddhelm],
) -> None:
    sandbox, ddhelm = onboarded
    sandbox.simulate("worker-1", never_ready="ImagePullBackOff", message="Back-off pulling image")
    sandbox.kubectl("-n", "datadog", "delete", "pod", "--field-selector=spec.nodeName=worker-1")
    wait_for(lambda: ready(sandbox, f"{WORKER}-datadog") == 4, 20, "the agent to be stuck")
    told = ddhelm("status", "-o", "json", code=4)
    (problem,) = problems(told)
    assert "cannot be pulled on `worker-1`" in problem
    assert told.json["data"]["coverage"]["running"] == 7
    sandbox.kubectl("-n", "datadog", "delete", "daemonset", f"{CONTROL_PLANE}-datadog")
    gone = problems(ddhelm("status", "-o", "json", code=4))
    assert any(f"`{CONTROL_PLANE}-datadog` is gone" in each for each in gone)
    assert any("no agent on `control-plane-1`" in each for each in gone)


def test_a_second_agent_is_named_with_its_owner(onboarded: tuple[Sandbox, Ddhelm]) -> None:
    sandbox, ddhelm = onboarded
    containers = [{"name": "agent", "image": "gcr.io/datadoghq/agent:7"}]
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template},
    }
    sandbox.loader.apply("/apis/apps/v1/namespaces/default/daemonsets/agent", body)
    (problem,) = problems(ddhelm("status", "-o", "json", code=4))
    assert "another Datadog agent: DaemonSet `default/agent`" in problem


def test_a_failed_and_a_pending_head_are_problems(onboarded: tuple[Sandbox, Ddhelm]) -> None:
    sandbox, ddhelm = onboarded
    helm(sandbox, "4.3", "upgrade", WORKER, str(chart()), "-n", "datadog", "--reuse-values",
         "--set", "agents.podLabels.new=label", code=1)  # fmt: skip
    told = ddhelm("status", "-o", "json", code=4)
    assert f"release `{WORKER}` revision 2 is `failed`" in problems(told)[0]
    assert "revision 1 is the last that was deployed" in problems(told)[0]


def test_a_cluster_without_or_with_half_of_the_pair_is_not_as_promised(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "3.22")
    empty = [f"release `{name}` is not installed" for name in (WORKER, CONTROL_PLANE)]
    assert problems(ddhelm("status", "-o", "json", code=4)) == empty
    ddhelm.onboard("--only", "worker")
    told = ddhelm("status", "-o", "json", code=4)
    assert f"release `{CONTROL_PLANE}` is not installed" in problems(told)
    assert told.json["data"]["coverage"]["running"] == 5
    hints = [each["hint"] for each in told.json["data"]["problems"]]
    assert hints, told.out
    assert not [hint for hint in hints if "--accept-uncovered" in hint or "--tolerate" in hint]


def test_who_may_not_read_nodes_still_sees_the_releases(onboarded: tuple[Sandbox, Ddhelm]) -> None:
    sandbox, ddhelm = onboarded
    everything = [{"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["get", "list"]}]
    config = sandbox.user_kubeconfig("namespaced", everything, namespace="datadog")
    told = ddhelm("status", "--kubeconfig", str(config), "-o", "json", code=1)
    data = told.json["data"]
    assert data["coverage"] is None
    assert [each["what"] for each in data["unread"]] == ["the nodes"]
    assert [each["ready"] for each in data["workloads"]] == [5, 1, 3]
    assert not any(each["fatal"] for each in data["problems"])
    all_but = [
        {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]},
    ]
    blind = sandbox.user_kubeconfig("blind", all_but)
    data = ddhelm("status", "--kubeconfig", str(blind), "-o", "json", code=1).json["data"]
    assert [each["what"] for each in data["unread"]] == ["the DaemonSets of the namespace"]
    assert [each["name"] for each in data["workloads"]] == [f"{WORKER}-datadog-cluster-agent"]
    assert data["coverage"] is None, "what may not be seen is not called gone"


def test_a_cluster_that_does_not_answer_is_one_line_and_exit_1(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster("kubeadm")
    config = tmp_path / "config"
    config.write_text(sandbox.kubeconfig.read_text().replace(str(sandbox.ports.apiserver), "1"))
    told = Ddhelm(sandbox, "4.3")("status", "--kubeconfig", str(config), code=1)
    assert told.out == ""
    assert told.err.startswith("error: ")


def test_five_thousand_nodes_are_read_in_seconds_and_told_in_a_few_lines(cluster: Clusters) -> None:
    sandbox = cluster("large")
    sandbox.kubectl("label", "node", first_worker(sandbox), "agent=here")
    values = (
        "datadog.apiKeyExistingSecret=ddhelm,datadog.operator.enabled=false,clusterAgent.enabled=false,"
        "clusterAgent.tokenExistingSecret=ddhelm,agents.nodeSelector.agent=here"
    )
    arguments = ("-n", "datadog", "--create-namespace", "--set", values)
    helm(sandbox, "4.3", "install", WORKER, str(chart()), *arguments)
    wait_for(lambda: ready(sandbox, f"{WORKER}-datadog") == 1, 60, "the one agent")
    began = time.monotonic()
    told = Ddhelm(sandbox, "4.3")("status", code=4)
    seconds = time.monotonic() - began
    assert "✗ 1 of 5000 nodes run exactly one agent" in told.out
    assert len(told.out.splitlines()) < 40
    assert seconds < 30, "far more than it takes; listing 5,000 agent pods would take minutes"


def first_worker(sandbox: Sandbox) -> str:
    nodes: list[Any] = sandbox.api_get("/api/v1/nodes?limit=200")["items"]
    name: str = next(node["metadata"]["name"] for node in nodes if not node["spec"].get("taints"))
    return name
