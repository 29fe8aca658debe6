"""Agents on nodes that closed after they came: looked for on few nodes, and never guessed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from ddhelm.actions import staying
from ddhelm.answers import Answer
from ddhelm.errors import ClusterError
from ddhelm.release import pair
from ddhelm.tree import Tree
from tests.unit.clusters import WORKER, node
from tests.unit.pairs import FULL, NAMESPACE, change, context, manifest, worker_objects

RELEASE = next(one for one in pair(NAMESPACE, control_plane=True) if one.name == WORKER)
INSTALLED = {RELEASE: manifest(worker_objects())}
TOLERATIONS = ("spec", "template", "spec", "tolerations")
RUNS: Tree = {"metadata": {"name": "a"}, "status": {"phase": "Running"}}


class Pods:
    """Answers with the pods of a node; None stands for no right to list them."""

    def __init__(self, pods: Mapping[str, Sequence[Tree] | None]) -> None:
        self.pods = pods
        self.asked: list[str] = []

    def raws(self, paths: Sequence[str]) -> tuple[Answer, ...]:
        return tuple(map(self._answer, paths))

    def _answer(self, path: str) -> Answer:
        path = unquote(path)
        self.asked.append(path)
        assert f"labelSelector=app={FULL[WORKER]}&" in path
        pods = self.pods.get(path.partition("spec.nodeName=")[2].partition("&")[0], ())
        if pods is None:
            return Answer(path, None, ClusterError("pods is forbidden"))
        return Answer(path, json.dumps({"items": list(pods)}).encode())


def seen(pods: Pods, nodes: Sequence[Any], installed: Mapping[Any, Any] = INSTALLED) -> Mapping[str, frozenset[str]]:
    return staying.seen(pods, context(nodes=tuple(nodes)).coverage, nodes, installed)


def test_the_pods_of_closed_nodes_are_asked_for_and_only_those_that_run_count() -> None:
    nodes = [node(name, "late:NoSchedule") for name in ("runs", "ended", "leaves", "bare", "hidden")] + [node("w")]
    ended = {**RUNS, "status": {"phase": "Failed"}}
    leaves = {**RUNS, "metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    pods = Pods({"runs": [RUNS], "ended": [ended], "leaves": [leaves], "hidden": None, "w": [RUNS]})
    none = frozenset[str]()
    assert seen(pods, nodes) == {"runs": frozenset({WORKER}), "ended": none, "leaves": none, "bare": none}
    assert len(pods.asked) == 5
    assert all(path.startswith(f"/api/v1/namespaces/{NAMESPACE}/pods?") for path in pods.asked)


def test_nothing_is_asked_where_nothing_is_installed_or_closed() -> None:
    pods = Pods({})
    assert seen(pods, [node("w")]) == {}
    assert seen(pods, [node("g", "late:NoSchedule")], {}) == {"g": frozenset()}
    assert pods.asked == []


def test_what_the_installed_release_wants_runs_there_without_a_question() -> None:
    tolerant = manifest(change(worker_objects(), "agent", TOLERATIONS, [{"operator": "Exists"}]))
    pods = Pods({})
    assert seen(pods, [node("g", "late:NoSchedule")], {RELEASE: tolerant}) == {"g": frozenset({WORKER})}
    assert pods.asked == []


def test_of_many_nodes_some_of_each_reason_are_asked_about() -> None:
    nodes = [node(f"a{at}", "one:NoSchedule") for at in range(300)]
    nodes += [node(f"b{at}", "two:NoSchedule") for at in range(300)]
    pods = Pods({})
    found = seen(pods, nodes)
    assert len(pods.asked) == len(found) == staying.LIMIT
    assert {name[0] for name in found} == {"a", "b"}


def test_coverage_keeps_what_was_seen() -> None:
    nodes = [node(name, "late:NoSchedule") for name in ("runs", "bare", "unseen")]
    covered = context(nodes=tuple(nodes)).coverage.with_running({"runs": frozenset({WORKER}), "bare": frozenset()})
    assert [(v.node, v.until_restart) for v in covered.verdicts] == [
        ("runs", (WORKER,)),
        ("bare", ()),
        ("unseen", (WORKER,)),
    ]
