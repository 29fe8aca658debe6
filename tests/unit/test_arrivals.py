"""Whether data arrived: the questions, the answers, and what happens when there is none."""

from dataclasses import dataclass, field

import pytest

from ddhelm import arrivals
from ddhelm.actions import arrival
from ddhelm.actions.arrival import Clock, Pausing
from ddhelm.arrivals import AGENTS, Arrivals, Seen
from ddhelm.datadog import Reply, Trouble, status_page

NOW = 1_800_000_000.0
CHECKS = ("etcd", "kube_scheduler")


def series(*scopes: str, age: float = 20, value: float | None = 1) -> dict[str, object]:
    return {
        "status": "ok",
        "series": [
            {"scope": scope, "pointlist": [[(NOW - age) * 1000, value], [(NOW - 90) * 1000, 1]]} for scope in scopes
        ],
    }


HOSTS = series("host:a", "host:b")


@dataclass
class Fake:
    """Answers by metric; ``then`` are answers given first, in order."""

    bodies: dict[str, dict[str, object]]
    then: list[Reply] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    def get(self, path: str, params: dict[str, str] | None = None, *, limit: float = 30.0) -> Reply:
        assert path == "/api/v1/query"
        assert params is not None
        self.asked.append(params)
        if self.then:
            return self.then.pop(0)
        metric = params["query"].partition(":")[2].partition("{")[0]
        return Reply(200, self.bodies.get(metric, {"status": "ok", "series": []}))


def look(api: Fake, *, agents: int = 2, cluster: str = "prod") -> tuple[Arrivals, list[object], list[float]]:
    told: list[object] = []
    slept: list[float] = []
    found = arrival.look(
        api,
        site="datadoghq.eu",
        cluster=cluster,
        checks=CHECKS,
        agents=agents,
        observer=told.append,
        clock=Clock(lambda: NOW, slept.append),
    )
    return found, told, slept


GOOD = {"etcd.server.has_leader": series("*"), "kube_scheduler.threads": series("*", age=100), AGENTS: HOSTS}


def test_all_arrived() -> None:
    api = Fake(GOOD)
    found, _, _ = look(api)
    assert [(each.subject, each.seen, each.age) for each in found.checks] == [
        ("etcd", Seen.ARRIVED, 20),
        ("kube_scheduler", Seen.ARRIVED, 90),
    ]
    assert (found.hosts.hosts, found.missing, found.exit_code) == (2, 0, 0)
    assert [each["query"] for each in api.asked] == [
        "sum:etcd.server.has_leader{kube_cluster_name:prod}",
        "sum:kube_scheduler.threads{kube_cluster_name:prod}",
        "sum:datadog.agent.running{kube_cluster_name:prod} by {host}",
    ]
    assert {(int(each["to"]) - int(each["from"])) for each in api.asked} == {arrivals.WINDOW}


def test_absent_or_too_few_is_a_failure() -> None:
    found, _, _ = look(Fake({**GOOD, "etcd.server.has_leader": {"series": []}}))
    assert (found.checks[0].seen, found.exit_code) == (Seen.ABSENT, 6)
    found, _, _ = look(Fake(GOOD), agents=5)
    assert (found.missing, found.exit_code) == (3, 6)
    found, _, _ = look(Fake(GOOD), agents=5, cluster="")  # hosts of other clusters may be among them
    assert found.exit_code == 0


def test_without_a_cluster_name_everything_is_asked_for() -> None:
    api = Fake(GOOD)
    look(api, cluster="")
    assert api.asked[0]["query"] == "sum:etcd.server.has_leader{*}"


@pytest.mark.parametrize("series", [[], [1, {"pointlist": [[1]]}, {"pointlist": [[1, None]]}]])
def test_points_without_a_value_are_none(series: list[object]) -> None:
    assert arrivals.answer("etcd", "m", {"series": series}, NOW).seen is Seen.ABSENT


@pytest.mark.parametrize("body", [{}, {"message": "welcome to the gateway"}, {"series": None}])
def test_an_answer_that_is_none_of_datadogs_says_nothing_about_data(body: dict[str, object]) -> None:
    found, _, _ = look(Fake({**GOOD, "etcd.server.has_leader": body}))
    assert (found.checks[0].seen, found.exit_code) == (Seen.UNKNOWN, 1)
    assert (found.checks[0].why, found.checks[0].hint) == (arrivals.ODD, arrivals.ODD_HINT)


