"""Runs the ddhelm that is installed beside this Python, against a sandbox, as a person would from a shell."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddhelm import chart as chart_
from ddhelm import facts
from ddhelm.coverage import Placement, placement
from ddhelm.manifest import from_objects
from ddhelm.masking import Masker
from ddhelm.reads import READS
from ddhelm.tree import Tree
from tests.charts import chart
from tests.datadog_api.fixtures import shared
from tests.docs import jsonpage
from tests.sandbox.api import ApiError
from tests.sandbox.sandbox import Sandbox

SMALL = Path(__file__).with_name("small.yaml")
"""Three nodes instead of the eight of `kubeadm`, for tests of roll-outs in which their number says nothing."""
API_KEY = "0123456789abcdef0123456789abcdef"
"""Made up, and valid for the API on loopback that the driver names; nothing is ever sent to Datadog."""


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON, exactly as the page about it says."""
        document = json.loads(self.out)
        jsonpage.check(document)
        return document

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Ddhelm:
    """One ddhelm with one Helm on one sandbox; calling it runs a command line."""

    def __init__(self, sandbox: Sandbox, helm: str) -> None:
        self.sandbox = sandbox
        self.environment = {**sandbox.environment(helm=helm), **shared().environment()}

    def __call__(
        self,
        *arguments: str,
        code: int | None = 0,
        stdin: str | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 180,
    ) -> Result:
        """Run it; the exit code must be ``code`` (None: any). Without ``stdin`` there is none."""
        done = subprocess.run(
            [sys.executable, "-m", "ddhelm", *arguments],
            env={**self.environment, **(environment or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd or self.sandbox.kubeconfig.parent,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert code in {None, result.code}, str(result)
        assert "Traceback" not in result.err, str(result)
        return result

    def onboard(self, *arguments: str, code: int | None = 0, key: str | None = API_KEY, **options: Any) -> Result:
        """``onboard --yes`` with the chart under test and a key in the environment."""
        environment = {**({"DD_API_KEY": key} if key else {}), **options.pop("environment", {})}
        return self("onboard", "--yes", *self.chart(), *arguments, code=code, environment=environment, **options)

    @property
    def context(self) -> str:
        """The current context of its kubeconfig."""
        return str(yaml.safe_load(self.sandbox.kubeconfig.read_text())["current-context"])

    @staticmethod
    def chart() -> tuple[str, str]:
        """The flags that name the chart under test."""
        return "--chart", str(chart())


def has_operator() -> bool:
    """Whether the chart under test has the operator (from 3.157.0 on)."""
    return facts.version_of(chart_.read(chart()).version) >= (3, 157, 0)


def needs_operator() -> None:
    """Skips a test of what only a chart with the operator has."""
    if not has_operator():
        pytest.skip("this chart has no operator")


def read_facts(sandbox: Sandbox) -> facts.ClusterFacts:
    """The facts as the API tells them now, not as its cache does."""
    answers: dict[str, str | bytes | facts.Failure] = {}
    for name, path in READS.items():
        try:
            answers[name] = sandbox.loader.text(path.removesuffix("?resourceVersion=0"))
        except ApiError as error:
            answers[name] = facts.Failure(str(error))
    return facts.parse(facts.Answers(answers))


def placements_of(bodies: Sequence[Tree], namespace: str) -> tuple[Placement, ...]:
    """Where DaemonSets say that their pods may go, each under its own name as release."""
    objects = from_objects(bodies, namespace, Masker(b"k" * 32)).of_kind("DaemonSet")
    return tuple(placement(each, each.ref.name, "worker") for each in objects)


def agents_by_node(sandbox: Sandbox, namespace: str = "datadog") -> dict[str, list[str]]:
    """Node name to the DaemonSets with a running agent pod there, as the real controllers placed them."""
    nodes: dict[str, list[str]] = {node["metadata"]["name"]: [] for node in sandbox.api_get("/api/v1/nodes")["items"]}
    for pod in sandbox.api_get(f"/api/v1/namespaces/{namespace}/pods")["items"]:
        owner = pod["metadata"]["ownerReferences"][0]
        if owner["kind"] == "DaemonSet" and not pod["metadata"].get("deletionTimestamp"):
            nodes[pod["spec"]["nodeName"]].append(owner["name"])
    return nodes


def generations(sandbox: Sandbox, namespace: str = "datadog") -> dict[str, int]:
    """Workload to generation: unchanged means that no pod was replaced."""
    found = {}
    for kind in ("daemonsets", "deployments"):
        for item in sandbox.api_get(f"/apis/apps/v1/namespaces/{namespace}/{kind}")["items"]:
            found[f"{kind}/{item['metadata']['name']}"] = item["metadata"]["generation"]
    return found


def revisions(sandbox: Sandbox, namespace: str = "datadog") -> dict[str, list[tuple[int, str]]]:
    """Release to its revisions with their status, oldest first."""
    found: dict[str, list[tuple[int, str]]] = {}
    secrets = sandbox.api_get(f"/api/v1/namespaces/{namespace}/secrets?labelSelector=owner%3Dhelm")["items"]
    for labels in (secret["metadata"]["labels"] for secret in secrets):
        found.setdefault(labels["name"], []).append((int(labels["version"]), labels["status"]))
    return {name: sorted(rows) for name, rows in found.items()}


def recorded(sandbox: Sandbox, namespace: str = "datadog") -> list[dict[str, Any]]:
    """The runs that the cluster has recorded, oldest first."""
    found = sandbox.api.find(f"/api/v1/namespaces/{namespace}/configmaps/ddhelm-history")
    return [json.loads(line) for line in found["data"]["runs.jsonl"].splitlines()] if found else []
