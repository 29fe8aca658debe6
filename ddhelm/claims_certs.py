"""Claims on the client certificate that the agents show to etcd out of a Secret: not ended, and not about to."""

from collections.abc import Iterator

from ddhelm.certificates import RENEW, WARN_DAYS, days_of
from ddhelm.claim import Claim, Finding, ProofContext, Severity, pod_spec
from ddhelm.etcd import CERTS


def valid(context: ProofContext) -> Iterator[Finding]:
    for name, days in context.certificates.items():
        if days < 0:
            yield Finding(f"the certificate in Secret `{name}` has expired: etcd refuses it")


def lasts(context: ProofContext) -> Iterator[Finding]:
    for name, days in context.certificates.items():
        if 0 <= days < WARN_DAYS:
            yield Finding(f"the certificate in Secret `{name}` ends in {days_of(days)}")


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
        "the client certificate for etcd has not expired",
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
