"""The two releases as ddhelm makes them, small and whole: a proof context in which every claim holds."""

import copy
from typing import Any

from msgspec.structs import replace

from ddhelm.claim import ChartView
from ddhelm.coverage import agent_placements, compute
from ddhelm.manifest import Manifest, from_objects
from ddhelm.nodes import Node
from ddhelm.proof import LiveObject, LiveState, ProofContext, ReleaseView
from ddhelm.tree import Path, Tree, put
from tests.unit.clusters import (
    CONTROL,
    CONTROL_PLANE,
    HOSTNAME,
    MASKER,
    OS,
    WORKER,
    affinity,
    control_plane,
    expression,
    node,
)

NAMESPACE = "datadog"
NODES = (control_plane("c1"), node("w1"), node("w2"))
FULL = {WORKER: f"{WORKER}-datadog", CONTROL: f"{CONTROL}-datadog"}
CLUSTER_AGENT = f"{FULL[WORKER]}-cluster-agent"
CA = "/host/etc/kubernetes/pki/etcd/ca.crt"
ETCD = f"""\
init_config:
instances:
- prometheus_url: https://localhost:2379/metrics
  tls_ca_cert: {CA}
  bearer_token_path: /var/run/secrets/kubernetes.io/serviceaccount/token
"""


def _object(version: str, kind: str, name: str, **more: Any) -> Tree:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def _workload(kind: str, name: str, pod: Tree) -> Tree:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return _object("apps/v1", kind, name, spec={"selector": {"matchLabels": labels}, "template": template})


def _environment() -> list[Tree]:
    token = {"valueFrom": {"secretKeyRef": {"name": "ddhelm", "key": "token"}}}
    return [
        {"name": "DD_API_KEY", "valueFrom": {"secretKeyRef": {"name": "ddhelm", "key": "api-key"}}},
        {"name": "DD_CLUSTER_AGENT_AUTH_TOKEN", **token},
        {"name": "DD_CLUSTER_AGENT_KUBERNETES_SERVICE_NAME", "value": CLUSTER_AGENT},
    ]


def _agent(release: str, affinity_: Tree, **pod: Any) -> Tree:
    container = {
        "name": "agent",
        "env": _environment(),
        "volumeMounts": [{"name": "run", "mountPath": "/var/run/datadog"}],
    }
    run = {"name": "run", "hostPath": {"path": "/var/run/datadog", "type": "DirectoryOrCreate"}}
    spec = {"containers": [container], "volumes": [run], "nodeSelector": {OS: "linux"}, "affinity": affinity_, **pod}
    return _workload("DaemonSet", FULL[release], spec)


def worker_objects() -> dict[str, Tree]:
    """The worker release's objects, by a short name."""
    apart = {"labelSelector": {"matchLabels": {"app": FULL[CONTROL]}}, "topologyKey": HOSTNAME}
    chosen = {
        **affinity([expression(CONTROL_PLANE, "DoesNotExist")]),
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]},
    }
    webhook = [
        {"name": "DD_ADMISSION_CONTROLLER_ENABLED", "value": "true"},
        {"name": "DD_ADMISSION_CONTROLLER_SERVICE_NAME", "value": f"{CLUSTER_AGENT}-admission"},
    ]
    pod = {
        "containers": [{"name": "cluster-agent", "env": [*_environment(), *webhook]}],
        "nodeSelector": {OS: "linux"},
    }
    service = {"selector": {"app": CLUSTER_AGENT}, "ports": [{"port": 5005}]}
    return {
        "agent": _agent(WORKER, chosen),
        "cluster-agent": _workload("Deployment", CLUSTER_AGENT, pod),
        "service": _object("v1", "Service", CLUSTER_AGENT, spec=service),
        "role": _object("rbac.authorization.k8s.io/v1", "ClusterRole", FULL[WORKER], rules=[]),
    }


