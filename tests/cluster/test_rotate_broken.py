"""A rotation that breaks off in its middle: what was done is said, it shows in `verify`, and the next run finishes it.

The sandbox's agents hold what their pods started with (see `tests.agent.started`), as real ones do.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ddhelm.actions import keys, rotate
from ddhelm.actions.carry_out import How
from ddhelm.actions.session import Session
from ddhelm.errors import PlanStale
from ddhelm.release import Rotatable
from tests.agent.install import install
from tests.cluster.driver import API_KEY, SMALL, Ddhelm, recorded
from tests.cluster.test_restart import pods
from tests.cluster.test_rotate import AGENT, CLUSTER_AGENT, CONTROL, NEW, replaced, value, words
from tests.datadog_api.server import DatadogApi
from tests.sandbox.build import tool
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

SPACE = "/api/v1/namespaces/datadog"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/datadog/leases/ddhelm"
APP_KEY = "beef" * 10
EVERYBODY = {AGENT, CLUSTER_AGENT, CONTROL}


def without(sandbox: Sandbox, name: str, *forbidden: str, verbs: tuple[str, ...] = ("patch",)) -> tuple[str, str]:
    """`--kubeconfig` of somebody who may do all that a rotation takes but these verbs on these kinds."""
    every = ["get", "list", "watch", "create", "update", "patch", "delete"]
    kinds = {"": ["pods", "secrets", "configmaps", "events"], "apps": ["daemonsets", "deployments", "replicasets"]}
    rules = [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": every},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    ]
    for group, names in kinds.items():
        for each in names:
            left = [verb for verb in every if each not in forbidden or verb not in verbs]
            rules.append({"apiGroups": [group], "resources": [each], "verbs": left})
    return "--kubeconfig", str(sandbox.user_kubeconfig(name, rules))


def disagreeing(ddhelm: Ddhelm, code: int) -> tuple[set[str], dict[str, Any]]:
    """The nodes whose agents the Cluster Agent refuses, and what else `verify` answers."""
    data = ddhelm("verify", "-o", "json", code=code).json["data"]
    return {node for each in data["findings"] if each["kind"] == "token" for node in each["nodes"]}, data


@pytest.mark.matrix  # test_rotate.py finishes a broken run; a token made anew below
def test_a_token_rotation_that_breaks_off_shows_in_verify_and_is_finished(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    install(sandbox)
    old, before = value(sandbox, "token"), pods(sandbox)
    neither = without(sandbox, "restarts-nothing", "daemonsets", "deployments")
    refused = ddhelm("rotate", "token", "--yes", *neither, code=1)
    assert "Secret `ddhelm` holds the new value" in words(refused)
    assert f"may still run with the old one: {CLUSTER_AGENT}, {AGENT}, {CONTROL}" in words(refused)
    assert f"ddhelm rotate {' '.join(neither)} token" in words(refused), "the hint can be pasted"
    made = value(sandbox, "token")
    assert made != old
    assert pods(sandbox) == before
    run = recorded(sandbox)[-1]
    assert (run["verb"], run["outcome"], run["exitCode"]) == ("rotate token", "failed", 1)

    # every pod still holds the old token, so all agree, until the first one is replaced for whatever reason
    nodes, said = disagreeing(ddhelm, code=0)
    assert (nodes, said["rotating"]) == (set(), "token")
    assert "has begun and not ended" in ddhelm("verify").out
    shown = ddhelm.onboard(key=None).out
    assert "has begun and not ended" in shown
    assert "ddhelm rotate token" in shown
    selector = f"app={CLUSTER_AGENT}"
    sandbox.kubectl("delete", "pod", "-n", "datadog", "-l", selector, "--wait=true")
    sandbox.kubectl("rollout", "status", f"deployment/{CLUSTER_AGENT}", "-n", "datadog")
    nodes, said = disagreeing(ddhelm, code=6)
    assert len(nodes) == 8, "the new Cluster Agent holds the new token, no agent does"
    assert "ddhelm rotate token" in next(each["hint"] for each in said["findings"] if each["kind"] == "token")

    half = without(sandbox, "restarts-half", "daemonsets")
    broken = ddhelm("rotate", "token", "--yes", *half, code=1)
    assert f"restarted and ready: {CLUSTER_AGENT}" in words(broken)
    assert f"may still run with the old one: {AGENT}, {CONTROL}" in words(broken)
    assert len(disagreeing(ddhelm, code=6)[0]) == 8
    standing = pods(sandbox)
    ddhelm("rotate", "token", "--yes")
    assert value(sandbox, "token") == made, "it is finished with the token that was written"
    assert replaced(standing, pods(sandbox)) == {AGENT, CONTROL}, "what was done is not done again"
    nodes, said = disagreeing(ddhelm, code=0)
    assert (nodes, said["rotating"]) == (set(), None)
    assert all(token not in broken.out + broken.err + refused.out + refused.err for token in (old, made))


def test_a_token_that_is_made_anew_under_running_pods_is_told_and_a_lock_that_was_taken_stops_between_two_restarts(
    cluster: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    assert "had started" not in ddhelm.onboard().err
    sandbox.kubectl("delete", "secret", "-n", "datadog", "ddhelm")
    before = pods(sandbox)
    told = ddhelm.onboard().err
    assert "was written after the pods of" in told
    assert "ddhelm rotate token --restart-only" in told
    assert pods(sandbox) == before
    ddhelm("rotate", "token", "--restart-only", "--yes")
    assert replaced(before, pods(sandbox)) == EVERYBODY

    monkeypatch.setenv("PATH", str(tool("kubectl").parent), prepend=":")
    session = Session.open(kubeconfig=str(sandbox.kubeconfig))
    found = rotate.look(session, Rotatable.TOKEN)
    assert [[each.target.name for each in phase] for phase in found.phases] == [[CLUSTER_AGENT], [AGENT, CONTROL]]
    late = threading.Event()

    def took(event: object) -> None:
        if type(event).__name__ == "Restarting" and not late.is_set():
            sandbox.loader.merge(LEASE, {"spec": {"holderIdentity": "somebody@else (pid 1)"}})
            late.set()

    # the clock runs ahead once the lock is gone, so that the next renewal is due
    how = How(now=lambda: time.time() + (60 if late.is_set() else 0))
    with pytest.raises(PlanStale, match="taken over by another run") as stopped:
        rotate.carry_out(session, found, keys.new_token(session.secrets), how, took)
    assert stopped.value.exit_code == 5
    assert "Secret `ddhelm` holds the new value" in stopped.value.details
    assert any(each.startswith("may still run with the old one:") and AGENT in each for each in stopped.value.details)
    assert "ddhelm rotate token" in stopped.value.hint
    assert sandbox.api_get(LEASE)["spec"]["holderIdentity"] == "somebody@else (pid 1)", "it is not ours to give back"


def test_an_interrupted_rotation_says_what_was_done_and_which_key_to_keep(
    cluster: Clusters, datadog_api: DatadogApi, tmp_path: Path
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    datadog_api.state.api_keys = {API_KEY, NEW}
    sandbox.simulate("worker-1", never_ready="ContainerCreating", message="slow")
    command = [sys.executable, "-m", "ddhelm", "rotate", "api-key", "--yes"]
    process = subprocess.Popen(
        command, env={**ddhelm.environment, "DD_API_KEY": NEW}, cwd=tmp_path, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(lambda: _waits(sandbox, "worker-1"), 60, "the new pod of worker-1 to be in the way")
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    said = " ".join((out + err).split())
    assert process.returncode == 130, said
    assert "Secret `ddhelm` holds the new value" in said
    assert AGENT in said.partition("may still run with the old one:")[2]
    assert "do not revoke the old key yet" in said
    assert "ddhelm rotate api-key --restart-only" in said
    assert NEW not in said
    assert not sandbox.api_get(LEASE)["spec"].get("holderIdentity"), "the lock is given back"
    assert recorded(sandbox)[-1]["outcome"] == "interrupted"

    sandbox.simulate("worker-1", never_ready=None, message=None)
    sandbox.kubectl("-n", "datadog", "delete", "pod", "--field-selector", "spec.nodeName=worker-1", "--wait=false")
    finished = ddhelm("rotate", "api-key", "--restart-only", "--yes")
    assert "may be revoked" in words(finished)
    assert "Nothing to do" in words(ddhelm("rotate", "api-key", "--restart-only", "--yes"))


def _waits(sandbox: Sandbox, node: str) -> bool:
    found = sandbox.api_get(f"{SPACE}/pods?fieldSelector=spec.nodeName%3D{node}")["items"]
    return any("waiting" in each["state"] for pod in found for each in pod["status"].get("containerStatuses", []))


def test_a_value_that_could_not_be_written_leaves_nothing_and_an_application_key_restarts_the_cluster_agent_alone(
    cluster: Clusters, datadog_api: DatadogApi
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "3.22")
    datadog_api.state.app_keys = {APP_KEY, APP_KEY[::-1]}
    ddhelm.onboard("--set", "clusterAgent.metricsProvider.enabled=true", environment={"DD_APP_KEY": APP_KEY})
    old, before = sandbox.api_get(f"{SPACE}/secrets/ddhelm"), pods(sandbox)
    refused = ddhelm("rotate", "token", "--yes", *without(sandbox, "no-secrets", "secrets"), code=1)
    assert "forbidden" in words(refused)
    assert "holds the new value" not in words(refused)
    now = sandbox.api_get(f"{SPACE}/secrets/ddhelm")
    assert (now["data"], now["metadata"].get("annotations")) == (old["data"], old["metadata"].get("annotations"))
    assert pods(sandbox) == before
    assert "has begun" not in ddhelm.onboard(key=None).out

    assert value(sandbox, "app-key") == APP_KEY
    done = ddhelm("rotate", "app-key", "--yes", environment={"DD_APP_KEY": APP_KEY[::-1]})
    assert value(sandbox, "app-key") == APP_KEY[::-1]
    assert value(sandbox, "api-key") == API_KEY
    assert replaced(before, pods(sandbox)) == {CLUSTER_AGENT}
    assert "organization-settings/application-keys" in words(done)
    assert "Nothing to do" in words(ddhelm("rotate", "app-key", "--yes", environment={"DD_APP_KEY": APP_KEY[::-1]}))
    assert "no drift" in ddhelm("drift").out
    assert all(key not in done.out + done.err for key in (APP_KEY, APP_KEY[::-1]))
