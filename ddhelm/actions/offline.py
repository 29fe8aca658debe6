"""A plan without a cluster: from facts that ``ddhelm detect -o json`` wrote down, for the gate of a pull request.

What only the live cluster knows (owners, conflicts, Secrets, other agents) is not asked; checks that need it say so.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ddhelm import claim, facts, plan, proof
from ddhelm.access import Access
from ddhelm.actions import proving, rendering, wrongvalues
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.reading import Cluster
from ddhelm.actions.request import Request, idle_values, settings_of, value_notes
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.errors import ConfigError
from ddhelm.facts import ClusterFacts
from ddhelm.helm import Offline, Render
from ddhelm.manifest import Manifest, Object, parse
from ddhelm.plan import Deployed, Desired, Head, Live, Plan
from ddhelm.release import DEFAULT_NAMESPACE, NAMES, Release, Role, only, pair
from ddhelm.run import Secrets
from ddhelm.settings import Settings
from ddhelm.values import Values

_LIMIT = 256 * 1024 * 1024


def session(namespace: str | None) -> Session:
    """A session that knows no cluster; helm is still needed to render."""
    access = Access(None, "", namespace or DEFAULT_NAMESPACE, "(offline)", {})
    return Session(access, Secrets())


def plan_offline(
    without: Session,
    request: Request,
    facts_file: str,
    against: str | None,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> Prepared:
    """The plan for the cluster of ``facts_file``; without ``against`` (saved manifests) everything is new.

    ``meanwhile`` is done while helm renders.

    Raises ConfigError for files that cannot be read or are something else.
    """
    read = _facts(facts_file)
    wrongvalues.refuse_misread(without, request, Settings(), {})
    wanted = settings_of(Settings(), request)
    found = rendering.recognise(without, read, wanted, None)
    releases = pair(without.access.namespace, control_plane=found.control_plane_release)
    chart = rendering.chart_of(without, request, wanted, {})
    built = rendering.build(without, read, found, wanted, releases)

    def while_rendering() -> None:
        wrongvalues.refuse_unfit(chart, request, Settings())
        meanwhile()

    desired = _rendered(
        without, read, chart, built, releases, is_upgrade=against is not None, meanwhile=while_rendering
    )
    deployed = _deployed(without, against, desired) if against is not None else {}
    chosen = only(releases, request.only, worker_exists=against is None or NAMES[Role.WORKER] in deployed)
    steps = [
        step
        for one in desired
        if one.release in chosen
        for step in plan.steps_for(one, deployed.get(one.release.name), Live({}))
    ]
    covered = proving.covered_by(without, read.nodes, wanted, {one.release.name: one.manifest for one in desired})
    cluster = Cluster(read, None, {}, None, None, None)
    made = Prepared(Plan((), covered, ()), cluster, found, wanted, chart, releases, desired, deployed)
    results = proof.run(_context(without, made), skip=request.skip)
    nowhere = dict.fromkeys((verdict.node for verdict in covered.verdicts), frozenset[str]())
    result = Plan(
        tuple(steps),
        covered.with_running(nowhere),  # no pod was seen
        results,
        notices=_notices(facts_file, request, made),
        problems=plan.broken_claims(results),
    )
    return dataclasses.replace(made, plan=result)


def _notices(facts_file: str, request: Request, made: Prepared) -> tuple[str, ...]:
    """What is worth a line besides; the first says what this plan cannot know."""
    return (
        f"offline: from `{facts_file}`, without asking a cluster: what is kept with the releases is not known, "
        "only the flags and files given here count",
        *value_notes(request),
        *idle_values(request.user, request.only),
        *proving.unknown_site(made.settings),
        *proving.two_sites(made.settings),
        *proving.without_effect(made.profile, made.settings, made.cluster.facts.nodes),
    )


def _rendered(
    without: Session,
    read: ClusterFacts,
    chart: Chart,
    built: Mapping[str, Values],
    releases: Sequence[Release],
    *,
    is_upgrade: bool,
    meanwhile: Callable[[], None],
) -> tuple[Desired, ...]:
    """What the chart makes of the values where the API offers what the facts say."""
    offered = Offline(read.server_version or "v1.30.0", tuple(sorted(read.api_groups)))
    renders = [Render(each.name, chart.path, built[each.name].tree, is_upgrade=is_upgrade) for each in releases]
    texts = without.helm.templates(renders, offline=offered, meanwhile=meanwhile)
    return tuple(
        Desired(each, built[each.name], manifest, chart.version, chart.app_version)
        for each, manifest in zip(releases, rendering.parsed(without, releases, texts), strict=True)
    )


def _deployed(without: Session, against: str, desired: Sequence[Desired]) -> Mapping[str, Deployed]:
    """The saved manifests as if they were what stands, by release; one that has none of them is not there."""
    saved = _saved(without, against, desired)
    return {
        one.release.name: Deployed(
            one.release,
            Head(0, "deployed"),
            0,
            saved[one.release.name],
            one.values.tree,
            chart_version=one.chart_version,
        )
        for one in desired
        if one.release.name in saved
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
        chart=claim.ChartView(chart.name, chart.version, without.library.refused_charts()),
        kubernetes=read.server_version or "",
        untyped_files=proving.untyped_files(found),
        doubted=found.doubted,
        requirements=proving.requirements(found),
    )


def _facts(name: str) -> ClusterFacts:
    text = _text(name)
    try:
        tree: Any = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"`{name}` is no JSON: {error}", hint="ddhelm detect -o json > FILE", anchor="bad-facts-file"
        ) from None
    try:
        document = tree.get("data", tree)
        return facts.from_json(document.get("facts", document))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"`{name}` holds no facts of a cluster", hint="ddhelm detect -o json > FILE", anchor="bad-facts-file"
        ) from None


def _saved(without: Session, name: str, desired: Sequence[Desired]) -> Mapping[str, Manifest]:
    """Saved manifests, each object given to the release that has it, else to the one whose name it carries."""
    text = _text(name)
    try:
        whole = parse(text, without.access.namespace, without.masker)
    except ConfigError as error:
        hint = "helm get manifest RELEASE -n NAMESPACE > FILE"
        raise ConfigError(f"`{name}` holds no manifests: {error.message}", hint=hint, anchor="bad-manifest") from None
    parts: dict[str, list[Object]] = {one.release.name: [] for one in desired}
    for identity, obj in whole.objects.items():
        owner = next((one.release for one in desired if identity in one.manifest.objects), None)
        parts[(owner or _named(obj, [one.release for one in desired])).name].append(obj)
    return {name: Manifest(objects, without.masker) for name, objects in parts.items() if objects}


def _named(obj: Object, releases: Sequence[Release]) -> Release:
    named = [release for release in releases if obj.ref.name.startswith(release.name)]
    return named[0] if named else next(release for release in releases if release.role is Role.WORKER)


def _text(name: str) -> str:
    try:
        with Path(name).expanduser().open("rb") as stream:
            return stream.read(_LIMIT).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"`{name}` cannot be read: {error.strerror}", hint=f"ls -l {name}", anchor="facts-file"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"`{name}` is no UTF-8 text", hint=f"file {name}", anchor="facts-file") from None
