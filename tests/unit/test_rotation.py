"""What `rotate` shows before it asks: the plan, or that there is nothing to do."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ddhelm.actions import certrotate, lock, restart
from ddhelm.actions import rotate as action
from ddhelm.actions.certrotate import Rotating
from ddhelm.actions.keys import Key
from ddhelm.actions.look import Target
from ddhelm.actions.restart import Running
from ddhelm.actions.rotate import Rotation
from ddhelm.actions.session import Session
from ddhelm.actions.watch import Polled, Watched
from ddhelm.answers import SecretKeys
from ddhelm.commands import onboard, rotate
from ddhelm.errors import ClusterError, DdhelmError, PlanStale, PreflightFailed, RolloutFailed
from ddhelm.record import ReleaseRow
from ddhelm.release import API_KEY, ROTATING, Rotatable
from ddhelm.rollout import Reading, Stalled
from ddhelm.settings import SecretKey, Settings
from ddhelm.views import console
from ddhelm.views import rotate as view
from ddhelm.workloads import Workload

HEADS = {"worker-node-ddagent": 1, "control-plane-ddagent": None}


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, given: bool, same: bool) -> str:
    found = Rotation(Rotatable.API_KEY, SecretKey("ddhelm", "api-key"), Settings(), (), (), "", False, "uid", {})
    key = {API_KEY: Key("`DD_API_KEY`", "a" * 32)} if given else {}
    monkeypatch.setattr(action, "look", lambda *_: found)
    monkeypatch.setattr(action, "refuse_foreign", lambda *_: None)
    monkeypatch.setattr(action, "same", lambda *_: same)
    monkeypatch.setattr(onboard, "given_keys", lambda *_: key)
    monkeypatch.setattr("ddhelm.commands.validation.validated", lambda *_: None)
    options: dict[str, Any] = {"timeout": "5m", "lock_timeout": None, "yes": False}
    options |= dict.fromkeys(("api_key_file", "api_key_command", "app_key_file", "app_key_command"))
    session = cast("Session", SimpleNamespace(secrets=None))
    assert rotate.rotation(session, options, Rotatable.API_KEY, "table", restart_only=False, dry_run=True) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("site", "page"),
    [
        ("datadoghq.eu", "https://app.datadoghq.eu/organization-settings/api-keys"),
        ("us3.datadoghq.com", "https://us3.datadoghq.com/organization-settings/api-keys"),
    ],
)
def test_the_page_on_which_a_key_is_revoked_is_that_of_the_site(site: str, page: str) -> None:
    secret = SecretKey("ddhelm", "api-key")
    found = Rotation(Rotatable.API_KEY, secret, Settings(site=site), (), (), "", False, "uid", {})
    assert view.page(found) == page


def test_the_key_that_is_there_already_is_told_without_a_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = shown(monkeypatch, capsys, given=True, same=True)
    assert said == "Nothing to do: every pod was started after the last change of the API key.\n"


@pytest.mark.parametrize(("given", "origin"), [(True, "`DD_API_KEY`"), (False, "where you give it")])
def test_a_new_key_is_shown_with_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, given: bool, origin: str
) -> None:
    said = shown(monkeypatch, capsys, given=given, same=False)
    assert f"the Secret gets the new value, from {origin}" in said
    assert "Nothing to do" not in said


# --- rotations that broke off ----------------------------------------------------------------------------------------


class Marked:
    """A session whose Secret has the mark of an open rotation; remembers what is written."""

    def __init__(self, mark: str = "", *, refuses: bool = False) -> None:
        self.kubectl, self.access, self.mark, self.refuses = (
            self,
            SimpleNamespace(namespace="d", context="c"),
            mark,
            refuses,
        )
        self.wrote: list[object] = []
        self.rows = [ReleaseRow("d", "worker-node-ddagent", 1, "deployed")]

    def secret_metadata(self, _name: str) -> dict[str, Any]:
        return {"annotations": {ROTATING: self.mark}} if self.mark else {}

    def tree(self, _path: str) -> dict[str, Any]:
        return {"metadata": {"uid": "uid"}}

    def release_rows(self) -> list[ReleaseRow]:
        return self.rows

    def heads(self, _names: object) -> dict[str, ReleaseRow]:
        return {row.name: row for row in self.rows}

    def annotate(self, _kind: str, _name: str, marks: dict[str, str | None]) -> None:
        self.wrote.append(marks)

    def write_secret(self, *_: object, **__: object) -> None:
        if self.refuses:
            raise ClusterError("no", hint="", anchor="forbidden")
        self.wrote.append("secret")

    def secret_equals(self, *_: object) -> bool:
        return False


def reader(name: str, kind: str = "DaemonSet", *, ready: int = 1) -> Running:
    return Running(Target("ddhelm", kind, "d", name), workload(name, kind, ready))


def workload(name: str, kind: str, ready: int) -> Workload:
    return Workload(kind, "d", name, desired=1, updated=ready, ready=ready, available=ready, scheduled=1)


def open_(what: Rotatable, begun: Rotatable | None, *readers: Running, late: tuple[Running, ...] = ()) -> Rotation:
    secret = SecretKey("ddhelm", str(what))
    return Rotation(what, secret, Settings(), (readers,), late, "", begun == what, "uid", HEADS, begun)


def carried_out(monkeypatch: pytest.MonkeyPatch, session: Marked, rotation: Rotation, new: Key | None) -> DdhelmError:
    """How it broke off: the Cluster Agent is ready, the agents are not."""

    def stalls(*_: object, observer: Any, **__: object) -> Watched:
        seen = (workload("cluster-agent", "Deployment", 1), workload("agents", "DaemonSet", 0))
        stalled = Stalled("Timeout", "not ready", "wait")
        observer(Polled((), Reading(workloads=seen), stalled, 12, 12))
        return Watched(stalled, seen, 12)

    monkeypatch.setattr(lock, "held", lambda *_, **__: nullcontext())
    monkeypatch.setattr(restart, "restart", stalls)
    with pytest.raises(DdhelmError) as caught:
        action.carry_out(cast("Session", session), rotation, new)
    return caught.value


@pytest.mark.parametrize("dry_run", [True, False])
def test_no_other_key_is_rotated_while_a_rotation_is_open(monkeypatch: pytest.MonkeyPatch, *, dry_run: bool) -> None:
    monkeypatch.setattr(action, "look", lambda *_: open_(Rotatable.APP_KEY, Rotatable.TOKEN))
    options: dict[str, Any] = {"timeout": "5m", "lock_timeout": None, "yes": True}
    options |= dict.fromkeys(("api_key_file", "api_key_command", "app_key_file", "app_key_command"))
    session = cast("Session", Marked("token"))
    with pytest.raises(PreflightFailed, match="rotation of the token of the Cluster Agent has begun") as caught:
        rotate.rotation(session, options, Rotatable.APP_KEY, "table", restart_only=False, dry_run=dry_run)
    assert (caught.value.hint, caught.value.anchor) == ("ddhelm rotate token", "rotation-open")
    action.refuse_second(open_(Rotatable.TOKEN, Rotatable.TOKEN))
    action.refuse_second(replace(open_(Rotatable.APP_KEY, Rotatable.TOKEN), keeper="external-secrets"))


def test_a_rotation_that_began_since_the_look_keeps_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Marked("api-key")
    error = carried_out(monkeypatch, session, open_(Rotatable.TOKEN, None, reader("agents")), Key("here", "x" * 32))
    assert (type(error), error.hint) == (PreflightFailed, "ddhelm rotate api-key --restart-only")
    assert session.wrote == []


@pytest.mark.parametrize(
    "row",
    [
        ReleaseRow("d", "worker-node-ddagent", 2, "deployed"),  # a workload that reads the key may have come
        ReleaseRow("d", "control-plane-ddagent", 1, "deployed"),
    ],
)
def test_a_release_that_moved_since_the_look_stops_it_before_the_write(
    monkeypatch: pytest.MonkeyPatch, row: ReleaseRow
) -> None:
    session = Marked()
    session.rows.append(row)
    error = carried_out(monkeypatch, session, open_(Rotatable.API_KEY, None, reader("agents")), Key("here", "x" * 32))
    assert (error.exit_code, error.anchor, session.wrote) == (5, "plan-stale", [])
    assert error.details == ()


@pytest.mark.parametrize(("begun", "removed"), [(None, True), (Rotatable.API_KEY, False)])
def test_a_value_that_was_not_written_leaves_the_mark_of_an_earlier_one(
    monkeypatch: pytest.MonkeyPatch, begun: Rotatable | None, *, removed: bool
) -> None:
    session = Marked(str(begun or ""), refuses=True)
    carried_out(monkeypatch, session, open_(Rotatable.API_KEY, begun, reader("agents")), Key("here", "x" * 32))
    assert ({ROTATING: None} in session.wrote) == removed


def test_a_mark_without_a_write_is_taken_away_by_the_command_of_the_hint() -> None:
    """Otherwise it would keep every other key from being rotated, for ever."""
    assert rotate._open(replace(open_(Rotatable.API_KEY, Rotatable.API_KEY), unfinished=False))
    assert not rotate._open(open_(Rotatable.API_KEY, None))


def test_a_third_key_needs_both_earlier_ones(capsys: pytest.CaptureFixture[str]) -> None:
    third, second = (open_(Rotatable.API_KEY, begun, reader("agents")) for begun in (Rotatable.API_KEY, None))
    for rotation, origin in ((third, "here"), (second, "here"), (third, "")):
        view.table(rotation, console.out(), origin=origin)
        said = " ".join(capsys.readouterr().out.split())
        assert ("both earlier API keys must stay valid until the end" in said) == (rotation is third and bool(origin))
        assert ("The old API key must stay valid" in said) == (rotation is second or not origin)
    view.done(third, action.Rotated(True, (), ()), console.out())
    assert "The earlier API keys are used by no pod any more" in " ".join(capsys.readouterr().out.split())


def test_each_break_off_names_who_may_have_the_old_key_and_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    both = (reader("cluster-agent", "Deployment"), reader("agents", ready=0))
    first = carried_out(monkeypatch, Marked(), open_(Rotatable.API_KEY, None, *both), Key("here", "x" * 32))
    again = carried_out(monkeypatch, Marked("api-key"), open_(Rotatable.API_KEY, Rotatable.API_KEY, *both), None)
    assert "restarted and ready: cluster-agent" in first.details
    for error in (first, again):
        assert isinstance(error, RolloutFailed)
        assert "may still run with the old one: agents" in error.details
        assert "do not revoke the old key yet" in error.details
        assert error.hint == "when the cause is mended: ddhelm rotate api-key --restart-only"


@pytest.mark.parametrize(("uid", "revision", "anchor"), [("uid", 2, "plan-stale"), ("other", 1, "another-cluster")])
def test_no_agent_is_restarted_for_its_certificate_where_something_moved_since_the_look(
    monkeypatch: pytest.MonkeyPatch, uid: str, revision: int, anchor: str
) -> None:
    session, known = Marked(), SecretKeys("name", frozenset(), frozenset(), "", "")
    session.rows[:] = [ReleaseRow("d", "worker-node-ddagent", revision, "deployed")]
    monkeypatch.setattr(lock, "held", lambda *_, **__: nullcontext())
    with pytest.raises(PlanStale) as caught:
        certrotate.carry_out(cast("Session", session), Rotating(known, None, (), (), uid, HEADS), None)
    assert caught.value.anchor == anchor
