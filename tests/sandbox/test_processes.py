"""Nothing outlives a sandbox, however its owner ends; and two owners do not get in each other's way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import control, supervisor
from tests.sandbox.layout import Layout
from tests.sandbox.sandbox import Sandbox, SandboxError
from tests.sandbox.waiting import wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
OWNER = """
import sys
from pathlib import Path
from tests.sandbox.components import Ports
from tests.sandbox.sandbox import Sandbox

good, lost = Ports.free(), Ports(int(sys.argv[2]), *range(32001, 32008))
choices = iter([lost, good])
Ports.free = lambda: next(choices)
Sandbox.start(Path(sys.argv[1]))
sys.stdin.read()
"""


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    found = Layout(tmp_path / "a folder" / "cluster")
    yield found
    control.stop(found)


def run(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def port_of(server: socket.socket) -> str:
    return str(server.getsockname()[1])


def command_line(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "tests.sandbox", *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=120).stdout


def until_all_run(layout: Layout) -> dict[str, tuple[int, int]]:
    wait_for(layout.state.exists, 90, "the sandbox")
    return control.recorded(layout)


def gone(processes: dict[str, tuple[int, int]]) -> bool:
    return all(supervisor.start_time(pid) != started for pid, started in processes.values())


def test_killed_owner_leaves_no_process_and_no_file(layout: Layout) -> None:
    """Nor does it matter that someone else took a port first."""
    with socket.create_server(("127.0.0.1", 0)) as thief, run("-c", OWNER, str(layout.root), port_of(thief)) as owner:
        processes = until_all_run(layout)
        assert len(processes) == 7
        assert Sandbox.attach(layout.root).ports.etcd != int(port_of(thief))
        owner.kill()
    wait_for(lambda: gone(processes) and not layout.root.exists(), what="everything to be gone")


def test_interrupted_up_leaves_no_process_and_no_file(layout: Layout) -> None:
    with run("-m", "tests.sandbox", "up", "--dir", str(layout.root)) as owner:
        wait_for(lambda: "kube-apiserver" in control.recorded(layout), 60)
        processes = control.recorded(layout)
        owner.send_signal(signal.SIGINT)
        assert owner.wait(30) == 130
    assert gone(processes)
    assert not layout.root.exists()


def test_components_die_with_a_killed_supervisor_and_down_removes_the_rest(layout: Layout) -> None:
    two = [run("-m", "tests.sandbox", "up", "--topology", "k3s-single", "--dir", str(layout.root)) for _ in range(2)]
    answers = sorted(process.communicate(timeout=120)[0].split(" in ")[0] for process in two)
    assert answers == ["up", "up already"]
    assert [process.returncode for process in two] == [0, 0]
    status = command_line("status", "--dir", layout.root)
    assert status.count("healthy") == 6
    assert command_line("kubeconfig", "--dir", layout.root) == f"{layout.kubeconfig}\n"

    processes = control.recorded(layout)
    os.kill(processes["supervisor"][0], signal.SIGKILL)
    wait_for(lambda: gone(processes), what="the components to die")
    command_line("down", "--dir", layout.root)
    assert not layout.root.exists()
    assert command_line("down", "--dir", layout.root).startswith("nothing is up")


def test_down_spares_a_process_that_only_has_the_number(layout: Layout) -> None:
    layout.make()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        record = {"pid": stranger.pid, "started": (supervisor.start_time(stranger.pid) or 0) - 1}
        layout.processes.write_text(json.dumps({"supervisor": record, "components": {"etcd": record}}))
        command_line("down", "--dir", layout.root)
        assert stranger.poll() is None
        stranger.kill()
    assert not layout.root.exists()


def test_down_and_up_spare_a_folder_that_is_no_sandbox(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    for command in ("down", "up"):
        with pytest.raises(subprocess.CalledProcessError) as refusal:
            command_line(command, "--dir", tmp_path)
        assert refusal.value.stderr.startswith("error: ")
    assert (tmp_path / "thesis.txt").exists()


def test_component_that_cannot_start_is_explained(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sandbox.audit.POLICY", {"kind": "Nonsense"})
    with pytest.raises(SandboxError, match=r"(?s)`kube-apiserver` ended \(exit 1\):.*Nonsense"):
        Sandbox.start(layout.root)
    assert not layout.root.exists()
