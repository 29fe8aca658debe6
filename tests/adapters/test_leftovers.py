"""Who owns what is left: answers of an API server that has dead groups, forbidden kinds and objects of others."""

from typing import Any

import pytest

from ddhelm.actions import leftovers
from ddhelm.actions.leftovers import Leftover
from ddhelm.errors import ClusterError
from ddhelm.release import Release, Role
from tests.adapters.apiserver import ApiServer, items

SPACE = "datadog"
PAIR = (
    Release(Role.WORKER, "worker-node-ddagent", SPACE),
    Release(Role.CONTROL_PLANE, "control-plane-ddagent", SPACE),
)
ADMISSION = "/apis/admissionregistration.k8s.io/v1/"
SERVICE = "worker-node-ddagent-datadog-cluster-agent-admission-controller"
DOWN = ClusterError("the server is currently unable to handle the request")


def named(name: str, **metadata: Any) -> Any:
    return {"metadata": {"name": name, "namespace": SPACE, **metadata}}


def hook(name: str, *services: tuple[str, str]) -> Any:
    called = [{"clientConfig": {"service": {"namespace": space, "name": service}}} for space, service in services]
    return {**named(name), "webhooks": called}


@pytest.fixture
def server() -> ApiServer:
    """An API server whose namespace holds nothing at all."""
    fake = ApiServer()
    fake.serve("/apis", {"groups": [{"name": "apps", "preferredVersion": {"groupVersion": "apps/v1"}}]})
    for path in leftovers._listable(fake, SPACE)[0]:
        fake.serve(path, items())
    return fake


def put(server: ApiServer, plural: str, *objects: Any) -> None:
    (path,) = [path for path in server.answers if f"/{plural}?" in path]
    server.serve(path, items(*objects))


def strangers(server: ApiServer, known: tuple[Leftover, ...] = ()) -> tuple[str, ...]:
    return leftovers.strangers(server, SPACE, PAIR, known)


def test_what_kubernetes_helm_and_ddhelm_made_is_no_stranger(server: ApiServer) -> None:
    helm = {"meta.helm.sh/release-name": "worker-node-ddagent", "meta.helm.sh/release-namespace": SPACE}
    put(server, "serviceaccounts", named("default"), named("agent", annotations=helm))
    put(server, "configmaps", named("kube-root-ca.crt"), named("datadogtoken"))
    put(
        server,
        "secrets",
        named("ddhelm", labels={"app.kubernetes.io/managed-by": "ddhelm"}),
        named("sh.helm.release.v1.worker-node-ddagent.v1", labels={"owner": "helm", "name": "worker-node-ddagent"}),
        named("default-token", annotations={"kubernetes.io/service-account.name": "default"}),
    )
    put(server, "pods", named("agent-x", ownerReferences=[{"kind": "DaemonSet", "name": "agent"}]))
    put(server, "rolebindings", named("system:image-pullers"))
    assert strangers(server, (Leftover("configmap", "datadogtoken", SPACE),)) == ()


@pytest.mark.parametrize(
    ("plural", "stranger", "said"),
    [
        ("configmaps", named("mine"), "ConfigMap `mine`"),
        ("pods", named("bare"), "Pod `bare`"),
        ("persistentvolumeclaims", named("data"), "PersistentVolumeClaim `data`"),
        ("secrets", named("sh.helm.release.v1.x.v1", labels={"owner": "helm", "name": "x"}), "Secret `sh.helm"),
        (
            "services",
            named("x", annotations={"meta.helm.sh/release-name": "worker-node-ddagent"}),
            "Service `x`",
        ),
        ("leases", named("theirs"), "Lease `theirs`"),
        ("resourcequotas", named("limit"), "ResourceQuota `limit`"),
    ],
)
def test_objects_of_others_are_named(server: ApiServer, plural: str, stranger: Any, said: str) -> None:
    put(server, plural, stranger)
    (found,) = strangers(server)
    assert found.startswith(said)


def test_kinds_that_only_this_cluster_has_are_asked_for_too(server: ApiServer) -> None:
    groups = [{"name": "cert-manager.io", "preferredVersion": {"groupVersion": "cert-manager.io/v1"}}]
    server.serve("/apis", {"groups": groups})
    resources = [
        {"name": "certificates", "kind": "Certificate", "namespaced": True, "verbs": ["get", "list"]},
        {"name": "certificates/status", "kind": "Certificate", "namespaced": True, "verbs": ["get", "list"]},
        {"name": "clusterissuers", "kind": "ClusterIssuer", "namespaced": False, "verbs": ["list"]},
        {"name": "reviews", "kind": "Review", "namespaced": True, "verbs": ["create"]},
    ]
    server.serve("/apis/cert-manager.io/v1", {"resources": resources})
    server.serve(f"/apis/cert-manager.io/v1/namespaces/{SPACE}/certificates?limit=200", items(named("theirs")))
    assert strangers(server) == ("Certificate `theirs`",)


