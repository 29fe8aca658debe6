"""Rotation on a real cluster: the value, the pods that read it, what is said, and how a broken run is finished."""

import base64
from pathlib import Path
from typing import Any

from tests.cluster.driver import API_KEY, SMALL, Ddhelm, Result, generations, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.test_restart import pods
from tests.datadog_api.server import DatadogApi
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox

AGENT, CLUSTER_AGENT = f"{WORKER}-datadog", f"{WORKER}-datadog-cluster-agent"
CONTROL = f"{CONTROL_PLANE}-datadog"
NEW = "5ca1ab1e" * 4
SECRET = "/api/v1/namespaces/datadog/secrets/ddhelm"


def value(sandbox: Sandbox, key: str, path: str = SECRET) -> str:
    return base64.b64decode(sandbox.api_get(path)["data"][key]).decode()


def words(result: Result) -> str:
    """All that was printed, on one line."""
    return " ".join((result.out + result.err).split())


def born(sandbox: Sandbox) -> dict[str, list[str]]:
    """Workload to the creation times of its pods, earliest first."""
    found: dict[str, list[str]] = {}
    for pod in sandbox.api_get("/api/v1/namespaces/datadog/pods")["items"]:
        if "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["metadata"]["labels"]["app"], []).append(pod["metadata"]["creationTimestamp"])
    return {name: sorted(times) for name, times in found.items()}


def replaced(before: dict[str, set[str]], after: dict[str, set[str]]) -> set[str]:
    return {name for name in after if not after[name] & before[name]}


@each_helm("4.3", matrix=["3.22"])
def test_keys_and_token_are_rotated_and_a_broken_run_is_finished(
    cluster: Clusters, datadog_api: DatadogApi, helm_version: str, tmp_path: Path
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    everything, seen = {AGENT, CLUSTER_AGENT, CONTROL}, []
    file = tmp_path / "new"
    file.write_text(NEW)
    rotate: tuple[str, ...] = ("rotate", "api-key", "--api-key-file", str(file))

    before, made, mark = pods(sandbox), revisions(sandbox), generations(sandbox)
    shown = ddhelm(*rotate, "--dry-run")
    assert "must stay valid until the end" in words(shown)
    assert "there is no terminal to ask on" in words(ddhelm(*rotate, code=64))
    datadog_api.state.api_keys = {API_KEY}
    refused = ddhelm(*rotate, "--yes", code=3)
    assert "refuses the API key" in refused.err
    assert (value(sandbox, "api-key"), generations(sandbox)) == (API_KEY, mark), "nothing was touched"
    datadog_api.state.api_keys = {API_KEY, NEW}

    done = ddhelm(*rotate, "--yes")
    assert value(sandbox, "api-key") == NEW
    assert replaced(before, pods(sandbox)) == everything
    assert "may be revoked: https://app.datadoghq.com/organization-settings/api-keys" in words(done)
    again = ddhelm(*rotate, "--yes")
    assert "Nothing to do: every pod was started after the last change" in words(again)
    assert "no drift" in ddhelm("drift").out
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    assert revisions(sandbox) == made
    history = ddhelm("history")
    assert "rotate api-key" in history.out

    token, before = value(sandbox, "token"), pods(sandbox)
    turned = ddhelm("rotate", "token", "--yes")
    assert "pause until their restart" in words(turned)
    assert value(sandbox, "token") not in {token, ""}
    assert replaced(before, pods(sandbox)) == everything
    times = born(sandbox)
    assert times[CLUSTER_AGENT][-1] <= min(times[AGENT][0], times[CONTROL][0]), "the Cluster Agent goes first"
    seen += [shown, refused, done, again, turned, history]

    sandbox.simulate("worker-1", never_ready="CreateContainerConfigError", message="no room")
    stuck = ddhelm("rotate", "token", "--yes", "--timeout", "10s", code=4)
    assert f"restarted and ready: {CLUSTER_AGENT}" in words(stuck)
    assert "may still run with the old one" in words(stuck)
    kept = value(sandbox, "token")
    sandbox.simulate("worker-1", never_ready=None, message=None)
    sandbox.kubectl("-n", "datadog", "delete", "pod", "--field-selector", "spec.nodeName=worker-1", "--wait=false")
    before = pods(sandbox)
    finished = ddhelm("rotate", "token", "--yes")
    assert value(sandbox, "token") == kept, "it is finished with the token that was written"
    assert CLUSTER_AGENT not in replaced(before, pods(sandbox)), "what was done is not done again"
    ddhelm("rotate", "token", "--yes")
    assert value(sandbox, "token") != kept
    text = "".join(each.out + each.err for each in (*seen, stuck, finished))
    assert all(secret not in text for secret in (API_KEY, NEW, token, kept))


def test_a_secret_of_somebody_else_is_never_written_and_its_change_is_rolled_out(
    cluster: Clusters, datadog_api: DatadogApi
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    sandbox.kubectl("create", "namespace", "datadog")
    sandbox.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")
    sandbox.kubectl("create", "secret", "generic", "mine", "-n", "datadog", f"--from-literal=api-key={API_KEY}")
    ddhelm.onboard("--api-key-secret", "mine", key=None)
    datadog_api.asked.clear()
    mark = generations(sandbox)
    refused = ddhelm("rotate", "api-key", "--yes", code=3, environment={"DD_API_KEY": NEW})
    assert "stands in Secret `mine`, which is not ddhelm's: it is never written" in words(refused)
    assert "rotate api-key --restart-only" in words(refused)
    assert "is read by no pod" in words(ddhelm("rotate", "app-key", "--yes", code=3))
    idle = ddhelm("rotate", "api-key", "--restart-only", "--yes")
    assert "Nothing to do" in words(idle)
    assert generations(sandbox) == mark

    changed: dict[str, Any] = {"data": {"api-key": base64.b64encode(NEW.encode()).decode()}}
    path = "/api/v1/namespaces/datadog/secrets/mine"
    sandbox.loader.merge(path, changed)
    before = pods(sandbox)
    ddhelm("rotate", "api-key", "--restart-only", "--yes")
    assert replaced(before, pods(sandbox)) == {AGENT, CLUSTER_AGENT, CONTROL}
    assert value(sandbox, "api-key", path) == NEW
    assert "Nothing to do" in words(ddhelm("rotate", "api-key", "--restart-only", "--yes"))
    assert datadog_api.asked == []


def test_flags_of_another_key_are_refused(cluster: Clusters) -> None:
    ddhelm = Ddhelm(cluster("kubeadm"), "3.22")
    for line in (
        ("token", "--api-key-file", "x"),
        ("app-key", "--api-key-command", "x"),
        ("api-key", "--restart-only", "--api-key-file", "x"),
    ):
        assert "cannot be meant with" in ddhelm("rotate", *line, code=64).err
    assert "there is no release" in ddhelm("rotate", "token", code=1).err
