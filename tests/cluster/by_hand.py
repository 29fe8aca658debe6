"""What people do without ddhelm: plain helm calls, to have something to heal and to compare with."""

import subprocess

from tests.sandbox.sandbox import Sandbox


def helm(sandbox: Sandbox, version: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run helm as a person would; its exit code must be ``code``."""
    done = subprocess.run(
        ["helm", *arguments],
        env=sandbox.environment(helm=version),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done
