"""What a command line asks for: of two releases, of keys that are given, of a proxy."""

from typing import Any, Literal

import pytest

from ddhelm.actions import offline, prepare
from ddhelm.actions.request import Request, UserSources, idle_values, settings_of
from ddhelm.commands import check, diff, onboard, plan, requests, values
from ddhelm.commands.requests import user_sources
from ddhelm.errors import ConfigError, UsageError
from ddhelm.release import Role
from ddhelm.settings import DEFAULT_APP_KEY_SECRET, SecretKey, Settings, UserLayers
from ddhelm.tree import Tree
from ddhelm.uservalues import Source


def test_values_for_the_release_that_is_left_alone_are_said_to_do_nothing() -> None:
    user = user_sources({"control_plane_set": ["a.b=1", "a.c=2"], "set_": ["d=1"]})
    said = "--control-plane-set: without effect on the worker release, and this run is about no other"
    assert idle_values(user, Role.WORKER) == (said,)
    assert idle_values(user, Role.CONTROL_PLANE) == ()
    assert idle_values(user, None) == ()
    assert idle_values(UserSources(), Role.WORKER) == ()


def test_values_of_one_release_and_only_the_other_is_a_contradiction() -> None:
    with pytest.raises(UsageError) as caught:
        values.values(offline.session(None), {"only": Role.CONTROL_PLANE}, Role.WORKER, explain=False)
    assert caught.value.message == "`ddhelm values worker` and `--only control-plane` name two releases"
    assert caught.value.hint == "ddhelm values control-plane"


def again(stored: Tree, *arguments: str, kind: Literal["set", "set-string", "set-json"] = "set") -> Tree:
    """What the user's values for both releases are after a run with these flags."""
    user = UserSources(both=tuple(Source(kind, argument) for argument in arguments))
    return settings_of(Settings(user=UserLayers(both=stored)), Request(user=user)).user.both


def test_a_flag_goes_into_what_its_scope_holds_as_into_a_file() -> None:
    """Helm's own semantics, whichever run the others are of: a list was replaced by one of which the rest was null."""
    stored: Tree = {"agents": {"tolerations": [{"key": "a"}]}, "other": True}
    assert again(stored, "agents.tolerations[1].key=b")["agents"] == {"tolerations": [{"key": "a"}, {"key": "b"}]}
    assert again(stored, "agents.tolerations[0].effect=NoSchedule") == {
        "agents": {"tolerations": [{"key": "a", "effect": "NoSchedule"}]},
        "other": True,
    }
    assert again(stored, "agents.tolerations=null")["agents"] == {"tolerations": None}
    assert again({"a": {"b": {"x": 1}, "c": 2}}, 'a.b={"y":2}', kind="set-json") == {"a": {"b": {"y": 2}, "c": 2}}
    assert again({"a": {"b": {"x": 1}}}, '{"a":{"b":{"y":2}}}', kind="set-json") == {"a": {"b": {"x": 1, "y": 2}}}
    assert stored == {"agents": {"tolerations": [{"key": "a"}]}, "other": True}


@pytest.mark.parametrize("held", [None, "text", 1])
def test_what_stands_where_a_flag_wants_a_list_or_a_map_gives_way(held: object) -> None:
    """The null that took the chart's default away must not refuse the flag that wants something there again."""
    assert again({"a": held, "b": 1}, "a[0].key=x") == {"a": [{"key": "x"}], "b": 1}
    assert again({"a": held, "b": 1}, "a.key=x") == {"a": {"key": "x"}, "b": 1}


def test_a_file_replaces_all_of_its_scope() -> None:
    user = UserSources(both=(Source("set", "l[1]=b"), Source("file", "f.yaml", "l: [x]")))
    found = settings_of(Settings(user=UserLayers(both={"l": ["a"], "m": 1})), Request(user=user))
    assert found.user.both == {"l": ["x", "b"]}


@pytest.mark.parametrize(
    ("stored", "flag"),
    [({"name": "DB_PASSWORD"}, "value=hunter2hunter2"), ({"value": "hunter2hunter2"}, "name=DB_PASSWORD")],
)
def test_a_secret_that_a_flag_makes_with_what_is_held_is_refused(stored: Tree, flag: str) -> None:
    with pytest.raises(ConfigError, match=r"--set: `env\[0\].value` looks like a secret") as caught:
        again({"env": [stored]}, f"env[0].{flag}")
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint} {caught.value.details}"
    held: Tree = {"env": [{"name": "DB_PASSWORD", "value": "hunter2hunter2"}]}
    assert again(held, "a=1") == {**held, "a": 1}, "what was there before is no business of a flag"


VAULT = SecretKey("datadog-from-vault", "app-key")


@pytest.mark.parametrize("given", [{"app_key_file": "key"}, {"app_key_command": "op read key"}, {}])
def test_an_application_key_fills_a_gap_and_replaces_no_secret_that_is_named(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    monkeypatch.setenv("DD_APP_KEY", "a" * 40)
    asked = requests.of_onboard(given)
    assert settings_of(Settings(), asked).app_key_secret == DEFAULT_APP_KEY_SECRET
    assert settings_of(Settings(app_key_secret=VAULT), asked).app_key_secret == VAULT
    named = requests.of_onboard({**given, "app_key_secret": "mine"})
    assert settings_of(Settings(), named).app_key_secret == SecretKey("mine", "app-key")
    monkeypatch.delenv("DD_APP_KEY")
    assert requests.of_onboard(given).app_key is bool(given)


class _Asked(Exception):
    """Instead of a plan: the request that it would be made of."""


def test_what_shows_a_plan_and_onboard_ask_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def caught(_: Any, request: Request, **__: Any) -> None:
        raise _Asked(request)

    monkeypatch.setenv("DD_APP_KEY", "a" * 40)
    monkeypatch.setattr(prepare, "prepare", caught)
    monkeypatch.setattr(prepare, "values_only", caught)
    session = offline.session(None)
    options: dict[str, Any] = {"timeout": None, "lock_timeout": None, "no_rollback": False}
    commands = (
        lambda: onboard.onboard(session, options, "json", dry_run=True),
        lambda: plan.show(session, options, "json", detailed=False, limit=None, out=None),
        lambda: diff.values(session, options, detailed=False),
        lambda: check.check(session, options, "json"),
        lambda: values.values(session, options, Role.WORKER, explain=False),
    )
    for command in commands:
        with pytest.raises(_Asked) as asked:
            command()
        assert asked.value.args[0].app_key


@pytest.mark.parametrize(
    ("given", "left_out", "expected"),
    [
        ((), "localhost,10.1.0.0/16", ("localhost", "10.1.0.0/16")),
        (("100.64.0.0/10", "localhost"), "localhost", ("100.64.0.0/10", "localhost")),
        (("100.64.0.0/10",), "", ("100.64.0.0/10",)),
        (("none",), "localhost", ("none",)),
    ],
)
def test_the_proxy_of_this_machine_keeps_what_else_is_left_out(
    monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], left_out: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", left_out)
    flags = {"agent_no_proxy": list(given)} if given else {}
    made = requests.request({"agent_proxy": "env", **flags})
    assert made.given == {"agent_proxy": "http://proxy:3128", "agent_no_proxy": expected}
