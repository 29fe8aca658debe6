"""Shows what became of a certificate, and what to type next."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ddhelm.actions.certs import Made, Requested
from ddhelm.certificates import Certificate
from ddhelm.views import envelope
from ddhelm.views.console import GOOD, WARN, words

if TYPE_CHECKING:
    from rich.console import Console

Tree = dict[str, Any]


def made(result: Made | Requested, now: datetime, console: "Console") -> None:
    """For people."""
    if isinstance(result, Requested):
        key, request = result.files
        console.print(words(f"{GOOD} `{key}`: a new private key, for you alone; it stays where it is"))
        console.print(words(f"{GOOD} `{request}`: a request for a client certificate; let the CA of etcd sign it"))
        console.print("\nThen, with the certificate and the CA's own certificate:")
        folder = key.rpartition("/")[0] or "."
        console.print(
            words(f"  ddhelm certs import --dir {folder} --cert SIGNED.crt --ca CA.crt --secret ddhelm-etcd-client"),
            soft_wrap=True,
        )
        return
    for note in result.notes:
        console.print(words(f"{WARN} {note}"))
    console.print(words(f"{GOOD} {result.where}: {_about(result.certificate, now)}"))
    for file in result.files:
        console.print(words(f"  `{file}`"))
    if result.secret:
        console.print(words(f"\nNext: ddhelm onboard --etcd-secret {result.secret}"))
    elif result.files:
        folder = result.files[0].rpartition("/")[0] or "."
        console.print(words(f"\nTry it: ddhelm certs verify --endpoint https://HOST:2379 --dir {folder}"))


def made_json(result: Made | Requested, now: datetime) -> Tree:
    """For programs: kind ``Certificate``, or ``CertificateRequest`` for a key and a CSR."""
    if isinstance(result, Requested):
        return envelope.wrap("CertificateRequest", {"key": result.files[0], "request": result.files[1]})
    data: Tree = {
        **certificate_json(result.certificate, now),
        "secret": result.secret or None,
        "files": list(result.files),
        "notes": list(result.notes),
    }
    return envelope.wrap("Certificate", data)


def certificate_json(certificate: Certificate, now: datetime) -> Tree:
    """What a certificate says."""
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "begins": certificate.begins.isoformat(),
        "ends": certificate.ends.isoformat(),
        "daysLeft": certificate.days_left(now),
        "sha256": certificate.fingerprint,
    }


def _about(certificate: Certificate, now: datetime) -> str:
    left = certificate.days_left(now)
    return f"client certificate `{certificate.subject}`, valid until {certificate.ends:%Y-%m-%d} ({left} days)"
