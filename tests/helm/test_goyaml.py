"""The reading of YAML is Helm's own: the same texts through `fromYaml` of the real helm, both majors."""

import json
import random
import string
import subprocess
from pathlib import Path

import pytest

from ddhelm import goyaml
from tests.sandbox.build import helm

TEMPLATE = """\
{{- range $at, $text := .Values.texts }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: t{{ $at }}}
data:
  json: {{ fromYaml $text | toJson | quote }}
{{- end }}
"""
SCALARS = """
y Y yes Yes YES yEs n N no No NO on On ON off OFF true True TRUE tRue false FALSE ~ null Null NULL nUll 0755
0o755 0O17 08 0x1F 0X1f 0b101 0B1 -0b11 -0x1 +5 -5 1_000 _1 1_ 0_7 9223372036854775807 18446744073709551615
18446744073709551616 -9223372036854775808 -9223372036854775809 1e3 1E3 1e+3 1.5 .5 5. -.5e1 +.5 1e999 .5e999
1e 1.e3 . .. -. .e1 12:30 1:30:00 190:20:30.15 2024-01-02 2024-1-2 2024-01-02T03:04:05Z 2024-13-45 v1.2.3
1.2.3 0x 0b 0b2 0o8 - + = < 1a 0.1 1.0 100000000000000000000 1e21 1e22 -0 -0.0 00 0 ._5 1__0 0x_1F +0x1F
""".split()  # noqa: SIM905 - a table is easier to read without quotes
DOCUMENTS = (
    "v: !!str 1", "v: !!float 1", "v: !!int '1'", "v: !!binary aGk=", "v: !own 5", "v: ! 5", "v: 'yes'", 'v: "1"',
    "v: |\n  1\n", "v: .inf", "v: !!int x",
    "y: 1", "0x10: 1", "1.5: 1", "1000000.0: 1", "1e-7: 1", "123456.7: 1", "0.1: 1", "1e39: 1",
    "~: 1", "[a]: 1", "-5: 1",
    "a: 1\na: 2", "b: &b {x: 1}\nu:\n  x: 0\n  <<: *b\n", "b: &b {x: 1}\nu:\n  <<: *b\n  x: 0\n",
    "a: [1\n", "a: 1\n\tb: 2", "a:\n- 1\n- [x]\n",
    "b: &b {x: 1}\nm: &m {x: 2, w: 2}\nu: {<<: [*b, *m]}", "a: *x", "a: &a [*a]", 'a: {"<<": 1}',
)  # fmt: skip


@pytest.mark.parametrize("version", ["3.22", "4.3"])
def test_every_text_means_the_same_to_helm(version: str, tmp_path: Path) -> None:
    dice = random.Random(version)
    alphabet = string.digits * 2 + "+-._:eExXobyn~"
    texts = [f"v: {scalar}" for scalar in SCALARS] + [*DOCUMENTS]
    texts += [f"v: {''.join(dice.choices(alphabet, k=dice.randint(1, 7)))}" for _ in range(600)]
    answers = ask_helm(version, texts, tmp_path)
    wrong = [(text, ours(text), theirs(answer)) for text, answer in zip(texts, answers, strict=True)]
    assert [row for row in wrong if row[1] != row[2]] == []


def ask_helm(version: str, texts: list[str], folder: Path) -> list[str]:
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: toy\nversion: 0.1.0\n")
    (folder / "templates" / "t.yaml").write_text(TEMPLATE)
    done = subprocess.run(
        [helm(version), "template", "toy", folder, "-f", "-"],
        input=json.dumps({"texts": texts}), capture_output=True, text=True, check=True, env={"HOME": str(folder)},
    )  # fmt: skip
    documents = [goyaml.load(text) for text in done.stdout.split("\n---\n")]
    by_name = {tree["metadata"]["name"]: tree["data"]["json"] for tree in documents if tree}
    return [by_name[f"t{at}"] for at in range(len(texts))]


def theirs(answer: str) -> object:
    tree = json.loads(answer, parse_int=float)
    return "error" if set(tree) == {"Error"} else comparable(tree)


def ours(text: str) -> object:
    try:
        tree = goyaml.load(text)
    except goyaml.YamlError:
        return "error"
    return comparable(tree) if isinstance(tree, dict) else "error"


def comparable(value: object) -> object:
    """Booleans apart from numbers, all numbers as floats: `fromYaml` keeps no more."""
    if isinstance(value, dict):
        return {key: comparable(below) for key, below in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else float(value) if isinstance(value, int | float) else value
