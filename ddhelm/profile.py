"""Which distribution the cluster is, by which evidence, and what that implies.

Several distributions may be seen at once: a kind cluster shows all that a kubeadm cluster shows. The more special one
wins where its file says so (``extends``, ``over``); otherwise, and where nothing is seen, ddhelm stops with the
evidence and asks for ``--distribution``. It never guesses.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddhelm import components
from ddhelm.components import CheckInstance, HostFile, LeftOut
from ddhelm.distribution import PARTS, Confidence, Distribution, NodeKind, Requirement, ValuesPart
from ddhelm.errors import ClusterError, ConfigError
from ddhelm.facts import ClusterFacts, Node, Unread
from ddhelm.signals import Look, Sighting, matches
from ddhelm.tree import Tree

__all__ = ["CheckInstance", "Evidence", "HostFile", "LeftOut", "Profile", "ValuesPart", "kind_of", "of", "to_json"]

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Evidence:
    """One signal that was seen and whether it speaks for the conclusion or against it."""

    signal: str
    seen: str
    supports: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """What the cluster is and what follows: role labels, checks, values, requirements.

    ``managed``: there is one release only, and ``why_managed`` says why; otherwise the pair. ``values`` are in merge
    order. ``notes`` are sentences for the user; ``claimed`` says what is only documented, "" where nothing is.
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
    docs: str
    unread: tuple[Unread, ...]

    @property
    def control_plane_release(self) -> bool:
        """Whether there is a control-plane release beside the worker release."""
        return not self.managed

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
        }


def of(
    facts: ClusterFacts,
    distributions: Sequence[Distribution],
    *,
    node_kinds: Sequence[NodeKind] = (),
    override: str | None = None,
    remembered: Mapping[str, Any] | None = None,
) -> Profile:
    """The profile of a cluster.

    ``override`` is what ``--distribution`` named, ``remembered`` the ``to_record`` of an earlier run. Raises
    ClusterError (anchor ``unknown-distribution``) with the evidence where nothing or more than one thing was
    recognised, and ConfigError for a name that ``--distribution`` does not know.
    """
    known = {one.name: _resolved(one, distributions) for one in distributions}
    look = Look(facts, _role_keys(distributions))
    remembered = remembered or {}
    notes: list[str] = []
    chosen = _named(override, known) if override else _detected(look, known, remembered, notes)
    labels = _labels(chosen, facts, remembered)
    nodes = [node for node in facts.nodes if any(label in node.labels for label in labels)]
    why_managed = _why_one_release(chosen, facts, nodes)
    derived = components.Derived()
    if not why_managed:
        derived = components.derive(chosen, look, nodes, remembered)
    evidence = _evidence(chosen, known, look)
    if override and (against := [e for e in evidence if not e.supports]):
        notes.append(f"`--distribution {override}` was given although {against[0].signal} speaks against it")
    notes += derived.notes
    notes += [note.text for note in chosen.notes if look.all_hold(note.when)]
    notes += [variant.note for variant in chosen.variants if variant.note and look.all_hold(variant.when)]
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
        values=_values(chosen.name, distributions, node_kinds, look),
        requirements=tuple(need for need in chosen.requires if look.all_hold(need.when)),
        pod_security=chosen.pod_security,
        docs=chosen.docs,
        unread=facts.unread,
    )


def kind_of(node: Node, node_kinds: Iterable[NodeKind]) -> NodeKind | None:
    """The first kind of node that this one is (Windows, Fargate …), None for an ordinary one."""
    return next((kind for kind in node_kinds if any(matches(node, row) for row in kind.match)), None)


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
        "docs": profile.docs,
        "unread": [{"name": u.name, "what": u.what, "why": u.why} for u in profile.unread],
    }


# --- recognising -----------------------------------------------------------------------------------------------------


def _lineage(name: str, distributions: Sequence[Distribution]) -> list[Distribution]:
    """A distribution and what it extends, the most general first."""
    by_name = {one.name: one for one in distributions}
    line: list[Distribution] = []
    while name:
        if name not in by_name or any(one.name == name for one in line):
            raise ConfigError(
                f"`charts-values/distributions/{line[-1].name}.yaml` extends `{name}`, which "
                f"{'extends it in turn' if name in by_name else 'does not exist'}",
                hint="ls charts-values/distributions",
                anchor="wrong-distribution-file",
            )
        line.append(by_name[name])
        name = by_name[name].extends
    return line[::-1]


