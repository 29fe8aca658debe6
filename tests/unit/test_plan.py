"""Plans: from deployed, desired and live state to ordered steps, as Helm really behaves."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from ddhelm.actions import live as live_action
from ddhelm.applying import ApplyResult, identity
from ddhelm.conflicts import Conflict as FieldConflict
from ddhelm.manifest import Manifest, ObjectRef, parse
from ddhelm.masking import Masker
from ddhelm.notices import admitted, conflict_problems, left_altered, outdated, past_ddhelm, rescaled, taken_in
from ddhelm.plan import Action, Conflict, Deployed, Desired, Head, Live, LiveChange, Step, StepKind
from ddhelm.release import Release, Role
from ddhelm.steps import lost_crds, matters, steps_for
from ddhelm.tree import Change, Named
from ddhelm.values import Layer, build
from ddhelm.workloads import Workload

MASKER = Masker(b"k" * 32)
RELEASE = Release(Role.WORKER, "worker-node-ddagent", "datadog")


def manifest(*documents: Mapping[str, Any]) -> Manifest:
    import json

    return parse("".join(f"---\n{json.dumps(d)}\n" for d in documents), "datadog", MASKER)


def daemonset(image: str = "agent:7", *, template: Mapping[str, Any] | None = None) -> dict[str, Any]:
    spec = {"containers": [{"name": "agent", "image": image}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "w"},
        "spec": {"template": {"metadata": dict(template or {}), "spec": spec}},
    }


def configmap(name: str = "confd", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def crd(**annotations: str) -> dict[str, Any]:
    metadata = {"name": "monitors.datadoghq.com", "annotations": annotations}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata}


def desired(
    *documents: Mapping[str, Any], values: Mapping[str, Any] | None = None, version: str = "3.240.0"
) -> Desired:
    return Desired(RELEASE, build([Layer("x", dict(values or {"a": 1}))]), manifest(*documents), version)


def deployed(
    *documents: Mapping[str, Any],
    status: str = "deployed",
    revision: int = 3,
    base: int | None = 3,
    values: Mapping[str, Any] | None = None,
) -> Deployed:
    return Deployed(
        RELEASE,
        Head(revision, status),
        base,
        manifest(*documents),
        dict(values or {"a": 1}),
        chart_version="3.240.0",
    )


def kinds(steps: list[Step]) -> list[StepKind]:
    return [step.kind for step in steps]


QUIET = Live({})


def test_no_release_is_installed_with_every_object_created() -> None:
    (step,) = steps_for(desired(daemonset(), configmap()), None, QUIET)
    assert step.kind is StepKind.INSTALL
    assert [change.action for change in step.objects] == [Action.CREATE, Action.CREATE]


def met(*documents: Mapping[str, Any], changes: Sequence[LiveChange] = (), theirs: Sequence[Conflict] = ()) -> Live:
    """A cluster in which these objects stand."""
    standing = frozenset(manifest(*documents).objects)
    return Live({each.ref.identity: each for each in changes}, tuple(theirs), server_side=True, standing=standing)


def ref_of(document: Mapping[str, Any]) -> ObjectRef:
    return next(obj.ref for obj in manifest(document).objects.values())


@pytest.mark.parametrize("status", [None, "uninstalled", "uninstalling"])
def test_an_install_meets_what_others_changed_of_objects_that_were_kept(status: str | None) -> None:
    """Helm 4 takes kept CRDs in by server-side apply, and stops half-way at a field of somebody else's."""
    keep = crd(**{"helm.sh/resource-policy": "keep"})
    new = desired(daemonset(), keep)
    theirs = Conflict(ref_of(keep), ".spec.names.shortNames", "kubectl-edit")
    before = None if status is None else deployed(keep, status=status, base=None)
    *_, step = steps_for(new, before, met(keep, theirs=[theirs]))
    assert (step.kind, step.conflicts, step.unchanged) == (StepKind.INSTALL, (theirs,), 1)
    (problem,) = conflict_problems([step])
    assert "--force-conflicts" in problem.hint


def test_an_install_over_what_stands_says_what_it_changes_and_restarts() -> None:
    """As where somebody deleted the release's history."""
    image = Change(("spec", "template", "spec", "containers", Named("name=agent"), "image"), "replace", "a:6", "a:7")
    altered = LiveChange(ref_of(daemonset()), missing=False, changes=(image,), before={"a": 1}, after={"a": 2})
    (step,) = steps_for(
        desired(daemonset(), configmap(), configmap("new")), None, met(daemonset(), configmap(), changes=[altered])
    )
    assert [(each.action, each.ref.name) for each in step.objects] == [(Action.CREATE, "new"), (Action.UPDATE, "w")]
    assert step.unchanged == 1
    assert [(each.ref.name, each.because) for each in step.restarts] == [("w", ("image",))]
    (told,) = taken_in([step], {})
    assert told == "worker-node-ddagent: 2 objects stand already: not made, but taken into the release"


