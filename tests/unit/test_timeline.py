"""The story of both releases, and where the way back leads."""

import datetime
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from msgspec.structs import replace as replaced

from ddhelm.audit import Change, Entry, Who
from ddhelm.record import Record, seconds
from ddhelm.release import pair
from ddhelm.timeline import Told, before, came_later, runs, told

RELEASES = pair("datadog", control_plane=True)
W, C = (release.name for release in RELEASES)
MANIFEST = """
kind: ConfigMap
apiVersion: v1
metadata: {{name: ours, labels: {{helm.sh/chart: "datadog-{noise}"}}}}
data: {{says: {says}}}
"""
START = datetime.datetime(2026, 11, 24, 3, 0, tzinfo=datetime.UTC)


def record(name: str, revision: int, at: float, says: str, status: str = "superseded") -> Record:
    stamp = (START + datetime.timedelta(seconds=at)).isoformat()
    text = MANIFEST.format(says=says, noise=revision)
    return Record(name, "datadog", revision, status, "datadog", "3.240.0", "7", stamp, stamp, "", {"says": says}, text)


def story(*told: tuple[str, int, float, str] | tuple[str, int, float, str, str]) -> tuple[list[Record], dict[str, int]]:
    """Records of which the last of each release that stood is deployed, and their numbers."""
    records = [record(*each) for each in told]
    current: dict[str, int] = {}
    for at, each in enumerate(records):
        if each.status != "failed" and not any(
            later.name == each.name and later.status != "failed" for later in records[at + 1 :]
        ):
            records[at] = replaced(each, status="deployed")
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


def halfway(*told: tuple[str, int, float, str] | tuple[str, int, float, str, str]) -> dict[str, int]:
    records, current = story(*told)
    newest = {each.name: each for each in records}
    failed = {name: each.revision for name, each in newest.items() if each.status == "failed"}
    return dict(before(runs(records, RELEASES), current, failed))


PAIR = ((W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 60, "b"), (C, 2, 63, "b"))


def test_a_change_that_failed_is_the_last_one_and_is_all_that_goes_back() -> None:
    assert halfway(*PAIR, (W, 3, 900, "c", "failed")) == {W: 2}
    assert halfway(*PAIR, (W, 3, 900, "c"), (C, 3, 903, "c", "failed")) == {W: 2, C: 2}
    assert halfway(*PAIR, (C, 3, 900, "c", "failed")) == {C: 2}
    assert halfway(*PAIR, (W, 3, 900, "c", "failed"), (C, 3, 2000, "c", "failed")) == {W: 2, C: 2}
    assert halfway(*PAIR, (W, 3, 900, "b", "failed")) == {W: 2}, "what it wanted is the same, and it did not get there"


def test_what_never_stood_has_nothing_to_go_back_to() -> None:
    assert halfway((W, 1, 0, "a", "failed")) == {}
    assert halfway((W, 1, 0, "a"), (C, 1, 3, "a", "failed")) == {}


def test_a_control_plane_release_that_came_later_is_not_taken_away() -> None:
    assert back((W, 1, 0, "a"), (W, 2, 900, "b"), (C, 1, 2000, "b")) == {W: 1}


def later(targets: dict[str, int], *told: tuple[str, int, float, str]) -> tuple[str, ...]:
    records, _ = story(*told)
    return came_later({name: [each for each in records if each.name == name] for name in (W, C)}, targets)


def test_a_release_that_came_with_the_change_that_goes_back_is_named() -> None:
    assert later({W: 1}, (W, 1, 0, "a"), (W, 2, 900, "b"), (C, 1, 903, "b")) == (C,)
    assert later({W: 1}, (W, 1, 0, "a"), (W, 2, 900, "b"), (C, 1, 2000, "b")) == (C,)


def test_a_release_that_stood_or_may_have_stood_then_is_not() -> None:
    assert later({W: 1}, (W, 1, 0, "a"), (C, 1, 500, "a"), (W, 2, 900, "b")) == ()
    assert later({W: 1}, (W, 1, 0, "a"), (W, 2, 900, "b"), (C, 11, 903, "b")) == (), "its first ones are gone"
    assert later({W: 1, C: 1}, (W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 900, "b"), (C, 2, 903, "b")) == ()


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


# --- with what was recorded of the runs


