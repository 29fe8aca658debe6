"""The two releases: their names, their order and what a node's role means for them.

Code holds an ordered tuple of releases, never two named fields: a managed cluster has one, and the order in which
releases are made (worker first) and removed (control plane first) is the order of that tuple and its reverse.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any, NamedTuple

from ddhelm.errors import UsageError


class Role(StrEnum):
    """Which release a node belongs to."""

    WORKER = "worker"
    CONTROL_PLANE = "control-plane"


NAMES = {Role.WORKER: "worker-node-ddagent", Role.CONTROL_PLANE: "control-plane-ddagent"}
CHART = "datadog"
DEFAULT_NAMESPACE = "datadog"
DEFAULT_REPOSITORY = "https://helm.datadoghq.com"

MANAGED_BY, OURS = "app.kubernetes.io/managed-by", "ddhelm"
"""The label that ddhelm gives what it makes beside the releases, and its value."""

SECRET = "ddhelm"  # noqa: S105 - the name of the Secret that ddhelm manages, not its content
API_KEY, APP_KEY, TOKEN = "api-key", "app-key", "token"


class Rotatable(StrEnum):
    """A key that can be rotated; its value is its name in Secret `ddhelm`."""

    API_KEY = API_KEY
    APP_KEY = APP_KEY
    TOKEN = TOKEN

    @property
    def words(self) -> str:
        """As people call it."""
        return {self.API_KEY: "API key", self.APP_KEY: "application key"}.get(self, "token of the Cluster Agent")


ROTATING = "ddhelm.dev/rotating"
"""Annotation of that Secret: the key (see ``Rotatable``) whose rotation has begun and not ended."""
LEASE = "ddhelm"
HISTORY = "ddhelm-history"
"""Name of the ConfigMap that tells which runs changed what."""
CREATED_BY_LABEL = "ddhelm.dev/created-by"


def rotating(metadata: Mapping[str, Any]) -> Rotatable | None:
    """The key that the Secret's mark names, of its metadata; None where there is no mark."""
    with suppress(ValueError):
        return Rotatable(str((metadata.get("annotations") or {}).get(ROTATING)))
    return None


def owned(metadata: Mapping[str, Any], name: str, namespace: str) -> bool:
    """Whether Helm's annotations in an object's metadata say that it belongs to this release."""
    said = metadata.get("annotations") or {}
    return (said.get("meta.helm.sh/release-name"), said.get("meta.helm.sh/release-namespace")) == (name, namespace)


class Release(NamedTuple):
    """One Helm release of the chart: its role, name and namespace."""

    role: Role
    name: str
    namespace: str

    @property
    def fullname(self) -> str:
        """The chart's own rule (datadog 2.4 to 3.240): the release name if it holds `datadog`, else with `-datadog`."""
        return (self.name if CHART in self.name else f"{self.name}-{CHART}")[:63].rstrip("-")

    @property
    def cluster_agent(self) -> str:
        """Name of the Cluster Agent's Deployment, Service and ServiceAccount, where this release owns one."""
        return f"{self.fullname}-cluster-agent"


def pair(namespace: str, *, control_plane: bool) -> tuple[Release, ...]:
    """The releases in the order in which they are made: worker, then control plane where there is one."""
    roles = (Role.WORKER, Role.CONTROL_PLANE) if control_plane else (Role.WORKER,)
    return tuple(Release(role, NAMES[role], namespace) for role in roles)


def only(releases: Sequence[Release], role: Role | None, *, worker_exists: bool) -> tuple[Release, ...]:
    """The releases that ``--only ROLE`` leaves; all of them for None.

    Raises UsageError where the control plane would be installed alone: it joins the worker release's Cluster Agent.
    """
    if role is None:
        return tuple(releases)
    if role is Role.CONTROL_PLANE and not worker_exists:
        raise UsageError(
            "`--only control-plane` needs the worker release, which owns the Cluster Agent, and it is not installed",
            hint="ddhelm onboard --only worker",
            anchor="only-without-worker",
        )
    chosen = tuple(release for release in releases if release.role is role)
    if not chosen:
        raise UsageError(
            f"`--only {role}` leaves nothing to do: this cluster shows no control-plane nodes",
            hint="ddhelm detect",
            anchor="only-leaves-nothing",
        )
    return chosen
