"""Plays the agent of a simulated node: reads what its pod is given, and runs its check files with Datadog's own rules.

The pods of the sandbox run nothing. What an agent would find in them (check files, token, CA, files of the host) is put
together here from the pod that the real DaemonSet controller made; nothing is taken from ddhelm or its values.
"""

import logging
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tests.cluster.driver import CONTROL_PLANE
from tests.sandbox.sandbox import Sandbox

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMES = {
    "kube_apiserver_metrics": "apiserver_storage_size_bytes",
    "kube_scheduler": "scheduler_pending_pods",
    "kube_controller_manager": "node_collector_zone_size",
    "etcd": "etcd_server_has_leader",
}
"""Check to a metric that only its component serves."""


@dataclass(frozen=True)
class NodeAgent:
    """The agent in one control-plane pod. ``files`` is a private folder for its token and CA."""

    sandbox: Sandbox
    pod: dict[str, Any]
    files: Path

    @classmethod
    def somewhere(cls, sandbox: Sandbox, files: Path) -> "NodeAgent":
        """The agent on any control-plane node, with a token of its pod's service account."""
        selector = f"app%3D{CONTROL_PLANE}-datadog"
        pods = sandbox.api_get(f"/api/v1/namespaces/datadog/pods?labelSelector={selector}")["items"]
        agent = cls(sandbox, pods[0], files)
        assert agent.pod["spec"]["hostNetwork"], "127.0.0.1 of the node is not reached from a network of the pod's own"
        agent.take_token(agent.pod["spec"]["serviceAccountName"])
        authority = sandbox.api_get("/api/v1/namespaces/datadog/configmaps/kube-root-ca.crt")["data"]["ca.crt"]
        (files / "ca.crt").write_text(authority)
        return agent

    def take_token(self, account: str) -> None:
        """Have a token of this service account of the namespace instead of the one before."""
        (self.files / "token").write_text(self.sandbox.kubectl("create", "token", account, "-n", "datadog"))

    def check_files(self) -> dict[str, list[dict[str, Any]]]:
        """Check name to its instances, as they stand in the ConfigMap that the pod's init container copies."""
        spec = self.pod["spec"]
        (volume,) = {
            mount["name"]
            for container in spec["initContainers"]
            for mount in container["volumeMounts"]
            if mount["mountPath"] == "/conf.d"
        }
        (name,) = (v["configMap"]["name"] for v in spec["volumes"] if v["name"] == volume)
        data = self.sandbox.api_get(f"/api/v1/namespaces/datadog/configmaps/{name}")["data"]
        return {file.removesuffix(".yaml"): yaml.safe_load(text)["instances"] for file, text in data.items()}

    def resolved(self, value: Any) -> Any:
        """A value of an instance with each path of the container replaced by the file that stands there."""
        if isinstance(value, dict):
            return {key: self.resolved(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.resolved(each) for each in value]
        if not isinstance(value, str):
            return value
        assert "%%" not in value, f"the template in `{value}` is resolved by an agent, not here"
        return str(self._file(PurePosixPath(value))) if value.startswith("/") else value

    def _file(self, path: PurePosixPath) -> Path:
        if path.parent == PurePosixPath(ACCOUNT):
            return self.files / path.name
        (container,) = (each for each in self.pod["spec"]["containers"] if each["name"] == "agent")
        mounts = {PurePosixPath(mount["mountPath"]): mount for mount in container["volumeMounts"]}
        place = next((place for place in (path, *path.parents) if place in mounts), None)
        assert place is not None, f"`{path}` is not mounted"
        (volume,) = (v for v in self.pod["spec"]["volumes"] if v["name"] == mounts[place]["name"])
        on_host = PurePosixPath(volume["hostPath"]["path"]) / path.relative_to(place)
        found = self.sandbox.host / on_host.relative_to("/")
        assert found.is_file(), f"there is no file `{on_host}` on the node"
        return found

    def collect(self, check: str, instance: dict[str, Any]) -> set[str]:
        """Run one instance once: which metrics of ``NAMES`` arrived. Raises what the check raises."""
        base: Any = import_module("datadog_checks.base")  # half typed; slow to import
        aggregator: Any = import_module("datadog_checks.base.stubs").aggregator
        aggregator.reset()
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # what is not verified is said by `detect`
        whole = {"namespace": check, "metrics": [*NAMES.values()], **self.resolved(instance)}
        if whole.get("bearer_token_auth"):
            whole.setdefault("bearer_token_path", str(self.files / "token"))
        runner = base.OpenMetricsBaseCheck(check, {}, [whole])
        runner.check(runner.instance)
        aggregator.assert_service_check(f"{check}.prometheus.health", runner.OK)
        return {name.removeprefix(f"{check}.") for name in aggregator.metric_names}
