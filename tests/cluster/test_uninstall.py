"""uninstall on a real control plane: what goes, what stays, and what it refuses to break."""

import base64
import gzip
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ddhelm.actions import leftovers
from ddhelm.kubectl import Answer
from tests.charts import chart
from tests.cluster.by_hand import helm
from tests.cluster.driver import Ddhelm, needs_operator, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.sandbox.api import ApiError
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

ADMISSION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
SPACE = "/api/v1/namespaces/datadog"
SERVICE = f"{WORKER}-datadog-cluster-agent-admission-controller"


def webhook(sandbox: Sandbox, name: str, *services: str) -> None:
    """A webhook configuration as the Cluster Agent makes it: it blocks pods whose Service is gone."""
    hooks = [
        {
            "name": f"h{position}.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": {"service": {"namespace": "datadog", "name": service, "path": "/x"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["bindings"]}],
        }
        for position, service in enumerate(services)
    ]
    sandbox.loader.post(ADMISSION, {"metadata": {"name": name}, "webhooks": hooks})


def names(sandbox: Sandbox, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in sandbox.api_get(path)["items"]}


def cluster_scoped(sandbox: Sandbox) -> set[str]:
    """Everything outside of namespaces that could be ours."""
    found = set()
    for path in (
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        "/apis/apiregistration.k8s.io/v1/apiservices",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        ADMISSION,
        "/api/v1/namespaces",
    ):
        found |= {f"{path.rpartition('/')[2]}/{name}" for name in names(sandbox, path)}
    return found


def rewrite(sandbox: Sandbox, release: str, change: Callable[[dict[str, Any]], None], status: str = "") -> None:
    """Change a stored release as another cluster version or a kill would have left it."""
    path = f"{SPACE}/secrets/sh.helm.release.v1.{release}.v1"
    secret = sandbox.api_get(path)
    record = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    change(record)
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(record).encode()))).decode()
    labels = {"status": status} if status else {}
    sandbox.loader.merge(path, {"data": {"release": packed}, "metadata": {"labels": labels}})


@each_helm("3.22", matrix=["4.3"])
def test_everything_of_ours_goes_in_the_end_and_nothing_else(cluster: Clusters, helm_version: str) -> None:
    sandbox = cluster("kubeadm")
    before = cluster_scoped(sandbox)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    webhook(sandbox, "datadog-webhook", SERVICE)
    webhook(sandbox, "shared", SERVICE, "somebody-elses")
    for name in ("datadog-cluster-id", "datadogtoken", "mine"):
        sandbox.kubectl("-n", "datadog", "create", "configmap", name)

    plan = ddhelm("uninstall", "--dry-run", "-o", "json").json["data"]
    assert [each["name"] for each in plan["releases"]] == [CONTROL_PLANE, WORKER]
    assert set(revisions(sandbox)) == {CONTROL_PLANE, WORKER}, "a dry run changes nothing"
    kinds_that_the_cluster_does_not_know_any_more_are_refused_before_helm_spoils_its_record(sandbox, ddhelm)

    told = ddhelm("uninstall", "--yes").out
    assert told.index(f"✓ release `{CONTROL_PLANE}` is gone") < told.index(f"✓ release `{WORKER}` is gone")
    assert names(sandbox, ADMISSION) - {"sandbox.ddhelm.dev"} == {"shared"}
    assert names(sandbox, f"{SPACE}/pods") == set()
    assert revisions(sandbox) == {}
    for kept in ("secret `ddhelm`", "configmap `datadogtoken`", "namespace `datadog`", "lease `ddhelm`"):
        assert kept in told
    command = next(line for line in told.splitlines() if "kubectl" in line and "datadogtoken" in line)
    sandbox.kubectl(*command.partition("kubectl ")[2].split())
    assert "datadogtoken" not in names(sandbox, f"{SPACE}/configmaps")

    crowded = ddhelm("uninstall", "--yes", "--delete-secrets", "--delete-namespace").out
    assert "it holds what is not ours: ConfigMap `mine`" in crowded
    assert names(sandbox, f"{SPACE}/secrets") == set()
    assert names(sandbox, f"{SPACE}/configmaps") == {"datadog-cluster-id", "kube-root-ca.crt", "mine"}
    assert names(sandbox, "/apis/coordination.k8s.io/v1/namespaces/datadog/leases") == set()

    sandbox.kubectl("-n", "datadog", "delete", "configmap", "mine")
    assert "✓ namespace `datadog` is gone" in ddhelm("uninstall", "--yes", "--delete-namespace").out
    assert cluster_scoped(sandbox) - before == {"mutatingwebhookconfigurations/shared"}
    assert "Nothing to remove" in ddhelm("uninstall", "--yes", "--delete-secrets", "--delete-namespace").out


