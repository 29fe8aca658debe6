"""The chart under test on a real API: accepted as it is, with rights that suffice, and with the operator's traps.

Each test runs on the stand-in, and on the real chart where `DDHELM_TEST_CHART` names one.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from tests.charts import chart
from tests.charts.render import Json, at, merged, objects, shape
from tests.helm.test_chart_stand_in import CONTROL_PLANE, WORKER, C, W, control_plane_values, worker_values
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

WITH_OPERATOR = merged(worker_values, at("datadog.operator.enabled", True))
KEY = "node-role.kubernetes.io/control-plane"


def affinity(operator: str) -> Json:
    """Nodes with the control-plane label (`Exists`) or without it (`DoesNotExist`)."""
    terms = [{"matchExpressions": [{"key": KEY, "operator": operator}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return at("agents.affinity.nodeAffinity", required)


def upgrade(sandbox: Sandbox, helm: str, release: str, values: Mapping[str, Any]) -> str:
    """`helm upgrade --install`; the stored manifest. Raises AssertionError with helm's own words."""
    argv = ["helm", "upgrade", "--install", release, str(chart()), "-n", "datadog", "--create-namespace", "-f", "-"]
    done = run(sandbox, helm, [*argv, "--reset-values"], json.dumps(values))
    assert done.returncode == 0, done.stderr
    return run(sandbox, helm, ["helm", "get", "manifest", release, "-n", "datadog"]).stdout


def run(sandbox: Sandbox, helm: str, argv: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The program with the sandbox's environment, whatever it answers."""
    return subprocess.run(
        argv,
        env=sandbox.environment(helm=helm),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def has_operator(manifest: str) -> bool:
    """Whether this chart brings an operator (from 3.157.0 on)."""
    return ("Deployment", f"{WORKER}-operator") in shape(objects(manifest))


def definitions(sandbox: Sandbox) -> set[str]:
    """Names of the custom resource definitions that are in the cluster and not on their way out of it."""
    found = json.loads(sandbox.kubectl("get", "crd", "-o", "json"))["items"]
    return {crd["metadata"]["name"] for crd in found if "deletionTimestamp" not in crd["metadata"]}


@each_helm("4.3", matrix=["3.22"])
def test_the_pair_installs_and_its_accounts_may_read_the_components(cluster: Clusters, helm_version: str) -> None:
    sandbox = cluster("kubeadm")
    upgrade(sandbox, helm_version, WORKER, merged(worker_values, affinity("DoesNotExist")))
    upgrade(sandbox, helm_version, CONTROL_PLANE, merged(control_plane_values, affinity("Exists")))

    def ready() -> bool:
        sets = json.loads(sandbox.kubectl("get", "daemonsets", "-n", "datadog", "-o", "json"))["items"]
        return {s["metadata"]["name"]: s["status"].get("numberReady") for s in sets} == {W: 5, C: 3}

    wait_for(ready, 60, "5 and 3 agents")
    token = sandbox.kubectl("create", "token", C, "-n", "datadog").strip()
    ports = sandbox.ports
    for port in (ports.apiserver, ports.scheduler, ports.controller_manager):
        for path in ("/metrics", "/metrics/slis"):
            assert b"# TYPE" in get(f"https://127.0.0.1:{port}{path}", token)
    lease = "apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"
    for path in (lease, "api/v1/nodes?limit=1", "api/v1/pods?limit=1", "version"):
        assert get(f"https://127.0.0.1:{ports.apiserver}/{path}", token)


def get(url: str, token: str) -> bytes:
    """What the component answers the bearer of the token; its certificate is not looked at."""
    context = ssl._create_unverified_context()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        return bytes(answer.read())


def test_the_second_upgrade_gives_the_operator_its_keys_and_the_third_changes_nothing(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    first, second, third = (upgrade(sandbox, "4.3", WORKER, WITH_OPERATOR) for _ in range(3))
    if not has_operator(first):
        pytest.skip("this chart has no operator")
    changed = [after for before, after in zip(objects(first), objects(second), strict=True) if before != after]
    assert [(d["kind"], d["metadata"]["name"]) for d in changed] == [("Deployment", f"{WORKER}-operator")]
    (container,) = changed[0]["spec"]["template"]["spec"]["containers"]
    keys = {v["name"]: v["valueFrom"]["secretKeyRef"]["name"] for v in container["env"] if v["name"].endswith("_KEY")}
    assert keys == {"DD_API_KEY": "ddhelm", "DD_APP_KEY": "ddhelm"}
    assert second == third


@each_helm("3.22", matrix=["4.3"])
def test_definitions_belong_to_one_release_and_go_with_the_operator(cluster: Clusters, helm_version: str) -> None:
    sandbox = cluster("kubeadm")
    if not has_operator(upgrade(sandbox, helm_version, WORKER, WITH_OPERATOR)):
        pytest.skip("this chart has no operator")
    owned = {name for name in definitions(sandbox) if name.endswith(".datadoghq.com")}
    assert "datadogmonitors.datadoghq.com" in owned
    second = merged(control_plane_values, at("datadog.operator.enabled", True))
    argv = ["helm", "install", CONTROL_PLANE, str(chart()), "-n", "datadog", "-f", "-"]
    refused = run(sandbox, helm_version, argv, json.dumps(second))
    assert refused.returncode == 1
    assert "invalid ownership metadata" in refused.stderr
    upgrade(sandbox, helm_version, WORKER, worker_values)
    wait_for(lambda: not owned & definitions(sandbox), 60, "the definitions to go")


def test_definitions_that_were_kept_first_outlive_the_operator(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    kept = merged(WITH_OPERATOR, at("operator.datadogCRDs.keepCrds", True))
    if "helm.sh/resource-policy: keep" not in upgrade(sandbox, "4.3", WORKER, kept):
        pytest.skip("this chart knows no keepCrds (3.174.0)")
    owned = {name for name in definitions(sandbox) if name.endswith(".datadoghq.com")}
    upgrade(sandbox, "4.3", WORKER, worker_values)
    assert owned
    assert owned <= definitions(sandbox)
