"""A client certificate is tried on a real etcd: what works, and each way in which it does not, in one sentence."""

import datetime
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from msgspec.structs import replace

from ddhelm import certificates, expiry, handshake
from ddhelm.actions import certs, certverify
from ddhelm.certificates import KEY_TYPES, Pair
from ddhelm.errors import UsageError, VerifyFailed
from ddhelm.run import Secrets
from tests.sandbox import build
from tests.sandbox.certificates import issue, make
from tests.sandbox.pki import Authority, Pki


@dataclass(frozen=True)
class Etcd:
    """A running etcd that asks for client certificates."""

    pki: Pki
    port: int
    listener: int

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def signed(self, kind: str = "ec", days: int = 365) -> Pair:
        """A pair from etcd's own CA."""
        now = certs.now()
        ca, key = self.pki.etcd.certificate.read_bytes(), self.pki.etcd.key.read_bytes()
        signer = certificates.authority(ca, key, now=now, names=("ca", "key"))
        return certs.pair(signer, certs.Wanted(days=days, key_type=kind), Secrets(), now)


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    folder = tmp_path_factory.mktemp("etcd")
    pki = make(folder / "pki")
    client, peer, listener = free_ports(3)
    at = f"https://127.0.0.1:{client}"
    certificate, key = pki.pair("etcd/server")
    flags = {
        "data-dir": folder / "data",
        "listen-client-urls": at,
        "advertise-client-urls": at,
        "listen-peer-urls": f"http://127.0.0.1:{peer}",
        "listen-metrics-urls": f"http://127.0.0.1:{listener}",
        "trusted-ca-file": pki.etcd.certificate,
        "cert-file": certificate,
        "key-file": key,
    }
    line = [str(build.tool("etcd")), "--client-cert-auth", *(f"--{name}={value}" for name, value in flags.items())]
    with (folder / "log").open("wb") as log, subprocess.Popen(line, stdout=log, stderr=log) as process:
        running = Etcd(pki, client, listener)
        deadline = time.monotonic() + 60
        while True:
            try:
                handshake.get(f"http://127.0.0.1:{listener}", "/health", None, timeout=2)
                break
            except handshake.Failed:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield running
        process.terminate()


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_a_pair_from_etcds_ca_is_accepted_whatever_its_key(etcd: Etcd, kind: str) -> None:
    found = certverify.verify(etcd.endpoint, etcd.signed(kind))
    assert found.dashboards
    assert found.version.startswith("3.6.")
    assert found.verdict.endswith("the dashboards will have data")
    assert found.leader
    assert found.metrics > 500
    assert found.shown is not None
    assert found.server is not None
    assert (found.shown.subject, found.server.names) == ("CN=ddhelm-etcd-client", ("localhost", "127.0.0.1"))
    assert found.notes == ()


def test_the_listener_needs_no_pair_and_tells_its_version_by_a_metric(etcd: Etcd) -> None:
    found = certverify.verify(f"http://127.0.0.1:{etcd.listener}", None)
    assert found.dashboards
    assert found.version.startswith("3.6.")
    assert found.shown is None


def test_a_pair_that_ends_soon_is_said(etcd: Etcd) -> None:
    (note,) = certverify.verify(etcd.endpoint, etcd.signed(days=9)).notes
    assert note in {f"the client certificate ends in {days} days: {expiry.RENEW}" for days in (8, 9)}


def failure(endpoint: str, pair: Pair | None) -> VerifyFailed:
    with pytest.raises(VerifyFailed) as caught:
        certverify.verify(endpoint, pair)
    assert caught.value.exit_code == 6
    assert caught.value.hint
    assert "Traceback" not in str(caught.value)
    return caught.value


def test_each_refusal_has_its_sentence(etcd: Etcd) -> None:
    good = etcd.signed()
    certificate, key = issue(etcd.pki.cluster, "of another CA")
    stranger = Pair(certificate, key, good.ca)
    told = failure(etcd.endpoint, stranger)
    assert "etcd refuses the client" in told.message
    assert "`CN=of another CA`, issued by `CN=kubernetes`" in told.message
    assert told.details == ("the CA that is given did not sign the client certificate either",)

    with pytest.raises(handshake.Failed, match="wants a client certificate and got none"):
        handshake.get(etcd.endpoint, "/metrics", Pair(b"", b"", good.ca))

    wrong_ca = replace(good, ca=etcd.pki.cluster.certificate.read_bytes())
    untrusted = failure(etcd.endpoint, wrong_ca).message
    assert (
        untrusted == "the CA that is given did not sign etcd's own certificate (`CN=sandbox`), issued by `CN=etcd-ca`"
    )

    assert "does not speak TLS" in failure(f"https://127.0.0.1:{etcd.listener}", good).message
    assert "does not speak plain HTTP" in failure(f"http://127.0.0.1:{etcd.port}", None).message
    assert "Connection refused" in failure("https://127.0.0.1:1", good).message
    assert "there is no host `nowhere.invalid`" in failure("https://nowhere.invalid:2379", good).message
    assert "is not the key" in failure(etcd.endpoint, replace(good, key=certificates.new_key())).message


