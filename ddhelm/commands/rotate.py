"""rotate: a new API key, application key or token: shown, asked for, written, rolled out, told."""

from collections.abc import Mapping

from ddhelm.actions import keys, rotate, status
from ddhelm.actions.carry_out import How
from ddhelm.actions.keys import Key
from ddhelm.actions.rotate import Rotation
from ddhelm.actions.session import Session
from ddhelm.commands import asking, onboard, recording
from ddhelm.errors import DdhelmError, UsageError
from ddhelm.flaggroups import Options, seconds
from ddhelm.release import API_KEY, APP_KEY, Rotatable
from ddhelm.views import console, envelope
from ddhelm.views import rollout as rollout_view
from ddhelm.views import rotate as view
from ddhelm.views import status as status_view


def rotation(
    session: Session, options: Options, what: Rotatable, output: str, *, restart_only: bool, dry_run: bool
) -> int:
    """The whole job; 0, also where every pod has the key already, or raises what stopped it."""
    how = How(
        timeout=seconds(options["timeout"], "--timeout"),
        lock_timeout=seconds(options["lock_timeout"], "--lock-timeout") or 0,
    )
    _refuse_flags(options, what, restart_only=restart_only)
    found = rotate.look(session, what)
    if not restart_only:
        rotate.refuse_foreign(found)
    rotate.refuse_second(found)
    new = None if restart_only else _new(session, options, found, dry_run=dry_run)
    screen = console.out() if output == "table" else console.err()
    idle = new is None and not found.late and not _open(found) and not _behind(found)
    if not (idle or dry_run or options["yes"]):
        _somebody(what)
    if new is not None:
        _validated(session, options, found, new)
    if output == "table" and not idle:
        view.table(found, screen, origin=new.origin if new is not None else "")
    if dry_run and output != "table":
        print(envelope.text(view.json(found), output), end="")  # noqa: T201
        return 0
    if idle:
        screen.print(f"Nothing to do: every pod was started after the last change of the {what.words}.", markup=False)
        if output != "table":
            print(envelope.text(view.json(found, rotate.Rotated(False, (), ())), output), end="")  # noqa: T201
        return 0
    if dry_run:
        return 0
    if not options["yes"]:
        where = asking.about(session.access, found.uid)
        asking.confirm("Carry this out?", where=where, hint=f"ddhelm rotate {what}")
    return _carry_out(session, found, new, how, output)


def _carry_out(session: Session, found: Rotation, new: Key | None, how: How, output: str) -> int:
    screen = console.out() if output == "table" else console.err()
    with (
        recording.recorded(session, f"rotate {found.what}", cluster=found.uid) as run,
        rollout_view.observer(screen) as observer,
    ):
        rotated = rotate.carry_out(session, found, new, how, run.watching(observer))
    if output == "table":
        view.done(found, rotated, screen)
        try:
            found_now = status.of_session(session)
        except DdhelmError as error:
            raise error.adding((f"the {found.what.words} is rotated to the end",)) from None
        status_view.table(found_now, screen)
    else:
        print(envelope.text(view.json(found, rotated), output), end="")  # noqa: T201
    return 0


def _new(session: Session, options: Options, found: Rotation, *, dry_run: bool) -> Key | None:
    """The new value; None where the Secret is to stay, because it has it already or a run broke off.

    A dry run that is given none gets an empty one, whose origin alone is shown.
    """
    what = found.what
    if what is Rotatable.TOKEN:
        return None if _continues(found) else keys.new_token(session.secrets)
    given: Mapping[str, Key] = onboard.given_keys(session, options)
    name = API_KEY if what is Rotatable.API_KEY else APP_KEY
    if name not in given:
        if dry_run:
            return Key("where you give it", "")
        if not options["yes"]:
            _somebody(what)
    key = given.get(name) or keys.prompt(what.words, session.secrets, onboard.asker(options))
    if rotate.same(session, found, key):
        console.err().print(
            f"• the {what.words} from {key.origin} is the one in Secret `{found.secret.name}` already", markup=False
        )
        return None
    return key


def _validated(session: Session, options: Options, found: Rotation, key: Key) -> None:
    """Let Datadog judge a key of its own; what a dry run was not given, and a token, are none."""
    if found.what is Rotatable.TOKEN or not key.reveal():
        return
    if warning := keys.looks_wrong(found.what.words, key):
        console.problem(console.err(), warning)
    from ddhelm.commands import validation

    validation.validated(session, options, found.settings, {str(found.what): key})


def _somebody(what: Rotatable) -> None:
    asking.needed("change the cluster", f"ddhelm rotate {what} --dry-run shows what happens; add --yes to go on")


def _continues(found: Rotation) -> bool:
    """Whether a token was written by a run that broke off: then it is rolled out, and no other one made."""
    return found.what is Rotatable.TOKEN and found.unfinished


def _open(found: Rotation) -> bool:
    """Whether there is a mark to take away; it may have outlived a run that ended before its write."""
    return found.unfinished or (found.ours and found.open is not None)


def _behind(found: Rotation) -> bool:
    return any(not each.workload.settled for each in found.readers)


def _refuse_flags(options: Options, what: Rotatable, *, restart_only: bool) -> None:
    """UsageError for a key that this rotation does not take."""
    own = {Rotatable.API_KEY: "api_key", Rotatable.APP_KEY: "app_key"}.get(what, "")
    for prefix in ("api_key", "app_key"):
        for kind in ("file", "command"):
            if options[f"{prefix}_{kind}"] is not None and (restart_only or prefix != own):
                flag = f"--{prefix}_{kind}".replace("_", "-")
                raise UsageError(
                    f"`{flag}` cannot be meant with `rotate {what}{' --restart-only' if restart_only else ''}`",
                    hint=f"ddhelm rotate {prefix.replace('_', '-')} {flag} …",
                    anchor="contradicting-flags",
                )
