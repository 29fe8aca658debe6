"""Files of certificates are read with a limit, and written for their owner alone, all or none, over nothing."""

import errno
import os
from pathlib import Path

import pytest

from ddhelm.actions import certfiles
from ddhelm.errors import ConfigError

FILES = {certfiles.KEY: b"key", certfiles.CERTIFICATE: b"certificate", certfiles.CA: b"ca"}


def test_each_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        written = certfiles.write(str(tmp_path / "new"), FILES)
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in written} == FILES
    assert {oct(path.stat().st_mode & 0o777) for path in written} == {"0o600"}
    assert oct((tmp_path / "new").stat().st_mode & 0o777) == "0o700"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_stands_there_is_kept_and_nothing_else_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(ConfigError, match="is not overwritten") as caught:
        certfiles.write(str(tmp_path), FILES)
    assert caught.value.anchor == "certificate-file-exists"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


def test_a_dangling_link_is_something_that_stands_there(tmp_path: Path) -> None:
    (tmp_path / certfiles.KEY).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is not overwritten"):
        certfiles.write(str(tmp_path), FILES)
    assert not (tmp_path / "elsewhere").exists()


def test_the_same_certificate_again_is_no_obstacle_but_a_key_is(tmp_path: Path) -> None:
    """The CA's certificate mostly lies in the folder already."""
    (tmp_path / certfiles.CA).write_bytes(b"ca")
    certfiles.write(str(tmp_path), FILES)
    with pytest.raises(ConfigError, match=certfiles.KEY):
        certfiles.write(str(tmp_path), FILES)


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
    calls = 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"nothing was written to .*No space left") as caught:
        certfiles.write(str(tmp_path), FILES)
    assert caught.value.anchor == "certificate-folder"
    assert list(tmp_path.iterdir()) == []


def test_what_appears_in_between_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / certfiles.CERTIFICATE

    def meanwhile(handle: int) -> None:
        if not target.exists():
            target.write_bytes(b"of another run")

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(ConfigError, match="File exists"):
        certfiles.write(str(tmp_path), {certfiles.CERTIFICATE: b"ours", certfiles.KEY: b"key"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {target.name: b"of another run"}


def test_a_file_system_without_links_is_written_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_source: str, _target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    assert {path.name: path.read_bytes() for path in certfiles.write(str(tmp_path), FILES)} == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("folder", ["/proc/self", "/proc/nowhere"])
def test_a_folder_that_takes_no_files_is_said(folder: str) -> None:
    """Also root cannot write there, unlike into a folder without the bits for it."""
    with pytest.raises(ConfigError) as caught:
        certfiles.write(folder, FILES)
    assert caught.value.anchor == "certificate-folder"


def test_a_file_as_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        certfiles.write(str(tmp_path / "file"), FILES)


def test_huge_missing_and_odd_files_are_said(tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as stream:
        stream.truncate(2**40)
    for name, words in (
        (str(huge), "larger than 1 MiB"),
        ("/dev/zero", "larger than 1 MiB"),
        (str(tmp_path), "is a folder"),
        (str(tmp_path / "none"), "No such file"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            certfiles.read(name)
        assert caught.value.anchor == "certificate-file"
