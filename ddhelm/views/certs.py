"""Shows what became of a certificate, and what to type next."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddhelm.actions.certplan import TITLES, Ways
from ddhelm.actions.certrotate import Rotated, Rotating
from ddhelm.actions.certs import Made, Requested
from ddhelm.actions.certverify import Verified
from ddhelm.certificates import Certificate
from ddhelm.expiry import lasting
from ddhelm.pasting import typed
from ddhelm.views import envelope, pasted
from ddhelm.views.console import BAD, GOOD, WARN, words

if TYPE_CHECKING:
    from rich.console import Console

Tree = dict[str, Any]

_TRY = "ddhelm certs verify --endpoint https://HOST:2379"


def ways(found: Ways, console: "Console") -> None:
    """The ways to etcd's metrics, for people."""
    if found.why_none:
        console.print(words(f"{found.distribution}: etcd cannot be asked here: {found.why_none}"))
        return
    console.print(words(f"Ways to etcd's metrics on {found.distribution}, the recommended one first"))
    for way in found.ways:
        mark = GOOD if way.here else "-"
        more = [text for text, shown in (("recommended", way.recommended), ("in use", way.used)) if shown]
        about = f" ({', '.join(more)})" if more else ""
        console.print("")
        console.print(words(f"{mark} {TITLES[way.name]}{about}"))
        for each in way.found:
            console.print(words(f"    {'at ' if way.here else 'not here: '}{each}"))
        for file in way.files:
            console.print(words(f"    file {file}"))
        console.print(words(f"    {way.means}"))
        if way.here and not way.used and way.command:
            console.print(words(f"    {pasted.hint(way.command)}"), soft_wrap=True)


def ways_json(found: Ways) -> Tree:
    """For programs: kind ``EtcdWays``."""
    rows = [
        {
            "way": way.name,
            "title": TITLES[way.name],
            "here": way.here,
            "recommended": way.recommended,
            "used": way.used,
            "found": list(way.found),
            "files": list(way.files),
            "means": way.means,
            "hint": way.command,
        }
        for way in found.ways
    ]
    data: Tree = {"distribution": found.distribution, "ways": rows, "whyNone": found.why_none or None}
    return envelope.wrap("EtcdWays", pasted.tree(data))


def made(result: Made | Requested, now: datetime, console: "Console") -> None:
    """For people."""
    if isinstance(result, Requested):
        key, request = result.files
        console.print(words(f"{GOOD} `{key}`: a new private key, for you alone; it stays where it is"))
        console.print(words(f"{GOOD} `{request}`: a request for a client certificate; let the CA of etcd sign it"))
        console.print("\nThen, with the certificate and the CA's own certificate:")
        put = "ddhelm certs import --dir {folder} --cert SIGNED.crt --ca CA.crt --secret ddhelm-etcd-client"
        console.print(words(f"  {_command(put, folder=str(Path(key).parent))}"))
        return
    for note in result.notes:
        console.print(words(f"{WARN} {note}"))
    console.print(words(f"{GOOD} {result.where}: {_about(result.certificate, now)}"))
    for file in result.files:
        console.print(words(f"  `{file}`"))
    if result.secret:
        console.print(words(f"\nTry it: {_command(f'{_TRY} --secret {{name}}', name=result.secret)}"))
        console.print(words(f"Next: {_command('ddhelm onboard --etcd-secret {name}', name=result.secret)}"))
    elif result.files:
        folder = str(Path(result.files[0]).parent)
        console.print(words(f"\nTry it: {_command(f'{_TRY} --dir {{folder}}', folder=folder)}"))


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


def verified(found: Verified, now: datetime, console: "Console") -> None:
    """For people: what was shown, what answered, and what it means for the dashboards."""
    if found.shown:
        console.print(words(f"{GOOD} {_about(found.shown, now)}, accepted at {found.endpoint}"))
    if found.server:
        left = lasting(found.server.ends - now)
        console.print(words(f"{GOOD} etcd's own certificate `{found.server.subject}` is trusted ({left} left)"))
    console.print(words(f"{GOOD} {found.metrics} metrics at {found.endpoint}/metrics"))
    console.print(words(f"{GOOD if found.dashboards else BAD} {found.verdict}"))
    for note in found.notes:
        console.print(words(f"{WARN} {note}"))


def verified_json(found: Verified, now: datetime) -> Tree:
    """For programs: kind ``EtcdVerification``."""
    data: Tree = {
        "endpoint": found.endpoint,
        "version": found.version or None,
        "metrics": found.metrics,
        "leader": found.leader,
        "dashboards": found.dashboards,
        "verdict": found.verdict,
        "client": certificate_json(found.shown, now) if found.shown else None,
        "server": certificate_json(found.server, now) if found.server else None,
        "notes": list(found.notes),
    }
    return envelope.wrap("EtcdVerification", data)


def rotating(found: Rotating, new: Certificate | None, now: datetime, console: "Console") -> None:
    """What will happen, for people."""
    ends = (
        "cannot be read"
        if found.ends is None
        else f"ended on {found.ends:%Y-%m-%d}"
        if found.ends <= now
        else f"ends on {found.ends:%Y-%m-%d} ({lasting(found.ends - now)})"
    )
    if new is not None:
        console.print(words(f"Secret `{found.secret.name}`: the certificate {ends}; the new one:"))
        console.print(words(f"  {_about(new, now)}"))
    else:
        console.print(words(f"Secret `{found.secret.name}` stays as it is"))
    for each in found.readers if new is not None else found.late:
        name, count = each.target.name, each.workload.desired
        agents = "1 agent restarts" if count == 1 else f"{count} agents restart"
        console.print(words(f"{each.target.kind} `{name}`: {agents}, {found.at_once} at a time"))
    if new is not None:
        console.print("The old certificate is accepted until it ends: etcd keeps no list of revoked ones.")


def rotating_json(found: Rotating, rotated: Rotated | None, now: datetime) -> Tree:
    """For programs: kind ``CertificateRotation``; ``restarted`` is null where nothing was done."""
    data: Tree = {
        "secret": found.secret.name,
        "ended": found.ends.isoformat() if found.ends else None,
        "agents": found.agents,
        "certificate": certificate_json(rotated.certificate, now) if rotated and rotated.certificate else None,
        "restarted": sum(each.ready for each in rotated.watched.workloads) if rotated else None,
    }
    return envelope.wrap("CertificateRotation", data)


def _command(template: str, **given: str) -> str:
    return pasted.hint(typed(template, **given))


def _about(certificate: Certificate, now: datetime) -> str:
    left = lasting(certificate.ends - now)
    return f"client certificate `{certificate.subject}`, valid until {certificate.ends:%Y-%m-%d} ({left})"