def test_what_an_uninstall_deletes_first_is_made_anew() -> None:
    state = deployed(daemonset(), status="pending-install", revision=1, base=None)
    gone, step = steps_for(desired(daemonset(), configmap()), state, met(daemonset(), configmap()))
    assert (gone.kind, step.kind) == (StepKind.UNINSTALL, StepKind.INSTALL)
    assert [each.ref.kind for each in step.objects] == ["DaemonSet"]


def test_the_same_manifest_and_values_are_nothing_to_do() -> None:
    assert kinds(steps_for(desired(daemonset()), deployed(daemonset()), QUIET)) == [StepKind.NOTHING]


def test_other_values_with_the_same_manifest_are_stored_and_restart_nothing() -> None:
    (step,) = steps_for(desired(daemonset(), values={"a": 2}), deployed(daemonset()), QUIET)
    assert step.kind is StepKind.UPGRADE
    assert not step.objects
    assert step.restarts == ()
    assert [change.path for change in step.values_changes] == [("a",)]


def waiting_for_deletion(image: str) -> dict[str, Any]:
    made = daemonset(image)
    made["spec"]["updateStrategy"] = {"type": "OnDelete"}
    return made


def test_pods_that_only_a_deletion_replaces_are_told_apart() -> None:
    """The strategy that comes counts: the DaemonSet controller reads it together with the template."""
    for before in (waiting_for_deletion("agent:7"), daemonset("agent:7")):
        (step,) = steps_for(desired(waiting_for_deletion("agent:8")), deployed(before), QUIET)
        assert [(each.because, each.on_delete) for each in step.restarts] == [(("image",), True)]
    (step,) = steps_for(desired(daemonset("agent:8")), deployed(waiting_for_deletion("agent:7")), QUIET)
    assert [each.on_delete for each in step.restarts] == [False]


@pytest.mark.parametrize("missing", [False, True])
def test_so_are_those_that_were_edited_but_not_those_of_a_workload_that_is_made_again(missing: bool) -> None:
    now = waiting_for_deletion("agent:7")
    image = Change(("spec", "template", "spec", "image"), "replace", "agent:6", "agent:7")
    altered = LiveChange(ref_of(now), missing, () if missing else (image,), after=now)
    (step,) = steps_for(desired(now), deployed(now), met(now, changes=[altered]))
    assert [each.on_delete for each in step.restarts] == [not missing]


def test_what_runs_an_older_configuration_until_deleted_is_a_notice() -> None:
    held = Workload("DaemonSet", "datadog", "w", desired=47, updated=1, on_delete=True)
    (told,) = outdated([held, replace(held, on_delete=False), replace(held, updated=47), replace(held, generation=1)])
    assert told == (
        "DaemonSet datadog/w: 46 pods run an older configuration until deleted (update strategy `OnDelete`), of 47"
    )


def test_another_image_restarts_the_pods_and_says_why() -> None:
    (step,) = steps_for(desired(daemonset("agent:8")), deployed(daemonset("agent:7")), QUIET)
    assert [(r.ref.name, r.because) for r in step.restarts] == [("w", ("image",))]


def with_lists(env: Sequence[str], tolerations: Sequence[str]) -> dict[str, Any]:
    made = daemonset()
    made["spec"]["template"]["spec"] |= {"tolerations": [{"key": key, "operator": "Exists"} for key in tolerations]}
    made["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": name, "value": "$(TEAM)"} for name in env]
    return made


@pytest.mark.parametrize(
    ("env", "tolerations", "because"),
    [(("TEAM", "DD_TAGS"), ("a", "b"), "env"), (("DD_TAGS", "TEAM"), ("b", "a"), "tolerations")],
)
@pytest.mark.parametrize("version", ["3.240.0", "3.241.0"])
def test_another_order_of_a_list_is_sent_and_restarts_pods(
    version: str, env: Sequence[str], tolerations: Sequence[str], because: str
) -> None:
    """`$(TEAM)` is expanded where TEAM stands before; and Kubernetes rolls pods whatever changes of their template."""
    before, after = with_lists(["DD_TAGS", "TEAM"], ["a", "b"]), with_lists(env, tolerations)
    values = [{"datadog": {"env": [{"name": name} for name in each]}} for each in (("DD_TAGS", "TEAM"), env)]
    wanted = desired(after, values=values[1], version=version)
    (step,) = steps_for(wanted, deployed(before, values=values[0]), QUIET)
    assert step.kind is StepKind.UPGRADE
    assert [each.because for each in step.restarts] == [(because,)]
    assert all(map(matters, step.objects))
    assert [each.path for each in step.values_changes] == [("datadog", "env")] * (because == "env")
    same = desired(after, values=values[1])
    assert kinds(steps_for(same, deployed(after, values=values[1]), QUIET)) == [StepKind.NOTHING]


def test_a_checksum_is_noise_as_a_change_but_a_cause_of_a_restart() -> None:
    old, new = ({"annotations": {"checksum/confd": value}} for value in "12")
    before, after = (
        deployed(daemonset(template=old), configmap(x="1")),
        desired(daemonset(template=new), configmap(x="2")),
    )
    (step,) = steps_for(after, before, QUIET)
    assert [change.ref.kind for change in step.objects if matters(change)] == ["ConfigMap"]
    assert step.restarts[0].because == ("checksum/confd",)


