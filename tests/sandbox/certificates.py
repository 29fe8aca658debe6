"""The certificate authorities and certificates of one sandbox, as kubeadm would lay them out.

Three authorities (cluster, etcd, front proxy), because a check that trusts the wrong one must fail here as it would on
a real cluster. File names are those of `/etc/kubernetes/pki`, so that a topology can show the folder as the node's own.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.sandbox.pki import Authority, Pki

SERVICE_IP = "10.96.0.1"
"""The first address of the service range: what `kubernetes.default.svc` resolves to in a pod."""
API_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
_LIFETIME = datetime.timedelta(days=365)


def make(root: Path) -> Pki:
    """Writes all keys and certificates of a cluster below `root`."""
    pki = Pki(root)
    for name, authority in (
        ("kubernetes", pki.cluster), ("etcd-ca", pki.etcd), ("front-proxy-ca", pki.front_proxy),
    ):  # fmt: skip
        make_authority(authority, name)
    _issue_to(pki, "apiserver", pki.cluster, "kube-apiserver", names=API_NAMES, addresses=("127.0.0.1", SERVICE_IP))
    _issue_to(pki, "apiserver-kubelet-client", pki.cluster, "kube-apiserver-kubelet-client", ["system:masters"])
    _issue_to(pki, "kubelet", pki.cluster, "system:node:sandbox", names=("localhost",), addresses=("127.0.0.1",))
    _issue_to(pki, "front-proxy-client", pki.front_proxy, "front-proxy-client")
    _issue_to(pki, "etcd/server", pki.etcd, "sandbox", names=("localhost",), addresses=("127.0.0.1",))
    _issue_to(pki, "etcd/peer", pki.etcd, "sandbox", names=("localhost",), addresses=("127.0.0.1",))
    _issue_to(pki, "etcd/healthcheck-client", pki.etcd, "kube-etcd-healthcheck-client")
    _issue_to(pki, "apiserver-etcd-client", pki.etcd, "kube-apiserver-etcd-client")
    _make_service_account_key(root)
    return pki


def issue(
    authority: Authority,
    common_name: str,
    organizations: Sequence[str] = (),
    names: Sequence[str] = (),
    addresses: Sequence[str] = (),
    expired: bool = False,
) -> tuple[bytes, bytes]:
    """A certificate and its key as PEM. With names or addresses it may serve, without it is for clients only.

    An ``expired`` one ran out a minute ago.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes()).subject
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _template(subject, issuer, key.public_key(), datetime.timedelta(minutes=59) if expired else _LIFETIME)
    if names or addresses:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    certificate = builder.sign(signer, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def _issue_to(
    pki: Pki,
    file: str,
    authority: Authority,
    common_name: str,
    organizations: Sequence[str] = (),
    names: Sequence[str] = (),
    addresses: Sequence[str] = (),
) -> None:
    certificate, key = issue(authority, common_name, organizations, names, addresses)
    certificate_file, key_file = pki.pair(file)
    certificate_file.parent.mkdir(parents=True, exist_ok=True)
    certificate_file.write_bytes(certificate)
    _write_private(key_file, key)


def make_authority(authority: Authority, name: str) -> None:
    """Writes a new CA of this name into its two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(True, False, True, False, False, True, True, False, False)
    certificate = (
        _template(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority.certificate.parent.mkdir(parents=True, exist_ok=True)
    authority.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(authority.key, _pem(key))


def _template(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta = _LIFETIME
) -> x509.CertificateBuilder:
    # An hour back: a virtual machine's clock may step while the sandbox runs.
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
    )


def _make_service_account_key(root: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_private(root / "sa.key", _pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (root / "sa.pub").write_bytes(public)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
