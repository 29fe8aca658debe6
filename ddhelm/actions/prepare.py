"""What would happen: reads the cluster and the releases, builds values and manifests, proves them, makes the plan.

Everything that shows or does a change (onboard, plan, check, values) starts here, so that none can disagree with
another about what the cluster is or what is wanted. Nothing here writes.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from ddhelm import coverage, plan, proof, tree, values
from ddhelm.actions import agents, live, outcomes, staying
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.proving import (
    context,
    covered_by,
    denied,
    downgrades,
    kept_elsewhere,
    lost_crds,
    refused,
    secrets_of,
    server_side,
    two_sites,
    unknown_site,
    without_effect,
)
from ddhelm.actions.reading import Cluster, _deployed, all_deployed, earlier, not_busy, read
from ddhelm.actions.rendering import build, chart_of, recognise, render
from ddhelm.actions.request import Request, idle_values, settings_of, value_notes
from ddhelm.actions.session import Session
from ddhelm.actions.wrongvalues import refuse_misread, refuse_unfit
from ddhelm.chart import Chart
from ddhelm.errors import PreflightFailed
from ddhelm.manifest import Manifest
from ddhelm.plan import Deployed, Desired, Plan, Problem, Step, StepKind
from ddhelm.profile import Profile
from ddhelm.record import Record
from ddhelm.release import NAMES, Release, Role, only, pair
from ddhelm.settings import Settings
from ddhelm.source import source


def prepare(session: Session, request: Request, *, now: Callable[[], float] = time.time) -> Prepared:
    """Read, decide, build, prove, plan; raises whatever of ``errors`` applies, problems of the plan are in the plan."""
    cluster = read(session)
    deployed = all_deployed(session, cluster)
    not_busy(session, deployed, cluster.lease, now())
    if not deployed:
        _not_elsewhere(session, cluster)
    left = earlier(deployed)
    base = request.exactly or (Settings() if request.reset_settings else left.settings)
    refuse_misread(session, request, base, deployed)
    wanted = request.exactly or settings_of(base, request)
    found = recognise(session, cluster.facts, wanted, left.facts)
    releases = _releases(session, found, wanted, request, deployed)
    chart = chart_of(session, request, wanted, deployed)
    if request.chart is not None:
        where = source(request.chart)
        wanted = replace(wanted, chart=where.chart if where.kind == "path" else request.chart)
    built = build(session, cluster.facts, found, wanted, releases)
    refuse_unfit(chart, request, base)
    stands = {release.name: deployed[release.name].manifest for release in releases if release.name in deployed}
    with live.expecting(
        session.kubectl, stands, session.access.namespace, conflicts=_conflicts_matter(session, deployed, releases)
    ):
        desired, keep = render(session, chart, releases, built, deployed, request)
        return _planned(
            session,
            request,
            Prepared(
                Plan((), coverage.compute((), ()), ()),
                cluster,
                found,
                wanted,
                chart,
                releases,
                desired,
                deployed,
                carried_keys=left.keys,
            ),
            keep,
            (
                *(left.notices if base is left.settings else ()),
                *value_notes(request),
                *idle_values(request.user, request.only),
            ),
            left.taken_over,
        )


def of_records(
    session: Session, request: Request, targets: Mapping[str, Record], *, now: Callable[[], float] = time.time
) -> Prepared:
    """The same for revisions that Helm has stored (release name to revision): nothing is rendered, the rest is proven.

    The steps of the plan are those of an upgrade to these manifests; how a revision is brought back is the caller's.
    """
    cluster = read(session)
    deployed = all_deployed(session, cluster)
    not_busy(session, deployed, cluster.lease, now())
    goals = {
        release.name: state
        for release in pair(session.access.namespace, control_plane=True)
        if release.name in targets and (state := _deployed(session, release, [targets[release.name]])) is not None
    }
    left = earlier(goals)
    first = next(iter(targets.values()))
    made = Prepared(
        Plan((), coverage.compute((), ()), ()),
        cluster,
        recognise(session, cluster.facts, left.settings, left.facts),
        left.settings,
        Chart(Path(), first.chart_name, first.chart_version, first.app_version, ""),
        tuple(goal.release for goal in goals.values()),
        tuple(
            Desired(
                goal.release,
                values.build([values.Layer(f"revision {goal.head.revision}", goal.config)]),
                goal.manifest,
                goal.chart_version,
                goal.app_version,
            )
            for goal in goals.values()
        ),
        deployed,
    )
    return _planned(session, replace(request, allow_downgrade=True), made, {}, (), left.taken_over)


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


def _releases(
    session: Session, found: Profile, wanted: Settings, request: Request, deployed: Mapping[str, Deployed]
) -> tuple[Release, ...]:
    releases = pair(session.access.namespace, control_plane=found.control_plane_release)
    return only(releases, request.only, worker_exists=NAMES[Role.WORKER] in deployed)


def _planned(
    session: Session,
    request: Request,
    made: Prepared,
    keep: Mapping[str, Desired],
    notices: Sequence[str],
    taken_over: tuple[str, ...],
) -> Prepared:
    cluster, wanted = made.cluster, made.settings
    manifests = {one.release.name: one.manifest for one in made.desired}
    others = {name: state.manifest for name, state in made.deployed.items() if name not in manifests}
    standing = _standing(session, made, manifests)
    covered = covered_by(session, cluster.facts.nodes, wanted, {**manifests, **others})
    before = {state.release: state.manifest for state in made.deployed.values()}
    running = staying.seen(session.kubectl, covered, cluster.facts.nodes, before)
    covered = covered.with_running(running)
    steps = [
        step
        for one in made.desired
        for step in plan.steps_for(
            one, made.deployed.get(one.release.name), standing.live, keep=keep.get(one.release.name)
        )
    ]
    standing, unforecast = _idle_refusals(made, standing, steps)
    secrets, writes, days = secrets_of(session, wanted, made)
    proven = context(session, request, made, standing, steps, covered, running, secrets, writes, keep, days)
    results = proof.run(proven, skip=request.skip)
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    result = Plan(
        tuple(steps),
        covered,
        results,
        lost_crds=lost_crds(made, keep, request),
        creates_namespace=cluster.namespace is None,
        labels_namespace=labels if request.label_namespace and not _privileged(cluster.namespace) else None,
        writes=writes,
        taken_over=taken_over,
        notices=(
            *notices,
            *_of_cluster(made, request),
            *kept_elsewhere(session, wanted, secrets),
            *_of_steps(made, steps, standing, taken_over),
            *unforecast,
        ),
        problems=_problems(session, request, made, standing, steps, plan.broken_claims(results)),
    )
    changed = outcomes.of_steps(session, steps, made.desired, made.deployed, standing, forced=request.force_conflicts)
    return dataclasses.replace(
        made, plan=result, workloads=standing.workloads, standing=standing.standing, outcomes=changed
    )


def _idle_refusals(made: Prepared, standing: live.Read, steps: Sequence[Step]) -> tuple[live.Read, tuple[str, ...]]:
    """Without what the user may not do to releases that nothing is done to, and a notice in its place.

    Somebody who may only read can plan; what others altered is what a dry run alone would tell.
    """
    idle = {step.release.name for step in steps if step.kind is StepKind.NOTHING}
    spared = {identity for one in made.desired if one.release.name in idle for identity in one.manifest.objects}
    dropped = [each for each in standing.refusals if each.object in spared and each.error.anchor == "forbidden"]
    if not dropped:
        return standing, ()
    kept = tuple(each for each in standing.refusals if each not in dropped)
    objects = "1 object was" if len(dropped) == 1 else f"{len(dropped)} objects were"
    why = f"{objects} not forecast ({dropped[0].error.message}): whether others altered them is not known"
    return replace(standing, refusals=kept), (why,)


def _of_steps(made: Prepared, steps: Sequence[Step], standing: live.Read, taken_over: tuple[str, ...]) -> Iterator[str]:
    """Notices about what the steps meet; of values given by hand only where nothing was taken over from them."""
    yield from plan.rescaled(steps, made.desired, standing.standing)
    yield from plan.admitted(steps, standing.live)
    if not taken_over:
        yield from plan.past_ddhelm(steps, made.deployed)


def _of_cluster(made: Prepared, request: Request) -> Iterator[str]:
    """Notices about what was found before anything was rendered."""
    name = NAMES[Role.CONTROL_PLANE]
    if made.profile.managed and name in made.deployed and request.only is None:
        yield f"release `{name}` stands although no control-plane node is visible: `helm uninstall {name}` removes it"
    yield from unknown_site(made.settings)
    yield from two_sites(made.settings)
    yield from without_effect(made.profile, made.settings, made.cluster.facts.nodes)
    if made.cluster.namespace is None:
        yield _NOT_FORECAST


def _standing(session: Session, made: Prepared, manifests: Mapping[str, Manifest]) -> live.Read:
    """What applying the manifests would meet; conflicts are asked for where this helm would stop at them."""
    conflicts = _conflicts_matter(session, made.deployed, [one.release for one in made.desired])
    return live.read(
        session.kubectl,
        manifests,
        session.access.namespace,
        session.masker,
        namespaced=made.cluster.namespace is not None,
        conflicts=conflicts,
        patterns=made.profile.admission,
    )


def _conflicts_matter(session: Session, deployed: Mapping[str, Deployed], releases: Sequence[Release]) -> bool:
    """Whether helm would apply one of them server-side, where fields that others own stop it."""
    return session.helm.major >= 4 and any(server_side(deployed.get(release.name)) for release in releases)


def _problems(
    session: Session,
    request: Request,
    made: Prepared,
    standing: live.Read,
    steps: Sequence[Step],
    broken: Sequence[Problem],
) -> tuple[Problem, ...]:
    """What stops the plan: broken claims, conflicts, refusals of the API server, a downgrade, missing rights."""
    unforced = [
        step
        for step in steps
        if session.helm.major >= 4 and not request.force_conflicts and server_side(made.deployed.get(step.release.name))
    ]
    manifests = {one.release.name: one.manifest for one in made.desired}
    return (
        *broken,
        *plan.conflict_problems(unforced),
        *refused(standing, relabels=request.label_namespace, told=broken),
        *(() if request.allow_downgrade else downgrades(made)),
        *(denied(session, manifests) if made.cluster.namespace is None else ()),
    )


_NOT_FORECAST = (
    "objects in the namespace are not forecast: it does not exist yet; rights were asked for, "
    "and everything is forecast once more when it has been made"
)


def _privileged(namespace: tree.Tree | None) -> bool:
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return labels.get("pod-security.kubernetes.io/enforce") == "privileged"
