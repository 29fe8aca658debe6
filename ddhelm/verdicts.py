"""What the agents' own words amount to: a verdict per pod and check, and what is wrong in the whole cluster.

Two sorts of checks count differently. The files that the releases install are promises: each must run in every pod
that has them and bring samples. Anything else that an agent runs by itself must not fail.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from ddhelm.agentstatus import AgentStatus, CheckRun, Link
from ddhelm.causes import listed
from ddhelm.checkerrors import Meaning, meaning
from ddhelm.pasting import typed

OPTIONAL = frozenset({"ntp"})
"""Checks whose failure is worth a warning only: NTP is closed in most networks, and nothing here needs it."""
LEADER = "leader"
"""The kind of what is wrong with the Cluster Agents' leader election."""


class State(StrEnum):
    """Where a check, or a pod, stands."""

    OK = "ok"
    WAITING = "waiting"
    FAILING = "failing"
    NOT_READY = "not ready"
    UNREADABLE = "unreadable"


class Kind(StrEnum):
    """What sort of agent a pod runs."""

    NODE = "agent"
    CLUSTER = "cluster agent"
    RUNNER = "cluster checks runner"


class AgentPod(Struct, frozen=True):
    """A pod that was found: ``release`` owns it, ``reason`` says why it is not ready."""

    name: str
    node: str
    release: str
    kind: Kind
    ready: bool = True
    reason: str = ""
    account: str = ""


class CheckVerdict(Struct, frozen=True):
    """One check of one pod. ``why`` is empty for a check that is well; ``promised`` ones have a file of ours."""

    check: str
    state: State
    why: Meaning | None = None
    promised: bool = False
    instances: int = 0
    metrics: int = 0

    @property
    def fatal(self) -> bool:
        """Whether it breaks what verify is asked for."""
        return self.state is not State.OK and (self.promised or self.check not in OPTIONAL)


class PodVerdict(Struct, frozen=True):
    """One pod: whether its agent answered, and what it said. ``why`` explains a state that is not OK."""

    pod: AgentPod
    state: State
    checks: tuple[CheckVerdict, ...] = ()
    why: Meaning | None = None
    status: AgentStatus | None = None

    @property
    def waits(self) -> bool:
        """Whether asking again later may bring something: something has not begun, or a link is not up yet."""
        begins = self.state in {State.WAITING, State.NOT_READY} or any(c.state is State.WAITING for c in self.checks)
        return begins or (self.unlinked is not None and not _refused(self.unlinked))

    @property
    def unlinked(self) -> Link | None:
        """How it stands with the Cluster Agent, where it knows of one and does not reach it."""
        link = self.status.link if self.status is not None and self.pod.kind is Kind.NODE else None
        return link if link is not None and not link.version else None


class Finding(Struct, frozen=True):
    """Something that is wrong, once for all nodes on which it is: ``subject`` is a check or a sort of agent."""

    subject: str
    state: State
    why: Meaning
    nodes: tuple[str, ...] = ()
    fatal: bool = True

    @property
    def where(self) -> str:
        """The nodes in words; nothing for something that has none."""
        return f"on {listed(self.nodes)}" if self.nodes else ""


def of_status(pod: AgentPod, status: AgentStatus, promised: Mapping[str, int], namespace: str) -> PodVerdict:
    """The verdict on a pod whose agent answered; ``promised`` maps a check file of ours to its number of instances."""
    checks = tuple(_checks(pod, status, promised, namespace))
    state = State.OK
    if any(each.state is State.FAILING and each.fatal for each in checks):
        state = State.FAILING
    elif (pod.kind is Kind.NODE and not status.started) or any(each.state is State.WAITING for each in checks):
        state = State.WAITING
    why = _NOT_BEGUN if state is State.WAITING else None
    # what was read is kept as far as the whole is judged by it: 500 agents say the same of forty checks
    slim = replace(status, checks=(), unloaded=None, refused=None)
    return PodVerdict(pod, state, checks, why, slim)


_NOT_BEGUN = Meaning(
    "not-begun", "no collection yet: the agent has only just started", "ddhelm verify --wait 2m waits for it"
)


def _checks(pod: AgentPod, status: AgentStatus, promised: Mapping[str, int], namespace: str) -> Iterable[CheckVerdict]:
    runs: dict[str, list[CheckRun]] = {}
    for run in status.checks:
        runs.setdefault(run.name, []).append(run)
    broken = {**(status.unloaded or {}), **(status.refused or {})}
    for name in sorted({*promised, *runs, *broken}, key=lambda each: (each not in promised, each)):
        found, wanted = runs.get(name, []), promised.get(name, 0)
        state, why = _state(name, found, wanted, broken.get(name), status, pod, namespace)
        yield CheckVerdict(
            name, state, why, name in promised, max(len(found), wanted), sum(each.metrics for each in found)
        )


