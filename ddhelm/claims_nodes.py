"""Claims on the nodes: one agent each, none forgotten in silence, and no two pods that want the same port or path."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from itertools import combinations
from typing import TypeVar

from ddhelm.claim import (
    Caution,
    Claim,
    Finding,
    OtherDaemonSet,
    ProofContext,
    Prove,
    ReleaseView,
    Remark,
    Severity,
    Undecided,
    environment,
    names,
    pod_spec,
    written_paths,
)
from ddhelm.coverage import HostPort, Placement, Verdict, agent_placements, compute
from ddhelm.tree import Tree
from ddhelm.workloads import AGENT_CONTAINER

K = TypeVar("K")

_AGENT_PORTS = {"DD_CMD_PORT": 5001, "DD_EXPVAR_PORT": 5000, "DD_HEALTH_PORT": 5555}
"""Ports of the agent that no pod declares, so that no scheduler knows of them; the variable moves each."""

_SWITCHES = {(AGENT_CONTAINER, "UDP"): ("dogstatsd", "useHostPort"), ("trace-agent", "TCP"): ("apm", "portEnabled")}
"""Container and protocol of a port to the chart's key for it below `datadog`, and to the switch of the host port."""


def nodes_known(context: ProofContext) -> Iterator[Finding]:
    if not context.nodes:
        yield Finding(_no_nodes(context))


def _no_nodes(context: ProofContext) -> str:
    return f"the nodes were not read: {context.nodes_unread}" if context.nodes_unread else "the cluster has no nodes"


def _on_nodes(prove: Prove) -> Prove:
    """What is claimed of nodes, undecided where none is known: nothing speaks against it then, and nothing for it."""

    @wraps(prove)
    def proven(context: ProofContext) -> Iterator[Finding]:
        if not context.nodes:
            raise Undecided("the nodes were not read" if context.nodes_unread else "no nodes", "kubectl get nodes")
        yield from prove(context)

    return proven


@_on_nodes
def one_agent_per_node(context: ProofContext) -> Iterator[Finding]:
    for releases, verdicts in _groups(context.coverage.doubled, lambda v: v.releases):
        found = [verdict.node for verdict in verdicts]
        gets = "gets" if len(found) == 1 else "get"
        yield Finding(f"{_nodes(found)} {gets} an agent of `{'` and of `'.join(releases)}`: {names(found)}")


def no_gap(context: ProofContext) -> Iterator[Finding]:
    if not context.nodes and context.require_coverage:
        yield Finding(_no_nodes(context), "kubectl get nodes")
        return
    yield from _gaps(context)


@_on_nodes
def _gaps(context: ProofContext) -> Iterator[Finding]:
    for blame, verdicts in _groups(context.coverage.uncovered, lambda v: v.blame):
        found = [verdict.node for verdict in verdicts]
        text = f"{_nodes(found)} without an agent ({names(found)})" + (f": {blame.text}" if blame else "")
        yield Finding(text, verdicts[0].fix)
    for blame, verdicts in _groups(context.coverage.transient, lambda v: v.blame):
        found = [verdict.node for verdict in verdicts]
        yield Remark(f"{_nodes(found)} without an agent for now ({names(found)}): {blame.text if blame else ''}")


@_on_nodes
def survive_restart(context: ProofContext) -> Iterator[Finding]:
    """No agent runs on a node that would not take it again.

    A taint with ``NoSchedule`` that came later leaves what runs there alone, and keeps out its successor.
    """
    at_stake = [v for v in context.coverage.until_restart if not v.accepted and not v.transient]
    unseen = [verdict.node for verdict in at_stake if verdict.node not in context.running]
    running = [verdict for verdict in at_stake if context.running.get(verdict.node)]
    if unseen and not running:
        look = f"kubectl -n {context.namespace} get pods -o wide"
        raise Undecided(f"the pods on {_nodes(unseen)} were not read: {names(unseen)}", look)
    for blame, verdicts in _groups(running, lambda v: v.blame):
        found = [verdict.node for verdict in verdicts]
        why = f": {blame.text}" if blame else ""
        one = len(found) == 1
        which = "an agent that still runs" if one else "agents that still run"
        text = f"{which} on {_nodes(found)} {'does' if one else 'do'} not come back after a restart ({names(found)})"
        yield Finding(f"{text}{why}", verdicts[0].fix)
    if unseen:
        were = "was" if len(unseen) == 1 else "were"
        yield Remark(f"the same may be so on {_nodes(unseen)} that {were} not looked at: {names(unseen)}")


