"""A plan without a cluster; what shows it is loaded while helm renders."""

from ddhelm.actions import offline
from ddhelm.commands import requests
from ddhelm.flaggroups import Options


def show(options: Options, facts: str, against: str | None, output: str, *, detailed: bool) -> int:
    """Show what would change, from the facts in a file, against saved manifests; never written to a plan file.

    0, or 2 for changes with ``detailed``; PreflightFailed (3) where the plan could not be carried out.
    """
    session = offline.session(options["namespace"])
    prepared = offline.plan_offline(session, requests.request(options), facts, against, meanwhile=_views)
    from ddhelm import plan
    from ddhelm.commands import diff

    diff.present(session, prepared, options, output, limit=12)
    prepared.stop_if_broken()
    return plan.exit_code(prepared.plan, detailed=detailed)


def _views() -> None:
    from ddhelm.commands import diff  # noqa: F401 - only loaded
