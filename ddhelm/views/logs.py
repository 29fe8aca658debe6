"""``--verbose``: every helm and kubectl call on standard error, as it could be pasted, without what is secret."""

import logging
import os
from collections.abc import Callable

from ddhelm.masking import Masker


def to_stderr(hide: Callable[[str], str]) -> None:
    """Show ddhelm's log on standard error, without what ``hide`` takes out of a line and what looks like a secret."""
    masker = Masker(os.urandom(32))

    class Hidden(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return masker.text(hide(super().format(record)))

    handler = logging.StreamHandler()
    handler.setFormatter(Hidden("%(asctime)s.%(msecs)03d %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("ddhelm")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
