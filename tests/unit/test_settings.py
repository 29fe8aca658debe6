"""Settings: what is kept between runs, what a flag changes, what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ddhelm import settings
from ddhelm.actions import prepared, proving
from ddhelm.errors import ConfigError
from ddhelm.release import Role
from ddhelm.settings import SecretKey, Settings, UserLayers

TREES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.text(min_size=1, max_size=5), st.one_of(st.integers(), st.text(max_size=5)), max_size=3
)


@given(
    site=st.sampled_from([None, *settings.SITES]),
    logs=st.booleans(),
    tolerate=st.lists(st.text(max_size=8)).map(tuple),
    secret=st.one_of(st.none(), st.builds(SecretKey, st.text(min_size=1), st.text(min_size=1))),
    user=st.builds(UserLayers, TREES, TREES, TREES),
)
def test_what_is_stored_comes_back(
    site: str | None, logs: bool, tolerate: tuple[str, ...], secret: SecretKey | None, user: UserLayers
) -> None:
    given_ = Settings(site=site, logs=logs, tolerate=tolerate, app_key_secret=secret, user=user)
    stored = settings.from_record(settings.to_record(given_), "stored")
    assert replace(stored, origins={}) == given_


def test_defaults_are_not_stored_so_that_they_can_improve() -> None:
    assert settings.to_record(Settings()) == {"settings": {}, "user": {}}


def test_a_stored_field_says_where_it_came_from() -> None:
    stored = settings.from_record({"settings": {"site": "datadoghq.eu"}}, "stored with `w` revision 3")
    assert stored.origins == {"site": "stored with `w` revision 3"}


def test_a_record_of_a_newer_format_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        settings.from_record({"format": settings.FORMAT + 1}, "stored")
    assert caught.value.anchor == "newer-record"


def test_a_flag_changes_its_field_and_nothing_else() -> None:
    base = settings.from_record({"settings": {"site": "datadoghq.eu", "tolerate": ["a"]}}, "stored")
    changed = settings.changed(base, {"tolerate": ("b",), "cluster_name": None}, "the command line")
    assert changed.site == "datadoghq.eu"
    assert changed.tolerate == ("b",)
    assert changed.origins == {"site": "stored", "tolerate": "the command line"}


@pytest.mark.parametrize(
    ("field", "stored"),
    [
        ("drop_checks", "etcd"),
        ("tolerate", "a=b"),
        ("accept_uncovered", "a=b"),
        ("agent_no_proxy", "10.1.0.0/16"),
    ],
)
def test_none_alone_takes_a_list_back(field: str, stored: str) -> None:
    base = replace(Settings(), **{field: (stored,)})
    assert settings.changed(base, {field: ("none",)}, "x") == replace(Settings(), origins={field: "x"})
    assert settings.wrong({field: ("none",)}) == ()
    with pytest.raises(ConfigError, match=f"`none` takes back every `{field.replace('_', '-')}` and stands alone"):
        settings.changed(base, {field: ("none", stored)}, "x")


def test_none_takes_the_proxy_back() -> None:
    base = Settings(agent_proxy="http://proxy:3128")
    assert settings.changed(base, {"agent_proxy": "none"}, "x").agent_proxy is None


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settings.changed(Settings(), {"cluster_name": "Prod", "drop_checks": ("etdc",), "site": "europe"}, "x")
    assert len(caught.value.details) == 3


# Tried on chart 3.240.0 with the real helm: the first row renders, the second does not.
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent_proxy", "http://h\udce9:1"),
        ("api_url", "https://h\udce9"),
        ("accept_uncovered", ("a=b", "a in (\udce9)")),
        ("cluster_name", "\udce9"),
    ],
)
def test_what_is_not_utf8_cannot_be_kept(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.changed(Settings(), {field: value}, "the command line")
    assert caught.value.message == f"`{field.replace('_', '-')}` is not UTF-8"


@pytest.mark.parametrize("name", ["prod_1", "1abc", "a.b-c", "x" * 80])
def test_cluster_names_that_the_chart_takes(name: str) -> None:
    assert settings.changed(Settings(), {"cluster_name": name}, "x").cluster_name == name


@pytest.mark.parametrize("name", ["Prod", "a..b", "-x", "x-", "x_", "x" * 81, "a b", "zürich", ""])
def test_cluster_names_that_the_chart_refuses(name: str) -> None:
    with pytest.raises(ConfigError):
        settings.changed(Settings(), {"cluster_name": name}, "x")


@pytest.mark.parametrize(
    ("pasted", "site"),
    [
        ("https://app.datadoghq.eu/dashboard/lists", "datadoghq.eu"),
        ("https://us5.datadoghq.com", "us5.datadoghq.com"),
        ("app.datadoghq.com", "datadoghq.com"),
        ("api.ap1.datadoghq.com.", "ap1.datadoghq.com"),
        ("EU", "datadoghq.eu"),
        ("gov", "ddog-gov.com"),
        ("datadoghq.eu:443", "datadoghq.eu"),
        ("us9.datadoghq.com", "us9.datadoghq.com"),
        ("https://app.us9.datadoghq.com/x", "app.us9.datadoghq.com"),
        ("https://mycompany.datadoghq.eu/login", "datadoghq.eu"),
        ("My-Company2.datadoghq.com", "datadoghq.com"),
        ("mycompany.us5.datadoghq.com", "us5.datadoghq.com"),
        ("acme.us2.ddog-gov.com", "us2.ddog-gov.com"),
        ("notdatadoghq.com", "notdatadoghq.com"),
        ("datadoghq.com.example.org", "datadoghq.com.example.org"),
    ],
)
def test_a_pasted_address_becomes_a_site(pasted: str, site: str) -> None:
    assert settings.site_of(pasted) == site


def test_values_for_one_release_go_over_those_for_both() -> None:
    user = UserLayers({"a": {"x": 1, "y": 1}}, {"a": {"x": 2}}, {"a": {"y": 3}})
    assert user.of(Role.WORKER) == {"a": {"x": 2, "y": 1}}
    assert user.of(Role.CONTROL_PLANE) == {"a": {"x": 1, "y": 3}}


def test_a_site_of_which_nothing_is_left_is_named_as_it_was_typed() -> None:
    with pytest.raises(ConfigError, match="`http://` is no Datadog site"):
        settings.changed(Settings(), {"site": settings.site_of("http://")}, "the command line")


@pytest.mark.parametrize("site", [None, *settings.SITES])
def test_no_word_is_lost_on_a_site_that_is_known(site: str | None) -> None:
    assert proving.unknown_site(Settings(site=site)) == []


def test_a_site_that_is_not_known_is_used_and_told() -> None:
    (told,) = proving.unknown_site(Settings(site="datadoghq.xx"))
    assert told.startswith("`datadoghq.xx` is none of Datadog's sites")
    assert told.endswith("; it is used as it is")


def test_a_site_among_the_values_that_is_another_than_the_setting_is_told() -> None:
    values = UserLayers({"datadog": {"site": "datadoghq.eu"}}, {}, {})
    (told,) = proving.two_sites(Settings(site="us5.datadoghq.com", user=values))
    assert "`datadog.site` (datadoghq.eu)" in told
    assert proving.two_sites(Settings(site="datadoghq.eu", user=values)) == []
    assert proving.two_sites(Settings(user=values)) == []


@pytest.mark.parametrize(
    ("layers", "told", "flags"),
    [
        ({"both": "us5.datadoghq.com"}, "(us5.datadoghq.com)", "--set datadog.site=datadoghq.eu"),
        ({"worker": "us5.datadoghq.com"}, "(us5.datadoghq.com)", "--worker-set datadog.site=datadoghq.eu"),
        ({"control_plane": None}, "(null, so datadoghq.com)", "--control-plane-set datadog.site=datadoghq.eu"),
        (
            {"both": "a.b", "worker": "datadoghq.eu", "control_plane": "c.d"},
            "(a.b; c.d)",
            "--set datadog.site=datadoghq.eu --control-plane-set datadog.site=datadoghq.eu",
        ),
    ],
)
def test_another_site_is_changed_with_the_flags_of_the_layer_it_stands_in(
    layers: dict[str, str | None], told: str, flags: str
) -> None:
    """A null would stand in the user's layer, over what ddhelm sets, and send the agents to the first site."""
    user = UserLayers(**{slot: {"datadog": {"site": site}} for slot, site in layers.items()})
    (line,) = proving.two_sites(Settings(site="datadoghq.eu", user=user))
    assert told in line
    assert line.endswith(f" {flags}")


def test_a_site_of_null_is_no_other_than_the_first() -> None:
    user = UserLayers(both={"datadog": {"site": None}})
    assert proving.two_sites(Settings(site=settings.SITES[0], user=user)) == []


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, "https://api.datadoghq.eu"),
        ({"datadog": {"site": "us5.datadoghq.com"}}, "https://api.us5.datadoghq.com"),
        ({"datadog": {"site": None}}, "https://api.datadoghq.com"),
    ],
)
def test_keys_are_judged_where_the_agents_will_send(values: dict[str, Any], asked: str) -> None:
    assert settings.api_of(prepared._sent_to(Settings(site="datadoghq.eu"), values)) == asked
