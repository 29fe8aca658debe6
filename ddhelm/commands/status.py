"""status: where both releases stand."""

from ddhelm.actions import status as action
from ddhelm.actions.session import Session
from ddhelm.views import console, envelope
from ddhelm.views import status as view


def status(session: Session, output: str) -> int:
    """Print the status; 0 healthy, 4 not as promised (ClusterError, 1, where it could not be read)."""
    found = action.of_session(session)
    if output == "table":
        view.table(found, console.out())
    else:
        print(envelope.text(view.json(found), output), end="")  # noqa: T201
    return found.exit_code
