"""Drift of one object: what is one, whose it is, what becomes of it."""

import copy
import io
import json

import pytest
from hypothesis import given
from rich.console import Console

from ddhelm import drift
from ddhelm.actions import drift as reading
from ddhelm.actions import revisions
from ddhelm.adoption import Adoption, Refusal, of_object
from ddhelm.drift import Change, Fate, FieldDrift, Method, ObjectDrift, Standing
from ddhelm.managedfields import entries, lookup
from ddhelm.manifest import ObjectRef
from ddhelm.record import Record
from ddhelm.release import Release, Role
from ddhelm.tree import Named, Path, Tree, apply, diff, drop, put, show
from ddhelm.views import drift as view
from ddhelm.workloads import REPLICAS
from tests.unit.test_managedfields import owned, roots

RELEASE = Release(Role.WORKER, "worker-node-ddagent", "datadog")
DAEMONSET = ObjectRef("apps/v1", "DaemonSet", "datadog", "agent")
CONFIGMAP = ObjectRef("v1", "ConfigMap", "datadog", "confd")
CONTAINER: Path = ("spec", "template", "spec", "containers", Named("name=agent"))
IMAGE: Path = (*CONTAINER, "image")

MANIFEST: Tree = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "agent", "namespace": "datadog", "labels": {"app.kubernetes.io/managed-by": "Helm"}},
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "agent"}},
            "spec": {
                "containers": [
                    {
                        "name": "agent",
                        "image": "agent:7",
                        "resources": {"limits": {"cpu": "1000m"}},
                        "env": [{"name": "A", "value": "1"}],
                    }
                ]
            },
        }
    },
}


def served(manifest: Tree = MANIFEST) -> Tree:
    """The object as the server has it: its own fields, defaults and spellings added."""
    body = copy.deepcopy(manifest)
    body["metadata"] |= {
        "uid": "1",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-11-24T03:53:20Z",
    }
    body = put(body, (*CONTAINER, "imagePullPolicy"), "Always")
    body = put(body, (*CONTAINER, "resources", "limits", "cpu"), "1")
    body = put(body, ("spec", "template", "spec", "dnsPolicy"), "ClusterFirst")
    return {**body, "status": {"numberReady": 1}}


def fields(path: Path) -> Tree:
    """``fieldsV1`` that owns one path; an element of a list is owned as a thing."""
    below: Tree = {}
    for step in reversed(path):
        if isinstance(step, Named):
            key, _, value = step.partition("=")
            below = {f"k:{json.dumps({key: value})}": below or {".": {}, f"f:{key}": {}}}
        else:
            below = {f"f:{step}": below}
    return below


def by(manager: str, path: Path, **more: str) -> Tree:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields(path), "time": "2026-11-24T03:53:20Z", **more}


HELM_APPLY = {"manager": "helm", "operation": "Apply", "fieldsV1": owned(MANIFEST)}
HELM_UPDATE = {
    "manager": "helm",
    "operation": "Update",
    "fieldsV1": owned({k: v for k, v in served().items() if k != "status"}),
}


def applied(live: Tree, manifest: Tree) -> Tree:
    """What a forced apply makes of a live object: what the manifest sets is set, what others added stays."""
    wanted = served(manifest)
    changes = [each for each in diff(live, wanted) if each.op != "remove" and lookup(manifest, each.path)[0]]
    return dict(apply(live, changes))


def found(
    live: Tree,
    *managed: Tree,
    method: Method = "ssa",
    forecast: Tree | None = None,
    blind: bool = False,
    ref: ObjectRef = DAEMONSET,
    manifest: Tree = MANIFEST,
) -> dict[str, FieldDrift]:
    standing = Standing(
        "r",
        ref,
        manifest,
        live,
        None if blind else forecast or applied(live, manifest),
        entries([HELM_APPLY, *managed]),
    )
    drifted = drift.of_object(standing, method)
    return {show(each.path): each for each in drifted.fields} if drifted else {}


def test_defaults_and_spellings_of_the_server_are_no_drift() -> None:
    assert found(served()) == {}
    assert found(served(), blind=True) == {}
    assert found(served(), HELM_UPDATE, method="csa") == {}


def test_an_object_that_is_gone_is_made_again_and_nobody_is_accused() -> None:
    standing = Standing("r", DAEMONSET, MANIFEST, None, served())
    drifted = drift.of_object(standing, "ssa")
    assert drifted is not None
    assert drifted.missing
    assert drifted.revertible
    assert drift.Drift((drifted,)).fates[Fate.RECREATED] == 1


