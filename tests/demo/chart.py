"""Which chart the demo installs: the real one where it can be had, else the stand-in of the tests."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STAND_IN = Path(__file__).resolve().parents[1] / "charts" / "datadog"
REPOSITORY = "https://helm.datadoghq.com"
VERSION = "3.240.0"
"""Pinned: a demo should do tomorrow what it does today."""
PATIENCE = 60
"""Seconds for the pull; behind a firewall that drops packets helm itself would wait for minutes."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A packaged chart and the sentence that says which it is."""

    path: Path
    sentence: str


def choose(folder: Path, named: str | None, environ: Mapping[str, str]) -> Chosen:
    """The chart that was named, else the real one, pulled into `folder`, else the stand-in, packaged there."""
    if named:
        return Chosen(Path(named).resolve(), f"{named}, as you asked")
    pulled = folder / f"datadog-{VERSION}.tgz"
    if pulled.exists() or _pull(folder, environ):
        return Chosen(pulled, f"the official chart datadog {VERSION}, from {REPOSITORY}")
    package = _package(folder, environ)
    why = f"the stand-in of ddhelm's tests ({package.name}): {REPOSITORY} cannot be reached from here"
    return Chosen(package, why)


def _pull(folder: Path, environ: Mapping[str, str]) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    command = ["helm", "pull", "datadog", "--repo", REPOSITORY, "--version", VERSION, "--destination", str(folder)]
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _package(folder: Path, environ: Mapping[str, str]) -> Path:
    command = ["helm", "package", str(STAND_IN), "--destination", str(folder)]
    subprocess.run(command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, check=True)
    (package,) = folder.glob("datadog-*.tgz")
    return package
