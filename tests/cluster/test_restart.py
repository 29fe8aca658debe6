"""A restart on a real cluster: every pod is new afterwards, and nobody takes the annotation for a change."""

import subprocess

import pytest

from ddhelm.actions import lock, restart
from ddhelm.actions.carry_out import How
from ddhelm.actions.session import Session
from ddhelm.actions.watch import Clock
from ddhelm.errors import PreflightFailed
from tests.cluster.driver import SMALL, Ddhelm, generations, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.test_rollout import hurried
from tests.sandbox.build import tool
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox

AGENT, CLUSTER_AGENT = f"{WORKER}-datadog", f"{WORKER}-datadog-cluster-agent"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, cluster: Clusters) -> Session:
    monkeypatch.setenv("PATH", str(tool("kubectl").parent), prepend=":")
    return Session.open(kubeconfig=str(cluster(SMALL).kubeconfig))


def pods(sandbox: Sandbox) -> dict[str, set[str]]:
    """Workload (its `app` label) to the uids of its pods; one that is going is the old one of a Deployment."""
    found: dict[str, set[str]] = {}
    for pod in sandbox.api_get("/api/v1/namespaces/datadog/pods")["items"]:
        if "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["metadata"]["labels"]["app"], set()).add(pod["metadata"]["uid"])
    return found


def restarted(session: Session, names: set[str], clock: Clock | None = None) -> None:
    """Restart the workloads of these names; they must end well."""
    wanted = [each for each in restart.running(session) if each.target.name in names]
    how = How() if clock is None else How(timeout=100, clock=clock)
    with lock.held(session.kubectl, "datadog", now=how.now, sleep=how.clock.sleep) as lease:
        watched = restart.restart(session, wanted, lease=lease, how=how)
    if not watched.ok:
        raise watched.failure()


@each_helm("3.22", matrix=["4.3"])
def test_named_workloads_get_new_pods_the_annotation_is_no_change_and_what_replaces_no_pod_is_refused(
    cluster: Clusters, session: Session, helm_version: str
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    before = pods(sandbox)
    known = restart.running(session)
    assert [each.target.name for each in known] == [AGENT, CLUSTER_AGENT, f"{CONTROL_PLANE}-datadog"]
    assert [each.restarted for each in known] == ["", "", ""]
    assert all(each.reads("ddhelm", "api-key") and each.reads("ddhelm", "token") for each in known)
    assert not any(each.reads("ddhelm", "app-key") for each in known)

    restarted(session, {AGENT, CLUSTER_AGENT})
    after = pods(sandbox)
    assert {name for name in after if not after[name] & before[name]} == {AGENT, CLUSTER_AGENT}
    assert [bool(each.restarted) for each in restart.running(session)] == [True, True, False]
    again = pods(sandbox)
    restarted(session, {AGENT})
    assert not pods(sandbox)[AGENT] & again[AGENT], "a second restart is one"

    standing, made = generations(sandbox), revisions(sandbox)
    assert "no drift" in ddhelm("drift").out
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    assert (generations(sandbox), revisions(sandbox)) == (standing, made)
    ddhelm.onboard("--set", "datadog.tags={a:b}", key=None)
    assert [bool(each.restarted) for each in restart.running(session)] == [True, True, False], "an upgrade keeps it"
    assert "no drift" in ddhelm("drift").out

    standing = generations(sandbox)
    sandbox.kubectl("-n", "datadog", "rollout", "pause", f"deployment/{CLUSTER_AGENT}")
    with pytest.raises(PreflightFailed, match="is paused") as refused:
        restarted(session, {AGENT, CLUSTER_AGENT})
    assert generations(sandbox)[f"daemonsets/{AGENT}"] == standing[f"daemonsets/{AGENT}"], "nothing was half done"
    subprocess.run(
        refused.value.hint.split(),
        env=sandbox.environment(helm=helm_version),
        check=True,
        capture_output=True,
        timeout=60,
    )
    sandbox.simulate("worker-1", never_ready="CreateContainerConfigError", message='secret "ddhelm" not found')
    with pytest.raises(Exception, match='secret "ddhelm" not found') as stalled:
        restarted(session, {AGENT, CLUSTER_AGENT}, hurried())
    assert type(stalled.value).__name__ == "RolloutFailed"
