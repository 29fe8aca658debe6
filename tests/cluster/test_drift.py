"""drift on a real API: what people, controllers and admission do to our objects, and who did it.

Every difference is made by a real program: kubectl, the HorizontalPodAutoscaler, an admission policy.
"""

import json
import re
from typing import Any

import pytest
import yaml

from tests.cluster import policies
from tests.cluster.by_hand import helm
from tests.cluster.driver import SMALL, Ddhelm, agents_by_node, generations, has_operator, needs_operator, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.webhook import MIRROR, webhook
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

AGENT = f"{WORKER}-datadog"
CLUSTER_AGENT = f"{WORKER}-datadog-cluster-agent"
CONFD = f"{CONTROL_PLANE}-datadog-confd"
DEPLOYMENT = f"/apis/apps/v1/namespaces/datadog/deployments/{CLUSTER_AGENT}"


def found(ddhelm: Ddhelm, *, code: int = 2) -> dict[str, dict[str, Any]]:
    """`Kind name` to its drift; the fields by their path."""
    document = ddhelm("drift", "-o", "json", code=code).json
    assert document["kind"] == "Drift"
    return {
        f"{each['kind']} {each['name']}": {**each, "fields": {f["path"]: f for f in each["fields"]}}
        for each in document["data"]["objects"]
    }


def managers(field: dict[str, Any]) -> list[str]:
    return [by["manager"] for by in field["by"]]


@pytest.mark.matrix  # the next test with the operator; after an upgrade and a restart test_restart.py
@pytest.mark.parametrize(
    ("helm_version", "more"),
    [
        ("3.22", ()),
        ("4.3", ("--worker-set", "datadog.operator.enabled=true")),
        ("4.3", ()),
        ("3.22", ("--worker-set", "datadog.operator.enabled=true")),
    ],
    ids=["helm-3", "helm-4-operator", "helm-4", "helm-3-operator"],
)
def test_what_was_just_deployed_has_not_drifted(cluster: Clusters, helm_version: str, more: tuple[str, ...]) -> None:
    if more:
        needs_operator()
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard(*more)
    assert found(ddhelm, code=0) == {}
    ddhelm.onboard("--set", "datadog.tags={a:b}", key=None)
    assert found(ddhelm, code=0) == {}
    sandbox.kubectl("rollout", "restart", f"daemonset/{AGENT}", f"deployment/{CLUSTER_AGENT}", "-n", "datadog")
    assert "no drift" in ddhelm("drift").out


