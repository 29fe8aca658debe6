"""What ddhelm's values make of the chart under test, rendered by the real helm: the pair, its switches, its secrets."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from datadog_checks.base.utils.http import should_bypass_proxy
from msgspec.structs import replace

from ddhelm.profile import CheckInstance, Profile
from ddhelm.release import Role, pair
from ddhelm.settings import SecretKey, Settings
from tests.charts import chart
from tests.charts.render import Json, objects, one, shape, template
from tests.helm.toy import MAJORS
from tests.unit.test_values import CONTROL_PLANE, ETCD, FILES, MANAGED, TAINTED, profile, values

AGENT_APP = {Role.WORKER: "worker-node-ddagent-datadog", Role.CONTROL_PLANE: "control-plane-ddagent-datadog"}
SETTINGS = Settings(cluster_name="prod", site="datadoghq.eu", app_key_secret=SecretKey("apps", "app-key"))


def render(
    role: Role, settings: Settings = SETTINGS, of: Profile | None = None, helm: str = "4.3", **more: Any
) -> list[Json]:
    return objects(text(role, settings, of, helm, **more))


def text(role: Role, settings: Settings = SETTINGS, of: Profile | None = None, helm: str = "4.3", **more: Any) -> str:
    of = of or profile()
    (release,) = [one for one in pair("datadog", control_plane=not of.managed) if one.role is role]
    return template(chart(), release.name, values(role, settings, of, **more).tree, helm)


def agent(documents: list[Json], role: Role) -> Json:
    """The pod of the node agents."""
    found = one(documents, "DaemonSet", AGENT_APP[role])
    pod: Json = found["spec"]["template"]["spec"]
    return pod


def environment(pod: Mapping[str, Any], container: str = "agent") -> dict[str, Any]:
    (found,) = [one for one in pod["containers"] if one["name"] == container]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in found["env"]}


def containers(pod: Mapping[str, Any]) -> set[str]:
    return {one["name"] for one in pod["containers"]}


@pytest.mark.parametrize("helm", MAJORS)
def test_the_two_releases_share_no_object_and_have_one_cluster_agent(helm: str) -> None:
    worker, control_plane = render(Role.WORKER, helm=helm), render(Role.CONTROL_PLANE, helm=helm)
    assert shape(worker) & shape(control_plane) == set()
    deployments = [one["metadata"]["name"] for one in (*worker, *control_plane) if one["kind"] == "Deployment"]
    assert deployments == ["worker-node-ddagent-datadog-cluster-agent"]
    kinds = {kind for kind, _ in shape(worker) | shape(control_plane)}
    assert "CustomResourceDefinition" not in kinds
    assert "Secret" not in kinds, "the keys and the token are in Secrets of ours"


@pytest.mark.parametrize("role", Role)
def test_two_renders_are_the_same_byte_for_byte(role: Role) -> None:
    assert text(role) == text(role)


@pytest.mark.parametrize("helm", MAJORS)
def test_the_record_of_ddhelm_changes_nothing_in_a_render(helm: str) -> None:
    record = {"format": 1, "settings": {"cluster_name": "prod"}, "user": {"both": {"a": 1}}}
    assert text(Role.WORKER, helm=helm, record=record) == text(Role.WORKER, helm=helm)


def test_control_plane_agents_have_one_container_the_nodes_network_and_no_privilege() -> None:
    pod = agent(render(Role.CONTROL_PLANE), Role.CONTROL_PLANE)
    assert containers(pod) <= {"agent", "process-agent"}  # a container of its own before chart 3.84.0
    assert pod["hostNetwork"] is True
    assert pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert not any(one.get("securityContext", {}).get("privileged") for one in pod["containers"])


def test_control_plane_agents_find_the_cluster_agent_by_its_address_and_leave_static_pods_alone() -> None:
    found = environment(agent(render(Role.CONTROL_PLANE), Role.CONTROL_PLANE))
    assert found["DD_CLUSTER_AGENT_URL"] == "https://worker-node-ddagent-datadog-cluster-agent.datadog.svc:5005"
    assert found["DD_CLUSTER_AGENT_AUTH_TOKEN"] == {"secretKeyRef": {"name": "ddhelm", "key": "token"}}
    assert set(found["DD_IGNORE_AUTOCONF"].split()) == {
        "kube_apiserver_metrics", "kube_scheduler", "kube_controller_manager", "etcd", "kubernetes_state",
    }  # fmt: skip
    assert found.get("DD_DOGSTATSD_NON_LOCAL_TRAFFIC", "false") == "false"
    assert found.get("DD_EXTRA_CONFIG_PROVIDERS", "endpointschecks") == "endpointschecks"


@pytest.mark.parametrize("role", Role)
def test_pods_name_the_secrets_of_the_settings(role: Role) -> None:
    settings = Settings(cluster_name="prod", api_key_secret=SecretKey("vault", "api-key"))
    found = environment(agent(render(role, settings), role))
    assert found["DD_API_KEY"] == {"secretKeyRef": {"name": "vault", "key": "api-key"}}
    assert found["DD_CLUSTER_NAME"] == "prod"


@pytest.mark.parametrize("helm", MAJORS)
def test_check_files_reach_the_agent_as_they_were_meant(helm: str) -> None:
    braces = CheckInstance("kube_scheduler", {"prometheus_url": "http://x/{{ y }}", "tags": ["a:%%env_B%%"]}, "")
    documents = render(Role.CONTROL_PLANE, of=profile(instances=(ETCD, braces)), helm=helm)
    files = one(documents, "ConfigMap", "control-plane-ddagent-datadog-confd")["data"]
    assert sorted(files) == ["etcd.yaml", "kube_scheduler.yaml"]
    assert yaml.safe_load(files["kube_scheduler.yaml"])["instances"] == [braces.instance]
    (instance,) = yaml.safe_load(files["etcd.yaml"])["instances"]
    assert instance["tls_ca_cert"] == "/host/srv/etcd-ca.crt"


def test_each_file_that_a_check_names_is_mounted_into_the_agent_read_only() -> None:
    pod = agent(render(Role.CONTROL_PLANE), Role.CONTROL_PLANE)
    volumes = {volume["name"]: volume.get("hostPath") for volume in pod["volumes"]}
    (container,) = [one for one in pod["containers"] if one["name"] == "agent"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    for file in FILES:
        mount = mounts[f"/host{file.path}"]
        assert mount["readOnly"] is True
        assert volumes[mount["name"]] == {"path": file.path, "type": "File"}


def test_nodes_belong_to_one_release() -> None:
    def terms(role: Role) -> Any:
        affinity = agent(render(role), role)["affinity"]["nodeAffinity"]
        return affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]

    assert [e["operator"] for term in terms(Role.WORKER) for e in term["matchExpressions"]] == ["DoesNotExist"] * 2
    assert len(terms(Role.WORKER)) == 1
    assert [len(term["matchExpressions"]) for term in terms(Role.CONTROL_PLANE)] == [1, 1]
    anti = agent(render(Role.WORKER), Role.WORKER)["affinity"]["podAntiAffinity"]
    (term,) = anti["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = one(render(Role.CONTROL_PLANE), "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert term["labelSelector"]["matchLabels"].items() <= labels.items()


def test_a_managed_cluster_gets_one_release_that_runs_on_any_node() -> None:
    pod = agent(render(Role.WORKER, of=MANAGED), Role.WORKER)
    assert not pod.get("affinity")


@pytest.mark.parametrize("role", Role)
def test_apm_is_a_container_that_the_switches_add_and_take(role: Role) -> None:
    on, off = Settings(apm=True, apm_control_plane=True), Settings(apm=False)
    assert "trace-agent" in containers(agent(render(role, on), role))
    assert "trace-agent" not in containers(agent(render(role, off), role))


@pytest.mark.parametrize("role", Role)
def test_logs_and_processes_are_on_unless_switched_off(role: Role) -> None:
    on = environment(agent(render(role), role))
    off = environment(agent(render(role, Settings(logs=False, processes=False)), role))
    for name in ("DD_LOGS_ENABLED", "DD_LOGS_CONFIG_CONTAINER_COLLECT_ALL"):
        assert (on[name], off[name]) == ("true", "false")
    process = "DD_PROCESS_CONFIG_PROCESS_COLLECTION_ENABLED"
    if process in on:  # older charts say it to the container process-agent
        assert (on[process], off[process]) == ("true", "false")


def test_the_cluster_agent_gets_what_it_must_tolerate() -> None:
    documents = render(Role.WORKER, nodes=(TAINTED,))
    pod = one(documents, "Deployment")["spec"]["template"]["spec"]
    assert pod["tolerations"] == [{"key": CONTROL_PLANE.key, "operator": "Exists", "effect": "NoSchedule"}]
    assert not one(render(Role.WORKER), "Deployment")["spec"]["template"]["spec"].get("tolerations")


@pytest.mark.parametrize("role", Role)
def test_every_agent_gets_the_proxy_when_told_so_and_its_checks_go_past_it(role: Role) -> None:
    past: Callable[[str, list[str]], bool] = should_bypass_proxy
    settings = replace(SETTINGS, agent_proxy="http://proxy.example:3128", agent_no_proxy=("100.64.0.0/10",))
    documents = render(role, settings)
    pods = [each["spec"]["template"]["spec"] for each in documents if each["kind"] in {"DaemonSet", "Deployment"}]
    assert len(pods) == (2 if role is Role.WORKER else 1)
    for pod in pods:
        for container in pod["containers"]:
            found = environment(pod, container["name"])
            assert found["DD_PROXY_HTTPS"] == "http://proxy.example:3128"
            left_out = found["DD_PROXY_NO_PROXY"].split(" ")
            for url in (
                "https://127.0.0.1:10259/metrics",
                "https://10.1.2.3:10250",
                "http://[::1]:1",
                "http://100.64.1.1",
            ):
                assert past(url, left_out), url
            assert past("https://x-cluster-agent.datadog.svc:5005", left_out)
            assert not past("https://app.datadoghq.eu", left_out)
    assert "DD_PROXY" not in text(role), "none without the setting"
