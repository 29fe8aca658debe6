"""The stand-in chart behaves as the real one where ddhelm touches it.

Every expectation is written down, so that it fails without the real chart too. With `DDHELM_TEST_CHART` each test runs
on the real package as well, and the two are laid side by side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.charts import VARIABLE, chart, chart_dir, is_stand_in, package
from tests.charts.render import Json, Refused, Shape, at, merged, one, render, shape, template

WORKER, CONTROL_PLANE = "worker-node-ddagent", "control-plane-ddagent"
W, C = f"{WORKER}-datadog", f"{CONTROL_PLANE}-datadog"
LEADER = f"{W}-cluster-agent"

worker_values: Json = {
    "datadog": {
        "apiKeyExistingSecret": "ddhelm",
        "appKeyExistingSecret": "ddhelm",
        "clusterName": "demo",
        "tags": ["team:a"],
        "logs": {"enabled": True, "containerCollectAll": True},
        "processAgent": {"processCollection": True},
        "operator": {"enabled": False},
        "apm": {"instrumentation": {"skipKPITelemetry": True}},
    },
    "clusterAgent": {"tokenExistingSecret": "ddhelm"},
}
control_plane_values: Json = {
    "datadog": {
        "apiKeyExistingSecret": "ddhelm",
        "clusterName": "demo",
        "operator": {"enabled": False},
        "kubeStateMetricsEnabled": False,
        "kubeStateMetricsCore": {"enabled": False},
        "orchestratorExplorer": {"rbac": {"create": False}},
        "collectEvents": False,
        "leaderElection": False,
        "helmCheck": {"enabled": False},
        "discovery": {"enabled": False},
        "apm": {"socketEnabled": False, "portEnabled": False, "instrumentation": {"skipKPITelemetry": True}},
        "ignoreAutoConfig": ["etcd", "kubernetes_state"],
        "confd": {"etcd.yaml": "init_config:\ninstances:\n  - prometheus_url: http://localhost:2381/metrics\n"},
        "env": [{"name": "DD_CLUSTER_AGENT_URL", "value": f"https://{LEADER}.datadog.svc:5005"}],
    },
    "existingClusterAgent": {
        "join": True,
        "serviceName": LEADER,
        "tokenSecretName": "ddhelm",
        "clusterchecksEnabled": False,
    },
    "clusterAgent": {
        "rbac": {"flareAdditionalPermissions": False},
        "metricsProvider": {"enabled": False},
        "admissionController": {"enabled": False},
    },
    "clusterChecksRunner": {"enabled": False},
    "agents": {"useHostNetwork": True, "tolerations": [{"operator": "Exists"}]},
}


def _both(kind: str, name: str) -> Shape:
    """A role and its binding, as every feature brings them."""
    return {(kind, name), (f"{kind}Binding", name)}


NODE_AGENTS: Shape = {
    ("DaemonSet", W),
    ("Service", W),
    ("ServiceAccount", W),
    ("ConfigMap", f"{W}-installinfo"),
    ("ConfigMap", f"{W}-kpi-telemetry-configmap"),
    ("ConfigMap", f"{WORKER}-endpoint-config"),
} | _both("ClusterRole", W)
SYSTEM_PROBE: Shape = {("ConfigMap", f"{W}-security"), ("ConfigMap", f"{W}-system-probe-config")}
KSM, ORCHESTRATOR = _both("ClusterRole", f"{W}-ksm-core"), _both("ClusterRole", f"{W}-orchestrator-explorer")
FLARE = _both("Role", f"{W}-dca-flare")
LEADER_CONFD: Shape = {("ConfigMap", f"{LEADER}-confd")}
ADMISSION: Shape = {("Service", f"{LEADER}-admission-controller")} | _both("Role", f"{LEADER}-main")
LEADER_ALONE: Shape = {("Deployment", LEADER), ("Service", LEADER), ("ServiceAccount", LEADER)} | _both(
    "ClusterRole", LEADER
)
ALL: Shape = NODE_AGENTS | SYSTEM_PROBE | KSM | ORCHESTRATOR | FLARE | LEADER_CONFD | ADMISSION | LEADER_ALONE
CRDS: Shape = {
    ("CustomResourceDefinition", f"datadog{plural}.datadoghq.com")
    for plural in ("agents", "agentinternals", "csidrivers", "dashboards", "genericresources", "monitors", "slos")
}
OPERATOR = CRDS | {("Deployment", f"{WORKER}-operator"), ("ServiceAccount", f"{WORKER}-operator")}
OPERATOR |= _both("ClusterRole", f"{WORKER}-operator")
EXTERNAL_METRICS: Shape = {
    ("APIService", "v1beta1.external.metrics.k8s.io"),
    ("Service", f"{LEADER}-metrics-api"),
    ("ClusterRoleBinding", f"{LEADER}-system-auth-delegator"),
    ("RoleBinding", f"{LEADER}-apiserver"),
} | _both("ClusterRole", f"{LEADER}-external-metrics-reader")
RUNNERS: Shape = {
    ("Deployment", f"{W}-clusterchecks"),
    ("ServiceAccount", f"{W}-cluster-checks"),
    ("ClusterRoleBinding", f"{W}-cluster-checks"),
}
JOINED = ALL - LEADER_ALONE - ADMISSION  # with what it leaves behind for an account that does not exist

CASES: dict[str, tuple[Json, Shape]] = {
    "worker": ({}, ALL),
    "operator": (at("datadog.operator.enabled", True), ALL | OPERATOR),
    "random token": (at("clusterAgent.tokenExistingSecret", ""), ALL | {("Secret", LEADER)}),
    "plain keys": (
        at("datadog", {"apiKey": "k", "apiKeyExistingSecret": "", "appKey": "a", "appKeyExistingSecret": ""}),
        ALL | {("Secret", W), ("Secret", f"{W}-appkey")},
    ),
    "no key": (at("datadog.apiKeyExistingSecret", ""), ALL - {("DaemonSet", W)} | {("Secret", W)}),
    "no discovery": (at("datadog.discovery.enabled", False), ALL - SYSTEM_PROBE),
    "old agent": (at("agents.image.tag", "7.70.0"), ALL - SYSTEM_PROBE),
    "no admission": (at("clusterAgent.admissionController.enabled", False), ALL - ADMISSION),
    "no kube-state-metrics": (at("datadog.kubeStateMetricsCore.enabled", False), ALL - KSM),
    "no explorer": (at("datadog.orchestratorExplorer.enabled", False), ALL - ORCHESTRATOR),
    "no rights for the explorer": (at("datadog.orchestratorExplorer.rbac.create", False), ALL - ORCHESTRATOR),
    "nothing to watch": (
        at("datadog", {"kubeStateMetricsCore": {"enabled": False}, "collectEvents": False}),
        ALL - KSM - LEADER_CONFD,
    ),
    "helm check": (at("datadog.helmCheck.enabled", True), ALL | _both("ClusterRole", f"{W}-helm-check")),
    "no Cluster Agent": (at("clusterAgent.enabled", False), JOINED - ORCHESTRATOR - FLARE),
    "joined": (at("existingClusterAgent", {"join": True, "serviceName": "s", "tokenSecretName": "t"}), JOINED),
    "external metrics": (at("clusterAgent.metricsProvider.enabled", True), ALL | EXTERNAL_METRICS),
    "runners": (at("clusterChecksRunner.enabled", True), ALL | RUNNERS),
    "check files": (at("datadog.confd", {"a.yaml": "x"}), ALL | {("ConfigMap", f"{W}-confd")}),
    "EKS": (at("providers.eks.controlPlaneMonitoring", True), ALL),
    "OpenShift": (
        merged(
            at("providers.openshift.controlPlaneMonitoring", True),
            at("agents.podSecurity.securityContextConstraints.create", True),
            at("clusterAgent.podSecurity.securityContextConstraints.create", True),
        ),
        ALL | {("SecurityContextConstraints", W), ("SecurityContextConstraints", LEADER)},
    ),
    "priority": (at("agents.priorityClassCreate", True), ALL | {("PriorityClass", W)}),
    "disruption budget": (at("clusterAgent.pdb.create", True), ALL | {("PodDisruptionBudget", LEADER)}),
    "CSI driver": (
        at("datadog.csi.enabled", True),
        ALL | {("CSIDriver", "k8s.csi.datadoghq.com"), ("DaemonSet", "datadog-csi-driver-node-server")},
    ),
}

REAL: tuple[Path, ...] = () if is_stand_in() else (chart(),)


def _new(package: Path) -> bool:
    """Whether a real chart renders what 3.240.0 does; the rest has fewer objects and says so by its version."""
    found = re.search(r"datadog-(\d+)\.(\d+)\.\d+", package.name)
    return found is None or (int(found[1]), int(found[2])) >= (3, 221)


@pytest.fixture(params=["stand-in", *(path.name for path in REAL)])
def packaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in as a package, and the real one when there is one."""
    return REAL[0] if request.param != "stand-in" else package(tmp_path_factory.mktemp("chart"))


