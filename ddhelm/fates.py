"""What the coming change makes of what others changed in the cluster: each such field is kept, overwritten or stops it.

``drift`` says what the *deployed* manifest, applied once more, would do; a plan has another manifest, which may itself
change the same field, give it up, or ask for what already stands there.
"""

from collections.abc import Iterable
from dataclasses import replace

from ddhelm.drift import HELM, Change, Fate, FieldDrift, Method, ObjectDrift, Standing, of_object
from ddhelm.managedfields import lookup
from ddhelm.tree import Tree


def coming(
    standing: Iterable[tuple[Standing, Tree]], method: Method, *, forced: bool = False
) -> tuple[ObjectDrift, ...]:
    """The objects that are not as deployed, with the fate of each field; nothing for those that are as deployed.

    ``standing`` gives each object with its body in the manifest to come, masked. ``method`` is how helm applies
    (server-side or client-side), ``forced`` whether it takes fields from other managers. Objects that are gone are
    left out: they are made again, which a plan shows by itself.
    """
    found = []
    for each, desired in standing:
        drifted = of_object(each, method)
        if drifted is not None and not drifted.missing:
            fields = tuple(_coming(one, desired, method, forced=forced) for one in drifted.fields)
            found.append(replace(drifted, fields=fields))
    return tuple(found)


def _coming(field: FieldDrift, desired: Tree, method: Method, *, forced: bool) -> FieldDrift:
    if field.admission:
        return field
    wanted, value = lookup(desired, field.path)
    if wanted and value == field.live:
        return replace(field, fate=Fate.KEPT, undo="")
    if field.change is Change.ADDED and not wanted:
        return field
    others = any(writer.manager != HELM for writer in field.writers)
    if not wanted and field.change is not Change.ADDED:
        # Given up by the chart: the merge of Helm 3 removes it, server-side apply leaves it to its other owner.
        return replace(field, fate=Fate.KEPT if method == "ssa" and others else Fate.OVERWRITTEN)
    if method == "ssa" and others and not forced:
        return replace(field, fate=Fate.CONFLICT, undo="")
    return replace(field, fate=Fate.OVERWRITTEN, undo="")