def in_cores(cpu: str) -> dict[str, Any]:
    made = daemonset()
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return made


@pytest.mark.parametrize(
    ("method", "status", "restarted"),
    [("ssa", "deployed", False), ("csa", "deployed", True), ("ssa", "failed", True)],
)
def test_what_the_server_stores_alike_restarts_no_pods(method: str, status: str, restarted: bool) -> None:
    """Not where a rollback comes before, nor client-side: there the forecast is of something else."""
    state = replace(deployed(in_cores("1000m"), status=status), apply_method=method)
    state = replace(state, head=Head(4, status)) if status == "failed" else state
    live = Live({}, server_side=method == "ssa", steady=frozenset([ref_of(daemonset()).identity]))
    *_, step = steps_for(desired(in_cores("1")), state, live)
    assert step.kind is StepKind.UPGRADE
    assert bool(step.restarts) is restarted


def test_nor_do_they_where_a_step_that_keeps_crds_comes_before() -> None:
    state = replace(deployed(in_cores("1000m"), crd()), apply_method="ssa")
    keep = desired(in_cores("2"), crd(**{"helm.sh/resource-policy": "keep"}))
    live = Live({}, server_side=True, steady=frozenset([ref_of(daemonset()).identity]))
    assert all(step.restarts for step in steps_for(desired(in_cores("1")), state, live, keep=keep))


def test_noise_alone_is_nothing_to_do() -> None:
    old, new = ({"annotations": {"checksum/token": value}} for value in "12")
    assert kinds(steps_for(desired(daemonset(template=new)), deployed(daemonset(template=old)), QUIET)) == [
        StepKind.NOTHING
    ]


def test_another_chart_version_is_an_upgrade_even_if_only_noise_changes() -> None:
    (step,) = steps_for(desired(daemonset(), version="3.241.0"), deployed(daemonset()), QUIET)
    assert step.kind is StepKind.UPGRADE


def test_a_deleted_object_is_repaired() -> None:
    target = desired(daemonset(), configmap())
    gone = target.manifest.objects[("", "ConfigMap", "datadog", "confd")].ref
    live = Live({gone.identity: LiveChange(gone, missing=True)})
    (step,) = steps_for(target, deployed(daemonset(), configmap()), live)
    assert step.kind is StepKind.REPAIR
    assert [(c.ref.name, c.action) for c in step.objects] == [("confd", Action.RECREATE)]


def test_an_altered_object_is_restored_and_its_pods_restart() -> None:
    target = desired(daemonset())
    ref = target.manifest.objects[("apps", "DaemonSet", "datadog", "w")].ref
    path = ("spec", "template", "spec", "containers", "name=agent", "image")
    live = Live({ref.identity: LiveChange(ref, missing=False, changes=(Change(path, "replace", "evil", "agent:7"),))})
    (step,) = steps_for(target, deployed(daemonset()), live)
    assert step.kind is StepKind.REPAIR
    assert step.restarts[0].because == ("image",)


def test_an_object_that_changes_anyway_is_not_called_a_repair() -> None:
    target = desired(daemonset("agent:8"))
    ref = target.manifest.objects[("apps", "DaemonSet", "datadog", "w")].ref
    live = Live({ref.identity: LiveChange(ref, missing=False, changes=(Change(("spec",), "replace", 1, 2),))})
    (step,) = steps_for(target, deployed(daemonset("agent:7")), live)
    assert step.kind is StepKind.UPGRADE
    assert len(step.objects) == 1


def test_a_failed_head_is_rolled_back_to_the_deployed_revision_by_number_first() -> None:
    stands = deployed(daemonset(), status="failed", revision=5, base=3)
    steps = steps_for(desired(daemonset(), configmap()), stands, QUIET)
    assert kinds(steps) == [StepKind.ROLLBACK, StepKind.UPGRADE]
    assert (steps[0].revision, steps[0].target) == (5, 3)


@pytest.mark.parametrize("status", ["failed", "pending-upgrade"])
def test_nothing_is_left_to_do_behind_a_rollback_to_what_is_wanted(status: str) -> None:
    stands = deployed(daemonset(), status=status, revision=5, base=3)
    assert kinds(steps_for(desired(daemonset()), stands, QUIET)) == [StepKind.ROLLBACK, StepKind.NOTHING]
    other = desired(daemonset(), values={"ddhelm": {"settings": {"site": "datadoghq.eu"}}})
    assert kinds(steps_for(other, stands, QUIET)) == [StepKind.ROLLBACK, StepKind.UPGRADE], "settings are stored"


