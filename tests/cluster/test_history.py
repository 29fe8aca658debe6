"""history, rollback and unlock on a real API: both releases as one story and one unit."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.charts import is_stand_in, package
from tests.cluster import policies, records
from tests.cluster.driver import SMALL, Ddhelm, agents_by_node, generations, needs_operator, recorded, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.test_audit import here, told, verbs
from tests.cluster.test_onboard import crds
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

LEASE = "/apis/coordination.k8s.io/v1/namespaces/datadog/leases/ddhelm"


def runs(ddhelm: Ddhelm) -> list[dict[str, int]]:
    """The runs of the history: release to revision."""
    document = ddhelm("history", "-o", "json").json
    assert document["kind"] == "History"
    return [{r["release"]: r["revision"] for r in run["revisions"]} for run in document["data"]["runs"]]


def manifests(sandbox: Sandbox) -> dict[str, str]:
    """What Helm has stored with the newest revisions, as text."""
    return {name: records.record(sandbox, name, rows[-1][0])["manifest"] for name, rows in revisions(sandbox).items()}


@each_helm("4.3", matrix=["3.22"])
def test_both_releases_go_back_as_one_and_forward_again(cluster: Clusters, helm_version: str) -> None:
    """Manifests and settings: what flags said is remembered, changed by flags, and comes back with its revision."""
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    assert "ddhelm onboard" in ddhelm("history", code=1).err
    remembered = ("--site", "https://app.datadoghq.eu", "--set", "datadog.tags={a:b}")
    ddhelm.onboard("--cluster-name", "first", *remembered)
    first, before = manifests(sandbox), generations(sandbox)
    nothing = ddhelm("rollback", "--yes", code=1)
    assert "no earlier revision" in nothing.err
    changed = ddhelm.onboard("--cluster-name", "second", "--site", "us5", key=None)
    assert "datadoghq.eu" in changed.out
    second = manifests(sandbox)
    values = ddhelm("values", "worker").out
    assert all(each in values for each in ("clusterName: second", "site: us5.datadoghq.com", "a:b")), values
    assert "second" not in ddhelm("values", "worker", "--reset-settings").out
    assert runs(ddhelm) == [{WORKER: 1, CONTROL_PLANE: 1}, {WORKER: 2, CONTROL_PLANE: 2}]

    shown = ddhelm("rollback", "--dry-run")
    assert "rollback to 1" in shown.out
    assert "second → first" in shown.out
    assert revisions(sandbox)[WORKER][-1] == (2, "deployed")
    ddhelm("rollback", code=64)
    back = ddhelm("rollback", "--yes")
    assert "3 of 3 nodes run exactly one agent" in back.out
    assert manifests(sandbox) == first
    assert all(generations(sandbox)[name] > generation for name, generation in before.items())
    assert "clusterName: first" in ddhelm("values", "worker").out
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    assert ddhelm("drift").code == 0

    ddhelm("rollback", "--yes")
    assert manifests(sandbox) == second
    assert "clusterName: second" in ddhelm("values", "control-plane").out
    assert runs(ddhelm)[-1] == {WORKER: 4, CONTROL_PLANE: 4}
    assert "Nothing to do" in ddhelm("rollback", "4", "--yes").out
    ddhelm("rollback", "1", "--only", "control-plane", "--yes")
    assert revisions(sandbox)[WORKER][-1] == (4, "deployed")
    assert revisions(sandbox)[CONTROL_PLANE][-1] == (5, "deployed")
    assert all(len(found) == 1 for found in agents_by_node(sandbox).values())


@pytest.mark.matrix  # unit/test_timeline.py holds which revisions are one run
def test_a_run_that_changed_one_release_is_undone_in_that_one(cluster: Clusters) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard("--only", "worker")
    ddhelm.onboard("--set", "datadog.tags={a:b}", key=None)
    stays = ddhelm("rollback", "--dry-run").out
    assert f"{CONTROL_PLANE} did not stand then" in stays
    assert f"helm uninstall {CONTROL_PLANE} --namespace datadog" in stays
    ddhelm.onboard("--only", "worker", "--worker-set", "datadog.logLevel=DEBUG", key=None)
    before = revisions(sandbox)
    assert {name: found[-1][0] for name, found in before.items()} == {WORKER: 3, CONTROL_PLANE: 1}
    assert re.search(rf"{CONTROL_PLANE} +upgrade +settings remembered only", ddhelm("plan").out)
    assert "only what the release remembers" in ddhelm("diff", "values", "--detailed-exitcode", code=2).out
    ddhelm.onboard("--only", "control-plane", "--control-plane-set", "datadog.logLevel=ERROR", key=None)
    assert ddhelm("history", "-o", "json").json["data"]["rollback"] == {CONTROL_PLANE: 1}, "two runs of one minute"
    ddhelm("rollback", "--yes")
    assert revisions(sandbox)[WORKER] == before[WORKER]
    assert revisions(sandbox)[CONTROL_PLANE][-1] == (3, "deployed")
    ddhelm("rollback", "2", "--only", "worker", "--yes")
    assert revisions(sandbox)[WORKER][-1] == (4, "deployed")


@contextmanager
def no_daemonset_is_changed(sandbox: Sandbox) -> Iterator[None]:
    """A policy that denies it, dry runs apart: what a plan forecasts goes well, and then nothing does."""
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["daemonsets"]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "real", "expression": "request.dryRun != true && request.subResource == ''"}],
        "validations": [{"expression": "false", "message": "frozen"}],
    }
    policies.put(sandbox, "ValidatingAdmissionPolicy", "frozen", policy, validationActions=["Deny"])

    def frozen() -> bool:
        mark = f"tried={time.time()}"
        try:
            sandbox.kubectl("-n", "datadog", "annotate", "--overwrite", f"ds/{CONTROL_PLANE}-datadog", mark)
        except subprocess.CalledProcessError as error:
            return "frozen" in error.stderr
        return False

    wait_for(frozen)
    try:
        yield
    finally:
        sandbox.kubectl("delete", "validatingadmissionpolicy/frozen", "validatingadmissionpolicybinding/frozen")
        wait_for(lambda: not frozen())


@each_helm("3.22", matrix=["4.3"])
def test_after_a_change_that_failed_the_way_back_is_to_what_stood_before_it(
    cluster: Clusters, helm_version: str
) -> None:
    """Also where the rollback failed too: no revision is `deployed` then, and drift is told of all the same."""
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard("--cluster-name", "first")
    ddhelm.onboard("--cluster-name", "second", key=None)
    with no_daemonset_is_changed(sandbox):
        ddhelm.onboard("--cluster-name", "third", key=None, code=1)
        newest, status = revisions(sandbox)[WORKER][-1]
        assert status == "failed"
        assert ddhelm("history", "-o", "json").json["data"]["rollback"] == {WORKER: 2}
        shown = ddhelm("rollback", "--dry-run").out
        assert re.search(rf"{WORKER} +rollback to 2", shown)
        assert re.search(rf"{CONTROL_PLANE} +nothing", shown)
        assert "never stood" in ddhelm("rollback", str(newest), "--only", "worker", "--yes", code=1).err
        assert "has no revision 7; Helm has kept 1" in ddhelm("rollback", "7", "--yes", code=1).err
        ddhelm("rollback", "--yes", code=1)
    sandbox.kubectl("-n", "datadog", "delete", "configmap", f"{WORKER}-datadog-installinfo")
    drift = ddhelm("drift", code=2)
    assert f"ConfigMap datadog/{WORKER}-datadog-installinfo is gone" in drift.out
    assert "no revision was ever deployed" not in drift.out
    ddhelm("rollback", "--yes")
    assert revisions(sandbox)[WORKER][-1][1] == "deployed"
    assert "clusterName: second" in ddhelm("values", "worker").out
    assert f"{WORKER}-datadog-installinfo" in sandbox.kubectl("-n", "datadog", "get", "configmaps")


@pytest.mark.matrix  # the test before refuses both
def test_a_revision_that_is_not_there_or_never_stood_is_refused(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "3.22")
    ddhelm.onboard()
    refused = ddhelm("rollback", "7", "--yes", code=1)
    assert "has no revision 7; Helm has kept 1" in refused.err
    for node in ("worker-1", "worker-2"):  # `helm --wait` is content when all but maxUnavailable pods are ready
        sandbox.simulate(node, never_ready="ImagePullBackOff")
    from tests.cluster.by_hand import helm

    stuck = [
        "--reuse-values",
        "--set",
        "agents.image.tag=7.99.9",
        "--namespace",
        "datadog",
        "--wait",
        "--timeout",
        "3s",
    ]
    helm(sandbox, "3.22", "upgrade", WORKER, ddhelm.chart()[1], *stuck, code=1)
    refused = ddhelm("rollback", "2", "--only", "worker", "--yes", code=1)
    assert "never stood" in refused.err
    for node in ("worker-1", "worker-2"):
        sandbox.simulate(node, never_ready=None)
    assert ddhelm("history", "-o", "json").json["data"]["rollback"] == {WORKER: 1}
    ddhelm("rollback", "--yes")
    assert revisions(sandbox)[WORKER][-1] == (3, "deployed")
    assert ddhelm("drift").code == 0


@pytest.mark.matrix  # the upgrade is test_plan_file.py's, the way back the one of the tests above
@pytest.mark.skipif(not is_stand_in(), reason="makes a second version of the stand-in")
def test_another_chart_version_comes_back_with_its_revision(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    newer = package(sandbox.kubeconfig.parent, "3.999.1")
    ddhelm("upgrade", "--yes", "--chart", str(newer))
    charts = {r["chart"] for r in ddhelm("history", "-o", "json").json["data"]["runs"][-1]["revisions"]}
    assert charts == {"datadog-3.999.1"}
    back = ddhelm("rollback", "--yes")
    assert "datadog-3.999.0" in back.out


@pytest.mark.matrix  # test_onboard.py: CRDs that were annotated by hand
@each_helm("3.22", "4.3")
def test_definitions_that_would_vanish_stop_a_rollback(cluster: Clusters, helm_version: str) -> None:
    needs_operator()
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard("--worker-set", "datadog.operator.enabled=false")
    ddhelm.onboard("--worker-set", "datadog.operator.enabled=true,operator.datadogCRDs.keepCrds=false", key=None)
    had = crds(sandbox)
    assert had
    before = revisions(sandbox)
    refused = ddhelm("rollback", "--yes", code=3)
    assert "--delete-crds" in refused.err
    assert revisions(sandbox) == before
    ddhelm("rollback", "--yes", "--delete-crds")
    assert crds(sandbox) != had


@each_helm("3.22", matrix=["4.3"])
def test_definitions_that_were_kept_are_taken_in_again(cluster: Clusters, helm_version: str) -> None:
    """Client-side, helm's first try fails at them and its second does it: the plan and the outcome are one rollback."""
    needs_operator()
    sandbox = cluster(SMALL)
    kept = "datadog.operator.enabled=true,operator.datadogCRDs.keepCrds=true"
    Ddhelm(sandbox, "3.22").onboard("--worker-set", kept)
    had = crds(sandbox)
    assert set(had.values()) == {"keep"}
    sandbox.kubectl("annotate", "crd", next(iter(had)), "helm.sh/resource-policy-")
    ddhelm = Ddhelm(sandbox, helm_version)
    without = ddhelm.onboard("--worker-set", "datadog.operator.enabled=false", key=None)
    assert "marks the CRDs to be kept" in without.out
    assert crds(sandbox) == had, "also the one whose annotation was taken away"
    shown = ddhelm("rollback", "--dry-run").out
    assert "more stand already: not made, but taken into the release" in " ".join(shown.split())
    ddhelm("rollback", "--yes")
    assert revisions(sandbox)[WORKER][-1][1] == "deployed"
    assert len(runs(ddhelm)) == 3, "both tries are one run"
    assert ddhelm("plan", "--detailed-exitcode").code == 0
    assert ddhelm("drift").code == 0


