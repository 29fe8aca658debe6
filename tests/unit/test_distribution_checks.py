"""The checks of every topology, line by line: what is asked, with which token and files, and where that is known from.

The sandbox's topologies carry the command lines that distributions really write; here they are parsed as the API would
give them, without an API.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ddhelm import facts
from ddhelm.distribution import COMPONENTS
from ddhelm.profile import Profile
from tests.sandbox import topology
from tests.unit.factsets import distributions, found

PORTS = {
    "etcd_port": "2379",
    "etcd_peer_port": "2380",
    "etcd_metrics_port": "2381",
    "apiserver_port": "6443",
    "controller_manager_port": "10257",
    "scheduler_port": "10259",
    "kubelet_port": "10250",
}


def read(name: str, ports: Mapping[str, str] = PORTS) -> facts.ClusterFacts:
    """The facts of a topology, as its file tells them."""
    loaded = topology.load(name, ports)
    pods = [pod for pod in loaded.static_pods if pod["metadata"]["namespace"] == "kube-system"]
    crds = [one["spec"]["group"] for one in loaded.objects if one["kind"] == "CustomResourceDefinition"]
    config = [one for one in loaded.objects if one["metadata"]["name"] == "kubeadm-config"]
    documents: dict[str, Any] = {
        "version": {"gitVersion": "v1.36.3"},
        "groups": {"groups": [{"name": group, "versions": [{"groupVersion": f"{group}/v1"}]} for group in crds]},
        "kube-system": {"metadata": {"uid": "3f1c"}},
        "nodes": {"items": loaded.nodes},
        "static-pods": {"items": [pod for pod in pods if "component" in pod["metadata"]["labels"]]},
        "static-pods-by-app": {"items": [pod for pod in pods if "k8s-app" in pod["metadata"]["labels"]]},
    }
    answers: dict[str, str | bytes | facts.Failure] = {n: json.dumps(document) for n, document in documents.items()}
    answers["kubeadm-config"] = json.dumps(config[0]) if config else facts.Failure("NotFound")
    return facts.parse(facts.Answers(answers))


def told(made: Profile) -> list[str]:
    """One line a check."""
    lines = []
    for one in made.instances:
        keys = one.instance
        token = {True: "token", "tls_only": "token"}.get(keys.get("bearer_token_auth", ""), "")
        trust = "verified" if keys.get("tls_verify") else "unverified" if "ssl_verify" in keys else "plain"
        certificate = keys.get("tls_cert", "").rpartition("/")[2]
        tags = " ".join(keys.get("tags", ()))
        parts = [one.component, keys["prometheus_url"], token, trust, certificate, tags, f"({one.source})"]
        lines.append(" ".join(filter(None, parts)) + (" claimed" if one.claimed else ""))
    return lines + [f"no {left.component}: {left.reason}" for left in made.left_out]


def from_pods(count: int, *etcd: str) -> list[str]:
    """All components by their command lines."""
    nodes = f"on {count} control-plane node{'s' * (count > 1)}"
    return [
        "kube_apiserver_metrics https://127.0.0.1:6443/metrics token verified "
        f"(command line of kube-apiserver {nodes})",
        f"kube_scheduler https://127.0.0.1:10259/metrics token unverified (command line of kube-scheduler {nodes})",
        "kube_controller_manager https://127.0.0.1:10257/metrics token unverified "
        f"(command line of kube-controller-manager {nodes})",
        *etcd,
    ]


def from_file(documented: str, *etcd: str) -> list[str]:
    """Processes of the host, where the distribution's file says."""
    return [
        f"kube_apiserver_metrics https://127.0.0.1:6443/metrics token verified {documented}",
        f"kube_scheduler https://127.0.0.1:10259/metrics token unverified {documented}",
        f"kube_controller_manager https://127.0.0.1:10257/metrics token unverified {documented}",
        *etcd,
    ]


def none_of(reasons: dict[str, str]) -> list[str]:
    return [f"no {component}: {reason}" for component, reason in reasons.items()]


LISTENER = "etcd http://127.0.0.1:2381/metrics plain (`--listen-metrics-urls` of etcd)"
API_SERVERS_OWN = "(`--etcd-servers` and `--etcd-certfile` of kube-apiserver)"
OPENSHIFT = (
    "on OpenShift the chart's own switch collects it as a cluster check of the worker release "
    "(providers.openshift.controlPlaneMonitoring)"
)
NO_TOKENS = (
    "MicroK8s starts it without --authentication-kubeconfig and --authorization-kubeconfig, so it answers 403 to every "
    "token"
)
NO_PORT = "OpenShift 3 runs it inside its own controllers process, without a port of its own"

