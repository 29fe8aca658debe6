"""Every way in which a question to Datadog can end is an outcome of its own, told without keys; over real HTTPS."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ddhelm import datadog
from ddhelm.datadog import Datadog, Reply, Trouble
from tests.datadog_api.proxy import proxy
from tests.datadog_api.server import DatadogApi
from tests.sandbox.certificates import make_authority
from tests.sandbox.pki import Authority

API_KEY, APP_KEY = "0f" * 16, "a7" * 20


@pytest.fixture(autouse=True)
def _own_network(monkeypatch: pytest.MonkeyPatch, datadog_api: DatadogApi) -> None:
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in datadog_api.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host is left out of the proxy."""
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")


@pytest.fixture
def client(datadog_api: DatadogApi) -> Datadog:
    return Datadog(datadog_api.url, api_key=API_KEY, app_key=APP_KEY)


def trouble(reply: Reply, kind: Trouble) -> str:
    """The reason of a reply that must be of this kind and give no key away."""
    assert reply.trouble is kind, reply
    assert API_KEY not in repr(reply)
    assert APP_KEY not in repr(reply)
    return reply.reason


@contextmanager
def listener(say: bytes = b"", *, hold: bool = False) -> Iterator[str]:
    """The address of something that takes connections and speaks no TLS; with ``hold`` it never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return
                if not hold:
                    held[-1].sendall(say)
                    held[-1].close()

        threading.Thread(target=accept, daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for each in held:
            each.close()


class TestKeys:
    def test_valid_keys_are_told_so_by_the_documented_questions(
        self, client: Datadog, datadog_api: DatadogApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            assert client.validate().ok
            assert client.validate_keys().ok
        assert [(each.path, each.query) for each in datadog_api.asked] == [
            ("/api/v1/validate", {}),
            ("/api/v2/validate_keys", {}),
        ]
        assert {(each.api_key, each.app_key) for each in datadog_api.asked} == {(API_KEY, APP_KEY)}
        assert "GET " in caplog.text
        assert API_KEY not in caplog.text
        assert APP_KEY not in caplog.text

    def test_a_wrong_key_is_refused(self, client: Datadog, datadog_api: DatadogApi) -> None:
        datadog_api.state.api_keys = set()
        assert trouble(client.validate(), Trouble.REFUSED).endswith("answered 403: Forbidden")
        datadog_api.state.api_keys, datadog_api.state.app_keys = None, set()
        assert client.validate().ok
        assert not client.validate_keys().ok
        with datadog_api.faulty(status=200, body=b'{"valid": false}'):
            assert trouble(client.validate(), Trouble.REFUSED) == "it says `valid`: false"

    def test_they_follow_no_redirect(self, client: Datadog, datadog_api: DatadogApi) -> None:
        with datadog_api.faulty(status=302, headers={"Location": f"https://localhost:{datadog_api.port}/taken"}):
            assert "redirect" in trouble(client.validate(), Trouble.UNREADABLE)
        assert [each.path for each in datadog_api.asked] == ["/api/v1/validate"]

    def test_nothing_of_netrc_is_sent(
        self, client: Datadog, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert client.validate().ok
        assert "Authorization" not in datadog_api.asked[0].headers

    def test_an_answer_that_repeats_a_key_is_not_passed_on(self, client: Datadog, datadog_api: DatadogApi) -> None:
        body = f'{{"errors": ["no key {API_KEY} here"]}}'.encode()
        with datadog_api.faulty(status=500, body=body):
            reply = client.validate()
        assert "no key *** here" in reply.reason
        assert API_KEY not in reply.reason


class TestWhatTheServerSays:
    @pytest.mark.parametrize("header", ["X-RateLimit-Reset", "Retry-After"])
    def test_a_limit_says_how_long_to_wait(self, client: Datadog, datadog_api: DatadogApi, header: str) -> None:
        with datadog_api.faulty(status=429, headers={header: "17"}, times=1):
            reply = client.get("/api/v1/query", {"query": "avg:a{*}"})
            assert trouble(reply, Trouble.LIMITED).endswith("429: too many requests; it may be asked again in 17 s")
            assert reply.reset == 17
            assert client.validate().ok, "the fault was for one question"

    @pytest.mark.parametrize("header", [{}, {"X-RateLimit-Reset": "soon"}, {"Retry-After": "nan"}])
    def test_a_limit_without_a_readable_time_has_none(
        self, client: Datadog, datadog_api: DatadogApi, header: dict[str, str]
    ) -> None:
        with datadog_api.faulty(status=429, headers=header):
            assert client.validate().reset == 0

    @pytest.mark.parametrize(
        ("status", "body", "kind", "words"),
        [
            (500, b"oops", Trouble.BROKEN, "500"),
            (503, b'{"errors": [{"title": "Service\\n Unavailable"}]}', Trouble.BROKEN, "503: Service Unavailable"),
            (401, b"{}", Trouble.REFUSED, "401"),
            (403, b"<h1>Forbidden by the proxy</h1>", Trouble.UNREADABLE, "not Datadog's JSON"),
            (404, b'{"errors": ["Not Found"]}', Trouble.UNREADABLE, "404: Not Found"),
            (200, b"<html>Please log in</html>", Trouble.UNREADABLE, "not Datadog's JSON"),
            (200, b"[1]", Trouble.UNREADABLE, "not Datadog's JSON"),
            (200, b"\xff\xfe", Trouble.UNREADABLE, "not Datadog's JSON"),
            (200, b"{}", Trouble.UNREADABLE, "not the one that Datadog documents"),
            (200, b'{"status": "error", "error": "rate limit", "valid": true}', Trouble.UNREADABLE, "200: rate limit"),
            (200, b'{"errors": 3, "valid": true}', None, ""),
        ],
    )
    def test_each_status_and_garbage(
        self, client: Datadog, datadog_api: DatadogApi, status: int, body: bytes, kind: Trouble | None, words: str
    ) -> None:
        with datadog_api.faulty(status=status, body=body):
            reply = client.validate()
        assert reply.trouble is kind
        assert words in reply.reason
        assert reply.answered is (kind in {None, Trouble.REFUSED})

    @pytest.mark.parametrize(("api", "site"), [("api.datadoghq.eu", "datadoghq.eu"), ("gateway", "datadoghq.com")])
    def test_a_broken_site_hints_at_its_own_page(self, api: str, site: str) -> None:
        answer: Any = SimpleNamespace(status_code=503)
        assert Datadog(f"https://{api}", api_key=API_KEY)._judged(answer, b"").hint == f"https://status.{site}"

    def test_a_body_without_end_is_not_read_to_its_end(
        self, client: Datadog, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(datadog, "_BODY_LIMIT", 1000)
        with datadog_api.faulty(status=200, body=b"x" * 2_000_000):
            assert "more than it should" in trouble(client.validate(), Trouble.UNREADABLE)


class TestTheWay:
    @pytest.mark.parametrize("fault", [{"wait": 3}, {"status": 200, "body": b" " * 300, "drip": 0.05}])
    def test_a_slow_answer_ends_at_the_limit(
        self, client: Datadog, datadog_api: DatadogApi, fault: dict[str, float]
    ) -> None:
        began = time.monotonic()
        with datadog_api.faulty(**fault):
            assert not client.validate(limit=0.5).answered
        assert time.monotonic() - began < 2
        assert client.validate().ok, "the client is usable afterwards"

    def test_a_name_that_takes_for_ever_ends_at_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: time.sleep(3))
        reply = Datadog("https://api.example.invalid", api_key=API_KEY).validate(limit=0.3)
        assert trouble(reply, Trouble.TIMEOUT) == "`api.example.invalid` did not answer within 0 s"

    def test_an_unknown_name(self) -> None:
        reply = Datadog("https://api.ddhelm-tests.invalid", api_key=API_KEY).validate()
        assert trouble(reply, Trouble.NAME) == "the name `api.ddhelm-tests.invalid` cannot be resolved"

    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        reply = Datadog(f"https://127.0.0.1:{port}", api_key=API_KEY).validate()
        assert trouble(reply, Trouble.UNREACHABLE).endswith("cannot be reached: connection refused")

    def test_the_connection_is_cut(self, client: Datadog, datadog_api: DatadogApi) -> None:
        with datadog_api.faulty(cut=True):
            trouble(client.validate(), Trouble.UNREACHABLE)

    def test_a_silent_port(self) -> None:
        with listener(hold=True) as url:
            trouble(Datadog(url, api_key=API_KEY).validate(limit=0.4), Trouble.TIMEOUT)

    def test_no_tls_there(self) -> None:
        with listener(b"HTTP/1.1 200 OK\r\n\r\n") as url:
            reply = Datadog(url, api_key=API_KEY).validate()
        assert reply.trouble in {Trouble.TLS, Trouble.UNREACHABLE}


class TestAuthorities:
    def test_an_unknown_authority_is_not_trusted(
        self, client: Datadog, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        reply = client.validate()
        assert "cannot be trusted" in trouble(reply, Trouble.TLS)
        assert "certificate" in reply.reason
        assert "SSL_CERT_FILE" in reply.hint
        assert datadog_api.asked == [], "no key was sent"

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_each_variable_names_one(
        self, client: Datadog, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        monkeypatch.setenv(variable, str(datadog_api.ca))
        assert client.validate().ok

    def test_a_file_that_is_missing_or_no_authority(
        self, client: Datadog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        assert "`REQUESTS_CA_BUNDLE` names" in trouble(client.validate(), Trouble.TLS)
        (tmp_path / "none.pem").write_text("no certificate")
        reply = client.validate()
        assert trouble(reply, Trouble.TLS).endswith("none.pem`, which holds no certificate that can be read")

    def test_a_file_of_authorities_that_may_not_be_looked_at_is_said(
        self, client: Datadog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"/{'x' * 300}")
        assert "which cannot be read" in trouble(client.validate(limit=5), Trouble.TLS)

    def test_the_variable_that_is_in_force_is_named(
        self, client: Datadog, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.crt"
        make_authority(Authority(other, tmp_path / "other.key"), "other")
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        monkeypatch.setenv("SSL_CERT_FILE", str(datadog_api.ca))
        monkeypatch.setenv("CURL_CA_BUNDLE", str(other))
        reply = client.validate()
        assert f"(trusted are the CAs in `{other}`, by `CURL_CA_BUNDLE`)" in trouble(reply, Trouble.TLS)
        assert reply.hint == "name a file with your CA by CURL_CA_BUNDLE, or unset it; it goes before SSL_CERT_FILE"
        monkeypatch.delenv("CURL_CA_BUNDLE")
        assert client.validate().ok

    @pytest.mark.usefixtures("proxied")
    def test_another_name_than_the_certificates(self, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch) -> None:
        with proxy(datadog_api.port) as way:
            monkeypatch.setenv("HTTPS_PROXY", way.url)
            reply = Datadog("https://api.elsewhere.example", api_key=API_KEY).validate()
        assert "hostname mismatch" in trouble(reply, Trouble.TLS)


@pytest.mark.usefixtures("proxied")
class TestProxies:
    def test_one_is_used_and_told_no_key(self, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch) -> None:
        with proxy(datadog_api.port, password="anna:s3cret-word") as way:
            monkeypatch.setenv("HTTPS_PROXY", way.url)
            assert Datadog("https://api.datadoghq.eu", api_key=API_KEY).validate().ok
        assert way.asked == ["api.datadoghq.eu:443"]
        assert [each.host for each in datadog_api.asked] == ["api.datadoghq.eu"]

    def test_no_proxy_leads_past_it(
        self, client: Datadog, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with proxy(datadog_api.port) as way:
            monkeypatch.setenv("HTTPS_PROXY", way.url)
            monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
            assert client.validate().ok
        assert way.asked == []

    @pytest.mark.parametrize("refuses", ["403 Forbidden", "407 Proxy Authentication Required"])
    def test_one_that_refuses(
        self, client: Datadog, datadog_api: DatadogApi, monkeypatch: pytest.MonkeyPatch, refuses: str
    ) -> None:
        with proxy(datadog_api.port, refuses=refuses) as way:
            monkeypatch.setenv("HTTPS_PROXY", way.url.replace("//", "//anna:s3cret-word@"))
            reply = client.validate()
        assert trouble(reply, Trouble.PROXY).endswith(f"`127.0.0.1:{datadog_api.port}`: {refuses}")
        assert "s3cret" not in repr(reply)
        assert f"`127.0.0.1:{way.port}`" in reply.reason

    @pytest.mark.parametrize("address", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "http://[broken"])
    def test_one_that_is_not_there(self, client: Datadog, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        monkeypatch.setenv("HTTPS_PROXY", address)
        reply = client.validate()
        assert not reply.answered
        assert "proxy" in reply.reason


def test_the_metric_query_of_the_stand_in_knows_time_scope_and_groups(client: Datadog, datadog_api: DatadogApi) -> None:
    tags = [frozenset({"kube_cluster_name:c", f"host:{name}"}) for name in "ab"]
    datadog_api.state.metrics["etcd.up"] = [(tags[0], 100, 1.0), (tags[1], 100, 2.0), (tags[1], 900, 3.0)]
    query = {"query": "avg:etcd.up{kube_cluster_name:c} by {host}", "from": "50", "to": "500"}
    series = client.get("/api/v1/query", query).body["series"]
    assert [(each["tag_set"], each["pointlist"]) for each in series] == [
        (["host:a"], [[100000, 1.0]]),
        (["host:b"], [[100000, 2.0]]),
    ]
    assert client.get("/api/v1/query", {**query, "query": "nonsense"}).status == 400
    datadog_api.state.hosts = [{"name": "a", "tags_by_source": {"Datadog": ["kube_cluster_name:c"]}}, {"name": "b"}]
    hosts = client.get("/api/v1/hosts", {"filter": "kube_cluster_name:c"}).body
    assert ([each["name"] for each in hosts["host_list"]], hosts["total_matching"]) == (["a"], 1)
