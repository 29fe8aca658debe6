"""The shape of `status --json`: the part of it that says how checks go.

Field names are those of the agent's own statistics: `runnerStats.Checks` maps a check to its instances, an instance's
`LastError` is a JSON list of `{message, traceback}` for a check in Python and plain text for one in Go.
"""

from __future__ import annotations

import time
from typing import Any

Json = dict[str, Any]
VERSION = "7.81.1"


def instance(
    check: str, number: int, *, source: str, metrics: int = 0, error: str = "", warnings: tuple[str, ...] = ()
) -> Json:
    """What the runner knows of one instance after its first run."""
    now = int(time.time())
    return {
        "CheckName": check,
        "CheckVersion": "",
        "CheckConfigSource": source,
        "CheckLoader": "python" if source.startswith("file:") else "core",
        "CheckID": f"{check}:{number:016x}",
        "Interval": 15_000_000_000,
        "LongRunning": False,
        "Cancelling": False,
        "TotalRuns": 1,
        "TotalErrors": int(bool(error)),
        "TotalWarnings": len(warnings),
        "MetricSamples": metrics,
        "TotalMetricSamples": metrics,
        "Events": 0,
        "TotalEvents": 0,
        "ServiceChecks": 1,
        "TotalServiceChecks": 1,
        "ExecutionTimes": [7, *[0] * 31],
        "AverageExecutionTime": 7,
        "LastExecutionTime": 7,
        "LastDelay": 0,
        "LastError": error,
        "LastWarnings": list(warnings),
        "LastSuccessDate": 0 if error else now,
        "UpdateTimestamp": now,
    }


def document(
    flavor: str, hostname: str, instances: list[Json], *, loading: dict[str, Json], config_errors: dict[str, str]
) -> Json:
    """The whole answer; keys that say nothing of checks are left out."""
    checks: dict[str, Json] = {}
    for each in instances:
        checks.setdefault(each["CheckName"], {})[each["CheckID"]] = each
    return {
        "flavor": flavor,
        "version": VERSION,
        "metadata": {"meta": {"hostname": hostname}},
        "agent_start_nano": time.time_ns(),
        "time_nano": time.time_ns(),
        "runnerStats": {
            "Checks": checks,
            "Errors": sum(each["TotalErrors"] for each in instances),
            "Runs": len(instances),
            "Running": {},
        },
        "autoConfigStats": {"ConfigErrors": config_errors, "ResolveWarnings": {}},
        "checkSchedulerStats": {"LoaderErrors": loading, "RunErrors": {}},
        "pyLoaderStats": {"ConfigureErrors": {}, "Py3Warnings": {}},
        "pythonInit": {"Errors": []},
    }
