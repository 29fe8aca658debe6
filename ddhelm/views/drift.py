"""Shows drift: object by object, field by field, who did it, and what the next upgrade does to it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ddhelm import tree
from ddhelm.drift import AUTOSCALER, Change, Drift, Fate, FieldDrift, ObjectDrift
from ddhelm.managedfields import Writer
from ddhelm.views import diff, envelope, pasted
from ddhelm.views.console import GOOD, counted, problem, words

if TYPE_CHECKING:
    from rich.console import Console

Tree = dict[str, Any]

_OPS = {Change.ALTERED: "replace", Change.REMOVED: "remove", Change.ADDED: "add"}
_STYLES = {"add": "green", "remove": "red", "change": "yellow", "dim": "dim", "head": "bold", "plain": ""}
_FATES = {
    Fate.KEPT: "kept",
    Fate.OVERWRITTEN: "overwritten",
    Fate.CONFLICT: "conflict: an upgrade that changes the object stops there unless forced, a repair takes it back",
    Fate.RECREATED: "made again",
}
_METHODS = {"ssa": "server-side", "csa": "client-side"}


def table(found: Drift, console: "Console") -> None:
    """For people."""
    for release, method in found.methods.items():
        drifted = [each for each in found.objects if each.release == release]
        console.print(
            words(f"`{release}`: " + (f"{counted(len(drifted), 'object')} drifted" if drifted else "as deployed"))
        )
        for each in drifted:
            for style, text in lines(each):
                console.print(f"  {text}", style=_STYLES[style] or None, markup=False, highlight=False, soft_wrap=True)
        if drifted:
            console.print(f"  (the next upgrade applies {_METHODS[method]})", style="dim")
    for note in found.notes:
        problem(console, note)
    if found.unread:
        problem(
            console,
            f"{counted(len(found.unread), 'object')} compared by the owners of their fields only: {found.unread[0]}",
            "a user who may patch these objects sees all; nothing is written by it"
            if "forbidden" in found.unread[0]
            else "",
        )
    console.print("")
    if not found.any and found.unread:
        problem(console, "no drift was found, and not everything could be compared")
        return
    if not found.any:
        console.print(words(f"{GOOD} no drift: every object is as it was deployed", "good"))
        return
    counts = ", ".join(f"{count} {fate}" for fate, count in found.fates.items() if count)
    problem(console, f"{counted(len(found.objects), 'object')} drifted; at the next upgrade: {counts}", _hint(found))


def _hint(found: Drift) -> str:
    if any(each.revertible for each in found.objects):
        return "ddhelm drift --revert sets back what the manifests set"
    if any(not field.admission and field.change is not Change.ADDED for each in found.objects for field in each.fields):
        return "kubectl edit sets it back: client-side, Helm writes such a kind only where the chart changes it"
    if any(field.undo for each in found.objects for field in each.fields):
        return "what was added stays until it is removed: see the commands above"
    return "kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies names what may write it, at every write"


def lines(each: ObjectDrift) -> Iterator[diff.Line]:
    """One object that somebody changed: each field, by whom, and what becomes of it."""
    if each.missing:
        yield "remove", f"- {each.ref} is gone (who deleted it is in the API server's audit log only); made again"
        return
    yield "change", f"~ {each.ref}"
    for field in each.fields:
        if field.change is Change.OWNED:
            yield "change", f"    ~ {tree.show(field.path)}: as deployed, but no longer helm's alone"
            yield "dim", f"      owned by {who(field)}; {_FATES[field.fate]}"
            if field.undo:
                yield "dim", f"      to remove it: {pasted.hint(field.undo)}"
            continue
        change = tree.Change(field.path, _OPS[field.change], field.deployed, field.live)  # type: ignore[arg-type]
        for style, text in diff.fields([change]):
            yield style, f"    {text}"
        yield "dim", f"      by {who(field)}; {_FATES[field.fate]}"
        if field.undo:
            yield "dim", f"      to remove it: {pasted.hint(field.undo)}"


def who(field: FieldDrift) -> str:
    """Who changed a field, as words."""
    if field.admission:
        return "an admission webhook or policy (nobody owns it)"
    if not field.writers:
        return "unknown (what was removed has no owner any more)"
    return ", ".join(_writer(each) for each in field.writers)


def _writer(writer: Writer) -> str:
    scaled = writer.manager == AUTOSCALER and writer.subresource == "scale"
    about = ", a HorizontalPodAutoscaler that sets it again after every change" if scaled else ""
    return f"{writer}{about} ({writer.operation}{', ' if writer.time else ''}{writer.time})"


def json(found: Drift) -> Tree:
    """For programs: kind ``Drift``."""
    return envelope.wrap(
        "Drift",
        {
            "drift": found.any,
            "releases": [{"name": name, "nextUpgrade": _METHODS[method]} for name, method in found.methods.items()],
            "objects": [object_json(each) for each in found.objects],
            "unread": list(found.unread),
            "notes": list(found.notes),
        },
    )


def object_json(each: ObjectDrift) -> Tree:
    """One object of a document."""
    return {
        "release": each.release,
        "apiVersion": each.ref.api_version,
        "kind": each.ref.kind,
        "namespace": each.ref.namespace,
        "name": each.ref.name,
        "missing": each.missing,
        "fields": [_field(field) for field in each.fields],
    }


def _field(field: FieldDrift) -> Tree:
    return {
        "path": tree.show(field.path),
        "change": str(field.change),
        "deployed": field.deployed,
        "live": field.live,
        "by": [
            {
                "manager": writer.manager,
                "operation": writer.operation,
                "subresource": writer.subresource,
                "time": writer.time,
            }
            for writer in field.writers
        ],
        "admission": field.admission,
        "nextUpgrade": str(field.fate),
        "toRemove": field.undo,
    }
