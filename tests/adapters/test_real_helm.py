"""The real helm, of every supported line, does what the adapter promises: states, owners, conflicts, interrupts."""

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ddhelm.access import resolve
from ddhelm.errors import ConfigError, DdhelmError, Interrupted
from ddhelm.helm import Helm, Offline, Render
from ddhelm.run import Command
from ddhelm.tree import Tree
from tests.adapters.real import NAMESPACE, Edge, config_map, deployment, edge, endless_hook, rendered, values, with_helm
from tests.sandbox.build import HELM_VERSIONS
from tests.sandbox.waiting import wait_for

__all__ = ["edge"]

JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


def fails(call: Callable[[], object]) -> DdhelmError:
    with pytest.raises(DdhelmError) as caught:
        call()
    return caught.value


def states(edge: Edge) -> list[tuple[int, str]]:
    return [(row.revision, row.status) for row in edge.kubectl.release_rows() if row.name == "r"]


def hook_is_running(edge: Edge) -> bool:
    return bool((edge.kubectl.tree(JOBS) or {}).get("items"))


@with_helm("3.13", "3.22", "4.3")
def test_a_releases_whole_life(edge: Edge, helm_version: str) -> None:
    helm = edge.helm(helm_version)
    assert helm.version[:2] == tuple(int(part) for part in helm_version.split("."))
    first, second = values(config_map("a", k="1")), values(config_map("a", k="2"), config_map("b"))
    forecast = rendered(helm, Render("r", edge.toy), first)
    helm.upgrade("r", edge.toy, first, description="first")
    record = edge.kubectl.record("r", 1)
    assert record is not None
    assert record.manifest.strip() == forecast.strip()
    assert (record.config, record.description, record.status) == (first, "first", "deployed")
    assert (record.chart_name, record.chart_version, record.app_version) == ("toy", "0.1.0", "1")
    assert record.apply_method == ("ssa" if helm.major == 4 else "csa")
    assert 0 < record.size < 100_000

    forecast = rendered(helm, Render("r", edge.toy, is_upgrade=True), second)
    helm.upgrade("r", edge.toy, second)
    record = edge.kubectl.record("r", 2)
    assert record is not None
    assert record.manifest.strip() == forecast.strip()
    assert states(edge) == [(1, "superseded"), (2, "deployed")]

    helm.rollback("r", 1, server_side=helm.major == 4)
    record = edge.kubectl.record("r", 3)
    assert record is not None
    assert (record.config, record.rollback_revision) == (first, 1 if helm.version >= (4, 3, 0) else None)
    assert edge.kubectl.record("r", 4) is None

    helm.uninstall("r")
    helm.uninstall("r")
    assert states(edge) == []
    assert edge.kubectl.get_many([config_map("a"), config_map("b")]) == (None, None)


@with_helm("3.22")
def test_empty_values_do_not_bring_the_last_ones_back(edge: Edge, helm_version: str) -> None:
    helm = edge.helm(helm_version)
    helm.upgrade("r", edge.toy, values(config_map("a")))
    helm.upgrade("r", edge.toy, {})
    record = edge.kubectl.record("r", 2)
    assert record is not None
    assert record.config == {}


@with_helm("3.22", "4.3")
def test_an_object_of_another_release_is_named_with_its_owner(edge: Edge, helm_version: str) -> None:
    helm = edge.helm(helm_version)
    helm.upgrade("other", edge.toy, values(config_map("a")))
    edge.kubectl.apply([config_map("b")])
    for call in (
        lambda: helm.upgrade("r", edge.toy, values(config_map("a"))),
        lambda: rendered(helm, Render("r", edge.toy), values(config_map("a"))),
    ):
        error = fails(call)
        assert (error.anchor, error.message) == ("owned-elsewhere", "ConfigMap `a` belongs to release `other`")
    assert fails(lambda: helm.upgrade("r", edge.toy, values(config_map("b")))).message == (
        "ConfigMap `b` exists and was not made by Helm"
    )
    assert states(edge) == []
    assert rendered(helm, Render("r", edge.toy, is_upgrade=True), values(config_map("a")))