def kinds_that_the_cluster_does_not_know_any_more_are_refused_before_helm_spoils_its_record(
    sandbox: Sandbox, ddhelm: Ddhelm
) -> None:
    old = "---\napiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata:\n  name: old\n"

    def age(record: dict[str, Any]) -> None:
        record["manifest"] += old

    def mend(record: dict[str, Any]) -> None:
        record["manifest"] = record["manifest"].removesuffix(old)

    rewrite(sandbox, WORKER, age)
    before = len(sandbox.writes())
    told = ddhelm("uninstall", "--yes", "--context", ddhelm.context, code=3)
    assert f"the stored manifest of `{WORKER}` has kinds that this cluster does not know" in told.err
    assert "PodSecurityPolicy in `policy/v1beta1`" in told.err
    assert "(Helm 4: with --verify=false)" in told.err
    assert f"helm mapkubeapis --kube-context {ddhelm.context} {WORKER} --namespace datadog" in told.err
    assert len(sandbox.writes()) == before
    assert revisions(sandbox) == {CONTROL_PLANE: [(1, "deployed")], WORKER: [(1, "deployed")]}
    rewrite(sandbox, WORKER, mend)


@each_helm("3.22", matrix=["4.3"])
def test_what_a_failed_upgrade_left_goes_too_and_a_release_that_a_kill_left_uninstalling(
    cluster: Clusters, helm_version: str
) -> None:
    sandbox = cluster("kubeadm")
    before = cluster_scoped(sandbox)
    ddhelm = Ddhelm(sandbox, helm_version)
    runner = "clusterChecksRunner.enabled"
    ddhelm.onboard("--worker-set", f"{runner}=true", "--worker-set", "datadog.clusterChecks.enabled=true")
    sets = f"{runner}=false,clusterAgent.replicas=-1"  # nothing is deleted where an object is refused
    space = ("-n", "datadog", "--reuse-values")
    helm(sandbox, helm_version, "upgrade", WORKER, str(chart()), *space, "--set", sets, code=1)
    assert revisions(sandbox)[WORKER] == [(1, "deployed"), (2, "failed")]

    def kill(record: dict[str, Any]) -> None:
        record["info"]["status"] = "uninstalling"

    rewrite(sandbox, CONTROL_PLANE, kill, "uninstalling")
    assert "uninstalling" in ddhelm("uninstall", "--dry-run").out
    told = ddhelm("uninstall", "--yes").out
    assert revisions(sandbox) == {}
    assert names(sandbox, "/apis/apps/v1/namespaces/datadog/daemonsets") == set()
    assert f"- deployment `{WORKER}-datadog-clusterchecks`" in told
    assert names(sandbox, "/apis/apps/v1/namespaces/datadog/deployments") == set()
    assert cluster_scoped(sandbox) - before == {"namespaces/datadog"}


def test_what_a_user_named_otherwise_is_known_all_the_same(cluster: Clusters) -> None:
    sandbox = cluster("managed")
    before = cluster_scoped(sandbox)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard("--set", "fullnameOverride=dd")
    webhook(sandbox, "datadog-webhook", "dd-cluster-agent-admission-controller")
    plan = ddhelm("plan", "--set", "agents.podAnnotations.a=b", "--set", "clusterAgent.podAnnotations.a=b").out
    assert re.search(r"rolls \d+ node agents", plan), plan
    assert "restarts the Cluster Agent" in plan
    told = ddhelm("rotate", "token", "--yes").out
    assert told.index("dd-cluster-agent") < told.rindex("dd ")
    ddhelm("uninstall", "--yes")
    assert cluster_scoped(sandbox) - before == {"namespaces/datadog"}


