"""verify asks Datadog whether the data of this cluster arrived: a real HTTPS server that answers as documented."""

import json
import shlex
import time
from typing import Any

import pytest

from tests.agent import shape
from tests.agent.install import PROGRAMS, put
from tests.cluster.driver import API_KEY, Ddhelm
from tests.datadog_api.server import DatadogApi
from tests.sandbox.fixtures import Clusters

APP_KEY = "fedcba9876543210fedcba9876543210fedcba98"
METRICS = ("kube_apiserver.go_goroutines", "kube_controller_manager.threads", "kube_scheduler.threads")
AGENTS = "datadog.agent.running"


def fill(api: DatadogApi, *, cluster: str = "prod", hosts: int = 1, but: str = "") -> None:
    """Data of a minute ago in every metric, except ``but``."""
    moment = time.time() - 60
    tags = frozenset({f"kube_cluster_name:{cluster}"})
    api.state.metrics = {metric: [(tags, moment, 7.0)] for metric in METRICS if metric != but}
    api.state.metrics[AGENTS] = [(tags | {f"host:node-{n}"}, moment, 1.0) for n in range(hosts)]


@pytest.fixture
def ddhelm(cluster: Clusters, datadog_api: DatadogApi) -> Ddhelm:
    """k3s with one node, onboarded; its agents say at once that all is well, which is not the matter here."""
    sandbox = cluster("k3s-single")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.environment |= datadog_api.environment()
    ddhelm.onboard("--cluster-name", "prod", "--site", "datadoghq.eu", environment={"DD_APP_KEY": APP_KEY})
    datadog_api.asked.clear()
    checks = [shape.instance(metric.partition(".")[0], 0, source="file:x", metrics=9) for metric in METRICS[1:]]
    checks.append(shape.instance("kube_apiserver_metrics", 0, source="file:x", metrics=9))
    status = shape.document("agent", "k3s", checks, loading={}, config_errors={})
    answer = sandbox.exec_bin / "status.json"
    answer.write_text(json.dumps({**status, "clusterAgentStatus": {"Endpoint": "x", "Version": "7"}}))
    for program in PROGRAMS:
        put(sandbox, program, f"exec cat {shlex.quote(str(answer))}\n")
    return ddhelm


def asked(ddhelm: Ddhelm, code: int, *flags: str, keys: bool = True) -> dict[str, Any]:
    environment = {"DD_API_KEY": API_KEY, "DD_APP_KEY": APP_KEY} if keys else {}
    done = ddhelm("verify", "-o", "json", *flags, code=code, environment=environment)
    assert APP_KEY not in done.out + done.err
    data: dict[str, Any] = done.json["data"]
    assert data["exitCode"] == code
    return dict(data["datadog"])


def states(found: dict[str, Any]) -> dict[str, str]:
    return {each["subject"]: each["state"] for each in (*found["integrations"], found["hosts"])}


CHECKS = ("kube_apiserver_metrics", "kube_controller_manager", "kube_scheduler")
ALL = dict.fromkeys((*CHECKS, "agents"), "arrived")


def test_what_arrived_and_what_did_not_with_keys_that_were_given_or_are_read_out_of_the_secret(
    ddhelm: Ddhelm, datadog_api: DatadogApi
) -> None:
    fill(datadog_api)
    found = asked(ddhelm, 0)
    assert states(found) == ALL
    assert (found["site"], found["cluster"], found["hosts"]["hosts"]) == ("datadoghq.eu", "prod", 1)
    assert {(each.api_key, each.app_key) for each in datadog_api.asked} == {(API_KEY, APP_KEY)}
    screen = ddhelm("verify", environment={"DD_API_KEY": API_KEY, "DD_APP_KEY": APP_KEY}).out
    assert "✓ `kube_scheduler`: `kube_scheduler.threads` arrived" in screen
    assert "https://app.datadoghq.eu/integrations/kube-scheduler" in screen

    fill(datadog_api, but="kube_scheduler.threads")
    assert states(asked(ddhelm, 6)) == {**ALL, "kube_scheduler": "absent"}
    fill(datadog_api, cluster="another")
    assert set(states(asked(ddhelm, 6)).values()) == {"absent"}
    fill(datadog_api, hosts=0)
    assert asked(ddhelm, 6)["hosts"]["missing"] == 1

    datadog_api.asked.clear()
    fill(datadog_api)
    assert asked(ddhelm, 0, keys=False)["skipped"] == "there is no application key"
    assert datadog_api.asked == []
    screen = ddhelm("verify").out
    assert "hint: DD_APP_KEY and DD_API_KEY, --app-key-file and --api-key-file, or --keys-from-secret" in screen
    assert states(asked(ddhelm, 0, "--keys-from-secret", keys=False)) == ALL
    assert {(each.api_key, each.app_key) for each in datadog_api.asked} == {(API_KEY, APP_KEY)}

    literal = f"--from-literal=app-key={APP_KEY[::-1]}"
    ddhelm.sandbox.kubectl("create", "secret", "generic", "mine", "-n", "datadog", literal)
    ddhelm.onboard("--app-key-secret", "mine", key=None)
    datadog_api.asked.clear()
    flags = "--keys-from-secret", "--only", "control-plane"
    assert states(asked(ddhelm, 0, *flags, keys=False)) == ALL, "the Cluster Agent has the key, its pod is not asked"
    assert {(each.api_key, each.app_key) for each in datadog_api.asked} == {(API_KEY, APP_KEY[::-1])}
    ddhelm.sandbox.kubectl("delete", "secret", "mine", "-n", "datadog")
    screen = ddhelm("verify", *flags).out
    assert "there is no application key, in the Secrets of the agents neither" in screen
    assert "hint: DD_APP_KEY and DD_API_KEY, or --app-key-file and --api-key-file\n" in screen


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"status": 403, "body": b'{"errors": ["Forbidden"]}'}, "403: Forbidden", "timeseries_query"),
    ({"status": 429, "headers": {"X-RateLimit-Reset": "3600"}}, "too many requests", "later"),
    ({"status": 503, "body": b"<html>"}, "503", ""),
    ({"status": 200, "body": b"<html>login</html>"}, "not Datadog's JSON", ""),
    ({"cut": True}, "cannot be reached", ""),
]


@pytest.mark.matrix  # adapters/test_datadog.py has each fault
def test_what_cannot_be_asked_is_said_and_limits_and_slowness_are_waited_for(
    ddhelm: Ddhelm, datadog_api: DatadogApi
) -> None:
    fill(datadog_api)
    for fault, words, hint in FAULTS:
        with datadog_api.faulty(path="/api/v1/query", **fault):
            found = asked(ddhelm, 1)
        assert set(states(found).values()) == {"unknown"}, fault
        assert words in found["hosts"]["why"], fault
        assert hint in found["hosts"]["hint"], fault
    headers = {"X-RateLimit-Reset": "2", "X-RateLimit-Period": "60", "X-RateLimit-Remaining": "0"}
    began = time.monotonic()
    with datadog_api.faulty(path="/api/v1/query", status=429, headers=headers, times=1):
        assert states(asked(ddhelm, 0)) == ALL
    assert time.monotonic() - began >= 2
    with datadog_api.faulty(path="/api/v1/query", wait=1.0, times=2):
        assert states(asked(ddhelm, 0)) == ALL
