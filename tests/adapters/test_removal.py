"""What an uninstall finds, by answers of an API server: what goes, what it refuses, what it does not touch."""

from typing import Any, cast
from urllib.parse import unquote

import pytest

from ddhelm.actions import lock, reading
from ddhelm.actions.removal import Removal, prepare
from ddhelm.errors import ClusterError, PlanStale, PreflightFailed, ReleaseError
from ddhelm.kubectl import Answer, Kubectl, Right
from ddhelm.release import pair
from tests.adapters.apiserver import items
from tests.adapters.stored import SPACE, Stored, Tree, owned, revision

PAIR = pair(SPACE, control_plane=True)
WORKER = PAIR[0].name
KINDS = {
    "/api/v1": {"ConfigMap": "configmaps", "Service": "services"},
    "/apis/apps/v1": {"DaemonSet": "daemonsets", "Deployment": "deployments"},
    "/apis/rbac.authorization.k8s.io/v1": {"ClusterRole": "clusterroles"},
    "/apis/apiextensions.k8s.io/v1": {"CustomResourceDefinition": "customresourcedefinitions"},
}


def obj(kind: str, name: str, **more: Any) -> Tree:
    root = next(root for root, kinds in KINDS.items() if kind in kinds)
    return {"apiVersion": root.removeprefix("/api/").removeprefix("/apis/"), "kind": kind,
            "metadata": {"name": name}, **more}  # fmt: skip


def workload(kind: str, name: str, container: str = "agent") -> Tree:
    pod = {"containers": [{"name": container, "image": "x"}]}
    return obj(kind, name, spec={"selector": {"matchLabels": {"app": name}}, "template": {"spec": pod}})


class Cluster(Stored):
    """A namespace with nothing but the releases in it."""

    def __init__(self, *revisions: Tree, standing: dict[tuple[str, str], Tree] | None = None) -> None:
        super().__init__(*revisions, standing=standing or {})
        self.serve("/api/v1/namespaces/kube-system", {"metadata": {"uid": "this-cluster"}})
        self.serve(f"/api/v1/namespaces/{SPACE}", {"metadata": {"name": SPACE}})
        for root, kinds in KINDS.items():
            known = [{"kind": kind, "name": name, "verbs": ["list"]} for kind, name in kinds.items()]
            self.serve(root, {"resources": known})
        for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
            self.serve(f"/apis/admissionregistration.k8s.io/v1/{plural}", items())
        self.serve("/apis/apiregistration.k8s.io/v1/apiservices", items())

    def _answer(self, path: str) -> Answer:
        """What nobody put there is not there."""
        return super()._answer(path) if unquote(path) in self.answers else Answer(path, None)


def found(cluster: Cluster, **options: Any) -> Removal:
    return prepare(cast(Kubectl, cluster), PAIR, **options)


AGENT, RUNNER, ROLE = workload("DaemonSet", "w"), workload("Deployment", "runner"), obj("ClusterRole", "runner")


def standing(*objects: Tree, **metadata: Any) -> dict[tuple[str, str], Tree]:
    return {(each["kind"], each["metadata"]["name"]): {**each, "metadata": metadata} for each in objects}


def test_what_the_newest_revision_does_not_list_and_stands_goes_before_the_record_that_tells_of_it() -> None:
    cluster = Cluster(
        revision(WORKER, 1, "deployed", AGENT, RUNNER, ROLE),
        revision(WORKER, 2, "failed", AGENT, obj("ConfigMap", "new")),
        revision(WORKER, 3, "failed", AGENT),
        standing=standing(RUNNER, ROLE, obj("ConfigMap", "new"), **owned(WORKER)),
    )
    removal = found(cluster)
    (going,) = removal.releases
    assert (going.revision, going.status, going.objects) == (3, "failed", 1)
    assert {(each.kind, each.name, each.namespace) for each in going.strays} == {
        ("configmap", "new", SPACE),
        ("deployment.apps", "runner", SPACE),
        ("clusterrole.rbac.authorization.k8s.io", "runner", ""),
    }
    assert removal.pods == ("app=runner",), "its pods are waited for"
    assert Right("delete", "clusterroles", "rbac.authorization.k8s.io", "") in cluster.asked_rights
    assert Right("list", "pods", "", SPACE) in cluster.asked_rights


@pytest.mark.parametrize(
    "metadata",
    [
        owned("another"),
        {"annotations": {**owned(WORKER)["annotations"], "meta.helm.sh/release-namespace": "elsewhere"}},
        owned(WORKER, **{"helm.sh/resource-policy": "keep"}),
        {},
    ],
)
def test_what_is_somebody_elses_by_now_or_to_be_kept_stays(metadata: Tree) -> None:
    revisions = revision(WORKER, 1, "deployed", AGENT, RUNNER), revision(WORKER, 2, "pending-upgrade", AGENT)
    (going,) = found(Cluster(*revisions, standing=standing(RUNNER, **metadata))).releases
    assert going.strays == ()


