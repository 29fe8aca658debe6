"""`make bench`: ddhelm beside the tools whose work it does, as ratios on this machine in this minute.

Nothing here is a test: figures of a busy machine are no verdict, the ratios of programs that take turns nearly are. A
promise that is not kept is marked `OVER` in the table; the exit code stays 0.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ddhelm import coverage
from ddhelm.coverage import Placement
from ddhelm.nodes import Node
from tests.bench.measure import Program, Row, Sample, Work, in_turns, table
from tests.bench.stage import NAMESPACE, RELEASES, Stage, plugins_with

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
    plugins = plugins_with("diff")
    if plugins is not None:
        diffs = [stage.diff(release, plugins) for release in RELEASES]
        works["helm-diff"] = lambda: one_after_the_other(diffs)
    before = stage.revisions()
    works["onboard"]()
    if stage.revisions() != before:
        raise RuntimeError("a second onboard made a new revision")
    taken = in_turns(works, stage.rounds(11))
    yield Row("onboard, nothing to do", "helm upgrade --install, both", taken["onboard"], taken["upgrade"], 0.5)
    yield Row("plan", "helm upgrade --dry-run=server, both", taken["plan"], taken["dry run"], 0.6)
    if plugins is None:
        print("  helm-diff is not installed here: nothing to compare a plan with", file=sys.stderr)
    else:  # a plan with Helm 4 asks the API server about conflicts too
        limit = 0.7 if stage.helm.startswith("4") else 0.4
        yield Row("plan", "helm diff upgrade, both", taken["plan"], taken["helm-diff"], limit)


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


def without_a_cluster(stage: Stage) -> Iterator[Row]:
    """A plan from a file of facts, the operator's CRDs (nine tenths of a render) included, beside two bare renders."""
    stage.onboarded("kubeadm")
    facts = stage.folder / "facts.json"
    facts.write_text(stage.answer("ddhelm", "detect", "--output", "json"))
    operator = "datadog.operator.enabled=true"
    plan = ("plan", "--offline", "--facts", str(facts), "--chart", str(stage.chart), "--worker-set", operator)
    renders = [stage.render(RELEASES[0], "--set", operator), stage.render(RELEASES[1])]
    works: dict[str, Work] = {"ours": stage.ddhelm(*plan), "theirs": lambda: at_once(renders)}
    taken = in_turns(works, stage.rounds(11))
    yield Row("plan --offline", "helm template, both at once", taken["ours"], taken["theirs"], 3, 150)


def at_once(programs: Sequence[Program]) -> Sample:
    started = time.perf_counter()
    with ThreadPoolExecutor(len(programs)) as pool:
        samples = list(pool.map(Program.beside, programs))
    seconds = time.perf_counter() - started
    return Sample(seconds, sum(sample.cpu for sample in samples), max(sample.mebibytes for sample in samples))


def many_nodes(stage: Stage) -> Iterator[Row]:
    """Reading 5,000 nodes and saying what they are, beside reading them."""
    stage.topology("large")
    works = {
        "ours": stage.ddhelm("detect"),
        "theirs": Program(["kubectl", "get", "--raw", "/api/v1/nodes"], stage.environ),
    }
    taken = in_turns(works, stage.rounds(7))
    yield Row("detect, 5,000 nodes", "kubectl get --raw nodes", taken["ours"], taken["theirs"], 1.5, 250)
    placements, nodes = stage.placements(), stage.nodes()
    coverages = {str(size): covered(nodes[:size], placements) for size in (500, 5000)}
    taken = in_turns(coverages, stage.rounds(7))
    yield Row("coverage of 5,000 nodes", "coverage of 500 nodes", taken["5000"], taken["500"], 12)


def covered(nodes: Sequence[Node], placements: Sequence[Placement]) -> Work:
    """The computation alone, in this process: the nodes are read already."""

    def work() -> Sample:
        started, cpu = time.perf_counter(), time.process_time()
        found = coverage.compute(nodes, placements)
        if len(found.exactly_one) != len(nodes):
            raise RuntimeError(f"{len(found.exactly_one)} of {len(nodes)} nodes run one agent")
        return Sample(time.perf_counter() - started, time.process_time() - cpu)

    return work


NODES, AT_ONCE = 500, 10


def many_agents(stage: Stage) -> Iterator[Row]:
    """Asking 500 agents, which answer from a file, beside the same execs out of a shell loop."""
    stage.five_hundred(NODES)
    loop = f'xargs -P "$2" -I POD kubectl exec -n {NAMESPACE} POD -c agent -- agent status --json <"$1" >/dev/null'
    pods = stage.agents()
    if len(pods) != NODES:
        raise RuntimeError(f"{len(pods)} of {NODES} agents are there")
    listed = stage.folder / "agents"
    listed.write_text("".join(f"{pod}\n" for pod in pods))
    works: dict[str, Work] = {
        "ours": stage.ddhelm("verify", "--concurrency", str(AT_ONCE)),
        "theirs": Program(["sh", "-c", loop, "sh", str(listed), str(AT_ONCE)], stage.environ),
    }
    taken = in_turns(works, stage.rounds(3), warm_up=0)
    yield Row(f"verify, {NODES} nodes", f"xargs -P {AT_ONCE} kubectl exec", taken["ours"], taken["theirs"], 1.5, 200)


PARTS: dict[str, Callable[[Stage], Iterator[Row]]] = {
    "start-up": start_up,
    "nothing-to-do": nothing_to_do,
    "full-namespace": a_full_namespace,
    "without-a-cluster": without_a_cluster,
    "many-agents": many_agents,
    # last: its nodes are read into this process, and a child begins with the size of the one that it was forked from
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
