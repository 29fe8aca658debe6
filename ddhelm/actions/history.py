"""Reads what Helm has kept of both releases, as one story."""

from collections.abc import Sequence
from dataclasses import dataclass

from ddhelm import timeline
from ddhelm.actions import revisions
from ddhelm.actions.session import Session
from ddhelm.release import Release, pair
from ddhelm.timeline import Run


@dataclass(frozen=True, slots=True)
class History:
    """The runs, oldest first, and what a rollback without a revision would go to (release name to revision)."""

    releases: tuple[Release, ...]
    runs: Sequence[Run]
    back: dict[str, int]


def read(session: Session) -> History:
    """The history of both releases; ReleaseError where none stands or a revision cannot be read."""
    found = revisions.read(session)
    revisions.existing(session, found)
    releases = tuple(each for each in pair(session.access.namespace, control_plane=True) if each.name in found)
    story = timeline.runs([each for records in found.values() for each in records], releases)
    current = {name: base.revision for name, records in found.items() if (base := revisions.standing(records))}
    return History(releases, story, dict(timeline.before(story, current)))
