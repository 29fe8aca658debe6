"""Without a terminal and without --yes nothing is asked, of a person or of Datadog, before the command refuses."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm.access import Access
from ddhelm.actions import rotate as action
from ddhelm.actions.certrotate import Rotating
from ddhelm.actions.keys import Key
from ddhelm.actions.leftovers import Leftover
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.removal import Removal
from ddhelm.actions.request import Request
from ddhelm.actions.rotate import Rotation
from ddhelm.actions.session import Session
from ddhelm.actions.unlock import Held
from ddhelm.commands import asking, certrotate, onboard, rotate, uninstall, unlock, validation
from ddhelm.commands.certs import Files, Given
from ddhelm.errors import UsageError
from ddhelm.release import API_KEY, APP_KEY, Rotatable
from ddhelm.settings import SecretKey, Settings

OPTIONS: dict[str, Any] = {
    "yes": False,
    "timeout": None,
    "lock_timeout": None,
    **dict.fromkeys(("api_key_file", "api_key_command", "app_key_file", "app_key_command")),
}
GIVEN = {API_KEY: Key("`DD_API_KEY`", "a" * 32)}
SESSION = cast("Session", SimpleNamespace(secrets=SimpleNamespace(add=lambda *_: None)))


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    monkeypatch.setattr(validation, "validated", lambda *_: pytest.fail("Datadog was asked"))


@pytest.mark.parametrize("given", [GIVEN, {}], ids=["with-a-key", "without"])
def test_a_plan_is_refused_before_its_keys_are(given: dict[str, Key]) -> None:
    plan = SimpleNamespace(writes=(API_KEY, APP_KEY))
    prepared = cast("Prepared", SimpleNamespace(plan=plan, carried_keys={}, settings=Settings()))
    with pytest.raises(UsageError) as caught:
        onboard._agreed(SESSION, OPTIONS, prepared, given, "onboard")
    assert caught.value.anchor == "no-terminal"


@pytest.mark.parametrize("given", [GIVEN, {}], ids=["with-a-key", "without"])
def test_a_rotation_is_refused_before_its_key_is(monkeypatch: pytest.MonkeyPatch, given: dict[str, Key]) -> None:
    found = Rotation(Rotatable.API_KEY, SecretKey("ddhelm", "api-key"), Settings(), (), (), "", False, "uid", {})
    monkeypatch.setattr(action, "look", lambda *_: found)
    monkeypatch.setattr(action, "refuse_foreign", lambda *_: None)
    monkeypatch.setattr(action, "same", lambda *_: False)
    monkeypatch.setattr(onboard, "given_keys", lambda *_: given)
    with pytest.raises(UsageError) as caught:
        rotate.rotation(SESSION, OPTIONS, Rotatable.API_KEY, "table", restart_only=False, dry_run=False)
    assert caught.value.anchor == "no-terminal"


def test_a_rotation_of_certificates_is_refused_before_a_password_is_asked_for() -> None:
    given, how = Given("ca.crt", "ca.key"), certrotate.how(None, None)
    flags = {"restart_only": False, "new_ca": False, "dry_run": False, "yes": False}
    with pytest.raises(UsageError) as caught:
        certrotate.rotate({}, given, Files(), how, "table", **flags)
    assert caught.value.anchor == "no-terminal"


@pytest.mark.parametrize("verb", ["onboard", "upgrade", "rollback", "drift --revert"])
def test_who_says_no_is_told_the_command_that_asks_again(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """A hint that names another command than the one that asked would make another change."""
    access = Access("/k", "prod", "datadog", "https://x", {})
    plan = SimpleNamespace(writes=(), changes=True, problems=())
    facts = SimpleNamespace(facts=SimpleNamespace(uid="u"))
    prepared = SimpleNamespace(
        plan=plan, cluster=facts, unproven_keys=(), sent_to=Settings(), stop_if_broken=lambda: None
    )
    options = {**OPTIONS, "no_rollback": False}
    monkeypatch.setattr(asking, "terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    session = cast("Session", SimpleNamespace(access=access))
    with pytest.raises(UsageError) as caught:
        onboard.carry_on(
            session,
            options,
            cast("Prepared", prepared),
            Request(),
            "json",
            verb=verb,
            how=onboard.how(options),
            given={},
        )
    assert caught.value.hint == f"ddhelm {verb}, with the same arguments"


ACCESS = Access("/k", "prod", "datadog", "https://x", {})
HERE: Any = SimpleNamespace(access=ACCESS, kubectl=SimpleNamespace(tree=lambda _: {"metadata": {"uid": "u-1"}}))


def _uninstall(patch: pytest.MonkeyPatch) -> None:
    removal = Removal("datadog", "u-1", hooks=(Leftover("webhook", "w"),))
    patch.setattr("ddhelm.actions.uninstall.prepare", lambda *_, **__: removal)
    flags = {"delete_secrets": False, "delete_namespace": False, "yes": False, "dry_run": False}
    uninstall.uninstall(HERE, **flags, timeout=None, lock_timeout=0, output="json")


def _rotate(patch: pytest.MonkeyPatch) -> None:
    open_ = Rotation(Rotatable.TOKEN, SecretKey("ddhelm", "token"), Settings(), (), (), "", False, "u-1", {})
    patch.setattr(action, "look", lambda *_: open_)
    patch.setattr(rotate, "_new", lambda *_, **__: Key("made", "a" * 32))
    rotate.rotation(HERE, OPTIONS, Rotatable.TOKEN, "json", restart_only=False, dry_run=False)


def _rotate_certificates(patch: pytest.MonkeyPatch) -> None:
    secret: Any = SimpleNamespace(name="etcd")
    held: Any = SimpleNamespace(late=(), workload=SimpleNamespace(settled=False, desired=1, max_unavailable=1))
    found = Rotating(secret, None, (held,), (held,), "u-1", {})
    patch.setattr("ddhelm.commands.opened.session", lambda _: HERE)
    patch.setattr("ddhelm.actions.certrotate.look", lambda _: found)
    patch.setattr("ddhelm.views.certs.rotating", lambda *_: None)
    flags = {"restart_only": True, "new_ca": False, "dry_run": False, "yes": False}
    certrotate.rotate({}, Given(None, None), Files(), certrotate.how(None, None), "table", **flags)


def _unlock(patch: pytest.MonkeyPatch) -> None:
    holder: Any = SimpleNamespace(who="anna@host", ended=False, duration=30, since="noon")
    patch.setattr("ddhelm.actions.unlock.look", lambda *_: Held(holder, {}, False, 99.0))
    unlock.unlock(HERE, force=False, yes=False)


@pytest.mark.parametrize("ask", [_uninstall, _rotate, _rotate_certificates, _unlock])
def test_a_question_names_the_cluster_that_it_is_about(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ask: Callable[[pytest.MonkeyPatch], None],
) -> None:
    monkeypatch.setattr(asking, "terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    with pytest.raises(UsageError, match="not confirmed"):
        ask(monkeypatch)
    assert "Context `prod`, server https://x, kube-system UID u-1." in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yes please\n"])
def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    with pytest.raises(UsageError, match="nothing was removed"):
        asking.confirm("Remove this?", hint="x", kept="nothing was removed")
    monkeypatch.setattr("sys.stdin", io.StringIO(" YES\n"))
    asking.confirm("Remove this?", hint="x")
