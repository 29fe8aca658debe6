"""What would happen: reads the cluster and the releases, builds values and manifests, proves them, makes the plan.

Everything that shows or does a change (onboard, plan, check, values) starts here, so that none can disagree with
another about what the cluster is or what is wanted. Nothing here writes.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from msgspec.structs import replace

from ddhelm import coverage, values
from ddhelm.actions import agents
from ddhelm.actions.building import build, recognise
from ddhelm.actions.choosing import Choice
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.reading import Cluster, Earlier, all_known, deployed_of, earlier, not_busy, read, standing
from ddhelm.actions.rendering import keeping, render
from ddhelm.actions.request import Request, idle_values, settings_of, value_notes
from ddhelm.actions.session import Session
from ddhelm.actions.wrongvalues import refuse_misread
from ddhelm.chart import Chart
from ddhelm.errors import PreflightFailed
from ddhelm.manifest import Identity
from ddhelm.plan import Deployed, Desired, Plan, StepKind
from ddhelm.profile import Profile
from ddhelm.record import Record
from ddhelm.release import NAMES, Release, Role, only, pair
from ddhelm.settings import Settings
from ddhelm.source import source
from ddhelm.steps import conflicts_matter

_NOTHING = Plan((), coverage.compute((), ()), ())


def prepare(
    session: Session,
    request: Request,
    *,
    meanwhile: Callable[[], None] = lambda: None,
    now: Callable[[], float] = time.time,
) -> Prepared:
    """Read, decide, build, prove, plan; raises whatever of ``errors`` applies, problems of the plan are in the plan.

    ``meanwhile`` is done while helm renders.
    """
    cluster, left, choice = _decided(session, request, now())
    deployed = choice.deployed

    def asked_for(releases: Sequence[Release]) -> tuple[Release, ...]:
        return only(releases, request.only, worker_exists=NAMES[Role.WORKER] in deployed)

    possible = asked_for(pair(session.access.namespace, control_plane=True))

    def load() -> None:
        # helm is waited for longest: what else the API server is asked, and what is loaded, comes behind its start
        asked.enter_context(_expecting(session, deployed, possible))
        from ddhelm.actions import judging  # noqa: F401 - only loaded

        meanwhile()

    with ExitStack() as asked:
        desired = render(
            choice,
            possible,
            lambda: {release.name: choice.values[release.name] for release in asked_for(choice.releases)},
            meanwhile=load,
        )
        keeps, releases = _keeps(session, deployed, desired), asked_for(choice.releases)
        decided = (cluster, choice.profile, choice.settings, choice.chart, releases, desired, deployed)
        made = Prepared(_NOTHING, *decided, keeps=keeps, carried_keys=left.keys)
        keep = keeping(choice, desired, keeps)
        from ddhelm.actions import judging

        made = judging.planned(session, request, made, keep, _notices(request, left, choice), left.taken_over)
        made = made.heeding_crds(delete=request.delete_crds)
        _stop_at_objects(session, made, request)
        return made


def _stop_at_objects(session: Session, made: Prepared, request: Request) -> None:
    """PreflightFailed where a step uninstalls what was never deployed, and CRDs go with it that hold objects."""
    for step in made.plan.steps:
        if request.delete_crds or step.kind is not StepKind.UNINSTALL:
            continue
        from ddhelm.actions import leftovers  # few plans hold such a step

        name, state = step.release.name, made.deployed[step.release.name]
        if holding := leftovers.holding(session.kubectl, state.newest):
            record = f"sh.helm.release.v1.{name}.v{state.head.revision}"
            raise PreflightFailed(
                f"removing what is left of `{name}` would delete CRDs together with the objects in them",
                hint=f"kubectl -n {step.release.namespace} delete secret {record}, and the same command takes in what "
                "stands; or --delete-crds if nobody needs the objects",
                anchor="crds-hold-objects",
                details=holding,
            )


def _notices(request: Request, left: Earlier, choice: Choice) -> tuple[str, ...]:
    """What is worth a line of what earlier runs left and of the values that were given."""
    kept = left.notices if choice.stored is left.settings else ()
    return (*kept, *value_notes(request), *idle_values(request.user, request.only))


def _decided(session: Session, request: Request, now: float) -> tuple[Cluster, Earlier, Choice]:
    """What stands, what earlier runs left, and what the request makes of both."""
    cluster = read(session)
    known = all_known(session, cluster)
    deployed = standing(known)
    not_busy(cluster.records, cluster.lease, now)
    if not deployed:
        _not_elsewhere(session, cluster)
    left = earlier(known)
    base = request.exactly or (Settings() if request.reset_settings else left.settings)
    refuse_misread(session, request, base, deployed)
    wanted = request.exactly or settings_of(base, request)
    if request.chart is not None:
        wanted = replace(wanted, chart=request.chart)
    if (where := source(wanted.chart)).kind == "path":  # remembered so that it is found from another folder
        wanted = replace(wanted, chart=where.chart)
    return cluster, left, Choice(session, request, cluster.facts, wanted, base, deployed, left.facts)


def _expecting(
    session: Session, deployed: Mapping[str, Deployed], releases: Sequence[Release]
) -> AbstractContextManager[None]:
    """Ask already what applying the releases would meet, as if what is wanted were what stands."""
    from ddhelm.actions import live  # behind helm's start

    stands = {release.name: deployed[release.name].manifest for release in releases if release.name in deployed}
    conflicts = conflicts_matter(session.helm.major, deployed, releases)
    return live.expecting(session.kubectl, stands, session.access.namespace, conflicts=conflicts)


def _keeps(session: Session, deployed: Mapping[str, Deployed], desired: Iterable[Desired]) -> Mapping[Identity, bool]:
    from ddhelm.actions import live  # behind helm's start

    return live.keeps(session.kubectl, deployed, desired, session.access.namespace, session.masker)


def of_records(
    session: Session, request: Request, targets: Mapping[str, Record], *, now: Callable[[], float] = time.time
) -> Prepared:
    """The same for revisions that Helm has stored (release name to revision): nothing is rendered, the rest is proven.

    The steps of the plan are those of an upgrade to these manifests; how a revision is brought back is the caller's.
    """
    cluster = read(session)
    known = all_known(session, cluster)
    deployed = {name: state for name, state in known.items() if name in targets or name in standing(known)}
    not_busy(cluster.records, cluster.lease, now())
    goals = {
        release.name: state
        for release in pair(session.access.namespace, control_plane=True)
        if release.name in targets and (state := deployed_of(session, release, [targets[release.name]])) is not None
    }
    left = earlier(goals)
    first = next(iter(targets.values()))
    desired = tuple(
        Desired(
            goal.release,
            values.build([values.Layer(f"revision {goal.head.revision}", goal.config)]),
            goal.manifest,
            goal.chart_version,
            goal.app_version,
        )
        for goal in goals.values()
    )
    made = Prepared(
        _NOTHING,
        cluster,
        recognise(session, cluster.facts, left.settings, left.facts),
        left.settings,
        Chart(Path(), first.chart_name, first.chart_version, first.app_version, ""),
        tuple(goal.release for goal in goals.values()),
        desired,
        deployed,
        keeps=_keeps(session, deployed, desired),
    )
    from ddhelm.actions import judging

    return judging.planned(session, replace(request, allow_downgrade=True), made, {}, (), left.taken_over)


def values_only(
    session: Session, request: Request, *, explained: bool = False
) -> tuple[tuple[tuple[Release, values.Values], ...], Profile, Settings]:
    """The values of each release as helm would be sent them, without a chart; the profile and settings behind them.

    ``explained`` values know of each of the user's own keys who set it.
    """
    cluster = read(session)
    left = earlier(all_known(session, cluster))
    base = Settings() if request.reset_settings else left.settings
    wanted = settings_of(base, request)
    found = recognise(session, cluster.facts, wanted, left.facts)
    releases = pair(session.access.namespace, control_plane=found.control_plane_release)
    user = None
    if explained:
        from ddhelm.actions import explaining

        user = {r.role: explaining.user_layers(r.role, base, wanted, request.user, session.masker) for r in releases}
    built = build(session, cluster.facts, found, wanted, releases, user)
    return tuple((release, built[release.name]) for release in releases), found, wanted


def _not_elsewhere(session: Session, cluster: Cluster) -> None:
    """Raises where the pair stands in another namespace: the usual cause is a `--namespace` that was left out."""
    place = agents.pair_elsewhere(cluster.daemonsets, session.access.namespace)
    if place is not None:
        raise PreflightFailed(
            f"the releases are installed in namespace `{place}`, not in `{session.access.namespace}`, "
            "and a cluster has room for one pair",
            hint=f"the same command with `--namespace {place}`; or remove them first: ddhelm uninstall -n {place}",
            anchor="installed-elsewhere",
        )