@with_helm("4.3")
def test_a_killed_helm_leaves_a_pending_release_that_a_rollback_by_number_frees(edge: Edge, helm_version: str) -> None:
    helm = edge.helm(helm_version)
    helm.upgrade("r", edge.toy, values(config_map("a", k="1")))
    killed = _killed_in_a_hook(edge, helm, values(config_map("a", k="1"), endless_hook()))
    assert killed == -signal.SIGKILL
    assert states(edge) == [(1, "deployed"), (2, "pending-upgrade")]
    assert fails(lambda: helm.upgrade("r", edge.toy, values(config_map("a")))).anchor == "release-busy"
    helm.rollback("r", 1, server_side=helm.major == 4)
    helm.upgrade("r", edge.toy, values(config_map("a", k="2")))
    assert states(edge)[-1] == (4, "deployed")


def test_helm_3_13_cannot_roll_back_to_an_object_that_the_newest_revision_left_out(edge: Edge) -> None:
    helm = edge.helm("3.13")
    helm.upgrade("r", edge.toy, values(config_map("a", k="1")))
    _killed_in_a_hook(edge, helm, values(endless_hook()))
    error = fails(lambda: helm.rollback("r", 1, server_side=helm.major == 4))
    assert (error.anchor, error.message) == (
        "rollback-impossible",
        "this Helm cannot roll back to ConfigMap `a`: it is in the cluster, but not in the newest revision",
    )
    edge.kubectl.delete("configmap", "a")
    helm.rollback("r", 1, server_side=helm.major == 4)


@with_helm("3.22", "4.3", also=())
def test_newer_helm_can(edge: Edge, helm_version: str) -> None:
    helm = edge.helm(helm_version)
    helm.upgrade("r", edge.toy, values(config_map("a", k="1")))
    _killed_in_a_hook(edge, helm, values(endless_hook()))
    helm.rollback("r", 1, server_side=helm.major == 4)
    assert states(edge)[-1] == (3, "deployed")


