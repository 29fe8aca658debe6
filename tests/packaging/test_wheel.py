"""The wheel works by itself: in an environment that holds nothing else, from a folder that is not the checkout."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import ddhelm

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a fresh environment with nothing but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", wheel], check=True)
    return folder / "bin"


def run(command: list[str | Path], cwd: Path) -> str:
    """What the command prints; it gets no environment that could lead it back to the checkout."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    done = subprocess.run(
        command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_carries_what_it_needs_and_works_once_installed(wheel: Path, installed: Path, tmp_path: Path) -> None:
    """One test: each worker of pytest would build and install it."""
    it_carries_every_file_of_layers_and_nothing_of_the_tests(wheel)
    assert run([installed / "ddhelm", "--version"], tmp_path).split()[-1] == ddhelm.__version__
    assert "KUBECONFIG" in run([installed / "ddhelm", "explain", "no-kubeconfig"], tmp_path)
    it_reads_the_layers_it_came_with(installed, tmp_path)


def it_carries_every_file_of_layers_and_nothing_of_the_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    layers = {str(path.relative_to(ROOT)) for path in (ROOT / "charts-values").rglob("*.yaml")}
    assert layers
    assert {f"ddhelm/{name}" for name in layers} <= names
    assert "ddhelm/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"ddhelm", f"ddhelm-{ddhelm.__version__}.dist-info"}


def it_reads_the_layers_it_came_with(installed: Path, tmp_path: Path) -> None:
    program = (
        "import ddhelm.library as library\n"
        "loaded = library.load()\n"
        "print(library.__file__, *(found.name for found in loaded.distributions()), sep='\\n')"
    )
    where, *distributions = run([installed / "python", "-c", program], tmp_path).split()
    assert Path(where).is_relative_to(installed.parent)
    assert set(distributions) == {path.stem for path in (ROOT / "charts-values" / "distributions").glob("*.yaml")}