def test_an_address_that_etcds_certificate_does_not_name_is_said_with_the_names_it_has(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda address, *more, **named: here(("127.0.0.1", address[1]), *more, **named)
    )
    for host in ("etcd.example.com", "10.0.0.7"):
        told = failure(f"https://{host}:{etcd.port}", etcd.signed()).message
        assert f"is not for `{host}`; it is for `localhost`, `127.0.0.1`" in told


def dated(authority: Authority, begins: int, ends: int) -> Pair:
    """A pair of that CA whose certificate runs between these days from now."""
    key = certificates.new_key()
    csr = x509.load_pem_x509_csr(certificates.request(key))
    now = certs.now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(csr.subject)
        .issuer_name(x509.load_pem_x509_certificate(authority.certificate.read_bytes()).subject)
        .public_key(csr.public_key())
        .serial_number(5)
        .not_valid_before(now + datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=ends))
    )
    signer = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    made = builder.sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    return Pair(made.public_bytes(serialization.Encoding.PEM), key, authority.certificate.read_bytes())


@pytest.mark.parametrize(("begins", "ends", "words"), [(-9, -1, "expired on"), (1, 9, "is valid from")])
def test_dates_are_told_before_etcd_is_asked_and_etcd_thinks_the_same(
    etcd: Etcd, begins: int, ends: int, words: str
) -> None:
    pair = dated(etcd.pki.etcd, begins, ends)
    assert words in failure(etcd.endpoint, pair).message
    with pytest.raises(handshake.Failed) as caught:
        handshake.get(etcd.endpoint, "/metrics", pair)
    assert caught.value.trouble == "refused"


def test_the_key_is_in_no_file_and_no_error(etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "mkstemp", lambda *_a, **_k: pytest.fail("a temporary file was made"))
    pair = etcd.signed()
    assert certverify.verify(etcd.endpoint, pair).dashboards
    assert str(pair.key) not in repr(pair)
    told = failure(etcd.endpoint, replace(pair, ca=etcd.pki.cluster.certificate.read_bytes()))
    lines = certificates.secret_texts(pair.key)
    assert not [line for line in lines if line in " ".join((told.message, told.hint, *told.details))]


def serving(status: int, metrics: bytes, version: bytes) -> tuple[HTTPServer, str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = version if self.path == "/version" else metrics
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


LEADER = b"etcd_server_has_leader 1\n"


@pytest.mark.parametrize(
    ("metrics", "version", "dashboards", "words"),
    [
        (LEADER, b'{"etcdserver": "3.4.0", "etcdcluster": "3.4.0"}', True, "etcd 3.4.0: the dashboards will have data"),
        (LEADER, b'{"etcdserver": "3.3.27"}', False, "too old"),
        (b"etcd_store_reads_total 4\n", b'{"etcdserver": "2.3.8"}', False, "etcd 2.3.8 is too old"),
        (b"etcd_debugging_x 1\n", b"404 page not found", False, "tells no `etcd_server_has_leader`"),
        (LEADER + b'etcd_server_version{server_version="3.5.1"} 1\n', b"404", True, "etcd 3.5.1"),
        (LEADER, b"[]", True, "this etcd: the dashboards will have data"),
    ],
)
def test_what_the_dashboards_will_have_follows_from_the_version_and_the_metrics(
    metrics: bytes, version: bytes, dashboards: bool, words: str
) -> None:
    server, endpoint = serving(200, metrics, version)
    try:
        found = certverify.verify(endpoint, None)
    finally:
        server.shutdown()
        server.server_close()
    assert found.dashboards is dashboards
    assert words in found.verdict


def test_a_member_without_a_leader_is_said() -> None:
    server, endpoint = serving(200, b"etcd_server_has_leader 0\n", b"{}")
    try:
        assert "this member has no leader right now" in certverify.verify(endpoint, None).notes
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "body", "words"), [(200, b"up 1\n", "is not etcd"), (403, b"", "answers 403")])
def test_what_is_no_etcd_is_said(status: int, body: bytes, words: str) -> None:
    server, endpoint = serving(status, body, b"")
    try:
        assert words in failure(endpoint, None).message
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "endpoint",
    ["", "127.0.0.1:2379", "ftp://x", "https://", "https://h:x", "https://h/v3", "https://[::1", "https://[etcd]:2379"],
)
def test_an_endpoint_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match="is no endpoint"):
        handshake.address(endpoint)


@pytest.mark.parametrize(
    "dripped", [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99, b"HTTP/1.1 200 OK\r\n\r\n" + b"etcd_x 1\n" * 99]
)
def test_a_server_that_drips_ends_in_time(dripped: bytes) -> None:
    def drip(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            client.sendall(dripped[:19])
            for byte in dripped[19:]:
                try:
                    client.sendall(bytes([byte]))
                except OSError:
                    return
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=drip, args=(server,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(VerifyFailed, match="its answer was not complete after 1 s"):
            certverify.verify(f"http://127.0.0.1:{server.getsockname()[1]}", None, timeout=1)
        assert time.monotonic() - began < 4


def test_an_answer_without_an_end_is_cut_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "LARGEST", 1024 * 1024)
    server, endpoint = serving(200, LEADER * 50_000, b"")
    try:
        told = failure(endpoint, None)
    finally:
        server.shutdown()
        server.server_close()
    assert told.message == f"what answers at `{endpoint}` is not etcd: it answers with more than 1 MiB"
