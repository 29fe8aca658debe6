"""Rotates a key: the new value into the Secret, then every pod that reads it is replaced and watched to the end.

Pods read a key once, when they start. The Secret therefore says what will be used, the workloads' restarts who uses it
already; both times are the API server's own. A run that broke off is finished by the next one, from these two alone.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from ddhelm import rollout
from ddhelm import settings as settings_
from ddhelm.actions import identity, lock, restart, revisions
from ddhelm.actions.carry_out import How
from ddhelm.actions.events import Wrote
from ddhelm.actions.keys import Key
from ddhelm.actions.restart import Running
from ddhelm.actions.session import Observer, Session, silent
from ddhelm.actions.watch import Polled, Watched
from ddhelm.errors import DdhelmError, Interrupted, PreflightFailed, Reported
from ddhelm.interrupts import interruptible
from ddhelm.keeper import keeper
from ddhelm.managedfields import changed
from ddhelm.release import MANAGED_BY, OURS, ROTATING, SECRET, TOKEN, Rotatable, rotating
from ddhelm.settings import SecretKey, Settings
from ddhelm.tree import Path
from ddhelm.workloads import Workload

_HOW = How()
_MARK: Path = ("metadata", "annotations", ROTATING)


class Rotation(Struct, frozen=True):
    """What a rotation would do.

    ``phases`` are restarted one after another; ``late`` have not been since the last change of the key.

    ``keeper`` says who keeps the Secret, empty for ddhelm alone; ``unfinished`` that an earlier rotation of this key
    broke off; ``uid`` is kube-system's, ``heads`` the newest revision of each release; ``open`` is the key, this one or
    another, that the Secret's mark names.
    """

    what: Rotatable
    secret: SecretKey
    settings: Settings
    phases: tuple[tuple[Running, ...], ...]
    late: tuple[Running, ...]
    keeper: str
    unfinished: bool
    uid: str
    heads: Mapping[str, int | None]
    open: Rotatable | None = None

    @property
    def readers(self) -> tuple[Running, ...]:
        """Every workload whose pods read the key."""
        return tuple(each for phase in self.phases for each in phase)

    @property
    def ours(self) -> bool:
        """Whether ddhelm may write the Secret."""
        return self.secret.name == SECRET and not self.keeper

    @property
    def window(self) -> tuple[int, int]:
        """About how many seconds all restarts take, least and most: rounds of ``maxUnavailable``, 15 to 60 s each."""
        rounds = sum(
            max(rollout.rounds(each.workload.desired, each.workload.max_unavailable) for each in phase)
            for phase in self.phases
        )
        return rounds * 15, rounds * rollout.SECONDS_A_ROUND


class Rotated(Struct, frozen=True):
    """How it ended: whether a new value was written, what was restarted, and how each phase's watch ended."""

    wrote: bool
    restarted: tuple[Running, ...]
    watched: tuple[Watched, ...]


def look(session: Session, what: Rotatable) -> Rotation:
    """How the key stands and who reads it; raises PreflightFailed where nobody does or there is no such Secret."""
    records = revisions.read(session, superseded=False)
    revisions.existing(session, records)
    settings = revisions.settings(records)
    secret = _secret(what, settings)
    readers = tuple(each for each in restart.running(session, records) if each.reads(secret.name, secret.key))
    metadata = session.kubectl.secret_metadata(secret.name)
    if not readers or metadata is None:
        problem = "is not there" if readers else "is read by no pod of the releases"
        raise PreflightFailed(
            f"key `{secret.key}` of Secret `{secret.name}`, the {what.words}, {problem}",
            hint="ddhelm onboard" if what is not Rotatable.APP_KEY else "ddhelm onboard --app-key-file FILE",
            anchor="nothing-to-rotate",
        )
    since = changed(metadata, ("data", secret.key))
    who = keeper(metadata)
    return Rotation(
        what,
        secret,
        settings,
        _phases(what, readers),
        restart.late(readers, since),
        who,
        rotating(metadata) == what and since >= changed(metadata, _MARK),
        identity.uid(session.kubectl),
        revisions.newest(records),
        rotating(metadata),
    )


