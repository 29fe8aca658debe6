"""Plan files: whole, readable, bound to what was seen, and without secrets."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from ddhelm import planfile
from ddhelm.coverage import Coverage, Verdict
from ddhelm.errors import ConfigError
from ddhelm.manifest import from_objects, parse
from ddhelm.masking import Masker
from ddhelm.plan import Plan
from ddhelm.planfile import PlanFile
from ddhelm.tree import Path, Tree, drop, put, show

REQUEST = {"labelNamespace": False, "deleteCrds": False, "forceConflicts": False, "allowUnknownValues": False}
BOUND: Tree = {
    "cluster": "u",
    "namespace": "datadog",
    "chart": {"name": "datadog", "version": "3.240.0", "digest": "0"},
    "settings": {},
    "request": {**REQUEST, "chart": "https://helm.datadoghq.com", "only": None, "skip": []},
    "releases": {},
    "objects": {},
    "nodes": {},
    "tools": {},
    "steps": [],
    "writes": [],
}
LISTS = ("steps", "secretKeys", "changedInCluster", "checks", "problems", "leftOut", "lostCrds", "notices")
SHOWN: Tree = {"cluster": {}, "namespace": {}, "chart": {}, "coverage": {}, **{key: [] for key in LISTS}}
FILE = PlanFile("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", 1.0, BOUND, SHOWN)


def objects(masker: Masker, **data: str) -> Any:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "uid": "1", "resourceVersion": "7"}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "uid": "2", "resourceVersion": "8"}}
    return from_objects([{**secret, "data": {"k": "c2VjcmV0"}}, {**config, "data": data}], "n", masker).objects


def test_a_file_comes_back_as_it_was() -> None:
    assert planfile.parse("p", planfile.text(FILE)) == FILE


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"w": ["a", "b"], "c": ["m"]}, []),
        ({"w": ["a", "b", "new"], "c": []}, []),
        ({"w": ["a"], "c": ["m"], "": ["b"]}, ["node b was to get the agent of w, gets no agent"]),
        ({"w": ["a"], "c": ["b", "m"]}, ["node b was to get the agent of w, gets the agent of c"]),
        ({"w": ["a", "b"], "c": ["m"], "": ["new"]}, ["node new is new and gets no agent"]),
        ({"w": ["a", "b"], "c": ["m"], "c, w": ["new"]}, ["node new is new and gets the agent of c, w"]),
    ],
)
def test_a_node_that_gets_another_agent_than_was_reviewed_has_moved(now: Tree, told: list[str]) -> None:
    """Nodes that come and get one agent, and nodes that go, are what clusters do all day."""
    planned = {**BOUND, "nodes": {"w": ["a", "b"], "c": ["m"]}}
    assert list(planfile.moved(planned, {**BOUND, "nodes": now})) == told


def test_a_taint_that_goes_by_itself_is_no_change_while_a_plan_waits() -> None:
    steady = Verdict("a", ("w",))
    waiting = Verdict("b", (), transient=True)
    planned = planfile.of_nodes(Coverage((steady, Verdict("b", ("w",)))))
    for now in ((steady, waiting), (steady, Verdict("b", ("w",)), replace(waiting, node="new"))):
        assert (
            list(planfile.moved({**BOUND, "nodes": planned}, {**BOUND, "nodes": planfile.of_nodes(Coverage(now))}))
            == []
        )
    lost = planfile.of_nodes(Coverage((steady, Verdict("b", ()))))
    assert list(planfile.moved({**BOUND, "nodes": planned}, {**BOUND, "nodes": lost})) != []


@pytest.mark.parametrize(
    ("then", "now", "moved"),
    [
        ((2, ""), (5, "scale"), False),
        ((2, "scale"), (5, "scale"), False),
        ((2, ""), (5, ""), True),
        ((5, "scale"), (2, ""), True),
    ],
)
def test_an_object_that_was_scaled_has_not_moved(then: tuple[int, str], now: tuple[int, str], moved: bool) -> None:
    """An autoscaler does that between a plan and its review; an edit of the replicas is somebody's change."""

    def fingerprint(replicas: int, subresource: str, image: str = "a:7") -> Tree:
        writer = {"manager": "m", "operation": "Update", "subresource": subresource}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "uid": "1", "managedFields": [writer]},
            "spec": {"replicas": replicas, "image": image},
        }
        objects = from_objects([body], "n", Masker(b"k" * 32)).objects
        return {**BOUND, "objects": planfile.of_objects(objects, objects)}

    told = ("Deployment n/d was changed since",)
    assert planfile.moved(fingerprint(*then), fingerprint(*now)) == (told if moved else ())
    assert planfile.moved(fingerprint(*then), fingerprint(*now, image="b:7")) == told


def test_any_damage_shows() -> None:
    text = planfile.text(FILE)
    with pytest.raises(ConfigError, match="damaged"):
        planfile.parse("p", text.replace('"u"', '"v"'))


@pytest.mark.parametrize(
    "path", [("bound",), ("bound", "request"), ("bound", "request", "skip"), ("bound", "objects"), ("plan", "steps")]
)
def test_a_file_of_another_version_is_refused_with_what_it_lacks(path: Path) -> None:
    content = json.loads(planfile.text(FILE))
    content = {**drop(content, path)}
    del content["checksum"]
    whole = json.dumps({**content, "checksum": planfile.digest(content)})
    with pytest.raises(ConfigError, match="not written by this version") as caught:
        planfile.parse("p", whole)
    assert f"`{show(path)}" in caught.value.message


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "", "{", "[]", '{"kind": "Plan"}', '{"kind": "PlanFile", "apiVersion": "ddhelm/v2"}']
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planfile.parse("p.json", text)
    assert "`p.json`" in caught.value.message


