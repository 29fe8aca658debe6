"""How a status looks: short when all is well, and every exception named with what to type."""

import json
from typing import Any

from inline_snapshot import snapshot

from ddhelm import workloads
from ddhelm.actions.promises import (
    Problem,
    ReleaseLine,
    WorkloadLine,
    of_coverage,
    of_others,
    of_releases,
    of_workloads,
)
from ddhelm.actions.status import Status
from ddhelm.coverage import Blame, Coverage, Verdict
from ddhelm.facts import Unread
from ddhelm.nodes import Node
from ddhelm.pools import Pool, pools
from ddhelm.proof import ForeignAgent
from ddhelm.release import Release, Role
from ddhelm.views import console, envelope, status
from tests.unit import apitrees as api

WORKER = Release(Role.WORKER, "worker-node-ddagent", "datadog")
CONTROL_PLANE = Release(Role.CONTROL_PLANE, "control-plane-ddagent", "datadog")
TAINT = Blame("taint", "taint `dedicated=gpu:NoSchedule`, not tolerated", "--tolerate x")


def node(name: str, **labels: str) -> Node:
    return Node(
        name=name,
        labels={key.replace("_", "/"): value for key, value in labels.items()},
        annotations={},
        taints=(),
        unschedulable=False,
        provider_id="",
        os_image="",
        container_runtime="",
        kubelet_version="",
        architecture="amd64",
        operating_system="linux",
        ready=True,
        address="",
    )


NODES = (node("cp-1"), node("w-1"), node("w-2"))
ALL_COVERED = Coverage(
    (
        Verdict("cp-1", ("control-plane-ddagent",)),
        Verdict("w-1", ("worker-node-ddagent",)),
        Verdict("w-2", ("worker-node-ddagent",)),
    )
)


def line(release: Release, **changed: Any) -> ReleaseLine:
    usual: dict[str, Any] = {
        "installed": True,
        "revision": 3,
        "status": "deployed",
        "deployed": 3,
        "chart": "datadog-3.240.0",
        "app_version": "7",
        "updated": "2026-11-24T03:15:24.145205159Z",
        "description": "Upgrade complete",
    }
    return ReleaseLine(release, **{**usual, **changed})


def work(tree: Any | None, release: Release = WORKER, name: str = api.WORKER, kind: str = "DaemonSet") -> WorkloadLine:
    live = workloads.workload(tree) if tree else None
    return WorkloadLine(release.name, kind, name, live, agents=kind == "DaemonSet")


def found(**changed: Any) -> Status:
    usual: dict[str, Any] = {
        "context": "prod",
        "server": "https://10.0.0.1:6443",
        "namespace": "datadog",
        "distribution": "kubeadm",
        "releases": (line(WORKER), line(CONTROL_PLANE, revision=2)),
        "workloads": (
            work(api.daemonset(desired=2)),
            work(api.deployment(), name=api.CLUSTER_AGENT, kind="Deployment"),
            work(api.daemonset(api.CONTROL_PLANE, desired=1), CONTROL_PLANE, api.CONTROL_PLANE),
        ),
        "coverage": ALL_COVERED,
        "pools": pools(ALL_COVERED, NODES),
    }
    return Status(**{**usual, **changed})


def shown(value: Status, width: int = 120) -> str:
    screen = console.fixed(width=width)
    status.table(value, screen)
    return console.text(screen)


def test_a_healthy_pair_is_three_short_blocks() -> None:
    healthy = found()
    assert healthy.exit_code == 0
    assert shown(healthy) == snapshot("""\
context `prod`, namespace `datadog`, distribution `kubeadm`

RELEASE                REVISION  STATUS    CHART            APP VERSION  UPDATED
worker-node-ddagent           3  deployed  datadog-3.240.0  7            2026-11-24 03:15Z
control-plane-ddagent         2  deployed  datadog-3.240.0  7            2026-11-24 03:15Z

WORKLOAD                                          READY  UP-TO-DATE  STATE
ds/worker-node-ddagent-datadog                      2/2           2  ✓ ready
deploy/worker-node-ddagent-datadog-cluster-agent    1/1           1  ✓ ready
ds/control-plane-ddagent-datadog                    1/1           1  ✓ ready

✓ 3 of 3 nodes run exactly one agent\
""")


