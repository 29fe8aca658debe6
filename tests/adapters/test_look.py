"""What one look asks of the API server, and what it finds, with faults that no cluster can be asked to have."""

from typing import Any

import pytest

from ddhelm.actions import look
from ddhelm.actions.look import Baseline, Looker, Target
from ddhelm.errors import ClusterError
from ddhelm.reads import NODES
from ddhelm.rollout import Reading
from ddhelm.workloads import workload
from tests.adapters.apiserver import ApiServer, items
from tests.unit import apitrees as api

DAEMONSET = Target("worker-node-ddagent", "DaemonSet", api.NAMESPACE, api.WORKER)
DEPLOYMENT = Target("worker-node-ddagent", "Deployment", api.NAMESPACE, api.CLUSTER_AGENT)
FORBIDDEN = ClusterError("forbidden", anchor="forbidden")
EVENTS = f"/api/v1/namespaces/{api.NAMESPACE}/events?fieldSelector="


def pods(fields: str, app: str = api.WORKER, token: str = "") -> str:
    more = f"&continue={token}" if token else ""
    return f"/api/v1/namespaces/{api.NAMESPACE}/pods?labelSelector=app={app}&fieldSelector={fields}&limit=25{more}"


def of_deployment(server: ApiServer, *, pending: Any = None, running: Any = None, failed: Any = None) -> None:
    """What the Cluster Agent's pods are, by phase; none where nothing is said."""
    for phase, answer in (("Pending", pending), ("Running", running), ("Failed", failed)):
        server.serve(pods(f"status.phase={phase}", api.CLUSTER_AGENT), answer or items())


def failed_create(name: str = api.WORKER, kind: str = "DaemonSet") -> str:
    return f"{EVENTS}involvedObject.kind={kind},involvedObject.name={name},reason=FailedCreate&limit=50"


def happened(pod: str) -> str:
    return f"{EVENTS}involvedObject.kind=Pod,involvedObject.name={pod},type=Warning&limit=50"


def node(name: str, *, ready: bool = True) -> Any:
    status = {"conditions": [api.condition("Ready", "True" if ready else "Unknown")]}
    return {"kind": "Node", "metadata": {"name": name}, "status": status}


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


def test_complete_workloads_are_asked_for_by_name_and_nothing_else(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset())
    server.serve(DEPLOYMENT.path, api.deployment())
    found = look.look(server, (DAEMONSET, DEPLOYMENT))
    assert [each.name for each in found.workloads] == [api.WORKER, api.CLUSTER_AGENT]
    assert found.pods == ()
    assert len(server.asked) == 2


def test_a_workload_that_is_gone_is_named_and_an_unreadable_one_is_an_error(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, None)
    assert look.look(server, (DAEMONSET,)).missing == (api.WORKER,)
    server.serve(DAEMONSET.path, FORBIDDEN)
    with pytest.raises(ClusterError, match="forbidden"):
        look.look(server, (DAEMONSET,))


def test_pods_that_do_not_run_are_found_by_a_field_selector_and_asked_why(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=4))
    server.serve(pods("status.phase!=Running"), items(api.pod("p")))
    server.serve(happened("p"), items(api.event("FailedMount", "hostPath type check failed: /x is not a file")))
    found = look.look(server, (DAEMONSET,))
    assert [(each.name, each.owner) for each in found.pods] == [("p", api.WORKER)]
    assert [each.reason for each in found.events] == ["FailedMount"]


def test_whoever_has_read_the_workloads_already_is_told_why_their_pods_do_not_run(server: ApiServer) -> None:
    """As `status` asks: of workloads that it names itself."""
    behind = workload({"kind": "DaemonSet", **api.daemonset(available=4)})
    server.serve(pods("status.phase!=Running"), items(api.pod("p")))
    server.serve(happened("p"), items(api.event("FailedMount", "hostPath type check failed: /x is not a file")))
    found = Looker(server, (), since=Baseline()).deep(Reading(workloads=(behind,)))
    assert [each.reason for each in found.events] == ["FailedMount"]


