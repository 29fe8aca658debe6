"""Reads a chart, packaged or as a folder: what it is called, and its files, those of its sub-charts included.

A chart is somebody else's archive. Names that lead out of it, links and devices are passed over, and there is a limit
to what it may unpack to; nothing is ever written to disk.
"""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, ClassVar

from ddhelm import wholefile
from ddhelm.errors import ConfigError
from ddhelm.pasting import typed
from ddhelm.reserved import Reserved

# Helm's own limits are 100 MiB for a chart and 5 MiB for a file; Datadog's chart has 3 MiB in 300 files.
_MOST_BYTES = 100 * 1024 * 1024
_MOST_FILE_BYTES = 5 * 1024 * 1024
_MOST_FILES = 20_000
_DEEPEST = 5
_IGNORED_FOLDERS = frozenset({".git", ".hg", ".svn", ".bzr"})


class Chart(Reserved, frozen=True, dict=True):
    """A chart at ``path``.

    ``digest`` is the SHA-256 (hex) of the archive, or of the names and contents of a folder's files. ``files`` are
    read when first asked for.
    """

    unshown: ClassVar[tuple[str, ...]] = ("metadata",)

    path: Path
    name: str
    version: str
    app_version: str
    digest: str
    metadata: Mapping[str, Any] = {}

    @cached_property
    def files(self) -> Mapping[str, str]:
        """Text of each file by its path in the chart; a sub-chart's below ``charts/NAME/``, packaged ones too."""
        return {name: content.decode("utf-8", "replace") for name, content in _contents(self.path)}

    def text(self, name: str) -> str:
        """One of the files, read without those behind it: values.yaml stands near the front. Empty where it is not."""
        if "files" in self.__dict__:
            return self.files.get(name, "")
        found = next((content for each, content in _contents(self.path) if each == name), b"")
        return found.decode("utf-8", "replace")

    @property
    def templates(self) -> Mapping[str, str]:
        """The files below ``templates/``, those of sub-charts too."""
        return {name: text for name, text in self.files.items() if "templates" in PurePosixPath(name).parts[:-1]}


def read(path: Path) -> Chart:
    """Read a packaged chart or a chart folder; raises ConfigError (anchor ``bad-chart``, ``chart-not-found``)."""
    if wholefile.missing(path):
        raise ConfigError(
            f"there is no chart at `{path}`",
            hint="--chart takes a path, a .tgz, oci://… or the address of a repository",
            anchor="chart-not-found",
        )
    try:
        metadata = _metadata(path)
        digest = _folder_digest(path) if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise _bad(path, error.strerror or type(error).__name__) from None
    return Chart(
        path=path.absolute(),
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        app_version=str(metadata.get("appVersion", "")),
        digest=digest,
        metadata=metadata,
    )


def _metadata(path: Path) -> Mapping[str, Any]:
    import yaml  # here: commands that read no chart do not pay for it

    from ddhelm import goyaml

    if path.is_dir() and not (path / "Chart.yaml").is_file():  # before anything in it is read: it may be any folder
        raise _bad(path, "it has no Chart.yaml")
    text = next((content for name, content in _contents(path) if name == "Chart.yaml"), None)
    if text is None:
        raise _bad(path, "it has no Chart.yaml")
    try:
        node = goyaml.compose(text)
        # a BaseConstructor keeps all as text: a version 1.10 is not the number 1.1
        tree = yaml.constructor.BaseConstructor().construct_document(node) if node else None
    except (goyaml.YamlError, yaml.YAMLError):
        raise _bad(path, "its Chart.yaml is no YAML") from None
    if not isinstance(tree, dict) or not tree.get("name") or not tree.get("version"):
        raise _bad(path, "its Chart.yaml has no name or no version")
    return tree


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        yield from _folder(path)
        return
    with path.open("rb") as stream:
        yield from _archive(stream, str(path), _Budget(path))


class _Budget:
    """What an archive, with all archives inside it, may still unpack to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = _MOST_FILES
        self._bytes = _MOST_BYTES

    def take(self, name: str, size: int) -> None:
        self._files -= 1
        self._bytes -= size
        if size > _MOST_FILE_BYTES:
            raise _bad(self._path, f"its file {name} is larger than {_MOST_FILE_BYTES // 1024**2} MiB")
        if self._files < 0 or self._bytes < 0:
            raise _bad(self._path, f"it unpacks to more than {_MOST_FILES} files or {_MOST_BYTES // 1024**2} MiB")

    def bad(self, why: str) -> ConfigError:
        return _bad(self._path, why)


def _archive(stream: IO[bytes], label: str, budget: _Budget, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """The files of a packaged chart, without the folder of the chart's name that each begins with."""
    try:
        with _opened(stream) as archive:
            for member in archive:
                _, _, name = member.name.partition("/")
                # also for what is passed over: it is unpacked all the same
                budget.take(name, member.size)
                if not member.isfile() or not _within(member.name) or not name:
                    continue
                part = archive.extractfile(member)
                content = part.read() if part else b""
                yield name, content
                yield from _nested(name, content, budget, depth)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise budget.bad(f"`{Path(label).name}` is no packaged chart ({type(error).__name__})") from None


@contextmanager
def _opened(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    # not tarfile's own "r|gz": it cannot read the extra field that helm puts into the gzip header
    with gzip.GzipFile(fileobj=stream) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
        yield archive


def _nested(name: str, content: bytes, budget: _Budget, depth: int) -> Iterator[tuple[str, bytes]]:
    """The files of a sub-chart that is packaged inside ``charts/``, as if it were a folder of its name."""
    path = PurePosixPath(name)
    if path.suffix != ".tgz" or path.parent.name != "charts" or depth >= _DEEPEST:
        return
    inner = list(_archive(io.BytesIO(content), path.name, budget, depth + 1))
    with_folder = _top_folder(content) or path.stem
    for below, text in inner:
        yield str(path.parent / with_folder / below), text


def _top_folder(content: bytes) -> str:
    with _opened(io.BytesIO(content)) as archive:
        first = archive.next()
        return first.name.partition("/")[0] if first and _within(first.name) else ""


def _folder(root: Path) -> Iterator[tuple[str, bytes]]:
    budget = _Budget(root)
    inside = root.resolve()
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if _IGNORED_FOLDERS.intersection(relative.parts) or not path.is_file():
            continue
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            continue
        name = relative.as_posix()
        budget.take(name, path.stat().st_size)
        content = path.read_bytes()
        yield name, content
        yield from _nested(name, content, budget, 0)


def _folder_digest(root: Path) -> str:
    digest = hashlib.sha256()
    for name, content in _folder(root):
        # lengths keep a name and its content apart
        digest.update(f"{len(name)} {name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()


def _within(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _bad(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"`{path}` is not a chart: {why}", hint=typed("helm show chart {path}", path=str(path)), anchor="bad-chart"
    )
