"""What the agents report: a table of nodes by checks, what is wrong once for all its nodes, and one sentence."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ddhelm.actions.arrival import Pausing
from ddhelm.actions.verify import Asked, Verification
from ddhelm.arrivals import Link
from ddhelm.verdicts import CheckVerdict, Kind, PodVerdict, State
from ddhelm.views import arrival, envelope
from ddhelm.views.console import BAD, GOOD, WARN, grid, problem, words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Tree = dict[str, Any]

_ALL = 12
"""Up to so many agents each has a line of its own; more are grouped by what they say."""
_NAMES = 2
_MARKS = {
    State.OK: (GOOD, "good"),
    State.WAITING: ("…", "warn"),
    State.FAILING: (BAD, "bad"),
    State.NOT_READY: (BAD, "bad"),
    State.UNREADABLE: ("?", "warn"),
}


@contextmanager
def observer(console: "Console") -> Iterator[Callable[[object], None]]:
    """Something to hand to ``verify``: a line that counts the answers on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield lambda _event: None
        return
    with console.status("looking for the agents") as shown:

        def told(event: object) -> None:
            if isinstance(event, Pausing):
                shown.update(f"asking Datadog again in {event.seconds:.0f} s")
            if isinstance(event, Asked):
                left = "" if event.waiting is None else f", waiting {max(event.waiting, 0):.0f} s at most"
                shown.update(f"asking the agents: {event.done} of {event.total}{left}")

        yield told


def table(found: Verification, console: "Console") -> None:
    """For people."""
    from rich.text import Text

    where = f"context `{found.context}`, " if found.context else ""
    console.print(words(f"{where}namespace `{found.namespace}`"))
    console.print("")
    console.print(_grid(found))
    console.print("")
    for each in found.findings:
        mark, style = (BAD, "bad") if each.fatal else (WARN, "warn")
        if each.fatal and each.state in {State.WAITING, State.UNREADABLE}:
            mark, style = _MARKS[each.state]
        about = each.subject if each.subject in set(Kind) else f"`{each.subject}`"
        problem(console, f"{about} {each.where}".rstrip() + f": {each.why.line}", each.why.hint, mark=mark, style=style)
    good = sum(each.state is State.OK and not each.unlinked for each in found.pods)
    mark, style = (GOOD, "good") if found.exit_code == 0 else (BAD, "bad")
    console.print(Text(f"{mark} ", style=style) + words(sentence(found, good)))


def sentence(found: Verification, good: int) -> str:
    """The whole in one sentence."""
    failing = sum(check.state is State.FAILING and check.fatal for pod in found.pods for check in pod.checks)
    told = f"{good} of {len(found.pods)} agents report"
    if failing:
        told += f", {failing} checks fail" if failing > 1 else ", one check fails"
    leader = next((e.status.leadership.leader for e in found.pods if e.status and e.status.leadership), "")
    return f"{told}; Cluster Agent `{leader}` leads" if leader else told


def json(
    found: Verification,
    pages: Sequence[Link] = (),
    datadog: Tree | None = None,
    code: int | None = None,
    rotating: str | None = None,
) -> Tree:
    """For programs: every pod with every check, in the versioned envelope of kind ``Verification``.

    ``datadog`` is what arrived there, ``code`` the exit code where that changes it, ``rotating`` a key whose rotation
    has begun and not ended.
    """
    told = {**data(found, pages), "datadog": datadog, "rotating": rotating}
    return envelope.wrap("Verification", {**told, "exitCode": found.exit_code if code is None else code})


def data(found: Verification, pages: Sequence[Link]) -> Tree:
    """The same without the envelope, for an answer that holds more; Datadog was not asked."""
    return {
        "context": found.context,
        "namespace": found.namespace,
        "exitCode": found.exit_code,
        "datadog": None,
        "rotating": None,
        "links": arrival.links_data(pages),
        "agents": [_pod_json(each) for each in found.pods],
        "findings": [
            {
                "subject": each.subject,
                "state": str(each.state),
                "kind": each.why.kind,
                "text": each.why.line,
                "hint": each.why.hint,
                "nodes": list(each.nodes),
                "fatal": each.fatal,
            }
            for each in found.findings
        ],
    }


