"""What an agent says of itself: `agent status --json` and `datadog-cluster-agent status --json`, of any generation.

The answer is the agent's own statistics as Go prints them; keys came and went with its versions, so every one may be
missing. Checks stand under ``runnerStats.Checks``: since Agent 6.3 by name and then by instance, before that by
instance alone. An error is a JSON list of ``{message, traceback}`` for a check in Python and plain text for one in Go.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

_PYTHON_LOADER = "Python Check Loader"


class NotAStatus(ValueError):
    """The text is no status; says in a few words what it is instead."""


class CheckRun(Struct, frozen=True):
    """One instance of a check: how often it ran, what its last run came to. ``error`` is one line, empty for success.

    ``metrics`` counts the samples of the last run, ``source`` says where the instance comes from (``file:PATH``).
    """

    name: str
    id: str
    runs: int
    error: str = ""
    metrics: int = 0
    warnings: tuple[str, ...] = ()
    source: str = ""


class Link(Struct, frozen=True):
    """How a node agent stands with the Cluster Agent: ``version`` if it was reached, ``error`` if not."""

    endpoint: str = ""
    version: str = ""
    error: str = ""


class Leadership(Struct, frozen=True):
    """The leader election as a Cluster Agent sees it; ``state`` is the agent's word (Running, Failing, Disabled …)."""

    state: str
    leader: str = ""
    error: str = ""


class Dispatch(Struct, frozen=True):
    """Cluster checks as their dispatcher sees them: ``nodes`` agents take them, ``dangling`` ones nobody runs."""

    leads: bool
    active: bool = False
    nodes: int = 0
    configs: int = 0
    dangling: int = 0


class AgentStatus(Struct, frozen=True):
    """One agent. ``unloaded`` maps a check to why it could not be loaded, ``refused`` a file to what is wrong in it.

    ``link`` is None where this agent knows of no Cluster Agent; ``leadership`` and ``dispatch`` only a Cluster Agent
    has.
    """

    version: str
    checks: tuple[CheckRun, ...] = ()
    unloaded: Mapping[str, str] | None = None
    refused: Mapping[str, str] | None = None
    link: Link | None = None
    leadership: Leadership | None = None
    dispatch: Dispatch | None = None

    @property
    def started(self) -> bool:
        """Whether any check was run or given up yet."""
        return bool(self.checks or self.unloaded or self.refused)


def parse(text: str) -> AgentStatus:
    """Read a status; lines that the agent logs before the document are skipped. Raises NotAStatus."""
    try:
        return _status(_document(text))
    except NotAStatus:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:  # Go's own JSON has none of these
        raise NotAStatus(f"a status with an odd value in it ({error})") from None


def _status(document: Mapping[str, Any]) -> AgentStatus:
    if not any(key in document for key in ("runnerStats", "checkSchedulerStats", "version", "agent_metadata")):
        raise NotAStatus("JSON without any of an agent's statistics")
    metadata = _tree(document.get("agent_metadata"))
    return AgentStatus(
        version=str(document.get("version") or metadata.get("agent_version") or ""),
        checks=tuple(_checks(_tree(_tree(document.get("runnerStats")).get("Checks")))),
        unloaded=_unloaded(document),
        refused=_refused(document),
        link=_link(document.get("clusterAgentStatus")),
        leadership=_leadership(document.get("leaderelection")),
        dispatch=_dispatch(document.get("clusterchecks")),
    )


def message(error: str) -> str:
    """The message of a check's error, in one line and without the traceback."""
    text = error.strip()
    if text.startswith("["):
        try:
            entries = json.loads(text)
            text = str(entries[0]["message"])
        except (ValueError, LookupError, TypeError):
            pass
    return " ".join(text.split())


def _document(text: str) -> dict[str, Any]:
    if not text.strip():
        raise NotAStatus("nothing at all")
    at = text.find("{")
    while at >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            following = text.find("\n{", at)  # a log line with a brace in it came first
            at = following + 1 if following >= 0 else -1
            continue
        return dict(found)
    first = " ".join(text.split())[:80]
    raise NotAStatus(f"cut or no JSON, it begins `{first}`")


def _tree(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _checks(found: Mapping[str, Any]) -> Iterator[CheckRun]:
    for name, instances in found.items():
        if not isinstance(instances, dict):
            continue
        nested = "TotalRuns" not in instances and "CheckName" not in instances
        for key, stats in (instances if nested else {name: instances}).items():
            if isinstance(stats, dict):
                yield _run(str(stats.get("CheckName") or name.partition(":")[0]), str(key), stats)


def _run(name: str, key: str, stats: Mapping[str, Any]) -> CheckRun:
    return CheckRun(
        name=name,
        id=str(stats.get("CheckID") or key),
        runs=_number(stats.get("TotalRuns")),
        error=message(str(stats.get("LastError") or "")),
        metrics=_number(stats.get("MetricSamples")),
        warnings=tuple(message(str(each)) for each in stats.get("LastWarnings") or ()),
        source=str(stats.get("CheckConfigSource") or ""),
    )


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _unloaded(document: Mapping[str, Any]) -> dict[str, str]:
    """Check to the words of the loader that should have had it: every loader that does not know it complains too."""
    found: dict[str, str] = {}
    for name, errors in _tree(_tree(document.get("checkSchedulerStats")).get("LoaderErrors")).items():
        words = _tree(errors)
        chosen = words.get(_PYTHON_LOADER) or next(iter(words.values()), errors if isinstance(errors, str) else "")
        found[str(name)] = _loader_line(str(chosen))
    for name, errors in _tree(_tree(document.get("pyLoaderStats")).get("ConfigureErrors")).items():
        if errors and name not in found:
            found[str(name)] = _loader_line(str(errors[-1] if isinstance(errors, list) else errors))
    return found


def _loader_line(words: str) -> str:
    """What went wrong out of a traceback: the line that ends it, or the one that follows the announcement."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in lines):
        return lines[-1]
    return " ".join(lines)


def _refused(document: Mapping[str, Any]) -> dict[str, str]:
    newer = _tree(document.get("adConfigErrors"))
    older = _tree(_tree(document.get("autoConfigStats")).get("ConfigErrors"))
    return {str(name): message(str(error)) for name, error in {**newer, **older}.items()}


def _link(value: object) -> Link | None:
    if not isinstance(value, dict):
        return None
    error = value.get("ConnectionError") or value.get("DetectionError") or ""
    return Link(str(value.get("Endpoint") or ""), str(value.get("Version") or ""), message(str(error)))


def _leadership(value: object) -> Leadership | None:
    if not isinstance(value, dict):
        return None
    return Leadership(
        str(value.get("status") or ""), str(value.get("leaderName") or ""), message(str(value.get("error") or ""))
    )


def _dispatch(value: object) -> Dispatch | None:
    if not isinstance(value, dict):
        return None
    return Dispatch(
        leads=bool(value.get("Leader")),
        active=bool(value.get("Active")),
        nodes=_number(value.get("NodeCount")),
        configs=_number(value.get("TotalConfigs")),
        dangling=_number(value.get("DanglingConfigs")),
    )
