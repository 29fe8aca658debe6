"""Reads the revisions that Helm keeps of both releases, all in one request.

A Secret holds a revision with its whole chart (up to 440 KB); one list of twenty is cheaper than twenty processes.
"""

from collections.abc import Mapping, Sequence, Sized

from ddhelm import reads, record
from ddhelm import settings as settings_
from ddhelm.actions.session import Session
from ddhelm.errors import ReleaseError
from ddhelm.record import Record
from ddhelm.release import pair
from ddhelm.settings import RECORD_KEY, Settings

NEVER_STOOD = frozenset({"failed", "pending-install", "pending-upgrade", "pending-rollback"})
"""What Helm calls a revision that nobody can go back to."""


def read(session: Session, *, superseded: bool = True) -> Mapping[str, tuple[Record, ...]]:
    """Release name to its revisions, oldest first; releases that do not stand are left out.

    ``superseded`` False leaves out what an upgrade no longer looks at. Raises ClusterError, or ReleaseError for a
    Secret that cannot be read.
    """
    releases = pair(session.access.namespace, control_plane=True)
    names = [release.name for release in releases]
    tree = session.kubectl.tree(reads.records(session.access.namespace, names, superseded=superseded))
    found: dict[str, list[Record]] = {}
    for item in (tree or {}).get("items") or ():
        entry = record.decode(item)
        found.setdefault(entry.name, []).append(entry)
    return {
        release.name: tuple(sorted(found[release.name], key=lambda each: each.revision))
        for release in releases
        if release.name in found
    }


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
    """The settings stored with the newest revision of the first release; the defaults where ddhelm did not write it."""
    newest = next((records[-1] for records in found.values()), None)
    stored = None if newest is None else newest.config.get(RECORD_KEY)
    return settings_.from_record(stored if isinstance(stored, dict) else {}, "the release")


def standing(records: Sequence[Record]) -> Record | None:
    """The revision that counts: the newest `deployed` one; after a rollback that failed Helm calls none so (3.22, 4.3),
    and it is the newest that stood. None also where the release was uninstalled and its history kept.
    """
    newest, head = {}, ""
    for each in sorted(records, key=lambda each: each.revision):
        newest[each.status], head = each, each.status
    return newest.get("deployed") or (newest.get("superseded") if head in NEVER_STOOD else None)