@pytest.mark.parametrize(("site", "last"), [("", StepKind.NOTHING), ("datadoghq.eu", StepKind.UPGRADE)])
def test_a_rollback_tells_what_it_sets_back_and_the_step_behind_it_does_not(site: str, last: StepKind) -> None:
    """helm applies the whole revision, by force (3.22, 4.3): what its head altered, removed or others did."""
    altered, removed, edited = daemonset(), configmap("removed"), configmap("edited")
    failed = daemonset(template={"annotations": {"checksum/token": "x", "a": "b"}})
    state = replace(
        deployed(altered, removed, edited, status="failed", revision=4, base=3), unfinished=manifest(failed, edited)
    )
    pods = Change(("spec", "template", "metadata", "annotations", "a"), "remove", "b", None)
    data = Change(("data", "x"), "replace", "2", "1")
    changes = [
        LiveChange(ref_of(altered), missing=False, changes=(pods,)),
        LiveChange(ref_of(removed), missing=True),
        LiveChange(ref_of(edited), missing=False, changes=(data,)),
    ]
    theirs = Conflict(ref_of(edited), ".data.x", "kubectl-edit")
    wanted = desired(altered, removed, edited, values={"datadog": {"site": site}} if site else {})
    back, step = steps_for(wanted, state, met(altered, edited, changes=changes, theirs=[theirs]))
    assert (back.kind, step.kind) == (StepKind.ROLLBACK, last)
    assert [(each.action, each.ref.kind, each.ref.name) for each in back.objects] == [
        (Action.UPDATE, "DaemonSet", "w"),
        (Action.CREATE, "ConfigMap", "removed"),
        (Action.RESTORE, "ConfigMap", "edited"),
    ]
    assert [(each.ref.name, each.because) for each in back.restarts] == [("w", ("a",))]
    assert (step.objects, step.restarts, conflict_problems([step])) == ((), (), ())


def test_what_the_step_behind_a_rollback_changes_too_is_told_there() -> None:
    image = Change(("spec", "template", "spec", "image"), "replace", "a:6", "a:7")
    state = replace(
        deployed(daemonset(), status="failed", revision=4, base=3), unfinished=manifest(daemonset(template={"a": "6"}))
    )
    live = met(daemonset(), changes=[LiveChange(ref_of(daemonset()), missing=False, changes=(image,))])
    back, step = steps_for(desired(daemonset(template={"a": "7"})), state, live)
    assert (back.objects, back.restarts) == ((), ())
    assert [each.action for each in step.objects] == [Action.UPDATE]
    assert step.restarts


def test_noise_is_nothing_that_a_rollback_sets_back() -> None:
    """A token that each render makes anew: what stands is what the rollback leaves."""
    old, new = ({"annotations": {"checksum/token": value}} for value in "12")
    state = deployed(daemonset(template=old), status="failed", revision=4, base=3)
    token = Change(("spec", "template", "metadata", "annotations", "checksum/token"), "replace", "1", "2")
    live = met(daemonset(), changes=[LiveChange(ref_of(daemonset()), missing=False, changes=(token,))])
    back, step = steps_for(desired(daemonset(template=new)), state, live)
    assert (back.objects, back.restarts, step.kind) == ((), (), StepKind.NOTHING)


def test_a_failed_first_install_is_upgraded_over_without_a_rollback() -> None:
    steps = steps_for(desired(daemonset()), deployed(daemonset(), status="failed", revision=1, base=None), QUIET)
    assert kinds(steps) == [StepKind.UPGRADE]


@pytest.mark.parametrize("status", ["pending-upgrade", "pending-rollback"])
def test_an_abandoned_pending_head_is_rolled_back(status: str) -> None:
    steps = steps_for(desired(daemonset()), deployed(daemonset(), status=status, revision=4, base=3), QUIET)
    assert kinds(steps)[0] is StepKind.ROLLBACK
    assert steps[0].target == 3


def test_what_a_failed_revision_added_goes_first_and_is_not_taken_in() -> None:
    """Helm compares a rollback with the head, whatever its status (3.22, 4.3); a CRD goes with its objects."""
    added = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "extra"}, "spec": {"replicas": 1}}
    kept = crd(**{"helm.sh/resource-policy": "keep"})
    kept["metadata"]["name"] = "kept"
    state = replace(
        deployed(daemonset(), status="failed", revision=4), unfinished=manifest(daemonset(), added, crd(), kept)
    )
    image = Change(("spec", "template", "spec", "image"), "replace", "a:6", "a:7")
    live = met(daemonset(), added, crd(), changes=[LiveChange(ref_of(added), missing=False, changes=(image,))])
    back, step = steps_for(desired(daemonset(), added), state, live)
    assert (back.kind, back.target) == (StepKind.ROLLBACK, 3)
    assert [(each.action, each.ref.name) for each in back.objects] == [
        (Action.DELETE, "extra"),
        (Action.DELETE, "monitors.datadoghq.com"),
        (Action.KEEP, "kept"),
    ]
    assert [(each.action, each.ref.name) for each in step.objects] == [(Action.CREATE, "extra")]
    assert list(taken_in([back, step], manifest(daemonset(), added).objects)) == []
    assert step.restarts == ()


