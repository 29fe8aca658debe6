"""Which node gets how many agents: the DaemonSet controller's decision for each node, before anything is applied.

Helm and Kubernetes are silent about a node that no DaemonSet wants: the desired count leaves it out, so everything
looks healthy. Here such a node is named, with the taint or label to blame and what to type.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import selector
from ddhelm.manifest import Manifest, Object
from ddhelm.nodes import Node, Taint
from ddhelm.pasting import typed
from ddhelm.release import Role
from ddhelm.scheduling import NO_EXECUTE, NO_SCHEDULE, Rules, rules
from ddhelm.selector import Requirement
from ddhelm.taints import parse_toleration, show, transient
from ddhelm.tree import Tree, get
from ddhelm.workloads import is_agent

OS, ARCH = "kubernetes.io/os", "kubernetes.io/arch"
HOSTNAME = "kubernetes.io/hostname"
_TOLERATE, _ACCEPT = "--tolerate", "--accept-uncovered"
_TOLERATE_ALL = "--control-plane-set 'agents.tolerations[0].operator=Exists'"
__all__ = [
    "Blame", "Coverage", "HostPort", "Placement", "Verdict", "agent_placements", "compute", "host_ports",
    "parse_toleration", "placement", "placement_of", "schedulable", "show", "transient",
]  # fmt: skip


class KindOfNode(Protocol):
    """What is known of a kind of node on which no agent can run (Windows, Fargate): the row of a data file."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def agent(self) -> bool: ...
    @property
    def advice(self) -> str: ...
    @property
    def docs(self) -> str: ...


class HostPort(Struct, frozen=True, order=True):
    """A port that a pod takes on its node; an empty ``ip`` is every address."""

    port: int
    protocol: str = "TCP"
    ip: str = ""
    container: str = ""

    def clashes(self, other: "HostPort") -> bool:
        """Whether the scheduler would not put both on one node (HostPortInfo.CheckConflict)."""
        same = self.port == other.port and self.protocol == other.protocol
        return same and (self.ip == other.ip or "" in (self.ip, other.ip))

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol.lower()}"


class Placement(Struct, frozen=True):
    """One DaemonSet of one release: where its pods may run and what they take there.

    ``anti_affinity`` holds the label selectors of its required podAntiAffinity on the node; it decides who comes
    first, not who comes at all.
    """

    release: str
    role: str
    name: str
    rules: Rules
    labels: Mapping[str, str]
    host_network: bool
    host_ports: tuple[HostPort, ...]
    anti_affinity: tuple[tuple[Requirement, ...], ...]

    def excludes(self, other: "Placement") -> bool:
        """Whether the scheduler keeps the two off one node at one time (an anti-affinity counts both ways)."""
        pairs = ((self, other), (other, self))
        return any(all(r.matches(b.labels) for r in term) for a, b in pairs for term in a.anti_affinity)


class Blame(Struct, frozen=True):
    """Why a node has no agent, and what to type; ``NODE`` in ``fix`` stands for the node's name.

    ``kind``: taint, role (a control-plane taint without the label), transient, os, arch, label, name, or the name of
    a kind of node (windows, fargate …).
    """

    kind: str
    text: str
    fix: str = ""


class Verdict(Struct, frozen=True):
    """What one node gets. ``releases`` want an agent on it; those of ``until_restart`` let a running one stay.

    ``transient``: no agent only because of taints that go by themselves. ``port_clash``: host ports that two of its
    pods both want.
    """

    node: str
    releases: tuple[str, ...]
    until_restart: tuple[str, ...] = ()
    blame: Blame | None = None
    transient: bool = False
    accepted: bool = False
    port_clash: tuple[str, ...] = ()

    @property
    def fix(self) -> str:
        """What to type for this node; empty where there is nothing."""
        return self.blame.fix.replace("NODE", self.node) if self.blame else ""

    @property
    def gap(self) -> bool:
        """Whether an agent is missing that somebody should care about."""
        return not self.releases and not self.transient and not self.accepted


