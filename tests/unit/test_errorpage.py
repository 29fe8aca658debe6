"""What `see:` leads to: every error's section, in words that need no checkout."""

from pathlib import Path

import pytest

from ddhelm import cli, completing, errorpage
from ddhelm.errors import ConfigError

PAGE = """# Errors

## Things

### `one-thing`

Broken. See [Pods](../how-to/pods.md#here) and [`other`](#other).

### `other`

Whole.

## More

Of a chapter.
"""


def test_a_section_ends_at_the_next_heading_and_says_where_its_links_lead() -> None:
    assert errorpage.sections(PAGE) == {
        "one-thing": "Broken. See Pods (docs/how-to/pods.md) and `ddhelm explain other`.\n",
        "other": "Whole.\n",
    }


def test_every_section_of_the_page_is_there_without_a_link_that_leads_nowhere() -> None:
    known = errorpage.load()
    assert {"no-kubeconfig", "unknown-error", "interrupted"} <= known.keys()
    assert not [name for name, text in known.items() if "](" in text or "\n#" in text or len(text.split()) < 8]


def test_every_command_that_a_section_sends_the_reader_to_has_an_answer() -> None:
    known = errorpage.load()
    for text in known.values():
        for told in text.split("`ddhelm explain ")[1:]:
            name = told.partition("`")[0]
            assert name in known or name == "", name


def test_an_error_is_explained_and_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "no-kubeconfig"]) == 0
    assert capsys.readouterr().out.startswith("### `no-kubeconfig`\n\nThere is no")
    assert cli.run(["explain"]) == 0
    assert capsys.readouterr().out.split() == list(errorpage.load())


def test_a_name_that_is_none_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", "no-kubeconfg"]) == 64
    assert "hint: ddhelm explain no-kubeconfig\nsee: ddhelm explain unknown-error\n" in capsys.readouterr().err
    assert cli.run(["explain", "?"]) == 64
    assert "hint: ddhelm explain\n" in capsys.readouterr().err


def test_a_shell_completes_the_names() -> None:
    assert completing.errors("no-kube") == ["no-kubeconfig"]


def test_an_installation_without_the_page_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(errorpage, "__file__", str(tmp_path / "ddhelm" / "errorpage.py"))
    with pytest.raises(ConfigError, match=r"errors\.md` cannot be read"):
        errorpage.load()