def test_releases_of_two_charts_are_a_remark_and_no_fault() -> None:
    """As after a run that was killed between the releases, or a rollback of the run that finished it."""
    (remark,) = of_releases((line(WORKER), line(CONTROL_PLANE, chart="datadog-3.157.2")), frozenset(Role))
    assert not remark.fatal
    assert "`worker-node-ddagent` of datadog-3.240.0, `control-plane-ddagent` of datadog-3.157.2" in remark.text
    assert of_releases((line(WORKER), line(CONTROL_PLANE)), frozenset(Role)) == []


def test_pods_of_another_daemonset_of_the_release_are_no_missing_agents() -> None:
    csi = WorkloadLine(
        WORKER.name, "DaemonSet", "csi", workloads.workload(api.daemonset("csi", desired=2, available=0))
    )
    healthy = found()
    assert healthy.running == 3
    assert found(workloads=(*healthy.workloads, csi)).running == 3
    late = work(api.daemonset(desired=2, available=1))
    assert found(workloads=(late,)).running == 2


def test_every_exception_is_named_with_what_to_type() -> None:
    uncovered = Coverage((*ALL_COVERED.verdicts[:2], Verdict("w-2", (), ("worker-node-ddagent",), TAINT)))
    groups = pools(uncovered, NODES)
    releases = (line(WORKER, status="failed", deployed=2, description="context deadline exceeded"), line(CONTROL_PLANE))
    lines = (work(api.daemonset(desired=2, available=1)), work(None, CONTROL_PLANE, api.CONTROL_PLANE))
    other = ForeignAgent("DaemonSet", "agent", "monitoring", "Helm release `old` in namespace `monitoring`", 3)
    problems = (
        *of_releases(releases, frozenset(Role)),
        *of_workloads(lines),
        *of_coverage(groups),
        *of_others([other], allowed=False),
        Problem("a note", fatal=False),
    )
    value = found(
        releases=releases,
        workloads=lines,
        coverage=uncovered,
        pools=groups,
        others=(other,),
        problems=problems,
    )
    assert value.exit_code == 4
    assert shown(value) == snapshot("""\
context `prod`, namespace `datadog`, distribution `kubeadm`

RELEASE                REVISION  STATUS    CHART            APP VERSION  UPDATED
worker-node-ddagent           3  failed    datadog-3.240.0  7            2026-11-24 03:15Z
control-plane-ddagent         3  deployed  datadog-3.240.0  7            2026-11-24 03:15Z

WORKLOAD                          READY  UP-TO-DATE  STATE
ds/worker-node-ddagent-datadog      1/2           2  ! 1 to come
ds/control-plane-ddagent-datadog      -           -  ✗ gone

✗ 1 of 3 nodes run exactly one agent
✗ release `worker-node-ddagent` revision 3 is `failed` (context deadline exceeded); revision 2 is the last that was
deployed
  hint: ddhelm onboard
✗ DaemonSet `control-plane-ddagent-datadog` is gone; the manifest of `control-plane-ddagent` has it
  hint: ddhelm onboard
✗ no agent on `w-2`: taint `dedicated=gpu:NoSchedule`, not tolerated; one that still runs there does not come back after
a restart
  hint: ddhelm onboard --tolerate x
✗ another Datadog agent: DaemonSet `monitoring/agent` on 3 nodes, owner: Helm release `old` in namespace `monitoring`
  hint: remove it, or accept it: ddhelm onboard --allow-second-agent
! a note\
""")


def test_what_could_not_be_read_is_said_and_is_neither_good_nor_bad() -> None:
    blind = found(coverage=None, pools=(), unread=(Unread("nodes", "the nodes", "User `x` cannot list nodes"),))
    assert blind.exit_code == 1
    assert shown(blind).splitlines()[-1] == snapshot("✗ could not be read: the nodes: User `x` cannot list nodes")
    worse = found(unread=blind.unread, problems=(Problem("x is gone"),))
    assert worse.exit_code == 4


def test_agents_that_are_not_ready_do_not_count_as_running() -> None:
    late = found(workloads=(work(api.daemonset(desired=2, available=1)),))
    assert late.running == 2
    assert "2 of 3 nodes run exactly one agent" in shown(late)


def test_accepted_and_passing_gaps_are_told_and_do_not_alarm() -> None:
    verdicts = (
        ALL_COVERED.verdicts[0],
        Verdict("w-1", (), accepted=True),
        Verdict("w-2", (), transient=True, blame=Blame("transient", "taint `node.kubernetes.io/not-ready:NoSchedule`")),
    )
    groups = pools(Coverage(verdicts), NODES)
    value = found(coverage=Coverage(verdicts), pools=groups, problems=tuple(of_coverage(groups)))
    assert value.exit_code == 0
    told = "1 of 3 nodes run exactly one agent (1 without one as accepted, 1 not yet)"
    assert f"! {told}" in shown(value)
    settled = found(coverage=Coverage(verdicts[:2]), pools=groups[:1], problems=())
    assert "✓ 1 of 2 nodes run" in shown(settled)
    bare = Coverage((*verdicts, Verdict("w-3", (), blame=TAINT)))
    assert "✗ 1 of 4 nodes run" in shown(found(coverage=bare))


