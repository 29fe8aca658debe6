"""^C ends a run at 130 with one line, whenever it comes; each case in an interpreter of its own."""

import subprocess
import sys

import pytest

UNTOUCHED = "error: interrupted before anything was changed\n"
LOADING = """
import builtins, os, signal
from ddhelm import __main__
real = builtins.__import__
def loading(name, *rest):
    if name == "typer":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest)
builtins.__import__ = loading
__main__.main()
"""
AGAIN = """
import os, signal
from ddhelm import cli
from ddhelm.views import errors
def told(*_):
    os.kill(os.getpid(), signal.SIGINT)
cli._run, errors.show = (lambda arguments: cli._tell(cli._interruption())), told
cli.main()
"""
DROPPED = """
import time
from ddhelm import cli
class Callback:
    def __del__(self):
        raise KeyboardInterrupt
def command(*_words, **_more):
    Callback()
    time.sleep(30)
type(cli.app).serving = lambda *_: command
cli.main()
"""


@pytest.mark.parametrize(
    ("code", "told"),
    [
        pytest.param(LOADING, UNTOUCHED, id="while it is loaded"),
        pytest.param(AGAIN, "", id="again, while the first is told"),
        pytest.param(DROPPED, f"{UNTOUCHED}see: ddhelm explain interrupted\n", id="in a callback"),
    ],
)
def test_an_interrupt_ends_with_130_and_no_traceback(code: str, told: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", told)
