"""Whether the pods have caught up with the objects: complete, progressing, or stalled and why.

Pure: the caller reads the cluster and the clock. Helm's own waiting is not used because Helm 3 is content with all but
``maxUnavailable`` pods, neither major ever names a cause, and both call a DaemonSet without nodes ready.
"""

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from ddhelm.causes import Cause, explain
from ddhelm.pasting import typed
from ddhelm.symptoms import find
from ddhelm.workloads import Event, Pod, Workload

STABLE_READS = 2
SECONDS_A_ROUND = 60
LEAST_TIMEOUT = 300
FORGET = 30.0
"""Seconds after which a cause that is gone is forgotten; a crashing container shows its cause only now and then."""


class Reading(Struct, frozen=True):
    """One look at the cluster: the workloads awaited, those that do not exist, and who is behind.

    ``pods`` need not be all pods (never list them all): the ones that are not ready, or some of them. ``diagnosed``
    says whether pods and events were looked at this time; a look at workloads alone leaves the known causes alone.
    """

    workloads: tuple[Workload, ...] = ()
    missing: tuple[str, ...] = ()
    pods: tuple[Pod, ...] = ()
    events: tuple[Event, ...] = ()
    nodes_down: frozenset[str] = frozenset()
    diagnosed: bool = True


class Complete(Struct, frozen=True):
    """Every pod that is wanted is new and ready; ``empty`` names DaemonSets that want no node at all.

    A node that is not ready is not wanted: its taint takes it out of the DaemonSet's count until it is back.
    """

    empty: tuple[str, ...] = ()


class Progressing(Struct, frozen=True):
    """Pods are still to come; ``causes`` are what would explain a stall if it lasted."""

    causes: tuple[Cause, ...] = ()


class Stalled(Struct, frozen=True):
    """Waiting longer makes no sense; ``reason`` is a row of ``causes.KINDS``, or ``Timeout`` without a known cause.

    ``causes`` are all that are known, ``blamed`` the workloads of those that outlived their grace: none at a time-out.
    """

    reason: str
    text: str
    hint: str
    pod: str = ""
    node: str = ""
    causes: tuple[Cause, ...] = ()
    timed_out: bool = False
    blamed: tuple[str, ...] = ()


Progress = Complete | Progressing | Stalled


class Seen(Struct, frozen=True):
    """What a judgement remembers for the next one; start with ``Seen()``. Times are the caller's ``elapsed``."""

    complete_reads: int = 0
    reached: Mapping[str, tuple[int, int, int]] = {}
    moved_at: float = 0.0
    spans: Mapping[tuple[str, str, str], tuple[float, float]] = {}
    causes: tuple[Cause, ...] = ()

    def after_silence(self, seconds: float) -> "Seen":
        """The same after so many seconds without an answer from the API server: no cause lasted, nothing was idle.

        Where it restarts, neither controllers nor kubelets can do or report anything.
        """
        spans = {key: (first + seconds, last + seconds) for key, (first, last) in self.spans.items()}
        return replace(self, moved_at=self.moved_at + seconds, spans=spans)


def judge(
    reading: Reading, seen: Seen, *, elapsed: float, timeout: float, checks: Mapping[str, str] | None = None
) -> tuple[Progress, Seen]:
    """What the reading means, and what to remember for the next judgement.

    ``elapsed`` and ``timeout`` are seconds since the watch began. Completeness counts when two readings in a row show
    it (or one at the deadline). A cause ends the watch once it has lasted for its grace while nothing at all moved.
    """
    reached = {each.name: _further(seen.reached.get(each.name), each) for each in reading.workloads}
    moved_at = seen.moved_at if reached == seen.reached else elapsed
    causes = _causes(reading, checks or {}) if reading.diagnosed else seen.causes
    lately = {cause.key for cause in seen.causes}
    spans = {key: span for key, span in seen.spans.items() if key in lately or elapsed - span[1] <= FORGET}
    spans |= {cause.key: (spans.get(cause.key, (elapsed, elapsed))[0], elapsed) for cause in causes}
    memory = Seen(0, reached, moved_at, spans, causes)

    late = elapsed >= timeout
    if not reading.missing and all(each.settled for each in reading.workloads):
        memory = replace(memory, complete_reads=seen.complete_reads + 1)
        if memory.complete_reads >= STABLE_READS or late:
            return Complete(empty=_empty(reading)), memory
        return Progressing(), memory
    idle = elapsed - moved_at
    lasting = [each for each in causes if min(idle, elapsed - spans[each.key][0]) >= each.grace or each.grace == 0]
    if lasting:
        blamed = tuple(dict.fromkeys(each.workload for each in lasting))
        return replace(_stalled(lasting[0], causes), blamed=blamed), memory
    if late:
        return _timed_out(reading, causes, timeout), memory
    return Progressing(causes), memory


