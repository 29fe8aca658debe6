"""What the cluster is and what follows from it: role labels, checks, files, values, requirements.

Everything here comes out of the distribution's file and the facts; nothing knows a distribution by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ddhelm import components
from ddhelm.admission import Pattern
from ddhelm.controlplane import CheckInstance, HostFile, LeftOut
from ddhelm.distribution import PARTS, Confidence, Distribution, NodeKind, Requirement, ValuesPart
from ddhelm.facts import ClusterFacts, Unread
from ddhelm.nodes import Node
from ddhelm.podsecurity import Default
from ddhelm.recognition import Evidence, detected, evidence_for, lineage, named, resolved, role_keys
from ddhelm.signals import Look, every, matches
from ddhelm.tree import Path, Tree

__all__ = ["CheckInstance", "Evidence", "HostFile", "LeftOut", "Profile", "ValuesPart", "kind_of", "of", "to_json"]


class Profile(Struct, frozen=True):
    """What the cluster is and what follows: role labels, checks, values, requirements.

    ``managed``: there is one release only, and ``why_managed`` says why; otherwise the pair. ``values`` are in merge
    order; ``variants`` names those of them that a condition decides. ``notes`` are sentences for the user; ``claimed``
    says what is only documented, "" where nothing is. ``tolerations`` are those that the last run gave the Cluster
    Agent, where the nodes that decide about them cannot be read now.
    """

    distribution: str
    title: str
    confidence: Confidence
    claimed: str
    overridden: bool
    managed: bool
    why_managed: str
    control_plane_labels: tuple[str, ...]
    instances: tuple[CheckInstance, ...]
    left_out: tuple[LeftOut, ...]
    host_files: tuple[HostFile, ...]
    evidence: tuple[Evidence, ...]
    notes: tuple[str, ...]
    values: tuple[ValuesPart, ...]
    requirements: tuple[Requirement, ...]
    pod_security: str
    admission: tuple[Pattern, ...]
    docs: str
    unread: tuple[Unread, ...]
    variants: tuple[str, ...] = ()
    tolerations: tuple[Tree, ...] = ()
    pod_security_default: Default | None = None

    @property
    def control_plane_release(self) -> bool:
        """Whether there is a control-plane release beside the worker release."""
        return not self.managed

    @property
    def doubted(self) -> str:
        """The distribution that ``--distribution`` named against what the cluster shows, else empty."""
        return self.distribution if self.overridden and any(not each.supports for each in self.evidence) else ""

    def role_of(self, node: Node) -> str:
        """``control-plane`` or ``worker``: the release that a node belongs to."""
        return "control-plane" if any(label in node.labels for label in self.control_plane_labels) else "worker"

    def values_of(self, role: str) -> tuple[ValuesPart, ...]:
        """The values for one release, in merge order."""
        return tuple(part for part in self.values if part.role in {"both", role})

    def to_record(self) -> Tree:
        """What the next run may need if it cannot read what this one read."""
        checks: dict[str, Tree] = {one.component: {"leftOut": one.reason} for one in self.left_out}
        for one in self.instances:
            checks.setdefault(one.component, {"instances": []})["instances"].append(one.instance)
        return {
            "distribution": self.distribution,
            "managed": self.managed,
            "controlPlaneLabels": list(self.control_plane_labels),
            "checks": checks,
            **({"variants": list(self.variants)} if self.variants else {}),
        }


def of(
    facts: ClusterFacts,
    distributions: Sequence[Distribution],
    *,
    node_kinds: Sequence[NodeKind] = (),
    override: str | None = None,
    remembered: Mapping[str, Any] | None = None,
    own_certificate: bool = False,
    without_listener: bool = False,
) -> Profile:
    """The profile of a cluster.

    ``override`` is what ``--distribution`` named, ``remembered`` the ``to_record`` of an earlier run; for the switches
    see ``ControlPlane``. Raises ClusterError (anchor ``unknown-distribution``) with the evidence where nothing or more
    than one thing was recognised, ConfigError for a name that ``--distribution`` does not know.
    """
    known = {one.name: resolved(one, distributions) for one in distributions}
    look, remembered = Look(facts, role_keys(distributions)), remembered or {}
    notes: list[str] = []
    chosen = named(override, known) if override else detected(look, known, remembered, notes)
    before = remembered if remembered.get("distribution") == chosen.name else {}
    values = _Values(look, before, lineage(chosen.name, distributions), node_kinds)
    labels = _labels(chosen, facts, remembered)
    nodes = [node for node in facts.nodes if any(label in node.labels for label in labels)]
    why_managed = _why_one_release(chosen, facts, nodes, remembered)
    ways = {"own_certificate": own_certificate, "without_listener": without_listener}
    derived = components.Derived() if why_managed else components.derive(chosen, look, nodes, remembered, **ways)
    evidence = evidence_for(chosen, known, look)
    notes += [*_against(override, evidence), *derived.notes, *_notes(chosen, look), *values.notes]
    return Profile(
        distribution=chosen.name,
        title=chosen.title,
        confidence=chosen.confidence,
        claimed=chosen.claimed,
        overridden=bool(override),
        managed=bool(why_managed),
        why_managed=why_managed,
        control_plane_labels=() if why_managed else labels,
        instances=derived.instances,
        left_out=derived.left_out,
        host_files=derived.host_files,
        evidence=evidence,
        notes=tuple(dict.fromkeys(notes)),
        values=tuple(values.parts),
        requirements=tuple(need for need in chosen.requires if look.all_hold(need.when)),
        pod_security=chosen.pod_security,
        admission=chosen.admission,
        docs=chosen.docs,
        unread=facts.unread,
        variants=tuple(values.held),
        pod_security_default=chosen.pod_security_default,
        tolerations=() if facts.has("nodes") else tuple(_list(before, "clusterAgentTolerations")),
    )


def kind_of(node: Node, node_kinds: Iterable[NodeKind]) -> NodeKind | None:
    """The first kind of node that this one is (Windows, Fargate …), None for an ordinary one."""
    return next((kind for kind in node_kinds if any(matches(node, row) for row in kind.match)), None)


class Kinds:
    """``kind_of`` for many nodes: those that are alike in all that is looked at are asked once."""

    def __init__(self, node_kinds: Sequence[NodeKind]) -> None:
        self._kinds = node_kinds
        rows = [row for kind in node_kinds for row in kind.match]
        self._keys = sorted({row.pattern.partition("=")[0] for row in rows if row.field == "node.label"})
        exact = all("*" not in key for key in self._keys)
        self._alike = exact and {row.field for row in rows} <= {"node.label", "node.taint", "node.osImage"}
        self._known: dict[tuple[object, ...], NodeKind | None] = {}

    def __call__(self, node: Node) -> NodeKind | None:
        if not self._alike:
            return kind_of(node, self._kinds)
        looks = (*map(node.labels.get, self._keys), node.taints, node.os_image)
        if looks not in self._known:
            self._known[looks] = kind_of(node, self._kinds)
        return self._known[looks]


def to_json(profile: Profile) -> Tree:
    """The profile as a JSON tree, complete."""
    return {
        "distribution": profile.distribution,
        "title": profile.title,
        "confidence": profile.confidence,
        "claimed": profile.claimed,
        "overridden": profile.overridden,
        "managed": profile.managed,
        "whyManaged": profile.why_managed,
        "controlPlaneLabels": list(profile.control_plane_labels),
        "checks": [
            {"component": i.component, "instance": i.instance, "source": i.source, "claimed": i.claimed}
            for i in profile.instances
        ],
        "leftOut": [{"component": one.component, "reason": one.reason, "fix": one.fix} for one in profile.left_out],
        "hostFiles": [
            {"path": f.path, "kind": f.kind, "purpose": f.purpose, "component": f.component} for f in profile.host_files
        ],
        "evidence": [{"signal": e.signal, "seen": e.seen, "supports": e.supports} for e in profile.evidence],
        "notes": list(profile.notes),
        "values": [{"file": v.file, "role": v.role, "values": v.tree} for v in profile.values],
        "requirements": [{"kind": r.kind, "spec": r.spec, "why": r.why, "hint": r.hint} for r in profile.requirements],
        "podSecurity": profile.pod_security,
        "admission": [list(pattern) for pattern in profile.admission],
        "docs": profile.docs,
        "unread": [{"name": u.name, "what": u.what, "why": u.why} for u in profile.unread],
    }


def _against(override: str | None, evidence: Sequence[Evidence]) -> list[str]:
    """What speaks against the distribution that was named."""
    against = [each for each in evidence if not each.supports] if override else []
    if not against:
        return []
    first = f"{against[0].signal} ({against[0].seen})"
    return [f"`--distribution {override}` was given, and this speaks against it: {first}"]


def _notes(chosen: Distribution, look: Look) -> list[str]:
    conditional = [(n.text, n.when) for n in chosen.notes] + [(v.note, v.when) for v in chosen.variants if v.note]
    return [text for text, when in conditional if look.all_hold(when)]


def _labels(chosen: Distribution, facts: ClusterFacts, remembered: Mapping[str, Any]) -> tuple[str, ...]:
    """The fixed list of the distribution, and labels that some node carries alone.

    What was in the list stays in it: a list that follows the nodes would restart every agent when one label changes.
    """
    fixed = chosen.control_plane_labels
    before = remembered.get("controlPlaneLabels") or () if remembered.get("distribution") == chosen.name else ()
    lone = [
        label
        for label in chosen.lone_control_plane_labels
        if label in before
        or any(label in node.labels and not any(other in node.labels for other in fixed) for node in facts.nodes)
    ]
    return (*fixed, *lone)


def _why_one_release(
    chosen: Distribution, facts: ClusterFacts, nodes: Sequence[Node], remembered: Mapping[str, Any]
) -> str:
    if chosen.managed:
        return chosen.managed
    if not facts.has("nodes"):
        same = remembered.get("distribution") == chosen.name and remembered.get("managed")
        return "the nodes could not be read, and the last run found no control-plane node" if same else ""
    if nodes:
        return ""
    keys = ", ".join(f"`{key}`" for key in (*chosen.control_plane_labels, *chosen.lone_control_plane_labels))
    return f"no node carries a control-plane label ({keys}): a control-plane release would run nowhere"


def _list(remembered: Mapping[str, Any], key: str) -> Sequence[Any]:
    """A list that was remembered; none where somebody has altered the record."""
    found = remembered.get(key)
    return found if isinstance(found, list) else ()


class _Values:
    """The values of a distribution in merge order, with those whose condition holds, or held when it was read last."""

    def __init__(
        self,
        look: Look,
        before: Mapping[str, Any],
        distributions: Iterable[Distribution],
        node_kinds: Iterable[NodeKind],
    ) -> None:
        self.parts: list[ValuesPart] = []
        self.held: list[str] = []
        self._recalled: list[str] = []
        self._look = look
        self._before = _list(before, "variants")
        for one in distributions:
            self.parts += [
                ValuesPart(one.name, ("values", role), role, one.values[role]) for role in PARTS if role in one.values
            ]
            for variant in one.variants:
                if self._holds(f"{one.name}/{variant.index}", self._look.verdict(variant.when)):
                    self._add(one.name, ("variants", variant.index, "values"), variant.values)
        for kind in node_kinds:
            if kind.values and self._holds(f"node-kinds/{kind.name}", self._of_kind(kind)):
                self._add("node-kinds", (kind.name, "values"), kind.values)

    @property
    def notes(self) -> list[str]:
        if not self._recalled:
            return []
        names = ", ".join(f"`{name}`" for name in self._recalled)
        return [f"values of {names} are kept from the last run: what decides about them could not be read"]

    def _add(self, file: str, at: Path, values: Mapping[str, Tree]) -> None:
        self.parts += [ValuesPart(file, (*at, role), role, tree) for role, tree in values.items()]

    def _holds(self, name: str, verdict: bool | None) -> bool:
        if verdict is None and name in self._before:
            self._recalled.append(name)
        elif not verdict:
            return False
        self.held.append(name)
        return True

    def _of_kind(self, kind: NodeKind) -> bool | None:
        seen = {self._look.at(row).held for row in kind.match}
        some = True if True in seen else None if None in seen else False
        return every((some, self._look.verdict(kind.when)))
