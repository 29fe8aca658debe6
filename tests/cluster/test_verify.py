"""verify on a real control plane: every fault is provoked, and shows as it would in production.

The agents of the sandbox really collect (see `tests.agent`): what their checks say of a fault is what `requests`,
OpenSSL and the components themselves say.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.agent.install import install, put
from tests.cluster.driver import SMALL, Ddhelm
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.sandbox import certificates, topology
from tests.sandbox.components import SCHEDULER
from tests.sandbox.fixtures import Clusters
from tests.sandbox.pki import Authority
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

SPACE = "/api/v1/namespaces/datadog"
FILES = f"{SPACE}/configmaps/{CONTROL_PLANE}-datadog-confd"
CHECKS = ("etcd", "kube_apiserver_metrics", "kube_controller_manager", "kube_scheduler")
EVERYWHERE = [f"control-plane-{n}" for n in (1, 2, 3)]


def onboarded(sandbox: Sandbox, helm: str) -> Ddhelm:
    ddhelm = Ddhelm(sandbox, helm)
    ddhelm.onboard()
    install(sandbox)
    return ddhelm


def verify(ddhelm: Ddhelm, *flags: str, code: int) -> dict[str, Any]:
    data: dict[str, Any] = ddhelm("verify", "-o", "json", *flags, code=code).json["data"]
    assert data["exitCode"] == code
    return data


def control_plane(ddhelm: Ddhelm, code: int = 6) -> dict[str, tuple[str, str]]:
    """Check to (kind, text) of what is wrong on all control-plane nodes alike."""
    findings = verify(ddhelm, "--only", "control-plane", code=code)["findings"]
    assert all(each["nodes"] == EVERYWHERE for each in findings), findings
    assert all(each["hint"] for each in findings)
    return {each["subject"]: (each["kind"], each["text"]) for each in findings}


def rewrite(sandbox: Sandbox, **changes: Callable[[dict[str, Any]], object]) -> None:
    """Change the first instance of check files where they stand, in the release's ConfigMap."""
    found = sandbox.api_get(FILES)["data"]
    for check, change in changes.items():
        whole = yaml.safe_load(found[f"{check}.yaml"])
        change(whole["instances"][0])
        found[f"{check}.yaml"] = yaml.safe_dump(whole)
    sandbox.loader.merge(FILES, {"data": found})


def test_all_checks_of_a_healthy_pair_report_nothing_is_written_and_a_component_that_is_down_shows(
    cluster: Clusters,
) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = onboarded(sandbox, "3.22")
    before = len(sandbox.writes())
    data = verify(ddhelm, code=0)
    assert data["findings"] == []
    agents = {each["node"]: each for each in data["agents"] if each["kind"] == "agent"}
    assert set(agents) == {*EVERYWHERE, *(f"worker-{n}" for n in range(1, 6))}
    for node in EVERYWHERE:
        promised = {check["name"]: check for check in agents[node]["checks"] if check["promised"]}
        assert set(promised) == set(CHECKS)
        assert all(check["state"] == "ok" and check["samples"] > 0 for check in promised.values())
    assert not any(check["promised"] for check in agents["worker-1"]["checks"])
    assert all(each["clusterAgent"]["version"] for each in agents.values())
    (dca,) = (each for each in data["agents"] if each["kind"] == "cluster agent")
    assert dca["leaderElection"] == {"state": "Running", "leader": dca["pod"]}
    assert dca["clusterChecks"]["agents"] == 5
    assert [each["requestURI"] for each in sandbox.writes()[before:] if "/exec?" not in each["requestURI"]] == []
    may_read = [
        {"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["daemonsets", "deployments"], "verbs": ["get", "list"]},
    ]
    reader = sandbox.user_kubeconfig("reader", may_read, "datadog")
    refused = ddhelm("verify", "--kubeconfig", str(reader), code=1).err
    assert "you may not exec into pods of namespace `datadog`" in refused
    assert "exec-forbidden" in refused
    may_exec = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]}
    operator = sandbox.user_kubeconfig("operator", [*may_read, may_exec], "datadog")
    told = ddhelm("verify", "--only", "control-plane", "--kubeconfig", str(operator))
    assert f"✓ {len(EVERYWHERE)} of {len(EVERYWHERE)} agents report" in told.out
    assert told.err == ""

    sandbox.kill(SCHEDULER)
    found = control_plane(ddhelm)
    assert {check: kind for check, (kind, _) in found.items()} == {"kube_scheduler": "refused"}
    screen = ddhelm("verify", "--only", "control-plane", code=6).out
    assert "✗ `kube_scheduler` on `control-plane-1`, `control-plane-2`, `control-plane-3`: nobody listens at" in screen
    sandbox.restart(SCHEDULER)
    assert control_plane(ddhelm, code=0) == {}


