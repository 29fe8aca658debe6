"""The check files that ddhelm installs collect: Datadog's own rules, real components, only what the pod is given.

`datadog-checks-base` decides what an instance means (HTTP, TLS, tokens); the components answer on their real ports.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.cluster.driver import Ddhelm
from tests.cluster.node_agent import ACCOUNT, NAMES, NodeAgent
from tests.sandbox import topology
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox

Breakage = Callable[[NodeAgent, dict[str, Any]], dict[str, Any]]

# Datadog's code asks for a TLS version in an old way, and says where nothing is verified.
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLS:DeprecationWarning", "ignore::urllib3.exceptions.InsecureRequestWarning"
)


def collected(agent: NodeAgent) -> set[str]:
    """The checks, each of whose instances brought its own component's metric and no other component's."""
    files = agent.check_files()
    for check, instances in files.items():
        for instance in instances:
            assert agent.collect(check, instance) == {NAMES[check]}, instance
    return {check for check, instances in files.items() if instances}


def onboarded(sandbox: Sandbox, helm: str, files: Path) -> NodeAgent:
    Ddhelm(sandbox, helm).onboard()
    return NodeAgent.somewhere(sandbox, files)


def test_metrics_of_all_four_components_arrive_with_etcd_over_plaintext(cluster: Clusters, tmp_path: Path) -> None:
    agent = onboarded(cluster("kubeadm"), "4.3", tmp_path)
    files = agent.check_files()
    assert files["etcd"][0]["prometheus_url"].startswith("http://127.0.0.1:")
    assert collected(agent) == set(NAMES)
    for check, breakage, error in BREAKAGES:
        with pytest.raises(error):
            agent.collect(check, breakage(agent, files[check][0]))
    other = {"metadata": {"name": "other"}}
    agent.sandbox.loader.post("/api/v1/namespaces/datadog/serviceaccounts", other)
    agent.take_token("other")
    for check in NAMES.keys() - {"etcd"}:
        with pytest.raises(requests.HTTPError, match="403"):
            agent.collect(check, files[check][0])


def elsewhere(agent: NodeAgent, instance: dict[str, Any]) -> dict[str, Any]:
    """A port at which nobody listens: 1 is never among the free ones that the sandbox takes."""
    host = instance["prometheus_url"].rpartition(":")[0]
    return {**instance, "prometheus_url": f"{host}:1/metrics"}


def no_token(agent: NodeAgent, instance: dict[str, Any]) -> dict[str, Any]:
    (agent.files / "nonsense").write_text("nonsense")
    return {**instance, "bearer_token_path": f"{ACCOUNT}/nonsense"}


def other_authority(agent: NodeAgent, instance: dict[str, Any]) -> dict[str, Any]:
    (agent.files / "other.crt").write_bytes(agent.sandbox.pki.etcd.certificate.read_bytes())
    return {**instance, "tls_ca_cert": f"{ACCOUNT}/other.crt"}


def without_certificate(agent: NodeAgent, instance: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in instance.items() if key not in {"tls_cert", "tls_private_key"}}


BREAKAGES: list[tuple[str, Breakage, type[Exception]]] = [
    *((check, elsewhere, requests.ConnectionError) for check in NAMES),
    *((check, no_token, requests.HTTPError) for check in NAMES if check != "etcd"),
    ("kube_apiserver_metrics", other_authority, requests.exceptions.SSLError),
]


def test_metrics_of_all_four_components_arrive_with_etcd_over_tls(cluster: Clusters, tmp_path: Path) -> None:
    """kOps: both etcd clusters ask for a client certificate, whose files are mounted from the node one by one."""
    agent = onboarded(cluster("kops"), "3.22", tmp_path)
    instances = agent.check_files()["etcd"]
    assert all(each["prometheus_url"].startswith("https://") and "tls_cert" in each for each in instances)
    assert collected(agent) == set(NAMES)
    with pytest.raises(requests.exceptions.ConnectionError):
        agent.collect("etcd", without_certificate(agent, instances[0]))
    with pytest.raises(requests.exceptions.SSLError):
        agent.collect("etcd", other_ca(agent, instances[0]))


def other_ca(agent: NodeAgent, instance: dict[str, Any]) -> dict[str, Any]:
    """The cluster's authority, which did not sign etcd's certificate."""
    return {**instance, "tls_ca_cert": f"{ACCOUNT}/ca.crt"}


def test_kubeadm_without_a_metrics_listener_collects_with_the_client_certificate(
    cluster: Clusters, tmp_path: Path
) -> None:
    agent = onboarded(cluster(without_listener(tmp_path)), "4.3", tmp_path)
    (instance,) = agent.check_files()["etcd"]
    assert instance["prometheus_url"].startswith("https://")
    assert agent.collect("etcd", instance) == {NAMES["etcd"]}


def without_listener(folder: Path) -> Path:
    """kubeadm whose etcd has lost `--listen-metrics-urls`, as hardening guides ask for."""
    whole = yaml.safe_load((Path(topology.__file__).parent / "topologies" / "kubeadm.yaml").read_text())
    etcd = whole["staticPods"]["etcd"]
    etcd["command"] = [flag for flag in etcd["command"] if not flag.startswith("--listen-metrics-urls")]
    file = folder / "bare.yaml"
    file.write_text(yaml.safe_dump(whole))
    return file
