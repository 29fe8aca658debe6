"""``--verbose``: every helm and kubectl call on standard error, as it could be pasted, without what is secret."""

import logging
from collections.abc import Callable


def to_stderr(hide: Callable[[str], str]) -> None:
    """Show ddhelm's log on standard error, each line passed through ``hide``."""

    class Hidden(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return hide(super().format(record))

    handler = logging.StreamHandler()
    handler.setFormatter(Hidden("%(asctime)s.%(msecs)03d %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("ddhelm")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
