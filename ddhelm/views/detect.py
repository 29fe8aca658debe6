"""What was found about the cluster: the conclusion, the evidence, what follows, what could not be read."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ddhelm import facts, profile
from ddhelm.access import Access
from ddhelm.errors import DdhelmError
from ddhelm.facts import ClusterFacts
from ddhelm.profile import Profile
from ddhelm.tree import Tree
from ddhelm.views import envelope, pasted
from ddhelm.views.console import counted


def json(read: ClusterFacts, found: Profile | None, error: DdhelmError | None = None) -> Tree:
    """The complete answer: every fact that was read (enough to plan from) and the profile made of them, or why none.

    ``details`` are the evidence of an ``error``: what was seen for and against each distribution.
    """
    told = None if found is None else profile.to_json(found)
    why = {"error": error and error.message, "details": list(error.details) if error else []}
    return envelope.wrap("Detection", {"profile": told, **why, "facts": facts.to_json(read)})


def table(access: Access, read: ClusterFacts, found: Profile, screen: Console) -> None:
    """For people."""
    control_plane = sum(found.role_of(node) == "control-plane" for node in read.nodes)
    how = " (as told by --distribution)" if found.overridden else ""
    screen.print(f"[bold]{escape(found.title)}[/]{how}: distribution `{found.distribution}`", highlight=False)
    screen.print(f"Kubernetes {read.server_version or 'unknown'} at {access.server}, context `{access.context}`")
    others = counted(len(read.nodes) - control_plane, "other")
    nodes = f"{counted(control_plane, 'control-plane node')}, {others}"
    screen.print(nodes if read.has("nodes") else "The nodes could not be read")
    if found.managed:
        screen.print(f"One release: {escape(found.why_managed)}")
    _rows(screen, "Evidence", [("for" if e.supports else "against", e.signal, e.seen) for e in found.evidence])
    _rows(
        screen,
        "Checks on each control-plane node",
        [(i.component, str(i.instance.get("prometheus_url", "")), _source(i)) for i in found.instances]
        + [(left.component, "left out", pasted.sentence(str(left))) for left in found.left_out],
        whole=True,
    )
    _rows(screen, "Host files (not verified)", [(f.component or "", f.path, f.purpose) for f in found.host_files])
    _rows(screen, "Not read", [(u.what, "", u.why) for u in read.unread])
    for note in (found.claimed, *found.notes):
        if note:
            screen.print(f"• {note}", markup=False)


def _source(instance: profile.CheckInstance) -> str:
    return f"{instance.source} (claimed, not verified)" if instance.claimed else instance.source


def _rows(screen: Console, title: str, rows: list[tuple[str, str, str]], *, whole: bool = False) -> None:
    if not rows:
        return
    grid = Table(
        title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2, 0, 0)
    )
    for column in range(3):  # what is cut, an address or a path, cannot be pasted
        grid.add_column(overflow="fold", no_wrap=whole and column < 2)
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    screen.print()
    screen.print(grid)
