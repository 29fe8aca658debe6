"""Helm's own records, read without helm."""

import gzip
import json
from base64 import b64encode
from typing import Any

import pytest

from ddhelm.errors import ReleaseError
from ddhelm.record import ReleaseRow, decode, head, rows, rows_of, secret_name

TABLE = """\
sh.helm.release.v1.agent.v9     helm.sh/release.v1   1     3d    agent     superseded        9   1795489700
sh.helm.release.v1.agent.v10    helm.sh/release.v1   1     2d    agent     deployed          10  1795489800
sh.helm.release.v1.agent.v11    helm.sh/release.v1   1     5s    agent     pending-upgrade   11
not-a-release                   Opaque               1     5s    agent     deployed          12  1795489900
"""


def release(**changes: Any) -> dict[str, Any]:
    return {
        "name": "agent",
        "namespace": "datadog",
        "version": 3,
        "info": {
            "status": "deployed",
            "first_deployed": "2026-11-24T03:08:45.6Z",
            "last_deployed": "2026-11-24T04:08:45.6-05:00",
            "description": "Upgrade complete",
        },
        "chart": {"metadata": {"name": "datadog", "version": "3.240.0", "appVersion": "7"}, "templates": ["big"]},
        "config": {"datadog": {"site": "datadoghq.eu"}},
        "manifest": "---\nkind: ConfigMap\n",
        **changes,
    }


def secret(tree: Any, *, packed: bool = True) -> dict[str, Any]:
    text = json.dumps(tree).encode()
    data = b64encode(b64encode(gzip.compress(text) if packed else text)).decode()
    metadata = {"name": "sh.helm.release.v1.agent.v3", "namespace": "datadog", "uid": "u", "resourceVersion": "7"}
    return {"metadata": {**metadata, "labels": {"name": "agent"}}, "data": {"release": data}}


def test_a_release_of_helm_3() -> None:
    record = decode(secret(release(info={**release()["info"], "deleted": ""})))
    assert (record.name, record.namespace, record.revision, record.status) == ("agent", "datadog", 3, "deployed")
    assert (record.chart_name, record.chart_version, record.app_version) == ("datadog", "3.240.0", "7")
    assert record.last_deployed == "2026-11-24T04:08:45.6-05:00"
    assert record.config == {"datadog": {"site": "datadoghq.eu"}}
    assert record.manifest == "---\nkind: ConfigMap\n"
    assert (record.apply_method, record.rollback_revision) == ("csa", None)
    assert (record.uid, record.resource_version) == ("u", "7")


def test_a_release_of_helm_4() -> None:
    info = {**release()["info"], "rollback_revision": 1}
    record = decode(secret(release(apply_method="ssa", info=info)))
    assert (record.apply_method, record.rollback_revision, record.deleted) == ("ssa", 1, "")


def test_when_an_uninstall_began_is_told() -> None:
    begun = "2026-11-24T05:00:00.1Z"
    info = {**release()["info"], "status": "uninstalling", "deleted": begun}
    assert decode(secret(release(info=info))).deleted == begun


def test_a_release_without_values_has_none() -> None:
    assert decode(secret(release(config=None))).config == {}


def test_the_size_is_that_of_the_secrets_data() -> None:
    made = secret(release())
    assert abs(decode(made).size - len(made["data"]["release"]) * 3 / 4) < 4


def test_an_old_release_that_is_not_packed() -> None:
    assert decode(secret(release(), packed=False)).revision == 3


@pytest.mark.parametrize(
    "broken",
    [
        {"metadata": {"name": "x"}},
        {"metadata": {"name": "x"}, "data": None},
        {"metadata": {"name": "x"}, "data": {}},
        {"metadata": {"name": "x"}, "data": {"release": "!!"}},
        {"metadata": {"name": "x"}, "data": {"release": b64encode(b64encode(b"\x1f\x8bgarbage")).decode()}},
        secret({"name": "agent"}),
        secret([]),
        secret("text"),
    ],
)
def test_what_is_no_release_is_a_release_error(broken: dict[str, Any]) -> None:
    with pytest.raises(ReleaseError, match="cannot be read") as caught:
        decode(broken)
    assert caught.value.anchor == "unreadable-release"


def test_the_hint_names_release_and_namespace() -> None:
    with pytest.raises(ReleaseError) as caught:
        decode(secret([]))
    assert caught.value.hint == "helm history -n datadog agent"


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddhelm.record._UNPACKED_LIMIT", 1000)
    with pytest.raises(ReleaseError, match="cannot be read: ValueError"):
        decode(secret(release(manifest="x" * 2000)))


def test_records_do_not_show_values_when_printed() -> None:
    assert "datadoghq" not in repr(decode(secret(release())))


def test_the_table_is_sorted_by_number_and_other_secrets_are_left_out() -> None:
    assert [(row.revision, row.status, row.modified) for row in rows(TABLE, "datadog")] == [
        (9, "superseded", 1795489700),
        (10, "deployed", 1795489800),
        (11, "pending-upgrade", None),
    ]


def test_the_table_of_all_namespaces_names_each() -> None:
    table = "\n".join(f"space{n}   {line}" for n, line in enumerate(TABLE.splitlines()))
    assert [row.namespace for row in rows(table, None)] == ["space0", "space1", "space2"]


@pytest.mark.parametrize("table", ["", "\n", "No resources found\n"])
def test_no_releases(table: str) -> None:
    assert rows(table, "datadog") == ()
    assert rows(table, None) == ()


def test_metadata_tells_what_the_table_tells() -> None:
    def metadata(line: str) -> dict[str, Any]:
        name, _, _, _, *labels = line.split()
        keys = ("name", "status", "version", "modifiedAt")
        return {"name": name, "namespace": "datadog", "labels": dict(zip(keys, labels, strict=False))}

    assert rows_of(map(metadata, reversed(TABLE.splitlines()))) == rows(TABLE, "datadog")
    strange: list[dict[str, Any]] = [
        {"name": "sh.helm.release.v1.agent.v1", "namespace": "datadog"},
        {"labels": {"version": "x"}},
    ]
    assert rows_of(strange) == ()


def row(revision: int, status: str, name: str = "agent") -> ReleaseRow:
    return ReleaseRow("datadog", name, revision, status)


def test_head_is_the_newest_whatever_its_status() -> None:
    mine = (row(9, "superseded"), row(10, "deployed"), row(11, "failed"), row(99, "deployed", "other"))
    assert head(mine, "agent") == mine[2]
    assert head(mine, "nobody") is None


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback", "uninstalling"])
def test_pending_statuses(status: str) -> None:
    assert row(1, status).pending


@pytest.mark.parametrize("status", ["deployed", "failed", "superseded", "uninstalled"])
def test_settled_statuses(status: str) -> None:
    assert not row(1, status).pending


def test_the_name_of_a_revisions_secret() -> None:
    assert secret_name("agent", 7) == "sh.helm.release.v1.agent.v7"
