"""What is left, said and undone when something goes wrong half-way: every ending leaves a cluster to go on with."""

import datetime
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

from ddhelm.record import seconds
from tests.cluster import records
from tests.cluster.by_hand import helm
from tests.cluster.driver import API_KEY, SMALL, Ddhelm, Result, generations, recorded, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.sandbox.api import Json
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

LEASE = "/apis/coordination.k8s.io/v1/namespaces/datadog/leases/ddhelm"
TWO_WORKERS = ("worker-1", "worker-2")  # `helm --wait` is content when all but maxUnavailable (here 1) pods are ready
NO_SECRET = {"never_ready": "CreateContainerConfigError", "message": 'secret "gone" not found'}
TAG = ("--set", "datadog.tags={new:tag}")
Start = Callable[..., "Running"]

BOUND = 90
"""Seconds for a run with a time-out of a few seconds, on a busy machine."""


def heads(sandbox: Sandbox) -> dict[str, tuple[int, str]]:
    return {name: rows[-1] for name, rows in revisions(sandbox).items()}


def mend(sandbox: Sandbox, *nodes: str) -> None:
    """The nodes behave again, and their agents start anew."""
    for node in nodes:
        sandbox.simulate(node, never_ready=None, message=None, ready_after=None)
        sandbox.kubectl("delete", "pods", "-n", "datadog", f"--field-selector=spec.nodeName={node}", "--wait=false")


def holder(sandbox: Sandbox) -> str:
    return str((sandbox.api.find(LEASE) or {"spec": {}})["spec"].get("holderIdentity") or "")


def healthy(ddhelm: Ddhelm) -> bool:
    """Whether `status` says so; asked again while pods of the mended nodes start."""
    return ddhelm("status", code=None).code == 0


def assert_usable(ddhelm: Ddhelm, *flags: str) -> Result:
    """The next onboard ends with both releases deployed and a free lock, and the one after has nothing to do."""
    done = ddhelm.onboard(*flags)
    assert {status for _, status in heads(ddhelm.sandbox).values()} == {"deployed"}, done
    assert set(heads(ddhelm.sandbox)) == {WORKER, CONTROL_PLANE}
    assert holder(ddhelm.sandbox) == ""
    wait_for(lambda: healthy(ddhelm), 60, "a healthy status")
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    return done


# --- roll-outs that stall --------------------------------------------------------------------------------------------


def test_a_stalled_upgrade_is_explained_rolled_back_by_number_and_the_other_release_left(cluster: Clusters) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "3.22")
    ddhelm.onboard()
    sandbox.simulate("worker-2", **NO_SECRET)
    began = time.monotonic()
    failed = ddhelm.onboard(*TAG, "--timeout", "8s", code=4, key=None)
    assert time.monotonic() - began < BOUND
    assert 'secret "gone" not found' in failed.err
    assert f"`{WORKER}-datadog`" in failed.err
    assert "`worker-2`" in failed.err
    assert f"release `{WORKER}` was rolled back to revision 1" in failed.err
    assert revisions(sandbox)[WORKER] == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    assert heads(sandbox)[CONTROL_PLANE] == (2, "deployed")
    told = ddhelm("history", "-o", "json").json["data"]
    assert told["rollback"] == {CONTROL_PLANE: 1}, "never to the revision that stalled, which Helm calls superseded"
    pasted(ddhelm, failed, CONTROL_PLANE)
    assert heads(sandbox)[CONTROL_PLANE] == (3, "deployed")
    mend(sandbox, "worker-2")
    assert "new:tag" not in ddhelm("values", "worker").out
    assert_usable(ddhelm, *TAG)
    assert "new:tag" in ddhelm("values", "worker").out


def pasted(ddhelm: Ddhelm, result: Result, release: str) -> None:
    """Run the line that was printed to undo the release, as somebody would who pastes it."""
    (line,) = re.findall(rf"`(helm rollback {release} [^`]*)`", result.err)
    subprocess.run(shlex.split(line), env=ddhelm.environment, check=True, capture_output=True, timeout=60)


