"""What would change, in the form that the reader wants; and what differs between revisions, charts and values.

Each function imports its own action: they have little in common, and a plan for a pull request waits for nothing else.
"""

import sys
from collections.abc import Sequence

from ddhelm import planfile
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.session import Session
from ddhelm.commands import requests
from ddhelm.flaggroups import Options
from ddhelm.plan import Step, StepKind
from ddhelm.views import console, diff, envelope, markdown
from ddhelm.views import plan as view


def how(options: Options, *, limit: int | None) -> diff.How:
    """The form of a diff that the flags ask for."""
    full = options["crds"] == "full"
    return diff.How(options["form"], options["context_lines"], options["show_noise"], full, limit)


def present(session: Session, prepared: Prepared, options: Options, output: str, limit: int | None) -> None:
    """Print a plan in one of the formats."""
    document = view.json(session.access, prepared)
    if output == "table":
        view.table(session.access, prepared, console.out(), how(options, limit=limit))
        if prepared.cluster.rotating:
            from ddhelm.views import rotate

            rotate.unfinished(prepared.cluster.rotating, console.out())
    elif output == "markdown":
        sys.stdout.write(markdown.plan(document, prepared.plan.steps, prepared.values, how(options, limit=None)))
    elif output == "unified":
        lines = diff.patch(prepared.plan.steps, options["context_lines"])
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    else:
        sys.stdout.write(envelope.text(document, output))


def revisions(session: Session, options: Options, old: int, new: int, *, detailed: bool) -> int:
    """Show how two revisions of the releases differ; 0, or 2 for a difference with ``detailed``."""
    from ddhelm.actions import compare

    return _compared(compare.revisions(session, old, new), options, detailed)


def versions(session: Session, options: Options, old: str, new: str, *, detailed: bool) -> int:
    """Show how two chart versions differ under your values; 0, or 2 for a difference with ``detailed``."""
    from ddhelm.actions import compare

    return _compared(compare.versions(session, requests.request(options), old, new), options, detailed)


def values(session: Session, options: Options, *, detailed: bool) -> int:
    """Show which values helm would be sent differ from the stored ones, and which layer sets them.

    A release that is still to be installed is a difference. 0, or 2 for one with ``detailed``.
    """
    from ddhelm.actions import prepare
    from ddhelm.actions import revisions as revisions_

    prepared = prepare.prepare(session, requests.of_onboard(options))
    revisions_.existing(session, prepared.deployed)
    screen, steps = console.out(), prepared.plan.steps
    view.lines(diff.of_values(steps, diff.layers_of(steps, prepared.values), diff.How()), screen)
    changed = any(step.values_changes or step.kind is StepKind.INSTALL for step in steps)
    if not changed:
        screen.print("No value differs from those that the releases were made with.")
    for step in steps:
        if step.kind is StepKind.INSTALL:
            new = f"{step.release.name}: the release is still to be installed, so all its values are new"
            screen.print(new, markup=False, soft_wrap=True)
    view.lines(diff.remembered(steps), screen)
    return 2 if detailed and changed else 0


def _compared(steps: Sequence[Step], options: Options, detailed: bool) -> int:
    screen, form = console.out(), how(options, limit=None)
    view.steps(steps, screen)
    view.lines([*diff.of_values(steps, {}, form), *diff.of_steps(steps, form), *diff.remembered(steps)], screen)
    return 2 if detailed and any(step.kind is not StepKind.NOTHING for step in steps) else 0


def show_file(name: str, output: str) -> None:
    """Show a plan file, without a cluster."""
    from ddhelm.actions import planning

    file = planning.read(name)
    try:
        text = _shown(file, output)  # whole or not at all
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise planfile.bad(name, f"was edited, and what it shows is no plan: {type(error).__name__}: {error}") from None
    sys.stdout.write(text)


def _shown(file: planfile.PlanFile, output: str) -> str:
    if output == "table":
        screen = console.out()
        with screen.capture() as shown:
            view.document(file, screen)
        return shown.get()
    if output == "markdown":
        return markdown.document(file.shown)
    return envelope.text(envelope.wrap("Plan", file.shown), output)
