"""Shows an uninstall: before, what goes and what stays; while it runs, what is gone; after, what is left."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ddhelm.actions.removal import Kept, Removal
from ddhelm.actions.uninstall import Finished, Removed, Started
from ddhelm.views import envelope, pasted
from ddhelm.views.console import BAD, GOOD, WARN, grid, words

if TYPE_CHECKING:
    from rich.console import Console

Tree = dict[str, Any]


def table(removal: Removal, console: "Console") -> None:
    """What goes and what stays."""
    if removal.nothing:
        console.print(words(f"Nothing to remove: no release of ddhelm's in namespace `{removal.namespace}`."))
    else:
        _going(removal, console)
    _staying(removal.kept, console)
    for each in removal.unread:
        console.print(words(f"{WARN} {each.plural} could not be looked at: {each.why}", "warn"))


def observer(console: "Console") -> Callable[[object], None]:
    """Prints a line when something begins and when it is gone."""

    def tell(event: object) -> None:
        if isinstance(event, Started):
            console.print(words(f"  removing {event.what} …", "faint"))
        elif isinstance(event, Finished):
            took = f" ({event.seconds:.0f} s)" if event.seconds >= 1 else ""
            console.print(words(f"{GOOD} {event.what} is gone{took}"))

    return tell


def done(removed: Removed, console: "Console", *, announced: Sequence[Kept] = ()) -> None:
    """What is left beyond what was ``announced`` before, and what should not be."""
    _staying([each for each in removed.kept if each not in announced], console)
    for each in removed.problems:
        console.print(words(f"{BAD} {each.what}: {each.why}", "bad"))
        if each.command:
            console.print(words(f"  hint: {pasted.hint(each.command)}"), soft_wrap=True)


def json(value: Removal | Removed) -> Tree:
    """For programs: kind ``Removal`` before, ``Removed`` after."""
    if isinstance(value, Removed):
        data: Tree = {
            "exitCode": value.exit_code,
            "removed": list(value.done),
            "kept": _kept_json(value.kept),
            "problems": _kept_json(value.problems),
            "failure": envelope.failure(value.failure),
        }
        return envelope.wrap("Removed", data)
    data = {
        "namespace": value.namespace,
        "releases": [
            {
                "name": each.release.name,
                "revision": each.revision,
                "status": each.status,
                "objects": each.objects,
                "crds": list(each.crds),
            }
            for each in value.releases
        ],
        "objects": [
            {"kind": each.kind, "namespace": each.namespace, "name": each.name}
            for each in (*value.strays, *value.hooks, *value.secrets)
        ],
        "deleteNamespace": value.delete_namespace,
        "kept": _kept_json(value.kept),
        "unread": [f"{each.plural}: {each.why}" for each in value.unread],
    }
    return envelope.wrap("Removal", data)


def _going(removal: Removal, console: "Console") -> None:
    console.print("Goes:", style="head")
    shown = grid("", "")
    for going in removal.releases:
        about = f"revision {going.revision}, {going.status}, {going.objects} objects"
        if count := len(going.crds):
            about += f", {count} of them empty CRDs"
        shown.add_row(words(f"- release `{going.release.name}`"), words(about))
    for each in (*removal.strays, *removal.hooks, *removal.secrets):
        shown.add_row(words(f"- {each}"), words(each.why))
    if removal.delete_namespace:
        why = "is being deleted already" if removal.terminating else "made by ddhelm, with all that is left in it"
        shown.add_row(words(f"- namespace `{removal.namespace}`"), words(why))
    shown.show_header = False
    console.print(shown)


def _staying(kept: Sequence[Kept], console: "Console") -> None:
    if not kept:
        return
    console.print("Stays:", style="head")
    for command, those in groupby(kept, key=lambda each: each.command):
        for each in those:
            console.print(words(f"- {each.what} ({each.why})"))
        if command:
            console.print(words(f"    {pasted.hint(command)}", "hint"), soft_wrap=True)


def _kept_json(kept: Sequence[Kept]) -> list[Tree]:
    return [{"what": each.what, "why": each.why, "command": pasted.hint(each.command)} for each in kept]
