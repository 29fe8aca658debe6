"""The real helm pulls from a repository on loopback, past every trap that lies in the user's folders."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ddhelm.access import Access
from ddhelm.chart import read
from ddhelm.errors import DdhelmError
from ddhelm.helm import Helm
from ddhelm.run import Command, Runner, environment
from ddhelm.source import Source, source
from tests.adapters.real import with_helm, write_chart
from tests.sandbox import build

ACCESS = Access("/nope", "nowhere", "edge", "https://nowhere")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def helms() -> dict[str, Path]:
    return {version: build.helm(version) for version in build.HELM_VERSIONS}


@pytest.fixture
def folder(helms: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the repository serves: toy 0.1.0 and 0.2.0; our own home folder beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    served = tmp_path / "served"
    served.mkdir()
    run = Runner().run
    chart = write_chart(tmp_path / "made" / "toy")
    for version in ("0.1.0", "0.2.0", "0.3.0-rc.1"):
        done = run(Command((str(helms["4.3"]), "package", str(chart), "--version", version, "-d", str(served))))
        assert done.ok, done.err
    done = run(Command((str(helms["4.3"]), "repo", "index", str(served))))
    assert done.ok, done.err
    return served


@pytest.fixture
def server(folder: Path) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def repo(server: ThreadingHTTPServer) -> Source:
    return Source("repo", "toy", f"http://127.0.0.1:{server.server_port}")


@pytest.fixture
def helm(helms: dict[str, Path], helm_version: str, tmp_path: Path) -> Helm:
    return Helm(Runner(), str(helms[helm_version]), ACCESS, tmp_path / "cache")


def stop(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


@with_helm("3.22", "4.3")
def test_an_exact_version_needs_the_network_once(helm: Helm, repo: Source, server: ThreadingHTTPServer) -> None:
    chart = read(helm.pull(repo, "0.1.0"))
    assert (chart.name, chart.version) == ("toy", "0.1.0")
    stop(server)
    assert read(helm.pull(repo, "v0.1.0")).digest == chart.digest
    with pytest.raises(DdhelmError) as caught:
        helm.pull(repo)
    assert caught.value.anchor == "repository-unreachable"
    assert caught.value.hint == "--version 0.1.0 is in the cache and needs no network"


@with_helm("4.3")
def test_without_a_version_it_is_the_newest_release(helm: Helm, repo: Source) -> None:
    assert read(helm.pull(repo)).version == "0.2.0"
    assert read(helm.pull(repo, "<0.2.0")).version == "0.1.0"
    assert read(helm.pull(repo, "0.3.0-rc.1")).version == "0.3.0-rc.1"


@with_helm("3.13", "3.22", "4.3")
def test_a_folder_of_the_charts_name_where_we_stand_is_not_taken(
    helm: Helm, repo: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    write_chart(here / "toy")
    monkeypatch.chdir(here)
    assert read(helm.pull(repo)).version == "0.2.0"


@with_helm("3.22")
def test_a_broken_repository_of_the_users_does_not_matter(helm: Helm, repo: Source, tmp_path: Path) -> None:
    config = tmp_path / "home" / ".config" / "helm"
    config.mkdir(parents=True)
    (config / "repositories.yaml").write_text("repositories: [{name: gone, url: http://127.0.0.1:9}]\n")
    assert read(helm.pull(repo)).version == "0.2.0"


@with_helm("4.3")
def test_an_archive_by_its_address(helm: Helm, repo: Source) -> None:
    chart = read(helm.pull(source(f"{repo.repo}/toy-0.1.0.tgz")))
    assert (chart.version, chart.path.name) == ("0.1.0", "toy-0.1.0.tgz")


@with_helm("3.22", "4.3")
def test_what_is_not_there(helm: Helm, repo: Source) -> None:
    for where, version, anchor in (
        (Source("repo", "nochart", repo.repo), None, "chart-not-found"),
        (repo, "9.9.9", "chart-version-not-found"),
        (Source("repo", "toy", f"{repo.repo}/nothing"), None, "repository-unreachable"),
        (Source("url", f"{repo.repo}/toy-9.9.9.tgz"), None, "chart-not-found"),
        (Source("repo", "toy", "http://127.0.0.1:9"), None, "repository-unreachable"),
    ):
        with pytest.raises(DdhelmError) as caught:
            helm.pull(where, version)
        assert caught.value.anchor == anchor


@with_helm("3.22")
def test_the_versions_of_a_repository(helm: Helm, repo: Source) -> None:
    assert helm.versions(repo) == ("0.2.0", "0.1.0")


@with_helm("4.3")
def test_nothing_of_the_users_folders_is_written(helm: Helm, repo: Source, tmp_path: Path) -> None:
    helm.pull(repo, "0.1.0")
    assert helm.versions(repo)
    assert sorted(path.name for path in (tmp_path / "cache" / "charts").iterdir() if path.name.startswith(".")) == []
    touched = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert touched == []


def test_two_at_once_both_get_their_chart(helm: Helm, repo: Source) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(helm.pull(repo, "0.1.0"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert len(set(paths)) == 1
    assert read(paths[0]).version == "0.1.0"


def test_children_of_a_pull_see_the_users_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert environment()["HTTPS_PROXY"] == "http://proxy:3128"
