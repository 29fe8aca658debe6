"""Reads what Helm has kept of both releases and what is recorded of the runs that made it, as one story.

What Helm has kept is enough: where nothing was recorded, or the record may not be read, the revisions tell theirs.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from ddhelm import audit, timeline
from ddhelm.actions import audit as recording
from ddhelm.actions import identity, revisions
from ddhelm.actions.session import Session
from ddhelm.audit import Entry
from ddhelm.errors import DdhelmError
from ddhelm.record import Record
from ddhelm.release import HISTORY, Release, pair
from ddhelm.timeline import Told


class History(Struct, frozen=True):
    """The runs, oldest first, and what a rollback without a revision would go to (release name to revision).

    ``unread`` says why what the cluster has recorded is not in it; empty where it is.
    """

    releases: tuple[Release, ...]
    runs: Sequence[Told]
    back: dict[str, int]
    unread: str = ""


def read(session: Session) -> History:
    """The history of both releases; ReleaseError where there is none at all or a revision cannot be read."""
    found = revisions.read(session)
    shared, unread = recorded(session)
    here = _here(session)
    if not (shared or here):
        revisions.existing(session, found)
    releases = tuple(each for each in pair(session.access.namespace, control_plane=True) if each.name in found)
    runs = timeline.told(_records(found), releases, shared, here)
    return History(releases, runs, _back(found, runs), unread)


def back(session: Session, found: Mapping[str, Sequence[Record]]) -> Mapping[str, int]:
    """Release to the revision that a rollback without a number goes to, of the releases ``found``; may be empty.

    That is where it stood before the last run that changed one of them, or failed to.
    """
    shared, _ = recorded(session)
    releases = pair(session.access.namespace, control_plane=True)
    return _back(found, timeline.told(_records(found), releases, shared, _here(session)))


def _back(found: Mapping[str, Sequence[Record]], runs: Sequence[Told]) -> dict[str, int]:
    standing = {name: base.revision for name, kept in found.items() if (base := revisions.standing(kept))}
    halfway = {name: found[name][-1].revision for name in standing if found[name][-1].status in revisions.NEVER_STOOD}
    return dict(timeline.before(runs, standing, halfway))


def _records(found: Mapping[str, Sequence[Record]]) -> list[Record]:
    return [each for kept in found.values() for each in kept]


def recorded(session: Session) -> tuple[tuple[Entry, ...], str]:
    """The entries in the cluster, oldest first, and why they cannot be read, if so."""
    try:
        configmap = session.kubectl.tree(recording.path(session.access.namespace))
    except DdhelmError as error:
        return (), f"ConfigMap `{HISTORY}` cannot be read: {error.message}"
    return audit.entries(recording.lines(configmap)), ""


def _here(session: Session) -> tuple[Entry, ...]:
    """What this machine remembers of this cluster and namespace."""
    known = [each for each in recording.here() if each.namespace == session.access.namespace]
    if not known:
        return ()
    try:
        uid = identity.uid(session.kubectl)
    except DdhelmError:  # without the right to look at kube-system: then this machine's may be another cluster's
        return ()
    return tuple(each for each in known if uid and each.cluster == uid)
