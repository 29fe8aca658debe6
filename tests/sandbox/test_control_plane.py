"""The control plane is the real thing, with the doors that a real one has, open and shut."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.sandbox import build
from tests.sandbox.api import ApiError
from tests.sandbox.components import API_SERVER, CONTROLLER_MANAGER, ETCD, KWOK, NAMES, SCHEDULER
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox
from tests.sandbox.waiting import wait_for


def tls(sandbox: Sandbox, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(sandbox.pki.etcd.certificate))
    if client:
        context.load_cert_chain(*client)
    return context


def read(port: int, path: str, context: ssl.SSLContext | None, token: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    if context:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("component", NAMES)
def test_every_component_answers(sandbox: Sandbox, component: str) -> None:
    assert sandbox.health(component, "/readyz" if component == API_SERVER else "/healthz")


def test_server_says_its_release(sandbox: Sandbox) -> None:
    version = sandbox.api_get("/version")
    assert (version["gitVersion"], version["major"], version["minor"]) == (f"v{build.KUBERNETES}", "1", "36")
    client = json.loads(sandbox.kubectl("version", "--client", "-o", "json"))["clientVersion"]
    assert client["gitVersion"] == f"v{build.KUBERNETES}"


@each_helm()
def test_helm_says_its_release(sandbox: Sandbox, helm_version: str) -> None:
    environment = sandbox.environment(helm_version)
    answer = subprocess.run(["helm", "version", "--short"], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith(f"v{helm_version}.")


@pytest.mark.parametrize("helm_version", ["3.13", "3.22"])
def test_helm_3_assumes_the_kubernetes_it_was_made_for(sandbox: Sandbox, helm_version: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: a\nversion: 1.0.0\n")
    (tmp_path / "templates" / "a.yaml").write_text("version: {{ .Capabilities.KubeVersion.Minor }}\n")
    command = ["helm", "template", "a", str(tmp_path)]
    environment = sandbox.environment(helm_version)
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"version: {dict(zip(['3.13', '3.22'], [28, 37], strict=True))[helm_version]}" in answer.stdout


def test_etcd_refuses_whoever_has_no_certificate(sandbox: Sandbox) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        read(sandbox.ports.etcd, "/metrics", tls(sandbox))


def test_etcd_shows_metrics_to_its_clients_and_in_the_clear(sandbox: Sandbox) -> None:
    over_tls = read(sandbox.ports.etcd, "/metrics", tls(sandbox, sandbox.pki.etcd_client))
    in_the_clear = read(sandbox.ports.etcd_metrics, "/metrics", None)
    for status, text in (over_tls, in_the_clear):
        assert status == 200
        assert "etcd_server_has_leader 1" in text


def test_metrics_ask_who_reads_them(cluster: Clusters) -> None:
    """Delegated authentication and authorization: a token alone is not enough, a rule for it is."""
    sandbox = cluster("k3s-single")
    for name in ("reader", "stranger"):
        sandbox.loader.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
    reader, stranger = (sandbox.kubectl("create", "token", name).strip() for name in ("reader", "stranger"))
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    ports = (sandbox.ports.scheduler, sandbox.ports.controller_manager, sandbox.ports.apiserver)
    rule = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    role = {"metadata": {"name": "metrics-reader"}, "rules": [rule]}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": "default"}
    reference = {"kind": "ClusterRole", "name": "metrics-reader", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "metrics-reader"}, "subjects": [subject], "roleRef": reference}
    sandbox.loader.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    sandbox.loader.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)

    def answers(token: str) -> list[int]:
        return [read(port, "/metrics", anyone, token)[0] for port in ports]

    assert answers("") == [403, 403, 403]
    assert answers(stranger) == [403, 403, 403]
    wait_for(lambda: answers(reader) == [200, 200, 200], 30)


def test_token_of_a_fresh_service_account_is_good(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    sandbox.kubectl("create", "serviceaccount", "fresh")
    token = sandbox.kubectl("create", "token", "fresh").strip()
    server = f"https://127.0.0.1:{sandbox.ports.apiserver}"
    authority = f"--certificate-authority={sandbox.pki.cluster.certificate}"
    me = sandbox.kubectl(
        "--kubeconfig=/dev/null", f"--server={server}", authority, f"--token={token}", "auth", "whoami"
    )
    assert "system:serviceaccount:default:fresh" in me


def test_api_server_is_also_kubernetes_default_svc(sandbox: Sandbox) -> None:
    for name in ("kubernetes.default.svc", "localhost", "127.0.0.1"):
        context = ssl.create_default_context(cafile=str(sandbox.pki.cluster.certificate))
        with (
            socket.create_connection(("127.0.0.1", sandbox.ports.apiserver), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=name) as connection,  # raises if the certificate lacks the name
        ):
            assert connection.version()


def test_user_may_do_what_the_rules_say_and_no_more(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    kubeconfig = f"--kubeconfig={sandbox.user_kubeconfig('reader', rules)}"
    assert sandbox.kubectl(kubeconfig, "get", "nodes", "-o", "name") == "node/k3s\n"
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        sandbox.kubectl(kubeconfig, "get", "secrets")
    assert 'User "reader" cannot list resource "secrets"' in refusal.value.stderr


def test_namespace_can_refuse_host_access(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    sandbox.loader.post("/api/v1/namespaces", {"metadata": {"name": "strict", "labels": labels}})
    pod = {"metadata": {"name": "a"}, "spec": {"hostNetwork": True, "containers": [{"name": "a", "image": "a"}]}}
    wait_for(lambda: sandbox.loader.find("/api/v1/namespaces/strict/serviceaccounts/default"))
    with pytest.raises(ApiError, match="violates PodSecurity"):
        sandbox.loader.post("/api/v1/namespaces/strict/pods", pod)


def test_writes_are_those_of_programs_under_test(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    sandbox.kubectl("create", "configmap", "a", "--dry-run=server")
    sandbox.kubectl("auth", "can-i", "create", "pods")
    sandbox.loader.post("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "prepared"}})
    assert sandbox.writes() == []
    sandbox.kubectl("create", "configmap", "a")
    with pytest.raises(subprocess.CalledProcessError):
        sandbox.kubectl("create", "configmap", "a")
    written = [
        (event["verb"], event["objectRef"]["resource"], event["responseStatus"]["code"]) for event in sandbox.writes()
    ]
    assert written == [("create", "configmaps", 201), ("create", "configmaps", 409)]
    assert Sandbox.attach(sandbox.dir).writes() == sandbox.writes()


def test_environment_carries_nothing_of_the_user(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DD_API_KEY", "HELM_NAMESPACE", "KUBECONFIG", "XDG_CONFIG_HOME", "HELM_DRIVER"):
        monkeypatch.setenv(name, "/the/user's")
    environment = sandbox.environment("3.22")
    assert "/the/user's" not in environment.values()
    first, second = environment["PATH"].split(":")[:2]
    assert (sorted(p.name for p in Path(first).iterdir()), sorted(p.name for p in Path(second).iterdir())) == (
        ["helm"],
        ["kubectl"],
    )


def test_frozen_server_lets_clients_wait_and_thaws(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    sandbox.pause(API_SERVER)
    with pytest.raises(subprocess.CalledProcessError):
        sandbox.kubectl("get", "--raw", "/version", "--request-timeout=1s")
    sandbox.resume(API_SERVER)
    assert sandbox.kubectl("get", "nodes", "-o", "name") == "node/k3s\n"


def test_killed_component_stays_away_until_restarted(cluster: Clusters) -> None:
    sandbox = cluster("k3s-single")
    sandbox.kill(ETCD)
    assert sandbox.status()[ETCD]["pid"] is None
    assert not sandbox.health(ETCD)
    sandbox.restart(ETCD)
    wait_for(lambda: sandbox.kubectl("get", "nodes", "-o", "name") == "node/k3s\n")


@pytest.mark.parametrize("component", [SCHEDULER, CONTROLLER_MANAGER, KWOK])
def test_component_that_crashes_comes_back(cluster: Clusters, component: str) -> None:
    sandbox = cluster("k3s-single")
    before = sandbox.status()[component]["pid"]
    subprocess.run(["kill", "-9", str(before)], check=True)
    wait_for(lambda: sandbox.status()[component]["pid"] not in {None, before})
    wait_for(lambda: sandbox.health(component))
    sandbox.restart(component)  # leads at once instead of waiting for the lease of the one that crashed