def test_two_agents_on_a_node_are_never_fine() -> None:
    double = Coverage((Verdict("w-1", ("a", "b")),))
    groups = pools(double, (node("w-1"),))
    (problem,) = of_coverage(groups)
    assert problem.fatal
    assert problem.text == "more than one agent on `w-1`: a and b"


def test_a_second_agent_that_was_accepted_is_told_and_does_not_alarm() -> None:
    other = ForeignAgent("DaemonSet", "agent", "monitoring", "nobody known", 3)
    assert [each.fatal for each in of_others([other], allowed=True)] == [False]
    assert [each.fatal for each in of_others([other], allowed=False)] == [True]


def test_a_large_pool_is_one_line() -> None:
    many = tuple(node(f"n{i:04}") for i in range(5000))
    bare = Coverage(tuple(Verdict(each.name, (), blame=TAINT) for each in many))
    (problem,) = of_coverage(pools(bare, many))
    said = problem.text.partition(":")[0]
    assert said == snapshot("no agent on `n0000`, `n0001`, `n0002`, `n0003`, `n0004` and 4995 more nodes")


def test_nodes_with_a_reason_each_do_not_fill_the_screen() -> None:
    many = tuple(node(f"n{i:04}") for i in range(5000))
    bare = Coverage(tuple(Verdict(each.name, (), blame=Blame("label", f"`host={each.name}`")) for each in many))
    found = of_coverage(pools(bare, many))
    assert len(found) == 11
    assert found[-1] == Problem("the like of it on 4990 more nodes", "ddhelm status -o json names each")


def test_names_are_never_cut_on_a_narrow_terminal() -> None:
    text = "".join(shown(found(), width=60).split())
    assert "…" not in text


def test_programs_get_the_same_in_a_versioned_envelope() -> None:
    tree = status.json(found(problems=(Problem("x", "y"),)))
    assert json.loads(envelope.text(tree, "json")) == tree
    assert tree == snapshot(
        {
            "apiVersion": "ddhelm/v1",
            "kind": "Status",
            "data": {
                "context": "prod",
                "server": "https://10.0.0.1:6443",
                "namespace": "datadog",
                "distribution": "kubeadm",
                "healthy": False,
                "exitCode": 4,
                "releases": [
                    {
                        "name": "worker-node-ddagent",
                        "role": "worker",
                        "installed": True,
                        "revision": 3,
                        "status": "deployed",
                        "deployedRevision": 3,
                        "chart": "datadog-3.240.0",
                        "appVersion": "7",
                        "updated": "2026-11-24T03:15:24.145205159Z",
                        "description": "Upgrade complete",
                    },
                    {
                        "name": "control-plane-ddagent",
                        "role": "control-plane",
                        "installed": True,
                        "revision": 2,
                        "status": "deployed",
                        "deployedRevision": 3,
                        "chart": "datadog-3.240.0",
                        "appVersion": "7",
                        "updated": "2026-11-24T03:15:24.145205159Z",
                        "description": "Upgrade complete",
                    },
                ],
                "workloads": [
                    {
                        "release": "worker-node-ddagent",
                        "kind": "DaemonSet",
                        "name": "worker-node-ddagent-datadog",
                        "exists": True,
                        "desired": 2,
                        "upToDate": 2,
                        "ready": 2,
                        "available": 2,
                        "misscheduled": 0,
                        "settled": True,
                    },
                    {
                        "release": "worker-node-ddagent",
                        "kind": "Deployment",
                        "name": "worker-node-ddagent-datadog-cluster-agent",
                        "exists": True,
                        "desired": 1,
                        "upToDate": 1,
                        "ready": 1,
                        "available": 1,
                        "misscheduled": 0,
                        "settled": True,
                    },
                    {
                        "release": "control-plane-ddagent",
                        "kind": "DaemonSet",
                        "name": "control-plane-ddagent-datadog",
                        "exists": True,
                        "desired": 1,
                        "upToDate": 1,
                        "ready": 1,
                        "available": 1,
                        "misscheduled": 0,
                        "settled": True,
                    },
                ],
                "etcdCertificate": None,
                "coverage": {
                    "running": 3,
                    "nodes": 3,
                    "exactlyOne": 3,
                    "doubled": 0,
                    "uncovered": 0,
                    "accepted": 0,
                    "transient": 0,
                    "untilRestart": 0,
                    "exceptions": [],
                    "pools": [
                        {
                            "name": "",
                            "roles": [],
                            "nodes": 2,
                            "examples": ["w-1", "w-2"],
                            "releases": ["worker-node-ddagent"],
                            "taints": [],
                            "os": "linux",
                            "arch": "amd64",
                            "why": "",
                        },
                        {
                            "name": "",
                            "roles": [],
                            "nodes": 1,
                            "examples": ["cp-1"],
                            "releases": ["control-plane-ddagent"],
                            "taints": [],
                            "os": "linux",
                            "arch": "amd64",
                            "why": "",
                        },
                    ],
                },
                "otherAgents": [],
                "problems": [{"text": "x", "hint": "y", "fatal": True}],
                "unread": [],
            },
        }
    )


