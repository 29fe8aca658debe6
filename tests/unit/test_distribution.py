"""The distributions' files are data that a person writes: complete, commented, and refused when mistyped."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddhelm import distribution, library
from ddhelm.distribution import COMPONENTS, Distribution
from ddhelm.errors import ConfigError
from ddhelm.recognition import resolved
from tests.unit.factsets import distributions

FOLDER = library.load().folder / "distributions"
FILES = sorted(FOLDER.glob("*.yaml"))
OURS = pytest.mark.parametrize("one", distributions(), ids=lambda one: one.name)


def parse(tree: Any) -> Distribution:
    return distribution.parse("mine", tree)


@OURS
def test_every_distribution_says_where_its_components_answer_or_why_there_is_nothing_to_ask(one: Distribution) -> None:
    full = resolved(one, distributions())

    assert bool(full.managed) is not (set(full.components) == set(COMPONENTS))
    assert bool(full.managed) is not bool(full.control_plane_labels)
    # the last alternative of each component holds whatever the cluster shows
    assert all(alternatives[-1].when == () for alternatives in full.components.values())


@OURS
def test_what_is_not_read_in_a_source_says_what_is_claimed_and_what_to_type(one: Distribution) -> None:
    assert bool(one.claimed) is (one.confidence != "high")
    assert not one.claimed or re.search(r"`--[a-z-]+", one.claimed)


@OURS
def test_every_distribution_but_the_one_that_is_only_said_has_a_decisive_signal(one: Distribution) -> None:
    assert bool(one.signals.decisive) is (one.name != "managed")


@OURS
def test_whom_a_distribution_wins_over_is_one_that_ships(one: Distribution) -> None:
    names = {each.name for each in distributions()}

    assert {*one.over, one.extends} - {""} <= names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_begins_with_a_paragraph_about_it(file: Path) -> None:
    assert re.match(r"# \S.*\n", file.read_text())


def _values(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of the leaves of every values tree in a file."""
    if isinstance(tree, dict) and (set(path) & {"values"} or tree):
        for key, value in tree.items():
            yield from _values(value, (*path, key))
    elif isinstance(tree, list) and "values" not in path:
        for index, value in enumerate(tree):
            yield from _values(value, (*path, index))
    elif "values" in path:
        yield path


@pytest.mark.parametrize("file", [*FILES, FOLDER.parent / "node-kinds.yaml"], ids=lambda file: file.stem)
def test_every_value_has_its_reason_beside_it(file: Path) -> None:
    reasons = library.reasons(file.read_text())

    bare = [path for path in _values(yaml.safe_load(file.read_text())) if path not in reasons]

    assert [path for path in bare if path[-1] != "values"] == []


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        pytest.param([], "the file must be a map", id="a list"),
        pytest.param({}, ": `title` is missing", id="no title"),
        pytest.param({"title": "x", "signal": {}}, ": `signal` is no key of it", id="a mistyped key"),
        pytest.param({"title": 7}, "`title` must be text, not 7", id="a number for a title"),
        pytest.param(
            {"title": "x", "confidence": "sure"}, "`confidence` is one of high, med, low, not 'sure'", id="confidence"
        ),
        pytest.param({"title": "x", "over": "kubeadm"}, "over must be a list", id="a text for a list"),
        pytest.param({"title": "x", "over": [1]}, "`over` must be a list of texts", id="numbers for names"),
        pytest.param({"title": "x", "signals": {"decisive": [{}]}}, "looks at one thing, not at 0", id="an empty row"),
        pytest.param(
            {"title": "x", "signals": {"decisive": [{"node.label": "a", "node.name": "b"}]}},
            "not at 2",
            id="two in a row",
        ),
        pytest.param(
            {"title": "x", "signals": {"decisive": [{"node.label": ""}]}}, "needs a text", id="an empty pattern"
        ),
        pytest.param(
            {"title": "x", "signals": {"decisive": [{"node.lable": "a"}]}}, "no key of it", id="a mistyped field"
        ),
        pytest.param(
            {"title": "x", "signals": {"required": [{"control-plane-nodes": "many"}]}},
            "one of some, none",
            id="a choice",
        ),
        pytest.param(
            {"title": "x", "signals": {"required": [{"kubernetes": "1.28"}]}}, "such as `>=1.28`", id="a version"
        ),
        pytest.param(
            {"title": "x", "signals": {"required": [{"node.label": "a", "nodes": "most"}]}}, "only `all`", id="a share"
        ),
        pytest.param({"title": "x", "components": {"etdc": {}}}, "`etdc` is no key of it", id="a mistyped component"),
        pytest.param(
            {"title": "x", "components": {"etcd": {"when": []}}}, "`leave-out` is needed", id="nothing to ask"
        ),
        pytest.param(
            {"title": "x", "components": {"etcd": {"port": "1"}}}, "`port` must be a number", id="a text for a port"
        ),
        # YAML 1.1 reads `on:` as true
        pytest.param(
            {"title": "x", "components": {"etcd": {True: "a", "port": 1}}}, "`True` is no key", id="a key called on"
        ),
        pytest.param(
            {"title": "x", "components": {"etcd": {"clusters": {"main": {"url": "u"}}}}},
            "must be a map",
            id="no certificates",
        ),
        pytest.param({"title": "x", "values": {"workers": {}}}, "`workers` is no key of it", id="an unknown release"),
        pytest.param(
            {"title": "x", "variants": [{"values": {}}]}, "`when` is missing", id="a variant without condition"
        ),
        pytest.param(
            {"title": "x", "requires": [{"chart": ">=1"}]}, "`why` is missing", id="a requirement without reason"
        ),
        pytest.param(
            {"title": "x", "pod-security-default": {"level": "privileged"}},
            "`level` is one of baseline, restricted",
            id="a level that forbids nothing",
        ),
        pytest.param({"title": "x", "pod-security-default": "baseline"}, "must be a map", id="a level alone"),
        pytest.param({"title": "x", "notes": [{"when": []}]}, "`text` is missing", id="a note without text"),
    ],
)
def test_a_mistyped_file_is_refused_with_what_is_wrong(tree: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(tree)

    assert any(problem in line for line in caught.value.details)
    assert "charts-values/distributions/mine.yaml" in caught.value.message
    assert caught.value.anchor == "wrong-distribution-file"


def test_all_problems_of_a_file_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"titel": "x", "over": 1})

    assert len(caught.value.details) == 3


def test_folded_text_becomes_one_line() -> None:
    assert parse({"title": "x", "managed": "a\n  b\n"}).managed == "a b"


def test_a_kind_of_node_needs_a_title() -> None:
    with pytest.raises(ConfigError, match="node-kinds"):
        distribution.parse_node_kinds({"windows": {"match": []}})
