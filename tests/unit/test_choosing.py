"""What is decided of a request, in which order: nothing is fetched for a cluster that nobody knows."""

from pathlib import Path
from typing import Any

import pytest

from ddhelm.access import Access
from ddhelm.actions.choosing import Choice
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.errors import ClusterError, ConfigError
from ddhelm.facts import ClusterFacts
from ddhelm.nodes import Node
from ddhelm.run import Secrets
from ddhelm.settings import Settings

STRANGE = ClusterFacts("uid", "v1.36.3", frozenset({"v1"}), (Node("a", {}, {}),), (), None)


class Helm:
    """One that has no chart at hand, or has it; and remembers what it was asked to fetch."""

    def __init__(self, *, has: bool) -> None:
        self.here = has
        self.fetched: list[str] = []

    def at_hand(self, _where: Any, _version: str | None = None) -> Path | None:
        return Path("/nowhere") if self.here else None

    def pull(self, where: Any, _version: str | None = None) -> Path:
        self.fetched.append(str(where))
        return Path("/nowhere/datadog.tgz")


def choice(helm: Helm) -> Choice:
    session = Session(Access(None, "", "datadog", "https://10.0.0.1"), Secrets())
    session.__dict__["helm"] = helm
    return Choice(session, Request(chart="https://helm.datadoghq.com"), STRANGE, Settings())


def test_an_unknown_cluster_is_told_before_a_chart_is_fetched() -> None:
    helm = Helm(has=False)
    with pytest.raises(ClusterError) as told:
        _ = choice(helm).chart
    assert (told.value.anchor, helm.fetched) == ("unknown-distribution", [])


def test_a_chart_that_is_at_hand_waits_for_no_profile() -> None:
    """helm is started with it, and comes up while the cluster is recognised."""
    helm = Helm(has=True)
    with pytest.raises(ConfigError, match="there is no chart at `/nowhere"):
        _ = choice(helm).chart
    assert len(helm.fetched) == 1


def test_the_values_of_an_unknown_cluster_are_an_error_too() -> None:
    with pytest.raises(ClusterError):
        _ = choice(Helm(has=True)).values
