"""The node agent's status: its pod's check files collected for real, its node's own checks as an agent has them."""

from __future__ import annotations

import tempfile
import traceback
import warnings
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tests.agent import cluster, shape
from tests.agent.shape import Json
from tests.cluster.node_agent import NodeAgent
from tests.sandbox.sandbox import Sandbox

ORDINARY = ("container", "cpu", "disk", "file_handle", "io", "kubelet", "load", "memory", "network", "uptime")
"""Checks that an agent runs on every node of a cluster."""
PYTHON = "Python Check Loader"


class Container(NodeAgent):
    """As a program in the container sees it: a path that is not mounted is a file that is not there."""

    def _file(self, path: PurePosixPath) -> Path:
        try:
            found = super()._file(path)
        except AssertionError:
            found = self.files / "not-there" / path.relative_to("/")
        self.seen[str(found)] = str(path)
        return found

    def said(self, error: str) -> str:
        """An error with the container's paths in place of this machine's."""
        for here, there in self.seen.items():
            error = error.replace(here, there)
        return error.replace(str(self.files), "/var/run/secrets/kubernetes.io/serviceaccount")


def status(sandbox: Sandbox, pod: Json) -> Json:
    """What `agent status --json` prints in this pod."""
    node = pod["spec"]["nodeName"]
    instances = [
        shape.instance(check, number, source="container:built-in", metrics=5) for number, check in enumerate(ORDINARY)
    ]
    loading: dict[str, Json] = {}
    config_errors: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:
        agent = Container.of(sandbox, pod, Path(folder))
        for check, text in agent.check_texts().items():
            source = f"file:/etc/datadog-agent/conf.d/{check}.yaml"
            try:
                wanted = (yaml.safe_load(text) or {}).get("instances") or []
            except (yaml.YAMLError, AttributeError) as error:
                config_errors[check] = f"yaml: {' '.join(str(error).split())}"
                continue
            for number, instance in enumerate(wanted):
                try:
                    instances.append(_run(agent, check, number, instance, source))
                except Exception as error:  # what the loader says of a check whose constructor fails
                    told = agent.said(f"{error}\n{traceback.format_exc()}")
                    loading[check] = {
                        PYTHON: f"could not configure check instance for python check {check}: could not invoke "
                        f"'{check}' python check constructor. New constructor API returned:\n{told}",
                        "Core Check Loader": f"Check {check} not found in Catalog",
                    }
    found = shape.document("agent", node, instances, loading=loading, config_errors=config_errors)
    return {**found, "clusterAgentStatus": cluster.seen_from(sandbox, pod)}


def _run(agent: Container, check: str, number: int, instance: dict[str, Any], source: str) -> Json:
    """Run one instance once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = agent.built(check, instance)
        error = agent.said(built.run())
    return shape.instance(check, number, source=source, metrics=agent.samples(check), error=error)
