"""A word that a flag does not take is a mistake of the command line, in every command, before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddhelm import cli
from tests.docs.commandline import Verb, verbs

WRONG = {
    "--output": "xml",
    "--diff": "sideways",
    "--crds": "some",
    "--timeout": "soon",
    "--lock-timeout": "soon",
    "--wait": "soon",
    "--only": "both",
    "--key-type": "dsa",
}
NEEDED = {
    "rotate": ("api-key",),
    "plan show": ("plan.json",),
    "diff revision": ("1", "2"),
    "diff versions": ("1", "2"),
    "certs verify": ("--endpoint", "https://127.0.0.1:1"),
    "certs issue": ("--ca-cert", "a", "--ca-key", "b", "--secret", "c"),
    "certs rotate": ("--ca-cert", "a", "--ca-key", "b"),
}
"""What a command cannot do without."""
CASES = [(verb, flag) for verb in verbs().values() for flag in WRONG if flag in verb.spellings]


@pytest.mark.parametrize(("verb", "flag"), CASES, ids=lambda each: getattr(each, "name", each))
def test_a_wrong_word_ends_with_the_exit_code_of_usage(
    verb: Verb, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "there-is-none"))
    code = cli.run([*verb.name.split(), *NEEDED.get(verb.name, ()), flag, WRONG[flag]])
    said = capsys.readouterr()
    assert (code, said.out) == (cli.USAGE, "")
    assert WRONG[flag] in said.err
    assert "hint: " in said.err


def test_every_command_with_an_output_format_is_among_them() -> None:
    assert len({verb.name for verb, flag in CASES if flag == "--output"}) > 15


@pytest.mark.parametrize("verb", verbs().values(), ids=lambda each: each.name or "ddhelm")
def test_a_key_in_a_wrong_place_is_not_repeated(
    verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an argument, with its variable, and as the value of a flag that was meant to name a file or a word."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "there-is-none"))
    monkeypatch.chdir(tmp_path)
    start = [*verb.name.split(), *NEEDED.get(verb.name, ())]
    secrets = ("AAAABBBB" * 4, "aaaabbbb" * 5, "DD_APP_KEY=hunter2hunter2")
    placed = [[secret] for secret in secrets]
    for at, flag in enumerate(("--api-key", "--api-key-file", *WRONG)):
        placed += [[flag, secrets[at % 3]], [f"{flag}={secrets[(at + 1) % 3]}"]]
    for words in placed:
        cli.run([*start, *words])
        said = capsys.readouterr()
        for secret in secrets:
            assert secret.rpartition("=")[2] not in said.out + said.err, words
