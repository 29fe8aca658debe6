"""Does what a plan says, in its order, and tells what happened; the only writer of releases.

Namespace, lock, full forecast, Secret, then helm step by step, then both roll-outs are watched. Helm runs without
``--wait`` and without its own rollback: it would wait for ten minutes without a word and then roll back to the
revision before, whatever its state. A release that fails or stalls is rolled back to the revision recorded before.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import record
from ddhelm.actions import identity, live, lock, look, revisions, watch
from ddhelm.actions.events import StepDone, StepStarted, Warned, Wrote
from ddhelm.actions.keys import Key
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.request import Request
from ddhelm.actions.session import Observer, Session, silent
from ddhelm.actions.watch import Watched
from ddhelm.errors import (
    ClusterError,
    DdhelmError,
    Interrupted,
    PlanStale,
    PreflightFailed,
    Reported,
    ToolError,
)
from ddhelm.helm import BEYOND_TIMEOUT
from ddhelm.interrupts import interruptible, undisturbed
from ddhelm.pasting import typed
from ddhelm.plan import Deployed, Step, StepKind
from ddhelm.record import Record
from ddhelm.release import CREATED_BY_LABEL, MANAGED_BY, OURS, SECRET, Release
from ddhelm.rollout import Stalled
from ddhelm.steps import server_side

HELM_TIMEOUT = 300
"""Seconds that one helm call may take; it does not wait for pods."""
_BUSY = "release-busy"
"""What helm says of a release that another one is at work on: it has written nothing then."""
_CALL = HELM_TIMEOUT + BEYOND_TIMEOUT
"""Seconds after which a helm call has ended, whatever it does: so long must the lock last without a renewal."""


class Outcome(Struct, frozen=True):
    """What happened. ``undone`` names releases that were rolled back; ``failure`` is None where all went well."""

    done: tuple[StepDone, ...] = ()
    wrote: tuple[str, ...] = ()
    watched: Watched | None = None
    undone: Mapping[str, int] = {}
    failure: Reported | None = None


class How(Struct, frozen=True):
    """How a plan is carried out; times in seconds, ``timeout`` None for the default by number of nodes."""

    timeout: float | None = None
    lock_timeout: float = 0
    rollback: bool = True
    clock: watch.Clock = watch.SYSTEM
    now: Callable[[], float] = time.time


_HOW = How()
_WAITED = 10
"""Seconds that an API server may take for each answer when somebody waits for the end of an interrupted run."""


def carry_out(
    session: Session,
    prepared: Prepared,
    request: Request,
    keys: Mapping[str, Key],
    how: How = _HOW,
    observer: Observer = silent,
) -> Outcome:
    """Carry a plan out; ``keys`` holds the secret texts for ``plan.writes``.

    Raises before the first step where the cluster is another one, the lock is held, or a write or the forecast fails;
    what was written by then (namespace, Secret) is in the error's details. Afterwards the outcome tells what failed,
    and what was done before.
    """
    wrote: list[str] = []
    identity.unchanged(session.kubectl, prepared.cluster.facts.uid)
    try:
        with interruptible():
            _namespace(session, prepared, wrote, observer)
        with (
            interruptible(),
            lock.held(
                session.kubectl, session.access.namespace, now=how.now, sleep=how.clock.sleep, wait=how.lock_timeout
            ) as lease,
        ):
            _unmoved(session, prepared, _names(prepared))
            if prepared.plan.creates_namespace:
                _forecast(session, prepared, observer)
            _secret(session, keys, wrote, observer)
            return _steps(session, prepared, request, how, observer, lease, wrote)
    except Interrupted as error:
        with undisturbed():  # a ^C more must not hide in which state the releases were left
            details = (*error.details, *_left(wrote), *_standing(session, prepared))
        raise Interrupted(error.message, hint="ddhelm status", anchor="interrupted", details=details) from None
    except DdhelmError as error:
        if not wrote:
            raise
        raise error.adding(_left(wrote)) from None


def wait(session: Session, prepared: Prepared, how: How, observer: Observer) -> Outcome:
    """Watch what a plan without steps finds unfinished, as a run that stalled has left it; nothing is undone."""
    targets = look.targets({one.release.name: one.manifest for one in prepared.desired})
    try:
        watched = _watch(session, prepared, targets, how, observer)
    except DdhelmError as error:
        return Outcome(failure=error)
    return Outcome(watched=watched, failure=None if watched.ok else watched.failure())


def _unmoved(session: Session, prepared: Prepared, names: Iterable[str]) -> None:
    """Raises PlanStale where one of the releases was changed since the plan; the lock stops no helm but ours."""
    planned = revisions.newest(prepared.cluster.records)  # of an uninstalled release too, where its history was kept
    revisions.unmoved(session.kubectl, {name: planned[name] for name in names})


def _names(prepared: Prepared) -> tuple[str, ...]:
    return tuple(dict.fromkeys(step.release.name for step in prepared.plan.steps))


def _standing(session: Session, prepared: Prepared) -> tuple[str, ...]:
    """Where each release stands after an interruption, one line each, as Helm's own records tell it."""
    names = _names(prepared)
    try:
        heads = session.kubectl_within(_WAITED).heads(names)
    except Reported as error:
        return (f"where the releases stand could not be read: {error.message}",)
    lines = []
    for name in names:
        if name not in heads:
            lines.append(f"release `{name}` does not exist")
            continue
        head = heads[name]
        left = "" if head.status == "deployed" else "; the same change, planned and carried out again, sets it right"
        lines.append(f"release `{name}`: revision {head.revision} is `{head.status}`{left}")
    return tuple(lines)


