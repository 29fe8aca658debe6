"""The rules by which Kubernetes decides whether a pod may run on a node, applied to nodes that were read.

Node selector, required node affinity, taints and tolerations: the parts that the DaemonSet controller and the
scheduler look at (Kubernetes 1.36, `NodeShouldRunDaemonPod` and component-helpers' `nodeaffinity`). What depends on
running pods (resources, spreading) is not decided here. Held against the real controller by the cluster tests.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ddhelm.nodes import Node, Taint
from ddhelm.selector import Requirement
from ddhelm.tree import Tree, get

NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
_FIELD = "metadata.name"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class Toleration(Struct, frozen=True):
    """One toleration; an empty ``effect`` stands for all, an empty ``key`` with Exists for all keys."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def tolerates(self, taint: Taint) -> bool:
        """Whether the taint is tolerated. The operators Lt and Gt (alpha, off by default) tolerate nothing."""
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator in {"", "Equal"}:
            return self.value == taint.value
        return self.operator == "Exists"


# What the DaemonSet controller adds to every pod it makes (AddOrUpdateDaemonPodTolerations, Kubernetes 1.18 to 1.36).
_DAEMON = (
    *(Toleration(f"node.kubernetes.io/{name}", "Exists", effect=NO_EXECUTE) for name in ("not-ready", "unreachable")),
    *(
        Toleration(f"node.kubernetes.io/{name}", "Exists", effect=NO_SCHEDULE)
        for name in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
    ),
)
_HOST_NETWORK = Toleration("node.kubernetes.io/network-unavailable", "Exists", effect=NO_SCHEDULE)


class Term(Struct, frozen=True):
    """One term of a required node affinity: all expressions and fields must match. ``valid``: Kubernetes takes it."""

    expressions: tuple[Requirement, ...]
    fields: tuple[Requirement, ...]
    valid: bool

    def failures(self, node: Node) -> tuple[Requirement, ...]:
        """The conditions that the node does not meet."""
        missed = [r for r in self.expressions if not r.matches(node.labels)]
        name = {_FIELD: node.name}
        return (*missed, *(r for r in self.fields if not r.matches(name)))


class Rules(Struct, frozen=True):
    """Where a pod may run: the compiled form of a pod spec's scheduling fields.

    ``terms`` is None without a required node affinity; an empty tuple matches no node.
    """

    selector: tuple[Requirement, ...]
    terms: tuple[Term, ...] | None
    tolerations: tuple[Toleration, ...]
    node_name: str = ""

    def keys(self) -> frozenset[str]:
        """Every label key that these rules look at."""
        found = {requirement.key for requirement in self.selector}
        for term in self.terms or ():
            found |= {requirement.key for requirement in term.expressions}
        return frozenset(found)

    def by_name(self) -> bool:
        """Whether the node's name plays a part."""
        return bool(self.node_name) or any(term.fields for term in self.terms or ())

    def missed(self, node: Node) -> tuple[Requirement, ...] | None:
        """The conditions on labels and name that the node does not meet: those of the nearest affinity term.

        Empty: the node matches. None: the affinity can match no node at all.
        """
        if self.node_name and self.node_name != node.name:
            return (Requirement(_FIELD, "In", (self.node_name,)),)
        missed = tuple(r for r in self.selector if not r.matches(node.labels))
        if self.terms is None:
            return missed
        failures = [term.failures(node) for term in self.terms if term.valid]
        if not failures:
            return None
        return (*missed, *min(failures, key=len))

    def untolerated(self, taints: Iterable[Taint]) -> tuple[Taint, ...]:
        """The taints that keep the pod off: NoSchedule and NoExecute ones that nothing tolerates."""
        return tuple(
            taint
            for taint in taints
            if taint.effect in {NO_SCHEDULE, NO_EXECUTE} and not any(t.tolerates(taint) for t in self.tolerations)
        )


def rules(pod: Mapping[str, Any], *, daemon: bool) -> Rules:
    """The scheduling rules of a pod spec; ``daemon`` adds the tolerations that the DaemonSet controller adds."""
    affinity = get(pod, ("affinity", "nodeAffinity", _REQUIRED))
    terms = None if affinity is None else tuple(_terms(affinity.get("nodeSelectorTerms") or ()))
    tolerations = tuple(toleration(item) for item in pod.get("tolerations") or ())
    if daemon:
        tolerations += (*_DAEMON, *((_HOST_NETWORK,) if pod.get("hostNetwork") else ()))
    selector = pod.get("nodeSelector") or {}
    return Rules(
        tuple(Requirement(str(key), "In", (str(value),)) for key, value in selector.items()),
        terms,
        tolerations,
        str(pod.get("nodeName") or ""),
    )


def toleration(item: Mapping[str, Any]) -> Toleration:
    """A toleration from its tree."""
    fields = ("key", "operator", "value", "effect")
    key, operator, value, effect = (str(item.get(field) or "") for field in fields)
    return Toleration(key, operator or "Equal", value, effect)


def _terms(items: Sequence[Tree]) -> Iterable[Term]:
    for item in items:
        expressions = tuple(_requirements(item.get("matchExpressions") or ()))
        fields = tuple(_requirements(item.get("matchFields") or ()))
        if not expressions and not fields:
            continue  # an empty term selects nothing
        sound = all(r.valid for r in expressions)
        sound = sound and all(r.operator in {"In", "NotIn"} and len(r.values) == 1 for r in fields)
        yield Term(expressions, fields, sound)


def _requirements(items: Sequence[Tree]) -> Iterable[Requirement]:
    for item in items:
        values = tuple(str(value) for value in item.get("values") or ())
        yield Requirement(str(item.get("key", "")), str(item.get("operator", "")), values)
