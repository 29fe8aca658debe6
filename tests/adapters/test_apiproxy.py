"""Many reads go through one kubectl, and nobody can tell from the answers."""

import base64
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from ddhelm import apiproxy
from ddhelm.access import Access, resolve
from ddhelm.answers import Answer
from ddhelm.errors import Interrupted
from ddhelm.kubectl import Kubectl
from ddhelm.tree import Tree, get
from tests.adapters.real import FOO, NAMESPACE, ROLE, Edge, config_map, deployment, edge
from tests.sandbox.waiting import wait_for

__all__ = ["edge"]
PATHS = (
    "/version",
    "/apis",
    f"/api/v1/namespaces/{NAMESPACE}",
    "/api/v1/nodes",
    "/api/v1/namespaces/gone",
    "/nonsense",
)


@pytest.fixture
def started(edge: Edge, tmp_path: Path) -> Path:
    """Where a kubectl notes the verb that it is started with; the kubectl stands beside it."""
    script, notes = tmp_path / "kubectl", tmp_path / "started"
    script.write_text(
        f'#!/bin/sh\nfor word in "$@"; do case $word in proxy|get|apply) echo $word >> {notes};; esac; done\n'
        f'exec {edge.kubectl_path} "$@"\n'
    )
    script.chmod(0o755)
    return notes


Proxied = Callable[..., Kubectl]


@pytest.fixture
def proxied(edge: Edge, started: Path) -> Iterator[Proxied]:
    made: list[Kubectl] = []

    def make(access: Access | None = None, request_timeout: int = 10) -> Kubectl:
        path = str(started.parent / "kubectl")
        made.append(Kubectl(edge.runner, path, access or edge.access, request_timeout, proxied=True))
        return made[-1]

    yield make
    for each in made:
        each.close()


def plain(answers: Sequence[Answer]) -> list[tuple[str, bool, str, str]]:
    """Everything of an answer but what changes from one second to the next."""
    return [
        (each.path, each.found, str(each.tree().get("kind")), each.failure.message if each.failure else "")
        for each in answers
    ]


def test_a_round_of_reads_is_one_process_and_brings_what_kubectl_brings(
    edge: Edge, started: Path, proxied: Proxied
) -> None:
    got = proxied().raws(PATHS)
    assert started.read_text().split() == ["proxy"]
    assert plain(got) == plain(edge.kubectl.raws(PATHS))
    assert [each.found for each in got] == [True, True, True, True, False, False]
    assert len(got[3].tree()["items"]) == 8


def test_all_later_reads_go_through_it_too_until_it_is_closed(edge: Edge, started: Path, proxied: Proxied) -> None:
    kubectl = proxied()
    kubectl.raw("/version")
    kubectl.raws(PATHS)
    assert kubectl.tree(PATHS[2]) == edge.kubectl.tree(PATHS[2])
    assert kubectl.tree("/api/v1/namespaces/gone") is None
    kubectl.raws(PATHS)
    assert started.read_text().split() == ["get", "proxy"]
    kubectl.close()
    kubectl.raw("/version")
    assert started.read_text().split() == ["get", "proxy", "get"]


def test_what_was_asked_ahead_answers_the_first_round_and_no_later_one(
    edge: Edge, started: Path, proxied: Proxied
) -> None:
    kubectl = proxied()
    late = f"/api/v1/namespaces/{NAMESPACE}/configmaps/late"
    kubectl.start([late, *PATHS[:2]])
    assert kubectl._proxy is not None
    assert kubectl._reads_ahead is not None
    kubectl._reads_ahead._thread.join(10)
    edge.kubectl.apply([config_map("late", k="1")], manager="helm")
    assert [each.found for each in kubectl.raws([*PATHS[:4], late])] == [True, True, True, True, False]
    assert kubectl.tree(late) is not None
    assert plain(kubectl.raws(PATHS)) == plain(edge.kubectl.raws(PATHS))
    assert started.read_text().split() == ["proxy"]


