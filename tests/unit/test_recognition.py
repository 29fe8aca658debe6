"""Each distribution is recognised by what it shows, told apart from its neighbours, and never guessed."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddhelm import distribution, profile
from ddhelm.distribution import Distribution
from ddhelm.errors import ClusterError, ConfigError
from ddhelm.facts import ClusterFacts
from ddhelm.nodes import Node
from tests.unit.factsets import (
    CONTROL_PLANE,
    CRI_SOCKET,
    ETCD,
    FORBIDDEN,
    MASTER,
    cluster,
    control_planes,
    distributions,
    found,
    kubeadm,
    node,
    workers,
)

CAPI = {"cluster.x-k8s.io/cluster-name": "prod", "cluster.x-k8s.io/machine": "prod-7f9-x2"}
CRI = {CRI_SOCKET: "unix:///run/containerd/containerd.sock"}
RKE1 = "node-role.kubernetes.io/controlplane"
OPENSHIFT = "node.openshift.io/os_id"
TALOS = "Talos (v1.11.2)"
KUBEADM: dict[str, Any] = {"kubernetesVersion": "v1.36.3"}

# What a small cluster of each distribution shows.
SHOWN: dict[str, ClusterFacts] = {
    "kubeadm": cluster(kubeadm(), kubeadm=KUBEADM),
    "kind": cluster(kubeadm(1, provider_id="kind://docker/kind/kind-control-plane"), kubeadm=KUBEADM),
    "minikube": cluster(
        control_planes(1, [CONTROL_PLANE, "minikube.k8s.io/version", "minikube.k8s.io/name"], annotations=CRI),
        kubeadm=KUBEADM,
    ),
    "cluster-api": cluster(
        [*control_planes(annotations=CRI | CAPI), *workers(annotations=CRI | CAPI)], kubeadm=KUBEADM
    ),
    "tkg": cluster(
        [
            *control_planes(3, [CONTROL_PLANE, "run.tanzu.vmware.com/kubernetesDistributionVersion"], annotations=CAPI),
            *workers(provider_id="vsphere://4210"),
        ],
        "v1.28.8+vmware.1",
        kubeadm=KUBEADM,
    ),
    "docker-desktop": cluster(control_planes(1, annotations=CRI, os_image="Docker Desktop"), kubeadm=KUBEADM),
    "kops": cluster(
        [
            *control_planes(3, [CONTROL_PLANE, "kops.k8s.io/instancegroup"], provider_id="aws:///eu-west-1a/i-1"),
            *workers(2, ["kops.k8s.io/instancegroup"], provider_id="aws:///eu-west-1a/i-2"),
        ]
    ),
    "k3s": cluster([node("s-1", [CONTROL_PLANE, MASTER], provider_id="k3s://s-1"), *workers()], "v1.33.1+k3s1"),
    "rke2": cluster(
        [*control_planes(3, [CONTROL_PLANE, ETCD, MASTER], annotations={"rke2.io/hostname": "x", **CAPI}), *workers()],
        "v1.32.5+rke2r1",
    ),
    "rke1": cluster(
        [
            node("n-1", [RKE1, ETCD], annotations={"rke.cattle.io/internal-ip": "10.0.0.1"}),
            *workers(annotations={"rke.cattle.io/external-ip": "1.2.3.4"}),
        ],
        "v1.27.16",
    ),
    "k0s": cluster([*control_planes(1, [CONTROL_PLANE, "node.k0sproject.io/role"]), *workers()], "v1.33.1+k0s"),
    "microk8s": cluster([node("m-1", ["microk8s.io/cluster", "node.kubernetes.io/microk8s-controlplane"])], "v1.32.3"),
    "talos": cluster([*control_planes(os_image=TALOS, annotations=CAPI), *workers(os_image=TALOS)]),
    "openshift": cluster(
        [*control_planes(3, [CONTROL_PLANE, MASTER, OPENSHIFT]), *workers(2, [OPENSHIFT])],
        "v1.31.6",
        groups=["config.openshift.io/v1", "project.openshift.io/v1", "quota.openshift.io/v1"],
    ),
    "openshift3": cluster([node("m-1", [MASTER]), *workers()], "v1.11.0+d4cacc0", groups=["project.openshift.io/v1"]),
    "eks": cluster(workers(3, ["eks.amazonaws.com/nodegroup"], provider_id="aws:///a/i-1"), "v1.33.1-eks-b9364f6"),
    "aks": cluster(workers(3, ["kubernetes.azure.com/cluster"], provider_id="azure:///subscriptions/x"), "v1.32.4"),
    "gke": cluster(workers(3, ["cloud.google.com/gke-nodepool"], provider_id="gce://p/z/n"), "v1.33.2-gke.1111000"),
    "gke-autopilot": cluster(
        [node("gk3-autopilot-1-pool-1", ["cloud.google.com/gke-nodepool"], provider_id="gce://p/z/n")],
        "v1.33.2-gke.1111000",
        groups=["auto.gke.io/v1"],
    ),
    "anthos-bare-metal": cluster(
        [*control_planes(3, [CONTROL_PLANE, "baremetal.cluster.gke.io/node-pool"], annotations=CRI | CAPI), *workers()],
        "v1.30.4-gke.300",
        kubeadm=KUBEADM,
    ),
    "oke": cluster(workers(3, ["oci.oraclecloud.com/node.info"], provider_id="ocid1.instance.x"), "v1.33.1"),
    "doks": cluster(workers(3, ["doks.digitalocean.com/node-pool"], provider_id="digitalocean://1"), "v1.33.1"),
    "iks": cluster(workers(3, provider_id="ibm://1"), "v1.32.5+IKS"),
    "ack": cluster(workers(3), "v1.33.1-aliyun.1"),
    "cce": cluster(workers(3), "v1.25.3-r0-CCE23.1.0"),
    "tke": cluster(workers(3), "v1.30.0-tke.9"),
}  # fmt: skip

PAIR = {
    "kubeadm", "kind", "minikube", "cluster-api", "tkg", "docker-desktop", "kops", "k3s", "rke2", "rke1", "k0s",
    "microk8s", "talos", "openshift", "openshift3", "anthos-bare-metal",
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_a_distribution_is_recognised_by_what_it_shows(name: str) -> None:
    made = found(SHOWN[name])

    assert made.distribution == name
    assert any(evidence.supports for evidence in made.evidence)


@pytest.mark.parametrize("name", SHOWN)
def test_there_is_a_pair_where_the_control_plane_shows_and_one_release_where_not(name: str) -> None:
    made = found(SHOWN[name])

    assert made.control_plane_release is (name in PAIR)
    assert bool(made.why_managed) is (name not in PAIR)
    assert bool(made.control_plane_labels) is (name in PAIR)


@pytest.mark.parametrize("name", sorted(PAIR))
def test_a_managed_distribution_is_the_only_one_that_needs_no_labels(name: str) -> None:
    made = found(SHOWN[name])
    roles = {made.role_of(each) for each in SHOWN[name].nodes}

    assert "control-plane" in roles


EKS_NODES = workers(3, ["eks.amazonaws.com/nodegroup"], annotations=CAPI)
ANYWHERE = [*control_planes(annotations=CAPI), *workers()]
RKE1_NODES = workers(annotations={"rke.cattle.io/internal-ip": "10.0.0.1"})
GKE_NODES = workers(2, ["cloud.google.com/gke-nodepool"])


@pytest.mark.parametrize(
    ("what", "facts", "expected"),
    [
        ("kOps on AWS shares the provider with EKS", SHOWN["kops"], "kops"),
        ("EKS that Cluster API made", cluster(EKS_NODES, "v1.33.1-eks-1"), "eks"),
        (
            "EKS Anywhere has EKS' version and shows its control plane",
            cluster(ANYWHERE, "v1.33.1-eks-1"),
            "cluster-api",
        ),
        (
            "Anthos has GKE's version and shows its control plane",
            cluster(ANYWHERE, "v1.30.4-gke.3"),
            "anthos-bare-metal",
        ),
        ("RKE2 that Rancher made carries Cluster API's annotations", SHOWN["rke2"], "rke2"),
        ("RKE2 by its kubelets", cluster(control_planes(kubelet_version="v1.32.5+rke2r1"), None), "rke2"),
        ("RKE2 on nodes that were RKE1's", cluster([*RKE1_NODES, *control_planes()], "v1.32.5+rke2r1"), "rke2"),
        ("k3s with embedded etcd", cluster(control_planes(3, [CONTROL_PLANE, ETCD]), "v1.33.1+k3s1"), "k3s"),
        ("kind without its provider ID is kubeadm", cluster(kubeadm(1)), "kubeadm"),
        ("kubeadm by its ConfigMap alone", cluster([*control_planes(), *workers()], kubeadm=KUBEADM), "kubeadm"),
        ("kubeadm by its annotation alone", cluster(kubeadm(), unread={"kubeadm-config": FORBIDDEN}), "kubeadm"),
        ("kind of Cluster API's Docker provider", cluster(kubeadm(1, provider_id="kind://docker/x/y")), "kind"),
        ("GKE that knows Autopilot", cluster(GKE_NODES, "v1.33.2-gke.1", groups=["auto.gke.io/v1"]), "gke"),
        ("a hosted OpenShift", cluster(workers(), "v1.31.6", groups=["config.openshift.io/v1"]), "openshift"),
        ("k0s whose controllers are no nodes", cluster(workers(), "v1.33.1+k0s"), "k0s"),
    ],
)
def test_neighbours_are_told_apart(what: str, facts: ClusterFacts, expected: str) -> None:
    assert found(facts).distribution == expected, what


def test_kubeadm_lists_what_speaks_for_it() -> None:
    made = found(SHOWN["kubeadm"])

    assert [(e.signal, e.seen, e.supports) for e in made.evidence] == [
        ("ConfigMap `kubeadm-config`", "exists in kube-system", True),
        (f"annotation `{CRI_SOCKET}`", "on 5 of 5 nodes", True),
        ("control-plane nodes", "3 of 5 nodes", True),
    ]


def test_evidence_against_the_conclusion_is_told() -> None:
    facts = cluster([*control_planes(annotations=CAPI), *workers()], "v1.33.1-eks-1")

    against = [e for e in found(facts).evidence if not e.supports]

    assert any("Amazon EKS" in e.seen and "v1.33.1-eks-1" in e.seen for e in against)


def test_a_cluster_that_looks_like_two_stops_with_both_names() -> None:
    # A virtual cluster: k3s in front, the host's EKS nodes behind.
    facts = cluster(workers(3, ["eks.amazonaws.com/nodegroup"]), "v1.33.1+k3s1")

    with pytest.raises(ClusterError) as caught:
        found(facts)

    assert caught.value.message == "the cluster looks like Amazon EKS and k3s at once"
    assert caught.value.hint == "--distribution eks or --distribution k3s"
    assert caught.value.anchor == "unknown-distribution"
    assert any("eks.amazonaws.com/nodegroup" in line for line in caught.value.details)


@pytest.mark.parametrize(
    ("facts", "likely"),
    [
        pytest.param(cluster(control_planes()), "kubeadm", id="control-plane nodes and nothing else"),
        pytest.param(cluster(workers()), "managed", id="no control-plane nodes"),
        pytest.param(cluster([]), "managed", id="no nodes at all"),
        pytest.param(cluster([Node("", {}, {})]), "managed", id="a node without anything"),
        pytest.param(cluster([*control_planes()], "v1.33.1-eks-1"), "kubeadm", id="EKS' version with a control plane"),
        pytest.param(
            cluster(workers(2, ["kops.k8s.io/instancegroup"])), "managed", id="kOps' nodes without control plane"
        ),
    ],
)
def test_an_unknown_cluster_stops_with_what_was_seen(facts: ClusterFacts, likely: str) -> None:
    with pytest.raises(ClusterError) as caught:
        found(facts)

    assert caught.value.message == "the distribution of this cluster is unknown"
    assert caught.value.hint.startswith(f"--distribution {likely},")
    assert caught.value.anchor == "unknown-distribution"
    assert any(line.startswith("nodes:") for line in caught.value.details)
    assert any("names for --distribution" in line for line in caught.value.details)


def test_what_was_ruled_out_says_why() -> None:
    with pytest.raises(ClusterError) as caught:
        found(cluster(control_planes(), "v1.33.1-eks-1"))

    assert caught.value.details[0] == (
        "it is not Amazon EKS (Kubernetes version `*-eks-*`: it is `v1.33.1-eks-1`): "
        "needed: no control-plane nodes; seen: 3 of 3 nodes"
    )


def test_what_could_not_be_read_is_among_the_details() -> None:
    with pytest.raises(ClusterError) as caught:
        found(cluster([], unread={"nodes": "nodes is forbidden"}))

    assert "not read: nodes: nodes is forbidden" in caught.value.details


@pytest.mark.parametrize("name", [*SHOWN, "managed"])
def test_every_name_can_be_said(name: str) -> None:
    made = found(cluster([*control_planes(), *workers()]), override=name)

    assert (made.distribution, made.overridden) == (name, True)


@pytest.mark.parametrize(
    ("said", "meant"), [("k3d", "k3s"), ("OKD", "openshift"), (" EKS ", "eks"), ("anthos", "anthos-bare-metal")]
)
def test_other_names_are_known(said: str, meant: str) -> None:
    assert found(cluster([*control_planes()]), override=said).distribution == meant


def test_no_two_distributions_share_a_name() -> None:
    names = [name for one in distributions() for name in (one.name, *one.also)]

    assert len(names) == len(set(names))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        found(SHOWN["kubeadm"], override="kubeadmn")

    assert caught.value.message == "no distribution is called `kubeadmn`"
    assert caught.value.hint == "--distribution kubeadm"
    assert caught.value.anchor == "unknown-distribution-name"


def test_a_name_that_is_far_from_all_brings_no_guess_that_could_be_pasted() -> None:
    with pytest.raises(ConfigError) as caught:
        found(SHOWN["kubeadm"], override="nope")

    assert caught.value.hint == "ddhelm detect"


def test_an_override_against_the_evidence_is_noted() -> None:
    made = found(SHOWN["kops"], override="kubeadm")

    assert any("--distribution kubeadm" in note and "speaks against it" in note for note in made.notes)


def test_what_speaks_against_an_override_is_said_as_it_is() -> None:
    made = found(SHOWN["kops"], override="eks")

    assert made.doubted == "eks"
    (note,) = (note for note in made.notes if "speaks against it" in note)
    assert note == (
        "`--distribution eks` was given, and this speaks against it: no control-plane nodes (needed, but 3 of 5 nodes)"
    )
    assert found(SHOWN["kops"], override="kops").doubted == ""


def test_unread_nodes_are_not_no_nodes() -> None:
    with pytest.raises(ClusterError) as caught:
        found(cluster([], unread={"nodes": FORBIDDEN}))

    assert "its nodes could not be read" in caught.value.message
    assert "nodes: not read" in caught.value.details
    assert "kubeadm" not in caught.value.hint


def test_unreadable_nodes_are_bridged_by_the_last_run_and_said() -> None:
    before = found(SHOWN["kops"]).to_record()

    made = found(cluster([], unread={"nodes": FORBIDDEN}), remembered=before)

    assert made.distribution == "kops"
    assert made.control_plane_release
    assert any("taken from the last run" in note for note in made.notes)


def test_what_is_seen_now_beats_what_was_seen_before() -> None:
    made = found(SHOWN["rke2"], remembered=found(SHOWN["kops"]).to_record())

    assert made.distribution == "rke2"


def test_a_readable_cluster_that_shows_nothing_is_not_bridged() -> None:
    with pytest.raises(ClusterError):
        found(cluster(control_planes()), remembered=found(SHOWN["kops"]).to_record())


def test_a_version_that_cannot_be_read_is_not_a_version_that_does_not_match() -> None:
    read = found(cluster(workers(3, ["eks.amazonaws.com/nodegroup"]), None, unread={"version": "timeout"}))

    assert read.distribution == "eks"
    assert all(e.supports for e in read.evidence)


def _parsed(**files: dict[str, Any]) -> Sequence[Distribution]:
    return [distribution.parse(name.replace("_", "-"), {"title": name, **tree}) for name, tree in files.items()]


def test_a_child_wins_over_its_parent_and_over_whom_it_names() -> None:
    anything: dict[str, Any] = {"signals": {"decisive": [{"node.label": CONTROL_PLANE}]}}
    these = _parsed(a=anything, b=anything | {"extends": "a", "over": ["c"]}, c=anything)

    assert profile.of(cluster(control_planes()), these).distribution == "b"


def test_extending_what_is_not_there_is_an_error_of_the_file() -> None:
    with pytest.raises(ConfigError, match="extends `nowhere`, which does not exist"):
        profile.of(cluster(control_planes()), _parsed(a={"extends": "nowhere"}))


def test_extending_in_a_circle_is_an_error_of_the_file() -> None:
    with pytest.raises(ConfigError, match="extends it in turn"):
        profile.of(cluster(control_planes()), _parsed(a={"extends": "b"}, b={"extends": "a"}))


_keys = st.sampled_from(
    [
        CONTROL_PLANE,
        MASTER,
        ETCD,
        "eks.amazonaws.com/nodegroup",
        "kops.k8s.io/instancegroup",
        "microk8s.io/cluster",
        "ö*[]",
    ]
)
_nodes = st.builds(
    Node,
    name=st.text(max_size=4),
    labels=st.dictionaries(_keys, st.text(max_size=3), max_size=3),
    annotations=st.dictionaries(st.sampled_from([CRI_SOCKET, *CAPI]), st.just("x"), max_size=2),
    provider_id=st.sampled_from(["", "kind://x", "aws:///x", "\n"]),
    os_image=st.sampled_from(["", "Talos (v1)", "Docker Desktop"]),
)


@given(
    st.lists(_nodes, max_size=4),
    st.sampled_from([None, "", "v1.30.0+k3s1", "v1.30.0-gke.1", "garbage"]),
    st.booleans(),
)
def test_whatever_nodes_there_are_the_answer_is_a_profile_or_an_explained_stop(
    nodes: list[Node], version: str | None, has_config: bool
) -> None:
    facts = cluster(nodes, version, kubeadm={} if has_config else None)
    made, stop = _outcome(facts)
    if made is None:
        assert stop is not None
        assert stop.details
        assert "--distribution" in stop.hint
        return
    assert any(e.supports for e in made.evidence)
    if made.control_plane_release:
        assert any(made.role_of(each) == "control-plane" for each in nodes)
        seen = {i.component for i in made.instances} | {left.component for left in made.left_out}
        assert seen == set(distribution.COMPONENTS)
    else:
        assert made.why_managed
        assert not made.instances


def _outcome(facts: ClusterFacts) -> tuple[profile.Profile | None, ClusterError | None]:
    try:
        return found(facts), None
    except ClusterError as stop:
        return None, stop
