"""A plan that is carried out over faults: helm fails in every way it has, the lock is lost, a write is refused."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm import failurerows
from ddhelm.actions import live, lock, look, watch
from ddhelm.actions.carry_out import HELM_TIMEOUT, How, Outcome, carry_out
from ddhelm.actions.events import Warned
from ddhelm.actions.keys import Key
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.request import Request
from ddhelm.actions.session import Observer, Session, silent
from ddhelm.actions.watch import Clock, Watched
from ddhelm.applying import Refusal
from ddhelm.coverage import Coverage
from ddhelm.errors import ClusterError, DdhelmError, PlanStale, PreflightFailed, ReleaseError
from ddhelm.manifest import Manifest, parse
from ddhelm.masking import Masker
from ddhelm.plan import Deployed, Head, Live, Plan, Step, StepKind
from ddhelm.record import Record, ReleaseRow
from ddhelm.release import Release, pair
from ddhelm.rollout import Stalled
from ddhelm.workloads import Workload
from tests.adapters.apiserver import ApiServer

WORKER, CONTROL_PLANE = pair("datadog", control_plane=True)
LEASE = "/apis/coordination.k8s.io/v1/namespaces/datadog/leases/ddhelm"


class Cluster(ApiServer):
    """What is asked of kubectl; what is written is remembered in order. Revisions come from ``Helm``."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.lease: dict[str, Any] | None = None
        self.taken = False
        self.refuse: dict[str, DdhelmError] = {}
        self.revisions = {WORKER.name: 7, CONTROL_PLANE.name: 7}
        self.records: dict[str, Record] = {}
        self.lasted: list[int] = []

    def tree(self, path: str) -> dict[str, Any] | None:
        if path == LEASE:
            return self.lease
        assert path == "/api/v1/namespaces/kube-system"
        return {"metadata": {"uid": "this-cluster"}}

    def release_rows(self) -> list[ReleaseRow]:
        return [ReleaseRow("datadog", name, revision, "deployed") for name, revision in self.revisions.items()]

    def record(self, name: str, revision: int) -> Record:
        if error := self.refuse.get("record"):
            raise error
        assert self.records[name].revision == revision
        return self.records[name]

    def heads(self, names: Sequence[str]) -> dict[str, ReleaseRow]:
        return {row.name: row for row in self.release_rows() if row.name in names}

    def store(self, name: str, description: str, values: dict[str, Any]) -> None:
        """A revision of a release, as helm stores it; one of somebody else's too."""
        self.revisions[name] = self.revisions.get(name, 0) + 1
        chart = ("datadog", "3.240.0", "7", "", "")
        self.records[name] = Record(name, "datadog", self.revisions[name], "deployed", *chart, description, values, "")

    def create(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        if obj["kind"] == "Namespace":
            if "namespace" in self.refuse:
                return None
            self.log.append("namespace")
            return obj
        if error := self.refuse.get("lease"):
            raise error
        return self.replace(obj)

    def replace(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        if self.taken:
            return None
        self.lasted.append(obj["spec"]["leaseDurationSeconds"])
        self.lease = obj
        return obj

    def label(self, kind: str, name: str, labels: object, *, namespace: str) -> None:
        assert (kind, namespace) == ("namespace", "")
        self.log.append(f"label {name} {labels}")

    def write_secret(self, name: str, values: dict[str, str], *, labels: object) -> None:
        assert (name, labels) == ("ddhelm", {"app.kubernetes.io/managed-by": "ddhelm"})
        (key,) = values
        if error := self.refuse.get(key):
            raise error
        self.log.append(f"secret {key}")


class Helm:
    """helm; ``failing`` maps a release to how its upgrade fails, once it has stored a revision unless it is busy."""

    def __init__(self, cluster: Cluster, failing: dict[str, DdhelmError], major: int) -> None:
        self.cluster, self.failing, self.major = cluster, failing, major

    def upgrade(
        self, name: str, _chart: Path, values: dict[str, Any], *, timeout: int, force_conflicts: bool, **how: str
    ) -> None:
        assert timeout == HELM_TIMEOUT
        self.cluster.log.append(f"upgrade {name}" + " by force" * force_conflicts)
        error = self.failing.get(name)
        if error is None or error.anchor != "release-busy":
            words = f'Upgrade "{name}" failed: {error}' if error else how["description"]
            self.cluster.store(name, words, values)
        if error:
            raise error

    def rollback(self, name: str, revision: int, *, timeout: int, server_side: bool) -> None:
        assert (timeout, server_side) == (HELM_TIMEOUT, False)
        self.cluster.log.append(f"rollback {name} {revision}")


def run(
    cluster: Cluster,
    *,
    failing: dict[str, DdhelmError] | None = None,
    keys: tuple[str, ...] = (),
    seconds: float = 0,
    major: int = 3,
    request: Request = Request(),  # noqa: B008 - it cannot change
    stands: tuple[Head, int | None] = (Head(7, "deployed"), 7),
    wanted: Manifest | None = None,
    observer: Observer = silent,
    **plan: Any,
) -> Outcome:
    """Both releases from revision 7 to 8; each look at the clock takes so many ``seconds``."""
    manifest = parse("", "datadog", Masker(b"k" * 32))
    deployed = {
        each.name: Deployed(each, *stands, manifest, {})
        for each in (WORKER, CONTROL_PLANE)
        if each.name in cluster.revisions and stands[0].status != "uninstalled"
    }
    steps = tuple(
        Step(StepKind.UPGRADE if each.name in deployed else StepKind.INSTALL, each, values={"ours": 1})
        for each in (WORKER, CONTROL_PLANE)
    )
    prepared = SimpleNamespace(
        plan=Plan(steps, Coverage(()), (), **plan),
        cluster=SimpleNamespace(
            facts=SimpleNamespace(uid="this-cluster"),
            records={name: (SimpleNamespace(revision=stands[0].revision),) for name in cluster.revisions},
        ),
        desired=tuple(SimpleNamespace(release=step.release, manifest=wanted) for step in steps if wanted),
        keeps={},
        deployed=deployed,
        chart=SimpleNamespace(path=Path("chart")),
        profile=SimpleNamespace(host_files=(), admission=()),
    )
    session = SimpleNamespace(
        helm=Helm(cluster, failing or {}, major),
        kubectl=cluster,
        access=SimpleNamespace(namespace="datadog", context="x"),
        masker=manifest.masker,
    )
    moment = 1000.0

    def now() -> float:
        nonlocal moment
        moment += seconds
        return moment

    return carry_out(
        cast(Session, session),
        cast(Prepared, prepared),
        request,
        {name: Key("a file", "0" * 32) for name in keys},
        How(clock=Clock(now, lambda _seconds: None), now=now),
        observer,
    )


def test_a_release_that_was_uninstalled_and_has_its_history_is_installed_where_nothing_moved() -> None:
    cluster = Cluster()
    told = run(cluster, stands=(Head(7, "uninstalled"), None))
    assert [done.step.kind for done in told.done] == [StepKind.INSTALL, StepKind.INSTALL]
    cluster = Cluster()
    with pytest.raises(PlanStale, match="has moved"):
        run(cluster, stands=(Head(6, "uninstalled"), None))


LEFT = f"release `{WORKER.name}` was changed and left as it is; to undo it: `helm rollback {WORKER.name} 7`"


KINDS = sorted({row.error for row in failurerows.ROWS}, key=lambda error: error.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_that_helm_fails_at_is_rolled_back_whatever_the_failure_stands_for(kind: type[DdhelmError]) -> None:
    cluster = Cluster()
    told = run(cluster, failing={CONTROL_PLANE.name: kind("helm ran out of time", hint="x", details=["helm: why"])})
    assert cluster.log[-1] == f"rollback {CONTROL_PLANE.name} 7"
    assert isinstance(told.failure, kind)
    assert told.undone == {CONTROL_PLANE.name: 7}
    assert told.failure.details == (
        "helm: why",
        f"release `{CONTROL_PLANE.name}` was rolled back to revision 7",
        LEFT,
    )
    assert cluster.lease is not None
    assert cluster.lease["spec"]["holderIdentity"] == ""


def left_to_others(revision: int) -> str:
    return (
        f"release `{CONTROL_PLANE.name}` is left as it is: revision {revision} is somebody else's, "
        f"`helm history {CONTROL_PLANE.name}` shows it"
    )


def test_a_release_that_another_helm_is_at_is_never_rolled_back() -> None:
    cluster = Cluster()
    busy = ReleaseError("another helm is at work on it", hint="ddhelm status", anchor="release-busy")
    told = run(cluster, failing={CONTROL_PLANE.name: busy})
    assert cluster.log == [f"upgrade {WORKER.name}", f"upgrade {CONTROL_PLANE.name}"]
    assert told.undone == {}
    assert told.failure is not None
    assert told.failure.details == (LEFT,)


def test_a_release_that_somebody_upgrades_meanwhile_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Helm would upgrade over a revision that has come to its end, and the plan was made without it."""
    cluster, upgrade = Cluster(), Helm.upgrade

    def meanwhile(self: Helm, *given: Any, **how: Any) -> None:
        upgrade(self, *given, **how)
        cluster.store(CONTROL_PLANE.name, "Preparing upgrade", {"theirs": 1})

    monkeypatch.setattr(Helm, "upgrade", meanwhile)
    told = run(cluster)
    assert cluster.log == [f"upgrade {WORKER.name}"]
    assert isinstance(told.failure, PlanStale)
    assert f"`{CONTROL_PLANE.name}` has moved" in told.failure.message
    assert told.failure.details == (LEFT,)


@pytest.mark.parametrize("theirs", [False, True])
def test_only_a_stalled_revision_of_this_run_is_rolled_back(monkeypatch: pytest.MonkeyPatch, theirs: bool) -> None:
    cluster = Cluster()
    target = look.Target(CONTROL_PLANE.name, "DaemonSet", "datadog", "agent")

    def stalls(*_given: object, **_how: object) -> Watched:
        if theirs:
            cluster.store(CONTROL_PLANE.name, "Upgrade complete", {"theirs": 1})
        behind = Workload("DaemonSet", "datadog", "agent", desired=3)
        return Watched(Stalled("no room", "pods wait", "", timed_out=True), (behind,), 300.0)

    monkeypatch.setattr(look, "targets", lambda _manifests: (target,))
    monkeypatch.setattr(look, "baseline", lambda *_given: None)
    monkeypatch.setattr(watch, "watch", stalls)
    told = run(cluster)
    assert told.failure is not None
    back = f"release `{CONTROL_PLANE.name}` was rolled back to revision 7"
    assert told.failure.details[-2:] == (left_to_others(9) if theirs else back, LEFT)
    assert (f"rollback {CONTROL_PLANE.name} 7" in cluster.log, bool(told.undone)) == (not theirs, not theirs)


@pytest.mark.parametrize(
    ("progress", "undone"),
    [
        (Stalled("Secret", "it is missing", "", blamed=("agent",)), [WORKER.name]),
        (Stalled("NotReady", "it runs", "", timed_out=True), [WORKER.name, CONTROL_PLANE.name]),
    ],
    ids=["stalled", "timed out"],
)
def test_a_release_that_only_lags_behind_a_stalled_one_is_left(
    monkeypatch: pytest.MonkeyPatch, progress: Stalled, undone: list[str]
) -> None:
    both = {"agent": WORKER.name, "control-plane-agent": CONTROL_PLANE.name}
    targets = tuple(look.Target(release, "DaemonSet", "datadog", name) for name, release in both.items())
    behind = tuple(Workload("DaemonSet", "datadog", name, desired=3) for name in both)
    monkeypatch.setattr(look, "targets", lambda _manifests: targets)
    monkeypatch.setattr(look, "baseline", lambda *_given: None)
    monkeypatch.setattr(watch, "watch", lambda *_given, **_how: Watched(progress, behind, 21.0))
    assert list(run(Cluster()).undone) == undone


def failing_over(before: Callable[[Cluster], None], monkeypatch: pytest.MonkeyPatch) -> tuple[Cluster, Outcome]:
    """helm fails at the second release and stores nothing, ``before`` apart."""
    cluster, upgrade = Cluster(), Helm.upgrade

    def fails(self: Helm, name: str, *given: Any, **how: Any) -> None:
        if name == WORKER.name:
            return upgrade(self, name, *given, **how)
        before(cluster)
        raise ClusterError("helm ran out of time")

    monkeypatch.setattr(Helm, "upgrade", fails)
    return cluster, run(cluster)


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (lambda c: c.store(CONTROL_PLANE.name, "Preparing upgrade", {"theirs": 1}), left_to_others(8)),
        (
            lambda c: (
                c.store(CONTROL_PLANE.name, "Upgrade complete", {}) or c.store(CONTROL_PLANE.name, "", {"ours": 1})
            ),
            left_to_others(9),
        ),
        (
            lambda c: c.revisions.pop(CONTROL_PLANE.name),
            f"release `{CONTROL_PLANE.name}` is gone: somebody else removed it",
        ),
        (
            lambda c: None,
            f"release `{CONTROL_PLANE.name}` stands as it did, at revision 7: helm had made none yet",
        ),
        (
            lambda c: (
                c.store(CONTROL_PLANE.name, "Preparing upgrade", {"ours": 1}),
                c.refuse.update(record=ClusterError("no route to host")),
            ),
            f"release `{CONTROL_PLANE.name}` could not be rolled back (no route to host): "
            f"`helm rollback {CONTROL_PLANE.name} 7`",
        ),
    ],
    ids=["theirs", "ours upon theirs", "gone", "none", "unreadable"],
)
def test_what_stands_is_read_before_it_is_rolled_back(
    before: Callable[[Cluster], None], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, told = failing_over(before, monkeypatch)
    assert cluster.log == [f"upgrade {WORKER.name}"]
    assert told.failure is not None
    assert told.failure.details == (line, LEFT)


def test_a_release_whose_uninstall_had_begun_has_nothing_to_go_back_to() -> None:
    cluster = Cluster()
    boom: dict[str, DdhelmError] = {WORKER.name: ClusterError("boom")}
    told = run(cluster, failing=boom, stands=(Head(7, "uninstalling"), None))
    assert cluster.log == [f"upgrade {WORKER.name}"]
    assert told.failure is not None
    assert f"`{WORKER.name}` is kept as it is (it was uninstalled before)" in told.failure.details[0]


KEPT = "is kept as it is (a first install): mend the cause and run `ddhelm onboard` again, or remove it with"
REMOVES = "`helm uninstall {} --namespace datadog`"


@pytest.mark.parametrize("stands", [WORKER, CONTROL_PLANE], ids=["worker", "control plane"])
def test_a_first_install_is_undone_without_the_release_that_stood_before(stands: Release) -> None:
    cluster = Cluster()
    cluster.revisions = {stands.name: 7}
    told = run(cluster, failing={CONTROL_PLANE.name: ClusterError("boom")})
    assert told.failure is not None
    *_, of_control_plane, of_worker = told.failure.details
    if stands is WORKER:
        removes = REMOVES.format(CONTROL_PLANE.name)
        assert of_control_plane == f"release `{CONTROL_PLANE.name}` {KEPT} {removes}"
        assert of_worker == LEFT
    else:
        assert of_control_plane == f"release `{CONTROL_PLANE.name}` was rolled back to revision 7"
        removes = REMOVES.format(WORKER.name)
        assert of_worker == f"release `{WORKER.name}` was changed and left as it is; to undo it: {removes}"


def test_the_only_release_is_removed_with_all_that_belongs_to_it() -> None:
    cluster = Cluster()
    cluster.revisions = {}
    told = run(cluster, failing={WORKER.name: ClusterError("boom")})
    assert told.failure is not None
    assert told.failure.details == (f"release `{WORKER.name}` {KEPT} `ddhelm uninstall`",)


def test_a_revision_of_this_run_that_helm_was_cut_off_at_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, told = failing_over(
        lambda cluster: cluster.store(CONTROL_PLANE.name, "Preparing upgrade", {"ours": 1}), monkeypatch
    )
    assert cluster.log[-1] == f"rollback {CONTROL_PLANE.name} 7"
    assert told.undone == {CONTROL_PLANE.name: 7}


def test_a_lock_that_is_lost_between_the_releases_leaves_them_to_whoever_has_it() -> None:
    cluster = Cluster()
    upgrade = Helm.upgrade

    class Losing(Helm):
        def upgrade(self, *given: Any, **how: Any) -> None:
            upgrade(self, *given, **how)
            cluster.taken = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Helm, "upgrade", Losing.upgrade)
        told = run(cluster, seconds=100)
    assert isinstance(told.failure, PlanStale)
    assert cluster.log == [f"upgrade {WORKER.name}"]
    assert told.failure.details == (LEFT,)
    assert told.failure.exit_code == 5


@pytest.mark.parametrize(
    ("major", "force", "how"), [(4, True, " by force"), (4, False, ""), (3, True, "")], ids=["4", "unforced", "3"]
)
def test_an_install_takes_fields_of_others_where_that_is_asked_for(major: int, force: bool, how: str) -> None:
    cluster = Cluster()
    cluster.revisions = {}
    boom: dict[str, DdhelmError] = {WORKER.name: ClusterError("boom")}
    run(cluster, failing=boom, major=major, request=Request(force_conflicts=force))
    assert cluster.log == [f"upgrade {WORKER.name}{how}"]


def test_the_lock_outlasts_every_helm_call() -> None:
    cluster = Cluster()
    run(cluster, failing={WORKER.name: ClusterError("boom")}, seconds=200)
    taken, for_the_upgrade, *_ = cluster.lasted
    assert taken == lock.DURATION
    assert for_the_upgrade * 3 / 4 >= HELM_TIMEOUT + 60


def test_what_was_written_before_a_refusal_is_told() -> None:
    cluster = Cluster()
    cluster.refuse["token"] = ClusterError("User `x` cannot patch Secret `ddhelm`", details=["one"])
    with pytest.raises(ClusterError, match="cannot patch") as raised:
        run(cluster, keys=("api-key", "token"), labels_namespace={"a": "b"})
    assert raised.value.details == (
        "one",
        "done before: namespace `datadog` was labelled `pod-security.kubernetes.io/enforce=privileged`",
        "done before: Secret `ddhelm` was given `api-key`",
    )


def test_a_lock_that_may_not_be_made_is_told_with_the_namespace_that_was() -> None:
    cluster = Cluster()
    cluster.refuse["lease"] = ClusterError("User `x` cannot create Lease")
    with pytest.raises(ClusterError) as raised:
        run(cluster, creates_namespace=True)
    assert raised.value.details == ("done before: namespace `datadog` was made",)


def test_a_namespace_that_somebody_made_meanwhile_is_not_called_ours() -> None:
    cluster = Cluster()
    cluster.refuse["namespace"] = ClusterError("AlreadyExists")
    with pytest.raises(PlanStale, match="by somebody else") as raised:
        run(cluster, creates_namespace=True)
    assert raised.value.details == ()
    assert cluster.log == []


ENV = parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "datadog", Masker(b"k" * 32))


def forecast(patch: pytest.MonkeyPatch, **standing: Any) -> None:
    """Of every object the API server says that a list in it has two entries of one key."""
    twice = ReleaseError("`a` has two entries", anchor="duplicate-entries")
    refusals = tuple(Refusal(identity, twice) for identity in ENV.objects)
    patch.setattr(live, "read", lambda *_given, **_how: live.Read(Live({}), {}, refusals, **standing))
    patch.setattr(look, "targets", lambda _manifests: ())


@pytest.mark.parametrize("major", [3, 4])
def test_a_forecast_in_a_new_namespace_is_judged_as_that_of_a_plan(monkeypatch: pytest.MonkeyPatch, major: int) -> None:
    forecast(monkeypatch)
    cluster, told = Cluster(), list[object]()
    cluster.revisions = {}

    def carried_out() -> Outcome:
        return run(cluster, major=major, wanted=ENV, creates_namespace=True, observer=told.append)

    if major == 4:
        with pytest.raises(PreflightFailed, match="would refuse 1 object; no release was touched"):
            carried_out()
        assert cluster.log == ["namespace"]
    else:
        assert carried_out().failure is None
        (warned,) = [each.line for each in told if isinstance(each, Warned)]
        assert warned.endswith("that is taken, and which one counts is not certain")


def test_what_others_altered_of_an_object_that_was_not_forecast_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    forecast(monkeypatch, standing=ENV.objects)
    told = list[object]()
    run(Cluster(), wanted=ENV, creates_namespace=True, observer=told.append)
    (warned,) = [each.line for each in told if isinstance(each, Warned)]
    assert warned.endswith("whether others altered the object is not known")
