"""A client certificate of our own opens the real etcd: made from its CA, kept in a Secret, mounted into the agents."""

import base64
import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509

from tests.cluster.driver import SMALL, Ddhelm
from tests.cluster.names import CONTROL_PLANE
from tests.cluster.node_agent import NAMES, NodeAgent
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox

SECRET = "ddhelm-etcd-client"
FILES = {"etcd-ca.crt", "etcd-client.crt", "etcd-client.key"}
FOLDER = "/etc/datadog-agent/certs"

# Datadog's code asks for a TLS version in an old way, and says where nothing is verified.
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLS:DeprecationWarning", "ignore::urllib3.exceptions.InsecureRequestWarning"
)


def ca(sandbox: Sandbox) -> list[str]:
    return ["--ca-cert", str(sandbox.pki.etcd.certificate), "--ca-key", str(sandbox.pki.etcd.key)]


def secret(sandbox: Sandbox) -> dict[str, Any]:
    return sandbox.api_get(f"/api/v1/namespaces/datadog/secrets/{SECRET}")


def namespace(sandbox: Sandbox) -> None:
    """The one that a Secret is written into before anything is installed."""
    sandbox.kubectl("create", "namespace", "datadog")
    sandbox.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")


def certificate(sandbox: Sandbox) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(secret(sandbox)["data"]["etcd-client.crt"]))


def pod_spec(sandbox: Sandbox, name: str) -> dict[str, Any]:
    found = sandbox.api_get(f"/apis/apps/v1/namespaces/datadog/daemonsets/{name}")
    return dict(found["spec"]["template"]["spec"])


def test_a_certificate_from_etcds_ca_brings_etcds_metrics(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "3.22")
    namespace(sandbox)
    assert "is not there" in ddhelm.onboard("--etcd-secret", SECRET, code=3).err
    made = ddhelm("certs", "issue", *ca(sandbox), "--secret", SECRET, "--days", "60", "-o", "json")
    assert made.json["data"]["secret"] == SECRET
    assert secret(sandbox)["data"].keys() == FILES
    again = ddhelm("certs", "issue", *ca(sandbox), "--secret", SECRET, code=3)
    assert "exists in `datadog` and is not overwritten" in again.err
    assert certificate(sandbox).subject.rfc4514_string() == "CN=ddhelm-etcd-client"

    ddhelm.onboard("--etcd-secret", SECRET)
    agent = NodeAgent.somewhere(sandbox, tmp_path)
    (instance,) = agent.check_files()["etcd"]
    assert instance["prometheus_url"].startswith("https://")
    assert agent.collect("etcd", instance) == {NAMES["etcd"]}
    with pytest.raises(requests.exceptions.ConnectionError):
        agent.collect("etcd", {k: v for k, v in instance.items() if k not in {"tls_cert", "tls_private_key"}})

    spec = pod_spec(sandbox, f"{CONTROL_PLANE}-datadog")
    mounted = {
        mount["mountPath"]: container["name"]
        for container in spec["containers"]
        for mount in container["volumeMounts"]
        if mount["mountPath"].startswith(FOLDER)
    }
    assert mounted == {f"{FOLDER}/{file}": "agent" for file in FILES}
    assert not [v for v in spec["volumes"] if "etcd" in str(v.get("hostPath"))]
    assert "etcd-client" not in str(pod_spec(sandbox, "worker-node-ddagent-datadog"))

    assert ddhelm("plan", "--detailed-exitcode").code == 0, "the setting is remembered"
    back = ddhelm.onboard("--no-etcd-secret")
    assert "http://" in NodeAgent.somewhere(sandbox, tmp_path).check_files()["etcd"][0]["prometheus_url"], back