def entry(name: str, began: float, ended: float | None, *releases: str) -> Entry:
    def stamp(at: float) -> str:
        return (START + datetime.timedelta(seconds=at)).isoformat()

    return Entry(
        name,
        "onboard",
        stamp(began),
        Who("anna", "laptop"),
        changes=tuple(Change("upgrade", release) for release in releases),
        ended="" if ended is None else stamp(ended),
    )


def names(found: Sequence[Told]) -> list[tuple[str | None, list[tuple[str, int]]]]:
    return [(each.entry.id if each.entry else None, [(r.name, r.revision) for r in each.records]) for each in found]


def test_revisions_belong_to_the_run_during_which_they_were_made() -> None:
    """Also the one that a run made to undo its own; and one by hand, at night, belongs to nobody."""
    records, _ = story((W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 60, "b", "failed"), (W, 3, 70, "a"), (W, 4, 900, "c"))
    shared = [entry("first", -1, 5, W, C), entry("second", 55, 72, W)]
    assert names(told(records, RELEASES, shared)) == [
        ("first", [(W, 1), (C, 1)]),
        ("second", [(W, 2), (W, 3)]),
        (None, [(W, 4)]),
    ]


def test_two_short_runs_that_touch_each_other_keep_their_own() -> None:
    """A script's: the second begins within the second that Helm's and the record's clocks may lie apart."""
    records, _ = story((W, 1, 0, "a"), (C, 1, 1, "a"), (W, 2, 2.5, "b"), (C, 2, 3.5, "b"), (W, 3, 5, "c", "failed"))

    def numbered(name: str, began: float, ended: float, number: int | None) -> Entry:
        changes = tuple(Change("upgrade", release, number) for release in (W, C))
        return replace(entry(name, began, ended), changes=changes)

    shared = [numbered("one", -1, 2, 1), numbered("two", 2.2, 4.5, 2), numbered("three", 4.7, 5.5, None)]
    assert names(told(records, RELEASES, shared)) == [
        ("one", [(W, 1), (C, 1)]),
        ("two", [(W, 2), (C, 2)]),
        ("three", [(W, 3)]),
    ]


def test_a_revision_made_right_after_a_run_is_not_that_runs() -> None:
    records, _ = story((W, 1, 1, "a"), (W, 2, 2.5, "b", "failed"))
    onboard = replace(entry("onboard", 0, 2), outcome="done", changes=(Change("install", W, 1),))
    assert names(told(records, RELEASES, [onboard])) == [("onboard", [(W, 1)]), (None, [(W, 2)])]
    twice = replace(onboard, changes=(Change("rollback", W, 2),))  # helm's first try is in no record
    assert names(told(records, RELEASES, [twice])) == [("onboard", [(W, 1), (W, 2)])]
    failed = replace(onboard, outcome="failed")  # what it did to set things back is in no record
    assert names(told(records, RELEASES, [failed])) == [("onboard", [(W, 1), (W, 2)])]


def test_runs_that_left_no_revision_are_told_in_their_place() -> None:
    records, _ = story((W, 1, 0, "a"), (W, 2, 900, "b"))
    gone = [entry("uninstall", 100, 110, W, C), entry("refused", 200, 201)]
    assert names(told(records, RELEASES, [gone[0]], gone)) == [
        (None, [(W, 1)]),
        ("uninstall", []),
        ("refused", []),
        (None, [(W, 2)]),
    ]
    assert [each.shared for each in told((), RELEASES, [gone[0]], gone)] == [True, False]


def test_a_revision_of_a_release_that_a_run_did_not_touch_is_not_its_own() -> None:
    records, _ = story((C, 1, 3, "a"))
    assert names(told(records, RELEASES, [entry("worker only", 0, 10, W)])) == [("worker only", []), (None, [(C, 1)])]


def test_a_run_that_never_ended_claims_what_it_may_have_made() -> None:
    records, _ = story((W, 1, 20, "a"), (W, 2, 4000, "b"))
    assert names(told(records, RELEASES, [entry("killed", 0, None, W)])) == [("killed", [(W, 1)]), (None, [(W, 2)])]


def test_without_a_record_it_is_the_story_of_the_revisions() -> None:
    records, _ = story((W, 1, 0, "a"), (C, 1, 3, "a"), (W, 2, 900, "b"))
    assert [each.records for each in told(records, RELEASES, ())] == [each.records for each in runs(records, RELEASES)]
