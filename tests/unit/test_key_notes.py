"""A key that is given and not used is said so, wherever the one in use stands."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ddhelm.actions.keys import Key
from ddhelm.commands import onboard
from ddhelm.errors import ClusterError
from ddhelm.release import API_KEY, APP_KEY
from ddhelm.settings import SecretKey, Settings

OLD, NEW = "a" * 32, "b" * 32
VAULT = Settings(api_key_secret=SecretKey("vault", "api-key"))


def noted(stored: str | ClusterError | None, settings: Settings, name: str = API_KEY) -> str:
    """What is said of a given key where the one in use is ``stored``."""

    def secret_value(*_: str) -> str | None:
        if isinstance(stored, ClusterError):
            raise stored
        return stored

    session: Any = SimpleNamespace(kubectl=SimpleNamespace(secret_value=secret_value))
    plan, cluster = SimpleNamespace(writes=()), SimpleNamespace(namespace={})
    prepared: Any = SimpleNamespace(carried_keys={}, plan=plan, settings=settings, cluster=cluster)
    out = io.StringIO()
    onboard._key_notes(session, prepared, {name: Key("`new.key`", NEW)}, Console(file=out, width=500))
    return out.getvalue()


def test_one_in_a_secret_that_ddhelm_writes_is_rotated() -> None:
    assert noted(OLD, Settings()) == (
        "! the API key from `new.key` differs from the one in Secret `ddhelm`, which stays; "
        "to change it: ddhelm rotate api-key\n"
    )


def test_one_in_a_secret_of_somebody_else_is_changed_there() -> None:
    assert noted(OLD, VAULT) == (
        "! the API key from `new.key` differs from the one in Secret `vault`, which is never written; "
        "to change it: in that Secret first, then ddhelm rotate api-key --restart-only\n"
    )


@pytest.mark.parametrize("stored", [NEW, None, ClusterError("`u` may not get secrets", anchor="forbidden")])
@pytest.mark.parametrize("settings", [VAULT, Settings()], ids=["theirs", "ours"])
def test_nothing_is_said_of_the_same_one_or_where_it_cannot_be_read(
    stored: str | ClusterError | None, settings: Settings
) -> None:
    assert noted(stored, settings) == ""


def test_where_no_application_key_is_used_none_differs() -> None:
    assert noted(OLD, Settings(), APP_KEY) == ""