class Coverage(Struct, frozen=True):
    """The verdict for each node, in the order in which the nodes were given."""

    verdicts: tuple[Verdict, ...]

    @property
    def exactly_one(self) -> tuple[Verdict, ...]:
        """Nodes with one agent."""
        return tuple(v for v in self.verdicts if len(v.releases) == 1)

    @property
    def doubled(self) -> tuple[Verdict, ...]:
        """Nodes with two agents or more."""
        return tuple(v for v in self.verdicts if len(v.releases) > 1)

    @property
    def uncovered(self) -> tuple[Verdict, ...]:
        """Nodes without an agent that were not accepted as such."""
        return tuple(v for v in self.verdicts if v.gap)

    @property
    def accepted(self) -> tuple[Verdict, ...]:
        """Nodes without an agent that the user accepted."""
        return tuple(v for v in self.verdicts if not v.releases and v.accepted)

    @property
    def transient(self) -> tuple[Verdict, ...]:
        """Nodes without an agent for as long as a taint that goes by itself is there."""
        return tuple(v for v in self.verdicts if not v.releases and v.transient and not v.accepted)

    @property
    def until_restart(self) -> tuple[Verdict, ...]:
        """Nodes that would lose a running agent at its next restart, because of a taint that came later."""
        return tuple(v for v in self.verdicts if v.until_restart and not v.releases)

    def with_running(self, running: Mapping[str, frozenset[str]]) -> "Coverage":
        """The same, with what was seen: on the nodes of ``running`` only its releases stay until a restart."""
        return Coverage(
            tuple(
                replace(v, until_restart=tuple(name for name in v.until_restart if name in running[v.node]))
                if v.until_restart and v.node in running
                else v
                for v in self.verdicts
            )
        )

    def fixed_together(self, tolerate: Sequence[str] = (), accept: Sequence[str] = ()) -> "Coverage":
        """The same with one fix for all gaps: these flags replace what was stored, so each names that and all it lacks.

        ``tolerate`` and ``accept`` are what is in force: of several hints, whoever follows one must lose nothing.
        """
        every = {_TOLERATE: list(tolerate), _ACCEPT: list(accept)}
        gaps = {
            each.blame: shlex.split(each.blame.fix)
            for each in self.uncovered
            if each.blame and each.blame.fix.startswith("--")
        }
        for words in gaps.values():
            for flag, value in zip(words[::2], words[1::2], strict=False):
                if flag in every and value not in every[flag]:
                    every[flag].append(value)
        whole = {
            flag: " ".join(typed("{flag} {value}", flag=flag, value=each) for each in every[flag]) for flag in every
        }
        mended = {blame: replace(blame, fix=whole[words[0]]) for blame, words in gaps.items() if words[0] in whole}
        return Coverage(
            tuple(replace(v, blame=mended.get(v.blame, v.blame)) if v.blame and v.gap else v for v in self.verdicts)
        )

    def prefixed(self, command: str) -> "Coverage":
        """The same with whole commands for fixes that are flags."""

        def whole(blame: Blame | None) -> Blame | None:
            return replace(blame, fix=f"{command} {blame.fix}") if blame and blame.fix.startswith("--") else blame

        return Coverage(tuple(replace(verdict, blame=whole(verdict.blame)) for verdict in self.verdicts))

    def counts(self) -> dict[str, int]:
        """How many nodes there are of each sort; the sorts but ``until_restart`` add up to ``nodes``."""
        sorts = ("exactly_one", "doubled", "uncovered", "accepted", "transient", "until_restart")
        return {"nodes": len(self.verdicts), **{sort: len(getattr(self, sort)) for sort in sorts}}


def agent_placements(manifest: Manifest, release: str, role: str) -> tuple[Placement, ...]:
    """The placements of a release's node agents: its DaemonSets with a container called ``agent`` (the CSI driver's
    DaemonSet has none).
    """
    return tuple(placement(obj, release, role) for obj in manifest.of_kind("DaemonSet") if is_agent(obj.body))


def placement(daemonset: Object, release: str, role: str) -> Placement:
    """Where the pods of a DaemonSet may run, the controller's automatic tolerations included."""
    return placement_of(get(daemonset.body, ("spec", "template")) or {}, daemonset.ref.name, release, role)


def placement_of(template: Tree, name: str, release: str, role: str) -> Placement:
    """The same for the pod template of a DaemonSet called ``name``."""
    pod: Tree = template.get("spec") or {}
    terms = get(pod, ("affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution")) or ()
    return Placement(
        release=release,
        role=role,
        name=name,
        rules=rules(pod, daemon=True),
        labels=get(template, ("metadata", "labels")) or {},
        host_network=bool(pod.get("hostNetwork")),
        host_ports=host_ports(pod),
        anti_affinity=tuple(
            _label_selector(term.get("labelSelector") or {}) for term in terms if term.get("topologyKey") == HOSTNAME
        ),
    )


