"""Every link inside the documentation leads somewhere, and every page can be reached."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import ROOT, Page, anchor, every_page, page


@pytest.mark.parametrize("page", every_page(), ids=lambda page: page.name)
def test_each_link_of_a_page_leads_to_a_file_and_to_a_heading(page: Page) -> None:
    for link in page.links:
        if urlsplit(link).scheme:
            continue
        file, _, fragment = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), f"{page.name} links to {link}, which does not exist"
        if fragment:
            assert fragment in Page(target).anchors, f"{page.name} links to {link}, a heading that does not exist"


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ahead = [page("README.md")]
    while ahead:
        current = ahead.pop()
        if current.path in seen:
            continue
        seen.add(current.path)
        for link in current.links:
            target = (current.path.parent / link.partition("#")[0]).resolve()
            if not urlsplit(link).scheme and target.suffix == ".md" and target.exists():
                ahead.append(Page(target))
    lost = {found.name for found in every_page() if found.path not in seen}
    assert not lost


def test_every_page_that_ddhelm_names_in_its_messages_exists() -> None:
    sources = [*(ROOT / "ddhelm").rglob("*.py"), *(ROOT / "charts-values").rglob("*.yaml")]
    named = {name: path.name for path in sources for name in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text())}
    assert not {name: where for name, where in named.items() if not (ROOT / name).exists()}


def test_no_line_of_the_docs_names_a_folder_of_somebodys_machine() -> None:
    for found in every_page():
        for place in (str(ROOT), str(Path.home()) + "/"):
            assert place not in found.text, f"{found.name} names {place}"


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Two agents on a node", "two-agents-on-a-node"),
        ("`release-busy`", "release-busy"),
        ("What it will not do: never", "what-it-will-not-do-never"),
    ],
)
def test_anchors_follow_the_rule_of_the_site_that_shows_them(heading: str, expected: str) -> None:
    assert anchor(heading) == expected