@pytest.mark.parametrize(
    ("site", "page"),
    [
        ("datadoghq.eu", "https://status.datadoghq.eu"),
        ("us2.ddog-gov.com", "https://status.us2.ddog-gov.com"),
        ("uk1.datadoghq.com", "https://status.datadoghq.com"),
        ("proxy.example", "https://status.datadoghq.com"),
    ],
)
def test_troubles_of_a_site_are_told_on_its_own_page_where_it_has_one(site: str, page: str) -> None:
    assert status_page(site) == page


def test_a_refusal_is_asked_once_and_explained() -> None:
    api = Fake(GOOD, [Reply(403, trouble=Trouble.REFUSED, reason="`x` answered 403: Forbidden")])
    found, _, _ = look(api)
    assert len(api.asked) == 1
    assert {each.seen for each in found.all} == {Seen.UNKNOWN}
    assert found.exit_code == 1
    assert "timeseries_query" in found.hosts.hint
    assert "datadoghq.eu" in found.hosts.hint


def test_a_limit_is_waited_for_and_the_question_asked_again() -> None:
    api = Fake(GOOD, [Reply(429, trouble=Trouble.LIMITED, reset=7)])
    found, told, slept = look(api)
    assert (slept, told) == ([7.0], [Pausing(7)])
    assert found.exit_code == 0
    assert api.asked[0]["query"] == api.asked[1]["query"]


@pytest.mark.parametrize("reset", [0.0, 3600.0])
def test_a_limit_that_lasts_is_said(reset: float) -> None:
    api = Fake(GOOD, [Reply(429, trouble=Trouble.LIMITED, reason="too many", reset=reset)] * 3)
    found, _, slept = look(api)
    assert slept == []
    assert {each.why for each in found.all} == {"too many"}
    assert found.exit_code == 1


def test_a_slow_datadog_costs_a_minute_in_all() -> None:
    class Slow(Fake):
        def get(self, path: str, params: dict[str, str] | None = None, *, limit: float = 30.0) -> Reply:
            limits.append(limit)
            passed[0] += min(limit, 25)
            return super().get(path, params, limit=limit)

    passed: list[float] = [NOW]
    limits: list[float] = []
    every = {each.metric: series("*") for each in arrivals.INTEGRATIONS}
    checks = [each.check for each in arrivals.INTEGRATIONS]
    found = arrival.look(
        Slow(every), site="datadoghq.eu", cluster="prod", checks=checks, agents=2, clock=Clock(lambda: passed[0])
    )
    assert limits == [30, 30, 10]
    assert [each.seen for each in found.all[3:]] == [Seen.UNKNOWN, Seen.UNKNOWN]
    assert found.hosts.why == "not asked any more: Datadog took 60 s for the questions before"
    assert found.hosts.hint == "ddhelm verify later; https://status.datadoghq.eu"
    assert found.exit_code == 1


def test_limits_cost_a_minute_in_all() -> None:
    limited = Reply(429, trouble=Trouble.LIMITED, reset=25)
    _, _, slept = look(Fake(GOOD, [limited] * 9))
    assert slept == [25, 25]


@pytest.mark.parametrize(
    ("site", "base"),
    [
        ("datadoghq.com", "https://app.datadoghq.com"),
        ("datadoghq.eu", "https://app.datadoghq.eu"),
        ("us3.datadoghq.com", "https://us3.datadoghq.com"),
        ("ap1.datadoghq.com", "https://ap1.datadoghq.com"),
        ("ddog-gov.com", "https://app.ddog-gov.com"),
    ],
)
def test_links_are_those_of_the_site(site: str, base: str) -> None:
    found = arrivals.links(site, CHECKS, "prod")
    assert all(each.url.startswith(f"{base}/") for each in found)
    assert f"{base}/integrations/etcd" in {each.url for each in found}
    assert not any("apiserver" in each.url for each in found)
    assert any("etcd v3" in each.needs for each in found)


def test_a_cluster_without_a_name_is_told_what_its_dashboards_lack() -> None:
    checks = ("kube_apiserver_metrics",)
    assert any("--cluster-name" in each.needs for each in arrivals.links("datadoghq.com", checks, ""))
    assert not any(each.needs for each in arrivals.links("datadoghq.com", checks, "prod"))
