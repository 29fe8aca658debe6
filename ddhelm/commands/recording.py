"""Records what a command changes (see ``actions.audit``), and says on standard error where that was not possible."""

from contextlib import AbstractContextManager

from ddhelm.actions import audit
from ddhelm.actions.session import Session
from ddhelm.views import console


def recorded(
    session: Session, verb: str, *, plan: str = "", cluster: str | None = None
) -> AbstractContextManager[audit.Recording]:
    """The block in which ``verb`` writes; ``plan`` and ``cluster`` as in ``audit.recorded``."""
    return audit.recorded(
        session, verb, plan=plan, cluster=cluster, warn=lambda line: console.problem(console.err(), line)
    )
