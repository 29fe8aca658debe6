"""Every error of ddhelm leads to a heading of the errors page, and no heading is left over."""

import ast

import pytest

from ddhelm import errors, failurerows, proof
from tests.docs.pages import ROOT, page

ERRORS = "docs/reference/errors.md"


def anchors_in_the_source() -> dict[str, str]:
    """anchor -> the place that uses it: constants given as `anchor=`, the rows about helm's messages, the claims."""
    found = {row.anchor or row.name: f"row {row.name}" for row in (*failurerows.ROWS, *failurerows.FETCHING)}
    found |= {claim.anchor: f"claim {claim.name}" for claim in proof.CLAIMS}
    for path in sorted((ROOT / "ddhelm").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "anchor":
                        for leaf in ast.walk(keyword.value):
                            if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and leaf.value:
                                found.setdefault(leaf.value, f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def headings() -> set[str]:
    return {heading.strip("`") for heading in page(ERRORS).headings if heading.startswith("`")}


def test_every_anchor_of_an_error_has_its_heading() -> None:
    missing = {anchor: place for anchor, place in anchors_in_the_source().items() if anchor not in headings()}
    assert not missing


def test_no_heading_of_the_errors_page_is_left_over() -> None:
    assert not headings() - set(anchors_in_the_source())


def test_every_heading_says_something_and_no_heading_stands_twice() -> None:
    named = [heading for heading in page(ERRORS).headings if heading.startswith("`")]
    assert len(named) == len(set(named))
    for heading in named:
        assert len(page(ERRORS).section(heading).split()) >= 8, heading


def _classes(base: type[errors.DdhelmError]) -> list[type[errors.DdhelmError]]:
    return [base, *(found for child in base.__subclasses__() for found in _classes(child))]


@pytest.mark.parametrize("error", _classes(errors.DdhelmError)[1:], ids=lambda error: error.__name__)
def test_every_class_of_error_has_its_exit_code_on_the_page_of_exit_codes(error: type[errors.DdhelmError]) -> None:
    rows = [line for line in page("docs/reference/exit-codes.md").text.splitlines() if f"`{error.__name__}`" in line]
    assert any(line.startswith(f"| {error.exit_code} |") for line in rows), rows
