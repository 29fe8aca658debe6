"""What a run that changed the releases tells where that which is only read afterwards cannot be read."""

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm.actions import rotate as action
from ddhelm.actions import status
from ddhelm.actions.carry_out import Outcome
from ddhelm.actions.rotate import Rotated
from ddhelm.commands import onboard, recording, rotate, verify
from ddhelm.errors import ClusterError
from ddhelm.release import Rotatable
from ddhelm.settings import Settings
from ddhelm.views import rotate as rotate_view
from ddhelm.views import status as status_view

PREPARED: Any = SimpleNamespace(
    chart=SimpleNamespace(version="3.240.0"), plan=SimpleNamespace(writes=()), deployed={}, workloads=()
)
SESSION: Any = SimpleNamespace(kubectl=None)


def silent(*_: object, **__: object) -> Any:
    raise ClusterError("the API server does not answer", anchor="unreachable")


@pytest.mark.parametrize("unread", ["status", "verification"])
def test_the_document_of_a_change_is_printed_although_nothing_can_be_read_after_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], unread: str
) -> None:
    monkeypatch.setattr(status, "of_session", silent if unread == "status" else lambda *_: None)
    monkeypatch.setattr(status_view, "json", lambda _: {"data": "as it stands"})
    monkeypatch.setattr(verify, "close", silent)
    with pytest.raises(ClusterError, match="does not answer") as caught:
        onboard._report(SESSION, {"verify": True}, PREPARED, Outcome(wrote=("Secret",)), "json")
    assert caught.value.details == ("what was planned is done",)
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["wrote"], data["failure"], data[unread]) == (["Secret"], None, None)
    assert data["status"] == (None if unread == "status" else "as it stands")
    assert data["notices"] == ["not known how it stands now: the API server does not answer"]


def test_a_rotation_that_is_done_says_so_where_the_status_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "of_session", silent)
    monkeypatch.setattr(action, "carry_out", lambda *_: Rotated(True, (), ()))
    monkeypatch.setattr(rotate_view, "done", lambda *_: None)
    found: Any = SimpleNamespace(what=Rotatable.API_KEY, uid="uid", settings=Settings())
    run = SimpleNamespace(watching=lambda observer: observer)
    monkeypatch.setattr(recording, "recorded", lambda *_, **__: nullcontext(run))
    with pytest.raises(ClusterError) as caught:
        rotate._carry_out(SESSION, found, None, cast(Any, None), "table")
    assert caught.value.details == ("the API key is rotated to the end",)
