"""What no flag may be given, whatever the command: told before any file is read or any cluster asked."""

import pytest

from ddhelm import cli, flaggroups

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
    assert flaggroups.behind(typed) == meant


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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["onboard", "--timeout", "5"], "`--timeout 5` is no duration"),
        (["rollback", "--lock-timeout", "soon"], "`--lock-timeout soon` is no duration"),
        (["verify", "--wait", "1x"], "`--wait 1x` is no duration"),
        (["uninstall", "--timeout", "0s"], "`--timeout 0s` is no duration"),
        (["upgrade", "--latest", "--version", "3.1"], "`--latest` and `--version` cannot be meant together"),
        (["apply", "--digest", "0" * 64, "--yes"], "`--digest` is of a plan file, and none is named"),
        (["plan", "--out", "-"], "`--out -`: a plan is written to a file, which `apply` reads again"),
        (["plan", "--offline"], "`--offline` needs the facts of the cluster"),
        (["plan", "--facts", "f"], "`--facts` and `--against` go with `--offline`"),
        (
            ["plan", "--offline", "--facts", "f", "--out", "p"],
            "a plan made offline cannot be applied: it has seen no live object",
        ),
        (
            ["plan", "--offline", "--facts", "f", "--context", "c"],
            "`--context` names a cluster, and `--offline` asks none",
        ),
        (
            ["plan", "--offline", "--facts", "f", "--kubeconfig", "k"],
            "`--kubeconfig` names a cluster, and `--offline` asks none",
        ),
        (["drift", "--revert", "--adopt"], "`--revert` and `--adopt` cannot be meant together"),
        (
            ["onboard", "--etcd-secret", "x", "--no-etcd-secret"],
            "`--etcd-secret` and `--no-etcd-secret` cannot be meant together",
        ),
    ],
)
def test_what_flags_alone_show_to_be_wrong_is_told_where_there_is_no_cluster(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert cli.run(arguments) == USAGE
    assert capsys.readouterr().err.startswith(f"error: {told}\nhint: ")


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        (["--no-apm"], "`--no-apm`"),
        (["--apm", "--site", "datadoghq.eu"], "`--apm`, `--site`"),
        (["--drop-check", "etcd", "--set", "a=b"], "`--drop-check`, `--set`"),
        (["--no-etcd-secret"], "`--no-etcd-secret`"),
    ],
)
def test_what_a_plan_file_has_decided_is_refused_as_it_was_typed(
    arguments: list[str], typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["apply", "plan.json", *arguments]) == USAGE
    told = capsys.readouterr().err.splitlines()[0]
    names, _, rest = told.removeprefix("error: ").partition(" cannot be given with a plan file")
    assert rest
    assert sorted(names.split(", ")) == sorted(typed.split(", "))