def test_digests_do_not_depend_on_the_order_of_maps_or_on_the_run() -> None:
    text = "kind: Secret\napiVersion: v1\nmetadata: {name: s}\ndata: {k: c2VjcmV0}\n"
    first, second = (planfile.of_manifest(parse(text, "n", Masker(key * 32))) for key in (b"a", b"b"))
    assert first == second
    assert planfile.digest({"a": 1, "b": 2}) == planfile.digest({"b": 2, "a": 1})


def test_a_secret_is_known_by_uid_and_version_only() -> None:
    found = planfile.of_objects(objects(Masker(b"a" * 32)), objects(Masker(b"b" * 32)))
    assert found["Secret n/s"] == {"uid": "1", "resourceVersion": "7"}
    assert "c2VjcmV0" not in json.dumps(found)


def test_an_object_moves_with_its_fields_but_not_with_its_status() -> None:
    masker = Masker(b"a" * 32)
    wanted = objects(masker, a="1")
    before, after = (
        planfile.of_objects(wanted, objects(masker, a="1")),
        planfile.of_objects(wanted, objects(masker, a="2")),
    )
    assert planfile.moved({"objects": before}, {"objects": after}) == ("ConfigMap n/c was changed since",)
    gone = planfile.of_objects(wanted, {})
    assert "ConfigMap n/c was deleted since" in planfile.moved({"objects": before}, {"objects": gone})
    assert "ConfigMap n/c was made since" in planfile.moved({"objects": gone}, {"objects": before})


def test_everything_that_moved_is_named() -> None:
    old = {
        "cluster": "u",
        "namespace": "a",
        "releases": {"w": {"revision": 1, "status": "deployed"}},
        "tools": {"helm": "4"},
    }
    new = {
        "cluster": "u",
        "namespace": "b",
        "releases": {"w": {"revision": 2, "status": "failed"}},
        "tools": {"helm": "3"},
    }
    lines = planfile.moved(old, new)
    assert lines == (
        "the namespace: was `a`, is `b`",
        "release w: its revision was `1`, is `2`",
        "release w: its status was `deployed`, is `failed`",
        'the version of ddhelm or helm: was `{"helm": "4"}`, is `{"helm": "3"}`',
    )


def test_a_release_that_came_or_went_is_told_in_words() -> None:
    there: Tree = {"w": {"revision": 1, "status": "deployed"}}
    not_there: Tree = {"w": {"revision": None, "status": None}}
    assert planfile.moved({"releases": not_there}, {"releases": there}) == ("release w was made since",)
    assert planfile.moved({"releases": there}, {"releases": not_there}) == ("release w is gone since",)


def test_of_another_cluster_nothing_else_is_told() -> None:
    """Everything of the plan is missing there."""
    old = {"cluster": "u1", "objects": {"ClusterRole a": {"uid": "1"}}, "releases": {"w": {"revision": 1}}}
    assert planfile.moved(old, {"cluster": "u2"}) == ("the cluster: was `u1`, is `u2`",)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("settings",), {"settings": {"tolerate": 5}}),
        (("settings",), {"settings": {"tolerate": [5]}}),
        (("settings",), {"user": {"worker": "x"}}),
        (("settings",), {"settings": {"api_key_secret": "x"}}),
        (("nodes",), {"x": 5}),
        (("objects",), {"ConfigMap a": 1}),
        (("releases",), {"w": []}),
        (("tools",), {"helm": 4}),
        (("writes",), [1]),
        (("request", "skip"), [1]),
    ],
)
def test_a_part_of_the_wrong_type_is_refused_although_the_checksum_is_right(path: Path, value: Any) -> None:
    edited = planfile.text(replace(FILE, bound=put(BOUND, path, value)))
    with pytest.raises(ConfigError, match="was edited") as caught:
        planfile.parse("p.json", edited)
    assert caught.value.anchor == "bad-plan-file"


def test_a_notice_may_name_a_file_whose_name_is_not_utf8() -> None:
    file = replace(FILE, shown={**SHOWN, "notices": ["prod\udce9.yaml:3: a note"]})
    text = planfile.text(file)
    assert planfile.file_digest(text)
    assert planfile.parse("p", text) == file


def test_what_would_be_sent_is_utf8_although_the_checksum_is_right() -> None:
    edited = planfile.text(replace(FILE, bound=put(BOUND, ("settings", "user"), {"both": {"a": "\ud800"}})))
    with pytest.raises(ConfigError, match="was edited, and holds what no plan does: a text that is not UTF-8"):
        planfile.parse("p.json", edited)


def test_half_a_character_in_a_damaged_plan_is_no_bug() -> None:
    with pytest.raises(ConfigError, match="is damaged"):
        planfile.parse("p", json.dumps({"kind": "PlanFile", "apiVersion": "ddhelm/v1", "checksum": "", "a": "\ud800"}))


def test_what_is_written_beside_the_releases_is_part_of_what_was_reviewed() -> None:
    plan = Plan((), Coverage(()), (), creates_namespace=True, labels_namespace={"a": "b"}, writes=("api-key",))
    written = planfile.writes(plan)
    assert written == ["the namespace", "label a=b of the namespace", "key api-key of the Secret"]
    assert planfile.moved({**BOUND, "writes": written[2:]}, BOUND) == (
        "what would be written besides the releases: was key api-key of the Secret; is nothing",
    )


def test_nothing_moved_is_silent() -> None:
    assert planfile.moved({"cluster": "u"}, {"cluster": "u"}) == ()
