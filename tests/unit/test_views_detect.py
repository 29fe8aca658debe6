"""What was found, in eighty columns: addresses are whole, so that they can be pasted."""

from ddhelm.access import Access
from ddhelm.views import console
from ddhelm.views import detect as view
from tests.unit.factsets import cluster, found, kubeadm, stacked, urls


def test_one_control_plane_node_is_one() -> None:
    facts = cluster(kubeadm(1)[:1])
    screen = console.fixed(width=80)
    view.table(Access(None, "prod", "datadog", "https://10.0.0.1:6443"), facts, found(facts), screen)
    assert "1 control-plane node, 0 others" in console.text(screen)


def test_addresses_of_checks_are_whole_in_eighty_columns() -> None:
    facts = cluster(kubeadm(), pods=stacked())
    made = found(facts)
    screen = console.fixed(width=80)
    view.table(Access(None, "prod", "datadog", "https://10.0.0.1:6443"), facts, made, screen)
    shown = console.text(screen)
    addresses = [address for some in urls(made).values() for address in some]
    assert len(addresses) >= 4
    assert all(address in shown.split() for address in addresses), shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
