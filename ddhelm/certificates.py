"""Certificates and their keys: reads, checks and makes them; the only module that knows the `cryptography` package.

PEM in, PEM out. Nothing here knows a file, a clock or a cluster; times are handed in, in UTC. The package is loaded by
the first call, because it takes longer to load than a `status` may take. No key ever stands in a message.
"""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ddhelm.errors import ConfigError
from ddhelm.reserved import Reserved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    Extension = TypeVar("Extension", bound=x509.ExtensionType)

COMMON_NAME = "ddhelm-etcd-client"
DAYS = 365
LONGEST = 3650
SET_BACK = timedelta(minutes=5)
"""How long before now a new certificate begins: the clocks of the nodes are not this machine's."""
KEY_TYPES = ("ec", "rsa", "ed25519")
_CURVES = ("secp224r1", "secp256r1", "secp384r1", "secp521r1")
"""The curves that etcd can verify: those of Go's crypto/x509 (Go 1.26)."""

_RSA_BITS = 2048
_WEAK_HASHES = frozenset({"md5", "sha1"})
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


class Certificate(Reserved, frozen=True):
    """What a certificate says. ``names`` are its alternative names, ``client``: it may be shown by a client.

    ``fingerprint`` is SHA-256 in hexadecimal digits, ``rsa_bits`` the size of an RSA key, 0 for another kind,
    ``hashed`` the hash in its signature, empty where that has none of its own.
    """

    unshown: ClassVar[tuple[str, ...]] = ("pem",)

    subject: str
    issuer: str
    begins: datetime
    ends: datetime
    ca: bool
    client: bool
    names: tuple[str, ...]
    fingerprint: str
    pem: bytes
    rsa_bits: int = 0
    hashed: str = ""

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; negative once it has ended."""
        return (self.ends - now) // timedelta(days=1)


class Pair(Reserved, frozen=True):
    """A client certificate, its key and the CA of etcd, as PEM. ``key`` leaves it by name only."""

    unshown: ClassVar[tuple[str, ...]] = (
        "key",
        "ca",
    )

    certificate: bytes
    key: bytes
    ca: bytes = b""


class Authority(Reserved, frozen=True):
    """A CA that can sign: its certificate and its key, which fit together."""

    unshown: ClassVar[tuple[str, ...]] = ("_key",)

    certificate: Certificate
    _key: "PrivateKey"

    def issue(self, csr: bytes, *, now: datetime, days: int = DAYS) -> bytes:
        """A client certificate for a CSR of ours, as PEM; it never outlives the CA."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519

        request = x509.load_pem_x509_csr(csr)
        issuer = x509.load_pem_x509_certificate(self.certificate.pem)
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(issuer.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SET_BACK)
            .not_valid_after(min(now + timedelta(days=days), self.certificate.ends))
        )
        for extension, critical in _of_a_client():
            builder = builder.add_extension(extension, critical)
        known = _extension(issuer, x509.SubjectKeyIdentifier)  # another digest than the CA's own would not match it
        if known:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
            builder = builder.add_extension(identifier, critical=False)
        algorithm = None if isinstance(self._key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(self._key, algorithm).public_bytes(serialization.Encoding.PEM)


# --- making ----------------------------------------------------------------------------------------------------------


def new_key(kind: str = "ec") -> bytes:
    """A new private key (one of ``KEY_TYPES``) as PEM without a password: P-256, RSA with 3072 bits, or Ed25519."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if kind == "rsa":
        return _key_pem(rsa.generate_private_key(public_exponent=65537, key_size=3072))
    return _key_pem(
        ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    )


def request(key: bytes, common_name: str = COMMON_NAME) -> bytes:
    """A CSR for a client certificate, as PEM; raises ConfigError for a name that no certificate can hold."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import NameOID

    if not 1 <= len(common_name) <= 64 or not common_name.isprintable():
        raise ConfigError(
            f"`{common_name[:20]}` cannot be a common name: 1 to 64 printable characters",
            hint=f"--common-name {COMMON_NAME}",
            anchor="certificate-request",
        )
    signer = read_key(key, "the new key")
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    for extension, critical in _of_a_client():
        builder = builder.add_extension(extension, critical)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, algorithm).public_bytes(serialization.Encoding.PEM)


