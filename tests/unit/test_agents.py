"""Other agents in the cluster: found by image, attributed to who owns them, ours left out."""

import json
from typing import Any

import pytest

from ddhelm.actions import agents

OURS = ("worker-node-ddagent", "control-plane-ddagent")


def daemonset(image: str, namespace: str = "monitoring", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "dd", "namespace": namespace, **metadata},
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"desiredNumberScheduled": 4},
    }


@pytest.mark.parametrize(
    "image",
    [
        "gcr.io/datadoghq/agent:7.60.0",
        "registry.datadoghq.com/agent:7",
        "public.ecr.aws/datadog/agent:7-jmx",
        "datadog/docker-dd-agent:latest",
        "datadoghq.azurecr.io/agent@sha256:abc",
        "mirror.example.org:5000/datadog/agent:7",
        "registry.datadoghq.com/agent-fips:7",
        "cgr.dev/chainguard/datadog-agent:7",
        "registry.corp:5000/mirror/datadog-agent-fips:7@sha256:abc",
    ],
)
def test_images_of_the_node_agent(image: str) -> None:
    assert agents.is_agent_image(image)
    assert not agents.is_cluster_agent_image(image)


@pytest.mark.parametrize(
    "image",
    [
        "gcr.io/datadoghq/cluster-agent:7",
        "registry.corp/datadog-cluster-agent:7",
        "registry.corp/datadog/cluster-agent",
    ],
)
def test_images_of_the_cluster_agent(image: str) -> None:
    assert agents.is_cluster_agent_image(image)
    assert not agents.is_agent_image(image)


@pytest.mark.parametrize(
    "image",
    [
        "registry.datadoghq.com/csi-driver:1",
        "grafana/agent:v0.4",
        "registry.corp:5000/dd/agent:7",
        "registry.corp/datadog-operator:1",
        "busybox",
    ],
)
def test_images_of_others(image: str) -> None:
    assert not agents.is_agent_image(image)
    assert not agents.is_cluster_agent_image(image)


MIRRORED = "registry.corp:5000/dd/agent:7.60.0"


def charts(chart: str, container: str = "agent", image: str = MIRRORED, **metadata: Any) -> dict[str, Any]:
    """A workload that a chart made, from a mirror whose names say nothing of Datadog."""
    made = daemonset(image, labels={"helm.sh/chart": chart}, **metadata)
    made["spec"]["template"]["spec"]["containers"][0]["name"] = container
    return made


def test_what_the_chart_made_is_an_agent_wherever_its_image_comes_from() -> None:
    document = {"items": [charts("datadog-3.100.0")]}
    (found,) = agents.foreign_agents(document, None, "datadog", OURS)
    assert (found.what, found.nodes) == ("DaemonSet", 4)
    (other,) = agents.other_daemonsets(document, "datadog", OURS) or ()
    assert other.agent
    named = {"meta.helm.sh/release-name": OURS[0], "meta.helm.sh/release-namespace": "monitoring"}
    document = {"items": [charts("datadog-3.100.0", annotations=named)]}
    assert agents.pair_elsewhere(document, "datadog") == "monitoring"


@pytest.mark.parametrize(
    ("chart", "container"),
    [
        ("grafana-agent-0.44.2", "agent"),
        ("datadog-operator-2.0.0", "agent"),
        ("datadog-csi-driver-0.4.0", "agent"),
        ("datadog-3.100.0", "csi-node-driver"),
    ],
)
def test_agents_of_other_charts_and_other_parts_of_ours_are_none(chart: str, container: str) -> None:
    document = {"items": [charts(chart, container)]}
    assert agents.foreign_agents(document, None, "datadog", OURS) == ()
    assert agents.other_daemonsets(document, "datadog", OURS) == ()
    assert agents.datadog_workloads("Deployment", listed(*document["items"])) == ()


def test_the_charts_workloads_from_a_mirror_are_found_and_ours_are_not() -> None:
    named = {"meta.helm.sh/release-name": OURS[0], "meta.helm.sh/release-namespace": "datadog"}
    theirs, ours = charts("datadog-3.100.0", "cluster-agent"), charts("datadog-3.100.0", "cluster-agent")
    ours["metadata"] |= {"namespace": "datadog", "annotations": named}
    read = agents.datadog_workloads("Deployment", listed(theirs, ours, charts("datadog-3.100.0")))
    assert read is not None
    assert len(read) == 3
    (found,) = agents.foreign_cluster_agents(read, "datadog", OURS) or ()
    assert found.namespace == "monitoring"
    assert len(agents.foreign_agents(None, None, "datadog", OURS, read)) == 1