def test_what_is_missing_is_made_again_by_a_rollback() -> None:
    state = replace(
        deployed(daemonset(), configmap(), status="failed", revision=4),
        unfinished=manifest(daemonset(), configmap(), configmap("added")),
    )
    gone = LiveChange(ref_of(configmap()), missing=True)
    back, step = steps_for(desired(daemonset(), configmap()), state, met(daemonset(), changes=[gone]))
    assert [(each.action, each.ref.name) for each in back.objects] == [
        (Action.DELETE, "added"),
        (Action.RECREATE, "confd"),
    ]
    assert step.kind is StepKind.NOTHING


def test_an_abandoned_first_install_is_removed_and_made_again() -> None:
    state = deployed(daemonset(), status="pending-install", revision=1, base=None)
    assert kinds(steps_for(desired(daemonset()), state, QUIET)) == [StepKind.UNINSTALL, StepKind.INSTALL]


def test_an_unfinished_uninstall_is_finished_before_the_install() -> None:
    state = deployed(daemonset(), status="uninstalling", base=None)
    assert kinds(steps_for(desired(daemonset()), state, QUIET)) == [StepKind.UNINSTALL, StepKind.INSTALL]


def test_crds_that_would_vanish_are_found_and_kept_ones_are_not() -> None:
    after = manifest(daemonset())
    assert [ref.name for ref in lost_crds(manifest(crd()), after)] == ["monitors.datadoghq.com"]
    assert lost_crds(manifest(crd(**{"helm.sh/resource-policy": "keep"})), after) == ()
    assert lost_crds(manifest(crd()), manifest(crd())) == ()


@pytest.mark.parametrize(("stored", "stands"), [("keep", False), ("", True)])
def test_an_upgrade_heeds_the_annotation_of_the_live_object(stored: str, stands: bool) -> None:
    """Somebody took it away, or added it by hand: Helm reads the object that it is about to delete (3.22, 4.3)."""
    before, after = deployed(daemonset(), crd(**{"helm.sh/resource-policy": stored})), desired(daemonset())
    live = Live({}, keeps={ref_of(crd()).identity: stands})
    (step,) = steps_for(after, before, live)
    assert [each.action for each in step.objects] == [Action.KEEP if stands else Action.DELETE]
    assert [ref.kind for ref in step.deleted] == ["CustomResourceDefinition"] * (not stands)
    assert bool(lost_crds(before.manifest, after.manifest, live.keeps)) is not stands
    failed = replace(deployed(daemonset(), status="failed", revision=4), unfinished=before.manifest)
    back, _ = steps_for(after, failed, live)
    assert [each.action for each in back.objects] == [Action.KEEP if stands else Action.DELETE]


def test_a_step_that_keeps_crds_marks_them_also_where_the_annotation_was_taken_away() -> None:
    marked = crd(**{"helm.sh/resource-policy": "keep"})
    live = Live({}, keeps={ref_of(crd()).identity: False})
    steps = steps_for(desired(daemonset()), deployed(daemonset(), marked), live, keep=desired(daemonset(), marked))
    assert [each.action for each in steps[1].objects] == [Action.KEEP]


def test_what_leaves_a_release_is_asked_for_once_and_only_where_something_does() -> None:
    asked = list[list[str]]()

    class Api:
        def get_many(self, trees: Sequence[Any]) -> Sequence[Any]:
            asked.append([each["metadata"]["name"] for each in trees])
            return [crd(**{"helm.sh/resource-policy": "keep"}) if at else None for at in range(len(trees))]

    def keeps(before: Deployed, after: Desired) -> Mapping[Any, bool]:
        kubectl: Any = Api()
        return live_action.keeps(kubectl, {RELEASE.name: before}, [after], "datadog", MASKER)

    added = manifest(daemonset(), configmap("added"))
    before = replace(deployed(daemonset(), crd(), status="failed"), unfinished=added)
    assert keeps(before, desired(daemonset(), configmap("added"))) == {ref_of(crd()).identity: True}
    assert asked == [["added", "monitors.datadoghq.com"]]
    assert keeps(deployed(daemonset()), desired(daemonset(), crd())) == {}
    assert asked[1:] == [[]]


def test_a_cluster_scoped_object_is_asked_for_without_the_namespace_that_its_manifest_names() -> None:
    """The API server answers without one, and kubectl's complaints are told by what it was asked."""
    body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"}}
    named = manifest({**body, "metadata": {"name": "a", "namespace": "datadog"}})
    (role,) = named.objects.values()
    conflicts = (FieldConflict(role.ref.identity, "kubectl-edit", (".rules",)),)

    class Api:
        def standing_and_forecast(self, trees: Sequence[Any], **_: Any) -> Any:
            assert [identity(each) for each in trees] == [role.ref.identity]
            return trees, ApplyResult(tuple(trees), conflicts)

        def get_many(self, trees: Sequence[Any]) -> Sequence[Any]:
            assert [identity(each) for each in trees] == [role.ref.identity]
            return trees

    api: Any = Api()
    read = live_action.read(api, {RELEASE.name: named}, "datadog", MASKER, namespaced=True)
    assert read.live.conflicts == (Conflict(role.ref, ".rules", "kubectl-edit"),)
    assert list(live_action.stand(api, [role], "datadog", MASKER)) == [role.ref.identity]


