"""What arrived in Datadog, what did not, and where to look at it."""

from typing import TYPE_CHECKING, Any

from ddhelm.arrivals import WINDOW, Arrival, Arrivals, Link, Seen
from ddhelm.views import pasted
from ddhelm.views.console import BAD, GOOD, WARN, grid, problem, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

Tree = dict[str, Any]


def table(found: Arrivals, console: "Console") -> None:
    """For people."""
    whole = f"cluster `{found.cluster}`" if found.cluster else "all clusters: the agents name none (--cluster-name)"
    console.print(words(f"\nDatadog, site `{found.site}`, {whole}, the last {WINDOW // 60} minutes:"))
    told = ""
    for each in found.checks:
        if each.seen is Seen.ARRIVED:
            console.print(words(f"{GOOD} `{each.subject}`: `{each.metric}` arrived, {each.age:.0f} s old", "good"))
        elif each.seen is Seen.ABSENT:
            problem(console, f"`{each.subject}`: no `{each.metric}` has arrived", _absent(found), mark=BAD, style="bad")
        elif each.why != told:  # one reason is mostly that of all
            told = each.why
            problem(console, f"`{each.subject}` could not be asked for: {each.why}", each.hint)
    _hosts(found, console, told)


def _hosts(found: Arrivals, console: "Console", told: str) -> None:
    hosts = found.hosts
    if hosts.seen is Seen.UNKNOWN:
        if hosts.why != told:
            problem(console, f"hosts could not be asked for: {hosts.why}", hosts.hint)
    elif hosts.seen is Seen.ABSENT or (found.missing and found.cluster):
        text = f"{hosts.hosts} of {found.agents} agents have been heard of"
        problem(console, text, _absent(found), mark=BAD, style="bad")
    else:
        console.print(words(f"{GOOD} {hosts.hosts} hosts report; {found.agents} agents were asked", "good"))


def _absent(found: Arrivals) -> str:
    return (
        f"new data shows after a minute or two: ddhelm verify --wait 5m; the agents send to `{found.site}`, an "
        "organisation of another site sees nothing of it (--site); a refused API key stands in the agents' log"
    )


def links(found: "Sequence[Link]", console: "Console") -> None:
    """Where to look, a line each."""
    from rich.text import Text

    console.print("\nWhere to look:")
    shown = grid("PAGE", "URL")
    shown.show_header = False
    for each in found:
        shown.add_row(Text(each.name), Text(each.url))
    console.print(shown)
    for each in found:
        if each.needs:
            problem(console, f"{each.name}: {each.needs}", mark="•", style="faint")


def skipped(reason: str, hint: str, console: "Console") -> None:
    """Why Datadog was not asked, and how it is."""
    problem(
        console, f"whether the data arrived in Datadog was not looked for: {reason}", hint, mark=WARN, style="faint"
    )


def data(found: Arrivals) -> Tree:
    """For programs, within the document of the verification."""
    return {
        "skipped": None,
        "site": found.site,
        "cluster": found.cluster,
        "exitCode": found.exit_code,
        "integrations": [_json(each) for each in found.checks],
        "hosts": {**_json(found.hosts), "agents": found.agents, "hosts": found.hosts.hosts, "missing": found.missing},
    }


def skipped_data(reason: str) -> Tree:
    """The same where Datadog was not asked."""
    nothing: Tree = {"site": None, "cluster": None, "exitCode": 0, "integrations": [], "hosts": None}
    return {"skipped": reason, **nothing}


def _json(each: Arrival) -> Tree:
    return {
        "subject": each.subject,
        "metric": each.metric,
        "state": str(each.seen),
        "ageSeconds": round(each.age) if each.seen is Seen.ARRIVED else None,
        "why": each.why,
        "hint": pasted.hint(each.hint) if each.hint else "",
    }


def links_data(found: "Sequence[Link]") -> list[Tree]:
    """The pages for programs."""
    return [{"name": each.name, "url": each.url, "needs": each.needs} for each in found]
