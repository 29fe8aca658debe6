"""pytest's way to a cluster: one control plane per test session, emptied and filled anew for every test.

A session that is killed leaves nothing: its sandbox ends with it. See README.md for what `cluster` returns.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.sandbox import build, control
from tests.sandbox.layout import Layout, runtime_folder
from tests.sandbox.sandbox import Sandbox

Clusters = Callable[[str | Path], Sandbox]
HELM_VERSIONS = build.HELM_VERSIONS


def each_helm(*versions: str, matrix: Sequence[str] = ()) -> pytest.MarkDecorator:
    """Runs a test that takes `helm_version` once per version, all supported ones if none is named.

    Those of `matrix` only in `make test-all`: where majors need not be compared, tests of one file take turns.
    """
    return pytest.mark.parametrize(
        "helm_version",
        [*(versions or HELM_VERSIONS), *(pytest.param(version, marks=pytest.mark.matrix) for version in matrix)],
        ids=lambda version: f"helm-{version}",
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what is missing before the first test: ten minutes on a bare machine, more than a test may take."""
    wanted = any("sandbox" in item.fixturenames for item in session.items if isinstance(item, pytest.Function))
    if wanted and not session.config.option.collectonly:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            build.build_all()


@pytest.fixture
def helm_version() -> str:
    """The Helm minor version to test with; `@each_helm(...)` runs a test with others."""
    return "4.3"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The session's control plane, started by the first test that asks for it. Its state is whatever tests left."""
    base = runtime_folder()
    _sweep(base)
    running = Sandbox.start(base / f"pytest-{os.getpid()}")
    yield running
    running.stop()


@pytest.fixture
def cluster(sandbox: Sandbox) -> Clusters:
    """`cluster("kubeadm")`: the session's sandbox, emptied of everything and filled with that topology."""
    return sandbox.use


def _sweep(base: Path) -> None:
    """Removes the folders of sessions that were killed together with their supervisor."""
    for folder in base.glob("pytest-*"):
        session = folder.name.removeprefix("pytest-")
        if not Path(f"/proc/{session}").exists() and "supervisor" not in control.alive(Layout(folder)):
            shutil.rmtree(folder, ignore_errors=True)
