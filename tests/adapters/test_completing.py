"""What a shell offers: asked as bash asks it, of the program that is installed, with no cluster in reach."""

import os
import subprocess
import sys
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
