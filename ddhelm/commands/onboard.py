"""onboard: show what will happen, ask, do it, tell what happened; apply and upgrade end the same way."""

import hmac
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ddhelm import flaggroups, planfile
from ddhelm.actions import carry_out, keys, prepare, rotate, status
from ddhelm.actions.events import Told
from ddhelm.actions.keys import Key
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.commands import asking, recording, requests, waiting
from ddhelm.errors import DdhelmError, Reported
from ddhelm.flaggroups import Options
from ddhelm.interrupts import undisturbed
from ddhelm.notices import rescaled
from ddhelm.release import API_KEY, APP_KEY, SECRET, TOKEN, Rotatable
from ddhelm.settings import unproven
from ddhelm.tree import Tree
from ddhelm.views import console, envelope, pasted
from ddhelm.views import plan as view
from ddhelm.views import rollout as rollout_view
from ddhelm.views import rotate as rotate_view
from ddhelm.views import status as status_view

if TYPE_CHECKING:
    from ddhelm.views.console import Console

_WORDS = {
    API_KEY: ("API key", "DD_API_KEY", "api_key_file"),
    APP_KEY: ("application key", "DD_APP_KEY", "app_key_file"),
}


def onboard(session: Session, options: Options, output: str, *, dry_run: bool) -> int:
    """The whole job; gives the exit code, or raises what stopped it."""
    request = requests.of_onboard(options)
    carried, given = how(options), given_keys(session, options)
    prepared = waiting.until_free(lambda: prepare.prepare(session, request), carried.lock_timeout)
    return carry_on(
        session, options, prepared, request, output, verb="onboard", how=carried, given=given, dry_run=dry_run
    )


def how(options: Options) -> carry_out.How:
    """How the flags want a plan carried out; UsageError for a duration that is none."""
    return carry_out.How(
        timeout=flaggroups.seconds(options["timeout"], "--timeout"),
        lock_timeout=flaggroups.seconds(options["lock_timeout"], "--lock-timeout") or 0,
        rollback=not options["no_rollback"],
    )


def carry_on(
    session: Session,
    options: Options,
    prepared: Prepared,
    request: Request,
    output: str,
    *,
    verb: str,
    how: carry_out.How,
    given: Mapping[str, Key],
    dry_run: bool = False,
    way_back: bool = False,
    reviewed: str | None = None,
) -> int:
    """Show a plan, ask, carry it out, show the outcome; gives the exit code, or raises what stopped it.

    ``verb`` is the command as the history names it. On a ``way_back`` to what stood before, Datadog judges keys that
    stand in a Secret only where the flag asks for it: its verdict must not be in the way. ``reviewed`` is the digest of
    the plan that somebody has read, where that was another time.
    """
    screen = console.out() if output == "table" else console.err()
    if output == "table" or dry_run:
        _show(session, prepared, output, given)
    prepared.stop_if_broken()
    if dry_run:
        return 0
    if not prepared.plan.changes:
        return _unchanged(session, options, prepared, how, output, screen)
    wanted = _agreed(session, options, prepared, given, verb, way_back=way_back)
    digest = reviewed or planfile.of_shown(view.json(session.access, prepared)["data"])
    told, outcome = Told(), carry_out.Outcome()
    try:
        with (
            recording.recorded(session, verb, plan=digest, cluster=prepared.cluster.facts.uid) as run,
            rollout_view.observer(screen) as observer,
        ):
            observed = run.watching(told.telling(observer))
            outcome = carry_out.carry_out(session, prepared, request, wanted, how, observed)
            if outcome.failure is not None:
                run.failed(outcome.failure)
    except Reported as error:
        _print_broken_off(prepared, told, outcome, error, output)
        raise
    return _report(session, options, prepared, outcome, output)


def _unchanged(
    session: Session, options: Options, prepared: Prepared, how: carry_out.How, output: str, screen: "Console"
) -> int:
    """Wait for what an earlier run left behind, and say that there is nothing to do; gives the exit code."""
    if options.get("require_validation"):
        _prove(session, options, prepared, {}, ())
    if any(not each.settled for each in prepared.workloads):
        with rollout_view.observer(screen) as observer:
            outcome = carry_out.wait(session, prepared, how, observer)
        if outcome.failure is not None:
            return _report(session, options, prepared, outcome, output)
    if output == "table":
        _nothing(prepared, screen)
    document = view.nothing_json(prepared)
    with _printed(document, output, "there was nothing to do"):
        return _verified(session, options, document, output)


