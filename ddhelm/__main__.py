"""The program: ``ddhelm``, or ``python -m ddhelm``. It heeds ^C from its first moment on, before the rest is loaded."""

import gc
import os
import signal
from types import FrameType

_INTERRUPTED = 130


def main() -> None:
    """Entry point; see ``cli.main``."""
    # looking for garbage at every 700 new objects is a third of the time in which 5,000 nodes are read, and at every
    # 50,000 it still falls twice into a plan, 13 ms; a watch of hours makes 200,000 often enough
    gc.set_threshold(200_000)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _at_once)
    from ddhelm import cli

    cli.main()


def _at_once(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"error: interrupted before anything was changed\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
