"""The page about JSON says what programs get; cluster tests hold real documents against it (``jsonpage.check``)."""

import copy
from typing import Any

import pytest

from ddhelm.drift import Change, Drift, Fate, FieldDrift, ObjectDrift
from ddhelm.managedfields import Writer
from ddhelm.manifest import ObjectRef
from ddhelm.views import drift
from tests.docs import jsonpage

FIELD = FieldDrift(("data", "a"), Change.ALTERED, "1", "2", (Writer("kubectl-edit"),), Fate.CONFLICT)
FOUND = ObjectDrift("worker-node-ddagent", ObjectRef("v1", "ConfigMap", "datadog", "confd"), fields=(FIELD,))
DOCUMENT = drift.json(Drift((FOUND,), {"worker-node-ddagent": "ssa"}))


def test_a_document_has_the_fields_of_the_page() -> None:
    jsonpage.check(DOCUMENT)


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


@pytest.mark.parametrize("kind", ["Plan", "Outcome", "Drift"])
def test_each_kind_has_a_table(kind: str) -> None:
    assert jsonpage.shape(kind)
