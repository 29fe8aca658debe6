"""Programs are built once, by one builder at a time, and a folder of the user's own comes first.

A stand-in for `go` keeps this quick; every other test runs what the real one has built.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox import build

CHECKOUT = Path(__file__).resolve().parents[2]
GO = """#!/bin/sh
[ "$1" = env ] && { echo go1.26.1; echo local; exit 0; }
[ "$1 $2" = "build -mod=readonly" ] || { echo "unexpected: $*" >&2; exit 9; }
[ "$CGO_ENABLED$GOFLAGS" = 0 ] || { echo "unexpected environment" >&2; exit 9; }
echo "$PWD" >> "$LOG"
sleep 0.3
while [ "$1" != -o ]; do shift; done
echo built > "$2"
"""


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and a `go` that notes what it is asked."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    for name in ("DDHELM_SANDBOX_BIN", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_two_builders_at_once_build_once(workshop: Path) -> None:
    command = [sys.executable, "-c", "from tests.sandbox.build import tool; print(tool('etcd'))"]
    two = [
        subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60) for process in two]
    assert answers[0][0] == answers[1][0]
    assert Path(answers[0][0].strip()).read_text() == "built\n"
    assert (workshop / "log").read_text().splitlines() == [str(build.GO_SOURCES / "etcd")]
    notes = "".join(note for _, note in answers)
    assert "building etcd 3.6.16" in notes
    assert "built etcd 3.6.16 (" in notes
    key = build.tool("etcd").parent.name
    assert {path.name for path in build.cache_folder().iterdir()} == {key, f"{key}.lock"}


def test_killed_build_is_swept_up(workshop: Path) -> None:
    module = next(module for module in build.MODULES if module.name == "kwok")
    left = build.cache_folder() / f"{module.key}.build-abc"
    left.mkdir(parents=True)
    assert build.tool("kwok").read_text() == "built\n"
    assert not left.exists()


def test_kubectl_and_helm_stand_alone(workshop: Path) -> None:
    for program in (build.tool("kubectl"), build.helm("3.22")):
        assert [path.name for path in program.parent.iterdir()] == [program.name]


def test_compiler_that_fails_is_quoted_and_leaves_nothing(workshop: Path) -> None:
    (workshop / "bin" / "go").write_text(
        '#!/bin/sh\n[ "$1" = env ] && { echo go1.26.1; exit; }\necho "no such type"; exit 1\n'
    )
    with pytest.raises(build.BuildError, match=r"(?s)`etcd` of etcd 3.6.16 does not build.*no such type"):
        build.tool("etcd")
    assert [path.suffix for path in build.cache_folder().iterdir()] == [".lock"]


@pytest.mark.parametrize("variable", ["DDHELM_SANDBOX_BIN", "KUBEBUILDER_ASSETS"])
def test_folder_of_the_user_comes_first(workshop: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    folder = workshop / "assets"
    for name in ("etcd", "kubectl", "helm-4.3/helm"):
        program = folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(mode=0o755)
    monkeypatch.setenv(variable, str(folder))
    assert build.tool("etcd") == folder / "etcd"
    assert build.helm("4.3") == folder / "helm-4.3" / "helm"
    kubectl = build.tool("kubectl")
    assert kubectl.resolve() == folder / "kubectl"
    assert [path.name for path in kubectl.parent.iterdir()] == ["kubectl"]
    assert build.tool("kwok").read_text() == "built\n"
    assert not (workshop / "log").read_text().count("etcd")


@pytest.mark.parametrize(("version", "usable"), [("go1.26.0", True), ("go1.25.9", False), ("go1.30rc1", True)])
def test_old_go_is_not_used(workshop: Path, version: str, usable: bool) -> None:
    go = workshop / "bin" / "go"
    go.write_text(f"#!/bin/sh\necho {version}; echo local\n")
    assert build._new_enough(str(go)) is usable


def test_key_tells_flags_and_pins_apart() -> None:
    keys = {module.key for module in build.MODULES}
    assert len(keys) == len(build.MODULES)
    etcd = build.MODULES[0]
    assert build.Module(etcd.name, etcd.version, etcd.programs, {"a.b": "c"}).key not in keys


def test_go_sums_pin_every_module() -> None:
    for module in build.MODULES:
        text = (module.source / "go.mod").read_text() + (module.source / "go.sum").read_text()
        assert f"v{module.version}" in text, module.name
        assert os.access(module.source / "go.sum", os.R_OK)