def test_a_body_is_made_something_of_while_it_arrives_and_kubectl_is_asked_where_that_fails(
    edge: Edge, started: Path, proxied: Proxied
) -> None:
    """Packed on its way, and each question answered as it was asked."""

    def whole(pieces: Iterable[bytes]) -> object:
        return sorted(item["metadata"]["name"] for item in json.loads(b"".join(pieces))["items"])

    def refuses(pieces: Iterable[bytes]) -> object:
        raise ValueError(next(iter(pieces))[:1])

    kubectl, nodes = proxied(), {PATHS[3]: whole, PATHS[4]: whole}
    kubectl.start([*PATHS[:3], PATHS[3]], nodes)
    got = kubectl.raws(PATHS, nodes)
    assert got[3].made == whole([edge.kubectl.raw(PATHS[3]) or b""])
    assert len(got[3].made) == 8
    assert (got[3].body, got[4].found, got[4].made) == (None, False, None)
    assert plain(got[:3]) == plain(edge.kubectl.raws(PATHS[:3]))
    assert len(kubectl.raws(PATHS[2:5])[1].tree()["items"]) == 8
    assert started.read_text().split() == ["proxy"]
    answer = kubectl.raws(PATHS[:4], {PATHS[3]: refuses})[3]
    assert (answer.made, len(answer.tree()["items"])) == (None, 8)
    assert started.read_text().split() == ["proxy", "get"]


def test_what_is_expected_answers_the_first_forecast_of_the_block_and_only_what_is_equal(
    edge: Edge, started: Path, proxied: Proxied
) -> None:
    standing = [config_map("a", k="1"), config_map("b", k="1")]
    edge.kubectl.apply(standing, manager="helm")
    kubectl, wanted = proxied(), [standing[0], config_map("b", k="2")]
    with kubectl.expecting(lambda: standing, manager="helm", conflicts=True):
        assert kubectl._forecast_ahead is not None
        kubectl._forecast_ahead._thread.join(10)
        edge.kubectl.apply([config_map("a", k="3")], manager="helm")
        assert [each and each["data"] for each in kubectl.get_many(standing[:1])] == [{"k": "1"}]
        found, told = kubectl.standing_and_forecast(wanted, manager="helm")
        again, _ = kubectl.standing_and_forecast(wanted, manager="helm")
    assert [each and each["data"] for each in found] == [{"k": "1"}, {"k": "1"}]
    assert [each["data"] for each in told.objects] == [{"k": "1"}, {"k": "2"}]
    assert [each and each["data"] for each in again] == [{"k": "3"}, {"k": "1"}]
    assert started.read_text().split() == ["proxy"]


def test_release_rows_are_told_as_kubectls_table_tells_them(edge: Edge, started: Path, proxied: Proxied) -> None:
    kubectl = proxied()
    assert kubectl.release_rows() == edge.kubectl.release_rows() == ()
    for revision, status in ((9, "superseded"), (10, "deployed")):
        labels = {"owner": "helm", "name": "r", "version": str(revision), "status": status, "modifiedAt": "1795489700"}
        metadata = {"name": f"sh.helm.release.v1.r.v{revision}", "namespace": NAMESPACE, "labels": labels}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": metadata}
        edge.kubectl.apply([{**secret, "data": {"release": "aGlkZGVu"}}], manager="helm").raise_first()
    found = kubectl.release_rows()
    assert found == edge.kubectl.release_rows()
    assert [(row.revision, row.status, row.modified) for row in found] == [
        (9, "superseded", 1795489700),
        (10, "deployed", 1795489700),
    ]
    assert started.read_text().split() == ["proxy"]
    path = f"/api/v1/namespaces/{NAMESPACE}/secrets?labelSelector=owner%3Dhelm"
    assert kubectl._proxy is not None
    (answer,) = kubectl._proxy.ask([apiproxy.Question(path, bare=True)], timeout=10)
    assert answer is not None
    assert b"aGlkZGVu" not in answer[1], "no release is read for its labels"


