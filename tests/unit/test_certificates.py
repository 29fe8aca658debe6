"""Certificates are made as etcd wants them, and what cannot be one is told apart, in words, without a key."""

import datetime
import shlex
from base64 import b64encode, encodebytes
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec.structs import replace

from ddhelm import certificates, expiry, handshake
from ddhelm.actions import certexpiry, certrotate, certs, certverify
from ddhelm.actions.certexpiry import Expiry
from ddhelm.actions.certrotate import Rotating
from ddhelm.actions.session import Session
from ddhelm.answers import SecretKeys
from ddhelm.certificates import Pair
from ddhelm.claims_certs import CLAIMS
from ddhelm.commands.certs import Files, Given, issue
from ddhelm.errors import ConfigError, DdhelmError, PreflightFailed, UsageError, VerifyFailed
from ddhelm.run import Secrets
from ddhelm.views import certs as view
from ddhelm.views import console

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
NAMES = ("`ca.crt`", "`ca.key`")
KEYS: dict[str, Callable[[], Any]] = {
    "ec": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def pem(key: Any, password: bytes | None = None, form: Any = serialization.PrivateFormat.PKCS8) -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, form, lock))


def made(
    key: Any,
    *,
    ca: bool | None = True,
    signs: bool = True,
    begins: datetime.datetime = NOW - DAY,
    ends: datetime.datetime = NOW + 1000 * DAY,
) -> bytes:
    """A self-signed certificate; ``ca`` None leaves the constraint out."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "etcd-ca")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.KeyUsage(True, False, False, False, False, signs, False, False, False), True)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


CA_KEY = KEYS["ec"]()
CA = made(CA_KEY)


def authority(certificate: bytes = CA, key: bytes | None = None, **more: Any) -> certificates.Authority:
    return certificates.authority(certificate, key or pem(CA_KEY), now=NOW, names=NAMES, **more)


def issued(signer: certificates.Authority | None = None, kind: str = "ec", days: int = 90) -> Pair:
    wanted = certs.Wanted("somebody", days, kind)
    return certs.pair(signer or authority(), wanted, Secrets(), NOW)


@pytest.mark.parametrize("kind", certificates.KEY_TYPES)
@pytest.mark.parametrize("of_ca", KEYS)
def test_a_certificate_is_for_clients_only_and_signed_by_the_ca(of_ca: str, kind: str) -> None:
    key = KEYS[of_ca]()
    pair = issued(authority(made(key), pem(key)), kind)
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(made(key)))
    assert certificate.subject.rfc4514_string() == "CN=somebody"
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    if of_ca != "ed25519":
        assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert certificates.problems(pair, NOW) == []
    assert certificates.signed_by(pair.certificate, pair.ca)


def test_it_begins_a_little_ago_and_never_outlives_its_ca() -> None:
    shown = certificates.read_certificate(issued(days=90).certificate, "it")
    assert (shown.begins, shown.ends) == (NOW - datetime.timedelta(minutes=5), NOW + 90 * DAY)
    assert shown.days_left(NOW) == 90
    assert shown.days_left(NOW + 91 * DAY) == -1
    short = authority(made(CA_KEY, ends=NOW + 3 * DAY))
    assert certificates.read_certificate(issued(short).certificate, "it").ends == NOW + 3 * DAY


def test_it_names_its_ca_by_the_cas_own_identifier() -> None:
    """A CA may have made its identifier otherwise than we would; OpenSSL then takes it for another one."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    identifier = x509.SubjectKeyIdentifier(b"0123456789")
    odd = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(CA_KEY.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(identifier, False)
        .sign(CA_KEY, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    leaf = x509.load_pem_x509_certificate(issued(authority(odd)).certificate)
    found = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert found.key_identifier == b"0123456789"


OTHER_KEY = KEYS["ec"]()
PUBLIC = CA_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
DER = x509.load_pem_x509_certificate(CA).public_bytes(serialization.Encoding.DER)
BROKEN = CA.replace(CA.splitlines()[2], b"A" * 64)
HALF = CA[: len(CA) // 2]
LOCKED = pem(CA_KEY, b"open sesame")
BAD_CAS: list[tuple[str, bytes, bytes, str, str]] = [
    ("the key of another certificate", CA, pem(OTHER_KEY), "key-of-another", "is not the key of the CA"),
    ("expired", made(CA_KEY, ends=NOW - DAY / 2), pem(CA_KEY), "ca-expired", "expired on 2026-03-01"),
    ("not yet valid", made(CA_KEY, begins=NOW + DAY), pem(CA_KEY), "ca-not-yet", "here it is 2026-03-01 12:00"),
    ("no CA", made(CA_KEY, ca=False), pem(CA_KEY), "not-a-ca", "is not a CA"),
    ("without constraints", made(CA_KEY, ca=None), pem(CA_KEY), "not-a-ca", "is not a CA"),
    ("that may not sign", made(CA_KEY, signs=False), pem(CA_KEY), "not-a-ca", "is not a CA"),
    ("several certificates", CA + made(OTHER_KEY), pem(CA_KEY), "several-certificates", "holds 2 certificates"),
    ("an empty file", b"\n", pem(CA_KEY), "certificate-unreadable", "holds nothing"),
    ("garbage", b"\x00\xff garbage", pem(CA_KEY), "certificate-unreadable", "holds something else"),
    ("DER", DER, pem(CA_KEY), "certificate-unreadable", "in DER form"),
    ("a key for the certificate", pem(CA_KEY), pem(CA_KEY), "certificate-unreadable", "a `private key`"),
    ("a broken certificate", BROKEN, pem(CA_KEY), "certificate-unreadable", "is broken"),
    ("half a certificate", HALF, pem(CA_KEY), "certificate-unreadable", "a certificate that is cut off"),
    ("the certificate for the key", CA, CA, "certificate-unreadable", "a `certificate`, not a private key"),
    ("the public key for the key", CA, PUBLIC, "certificate-unreadable", "a `public key`"),
    ("a key cut off", CA, pem(CA_KEY)[:-60], "certificate-unreadable", "is broken"),
    ("several keys", CA, pem(OTHER_KEY) + pem(CA_KEY), "several-keys", "holds 2 private keys"),
    ("an encrypted key", CA, LOCKED, "key-encrypted", "is encrypted"),
    ("an Ed448 key", CA, pem(ed448.Ed448PrivateKey.generate()), "key-kind", "neither EC, RSA nor Ed25519"),
    ("a key of Bitcoin's curve", CA, pem(ec.generate_private_key(ec.SECP256K1())), "key-kind", "curve secp256k1"),
]


@pytest.mark.parametrize(
    ("certificate", "key", "anchor", "words"), [row[1:] for row in BAD_CAS], ids=[r[0] for r in BAD_CAS]
)
def test_a_ca_that_cannot_sign_is_told_apart(certificate: bytes, key: bytes, anchor: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        authority(certificate, key)
    assert caught.value.anchor == anchor
    shown = " ".join((str(caught.value), caught.value.hint, *caught.value.details))
    assert not any(line in shown for line in key.decode("latin-1").splitlines() if len(line) > 20)


def test_der_is_turned_into_pem_by_the_hint() -> None:
    for certificate, key, command in ((DER, pem(CA_KEY), "openssl x509"), (CA, DER, "openssl pkey")):
        with pytest.raises(ConfigError) as caught:
            authority(certificate, key)
        assert caught.value.hint.startswith(f"{command} -inform der -in FILE -out PEM ")


def test_a_folder_without_one_of_the_files_hints_its_flag(tmp_path: Path) -> None:
    (tmp_path / "etcd-client.crt").write_bytes(CA)
    (tmp_path / "etcd-client.key").write_bytes(pem(CA_KEY))
    with pytest.raises(ConfigError, match=r"there is no `etcd-ca\.crt` in") as caught:
        Files(str(tmp_path)).read(Secrets())
    assert (caught.value.hint, caught.value.anchor) == ("--ca FILE names it", "certificate-file")
    (tmp_path / "other.crt").write_bytes(CA)
    assert Files(str(tmp_path), ca=str(tmp_path / "other.crt")).read(Secrets()).ca == CA
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Files(str(tmp_path / "nowhere")).read(Secrets())


def test_where_a_certificate_goes_is_said_once() -> None:
    for given, words in (
        (Given(), "^say where the certificate goes"),
        (Given(out="folder", secret="name"), "^`--out` and `--secret` cannot be meant together"),
    ):
        with pytest.raises(UsageError, match=words):
            issue({}, given, "table", csr_only=False)


@pytest.mark.parametrize("endpoint", ["https://user:hush@h:2379", "https://user:hu/sh@h", "http://hush@h"])
def test_an_endpoint_with_a_password_is_refused_without_showing_it(endpoint: str) -> None:
    with pytest.raises(UsageError, match="has a user or a password in it") as caught:
        handshake.address(endpoint)
    assert "hu" not in f"{caught.value.message} {caught.value.hint}".replace("who", "")
    assert caught.value.anchor == "certs-flags"


def test_the_hint_that_renews_a_certificate_can_be_pasted() -> None:
    """Without saying where the new certificate comes from, `certs rotate` does nothing."""
    hints = {claim.hint for claim in CLAIMS if claim.name.startswith("etcd-certificate")}
    problem = Expiry("name", "2026-03-01", 5).problem
    assert problem
    assert hints == {problem.hint} == {expiry.RENEW}
    line = expiry.RENEW.split(",")[0]
    assert line.split()[3:] == ["--ca-cert", "FILE", "--ca-key", "FILE"]
    assert Given(ca_cert="FILE", ca_key="FILE").authority.key == "FILE"


def rotating(ends: str = "") -> Rotating:
    return Rotating(
        SecretKeys("name", frozenset(), frozenset(), "", ""),
        datetime.datetime.fromisoformat(ends) if ends else None,
        (),
        (),
        "uid",
        {"w": 1},
    )


def holding(certificate: bytes, ends: str = "") -> SecretKeys:
    return SecretKeys("name", frozenset(), frozenset(), "", "", certificate=certificate, certificate_ends=ends)


class Stored:
    """A session whose cluster holds one Secret, and nothing else."""

    def __init__(self, ca: str) -> None:
        self.access, self.kubectl, self.ca = SimpleNamespace(namespace="datadog"), self, ca

    def tree(self, path: str) -> Any:
        assert path == "/api/v1/namespaces/datadog/secrets/name"
        return {"data": {"etcd-ca.crt": self.ca}}


OWN_PATH = "/etc/datadog-agent/certs/etcd-client.crt"


@pytest.mark.parametrize(
    ("secret", "shown", "told"),
    [
        ("name", OWN_PATH, Expiry("name", "2026-03-02T00:00:00Z", -1)),
        ("name", "/host/etc/etcd.crt", Expiry()),
        ("name", None, None),  # a managed cluster, or the plaintext listener
        (None, "/host/etc/etcd.crt", Expiry()),
        (None, None, None),
    ],
)
def test_only_a_certificate_that_agents_show_can_end(
    monkeypatch: pytest.MonkeyPatch, secret: str | None, shown: str | None, told: Expiry | None
) -> None:
    known = holding(CA, "2026-03-02T00:00:00Z")
    kubectl: Any = SimpleNamespace(secret_keys=lambda _name: known)
    monkeypatch.setattr(certs, "now", lambda: datetime.datetime(2026, 3, 2, 1, tzinfo=datetime.UTC))
    instances = [{"prometheus_url": "https://x", **({"tls_cert": shown} if shown else {})}]
    assert certexpiry.of(kubectl, secret, {"checks": {"etcd": {"instances": instances}}}) == told


def test_the_end_is_that_of_the_certificate_which_stands_in_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Secret that ddhelm wrote, then `kubectl patch` of its content: the note of its end stays behind."""
    monkeypatch.setattr(certs, "now", lambda: NOW)
    old, new = issued(days=300), issued(days=5)
    notes = certs.secret_object("datadog", "name", old)["metadata"]["annotations"]
    lines = f"@{notes['ddhelm.dev/certificate-ends']}\n#{notes['ddhelm.dev/certificate-sha256']}"
    facts = {"checks": {"etcd": {"instances": [{"tls_cert": OWN_PATH}]}}}
    for pair, days, noted in ((old, 300, True), (new, 5, False)):
        stored = b64encode(pair.certificate).decode()
        known: Any = SecretKeys.read("name", f"uid 7\netcd-client.crt {len(stored)}\n!{stored}\n{lines}")
        kubectl: Any = SimpleNamespace(secret_keys=lambda _name, known=known: known)
        told = Expiry("name", (NOW + days * DAY).isoformat().replace("+00:00", "Z"), days)
        assert certexpiry.of(kubectl, "name", facts) == told
        assert (certs.ends(known), certs.days_left(known)) == (NOW + days * DAY, days)
        assert bool(known.certificate_ends) == noted, "the note is enough where it is true"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----"])
def test_of_a_secret_without_a_readable_certificate_no_end_is_told(content: bytes) -> None:
    kubectl: Any = SimpleNamespace(secret_keys=lambda _name: holding(content))
    told: Any = certexpiry.of(kubectl, "name", {"checks": {"etcd": {"instances": [{"tls_cert": OWN_PATH}]}}})
    assert (told.days, told.problem) == (None, None)
    assert "expiry unknown (`etcd-client.crt` in it is no certificate that can be read)" in told.text


def test_another_ca_than_the_one_in_the_secret_is_refused() -> None:
    session: Any = Stored(b64encode(CA).decode())
    other = issued(authority(made(OTHER_KEY), pem(OTHER_KEY)))
    held = certrotate.stored(session, rotating())
    sentence = certrotate.other_authority(rotating(), held, other)
    assert "is another CA than the one in Secret `name`" in sentence
    with pytest.raises(DdhelmError, match="is another CA") as caught:
        certrotate.refuse_other(sentence)
    assert caught.value.anchor == "certificate-other-ca"
    assert "--new-ca" in caught.value.hint
    renewed = authority(made(CA_KEY, ends=NOW + 300 * DAY))
    for pair in (issued(), issued(renewed), replace(other, ca=CA + other.ca)):
        assert certrotate.other_authority(rotating(), held, pair) == ""
    foreign = replace(issued(), ca=made(OTHER_KEY))  # signed by etcd's CA, but trusts another
    assert certrotate.other_authority(rotating(), held, foreign)
    for broken in ("", "%", b64encode(b"garbage").decode()):
        unread: Any = Stored(broken)
        assert certrotate.other_authority(rotating(), certrotate.stored(unread, rotating()), other) == ""
    certrotate.refuse_other("")


def test_the_other_ca_of_a_bundle_stays_while_etcd_changes_its_ca(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "now", lambda: NOW)
    other, ended = made(OTHER_KEY), made(OTHER_KEY, ends=NOW - DAY / 2)
    renewed = authority(made(CA_KEY, ends=NOW + 300 * DAY))
    for new in (issued(), issued(renewed)):
        held = {"etcd-ca.crt": CA + other + ended}
        pair, told = certrotate.with_others(rotating(), held, new)
        assert certificates.read_certificates(pair.ca, "x") == certificates.read_certificates(new.ca + other, "x")
        assert "Secret `name` holds another CA too (`CN=etcd-ca`), and keeps it; --new-ca" in told
        assert (pair.certificate, pair.key) == (new.certificate, new.key)
    new = issued()
    for alone in (CA, b"", b"garbage", CA + ended):
        assert certrotate.with_others(rotating(), {"etcd-ca.crt": alone}, new) == (new, "")


def test_a_certificate_that_ends_before_the_old_one_is_said() -> None:
    new = issued(days=90)  # until 2026-05-30
    assert certrotate.shorter(rotating("2026-12-01T00:00:00+00:00"), new) == (
        "the new certificate ends on 2026-05-30, before the one that it replaces (2026-12-01)"
    )
    assert certrotate.shorter(rotating("2026-05-30T23:59:59+00:00"), new) == "", "the same day, in words"
    assert certrotate.shorter(rotating("2026-05-01T00:00:00+00:00"), new) == certrotate.shorter(rotating(), new) == ""


def test_a_new_secret_is_tried_before_agents_show_it(capsys: pytest.CaptureFixture[str]) -> None:
    shown = certificates.read_certificate(issued().certificate, "it")
    view.made(certs.Made(shown, "Secret `name`", ("another CA",), secret="name"), NOW, console.out())
    out = capsys.readouterr().out
    assert out.index("another CA") < out.index("ddhelm certs verify --endpoint https://HOST:2379 --secret name")
    assert out.index("certs verify") < out.index("ddhelm onboard --etcd-secret name")


def test_what_to_type_next_names_cluster_and_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "my certs")
    shown = certificates.read_certificate(issued().certificate, "it")

    def told() -> None:
        cluster = {"namespace": None, "context": "prod", "kubeconfig": None}
        issue(cluster, Given(out=folder), "table", csr_only=True)
        view.made(certs.Made(shown, "files", (), files=(f"{folder}/etcd-client.crt",)), NOW, console.out(width=40))
        view.made(certs.Made(shown, "Secret `name`", (), secret="name"), NOW, console.out(width=40))

    copy_context().run(told)
    lines = [shlex.split(each) for each in capsys.readouterr().out.splitlines() if "ddhelm " in each]
    put = ["ddhelm", "certs", "import", "--context", "prod", "--dir", folder]
    verify = ["ddhelm", "certs", "verify", "--context", "prod", "--endpoint", "https://HOST:2379"]
    assert [line[line.index("ddhelm") :] for line in lines] == [
        [*put, "--cert", "SIGNED.crt", "--ca", "CA.crt", "--secret", certs.SUGGESTED],
        [*verify, "--dir", folder],
        [*verify, "--secret", "name"],
        ["ddhelm", "onboard", "--context", "prod", "--etcd-secret", "name"],
    ]


def test_text_around_a_certificate_and_a_key_does_no_harm() -> None:
    """`openssl x509 -text` prints the certificate in words above it; old EC key files begin with their parameters."""
    old = b"-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n"
    traditional = pem(CA_KEY, form=serialization.PrivateFormat.TraditionalOpenSSL)
    assert authority(b"Certificate:\n    Data:\n" + CA + b"\n# end\n", old + traditional)


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_a_locked_key_opens_with_its_password_and_no_other(form: Any) -> None:
    locked = pem(CA_KEY, b"open sesame", form)
    assert authority(key=locked, password=b"open sesame")
    with pytest.raises(ConfigError, match="does not open the key") as caught:
        authority(key=locked, password=b"open barley")
    assert caught.value.anchor == "key-password"


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
def test_a_name_that_no_certificate_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="common name"):
        certificates.request(certificates.new_key(), name)


def test_every_problem_of_a_pair_is_named() -> None:
    good = issued()
    server = made(OTHER_KEY, ca=False)
    assert certificates.problems(Pair(server, pem(OTHER_KEY)), NOW) == []  # no usage at all allows every use
    assert certificates.problems(Pair(good.certificate, pem(OTHER_KEY)), NOW) == [
        "the key is not the key of the certificate `CN=somebody`"
    ]
    assert certificates.problems(good, NOW + 91 * DAY) == ["the certificate `CN=somebody` expired on 2026-05-30"]
    assert "is valid from 2026-03-01 11:55 UTC only" in certificates.problems(good, NOW - DAY)[0]
    assert not certificates.signed_by(good.certificate, made(OTHER_KEY))


def test_a_servers_certificate_is_not_for_clients(tmp_path: Path) -> None:
    from tests.sandbox.certificates import make

    pki = make(tmp_path)
    certificate, key = pki.pair("etcd/server")
    leaf = certificate.read_bytes()
    now = datetime.datetime.now(datetime.UTC)
    assert certificates.problems(Pair(leaf, key.read_bytes()), now) == []  # the sandbox's serve both ways, as etcd's do
    text = certificates.read_certificate(leaf, "it")
    assert text.names == ("localhost", "127.0.0.1")


def test_an_unusable_pair_is_refused_with_every_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "now", lambda: NOW)
    good = issued()
    with pytest.raises(DdhelmError, match="2 things are wrong") as caught:
        certs.usable(Pair(good.certificate, pem(OTHER_KEY), made(CA_KEY, ends=NOW - DAY / 2)))
    assert caught.value.details == (
        "the key is not the key of the certificate `CN=somebody`",
        "the CA `CN=etcd-ca` expired on 2026-03-01",
    )


def test_what_is_given_as_etcds_ca_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "now", lambda: NOW)
    good, other, third = issued(), made(OTHER_KEY), made(KEYS["ec"]())
    assert certs.usable(good) == ()
    for none in (made(OTHER_KEY, ca=False), CA + good.certificate):
        with pytest.raises(ConfigError, match="is not a CA") as caught:
            certs.usable(Pair(good.certificate, good.key, none))
        assert caught.value.anchor == "not-a-ca"
    with pytest.raises(
        ConfigError, match=r"holds 2 certificates.*issued by `CN=etcd-ca`.* from none of them"
    ) as caught:
        certs.usable(Pair(good.certificate, good.key, other + third))
    assert caught.value.anchor == "several-certificates"
    (line,) = certs.usable(Pair(good.certificate, good.key, other))
    assert "serves and accepts by different CAs" in line
    (line,) = certs.usable(Pair(good.certificate, good.key, other + CA))
    assert "only while etcd changes its CA" in line


def test_a_ca_as_the_client_is_refused_because_its_key_would_go_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "now", lambda: NOW)
    with pytest.raises(DdhelmError, match="`CN=etcd-ca` is itself a CA") as caught:
        certs.import_to_secret(cast("Session", SimpleNamespace()), Pair(CA, pem(CA_KEY), CA), "name")
    assert caught.value.anchor == "certificate-unusable"


def test_a_ca_in_between_may_stand_beside_the_certificate_or_beside_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "now", lambda: NOW)
    root = x509.load_pem_x509_certificate(CA)
    middle = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "between")]))
        .issuer_name(root.subject)
        .public_key(OTHER_KEY.public_key())
        .serial_number(8)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 99 * DAY)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(CA_KEY, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    leaf = issued(authority(middle, pem(OTHER_KEY)))
    assert certs.usable(Pair(leaf.certificate, leaf.key, CA + middle)) == ()
    assert certs.usable(Pair(leaf.certificate + middle, leaf.key, CA)) == ()
    (line,) = certs.usable(Pair(leaf.certificate, leaf.key, CA))
    assert "issued by `CN=between`" in line


def test_a_name_that_no_secret_can_have_is_refused_by_the_flag_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "now", lambda: NOW)
    with pytest.raises(ConfigError, match="`Bad_Name` cannot be the name of a Secret") as caught:
        certs.import_to_secret(cast("Session", SimpleNamespace()), issued(), "Bad_Name")
    assert caught.value.hint.startswith("--secret ddhelm-etcd-client")


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (-1, "expired (ended on 2026-03-02)"),
        (0, "less than a day left (ends on 2026-03-02)"),
        (1, "1 day left (ends on"),
        (2, "2 days left (ends on"),
    ],
)
def test_one_day_is_not_days(days: int, said: str) -> None:
    assert said in Expiry("own", "2026-03-02T00:00:00+00:00", days).text


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (-5, "0 minutes"),
        (1, "1 minute"),
        (14, "14 minutes"),
        (60, "1 hour"),
        (1439, "23 hours"),
        (1440, "1 day"),
        (3000, "2 days"),
    ],
)
def test_what_is_left_is_told_in_the_largest_unit(minutes: int, said: str) -> None:
    assert expiry.lasting(datetime.timedelta(minutes=minutes)) == said


def test_a_ca_that_ends_soon_and_one_with_a_short_key_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certs, "now", lambda: NOW)
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    short = authority(made(key, ends=NOW + datetime.timedelta(minutes=14)), pem(key))
    _, weak, soon = certs.remarks(short, certs.Wanted(), NOW)
    assert weak.startswith("the CA `CN=etcd-ca` has an RSA key of 1024 bits, which etcd still takes and the agents do")
    assert soon == "the CA itself ends in 14 minutes, and so does the certificate"
    assert certs.usable(issued(short)) == (weak,)
    assert certs.remarks(authority(), certs.Wanted(), NOW) == (certs.CA_POWER,)


def test_a_secret_to_verify_is_judged_by_its_name_first() -> None:
    with pytest.raises(ConfigError, match="`Bad_Name` cannot be the name of a Secret") as caught:
        certverify.of_secret(cast("Session", SimpleNamespace()), "Bad_Name")
    assert "import" not in caught.value.hint


def sha1_signed(pair: Pair) -> Pair:
    """The same with another name of the hash in an RSA signature, which `cryptography` no longer makes."""
    leaf = x509.load_pem_x509_certificate(pair.certificate).public_bytes(serialization.Encoding.DER)
    old, new = (bytes.fromhex(f"06092a864886f70d0101{last}") for last in ("0b", "05"))
    assert leaf.count(old) == 2
    body = encodebytes(leaf.replace(old, new)).decode()
    return replace(pair, certificate=f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n".encode())


def test_a_certificate_that_agents_cannot_load_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By `certs import`, `certs rotate` and `certs verify`; the ssl of this machine may think as the agents' does."""
    monkeypatch.setattr(certs, "now", lambda: NOW)
    short, signer = rsa.generate_private_key(public_exponent=65537, key_size=1024), KEYS["rsa"]()
    small = Pair(made(short, ca=False), pem(short), CA)
    old = sha1_signed(issued(authority(made(signer), pem(signer))))
    for pair, words, reason in (
        (small, "has an RSA key of 1024 bits: agents load none below 2048", "key too small"),
        (old, "is signed with SHA1: agents refuse to load it", "md too weak"),
    ):
        with pytest.raises(PreflightFailed, match=words) as caught:
            certs.usable(pair)
        assert caught.value.anchor == "certificate-unusable"
        with pytest.raises(VerifyFailed, match=words):
            certverify.verify("https://127.0.0.1:1", pair)
        with pytest.raises(handshake.Failed, match=reason) as failed:
            handshake._context(pair)
        told = certverify._explained(failed.value, "https://127.0.0.1:1", pair, None, NOW)
        assert told.message.startswith("the client certificate and its key cannot be loaded: ")
    good = issued()
    (found,) = certificates.problems(replace(good, certificate=good.certificate + old.certificate), NOW)
    assert "SHA1" in found, "one in between counts too"


def test_text_of_any_encoding_may_stand_around_a_ca() -> None:
    handshake._context(Pair(b"", b"", "# Autorité de Zürich\n".encode() + CA))
    handshake._context(Pair(b"", b"", b"\xff\n" + CA))


FOR_PSS_ALONE = b"""-----BEGIN CERTIFICATE-----
MIICcDCCAaWgAwIBAgIUV7iXflrPkKNsg8EUAhqMi9ZbLSwwQQYJKoZIhvcNAQEK
MDSgDzANBglghkgBZQMEAgEFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgEF
AKIDAgFeMA4xDDAKBgNVBAMMA3BzczAgFw0yNjEyMDExMDUwMDVaGA8yMTI2MTEw
NzEwNTAwNVowDjEMMAoGA1UEAwwDcHNzMIGdMAsGCSqGSIb3DQEBCgOBjQAwgYkC
gYEAu6e/cahsHX/+MdSdDO0/EFqTeVX4TKo7oYl/Vc9CN1di0UPwyoiur5TdynOI
jAm+a3ktWPkk2YgJl445lg8/QzFV+TS2Rebc94hEHYUSP1qzORcBBYTtSfKb7tVi
qOuZi4O/0F3TL22wiQOeaqEd78INow8QLIcSzqH2XayBaxsCAwEAAaNjMGEwHQYD
VR0OBBYEFDmzTHaAu4HFjUmSesh3qtFIZ4koMB8GA1UdIwQYMBaAFDmzTHaAu4HF
jUmSesh3qtFIZ4koMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMEEG
CSqGSIb3DQEBCjA0oA8wDQYJYIZIAWUDBAIBBQChHDAaBgkqhkiG9w0BAQgwDQYJ
YIZIAWUDBAIBBQCiAwIBXgOBgQBf0a0OsCOSdW+o3g0/Gjc05np4syyHulzwRqbo
2nwXVfhksjYS2K1LFz4YEdVXuJiRumZ38yxFQLxBO6k00HuEDYMQgx9DoXOjyK+T
Afht1fexNWPG4zc70OpR4v25w1dzafunkWcqDBDaPaqmvW6WmB70YhV8rRraLtSy
6WDdYw==
-----END CERTIFICATE-----
"""
"""Of `openssl req -x509 -new -key K`, K of `openssl genpkey -algorithm RSA-PSS`; nobody has its key."""


def test_a_ca_for_rsa_pss_alone_is_refused() -> None:
    moment = certificates.read_certificate(FOR_PSS_ALONE, "it").begins + DAY
    with pytest.raises(ConfigError, match=r"the key in `ca.crt` is for RSA-PSS alone") as caught:
        certificates.authority(FOR_PSS_ALONE, pem(KEYS["rsa"]()), now=moment, names=NAMES)
    assert caught.value.anchor == "key-kind"


@pytest.mark.parametrize(
    ("trouble", "own", "ca", "said"),
    [
        ("expired", 10, -1, "the given CA `CN=etcd-ca` expired on 2026-02-28"),
        ("expired", -1, 10, "etcd's own certificate (`CN=etcd-ca`) expired on 2026-02-28"),
        ("expired", None, -1, "the given CA `CN=etcd-ca` expired on 2026-02-28"),
        ("expired", 10, 10, "etcd's own certificate (`CN=etcd-ca`), or a CA of its chain, expired"),
        ("not-yet", 10, 10, "the given CA `CN=etcd-ca` is not valid yet; here it is 2026-02-01 12:00 UTC"),
    ],
)
def test_the_certificate_whose_dates_are_wrong_is_named(
    trouble: handshake.Trouble, own: int | None, ca: int, said: str
) -> None:
    """OpenSSL's code says only that one of the chain is."""
    begins = NOW - 60 * DAY
    der = None
    if own is not None:
        leaf = made(CA_KEY, ca=False, begins=begins, ends=NOW + own * DAY)
        der = x509.load_pem_x509_certificate(leaf).public_bytes(serialization.Encoding.DER)
    not_yet = trouble == "not-yet"
    pair = Pair(b"", b"", made(CA_KEY, begins=NOW - DAY if not_yet else begins, ends=NOW + ca * DAY))
    moment = NOW - 28 * DAY if not_yet else NOW
    told, hint = certverify._out_of_date(handshake.Failed(trouble, "", der), pair, moment)
    assert told == said
    assert ("kubeadm certs renew all" in hint) == (trouble == "expired" and "given CA" not in said)
