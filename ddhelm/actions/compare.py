"""Two states of the pair side by side, without doing anything: two revisions, or two chart versions."""

from ddhelm import tree
from ddhelm.actions import charts, prepare, rendering
from ddhelm.actions import revisions as revisions_
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.errors import ReleaseError
from ddhelm.manifest import Manifest, parse
from ddhelm.plan import Step, StepKind
from ddhelm.release import Release, pair
from ddhelm.source import Source, source
from ddhelm.steps import agents_in, matters, object_changes, restarts


def revisions(session: Session, old: int, new: int) -> tuple[Step, ...]:
    """How manifests and values of two revisions differ, a step for each release that has both.

    Raises ReleaseError where no release has both.
    """
    releases = pair(session.access.namespace, control_plane=True)
    wanted = [(release.name, revision) for release in releases for revision in (old, new)]
    records = session.kubectl.records(wanted)
    steps = []
    for at, release in enumerate(releases):
        first, second = records[2 * at], records[2 * at + 1]
        if first is not None and second is not None:
            before, after = (parse(each.manifest, release.namespace, session.masker) for each in (first, second))
            # a release made by hand may hold keys in its values
            given = tree.diff(*(session.masker.body(each.config) for each in (first, second)), ordered=True)
            steps.append(_step(release, before, after, f"revision {old} to {new}", given))
    if not steps:
        revisions_.existing(session, revisions_.read(session))
        raise ReleaseError(
            f"no release in namespace `{session.access.namespace}` has both revision {old} and {new}",
            hint="ddhelm history",
            anchor="no-revision",
        )
    return tuple(steps)


def versions(session: Session, request: Request, old: str, new: str) -> tuple[Step, ...]:
    """How the manifests of two chart versions differ under the values that are stored and given.

    Instead of a version, a chart by its path, address or `oci://` reference. Raises ConfigError where the chart in use
    is itself a file, and so one version only.
    """
    built, _, wanted = prepare.values_only(session, request)
    where = source(request.chart or wanted.chart)
    before, after = (
        rendering.manifests_of(session, _chart(session, where, named), dict(built), is_upgrade=True)
        for named in (old, new)
    )
    return tuple(_step(release, before[release], after[release], f"chart {old} to {new}") for release in before)


def _chart(session: Session, where: Source, named: str) -> Chart:
    chart = source(named)
    if (chart.kind, chart.chart) != ("repo", named):  # a bare word is a version here
        return charts.chart_at(session, chart, None, asked=None)
    hint = "name both charts (ddhelm diff versions ./OLD.tgz ./NEW.tgz), or a repository with --chart"
    return charts.chart_at(session, where, named, asked=named, hint=hint)


def _step(release: Release, before: Manifest, after: Manifest, why: str, values: tuple[tree.Change, ...] = ()) -> Step:
    changes = object_changes(before, after)
    differ = any(map(matters, changes))
    return Step(
        StepKind.UPGRADE if differ or values else StepKind.NOTHING,
        release,
        why if differ else "",
        changes,
        restarts(before, after),
        values_changes=values,
        agents=agents_in(after),
    )
