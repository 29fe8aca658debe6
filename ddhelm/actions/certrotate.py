"""A new client certificate for etcd under running agents: the Secret first, then the pods, one node at a time
unless the user's values say more.

A mounted subPath never follows a changed Secret (https://kubernetes.io/docs/concepts/configuration/secret: "A container
using a Secret as a subPath volume mount does not receive automated Secret updates"), so each pod is replaced. The old
certificate stays valid until its end, so no agent is without one in between.
"""

from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import certificates
from ddhelm.actions import certfiles, certs, identity, lock, restart, revisions
from ddhelm.actions.carry_out import How
from ddhelm.actions.events import Wrote
from ddhelm.actions.restart import Running
from ddhelm.actions.session import Observer, Session, silent
from ddhelm.actions.watch import Watched
from ddhelm.answers import SecretKeys
from ddhelm.certificates import Certificate, Pair
from ddhelm.errors import ConfigError, Interrupted, PreflightFailed, Reported
from ddhelm.interrupts import interruptible
from ddhelm.managedfields import changed
from ddhelm.release import NAMES, Role

_HOW = How()
_FILES = (certfiles.CERTIFICATE, certfiles.KEY, certfiles.CA)
_AGAIN = "ddhelm certs rotate --restart-only"


class Rotating(Struct, frozen=True):
    """The Secret that the agents show to etcd, when its certificate ends (None: cannot be read), and who reads it.

    ``late`` have not been restarted since the last change of the Secret; ``uid`` is kube-system's, ``heads`` the newest
    revision of each release.
    """

    secret: SecretKeys
    ends: datetime | None
    readers: tuple[Running, ...]
    late: tuple[Running, ...]
    uid: str
    heads: Mapping[str, int | None]

    @property
    def agents(self) -> int:
        """How many pods show the certificate."""
        return sum(each.workload.desired for each in self.readers)

    @property
    def settled(self) -> bool:
        """Whether every pod has what the Secret holds."""
        return not self.late and all(each.workload.settled for each in self.readers)

    @property
    def at_once(self) -> str:
        """How many of them at the same time, as the workloads say it."""
        return " and ".join(dict.fromkeys(str(each.workload.max_unavailable) for each in self.readers))