@pytest.mark.parametrize(
    ("method", "fate"), [("ssa", Fate.CONFLICT), ("csa", Fate.OVERWRITTEN)], ids=["server-side", "client-side"]
)
@pytest.mark.parametrize("blind", [False, True], ids=["forecast", "owners-only"])
def test_a_field_of_the_manifest_with_another_value(method: Method, fate: Fate, blind: bool) -> None:
    live = put(served(), IMAGE, "other:1")
    (field,) = found(live, by("kubectl-set", IMAGE), method=method, blind=blind).values()
    assert (field.change, field.deployed, field.live) == (Change.ALTERED, "agent:7", "other:1")
    assert (field.fate, [w.manager for w in field.writers]) == (fate, ["kubectl-set"])


def test_helm_is_named_only_where_nobody_else_owns_the_field() -> None:
    live = put(served(), (*CONTAINER, "resources", "limits", "cpu"), "2")
    (field,) = found(live).values()
    assert [w.manager for w in field.writers] == ["helm"]
    assert field.fate is Fate.OVERWRITTEN


def test_a_field_that_was_removed_has_no_owner_and_comes_back() -> None:
    live = drop(served(), (*CONTAINER, "env", Named("name=A")))
    (field,) = found(live).values()
    assert (field.change, field.fate, field.writers) == (Change.REMOVED, Fate.OVERWRITTEN, ())


@pytest.mark.parametrize("method", ["ssa", "csa"])
def test_an_added_element_is_one_thing_and_stays(method: Method) -> None:
    path = (*CONTAINER, "env", Named("name=STRAY"))
    live = put(served(), path, {"name": "STRAY", "value": "1"})
    live_and = put(live, ("metadata", "labels", "team"), "x")
    both = found(live_and, by("kubectl-set", path), by("kubectl-label", ("metadata", "labels", "team")), method=method)
    assert {name: field.fate for name, field in both.items()} == {
        show(path): Fate.KEPT,
        "metadata.labels.team": Fate.KEPT,
    }
    assert both[show(path)].live == {"name": "STRAY", "value": "1"}
    assert '"op": "test"' in both[show(path)].undo
    assert both["metadata.labels.team"].undo == "kubectl -n datadog label daemonset agent team-"


def test_what_removes_elements_of_one_list_can_be_pasted_in_the_order_in_which_it_is_told() -> None:
    first, second = ((*CONTAINER, "env", Named(f"name={name}")) for name in ("FOO", "GOO"))
    live = put(put(served(), first, {"name": "FOO"}), second, {"name": "GOO"})
    told = [field.undo for field in found(live, by("a", first), by("b", second)).values()]
    indices = [undo.rpartition("/")[2] for undo in told]
    assert indices == sorted(indices, reverse=True)
    assert len(set(indices)) == 2


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"),
        ("metadata", "annotations", "deployment.kubernetes.io/revision"),
        ("metadata", "finalizers"),
    ],
)
def test_book_keeping_of_tools_is_no_drift(path: Path) -> None:
    assert found(put(served(), path, ["x"] if path[-1] == "finalizers" else "x"), by("anybody", path)) == {}


def test_writes_through_the_status_subresource_are_no_drift() -> None:
    status = {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status"}
    assert found(served(), {**status, "fieldsV1": fields(("status", "numberReady"))}) == {}
    noted = ("metadata", "annotations", "controller.example.com/seen")
    assert found(put(served(), noted, "x"), {**status, "fieldsV1": fields(noted)}) == {}


def test_a_field_that_says_what_the_server_would_say_is_no_drift() -> None:
    path = ("spec", "template", "spec", "dnsPolicy")
    assert found(served(), by("kubectl-edit", path)) == {}
    (field,) = found(put(served(), path, "Default"), by("kubectl-edit", path)).values()
    assert (field.change, field.live, field.fate) == (Change.ADDED, "Default", Fate.KEPT)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "updateStrategy", "rollingUpdate", "maxSurge"), 0),
        (("spec", "updateStrategy", "rollingUpdate", "maxUnavailable"), 1),
        (("spec", "template", "spec", "serviceAccount"), "agent"),
        (("spec", "template", "spec", "volumes", Named("name=run"), "hostPath", "type"), ""),
    ],
)
def test_what_somebody_applied_as_the_server_fills_it_in_is_no_drift(path: Path, value: object) -> None:
    """A GitOps tool that applies what it read owns every default."""
    live = served()
    if path[3] == "volumes":
        live = put(live, path[:4], [{"name": "run", "hostPath": {"path": "/run", "type": value}}])
        manifest = put(MANIFEST, path[:4], [{"name": "run", "hostPath": {"path": "/run"}}])
        assert found(live, by("flux", path), forecast=live, manifest=manifest) == {}
    else:
        live = put(live, path, value)
        assert found(live, by("flux", path), forecast=live) == {}


