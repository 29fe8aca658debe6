"""apply FILE: carry out exactly the plan that was reviewed, or nothing."""

from ddhelm import flaggroups, planfile
from ddhelm.actions import planning
from ddhelm.actions.session import Session
from ddhelm.commands import onboard, opened, waiting
from ddhelm.errors import UsageError
from ddhelm.flaggroups import Options

ALLOWED = frozenset(
    {
        "context",
        "kubeconfig",
        "verbose",
        "api_key_file",
        "app_key_file",
        "api_key_command",
        "app_key_command",
        "require_validation",
        "find_site",
        "lock_timeout",
        "timeout",
        "no_rollback",
        "verify",
        "yes",
    }
)
"""Flags that change neither what is rendered nor where it goes."""


def refuse_flags(options: Options, *groups: type) -> None:
    """UsageError for flags of these groups that a plan file already decides."""
    defaults = flaggroups.defaults(*groups)
    given = [name for name, value in defaults.items() if name not in ALLOWED and options[name] != value]
    if given:
        names = ", ".join(f"`{flaggroups.typed(name, options[name], *groups)}`" for name in given)
        raise UsageError(
            f"{names} cannot be given with a plan file, which has decided that",
            hint="make a new plan with it: ddhelm plan … --out FILE",
            anchor="flag-with-plan-file",
        )


def apply(session: Session, options: Options, name: str, digest: str | None, output: str) -> int:
    """Make the plan of the file anew and carry it out if it is the same; asks nothing."""
    how, given = onboard.how(options), onboard.given_keys(session, options)
    file = planning.read(name, digest)
    if file.bound["namespace"] != session.access.namespace:
        session = opened.in_namespace(options, file.bound["namespace"])
    prepared, request = waiting.until_free(lambda: planning.again(session, file), how.lock_timeout)
    return onboard.carry_on(
        session,
        {**options, "yes": True},
        prepared,
        request,
        output,
        verb="apply",
        how=how,
        given=given,
        reviewed=planfile.of_shown(file.shown),
    )
