"""upgrade: existing releases, both as one unit, to another chart version or to the same with other values."""

from msgspec.structs import replace

from ddhelm.actions import prepare, reading, revisions
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.commands import onboard, requests, waiting
from ddhelm.errors import DdhelmError, UsageError
from ddhelm.facts import version_of
from ddhelm.flaggroups import Options
from ddhelm.settings import Settings
from ddhelm.source import source
from ddhelm.views import console, pasted


def upgrade(session: Session, options: Options, output: str, *, latest: bool, dry_run: bool) -> int:
    """Plan, show, ask and carry out; without a version the installed chart is kept and newer ones are named."""
    request = requests.request(options)
    read = reading.installed(session)
    if not read:
        raise revisions.none_in(session.access.namespace)
    newest = _newest(session, _chart(read, request), latest=latest) if latest or not request.version else None
    if latest and newest is None:
        raise UsageError(
            "the newest version cannot be told: this chart does not come from a repository with an index",
            hint="--chart https://helm.datadoghq.com, or --chart FILE with a newer one",
            anchor="no-latest",
        )
    if latest:
        request = replace(request, version=newest)
    given, how = onboard.given_keys(session, options), onboard.how(options)
    prepared = waiting.until_free(lambda: prepare.prepare(session, request), how.lock_timeout)
    if newest is not None and version_of(newest) > version_of(prepared.chart.version):
        text = f"chart {newest} is newer than the installed {prepared.chart.version}: ddhelm upgrade --version {newest}"
        console.err().print(f"• {pasted.hint(text)}", markup=False)
    return onboard.carry_on(
        session, options, prepared, request, output, verb="upgrade", how=how, given=given, dry_run=dry_run
    )


def _chart(installed: reading.Installed, request: Request) -> str:
    """Where the chart comes from, as ``prepare`` has it: the flag, the settings file, what is remembered."""
    remembered = Settings().chart if request.reset_settings else installed.chart
    return str(request.chart or request.given.get("chart") or remembered)


def _newest(session: Session, chart: str, *, latest: bool) -> str | None:
    """The newest version of the chart's repository; None where it has none, or cannot be asked and need not be."""
    where = source(chart)
    if where.kind != "repo":
        return None
    try:
        return next(iter(session.helm.versions(where)), None)
    except DdhelmError as error:
        if latest:
            raise
        console.err().print(f"• newer versions are not known: {error.message}", markup=False)
        return None
