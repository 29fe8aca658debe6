"""Shows the history of both releases: a line a revision, those of one run beside each other."""

import datetime
from typing import TYPE_CHECKING, Any

from ddhelm.actions.history import History
from ddhelm.record import Record
from ddhelm.timeline import Run, seconds
from ddhelm.views import envelope
from ddhelm.views.console import grid, words

if TYPE_CHECKING:
    from rich.console import Console

Tree = dict[str, Any]
_STYLES = {"deployed": "good", "superseded": "faint"}


def table(history: History, console: "Console") -> None:
    """For people, oldest first as Helm has it."""
    from rich.text import Text

    shown = grid("RUN", "RELEASE", "REVISION", "STATUS", "CHART", "APP VERSION", "WHEN", "DESCRIPTION", right=("RUN",))
    for number, run in enumerate(history.runs, 1):
        for at, each in enumerate(run.records):
            shown.add_row(
                str(number) if at == 0 else "",
                Text(each.name),
                str(each.revision),
                Text(each.status, style=_STYLES.get(each.status, "bad")),
                Text(f"{each.chart_name}-{each.chart_version}"),
                Text(each.app_version),
                Text(_when(each)),
                Text(each.description.splitlines()[0] if each.description else ""),
            )
    console.print(shown)
    if history.back:
        console.print("")
        console.print(words(f"`ddhelm rollback` goes back to {_targets(history.back)}", "faint"))


def json(history: History) -> Tree:
    """For programs: kind ``History``."""
    return envelope.wrap("History", {"runs": [_run(run) for run in history.runs], "rollback": dict(history.back)})


def _run(run: Run) -> Tree:
    return {
        "revisions": [
            {
                "release": each.name,
                "revision": each.revision,
                "status": each.status,
                "chart": f"{each.chart_name}-{each.chart_version}",
                "appVersion": each.app_version,
                "deployed": each.last_deployed,
                "description": each.description,
            }
            for each in run.records
        ]
    }


def _when(record: Record) -> str:
    moment = seconds(record.last_deployed)
    return datetime.datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "unknown"


def _targets(back: dict[str, int]) -> str:
    return ", ".join(f"revision {revision} of `{name}`" for name, revision in back.items())
