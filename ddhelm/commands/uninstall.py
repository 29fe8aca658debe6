"""uninstall: show what goes and what stays, ask, remove."""

from ddhelm.actions import uninstall as action
from ddhelm.actions.session import Session
from ddhelm.commands import asking, recording, waiting
from ddhelm.errors import RolloutFailed
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
        asking.confirm(
            "Remove this?", where=asking.about(session.access), hint="ddhelm uninstall", kept="nothing was removed"
        )
    screen = console.out() if output == "table" else console.err()
    with recording.recorded(session, "uninstall", cluster=removal.uid) as run:
        run.keeps = removal.exists and not (delete_secrets or removal.delete_namespace)
        removed = action.carry_out(
            removal,
            session.kubectl,
            session.helm,
            observer=run.watching(view.observer(screen)),
            timeout=timeout or 300,
            lock_timeout=lock_timeout,
        )
        if removed.problems:
            run.failed(RolloutFailed("; ".join(f"{each.what}: {each.why}" for each in removed.problems)))
    if output == "table":
        view.done(removed, screen, announced=removal.kept)
    else:
        print(envelope.text(view.json(removed), output), end="")  # noqa: T201
    return removed.exit_code
