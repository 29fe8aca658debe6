"""Shows roll-outs while they happen: a live table on a terminal, lines that say what changed elsewhere.

Progress is a difference: a log of a hundred equal lines hides the one that matters.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field

from ddhelm.actions.events import Warned
from ddhelm.actions.watch import Polled, Unreadable, Watched
from ddhelm.rollout import Complete, Stalled
from ddhelm.views import workloads
from ddhelm.views.console import BAD, GOOD, WARN, counted, problem, words
from ddhelm.workloads import Workload

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.table import Table

_SHOWN_CAUSES = 3
_REFRESH = 4


def lines(before: Polled | None, now: Polled) -> tuple[str, ...]:
    """What changed between two looks, a line each: numbers of a workload, a new cause, a cause that is gone."""
    old = {each.name: _numbers(each) for each in before.reading.workloads} if before else {}
    changed = [
        f"{_clock(now.elapsed)}  {each.name}: {_numbers(each)}"
        for each in now.reading.workloads
        if old.get(each.name) != _numbers(each)
    ]
    causes, known = _causes(now), _causes(before)
    changed += [f"{_clock(now.elapsed)}  {WARN} {text}" for key, text in causes.items() if key not in known]
    changed += [f"{_clock(now.elapsed)}  {GOOD} no longer: {text}" for key, text in known.items() if key not in causes]
    return tuple(changed)


@contextmanager
def observer(console: "Console") -> Iterator[Callable[[object], None]]:
    """Something to hand on as the observer of a change: shows its watch, and warnings; other events pass unseen."""
    if not console.is_terminal:
        yield _Plain(console)
        return
    from rich.live import Live

    with Live(console=console, refresh_per_second=_REFRESH, transient=True) as live:
        yield _Drawn(live)


def outcome(watched: Watched, console: "Console") -> None:
    """How a watch ended: one line, a table of what stands where, and for a stall the causes with their hints."""
    progress = watched.progress
    if isinstance(progress, Stalled):
        console.print(_table(watched.workloads))
        problem(console, _headline(watched, progress), progress.hint, mark=BAD, style="bad")
        for cause in progress.causes:
            if cause.text != progress.text:
                problem(console, cause.text, cause.hint)
        return
    ready = sum(each.ready for each in watched.workloads)
    console.print(words(f"{GOOD} rolled out: {counted(ready, 'pod')} ready after {watched.elapsed:.0f} s", "good"))
    for name in progress.empty:
        problem(console, f"`{name}` wants no node: nothing runs through it", "ddhelm status")


class _Plain(Struct):
    """Prints what changed since the last look."""

    console: "Console"
    before: Polled | None = None
    blind: bool = False
    warned: set[str] = field(default_factory=set)

    def __call__(self, event: object) -> None:
        _warn(event, self.warned, self.console)
        if isinstance(event, Unreadable) and not self.blind:
            self.blind = True
            self.console.print(words(f"{_clock(event.elapsed)}  {WARN} {event.error.message}"))
        if isinstance(event, Polled):
            self.blind = False
            for line in lines(self.before, event):
                self.console.print(words(line))
            self.before = event


class _Drawn(Struct):
    """Draws the table anew after each look."""

    live: "Live"
    last: Polled | None = None
    warned: set[str] = field(default_factory=set)

    def __call__(self, event: object) -> None:
        _warn(event, self.warned, self.live.console)
        if isinstance(event, Polled):
            self.last = event
            self.live.update(_board(event))
        elif isinstance(event, Unreadable):
            self.live.update(_board(self.last, f"{event.error.message} (for {event.elapsed:.0f} s)"))


def _warn(event: object, warned: set[str], console: "Console") -> None:
    """Print a warning, above a board that is drawn, once: the API server says it of each object of each release."""
    if isinstance(event, Warned) and event.line not in warned:
        warned.add(event.line)
        problem(console, event.line)


def _board(polled: Polled | None, trouble: str = "") -> "Group":
    from rich.console import Group
    from rich.text import Text

    parts: list[object] = []
    if polled is not None:
        parts.append(_table(polled.reading.workloads))
        parts += [words(f"{WARN} {text}", "warn") for text in list(_causes(polled).values())[:_SHOWN_CAUSES]]
        left = max(polled.timeout - polled.elapsed, 0)
        parts.append(Text(f"{_clock(polled.elapsed)} passed, gives up in {_clock(left)}", style="faint"))
    if trouble:
        parts.append(words(f"{WARN} {trouble}", "warn"))
    return Group(*parts)  # type: ignore[arg-type]  # rich types renderables too narrowly for a list


def _table(shown: tuple[Workload, ...]) -> "Table":
    return workloads.table((each.kind, each.name, each) for each in shown)


def _numbers(workload: Workload) -> str:
    if workload.empty:
        return "wants no node"
    if not workload.current:
        return "waiting for the controller"
    numbers = f"{workload.ready} of {workload.desired} ready"
    if workload.updated < workload.desired:
        numbers += f", {workload.updated} up to date"
    return numbers


def _causes(polled: Polled | None) -> dict[tuple[str, str, str], str]:
    progress = polled.progress if polled else None
    if progress is None or isinstance(progress, Complete):
        return {}
    return {cause.key: cause.text for cause in progress.causes}


def _headline(watched: Watched, progress: Stalled) -> str:
    verb = "ran out of time" if progress.timed_out else "stalled"
    return f"the roll-out {verb} after {watched.elapsed:.0f} s: {progress.text}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
