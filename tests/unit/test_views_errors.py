"""The report of a bug holds nothing that the run knows to be secret, whatever it looks like."""

import pytest

from ddhelm import cli, flaggroups
from ddhelm.run import Secrets


def test_a_value_that_only_this_run_knows_is_not_in_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known, password = Secrets(), "plain words of a password"

    def breaks(_arguments: list[str]) -> None:
        known.add(password)
        raise RuntimeError(f"cannot digest {password}")

    monkeypatch.setattr(flaggroups, "no_contradiction", breaks)
    assert cli.run(["certs", "issue", password]) == 70
    told = capsys.readouterr().err
    assert "cannot digest ***" in told
    assert password not in told
    assert "RuntimeError" in told


@pytest.mark.parametrize("given", [["--api-key-command", "curl -u me:hunter2"], ["--app-key-command=pass -p hunter2"]])
def test_what_prints_a_key_is_not_in_the_report(
    given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(_arguments: list[str]) -> None:
        raise RuntimeError

    monkeypatch.setattr(flaggroups, "no_contradiction", breaks)
    assert cli.run(["rotate", *given, "-o", "json"]) == 70
    told = capsys.readouterr().err
    assert "***" in told
    assert " -o json\n" in told
    assert "hunter2" not in told