def test_the_lock_is_shown_and_only_taken_from_the_dead(cluster: Clusters) -> None:
    """A run that it refuses leaves the cluster alone and is remembered here; taking it away is recorded there."""
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    assert "Nobody holds the lock" in ddhelm("unlock").out

    def hold(renewed: float) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(renewed))
        spec = {"holderIdentity": "anna@host (pid 1)", "leaseDurationSeconds": 120}
        sandbox.loader.merge(LEASE, {"spec": {**spec, "acquireTime": stamp, "renewTime": stamp}})

    hold(time.time())
    alive = ddhelm("unlock", "--yes", code=5)
    assert "anna@host (pid 1)" in alive.out
    assert "--force" in alive.err
    before = len(sandbox.writes())
    assert "lock" in ddhelm.onboard("--set", "datadog.tags={a:b}", key=None, code=5).err
    assert len(sandbox.writes()) == before
    assert verbs(here(sandbox)[1])[-1] == ("onboard", "failed")
    refused = told(ddhelm)[-1]["audit"]
    assert refused["onlyHere"]
    assert "anna@host (pid 1)" in refused["message"]
    hold(time.time() - 600)
    ddhelm("unlock", code=64)
    freed = ddhelm("unlock", "--yes")
    assert "anna@host (pid 1)" in freed.out
    assert not sandbox.api_get(LEASE)["spec"].get("holderIdentity")
    hold(time.time())
    ddhelm("unlock", "--yes", "--force")
    assert recorded(sandbox)[-1]["changes"] == [{"what": "lock of anna@host (pid 1) taken away"}]
    assert "Nobody holds the lock" in ddhelm("unlock").out
