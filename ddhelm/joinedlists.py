"""Lists that the user and ddhelm both fill: Helm replaces a list whole, so that ours would be lost without a word.

They are those without which a promise breaks: what the control-plane agents tolerate, what ``--tolerate`` asks for,
and the files that check files name. Every other list of the user's replaces ours, as Helm has it.
"""

from collections.abc import Iterable, Mapping
from posixpath import normpath
from typing import Any

from ddhelm.release import Role
from ddhelm.settings import UserLayers
from ddhelm.tree import Path, Tree, get, merge

TOLERATIONS: Path = ("agents", "tolerations")
VOLUMES: Path = ("agents", "volumes")
MOUNTS: Path = ("agents", "volumeMounts")
_CONFD: Path = ("datadog", "confd")
_ABSENT = object()


def joined(role: Role, below: Tree, user: UserLayers, tolerate: Iterable[Tree] = ()) -> Mapping[Path, list[Any]]:
    """The lists of one release that hold entries of both, the user's first, where that differs from the user's alone.

    ``below`` are the values under the user's, ``tolerate`` the tolerations that a flag asks for. What the user says of
    the control-plane agents' tolerations for that release alone stays as it is. Where a list of the user's is none,
    nothing is joined: what is wrong with it shall be seen.
    """
    given = user.of(role)
    found = _files(below, given)
    if role is Role.WORKER:
        found |= _tolerations(given, list(tolerate))
    elif get(user.control_plane, TOLERATIONS, _ABSENT) is _ABSENT:
        found |= _tolerations(given, get(below, TOLERATIONS) or [])
    alone = merge(below, given)
    return {path: items for path, items in found.items() if items != get(alone, path)}


def _tolerations(given: Tree, ours: list[Tree]) -> dict[Path, list[Any]]:
    theirs = _list(given, TOLERATIONS)
    if theirs is None or not ours:
        return {}
    return {TOLERATIONS: [*theirs, *(one for one in ours if one not in theirs)]}


def _files(below: Tree, given: Tree) -> dict[Path, list[Any]]:
    """Volumes by their names and mounts by their paths; a file that only a replaced check file named is left out."""
    volumes, mounts = _list(given, VOLUMES), _list(given, MOUNTS)
    if (volumes is None and mounts is None) or not get(below, MOUNTS):
        return {}
    if any(isinstance(get(given, path), dict | str | int) for path in (VOLUMES, MOUNTS)):
        return {}
    before, after = (list(map(str, (get(tree, _CONFD) or {}).values())) for tree in (below, merge(below, given)))
    taken = {normpath(str(mount.get("mountPath"))) for mount in _maps(mounts)}
    kept = [
        mount
        for mount in get(below, MOUNTS)
        if normpath(mount["mountPath"]) not in taken
        and (_named(mount["mountPath"], after) or not _named(mount["mountPath"], before))
    ]
    wanted = {mount.get("name") for mount in (*_maps(mounts), *kept)} - {v.get("name") for v in _maps(volumes)}
    ours = [volume for volume in get(below, VOLUMES) or () if volume["name"] in wanted]
    return {VOLUMES: [*(volumes or ()), *ours], MOUNTS: [*(mounts or ()), *kept]}


def _named(path: str, texts: Iterable[str]) -> bool:
    return any(path in text for text in texts)


def _list(tree: Tree, path: Path) -> list[Any] | None:
    """The list at ``path``; null is the empty one, as the chart takes it. None: there is none."""
    found = get(tree, path, _ABSENT)
    return [] if found is None else found if isinstance(found, list) else None


def _maps(items: list[Any] | None) -> list[Tree]:
    return [item for item in items or () if isinstance(item, dict)]
