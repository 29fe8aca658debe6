"""When a certificate ends, in words, and what to do about it."""

from datetime import timedelta

WARN_DAYS = 30
RENEW = "ddhelm certs rotate --ca-cert FILE --ca-key FILE, or --dir DIR with what the CA signed"
"""The hint for a certificate that ends: where the new one comes from must be said."""


def days_of(number: int) -> str:
    """`less than a day`, `1 day`, `2 days`."""
    return "less than a day" if number == 0 else f"{number} day" if number == 1 else f"{number} days"


def lasting(left: timedelta) -> str:
    """`14 minutes`, `3 hours`, `2 days`: whole ones, in the largest unit of which there is one."""
    for unit in ("day", "hour"):
        if number := max(left, timedelta()) // timedelta(**{f"{unit}s": 1}):
            return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
    minutes = max(left, timedelta()) // timedelta(minutes=1)
    return "1 minute" if minutes == 1 else f"{minutes} minutes"