@pytest.mark.parametrize(
    ("kind", "value", "drifts"),
    [
        ("Deployment", "25%", False),
        ("Deployment", 1, True),
        ("DaemonSet", 1, False),
        ("DaemonSet", "25%", True),
        ("PodDisruptionBudget", 1, True),
    ],
)
def test_what_one_kind_has_by_default_is_drift_of_another(kind: str, value: object, drifts: bool) -> None:
    parts = {"Deployment": ("strategy", "rollingUpdate"), "DaemonSet": ("updateStrategy", "rollingUpdate")}
    path = ("spec", *parts.get(kind, ()), "maxUnavailable")
    live = put(served(), path, value)
    ref = ObjectRef("x/v1", kind, "datadog", "agent")
    assert bool(found(live, by("kubectl-edit", path), forecast=live, ref=ref)) is drifts


def test_an_init_container_that_somebody_made_a_sidecar_is_drift() -> None:
    items: Path = ("spec", "template", "spec", "initContainers")
    init = {"name": "init", "image": "x"}
    live = put(served(), items, [{**init, "restartPolicy": "Always"}])
    path = (*items, Named("name=init"), "restartPolicy")
    (field,) = found(
        live, by("kubectl-edit", path), forecast=live, manifest=dict(put(MANIFEST, items, [init]))
    ).values()
    assert (field.path, field.live) == (path, "Always")
    pods: Path = ("spec", "template", "spec", "restartPolicy")
    live = put(served(), pods, "Always")
    assert found(live, by("kubectl-edit", pods), forecast=live) == {}


def test_what_nobody_owns_came_by_admission() -> None:
    live = put(served(), ("metadata", "labels", "billing"), "team-x")
    live = put(live, ("spec", "template", "spec", "initContainers"), [{"name": "injected", "image": "x"}])
    both = found(live, forecast=live)
    assert all(field.admission and not field.writers and field.fate is Fate.KEPT for field in both.values())
    assert set(both) == {"metadata.labels.billing", "spec.template.spec.initContainers[name=injected]"}


def test_what_admission_changes_at_every_write_is_seen_past_the_forecast() -> None:
    live = put(served(), IMAGE, "mirror.example.com/agent:7")
    (field,) = found(live, forecast=live).values()
    assert (field.deployed, field.live, field.admission) == ("agent:7", "mirror.example.com/agent:7", True)
    assert not ObjectDrift("r", DAEMONSET, fields=(field,)).revertible


@pytest.mark.parametrize("method", ["ssa", "csa"])
def test_what_admission_would_change_at_the_next_write_has_not_drifted(method: Method) -> None:
    """A webhook that came after the object: it stands as deployed, whatever the forecast says."""
    forecast = put(put(served(), IMAGE, "mirror.example.com/agent:7"), ("metadata", "labels", "billing"), "team-x")
    assert found(served(), forecast=forecast, method=method) == {}
    evil = found(put(served(), IMAGE, "evil:1"), forecast=forecast, method=method)
    assert [(each.live, each.change) for each in evil.values()] == [("evil:1", Change.ALTERED)]


def test_what_an_earlier_revision_left_is_helms_and_goes_only_with_server_side_apply() -> None:
    path = (*CONTAINER, "env", Named("name=OLD"))
    live = put(served(), path, {"name": "OLD", "value": "1"})
    left = {"manager": "helm", "operation": "Update", "fieldsV1": fields(path)}
    (field,) = found(live, left, forecast=live, method="csa").values()
    assert (field.change, field.fate) == (Change.ADDED, Fate.KEPT)
    by_apply = {"manager": "helm", "operation": "Apply", "fieldsV1": fields(path)}
    (field,) = found(live, by_apply, method="ssa", forecast=served()).values()
    assert (field.change, field.fate, field.undo) == (Change.ADDED, Fate.OVERWRITTEN, "")


def test_helm_3_leaves_kinds_alone_that_its_client_does_not_know() -> None:
    """Those it patches by the difference of two manifests, which is empty."""
    ref = ObjectRef("apiregistration.k8s.io/v1", "APIService", "", "v1beta1.external.metrics.k8s.io")
    manifest: Tree = {"metadata": {"name": ref.name}, "spec": {"groupPriorityMinimum": 100}}
    live = put(manifest, ("spec", "groupPriorityMinimum"), 7)
    writer = by("kubectl-edit", ("spec", "groupPriorityMinimum"))
    (field,) = found(live, writer, method="csa", ref=ref, manifest=manifest, blind=True).values()
    assert field.fate is Fate.KEPT
    kept = ObjectDrift("r", ref, fields=(field,))
    assert not kept.revertible
    screen = Console(file=io.StringIO(), width=200)
    view.table(drift.Drift((kept,), {"r": "csa"}), screen)
    assert "kubectl edit sets it back" in screen.file.getvalue()  # type: ignore[attr-defined]