def _namespace(session: Session, prepared: Prepared, wrote: list[str], observer: Observer) -> None:
    name = session.access.namespace
    if prepared.plan.creates_namespace:
        labels = {CREATED_BY_LABEL: "ddhelm", "pod-security.kubernetes.io/enforce": "privileged"}
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        if session.kubectl.create(made) is None:
            raise PlanStale(
                f"namespace `{name}` was made by somebody else since the plan was made",
                hint="run it again and read the plan",
                anchor="plan-stale",
            )
        wrote.append(f"namespace `{name}` was made")
    elif prepared.plan.labels_namespace:
        session.kubectl.label("namespace", name, prepared.plan.labels_namespace, namespace="")
        wrote.append(f"namespace `{name}` was labelled `pod-security.kubernetes.io/enforce=privileged`")
    else:
        return
    observer(Wrote(wrote[-1]))


def _forecast(session: Session, prepared: Prepared, observer: Observer) -> None:
    """Ask the API server about every object, now that the namespace exists; raises PreflightFailed on a finding."""
    from ddhelm.actions import judging  # here: loaded while helm renders, see `prepare`

    found, notices = judging.once_more(session, prepared)
    if found.refusals:
        objects = "1 object" if len(found.refusals) == 1 else f"{len(found.refusals)} objects"
        raise PreflightFailed(
            f"the API server would refuse {objects}; no release was touched",
            hint="ddhelm check",
            anchor="forecast-refused",
            details=live.unforeseen(found.refusals),
        )
    for line in notices:
        if line not in prepared.plan.notices:
            observer(Warned(line))


def _secret(session: Session, keys: Mapping[str, Key], wrote: list[str], observer: Observer) -> None:
    for name, key in keys.items():
        session.kubectl.write_secret(SECRET, {name: key.reveal()}, labels={MANAGED_BY: OURS})
        wrote.append(f"Secret `{SECRET}` was given `{name}`")
        observer(Wrote(wrote[-1]))


