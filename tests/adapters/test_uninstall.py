"""An uninstall that meets faults: another cluster, a held lock, helm failing half-way, things that do not go."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ddhelm.actions import leftovers
from ddhelm.actions.leftovers import Leftover
from ddhelm.actions.removal import Going, Kept, Removal
from ddhelm.actions.uninstall import Finished, Removed, Started, carry_out
from ddhelm.actions.watch import Clock
from ddhelm.errors import (
    ClusterError,
    DdhelmError,
    Interrupted,
    PlanStale,
    PreflightFailed,
    ReleaseError,
    Reported,
    RolloutFailed,
)
from ddhelm.helm import Helm
from ddhelm.kubectl import Kubectl
from ddhelm.record import ReleaseRow
from ddhelm.release import Release, Role
from tests.adapters.apiserver import ApiServer, items

WORKER = Release(Role.WORKER, "worker-node-ddagent", "datadog")
CONTROL_PLANE = Release(Role.CONTROL_PLANE, "control-plane-ddagent", "datadog")
PODS = "/api/v1/namespaces/datadog/pods?labelSelector=app={}&limit=1"
SECRET = Leftover("secret", "ddhelm", "datadog")
LOCK = Leftover("lease.coordination.k8s.io", "ddhelm", "datadog")
HOOK = Leftover("mutatingwebhookconfiguration.admissionregistration.k8s.io", "datadog-webhook")
REMOVAL = Removal(
    "datadog",
    "this-cluster",
    releases=(Going(CONTROL_PLANE, 1, "deployed", 9), Going(WORKER, 2, "deployed", 25)),
    hooks=(HOOK,),
    secrets=(SECRET, LOCK),
    kept=(Kept("namespace `datadog`", "made by ddhelm"),),
    pods=("app=dca",),
    agents=("app=agent",),
    fullnames=(WORKER.fullname, CONTROL_PLANE.fullname),
    pair=(WORKER, CONTROL_PLANE),
)


class Cluster(ApiServer):
    """What an uninstall asks of kubectl; everything that is written is remembered in order."""

    def __init__(self, uid: str = "this-cluster") -> None:
        super().__init__()
        self.log: list[str] = []
        self.lease: dict[str, Any] | None = None
        self.refuse: dict[str, ClusterError] = {}
        self.rows = [ReleaseRow("datadog", each.release.name, each.revision, "deployed") for each in REMOVAL.releases]
        self.serve("/api/v1/namespaces/kube-system", {"metadata": {"uid": uid}})
        for app in ("dca", "agent"):
            self.serve(PODS.format(app), items())
        for path in (
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            "/apis/apiregistration.k8s.io/v1/apiservices",
        ):
            self.serve(path, items())

    def tree(self, path: str) -> dict[str, Any] | None:
        if path.endswith("/leases/ddhelm"):
            return self.lease
        (answer,) = self.raws([path])
        return answer.tree() if answer.found else None

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.lease = obj
        return obj

    def replace(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.lease = obj
        return obj

    def delete(self, kind: str, name: str, *, namespace: str | None = None, wait: bool = False) -> bool:
        if name in self.refuse:
            raise self.refuse[name]
        self.log.append(f"delete {kind.partition('.')[0]} {name}")
        return True

    def release_rows(self) -> Sequence[ReleaseRow]:
        return self.rows

    def heads(self, names: Sequence[str]) -> dict[str, ReleaseRow]:
        return {row.name: row for row in self.rows if row.name in names}


class Uninstaller:
    """helm, which fails at the release that it is told to fail at."""

    def __init__(self, cluster: Cluster, *, idle: bool = False, **failing: Exception) -> None:
        self.cluster, self.failing, self.idle = cluster, failing, idle

    def uninstall(self, name: str, *, timeout: int, wait: bool) -> None:
        assert wait
        assert timeout > 0
        self.cluster.rows = [
            replace(row, status="uninstalling") if row.name == name else row for row in self.cluster.rows
        ]
        if error := self.failing.get(name.split("-", maxsplit=1)[0]):
            raise error
        self.cluster.log.append(f"helm uninstall {name}")
        self.cluster.rows = [row for row in self.cluster.rows if row.name != name or self.idle]


class Ticking:
    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds


def run(
    cluster: Cluster,
    removal: Removal = REMOVAL,
    told: list[object] | None = None,
    timeout: float = 30,
    pause: float = 0,
    idle: bool = False,
    broken_off: Callable[[Removed], None] = lambda _removed: None,
    **failing: Exception,
) -> Removed:
    """``pause``: seconds that pass between two looks at the clock of the lock; ``idle``: helm does nothing."""
    ticking = Ticking()

    def now() -> float:
        ticking.seconds += pause
        return 1000.0 + ticking.seconds

    return carry_out(
        removal,
        cast(Kubectl, cluster),
        cast(Helm, Uninstaller(cluster, idle=idle, **failing)),
        observer=(told if told is not None else []).append,
        clock=ticking.clock(),
        timeout=timeout,
        now=now,
        broken_off=broken_off,
    )


def test_everything_goes_in_its_order_and_is_told() -> None:
    cluster, told = Cluster(), list[object]()
    done = run(cluster, told=told)
    assert cluster.log == [
        "helm uninstall control-plane-ddagent",
        "helm uninstall worker-node-ddagent",
        "delete mutatingwebhookconfiguration datadog-webhook",
        "delete secret ddhelm",
        "delete lease ddhelm",
    ]
    assert cluster.lease is not None
    assert cluster.lease["spec"]["holderIdentity"] == "", "the lock is given back before it is deleted"
    assert done.exit_code == 0
    assert done.kept == REMOVAL.kept
    assert [type(each) for each in told[:4]] == [Started, Finished, Started, Finished]


def test_what_helm_would_leave_goes_while_the_record_still_tells_of_it() -> None:
    cluster = Cluster()
    stray = Leftover("deployment.apps", "runner", "datadog")
    cluster.refuse["role"] = ClusterError("User `x` cannot delete it", anchor="forbidden")
    strays = (stray, Leftover("clusterrole.rbac.authorization.k8s.io", "role"))
    done = run(cluster, replace(REMOVAL, releases=(REMOVAL.releases[0], Going(WORKER, 2, "failed", 25, strays=strays))))
    assert cluster.log[1:3] == ["delete deployment runner", "helm uninstall worker-node-ddagent"]
    assert [each.command for each in done.problems] == ["kubectl delete clusterrole.rbac.authorization.k8s.io role"]


def test_another_cluster_than_the_one_that_was_shown_is_left_alone() -> None:
    cluster = Cluster(uid="another")
    with pytest.raises(PlanStale, match="another cluster"):
        run(cluster)
    assert cluster.log == []


@pytest.mark.parametrize(
    ("removal", "said"),
    [
        (replace(REMOVAL, releases=REMOVAL.releases[:1]), "`worker-node-ddagent`.* revision 2 is `deployed`"),
        (replace(REMOVAL, releases=(), exists=False), "`worker-node-ddagent`.* revision 2 is `deployed`"),
        (replace(REMOVAL, releases=(REMOVAL.releases[0], Going(WORKER, 1, "deployed", 25))), "revision 2 is"),
    ],
)
def test_what_was_onboarded_since_it_was_shown_is_not_removed_unseen(removal: Removal, said: str) -> None:
    cluster = Cluster()
    with pytest.raises(PlanStale, match=said):
        run(cluster, removal)
    assert cluster.log == []


def test_a_release_that_helm_left_without_a_word_stops_it() -> None:
    """As where helm could not read the release's history: it takes that for a release that is gone."""
    cluster, told = Cluster(), list[object]()
    with pytest.raises(ReleaseError, match="`helm uninstall control-plane-ddagent` reported no error") as raised:
        run(cluster, told=told, idle=True)
    assert raised.value.hint == "ddhelm uninstall --delete-secrets"
    assert cluster.log == ["helm uninstall control-plane-ddagent"]
    assert not any(isinstance(each, Finished) for each in told)


