"""support-dump: all that helps somebody else to help, and no secret, whatever state the cluster is in."""

import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.by_hand import helm
from tests.cluster.driver import SMALL, Ddhelm
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.witness import forms
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox

AGENT = f"{WORKER}-datadog"
SPACE = "/api/v1/namespaces/datadog"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJlLXBsYW50ZWQ"
SECRETS = {
    "key of the environment": "a51f00dfacade00dabad1deadec0de77",
    "application key of the environment": "b0b5c0ffee1badd00dfeedfacecafe1dea5eed99",
    "variable of the environment": "planted-in-the-environment",
    "value of the chart": "planted-in-values",
    "nested text in a value": "planted-in-a-check-file",
    "list in a check file": "planted-in-basic-auth",
    "ConfigMap": "planted-in-a-configmap",
    "annotation": "planted-in-an-annotation",
    "last applied": "planted-in-last-applied",
    "env": "planted-in-env",
    "env of a short name": "planted-under-pw",
    "env of a webhook": "T0/B0/planted-in-a-webhook",
    "argument": "planted-in-an-argument",
    "event": "planted-in-an-event",
    "words of an event": "planted-in-prose-1",
    "JWT of an event": JWT,
    "Secret": "planted-in-a-secret",
    "annotation of a node": "planted-at-a-node",
    "kubeconfig": "planted-in-the-kubeconfig",
    "history": "planted-in-the-history",
    "calls": "planted-in-the-calls",
}


def opened(file: Path) -> dict[str, str]:
    """The files of an archive by their name below its folder."""
    with tarfile.open(file) as tar:
        found = {}
        for entry in tar.getmembers():
            assert entry.mode == 0o600
            content = tar.extractfile(entry)
            assert content is not None
            found[entry.name.partition("/")[2]] = content.read().decode()
    return found


def documents(files: dict[str, str]) -> dict[str, Any]:
    readers: dict[str, Callable[[str], Any]] = {"json": json.loads, "yaml": lambda text: list(yaml.safe_load_all(text))}
    return {
        name: readers[name.rpartition(".")[2]](text)
        for name, text in files.items()
        if name.rpartition(".")[2] in readers
    }


def plant(sandbox: Sandbox, ddhelm: Ddhelm) -> None:
    """A secret in every place that a dump reads."""
    values = {
        "datadog": {
            "env": [{"name": "DB_PASSWORD", "value": SECRETS["value of the chart"]}],
            "confd": {
                "postgres.yaml": f"instances:\n  - password: {SECRETS['nested text in a value']}\n",
                "http.yaml": f"instances:\n  - basic_auth: [u, {SECRETS['list in a check file']}]\n",
            },
        }
    }
    file = sandbox.kubeconfig.parent / "by-hand.json"
    file.write_text(json.dumps(values))
    more = ("--reuse-values", "-f", str(file), "-n", "datadog")
    helm(sandbox, "4.3", "upgrade", WORKER, ddhelm.chart()[1], *more)
    put = sandbox.loader
    put.merge(f"{SPACE}/configmaps/{AGENT}-installinfo", {"data": {"db.password": SECRETS["ConfigMap"]}})
    applied = json.dumps({"data": {"x": SECRETS["last applied"]}})
    marks = {
        "example.com/api-token": SECRETS["annotation"],
        "kubectl.kubernetes.io/last-applied-configuration": applied,
    }
    container = {
        "name": "agent",
        "env": [
            {"name": "REDIS_PASSWORD", "value": SECRETS["env"]},
            {"name": "PW_X", "value": SECRETS["env of a short name"]},
            {"name": "TELL", "value": f"https://hooks.slack.com/services/{SECRETS['env of a webhook']}"},
        ],
        "args": ["run", "--db-password", SECRETS["argument"]],
    }
    sandbox.simulate("worker-2", never_ready="ImagePullBackOff")
    template = {"metadata": {"annotations": marks}, "spec": {"containers": [container]}}
    body = json.dumps({"metadata": {"annotations": marks}, "spec": {"template": template}})
    sandbox.kubectl("-n", "datadog", "patch", "daemonset", AGENT, "--type=strategic", "-p", body)
    message = f"pull failed: password={SECRETS['event']} and Authorization: Bearer {JWT}"
    message += f"; the token {SECRETS['words of an event']} was refused"
    about = {"kind": "Pod", "namespace": "datadog", "name": "x"}
    event = {"metadata": {"name": "planted"}, "involvedObject": about, "type": "Warning", "message": message}
    put.post(f"{SPACE}/events", event)
    literal = f"--from-literal=anything={SECRETS['Secret']}"
    sandbox.kubectl("-n", "datadog", "create", "secret", "generic", "mine", literal)
    node = {"metadata": {"annotations": {"example.com/password": SECRETS["annotation of a node"]}}}
    put.merge("/api/v1/nodes/worker-1", node)
    entry = {"version": 1, "id": "x", "verb": "onboard", "began": "2026-11-27T00:00:00Z", "outcome": "failed"}
    line = json.dumps({**entry, "message": f"token={SECRETS['history']}"})
    put.merge(f"{SPACE}/configmaps/ddhelm-history", {"data": {"runs.jsonl": line}})
    state = sandbox.layout.home / ".local/state/ddhelm"
    with (state / "calls.log").open("a") as log:
        log.write(f"  00:00:00.000 helm --password {SECRETS['calls']} # exit 1, 0.1 s\n")
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    config["users"].append({"name": "other", "user": {"token": SECRETS["kubeconfig"]}})
    mine = sandbox.kubeconfig.parent / "planted.conf"
    mine.write_text(yaml.safe_dump(config))
    ddhelm.environment |= {
        "KUBECONFIG": str(mine),
        "DD_API_KEY": SECRETS["key of the environment"],
        "DD_APP_KEY": SECRETS["application key of the environment"],
        "MY_PASSWORD": SECRETS["variable of the environment"],
    }


