"""Each error of a check means one thing, and has something to do about it. The texts are captured ones."""

import pytest

from ddhelm.checkerrors import ETCD, ROWS, meaning

POOL = "HTTPSConnectionPool(host='127.0.0.1', port=10259): Max retries exceeded with url: /metrics (Caused by {})"
NEW = (
    "NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f3a5c>: "
    "Failed to establish a new connection: {}')"
)
TLS = (
    "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] "
    "certificate verify failed: {} (_ssl.c:1016)'))"
)
BAD = "SSLError(SSLError(1, '[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate'))"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("403 Client Error: Forbidden for url: https://127.0.0.1:10259/metrics", "forbidden"),
        ("401 Client Error: Unauthorized for url: https://127.0.0.1:10259/metrics", "unauthorized"),
        ("404 Client Error: Not Found for url: https://127.0.0.1:10259/metrics", "not-served"),
        ("500 Server Error: Internal Server Error for url: https://127.0.0.1:10259/metrics", "server-error"),
        (POOL.format(NEW.format("[Errno 111] Connection refused")), "refused"),
        ('Get "https://10.0.0.1:10250/pods": dial tcp 10.0.0.1:10250: connect: connection refused', "refused"),
        (POOL.format(NEW.format("[Errno -2] Name or service not known")), "unresolved"),
        ('Get "https://x:10250/pods": dial tcp: lookup x on 10.96.0.10:53: no such host', "unresolved"),
        (POOL.format(NEW.format("[Errno 113] No route to host")), "unreachable"),
        (POOL.format(TLS.format("unable to get local issuer certificate")), "unknown-authority"),
        (POOL.format(TLS.format("self-signed certificate in certificate chain")), "unknown-authority"),
        ('Get "https://10.0.0.1:10250/pods": x509: certificate signed by unknown authority', "unknown-authority"),
        (POOL.format(TLS.format("certificate has expired")), "server-expired"),
        ("x509: certificate has expired or is not yet valid: current time … is after …", "server-expired"),
        (POOL.format(TLS.format("Hostname mismatch, certificate is not valid for 'localhost'.")), "server-name"),
        (POOL.format(TLS.format("IP address mismatch, certificate is not valid for '127.0.0.1'.")), "server-name"),
        ("x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs", "server-name"),
        (POOL.format(BAD), "client-certificate"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "client-certificate"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2580)", "client-certificate"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired (_ssl.c:2580)", "client-expired"),
        ("remote error: tls: expired certificate", "client-expired"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1016)", "wrong-protocol"),
        ('Get "https://127.0.0.1:2381/metrics": http: server gave HTTP response to HTTPS client', "wrong-protocol"),
        ("400 Client Error: Bad Request for url: http://127.0.0.1:6443/metrics", "wrong-protocol"),
        ("Could not find the TLS certificate file, invalid path: /host/etc/x.crt", "no-file"),
        ("[Errno 2] No such file or directory: '/host/etc/x.crt'", "no-file"),
        ("open /var/run/secrets/token: permission denied", "file-denied"),
        ("[X509: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:4036)", "key-mismatch"),
        (POOL.format("ReadTimeoutError(\"Read timed out. (read timeout=10.0)\")"), "timeout"),
        ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)", "timeout"),
        ("Detected 2 errors while loading configuration model", "other"),
    ],
)  # fmt: skip
def test_every_error_means_one_thing(error: str, kind: str) -> None:
    found = meaning(error, check="kube_scheduler")
    assert found.kind == kind
    assert found.hint
    assert "{" not in found.line + found.hint
    assert "0x" not in found.line


def test_the_line_names_where_and_which_file() -> None:
    refused = meaning(POOL.format(NEW.format("[Errno 111] Connection refused")), check="kube_scheduler")
    assert refused.line == "nobody listens at `127.0.0.1:10259`: connection refused"
    missing = meaning("Could not find the TLS certificate file, invalid path: /host/etc/x.crt", check="etcd")
    assert missing.line == "there is no file `/host/etc/x.crt` in the agent's container"
    assert "--drop-check etcd" in missing.hint
    forbidden = meaning(
        "403 Client Error: Forbidden for url: https://127.0.0.1:1/metrics", check="etcd", namespace="ns", account="sa"
    )
    assert "`https://127.0.0.1:1/metrics`" in forbidden.line
    assert "--as=system:serviceaccount:ns:sa" in forbidden.hint


@pytest.mark.parametrize("kind", sorted(ETCD))
def test_where_a_certificate_of_etcd_is_the_cause_the_hint_names_a_command_of_certs(kind: str) -> None:
    assert kind in {row.kind for row in ROWS}
    assert "ddhelm certs " in ETCD[kind]


def test_the_certs_commands_are_for_etcd_alone_and_name_the_address_that_was_asked() -> None:
    refused = POOL.replace("10259", "2379").format(BAD)
    assert "ddhelm certs verify --endpoint https://127.0.0.1:2379 --dir DIR" in meaning(refused, check="etcd").hint
    assert "ddhelm certs" not in meaning(refused, check="kube_scheduler").hint
    missing = meaning("Could not find the TLS certificate file, invalid path: /host/etc/x.crt", check="etcd")
    assert "ddhelm certs plan" in missing.hint
    assert "--drop-check etcd" in missing.hint


def test_an_unknown_error_is_quoted_and_short() -> None:
    found = meaning("something\nnew " * 100, check="etcd")
    assert found.kind == "other"
    assert found.line.startswith("something new something")
    assert len(found.line) <= 160
    assert "agent check etcd" in found.hint
