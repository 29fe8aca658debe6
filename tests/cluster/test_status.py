"""status on a real control plane: what Helm and the DaemonSets keep silent about is named."""

import time
from pathlib import Path
from typing import Any

from tests.charts import chart
from tests.cluster.by_hand import helm
from tests.cluster.driver import Ddhelm, Result, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

DAEMONSETS = "/apis/apps/v1/namespaces/datadog/daemonsets"
SECOND = "/apis/apps/v1/namespaces/default/daemonsets/agent"


def problems(result: Result) -> list[str]:
    return [each["text"] for each in result.json["data"]["problems"]]


def ready(sandbox: Sandbox, name: str) -> int:
    return int(sandbox.api_get(f"{DAEMONSETS}/{name}")["status"].get("numberReady", 0))


def test_a_healthy_pair_is_told_in_every_format_and_what_comes_in_its_way_is_named(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
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
    who_may_not_read_all_still_sees_the_rest(sandbox, ddhelm)
    assert len(sandbox.writes()) == before, "nothing was written"

    second_agent(sandbox)
    (problem,) = problems(ddhelm("status", "-o", "json", code=4))
    assert "another Datadog agent: DaemonSet `default/agent`" in problem
    sandbox.loader.delete(SECOND)

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
    sandbox.kubectl("taint", "node", "worker-3", "dedicated-")

    sandbox.kubectl("-n", "datadog", "delete", "secret", "ddhelm")
    (gone,) = problems(ddhelm("status", "-o", "json", code=4))
    assert gone.startswith("Secret `ddhelm` is gone"), "what runs goes on, and nothing that starts again does"


def who_may_not_read_all_still_sees_the_rest(sandbox: Sandbox, ddhelm: Ddhelm) -> None:
    """Somebody without nodes, and somebody without DaemonSets: what may not be seen is not called gone."""
    everything = [{"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["get", "list"]}]
    config = sandbox.user_kubeconfig("namespaced", everything, namespace="datadog")
    data = ddhelm("status", "--kubeconfig", str(config), "-o", "json", code=1).json["data"]
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
    assert data["coverage"] is None


def second_agent(sandbox: Sandbox) -> None:
    containers = [{"name": "agent", "image": "gcr.io/datadoghq/agent:7"}]
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template},
    }
    sandbox.loader.apply(SECOND, body)


def test_nodes_without_their_agent_are_named_and_the_hint_mends_what_it_can(cluster: Clusters) -> None:
    """A node that no DaemonSet wants, an agent that does not start, a DaemonSet that is gone."""
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    sandbox.kubectl("taint", "node", "worker-2", "dedicated=gpu:NoExecute")
    wait_for(lambda: ready(sandbox, f"{WORKER}-datadog") == 4, 20, "the agent to be evicted")
    told = ddhelm("status", code=4)
    assert "✗ 7 of 8 nodes run exactly one agent" in told.out
    assert "no agent on `worker-2`: taint `dedicated=gpu:NoExecute`" in told.out
    hint = next(line for line in told.out.splitlines() if "--tolerate" in line).partition("ddhelm onboard ")[2]
    ddhelm.onboard(*hint.split(), key=None)
    assert "✓ 8 of 8 nodes run exactly one agent" in ddhelm("status").out

    sandbox.simulate("worker-1", never_ready="ImagePullBackOff", message="Back-off pulling image")
    sandbox.kubectl("-n", "datadog", "delete", "pod", "--field-selector=spec.nodeName=worker-1")
    wait_for(lambda: ready(sandbox, f"{WORKER}-datadog") == 4, 20, "the agent to be stuck")
    stuck = ddhelm("status", "-o", "json", code=4)
    (problem,) = problems(stuck)
    assert "cannot be pulled on `worker-1`" in problem
    assert stuck.json["data"]["coverage"]["running"] == 7
    sandbox.kubectl("-n", "datadog", "delete", "daemonset", f"{CONTROL_PLANE}-datadog")
    gone = problems(ddhelm("status", "-o", "json", code=4))
    assert any(f"`{CONTROL_PLANE}-datadog` is gone" in each for each in gone)
    assert any("no agent on `control-plane-1`" in each for each in gone)


def test_a_cluster_without_or_with_half_of_the_pair_is_not_as_promised_and_the_next_onboard_finishes_it(
    cluster: Clusters,
) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "3.22")
    empty = [f"release `{name}` is not installed" for name in (WORKER, CONTROL_PLANE)]
    assert problems(ddhelm("status", "-o", "json", code=4)) == empty
    ddhelm.onboard("--only", "worker")
    assert set(revisions(sandbox)) == {WORKER}
    told = ddhelm("status", "-o", "json", code=4)
    assert f"release `{CONTROL_PLANE}` is not installed" in problems(told)
    assert told.json["data"]["coverage"]["running"] == 5
    hints = [each["hint"] for each in told.json["data"]["problems"]]
    assert hints, told.out
    assert not [hint for hint in hints if "--accept-uncovered" in hint or "--tolerate" in hint]
    assert "8 of 8 nodes run exactly one agent" in ddhelm.onboard(key=None).out
    assert revisions(sandbox) == {WORKER: [(1, "deployed")], CONTROL_PLANE: [(1, "deployed")]}


def test_a_cluster_that_does_not_answer_is_one_line_and_exit_1(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster("kubeadm")
    config = tmp_path / "config"
    config.write_text(sandbox.kubeconfig.read_text().replace(str(sandbox.ports.apiserver), "1"))
    told = Ddhelm(sandbox, "4.3")("status", "--kubeconfig", str(config), code=1)
    assert told.out == ""
    assert told.err.startswith("error: ")


def test_five_thousand_nodes_are_read_in_seconds_and_told_in_a_few_lines(tmp_path: Path) -> None:
    # a control plane of its own is started in less time than 5,000 nodes are taken out of the session's
    with Sandbox.start(tmp_path / "large", "large") as sandbox:
        five_thousand_nodes_are_told(sandbox)


def five_thousand_nodes_are_told(sandbox: Sandbox) -> None:
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
