"""plan and diff: what would change, with a cluster and without one; what shows it is loaded while helm renders."""

import time
from typing import TYPE_CHECKING

from ddhelm.actions.session import Session
from ddhelm.flaggroups import Options
from ddhelm.pasting import typed

if TYPE_CHECKING:
    from ddhelm.actions.request import Request


def show(session: Session, options: Options, output: str, *, detailed: bool, limit: int | None, out: str | None) -> int:
    """Show what would change; with ``out`` also write it to a plan file.

    0, or 2 for changes with ``detailed``; PreflightFailed (3) where the plan could not be carried out.
    """
    from ddhelm.actions import prepare
    from ddhelm.commands import requests

    request = requests.of_onboard(options)
    prepared = prepare.prepare(session, request, meanwhile=_views)
    from ddhelm import plan
    from ddhelm.commands import diff

    diff.present(session, prepared, options, output, limit)
    prepared.stop_if_broken()
    if out is not None:
        from ddhelm import planfile
        from ddhelm.actions import planning
        from ddhelm.views import console, pasted
        from ddhelm.views import plan as view

        document = view.json(session.access, prepared)["data"]
        data = planfile.text(planning.make(session, prepared, request, document, time.time()))
        planning.write(out, data)
        for line in (
            f"Plan written to {out}, sha256 {planfile.file_digest(data)}",
            f"To carry it out: {pasted.hint(typed('ddhelm apply {out}', out=out))}",
        ):
            console.err().print(line, markup=False, highlight=False, soft_wrap=True)
    return plan.exit_code(prepared.plan, detailed=detailed)


def without_cluster(options: Options, facts: str, against: str | None, output: str, *, detailed: bool) -> int:
    """Show what would change, from the facts in a file, against saved manifests; never written to a plan file.

    0, or 2 for changes with ``detailed``; PreflightFailed (3) where the plan could not be carried out.
    """
    from ddhelm.actions import offline

    session = offline.session(options["namespace"])
    prepared = offline.plan_offline(
        session,
        lambda: _request(options),
        facts,
        against,
        chart=options.get("chart"),
        version=options.get("version"),
        meanwhile=_views,
    )
    from ddhelm import plan
    from ddhelm.commands import diff

    diff.present(session, prepared, options, output, limit=12)
    prepared.stop_if_broken()
    return plan.exit_code(prepared.plan, detailed=detailed)


def _request(options: Options) -> "Request":
    from ddhelm.commands import requests

    return requests.request(options)


def _views() -> None:
    from ddhelm.commands import diff  # noqa: F401 - only loaded
