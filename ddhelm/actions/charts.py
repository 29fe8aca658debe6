"""Which chart is meant, and the chart itself: fetched where it is not at hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ddhelm import chart as chart_
from ddhelm import facts, wholefile
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.errors import ConfigError
from ddhelm.settings import Settings
from ddhelm.source import Source, source

if TYPE_CHECKING:
    from ddhelm.plan import Deployed


def chart_of(session: Session, request: Request, wanted: Settings, deployed: "Mapping[str, Deployed]") -> Chart:
    """The chart that was asked for, else the installed one, else the newest of Datadog's repository."""
    where, version = _asked(request, wanted, deployed)
    if where.kind == "path" and wholefile.missing(Path(where.chart)):
        hint = "ddhelm onboard --chart PATH|oci://…|https://helm.datadoghq.com"
        if request.chart is None and "chart" not in request.given:
            raise ConfigError(
                f"the chart `{where.chart}`, from which the releases were installed, is gone",
                hint=hint,
                anchor="chart-not-found",
            )
        raise ConfigError(f"there is no chart at `{where.chart}`", hint=hint, anchor="chart-not-found")
    return chart_at(session, where, version, asked=request.version)


def at_hand(session: Session, request: Request, wanted: Settings, deployed: "Mapping[str, Deployed]") -> Path | None:
    """That chart where it needs no fetching; a path of the user's need not be there."""
    return session.helm.at_hand(*_asked(request, wanted, deployed))


def _asked(request: Request, wanted: Settings, deployed: "Mapping[str, Deployed]") -> tuple[Source, str | None]:
    installed = {state.chart_version for state in deployed.values() if state.base is not None}
    version = request.version
    if version is None and request.chart is None and installed:
        version = max(installed, key=facts.version_of)
    return source(request.chart or wanted.chart), version


_ONE_VERSION = "--chart ANOTHER.tgz, or the address of a repository; one archive is one version"


def chart_at(
    session: Session, where: Source, version: str | None, *, asked: str | None, hint: str = _ONE_VERSION
) -> Chart:
    """The chart of a source; ConfigError where a folder or archive is another version than the one ``asked`` for."""
    chart = chart_.read(session.helm.pull(where, version))
    if (
        asked is not None
        and where.kind in {"path", "url"}
        and facts.version_of(asked) != facts.version_of(chart.version)
    ):
        raise ConfigError(
            f"the chart `{where}` is version {chart.version}, not {asked}",
            hint=hint,
            anchor="chart-version-not-found",
        )
    return chart
