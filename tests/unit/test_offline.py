"""The files of a plan without a cluster."""

from pathlib import Path

import pytest

from ddhelm.actions import offline
from ddhelm.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"nodes": [{"name": "a\\ud800"}]}', "is no JSON: half a character is in it"),
        ("[" * 200_000, "is no JSON: "),
        ("{", "is no JSON: "),
        ('{"distribution": "\\ud83d\\ude00"}', "holds no facts of a cluster"),
    ],
)
def test_facts_that_cannot_be_are_told_as_those_of_a_file(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "facts.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=told) as caught:
        offline._facts(str(file), offline._document(str(file)))
    assert caught.value.anchor == "bad-facts-file"
