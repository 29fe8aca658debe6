"""Which node runs how many agents: one sentence, and a table of pools in which the exceptions come first."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ddhelm.coverage import Coverage
from ddhelm.pools import Pool
from ddhelm.views import pasted
from ddhelm.views.console import BAD, GOOD, WARN, grid, words

if TYPE_CHECKING:
    from rich.console import Console

Tree = dict[str, Any]


def sentence(coverage: Coverage, *, verb: str = "get", running: int | None = None) -> str:
    """How many nodes get exactly one agent, with the nodes that do not count named as such.

    ``running`` is how many really do, where that was read; otherwise how many the rules give one.
    """
    one = len(coverage.exactly_one) if running is None else running
    return _told(one, len(coverage.verdicts), len(coverage.accepted), len(coverage.transient), verb)


def stored_sentence(coverage: Tree) -> str:
    """The same of a document's ``coverage``."""
    return _told(coverage["exactlyOne"], coverage["nodes"], coverage["accepted"], coverage["transient"], "get")


def _told(one: int, total: int, accepted: int, transient: int, verb: str) -> str:
    if not total:
        return "no node is known, so nothing is said of agents"
    told = f"{one} of {total} {_nodes(total)} {verb}{'s' if total == 1 else ''} exactly one agent"
    asides = []
    if accepted:
        asides.append(f"{accepted} without one as accepted")
    if transient:
        asides.append(f"{transient} not yet")
    return f"{told} ({', '.join(asides)})" if asides else told


def table(pools: Sequence[Pool], console: "Console", told: Collection[str] = ()) -> None:
    """The pools: role, nodes, agents, which release, and why not where there is none; below it what to type.

    A command stands in no cell, where it would be folded; those of ``told`` were said before.
    """
    from rich.text import Text

    if not pools:
        return
    shown = grid("POOL", "ROLE", "NODES", "AGENTS", "RELEASE", "WHY", right=("NODES", "AGENTS"))
    for pool in pools:
        mark, style = _mark(pool)
        shown.add_row(
            Text(title(pool)),
            Text(", ".join(pool.roles) or "worker"),
            str(pool.nodes),
            Text(f"{len(pool.releases or pool.until_restart)} {mark}", style=style),
            Text(", ".join(pool.releases or pool.until_restart) or "-"),
            words(_why(pool)),
        )
    console.print(shown)
    for fix in dict.fromkeys(pool.fix for pool in pools if pool.agents == 0 and not pool.accepted):
        if fix and fix not in told:
            console.print(words(f"  hint: {pasted.hint(fix)}", "hint"), soft_wrap=True)


def json(coverage: Coverage, pools: Sequence[Pool]) -> Tree:
    """Counts, every node that does not get exactly one agent, and the pools; camelCase keys."""
    counts = coverage.counts()
    return {
        "nodes": counts["nodes"],
        "exactlyOne": counts["exactly_one"],
        "doubled": counts["doubled"],
        "uncovered": counts["uncovered"],
        "accepted": counts["accepted"],
        "transient": counts["transient"],
        "untilRestart": counts["until_restart"],
        "exceptions": [
            {
                "node": verdict.node,
                "releases": list(verdict.releases),
                "why": verdict.blame.text if verdict.blame else "",
                "fix": verdict.fix,
                "accepted": verdict.accepted,
                "transient": verdict.transient,
                "untilRestart": list(verdict.until_restart),
            }
            for verdict in coverage.verdicts
            if len(verdict.releases) != 1
        ],
        "pools": [
            {
                "name": pool.name,
                "roles": list(pool.roles),
                "nodes": pool.nodes,
                "examples": list(pool.names),
                "releases": list(pool.releases),
                "taints": list(pool.taints),
                "os": pool.os,
                "arch": pool.arch,
                "why": pool.blame.text if pool.blame else "",
            }
            for pool in pools
        ],
    }


def title(pool: Pool) -> str:
    """A pool's name, or the node itself where it is one alone."""
    return pool.name or (pool.names[0] if pool.nodes == 1 else "-")


def _why(pool: Pool) -> str:
    parts = ["until restart"] if pool.leaves else []
    if pool.agents > 1 and pool.port_clash:
        parts.append(f"both want host port {', '.join(pool.port_clash)}")
    if pool.agents == 0 and pool.blame:
        parts.append(pool.blame.text)
    if pool.agents == 0 and pool.accepted:
        parts.append("accepted")
    return "; ".join(parts)


def _mark(pool: Pool) -> tuple[str, str]:
    if pool.agents == 1:
        return GOOD, "good"
    if pool.accepted or pool.transient:
        return WARN, "faint"
    if pool.leaves:
        return WARN, "warn"
    return BAD, "bad"


def _nodes(count: int) -> str:
    return "node" if count == 1 else "nodes"