def refuse_foreign(rotation: Rotation) -> None:
    """Raises PreflightFailed where the Secret is somebody else's: a value of ours would be lost or quarrelled over."""
    if not rotation.ours:
        who = f", which {rotation.keeper} keeps" if rotation.keeper else ", which is not ddhelm's"
        raise PreflightFailed(
            f"the {rotation.what.words} stands in Secret `{rotation.secret.name}`{who}: it is never written",
            hint=f"change it there, then: ddhelm rotate {rotation.what} --restart-only",
            anchor="key-kept-elsewhere",
        )


def refuse_second(rotation: Rotation) -> None:
    """Raises PreflightFailed while another key's rotation is open: the Secret has one mark, and it would be lost."""
    if rotation.ours:
        _refuse_open(rotation.what, rotation.open)


def _refuse_open(what: Rotatable, begun: Rotatable | None) -> None:
    if begun is not None and begun != what:
        raise PreflightFailed(
            f"the rotation of the {begun.words} has begun and not ended: no other key is rotated before that",
            hint=again(begun),
            anchor="rotation-open",
        )


def same(session: Session, rotation: Rotation, key: Key) -> bool:
    """Whether the Secret holds this very key already."""
    return session.kubectl.secret_equals(rotation.secret.name, rotation.secret.key, key.reveal()) is True


def carry_out(
    session: Session, rotation: Rotation, new: Key | None, how: How = _HOW, observer: Observer = silent
) -> Rotated:
    """Write ``new`` (None: the Secret stays as it is), restart who has not been since, watch all to the end.

    Raises before the first write where the lock is held, the cluster is another one, a release has moved since the look
    or a restart would do nothing;
    afterwards what happened so far is in the error's details.
    """
    progress = _Progress(rotation)
    try:
        with (
            interruptible(),
            lock.held(
                session.kubectl, session.access.namespace, now=how.now, sleep=how.clock.sleep, wait=how.lock_timeout
            ) as lease,
        ):
            restart.refuse(rotation.readers)
            identity.unchanged(session.kubectl, rotation.uid)
            revisions.unmoved(session.kubectl, rotation.heads)  # another run may have added one that reads the key
            if rotation.ours:  # another run may have begun since the look, which held no lock
                _refuse_open(rotation.what, rotating(session.kubectl.secret_metadata(rotation.secret.name) or {}))
            if new is None:
                progress.late = rotation.late
            else:
                _write(session, rotation, new, progress, observer)
            for phase in rotation.phases:
                marked = tuple(each for each in phase if each in progress.late)
                progress.restarting = True
                noting = progress.noting(observer)
                watched = restart.restart(session, marked, also=phase, lease=lease, how=how, observer=noting)
                progress.watched.append(watched)
                if not watched.ok:
                    raise watched.failure()
                progress.restarted += marked
            if rotation.ours:
                session.kubectl.annotate("secret", rotation.secret.name, {ROTATING: None})
    except Interrupted as error:
        _written_or_not(session, progress, new)
        raise Interrupted(error.message, hint=progress.hint, anchor="interrupted", details=progress.lines) from None
    except DdhelmError as error:
        _written_or_not(session, progress, new)
        if not progress.touched:
            raise
        then = (f"then: {error.hint}",) if error.hint else ()
        raise error.adding((*then, *progress.lines), hint=progress.hint) from None
    return Rotated(bool(progress.wrote), tuple(progress.restarted), tuple(progress.watched))


