"""Only the command that was typed is built; whatever it is, it is the same command as among all the others."""

import pytest
import typer

from ddhelm.cli import app

COMPLETING = "_DDHELM_COMPLETE"


def commands(arguments: list[str]) -> dict[str, object]:
    return dict(typer.main.get_command(app.serving(arguments)).commands)  # type: ignore[attr-defined]


ALL = commands([])


@pytest.mark.parametrize("name", ALL)
def test_a_command_alone_has_the_flags_that_it_has_among_all(name: str) -> None:
    alone = commands([name, "--namespace", "datadog"])
    assert list(alone) == [name]
    assert [each.opts for each in alone[name].params] == [each.opts for each in ALL[name].params]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "arguments", [[], ["onbord"], ["--help"], ["-h"], ["--install-completion"], ["onbord", "status"]]
)
def test_all_are_there_where_one_must_be_listed_or_guessed(arguments: list[str]) -> None:
    assert list(commands(arguments)) == list(ALL)


def test_the_version_needs_none() -> None:
    assert commands(["--version"]) == {}


def test_a_shell_that_completes_sees_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPLETING, "complete_bash")
    assert list(commands(["plan"])) == list(ALL)


def test_the_app_itself_keeps_all() -> None:
    commands(["status"])
    assert list(commands([])) == list(ALL)