def test_of_a_release_that_was_uninstalled_its_history_goes_and_no_object() -> None:
    """`helm uninstall --keep-history`: a second one forgets the release, and looks at nothing that it lists."""
    dead = {**obj("ConfigMap", "old"), "apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy"}
    (going,) = found(Cluster(revision(WORKER, 1, "uninstalled", AGENT, dead))).releases
    assert (going.status, going.objects) == ("uninstalled", 0)


def test_crds_and_what_an_upgrade_removed_are_no_strays() -> None:
    crd = obj("CustomResourceDefinition", "x.datadoghq.com")
    cluster = Cluster(
        revision(WORKER, 1, "superseded", AGENT, RUNNER),
        revision(WORKER, 2, "deployed", AGENT, crd),
        revision(WORKER, 3, "failed", AGENT),
        standing=standing(RUNNER, crd, **owned(WORKER)),
    )
    (going,) = found(cluster).releases
    assert going.strays == ()


def test_what_the_values_renamed_is_found_by_its_manifest() -> None:
    """`fullnameOverride`: a webhook that is left would block the creation of every pod."""
    service = obj("Service", "dd-cluster-agent-admission-controller")
    cluster = Cluster(revision(WORKER, 1, "deployed", workload("DaemonSet", "dd"), service))
    called = {"clientConfig": {"service": {"namespace": SPACE, "name": service["metadata"]["name"]}}}
    cluster.serve(
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        items({"metadata": {"name": "datadog-webhook"}, "webhooks": [called]}),
    )
    cluster.serve(f"/api/v1/namespaces/{SPACE}/configmaps/dd-leader-election", {})
    removal = found(cluster)
    assert [each.name for each in removal.hooks] == ["datadog-webhook"]
    assert service["metadata"]["name"] in removal.services, "those that are made again are looked for too"
    assert "configmap `dd-leader-election`" in [each.what for each in removal.kept]
    assert "dd" in removal.fullnames


LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SPACE}/leases/ddhelm"
BEGAN = 1_796_000_000.0
"""When the pending revision was written."""


def pending() -> Cluster:
    written = lock.stamp(BEGAN)
    return Cluster(
        revision(WORKER, 1, "deployed", AGENT), revision(WORKER, 2, "pending-upgrade", AGENT, written=written)
    )


def held(who: str, renewed: float) -> Tree:
    spec = {"holderIdentity": who, "leaseDurationSeconds": lock.DURATION, "renewTime": lock.stamp(renewed)}
    return {"metadata": {"name": "ddhelm"}, "spec": spec}


def test_a_helm_at_work_is_not_disturbed_and_one_that_died_is_no_hindrance() -> None:
    with pytest.raises(ReleaseError, match=f"`{WORKER}` is busy"):
        found(pending(), now=lambda: BEGAN + 1)
    (going,) = found(pending(), now=lambda: BEGAN + reading.BUSY + 1).releases
    assert going.status == "pending-upgrade"


def test_a_run_at_work_is_not_disturbed_and_one_whose_lock_ran_out_is_no_hindrance() -> None:
    cluster = pending()
    cluster.serve(LEASE, held("anna@host (pid 1)", BEGAN + 60))
    with pytest.raises(PlanStale, match="anna@host"):
        found(cluster, now=lambda: BEGAN + 70)
    assert found(cluster, now=lambda: BEGAN + 60 + lock.DURATION + 1).releases
    cluster.serve(LEASE, ClusterError("`u` may not get leases", anchor="forbidden"))
    assert found(cluster, now=lambda: BEGAN + reading.BUSY + 1).releases, (
        "whoever may not read it cannot take it either"
    )
    cluster.serve(LEASE, ClusterError("timeout", anchor="unreachable"))
    with pytest.raises(ClusterError, match="timeout"):
        found(cluster)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"items": [{}], "metadata": {"remainingItemCount": 4}}, "CRD `xs.datadoghq.com` holds 5 objects"),
        (
            ClusterError("`u` may not list xs.datadoghq.com", anchor="forbidden"),
            "CRD `xs.datadoghq.com` may hold objects: `u` may not list xs.datadoghq.com",
        ),
    ],
)
def test_a_crd_that_holds_objects_or_may_hold_some_stops_it(said: Tree | ClusterError, told: str) -> None:
    versions = [{"name": "v1alpha1", "served": False}, {"name": "v1", "served": True}]
    spec = {"group": "datadoghq.com", "names": {"plural": "xs"}, "versions": versions}
    cluster = Cluster(revision(WORKER, 1, "deployed", obj("CustomResourceDefinition", "xs.datadoghq.com", spec=spec)))
    assert found(cluster).releases[0].crds == ("xs.datadoghq.com",)
    cluster.serve("/apis/datadoghq.com/v1/xs?limit=1", said)
    with pytest.raises(PreflightFailed) as raised:
        found(cluster)
    assert raised.value.details == (told,)