@_on_nodes
def host_ports_free(context: ProofContext) -> Iterator[Finding]:
    """No two pods of a node want one host port: ours among them, and ours beside those of other DaemonSets."""
    clashing = [verdict for verdict in context.coverage.verdicts if verdict.port_clash]
    for (releases, ports), verdicts in _groups(clashing, lambda v: (v.releases, v.port_clash)):
        found = [verdict.node for verdict in verdicts]
        yield Finding(f"`{'` and `'.join(releases)}` both want {', '.join(ports)} on {_nodes(found)}: {names(found)}")
    taken = list(_taken_by_others(context))
    if context.live.daemonsets is None and not clashing:
        raise Undecided("the DaemonSets of the cluster were not read", "kubectl get daemonsets -A")
    yield from taken


def _taken_by_others(context: ProofContext) -> Iterator[Finding]:
    """Ports that another DaemonSet's pods hold on nodes of ours, by the rules of the scheduler."""
    ours = [placed for release in context.releases for placed in _placements(release) if placed.host_ports]
    named = {(o.ref.namespace, o.ref.name) for each in context.releases for o in each.manifest.of_kind("DaemonSet")}
    for other in context.live.daemonsets or ():
        if (other.namespace, other.name) in named:
            continue  # our own, of which somebody has altered whose it is
        if other.agent and not context.allow_second_agent:
            continue  # that it is there at all is said by `no-other-agent`
        for placed in ours:
            clash = _clash(placed, other.placement)
            both = compute(context.nodes, (placed, other.placement)).verdicts if clash else ()
            found = [verdict.node for verdict in both if verdict.port_clash]
            if found:
                ports = ", ".join(dict.fromkeys(map(str, clash)))
                yield Finding(
                    f"{other} takes {ports} on {_nodes(found)} where `{placed.release}` wants it: {names(found)}",
                    _another_port(placed, clash),
                )


def _placements(release: ReleaseView) -> tuple[Placement, ...]:
    return agent_placements(release.manifest, release.name, release.role)


def _clash(ours: Placement, theirs: Placement) -> list[HostPort]:
    return [port for port in ours.host_ports if any(port.clashes(other) for other in theirs.host_ports)]


def _another_port(placed: Placement, ports: Iterable[HostPort]) -> str:
    """What to type so that the agents leave these ports alone; on the host network they can only move."""
    ways = []
    for port in ports:
        what, switch = _SWITCHES.get((port.container, port.protocol), ("", ""))
        setting = f"{what}.port={port.port + 1}" if placed.host_network else f"{what}.{switch}=false"
        ways += [f"--{placed.role}-set datadog.{setting}"] if what else []
    return " ".join(dict.fromkeys(ways))


@_on_nodes
def host_paths_apart(context: ProofContext) -> Iterator[Finding]:
    """No two agents of a node write to one folder of the host."""
    written = {release.name: _written_by(release) for release in context.releases}
    for releases, verdicts in _groups(context.coverage.doubled, lambda v: v.releases):
        found = [verdict.node for verdict in verdicts]
        for one, other in combinations(releases, 2):
            both = sorted(written.get(one, frozenset()) & written.get(other, frozenset()))
            if both:
                yield Finding(
                    f"`{one}` and `{other}` both write to {', '.join(both)} on {_nodes(found)}: {names(found)}"
                )
    for other_agent in context.live.daemonsets or ():
        if other_agent.agent and context.allow_second_agent:
            yield from _shared_with(other_agent, context)


def _shared_with(other: OtherDaemonSet, context: ProofContext) -> Iterator[Finding]:
    """The paths that an agent which the user lets be writes to beside ours."""
    for release in context.releases:
        both = sorted(_written_by(release) & other.written)
        for placed in _placements(release) if both else ():
            found = [v.node for v in compute(context.nodes, (placed, other.placement)).doubled]
            if found:
                text = f"{other} and `{release.name}` both write to {', '.join(both)} on {_nodes(found)}"
                yield Caution(f"{text}: {names(found)}", f"kubectl -n {other.namespace} get daemonset {other.name}")


