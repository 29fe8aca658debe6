"""What follows from a distribution: labels, values, requirements, notes, and what is kept for the next run."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from ddhelm import profile
from ddhelm.distribution import Row
from ddhelm.facts import ClusterFacts, Unread
from ddhelm.nodes import Node, Taint
from tests.unit.factsets import (
    CONTROL_PLANE,
    CRI_SOCKET,
    ETCD,
    FORBIDDEN,
    MASTER,
    cluster,
    control_planes,
    found,
    kubeadm,
    node,
    node_kinds,
    stacked,
    workers,
)


def values(made: profile.Profile, role: str) -> list[tuple[str, dict[str, Any]]]:
    return [(part.file, part.tree) for part in made.values_of(role)]


# --- labels and releases ---------------------------------------------------------------------------------------------


def test_the_labels_are_the_distributions_own_list() -> None:
    assert found(cluster(kubeadm())).control_plane_labels == (CONTROL_PLANE,)


def test_master_joins_the_list_only_where_it_stands_alone() -> None:
    both = cluster([*kubeadm(), node("cp-9", [CONTROL_PLANE, MASTER])])
    alone = cluster([*kubeadm(), node("cp-9", [MASTER])])

    assert found(both).control_plane_labels == (CONTROL_PLANE,)
    assert found(alone).control_plane_labels == (CONTROL_PLANE, MASTER)


def test_a_label_that_was_in_the_list_stays_in_it() -> None:
    before = found(cluster([*kubeadm(), node("cp-9", [MASTER])])).to_record()

    made = found(cluster([*kubeadm(), node("cp-9", [CONTROL_PLANE, MASTER])]), remembered=before)

    assert made.control_plane_labels == (CONTROL_PLANE, MASTER)


def test_any_label_of_the_list_makes_a_control_plane_node_whatever_its_value() -> None:
    made = found(cluster([*kubeadm(), node("cp-9", [MASTER], annotations={CRI_SOCKET: "x"})]))

    roles = {labels: made.role_of(node("n", labels)) for labels in [(CONTROL_PLANE,), (MASTER,), (ETCD,), ()]}

    assert roles == {(CONTROL_PLANE,): "control-plane", (MASTER,): "control-plane", (ETCD,): "worker", (): "worker"}
    assert made.role_of(Node("n", {MASTER: "false"}, {})) == "control-plane"


def test_a_distribution_that_shows_no_control_plane_node_gets_one_release_and_the_reason() -> None:
    made = found(cluster(workers(), "v1.33.1+k0s"))

    assert made.managed
    assert made.why_managed == (
        f"no node carries a control-plane label (`{CONTROL_PLANE}`): a control-plane release would run nowhere"
    )
    assert made.instances == ()
    assert any("--enable-worker" in note for note in made.notes)


def test_zero_nodes_give_one_release() -> None:
    made = found(cluster([], "v1.33.1+k3s1"))

    assert made.managed
    assert made.control_plane_labels == ()


def test_unreadable_nodes_do_not_look_like_no_control_plane() -> None:
    made = found(cluster([], unread={"nodes": FORBIDDEN}), override="kubeadm")

    assert made.control_plane_release
    assert made.control_plane_labels == (CONTROL_PLANE,)


def test_one_release_stays_one_while_the_nodes_cannot_be_read() -> None:
    before = found(cluster(workers(), "v1.33.1+k0s")).to_record()

    made = found(cluster([], "v1.33.1+k0s", unread={"nodes": FORBIDDEN}), remembered=before)

    assert made.managed
    assert "could not be read" in made.why_managed


# --- values ----------------------------------------------------------------------------------------------------------


def test_values_of_the_parent_come_before_the_childs() -> None:
    made = found(cluster(kubeadm(1, provider_id="kind://docker/kind/x")))

    assert values(made, "worker") == [("kubeadm", {"datadog": {"kubelet": {"tlsVerify": False}}})]
    assert made.values[0].at == ("values", "both")


def test_eks_monitors_its_control_plane_through_the_chart_where_kubernetes_can() -> None:
    def switch(version: str) -> list[tuple[str, dict[str, Any]]]:
        return values(found(cluster(workers(), version)), "worker")

    assert switch("v1.33.1-eks-1") == [("eks", {"providers": {"eks": {"controlPlaneMonitoring": True}}})]
    assert switch("v1.27.1-eks-1") == []


def test_eks_needs_a_chart_that_knows_the_switch_only_where_it_is_set() -> None:
    new, old = (found(cluster(workers(), f"v1.{minor}.1-eks-1")) for minor in (33, 27))

    assert [(need.kind, need.spec) for need in new.requirements] == [("chart", ">=3.152.0")]
    assert old.requirements == ()
    assert any("1.28" in note for note in old.notes)


def test_openshift_needs_its_secret_before_its_switch_can_work() -> None:
    nodes = [*control_planes(3, [CONTROL_PLANE, "node.openshift.io/os_id"]), *workers()]
    made = found(cluster(nodes, "v1.31.6", groups=["config.openshift.io/v1"]))

    assert [(need.kind, need.spec) for need in made.requirements] == [
        ("chart", ">=3.152.0"),
        ("secret", "etcd-metric-client"),
    ]
    assert made.requirements[1].hint.startswith("oc get secret etcd-metric-client -n openshift-etcd-operator")
    assert made.requirements[1].hint.endswith("oc create -f -")  # brackets after it would not survive a shell
    assert made.requirements[1].keys == ("tls.crt", "tls.key")
    assert {"providers": {"openshift": {"controlPlaneMonitoring": True}}} in [
        tree for _, tree in values(made, "worker")
    ]
    assert all("providers" not in tree for _, tree in values(made, "control-plane"))


def test_an_openshift_of_control_plane_nodes_only_runs_its_cluster_checks_on_them() -> None:
    nodes = control_planes(3, [CONTROL_PLANE, "node.openshift.io/os_id"])
    made = found(cluster(nodes, "v1.31.6", groups=["config.openshift.io/v1"]))
    switch = {"providers": {"openshift": {"controlPlaneMonitoring": True}}}
    assert {"existingClusterAgent": {"clusterchecksEnabled": True}, **switch} in [
        tree for _, tree in values(made, "control-plane")
    ]
    assert switch in [tree for _, tree in values(made, "worker")]


@pytest.mark.parametrize(
    ("version", "groups", "labels"),
    [("v1.25.4", ["config.openshift.io/v1"], [CONTROL_PLANE, MASTER]), ("v1.31.6", ["config.openshift.io/v1"], [])],
)
def test_old_and_hosted_openshift_go_without_the_switch(version: str, groups: list[str], labels: list[str]) -> None:
    made = found(cluster([node("n-1", labels), *workers()], version, groups=groups))

    assert made.requirements == ()
    assert all("providers" not in tree for _, tree in values(made, "worker"))


def test_k3s_on_docker_keeps_the_default_socket() -> None:
    def sockets(runtime: str) -> list[Any]:
        made = found(cluster(control_planes(1, runtime=runtime), "v1.33.1+k3s1"))
        return [tree["datadog"] for _, tree in values(made, "worker") if "datadog" in tree]

    assert sockets("containerd://2.1") == [{"criSocketPath": "/run/k3s/containerd/containerd.sock"}]
    assert sockets("docker://27.0") == []


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("Flatcar Container Linux by Kinvolk 4081.2.0", {"providers": {"flatcar": {"enabled": True}}}),
        ("Container-Optimized OS from Google", {"providers": {"gke": {"cos": True}}}),
    ],
)
def test_systems_bring_values_on_any_distribution(image: str, expected: dict[str, Any]) -> None:
    made = found(cluster([*kubeadm(), node("w-99", os_image=image)]))

    assert made.values[-1].file == "node-kinds"
    assert made.values[-1].tree == expected


def test_bottlerockets_socket_is_set_only_where_every_node_has_it() -> None:
    bottlerocket = "Bottlerocket OS 1.20.0 (aws-k8s-1.30)"
    every = found(cluster(workers(2, os_image=bottlerocket), "v1.33.1-eks-1"))
    some = found(cluster([*workers(2, os_image=bottlerocket), node("w-3", os_image="Amazon Linux")], "v1.33.1-eks-1"))

    assert any(part.file == "node-kinds" for part in every.values)
    assert not any(part.file == "node-kinds" for part in some.values)


@pytest.mark.parametrize(
    "shown",
    [
        cluster(control_planes(3, [CONTROL_PLANE, ETCD]), "v1.32.5+rke2r1"),
        cluster(control_planes(1), "v1.33.1+k3s1"),
        cluster([*kubeadm(), node("w-99", os_image="Flatcar Container Linux by Kinvolk 4081.2.0")]),
        cluster(workers(2, os_image="Bottlerocket OS 1.20.0 (aws-k8s-1.30)"), "v1.33.1-eks-1"),
    ],
    ids=["rke2", "k3s", "flatcar", "bottlerocket"],
)
def test_values_that_hang_on_nodes_stay_while_the_nodes_cannot_be_read(shown: ClusterFacts) -> None:
    before = found(shown)
    assert before.variants
    blind = replace(shown, nodes=(), unread=(Unread("nodes", "the nodes", FORBIDDEN),))
    now = found(blind, override=before.distribution, remembered=before.to_record())
    assert now.values == before.values
    assert now.to_record()["variants"] == before.to_record()["variants"]
    assert [note for note in now.notes if "kept from the last run" in note]


def test_what_another_distribution_left_is_not_kept() -> None:
    before = found(cluster([*kubeadm(), node("w-99", os_image="Flatcar Container Linux by Kinvolk 4081.2.0")]))
    left = before.to_record() | {"clusterAgentTolerations": [{"key": "x"}]}
    now = found(cluster([], unread={"nodes": FORBIDDEN}), override="kops", remembered=left)
    assert (now.variants, now.tolerations) == ((), ())


@pytest.mark.parametrize(
    ("special", "name", "agent"),
    [
        (node("w", {"kubernetes.io/os": "windows"}), "windows", False),
        (node("w", {"eks.amazonaws.com/compute-type": "fargate"}), "fargate", False),
        (node("w", {"type": "virtual-kubelet"}), "virtual-kubelet", False),
        (node("w", taints=(Taint("virtual-kubelet.io/provider", "azure", "NoSchedule"),)), "virtual-kubelet", False),
        (node("w", os_image="Flatcar 1"), "flatcar", True),
    ],
)
def test_special_nodes_are_called_what_they_are(special: Node, name: str, agent: bool) -> None:
    kind = profile.kind_of(special, node_kinds())

    assert kind is not None
    assert (kind.name, kind.agent) == (name, agent)
    assert bool(kind.advice) is not agent
    assert bool(kind.docs) is not agent


def test_an_ordinary_node_is_of_no_kind() -> None:
    assert profile.kind_of(node("w"), node_kinds()) is None


def test_nodes_that_are_alike_are_asked_for_their_kind_once() -> None:
    kinds = profile.Kinds(node_kinds())
    fargate = {"eks.amazonaws.com/compute-type": "fargate"}
    virtual = (Taint("virtual-kubelet.io/provider", "azure", "NoSchedule"),)
    special = [
        node("a", fargate),
        node("b", fargate),
        node("c"),
        node("d", taints=virtual),
        node("e", os_image="Flatcar 1"),
    ]
    found = [kinds(each) for each in special]
    assert [kind and kind.name for kind in found] == ["fargate", "fargate", None, "virtual-kubelet", "flatcar"]
    assert found[0] is found[1]
    odd = profile.Kinds([replace(node_kinds()[0], match=(Row("node.name", "w-*"),))])
    assert [bool(odd(node(name))) for name in ("w-1", "x-1")] == [True, False]


# --- what is kept and shown ------------------------------------------------------------------------------------------


def test_the_record_is_json_and_holds_what_the_next_run_may_need() -> None:
    made = found(cluster(kubeadm(), pods=stacked()))

    record = json.loads(json.dumps(made.to_record()))

    assert record == made.to_record()
    assert record["distribution"] == "kubeadm"
    assert record["controlPlaneLabels"] == [CONTROL_PLANE]
    assert record["checks"]["etcd"] == {
        "instances": [{"prometheus_url": "http://127.0.0.1:2381/metrics", "leader_tag": False}]
    }


def test_a_run_that_reads_as_much_records_the_same() -> None:
    facts = cluster(kubeadm(), pods=stacked())

    assert found(facts, remembered=found(facts).to_record()).to_record() == found(facts).to_record()


def test_the_json_of_a_profile_is_complete() -> None:
    made = found(cluster(control_planes(3, [CONTROL_PLANE, ETCD]), "v1.32.5+rke2r1", unread={"static-pods": "no"}))

    tree = json.loads(json.dumps(profile.to_json(made)))

    assert set(tree) >= {"distribution", "evidence", "checks", "leftOut", "hostFiles", "values", "unread", "notes"}
    assert tree["unread"] == [{"name": "static-pods", "what": "static-pods", "why": "no"}]
    assert tree["checks"][0]["source"] == "documented for RKE2"
