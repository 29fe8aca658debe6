"""A package is loaded without what it imports in vain, and nobody else's imports see that."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ddhelm import lean


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lean_package", raising=False)
    return tmp_path / "lean_package.py"


def test_its_own_imports_get_what_is_given_instead(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package.write_text(
        "import wave\nimport json\nfrom wave import open as o\nfrom os import path\nfrom xml import sax\n"
    )
    for name in ("wave", "xml.sax"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    wave, sax = ModuleType("wave"), ModuleType("sax")
    vars(wave)["open"] = "instead"
    loaded = lean.load("lean_package", {"wave": wave, "xml.sax": sax})
    assert (loaded.wave, loaded.o, loaded.sax) == (wave, "instead", sax)
    assert loaded.json is sys.modules["json"]
    assert loaded.path is sys.modules["os"].path
    assert not {"wave", "xml.sax"} & sys.modules.keys()
    import wave as real

    assert real is not wave
    assert lean.load("lean_package", {}) is loaded, "once"
    monkeypatch.delitem(sys.modules, "lean_package")


def test_one_that_is_not_there_or_breaks_leaves_nothing(package: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        lean.load("no_such_package", {})
    package.write_text("import json\n1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        lean.load("lean_package", {})
    assert "lean_package" not in sys.modules


def test_sh_runs_without_asyncio_and_asyncio_is_there_for_others() -> None:
    code = """
import sys
from ddhelm.run import Command, Runner
assert Runner().run(Command(("/bin/echo", "said"))).out == "said\\n"
assert not {"asyncio", "importlib.metadata", "email"} & sys.modules.keys(), "loaded in vain"
import asyncio, importlib.metadata
async def two(): return 2
assert asyncio.run(two()) == 2
assert importlib.metadata.version("sh")[0] == "2"
assert Runner().run(Command(("/bin/echo", "again"))).out == "again\\n"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
