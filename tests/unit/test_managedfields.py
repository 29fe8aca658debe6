"""Owners of fields, read out of ``managedFields``."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddhelm.managedfields import Entry, Member, Writer, entries, lookup
from ddhelm.tree import Named, diff

AGENT = Named("name=agent")
CONTAINERS = ("spec", "template", "spec", "containers")


def entry(fields: dict[str, Any], **more: Any) -> Entry:
    (found,) = entries([{"manager": "kubectl-set", "operation": "Update", "fieldsV1": fields, **more}])
    return found


SET_ENV = entry(
    {
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"agent"}': {
                            "f:image": {},
                            "f:env": {'k:{"name":"STRAY"}': {".": {}, "f:name": {}, "f:value": {}}},
                            "f:ports": {'k:{"containerPort":8125,"protocol":"UDP"}': {".": {}, "f:hostPort": {}}},
                        }
                    }
                }
            }
        },
        "f:metadata": {"f:finalizers": {".": {}, 'v:"example.com/hold"': {}}},
    },
    time="2026-11-24T03:53:20Z",
)


@pytest.mark.parametrize(
    "path",
    [
        (*CONTAINERS, AGENT, "image"),
        (*CONTAINERS, AGENT, "env", Named("name=STRAY")),
        (*CONTAINERS, AGENT, "env", Named("name=STRAY"), "value"),
        (*CONTAINERS, AGENT, "ports", Named("containerPort=8125,protocol=UDP"), "hostPort"),
        (*CONTAINERS, AGENT),  # something in it
        ("metadata", "finalizers", Member('"example.com/hold"')),
    ],
)
def test_what_an_entry_owns(path: tuple[str | int, ...]) -> None:
    assert SET_ENV.owns(path)


@pytest.mark.parametrize(
    "path",
    [
        (*CONTAINERS, AGENT, "command"),
        (*CONTAINERS, AGENT, "env", Named("name=OTHER")),
        (*CONTAINERS, Named("name=trace-agent")),
        ("spec", "replicas"),
    ],
)
def test_what_it_does_not_own(path: tuple[str | int, ...]) -> None:
    assert not SET_ENV.owns(path)


def test_a_list_that_is_owned_as_one_value_owns_what_is_in_it() -> None:
    tolerations = entry({"f:spec": {"f:tolerations": {}}})
    assert tolerations.owns(("spec", "tolerations", 0, "key"))


def test_owning_a_map_is_not_owning_its_keys() -> None:
    labels = entry({"f:metadata": {"f:labels": {".": {}, "f:mine": {}}}})
    assert labels.owns(("metadata", "labels", "mine"))
    assert not labels.owns(("metadata", "labels", "yours"))


def test_a_writer_says_how_it_wrote() -> None:
    scaled = entry({"f:spec": {"f:replicas": {}}}, manager="kubectl", subresource="scale")
    assert scaled.writer == Writer("kubectl", "Update", "", "scale")
    assert str(scaled.writer) == "kubectl through scale"


def test_what_cannot_be_read_owns_nothing() -> None:
    odd = entries([{}, {"manager": "x", "fieldsV1": {"k:{broken": {}, "z:?": {}, "f:a": None}}, {"fieldsV1": "text"}])
    assert [each.paths for each in odd] == [frozenset()] * 3
    assert entries(None) == ()


def test_lookup_finds_elements_by_name_with_the_servers_defaults() -> None:
    body = {"ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}], "set": ["a", "b"]}
    assert lookup(body, ("ports", Named("containerPort=80,protocol=TCP"))) == (True, {"containerPort": 80})
    assert lookup(body, ("set", Member('"b"'))) == (True, "b")
    assert lookup(body, ("set", 1)) == (True, "b")
    assert lookup(body, ("set", 2)) == (False, None)
    assert lookup(body, ("ports", "containerPort")) == (False, None)
    assert lookup({"volumeMounts": [{"mountPath": "/a,b=c"}]}, ("volumeMounts", Named("mountPath=/a,b=c")))[0]


names = st.text(st.characters(codec="ascii", exclude_characters="\x00"), min_size=1, max_size=8)
leaf = st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=4)
trees = st.recursive(
    leaf,
    lambda inner: (
        st.dictionaries(names, inner, max_size=3)
        | st.lists(
            st.builds(lambda name, value: {"name": name, "value": value}, names, inner),
            max_size=3,
            unique_by=lambda item: item["name"],
        ).map(lambda items: {"env": items})
    ),
    max_leaves=12,
)
roots = st.dictionaries(names, trees, max_size=4)


def owned(tree: Any) -> dict[str, Any]:
    """``fieldsV1`` of somebody who wrote the whole tree, as the server would note it."""
    if isinstance(tree, dict):
        return {
            f"f:{key}": {**({".": {}} if isinstance(value, dict) else {}), **owned(value)}
            for key, value in tree.items()
        }
    if isinstance(tree, list) and all(isinstance(item, dict) and "name" in item for item in tree):
        return {f"k:{json.dumps({'name': item['name']})}": {".": {}, **owned(item)} for item in tree}
    return {}


@given(roots)
def test_whoever_wrote_all_owns_every_path_and_each_leads_somewhere(tree: dict[str, Any]) -> None:
    everything = entry(owned(tree))
    assert all(lookup(tree, path)[0] for path in everything.paths)


@given(roots, roots)
def test_a_difference_to_what_somebody_wrote_is_owned_by_them(old: dict[str, Any], new: dict[str, Any]) -> None:
    everything = entry(owned(new))
    for change in diff(old, new):
        if change.op != "remove":
            assert everything.owns(change.path), change
