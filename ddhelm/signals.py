"""Looks in the facts for what distributions are recognised by, and says in words what it saw.

A row of a distribution file asks one question of the facts. The answer may be "could not be read", which is neither
yes nor no: a cluster that hides its nodes must not look like one without control-plane nodes.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from msgspec import Struct

from ddhelm.distribution import Row
from ddhelm.facts import ClusterFacts, version_of
from ddhelm.nodes import Node

_WORDS: Mapping[str, str] = {
    "node.label": "label",
    "node.annotation": "annotation",
    "node.taint": "taint",
    "node.name": "node name",
    "node.providerID": "providerID",
    "node.osImage": "osImage",
    "node.runtime": "container runtime",
    "node.kubeletVersion": "kubelet version",
    "server.gitVersion": "Kubernetes version",
    "api.group": "API group",
    "configmap": "ConfigMap",
    "control-plane-nodes": "control-plane nodes",
    "worker-nodes": "worker nodes",
    "static-pods": "static pods of the control plane",
    "kubernetes": "Kubernetes",
}

_COUNTED = frozenset({"control-plane-nodes", "worker-nodes", "static-pods"})
_COUNTS: Mapping[str, str] = {"some": "", "none": "no ", "several": "several "}


class Sighting(Struct, frozen=True):
    """The answer to one row: ``held`` is None where it could not be read; ``text`` says what was seen."""

    row: Row
    held: bool | None
    text: str = ""

    @property
    def signal(self) -> str:
        """The row in words: ``label `kops.k8s.io/instancegroup```, ``no control-plane nodes``."""
        if self.row.field in _COUNTED:
            return f"{_COUNTS[self.row.pattern]}{_WORDS[self.row.field]}"
        return f"{_WORDS[self.row.field]} `{self.row.pattern}`"


def every(answers: Iterable[bool | None]) -> bool | None:
    """Whether all answers are yes; None where none of them is no and one could not be read."""
    seen = set(answers)
    return False if False in seen else None if None in seen else True


class Look:
    """Answers rows about one cluster; ``role_keys`` are the labels by which any distribution marks a control plane."""

    def __init__(self, facts: ClusterFacts, role_keys: Iterable[str]) -> None:
        self.facts = facts
        self._role_keys = tuple(dict.fromkeys(role_keys))
        self._label_keys = Counter(key for node in facts.nodes for key in node.labels)
        self._annotation_keys = Counter(key for node in facts.nodes for key in node.annotations)
        self._known: dict[Row, Sighting] = {}
        self._texts: dict[tuple[str, str], Counter[str]] = {}

    @property
    def control_plane(self) -> tuple[Node, ...]:
        """The nodes that carry a control-plane label of any distribution."""
        keys = [key for key in self._role_keys if key in self._label_keys]
        return tuple(node for node in self.facts.nodes if any(key in node.labels for key in keys))

    def at(self, row: Row) -> Sighting:
        """What the facts say to a row; asked twice, answered from memory."""
        if row not in self._known:
            self._known[row] = self._look(row)
        return self._known[row]

    def all_hold(self, rows: Iterable[Row]) -> bool:
        """Whether every row holds; one that could not be read does not."""
        return self.verdict(rows) is True

    def verdict(self, rows: Iterable[Row]) -> bool | None:
        """Whether every row holds; None where none speaks against it and one could not be read."""
        return every(self.at(row).held for row in rows)

    def _look(self, row: Row) -> Sighting:
        if row.field.startswith("node."):
            return self._on_nodes(row)
        read, held, text = self._elsewhere(row)
        return Sighting(row, held if read else None, text if read else "not readable")

    def _elsewhere(self, row: Row) -> tuple[bool, bool, str]:
        facts, want = self.facts, row.pattern
        match row.field:
            case "server.gitVersion":
                seen = facts.server_version or ""
                return facts.server_version is not None, bool(_glob(want).fullmatch(seen)), f"it is `{seen}`"
            case "kubernetes":
                operator, number = (">=", want[2:]) if want.startswith(">=") else ("<", want[1:])
                newer = facts.version >= version_of(number)
                return facts.version != (0, 0, 0), newer is (operator == ">="), f"it is `{facts.server_version}`"
            case "api.group":
                groups = {group.partition("/")[0] for group in facts.api_groups if "/" in group}
                served = any(_glob(want).fullmatch(group) for group in groups)
                return facts.has("groups"), served, "is served" if served else "is not served"
            case "configmap":
                exists = facts.kubeadm_config is not None
                return facts.has("kubeadm-config"), exists, "exists in kube-system" if exists else "is not there"
            case "static-pods":
                some = bool(facts.static_pods)
                return (
                    some or facts.has("static-pods") or facts.has("static-pods-by-app"),
                    some is (want == "some"),
                    f"{len(facts.static_pods)} seen",
                )
            case _:
                total, planes = len(facts.nodes), len(self.control_plane)
                count = planes if row.field == "control-plane-nodes" else total - planes
                held = {"some": count > 0, "none": count == 0, "several": count > 1}[want]
                return facts.has("nodes"), held, f"{count} of {total} nodes"

    def _on_nodes(self, row: Row) -> Sighting:
        if not self.facts.has("nodes"):
            return Sighting(row, None, "not readable")
        total = len(self.facts.nodes)
        count, example = self._count(row)
        held = count == total > 0 if row.everywhere else count > 0
        text = f"on {count} of {total} nodes"
        return Sighting(row, held, f"{text}, such as `{example}`" if example and example != row.pattern else text)

    def _count(self, row: Row) -> tuple[int, str]:
        key, equals, _ = row.pattern.partition("=")
        if row.field in {"node.label", "node.annotation"} and not equals:
            keys = self._label_keys if row.field == "node.label" else self._annotation_keys
            if "*" not in key:
                return keys[key], ""
            matching = [found for found in keys if _glob(key).fullmatch(found)]
            return max((keys[found] for found in matching), default=0), min(matching, default="")
        glob = _glob(row.pattern)
        seen = Counter({text: often for text, often in self._said(row).items() if glob.fullmatch(text)})
        return seen.total(), seen.most_common(1)[0][0] if seen else ""

    def _said(self, row: Row) -> Counter[str]:
        """What all nodes have to say to a row, and how often: many rows ask for the same."""
        about = row.field, row.pattern.partition("=")[0] if row.field in {"node.label", "node.annotation"} else ""
        if about not in self._texts:
            self._texts[about] = Counter(text for node in self.facts.nodes for text in _texts(node, row))
        return self._texts[about]


def matches(node: Node, row: Row) -> bool:
    """Whether one node shows what a ``node.…`` row asks for."""
    if row.field in {"node.label", "node.annotation"} and "=" not in row.pattern:
        keys = node.labels if row.field == "node.label" else node.annotations
        return any(_glob(row.pattern).fullmatch(key) for key in keys)
    return any(_glob(row.pattern).fullmatch(text) for text in _texts(node, row))


def _texts(node: Node, row: Row) -> Iterator[str]:
    """What a node has to say to a row; at most one text of it can match."""
    match row.field:
        case "node.label" | "node.annotation":
            key = row.pattern.partition("=")[0]
            pairs = node.labels if row.field == "node.label" else node.annotations
            if key in pairs:
                yield f"{key}={pairs[key]}"
        case "node.taint":
            yield from dict.fromkeys(taint.key for taint in node.taints)
        case "node.name":
            yield node.name
        case "node.providerID":
            yield node.provider_id
        case "node.osImage":
            yield node.os_image
        case "node.runtime":
            yield node.container_runtime
        case "node.kubeletVersion":
            yield node.kubelet_version


@lru_cache(maxsize=512)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
