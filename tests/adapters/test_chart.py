"""Charts are read from archives and folders; hostile ones do no harm."""

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from ddhelm.chart import read
from ddhelm.errors import ConfigError

CHART = "apiVersion: v2\nname: datadog\nversion: 1.10\nappVersion: 7\n"


def archive(path: Path, files: dict[str, str | bytes], *, top: str = "datadog/", extra: bytes = b"") -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(top + name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    packed = gzip.compress(raw.getvalue())
    if extra:  # as helm writes it: the FEXTRA field behind the ten bytes of the header
        packed = packed[:3] + b"\x04" + packed[4:10] + len(extra).to_bytes(2, "little") + extra + packed[10:]
    path.write_bytes(packed)
    return path


def folder(path: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return path


FILES = {
    "Chart.yaml": CHART,
    "values.yaml": "# all of it\na: 1\n",
    "templates/agent.yaml": "kind: DaemonSet\n",
    "charts/sub/Chart.yaml": "name: sub\nversion: 1.0.0\n",
    "charts/sub/templates/x.yaml": "kind: Service\n",
}


def test_an_archive_says_what_it_is(tmp_path: Path) -> None:
    chart = read(archive(tmp_path / "c.tgz", dict(FILES)))
    assert (chart.name, chart.version, chart.app_version) == ("datadog", "1.10", "7")
    assert chart.files["values.yaml"] == "# all of it\na: 1\n"
    assert set(chart.files) == set(FILES)
    assert set(chart.templates) == {"templates/agent.yaml", "charts/sub/templates/x.yaml"}


def test_a_folder_says_the_same(tmp_path: Path) -> None:
    packed, unpacked = read(archive(tmp_path / "c.tgz", dict(FILES))), read(folder(tmp_path / "c", FILES))
    assert (unpacked.name, unpacked.version) == (packed.name, packed.version)
    assert dict(unpacked.files) == dict(packed.files)


def test_a_folder_that_is_no_chart_is_told_so_whatever_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(6 * 1024 * 1024))
    with pytest.raises(ConfigError, match=r"it has no Chart\.yaml"):
        read(tmp_path)


def test_one_file_is_read_without_those_behind_it(tmp_path: Path) -> None:
    path = archive(tmp_path / "c.tgz", {**FILES, "charts/broken-1.0.0.tgz": b"\x1f\x8b\x08\0broken"})
    chart = read(path)
    assert chart.text("values.yaml") == FILES["values.yaml"]
    with pytest.raises(ConfigError, match="broken"):
        chart.text("not-there")
    whole = read(folder(tmp_path / "f", FILES))
    assert (whole.text("values.yaml"), whole.text("not-there")) == (FILES["values.yaml"], "")
    assert whole.files["values.yaml"] == whole.text("values.yaml")


def test_an_archive_as_helm_writes_it_with_its_mark_in_the_gzip_header(tmp_path: Path) -> None:
    mark = b"+aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandrTQo="
    assert read(archive(tmp_path / "c.tgz", dict(FILES), extra=mark)).name == "datadog"


def test_a_packaged_sub_chart_reads_like_a_folder(tmp_path: Path) -> None:
    inner = archive(tmp_path / "i.tgz", {"Chart.yaml": "name: deep\nversion: 1.0.0\n"}, top="deep/").read_bytes()
    sub: dict[str, str | bytes] = {"Chart.yaml": "name: sub\nversion: 1.0.0\n", "charts/deep-1.0.0.tgz": inner}
    outer = archive(tmp_path / "s.tgz", sub, top="sub/").read_bytes()
    files = read(archive(tmp_path / "c.tgz", {"Chart.yaml": CHART, "charts/sub-1.0.0.tgz": outer})).files
    assert files["charts/sub/Chart.yaml"].startswith("name: sub")
    assert files["charts/sub/charts/deep/Chart.yaml"].startswith("name: deep")
    in_folder = folder(tmp_path / "c", {"Chart.yaml": CHART})
    (in_folder / "charts").mkdir()
    (in_folder / "charts" / "sub-1.0.0.tgz").write_bytes(outer)
    assert read(in_folder).files["charts/sub/charts/deep/Chart.yaml"].startswith("name: deep")


class TestDigest:
    def test_of_an_archive_it_is_its_sha256(self, tmp_path: Path) -> None:
        path = tmp_path / "c.tgz"
        archive(path, dict(FILES))
        assert read(path).digest == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_of_a_folder_it_changes_with_any_content_or_name(self, tmp_path: Path) -> None:
        base = read(folder(tmp_path / "a", FILES)).digest
        assert read(folder(tmp_path / "b", FILES)).digest == base
        assert read(folder(tmp_path / "c", {**FILES, "values.yaml": "# all of it\na: 2\n"})).digest != base
        renamed = {("values.yml" if name == "values.yaml" else name): text for name, text in FILES.items()}
        assert read(folder(tmp_path / "d", renamed)).digest != base

    def test_of_a_folder_it_leaves_version_control_out(self, tmp_path: Path) -> None:
        base = read(folder(tmp_path / "a", FILES)).digest
        assert read(folder(tmp_path / "b", {**FILES, ".git/HEAD": "ref\n"})).digest == base


class TestHostileArchives:
    @pytest.mark.parametrize("name", ["../../evil.yaml", "templates/../../../evil.yaml", "a\\..\\evil.yaml"])
    def test_names_that_lead_out_are_passed_over(self, tmp_path: Path, name: str) -> None:
        chart = read(archive(tmp_path / "c.tgz", {"Chart.yaml": CHART, name: "evil"}))
        assert set(chart.files) == {"Chart.yaml"}

    def test_absolute_names_are_passed_over(self, tmp_path: Path) -> None:
        raw = archive(tmp_path / "c.tgz", {"/etc/passwd": "evil"}, top="")
        with pytest.raises(ConfigError, match=r"has no Chart\.yaml"):
            read(raw)

    def test_links_and_devices_are_passed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "c.tgz"
        with tarfile.open(path, mode="w:gz") as tar:
            for kind, name in ((tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "hard"), (tarfile.FIFOTYPE, "pipe")):
                member = tarfile.TarInfo(f"datadog/{name}")
                member.type, member.linkname = kind, "/etc/passwd"
                tar.addfile(member)
            member = tarfile.TarInfo("datadog/Chart.yaml")
            member.size = len(CHART)
            tar.addfile(member, io.BytesIO(CHART.encode()))
        assert set(read(path).files) == {"Chart.yaml"}

    def test_a_bomb_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ddhelm.chart._MOST_BYTES", 3000)
        path = archive(tmp_path / "c.tgz", {"Chart.yaml": CHART, **{f"f{n}": "x" * 1000 for n in range(5)}})
        chart = read(path)
        with pytest.raises(ConfigError, match="unpacks to more than"):
            _ = chart.files

    def test_a_huge_file_is_refused_before_it_is_read(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "c.tgz", {"big": b"\0" * (6 * 1024 * 1024), "Chart.yaml": CHART})
        with pytest.raises(ConfigError, match="its file big is larger than 5 MiB"):
            read(path)

    def test_what_is_passed_over_counts_too(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "c.tgz", {"../evil": b"\0" * (6 * 1024 * 1024), "Chart.yaml": CHART})
        with pytest.raises(ConfigError, match="is larger than 5 MiB"):
            read(path)

    def test_too_many_files_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ddhelm.chart._MOST_FILES", 3)
        chart = read(archive(tmp_path / "c.tgz", {"Chart.yaml": CHART, **{f"f{n}": "" for n in range(5)}}))
        with pytest.raises(ConfigError, match="unpacks to more than 3 files"):
            _ = chart.files

    def test_a_sub_chart_counts_against_the_same_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ddhelm.chart._MOST_BYTES", 3000)
        inner = archive(tmp_path / "i.tgz", {"big": b"\0" * 4000}, top="sub/").read_bytes()
        chart = read(archive(tmp_path / "c.tgz", {"Chart.yaml": CHART, "charts/sub-1.tgz": inner}))
        with pytest.raises(ConfigError, match="unpacks to more than"):
            _ = chart.files

    def test_a_link_out_of_a_folder_is_not_followed(self, tmp_path: Path) -> None:
        chart = folder(tmp_path / "c", {"Chart.yaml": CHART})
        (tmp_path / "secret").write_text("secret")
        (chart / "leak.yaml").symlink_to(tmp_path / "secret")
        assert "leak.yaml" not in read(chart).files


class TestNotACharts:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no chart at") as caught:
            read(tmp_path / "nope.tgz")
        assert caught.value.anchor == "chart-not-found"

    @pytest.mark.parametrize("content", [b"", b"garbage", b"\x1f\x8b\x08\0garbage", gzip.compress(b"no tar", mtime=0)])
    def test_a_file_that_is_no_archive(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "c.tgz"
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="is not a chart") as caught:
            read(path)
        assert caught.value.anchor == "bad-chart"

    def test_an_archive_cut_short(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "c.tgz", {"f": os.urandom(200_000), "Chart.yaml": CHART})
        path.write_bytes(path.read_bytes()[:100_000])
        with pytest.raises(ConfigError, match="is not a chart"):
            read(path)

    @pytest.mark.parametrize(
        "text",
        ["", "name: x\n", "- list\n", "a: [\n", "version: 1\n", "[a]: 1\n", f"{CHART}a: {'[' * 5000}{']' * 5000}\n"],
    )
    def test_a_chart_yaml_that_is_broken_or_lacks_name_or_version(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigError, match=r"Chart\.yaml"):
            read(folder(tmp_path / "c", {"Chart.yaml": text}))

    def test_a_folder_without_chart_yaml(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"has no Chart\.yaml"):
            read(folder(tmp_path / "c", {"values.yaml": ""}))
