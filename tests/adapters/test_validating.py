"""New keys are held against Datadog before anything is written; what cannot be asked is a warning with its reason."""

from __future__ import annotations

import socket

import pytest
from msgspec.structs import replace

from ddhelm.actions.keys import Key
from ddhelm.actions.validating import stored, unread, validate
from ddhelm.datadog import address
from ddhelm.errors import ClusterError, ConfigError, PreflightFailed
from ddhelm.release import API_KEY, APP_KEY
from ddhelm.settings import SITES, SecretKey, Settings, api_of, changed, unproven
from tests.datadog_api.proxy import proxy
from tests.datadog_api.server import DatadogApi

API, APP = Key("`DD_API_KEY`", "0f" * 16), Key("`app.txt`", "a7" * 20)
SITE = "datadoghq.com"


@pytest.fixture(autouse=True)
def _own_network(monkeypatch: pytest.MonkeyPatch, datadog_api: DatadogApi) -> None:
    for name, value in datadog_api.environment().items():
        monkeypatch.setenv(name, value)


def refusal(url: str, keys: dict[str, Key], *, require: bool = False, find_site: bool = False) -> PreflightFailed:
    with pytest.raises(PreflightFailed) as refused:
        validate(url, SITE, keys, require=require, find_site=find_site)
    text = f"{refused.value.message}{refused.value.hint}{refused.value.details}"
    assert not any(key.reveal() in text for key in keys.values())
    return refused.value


def test_valid_keys_pass_in_silence(datadog_api: DatadogApi) -> None:
    assert validate(datadog_api.url, SITE, {API_KEY: API, APP_KEY: APP}) == ()
    assert validate(datadog_api.url, SITE, {APP_KEY: APP}, api_key=API) == ()
    assert validate(datadog_api.url, SITE, {}) == ()
    paths = [each.path for each in datadog_api.asked]
    assert paths == ["/api/v1/validate", "/api/v2/validate_keys", "/api/v2/validate_keys"]


def test_a_refused_key_suggests_the_site_and_is_sent_to_no_other(datadog_api: DatadogApi) -> None:
    datadog_api.state.api_keys = set()
    error = refusal(datadog_api.url, {API_KEY: API})
    assert error.message.startswith("site `datadoghq.com` refuses the API key from `DD_API_KEY`: ")
    assert "--find-site" in error.hint
    assert error.anchor == "key-refused"
    assert len(datadog_api.asked) == 1


def test_the_site_of_a_key_is_found_when_asked(datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch) -> None:
    datadog_api.state.homes[API.reveal()] = "datadoghq.eu"
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")
    with proxy(datadog_api.port) as way:
        monkeypatch.setenv("HTTPS_PROXY", way.url)
        error = refusal(f"https://api.{SITE}", {API_KEY: API}, find_site=True)
        assert error.message == "the API key from `DD_API_KEY` belongs to site `datadoghq.eu`, not to `datadoghq.com`"
        assert error.hint == "--site datadoghq.eu"
        assert sorted(way.asked) == sorted(f"api.{site}:443" for site in SITES)
        datadog_api.state.homes[API.reveal()] = "nowhere.example"
        assert "no other site knows it" in refusal(f"https://api.{SITE}", {API_KEY: API}, find_site=True).hint
        datadog_api.state.homes[API.reveal()] = "datadoghq.eu"
        assert validate("https://api.datadoghq.eu", "datadoghq.eu", {API_KEY: API}) == ()


@pytest.mark.parametrize("left", [0, 1])
def test_sites_that_could_not_be_asked_are_not_said_to_refuse(
    datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    datadog_api.state.api_keys = set()
    others = tuple(site for site in SITES if site != SITE)
    monkeypatch.setattr("ddhelm.actions.validating.homes", lambda key, but: ((), others[left:]))
    error = refusal(datadog_api.url, {API_KEY: API}, find_site=True)
    assert "no other site knows it" not in error.hint
    assert "HTTPS_PROXY=" in error.hint
    if left:
        assert error.details == (f"could not be asked: {', '.join(others[1:])}",)
        assert error.hint.startswith("no other site that could be asked knows it")
    else:
        assert error.details == ("none of the other sites could be asked",)


def test_an_application_key_of_another_organisation_is_refused(datadog_api: DatadogApi) -> None:
    datadog_api.state.app_keys = set()
    assert "application key from `app.txt`" in refusal(datadog_api.url, {API_KEY: API, APP_KEY: APP}).message


@pytest.mark.parametrize("fault", [{"status": 429}, {"status": 503}, {"status": 403, "body": b"<html>"}, {"cut": True}])
def test_what_is_no_verdict_is_a_warning_with_its_reason(datadog_api: DatadogApi, fault: dict[str, int]) -> None:
    with datadog_api.faulty(**fault):
        (line,) = validate(datadog_api.url, SITE, {API_KEY: API, APP_KEY: APP})
        assert line.startswith("the API key and application key could not be validated: `127.0.0.1:")
        assert refusal(datadog_api.url, {API_KEY: API}, require=True).anchor == "key-not-validated"
    with datadog_api.faulty(path="/api/v2", **fault):
        (line,) = validate(datadog_api.url, SITE, {API_KEY: API, APP_KEY: APP})
        assert line.startswith("the application key could not be validated: ")


def test_an_application_key_alone_cannot_be_asked_about() -> None:
    (line,) = validate("https://127.0.0.1:9", SITE, {APP_KEY: APP})
    assert "there is no API key to ask with" in line


def test_without_a_network_there_is_one_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (line,) = validate(f"https://127.0.0.1:{port}", SITE, {API_KEY: API})
    assert "connection refused" in line


def test_the_address_is_the_sites_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDHELM_API_URL")
    assert address(Settings()) == "https://api.datadoghq.com"
    assert address(Settings(site="us5.datadoghq.com")) == "https://api.us5.datadoghq.com"
    own = changed(Settings(), {"api_url": "https://gate.example:8443/datadog"}, "the command line")
    assert api_of(own) == address(own) == "https://gate.example:8443/datadog"
    monkeypatch.setenv("DDHELM_API_URL", "https://127.0.0.1:1")
    assert address(own) == "https://127.0.0.1:1"
    monkeypatch.setenv("DDHELM_API_URL", "http://plain.example")
    with pytest.raises(ConfigError, match=r"DDHELM_API_URL: .* is no address"):
        address(own)
    monkeypatch.delenv("DDHELM_API_URL")
    with pytest.raises(ConfigError, match=r"`https://\[::1` is no address") as caught:
        address(Settings(api_url="https://[::1"))
    assert caught.value.hint == "ddhelm onboard --api-url URL"


@pytest.mark.parametrize("host", ["[::1", "::1]", "host:port", "host:99999", "host:0", ":8443"])
def test_what_only_looks_like_an_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="is no address of an API"):
        changed(Settings(), {"api_url": f"https://{host}"}, "the command line")
    with pytest.raises(ConfigError, match="is no proxy"):
        changed(Settings(), {"agent_proxy": f"http://{host}"}, "the command line")


