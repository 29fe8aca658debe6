"""Whether data of this cluster arrived in Datadog: which questions are asked, what the answers mean, where to look.

For each integration Datadog itself names one metric by which its tile tells that it reports; the same is asked for
here, with the tag that every agent of the cluster puts on its metrics. Agents are counted by ``datadog.agent.running``.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from msgspec import Struct

AGENTS = "datadog.agent.running"
CLUSTER_TAG = "kube_cluster_name"
ABSENT, UNKNOWN = 6, 1
WINDOW = 600
"""Seconds to look back: a check runs every 15, Datadog shows it within a minute or two."""


ODD = "the answer is not the one that Datadog documents"
ODD_HINT = "is `--api-url` the address of Datadog's API?"


class Integration(Struct, frozen=True):
    """A check of ours as Datadog knows it: the metric that proves it, the id of its tile, the name of its dashboard."""

    check: str
    metric: str
    tile: str
    dashboard: str
    needs: str = ""


INTEGRATIONS = (
    Integration(
        "etcd",
        "etcd.server.has_leader",
        "etcd",
        "Etcd Overview",
        "needs the names of etcd v3 (`etcd.server.*`), which is what arrives; the older `etcd-Screenboard` needs those "
        "of v2 (`etcd.store.*`), which no supported etcd has, and stays empty",
    ),
    Integration(
        "kube_apiserver_metrics",
        "kube_apiserver.go_goroutines",
        "kube-apiserver-metrics",
        "Kubernetes API Server",
        "its variables filter by `kube_cluster_name`: without `--cluster-name` they offer nothing to choose",
    ),
    Integration(
        "kube_controller_manager",
        "kube_controller_manager.threads",
        "kube-controller-manager",
        "Kubernetes Controller Manager",
    ),
    Integration("kube_scheduler", "kube_scheduler.threads", "kube-scheduler", "Kubernetes Scheduler"),
)


class Seen(StrEnum):
    """What is known of a metric."""

    ARRIVED = "arrived"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Arrival(Struct, frozen=True):
    """One question and its answer. ``age`` is the seconds since the newest point; ``why`` explains an UNKNOWN."""

    subject: str
    metric: str
    seen: Seen
    age: float = math.nan
    hosts: int = 0
    why: str = ""
    hint: str = ""


class Link(Struct, frozen=True):
    """A page of Datadog: what it is, where, and what it needs to show anything."""

    name: str
    url: str
    needs: str = ""


class Arrivals(Struct, frozen=True):
    """All of it. ``agents`` is how many should report; ``cluster`` empty where the agents name none."""

    site: str
    cluster: str
    agents: int
    checks: tuple[Arrival, ...]
    hosts: Arrival
    links: tuple[Link, ...]

    @property
    def all(self) -> tuple[Arrival, ...]:
        """Every answer, the agents' last."""
        return (*self.checks, self.hosts)

    @property
    def missing(self) -> int:
        """Agents of which Datadog has heard nothing; 0 where that is not known."""
        return max(self.agents - self.hosts.hosts, 0) if self.hosts.seen is not Seen.UNKNOWN else 0

    @property
    def exit_code(self) -> int:
        """0 all arrived, 6 something did not, 1 it could not be asked."""
        if any(each.seen is Seen.ABSENT for each in self.all) or (self.cluster and self.missing):
            return ABSENT
        return UNKNOWN if any(each.seen is Seen.UNKNOWN for each in self.all) else 0


def query(metric: str, cluster: str, *, by: str = "") -> str:
    """The question in Datadog's query language."""
    scope = f"{CLUSTER_TAG}:{cluster}" if cluster else "*"
    return f"sum:{metric}{{{scope}}}" + (f" by {{{by}}}" if by else "")


def answer(subject: str, metric: str, body: Mapping[str, Any], now: float) -> Arrival:
    """What the answer to a query says; ``now`` is in unix seconds. Points without a value count as none.

    UNKNOWN where it has no list of series: a gateway's greeting is 200 too, and says nothing about any data.
    """
    series = body.get("series")
    if not isinstance(series, list):
        return Arrival(subject, metric, Seen.UNKNOWN, why=ODD, hint=ODD_HINT)
    newest, groups = 0.0, set()
    for one in series:
        points = one.get("pointlist") if isinstance(one, dict) else None
        moments = [
            float(point[0]) / 1000
            for point in points or ()
            if isinstance(point, list) and len(point) == 2 and point[1] is not None
        ]
        if moments:
            newest = max(newest, *moments)
            groups.add(str(one.get("scope") or ""))
    if not groups:
        return Arrival(subject, metric, Seen.ABSENT)
    return Arrival(subject, metric, Seen.ARRIVED, max(now - newest, 0.0), len(groups))


def app(site: str) -> str:
    """Where people look at the data of a site: sites with a host of their own carry it in their name."""
    return f"https://app.{site}" if site.count(".") == 1 else f"https://{site}"


def links(site: str, checks: Sequence[str], cluster: str) -> tuple[Link, ...]:
    """The tiles and dashboards of the checks on this site, and the cluster's own page."""
    base = app(site)
    found = []
    for each in INTEGRATIONS:
        if each.check in checks:
            found.append(Link(f"integration {each.check}", f"{base}/integrations/{each.tile}"))
            found.append(
                Link(
                    f"dashboard {each.dashboard}",
                    f"{base}/dashboard/lists?q={quote(each.dashboard)}",
                    "" if cluster and CLUSTER_TAG in each.needs else each.needs,
                )
            )
    scope = f"?query={quote(f'{CLUSTER_TAG}:{cluster}')}" if cluster else ""
    found.append(Link("the cluster", f"{base}/orchestration/explorer/pod{scope}"))
    return tuple(found)
