"""Label selectors mean what kubectl means by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddhelm.errors import ConfigError
from ddhelm.selector import Requirement, key_problem, parse, value_problem, whole


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("pool=gpu", {"pool": "gpu"}, True),
        ("pool==gpu", {"pool": "cpu"}, False),
        ("pool=gpu", {}, False),
        ("pool!=gpu", {"pool": "cpu"}, True),
        ("pool!=gpu", {}, True),
        ("pool in (a, b)", {"pool": "b"}, True),
        ("pool in (a,b)", {"pool": "c"}, False),
        ("pool notin (a,b)", {"pool": "c"}, True),
        ("pool notin (a,b)", {}, True),
        ("pool notin (a,b)", {"pool": "a"}, False),
        ("pool", {"pool": ""}, True),
        ("pool", {}, False),
        ("!pool", {}, True),
        ("! pool", {"pool": "x"}, False),
        ("cores>4", {"cores": "5"}, True),
        ("cores > 4", {"cores": "4"}, False),
        ("cores<4", {"cores": "-5"}, True),
        ("cores<4", {"cores": "few"}, False),
        ("cores<4", {}, False),
        ("pool=", {"pool": ""}, True),
        ("pool==", {"pool": ""}, True),
        ("cores>1,2", {"cores": "2", "2": ""}, True),
        ("pool=,a", {"pool": "", "a": "1"}, True),
        ("pool in (,a)", {"pool": ""}, True),
        ("pool in ()", {"pool": ""}, True),
        ("a=1,!b,c in (x)", {"a": "1", "c": "x"}, True),
        ("a=1,!b,c in (x)", {"a": "1", "b": "", "c": "x"}, False),
        ("in=in", {"in": "in"}, True),
        ("in in (in,notin)", {"in": "notin"}, True),
        ("eks.amazonaws.com/compute-type=fargate", {"eks.amazonaws.com/compute-type": "fargate"}, True),
        ("  pool = gpu  ", {"pool": "gpu"}, True),
    ],
)
def test_a_selector_matches_as_in_kubectl(text: str, labels: dict[str, str], matches: bool) -> None:
    assert parse(text).matches(labels) is matches


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        ",",
        "a,",
        "=a",
        "a=b c",
        "a in b",
        "a in (b",
        "a in (b c)",
        "a b",
        "!a=b",
        "a>x",
        "a>",
        "a=b/c",
        "-a=b",
        "a=b,,c",
        "A B/c",
        "UPPER/a=1",
        "a" * 64,
        "x=" + "a" * 64,
        "a in (b))",
        "(a)",
        "a==>b",
        "a notin",
        "!",
        "a=$x",
    ],
)
def test_what_kubectl_refuses_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert error.value.anchor == "bad-selector"
    assert f"`{text}`" in error.value.message


requirements = st.builds(
    Requirement,
    st.sampled_from(["a", "b.io/c", "in"]),
    st.sampled_from(["In", "NotIn"]),
    st.lists(st.sampled_from(["x", "y", "in", "notin", "1"]), min_size=1, max_size=3).map(tuple),
) | st.builds(Requirement, st.sampled_from(["a", "b.io/c"]), st.sampled_from(["Exists", "DoesNotExist"]))


@given(st.lists(requirements, min_size=1, max_size=4))
def test_a_selector_that_is_written_down_is_read_back(wanted: list[Requirement]) -> None:
    assert parse(",".join(map(str, wanted))).requirements == tuple(wanted)


@pytest.mark.parametrize(
    ("requirement", "valid"),
    [
        (Requirement("a", "In"), False),
        (Requirement("a", "In", ("x",)), True),
        (Requirement("a", "Exists", ("x",)), False),
        (Requirement("a", "Gt", ("1",)), True),
        (Requirement("a", "Gt", ("one",)), False),
        (Requirement("a", "Lt", ("1", "2")), False),
        (Requirement("a", "Near", ("1",)), False),
    ],
)
def test_what_kubernetes_would_not_take_is_known(requirement: Requirement, valid: bool) -> None:
    assert requirement.valid is valid


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("1_0", None),
        (" 5", None),
        ("٣", None),
        ("", None),
        ("9223372036854775808", None),
    ],
)
def test_whole_numbers_are_gos(text: str, number: int | None) -> None:
    assert whole(text) == number


def test_keys_and_values_of_labels_have_a_form() -> None:
    assert key_problem("node-role.kubernetes.io/control-plane") == ""
    assert key_problem("a/b/c") != ""
    assert key_problem("") != ""
    assert value_problem("") == ""
    assert value_problem("a_b.C-1") == ""
    assert value_problem("-a") != ""
    assert value_problem("a/b") != ""
