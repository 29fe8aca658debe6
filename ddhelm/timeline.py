"""The revisions of both releases as one story: which belong to one run, and what stood before the last change.

Helm knows releases only. A run of ddhelm changes the worker release and, seconds later, the control-plane release;
going back means both as they stood together, also where a run changed only one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from ddhelm import tree
from ddhelm.audit import Entry
from ddhelm.manifest import Manifest, parse
from ddhelm.masking import Masker
from ddhelm.record import Record, seconds
from ddhelm.release import Release
from ddhelm.steps import matters, object_changes

TOGETHER = 300.0
"""Seconds that may lie between the two revisions of one run: as long as one helm call may take."""
_MASKER = Masker(b"timeline")
_STOOD = ("deployed", "superseded")
_SLACK = 1.0
"""Seconds by which Helm's time of a revision may lie outside of the run that made it: one clock, rounded."""


class Run(Struct, frozen=True):
    """Revisions that one run made, at most one a release, in the order in which they were made."""

    records: tuple[Record, ...]

    @property
    def at(self) -> float:
        """When it began, Unix seconds."""
        return seconds(self.records[0].last_deployed)


class Told(Struct, frozen=True):
    """One run as it is told: what was recorded of it, if anything was, and the revisions that it left, if any.

    ``shared`` is False where only this machine has recorded it.
    """

    entry: Entry | None
    records: tuple[Record, ...]
    shared: bool = True

    @property
    def at(self) -> float:
        """When it began, Unix seconds."""
        return seconds(self.entry.began) if self.entry else seconds(self.records[0].last_deployed)


def told(
    records: Iterable[Record], releases: Sequence[Release], shared: Sequence[Entry], here: Sequence[Entry] = ()
) -> tuple[Told, ...]:
    """The story with what was recorded of its runs, oldest first; ``shared`` are the cluster's entries.

    A revision belongs to the run that has recorded its number; one that failed is in no record, and belongs to the run
    during which it was made: Helm and the record have one clock, and the lock keeps other runs out. What no entry
    claims is told as ``runs`` tells it.
    """
    known = {entry.id for entry in shared}
    entries = {entry.id: entry for entry in (*here, *shared)}
    made: dict[str, list[Record]] = {name: [] for name in entries}
    left: list[Record] = []
    for each in sorted(records, key=lambda each: (seconds(each.last_deployed), each.name, each.revision)):
        owner = _maker(each, entries.values())
        (left if owner is None else made[owner.id]).append(each)
    found = [Told(entry, tuple(made[name]), name in known) for name, entry in entries.items()]
    found += [Told(None, run.records) for run in runs(left, releases)]
    return tuple(sorted(found, key=lambda each: each.at))


def _maker(record: Record, entries: Iterable[Entry]) -> Entry | None:
    """The entry of the run that made a revision; of two short ones that touch each other, the one that says so."""
    possible = [entry for entry in entries if _meets(entry, record)]
    named = [
        entry
        for entry in possible
        if any(each.release == record.name and each.revision == record.revision for each in entry.changes)
    ]
    return max(named or possible, key=lambda entry: seconds(entry.began), default=None)


def _meets(entry: Entry, record: Record) -> bool:
    changes = [change for change in entry.changes if change.release == record.name]
    if not changes:
        return False
    made = [change.revision for change in changes if change.revision is not None]
    if entry.outcome == "done" and len(made) == len(changes) and record.revision > max(made):
        return False  # a run that went well has recorded its last one; somebody else's may follow within _SLACK
    moment = seconds(record.last_deployed)
    ended = seconds(entry.ended) if entry.ended else seconds(entry.began) + TOGETHER
    return seconds(entry.began) - _SLACK <= moment <= ended + _SLACK


def runs(records: Iterable[Record], releases: Sequence[Release]) -> tuple[Run, ...]:
    """The story, oldest first. Two revisions are one run if they follow each other in the order of ``releases``.

    Whether a run or two short ones made them is not recorded anywhere: neighbours within ``TOGETHER`` seconds count.
    """
    order = {release.name: at for at, release in enumerate(releases)}
    found: list[list[Record]] = []
    for each in sorted(records, key=lambda r: (seconds(r.last_deployed), order.get(r.name, 0), r.revision)):
        last = found[-1] if found else []
        if (
            last
            and order.get(last[-1].name, 0) < order.get(each.name, 0)
            and seconds(each.last_deployed) - seconds(last[-1].last_deployed) <= TOGETHER
        ):
            last.append(each)
        else:
            found.append([each])
    return tuple(Run(tuple(each)) for each in found)


def before(
    story: Sequence[Run | Told], current: Mapping[str, int], halfway: Mapping[str, int] = MappingProxyType({})
) -> Mapping[str, int]:
    """Release to the revision at which it stood before the last change; only releases that would change.

    ``current`` is the revision of each release that counts, ``halfway`` the newest one of those whose newest failed or
    never ended: the run that made it is the last change then, and all that it did goes back. What stood together after
    a run counts, not what stood between its revisions, such as one that stalled and was rolled back; a revision that
    says the same as the current one (a repair, a rollback) is no change.
    """
    kept = {(each.name, each.revision): each for run in story for each in run.records}
    now = {name: kept[name, revision] for name, revision in current.items() if (name, revision) in kept}
    states: list[dict[str, Record]] = [{}]
    for run in story:
        states.append({**states[-1], **{each.name: each for each in run.records if each.status in _STOOD}})
    broken = [at for at, run in enumerate(story) if any(halfway.get(e.name) == e.revision for e in run.records)]
    for old in [states[max(broken)]] if broken else reversed(states):
        targets = {
            name: old[name].revision
            for name, here in now.items()
            if name in old and (name in halfway or not same(old[name], here))
        }
        if targets:
            return targets
    return {}


def came_later(kept: Mapping[str, Sequence[Record]], targets: Mapping[str, int]) -> tuple[str, ...]:
    """The releases without a target that did not stand yet when the others stood at theirs.

    ``kept`` are the revisions of each release, oldest first. One whose first revision Helm no longer has did stand.
    """
    left = [
        seconds(later.last_deployed)
        for name, target in targets.items()
        for later in [each for each in kept[name] if each.revision > target][:1]
    ]
    return tuple(
        name
        for name, records in kept.items()
        if name not in targets and left and records[0].revision == 1 and seconds(records[0].last_deployed) >= min(left)
    )


def same(one: Record, other: Record) -> bool:
    """Whether two revisions say the same: their manifests, noise apart, and the values that made them."""
    return tree.same(one.config, other.config) and (
        one.manifest == other.manifest or not any(map(matters, object_changes(_parsed(one), _parsed(other))))
    )


def _parsed(record: Record) -> Manifest:
    return parse(record.manifest, record.namespace, _MASKER)
