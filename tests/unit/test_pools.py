"""5,000 nodes are a table of a few lines, with what needs care on top."""

from ddhelm.coverage import compute
from ddhelm.pools import pools
from tests.unit.clusters import CONTROL, WORKER, control_plane, node, pair

ETCD = "node-role.kubernetes.io/etcd"


def test_alike_nodes_with_the_same_verdict_are_one_pool() -> None:
    nodes = [control_plane("c1"), *(node(f"a{i}", labels={"agentpool": "a"}) for i in range(7))]
    nodes += [
        node("b0", "gpu:NoSchedule", labels={"agentpool": "b"}),
        node("b1", "gpu:NoSchedule", labels={"agentpool": "b"}),
    ]
    found = pools(compute(nodes, pair()), nodes)
    assert [(p.name, p.roles, p.nodes, p.agents, p.releases) for p in found] == [
        ("b", (), 2, 0, ()),
        ("a", (), 7, 1, (WORKER,)),
        ("", ("control-plane",), 1, 1, (CONTROL,)),
    ]
    assert found[0].taints == ("gpu:NoSchedule",)
    assert found[0].fix == "--tolerate gpu:NoSchedule"
    assert found[1].names == ("a0", "a1", "a2", "a3", "a4")
    assert (found[1].os, found[1].arch) == ("linux", "amd64")
    assert sum(pool.nodes for pool in found) == len(nodes)


def test_what_needs_care_comes_first() -> None:
    nodes = [
        node("ok"),
        node("ok2"),
        node("gap", "x:NoSchedule"),
        node("wait", "node.kubernetes.io/not-ready:NoSchedule"),
        node("known", "x:NoSchedule", labels={"p": "1"}),
        control_plane("two"),
    ]
    both = (*pair(), pair()[1])
    found = pools(compute(nodes, both, accept=["p=1"]), nodes)
    assert [p.names[0] for p in found] == ["two", "gap", "known", "wait", "ok"]
    assert [p.agents for p in found] == [2, 0, 0, 0, 1]
    assert (found[2].accepted, found[3].transient) == (True, True)


def test_a_fix_that_names_a_node_names_one_of_the_pool() -> None:
    nodes = [node("a", "node-role.kubernetes.io/control-plane:NoSchedule")]
    assert pools(compute(nodes, pair()), nodes)[0].fix.startswith("kubectl label node a ")


def test_a_role_comes_from_the_distributions_own_labels_too() -> None:
    plain, old = "node.kubernetes.io/microk8s-controlplane", "node-role.kubernetes.io/master"
    nodes = [node("a", labels={plain: "x"}), control_plane("b"), node("c", labels={old: ""}), node("d")]
    nodes.append(node("e", labels={old: "", "node-role.kubernetes.io/control-plane": "", ETCD: ""}))
    found = {pool.names[0]: pool.roles for pool in pools(compute(nodes, pair()), nodes, [plain, old])}
    assert found == {
        "a": ("control-plane",),
        "b": ("control-plane",),
        "c": ("master",),
        "d": (),
        "e": ("control-plane", "etcd"),
    }
    assert pools(compute(nodes[:1], pair()), nodes[:1])[0].roles == ()
