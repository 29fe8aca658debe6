"""What GKE Autopilot's admission writes is no drift and nothing to repair; what people write over it is both."""

from collections.abc import Sequence
from typing import Any

import pytest

from ddhelm import distribution, drift
from ddhelm.actions import live
from ddhelm.admission import expected, in_passing
from ddhelm.drift import Standing
from ddhelm.errors import ConfigError
from ddhelm.managedfields import entries
from ddhelm.manifest import parse
from ddhelm.masking import Masker
from ddhelm.tree import Path, Tree, put
from tests.unit.factsets import distributions
from tests.unit.test_drift import CONTAINER, DAEMONSET, HELM_APPLY, MANIFEST, by, served

(AUTOPILOT,) = (one.admission for one in distributions() if one.name == "gke-autopilot")
WARDEN: Path = ("metadata", "annotations", "autopilot.gke.io/warden-version")
RESOURCES: Path = (*CONTAINER, "resources")


def admitted(warden: str = "2.9.37") -> Tree:
    """The DaemonSet as Autopilot lets it in."""
    body = put(served(), ("metadata", "annotations"), {"autopilot.gke.io/warden-version": warden})
    body = put(body, RESOURCES, {"limits": {"cpu": "1", "ephemeral-storage": "1Gi"}})
    return dict(put(body, ("spec", "template", "spec", "tolerations"), [{"key": "kubernetes.io/arch"}]))


def found(body: Tree, *managed: Tree, forecast: Tree | None = None) -> list[Path]:
    """Where the object drifts once Autopilot's own is left out."""
    standing = Standing("r", DAEMONSET, MANIFEST, body, forecast or body, entries([HELM_APPLY, *managed]))
    whole = drift.of_object(standing, "ssa")
    kept = whole and drift.without_expected(whole, AUTOPILOT, standing.entries)
    return [field.path for field in kept.fields] if kept else []


def test_what_the_platform_writes_is_drift_only_without_its_patterns() -> None:
    body = admitted()
    standing = Standing("r", DAEMONSET, MANIFEST, body, body, entries([HELM_APPLY]))
    whole = drift.of_object(standing, "ssa")
    assert whole is not None
    assert WARDEN in [field.path for field in whole.fields]
    assert found(body) == []


def test_books_that_a_new_version_of_the_platform_would_write_are_no_drift() -> None:
    assert found(admitted("2.9.37"), forecast=admitted("2.10.1")) == []


def test_what_a_person_wrote_over_the_platforms_stays_drift() -> None:
    body = put(admitted(), (*RESOURCES, "limits", "cpu"), "7")
    path = (*RESOURCES, "limits", "cpu")
    assert found(dict(body), by("kubectl-set", path), forecast=admitted()) == [path]


def test_an_object_that_is_gone_stays_drift() -> None:
    missing = drift.ObjectDrift("r", DAEMONSET, missing=True)
    assert drift.without_expected(missing, AUTOPILOT, ()) == missing


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        (WARDEN, True),
        ((*RESOURCES, "requests", "cpu"), True),
        (("metadata", "annotations", "example.com/mine"), False),
        (("metadata", "annotations"), False),
        (("metadata", "labels", "autopilot.gke.io/x"), False),
        ((*CONTAINER, "image"), False),
    ],
)
def test_a_pattern_covers_what_lies_below_it_and_nothing_beside_it(path: Path, fits: bool) -> None:
    assert expected(path, AUTOPILOT, ()) is fits
    assert not expected(path, (), ())


@pytest.mark.parametrize(
    ("path", "wanted", "live", "passing"),
    [
        (("data", "a"), {"data": {"a": "1"}}, {"data": {"a": "1"}}, True),
        (("data", "a"), {"data": {}}, {}, True),
        (("data", "a"), {"data": {"a": "1"}}, {"data": {"a": "2"}}, False),
        (("data", "a"), {"data": {"a": "1"}}, {"data": {}}, False),
        (("data", "a"), {}, {"data": {"a": "1"}}, False),
        (("data", "a"), {"stringData": {"a": "1"}}, {"data": {}}, False),
    ],
)
def test_what_stands_as_the_manifest_has_it_was_altered_by_nobody(
    path: Path, wanted: Tree, live: Tree, passing: bool
) -> None:
    assert in_passing(path, wanted, live) is passing


class Api:
    """Answers the one question that a plan asks about objects."""

    def __init__(self, standing: Tree, forecast: Tree) -> None:
        self.standing, self.forecast = standing, forecast

    def standing_and_forecast(self, trees: Sequence[Tree], *, manager: str, conflicts: bool) -> Any:
        assert (len(trees), manager, conflicts) == (1, "helm", True)
        result = type("Result", (), {"objects": [self.forecast], "conflicts": (), "refusals": ()})
        return [self.standing], result


