"""drift: live against deployed; set back what the manifests set, or make values of it."""

import sys

from msgspec.structs import replace

from ddhelm.actions import drift as action
from ddhelm.actions import prepare, rollback
from ddhelm.actions.carry_out import How
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.commands import onboard, waiting
from ddhelm.drift import Drift
from ddhelm.flaggroups import Options
from ddhelm.views import console, envelope
from ddhelm.views import drift as view


def drift(session: Session, options: Options, output: str, *, revert: bool, adopt: bool) -> int:
    """Show it; 0 for none, 2 for some, 1 where not all could be compared. With an action: its outcome's code."""
    changing, how = revert or adopt, onboard.how(options)
    found = waiting.until_free(lambda: action.read(session, to_change=changing), how.lock_timeout)
    options = {**options, "api_key_file": None, "app_key_file": None}
    if output == "table":
        view.table(found, console.out())
    elif not (changing and found.any):
        sys.stdout.write(envelope.text(view.json(found), output))
    if not changing or not found.any:
        return found.exit_code
    change = _revert if revert else _adopt
    return change(session, options, found, output, how)


def _revert(session: Session, options: Options, found: Drift, output: str, how: How) -> int:
    if not any(each.revertible for each in found.objects):
        console.err().print("\nNothing to set back: no field that helm would write has another value.", markup=False)
        if output != "table":
            sys.stdout.write(envelope.text(view.json(found), output))
        return found.exit_code
    request = replace(_request(options), force_conflicts=True)
    prepared = rollback.revert(session, request, found)
    return onboard.carry_on(session, options, prepared, request, output, verb="drift --revert", how=how, given={})


def _request(options: Options) -> Request:
    return Request(delete_crds=options["delete_crds"], skip=tuple(options["skip"] or ()))


def _adopt(session: Session, options: Options, found: Drift, output: str, how: How) -> int:
    request, adopted, refused = action.adopt(session, found, _request(options))
    screen = console.out() if output == "table" else console.err()
    for each in refused:
        screen.print(f"not adopted: {action.refusal_line(each)}", markup=False, style="yellow")
    for one in adopted:
        screen.print(f"adopted: {one.drift.release} gets `{one.option}`", markup=False)
    screen.print()
    prepared = rollback.hinting(prepare.prepare(session, request), rollback.OF_DRIFT)
    action.proven(prepared, adopted)
    return onboard.carry_on(session, options, prepared, request, output, verb="drift --adopt", how=how, given={})
