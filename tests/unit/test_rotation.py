"""What `rotate` shows before it asks: the plan, or that there is nothing to do."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm.actions import rotate as action
from ddhelm.actions.keys import Key
from ddhelm.actions.rotate import Rotation
from ddhelm.actions.session import Session
from ddhelm.commands import onboard, rotate
from ddhelm.release import API_KEY, Rotatable
from ddhelm.settings import SecretKey, Settings
from ddhelm.views import rotate as view


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, given: bool, same: bool) -> str:
    found = Rotation(Rotatable.API_KEY, SecretKey("ddhelm", "api-key"), Settings(), (), (), "", False, "uid")
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
    found = Rotation(Rotatable.API_KEY, secret, Settings(site=site), (), (), "", False, "uid")
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
