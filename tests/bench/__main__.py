"""`make bench`: ddhelm beside the tools whose work it does, as ratios on this machine in this minute.

Nothing here is a test: figures of a busy machine are no verdict, the ratios of programs that take turns nearly are. A
promise that is not kept is marked `OVER` in the table; the exit code stays 0.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.bench.measure import Program, Row, Sample, Work, in_turns, table
from tests.bench.stage import NAMESPACE, RELEASES, Stage

BARE_TYPER = '''\
from typing import Annotated

import typer

app = typer.Typer()


def version(wanted: bool) -> None:
    if wanted:
        typer.echo("bare 1.0")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", callback=version, is_eager=True)] = False) -> None:
    """A program that does nothing."""


app()
'''


def start_up(stage: Stage) -> Iterator[Row]:
    """What importing ddhelm costs over Typer alone."""
    bare = stage.folder / "bare.py"
    bare.write_text(BARE_TYPER)
    ours = stage.ddhelm("--version")
    theirs = Program([sys.executable, str(bare), "--version"], stage.environ)
    taken = in_turns({"ours": ours, "theirs": theirs}, stage.rounds(41), warm_up=3)
    yield Row("--version", "a bare Typer program", taken["ours"], taken["theirs"], 1.3)


def nothing_to_do(stage: Stage) -> Iterator[Row]:
    """A second onboard, and a plan, beside what helm does for the same answer."""
    stage.onboarded("kubeadm")
    upgrades = [stage.upgrade(release) for release in RELEASES]
    dry_runs = [stage.upgrade(release, "--dry-run=server") for release in RELEASES]
    works: dict[str, Work] = {
        "onboard": stage.ddhelm("onboard", "--yes"),
        "plan": stage.ddhelm("plan"),
        "upgrade": lambda: one_after_the_other(upgrades),
        "dry run": lambda: one_after_the_other(dry_runs),
    }
    before = stage.revisions()
    works["onboard"]()
    if stage.revisions() != before:
        raise RuntimeError("a second onboard made a new revision")
    taken = in_turns(works, stage.rounds(11))
    yield Row("onboard, nothing to do", "helm upgrade --install, both", taken["onboard"], taken["upgrade"], 0.5)
    yield Row("plan", "helm upgrade --dry-run=server, both", taken["plan"], taken["dry run"], 0.6)


def one_after_the_other(programs: Sequence[Program]) -> Sample:
    samples = [program() for program in programs]
    return Sample(
        sum(sample.seconds for sample in samples),
        sum(sample.cpu for sample in samples),
        max(sample.mebibytes for sample in samples),
    )


def a_full_namespace(stage: Stage) -> Iterator[Row]:
    """Status where 98 other releases stand in the namespace."""
    stage.onboarded("kubeadm")
    stage.fill(100)
    works = {
        "ours": stage.ddhelm("status"),
        "theirs": Program(["helm", "list", "--namespace", NAMESPACE], stage.environ),
    }
    taken = in_turns(works, stage.rounds(9))
    yield Row("status, 100 releases", "helm list --namespace", taken["ours"], taken["theirs"], 0.3)


def many_nodes(stage: Stage) -> Iterator[Row]:
    """Reading 5,000 nodes and saying what they are, beside reading them."""
    stage.topology("large")
    works = {
        "ours": stage.ddhelm("detect"),
        "theirs": Program(["kubectl", "get", "--raw", "/api/v1/nodes"], stage.environ),
    }
    taken = in_turns(works, stage.rounds(7))
    yield Row("detect, 5,000 nodes", "kubectl get --raw nodes", taken["ours"], taken["theirs"], 1.5, 250)


PARTS: dict[str, Callable[[Stage], Iterator[Row]]] = {
    "start-up": start_up,
    "nothing-to-do": nothing_to_do,
    "full-namespace": a_full_namespace,
    "many-nodes": many_nodes,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts and prints the table; 0 unless a program failed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: all)")
    parser.add_argument("--helm", default="4.3", help="minor version of helm (default: 4.3)")
    parser.add_argument("--chart", default=os.environ.get("DDHELM_TEST_CHART"), help="a packaged chart")
    parser.add_argument("--effort", type=float, default=1.0, help="factor on the number of rounds")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="ddhelm-bench-") as folder,
        Stage(Path(folder), options.helm, options.chart, options.effort) as stage,
    ):
        print(stage.sentence, flush=True)
        for name in options.parts or PARTS:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            rows += PARTS[name](stage)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
