"""Every run that changes the cluster is recorded, there and here, and the history says who it was."""

import getpass
import json
import re
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.by_hand import helm
from tests.cluster.driver import SMALL, Ddhelm, recorded, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.test_failures import mend
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox

ME = f"{getpass.getuser()}@{socket.gethostname()}"
CONFIGMAP = "/api/v1/namespaces/datadog/configmaps/ddhelm-history"


def here(sandbox: Sandbox) -> tuple[Path, list[dict[str, Any]]]:
    """The file on this machine, and the last line of each run in it."""
    file = sandbox.layout.home / ".local/state/ddhelm/history.jsonl"
    found: dict[str, dict[str, Any]] = {}
    for line in file.read_text().splitlines():
        found[json.loads(line)["id"]] = json.loads(line)
    return file, list(found.values())


def told(ddhelm: Ddhelm) -> list[dict[str, Any]]:
    return list(ddhelm("history", "-o", "json").json["data"]["runs"])


def verbs(runs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(run["verb"], run["outcome"]) for run in runs]


@each_helm("3.22", matrix=["4.3"])
def test_the_history_says_who_did_what_from_install_to_uninstall(cluster: Clusters, helm_version: str) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    environment = {"DD_API_KEY": "0123456789abcdef0123456789abcdef"}
    planned = ddhelm("plan", "-o", "json", *ddhelm.chart(), environment=environment).json["data"]
    ddhelm.onboard()
    (first,) = recorded(sandbox)
    assert {key: first[key] for key in ("verb", "outcome", "exitCode", "user", "host", "namespace", "plan")} == {
        "verb": "onboard",
        "outcome": "done",
        "exitCode": 0,
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "namespace": "datadog",
        "plan": planned["digest"],
    }
    assert first["name"] == sandbox.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    assert first["cluster"] == sandbox.api_get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert first["changes"][-2:] == [
        {"what": "install", "release": WORKER, "revision": 1},
        {"what": "install", "release": CONTROL_PLANE, "revision": 1},
    ]
    file, kept = here(sandbox)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept == [first]

    before = len(sandbox.writes())
    assert "Nothing to do" in ddhelm.onboard(key=None).out
    assert len(sandbox.writes()) == before
    assert here(sandbox)[1] == [first], "a run with nothing to do is no change"

    sandbox.simulate("worker-2", never_ready="CreateContainerConfigError", message='secret "gone" not found')
    ddhelm.onboard("--set", "datadog.tags={a:b}", "--timeout", "8s", key=None, code=4)
    mend(sandbox, "worker-2")
    failed = recorded(sandbox)[-1]
    assert (failed["outcome"], failed["exitCode"]) == ("failed", 4)
    assert 'secret "gone" not found' in failed["message"] or "worker-2" in failed["message"], failed
    assert failed["changes"][-1] == {"what": "rollback", "release": WORKER, "target": 1}

    ddhelm("rollback", "1", "--only", "control-plane", "--yes")
    drifted = (f"daemonset/{CONTROL_PLANE}-datadog", "-c", "agent", "DD_LOG_LEVEL=debug")
    sandbox.kubectl("-n", "datadog", "set", "env", *drifted)
    ddhelm("drift", "--revert", "--yes")
    helm(sandbox, helm_version, "rollback", WORKER, "1", "-n", "datadog")
    assert verbs(recorded(sandbox)) == [
        ("onboard", "done"),
        ("onboard", "failed"),
        ("rollback", "done"),
        ("drift --revert", "done"),
    ]
    runs = told(ddhelm)
    assert [run["audit"]["verb"] if run["audit"] else None for run in runs] == [
        *("onboard", "onboard", "rollback", "drift --revert"),
        None,
    ]
    left = [{(each["release"], each["revision"]) for each in run["revisions"]} for run in runs]
    assert left[:2] == [{(WORKER, 1), (CONTROL_PLANE, 1)}, {(WORKER, 2), (CONTROL_PLANE, 2), (WORKER, 3)}]
    assert left[2] == {(CONTROL_PLANE, 3)}
    assert sum(map(len, left)) == sum(map(len, revisions(sandbox).values())), "each revision is told once"
    table = ddhelm("history").out
    assert f"onboard by {ME} ({first['name']}), plan {first['plan'][:12]}: done in" in table
    assert "failed (exit 4): " in table
    assert "no record of who did it" in table

    ddhelm("uninstall", "--yes")
    assert verbs(recorded(sandbox))[-1] == ("uninstall", "done")
    runs = told(ddhelm)
    assert [run["audit"]["verb"] for run in runs][-1] == "uninstall"
    assert all(run["revisions"] == [] for run in runs)
    assert re.search(r"uninstall by .*: done in .*release `control-plane-ddagent`", ddhelm("history").out)
    kept_back = ddhelm("uninstall", "--dry-run").out
    assert "configmap `ddhelm-history`" in kept_back

    ddhelm("uninstall", "--yes", "--delete-secrets", "--delete-namespace")
    assert sandbox.api.find("/api/v1/namespaces/datadog") is None
    assert here(sandbox)[1][-1]["outcome"] == "done"
    assert "recorded on this machine only" in ddhelm("history").out


def test_what_cannot_be_recorded_is_a_warning_and_the_run_goes_on(cluster: Clusters) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    sandbox.loader.merge(CONFIGMAP, {"immutable": True})
    state = sandbox.layout.home / ".local/state/ddhelm"
    (state / "history.jsonl").unlink()
    (state / "history.jsonl").mkdir()
    done = ddhelm.onboard("--only", "control-plane", "--set", "datadog.tags={a:b}", key=None)
    assert "this run was not recorded in ConfigMap `ddhelm-history`: " in done.err
    assert f"this run was not recorded in `{state}/history.jsonl`: Is a directory" in done.err
    assert len(recorded(sandbox)) == 1
    runs = told(ddhelm)
    assert [len(run["revisions"]) for run in runs] == [2, 1]
    assert [bool(run["audit"]) for run in runs] == [True, False]


@pytest.mark.matrix  # unit/test_audit.py holds the ring
def test_the_ring_forgets_the_oldest_and_keeps_what_it_does_not_understand(cluster: Clusters) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    lines = [f'{{"version":2,"id":"{number}"}}' for number in range(63)]
    sandbox.loader.merge(CONFIGMAP, {"data": {"runs.jsonl": "\n".join(["oldest", *lines]), "mine": "kept"}})
    ddhelm.onboard("--set", "datadog.tags={a:b}", key=None)
    data = sandbox.api_get(CONFIGMAP)["data"]
    assert data["mine"] == "kept"
    assert data["runs.jsonl"].splitlines()[:-1] == lines