def control_plane_objects() -> dict[str, Tree]:
    """The control-plane release's objects, by a short name: its agent reads etcd with a CA from the host."""
    agent = _agent(
        CONTROL,
        affinity([expression(CONTROL_PLANE, "Exists")]),
        hostNetwork=True,
        tolerations=[{"operator": "Exists"}],
    )
    pod = agent["spec"]["template"]["spec"]
    url = f"https://{CLUSTER_AGENT}.{NAMESPACE}.svc:5005"
    pod["containers"][0]["env"] += [
        {"name": "DD_CLUSTER_AGENT_URL", "value": url},
        {"name": "DD_IGNORE_AUTOCONF", "value": "etcd kubernetes_state"},
    ]
    pod["volumes"] += [
        {"name": "confd", "configMap": {"name": f"{FULL[CONTROL]}-confd"}},
        {"name": "ca", "hostPath": {"path": CA.removeprefix("/host"), "type": "File"}},
    ]
    pod["containers"][0]["volumeMounts"].append({"name": "ca", "mountPath": CA, "readOnly": True})
    return {
        "agent": agent,
        "confd": _object("v1", "ConfigMap", f"{FULL[CONTROL]}-confd", data={"etcd.yaml": ETCD}),
    }


def manifest(objects: dict[str, Tree]) -> Manifest:
    """A manifest of these objects."""
    return from_objects(copy.deepcopy(list(objects.values())), NAMESPACE, MASKER)


def change(objects: dict[str, Tree], which: str, path: Path, value: Any) -> dict[str, Tree]:
    """The objects with one field of one of them changed."""
    return {**objects, which: put(objects[which], path, value)}


def live(manifests: dict[str, Manifest]) -> dict[Any, LiveObject]:
    """What stands in the cluster when these releases were installed by helm."""
    found = {}
    for release, objects in manifests.items():
        for identity, obj in objects.objects.items():
            found[identity] = LiveObject(
                ref=obj.ref,
                labels={"app.kubernetes.io/managed-by": "Helm"},
                annotations={"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": NAMESPACE},
                selector=(obj.body.get("spec") or {}).get("selector"),
            )
    return found


def context(
    worker: dict[str, Tree] | None = None,
    control: dict[str, Tree] | None = None,
    *,
    nodes: tuple[Node, ...] = NODES,
    installed: bool = False,
    state: dict[str, Any] | None = None,
    accept: tuple[str, ...] = (),
    **more: Any,
) -> ProofContext:
    """The context of an install (or with ``installed`` of an upgrade) in which every claim holds, but for changes."""
    wanted = {
        WORKER: manifest(worker if worker is not None else worker_objects()),
        CONTROL: manifest(control if control is not None else control_plane_objects()),
    }
    before = {WORKER: manifest(worker_objects()), CONTROL: manifest(control_plane_objects())}
    roles = {WORKER: "worker", CONTROL: "control-plane"}
    releases = tuple(
        ReleaseView(roles[name], name, found, before[name] if installed else None, 400_000)
        for name, found in wanted.items()
    )
    placements = [p for r in releases for p in agent_placements(r.manifest, r.name, r.role)]
    known = LiveState(
        objects=live(before) if installed else {},
        secrets={"ddhelm": frozenset({"api-key", "token"})},
        namespace_labels={"pod-security.kubernetes.io/enforce": "privileged"},
        agents=(),
        cluster_agents=(),
        daemonsets=(),
        api_versions=frozenset({"v1", "apps/v1", "rbac.authorization.k8s.io/v1", "apiextensions.k8s.io/v1"}),
        webhooks=(),
        crd_objects={},
    )
    return ProofContext(
        namespace=NAMESPACE,
        releases=releases,
        coverage=compute(nodes, placements, accept=accept),
        nodes=nodes,
        live=replace(known, **(state or {})),
        **{"chart": ChartView("datadog", "3.240.0"), **more},
    )
