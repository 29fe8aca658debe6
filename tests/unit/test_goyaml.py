"""YAML means here what it means to Helm; the table itself is held against the real helm in tests/helm."""

import json
import math
import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ddhelm import goyaml

json_trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(string.printable, max_size=12),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(string.printable, max_size=8), below, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("y", True), ("N", False), ("yes", True), ("No", False), ("on", True), ("OFF", False), ("yEs", "yEs"),
        ("~", None), ("null", None), ("NULL", None), ("nUll", "nUll"),
        ("0755", 493), ("0o755", 493), ("08", 8), ("0x1F", 31), ("0b101", 5), ("-0b11", -3), ("+5", 5), ("1_000", 1000),
        ("9223372036854775807", 2**63 - 1), ("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63)),
        ("1e3", 1000), ("1.5", 1.5), (".5", 0.5), ("5.", 5), ("-.5e1", -5), ("1e999", "1e999"), ("1e", "1e"),
        ("12:30", "12:30"), ("1:30:00", "1:30:00"), ("2024-01-02", "2024-01-02"), (".", "."),
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"), ("=", "="), ("a", "a"),
        ("v1.2.3", "v1.2.3"), ("1.2.3", "1.2.3"), ("0x", "0x"), ("0b2", "0b2"), ("-", "-"), ("+", "+"),
    ],
)  # fmt: skip
def test_a_plain_scalar_is_what_helm_makes_of_it(text: str, value: object) -> None:
    found = goyaml.scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_a_float_beyond_every_integer_stays_a_float() -> None:
    assert goyaml.scalar("18446744073709551616") == 2**64
    assert isinstance(goyaml.scalar("1e22"), float)


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan"])
def test_what_json_cannot_hold_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(goyaml.YamlError) as error:
        goyaml.load(f"a: 1\nb: {text}\n")
    assert (error.value.line, error.value.column) == (2, 4)


def test_quotes_and_tags_decide_over_the_look() -> None:
    tree = goyaml.load("a: 'yes'\nb: \"1\"\nc: !!str 1\nd: !!float 1\ne: !!binary aGk=\nf: !own 5\ng: ! 5\n")
    assert tree == {"a": "yes", "b": "1", "c": "1", "d": 1.0, "e": "hi", "f": "5", "g": "5"}


@pytest.mark.parametrize("text", ["!!int x", "!!bool 1", "!!int yes", "!!binary '*'", "!!null a"])
def test_a_tag_that_does_not_fit_is_an_error(text: str) -> None:
    with pytest.raises(goyaml.YamlError):
        goyaml.load(f"a: {text}")


def test_keys_become_strings_as_in_json() -> None:
    text = "y: a\n0x10: b\n1.5: c\n1000000.0: d\n1e-7: e\n123456.7: f\n1e39: g\n-1e39: h\n"
    assert list(goyaml.load(text)) == ["true", "16", "1.5", "1e+06", "1e-07", "123456.7", ".inf", "-.inf"]


@pytest.mark.parametrize("text", ["? [a]\n: 1", "~: 1", "18446744073709551615: 1"])
def test_a_key_that_json_cannot_hold_is_an_error(text: str) -> None:
    with pytest.raises(goyaml.YamlError):
        goyaml.load(text)


def test_of_two_equal_keys_the_last_wins() -> None:
    assert goyaml.load("a: 1\na: 2\n") == {"a": 2}


def test_a_merge_overrides_what_stands_before_it_and_not_what_follows() -> None:
    text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nuser:\n  x: 0\n  <<: [*b, *m]\n  z: 3\n"
    assert goyaml.load(text)["user"] == {"x": 1, "true": 1, "z": 3}
    assert goyaml.load('a:\n  "<<": 1\n') == {"a": {"<<": 1}}


@pytest.mark.parametrize("text", ["a: *nobody", "a: &a [*a]", "a: {<<: 5}", "a: &x 1\nb: {<<: [*x]}"])
def test_aliases_and_merges_that_mean_nothing_are_errors(text: str) -> None:
    with pytest.raises(goyaml.YamlError):
        goyaml.load(text)


def test_a_billion_laughs_are_refused() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(goyaml.YamlError, match="aliasing"):
        goyaml.load("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\n\tb: 2", 2), ("a: [1\nb: 2\n", 2), ("a: 'x\n", 2), ("a\nb\x01b", 2)]
)
def test_broken_yaml_names_the_line(text: str, line: int) -> None:
    with pytest.raises(goyaml.YamlError) as error:
        goyaml.load(text)
    assert error.value.line == line
    assert "\n" not in error.value.problem


@pytest.mark.parametrize("text", ["[" * 5000, "a: \ud800"])
def test_hostile_text_is_an_error_and_no_crash(text: str) -> None:
    with pytest.raises(goyaml.YamlError):
        goyaml.load(text)


def test_no_document_is_none_and_only_the_first_counts() -> None:
    assert goyaml.load("# nothing\n") is None
    assert goyaml.load("a: 1\n---\nb: 2\n") == {"a": 1}


@given(json_trees)
def test_json_is_read_as_json(tree: object) -> None:
    try:
        assert goyaml.load(json.dumps(tree)) == tree
    except goyaml.YamlError as error:  # libyaml refuses NEL and the like even in JSON, and so does Helm's port of it
        assert "control characters" in error.problem or "escape" in error.problem  # noqa: PT017


@given(st.text(string.ascii_letters + string.digits + "+-._:~eExob", min_size=1, max_size=8))
def test_every_plain_scalar_is_json(text: str) -> None:
    try:
        value = goyaml.scalar(text)
    except goyaml.YamlError:
        return
    assert value is None or isinstance(value, bool | int | float | str)
    if isinstance(value, float):
        assert math.isfinite(value)


@given(json_trees)
def test_without_libyaml_the_meaning_is_the_same(tree: object) -> None:
    text = yaml.safe_dump({"a": tree})
    fast = goyaml.load(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(goyaml, "_Parser", yaml.SafeLoader)
        assert goyaml.load(text) == fast
