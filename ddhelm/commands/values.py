"""values: what helm would be sent, as YAML, and which layer set each key."""

from ddhelm.actions import prepare
from ddhelm.actions.request import idle_values
from ddhelm.actions.session import Session
from ddhelm.commands import requests
from ddhelm.errors import UsageError
from ddhelm.flaggroups import Options
from ddhelm.release import Role
from ddhelm.views import console
from ddhelm.views import values as view


def values(session: Session, options: Options, role: Role, *, explain: bool) -> None:
    """Print one release's values; UsageError where this cluster has no such release, or the flags name the other."""
    request = requests.of_onboard(options)
    if request.only not in (None, role):
        raise UsageError(
            f"`ddhelm values {role}` and `--only {request.only}` name two releases",
            hint=f"ddhelm values {request.only}",
            anchor="contradicting-flags",
        )
    built, found, _ = prepare.values_only(session, request, explained=explain)
    by_role = {release.role: tree for release, tree in built}
    if role not in by_role:
        raise UsageError(
            f"this cluster gets no `{role}` release: {found.why_managed or 'it shows no control-plane nodes'}",
            hint="ddhelm detect",
            anchor="only-leaves-nothing",
        )
    for line in idle_values(request.user, role):
        console.problem(console.err(), line)
    print(view.text(by_role[role], explain=explain), end="")  # noqa: T201
