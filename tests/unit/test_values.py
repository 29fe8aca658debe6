"""The layers of the two releases and the tree they make, with the origin of each leaf."""

import json
from pathlib import Path as File
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ddhelm import etcd, library, tree
from ddhelm.errors import ConfigError
from ddhelm.nodes import Node, Taint
from ddhelm.placeholders import fill, placeholders
from ddhelm.profile import CheckInstance, HostFile, Profile, ValuesPart
from ddhelm.release import Role, pair
from ddhelm.settings import SecretKey, Settings, UserLayers
from ddhelm.tree import Tree
from ddhelm.values import Layer, Origin, Values, build, cluster_agent_tolerations, layers_for, node_affinity

LIBRARY = library.load()
LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/etcd")
APISERVER = CheckInstance(
    "kube_apiserver_metrics",
    {"prometheus_url": "https://localhost:6443/metrics", "bearer_token_auth": True, "ssl_verify": False},
    "port 6443 from the command line of kube-apiserver",
)
ETCD = CheckInstance(
    "etcd",
    {
        "prometheus_url": "https://localhost:4001/metrics",
        "tls_ca_cert": "/srv/etcd-ca.crt",
        "tls_private_key": "/srv/c.key",
    },
    "kOps",
)
FILES = (
    HostFile("/srv/etcd-ca.crt", "file", "CA of etcd", "etcd"),
    HostFile("/srv/c.key", "file", "client key for etcd", "etcd"),
)


def profile(**changes: Any) -> Profile:
    plain: dict[str, Any] = {
        "distribution": "kops", "title": "kOps", "confidence": "high", "claimed": "", "overridden": False,
        "managed": False, "why_managed": "", "control_plane_labels": LABELS, "instances": (APISERVER, ETCD),
        "left_out": (), "host_files": FILES, "evidence": (), "notes": (), "values": (), "requirements": (),
        "pod_security": "", "admission": (), "docs": "", "unread": (),
    }  # fmt: skip
    return Profile(**plain | changes)


MANAGED = profile(managed=True, control_plane_labels=(), instances=(), host_files=())


def values(role: Role, settings: Settings | None = None, of: Profile | None = None, **more: Any) -> Values:
    of = of or profile()
    return build(
        layers_for(
            role,
            releases=pair("datadog", control_plane=not of.managed),
            settings=settings or Settings(cluster_name="prod"),
            profile=of,
            library=LIBRARY,
            **more,
        )
    )


def at(found: Values, path: str, default: Any = None) -> Any:
    return tree.get(found.tree, tuple(path.split(".")), default)


def node(name: str, *taints: Taint, labels: tuple[str, ...] = (), **more: Any) -> Node:
    marks = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": name} | dict.fromkeys(labels, "")
    plain: dict[str, Any] = {
        "name": name, "labels": marks, "annotations": {}, "taints": taints, "unschedulable": False, "provider_id": "",
        "os_image": "", "container_runtime": "containerd://2.1", "kubelet_version": "v1.36.3", "architecture": "amd64",
        "operating_system": "linux", "ready": True,
    }  # fmt: skip
    return Node(**plain | more)


# build ---------------------------------------------------------------------------------------------------------------


def test_the_last_layer_that_sets_a_leaf_is_its_origin() -> None:
    found = build(
        [
            Layer("low", {"a": {"b": 1, "c": 2}, "l": [1, 2]}, {("a",): "why a"}),
            Layer("high", {"a": {"b": 3}, "l": [9]}, {("l",): "why l"}),
        ]
    )
    assert found.tree == {"a": {"b": 3, "c": 2}, "l": [9]}
    assert found.origin(("a", "b")) == Origin("high", "")
    assert found.origin(("a", "c")) == Origin("low", "why a")
    assert found.origin(("l", 0)) == Origin("high", "why l")
    assert list(found.origins) == [("a", "b"), ("a", "c"), ("l",)]


def test_a_map_that_replaced_a_null_owes_nothing_to_the_layers_below() -> None:
    found = build([Layer("1", {"a": {"b": 1}}), Layer("2", {"a": None}), Layer("3", {"a": {"c": 2}})])
    assert {path: origin.layer for path, origin in found.origins.items()} == {("a", "c"): "3"}


def test_a_path_that_no_layer_sets_has_no_origin() -> None:
    with pytest.raises(KeyError):
        build([Layer("1", {"a": 1})]).origin(("b",))


