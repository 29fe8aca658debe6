"""``--set`` and its kin mean to ddhelm what they mean to the real helm, on generated expressions and odd ones.

Many expressions go through one helm process: they are applied one after another to one tree, by helm and by ddhelm.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddhelm import setflags, tree
from ddhelm.setflags import Kind
from tests.helm import toy

FEW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
DROPPED_IN_SILENCE = ("empty name", "not closed", "has no value", "which Helm drops")


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.chart(tmp_path_factory.mktemp("flags") / "toy")


NAMES = st.sampled_from(["a", "b", "c", r"d\.e", r"f\,g", r"h\=i", r"j\[k", "ä", "l m", r"\\"])
STEPS = st.lists(st.one_of(NAMES.map(lambda name: f".{name}"), st.integers(0, 2).map(lambda at: f"[{at}]")), max_size=3)
VALUES = st.one_of(
    st.sampled_from(
        ["", "true", "False", "NULL", "0", "-0", "00", "0123", "1.5", "1e3", " x", "x ", "a=b", r"a\,b", "[1]"]
    ),
    st.integers(-(10**19), 10**19).map(str),
    st.lists(st.sampled_from(["1", "x", "", "null", "true", r"\}", r"\,"]), min_size=1, max_size=3).map(
        lambda items: "{" + ",".join(items) + "}"
    ),
    st.text(alphabet="xyzäß\U0001f415", max_size=4),
)
PAIRS = st.builds(lambda first, steps, value: f"{first}{''.join(steps)}={value}", NAMES, STEPS, VALUES)
MADE = st.lists(PAIRS, min_size=1, max_size=3).map(",".join)
NOISE = st.text(alphabet="ab.,=[]{}\\01- ", min_size=1, max_size=9).map(lambda text: f"n{text}")
EXPRESSIONS = st.lists(st.one_of(MADE, NOISE), min_size=10, max_size=40)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text(max_size=4),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=3), below, max_size=3),
    max_leaves=6,
).map(json.dumps)
JSON_PAIRS = st.builds(
    lambda first, steps, before, value, after: f"{first}{''.join(steps)}={before}{value}{after}",
    NAMES, STEPS, st.sampled_from(["", " "]), JSON_VALUES | st.just(""), st.sampled_from(["", " ", ","]),
)  # fmt: skip


def ours(kind: Kind, expressions: Sequence[str]) -> tuple[tree.Tree, list[str], list[tuple[str, str]]]:
    """The tree after all that ddhelm accepts, what it accepted, and what it refused with its words."""
    base: tree.Tree = {}
    taken, refused = [], []
    for expression in expressions:
        try:
            base = setflags.apply(kind, expression, base)
        except setflags.SetError as error:
            refused.append((expression, str(error)))
        else:
            taken.append(expression)
    return base, taken, refused


def flags(kind: Kind, expressions: Sequence[str]) -> list[str]:
    return [f"--{kind}={expression}" for expression in expressions]


@pytest.mark.parametrize("version", toy.MAJORS)
@pytest.mark.parametrize("kind", ["set", "set-string"])
def test_expressions_give_the_tree_that_helm_gives(version: str, kind: Kind, chart: Path) -> None:
    @FEW
    @given(EXPRESSIONS)
    def agree(expressions: list[str]) -> None:
        expected, taken, _ = ours(kind, expressions)
        assert tree.diff(toy.values(version, chart, flags(kind, taken)), expected, list_keys={}) == ()

    agree()


@pytest.mark.parametrize("version", toy.MAJORS)
def test_json_expressions_give_the_tree_that_helm_gives(version: str, chart: Path) -> None:
    @FEW
    @given(st.lists(JSON_PAIRS, min_size=5, max_size=30))
    def agree(expressions: list[str]) -> None:
        expected, taken, _ = ours("set-json", expressions)
        assert tree.diff(toy.values(version, chart, flags("set-json", taken)), expected, list_keys={}) == ()

    agree()


@pytest.mark.parametrize("version", toy.MAJORS)
def test_what_ddhelm_refuses_helm_refuses_or_drops_in_silence(version: str, chart: Path) -> None:
    @settings(FEW, max_examples=25)
    @given(NOISE)
    def agree(expression: str) -> None:
        _, _, refused = ours("set", [expression])
        for one, words in refused:
            try:
                toy.values(version, chart, flags("set", [one]))
            except toy.Refused:
                continue
            assert any(silent in words for silent in DROPPED_IN_SILENCE), f"helm takes `{one}`: {words}"

    agree()


def test_an_empty_value_below_a_list_is_refused_because_helm_loses_it(chart: Path) -> None:
    assert toy.values("4.3", chart, ["--set", "a[0].b="]) == {"a": []}
    with pytest.raises(setflags.SetError, match="which Helm drops"):
        setflags.apply("set", "a[0].b=", {})


@pytest.mark.parametrize("version", toy.MAJORS)
def test_a_whole_json_object_is_read_as_helm_4_reads_it_by_each_helm(version: str, chart: Path) -> None:
    whole = '{"a": {"b": 1}}'
    given_tree = setflags.apply("set-json", whole, {"a": {"c": 2}})
    assert given_tree == {"a": {"b": 1, "c": 2}}
    assert toy.values(version, chart, ["-f", "-"], json.dumps(given_tree)) == given_tree
    direct = ["--set-json", 'a={"c": 2}', "--set-json", whole]
    if version.startswith("4."):
        assert toy.values(version, chart, direct) == given_tree
    else:
        with pytest.raises(toy.Refused, match="failed parsing --set-json data"):
            toy.values(version, chart, direct)


ODD: tuple[tuple[Kind, str], ...] = (
    ("set", "a=b\\"), ("set", "a=1,"), ("set", "a[65536]=x"), ("set", "a={}"), ("set", "a={1,{2,3}"), ("set", "a= 1"),
    ("set", "a=９"), ("set", "a=9223372036854775807,b=-9223372036854775808"), ("set", "a[+1]=1"), ("set", "a[00]=x"),
    ("set", ".".join("a" * 31) + "=1"), ("set", "a[1][1].b[1]=x"), ("set", "a=null,b[1]=null"),
    ("set", "a[0].b=,"), ("set", "a.b="), ("set", "a[0]="), ("set", "a[0].b={1}"), ("set", "a[0].b=,c=1"),
    ("set-string", "a={1,true},b=null"), ("set-json", "a= ,b=2"), ("set-json", 'a="\\ud800"'), ("set-json", "a=1b=2"),
    ("set-json", "a=123456789012345678901234567890"), ("set-json", 'a={"b":1,"b":2}'), ("set-json", "a=-0"),
)  # fmt: skip
REFUSED: tuple[tuple[Kind, str], ...] = (
    ("set", "a"), ("set", "a,b=1"), ("set", "a[-1]=1"), ("set", "a[65537]=1"), ("set", "a[]=1"), ("set", "a[b]=1"),
    ("set", "a={1"), ("set", "a=1,a.b=1"), ("set", "a=1,a[0]=1"), ("set", "a=null,a.b=1"), ("set", "a[0]x=1"),
    ("set", ".".join("a" * 32) + "=1"), ("set-json", "a=NaN"), ("set-json", "a=1e999"), ("set-json", "a=01x"),
    ("set-json", "a=tru"), ("set-json", "a=+1"), ("set-json", "a={"),
)  # fmt: skip


@pytest.mark.parametrize("version", toy.MAJORS)
def test_odd_expressions_mean_what_they_mean_to_helm(version: str, chart: Path) -> None:
    for kind, expression in ODD:
        expected = setflags.apply(kind, expression, {})
        assert tree.same(toy.values(version, chart, flags(kind, [expression])), expected), expression


@pytest.mark.parametrize("version", toy.MAJORS)
def test_what_helm_refuses_ddhelm_refuses(version: str, chart: Path) -> None:
    for kind, expression in REFUSED:
        with pytest.raises(setflags.SetError):
            setflags.apply(kind, expression, {})
        with pytest.raises(toy.Refused):
            toy.values(version, chart, flags(kind, [expression]))


@pytest.mark.parametrize("version", toy.MAJORS)
def test_flags_apply_in_helms_order_to_what_the_files_gave(version: str, chart: Path, tmp_path: Path) -> None:
    from ddhelm import uservalues
    from ddhelm.uservalues import Source

    base: dict[str, Any] = {"l": [{"x": 1, "y": 1}, {"x": 2}], "m": {"a": 1, "b": {"c": 1}}, "s": "file"}
    file = tmp_path / "base.json"
    file.write_text(json.dumps(base))
    content = tmp_path / "content.txt"
    content.write_text("text, with = and {braces}\n")
    sources = [
        Source("set-file", f"f.g={content}", content.read_text()),
        Source("set-string", "s=set-string,m.a=7"),
        Source("set", "s=set,l[1].z=3,m.b.c=null,m.d={1,x}"),
        Source("set-json", 's="set-json"'),
        Source("set-json", 'm.e={"x":[1]}'),
        Source("file", "base.json", file.read_text()),
        Source("set", "l[0].x=9"),
    ]
    argv = [f"--{one.kind}={one.name}" if one.kind != "file" else f"--values={file}" for one in sources]
    assert tree.same(toy.values(version, chart, argv), uservalues.parse(sources).tree)
