"""Which distribution a cluster is, and by which evidence.

Several may be seen at once: a kind cluster shows all that a kubeadm cluster shows. The more special one wins where its
file says so (``extends``, ``over``); otherwise, and where nothing is seen, ddhelm stops with the evidence and asks for
``--distribution``. It never guesses.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ddhelm.distribution import Distribution
from ddhelm.errors import ClusterError, ConfigError
from ddhelm.signals import Look, Sighting

_SHOWN = 12


class Evidence(Struct, frozen=True):
    """One signal that was seen and whether it speaks for the conclusion or against it."""

    signal: str
    seen: str
    supports: bool


def lineage(name: str, distributions: Sequence[Distribution]) -> list[Distribution]:
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


def resolved(one: Distribution, distributions: Sequence[Distribution]) -> Distribution:
    """With what it leaves unsaid taken from what it extends. Its signals, titles and values stay its own."""
    return reduce(_laid_over, lineage(one.name, distributions))


def _laid_over(parent: Distribution, child: Distribution) -> Distribution:
    return replace(
        child,
        managed=child.managed or parent.managed,
        pod_security=child.pod_security or parent.pod_security,
        pod_security_default=child.pod_security_default or parent.pod_security_default,
        files_untyped=child.files_untyped or parent.files_untyped,
        admission=(*parent.admission, *child.admission),
        docs=child.docs or parent.docs,
        control_plane_labels=child.control_plane_labels or parent.control_plane_labels,
        lone_control_plane_labels=child.lone_control_plane_labels or parent.lone_control_plane_labels,
        components={**parent.components, **child.components},
        variants=(*parent.variants, *child.variants),
        requires=(*parent.requires, *child.requires),
        notes=(*parent.notes, *child.notes),
    )


def role_keys(distributions: Sequence[Distribution]) -> list[str]:
    """Every label key by which some distribution marks its control plane."""
    return [key for one in distributions for key in (*one.control_plane_labels, *one.lone_control_plane_labels)]


def named(name: str, known: Mapping[str, Distribution]) -> Distribution:
    """The distribution that ``--distribution`` names, by any of its names; ConfigError for one that nobody knows."""
    wanted = name.strip().lower()
    found = known.get(wanted) or next((one for one in known.values() if wanted in one.also), None)
    if found:
        return found
    names = sorted({*known, *(other for one in known.values() for other in one.also)})
    # a wrong guess that is pasted installs for another distribution
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.75)
    raise ConfigError(
        f"no distribution is called `{name}`",
        hint=f"--distribution {close[0]}" if close else "ddhelm detect",
        anchor="unknown-distribution-name",
        details=[f"known: {', '.join(names)}"],
    )


def detected(
    look: Look, known: Mapping[str, Distribution], remembered: Mapping[str, Any], notes: list[str]
) -> Distribution:
    """The one distribution that the cluster shows.

    Where the nodes could not be read and nothing else tells, the one that the last run found (a note says so). Raises
    ClusterError with the evidence where none or more than one is left.
    """
    candidates = {name: one for name, one in known.items() if _is_candidate(one, look)}
    beaten = {loser for one in candidates.values() for loser in (*one.over, *_ancestors(one, known))}
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
        bool(_decisive(one, look))
        and look.all_hold(signals.required)
        and not any(look.at(row).held for row in signals.contradicting)
    )


def _ancestors(one: Distribution, known: Mapping[str, Distribution]) -> Iterator[str]:
    name = one.extends
    while name in known:
        yield name
        name = known[name].extends


def _ambiguous(winners: Sequence[Distribution], look: Look) -> ClusterError:
    titles = " and ".join(one.title for one in winners)
    return ClusterError(
        f"the cluster looks like {titles} at once",
        hint=" or ".join(f"--distribution {one.name}" for one in winners),
        anchor="unknown-distribution",
        details=[f"{one.title}: {_said(seen)}" for one in winners for seen in _decisive(one, look)],
    )


def _unknown(look: Look, known: Mapping[str, Distribution]) -> ClusterError:
    facts = look.facts
    near = [(one, seen) for one in known.values() if (seen := _decisive(one, look))]
    hidden = facts.has("nodes") and not look.control_plane and not facts.static_pods
    likely = next((one.name for one, _ in near if bool(one.managed) is hidden), "managed" if hidden else "kubeadm")
    details = [f"it is not {one.title} ({_said(seen[0])}): {_why_not(one, look)}" for one, seen in near]
    details += _seen(look)
    details += [f"not read: {unread.what}: {unread.why}" for unread in facts.unread]
    details.append(f"names for --distribution: {', '.join(sorted(known))}")
    if not facts.has("nodes"):
        return ClusterError(
            "the distribution of this cluster cannot be told: its nodes could not be read",
            hint="kubectl auth can-i list nodes; or name it: --distribution NAME",
            anchor="unknown-distribution",
            details=details,
        )
    return ClusterError(
        "the distribution of this cluster is unknown",
        hint=f"--distribution {likely}, if that is what it is",
        anchor="unknown-distribution",
        details=details,
    )


def _decisive(one: Distribution, look: Look) -> list[Sighting]:
    return [look.at(row) for row in one.signals.decisive if look.at(row).held]


def _why_not(one: Distribution, look: Look) -> str:
    for row in one.signals.contradicting:
        if look.at(row).held:
            return _said(look.at(row))
    missing = next((row for row in one.signals.required if look.at(row).held is not True), None)
    if missing is None:
        return ""
    sighting = look.at(missing)
    return f"needed: {sighting.signal}; seen: {sighting.text}"


def _said(sighting: Sighting) -> str:
    return f"{sighting.signal}: {sighting.text}"


def _seen(look: Look) -> list[str]:
    """What an unknown cluster shows, so that a person can tell what it is."""
    nodes = look.facts.nodes

    def values(what: str, texts: Iterable[str]) -> list[str]:
        found = sorted({text for text in texts if text})
        shown = ", ".join(f"`{text}`" for text in found[:_SHOWN])
        return [f"{what}: {shown}{' …' if len(found) > _SHOWN else ''}"] if found else []

    return [
        *values("Kubernetes version", [look.facts.server_version or ""]),
        f"nodes: {len(nodes)}, {len(look.control_plane)} of them with a control-plane label"
        if look.facts.has("nodes")
        else "nodes: not read",
        *values("providerID", (node.provider_id.partition("://")[0] for node in nodes)),
        *values("osImage", (node.os_image for node in nodes)),
        *values("container runtime", (node.container_runtime for node in nodes)),
        *values("role labels", (key for node in nodes for key in node.labels if "node-role" in key)),
        *values("label domains", (key.partition("/")[0] for node in nodes for key in node.labels if "/" in key)),
        *values("static pods", (pod.component for pod in look.facts.static_pods)),
    ]


def evidence_for(chosen: Distribution, known: Mapping[str, Distribution], look: Look) -> tuple[Evidence, ...]:
    """What speaks for and against a distribution: its own signals, and those that would decide for another."""
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
            for s in _decisive(other, look)
            if s.row not in shown
        ]
    return tuple(dict.fromkeys(found))