def test_wrong_ports_authorities_files_and_rights_show_as_in_production(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = onboarded(sandbox, "4.3")
    good = sandbox.api_get(FILES)["data"]
    apiserver, etcd_port = sandbox.ports.apiserver, sandbox.ports.etcd_metrics
    rewrite(
        sandbox,
        kube_scheduler=lambda each: each.update(prometheus_url="https://127.0.0.1:1/metrics"),
        kube_apiserver_metrics=lambda each: each.update(tls_ca_cert="/etc/datadog-agent/nowhere.crt", tls_verify=True),
        kube_controller_manager=lambda each: each.update(prometheus_url=f"http://127.0.0.1:{apiserver}/metrics"),
        etcd=lambda each: each.update(prometheus_url=f"https://127.0.0.1:{etcd_port}/metrics"),
    )
    found = control_plane(ddhelm)
    assert {check: kind for check, (kind, _) in found.items()} == {
        "kube_scheduler": "refused",
        "kube_apiserver_metrics": "unknown-authority",  # the file is not there, and the check goes on without it
        "kube_controller_manager": "wrong-protocol",
        "etcd": "wrong-protocol",
    }
    assert found["kube_scheduler"][1] == "nobody listens at `127.0.0.1:1`: connection refused"

    sandbox.loader.merge(FILES, {"data": {**good, "etcd.yaml": "instances: [:"}})
    role = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{CONTROL_PLANE}-datadog"
    rules = [each for each in sandbox.api_get(role)["rules"] if "/metrics" not in each.get("nonResourceURLs", [])]
    sandbox.loader.merge(role, {"rules": rules})
    found.clear()
    wait_for(lambda: found.update(control_plane(ddhelm)) or "forbidden" in str(found), 30, "the new rules to be seen")
    assert found["etcd"][0] == "other"
    assert found["etcd"][1].startswith("not loaded: yaml: ")
    for check in CHECKS[1:]:
        assert found[check][0] == "forbidden", found
    assert "403" in found["kube_scheduler"][1]


def test_certificates_of_etcd_that_are_expired_foreign_or_gone(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster(one_master(tmp_path))
    ddhelm = onboarded(sandbox, "4.3")
    folder = sandbox.host / "srv/kubernetes/kube-apiserver"
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert verify(ddhelm, "--only", "control-plane", code=0)["findings"] == []

    def etcd() -> str:
        (finding,) = verify(ddhelm, "--only", "control-plane", code=6)["findings"]
        assert finding["subject"] == "etcd"
        return str(finding["kind"])

    def pair(authority: Authority, *, expired: bool = False) -> None:
        certificate, key = certificates.issue(authority, "etcd-client", expired=expired)
        (folder / "etcd-client.crt").write_bytes(certificate)
        (folder / "etcd-client.key").write_bytes(key)

    pair(sandbox.pki.etcd, expired=True)
    assert etcd() == "client-expired"
    pair(sandbox.pki.cluster)
    assert etcd() == "client-certificate"
    (folder / "etcd-client.key").write_bytes(good["etcd-client.key"])
    assert etcd() == "key-mismatch"
    pair(sandbox.pki.etcd)
    (folder / "etcd-ca.crt").write_bytes(sandbox.pki.cluster.certificate.read_bytes())
    assert etcd() == "unknown-authority"
    (folder / "etcd-ca.crt").write_bytes(good["etcd-ca.crt"])
    (folder / "etcd-client.crt").unlink()
    # Datadog's code passes a missing file over: etcd is shown no certificate, and the hint asks for the file
    assert etcd() == "client-certificate"


def one_master(folder: Path) -> Path:
    """kOps with the one control-plane node whose agent is asked here: each really collects, from two etcds."""
    whole = yaml.safe_load((topology.FOLDER / "kops.yaml").read_text())
    whole["nodes"] = [{**group, "count": 1} for group in whole["nodes"]]
    file = folder / "one-master.yaml"
    file.write_text(yaml.safe_dump(whole))
    return file


@pytest.mark.matrix  # adapters/test_agentpods.py tells them apart
def test_agents_that_cannot_be_asked_are_told_apart(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = onboarded(sandbox, "4.3")

    def asked(*flags: str, code: int = 1) -> set[tuple[str, str]]:
        findings = verify(ddhelm, "--only", "control-plane", *flags, code=code)["findings"]
        return {(each["kind"], each["state"]) for each in findings}

    put(sandbox, "agent", "exec sleep 60\n")
    began = time.monotonic()
    assert asked("--timeout", "1s") == {("timeout", "unreadable")}
    assert time.monotonic() - began < 15
    put(sandbox, "agent", "echo 'Datadog Agent 7'\n")
    assert asked() == {("no-status", "unreadable")}
    (sandbox.exec_bin / "agent").unlink()
    assert asked() == {("no-agent", "unreadable")}
    put(sandbox, "agent", "echo 'Error: dial tcp 127.0.0.1:5001. Make sure the agent is running' >&2; exit 1\n")
    assert asked(code=6) == {("starting", "waiting")}
    put(sandbox, "agent", """echo '{"version": "7.81.1", "runnerStats": {"Checks": {}}}'\n""")
    assert asked(code=6) == {("not-begun", "waiting")}
    # each agent has collected nothing when it is asked first, and has when it is asked again
    install(sandbox)
    real = (sandbox.exec_bin / "agent").read_text().partition("\n")[2]
    early = """echo '{"version": "7.81.1", "runnerStats": {"Checks": {}}}'"""
    mark = '"$(dirname "$0")/.asked-${SANDBOX_POD##*/}"'
    put(sandbox, "agent", f"if mkdir {mark} 2>/dev/null; then {early}; exit 0; fi\n{real}")
    assert asked("--wait", "60s", code=0) == set()
    assert len(list(sandbox.exec_bin.glob(".asked-*"))) == len(EVERYWHERE)


def test_pods_that_are_not_ready_and_a_cluster_agent_that_refuses(cluster: Clusters) -> None:
    sandbox = cluster(SMALL)
    ddhelm = onboarded(sandbox, "4.3")
    # The token changes under the node agents' feet: the Cluster Agent alone was restarted, with its own.
    deployment = f"/apis/apps/v1/namespaces/datadog/deployments/{WORKER}-datadog-cluster-agent"
    sandbox.loader.post(
        f"{SPACE}/secrets", {"metadata": {"name": "other"}, "stringData": {"token": "another-token-of-32-characters!!"}}
    )
    template = sandbox.api_get(deployment)["spec"]["template"]
    for container in template["spec"]["containers"]:
        for variable in container["env"]:
            if variable["name"] == "DD_CLUSTER_AGENT_AUTH_TOKEN":
                variable["valueFrom"]["secretKeyRef"]["name"] = "other"
    sandbox.loader.merge(deployment, {"spec": {"template": template}})
    sandbox.kubectl("rollout", "status", f"deployment/{WORKER}-datadog-cluster-agent", "-n", "datadog")
    wait_for(lambda: _pods_of_the_cluster_agent(sandbox) == 1, 30, "the old Cluster Agent to be gone")
    (finding,) = verify(ddhelm, code=6)["findings"]
    assert (finding["subject"], finding["kind"], len(finding["nodes"])) == ("cluster agent", "token", 3)

    sandbox.simulate("worker-2", never_ready="CreateContainerConfigError", message='secret "x" not found')
    standing = sandbox.api_get(f"{SPACE}/pods?fieldSelector=spec.nodeName%3Dworker-2")["items"]
    (victim,) = (pod for pod in standing if pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet")
    sandbox.kubectl("delete", "pod", "-n", "datadog", victim["metadata"]["name"], "--wait=true")
    wait_for(lambda: _waiting_on(sandbox, "worker-2"), 30, "the new pod to wait")
    sandbox.loader.merge(deployment, {"spec": {"replicas": 0}})
    wait_for(lambda: _pods_of_the_cluster_agent(sandbox) == 0, 30, "no Cluster Agent to be left")
    findings = verify(ddhelm, code=6)["findings"]
    assert {each["kind"] for each in findings} == {"unlinked", "not-ready"}
    (late,) = (each for each in findings if each["kind"] == "not-ready")
    assert late["nodes"] == ["worker-2"]
    assert 'secret "x" not found' in late["text"]


def _pods_of_the_cluster_agent(sandbox: Sandbox) -> int:
    selector = f"labelSelector=app%3D{WORKER}-datadog-cluster-agent"
    return len(sandbox.api_get(f"{SPACE}/pods?{selector}")["items"])


def _waiting_on(sandbox: Sandbox, node: str) -> bool:
    pods = sandbox.api_get(f"{SPACE}/pods?fieldSelector=spec.nodeName%3D{node}")["items"]
    return any("waiting" in s["state"] for pod in pods for s in pod["status"].get("containerStatuses", []))


def test_nothing_to_verify_is_no_success(cluster: Clusters, tmp_path: Path) -> None:
    ddhelm = Ddhelm(cluster("k3s-single"), "4.3")
    refused = ddhelm("verify", code=1).err
    assert "no agents of ddhelm's releases are in namespace `datadog`" in refused
