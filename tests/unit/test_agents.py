"""Other agents in the cluster: found by image, attributed to who owns them, ours left out."""

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
    ],
)
def test_images_of_the_node_agent(image: str) -> None:
    assert agents.is_agent_image(image)


@pytest.mark.parametrize(
    "image",
    ["gcr.io/datadoghq/cluster-agent:7", "registry.datadoghq.com/csi-driver:1", "grafana/agent:v0.4", "busybox"],
)
def test_images_of_others(image: str) -> None:
    assert not agents.is_agent_image(image)


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