def test_our_own_daemonsets_are_left_out_but_only_in_our_namespace() -> None:
    annotations = {"meta.helm.sh/release-name": OURS[0], "meta.helm.sh/release-namespace": "datadog"}
    ours = daemonset("gcr.io/datadoghq/agent:7", "datadog", annotations=annotations)
    elsewhere = daemonset(
        "gcr.io/datadoghq/agent:7", "other", annotations={**annotations, "meta.helm.sh/release-namespace": "other"}
    )
    (found,) = agents.foreign_agents({"items": [ours, elsewhere]}, None, "datadog", OURS)
    assert (found.namespace, found.owner, found.nodes) == (
        "other",
        "Helm release `worker-node-ddagent` in namespace `other`",
        4,
    )


def test_the_pair_in_another_namespace_is_found_by_its_releases() -> None:
    def released(name: str, place: str, image: str = "gcr.io/datadoghq/agent:7") -> dict[str, Any]:
        named = {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": place}
        return daemonset(image, place, annotations=named)

    others = [released("dd", "other"), released(OURS[0], "other", "busybox"), released(OURS[0], "datadog")]
    assert agents.pair_elsewhere({"items": others}, "datadog") is None
    assert agents.pair_elsewhere({"items": [*others, released(OURS[1], "monitoring")]}, "datadog") == "monitoring"
    assert agents.pair_elsewhere(None, "datadog") is None


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"ownerReferences": [{"kind": "DatadogAgent", "name": "d"}]}, "DatadogAgent `d`"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "mon:apps/DaemonSet:x/y"}}, "Argo CD application `mon`"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "dd"}}, "Flux HelmRelease `dd`"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "infra"}}, "Flux Kustomization `infra`"),
        ({}, "nobody known"),
    ],
)
def test_owners_are_named(metadata: dict[str, Any], owner: str) -> None:
    assert agents.owner(metadata) == owner


def test_datadogagent_objects_count() -> None:
    document = {"items": [{"metadata": {"name": "datadog", "namespace": "x"}}]}
    (found,) = agents.foreign_agents(None, document, "datadog", OURS)
    assert found.what == "DatadogAgent"


def workload(*images: str, namespace: str = "monitoring", release: str = "") -> dict[str, Any]:
    annotations = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    return {
        "metadata": {"name": "dd", "namespace": namespace, **({"annotations": annotations} if release else {})},
        "spec": {"template": {"spec": {"containers": [{"image": image} for image in images]}}, "replicas": 1},
    }


def listed(*items: dict[str, Any]) -> bytes:
    return json.dumps({"kind": "DeploymentList", "items": list(items)}).encode()


AGENT, CLUSTER_AGENT = "gcr.io/datadoghq/agent:7", "registry.datadoghq.com/cluster-agent-fips:7@sha256:abc"


def test_agents_outside_a_daemonset_are_found_and_a_sidecar_is_none() -> None:
    ours = workload(AGENT, namespace="datadog", release=OURS[0])
    items = [workload(AGENT), workload("busybox", AGENT), workload(CLUSTER_AGENT), workload("nginx"), ours]
    read = agents.datadog_workloads("Deployment", listed(*items))
    assert read is not None
    assert [one.images for one in read] == [(AGENT,), (CLUSTER_AGENT,), (AGENT,)]
    found = agents.foreign_agents({"items": []}, None, "datadog", OURS, read)
    assert [(one.what, one.namespace, one.owner) for one in found] == [("Deployment", "monitoring", "nobody known")]


def test_a_cluster_agent_of_somebody_elses_is_found_and_ours_is_none() -> None:
    ours = workload(CLUSTER_AGENT, namespace="datadog", release=OURS[0])
    theirs = workload(CLUSTER_AGENT, release="old")
    read = agents.datadog_workloads("StatefulSet", listed(ours, theirs, workload(AGENT)))
    (found,) = agents.foreign_cluster_agents(read, "datadog", OURS) or ()
    assert (found.what, found.removal) == ("StatefulSet", "helm uninstall old -n monitoring, or --allow-second-agent")


@pytest.mark.parametrize("body", [None, b"{}", b"<html>", b'{"items": null}', b'{"items": 3}'])
def test_workloads_that_cannot_be_read_are_none_at_all(body: bytes | None) -> None:
    assert agents.datadog_workloads("Deployment", body) is None
    assert agents.foreign_cluster_agents(None, "datadog", OURS) is None


def test_an_odd_workload_is_no_trouble() -> None:
    items: list[dict[str, Any]] = [
        {},
        {"metadata": {}, "spec": {}},
        {"spec": {"template": {"spec": {"containers": None}}}},
    ]
    assert agents.datadog_workloads("Deployment", listed(*items)) == ()
