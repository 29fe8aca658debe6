"""The tutorial and the README's session are run as a reader would, and print what the pages show."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.demo.chart import STAND_IN
from tests.docs.pages import page
from tests.docs.session import Done, Step, missing, play, steps
from tests.sandbox import build
from tests.sandbox.fixtures import Clusters

MAKE = """\
#!/bin/sh
# `make demo` of the page, in the folder of the test and with a chart that needs no network.
case "$1" in
  demo) exec {python} -m tests.demo up --dir "$PWD/.demo" --chart {chart} ;;
  demo-down) exec {python} -m tests.demo down --dir "$PWD/.demo" ;;
esac
exit 64
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """The chart under test, packaged."""
    if "DDHELM_TEST_CHART" in os.environ:
        return Path(os.environ["DDHELM_TEST_CHART"]).resolve()
    subprocess.run([build.helm("4.3"), "package", STAND_IN, "--destination", tmp_path], check=True)
    (package,) = tmp_path.glob("*.tgz")
    return package


@pytest.fixture
def folder(tmp_path: Path, chart: Path) -> Iterator[Path]:
    """Where a reader's clone would be; a `make` that knows the two targets of the page is in its `bin`."""
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(MAKE.format(python=sys.executable, chart=chart))
    make.chmod(0o755)
    yield tmp_path
    subprocess.run([make, "demo-down"], cwd=tmp_path, env=environment(tmp_path), check=True)


def environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    cache = build.cache_folder().parent
    return {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(home), "XDG_CACHE_HOME": str(cache)}


def expected_code(session: list[Step], number: int) -> int:
    """0, or what the page shows for the `echo $?` that follows."""
    following = session[number + 1 : number + 2]
    return int(following[0].shown[0]) if following and following[0].command == "echo $?" else 0


def followed(name: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Runs the page's session; every command ends as the page says and prints what it shows."""
    session = steps(page(name))
    for number, done in enumerate(play(session, folder, environ)):
        place = f"{name}:{done.step.line}: {done.step.command}"
        if done.step.command != "echo $?":
            assert done.code == expected_code(session, number), f"{place}\n{done.printed}"
        assert not missing(done), f"{place} printed\n{done.printed}"


def test_the_tutorial_can_be_followed_and_prints_what_it_shows(folder: Path) -> None:
    followed("docs/tutorial/first-cluster.md", folder, environment(folder))


def test_the_session_of_the_readme_prints_what_it_shows(cluster: Clusters, chart: Path, tmp_path: Path) -> None:
    shim = tmp_path / "shim" / "ddhelm"
    shim.parent.mkdir()
    # The page's commands take the chart from Datadog's repository, which a test must not need.
    program = Path(sys.executable).parent / "ddhelm"
    shim.write_text(f'#!/bin/sh\nexec {program} "$@" --chart {chart}\n')
    shim.chmod(0o755)
    environ = cluster("kubeadm").environment()
    made_up = {"DD_API_KEY": "0" * 32, "PATH": f"{shim.parent}:{environ['PATH']}"}
    followed("README.md", tmp_path, environ | made_up)


def test_a_shown_line_must_come_out_in_its_place() -> None:
    step = Step("ddhelm status", ("✓ 8 of 8 nodes", "…", "revision 3"), 1)
    assert missing(Done(step, "✓ 5 of 8   nodes\nmore\nrevision 12\n", 0)) == []
    assert missing(Done(step, "revision 3\n✓ 8 of 8 nodes\n", 0)) == ["revision 3"]
    assert missing(Done(step, "✓ 8 of 8 nodes\n", 0)) == ["revision 3"]
