"""What a check's error means, and what to do about it: one table of patterns over the words of Python and Go.

A check in Python speaks through `requests` and OpenSSL, one in Go through its own TLS ("x509: …"). Rows are tried in
order, the particular before the general.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from ddhelm.expiry import RENEW
from ddhelm.pasting import typed

_LIMIT = 160
_ADDRESS = re.compile(r" ?(?:object )?at 0x[0-9a-f]+")
_URL = re.compile(r"https?://[^\s'\",;)]+")
_POOL = re.compile(r"HTTPS?ConnectionPool\(host='(?P<host>[^']+)', port=(?P<port>\d+)\)")
_PATH = re.compile(r"(?:invalid path:?|directory:|open|file) [`'\"]?(?P<path>/[^\s'\"`:,]+)")


class Meaning(Struct, frozen=True):
    """An error understood: ``kind`` to group by, ``line`` for people, ``hint`` to type or to look at."""

    kind: str
    line: str
    hint: str


class Row(Struct, frozen=True):
    """What a pattern in the words of a tool means: see ``Meaning``."""

    kind: str
    pattern: re.Pattern[str]
    line: str
    hint: str


def row(kind: str, pattern: str, line: str, hint: str) -> Row:
    """A row of a table of patterns; upper and lower case are the same."""
    return Row(kind, re.compile(pattern, re.IGNORECASE), line, hint)


ROWS = (
    row(
        "forbidden",
        r"\b403\b",
        "{where} answers 403 Forbidden: the token is good, its account may not read that",
        "kubectl auth can-i get /metrics --as=system:serviceaccount:{namespace}:{account}; if no: ddhelm drift shows a "
        "changed ClusterRole, ddhelm onboard repairs it; if yes: the component runs without authorization-kubeconfig",
    ),
    row(
        "unauthorized",
        r"\b401\b",
        "{where} answers 401 Unauthorized: it does not take the token",
        "the check needs bearer_token_auth, and the component authentication-kubeconfig",
    ),
    row(
        "not-served",
        r"\b404\b",
        "{where} answers 404: no metrics are served there",
        "another program may listen on that port; ddhelm detect shows the ports that the static pods name",
    ),
    row(
        "key-mismatch",
        r"key values mismatch|private key does not match|KEY_VALUES_MISMATCH",
        "the client certificate and its key do not belong together",
        "mount certificate and key from the same place",
    ),
    row(
        "client-expired",
        r"alert certificate[ _]expired|expired certificate|SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "{where} refuses the client certificate: it has expired",
        "renew it on the node (kubeadm certs renew) or make a new one (ddhelm certs issue), then restart the agent: a "
        "mounted file keeps its old content",
    ),
    row(
        "server-expired",
        r"certificate has expired|certificate verify failed: certificate is not yet valid|not yet valid",
        "the certificate of {where} is out of date",
        "renew it on the node (kubeadm certs renew); a clock that is wrong says the same",
    ),
    row(
        "client-certificate",
        r"alert (?:bad certificate|certificate required|unknown ca|handshake failure)|bad[ _]certificate"
        r"|CERTIFICATE_REQUIRED|ALERT_UNKNOWN_CA|HANDSHAKE_FAILURE|remote error: tls",
        "{where} refuses the client certificate, or got none",
        "is the file in the container (kubectl exec POD -c agent -- ls -l PATH)? a missing one is passed over "
        "in silence; etcd takes only client certificates that its own CA signed",
    ),
    row(
        "server-name",
        r"hostname mismatch|ip address mismatch|doesn't match|cannot validate certificate for|is valid for .* not ",
        "the certificate of {where} does not name the address that is used",
        "use an address from the certificate's SAN: tls_use_host_header with extra_headers.Host, or switch the "
        "verification off (tls_verify: false, and no tls_ca_cert)",
    ),
    row(
        "unknown-authority",
        r"certificate verify failed|unknown authority|CERTIFICATE_VERIFY_FAILED|x509: ",
        "the certificate of {where} is not signed by the CA that the check was given",
        "name the CA that signed it (tls_ca_cert), and mount that file: a missing one is passed over in silence",
    ),
    row(
        "wrong-protocol",
        r"wrong[ _]version[ _]number|400 Client Error: Bad Request for url: http:|HTTP response to HTTPS client"
        r"|UNEXPECTED_EOF|BadStatusLine|record[ _]layer",
        "{where} does not speak the protocol of the URL (http against https)",
        "ddhelm detect shows the URL that the static pods name; ddhelm onboard writes it",
    ),
    row(
        "no-file",
        r"no such file|invalid path|not a regular file|could not find .*(?:file|bundle)",
        "there is no file {path} in the agent's container",
        "ls -l on the node; every host file needs a mount: ddhelm check; without the file: "
        "ddhelm onboard --drop-check {check}",
    ),
    row(
        "file-denied",
        r"permission denied",
        "the agent may not read {path}",
        "ls -l on the node; the agent runs as root unless `agents.containers.agent.securityContext` says otherwise",
    ),
    row(
        "refused",
        r"connection refused|errno 111",
        "nobody listens at {where}: connection refused",
        "is the component up, and is this its port and bind address? ddhelm detect; kubectl get pods -n kube-system",
    ),
    row(
        "unresolved",
        r"name or service not known|no such host|failed to resolve|name resolution",
        "the name of {where} cannot be resolved",
        "agents on the host network need dnsPolicy ClusterFirstWithHostNet; an address in the check file needs no DNS",
    ),
    row(
        "unreachable",
        r"no route to host|network is unreachable|connection reset|remote end closed",
        "{where} cannot be reached",
        "a network policy or a firewall stands between the agent and the component",
    ),
    row(
        "timeout",
        r"timed? ?out|deadline exceeded",
        "{where} does not answer in time",
        "is the component overloaded, or a firewall in between? the check's `timeout` is 10 s by default",
    ),
    row(
        "server-error",
        r"\b5\d\d server error|\b50[0-4]\b",
        "{where} answers with an error of its own",
        "kubectl logs of the component; ddhelm verify again",
    ),
)


_PLAN = "ddhelm certs plan says where etcd's certificate comes from; "
_TRY = "ddhelm certs verify --endpoint {url} --dir DIR tries a pair"
ETCD: Mapping[str, str] = {
    "key-mismatch": f"{_PLAN}{_TRY}; out of a Secret: {RENEW}",
    "client-expired": f"{_PLAN}out of a Secret: {RENEW}; a file of the node: renew it there (kubeadm certs renew), "
    "then restart the agent: a mounted file keeps its old content",
    "server-expired": "ddhelm certs verify --endpoint {url} --dir DIR shows etcd's own certificate; renew it on the "
    "node (kubeadm certs renew); a clock that is wrong says the same",
    "client-certificate": f"{_PLAN}etcd takes only client certificates that its own CA signed, and a file that is "
    f"not in the container is passed over in silence; {_TRY}; out of a Secret: {RENEW}",
    "server-name": "ddhelm certs verify --endpoint {url} --dir DIR names the addresses of etcd's certificate; "
    "ddhelm detect shows the address that the check uses",
    "unknown-authority": f"{_PLAN}the check needs the CA of etcd's own certificate; {_TRY}; out of a Secret, where "
    "etcd has a new CA: ddhelm certs rotate --new-ca --dir DIR",
    "no-file": f"{_PLAN}a file of the node: ls -l there, and ddhelm check for its mount; a Secret of our own: "
    "ddhelm certs issue --csr-only --out DIR; without etcd's metrics: ddhelm onboard --drop-check {check}",
}
"""Hints for the check of etcd, by kind: its certificates are what ``ddhelm certs`` is for."""


def meaning(error: str, *, check: str, namespace: str = "datadog", account: str = "ACCOUNT") -> Meaning:
    """What an error of a check means; one that no row knows is quoted, with the agent's log as hint."""
    text = _ADDRESS.sub("", " ".join(error.split()))
    fields = {
        "where": _where(text),
        "url": _url(text),
        "path": _path(text),
        "check": check,
        "namespace": namespace,
        "account": account,
    }
    for each in ROWS:
        if each.pattern.search(text):
            hint = ETCD.get(each.kind, each.hint) if check == "etcd" else each.hint
            return Meaning(each.kind, each.line.format_map(fields), typed(hint, **fields))
    short = text if len(text) <= _LIMIT else text[: _LIMIT - 1].rstrip() + "…"
    return Meaning("other", short, typed("kubectl -n {namespace} exec POD -c agent -- agent check {check}", **fields))


def _where(text: str) -> str:
    if url := _URL.search(text):
        return f"`{url.group().rstrip('.:')}`"
    if pool := _POOL.search(text):
        return f"`{pool['host']}:{pool['port']}`"
    return "the component"


def _url(text: str) -> str:
    """Where etcd was asked, for a command line."""
    pool = _POOL.search(text)
    return f"https://{pool['host']}:{pool['port']}" if pool else "https://HOST:2379"


def _path(text: str) -> str:
    found = _PATH.search(text) or re.search(r"[`'\"](?P<path>/[^\s'\"`]+)[`'\"]", text)
    return f"`{found['path']}`" if found else "that the check names"
