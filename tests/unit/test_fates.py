"""What a coming change makes of fields that others changed, by how helm applies and what the new manifest says."""

import pytest

from ddhelm.drift import Change, Fate, Method, Standing
from ddhelm.fates import coming
from ddhelm.managedfields import entries
from ddhelm.manifest import ObjectRef
from ddhelm.tree import Path, Tree, drop, put
from tests.unit.test_drift import CONTAINER, DAEMONSET, HELM_APPLY, HELM_UPDATE, IMAGE, MANIFEST, by, served

STRAY: Path = ("metadata", "labels", "team")


def fate(
    live: Tree, *managed: Tree, desired: Tree, method: Method = "ssa", forced: bool = False, forecast: bool = False
) -> list[Fate]:
    """The fates of the fields of one object that others changed."""
    ahead = served() if forecast else None
    standing = Standing("r", DAEMONSET, MANIFEST, live, ahead, entries([*managed]))
    return [field.fate for each in coming([(standing, desired)], method, forced=forced) for field in each.fields]


CHANGED = put(served(), IMAGE, "other:1")
SET_IMAGE = by("kubectl-set", IMAGE)
NEWER = put(MANIFEST, IMAGE, "agent:8")


@pytest.mark.parametrize(
    ("method", "forced", "expected"),
    [("ssa", False, Fate.CONFLICT), ("ssa", True, Fate.OVERWRITTEN), ("csa", False, Fate.OVERWRITTEN)],
)
@pytest.mark.parametrize("desired", [MANIFEST, NEWER], ids=["same", "newer"])
def test_a_field_that_others_own_and_the_manifest_sets(
    method: Method, forced: bool, expected: Fate, desired: Tree
) -> None:
    helm = HELM_APPLY if method == "ssa" else HELM_UPDATE
    assert fate(CHANGED, helm, SET_IMAGE, desired=desired, method=method, forced=forced) == [expected]


def test_an_upgrade_to_what_somebody_already_wrote_keeps_it() -> None:
    """Server-side apply shares a field whose value is the same; nobody loses anything."""
    assert fate(CHANGED, HELM_APPLY, SET_IMAGE, desired=put(MANIFEST, IMAGE, "other:1")) == [Fate.KEPT]


@pytest.mark.parametrize(("method", "expected"), [("ssa", Fate.KEPT), ("csa", Fate.OVERWRITTEN)])
def test_a_field_that_the_new_manifest_gives_up(method: Method, expected: Fate) -> None:
    helm = HELM_APPLY if method == "ssa" else HELM_UPDATE
    assert fate(CHANGED, helm, SET_IMAGE, desired=drop(MANIFEST, IMAGE), method=method) == [expected]


@pytest.mark.parametrize(
    ("desired", "forced", "expected"),
    [
        (MANIFEST, False, Fate.KEPT),
        (put(MANIFEST, STRAY, "y"), False, Fate.CONFLICT),
        (put(MANIFEST, STRAY, "y"), True, Fate.OVERWRITTEN),
        (put(MANIFEST, STRAY, "x"), False, Fate.KEPT),
    ],
    ids=["not-set", "set-otherwise", "set-otherwise-forced", "set-to-it"],
)
def test_a_label_that_somebody_added(desired: Tree, forced: bool, expected: Fate) -> None:
    live = put(served(), STRAY, "x")
    assert fate(live, HELM_APPLY, by("kubectl-label", STRAY), desired=desired, forced=forced) == [expected]


def test_what_is_as_deployed_or_gone_has_no_fate() -> None:
    assert fate(served(), HELM_APPLY, desired=NEWER) == []
    gone = Standing("r", DAEMONSET, MANIFEST, None, served())
    assert coming([(gone, NEWER)], "ssa") == ()


@pytest.mark.parametrize(("desired", "expected"), [(100, Fate.KEPT), (200, Fate.OVERWRITTEN)])
def test_client_side_a_kind_that_helm_does_not_know_is_written_only_where_the_chart_changes_it(
    desired: int, expected: Fate
) -> None:
    path = ("spec", "groupPriorityMinimum")
    ref = ObjectRef("apiregistration.k8s.io/v1", "APIService", "", "v1.x")
    standing = Standing("r", ref, put({}, path, 100), put({}, path, 7), put({}, path, 100), entries([by("edit", path)]))
    (found,) = coming([(standing, put({"more": 1}, path, desired))], "csa")
    assert [field.fate for field in found.fields] == [expected]


def test_what_admission_put_there_stays() -> None:
    live = put(served(), (*CONTAINER, "env"), [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
    assert fate(live, HELM_APPLY, desired=NEWER) == [Fate.KEPT]


TAKEN = by("argocd", IMAGE, operation="Apply")


@pytest.mark.parametrize(
    ("desired", "method", "forced", "expected"),
    [
        (NEWER, "ssa", False, [Fate.CONFLICT]),
        (NEWER, "ssa", True, [Fate.OVERWRITTEN]),
        (NEWER, "csa", False, []),
        (drop(MANIFEST, IMAGE), "ssa", False, [Fate.KEPT]),
        (drop(MANIFEST, IMAGE), "ssa", True, [Fate.KEPT]),
        (MANIFEST, "ssa", False, []),
    ],
    ids=["changed", "changed-forced", "changed-client-side", "given-up", "given-up-forced", "not-changed"],
)
@pytest.mark.parametrize("forecast", [True, False])
def test_a_field_that_another_owns_at_its_deployed_value(
    desired: Tree, method: Method, forced: bool, expected: list[Fate], forecast: bool
) -> None:
    found = fate(served(), HELM_APPLY, TAKEN, desired=desired, method=method, forced=forced, forecast=forecast)
    assert found == expected


def test_what_somebody_changed_is_told_once() -> None:
    (one,) = coming(
        [(Standing("r", DAEMONSET, MANIFEST, CHANGED, None, entries([HELM_APPLY, SET_IMAGE])), NEWER)], "ssa"
    )
    assert [field.change for field in one.fields] == [Change.ALTERED]
