"""Topologies are what their files say, and nothing of one is left in the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import reset, topology
from tests.sandbox.components import Ports
from tests.sandbox.fixtures import Clusters

PLACEHOLDERS = Ports(1, 2, 3, 4, 5, 6, 7, 8).placeholders


def commands(pod: dict[str, Any]) -> list[str]:
    container = pod["spec"]["containers"][0]
    return [*container["command"], *container.get("args", [])]


@pytest.mark.parametrize("name", topology.names())
def test_each_file_is_a_topology(name: str) -> None:
    found = topology.load(name, PLACEHOLDERS)
    names = [node["metadata"]["name"] for node in found.nodes]
    assert names
    assert len(set(names)) == len(names)
    assert all(node["status"]["nodeInfo"]["kernelVersion"].count(".") >= 2 for node in found.nodes)


def test_unknown_words_in_a_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    for text, words in (
        ("nodes: [{name: a, label: {}}]", r"`odd.yaml`: nodes of a: unknown \['label'\]"),
        ("node: []", r"unknown \['node'\]"),
        ("nodes: [{name: a, taints: [x]}]", "`x` is not a taint"),
        ("nodes: [{name: a, staticPods: [etcd]}]", r"nobody describes: \['etcd'\]"),
        ("{nodes: [{name: a, staticPods: [x]}], staticPods: {x: {image: i, command: ['{no_port}']}}}", "no_port"),
    ):
        file.write_text(text)
        with pytest.raises(topology.TopologyError, match=words):
            topology.load(file, PLACEHOLDERS)
    with pytest.raises(topology.TopologyError, match=r"there are: .*kubeadm"):
        topology.load("kubeadmin", PLACEHOLDERS)


def test_kubeadm_has_its_nodes_and_the_real_ports(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    nodes = sandbox.api_get("/api/v1/nodes")["items"]
    tainted = [node for node in nodes if node["spec"].get("taints")]
    assert (len(tainted), len(nodes)) == (3, 8)
    ready = [condition for node in nodes for condition in node["status"]["conditions"] if condition["type"] == "Ready"]
    assert {condition["status"] for condition in ready} == {"True"}
    pods = sandbox.api_get("/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd")["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3
    assert f"--listen-metrics-urls=http://127.0.0.1:{sandbox.ports.etcd_metrics}" in commands(pods[0])
    assert sandbox.api_get("/api/v1/namespaces/kube-system/configmaps/kubeadm-config")
    shown = sandbox.host / "etc/kubernetes/pki/etcd/healthcheck-client.crt"
    assert shown.read_bytes() == sandbox.pki.etcd_client[0].read_bytes()


def test_kops_is_told_apart_by_labels_and_shows_no_metrics_listener(cluster: Clusters) -> None:
    sandbox = cluster("kops")
    pods = sandbox.api_get("/api/v1/namespaces/kube-system/pods")["items"]
    assert {pod["metadata"]["labels"]["k8s-app"] for pod in pods} >= {"etcd-manager-main", "kube-apiserver"}
    assert not [word for pod in pods for word in commands(pod) if "listen-metrics-urls" in word]
    nodes = sandbox.api_get("/api/v1/nodes?labelSelector=kops.k8s.io%2Fkops-controller-pki")["items"]
    assert len(nodes) == 3
    assert all(node["spec"]["providerID"].startswith("aws:///eu-west-1a/i-") for node in nodes)


def test_managed_cluster_shows_no_control_plane(cluster: Clusters) -> None:
    sandbox = cluster("managed")
    nodes = sandbox.api_get("/api/v1/nodes")["items"]
    assert not [label for node in nodes for label in node["metadata"]["labels"] if "node-role" in label]
    assert "-eks-" in nodes[0]["status"]["nodeInfo"]["kubeletVersion"]


def test_objects_of_a_topology_may_need_each_other(cluster: Clusters, tmp_path: Path) -> None:
    """As on OpenShift, which is known by an API group and by an object in it."""
    file = tmp_path / "openshift.yaml"
    file.write_text("""
nodes: [{name: "a-{n}", count: 2}]
objects:
  - {apiVersion: v1, kind: Namespace, metadata: {name: openshift-etcd}}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: openshift-etcd}, data: {port: "{etcd_port}"}}
  - apiVersion: apiextensions.k8s.io/v1
    kind: CustomResourceDefinition
    metadata: {name: proxies.config.openshift.io}
    spec:
      group: config.openshift.io
      scope: Cluster
      names: {plural: proxies, singular: proxy, kind: Proxy}
      versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
  - {apiVersion: config.openshift.io/v1, kind: Proxy, metadata: {name: cluster}}
""")
    sandbox = cluster(file)
    assert sandbox.topology == "openshift"
    assert sandbox.api_get("/apis/config.openshift.io/v1/proxies/cluster")
    data = sandbox.api_get("/api/v1/namespaces/openshift-etcd/configmaps/a")["data"]
    assert data == {"port": str(sandbox.ports.etcd)}


def test_large_is_five_thousand_nodes() -> None:
    found = topology.load("large", PLACEHOLDERS)
    assert (len(found.nodes), len(found.static_pods)) == (5000, 20)


def test_nothing_of_a_test_is_left_for_the_next(cluster: Clusters) -> None:
    """Webhooks that refuse everything, objects that finalizers hold, an API server that is away: all in the way."""
    sandbox = cluster("k3s-single")
    before = {found.identity for found in reset.inventory(sandbox.loader)}
    _litter(cluster)
    cluster("k3s-single")
    after = {found.identity for found in reset.inventory(sandbox.loader)}
    kept = {identity for identity in after - before if not identity.startswith("events.k8s.io/")}
    assert not {identity for identity in kept if "/serviceaccounts/kube-system/" not in identity}
    assert not list(sandbox.exec_bin.iterdir())
    assert sandbox.writes() == []


def _litter(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    post = sandbox.loader.post
    sandbox.kubectl("create", "namespace", "litter")
    sandbox.kubectl("create", "deployment", "web", "--image=web", "--replicas=3", "-n", "litter")
    sandbox.kubectl("create", "secret", "generic", "s", "-n", "kube-system")
    (sandbox.exec_bin / "agent").touch()
    held = {"name": "held", "finalizers": ["example.com/never"]}
    post("/api/v1/namespaces/litter/configmaps", {"metadata": held})
    group = "example.com"
    version: dict[str, Any] = {"name": "v1", "served": True, "storage": True}
    version["schema"] = {"openAPIV3Schema": {"type": "object"}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    spec = {"group": group, "scope": "Namespaced", "versions": [version], "names": names}
    post(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {"metadata": {"name": f"widgets.{group}"}, "spec": spec},
    )
    sandbox.kubectl("wait", "--for=condition=established", f"crd/widgets.{group}")
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": held}
    post(f"/apis/{group}/v1/namespaces/litter/widgets", widget)
    service = {"name": "away", "namespace": "litter"}
    api = {"group": "away.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1}
    away = {
        "metadata": {"name": "v1.away.example.com"},
        "spec": {**api, "service": service, "insecureSkipTLSVerify": True},
    }
    post("/apis/apiregistration.k8s.io/v1/apiservices", away)
    rule = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "operations": ["*"],
        "resources": ["pods", "configmaps", "namespaces"],
    }
    webhook: dict[str, Any] = {
        "name": "no.example.com",
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
    }
    webhook |= {"admissionReviewVersions": ["v1"], "clientConfig": {"service": service}}
    body = {"metadata": {"name": "no"}, "webhooks": [webhook]}
    post("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", body)