def test_keeping_crds_is_a_step_of_its_own_before_they_leave_the_manifest() -> None:
    """Each with the values that it changes itself."""
    keep = desired(daemonset(), crd(**{"helm.sh/resource-policy": "keep"}), values={"keep": True, "site": "a"})
    steps = steps_for(desired(daemonset(), values={"site": "a"}), deployed(daemonset(), crd()), QUIET, keep=keep)
    assert kinds(steps) == [StepKind.UPGRADE, StepKind.UPGRADE]
    assert steps[0].values == {"keep": True, "site": "a"}
    assert {each.path[-1] for each in steps[0].values_changes} >= {"keep", "site"}
    assert [(each.path, each.op) for each in steps[1].values_changes] == [(("keep",), "remove")]
    assert [c.action for c in steps[1].objects] == [Action.KEEP]


def test_what_others_changed_is_met_by_the_first_of_two_steps() -> None:
    """The second step finds what the first one left: it restores and restarts nothing once more."""
    keep = desired(daemonset(), crd(**{"helm.sh/resource-policy": "keep"}), values={"keep": True})
    target = desired(daemonset())
    (ref,) = (obj.ref for obj in target.manifest.of_kind("DaemonSet"))
    path = ("spec", "template", "spec", "containers", "name=agent", "image")
    live = Live({ref.identity: LiveChange(ref, missing=False, changes=(Change(path, "replace", "evil", "agent:7"),))})
    first, second = steps_for(target, deployed(daemonset(), crd()), live, keep=keep)
    assert [restart.because for restart in first.restarts] == [("image",)]
    assert ([each.action for each in second.objects], second.restarts) == ([Action.KEEP], ())


@pytest.mark.parametrize(
    ("description", "told"),
    [("Upgrade complete", True), ("ddhelm upgrade", False), ("Rollback to 2", False), ("", False)],
)
def test_values_that_somebody_gave_past_ddhelm_are_not_taken_back_without_a_word(description: str, told: bool) -> None:
    by_hand = replace(
        deployed(daemonset(), values={"a": 1, "b": 2}),
        description=description,
        rolled_back=description.startswith("Rollback"),
    )
    steps = steps_for(desired(daemonset()), by_hand, QUIET)
    found = past_ddhelm(steps, {by_hand.release.name: by_hand})
    assert bool(found) is told
    assert all("(Upgrade complete): 1 value goes that ddhelm was not given" in each for each in found)


def test_a_rollback_that_failed_gave_no_values_and_every_revision_has_a_number() -> None:
    stood = deployed(daemonset(), values={"a": 1, "b": 2})
    steps = steps_for(desired(daemonset()), stood, QUIET)
    never = replace(stood, base=None, head=Head(5, "failed"))
    failed = replace(never, description='Rollback "r" failed: the API server was away')
    assert past_ddhelm(steps, {failed.release.name: failed}) == ()
    by_hand = replace(never, description="Upgrade complete")
    (told,) = past_ddhelm(steps, {by_hand.release.name: by_hand})
    assert "revision 5 was made" in told


def test_what_stands_already_is_taken_in_and_not_made() -> None:
    steps = steps_for(desired(daemonset(), crd(), configmap()), deployed(daemonset()), QUIET)
    assert list(taken_in(steps, manifest(daemonset()).objects)) == []
    (one,) = taken_in(steps, manifest(crd()).objects)
    assert one.startswith("CustomResourceDefinition ")
    assert " stands already" in one
    (both,) = taken_in(steps, manifest(crd(), configmap()).objects)
    assert "and 1 more stand already" in both


def test_what_leaves_the_manifest_is_deleted() -> None:
    (step,) = steps_for(desired(daemonset()), deployed(daemonset(), configmap()), QUIET)
    assert [c.action for c in step.objects] == [Action.DELETE]


def test_no_secret_of_a_hand_made_release_stands_in_the_change_of_its_values() -> None:
    key = "0123456789abcdef0123456789abcdef"
    before = deployed(
        daemonset(), values={"datadog": {"apiKey": key, "site": "a"}, "clusterAgent": {"token": "t" * 32}}
    )
    (step,) = steps_for(desired(daemonset(), values={"datadog": {"site": "b"}}), before, QUIET)
    assert key not in repr(step.values_changes)
    assert "t" * 32 not in repr(step.values_changes)
    assert Change(("datadog", "site"), "replace", "a", "b") in step.values_changes


