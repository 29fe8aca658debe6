"""Keys: where they come from, what is refused, and that they cannot be printed."""

from pathlib import Path

import pytest

from ddhelm.actions import keys
from ddhelm.errors import ConfigError, UsageError

PLANTED = "deadbeefdeadbeefdeadbeefdeadbeef"


class Hider:
    def __init__(self) -> None:
        self.hidden: list[str] = []

    def add(self, *values: str) -> None:
        self.hidden += values


def read(file: str | None = None, environ: dict[str, str] | None = None, stdin: str | None = None) -> keys.Key | None:
    return keys.read("API key", variable="DD_API_KEY", file=file, hider=Hider(), environ=environ or {}, stdin=stdin)


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


def test_standard_input() -> None:
    assert text(read("-", stdin=f"  {PLANTED}\n")) == PLANTED


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
