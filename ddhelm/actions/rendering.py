"""From values to manifests: what the chart makes of them in this cluster."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from ddhelm import shapes, tree
from ddhelm.actions.choosing import Choice
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.errors import PreflightFailed
from ddhelm.helm import Render
from ddhelm.manifest import Identity, Manifest, parse
from ddhelm.plan import Desired
from ddhelm.release import Release
from ddhelm.steps import lost_crds
from ddhelm.values import Values

Choose = Callable[[], Mapping[str, Values]]
"""Tells which of the releases are to be rendered and with which values; called while helm comes up."""


def keeping(choice: Choice, made: Iterable[Desired], keeps: Mapping[Identity, bool]) -> Mapping[str, Desired]:
    """Per release that would lose CRDs the state that keeps them; ``keeps``: those that stand annotated so, or not."""
    losing = [
        one
        for one in made
        if (state := choice.deployed.get(one.release.name)) and lost_crds(state.manifest, one.manifest, keeps)
    ]
    if choice.request.delete_crds or not losing:
        return {}
    keep = {("datadog", "operator", "enabled"): True, ("operator", "datadogCRDs", "keepCrds"): True}
    with_operator = {}
    for one in losing:
        kept = one.values.tree
        for path, value in keep.items():
            kept = tree.put(kept, path, value)
        with_operator[one.release.name] = replace(one.values, tree=kept)
    keepers = render(choice, [one.release for one in losing], lambda: with_operator)
    return {one.release.name: one for one in keepers}


def manifests_of(
    session: Session, chart: Chart, built: Mapping[Release, Values], *, is_upgrade: bool
) -> Mapping[Release, Manifest]:
    """What a chart makes of values in this cluster, for each release."""
    renders = [Render(release.name, chart.path, is_upgrade=is_upgrade) for release in built]
    texts = session.helm.templates(renders, lambda: {release.name: each.tree for release, each in built.items()})
    return _parsed(session, built, texts)


def render(
    choice: Choice, releases: Sequence[Release], choose: Choose, *, meanwhile: Callable[[], None] = lambda: None
) -> tuple[Desired, ...]:
    """What each release shall be that ``choose`` names: its values, and what the chart makes of them in this cluster.

    Raises what helm's words stand for; an object that another release owns is left to the claim about owners.
    """
    helm = choice.session.helm
    renders = [Render(each.name, choice.chart_path, is_upgrade=each.name in choice.deployed) for each in releases]
    built: dict[str, Values] = {}

    def values() -> Mapping[str, tree.Tree]:
        built.update(choose())
        return {name: each.tree for name, each in built.items()}

    try:
        texts = helm.templates(renders, values, meanwhile=meanwhile)
    except PreflightFailed as error:
        if error.anchor != "owned-elsewhere":
            raise
        # helm names one object and its release at most; the claim about it names all of them and who has them
        texts = helm.templates([replace(each, is_upgrade=True) for each in renders], values)
    return desired(choice, [each for each in releases if each.name in built], built, texts)


def desired(
    choice: Choice, releases: Iterable[Release], built: Mapping[str, Values], texts: Mapping[str, str]
) -> tuple[Desired, ...]:
    """What was rendered (values and texts by release) as what each release shall be."""
    chart = choice.chart
    return tuple(
        Desired(release, built[release.name], manifest, chart.version, chart.app_version)
        for release, manifest in _parsed(choice.session, releases, texts).items()
    )


def _parsed(session: Session, releases: Iterable[Release], texts: Mapping[str, str]) -> Mapping[Release, Manifest]:
    """The manifests of rendered texts; ConfigError where a value of the wrong type went into one."""
    found = {each: parse(texts[each.name], each.namespace, session.masker) for each in releases}
    shapes.refuse_wrong((each.role, each.name, made) for each, made in found.items())
    return found
