"""What rendered manifests come to in this cluster: what they meet, who gets an agent, what is proven. That is the plan.

Loaded while helm renders. Nothing here writes.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from ddhelm import proof, tree
from ddhelm.actions import live, outcomes, staying
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.proving import (
    context,
    covered_after,
    denied,
    downgrades,
    kept_elsewhere,
    left_standing,
    refused,
    secrets_of,
    two_sites,
    unknown_site,
    without_effect,
)
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.manifest import Manifest
from ddhelm.notices import (
    admitted,
    broken_claims,
    conflict_problems,
    left_altered,
    outdated,
    past_ddhelm,
    rescaled,
    taken_in,
)
from ddhelm.plan import Desired, Plan, Problem, Step, StepKind
from ddhelm.steps import conflicts_matter, server_side, steps_for


def planned(
    session: Session,
    request: Request,
    made: Prepared,
    keep: Mapping[str, Desired],
    notices: Sequence[str],
    taken_over: tuple[str, ...],
) -> Prepared:
    """The same with its plan; ``keep`` are the states that keep CRDs, ``notices`` what is known to be worth a line.

    Whether its steps may delete CRDs is the caller's to ask (``Prepared.heeding_crds``), once they are the last ones.
    """
    cluster, wanted = made.cluster, made.settings
    manifests = {one.release.name: one.manifest for one in made.desired}
    standing = _standing(session, made, manifests, namespaced=cluster.namespace is not None)
    covered = covered_after(session, made)
    before = {state.release: state.manifest for state in made.deployed.values()}
    running = staying.seen(session.kubectl, covered, cluster.facts.nodes, before)
    covered = covered.with_running(running)
    steps = [
        step
        for one in made.desired
        for step in steps_for(one, made.deployed.get(one.release.name), standing.live, keep=keep.get(one.release.name))
    ]
    standing, spared = _spared(session, made, standing, steps)
    secrets, writes, days = secrets_of(session, wanted, made)
    proven = context(session, request, made, standing, steps, covered, running, secrets, writes, days)
    results = proof.run(proven, skip=request.skip)
    result = Plan(
        tuple(steps),
        covered,
        results,
        creates_namespace=cluster.namespace is None,
        labels_namespace=_LABELS if request.label_namespace and not _privileged(cluster.namespace) else None,
        writes=writes,
        taken_over=taken_over,
        notices=(
            *notices,
            *_of_cluster(made, request),
            *kept_elsewhere(session, wanted, secrets),
            *_of_steps(made, steps, standing, taken_over),
            *spared,
        ),
        problems=_problems(session, request, made, standing, steps, broken_claims(results)),
    )
    changed = outcomes.of_steps(session, steps, made.desired, made.deployed, standing, forced=request.force_conflicts)
    return replace(made, plan=result, workloads=standing.workloads, standing=standing.standing, outcomes=changed)


def once_more(session: Session, made: Prepared) -> tuple[live.Read, tuple[str, ...]]:
    """The forecast of a plan whose namespace has been made since, judged as the plan's own, and the notices of it."""
    manifests = {one.release.name: one.manifest for one in made.desired}
    return _spared(session, made, _standing(session, made, manifests, namespaced=True), made.plan.steps)


def _spared(
    session: Session, made: Prepared, standing: live.Read, steps: Sequence[Step]
) -> tuple[live.Read, tuple[str, ...]]:
    """Without the refusals of a forecast that helm will not meet, and notices in their place."""
    standing, unforecast = _unsent_refusals(made, standing, steps)
    standing, doubled = _doubled(session, made, standing)
    return standing, (*unforecast, *doubled)


