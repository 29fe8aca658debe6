"""Waits for roll-outs: looks again and again, tells an observer, and ends in bounded time whatever the cluster does.

Clock and deadlines are handed in, so that tests do not wait. The loop decides nothing: ``rollout.judge`` does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from ddhelm.actions.look import Baseline, Looker, Reads, Target
from ddhelm.errors import ClusterError, DdhelmError, RolloutFailed, ToolError
from ddhelm.rollout import Complete, Progress, Progressing, Reading, Seen, Stalled, judge, timeout_for
from ddhelm.workloads import Workload


class Clock(Struct, frozen=True):
    """Where seconds come from and how they pass."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


SYSTEM = Clock()
_YOUNG = 15.0


class Deadlines(Struct, frozen=True):
    """All in seconds. ``timeout`` None takes the default for the DaemonSets' size as it shows.

    ``interval`` lies between two looks, half of it as long as the watch is young: a small cluster is through then.
    ``diagnose`` lies between two that also ask about pods; ``blind`` is how long the API server may not answer before
    the watch gives up: a control plane that restarts is no failed roll-out. That silence counts towards ``timeout``,
    and not towards the time that a cause may last.
    """

    timeout: float | None = None
    interval: float = 1.0
    diagnose: float = 3.0
    blind: float = 60.0


class Polled(Struct, frozen=True):
    """Told to the observer after each look."""

    targets: tuple[Target, ...]
    reading: Reading
    progress: Progress
    elapsed: float
    timeout: float


class Unreadable(Struct, frozen=True):
    """Told to the observer when the API server could not be asked."""

    error: DdhelmError
    elapsed: float


class Watched(Struct, frozen=True):
    """How a watch ended: its verdict, the workloads as last seen, and the seconds it took."""

    progress: Complete | Stalled
    workloads: tuple[Workload, ...]
    elapsed: float

    @property
    def ok(self) -> bool:
        """Whether every roll-out is complete."""
        return isinstance(self.progress, Complete)

    def failure(self) -> RolloutFailed:
        """The verdict as an error with words, hint and further causes; only for one that is not ``ok``."""
        if not isinstance(self.progress, Stalled):
            raise TypeError("a complete roll-out is no failure")
        verb = "ran out of time" if self.progress.timed_out else "stalled"
        return RolloutFailed(
            f"the roll-out {verb} after {self.elapsed:.0f} s: {self.progress.text}",
            hint=self.progress.hint,
            anchor="rollout-timeout" if self.progress.timed_out else "rollout-stalled",
            details=tuple(cause.text for cause in self.progress.causes if cause.text != self.progress.text),
        )


def watch(
    kubectl: Reads,
    watched: Sequence[Target],
    *,
    deadlines: Deadlines | None = None,
    observer: Callable[[object], None] = lambda _event: None,
    clock: Clock = SYSTEM,
    since: Baseline | None = None,
    checks: Mapping[str, str] | None = None,
) -> Watched:
    """Wait until every workload is complete, or until waiting makes no sense.

    ``since`` is the ``look.baseline`` taken before the change; ``checks`` maps paths on the host to check names, for
    hints. Raises ClusterError or ToolError when the cluster cannot be read for longer than ``deadlines.blind`` (at
    once when it is forbidden), and Interrupted.
    """
    loop = _Loop(Looker(kubectl, watched, since=since), tuple(watched), deadlines or Deadlines(), clock, checks or {})
    while True:
        polled = loop.poll()
        observer(polled)
        if isinstance(polled, Polled) and not isinstance(polled.progress, Progressing):
            return Watched(polled.progress, polled.reading.workloads, polled.elapsed)
        clock.sleep(loop.deadlines.interval / (2 if polled.elapsed < _YOUNG else 1))


@dataclass
class _Loop:
    """What one watch carries from look to look."""

    looker: Looker
    targets: tuple[Target, ...]
    deadlines: Deadlines
    clock: Clock
    checks: Mapping[str, str]
    began: float = field(init=False)
    seen: Seen = field(default_factory=Seen)
    timeout: float = 0.0
    diagnosed_at: float | None = None
    blind_since: float | None = None
    silent_since: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.clock.now()
        self.timeout = self.deadlines.timeout or 0.0

    def poll(self) -> Polled | Unreadable:
        """One look and its judgement."""
        asked_at = self.clock.now() - self.began
        try:
            reading = self._read()
        except (ClusterError, ToolError) as error:
            elapsed = self.clock.now() - self.began
            if self.blind_since is None:
                self.blind_since, self.silent_since = elapsed, asked_at
            if error.anchor == "forbidden" or elapsed - self.blind_since >= self.deadlines.blind:
                raise
            return Unreadable(error, elapsed)
        elapsed = self.clock.now() - self.began
        if self.blind_since is not None:
            self.seen = self.seen.after_silence(elapsed - self.silent_since)
            self.blind_since = None
        progress, self.seen = judge(reading, self.seen, elapsed=elapsed, timeout=self.timeout, checks=self.checks)
        return Polled(self.targets, reading, progress, elapsed, self.timeout)

    def _read(self) -> Reading:
        elapsed = self.clock.now() - self.began
        reading = self.looker.quick()
        if self.deadlines.timeout is None:  # grows as the controller counts the nodes
            self.timeout = max(self.timeout, timeout_for(reading.workloads))
        due = self.diagnosed_at is None or elapsed - self.diagnosed_at >= self.deadlines.diagnose
        if due or elapsed >= self.timeout:
            self.diagnosed_at = elapsed
            reading = self.looker.deep(reading)
        return reading
