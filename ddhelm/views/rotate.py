"""Shows a rotation: before, what is written, what restarts and what that means; after, what may be done now."""

from typing import TYPE_CHECKING, Any

from ddhelm import arrivals
from ddhelm.actions.rotate import Rotated, Rotation, again
from ddhelm.causes import listed
from ddhelm.release import Rotatable
from ddhelm.settings import SITES
from ddhelm.views import envelope
from ddhelm.views.console import GOOD, counted, problem, words

if TYPE_CHECKING:
    from rich.console import Console

Tree = dict[str, Any]
_PAGES = {Rotatable.API_KEY: "api-keys", Rotatable.APP_KEY: "application-keys"}


def table(rotation: Rotation, console: "Console", *, origin: str) -> None:
    """What will happen. ``origin`` says where the new value comes from; empty: the Secret stays as it is."""
    what, secret = rotation.what, rotation.secret
    console.print(words(f"Rotation of the {what.words}: `{secret.key}` of Secret `{secret.name}`"))
    steps = [f"the Secret gets the new value, from {origin}"] if origin else []
    if not origin:
        console.print(words("  the Secret stays as it is; what was not restarted since its last change is restarted"))
    for phase in rotation.phases:
        marked = [each for each in phase if origin or each in rotation.late]
        if marked:
            names = ", ".join(f"{each.target.kind} {each.target.name} ({each.workload.desired})" for each in marked)
            steps.append(f"restarts, by their own update strategy, and is waited for: {names}")
    for number, step in enumerate(steps, 1):
        console.print(words(f"  {number}. {step}"))
    console.print(words(_meaning(rotation, writes=bool(origin))))


def done(rotation: Rotation, rotated: Rotated, console: "Console") -> None:
    """How it ended."""
    what = rotation.what
    restarted = len(rotated.restarted)
    ready = sum(each.ready for watched in rotated.watched for each in watched.workloads)
    took = sum(watched.elapsed for watched in rotated.watched)
    counts = f"{counted(restarted, 'workload')} restarted, {counted(ready, 'pod')} ready"
    console.print(words(f"{GOOD} {counts} with the {what.words} after {took:.0f} s", "good"))
    if what in _PAGES:
        old = f"The old {what.words} is"
        if rotation.unfinished and rotated.wrote:
            old = f"The earlier {what.words}s are"
        console.print(words(f"{old} used by no pod any more and may be revoked: {page(rotation)}"))


def unfinished(what: Rotatable, console: "Console") -> None:
    """That the rotation of a key broke off, and what ends it."""
    problem(
        console,
        f"the rotation of the {what.words} has begun and not ended: some pods may still have the old one",
        again(what),
    )


def behind(rotation: Rotation, console: "Console") -> None:
    """That a key was written under running pods."""
    names = listed([each.target.name for each in rotation.late])
    problem(
        console,
        f"the {rotation.what.words} was written after the pods of {names} had started: they have another one",
        f"ddhelm rotate {rotation.what} --restart-only",
    )


def page(rotation: Rotation) -> str:
    """Where Datadog's site lists the keys."""
    return f"{arrivals.app(rotation.settings.site or SITES[0])}/organization-settings/{_PAGES[rotation.what]}"


def json(rotation: Rotation, rotated: Rotated | None = None) -> Tree:
    """For programs: kind ``Rotation`` before, ``Rotated`` after."""
    least, most = rotation.window
    data: Tree = {
        "what": str(rotation.what),
        "secret": {"name": rotation.secret.name, "key": rotation.secret.key, "keeper": rotation.keeper},
        "phases": [
            [{"release": each.target.release, "kind": each.target.kind, "name": each.target.name} for each in phase]
            for phase in rotation.phases
        ],
        "late": [each.target.name for each in rotation.late],
        "expectedSeconds": {"least": least, "most": most},
    }
    if rotated is None:
        return envelope.wrap("Rotation", data)
    data |= {"wrote": rotated.wrote, "restarted": [each.target.name for each in rotated.restarted]}
    return envelope.wrap("Rotated", data)


def _meaning(rotation: Rotation, *, writes: bool) -> str:
    least, most = rotation.window
    window = f"about {_time(least)} to {_time(most)}"
    if rotation.what is not Rotatable.TOKEN and rotation.unfinished and writes:
        return (
            f"This takes {window}. An earlier rotation has not ended, so pods use the {rotation.what.words} from "
            f"before it or the one that it wrote: both earlier {rotation.what.words}s must stay valid until the end. "
            "Nothing pauses."
        )
    if rotation.what is not Rotatable.TOKEN:
        return (
            f"This takes {window}. The old {rotation.what.words} must stay valid until the end: pods use it until they "
            "are restarted. Nothing pauses."
        )
    return (
        f"There is one token, read when a pod starts: for {window}, agents that were not restarted yet are refused by "
        "the Cluster Agent. They go on collecting and sending metrics, logs and traces of their nodes; cluster and "
        "endpoint checks on them, and tags that come from the Cluster Agent, pause until their restart."
    )


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"
