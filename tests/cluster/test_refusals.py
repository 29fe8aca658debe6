"""Bad input and clusters that must not be touched: a clear error, the right exit code, nothing changed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.charts import is_stand_in
from tests.cluster.driver import API_KEY, Ddhelm, Result
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox

WRONG_TYPE = ["spec.template.spec.tolerations", "not a list"] if is_stand_in() else ["cannot be rendered"]
"""Of `agents.tolerations=3`: the real chart's template makes no YAML of it."""


@pytest.fixture
def kubeadm(cluster: Clusters) -> Sandbox:
    return cluster("kubeadm")


def refused(sandbox: Sandbox, *arguments: str, code: int, says: Sequence[str], **options: object) -> Result:
    """The command fails with ``code``, says each of these in its error, hints at something, and writes nothing."""
    before = len(sandbox.writes())
    result = Ddhelm(sandbox, "4.3").onboard(*arguments, code=code, **options)  # type: ignore[arg-type]
    for text in says:
        assert text in result.err, str(result)
    assert result.err.startswith("error: "), str(result)
    assert "hint: " in result.err, str(result)
    assert len(sandbox.writes()) == before, sandbox.writes()
    return result


def test_input_that_is_wrong_changes_nothing(kubeadm: Sandbox, tmp_path: Path) -> None:
    """One cluster, many mistakes: each names the thing, hints, and writes nothing."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("datadog:\n  site: [\n")
    listed = tmp_path / "list.yaml"
    listed.write_text("- a\n- b\n")
    empty, two = tmp_path / "empty", tmp_path / "two"
    empty.write_text("")
    two.write_text("a\nb\n")
    refused(kubeadm, "-f", str(broken), code=3, says=["broken.yaml:"])
    refused(kubeadm, "-f", str(listed), code=3, says=["list.yaml"])
    refused(kubeadm, "-f", str(tmp_path / "gone.yaml"), code=3, says=["gone.yaml", "No such file"])
    refused(kubeadm, "--distribution", "kubeadmm", code=3, says=["`kubeadmm`", "kubeadm"])
    refused(kubeadm, "--api-key-file", str(tmp_path / "nokey"), code=3, says=["nokey"])
    refused(kubeadm, "--api-key-file", str(empty), code=3, says=["empty"])
    refused(kubeadm, "--api-key-file", str(two), code=3, says=["two"])
    refused(kubeadm, "--cluster-name", "Prod", code=3, says=["`Prod`"])
    planted = API_KEY[::-1]
    told = refused(kubeadm, "--set", f"datadog.apiKey={planted}", code=3, says=["datadog.apiKey"])
    assert planted not in told.out + told.err
    refused(kubeadm, "--set", "agents.tolerations=3", code=3, says=WRONG_TYPE)
    refused(kubeadm, "--set", "dataDog.site=x", code=3, says=["dataDog", "datadog"])
    refused(kubeadm, "--chart", str(tmp_path / "chart.tgz"), code=3, says=["chart.tgz"])
    refused(kubeadm, "--context", "production", code=1, says=["`production`"])
    refused(kubeadm, "--timeout", "soon", code=64, says=["soon"])
    refused(kubeadm, "--logs", "--no-logs", code=64, says=["`--logs` and `--no-logs` cannot be meant together"])
    refused(kubeadm, "--no-such-flag", code=64, says=["--no-such-flag"])
    refused(kubeadm, "-o", "xml", code=64, says=["xml"])
    refused(kubeadm, "--drop-check", "etdc", code=3, says=["`etdc`"])
    refused(kubeadm, "--tolerate", "a b", code=3, says=["a b"])
    refused(kubeadm, "--accept-uncovered", "a in", code=3, says=["a in"])
    refused(kubeadm, code=3, says=["HELM_DRIVER"], environment={"HELM_DRIVER": "configmap"})
    refused(kubeadm, code=64, says=["DD_API_KEY"], key=None)


def test_a_variable_that_is_set_twice_is_refused_where_helm_applies_server_side_alone(kubeadm: Sandbox) -> None:
    kubeadm.kubectl("create", "namespace", "datadog")  # in one that is yet to be made nothing is forecast
    kubeadm.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")
    level = ("--worker-set", "datadog.env[0].name=DD_LOG_LEVEL,datadog.env[0].value=debug")
    twice = 'has two entries with name="DD_LOG_LEVEL" in `.spec.template.spec.containers[name="agent"].env`'
    refused(kubeadm, *level, code=3, says=[twice, "datadog.env"])
    helm3 = Ddhelm(kubeadm, "3.22")
    told = helm3.onboard(*level)
    assert twice in told.out.replace("\n", " ")
    assert "which one counts is not certain" in told.out.replace("\n", " ")
    assert "Nothing to do" in helm3.onboard(*level).out


def test_a_namespace_that_is_being_deleted_is_named(kubeadm: Sandbox) -> None:
    kubeadm.kubectl("create", "namespace", "datadog")
    patch = '{"metadata": {"finalizers": ["example.org/stays"]}}'
    kubeadm.kubectl("create", "configmap", "blocker", "-n", "datadog")
    kubeadm.kubectl("patch", "configmap", "blocker", "-n", "datadog", "--type=merge", "-p", patch)
    kubeadm.kubectl("delete", "namespace", "datadog", "--wait=false")
    told = refused(kubeadm, code=3, says=["nothing-terminating", "namespace `datadog` is being deleted"])
    assert "would refuse" not in told.err
    assert "✗ nothing-terminating" in Ddhelm(kubeadm, "4.3")("check", *Ddhelm.chart(), code=3).out
    kubeadm.kubectl(
        "patch", "configmap", "blocker", "-n", "datadog", "--type=merge", "-p", '{"metadata": {"finalizers": null}}'
    )


def test_a_host_port_that_is_taken_and_a_namespace_that_rejects_the_agents_are_found_before_anything_is_written(
    kubeadm: Sandbox,
) -> None:
    port = {"containerPort": 8125, "hostPort": 8125, "protocol": "UDP"}
    spec = {
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "statsd", "image": "statsd", "ports": [port]}],
    }
    labels = {"app": "statsd"}
    kubeadm.api.apply(
        "/apis/apps/v1/namespaces/default/daemonsets/statsd",
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "statsd", "namespace": "default"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        },
    )
    says = ["host-ports-free", "`default/statsd` takes 8125/udp on 3 nodes", "control-plane-1"]
    refused(kubeadm, code=3, says=says)

    kubeadm.kubectl("create", "namespace", "datadog")
    kubeadm.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=baseline")
    other = ("--control-plane-set", "datadog.dogstatsd.port=8126")
    refused(kubeadm, *other, code=3, says=["baseline", "--label-namespace"])
    done = Ddhelm(kubeadm, "4.3").onboard(*other, "--label-namespace")
    assert "8 of 8 nodes run exactly one agent" in done.out


def test_another_agent_in_the_cluster_stops_it_and_is_named(kubeadm: Sandbox) -> None:
    kubeadm.kubectl("create", "namespace", "monitoring")
    kubeadm.api.apply(
        "/apis/apps/v1/namespaces/monitoring/daemonsets/dd-agent",
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {
                "name": "dd-agent",
                "namespace": "monitoring",
                "annotations": {"meta.helm.sh/release-name": "old", "meta.helm.sh/release-namespace": "monitoring"},
            },
            "spec": {
                "selector": {"matchLabels": {"app": "dd"}},
                "template": {
                    "metadata": {"labels": {"app": "dd"}},
                    "spec": {"containers": [{"name": "agent", "image": "gcr.io/datadoghq/agent:7.60.0"}]},
                },
            },
        },
    )
    for name in ("agent", "cluster-agent"):
        pod = {"containers": [{"name": "a", "image": f"gcr.io/datadoghq/{name}:7.60.0"}]}
        template = {"metadata": {"labels": {"app": name}}, "spec": pod}
        kubeadm.api.apply(
            f"/apis/apps/v1/namespaces/monitoring/deployments/their-{name}",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": f"their-{name}", "namespace": "monitoring"},
                "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
            },
        )
    says = ["dd-agent", "monitoring", "`old`", "--allow-second-agent"]
    says += ["Deployment `monitoring/their-agent`", "Deployment `monitoring/their-cluster-agent`"]
    refused(kubeadm, code=3, says=says)


@pytest.mark.matrix  # the test of a reader asks it of a pair in `datadog`
def test_the_pair_in_another_namespace_is_named_with_the_flag_that_was_left_out(kubeadm: Sandbox) -> None:
    ddhelm = Ddhelm(kubeadm, "4.3")
    ddhelm.onboard("--namespace", "monitoring")
    told = refused(kubeadm, "--allow-second-agent", code=3, says=["installed in namespace `monitoring`"])
    assert "`--namespace monitoring`" in told.err
    assert "not so:" not in told.err
    assert "Nothing to do" in ddhelm.onboard("--namespace", "monitoring", key=None).out


def test_what_others_own_is_named_whole_with_each_owner(kubeadm: Sandbox) -> None:
    worker, cluster_agent = "worker-node-ddagent-datadog", "worker-node-ddagent-datadog-cluster-agent"
    operator = {"apiVersion": "datadoghq.com/v2alpha1", "kind": "DatadogAgent", "name": "dd", "uid": "1"}
    helm = {"meta.helm.sh/release-name": "old", "meta.helm.sh/release-namespace": "monitoring"}
    metadata: dict[str, dict[str, object]] = {
        f"v1/namespaces/datadog/serviceaccounts/{worker}": {"annotations": helm},
        f"v1/namespaces/datadog/serviceaccounts/{cluster_agent}": {"ownerReferences": [operator]},
        f"v1/namespaces/datadog/configmaps/{worker}-installinfo": {"labels": {"argocd.argoproj.io/instance": "shop"}},
        f"v1/namespaces/datadog/services/{cluster_agent}": {
            "labels": {"helm.toolkit.fluxcd.io/name": "agents", "helm.toolkit.fluxcd.io/namespace": "flux"}
        },
        f"v1/namespaces/datadog/services/{worker}": {},
    }
    kubeadm.kubectl("create", "namespace", "datadog")
    for path, more in metadata.items():
        *_, plural, name = path.split("/")
        kind = {"serviceaccounts": "ServiceAccount", "configmaps": "ConfigMap", "services": "Service"}[plural]
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **more}}
        kubeadm.loader.apply(f"/api/{path}", {**body, "spec": {"ports": [{"port": 1}]}} if kind == "Service" else body)

    refused(
        kubeadm,
        code=3,
        says=[
            f"ServiceAccount datadog/{worker} belongs to Helm release `old` in namespace `monitoring`",
            "helm uninstall old -n monitoring",
            f"ServiceAccount datadog/{cluster_agent} belongs to DatadogAgent dd, which made it",
            f"ConfigMap datadog/{worker}-installinfo belongs to Argo CD application `shop`",
            f"Service datadog/{cluster_agent} belongs to Flux HelmRelease `agents`",
            f"Service datadog/{worker} stands in the cluster and belongs to nobody",
        ],
    )


def test_an_unknown_cluster_stops_with_what_was_seen(kubeadm: Sandbox) -> None:
    for node in kubeadm.api_get("/api/v1/nodes")["items"]:
        name = node["metadata"]["name"]
        kubeadm.kubectl("annotate", "node", name, "kubeadm.alpha.kubernetes.io/cri-socket-")
    kubeadm.kubectl("delete", "configmap", "kubeadm-config", "-n", "kube-system")
    refused(kubeadm, code=1, says=["--distribution"])


def test_a_reader_may_look_and_is_told_what_it_may_not_do(kubeadm: Sandbox) -> None:
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    reader = kubeadm.user_kubeconfig("reader", rules)
    refused(kubeadm, "--kubeconfig", str(reader), code=3, says=["reader", "namespaces"])
    ddhelm = Ddhelm(kubeadm, "4.3")
    ddhelm.onboard()
    elsewhere = ("--namespace", "monitoring", "--allow-second-agent")
    told = refused(kubeadm, *elsewhere, code=3, says=["installed in namespace `datadog`"])
    assert "`--namespace datadog`" in told.err
    assert "not so:" not in told.err
    plan = ("plan", "--kubeconfig", str(reader), "--detailed-exitcode")
    assert "objects were not forecast (`reader` may not patch " in ddhelm(*plan).out
    assert "`reader` may not patch " in ddhelm(*plan, "--no-logs", code=3).err

    written = ["secrets", "configmaps", "daemonsets", "deployments", "leases"]
    verbs = ["create", "update", "patch", "delete"]
    writes = {"apiGroups": ["", "apps", "coordination.k8s.io"], "resources": written, "verbs": verbs}
    writer = kubeadm.user_kubeconfig("writer", [*rules, writes])
    Ddhelm(kubeadm, "3.22")("upgrade", "--no-logs", "--yes", "--kubeconfig", str(writer))


def test_no_cluster_at_all_is_one_line(kubeadm: Sandbox) -> None:
    kubeadm.kill("kube-apiserver")
    try:
        result = Ddhelm(kubeadm, "4.3").onboard(code=1)
        assert "refused" in result.err or "reach" in result.err, str(result)
    finally:
        kubeadm.restart("kube-apiserver")


def test_without_helm_the_hint_says_where_to_get_it(kubeadm: Sandbox, tmp_path: Path) -> None:
    kubectl = next(Path(p) for p in kubeadm.environment()["PATH"].split(":") if (Path(p) / "kubectl").exists())
    (tmp_path / "kubectl").symlink_to(kubectl / "kubectl")
    refused(kubeadm, code=1, says=["`helm`"], environment={"PATH": str(tmp_path)})


def test_a_hint_carries_the_flags_that_named_the_place(kubeadm: Sandbox) -> None:
    """Pasted, it must act where the command acted that gave it."""
    ddhelm = Ddhelm(kubeadm, "3.22")
    place = ("-n", "elsewhere", "--context", ddhelm.context, "--kubeconfig", str(kubeadm.kubeconfig))
    wanted = f"ddhelm onboard {' '.join(place)}"
    told = ddhelm("history", *place, code=1)
    assert f"hint: {wanted}, or name another --namespace" in told.err.splitlines(), str(told)
    assert f"hint: {wanted}" in ddhelm("status", *place, code=4).out
    problems = ddhelm("status", *place, "-o", "json", code=4).json["data"]["problems"]
    assert wanted in {each["hint"] for each in problems}
    assert "ddhelm onboard" in {
        each["hint"] for each in ddhelm("status", "-o", "json", code=4).json["data"]["problems"]
    }
