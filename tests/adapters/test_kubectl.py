"""kubectl is asked with exactly these command lines, and its answers are read rightly."""

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from ddhelm.access import Access
from ddhelm.answers import KEY_NAMES, SecretKeys
from ddhelm.errors import ClusterError, ReleaseError
from ddhelm.kubectl import ALL, Conflict, Kubectl, Right
from ddhelm.record import ReleaseRow
from ddhelm.run import Completed
from tests.adapters.fake import FakeRunner

ACCESS = Access("/k/config", "prod", "datadog", "https://prod:6443")
FLAGS = ("--kubeconfig", "/k/config", "--context", "prod", "--request-timeout=30s")
SECRET = "0123456789abcdef0123456789abcdef"
NOT_FOUND = 'Error from server (NotFound): secrets "x" not found\n'
FORBIDDEN = (
    'Error from server (Forbidden): nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" '
    "at the cluster scope\n"
)


@pytest.fixture
def runner() -> Iterator[FakeRunner]:
    runner = FakeRunner(FLAGS)
    yield runner
    assert runner.unused() == []


@pytest.fixture
def kubectl(runner: FakeRunner) -> Kubectl:
    return Kubectl(runner, "/bin/kubectl", ACCESS)


def config_map(name: str, namespace: str = "datadog", **data: str) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def cluster_role(name: str) -> dict[str, Any]:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}


