"""The ways to the metrics of etcd: its listener if there is one, then files of the nodes, then a Secret of our own."""

from typing import Any

from ddhelm.actions import certplan
from ddhelm.actions.certplan import Way
from ddhelm.facts import ClusterFacts
from ddhelm.settings import Settings
from tests.unit.factsets import apiserver, cluster, etcd, found, kubeadm, stacked
from tests.unit.test_distribution_checks import read


def ways(facts: ClusterFacts, stored: Settings | None = None, **more: Any) -> dict[str, Way]:
    usual = found(facts, **more)
    without, own = found(facts, without_listener=True), found(facts, own_certificate=True)
    known = certplan.of(usual, without, own, None, stored or Settings())
    assert known[0].recommended
    assert sum(way.recommended for way in known) == 1
    assert not [way for way in known if "auth enable" in " ".join((way.command, way.means, *way.found))]
    return {way.name: way for way in known}


def test_where_there_is_a_listener_it_comes_first_and_the_rest_is_named() -> None:
    known = ways(cluster(kubeadm(3), pods=stacked()))
    assert list(known) == ["listener", "files", "own", "none"]
    assert all(way.here for way in known.values())
    assert known["listener"].found == ("http://127.0.0.1:2381 (`--listen-metrics-urls` of etcd)",)
    assert "reads and writes everything" in known["files"].means
    assert known["files"].command == "", "no command makes the agents take files where there is a listener"
    assert [word in known["own"].command for word in ("certs issue", "certs import", "--etcd-secret")] == [True] * 3


def test_without_a_listener_the_files_of_the_nodes_come_first() -> None:
    known = ways(cluster(kubeadm(1), pods=[apiserver("cp-1"), etcd("cp-1", listener="")]))
    assert list(known) == ["files", "own", "none", "listener"]
    assert not known["listener"].here
    assert known["files"].found[0].startswith("https://127.0.0.1:2379 ")


def test_a_command_takes_back_what_is_in_its_way_and_keeps_the_rest() -> None:
    facts = cluster(kubeadm(3), pods=stacked())
    dropped = ways(facts, Settings(drop_checks=("etcd",)))
    assert dropped["listener"].command == "ddhelm onboard --drop-check none"
    assert dropped["own"].command.endswith(" --etcd-secret ddhelm-etcd-client --drop-check none")
    two = ways(facts, Settings(drop_checks=("etcd", "kube_scheduler"), etcd_secret="own"))
    assert two["listener"].command == "ddhelm onboard --no-etcd-secret --drop-check kube_scheduler"
    assert two["none"].command == "ddhelm onboard --drop-check etcd --drop-check kube_scheduler"
    assert ways(facts, Settings(drop_checks=("kube_scheduler",)))["listener"].command == "ddhelm onboard"


def test_the_files_and_the_etcds_that_the_agents_would_be_given_are_named() -> None:
    known = ways(read("kops"))
    assert known["files"].files == tuple(
        f"/srv/kubernetes/kube-apiserver/etcd-{name}" for name in ("ca.crt", "client.crt", "client.key")
    )
    for way in ("files", "own"):
        assert [", etcd main " in known[way].found[0], ", etcd events " in known[way].found[1]] == [True, True]
    assert known["own"].files == (), "they are in a Secret, not on the nodes"
    assert ways(read("kubeadm"))["files"].files[0] == "/etc/kubernetes/pki/etcd/ca.crt"


def test_where_there_is_a_listener_files_are_not_missing_for_want_of_one() -> None:
    known = ways(read("k3s"))
    assert known["listener"].here
    assert known["files"].found == ("no client certificate for it is known",)