def _killed_in_a_hook(edge: Edge, helm: Helm, of: dict[str, Any]) -> int:
    pids: list[int] = []
    line = (helm.path, "upgrade", "r", str(edge.toy), "--values", "-", *edge.access.helm_flags())

    def kill() -> None:
        wait_for(lambda: pids and hook_is_running(edge), what="the hook's Job")
        os.kill(pids[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    done = edge.runner.run(
        Command(
            ("/bin/sh", "-c", 'echo $$ >&2; exec "$0" "$@"', *line),
            stdin=json.dumps(of),
            on_stderr=lambda text: pids.append(int(text)) if text.isdigit() else None,
        )
    )
    thread.join()
    return done.code


@with_helm("3.22", "4.3")
def test_an_interrupted_upgrade_leaves_a_failed_release_and_not_a_pending_one(edge: Edge, helm_version: str) -> None:
    helm = edge.helm(helm_version)
    helm.upgrade("r", edge.toy, values(config_map("a")))
    _interrupt_when(lambda: hook_is_running(edge))
    with pytest.raises(Interrupted) as caught:
        helm.upgrade("r", edge.toy, values(endless_hook()))
    assert caught.value.details[0].endswith("ended with 1")
    assert states(edge) == [(1, "deployed"), (2, "failed")]


def _interrupt_when(ready: Callable[[], bool]) -> None:
    def interrupt() -> None:
        wait_for(ready, what="the moment to interrupt")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()


@with_helm("3.22", also=("4.3",))
def test_a_hook_that_never_ends_is_told_as_running_out_of_time(edge: Edge, helm_version: str) -> None:
    helm = edge.helm(helm_version)
    helm.upgrade("r", edge.toy, values(config_map("a")))
    error = fails(lambda: helm.upgrade("r", edge.toy, values(endless_hook()), timeout=1))
    assert (error.anchor, error.exit_code) == ("timed-out", 4)
    assert states(edge)[-1] == (2, "failed")


class TestConflicts:
    def test_helm_4_says_what_kubectl_forecast(self, edge: Edge) -> None:
        helm = edge.helm("4.3")
        helm.upgrade("r", edge.toy, values(config_map("a", k="1"), deployment("d")))
        edge.patch("configmap", "a", {"data": {"k": "9"}})
        edge.patch("deployment", "d", {"spec": {"replicas": 3}}, subresource="scale")
        wanted = [config_map("a", k="2"), deployment("d")]
        forecast = edge.kubectl.forecast(wanted, manager="helm")
        error = fails(lambda: helm.upgrade("r", edge.toy, values(*wanted)))
        assert error.anchor == "field-conflict"
        assert sorted(error.details) == sorted(conflict.words() for conflict in forecast.conflicts)
        assert sorted(error.details) == [
            "ConfigMap edge/a: .data.k belongs to `ddhelm`",
            "Deployment edge/d: .spec.replicas belongs to `ddhelm` (subresource scale)",
        ]
        helm.upgrade("r", edge.toy, values(*wanted), force_conflicts=True)
        assert edge.kubectl.forecast(wanted, manager="helm").ok
        helm.upgrade("r", edge.toy, values(*wanted))

    def test_a_rollback_takes_drift_back(self, edge: Edge) -> None:
        helm = edge.helm("4.3")
        helm.upgrade("r", edge.toy, values(config_map("a", k="1")))
        helm.upgrade("r", edge.toy, values(config_map("a", k="2")))
        edge.patch("configmap", "a", {"data": {"k": "9"}})
        helm.rollback("r", 1, server_side=True)
        (found,) = edge.kubectl.get_many([config_map("a")])
        assert found is not None
        assert found["data"] == {"k": "1"}

    @with_helm("3.22", also=("3.13",))
    def test_helm_3_overwrites_and_is_not_told_of_force(self, edge: Edge, helm_version: str) -> None:
        helm = edge.helm(helm_version)
        helm.upgrade("r", edge.toy, values(config_map("a", k="1")))
        edge.patch("configmap", "a", {"data": {"k": "9"}})
        helm.upgrade("r", edge.toy, values(config_map("a", k="2")), force_conflicts=True)
        helm.rollback("r", 1, server_side=False)
        assert states(edge)[-1] == (3, "deployed")

    def test_a_release_of_helm_3_can_be_forced_by_helm_4(self, edge: Edge) -> None:
        edge.helm("3.22").upgrade("r", edge.toy, values(config_map("a", k="1")))
        edge.patch("configmap", "a", {"data": {"k": "9"}})
        edge.helm("4.3").upgrade("r", edge.toy, values(config_map("a", k="2")), force_conflicts=True)
        record = edge.kubectl.record("r", 2)
        assert record is not None
        assert record.apply_method == "ssa"

    def test_a_rollback_is_applied_as_told_whatever_made_the_revision(self, edge: Edge) -> None:
        """By itself helm 4.3 takes the method of the revision that it goes to, and stops at the field of another.

        Helm 3 takes the mark from the revision that it supersedes, and from none before.
        """
        for helm, k in (("4.3", "1"), ("4.3", "2"), ("3.22", "3")):
            edge.helm(helm).upgrade("r", edge.toy, values(config_map("a", k=k)))
        edge.patch("configmap", "a", {"data": {"k": "9"}})
        edge.helm("4.3").rollback("r", 1, server_side=False)
        record = edge.kubectl.record("r", 4)
        assert record is not None
        assert (record.status, record.apply_method) == ("deployed", "csa")


@with_helm("3.13", "3.22", "4.3")
def test_pods_that_the_namespace_would_reject_are_warned_of_at_once(edge: Edge, helm_version: str) -> None:
    edge.kubectl.label("namespace", NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"}, namespace="")
    heard: list[str] = []
    chart = values(deployment("d", hostNetwork=True))
    edge.helm(helm_version).upgrade("r", edge.toy, chart, on_warning=heard.append)
    assert heard
    assert heard[0].startswith('would violate PodSecurity "restricted:latest": host namespaces (hostNetwork=true), ')
    assert 'container "c"' in heard[0]


@with_helm("3.22")
def test_the_users_environment_does_not_send_helm_elsewhere(
    edge: Edge, helm_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = edge.access
    for name, value in (
        ("HELM_NAMESPACE", "default"),
        ("HELM_KUBECONTEXT", "nowhere"),
        ("HELM_MAX_HISTORY", "1"),
        ("HELM_DEBUG", "true"),
        ("HELM_PLUGINS", "/nope"),
        ("KUBECONFIG", "/nope"),
    ):
        monkeypatch.setenv(name, value)
    helm = Helm(edge.runner, str(edge.helm_paths[helm_version]), access, edge.home / "cache")
    for _ in range(3):
        done = helm.upgrade("r", edge.toy, values(config_map("a")))
    assert "client.go" not in done.err
    assert [revision for revision, _ in states(edge)] == [1, 2, 3]


@with_helm("3.13", "4.3")
def test_rendering_offline_asks_no_cluster(edge: Edge, helm_version: str) -> None:
    template = edge.toy / "templates" / "all.yaml"
    template.write_text(
        "kind: X\nversion: {{ .Capabilities.KubeVersion.Version }}\n"
        'known: {{ .Capabilities.APIVersions.Has "x.io/v1/Foo" }}\nupgrade: {{ .Release.IsUpgrade }}\n'
    )
    nowhere = edge.home / "nowhere"
    nowhere.write_text(edge.sandbox.kubeconfig.read_text().replace(str(edge.sandbox.ports.apiserver), "9"))
    access = resolve(kubeconfig=str(nowhere), namespace=NAMESPACE)
    helm = Helm(edge.runner, str(edge.helm_paths[helm_version]), access, edge.home / "cache")
    offline = Offline("v1.29", ("x.io/v1", "x.io/v1/Foo"))
    text = rendered(helm, Render("r", edge.toy, is_upgrade=True), {}, offline=offline)
    assert "version: v1.29.0\nknown: true\nupgrade: true" in text
    assert fails(lambda: rendered(helm, Render("r", edge.toy), {})).anchor == "unreachable"


@with_helm("3.22", "4.3")
def test_rendering_sees_the_clusters_own_capabilities_and_lookups(edge: Edge, helm_version: str) -> None:
    template = edge.toy / "templates" / "all.yaml"
    template.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: seen}\ndata:\n"
        "  version: {{ .Capabilities.KubeVersion.Version }}\n"
        '  missing: "{{ .Capabilities.APIVersions.Has "x.io/v1" }}"\n'
        '  found: {{ (lookup "v1" "ConfigMap" "edge" "given").data.k }}\n'
    )
    edge.kubectl.apply([config_map("given", k="looked-up")])
    text = rendered(edge.helm(helm_version), Render("r", edge.toy), {})
    server = edge.kubectl.tree("/version")
    assert server is not None
    assert f"version: {server['gitVersion']}\n" in text
    assert 'missing: "false"' in text
    assert "found: looked-up" in text


def test_what_runs_at_once_does_not_disturb_each_other(edge: Edge) -> None:
    renders = [Render(f"r{n}", edge.toy) for n in range(6)]
    texts = edge.helm("4.3").templates(renders, lambda: {f"r{n}": values(config_map(f"c{n}")) for n in range(6)})
    assert [f"name: c{n}\n" in texts[f"r{n}"] for n in range(6)] == [True] * 6


@with_helm("3.22", "4.3")
def test_a_release_that_gets_no_values_is_not_rendered_and_holds_up_nobody(edge: Edge, helm_version: str) -> None:
    """helm waits for its values by then, and ends when it learns that there will be none."""
    renders = [Render(name, edge.toy) for name in ("given", "withdrawn")]
    texts = edge.helm(helm_version).templates(renders, lambda: {"given": values(config_map("a"))})
    assert list(texts) == ["given"]


@with_helm("3.22", "4.3")
def test_an_error_in_making_the_values_ends_helm_and_is_what_is_told(edge: Edge, helm_version: str) -> None:
    def wrong() -> Mapping[str, Tree]:
        raise ConfigError("a value is wrong")

    told = fails(lambda: edge.helm(helm_version).templates([Render("r", edge.toy)], wrong))
    assert told.message == "a value is wrong"


def test_versions_found_are_kept(edge: Edge) -> None:
    for version in HELM_VERSIONS:
        assert edge.helm(version).version[:2] == tuple(int(part) for part in version.split("."))
    assert (edge.home / "cache" / "helm-versions.json").exists()
    broken = Path("/nope/helm")
    assert Helm(edge.runner, str(broken), edge.access, edge.home).path == str(broken)
