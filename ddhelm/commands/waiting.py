"""Waits, as long as ``--lock-timeout`` allows, for a run that is at work, or for a helm that may still be."""

import time
from collections.abc import Callable
from typing import TypeVar

from ddhelm.errors import PlanStale, ReleaseError
from ddhelm.views import console

Made = TypeVar("Made")

_BUSY = frozenset({"lock-held", "release-busy"})
_AGAIN = 5.0


def until_free(
    make: Callable[[], Made],
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Made:
    """What ``make`` gives, tried again while somebody else is at work; after ``seconds`` its error is raised."""
    deadline, told = clock() + seconds, False
    while True:
        try:
            return make()
        except (PlanStale, ReleaseError) as error:
            left = deadline - clock()
            if error.anchor not in _BUSY or left <= 0:
                raise
            if not told:
                console.err().print(f"• waiting, {seconds:.0f} s at most: {error.message}", markup=False)
                told = True
            sleep(min(_AGAIN, left))
