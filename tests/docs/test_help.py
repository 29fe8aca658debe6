"""`--help` of every command: eighty columns are enough, no flag is cut, the examples can be typed."""

from __future__ import annotations

import pytest

from ddhelm import cli, examples, helppage
from tests.docs.commandline import Verb, verbs
from tests.docs.pages import Command
from tests.docs.test_commands_page import problem

VERBS = verbs()


def shown(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.run([*name.split(), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name or "ddhelm")
def test_help_shows_every_flag_and_argument_whole_in_eighty_columns(
    verb: Verb, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(verb.name, capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    words = set(text.replace(",", " ").replace("[no-]", "").replace("=", " ").split())
    for flag in verb.flags:
        for name in flag.names:
            assert name in words or f"--{name.removeprefix('--no-')}" in words, name
        assert flag.help.split()[0] in text
    for below in verb.verbs:
        assert f"\n  {below} " in text


def test_a_narrow_terminal_cuts_nothing_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown("onboard", capsys, monkeypatch, columns=40)
    assert "--control-plane-values FILE" in text
    assert "--[no-]allow-second-agent" in text


@pytest.mark.parametrize("name", [name for name, verb in VERBS.items() if verb.stands_alone or not name])
def test_every_command_has_examples_in_its_help(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in examples.EXAMPLES, "ddhelm/examples.py has two or three commands for every verb"
    assert "\nExamples:\n" in shown(name, capsys, monkeypatch)


def test_every_example_is_a_command_of_ddhelm_with_flags_that_it_has() -> None:
    assert set(examples.EXAMPLES) <= set(VERBS)
    wrong = {}
    for lines in examples.EXAMPLES.values():
        for line in lines:
            for part in line.replace("source <(", "").replace(")", "").split("&&"):
                if found := problem(Command(part, 0)):
                    wrong[line] = found
    assert not wrong


def test_every_command_in_a_group_of_the_help_exists() -> None:
    assert {name for names in helppage.COMMANDS.values() for name in names} <= set(VERBS)


@pytest.mark.parametrize("arguments", [["help", "onboard"], ["onboard", "-h"], ["onboard", "--help"]])
def test_help_is_found_the_way_helm_and_kubectl_have_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 0
    assert "ddhelm onboard [FLAGS]" in capsys.readouterr().out


def test_without_a_command_the_help_is_an_answer_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 0
    shown = capsys.readouterr()
    assert "COMMAND" in shown.out
    assert not shown.err
    assert cli.run(["version"]) == 0
    assert capsys.readouterr().out.startswith("ddhelm ")
