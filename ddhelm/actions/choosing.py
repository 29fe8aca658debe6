"""What a request comes to on a cluster: its profile, the chart, the values of each release.

Each is decided when it is first asked for, and what decides it is loaded then: helm comes up meanwhile.
"""

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ddhelm.actions import charts, wrongvalues
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.facts import ClusterFacts
from ddhelm.release import Release, pair
from ddhelm.settings import Settings

if TYPE_CHECKING:
    from ddhelm.plan import Deployed
    from ddhelm.profile import Profile
    from ddhelm.values import Values


class Choice(Struct, frozen=True, dict=True):
    """A request, the facts that it meets, and the settings that it makes of those that were ``stored``.

    ``deployed`` are the releases that stand, by name; ``remembered`` is what they remember of the cluster.
    """

    session: Session
    request: Request
    facts: ClusterFacts
    settings: Settings
    stored: Settings = Settings()
    deployed: "Mapping[str, Deployed]" = {}
    remembered: Mapping[str, Any] | None = None

    @cached_property
    def profile(self) -> "Profile":
        """What the cluster is; ClusterError where it is unknown or ambiguous."""
        from ddhelm.actions import building

        return building.recognise(self.session, self.facts, self.settings, self.remembered)

    @cached_property
    def chart(self) -> Chart:
        """The chart; ConfigError, or whatever helm's words stand for, where it cannot be had."""
        asked = (self.session, self.request, self.settings, self.deployed)
        if charts.at_hand(*asked) is None:
            _ = self.profile  # nothing is fetched for a cluster that nobody knows
        return charts.chart_of(*asked)

    @property
    def chart_path(self) -> Path:
        """Where the chart is: one that is at hand has not been read yet, so that helm can start with it."""
        here = charts.at_hand(self.session, self.request, self.settings, self.deployed)
        return here if here is not None and os.access(here, os.R_OK) else self.chart.path

    @property
    def releases(self) -> tuple[Release, ...]:
        """Those that fit the cluster."""
        return pair(self.session.access.namespace, control_plane=self.profile.control_plane_release)

    @cached_property
    def values(self) -> "Mapping[str, Values]":
        """What helm would be sent for each of ``releases``, by name; ConfigError where the chart objects."""
        from ddhelm.actions import building

        built = building.build(self.session, self.facts, self.profile, self.settings, self.releases)
        wrongvalues.refuse_unfit(self.chart, self.request, self.stored)
        return built
