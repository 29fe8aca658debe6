"""rollback: both releases back to what Helm has stored, shown and asked for like any change."""

from ddhelm.actions import rollback as action
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.commands import onboard, waiting
from ddhelm.flaggroups import Options


def rollback(session: Session, options: Options, revision: int | None, output: str, *, dry_run: bool) -> int:
    """Plan, show, ask, carry out; gives the exit code, or raises what stopped it."""
    request = Request(
        delete_crds=options["delete_crds"],
        force_conflicts=options["force_conflicts"],
        skip=tuple(options["skip"] or ()),
    )
    how, given = onboard.how(options), onboard.given_keys(session, options)
    prepared = waiting.until_free(
        lambda: action.make(session, request, action.way(session, revision, options["only"])), how.lock_timeout
    )
    return onboard.carry_on(
        session,
        options,
        prepared,
        request,
        output,
        verb="rollback",
        how=how,
        given=given,
        dry_run=dry_run,
        way_back=True,
    )
