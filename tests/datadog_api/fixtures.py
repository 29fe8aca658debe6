"""The one server of a test session, and its state made new for each test that asks for it."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from functools import cache

import pytest

from tests.datadog_api.server import DatadogApi, State


@cache
def shared() -> DatadogApi:
    """The server of this process; started by the first who needs it."""
    api = DatadogApi()
    atexit.register(api.close)
    return api


@pytest.fixture
def datadog_api() -> Iterator[DatadogApi]:
    """The server, knowing nothing yet and never asked; the test after this one finds it so, too."""
    api = shared()
    api.state = State()
    yield api
    api.state = State()