def _agreed(
    session: Session,
    options: Options,
    prepared: Prepared,
    given: Mapping[str, Key],
    verb: str,
    *,
    way_back: bool = False,
) -> Mapping[str, Key]:
    """The keys to write, once Datadog has taken them and whoever is there has agreed to the plan."""
    if not options["yes"]:
        asking.needed("change the cluster", "read the plan, then add --yes")
    wanted = _obtain(session, prepared, given, ask=asker(options))
    _prove(session, options, prepared, wanted, () if way_back else prepared.unproven_keys)
    if not options["yes"]:
        where = asking.about(session.access, prepared.cluster.facts.uid)
        asking.confirm("Carry this out?", where=where, hint=f"ddhelm {verb}, with the same arguments")
    return wanted


def _prove(
    session: Session, options: Options, prepared: Prepared, wanted: Mapping[str, Key], stored: Sequence[str]
) -> None:
    """Let Datadog judge the keys that will be written, and those of these names in a Secret; raises PreflightFailed.

    With ``--require-validation`` it judges all that are in use.
    """
    settings = prepared.sent_to
    if options.get("require_validation"):
        stored = unproven(None, settings)
    if stored or wanted.keys() - {TOKEN}:
        from ddhelm.commands import validation  # loads an HTTP client: only where there is a question

        validation.validated(session, options, settings, wanted, stored=stored)


def _report(session: Session, options: Options, prepared: Prepared, outcome: carry_out.Outcome, output: str) -> int:
    """Show what happened, and how it stands now; gives the exit code, or raises the failure."""
    if outcome.failure is not None:
        _print_failed(prepared, outcome, output)
        raise outcome.failure
    if output == "table":
        view.outcome(outcome, console.out())
    document = view.outcome_json(prepared, outcome)
    with _printed(document, output, "what was planned is done"):
        found = status.of_session(session)
        document["data"]["status"] = status_view.json(found)["data"]
        if output == "table":
            status_view.table(found, console.out())
        if TOKEN in prepared.plan.writes and prepared.deployed and (due := rotate.behind(session, Rotatable.TOKEN)):
            rotate_view.behind(due, console.err())
        return _verified(session, options, document, output)


def _print_failed(prepared: Prepared, outcome: carry_out.Outcome, output: str) -> None:
    """Print for programs what was done of a run that failed; people are told on standard error."""
    if output != "table":
        print(envelope.text(view.outcome_json(prepared, outcome), output), end="")  # noqa: T201


def _print_broken_off(prepared: Prepared, told: Told, outcome: carry_out.Outcome, error: Reported, output: str) -> None:
    """The same for a run that had no outcome of its own to give, or was interrupted when it had; none has none."""
    if told.begun:
        with undisturbed():  # by the next ^C: this one has been heard
            known = replace(outcome, wrote=tuple(told.wrote), done=tuple(told.done), failure=error)
            _print_failed(prepared, known, output)


@contextmanager
def _printed(document: Tree, output: str, done: str) -> Iterator[None]:
    """Print the document for programs however that ends which is only read after a change: the change is ``done``."""
    try:
        yield
    except DdhelmError as error:
        document["data"]["notices"].append(f"not known how it stands now: {error.message}")
        raise error.adding((done,)) from None
    finally:
        if output != "table":
            print(envelope.text(document, output), end="")  # noqa: T201


def _verified(session: Session, options: Options, document: Tree, output: str) -> int:
    """Verify where that was asked for, and add it to the document; gives the exit code."""
    if not options.get("verify"):
        return 0
    from ddhelm.commands import verify

    return verify.close(session, document, output)


def _show(session: Session, prepared: Prepared, output: str, given: Mapping[str, Key]) -> None:
    if output == "table":
        screen = console.out()
        view.table(session.access, prepared, screen)
        _key_notes(session, prepared, given, screen)
        if prepared.cluster.rotating:
            rotate_view.unfinished(prepared.cluster.rotating, screen)
    else:
        print(envelope.text(view.json(session.access, prepared), output), end="")  # noqa: T201


