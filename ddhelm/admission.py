"""What admission writes into objects on their way in: no drift by itself, and nothing to repair.

A distribution's file lists such fields (``admission``). One that somebody wrote on purpose stays theirs: a field counts
as the platform's only while nobody but helm owns it.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ddhelm.managedfields import Entry, lookup
from ddhelm.tree import Path, Tree

Pattern = tuple[str, ...]
"""The steps of a path as globs; what lies below it is meant too."""
_HELM = "helm"


def expected(path: Path, patterns: Sequence[Pattern], entries: Iterable[Entry]) -> bool:
    """Whether the field at ``path`` is the platform's: one of ``patterns``, and nobody but helm owns it."""
    if not any(_fits(path, pattern) for pattern in patterns):
        return False
    return not any(entry.writer.manager != _HELM and entry.owns(path) for entry in entries)


def in_passing(path: Path, wanted: Tree, live: Tree) -> bool:
    """Whether the next write alone would change the field at ``path``, because admission changes it on its way in.

    It stands as the manifest (``wanted``) has it, or is in neither: nobody has altered it. A webhook that came after
    the object is the usual reason.
    """
    if path[0] == "data" and wanted.get("stringData"):  # which the server lays into `data`
        return False
    return lookup(wanted, path) == lookup(live, path)


def _fits(path: Path, pattern: Pattern) -> bool:
    return len(path) >= len(pattern) and all(
        fnmatchcase(str(step), glob) for step, glob in zip(path, pattern, strict=False)
    )