def listed(*objects: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


class TestEveryProcess:
    def test_gets_cluster_and_limit_by_flag_and_no_defaults_of_the_user(
        self, runner: FakeRunner, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DD_API_KEY", SECRET)
        runner.on("get", "--raw", "/version", out="{}")
        kubectl.raw("/version")
        (command,) = runner.commands
        assert command.argv == ("/bin/kubectl", *FLAGS, "get", "--raw", "/version")
        assert command.env is not None
        assert (command.env["KUBERC"], command.env["KUBECTL_KUBERC"]) == ("off", "false")
        assert SECRET not in str(command.env)
        assert command.stdin is None

    def test_leaves_time_for_a_login_in_the_browser(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "--raw", "/version", out="{}")
        kubectl.raw("/version")
        assert runner.commands[0].timeout >= 150

    def test_gets_a_list_of_kubeconfigs_by_the_environment(self) -> None:
        runner = FakeRunner(("--context", "prod", "--request-timeout=30s"))
        runner.on("get", "--raw", "/version", out="{}")
        Kubectl(runner, "kubectl", Access("/a:/b", "prod", "datadog", "s", {"kubeconfig": "KUBECONFIG"})).raw(
            "/version"
        )
        assert runner.commands[0].env is not None
        assert runner.commands[0].env["KUBECONFIG"] == "/a:/b"


class TestRaw:
    def test_an_answer(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "--raw", "/version", out='{"major": "1"}')
        assert kubectl.tree("/version") == {"major": "1"}

    def test_nothing_there(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "--raw", "/x", err=NOT_FOUND, code=1)
        assert kubectl.tree("/x") is None

    def test_a_failure_is_raised(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "--raw", "/api/v1/nodes", err=FORBIDDEN, code=1)
        with pytest.raises(ClusterError, match="`bob` may not list nodes at the cluster scope"):
            kubectl.raw("/api/v1/nodes")

    def test_of_several_one_failure_does_not_hide_the_others(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "--raw", "/a", out='{"a": 1}')
        runner.on("get", "--raw", "/b", err=FORBIDDEN, code=1)
        runner.on("get", "--raw", "/c", err=NOT_FOUND, code=1)
        a, b, c = kubectl.raws(["/a", "/b", "/c"])
        assert (a.tree(), a.found, a.failure) == ({"a": 1}, True, None)
        assert (b.tree(), b.found) == ({}, False)
        assert isinstance(b.failure, ClusterError)
        assert (c.path, c.found, c.failure) == ("/c", False, None)

    def test_not_found_in_another_tools_words_is_no_404(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "--raw", "/x", err="error: exec: executable aws not found\n", code=1)
        with pytest.raises(Exception, match="not found"):
            kubectl.raw("/x")


class TestReleases:
    COLUMNS = ("-l", "owner=helm", "-L", "name,status,version,modifiedAt", "--no-headers")
    LINE = "sh.helm.release.v1.agent.v1   helm.sh/release.v1   1   5s   agent   deployed   1   1795489700\n"

    def test_of_the_namespace(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "secret", "-n", "datadog", *self.COLUMNS, out=self.LINE)
        assert kubectl.release_rows() == (ReleaseRow("datadog", "agent", 1, "deployed", 1795489700),)

    def test_of_the_cluster(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "secret", "-A", *self.COLUMNS, out="monitoring   " + self.LINE)
        assert [row.namespace for row in kubectl.release_rows(ALL)] == ["monitoring"]

    def test_none_in_a_namespace_that_may_be_missing(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "secret", "-n", "datadog", *self.COLUMNS, err="No resources found in datadog namespace.\n")
        assert kubectl.release_rows() == ()

    def test_records_come_in_the_order_asked_and_a_gone_one_is_none(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        release = {"name": "agent", "version": 2, "info": {"status": "deployed"}}
        data = b64encode(b64encode(json.dumps(release).encode())).decode()
        base = "/api/v1/namespaces/datadog/secrets/sh.helm.release.v1.agent."
        runner.on("get", "--raw", base + "v1", err=NOT_FOUND, code=1)
        runner.on("get", "--raw", base + "v2", out=json.dumps({"data": {"release": data}}))
        gone, found = kubectl.records([("agent", 1), ("agent", 2)])
        assert gone is None
        assert found is not None
        assert found.revision == 2

    def test_a_head_has_the_status_of_its_record_where_the_label_says_another(
        self, runner: FakeRunner, kubectl: Kubectl
    ) -> None:
        """As Helm 3.22 left an interrupted first install: the label of a success, the record of a failure."""
        lines = "".join(
            f"sh.helm.release.v1.{name}.v{n}   helm.sh/release.v1   1   5s   {name}   {label}   {n}   1795489700\n"
            for name, n, label in (("agent", 1, "failed"), ("agent", 2, "deployed"), ("other", 7, "deployed"))
        )
        failed = {"name": "agent", "version": 2, "info": {"status": "failed"}}
        data = b64encode(b64encode(json.dumps(failed).encode())).decode()
        base = "/api/v1/namespaces/datadog/secrets/sh.helm.release.v1.agent."
        runner.on("get", "secret", "-n", "datadog", *self.COLUMNS, out=lines)
        runner.on("get", "--raw", base + "v2", out=json.dumps({"data": {"release": data}}))
        assert kubectl.heads(["agent", "nobody"]) == {"agent": ReleaseRow("datadog", "agent", 2, "failed", 1795489700)}

    def test_a_forbidden_record_is_raised(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "--raw", "/api/v1/namespaces/x/secrets/sh.helm.release.v1.a.v1", err=FORBIDDEN, code=1)
        with pytest.raises(ClusterError):
            kubectl.record("a", 1, "x")


class TestGetMany:
    FLAGS = ("-f", "-", "-o", "json", "--ignore-not-found", "--show-managed-fields")

    def test_only_names_are_sent_and_missing_ones_are_none(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        wanted = [config_map("a", k="1"), config_map("gone"), cluster_role("r")]
        bare = [{key: each[key] for key in ("apiVersion", "kind", "metadata")} for each in wanted]
        live = [{**config_map("a"), "data": {"k": "2"}}, cluster_role("r")]
        runner.on("get", "-n", "datadog", *self.FLAGS, stdin=listed(*bare), out=json.dumps(listed(*live)))
        assert kubectl.get_many(wanted) == (live[0], None, live[1])

    def test_a_single_answer_is_not_a_list(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        only = config_map("a")
        del only["data"]
        runner.on("get", "-n", "datadog", *self.FLAGS, stdin=listed(only), out=json.dumps(only))
        assert kubectl.get_many([only]) == (only,)

    def test_an_object_without_namespace_is_found_in_ours(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        only, live = config_map("a", ""), config_map("a")
        del only["data"]
        runner.on("get", "-n", "datadog", *self.FLAGS, stdin=listed(only), out=json.dumps(live))
        assert kubectl.get_many([only]) == (live,)

    def test_each_namespace_is_asked_by_itself(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        ours, theirs = config_map("a"), config_map("a", "kube-system")
        for each, space in ((ours, "datadog"), (theirs, "kube-system")):
            del each["data"]
            runner.on("get", "-n", space, *self.FLAGS, stdin=listed(each), out=json.dumps(each))
        assert kubectl.get_many([theirs, ours]) == (theirs, ours)

    def test_a_kind_that_the_cluster_does_not_know_is_not_there(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        known, foo = config_map("a"), {"apiVersion": "x.io/v1", "kind": "Foo", "metadata": {"name": "f"}}
        del known["data"]
        err = 'error: unable to recognize "STDIN": no matches for kind "Foo" in version "x.io/v1"\n'
        runner.on("get", "-n", "datadog", *self.FLAGS, stdin=listed(foo, known), err=err, code=1)
        runner.on("get", "-n", "datadog", *self.FLAGS, stdin=listed(known), out=json.dumps(known))
        assert kubectl.get_many([foo, known]) == (None, known)

    def test_forbidden_is_raised(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        only = config_map("a")
        del only["data"]
        runner.on("get", "-n", "datadog", *self.FLAGS, stdin=listed(only), err=FORBIDDEN, code=1)
        with pytest.raises(ClusterError):
            kubectl.get_many([only])

    def test_nothing_asked(self, kubectl: Kubectl) -> None:
        assert kubectl.get_many([]) == ()


CONFLICT = 'Apply failed with 1 conflict: conflict with "kubectl-set" using v1: .data.k\nPlease review the fields\n'


class TestApply:
    A, B = config_map("a", k="1"), config_map("b", k="1")
    FOO = {**config_map("f"), "apiVersion": "x.io/v1", "kind": "Foo"}  # noqa: RUF012

    @staticmethod
    def line(*flags: str, manager: str = "ddhelm", namespace: str = "datadog") -> tuple[str, ...]:
        fixed = ("--server-side", "--validate=false", "--field-manager", manager, "-f", "-")
        return ("apply", "-n", namespace, *fixed, *flags)

    def test_all_well(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        out = json.dumps(listed(self.A, self.B))
        runner.on(*self.line("-o", "json"), stdin=listed(self.A, self.B), out=out)
        result = kubectl.apply([self.A, self.B])
        assert (result.objects, result.ok) == ((self.A, self.B), True)
        result.raise_first()

    def test_by_force_and_as_a_dry_run(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        flags = ("-o", "json", "--force-conflicts", "--dry-run=server")
        runner.on(*self.line(*flags, manager="m"), stdin=listed(self.A), out=json.dumps(self.A))
        assert kubectl.apply([self.A], manager="m", force=True, dry_run=True).ok

    def test_failures_are_attributed_by_dry_runs_and_never_by_applying_again(
        self, runner: FakeRunner, kubectl: Kubectl
    ) -> None:
        runner.on(*self.line("-o", "json"), stdin=listed(self.A, self.B), err="error: " + CONFLICT, code=1)
        plain = self.line("--dry-run=server")
        done = "configmap/b serverside-applied (server dry run)\n"
        runner.on(*plain, stdin=listed(self.A, self.B), out=done, err="error: " + CONFLICT, code=1)
        result = kubectl.apply([self.A, self.B])
        wanted = Conflict(("", "ConfigMap", "datadog", "a"), "kubectl-set", (".data.k",), "", "v1")
        assert (result.conflicts, result.refusals, result.objects) == ((wanted,), (), ())
        with pytest.raises(ReleaseError) as caught:
            result.raise_first()
        assert caught.value.details == ("ConfigMap datadog/a: .data.k belongs to `kubectl-set`",)

    def test_a_namespace_of_its_own_is_a_process_of_its_own(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        other = config_map("a", "kube-system")
        runner.on(*self.line("-o", "json"), stdin=listed(self.A), out=json.dumps(self.A))
        runner.on(*self.line("-o", "json", namespace="kube-system"), stdin=listed(other), out=json.dumps(other))
        assert kubectl.apply([self.A, other]).objects == (self.A, other)

    def test_a_cluster_that_does_not_answer_is_not_asked_about_each_object(
        self, runner: FakeRunner, kubectl: Kubectl
    ) -> None:
        err = "Unable to connect to the server: net/http: TLS handshake timeout\n"
        runner.on(*self.line("-o", "json"), stdin=listed(self.A, self.B), err=err, code=1)
        with pytest.raises(ClusterError, match="cannot be reached: net/http: TLS handshake timeout"):
            kubectl.apply([self.A, self.B])
        assert len(runner.commands) == 1

    def test_nothing_to_apply(self, kubectl: Kubectl) -> None:
        assert kubectl.apply([]).ok


class TestForecast:
    A, B, FOO = TestApply.A, TestApply.B, TestApply.FOO
    MIXED = (
        'unable to recognize "STDIN": no matches for kind "Foo" in version "x.io/v1"\n'
        + CONFLICT
        + "Error from server: failed to create typed patch object (datadog/b; /v1, Kind=ConfigMap): "
        + ".nosuch: field not declared in schema\n"
    )

    def line(self, *flags: str) -> tuple[str, ...]:
        return TestApply.line(*flags, manager="helm")

    def test_without_conflicts_it_is_one_process(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        out = json.dumps(listed(self.A, self.B))
        runner.on(*self.line("-o", "json", "--dry-run=server"), stdin=listed(self.A, self.B), out=out)
        assert kubectl.forecast([self.A, self.B], manager="helm").objects == (self.A, self.B)
        assert len(runner.commands) == 1

    def test_with_conflicts_the_objects_are_as_a_forced_apply_leaves_them(
        self, runner: FakeRunner, kubectl: Kubectl
    ) -> None:
        asked = listed(self.A, self.B)
        runner.on(*self.line("-o", "json", "--dry-run=server"), stdin=asked, err="error: " + CONFLICT, code=1)
        forced = self.line("-o", "json", "--force-conflicts", "--dry-run=server")
        runner.on(*forced, stdin=asked, out=json.dumps(asked))
        done = "configmap/b serverside-applied (server dry run)\n"
        runner.on(*self.line("--dry-run=server"), stdin=asked, out=done, err="error: " + CONFLICT, code=1)
        result = kubectl.forecast([self.A, self.B], manager="helm")
        assert result.objects == (self.A, self.B)
        assert [each.object[3] for each in result.conflicts] == ["a"]

    def test_an_unknown_kind_is_complained_of_first_but_belongs_to_its_object(
        self, runner: FakeRunner, kubectl: Kubectl
    ) -> None:
        asked = listed(self.A, self.FOO, self.B)
        for flags in (("-o", "json", "--dry-run=server"), ("-o", "json", "--force-conflicts", "--dry-run=server")):
            runner.on(*self.line(*flags), stdin=asked, err=self.MIXED, code=1)
        runner.on(*self.line("--dry-run=server"), stdin=asked, err=self.MIXED, code=1)
        rest = self.line("-o", "json", "--force-conflicts", "--dry-run=server")
        runner.on(*rest, stdin=listed(self.A), out=json.dumps(self.A))
        result = kubectl.forecast([self.A, self.FOO, self.B], manager="helm")
        assert result.objects == (self.A,)
        assert [(each.object[1:], each.error.anchor) for each in result.refusals] == [
            (("Foo", "datadog", "f"), "unknown-kind"),
            (("ConfigMap", "datadog", "b"), "unknown-field"),
        ]
        assert [each.object[3] for each in result.conflicts] == ["a"]

    def test_where_complaints_and_objects_do_not_add_up_each_is_asked_alone(
        self, runner: FakeRunner, kubectl: Kubectl
    ) -> None:
        asked, odd = listed(self.A, self.B), "Something odd happened\n"
        runner.on(*self.line("-o", "json", "--dry-run=server"), stdin=asked, err=odd, code=1)
        runner.on(*self.line("-o", "json", "--force-conflicts", "--dry-run=server"), stdin=asked, out=json.dumps(asked))
        runner.on(*self.line("--dry-run=server"), stdin=asked, err=odd, code=1)
        runner.on(*self.line("--dry-run=server"), stdin=listed(self.A), out="configmap/a serverside-applied\n")
        runner.on(*self.line("--dry-run=server"), stdin=listed(self.B), err="error: " + CONFLICT, code=1)
        result = kubectl.forecast([self.A, self.B], manager="helm")
        assert [each.object[3] for each in result.conflicts] == ["b"]
        assert result.refusals == ()

    def test_standing_and_forecast_come_from_one_round(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        bare = config_map("a")
        del bare["data"]
        runner.on("get", "-n", "datadog", *TestGetMany.FLAGS, stdin=listed(bare), out=json.dumps(self.A))
        runner.on(*self.line("-o", "json", "--dry-run=server"), stdin=listed(self.A), out=json.dumps(self.B))
        standing, result = kubectl.standing_and_forecast([self.A], manager="helm")
        assert (standing, result.objects) == ((self.A,), (self.B,))


class TestWriting:
    LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}}  # noqa: RUF012
    FLAGS = ("-f", "-", "-o", "json", "--validate=false", "--field-manager", "ddhelm")

    def test_create_and_replace_answer_with_the_object(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        for verb in ("create", "replace"):
            runner.on(verb, *self.FLAGS, stdin=self.LEASE, out=json.dumps(self.LEASE))
        assert kubectl.create(self.LEASE) == self.LEASE
        assert kubectl.replace(self.LEASE) == self.LEASE

    def test_somebody_was_faster(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        exists = 'Error from server (AlreadyExists): error when creating "STDIN": leases "l" already exists\n'
        moved = 'Error from server (Conflict): error when replacing "STDIN": the object has been modified\n'
        runner.on("create", *self.FLAGS, stdin=self.LEASE, err=exists, code=1)
        runner.on("replace", *self.FLAGS, stdin=self.LEASE, err=moved, code=1)
        assert kubectl.create(self.LEASE) is None
        assert kubectl.replace(self.LEASE) is None

    def test_a_missing_namespace_is_an_error_and_not_somebody_else(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        err = 'Error from server (NotFound): error when creating "STDIN": namespaces "datadog" not found\n'
        runner.on("create", *self.FLAGS, stdin=self.LEASE, err=err, code=1)
        with pytest.raises(ClusterError, match="the namespace `datadog` does not exist"):
            kubectl.create(self.LEASE)

    def test_delete_says_whether_there_was_something(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        flags = ("--ignore-not-found", "-o", "name", "--wait=false")
        runner.on("delete", "lease", "l", "-n", "datadog", *flags, out="lease.coordination.k8s.io/l\n")
        runner.on("delete", "namespace", "x", *flags)
        assert kubectl.delete("lease", "l")
        assert not kubectl.delete("namespace", "x", namespace="")

    def test_a_delete_that_waits_has_one_limit_for_the_whole(self) -> None:
        runner = FakeRunner(FLAGS[:4])
        runner.on("delete", "namespace", "x", "--ignore-not-found", "-o", "name", "--wait=true", "--timeout=120s")
        assert not Kubectl(runner, "kubectl", ACCESS).delete("namespace", "x", namespace="", wait=True)
        assert runner.commands[0].timeout == 180

    def test_a_restart_marks_every_workload_and_raises_what_one_of_them_said(
        self, runner: FakeRunner, kubectl: Kubectl
    ) -> None:
        flags = ("--type=strategic", "--patch-file=/dev/stdin", "--field-manager", "ddhelm-restart", "-o", "name")
        mark = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-27T02:00:00Z"}}}
        patch = {"spec": {"template": mark}}
        runner.on("patch", "daemonset", "a", "-n", "datadog", *flags, stdin=patch, err=FORBIDDEN, code=1)
        runner.on("patch", "deployment", "b", "-n", "datadog", *flags, stdin=patch)
        with pytest.raises(ClusterError, match="`bob` may not"):
            kubectl.restart([("DaemonSet", "a"), ("Deployment", "b")], "2026-11-27T02:00:00Z")

    def test_marks_are_set_and_removed(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        flags = ("--overwrite", "--field-manager", "ddhelm")
        runner.on("label", "namespace", "datadog", "a=b", "c-", *flags)
        runner.on("annotate", "secret", "s", "x=y", "-n", "datadog", *flags)
        kubectl.label("namespace", "datadog", {"a": "b", "c": None}, namespace="")
        kubectl.annotate("secret", "s", {"x": "y"})

    def test_a_program_has_a_limit_of_its_own_and_raises_nothing(self) -> None:
        runner = FakeRunner(FLAGS[:4])
        line = ("exec", "-n", "datadog", "p", "-c", "agent", "--", "agent", "status", "--json")
        runner.on(*line, out="{}", err="boom", code=3)
        kubectl = Kubectl(runner, "kubectl", ACCESS)
        ended: list[Completed] = []
        wanted = [("p", "agent", ["agent", "status", "--json"])]
        kubectl.execs(wanted, lambda _index, done: ended.append(done), limit=1, timeout=7)
        (done,) = ended
        assert (done.code, done.out, runner.commands[0].timeout) == (3, "{}", 7)


class TestQuestions:
    def test_rights_are_asked_in_one_process(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        def review(**attributes: str) -> dict[str, Any]:
            kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
            return {**kind, "spec": {"resourceAttributes": attributes}}

        asked = listed(
            review(verb="create", resource="secrets", namespace="datadog"),
            review(verb="list", resource="daemonsets", group="apps"),
        )
        out = '{"status": {"allowed": true}}\n{"status": {"allowed": false, "reason": "no"}}\n'
        runner.on("create", "-f", "-", "--validate=false", "-o", "json", stdin=asked, out=out)
        rights = [Right("create", "secrets", namespace="datadog"), Right("list", "daemonsets", "apps")]
        yes, no = kubectl.can_i(rights)
        assert (yes.right, yes.allowed) == (rights[0], True)
        assert (no.right, no.allowed, no.reason) == (rights[1], False, "no")
        assert kubectl.can_i([]) == ()

    def test_version(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("version", "--client", "-o", "json", out='{"clientVersion": {"gitVersion": "v1.36.3"}}')
        assert kubectl.version() == "v1.36.3"


class TestSecrets:
    def test_of_a_secret_only_key_names_are_asked_for(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        allowed = (
            "{{len $value}}",
            '{{if eq $key "etcd-client.crt"}}\n!{{$value}}',
            "={{$value}}{{end}}",
            '{{if eq $key "ddhelm.dev/certificate-ends"}}\n@{{$value}}',
            '{{if eq $key "ddhelm.dev/certificate-sha256"}}\n#{{$value}}',
        )
        assert all(KEY_NAMES.count(each) == 1 for each in allowed)
        assert KEY_NAMES.count("$value}}") == len(allowed)
        shown = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
        stored = b64encode(b"-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n" + shown).decode()
        out = f"uid-1 77\napi-key 44\nempty 0\netcd-client.crt {len(stored)}\n!{stored}\n"
        out += "app.kubernetes.io/managed-by=ddhelm\n@2027-01-02T03:04:05Z\n#" + sha256(b"\0\0\0").hexdigest()
        runner.on("get", "secret", "s", "-n", "datadog", "--ignore-not-found", "-o", KEY_NAMES, out=out)
        found = kubectl.secret_keys("s")
        assert found is not None
        assert (sorted(found.keys), sorted(found.empty)) == (["api-key", "empty", "etcd-client.crt"], ["empty"])
        assert (found.uid, found.resource_version) == ("uid-1", "77")
        assert found.labels == {"app.kubernetes.io/managed-by": "ddhelm"}
        assert (found.certificate, found.certificate_ends) == (shown, "2027-01-02T03:04:05Z")

    def test_a_date_that_was_noted_of_another_certificate_is_not_taken(self) -> None:
        shown = b64encode(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----").decode()
        for noted in ("", "\n#", "\n#" + sha256(b"another").hexdigest()):
            found = SecretKeys.read("s", f"uid 7\netcd-client.crt 4\n!{shown}\n@2027-01-02T03:04:05Z{noted}")
            assert found is not None
            assert (bool(found.certificate), found.certificate_ends) == (True, "")

    def test_no_such_secret(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        runner.on("get", "secret", "s", "-n", "datadog", "--ignore-not-found", "-o", KEY_NAMES)
        assert kubectl.secret_keys("s") is None

    def test_a_value_is_compared_and_not_handed_out(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        data = {"data": {"api-key": b64encode(SECRET.encode()).decode()}}
        runner.on("get", "--raw", "/api/v1/namespaces/datadog/secrets/s", out=json.dumps(data))
        assert kubectl.secret_equals("s", "api-key", SECRET) is True
        assert kubectl.secret_equals("s", "api-key", SECRET + "x") is False
        assert kubectl.secret_equals("s", "app-key", SECRET) is None

    def test_each_key_has_a_manager_of_its_own_so_that_the_others_stay(
        self, runner: FakeRunner, kubectl: Kubectl
    ) -> None:
        def body(key: str, value: str) -> dict[str, Any]:
            metadata = {"name": "s", "namespace": "datadog", "labels": {"a": "b"}}
            data = {key: b64encode(value.encode()).decode()}
            return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

        for key, value in (("api-key", SECRET), ("token", "t" * 32)):
            line = TestApply.line("-o", "json", manager=f"ddhelm-{key}")
            runner.on(*line, stdin=listed(body(key, value)), out=json.dumps(body(key, value)))
        kubectl.write_secret("s", {"api-key": SECRET, "token": "t" * 32}, labels={"a": "b"})
        assert all(SECRET not in " ".join(command.argv) for command in runner.commands)

    def test_what_kubectl_says_of_the_document_is_scrubbed(self, runner: FakeRunner, kubectl: Kubectl) -> None:
        encoded = b64encode(SECRET.encode()).decode()
        data = {"api-key": encoded}
        metadata = {"name": "s", "namespace": "datadog", "labels": {}}
        body = listed({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
        err = f'Error from server (BadRequest): cannot decode "{encoded}" of {SECRET}\n'
        for flags in (("-o", "json"), ("--dry-run=server",)):
            line = TestApply.line(*flags, manager="ddhelm-api-key")
            runner.on(*line, stdin=body, err=err, code=1)
        with pytest.raises(Exception, match="cannot decode") as caught:
            kubectl.write_secret("s", {"api-key": SECRET})
        shown = f"{caught.value} {vars(caught.value)}"
        assert SECRET not in shown
        assert encoded not in shown