def _of_a_client() -> "list[tuple[x509.ExtensionType, bool]]":
    """The extensions of a client certificate: it signs handshakes, serves nothing and certifies nobody."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(True, False, False, False, False, False, False, False, False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    ]


# --- reading ---------------------------------------------------------------------------------------------------------


def read_certificates(data: bytes, where: str) -> tuple[Certificate, ...]:
    """Every certificate of a PEM text, in its order; raises ConfigError where there is none or one is broken."""
    from cryptography import x509

    found = _CERTIFICATE.findall(data)
    if not found:
        raise _instead_of(data, where, "certificate")
    certificates = []
    for number, block in enumerate(found, 1):
        try:
            certificates.append(_described(x509.load_pem_x509_certificate(block)))
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            which = (
                f"certificate {number} of {len(found)} in {where}" if len(found) > 1 else f"the certificate in {where}"
            )
            raise _unreadable(f"{which} is broken") from None
    return tuple(certificates)


def read_certificate(data: bytes, where: str) -> Certificate:
    """The one certificate of a PEM text; raises ConfigError for none, a broken one, or several."""
    found = read_certificates(data, where)
    if len(found) > 1:
        raise ConfigError(
            f"{where} holds {len(found)} certificates; which one is meant cannot be told",
            hint="put the one certificate alone into a file",
            anchor="several-certificates",
            details=[f"{at}: {one.subject}, issued by {one.issuer}" for at, one in enumerate(found, 1)],
        )
    return found[0]


def read_der(data: bytes) -> Certificate | None:
    """A certificate as TLS carries it; None where it is broken."""
    from cryptography import x509

    try:
        return _described(x509.load_der_x509_certificate(data))
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None


def read_key(data: bytes, where: str, password: bytes | None = None) -> "PrivateKey":
    """A private key of a kind that TLS can use; raises ConfigError without a word of it.

    Anchor ``key-encrypted`` where it needs a password and has none, ``key-password`` where that is the wrong one.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PRIVATE KEY-----" not in data:
        raise _instead_of(data, where, "private key")
    if (count := len(_KEY.findall(data))) > 1:
        raise ConfigError(
            f"{where} holds {count} private keys; which one is meant cannot be told",
            hint="put the one key alone into a file",
            anchor="several-keys",
        )
    locked = encrypted(data)
    if locked and password is None:
        raise ConfigError(
            f"the key in {where} is encrypted",
            hint="--ca-key-password-file FILE; where there is no such flag: openssl pkey -in FILE -out PLAIN",
            anchor="key-encrypted",
        )
    try:
        key = load_pem_private_key(data, password if locked else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if locked:
            raise ConfigError(
                f"the password does not open the key in {where}",
                hint="openssl pkey -noout -in FILE asks for it too",
                anchor="key-password",
            ) from None
        raise _unreadable(f"the key in {where} is broken") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise _of_another_kind(where, "neither EC, RSA nor Ed25519")
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in _CURVES:
        raise _of_another_kind(where, f"of the curve {key.curve.name}, which etcd cannot verify")
    return key


def _of_another_kind(where: str, kind: str) -> ConfigError:
    return ConfigError(f"the key in {where} is {kind}", hint="openssl pkey -noout -text -in FILE", anchor="key-kind")


def encrypted(data: bytes) -> bool:
    """Whether a PEM key wants a password."""
    return b"ENCRYPTED" in data


def plain_key(data: bytes, where: str, password: bytes | None = None) -> bytes:
    """The key alone, without a password and without what stands around it in the file."""
    return _key_pem(read_key(data, where, password))


def authority(
    certificate: bytes, key: bytes, *, now: datetime, names: tuple[str, str], password: bytes | None = None
) -> Authority:
    """A CA from its files; ``names`` of both are for messages. Raises ConfigError where it cannot or must not sign."""
    ca = read_certificate(certificate, names[0])
    check_authority(ca, names[0], now)
    if _for_pss_only(ca.pem):
        raise _of_another_kind(names[0], "for RSA-PSS alone, which etcd cannot verify")
    signer = read_key(key, names[1], password)
    if not _fits(ca.pem, signer):
        raise ConfigError(
            f"the key in {names[1]} is not the key of the CA certificate in {names[0]}",
            hint="compare: openssl x509 -pubkey -noout -in CERT, openssl pkey -pubout -in KEY",
            anchor="key-of-another",
        )
    return Authority(ca, signer)


def check_authority(ca: Certificate, where: str, now: datetime) -> None:
    """Raises ConfigError for a certificate that is no CA's, has ended or has not begun."""
    refuse_no_ca(ca, where)
    if now >= ca.ends:
        raise ConfigError(
            f"the CA in {where} (`{ca.subject}`) expired on {ca.ends:%Y-%m-%d}",
            hint="etcd needs a new CA first; nothing that an expired one signs is trusted",
            anchor="ca-expired",
        )
    if now < ca.begins:
        raise ConfigError(
            f"the CA in {where} (`{ca.subject}`) begins on {ca.begins:%Y-%m-%d %H:%M} UTC, and here it is "
            f"{now:%Y-%m-%d %H:%M}",
            hint="compare the clock of this machine with `date -u` elsewhere",
            anchor="ca-not-yet",
        )


def weak(ca: Certificate) -> str:
    """A remark on a CA with a short RSA key; empty where it is long enough.

    Go, and so etcd, refuses RSA keys below 1024 bits (crypto/rsa, Go 1.24); Python's ssl, with which the agents ask,
    refuses CAs below 2048 bits (``@SECLEVEL=2``: "CA certificate key too weak"; tried with OpenSSL 3.0).
    """
    if not 0 < ca.rsa_bits < _RSA_BITS:
        return ""
    takes = "etcd still takes" if ca.rsa_bits >= _RSA_BITS // 2 else "etcd (since Go 1.24) does not take"
    return (
        f"the CA `{ca.subject}` has an RSA key of {ca.rsa_bits} bits, which {takes} and the agents do not trust: where "
        "etcd's server certificate comes from it, the check fails"
    )


def refuse_no_ca(one: Certificate, where: str) -> None:
    """Raises ConfigError for a certificate that may not certify others."""
    if not one.ca:
        raise ConfigError(
            f"the certificate in {where} (`{one.subject}`) is not a CA: nothing that it signs is trusted",
            hint="name the CA of etcd; on kubeadm it is /etc/kubernetes/pki/etcd/ca.crt",
            anchor="not-a-ca",
        )


def problems(pair: Pair, now: datetime) -> list[str]:
    """What keeps a pair from being shown to etcd, a sentence each; empty where nothing does.

    A certificate that the CA did not sign is said too: etcd may trust another CA than the one that signed it, so
    that one alone decides nothing (see ``signed_by``). Raises ConfigError where something cannot be read.
    """
    shown, *between = read_certificates(pair.certificate, "the client certificate")
    found = [sentence for one in (shown, *between) for sentence in _unloadable(one)]
    if not _fits(shown.pem, read_key(pair.key, "the client key")):
        found.append(f"the key is not the key of the certificate `{shown.subject}`")
    if now >= shown.ends:
        found.append(f"the certificate `{shown.subject}` expired on {shown.ends:%Y-%m-%d}")
    if now < shown.begins:
        found.append(f"the certificate `{shown.subject}` is valid from {shown.begins:%Y-%m-%d %H:%M} UTC only")
    if not shown.client:
        found.append(f"the certificate `{shown.subject}` is not for clients: clientAuth is missing in its usage")
    return found


def _unloadable(one: Certificate) -> "Iterator[str]":
    """Why the agents' ssl does not take a certificate to show it: ``@SECLEVEL=2`` (tried with OpenSSL 3.0).

    "EE key too small", "CA key too small", "CA md too weak"; the last not for one that signed itself.
    """
    if 0 < one.rsa_bits < _RSA_BITS:
        short = f"an RSA key of {one.rsa_bits} bits: agents load none below {_RSA_BITS}"
        yield f"the certificate `{one.subject}` has {short}"
    if one.hashed in _WEAK_HASHES and one.subject != one.issuer:
        yield f"the certificate `{one.subject}` is signed with {one.hashed.upper()}: agents refuse to load it"


def signed_by(certificate: bytes, ca: bytes) -> bool:
    """Whether one of the CAs signed the certificate itself (no chain in between)."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    leaf = x509.load_pem_x509_certificate(_CERTIFICATE.findall(certificate)[0])
    for block in _CERTIFICATE.findall(ca):
        try:
            leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(block))
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def strangers(certificate: bytes, ca: bytes) -> tuple[Certificate, ...]:
    """The CAs that the first certificate of a PEM text does not lead to; those in between may stand in either text."""
    known = read_certificates(ca, "the CA file")
    first, *between = read_certificates(certificate, "the client certificate")
    chain, rest = [first], [*between, *known]
    for one in chain:  # grows while it is walked
        for each in [each for each in rest if signed_by(one.pem, each.pem)]:
            rest.remove(each)
            chain.append(each)
    return tuple(one for one in known if one in rest)


def secret_texts(key: bytes) -> list[str]:
    """A PEM key in the pieces in which it could be quoted: whole and line by line."""
    text = key.decode("ascii", "replace")
    return [text, *(line for line in text.splitlines() if line and not line.startswith("-----"))]


# --- inside ----------------------------------------------------------------------------------------------------------


def _described(certificate: "x509.Certificate") -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    alternatives = _extension(certificate, x509.SubjectAlternativeName)
    any_purpose = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return Certificate(
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        ca=bool(constraints and constraints.ca and (usage is None or usage.key_cert_sign)),
        client=purposes is None or bool(any_purpose & set(purposes)),
        names=tuple(str(name.value) for name in alternatives or ()),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        pem=certificate.public_bytes(serialization.Encoding.PEM),
        rsa_bits=_rsa_bits(certificate),
        hashed=_hashed(certificate),
    )


def _rsa_bits(certificate: "x509.Certificate") -> int:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return 0
    return key.key_size if isinstance(key, rsa.RSAPublicKey) else 0


def _hashed(certificate: "x509.Certificate") -> str:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return algorithm.name if algorithm else ""


def _extension(certificate: "x509.Certificate", kind: "type[Extension]") -> "Extension | None":
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _for_pss_only(certificate: bytes) -> bool:
    """Whether its RSA key says that it signs by PSS alone: Go (crypto/x509) knows no such keys."""
    from cryptography import x509
    from cryptography.x509.oid import PublicKeyAlgorithmOID

    return x509.load_pem_x509_certificate(certificate).public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS


def _fits(certificate: bytes, key: "PrivateKey") -> bool:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return x509.load_pem_x509_certificate(certificate).public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):  # a kind of key that a read_key does not know is not this one
        return False


def _key_pem(key: "PrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _instead_of(data: bytes, where: str, wanted: str) -> ConfigError:
    """What is wrong with a text that holds no whole certificate or key, and what makes one of it."""
    label = _LABEL.search(data)
    if label and label.group(1).decode("ascii").lower() == wanted:
        return _unreadable(f"{where} holds a {wanted} that is cut off: its `-----END` line is missing")
    text = f"{where} holds {_instead(data)}, not a {wanted} in PEM form"
    if data[:1] != b"\x30":
        return _unreadable(text)
    kind = "x509" if wanted == "certificate" else "pkey"
    return _unreadable(text, f"openssl {kind} -inform der -in FILE -out PEM makes PEM of it")


def _instead(data: bytes) -> str:
    """What a text is where something else was awaited, without quoting it."""
    label = _LABEL.search(data)
    if label:
        return f"a `{label.group(1).decode('ascii').lower()}`"
    if not data.strip():
        return "nothing"
    return "a certificate or key in DER form" if data[:1] == b"\x30" else "something else"


def _unreadable(
    text: str, hint: str = "openssl x509 -noout -text -in FILE, or openssl pkey -noout -in FILE"
) -> ConfigError:
    return ConfigError(text, hint=hint, anchor="certificate-unreadable")