def host_ports(pod: Mapping[str, Any]) -> tuple[HostPort, ...]:
    """The ports that a pod takes on its node: ``hostPort``, and on the host network every container port.

    The API server writes the latter into the pods, not into the DaemonSet. Init containers count while they run on.
    """
    on_host = bool(pod.get("hostNetwork"))
    containers = list(pod.get("containers") or ())
    containers += [c for c in pod.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    found = set()
    for container in containers:
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if on_host else None)
            if number:
                ip = str(port.get("hostIP") or "")
                ip = "" if ip in {"0.0.0.0", "::"} else ip  # noqa: S104 - read, not bound
                found.add(HostPort(int(number), str(port.get("protocol") or "TCP"), ip, str(container.get("name"))))
    return tuple(sorted(found))


def compute(
    nodes: Sequence[Node],
    placements: Sequence[Placement],
    *,
    accept: Sequence[str] = (),
    kind_of: Callable[[Node], KindOfNode | None] | None = None,
    wherever: bool = False,
    absent: Sequence[str] = (),
) -> Coverage:
    """The verdict for each node; ConfigError for a selector of ``accept`` that is none.

    ``kind_of`` knows the kinds of nodes on which no agent can run; it is asked for nodes without an agent, and
    ``wherever`` one is placed too, where it would wait for ever.
    ``absent``: releases that should have placements and have none, so that nobody can say yet which nodes are gaps.
    Nodes that no rule can tell apart are decided once, so the cost is that of reading their labels.
    """
    accepted = tuple(selector.parse(text) for text in accept)
    keys = sorted(frozenset({OS, ARCH}).union(*(p.rules.keys() for p in placements)))
    by_name = any(p.rules.by_name() for p in placements)
    known: dict[tuple[object, ...], Verdict] = {}
    verdicts = []
    for node in nodes:
        signature = (*map(node.labels.get, keys), node.taints, node.name if by_name else "")
        verdict = known.get(signature)
        if verdict is None:
            verdict = known[signature] = _verdict(node, placements)
        kind = kind_of(node) if kind_of and (wherever or not verdict.releases) else None
        unfit = kind if kind is not None and not kind.agent else None
        if verdict.releases and unfit is None:
            verdicts.append(replace(verdict, node=node.name))
            continue
        blame = verdict.blame
        if not placements:
            blame = _blame_nothing(absent)
        elif absent:
            blame = _blame_absent(blame, absent)
        if unfit is not None:
            blame = _blame_kind(unfit, verdict.releases)
        verdicts.append(
            replace(
                verdict,
                node=node.name,
                releases=(),
                blame=blame,
                transient=verdict.transient and unfit is None,
                accepted=any(chosen.matches(node.labels) for chosen in accepted),
            )
        )
    return Coverage(tuple(verdicts))


def _blame_kind(kind: KindOfNode, releases: Sequence[str]) -> Blame:
    """``releases``: those that place an agent there all the same."""
    way = " ".join(part for part in (kind.advice, kind.docs) if part)
    if not releases:
        return Blame(kind.name, kind.title, way)
    text = f"{kind.title}, where none can run, and `{'`, `'.join(releases)}` places one there that would wait for ever"
    return Blame(kind.name, text, f"tolerate less in `agents.tolerations` of your values; {way}")


def picking_none(accept: Sequence[str], nodes: Sequence[Node]) -> tuple[str, ...]:
    """The selectors of ``accept`` that no node matches; none where no node is known."""
    labels = [node.labels for node in nodes]
    return tuple(text for text in accept if labels and not any(map(selector.parse(text).matches, labels)))


def schedulable(pod: Mapping[str, Any], nodes: Iterable[Node]) -> tuple[str, ...]:
    """The nodes that a Deployment's pod may land on (the Cluster Agent's): labels, taints, cordons; not resources."""
    chosen = rules(pod, daemon=False)
    cordon = Taint("node.kubernetes.io/unschedulable", "", NO_SCHEDULE)
    return tuple(
        node.name
        for node in nodes
        if chosen.missed(node) == ()
        and not chosen.untolerated((*node.taints, cordon) if node.unschedulable else node.taints)
    )


