"""Values files mean to ddhelm what they mean to the real helm: merging, null, chart defaults, odd YAML."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddhelm import tree, yamltext
from tests.helm import toy

FEW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
KEYS = st.sampled_from(["a", "b", "c", "d.e", "x y", "1", "true"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1e3, 1e3) | st.sampled_from(["", "no", "1e3", "ä"])
)


def trees(depth: int) -> st.SearchStrategy[Any]:
    """Of an explicit depth: left to itself Hypothesis makes shallow ones, on which false laws hold."""
    if depth == 0:
        return SCALARS
    below = trees(depth - 1)
    maps = st.dictionaries(KEYS, below, max_size=4)
    return SCALARS | maps | maps | st.lists(below, max_size=2)


CASES = st.lists(st.tuples(trees(3), trees(3), trees(2)), min_size=10, max_size=25)


def numbered(cases: list[tuple[Any, ...]], at: int) -> dict[str, Any]:
    """Each case below a key of its own, so that one helm process answers for all of them."""
    return {f"case{number}": {"v": case[at]} for number, case in enumerate(cases)}


@pytest.mark.parametrize("version", toy.MAJORS)
def test_files_merge_as_helm_merges_them(version: str, tmp_path: Path) -> None:
    chart = toy.chart(tmp_path / "toy")

    @FEW
    @given(CASES)
    def agree(cases: list[tuple[Any, ...]]) -> None:
        files = [numbered(cases, at) for at in range(3)]
        argv = []
        for number, values in enumerate(files):
            file = tmp_path / f"{number}.json"
            file.write_text(json.dumps(values))
            argv += ["--values", str(file)]
        merged = tree.merge(tree.merge(files[0], files[1]), files[2])
        assert tree.diff(toy.values(version, chart, argv), merged, list_keys={}) == ()

    agree()


@pytest.mark.parametrize("version", toy.MAJORS)
def test_null_deletes_a_default_of_the_chart_as_helm_deletes_it(version: str, tmp_path: Path) -> None:
    chart = toy.chart(tmp_path / "toy")

    @FEW
    @given(CASES)
    def agree(cases: list[tuple[Any, ...]]) -> None:
        # A chart whose own values hold null is not tried: Helm 3 and 4 differ there, and no template can tell.
        defaults = without_nulls(numbered(cases, 0))
        (chart / "values.yaml").write_text(json.dumps(defaults))
        given_values = numbered(cases, 1)
        expected = tree.coalesce(given_values, defaults)
        assert (
            tree.diff(toy.values(version, chart, ["-f", "-"], json.dumps(given_values)), expected, list_keys={}) == ()
        )

    agree()


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(below) for key, below in value.items() if below is not None}
    return [without_nulls(item) for item in value if item is not None] if isinstance(value, list) else value


READ: tuple[str | bytes, ...] = (
    "", "# nothing\n", "---\n", "null\n", b"\xef\xbb\xbfa: 1\n", "a: 1\r\nb: 2\r\n", '{\n\t"a": 1\n}\n', "a: 'x\n y'\n",
    "a: 1\n---\n# nothing more\n", "a: 1\n...\n", "b: &b {x: 1}\nu:\n  <<: *b\n  x: 2\n",
    "a: yes\nb: 0123\nc: 1e3\nd: 08\ne: 1:30\nf: 2024-01-02\ng: 0o17\nh: 1_000\ni: 0x1F\nj: +5\nk: 1.10\n",
    "a: 1\na: 2\n", "on: 1\n8125: x\n1.10: y\n", 'a: "\\u00e4"\n', "a: |\n  x\n   y\n\nb: >-\n  x\n  y\n",
    "a:\tx\n", "a: x\t# c\n", "a: !!str 5\nb: !!binary aGk=\n", "a: 9007199254740992\nb: 0.1\nc: 1000000\n",
)  # fmt: skip
BROKEN: tuple[str | bytes, ...] = (
    "- a\n", "hello\n", "a:b\n", "a: [1\n", "a: b: c\n", "a:\n\tb: 1\n", "\ta: 1\n", "a: {{ x }}\n", "a: *x\n",
    "a: %x\n", "? [a]\n: 1\n", b"a: \xff\n", "a: 1\x00\n", "a: .inf\n", "a: '\n", "a: @x\n", "a: `x`\n",
    "a: 1\n b: 2\n",
)  # fmt: skip


@pytest.mark.parametrize("version", toy.MAJORS)
def test_odd_files_mean_what_they_mean_to_helm(version: str, tmp_path: Path) -> None:
    chart = toy.chart(tmp_path / "toy")
    for text in READ:
        assert tree.same(toy.values(version, chart, ["-f", "-"], text), yamltext.read(text).tree), text


@pytest.mark.parametrize("version", toy.MAJORS)
def test_a_file_that_helm_refuses_is_refused_before_helm_sees_it(version: str, tmp_path: Path) -> None:
    chart = toy.chart(tmp_path / "toy")
    for text in BROKEN:
        assert [f for f in yamltext.read(text).findings if f.severity == "error"], text
        with pytest.raises(toy.Refused):
            toy.values(version, chart, ["-f", "-"], text)


@pytest.mark.parametrize(("version", "read"), [("3.22", {"a": 1}), ("4.3", {"a": 1, "b": 2})])
def test_the_majors_differ_over_a_second_document_which_is_why_it_is_refused(
    version: str, read: dict[str, int], tmp_path: Path
) -> None:
    chart = toy.chart(tmp_path / "toy")
    text = "a: 1\n---\nb: 2\n"
    assert toy.values(version, chart, ["-f", "-"], text) == read
    assert yamltext.read(text).findings


@pytest.mark.parametrize("version", toy.MAJORS)
def test_a_million_in_a_file_is_printed_as_a_float_which_is_why_it_is_noted(version: str, tmp_path: Path) -> None:
    chart = toy.chart(tmp_path / "toy")
    (chart / "templates" / "values.yaml").write_text("data: {json: {{ print .Values.x | toJson | quote }}}\n")
    for number in (1000000, 12345678, -2500000, 999999, 120000000000):
        printed = toy.values(version, chart, ["-f", "-"], f"x: {number}\n")
        notes = yamltext.read(f"x: {number}\n").findings
        assert (printed == str(number)) == (not notes)
        assert all(printed in note.text for note in notes)


@pytest.mark.parametrize("version", toy.MAJORS)
def test_a_number_with_too_many_digits_is_said_to_be_what_helm_makes_of_it(version: str, tmp_path: Path) -> None:
    chart = toy.chart(tmp_path / "toy")
    (chart / "templates" / "values.yaml").write_text("data: {json: {{ print .Values.x | toJson | quote }}}\n")
    for number in (
        "9007199254740993", "-9007199254740993", "12345678901234567890", "18446744073709551616", "1e25",
        "9999999999999999", "0.12345678901234567890", "98765432109876543210987",
    ):  # fmt: skip
        printed = toy.values(version, chart, ["-f", "-"], f"x: {number}\n")
        (finding,) = yamltext.read(f"x: {number}\n").findings
        assert finding.text == f"`x`: `{number}` is the number {printed} for Helm"