@pytest.mark.parametrize("case", CASES)
def test_a_release_has_the_objects_that_the_real_one_has(packaged: Path, case: str) -> None:
    values, expected = CASES[case]
    helm = "3.22" if list(CASES).index(case) % 2 else "4.3"
    found = shape(render(packaged, WORKER, merged(worker_values, values), helm))
    if _new(packaged):
        assert found == expected
    else:
        extra = {(kind, name) for kind, name in found - expected if kind != "CustomResourceDefinition"}
        assert not extra


def test_a_worker_release_has_25_objects_and_a_control_plane_release_9(packaged: Path) -> None:
    documents = render(packaged, CONTROL_PLANE, control_plane_values)
    expected = {
        ("DaemonSet", C),
        ("Service", C),
        ("ServiceAccount", C),
        ("ConfigMap", f"{C}-confd"),
        ("ConfigMap", f"{C}-installinfo"),
        ("ConfigMap", f"{C}-kpi-telemetry-configmap"),
        ("ConfigMap", f"{CONTROL_PLANE}-endpoint-config"),
    } | _both("ClusterRole", C)
    assert len(ALL) == 25
    assert len(expected) == 9
    assert shape(documents) <= expected
    if _new(packaged):
        assert shape(documents) == expected
    (agent,) = _containers(documents, C) if _new(packaged) else _containers(documents, C)[:1]
    assert agent["name"] == "agent"
    assert agent["ports"] == [{"containerPort": 8125, "name": "dogstatsdport", "protocol": "UDP"}]
    pod = _pod(documents, C)
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    (confd,) = [v for v in pod["volumes"] if v["name"] == "confd"]
    assert confd["configMap"]["name"] == f"{C}-confd"
    (init,) = [c for c in pod["initContainers"] if c["name"] == "init-config"]
    assert "/conf.d" in [mount["mountPath"] for mount in init["volumeMounts"]]
    environment = _env(agent)
    assert environment["DD_CLUSTER_AGENT_KUBERNETES_SERVICE_NAME"] == LEADER
    assert environment["DD_EXTRA_CONFIG_PROVIDERS"] == "endpointschecks"
    assert environment["DD_IGNORE_AUTOCONF"] == "etcd kubernetes_state"


