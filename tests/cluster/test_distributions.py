"""Every distribution is recognised and onboarded on its topology.

The API tells what the topology's file says; one agent a node, where it was computed; the checks that it should have,
and those collect. What `make test` leaves out is the other Helm; `make test-all` runs both.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from ddhelm.checkfiles import mounted
from ddhelm.coverage import Placement, compute
from tests.charts import is_stand_in
from tests.cluster.driver import Ddhelm, agents_by_node, placements_of, read_facts
from tests.cluster.node_agent import NAMES, NodeAgent
from tests.sandbox import topology
from tests.sandbox.fixtures import HELM_VERSIONS, Clusters
from tests.sandbox.sandbox import Sandbox
from tests.unit.factsets import found
from tests.unit.test_distribution_checks import read

pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLS:DeprecationWarning", "ignore::urllib3.exceptions.InsecureRequestWarning"
)

MAJORS = [version for version in HELM_VERSIONS if version != "3.13"]
# topology → nodes that no Linux agent of ours may run on, or whose taint nobody was told to tolerate
UNCOVERED = {"eks-fargate": 3, "aks": 2, "managed": 2}


ONBOARDED_ELSEWHERE = {"kubeadm", "kops", "managed", "k3s-single"}
"""By test_onboard.py and test_collect.py, with more questions: only the full matrix asks once more."""
LIKE_ANOTHER = {
    *("ack", "cce", "doks", "gke", "iks", "oke", "tke"),  # managed, with other labels
    *("anthos-bare-metal", "cluster-api", "docker-desktop", "kind", "minikube", "tkg"),  # kubeadm, with other evidence
    "aks",  # eks-fargate: managed, with nodes that get no agent
    *("k3s", "rke2"),  # rke2-split, with nodes that are all alike
    "rke1",  # k0s: a control plane that the API does not show
    "openshift3",  # microk8s: checks are left out
}
"""Their own is recognised and rendered in tests/helm/test_every_distribution.py; the rest is as with another."""


def each_topology() -> list[Any]:
    """All of them with alternating Helm majors, the other combinations for the full matrix."""
    names = [name for name in topology.names() if name != "large"]

    def marks(name: str, chosen: bool) -> Any:
        return () if chosen and name not in ONBOARDED_ELSEWHERE | LIKE_ANOTHER else pytest.mark.matrix

    return [
        pytest.param(name, helm, id=f"{name}-helm-{helm}", marks=marks(name, at % 2 == major))
        for at, name in enumerate(names)
        for major, helm in enumerate(MAJORS)
    ]


@pytest.mark.parametrize(("name", "helm"), each_topology())
def test_a_distribution_is_onboarded(cluster: Clusters, tmp_path: Path, name: str, helm: str) -> None:
    sandbox = cluster(name)
    prerequisites(sandbox, name)
    ddhelm = Ddhelm(sandbox, helm)
    known = read_facts(sandbox)
    made, expected = found(known), found(read(name, sandbox.ports.placeholders))
    assert made.to_record() == expected.to_record()
    assert [each.signal for each in made.evidence] == [each.signal for each in expected.evidence]
    assert made.unread == ()
    if name == "gke-autopilot" and is_stand_in():
        # Autopilot's shape is the real chart's alone; that the switch for it arrives is what can be seen here.
        assert "GKE Autopilot" in ddhelm.onboard(code=3).err
        return
    done = ddhelm.onboard(code=0 if is_stand_in() else None)
    if done.code:  # an older chart that this distribution's values are not for
        assert done.code == 3, done
        assert re.search(r"requirements: .*\n(.*\n)*hint: --version \S+ or later", done.err), done
        return

    agents = agents_by_node(sandbox)
    covered = compute(known.nodes, placements(sandbox))
    assert {verdict.node: sorted(verdict.releases) for verdict in covered.verdicts} == {
        node: sorted(owners) for node, owners in agents.items()
    }
    assert all(verdict.blame and verdict.fix for verdict in covered.uncovered)
    assert all(len(owners) <= 1 for owners in agents.values()), agents
    assert sum(not owners for owners in agents.values()) == UNCOVERED.get(name, 0), agents
    status = ddhelm("status", "-o", "json", code=4 if name in UNCOVERED else 0).json["data"]
    assert status["distribution"] == expected.distribution
    assert [release["name"] for release in status["releases"] if release["installed"]] == (
        ["worker-node-ddagent", "control-plane-ddagent"] if expected.control_plane_release else ["worker-node-ddagent"]
    )
    if expected.instances:
        checks_are_as_expected(NodeAgent.somewhere(sandbox, tmp_path), expected)


def placements(sandbox: Sandbox) -> tuple[Placement, ...]:
    """Where the installed DaemonSets say that their pods may go."""
    bodies = sandbox.api_get("/apis/apps/v1/namespaces/datadog/daemonsets")["items"]
    return placements_of([{"apiVersion": "apps/v1", "kind": "DaemonSet", **body} for body in bodies], "datadog")


def checks_are_as_expected(agent: NodeAgent, expected: Any) -> None:
    """The installed files hold the profile's instances, and those collect whose component the sandbox has."""
    paths = [file.path for file in expected.host_files]
    wanted: dict[str, list[dict[str, Any]]] = {}
    for one in expected.instances:
        wanted.setdefault(one.component, []).append(mounted(one.instance, paths))
    files = agent.check_files()
    assert files == wanted
    here = {str(port) for port in agent.sandbox.ports.placeholders.values()}
    for check, instances in files.items():
        for instance in instances:
            if instance["prometheus_url"].removesuffix("/metrics").rpartition(":")[2] in here:
                assert agent.collect(check, instance) == {NAMES[check]}, instance


def prerequisites(sandbox: Sandbox, name: str) -> None:
    """What ddhelm asks for before it can work: OpenShift's Secret, copied as its hint says."""
    if name == "openshift":
        sandbox.kubectl("create", "namespace", "datadog")
        secret = sandbox.api_get("/api/v1/namespaces/openshift-etcd-operator/secrets/etcd-metric-client")
        metadata = {"name": "etcd-metric-client"}
        sandbox.loader.post(
            "/api/v1/namespaces/datadog/secrets", {"metadata": metadata, "type": secret["type"], "data": secret["data"]}
        )


def test_openshift_without_its_secret_stops_with_the_line_to_copy_it(cluster: Clusters) -> None:
    ddhelm = Ddhelm(cluster("openshift"), "4.3")

    stopped = ddhelm.onboard(code=3)

    assert "etcd-metric-client" in stopped.err
    assert "oc get secret etcd-metric-client -n openshift-etcd-operator" in stopped.err
    assert ddhelm.sandbox.writes() == []
