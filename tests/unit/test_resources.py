"""Where the API keeps an object follows from what it says of its kinds."""

from typing import Any

import pytest

from ddhelm.resources import Resource, group_path, object_path, read

APPS = {
    "kind": "APIResourceList",
    "resources": [
        {"name": "daemonsets", "kind": "DaemonSet", "namespaced": True, "verbs": ["get", "list"]},
        {"name": "daemonsets/status", "kind": "DaemonSet", "namespaced": True},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": True},
    ],
}


def test_subresources_are_no_kinds() -> None:
    assert read(APPS) == (Resource("DaemonSet", "daemonsets", namespaced=True, listable=True),)
    assert read({"resources": None}) == ()


@pytest.mark.parametrize(
    ("body", "resource", "path"),
    [
        (
            {"apiVersion": "apps/v1", "metadata": {"name": "a"}},
            Resource("DaemonSet", "daemonsets", namespaced=True, listable=True),
            "/apis/apps/v1/namespaces/datadog/daemonsets/a",
        ),
        (
            {"apiVersion": "v1", "metadata": {"name": "a", "namespace": "kube-system"}},
            Resource("ConfigMap", "configmaps", namespaced=True, listable=True),
            "/api/v1/namespaces/kube-system/configmaps/a",
        ),
        (
            {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "system:a/b", "namespace": "x"}},
            Resource("ClusterRole", "clusterroles", namespaced=False, listable=True),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa%2Fb",
        ),
    ],
)
def test_an_object_has_one_path(body: dict[str, Any], resource: Resource, path: str) -> None:
    assert object_path(body, resource, "datadog") == path


def test_the_core_has_no_group() -> None:
    assert (group_path("v1"), group_path("apps/v1")) == ("/api/v1", "/apis/apps/v1")