def _unsent_refusals(made: Prepared, standing: live.Read, steps: Sequence[Step]) -> tuple[live.Read, tuple[str, ...]]:
    """Without what the user may not do to objects that helm will not write, and a notice in its place.

    These are all of a release that nothing is done to, and client-side those that the chart leaves as they are. So
    somebody who may only read can plan; what others altered is what a dry run alone would tell.
    """
    working = {step.release.name for step in steps if step.kind is not StepKind.NOTHING}
    changed = {each.ref.identity for step in steps for each in step.objects}
    spared = {
        identity
        for one in made.desired
        for identity in one.manifest.objects
        if one.release.name not in working or not (standing.live.server_side or identity in changed)
    }
    dropped = [each for each in standing.refusals if each.object in spared and each.error.anchor == "forbidden"]
    if not dropped:
        return standing, ()
    kept = tuple(each for each in standing.refusals if each not in dropped)
    objects = "1 object was" if len(dropped) == 1 else f"{len(dropped)} objects were"
    why = f"{objects} not forecast ({dropped[0].error.message}): whether others altered them is not known"
    return replace(standing, refusals=kept), (why,)


def _doubled(session: Session, made: Prepared, standing: live.Read) -> tuple[live.Read, tuple[str, ...]]:
    """Without lists with two entries of one key in a release that helm applies client-side, and a notice for each.

    The forecast is server-side and refuses them; Helm 3 does not (helm/helm#31529). The last one of an install
    counts; the patch of an upgrade may drop the second (measured: 3.22, Kubernetes 1.36). What others altered of an
    object is what the forecast alone would tell.
    """
    taken = {
        identity
        for one in made.desired
        if not server_side(session.helm.major, made.deployed.get(one.release.name))
        for identity in one.manifest.objects
    }
    dropped = [each for each in standing.refusals if each.object in taken and each.error.anchor == "duplicate-entries"]
    kept = tuple(each for each in standing.refusals if each not in dropped)
    why = "client-side, as helm applies this release, that is taken, and which one counts is not certain"
    unknown = "; whether others altered the object is not known"
    return replace(standing, refusals=kept), tuple(
        f"{each.error.message}: {why}{unknown if each.object in standing.standing else ''}" for each in dropped
    )


def _of_steps(made: Prepared, steps: Sequence[Step], standing: live.Read, taken_over: tuple[str, ...]) -> Iterator[str]:
    """Notices about what the steps meet; of values given by hand only where nothing was taken over from them."""
    yield from rescaled(steps, made.desired, standing.standing, made.deployed)
    yield from admitted(steps, standing.live)
    yield from left_altered(made.desired, made.deployed, standing.live)
    yield from taken_in(steps, standing.standing)
    yield from outdated(standing.workloads)
    if not taken_over:
        yield from past_ddhelm(steps, made.deployed)


def _of_cluster(made: Prepared, request: Request) -> Iterator[str]:
    """Notices about what was found before anything was rendered."""
    yield from left_standing(made.profile, made.deployed, request)
    yield from unknown_site(made.settings)
    yield from two_sites(made.settings)
    yield from without_effect(made.profile, made.settings, made.cluster.facts.nodes)
    if made.cluster.namespace is None:
        yield _NOT_FORECAST


def _standing(session: Session, made: Prepared, manifests: Mapping[str, Manifest], *, namespaced: bool) -> live.Read:
    """What applying the manifests would meet; conflicts are asked for where this helm would stop at them."""
    conflicts = conflicts_matter(session.helm.major, made.deployed, [one.release for one in made.desired])
    found = live.read(
        session.kubectl,
        manifests,
        session.access.namespace,
        session.masker,
        namespaced=namespaced,
        conflicts=conflicts,
        patterns=made.profile.admission,
    )
    return replace(found, live=replace(found.live, keeps=made.keeps))


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
        if not request.force_conflicts and server_side(session.helm.major, made.deployed.get(step.release.name))
    ]
    manifests = {one.release.name: one.manifest for one in made.desired}
    return (
        *broken,
        *conflict_problems(unforced),
        *refused(standing, relabels=request.label_namespace, told=broken),
        *(() if request.allow_downgrade else downgrades(made)),
        *(denied(session, manifests) if made.cluster.namespace is None else ()),
    )


_LABELS = {"pod-security.kubernetes.io/enforce": "privileged"}
_NOT_FORECAST = (
    "objects in the namespace are not forecast: it does not exist yet; rights were asked for, "
    "and everything is forecast once more when it has been made"
)


def _privileged(namespace: tree.Tree | None) -> bool:
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return labels.get("pod-security.kubernetes.io/enforce") == "privileged"