def test_what_stands_on_a_further_page_is_found_too(server: ApiServer) -> None:
    """As behind the pods of a large cluster, which are all owned."""
    (path,) = [path for path in server.answers if "/pods?" in path]
    owned = named("agent-x", ownerReferences=[{"kind": "DaemonSet", "name": "agent"}])
    server.serve(path, items(owned, token="t/1"))
    server.serve(f"{path}&continue=t/1", items(owned, token="t/2"))
    server.serve(f"{path}&continue=t/2", items(named("mine")))
    assert strangers(server) == ("Pod `mine`",)
    server.serve(f"{path}&continue=t/2", ClusterError("the continue token is too old"))
    (unread,) = strangers(server)
    assert unread.startswith("Pod objects, which could not be listed")


def test_what_cannot_be_listed_counts_as_a_stranger(server: ApiServer) -> None:
    groups = [{"name": "dead.example.com", "preferredVersion": {"groupVersion": "dead.example.com/v1"}}]
    server.serve("/apis", {"groups": groups})
    server.serve("/apis/dead.example.com/v1", DOWN)
    (path,) = [path for path in server.answers if "/jobs?" in path]
    server.serve(path, DOWN)
    found = strangers(server)
    assert len(found) == 2
    assert all("could not be listed" in each for each in found)


def test_only_configurations_that_call_nothing_but_our_services_go(server: ApiServer) -> None:
    ours = (SPACE, SERVICE)
    server.serve(
        ADMISSION + "mutatingwebhookconfigurations",
        items(
            hook("datadog-webhook", ours, ours),
            hook("shared", ours, ("default", "x")),
            hook("same-name-elsewhere", ("other", SERVICE)),
            hook("by-url"),
            {**named("url"), "webhooks": [{"clientConfig": {"url": "https://x"}}]},
        ),
    )
    server.serve(ADMISSION + "validatingwebhookconfigurations", items(hook("datadog-webhook", ours)))
    metrics = {"service": {"namespace": SPACE, "name": "worker-node-ddagent-datadog-cluster-agent-metrics-api"}}
    server.serve(
        "/apis/apiregistration.k8s.io/v1/apiservices",
        items({**named("v1."), "spec": {}}, {**named("v1beta1.external.metrics.k8s.io"), "spec": metrics}),
    )
    found, unread = leftovers.hooks(server, SPACE, leftovers.services(PAIR))
    assert [str(each) for each in found] == [
        "mutatingwebhookconfiguration `datadog-webhook`",
        "validatingwebhookconfiguration `datadog-webhook`",
        "apiservice `v1beta1.external.metrics.k8s.io`",
    ]
    assert unread == ()


def test_webhooks_that_may_not_be_read_are_said(server: ApiServer) -> None:
    for path in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        server.serve(ADMISSION + path, DOWN)
    server.serve("/apis/apiregistration.k8s.io/v1/apiservices", items())
    found, unread = leftovers.hooks(server, SPACE, frozenset())
    assert found == ()
    assert [(each.why, each.command) for each in unread] == [
        (DOWN.message, "kubectl get mutatingwebhookconfigurations"),
        (DOWN.message, "kubectl get validatingwebhookconfigurations"),
    ]


def test_every_leftover_has_a_command_that_can_be_pasted() -> None:
    assert Leftover("configmap", "x", SPACE).command == "kubectl -n datadog delete configmap x"
    assert leftovers.lock(SPACE).command == "kubectl -n datadog delete lease.coordination.k8s.io ddhelm"
    assert Leftover("apiservice.apiregistration.k8s.io", "v1.x").command == (
        "kubectl delete apiservice.apiregistration.k8s.io v1.x"
    )


def test_crds_are_named_by_discovery(server: ApiServer) -> None:
    server.serve("/apis/datadoghq.com", {"versions": [{"groupVersion": "datadoghq.com/v1"}]})
    resources = [{"name": "datadogagents"}, {"name": "datadogagents/status"}]
    server.serve("/apis/datadoghq.com/v1", {"resources": resources})
    assert leftovers.crds(server) == ("datadogagents.datadoghq.com",)
    server.serve("/apis/datadoghq.com", None)
    assert leftovers.crds(server) == ()


@pytest.mark.parametrize(("labels", "ours"), [({"ddhelm.dev/created-by": "ddhelm"}, True), ({}, False), (None, False)])
def test_a_namespace_is_ours_by_its_label(labels: Any, ours: bool) -> None:
    assert leftovers.made_by_ddhelm({"metadata": {"labels": labels}}) is ours
    assert not leftovers.made_by_ddhelm(None)
