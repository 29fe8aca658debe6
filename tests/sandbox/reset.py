"""Empties a running cluster: whatever was not there when its control plane came up goes, and is really gone.

Swapping topologies this way takes a second or two; a new control plane takes five and a gigabyte. Nothing is known here
about Datadog or Helm: every kind that the API server offers is listed and compared with the names noted at the start.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.sandbox.api import METADATA_ONLY, Api, ApiError, at_once

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
TIMEOUT = 60.0
_LEFT_ALONE = 3.0
"""Seconds for which the namespace controller surely has not begun: it waits for five, and time stamps are whole."""

# Kept by the cluster itself: it would make them again at once, or stop working without them.
_KEPT_KINDS = {
    "flowschemas", "prioritylevelconfigurations", "servicecidrs", "ipaddresses",
}  # fmt: skip
_KEPT_IN_NAMESPACE = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")}
# Controllers make their own service account when they first need it.
_KEPT_IN_KUBE_SYSTEM = {"serviceaccounts"}
_KEPT_LEASES = ("kube-scheduler", "kube-controller-manager", "apiserver-")
# Kinds of which nothing was there at the start, so that a whole collection may go.
_NEVER_KEPT = {"nodes", "pods", "events"}
# What could stand in the way of deleting the rest goes first; then namespaces, so that nothing more is made in them.
_FIRST = (
    "validatingwebhookconfigurations", "mutatingwebhookconfigurations",
    "validatingadmissionpolicybindings", "mutatingadmissionpolicybindings",
    "validatingadmissionpolicies", "mutatingadmissionpolicies", "apiservices",
)  # fmt: skip
_THEN = (
    "namespaces",
    "daemonsets", "deployments", "statefulsets", "replicasets", "replicationcontrollers", "cronjobs", "jobs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One listable, deletable kind of the API: `path` is its collection across all namespaces."""

    group: str
    plural: str
    path: str
    namespaced: bool


@dataclass(frozen=True, slots=True)
class Found:
    """One object of the cluster."""

    kind: Kind
    namespace: str
    name: str
    finalizers: bool

    @property
    def path(self) -> str:
        prefix, _, plural = self.kind.path.rpartition("/")
        inside = f"/namespaces/{self.namespace}" if self.kind.namespaced else ""
        return f"{prefix}{inside}/{plural}/{self.name}"

    @property
    def identity(self) -> str:
        return f"{self.kind.group}/{self.kind.plural}/{self.namespace}/{self.name}"


def inventory(api: Api) -> list[Found]:
    """Every object of the cluster that can be listed and deleted, by name only."""
    return [found for group in at_once(lambda kind: _list(api, kind), kinds(api)) for found in group]


def kinds(api: Api) -> list[Kind]:
    """Every kind once, in the version that the server prefers. A group whose own server is away is left out."""
    groups = [("", "/api/v1")]
    for group in api.get("/apis")["groups"]:
        groups.append((group["name"], f"/apis/{group['preferredVersion']['groupVersion']}"))
    return [kind for found in at_once(lambda entry: _kinds_of(api, *entry), groups) for kind in found]


def _kinds_of(api: Api, group: str, path: str) -> list[Kind]:
    try:
        resources = api.get(path)["resources"]
    except ApiError:
        return []
    return [
        Kind(group, resource["name"], f"{path}/{resource['name']}", resource["namespaced"])
        for resource in resources
        if "/" not in resource["name"] and {"list", "delete"} <= set(resource["verbs"])
    ]


def _list(api: Api, kind: Kind) -> list[Found]:
    if kind.plural in _KEPT_KINDS or (kind.group, kind.plural) == ("", "events"):  # listed once, as events.k8s.io
        return []
    try:
        items = json.loads(api.request("GET", kind.path, accept=METADATA_ONLY)).get("items") or []
    except ApiError as error:
        # 404, 405, 503: its CustomResourceDefinition or API server has gone meanwhile; 429: it is going just now, and
        # the definition itself is still listed, so there is a next round.
        if error.status in {404, 405, 429, 503}:
            return []
        raise
    return [
        Found(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"], "finalizers" in item["metadata"])
        for item in items
    ]


def empty(api: Api, baseline: set[str]) -> None:
    """Deletes everything whose identity is not in `baseline` and waits until it is gone.

    Raises TimeoutError naming what is left.
    """
    end = time.monotonic() + TIMEOUT
    rounds = 0
    while left := [found for found in inventory(api) if not _stays(found, baseline)]:
        if time.monotonic() > end:
            names = ", ".join(found.identity for found in left[:10])
            raise TimeoutError(f"{len(left)} objects do not go: {names}")
        for wave in _waves(left):
            _delete_all(api, wave)
        at_once(lambda found: _finalize(api, found), [found for found in left if found.kind.plural == "namespaces"])
        rounds += 1
        if rounds > 1:  # what is left waits for a controller, and each look costs the API server 80 requests
            time.sleep(0.2)


def _stays(found: Found, baseline: set[str]) -> bool:
    plural, namespace = found.kind.plural, found.namespace
    if found.identity in baseline:
        return plural != "events"
    if found.kind.namespaced and namespace in SYSTEM_NAMESPACES:
        return (
            (plural, found.name) in _KEPT_IN_NAMESPACE
            or (namespace == "kube-system" and plural in _KEPT_IN_KUBE_SYSTEM)
            or (namespace == "kube-system" and plural == "leases" and found.name.startswith(_KEPT_LEASES))
        )
    return False


def _waves(left: list[Found]) -> Iterable[list[Found]]:
    yield [found for found in left if found.kind.plural in _FIRST]
    yield [found for found in left if found.kind.plural in _THEN]
    yield [found for found in left if found.kind.plural not in _FIRST + _THEN]


def _delete_all(api: Api, wave: list[Found]) -> None:
    """Deletes these objects; the thousands of one collection that has no others in one request."""
    singles = [found for found in wave if found.kind.plural not in _NEVER_KEPT or found.finalizers]
    at_once(lambda found: _delete(api, found), singles)
    collections = {found.path.rpartition("/")[0] for found in wave} - {f.path.rpartition("/")[0] for f in singles}
    for path in sorted(collections):
        with _next_round():
            api.delete(path, grace=0)


def _delete(api: Api, found: Found) -> None:
    """Deletes one object for good: without grace, without waiting for whoever put a finalizer on it."""
    with _next_round():
        if found.finalizers:
            api.merge(found.path, {"metadata": {"finalizers": None}})
        api.delete(found.path, grace=0)


def _finalize(api: Api, found: Found) -> None:
    """Ends a namespace's termination now: it is empty already, and its controller begins only after five seconds.

    Not while that controller may be at work: what it deletes next would be of the next namespace of that name, as
    happened under load (Kubernetes 1.36). What it found is in the conditions once it is through.
    """
    with _next_round():
        namespace = api.find(found.path)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return
        since = datetime.fromisoformat(namespace["metadata"]["deletionTimestamp"])
        if (datetime.now(UTC) - since).total_seconds() < _LEFT_ALONE or namespace["status"].get("conditions"):
            namespace["spec"]["finalizers"] = []
            api.put(f"{found.path}/finalize", namespace)


@contextlib.contextmanager
def _next_round() -> Iterator[None]:
    """Leaves what fails to the next round: the object has gone or changed, or a webhook is in the way until the API
    server notices that it was deleted.
    """
    with contextlib.suppress(ApiError):
        yield
