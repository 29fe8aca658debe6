"""The computed coverage is what the real DaemonSet controller and scheduler did, node by node."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ddhelm import selector
from ddhelm.coverage import Placement, compute
from ddhelm.errors import ConfigError
from ddhelm.facts import ClusterFacts
from ddhelm.nodes import Node
from ddhelm.tree import Tree
from tests.cluster.driver import placements_of, read_facts
from tests.sandbox.api import ApiError, at_once
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for

NAMESPACE = "agreement"
DAEMONSETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
Placed = dict[str, frozenset[str]]
"""DaemonSet to the nodes that it has a pod on."""


@pytest.mark.parametrize(
    ("seed", "nodes", "rules"),
    [(1, 90, 8), *(pytest.param(seed, 250, 12, marks=pytest.mark.matrix) for seed in (2, 3, 4))],
)
def test_any_daemonset_lands_where_it_was_computed(
    cluster: Clusters, tmp_path: Path, seed: int, nodes: int, rules: int
) -> None:
    dice = random.Random(seed)
    sandbox = cluster(random_topology(dice, nodes, tmp_path / "random.yaml"))
    wait_for(lambda: tainted_by_kubernetes(read_facts(sandbox)), 60, "the taints of cordoned and unready nodes")
    names = [node.name for node in read_facts(sandbox).nodes]
    placements = make(sandbox, [daemonset(f"rule-{at}", **random_rules(dice, names)) for at in range(rules)])
    landed = settled(sandbox, rules)
    known = read_facts(sandbox)
    computed = wanted(compute(known.nodes, placements).verdicts, placements)
    assert difference(landed, computed, known) == []
    assert 0 < sum(map(len, landed.values())) < nodes * rules

    at_once(lambda change: sandbox.loader.merge(*change), list(random_changes(dice, known)))
    assert follow(sandbox, placements, landed) > 0
    agree_on_selectors(sandbox, read_facts(sandbox), dice)


def follow(sandbox: Sandbox, placements: tuple[Placement, ...], before: Placed) -> int:
    """Wait until the pods have followed the nodes as computed; how many stay only until their next restart."""
    wants: Placed = {}
    keeps: Placed = {}

    def moved() -> bool:
        verdicts = compute(read_facts(sandbox).nodes, placements).verdicts
        wants.update(wanted(verdicts, placements))
        for one in placements:
            keeps[one.name] = frozenset(v.node for v in verdicts if one.release in v.until_restart) & before[one.name]
        if pods(sandbox) != {name: wants[name] | keeps[name] for name in wants}:
            return False
        if counted(sandbox) == {name: (len(wants[name]), len(keeps[name])) for name in wants}:
            return True
        # The controller (1.36) does not count anew when a node no longer wants a pod but keeps it: wake it up.
        for name in wants:
            sandbox.loader.merge(
                f"{DAEMONSETS}/{name}", {"metadata": {"annotations": {"again": str(time.monotonic())}}}
            )
        return False

    try:
        wait_for(moved, 120, "the pods to follow the nodes", every=0.5)
    except TimeoutError:
        known = read_facts(sandbox)
        assert difference(pods(sandbox), {name: wants[name] | keeps[name] for name in wants}, known) == []
        assert counted(sandbox) == {name: (len(wants[name]), len(keeps[name])) for name in wants}
        raise
    return sum(map(len, keeps.values()))


HTTP, STATSD = {"containerPort": 8126}, {"containerPort": 8125, "protocol": "UDP"}


@pytest.mark.parametrize(
    ("one", "other", "host_network"),
    [
        ({**STATSD, "hostPort": 8125}, {**STATSD, "hostPort": 8125}, False),
        ({**STATSD, "hostPort": 8125}, {**HTTP, "hostPort": 8125}, False),
        ({**STATSD, "hostPort": 8125, "hostIP": "10.0.0.1"}, {**STATSD, "hostPort": 8125, "hostIP": "10.0.0.2"}, False),
        ({**STATSD, "hostPort": 8125, "hostIP": "10.0.0.1"}, {**STATSD, "hostPort": 8125}, False),
        (STATSD, {**STATSD, "hostPort": 8125}, False),
        (STATSD, {**STATSD, "hostPort": 8125}, True),
    ],
)
def test_two_pods_share_a_node_unless_their_ports_were_computed_to_clash(
    cluster: Clusters, one: Tree, other: Tree, host_network: bool
) -> None:
    sandbox = cluster("k3s-single")
    tolerate_all = [{"operator": "Exists"}]
    bodies = [
        daemonset("one", one, hostNetwork=host_network, tolerations=tolerate_all),
        daemonset("other", other, tolerations=tolerate_all),
    ]
    clash = bool(compute(read_facts(sandbox).nodes, make(sandbox, bodies)).verdicts[0].port_clash)

    def decided() -> bool:
        conditions = [c for pod in sandbox.loader.get(PODS)["items"] for c in pod["status"].get("conditions", [])]
        scheduled = [c["status"] for c in conditions if c["type"] == "PodScheduled"]
        return len(scheduled) == 2 and (not clash or sorted(scheduled) == ["False", "True"])

    wait_for(decided, 30, "the scheduler's word on both pods")
    assert sum(map(len, pods(sandbox).values())) == (1 if clash else 2)


def agree_on_selectors(sandbox: Sandbox, known: ClusterFacts, dice: random.Random) -> None:
    """The API server lists the nodes that a selector of ours matches, and refuses what we refuse."""
    refused = 0
    for text in {random_selector(dice) for _ in range(300)}:
        query = "".join(char if char.isalnum() else f"%{ord(char):02X}" for char in text)
        try:
            listed = sandbox.loader.get(f"/api/v1/nodes?labelSelector={query}")["items"]
            theirs: object = sorted(item["metadata"]["name"] for item in listed)
        except ApiError as error:
            theirs = "refused" if error.status == 400 else str(error)
            refused += 1
        try:
            ours_ = selector.parse(text)
            mine: object = sorted(node.name for node in known.nodes if ours_.matches(node.labels))
        except ConfigError:
            mine = "refused"
        assert (text, mine) == (text, theirs)
    assert refused > 20


# -- the cluster ------------------------------------------------------------------------------------------------------


def make(sandbox: Sandbox, bodies: list[Tree]) -> tuple[Placement, ...]:
    """Create the DaemonSets; their placements, each under its own name as release."""
    sandbox.loader.apply(
        f"/api/v1/namespaces/{NAMESPACE}",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    )
    wait_for(lambda: sandbox.loader.find(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), 30, "its account")
    for body in bodies:
        sandbox.loader.post(DAEMONSETS, body)
    return placements_of(bodies, NAMESPACE)


def settled(sandbox: Sandbox, count: int) -> Placed:
    """Where the pods are once the controller has seen every DaemonSet and the scheduler every pod."""

    def done() -> bool:
        items = sandbox.loader.get(DAEMONSETS)["items"]
        seen = all(item["status"].get("observedGeneration") == item["metadata"]["generation"] for item in items)
        bound = {name: len(nodes) for name, nodes in pods(sandbox).items()}
        return (
            seen
            and len(items) == count
            and all(item["status"]["desiredNumberScheduled"] == bound[item["metadata"]["name"]] for item in items)
        )

    try:
        wait_for(done, 120, "every pod that the DaemonSets want", every=0.3)
    except TimeoutError:
        waiting = [pod["status"] for pod in sandbox.loader.get(PODS)["items"] if "nodeName" not in pod["spec"]]
        assert (counted(sandbox), waiting[:3]) == ({}, [])
        raise
    return pods(sandbox)


def pods(sandbox: Sandbox) -> Placed:
    """The nodes of the pods of each DaemonSet; raises where two pods of one are on the same node."""
    found: dict[str, list[str]] = {item["metadata"]["name"]: [] for item in sandbox.loader.get(DAEMONSETS)["items"]}
    for pod in sandbox.loader.get(PODS)["items"]:
        node = pod["spec"].get("nodeName")
        if node and "deletionTimestamp" not in pod["metadata"]:
            found[pod["metadata"]["ownerReferences"][0]["name"]].append(node)
    return {name: frozenset(nodes) for name, nodes in found.items()}


def counted(sandbox: Sandbox) -> dict[str, tuple[int, int]]:
    """What the controller itself says of each DaemonSet: nodes that want a pod, nodes with one that do not."""
    return {
        item["metadata"]["name"]: (item["status"]["desiredNumberScheduled"], item["status"]["numberMisscheduled"])
        for item in sandbox.loader.get(DAEMONSETS)["items"]
    }


def wanted(verdicts: tuple[Any, ...], placements: tuple[Placement, ...]) -> Placed:
    return {p.name: frozenset(v.node for v in verdicts if p.release in v.releases) for p in placements}


def difference(
    real: Mapping[str, frozenset[str]], computed: Mapping[str, frozenset[str]], known: ClusterFacts
) -> list[str]:
    """One line per node on which they do not agree, with what the decision was made from."""
    nodes = {node.name: node for node in known.nodes}
    return [
        f"{name} on {node}: {'only really' if node in real[name] else 'only computed'}; {nodes[node]}"
        for name in computed
        for node in sorted(real[name] ^ computed[name])
    ]


def tainted_by_kubernetes(known: ClusterFacts) -> bool:
    """Whether the node lifecycle controller has written the taints that it owes."""

    def owed(node: Node) -> set[tuple[str, str]]:
        found = {("node.kubernetes.io/unschedulable", "NoSchedule")} if node.unschedulable else set()
        if not node.ready:
            found.add(("node.kubernetes.io/not-ready", "NoSchedule"))  # NoExecute follows later; DaemonSets tolerate it
        return found

    return all(owed(node) <= {(t.key, t.effect) for t in node.taints} for node in known.nodes)


def daemonset(name: str, *ports: Tree, **pod: Any) -> Tree:
    labels = {"app": name}
    container = {"name": "agent", "image": "agent", "ports": list(ports)}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **pod}},
        },
    }


# -- chance -----------------------------------------------------------------------------------------------------------

LABELS: dict[str, list[str | None]] = {
    "a": [None, None, "", "1", "2"],
    "b": [None, "1", "x"],
    "cores": [None, "2", "4", "8", "04", "many"],
    "node-role.kubernetes.io/control-plane": [None, None, None, ""],
    "kubernetes.io/os": ["linux", "linux", "linux", "linux", "linux", "windows"],
}
TAINTS = [
    *(f"{key}{value}:NoSchedule" for key in ("t", "u") for value in ("", "=v", "=w")),
    *(f"{key}{value}:NoExecute" for key in ("t", "u") for value in ("", "=v", "=w")),
    "t=v:PreferNoSchedule",
    "node-role.kubernetes.io/control-plane:NoSchedule",
    "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule",
    "ToBeDeletedByClusterAutoscaler=1:NoSchedule",
    "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
]


def random_topology(dice: random.Random, count: int, file: Path) -> Path:
    groups = []
    for at in range(count):
        labels = {key: value for key, choice in LABELS.items() if (value := dice.choice(choice)) is not None}
        taints = dice.sample(TAINTS, dice.choice([0, 0, 0, 1, 1, 2]))
        unique = {(t.partition("=")[0].partition(":")[0], t.rpartition(":")[2]): t for t in taints}
        group: Tree = {"name": f"n{at}", "labels": labels, "taints": list(unique.values())}
        if dice.random() < 0.08:
            group["unschedulable"] = True
        if dice.random() < 0.05:
            group["annotations"] = {"sandbox.ddhelm.dev/not-ready": "by chance"}
        groups.append(group)
    file.write_text(json.dumps({"description": "by chance", "nodes": groups}))
    return file


def random_rules(dice: random.Random, names: list[str]) -> Tree:
    pod: Tree = {"tolerations": [random_toleration(dice) for _ in range(dice.randint(0, 3))]}
    if dice.random() < 0.3:
        key = dice.choice(list(LABELS))
        pod["nodeSelector"] = {key: dice.choice([value for value in LABELS[key] if value is not None])}
    if dice.random() < 0.75:
        terms = [random_term(dice, names) for _ in range(dice.randint(1, 3))]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        pod["affinity"] = {"nodeAffinity": required}
    if dice.random() < 0.2:
        pod["hostNetwork"] = True
    return pod


def random_term(dice: random.Random, names: list[str]) -> Tree:
    term: Tree = {}
    if dice.random() < 0.9:
        term["matchExpressions"] = [random_expression(dice) for _ in range(dice.randint(0, 2))]
    if dice.random() < 0.15:
        field = {"key": "metadata.name", "operator": dice.choice(["In", "NotIn"]), "values": [dice.choice(names)]}
        term["matchFields"] = [field]
    return term


def random_expression(dice: random.Random) -> Tree:
    key = dice.choice([*LABELS, "nowhere"])
    operator = dice.choice(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"])
    if operator in {"Exists", "DoesNotExist"}:
        return {"key": key, "operator": operator}
    if operator in {"Gt", "Lt"}:
        return {"key": "cores", "operator": operator, "values": [dice.choice(["0", "3", "4"])]}
    known = [value for value in LABELS.get(key, []) if value is not None] or ["x"]
    return {"key": key, "operator": operator, "values": dice.sample(sorted({*known, "z"}), dice.randint(1, 2))}


def random_toleration(dice: random.Random) -> Tree:
    effect = dice.choice([{}, {}, {"effect": "NoSchedule"}, {"effect": "NoExecute"}])
    if dice.random() < 0.15:
        return {"operator": "Exists", **effect}
    key = dice.choice(["t", "u", "node-role.kubernetes.io/control-plane", "ToBeDeletedByClusterAutoscaler"])
    if dice.random() < 0.5:
        return {"key": key, "operator": "Exists", **effect}
    value = dice.choice([{}, {"value": "v"}, {"value": "w"}])
    return {"key": key, **dice.choice([{}, {"operator": "Equal"}]), **value, **effect}


def random_changes(dice: random.Random, known: ClusterFacts) -> Iterator[tuple[str, Tree]]:
    """Merge patches of half of the nodes: a taint that comes late, one that goes, a label that changes."""
    for node in dice.sample(list(known.nodes), len(known.nodes) // 2):
        path = f"/api/v1/nodes/{node.name}"
        taints = [{"key": t.key, "value": t.value, "effect": t.effect} for t in node.taints]
        match dice.choice(["NoSchedule", "NoSchedule", "NoExecute", "PreferNoSchedule", "less", "label", "label"]):
            case "less":
                yield path, {"spec": {"taints": [t for t in taints if "kubernetes.io/" in t["key"]]}}
            case "label":
                key = dice.choice(list(LABELS))
                yield path, {"metadata": {"labels": {key: dice.choice(LABELS[key])}}}
            case effect:
                yield path, {"spec": {"taints": [*taints, {"key": "late", "effect": effect}]}}


def random_selector(dice: random.Random) -> str:
    def one() -> str:
        key = dice.choice(["a", "b", "cores", "in", "nowhere", "x y", "-"])
        value = dice.choice(["1", "x", "", "in", "4", "a/b"])
        shapes = [
            "{k}={v}",
            "{k}=={v}",
            "{k}!={v}",
            "{k} in ({v},2)",
            "{k} notin ({v})",
            "{k}",
            "!{k}",
            "{k}>{v}",
            "{k} < {v}",
        ]
        shapes += ["{k} in {v}", "{k} = {v}", "! {k}", "{k},"]
        return dice.choice(shapes).format(k=key, v=value)

    return ",".join(one() for _ in range(dice.randint(1, 3)))
