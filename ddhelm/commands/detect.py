"""detect: say which distribution this is, by which evidence."""

from msgspec.structs import replace

from ddhelm.actions import reading, rendering
from ddhelm.actions.session import Session
from ddhelm.settings import Settings
from ddhelm.views import console, envelope
from ddhelm.views import detect as view


def detect(session: Session, distribution: str | None, output: str) -> None:
    """Print facts and profile; ClusterError where the distribution is unknown or ambiguous."""
    read = reading.facts_of(session)
    found = rendering.recognise(session, read, replace(Settings(), distribution=distribution), None)
    if output == "table":
        view.table(session.access, read, found, console.out())
    else:
        print(envelope.text(view.json(read, found), output), end="")  # noqa: T201
