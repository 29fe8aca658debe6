"""What a roll-out is read from: DaemonSets, Deployments, pods and events, cut down to what the judgement needs.

Kept apart from the judgement (``rollout``) so that ``status`` can show workloads without judging them. Every parser
takes one JSON tree as the API server sends it and never fails on an absent field: an object seconds old has no status.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

REPLICAS = ("spec", "replicas")
"""Where a Deployment or StatefulSet says how many pods it wants."""
AGENT_CONTAINER = "agent"
CLUSTER_AGENT_CONTAINER = "cluster-agent"


def is_agent(daemonset: Mapping[str, Any]) -> bool:
    """Whether a DaemonSet is the chart's node agent."""
    return _has(daemonset, AGENT_CONTAINER)


def is_cluster_agent(deployment: Mapping[str, Any]) -> bool:
    """Whether a Deployment is the chart's Cluster Agent, whatever ``fullnameOverride`` calls it."""
    return _has(deployment, CLUSTER_AGENT_CONTAINER)


def _has(workload: Mapping[str, Any], container: str) -> bool:
    pod = ((workload.get("spec") or {}).get("template") or {}).get("spec") or {}
    return any(each.get("name") == container for each in pod.get("containers") or ())


class Condition(Struct, frozen=True):
    """One entry of ``status.conditions``; ``status`` is ``True``, ``False`` or ``Unknown`` as text."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class Workload(Struct, frozen=True):
    """A DaemonSet or Deployment and how far its pods are; all numbers count pods.

    ``scheduled`` counts the pods that exist (old ones included), ``misscheduled`` (DaemonSets only) those on a node
    that it no longer wants. ``observed`` is the generation that the numbers speak of: below ``generation`` they are
    about the past. ``selector`` is a label selector in kubectl's text form.
    """

    kind: str
    namespace: str
    name: str
    uid: str = ""
    generation: int = 0
    observed: int = 0
    desired: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    scheduled: int = 0
    misscheduled: int = 0
    max_unavailable: int | str = 1
    on_delete: bool = False
    paused: bool = False
    selector: str = ""
    conditions: tuple[Condition, ...] = ()

    @property
    def current(self) -> bool:
        """Whether the numbers speak of the newest spec."""
        return self.observed >= self.generation

    @property
    def behind(self) -> int:
        """Pods that are not yet new and available; with ``OnDelete`` an old pod counts as good."""
        reached = self.available if self.on_delete else min(self.updated, self.available)
        surplus = max(self.scheduled - self.desired, 0) if self.kind == "Deployment" else 0
        return max(self.desired - reached, 0) + surplus

    @property
    def outdated(self) -> int:
        """Pods that nobody replaces: of an older template, under ``OnDelete``."""
        return max(self.desired - self.updated, 0) if self.on_delete and self.current else 0

    @property
    def unready(self) -> int:
        """Pods that a look has to find: wanted and not ready, or left on nodes that went away.

        The latter count against ``maxUnavailable``, so one dead node can hold up a whole roll-out.
        """
        return max(self.desired - self.ready, 0) + (self.misscheduled if self.behind else 0)

    @property
    def settled(self) -> bool:
        """Whether every pod that is wanted is new and available (so ready too), and (Deployment) no old one is left."""
        return self.current and self.behind == 0

    @property
    def empty(self) -> bool:
        """A DaemonSet that wants no node: Helm and Kubernetes call it ready, nobody runs an agent through it."""
        return self.kind == "DaemonSet" and self.current and self.desired == 0

    def condition(self, type_: str) -> Condition | None:
        """The condition of that type, or None."""
        return next((each for each in self.conditions if each.type == type_), None)


class Waiting(Struct, frozen=True):
    """A container that does not run: the kubelet's reason and message, and how it ended the last time."""

    container: str
    image: str
    reason: str
    message: str = ""
    exit_code: int | None = None
    last_reason: str = ""
    restarts: int = 0


