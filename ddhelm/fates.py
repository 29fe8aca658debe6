"""What the coming change makes of what others changed in the cluster: each such field is kept, overwritten or stops it.

``drift`` says what the *deployed* manifest, applied once more, would do; a plan has another manifest, which may itself
change the same field, give it up, or ask for what already stands there.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from ddhelm.drift import HELM, Change, Fate, FieldDrift, Method, ObjectDrift, Standing, of_object, removal
from ddhelm.managedfields import STATUS, lookup
from ddhelm.tree import Path, Tree, diff


def coming(
    standing: Iterable[tuple[Standing, Tree]], method: Method, *, forced: bool = False
) -> tuple[ObjectDrift, ...]:
    """The objects that others changed or took over, with the fate of each field; nothing for the rest.

    ``standing`` gives each object with its body in the manifest to come, masked. ``method`` is how helm applies
    (server-side or client-side), ``forced`` whether it takes fields from other managers. Objects that are gone are
    left out: they are made again, which a plan shows by itself.
    """
    found = []
    for each, desired in standing:
        if each.live is None:
            continue
        drifted = of_object(each, method)
        fields = () if drifted is None else tuple(_coming(f, desired, method, forced=forced) for f in drifted.fields)
        if method == "ssa":
            fields += tuple(_taken(each, each.live, desired, fields, forced=forced))
        if fields:
            found.append(ObjectDrift(each.release, each.ref, fields=fields))
    return tuple(found)


def _taken(
    standing: Standing, live: Tree, desired: Tree, known: Iterable[FieldDrift], *, forced: bool
) -> Iterator[FieldDrift]:
    """Fields that stand as deployed and that others own too: server-side apply asks who owns them."""
    paths = [field.path for field in known]
    for change in diff(standing.deployed, desired):
        path = change.path
        stands, value = lookup(live, path)
        if not stands or change.op == "add" or any(_overlap(path, other) for other in paths):
            continue
        owners = (entry.writer for entry in standing.entries if entry.owns(path))
        others = tuple(dict.fromkeys(o for o in owners if o.manager != HELM and o.subresource != STATUS))
        if not others or (change.op == "replace" and value == change.new):
            continue
        fate, undo = Fate.OVERWRITTEN if forced else Fate.CONFLICT, ""
        if change.op == "remove":  # the other owner keeps it there
            fate, undo = Fate.KEPT, removal(standing.ref, path, live)
        yield FieldDrift(path, Change.OWNED, change.old, value, others, fate, undo=undo)


def _overlap(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _coming(field: FieldDrift, desired: Tree, method: Method, *, forced: bool) -> FieldDrift:
    if field.admission:
        return field
    wanted, value = lookup(desired, field.path)
    if wanted and value == field.live:
        return replace(field, fate=Fate.KEPT, undo="")
    unsent = field.fate is Fate.KEPT and wanted and value == field.deployed  # the two manifests say the same of it
    if unsent or (field.change is Change.ADDED and not wanted):
        return field
    others = any(writer.manager != HELM for writer in field.writers)
    if not wanted and field.change is not Change.ADDED:
        # Given up by the chart: the merge of Helm 3 removes it, server-side apply leaves it to its other owner.
        return replace(field, fate=Fate.KEPT if method == "ssa" and others else Fate.OVERWRITTEN)
    if method == "ssa" and others and not forced:
        return replace(field, fate=Fate.CONFLICT, undo="")
    return replace(field, fate=Fate.OVERWRITTEN, undo="")