if REAL and _new(REAL[0]):  # nothing to compare with otherwise; older charts render other containers

    @pytest.mark.parametrize("case", ["control plane", *CASES])
    def test_the_workloads_are_the_real_ones(case: str) -> None:
        """Selectors, pods' labels, containers, ports, environment, mounts, volumes: whatever ddhelm looks at."""
        release = CONTROL_PLANE if case == "control plane" else WORKER
        values = control_plane_values if case == "control plane" else merged(worker_values, CASES[case][0])
        ours, theirs = (set(_facts(render(path, release, values))) for path in (chart_dir(), REAL[0]))
        assert not ours ^ theirs


UNTOUCHED = {f"{WORKER}-operator", "datadog-csi-driver-node-server"}  # ddhelm reads their names and kinds only


def _facts(documents: list[Json]) -> Iterator[str]:
    """Everything of a release's workloads, services and secrets that ddhelm or a cluster decides by, one line each."""
    for document in documents:
        name = document["metadata"]["name"]
        here = f"{document['kind']} {name}"
        if document["kind"] == "Service":
            yield f"{here} {_text(document['spec'])}"
        elif document["kind"] == "Secret":
            yield f"{here} {sorted(document['data'])}"
        elif document["kind"] in ("DaemonSet", "Deployment") and name not in UNTOUCHED:
            yield from _workload(here, document["spec"])


