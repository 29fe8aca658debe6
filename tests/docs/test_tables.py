"""Tables of the docs that mirror files of the repository stay in step with them."""

import re

import yaml

from ddhelm.actions import configfile
from tests.docs.pages import ROOT, page

LAYERS = ROOT / "charts-values"


def rows(name: str) -> dict[str, str]:
    """First cell (a word in backticks) -> the whole row, for all tables of a page."""
    return dict(re.findall(r"^\| `([^`]+)` \|(.*)\|$", page(name).text, re.MULTILINE))


def test_every_distribution_has_its_row_and_no_row_is_left_over() -> None:
    files = {path.stem for path in (LAYERS / "distributions").glob("*.yaml")}
    assert set(rows("docs/reference/distributions.md")) == files


def test_a_row_calls_the_distribution_by_its_title_and_says_how_many_releases_it_gets() -> None:
    table = rows("docs/reference/distributions.md")
    for path in (LAYERS / "distributions").glob("*.yaml"):
        tree = yaml.safe_load(path.read_text())
        cells = [cell.strip() for cell in table[path.stem].split("|")]
        assert cells[0] == tree["title"], path.stem
        assert cells[1] == ("one" if "managed" in tree else "two"), path.stem


def test_every_other_name_that_a_distribution_goes_by_is_listed_with_it() -> None:
    text = page("docs/reference/distributions.md").section("Other names")
    for path in (LAYERS / "distributions").glob("*.yaml"):
        for other in yaml.safe_load(path.read_text()).get("also", []):
            assert re.search(rf"^\| .*\b{other}\b.* \| `{path.stem}` \|$", text, re.MULTILINE), other


def test_the_settings_are_those_that_a_settings_file_takes() -> None:
    table = rows("docs/reference/settings.md")
    kinds = {"text": configfile.TEXTS, "true, false": configfile.SWITCHES, "list of texts": configfile.LISTS}
    assert {name: cells.split("|")[0].strip() for name, cells in table.items()} == {
        name: kind for kind, names in kinds.items() for name in names
    }


def test_the_chart_versions_that_are_refused_are_listed_with_what_to_use() -> None:
    refused = yaml.safe_load((LAYERS / "chart-versions.yaml").read_text())["refused"]
    table = re.findall(
        r"^\| ([\d.]+) \| ([\d.]+) \| .* \| ([\d.]+) \|$", page("docs/reference/chart-versions.md").text, re.M
    )
    assert table == [(row["first"], row["last"], row["use"]) for row in refused]


def test_every_file_of_layers_is_on_the_page_about_layers() -> None:
    text = page("docs/reference/values-layers.md").text
    layers = {path.name for path in LAYERS.glob("*.yaml")} - {"chart-versions.yaml"}  # no values
    assert layers == {name for name in layers if f"`charts-values/{name}`" in text}
