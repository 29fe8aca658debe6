"""The laws of merging and comparing, and the cases that the laws do not say."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddhelm import tree
from ddhelm.tree import Change, Named, Tree

KEYS = st.sampled_from(["a", "b", "c", "x.y", "env", "containers", "ports", "volumeMounts", "tolerations"])
SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "1", "true", "x,y=z"]) | st.just(1.5)
)


def _named(key: str, below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    element = st.fixed_dictionaries({key: st.sampled_from(["a", "b", "c,d", "e=f"])}, optional={"value": below})
    return st.lists(element, max_size=4)


def _ports() -> st.SearchStrategy[Any]:
    port = st.fixed_dictionaries(
        {"containerPort": st.integers(1, 3)},
        optional={"protocol": st.sampled_from(["TCP", "UDP"]), "name": st.sampled_from(["p", "q"])},
    )
    return st.lists(port, max_size=3)


def _values(depth: int) -> st.SearchStrategy[Any]:
    """Trees of an explicit depth: left to itself Hypothesis grows shallow ones, on which false laws hold."""
    if depth == 0:
        return SCALARS
    below = _values(depth - 1)
    maps = st.dictionaries(KEYS, below, max_size=4)
    lists = st.lists(below, max_size=3)
    named = st.fixed_dictionaries(
        {}, optional={"env": _named("name", below), "volumeMounts": _named("mountPath", below), "ports": _ports()}
    )
    return SCALARS | maps | maps | named | lists


TREES = st.dictionaries(KEYS, _values(3), max_size=4)


def _shuffled(value: Any, reverse: bool, key: str = "") -> Any:
    """The same tree with other orders where order has no meaning."""
    if isinstance(value, dict):
        keys = sorted(value, reverse=reverse)
        return {k: _shuffled(value[k], reverse, k) for k in keys}
    if isinstance(value, list):
        items = [_shuffled(item, reverse) for item in value]
        names = [item.get("name") if isinstance(item, dict) else None for item in value]
        if key == "env" and None not in names and len(set(names)) == len(names):
            return sorted(items, key=lambda item: str(item["name"]), reverse=reverse)
        if key == "tolerations":
            return items[::-1]
        return items
    return value


# merge and coalesce --------------------------------------------------------------------------------------------------


def test_merge_merges_maps_deep_and_replaces_lists() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    over = {"a": {"c": [3], "e": 2}}
    assert tree.merge(base, over) == {"a": {"b": 1, "c": [3], "e": 2}, "d": 1}


def test_merge_keeps_null_because_it_has_to_reach_helm() -> None:
    assert tree.merge({"a": {"b": 1}}, {"a": None}) == {"a": None}
    assert tree.merge({"a": None}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_coalesce_deletes_what_the_user_nulls() -> None:
    defaults = {"a": {"b": 1, "c": 2}, "d": 1}
    assert tree.coalesce({"a": {"b": None}, "d": None}, defaults) == {"a": {"c": 2}}


@given(st.lists(st.text(max_size=5) | st.integers(0, 30) | st.text(max_size=5).map(lambda of: Named(f"name={of}"))))
def test_a_shown_path_is_read_to_one_that_looks_the_same(steps: list[str | int]) -> None:
    shown = tree.show(tuple(steps))
    assert tree.show(tree.read_path(shown)) == shown


def test_a_shown_path_is_read_step_by_step() -> None:
    path = ("a.b", "containers", Named("name=x.y"), "args", 3, "c\\=[d")
    assert tree.read_path(tree.show(path)) == path


@given(TREES, TREES)
def test_merge_alters_neither_side(a: Tree, b: Tree) -> None:
    before = copy.deepcopy((a, b))
    tree.merge(a, b)
    assert (a, b) == before


@given(TREES)
def test_merging_a_tree_into_itself_changes_nothing(a: Tree) -> None:
    assert tree.merge(a, a) == a


@given(TREES, TREES)
def test_every_leaf_of_the_upper_layer_wins(a: Tree, b: Tree) -> None:
    merged = tree.merge(a, b)
    for path, value in tree.leaves(b):
        if path and value != {}:  # an empty map over a map adds nothing
            assert tree.same(tree.get(merged, path, "absent"), value)


# paths ---------------------------------------------------------------------------------------------------------------


def test_leaves_enter_lists_and_show_empty_ones() -> None:
    value = {"a": [{"b": 1}, []], "c": {}}
    assert dict(tree.leaves(value)) == {("a", 0, "b"): 1, ("a", 1): [], ("c",): {}}


def test_get_falls_back_where_the_path_leaves_the_tree() -> None:
    value = {"a": [{"b": None}]}
    assert tree.get(value, ("a", 0, "b"), "default") is None
    for path in [("x",), ("a", 1), ("a", -1), ("a", "b"), ("a", 0, "b", "c")]:
        assert tree.get(value, path, "default") == "default"


def test_put_makes_maps_and_fills_lists_like_helm_set() -> None:
    assert tree.put({}, ("a", 2, "b"), 1) == {"a": [None, None, {"b": 1}]}


def test_put_and_drop_copy_only_what_they_change() -> None:
    value: Tree = {"a": {"b": 1}, "c": {"d": 2}}
    changed = tree.put(value, ("a", "b"), 2)
    assert value == {"a": {"b": 1}, "c": {"d": 2}}
    assert changed["c"] is value["c"]
    assert tree.drop(value, ("a", "b")) == {"a": {}, "c": {"d": 2}}
    assert value["a"] == {"b": 1}


def test_drop_of_an_absent_path_returns_the_tree() -> None:
    value = {"a": [1]}
    for path in [("x",), ("a", 3), ("a", Named("name=x")), ("a", 0, "b")]:
        assert tree.drop(value, path) == value


@given(TREES)
def test_what_was_put_is_read_back(a: Tree) -> None:
    for path, value in tree.leaves(a):
        if path:
            assert tree.get(tree.put(a, path, "new"), path) == "new"
            assert tree.same(tree.put(a, path, value), a)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (("datadog", "confd", "etcd.yaml"), r"datadog.confd.etcd\.yaml"),
        (("agents", "tolerations", 0, "key"), "agents.tolerations[0].key"),
        (("a,b", "c=d", "e[0]", "f\\g"), r"a\,b.c\=d.e\[0].f\\g"),
        (("containers", Named("name=agent"), "image"), "containers[name=agent].image"),
    ],
)
def test_show_spells_paths_as_helm_set_reads_them(path: tree.Path, shown: str) -> None:
    assert tree.show(path) == shown


# diff ----------------------------------------------------------------------------------------------------------------


@given(TREES)
def test_a_tree_does_not_differ_from_its_copy(a: Tree) -> None:
    assert tree.diff(a, copy.deepcopy(a)) == ()


@given(TREES, st.booleans())
def test_order_of_maps_named_lists_and_tolerations_is_no_difference(a: Tree, reverse: bool) -> None:
    assert tree.diff(a, _shuffled(a, reverse)) == ()


@given(TREES, TREES)
def test_applying_the_difference_gives_the_other_tree(a: Tree, b: Tree) -> None:
    before = copy.deepcopy(a)
    result = tree.apply(a, tree.diff(a, b))
    assert tree.diff(result, b) == ()
    assert a == before


@given(TREES, TREES)
def test_a_difference_names_only_paths_that_differ(a: Tree, b: Tree) -> None:
    for change in tree.diff(a, b):
        old, new = tree.get(a, change.path, "absent"), tree.get(b, change.path, "absent")
        assert not tree.same(old, new)
        if change.op == "add":
            assert old == "absent"
        if change.op == "remove":
            assert new == "absent"


@given(TREES, TREES)
def test_no_difference_only_between_trees_that_mean_the_same(a: Tree, b: Tree) -> None:
    if not tree.diff(a, b):
        assert {p for p, _ in tree.leaves(_shuffled(a, False))} == {p for p, _ in tree.leaves(_shuffled(b, False))}


@given(TREES, TREES, st.booleans())
def test_where_order_counts_there_is_a_difference_exactly_between_what_is_not_the_same(
    a: Tree, b: Tree, reverse: bool
) -> None:
    for other in (b, _shuffled(a, reverse), _shuffled(_shuffled(a, False), reverse)):
        assert (tree.diff(a, other, ordered=True) == ()) is tree.same(a, other)
    backwards = dict(reversed(a.items()))
    assert tree.diff(a, backwards, ordered=True) == (), "the order of a map never counts"


def test_only_the_order_is_one_change_of_the_list_and_what_came_between_moves_nothing() -> None:
    a, b, c = ({"name": name, "value": name} for name in "abc")
    (change,) = tree.diff({"env": [a, b]}, {"env": [b, a]}, ordered=True)
    assert (change.path, change.old, change.new, tree.moved(change)) == (("env",), [a, b], [b, a], True)
    (change,) = tree.diff({"env": [a, c]}, {"env": [a, b, c]}, ordered=True)
    assert (change.op, tree.moved(change)) == ("add", False)
    inner = [[{"name": "i", "env": env}] for env in ([a, b], [b, a])]
    (change,) = tree.diff({"initContainers": inner[0]}, {"initContainers": inner[1]}, ordered=True)
    assert not tree.moved(change)


def test_a_container_that_moved_is_no_change_and_one_that_changed_is_named() -> None:
    a = {
        "containers": [{"name": "agent", "image": "x:1"}, {"name": "trace-agent", "env": [{"name": "A", "value": "1"}]}]
    }
    b = {
        "containers": [{"name": "trace-agent", "env": [{"name": "A", "value": "2"}]}, {"name": "agent", "image": "x:1"}]
    }
    (change,) = tree.diff(a, b)
    assert change == Change(("containers", "name=trace-agent", "env", "name=A", "value"), "replace", "1", "2")
    assert tree.show(change.path) == "containers[name=trace-agent].env[name=A].value"


def test_init_containers_that_change_places_are_a_change() -> None:
    a = {"initContainers": [{"name": "init-volume"}, {"name": "init-config"}]}
    b = {"initContainers": [{"name": "init-config"}, {"name": "init-volume"}]}
    assert [change.path for change in tree.diff(a, b)] == [("initContainers",)]


def test_two_volume_mounts_of_one_volume_are_told_apart_by_their_path() -> None:
    a = {"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]}
    b = {"volumeMounts": [{"name": "v", "mountPath": "/b", "readOnly": True}, {"name": "v", "mountPath": "/a"}]}
    (change,) = tree.diff(a, b)
    assert (tree.show(change.path), change.op) == ("volumeMounts[mountPath=/b].readOnly", "add")


def test_ports_without_a_protocol_are_tcp() -> None:
    a = {"ports": [{"containerPort": 8125}, {"containerPort": 8125, "protocol": "UDP"}]}
    b = {"ports": [{"containerPort": 8125, "protocol": "UDP"}, {"containerPort": 8125}]}
    assert tree.diff(a, b) == ()


def test_tolerations_in_another_order_are_the_same_and_one_more_is_a_change() -> None:
    one, other = {"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}
    assert tree.diff({"tolerations": [one, other]}, {"tolerations": [other, one]}) == ()
    assert len(tree.diff({"tolerations": [one, other]}, {"tolerations": [one, one]})) == 1
    assert len(tree.diff({"args": ["a", "b"]}, {"args": ["b", "a"]})) == 1


def test_a_list_with_a_name_twice_is_compared_as_a_whole() -> None:
    a = {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}
    b = {"env": [{"name": "A", "value": "2"}, {"name": "A", "value": "1"}]}
    assert [change.path for change in tree.diff(a, b)] == [("env",)]


@pytest.mark.parametrize(
    ("a", "b"), [(1, True), (0, False), ("1", 1), (None, False), ({}, []), ("", None), ([1], [True])]
)
def test_values_of_other_types_differ(a: Any, b: Any) -> None:
    assert len(tree.diff({"x": a}, {"x": b})) == 1


def test_a_whole_number_is_the_same_with_a_point() -> None:
    assert tree.diff({"x": 1}, {"x": 1.0}) == ()


def test_not_a_number_does_not_differ_from_itself() -> None:
    value = {"x": float("nan")}
    assert tree.diff(value, dict(value)) == ()


def test_a_render_is_compared_in_a_few_milliseconds() -> None:
    container = {"name": "c", "env": [{"name": f"V{i}", "value": str(i)} for i in range(60)]}
    objects = {f"o{i}": {"spec": {"containers": [container | {"name": f"c{j}"} for j in range(5)]}} for i in range(30)}
    other = copy.deepcopy(objects)
    best = min(_timed(objects, other) for _ in range(5))
    assert best < 0.25, f"9,000 named elements took {best:.3f} s"


def _timed(a: Tree, b: Tree) -> float:
    started = time.process_time()
    assert tree.diff(a, b) == ()
    return time.process_time() - started
