"""The Cluster Agent: its own status, and what a node agent sees of it.

It is there when a pod of the Service is Ready, and it greets who brings the token that its own container got.
"""

from __future__ import annotations

from typing import Any

from tests.agent import shape, started
from tests.agent.shape import Json
from tests.sandbox.sandbox import Sandbox

OWN = ("kubernetes_apiserver", "kubernetes_state_core", "orchestrator")


def environment(sandbox: Sandbox, pod: Json, container: str) -> dict[str, str]:
    """The variables of a container, those out of Secrets as it got them at its start; what was missing is left out."""
    found = literals(pod, container)
    for variable in _container(pod, container).get("env", []):
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
        value = (started.secret(sandbox, pod, reference["name"]) or {}).get(reference["key"]) if reference else None
        if value is not None:
            found[variable["name"]] = value.decode()
    return found


def literals(pod: Json, container: str) -> dict[str, str]:
    """The variables of a container whose values stand in its pod."""
    return {each["name"]: each["value"] for each in _container(pod, container).get("env", []) if "value" in each}


def _container(pod: Json, name: str) -> Json:
    (spec,) = (each for each in pod["spec"]["containers"] if each["name"] == name)
    return dict(spec)


def seen_from(sandbox: Sandbox, pod: Json) -> Json:
    """`clusterAgentStatus` of a node agent: a version, or why there is none."""
    own = environment(sandbox, pod, "agent")
    name, space = own.get("DD_CLUSTER_AGENT_KUBERNETES_SERVICE_NAME", "datadog-cluster-agent"), _space(pod)
    service = sandbox.loader.find(f"/api/v1/namespaces/{space}/services/{name}")
    if service is None:
        missing = f"get cluster agent endpoint: services {name!r} not found"
        return {"DetectionError": f"temporary failure in clusterAgentClient, will retry later: {missing}"}
    endpoint = f"https://{service['spec']['clusterIP']}:5005"
    ready = _behind(sandbox, service)
    if not ready:
        refused = f'Get "{endpoint}/version": dial tcp {endpoint[8:]}: connect: connection refused'
        return {"Endpoint": endpoint, "ConnectionError": refused}
    theirs = environment(sandbox, ready[0], "cluster-agent").get("DD_CLUSTER_AGENT_AUTH_TOKEN")
    if own.get("DD_CLUSTER_AGENT_AUTH_TOKEN") != theirs:
        denied = f'unexpected response from "{endpoint}/version": 403 Forbidden'
        return {"Endpoint": endpoint, "ConnectionError": denied}
    return {"Endpoint": endpoint, "Version": shape.VERSION}


def status(sandbox: Sandbox, pod: Json) -> Json:
    """What `datadog-cluster-agent status --json` prints in this pod. The first Ready pod leads."""
    app = pod["metadata"]["labels"]["app"]
    leader = min(_pods(sandbox, _space(pod), f"app={app}"), key=lambda each: str(each["metadata"]["name"]))
    leads = leader["metadata"]["name"] == pod["metadata"]["name"]
    own = literals(pod, "cluster-agent")
    instances = [shape.instance(each, n, source="built-in", metrics=9) for n, each in enumerate(OWN)] if leads else []
    found = shape.document("cluster_agent", pod["metadata"]["name"], instances, loading={}, config_errors={})
    found["leaderelection"] = (
        {"status": "Running", "leaderName": leader["metadata"]["name"], "transitions": "0 transitions"}
        if own.get("DD_LEADER_ELECTION") == "true"
        else {"status": "Disabled"}
    )
    if own.get("DD_CLUSTER_CHECKS_ENABLED") == "true":
        found["clusterchecks"] = _dispatching(sandbox, pod) if leads else {"Follower": True, "LeaderIP": "10.0.0.1"}
    return found


def _dispatching(sandbox: Sandbox, pod: Json) -> Json:
    """How many agents ask for cluster checks; none are configured, so none are left over."""
    takers = 0
    for each in _pods(sandbox, _space(pod), "app.kubernetes.io/component=agent"):
        names = {container["name"] for container in each["spec"]["containers"]}
        if "agent" in names:
            providers = literals(each, "agent").get("DD_EXTRA_CONFIG_PROVIDERS", "")
            takers += "clusterchecks" in providers.split()
    return {
        "Leader": True, "Follower": False, "Active": True, "NodeCount": takers, "ActiveConfigs": 0,
        "DanglingConfigs": 0, "UnscheduledChecks": 0, "TotalConfigs": 0,
    }  # fmt: skip


def _behind(sandbox: Sandbox, service: Json) -> list[Json]:
    selector = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
    return _pods(sandbox, service["metadata"]["namespace"], selector)


def _pods(sandbox: Sandbox, namespace: str, selector: str) -> list[Json]:
    """The Ready pods, by name."""
    chosen = selector.replace("=", "%3D").replace(",", "%2C")
    found: list[Json] = sandbox.loader.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={chosen}")["items"]
    return [each for each in found if _ready(each)]


def _ready(pod: Json) -> bool:
    conditions: list[dict[str, Any]] = pod["status"].get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _space(pod: Json) -> str:
    return str(pod["metadata"]["namespace"])
