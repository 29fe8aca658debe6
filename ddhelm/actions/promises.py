"""What the releases promise and what of it does not hold: pure, from what a status read to lines with a hint."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from ddhelm import podsecrets
from ddhelm.causes import Cause, listed, shorten
from ddhelm.pools import Pool
from ddhelm.release import NAMES, SECRET, Release, Role
from ddhelm.tree import get
from ddhelm.workloads import Workload

if TYPE_CHECKING:
    from ddhelm.manifest import Manifest
    from ddhelm.proof import ForeignAgent


_SHOWN_POOLS = 10
_POD = ("spec", "template", "spec")


class Problem(Struct, frozen=True):
    """Something worth a line: what, what to type, and whether it breaks what the releases promise."""

    text: str
    hint: str = ""
    fatal: bool = True


class ReleaseLine(Struct, frozen=True):
    """A release as Helm recorded its newest revision; ``deployed`` is the revision that Helm last called deployed.

    ``updated`` is RFC 3339 text in the zone of whoever did it.
    """

    release: Release
    installed: bool = False
    revision: int = 0
    status: str = ""
    deployed: int | None = None
    chart: str = ""
    app_version: str = ""
    updated: str = ""
    description: str = ""


class WorkloadLine(Struct, frozen=True):
    """A DaemonSet or Deployment that a release's manifest promises; ``live`` is None where it is gone.

    ``agents``: whether its pods are node agents (those of the CSI driver are none).
    """

    release: str
    kind: str
    name: str
    live: Workload | None
    agents: bool = False


def of_releases(
    lines: Sequence[ReleaseLine], needed: frozenset[Role], others: "Sequence[ForeignAgent]" = ()
) -> list[Problem]:
    """Releases that are needed and not there, or whose newest revision is not deployed.

    Where the pair stands in another namespace, the hint leads there: a cluster has room for one.
    """
    found = []
    elsewhere = next((each.namespace for each in others if _of_a_pair(each)), "")
    install = f"ddhelm status -n {elsewhere}" if elsewhere else "ddhelm onboard"
    for line in lines:
        name = line.release.name
        if not line.installed:
            if line.release.role in needed:
                found.append(Problem(f"release `{name}` is not installed", install))
        elif line.status == "superseded":
            text = f"release `{name}` revision {line.revision}, the newest that Helm has kept, is `superseded`"
            found.append(Problem(f"{text}: what was deployed last is recorded nowhere", "ddhelm onboard"))
        elif line.status != "deployed":
            kept = f"; revision {line.deployed} is the last that was deployed" if line.deployed else ""
            about = f" ({shorten(line.description)})" if line.description and line.status == "failed" else ""
            hint = "ddhelm uninstall" if line.status == "uninstalling" else "ddhelm onboard"
            found.append(Problem(f"release `{name}` revision {line.revision} is `{line.status}`{about}{kept}", hint))
    charts = {line.chart: line.release.name for line in lines if line.installed}
    if len(charts) > 1:
        text = "the releases are of two charts: " + ", ".join(f"`{name}` of {chart}" for chart, name in charts.items())
        found.append(Problem(text, "ddhelm upgrade", fatal=False))
    return found


def of_secret(manifests: "Iterable[Manifest]") -> list[Problem]:
    """The Secret of ddhelm's, which is not there, where pods of the newest manifests need it."""
    pods = (get(each.body, _POD) or {} for one in manifests for each in one.of_kind("DaemonSet", "Deployment"))
    if not any(use.name == SECRET and not use.optional for pod in pods for use in podsecrets.uses(pod)):
        return []
    text = f"Secret `{SECRET}` is gone: agents that run go on, and one that starts again waits for it"
    return [Problem(text, "ddhelm onboard")]


def all_covered(pools: Sequence[Pool]) -> bool:
    """Whether nodes are known and each of them gets exactly one agent."""
    return bool(pools) and all(pool.agents == 1 for pool in pools)


def of_workloads(lines: Sequence[WorkloadLine], *, covered: bool = False) -> list[Problem]:
    """Workloads that are gone, and DaemonSets that want no node.

    ``covered``: each node has its one agent, so a DaemonSet without a node is as intended: on a cluster of
    control-plane nodes only (kind, k3s on one machine) every node belongs to the other release.
    """
    found = []
    for line in lines:
        if line.live is None:
            text = f"{line.kind} `{line.name}` is gone; the manifest of `{line.release}` has it"
            found.append(Problem(text, "ddhelm onboard"))
        elif line.live.empty and not covered:
            found.append(Problem(f"DaemonSet `{line.name}` wants no node: nothing runs through it", "ddhelm detect"))
    return found


def of_causes(causes: Sequence[Cause], behind: Sequence[Workload]) -> list[Problem]:
    """Why workloads are behind, and those of them for which nothing is known but that they are."""
    explained = {cause.workload for cause in causes}
    return [Problem(cause.text, cause.hint) for cause in causes] + [
        Problem(
            f"`{each.name}` is rolling out: {each.behind} of {each.desired} pods to come",
            f"kubectl -n {each.namespace} rollout status {each.kind.lower()}/{each.name}",
        )
        for each in behind
        if each.name not in explained
    ]


def of_coverage(pools: Sequence[Pool]) -> list[Problem]:
    """Nodes with several agents or none, a line a pool, with the taint or label to blame and what to type.

    Where each node has its own reason (a label that differs on every node) the first few stand for all.
    """
    wrong = [pool for pool in pools if pool.agents != 1 and not (pool.agents == 0 and pool.accepted)]
    found = _of_pools(wrong[:_SHOWN_POOLS])
    rest = sum(pool.nodes for pool in wrong[_SHOWN_POOLS:])
    if rest:
        fatal = any(not pool.transient for pool in wrong[_SHOWN_POOLS:])
        found.append(Problem(f"the like of it on {rest} more nodes", "ddhelm status -o json names each", fatal))
    return found


def _of_pools(pools: Sequence[Pool]) -> list[Problem]:
    found = []
    for pool in pools:
        why = f": {pool.blame.text}" if pool.blame else ""
        fix = f"ddhelm onboard {pool.fix}" if pool.fix.startswith("--") else pool.fix
        if pool.agents > 1:
            found.append(Problem(f"more than one agent on {nodes_of(pool)}: {' and '.join(pool.releases)}{why}", fix))
        else:
            stays = "; one that still runs there does not come back after a restart" if pool.until_restart else ""
            found.append(Problem(f"no agent on {nodes_of(pool)}{why}{stays}", fix, fatal=not pool.transient))
    return found


def of_others(others: "Sequence[ForeignAgent]", *, allowed: bool) -> list[Problem]:
    """Datadog agents that are not ours; ``allowed``: the user accepted them."""
    return [
        Problem(
            f"another Datadog agent: {other.what} `{other.namespace}/{other.name}` on {other.nodes} nodes, owner: "
            f"{other.owner}",
            _way_out(other),
            fatal=not allowed,
        )
        for other in others
    ]


def _way_out(other: "ForeignAgent") -> str:
    if _of_a_pair(other):
        return f"ddhelm status -n {other.namespace} shows the pair that is there"
    return "remove it, or accept it: ddhelm onboard --allow-second-agent"


def _of_a_pair(other: "ForeignAgent") -> bool:
    return any(f"release `{name}`" in other.owner for name in NAMES.values())


def nodes_of(pool: Pool) -> str:
    """The nodes of a pool in words: the first few by name, the rest counted."""
    rest = pool.nodes - len(pool.names)
    return listed(pool.names, len(pool.names)) + (f" and {rest} more nodes" if rest > 0 else "")