def _verdict(node: Node, placements: Sequence[Placement]) -> Verdict:
    wanting, staying = [], []
    near: list[tuple[Placement, tuple[Taint, ...]]] = []
    far: list[tuple[Placement, tuple[Requirement, ...]]] = []
    for candidate in placements:
        missed = candidate.rules.missed(node)
        if missed is None:
            continue
        taints = candidate.rules.untolerated(node.taints)
        if missed:
            far.append((candidate, missed))
        elif not taints:
            wanting.append(candidate)
        else:
            near.append((candidate, taints))
            if all(taint.effect != NO_EXECUTE for taint in taints):
                staying.append(candidate.release)
    if wanting:
        clash = {
            str(p) for a, b in combinations(wanting, 2) for p in a.host_ports for q in b.host_ports if p.clashes(q)
        }
        releases = tuple(p.release for p in wanting)
        return Verdict(node.name, releases, tuple(staying), port_clash=tuple(sorted(clash)))
    waiting = [taints for _, taints in near if all(map(transient, taints))]
    if waiting:
        text = f"taint `{'`, `'.join(map(show, waiting[0]))}`, which goes by itself"
        return Verdict(node.name, (), tuple(staying), Blame("transient", text), transient=True)
    blame = _blame_taint(*near[0], far) if near else _blame_label(node, far)
    return Verdict(node.name, (), tuple(staying), blame)


def _blame_taint(
    near: Placement, taints: tuple[Taint, ...], far: list[tuple[Placement, tuple[Requirement, ...]]]
) -> Blame:
    lasting = [taint for taint in taints if not transient(taint)]
    shown = "`, `".join(map(show, lasting))
    for other, missed in far:
        # A control-plane taint without the label of the same name: the node fell between the two releases (kubeadm
        # joins nodes in two steps, and people remove one of the two).
        keys = {taint.key for taint in lasting}
        if len(missed) == 1 and missed[0].operator in {"Exists", "In"} and missed[0].key in keys:
            value = missed[0].values[0] if missed[0].values else ""
            return Blame(
                "role",
                f"taint `{shown}` without the label `{missed[0].key}`, by which `{other.release}` chooses its nodes",
                typed("kubectl label node NODE {label}", label=f"{missed[0].key}={value}"),
            )
    if near.role == Role.CONTROL_PLANE:
        fix = _TOLERATE_ALL  # `--tolerate` is for the worker release alone
    else:
        fix = " ".join(typed("{flag} {taint}", flag=_TOLERATE, taint=show(taint)) for taint in lasting)
    return Blame("taint", f"taint `{shown}`, which `{near.release}` does not tolerate", fix)


def _blame_label(node: Node, far: list[tuple[Placement, tuple[Requirement, ...]]]) -> Blame:
    if not far:
        return Blame("label", "no DaemonSet chooses its nodes in a way that any node could meet")
    nearest, missed = min(far, key=lambda pair: len(pair[1]))
    first = next((r for key in (OS, ARCH) for r in missed if r.key == key), missed[0])
    have = node.labels.get(first.key)
    kind = {OS: "os", ARCH: "arch", "metadata.name": "name"}.get(first.key, "label")
    if kind == "name":
        return Blame(kind, f"`{nearest.release}` names other nodes", "")
    is_now = f"`{first.key}={have}`" if have is not None else f"no label `{first.key}`"
    accept = f"{first.key}={have}" if have is not None else f"!{first.key}"
    return Blame(kind, f"{is_now}, where `{nearest.release}` wants `{first}`", f"{_ACCEPT} '{accept}'")


def _blame_nothing(absent: Sequence[str]) -> Blame:
    """The reason for a node while no release has an agent at all."""
    where = f"no DaemonSet of `{'`, `'.join(absent)}` is there" if absent else "there is no DaemonSet to run one"
    return Blame("label", f"no agent is installed: {where}", "ddhelm onboard")


def _blame_absent(blame: Blame | None, absent: Sequence[str]) -> Blame | None:
    """A node may belong to the release that is not there: to accept it, or to tolerate its taint, would be wrong."""
    if blame is None or blame.kind not in {"taint", "role", "label", "name"}:
        return blame
    return Blame(blame.kind, f"{blame.text}; no DaemonSet of `{'`, `'.join(absent)}` is there", "ddhelm onboard")


def _label_selector(tree: Mapping[str, Any]) -> tuple[Requirement, ...]:
    found = [Requirement(str(key), "In", (str(value),)) for key, value in (tree.get("matchLabels") or {}).items()]
    for item in tree.get("matchExpressions") or ():
        values = tuple(map(str, item.get("values") or ()))
        found.append(Requirement(str(item.get("key")), str(item.get("operator")), values))
    return tuple(found)