def test_what_helps_is_in_it_and_no_planted_secret_is(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    plant(sandbox, ddhelm)
    file = tmp_path / "dump.tar.gz"
    before = len(sandbox.writes())
    told = ddhelm("support-dump", "--out", str(file), "--verbose")
    assert len(sandbox.writes()) == before
    assert "0 of them not read" in told.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["dump.tar.gz"]

    files = opened(file)
    texts = {**files, "output": told.out + told.err}
    hits = [
        f"{what} in {name}"
        for name, text in texts.items()
        for what, secret in SECRETS.items()
        if any(form in text.encode() for form in forms(secret))
    ]
    assert hits == []
    page = files.pop("README.md")
    assert all(name in page for name in files)

    found = documents(files)
    assert found["facts.json"]["data"]["profile"]["distribution"] == "kubeadm"
    assert len(found["status.json"]["data"]["releases"]) == 2
    assert found["plan.json"]["kind"] == "Plan"
    assert found["drift.json"]["kind"] == "Drift"
    assert found["versions.json"]["server"]["gitVersion"].startswith("v1.")
    assert found["versions.json"]["helm"]["version"].startswith("4.3")
    assert [len(found["releases.json"][name]) for name in (WORKER, CONTROL_PLANE)] == [2, 1]
    assert "# pair:" in files["values.yaml"] or "# common:" in files["values.yaml"], "the layers are named"
    (live,) = found["objects/live.yaml"]
    (agent,) = [each for each in live[WORKER] if each.get("kind") == "DaemonSet"]
    (variable,) = [
        each
        for container in agent["spec"]["template"]["spec"]["containers"]
        for each in container.get("env") or ()
        if each["name"] == "REDIS_PASSWORD"
    ]
    assert variable["value"].startswith("***"), "it was read, and masked"
    (deployed,) = found["objects/deployed.yaml"]
    assert {each["kind"] for each in deployed[WORKER]} >= {"DaemonSet", "Deployment", "ConfigMap"}
    (pods,) = found["objects/pods-not-ready.yaml"]
    assert [each["spec"]["nodeName"] for each in pods["items"]] == ["worker-2"]
    (events,) = found["objects/events.yaml"]
    assert "planted" in {each["metadata"]["name"] for each in events["items"]}
    assert "kubectl" in files["logs/calls.log"]
    assert " onboard on https://" in files["logs/calls.log"]
    assert json.loads(files["logs/runs.jsonl"].splitlines()[-1])["verb"] == "onboard"

    refused = ddhelm("support-dump", "-f", str(file), code=3)
    assert f"`{file}` exists already" in refused.err
    assert opened(file)["plan.json"] == files["plan.json"]
    ddhelm("support-dump", "-f", str(file), "--force")
    assert opened(file).keys() - {"README.md"} == files.keys()
    (tmp_path / "facts.json").write_text(files["facts.json"])
    offline = ("--offline", "--facts", str(tmp_path / "facts.json"))
    assert "distribution" in ddhelm("plan", *offline, *ddhelm.chart(), "-o", "json").out, "others can plan from it"


def test_a_dump_of_what_is_broken_says_what_could_not_be_read(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "3.22")
    nothing = opened(dumped(ddhelm, tmp_path / "empty.tar.gz"))
    assert documents(nothing)["facts.json"]["data"]["profile"]["distribution"] == "kubeadm"
    assert "no release" in nothing["drift.json.not-read.txt"]
    assert "no release" in nothing["history.json.not-read.txt"]
    assert "plan.json" in nothing or "plan.json.not-read.txt" in nothing

    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}]
    reader = sandbox.user_kubeconfig("reader", rules)
    little = opened(dumped(ddhelm, tmp_path / "little.tar.gz", "--kubeconfig", str(reader)))
    assert "facts.json" in little
    assert "reader" in little["releases.json.not-read.txt"]
    assert "NOT READ" in little["README.md"]

    none = opened(dumped(ddhelm, tmp_path / "none.tar.gz", "--context", "no-such-context"))
    assert "no-such-context" in none["cluster.not-read.txt"]
    assert "versions.json" in none

    sandbox.kill("kube-apiserver")
    try:
        down = opened(dumped(ddhelm, tmp_path / "down.tar.gz"))
    finally:
        sandbox.restart("kube-apiserver")
    assert "facts.json.not-read.txt" in down
    assert "kubectl" in down["logs/calls.log"]
    assert documents(down)["access.json"]["namespace"] == "datadog"


def dumped(ddhelm: Ddhelm, file: Path, *flags: str) -> Path:
    ddhelm("support-dump", "--out", str(file), *flags)
    return file


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(cluster: Clusters, tmp_path: Path) -> None:
    ddhelm = Ddhelm(cluster("kubeadm"), "4.3")
    for place in ("no/such/folder/x.tar.gz", "."):
        for force in ([], ["--force"]):
            refused = ddhelm("support-dump", "--out", str(tmp_path / place), *force, code=3)
            assert "versions.json" not in refused.err
            assert refused.err.count("\n") <= 4, refused
    assert list(tmp_path.iterdir()) == []
