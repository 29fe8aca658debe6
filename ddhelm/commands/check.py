"""check: prove that the pair fits this cluster, and name what does not."""

from ddhelm import proof
from ddhelm.actions import prepare
from ddhelm.actions.session import Session
from ddhelm.commands import requests
from ddhelm.errors import PreflightFailed
from ddhelm.flaggroups import Options
from ddhelm.views import check as view
from ddhelm.views import console, envelope


def claims(output: str) -> int:
    """List every check: its name, what it claims, what happens if it does not hold."""
    if output == "table":
        view.claims(proof.CLAIMS, console.out())
    else:
        print(envelope.text(view.claims_json(proof.CLAIMS), output), end="")  # noqa: T201
    return 0


def check(session: Session, options: Options, output: str) -> int:
    """Prove every claim; 0, or 3 where a fatal one fails."""
    prepared = prepare.prepare(session, requests.of_onboard(options))
    if output == "table":
        view.table(prepared, console.out())
    else:
        print(envelope.text(view.json(prepared), output), end="")  # noqa: T201
    return PreflightFailed.exit_code if prepared.plan.problems else 0
