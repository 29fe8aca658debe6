"""Claims on the nodes: one agent each, none forgotten in silence, and no two pods that want the same port or path."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from typing import TypeVar

from msgspec.structs import replace

from ddhelm.claim import (
    Claim,
    Finding,
    ProofContext,
    ReleaseView,
    Remark,
    Severity,
    Undecided,
    containers,
    environment,
    names,
    pod_spec,
)
from ddhelm.coverage import Verdict, agent_placements, compute
from ddhelm.tree import Tree

K = TypeVar("K")

_AGENT_PORTS = {"DD_CMD_PORT": 5001, "DD_EXPVAR_PORT": 5000, "DD_HEALTH_PORT": 5555}
"""Ports of the agent that no pod declares, so that no scheduler knows of them; the variable moves each."""


def nodes_known(context: ProofContext) -> Iterator[Finding]:
    if not context.nodes:
        yield Finding("not a single node was read")


def one_agent_per_node(context: ProofContext) -> Iterator[Finding]:
    for releases, verdicts in _groups(context.coverage.doubled, lambda v: v.releases):
        found = [verdict.node for verdict in verdicts]
        gets = "gets" if len(found) == 1 else "get"
        yield Finding(f"{_nodes(found)} {gets} an agent of `{'` and of `'.join(releases)}`: {names(found)}")


def no_gap(context: ProofContext) -> Iterator[Finding]:
    for blame, verdicts in _groups(context.coverage.uncovered, lambda v: v.blame):
        found = [verdict.node for verdict in verdicts]
        text = f"{_nodes(found)} without an agent ({names(found)})" + (f": {blame.text}" if blame else "")
        yield Finding(text, verdicts[0].fix)
    for blame, verdicts in _groups(context.coverage.transient, lambda v: v.blame):
        found = [verdict.node for verdict in verdicts]
        yield Remark(f"{_nodes(found)} without an agent for now ({names(found)}): {blame.text if blame else ''}")


def survive_restart(context: ProofContext) -> Iterator[Finding]:
    staying = {release.name: _staying(release, context) for release in context.releases}
    running = [
        verdict
        for verdict in context.coverage.until_restart
        if not verdict.accepted and any(verdict.node in staying.get(name, ()) for name in verdict.until_restart)
    ]
    for blame, verdicts in _groups(running, lambda v: v.blame):
        found = [verdict.node for verdict in verdicts]
        why = f": {blame.text}" if blame else ""
        one = len(found) == 1
        which = "an agent that still runs" if one else "agents that still run"
        text = f"{which} on {_nodes(found)} {'does' if one else 'do'} not come back after a restart ({names(found)})"
        yield Finding(f"{text}{why}", verdicts[0].fix)


def _staying(release: ReleaseView, context: ProofContext) -> frozenset[str]:
    """The nodes on which an agent of the deployed release may run now.

    Those that it wants; any node where its DaemonSet counts pods elsewhere or does not say: which, only pods tell.
    """
    if release.stored is None:
        return frozenset()
    deployed = replace(release, manifest=release.stored)
    live = [(context.live.objects or {}).get(agent.ref.identity) for agent in deployed.agents()]
    if any(one is None or one.misscheduled != 0 for one in live):
        return frozenset(node.name for node in context.nodes)
    wanted = compute(context.nodes, agent_placements(release.stored, release.name, release.role))
    return frozenset(verdict.node for verdict in wanted.verdicts if verdict.releases)


def host_ports_free(context: ProofContext) -> Iterator[Finding]:
    clashing = [verdict for verdict in context.coverage.verdicts if verdict.port_clash]
    for (releases, ports), verdicts in _groups(clashing, lambda v: (v.releases, v.port_clash)):
        found = [verdict.node for verdict in verdicts]
        yield Finding(f"`{'` and `'.join(releases)}` both want {', '.join(ports)} on {_nodes(found)}: {names(found)}")


def host_paths_apart(context: ProofContext) -> Iterator[Finding]:
    written = {release.name: _written_paths(release) for release in context.releases}
    for releases, verdicts in _groups(context.coverage.doubled, lambda v: v.releases):
        found = [verdict.node for verdict in verdicts]
        for one, other in combinations(releases, 2):
            both = sorted(written.get(one, frozenset()) & written.get(other, frozenset()))
            if both:
                yield Finding(
                    f"`{one}` and `{other}` both write to {', '.join(both)} on {_nodes(found)}: {names(found)}"
                )


def host_agent(context: ProofContext) -> Iterator[Finding]:
    ports = {release.name: found for release in context.releases if (found := _ports_on_host(release))}
    if ports:
        taken = "; ".join(f"`{name}` takes {', '.join(text for _, text in found)}" for name, found in ports.items())
        numbers = "|".join(map(str, sorted({number for found in ports.values() for number, _ in found})))
        raise Undecided(
            f"{taken} on its nodes, and what runs there outside Kubernetes cannot be seen",
            f"on a node: ss -lntup | grep -E ':({numbers})\\b'",
        )
    yield from ()


def _written_paths(release: ReleaseView) -> frozenset[str]:
    found = set()
    for obj in release.agents():
        pod = pod_spec(obj)
        volumes = {v.get("name"): v["hostPath"].get("path") for v in pod.get("volumes") or () if v.get("hostPath")}
        for container in containers(pod):
            for mount in container.get("volumeMounts") or ():
                if not mount.get("readOnly") and volumes.get(mount.get("name")):
                    found.add(str(volumes[mount.get("name")]))
    return frozenset(found)


def _ports_on_host(release: ReleaseView) -> list[tuple[int, str]]:
    """The ports that the release's agents take on their nodes, in order: number, and number with protocol."""
    found: set[tuple[int, str]] = set()
    for placed in agent_placements(release.manifest, release.name, release.role):
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
        "no two agents want the same port of a node",
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
