"""The first round of reads: what could not be read is never taken for what is not there."""

from types import SimpleNamespace
from typing import cast
from urllib.parse import unquote

import pytest

from ddhelm.actions import reading
from ddhelm.actions.session import Session
from ddhelm.errors import ClusterError
from ddhelm.masking import Masker
from ddhelm.reads import before_a_plan, records
from ddhelm.release import NAMES, Role, pair
from ddhelm.tree import Tree
from tests.adapters.apiserver import ApiServer, Said, items
from tests.unit.test_record import release, secret

PATHS = before_a_plan("datadog")
SILENT = ClusterError("the API server did not answer in time", anchor="timed-out")
FORBIDDEN = ClusterError("User `x` cannot get it", anchor="forbidden")


SESSION = cast(Session, SimpleNamespace(access=SimpleNamespace(namespace="datadog"), masker=Masker(b"k")))


def read(all_: Said = None, **said: Said) -> reading.Cluster:
    """Of an empty cluster, apart from what is ``said`` by name; ``all_``: superseded revisions too."""
    server = ApiServer()
    both = tuple(NAMES.values())
    for names in (both, both[:1], both[1:]):
        server.serve(unquote(records("datadog", names, superseded=True)), all_ or items())
    nothing: dict[str, Said] = dict.fromkeys(PATHS)
    lists = ("nodes", "static-pods", "static-pods-by-app", "daemonsets", "webhooks", "Deployment", "StatefulSet")
    nothing |= {name: items() for name in lists}
    nothing |= {"version": {"gitVersion": "v1.36.3"}, "groups": {"groups": []}, "releases": items()}
    nothing["kube-system"] = {"metadata": {"uid": "u"}}
    for name, answer in (nothing | said).items():
        server.serve(unquote(PATHS[name]), answer)
    session = SimpleNamespace(access=SimpleNamespace(namespace="datadog"), ask=server.raws)
    return reading.read(cast(Session, session))


def revision(number: int, status: str, holds: str = "") -> Tree:
    """A revision whose manifest holds one ConfigMap of that name, or nothing."""
    info = {**release()["info"], "status": status}
    manifest = f"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {holds}\n" if holds else ""
    worker = NAMES[Role.WORKER]
    return secret(release(name=worker, namespace="datadog", version=number, info=info, manifest=manifest))


def test_what_is_not_there_is_no_failure() -> None:
    found = read()
    assert (found.namespace, found.secret_keys, found.lease) == (None, None, None)


@pytest.mark.parametrize("name", ["namespace", "secret", "lease", "releases", "version"])
def test_a_read_that_failed_stops_whatever_would_be_written_because_nothing_is_there(name: str) -> None:
    with pytest.raises(ClusterError, match="did not answer in time"):
        read(**{name: SILENT})


@pytest.mark.parametrize("name", ["namespace", "secret", "releases"])
def test_so_does_one_that_was_forbidden(name: str) -> None:
    with pytest.raises(ClusterError, match="cannot get it"):
        read(**{name: FORBIDDEN})


def test_a_plan_needs_no_right_to_the_lock() -> None:
    assert read(lease=FORBIDDEN).lease is None


def test_a_namespace_that_holds_releases_is_there_also_for_whoever_may_not_look_at_it() -> None:
    found = read(namespace=FORBIDDEN, releases=items(revision(1, "deployed")))
    assert found.namespace == {"metadata": {"name": "datadog", "labels": None}}


@pytest.mark.parametrize(
    ("seen", "all_", "base"),
    [
        ([(4, "pending-upgrade")], [(2, "superseded"), (3, "superseded"), (4, "pending-upgrade")], 3),
        ([], [(2, "superseded"), (3, "superseded")], 3),
        ([(1, "pending-install")], [(1, "pending-install")], None),
        ([(2, "failed"), (1, "deployed")], None, 1),
    ],
    ids=["killed between two writes", "deployed one deleted", "first install", "usual"],
)
def test_a_release_of_which_only_superseded_revisions_stood_is_known_by_them(
    seen: list[tuple[int, str]], all_: list[tuple[int, str]] | None, base: int | None
) -> None:
    """helm marks the old revision before the new one; killed in between it leaves no `deployed` one."""
    listed = None if all_ is None else items(*(revision(*each) for each in all_))
    found = read(releases=items(*(revision(*each) for each in seen)), all_=listed)
    state = reading.deployed_of(SESSION, pair("datadog", control_plane=True)[0], found.records["worker-node-ddagent"])
    assert state is not None
    assert (state.head.revision, state.base) == ((all_ or seen)[0 if all_ is None else -1][0], base)


@pytest.mark.parametrize(
    ("status", "base", "manifest", "newest"),
    [("failed", 1, "one", "two"), ("uninstalling", None, "two", "two"), ("deployed", 2, "two", "two")],
)
def test_a_head_that_does_not_count_keeps_its_manifest(
    status: str, base: int | None, manifest: str, newest: str
) -> None:
    """A rollback and an uninstall go by the head, whatever helm calls the revision before it."""
    records_ = items(revision(1, "deployed", "one"), revision(2, status, "two"))
    found = read(releases=records_).records["worker-node-ddagent"]
    state = reading.deployed_of(SESSION, pair("datadog", control_plane=True)[0], found)
    assert state is not None
    held = [next(iter(each.objects.values())).ref.name for each in (state.manifest, state.newest)]
    assert (state.base, *held) == (base, manifest, newest)
