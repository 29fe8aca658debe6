"""The real kubectl against a real API server answers as the adapters expect it to."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from ddhelm.access import resolve
from ddhelm.errors import ClusterError, DdhelmError
from ddhelm.kubectl import ALL, Right
from ddhelm.run import Completed
from tests.adapters.real import FOO, NAMESPACE, ROLE, Edge, config_map, deployment, edge, names

__all__ = ["edge"]

SECRET = "0123456789abcdef0123456789abcdef"


def error_of(edge: Edge, kubeconfig: Path, path: str = "/api/v1/nodes") -> DdhelmError:
    kubectl = edge.kubectl_of(resolve(kubeconfig=str(kubeconfig), namespace=NAMESPACE))
    answer = kubectl.raws([path])[0]
    assert answer.failure is not None
    return answer.failure


def test_reading(edge: Edge) -> None:
    version, nothing, no_group, nodes = edge.kubectl.raws(
        ["/version", f"/api/v1/namespaces/{NAMESPACE}/secrets/x", "/apis/x.io/v1/foos", "/api/v1/nodes"]
    )
    assert version.tree()["gitVersion"].startswith("v1.")
    assert (nothing.found, nothing.failure, no_group.found, no_group.failure) == (False, None, False, None)
    assert len(nodes.tree()["items"]) == 8
    assert edge.kubectl.version().startswith("v1.")


def test_a_flag_with_colons_in_it_is_one_path(edge: Edge, tmp_path: Path) -> None:
    folder = tmp_path / "arn:aws:eks:x"
    folder.mkdir()
    (folder / "config").write_bytes(edge.sandbox.kubeconfig.read_bytes())
    access = resolve(kubeconfig=str(folder / "config"), namespace=NAMESPACE)
    assert edge.kubectl_of(access).raws(["/version"])[0].found


def test_who_may_not_is_told_what(edge: Edge) -> None:
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]
    limited = resolve(kubeconfig=str(edge.sandbox.user_kubeconfig("limited", rules)), namespace=NAMESPACE)
    kubectl = edge.kubectl_of(limited)
    with pytest.raises(ClusterError, match="`limited` may not list secrets") as caught:
        kubectl.release_rows(ALL)
    assert caught.value.anchor == "forbidden"
    answers = kubectl.can_i([Right("get", "configmaps"), Right("create", "daemonsets", "apps", NAMESPACE)])
    assert [answer.allowed for answer in answers] == [True, False]
    (refusal,) = kubectl.apply([config_map("a", k="1")]).refusals
    assert (refusal.object, refusal.error.anchor) == (("", "ConfigMap", NAMESPACE, "a"), "forbidden")


def test_an_administrator_holds_every_right(edge: Edge) -> None:
    rights = [Right("create", "secrets", namespace=NAMESPACE), Right("patch", "daemonsets", "apps", NAMESPACE)]
    assert all(answer.allowed for answer in edge.kubectl.can_i(rights))


def test_wrong_credentials_and_addresses(edge: Edge, tmp_path: Path) -> None:
    text = edge.sandbox.kubeconfig.read_text()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(text.replace(str(edge.sandbox.ports.apiserver), "9"))
    assert error_of(edge, elsewhere).anchor == "unreachable"
    other = tmp_path / "other"
    lines = [line for line in text.splitlines() if "certificate-authority" not in line]
    other.write_text("\n".join(lines))
    assert error_of(edge, other).anchor == "certificate"


def test_live_objects_come_in_the_order_asked(edge: Edge) -> None:
    elsewhere = config_map("a", "default", k="1")
    edge.kubectl.apply([config_map("a", k="1"), elsewhere, ROLE])
    found = edge.kubectl.get_many([ROLE, config_map("gone"), config_map("a"), FOO, elsewhere])
    assert [each["metadata"]["name"] if each else None for each in found] == ["edge-test", None, "a", None, "a"]
    assert [each["metadata"].get("namespace") for each in found if each] == [None, NAMESPACE, "default"]
    assert all(each["metadata"]["managedFields"] for each in found if each)


class TestForecast:
    def test_an_untouched_object_is_forecast_as_it_stands(self, edge: Edge) -> None:
        wanted = [config_map("a", k="1"), deployment("d"), ROLE]
        assert edge.kubectl.apply(wanted, manager="helm").ok
        standing, result = edge.kubectl.standing_and_forecast(wanted, manager="helm")
        assert (result.ok, names(result.objects)) == (True, ["a", "d", "edge-test"])
        for live, coming in zip(standing, result.objects, strict=True):
            assert live is not None
            assert live.get("spec") == coming.get("spec")
            assert live.get("data") == coming.get("data")

    def test_every_complaint_goes_to_its_object(self, edge: Edge) -> None:
        good, drifted, broken = config_map("a", k="1"), config_map("b", k="1", j="1"), config_map("c")
        assert edge.kubectl.apply([good, drifted], manager="helm").ok
        edge.patch("configmap", "b", {"data": {"k": "2", "j": "2"}})
        unknown_field = {**broken, "nosuch": 1}
        bad_name = config_map("Bad_Name")
        no_namespace = config_map("d", "missing")
        changed = config_map("b", k="3", j="3")
        result = edge.kubectl.forecast(
            [FOO, good, changed, unknown_field, no_namespace, bad_name, config_map("e")], manager="helm"
        )
        (conflict,) = result.conflicts
        assert conflict.object == ("", "ConfigMap", NAMESPACE, "b")
        assert (conflict.manager, conflict.fields) == ("ddhelm", (".data.j", ".data.k"))
        assert {refusal.object[1:]: refusal.error.anchor for refusal in result.refusals} == {
            ("Foo", NAMESPACE, "f"): "unknown-kind",
            ("ConfigMap", NAMESPACE, "c"): "unknown-field",
            ("ConfigMap", "missing", "d"): "namespace-missing",
            ("ConfigMap", NAMESPACE, "Bad_Name"): "object-refused",
        }
        assert {each["metadata"]["name"]: each.get("data") for each in result.objects} == {
            "a": {"k": "1"},
            "b": {"k": "3", "j": "3"},
            "e": None,
        }
        assert edge.kubectl.get_many([config_map("e")]) == (None,)

    def test_a_scaled_deployment_names_its_subresource(self, edge: Edge) -> None:
        assert edge.kubectl.apply([deployment("d")], manager="helm").ok
        edge.patch("deployment", "d", {"spec": {"replicas": 3}}, subresource="scale")
        (conflict,) = edge.kubectl.forecast([deployment("d")], manager="helm").conflicts
        assert (conflict.subresource, conflict.fields) == ("scale", (".spec.replicas",))

    def test_an_immutable_field(self, edge: Edge) -> None:
        assert edge.kubectl.apply([deployment("d")], manager="helm").ok
        other = deployment("d")
        other["spec"]["selector"]["matchLabels"] = other["spec"]["template"]["metadata"]["labels"] = {"app": "x"}
        (refusal,) = edge.kubectl.forecast([other], manager="helm").refusals
        assert refusal.error.anchor == "immutable-field"


def test_a_real_apply_goes_on_after_a_failure_and_applies_nothing_twice(edge: Edge) -> None:
    edge.kubectl.apply([config_map("a", k="1")], manager="other")
    result = edge.kubectl.apply([config_map("a", k="2"), config_map("b", k="2")])
    assert [conflict.object[3] for conflict in result.conflicts] == ["a"]
    first, second = edge.kubectl.get_many([config_map("a"), config_map("b")])
    assert first is not None
    assert second is not None
    assert (first["data"], second["data"]) == ({"k": "1"}, {"k": "2"})
    writes = [write["verb"] for write in edge.sandbox.writes() if write["objectRef"].get("name") == "b"]
    assert len(writes) == 1


def test_racing_writers(edge: Edge) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "l", "namespace": NAMESPACE},
        "spec": {"holderIdentity": "me"},
    }
    made = edge.kubectl.create(lease)
    assert made is not None
    assert edge.kubectl.create(lease) is None
    mine = edge.kubectl.replace({**made, "spec": {"holderIdentity": "me again"}})
    assert mine is not None
    assert edge.kubectl.replace({**made, "spec": {"holderIdentity": "too late"}}) is None
    assert edge.kubectl.delete("lease", "l")
    assert not edge.kubectl.delete("lease", "l")
    assert edge.kubectl.replace(mine) is None


def test_a_delete_can_wait_for_the_end(edge: Edge) -> None:
    edge.kubectl.apply([config_map("a")])
    assert edge.kubectl.delete("configmap", "a", wait=True)
    assert edge.kubectl.get_many([config_map("a")]) == (None,)
    assert not edge.kubectl.delete("configmap", "a", wait=True)


def test_marks(edge: Edge) -> None:
    edge.kubectl.label("namespace", NAMESPACE, {"a": "b"}, namespace="")
    edge.kubectl.label("namespace", NAMESPACE, {"a": "c", "d": None}, namespace="")
    edge.kubectl.apply([config_map("m")])
    edge.kubectl.annotate("configmap", "m", {"x": "y"})
    edge.kubectl.annotate("configmap", "m", {"x": None, "z": "1"})
    namespace = edge.kubectl.tree(f"/api/v1/namespaces/{NAMESPACE}")
    assert namespace is not None
    assert namespace["metadata"]["labels"]["a"] == "c"
    (found,) = edge.kubectl.get_many([config_map("m")])
    assert found is not None
    assert found["metadata"]["annotations"] == {"z": "1"}


class TestSecrets:
    def test_keys_are_written_one_by_one_and_the_others_stay(self, edge: Edge) -> None:
        kubectl = edge.kubectl
        assert kubectl.secret_keys("s") is None
        kubectl.write_secret("s", {"api-key": SECRET, "token": "t" * 32}, labels={"made-by": "ddhelm"})
        kubectl.write_secret("s", {"api-key": "new" * 10, "app-key": ""}, labels={"made-by": "ddhelm"})
        found = kubectl.secret_keys("s")
        assert found is not None
        assert (sorted(found.keys), sorted(found.empty)) == (["api-key", "app-key", "token"], ["app-key"])
        assert found.labels == {"made-by": "ddhelm"}
        assert kubectl.secret_equals("s", "api-key", "new" * 10) is True
        assert kubectl.secret_equals("s", "token", "t" * 32) is True
        assert kubectl.secret_equals("s", "token", SECRET) is False
        assert kubectl.secret_equals("s", "nope", SECRET) is None

    def test_of_the_values_of_a_secret_the_public_certificate_alone_is_printed(self, edge: Edge) -> None:
        shown = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
        data = {"etcd-client.crt": b64encode(shown).decode(), "etcd-client.key": b64encode(SECRET.encode()).decode()}
        marks = {"ddhelm.dev/certificate-ends": "2027-01-02T03:04:05Z"}
        marks["ddhelm.dev/certificate-sha256"] = sha256(b"\0\0\0").hexdigest()
        metadata = {"name": "s", "namespace": NAMESPACE, "annotations": marks}
        edge.kubectl.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
        found = edge.kubectl.secret_keys("s")
        assert found is not None
        assert (found.keys, found.labels) == (frozenset(data), {})
        assert (found.certificate, found.certificate_ends) == (shown, "2027-01-02T03:04:05Z")

    def test_a_key_that_somebody_else_wrote_is_theirs_unless_forced(self, edge: Edge) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": NAMESPACE}}
        edge.kubectl.apply([{**body, "data": {"api-key": "eA=="}}], manager="external-secrets")
        with pytest.raises(DdhelmError) as caught:
            edge.kubectl.write_secret("s", {"api-key": SECRET})
        assert caught.value.anchor == "field-conflict"
        assert edge.kubectl.secret_equals("s", "api-key", "x") is True
        edge.kubectl.write_secret("s", {"api-key": SECRET}, force=True)
        assert edge.kubectl.secret_equals("s", "api-key", SECRET) is True


def test_a_programs_exit_code_comes_back_from_the_container(edge: Edge) -> None:
    program = edge.sandbox.exec_bin / "agent"
    program.write_text('#!/bin/sh\necho "args: $*"; exit 3\n')
    program.chmod(0o755)
    pod = {"containers": [{"name": "agent", "image": "a"}], "nodeName": "worker-1"}
    edge.kubectl.apply(
        [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": NAMESPACE}, "spec": pod}]
    )
    ended: list[Completed] = []
    edge.kubectl.execs([("p", "agent", ["agent", "status", "--json"])], lambda _, done: ended.append(done), limit=1)
    (done,) = ended
    assert done.out == "args: status --json\n"
    assert not done.ok


def test_a_users_own_defaults_of_kubectl_do_not_count(edge: Edge) -> None:
    folder = edge.home / ".kube"
    folder.mkdir(exist_ok=True)
    (folder / "kuberc").write_text(
        "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n"
        "defaults: [{command: create, options: [{name: dry-run, default: server}]}]\n"
    )
    assert edge.kubectl.create(config_map("k")) is not None
    assert edge.kubectl.get_many([config_map("k")])[0] is not None


def test_a_list_of_kubeconfigs_reaches_the_cluster(edge: Edge, tmp_path: Path) -> None:
    empty = tmp_path / "empty.kubeconfig"
    empty.write_text("apiVersion: v1\nkind: Config\n")
    both = resolve(environ={"KUBECONFIG": f"{empty}:{edge.sandbox.kubeconfig}", "HOME": str(tmp_path)})
    assert edge.kubectl_of(both).raw("/version") is not None


def test_a_frozen_api_server_is_told_within_its_limit(edge: Edge) -> None:
    edge.sandbox.pause("kube-apiserver")
    try:
        answer = edge.kubectl_of(edge.access, request_timeout=2).raws(["/version"])[0]
    finally:
        edge.sandbox.resume("kube-apiserver")
    assert answer.failure is not None
    assert answer.failure.anchor == "unreachable"
