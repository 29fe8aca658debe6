"""The table of pools: how many agents, which role, and what is to blame, in a hundred columns."""

from collections.abc import Sequence
from contextvars import copy_context

from inline_snapshot import snapshot

from ddhelm.coverage import compute
from ddhelm.nodes import Node
from ddhelm.pasting import Place
from ddhelm.pools import pools
from ddhelm.views import console, coverage, pasted
from tests.unit.clusters import WORKER, control_plane, node, pair

HERE = frozenset({WORKER})


def table(nodes: Sequence[Node], running: dict[str, frozenset[str]]) -> str:
    screen = console.fixed()
    coverage.table(pools(compute(nodes, pair()).with_running(running), nodes), screen)
    return console.text(screen)


def test_an_agent_that_stays_until_its_restart_is_told_from_none() -> None:
    nodes = [control_plane("c1"), node("w1"), node("g1", "late:NoSchedule"), node("g2", "late:NoSchedule")]
    assert table(nodes, {"g1": HERE, "g2": frozenset()}) == snapshot("""\
POOL  ROLE           NODES  AGENTS  RELEASE                WHY
g1    worker             1     1 !  worker-node-ddagent    until restart; taint `late:NoSchedule`,
                                                           which `worker-node-ddagent` does not
                                                           tolerate
g2    worker             1     0 ✗  -                      taint `late:NoSchedule`, which
                                                           `worker-node-ddagent` does not tolerate
c1    control-plane      1     1 ✓  control-plane-ddagent
w1    worker             1     1 ✓  worker-node-ddagent
  hint: --tolerate late:NoSchedule\
""")


def test_pools_fit_into_a_hundred_columns_with_their_roles() -> None:
    names = {"kops.k8s.io/instancegroup": "nodes-eu-west-1a-with-gpus"}
    nodes = [control_plane(f"c{at}") for at in range(3)]
    nodes += [node("g1", "nvidia.com/gpu=present:NoSchedule", labels=names), node("w1"), node("w2")]
    assert table(nodes, {"g1": HERE}) == snapshot("""\
POOL                    ROLE           NODES  AGENTS  RELEASE                WHY
nodes-eu-west-1a-with-  worker             1     1 !  worker-node-ddagent    until restart; taint
gpus                                                                         `nvidia.com/gpu=present
                                                                             :NoSchedule`, which
                                                                             `worker-node-ddagent`
                                                                             does not tolerate
-                       control-plane      3     1 ✓  control-plane-ddagent
-                       worker             2     1 ✓  worker-node-ddagent
  hint: --tolerate nvidia.com/gpu=present:NoSchedule\
""")


def test_what_closes_a_gap_is_typed_with_the_cluster_of_this_run() -> None:
    nodes = [node("w1"), node("g1", "late:NoSchedule")]
    gaps = compute(nodes, pair()).with_running({"g1": frozenset()}).prefixed("ddhelm onboard")
    screen = console.fixed()

    def told() -> None:
        pasted.at(Place(ddhelm=(("--context", "prod"),)))
        coverage.table(pools(gaps, nodes), screen)

    copy_context().run(told)
    assert console.text(screen).endswith("  hint: ddhelm onboard --context prod --tolerate late:NoSchedule")
