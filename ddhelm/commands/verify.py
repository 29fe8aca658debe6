"""verify: ask the agents how their checks go, show it."""

from ddhelm.actions import verify as action
from ddhelm.actions.session import Session
from ddhelm.release import Role
from ddhelm.tree import Tree
from ddhelm.views import console, envelope
from ddhelm.views import verify as view

FIRST_COLLECTION = 120.0


def verify(
    session: Session, output: str, *, only: Role | None, wait: float, timeout: float | None, concurrency: int
) -> int:
    """Print what the agents report; 0 all do, 6 a check does not, 4 pods are not ready, 1 not all could be asked."""
    with view.observer(console.err()) as observer:
        found = action.verify(
            session.kubectl,
            only=only,
            wait=wait,
            timeout=timeout or action.TIMEOUT,
            concurrency=concurrency,
            observer=observer,
        )
    if output == "table":
        view.table(found, console.out())
    else:
        print(envelope.text(view.json(found), output), end="")  # noqa: T201
    return found.exit_code


def close(session: Session, document: Tree, output: str) -> int:
    """Verify at the end of a run that changed the releases; what was found is added to its document.

    Agents that were just started are given two minutes for their first collection.
    """
    with view.observer(console.err()) as observer:
        found = action.verify(session.kubectl, wait=FIRST_COLLECTION, observer=observer)
    if output == "table":
        screen = console.out()
        screen.print("")
        view.table(found, screen)
    document["data"]["verification"] = view.data(found)
    return found.exit_code
