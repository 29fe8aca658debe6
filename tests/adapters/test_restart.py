"""Which workloads a restart finds, by what Helm stores of the releases and what stands of them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm.actions import restart, rotate
from ddhelm.actions.session import Session
from ddhelm.errors import PreflightFailed
from ddhelm.masking import Masker
from ddhelm.release import NAMES, Role, Rotatable
from tests.adapters.apiserver import items
from tests.adapters.stored import SPACE, Stored, Tree, owned, revision

WORKER = NAMES[Role.WORKER]
APPS = f"/apis/apps/v1/namespaces/{SPACE}"


def workload(kind: str, name: str) -> Tree:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {"template": {"spec": {}}}}


AGENT, RUNNER = workload("DaemonSet", "w"), workload("Deployment", "runner")


def found(**metadata: Any) -> list[str]:
    """The names that it finds where revision 2, without the runner, failed; how the runner stands: None for gone."""
    cluster = Stored(revision(WORKER, 1, "deployed", AGENT, RUNNER), revision(WORKER, 2, "failed", AGENT), standing={})
    for name, body in {"daemonsets/w": {**AGENT, "metadata": owned(WORKER)}, **metadata}.items():
        cluster.serve(f"{APPS}/{name}", body)
    return [each.target.name for each in running(cluster)]


def running(cluster: Stored) -> tuple[restart.Running, ...]:
    for plural in ("controllerrevisions", "replicasets"):
        cluster.serve(f"{APPS}/{plural}", items())
    session = SimpleNamespace(kubectl=cluster, access=cluster.access, masker=Masker(b"k" * 32))
    return restart.running(cast(Session, session))


@pytest.mark.parametrize(
    ("runner", "names"),
    [
        ({**RUNNER, "metadata": owned(WORKER)}, ["w", "runner"]),
        ({**RUNNER, "metadata": owned("another")}, ["w"]),
        (None, ["w"]),
    ],
)
def test_what_only_the_revision_before_a_failed_one_lists_is_found_where_it_stands(
    runner: Tree | None, names: list[str]
) -> None:
    assert found(**{"deployments/runner": runner}) == names


@pytest.mark.parametrize(("container", "phases"), [("cluster-agent", [["dd-cluster-agent"], ["w"]]), ("agent", None)])
def test_the_cluster_agent_is_known_by_what_it_runs(container: str, phases: list[list[str]] | None) -> None:
    """`fullnameOverride`: a new token is still given to the Cluster Agent first."""
    pod = {"containers": [{"name": container}]}
    deployment = {**workload("Deployment", "dd-cluster-agent"), "spec": {"template": {"spec": pod}}}
    cluster = Stored(revision(WORKER, 1, "deployed", AGENT, deployment), standing={})
    cluster.serve(f"{APPS}/daemonsets/w", AGENT)
    cluster.serve(f"{APPS}/deployments/dd-cluster-agent", deployment)
    made = rotate._phases(Rotatable.TOKEN, running(cluster))
    assert [[each.target.name for each in phase] for phase in made] == (phases or [["w", "dd-cluster-agent"]])


def test_a_workload_of_the_newest_revision_that_was_deleted_is_said() -> None:
    with pytest.raises(PreflightFailed, match="DaemonSet `w`"):
        found(**{"daemonsets/w": None, "deployments/runner": {**RUNNER, "metadata": owned(WORKER)}})
