"""Puts a topology's nodes and pods into an empty cluster and waits until they live."""

from __future__ import annotations

import datetime
import shutil
import time
from pathlib import Path

from tests.sandbox import kwok
from tests.sandbox.api import Api, ApiError, Json, at_once
from tests.sandbox.pki import Pki
from tests.sandbox.topology import Topology
from tests.sandbox.waiting import wait_for

TIMEOUT = 120.0
_POLICIES = "/apis/admissionregistration.k8s.io/v1"
_POLICY = "sandbox.ddhelm.dev"


def prepare(api: Api) -> None:
    """Lets a node's annotations reach the pods that are bound to it.

    kwok decides by the pod alone. The scheduler's Binding carries annotations over to the pod, so one admission policy
    on bindings copies ours from the node. It looks at nodes with the label `sandbox.ddhelm.dev/simulate` only.
    """
    for kind, plural, spec in (
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies", _policy_spec()),
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", _binding_spec()),
    ):
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": _POLICY},
            "spec": spec,
        }
        api.apply(f"{_POLICIES}/{plural}/{_POLICY}", body)


def _policy_spec() -> Json:
    names = ", ".join(f'"{name}"' for name in kwok.POD_ANNOTATIONS)
    patch = (
        '[JSONPatch{op: "add", path: "/metadata/annotations", value: {}}]'
        ".filter(patch, !has(object.metadata.annotations))"
        f" + params.metadata.annotations.filter(name, name in [{names}])"
        '.map(name, JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey(name), '
        "value: params.metadata.annotations[name]})"
    )
    return {
        "paramKind": {"apiVersion": "v1", "kind": "Node"},
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"]}
            ]
        },
        "matchConditions": [{"name": "this-node", "expression": "object.target.name == params.metadata.name"}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }


def _binding_spec() -> Json:
    selector = {"matchExpressions": [{"key": kwok.SIMULATE, "operator": "Exists"}]}
    return {"policyName": _POLICY, "paramRef": {"selector": selector, "parameterNotFoundAction": "Allow"}}


def settle(api: Api, topology: Topology) -> None:
    """Makes everything of the topology; returns when all static pods are Running. Nodes are Ready from the first.

    Raises TimeoutError naming what is not.
    """
    for item in topology.objects:
        _apply(api, item)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = at_once(lambda node: _post(api, "/api/v1/nodes", _since(now, node)), topology.nodes)
    owners = {node["metadata"]["name"]: node["metadata"]["uid"] for node in made}
    at_once(lambda pod: _make_mirror(api, pod, owners), topology.static_pods)
    _await_pods(api, len(topology.static_pods))


def _post(api: Api, path: str, body: Json) -> Json:
    """Creates an object, however long the API server still calls a webhook that the reset has deleted."""
    end = time.monotonic() + 5
    while True:
        try:
            return api.post(path, body)
        except ApiError as error:
            if "webhook" not in error.message or time.monotonic() > end:
                raise
        time.sleep(0.05)


def _since(now: str, node: Json) -> Json:
    """The node with its conditions dated, and not Ready if an annotation says so: nobody waits for kwok's word."""
    reason = node["metadata"]["annotations"].get(kwok.NOT_READY)
    conditions = [
        {**condition, "lastHeartbeatTime": now, "lastTransitionTime": now} for condition in node["status"]["conditions"]
    ]
    if reason is not None:
        conditions[-1] |= {"status": "False", "reason": "KubeletNotReady", "message": reason}
    return {**node, "status": {**node["status"], "conditions": conditions}}


def _make_mirror(api: Api, pod: Json, owners: dict[str, str]) -> None:
    node = pod["spec"]["nodeName"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": owners[node], "controller": True}
    metadata = {**pod["metadata"], "ownerReferences": [owner]}
    _post(api, f"/api/v1/namespaces/{metadata['namespace']}/pods", {**pod, "metadata": metadata})


def _apply(api: Api, item: Json) -> None:
    """Applies an extra object; a CustomResourceDefinition is done when its kind is served, as the next may need it."""
    path = _path_of(item)
    wait_for(lambda: _served(api, path), 10, f"a server for {path}")
    api.apply(path, item)
    if item["kind"] == "CustomResourceDefinition":
        wait_for(lambda: _established(api.get(path)), 10, f"{path} to be established")


def _served(api: Api, path: str) -> bool:
    """Whether the collection of this object exists; 404 on the object itself says nothing."""
    return api.find(path.rpartition("/")[0]) is not None


def _established(definition: Json) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or []  # null until the first is set
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)


def _path_of(item: Json) -> str:
    """Where an object lives, by English plural rules, which are Kubernetes' own."""
    group = "/api/v1" if item["apiVersion"] == "v1" else f"/apis/{item['apiVersion']}"
    metadata, kind = item["metadata"], item["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}es" if kind.endswith("s") else f"{kind}s"
    inside = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{group}{inside}/{plural}/{metadata['name']}"


def _await_pods(api: Api, count: int) -> None:
    end = time.monotonic() + TIMEOUT
    while True:
        pods = api.get("/api/v1/pods?resourceVersion=0")["items"]
        waiting = [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") != "Running"]
        mirrors = [pod for pod in pods if "kubernetes.io/config.mirror" in pod["metadata"].get("annotations", {})]
        if len(mirrors) == count and not waiting:
            return
        if time.monotonic() > end:
            raise TimeoutError(f"{len(mirrors)} of {count} static pods; not Running: {waiting[:10]}")
        time.sleep(0.05)


def write_host_files(topology: Topology, pki: Pki, host: Path) -> None:
    """Puts the files that the topology promises under `host`, which stands for a node's root folder."""
    for path, source in topology.host_files.items():
        target = host / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pki.root / source, target)


def write_pod_log(path: Path) -> None:
    """The log that every container shows, in the container runtime's format."""
    lines = ("sandbox: this container is simulated", "sandbox: it does nothing")
    path.write_text("".join(f"2026-01-01T00:00:0{n}.000000000Z stdout F {line}\n" for n, line in enumerate(lines)))
