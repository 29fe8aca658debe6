"""Puts the agents' programs where `kubectl exec` of a simulated pod finds them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tests.sandbox.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("agent", "datadog-cluster-agent")


def install(sandbox: Sandbox) -> None:
    """From now on, until the next `use`, every pod of the sandbox has them."""
    for name in PROGRAMS:
        command = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.agent", str(sandbox.dir), name]
        put(sandbox, name, f'exec {shlex.join(command)} "$@"\n')


def put(sandbox: Sandbox, name: str, script: str) -> None:
    """A shell script as that program, for whoever answers otherwise; replaced at once, even while another one runs."""
    scratch = sandbox.exec_bin / f".{name}.new"
    scratch.write_text(f"#!/bin/sh\n{script}")
    scratch.chmod(0o755)
    scratch.replace(sandbox.exec_bin / name)