def _workload(here: str, spec: Json) -> Iterator[str]:
    pod = spec["template"]["spec"]
    for key in ("selector", "replicas", "updateStrategy", "strategy"):
        yield f"{here} {key} {_text(spec.get(key))}"
    yield f"{here} labels {_text(spec['template']['metadata']['labels'])}"
    yield f"{here} annotations {sorted(spec['template']['metadata']['annotations'])}"
    for key, value in pod.items():
        if key not in ("containers", "initContainers", "volumes"):
            yield f"{here} pod {key} {_text(value)}"
    for volume in pod["volumes"]:
        volume.get("configMap", {}).pop("items", None)  # the same files in another order
        yield f"{here} volume {_text(volume)}"
    for kind in ("initContainers", "containers"):
        for container in pod[kind]:
            for key, value in container.items():
                for item in value if key in ("env", "volumeMounts") else (value,):
                    yield f"{here} {container['name']} {key} {_text(item)}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _pod(documents: list[Json], name: str, kind: str = "DaemonSet") -> Json:
    pod: Json = one(documents, kind, name)["spec"]["template"]["spec"]
    return pod


def _containers(documents: list[Json], name: str) -> list[Json]:
    containers: list[Json] = _pod(documents, name)["containers"]
    return containers


def _env(container: Json) -> dict[str, Any]:
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


@pytest.mark.parametrize("helm", ["3.22", "4.3"])
def test_two_renders_are_the_same_to_the_letter_when_nothing_is_random(packaged: Path, helm: str) -> None:
    first, second = (template(packaged, WORKER, worker_values, helm) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("values", "random"),
    [
        pytest.param(
            at("clusterAgent.tokenExistingSecret", ""),
            {("Secret", LEADER), ("DaemonSet", W), ("Deployment", LEADER)},
            id="token",
        ),
        pytest.param(
            at("datadog.apm.instrumentation.skipKPITelemetry", False),
            {("ConfigMap", f"{W}-kpi-telemetry-configmap")},
            id="install id",
        ),
    ],
)
def test_two_renders_differ_in_the_random_objects_and_no_other(packaged: Path, values: Json, random: Shape) -> None:
    renders = [render(packaged, WORKER, merged(worker_values, values)) for _ in range(2)]
    first, second = ({(d["kind"], d["metadata"]["name"]): d for d in documents} for documents in renders)
    assert {key for key in first if first[key] != second[key]} == random
    if ("DaemonSet", W) in random:
        pods = [documents["DaemonSet", W]["spec"]["template"] for documents in (first, second)]
        sums = [pod["metadata"]["annotations"].pop("checksum/clusteragent_token") for pod in pods]
        assert sums[0] != sums[1]
        assert pods[0] == pods[1]


def test_a_new_check_file_rolls_the_agents(packaged: Path) -> None:
    sums = {
        one(render(packaged, WORKER, merged(worker_values, at("datadog.confd", confd))), "DaemonSet", W)["spec"][
            "template"
        ]["metadata"]["annotations"]["checksum/confd-config"]
        for confd in ({}, {"a.yaml": "1"}, {"a.yaml": "2"})
    }
    assert len(sums) == 3


