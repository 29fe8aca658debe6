"""Detection on a real API: what it prints, and what it refuses is said; test_distributions.py has every topology."""

from pathlib import Path
from typing import Any

from ddhelm import facts
from tests.cluster.driver import Ddhelm, read_facts
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox

NODES = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}
NAMESPACES = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


def test_detect_prints_conclusion_evidence_and_checks(cluster: Clusters) -> None:
    ddhelm = Ddhelm(cluster("kops"), "4.3")

    table = ddhelm("detect").out
    tree = ddhelm("detect", "-o", "json").json["data"]

    assert "distribution `kops`" in table
    assert "label `kops.k8s.io/instancegroup`" in table
    assert "on 7 of 7 nodes" in table
    assert "/srv/kubernetes/kube-apiserver/etcd-client.key" in table
    assert tree["profile"]["distribution"] == "kops"
    assert facts.from_json(tree["facts"]).nodes == read_facts(ddhelm.sandbox).nodes


def as_reader(sandbox: Sandbox, *rules: dict[str, Any]) -> Ddhelm:
    """A ddhelm whose user may do just that."""
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.environment["KUBECONFIG"] = str(sandbox.user_kubeconfig("reader", list(rules)))
    return ddhelm


def test_forbidden_static_pods_are_named_and_the_documented_ports_used(cluster: Clusters) -> None:
    ddhelm = as_reader(cluster("kubeadm"), NODES, NAMESPACES, SECRETS)

    profile = ddhelm("detect", "-o", "json").json["data"]["profile"]

    assert {unread["name"] for unread in profile["unread"]} >= {"static-pods", "static-pods-by-app"}
    assert {check["source"] for check in profile["checks"]} == {"documented for kubeadm"}
    assert "`reader` may not list pods" in ddhelm("detect").out


def test_forbidden_nodes_stop_with_what_was_forbidden_and_the_flag(cluster: Clusters) -> None:
    ddhelm = as_reader(cluster("kubeadm"), NAMESPACES, SECRETS, PODS)

    stopped = ddhelm("detect", code=1)
    said = ddhelm("detect", "--distribution", "kubeadm")

    assert "the distribution of this cluster cannot be told: its nodes could not be read" in stopped.err
    assert "`reader` may not list nodes" in stopped.err
    assert "--distribution NAME" in stopped.err
    assert "nodes: 0" not in stopped.err
    assert "distribution `kubeadm`" in said.out
    assert "The nodes could not be read" in said.out


def test_an_unknown_cluster_stops_with_evidence_and_changes_nothing(cluster: Clusters, tmp_path: Path) -> None:
    file = tmp_path / "unknown.yaml"
    file.write_text('nodes: [{name: "n-{n}", count: 2, labels: {example.com/rack: "7"}}]\n')
    ddhelm = Ddhelm(cluster(file), "4.3")

    stopped = ddhelm("onboard", "--yes", *ddhelm.chart(), code=1)

    assert "hint: --distribution managed" in stopped.err
    assert "example.com" in stopped.err
    assert ddhelm.sandbox.writes() == []

    answer = ddhelm("detect", "-o", "json", code=1)
    assert "unknown" in answer.err
    assert answer.json["data"]["profile"] is None
    assert answer.json["data"]["error"] == "the distribution of this cluster is unknown"
    assert any("example.com" in line for line in answer.json["data"]["details"])
    assert len(answer.json["data"]["facts"]["nodes"]) == 2


def test_an_unknown_name_is_answered_with_the_nearest(cluster: Clusters) -> None:
    stopped = Ddhelm(cluster("kubeadm"), "4.3")("detect", "--distribution", "kubeadmn", code=3)

    assert "no distribution is called `kubeadmn`" in stopped.err
    assert "hint: --distribution kubeadm" in stopped.err
