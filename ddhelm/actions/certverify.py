"""Tries a client certificate on a real etcd and says in one sentence what works, or what does not and why."""

import json
import re
import time
from base64 import b64decode
from binascii import Error as NotBase64
from datetime import datetime
from urllib.parse import quote

from msgspec import Struct

from ddhelm import certificates, handshake
from ddhelm.actions import certfiles
from ddhelm.actions.certs import now, refuse_name
from ddhelm.actions.session import Session
from ddhelm.certificates import Certificate, Pair
from ddhelm.errors import ConfigError, VerifyFailed
from ddhelm.expiry import RENEW, WARN_DAYS, lasting
from ddhelm.facts import version_of
from ddhelm.handshake import Failed, Reply

OLDEST = (3, 4)
"""Oldest etcd whose metrics Datadog's check (5.0.0 and later, Agent 7.47) reads: metrics of v3 only."""

_LEADER = re.compile(rb"^etcd_server_has_leader(?:\{[^}]*\})? +([0-9.]+)", re.MULTILINE)
_METRIC = re.compile(rb"^[^#\s]", re.MULTILINE)
_VERSION = re.compile(rb'^etcd_server_version\{[^}]*server_version="([^"]+)"', re.MULTILINE)


class Verified(Struct, frozen=True):
    """An etcd that answered. ``version`` is empty where it does not say; ``shown`` None for plain HTTP.

    ``dashboards``: whether Datadog's dashboards of etcd will have data, and ``verdict`` says it.
    """

    endpoint: str
    version: str
    metrics: int
    leader: bool | None
    dashboards: bool
    verdict: str
    shown: Certificate | None = None
    server: Certificate | None = None
    notes: tuple[str, ...] = ()


def of_secret(session: Session, name: str) -> Pair:
    """The pair of a Secret; ConfigError where it has none, or where no Secret can have that name."""
    refuse_name(name)
    found = session.kubectl.tree(f"/api/v1/namespaces/{quote(session.access.namespace)}/secrets/{quote(name)}")
    data = (found or {}).get("data") or {}
    missing = [key for key in (certfiles.CERTIFICATE, certfiles.KEY, certfiles.CA) if not data.get(key)]
    if found is None or missing:
        what = "there is no" if found is None else f"`{missing[0]}` is missing in"
        raise ConfigError(
            f"{what} Secret `{name}` in `{session.access.namespace}`",
            hint=f"ddhelm certs issue --csr-only --out DIR, then ddhelm certs import --dir DIR --secret {name}",
            anchor="certificate-file",
        )
    try:
        texts = {key: b64decode(value, validate=True) for key, value in data.items()}
    except NotBase64:
        raise ConfigError(f"Secret `{name}` is broken", hint="ddhelm certs plan", anchor="certificate-file") from None
    where = f"Secret `{name}`"
    session.secrets.add(*certificates.secret_texts(texts[certfiles.KEY]))
    key = certificates.plain_key(texts[certfiles.KEY], where)
    session.secrets.add(*certificates.secret_texts(key))
    certificates.read_certificates(texts[certfiles.CERTIFICATE], where)
    certificates.read_certificates(texts[certfiles.CA], where)
    return Pair(texts[certfiles.CERTIFICATE], key, texts[certfiles.CA])


def verify(endpoint: str, pair: Pair | None, *, timeout: float = 10) -> Verified:
    """Ask etcd for its metrics and its version; raises VerifyFailed with the one reason why that does not work.

    ``timeout`` bounds both together, in seconds.
    """
    handshake.address(endpoint)
    endpoint = endpoint.rstrip("/").removesuffix("/metrics")
    moment = now()
    plain = endpoint.startswith("http:")
    shown = None
    notes: list[str] = []
    if pair and not plain:
        if found := certificates.problems(pair, moment):
            raise _failed(found[0], "ddhelm certs issue --csr-only --out DIR", found if len(found) > 1 else ())
        shown = certificates.read_certificates(pair.certificate, "the client certificate")[0]
        if pair.ca and not certificates.signed_by(pair.certificate, pair.ca):
            notes.append("the client certificate was not signed by the CA that is given, which etcd's own was")
        if shown.ca:
            notes.append("the client certificate is itself a CA: its key can make certificates for anybody")
        if shown.days_left(moment) < WARN_DAYS:
            left = lasting(shown.ends - moment)
            notes.append(f"the client certificate ends in {left}: {RENEW}")
    began = time.monotonic()
    reply = _ask(endpoint, "/metrics", pair, shown, moment, timeout)
    if reply.status != 200:
        raise _failed(f"etcd answers {reply.status} to GET /metrics at `{endpoint}`", f"curl -i {endpoint}/metrics")
    remaining = max(timeout - (time.monotonic() - began), 1)
    return _judged(endpoint, reply, _version(endpoint, pair, reply, remaining), shown, tuple(notes))


def _ask(
    endpoint: str, path: str, pair: Pair | None, shown: Certificate | None, moment: datetime, timeout: float
) -> Reply:
    try:
        return handshake.get(endpoint, path, pair, timeout=timeout)
    except Failed as error:
        raise _explained(error, endpoint, pair, shown, moment) from None


