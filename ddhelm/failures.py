"""What a helm or kubectl that failed stands for.

Both end with 1 whatever happened; only their words differ, between majors too. ``failurerows`` has the words; what no
row knows is shown in the tool's own last line.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath

from ddhelm import pasting
from ddhelm.errors import ClusterError, DdhelmError, ToolError
from ddhelm.failurerows import FETCHING, ROWS, Row
from ddhelm.run import Completed
from ddhelm.toolwords import last_line, one_line, without_noise

_MOST_DETAILS = 20


def error(
    done: Completed,
    *,
    doing: str = "",
    where: str = "",
    release: str = "",
    namespace: str = "",
    fetching: bool = False,
) -> DdhelmError:
    """The error that a process which did not end well stands for.

    ``where`` names the cluster in words; ``fetching`` says that it spoke to a repository, not to the cluster.
    """
    tool = PurePath(done.argv[0]).name
    facts = defaultdict(str, tool=tool, where=where or "the cluster", release=release, namespace=namespace)
    facts["doing"] = doing or _doing(done.argv)
    if done.timed_out:
        return ClusterError(
            f"`{facts['doing']}` did not end within {done.seconds:.0f} s and was stopped",
            hint="ddhelm status",
            anchor="timed-out",
            details=_own_words(done.err, tool),
        )
    return explain(done.err, facts, FETCHING if fetching else ROWS)


def explain(text: str, facts: defaultdict[str, str], rows: Iterable[Row]) -> DdhelmError:
    """The error that a text stands for; ``facts`` fill the rows' words (see ``Row``)."""
    essence = without_noise(text)
    for row in rows:
        # compiled at the first failure, not at every start
        found = re.search(row.pattern, essence, re.IGNORECASE | re.MULTILINE)
        if found:
            words = defaultdict(str, facts)
            words.update({name: value.strip() for name, value in found.groupdict().items() if value})
            details = tuple(row.more(essence)) if row.more else _own_words(text, facts["tool"])
            return row.error(
                one_line(row.message.format_map(words)),
                hint=re.sub(r" -n (?= |$)", "", row.hint.format_map(defaultdict(str, pasting.quoted(words)))).strip(),
                anchor=row.anchor or row.name,
                details=details[:_MOST_DETAILS],
            )
    return ToolError(
        f"`{facts['doing']}` failed: {last_line(text) or 'it said nothing'}",
        hint=f"the same command with --verbose shows what {facts['tool']} was asked",
        anchor="tool-failed",
    )


def _own_words(text: str, tool: str) -> tuple[str, ...]:
    line = last_line(text)
    return (f"{tool}: {line}",) if line else ()


def _doing(argv: tuple[str, ...]) -> str:
    return " ".join((PurePath(argv[0]).name, *(word for word in argv[1:2] if not word.startswith("-"))))