TREES = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=2),
    lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=12,
)
MAPS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


@given(st.lists(MAPS, max_size=4))
def test_every_leaf_has_the_value_of_its_origin_and_nothing_above_it_says_otherwise(trees: list[Tree]) -> None:
    found = build([Layer(str(number), one) for number, one in enumerate(trees)])
    for path, origin in found.origins.items():
        value = tree.get(found.tree, path)
        assert tree.get(trees[int(origin.layer)], path, "absent") == value
        for above in trees[int(origin.layer) + 1 :]:
            assert tree.get(above, path, "absent") == "absent"


# the layers as they are shipped --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", library.LAYERS)
def test_every_key_of_a_shipped_layer_says_why(name: str) -> None:
    layer, reasons = LIBRARY.layer(name), LIBRARY.reasons(name)
    silent = [tree.show(path) for path, _ in tree.leaves(layer) if not Layer(name, layer, reasons).reason(path)]
    assert silent == []


@pytest.mark.parametrize("file", sorted(LIBRARY.folder.rglob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_layers_hold_no_word_that_yaml_takes_for_something_else(file: File) -> None:
    from ddhelm import yamltext

    findings = yamltext.read(file.read_bytes()).findings
    assert [f for f in findings if f.severity == "error"] == []


def test_layers_name_only_known_placeholders() -> None:
    names = placeholders(pair("datadog", control_plane=True), Settings(cluster_name="c", site="s"))
    for name in library.LAYERS:
        assert "${" not in json.dumps(fill(LIBRARY.layer(name), names))
    with pytest.raises(ConfigError, match="clustername"):
        fill({"a": "${clustername}"}, names)


def test_a_placeholder_alone_keeps_its_type_and_one_without_a_value_takes_its_key_away() -> None:
    names = {"n": 3, "none": None, "text": "x"}
    layer = {"a": "${n}", "b": "v${n}-${text}", "c": "${none}", "d": ["${none}", "${text}"], "e": "at ${none}"}
    assert fill(layer, names) == {"a": 3, "b": "v3-x", "d": ["x"]}
    assert fill({"env": {"A": "${none}"}, "kept": {}, "of": [{"a": "${none}"}]}, names) == {"kept": {}, "of": []}


def test_a_value_is_not_searched_for_placeholders_again() -> None:
    assert fill({"a": "x${text}"}, {"text": "${n}", "n": 3}) == {"a": "x${n}"}


# what the releases get ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_secrets_are_named_and_nothing_else_of_them(role: Role) -> None:
    settings = Settings(
        cluster_name="prod", api_key_secret=SecretKey("vault", "api-key"), app_key_secret=SecretKey("apps", "app-key")
    )
    found = values(role, settings)
    assert at(found, "datadog.apiKeyExistingSecret") == "vault"
    assert at(found, "datadog.appKeyExistingSecret") == "apps"
    token = "clusterAgent.tokenExistingSecret" if role is Role.WORKER else "existingClusterAgent.tokenSecretName"
    assert at(found, token) == "ddhelm"


def test_without_app_key_site_and_cluster_name_the_keys_are_absent() -> None:
    for role in Role:
        found = values(role, Settings())
        for path in ("datadog.appKeyExistingSecret", "datadog.site", "datadog.clusterName", "operator.site"):
            assert at(found, path, "absent") == "absent"


def test_the_control_plane_release_joins_the_worker_releases_cluster_agent() -> None:
    found = values(Role.CONTROL_PLANE)
    assert at(found, "existingClusterAgent") == {
        "join": True,
        "serviceName": "worker-node-ddagent-datadog-cluster-agent",
        "tokenSecretName": "ddhelm",
        "clusterchecksEnabled": False,
    }
    url = "https://worker-node-ddagent-datadog-cluster-agent.datadog.svc:5005"
    assert at(found, "datadog.envDict.DD_CLUSTER_AGENT_URL") == url


def test_node_affinities_are_each_others_complement() -> None:
    def terms(role: Role) -> Any:
        path = "agents.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        return at(values(role), path)

    assert terms(Role.WORKER) == [
        {"matchExpressions": [{"key": label, "operator": "DoesNotExist"} for label in LABELS]}
    ]
    assert terms(Role.CONTROL_PLANE) == [
        {"matchExpressions": [{"key": label, "operator": "Exists"}]} for label in LABELS
    ]


def test_two_releases_without_a_label_to_keep_them_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        node_affinity(Role.WORKER, ())


def test_the_worker_release_stays_away_from_the_other_releases_pods() -> None:
    (term,) = at(values(Role.WORKER), "agents.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution")
    assert term["labelSelector"] == {"matchLabels": {"app": "control-plane-ddagent-datadog"}}
    assert term["topologyKey"] == "kubernetes.io/hostname"


def test_a_managed_cluster_gets_one_release_without_any_affinity() -> None:
    found = values(Role.WORKER, of=MANAGED)
    assert at(found, "agents", {}) == {}
    assert "control-plane" not in json.dumps(found.tree)


ON = {"logs.enabled": True, "logs.containerCollectAll": True, "processAgent.processCollection": True}
NO_LOGS = {"logs.enabled": False, "logs.containerCollectAll": False}
NO_APM = {"apm.socketEnabled": False, "apm.portEnabled": False}


@pytest.mark.parametrize(
    ("settings", "role", "expected"),
    [
        (Settings(), Role.WORKER, ON | {"apm.socketEnabled": True}),
        (Settings(), Role.CONTROL_PLANE, ON | NO_APM),
        (Settings(logs=False), Role.WORKER, NO_LOGS),
        (Settings(logs=False), Role.CONTROL_PLANE, NO_LOGS),
        (Settings(processes=False), Role.CONTROL_PLANE, {"processAgent.processCollection": False}),
        (Settings(apm=False), Role.WORKER, NO_APM),
        (Settings(apm=False, apm_control_plane=True), Role.CONTROL_PLANE, NO_APM | {"apm.socketEnabled": True}),
    ],
)
def test_switches(settings: Settings, role: Role, expected: dict[str, Any]) -> None:
    found = values(role, settings)
    assert {path: at(found, f"datadog.{path}") for path in expected} == expected


def test_a_setting_that_is_the_default_does_not_appear_as_the_users_decision() -> None:
    layers = layers_for(
        Role.WORKER, releases=pair("d", control_plane=True), settings=Settings(), profile=profile(), library=LIBRARY
    )
    assert [layer.name for layer in layers] == ["common", "worker", "pair", "facts"]


def test_a_setting_says_which_flag_and_where_it_came_from() -> None:
    found = values(Role.WORKER, Settings(logs=False, origins={"logs": "stored with revision 3"}))
    assert found.origin(("datadog", "logs", "enabled")) == Origin("settings", "--no-logs (stored with revision 3)")


def test_what_a_setting_filled_in_names_the_setting_and_not_the_layer_that_passes_it_on() -> None:
    given = Settings(
        site="datadoghq.eu", cluster_name="prod", origins={"site": "the command line", "cluster_name": "stored with it"}
    )
    found = values(Role.WORKER, given)
    assert found.origin(("datadog", "site")).layer == "settings"
    assert found.origin(("datadog", "site")).reason.startswith("--site (the command line); ")
    assert found.origin(("operator", "clusterName")).reason.startswith("--cluster-name (stored with it); ")
    assert found.origin(("datadog", "apiKeyExistingSecret")).reason.startswith("--api-key-secret (default); ")
    assert found.origin(("datadog", "logs", "enabled")).layer == "common"
    over = values(Role.WORKER, replace(given, user=UserLayers(both={"datadog": {"site": "datadoghq.com"}})))
    assert over.origin(("datadog", "site")).layer == "user values"


def test_what_the_distribution_tolerates_outlives_a_toleration_of_the_user() -> None:
    etcd = {"key": "node-role.kubernetes.io/etcd", "operator": "Exists"}
    part = ValuesPart("rke2", ("values", "worker"), "worker", {"agents": {"tolerations": [etcd]}})
    of = profile(values=(part,))
    assert at(values(Role.WORKER, Settings(tolerate=("spot",)), of), "agents.tolerations") == [
        etcd,
        {"key": "spot", "operator": "Exists"},
    ]
    assert at(values(Role.WORKER, of=of), "agents.tolerations") == [etcd]


def test_tolerations_of_the_user_are_for_worker_agents_only() -> None:
    settings = Settings(tolerate=("dedicated=gpu:NoSchedule", "spot"))
    assert at(values(Role.WORKER, settings), "agents.tolerations") == [
        {"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ]
    assert at(values(Role.CONTROL_PLANE, settings), "agents.tolerations") == [{"operator": "Exists"}]
    assert at(values(Role.WORKER), "agents.tolerations", "absent") == "absent"


TEAM = {"key": "team", "operator": "Exists"}
EVERYTHING = {"operator": "Exists"}


@pytest.mark.parametrize("theirs", [[TEAM], [], None])
def test_tolerations_for_both_releases_leave_the_control_plane_its_own(theirs: Any) -> None:
    found = values(Role.CONTROL_PLANE, Settings(user=UserLayers(both={"agents": {"tolerations": theirs}})))
    assert at(found, "agents.tolerations") == [*(theirs or ()), EVERYTHING]
    worker = values(Role.WORKER, Settings(user=UserLayers(both={"agents": {"tolerations": theirs}})))
    assert at(worker, "agents.tolerations") == theirs


@pytest.mark.parametrize("theirs", [[TEAM], [], None])
def test_tolerations_for_the_control_plane_alone_are_the_last_word(theirs: Any) -> None:
    user = UserLayers(both={"agents": {"tolerations": [TEAM]}}, control_plane={"agents": {"tolerations": theirs}})
    found = values(Role.CONTROL_PLANE, Settings(user=user))
    assert at(found, "agents.tolerations") == theirs
    assert found.origin(("agents", "tolerations")).layer == "user values, control-plane only"


@pytest.mark.parametrize("slot", ["both", "worker"])
def test_tolerate_adds_to_the_users_list_and_the_origin_names_both(slot: str) -> None:
    user = UserLayers(**{slot: {"agents": {"tolerations": [TEAM]}}})
    settings = Settings(tolerate=("gpu=yes:NoSchedule", "team"), user=user, origins={"tolerate": "the command line"})
    found = values(Role.WORKER, settings)
    gpu = {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
    assert at(found, "agents.tolerations") == [TEAM, gpu]
    layer = "user values" if slot == "both" else "user values, worker only"
    origin = found.origin(("agents", "tolerations"))
    assert origin == Origin("user values and ddhelm's", f"{layer}; then settings: --tolerate (the command line)")


def test_a_list_of_the_user_that_is_none_stays_as_it_is() -> None:
    user = UserLayers(both={"agents": {"tolerations": 3, "volumes": "x", "volumeMounts": [3]}})
    for role in Role:
        found = values(role, Settings(tolerate=("gpu",), user=user))
        assert at(found, "agents") == {**at(found, "agents"), **user.both["agents"]}


# check files ---------------------------------------------------------------------------------------------------------


def test_check_files_are_what_the_agent_reads() -> None:
    confd = at(values(Role.CONTROL_PLANE), "datadog.confd")
    assert sorted(confd) == ["etcd.yaml", "kube_apiserver_metrics.yaml"]
    assert yaml.safe_load(confd["kube_apiserver_metrics.yaml"]) == {
        "init_config": None,
        "instances": [APISERVER.instance],
    }


def test_a_check_file_is_a_text_that_a_person_can_read() -> None:
    assert at(values(Role.CONTROL_PLANE), "datadog.confd")["kube_apiserver_metrics.yaml"] == (
        "# kube_apiserver_metrics, written by ddhelm\n"
        "init_config:\n"
        "instances:\n"
        "  - prometheus_url: https://localhost:6443/metrics\n"
        "    bearer_token_auth: true\n"
        "    ssl_verify: false\n"
    )


def test_files_of_the_node_are_mounted_alone_and_named_by_their_place_in_the_container() -> None:
    found = values(Role.CONTROL_PLANE)
    (instance,) = yaml.safe_load(at(found, "datadog.confd")["etcd.yaml"])["instances"]
    assert instance["tls_private_key"] == "/host/srv/c.key"
    volumes, mounts = at(found, "agents.volumes"), at(found, "agents.volumeMounts")
    assert [volume["hostPath"] for volume in volumes] == [
        {"path": "/srv/c.key", "type": "File"},
        {"path": "/srv/etcd-ca.crt", "type": "File"},
    ]
    assert [mount["mountPath"] for mount in mounts] == ["/host/srv/c.key", "/host/srv/etcd-ca.crt"]
    assert all(mount["readOnly"] for mount in mounts)
    assert [volume["name"] for volume in volumes] == [mount["name"] for mount in mounts]


def test_a_dropped_check_takes_its_files_along() -> None:
    found = values(Role.CONTROL_PLANE, Settings(drop_checks=("etcd",)))
    assert sorted(at(found, "datadog.confd")) == ["kube_apiserver_metrics.yaml"]
    assert "volumes" not in at(found, "agents")
    assert "etcd" in at(found, "datadog.ignoreAutoConfig"), "autodiscovery must not bring a dropped check back"


def with_secret(*more: CheckInstance, files: tuple[HostFile, ...] = (), **settings: Any) -> Values:
    instance = CheckInstance("etcd", {"prometheus_url": "https://127.0.0.1:2379/metrics", **etcd.OWN}, "it")
    of = profile(instances=(instance, *more), host_files=files)
    return values(Role.CONTROL_PLANE, Settings(cluster_name="prod", etcd_secret="mine", **settings), of)


def test_the_secret_of_an_own_certificate_is_mounted_file_by_file_where_the_check_looks() -> None:
    found = with_secret()
    (volume,) = at(found, "agents.volumes")
    assert volume["secret"]["secretName"] == "mine"
    mounts = at(found, "agents.volumeMounts")
    assert {mount["mountPath"] for mount in mounts} == set(etcd.OWN.values())
    assert all(mount["readOnly"] and mount["name"] == volume["name"] for mount in mounts)
    assert {(m["subPath"], m["mountPath"].rpartition("/")[2]) for m in mounts} == {
        (item["path"], item["key"]) for item in volume["secret"]["items"]
    }


def test_files_of_the_node_for_another_check_stay_beside_it() -> None:
    other = CheckInstance("kube_scheduler", {"tls_cert": "/srv/x.crt"}, "it")
    found = with_secret(other, files=(HostFile("/srv/x.crt", "file", "x", "kube_scheduler"),))
    assert [volume["name"][:4] for volume in at(found, "agents.volumes")] == ["etcd", "host"]
    assert len(at(found, "agents.volumeMounts")) == 4


def test_a_secret_that_no_check_reads_is_not_mounted() -> None:
    assert at(with_secret(drop_checks=("etcd",)), "agents.volumes") is None
    left_out = values(Role.CONTROL_PLANE, Settings(etcd_secret="mine"), profile(instances=(), host_files=()))
    assert at(left_out, "agents.volumes") is None
    assert at(values(Role.WORKER, Settings(cluster_name="prod", etcd_secret="mine")), "agents.volumes") is None


CORP_VOLUME = {"name": "ca", "configMap": {"name": "corp-ca"}}
CORP_MOUNT = {"name": "ca", "mountPath": "/etc/corp", "readOnly": True}
CORP = {"agents": {"volumes": [CORP_VOLUME], "volumeMounts": [CORP_MOUNT]}}


@pytest.mark.parametrize("user", [UserLayers(both=CORP), UserLayers(control_plane=CORP)])
def test_files_that_the_checks_read_stay_beside_volumes_of_the_user(user: UserLayers) -> None:
    plain, found = values(Role.CONTROL_PLANE), values(Role.CONTROL_PLANE, Settings(user=user))
    assert at(found, "agents.volumes") == [CORP_VOLUME, *at(plain, "agents.volumes")]
    assert at(found, "agents.volumeMounts") == [CORP_MOUNT, *at(plain, "agents.volumeMounts")]
    origin = found.origin(("agents", "volumes"))
    assert origin.layer == "user values and ddhelm's"
    assert origin.reason.startswith("user values")
    assert "; then facts: single files of the node" in origin.reason
    assert [volume["name"] for volume in at(with_secret(user=user), "agents.volumes")] == [
        "ca", "etcd-client-certificate",
    ]  # fmt: skip


@pytest.mark.parametrize("given", [{"volumes": [CORP_VOLUME]}, {"volumeMounts": []}, {"volumes": None}])
def test_one_of_the_two_lists_of_the_user_leaves_what_the_checks_read(given: Tree) -> None:
    plain = values(Role.CONTROL_PLANE)
    found = values(Role.CONTROL_PLANE, Settings(user=UserLayers(both={"agents": given})))
    assert at(found, "agents.volumes") == [*(given.get("volumes") or ()), *at(plain, "agents.volumes")]
    assert at(found, "agents.volumeMounts") == at(plain, "agents.volumeMounts")


def test_volumes_of_the_user_reach_the_worker_release_as_they_are() -> None:
    found = values(Role.WORKER, Settings(user=UserLayers(both=CORP)))
    assert at(found, "agents.volumes") == CORP["agents"]["volumes"]
    assert [layer.name for layer in found.layers][-1] == "user values"


def test_what_the_user_mounts_in_the_same_place_goes_before_ours() -> None:
    ours = at(values(Role.CONTROL_PLANE), "agents.volumes")
    volume = {"name": "mine", "secret": {"secretName": "etcd"}}
    mount = {"name": "mine", "mountPath": "/host/srv/c.key", "subPath": "c.key"}
    user = UserLayers(control_plane={"agents": {"volumes": [volume], "volumeMounts": [mount]}})
    found = values(Role.CONTROL_PLANE, Settings(user=user))
    assert at(found, "agents.volumes") == [volume, ours[1]]
    mounts = at(found, "agents.volumeMounts")
    assert [each["mountPath"] for each in mounts] == ["/host/srv/c.key", "/host/srv/etcd-ca.crt"]


def test_files_that_a_check_file_of_the_users_no_longer_names_are_not_mounted_beside_theirs() -> None:
    text = "instances:\n- prometheus_url: https://127.0.0.1:2379/metrics\n  tls_ca_cert: /etc/corp/ca.crt\n"
    user = UserLayers(control_plane={**CORP, "datadog": {"confd": {"etcd.yaml": text}}})
    found = values(Role.CONTROL_PLANE, Settings(user=user))
    assert at(found, "agents.volumes") == [CORP_VOLUME]
    assert at(found, "agents.volumeMounts") == [CORP_MOUNT]


def test_control_plane_agents_restart_one_node_at_a_time() -> None:
    assert at(values(Role.CONTROL_PLANE), "agents.updateStrategy.rollingUpdate.maxUnavailable") == 1


def test_without_any_check_the_control_plane_release_has_no_check_files() -> None:
    found = values(Role.CONTROL_PLANE, of=profile(instances=(), host_files=()))
    assert "confd" not in at(found, "datadog")


def test_the_worker_release_never_gets_check_files_or_files_of_the_node() -> None:
    found = values(Role.WORKER)
    assert "confd" not in at(found, "datadog")
    assert "volumes" not in at(found, "agents")


def test_the_same_facts_give_the_same_text() -> None:
    assert json.dumps(values(Role.CONTROL_PLANE).tree) == json.dumps(values(Role.CONTROL_PLANE).tree)


def test_what_looks_like_a_template_reaches_the_agent_as_it_is() -> None:
    instance = CheckInstance("etcd", {"prometheus_url": "http://x/{{ y }}", "tags": ["a:%%env_B%%"]}, "")
    text = at(values(Role.CONTROL_PLANE, of=profile(instances=(instance,), host_files=())), "datadog.confd")[
        "etcd.yaml"
    ]
    assert '{{ "{{" }} y }}' in text
    assert "%%env_B%%" in text


def test_two_files_of_one_name_get_two_volumes() -> None:
    files = (HostFile("/a/ca.crt", "file", "", "etcd"), HostFile("/b/ca.crt", "file", "", "etcd"))
    volumes = at(values(Role.CONTROL_PLANE, of=profile(host_files=files)), "agents.volumes")
    assert len({volume["name"] for volume in volumes}) == 2


@given(st.text(min_size=1, max_size=300))
def test_volume_names_are_dns_labels_whatever_the_path(path: str) -> None:
    from ddhelm.checkfiles import volumes

    ((volume,), _) = volumes((HostFile("/" + path, "file", "", "etcd"),))
    name = volume["name"]
    assert len(name) <= 63
    assert name.strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""
    assert not name.startswith("-")
    assert not name.endswith("-")


# the Cluster Agent's place -------------------------------------------------------------------------------------------

CONTROL_PLANE = Taint("node-role.kubernetes.io/control-plane", "", "NoSchedule")
ETCD_TAINT = Taint("node-role.kubernetes.io/etcd", "true", "NoExecute")


NOT_READY = Taint("node.kubernetes.io/not-ready", "", "NoSchedule")
DEDICATED = Taint("dedicated", "x", "NoSchedule")
TAINTED = node("c", CONTROL_PLANE, labels=LABELS[:1])


@pytest.mark.parametrize(
    ("nodes", "tolerate", "keys"),
    [
        ((), (), []),
        ((node("w"), TAINTED), (), []),
        ((TAINTED,), (), [CONTROL_PLANE.key]),
        ((node("c", CONTROL_PLANE, ETCD_TAINT, labels=LABELS),), (), [CONTROL_PLANE.key, ETCD_TAINT.key]),
        ((node("k3s", labels=LABELS[:1]),), (), []),
        ((node("cordoned", unschedulable=True), TAINTED), (), []),
        ((node("w", NOT_READY),), (), []),
        ((node("w", NOT_READY), TAINTED), (), []),
        ((node("c", NOT_READY, CONTROL_PLANE, labels=LABELS[:1]),), (), [CONTROL_PLANE.key]),
        ((node("w", DEDICATED),), ("dedicated=x:NoSchedule",), ["dedicated"]),
        ((node("w", Taint("dedicated", "x", "PreferNoSchedule")),), (), []),
        ((node("w", DEDICATED), TAINTED), (), [CONTROL_PLANE.key]),
    ],
)
def test_the_cluster_agent_tolerates_what_it_must_and_no_more(
    nodes: tuple[Node, ...], tolerate: tuple[str, ...], keys: list[str]
) -> None:
    made = profile(control_plane_labels=LABELS, tolerations=({"key": "only where the nodes were not read"},))
    keys = keys if nodes else ["only where the nodes were not read"]
    assert [toleration["key"] for toleration in cluster_agent_tolerations(nodes, made, tolerate)] == keys


def test_a_cluster_agent_without_a_place_gets_its_tolerations_in_the_worker_release() -> None:
    found = values(Role.WORKER, nodes=(node("only", CONTROL_PLANE, labels=LABELS[:1]),))
    assert at(found, "clusterAgent.tolerations") == [
        {"key": CONTROL_PLANE.key, "operator": "Exists", "effect": "NoSchedule"}
    ]


# order, the user's layer, the record ---------------------------------------------------------------------------------


def test_layers_come_in_their_order_and_the_user_wins_over_all_but_the_record() -> None:
    part = ValuesPart("kops", ("values", "both"), "both", {"datadog": {"logs": {"enabled": "distribution"}}})
    settings = Settings(
        logs=False,
        user=UserLayers(
            both={"datadog": {"logs": {"enabled": "user"}}, "ddhelm": {"mine": 1}},
            worker={"datadog": {"logs": {"enabled": "worker only"}}},
        ),
    )
    found = values(Role.WORKER, settings, of=profile(values=(part,)), record={"format": 1})
    assert [layer.name for layer in found.layers] == [
        "common", "worker", "pair", "distributions/kops", "facts", "settings", "user values",
        "user values, worker only", "ddhelm",
    ]  # fmt: skip
    assert at(found, "datadog.logs.enabled") == "worker only"
    assert found.tree["ddhelm"] == {"format": 1}
    control_plane = values(Role.CONTROL_PLANE, settings, of=profile(values=(part,)))
    assert at(control_plane, "datadog.logs.enabled") == "user"
    assert "ddhelm" not in control_plane.tree


def test_a_distributions_reason_is_read_at_its_place_in_the_file(tmp_path: File) -> None:
    (tmp_path / "distributions").mkdir()
    (tmp_path / "distributions" / "x.yaml").write_text("title: X\nvalues:\n  both:\n    a: 1  # because\n")
    for name in library.LAYERS:
        (tmp_path / f"{name}.yaml").write_text("{}\n")
    own = library.load(tmp_path)
    part = ValuesPart("x", ("values", "both"), "both", {"a": 1})
    layers = layers_for(
        Role.WORKER, releases=pair("d", control_plane=False), settings=Settings(),
        profile=profile(managed=True, values=(part,)), library=own,
    )  # fmt: skip
    assert build(layers).origin(("a",)) == Origin("distributions/x", "because")


def test_a_null_of_the_user_reaches_helm() -> None:
    settings = Settings(user=UserLayers(both={"datadog": {"logs": None}}))
    assert at(values(Role.WORKER, settings), "datadog.logs", "absent") is None