@each_helm("4.3", matrix=["3.22"])
def test_each_change_is_found_with_its_author_and_its_fate(cluster: Clusters, helm_version: str) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard(*(("--worker-set", "datadog.operator.enabled=true") if has_operator() else ()))
    assert found(ddhelm, code=0) == {}, "what was just deployed has not drifted"
    overwritten = "conflict" if helm_version == "4.3" else "overwritten"
    kubectl = sandbox.kubectl
    kubectl("-n", "datadog", "set", "env", f"daemonset/{AGENT}", "-c", "agent", "STRAY=1")
    kubectl("-n", "datadog", "set", "image", f"daemonset/{AGENT}", "agent=example.com/other:1")
    kubectl("-n", "datadog", "delete", "configmap", f"{AGENT}-installinfo")
    patch = '{"data": {"kube_scheduler.yaml": "instances: []"}}'
    kubectl("-n", "datadog", "patch", "configmap", CONFD, "--type=merge", "-p", patch)
    kubectl("-n", "datadog", "scale", "deployment", CLUSTER_AGENT, "--replicas=3")
    kubectl("-n", "datadog", "label", "service", CLUSTER_AGENT, "team=x")

    drift = found(ddhelm)
    assert set(drift) == {
        f"DaemonSet {AGENT}",
        f"ConfigMap {AGENT}-installinfo",
        f"ConfigMap {CONFD}",
        f"Deployment {CLUSTER_AGENT}",
        f"Service {CLUSTER_AGENT}",
    }
    assert drift[f"ConfigMap {AGENT}-installinfo"]["missing"]
    agent = drift[f"DaemonSet {AGENT}"]["fields"]
    container = "spec.template.spec.containers[name=agent]"
    assert set(agent) == {f"{container}.image", f"{container}.env[name=STRAY]"}
    stray = agent[f"{container}.env[name=STRAY]"]
    assert (stray["change"], stray["nextUpgrade"], managers(stray)) == ("added", "kept", ["kubectl-set"])
    image = agent[f"{container}.image"]
    assert (image["live"], image["nextUpgrade"]) == ("example.com/other:1", overwritten)
    assert managers(image) == ["kubectl-set"]
    assert image["by"][0]["time"]
    (file,) = drift[f"ConfigMap {CONFD}"]["fields"].values()
    assert (file["live"], managers(file), file["nextUpgrade"]) == ("instances: []", ["kubectl-patch"], overwritten)
    replicas = drift[f"Deployment {CLUSTER_AGENT}"]["fields"]["spec.replicas"]
    assert (replicas["deployed"], replicas["live"]) == (1, 3)
    assert replicas["by"][0] | {"time": ""} == {
        "manager": "kubectl",
        "operation": "Update",
        "subresource": "scale",
        "time": "",
    }
    label = drift[f"Service {CLUSTER_AGENT}"]["fields"]["metadata.labels.team"]
    assert (managers(label), label["nextUpgrade"]) == (["kubectl-label"], "kept")

    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    reader = str(sandbox.user_kubeconfig("reader", everything, namespace=""))
    read = ddhelm("drift", "-o", "json", "--kubeconfig", reader, code=2).json["data"]
    assert {f"{each['kind']} {each['name']}" for each in read["objects"]} == set(drift), "who may only read sees it too"
    (same,) = (each["fields"] for each in read["objects"] if each["name"] == AGENT)
    assert {field["path"] for field in same} == set(agent)
    assert read["unread"]

    for command in (label["toRemove"], stray["toRemove"]):
        _shell(sandbox, helm_version, command)
    before = revisions(sandbox)
    ddhelm("drift", "--revert", code=64)
    assert revisions(sandbox) == before
    reverted = ddhelm("drift", "--revert", "--yes")
    assert "3 → 1" in reverted.out
    assert found(ddhelm, code=0) == {}
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    assert all(len(agents) == 1 for agents in agents_by_node(sandbox).values())

    planted = "hunter2-hunter2"
    kubectl("-n", "datadog", "set", "env", f"daemonset/{AGENT}", "-c", "agent", f"STRAY_PASSWORD={planted}")
    standing = generations(sandbox)
    left = ddhelm("drift", "--revert", "--yes", code=2)
    assert all(planted not in ddhelm("drift", "-o", form, code=2).out for form in ("table", "json", "yaml"))
    assert "to remove it: kubectl" in left.out
    assert "Nothing to set back" in left.err
    assert generations(sandbox) == standing, "what was added survives a revert"


def _agent_environment(sandbox: Sandbox) -> list[dict[str, Any]]:
    daemonset = sandbox.api_get(f"/apis/apps/v1/namespaces/datadog/daemonsets/{AGENT}")
    containers = daemonset["spec"]["template"]["spec"]["containers"]
    return list(next(each["env"] for each in containers if each["name"] == "agent"))


def _tags(sandbox: Sandbox, helm_version: str) -> str:
    """What the chart makes of the tag `a:b`: a list as JSON, in older ones (3.90) the tag alone."""
    flags = ("--set", "datadog.tags={a:b}", "--set", "datadog.apiKeyExistingSecret=x")
    text = helm(sandbox, helm_version, "template", "r", Ddhelm.chart()[1], *flags).stdout
    (value, *_) = re.findall(r"name: DD_TAGS\n *value: (.*)", text)
    return str(yaml.safe_load(value))


@each_helm("3.22", matrix=["4.3"])
def test_a_plan_says_what_becomes_of_each_field_and_that_is_what_happens(cluster: Clusters, helm_version: str) -> None:
    """A field kept, one overwritten or in conflict, one that the upgrade sets to what already stands there."""
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    tags = _tags(sandbox, helm_version)
    for environment in ("STRAY=1", "DD_LOG_LEVEL=debug", f"DD_TAGS={tags}"):
        sandbox.kubectl("-n", "datadog", "set", "env", f"daemonset/{AGENT}", "-c", "agent", environment)
    upgrade = ("--chart", ddhelm.chart()[1], "--worker-set", "datadog.tags={a:b}")
    conflict = helm_version == "4.3"
    planned = ddhelm("plan", *upgrade, "-o", "json", code=3 if conflict else 0).json["data"]["changedInCluster"]
    fates = {field["path"].rpartition("name=")[2]: field for each in planned for field in each["fields"]}
    assert {name: (field["nextUpgrade"], managers(field)) for name, field in fates.items()} == {
        "STRAY]": ("kept", ["kubectl-set"]),
        "DD_LOG_LEVEL].value": ("conflict" if conflict else "overwritten", ["kubectl-set"]),
        "DD_TAGS]": ("kept", ["kubectl-set"]),
    }
    told = ddhelm("plan", *upgrade, "--force-conflicts").out
    assert "by kubectl-set" in told
    assert "overwritten" in told
    assert "conflict" not in told
    ddhelm.onboard(*upgrade[2:], "--force-conflicts", key=None)
    found_now = {each["name"]: each.get("value") for each in _agent_environment(sandbox)}
    assert (found_now["STRAY"], found_now["DD_TAGS"]) == ("1", tags)
    assert found_now["DD_LOG_LEVEL"] != "debug"


