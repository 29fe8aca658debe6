"""How agents are found and asked: pages of pods, the files that a release promises, and each way of not answering."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ddhelm.access import Access
from ddhelm.actions import agentpods, verify
from ddhelm.actions.watch import Clock
from ddhelm.answers import Answer
from ddhelm.errors import ClusterError
from ddhelm.run import Completed, Ended
from ddhelm.verdicts import AgentPod, Kind, State
from tests.adapters.test_kubectl import ACCESS

RELEASE, APP = "control-plane-ddagent", "control-plane-ddagent-datadog"
SPACE = "/api/v1/namespaces/datadog"
GOOD = {"etcd": {"e": {"CheckName": "etcd", "TotalRuns": 1, "MetricSamples": 4}}}


def workload(name: str, container: str, release: str = RELEASE, *, files: str = "", **spec: Any) -> dict[str, Any]:
    volume = [{"name": "confd", "configMap": {"name": files}}] if files else []
    return {
        "metadata": {"name": name, "annotations": {"meta.helm.sh/release-name": release}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "spec": {
                    "containers": [{"name": container}],
                    "initContainers": [{"name": "i", "volumeMounts": [{"name": "confd", "mountPath": "/conf.d"}]}],
                    "volumes": volume,
                }
            },
            **spec,
        },
        "status": {"desiredNumberScheduled": 2},
    }


def pod(name: str, *, ready: bool = True, going: bool = False) -> dict[str, Any]:
    metadata = {"name": name, **({"deletionTimestamp": "now"} if going else {})}
    waiting = [{"name": "agent", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}}]
    return {
        "metadata": metadata,
        "spec": {"nodeName": f"node-{name}", "serviceAccountName": "sa"},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [] if ready else waiting,
        },
    }


class Cluster:
    """What a cluster holds, by path; every question that came is in ``asked``."""

    def __init__(self, answers: dict[str, Any], says: dict[str, Completed] | None = None) -> None:
        self.access: Access = ACCESS
        self.answers = answers
        self.says = says or {}
        self.asked: list[str] = []

    def raws(self, paths: Sequence[str]) -> tuple[Answer, ...]:
        self.asked += paths
        return tuple(self._answer(path) for path in paths)

    def _answer(self, path: str) -> Answer:
        if isinstance(failure := self.answers.get(path), ClusterError):
            return Answer(path, None, failure)
        parts = urlsplit(path)
        if parts.path.endswith("/pods"):
            query = parse_qs(parts.query)
            assert query["limit"] == [str(agentpods.PAGE)]
            pages = self.answers[query["labelSelector"][0]]
            number = int(query.get("continue", ["0"])[0])
            more = str(number + 1) if number + 1 < len(pages) else ""
            return Answer(path, json.dumps({"items": pages[number], "metadata": {"continue": more}}).encode())
        found = self.answers.get(path)
        return Answer(path, None if found is None else json.dumps(found).encode())

    def execs(
        self,
        wanted: Sequence[tuple[str, str, Sequence[str]]],
        ended: Ended,
        *,
        limit: int,
        namespace: str | None = None,
        timeout: float = 60,
    ) -> None:
        for index, (name, container, argv) in enumerate(wanted):
            assert (container, *argv[1:]) in {("agent", "status", "--json"), ("cluster-agent", "status", "--json")}
            ended(index, self.says[name])


def said(checks: dict[str, Any], **keys: Any) -> Completed:
    return Completed(("kubectl",), 0, json.dumps({"version": "7", "runnerStats": {"Checks": checks}, **keys}).encode())


def failed(err: str, *, late: bool = False) -> Completed:
    return Completed(("kubectl",), 1, b"", err, timed_out=late)


def one_daemonset(pages: list[list[dict[str, Any]]], files: dict[str, str], **says: Completed) -> Cluster:
    answers = {
        "/apis/apps/v1/namespaces/datadog/daemonsets": {
            "items": [
                workload(APP, "agent", files="confd"),
                workload("foreign", "agent", "someone-elses"),
                workload("csi", "csi-node-driver"),
            ]
        },
        "/apis/apps/v1/namespaces/datadog/deployments": {"items": []},
        f"{SPACE}/configmaps/confd": {"data": files},
        f"app={APP}": pages,
    }
    return Cluster(answers, says)


ETCD = {"etcd.yaml": "init_config:\ninstances:\n- prometheus_url: x\n"}


def test_only_workloads_of_the_releases_with_an_agent_in_them_are_asked() -> None:
    files = {
        **ETCD,
        "redis.yaml": "ad_identifiers: [redis]\ninstances: [{}]",
        "bad.yaml": "a: [",
        "deep.yaml": "a: " + "[" * 5000 + "]" * 5000,
        "none.yaml": "instances: []",
        "c.yaml": "cluster_check: true\ninstances: [{}]",
    }
    (group,) = agentpods.groups(one_daemonset([[]], files), [RELEASE])
    assert (group.kind, group.name, group.desired) == (Kind.NODE, APP, 2)
    assert group.promised == {"etcd": 1, "bad": 1, "deep": 1}


@pytest.mark.parametrize("there", [True, False])
def test_files_that_may_not_be_read_are_not_taken_for_none(*, there: bool) -> None:
    """An agent that collects nothing of what was promised would be well."""
    cluster = one_daemonset([[pod("a"), pod("b")]], ETCD, a=said({"cpu": {}}), b=said({"cpu": {}}))
    cluster.answers[f"{SPACE}/configmaps/confd"] = ClusterError("may not get configmaps") if there else None
    if not there:
        assert verify.verify(cluster).promised == ()
        return
    with pytest.raises(ClusterError, match="may not get configmaps"):
        verify.verify(cluster)


def test_an_evicted_pod_that_is_left_is_none_of_the_agents() -> None:
    evicted = pod("old", ready=False)
    evicted["status"] |= {"phase": "Failed", "reason": "Evicted"}
    cluster = one_daemonset([[pod("a"), pod("b"), evicted]], ETCD, a=said(GOOD), b=said(GOOD))
    assert verify.verify(cluster).exit_code == 0
    (fewer,) = verify.verify(one_daemonset([[pod("a"), evicted]], ETCD, a=said(GOOD))).findings
    assert fewer.why.kind == "no-pod"


def test_all_pages_are_read_and_pods_that_are_going_left_out() -> None:
    cluster = one_daemonset([[pod("a"), pod("b", going=True)], [pod("c", ready=False)]], ETCD)
    (group,) = agentpods.groups(cluster, [RELEASE])
    assert list(agentpods.pods(cluster, group)) == [
        AgentPod("a", "node-a", RELEASE, Kind.NODE, account="sa"),
        AgentPod("c", "node-c", RELEASE, Kind.NODE, False, "container `agent`: no such tag", "sa"),
    ]


@pytest.mark.parametrize(
    ("done", "state", "code"),
    [
        (said(GOOD), State.OK, 0),
        (said({}), State.WAITING, 6),
        (failed("", late=True), State.UNREADABLE, 1),
        (failed("env: 'agent': No such file or directory"), State.UNREADABLE, 1),
        (Completed(("kubectl",), 0, b"Agent (v7)"), State.UNREADABLE, 1),
        (failed("Make sure the agent is running"), State.WAITING, 6),
    ],
)
def test_each_way_of_answering(done: Completed, state: State, code: int) -> None:
    cluster = one_daemonset([[pod("a"), pod("b")]], ETCD, a=said(GOOD), b=done)
    found = verify.verify(cluster)
    assert [each.state for each in found.pods] == [State.OK, state]
    assert found.exit_code == code
    assert (found.failure() is None) == (code == 0)


def test_a_pod_that_is_missing_or_not_ready_is_no_matter_of_checks() -> None:
    assert verify.verify(one_daemonset([[pod("a")]], ETCD, a=said(GOOD))).exit_code == 4
    late = verify.verify(one_daemonset([[pod("a"), pod("b", ready=False)]], ETCD, a=said(GOOD)))
    assert late.exit_code == 4
    assert [each.why.kind for each in late.findings] == ["not-ready"]


def test_a_missing_right_ends_the_questions() -> None:
    denied = failed('pods "a" is forbidden: User "u" cannot create resource "pods/exec" in API group ""')
    with pytest.raises(ClusterError) as caught:
        verify.verify(one_daemonset([[pod("a"), pod("b")]], ETCD, a=denied))
    assert caught.value.anchor == "exec-forbidden"


def test_nothing_there_is_an_error() -> None:
    cluster = one_daemonset([[]], ETCD)
    cluster.access = ACCESS
    with pytest.raises(ClusterError) as caught:
        verify.verify(Cluster({}))
    assert caught.value.anchor == "nothing-to-verify"


def test_waiting_asks_only_those_again_that_have_not_begun_and_ends_in_time() -> None:
    cluster = one_daemonset([[pod("a"), pod("b")]], ETCD, a=said(GOOD), b=said({}))
    moment = 0.0
    rounds: list[list[str]] = []
    ask = cluster.execs

    def execs(wanted: Sequence[tuple[str, str, Sequence[str]]], ended: Ended, **how: Any) -> None:
        rounds.append([name for name, _, _ in wanted])
        ask(wanted, ended, **how)
        if len(rounds) == 3:
            cluster.says["b"] = said(GOOD)

    def sleep(seconds: float) -> None:
        nonlocal moment
        moment += seconds

    cluster.execs = execs  # type: ignore[method-assign]
    assert verify.verify(cluster, wait=60, clock=Clock(lambda: moment, sleep)).exit_code == 0
    assert rounds == [["a", "b"], ["b"], ["b"], ["b"]]
    cluster.says["b"], rounds[:], began = said({}), [["x"]] * 3, moment
    assert verify.verify(cluster, wait=10, clock=Clock(lambda: moment, sleep)).exit_code == 6
    assert moment - began <= 10


def test_waiting_asks_every_cluster_agent_again_until_one_leads() -> None:
    """That none leads is said of all of them; each alone is well."""
    cluster = one_daemonset([[pod("a"), pod("b")]], ETCD, a=said(GOOD), b=said(GOOD))
    leaders = workload("dca", "cluster-agent", replicas=2)
    cluster.answers["/apis/apps/v1/namespaces/datadog/deployments"] = {"items": [leaders]}
    cluster.answers["app=dca"] = [[pod("dca-1"), pod("dca-2")]]
    for name in ("dca-1", "dca-2"):
        cluster.says[name] = said({}, leaderelection={"status": "Running", "leaderName": ""})
    rounds: list[list[str]] = []
    ask, moment = cluster.execs, [0.0]

    def execs(wanted: Sequence[tuple[str, str, Sequence[str]]], ended: Ended, **how: Any) -> None:
        rounds.append([name for name, _, _ in wanted])
        ask(wanted, ended, **how)
        cluster.says["dca-2"] = said({}, leaderelection={"status": "Running", "leaderName": "dca-2"})

    cluster.execs = execs  # type: ignore[method-assign]
    clock = Clock(lambda: moment[0], lambda seconds: moment.append(moment.pop() + seconds))
    assert verify.verify(cluster, wait=60, clock=clock).exit_code == 0
    assert rounds == [["a", "b", "dca-1", "dca-2"], ["dca-1", "dca-2"]]
