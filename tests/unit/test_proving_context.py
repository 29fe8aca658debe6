"""What the claims are proven on, of what was read of the cluster."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ddhelm import library, profile
from ddhelm.actions import live, proving
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.reading import Cluster
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.claim import ProofContext
from ddhelm.coverage import Coverage
from ddhelm.facts import ClusterFacts
from ddhelm.plan import Live, Plan
from ddhelm.podsecurity import Default
from ddhelm.settings import Settings
from ddhelm.tree import Tree
from tests.unit.factsets import CONTROL_PLANE, ETCD, cluster, control_planes, distributions

TALOS = cluster(control_planes(1, os_image="Talos (v1.11.2)"))
RKE2 = cluster(control_planes(3, [CONTROL_PLANE, ETCD]), "v1.32.5+rke2r1")
OPENSHIFT = cluster(control_planes(3), groups=["config.openshift.io/v1"])


def proven_on(facts: ClusterFacts, namespace: Tree | None) -> ProofContext:
    """The context of a plan that renders nothing, in a cluster of which that was read."""
    coverage = Coverage(())
    read = Cluster(facts, namespace, {}, None, None, None)
    chart = Chart(Path(), "datadog", "3.240.0", "7", "")
    found = profile.of(facts, distributions())
    made = Prepared(Plan((), coverage, ()), read, found, Settings(), chart, (), (), {})
    session = SimpleNamespace(access=SimpleNamespace(namespace="datadog"), library=library.load())
    standing = live.Read(Live({}), {})
    return proving.context(cast(Session, session), Request(), made, standing, (), coverage, {}, {}, (), {})


@pytest.mark.parametrize(("facts", "level", "certain"), [(TALOS, "baseline", True), (RKE2, "restricted", False)])
def test_the_level_of_the_distribution_is_handed_to_the_claims(facts: ClusterFacts, level: str, certain: bool) -> None:
    given = proven_on(facts, {"metadata": {"labels": {}}}).pod_security
    assert isinstance(given, Default)
    assert (given.level, not given.by, given.exempt) == (level, certain, ("kube-system",))


def test_where_constraints_of_its_own_decide_there_is_no_level() -> None:
    assert proven_on(OPENSHIFT, {"metadata": {}}).pod_security is None


@pytest.mark.parametrize(
    ("namespace", "labels"),
    [(None, None), ({"metadata": {}}, {}), ({"metadata": {"name": "datadog", "labels": None}}, None)],
)
def test_labels_that_were_not_read_are_not_taken_for_none(namespace: Tree | None, labels: Tree | None) -> None:
    assert proven_on(TALOS, namespace).live.namespace_labels == labels
