"""A plan and everything that it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ddhelm.actions.reading import Cluster
from ddhelm.chart import Chart
from ddhelm.drift import ObjectDrift
from ddhelm.errors import PreflightFailed
from ddhelm.manifest import Identity, Object
from ddhelm.plan import Deployed, Desired, Plan
from ddhelm.profile import Profile
from ddhelm.release import Release
from ddhelm.settings import Settings
from ddhelm.values import Values
from ddhelm.workloads import Workload


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan and everything it was made from."""

    plan: Plan
    cluster: Cluster
    profile: Profile
    settings: Settings
    chart: Chart
    releases: tuple[Release, ...]
    desired: tuple[Desired, ...]
    deployed: Mapping[str, Deployed]
    workloads: tuple[Workload, ...] = ()
    standing: Mapping[Identity, Object] = field(default_factory=dict, repr=False)
    """Every live object of the desired manifests, masked."""
    outcomes: tuple[ObjectDrift, ...] = ()
    """What others changed in the cluster, and what the steps make of it."""
    carried_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Keys that stood in the values of a hand-made release, on their way into the Secret."""

    @property
    def values(self) -> Mapping[str, Values]:
        """What helm would be sent, by the name of the release."""
        return {one.release.name: one.values for one in self.desired}

    def stop_if_broken(self) -> None:
        """Raise PreflightFailed where a fatal claim fails, the API server refuses an object, or a manager objects."""
        problems = self.plan.problems
        if len(problems) == 1:
            one = problems[0]
            raise PreflightFailed(one.text, hint=one.hint, anchor=one.anchor, details=one.details)
        if problems:
            raise PreflightFailed(
                f"{len(problems)} things stop this; nothing was changed",
                anchor=problems[0].anchor,
                details=[line for problem in problems for line in problem.lines],
            )
