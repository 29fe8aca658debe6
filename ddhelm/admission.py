"""What a platform's own admission writes into every object of a kind: no drift, and nothing to repair.

A distribution's file lists such fields (``admission``). One that somebody wrote on purpose stays theirs: a field counts
as the platform's only while nobody but helm owns it.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ddhelm.managedfields import Entry
from ddhelm.tree import Path

Pattern = tuple[str, ...]
"""The steps of a path as globs; what lies below it is meant too."""
_HELM = "helm"


def expected(path: Path, patterns: Sequence[Pattern], entries: Iterable[Entry]) -> bool:
    """Whether the field at ``path`` is the platform's: one of ``patterns``, and nobody but helm owns it."""
    if not any(_fits(path, pattern) for pattern in patterns):
        return False
    return not any(entry.writer.manager != _HELM and entry.owns(path) for entry in entries)


def _fits(path: Path, pattern: Pattern) -> bool:
    return len(path) >= len(pattern) and all(
        fnmatchcase(str(step), glob) for step, glob in zip(path, pattern, strict=False)
    )
