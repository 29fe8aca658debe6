"""One table of workloads, for a status and for a roll-out: what ``kubectl get`` shows, and what it means."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ddhelm.views.console import BAD, GOOD, WARN, grid
from ddhelm.workloads import Workload

if TYPE_CHECKING:
    from rich.table import Table

_SHORT = {"DaemonSet": "ds", "Deployment": "deploy"}


def table(workloads: Iterable[tuple[str, str, Workload | None]], *, covered: bool = False) -> "Table":
    """Workloads as (kind, name, as it stands or None where it is gone), under names that kubectl takes.

    ``covered``: each node has its one agent (see ``state``).
    """
    from rich.text import Text

    shown = grid("WORKLOAD", "READY", "UP-TO-DATE", "STATE", right=("READY", "UP-TO-DATE"))
    for kind, name, live in workloads:
        said, style = state(live, covered=covered)
        numbers = (f"{live.ready}/{live.desired}", str(live.updated)) if live else ("-", "-")
        shown.add_row(Text(f"{_SHORT.get(kind, kind.lower())}/{name}"), *numbers, Text(said, style=style))
    return shown


def state(live: Workload | None, *, covered: bool = False) -> tuple[str, str]:
    """A workload's state in words, and the style for it; ``covered``: that one wants no node is as intended."""
    if live is None:
        return f"{BAD} gone", "bad"
    if live.empty and covered:
        return "no node is its own", "faint"
    if live.empty:
        return f"{BAD} wants no node", "bad"
    if live.settled:
        return f"{GOOD} ready", "good"
    if not live.current:
        return "waiting for the controller", "faint"
    return f"{WARN} {live.behind} to come", "warn"
