"""Keys: where they come from, what is refused, and that they cannot be printed."""

import io
import logging
import os
from pathlib import Path

import pytest

from ddhelm.actions import keys
from ddhelm.errors import ConfigError, UsageError
from ddhelm.run import Runner, Secrets

PLANTED = "deadbeefdeadbeefdeadbeefdeadbeef"


class Hider:
    def __init__(self) -> None:
        self.hidden: list[str] = []

    def add(self, *values: str) -> None:
        self.hidden += values


def read(file: str | None = None, environ: dict[str, str] | None = None) -> keys.Key | None:
    return keys.read("API key", variable="DD_API_KEY", file=file, hider=Secrets(), environ=environ or {})


def text(key: keys.Key | None) -> str:
    assert key is not None
    return key.reveal()


def test_a_file_goes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{PLANTED}\n")
    assert text(read(str(file), {"DD_API_KEY": "other"})) == PLANTED


def test_the_environment_is_read_and_empty_counts_as_unset() -> None:
    assert text(read(environ={"DD_API_KEY": PLANTED})) == PLANTED
    assert read(environ={"DD_API_KEY": ""}) is None


def given(data: bytes) -> io.TextIOWrapper:
    """Standard input that holds these bytes."""
    return io.TextIOWrapper(io.BytesIO(data), "utf-8", "surrogateescape")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", given(f"  {PLANTED}\n".encode()))
    assert text(read("-")) == PLANTED


@pytest.mark.parametrize(
    ("data", "why"), [(b"\xff\xfe" * 16, "standard input is no text"), (b"a" * 9000, "standard input is too large")]
)
def test_standard_input_is_held_to_what_a_file_is(monkeypatch: pytest.MonkeyPatch, data: bytes, why: str) -> None:
    monkeypatch.setattr("sys.stdin", given(data))
    with pytest.raises(ConfigError, match=why):
        read("-")


def test_a_variable_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="odd characters"):
        read(environ={"DD_API_KEY": os.fsdecode(b"\xff" * 32)})


def test_a_key_cannot_be_printed() -> None:
    key = read(environ={"DD_API_KEY": PLANTED})
    assert PLANTED not in f"{key} {key!r} {[key]}"


def test_a_key_is_hidden_from_all_output_before_anything_else() -> None:
    hider = Hider()
    keys.read("API key", variable="DD_API_KEY", file=None, hider=hider, environ={"DD_API_KEY": PLANTED})
    assert hider.hidden == [PLANTED]


@pytest.mark.parametrize("content", ["", "\n", "two words", f"{PLANTED}\n{PLANTED}", "schlüssel", "a\x00b"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read(str(file))
    told = caught.value.message + caught.value.hint
    assert str(file) in told
    assert PLANTED not in told


def test_missing_folder_binary_and_huge_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "huge").write_text("a" * 5000)
    for name in ("missing", "binary", "huge", "."):
        with pytest.raises(ConfigError):
            read(str(tmp_path / name))


def test_an_odd_looking_key_is_used_with_a_warning() -> None:
    assert keys.looks_wrong("API key", keys.Key("`x`", "not-hex"))
    assert keys.looks_wrong("API key", keys.Key("`x`", PLANTED)) == ""
    assert keys.looks_wrong("application key", keys.Key("`x`", PLANTED))


def test_without_a_terminal_a_needed_key_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        keys.prompt("API key", Hider(), None)
    assert caught.value.exit_code == 64
    assert "DD_API_KEY" in caught.value.hint


def test_a_token_is_long_enough_for_the_cluster_agent_and_new_each_time() -> None:
    first, second = (keys.new_token(Hider()).reveal() for _ in range(2))
    assert len(first) >= keys.TOKEN_LENGTH
    assert first != second


def from_command(line: str, **more: object) -> keys.Key | None:
    said: list[str] = []
    runner = Runner()
    key = keys.read(
        "API key",
        variable="DD_API_KEY",
        file=None,
        command=line,
        hider=runner.secrets,
        runner=runner,
        environ={"DD_API_KEY": "other"},
        tell=said.append,
    )
    assert said == more.get("said", [])
    assert key is None or runner.secrets.hide(key.reveal()) == "***"
    return key


def test_a_program_prints_the_key_and_is_started_without_a_shell(tmp_path: Path) -> None:
    program = tmp_path / "pass word"
    program.write_text(f'#!/bin/sh\necho unlocked >&2\necho "{PLANTED}"\n[ "$1" = \'a b;c\' ]\n')
    program.chmod(0o700)
    key = from_command(f"'{program}' 'a b;c'", said=["unlocked"])
    assert text(key) == PLANTED
    assert str(key) == f"key from `'{program}'`"


def test_the_arguments_of_a_program_that_prints_a_key_are_shown_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, logger="ddhelm"), pytest.raises(ConfigError) as caught:
        from_command("sh -c 'exit 7' -u admin:hunter2")
    assert caught.value.message == "`sh`, which should print the API key, ended with exit code 7"
    assert caplog.messages[0].startswith("sh  # exit 7, ")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "cannot be read"),
        ("'open", "cannot be read: no closing quotation"),
        (f"echo {PLANTED}", "has a key in its arguments"),
        ("sh -c 'exit 7'", "ended with exit code 7"),
        ("true", "is empty"),
        ("printf 'two words'", "has spaces"),
        ("head -c 5000 /dev/zero", "prints too much"),
    ],
)
def test_a_program_that_gives_no_key(line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        from_command(line)
    assert PLANTED not in caught.value.message


def test_what_a_failed_program_said_is_told_and_one_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        from_command("sh -c 'echo not signed in >&2; exit 1'", said=["not signed in"])
    assert caught.value.details == (), "it was told while the program ran"
    with pytest.raises(ConfigError) as caught:
        from_command("no-such-manager read key")
    assert caught.value.message == (
        "`no-such-manager` cannot be started: there is no such executable; it should print the API key"
    )
    assert caught.value.anchor == "key-command"
    assert caught.value.hint.startswith("command -v no-such-manager")


def test_a_file_and_a_program_at_once_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot be meant together"):
        keys.read("API key", variable="DD_API_KEY", file="key", command="pass", hider=Hider(), runner=Runner())
