"""What we say of pod security and of scopes is what the real API server says."""

import random
from typing import Any

from ddhelm.manifest import CLUSTER_SCOPED
from ddhelm.podsecurity import LABEL, violations
from ddhelm.tree import Tree
from tests.sandbox.api import ApiError
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

GOOD: Tree = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"]},
}
POD_FIELDS: list[Tree] = [
    {"hostNetwork": True},
    {"hostPID": True},
    {"hostIPC": True},
    {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]},
    {"volumes": [{"name": "v", "nfs": {"server": "a", "path": "/"}}]},
    {"volumes": [{"name": "v", "emptyDir": {}}]},
    {"volumes": [{"name": "v", "projected": {"sources": []}}]},
    {"securityContext": {"runAsUser": 0}},
    {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}},
    {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}},
    {"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}},
    {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
    {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
]
CONTEXTS: list[Tree] = [
    {"privileged": True, "allowPrivilegeEscalation": True},
    {"allowPrivilegeEscalation": None},
    {"allowPrivilegeEscalation": True},
    {"runAsNonRoot": None},
    {"runAsNonRoot": False},
    {"runAsUser": 0},
    {"runAsUser": 7},
    {"seccompProfile": None},
    {"seccompProfile": {"type": "Unconfined"}},
    {"capabilities": None},
    {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
    {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}},
    {"capabilities": {"add": ["SYS_ADMIN"]}},
    {"seLinuxOptions": {"user": "x"}},
    {"appArmorProfile": {"type": "RuntimeDefault"}},
    {"appArmorProfile": {"type": "Unconfined"}},
    {"procMount": "Default"},
]
CONTAINER_FIELDS: list[Tree] = [
    {"ports": [{"containerPort": 80}]},
    {"ports": [{"containerPort": 80, "hostPort": 80}]},
    {"livenessProbe": {"httpGet": {"port": 80, "host": "elsewhere"}}},
    {"livenessProbe": {"httpGet": {"port": 80}}},
    {"lifecycle": {"preStop": {"exec": {"command": ["true"]}}}},
]


def test_pods_are_refused_where_we_say_so(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    dice = random.Random(7)
    for level in ("baseline", "restricted"):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": level, "labels": {LABEL: level}}}
        sandbox.loader.post("/api/v1/namespaces", body)
        account = f"/api/v1/namespaces/{level}/serviceaccounts/default"
        wait_for(lambda path=account: sandbox.loader.find(path), 30, "its account")  # type: ignore[misc]
    refused = {"baseline": 0, "restricted": 0}
    for _ in range(250):
        pod = random_pod(dice)
        for level in refused:
            why = answer(sandbox, level, pod)
            ours = violations(pod, level)
            assert (pod, level, bool(ours), ours, why) == (pod, level, bool(why), ours, why)
            refused[level] += bool(why)
    assert 50 < refused["baseline"] < refused["restricted"] < 250


def answer(sandbox: Sandbox, namespace: str, pod: Tree) -> str:
    """Why the API server refuses the pod, or nothing."""
    body = {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": {**pod["metadata"], "name": "x"}}
    try:
        sandbox.loader.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body)
    except ApiError as error:
        if "violates PodSecurity" in error.message:
            return error.message
        raise
    return ""


def random_pod(dice: random.Random) -> Tree:
    def container(name: str) -> Tree:
        context = dict(GOOD)
        if dice.random() < 0.5:
            context |= dice.choice(CONTEXTS)
        found: dict[str, Any] = {"name": name, "image": "x"}
        found["securityContext"] = {key: value for key, value in context.items() if value is not None}
        if dice.random() < 0.2:
            found |= dice.choice(CONTAINER_FIELDS)
        return found

    spec: Tree = {"containers": [container("a")]}
    if dice.random() < 0.3:
        spec["initContainers"] = [container("i")]
        spec["initContainers"][0].pop("lifecycle", None)
        spec["initContainers"][0].pop("livenessProbe", None)
    if dice.random() < 0.4:
        spec |= dice.choice(POD_FIELDS)
    annotations = {}
    if dice.random() < 0.1:
        annotations["container.apparmor.security.beta.kubernetes.io/a"] = dice.choice(["unconfined", "runtime/default"])
    return {"metadata": {"annotations": annotations}, "spec": spec}


def test_the_table_of_scopes_is_the_servers(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    groups = sandbox.loader.get("/apis")["groups"]
    versions = ["v1", *(version["groupVersion"] for group in groups for version in group["versions"])]
    wrong = []
    for version in versions:
        path = "/api/v1" if version == "v1" else f"/apis/{version}"
        for item in sandbox.loader.get(path)["resources"]:
            group = version.rpartition("/")[0]
            if "/" not in item["name"] and item["namespaced"] == ((group, item["kind"]) in CLUSTER_SCOPED):
                wrong.append((version, item["kind"], item["namespaced"]))
    assert wrong == []