class Pod(Struct, frozen=True):
    """One pod; ``owner`` is the workload it was asked for, ``node`` also that of a DaemonSet's unscheduled pod.

    ``unschedulable`` is the scheduler's message, ``failed`` the reason and message of a pod that the kubelet refused,
    ``unready`` the containers that run and are not ready. A pod that is being deleted never counts as ready. ``made``
    is RFC 3339, by the API server's clock; ``started`` tells whether the kubelet has taken it up.
    """

    name: str
    owner: str = ""
    node: str = ""
    phase: str = ""
    ready: bool = False
    deleting: bool = False
    waiting: tuple[Waiting, ...] = ()
    unschedulable: str = ""
    failed: str = ""
    unready: tuple[str, ...] = ()
    made: str = ""
    started: bool = False

    @property
    def silent(self) -> bool:
        """Whether neither scheduler nor containers say why it does not run: its events may."""
        return not (self.ready or self.waiting or self.unschedulable or self.failed or self.unready)


class Event(Struct, frozen=True):
    """One event: what happened to which object.

    ``count`` grows while it goes on; ``uid`` is the event's own, ``about`` that of the object, which tells an object
    from a former one of the same name.
    """

    uid: str
    reason: str
    message: str
    kind: str
    name: str
    count: int = 1
    about: str = ""