def look(session: Session) -> Rotating:
    """What would be rotated; PreflightFailed where no agent shows a certificate of a Secret, or it cannot restart."""
    records = revisions.read(session, superseded=False)
    found = [
        (use.name, each)
        for each in restart.running(session, records)
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
    since = changed(session.kubectl.secret_metadata(known.name) or {}, *(("data", each) for each in _FILES))
    uid, heads = identity.uid(session.kubectl), revisions.newest(records)
    return Rotating(known, certs.ends(known), readers, restart.late(readers, since), uid, heads)


def refuse_foreign(found: Rotating) -> None:
    """PreflightFailed for a Secret that ddhelm did not write."""
    if not certs.ours(found.secret):
        raise PreflightFailed(
            f"Secret `{found.secret.name}` was not written by ddhelm; whatever manages it would put the old one back",
            hint=f"change it there, then {_AGAIN}",
            anchor="certificate-secret-foreign",
        )


def stored(session: Session, found: Rotating) -> Mapping[str, bytes]:
    """What the Secret holds; a key that is not there, or cannot be read, is left out."""
    path = f"/api/v1/namespaces/{quote(session.access.namespace)}/secrets/{quote(found.secret.name)}"
    data = (session.kubectl.tree(path) or {}).get("data") or {}
    held = {}
    for key in _FILES:
        with suppress(ValueError):
            held[key] = b64decode(data.get(key) or "", validate=True)
    return held


def same(held: Mapping[str, bytes], new: Pair) -> bool:
    """Whether the Secret holds this very pair already."""
    given = {certfiles.CERTIFICATE: new.certificate, certfiles.KEY: new.key, certfiles.CA: new.ca}
    return all(held.get(key) == value for key, value in given.items())


def other_authority(found: Rotating, held: Mapping[str, bytes], new: Pair) -> str:
    """A sentence where the new pair comes with another CA than the Secret's; empty where not, or none can be read."""
    try:
        if certs.same_authority(held.get(certfiles.CA, b""), new):
            return ""
    except ConfigError:
        return ""
    names = ", ".join(f"`{one.subject}`" for one in certificates.read_certificates(new.ca, "the CA file"))
    return f"{names} is another CA than the one in Secret `{found.secret.name}`, which agents and etcd trust"


def with_others(found: Rotating, held: Mapping[str, bytes], new: Pair) -> tuple[Pair, str]:
    """The pair with the CAs that the Secret holds beside its own, and a sentence about them, empty where it has none.

    While etcd changes its CA, agents of the nodes that have not changed yet trust it by the other one.
    """
    try:
        others = certs.beside(held.get(certfiles.CA, b""), new, certs.now())
    except ConfigError:
        others = ()
    if not others:
        return new, ""
    names = ", ".join(f"`{one.subject}`" for one in others)
    bundle = b"".join(each.rstrip() + b"\n" for each in (new.ca, *(one.pem for one in others)))
    return (
        replace(new, ca=bundle),
        f"Secret `{found.secret.name}` holds another CA too ({names}), and keeps it; --new-ca leaves it out",
    )


def shorter(found: Rotating, new: Pair) -> str:
    """A sentence where the new certificate ends days before the old one; empty where not, or that cannot be read."""
    ends = certs.read(new).ends
    if found.ends is None or ends.date() >= found.ends.date():
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


class Rotated(Struct, frozen=True):
    """How it ended; ``certificate`` None where only pods were restarted."""

    certificate: Certificate | None
    watched: Watched


def carry_out(
    session: Session, found: Rotating, new: Pair | None, how: How = _HOW, observer: Observer = silent
) -> Rotated:
    """Write the Secret (None: it stays), replace the pods, wait for the last one.

    With a new pair all pods are replaced, without one those that are late. What fails after the first write is raised
    with what stands then in its details. PlanStale before it where the cluster is another one or a release has moved.
    """
    namespace = session.access.namespace
    shown, marked = (None, found.late) if new is None else (certs.read(new), found.readers)
    begun, wrote = False, False
    try:
        with (
            interruptible(),
            lock.held(session.kubectl, namespace, now=how.now, sleep=how.clock.sleep, wait=how.lock_timeout) as lease,
        ):
            identity.unchanged(session.kubectl, found.uid)
            revisions.unmoved(session.kubectl, found.heads)  # another run may have added one that shows the certificate
            if new is not None and shown is not None:
                observer(Wrote(f"Secret `{found.secret.name}` gets a certificate that ends on {shown.ends:%Y-%m-%d}"))
                begun = True
                certs.replace_secret(session, found.secret.name, new)
                wrote = True
            begun = True
            watched = restart.restart(session, marked, also=found.readers, lease=lease, how=how, observer=observer)
            if not watched.ok:
                raise watched.failure()
    except Reported as error:
        told = _standing(session, found, new, wrote=wrote) if begun else ()
        if isinstance(error, Interrupted):
            hint = _AGAIN if told else "nothing was changed"
            raise Interrupted(error.message, hint=hint, anchor="interrupted", details=told) from None
        if not told:
            raise
        then = (f"then: {error.hint}",) if error.hint else ()
        raise error.adding((*then, *told), hint=f"when the cause is mended: {_AGAIN}") from None
    return Rotated(shown, watched)


def _standing(session: Session, found: Rotating, new: Pair | None, *, wrote: bool) -> tuple[str, ...]:
    """What was done of a rotation that broke off, a line each; none for nothing."""
    if new is None:
        return (_LEFT,)
    holds = f"holds the certificate that ends on {certs.read(new).ends:%Y-%m-%d}"
    if not wrote:
        try:
            if not same(stored(session, found), new):
                return ()
        except Reported:
            holds = "may hold the new certificate already: that could not be read"
    return (f"Secret `{found.secret.name}` {holds}", _LEFT)


_LEFT = "agents that were not restarted show the old certificate, which etcd accepts until it ends"
