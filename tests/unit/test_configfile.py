"""Settings files: read as meant, all problems at once with their lines."""

from pathlib import Path

import pytest

from ddhelm.actions import configfile
from ddhelm.errors import ConfigError
from ddhelm.settings import SecretKey


def test_a_whole_file() -> None:
    text = """
# production
site: datadoghq.eu
cluster-name: "prod-1"
logs: off
tolerate:
  - dedicated=gpu:NoSchedule
api-key-secret: vault
"""
    assert configfile.parse("ddhelm.yaml", text) == {
        "site": "datadoghq.eu",
        "cluster_name": "prod-1",
        "logs": False,
        "tolerate": ("dedicated=gpu:NoSchedule",),
        "api_key_secret": SecretKey("vault", "api-key"),
    }


def test_every_problem_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        configfile.parse("d.yaml", "sit: x\nlogs: maybe\ntolerate: gpu\nsite: a\nsite: b\n")
    assert caught.value.details == (
        "d.yaml:1: there is no setting `sit`; did you mean `site`?",
        "d.yaml:2: `logs` must be true or false",
        "d.yaml:3: `tolerate` must be a list of texts",
        "d.yaml:5: `site` stands twice",
    )


def test_broken_yaml_names_file_and_line() -> None:
    with pytest.raises(ConfigError, match=r"d\.yaml:2: "):
        configfile.parse("d.yaml", "site: a\n  logs: [\n")


def test_an_empty_file_changes_nothing() -> None:
    assert configfile.parse("d.yaml", "# nothing\n") == {}


def test_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a map"):
        configfile.parse("d.yaml", "- site: a\n")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml` cannot be read"):
        configfile.read(str(tmp_path / "gone.yaml"))
