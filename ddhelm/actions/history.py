"""Reads what Helm has kept of both releases and what is recorded of the runs that made it, as one story.

What Helm has kept is enough: where nothing was recorded, or the record may not be read, the revisions tell theirs.
"""

from collections.abc import Sequence

from msgspec import Struct

from ddhelm import audit, timeline
from ddhelm.actions import audit as recording
from ddhelm.actions import revisions
from ddhelm.actions.session import Session
from ddhelm.audit import Entry
from ddhelm.errors import DdhelmError
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
    records = [each for kept in found.values() for each in kept]
    current = {name: base.revision for name, kept in found.items() if (base := revisions.standing(kept))}
    back = dict(timeline.before(timeline.runs(records, releases), current))
    return History(releases, timeline.told(records, releases, shared, here), back, unread)


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
    uid = recording.uid(session.kubectl)
    return tuple(each for each in known if uid and each.cluster == uid)