@pytest.mark.matrix  # test_failures.py has a field of another manager
def test_a_field_that_another_program_applied_at_its_value_is_told_before_it_stops_helm(cluster: Clusters) -> None:
    """Nothing has drifted; the owner alone makes the upgrade fail, which Helm says half-way."""
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard("--worker-set", "datadog.logLevel=warn")
    level = next(each for each in _agent_environment(sandbox) if each["name"] == "DD_LOG_LEVEL")
    template = {"spec": {"containers": [{"name": "agent", "env": [level]}]}}
    body = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": AGENT}, "spec": {"template": template}}
    apply = ("-n", "datadog", "apply", "--server-side", "--field-manager=argocd", "-f", "-")
    sandbox.kubectl(*apply, input=json.dumps(body))
    assert found(ddhelm, code=0) == {}
    assert ddhelm("plan", "-o", "json").json["data"]["changedInCluster"] == []
    upgrade = ("--worker-set", "datadog.logLevel=error")
    planned = ddhelm("plan", *upgrade, "-o", "json", code=3).json["data"]
    (field,) = (field for each in planned["changedInCluster"] for field in each["fields"])
    assert field["path"].endswith("containers[name=agent].env[name=DD_LOG_LEVEL].value")
    assert (field["change"], field["live"], field["nextUpgrade"]) == ("owned", "warn", "conflict")
    assert managers(field) == ["argocd"]
    assert "as deployed, but no longer helm's alone" in ddhelm("plan", *upgrade, "--force-conflicts").out
    ddhelm.onboard(*upgrade, "--force-conflicts", key=None)
    assert {each["name"]: each.get("value") for each in _agent_environment(sandbox)}["DD_LOG_LEVEL"] == "error"


@each_helm("3.22", matrix=["4.3"])
def test_what_a_failed_upgrade_left_is_drift_written_by_helm_and_a_revert_says_what_of_it_goes(
    cluster: Clusters, helm_version: str
) -> None:
    """Helm 3 upgrades from the last deployed revision: what a failed one changed stays until somebody looks.

    A rollback it compares with the newest revision, whatever became of it.
    """
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    budgets = "/apis/policy/v1/namespaces/datadog/poddisruptionbudgets"
    sets = "clusterAgent.pdb.create=true,datadog.logLevel=TRACE,agents.image.tag=7.99.9"
    stuck = ("--reuse-values", "--set", sets, "--namespace", "datadog", "--wait", "--timeout", "3s")
    workers = ("worker-1", "worker-2")  # `helm --wait` is content when all but maxUnavailable pods are ready
    for node in workers:
        sandbox.simulate(node, never_ready="ImagePullBackOff")
    helm(sandbox, helm_version, "upgrade", WORKER, ddhelm.chart()[1], *stuck, code=1)
    assert revisions(sandbox)[WORKER][-1] == (2, "failed")
    assert len(sandbox.api_get(budgets)["items"]) == 1
    told = {by["manager"] for each in found(ddhelm).values() for f in each["fields"].values() for by in f["by"]}
    assert told == {"helm"}
    assert "revision 2 is `failed`" in ddhelm("drift", code=2).out
    problem, *_ = ddhelm("status", "-o", "json", code=4).json["data"]["problems"]
    assert f"release `{WORKER}` revision 2 is `failed`" in problem["text"]
    assert "revision 1 is the last that was deployed" in problem["text"]

    for node in workers:
        sandbox.simulate(node, never_ready=None)
        sandbox.kubectl("delete", "pods", "-n", "datadog", f"--field-selector=spec.nodeName={node}", "--wait=false")
    again = ddhelm("plan")
    assert re.search(rf"{WORKER} +rollback to 1 .*1 delete", again.out), again.out
    reverted = ddhelm("drift", "--revert", "--yes")
    assert f"PodDisruptionBudget datadog/{CLUSTER_AGENT}" in reverted.out
    assert "1 delete" in reverted.out
    assert sandbox.api_get(budgets)["items"] == []
    assert ddhelm("drift").code == 0


