"""A row asks one question of the facts; "could not be read" is neither yes nor no."""

import pytest

from ddhelm.distribution import Row
from ddhelm.facts import ClusterFacts
from ddhelm.nodes import Node, Taint
from ddhelm.signals import Look, matches
from tests.unit.factsets import CONTROL_PLANE, cluster, control_planes, node, pod, workers

FACTS = cluster(
    [
        *control_planes(2, provider_id="aws:///a/i-1", os_image="Talos (v1.11.2)"),
        *workers(3, ["eks.amazonaws.com/nodegroup", "eks.amazonaws.com/zone"], kubelet_version="v1.33.1+k3s1"),
    ],
    "v1.33.1-eks-b9364f6",
    groups=["auto.gke.io/v1"],
    pods=[pod("etcd", "cp-1")],
    kubeadm={},
)


def look(facts: ClusterFacts = FACTS) -> Look:
    return Look(facts, [CONTROL_PLANE])


@pytest.mark.parametrize(
    ("field", "pattern", "held", "text"),
    [
        ("node.label", CONTROL_PLANE, True, "on 2 of 5 nodes"),
        ("node.label", "eks.amazonaws.com/*", True, "on 3 of 5 nodes, such as `eks.amazonaws.com/nodegroup`"),
        ("node.label", "kubernetes.io/os=linux", True, "on 5 of 5 nodes"),
        ("node.label", "kubernetes.io/os=lin*", True, "on 5 of 5 nodes, such as `kubernetes.io/os=linux`"),
        ("node.label", "kubernetes.io/os=windows", False, "on 0 of 5 nodes"),
        ("node.label", "kubernetes.io", False, "on 0 of 5 nodes"),
        ("node.annotation", "talos.dev/*", False, "on 0 of 5 nodes"),
        ("node.taint", CONTROL_PLANE, True, "on 2 of 5 nodes"),
        ("node.name", "cp-*", True, "on 2 of 5 nodes, such as `cp-1`"),
        ("node.providerID", "aws:///*", True, "on 2 of 5 nodes, such as `aws:///a/i-1`"),
        ("node.providerID", "aws", False, "on 0 of 5 nodes"),
        ("node.osImage", "Talos (*", True, "on 2 of 5 nodes, such as `Talos (v1.11.2)`"),
        ("node.runtime", "containerd://*", True, "on 5 of 5 nodes, such as `containerd://2.1.4`"),
        ("node.kubeletVersion", "*+k3s*", True, "on 3 of 5 nodes, such as `v1.33.1+k3s1`"),
        ("server.gitVersion", "*-eks-*", True, "it is `v1.33.1-eks-b9364f6`"),
        ("server.gitVersion", "*+k3s*", False, "it is `v1.33.1-eks-b9364f6`"),
        ("api.group", "auto.gke.io", True, "is served"),
        ("api.group", "apps", True, "is served"),
        ("api.group", "gke.io", False, "is not served"),
        ("configmap", "kubeadm-config", True, "exists in kube-system"),
        ("control-plane-nodes", "some", True, "2 of 5 nodes"),
        ("control-plane-nodes", "several", True, "2 of 5 nodes"),
        ("control-plane-nodes", "none", False, "2 of 5 nodes"),
        ("worker-nodes", "some", True, "3 of 5 nodes"),
        ("worker-nodes", "none", False, "3 of 5 nodes"),
        ("static-pods", "some", True, "1 seen"),
        ("kubernetes", ">=1.33", True, "it is `v1.33.1-eks-b9364f6`"),
        ("kubernetes", ">=1.33.2", False, "it is `v1.33.1-eks-b9364f6`"),
        ("kubernetes", "<1.34", True, "it is `v1.33.1-eks-b9364f6`"),
        ("kubernetes", "<1.9", False, "it is `v1.33.1-eks-b9364f6`"),
    ],
)
def test_what_is_seen_is_said(field: str, pattern: str, held: bool, text: str) -> None:
    sighting = look().at(Row(field, pattern))

    assert (sighting.held, sighting.text) == (held, text)


@pytest.mark.parametrize(
    ("row", "unread"),
    [
        (Row("node.label", CONTROL_PLANE), "nodes"),
        (Row("control-plane-nodes", "none"), "nodes"),
        (Row("worker-nodes", "none"), "nodes"),
        (Row("api.group", "auto.gke.io"), "groups"),
        (Row("configmap", "kubeadm-config"), "kubeadm-config"),
    ],
)
def test_what_could_not_be_read_is_neither_seen_nor_absent(row: Row, unread: str) -> None:
    sighting = look(cluster([], None, unread={unread: "forbidden"})).at(row)

    assert (sighting.held, sighting.text) == (None, "not readable")
    assert not look(cluster([], None, unread={unread: "forbidden"})).all_hold([row])


@pytest.mark.parametrize(
    "row", [Row("server.gitVersion", "*"), Row("kubernetes", "<1.22"), Row("kubernetes", ">=1.22")]
)
def test_no_version_is_no_old_version(row: Row) -> None:
    assert look(cluster([], None, unread={"version": "timeout"})).at(row).held is None


def test_static_pods_of_one_readable_read_are_seen() -> None:
    seen = cluster([], pods=[pod("etcd", "n")], unread={"static-pods-by-app": "no"})
    unknown = cluster([], unread={"static-pods-by-app": "no", "static-pods": "no"})

    assert look(seen).at(Row("static-pods", "some")).held is True
    assert look(unknown).at(Row("static-pods", "some")).held is None


def test_everywhere_means_every_node_and_at_least_one() -> None:
    row = Row("node.osImage", "Talos*", everywhere=True)

    assert look().at(row).held is False
    assert look(cluster(control_planes(os_image="Talos (v1)"))).at(row).held is True
    assert look(cluster([])).at(row).held is False


@pytest.mark.parametrize("pattern", ["a.b", "a+", "[ab]", "a\nb", "(", "\\"])
def test_only_the_star_is_special(pattern: str) -> None:
    assert matches(node("n", [pattern]), Row("node.label", pattern))
    assert matches(node("n", [f"x{pattern}y"]), Row("node.label", f"x{pattern}*"))
    assert not matches(node("n", ["axb"]), Row("node.label", pattern))


def test_one_node_is_asked_the_same_way() -> None:
    special = Node("n", {"type": "virtual-kubelet"}, {}, taints=(Taint("k", "v", "NoSchedule"),), os_image="Flatcar 1")

    assert matches(special, Row("node.label", "type=virtual-kubelet"))
    assert matches(special, Row("node.taint", "k"))
    assert matches(special, Row("node.osImage", "Flatcar*"))
    assert not matches(special, Row("node.label", "type=other"))
    assert not matches(special, Row("node.annotation", "type"))
