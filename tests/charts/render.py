"""Renders a chart with a real helm, without a cluster and without the caller's own Helm settings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.sandbox import build

KUBE_VERSION = "1.36.3"
Json = dict[str, Any]
Shape = set[tuple[str, str]]


class Refused(Exception):
    """helm ended with an error; the text is its standard error."""


def template(
    chart: Path, release: str, values: Mapping[str, Any], helm: str = "4.3", kube_version: str | None = KUBE_VERSION
) -> str:
    """The rendered manifest in namespace `datadog`. Raises Refused."""
    argv = [str(build.helm(helm)), "template", release, str(chart), "--namespace", "datadog", "--values", "-"]
    if kube_version:
        argv += ["--kube-version", kube_version]
    done = subprocess.run(
        argv,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def objects(text: str) -> list[Json]:
    """The documents of a manifest."""
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def render(chart: Path, release: str, values: Mapping[str, Any], helm: str = "4.3") -> list[Json]:
    """The rendered objects. Raises Refused."""
    return objects(template(chart, release, values, helm))


def shape(documents: list[Json]) -> Shape:
    """Kind and name of each object; raises AssertionError if two share them."""
    found = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(found) == len(set(found)), "two objects of one kind and name"
    return set(found)


def one(documents: list[Json], kind: str, name: str = "") -> Json:
    """The only object of that kind (and name)."""
    (found,) = [d for d in documents if d["kind"] == kind and name in ("", d["metadata"]["name"])]
    return found


def merged(*trees: Mapping[str, Any]) -> Json:
    """Values from left to right, as helm lays files over one another; null takes a key away."""
    result: Json = {}
    for tree in trees:
        for key, value in tree.items():
            old = result.get(key)
            both = isinstance(value, Mapping) and isinstance(old, Mapping)
            result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def at(path: str, value: Any) -> Json:
    """`at("a.b", 1)` is `{"a": {"b": 1}}`."""
    tree: Any = value
    for key in reversed(path.split(".")):
        tree = {key: tree}
    return dict(tree)