def test_a_daemonset_that_cannot_make_its_pods_is_asked_why(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=0, updated=0, scheduled=0))
    server.serve(pods("status.phase!=Running"), items())
    server.serve(pods("status.phase=Running"), items())
    server.serve(NODES, items(node("w-1")))
    own = api.event("FailedCreate", "no", kind="DaemonSet", name=api.WORKER)
    own["involvedObject"]["uid"] = f"uid-{api.WORKER}"
    former = api.event("FailedCreate", "no", kind="DaemonSet", name=api.WORKER, uid="former")
    former["involvedObject"]["uid"] = "the one before"
    server.serve(failed_create(), items(own, former))
    found = look.look(server, (DAEMONSET,))
    assert [each.uid for each in found.events] == [f"{api.WORKER}-FailedCreate"]


def test_pods_that_run_and_are_not_ready_are_paged_for_and_then_remembered(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(desired=100, available=99))
    server.serve(pods("status.phase!=Running"), items())
    fine = [api.pod(f"a{i}", phase="Running", ready=True) for i in range(25)]
    bad = api.pod("z", "w-99", phase="Running", containers=[api.waiting("CrashLoopBackOff")])
    server.serve(pods("status.phase=Running"), items(*fine, token="t1"))
    server.serve(pods("status.phase=Running", token="t1"), items(*fine, bad, token="t2"))
    server.serve(pods("status.phase=Running", token="t2"), items(*fine))
    server.serve(NODES, items(*(node(f"w-{i}") for i in range(100))))
    server.serve("/api/v1/nodes/w-99", node("w-99"))
    server.serve(f"/api/v1/namespaces/{api.NAMESPACE}/pods/z", bad, {**bad, **api.pod("z", ready=True)})
    looker = Looker(server, (DAEMONSET,), since=Baseline())
    seen = [[each.name for each in looker.deep(looker.quick()).pods] for _ in range(4)]
    assert seen == [[], ["z"], ["z"], []], "found on the second page, kept while bad, dropped when ready"
    assert len(server.asked_for(NODES)) == 1, "all nodes are read once in ten looks"
    assert all("limit=" in path for path in server.asked_for("/pods?"))


def evicted(count: int, *, made: str = "2026-11-01T00:00:00Z") -> list[Any]:
    return [api.pod(f"evicted-{i}", failed=("Evicted", "low on memory"), made=made) for i in range(count)]


def test_pods_that_a_deployment_has_replaced_hide_none_that_is_not_ready(server: ApiServer) -> None:
    """Kubernetes keeps evicted pods for weeks; they are neither found nor counted as found."""
    server.serve(DEPLOYMENT.path, api.deployment(available=0))
    bad = api.pod("new", phase="Running", containers=[api.running()], made="2026-12-01T00:00:00Z")
    of_deployment(server, running=items(bad), failed=items(*evicted(25), token="more"))
    server.serve("/api/v1/nodes/w-1", node("w-1"))
    found = look.look(server, (DEPLOYMENT,))
    assert [each.name for each in found.pods] == ["new"]


def test_evicted_pods_without_end_do_not_hide_the_one_that_waits_or_is_refused(server: ApiServer) -> None:
    server.serve(DEPLOYMENT.path, api.deployment(replicas=2, updated=1, available=1))
    fine = api.pod("fine", phase="Running", ready=True, made="2026-11-20T00:00:00Z")
    waits = api.pod("waits", made="2026-12-01T00:00:00Z", started=False)
    of_deployment(server, pending=items(waits), running=items(fine), failed=items(*evicted(25), token="t1"))
    refused = api.pod("refused", failed=("OutOfcpu", ""), made="2026-12-01T00:00:00Z")
    server.serve(pods("status.phase=Failed", api.CLUSTER_AGENT, token="t1"), items(*evicted(3), refused))
    server.serve(happened("waits"), items())
    looker = Looker(server, (DEPLOYMENT,), since=Baseline())
    seen = [[each.name for each in looker.deep(looker.quick()).pods] for _ in range(3)]
    assert seen == [["waits"], ["waits", "refused"], ["waits"]], "page by page, and then from the first again"


