"""Rendered text becomes objects by identity: nothing lost, nothing named wrongly, nothing parsed in vain."""

import json
import random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ddhelm import goyaml, manifest
from ddhelm.errors import ConfigError
from ddhelm.manifest import Manifest, ObjectRef, compare, from_objects, parse
from ddhelm.masking import Masker

MASKER = Masker(b"k" * 32)
RENDER = """\
---
# Source: datadog/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  name: "one"
  namespace: other
spec: {ports: [{port: 80}]}
---
# Source: datadog/templates/empty.yaml

# only a comment
---
# Source: datadog/templates/role.yaml
# Used by something
apiVersion: "rbac.authorization.k8s.io/v1"
kind: ClusterRole
metadata:
  labels:
    name: not-this-one
  name: two
rules: []
---
# Source: datadog/templates/cm.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: three
data:
  file: |
    ---not a separator
    kind: Pod
    metadata:
      name: nor-an-object
---
"""


def parsed(text: str, **more: Any) -> Manifest:
    return parse(text, "datadog", MASKER, **more)


def test_objects_are_named_by_group_kind_namespace_and_name() -> None:
    found = parsed(RENDER)
    assert list(found.objects) == [
        ("", "Service", "other", "one"),
        ("rbac.authorization.k8s.io", "ClusterRole", "", "two"),
        ("", "ConfigMap", "datadog", "three"),
    ]
    assert [str(obj.ref) for obj in found.objects.values()] == [
        "Service other/one",
        "ClusterRole two",
        "ConfigMap datadog/three",
    ]
    assert [obj.source for obj in found.objects.values()] == [
        f"datadog/templates/{n}.yaml" for n in ("service", "role", "cm")
    ]
    assert len(found) == 3
    assert found.get(("", "ConfigMap", "datadog", "three")) is found.of_kind("ConfigMap", "Pod")[0]


def test_the_version_of_the_api_makes_no_other_object() -> None:
    old, new = (
        ObjectRef("policy/v1beta1", "PodDisruptionBudget", "a", "b"),
        ObjectRef("policy/v1", "PodDisruptionBudget", "a", "b"),
    )
    assert old != new
    assert old.identity == new.identity


def test_a_plain_document_is_named_without_parsing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goyaml, "load", lambda text: pytest.fail("parsed"))
    assert len(parsed(RENDER)) == 3