@each_helm("3.22", matrix=["4.3"])
def test_scaled_by_hand_becomes_a_value_when_adopted_and_an_autoscaler_is_named_and_never_adopted(
    cluster: Clusters, helm_version: str
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    sandbox.kubectl("-n", "datadog", "scale", "deployment", CLUSTER_AGENT, "--replicas=2")
    adopted = ddhelm("drift", "--adopt", "--yes")
    assert "clusterAgent.replicas=2" in adopted.out
    assert found(ddhelm, code=0) == {}
    assert "replicas: 2" in ddhelm("values", "worker").out
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    assert sandbox.api_get(DEPLOYMENT)["spec"]["replicas"] == 2

    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": CLUSTER_AGENT}
    sandbox.loader.post(
        "/apis/autoscaling/v2/namespaces/datadog/horizontalpodautoscalers",
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "dca"},
            "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 4},
        },
    )
    wait_for(lambda: sandbox.api_get(DEPLOYMENT)["spec"]["replicas"] == 3, 60, "the autoscaler")
    replicas = found(ddhelm)[f"Deployment {CLUSTER_AGENT}"]["fields"]["spec.replicas"]
    assert [(by["manager"], by["subresource"]) for by in replicas["by"]] == [("kube-controller-manager", "scale")]
    assert "HorizontalPodAutoscaler that sets it again" in ddhelm("drift", code=2).out
    refused = ddhelm("drift", "--adopt", "--yes", code=3)
    assert "an autoscaler writes it" in refused.err


@pytest.mark.matrix  # with Helm 4 test_failures.py, beside a field of another manager
@each_helm("3.22", "4.3")
def test_an_upgrade_says_beforehand_what_it_does_to_replicas_scaled_by_hand(
    cluster: Clusters, helm_version: str
) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    sandbox.kubectl("-n", "datadog", "scale", "deployment", CLUSTER_AGENT, "--replicas=2")
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    before = revisions(sandbox)
    stopped = 3 if helm_version == "4.3" else 0
    planned = ddhelm("plan", "--no-logs", code=stopped)
    assert "has 2 replicas and gets 1" in planned.out
    assert f"~ Deployment datadog/{CLUSTER_AGENT} (restore)\n      spec.replicas: 2 → 1" in planned.out
    assert (".spec.replicas" in planned.err) == (helm_version == "4.3")
    assert revisions(sandbox) == before
    ddhelm.onboard("--no-logs", "--force-conflicts", key=None)
    assert sandbox.api_get(DEPLOYMENT)["spec"]["replicas"] == 1


