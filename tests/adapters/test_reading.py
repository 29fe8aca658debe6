"""The first round of reads: what could not be read is never taken for what is not there."""

from types import SimpleNamespace
from typing import cast
from urllib.parse import unquote

import pytest

from ddhelm.actions import reading
from ddhelm.actions.session import Session
from ddhelm.errors import ClusterError
from ddhelm.reads import before_a_plan
from tests.adapters.apiserver import ApiServer, Said, items
from tests.unit.test_record import release, secret

PATHS = before_a_plan("datadog")
SILENT = ClusterError("the API server did not answer in time", anchor="timed-out")
FORBIDDEN = ClusterError("User `x` cannot get it", anchor="forbidden")


def read(**said: Said) -> reading.Cluster:
    """Of an empty cluster, apart from what is ``said`` by name."""
    server = ApiServer()
    nothing: dict[str, Said] = dict.fromkeys(PATHS)
    lists = ("nodes", "static-pods", "static-pods-by-app", "daemonsets", "webhooks", "Deployment", "StatefulSet")
    nothing |= {name: items() for name in lists}
    nothing |= {"version": {"gitVersion": "v1.36.3"}, "groups": {"groups": []}, "releases": items()}
    nothing["kube-system"] = {"metadata": {"uid": "u"}}
    for name, answer in (nothing | said).items():
        server.serve(unquote(PATHS[name]), answer)
    session = SimpleNamespace(access=SimpleNamespace(namespace="datadog"), ask=server.raws)
    return reading.read(cast(Session, session))


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
    found = read(namespace=FORBIDDEN, releases=items(secret(release())))
    assert found.namespace == {"metadata": {"name": "datadog"}}
