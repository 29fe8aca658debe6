"""The watch against a real control plane: real DaemonSets, real admission, real events, kubelets that are told to fail.

Graces last up to a minute; the clock handed to the watch runs fifteen times as fast as the cluster's.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ddhelm.access import resolve
from ddhelm.actions.look import Target, baseline
from ddhelm.actions.watch import Clock, Deadlines, Polled, Unreadable, Watched, watch
from ddhelm.causes import KINDS
from ddhelm.kubectl import Kubectl
from ddhelm.rollout import Complete, Stalled
from ddhelm.run import Runner, find
from tests.cluster.driver import Ddhelm
from tests.sandbox.build import tool
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

SPACE = "watched"
SPEED = 15
AGENT = Target("r", "DaemonSet", SPACE, "agent")
EVERYWHERE = [{"operator": "Exists"}]
FILE = "/etc/kubernetes/pki/etcd/healthcheck-client.crt"
NO_FILE = f'MountVolume.SetUp failed for volume "etcd" : hostPath type check failed: {FILE} is not a file'


def hurried() -> Clock:
    began = time.monotonic()
    return Clock(lambda: (time.monotonic() - began) * SPEED, lambda seconds: time.sleep(seconds / SPEED))


@pytest.fixture
def kubectl(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sandbox], Kubectl]:
    def of(sandbox: Sandbox) -> Kubectl:
        monkeypatch.setenv("PATH", str(tool("kubectl").parent), prepend=":")
        return Kubectl(Runner(), find("kubectl"), resolve(kubeconfig=str(sandbox.kubeconfig), namespace=SPACE))

    return of


@pytest.fixture
def kubeadm(cluster: Clusters) -> Sandbox:
    sandbox = cluster("kubeadm")
    sandbox.kubectl("create", "namespace", SPACE)
    return sandbox


def workload(kind: str = "DaemonSet", name: str = "agent", image: str = "agent:1", **pod: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec = {"containers": [{"name": "agent", "image": image, **pod.pop("container", {})}], **pod}
    body: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    return body


def apply(sandbox: Sandbox, body: dict[str, Any]) -> None:
    sandbox.loader.apply(f"/apis/apps/v1/namespaces/{SPACE}/{body['kind'].lower()}s/{body['metadata']['name']}", body)


def rolled(kubectl: Kubectl, *targets: Target, timeout: float | None = 400, **more: Any) -> Watched:
    return watch(kubectl, targets or (AGENT,), deadlines=Deadlines(timeout), clock=hurried(), **more)


def stalled(result: Watched) -> Stalled:
    assert isinstance(result.progress, Stalled), result
    return result.progress


def test_a_roll_out_over_all_nodes_completes(kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]) -> None:
    apply(kubeadm, workload(tolerations=EVERYWHERE))
    told: list[object] = []
    result = watch(kubectl(kubeadm), (AGENT,), observer=told.append, deadlines=Deadlines(100, interval=0.2))
    assert result.progress == Complete()
    assert (result.workloads[0].desired, result.workloads[0].ready) == (8, 8)
    apply(kubeadm, workload(tolerations=EVERYWHERE, image="agent:2"))
    again = watch(kubectl(kubeadm), (AGENT,), observer=told.append, deadlines=Deadlines(100, interval=0.2))
    assert again.ok
    images = {
        pod["spec"]["containers"][0]["image"] for pod in kubeadm.api_get(f"/api/v1/namespaces/{SPACE}/pods")["items"]
    }
    assert images == {"agent:2"}, "complete means that no old pod is left"
    assert all(isinstance(each, Polled) for each in told)


def test_a_daemonset_that_selects_no_node_is_complete_and_empty(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    apply(kubeadm, workload(nodeSelector={"nobody": "has-this"}))
    assert rolled(kubectl(kubeadm)).progress == Complete(empty=("agent",))


@pytest.mark.parametrize(
    ("reason", "message", "cause", "words"),
    [
        ("CreateContainerConfigError", 'secret "ddhelm" not found', "Secret", 'secret "ddhelm" not found'),
        ("CreateContainerConfigError", "couldn't find key token in Secret watched/ddhelm", "Secret", "key token"),
        ("ImagePullBackOff", "Back-off pulling image", "ImagePull", "image `agent:1` cannot be pulled on `worker-2`"),
        ("CrashLoopBackOff", "back-off 5m0s restarting failed container", "CrashLoop", "container `agent` of `agent`"),
    ],
)
def test_a_pod_that_cannot_start_ends_the_watch_after_its_grace(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl], reason: str, message: str, cause: str, words: str
) -> None:
    kubeadm.simulate("worker-2", never_ready=reason, message=message)
    apply(kubeadm, workload())
    result = rolled(kubectl(kubeadm))
    verdict = stalled(result)
    assert (verdict.reason, verdict.node) == (cause, "worker-2")
    assert words in verdict.text
    assert not verdict.timed_out
    assert result.elapsed < 200
    assert result.workloads[0].ready == 4


def test_a_file_that_is_not_on_the_host_is_named_with_the_switch(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    kubeadm.simulate("control-plane-2", never_ready="ContainerCreating", message=NO_FILE)
    apply(kubeadm, workload(tolerations=EVERYWHERE))
    verdict = stalled(rolled(kubectl(kubeadm), checks={"/etc/kubernetes/pki/etcd": "etcd"}))
    assert verdict.text == f"no file `{FILE}` on `control-plane-2`"
    assert verdict.hint.startswith("ddhelm onboard --drop-check etcd ")


def test_pod_security_is_seen_in_the_first_seconds_and_explained(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    kubeadm.kubectl("label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=baseline")
    client = kubectl(kubeadm)
    before = baseline(client, (AGENT,))
    apply(kubeadm, workload(hostNetwork=True))
    result = watch(client, (AGENT,), since=before, deadlines=Deadlines(60, interval=0.5, diagnose=0.5))
    verdict = stalled(result)
    assert verdict.reason == "PodSecurity"
    assert "enforces pod security `baseline:latest`" in verdict.text
    assert "hostNetwork=true" in verdict.text
    assert result.elapsed < 10


def test_an_old_refusal_does_not_stop_the_roll_out_that_mends_it(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    kubeadm.kubectl("label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=baseline")
    apply(kubeadm, workload(hostNetwork=True))
    client = kubectl(kubeadm)
    wait_for(lambda: baseline(client, (AGENT,)).counts, 20, "pods to be refused")
    kubeadm.kubectl("label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=privileged", "--overwrite")
    before = baseline(client, (AGENT,))
    apply(kubeadm, workload(hostNetwork=True, image="agent:2"))
    assert watch(client, (AGENT,), since=before, deadlines=Deadlines(60, interval=0.5)).ok


def test_a_refused_deployment_is_explained_by_its_condition(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    kubeadm.kubectl("label", "namespace", SPACE, "pod-security.kubernetes.io/enforce=restricted")
    apply(kubeadm, workload("Deployment", "cluster-agent"))
    target = Target("r", "Deployment", SPACE, "cluster-agent")
    verdict = stalled(rolled(kubectl(kubeadm), target))
    assert verdict.reason == "PodSecurity"
    assert "`restricted:latest`" in verdict.text


def test_a_pod_that_was_evicted_before_does_not_stall_the_roll_out(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    client, target = kubectl(kubeadm), Target("r", "Deployment", SPACE, "cluster-agent")
    apply(kubeadm, workload("Deployment", "cluster-agent"))
    assert watch(client, (target,), deadlines=Deadlines(60, interval=0.2)).ok
    (evicted,) = (pod["metadata"]["name"] for pod in pods(kubeadm))
    time.sleep(1)  # a pod's age is known to the second
    ready = {"type": "Ready", "status": "False", "reason": "PodFailed"}
    status = {"phase": "Failed", "reason": "Evicted", "message": "low on memory", "conditions": [ready]}
    kubeadm.loader.merge(f"/api/v1/namespaces/{SPACE}/pods/{evicted}/status", {"status": status})
    wait_for(lambda: len(pods(kubeadm)) == 2, 20, "another pod in its place")
    assert watch(client, (target,), deadlines=Deadlines(60, interval=0.2)).ok
    for number in range(1, 6):
        kubeadm.simulate(f"worker-{number}", ready_after="7s")
    apply(kubeadm, workload("Deployment", "cluster-agent", image="agent:2"))
    result = rolled(client, target)
    assert result.ok
    assert result.elapsed > KINDS["Refused"].grace
    assert evicted in {pod["metadata"]["name"] for pod in pods(kubeadm)}


def test_a_quota_that_is_used_up_is_named(kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]) -> None:
    kubeadm.kubectl("-n", SPACE, "create", "quota", "small", "--hard=pods=3")
    client = kubectl(kubeadm)
    before = baseline(client, (AGENT,))
    apply(kubeadm, workload())
    verdict = stalled(rolled(client, since=before))
    assert verdict.reason == "Quota"
    assert verdict.hint == f"kubectl -n {SPACE} describe quota small"


def test_a_missing_service_account_is_named(kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]) -> None:
    client = kubectl(kubeadm)
    before = baseline(client, (AGENT,))
    apply(kubeadm, workload(serviceAccountName="gone"))
    verdict = stalled(rolled(client, since=before))
    assert (verdict.reason, "`gone`" in verdict.text) == ("ServiceAccount", True)


def test_a_host_port_that_another_pod_holds_is_named_with_the_node(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    port = {"ports": [{"containerPort": 8126, "hostPort": 8126}]}
    holder = {"name": "holder", "image": "x:1", **port}
    pod = {"metadata": {"name": "holder"}, "spec": {"nodeName": "worker-4", "containers": [holder]}}
    kubeadm.loader.post(f"/api/v1/namespaces/{SPACE}/pods", pod)
    apply(kubeadm, workload(container=port))
    verdict = stalled(rolled(kubectl(kubeadm)))
    assert (verdict.reason, verdict.node) == ("HostPorts", "worker-4")


def test_an_agent_of_the_other_release_is_waited_for_before_it_is_a_cause(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    apply(kubeadm, workload(name="old", nodeSelector={"kubernetes.io/hostname": "worker-1"}))
    term = {"labelSelector": {"matchLabels": {"app": "old"}}, "topologyKey": "kubernetes.io/hostname"}
    away = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    wait_for(lambda: pods(kubeadm), 10, "the old agent")
    apply(kubeadm, workload(affinity=away))
    told: list[object] = []

    def leave_after_a_while(event: object) -> None:
        told.append(event)
        if len(told) == 10:
            kubeadm.kubectl("-n", SPACE, "delete", "daemonset", "old")

    result = rolled(kubectl(kubeadm), observer=leave_after_a_while)
    assert result.ok
    causes = {
        cause.reason for each in told if isinstance(each, Polled) for cause in getattr(each.progress, "causes", ())
    }
    assert "AntiAffinity" in causes


def test_a_dead_node_that_holds_up_the_others_is_named(kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]) -> None:
    kubeadm.simulate("worker-5", stop_after="10m")
    apply(kubeadm, workload())
    client = kubectl(kubeadm)
    assert watch(client, (AGENT,), deadlines=Deadlines(60, interval=0.2)).ok
    kubeadm.simulate("worker-5", not_ready="no network")
    name = next(pod["metadata"]["name"] for pod in pods(kubeadm) if pod["spec"]["nodeName"] == "worker-5")
    kubeadm.kubectl("-n", SPACE, "delete", "pod", name, "--wait=false")
    wait_for(lambda: wanted(client) == 4, 20, "the dead node to leave the count")
    assert watch(client, (AGENT,), deadlines=Deadlines(60, interval=0.2)).ok, "nobody waits for a dead node"
    apply(kubeadm, workload(image="agent:2"))
    verdict = stalled(rolled(client))
    assert (verdict.reason, verdict.node) == ("NodeNotReady", "worker-5")
    assert verdict.hint.endswith("kubectl delete node worker-5")


def wanted(client: Kubectl) -> int:
    found = client.tree(AGENT.path)
    assert found is not None
    return int(found["status"]["desiredNumberScheduled"])


def pods(sandbox: Sandbox) -> list[Any]:
    items: list[Any] = sandbox.api_get(f"/api/v1/namespaces/{SPACE}/pods")["items"]
    return items


def test_an_api_server_that_is_silent_for_a_while_is_survived(
    kubeadm: Sandbox, kubectl: Callable[[Sandbox], Kubectl]
) -> None:
    kubeadm.simulate("worker-1", ready_after="3s")
    apply(kubeadm, workload())
    client = Kubectl(kubectl(kubeadm)._runner, find("kubectl"), kubectl(kubeadm).access, request_timeout=2)
    told: list[object] = []

    def freeze(event: object) -> None:
        told.append(event)
        if len(told) == 1:
            kubeadm.pause("kube-apiserver")
        elif isinstance(event, Unreadable):
            kubeadm.resume("kube-apiserver")

    try:
        result = watch(client, (AGENT,), observer=freeze, deadlines=Deadlines(120, interval=0.2))
    finally:
        kubeadm.resume("kube-apiserver")
    assert result.ok
    assert any(isinstance(each, Unreadable) for each in told)


@pytest.mark.matrix  # test_failures.py asks the same of the command
def test_a_stalled_upgrade_is_explained_and_rolled_back_by_number(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    sandbox.simulate("worker-3", never_ready="ImagePullBackOff", message="Back-off pulling image")
    failed = ddhelm.onboard("--set", "datadog.tags={new:tag}", "--timeout", "10s", code=4, key=None)
    assert "cannot be pulled on `worker-3`" in failed.err
    assert "rolled back to revision 1" in failed.err
    assert shown(sandbox, ["worker-node-ddagent"]) == [("worker-node-ddagent", 3, "deployed")]


def shown(sandbox: Sandbox, names: Sequence[str]) -> list[tuple[str, int, str]]:
    """The newest revision of each release."""
    secrets = sandbox.api_get("/api/v1/namespaces/datadog/secrets?labelSelector=owner%3Dhelm")["items"]
    rows = [
        (s["metadata"]["labels"]["name"], int(s["metadata"]["labels"]["version"]), s["metadata"]["labels"]["status"])
        for s in secrets
    ]
    return [max((row for row in rows if row[0] == name), key=lambda row: row[1]) for name in names]