def test_a_stalled_first_install_and_an_upgrade_with_no_rollback_are_kept_and_explained(cluster: Clusters) -> None:
    """The cause is a quota: no pod exists that could tell."""
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    sandbox.kubectl("create", "namespace", "datadog")
    sandbox.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")
    sandbox.kubectl("create", "quota", "small", "--hard=pods=2", "-n", "datadog")
    began = time.monotonic()
    failed = ddhelm.onboard("--timeout", "8s", code=4)
    assert time.monotonic() - began < BOUND
    assert "`small`" in failed.err
    assert f"release `{WORKER}` is kept as it is (a first install)" in failed.err
    assert heads(sandbox) == {WORKER: (1, "deployed"), CONTROL_PLANE: (1, "deployed")}
    assert holder(sandbox) == ""
    again = ddhelm.onboard("--timeout", "8s", code=4, key=None)
    assert "the roll-out" in again.err, "a second run changes nothing, and agents are missing all the same"
    assert heads(sandbox) == {WORKER: (1, "deployed"), CONTROL_PLANE: (1, "deployed")}
    sandbox.kubectl("delete", "quota", "small", "-n", "datadog")
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    assert healthy(ddhelm), "it has waited until the controllers had tried again"

    sandbox.simulate("control-plane-1", **NO_SECRET)
    kept = ddhelm.onboard("--control-plane-set", "datadog.tags={new:tag}", "--timeout", "8s", "--no-rollback", code=4)
    assert f"release `{CONTROL_PLANE}` is kept as it is (--no-rollback)" in kept.err
    assert heads(sandbox)[CONTROL_PLANE] == (2, "deployed")
    mend(sandbox, "control-plane-1")
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    wait_for(lambda: healthy(ddhelm), 60, "the agent that was mended")
    assert "new:tag" in ddhelm("values", "control-plane").out


@pytest.mark.matrix  # test_drift.py: the plan over a failed upgrade takes away what it added
@each_helm("3.22", "4.3")
def test_what_a_failed_revision_added_goes_before_the_next_upgrade(cluster: Clusters, helm_version: str) -> None:
    """Helm itself compares with the last deployed revision only, and would leave it in the cluster for ever."""
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    confd = f"/api/v1/namespaces/datadog/configmaps/{WORKER}-datadog-confd"
    for node in TWO_WORKERS:
        sandbox.simulate(node, **NO_SECRET)
    by_hand = ("upgrade", WORKER, ddhelm.chart()[1], "-n", "datadog", "--reuse-values", "--wait", "--timeout", "4s")
    helm(sandbox, helm_version, *by_hand, "--set", r"datadog.confd.mine\.yaml=instances: []", code=1)
    assert heads(sandbox)[WORKER] == (2, "failed")
    assert sandbox.api.find(confd)
    mend(sandbox, *TWO_WORKERS)
    shown = ddhelm("plan", *ddhelm.chart())
    assert "rollback" in shown.out
    assert_usable(ddhelm)
    assert not sandbox.api.find(confd)


# --- ^C --------------------------------------------------------------------------------------------------------------


@dataclass
class Running:
    """A ddhelm that was started and not waited for."""

    process: subprocess.Popen[str]

    def ends(self, code: int, timeout: float = 60) -> Result:
        out, err = self.process.communicate(timeout=timeout)
        result = Result(self.process.returncode, out, err)
        assert result.code == code, str(result)
        assert "Traceback" not in err, str(result)
        return result


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Starts `onboard --yes` with the chart under test; what still runs at the end is killed."""
    with ExitStack() as stack:

        def onboard(ddhelm: Ddhelm, *flags: str) -> Running:
            line = [sys.executable, "-m", "ddhelm", "onboard", "--yes", *ddhelm.chart(), *flags]
            process = subprocess.Popen(
                line,
                env={**ddhelm.environment, "DD_API_KEY": API_KEY, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ddhelm.sandbox.kubeconfig.parent,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Running(process)

        yield onboard


def slow_helm(ddhelm: Ddhelm, folder: Path, *flags: str) -> Path:
    """Have helm's upgrades wait for pods, so that a revision is pending for a while; a file with their pids."""
    real = which("helm", path=ddhelm.environment["PATH"])
    assert real is not None
    (folder / "bin").mkdir()
    script, pids = folder / "bin" / "helm", folder / "pids"
    wait = shlex.join(flags)
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = upgrade ]; then echo $$ >> {pids}; exec {real} "$@" {wait}; fi\nexec {real} "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    ddhelm.environment["PATH"] = f"{script.parent}:{ddhelm.environment['PATH']}"
    return pids


