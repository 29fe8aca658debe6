"""Each node's agents, by the scheduler's rules; a node without one is named with what to blame and what to type."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from ddhelm.coverage import (
    Blame,
    Coverage,
    HostPort,
    Placement,
    Verdict,
    agent_placements,
    compute,
    parse_toleration,
    picking_none,
    schedulable,
    transient,
)
from ddhelm.errors import ConfigError
from ddhelm.manifest import from_objects
from ddhelm.nodes import Node
from ddhelm.taints import show
from tests.unit.clusters import (
    ARCH,
    CONTROL,
    CONTROL_PLANE,
    HOSTNAME,
    MASKER,
    OS,
    WORKER,
    affinity,
    control_plane,
    daemonset,
    expression,
    node,
    pair,
    placed,
    taint,
)


def runs(placement: Placement, where: Node) -> bool:
    return compute([where], [placement]).verdicts[0].releases == (placement.release,)


def stays(placement: Placement, where: Node) -> bool:
    """What the DaemonSet controller calls shouldContinueRunning."""
    verdict = compute([where], [placement]).verdicts[0]
    return bool(verdict.releases or verdict.until_restart)


ANY = placed()


@pytest.mark.parametrize(
    ("operator", "values", "label", "matches"),
    [
        ("In", ("a", "b"), "b", True),
        ("In", ("a", "b"), "c", False),
        ("In", ("a",), None, False),
        ("NotIn", ("a",), "b", True),
        ("NotIn", ("a",), "a", False),
        ("NotIn", ("a",), None, True),
        ("Exists", (), "", True),
        ("Exists", (), None, False),
        ("DoesNotExist", (), None, True),
        ("DoesNotExist", (), "", False),
        ("Gt", ("5",), "6", True),
        ("Gt", ("5",), "5", False),
        ("Gt", ("5",), "x", False),
        ("Gt", ("5",), None, False),
        ("Lt", ("5",), "-6", True),
        ("Lt", ("5",), "5", False),
        ("In", (), "a", False),
        ("Exists", ("a",), "a", False),
        ("Gt", ("5", "6"), "7", False),
        ("Near", ("a",), "a", False),
    ],
)
def test_every_operator_of_a_node_affinity(
    operator: str, values: tuple[str, ...], label: str | None, matches: bool
) -> None:
    rule = placed(affinity=affinity([expression("k", operator, *values)]))
    assert runs(rule, node("n", labels={"k": label})) is matches


def test_terms_are_alternatives_and_expressions_are_not() -> None:
    rule = placed(
        affinity=affinity([expression("a", "Exists"), expression("b", "Exists")], [expression("c", "Exists")])
    )
    assert runs(rule, node("n", labels={"a": "", "b": ""}))
    assert runs(rule, node("n", labels={"c": ""}))
    assert not runs(rule, node("n", labels={"a": ""}))


def test_an_empty_term_matches_nothing_and_no_affinity_matches_all() -> None:
    assert not runs(placed(affinity=affinity([])), node("n"))
    assert not runs(placed(affinity=affinity()), node("n"))
    assert runs(placed(affinity=affinity([], [expression("a", "DoesNotExist")])), node("n"))
    assert runs(placed(affinity={}), node("n"))
    assert runs(placed(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}), node("n"))


def test_a_term_that_kubernetes_would_not_take_matches_nothing_but_hides_no_other() -> None:
    odd, good = [expression("a", "Gt", "x")], [expression("b", "Exists")]
    assert not runs(placed(affinity=affinity(odd)), node("n", labels={"a": "5", "b": ""}))
    assert runs(placed(affinity=affinity(odd, good)), node("n", labels={"b": ""}))


def test_fields_match_the_name_of_the_node() -> None:
    mine = placed(affinity=affinity(fields=[[expression("metadata.name", "In", "a")]]))
    others = placed(affinity=affinity(fields=[[expression("metadata.name", "NotIn", "a")]]))
    nodes = [node("a"), node("b")]
    assert [v.releases for v in compute(nodes, [mine]).verdicts] == [(WORKER,), ()]
    assert [v.releases for v in compute(nodes, [others]).verdicts] == [(), (WORKER,)]
    two = placed(affinity=affinity(fields=[[expression("metadata.name", "In", "a", "b")]]))
    assert not runs(two, node("a"))


def test_node_name_and_node_selector_both_choose() -> None:
    assert not runs(placed(nodeName="b"), node("a"))
    assert runs(placed(nodeName="a"), node("a"))
    assert runs(placed(nodeSelector={"k": "v"}), node("a", labels={"k": "v"}))
    assert not runs(placed(nodeSelector={"k": "v"}), node("a", labels={"k": "w"}))
    both = placed(nodeSelector={"k": "v"}, affinity=affinity([expression("a", "Exists")]))
    assert not runs(both, node("a", labels={"k": "v"}))


@pytest.mark.parametrize(
    ("toleration", "on", "tolerated"),
    [
        ({"operator": "Exists"}, "any=x:NoExecute", True),
        ({"operator": "Exists", "effect": "NoSchedule"}, "any:NoExecute", False),
        ({"key": "k", "operator": "Exists"}, "k=v:NoSchedule", True),
        ({"key": "k", "operator": "Exists"}, "j=v:NoSchedule", False),
        ({"key": "k", "operator": "Equal", "value": "v"}, "k=v:NoSchedule", True),
        ({"key": "k", "operator": "Equal", "value": "v"}, "k=w:NoSchedule", False),
        ({"key": "k", "value": "v"}, "k=v:NoExecute", True),
        ({"key": "k"}, "k:NoSchedule", True),
        ({"key": "k"}, "k=v:NoSchedule", False),
        ({"key": "k", "value": "v", "effect": "NoExecute"}, "k=v:NoSchedule", False),
        ({"key": "k", "operator": "Gt", "value": "1"}, "k=5:NoSchedule", False),
        ({"key": "k", "operator": "Exists", "tolerationSeconds": 5}, "k:NoExecute", True),
    ],
)
def test_every_form_of_a_toleration(toleration: dict[str, object], on: str, tolerated: bool) -> None:
    assert runs(placed(tolerations=[toleration]), node("n", on)) is tolerated


def test_prefer_no_schedule_keeps_nobody_away() -> None:
    assert runs(ANY, node("n", "k:PreferNoSchedule"))


@pytest.mark.parametrize(
    ("on", "runs_there", "stays_there"),
    [
        ("node.kubernetes.io/not-ready:NoExecute", True, True),
        ("node.kubernetes.io/unreachable:NoExecute", True, True),
        ("node.kubernetes.io/not-ready:NoSchedule", False, True),
        ("node.kubernetes.io/disk-pressure:NoSchedule", True, True),
        ("node.kubernetes.io/memory-pressure:NoSchedule", True, True),
        ("node.kubernetes.io/pid-pressure:NoSchedule", True, True),
        ("node.kubernetes.io/unschedulable:NoSchedule", True, True),
        ("node.kubernetes.io/network-unavailable:NoSchedule", False, True),
        ("node.kubernetes.io/out-of-service:NoExecute", False, False),
        ("own:NoSchedule", False, True),
        ("own:NoExecute", False, False),
    ],
)
def test_the_tolerations_that_the_controller_adds_by_itself(on: str, runs_there: bool, stays_there: bool) -> None:
    assert runs(ANY, node("n", on)) is runs_there
    assert stays(ANY, node("n", on)) is stays_there


def test_on_the_host_network_a_missing_network_is_tolerated() -> None:
    assert runs(placed(hostNetwork=True), node("n", "node.kubernetes.io/network-unavailable:NoSchedule"))


def test_a_pod_whose_labels_no_longer_match_does_not_stay() -> None:
    rule = placed(nodeSelector={"k": "v"})
    assert not stays(rule, node("n"))
    assert not stays(rule, node("n", "own:NoSchedule"))


def test_a_cordoned_node_keeps_its_agent() -> None:
    assert runs(ANY, node("n", "node.kubernetes.io/unschedulable:NoSchedule", unschedulable=True))


def covered(*nodes: Node, accept: tuple[str, ...] = ()) -> Coverage:
    return compute(nodes, pair(), accept=accept)


def test_every_node_of_a_kubeadm_cluster_gets_exactly_one_agent() -> None:
    found = covered(control_plane("c1"), control_plane("c2"), node("w1"), node("w2"))
    assert [v.releases for v in found.verdicts] == [(CONTROL,), (CONTROL,), (WORKER,), (WORKER,)]
    assert found.counts() == {
        "nodes": 4,
        "exactly_one": 4,
        "doubled": 0,
        "uncovered": 0,
        "accepted": 0,
        "transient": 0,
        "until_restart": 0,
    }


def test_without_our_affinities_two_agents_share_a_node() -> None:
    found = compute([node("a")], [placed(WORKER), placed(CONTROL)])
    assert found.doubled[0].releases == (WORKER, CONTROL)
    assert found.doubled[0].port_clash == ()


def test_an_unknown_taint_is_blamed_with_the_toleration_to_type() -> None:
    (verdict,) = covered(
        node("a", "dedicated=gpu:NoSchedule", "own:NoExecute", "node.kubernetes.io/not-ready:NoSchedule")
    ).uncovered
    assert verdict.blame is not None
    assert verdict.blame.kind == "taint"
    assert "`dedicated=gpu:NoSchedule`, `own:NoExecute`" in verdict.blame.text
    assert WORKER in verdict.blame.text
    assert verdict.fix == "--tolerate dedicated=gpu:NoSchedule --tolerate own:NoExecute"
    typed = verdict.fix.replace("--tolerate ", "").split()
    healed = pair(tolerations=[parse_toleration(text) for text in typed])
    assert compute([node("a", "dedicated=gpu:NoSchedule", "own:NoExecute")], healed).uncovered == ()


def test_a_taint_that_the_control_plane_release_does_not_tolerate_is_no_matter_of_tolerate() -> None:
    (verdict,) = compute([control_plane("c", "own:NoExecute")], [placed(CONTROL)]).uncovered
    assert verdict.fix == "--control-plane-set 'agents.tolerations[0].operator=Exists'"
    also = replace(verdict, node="w", blame=Blame("taint", "taint `gpu`", "--tolerate gpu"))
    together = Coverage((verdict, also)).fixed_together(("old",))
    assert [each.fix for each in together.verdicts] == [verdict.fix, "--tolerate old --tolerate gpu"]


def test_a_control_plane_taint_without_the_label_is_blamed_on_the_missing_label() -> None:
    (verdict,) = covered(node("a", f"{CONTROL_PLANE}:NoSchedule")).uncovered
    assert verdict.blame is not None
    assert verdict.blame.kind == "role"
    assert verdict.fix == f"kubectl label node a {CONTROL_PLANE}="
    assert verdict.until_restart == (WORKER,)
    assert covered(control_plane("a")).uncovered == ()


@pytest.mark.parametrize(
    ("labels", "kind", "fix"),
    [
        ({OS: "windows"}, "os", f"--accept-uncovered '{OS}=windows'"),
        ({OS: None}, "os", f"--accept-uncovered '!{OS}'"),
        ({}, "label", "--accept-uncovered '!pool'"),
        ({"pool": "b"}, "label", "--accept-uncovered 'pool=b'"),
    ],
)
def test_a_label_is_blamed_with_the_selector_that_accepts_it(
    labels: dict[str, str | None], kind: str, fix: str
) -> None:
    rules = pair(nodeSelector={OS: "linux", "pool": "a"})
    where = node("n", labels=labels)
    (verdict,) = compute([where], rules).uncovered
    assert verdict.blame is not None
    assert verdict.blame.kind == kind
    assert verdict.fix == fix
    selector = fix.split("'")[1]
    accepted = compute([where], rules, accept=[selector])
    assert accepted.uncovered == ()
    assert accepted.accepted[0].node == "n"


def test_while_a_release_is_gone_its_nodes_are_not_offered_for_acceptance() -> None:
    worker = [placement for placement in pair() if placement.release == WORKER]
    nodes = [control_plane("c"), node("gpu", "gpu:NoSchedule"), node("w", labels={OS: "windows"})]
    found = {verdict.node: verdict for verdict in compute(nodes, worker, absent=[CONTROL]).uncovered}
    assert found["c"].fix == found["gpu"].fix == "ddhelm onboard"
    assert found["c"].blame is not None
    assert f"no DaemonSet of `{CONTROL}` is there" in found["c"].blame.text
    assert found["w"].fix == f"--accept-uncovered '{OS}=windows'"
    assert "--accept-uncovered" in compute(nodes, worker).uncovered[0].fix


def test_while_nothing_is_installed_that_is_the_reason() -> None:
    (verdict,) = compute([node("n")], [], absent=[WORKER, CONTROL]).uncovered
    assert verdict.blame is not None
    assert verdict.blame.text == f"no agent is installed: no DaemonSet of `{WORKER}`, `{CONTROL}` is there"
    assert verdict.fix == "ddhelm onboard"
    (verdict,) = compute([node("n")], []).uncovered
    assert verdict.blame is not None
    assert verdict.blame.text.startswith("no agent is installed")


def test_an_architecture_and_a_name_are_blamed_as_such() -> None:
    blame = compute([node("n")], [placed(nodeSelector={ARCH: "arm64"})]).verdicts[0].blame
    assert blame is not None
    assert (blame.kind, blame.text) == ("arch", f"`{ARCH}=amd64`, where `{WORKER}` wants `{ARCH}=arm64`")
    blame = compute([node("n")], [placed(nodeName="m")]).verdicts[0].blame
    assert blame is not None
    assert blame.kind == "name"
    blame = compute([node("n")], [placed(affinity=affinity())]).verdicts[0].blame
    assert blame is not None
    assert blame.kind == "label"
    assert compute([node("n")], []).verdicts[0].blame is not None


@pytest.mark.parametrize(
    "on",
    [
        "node.kubernetes.io/not-ready:NoSchedule",
        "node.cloudprovider.kubernetes.io/uninitialized=true:NoSchedule",
        "node.cloudprovider.kubernetes.io/shutdown:NoSchedule",
        "ToBeDeletedByClusterAutoscaler=1700000000:NoSchedule",
        "DeletionCandidateOfClusterAutoscaler:NoSchedule",
        "karpenter.sh/disrupted:NoSchedule",
        "karpenter.sh/unregistered:NoExecute",
        "node.cilium.io/agent-not-ready:NoExecute",
    ],
)
def test_a_taint_that_goes_by_itself_is_named_and_is_no_gap(on: str) -> None:
    found = covered(node("a", on))
    assert transient(taint(on))
    assert found.uncovered == ()
    (verdict,) = found.transient
    assert verdict.blame is not None
    assert (verdict.blame.kind, verdict.fix) == ("transient", "")
    assert on in verdict.blame.text


@pytest.mark.parametrize(
    "on", ["node.kubernetes.io/os=win2022:NoSchedule", "dedicated=x:NoSchedule", f"{CONTROL_PLANE}:NoSchedule"]
)
def test_a_taint_that_stays_is_a_gap(on: str) -> None:
    assert not transient(taint(on))
    assert len(covered(node("a", on)).uncovered) == 1
    assert show(taint(on)) == on


@dataclass(frozen=True)
class Kind:
    name: str = "fargate"
    title: str = "a Fargate node, which runs no DaemonSet"
    agent: bool = False
    advice: str = "run the agent as a sidecar"
    docs: str = "https://docs.example"


def test_a_kind_of_node_without_agents_is_named_for_what_it_is() -> None:
    nodes = [
        node("a", "eks.amazonaws.com/compute-type=fargate:NoSchedule"),
        node("b", "node.kubernetes.io/not-ready:NoSchedule"),
        node("c"),
    ]
    asked = []

    def kind_of(found: Node) -> Kind | None:
        asked.append(found.name)
        return Kind() if found.name != "c" else None

    verdicts = compute(nodes, pair(), kind_of=kind_of).verdicts
    assert asked == ["a", "b"]
    for verdict in verdicts[:2]:
        assert verdict.blame is not None
        assert verdict.blame.kind == "fargate"
        assert verdict.blame.text == Kind.title
        assert verdict.fix == "run the agent as a sidecar https://docs.example"
        assert verdict.gap
    usual = compute(nodes[:1], pair(), kind_of=lambda found: Kind(agent=True)).verdicts[0]
    assert usual.blame is not None
    assert usual.blame.kind == "taint"


def test_an_agent_that_is_placed_where_none_can_run_is_none() -> None:
    """`agents.tolerations: [{operator: Exists}]` on an EKS with Fargate."""
    nodes = [node("a", "eks.amazonaws.com/compute-type=fargate:NoSchedule"), node("b")]
    everywhere = pair(tolerations=[{"operator": "Exists"}])

    def kind_of(found: Node) -> Kind | None:
        return Kind() if found.name == "a" else None

    assert [verdict.gap for verdict in compute(nodes, everywhere, kind_of=kind_of).verdicts] == [False, False]
    stuck, fine = compute(nodes, everywhere, kind_of=kind_of, wherever=True).verdicts
    assert (stuck.gap, fine.gap) == (True, False)
    assert stuck.blame is not None
    assert stuck.blame.text.endswith("places one there that would wait for ever")
    assert "`worker-node-ddagent`" in stuck.blame.text
    assert stuck.fix.startswith("tolerate less in `agents.tolerations`")
    (accepted,) = compute(nodes[:1], everywhere, kind_of=kind_of, wherever=True, accept=["!x"]).verdicts
    assert accepted.accepted


def test_accepted_means_accepted_only_where_an_agent_is_missing() -> None:
    found = covered(node("a", "own:NoSchedule", labels={"p": "1"}), node("b", labels={"p": "1"}), accept=("p=1",))
    assert [v.node for v in found.accepted] == ["a"]
    assert found.counts()["exactly_one"] == 1
    with pytest.raises(ConfigError):
        covered(node("a"), accept=("p in",))


def test_a_running_agent_that_would_not_come_back_is_named() -> None:
    found = covered(node("a", "late:NoSchedule"), node("b", "late:NoExecute"), node("c"))
    assert [v.node for v in found.until_restart] == ["a"]
    assert found.until_restart[0].until_restart == (WORKER,)


PORT = {"containerPort": 8125, "protocol": "UDP"}


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ({"hostPort": 8125, **PORT}, {"hostPort": 8125, **PORT}, ("8125/udp",)),
        ({"hostPort": 8125, **PORT}, PORT, ()),
        ({"hostPort": 8125, **PORT}, {"containerPort": 1, "hostPort": 8125}, ()),
        ({"hostPort": 8125, "hostIP": "10.0.0.1", **PORT}, {"hostPort": 8125, "hostIP": "10.0.0.2", **PORT}, ()),
        ({"hostPort": 8125, "hostIP": "10.0.0.1", **PORT}, {"hostPort": 8125, **PORT}, ("8125/udp",)),
        (
            {"hostPort": 8125, "hostIP": "10.0.0.1", **PORT},
            {"hostPort": 8125, "hostIP": "0.0.0.0", **PORT},
            ("8125/udp",),
        ),
    ],
)
def test_host_ports_clash_as_in_the_scheduler(
    one: dict[str, object], other: dict[str, object], clash: tuple[str, ...]
) -> None:
    pods = [
        placed(release, containers=[{"name": "agent", "ports": [port]}])
        for release, port in ((WORKER, one), (CONTROL, other))
    ]
    assert compute([node("a")], pods).verdicts[0].port_clash == clash


def test_on_the_host_network_every_container_port_is_a_host_port() -> None:
    containers = [{"name": "agent", "ports": [PORT]}, {"name": "trace", "ports": [{"containerPort": 8126}]}]
    started = [
        {"name": "s", "restartPolicy": "Always", "ports": [{"containerPort": 9}]},
        {"name": "i", "ports": [{"containerPort": 10}]},
    ]
    found = placed(hostNetwork=True, containers=containers, initContainers=started)
    assert found.host_ports == (
        HostPort(9, "TCP", "", "s"),
        HostPort(8125, "UDP", "", "agent"),
        HostPort(8126, "TCP", "", "trace"),
    )
    assert placed(containers=containers).host_ports == ()


def test_a_required_anti_affinity_is_known_and_counts_both_ways() -> None:
    def against(app: str, key: str = HOSTNAME, **more: object) -> dict[str, object]:
        term = {"labelSelector": {"matchLabels": {"app": app}, **more}, "topologyKey": key}
        return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}

    other = placed(CONTROL, "c")
    assert placed(WORKER, "w", affinity=against("c")).excludes(other)
    assert other.excludes(placed(WORKER, "w", affinity=against("c")))
    assert not placed(WORKER, "w", affinity=against("d")).excludes(other)
    assert not placed(WORKER, "w", affinity=against("c", "topology.kubernetes.io/zone")).excludes(other)
    narrow = against("c", matchExpressions=[expression("app", "NotIn", "c")])
    assert not placed(WORKER, "w", affinity=narrow).excludes(other)
    assert not placed(WORKER, "w").excludes(other)


def test_the_agents_daemonset_is_told_from_the_csi_drivers() -> None:
    driver = daemonset("csi", containers=[{"name": "csi-node-driver"}])
    found = from_objects([daemonset("a").unmasked(), driver.unmasked()], "datadog", MASKER)
    assert [p.name for p in agent_placements(found, WORKER, "worker")] == ["a"]


def test_a_deployment_has_no_automatic_tolerations_and_respects_cordons() -> None:
    nodes = [
        node("a"),
        node("b", "node.kubernetes.io/unschedulable:NoSchedule", unschedulable=True),
        node("c", unschedulable=True),
        node("d", "x:NoSchedule"),
        node("e", "x:PreferNoSchedule"),
        node("f", labels={OS: "windows"}),
    ]
    assert schedulable({"nodeSelector": {OS: "linux"}}, nodes) == ("a", "e")
    assert schedulable({"tolerations": [{"operator": "Exists"}]}, nodes) == ("a", "b", "c", "d", "e", "f")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("k", {"key": "k", "operator": "Exists"}),
        ("k:NoExecute", {"key": "k", "operator": "Exists", "effect": "NoExecute"}),
        ("k=v", {"key": "k", "operator": "Equal", "value": "v"}),
        ("k=v:PreferNoSchedule", {"key": "k", "operator": "Equal", "value": "v", "effect": "PreferNoSchedule"}),
        ("k=:NoSchedule", {"key": "k", "operator": "Equal", "value": "", "effect": "NoSchedule"}),
        ("a.io/k=v", {"key": "a.io/k", "operator": "Equal", "value": "v"}),
    ],
)
def test_a_toleration_is_read_as_it_is_typed(text: str, tree: dict[str, str]) -> None:
    assert parse_toleration(text) == tree


@pytest.mark.parametrize(
    "text",
    ["", ":NoSchedule", "=v", "k:", "k:Never", "k=v:noschedule", "a b", "k=a/b", "k=v=w", "k::NoSchedule", "UP/k"],
)
def test_a_toleration_that_is_none_says_what_is_wrong(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_toleration(text)
    assert error.value.anchor == "bad-toleration"
    assert error.value.hint.count("--tolerate") == 1


def test_nodes_that_look_alike_are_decided_once_and_each_keeps_its_name() -> None:
    nodes = [node(f"n{i}", *(["x:NoSchedule"] if i % 2 else [])) for i in range(100)]
    verdicts = covered(*nodes).verdicts
    assert [v.node for v in verdicts] == [n.name for n in nodes]
    assert {v.releases for v in verdicts[::2]} == {(WORKER,)}
    assert {v.releases for v in verdicts[1::2]} == {()}


def test_no_nodes_and_nodes_without_labels_are_no_trouble() -> None:
    assert compute([], pair()).verdicts == ()
    bare = replace(node("n"), labels={})
    assert covered(bare).verdicts[0].blame is not None


def test_an_acceptance_that_picks_no_node_is_named_and_of_unread_nodes_nothing_is_said() -> None:
    nodes = (node("a", labels={"pool": "burst"}), node("b"))
    accept = ("pool=burst", "pool=brust", "gpu")
    assert picking_none(accept, nodes) == ("pool=brust", "gpu")
    assert picking_none(accept, ()) == ()


def test_one_hint_closes_every_gap_and_keeps_what_is_tolerated_already() -> None:
    """`--tolerate` replaces what was stored: a hint with the new taint alone would open the gap that was closed."""
    gone = Blame("taint", "taint `odd`", "--tolerate odd=1:NoExecute")
    also = Blame("taint", "taint `even`", "--tolerate even=1:NoExecute")
    windows = Blame("os", "windows", "--accept-uncovered 'kubernetes.io/os=windows'")
    other = Blame("role", "no label", "kubectl label node NODE a=b")
    taken = Blame("taint", "taint `mine`", "--tolerate mine")
    found = Coverage(
        (
            Verdict("a", (), blame=gone),
            Verdict("b", (), blame=also),
            Verdict("c", (), blame=windows),
            Verdict("d", (), blame=other),
            Verdict("e", (), blame=taken, accepted=True),
            Verdict("f", ("w",)),
        )
    ).fixed_together(("old:NoSchedule",), ("!gpu",))
    all_taints = "--tolerate old:NoSchedule --tolerate odd=1:NoExecute --tolerate even=1:NoExecute"
    assert [each.fix for each in found.verdicts] == [
        all_taints,
        all_taints,
        "--accept-uncovered '!gpu' --accept-uncovered kubernetes.io/os=windows",
        "kubectl label node d a=b",
        "--tolerate mine",
        "",
    ]
    assert [each.fix for each in found.prefixed("ddhelm onboard").verdicts][:1] == [f"ddhelm onboard {all_taints}"]
    assert found.prefixed("ddhelm onboard").verdicts[3] == found.verdicts[3]
