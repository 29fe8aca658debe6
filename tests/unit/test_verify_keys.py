"""With which keys `verify` asks Datadog."""

from types import SimpleNamespace
from typing import Any

import pytest

from ddhelm.actions import rotate
from ddhelm.actions import verify as action
from ddhelm.actions.keys import Key
from ddhelm.actions.verify import Verification
from ddhelm.commands import verify
from ddhelm.errors import ConfigError
from ddhelm.release import API_KEY, APP_KEY

IN_SECRETS = {API_KEY: "0" * 32, APP_KEY: "1" * 40}


def used(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], secrets: dict[str, str], **flags: str | None
) -> dict[str, str]:
    """The origin of each key that is used, by its name."""
    seen: dict[str, str] = {}

    def arrived(_session: object, _options: object, _found: object, keys: dict[str, Key], *_: object) -> Any:
        seen.update({name: key.origin for name, key in keys.items()})
        return verify._Skipped("", "")

    group: Any = SimpleNamespace(
        site="datadoghq.eu",
        cluster="",
        keys={variable: SimpleNamespace(name="mine", key=name) for name, variable in verify._VARIABLES.items()},
    )
    monkeypatch.setattr(action, "verify", lambda *_, **__: Verification("", "d", (), (), groups=(group,)))
    monkeypatch.setattr(verify, "_given", lambda *_: {name: Key(origin, "2" * 40) for name, origin in given.items()})
    monkeypatch.setattr(verify, "_arrived", arrived)
    monkeypatch.setattr(rotate, "unfinished", lambda _: None)
    session: Any = SimpleNamespace(kubectl=SimpleNamespace(secret_value=lambda _, key: secrets.get(key)))
    options: dict[str, Any] = dict.fromkeys(("api_key_file", "api_key_command", "app_key_file", "app_key_command")) | {
        "keys_from_secret": True,
        **flags,
    }
    assert verify.verify(session, options, "json", only=None, wait=0, timeout=None, concurrency=1) == 0
    return seen


def test_keys_of_the_secrets_go_before_the_environment_and_after_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {API_KEY: "`DD_API_KEY`", APP_KEY: "`DD_APP_KEY`"}
    assert used(monkeypatch, given, IN_SECRETS) == dict.fromkeys((API_KEY, APP_KEY), "Secret `mine`")
    given = {API_KEY: "`file`", APP_KEY: "`DD_APP_KEY`"}
    assert used(monkeypatch, given, IN_SECRETS, api_key_file="file") == {API_KEY: "`file`", APP_KEY: "Secret `mine`"}
    alone = {API_KEY: IN_SECRETS[API_KEY]}
    assert used(monkeypatch, given, alone)[APP_KEY] == "`DD_APP_KEY`", "where the Secrets have none"


def test_a_key_that_can_be_none_is_refused_by_the_name_of_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="the API key from Secret `mine` has") as caught:
        used(monkeypatch, {}, {**IN_SECRETS, API_KEY: "\ufeff" + "0" * 32})
    assert caught.value.anchor == "unusable-key"
