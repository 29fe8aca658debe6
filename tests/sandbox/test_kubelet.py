"""The simulated kubelets: pods become Ready where they belong, and late, never or slowly when they are told to."""

from __future__ import annotations

import json
import time

from tests.sandbox.api import Json
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

PODS = "/api/v1/namespaces/default/pods"
DAEMON_SET = "/apis/apps/v1/namespaces/default/daemonsets"


def daemon_set(sandbox: Sandbox, annotations: dict[str, str] | None = None, **spec: object) -> None:
    labels = {"app": "agent"}
    containers = [{"name": "agent", "image": "agent:1"}, {"name": "trace", "image": "agent:1"}]
    template = {
        "metadata": {"labels": labels, "annotations": annotations or {}},
        "spec": {"containers": containers, "initContainers": [{"name": "init", "image": "agent:1"}], **spec},
    }
    body = {"metadata": {"name": "agent"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    sandbox.loader.post(DAEMON_SET, body)


def ready(sandbox: Sandbox) -> int:
    status = sandbox.api_get(f"{DAEMON_SET}/agent")["status"]
    return int(status.get("numberReady", 0)) if status.get("observedGeneration") else 0


def pod_on(sandbox: Sandbox, node: str) -> Json:
    def bound() -> list[Json]:
        items: list[Json] = sandbox.api_get(PODS)["items"]
        return [pod for pod in items if pod["spec"].get("nodeName") == node]

    return wait_for(bound, what=f"a pod on {node}")[0]


def waiting(pod: Json) -> list[str]:
    return [status["state"]["waiting"]["reason"] for status in pod["status"].get("containerStatuses", [])]


def test_daemon_set_is_ready_on_the_nodes_that_it_tolerates(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    daemon_set(sandbox)
    wait_for(lambda: ready(sandbox) == 5)
    nodes = {pod["spec"]["nodeName"] for pod in sandbox.api_get(PODS)["items"]}
    assert nodes == {f"worker-{n}" for n in range(1, 6)}


def test_daemon_set_that_tolerates_everything_is_on_every_node(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    daemon_set(sandbox, tolerations=[{"operator": "Exists"}])
    wait_for(lambda: ready(sandbox) == 8)


def test_exec_runs_a_program_and_logs_show_a_file(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    daemon_set(sandbox)
    wait_for(lambda: ready(sandbox) == 1)
    program = sandbox.exec_bin / "agent"
    program.write_text('#!/bin/sh\necho "$SANDBOX_POD, $SANDBOX_CONTAINER got: $*"\nexit 3\n')
    program.chmod(0o755)
    name = sandbox.api_get(PODS)["items"][0]["metadata"]["name"]
    answer = sandbox.kubectl("exec", name, "-c", "agent", "--", "sh", "-c", "agent status --json || echo $?")
    assert answer == f"default/{name}, agent got: status --json\n3\n"
    assert "this container is simulated" in sandbox.kubectl("logs", name, "-c", "trace")


def test_pod_can_be_late(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    started = time.monotonic()
    daemon_set(sandbox, {"sandbox.ddhelm.dev/ready-after": "2s"})
    wait_for(lambda: waiting(pod_on(sandbox, "k3s")) == ["ContainerCreating"] * 2)
    wait_for(lambda: ready(sandbox) == 1)
    assert 2 <= time.monotonic() - started < 10


def test_pod_can_be_stuck_and_be_freed(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    daemon_set(
        sandbox,
        {
            "sandbox.ddhelm.dev/never-ready": "CreateContainerConfigError",
            "sandbox.ddhelm.dev/message": 'secret "datadog" not found',
            "sandbox.ddhelm.dev/event": "Failed",
        },
    )
    wait_for(lambda: waiting(pod_on(sandbox, "k3s")) == ["CreateContainerConfigError"] * 2)
    pod = pod_on(sandbox, "k3s")
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"] == 'secret "datadog" not found'
    assert ready(sandbox) == 0
    events = sandbox.kubectl("get", "events", "--field-selector=type=Warning,reason=Failed", "-o", "json")
    assert [event["reason"] for event in json.loads(events)["items"]] == ["Failed"]
    annotations = {"metadata": {"annotations": {"sandbox.ddhelm.dev/never-ready": None}}}
    sandbox.loader.merge(f"{PODS}/{pod['metadata']['name']}", annotations)
    wait_for(lambda: ready(sandbox) == 1)


def test_node_can_hold_back_its_pods(cluster: Clusters) -> None:
    """By label and annotations of the node, so that no chart has to carry ours."""
    sandbox = cluster("kubeadm")
    message = 'MountVolume.SetUp failed for volume "etcd-ca": hostPath type check failed: /x/ca.crt is not a file'
    sandbox.simulate("worker-2", never_ready="ContainerCreating", message=message)
    sandbox.simulate("worker-3", stop_after="2s")
    daemon_set(sandbox)
    wait_for(lambda: ready(sandbox) == 4)
    stuck = pod_on(sandbox, "worker-2")
    assert waiting(stuck) == ["ContainerCreating"] * 2
    events = json.loads(sandbox.kubectl("get", "events", "--field-selector=reason=FailedMount", "-o", "json"))["items"]
    assert [(event["message"], event["involvedObject"]["name"]) for event in events] == [
        (message, stuck["metadata"]["name"])
    ]
    slow = pod_on(sandbox, "worker-3")["metadata"]["name"]
    started = time.monotonic()
    sandbox.kubectl("delete", "pod", slow)
    assert time.monotonic() - started >= 2


def test_node_can_be_not_ready_and_recover(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    sandbox.simulate("worker-1", not_ready="no network")

    def taints() -> set[str]:
        node = sandbox.api_get("/api/v1/nodes/worker-1")
        return {taint["key"] for taint in node["spec"].get("taints", [])}

    wait_for(lambda: "node.kubernetes.io/not-ready" in taints())
    sandbox.simulate("worker-1", not_ready=None)
    wait_for(lambda: not taints())


def test_job_completes(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    sandbox.kubectl("create", "job", "once", "--image=once")
    sandbox.kubectl("wait", "--for=condition=complete", "job/once", "--timeout=20s")