# The words changed over time, an apostrophe among them; the key in backticks did not.
CLUSTER_NAME = "Your `clusterName` isn"
REFUSALS: dict[str, tuple[Json, str]] = {
    "a removed key": (at("datadog.systemProbe.enabled", True), "superseded by networkMonitoring.enabled"),
    "capitals in the cluster name": (at("datadog.clusterName", "Prod"), CLUSTER_NAME),
    "a dot at the end of the cluster name": (at("datadog.clusterName", "prod."), CLUSTER_NAME),
    "a cluster name of 81 characters": (at("datadog.clusterName", "a" * 81), CLUSTER_NAME),
    "an agent of long ago": (at("agents.image.tag", "7.30.0"), "requires an agent image 7.36.0 or greater"),
    "instrumentation without a Cluster Agent": (
        merged(at("datadog.apm.instrumentation.enabled", True), at("clusterAgent.enabled", False)),
        "you disabled the cluster agent",
    ),
    "instrumentation without admission": (
        merged(at("datadog.apm.instrumentation.enabled", True), at("clusterAgent.admissionController.enabled", False)),
        "you disabled the admission controller",
    ),
    "a braced word in a check file": (at("datadog.confd", {"a.yaml": "x: {{ nope }}"}), 'function "nope" not defined'),
    "a braced word in a tag": (at("datadog.tags", ["a:{{ nope }}"]), 'function "nope" not defined'),
}
REFUSALS_OF_RECENT_CHARTS: dict[str, tuple[Json, str]] = {
    "an unknown migration mode": (at("registryMigrationMode", "some"), "registryMigrationMode"),
    "a variable without a name": (at("datadog.env", [{"value": "x"}]), "env var entry must have a 'name' field"),
    "a migration that deletes definitions": (
        at("datadog.operator.migration.enabled", True),
        "`operator.datadogCRDs.keepCrds` must both be enabled",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_values_that_the_chart_refuses(packaged: Path, case: str) -> None:
    values, text = REFUSALS[case]
    with pytest.raises(Refused) as refused:
        render(packaged, WORKER, merged(worker_values, values), "3.22" if "name" in case else "4.3")
    assert text in str(refused.value)


@pytest.mark.parametrize("case", REFUSALS_OF_RECENT_CHARTS)
def test_values_that_a_recent_chart_refuses(packaged: Path, case: str) -> None:
    values, text = REFUSALS_OF_RECENT_CHARTS[case]
    if not _new(packaged):
        assert render(packaged, WORKER, merged(worker_values, values))  # taken, and no use
        return
    with pytest.raises(Refused) as refused:
        render(packaged, WORKER, merged(worker_values, values))
    assert text in str(refused.value)


def test_two_corners_of_the_values_have_a_schema(packaged: Path) -> None:
    if not _new(packaged):
        pytest.skip("the schema of older charts has fewer corners, 3.90.1 has none")
    with pytest.raises(Refused, match="enabled"):
        render(packaged, WORKER, merged(worker_values, at("datadog.apm.instrumentation.enabled", "maybe")))
    assert render(packaged, WORKER, merged(worker_values, at("datadog.logs.containerCollectAll", "maybe")))


@pytest.mark.parametrize("name", ["prod_1", "1abc", "a.b-c", "a" * 80])
def test_cluster_names_that_the_chart_takes(packaged: Path, name: str) -> None:
    if not _new(packaged) and not re.fullmatch(r"[a-z][a-z0-9.-]*", name):
        with pytest.raises(Refused, match="clusterName"):  # no underscore, no digit in front before 3.201.4
            render(packaged, WORKER, merged(worker_values, at("datadog.clusterName", name)))
        return
    agent = _containers(render(packaged, WORKER, merged(worker_values, at("datadog.clusterName", name))), W)[0]
    assert _env(agent)["DD_CLUSTER_NAME"] == name


def test_unknown_keys_are_ignored(packaged: Path) -> None:
    known = template(packaged, WORKER, worker_values)
    assert template(packaged, WORKER, merged(worker_values, {"ddhelm": {"settings": {"a": [1]}}, "nodes": 3})) == known


@pytest.mark.parametrize(
    ("release", "fullname", "length"),
    [
        (WORKER, W, 62),
        (CONTROL_PLANE, C, 64),  # one too many: it can never own a Cluster Agent
        ("datadog", "datadog", 42),
        ("my-datadog-agents", "my-datadog-agents", 52),
        ("a" * 53, "a" * 53 + "-datadog", 96),
    ],
)
def test_the_longest_name_is_35_characters_longer_than_the_full_name_and_never_cut(
    packaged: Path, release: str, fullname: str, length: int
) -> None:
    documents = render(packaged, release, worker_values)
    names = {name for kind, name in shape(documents) if kind == "Service"}
    assert max(names, key=len) == f"{fullname}-cluster-agent-admission-controller"
    assert len(max(names, key=len)) == length
    assert one(documents, "DaemonSet")["metadata"]["name"] == fullname


def test_overridden_names_reach_the_selector(packaged: Path) -> None:
    documents = render(packaged, WORKER, merged(worker_values, {"fullnameOverride": "short"}))
    daemon_set = one(documents, "DaemonSet", "short")
    assert daemon_set["spec"]["selector"]["matchLabels"] == {"app": "short"}
    named = render(packaged, WORKER, merged(worker_values, {"nameOverride": "monitor"}))
    assert one(named, "DaemonSet")["metadata"]["name"] == f"{WORKER}-monitor"


def test_pod_labels_enter_the_selector_and_additional_labels_do_not(packaged: Path) -> None:
    labels = {"podLabels": {"inside": "yes"}, "additionalLabels": {"outside": "yes"}}
    documents = render(packaged, WORKER, merged(worker_values, {"agents": labels, "clusterAgent": labels}))
    for kind, name in (("DaemonSet", W), ("Deployment", LEADER)):
        spec = one(documents, kind, name)["spec"]
        assert spec["selector"]["matchLabels"] == {"app": name, "inside": "yes"}
        assert {"inside", "outside"} <= set(spec["template"]["metadata"]["labels"])


def test_host_ports(packaged: Path) -> None:
    ports = merged(at("datadog.apm.portEnabled", True), at("datadog.dogstatsd.useHostPort", True))
    published = {
        port["hostPort"]
        for container in _containers(render(packaged, WORKER, merged(worker_values, ports)), W)
        for port in container.get("ports", [])
    }
    assert published == {8125, 8126}
    plain = _containers(render(packaged, WORKER, worker_values), W)
    assert not any("hostPort" in port for container in plain for port in container.get("ports", []))


def test_mounts_go_into_every_container_but_the_init_ones(packaged: Path) -> None:
    agents = {
        "volumes": [{"name": "etcd-ca", "hostPath": {"path": "/etc/kubernetes/pki/etcd/ca.crt", "type": "File"}}],
        "volumeMounts": [{"name": "etcd-ca", "mountPath": "/host/etcd/ca.crt", "readOnly": True}],
    }
    pod = _pod(render(packaged, WORKER, merged(worker_values, {"agents": agents})), W)

    def mounting(kind: str) -> list[str]:
        return [c["name"] for c in pod[kind] if "etcd-ca" in [mount["name"] for mount in c["volumeMounts"]]]

    assert mounting("containers") == [container["name"] for container in pod["containers"]]
    assert {"agent", "trace-agent"} <= set(mounting("containers"))
    assert mounting("initContainers") == []


def test_tags_are_json_and_text_is_quoted_twice(packaged: Path) -> None:
    def tags(value: Any) -> Any:
        return _env(_containers(render(packaged, WORKER, merged(worker_values, at("datadog.tags", value))), W)[0])[
            "DD_TAGS"
        ]

    plain = ["a:b", "rel:{{ .Release.Name }}"]
    if not _new(packaged):
        assert tags(plain) in (f"a:b rel:{WORKER}", f'["a:b","rel:{WORKER}"]')  # words before, JSON since
        return
    assert tags(plain) == f'["a:b","rel:{WORKER}"]'
    assert tags("a:b") == '"a:b"'


def test_a_variable_that_is_false_loses_its_value(packaged: Path) -> None:
    values = at("datadog.env", [{"name": "A", "value": False}, {"name": "B", "value": "false"}])
    agent = _containers(render(packaged, WORKER, merged(worker_values, values)), W)[0]
    assert [v for v in agent["env"] if v["name"] in "AB"] == [
        {"name": "A", "valueFrom": None},
        {"name": "B", "value": "false"},
    ]


def test_check_files_are_templates_and_percent_signs_pass(packaged: Path) -> None:
    text = 'url: "https://%%env_HOST%%"\nrelease: {{ .Release.Name }}'
    documents = render(packaged, WORKER, merged(worker_values, at("datadog.confd", {"a.yaml": text})))
    assert one(documents, "ConfigMap", f"{W}-confd")["data"] == {
        "a.yaml": f'url: "https://%%env_HOST%%"\nrelease: {WORKER}'
    }


def test_joining_without_names_tells_the_agent_nothing(packaged: Path) -> None:
    agent = _containers(render(packaged, WORKER, merged(worker_values, at("existingClusterAgent.join", True))), W)[0]
    assert not {"DD_CLUSTER_AGENT_KUBERNETES_SERVICE_NAME", "DD_CLUSTER_AGENT_AUTH_TOKEN"} & set(_env(agent))


def test_an_affinity_of_ones_own_replaces_the_cluster_agents(packaged: Path) -> None:
    def affinity(values: Json) -> Any:
        return _pod(render(packaged, WORKER, merged(worker_values, values)), LEADER, "Deployment")["affinity"]

    own: Json = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    assert list(affinity({})) == ["podAntiAffinity"]
    assert affinity(at("clusterAgent.affinity", own)) == own


def test_platforms_take_away_what_their_hosts_lack(packaged: Path) -> None:
    if not _new(packaged):
        pytest.skip("the switches came with 3.83.0 (Talos) and 3.227.0 (Flatcar), the system probe with 3.205.0")

    def paths(values: Json) -> set[str]:
        volumes = _pod(render(packaged, WORKER, merged(worker_values, values)), W)["volumes"]
        return {volume["hostPath"]["path"] for volume in volumes if "hostPath" in volume}

    everything = paths({})
    assert everything - paths(at("providers.gke.cos", True)) == {"/usr/src"}
    assert {"/etc/passwd", "/etc/apt", "/usr/src", "/lib/modules"} <= everything - paths(
        at("providers.talos.enabled", True)
    )
    socket = paths(at("datadog.criSocketPath", "/run/k3s/containerd/containerd.sock"))
    assert socket - everything == {"/run/k3s/containerd"}
    root = paths(at("datadog.systemProbe.seccompRoot", "/var/lib/k0s/kubelet/seccomp"))
    assert root - everything == {"/var/lib/k0s/kubelet/seccomp"}


@pytest.mark.parametrize(
    ("values", "registry"),
    [
        ({}, "registry.datadoghq.com"),
        (at("datadog.site", "ddog-gov.com"), "public.ecr.aws/datadog"),
        (at("datadog.site", "us2.ddog-gov.com"), "registry.datadoghq.com"),
        (at("datadog.site", "us3.datadoghq.com"), "datadoghq.azurecr.io"),
        (merged(at("datadog.site", "datadoghq.eu"), {"registryMigrationMode": ""}), "eu.gcr.io/datadoghq"),
        ({"registry": "mirror.example/dd"}, "mirror.example/dd"),
    ],
)
def test_images_come_from_the_sites_registry(packaged: Path, values: Json, registry: str) -> None:
    if not _new(packaged) and "registry" not in values:
        pytest.skip("the default registry moved with 3.182.0")
    documents = render(packaged, WORKER, merged(worker_values, values))
    images = {container["image"].rpartition("/")[0] for container in _containers(documents, W)}
    assert images == {registry}


def test_definitions_are_kept_only_when_asked(packaged: Path) -> None:
    if not _new(packaged):
        pytest.skip("keepCrds came with 3.174.0")
    for keep, expected in ((False, None), (True, "keep")):
        values = merged(at("datadog.operator.enabled", True), at("operator.datadogCRDs.keepCrds", keep))
        definitions = [
            document
            for document in render(packaged, WORKER, merged(worker_values, values))
            if document["kind"] == "CustomResourceDefinition"
        ]
        policies = [
            document["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for document in definitions
        ]
        assert policies == [expected] * 7


def test_the_operators_secrets_can_be_named(packaged: Path) -> None:
    names = {"apiKeyExistingSecret": "ddhelm", "appKeyExistingSecret": "ddhelm", "site": "datadoghq.eu"}
    values = merged(worker_values, at("datadog.operator.enabled", True), {"operator": names})
    documents = render(packaged, WORKER, values)
    if ("Deployment", f"{WORKER}-operator") not in shape(documents):
        assert not _new(packaged)
        return
    (container,) = _pod(documents, f"{WORKER}-operator", "Deployment")["containers"]
    environment = _env(container)
    assert environment["DD_API_KEY"] == {"secretKeyRef": {"name": "ddhelm", "key": "api-key"}}
    assert environment["DD_SITE"] == "datadoghq.eu"


def test_the_environment_names_the_chart_under_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert chart().name == "datadog-3.999.0.tgz"
    assert chart() == chart()
    named = tmp_path / "datadog-9.tgz"
    monkeypatch.setenv(VARIABLE, str(named))
    with pytest.raises(FileNotFoundError, match=VARIABLE):
        chart()
    named.touch()
    assert chart() == named


def test_a_package_and_the_folder_render_the_same(tmp_path: Path) -> None:
    assert template(package(tmp_path), WORKER, worker_values) == template(chart_dir(), WORKER, worker_values)
    newer = render(package(tmp_path, "3.999.1"), WORKER, worker_values)
    assert one(newer, "DaemonSet")["metadata"]["labels"]["helm.sh/chart"] == "datadog-3.999.1"
