"""Which agents run where they would not be started again: on nodes that a taint closed after they came.

No count of the DaemonSet tells: its controller (1.36) does not count anew when a node no longer wants a pod but keeps
it. So the pods of a few such nodes are asked for, each by node and label: never all agent pods.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from ddhelm.actions.look import Reads, pods_path
from ddhelm.coverage import Coverage, Verdict, agent_placements, compute
from ddhelm.workloads import Workload, is_agent, pod, workload

if TYPE_CHECKING:
    from ddhelm.manifest import Manifest
    from ddhelm.nodes import Node
    from ddhelm.release import Release

LIMIT = 20
"""Nodes asked about in one look, of each reason some; a pod is about 66 KB with the real chart."""
_FEW = 5
_ENDED = frozenset({"Failed", "Succeeded"})


def seen(
    kubectl: Reads, covered: Coverage, nodes: "Sequence[Node]", installed: "Mapping[Release, Manifest]"
) -> Mapping[str, frozenset[str]]:
    """Node to the releases whose agent runs there, of the nodes of ``covered.until_restart``.

    ``installed``: the manifests from which the releases' DaemonSets were made. A node that is not in the answer was
    not asked about: there were too many, or its pods could not be read.
    """
    at_stake = {verdict.node for verdict in covered.until_restart}
    if not at_stake:
        return {}
    placements = [p for one, manifest in installed.items() for p in agent_placements(manifest, one.name, one.role)]
    wanted = compute([node for node in nodes if node.name in at_stake], placements)
    found = {verdict.node: frozenset(verdict.releases) for verdict in wanted.verdicts if verdict.releases}
    agents = {one.name: tuple(_agents(manifest)) for one, manifest in installed.items()}
    open_ = [verdict for verdict in covered.until_restart if verdict.node not in found]
    found |= {verdict.node: frozenset() for verdict in open_ if not any(map(agents.get, verdict.until_restart))}
    asked: list[tuple[str, str, Workload]] = []
    for verdict in _few(verdict for verdict in open_ if verdict.node not in found):
        found[verdict.node] = frozenset()
        asked += [(verdict.node, name, each) for name in verdict.until_restart for each in agents.get(name, ())]
    paths = [pods_path(each, f"spec.nodeName={node}", _FEW) for node, _, each in asked]
    for (node, name, _), answer in zip(asked, kubectl.raws(paths) if paths else (), strict=True):
        if answer.failure is not None:
            found.pop(node, None)
        elif node in found and any(map(_runs, answer.tree().get("items") or () if answer.found else ())):
            found[node] |= {name}
    return found


def _agents(manifest: "Manifest") -> Iterator[Workload]:
    for obj in manifest.of_kind("DaemonSet"):
        if is_agent(obj.body):
            metadata = {**(obj.body.get("metadata") or {}), "namespace": obj.ref.namespace}
            yield workload({**obj.body, "metadata": metadata})


def _few(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """At most ``LIMIT`` of them, in turn of each reason."""
    reasons: dict[object, list[Verdict]] = {}
    for verdict in verdicts:
        reasons.setdefault((verdict.blame, verdict.until_restart), []).append(verdict)
    in_turn = chain.from_iterable(zip_longest(*reasons.values()))
    return [verdict for verdict in in_turn if verdict is not None][:LIMIT]


def _runs(tree: Mapping[str, object]) -> bool:
    found = pod(tree)
    return not found.deleting and found.phase not in _ENDED