def host_agent(context: ProofContext) -> Iterator[Finding]:
    """Undecided where agents take ports of the host: an agent installed there as a package is not in the API."""
    ports = {release.name: found for release in context.releases if (found := _ports_on_host(release))}
    if ports:
        taken = "; ".join(f"`{name}` takes {', '.join(text for _, text in found)}" for name, found in ports.items())
        numbers = "|".join(map(str, sorted({number for found in ports.values() for number, _ in found})))
        raise Undecided(
            f"{taken} on its nodes, and what runs there outside Kubernetes cannot be seen",
            f"on a node: ss -lntup | grep -E ':({numbers})\\b'",
        )
    yield from ()


def _written_by(release: ReleaseView) -> frozenset[str]:
    return frozenset[str]().union(*(written_paths(pod_spec(obj)) for obj in release.agents()))


def _ports_on_host(release: ReleaseView) -> list[tuple[int, str]]:
    """The ports that the release's agents take on their nodes, in order: number, and number with protocol."""
    found: set[tuple[int, str]] = set()
    for placed in _placements(release):
        found |= {(port.port, str(port)) for port in placed.host_ports}
    for obj in release.agents():
        if not pod_spec(obj).get("hostNetwork"):
            continue
        for container in pod_spec(obj).get("containers") or ():
            if container.get("name") == "agent":
                found |= {(port, f"{port}/tcp") for port in _own_ports(environment(container))}
    return sorted(found)


def _own_ports(variables: Mapping[str, Tree]) -> Iterator[int]:
    for name, default in _AGENT_PORTS.items():
        value = str(variables.get(name, {}).get("value") or default)
        if value.isdecimal():
            yield int(value)


def _nodes(found: list[str]) -> str:
    return f"{len(found)} node{'s' if len(found) != 1 else ''}"


def _groups(verdicts: Iterable[Verdict], key: Callable[[Verdict], K]) -> Iterable[tuple[K, list[Verdict]]]:
    groups: dict[K, list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(key(verdict), []).append(verdict)
    return groups.items()


CLAIMS = (
    Claim(
        "nodes-known",
        "the nodes of the cluster are known",
        Severity.WARNING,
        "kubectl get nodes; without the right to list nodes nothing can be said about coverage",
        "nodes-unread",
        nodes_known,
    ),
    Claim(
        "one-agent-per-node",
        "no node gets two agents",
        Severity.FATAL,
        "take `agents.affinity` and `agents.nodeSelector` out of your values",
        "two-agents-on-a-node",
        one_agent_per_node,
    ),
    Claim(
        "no-node-without-agent",
        "no node goes without an agent, unless that was accepted",
        Severity.WARNING,
        "--tolerate KEY[=VALUE][:EFFECT], or --accept-uncovered SELECTOR",
        "uncovered-node",
        no_gap,
    ),
    Claim(
        "agents-survive-restart",
        "every running agent could be started again on its node",
        Severity.WARNING,
        "--tolerate KEY[=VALUE][:EFFECT] for the taint that came later",
        "agent-lost-at-restart",
        survive_restart,
    ),
    Claim(
        "host-ports-free",
        "no agent wants a port of its node that another agent or DaemonSet takes",
        Severity.FATAL,
        "--worker-set datadog.dogstatsd.useHostPort=false --worker-set datadog.apm.portEnabled=false",
        "host-port-clash",
        host_ports_free,
    ),
    Claim(
        "host-paths-apart",
        "no two agents write to the same path of a node",
        Severity.FATAL,
        "take `agents.affinity` and `agents.nodeSelector` out of your values",
        "host-path-clash",
        host_paths_apart,
    ),
    Claim(
        "no-host-installed-agent",
        "no agent installed on a host itself holds a port that ours take",
        Severity.NOTE,
        "on a node: ss -lntup",
        "host-installed-agent",
        host_agent,
    ),
)