def workload(tree: Mapping[str, Any]) -> Workload:
    """A DaemonSet or Deployment (from its JSON tree."""
    meta, spec, status = tree.get("metadata") or {}, tree.get("spec") or {}, tree.get("status") or {}
    daemonset = tree.get("kind", "DaemonSet") == "DaemonSet"
    strategy = spec.get("updateStrategy" if daemonset else "strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    if daemonset:
        numbers = ("desiredNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable")
        desired, scheduled = int(status.get(numbers[0]) or 0), int(status.get("currentNumberScheduled") or 0)
    else:
        numbers = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        replicas = spec.get("replicas")
        desired, scheduled = 1 if replicas is None else int(replicas), int(status.get("replicas") or 0)
    default_unavailable: int | str = 1 if daemonset else "25%"
    return Workload(
        kind="DaemonSet" if daemonset else "Deployment",
        namespace=str(meta.get("namespace") or ""),
        name=str(meta.get("name") or ""),
        uid=str(meta.get("uid") or ""),
        generation=int(meta.get("generation") or 0),
        observed=int(status.get("observedGeneration") or 0),
        desired=desired,
        updated=int(status.get(numbers[1]) or 0),
        ready=int(status.get(numbers[2]) or 0),
        available=int(status.get(numbers[3]) or 0),
        scheduled=scheduled,
        misscheduled=int(status.get("numberMisscheduled") or 0),
        max_unavailable=rolling.get("maxUnavailable", default_unavailable),
        on_delete=strategy.get("type") == "OnDelete",
        paused=bool(spec.get("paused")),
        selector=selector_text(spec.get("selector") or {}),
        conditions=tuple(_conditions(status)),
    )


def selector_text(selector: Mapping[str, Any]) -> str:
    """A ``spec.selector`` in kubectl's text form: ``app=x,tier in (a,b)``."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    words = {"In": "in", "NotIn": "notin"}
    for term in selector.get("matchExpressions") or ():
        key, operator = term.get("key"), term.get("operator")
        if operator in words:
            parts.append(f"{key} {words[operator]} ({','.join(term.get('values') or ())})")
        elif operator == "Exists":
            parts.append(str(key))
        elif operator == "DoesNotExist":
            parts.append(f"!{key}")
    return ",".join(parts)


def pod(tree: Mapping[str, Any], owner: str = "") -> Pod:
    """A pod from its JSON tree; ``owner`` is the workload whose pods were asked for."""
    meta, spec, status = tree.get("metadata") or {}, tree.get("spec") or {}, tree.get("status") or {}
    conditions = {each.type: each for each in _conditions(status)}
    placed, ready = conditions.get("PodScheduled"), conditions.get("Ready")
    phase, deleting = str(status.get("phase") or ""), bool(meta.get("deletionTimestamp"))
    failed = ""
    if phase == "Failed":
        failed = ": ".join(str(part) for part in (status.get("reason"), status.get("message")) if part) or "Failed"
    return Pod(
        name=str(meta.get("name") or ""),
        owner=owner,
        node=str(spec.get("nodeName") or "") or _wanted_node(spec),
        phase=phase,
        ready=ready is not None and ready.status == "True" and not deleting,
        deleting=deleting,
        waiting=tuple(_waiting(status)),
        unschedulable=placed.message if placed is not None and placed.status == "False" else "",
        failed=failed,
        unready=tuple(
            str(each.get("name"))
            for each in status.get("containerStatuses") or ()
            if not each.get("ready") and "running" in (each.get("state") or {})
        ),
        made=str(meta.get("creationTimestamp") or ""),
        started=bool(status.get("startTime")),
    )


def without_leftovers(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """A Deployment's pods without those that failed (evicted, their node shut down) and were replaced since.

    Kubernetes keeps them until its pod GC, for weeks. A younger pod that the kubelet has yet to take up replaces none:
    it may be the next one that is refused.
    """
    known = tuple(pods)
    standing = (each for each in known if not each.failed and (each.started or each.unschedulable))
    replaced = max((each.made for each in standing), default="")
    return tuple(each for each in known if not each.failed or each.made >= replaced)


def event(tree: Mapping[str, Any]) -> Event:
    """A core/v1 event from its JSON tree; both ways of counting (``count``, ``series``) are understood."""
    meta, concerned = tree.get("metadata") or {}, tree.get("involvedObject") or {}
    return Event(
        uid=str(meta.get("uid") or meta.get("name") or ""),
        reason=str(tree.get("reason") or ""),
        message=str(tree.get("message") or "").strip(),
        kind=str(concerned.get("kind") or ""),
        name=str(concerned.get("name") or ""),
        count=int(tree.get("count") or (tree.get("series") or {}).get("count") or 1),
        about=str(concerned.get("uid") or ""),
    )


def node_down(tree: Mapping[str, Any]) -> bool:
    """Whether a node's JSON tree says that its kubelet is not ready (or does not answer)."""
    ready = next((each for each in _conditions(tree.get("status") or {}) if each.type == "Ready"), None)
    return ready is None or ready.status != "True"


def _conditions(status: Mapping[str, Any]) -> Iterator[Condition]:
    for each in status.get("conditions") or ():
        yield Condition(
            str(each.get("type") or ""),
            str(each.get("status") or ""),
            str(each.get("reason") or ""),
            str(each.get("message") or ""),
        )


def _wanted_node(spec: Mapping[str, Any]) -> str:
    """The node that the DaemonSet controller pinned a pod to (it does so by ``matchFields``, not by ``nodeName``)."""
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return ""


_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})


def _waiting(status: Mapping[str, Any]) -> Iterator[Waiting]:
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for each in statuses:
        state = each.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        last = (each.get("lastState") or {}).get("terminated") or ended
        reason = str(waiting.get("reason") or "")
        again = "running" in state and not each.get("ready") and int(each.get("restartCount") or 0) > 1
        if ended.get("exitCode") or again:  # between crash and back-off it counts as terminated, then as running
            reason = "CrashLoopBackOff"
        if reason in _STARTING:
            continue
        code = last.get("exitCode")
        yield Waiting(
            container=str(each.get("name") or ""),
            image=str(each.get("image") or ""),
            reason=reason,
            message=str(waiting.get("message") or ended.get("message") or "").strip(),
            exit_code=None if code is None else int(code),
            last_reason=str(last.get("reason") or ""),
            restarts=int(each.get("restartCount") or 0),
        )