def test_pods_of_a_large_deployment_that_are_ready_hide_none_that_is_not(server: ApiServer) -> None:
    server.serve(DEPLOYMENT.path, api.deployment(replicas=26, available=25))
    fine = [api.pod(f"a{i}", phase="Running", ready=True) for i in range(25)]
    of_deployment(server, running=items(*fine, token="t1"))
    bad = api.pod("z", phase="Running", containers=[api.running()])
    server.serve(pods("status.phase=Running", api.CLUSTER_AGENT, token="t1"), items(bad))
    server.serve(NODES, items(node("w-1")))
    server.serve("/api/v1/nodes/w-1", node("w-1"))
    looker = Looker(server, (DEPLOYMENT,), since=Baseline())
    seen = [[each.name for each in looker.deep(looker.quick()).pods] for _ in range(2)]
    assert seen == [[], ["z"]]


def test_agents_on_dead_nodes_are_found_through_the_nodes(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(desired=5000, available=4999))
    server.serve(pods("status.phase!=Running"), items())
    server.serve(pods("status.phase=Running"), items(token="more"))
    server.serve(NODES, items(node("w-1"), node("w-2", ready=False)))
    server.serve(pods("spec.nodeName=w-2"), items(api.pod("p", "w-2", phase="Running")))
    found = look.look(server, (DAEMONSET,))
    assert [each.name for each in found.pods] == ["p"]
    assert found.nodes_down == {"w-2"}


def test_an_old_agent_on_a_dead_node_that_holds_up_the_others_is_found(server: ApiServer) -> None:
    """Its node is out of the count, so all that are counted are ready; still nothing moves (maxUnavailable is used)."""
    server.serve(DAEMONSET.path, api.daemonset(desired=4, updated=2, misscheduled=1))
    server.serve(pods("status.phase!=Running"), items())
    leaving = api.pod("p", "w-2", phase="Running", ready=True, deleting=True)
    server.serve(pods("status.phase=Running"), items(leaving))
    server.serve("/api/v1/nodes/w-2", node("w-2", ready=False))
    found = look.look(server, (DAEMONSET,))
    assert [(each.name, each.ready) for each in found.pods] == [("p", False)]
    assert found.nodes_down == {"w-2"}


def test_known_dead_nodes_are_not_read_again(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=4))
    server.serve(pods("status.phase!=Running"), items())
    server.serve(pods("status.phase=Running"), items(token="more"))
    server.serve(pods("spec.nodeName=w-2"), items(api.pod("p", "w-2", phase="Running")))
    found = look.look(server, (DAEMONSET,), nodes_down=["w-2"])
    assert [each.name for each in found.pods] == ["p"]


def test_without_rights_to_pods_and_events_the_workloads_are_still_told(server: ApiServer) -> None:
    server.serve(DAEMONSET.path, api.daemonset(available=4, scheduled=4))
    for path in (pods("status.phase!=Running"), pods("status.phase=Running"), failed_create(), NODES):
        server.serve(path, FORBIDDEN)
    found = look.look(server, (DAEMONSET,))
    assert found.workloads[0].behind == 1
    assert found.pods == ()


def test_events_that_were_there_before_are_old_until_they_happen_again(server: ApiServer) -> None:
    def happened_so_often(count: int) -> Any:
        return items(api.event("FailedCreate", "no", kind="DaemonSet", name=api.WORKER, uid="e", count=count))

    server.serve(failed_create(), happened_so_often(7), happened_so_often(7), happened_so_often(8))
    server.serve(DAEMONSET.path, api.daemonset(available=0, scheduled=0))
    server.serve(pods("status.phase!=Running"), items())
    server.serve(pods("status.phase=Running"), items())
    server.serve(NODES, items())
    before = look.baseline(server, (DAEMONSET,))
    looker = Looker(server, (DAEMONSET,), since=before)
    assert looker.deep(looker.quick()).events == ()
    assert len(looker.deep(looker.quick()).events) == 1


def test_without_a_baseline_the_first_look_is_the_baseline(server: ApiServer) -> None:
    first = items(api.event("FailedCreate", "no", kind="DaemonSet", name=api.WORKER, uid="e", count=3))
    more = items(api.event("FailedCreate", "no", kind="DaemonSet", name=api.WORKER, uid="e", count=4))
    server.serve(failed_create(), first, more)
    server.serve(DAEMONSET.path, api.daemonset(available=0, scheduled=0))
    server.serve(pods("status.phase!=Running"), items())
    server.serve(pods("status.phase=Running"), items())
    server.serve(NODES, items())
    looker = Looker(server, (DAEMONSET,))
    assert [len(looker.deep(looker.quick()).events) for _ in range(2)] == [0, 1]