@pytest.mark.matrix  # the next test has the same drift, after an upgrade
@each_helm("3.22", "4.3")
def test_what_a_mutating_webhook_writes_is_drift_of_that_webhook_and_stays(
    cluster: Clusters, helm_version: str
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    with webhook(sandbox, "datadog"):
        ddhelm.onboard()
        drift = drift_of_the_webhook(ddhelm, "ConfigMap", "DaemonSet")
        assert "Nothing to do" in ddhelm.onboard(key=None).out
        ddhelm.onboard("--set", "datadog.tags={a:b}", key=None)
        assert found(ddhelm).keys() == drift.keys()


def drift_of_the_webhook(ddhelm: Ddhelm, *kinds: str) -> dict[str, dict[str, Any]]:
    """Objects of these kinds, each field the webhook's and to stay."""
    drift = found(ddhelm)
    assert {each["kind"] for each in drift.values()} == set(kinds)
    for each in drift.values():
        for path, field in each["fields"].items():
            label = each["kind"] == "ConfigMap"
            assert path == "metadata.labels.billing" if label else path.endswith(".image")
            assert field["live"] == ("team-x" if label else f"{MIRROR}{field['deployed']}")
            assert (field["admission"], field["nextUpgrade"], field["by"]) == (True, "kept", [])
    assert "MutatingWebhookConfiguration `team-x`" in ddhelm("drift", code=2).out
    return drift


@each_helm("4.3", matrix=["3.22"])
def test_a_webhook_that_came_later_has_changed_nothing_until_something_is_written(
    cluster: Clusters, helm_version: str
) -> None:
    """No drift, nothing to repair; the plan of the next upgrade says what the webhook will make of it."""
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    with webhook(sandbox, "datadog"):
        assert found(ddhelm, code=0) == {}
        assert "Nothing to do" in ddhelm.onboard(key=None).out
        upgrade = ("--worker-set", "datadog.tags={a:b}")
        before = _versions(sandbox)
        planned = ddhelm("plan", *upgrade, "-o", "json").json["data"]["steps"]
        ddhelm.onboard(*upgrade, key=None)
        after = _versions(sandbox)
        assert {each["name"] for step in planned for each in step["objects"]} == {
            name for name, version in after.items() if version != before[name]
        }
        drift_of_the_webhook(ddhelm, "DaemonSet", *(["ConfigMap"] if helm_version == "4.3" else []))
        assert "Nothing to do" in ddhelm.onboard(key=None).out


def _versions(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """ConfigMap or workload of the releases to what a write changes of it."""
    places = ("/api/v1/namespaces/datadog/configmaps", "/apis/apps/v1/namespaces/datadog/daemonsets")
    return {
        item["metadata"]["name"]: {"labels": item["metadata"]["labels"], "spec": item.get("spec")}
        for place in (*places, "/apis/apps/v1/namespaces/datadog/deployments")
        for item in sandbox.api_get(place)["items"]
        if item["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "Helm"
    }


@each_helm("3.22", matrix=["4.3"])
def test_the_label_of_an_admission_policy_is_drift_of_that_policy_and_an_apiservice_is_repaired_where_helm_sets_it_back(
    cluster: Clusters, helm_version: str
) -> None:
    """Helm 3 sends the difference of two manifests for it: a repair made a revision in every run, and nothing else."""
    sandbox = cluster(SMALL)
    label_everything(sandbox)
    ddhelm = Ddhelm(sandbox, helm_version)
    name, by_hand = "v1beta1.external.metrics.k8s.io", {"spec": {"groupPriorityMinimum": 2000}}
    ddhelm.onboard("--worker-set", "clusterAgent.metricsProvider.enabled=true")
    try:
        drift = found(ddhelm)
        assert drift
        assert {each["kind"] for each in drift.values()} == {"ConfigMap"}
        for each in drift.values():
            (field,) = each["fields"].values()
            assert (field["path"], field["live"]) == (r"metadata.labels.billing", "team-x")
            assert (field["admission"], field["nextUpgrade"], field["by"]) == (True, "kept", [])
        assert "MutatingAdmissionPolicy `billing`" in ddhelm("drift", code=2).out
        assert "Nothing to do" in ddhelm.onboard(key=None).out

        sandbox.kubectl("patch", "apiservice", name, "--type=merge", "-p", json.dumps(by_hand))
        told = ddhelm.onboard(key=None).out
        if helm_version == "4.3":
            assert "1 restore" in told
            assert found(ddhelm).keys() == drift.keys()
            return
        assert f"`kubectl edit apiservice.apiregistration.k8s.io {name}` sets it back" in told
        assert "Nothing to do" in told
        assert ddhelm("plan", *ddhelm.chart(), "--detailed-exitcode").code == 0
        (field,) = found(ddhelm)[f"APIService {name}"]["fields"].values()
        assert field["nextUpgrade"] == "kept"
        assert "Nothing to set back" in ddhelm("drift", "--revert", "--yes", code=2).err
        assert len(revisions(sandbox)[WORKER]) == 1
    finally:
        sandbox.kubectl("delete", "apiservice", name)


def test_where_nothing_is_installed_there_is_nothing_to_compare(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    assert "ddhelm onboard" in Ddhelm(sandbox, "4.3")("drift", code=1).err


def label_everything(sandbox: Sandbox) -> None:
    """An admission policy that puts a label on every ConfigMap of the namespace, as teams' policies do."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    expression = 'Object{metadata: Object.metadata{labels: {"billing": "team-x"}}}'
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "ours", "expression": 'object.metadata.namespace == "datadog"'}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    }
    policies.put(sandbox, "MutatingAdmissionPolicy", "billing", policy)
    sandbox.loader.post("/api/v1/namespaces", {"metadata": {"name": "datadog"}})
    sandbox.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")

    def labelled() -> bool:
        """A policy takes a moment until it is in force."""
        path = "/api/v1/namespaces/datadog/configmaps"
        made = sandbox.loader.post(path, {"metadata": {"name": "probe"}})
        sandbox.loader.delete(f"{path}/probe")
        return "billing" in (made["metadata"].get("labels") or {})

    wait_for(labelled, 20, "the policy to be in force")


def _shell(sandbox: Sandbox, helm_version: str, command: str) -> None:
    import subprocess

    subprocess.run(
        ["bash", "-c", command], env=sandbox.environment(helm=helm_version), check=True, capture_output=True, timeout=30
    )