def _resolved(one: Distribution, distributions: Sequence[Distribution]) -> Distribution:
    """With what it leaves unsaid taken from what it extends. Its signals are its own."""
    line = _lineage(one.name, distributions)
    first, rest = line[0], line[1:]
    for child in rest:
        first = Distribution(
            name=child.name,
            title=child.title,
            also=child.also,
            extends=child.extends,
            over=child.over,
            confidence=child.confidence,
            claimed=child.claimed,
            managed=child.managed or first.managed,
            pod_security=child.pod_security or first.pod_security,
            files_untyped=child.files_untyped or first.files_untyped,
            docs=child.docs or first.docs,
            signals=child.signals,
            control_plane_labels=child.control_plane_labels or first.control_plane_labels,
            lone_control_plane_labels=child.lone_control_plane_labels or first.lone_control_plane_labels,
            components={**first.components, **child.components},
            requires=(*first.requires, *child.requires),
            notes=(*first.notes, *child.notes),
            variants=(*first.variants, *child.variants),
        )
    return first


def _role_keys(distributions: Sequence[Distribution]) -> list[str]:
    return [key for one in distributions for key in (*one.control_plane_labels, *one.lone_control_plane_labels)]


def _named(name: str, known: Mapping[str, Distribution]) -> Distribution:
    wanted = name.strip().lower()
    found = known.get(wanted) or next((one for one in known.values() if wanted in one.also), None)
    if found:
        return found
    names = sorted({*known, *(other for one in known.values() for other in one.also)})
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    raise ConfigError(
        f"no distribution is called `{name}`",
        hint=f"--distribution {close[0]}" if close else "--distribution kubeadm",
        anchor="unknown-distribution-name",
        details=[f"known: {', '.join(names)}"],
    )


def _detected(
    look: Look, known: Mapping[str, Distribution], remembered: Mapping[str, Any], notes: list[str]
) -> Distribution:
    candidates = {name: one for name, one in known.items() if _is_candidate(one, look)}
    beaten = {
        loser
        for name, one in candidates.items()
        for loser in (*one.over, *(parent for parent in _ancestors(one, known)))
    }
    winners = [one for name, one in candidates.items() if name not in beaten]
    if len(winners) == 1:
        return winners[0]
    before = remembered.get("distribution")
    if not winners and before in known and not look.facts.has("nodes"):
        notes.append(
            f"the nodes could not be read, so the distribution is taken from the last run: {known[str(before)].title}"
        )
        return known[str(before)]
    raise _ambiguous(winners, look) if winners else _unknown(look, known)


def _is_candidate(one: Distribution, look: Look) -> bool:
    signals = one.signals
    return (
        any(look.at(row).held for row in signals.decisive)
        and look.all_hold(signals.required)
        and not any(look.at(row).held for row in signals.contradicting)
    )


def _ancestors(one: Distribution, known: Mapping[str, Distribution]) -> Iterable[str]:
    name = one.extends
    while name in known:
        yield name
        name = known[name].extends


def _ambiguous(winners: Sequence[Distribution], look: Look) -> ClusterError:
    titles = " and ".join(f"{one.title}" for one in winners)
    return ClusterError(
        f"the cluster looks like {titles} at once",
        hint=" or ".join(f"--distribution {one.name}" for one in winners),
        anchor="unknown-distribution",
        details=[
            f"{one.title}: {_said(seen)}"
            for one in winners
            for row in one.signals.decisive
            if (seen := look.at(row)).held
        ],
    )


def _unknown(look: Look, known: Mapping[str, Distribution]) -> ClusterError:
    facts = look.facts
    near = [
        (one, [look.at(row) for row in one.signals.decisive if look.at(row).held])
        for one in known.values()
        if any(look.at(row).held for row in one.signals.decisive)
    ]
    if near:
        likely = near[0][0].name
    elif look.control_plane or facts.static_pods or not facts.has("nodes"):
        likely = "kubeadm"
    else:
        likely = "managed"
    details = [
        f"{one.title} is ruled out although {_said(sightings[0])}: {_why_not(one, look)}" for one, sightings in near
    ]
    return ClusterError(
        "the distribution of this cluster is unknown",
        hint=f"--distribution {likely}, if that is what it is (ddhelm detect --help lists the names)",
        anchor="unknown-distribution",
        details=[*details, *_seen(look), *(f"not read: {unread.what}: {unread.why}" for unread in facts.unread)],
    )


