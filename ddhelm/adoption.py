"""Which value of the chart would make a field as somebody left it, where one does exactly that.

Adopting drift means: the next render says the same as the live object, so nothing is set back. That holds where one
value makes one field (the Cluster Agent's replicas). Everything else is refused with its reason, and with the value to
look at where there is one: a guess would render something near it, and call that the operator's wish.
"""

from itertools import pairwise
from typing import Any

from msgspec import Struct

from ddhelm.drift import AUTOSCALER, Change, FieldDrift, ObjectDrift
from ddhelm.tree import Named, Path, show
from ddhelm.workloads import REPLICAS

_CONTAINERS = {
    "agent": "agent",
    "trace-agent": "traceAgent",
    "process-agent": "processAgent",
    "system-probe": "systemProbe",
    "security-agent": "securityAgent",
}
"""Containers of the node agents, as the chart's values call them (datadog 3.240: ``agents.containers``)."""
_OF_DEPLOYMENTS = {"cluster-agent": "clusterAgent", "agent": "clusterChecksRunner"}
"""Containers of the chart's own Deployments; those of subcharts (operator, kube-state-metrics) are none of these."""


class Adoption(Struct, frozen=True):
    """A field that a value makes: ``option`` as ``helm --set`` takes it."""

    drift: ObjectDrift
    field: FieldDrift
    option: str


class Refusal(Struct, frozen=True):
    """A difference that no value makes exactly; ``value`` is the one to look at, empty where there is none."""

    drift: ObjectDrift
    path: Path
    reason: str
    value: str = ""


def of_object(drift: ObjectDrift) -> tuple[Adoption | Refusal, ...]:
    """What of an object's drift can become a value of its release, field by field."""
    if drift.missing:
        return (Refusal(drift, (), "a deleted object is no value of the chart: --revert makes it again"),)
    return tuple(_of_field(drift, field) for field in drift.fields)


def _of_field(drift: ObjectDrift, field: FieldDrift) -> Adoption | Refusal:
    if field.admission:
        return Refusal(drift, field.path, "admission puts it there at every write; no value is needed")
    if drift.cluster_agent and field.path == REPLICAS:
        if any(writer.manager == AUTOSCALER for writer in field.writers):
            return Refusal(drift, field.path, "an autoscaler writes it and will write it again")
        if field.change is Change.ALTERED and isinstance(field.live, int):
            return Adoption(drift, field, f"clusterAgent.replicas={field.live}")
    return Refusal(drift, field.path, *_why(drift, field))


def _why(drift: ObjectDrift, field: FieldDrift) -> tuple[str, str]:
    path = field.path
    section = _section(drift, path)
    if "image" in path:
        return "an image written into an object ages there: choose a chart version, or set the tag", _join(
            section.rpartition(".containers.")[0] or section, "image.tag"
        )
    if "env" in path:
        item = next((step.partition("=")[2] for step in path if isinstance(step, Named) and _in_env(path, step)), "")
        name = f" (an element with the name {item})" if item else ""
        return "lists of values are replaced whole: add it to your own list", _join(section, "env") + name
    if "resources" in path:
        return "the value says requests and limits of the container together", _join(section, "resources")
    if drift.ref.kind == "ConfigMap" and path[:1] == ("data",) and drift.ref.name.endswith("-confd"):
        return "a check file is built from what the nodes say: put your own beside it", show(
            ("datadog", "confd", str(path[-1]))
        )
    return "no value of the chart makes exactly this field", ""


def _section(drift: ObjectDrift, path: Path) -> str:
    """Where the chart's values speak of the container that a path leads into; empty where it leads into none."""
    name = next((s.partition("=")[2] for at, s in pairwise(path) if at == "containers" and isinstance(s, Named)), "")
    if drift.ref.kind == "Deployment":
        return _OF_DEPLOYMENTS.get(name, "")
    return f"agents.containers.{_CONTAINERS[name]}" if name in _CONTAINERS else ""


def _in_env(path: Path, step: Any) -> bool:
    return path[path.index(step) - 1] == "env"


def _join(section: str, key: str) -> str:
    return f"{section}.{key}" if section else ""
