"""onboard on a real control plane: what it promises for the kubeadm topology, with Helm 3 and Helm 4."""

import json
import re

import pytest

from tests.cluster.by_hand import helm
from tests.cluster.driver import API_KEY, SMALL, Ddhelm, agents_by_node, generations, needs_operator, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.test_uninstall import cluster_scoped
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

CONFD = "control-plane-ddagent-datadog-confd"


def owners(sandbox: Sandbox) -> dict[str, set[str]]:
    """Release to the objects that carry its annotation, over every kind that the charts have."""
    found: dict[str, set[str]] = {}
    space = "/namespaces/datadog"
    for path in (
        *(f"/apis/apps/v1{space}/{kind}" for kind in ("daemonsets", "deployments")),
        *(f"/api/v1{space}/{kind}" for kind in ("configmaps", "services", "serviceaccounts", "secrets")),
        *(f"/apis/rbac.authorization.k8s.io/v1{space}/{kind}" for kind in ("roles", "rolebindings")),
        *(f"/apis/rbac.authorization.k8s.io/v1/{kind}" for kind in ("clusterroles", "clusterrolebindings")),
    ):
        for item in sandbox.api_get(path)["items"]:
            annotations = item["metadata"].get("annotations") or {}
            if name := annotations.get("meta.helm.sh/release-name"):
                found.setdefault(name, set()).add(f"{path} {item['metadata']['name']}")
    return found


@each_helm("3.22", "4.3")
def test_a_kubeadm_cluster_is_onboarded_kept_repaired_and_left(cluster: Clusters, helm_version: str) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)

    first = ddhelm.onboard()
    assert "8 of 8 nodes run exactly one agent" in first.out
    placed = agents_by_node(sandbox)
    assert len(placed) == 8
    assert all(len(found) == 1 for found in placed.values()), placed
    controllers = {name for name, found in placed.items() if found == [f"{CONTROL_PLANE}-datadog"]}
    tainted = {
        node["metadata"]["name"]
        for node in sandbox.api_get("/api/v1/nodes")["items"]
        if "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
    }
    assert controllers == tainted
    deployments = sandbox.api_get("/apis/apps/v1/namespaces/datadog/deployments")["items"]
    assert [d["metadata"]["name"] for d in deployments] == [f"{WORKER}-datadog-cluster-agent"]
    owned = owners(sandbox)
    assert set(owned) == {WORKER, CONTROL_PLANE}
    assert not owned[WORKER] & owned[CONTROL_PLANE]

    before = generations(sandbox)
    again = ddhelm.onboard(key=None)
    assert "Nothing to do" in again.out
    assert generations(sandbox) == before
    assert revisions(sandbox) == {WORKER: [(1, "deployed")], CONTROL_PLANE: [(1, "deployed")]}

    sandbox.kubectl("delete", "daemonset", f"{WORKER}-datadog", "-n", "datadog")
    original = sandbox.api_get(f"/api/v1/namespaces/datadog/configmaps/{CONFD}")["data"]
    patch = '{"data": {"kube_scheduler.yaml": "instances: []"}}'
    sandbox.kubectl("patch", "configmap", CONFD, "-n", "datadog", "--type=merge", "-p", patch)
    repaired = ddhelm.onboard(key=None)
    assert "repair" in repaired.out
    assert sandbox.api_get(f"/api/v1/namespaces/datadog/configmaps/{CONFD}")["data"] == original
    assert all(len(found) == 1 for found in agents_by_node(sandbox).values())
    assert "Nothing to do" in ddhelm.onboard(key=None).out

    gone = ddhelm("uninstall", "--yes")
    assert "secret" in gone.out.lower()
    assert owners(sandbox) == {}
    assert revisions(sandbox) == {}
    secrets = sandbox.api_get("/api/v1/namespaces/datadog/secrets")["items"]
    assert [s["metadata"]["name"] for s in secrets] == ["ddhelm"]
    ddhelm("uninstall", "--yes", "--delete-secrets", "--delete-namespace")
    wait_for(lambda: not sandbox.api.find("/api/v1/namespaces/datadog"), 20, "the namespace to go")


