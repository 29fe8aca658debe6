"""What is known about the processes of a control plane, and what a check derived from it looks like.

There are four sources, in this order: the static pods' command lines, kubeadm's ConfigMap, what the release remembers
from an earlier run, and what the distribution documents. ``ControlPlane`` holds them; ``servers`` and ``etcd`` ask it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from ddhelm.distribution import Distribution, Endpoint
from ddhelm.facts import ClusterFacts
from ddhelm.nodes import Node
from ddhelm.staticpods import StaticPod
from ddhelm.tree import Tree

KUBEADM_CONFIG = "the ConfigMap kube-system/kubeadm-config"


class CheckInstance(Struct, frozen=True):
    """One instance of a check, in the check's own keys; ``source`` says in words where its address comes from.

    Paths in it are paths on the node, but for the service account's CA, which every pod has. ``claimed``: documented
    somewhere, but neither read from this cluster nor from the distribution's source.
    """

    component: str
    instance: Tree
    source: str
    claimed: bool = False


class LeftOut(Struct, frozen=True):
    """A check that is not given to the control-plane agents, why, and what would change that."""

    component: str
    reason: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.reason}; what helps: {self.fix}" if self.fix else self.reason


class HostFile(Struct, frozen=True):
    """One file of the node that a check reads. ``untyped``: the kubelet cannot look there, the runtime can (Talos)."""

    path: str
    kind: Literal["file", "socket", "untyped"]
    purpose: str
    component: str


Found = list[CheckInstance] | LeftOut


class ControlPlane(Struct):
    """The static pods of the control-plane ``nodes`` and what else is known; ``notes`` collects what to say.

    ``own_certificate``: etcd is shown the client certificate of a Secret that is mounted into the agents;
    ``without_listener``: its plaintext listener is passed over, to say what there is besides.
    """

    distribution: Distribution
    facts: ClusterFacts
    nodes: Sequence[Node]
    remembered: Mapping[str, Any]
    own_certificate: bool = False
    without_listener: bool = False
    notes: list[str] = []
    _pods: dict[str, dict[str, StaticPod]] = {}

    def __post_init__(self) -> None:
        names = {node.name for node in self.nodes}
        seconds: dict[str, list[str]] = {}
        for pod in self.facts.static_pods:
            if pod.node not in names and self.facts.has("nodes"):
                continue
            by_node = self._pods.setdefault(pod.component, {})
            first = by_node.setdefault(pod.node, pod)
            if first is pod:
                continue
            named_after_it = pod.name == f"{pod.component}-{pod.node}"
            by_node[pod.node], second = (pod, first) if named_after_it else (first, pod)
            seconds.setdefault(pod.component, []).append(second.name)
        for component, others in seconds.items():
            self.notes.append(
                f"{component}: a node's second static pod with its label is not collected from: {listed(others)}"
            )

    def pods(self, component: str) -> Mapping[str, StaticPod]:
        """Node → static pod of that component: of several on a node the one named after it, otherwise the first."""
        return self._pods.get(component, {})

    @property
    def seen(self) -> set[str]:
        """Nodes of which any static pod was seen: of the others nothing is known."""
        return {node for pods in self._pods.values() for node in pods}

    @property
    def unreadable(self) -> str:
        """Why static pods or the nodes that run them could not be read, empty if both could."""
        return next((u.why for u in self.facts.unread if u.name in {"nodes", "static-pods", "static-pods-by-app"}), "")

    @property
    def documented(self) -> str:
        """The source of what only the distribution's file says."""
        return f"documented for {self.distribution.title}"

    @property
    def claimed(self) -> bool:
        """Whether what the distribution's file says was read in no source."""
        return self.distribution.confidence != "high"

    def address(self, pod: StaticPod) -> str:
        """The address of a pod's node."""
        return pod.address or next((node.address for node in self.nodes if node.name == pod.node), "")

    def kubeadm(self, *path: str) -> Mapping[str, Any]:
        """A map in kubeadm's ClusterConfiguration, empty where there is none; `extraArgs` in both of its shapes."""
        found: Any = self.facts.kubeadm_config
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, list):  # a list of name and value since v1beta4
            found = {entry.get("name"): entry.get("value") for entry in found if isinstance(entry, Mapping)}
        return found if isinstance(found, Mapping) else {}

    def agreed(self, what: str, by_node: Mapping[str, str]) -> str:
        """The value that most nodes have; a note names the others. Of equally many, the first in sort order."""
        counts = Counter(by_node.values())
        winner = min(counts, key=lambda value: (-counts[value], value))
        for value in sorted(set(counts) - {winner}):
            others = listed(sorted(node for node, its in by_node.items() if its == value))
            self.notes.append(
                f"{what} differs between control-plane nodes: `{value or 'none'}` on {others}, "
                f"`{winner or 'none'}` on {counts[winner]} of {len(by_node)}; the majority is used"
            )
        return winner

    def missing(self, component: str, pods: Mapping[str, StaticPod], name: str) -> LeftOut | None:
        """A reason to leave the check out where some control-plane nodes do not run the process."""
        absent = sorted(self.seen - set(pods))
        if not absent:
            return None
        return LeftOut(
            component,
            f"{name} runs on {len(pods)} of {len(self.seen)} control-plane nodes, not on {listed(absent)}, "
            "where the check would fail",
        )

    def apart(self, component: str, pods: Mapping[str, StaticPod], name: str) -> LeftOut | None:
        """A reason to leave the check out where the process has a network of its own, with another address per pod."""
        others = sorted(node for node, pod in pods.items() if not pod.host_network)
        if not others:
            return None
        return LeftOut(
            component,
            f"{name} on {listed(others)} is not on the host network, so it does not answer on the node's addresses",
            "`hostNetwork: true` in its static pod's manifest",
        )

    def unlabelled(self, component: str, endpoint: Endpoint) -> LeftOut | None:
        """A reason to leave the check out where some control-plane nodes lack the role's label (``runs_on``)."""
        bare = sorted(node.name for node in self.nodes if endpoint.runs_on not in node.labels)
        if not bare:
            return None
        return LeftOut(
            component,
            f"{len(bare)} of {_nodes(len(self.nodes), 'lacks', 'lack')} the label `{endpoint.runs_on}` "
            f"({listed(bare)}), where the check would fail",
            endpoint.fix,
        )

    def note_elsewhere(self, component: str, label: str) -> None:
        """Says so where nodes of the worker release run the component too: their agents have no check for it."""
        own = {node.name for node in self.nodes}
        others = [node.name for node in self.facts.nodes if label in node.labels and node.name not in own]
        if others:
            self.notes.append(
                f"{component}: not collected from {listed(others)} of the worker release, "
                f"which carry the label `{label}`"
            )

    def recall(self, component: str) -> Found | None:
        """What an earlier run found, for when it cannot be read now; None where it found nothing."""
        checks = self.remembered.get("checks")
        known = checks.get(component) if isinstance(checks, Mapping) else None
        if not isinstance(known, Mapping) or self.remembered.get("distribution") != self.distribution.name:
            return None
        if reason := known.get("leftOut"):
            return LeftOut(component, f"{reason} (remembered from the last run: {self.unreadable})")
        source = f"remembered from the last run; it could not be read now: {self.unreadable}"
        return [CheckInstance(component, dict(one), source) for one in known.get("instances") or ()] or None


def listed(names: Sequence[str], limit: int = 5) -> str:
    """`a`, `b` and 3 more."""
    shown = ", ".join(f"`{name}`" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _nodes(count: int, one: str, more: str) -> str:
    """A number of control-plane nodes, with the verb that fits it."""
    return f"1 control-plane node {one}" if count == 1 else f"{count} control-plane nodes {more}"
