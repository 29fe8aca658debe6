"""What arrived in Datadog, for people: a line each, one reason once, and links with what they need."""

from inline_snapshot import snapshot
from msgspec.structs import replace

from ddhelm import arrivals
from ddhelm.arrivals import Arrival, Arrivals, Seen
from ddhelm.views import arrival, console

CHECKS = ("etcd", "kube_scheduler")
LINKS = arrivals.links("datadoghq.eu", CHECKS, "prod")
GOOD = Arrivals(
    "datadoghq.eu",
    "prod",
    2,
    (
        Arrival("etcd", "etcd.server.has_leader", Seen.ARRIVED, 21.4, 1),
        Arrival("kube_scheduler", "kube_scheduler.threads", Seen.ARRIVED, 9, 1),
    ),
    Arrival("agents", arrivals.AGENTS, Seen.ARRIVED, 9, hosts=2),
    LINKS,
)


def shown(found: Arrivals) -> str:
    screen = console.fixed(width=110)
    arrival.table(found, screen)
    return console.text(screen)


def test_all_arrived() -> None:
    assert shown(GOOD) == snapshot("""\

Datadog, site `datadoghq.eu`, cluster `prod`, the last 10 minutes:
✓ `etcd`: `etcd.server.has_leader` arrived, 21 s old
✓ `kube_scheduler`: `kube_scheduler.threads` arrived, 9 s old
✓ 2 hosts report; 2 agents were asked\
""")


def test_some_did_not_and_agents_are_missing() -> None:
    absent = replace(GOOD.checks[0], seen=Seen.ABSENT)
    assert shown(replace(GOOD, checks=(absent, GOOD.checks[1]), agents=5)) == snapshot("""\

Datadog, site `datadoghq.eu`, cluster `prod`, the last 10 minutes:
✗ `etcd`: no `etcd.server.has_leader` has arrived
  hint: new data shows after a minute or two: ddhelm verify --wait 5m; the agents send to `datadoghq.eu`, an organisation of another site sees nothing of it (--site); a refused API key stands in the agents' log
✓ `kube_scheduler`: `kube_scheduler.threads` arrived, 9 s old
✗ 2 of 5 agents have been heard of
  hint: new data shows after a minute or two: ddhelm verify --wait 5m; the agents send to `datadoghq.eu`, an organisation of another site sees nothing of it (--site); a refused API key stands in the agents' log\
""")  # noqa: E501


def test_no_host_at_all_is_no_success_where_the_cluster_has_no_name_either() -> None:
    nobody = replace(GOOD, cluster="", hosts=replace(GOOD.hosts, seen=Seen.ABSENT, hosts=0))
    assert nobody.exit_code == 6
    assert "✗ 0 of 2 agents have been heard of" in shown(nobody)


def test_one_reason_is_said_once() -> None:
    why = {"seen": Seen.UNKNOWN, "why": "`api.datadoghq.eu` answered 403: Forbidden", "hint": "--site"}
    refused = tuple(replace(each, **why) for each in GOOD.checks)
    hosts = replace(GOOD.hosts, **why)
    assert shown(replace(GOOD, checks=refused, hosts=hosts, cluster="")) == snapshot("""\

Datadog, site `datadoghq.eu`, all clusters: the agents name none (--cluster-name), the last 10 minutes:
! `etcd` could not be asked for: `api.datadoghq.eu` answered 403: Forbidden
  hint: --site\
""")


def test_links_say_what_a_dashboard_needs() -> None:
    screen = console.fixed(width=110)
    arrival.links(LINKS, screen)
    assert console.text(screen) == snapshot("""\

Where to look:
integration etcd                https://app.datadoghq.eu/integrations/etcd
dashboard Etcd Overview         https://app.datadoghq.eu/dashboard/lists?q=Etcd%20Overview
integration kube_scheduler      https://app.datadoghq.eu/integrations/kube-scheduler
dashboard Kubernetes Scheduler  https://app.datadoghq.eu/dashboard/lists?q=Kubernetes%20Scheduler
the cluster                     https://app.datadoghq.eu/orchestration/explorer/pod?query=kube_cluster_name%3A
                                prod
• dashboard Etcd Overview: needs the names of etcd v3 (`etcd.server.*`), which is what arrives; the older
`etcd-Screenboard` needs those of v2 (`etcd.store.*`), which no supported etcd has, and stays empty\
""")
