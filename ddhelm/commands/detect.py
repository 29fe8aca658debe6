"""detect: say which distribution this is, by which evidence."""

from msgspec.structs import replace

from ddhelm.actions import building, reading
from ddhelm.actions.session import Session
from ddhelm.errors import ClusterError
from ddhelm.settings import Settings
from ddhelm.views import console, envelope
from ddhelm.views import detect as view


def detect(session: Session, distribution: str | None, output: str) -> None:
    """Print facts and profile; ClusterError where the distribution is unknown or ambiguous.

    A program gets the document then too, with the evidence and without a profile.
    """
    session.library.distributions()  # read while the API server makes its answers
    read = reading.facts_of(session)
    try:
        found = building.recognise(session, read, replace(Settings(), distribution=distribution), None)
    except ClusterError as error:
        if output != "table":
            print(envelope.text(view.json(read, None, error), output), end="")  # noqa: T201
        raise
    if output == "table":
        view.table(session.access, read, found, console.out())
    else:
        print(envelope.text(view.json(read, found), output), end="")  # noqa: T201
