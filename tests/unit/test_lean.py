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


def test_a_package_is_imported_as_where_another_is_not_installed() -> None:
    """msgspec takes from typing_extensions what typing has; whoever wants that package afterwards gets it."""
    program = (
        "import sys; from ddhelm import lean; lean.without('typing_extensions', 'msgspec')\n"
        "assert 'msgspec' in sys.modules and 'typing_extensions' not in sys.modules\n"
        "from typing import NotRequired, TypedDict\nfrom msgspec import Struct, json\n"
        "class Inner(TypedDict):\n a: int\n b: NotRequired[str]\n"
        "class Outer(Struct):\n inner: Inner\n"
        'print(json.decode(b\'{"inner": {"a": 1}}\', type=Outer))\n'
        "import typing_extensions; lean.without('typing_extensions', 'json'); assert 'typing_extensions' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "Outer(inner={'a': 1})\n"


def test_a_package_that_cannot_do_without_leaves_nothing(package: Path) -> None:
    package.write_text("import no_such_thing\n")
    with pytest.raises(ModuleNotFoundError):
        lean.without("no_such_thing", "lean_package")
    assert not {"no_such_thing", "lean_package"} & sys.modules.keys()
