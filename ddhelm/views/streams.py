"""The standard streams as ddhelm needs them: a reader that leaves ends nothing, a locale without ✓ breaks nothing.

Python and Rich both end the program where a pipe breaks (`ddhelm onboard --yes | head`). Here the work goes on, unseen,
and so do the explanations on the other stream and the exit code: a half-done upgrade would be the worse answer.
"""

import atexit
import codecs
import os
import sys
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

_PLAIN = {"✓": "+", "✗": "x", "•": "*", "…": "...", "·": ".", "→": "->", "–": "-", "“": '"', "”": '"', "≥": ">="}


class Patient:
    """A text stream that goes silent, instead of raising, once its reader has left or its disk is full.

    ``lost`` is why something could not be written; a reader that left wanted no more.
    """

    def __init__(self, stream: TextIO) -> None:
        self.lost = ""
        self._stream = stream

    def write(self, text: str) -> int:
        """As the stream's own; what nobody reads is gone."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._hush(error)
            return len(text)

    def flush(self) -> None:
        """As the stream's own."""
        try:
            self._stream.flush()
        except OSError as error:
            self._hush(error)

    def writelines(self, lines: Any) -> None:
        """As the stream's own."""
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _hush(self, error: OSError) -> None:
        """What is still in the buffer, and all that follows, goes nowhere."""
        if not isinstance(error, BrokenPipeError):
            self.lost = error.strerror or str(error)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def prepare() -> None:
    """Make the process's standard output and error such streams."""
    codecs.register_error("ddhelm", _plain)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us (`>&-`)
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
        stream.reconfigure(errors="ddhelm")
        setattr(sys, name, cast("TextIO", Patient(stream)))


def end(code: int) -> NoReturn:
    """End the process with this exit code once all is written; 1 instead of 0 where the output could not be.

    Python would take apart each module and object first, a sixth of the time of a plan; the kernel does it in one go.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    if lost := getattr(sys.stdout, "lost", ""):
        from ddhelm.errors import DdhelmError
        from ddhelm.views import errors

        errors.show(DdhelmError(f"the output could not be written: {lost}", hint="df -h"))
        code = code or 1
    sys.stderr.flush()
    os._exit(code)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What a locale has no sign for, in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(char, "?") for char in error.object[error.start : error.end]), error.end
