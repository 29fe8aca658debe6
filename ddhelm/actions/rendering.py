"""From settings to manifests: the profile, the values of each release, the chart, and what it makes of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ddhelm import chart as chart_
from ddhelm import etcd, facts, plan, profile, shapes, tree, values
from ddhelm import settings as settings_
from ddhelm.actions.reading import all_deployed, earlier, read
from ddhelm.actions.request import Request, settings_of
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.errors import ConfigError, PreflightFailed
from ddhelm.facts import ClusterFacts
from ddhelm.helm import Render
from ddhelm.manifest import Manifest, parse
from ddhelm.plan import Deployed, Desired
from ddhelm.profile import Profile
from ddhelm.release import Release, Role, pair
from ddhelm.settings import FORMAT, Settings
from ddhelm.source import Source, source


def values_only(
    session: Session, request: Request, *, explained: bool = False
) -> tuple[tuple[tuple[Release, values.Values], ...], Profile, Settings]:
    """The values of each release as helm would be sent them, without a chart; the profile and settings behind them.

    ``explained`` values know of each of the user's own keys who set it.
    """
    cluster = read(session)
    deployed = all_deployed(session, cluster)
    left = earlier(deployed)
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


def recognise(
    session: Session, read_facts: ClusterFacts, wanted: Settings, remembered: Mapping[str, Any] | None
) -> Profile:
    """The profile of the cluster; ClusterError where it is unknown or ambiguous and `--distribution` was not given."""
    found = profile.of(
        read_facts,
        session.library.distributions(),
        node_kinds=session.library.node_kinds(),
        override=wanted.distribution,
        remembered=remembered,
        own_certificate=wanted.etcd_secret is not None,
    )
    if "etcd" in wanted.drop_checks:
        return replace(found, notes=tuple(note for note in found.notes if note not in etcd.OF_ASKING))
    return found


def build(
    session: Session,
    read_facts: ClusterFacts,
    found: Profile,
    wanted: Settings,
    releases: Sequence[Release],
    user: Mapping[Role, Sequence[values.Layer]] | None = None,
) -> Mapping[str, values.Values]:
    """The values of each release, by name, with ddhelm's own record under the key ``ddhelm``.

    ``user`` are the user's layers where they are to say who set what; otherwise those of the settings are taken.
    """
    whole = pair(session.access.namespace, control_plane=found.control_plane_release)
    kept = {"format": FORMAT, **settings_.to_record(wanted), "facts": found.to_record()}
    return {
        release.name: values.build(
            values.layers_for(
                release.role,
                releases=whole,
                settings=wanted,
                profile=found,
                library=session.library,
                nodes=read_facts.nodes,
                user=None if user is None else user[release.role],
                record=kept,
            )
        )
        for release in releases
    }


def chart_of(session: Session, request: Request, wanted: Settings, deployed: Mapping[str, Deployed]) -> Chart:
    """The chart that was asked for, else the installed one, else the newest of Datadog's repository."""
    installed = {state.chart_version for state in deployed.values() if state.base is not None}
    version = request.version
    if version is None and request.chart is None and installed:
        version = max(installed, key=facts.version_of)
    where = source(request.chart or wanted.chart)
    if where.kind == "path" and not Path(where.chart).expanduser().exists():
        hint = "ddhelm onboard --chart PATH|oci://…|https://helm.datadoghq.com"
        if request.chart is None:
            raise ConfigError(
                f"the chart `{where.chart}`, from which the releases were installed, is gone",
                hint=hint,
                anchor="chart-not-found",
            )
        raise ConfigError(f"there is no chart at `{where.chart}`", hint=hint, anchor="chart-not-found")
    return chart_at(session, where, version, asked=request.version)


def chart_at(session: Session, where: Source, version: str | None, *, asked: str | None) -> Chart:
    """The chart of a source; ConfigError where a folder or archive is another version than the one ``asked`` for."""
    chart = chart_.read(session.helm.pull(where, version))
    if (
        asked is not None
        and where.kind in {"path", "url"}
        and facts.version_of(asked) != facts.version_of(chart.version)
    ):
        raise ConfigError(
            f"the chart `{where}` is version {chart.version}, not {asked}",
            hint="name another with --chart, or leave --version out",
            anchor="chart-version-not-found",
        )
    return chart


def render(
    session: Session,
    chart: Chart,
    releases: Sequence[Release],
    built: Mapping[str, values.Values],
    deployed: Mapping[str, Deployed],
    request: Request,
) -> tuple[tuple[Desired, ...], Mapping[str, Desired]]:
    """The desired state of each release, and per release the state that keeps CRDs which would be lost."""
    desired = desired_of(session, chart, releases, built, deployed)
    if request.delete_crds:
        return desired, {}
    losing = [
        one
        for one in desired
        if (state := deployed.get(one.release.name)) and plan.lost_crds(state.manifest, one.manifest)
    ]
    if not losing:
        return desired, {}
    keep = {("datadog", "operator", "enabled"): True, ("operator", "datadogCRDs", "keepCrds"): True}
    with_operator = {}
    for one in losing:
        kept = one.values.tree
        for path, value in keep.items():
            kept = tree.put(kept, path, value)
        with_operator[one.release.name] = replace(one.values, tree=kept)
    keepers = desired_of(session, chart, [one.release for one in losing], with_operator, deployed)
    return desired, {one.release.name: one for one in keepers}


def manifests_of(
    session: Session, chart: Chart, built: Mapping[Release, values.Values], *, is_upgrade: bool
) -> Mapping[Release, Manifest]:
    """What a chart makes of values in this cluster, for each release."""
    renders = [Render(release.name, chart.path, each.tree, is_upgrade=is_upgrade) for release, each in built.items()]
    return dict(zip(built, parsed(session, tuple(built), session.helm.templates(renders)), strict=True))


def parsed(session: Session, releases: Sequence[Release], texts: Sequence[str]) -> tuple[Manifest, ...]:
    """The manifests of rendered texts; ConfigError where a value of the wrong type went into one."""
    found = tuple(parse(text, each.namespace, session.masker) for each, text in zip(releases, texts, strict=True))
    shapes.refuse_wrong((each.role, each.name, made) for each, made in zip(releases, found, strict=True))
    return found


def desired_of(
    session: Session,
    chart: Chart,
    releases: Sequence[Release],
    built: Mapping[str, values.Values],
    deployed: Mapping[str, Deployed],
) -> tuple[Desired, ...]:
    """What each release shall be: its values (by release name) and what the chart makes of them in this cluster.

    Raises what helm's words stand for; an object that another release owns is left to the claim about owners.
    """
    renders = [
        Render(release.name, chart.path, built[release.name].tree, is_upgrade=release.name in deployed)
        for release in releases
    ]
    try:
        texts = session.helm.templates(renders)
    except PreflightFailed as error:
        if error.anchor != "owned-elsewhere":
            raise
        # helm names one object and its release at most; the claim about it names all of them and who has them
        texts = session.helm.templates([replace(each, is_upgrade=True) for each in renders])
    return tuple(
        Desired(
            release,
            built[release.name],
            manifest,
            chart.version,
            chart.app_version,
        )
        for release, manifest in zip(releases, parsed(session, releases, texts), strict=True)
    )