def _pod_json(each: PodVerdict) -> Tree:
    status = each.status
    link, leadership, dispatch = (status.link, status.leadership, status.dispatch) if status else (None, None, None)
    return {
        "pod": each.pod.name,
        "node": each.pod.node,
        "release": each.pod.release,
        "kind": str(each.pod.kind),
        "state": str(each.state),
        "why": each.why.line if each.why else "",
        "version": status.version if status else "",
        "checks": [
            {
                "name": check.check,
                "state": str(check.state),
                "promised": check.promised,
                "instances": check.instances,
                "samples": check.metrics,
                "kind": check.why.kind if check.why else "",
                "text": check.why.line if check.why else "",
            }
            for check in each.checks
        ],
        "clusterAgent": link and {"endpoint": link.endpoint, "version": link.version, "error": link.error},
        "leaderElection": leadership and {"state": leadership.state, "leader": leadership.leader},
        "clusterChecks": dispatch
        and {
            "leads": dispatch.leads,
            "agents": dispatch.nodes,
            "configurations": dispatch.configs,
            "dangling": dispatch.dangling,
        },
    }


def _grid(found: Verification) -> "Table":
    heads = [check.removeprefix("kube_").removesuffix("_metrics").upper() for check in found.promised]
    shown = grid("NODE", "AGENT", *heads, "OTHER CHECKS")
    for pods in _grouped(found):
        first = pods[0]
        shown.add_row(_names(pods), _agent(first), *(_cell(first, check) for check in found.promised), _others(first))
    return shown


def _grouped(found: Verification) -> list[list[PodVerdict]]:
    """One list a row: alone while they are few, else with all that say the same."""
    if len(found.pods) <= _ALL:
        return [[each] for each in found.pods]
    rows: dict[tuple[object, ...], list[PodVerdict]] = {}
    for each in found.pods:
        said = tuple((c.check, c.state) for c in each.checks if c.promised or c.state is not State.OK)
        rows.setdefault((each.pod.release, each.pod.kind, each.state, said), []).append(each)
    return list(rows.values())


def _names(pods: Sequence[PodVerdict]) -> "Text":
    from rich.text import Text

    names = [each.pod.node or each.pod.name for each in pods]
    shown = ", ".join(names[:_NAMES])
    return Text(f"{shown} and {len(names) - _NAMES} more" if len(names) > _NAMES else shown)


def _agent(each: PodVerdict) -> "Text":
    from rich.text import Text

    if each.status is None:
        return Text(str(each.state), style=_MARKS[each.state][1])
    version = each.status.version or "?"
    return Text(version if each.pod.kind is Kind.NODE else f"{version} ({each.pod.kind})")


def _cell(each: PodVerdict, check: str) -> "Text":
    from rich.text import Text

    found = next((one for one in each.checks if one.check == check), None)
    if found is None:
        return Text("-", style="faint")
    mark, style = _MARKS[found.state]
    return Text(f"{mark} {found.why.kind}" if found.why else mark, style=style)


def _others(each: PodVerdict) -> "Text":
    from rich.text import Text

    others = [check for check in each.checks if not check.promised]
    bad = [check for check in others if check.state is not State.OK]
    text = f"{len(others) - len(bad)} ok" if others else "-"
    if bad:
        text += f", {', '.join(_short(check) for check in bad[:3])}" + (" …" if len(bad) > 3 else "")
    return Text(text, style="bad" if any(check.fatal for check in bad) else "")


def _short(check: CheckVerdict) -> str:
    return f"{check.check}: {check.why.kind if check.why else check.state}"
