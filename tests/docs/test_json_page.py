"""The page about JSON says what programs get; cluster tests hold every document that they read against it too."""

import copy
import re
from collections import defaultdict
from typing import Any

import pytest

from tests.docs import jsonpage, jsonsamples
from tests.docs.pages import page

SAMPLES = jsonsamples.documents()
DOCUMENT = next(document for document in SAMPLES if document["kind"] == "Drift")


def test_every_kind_of_document_has_its_section_and_no_other_has() -> None:
    text = page(jsonpage.PAGE).text
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == jsonpage.KINDS
    (table,) = re.findall(r"^\| command \| prints \|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert set(re.findall(r"\[(\w+)\]\(#", table)) == jsonpage.KINDS


def test_every_field_of_the_page_is_in_some_document_and_no_other_is() -> None:
    met: dict[str, set[str]] = defaultdict(set)
    for document in SAMPLES:
        met[document["kind"]] |= jsonpage.check(document)
    lacking = {kind: jsonpage.fields(kind) - met[kind] for kind in jsonpage.KINDS}
    assert not {kind: sorted(fields) for kind, fields in lacking.items() if fields}


def _without(document: dict[str, Any]) -> None:
    del document["data"]["objects"][0]["fields"][0]["toRemove"]


def _with_more(document: dict[str, Any]) -> None:
    document["data"]["objects"][0]["more"] = 1


def _of_another_type(document: dict[str, Any]) -> None:
    document["data"]["drift"] = "yes"


@pytest.mark.parametrize("change", [_without, _with_more, _of_another_type])
def test_any_difference_from_the_page_is_found(change: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    with pytest.raises(AssertionError, match="Drift"):
        jsonpage.check(document)
