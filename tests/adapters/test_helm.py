"""helm is asked with exactly these command lines, by the version found, and gets values on standard input only."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ddhelm.access import Access
from ddhelm.errors import ConfigError, ReleaseError, ToolError
from ddhelm.helm import Helm, Offline, Render
from ddhelm.run import Command, Completed
from ddhelm.source import Source
from ddhelm.tree import Tree
from tests.adapters.fake import FakeRunner
from tests.adapters.real import rendered

ACCESS = Access("/k/config", "prod", "datadog", "https://prod:6443")
CLUSTER = ("--kubeconfig", "/k/config", "--kube-context", "prod", "--namespace", "datadog")
CHART = Path("/c/datadog.tgz")
VALUES = {"datadog": {"clusterName": "x"}}
SECRET = "0123456789abcdef0123456789abcdef"
TEMPLATE = ("template", "agent", "/c/datadog.tgz", "--values", "-", "--no-hooks")


@pytest.fixture
def runner() -> Iterator[FakeRunner]:
    runner = FakeRunner()
    yield runner
    assert runner.unused() == []


def helm(runner: FakeRunner, folder: Path, version: str) -> Helm:
    """A helm that says it is of this version; a script, so that it is asked."""
    runner.on("version", "--template", "{{.Version}}", out=version)
    return Helm(runner, "/bin/helm", ACCESS, folder)


class TestVersion:
    @pytest.mark.parametrize(
        ("said", "version"),
        [
            ("v3.13.3", (3, 13, 3)),
            ("v3.22", (3, 22, 0)),
            ("v4.3", (4, 3, 0)),
            ("v3.17.3+ge4da497", (3, 17, 3)),
            ("4.3.1\n", (4, 3, 1)),
            ("v4.12.0-rc.1", (4, 12, 0)),
        ],
    )
    def test_of_two_or_three_parts(
        self, runner: FakeRunner, tmp_path: Path, said: str, version: tuple[int, int, int]
    ) -> None:
        found = helm(runner, tmp_path, said)
        assert found.version == version
        assert found.major == version[0]
        assert len(runner.commands) == 1

    @pytest.mark.parametrize("said", ["v3.12.3", "v2.17.0", "v5.0.0", "", "hello"])
    def test_outside_what_is_supported(self, runner: FakeRunner, tmp_path: Path, said: str) -> None:
        with pytest.raises(ToolError, match="`/bin/helm` is Helm") as caught:
            _ = helm(runner, tmp_path, said).version
        assert caught.value.anchor == "tool-too-old"

    def test_a_program_is_asked_once_until_its_file_changes(self, runner: FakeRunner, tmp_path: Path) -> None:
        program = tmp_path / "helm"
        program.write_bytes(b"\x7fELF...")
        cache = tmp_path / "cache"
        runner.on("version", "--template", "{{.Version}}", out="v3.22.0")
        assert Helm(runner, str(program), ACCESS, cache).version == (3, 22, 0)
        assert Helm(runner, str(program), ACCESS, cache).version == (3, 22, 0)
        assert len(runner.commands) == 1
        program.write_bytes(b"\x7fELF longer")
        runner.on("version", "--template", "{{.Version}}", out="v4.3.1")
        assert Helm(runner, str(program), ACCESS, cache).version == (4, 3, 1)

    @pytest.mark.parametrize(("name", "content"), [("helm", b"#!/bin/sh\n"), ("mise", b"\x7fELF...")])
    def test_a_wrapper_of_a_version_manager_is_asked_each_time(
        self, runner: FakeRunner, tmp_path: Path, name: str, content: bytes
    ) -> None:
        (tmp_path / name).write_bytes(content)
        link = tmp_path / "bin-helm"
        link.symlink_to(tmp_path / name)
        runner.on("version", "--template", "{{.Version}}", out="v3.22.0")
        for _ in range(2):
            assert Helm(runner, str(link), ACCESS, tmp_path).version == (3, 22, 0)
        assert len(runner.commands) == 2

    @pytest.mark.parametrize("content", ["", "[]", "{broken", '"text"'])
    def test_a_broken_cache_is_asked_again(self, runner: FakeRunner, tmp_path: Path, content: str) -> None:
        (tmp_path / "helm").write_bytes(b"\x7fELF...")
        (tmp_path / "helm-versions.json").write_text(content)
        runner.on("version", "--template", "{{.Version}}", out="v3.22.0")
        assert Helm(runner, str(tmp_path / "helm"), ACCESS, tmp_path).version == (3, 22, 0)

    def test_a_cache_that_cannot_be_written_is_no_failure(self, runner: FakeRunner, tmp_path: Path) -> None:
        (tmp_path / "helm").write_bytes(b"\x7fELF...")
        (tmp_path / "file").write_text("")
        runner.on("version", "--template", "{{.Version}}", out="v3.22.0")
        assert Helm(runner, str(tmp_path / "helm"), ACCESS, tmp_path / "file").version == (3, 22, 0)

    def test_it_is_told_where_nothing_can_be_kept(
        self, runner: FakeRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def homeless() -> Path:
            raise ToolError("no place")

        monkeypatch.setattr("ddhelm.helm.cache_folder", homeless)
        (tmp_path / "helm").write_bytes(b"\x7fELF...")
        runner.on("version", "--template", "{{.Version}}", out="v3.22.0")
        assert Helm(runner, str(tmp_path / "helm"), ACCESS).version == (3, 22, 0)


class TestTemplate:
    def test_helm_3_needs_validate_for_the_clusters_own_capabilities(self, runner: FakeRunner, tmp_path: Path) -> None:
        flags = ("--validate", "--dry-run=server", "--disable-openapi-validation", *CLUSTER)
        runner.on(*TEMPLATE, *flags, stdin=VALUES, out="---\n")
        assert rendered(helm(runner, tmp_path, "v3.22.0"), Render("agent", CHART), VALUES) == "---\n"

    def test_helm_4_refuses_validate(self, runner: FakeRunner, tmp_path: Path) -> None:
        flags = ("--is-upgrade", "--dry-run=server", "--disable-openapi-validation", *CLUSTER)
        runner.on(*TEMPLATE, *flags, stdin=VALUES, out="---\n")
        assert rendered(helm(runner, tmp_path, "v4.3.1"), Render("agent", CHART, is_upgrade=True), VALUES) == "---\n"

    @pytest.mark.parametrize(
        ("given", "passed"), [("v1.29", "v1.29.0"), ("1.36.3", "1.36.3"), ("v1.29.5-eks", "v1.29.5-eks")]
    )
    def test_offline_asks_nobody_and_names_a_whole_version(
        self, runner: FakeRunner, tmp_path: Path, given: str, passed: str
    ) -> None:
        flags = ("--namespace", "datadog", "--kube-version", passed, "--api-versions", "apps/v1,v1")
        runner.on(*TEMPLATE, *flags, stdin=VALUES, out="---\n")
        offline = Offline(given, ("apps/v1", "v1"))
        assert rendered(Helm(runner, "/bin/helm", ACCESS, tmp_path), Render("agent", CHART), VALUES, offline=offline)

    def test_those_that_get_values_are_rendered_at_once(self, runner: FakeRunner, tmp_path: Path) -> None:
        flags = ("--dry-run=server", "--disable-openapi-validation", *CLUSTER)
        for name in ("a", "b"):
            line = ("template", name, "/c/datadog.tgz", "--values", "-", "--no-hooks", *flags)
            runner.on(*line, stdin={"name": name}, out=f"of {name}")
        renders = [Render(name, CHART) for name in ("a", "b", "c")]
        values = {name: {"name": name} for name in ("a", "b")}
        done: list[str] = []

        def given() -> Mapping[str, Tree]:
            done.append("values")
            return values

        texts = helm(runner, tmp_path, "v4.3.1").templates(renders, given, meanwhile=lambda: done.append("rest"))
        assert (texts, done) == ({"a": "of a", "b": "of b"}, ["values", "rest"])

    def test_a_chart_that_refuses_is_a_config_error(self, runner: FakeRunner, tmp_path: Path) -> None:
        flags = ("--dry-run=server", "--disable-openapi-validation", *CLUSTER)
        runner.on(*TEMPLATE, *flags, stdin=VALUES, err="Error: execution error at (x:1:1): no cluster name\n", code=1)
        with pytest.raises(ConfigError, match="the chart refuses these values: no cluster name"):
            rendered(helm(runner, tmp_path, "v4.3.1"), Render("agent", CHART), VALUES)


UPGRADE = ("upgrade", "--install", "agent", "/c/datadog.tgz", "--values", "-", *CLUSTER)
KEPT = ("--reset-values", "--history-max", "10", "--timeout", "300s")


class TestUpgrade:
    def test_plain_is_the_same_for_both_majors(self, runner: FakeRunner, tmp_path: Path) -> None:
        runner.on(*UPGRADE, *KEPT, stdin=VALUES)
        Helm(runner, "/bin/helm", ACCESS, tmp_path).upgrade("agent", CHART, VALUES)

    def test_force_is_said_to_helm_4_only(self, runner: FakeRunner, tmp_path: Path) -> None:
        runner.on(*UPGRADE, *KEPT, "--server-side=true", "--force-conflicts", stdin=VALUES)
        helm(runner, tmp_path, "v4.3.1").upgrade("agent", CHART, VALUES, force_conflicts=True)
        other = FakeRunner()
        other.on(*UPGRADE, *KEPT, stdin=VALUES)
        helm(other, tmp_path, "v3.22.0").upgrade("agent", CHART, VALUES, force_conflicts=True)

    def test_with_everything(self, runner: FakeRunner, tmp_path: Path) -> None:
        flags = (*KEPT[:-1], "60s", "--description", "ddhelm upgrade")
        runner.on(*UPGRADE, *flags, stdin=VALUES)
        found = Helm(runner, "/bin/helm", ACCESS, tmp_path)
        found.upgrade("agent", CHART, VALUES, timeout=60, description="ddhelm upgrade")

    def test_helm_outlives_its_own_timeout_by_a_minute_and_has_time_to_write_its_state(
        self, runner: FakeRunner, tmp_path: Path
    ) -> None:
        runner.on(*UPGRADE, *KEPT, stdin=VALUES)
        Helm(runner, "/bin/helm", ACCESS, tmp_path).upgrade("agent", CHART, VALUES)
        (command,) = runner.commands
        assert command.timeout >= 360
        assert command.grace >= 30
        assert not command.shielded

    def test_nothing_of_the_users_helm_reaches_it(
        self, runner: FakeRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HELM_DEBUG", "HELM_NAMESPACE", "HELM_MAX_HISTORY", "HELM_PLUGINS", "DD_API_KEY"):
            monkeypatch.setenv(name, SECRET)
        runner.on(*UPGRADE, *KEPT, stdin=VALUES)
        Helm(runner, "/bin/helm", ACCESS, tmp_path).upgrade("agent", CHART, VALUES)
        env = runner.commands[0].env
        assert env is not None
        assert SECRET not in env.values()
        assert {name: env[name] for name in env if name.startswith("HELM_")} == {
            "HELM_DRIVER": "secret",
            "HELM_NO_PLUGINS": "1",
        }

    def test_failures_name_the_release(self, runner: FakeRunner, tmp_path: Path) -> None:
        err = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n"
        runner.on(*UPGRADE, *KEPT, stdin=VALUES, err=err, code=1)
        with pytest.raises(ReleaseError, match="release `agent` is busy") as caught:
            Helm(runner, "/bin/helm", ACCESS, tmp_path).upgrade("agent", CHART, VALUES)
        assert caught.value.anchor == "release-busy"

    @pytest.mark.parametrize(
        "line",
        [
            'W1124 03:13:13.775699 9937 warnings.go:70] would violate PodSecurity "restricted:latest": host "x"',
            'I1124 03:13:30.041857 11350 warnings.go:107] "Warning: would violate PodSecurity \\"restricted:latest\\": '
            'host \\"x\\""',
        ],
    )
    def test_a_warning_of_the_api_server_is_heard_in_plain_words(
        self, runner: FakeRunner, tmp_path: Path, line: str
    ) -> None:
        heard: list[str] = []
        runner.on(*UPGRADE, *KEPT, stdin=VALUES)
        Helm(runner, "/bin/helm", ACCESS, tmp_path).upgrade("agent", CHART, VALUES, on_warning=heard.append)
        hear = runner.commands[0].on_stderr
        assert hear is not None
        for each in (line, "dependencies.go:64: Warning: Condition path 'a' returned non-bool value"):
            hear(each)
        assert heard == ['would violate PodSecurity "restricted:latest": host "x"']


class TestOtherWrites:
    def test_rollback_is_by_number_and_let_finish(self, runner: FakeRunner, tmp_path: Path) -> None:
        runner.on("rollback", "agent", "3", *CLUSTER, "--history-max", "10", "--timeout", "300s")
        helm(runner, tmp_path, "v3.22.0").rollback("agent", 3, server_side=False)
        assert runner.commands[-1].shielded

    @pytest.mark.parametrize(
        ("server_side", "told"),
        [(True, ("--server-side=true", "--force-conflicts")), (False, ("--server-side=false",))],
    )
    def test_helm_4_is_told_how_a_rollback_is_applied(
        self, runner: FakeRunner, tmp_path: Path, server_side: bool, told: tuple[str, ...]
    ) -> None:
        runner.on("rollback", "agent", "3", *CLUSTER, "--history-max", "10", "--timeout", "9s", *told)
        helm(runner, tmp_path, "v4.3.1").rollback("agent", 3, timeout=9, server_side=server_side)

    def test_uninstall_waits_and_does_not_mind_a_missing_release(self, runner: FakeRunner, tmp_path: Path) -> None:
        runner.on("uninstall", "agent", *CLUSTER, "--ignore-not-found", "--timeout", "300s", "--wait")
        runner.on("uninstall", "agent", *CLUSTER, "--ignore-not-found", "--timeout", "5s")
        found = Helm(runner, "/bin/helm", ACCESS, tmp_path)
        found.uninstall("agent")
        found.uninstall("agent", timeout=5, wait=False)
        assert runner.commands[0].shielded


class PullingRunner(FakeRunner):
    """Answers `helm pull` by putting files into the folder asked for, whose name nobody can know before."""

    brings: tuple[str, ...] = ("datadog-3.240.0.tgz",)
    err: str = ""

    def run(self, command: Command) -> Completed:
        if command.argv[1] != "pull":
            return super().run(command)
        self.commands.append(command)
        folder = Path(command.argv[command.argv.index("--destination") + 1])
        assert command.cwd == str(folder)
        assert not list(folder.iterdir())
        if self.err:
            return Completed(command.argv, 1, b"", self.err)
        for name in self.brings:
            (folder / name).write_text(f"chart {len(self.commands)}")
        return Completed(command.argv, 0, b"")

    def asked(self) -> list[tuple[str, ...]]:
        return [command.argv[1 : command.argv.index("--destination")] for command in self.commands]


REPO = Source("repo", "datadog", "https://helm.datadoghq.com")


class TestPull:
    def test_the_users_own_path_is_taken_as_it_is(self, runner: FakeRunner, tmp_path: Path) -> None:
        assert Helm(runner, "helm", ACCESS, tmp_path).pull(Source("path", "/c/datadog")) == Path("/c/datadog")

    def test_an_exact_version_is_pulled_once(self, tmp_path: Path) -> None:
        runner = PullingRunner()
        for version in ("3.240.0", "v3.240.0", "3.240.0"):
            chart = Helm(runner, "helm", ACCESS, tmp_path).pull(REPO, version)
            assert chart.name == "datadog-3.240.0.tgz"
            assert chart.read_text() == "chart 1"
        line = ("pull", "datadog", "--repo", "https://helm.datadoghq.com", "--version", "3.240.0")
        assert runner.asked() == [line]

    def test_the_newest_and_ranges_are_asked_for_each_time(self, tmp_path: Path) -> None:
        runner = PullingRunner()
        found = Helm(runner, "helm", ACCESS, tmp_path)
        for version in (None, None, "^3", "3.240"):
            assert found.pull(REPO, version).name == "datadog-3.240.0.tgz"
        assert [line[4:] for line in runner.asked()] == [(), (), ("--version", "^3"), ("--version", "3.240")]
        found.pull(REPO, "3.240.0")
        assert len(runner.commands) == 4

    def test_sources_do_not_share_a_shelf(self, tmp_path: Path) -> None:
        runner = PullingRunner()
        found = Helm(runner, "helm", ACCESS, tmp_path)
        for where in (REPO, Source("repo", "datadog", "https://mirror"), Source("oci", "oci://mirror/datadog")):
            found.pull(where, "3.240.0")
        assert runner.asked()[1:] == [
            ("pull", "datadog", "--repo", "https://mirror", "--version", "3.240.0"),
            ("pull", "oci://mirror/datadog", "--version", "3.240.0"),
        ]

    def test_a_chart_that_was_altered_on_the_shelf_is_pulled_again(self, tmp_path: Path) -> None:
        runner = PullingRunner()
        found = Helm(runner, "helm", ACCESS, tmp_path)
        found.pull(REPO, "3.240.0").write_text("altered")
        assert found.pull(REPO, "3.240.0").read_text() == "chart 2"

    def test_repositories_are_ours_and_registry_logins_the_users(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HELM_REPOSITORY_CONFIG", "/theirs/repositories.yaml")
        monkeypatch.setenv("HELM_CONFIG_HOME", "/theirs")
        runner = PullingRunner()
        Helm(runner, "helm", ACCESS, tmp_path).pull(REPO)
        monkeypatch.setenv("HELM_REGISTRY_CONFIG", "/elsewhere/config.json")
        Helm(runner, "helm", ACCESS, tmp_path).pull(REPO)
        first, second = (command.env or {} for command in runner.commands)
        assert first["HELM_REPOSITORY_CONFIG"] == f"{tmp_path}/helm/repositories.yaml"
        assert first["HELM_REPOSITORY_CACHE"] == f"{tmp_path}/helm/repository"
        assert "HELM_NO_PLUGINS" not in first
        assert first["HELM_REGISTRY_CONFIG"] == "/theirs/registry/config.json"
        assert second["HELM_REGISTRY_CONFIG"] == "/elsewhere/config.json"

    def test_an_unreachable_repository_leaves_nothing_and_names_what_is_in_the_cache(self, tmp_path: Path) -> None:
        runner = PullingRunner()
        found = Helm(runner, "helm", ACCESS, tmp_path)
        found.pull(REPO, "3.240.0")
        runner.err = 'Error: looks like "https://h" is not a valid chart repository or cannot be reached: refused'
        with pytest.raises(ToolError, match="`https://h` cannot be reached") as caught:
            found.pull(REPO)
        assert caught.value.hint == "--version 3.240.0 is in the cache and needs no network"
        assert [each.name for each in (tmp_path / "charts").iterdir() if each.name.startswith(".")] == []

    @pytest.mark.parametrize("brings", [(), ("a-1.0.0.tgz", "b-1.0.0.tgz")])
    def test_anything_but_one_chart_is_an_error(self, tmp_path: Path, brings: Sequence[str]) -> None:
        runner = PullingRunner()
        runner.brings = tuple(brings)
        with pytest.raises(ToolError, match="brought no chart"):
            Helm(runner, "helm", ACCESS, tmp_path).pull(REPO)

    def test_a_cache_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ToolError, match="cannot be written") as caught:
            Helm(PullingRunner(), "helm", ACCESS, tmp_path / "file").pull(REPO)
        assert caught.value.anchor == "cache-folder"


class TestVersions:
    def test_newest_first_and_only_of_that_chart(self, runner: FakeRunner, tmp_path: Path) -> None:
        found = [("it/datadog", "3.240.0"), ("it/datadog-operator", "2.0.0"), ("it/datadog", "3.221.0")]
        rows: list[dict[str, Any]] = [{"name": name, "version": version} for name, version in found]
        runner.on("repo", "add", "it", "https://helm.datadoghq.com")
        runner.on("search", "repo", "it/datadog", "--versions", "-o", "json", out=json.dumps(rows))
        assert Helm(runner, "helm", ACCESS, tmp_path).versions(REPO) == ("3.240.0", "3.221.0")
        configs = {(command.env or {})["HELM_REPOSITORY_CONFIG"] for command in runner.commands}
        assert len(configs) == 1
        assert not os.path.lexists(configs.pop())

    def test_other_sources_do_not_tell(self, runner: FakeRunner, tmp_path: Path) -> None:
        assert Helm(runner, "helm", ACCESS, tmp_path).versions(Source("oci", "oci://x/y")) == ()