def test_the_oldest_supported_helm_installs_keeps_and_removes(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    before = cluster_scoped(sandbox)
    ddhelm = Ddhelm(sandbox, "3.13")
    assert "8 of 8 nodes run exactly one agent" in ddhelm.onboard().out
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    ddhelm("uninstall", "--yes", "--delete-secrets", "--delete-namespace")
    assert owners(sandbox) == {}
    assert cluster_scoped(sandbox) == before, "all at once, the namespace too"


def test_a_managed_cluster_gets_one_release_and_the_sentence_that_says_why(cluster: Clusters) -> None:
    sandbox = cluster("managed")
    ddhelm = Ddhelm(sandbox, "4.3")
    old = chart_version() < (3, 152, 0)  # such a chart collects nothing of EKS' control plane, and ddhelm says so
    if old:
        refused = ddhelm.onboard(code=3)
        assert "older than 3.152.0" in refused.err
        assert sandbox.writes() == []
    anyway = ("--skip", "requirements") if old else ()
    done = ddhelm.onboard(*anyway)
    assert re.search(r"one release:.*control plane", done.out, re.IGNORECASE | re.DOTALL), done.out
    assert set(revisions(sandbox)) == {WORKER}
    assert sorted(map(len, agents_by_node(sandbox).values())) == [0, 0, 1, 1, 1]
    assert "workload=batch:NoSchedule" in done.out
    assert "--tolerate workload=batch:NoSchedule" in done.out
    ddhelm.onboard("--tolerate", "workload=batch:NoSchedule", *anyway, key=None)
    assert all(found == [f"{WORKER}-datadog"] for found in agents_by_node(sandbox).values())
    assert "Nothing to do" in ddhelm.onboard(*anyway, key=None).out


def chart_version() -> tuple[int, ...]:
    """The version of the chart under test, as its package is named."""
    found = re.search(r"-(\d+)\.(\d+)\.(\d+)", Ddhelm.chart()[1])
    assert found is not None, Ddhelm.chart()
    return tuple(map(int, found.groups()))


def test_a_single_node_without_taint_gets_exactly_one_agent_and_the_cluster_agent(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    Ddhelm(sandbox, "3.22").onboard()
    assert list(agents_by_node(sandbox).values()) == [[f"{CONTROL_PLANE}-datadog"]]
    agent = sandbox.api_get(f"/apis/apps/v1/namespaces/datadog/deployments/{WORKER}-datadog-cluster-agent")
    assert agent["status"]["readyReplicas"] == 1


@pytest.mark.matrix  # unit/test_earlier.py holds which settings count
def test_what_was_given_for_one_release_alone_is_what_the_next_run_is_about(cluster: Clusters) -> None:
    """As somebody does who tries a value on the control plane first."""
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    ddhelm.onboard("--only", "control-plane", "--set", "datadog.tags={new:tag}", key=None)
    planned = ddhelm("plan")
    assert "the releases remember different settings" in planned.out
    assert f"those of `{CONTROL_PLANE}` revision 2, the newest upgrade, are taken" in planned.out
    assert "new:tag" in ddhelm("values", "worker").out
    ddhelm.onboard(key=None)
    assert revisions(sandbox) == {
        WORKER: [(1, "superseded"), (2, "deployed")],
        CONTROL_PLANE: [(1, "superseded"), (2, "deployed")],
    }
    assert "remember different settings" not in ddhelm("plan").out
    ddhelm("rollback", "1", "--only", "control-plane", "--yes")
    assert "new:tag" in ddhelm("values", "control-plane").out, "a way back is nobody's wish for the next run"


def test_a_dry_run_changes_nothing_at_all_and_without_a_terminal_a_change_needs_yes(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    shown = ddhelm.onboard("--dry-run", key=None)
    assert "install" in shown.out
    refused = ddhelm("onboard", *ddhelm.chart(), environment={"DD_API_KEY": API_KEY}, code=64)
    assert "--yes" in refused.err
    assert sandbox.writes() == []
    assert not sandbox.api.find("/api/v1/namespaces/datadog")


@each_helm("4.3", matrix=["3.22"])
def test_pods_are_replaced_for_an_order_and_not_for_a_spelling(cluster: Clusters, helm_version: str) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    request = "agents.containers.agent.resources.requests.cpu"
    tags, team = {"name": "XX_TAGS", "value": "team:$(TEAM)"}, {"name": "TEAM", "value": "core"}

    def env(*variables: dict[str, str]) -> tuple[str, str]:
        return "--set-json", f"datadog.env={json.dumps(variables)}"

    ddhelm.onboard(*env(tags, team), "--worker-set", f"{request}=1000m")
    before = generations(sandbox)
    assert "rolls 2 node agents" in ddhelm.onboard(*env(team, tags), key=None).out
    rolled = generations(sandbox)
    agent = f"daemonsets/{WORKER}-datadog"
    assert rolled[agent] == before[agent] + 1
    pod = sandbox.api_get(f"/apis/apps/v1/namespaces/datadog/{agent}")["spec"]["template"]["spec"]
    names = [each["name"] for each in pod["containers"][0]["env"]]
    assert names.index("TEAM") < names.index("XX_TAGS")
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    spelled = ddhelm.onboard("--worker-set", f"{request}=1", key=None)
    # client-side the server was not asked what Helm would make of it
    assert ("rolls" in spelled.out) is (helm_version == "3.22")
    assert generations(sandbox) == rolled


_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_OPERATOR_OFF = ("--worker-set", "datadog.operator.enabled=false")


def crds(sandbox: Sandbox) -> dict[str, str | None]:
    """Name to resource policy."""
    metadata = [each["metadata"] for each in sandbox.api_get(_CRDS)["items"]]
    return {each["name"]: each.get("annotations", {}).get("helm.sh/resource-policy") for each in metadata}


@pytest.mark.matrix  # test_history.py, where they are taken in again
@each_helm("3.22", "4.3")
def test_crds_whose_annotation_was_taken_away_are_kept_all_the_same(cluster: Clusters, helm_version: str) -> None:
    needs_operator()
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard("--worker-set", "datadog.operator.enabled=true,operator.datadogCRDs.keepCrds=true")
    had = crds(sandbox)
    assert set(had.values()) == {"keep"}
    sandbox.kubectl("annotate", "crd", next(iter(had)), "helm.sh/resource-policy-")
    assert "marks the CRDs to be kept" in ddhelm.onboard(*_OPERATOR_OFF, key=None).out
    assert crds(sandbox) == had
    assert "Nothing to do" in ddhelm.onboard(key=None).out


@each_helm("4.3", matrix=["3.22"])
def test_crds_that_would_vanish_stop_a_rollback_those_annotated_by_hand_stop_nothing_and_only_the_others_go(
    cluster: Clusters, helm_version: str
) -> None:
    needs_operator()
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard(*_OPERATOR_OFF)
    ddhelm.onboard("--worker-set", "datadog.operator.enabled=true,operator.datadogCRDs.keepCrds=false", key=None)
    had = sorted(crds(sandbox))
    before = revisions(sandbox)
    assert "--delete-crds" in ddhelm("rollback", "--yes", code=3).err
    assert revisions(sandbox) == before
    sandbox.kubectl("annotate", "crd", *had, "helm.sh/resource-policy=keep")
    planned = ddhelm("plan", *ddhelm.chart(), *_OPERATOR_OFF, "-o", "json").json["data"]
    assert (planned["lostCrds"], planned["problems"]) == ([], [])
    assert [each["release"] for each in planned["steps"]] == [WORKER, CONTROL_PLANE]
    sandbox.kubectl("annotate", "crd", had[0], "helm.sh/resource-policy-")
    done = ddhelm("rollback", "--yes", "--delete-crds")
    assert done.out.count("DELETES CustomResourceDefinition") == 1
    wait_for(lambda: sorted(crds(sandbox)) == had[1:], 60, "the CRD to go")


@each_helm("3.22", matrix=["4.3"])
def test_the_leftovers_of_the_pair_made_by_hand_are_healed(cluster: Clusters, helm_version: str) -> None:
    """datadog-real-api: the naive pair fails at its second release; what stands is taken over, CRDs survive."""
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    chart = ddhelm.chart()[1]
    naive = ["--namespace", "datadog", "--create-namespace", "--set", f"datadog.apiKey={'a' * 32}"]
    helm(sandbox, helm_version, "install", WORKER, chart, *naive)
    helm(sandbox, helm_version, "install", CONTROL_PLANE, chart, *naive, code=1)
    crds = {
        c["metadata"]["name"]
        for c in sandbox.api_get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    }
    sandbox.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")
    healed = ddhelm.onboard(key=None)
    assert healed.out.index(f"release `{WORKER}` was made without ddhelm") < healed.out.index("STEP")
    assert "8 of 8 nodes run exactly one agent" in healed.out
    after = {
        c["metadata"]["name"]
        for c in sandbox.api_get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    }
    assert after == crds
    assert "Nothing to do" in ddhelm.onboard(key=None).out