def _why_not(one: Distribution, look: Look) -> str:
    for row in one.signals.contradicting:
        if look.at(row).held:
            return _said(look.at(row))
    missing = next((row for row in one.signals.required if look.at(row).held is not True), None)
    if missing is None:
        return ""
    sighting = look.at(missing)
    return f"{sighting.signal} is needed, and it is {'not readable' if sighting.held is None else sighting.text}"


def _said(sighting: Sighting) -> str:
    return f"{sighting.signal} {sighting.text}"


def _seen(look: Look) -> list[str]:
    """What an unknown cluster shows, so that a person can tell what it is."""
    nodes = look.facts.nodes

    def values(what: str, texts: Iterable[str]) -> list[str]:
        found = sorted({text for text in texts if text})
        shown = ", ".join(f"`{text}`" for text in found[:_SHOWN])
        return [f"{what}: {shown}{' …' if len(found) > _SHOWN else ''}"] if found else []

    return [
        *values("Kubernetes version", [look.facts.server_version or ""]),
        f"nodes: {len(nodes)}, {len(look.control_plane)} of them with a control-plane label",
        *values("providerID", (node.provider_id.partition("://")[0] for node in nodes)),
        *values("osImage", (node.os_image for node in nodes)),
        *values("container runtime", (node.container_runtime for node in nodes)),
        *values("role labels", (key for node in nodes for key in node.labels if "node-role" in key)),
        *values("label domains", (key.partition("/")[0] for node in nodes for key in node.labels if "/" in key)),
        *values("static pods", (pod.component for pod in look.facts.static_pods)),
    ]


def _evidence(chosen: Distribution, known: Mapping[str, Distribution], look: Look) -> tuple[Evidence, ...]:
    signals = chosen.signals
    supporting = (*signals.decisive, *signals.required, *signals.supporting)
    found = [Evidence(s.signal, s.text, True) for row in supporting if (s := look.at(row)).held]
    found += [Evidence(s.signal, s.text, False) for row in signals.contradicting if (s := look.at(row)).held]
    found += [
        Evidence(s.signal, f"needed, but {s.text}", False)
        for row in signals.required
        if (s := look.at(row)).held is False
    ]
    own = {chosen.name, *chosen.over, *_ancestors(chosen, known)}
    shown = set(supporting)
    for other in known.values():
        if other.name in own or chosen.name in set(_ancestors(other, known)):
            continue
        found += [
            Evidence(s.signal, f"{s.text}; it would speak for {other.title}", False)
            for row in other.signals.decisive
            if row not in shown and (s := look.at(row)).held
        ]
    return tuple(dict.fromkeys(found))


# --- what follows ----------------------------------------------------------------------------------------------------


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


def _why_one_release(chosen: Distribution, facts: ClusterFacts, nodes: Sequence[Node]) -> str:
    if chosen.managed:
        return chosen.managed
    if nodes or not facts.has("nodes"):
        return ""
    keys = ", ".join(f"`{key}`" for key in (*chosen.control_plane_labels, *chosen.lone_control_plane_labels))
    return f"no node carries a control-plane label ({keys}): a control-plane release would run nowhere"


def _values(
    name: str, distributions: Sequence[Distribution], node_kinds: Sequence[NodeKind], look: Look
) -> tuple[ValuesPart, ...]:
    parts = []
    for one in _lineage(name, distributions):
        parts += [
            ValuesPart(one.name, ("values", role), role, one.values[role]) for role in PARTS if role in one.values
        ]
        for variant in one.variants:
            if look.all_hold(variant.when):
                at = ("variants", variant.index, "values")
                parts += [ValuesPart(one.name, (*at, role), role, tree) for role, tree in variant.values.items()]
    for kind in node_kinds:
        if kind.values and any(look.at(row).held for row in kind.match) and look.all_hold(kind.when):
            parts += [ValuesPart("node-kinds", (kind.name, "values", r), r, tree) for r, tree in kind.values.items()]
    return tuple(parts)