def test_a_certificate_that_another_ca_signs_by_request_is_taken_in(cluster: Clusters, tmp_path: Path) -> None:
    """CSR first: the key never leaves the folder until it goes into the Secret, the CA's key never comes near."""
    from cryptography.hazmat.primitives import hashes, serialization

    sandbox = cluster("kops")
    ddhelm = Ddhelm(sandbox, "4.3")
    namespace(sandbox)
    folder = tmp_path / "new"
    ddhelm("certs", "issue", "--csr-only", "--out", str(folder))
    request = x509.load_pem_x509_csr((folder / "etcd-client.csr").read_bytes())
    signer = serialization.load_pem_private_key(sandbox.pki.etcd.key.read_bytes(), None)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(x509.load_pem_x509_certificate(sandbox.pki.etcd.certificate.read_bytes()).subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=9))
    )
    for extension in request.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    (tmp_path / "signed.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    files = ["--dir", str(folder), "--cert", str(tmp_path / "signed.crt"), "--ca", str(sandbox.pki.etcd.certificate)]
    ddhelm("certs", "import", *files, "--secret", SECRET)
    ddhelm.onboard("--etcd-secret", SECRET)
    agent = NodeAgent.somewhere(sandbox, tmp_path)
    instances = agent.check_files()["etcd"]
    assert len(instances) == 2, "main and events"
    for instance in instances:
        assert agent.collect("etcd", instance) == {NAMES["etcd"]}


def pods(sandbox: Sandbox) -> dict[str, str]:
    """Node to the UID of its control-plane agent."""
    found = sandbox.api_get(f"/api/v1/namespaces/datadog/pods?labelSelector=app%3D{CONTROL_PLANE}-datadog")["items"]
    return {each["spec"]["nodeName"]: each["metadata"]["uid"] for each in found}


def test_a_rotation_replaces_the_secret_and_then_every_agent_that_reads_it(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    ways = ddhelm("certs", "plan", "-o", "json").json["data"]["ways"]
    assert [(way["way"], way["here"], way["used"]) for way in ways] == [
        ("listener", True, True),
        ("files", True, False),
        ("own", True, False),
        ("none", True, False),
    ]
    assert ways[0]["recommended"]
    nothing = ddhelm("certs", "rotate", *ca(sandbox), "--yes", code=3)
    assert "no agent shows etcd a certificate out of a Secret" in nothing.err
    ddhelm("certs", "issue", *ca(sandbox), "--secret", SECRET, "--days", "20")
    ddhelm.onboard("--etcd-secret", SECRET)

    assert "(in use)" in ddhelm("certs", "plan").out
    soon = ddhelm("status")
    assert f"in Secret `{SECRET}`: 19 days left" in soon.out
    assert "ddhelm certs rotate" in soon.out
    assert ddhelm("status", "-o", "json").json["data"]["etcdCertificate"]["daysLeft"] == 19
    results = {each["name"]: each for each in ddhelm("check", "-o", "json").json["data"]["checks"]}
    assert results["etcd-certificate-valid"]["details"] == []
    assert results["etcd-certificate-lasts"]["details"] == [f"the certificate in Secret `{SECRET}` ends in 19 days"]

    before, old = pods(sandbox), certificate(sandbox)
    workers = [each["metadata"]["uid"] for each in worker_pods(sandbox)]
    shown = ddhelm("certs", "rotate", *ca(sandbox), "--dry-run")
    assert f"{len(before)} agents restart, 1 at a time" in shown.out
    assert ddhelm("certs", "rotate", *ca(sandbox), code=64).err.count("no terminal") == 1
    assert (pods(sandbox), certificate(sandbox)) == (before, old)

    ddhelm("certs", "rotate", *ca(sandbox), "--yes")
    after = pods(sandbox)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert [each["metadata"]["uid"] for each in worker_pods(sandbox)] == workers
    assert certificate(sandbox).serial_number != old.serial_number
    agent = NodeAgent.somewhere(sandbox, tmp_path)
    (instance,) = agent.check_files()["etcd"]
    assert agent.collect("etcd", instance) == {NAMES["etcd"]}
    assert "364 days left" in ddhelm("status").out
    assert ddhelm("plan", "--detailed-exitcode").code == 0, "a restart is no change"

    endpoint = f"https://127.0.0.1:{sandbox.ports.etcd}"
    told = ddhelm("certs", "verify", "--endpoint", endpoint, "--secret", SECRET)
    assert "the dashboards will have data" in told.out

    assert "etcd is asked with" not in ddhelm.onboard("--drop-check", "etcd").out
    assert "client certificate for etcd" not in ddhelm("status").out, "nobody shows it"

    kept = ddhelm("uninstall", "--yes").out
    assert f"secret `{SECRET}`" in kept
    assert secret(sandbox)["data"].keys() == FILES
    ddhelm("uninstall", "--yes", "--delete-secrets")
    assert sandbox.kubectl("get", "secret", SECRET, "-n", "datadog", "--ignore-not-found") == ""


def worker_pods(sandbox: Sandbox) -> list[dict[str, Any]]:
    selector = "app%3Dworker-node-ddagent-datadog"
    return list(sandbox.api_get(f"/api/v1/namespaces/datadog/pods?labelSelector={selector}")["items"])