def test_replicas_that_somebody_scaled_are_said_where_a_step_sets_them_back() -> None:
    def scaled(count: int) -> dict[str, Any]:
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": count}}

    standing = manifest(scaled(3)).objects
    wanted = desired(scaled(1), configmap())
    stood = deployed(scaled(1))
    was = {stood.release.name: stood}
    steps = steps_for(wanted, stood, QUIET)
    (notice,) = rescaled(steps, [wanted], standing, was)
    assert "has 3 replicas and gets 1" in notice
    same = desired(scaled(1))
    (kept,) = rescaled(steps_for(same, stood, QUIET), [same], standing, was)
    assert "has 3 replicas and keeps them, 1 were deployed" in kept
    assert rescaled(steps, [wanted], manifest(scaled(1)).objects, was) == ()
    # two that the user asks for by a value: nobody scaled what stands as it was deployed
    two = desired(scaled(2))
    assert rescaled(steps_for(two, stood, QUIET), [two], manifest(scaled(1)).objects, was) == ()


def test_an_edited_pod_template_restarts_pods_also_where_the_object_changes_anyway() -> None:
    target = desired({**daemonset(), "metadata": {"name": "w", "labels": {"team": "x"}}}, configmap())
    (ref,) = (obj.ref for obj in target.manifest.of_kind("DaemonSet"))
    path = ("spec", "template", "spec", "containers", "name=agent", "image")
    live = Live({ref.identity: LiveChange(ref, missing=False, changes=(Change(path, "replace", "evil", "agent:7"),))})
    (step,) = steps_for(target, deployed(daemonset(), configmap()), live)
    assert step.kind is StepKind.UPGRADE
    assert [restart.because for restart in step.restarts] == [("image",)]
    assert step.unchanged == 1


def test_what_an_upgrade_adds_was_deleted_by_nobody() -> None:
    """The object is not there yet, and no pods of it restart."""
    target = desired(configmap(), daemonset())
    (ref,) = (obj.ref for obj in target.manifest.of_kind("DaemonSet"))
    (step,) = steps_for(target, deployed(configmap()), Live({ref.identity: LiveChange(ref, missing=True)}))
    assert ([each.action for each in step.objects], step.restarts) == ([Action.CREATE], ())


def labelled(*names: str) -> Live:
    """ConfigMaps that nobody altered and that a webhook would label at the next write."""
    change = (Change(("metadata", "labels", "billing"), "add", None, "x"),)
    refs = [manifest({**configmap(), "metadata": {"name": name}}).of_kind("ConfigMap")[0].ref for name in names]
    return Live(
        {ref.identity: LiveChange(ref, False, change, in_passing=True, unsent=True) for ref in refs}, server_side=True
    )


def test_what_only_admission_would_change_is_nothing_to_do() -> None:
    for method in ("ssa", "csa"):
        standing = replace(deployed(configmap()), apply_method=method)
        (step,) = steps_for(desired(configmap()), standing, labelled("confd"))
        assert step.kind is StepKind.NOTHING


def test_replicas_that_somebody_scaled_are_no_reason_for_a_step_and_restored_by_any() -> None:
    """Helm 3 sends them whatever else changes, Helm 4 where it is forced: the plan counts that object."""
    tame = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "ca"}, "spec": {"replicas": 1}}
    (ref,) = (obj.ref for obj in manifest(tame).objects.values())
    change = (Change(("spec", "replicas"), "replace", 3, 1),)
    live = Live({ref.identity: LiveChange(ref, False, change, in_passing=True, scaled=True)})
    (idle,) = steps_for(desired(tame), deployed(tame), live)
    assert idle.kind is StepKind.NOTHING
    (step,) = steps_for(desired(tame, configmap()), deployed(tame), live)
    assert {(each.ref.name, each.action) for each in step.objects} == {("confd", Action.CREATE), ("ca", Action.RESTORE)}
    assert (step.kind, step.unchanged, admitted([step], live)) == (StepKind.UPGRADE, 0, ())


def test_the_change_of_an_object_that_was_scaled_begins_with_the_replicas_that_it_has() -> None:
    """And admission has no part in it: nothing but the chart and the scaling changes that object."""

    def body(replicas: int, image: str) -> dict[str, Any]:
        spec = {"replicas": replicas, "image": image}
        return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "ca"}, "spec": spec}

    target = desired(body(2, "agent:8"))
    (ref,) = (obj.ref for obj in target.manifest.objects.values())
    changes = (
        Change(("spec", "image"), "replace", "agent:7", "agent:8"),
        Change(("spec", "replicas"), "replace", 3, 2),
    )
    live = Live({ref.identity: LiveChange(ref, False, changes, in_passing=False, scaled=True)})
    (step,) = steps_for(target, deployed(body(1, "agent:7")), live)
    (change,) = step.objects
    assert [(each.path[-1], each.old, each.new) for each in change.changes] == [
        ("image", "agent:7", "agent:8"),
        ("replicas", 3, 2),
    ]
    assert change.before is not None
    assert change.before["spec"]["replicas"] == 3
    assert admitted([step], live) == ()


def test_admission_is_not_blamed_for_a_change_of_replicas() -> None:
    def body(replicas: int) -> dict[str, Any]:
        spec = {"replicas": replicas}
        return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "ca"}, "spec": spec}

    target = desired(body(2))
    (ref,) = (obj.ref for obj in target.manifest.objects.values())
    change = (Change(("spec", "replicas"), "replace", 3, 2),)
    live = Live({ref.identity: LiveChange(ref, False, change, in_passing=True, scaled=True)})
    (step,) = steps_for(target, deployed(body(1)), live)
    assert [each.changes for each in step.objects] == [change]
    assert admitted([step], live) == ()


