"""The table of pools: how many agents, which role, and what is to blame, in a hundred columns."""

from collections.abc import Sequence

from inline_snapshot import snapshot

from ddhelm.coverage import compute
from ddhelm.facts import Node
from ddhelm.pools import pools
from ddhelm.views import console, coverage
from tests.unit.clusters import WORKER, control_plane, node, pair

HERE = frozenset({WORKER})


def table(nodes: Sequence[Node], running: dict[str, frozenset[str]]) -> str:
    screen = console.fixed()
    coverage.table(pools(compute(nodes, pair()).with_running(running), nodes), screen)
    return console.text(screen)


def test_an_agent_that_stays_until_its_restart_is_told_from_none() -> None:
    nodes = [control_plane("c1"), node("w1"), node("g1", "late:NoSchedule"), node("g2", "late:NoSchedule")]
    assert table(nodes, {"g1": HERE, "g2": frozenset()}) == snapshot("""\
POOL  NODES           AGENTS  RELEASE                WHY
g1        1  until restart !  worker-node-ddagent    taint `late:NoSchedule`, which
                                                     `worker-node-ddagent` does not tolerate;
                                                     --tolerate late:NoSchedule
g2        1              0 ✗  -                      taint `late:NoSchedule`, which
                                                     `worker-node-ddagent` does not tolerate;
                                                     --tolerate late:NoSchedule
c1        1              1 ✓  control-plane-ddagent
w1        1              1 ✓  worker-node-ddagent\
""")
