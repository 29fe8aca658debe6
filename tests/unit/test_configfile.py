"""Settings files: read as meant, all problems at once with their lines."""

from pathlib import Path
from typing import Any

import pytest

from ddhelm.actions import configfile
from ddhelm.actions.request import settings_of
from ddhelm.commands.requests import request
from ddhelm.errors import ConfigError
from ddhelm.settings import SecretKey, Settings


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
    found = configfile.parse("ddhelm.yaml", text)
    assert found.given == {
        "site": "datadoghq.eu",
        "cluster_name": "prod-1",
        "logs": False,
        "tolerate": ("dedicated=gpu:NoSchedule",),
        "api_key_secret": SecretKey("vault", "api-key"),
    }
    assert found.origins["tolerate"] == "ddhelm.yaml:6"
    assert found.origins.keys() == found.given.keys()


def test_every_problem_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        configfile.parse("d.yaml", "sit: x\nlogs: maybe\ntolerate: gpu\nsite: EU\nsite: us5\n")
    assert caught.value.details == (
        "d.yaml:1: there is no setting `sit`; did you mean `site`?",
        "d.yaml:2: `logs` must be true or false",
        "d.yaml:3: `tolerate` must be a list of texts",
        "d.yaml:5: `site` stands twice",
    )


def test_wrong_values_are_told_beside_what_cannot_be_read() -> None:
    text = "foo: 1\ncluster-name: A_b\nagent-proxy: env\nsite: EU\ndrop-checks: [nope]\napm: maybe\n"
    with pytest.raises(ConfigError) as raised:
        configfile.parse("d.yaml", text)
    assert [each.partition(": ")[0] for each in raised.value.details] == [
        "d.yaml:1",
        "d.yaml:2",
        "d.yaml:5",
        "d.yaml:6",
    ]


def test_broken_yaml_names_file_and_line() -> None:
    with pytest.raises(ConfigError, match=r"d\.yaml:2: "):
        configfile.parse("d.yaml", "site: a\n  logs: [\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("site: a\n# \x1b[0m pasted\n", "d.yaml:2: control characters are not allowed (U+001B)"),
        ("site: a\nlogs: \x00\n", "d.yaml:2: control characters are not allowed (U+0000)"),
        ("logs: on\nsite: " + "[" * 300, "d.yaml:2: nested more than 200 levels deep"),
    ],
)
def test_what_no_parser_takes_is_an_error_with_its_line(text: str, told: str) -> None:
    """libyaml's composer recurses without a limit: 500 KB of brackets ended the process."""
    with pytest.raises(ConfigError) as raised:
        configfile.parse("d.yaml", text)
    assert raised.value.message == told


def test_an_empty_file_changes_nothing() -> None:
    assert configfile.parse("d.yaml", "# nothing\n") == ({}, {})


def test_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a map"):
        configfile.parse("d.yaml", "- site: a\n")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml` cannot be read"):
        configfile.read(str(tmp_path / "gone.yaml"))


def options(tmp_path: Path, text: str, **flags: Any) -> dict[str, Any]:
    file = tmp_path / "d.yaml"
    file.write_text(text)
    return {"config": str(file), **flags}


def test_a_setting_says_where_it_stands_and_a_flag_goes_over_it(tmp_path: Path) -> None:
    made = request(options(tmp_path, "site: eu\n# c\ncluster-name: prod\nlogs: false\n", cluster_name="other"))
    wanted = settings_of(Settings(), made)
    assert wanted.origins == {
        "site": f"{tmp_path}/d.yaml:1",
        "cluster_name": "the command line",
        "logs": f"{tmp_path}/d.yaml:4",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("logs: true\ncluster-name: Prod\n", "d.yaml:2: the chart refuses the cluster name `Prod`"),
        ("tolerate:\n- 'a b'\n", "d.yaml:1: `--tolerate a b` is no toleration"),
    ],
)
def test_a_wrong_setting_of_a_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(Settings(), request(options(tmp_path, text)))
    assert said in caught.value.message


def test_a_chart_beside_the_file_is_found_from_any_folder(tmp_path: Path) -> None:
    file = tmp_path / "team" / "ddhelm.yaml"
    file.parent.mkdir()
    for said, meant in (("./c.tgz", "team/c.tgz"), ("../charts/datadog", "charts/datadog")):
        file.write_text(f"chart: {said}\n")
        assert configfile.read(str(file)).given == {"chart": str(tmp_path / meant)}
    file.write_text("chart: oci://host/datadog\n")
    assert configfile.read(str(file)).given == {"chart": "oci://host/datadog"}