def _state(
    name: str,
    found: Sequence[CheckRun],
    wanted: int,
    broken: str | None,
    status: AgentStatus,
    pod: AgentPod,
    namespace: str,
) -> tuple[State, Meaning | None]:
    failed = next((each for each in found if each.error), None)
    if failed is not None:
        return State.FAILING, meaning(failed.error, check=name, namespace=namespace, account=pod.account)
    if broken is not None:
        why = meaning(broken, check=name, namespace=namespace, account=pod.account)
        return State.FAILING, replace(why, line=f"not loaded: {why.line}")
    if any(each.runs == 0 for each in found):
        return State.WAITING, _NOT_BEGUN
    if len(found) < wanted:
        return (State.FAILING, _not_running(name, len(found), wanted, pod, namespace)) if status.started else (
            State.WAITING, _NOT_BEGUN
        )  # fmt: skip
    if wanted and not any(each.metrics for each in found):
        return State.FAILING, Meaning(
            "empty",
            "runs without an error and brings no sample",
            typed(
                "kubectl -n {namespace} exec {pod} -c agent -- agent check {name}",
                namespace=namespace,
                pod=pod.name,
                name=name,
            ),
        )
    return State.OK, None


def _not_running(name: str, found: int, wanted: int, pod: AgentPod, namespace: str) -> Meaning:
    how = f"{found} of {wanted} instances run" if found else "its file is there and the agent does not run it"
    return Meaning(
        "not-running", how, f"kubectl -n {namespace} delete pod {pod.name}: check files are read when an agent starts"
    )


def findings(pods: Sequence[PodVerdict], namespace: str) -> tuple[Finding, ...]:
    """Everything that is wrong, grouped by check and meaning; what is fatal and what is widest first."""
    groups: dict[tuple[str, State, str], list[tuple[str, Meaning, bool]]] = {}

    def add(subject: str, state: State, why: Meaning, node: str, fatal: bool) -> None:
        groups.setdefault((subject, state, why.line), []).append((node, why, fatal))

    for each in pods:
        node = each.pod.node or each.pod.name
        if each.status is None:
            add(str(each.pod.kind), each.state, each.why or _NOT_BEGUN, node, True)
            continue
        if not each.checks and each.state is State.WAITING:
            add(str(each.pod.kind), each.state, _NOT_BEGUN, node, True)
        for check in each.checks:
            if check.why is not None:
                add(check.check, check.state, check.why, node, check.fatal)
        if each.unlinked is not None:
            add("cluster agent", State.FAILING, _unlinked(each.unlinked, namespace), node, True)
    found = [
        Finding(subject, state, group[0][1], tuple(dict.fromkeys(node for node, _, _ in group)), group[0][2])
        for (subject, state, _), group in groups.items()
    ]
    found += _of_cluster_agents([each for each in pods if each.pod.kind is Kind.CLUSTER])
    return tuple(sorted(found, key=lambda each: (not each.fatal, -len(each.nodes), each.subject)))


def _refused(link: Link) -> bool:
    """Whether the Cluster Agent turns the agent's token down, which no waiting mends: it is read only at start."""
    return "403" in link.error or "401" in link.error


def _unlinked(link: Link, namespace: str) -> Meaning:
    if _refused(link):
        return Meaning(
            "token",
            f"the Cluster Agent at `{link.endpoint}` refuses this agent: their tokens differ",
            "ddhelm rotate token ends what broke off, or gives all a new one: a token is read only at start; where it "
            f"stands in a Secret of yours: kubectl -n {namespace} rollout restart daemonset,deployment",
        )
    why = meaning(link.error or "it gave no version", check="cluster agent", namespace=namespace)
    where = f" at `{link.endpoint}`" if link.endpoint and link.endpoint not in why.line else ""
    return Meaning(
        "unlinked",
        f"the Cluster Agent{where} is not reached: {why.line}",
        f"kubectl -n {namespace} get service,endpointslices,pods; ddhelm status",
    )


def _of_cluster_agents(pods: Sequence[PodVerdict]) -> Iterable[Finding]:
    """Who leads, and whether cluster checks find an agent to run them."""
    answered = [(each, each.status) for each in pods if each.status is not None]
    if not answered:
        return
    for _, status in answered:
        leadership, dispatch = status.leadership, status.dispatch
        if leadership is not None and leadership.state == "Failing":
            yield Finding(
                "cluster agent",
                State.FAILING,
                Meaning(LEADER, f"leader election fails: {leadership.error or 'no reason given'}", _LEASES),
            )
        if dispatch is not None and dispatch.dangling:
            yield Finding(
                "cluster agent",
                State.FAILING,
                Meaning(
                    "dangling",
                    f"{dispatch.dangling} of {dispatch.configs} cluster checks run nowhere: "
                    f"{dispatch.nodes} agents take them",
                    "worker agents take them unless cluster checks runners are on: ddhelm status",
                ),
            )
    states = [status.leadership for _, status in answered if status.leadership is not None]
    if states and not any(each.leader or each.state in {"Failing", "Disabled"} for each in states):
        yield Finding("cluster agent", State.WAITING, Meaning(LEADER, "no Cluster Agent leads yet", _LEASES))


_LEASES = "kubectl get lease,configmap -A | grep leader-election; the Cluster Agent's Role must let it write there"


def not_ready(pod: AgentPod, namespace: str) -> PodVerdict:
    """The verdict on a pod that nobody needs to ask."""
    why = Meaning(
        "not-ready",
        f"the pod is not ready: {pod.reason}",
        f"ddhelm status; kubectl -n {namespace} describe pod {pod.name}",
    )
    return PodVerdict(pod, State.NOT_READY, why=why)
