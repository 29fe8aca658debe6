"""Keys on their way in: judged by Datadog before anything is written, from a program, from another Secret."""

import base64
import time
from pathlib import Path

import pytest

from tests.cluster.driver import API_KEY, Ddhelm
from tests.datadog_api.server import DatadogApi
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import NOWHERE, Sandbox


def stored(sandbox: Sandbox, key: str = "api-key") -> str:
    data = sandbox.api_get("/api/v1/namespaces/datadog/secrets/ddhelm")["data"]
    return base64.b64decode(data[key]).decode()


def test_a_refused_key_stops_before_anything_is_written_and_what_cannot_be_asked_does_not(
    cluster: Clusters, datadog_api: DatadogApi, tmp_path: Path
) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    datadog_api.state.api_keys = {"f" * 32}
    refused = ddhelm.onboard("--site", "EU", code=3)
    assert "site `datadoghq.eu` refuses the API key from `DD_API_KEY`" in refused.err
    assert "--find-site" in refused.err
    with datadog_api.faulty(status=429, headers={"X-RateLimit-Reset": "9"}):
        limited = ddhelm.onboard("--require-validation", code=3)
    assert "too many requests; it may be asked again in 9 s" in limited.err
    nowhere = {"DDHELM_API_URL": NOWHERE}
    assert "cannot be reached" in ddhelm.onboard("--require-validation", code=3, environment=nowhere).err
    assert sandbox.writes() == []
    assert all(API_KEY not in text for each in (refused, limited) for text in (each.out, each.err))

    key = tmp_path / "key"
    key.write_text("f" * 32)
    asked = len(datadog_api.asked)
    done = ddhelm.onboard("--api-key-command", f"cat {key}", key=None)
    assert "could not be validated" not in done.err
    assert stored(sandbox) == "f" * 32
    assert [each.path for each in datadog_api.asked[asked:]] == ["/api/v1/validate"]
    assert "f" * 32 not in done.out + done.err
    again = ddhelm.onboard(key="e" * 32)
    assert "ddhelm rotate api-key" in again.out
    assert len(datadog_api.asked) == asked + 1, "a key that is not written is sent nowhere"


def test_without_a_way_to_datadog_there_is_one_warning_and_little_time_is_lost(
    cluster: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "3.22")
    sandbox.kubectl("create", "namespace", "datadog")
    sandbox.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")
    sandbox.kubectl("create", "secret", "generic", "from-vault", "-n", "datadog", f"--from-literal=api-key={API_KEY}")
    owner = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "dd", "uid": "1-2-3"}
    sandbox.loader.merge("/api/v1/namespaces/datadog/secrets/from-vault", {"metadata": {"ownerReferences": [owner]}})
    planned = ddhelm("plan", *ddhelm.chart(), "--api-key-secret", "from-vault")
    assert "External Secrets (ExternalSecret `dd`) keeps; ddhelm never writes it" in " ".join(planned.out.split())
    ddhelm.environment["DDHELM_API_URL"] = "https://api.ddhelm-tests.invalid"
    began = time.monotonic()
    refused = ddhelm.onboard("--require-validation", code=3)
    assert time.monotonic() - began < 20
    assert "could not be validated" in refused.err
    done = ddhelm.onboard()
    assert done.err.count("could not be validated") == 1
    assert stored(sandbox) == API_KEY


@pytest.mark.matrix  # adapters/test_validating.py asks what is asked anew
def test_a_key_in_a_secret_is_judged_anew_where_it_or_the_site_is_new(
    cluster: Clusters, datadog_api: DatadogApi
) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard("--site", "datadoghq.eu")
    datadog_api.asked.clear()
    writes = len(sandbox.writes())
    datadog_api.state.api_keys = {"f" * 32}
    moved = ddhelm.onboard("--site", "us5.datadoghq.com", key=None, code=3)
    assert "site `us5.datadoghq.com` refuses the API key from Secret `ddhelm`" in moved.err
    assert "--find-site" in moved.err
    assert "--api-key-secret NAME" in moved.err
    assert "refuses" in ddhelm.onboard("--set", "datadog.site=us3.datadoghq.com", key=None, code=3).err
    assert "refuses" in ddhelm.onboard("--api-url", "https://gate.example", key=None, code=3).err
    assert "refuses" in ddhelm.onboard("--require-validation", key=None, code=3).err
    nowhere = {"DDHELM_API_URL": NOWHERE}
    unasked = ddhelm.onboard("--site", "EU", "--require-validation", key=None, code=3, environment=nowhere)
    assert "the API key could not be validated" in unasked.err
    sandbox.kubectl("create", "secret", "generic", "mine", "-n", "datadog", "--from-literal=api-key=no-key")
    other = ddhelm.onboard("--api-key-secret", "mine", key=None, code=3)
    assert "from Secret `mine` is not 32 hexadecimal digits" in other.err
    assert "refuses the API key from Secret `mine`" in other.err
    assert len(sandbox.writes()) == writes + 1, "the Secret by hand"
    asked = len(datadog_api.asked)
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    assert len(datadog_api.asked) == asked, "a run that changes nothing asks nothing"
    datadog_api.state.api_keys = None
    ddhelm.onboard("--site", "us5.datadoghq.com", key=None)
    assert len(datadog_api.asked) == asked + 1
    ddhelm("rollback", "--yes")
    assert len(datadog_api.asked) == asked + 1, "nobody is asked on the way back"
