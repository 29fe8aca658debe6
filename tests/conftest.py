"""Fixtures of every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.datadog_api.fixtures", "tests.sandbox.fixtures"]

# A busy machine draws slowly; that says nothing about the code.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("busy")
