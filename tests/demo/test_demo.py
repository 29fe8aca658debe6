"""`make demo` ends with a healthy cluster, and every command that it prints works as it stands."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.chart import STAND_IN
from tests.sandbox import build, control, supervisor
from tests.sandbox.layout import Layout

ROOT = Path(__file__).resolve().parents[2]


def bare_environment(home: Path) -> dict[str, str]:
    """What a person has who installed neither helm nor kubectl, and whose own kubeconfig must not be touched."""
    cache = build.cache_folder().parent
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "XDG_CACHE_HOME": str(cache), "KUBECONFIG": "/nowhere"}


def demo(do: str, folder: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.demo", do, "--dir", folder, *arguments],
        cwd=ROOT,
        env=bare_environment(home) | {"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def commands(printed: str) -> list[str]:
    """What the farewell tells people to type, `make demo-down` apart."""
    return re.findall(r"^  \$ (\S*bin/.*)$", printed.partition("Look around")[2], re.MULTILINE)


def runs(pid: int, started: int) -> bool:
    handle = supervisor.open_process(pid, started)
    if handle is not None:
        os.close(handle)
    return handle is not None


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("demo") / "here"
    yield path
    demo("down", path, home)


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A packaged chart: the demo itself would first try to reach the repository."""
    target = tmp_path_factory.mktemp("chart")
    subprocess.run([build.helm("4.3"), "package", STAND_IN, "--destination", target], check=True)
    (package,) = target.glob("*.tgz")
    return os.environ.get("DDHELM_TEST_CHART", str(package))


@pytest.fixture(scope="module")
def first(folder: Path, home: Path, chart: str) -> str:
    """What the first `make demo` prints; it must leave the user's home alone."""
    done = demo("up", folder, home, "--chart", chart)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(home.iterdir())
    return done.stdout


def test_a_demo_from_its_first_command_to_its_last(first: str, folder: Path, home: Path, chart: str) -> None:
    """One test: each worker of pytest would start a demo of its own."""
    it_ends_with_the_status_table_and_how_to_look_around(first)
    every_command_that_it_prints_works_as_it_stands(first, folder, home)
    a_second_one_onboards_again_and_ends_with_the_table(first, folder, home, chart)
    demo_down_leaves_no_process_and_no_file(folder, home)


def it_ends_with_the_status_table_and_how_to_look_around(first: str) -> None:
    table, _, farewell = first.partition("Look around")
    assert "✓ 8 of 8 nodes run exactly one agent" in table
    assert "✓ 9 of 9 agents report" in table
    assert "worker-node-ddagent" in table
    assert "control-plane-ddagent" in table
    assert "make demo-down" in farewell


def every_command_that_it_prints_works_as_it_stands(first: str, folder: Path, home: Path) -> None:
    printed = commands(first)
    assert {shlex.split(line)[0].rsplit("/", 1)[1] for line in printed} == {"ddhelm", "helm", "kubectl"}
    for line in printed:
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=ROOT,
            env=bare_environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    listed = subprocess.run(
        [folder / "bin" / "helm", "list", "-A", "-o", "json", "--kubeconfig", folder / "kubeconfig"],
        env=bare_environment(home),
        capture_output=True,
        check=True,
    )
    assert json.loads(listed.stdout) == [], "the last command was to take the releases away"


def a_second_one_onboards_again_and_ends_with_the_table(first: str, folder: Path, home: Path, chart: str) -> None:
    done = demo("up", folder, home, "--chart", chart)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 nodes run exactly one agent" in done.stdout
    assert commands(done.stdout) == commands(first)


def demo_down_leaves_no_process_and_no_file(folder: Path, home: Path) -> None:
    running = control.recorded(Layout(folder / "cluster")).values()
    assert all(runs(*process) for process in running)
    done = demo("down", folder, home)
    assert done.returncode == 0, done.stderr
    assert not folder.exists()
    assert not any(runs(*process) for process in running)
    assert "nothing to stop" in demo("down", folder, home).stdout
