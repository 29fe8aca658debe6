"""uninstall: show what goes and what stays, ask, remove."""

from msgspec.structs import replace

from ddhelm.actions import uninstall as action
from ddhelm.actions.removal import Removal
from ddhelm.actions.session import Session
from ddhelm.actions.uninstall import Removed
from ddhelm.commands import asking, recording, waiting
from ddhelm.errors import Reported, RolloutFailed
from ddhelm.interrupts import undisturbed
from ddhelm.release import pair
from ddhelm.views import console, envelope
from ddhelm.views import uninstall as view


def uninstall(
    session: Session,
    *,
    delete_secrets: bool,
    delete_namespace: bool,
    timeout: float | None,
    lock_timeout: float,
    yes: bool,
    dry_run: bool,
    output: str,
) -> int:
    """Remove both releases; 0, also where there is nothing to remove, 4 where something is left that should be gone."""
    releases = pair(session.access.namespace, control_plane=True)
    removal = waiting.until_free(
        lambda: action.prepare(
            session.kubectl, releases, delete_secrets=delete_secrets, delete_namespace=delete_namespace
        ),
        lock_timeout,
    )
    if output == "table":
        view.table(removal, console.out())
    if removal.nothing or dry_run:
        if output != "table":
            print(envelope.text(view.json(removal), output), end="")  # noqa: T201
        return 0
    if not yes:
        asking.needed("remove the releases", "ddhelm uninstall --dry-run shows what goes; add --yes to go on")
        where = asking.about(session.access, removal.uid)
        asking.confirm("Remove this?", where=where, hint="ddhelm uninstall", kept="nothing was removed")
    keeps = removal.exists and not (delete_secrets or removal.delete_namespace)
    return _carry_out(session, removal, output, timeout=timeout or 300, lock_timeout=lock_timeout, keeps=keeps)


def _carry_out(
    session: Session, removal: Removal, output: str, *, timeout: float, lock_timeout: float, keeps: bool
) -> int:
    """``keeps``: whether the history is there afterwards."""
    screen = console.out() if output == "table" else console.err()
    known: list[Removed] = []
    try:
        with recording.recorded(session, "uninstall", cluster=removal.uid) as run:
            run.keeps = keeps
            removed = action.carry_out(
                removal,
                session.kubectl,
                session.helm,
                observer=run.watching(view.observer(screen)),
                timeout=timeout,
                lock_timeout=lock_timeout,
                broken_off=known.append,
            )
            known.append(removed)
            if removed.problems:
                run.failed(RolloutFailed("; ".join(f"{each.what}: {each.why}" for each in removed.problems)))
    except Reported as error:
        if known and output != "table":
            with undisturbed():  # by the next ^C: this one has been heard
                print(envelope.text(view.json(replace(known[-1], failure=error)), output), end="")  # noqa: T201
        raise
    if output == "table":
        view.done(removed, screen, announced=removal.kept)
    else:
        print(envelope.text(view.json(removed), output), end="")  # noqa: T201
    return removed.exit_code
