"""Which process of which machine this is, so that another one can see whether it still runs.

Linux only (``/proc``); elsewhere nothing is known, and nothing is claimed.
"""

import os
from pathlib import Path

_PROC = Path("/proc")
_ENDED = frozenset("ZX")


def own() -> str | None:
    """The mark of this process: boot, PID namespace, PID and start time; None where the system does not tell."""
    where, started = _where(), _started(os.getpid())
    return f"{where}/{os.getpid()}/{started}" if where and started else None


def ended(mark: str) -> bool | None:
    """Whether the process of a mark (see ``own``) runs no more; None where it is another machine's, or unknown.

    A PID given out anew has another start time; a zombie writes nothing any more.
    """
    where, _, rest = mark.rpartition("/")[0].rpartition("/")
    started = mark.rpartition("/")[2]
    if not where or where != _where() or not rest.isdecimal():
        return None
    return _started(int(rest)) != started


def _where() -> str | None:
    """Boot and PID namespace: a PID means something only within both; host names are not unique."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"
    except (OSError, ValueError):
        return None


def _started(pid: int) -> str | None:
    """The start time of a running process in clock ticks since boot; None where there is no such process."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # a program's name may hold anything, brackets too
    return None if state in _ENDED else fields[18]
