"""The story of both releases, and where the way back leads."""

import datetime
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ddhelm.record import Record
from ddhelm.release import pair
from ddhelm.timeline import before, runs, seconds

RELEASES = pair("datadog", control_plane=True)
W, C = (release.name for release in RELEASES)
START = datetime.datetime(2026, 11, 24, 3, 0, tzinfo=datetime.UTC)


def record(name: str, revision: int, at: float, says: str, status: str = "superseded") -> Record:
    stamp = (START + datetime.timedelta(seconds=at)).isoformat()
    return Record(name, "datadog", revision, status, "datadog", "3.240.0", "7", stamp, stamp, "", {"says": says}, says)


def story(*told: tuple[str, int, float, str] | tuple[str, int, float, str, str]) -> tuple[list[Record], dict[str, int]]:
    """Records of which the last of each release that stood is deployed, and their numbers."""
    records = [record(*each) for each in told]
    current: dict[str, int] = {}
    for at, each in enumerate(records):
        if each.status != "failed" and not any(
            later.name == each.name and later.status != "failed" for later in records[at + 1 :]
        ):
            records[at] = replace(each, status="deployed")
            current[each.name] = each.revision
    return records, current


def back(*told: tuple[str, int, float, str] | tuple[str, int, float, str, str]) -> dict[str, int]:
    records, current = story(*told)
    return dict(before(runs(records, RELEASES), current))


def test_a_run_changes_the_worker_release_and_then_the_other() -> None:
    records, _ = story((W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 60, "b"), (C, 2, 63, "b"))
    assert [[each.revision for each in run.records] for run in runs(records, RELEASES)] == [[1, 1], [2, 2]]


def test_what_lies_far_apart_is_two_runs() -> None:
    records, _ = story((W, 1, 0, "a"), (C, 1, 4000, "a"))
    assert len(runs(records, RELEASES)) == 2


def test_back_is_how_both_stood_before_the_last_run() -> None:
    assert back((W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 60, "b"), (C, 2, 63, "b")) == {W: 1, C: 1}


def test_there_is_no_way_back_from_the_first() -> None:
    assert back((W, 1, 0, "a"), (C, 1, 3, "a")) == {}


def test_back_from_the_way_back_is_forward() -> None:
    told = [(W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 60, "b"), (C, 2, 63, "b"), (W, 3, 90, "a"), (C, 3, 93, "a")]
    assert back(*told) == {W: 2, C: 2}


def test_a_run_of_one_release_is_undone_in_that_one() -> None:
    assert back((W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 900, "b")) == {W: 1}
    assert back((W, 1, 0, "a"), (C, 1, 3, "a"), (C, 2, 900, "b")) == {C: 1}


def test_a_repair_is_no_change() -> None:
    assert back((W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 60, "b"), (C, 2, 63, "b"), (W, 3, 900, "b")) == {W: 1, C: 1}


def test_a_half_that_failed_and_was_set_back_leaves_the_other_to_undo() -> None:
    told = [(W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 60, "b"), (C, 2, 63, "b", "failed"), (C, 3, 70, "a")]
    assert back(*told) == {W: 1}  # type: ignore[arg-type]


def test_a_control_plane_release_that_came_later_is_not_taken_away() -> None:
    assert back((W, 1, 0, "a"), (W, 2, 900, "b"), (C, 1, 2000, "b")) == {W: 1}


@given(st.lists(st.tuples(st.sampled_from([W, C]), st.sampled_from("abc"), st.floats(1, 1000)), max_size=12))
def test_the_way_back_is_to_something_else_and_never_to_a_later_revision(changes: list[tuple[str, str, float]]) -> None:
    at, numbers, told = 0.0, {W: 0, C: 0}, []
    for name, says, gap in changes:
        at += gap
        numbers[name] += 1
        told.append((name, numbers[name], at, says))
    records, current = story(*told)
    kept = {(each.name, each.revision): each for each in records}
    for name, revision in before(runs(records, RELEASES), current).items():
        assert revision < current[name]
        assert kept[name, revision].manifest != kept[name, current[name]].manifest


def test_no_run_holds_two_revisions_of_one_release_and_none_is_lost() -> None:
    records, _ = story((W, 1, 0, "a"), (W, 2, 1, "b"), (C, 1, 2, "a"), (C, 2, 3, "b"), (W, 3, 4, "c"))
    found = runs(records, RELEASES)
    assert sorted((e.name, e.revision) for run in found for e in run.records) == sorted(
        (e.name, e.revision) for e in records
    )
    assert all(len({e.name for e in run.records}) == len(run.records) for run in found)


def test_a_time_in_another_zone_and_none_at_all() -> None:
    assert seconds("2026-11-24T04:08:45.123456789-05:00") == seconds("2026-11-24T09:08:45.123456Z")
    assert seconds("") == 0.0