def test_another_limit_keeps_the_proxy_and_starts_none(edge: Edge, started: Path, proxied: Proxied) -> None:
    kubectl = proxied()
    assert kubectl.within(3).tree(PATHS[2]) == edge.kubectl.tree(PATHS[2])
    kubectl.raws(PATHS)
    assert kubectl.within(3).tree(PATHS[2]) == edge.kubectl.tree(PATHS[2])
    assert started.read_text().split() == ["get", "proxy"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_answer_that_a_thread_broke_down_over_is_asked_of_kubectl(
    edge: Edge, started: Path, proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = apiproxy._Line.ask

    def broken(self: apiproxy._Line, question: apiproxy.Question) -> apiproxy.Got | None:
        if question.path in PATHS[:2]:
            raise AttributeError("module 'http' has no attribute 'client'")
        return ask(self, question)

    monkeypatch.setattr(apiproxy._Line, "ask", broken)
    assert plain(proxied().raws(PATHS)) == plain(edge.kubectl.raws(PATHS))
    assert started.read_text().split() == ["proxy", "get", "get"]


def test_threads_that_ask_while_a_module_is_loaded_get_all_of_it() -> None:
    """The package gets its attribute only after its module is loaded, and another thread may come in between."""
    gap = "import http.client; del http.client; from ddhelm.apiproxy import _Line, Question; "
    asked = "print(_Line('/nowhere', 1).ask(Question('/version')))"
    done = subprocess.run([sys.executable, "-c", gap + asked], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_a_proxy_that_died_is_started_again(edge: Edge, started: Path, proxied: Proxied) -> None:
    kubectl = proxied()
    kubectl.raws(PATHS)
    proxy = kubectl._proxy
    assert proxy is not None
    assert proxy._server is not None
    os.killpg(proxy._server._child._group, signal.SIGKILL)
    wait_for(lambda: not proxy.runs, 10, "its end")
    assert plain(kubectl.raws(PATHS)) == plain(edge.kubectl.raws(PATHS))
    assert started.read_text().split() == ["proxy", "proxy"]


def test_a_forecast_asks_no_other_kubectl_writes_nothing_and_is_kubectls(
    edge: Edge, started: Path, proxied: Proxied
) -> None:
    new, standing = config_map("new", k="1"), [config_map("a", k="1"), deployment("d"), ROLE]
    edge.kubectl.apply(standing, manager="helm")
    wanted = [new, config_map("a", k="2"), *standing[1:]]
    where = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/d"  # its controller writes until the pod is there
    wait_for(lambda: get(edge.kubectl.tree(where), ("status", "availableReplicas")) == 1, 30, "the pod of d")
    before = edge.sandbox.writes()
    kubectl = proxied()
    found, result = kubectl.standing_and_forecast(wanted, manager="helm")
    assert started.read_text().split() == ["proxy"]
    assert edge.sandbox.writes() == before
    theirs, told = edge.kubectl.standing_and_forecast(wanted, manager="helm")
    assert found == theirs
    assert [each and each["metadata"]["name"] for each in found] == [None, "a", "d", "edge-test"]
    assert (result.ok, told.ok) == (True, True)
    assert [settled(each) for each in result.objects] == [settled(each) for each in told.objects]
    assert result.objects[1]["data"] == {"k": "2"}
    assert kubectl.get_many([new, *standing]) == found


def settled(body: Tree) -> Tree:
    """A forecast object without what the server makes anew each time."""
    made = {"uid", "creationTimestamp", "resourceVersion"}
    metadata = {key: value for key, value in body["metadata"].items() if key not in made or body["kind"] != "ConfigMap"}
    return {**body, "metadata": metadata}


def test_what_would_be_refused_is_told_in_kubectls_words(edge: Edge, started: Path, proxied: Proxied) -> None:
    edge.kubectl.apply([config_map("a", k="1")], manager="helm")
    edge.patch("configmap", "a", {"data": {"k": "2"}})
    kubectl = proxied()
    kubectl.start()
    wanted = [config_map("a", k="3"), FOO, config_map("b", "missing")]
    for objects in (wanted[:1], wanted[:2], wanted):
        ours, theirs = (each.forecast(objects, manager="helm") for each in (kubectl, edge.kubectl))
        assert (ours.objects, ours.conflicts) == (theirs.objects, theirs.conflicts)
        assert [(each.object, str(each.error)) for each in ours.refusals] == [
            (each.object, str(each.error)) for each in theirs.refusals
        ]
        assert len(ours.conflicts) + len(ours.refusals) == len(objects)
    forced = kubectl.standing_and_forecast(wanted[:1], manager="helm", conflicts=False)[1]
    assert (forced.ok, forced.objects[0]["data"]) == (True, {"k": "3"})
    assert started.read_text().split()[0] == "proxy"
    assert "apply" in started.read_text()


def test_what_is_forbidden_is_said_in_kubectls_words(edge: Edge, started: Path, proxied: Proxied) -> None:
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}]
    reader = resolve(kubeconfig=str(edge.sandbox.user_kubeconfig("reader", rules)), namespace=NAMESPACE)
    got = proxied(reader).raws(PATHS)
    assert plain(got) == plain(edge.kubectl_of(reader).raws(PATHS))
    assert got[3].failure is not None
    assert "`reader` may not list nodes" in got[3].failure.message
    assert started.read_text().split() == ["proxy", "get", "get"], "what is forbidden is asked again: nodes, nonsense"


def test_a_credential_plugin_is_asked_once(edge: Edge, started: Path, tmp_path: Path, proxied: Proxied) -> None:
    config = json.loads(edge.sandbox.kubeconfig.read_text())
    user = config["users"][0]["user"]
    names = {"clientCertificateData": "client-certificate-data", "clientKeyData": "client-key-data"}
    status = {name: base64.b64decode(user[key]).decode() for name, key in names.items()}
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    plugin.chmod(0o755)
    how = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    config["users"][0]["user"] = {"exec": how}
    kubeconfig = tmp_path / "exec.kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    got = proxied(resolve(kubeconfig=str(kubeconfig), namespace=NAMESPACE)).raws(PATHS)
    assert got[3].found
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_a_server_that_is_away_is_told_in_kubectls_words(
    edge: Edge, started: Path, tmp_path: Path, proxied: Proxied
) -> None:
    config = json.loads(edge.sandbox.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    kubeconfig = tmp_path / "away.kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    away = resolve(kubeconfig=str(kubeconfig), namespace=NAMESPACE)
    assert plain(proxied(away).raws(PATHS)) == plain(edge.kubectl_of(away).raws(PATHS))


def test_a_frozen_server_is_told_within_the_limit_of_one_request(edge: Edge, started: Path, proxied: Proxied) -> None:
    edge.sandbox.pause("kube-apiserver")
    try:
        began = time.monotonic()
        got = proxied(request_timeout=3).raws(PATHS)
        assert time.monotonic() - began < 6
    finally:
        edge.sandbox.resume("kube-apiserver")
    assert {each.failure.anchor if each.failure else "" for each in got} == {"unreachable"}
    assert started.read_text().split() == ["proxy"]


def test_where_no_socket_fits_kubectl_is_asked_for_each(
    edge: Edge, started: Path, monkeypatch: pytest.MonkeyPatch, proxied: Proxied
) -> None:
    monkeypatch.setattr("ddhelm.apiproxy._LONGEST", 1)
    assert plain(proxied().raws(PATHS)) == plain(edge.kubectl.raws(PATHS))
    assert started.read_text().split() == ["get"] * len(PATHS)


def test_an_interrupt_ends_the_proxy_at_once(edge: Edge, started: Path, tmp_path: Path, proxied: Proxied) -> None:
    (tmp_path / "kubectl").write_text(
        # a second later, when it is waited for
        f"#!/bin/sh\necho $$ > {tmp_path}/pid; (sleep 1; kill -INT {os.getpid()}) & exec sleep 60\n"
    )
    with pytest.raises(Interrupted):
        proxied().raws(PATHS)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_killed_ddhelm_leaves_no_proxy(tmp_path: Path) -> None:
    code = (
        "import time; from ddhelm.run import Command, Runner\n"
        f"serve = Command(('/bin/sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 60'))\n"
        "server = Runner().serve(serve); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as owner:
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), 20, "the server")
        owner.send_signal(signal.SIGKILL)
    pid = (tmp_path / "pid").read_text().strip()
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text(), 10)


def test_a_forgotten_one_ends_with_its_kubectl(edge: Edge, started: Path, recwarn: pytest.WarningsRecorder) -> None:
    kubectl = Kubectl(edge.runner, str(started.parent / "kubectl"), edge.access, 10, proxied=True)
    kubectl.raws(PATHS)
    assert kubectl._proxy is not None
    assert kubectl._proxy._server is not None
    pid, folder = kubectl._proxy._server._child._group, Path(kubectl._proxy._place).parent
    assert folder.is_dir()
    del kubectl
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()
    assert [str(warning.message) for warning in recwarn] == []
