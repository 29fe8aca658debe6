"""Reads a topology file and turns it into the objects of a cluster. The format is described in README.md.

Pure: files in, objects out. What is done with them is `sandbox.py`'s business.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
FOLDER = Path(__file__).resolve().parent / "topologies"

_TOP_LEVEL = {"description", "extends", "nodes", "staticPods", "hostFiles", "objects"}
_GROUP = {
    "name", "count", "labels", "annotations", "taints", "providerID", "unschedulable", "capacity", "staticPods",
    "osImage", "kernelVersion", "containerRuntimeVersion", "kubeletVersion", "architecture", "operatingSystem",
}  # fmt: skip
_STATIC_POD = {"image", "command", "args", "env", "labels", "annotations", "namespace", "hostPaths"}
_NODE_INFO = {
    "osImage": "Ubuntu 24.04.3 LTS",
    "kernelVersion": "6.8.0-45-generic",
    "containerRuntimeVersion": "containerd://2.1.4",
    "kubeletVersion": "v1.36.3",
    "architecture": "amd64",
    "operatingSystem": "linux",
}
_CAPACITY = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ("Ready", "True", "KubeletReady"),
)
_TAINT = re.compile(r"^(?P<key>[^=:]+)(=(?P<value>[^:]*))?:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute)$")


class TopologyError(ValueError):
    """The file is not a topology; the text names file, place and what is wrong."""


@dataclass(frozen=True, slots=True)
class Topology:
    """A cluster's nodes and what stands on them, ready to be sent to an API server."""

    name: str
    nodes: tuple[Json, ...]
    static_pods: tuple[Json, ...]
    objects: tuple[Json, ...]
    host_files: Mapping[str, str]
    """Absolute path on a node -> file below the sandbox's pki folder."""


