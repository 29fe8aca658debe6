"""A drift that is to be set back or adopted is read when nobody is at work: their changes would look like it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm.actions import drift as action
from ddhelm.actions import lock, reading
from ddhelm.actions.session import Session
from ddhelm.commands import drift as command
from ddhelm.drift import Drift
from ddhelm.errors import ReleaseError
from ddhelm.release import NAMES, Role
from tests.adapters.stored import Stored, revision

BEGAN = 1_796_000_000.0
PENDING = revision(NAMES[Role.WORKER], 1, "pending-install", written=lock.stamp(BEGAN))


def read(seconds: float, *, to_change: bool) -> None:
    cluster = Stored(PENDING, standing={})
    cluster.serve("/apis/coordination.k8s.io/v1/namespaces/datadog/leases/ddhelm", None)
    session = SimpleNamespace(kubectl=cluster, access=cluster.access)
    action.read(cast(Session, session), to_change=to_change, now=lambda: BEGAN + seconds)


@pytest.mark.parametrize(
    ("seconds", "to_change", "said"),
    [(1, True, "is busy"), (1, False, "no release stands"), (reading.BUSY + 1, True, "no release stands")],
)
def test_only_what_would_change_something_minds_a_helm_at_work(seconds: float, to_change: bool, said: str) -> None:
    with pytest.raises(ReleaseError, match=said):
        read(seconds, to_change=to_change)


@pytest.mark.parametrize("flag", ["revert", "adopt"])
def test_it_is_waited_for_as_long_as_the_flag_says(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    tries = iter((ReleaseError("busy", anchor="release-busy"), Drift((), {})))

    def tried(_session: Session, *, to_change: bool) -> Drift:
        assert to_change
        found = next(tries)
        if isinstance(found, ReleaseError):
            raise found
        return found

    monkeypatch.setattr(action, "read", tried)
    options: dict[str, Any] = {"timeout": None, "lock_timeout": "1s", "no_rollback": False}
    changing = {"revert": False, "adopt": False, flag: True}
    assert command.drift(cast(Session, None), options, "table", **changing) == 0
