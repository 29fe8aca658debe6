"""Charts that tests install: our stand-in for the Datadog chart, or the real one where `DDHELM_TEST_CHART` names it.

A test that takes `chart()` runs on both without knowing which; see datadog/README.md for how far the stand-in goes.
"""

from __future__ import annotations

import atexit
import gzip
import io
import os
import shutil
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path

VARIABLE = "DDHELM_TEST_CHART"
STAND_IN_VERSION = "3.999.0"
_SOURCE = Path(__file__).parent / "datadog"
_LEFT_OUT = {"README.md"}  # what .helmignore names


def chart() -> Path:
    """The package under test: what `DDHELM_TEST_CHART` names, else the stand-in, packaged once per process.

    Raises FileNotFoundError when the variable names nothing.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return _packaged()
    found = Path(named).expanduser().resolve()
    if not found.exists():
        raise FileNotFoundError(f"{VARIABLE} names `{named}`, and there is no such file")
    return found


def is_stand_in() -> bool:
    """Whether `chart()` is ours."""
    return not os.environ.get(VARIABLE)


def chart_dir() -> Path:
    """The stand-in's own folder, which helm takes as well as a package."""
    return _SOURCE


def package(folder: Path, version: str = STAND_IN_VERSION) -> Path:
    """Writes the stand-in as `datadog-VERSION.tgz` into `folder`: same bytes for the same sources, as `helm package`.

    Another version makes another chart of it, for tests of upgrades.
    """
    target = folder / f"datadog-{version}.tgz"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sorted(_SOURCE.rglob("*")):
            if path.is_file() and path.relative_to(_SOURCE).as_posix() not in _LEFT_OUT:
                content = path.read_bytes()
                if path == _SOURCE / "Chart.yaml":
                    content = content.replace(STAND_IN_VERSION.encode(), version.encode())
                entry = tarfile.TarInfo(f"datadog/{path.relative_to(_SOURCE).as_posix()}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    target.write_bytes(gzip.compress(archive.getvalue(), mtime=0))
    return target


@lru_cache(maxsize=1)
def _packaged() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ddhelm-chart-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return package(folder)