def names() -> list[str]:
    """The topologies that can be asked for by name."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str | Path, placeholders: Mapping[str, str]) -> Topology:
    """The topology of that name, or in that file, with `{apiserver_port}` and its like filled in.

    Raises TopologyError for an unknown name, an unknown key or an unknown placeholder.
    """
    path = name if isinstance(name, Path) else FOLDER / f"{name}.yaml"
    data = _read(path)
    pods = data.get("staticPods", {})
    for key, pod in pods.items():
        _checked(path, f"staticPods.{key}", pod, _STATIC_POD)
    nodes: list[Json] = []
    static: list[Json] = []
    size = sum(group.get("count", 1) for group in data.get("nodes", []))
    for group in data.get("nodes", []):
        _checked(path, f"nodes of {group.get('name')}", group, _GROUP)
        wanted = group.get("staticPods", [])
        if missing := [key for key in wanted if key not in pods]:
            raise TopologyError(
                f"`{path.name}`: nodes `{group['name']}` want static pods that nobody describes: {missing}"
            )
        for node in _nodes(path, group, _secret_ttl(size)):
            node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] = int(placeholders["kubelet_port"])
            nodes.append(node)
            for key in wanted:
                own = {**placeholders, "node": node["metadata"]["name"]}
                static.append(_mirror_pod(key, _fill(path, pods[key], own), node["metadata"]["name"]))
    objects = _fill(path, data.get("objects", []), placeholders)
    return Topology(path.stem, tuple(nodes), tuple(static), tuple(objects), data.get("hostFiles", {}))


def _read(path: Path) -> Json:
    """The file as a mapping; what it does not say itself it has from the file that it extends."""
    if not path.is_file():
        raise TopologyError(f"no topology `{path.stem}`; there are: {', '.join(names())}")
    loaded = yaml.safe_load(path.read_text())
    if not isinstance(loaded, dict):
        raise TopologyError(f"`{path.name}`: not a mapping")
    data: Json = loaded
    _checked(path, "top level", data, _TOP_LEVEL)
    if "extends" in data:
        data = _read(path.parent / f"{data['extends']}.yaml") | data
    return data


def _checked(path: Path, place: str, value: Json, known: set[str]) -> None:
    if unknown := sorted(set(value) - known):
        raise TopologyError(f"`{path.name}`: {place}: unknown {unknown}; known are {sorted(known)}")


def _fill(path: Path, value: Any, placeholders: Mapping[str, str]) -> Any:
    """The value with `{name}` replaced in every string; anything else in braces is left as it is (JSON, templates)."""
    if isinstance(value, str):
        for name in re.findall(r"\{([a-z_]+_port)\}", value):
            if name not in placeholders:
                raise TopologyError(f"`{path.name}`: unknown `{{{name}}}`; known are {sorted(placeholders)}")
        return re.sub(r"\{([a-z_]+)\}", lambda match: placeholders.get(match[1], match[0]), value)
    if isinstance(value, list):
        return [_fill(path, item, placeholders) for item in value]
    if isinstance(value, dict):
        return {_fill(path, key, placeholders): _fill(path, item, placeholders) for key, item in value.items()}
    return value


def _nodes(path: Path, group: Json, secret_ttl: str) -> Iterator[Json]:
    for number in range(1, group.get("count", 1) + 1):
        # What clouds put into names: the same for the same node on every run.
        own = {"n": str(number), "id": hashlib.sha256(f"{group['name']} {number}".encode()).hexdigest()[:17]}
        name = _fill(path, group["name"], own)
        own["name"] = name
        yield _node(name, _fill(path, {**group, "name": name}, own), secret_ttl)


def _secret_ttl(nodes: int) -> str:
    """What the TTL controller would write on each node of a cluster of that size; written first, it writes nothing."""
    return next(
        ttl for limit, ttl in ((100, "0"), (500, "15"), (1000, "30"), (2000, "60"), (nodes, "300")) if nodes <= limit
    )


def _node(name: str, group: Json, secret_ttl: str) -> Json:
    info = {key: str(group.get(key, default)) for key, default in _NODE_INFO.items()}
    own_labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": info["operatingSystem"],
        "kubernetes.io/arch": info["architecture"],
        "beta.kubernetes.io/os": info["operatingSystem"],
        "beta.kubernetes.io/arch": info["architecture"],
    }
    annotations = {
        "node.alpha.kubernetes.io/ttl": secret_ttl,
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    }
    capacity = _CAPACITY | group.get("capacity", {})
    system_uuid = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    node: Json = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": own_labels | group.get("labels", {}),
            "annotations": annotations | group.get("annotations", {}),
        },
        "spec": {"taints": [_taint(text) for text in group.get("taints", [])]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {}},
            "conditions": [{"type": kind, "status": status, "reason": reason} for kind, status, reason in _CONDITIONS],
            "capacity": capacity,
            "allocatable": capacity,
            "nodeInfo": {
                **info,
                "kubeProxyVersion": info["kubeletVersion"],
                "machineID": system_uuid,
                "systemUUID": system_uuid,
                "bootID": system_uuid,
            },
        },
    }
    if "providerID" in group:
        node["spec"]["providerID"] = group["providerID"]
    if group.get("unschedulable"):
        node["spec"]["unschedulable"] = True
    return node


def _taint(text: str) -> Json:
    parts = _TAINT.match(text)
    if not parts:
        raise TopologyError(f"`{text}` is not a taint (KEY[=VALUE]:EFFECT)")
    return {key: value for key, value in parts.groupdict().items() if value}


def _mirror_pod(name: str, pod: Json, node: str) -> Json:
    """What a kubelet shows of a file in its manifests folder: a pod that the API server never chose."""
    paths = pod.get("hostPaths", [])
    digest = hashlib.md5(f"{name}-{node}".encode(), usedforsecurity=False).hexdigest()
    container: Json = {"name": name, "image": pod["image"]}
    container |= {key: pod[key] for key in ("command", "args", "env") if key in pod}
    annotations = {
        "kubernetes.io/config.hash": digest,
        "kubernetes.io/config.mirror": digest,
        "kubernetes.io/config.seen": "2026-01-01T00:00:00.000000000Z",
        "kubernetes.io/config.source": "file",
    }
    mounts = [{"name": f"path-{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(paths)]
    volumes = [{"name": f"path-{n}", "hostPath": {"path": path, "type": ""}} for n, path in enumerate(paths)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-{node}",
            "namespace": pod.get("namespace", "kube-system"),
            "labels": pod.get("labels", {"component": name, "tier": "control-plane"}),
            "annotations": annotations | pod.get("annotations", {}),
        },
        "spec": {
            "nodeName": node,
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists", "effect": "NoExecute"}],
            "containers": [container | {"volumeMounts": mounts}],
            "volumes": volumes,
        },
    }
