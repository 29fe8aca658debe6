"""What is kept of a run: one bounded line, and a ring of them that stays far below what a ConfigMap may hold."""

import json

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ddhelm import audit
from ddhelm.audit import COUNT, LINE, SIZE, Change, Entry, Who

ANNA = Who("anna", "laptop", "kubernetes-admin", "https://ci.example.com/1")
ENTRY = Entry(
    "5f3a",
    "onboard",
    "2026-11-27T01:30:00.000Z",
    ANNA,
    cluster="uid",
    context="prod",
    server="https://10.0.0.1:6443",
    namespace="datadog",
    plan="ab" * 32,
    changes=(
        Change("namespace `datadog` was made"),
        Change("install", "worker-node-ddagent", 1),
        Change("rollback", "x", target=3),
    ),
    ended="2026-11-27T01:30:21.500Z",
    outcome="failed",
    exit_code=4,
    message="DaemonSet x: 2 of 8 nodes",
    ddhelm="0.1.0",
)

texts = st.text(max_size=600)
changes = st.builds(Change, texts, texts, st.none() | st.integers(1, 10**6), st.none() | st.integers(1, 10**6))
entries = st.builds(
    Entry,
    id=texts.filter(bool),
    verb=texts,
    began=texts,
    who=st.builds(Who, texts, texts, texts, texts),
    cluster=texts,
    context=texts,
    server=texts,
    namespace=texts,
    plan=texts,
    changes=st.lists(changes, max_size=30).map(tuple),
    message=texts,
)


def test_what_was_written_is_read_again() -> None:
    assert audit.read(audit.line(ENTRY)) == ENTRY
    assert audit.read(audit.line(replace(ENTRY, ended="", outcome="running", exit_code=None, message=""))) is not None


@given(entries)
def test_a_line_is_one_line_and_never_longer_than_it_may_be(entry: Entry) -> None:
    line = audit.line(entry)
    assert len(line.encode()) <= LINE
    assert len(line.splitlines()) == 1
    assert json.loads(line)["version"] == 1


@given(st.lists(st.integers(1, LINE), max_size=200))
def test_a_ring_keeps_the_newest_within_its_bounds(sizes: list[int]) -> None:
    text, written = "", []
    for number, size in enumerate(sizes):
        written.append(f"{number}:".ljust(size, "x"))
        text = audit.ring(text.split("\n"), written[-1])
        kept = text.splitlines()
        assert len(text.encode()) <= SIZE
        assert len(kept) <= COUNT
        assert kept == written[len(written) - len(kept) :]
        full = len(kept) == len(written) or len(kept) == COUNT
        assert full or len(text.encode()) + len(written[-len(kept) - 1].encode()) + 1 > SIZE, "it dropped too much"


def test_a_ring_is_bounded_by_number_and_by_size() -> None:
    short = [f"{number}" for number in range(COUNT + 10)]
    assert audit.ring(short[:-1], short[-1]).splitlines() == short[-COUNT:]
    long = [f"{number}:".ljust(4095, "x") for number in range(COUNT)]
    assert audit.ring(long[:-1], long[-1]).splitlines() == long[-SIZE // 4096 :]


def test_the_ring_is_well_below_what_a_configmap_may_hold() -> None:
    assert SIZE + LINE < 1024 * 1024 / 4


def test_lines_that_are_not_understood_stay_in_the_ring_and_out_of_the_story() -> None:
    newer = '{"version":2,"id":"x","verb":"teleport"}'
    lines = ["garbage", newer, '["a"]', "", audit.line(ENTRY)]
    assert audit.entries(lines) == (ENTRY,)
    assert audit.ring(lines, "new").splitlines() == ["garbage", newer, '["a"]', audit.line(ENTRY), "new"]


def test_fields_of_the_wrong_type_are_empty() -> None:
    found = audit.read('{"version":1,"id":"x","verb":7,"changes":"no","exitCode":"no","outcome":{},"user":null}')
    assert found == Entry("x", "", "", Who("", ""), outcome="failed")
    assert audit.read('{"version":1,"id":"x","changes":[7,{"what":3}]}') is not None


def test_of_a_run_that_was_noted_when_it_began_the_end_counts() -> None:
    begun = replace(ENTRY, ended="", outcome="running", exit_code=None, message="", changes=())
    lines = [audit.line(begun), audit.line(ENTRY)]
    assert audit.entries(lines) == (ENTRY,)
    assert audit.entries(reversed(lines)) == (ENTRY,)
    assert audit.entries(lines[:1]) == (begun,)


def test_a_long_list_of_changes_is_cut_and_says_so() -> None:
    many = replace(ENTRY, changes=tuple(Change(f"c{number}") for number in range(40)))
    read = audit.read(audit.line(many))
    assert read is not None
    assert len(read.changes) == 12
    assert read.changes[-1].what == "and 29 more"
