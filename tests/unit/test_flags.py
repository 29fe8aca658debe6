"""What no flag may be given, whatever the command: told before any file is read or any cluster asked."""

import pytest

from ddhelm import cli, flags

USAGE = 64


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["status", "-n", ""], "--namespace"),
        (["status", "--context", " "], "--context"),
        (["onboard", "--chart="], "--chart"),
        (["onboard", "-f", "values.yaml", "-f", ""], "--values"),
        (["onboard", "--set", ""], "--set"),
        (["onboard", "--drop-check", ""], "--drop-check"),
        (["onboard", "--api-key-secret", ""], "--api-key-secret"),
        (["plan", "--diff", ""], "--diff"),
        (["plan", "--out", ""], "--out"),
        (["apply", ""], "FILE"),
        (["diff", "versions", "", "3.240.0"], "V1"),
    ],
)
def test_an_empty_value_is_no_default(arguments: list[str], flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == USAGE
    told = capsys.readouterr()
    assert told.err.startswith(f"error: `{flag}` is given an empty value\nhint: ")
    assert not told.out


@pytest.mark.parametrize(
    ("arguments", "both"),
    [
        (["onboard", "-f", "-", "--api-key-file", "-"], "`--values` and `--api-key-file`"),
        (["onboard", "--api-key-file", "-", "--app-key-file", "-"], "`--api-key-file` and `--app-key-file`"),
        (["plan", "-f", "-", "-f", "-"], "`--values` and `--values`"),
        (["values", "worker", "--worker-values", "-", "--set-file", "a.b=-"], "`--set-file` and `--worker-values`"),
    ],
)
def test_standard_input_is_read_for_one_flag_only(
    arguments: list[str], both: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == USAGE
    assert capsys.readouterr().err.startswith(f"error: {both} would both read standard input\nhint: ")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--context", "prod", "status"], ["status", "--context", "prod"]),
        (
            ["-n", "x", "--kubeconfig=k", "diff", "revision", "1", "2"],
            ["diff", "revision", "1", "2", "-n", "x", "--kubeconfig=k"],
        ),
        (
            ["--kube-context=prod", "-n", "x", "values", "worker"],
            ["values", "worker", "--kube-context=prod", "-n", "x"],
        ),
        (["status", "--context", "prod"], ["status", "--context", "prod"]),
        (["--version"], ["--version"]),
        (["-n", "x", "--help"], ["-n", "x", "--help"]),
        (["-n"], ["-n"]),
        ([], []),
    ],
)
def test_what_names_the_cluster_may_stand_before_the_command(typed: list[str], meant: list[str]) -> None:
    assert flags.behind(typed) == meant


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["staus"], "No such command 'staus'. Did you mean 'status'?", "ddhelm --help"),
        (["install", "--wait"], "No such command 'install'", "ddhelm onboard"),
        (["list"], "No such command 'list'", "ddhelm status"),
        (["status", "-w"], "No such option: -w", "ddhelm status --help"),
        (["diff", "revision", "1"], "Missing argument 'B'", "ddhelm diff revision --help"),
        (["values"], "Missing argument 'ROLE'. Choose from: worker, control-plane", "ddhelm values --help"),
    ],
)
def test_a_mistake_is_one_line_with_the_command_whose_help_explains_it(
    arguments: list[str], says: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == USAGE
    assert capsys.readouterr().err.splitlines() == [f"error: {says}", f"hint: {hint}"]
