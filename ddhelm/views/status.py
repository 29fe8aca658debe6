"""Shows a status: releases, workloads, one sentence on coverage, and below it only what is not as it should be."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ddhelm.actions.promises import ReleaseLine, WorkloadLine, all_covered
from ddhelm.actions.status import Status
from ddhelm.views import coverage, envelope, workloads
from ddhelm.views.console import BAD, GOOD, WARN, grid, problem, words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ddhelm.coverage import Coverage

Tree = dict[str, Any]

_WIDE = 95


def table(status: Status, console: "Console") -> None:
    """For people."""
    from rich.text import Text

    where = f"context `{status.context}`, namespace `{status.namespace}`" if status.context else (
        f"server {status.server}, namespace `{status.namespace}`"
    )  # fmt: skip
    about = f", distribution `{status.distribution}`" if status.distribution else ""
    console.print(words(where + about))
    console.print("")
    console.print(_releases(status, wide=console.width >= _WIDE))
    if status.workloads:
        console.print("")
        rows = ((line.kind, line.name, line.live) for line in status.workloads)
        console.print(workloads.table(rows, covered=all_covered(status.pools)))
    console.print("")
    if status.coverage is not None:
        told = coverage.sentence(status.coverage, verb="run", running=status.running)
        mark, style = _covered(status, status.coverage)
        console.print(Text(f"{mark} ", style=style) + Text(told))
    if status.certificate is not None and status.certificate.problem is None:
        console.print(words(f"  {status.certificate.text}"))
    for each in status.problems:
        mark, style = (BAD, "bad") if each.fatal else (WARN, "warn")
        problem(console, each.text, each.hint, mark=mark, style=style)
    for unread in status.unread:
        problem(console, f"could not be read: {unread.what}: {unread.why}", mark=BAD, style="bad")


def json(status: Status) -> Tree:
    """For programs: the same, in the versioned envelope of kind ``Status``."""
    data: Tree = {
        "context": status.context,
        "server": status.server,
        "namespace": status.namespace,
        "distribution": status.distribution,
        "healthy": status.healthy,
        "exitCode": status.exit_code,
        "releases": [
            {
                "name": line.release.name,
                "role": str(line.release.role),
                "installed": line.installed,
                "revision": line.revision or None,
                "status": line.status,
                "deployedRevision": line.deployed,
                "chart": line.chart,
                "appVersion": line.app_version,
                "updated": line.updated,
                "description": line.description,
            }
            for line in status.releases
        ],
        "workloads": [_workload_json(line) for line in status.workloads],
        "coverage": None,
        "etcdCertificate": None,
        "otherAgents": [
            {
                "kind": other.what,
                "namespace": other.namespace,
                "name": other.name,
                "owner": other.owner,
                "nodes": other.nodes,
            }
            for other in status.others
        ],
        "problems": [{"text": each.text, "hint": each.hint, "fatal": each.fatal} for each in status.problems],
        "unread": [{"what": each.what, "why": each.why} for each in status.unread],
    }
    if (found := status.certificate) is not None:
        data["etcdCertificate"] = {
            "secret": found.secret or None, "ends": found.ends or None, "daysLeft": found.days
        }  # fmt: skip
    if status.coverage is not None:
        data["coverage"] = {"running": status.running, **coverage.json(status.coverage, status.pools)}
    return envelope.wrap("Status", data)


def _releases(status: Status, *, wide: bool) -> "Table":
    from rich.text import Text

    heads = ("RELEASE", "REVISION", "STATUS", "CHART", *(("APP VERSION",) if wide else ()), "UPDATED")
    shown = grid(*heads, right=("REVISION",))
    for line in status.releases:
        app = (Text(line.app_version),) if wide else ()
        cells = (str(line.revision), _release_state(line), Text(line.chart), *app, _when(line.updated))
        missing = ("-", Text("not installed", style="bad"), *["-"] * (len(heads) - 3))
        shown.add_row(Text(line.release.name), *(cells if line.installed else missing))
    return shown


def _covered(status: Status, found: "Coverage") -> tuple[str, str]:
    """Mark and style of the sentence on coverage; what goes by itself is no alarm, as in the exit code."""
    if status.running != status.nodes - len(found.accepted) - len(found.transient):
        return BAD, "bad"
    return (WARN, "warn") if found.transient else (GOOD, "good")


def _workload_json(line: WorkloadLine) -> Tree:
    live = line.live
    return {
        "release": line.release,
        "kind": line.kind,
        "name": line.name,
        "exists": live is not None,
        "desired": live and live.desired,
        "upToDate": live and live.updated,
        "ready": live and live.ready,
        "available": live and live.available,
        "misscheduled": live and live.misscheduled,
        "settled": live and live.settled,
    }


def _release_state(line: ReleaseLine) -> "Text":
    from rich.text import Text

    return Text(line.status, style="good" if line.status == "deployed" else "bad")


def _when(stamp: str) -> str:
    """RFC 3339 in any zone (Helm writes the installer's) to the minute in UTC."""
    try:
        return datetime.fromisoformat(stamp).astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
    except ValueError:
        return stamp