def pending(sandbox: Sandbox, release: str = WORKER) -> bool:
    return heads(sandbox).get(release, (0, ""))[1].startswith("pending-")


@pytest.mark.parametrize(
    ("helm_version", "number"),
    [
        ("3.22", signal.SIGINT),
        ("4.3", signal.SIGTERM),
        pytest.param("4.3", signal.SIGINT, marks=pytest.mark.matrix),
        pytest.param("3.22", signal.SIGHUP, marks=pytest.mark.matrix),
    ],
)
def test_an_interruption_during_helms_upgrade_is_told_and_the_next_run_goes_on(
    cluster: Clusters, start: Start, tmp_path: Path, helm_version: str, number: signal.Signals
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    path = ddhelm.environment["PATH"]
    slow_helm(ddhelm, tmp_path, "--wait")
    for node in TWO_WORKERS:
        sandbox.simulate(node, ready_after="120s")
    running = start(ddhelm)
    wait_for(lambda: pending(sandbox), 60, "a pending revision")
    running.process.send_signal(number)
    told = running.ends(130)
    assert "error: interrupted" in told.err
    status = records.status(sandbox, WORKER, 1)  # not the label's: Helm 3 may leave another one there
    assert status in {"failed", "pending-install"}
    assert f"release `{WORKER}`: revision 1 is `{status}`" in told.err, told
    assert f"release `{CONTROL_PLANE}` does not exist" in told.err
    assert "namespace `datadog` was made" in told.err
    (run,) = recorded(sandbox)
    assert (run["outcome"], run["exitCode"]) == ("interrupted", 130)
    assert run["changes"][-1] == {"what": "install", "release": WORKER}
    assert holder(sandbox) == ""
    ddhelm.environment["PATH"] = path
    mend(sandbox, *TWO_WORKERS)
    assert_usable(ddhelm)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.matrix)])
def test_an_interruption_of_the_roll_out_says_that_both_releases_stand(
    cluster: Clusters, start: Start, number: signal.Signals
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    sandbox.simulate("worker-1", ready_after="120s")
    running = start(ddhelm, *TAG)
    wait_for(lambda: heads(sandbox)[CONTROL_PLANE] == (2, "deployed"), 60, "both upgrades")
    second = ddhelm.onboard("--site", "datadoghq.eu", code=5, key=None)
    assert f"(pid {running.process.pid})" in second.err, "two at once: the second names the first"
    assert heads(sandbox) == {WORKER: (2, "deployed"), CONTROL_PLANE: (2, "deployed")}
    running.process.send_signal(number)
    told = running.ends(130)
    assert f"release `{WORKER}`: revision 2 is `deployed`" in told.err
    assert f"release `{CONTROL_PLANE}`: revision 2 is `deployed`" in told.err
    assert "before anything was changed" not in told.err
    run = recorded(sandbox)[-1]
    assert (run["outcome"], run["changes"][-1]["revision"]) == ("interrupted", 2)
    assert holder(sandbox) == ""
    mend(sandbox, "worker-1")
    assert_usable(ddhelm)


# --- several writers -------------------------------------------------------------------------------------------------


def test_a_run_that_waited_for_the_lock_does_not_carry_out_an_old_plan(cluster: Clusters, start: Start) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "3.22")
    ddhelm.onboard()
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    held = {"holderIdentity": "anna@elsewhere (pid 1)", "acquireTime": now, "renewTime": now}
    sandbox.loader.merge(LEASE, {"spec": held})
    late = start(ddhelm, "--site", "datadoghq.eu", "--lock-timeout", "90s")
    assert late.process.stdout is not None
    assert any("checks hold" in line for line in late.process.stdout), "it has planned and waits"
    helm(sandbox, "3.22", "upgrade", WORKER, ddhelm.chart()[1], "-n", "datadog", "--reuse-values")
    sandbox.loader.merge(LEASE, {"spec": {"holderIdentity": ""}})
    told = late.ends(5)
    assert f"release `{WORKER}` has moved since the plan was made: revision 2 is `deployed`" in told.err
    assert heads(sandbox) == {WORKER: (2, "deployed"), CONTROL_PLANE: (1, "deployed")}


