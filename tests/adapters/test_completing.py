"""What a shell offers: asked as bash asks it, of the program that is installed, with no cluster in reach."""

import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

KUBECONFIG = """
apiVersion: v1
kind: Config
contexts:
- {name: prod-eu, context: {cluster: a}}
- {name: prod-us, context: {cluster: a}}
- {name: stage, context: {cluster: a}}
clusters:
- {name: a, cluster: {server: "https://127.0.0.1:1"}}
"""


def offered(tmp_path: Path, *words: str, **environ: str) -> list[str]:
    kubeconfig = tmp_path / "config"
    if not kubeconfig.exists():
        kubeconfig.write_text(KUBECONFIG)
    asked = {
        "COMP_WORDS": "\n".join(("ddhelm", *words)),
        "COMP_CWORD": str(len(words)),
        "_DDHELM_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ddhelm")],
        env={"PATH": os.devnull, "HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig), **asked, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["unin"], ["uninstall"]),
        (["status", "--context", "prod"], ["prod-eu", "prod-us"]),
        (["onboard", "--distribution", "k3"], ["k3s"]),
        (["onboard", "--only", "w"], ["worker"]),
        (["onboard", "--skip", "host-p"], ["host-ports-free", "host-paths-apart"]),
        (["onboard", "--drop-check", "e"], ["etcd"]),
        (["onboard", "--site", "us3"], ["us3.datadoghq.com"]),
        (["onboard", "--control-plane-v"], ["--control-plane-values"]),
        (["plan", "-o", "m"], ["markdown"]),
        (["values", "c"], ["control-plane"]),
    ],
)
def test_names_are_offered_without_a_cluster_and_without_helm(
    tmp_path: Path, words: list[str], wanted: list[str]
) -> None:
    assert offered(tmp_path, *words) == wanted


def test_contexts_come_from_the_kubeconfig_that_the_line_names(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(KUBECONFIG.replace("prod-eu", "lab"))
    assert offered(tmp_path, "status", "--kubeconfig", str(other), "--context", "l") == ["lab"]


@pytest.mark.parametrize("content", ["- no kubeconfig", "{", ""])
def test_a_broken_kubeconfig_offers_nothing_and_complains_nowhere(tmp_path: Path, content: str) -> None:
    broken = tmp_path / "broken"
    broken.write_text(content)
    assert offered(tmp_path, "status", "--context", "", KUBECONFIG=str(broken)) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_calls_ddhelm(shell: str) -> None:
    program = str(Path(sys.executable).parent / "ddhelm")
    done = subprocess.run([program, "completion", shell], capture_output=True, text=True, timeout=30, check=True)
    assert f"complete_{shell}" in done.stdout


ARN = "arn:aws:eks:eu-west-1:123456789012:cluster/"
CODE = Path(__file__).parents[2]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[int]:
    """A bash that somebody types into, with the script and a kubeconfig of two EKS clusters."""
    program = tmp_path / "ddhelm"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={CODE} exec {sys.executable} -m ddhelm "$@"\n')
    program.chmod(0o700)
    (tmp_path / "config").write_text(KUBECONFIG.replace("prod-eu", f'"{ARN}prod"').replace("stage", f'"{ARN}lab"'))
    path = f"{tmp_path}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "config"), "TERM": "dumb"}
    terminal, its = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 200))
    bash = ["bash", "--norc", "--noprofile", "-i"]
    with subprocess.Popen(bash, stdin=its, stdout=its, stderr=its, env=environ, start_new_session=True):
        os.close(its)
        os.write(terminal, b"source <(ddhelm completion bash); echo rea''dy\n")
        shown(terminal, "ready\r\n")
        yield terminal
        os.close(terminal)


def shown(terminal: int, wanted: str, within: float = 30) -> str:
    text, until = "", time.monotonic() + within
    while wanted not in text and time.monotonic() < until:
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 4096).decode()
    return text


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("typed", "keys", "wanted"),
    [
        (f"--context {ARN}l", "\t", f"--context {ARN}lab "),
        (f"--context {ARN}", "\t\t", "cluster/lab   cluster/prod"),
        ("--context arn:", "\t", f"--context arn:\x07{ARN.removeprefix('arn:')}"),
        (f"--context {ARN}lab -o js", "\t", "-o json "),
        (f'--context "{ARN}l', "\t", f'"{ARN}lab" '),
    ],
)
def test_bash_completes_a_name_with_colons(terminal: int, typed: str, keys: str, wanted: str) -> None:
    os.write(terminal, f"ddhelm status {typed}{keys}".encode())
    assert wanted in shown(terminal, wanted)