def _judged(endpoint: str, reply: Reply, version: str, shown: Certificate | None, notes: tuple[str, ...]) -> Verified:
    metrics = len(_METRIC.findall(reply.body))
    if b"etcd_" not in reply.body:
        raise _failed(
            f"what answers at `{endpoint}` is not etcd: none of its {metrics} metrics is etcd's",
            "ddhelm detect says where etcd is asked",
        )
    leader = _LEADER.search(reply.body)
    named = f"etcd {version}" if version else "this etcd"
    if version and version_of(version)[:2] < OLDEST:
        verdict = f"{named} is too old: Datadog's check reads metrics of etcd 3.4 and later, the dashboards stay empty"
    elif leader is None:
        verdict = f"{named} tells no `etcd_server_has_leader`: the dashboards will lack what they are built on"
    else:
        verdict = f"{named}: the dashboards will have data"
    server = certificates.read_der(reply.server) if reply.server else None
    if leader and float(leader.group(1)) == 0:
        notes = (*notes, "this member has no leader right now")
    fine = leader is not None and not (version and version_of(version)[:2] < OLDEST)
    has_leader = None if leader is None else float(leader.group(1)) > 0
    return Verified(endpoint, version, metrics, has_leader, fine, verdict, shown, server, notes)


def _version(endpoint: str, pair: Pair | None, metrics: Reply, timeout: float) -> str:
    """By `/version`, which a metrics listener does not serve, else by the metric of that name."""
    try:
        reply = handshake.get(endpoint, "/version", pair, timeout=timeout)
        told = json.loads(reply.body) if reply.status == 200 else {}
        if isinstance(told, dict) and told.get("etcdserver"):
            return str(told["etcdserver"])
    except (Failed, ValueError):
        pass
    found = _VERSION.search(metrics.body)
    return found.group(1).decode("ascii", "replace") if found else ""


def _explained(
    error: Failed, endpoint: str, pair: Pair | None, shown: Certificate | None, moment: datetime
) -> VerifyFailed:
    """A failure in words that name the side to mend."""
    _, host, port = handshake.address(endpoint)
    if error.trouble == "refused":
        who = f"`{shown.subject}`, issued by `{shown.issuer}`" if shown else "none was shown"
        signed = pair is None or not pair.ca or certificates.signed_by(pair.certificate, pair.ca)
        more = () if signed else ("the CA that is given did not sign the client certificate either",)
        hint = "ddhelm certs issue --csr-only --out DIR, and let the CA sign it that etcd trusts"
        return _failed(f"etcd refuses the client: {error.words} ({who})", hint, more)
    if error.trouble == "plain":
        text, hint = f"`{endpoint}` does not speak TLS", f"--endpoint http://{host}:{port}"
    elif error.trouble in {"expired", "not-yet"}:
        text, hint = _out_of_date(error, pair, moment)
    elif error.trouble in {"name", "address", "untrusted"}:
        text, hint = _of_the_server(error, host, port)
    elif error.trouble == "unloadable":
        text = f"the client certificate and its key cannot be loaded: {error.words}"
        hint = "ddhelm certs issue --csr-only --out DIR makes a key and a request that fit"
    elif error.trouble == "cut-off" and endpoint.startswith("http:"):
        text = f"`{endpoint}` does not speak plain HTTP"
        hint = f"--endpoint https://{host}:{port} with a certificate"
    elif error.trouble == "too-large":
        text = f"what answers at `{endpoint}` is not etcd: {error.words}"
        hint = "ddhelm detect says where etcd is asked"
    else:
        text = f"`{endpoint}` cannot be asked: {error.words}"
        hint = (
            "run it on a control-plane node, or reach etcd by: kubectl -n kube-system port-forward pod/etcd-NODE 2379"
        )
    return _failed(text, hint)


def _server(error: Failed) -> tuple[Certificate | None, str]:
    """Etcd's own certificate, None where it is not known, and how it is called."""
    server = certificates.read_der(error.server) if error.server else None
    return server, f"etcd's own certificate (`{server.subject}`)" if server else "etcd's own certificate"


def _out_of_date(error: Failed, pair: Pair | None, moment: datetime) -> tuple[str, str]:
    """Whose dates are wrong, and what to do: OpenSSL's code may mean any certificate of the chain."""
    ended = error.trouble == "expired"

    def wrong(one: Certificate) -> bool:
        return moment >= one.ends if ended else moment < one.begins

    (server, whose), hint = _server(error), "date -u, there and here"
    if server is not None and wrong(server):
        if ended:
            return f"{whose} expired on {server.ends:%Y-%m-%d}", _RENEW
        return f"{whose} is not valid yet; here it is {moment:%Y-%m-%d %H:%M} UTC", hint
    known = certificates.read_certificates(pair.ca, "the CA file") if pair and pair.ca else ()
    ca = next(filter(wrong, known), None)
    which = f"the given CA `{ca.subject}`" if ca else f"{whose}, or a CA of its chain,"
    if not ended:
        return f"{which} is not valid yet; here it is {moment:%Y-%m-%d %H:%M} UTC", hint
    on = f" on {ca.ends:%Y-%m-%d}" if ca else ""
    return f"{which} expired{on}", _NEW_CA if ca else _RENEW


_RENEW = "renew the certificates of the control plane (kubeadm certs renew all)"
_NEW_CA = "--ca FILE where etcd has a new CA already; else it needs one, and `kubeadm certs renew` makes none"


def _of_the_server(error: Failed, host: str, port: int) -> tuple[str, str]:
    """What is wrong with etcd's own certificate, and what to do."""
    server, whose = _server(error)
    if error.trouble in {"name", "address"}:
        names = f"; it is for {', '.join(f'`{name}`' for name in server.names) or 'no name'}" if server else ""
        hint = f"--endpoint https://NAME:{port} with one of its names; the check needs one too"
        return f"{whose} is not for `{host}`{names}", hint
    issuer = f", issued by `{server.issuer}`" if server else ""
    hint = "--ca FILE: the CA of etcd's server certificate (kubeadm: /etc/kubernetes/pki/etcd/ca.crt)"
    return f"the CA that is given did not sign {whose}{issuer}", hint


def _failed(text: str, hint: str, details: "tuple[str, ...] | list[str]" = ()) -> VerifyFailed:
    return VerifyFailed(text, hint=hint, anchor="etcd-not-verified", details=details)
