"""Finds the words that matter in what helm and kubectl print on standard error.

Both mix the reason with log lines, warnings and advice; Helm 4 says each failure twice, once escaped inside a log line.
"""

import re

_LONGEST_LINE = 300

# klog's `E1124 …`, Helm 4's `level=WARN …`, Go's dated log lines, deprecations, Helm 3's coalescing warnings, the
# warning about a readable kubeconfig, kubectl's advice.
_NOISE = re.compile(
    r"""^(?:
        [EWI]\d{4}\ \d\d:\d\d:\d\d | (?:time=\S+\ )?level=\w+\ | \d{4}/\d\d/\d\d\ \d\d:\d\d:\d\d\  |
        \w+\.go:\d+: | Flag\ --\S+\ has\ been\ deprecated | (?:Warning|WARNING):\  | Pulled:\ | Digest:\ |
        Use\ --debug\ flag | See\ '[^']+\ --help' | ensure\ CRDs\ are\ installed\ first
    )""",
    re.VERBOSE,
)
_PREFIX = re.compile(
    r"^(?:\s*\* |(?:Error|error)(?: from server(?: \(\w+\))?)?: )"
    r"(?:(?:INSTALLATION|UPGRADE|ROLLBACK) FAILED: )?(?:(?:release name check|cluster reachability check) failed: )?"
)


def without_noise(text: str) -> str:
    """The text without log lines and warnings; where nothing else is left, the text itself."""
    kept = "\n".join(line for line in text.splitlines() if line.strip() and not _NOISE.match(line))
    return kept or text


def last_line(text: str) -> str:
    """The tool's own last word, without its prefixes."""
    lines = [line for line in without_noise(text).splitlines() if line.strip()]
    return one_line(_PREFIX.sub("", lines[-1])) if lines else ""


def one_line(text: str) -> str:
    """The text on one line of at most 300 characters."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"