def test_every_status_of_helm_but_deployed_is_a_problem() -> None:
    for state, hint in (
        ("failed", "ddhelm onboard"),
        ("pending-upgrade", "ddhelm onboard"),
        ("uninstalling", "ddhelm uninstall"),
    ):
        (problem,) = of_releases([line(WORKER, status=state, revision=4, deployed=3)], frozenset())
        assert problem.fatal
        assert f"`{state}`" in problem.text
        assert problem.hint == hint
    assert of_releases([line(WORKER)], frozenset(Role)) == []


def test_a_release_that_this_cluster_does_not_need_is_not_missed() -> None:
    assert of_releases([ReleaseLine(CONTROL_PLANE)], frozenset({Role.WORKER})) == []
    assert len(of_releases([ReleaseLine(WORKER)], frozenset({Role.WORKER}))) == 1


def test_a_pool_is_told_by_name_role_or_node() -> None:
    from ddhelm.views import coverage

    groups: tuple[Pool, ...] = pools(
        Coverage(
            (
                Verdict("a", ("r",)),
                Verdict("b", ("r",)),
                Verdict("c", (), blame=TAINT),
                Verdict("d", ("r", "s"), port_clash=("8126/tcp",)),
                Verdict("e", (), accepted=True),
            )
        ),
        (
            node("a", agentpool="gpu"),
            node("b", **{"node-role.kubernetes.io_control-plane": ""}),
            node("c"),
            node("d"),
            node("e"),
        ),
    )
    screen = console.fixed(width=140)
    coverage.table(groups, screen)
    assert console.text(screen) == snapshot("""\
POOL  ROLE           NODES  AGENTS  RELEASE  WHY
d     worker             1     2 ✗  r, s     both want host port 8126/tcp
c     worker             1     0 ✗  -        taint `dedicated=gpu:NoSchedule`, not tolerated
e     worker             1     0 !  -        accepted
b     control-plane      1     1 ✓  r
gpu   worker             1     1 ✓  r
  hint: --tolerate x\
""")


def test_a_release_without_a_node_is_a_failure_only_where_some_node_goes_without_an_agent() -> None:
    empty = work(api.daemonset(desired=0))

    (alone,) = of_workloads([empty])

    assert alone.fatal
    assert of_workloads([empty], covered=True) == []


def test_on_a_single_node_the_release_without_a_node_is_as_intended() -> None:
    one = Coverage((Verdict("cp-1", ("control-plane-ddagent",)),))
    empty = work(api.daemonset(desired=0))
    agent = work(api.daemonset(api.CONTROL_PLANE, desired=1), CONTROL_PLANE, api.CONTROL_PLANE)
    told = shown(found(workloads=(empty, agent), coverage=one, pools=pools(one, NODES[:1])))
    assert "no node is its own" in told
    assert "✓ 1 of 1 node runs exactly one agent" in told
    assert "✗" not in told
    some = found(workloads=(empty, agent), coverage=ALL_COVERED, pools=())
    assert "✗ wants no node" in shown(some)


def test_the_pair_in_another_namespace_is_shown_and_not_to_be_removed() -> None:
    owner = "Helm release `worker-node-ddagent` in namespace `elsewhere`"
    (problem,) = of_others([ForeignAgent("DaemonSet", "agent", "elsewhere", owner, 5)], allowed=False)
    assert problem.fatal
    assert problem.hint.startswith("ddhelm status -n elsewhere ")
