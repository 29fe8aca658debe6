"""Stretches of a run in which ^C, SIGTERM and SIGHUP are taken in one way or another; what was ignored stays ignored.

It starts no process and loads nothing: the command line asks it too, also where no command was loaded yet.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ddhelm.errors import Interrupted

BEGUN = threading.Event()
"""Set from the first stretch of this run on in which something may be written."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def taken(handler: "Callable[[int, FrameType | None], object] | signal.Handlers") -> Iterator[None]:
    """A stretch in which ``handler`` takes them; nothing changes outside of the main thread."""
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def interruptible() -> Iterator[None]:
    """A stretch in which ^C, SIGTERM and SIGHUP raise ``Interrupted`` between two children too, not only during one.

    Without it SIGTERM ends the process at once and leaves its lock behind, and ^C looks as if nothing had begun.
    """

    def received(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    BEGUN.set()
    with taken(received):
        try:
            yield
        except KeyboardInterrupt:
            raise Interrupted("interrupted", anchor="interrupted") from None


@contextmanager
def undisturbed() -> Iterator[None]:
    """A stretch that none of them ends: a moment, for what must not be left half done by impatience."""
    with taken(signal.SIG_IGN):
        yield
