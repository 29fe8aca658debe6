"""Shows the history of both releases: a line a run, who did it and to what end, and below it the revisions it made."""

import datetime
from typing import TYPE_CHECKING, Any

from ddhelm import audit
from ddhelm.actions.history import History
from ddhelm.audit import Entry
from ddhelm.causes import shorten
from ddhelm.record import Record, seconds
from ddhelm.timeline import Told
from ddhelm.views import envelope
from ddhelm.views.console import problem, words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Tree = dict[str, Any]
_STYLES = {"deployed": "good", "superseded": "faint"}
_OUTCOMES = {"done": "good", "running": "warn"}
_DIGEST = 12
_UNKNOWN = "no record of who did it"


def table(history: History, console: "Console") -> None:
    """For people, oldest first as Helm has it."""
    from rich.text import Text

    cells = {id(each): _cells(each) for run in history.runs for each in run.records}
    widths = [max((len(row[at]) for row in cells.values()), default=0) for at in range(5)]
    console.print(Text("RUN  WHEN                 WHAT", style="head"))
    for number, run in enumerate(history.runs, 1):
        head = Text(f"{number:>3}  {_when(run.at):<19}  ") + _head(run)
        console.print(head, soft_wrap=True)
        for each in run.records:
            row = [cell.ljust(width) for cell, width in zip(cells[id(each)], widths, strict=True)]
            line = Text(" " * 28) + Text("  ").join(
                Text(cell, style=_STYLES.get(each.status, "bad") if at == 2 else "") for at, cell in enumerate(row)
            )
            line.rstrip()
            console.print(line, soft_wrap=True)
    if history.unread:
        console.print("")
        problem(console, history.unread)
    if history.back:
        console.print("")
        console.print(words(f"`ddhelm rollback` goes back to {_targets(history.back)}", "faint"))


def json(history: History) -> Tree:
    """For programs: kind ``History``."""
    return envelope.wrap(
        "History",
        {"runs": [_run(run) for run in history.runs], "rollback": dict(history.back), "unread": history.unread},
    )


def _head(run: Told) -> "Text":
    """`onboard by anna@laptop (kubernetes-admin), plan 3f2a9c1b7d20: done in 21 s`."""
    from rich.text import Text

    entry = run.entry
    if entry is None:
        return Text(_UNKNOWN, style="faint")
    shown = Text(entry.verb, style="thing") + Text(f" by {who(entry)}")
    if entry.plan:
        shown += Text(f", plan {entry.plan[:_DIGEST]}")
    shown += Text(": ") + Text(_outcome(entry), style=_OUTCOMES.get(entry.outcome, "bad"))
    if not run.records and entry.changes and entry.outcome == "done":
        shown += Text(f" ({'; '.join(_change(each) for each in entry.changes)})")
    if not run.shared:
        shown += Text(", recorded on this machine only", style="faint")
    return shown


def who(entry: Entry) -> str:
    """`anna@laptop (kubernetes-admin)`, with the address of the job where a CI system ran it."""
    about = ", ".join(part for part in (entry.who.name, entry.who.job) if part)
    return f"{entry.who.user}@{entry.who.host}" + (f" ({about})" if about else "")


def _outcome(entry: Entry) -> str:
    if entry.outcome == "running":
        return "not ended, or killed"
    took = seconds(entry.ended) - seconds(entry.began)
    if entry.outcome == "done":
        return f"done in {took:.0f} s"
    code = "" if entry.exit_code is None else f" (exit {entry.exit_code})"
    return f"{entry.outcome}{code}" + (f": {entry.message}" if entry.message else "")


def _change(change: audit.Change) -> str:
    return f"{change.release} {change.what}".strip()


def _cells(record: Record) -> tuple[str, str, str, str, str]:
    return (
        record.name,
        str(record.revision),
        record.status,
        f"{record.chart_name}-{record.chart_version} (app {record.app_version})",
        shorten(record.description),
    )


def _run(run: Told) -> Tree:
    return {
        "audit": None if run.entry is None else {**audit.complete(run.entry), "onlyHere": not run.shared},
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
        ],
    }


def _when(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "unknown"


def _targets(back: dict[str, int]) -> str:
    return ", ".join(f"revision {revision} of `{name}`" for name, revision in back.items())