def _nothing(prepared: Prepared, screen: "Console") -> None:
    """Say that there is nothing to do; the plan above has shown the rest, and no second read is paid for."""
    scaled = rescaled(prepared.plan.steps, prepared.desired, prepared.standing, prepared.deployed)
    but = ", but for what was scaled" if scaled else ""
    screen.print(f"\nNothing to do: both releases are as wanted, and so is all that they set in the cluster{but}.")


def given_keys(session: Session, options: Options) -> Mapping[str, Key]:
    """The keys that the command line and the environment give, by their name in the Secret; ConfigError."""
    given = {}
    for name, (what, variable, flag) in _WORDS.items():
        key = keys.read(
            what,
            variable=variable,
            file=options.get(flag),
            command=options.get(flag.replace("_file", "_command")),
            hider=session.secrets,
            runner=session.runner,
            tell=lambda line: console.err().print(line, markup=False, highlight=False),
        )
        if key is not None:
            given[name] = key
    return given


def _obtain(session: Session, prepared: Prepared, given: Mapping[str, Key], ask: keys.Ask | None) -> Mapping[str, Key]:
    """The secret texts for the plan's writes: found in a hand-made release, given, asked for, or made (the token).

    What the running agents have comes first: another key under them is a rotation, which says so and can be undone.
    """
    found: dict[str, Key] = {}
    for name in prepared.plan.writes:
        if name in prepared.carried_keys:
            session.secrets.add(prepared.carried_keys[name])
            found[name] = Key("the hand-made release's values", prepared.carried_keys[name])
        elif name in given:
            found[name] = given[name]
        elif name == TOKEN:
            found[name] = keys.new_token(session.secrets)
        else:
            found[name] = keys.prompt(_WORDS[name][0], session.secrets, ask)
    return found


def _key_notes(session: Session, prepared: Prepared, given: Mapping[str, Key], screen: "Console") -> None:
    """Say where a given key is not used, or does not look like one."""
    for name, key in given.items():
        what, carried = _WORDS[name][0], prepared.carried_keys.get(name)
        kept, change = "", f"ddhelm rotate {name}"
        if name not in prepared.plan.writes:
            if (stays := _other_key(session, prepared, name, key)) == SECRET:
                kept = f"Secret `{SECRET}`, which stays"
            elif stays:
                kept = f"Secret `{stays}`, which is never written"
                change = f"in that Secret first, then {change} --restart-only"
        elif carried is None:
            if warning := keys.looks_wrong(what, key):
                screen.print(f"! {warning}", style="yellow", markup=False)
        elif not hmac.compare_digest(carried.encode(), key.reveal().encode()):
            kept = f"the hand-made release's values, which moves into Secret `{SECRET}`"
        if kept:
            screen.print(
                f"! the {what} from {key.origin} differs from the one in {kept}; to change it: {pasted.hint(change)}",
                style="yellow",
                markup=False,
            )


def _other_key(session: Session, prepared: Prepared, name: str, key: Key) -> str:
    """The Secret in use where it holds another key than the given one; empty where not, or that cannot be read."""
    settings = prepared.settings
    used = {API_KEY: settings.api_key_secret, APP_KEY: settings.app_key_secret}[name]
    if prepared.cluster.namespace is None or used is None:
        return ""
    stored = None
    with suppress(DdhelmError):  # of somebody else's Secret the user may not have the right
        stored = session.kubectl.secret_value(used.name, used.key)
    differs = stored is not None and not hmac.compare_digest(stored.encode(), key.reveal().encode())
    return used.name if differs else ""


def asker(options: Options) -> keys.Ask | None:
    """Asks for a secret on the terminal; None where there is none, or standard input is taken by a file."""
    taken = "-" in {options["api_key_file"], options["app_key_file"], *(options.get("values") or ())}
    if taken or not asking.terminal():
        return None
    import getpass

    return lambda question: getpass.getpass(f"{question} (hidden): ", stream=sys.stderr)
