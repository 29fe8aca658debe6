"""Other Datadog agents in the cluster: workloads with an agent image and DatadogAgent objects that are not ours."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from ddhelm.keeper import delivery
from ddhelm.release import NAMES
from ddhelm.tree import Tree
from ddhelm.workloads import AGENT_CONTAINER, CLUSTER_AGENT_CONTAINER, is_agent

if TYPE_CHECKING:  # a status imports this module and needs no claims: they cost 20 ms
    from ddhelm.claim import ForeignAgent, LiveWebhook, OtherDaemonSet

_AGENT_NAME = re.compile(r"(docker-dd-|datadog-)?agent(-[a-z0-9]+)?")
_CLUSTER_AGENT_NAME = re.compile(r"(datadog-)?cluster-agent(-[a-z0-9]+)?")
_CHART_LABEL = "helm.sh/chart"
_CHART = re.compile(r"datadog-\d.*")
"""The chart's label on all that it makes (its template `datadog.labels`); the operator's chart is another one."""
_CHARTS_CONTAINERS = frozenset({AGENT_CONTAINER, CLUSTER_AGENT_CONTAINER})


class DatadogWorkload(Struct, frozen=True):
    """A Deployment or StatefulSet whose containers are all Datadog's; in another's pod an agent is a sidecar.

    ``containers``: their names, where the chart made it; else empty.
    """

    kind: str
    metadata: Tree
    images: tuple[str, ...]
    containers: tuple[str, ...] = ()

    @property
    def runs_agent(self) -> bool:
        """Whether one of its containers is the node agent."""
        return AGENT_CONTAINER in self.containers or any(map(is_agent_image, self.images))

    @property
    def runs_cluster_agent(self) -> bool:
        """Whether one of its containers is the Cluster Agent."""
        return CLUSTER_AGENT_CONTAINER in self.containers or any(map(is_cluster_agent_image, self.images))


class _Container(Struct, frozen=True):
    name: str | None = None
    image: str | None = None


class _Pod(Struct, frozen=True):
    containers: list[_Container] | None = None


class _Template(Struct, frozen=True):
    spec: _Pod = _Pod()


class _Spec(Struct, frozen=True):
    template: _Template = _Template()


class _Item(Struct, frozen=True):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    spec: _Spec = _Spec()


class _Items(Struct, frozen=True):
    items: list[_Item] | None = None


def datadog_workloads(kind: str, body: bytes | None) -> tuple[DatadogWorkload, ...] | None:
    """Those of an answer's workloads that run Datadog's images alone, or are the chart's; None: nothing to read.

    There may be thousands: of most of them nothing but names and images of containers is decoded.
    """
    try:
        items = None if body is None else msgspec.json.decode(body, type=_Items).items
    except msgspec.DecodeError:
        return None
    if items is None:
        return None
    found = []
    for item in items:
        containers = item.spec.template.spec.containers or ()
        images = tuple(container.image or "" for container in containers)
        names = tuple(container.name or "" for container in containers)
        datadogs = bool(images) and all("datadog" in image for image in images)
        if datadogs or not _CHARTS_CONTAINERS.isdisjoint(names):
            metadata = msgspec.json.decode(item.metadata)
            charts = _of_chart(metadata)
            if datadogs or charts:
                found.append(DatadogWorkload(kind, metadata, images, names if charts else ()))
    return tuple(found)


def foreign_agents(
    daemonsets: Tree | None,
    datadog_agents: Tree | None,
    namespace: str,
    ours: Collection[str],
    workloads: Sequence[DatadogWorkload] = (),
) -> "tuple[ForeignAgent, ...]":
    """Agents that are not of our releases ``ours`` in ``namespace``.

    ``daemonsets`` and ``datadog_agents`` are the API's list documents, None where there is none to read.
    """
    found = []
    for item in (daemonsets or {}).get("items") or ():
        metadata = item.get("metadata") or {}
        if not _runs_agent(item) or _is_ours(metadata, namespace, ours):
            continue
        nodes = int((item.get("status") or {}).get("desiredNumberScheduled") or 0)
        found.append(_foreign("DaemonSet", metadata, nodes))
    for each in workloads:
        if each.runs_agent and not _is_ours(each.metadata, namespace, ours):
            found.append(_foreign(each.kind, each.metadata, 0))
    for item in (datadog_agents or {}).get("items") or ():
        found.append(_foreign("DatadogAgent", item.get("metadata") or {}, 0))
    return tuple(found)


def pair_elsewhere(daemonsets: Tree | None, namespace: str) -> str | None:
    """The other namespace in which releases of our names run agents; None where there is none, or nothing was read.

    Their cluster-wide objects have the names of ours: there is room for one pair.
    """
    for item in (daemonsets or {}).get("items") or ():
        annotations = (item.get("metadata") or {}).get("annotations") or {}
        place = annotations.get("meta.helm.sh/release-namespace")
        if annotations.get("meta.helm.sh/release-name") in NAMES.values() and _runs_agent(item) and place != namespace:
            return None if place is None else str(place)
    return None


def foreign_cluster_agents(
    workloads: Sequence[DatadogWorkload] | None, namespace: str, ours: Collection[str]
) -> "tuple[ForeignAgent, ...] | None":
    """Cluster Agents that are not of our releases; None where the workloads were not read."""
    if workloads is None:
        return None
    return tuple(
        _foreign(each.kind, each.metadata, 0)
        for each in workloads
        if each.runs_cluster_agent and not _is_ours(each.metadata, namespace, ours)
    )


def _foreign(what: str, metadata: Mapping[str, Any], nodes: int) -> "ForeignAgent":
    from ddhelm.claim import ForeignAgent

    return ForeignAgent(what, str(metadata.get("name")), str(metadata.get("namespace")), owner(metadata), nodes)


def other_daemonsets(
    document: Tree | None, namespace: str, ours: Collection[str]
) -> "tuple[OtherDaemonSet, ...] | None":
    """The DaemonSets that are not of our releases and take a host port or run an agent; None where none were read."""
    from ddhelm.claim import OtherDaemonSet, written_paths
    from ddhelm.coverage import placement_of

    if document is None:
        return None
    found = []
    for item in document.get("items") or ():
        metadata, template = item.get("metadata") or {}, (item.get("spec") or {}).get("template") or {}
        if _is_ours(metadata, namespace, ours):
            continue
        name, agent = str(metadata.get("name")), _runs_agent(item)
        placed = placement_of(template, name, name, "")
        if agent or placed.host_ports:
            written = written_paths(template.get("spec") or {})
            found.append(OtherDaemonSet(name, str(metadata.get("namespace")), placed, written, agent))
    return tuple(found)


def webhooks(document: Tree | None) -> "tuple[LiveWebhook, ...] | None":
    """The mutating webhooks of the cluster and the Services that they call; None where they were not read."""
    from ddhelm.claim import LiveWebhook

    if document is None:
        return None
    found = []
    for item in document.get("items") or ():
        for hook in item.get("webhooks") or ():
            service = (hook.get("clientConfig") or {}).get("service") or {}
            if service:
                name = str((item.get("metadata") or {}).get("name"))
                found.append(LiveWebhook(name, str(service.get("namespace")), str(service.get("name"))))
    return tuple(dict.fromkeys(found))


def owner(metadata: Mapping[str, Any]) -> str:
    """Who manages an object, in words: a Helm release, Argo CD, Flux, another object, or nobody known."""
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    for reference in metadata.get("ownerReferences") or ():
        return f"{reference.get('kind')} `{reference.get('name')}`"
    if delivered := delivery(labels, annotations):
        return delivered.who
    if release := annotations.get("meta.helm.sh/release-name"):
        return f"Helm release `{release}` in namespace `{annotations.get('meta.helm.sh/release-namespace')}`"
    return "nobody known"


def _of_chart(metadata: Mapping[str, Any]) -> bool:
    """Whether the chart `datadog` made an object, in whatever release: its images may come from any mirror."""
    return _CHART.fullmatch(str((metadata.get("labels") or {}).get(_CHART_LABEL))) is not None


def _runs_agent(daemonset: Mapping[str, Any]) -> bool:
    if is_agent(daemonset) and _of_chart(daemonset.get("metadata") or {}):
        return True
    pod = ((daemonset.get("spec") or {}).get("template") or {}).get("spec") or {}
    return any(is_agent_image(str(container.get("image") or "")) for container in pod.get("containers") or ())


def is_agent_image(image: str) -> bool:
    """Whether an image is the node agent's, from any registry or mirror that has `datadog` in its path."""
    return _is_image(image, _AGENT_NAME)


def is_cluster_agent_image(image: str) -> bool:
    """The same for the Cluster Agent's."""
    return _is_image(image, _CLUSTER_AGENT_NAME)


def _is_image(image: str, known: re.Pattern[str]) -> bool:
    path = image.split("@", maxsplit=1)[0]
    name = path.rsplit("/", 1)[-1].split(":")[0]
    return "datadog" in path and known.fullmatch(name) is not None


def _is_ours(metadata: Mapping[str, Any], namespace: str, ours: Collection[str]) -> bool:
    annotations = metadata.get("annotations") or {}
    return (
        metadata.get("namespace") == namespace
        and annotations.get("meta.helm.sh/release-name") in ours
        and annotations.get("meta.helm.sh/release-namespace") == namespace
    )
