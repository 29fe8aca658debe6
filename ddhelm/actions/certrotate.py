"""A new client certificate for etcd under running agents: the Secret first, then the pods, one node at a time.

A mounted subPath never follows a changed Secret (https://kubernetes.io/docs/concepts/configuration/secret: "A container
using a Secret as a subPath volume mount does not receive automated Secret updates"), so each pod is replaced. The old
certificate stays valid until its end, so no agent is without one in between.
"""

from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from ddhelm import certificates
from ddhelm.actions import certfiles, certs, lock, restart
from ddhelm.actions.carry_out import How, Wrote
from ddhelm.actions.restart import Running
from ddhelm.actions.session import Observer, Session, silent
from ddhelm.actions.watch import Watched
from ddhelm.answers import SecretKeys
from ddhelm.certificates import Certificate, Pair
from ddhelm.errors import ConfigError, Interrupted, PreflightFailed
from ddhelm.release import NAMES, Role
from ddhelm.run import interruptible

_HOW = How()
_AGAIN = "ddhelm certs rotate --restart-only"


@dataclass(frozen=True, slots=True)
class Rotating:
    """The Secret that the agents show to etcd, when its certificate ends (None: not noted), and who reads it."""

    secret: SecretKeys
    ends: datetime | None
    readers: tuple[Running, ...]

    @property
    def agents(self) -> int:
        """How many pods restart."""
        return sum(each.workload.desired for each in self.readers)

    @property
    def at_once(self) -> str:
        """How many of them at the same time, as the workloads say it."""
        return " and ".join(dict.fromkeys(str(each.workload.max_unavailable) for each in self.readers))


def look(session: Session) -> Rotating:
    """What would be rotated; PreflightFailed where no agent shows a certificate of a Secret, or it cannot restart."""
    found = [
        (use.name, each)
        for each in restart.running(session)
        for use in each.uses
        if use.key == certfiles.KEY and each.target.release == NAMES[Role.CONTROL_PLANE]
    ]
    names = list(dict.fromkeys(name for name, _ in found))
    known = session.kubectl.secret_keys(names[0]) if names else None
    if known is None:
        what = f"Secret `{names[0]}` is not there" if names else "no agent shows etcd a certificate out of a Secret"
        raise PreflightFailed(
            f"{what}: there is nothing to rotate",
            hint="ddhelm certs plan says which way etcd is asked here",
            anchor="no-certificate-to-rotate",
        )
    readers = tuple(each for name, each in found if name == names[0])
    restart.refuse(readers)
    return Rotating(known, certs.ends(known), readers)


def refuse_foreign(found: Rotating) -> None:
    """PreflightFailed for a Secret that ddhelm did not write."""
    if not certs.ours(found.secret):
        raise PreflightFailed(
            f"Secret `{found.secret.name}` was not written by ddhelm; whatever manages it would put the old one back",
            hint=f"change it there, then {_AGAIN}",
            anchor="certificate-secret-foreign",
        )


def other_authority(session: Session, found: Rotating, new: Pair) -> str:
    """A sentence where the new pair comes with another CA than the Secret's; empty where not, or none can be read."""
    path = f"/api/v1/namespaces/{quote(session.access.namespace)}/secrets/{quote(found.secret.name)}"
    stored = ((session.kubectl.tree(path) or {}).get("data") or {}).get(certfiles.CA) or ""
    try:
        if certs.same_authority(b64decode(stored, validate=True), new):
            return ""
    except (ConfigError, ValueError):
        return ""
    names = ", ".join(f"`{one.subject}`" for one in certificates.read_certificates(new.ca, "the CA file"))
    return f"{names} is another CA than the one in Secret `{found.secret.name}`, which agents and etcd trust"


def shorter(found: Rotating, new: Pair) -> str:
    """A sentence where the new certificate ends before the old one; empty where not, or that end is not noted."""
    ends = certs.read(new).ends
    if found.ends is None or ends >= found.ends:
        return ""
    return f"the new certificate ends on {ends:%Y-%m-%d}, before the one that it replaces ({found.ends:%Y-%m-%d})"


def refuse_other(sentence: str) -> None:
    """PreflightFailed for what ``other_authority`` says."""
    if sentence:
        raise PreflightFailed(
            sentence,
            hint="name the CA of etcd (kubeadm: /etc/kubernetes/pki/etcd/ca.crt); --new-ca where etcd has a new CA",
            anchor="certificate-other-ca",
        )


@dataclass(frozen=True, slots=True)
class Rotated:
    """How it ended; ``certificate`` None where only pods were restarted."""

    certificate: Certificate | None
    watched: Watched


def carry_out(
    session: Session, found: Rotating, new: Pair | None, how: How = _HOW, observer: Observer = silent
) -> Rotated:
    """Write the Secret, replace the pods, wait for the last one; raises RolloutFailed with what stands then."""
    namespace, done = session.access.namespace, ""
    shown = certs.read(new) if new else None
    try:
        with (
            interruptible(),
            lock.held(session.kubectl, namespace, now=how.now, sleep=how.clock.sleep, wait=how.lock_timeout) as lease,
        ):
            if new is not None and shown is not None:
                certs.replace_secret(session, found.secret.name, new)
                done = f"Secret `{found.secret.name}` holds the certificate that ends on {shown.ends:%Y-%m-%d}"
                observer(Wrote(done))
            watched = restart.restart(session, found.readers, lease=lease, how=how, observer=observer)
    except Interrupted as error:
        details = (*error.details, *([done] if done else ()))
        raise Interrupted(error.message, hint=_AGAIN, anchor="interrupted", details=details) from None
    if not watched.ok:
        failure = watched.failure()
        rest = [done] if done else []
        rest.append("agents that were not restarted show the old certificate, which etcd accepts until it ends")
        raise type(failure)(
            failure.message, hint=failure.hint, anchor=failure.anchor, details=(*failure.details, *rest)
        )
    return Rotated(shown, watched)
