"""Keeps which helm and kubectl calls the last runs made, so that a support dump can tell what happened before it.

The lines are ddhelm's own log (arguments, exit code, seconds), from which secrets are taken out when they are logged,
and once more when they are written: by then the run knows all of its secrets. A run writes once, at its end.
"""

import datetime
import logging
import os
from collections import deque
from contextlib import suppress

from ddhelm import __version__, journal
from ddhelm.masking import Masker
from ddhelm.run import Secrets

LINES = 400
"""Calls kept of one run, its last ones."""
_LONGEST = 1000


class Calls(logging.Handler):
    """Collects the log of one run; ``where`` is the API server's address, ``error`` what the run ended with."""

    def __init__(self, secrets: Secrets, where: str, namespace: str) -> None:
        super().__init__(logging.DEBUG)
        self._secrets, self._where, self._namespace = secrets, where, namespace
        self._began = datetime.datetime.now(datetime.UTC)
        self._lines: deque[str] = deque(maxlen=LINES)
        self.error = ""

    def start(self) -> "Calls":
        """Listen to ddhelm's log from now on."""
        logger = logging.getLogger("ddhelm")
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        return self

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        text = " ".join(record.getMessage().split())
        self._lines.append(f"  {moment:%H:%M:%S}.{moment.microsecond // 1000:03} {text[:_LONGEST]}")

    def end(self, command: str, code: int) -> None:
        """Write what was kept, if there were any calls; a machine that cannot be written to is none of ours."""
        logging.getLogger("ddhelm").removeHandler(self)
        if not self._lines:
            return
        about = f"{self._began:%Y-%m-%dT%H:%M:%SZ} {command} on {self._where} in {self._namespace}"
        told = " ".join(self.error.split())[:_LONGEST]
        last = f"  exit {code}" + (f": {told}" if told else "")
        lines = (f"{about} (ddhelm {__version__}, pid {os.getpid()})", *self._lines, last)
        text = Masker(os.urandom(32)).text(self._secrets.hide("".join(f"{line}\n" for line in lines)))
        with suppress(OSError):
            journal.append(journal.CALLS, text)
        self._lines.clear()
