"""How long the client certificate for etcd stays valid: one small read, and only where a Secret holds it.

It is of the certificate that stands in the Secret now, which is public; the key beside it is not read.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ddhelm.actions.promises import Problem
from ddhelm.answers import CLIENT_CERTIFICATE
from ddhelm.errors import DdhelmError
from ddhelm.expiry import RENEW, WARN_DAYS, days_of

if TYPE_CHECKING:
    from ddhelm.kubectl import Kubectl


class Expiry(Struct, frozen=True):
    """Where the certificate is (``secret`` empty: files of the nodes) and the days left; None where not known."""

    secret: str = ""
    ends: str = ""
    days: int | None = None
    why: str = ""

    @property
    def text(self) -> str:
        """One line."""
        where = f"in Secret `{self.secret}`" if self.secret else "in files of the nodes"
        if self.days is None:
            why = f" ({self.why})" if self.why else ""
            return f"client certificate for etcd {where}: expiry unknown{why}, see `ddhelm certs verify`"
        day = self.ends[:10]
        left = f"expired (ended on {day})" if self.days < 0 else f"{days_of(self.days)} left (ends on {day})"
        return f"client certificate for etcd {where}: {left}"

    @property
    def problem(self) -> Problem | None:
        """Expired, or ending within a month."""
        if self.days is None or self.days >= WARN_DAYS:
            return None
        return Problem(self.text, RENEW, fatal=self.days < 0)


def of(kubectl: "Kubectl", secret: str | None, facts: Mapping[str, Any]) -> Expiry | None:
    """The certificate that the agents show; None where they show none. ``facts`` are those stored with the release."""
    instances = ((facts.get("checks") or {}).get("etcd") or {}).get("instances") or ()
    shown = {each.get("tls_cert") for each in instances if isinstance(each, Mapping)} - {None, ""}
    if secret and shown:
        from ddhelm.actions import certs
        from ddhelm.etcd import OWN

        if OWN["tls_cert"] not in shown:
            return Expiry()
        try:
            known = kubectl.secret_keys(secret)
        except DdhelmError as error:
            return Expiry(secret, why=error.message)
        if known is None:
            return Expiry(secret, why="the Secret is gone")
        end = certs.ends(known)
        if end is None:
            return Expiry(secret, why=f"`{CLIENT_CERTIFICATE}` in it is no certificate that can be read")
        return Expiry(secret, end.isoformat().replace("+00:00", "Z"), certs.days_left(known))
    return Expiry() if shown else None
