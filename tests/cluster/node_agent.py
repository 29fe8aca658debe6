"""Plays the agent of a simulated node: reads what its pod is given, and runs its check files with Datadog's own rules.

The pods of the sandbox run nothing. What an agent would find in them (check files, token, CA, files of the host) is put
together here from the pod that the real DaemonSet controller made; nothing is taken from ddhelm or its values.
"""

import logging
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Self

import yaml

from tests.agent import started
from tests.cluster.names import CONTROL_PLANE
from tests.sandbox.sandbox import Sandbox

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMES = {
    "kube_apiserver_metrics": "apiserver_storage_size_bytes",
    "kube_scheduler": "scheduler_pending_pods",
    "kube_controller_manager": "root_ca_cert_publisher_sync_total",  # there before any pod, which needs that CA
    "etcd": "etcd_server_has_leader",
}
"""Check to a metric that only its component serves."""


@dataclass(frozen=True)
class NodeAgent:
    """The agent in one control-plane pod. ``files`` is a private folder for its token and CA."""

    sandbox: Sandbox
    pod: dict[str, Any]
    files: Path
    seen: dict[str, str] = field(default_factory=dict)
    """File on this machine to the path in the container under which it was asked for."""

    @classmethod
    def somewhere(cls, sandbox: Sandbox, files: Path) -> "NodeAgent":
        """The agent on any control-plane node, with a token of its pod's service account."""
        selector = f"app%3D{CONTROL_PLANE}-datadog"
        pods = sandbox.api_get(f"/api/v1/namespaces/datadog/pods?labelSelector={selector}")["items"]
        agent = cls.of(sandbox, pods[0], files)
        assert agent.pod["spec"]["hostNetwork"], "127.0.0.1 of the node is not reached from a network of the pod's own"
        return agent

    @classmethod
    def of(cls, sandbox: Sandbox, pod: dict[str, Any], files: Path) -> Self:
        """The agent in this pod, with a token of its service account."""
        agent = cls(sandbox, pod, files)
        agent.take_token(pod["spec"]["serviceAccountName"])
        authority = sandbox.api_get(f"/api/v1/namespaces/{agent.namespace}/configmaps/kube-root-ca.crt")
        (files / "ca.crt").write_text(authority["data"]["ca.crt"])
        return agent

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    def take_token(self, account: str) -> None:
        """Have a token of this service account of the namespace instead of the one before."""
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token"
        (self.files / "token").write_text(self.sandbox.loader.post(path, {"spec": {}})["status"]["token"])

    def check_files(self) -> dict[str, list[dict[str, Any]]]:
        """Check name to its instances, as they stand in the ConfigMap that the pod's init container copies."""
        return {check: yaml.safe_load(text)["instances"] for check, text in self.check_texts().items()}

    def check_texts(self) -> dict[str, str]:
        """Check name to the text of its file; none where the pod mounts no folder of them."""
        spec = self.pod["spec"]
        volumes = {
            mount["name"]
            for container in spec["initContainers"]
            for mount in container["volumeMounts"]
            if mount["mountPath"] == "/conf.d"
        }
        names = [v["configMap"]["name"] for v in spec["volumes"] if v["name"] in volumes and "configMap" in v]
        data = [
            self.sandbox.api_get(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}").get("data") for name in names
        ]
        return {file.removesuffix(".yaml"): text for each in data if each for file, text in each.items()}

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
        if "secret" in volume:
            return self._of_secret(
                volume["secret"], PurePosixPath(mounts[place].get("subPath", "")) / path.relative_to(place)
            )
        assert "hostPath" in volume, f"`{path}` lies in `{volume['name']}`, where nothing of the node stands"
        on_host = PurePosixPath(volume["hostPath"]["path"]) / path.relative_to(place)
        found = self.sandbox.host / on_host.relative_to("/")
        assert found.is_file(), f"there is no file `{on_host}` on the node"
        return found

    def _of_secret(self, source: dict[str, Any], inside: PurePosixPath) -> Path:
        """A file of a Secret's volume, as the kubelet makes it when the pod starts."""
        name = source["secretName"]
        found = started.secret(self.sandbox, self.pod, name)
        assert found is not None, f"there is no Secret `{name}`"
        keys = {
            item["path"]: item["key"] for item in source.get("items") or [{"path": key, "key": key} for key in found]
        }
        assert str(inside) in keys, f"the volume of Secret `{name}` has no `{inside}`"
        assert keys[str(inside)] in found, f"Secret `{name}` has no key `{keys[str(inside)]}`"
        file = self.files / f"{name}-{keys[str(inside)]}"
        file.write_bytes(found[keys[str(inside)]])
        return file

    def collect(self, check: str, instance: dict[str, Any]) -> set[str]:
        """Run one instance once: which metrics of ``NAMES`` arrived. Raises what the check raises."""
        runner = self.built(check, instance)
        runner.check(runner.instance)
        _aggregator().assert_service_check(f"{check}.prometheus.health", runner.OK)
        return {name.removeprefix(f"{check}.") for name in _aggregator().metric_names}

    def built(self, check: str, instance: dict[str, Any]) -> Any:
        """Datadog's base check for an instance, ready to run; nothing is collected yet."""
        base: Any = import_module("datadog_checks.base")  # half typed; slow to import
        _aggregator().reset()
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # what is not verified is said by `detect`
        whole = {"namespace": check, "metrics": [*NAMES.values()], **self.resolved(instance)}
        if whole.get("bearer_token_auth"):
            whole.setdefault("bearer_token_path", str(self.files / "token"))
        return base.OpenMetricsBaseCheck(check, {}, [whole])

    def samples(self, check: str) -> int:
        """How many samples the last run brought."""
        aggregator = _aggregator()
        return sum(len(aggregator.metrics(name)) for name in aggregator.metric_names if name.startswith(f"{check}."))


def _aggregator() -> Any:
    return import_module("datadog_checks.base.stubs").aggregator