def test_a_killed_run_holds_the_lock_until_it_expires_and_is_then_recovered(
    cluster: Clusters, start: Start, tmp_path: Path
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    path = ddhelm.environment["PATH"]
    pids = slow_helm(ddhelm, tmp_path, "--wait")
    for node in TWO_WORKERS:
        sandbox.simulate(node, ready_after="120s")
    running = start(ddhelm, *TAG)
    wait_for(lambda: pending(sandbox), 60, "a pending revision")
    kill(running.process.pid, int(pids.read_text()))
    running.process.communicate()
    ddhelm.environment["PATH"] = path
    mend(sandbox, *TWO_WORKERS)
    refused = ddhelm.onboard(code=5, key=None)
    assert f"(pid {running.process.pid})" in refused.err
    assert "a run died at its work and still holds the lock" in refused.err
    assert "ddhelm unlock" in refused.err
    assert pending(sandbox)
    long_ago = {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}
    sandbox.loader.merge(LEASE, long_ago)
    assert "has ended" in ddhelm("unlock", "--yes").out
    assert "rollback" in assert_usable(ddhelm).out
    assert "new:tag" not in ddhelm("values", "worker").out


def kill(*pids: int) -> None:
    for pid in pids:
        subprocess.run(["kill", "-9", str(pid)], check=True)


def _writes(sandbox: Sandbox) -> int:
    """How many writes the audit log has, once it grows no more: what a killed helm had sent last may come late."""
    found = -1
    while (now := len(sandbox.writes())) != found:
        found = now
        time.sleep(0.3)
    return found


@each_helm("3.22", matrix=["4.3"])
def test_a_pending_head_of_somebody_else_is_busy_while_young_and_recovered_when_old(
    cluster: Clusters, tmp_path: Path, helm_version: str
) -> None:
    """An upgrade and a first install, killed with SIGKILL as they waited; no Lease names their writers."""
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard("--only", "worker")
    sandbox.loader.delete(LEASE)
    stuck = (*TWO_WORKERS, "control-plane-1", "control-plane-2")
    for node in stuck:
        sandbox.simulate(node, ready_after="120s")
    values = tmp_path / "values.yaml"
    values.write_text(
        "{datadog: {apiKeyExistingSecret: ddhelm, operator: {enabled: false}}, clusterAgent: {enabled: false}}"
    )
    common = ("-n", "datadog", "--wait", ddhelm.chart()[1])
    abandoned(ddhelm, WORKER, "upgrade", WORKER, *common, "--reuse-values", *TAG)
    writes = _writes(sandbox)
    young = ddhelm.onboard(code=1, key=None)
    assert f"release `{WORKER}` is busy: revision 2 is `pending-upgrade`" in young.err
    assert f"release `{WORKER}` is busy" in ddhelm("uninstall", "--yes", code=1).err
    assert _writes(sandbox) == writes
    abandoned(ddhelm, CONTROL_PLANE, "install", CONTROL_PLANE, *common, "-f", str(values))
    for release, revision in ((WORKER, 2), (CONTROL_PLANE, 1)):
        records.age(sandbox, release, revision, seconds=3600)
    mend(sandbox, *stuck)
    shown = assert_usable(ddhelm)
    assert "rollback" in shown.out
    assert "uninstall" in shown.out


def abandoned(ddhelm: Ddhelm, release: str, *arguments: str) -> None:
    """Start helm, wait until its revision is pending, and kill it."""
    process = subprocess.Popen(["helm", *arguments], env=ddhelm.environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: pending(ddhelm.sandbox, release), 60, "a pending revision")
    finally:
        process.kill()
        process.wait()


# --- what Kubernetes would refuse ------------------------------------------------------------------------------------


def test_what_the_api_would_refuse_stops_an_upgrade_before_helm_runs(cluster: Clusters) -> None:
    """A selector that may not change, a field that another manager owns; a repair or `--force-conflicts` takes it back.

    Replicas scaled by hand are no repair; the plan of an upgrade says what becomes of them.
    """
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    before = heads(sandbox)
    writes = len(sandbox.writes())
    refused = ddhelm.onboard("--set", "agents.podLabels.team=a", code=3, key=None)
    assert "selector" in refused.err
    assert f"{WORKER}-datadog" in refused.err
    assert heads(sandbox) == before
    assert len(sandbox.writes()) == writes

    ours = image(sandbox)
    foreign(sandbox)
    standing = generations(sandbox)
    refused = ddhelm.onboard(*TAG, code=3, key=None)
    assert "`kubectl-set`" in refused.err
    assert "image" in refused.err
    assert "--force-conflicts" in refused.err
    assert generations(sandbox) == standing
    assert heads(sandbox) == before
    assert "repair" in ddhelm.onboard(key=None).out
    assert image(sandbox) == ours

    cluster_agent = f"{WORKER}-datadog-cluster-agent"
    sandbox.kubectl("-n", "datadog", "scale", "deployment", cluster_agent, "--replicas=2")
    before = heads(sandbox)
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    planned = ddhelm("plan", "--no-logs", code=3)
    assert "has 2 replicas and gets 1" in planned.out
    assert f"~ Deployment datadog/{cluster_agent} (restore)\n      spec.replicas: 2 → 1" in planned.out
    assert ".spec.replicas" in planned.err
    assert heads(sandbox) == before
    foreign(sandbox)
    ddhelm.onboard(*TAG, "--force-conflicts", key=None)
    assert image(sandbox) == ours
    deployment = sandbox.api_get(f"/apis/apps/v1/namespaces/datadog/deployments/{cluster_agent}")
    assert deployment["spec"]["replicas"] == 1
    assert_usable(ddhelm)


@pytest.mark.matrix  # test_drift.py: a plan says what becomes of each field, and that is what happens
def test_helm_3_knows_no_conflicts_and_an_upgrade_takes_the_field_back(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "3.22")
    ddhelm.onboard()
    ours = image(sandbox)
    foreign(sandbox)
    ddhelm.onboard(*TAG, key=None)
    ddhelm.onboard(key=None)
    assert image(sandbox) == ours
    assert "Nothing to do" in ddhelm.onboard(key=None).out


def foreign(sandbox: Sandbox) -> None:
    daemonset = f"daemonset/{WORKER}-datadog"
    sandbox.kubectl("set", "image", daemonset, "agent=example.org/agent:0", "-n", "datadog")


def image(sandbox: Sandbox) -> str:
    found: Json = sandbox.api_get(f"/apis/apps/v1/namespaces/datadog/daemonsets/{WORKER}-datadog")
    containers = found["spec"]["template"]["spec"]["containers"]
    return next(str(each["image"]) for each in containers if each["name"] == "agent")


# --- an API server that goes away ------------------------------------------------------------------------------------


def test_an_api_server_that_dies_during_the_roll_out_is_waited_for(cluster: Clusters, start: Start) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "3.22")
    sandbox.simulate("worker-1", ready_after="6s")
    running = start(ddhelm)
    wait_for(lambda: heads(sandbox).get(CONTROL_PLANE) == (1, "deployed"), 60, "both installs")
    sandbox.kill("kube-apiserver")
    sandbox.restart("kube-apiserver")
    running.ends(0, timeout=120)
    assert holder(sandbox) == ""


@pytest.mark.matrix  # helm itself tries for a minute
def test_an_api_server_that_dies_under_helm_is_told_and_the_next_run_goes_on(
    cluster: Clusters, start: Start, tmp_path: Path
) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    path = ddhelm.environment["PATH"]
    slow_helm(ddhelm, tmp_path, "--wait", "--timeout", "20s")
    sandbox.simulate("worker-1", ready_after="120s")
    running = start(ddhelm, *TAG)
    wait_for(lambda: pending(sandbox), 60, "a pending revision")
    sandbox.kill("kube-apiserver")
    told = running.ends(1, timeout=120)
    assert "127.0.0.1" in told.err
    assert f"helm rollback {WORKER} 1 " in told.err
    sandbox.restart("kube-apiserver")
    ddhelm.environment["PATH"] = path
    mend(sandbox, "worker-1")
    renewed = seconds(sandbox.api_get(LEASE)["spec"]["renewTime"])
    sandbox.loader.merge(LEASE, {"spec": {"leaseDurationSeconds": int(time.time() - renewed)}})  # it ends now
    assert_usable(ddhelm)