def default_timeout(nodes: int, max_unavailable: int | str) -> int:
    """Seconds that a roll-out over ``nodes`` may take: one minute a round of ``maxUnavailable``, at least 5 minutes.

    A percentage rounds up, as the DaemonSet controller does; 0 (surge is used instead) counts as one at a time.
    """
    return max(LEAST_TIMEOUT, math.ceil(nodes / _at_once(nodes, max_unavailable)) * SECONDS_A_ROUND)


def rounds(nodes: int, max_unavailable: int | str) -> int:
    """How many times a roll-out over ``nodes`` replaces pods, ``max_unavailable`` of them at once; at least 1."""
    return max(1, math.ceil(nodes / _at_once(nodes, max_unavailable)))


def timeout_for(workloads: Iterable[Workload]) -> int:
    """Seconds for several workloads that roll at the same time: the longest of their default timeouts."""
    daemonsets = [each for each in workloads if each.kind == "DaemonSet"]
    return max((default_timeout(each.desired, each.max_unavailable) for each in daemonsets), default=LEAST_TIMEOUT)


def _causes(reading: Reading, checks: Mapping[str, str]) -> tuple[Cause, ...]:
    findings = find(
        reading.workloads,
        missing=reading.missing,
        pods=reading.pods,
        events=reading.events,
        nodes_down=reading.nodes_down,
    )
    return explain(findings, namespaces={each.name: each.namespace for each in reading.workloads}, checks=checks)


def _at_once(nodes: int, max_unavailable: int | str) -> int:
    text = str(max_unavailable).strip()
    number = math.ceil(nodes * int(text[:-1]) / 100) if text.endswith("%") else int(text or 1)
    return max(1, number)


def _further(before: tuple[int, int, int] | None, workload: Workload) -> tuple[int, int, int]:
    """How far a workload ever was in this generation: (generation, most updated, fewest behind).

    Only going further than ever counts as movement: an agent that becomes ready and crashes in turn gets nowhere.
    """
    generation, updated, behind = before or (workload.observed, workload.updated, workload.behind)
    if workload.observed != generation:
        return workload.observed, workload.updated, workload.behind
    return generation, max(updated, workload.updated), min(behind, workload.behind)


def _empty(reading: Reading) -> tuple[str, ...]:
    return tuple(each.name for each in reading.workloads if each.empty)


def _stalled(cause: Cause, causes: tuple[Cause, ...]) -> Stalled:
    pod = cause.pods[0] if cause.pods else ""
    node = cause.nodes[0] if cause.nodes else ""
    return Stalled(cause.reason, cause.text, cause.hint, pod, node, causes)


def _timed_out(reading: Reading, causes: tuple[Cause, ...], timeout: float) -> Stalled:
    if causes:
        return replace(_stalled(causes[0], causes), timed_out=True)
    late = max(reading.workloads, key=lambda each: each.behind)
    return Stalled(
        "Timeout",
        f"`{late.name}` has {late.desired - late.behind} of {late.desired} pods new and ready after {timeout:.0f} s",
        typed(
            "kubectl -n {namespace} get pods -l {selector} --field-selector status.phase!=Running",
            namespace=late.namespace,
            selector=late.selector,
        ),
        timed_out=True,
    )
