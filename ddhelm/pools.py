"""Coverage for people: nodes grouped by what matters, so that 5,000 of them are a table of a few lines."""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from ddhelm.coverage import ARCH, OS, Blame, Coverage, Verdict, show
from ddhelm.nodes import Node

# How providers and tools name a node's pool, in the order in which they are believed.
POOL_LABELS = (
    "karpenter.sh/nodepool",
    "eks.amazonaws.com/nodegroup",
    "alpha.eksctl.io/nodegroup-name",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "agentpool",
    "doks.digitalocean.com/node-pool",
    "kops.k8s.io/instancegroup",
    "node.cluster.x-k8s.io/machine-deployment",
    "karpenter.sh/provisioner-name",
)
_ROLE = "node-role.kubernetes.io/"
_CONTROL_PLANE = "control-plane"  # until Kubernetes 1.24 also called `master`, and many nodes carry both labels
_SHOWN = 5


class Pool(Struct, frozen=True):
    """Nodes that look alike and got the same verdict. ``names`` holds the first few of ``nodes``.

    ``roles`` are those that their labels give them; a node without any is a worker.
    """

    name: str
    roles: tuple[str, ...]
    nodes: int
    names: tuple[str, ...]
    releases: tuple[str, ...]
    until_restart: tuple[str, ...]
    blame: Blame | None
    taints: tuple[str, ...]
    os: str
    arch: str
    accepted: bool
    transient: bool
    port_clash: tuple[str, ...] = ()

    @property
    def agents(self) -> int:
        """How many agents each of its nodes gets."""
        return len(self.releases)

    @property
    def leaves(self) -> bool:
        """Whether an agent runs on its nodes that would not be started there again."""
        return not self.releases and bool(self.until_restart)

    @property
    def fix(self) -> str:
        """What to type; where it names a node, the first one."""
        return self.blame.fix.replace("NODE", self.names[0]) if self.blame else ""


def pools(coverage: Coverage, nodes: Sequence[Node], control_plane_labels: Collection[str] = ()) -> tuple[Pool, ...]:
    """The verdicts by pool: gaps and doubles first, then by size.

    ``control_plane_labels`` are those of the distribution, which need not be of the form that kubectl shows as a role.
    """
    by_name = {node.name: node for node in nodes}
    groups: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in coverage.verdicts:
        node = by_name[verdict.node]
        groups.setdefault(_signature(node, _roles(node.labels, control_plane_labels), verdict), []).append(verdict)
    found = [
        _pool(node := by_name[group[0].node], _roles(node.labels, control_plane_labels), group)
        for group in groups.values()
    ]
    return tuple(sorted(found, key=lambda pool: (_rank(pool), -pool.nodes, pool.name, pool.names)))


def _signature(node: Node, roles: tuple[str, ...], verdict: Verdict) -> tuple[object, ...]:
    return (
        _pool_name(node.labels),
        roles,
        node.taints,
        node.labels.get(OS),
        node.labels.get(ARCH),
        verdict.releases,
        verdict.until_restart,
        verdict.blame,
        verdict.accepted,
        verdict.transient,
        verdict.port_clash,
    )


def _pool(node: Node, roles: tuple[str, ...], group: Sequence[Verdict]) -> Pool:
    first = group[0]
    return Pool(
        name=_pool_name(node.labels),
        roles=roles,
        nodes=len(group),
        names=tuple(verdict.node for verdict in group[:_SHOWN]),
        releases=first.releases,
        until_restart=first.until_restart,
        blame=first.blame,
        taints=tuple(map(show, node.taints)),
        os=node.labels.get(OS) or node.operating_system,
        arch=node.labels.get(ARCH) or node.architecture,
        accepted=first.accepted,
        transient=first.transient,
        port_clash=first.port_clash,
    )


def _rank(pool: Pool) -> int:
    if pool.agents > 1 or pool.port_clash:
        return 0
    if pool.agents == 0 and not pool.accepted and not pool.transient:
        return 1
    return 2 if pool.agents == 0 else 3


def _pool_name(labels: Mapping[str, str]) -> str:
    return next((labels[key] for key in POOL_LABELS if labels.get(key)), "")


def _roles(labels: Mapping[str, str], control_plane_labels: Collection[str]) -> tuple[str, ...]:
    found = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)}
    if any(key in labels and not key.startswith(_ROLE) for key in control_plane_labels):
        found.add(_CONTROL_PLANE)
    return tuple(sorted(found - {"master"} if _CONTROL_PLANE in found else found))