@pytest.mark.matrix  # adapters/test_uninstall.py has the order and the limit
def test_a_cluster_agent_that_does_not_stop_keeps_its_webhook_and_ends_in_bounded_time(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    for number in range(1, 6):
        sandbox.simulate(f"worker-{number}", stop_after="10m")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    webhook(sandbox, "datadog-webhook", SERVICE)
    told = ddhelm("uninstall", "--yes", "--timeout", "5s", code=4)
    assert "Cluster Agent pods: still there after 5 s" in told.out
    assert "datadog-webhook" in names(sandbox, ADMISSION)
    assert revisions(sandbox) == {}
    sandbox.kubectl("-n", "datadog", "delete", "pods", "--all", "--force", "--grace-period=0")
    wait_for(lambda: not names(sandbox, f"{SPACE}/pods"), 20, "the pods to go")
    ddhelm("uninstall", "--yes")
    assert "datadog-webhook" not in names(sandbox, ADMISSION)


def test_crds_that_hold_objects_stop_it_empty_ones_go_and_a_namespace_that_ddhelm_did_not_make_stays(
    cluster: Clusters,
) -> None:
    needs_operator()
    sandbox = cluster("kubeadm")
    sandbox.kubectl("create", "namespace", "datadog")
    helm(sandbox, "4.3", "install", WORKER, str(chart()), "-n", "datadog", "--set", "datadog.apiKeyExistingSecret=x")
    crds = {
        name for name in names(sandbox, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions") if "datadog" in name
    }
    assert "datadogdashboards.datadoghq.com" in crds
    board = {
        "apiVersion": "datadoghq.com/v1alpha1",
        "kind": "DatadogDashboard",
        "metadata": {"name": "mine", "namespace": "default"},
        "spec": {"title": "mine", "layoutType": "ordered", "widgets": "[]"},
    }
    path = "/apis/datadoghq.com/v1alpha1/namespaces/default/datadogdashboards"
    wait_for(lambda: posted(sandbox, path, board), 20, "the CRD to be served")
    ddhelm = Ddhelm(sandbox, "4.3")
    told = ddhelm("uninstall", "--yes", code=3)
    assert "CRD `datadogdashboards.datadoghq.com` holds 1 object" in told.err
    assert "keepCrds" in told.err
    assert set(revisions(sandbox)) == {WORKER}
    sandbox.loader.delete(f"{path}/mine")
    sandbox.kubectl("-n", "datadog", "create", "secret", "generic", "ddhelm")
    done = ddhelm("uninstall", "--yes", "--delete-secrets", "--delete-namespace").out
    assert f"{len(crds)} of them empty CRDs" in done
    assert "ddhelm did not make it" in done
    assert "datadog" in names(sandbox, "/api/v1/namespaces")
    assert names(sandbox, f"{SPACE}/secrets") == set()
    wait_for(
        lambda: not crds & names(sandbox, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"), 60, "CRDs to go"
    )


def posted(sandbox: Sandbox, path: str, body: dict[str, Any]) -> bool:
    try:
        sandbox.loader.post(path, body)
    except ApiError:
        return False
    return True


def test_crds_with_the_keep_policy_stay_and_are_named(cluster: Clusters) -> None:
    needs_operator()
    sandbox = cluster("kubeadm")
    sandbox.kubectl("create", "namespace", "datadog")
    values = "datadog.apiKeyExistingSecret=x,operator.datadogCRDs.keepCrds=true"
    helm(sandbox, "3.22", "install", WORKER, str(chart()), "-n", "datadog", "--set", values)
    # helm's uninstall reads the manifest, where its upgrade reads what stands
    sandbox.kubectl("annotate", "crd", "datadogdashboards.datadoghq.com", "helm.sh/resource-policy-")
    told = Ddhelm(sandbox, "3.22")("uninstall", "--yes").out
    assert "crd `datadogdashboards.datadoghq.com`" in told
    assert "kept by its resource policy" in told
    assert "datadogdashboards.datadoghq.com" in names(
        sandbox, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    )


@pytest.mark.parametrize("arguments", [(), ("--delete-secrets",)])
def test_without_a_terminal_and_without_yes_nothing_is_removed(cluster: Clusters, arguments: tuple[str, ...]) -> None:
    sandbox = cluster("kubeadm")
    sandbox.kubectl("create", "namespace", "datadog")
    sandbox.kubectl("-n", "datadog", "create", "secret", "generic", "ddhelm")
    webhook(sandbox, "datadog-webhook", SERVICE)
    before = len(sandbox.writes())
    assert "--yes" in Ddhelm(sandbox, "4.3")("uninstall", *arguments, code=64).err
    assert len(sandbox.writes()) == before


def test_the_table_of_kinds_knows_every_kind_that_this_kubernetes_can_keep_in_a_namespace(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    made_for_others = {
        "CSIStorageCapacity",
        "ControllerRevision",
        "Endpoints",
        "EndpointSlice",
        "Event",
        "PodTemplate",
        "ReplicaSet",
    }
    listed, unread = leftovers._listable(Reader(sandbox), "datadog")
    roots = [
        "/api/v1",
        *(f"/apis/{each['preferredVersion']['groupVersion']}" for each in sandbox.api_get("/apis")["groups"]),
    ]
    found = {
        resource["kind"]
        for root in roots
        for resource in sandbox.api_get(root)["resources"]
        if resource["namespaced"] and "list" in resource["verbs"] and "/" not in resource["name"]
    }
    assert found - set(listed.values()) <= made_for_others
    assert unread == []
    for path in listed:
        sandbox.api_get(path)


class Reader:
    """``Kubectl.raws`` without kubectl."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def raws(self, paths: Sequence[str]) -> tuple[Answer, ...]:
        return tuple(Answer(path, json.dumps(self.sandbox.api_get(path)).encode()) for path in paths)