@pytest.mark.parametrize(("patterns", "repaired"), [(AUTOPILOT, False), ((), True)], ids=["known", "unknown"])
def test_a_plan_repairs_nothing_of_the_platforms(patterns: Any, repaired: bool) -> None:
    import yaml

    masker = Masker(b"k" * 32)
    manifests = {"r": parse(yaml.safe_dump(MANIFEST), "datadog", masker)}
    standing = admitted("2.9.37")
    standing["metadata"] |= {"managedFields": [HELM_APPLY]}
    api: Any = Api(standing, admitted("2.10.1"))
    read = live.read(api, manifests, "datadog", masker, namespaced=True, patterns=patterns)
    assert bool(read.live.changes) is repaired


@pytest.mark.parametrize(("read_only", "unsent"), [(True, True), (False, False)])
def test_a_webhook_that_came_later_meets_only_what_helm_sends(read_only: bool, unsent: bool) -> None:
    """Client-side, helm sends an object whose manifest sets what the server leaves out."""
    import yaml

    mount = {"name": "tmp", "mountPath": "/tmp", **({} if read_only else {"readOnly": False})}
    manifest = put(MANIFEST, (*CONTAINER, "volumeMounts"), [mount])
    masker = Masker(b"k" * 32)
    (obj,) = parse(yaml.safe_dump(manifest), "datadog", masker).objects.values()
    now = put(live.applied(obj, "r", "datadog"), (*CONTAINER, "volumeMounts"), [{"name": "tmp", "mountPath": "/tmp"}])
    api: Any = Api(now, put(now, ("metadata", "labels", "billing"), "team-x"))
    manifests = {"r": parse(yaml.safe_dump(manifest), "datadog", masker)}
    (change,) = live.read(api, manifests, "datadog", masker, namespaced=True).live.changes.values()
    assert (change.in_passing, change.unsent) == (True, unsent)


@pytest.mark.parametrize(("subresource", "scaled"), [("scale", True), ("", False)])
def test_replicas_are_met_in_passing_only_where_they_were_scaled(subresource: str, scaled: bool) -> None:
    """A `kubectl edit` of them is repaired, what `kubectl scale` or an autoscaler wrote is not by itself."""
    import yaml

    manifest = put(MANIFEST, ("spec", "replicas"), 1)
    masker = Masker(b"k" * 32)
    (obj,) = parse(yaml.safe_dump(manifest), "datadog", masker).objects.values()
    forecast = live.applied(obj, "r", "datadog")
    standing = put(forecast, ("spec", "replicas"), 3)
    writer = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    standing["metadata"] |= {"managedFields": [{**writer, "subresource": subresource}]}
    api: Any = Api(standing, forecast)
    manifests = {"r": parse(yaml.safe_dump(manifest), "datadog", masker)}
    (change,) = live.read(api, manifests, "datadog", masker, namespaced=True).live.changes.values()
    assert [(each.old, each.new) for each in change.changes] == [(3, 1)]
    assert (change.in_passing, change.scaled, change.unsent) == (scaled, scaled, False)


@pytest.mark.parametrize(("image", "steady"), [("agent:7", True), ("agent:8", False)])
def test_a_workload_is_steady_where_the_forecast_has_its_pod_template_as_it_stands(image: str, steady: bool) -> None:
    import yaml

    masker = Masker(b"k" * 32)
    forecast = put(put(served(), (*CONTAINER, "image"), image), ("metadata", "labels", "team"), "x")
    api: Any = Api(served(), forecast)
    manifests = {"r": parse(yaml.safe_dump(MANIFEST), "datadog", masker)}
    found = live.read(api, manifests, "datadog", masker, namespaced=True).live
    assert found.steady == ({DAEMONSET.identity} if steady else set())


def test_what_the_api_server_counts_is_no_part_of_a_repair() -> None:
    import yaml

    def counted(templates: str, image: str) -> Tree:
        body = put(served(), ("metadata", "annotations"), {"deprecated.daemonset.template.generation": templates})
        return dict(put(body, (*CONTAINER, "image"), image))

    def changes(now: Tree, applied: Tree) -> list[Path]:
        masker = Masker(b"k" * 32)
        api: Any = Api(now, applied)
        manifests = {"r": parse(yaml.safe_dump(MANIFEST), "datadog", masker)}
        read = live.read(api, manifests, "datadog", masker, namespaced=True)
        assert "deprecated" not in str([(change.before, change.after) for change in read.live.changes.values()])
        return [field.path for change in read.live.changes.values() for field in change.changes]

    assert changes(counted("2", "evil"), counted("3", "agent:7")) == [(*CONTAINER, "image")]
    assert changes(served(), counted("1", "agent:7")) == []


def test_a_field_of_admission_is_a_list_of_steps() -> None:
    with pytest.raises(ConfigError, match="a field of admission must be a list"):
        distribution.parse("mine", {"title": "X", "admission": ["metadata/annotations"]})
    with pytest.raises(ConfigError, match="a field is a list of steps"):
        distribution.parse("mine", {"title": "X", "admission": [["metadata", 1]]})
