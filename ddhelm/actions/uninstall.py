"""Removes both releases, control plane first, and what would do harm when it stayed.

Does exactly what a prepared ``Removal`` says (see ``removal``), and tells what turned out otherwise. No wait is without
a bound: a finaliser without its controller would hold it for ever.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from ddhelm.actions import identity, leftovers, lock, revisions
from ddhelm.actions.leftovers import Leftover
from ddhelm.actions.removal import Kept, Removal, crowded, namespace_kept, prepare
from ddhelm.actions.watch import SYSTEM, Clock
from ddhelm.errors import DdhelmError, Interrupted, ReleaseError, Reported
from ddhelm.helm import BEYOND_TIMEOUT
from ddhelm.interrupts import interruptible, undisturbed
from ddhelm.pasting import typed

if TYPE_CHECKING:
    from ddhelm.helm import Helm
    from ddhelm.kubectl import Kubectl

__all__ = ["Finished", "Kept", "Removal", "Removed", "Started", "carry_out", "prepare"]

_NOT_REMOVED = 4
_AGAIN = 0.5
"""Seconds between two looks at what is going."""


class Started(Struct, frozen=True):
    """Told to the observer: something begins to be removed or waited for."""

    what: str


class Finished(Struct, frozen=True):
    """Told to the observer: it is gone."""

    what: str
    seconds: float


class Removed(Struct, frozen=True):
    """What went, what stayed, and what should have gone and did not (``problems``); ``failure``: why it broke off."""

    done: tuple[str, ...] = ()
    kept: tuple[Kept, ...] = ()
    problems: tuple[Kept, ...] = ()
    failure: Reported | None = None

    @property
    def exit_code(self) -> int:
        """0, 4 where something that should have gone is left, or that of the failure."""
        if self.failure is not None:
            return self.failure.exit_code
        return _NOT_REMOVED if self.problems else 0


def carry_out(
    removal: Removal,
    kubectl: "Kubectl",
    helm: "Helm",
    *,
    observer: Callable[[object], None] = lambda _event: None,
    clock: Clock = SYSTEM,
    timeout: float = 300,
    now: Callable[[], float] = time.time,
    lock_timeout: float = 0,
    broken_off: Callable[[Removed], None] = lambda _removed: None,
) -> Removed:
    """Remove what ``removal`` says. Each wait is bounded by ``timeout`` seconds.

    ``broken_off`` hears what was done and how it failed where that is raised after something was begun.
    Raises PlanStale where the cluster is another one, another run holds the lock or a release has moved, whatever
    helm's failure stands for, Interrupted; the details say what is gone already.
    """
    identity.unchanged(kubectl, removal.uid)
    run = _Run(removal, kubectl, helm, observer, clock, timeout)
    try:
        with interruptible():
            held: AbstractContextManager[lock.Lock | None] = (
                nullcontext()
                if removal.terminating
                else lock.held(kubectl, removal.namespace, now=now, sleep=clock.sleep, wait=lock_timeout)
            )
            return _go(run, removal, held)
    except Interrupted as error:
        with undisturbed():
            details = run.state()
        ended: Reported = Interrupted(error.message, hint=_again(removal), anchor=error.anchor, details=details)
    except DdhelmError as error:
        ended = error.adding(gone) if (gone := run.so_far()) else error
    if run.begun:
        broken_off(replace(run.result(), failure=ended))
    raise ended


def _again(removal: Removal) -> str:
    """The command that goes on."""
    flags = (" --delete-secrets" if removal.secrets else "") + (
        " --delete-namespace" if removal.delete_namespace else ""
    )
    return f"ddhelm uninstall{flags}"


def _go(run: "_Run", removal: Removal, held: AbstractContextManager[lock.Lock | None]) -> Removed:
    if not removal.exists:
        run.unmoved()
        run.hooks()
        return run.result()
    with held as lease:
        if lease is not None:
            run.renew = lease.renew
        run.unmoved()
        run.releases()
        if run.gone(removal.pods, "Cluster Agent pods"):
            run.hooks()
        else:
            run.leave(removal.hooks)
        run.gone(removal.agents, "agent pods")
        run.delete([each for each in removal.secrets if not _is_lock(each)])
    run.delete([each for each in removal.secrets if _is_lock(each)])
    if removal.delete_namespace:
        run.namespace()
    return run.result()


class _Run:
    """One uninstall as it goes: what is done, what turned out otherwise."""

    def __init__(
        self,
        removal: Removal,
        kubectl: "Kubectl",
        helm: "Helm",
        observer: Callable[[object], None],
        clock: Clock,
        timeout: float,
    ) -> None:
        self._removal, self._kubectl, self._helm = removal, kubectl, helm
        self._observer, self._clock, self._timeout = observer, clock, timeout
        self._done: list[str] = []
        self._kept = list(removal.kept)
        self._problems: list[Kept] = []
        self._going = self._release = ""
        self.begun = False
        """Whether anything is gone, or may be."""
        self.renew: Callable[[float], None] = lambda _work: None

    def result(self) -> Removed:
        return Removed(tuple(self._done), tuple(self._kept), tuple(self._problems))

    def unmoved(self) -> None:
        standing = {going.release.name: going.revision for going in self._removal.releases}
        revisions.unmoved(self._kubectl, {each.name: standing.get(each.name) for each in self._removal.pair})

    def releases(self) -> None:
        for going in self._removal.releases:
            self._release = name = going.release.name
            try:
                self.renew(self._timeout + BEYOND_TIMEOUT)
                self.delete(going.strays)  # first: with the release Helm deletes the record that tells of them
                self._timed(f"release `{name}`", lambda name=name: self._uninstall(name))  # type: ignore[misc]
            except DdhelmError as error:
                raise self._half_way(error, name) from None
            self._release = ""

    def _uninstall(self, name: str) -> None:
        self._helm.uninstall(name, timeout=int(self._timeout), wait=True)
        # told to ignore a release that is not there, helm (3.22, 4.3) takes a history that it could not read for none
        if self._kubectl.heads([name]):
            raise ReleaseError(
                f"`helm uninstall {name}` reported no error, and the release stands as before",
                anchor="uninstall-did-nothing",
            )

    def _half_way(self, error: DdhelmError, name: str) -> DdhelmError:
        return error.adding((self._left(name),), hint=error.hint or _again(self._removal))

    def _left(self, name: str) -> str:
        """Where a release stands whose uninstall did not end well, as Helm's own record tells it."""
        try:
            head = self._kubectl.heads([name]).get(name)
        except Reported as error:
            return f"where release `{name}` stands could not be read: {error.message}"
        if head is None:
            return f"release `{name}` is gone"
        return f"release `{name}` is left at revision {head.revision}, `{head.status}`"

    def so_far(self) -> tuple[str, ...]:
        """What is gone already, one line each."""
        return tuple(f"gone already: {each}" for each in self._done)

    def state(self) -> tuple[str, ...]:
        """Where an interrupted run left what it was at, and what is gone already."""
        if self._release:
            return self._left(self._release), *self.so_far()
        return (f"not waited for to the end: {self._going}",) * bool(self._going) + self.so_far()

    def gone(self, selectors: Sequence[str], what: str) -> bool:
        """Wait until no pod of the selectors is left; False, and a problem noted, when time runs out.

        Where pods may not be listed, that is the problem, and nothing is waited for: what makes them is gone, as helm
        has waited for that.
        """
        where = self._removal.namespace
        paths = [f"/api/v1/namespaces/{where}/pods?labelSelector={quote(each, safe='')}&limit=1" for each in selectors]
        began = self._clock.now()
        while paths:
            answers = self._kubectl.raws(paths)
            failure = next((answer.failure for answer in answers if answer.failure is not None), None)
            if failure is None and not any(answer.tree().get("items") for answer in answers):
                break
            forbidden = failure is not None and failure.anchor == "forbidden"
            if forbidden or self._clock.now() - began >= self._timeout:
                why = f"whether they are gone is not known: {failure.message}" if failure is not None else ""
                command = typed("kubectl -n {where} get pods -l {selector}", where=where, selector=selectors[0])
                self._problems.append(Kept(what, why or f"still there after {self._timeout:.0f} s", command))
                return forbidden
            self.renew(0)
            self._clock.sleep(_AGAIN)
        return True

    def hooks(self) -> None:
        """Delete the webhook configurations and APIServices that are there now: agents may have made them again."""
        found, unread = leftovers.hooks(self._kubectl, self._removal.namespace, self._removal.services)
        self._problems += [Kept(each.plural, f"ours may be left: {each.why}", each.command) for each in unread]
        self.delete(tuple(dict.fromkeys((*self._removal.hooks, *found))))

    def leave(self, hooks: Sequence[Leftover]) -> None:
        """Name those that a living Cluster Agent would make again; no record tells another run of their Services."""
        why = "left while its Cluster Agent may run; without one it may block the creation of pods"
        self._problems += [Kept(str(each), why, each.command) for each in hooks]

    def delete(self, objects: Sequence[Leftover]) -> None:
        for each in objects:
            self.begun = True
            try:
                if self._kubectl.delete(each.kind, each.name, namespace=each.namespace):
                    self._finished(str(each), 0)
            except DdhelmError as error:
                self._problems.append(Kept(str(each), error.message, each.command))

    def namespace(self) -> None:
        name = self._removal.namespace
        releases = self._removal.pair
        known = leftovers.of_agents(self._kubectl, name, self._removal.fullnames)
        others = leftovers.strangers(self._kubectl, name, releases, known)
        if others:
            self._kept.append(namespace_kept(name, crowded(others)))
            return
        self._timed(f"namespace `{name}`", lambda: self._delete_namespace(name))

    def _delete_namespace(self, name: str) -> None:
        self._kubectl.delete("namespace", name, namespace="")
        began = self._clock.now()
        while (found := self._kubectl.tree(f"/api/v1/namespaces/{name}")) is not None:
            if self._clock.now() - began >= self._timeout:
                said = [str(each.get("message")) for each in (found.get("status") or {}).get("conditions") or ()]
                self._problems.append(
                    Kept(
                        f"namespace `{name}`", "; ".join(said) or "still there", f"kubectl get namespace {name} -o yaml"
                    )
                )
                return
            self._clock.sleep(_AGAIN)

    def _timed(self, what: str, do: Callable[[], None]) -> None:
        self._going, self.begun = what, True
        self._observer(Started(what))
        began, problems = self._clock.now(), len(self._problems)
        do()
        self._going = ""
        if len(self._problems) == problems:
            self._finished(what, self._clock.now() - began)

    def _finished(self, what: str, seconds: float) -> None:
        self._done.append(what)
        self._observer(Finished(what, seconds))


def _is_lock(each: Leftover) -> bool:
    return each.kind.startswith("lease.")
