"""history: both releases in one story."""

import sys

from ddhelm.actions import history as action
from ddhelm.actions.session import Session
from ddhelm.views import console, envelope
from ddhelm.views import history as view


def history(session: Session, output: str) -> None:
    """Print it."""
    found = action.read(session)
    if output == "table":
        view.table(found, console.out())
    else:
        sys.stdout.write(envelope.text(view.json(found), output))
