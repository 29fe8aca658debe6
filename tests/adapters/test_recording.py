"""The ring in its ConfigMap, while other runs write it too."""

import json
from typing import Any

import pytest

from ddhelm.actions import audit

NEW = '{"id":"new"}'


class Cluster:
    """A ConfigMap that others change just before each of the first ``faster`` writes."""

    def __init__(self, text: str | None, faster: int = 0) -> None:
        self.faster = faster
        self.written = 0
        self.stored = None if text is None else self._body(text, 1)

    @staticmethod
    def _body(text: str, version: int) -> dict[str, Any]:
        metadata = {"name": "ddhelm-history", "resourceVersion": str(version), "labels": {"mine": "kept"}}
        return {"kind": "ConfigMap", "metadata": metadata, "data": {audit.KEY: text, "other": "kept"}}

    def _others(self) -> None:
        if self.faster:
            self.faster -= 1
            before = audit.lines(self.stored)
            version = int(self.stored["metadata"]["resourceVersion"]) if self.stored else 0
            self.stored = self._body("\n".join([*before, f"other {self.faster}"]), version + 1)

    def tree(self, path: str) -> dict[str, Any] | None:
        assert path == "/api/v1/namespaces/datadog/configmaps/ddhelm-history"
        found: dict[str, Any] | None = json.loads(json.dumps(self.stored))
        self._others()
        return found

    def create(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        if self.stored is not None:
            return None
        self.stored, self.written = obj, self.written + 1
        return obj

    def replace(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        if self.stored is None or obj["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
            return None
        self.stored, self.written = obj, self.written + 1
        return obj


def append(cluster: Cluster, *, makes: bool = True) -> bool:
    return audit._append(cluster, "datadog", NEW, makes=makes)


def test_it_is_made_where_it_is_missing_and_carries_the_label_by_which_an_uninstall_finds_it() -> None:
    cluster = Cluster(None)
    assert append(cluster)
    assert audit.lines(cluster.stored) == (NEW,)
    assert cluster.stored is not None
    assert cluster.stored["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "ddhelm"}


@pytest.mark.parametrize("text", [None, "first"])
def test_what_others_wrote_meanwhile_is_kept(text: str | None) -> None:
    cluster = Cluster(text, faster=3)
    assert append(cluster)
    assert audit.lines(cluster.stored) == (*([text] if text else []), "other 2", "other 1", "other 0", NEW)
    assert cluster.written == 1
    assert cluster.stored is not None
    assert cluster.stored["data"]["other"] == cluster.stored["metadata"]["labels"]["mine"] == "kept"


def test_it_gives_up_where_others_are_always_faster() -> None:
    cluster = Cluster("first", faster=1000)
    assert not append(cluster)
    assert cluster.written == 0


def test_an_uninstall_that_deletes_it_does_not_make_it_again() -> None:
    gone, stands = Cluster(None), Cluster("first")
    assert append(gone, makes=False)
    assert gone.stored is None
    assert append(stands, makes=False)
    assert audit.lines(stands.stored) == ("first", NEW)


@pytest.mark.parametrize("configmap", [None, {}, {"data": None}, {"data": {audit.KEY: 7}}, {"data": []}, "text"])
def test_what_is_no_ring_has_no_lines(configmap: object) -> None:
    assert audit.lines(configmap) == ()
