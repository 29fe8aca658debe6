"""What a run that changed the releases tells where that which is only read afterwards cannot be read."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm.actions import carry_out, status
from ddhelm.actions import rotate as action
from ddhelm.actions import uninstall as removing
from ddhelm.actions.carry_out import Outcome
from ddhelm.actions.events import StepDone, StepStarted, Wrote
from ddhelm.actions.removal import Removal
from ddhelm.actions.request import Request
from ddhelm.actions.rotate import Rotated
from ddhelm.actions.uninstall import Removed
from ddhelm.commands import onboard, recording, rotate, uninstall, verify
from ddhelm.errors import ClusterError, Interrupted, Reported, RolloutFailed
from ddhelm.plan import Step, StepKind
from ddhelm.release import Rotatable, pair
from ddhelm.settings import Settings
from ddhelm.views import rotate as rotate_view
from ddhelm.views import status as status_view

PREPARED: Any = SimpleNamespace(
    chart=SimpleNamespace(version="3.240.0"), plan=SimpleNamespace(writes=()), deployed={}, workloads=()
)
SESSION: Any = SimpleNamespace(kubectl=None)
WORKER, _ = pair("datadog", control_plane=True)


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


STEP = Step(StepKind.UPGRADE, WORKER)


@pytest.mark.parametrize("error", [ClusterError("`x` cannot patch Secret", details=["done before"]), Interrupted("^C")])
@pytest.mark.parametrize(
    ("events", "wrote", "steps"),
    [
        ((Wrote("namespace `datadog` was made"),), ["namespace `datadog` was made"], 0),
        ((StepStarted(STEP), StepDone(STEP, 8, 1.5), StepStarted(STEP)), [], 1),
        ((), None, 0),
    ],
    ids=["written", "half-way", "nothing"],
)
def test_a_run_that_breaks_off_prints_what_it_had_done(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Reported,
    events: tuple[object, ...],
    wrote: list[str] | None,
    steps: int,
) -> None:
    def breaks_off(*given: Any) -> Outcome:
        for event in events:
            given[-1](event)
        raise error

    run = SimpleNamespace(watching=lambda observer: observer)
    monkeypatch.setattr(recording, "recorded", lambda *_, **__: nullcontext(run))
    monkeypatch.setattr(carry_out, "carry_out", breaks_off)
    monkeypatch.setattr(onboard, "_agreed", lambda *_, **__: {})
    plan = SimpleNamespace(changes=True)
    cluster = SimpleNamespace(facts=SimpleNamespace(uid="u"))
    prepared = SimpleNamespace(chart=PREPARED.chart, plan=plan, cluster=cluster, stop_if_broken=lambda: None)
    how = carry_out.How()
    with pytest.raises(type(error)):
        onboard.carry_on(
            SESSION, {}, cast(Any, prepared), Request(), "json", verb="x", how=how, given={}, reviewed="digest"
        )
    out = capsys.readouterr().out
    if wrote is None:
        assert out == ""
        return
    data = json.loads(out)["data"]
    assert (data["wrote"], len(data["steps"])) == (wrote, steps)
    assert (data["failure"]["message"], data["failure"]["details"]) == (error.message, list(error.details))


@pytest.mark.parametrize("begun", [True, False])
def test_an_uninstall_that_breaks_off_prints_what_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], begun: bool
) -> None:
    def breaks_off(*_: Any, broken_off: Callable[[Removed], None], **__: Any) -> Removed:
        error = RolloutFailed("stuck", details=["left"])
        if begun:
            broken_off(Removed(("release `a`",), failure=error))
        raise error

    monkeypatch.setattr(recording, "recorded", lambda *_, **__: nullcontext(SimpleNamespace(watching=lambda _: None)))
    monkeypatch.setattr(removing, "carry_out", breaks_off)
    session: Any = SimpleNamespace(kubectl=None, helm=None)
    with pytest.raises(RolloutFailed):
        uninstall._carry_out(session, Removal("datadog", "u"), "json", timeout=1, lock_timeout=0, keeps=True)
    out = capsys.readouterr().out
    if begun:
        data = json.loads(out)["data"]
        assert (data["removed"], data["exitCode"], data["failure"]["details"]) == (["release `a`"], 4, ["left"])
    else:
        assert out == ""