# topology → distribution and its checks
EXPECTED: dict[str, tuple[str, list[str]]] = {
    "anthos-bare-metal": ("anthos-bare-metal", from_pods(3, LISTENER)),
    "cluster-api": ("cluster-api", from_pods(3, LISTENER)),
    "docker-desktop": ("docker-desktop", from_pods(1, LISTENER)),
    "kind": ("kind", from_pods(1, LISTENER)),
    "kubeadm": ("kubeadm", from_pods(3, LISTENER)),
    "minikube": ("minikube", from_pods(1, LISTENER)),
    "tkg": ("tkg", from_pods(3, LISTENER)),
    "kops": (
        "kops",
        from_pods(
            3,
            f"etcd https://127.0.0.1:2379/metrics verified etcd-client.crt etcd_cluster:main {API_SERVERS_OWN}",
            f"etcd https://127.0.0.1:2379/metrics verified etcd-client.crt etcd_cluster:events {API_SERVERS_OWN}",
        ),
    ),
    "rke2": ("rke2", from_pods(3, "etcd http://127.0.0.1:2381/metrics plain (documented for RKE2)")),
    "rke2-split": (
        "rke2",
        from_pods(
            2,
            "no etcd: 2 of 2 control-plane nodes lack the label `node-role.kubernetes.io/etcd` "
            "(`control-plane-1`, `control-plane-2`), where the check would fail",
        ),
    ),
    "talos": (
        "talos",
        from_pods(3, f"etcd https://127.0.0.1:2379/metrics verified etcd-client.crt {API_SERVERS_OWN}"),
    ),
    "k3s": (
        "k3s",
        from_file("(documented for k3s)", "etcd http://127.0.0.1:2381/metrics plain (documented for k3s)"),
    ),
    "k3s-single": (
        "k3s",
        from_file(
            "(documented for k3s)",
            "no etcd: no node carries the label `node-role.kubernetes.io/etcd`: this k3s keeps its state in sqlite or "
            "in an external datastore",
        ),
    ),
    "k0s": (
        "k0s",
        from_file(
            "(documented for k0s) claimed",
            "etcd https://127.0.0.1:2379/metrics verified apiserver-etcd-client.crt (documented for k0s) claimed",
        ),
    ),
    "rke1": (
        "rke1",
        from_file(
            "(documented for RKE1) claimed",
            "no etcd: the file name of etcd's certificate holds the address of its node (kube-etcd-10-0-0-1.pem), so "
            "no one file of settings fits all nodes",
        ),
    ),
    "microk8s": (
        "microk8s",
        [
            "kube_apiserver_metrics https://127.0.0.1:16443/metrics token verified (documented for MicroK8s) claimed",
            f"no kube_scheduler: {NO_TOKENS}",
            f"no kube_controller_manager: {NO_TOKENS}",
            "no etcd: MicroK8s keeps its state in dqlite; there is no etcd",
        ],
    ),
    "openshift": ("openshift", none_of(dict.fromkeys(COMPONENTS, OPENSHIFT))),
    "openshift3": (
        "openshift3",
        [
            "kube_apiserver_metrics https://127.0.0.1:8443/metrics token verified (documented for OpenShift 3) claimed",
            f"no kube_scheduler: {NO_PORT}",
            f"no kube_controller_manager: {NO_PORT}",
            "no etcd: its certificates in /etc/etcd are the server's own, and where they stand differs between "
            "installations",
        ],
    ),
}
OTHERS = {name: name for name in topology.names() if name not in EXPECTED} | {"managed": "eks", "eks-fargate": "eks"}
OTHERS["large"] = "kubeadm"  # the kubeadm topology with more nodes


def test_every_distribution_has_a_topology() -> None:
    # `managed` is never recognised: it is said.
    seen = {found(read(name)).distribution for name in topology.names() if name != "large"}

    assert seen | {"managed"} == {one.name for one in distributions()}


def test_every_topology_with_control_plane_nodes_is_here() -> None:
    pairs = {name for name in topology.names() if name != "large" and found(read(name)).control_plane_release}

    assert pairs == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_checks_of_a_topology(name: str) -> None:
    made = found(read(name))

    assert (made.distribution, told(made)) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_the_other_topologies_are_recognised_too(name: str) -> None:
    assert found(read(name)).distribution == OTHERS[name]
