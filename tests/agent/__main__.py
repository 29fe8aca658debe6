"""`python -m tests.agent FOLDER PROGRAM status --json`: what that program prints in the pod that it plays.

FOLDER is the sandbox's, PROGRAM `agent` or `datadog-cluster-agent`; the pod comes from the environment (`front.py`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.sandbox import front
from tests.sandbox.api import ApiError
from tests.sandbox.sandbox import Sandbox


def main(arguments: Sequence[str]) -> int:
    """0, or 1 for a command line that an agent of ours does not know; and where an agent could not start."""
    folder, program, *rest = arguments
    if rest not in (["status", "--json"], ["status", "-j"]):
        print(f"Error: unknown command {' '.join(rest)!r} for {program!r}", file=sys.stderr)
        return 1
    sandbox = Sandbox.attach(Path(folder))
    namespace, _, name = os.environ[front.POD].partition("/")
    try:
        pod = sandbox.api_get(f"/api/v1/namespaces/{namespace}/pods/{name}")
    except ApiError as error:
        print(f"Error: the pod is gone: {error}", file=sys.stderr)
        return 1
    if program == "agent":
        from tests.agent.node import status
    else:
        from tests.agent.cluster import status
    print(json.dumps(status(sandbox, pod), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
