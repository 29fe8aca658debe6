"""What can go wrong, as a tree; a failure is a value with words, a hint, a docs anchor and an exit code.

::

    Reported
    ├─ Interrupted     130   ^C, SIGTERM, SIGHUP: no failure, so that what is done about failures is not done about it
    └─ DdhelmError
       ├─ UsageError       64   flags that cannot be meant together, or a question without a terminal
       ├─ ConfigError       3   a file or a setting is wrong: every problem at once
       ├─ PreflightFailed   3   a claim that must hold before any write does not
       ├─ ClusterError      1   unreachable, forbidden, unknown distribution
       ├─ ReleaseError      1   helm failed, or a pending head that may still have a living writer
       ├─ RolloutFailed     4   a roll-out stalled or ran out of time
       ├─ PlanStale         5   something moved since it was reviewed, or another run holds the lock
       ├─ VerifyFailed      6   pods are ready, checks do not report
       └─ ToolError         1   helm or kubectl: not found, too old, failed

Errors carry data; the views turn them into words. An ``anchor`` is a heading of ``docs/reference/errors.md``
(a test holds every anchor used in the source against that page).
"""

from collections.abc import Sequence
from typing import ClassVar, Self


class Reported(Exception):
    """Base of all endings that are told in words.

    ``message`` is one line with the thing in backticks, ``hint`` something to type or to look at, ``anchor`` the
    heading in the errors page, ``details`` further lines (all problems of a file, the nodes concerned).
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", anchor: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.anchor = anchor
        self.details = tuple(details)

    def adding(self, details: Sequence[str], *, hint: str | None = None) -> Self:
        """The same with further lines, and with another ``hint`` where one is given: what was done before it."""
        told = self.hint if hint is None else hint
        return type(self)(self.message, hint=told, anchor=self.anchor, details=(*self.details, *details))


class DdhelmError(Reported):
    """Base of all expected failures."""


class UsageError(DdhelmError):
    """Flags that cannot be meant together, or a question that nobody can answer."""

    exit_code = 64


class ConfigError(DdhelmError):
    """A file or a setting is wrong; ``details`` holds one line a problem, with file and line."""

    exit_code = 3


class PreflightFailed(DdhelmError):
    """A claim that must hold before any write does not; ``details`` holds one line a violation."""

    exit_code = 3


class ClusterError(DdhelmError):
    """The cluster cannot be reached, read, or recognised."""


class ReleaseError(DdhelmError):
    """Helm failed at a release, or the release is busy."""


class RolloutFailed(DdhelmError):
    """Pods did not catch up with the objects."""

    exit_code = 4


class PlanStale(DdhelmError):
    """What was reviewed is no longer what would happen, or another run holds the lock."""

    exit_code = 5


class VerifyFailed(DdhelmError):
    """Pods are ready and the checks do not report."""

    exit_code = 6


class ToolError(DdhelmError):
    """helm or kubectl is missing, too old, or failed in a way no row of the tables knows."""


class Interrupted(Reported):
    """^C or SIGTERM; ``details`` says in which state the cluster was left."""

    exit_code = 130
