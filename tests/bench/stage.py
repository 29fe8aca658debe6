"""The cluster that programs are measured on, and the programs."""

from __future__ import annotations

import base64
import gzip
import json
import os
import platform
import random
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import yaml

from ddhelm import facts, manifest
from ddhelm.coverage import Placement, agent_placements
from ddhelm.masking import Masker
from ddhelm.nodes import Node
from tests.agent import install, shape
from tests.bench.measure import Program
from tests.demo.chart import STAND_IN
from tests.sandbox import build, topology
from tests.sandbox.api import at_once
from tests.sandbox.sandbox import Sandbox

NAMESPACE = "datadog"
RELEASES = ("worker-node-ddagent", "control-plane-ddagent")
RECORD = 385_000
"""Bytes of a release's record with the official chart 3.240.0; the stand-in's is padded: `helm list` reads it all."""
KEY = "0" * 32
"""Made up; it has the form of a Datadog API key and belongs to nobody."""


class Stage:
    """One sandbox of its own, ended with the `with` block; started when a part first needs it."""

    def __init__(self, folder: Path, helm: str, chart: str | None, effort: float) -> None:
        self.folder = folder
        self.helm = helm
        self._effort = effort
        self._sandbox: Sandbox | None = None
        self._onboarded = False
        self.chart = Path(chart).resolve() if chart else STAND_IN

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sandbox is not None:
            self._sandbox.stop()

    @property
    def sentence(self) -> str:
        """What the figures were taken on."""
        chart = "the stand-in chart" if self.chart == STAND_IN else self.chart.name
        python = platform.python_version()
        return f"{os.cpu_count()} cores, Python {python}, Helm {self.helm}, {chart}; medians of runs that take turns"

    @property
    def sandbox(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = Sandbox.start(self.folder / "cluster")
            self._sandbox.use("kubeadm")
        return self._sandbox

    @property
    def environ(self) -> dict[str, str]:
        return self.sandbox.environment(self.helm)

    def rounds(self, usual: int) -> int:
        return max(3, round(usual * self._effort))

    def ddhelm(self, *arguments: str) -> Program:
        return Program([str(Path(sys.executable).parent / "ddhelm"), *arguments], self.environ)

    def topology(self, name: str) -> None:
        """An empty cluster with these nodes."""
        self.sandbox.use(name)
        self._onboarded = False

    def onboarded(self, name: str) -> None:
        """A cluster with these nodes and both releases, and nothing else in the namespace."""
        if self.sandbox.topology != name or not self._onboarded:
            self.topology(name)
            environ = {**self.environ, "DD_API_KEY": KEY}
            program = self.ddhelm("onboard", "--yes", "--chart", str(self.chart))
            Program(program.argv, environ)()
            self._onboarded = True

    def five_hundred(self, nodes: int) -> None:
        """An onboarded cluster of that many nodes; its agents answer at once, with a status of the usual size."""
        kubeadm = yaml.safe_load((Path(topology.__file__).parent / "topologies" / "kubeadm.yaml").read_text())
        masters, workers = kubeadm["nodes"]
        wide = {**kubeadm, "nodes": [masters, {**workers, "count": nodes - masters["count"]}]}
        file = self.folder / f"agents-{nodes}.yaml"
        file.write_text(yaml.safe_dump(wide))
        self.sandbox.use(file)
        environ = {**self.environ, "DD_API_KEY": KEY}
        Program(self.ddhelm("onboard", "--yes", "--chart", str(self.chart)).argv, environ)()
        self._onboarded = False
        checks = ("etcd", "kube_apiserver_metrics", "kube_controller_manager", "kube_scheduler")
        instances = [shape.instance(f"check_{n}", n, source="built-in", metrics=5) for n in range(40)]
        instances += [shape.instance(check, 0, source=f"file:{check}.yaml", metrics=5) for check in checks]
        status = shape.document("agent", "node", instances, loading={}, config_errors={})
        answer = self.folder / "status.json"
        answer.write_text(json.dumps({**status, "clusterAgentStatus": {"Endpoint": "x", "Version": "7"}}, indent=2))
        for program in install.PROGRAMS:
            install.put(self.sandbox, program, f"exec cat {shlex.quote(str(answer))}\n")

    def agents(self) -> list[str]:
        """The names of the node agents' pods."""
        found = self.sandbox.api_get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
        return [each["metadata"]["name"] for each in found if each["spec"]["containers"][0]["name"] == "agent"]

    def render(self, release: str, *flags: str) -> Program:
        """The bare `helm template` of a release with the values that are installed."""
        command = ["helm", "template", release, str(self.chart), "--namespace", NAMESPACE, "--values", "-", *flags]
        return Program(command, self.environ, stdin=self._values(release))

    def upgrade(self, release: str, *flags: str) -> Program:
        """The `helm upgrade --install` that changes nothing: the chart and the values that are installed."""
        place = ["--namespace", NAMESPACE, "--reset-values", "--values", "-"]
        command = ["helm", "upgrade", "--install", release, str(self.chart), *place, *flags]
        return Program(command, self.environ, stdin=self._values(release))

    def diff(self, release: str, plugins: Path) -> Program:
        """What the helm-diff plugin says of the same upgrade."""
        values = self.folder / f"{release}.json"
        values.write_text(self._values(release))
        place = ["--namespace", NAMESPACE, "--reset-values", "--values", str(values)]
        command = ["helm", "diff", "upgrade", release, str(self.chart), *place]
        return Program(command, {**self.environ, "HELM_PLUGINS": str(plugins)})

    def revisions(self) -> dict[str, str]:
        """Release -> revision."""
        listed = json.loads(self.answer("helm", "list", "--namespace", NAMESPACE, "--output", "json"))
        return {release["name"]: release["revision"] for release in listed}

    def fill(self, releases: int) -> None:
        """Other releases, of another chart, each as large as ours, until so many stand in the namespace."""
        self._onboarded = False
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets"
        query = f"{path}?labelSelector=owner=helm,status=deployed,name={RELEASES[0]}"
        (model,) = self.sandbox.loader.get(query)["items"]
        names = [f"release-{number:03}" for number in range(releases - len(RELEASES))]
        at_once(lambda name: self.sandbox.loader.post(path, _renamed(model, name)), names, connections=2)

    def nodes(self) -> tuple[Node, ...]:
        """The nodes as ddhelm reads them."""
        body = self.sandbox.loader.request("GET", "/api/v1/nodes")
        return facts.parse(facts.Answers({"nodes": body})).nodes

    def placements(self) -> list[Placement]:
        """Where the DaemonSets of both releases would go, rendered with the values that ddhelm would send."""
        masker = Masker(b"bench")
        found: list[Placement] = []
        for release, role in zip(RELEASES, ("worker", "control-plane"), strict=True):
            values = self.answer("ddhelm", "values", role, "--chart", str(self.chart))
            place = ["--namespace", NAMESPACE, "--values", "-"]
            text = self.answer("helm", "template", release, str(self.chart), *place, stdin=values)
            found += agent_placements(manifest.parse(text, NAMESPACE, masker), release, role)
        return found

    def _values(self, release: str) -> str:
        return self.answer("helm", "get", "values", release, "--namespace", NAMESPACE, "--output", "json")

    def answer(self, *command: str, stdin: str = "") -> str:
        """What a program prints; raises CalledProcessError."""
        environ = self.environ
        environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
        done = subprocess.run(command, env=environ, input=stdin, capture_output=True, text=True, check=True)
        return done.stdout


def plugins_with(name: str) -> Path | None:
    """The folder of the user's own Helm plugins, where one of that name is among them."""
    helm = shutil.which("helm") or build.helm("4.3")
    folder = subprocess.run([helm, "env", "HELM_PLUGINS"], capture_output=True, text=True, check=True).stdout.strip()
    declared = [yaml.safe_load(file.read_text()) for file in Path(folder).glob("*/plugin.yaml")]
    return Path(folder) if any(plugin.get("name") == name for plugin in declared) else None


def _renamed(secret: dict[str, Any], name: str) -> dict[str, Any]:
    """The Secret of another release of that size: base64 of base64 of gzip of JSON, as Helm keeps it."""
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    release = json.loads(gzip.decompress(packed))
    release["name"] = name
    release["chart"]["metadata"]["name"] = "filler"
    noise = random.Random(name).randbytes(max(0, RECORD - len(packed) * 4 // 3) * 23 // 32)
    padding = {"name": "padding", "data": base64.b64encode(noise).decode()}
    release["chart"]["files"] = [*(release["chart"].get("files") or []), padding]
    data = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode(), 1))).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": secret["type"],
        "metadata": {
            "name": f"sh.helm.release.v1.{name}.v{release['version']}",
            "labels": {**secret["metadata"]["labels"], "name": name},
        },
        "data": {"release": data},
    }
