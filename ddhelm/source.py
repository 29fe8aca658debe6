"""Where a chart comes from, and the private shelf of those already fetched.

A chart is fetched once per source and exact version and then used by path: ``--repo`` prefers a folder ``./datadog``
that happens to be there, fails over unrelated repositories of the user, and costs a second on every call.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ddhelm import wholefile
from ddhelm.errors import ConfigError, ToolError
from ddhelm.pasting import typed
from ddhelm.release import DEFAULT_REPOSITORY
from ddhelm.tree import is_utf8

DEFAULT_CHART = "datadog"

_EXACT = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)")


class Source(Struct, frozen=True):
    """A chart as the user named it; ``repo`` is the address of the repository for kind ``repo``, else empty."""

    kind: Literal["repo", "oci", "url", "path"]
    chart: str
    repo: str = ""

    def __str__(self) -> str:
        """As it would be shown to people."""
        return f"{self.chart} of {self.repo}" if self.repo else self.chart


def source(text: str, repo: str = DEFAULT_REPOSITORY) -> Source:
    """Read ``--chart``: a name in ``repo``, the address of a repository, ``oci://…``, a path, or a ``.tgz`` anywhere.

    A bare name is never a folder. Raises ConfigError (anchor ``chart-not-found``) for ``alias/chart``: the user's own
    ``helm repo add`` list is not read; for a place that is not UTF-8; and for an address with credentials in it, which
    everybody could read in the process list and in the releases.
    """
    text = _kept(text.strip())
    if "://" in text and _with_credentials(text):
        raise ConfigError(
            "the address of the chart holds credentials, which would stand in the process list and in both releases",
            hint="helm registry login HOST for oci://; otherwise fetch it with helm pull, and give --chart FILE.tgz",
            anchor="credentials-in-address",
        )
    if text.startswith("oci://"):
        return Source("oci", text)
    if text.startswith(("https://", "http://")):
        if text.split("?")[0].endswith((".tgz", ".tar.gz")):
            return Source("url", text)
        return Source("repo", DEFAULT_CHART, text.rstrip("/"))
    if (
        text.startswith((".", "/", "~"))
        or text.endswith((".tgz", ".tar.gz"))
        or ("/" in text and not wholefile.missing(Path(text)))
    ):
        return Source("path", _kept(str(_path(text).absolute())))
    if not text or "/" in text:
        raise ConfigError(
            f"`{text}` is not a chart",
            hint=f"--chart datadog, ./datadog, datadog.tgz, oci://HOST/datadog or {DEFAULT_REPOSITORY}",
            anchor="chart-not-found",
        )
    # a folder `datadog` is often something else
    if text != DEFAULT_CHART and os.access(Path(text) / "Chart.yaml", os.R_OK):
        raise ConfigError(
            f"`{text}` is a chart of the repository, and a folder with a chart is called so, too",
            hint=typed("--chart {folder} for the folder", folder=f"./{text}"),
            anchor="chart-not-found",
        )
    return Source("repo", text, repo)


def _path(text: str) -> Path:
    try:
        return wholefile.path(text)
    except OSError as error:
        raise ConfigError(
            f"there is no chart at `{text}`: {error.strerror}", hint="--chart PATH", anchor="chart-not-found"
        ) from None


def _with_credentials(address: str) -> bool:
    from ddhelm.masking import secret_shaped  # here: a path needs none of it

    return "@" in address.partition("://")[2].partition("/")[0] or secret_shaped(address)


def _kept(place: str) -> str:
    """A chart's place as it is kept with the releases: as UTF-8, or ConfigError."""
    if not is_utf8(place):
        raise ConfigError(
            f"`{place}` is not UTF-8, and the place of a chart is kept with the releases",
            hint="--chart PATH, of a copy at a place with a name in UTF-8",
            anchor="chart-not-found",
        )
    return place


def exact(version: str | None) -> str | None:
    """The version without a leading ``v`` if it names exactly one, None for ranges (``3.90``, ``^3``) and for none."""
    found = _EXACT.fullmatch(version or "")
    return found.group(1) if found else None


class Shelf:
    """Fetched charts below ``folder``, by source and version; each with its SHA-256 beside it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, of: Source, version: str) -> Path | None:
        """The chart of this exact version; None if it is not there or is not what was put there."""
        for archive in self._archives(of, f"*-{version}.tgz"):
            with suppress(OSError):
                if archive.with_suffix(".sha256").read_bytes().strip() == _digest(archive).encode():
                    return archive
        return None

    def versions(self, of: Source) -> tuple[str, ...]:
        """The versions that are there, for a hint when the repository is not reachable."""
        name = of.chart.rstrip("/").rpartition("/")[2]
        archives = self._archives(of, f"{name}-*.tgz")
        return tuple(sorted(archive.name.removeprefix(f"{name}-").removesuffix(".tgz") for archive in archives))

    @contextmanager
    def desk(self) -> Iterator[Path]:
        """An empty folder to fetch into, gone afterwards; on the same file system as the shelf."""
        import tempfile  # here: only what has to be fetched pays for it

        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            desk = Path(tempfile.mkdtemp(dir=self._folder, prefix=".fetch-"))
        except OSError as error:
            raise ToolError(
                f"the cache folder `{self._folder}` cannot be written: {error.strerror}",
                hint="XDG_CACHE_HOME=FOLDER ddhelm …",
                anchor="cache-folder",
            ) from None
        try:
            yield desk
        finally:
            shutil.rmtree(desk, ignore_errors=True)

    def put(self, of: Source, archive: Path) -> Path:
        """Move a fetched chart to its place, at once: another run sees all of it or nothing."""
        place = self._place(of)
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = place / archive.name
        seal = archive.with_suffix(".sha256")
        seal.write_text(_digest(archive) + "\n")
        seal.replace(target.with_suffix(".sha256"))
        return archive.replace(target)

    def _archives(self, of: Source, pattern: str) -> list[Path]:
        """Those of that name; none of a folder that may not be looked into."""
        with suppress(OSError):
            return list(self._place(of).glob(pattern))
        return []

    def _place(self, of: Source) -> Path:
        return self._folder / hashlib.sha256(f"{of.kind} {of.repo} {of.chart}".encode()).hexdigest()[:16]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