def test_a_lock_that_another_run_holds_stops_it_before_the_first_write() -> None:
    cluster = Cluster()
    spec = {"holderIdentity": "anna@host", "leaseDurationSeconds": 120, "renewTime": "1970-01-01T00:16:00Z"}
    cluster.lease = {"metadata": {"name": "ddhelm"}, "spec": spec}
    with pytest.raises(PlanStale, match="anna@host"):
        run(cluster)
    assert cluster.log == []


@pytest.mark.parametrize("kind", [ReleaseError, RolloutFailed, PreflightFailed])
def test_helm_failing_half_way_says_what_is_gone_and_how_the_rest_stands(kind: type[DdhelmError]) -> None:
    cluster = Cluster()
    with pytest.raises(kind) as raised:
        run(cluster, worker=kind("failed to delete release: worker-node-ddagent", anchor="helm-failed"))
    error = raised.value
    assert error.details == (
        "release `worker-node-ddagent` is left at revision 2, `uninstalling`",
        "gone already: release `control-plane-ddagent`",
    )
    assert error.hint == "ddhelm uninstall --delete-secrets"
    assert cluster.log == ["helm uninstall control-plane-ddagent"], "webhook and keys are left while a release stands"
    assert cluster.lease is not None
    assert cluster.lease["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("error", [ReleaseError("failed to delete"), Interrupted("interrupted")])
def test_what_broke_off_is_told_with_what_was_done_by_then(error: Reported) -> None:
    told = list[Removed]()
    with pytest.raises(type(error)) as raised:
        run(Cluster(), broken_off=told.append, worker=error)
    assert told == [Removed(("release `control-plane-ddagent`",), REMOVAL.kept, failure=raised.value)]


def test_what_broke_off_before_the_first_write_is_not() -> None:
    told = list[Removed]()
    with pytest.raises(PlanStale):
        run(Cluster(uid="another"), broken_off=told.append)
    stray = replace(REMOVAL, releases=REMOVAL.releases[:1])
    with pytest.raises(PlanStale):
        run(Cluster(), stray, broken_off=told.append)
    assert told == []


def test_an_interruption_says_what_is_gone() -> None:
    cluster = Cluster()
    with pytest.raises(Interrupted) as raised:
        run(cluster, worker=Interrupted("interrupted"))
    assert raised.value.details == (
        "release `worker-node-ddagent` is left at revision 2, `uninstalling`",
        "gone already: release `control-plane-ddagent`",
    )


def test_an_api_server_that_is_gone_does_not_hide_why_helm_failed() -> None:
    cluster = Cluster()

    def silent(names: Sequence[str]) -> dict[str, ReleaseRow]:
        if WORKER.name in names:
            raise ClusterError("the API server does not answer")
        return {}

    cluster.heads = silent  # type: ignore[method-assign]
    with pytest.raises(ReleaseError, match="failed to delete") as raised:
        run(cluster, worker=ReleaseError("failed to delete release", anchor="helm-failed"))
    assert raised.value.details[0] == (
        "where release `worker-node-ddagent` stands could not be read: the API server does not answer"
    )


def test_a_lock_that_is_lost_half_way_is_told_with_what_is_gone() -> None:
    cluster = Cluster()
    writes = iter((True, True, False))  # taken, lasting for helm, and then another run has it

    def taken_over(obj: dict[str, Any]) -> dict[str, Any] | None:
        return Cluster.replace(cluster, obj) if next(writes, False) else None

    cluster.create = cluster.replace = taken_over  # type: ignore[assignment,method-assign]
    with pytest.raises(PlanStale, match="taken over") as raised:
        run(cluster, timeout=400, pause=200)
    assert raised.value.details[-1] == "gone already: release `control-plane-ddagent`"
    assert cluster.log == ["helm uninstall control-plane-ddagent"]


def test_while_a_cluster_agent_lives_its_webhook_stays() -> None:
    cluster = Cluster()
    cluster.serve(PODS.format("dca"), items({"metadata": {"name": "dca-0"}}))
    done = run(cluster)
    assert [each.what for each in done.problems] == ["Cluster Agent pods", str(HOOK)]
    assert done.problems[1].command == HOOK.command
    assert done.exit_code == 4
    assert not any("webhook" in line for line in cluster.log)
    assert "delete secret ddhelm" in cluster.log


def test_an_api_server_that_does_not_answer_is_no_sign_that_pods_are_gone() -> None:
    cluster = Cluster()
    cluster.serve(PODS.format("dca"), *[ClusterError("timeout")] * 5, items())
    assert run(cluster).exit_code == 0
    assert len(cluster.asked_for("app=dca")) == 6


def test_pods_that_may_not_be_listed_are_not_waited_for_and_the_rest_goes_on() -> None:
    cluster, denied = Cluster(), ClusterError("`u` may not list pods", anchor="forbidden")
    for app in ("dca", "agent"):
        cluster.serve(PODS.format(app), denied)
    done = run(cluster)
    assert done.problems == tuple(
        Kept(what, f"whether they are gone is not known: {denied.message}", f"kubectl -n datadog get pods -l app={app}")
        for what, app in (("Cluster Agent pods", "dca"), ("agent pods", "agent"))
    )
    assert len(cluster.asked_for("app=")) == 2
    assert "delete mutatingwebhookconfiguration datadog-webhook" in cluster.log


def test_pods_that_nobody_could_see_to_the_end_are_told_with_the_reason() -> None:
    cluster = Cluster()
    cluster.serve(PODS.format("dca"), ClusterError("no route to host"))
    done = run(cluster)
    assert [each.what for each in done.problems] == ["Cluster Agent pods", str(HOOK)]
    assert done.problems[0].why == "whether they are gone is not known: no route to host"


def test_webhooks_that_could_not_be_read_are_problems() -> None:
    cluster = Cluster()
    denied = ClusterError("`u` may not list mutatingwebhookconfigurations", anchor="forbidden")
    cluster.serve("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", denied)
    cluster.serve("/apis/apiregistration.k8s.io/v1/apiservices", ClusterError("timeout"))
    done = run(cluster)
    assert [(each.what, each.command) for each in done.problems] == [
        ("mutatingwebhookconfigurations", "kubectl get mutatingwebhookconfigurations"),
        ("apiservices", "kubectl get apiservices"),
    ]
    assert denied.message in done.problems[0].why
    assert done.exit_code == 4
    assert "delete mutatingwebhookconfiguration datadog-webhook" in cluster.log, "what was seen before goes"


def test_a_webhook_that_the_cluster_agent_made_again_goes_too() -> None:
    cluster = Cluster()
    service = {"namespace": "datadog", "name": "dca-admission"}
    again = {"metadata": {"name": "made-again"}, "webhooks": [{"clientConfig": {"service": service}}]}
    cluster.serve("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", items(again))
    run(cluster, replace(REMOVAL, services=frozenset({"dca-admission"})))
    assert "delete mutatingwebhookconfiguration made-again" in cluster.log


def test_what_may_not_be_deleted_is_a_problem_with_its_command_and_the_rest_goes_on() -> None:
    cluster = Cluster()
    cluster.refuse["datadog-webhook"] = ClusterError("User `x` cannot delete it", anchor="forbidden")
    done = run(cluster)
    assert done.problems == (
        Kept(str(HOOK), "User `x` cannot delete it", f"kubectl delete {HOOK.kind} datadog-webhook"),
    )
    assert "delete secret ddhelm" in cluster.log


def test_a_webhook_left_behind_goes_even_when_the_namespace_is_gone() -> None:
    cluster = Cluster()
    cluster.rows = []
    done = run(cluster, replace(REMOVAL, releases=(), secrets=(), exists=False))
    assert cluster.log == ["delete mutatingwebhookconfiguration datadog-webhook"]
    assert cluster.lease is None, "no lock is taken in a namespace that does not exist"
    assert done.exit_code == 0


def test_a_namespace_that_does_not_go_says_what_holds_it() -> None:
    cluster = Cluster()
    cluster.serve("/apis", {"groups": []})
    for path in leftovers._listable(cluster, "datadog")[0]:
        cluster.serve(path, items())
    for release in REMOVAL.pair:
        for kind in ("api/v1/namespaces/datadog/configmaps", "apis/coordination.k8s.io/v1/namespaces/datadog/leases"):
            cluster.serve(f"/{kind}/{release.fullname}-leader-election", None)
        cluster.serve(f"/api/v1/namespaces/datadog/configmaps/{release.fullname}token", None)
    for name in ("configmaps/datadog-leader-election", "configmaps/datadogtoken", "configmaps/datadog-cluster-id",
                 "secrets/webhook-certificate"):  # fmt: skip
        cluster.serve(f"/api/v1/namespaces/datadog/{name}", None)
    cluster.serve("/apis/coordination.k8s.io/v1/namespaces/datadog/leases/datadog-leader-election", None)
    stuck = {"status": {"conditions": [{"message": "unable to retrieve the complete list of server APIs: x/v1"}]}}
    cluster.serve("/api/v1/namespaces/datadog", stuck)
    done = run(cluster, replace(REMOVAL, delete_namespace=True))
    (problem,) = done.problems
    assert problem.why == "unable to retrieve the complete list of server APIs: x/v1"
    assert "namespace `datadog`" not in done.done
