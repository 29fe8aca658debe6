"""verify: do the checks report? Asks every agent of both releases, again where one has only just started."""

from collections.abc import Container, Iterable, Sequence

from msgspec import Struct

from ddhelm import verdicts
from ddhelm.actions import agentpods
from ddhelm.actions.agentpods import Execs, Group
from ddhelm.actions.session import Observer, silent
from ddhelm.actions.watch import SYSTEM, Clock
from ddhelm.checkerrors import Meaning
from ddhelm.errors import ClusterError, VerifyFailed
from ddhelm.release import NAMES, Role
from ddhelm.settings import SITES
from ddhelm.verdicts import AgentPod, Finding, Kind, PodVerdict, State

CONCURRENCY = 10
"""Execs at the same time: the API server holds a stream for each, kubectl costs 50 ms of CPU here."""
TIMEOUT = 30.0
_INTERVAL = 3.0

FAILED, NOT_READY, UNREADABLE = 6, 4, 1


class Asked(Struct, frozen=True):
    """Told to the observer: ``done`` of ``total`` agents have answered; ``waiting`` seconds are left for the others."""

    done: int
    total: int
    waiting: float | None = None


class Verification(Struct, frozen=True):
    """What all agents said. ``pods`` are in the order of their nodes, control plane first."""

    context: str
    namespace: str
    pods: tuple[PodVerdict, ...]
    findings: tuple[Finding, ...]
    promised: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()

    @property
    def site(self) -> str:
        """Where the agents send to; Datadog's first site where they name none."""
        return next((each.site for each in self.groups if each.site), SITES[0])

    @property
    def cluster(self) -> str:
        """What the agents call the cluster; empty where they name none."""
        return next((each.cluster for each in self.groups if each.cluster), "")

    @property
    def agents(self) -> int:
        """How many node agents are ready: so many hosts Datadog should know."""
        return sum(each.pod.kind is Kind.NODE and each.state is not State.NOT_READY for each in self.pods)

    @property
    def exit_code(self) -> int:
        """0 all report; 6 a check does not; 4 pods are not ready; 1 an agent could not be asked."""
        if any(each.fatal and each.state in {State.FAILING, State.WAITING} for each in self.findings):
            return FAILED
        if any(each.state is State.NOT_READY for each in self.findings):
            return NOT_READY
        return UNREADABLE if any(each.state is State.UNREADABLE for each in self.findings) else 0

    def failure(self) -> VerifyFailed | None:
        """The verdict as an error for whoever goes on only where all report."""
        fatal = [each for each in self.findings if each.fatal]
        if not fatal:
            return None
        first, more = fatal[0], len(fatal) - 1
        rest = f", and {more} more" if more else ""
        return VerifyFailed(
            f"`{first.subject}` does not report {first.where}: {first.why.line}{rest}",
            hint="ddhelm verify",
            anchor="verify-failed",
        )


class _Asking(Struct):
    """The latest verdict of each pod, and how far one round of questions is."""

    observer: Observer
    total: int = 0
    done: int = 0
    left: float | None = None
    latest: dict[str, PodVerdict] = {}

    def keep(self, pods: Iterable[AgentPod], again: Container[Kind]) -> None:
        """Forget who is gone and who is to be asked again: who waits, and every pod of the kinds ``again``."""
        known = [found for pod in pods if (found := self.latest.get(pod.name)) is not None]
        self.latest = {each.pod.name: each for each in known if not each.waits and each.pod.kind not in again}

    def begin(self, total: int, left: float | None) -> None:
        self.total, self.done, self.left = total, 0, left
        self.observer(Asked(0, total, left))

    def told(self, verdict: PodVerdict) -> None:
        self.latest[verdict.pod.name] = verdict
        self.done += 1
        self.observer(Asked(self.done, self.total, self.left))


def verify(
    kubectl: Execs,
    *,
    only: Role | None = None,
    wait: float = 0,
    timeout: float = TIMEOUT,
    concurrency: int = CONCURRENCY,
    observer: Observer = silent,
    clock: Clock = SYSTEM,
) -> Verification:
    """Ask every agent; for at most ``wait`` seconds again those that have not collected yet, or are not ready yet.

    ``timeout`` bounds each question, in seconds. Raises ClusterError where nothing is installed, where pods cannot be
    read, or where the user may not exec into them.
    """
    roles = [only] if only else list(Role)
    found = agentpods.groups(kubectl, [NAMES[role] for role in roles])
    if not found:
        raise ClusterError(
            f"no agents of ddhelm's releases are in namespace `{kubectl.access.namespace}`",
            hint="ddhelm status",
            anchor="nothing-to-verify",
        )
    asking, deadline = _Asking(observer), clock.now() + wait
    again: frozenset[Kind] = frozenset()
    while True:
        listed = {each.name: list(agentpods.pods(kubectl, each)) for each in found}
        asking.keep((pod for pods in listed.values() for pod in pods), again)
        wanted = [(pod, each.promised) for each in found for pod in listed[each.name] if pod.name not in asking.latest]
        asking.begin(len(wanted), deadline - clock.now() if wait else None)
        agentpods.ask(kubectl, wanted, asking.told, limit=concurrency, timeout=timeout)
        done = _done(kubectl, found, listed, asking)
        # that none of the Cluster Agents leads is said of all of them, each of which is well
        again = frozenset({Kind.CLUSTER} if any(map(_leaderless, done.findings)) else ())
        if not (again or any(each.waits for each in done.pods)) or clock.now() + _INTERVAL > deadline:
            return done
        clock.sleep(_INTERVAL)


def _done(kubectl: Execs, found: Sequence[Group], listed: dict[str, list[AgentPod]], asking: _Asking) -> Verification:
    namespace = kubectl.access.namespace
    order = {name: place for place, name in enumerate(NAMES[role] for role in (Role.CONTROL_PLANE, Role.WORKER))}
    pods = sorted(
        asking.latest.values(), key=lambda each: (order[each.pod.release], each.pod.kind, _natural(each.pod.node))
    )
    missing = [_missing(each, len(listed[each.name])) for each in found if len(listed[each.name]) < each.desired]
    promised = dict.fromkeys(check for each in found for check in each.promised)
    every = (*verdicts.findings(pods, namespace), *missing)
    return Verification(kubectl.access.context, namespace, tuple(pods), every, tuple(sorted(promised)), tuple(found))


def _missing(group: Group, there: int) -> Finding:
    why = Meaning(
        "no-pod", f"{group.desired - there} of {group.desired} pods of `{group.name}` do not exist", "ddhelm status"
    )
    return Finding(str(group.kind), State.NOT_READY, why)


def _leaderless(finding: Finding) -> bool:
    return finding.state is State.WAITING and finding.why.kind == verdicts.LEADER


def _natural(name: str) -> tuple[object, ...]:
    """worker-2 before worker-10."""
    parts: list[object] = []
    number = ""
    for char in name + " ":
        if char.isdigit():
            number += char
            continue
        if number:
            parts.append((0, int(number), ""))
            number = ""
        parts.append((1, 0, char))
    return tuple(parts)