def test_token_controllers_may_add_to_a_service_account() -> None:
    ref = ObjectRef("v1", "ServiceAccount", "datadog", "agent")
    manifest: Tree = {"metadata": {"name": "agent"}}
    live = {**manifest, "secrets": [{"name": "agent-token"}]}
    path = ("secrets", Named("name=agent-token"))
    assert found(live, by("kube-controller-manager", path), ref=ref, manifest=manifest, forecast=live) == {}


@given(roots, roots)
def test_whatever_is_done_to_a_check_file_drifts_exactly_if_it_differs(old: Tree, new: Tree) -> None:
    texts = [{key: json.dumps(value) for key, value in each.items()} for each in (old, new)]
    before, after = ({"metadata": {"name": "confd"}, "data": data} for data in texts)
    everything = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": owned(after)}
    forecast = {**before, "data": {**texts[1], **texts[0]}}
    drifted = found(after, everything, ref=CONFIGMAP, manifest=before, forecast=forecast)
    changed = {key for key in {*texts[0], *texts[1]} if texts[0].get(key) != texts[1].get(key)}
    assert {field.path[1] for field in drifted.values()} == changed


def _replicas(manager: str, container: str = "cluster-agent") -> Adoption | Refusal:
    """What becomes of the replicas of a Deployment that somebody scaled; the chart was given a name for it."""
    ref = ObjectRef("apps/v1", "Deployment", "datadog", "dd-cluster-agent")
    pod = {"containers": [{"name": container, "image": "x"}]}
    manifest: Tree = {"metadata": {"name": ref.name}, "spec": {"replicas": 1, "template": {"spec": pod}}}
    live = {**manifest, "spec": {**manifest["spec"], "replicas": 3}}
    standing = Standing("r", ref, manifest, live, None, entries([by(manager, REPLICAS, subresource="scale")]))
    drifted = drift.of_object(standing, "ssa")
    assert drifted is not None
    (judged,) = of_object(drifted)
    return judged


def test_replicas_of_the_cluster_agent_are_a_value() -> None:
    judged = _replicas("kubectl")
    assert isinstance(judged, Adoption)
    assert judged.option == "clusterAgent.replicas=3"


def test_those_of_an_autoscaler_and_of_other_workloads_are_not() -> None:
    assert isinstance(_replicas("kube-controller-manager"), Refusal)
    assert isinstance(_replicas("kubectl", "agent"), Refusal)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (IMAGE, "agents.image.tag"),
        ((*CONTAINER, "env", Named("name=X")), "agents.containers.agent.env (an element with the name X)"),
        ((*CONTAINER, "resources", "limits", "cpu"), "agents.containers.agent.resources"),
        (("metadata", "labels", "team"), ""),
    ],
)
def test_what_is_refused_says_which_value_to_look_at(path: Path, value: str) -> None:
    field = FieldDrift(path, Change.ALTERED, "a", "b", (), Fate.KEPT)
    (judged,) = of_object(ObjectDrift("r", DAEMONSET, fields=(field,)))
    assert isinstance(judged, Refusal)
    assert judged.value == value
    assert judged.reason


@pytest.mark.parametrize(
    ("statuses", "note"),
    [
        (["uninstalled"], "`w`: not compared, revision 1 is `uninstalled`"),
        (["deployed", "uninstalling"], "`w`: not compared, revision 2 is `uninstalling`"),
        (["failed"], "`w`: no revision was ever deployed (revision 1 is `failed`)"),
        (["deployed"], ""),
    ],
)
def test_a_release_that_cannot_be_compared_says_why(statuses: list[str], note: str) -> None:
    records = tuple(
        Record("w", "datadog", number, status, "datadog", "3", "7", "", "", "", {}, "")
        for number, status in enumerate(statuses, 1)
    )
    base = revisions.standing(records)
    assert "".join(reading._heads({"w": records}, {} if base is None else {"w": base})) == note


@pytest.mark.parametrize(
    ("container", "section"),
    [("cluster-agent", "clusterAgent"), ("agent", "clusterChecksRunner"), ("datadog-operator", ""), ("init", "")],
)
def test_a_deployment_is_told_the_values_of_its_own_section(container: str, section: str) -> None:
    """The cluster checks runner, and what subcharts bring, are Deployments of the same release."""
    ref = ObjectRef("apps/v1", "Deployment", "datadog", "worker-node-ddagent-datadog-x")
    pod: Path = ("spec", "template", "spec", "containers", Named(f"name={container}"))
    for path, key in (((*pod, "image"), "image.tag"), ((*pod, "resources", "limits", "cpu"), "resources")):
        field = FieldDrift(path, Change.ALTERED, "a", "b", (), Fate.KEPT)
        (judged,) = of_object(ObjectDrift("r", ref, fields=(field,)))
        assert isinstance(judged, Refusal)
        assert judged.value == (f"{section}.{key}" if section else "")