ODD = {
    "flow style": '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}',
    "quoted keys": '"apiVersion": v1\n\'kind\': Pod\n"metadata": {name: x}',
    "deeper indent": "apiVersion: v1\nkind: Pod\nmetadata:\n      name: x\n",
    "comments": "# c\napiVersion: v1 # c\nkind: Pod # c\nmetadata: # c\n  name: x # c",
    "order": "metadata:\n  name: x\nkind: Pod\napiVersion: v1\n",
    "windows lines": "apiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: x\r\n",
    "anchors": "apiVersion: v1\nkind: Pod\nmetadata: &m\n  name: x\nspec: {a: *m}\n",
    "merge": "m: &m {name: x}\napiVersion: v1\nkind: Pod\nmetadata:\n  <<: *m\n",
    "empty namespace": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  namespace: ''\n",
    "null namespace": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  namespace:\n",
    "two names": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: y\n  name: x\n",
    "folded": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: >-\n    x\n",
    "nested metadata first": "apiVersion: v1\nkind: Pod\nspec:\n  metadata:\n    name: y\nmetadata:\n  name: x\n",
    "inner name first": "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    name: y\n  name: x\n",
    "kind twice": "apiVersion: v1\nkind: Node\nkind: Pod\nmetadata:\n  name: x\n",
    "text before": "--- # a comment\napiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n",
    "block text": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  annotations:\n    a: |\n      name: y\n  # c\n",
    "blank lines": "apiVersion: v1\n\nkind: Pod\n\nmetadata:\n\n  labels:\n\n    a: b\n\n  name: x\n\nspec: {}\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_an_odd_document_is_named_as_its_parse_says(text: str) -> None:
    assert list(parsed(text).objects) == [("", "Pod", "datadog", "x")]


@pytest.mark.parametrize(
    "name", ["on", "no", "y", "123", "1e3", "0x1", "1.5", "null", "a.b", "a-b", "system:node", "x1"]
)
def test_a_name_is_what_yaml_makes_of_it(name: str) -> None:
    text = f"apiVersion: v1\nkind: ClusterRole\nmetadata:\n  name: {name}\n"
    if isinstance(goyaml.scalar(name), str):
        assert [i[3] for i in parsed(text).objects] == [name]
    else:
        with pytest.raises(ConfigError, match=r"metadata\.name"):
            parsed(text)
    assert [i[3] for i in parsed(text.replace(f"name: {name}", f'name: "{name}"')).objects] == [name]


objects = st.fixed_dictionaries(
    {
        "apiVersion": st.sampled_from(["v1", "apps/v1", "rbac.authorization.k8s.io/v1"]),
        "kind": st.sampled_from(["Pod", "ClusterRole", "DaemonSet", "Namespace"]),
        "metadata": st.fixed_dictionaries(
            {"name": st.from_regex(r"[a-z][a-z0-9.-]{0,5}[a-z0-9]", fullmatch=True)},
            optional={
                "namespace": st.sampled_from(["a", "b", "on"]),
                "labels": st.dictionaries(
                    st.sampled_from(["name", "namespace", "kind"]),
                    st.sampled_from(["q", "---", "metadata:\n  name: z"]),
                ),
            },
        ),
    },
    optional={
        "data": st.dictionaries(st.text("ab-: \n#", max_size=5), st.text("ab-: \n#'", max_size=30)),
        "metadata2": st.none(),
    },
)


@given(st.lists(objects, max_size=5), st.sampled_from([None, True]), st.randoms(use_true_random=False))
def test_reading_text_is_reading_trees(trees: list[dict[str, Any]], flow: bool | None, dice: random.Random) -> None:
    texts = []
    for tree in trees:
        keys = list(tree)
        dice.shuffle(keys)
        texts.append(yaml.safe_dump({key: tree[key] for key in keys}, default_flow_style=flow, sort_keys=False))
    by_text = parsed("---\n# Source: a/b.yaml\n".join(["", *texts]))
    by_tree = from_objects(trees, "datadog", MASKER)
    assert list(by_text.objects) == list(by_tree.objects)
    assert by_text.duplicates == by_tree.duplicates
    assert [o.body for o in by_text.objects.values()] == [o.body for o in by_tree.objects.values()]
    assert compare(by_text, by_tree).pairs == ()


def test_a_list_is_its_items() -> None:
    items = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": n}} for n in "ab"]
    found = parsed(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert [identity[3] for identity in found.objects] == ["a", "b"]


def test_an_item_without_a_kind_is_of_the_kind_of_its_list_and_masked_as_such() -> None:
    listed = {"apiVersion": "v1", "kind": "SecretList", "items": [{"metadata": {"name": "a"}, "data": {"x": "aHVu"}}]}
    (secret,) = parsed(json.dumps(listed)).objects.values()
    assert secret.ref == ObjectRef("v1", "Secret", "datadog", "a")
    assert secret.body["data"] == {"x": MASKER.value("aHVu")}
    assert secret.unmasked() == {"apiVersion": "v1", "kind": "Secret", **listed["items"][0]}  # type: ignore[dict-item]


def test_an_object_that_stands_twice_is_reported_and_the_last_counts() -> None:
    found = parsed("---\n".join(f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\na: {a}\n" for a in (1, 2)))
    assert [str(ref) for ref in found.duplicates] == ["Pod datadog/x"]
    assert found.of_kind("Pod")[0].body["a"] == 2


def test_scope_comes_from_the_table_or_from_discovery() -> None:
    text = "apiVersion: example.com/v1\nkind: Odd\nmetadata:\n  name: x\n  namespace: here\n"
    assert list(parsed(text).objects) == [("example.com", "Odd", "here", "x")]
    assert list(parsed(text, cluster_scoped=[("example.com", "Odd")]).objects) == [("example.com", "Odd", "", "x")]
    assert manifest.cluster_scoped("apiextensions.k8s.io", "CustomResourceDefinition")
    assert not manifest.cluster_scoped("", "Secret")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pod\nmetadata: {name: x}", "apiVersion"),
        ("apiVersion: v1\nmetadata: {name: x}", "kind"),
        ("apiVersion: v1\nkind: Pod", "metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: [name]", "metadata.name"),
        ("- a", "no object"),
        ("apiVersion: v1\nkind: List\nitems: [null]", "no object"),
        ("apiVersion: v1\nkind: List\nitems: [{kind: List, items: [a]}]", "no object"),
        ("apiVersion: v1\nkind: List\nitems: [{metadata: {name: x}}]", "no kind"),
        ("text", "no object"),
        ("a: [1\nb: 2", "no YAML"),
    ],
)
def test_what_is_no_object_is_an_error_that_names_the_template(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parsed(f"---\n# Source: chart/templates/bad.yaml\n{text}\n")
    assert words in error.value.message
    assert "chart/templates/bad.yaml" in error.value.message
    assert error.value.anchor == "bad-manifest"


def test_broken_yaml_below_the_name_is_an_error_when_the_object_is_used() -> None:
    obj = parsed("---\n# Source: a.yaml\napiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec: [1\nfoo: 2\n").of_kind(
        "Pod"
    )[0]
    with pytest.raises(ConfigError, match=r"no YAML.*`a\.yaml`") as error:
        _ = obj.body
    assert error.value.details == ("line 6 of the document",)


def test_secrets_are_masked_in_what_is_shown_and_whole_in_what_is_sent() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  token: hunter2hunter2\n"
    found = parsed(text)
    secret = found.of_kind("Secret")[0]
    assert "hunter2" not in json.dumps(secret.body) + repr(found) + repr(secret) + str(secret)
    assert secret.unmasked()["stringData"]["token"] == "hunter2hunter2"


def test_equal_texts_are_not_parsed_to_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = parsed(RENDER), parsed(RENDER.replace("---\n# Source", "---\n\n# Source"))
    monkeypatch.setattr(goyaml, "load", lambda text: pytest.fail("parsed"))
    assert compare(one, other) == manifest.Comparison(3, ())


def test_other_words_for_the_same_are_no_difference() -> None:
    one = parsed("apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\na: {b: 'c', d: 1e3}\n")
    other = parsed("kind: Pod\napiVersion: v1\nmetadata: {name: x}\na:\n  d: 1000\n  b: c\n")
    assert compare(one, other) == manifest.Comparison(1, ())


@pytest.mark.parametrize(
    ("old", "new"), [("1", "true"), ("1", "'1'"), ("[1, 2]", "[2, 1]"), ("{}", "null"), ("0", "false")]
)
def test_a_real_difference_is_a_pair(old: str, new: str) -> None:
    one = parsed(f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\na: {old}\n")
    other = parsed(f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\na: {new}\n")
    assert compare(one, other).pairs == ((one.of_kind("Pod")[0], other.of_kind("Pod")[0]),)


def test_a_changed_secret_differs_although_it_is_masked() -> None:
    one, other = (
        parsed(f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\ndata: {{a: {v}}}\n") for v in ("eA==", "eQ==")
    )
    ((before, after),) = compare(one, other).pairs
    assert before is not None
    assert after is not None
    assert before.body["data"]["a"] != after.body["data"]["a"]


def test_what_goes_and_what_comes_is_a_pair_with_nothing() -> None:
    def pod(n: str) -> str:
        return f"---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {n}\n"

    found = compare(parsed(pod("a") + pod("b")), parsed(pod("c") + pod("b")))
    assert found.unchanged == 1
    assert [(a and a.ref.name, b and b.ref.name) for a, b in found.pairs] == [("a", None), (None, "c")]


def test_manifests_of_two_runs_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="different keys"):
        compare(parsed(RENDER), parse(RENDER, "datadog", Masker(b"x" * 32)))
