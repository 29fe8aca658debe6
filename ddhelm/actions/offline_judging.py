"""What manifests that were rendered without a cluster come to: who gets an agent, what is proven, what changes.

Loaded while helm renders.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ddhelm import claim, proof
from ddhelm.actions import proving, rendering
from ddhelm.actions.choosing import Choice
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.reading import Cluster
from ddhelm.actions.request import idle_values, value_notes
from ddhelm.actions.session import Session
from ddhelm.errors import ConfigError
from ddhelm.manifest import Manifest, Object, parse
from ddhelm.notices import broken_claims
from ddhelm.plan import Deployed, Desired, Head, Live, Plan
from ddhelm.release import NAMES, Release, Role, only, pair
from ddhelm.steps import steps_for


def planned(choice: Choice, texts: Mapping[str, str], facts_file: str, against: str | None, saved: str) -> Prepared:
    """The plan; ``texts`` is what helm rendered, by release, ``saved`` what stands in the file ``against``, if any.

    Raises ConfigError where the saved manifests are none, UsageError for ``--only`` with nothing left.
    """
    without, request, read = choice.session, choice.request, choice.facts
    desired = rendering.desired(choice, choice.releases, choice.values, texts)
    deployed = {} if against is None else _deployed(without, against, saved, desired)
    chosen = only(choice.releases, request.only, worker_exists=against is None or NAMES[Role.WORKER] in deployed)
    steps = [
        step
        for one in desired
        if one.release in chosen
        for step in steps_for(one, deployed.get(one.release.name), Live({}))
    ]
    manifests = {name: state.manifest for name, state in deployed.items()}
    manifests |= {one.release.name: one.manifest for one in desired}
    covered = proving.covered_by(without, read.nodes, choice.settings, manifests)
    made = Prepared(
        Plan((), covered, ()),
        Cluster(read, None, {}, None, None, None),
        choice.profile,
        choice.settings,
        choice.chart,
        choice.releases,
        desired,
        deployed,
    )
    results = proof.run(_context(without, made), skip=request.skip)
    nowhere = dict.fromkeys((verdict.node for verdict in covered.verdicts), frozenset[str]())
    result = Plan(
        tuple(steps),
        covered.with_running(nowhere),  # no pod was seen
        results,
        notices=_notices(choice, facts_file, deployed),
        problems=broken_claims(results),
    )
    return replace(made, plan=result)


def _notices(choice: Choice, facts_file: str, deployed: Mapping[str, Deployed]) -> tuple[str, ...]:
    """What is worth a line besides; the first says what this plan cannot know."""
    request, settings = choice.request, choice.settings
    source = "standard input" if facts_file == "-" else f"`{facts_file}`"
    return (
        f"offline: from {source}, without asking a cluster: what is kept with the releases is not known, "
        "only the flags and files given here count",
        *value_notes(request),
        *idle_values(request.user, request.only),
        *proving.left_standing(choice.profile, deployed, request),
        *proving.unknown_site(settings),
        *proving.two_sites(settings),
        *proving.without_effect(choice.profile, settings, choice.facts.nodes),
    )


def _deployed(without: Session, against: str, saved: str, desired: Sequence[Desired]) -> Mapping[str, Deployed]:
    """The saved manifests as if they were what stands, by release; one that has none of them is not there."""
    wanted = {one.release.name: one for one in desired}
    return {
        release.name: Deployed(
            release,
            Head(0, "deployed"),
            0,
            manifest,
            wanted[release.name].values.tree if release.name in wanted else {},
            chart_version=wanted[release.name].chart_version if release.name in wanted else "",
        )
        for release, manifest in _saved(without, against, saved, desired).items()
    }


def _context(without: Session, made: Prepared) -> claim.ProofContext:
    """What the claims may look at: nothing live but the API versions that the facts name."""
    read, found, chart = made.cluster.facts, made.profile, made.chart
    return claim.ProofContext(
        namespace=without.access.namespace,
        releases=tuple(
            claim.ReleaseView(o.release.role, o.release.name, o.manifest, record_size=proving.record_size(chart, o))
            for o in made.desired
        ),
        coverage=made.plan.coverage,
        nodes=read.nodes,
        live=claim.LiveState(api_versions=read.api_groups or None),
        require_coverage=made.settings.require_coverage,
        tolerate=made.settings.tolerate,
        chart=claim.ChartView(chart.name, chart.version, without.library.refused_charts()),
        kubernetes=read.server_version or "",
        untyped_files=proving.untyped_files(found),
        doubted=found.doubted,
        requirements=proving.requirements(found),
    )


def _saved(without: Session, name: str, text: str, desired: Sequence[Desired]) -> Mapping[Release, Manifest]:
    """Saved manifests, each object given to the release that has it, else to the one whose name it carries."""
    try:
        whole = parse(text, without.access.namespace, without.masker)
    except ConfigError as error:
        raise _no_manifests(name, error.message) from None
    if not whole.objects and any(line.strip(" -") and not line.lstrip().startswith("#") for line in text.splitlines()):
        raise _no_manifests(name, "no object is in it")
    # both, also where the cluster gets one release: what the other left is not the worker release's to delete
    parts: dict[Release, list[Object]] = {each: [] for each in pair(without.access.namespace, control_plane=True)}
    for identity, obj in whole.objects.items():
        owner = next((one.release for one in desired if identity in one.manifest.objects), None)
        parts[owner or _named(obj, tuple(parts))].append(obj)
    return {release: Manifest(objects, without.masker) for release, objects in parts.items() if objects}


def _no_manifests(name: str, why: str) -> ConfigError:
    hint = "helm get manifest RELEASE -n NAMESPACE > FILE"
    return ConfigError(f"`{name}` holds no manifests: {why}", hint=hint, anchor="bad-manifest")


def _named(obj: Object, releases: Sequence[Release]) -> Release:
    named = [release for release in releases if obj.ref.name.startswith(release.name)]
    return named[0] if named else next(release for release in releases if release.role is Role.WORKER)
