"""JSON trees as a kube-apiserver 1.36 sends them, cut to what a roll-out is read from."""

from typing import Any

Tree = dict[str, Any]

NAMESPACE = "datadog"
WORKER = "worker-node-ddagent-datadog"
CONTROL_PLANE = "control-plane-ddagent-datadog"
CLUSTER_AGENT = "worker-node-ddagent-datadog-cluster-agent"


def daemonset(
    name: str = WORKER,
    *,
    desired: int = 5,
    updated: int | None = None,
    available: int | None = None,
    scheduled: int | None = None,
    generation: int = 1,
    observed: int | None = None,
    misscheduled: int = 0,
    strategy: Tree | None = None,
) -> Tree:
    reached = desired if available is None else available
    return {
        "kind": "DaemonSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": generation},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "updateStrategy": strategy or {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        },
        "status": {
            "currentNumberScheduled": desired if scheduled is None else scheduled,
            "numberMisscheduled": misscheduled,
            "desiredNumberScheduled": desired,
            "numberReady": reached,
            "observedGeneration": generation if observed is None else observed,
            "updatedNumberScheduled": desired if updated is None else updated,
            "numberAvailable": reached,
            "numberUnavailable": desired - reached,
        },
    }


def deployment(
    name: str = CLUSTER_AGENT,
    *,
    replicas: int = 1,
    updated: int | None = None,
    available: int | None = None,
    total: int | None = None,
    conditions: list[Tree] | None = None,
    generation: int = 1,
    observed: int | None = None,
    paused: bool = False,
) -> Tree:
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": generation},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "paused": paused},
        "status": {
            "observedGeneration": generation if observed is None else observed,
            "replicas": replicas if total is None else total,
            "updatedReplicas": replicas if updated is None else updated,
            "readyReplicas": replicas if available is None else available,
            "availableReplicas": replicas if available is None else available,
            "conditions": conditions or [],
        },
    }


def condition(type_: str, status: str, reason: str = "", message: str = "") -> Tree:
    return {"type": type_, "status": status, "reason": reason, "message": message}


def pod(
    name: str,
    node: str = "w-1",
    *,
    app: str = WORKER,
    phase: str = "Pending",
    ready: bool = False,
    containers: list[Tree] | None = None,
    init: list[Tree] | None = None,
    unschedulable: str = "",
    deleting: bool = False,
    failed: tuple[str, str] | None = None,
    made: str = "",
    started: bool = True,
) -> Tree:
    conditions = [condition("Ready", "True" if ready else "False")]
    spec: Tree = {"nodeName": node}
    if unschedulable:
        conditions.append(condition("PodScheduled", "False", "Unschedulable", unschedulable))
        fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
        required = {"nodeSelectorTerms": [{"matchFields": fields}]}
        spec = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}
    metadata: Tree = {"name": name, "namespace": NAMESPACE, "labels": {"app": app}}
    if deleting:
        metadata["deletionTimestamp"] = "2026-11-24T03:00:00Z"
    if made:
        metadata["creationTimestamp"] = made
    status: Tree = {
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": containers or [],
        "initContainerStatuses": init or [],
    }
    if started and not unschedulable:
        status["startTime"] = made or "2026-11-24T03:00:00Z"
    if failed:
        status |= {"phase": "Failed", "reason": failed[0], "message": failed[1]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": status}


def waiting(
    reason: str, message: str = "", *, name: str = "agent", restarts: int = 0, last: Tree | None = None
) -> Tree:
    return {
        "name": name,
        "image": f"gcr.io/datadoghq/{name}:7.81.2",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": {"terminated": last} if last else {},
    }


def running(*, name: str = "agent", ready: bool = False, restarts: int = 0, last: Tree | None = None) -> Tree:
    return {
        "name": name,
        "image": f"gcr.io/datadoghq/{name}:7.81.2",
        "ready": ready,
        "restartCount": restarts,
        "state": {"running": {"startedAt": "2026-11-24T03:00:00Z"}},
        "lastState": {"terminated": last} if last else {},
    }


def event(reason: str, message: str, *, kind: str = "Pod", name: str = "p", uid: str = "", count: int = 1) -> Tree:
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": f"{name}.18d0", "namespace": NAMESPACE, "uid": uid or f"{name}-{reason}"},
        "involvedObject": {"kind": kind, "name": name, "namespace": NAMESPACE},
        "reason": reason,
        "message": message,
        "count": count,
        "type": "Warning",
    }
