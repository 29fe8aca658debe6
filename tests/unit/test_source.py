"""Where a chart comes from, as the user names it."""

from pathlib import Path

import pytest

from ddhelm.errors import ConfigError
from ddhelm.release import DEFAULT_REPOSITORY
from ddhelm.source import Shelf, Source, exact, source


@pytest.mark.parametrize(
    ("text", "kind", "chart", "repo"),
    [
        ("datadog", "repo", "datadog", DEFAULT_REPOSITORY),
        (" datadog ", "repo", "datadog", DEFAULT_REPOSITORY),
        ("https://mirror.example/charts/", "repo", "datadog", "https://mirror.example/charts"),
        ("oci://registry.example/charts/datadog", "oci", "oci://registry.example/charts/datadog", ""),
        ("https://x.example/datadog-3.240.0.tgz", "url", "https://x.example/datadog-3.240.0.tgz", ""),
        ("https://x.example/a.tgz?token=1", "url", "https://x.example/a.tgz?token=1", ""),
        ("/charts/datadog", "path", "/charts/datadog", ""),
    ],
)
def test_ways_to_name_a_chart(text: str, kind: str, chart: str, repo: str) -> None:
    assert source(text) == Source(kind, chart, repo)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["./datadog", "datadog-3.240.0.tgz", "charts/datadog", ".", "../x"])
def test_paths_become_absolute(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "charts" / "datadog").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert source(text) == Source("path", str(tmp_path / text))


def test_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert source("~/datadog").chart == "/home/ann/datadog"


def test_a_bare_name_is_never_the_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "datadog").mkdir()
    monkeypatch.chdir(tmp_path)
    assert source("datadog").kind == "repo"


@pytest.mark.parametrize("text", ["./ch\udce9", "oci://host/ch\udce9"])
def test_a_place_that_cannot_be_kept_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not UTF-8"):
        source(text)


def test_a_path_below_a_folder_that_cannot_be_kept_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "caf\udce9").mkdir()
    monkeypatch.chdir(tmp_path / "caf\udce9")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        source("./datadog")
    assert source("datadog").kind == "repo"


@pytest.mark.parametrize("text", ["", "datadog/datadog", "no/such/folder"])
def test_what_is_none_of_these_is_refused_with_the_ways_there_are(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a chart") as caught:
        source(text)
    assert "oci://" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.240.0", "3.240.0"),
        ("v3.240.0", "3.240.0"),
        ("3.240.0-rc.1+build", "3.240.0-rc.1+build"),
        ("3.240", None),
        ("^3", None),
        (">=3.100.0", None),
        ("3.x.x", None),
        ("", None),
        (None, None),
        ("../../etc/1.2.3", None),
    ],
)
def test_only_a_whole_version_names_exactly_one(text: str | None, version: str | None) -> None:
    assert exact(text) == version


@pytest.mark.parametrize(
    "text",
    [
        "https://bob:hunter2@charts.example.com/",
        "https://bob@charts.example.com/datadog-3.240.0.tgz",
        "oci://bob:hunter2@registry.example.com/datadog",
        "https://bucket.example.com/datadog.tgz?X-Amz-Signature=0123456789abcdef",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="holds credentials") as raised:
        source(text)
    assert raised.value.anchor == "credentials-in-address"
    assert "bob" not in raised.value.message + raised.value.hint
    assert "0123456789" not in raised.value.message + raised.value.hint


def test_a_name_that_is_also_the_folder_of_a_chart_is_asked_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert source("mine").kind == "repo"
    (tmp_path / "mine" / "Chart.yaml").write_text("name: mine\n")
    with pytest.raises(ConfigError) as raised:
        source("mine")
    assert raised.value.hint == "--chart ./mine for the folder"
    assert source("./mine").kind == "path"


def test_an_at_in_a_path_is_no_user() -> None:
    assert source("oci://registry.example.com/datadog@sha256:0").kind == "oci"


def test_words_for_people() -> None:
    assert str(source("datadog")) == "datadog of https://helm.datadoghq.com"
    assert str(source("oci://x/y")) == "oci://x/y"


def test_a_seal_that_is_no_text_makes_a_chart_that_is_fetched_again(tmp_path: Path) -> None:
    shelf, of = Shelf(tmp_path), source("datadog")
    with shelf.desk() as desk:
        (desk / "datadog-3.1.0.tgz").write_bytes(b"x")
        kept = shelf.put(of, desk / "datadog-3.1.0.tgz")
    assert shelf.find(of, "3.1.0") == kept
    kept.with_suffix(".sha256").write_bytes(b"\xff\xfe")
    assert shelf.find(of, "3.1.0") is None


def test_a_cache_that_may_not_be_looked_into_holds_nothing() -> None:
    shelf = Shelf(Path("/" + "x" * 300))
    assert shelf.find(source("datadog"), "3.1.0") is None
    assert shelf.versions(source("datadog")) == ()


@pytest.mark.parametrize("text", ["x" * 300 + "/y", "x" * 300])
def test_a_name_that_no_file_can_have_is_no_bug(text: str) -> None:
    assert source(text).chart.endswith(text)
