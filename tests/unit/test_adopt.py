"""Hand-made releases: what of their values stays, what ddhelm must own, where keys in them go."""

from ddhelm import secretvalues
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