def _steps(
    session: Session,
    prepared: Prepared,
    request: Request,
    how: How,
    observer: Observer,
    lease: lock.Lock,
    wrote: Sequence[str],
) -> Outcome:
    outcome = Outcome(wrote=tuple(wrote))
    manifests = {one.release.name: one.manifest for one in prepared.desired}
    targets = look.targets(manifests)
    since = look.baseline(session.kubectl, targets)
    for step in prepared.plan.steps:
        if step.kind is StepKind.NOTHING:
            continue
        observer(StepStarted(step))
        begun = how.now()
        name = step.release.name
        try:
            lease.renew(_CALL)
            if outcome.done and name not in _touched(outcome):  # minutes may have gone by at the other release
                _unmoved(session, prepared, [name])
        except DdhelmError as error:  # whoever has the lock or the release now may be at work: nothing more is touched
            return _undo(session, prepared, (), replace(outcome, failure=error), how, observer, lease)
        try:
            _run(session, prepared, request, step, observer)
            done = StepDone(step, _revision(session, step.release), how.now() - begun)
        except DdhelmError as error:
            blamed = () if error.anchor == _BUSY else (name,)
            return _undo(session, prepared, blamed, replace(outcome, failure=error), how, observer, lease, step)
        observer(done)
        outcome = replace(outcome, done=(*outcome.done, done))

    def watching(event: object) -> None:
        with suppress(ClusterError, ToolError):  # how long the API server may be silent is the watch's to say
            lease.renew()
        observer(event)

    try:
        watched = _watch(session, prepared, targets, how, watching, since)
    except DdhelmError as error:
        return _undo(session, prepared, (), replace(outcome, failure=error), how, observer, lease)
    outcome = replace(outcome, watched=watched)
    if watched.ok:
        return outcome
    stalled = [name for name in _stalled(watched, targets) if name in _touched(outcome)]
    return _undo(session, prepared, stalled, replace(outcome, failure=watched.failure()), how, observer, lease)


def _touched(outcome: Outcome) -> tuple[str, ...]:
    return tuple(dict.fromkeys(done.step.release.name for done in outcome.done))


def _watch(
    session: Session,
    prepared: Prepared,
    targets: Sequence[look.Target],
    how: How,
    observer: Observer,
    since: look.Baseline | None = None,
) -> Watched:
    return watch.watch(
        session.kubectl,
        targets,
        deadlines=watch.Deadlines(how.timeout),
        observer=observer,
        clock=how.clock,
        since=since,
        checks=_checks(prepared),
    )


def _stalled(watched: Watched, targets: Sequence[look.Target]) -> tuple[str, ...]:
    """The releases to blame: of the workloads that stalled, or, where time ran out, of all that are behind."""
    late = {each.name for each in watched.workloads if not each.settled}
    if isinstance(watched.progress, Stalled):
        late = set(watched.progress.blamed) or late
    return tuple(dict.fromkeys(target.release for target in targets if target.name in late))


def _run(session: Session, prepared: Prepared, request: Request, step: Step, observer: Observer) -> None:
    state = prepared.deployed.get(step.release.name)
    applies = server_side(session.helm.major, state)
    force = applies and (request.force_conflicts or step.kind is StepKind.REPAIR)
    if step.target is not None:
        session.helm.rollback(step.release.name, step.target, timeout=HELM_TIMEOUT, server_side=applies)
    elif step.kind is StepKind.UNINSTALL:
        session.helm.uninstall(step.release.name, timeout=HELM_TIMEOUT)
    else:
        assert step.values is not None
        session.helm.upgrade(
            step.release.name,
            prepared.chart.path,
            step.values,
            timeout=HELM_TIMEOUT,
            force_conflicts=force,
            description=_description(step),
            on_warning=lambda line: observer(Warned(line)),
        )


