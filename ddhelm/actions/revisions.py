"""Reads the revisions that Helm keeps of both releases, all in one request.

A Secret holds a revision with its whole chart (up to 440 KB); one list of twenty is cheaper than twenty processes.
"""

from collections.abc import Mapping, Sequence, Sized
from typing import Protocol

from ddhelm import reads, record
from ddhelm import settings as settings_
from ddhelm.actions.identity import Reads
from ddhelm.actions.session import Session
from ddhelm.errors import PlanStale, ReleaseError
from ddhelm.record import Record, ReleaseRow
from ddhelm.release import NAMES
from ddhelm.settings import RECORD_KEY, Settings
from ddhelm.tree import Tree


class Heads(Protocol):
    """What is asked of kubectl about the newest revisions."""

    def release_rows(self) -> Sequence[ReleaseRow]:
        """All revisions of all releases of the namespace, by their labels."""

    def heads(self, names: Sequence[str]) -> Mapping[str, ReleaseRow]:
        """The newest revision of each, as its record has it."""


NEVER_STOOD = frozenset({"failed", "pending-install", "pending-upgrade", "pending-rollback"})
"""What Helm calls a revision that nobody can go back to."""


def read(session: Session, *, superseded: bool = True) -> Mapping[str, tuple[Record, ...]]:
    """Release name to its revisions, oldest first; releases that do not stand are left out.

    ``superseded`` False leaves out what an upgrade no longer looks at; they are read where nothing else shows how a
    release stands. Raises ClusterError, or ReleaseError for a Secret that cannot be read.
    """
    return of(session.kubectl, session.access.namespace, superseded=superseded)


def of(kubectl: Reads, namespace: str, *, superseded: bool = True) -> Mapping[str, tuple[Record, ...]]:
    """The same without a session."""
    found = by_name(kubectl.tree(reads.records(namespace, NAMES.values(), superseded=superseded)))
    if not superseded and (lost := without_base(found)):
        found |= by_name(kubectl.tree(reads.records(namespace, lost, superseded=True)))
    return found


def by_name(listed: Tree | None) -> dict[str, tuple[Record, ...]]:
    """The revisions in a list of their Secrets, by release in the order of the pair, oldest first."""
    found: dict[str, list[Record]] = {}
    for item in (listed or {}).get("items") or ():
        entry = record.decode(item)
        found.setdefault(entry.name, []).append(entry)
    return {
        name: tuple(sorted(found[name], key=lambda each: each.revision)) for name in NAMES.values() if name in found
    }


def without_base(found: Mapping[str, Sequence[Record]]) -> tuple[str, ...]:
    """The releases of the pair of which no revision that is not superseded shows how they stand.

    helm marks the old revision before the new one: killed in between, it leaves only `superseded` and a pending one. So
    does whoever deletes the Secret of the deployed one.
    """
    return tuple(
        name
        for name in NAMES.values()
        if not (kept := found.get(name)) or (standing(kept) is None and kept[-1].status in NEVER_STOOD)
    )


def existing(session: Session, found: Sized) -> None:
    """Raises ReleaseError where no release stands, that is: where nothing of them was ``found``."""
    if not found:
        raise none_in(session.access.namespace)


def none_in(namespace: str) -> ReleaseError:
    """The error that says so."""
    return ReleaseError(
        f"there is no release of ddhelm's in namespace `{namespace}`",
        hint="ddhelm onboard, or name another --namespace",
        anchor="no-release",
    )


def settings(found: Mapping[str, Sequence[Record]]) -> Settings:
    """The settings that count; the defaults where ddhelm wrote none of the releases."""
    kept = remembering(found)
    return settings_.from_record({} if kept is None else kept.config[RECORD_KEY], "the release")


def remembering(found: Mapping[str, Sequence[Record]]) -> Record | None:
    """The revision whose settings count: of those that stand, and that ddhelm wrote, the newest upgrade."""
    stand = [standing(records) or records[-1] for records in found.values() if records]
    ours = [each for each in stand if isinstance(each.config.get(RECORD_KEY), dict)]
    return max(ours, key=lambda each: record.recency(each.rolled_back, each.last_deployed), default=None)


def standing(records: Sequence[Record]) -> Record | None:
    """The revision that counts: the newest `deployed` one, else the newest that stood.

    After a rollback that failed Helm calls none `deployed` (3.22, 4.3), nor after a kill between its last two writes;
    it goes on from a superseded one itself. None also where the release was uninstalled and its history kept, and where
    an uninstall has begun: helm deletes what the newest revision holds then, whichever it still calls `deployed`.
    """
    newest, head = {}, ""
    for each in sorted(records, key=lambda each: each.revision):
        newest[each.status], head = each, each.status
    if head.startswith("uninstall"):
        return None
    return newest.get("deployed") or (newest.get("superseded") if head in {*NEVER_STOOD, "superseded"} else None)


def alive(records: Sequence[Record]) -> tuple[Record, ...]:
    """The revisions of which objects may stand, newest first: that one, the one that counts, and those that failed.

    Helm (3.22, 4.3) deletes what the newest lists when it uninstalls, and compares an upgrade with the last deployed
    one alone: what only another revision lists lives on, and nobody reads of it any more.
    """
    base = standing(records)
    return tuple(
        each for each in reversed(records) if each is records[-1] or each is base or each.status != "superseded"
    )


def newest(found: Mapping[str, Sequence[Record]]) -> dict[str, int | None]:
    """The newest revision of each release of the pair, None where there is none: what ``unmoved`` is asked about."""
    return {name: found[name][-1].revision if found.get(name) else None for name in NAMES.values()}


def unmoved(kubectl: Heads, planned: Mapping[str, int | None]) -> None:
    """Raises PlanStale where the newest revision of a release is another than was ``planned`` for, None: no release."""
    rows = kubectl.release_rows()
    for name, revision in planned.items():
        found = record.head(rows, name)
        if (found.revision if found else None) != revision:
            head = kubectl.heads([name]).get(name)
            now = f"revision {head.revision} is `{head.status}`" if head else "it is gone"
            raise PlanStale(
                f"release `{name}` has moved since the plan was made: {now}",
                hint="run it again and read the plan",
                anchor="plan-stale",
            )