class _Progress:
    """What was done so far, for whoever has to be told that it broke off."""

    def __init__(self, rotation: Rotation) -> None:
        self.rotation = rotation
        self.wrote: bool | None = False
        """None while it is not known."""
        self.late = rotation.readers
        self.restarting = False
        self.restarted: list[Running] = []
        self.watched: list[Watched] = []
        self.seen: dict[tuple[str, str], Workload] = {}
        """Kind and name to the workload as it last showed after its restart."""

    def noting(self, observer: Observer) -> Observer:
        """The observer, behind one that remembers how far each workload is."""

        def noted(event: object) -> None:
            if isinstance(event, Polled):
                self.seen |= {(each.kind, each.name): each for each in event.reading.workloads}
            observer(event)

        return noted

    def _ready(self, each: Running) -> bool:
        """Whether each of its pods is known to have what the Secret holds."""
        seen = self.seen.get((each.target.kind, each.target.name))
        return seen.settled if seen else each not in self.late and each.workload.settled

    @property
    def touched(self) -> bool:
        return self.wrote is not False or self.restarting

    @property
    def hint(self) -> str:
        if not self.touched:
            return "nothing was changed"
        return f"when the cause is mended: {again(self.rotation.what)}"

    @property
    def lines(self) -> tuple[str, ...]:
        if not self.touched:
            return ()
        rotation = self.rotation
        done = [each.target.name for each in self.late if self._ready(each)]
        left = [each.target.name for each in rotation.readers if not self._ready(each)]
        secret = f"Secret `{rotation.secret.name}`"
        lines = [f"{secret} holds the new value"] if self.wrote else []
        lines += [f"{secret} may hold the new value already: that could not be read"] if self.wrote is None else []
        lines += [f"restarted and ready: {', '.join(done)}"] if done else []
        lines += [f"may still run with the old one: {', '.join(left)}"] if left else []
        old = "any of the earlier keys" if rotation.unfinished and self.wrote is not False else "the old key"
        return (*lines, *([f"do not revoke {old} yet"] if rotation.what is not Rotatable.TOKEN else []))


def _write(session: Session, rotation: Rotation, new: Key, progress: _Progress, observer: Observer) -> None:
    name, key = rotation.secret.name, rotation.secret.key
    observer(Wrote(f"Secret `{name}` gets a new `{key}`"))
    progress.wrote = None
    session.kubectl.annotate("secret", name, {ROTATING: str(rotation.what)})
    session.kubectl.write_secret(name, {key: new.reveal()}, labels={MANAGED_BY: OURS}, force=True)
    progress.wrote = True


def _written_or_not(session: Session, progress: _Progress, new: Key | None) -> None:
    """Find out what became of a write that did not end; where nothing was written, nothing is left of it."""
    if progress.wrote is not None or new is None:
        return
    name, key = progress.rotation.secret.name, progress.rotation.secret.key
    with suppress(Reported):
        progress.wrote = session.kubectl.secret_equals(name, key, new.reveal()) is True
        if not progress.wrote and progress.rotation.open is None:  # an earlier mark stands for what is still to end
            session.kubectl.annotate("secret", name, {ROTATING: None})


def _secret(what: Rotatable, settings: Settings) -> SecretKey:
    if what is Rotatable.API_KEY:
        return settings.api_key_secret
    if what is Rotatable.APP_KEY:
        return settings.app_key_secret or settings_.DEFAULT_APP_KEY_SECRET
    return SecretKey(SECRET, TOKEN)


def _phases(what: Rotatable, readers: Sequence[Running]) -> tuple[tuple[Running, ...], ...]:
    """A token's Cluster Agent goes first: agents that come after find one that knows it; keys need no order."""
    if what is not Rotatable.TOKEN:
        return (tuple(readers),)
    first = tuple(each for each in readers if each.cluster_agent)
    rest = tuple(each for each in readers if each not in first)
    return tuple(phase for phase in (first, rest) if phase)


def again(what: Rotatable) -> str:
    """The command that goes on where a rotation broke off."""
    return f"ddhelm rotate {what}{'' if what is Rotatable.TOKEN else ' --restart-only'}"


def behind(session: Session, what: Rotatable) -> Rotation | None:
    """The rotation that is due where pods started before the last change of a key; None where none did."""
    with suppress(DdhelmError):  # nobody reads it, or it cannot be read: there is nothing to say
        found = look(session, what)
        return found if found.late else None
    return None


def unfinished(session: Session) -> Rotatable | None:
    """The key whose rotation has begun and not ended; None also where the Secret may not be read."""
    with suppress(DdhelmError):
        return rotating(session.kubectl.secret_metadata(SECRET) or {})
    return None
