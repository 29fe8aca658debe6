"""A chart that prints the values it was given, so that ddhelm's reading can be held against the real helm's."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddhelm import goyaml
from tests.sandbox.build import helm

TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: values}
data:
  json: {{ omit .Values "global" | toJson | quote }}
"""
MAJORS = ("3.22", "4.3")


class Refused(Exception):
    """helm ended with an error; the text is its last line."""


def chart(folder: Path, defaults: dict[str, Any] | None = None) -> Path:
    """Writes the chart; ``defaults`` become its values.yaml."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: toy\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text(json.dumps(defaults or {}))
    (folder / "templates" / "values.yaml").write_text(TEMPLATE)
    return folder


def values(version: str, chart: Path, arguments: Sequence[str], stdin: str | bytes = "") -> Any:
    """``.Values`` as a template sees them; raises Refused."""
    done = subprocess.run(
        [helm(version), "template", "toy", chart, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        check=False,
        timeout=60,
        env={"HOME": str(chart)},
    )
    if done.returncode:
        raise Refused(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    manifest: Any = goyaml.load(done.stdout.decode())
    return json.loads(manifest["data"]["json"])
