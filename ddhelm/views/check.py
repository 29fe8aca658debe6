"""The proofs: every claim with its verdict, and the coverage of the nodes by pool."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ddhelm.actions.prepared import Prepared
from ddhelm.claim import Claim, Result
from ddhelm.tree import Tree
from ddhelm.views import console, envelope, pasted
from ddhelm.views import coverage as coverage_view


def claims(every: Sequence[Claim], screen: Console) -> None:
    """The list of claims for people."""
    grid = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("CHECK", "SEVERITY", "CLAIM"):
        grid.add_column(column, overflow="fold")
    for claim in every:
        grid.add_row(claim.name, str(claim.severity), escape(claim.claim))
    screen.print(grid)


def claims_json(every: Sequence[Claim]) -> Tree:
    """The list of claims for programs."""
    return envelope.wrap(
        "Checks",
        {
            "checks": [
                {"name": c.name, "severity": str(c.severity), "claim": c.claim, "hint": c.hint, "anchor": c.anchor}
                for c in every
            ]
        },
    )


def table(prepared: Prepared, screen: Console) -> None:
    """Verdicts, the broken ones with details and hint; then coverage."""
    told: set[str] = set()  # one way out of two broken claims is said once
    for result in prepared.plan.results:
        mark, style = _mark(result)
        tail = f" ({result.unknown})" if result.unknown else ""
        screen.print(f"{mark} {result.claim.name}: {result.claim.claim}{tail}", style=style, markup=False)
        for detail in result.details:  # of one that holds: remarks, such as host files, which nobody can see from here
            screen.print(f"    {detail}", markup=False)
        if not result.ok or result.unknown:
            for hint in result.ways(told):
                screen.print(f"    hint: {pasted.hint(hint)}", markup=False, style="cyan", soft_wrap=True)
    for problem in prepared.plan.problems:
        if problem.anchor in {"field-conflict", "forecast-refused"}:
            for line in problem.lines:
                screen.print(pasted.sentence(line), markup=False, style="bold red")
    screen.print()
    screen.print(coverage_view.sentence(prepared.plan.coverage))
    coverage_view.table(prepared.pools, screen, told)


def json(prepared: Prepared) -> Tree:
    """The versioned document."""
    return envelope.wrap(
        "Check",
        {
            "checks": [
                {
                    "name": result.claim.name,
                    "severity": str(result.claim.severity),
                    "verdict": _verdict(result),
                    "claim": result.claim.claim,
                    "details": list(result.details),
                    "hints": list(result.hints),
                    "anchor": result.claim.anchor,
                }
                for result in prepared.plan.results
            ],
            "coverage": coverage_view.json(prepared.plan.coverage, prepared.pools),
            "problems": [line for problem in prepared.plan.problems for line in problem.lines],
        },
    )


def _verdict(result: Result) -> str:
    if result.skipped:
        return "skipped"
    if result.unknown:
        return "unknown"
    return "holds" if result.ok else "broken"


def _mark(result: Result) -> tuple[str, str]:
    verdict = _verdict(result)
    if verdict == "broken":
        return (console.BAD, "bold red") if result.claim.severity == "fatal" else (console.WARN, "yellow")
    return {"holds": (console.GOOD, "green"), "skipped": ("-", "dim"), "unknown": ("?", "dim")}[verdict]
