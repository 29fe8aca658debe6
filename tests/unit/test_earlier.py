"""What earlier runs left with the releases, and what is told where the two remember different things."""

from typing import Any

from msgspec.structs import replace

from ddhelm import settings
from ddhelm.actions.reading import earlier
from ddhelm.plan import Deployed, Head
from ddhelm.release import Role, pair
from ddhelm.settings import FORMAT, RECORD_KEY, Settings
from tests.unit.test_plan import deployed


def remembering(role: Role, updated: str, site: str, **more: Any) -> Deployed:
    (release,) = (each for each in pair("datadog", control_plane=True) if each.role is role)
    kept = {"format": FORMAT, **settings.to_record(Settings(site=site)), "facts": {}}
    standing = deployed(values={RECORD_KEY: kept})
    return replace(standing, release=release, updated=updated, **more)


def told(*states: Deployed) -> tuple[str | None, str]:
    found = earlier({state.release.name: state for state in states})
    return found.settings.site, "".join(found.notices)


def test_the_newest_upgrade_is_named_by_its_revision_also_where_none_was_deployed() -> None:
    """Helm 4 ended by ^C may leave a failed revision over one that it had marked `superseded` already."""
    old = remembering(Role.CONTROL_PLANE, "2026-11-29T10:00:00Z", "datadoghq.com")
    failed = remembering(Role.WORKER, "2026-11-29T11:00:00Z", "datadoghq.eu", head=Head(8, "failed"), base=None)
    site, notice = told(old, failed)
    assert site == "datadoghq.eu"
    assert "those of `worker-node-ddagent` revision 8, the newest upgrade, are taken" in notice


def test_a_release_that_lost_its_record_keeps_the_values_that_it_was_given_by_hand() -> None:
    """Somebody has upgraded that one with `-f`, and ddhelm's record was not in the file."""
    kept = remembering(Role.CONTROL_PLANE, "2026-11-29T10:00:00Z", "datadoghq.eu")
    given = {"datadog": {"tags": ["team:sre"], "apiKey": "x" * 32}, "clusterAgent": {"enabled": False}}
    by_hand = replace(remembering(Role.WORKER, "2026-11-29T11:00:00Z", "datadoghq.com"), config=given)
    found = earlier({state.release.name: state for state in (kept, by_hand)})
    assert found.settings.site == "datadoghq.eu"
    assert found.settings.user.worker == {"datadog": {"tags": ["team:sre"]}}
    (told,) = found.taken_over
    assert "release `worker-node-ddagent` was made without ddhelm" in told
    assert found.keys == {"api-key": "x" * 32}


def test_a_revision_that_was_brought_back_does_not_count_as_the_newest() -> None:
    wanted = remembering(Role.CONTROL_PLANE, "2026-11-29T10:00:00Z", "datadoghq.eu", base=4)
    back = remembering(Role.WORKER, "2026-11-29T11:00:00Z", "datadoghq.com", rolled_back=True)
    assert told(wanted, back)[0] == "datadoghq.eu"
    assert told(remembering(Role.WORKER, "2026-11-29T11:00:00Z", "datadoghq.eu"), wanted) == ("datadoghq.eu", "")
