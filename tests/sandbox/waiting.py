"""Waiting for something to become true, the only way in which tests of a cluster wait."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import TypeVar

from tests.sandbox.api import ApiError

Answer = TypeVar("Answer")


def wait_for(predicate: Callable[[], Answer], timeout: float = 30.0, what: str = "", every: float = 0.05) -> Answer:
    """The first true answer of `predicate`, asked every `every` seconds. Raises TimeoutError after `timeout` seconds.

    Errors of the API and refused connections count as "not yet"; the last one is named when time is up.
    """
    end = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            answer = predicate()
            if answer:
                return answer
            last = answer
        except (ApiError, OSError, http.client.HTTPException) as error:
            last = error
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout:g} s: {what or predicate}; last: {last!r}"[:2000])
        time.sleep(every)
