"""certs rotate: a new certificate for running agents: shown, asked for, written, rolled out, told."""

from collections.abc import Mapping

from ddhelm import flaggroups
from ddhelm.actions import certrotate, certs
from ddhelm.actions.carry_out import How
from ddhelm.actions.certrotate import Rotating
from ddhelm.actions.session import Session
from ddhelm.certificates import Pair
from ddhelm.commands import asking, opened, recording
from ddhelm.commands.certs import Files, Given
from ddhelm.errors import UsageError
from ddhelm.flaggroups import Options
from ddhelm.views import certs as view
from ddhelm.views import console, envelope, pasted
from ddhelm.views import rollout as rollout_view
from ddhelm.views.console import words

__all__ = ["Files", "Given", "how", "rotate"]


def how(timeout: str | None, lock_timeout: str | None) -> How:
    """How it is carried out; UsageError for a duration that is none."""
    return How(
        timeout=flaggroups.seconds(timeout, "--timeout"),
        lock_timeout=flaggroups.seconds(lock_timeout, "--lock-timeout") or 0,
    )


def rotate(
    options: Options,
    given: Given,
    files: Files,
    how: How,
    output: str,
    *,
    restart_only: bool,
    new_ca: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """The whole job; raises what stopped it."""
    from_ca = given.ca_cert is not None or given.ca_key is not None
    if restart_only + from_ca + files.named != 1:
        raise UsageError(
            "say where the new certificate comes from",
            hint="--ca-cert FILE --ca-key FILE, or --dir DIR, or --restart-only for a Secret that has it already",
            anchor="certs-flags",
        )
    if from_ca:
        _ = given.authority, given.wanted  # mistakes of the command line are said before a cluster is asked
    if not (yes or dry_run):
        asking.needed("restart agents", "the same with --dry-run shows what happens; with --yes it goes on")
    session = opened.session(options)
    found = certrotate.look(session)
    if not restart_only:
        certrotate.refuse_foreign(found)
    new = None if restart_only else _new(session, found, given, files, from_ca=from_ca, new_ca=new_ca)
    screen = console.out() if output == "table" else console.err()
    idle = new is None and found.settled
    if idle:
        screen.print("Nothing to do: every agent was started after the last change of the Secret.", markup=False)
    elif output == "table" or not dry_run:
        view.rotating(found, certs.read(new) if new else None, certs.now(), screen)
    if idle or dry_run:
        if output != "table":
            print(envelope.text(view.rotating_json(found, None, certs.now()), output), end="")  # noqa: T201
        return
    if not yes:
        where = asking.about(session.access, found.uid)
        asking.confirm("Carry this out?", where=where, hint="the same with --dry-run shows what happens")
    _carry_out(session, found, new, how, output)


def _new(session: Session, found: Rotating, given: Given, files: Files, *, from_ca: bool, new_ca: bool) -> Pair | None:
    """The new pair, judged; None where it is the one that the Secret holds already."""
    notes: tuple[str, ...] = ()
    held = certrotate.stored(session, found)
    if not from_ca:
        pair = files.read(session.secrets)
        if _held_already(found, held, pair):
            return None
    else:
        moment = certs.now()
        signer, wanted = certs.authority(given.authority, session.secrets, moment), given.wanted
        pair = certs.pair(signer, wanted, session.secrets, moment)
        notes = certs.remarks(signer, wanted, moment)
    notes = (*certs.usable(pair), *notes)
    other = certrotate.other_authority(found, held, pair)
    kept = ""
    if not new_ca:
        certrotate.refuse_other(other)
        pair, kept = certrotate.with_others(found, held, pair)
        if kept and not from_ca and _held_already(found, held, pair):
            return None
    for note in (other, kept, *notes, certrotate.shorter(found, pair)):
        if note:
            console.problem(console.err(), note)
    return pair


def _held_already(found: Rotating, held: Mapping[str, bytes], pair: Pair) -> bool:
    """Whether the Secret holds the pair; then that is said."""
    same = certrotate.same(held, pair)
    if same:
        console.err().print(f"• Secret `{found.secret.name}` holds this very certificate already", markup=False)
    return same


def _carry_out(session: Session, found: Rotating, new: Pair | None, how: How, output: str) -> None:
    screen = console.out() if output == "table" else console.err()
    with (
        recording.recorded(session, "certs rotate") as run,
        rollout_view.observer(screen) as observer,
    ):
        rotated = certrotate.carry_out(session, found, new, how, run.watching(observer))
    if output == "table":
        rollout_view.outcome(rotated.watched, screen)
        if new is not None:
            screen.print(words(f"Whether etcd takes it: {pasted.hint('ddhelm verify --only control-plane')}"))
    else:
        print(envelope.text(view.rotating_json(found, rotated, certs.now()), output), end="")  # noqa: T201
