"""Which keys a chart knows, and what is suggested for one that it does not."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddhelm import chartkeys, tree

VALUES = """\
# agents.notSet -- Documented by its whole path only
agents:
  enabled: true
  ## ref: https://example.com/
  # priorityClassName:
  #   nested: below
  tolerations: []
  affinity: {}
  podLabels:
  image:
    name: agent
    ## digest: sha256
    # repository: x
  probe:
    periodSeconds: 1
  rbac:
    create: true
    # more:
global-ish: 1
sub:
  fromParent: 1
"""
TEMPLATES = {
    "templates/a.yaml": """\
{{/* .Values.agents.onlyInAComment is read nowhere */}}
{{- if and .Values.agents .Values.agents.rbac (.Values.agents.rbac.create) }}
x: {{ include "image" (dict "root" .Values "image" .Values.agents.image) }}
y: {{ toYaml .Values.agents.probe }}
z: {{ $.Values.agents.readByTemplate | default 1 }} {{ (((.Values.agents).deep).deeper) }}
c: {{ index .Values "other-sub" "crds" "one" }} {{ hasKey .Values.agents "asked" }}
{{- end }}
""",
    "templates/_helpers.tpl": '{{ define "image" }}{{ .image.tag }}{{ if .image }}{{ .image.name }}{{ end }}{{ end }}',
}
CHART = {
    "Chart.yaml": "apiVersion: v1\nname: toy\nversion: 1.0.0\n",
    "requirements.yaml": """\
dependencies:
  - {name: sub-chart, alias: sub, condition: "agents.subEnabled,sub.on", tags: [subs]}
  - {name: missing, condition: missing.enabled}
""",
    "values.yaml": VALUES,
    **TEMPLATES,
    "charts/sub-chart/Chart.yaml": "apiVersion: v2\nname: sub-chart\nversion: 1.0.0\n",
    "charts/sub-chart/values.yaml": "inSub: {a: 1}\nopen: {}\n",
    "charts/sub-chart/templates/x.yaml": "{{ .Values.readBySub.deep }}",
    "charts/other/Chart.yaml": "apiVersion: v2\nname: other\nversion: 1.0.0\n",
    "charts/other/values.yaml": "vendored: 1\n",
}
KNOWN = chartkeys.known(CHART)


def unknown(values: dict[str, Any]) -> dict[str, str]:
    return {tree.show(key.path): key.suggestion for key in chartkeys.unknown(values, KNOWN)}


def nested(path: str, value: Any = "x") -> dict[str, Any]:
    made: Any = tree.put({}, tuple(path.split("/")), value)
    return dict(made)


@pytest.mark.parametrize(
    "path",
    [
        "agents/enabled",
        "agents/notSet",
        "agents/priorityClassName",
        "agents/priorityClassName/nested",
        "agents/tolerations",
        "agents/affinity/nodeAffinity/x/y",
        "agents/podLabels/any",
        "agents/image/name",
        "agents/image/repository",
        "agents/image/digest",
        "agents/image/tag",
        "agents/probe/exec/command",
        "agents/rbac/more",
        "agents/readByTemplate",
        "agents/deep/deeper",
        "agents/asked",
        "agents/subEnabled",
        "other-sub/crds/one",
        "sub/fromParent",
        "sub/inSub/a",
        "sub/open/x",
        "sub/readBySub/deep",
        "sub/on",
        "sub/global/x",
        "missing/enabled",
        "other/vendored",
        "tags/subs",
        "global/anything/at/all",
        "ddhelm/settings",
    ],
)
def test_known(path: str) -> None:
    assert unknown(nested(path)) == {}


@pytest.mark.parametrize(
    ("path", "shown", "suggestion"),
    [
        ("agent/enabled", "agent", "agents"),
        ("Agents/enabled", "Agents", "agents"),
        ("agents/toleration", "agents.toleration", "agents.tolerations"),
        ("agents/image/tga", "agents.image.tga", "agents.image.tag"),
        ("agents/rbac/enabled", "agents.rbac.enabled", "agents.enabled"),
        ("tolerations", "tolerations", "agents.tolerations"),
        ("agents/onlyInAComment", "agents.onlyInAComment", ""),
        ("agents/ref", "agents.ref", ""),
        ("sub-chart/inSub", "sub-chart", ""),
        ("sub/readBySub/deeper", "sub.readBySub.deeper", "sub.readBySub.deep"),
        ("sub/insub", "sub.insub", "sub.inSub"),
        ("zzz/a.b", "zzz", ""),
    ],
)
def test_unknown_with_what_was_probably_meant(path: str, shown: str, suggestion: str) -> None:
    found = unknown(nested(path))
    assert list(found) == [shown]
    assert suggestion in ("", found[shown])


def test_only_the_highest_unknown_key_is_named_and_all_branches_are() -> None:
    found = unknown({"agents": {"a1": {"b": {"c": 1}}, "enabled": {}}, "x": {"y": 1, "z": 2}})
    assert list(found) == ["agents.a1", "x"]


def test_what_is_inside_a_list_is_not_looked_at() -> None:
    assert unknown({"agents": {"tolerations": [{"kye": 1}]}}) == {}


def test_null_for_an_unknown_key_is_unknown_too() -> None:
    assert list(unknown({"agents": {"enabeld": None}})) == ["agents.enabeld"]


def test_a_chart_without_values_knows_what_its_templates_read() -> None:
    keys = chartkeys.known({"Chart.yaml": "name: x", "templates/x.yaml": "{{ .Values.a.b }}"})
    assert [key.path for key in chartkeys.unknown({"a": {"b": 1, "c": 2}}, keys)] == [("a", "c")]


def test_a_broken_values_file_of_a_chart_leaves_the_error_to_helm() -> None:
    keys = chartkeys.known({"Chart.yaml": "name: x", "values.yaml": "a: [", "templates/x.yaml": "{{ .Values.a }}"})
    assert [key.path for key in chartkeys.unknown({"a": 1, "b": 1}, keys)] == [("b",)]


NAMES = sorted(set(re.findall(r"\w+", "".join(CHART.values()))))


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
def test_templates_only_add_keys(path: list[str]) -> None:
    shallow = chartkeys.known(CHART, templates=False)
    one = nested("/".join(path))
    assert chartkeys.unknown(one, shallow) or not chartkeys.unknown(one, KNOWN)


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
def test_what_stands_in_values_yaml_is_known_at_once_and_the_rest_only_adds_to_it(path: list[str]) -> None:
    standing = chartkeys.standing(CHART["values.yaml"])
    one = nested("/".join(path))
    assert chartkeys.unknown(one, standing) or not chartkeys.unknown(one, KNOWN)


def test_most_keys_need_no_look_at_anything_else() -> None:
    standing = chartkeys.standing(CHART["values.yaml"])
    assert not chartkeys.unknown(chartkeys.defaults(CHART["values.yaml"]), standing)
    assert not chartkeys.unknown({"global": {"x": 1}}, standing)
    assert chartkeys.unknown({"nonsense": 1}, standing)
    assert chartkeys.standing("a: [") == chartkeys.standing("")


def test_templates_do_add_keys() -> None:
    shallow = chartkeys.known(CHART, templates=False)
    only_read = nested("agents/readByTemplate")
    assert chartkeys.unknown(only_read, shallow)
    assert not chartkeys.unknown(only_read, KNOWN)