def _undo(
    session: Session,
    prepared: Prepared,
    names: Sequence[str],
    outcome: Outcome,
    how: How,
    observer: Observer,
    lease: lock.Lock,
    failed: Step | None = None,
) -> Outcome:
    """Roll releases back to the revision recorded before; the rest is left, with the lines that would undo it.

    Only what this run made of them, its steps done and the one that ``failed``, is undone.
    """
    assert outcome.failure is not None
    details: list[str] = []
    undone: dict[str, int] = {}
    for name in names:
        before = prepared.deployed.get(name)
        if before is None or before.base is None:
            why = "no earlier revision was deployed" if before and before.head.revision > 1 else "a first install"
            if before and before.head.status.startswith("uninstall"):
                why = "it was uninstalled before"
            details.append(
                f"release `{name}` is kept as it is ({why}): mend the cause and run `ddhelm onboard` again, "
                f"or remove it with `{_removing(name, session, prepared, outcome)}`"
            )
        elif not how.rollback:
            details.append(f"release `{name}` is kept as it is (--no-rollback): `helm rollback {_line(before)}`")
        else:
            try:
                left = _roll_back(session, before, outcome.done, failed, observer, lease)
            except Reported as error:
                left = f"could not be rolled back ({error.message}): `helm rollback {_line(before)}`"
            if not left:
                undone[name] = before.base
            details.append(f"release `{name}` {left or f'was rolled back to revision {before.base}'}")
    for name in _touched(outcome):
        state = prepared.deployed.get(name)
        if name not in names:
            back = f"helm rollback {_line(state)}" if state and state.base else ""
            how_to = back or _removing(name, session, prepared, outcome)
            details.append(f"release `{name}` was changed and left as it is; to undo it: `{how_to}`")
    return replace(outcome, undone=undone, failure=outcome.failure.adding(details))


def _removing(name: str, session: Session, prepared: Prepared, outcome: Outcome) -> str:
    """The command that removes a release and no other one; of both, ddhelm's own leaves less behind than helm's."""
    if {*prepared.deployed, *_touched(outcome)} <= {name}:
        return "ddhelm uninstall"
    return typed("helm uninstall {name} --namespace {namespace}", name=name, namespace=session.access.namespace)


def _roll_back(
    session: Session,
    before: Deployed,
    done: Sequence[StepDone],
    failed: Step | None,
    observer: Observer,
    lease: lock.Lock,
) -> str:
    """Roll a release back, or tell how it is left and why; helm itself would run over anybody's revision (3.22, 4.3).

    Raises what reading it or helm fails with.
    """
    assert before.base is not None
    name = before.release.name
    row = record.head(session.kubectl.release_rows(), name)
    if row is not None and row.revision == before.head.revision:
        return f"stands as it did, at revision {row.revision}: helm had made none yet"
    head = session.kubectl.record(name, row.revision) if row is not None else None
    if head is None:
        return "is gone: somebody else removed it"
    if not _ours(head, before, [each for each in done if each.step.release.name == name], failed):
        return f"is left as it is: revision {head.revision} is somebody else's, `helm history {name}` shows it"
    observer(StepStarted(Step(StepKind.ROLLBACK, before.release, "it failed", target=before.base)))
    lease.renew(_CALL)
    applies = server_side(session.helm.major, before)
    session.helm.rollback(name, before.base, timeout=HELM_TIMEOUT, server_side=applies)
    return ""


def _ours(head: Record, before: Deployed, done: Sequence[StepDone], failed: Step | None) -> bool:
    """Whether the newest revision of a release is one that this run made."""
    if any(each.revision in {head.revision, None} and _made(head, each.step) for each in done):
        return True
    last = max([before.head.revision, *(each.revision or 0 for each in done)])
    tries = 1 if failed is None or failed.target is None else 2  # see Helm.rollback
    return failed is not None and last < head.revision <= last + tries and _made(head, failed)


def _made(head: Record, step: Step) -> bool:
    """Whether a revision is what a step makes; of one that fails or is cut off, helm keeps the values, not our word."""
    if step.target is not None:
        return head.description.startswith("Rollback")
    return head.description == _description(step) or head.config == step.values


def _description(step: Step) -> str:
    return f"ddhelm {step.kind}"


def _line(before: Deployed) -> str:
    return f"{before.release.name} {before.base}"


def _revision(session: Session, release: Release) -> int | None:
    """The newest revision; None where it cannot be read, which does not make the step that made it a failure."""
    try:
        rows = [row for row in session.kubectl.release_rows() if row.name == release.name]
    except (ClusterError, ToolError):
        return None
    return max((row.revision for row in rows), default=None)


def _checks(prepared: Prepared) -> Mapping[str, str]:
    """Host path to the check that needs it, so that a missing file can name the switch that drops the check."""
    return {file.path: file.component for file in prepared.profile.host_files if file.component}


def _left(wrote: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"done before: {line}" for line in wrote)
