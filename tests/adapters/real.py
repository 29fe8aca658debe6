"""The real helm and kubectl on the sandbox, and a chart that renders whatever objects its values name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from ddhelm.access import Access, resolve
from ddhelm.helm import Helm, Offline, Render
from ddhelm.kubectl import MANAGER, Kubectl
from ddhelm.run import Command, Runner
from tests.sandbox import build
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox

NAMESPACE = "edge"
TOY = {
    "Chart.yaml": 'apiVersion: v2\nname: toy\nversion: 0.1.0\nappVersion: "1"\n',
    "values.yaml": "objects: []\n",
    "templates/all.yaml": "{{- range .Values.objects }}\n---\n{{ . | toYaml }}\n{{- end }}\n",
}
Object = dict[str, Any]


@dataclass
class Edge:
    """Adapters bound to the sandbox's administrator, with a home folder of their own."""

    sandbox: Sandbox
    home: Path
    kubectl_path: Path
    helm_paths: dict[str, Path]
    runner: Runner = field(default_factory=Runner)

    @cached_property
    def access(self) -> Access:
        return resolve(kubeconfig=str(self.sandbox.kubeconfig), namespace=NAMESPACE)

    @cached_property
    def kubectl(self) -> Kubectl:
        return self.kubectl_of(self.access)

    def kubectl_of(self, access: Access, request_timeout: int = 10) -> Kubectl:
        return Kubectl(self.runner, str(self.kubectl_path), access, request_timeout)

    def helm(self, version: str) -> Helm:
        return Helm(self.runner, str(self.helm_paths[version]), self.access, self.home / "cache")

    @cached_property
    def toy(self) -> Path:
        return write_chart(self.home / "toy")

    def patch(self, kind: str, name: str, patch: Object, *, subresource: str = "") -> None:
        """Change an object of our namespace as somebody who uses kubectl as ddhelm does."""
        part = ("--subresource", subresource) if subresource else ()
        how = ("--type=merge", "--field-manager", MANAGER, "-p", json.dumps(patch), *part)
        line = (str(self.kubectl_path), *self.access.kubectl_flags(), "-n", NAMESPACE, "patch", kind, name, *how)
        done = self.runner.run(Command(line))
        assert done.ok, done.err

    def managers(self, kind: str, name: str) -> list[str]:
        """Who owns fields of an object of our namespace."""
        found = self.kubectl.get_many([{**config_map(name), "kind": kind}])[0]
        assert found is not None
        return [entry["manager"] for entry in found["metadata"]["managedFields"]]


def rendered(helm: Helm, render: Render, values: dict[str, Any], *, offline: Offline | None = None) -> str:
    """The manifest that an upgrade of one release with these values would store."""
    return helm.templates([render], lambda: {render.release: values}, offline=offline)[render.release]


@pytest.fixture
def edge(cluster: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """A fresh cluster with an empty namespace; nothing of the user's home is read or written."""
    sandbox = cluster("kubeadm")
    # found before the home folder changes: that is where they are built
    kubectl, helms = build.tool("kubectl"), {version: build.helm(version) for version in build.HELM_VERSIONS}
    for name in ("KUBECONFIG", "HELM_KUBECONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    sandbox.api.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    return Edge(sandbox, tmp_path, kubectl, helms)


def with_helm(*always: str, also: Sequence[str] = build.HELM_VERSIONS) -> pytest.MarkDecorator:
    """Runs a test that takes `helm_version` with the versions named first, and with ``also`` in the full matrix."""
    rest = [version for version in also if version not in always]
    return pytest.mark.parametrize(
        "helm_version",
        [*always, *(pytest.param(version, marks=pytest.mark.matrix) for version in rest)],
        ids=[f"helm-{version}" for version in (*always, *rest)],
    )


def write_chart(folder: Path) -> Path:
    for name, text in TOY.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


def values(*objects: Object) -> Object:
    return {"objects": list(objects)}


def config_map(name: str, namespace: str = NAMESPACE, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def deployment(name: str, image: str = "a", **spec: Any) -> Object:
    pod = {"containers": [{"name": "c", "image": image}], **spec}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    body = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}


FOO = {**config_map("f"), "apiVersion": "x.io/v1", "kind": "Foo"}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "edge-test"},
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
}


def endless_hook(name: str = "hook") -> Object:
    """A hook whose Job never ends: helm waits at it as long as its timeout lasts."""
    annotations = {"helm.sh/hook": "pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation"}
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "a"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
        "spec": {"template": {"metadata": {"annotations": {"sandbox.ddhelm.dev/never-ready": "true"}}, "spec": pod}},
    }


def names(objects: Sequence[Object]) -> list[str]:
    return [each["metadata"]["name"] for each in objects]
