"""Claims on the client certificate that the agents show to etcd: not ended, and not about to.

Of a Secret that is read; what is in files of the nodes the API does not show, so nothing is claimed of them.
"""

from collections.abc import Iterator

from ddhelm.checkfiles import file_name
from ddhelm.claim import Claim, Finding, ProofContext, Severity, Undecided, names, pod_spec
from ddhelm.claims_pods import mounted_at, named_paths
from ddhelm.etcd import CERTS
from ddhelm.expiry import RENEW, WARN_DAYS, days_of

_SHOWN = ("tls_cert", "ssl_cert")
"""Keys of a check instance that name the client certificate (datadog_checks_base, OpenMetrics and older options)."""


def valid(context: ProofContext) -> Iterator[Finding]:
    """Each of ``context.certificates`` (Secret to days left, None where unreadable) is one that etcd takes.

    etcd asks for a client certificate that is valid now (``--client-cert-auth``, etcd's transport security model).
    """
    for name, days in context.certificates.items():
        if days is None:
            yield Finding(f"what stands in Secret `{name}` is no certificate that can be read: etcd refuses it")
        elif days < 0:
            yield Finding(f"the certificate in Secret `{name}` has expired: etcd refuses it")
    if all(days is not None and days >= 0 for days in context.certificates.values()):
        _all_seen(context)


def lasts(context: ProofContext) -> Iterator[Finding]:
    """None of them ends within ``expiry.WARN_DAYS`` days."""
    for name, days in context.certificates.items():
        if days is None:
            yield Finding(f"when the certificate in Secret `{name}` ends cannot be read")
        elif days < WARN_DAYS:
            ends = f"ends in {days_of(days)}" if days >= 0 else "has expired"
            yield Finding(f"the certificate in Secret `{name}` {ends}")
    if all(days is not None and days >= WARN_DAYS for days in context.certificates.values()):
        _all_seen(context)


def _all_seen(context: ProofContext) -> None:
    """Raises Undecided where agents show etcd a certificate that was not read."""
    unseen = list(dict.fromkeys(_unseen(context)))
    if unseen:
        look = "ddhelm certs verify --endpoint https://HOST:2379 --cert FILE --key FILE --ca FILE"
        raise Undecided(f"{names(unseen)}: unknown, see `ddhelm certs verify`", f"on a control-plane node: {look}")


def _unseen(context: ProofContext) -> Iterator[str]:
    for release in context.releases:
        for agent in release.agents():
            for file, path in named_paths(release, agent, _SHOWN):
                mounted = None if isinstance(path, Finding) else mounted_at(agent, path)
                if file != file_name("etcd") or mounted is None:
                    continue  # what is not mounted is said by `check-files-readable`
                volume = mounted[1]
                secret = (volume.get("secret") or {}).get("secretName")
                if volume.get("hostPath"):
                    yield f"`{volume['hostPath'].get('path')}` on the nodes of `{release.name}`"
                elif secret in (context.live.secrets or ()) and secret not in context.certificates:
                    yield f"`{path}` out of Secret `{secret}`"


def seen_by_the_agent_alone(context: ProofContext) -> Iterator[Finding]:
    for release in context.releases:
        for agent in release.agents():
            for container in pod_spec(agent).get("containers") or ():
                mounts = [str(mount.get("mountPath")) for mount in container.get("volumeMounts") or ()]
                if container.get("name") != "agent" and any(mount.startswith(CERTS) for mount in mounts):
                    yield Finding(f"container `{container.get('name')}` of {agent.ref} sees the key for etcd too")


CLAIMS = (
    Claim(
        "etcd-certificate-valid",
        "the client certificate for etcd can be read and has not expired",
        Severity.FATAL,
        RENEW,
        "etcd-certificate-expired",
        valid,
    ),
    Claim(
        "etcd-certificate-lasts",
        f"the client certificate for etcd stays valid for {WARN_DAYS} days",
        Severity.WARNING,
        RENEW,
        "etcd-certificate-expires",
        lasts,
    ),
    Claim(
        "etcd-key-in-one-container",
        "only the agent's own container sees the client key for etcd",
        Severity.NOTE,
        "turn the other containers off on control-plane nodes",
        "etcd-key-seen",
        seen_by_the_agent_alone,
    ),
)