@pytest.mark.parametrize(("method", "written"), [("ssa", ["w", "confd"]), ("csa", ["w"])])
def test_an_upgrade_changes_it_where_helm_writes_every_object(method: str, written: list[str]) -> None:
    target, live = desired(daemonset("agent:8"), configmap()), labelled("confd")
    standing = replace(deployed(daemonset("agent:7"), configmap()), apply_method=method)
    (step,) = steps_for(target, standing, live)
    assert [(each.ref.name, each.action) for each in step.objects] == [(name, Action.UPDATE) for name in written]
    assert step.unchanged == 2 - len(written)
    told = admitted([step], live)
    assert [each.partition(":")[0] for each in told] == (["ConfigMap datadog/confd"] if method == "ssa" else [])


def test_client_side_an_object_that_stands_in_other_letters_is_written_too() -> None:
    target, live = desired(daemonset("agent:8"), configmap()), labelled("confd")
    sent = Live({identity: replace(each, unsent=False) for identity, each in live.changes.items()})
    standing = replace(deployed(daemonset("agent:7"), configmap()), apply_method="csa")
    (step,) = steps_for(target, standing, sent)
    assert [each.ref.name for each in step.objects] == ["w", "confd"]


def test_what_admission_changes_is_one_notice() -> None:
    live = labelled("confd", "other")
    other = {**configmap(), "metadata": {"name": "other"}}
    standing = replace(deployed(daemonset("agent:7"), configmap(), other), apply_method="ssa")
    (step,) = steps_for(desired(daemonset("agent:8"), configmap(), other), standing, live)
    (told,) = admitted([step], live)
    assert told.startswith("ConfigMap datadog/confd and 1 more: only admission ")


def test_an_object_that_would_change_and_is_gone_is_said_to_be() -> None:
    target = desired(daemonset("agent:8"))
    (ref,) = (obj.ref for obj in target.manifest.of_kind("DaemonSet"))
    live = Live({ref.identity: LiveChange(ref, missing=True)})
    (step,) = steps_for(target, deployed(daemonset("agent:7")), live)
    assert (step.kind, step.gone) == (StepKind.UPGRADE, (ref,))
    assert step.restarts[0].because == ("image", "deleted in the cluster")


def apiservice(priority: int = 100, version: int = 100) -> dict[str, Any]:
    spec = {"groupPriorityMinimum": priority, "versionPriority": version}
    return {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.x"}, "spec": spec}


def edited(document: Mapping[str, Any], *, server_side: bool, **more: Any) -> Live:
    """A cluster in which somebody edited the priority of an APIService."""
    change = Change(("spec", "groupPriorityMinimum"), "replace", 2000, 100)
    return replace(
        met(document, changes=[LiveChange(ref_of(document), False, (change,), **more)]), server_side=server_side
    )


@pytest.mark.parametrize(("method", "kind"), [("csa", StepKind.NOTHING), ("ssa", StepKind.REPAIR)])
def test_what_helm_never_sets_back_is_no_repair(method: str, kind: StepKind) -> None:
    """Each run said that it had repaired it, made a revision, and the next one found the same (3.22, 4.3)."""
    state, wanted = replace(deployed(apiservice()), apply_method=method), desired(apiservice())
    live = edited(apiservice(), server_side=method == "ssa")
    (step,) = steps_for(wanted, state, live)
    assert step.kind is kind
    told = list(left_altered([wanted], {state.release.name: state}, live))
    assert len(told) == (method == "csa")
    for each in told:
        assert each.startswith("APIService v1.x was altered (spec.groupPriorityMinimum); client-side, Helm ")
        assert each.endswith("`kubectl edit apiservice.apiregistration.k8s.io v1.x` sets it back")


def test_where_it_is_gone_it_is_made_again_and_where_admission_writes_it_nothing_is_said() -> None:
    state, wanted = replace(deployed(apiservice()), apply_method="csa"), desired(apiservice())
    gone = Live({ref_of(apiservice()).identity: LiveChange(ref_of(apiservice()), missing=True)})
    (step,) = steps_for(wanted, state, gone)
    assert [each.action for each in step.objects] == [Action.RECREATE]
    passing = edited(apiservice(), server_side=False, in_passing=True)
    for live in (gone, passing):
        assert list(left_altered([wanted], {state.release.name: state}, live)) == []


@pytest.mark.parametrize(("server_side", "actions"), [(False, []), (True, [Action.UPDATE])])
def test_nor_is_it_set_back_where_an_install_takes_it_in(server_side: bool, actions: list[Action]) -> None:
    (step,) = steps_for(desired(apiservice()), None, edited(apiservice(), server_side=server_side))
    assert [each.action for each in step.objects] == actions
    assert step.unchanged == (not server_side)
