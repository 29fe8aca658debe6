"""Makes sense of what ``kubectl apply --server-side`` says about many objects at once.

kubectl names the objects that went well on stdout and complains on stderr without saying of which; but it goes through
them in order and complains once of each, so that the n-th complaint belongs to the n-th object that is missing on
stdout. Where the numbers do not agree, the object is asked about alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import conflicts as conflicts_
from ddhelm.conflicts import Conflict, Identity
from ddhelm.errors import DdhelmError, ReleaseError
from ddhelm.run import Completed
from ddhelm.tree import Tree

_COMPLAINT = re.compile(
    r'^(?:error: |Error from server|Apply failed with |unable to recognize |The \S+ ".*" is invalid)', re.MULTILINE
)
# said before the first object is sent, so out of order; but it names what it means
_UNKNOWN_KIND = re.compile(r'no matches for kind "([^"]+)" in version "([^"]+)"')


class Refusal(Struct, frozen=True):
    """An object that the API server does not take, and why (unknown field, forbidden, invalid, immutable …)."""

    object: Identity
    error: DdhelmError


class ApplyResult(Struct, frozen=True):
    """What a server-side apply came to; ``objects`` are as the server answered."""

    objects: tuple[Tree, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def __repr__(self) -> str:
        return f"ApplyResult({len(self.objects)} objects, {self.conflicts!r}, {self.refusals!r})"

    @property
    def ok(self) -> bool:
        """Whether all objects were (or would be) applied."""
        return not self.conflicts and not self.refusals

    def raise_first(self) -> None:
        """Raise the first refusal, or the conflicts as one ReleaseError."""
        for refusal in self.refusals:
            raise refusal.error
        if self.conflicts:
            raise ReleaseError(
                f"{len(self.conflicts)} fields were changed by somebody else",
                hint="--force-conflicts takes them back",
                anchor="field-conflict",
                details=[conflict.words() for conflict in self.conflicts],
            )


def identity(obj: Tree) -> Identity:
    """(group, kind, namespace, name) as the document itself says; no namespace stays ``""``."""
    metadata = obj.get("metadata") or {}
    group = str(obj.get("apiVersion") or "").rpartition("/")[0]
    return (group, str(obj.get("kind") or ""), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


class Attribution:
    """Collects complaints and the objects they belong to."""

    def __init__(self) -> None:
        self.conflicts: list[Conflict] = []
        self._failed: list[tuple[Identity, Completed]] = []

    def take(self, objects: Sequence[Tree], done: Completed) -> Sequence[Tree]:
        """Attribute the complaints of one run over ``objects``; those that must be asked about alone are returned."""
        if done.ok:
            return ()
        applied = {line.split(" ", 1)[0] for line in done.out.splitlines()}
        missing = [obj for obj in objects if _printed(obj) not in applied]
        if done.timed_out:
            return missing
        rest = []
        for text in complaints(done.err):
            unknown = _UNKNOWN_KIND.search(text)
            if not unknown:
                rest.append(text)
                continue
            for obj in [obj for obj in missing if (obj.get("kind"), obj.get("apiVersion")) == unknown.groups()]:
                missing.remove(obj)
                self.one(obj, replace(done, err=text))
        if len(rest) != len(missing):
            return missing
        for obj, text in zip(missing, rest, strict=True):
            self.one(obj, replace(done, err=text))
        return ()

    def one(self, obj: Tree, done: Completed) -> None:
        """Attribute the run over a single object."""
        if done.ok:
            return
        found = conflicts_.parse(done.err)
        self.conflicts.extend(replace(conflict, object=identity(obj)) for conflict in found)
        if not found:
            self._failed.append((identity(obj), done))

    def refusals(self, error: Callable[[Completed, str], DdhelmError]) -> Iterator[Refusal]:
        """All objects with complaints other than conflicts; ``error`` turns a run of kubectl's verb into an error."""
        return (Refusal(of, error(done, "apply")) for of, done in self._failed)


def complaints(text: str) -> Iterator[str]:
    """Kubectl's standard error, cut where each complaint begins."""
    starts = [found.start() for found in _COMPLAINT.finditer(text)]
    ends = [*starts[1:], len(text)][: len(starts)]
    for start, end in zip(starts, ends, strict=True):
        yield text[start:end].strip()


def _printed(obj: Tree) -> str:
    """The name that kubectl prints for an object: ``daemonset.apps/agent``, ``configmap/agent``."""
    group, kind, _, name = identity(obj)
    return f"{kind.lower()}{'.' + group if group else ''}/{name}"