@pytest.mark.parametrize("host", ["host", "host:1", "[::1]:8443", "[fe80::1]", "10.0.0.1:65535"])
def test_every_way_to_write_a_host_is_taken(host: str) -> None:
    given = {"api_url": f"https://{host}/", "agent_proxy": f"http://{host}"}
    assert changed(Settings(), given, "the command line").api_url == f"https://{host}/"


@pytest.mark.parametrize("url", ["http://api.datadoghq.com", "api.datadoghq.com", "https://anna:word@x", "https://x?y"])
def test_an_address_without_tls_or_with_more_than_an_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        changed(Settings(), {"api_url": url}, "the command line")
    assert "word" not in refused.value.message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"agent_proxy": "http://anna:s3cret@proxy:3128"}, "a proxy with a user and a password is a secret"),
        ({"agent_proxy": "proxy:3128"}, "is no proxy"),
        ({"agent_no_proxy": ("a b",)}, "is no host"),
    ],
)
def test_a_proxy_for_agents_is_an_address_without_a_password(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        changed(Settings(), given, "the command line")
    assert "s3cret" not in refused.value.message


class Secrets:
    """Answers for Secret `mine`, forbids all others."""

    def secret_value(self, name: str, key: str) -> str | None:
        if name != "mine":
            raise ClusterError(f"secrets `{name}` is forbidden", hint="kubectl auth can-i get secrets")
        return {"api-key": "0f" * 16, "app-key": "a b"}.get(key)


def test_a_key_that_cannot_be_read_is_told_with_its_reason_and_stops_only_where_that_is_wanted() -> None:
    here, there = SecretKey("mine", "api-key"), SecretKey("yours", "app-key")
    found = stored(Secrets(), Settings(api_key_secret=here, app_key_secret=there), [API_KEY, APP_KEY])
    assert found.keys[API_KEY].origin == "Secret `mine`"
    assert unread(found, [API_KEY], require=True) == ()
    (line,) = unread(found, [API_KEY, APP_KEY], require=False)
    assert line == (
        "the application key could not be validated: Secret `yours` cannot be read: secrets `yours` is forbidden "
        "(kubectl auth can-i get secrets)"
    )
    with pytest.raises(PreflightFailed, match="could not be validated"):
        unread(found, [APP_KEY], require=True)
    nothing = stored(Secrets(), Settings(api_key_secret=SecretKey("mine", "key")), [API_KEY, APP_KEY])
    assert nothing.unread == {API_KEY: ("Secret `mine` has no key `key`", "")}
    with pytest.raises(ConfigError, match="the application key from Secret `mine` has spaces"):
        stored(Secrets(), Settings(app_key_secret=SecretKey("mine", "app-key")), [APP_KEY])


def test_keys_are_unproven_where_they_or_datadogs_address_are_new() -> None:
    mine, both = SecretKey("mine", "api-key"), (API_KEY, APP_KEY)
    before = Settings(site="datadoghq.eu", app_key_secret=SecretKey("mine", "app-key"))
    assert unproven(None, Settings()) == (API_KEY,)
    assert unproven(None, before) == both
    assert unproven(before, before) == ()
    assert unproven(Settings(), Settings(site="datadoghq.com")) == (), "the first site is the default"
    assert unproven(before, replace(before, site="us5.datadoghq.com")) == both
    assert unproven(before, replace(before, api_url="https://gate.example")) == both
    assert unproven(before, replace(before, api_key_secret=mine)) == (API_KEY,)
    assert unproven(Settings(), Settings(app_key_secret=SecretKey("mine", "app-key"))) == (APP_KEY,)
