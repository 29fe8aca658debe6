"""Hand-made releases: what of their values stays, what ddhelm must own, where keys in them go."""

from ddhelm import secretvalues, tree
from ddhelm.actions import adopt
from ddhelm.release import Role


def test_ordinary_values_stay_and_what_breaks_the_pair_is_dropped_and_named() -> None:
    config = {
        "datadog": {"apiKey": "0" * 32, "site": "datadoghq.eu", "tags": ["a:b"]},
        "agents": {"affinity": {"nodeAffinity": {"x": 1}, "podAntiAffinity": {"y": 1}}},
    }
    adopted = adopt.adopt(config, Role.WORKER)
    assert adopted.user == {
        "datadog": {"site": "datadoghq.eu", "tags": ["a:b"]},
        "agents": {"affinity": {"podAntiAffinity": {"y": 1}}},
    }
    assert adopted.dropped == (("datadog", "apiKey"), ("agents", "affinity", "nodeAffinity"))
    assert adopted.keys == {"api-key": "0" * 32}


def test_no_secret_text_is_in_the_layer_or_in_the_notice() -> None:
    config = {"datadog": {"apiKey": "SECRET-1", "appKey": "SECRET-2"}, "clusterAgent": {"token": "SECRET-3"}}
    adopted = adopt.adopt(config, Role.WORKER)
    assert "SECRET" not in str(adopted.user) + adopt.notice("w", adopted.dropped)
    assert sorted(adopted.keys) == ["api-key", "app-key", "token"]
    assert adopted.user == {}


def test_a_control_plane_release_loses_what_would_make_a_second_cluster_agent() -> None:
    config = {"clusterAgent": {"enabled": True, "replicas": 2}, "agents": {"tolerations": [{"operator": "Exists"}]}}
    assert adopt.adopt(config, Role.CONTROL_PLANE).user == {}


def test_an_empty_map_of_the_user_stays() -> None:
    assert adopt.adopt({"agents": {"image": {}}}, Role.WORKER).user == {"agents": {"image": {}}}


def test_a_release_with_nothing_to_drop_is_told_too() -> None:
    assert adopt.notice("w", ()) == "release `w` was made without ddhelm: its values become your layer"


def test_keys_that_stand_in_a_secret_of_their_own_stay_there() -> None:
    config = {"datadog": {"apiKeyExistingSecret": "vault", "appKeyExistingSecret": "", "site": "x"}}
    adopted = adopt.adopt(config, Role.WORKER)
    assert adopted.secrets == {"api-key": "vault"}
    assert adopted.user == {"datadog": {"site": "x"}}


def test_another_secret_in_the_values_is_left_out_and_named_without_its_text() -> None:
    config = {"datadog": {"tags": ["a"]}, "agents": {"customAgentConfig": {"proxy_password": "SECRET-4"}}}
    adopted = adopt.adopt(config, Role.WORKER)
    assert adopted.user == {"datadog": {"tags": ["a"]}}
    told = adopt.notice("w", adopted.dropped, adopted.refused)
    assert "agents.customAgentConfig.proxy_password" in told
    assert "SECRET" not in told + str(adopted.user)


def test_no_secret_of_a_list_is_left_behind() -> None:
    url = "https://app.datadoghq.eu"
    keys = [f"{number}" * 32 for number in range(3)]
    config = {"agents": {"customAgentConfig": {"additional_endpoints": {url: list(keys)}, "tags": ["a"]}}}
    adopted = adopt.adopt(config, Role.WORKER)
    assert adopted.user == {"agents": {"customAgentConfig": {"tags": ["a"]}}}
    assert len(adopted.refused) == 3
    assert not list(secretvalues.find(adopted.user))


def test_an_empty_list_of_the_user_stays() -> None:
    assert adopt.adopt({"agents": {"volumes": []}}, Role.WORKER).user == {"agents": {"volumes": []}}


ETCD = "instances:\n- prometheus_url: https://127.0.0.1:2379/metrics\n  tls_ca_cert: /host/pki/etcd/ca.crt\n"
PKI = {"name": "pki", "hostPath": {"path": "/etc/kubernetes/pki/etcd"}}
CORP = {"name": "corp", "configMap": {"name": "ca"}}
AT_PKI = {"name": "pki", "mountPath": "/host/pki/etcd/", "readOnly": True}
AT_CORP = {"name": "corp", "mountPath": "/etc/corp"}


def by_hand(**confd: str) -> tree.Tree:
    agents = {"volumes": [PKI, CORP], "volumeMounts": [AT_CORP, AT_PKI]}
    return {"datadog": {"confd": {"etcd.yaml": ETCD, **confd}, "envDict": {"CA": "/etc/corp/ca.crt"}}, "agents": agents}


def test_files_that_only_a_dropped_check_file_read_are_left_out_and_named() -> None:
    adopted = adopt.adopt(by_hand(), Role.CONTROL_PLANE)
    assert adopted.user["agents"] == {"volumes": [CORP], "volumeMounts": [AT_CORP]}
    assert adopt.notice("c", adopted.dropped, adopted.refused, adopted.unread) == (
        "release `c` was made without ddhelm: its values become your layer, except `datadog.confd.etcd\\.yaml`, which "
        "ddhelm sets, and `agents.volumes[0]`, `agents.volumeMounts[1]`, which only those check files read"
    )


def test_files_that_something_else_reads_as_well_stay() -> None:
    other = adopt.adopt(by_hand(**{"tls.yaml": "- local_cert_path: '/host/pki/etcd/ca.crt'"}), Role.CONTROL_PLANE)
    assert other.user["agents"] == by_hand()["agents"]
    assert adopt.adopt(by_hand(), Role.WORKER).user == by_hand()
    twice = tree.put(by_hand(), ("agents", "volumeMounts", 2), {"name": "pki", "mountPath": "/host/pki/etcd2"})
    assert adopt.adopt(twice, Role.CONTROL_PLANE).unread == (("agents", "volumeMounts", 1),)


def test_lists_that_are_none_are_taken_over_as_they_are() -> None:
    odd = {"datadog": {"confd": {"etcd.yaml": ETCD}}, "agents": {"volumes": "x", "volumeMounts": [3, {}]}}
    assert adopt.adopt(odd, Role.CONTROL_PLANE).user == {"agents": odd["agents"]}
