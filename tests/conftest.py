"""Fixtures of every test."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.datadog_api.fixtures", "tests.sandbox.fixtures"]

# readline, loaded by whoever started this process, exports its screen of 80 columns, and ours would wrap at them.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# Started with `&` or nohup, all below would ignore these: a test that interrupts helm would wait for it for ever.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# A busy machine draws slowly; that says nothing about the code.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("busy")
