"""A plan and everything that it was made from."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec.structs import replace

from ddhelm.actions.reading import Cluster
from ddhelm.chart import Chart
from ddhelm.drift import ObjectDrift
from ddhelm.errors import PreflightFailed
from ddhelm.manifest import Identity, Manifest, Object, ObjectRef
from ddhelm.plan import Deployed, Desired, Plan, StepKind
from ddhelm.pools import Pool, pools
from ddhelm.profile import Profile
from ddhelm.release import Release
from ddhelm.reserved import Reserved
from ddhelm.settings import RECORD_KEY, Settings, from_record, unproven
from ddhelm.steps import lost_crds
from ddhelm.tree import Tree, get
from ddhelm.values import Values
from ddhelm.workloads import Workload


class Prepared(Reserved, frozen=True):
    """A plan and everything it was made from."""

    unshown: ClassVar[tuple[str, ...]] = (
        "standing",
        "carried_keys",
    )

    plan: Plan
    cluster: Cluster
    profile: Profile
    settings: Settings
    chart: Chart
    releases: tuple[Release, ...]
    desired: tuple[Desired, ...]
    deployed: Mapping[str, Deployed]
    keeps: Mapping[Identity, bool] = {}
    """Of objects that leave a release, whether they are annotated to be kept; see ``Live``."""
    workloads: tuple[Workload, ...] = ()
    standing: Mapping[Identity, Object] = {}
    """Every live object of the desired manifests, masked."""
    outcomes: tuple[ObjectDrift, ...] = ()
    """What others changed in the cluster, and what the steps make of it."""
    carried_keys: Mapping[str, str] = {}
    """Keys that stood in the values of a hand-made release, on their way into the Secret."""

    @property
    def values(self) -> Mapping[str, Values]:
        """What helm would be sent, by the name of the release."""
        return {one.release.name: one.values for one in self.desired}

    @property
    def sent_to(self) -> Settings:
        """The settings, with the site that the agents will really be given: the user's own values may name another."""
        return next((_sent_to(self.settings, one.values.tree) for one in self.desired), self.settings)

    @property
    def unproven_keys(self) -> tuple[str, ...]:
        """Keys that stand in a Secret already, but that Datadog was never asked about as they will be used."""
        known = [
            _sent_to(from_record(kept, "stored"), state.config)
            for state in self.deployed.values()
            if isinstance(kept := state.config.get(RECORD_KEY), dict)
        ]
        found = unproven(known[0] if known else None, self.sent_to)
        return tuple(name for name in found if name not in self.plan.writes)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """The nodes by pool, with the agents that the plan gives them."""
        return pools(self.plan.coverage, self.cluster.facts.nodes, self.profile.control_plane_labels)

    def wanted(self, release: str) -> Manifest:
        """The desired manifest of the release of that name."""
        return next(one.manifest for one in self.desired if one.release.name == release)

    def heeding_crds(self, *, delete: bool) -> "Prepared":
        """The same with the CRDs that its steps delete; PreflightFailed unless ``delete`` was asked for."""
        lost: list[ObjectRef] = []
        for step in self.plan.steps:
            state = self.deployed.get(step.release.name)
            if step.kind is StepKind.UNINSTALL and state is not None:
                lost += lost_crds(state.manifest, self.wanted(step.release.name))
            lost += step.deleted_crds
        if lost and not delete:
            raise PreflightFailed(
                f"{len(lost)} CRDs would be deleted with all their objects, and this chart cannot keep them",
                hint="give --delete-crds if nothing in the cluster uses them",
                anchor="crds-lost",
                details=[str(ref) for ref in lost],
            )
        return replace(self, plan=replace(self.plan, lost_crds=tuple(lost)))

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


def _sent_to(settings: Settings, values: Tree) -> Settings:
    site = get(values, ("datadog", "site"), settings.site)
    # null among the user's values: the chart names no site, and the agents' own default counts
    return replace(settings, site=site if isinstance(site, str) and site else None)
