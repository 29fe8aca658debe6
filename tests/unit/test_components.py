"""Where the components are asked: what they say of themselves goes before what is documented."""

from collections.abc import Callable
from typing import Any

import pytest

from ddhelm.etcd import OF_ASKING
from ddhelm.facts import ClusterFacts
from ddhelm.nodes import Taint
from ddhelm.podsecurity import Default
from ddhelm.staticpods import StaticPod
from tests.unit.factsets import (
    CONTROL_PLANE,
    ETCD,
    FORBIDDEN,
    PKI,
    TOKENS,
    apiserver,
    cluster,
    control_planes,
    controller_manager,
    distributions,
    etcd,
    found,
    kubeadm,
    node,
    pod,
    reasons,
    scheduler,
    stacked,
    urls,
    workers,
)

HOSTS = ("cp-1", "cp-2", "cp-3")
SERVERS = ("kube_apiserver_metrics", "kube_scheduler", "kube_controller_manager")
RKE1 = "node-role.kubernetes.io/controlplane"
NODE_IP = "%%env_DD_KUBERNETES_KUBELET_HOST%%"


def on_kubeadm(*pods: StaticPod, count: int = 3, **more: Any) -> ClusterFacts:
    return cluster(kubeadm(count), pods=pods, **more)


def each(*makers: Any) -> list[StaticPod]:
    return [make(host) for host in HOSTS for make in makers]


# --- what is written -------------------------------------------------------------------------------------------------


def test_kubeadm_by_its_command_lines() -> None:
    made = found(on_kubeadm(*stacked()))

    assert {i.component: i.instance for i in made.instances} == {
        "kube_apiserver_metrics": {
            "prometheus_url": "https://127.0.0.1:6443/metrics",
            "bearer_token_auth": True,
            "tls_verify": True,
            "tls_ca_cert": "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
            "tls_use_host_header": True,
            "extra_headers": {"Host": "kubernetes.default.svc"},
        },
        "kube_scheduler": {
            "prometheus_url": "https://127.0.0.1:10259/metrics",
            "bearer_token_auth": "tls_only",
            "ssl_verify": False,
        },
        "kube_controller_manager": {
            "prometheus_url": "https://127.0.0.1:10257/metrics",
            "bearer_token_auth": "tls_only",
            "ssl_verify": False,
        },
        "etcd": {"prometheus_url": "http://127.0.0.1:2381/metrics", "leader_tag": False},
    }
    assert made.left_out == ()
    assert made.host_files == ()
    assert not any(i.claimed for i in made.instances)
    assert [i.source for i in made.instances] == [
        "command line of kube-apiserver on 3 control-plane nodes",
        "command line of kube-scheduler on 3 control-plane nodes",
        "command line of kube-controller-manager on 3 control-plane nodes",
        "`--listen-metrics-urls` of etcd",
    ]


@pytest.mark.parametrize("name", [one.name for one in distributions()])
@pytest.mark.parametrize("unread", [{}, {"static-pods": FORBIDDEN, "static-pods-by-app": FORBIDDEN}])
def test_no_instance_has_a_ca_beside_verification_turned_off(name: str, unread: dict[str, str]) -> None:
    made = found(cluster([*control_planes(3, [CONTROL_PLANE, ETCD])], unread=unread), override=name)

    for one in made.instances:
        keys = one.instance
        assert ("tls_ca_cert" in keys) is (keys.get("tls_verify") is True)
        assert not ("tls_ca_cert" in keys and keys.get("ssl_verify") is False)
        if keys["prometheus_url"].startswith("http:"):
            assert keys.get("bearer_token_auth", False) is False


# --- ports and addresses ---------------------------------------------------------------------------------------------


def test_ports_are_the_command_lines_not_the_distributions() -> None:
    made = found(
        on_kubeadm(
            *[apiserver(h, port=7443) for h in HOSTS],
            *[scheduler(h, "--secure-port=20259") for h in HOSTS],
            *each(controller_manager),
            *[etcd(h, listener="http://127.0.0.1:12381") for h in HOSTS],
        )
    )

    assert urls(made) == {
        "kube_apiserver_metrics": ["https://127.0.0.1:7443/metrics"],
        "kube_scheduler": ["https://127.0.0.1:20259/metrics"],
        "kube_controller_manager": ["https://127.0.0.1:10257/metrics"],
        "etcd": ["http://127.0.0.1:12381/metrics"],
    }


def test_a_flag_that_is_not_given_has_the_components_default() -> None:
    made = found(on_kubeadm(*[pod("kube-apiserver", h) for h in HOSTS]))

    assert urls(made)["kube_apiserver_metrics"] == ["https://127.0.0.1:6443/metrics"]


@pytest.mark.parametrize(
    ("bind", "address", "expected"),
    [
        ("0.0.0.0", "10.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "10.0.0.1", "127.0.0.2"),
        ("::", "fd00::1", "[::1]"),
        ("::1", "fd00::1", "[::1]"),
        ("0:0:0:0:0:0:0:1", "fd00::1", "[::1]"),
        ("[::]", "fd00::1", "[::1]"),
        ("localhost", "10.0.0.1", "127.0.0.1"),
        ("10.0.0.1", "10.0.0.1", NODE_IP),
        ("fd00::1", "fd00::1", f"[{NODE_IP}]"),
        ("FD00:0::1", "fd00::1", f"[{NODE_IP}]"),
        ("192.168.7.7", "10.0.0.1", "192.168.7.7"),
        ("fd77::7", "fd00::1", "[fd77::7]"),
    ],
)
def test_the_address_follows_from_what_it_is_bound_to(bind: str, address: str, expected: str) -> None:
    made = found(on_kubeadm(scheduler("cp-1", f"--bind-address={bind}", address=address), count=1))

    assert urls(made)["kube_scheduler"] == [f"https://{expected}:10259/metrics"]


def test_each_on_its_own_address_is_one_instance_for_all() -> None:
    pods = [scheduler(h, f"--bind-address=10.0.0.{n}", address=f"10.0.0.{n}") for n, h in enumerate(HOSTS, 1)]

    made = found(on_kubeadm(*pods))

    assert urls(made)["kube_scheduler"] == [f"https://{NODE_IP}:10259/metrics"]
    assert made.notes == ()


def test_the_nodes_address_is_taken_where_the_pod_tells_none() -> None:
    made = found(on_kubeadm(scheduler("cp-1", "--bind-address=10.0.0.1", address=""), count=1))

    assert urls(made)["kube_scheduler"] == [f"https://{NODE_IP}:10259/metrics"]


def test_a_second_address_of_each_node_cannot_be_written_down() -> None:
    pods = [scheduler(h, f"--bind-address=192.168.7.{n}", address=f"10.0.0.{n}") for n, h in enumerate(HOSTS, 1)]

    made = found(on_kubeadm(*pods))

    assert "another address on each node" in reasons(made)["kube_scheduler"]


@pytest.mark.parametrize("bind", ["$(HOST_IP)", "eth0"])
def test_an_address_that_says_nothing_leaves_the_check_out(bind: str) -> None:
    made = found(on_kubeadm(scheduler("cp-1", f"--bind-address={bind}"), count=1))

    assert f"cannot be told from `{bind}`" in reasons(made)["kube_scheduler"]


def test_port_zero_leaves_the_check_out() -> None:
    made = found(on_kubeadm(scheduler("cp-1", "--secure-port=0"), count=1))

    assert reasons(made)["kube_scheduler"] == "kube-scheduler on `cp-1` runs with `--secure-port=0`: it serves nothing"


def test_an_old_scheduler_may_serve_plain_http_only() -> None:
    old = on_kubeadm(scheduler("cp-1", "--secure-port=0", "--address=127.0.0.1"), count=1, version="v1.18.20")

    assert [i.instance for i in found(old).instances if i.component == "kube_scheduler"] == [
        {"prometheus_url": "http://127.0.0.1:10251/metrics"}
    ]


def test_the_majority_counts_and_the_others_are_named() -> None:
    pods = [apiserver("cp-1", port=8443), apiserver("cp-2", port=8443), apiserver("cp-3")]

    made = found(on_kubeadm(*pods))

    assert urls(made)["kube_apiserver_metrics"] == ["https://127.0.0.1:8443/metrics"]
    assert made.notes[0] == (
        "the address of kube-apiserver differs between control-plane nodes: `https://127.0.0.1:6443` on `cp-3`, "
        "`https://127.0.0.1:8443` on 2 of 3; the majority is used"
    )
    assert "command line of kube-apiserver on 2 of 3 control-plane nodes" in str(made.instances)


def test_static_pods_on_nodes_of_the_worker_release_do_not_count() -> None:
    # kOps' API server nodes carry no control-plane label.
    nodes = [
        *control_planes(1, [CONTROL_PLANE, "kops.k8s.io/instancegroup"]),
        *workers(3, ["node-role.kubernetes.io/api-server"]),
    ]
    pods = [apiserver("cp-1", port=443), *[apiserver(n.name, port=9443) for n in nodes[1:]]]

    made = found(cluster(nodes, pods=pods))

    assert urls(made)["kube_apiserver_metrics"] == ["https://127.0.0.1:443/metrics"]
    assert any("belong to the worker release" in note for note in made.notes)


@pytest.mark.parametrize("name", ["a-scheduler", "z-scheduler"])
def test_of_two_static_pods_of_one_component_the_one_named_after_it_counts(name: str) -> None:
    second = StaticPod(
        "kube-scheduler", "cp-1", f"{name}-cp-1", args=("kube-scheduler", *TOKENS, "--secure-port=10261")
    )
    pods = sorted([*stacked(["cp-1"]), second], key=lambda each: each.name)

    made = found(on_kubeadm(*pods, count=1))

    assert urls(made)["kube_scheduler"] == ["https://127.0.0.1:10259/metrics"]
    assert made.notes == (
        f"kube-scheduler: a node's second static pod with its label is not collected from: `{name}-cp-1`",
    )


def test_of_two_static_pods_of_other_names_the_first_counts() -> None:
    pods = [
        StaticPod("kube-scheduler", "cp-1", name, args=("kube-scheduler", *TOKENS, f"--secure-port={port}"))
        for name, port in (("a-cp-1", 1), ("b-cp-1", 2))
    ]

    assert urls(found(on_kubeadm(*pods, count=1)))["kube_scheduler"] == ["https://127.0.0.1:1/metrics"]


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), ("--authentication-kubeconfig=/x",), ("--authorization-kubeconfig=/x",)])
def test_a_component_that_cannot_check_tokens_is_left_out(flags: tuple[str, ...]) -> None:
    made = found(on_kubeadm(pod("kube-scheduler", "cp-1", *flags), count=1))

    assert "answers 403 to every token" in reasons(made)["kube_scheduler"]
    assert next(left for left in made.left_out if left.component == "kube_scheduler").fix


def test_metrics_open_to_all_need_no_token() -> None:
    open_to_all = "--authorization-always-allow-paths=/healthz,/metrics"

    made = found(on_kubeadm(pod("kube-scheduler", "cp-1", open_to_all), count=1))

    assert "kube_scheduler" in urls(made)


# --- split roles -----------------------------------------------------------------------------------------------------


def test_a_check_that_would_fail_on_one_node_is_left_out_with_the_node() -> None:
    pods = [p for p in stacked() if (p.component, p.node) != ("etcd", "cp-3")]

    made = found(on_kubeadm(*pods))

    assert reasons(made) == {
        "etcd": "etcd runs on 2 of 3 control-plane nodes, not on `cp-3`, where the check would fail"
    }


def test_a_node_of_which_nothing_is_seen_yet_leaves_nothing_out() -> None:
    made = found(on_kubeadm(*stacked(HOSTS[:2])))

    assert made.left_out == ()


def test_etcd_that_nobody_shows_and_nobody_dials_is_left_out() -> None:
    made = found(on_kubeadm(*each(scheduler, controller_manager)))

    assert reasons(made)["etcd"] == ("no control-plane node shows a static pod of etcd or an API server that dials it")


def test_a_component_that_no_node_runs_is_left_out_where_others_are_seen() -> None:
    made = found(on_kubeadm(*each(apiserver, controller_manager, etcd)))

    assert reasons(made) == {"kube_scheduler": "no control-plane node shows a static pod of kube-scheduler"}


@pytest.mark.parametrize(
    ("component", "make"),
    [
        ("kube_apiserver_metrics", apiserver),
        ("kube_scheduler", scheduler),
        ("kube_controller_manager", controller_manager),
        ("etcd", etcd),
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_a_static_pod_in_a_network_of_its_own_is_not_asked_on_the_nodes(component: str, make: Any, own: bool) -> None:
    pods = [p for p in stacked() if (p.component, p.node) != (make("cp-3").component, "cp-3")]

    made = found(on_kubeadm(*pods, make("cp-3", host_network=False)), own_certificate=own)

    assert set(reasons(made)) == {component}
    assert reasons(made)[component] == (
        f"{make('cp-3').component} on `cp-3` is not on the host network, so it does not answer on the node's addresses"
    )


def rke2(*roles: tuple[str, ...], unread: dict[str, str] | None = None) -> ClusterFacts:
    nodes = [node(f"cp-{i}", labels) for i, labels in enumerate(roles, 1)]
    return cluster(nodes, "v1.32.5+rke2r1", unread=unread or {"static-pods": FORBIDDEN})


def test_rke2_with_split_roles_loses_only_etcd() -> None:
    made = found(rke2((ETCD,), (ETCD,), (CONTROL_PLANE,)))

    assert made.control_plane_release
    assert set(urls(made)) == set(SERVERS)
    assert reasons(made) == {
        "etcd": f"1 of 1 control-plane node lacks the label `{ETCD}` (`cp-3`), where the check would fail"
    }
    assert "; what helps: set `etcd-expose-metrics` on those servers" in str(made.left_out[0])
    elsewhere = f"etcd: not collected from `cp-1`, `cp-2` of the worker release, which carry the label `{ETCD}`"
    assert elsewhere in made.notes


def test_servers_without_etcd_beside_full_ones_lose_etcd() -> None:
    made = found(rke2((ETCD, CONTROL_PLANE), (CONTROL_PLANE,)))

    assert set(urls(made)) == set(SERVERS)
    assert "1 of 2 control-plane nodes" in reasons(made)["etcd"]


def test_rke2_with_dedicated_etcd_beside_full_servers_collects_everything_from_those() -> None:
    made = found(rke2((ETCD, CONTROL_PLANE), (ETCD,)))

    assert urls(made)["etcd"] == ["http://127.0.0.1:2381/metrics"]
    assert set(urls(made)) == {*SERVERS, "etcd"}
    assert any("not collected from `cp-2` of the worker release" in note for note in made.notes)


def test_api_servers_of_kops_on_nodes_of_their_own_get_the_worker_agent() -> None:
    key = "node-role.kubernetes.io/api-server"
    alone = node("api-1", [key, "kops.k8s.io/instancegroup"], taints=(Taint(key, "", "NoSchedule"),))

    made = found(cluster([*control_planes(1, [CONTROL_PLANE, "kops.k8s.io/instancegroup"]), alone]))

    assert made.role_of(alone) == "worker"
    (part,) = (each for each in made.values_of("worker") if each.role == "worker")
    assert part.tree == {"agents": {"tolerations": [{"key": key, "operator": "Exists"}]}}
    assert any("their kube-apiserver is not collected from" in note for note in made.notes)


def test_a_role_that_no_other_node_has_is_no_news() -> None:
    made = found(rke2((ETCD, CONTROL_PLANE), (ETCD, CONTROL_PLANE)))

    assert not any("worker release" in note for note in made.notes)


@pytest.mark.parametrize(("version", "mark"), [("v1.33.1+k3s1", {}), ("v1.32.3", {"rke.cattle.io/internal-ip": "x"})])
def test_k3s_and_rke1_with_split_roles_lose_only_etcd(version: str, mark: dict[str, str]) -> None:
    server = RKE1 if mark else CONTROL_PLANE
    nodes = [node("cp-1", [server], annotations=mark), node("etcd-1", [ETCD], annotations=mark), *workers()]

    made = found(cluster(nodes, version))

    assert set(urls(made)) == set(SERVERS)
    assert "etcd" in reasons(made)
    assert [made.role_of(each) for each in nodes[:2]] == ["control-plane", "worker"]
    (part,) = (each for each in made.values_of("worker") if each.role == "worker")
    assert part.tree == {"agents": {"tolerations": [{"key": ETCD, "operator": "Exists"}]}}


def test_rke2_on_an_external_datastore_has_no_etcd() -> None:
    made = found(rke2((CONTROL_PLANE,), (CONTROL_PLANE,)))

    assert "external" in reasons(made)["etcd"]
    assert len(made.instances) == 3


def test_rke2s_etcd_keeps_its_settings_in_a_file_so_the_documented_listener_is_used() -> None:
    nodes = [node("cp-1", (CONTROL_PLANE, ETCD))]
    pods = [
        apiserver("cp-1"),
        scheduler("cp-1"),
        controller_manager("cp-1"),
        pod("etcd", "cp-1", "--config-file=/var/x"),
    ]

    made = found(cluster(nodes, "v1.32.5+rke2r1", pods=pods))

    last = made.instances[-1]
    assert (last.instance["prometheus_url"], last.source) == ("http://127.0.0.1:2381/metrics", "documented for RKE2")


# --- etcd ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listeners", "expected"),
    [
        ("http://127.0.0.1:2381", "http://127.0.0.1:2381"),
        ("http://10.0.0.1:2381,http://127.0.0.1:2382", "http://127.0.0.1:2382"),
        ("http://0.0.0.0:2381", "http://127.0.0.1:2381"),
        ("http://[::]:2381", "http://[::1]:2381"),
        ("http://localhost:2381", "http://127.0.0.1:2381"),
        ("http://10.0.0.1:2381", f"http://{NODE_IP}:2381"),
        ("https://127.0.0.1:2383,http://10.0.0.1:2381", f"http://{NODE_IP}:2381"),
        ("http://127.0.0.1", "http://127.0.0.1:2381"),
        ("http://192.168.7.7:2381,http://10.0.0.1:2382", f"http://{NODE_IP}:2382"),
    ],
)
def test_of_several_listeners_the_nearest_plaintext_one_is_asked(listeners: str, expected: str) -> None:
    made = found(on_kubeadm(apiserver("cp-1"), etcd("cp-1", listener=listeners, address="10.0.0.1"), count=1))

    assert urls(made)["etcd"] == [f"{expected}/metrics"]
    assert made.host_files == ()


@pytest.mark.parametrize("listeners", ["", "https://127.0.0.1:2383", "http://[::", "nonsense"])
def test_without_a_plaintext_listener_the_api_servers_certificate_is_used(listeners: str) -> None:
    made = found(on_kubeadm(apiserver("cp-1"), etcd("cp-1", listener=listeners), count=1))

    assert [i.instance for i in made.instances if i.component == "etcd"] == [
        {
            "prometheus_url": "https://127.0.0.1:2379/metrics",
            "tls_verify": True,
            "tls_ca_cert": f"{PKI}/etcd/ca.crt",
            "tls_cert": f"{PKI}/apiserver-etcd-client.crt",
            "tls_private_key": f"{PKI}/apiserver-etcd-client.key",
        }
    ]
    assert [(f.path, f.kind, f.component) for f in made.host_files] == [
        (f"{PKI}/apiserver-etcd-client.crt", "file", "etcd"),
        (f"{PKI}/apiserver-etcd-client.key", "file", "etcd"),
        (f"{PKI}/etcd/ca.crt", "file", "etcd"),
    ]
    assert any("can read and write everything" in note for note in made.notes)


def test_paths_of_the_api_servers_container_are_told_as_paths_of_the_node() -> None:
    mounted = apiserver("cp-1", mounts=((PKI, "/var/lib/minikube/certs"),))

    made = found(on_kubeadm(mounted, etcd("cp-1", listener=""), count=1))

    assert [f.path for f in made.host_files] == [
        "/var/lib/minikube/certs/apiserver-etcd-client.crt",
        "/var/lib/minikube/certs/apiserver-etcd-client.key",
        "/var/lib/minikube/certs/etcd/ca.crt",
    ]


def test_a_certificate_that_is_not_on_the_node_is_replaced_by_the_documented_one() -> None:
    from_config_map = apiserver("cp-1", mounts=(("/var/log", "/var/log"),))

    made = found(on_kubeadm(from_config_map, etcd("cp-1", listener=""), count=1))

    assert made.instances[-1].instance["tls_cert"] == f"{PKI}/etcd/healthcheck-client.crt"
    assert made.instances[-1].source == "documented for kubeadm"


def test_the_api_servers_certificate_is_not_used_where_some_node_runs_no_api_server() -> None:
    pods = [apiserver("cp-1"), *[etcd(h, listener="") for h in HOSTS]]

    made = found(on_kubeadm(*pods))

    assert made.instances[-1].instance["tls_cert"] == f"{PKI}/etcd/healthcheck-client.crt"


def test_etcd_without_tls_needs_no_certificate() -> None:
    made = found(on_kubeadm(apiserver("cp-1", etcd="http://127.0.0.1:2379"), etcd("cp-1", listener=""), count=1))

    assert made.instances[-1].instance == {"prometheus_url": "http://127.0.0.1:2379/metrics"}
    assert made.host_files == ()


def test_external_etcd_is_asked_member_by_member() -> None:
    members = "https://10.9.0.1:2379,https://[fd00::9]:2379"
    pods = [p for h in HOSTS for p in (apiserver(h, etcd=members), scheduler(h), controller_manager(h))]

    made = found(on_kubeadm(*pods))

    etcds = [i.instance for i in made.instances if i.component == "etcd"]
    assert [(i["prometheus_url"], i["tags"]) for i in etcds] == [
        ("https://10.9.0.1:2379/metrics", ["etcd_endpoint:10.9.0.1:2379"]),
        ("https://[fd00::9]:2379/metrics", ["etcd_endpoint:[fd00::9]:2379"]),
    ]
    assert {i["tls_cert"] for i in etcds} == {f"{PKI}/apiserver-etcd-client.crt"}
    assert any("once a node" in note for note in made.notes)


def test_api_servers_that_dial_their_own_node_by_address_are_not_external() -> None:
    pods = [
        p
        for n, h in enumerate(HOSTS, 1)
        for p in (apiserver(h, etcd=f"https://10.0.0.{n}:2379", address=f"10.0.0.{n}"), etcd(h, listener=""))
    ]

    made = found(on_kubeadm(*pods))

    assert urls(made)["etcd"] == [f"https://{NODE_IP}:2379/metrics"]
    assert made.notes[0].startswith("etcd is asked with a client certificate")


def test_api_servers_that_list_every_member_ask_their_own() -> None:
    members = "https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379"
    pods = [
        p
        for n, h in enumerate(HOSTS, 1)
        for p in (apiserver(h, etcd=members, address=f"10.0.0.{n}"), etcd(h, listener=""))
    ]

    assert urls(found(on_kubeadm(*pods)))["etcd"] == [f"https://{NODE_IP}:2379/metrics"]


def kops(*pods: StaticPod, version: str = "v1.33.1", unread: dict[str, str] | None = None, **more: Any) -> ClusterFacts:
    nodes = [*control_planes(1, [CONTROL_PLANE, "kops.k8s.io/instancegroup"], **more), *workers()]
    return cluster(nodes, version, pods=pods, unread=unread)


KOPS_FILES = (
    "--etcd-cafile=/srv/kubernetes/kube-apiserver/etcd-ca.crt",
    "--etcd-certfile=/srv/kubernetes/kube-apiserver/etcd-client.crt",
    "--etcd-keyfile=/srv/kubernetes/kube-apiserver/etcd-client.key",
)


def kops_apiserver(*flags: str) -> StaticPod:
    return StaticPod(
        "kube-apiserver",
        "cp-1",
        args=(
            *("/go-runner", "--log-file=/var/log/x", "--also-stdout", "/usr/local/bin/kube-apiserver"),
            *("--secure-port=443", "--etcd-servers=https://127.0.0.1:4001", *KOPS_FILES, *flags),
        ),
        mounts=(("/srv/kubernetes/kube-apiserver", "/srv/kubernetes/kube-apiserver"),),
    )


def kops_manager(name: str, listener: str = "") -> StaticPod:
    peers = "--peer-urls=https://__name__:2381"
    line = f"mkfifo /tmp/pipe; exec /etcd-manager --client-urls=https://__name__:4001 {peers} > /tmp/pipe 2>&1"
    return StaticPod(
        f"etcd-manager-{name}",
        "cp-1",
        args=("/bin/sh", "-c", line),
        environment={"ETCD_LISTEN_METRICS_URLS": listener} if listener else None,
    )


EVENTS = "--etcd-servers-overrides=/events#https://127.0.0.1:4002"


def test_kops_has_two_etcd_clusters_with_the_api_servers_certificate() -> None:
    made = found(kops(kops_apiserver(EVENTS), kops_manager("main"), kops_manager("events")))

    etcds = [i for i in made.instances if i.component == "etcd"]
    assert [(i.instance["prometheus_url"], i.instance["tags"]) for i in etcds] == [
        ("https://127.0.0.1:4001/metrics", ["etcd_cluster:main"]),
        ("https://127.0.0.1:4002/metrics", ["etcd_cluster:events"]),
    ]
    assert {i.source for i in etcds} == {"`--etcd-servers` and `--etcd-certfile` of kube-apiserver"}
    assert [f.path for f in made.host_files] == [
        "/srv/kubernetes/kube-apiserver/etcd-ca.crt",
        "/srv/kubernetes/kube-apiserver/etcd-client.crt",
        "/srv/kubernetes/kube-apiserver/etcd-client.key",
    ]


def test_kops_listeners_are_found_in_etcd_managers_environment() -> None:
    pods = [
        kops_apiserver(EVENTS),
        kops_manager("main", "http://127.0.0.1:8081"),
        kops_manager("events", "http://0.0.0.0:8082"),
    ]

    made = found(kops(*pods))

    assert urls(made)["etcd"] == ["http://127.0.0.1:8081/metrics", "http://127.0.0.1:8082/metrics"]
    assert made.host_files == ()


def test_kops_peer_port_2381_is_never_taken_for_a_metrics_listener() -> None:
    for facts in (
        kops(kops_apiserver(EVENTS), kops_manager("main"), kops_manager("events")),
        kops(unread={"static-pods": FORBIDDEN}),
    ):
        assert not any(":2381" in url for url in urls(found(facts))["etcd"])


def test_a_third_store_that_an_api_server_dials_is_collected_too() -> None:
    leases = f"{EVENTS},coordination.k8s.io/leases#https://127.0.0.1:4004"

    made = found(kops(kops_apiserver(leases), kops_manager("main"), kops_manager("events")))

    assert [i.instance["tags"] for i in made.instances if i.component == "etcd"] == [
        ["etcd_cluster:main"],
        ["etcd_cluster:events"],
        ["etcd_cluster:coordination.k8s.io.leases"],
    ]


def test_kops_without_an_events_cluster_has_one_instance_without_a_tag() -> None:
    made = found(kops(kops_apiserver(), kops_manager("main")))

    etcds = [i.instance for i in made.instances if i.component == "etcd"]
    assert [i["prometheus_url"] for i in etcds] == ["https://127.0.0.1:4001/metrics"]
    assert "tags" not in etcds[0]


@pytest.mark.parametrize(
    ("version", "os_image", "folder"),
    [
        ("v1.33.1", "Ubuntu 24.04", "/srv/kubernetes/kube-apiserver"),
        ("v1.21.14", "Ubuntu 20.04", "/etc/kubernetes/pki/kube-apiserver"),
        ("v1.33.1", "Container-Optimized OS from Google", "/etc/srv/kubernetes/kube-apiserver"),
    ],
)
def test_kops_documented_certificates_follow_version_and_system(version: str, os_image: str, folder: str) -> None:
    made = found(kops(version=version, unread={"static-pods": FORBIDDEN}, os_image=os_image))

    assert {f.path for f in made.host_files} == {
        f"{folder}/etcd-{end}" for end in ("ca.crt", "client.crt", "client.key")
    }


def test_talos_certificates_are_the_api_servers_and_mounted_without_a_type() -> None:
    folder = "/system/secrets/kubernetes/kube-apiserver"
    server = pod(
        "kube-apiserver",
        "cp-1",
        *(f"--etcd-cafile={folder}/etcd-client-ca.crt", f"--etcd-certfile={folder}/etcd-client.crt"),
        *(f"--etcd-keyfile={folder}/etcd-client.key", "--etcd-servers=https://localhost:2379"),
        mounts=((folder, folder),),
    )

    made = found(cluster(control_planes(1, os_image="Talos (v1.11.2)"), pods=[server]))

    assert urls(made)["etcd"] == ["https://127.0.0.1:2379/metrics"]
    assert {f.kind for f in made.host_files} == {"untyped"}
    assert made.pod_security
    assert made.pod_security_default == Default("baseline", exempt=("kube-system",))


@pytest.mark.parametrize(
    ("labels", "count", "expected"),
    [
        ([CONTROL_PLANE], 1, "keeps its state in sqlite"),
        ([CONTROL_PLANE, ETCD], 3, ""),
    ],
)
def test_k3s_has_etcd_only_where_it_is_embedded(labels: list[str], count: int, expected: str) -> None:
    made = found(cluster(control_planes(count, labels), "v1.33.1+k3s1"))

    if expected:
        assert expected in reasons(made)["etcd"]
    else:
        assert urls(made)["etcd"] == ["http://127.0.0.1:2381/metrics"]


def test_old_k3s_serves_scheduler_and_controller_manager_in_plain_http() -> None:
    made = found(cluster(control_planes(1), "v1.20.4+k3s1"))

    assert urls(made)["kube_scheduler"] == ["http://127.0.0.1:10251/metrics"]
    assert urls(made)["kube_controller_manager"] == ["http://127.0.0.1:10252/metrics"]


def test_a_single_k0s_controller_gets_no_etcd_check_but_several_do() -> None:
    alone = found(cluster([*control_planes(1), *workers()], "v1.33.1+k0s"))
    several = found(cluster([*control_planes(3), *workers()], "v1.33.1+k0s"))

    assert "sqlite" in reasons(alone)["etcd"]
    assert several.instances[-1].instance["tls_cert"] == "/var/lib/k0s/pki/apiserver-etcd-client.crt"
    assert all(i.claimed for i in several.instances)


def test_microk8s_is_asked_for_its_api_server_only() -> None:
    made = found(cluster([node("m-1", ["node.kubernetes.io/microk8s-controlplane"])], "v1.32.3"))

    assert urls(made) == {"kube_apiserver_metrics": ["https://127.0.0.1:16443/metrics"]}
    assert set(reasons(made)) == {"kube_scheduler", "kube_controller_manager", "etcd"}


def test_openshift_gives_its_control_plane_release_no_static_check() -> None:
    nodes = [*control_planes(3, [CONTROL_PLANE, "node.openshift.io/os_id"]), *workers()]

    made = found(cluster(nodes, "v1.31.6", groups=["config.openshift.io/v1"]))

    assert made.control_plane_release
    assert made.instances == ()
    assert all("controlPlaneMonitoring" in reason for reason in reasons(made).values())


# --- what could not be read ------------------------------------------------------------------------------------------


UNREAD = {"static-pods": FORBIDDEN, "static-pods-by-app": FORBIDDEN}


def test_unreadable_static_pods_fall_back_to_what_is_documented_and_say_so() -> None:
    made = found(cluster(kubeadm(), unread=UNREAD))

    assert urls(made)["etcd"] == ["http://127.0.0.1:2381/metrics"]
    assert {i.source for i in made.instances} == {"documented for kubeadm"}
    assert not any(i.claimed for i in made.instances)


def test_what_only_documents_say_is_claimed() -> None:
    annotations = {"cluster.x-k8s.io/machine": "x"}

    made = found(cluster(control_planes(annotations=annotations), unread=UNREAD))

    assert all(i.claimed for i in made.instances)
    assert "--distribution" in made.claimed


def test_unreadable_static_pods_are_bridged_by_the_last_run_and_said() -> None:
    before = found(
        on_kubeadm(*[apiserver(h, port=7443) for h in HOSTS], *each(scheduler, controller_manager))
    ).to_record()

    made = found(cluster(kubeadm(), unread=UNREAD), remembered=before)

    assert urls(made)["kube_apiserver_metrics"] == ["https://127.0.0.1:7443/metrics"]
    assert made.instances[0].source == f"remembered from the last run; it could not be read now: {FORBIDDEN}"
    assert made.to_record() == before or made.to_record()["checks"].keys() == before["checks"].keys()


def test_labels_that_cannot_be_read_are_bridged_by_the_last_run_too() -> None:
    before = found(cluster(control_planes(3, [CONTROL_PLANE, ETCD]), "v1.33.1+k3s1")).to_record()

    made = found(cluster([], "v1.33.1+k3s1", unread={"nodes": FORBIDDEN}), remembered=before)

    assert urls(made)["etcd"] == ["http://127.0.0.1:2381/metrics"]


def test_what_was_left_out_stays_left_out_while_it_cannot_be_read() -> None:
    before = found(on_kubeadm(*each(apiserver, controller_manager, etcd))).to_record()

    made = found(cluster(kubeadm(), unread=UNREAD), remembered=before)

    assert reasons(made)["kube_scheduler"].startswith(
        "no control-plane node shows a static pod of kube-scheduler (remem"
    )


def test_memories_of_another_distribution_do_not_count() -> None:
    before = found(kops(kops_apiserver())).to_record()

    made = found(cluster(kubeadm(), unread=UNREAD), remembered=before)

    assert urls(made)["kube_apiserver_metrics"] == ["https://127.0.0.1:6443/metrics"]


@pytest.mark.parametrize(
    "checks", [None, [], {"etcd": None}, {"etcd": {"instances": []}}, {"etcd": {"instances": None}}]
)
def test_a_crooked_memory_is_no_memory(checks: object) -> None:
    before = {"distribution": "kubeadm", "checks": checks, "controlPlaneLabels": None}

    assert urls(found(cluster(kubeadm(), unread=UNREAD), remembered=before))["etcd"] == [
        "http://127.0.0.1:2381/metrics"
    ]


def test_one_of_the_two_reads_is_enough_where_it_shows_the_pods() -> None:
    made = found(cluster(kubeadm(), pods=stacked(), unread={"static-pods-by-app": "timeout"}))

    assert made.left_out == ()
    assert made.instances[0].source.startswith("command line")


EXTRA = {"secure-port": "7443", "bind-address": "::"}


@pytest.mark.parametrize("args", [EXTRA, [{"name": name, "value": value} for name, value in EXTRA.items()]])
def test_kubeadms_config_is_asked_where_static_pods_cannot_be_read(args: object) -> None:
    config = {
        "apiServer": {"extraArgs": args},
        "etcd": {"local": {"extraArgs": {"listen-metrics-urls": "http://0.0.0.0:9"}}},
    }

    made = found(cluster(kubeadm(), kubeadm=config, unread=UNREAD))

    assert urls(made)["kube_apiserver_metrics"] == ["https://[::1]:7443/metrics"]
    assert urls(made)["etcd"] == ["http://127.0.0.1:9/metrics"]
    assert made.instances[0].source == "the ConfigMap kube-system/kubeadm-config"
    assert made.instances[1].source == "documented for kubeadm"


def test_external_etcd_in_kubeadms_config_is_used_where_static_pods_cannot_be_read() -> None:
    files = {"caFile": "/etcd/ca.crt", "certFile": "/etcd/c.crt", "keyFile": "/etcd/c.key"}
    config = {"etcd": {"external": {"endpoints": ["https://10.9.0.1:2379"], **files}}}

    made = found(cluster(kubeadm(), kubeadm=config, unread=UNREAD))

    assert urls(made)["etcd"] == ["https://10.9.0.1:2379/metrics"]
    assert {f.path for f in made.host_files} == {"/etcd/ca.crt", "/etcd/c.crt", "/etcd/c.key"}


@pytest.mark.parametrize("config", [{}, {"etcd": None}, {"etcd": {"external": {}}}, {"apiServer": {"extraArgs": "x"}}])
def test_a_config_that_says_nothing_changes_nothing(config: dict[str, Any]) -> None:
    assert (
        found(cluster(kubeadm(), kubeadm=config, unread=UNREAD)).instances
        == found(cluster(kubeadm(), unread=UNREAD)).instances
    )


# --- a certificate of our own ----------------------------------------------------------------------------------------

OWN = {
    "tls_ca_cert": "/etc/datadog-agent/certs/etcd-ca.crt",
    "tls_cert": "/etc/datadog-agent/certs/etcd-client.crt",
    "tls_private_key": "/etc/datadog-agent/certs/etcd-client.key",
}


def own_etcd(facts: ClusterFacts, **more: Any) -> list[dict[str, Any]]:
    """The instances of etcd, each with the Secret's files; none of the node is mounted for them."""
    made = found(facts, own_certificate=True, **more)
    assert not [file for file in made.host_files if file.component == "etcd"]
    instances = [one.instance for one in made.instances if one.component == "etcd"]
    for each in instances:
        assert OWN.items() <= each.items()
        assert each["tls_verify"] is True
        assert "leader_tag" not in each, "the client port answers for the leader"
    return instances


def test_an_own_certificate_is_shown_at_the_client_port_although_there_is_a_listener() -> None:
    (instance,) = own_etcd(on_kubeadm(*stacked()))
    assert instance["prometheus_url"] == "https://127.0.0.1:2379/metrics"
    assert any(
        "certificate of your Secret" in note for note in found(on_kubeadm(*stacked()), own_certificate=True).notes
    )


def test_an_own_certificate_replaces_the_files_of_the_hosts_in_every_etcd_cluster() -> None:
    instances = own_etcd(kops(kops_apiserver(EVENTS), kops_manager("main"), kops_manager("events")))
    assert [(i["prometheus_url"], i["tags"]) for i in instances] == [
        ("https://127.0.0.1:4001/metrics", ["etcd_cluster:main"]),
        ("https://127.0.0.1:4002/metrics", ["etcd_cluster:events"]),
    ]


def test_an_own_certificate_opens_etcd_outside_the_cluster_without_any_file_of_the_hosts() -> None:
    members = "https://10.9.0.1:2379,https://10.9.0.2:2379"
    plain = [StaticPod("kube-apiserver", h, args=("kube-apiserver", f"--etcd-servers={members}")) for h in HOSTS]
    pods = [*plain, *[p for h in HOSTS for p in (scheduler(h), controller_manager(h))]]
    assert "no client certificate for it is known" in reasons(found(on_kubeadm(*pods)))["etcd"]
    assert [i["prometheus_url"] for i in own_etcd(on_kubeadm(*pods))] == [
        "https://10.9.0.1:2379/metrics",
        "https://10.9.0.2:2379/metrics",
    ]


def test_where_no_api_server_is_seen_etcds_own_flags_say_the_port() -> None:
    pods = [pod("etcd", h, "--listen-client-urls=https://127.0.0.1:12379,https://10.0.0.1:12379") for h in HOSTS]
    (instance,) = own_etcd(on_kubeadm(*pods))
    assert instance["prometheus_url"] == "https://127.0.0.1:12379/metrics"


def test_what_is_remembered_gets_the_files_that_are_mounted_now() -> None:
    with_files = found(kops(kops_apiserver(EVENTS), kops_manager("main"), kops_manager("events")))
    blind = kops(unread={"static-pods": FORBIDDEN})
    assert len(own_etcd(blind, remembered=with_files.to_record())) == 2


EXTERNAL = "https://10.1.2.3:2379,https://10.1.2.4:2379"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            ("--etcd-certfile=/etc/ssl/etcd/c.pem",),
            "no hostPath volume of kube-apiserver tells where `/etc",
        ),
        (("--etcd-certfile=", "--etcd-keyfile="), "no client certificate for it is known"),
    ],
)
def test_etcd_outside_without_a_certificate_says_what_is_missing_and_what_helps(
    flags: tuple[str, ...], says: str
) -> None:
    made = found(on_kubeadm(*[apiserver(h, *flags, etcd=EXTERNAL) for h in HOSTS]))

    (left,) = [one for one in made.left_out if one.component == "etcd"]
    assert left.reason.startswith(
        "etcd runs outside the cluster (`https://10.1.2.3:2379`, `https://10.1.2.4:2379`), and " + says
    )
    assert "ddhelm onboard --etcd-secret NAME" in left.fix


def external(**more: Any) -> tuple[str, ...]:
    """What is said where the API servers dial etcd outside the cluster with their certificate."""
    return found(on_kubeadm(*[apiserver(h, etcd=EXTERNAL) for h in HOSTS]), **more).notes


def test_a_certificate_shown_to_etcd_outside_is_said_to_be_the_key_to_the_cluster() -> None:
    (said,) = [note for note in external() if "can read and write everything" in note]
    assert "listener" not in said, "one on 127.0.0.1 of another machine is of no use to the agents"
    assert said in OF_ASKING
    (own,) = [note for note in external(own_certificate=True) if "can read and write everything" in note]
    assert "certificate of your Secret" in own


def test_etcd_outside_that_asks_for_no_certificate_has_no_such_note() -> None:
    plain = [apiserver(h, etcd=EXTERNAL.replace("https", "http")) for h in HOSTS]
    for own in (False, True):
        made = found(on_kubeadm(*plain), own_certificate=own)
        assert not [note for note in made.notes if note in OF_ASKING]


def test_the_key_to_the_cluster_is_named_once_for_all_etcds() -> None:
    outside = "--etcd-servers-overrides=/events#https://10.9.0.1:2383"
    for more in ({}, {"own_certificate": True}):
        made = found(on_kubeadm(*[p for h in HOSTS for p in (apiserver(h, outside), etcd(h, listener=""))]), **more)
        assert len(urls(made)["etcd"]) == 2
        assert len([note for note in made.notes if note in OF_ASKING]) == 1


# --- members that the nodes do not all have --------------------------------------------------------------------------

FIVE = tuple(f"cp-{i}" for i in range(1, 6))
MEMBERS = tuple(f"https://10.0.0.{i}:2379" for i in range(1, 4))


def test_one_list_of_all_members_is_no_difference_between_the_nodes_that_have_one_each() -> None:
    made = found(on_kubeadm(*[apiserver(h, etcd=",".join(MEMBERS)) for h in HOSTS]))
    assert urls(made)["etcd"] == ["https://%%env_DD_KUBERNETES_KUBELET_HOST%%:2379/metrics"]
    assert not [note for note in made.notes if "differs" in note]


def test_members_on_some_control_plane_nodes_are_asked_by_all_where_the_api_servers_ask_them() -> None:
    made = found(cluster(kubeadm(5), pods=[apiserver(h, etcd=",".join(MEMBERS)) for h in FIVE]))
    assert urls(made)["etcd"] == [f"{url}/metrics" for url in MEMBERS]
    assert {f.path for f in made.host_files if f.component == "etcd"} == {
        f"{PKI}/etcd/ca.crt",
        f"{PKI}/apiserver-etcd-client.crt",
        f"{PKI}/apiserver-etcd-client.key",
    }
    assert "etcd runs on some control-plane nodes only: each of the 5 control-plane agents asks all 3" in made.notes[0]


def test_api_servers_that_list_different_members_beside_their_own_still_ask_their_own() -> None:
    listed = (MEMBERS, MEMBERS, MEMBERS[2:])
    pods = [apiserver(h, etcd=",".join(those)) for h, those in zip(HOSTS, listed, strict=True)]
    made = found(on_kubeadm(*pods, *[etcd(h, listener="") for h in HOSTS]))
    assert urls(made)["etcd"] == [f"https://{NODE_IP}:2379/metrics"]
    assert not [note for note in made.notes if "differs" in note]


def with_events(servers: Callable[[int], str]) -> ClusterFacts:
    """Three nodes with an etcd for events beside the main one; ``servers`` are those of the n-th API server."""
    pods = [
        apiserver(h, f"--etcd-servers-overrides=/events#{servers(n)}", address=f"10.0.0.{n}")
        for n, h in enumerate(HOSTS, 1)
    ]
    return on_kubeadm(*pods, *each(etcd))


@pytest.mark.parametrize(
    ("servers", "host"),
    [
        pytest.param(lambda n: f"https://10.0.0.{n}:2383", NODE_IP, id="each its own"),
        pytest.param(lambda n: ";".join(f"https://10.0.0.{i}:2383" for i in (1, 2, 3)), NODE_IP, id="each all of them"),
        pytest.param(lambda n: "https://localhost:2383/", "127.0.0.1", id="a slash at the end"),
    ],
)
def test_a_second_etcd_on_each_node_is_asked_by_the_agent_beside_it(servers: Callable[[int], str], host: str) -> None:
    made = found(with_events(servers))
    assert urls(made)["etcd"] == ["http://127.0.0.1:2381/metrics", f"https://{host}:2383/metrics"]
    assert not [note for note in made.notes if "differs" in note or "etcd runs" in note]


def test_a_second_etcd_that_some_api_servers_do_not_dial_is_named() -> None:
    pods = [apiserver("cp-1", EVENTS), apiserver("cp-2", EVENTS), apiserver("cp-3")]
    made = found(on_kubeadm(*pods, *each(etcd)))
    assert urls(made)["etcd"] == ["http://127.0.0.1:2381/metrics", "https://127.0.0.1:4002/metrics"]
    assert made.notes[0] == (
        "`--etcd-servers-overrides` of kube-apiserver for `/events` differs between control-plane nodes: `none` on "
        "`cp-3`, `https://127.0.0.1:4002` on 2 of 3; the majority is used"
    )


def test_a_second_etcd_that_most_api_servers_do_not_dial_is_not_asked() -> None:
    made = found(on_kubeadm(apiserver("cp-1", EVENTS), apiserver("cp-2"), apiserver("cp-3"), *each(etcd)))
    assert urls(made)["etcd"] == ["http://127.0.0.1:2381/metrics"]
    assert "`https://127.0.0.1:4002` on `cp-1`, `none` on 2 of 3" in made.notes[0]


@pytest.mark.parametrize("members", ["https://127.0.0.1:2379", EXTERNAL])
def test_files_that_differ_between_the_nodes_are_mounted_on_none(members: str) -> None:
    pods = [apiserver(h, f"--etcd-certfile={PKI}/node-{h}.pem", etcd=members) for h in HOSTS]
    made = found(on_kubeadm(*pods, *(etcd(h, listener="") for h in HOSTS if members != EXTERNAL)))
    assert "the control-plane nodes have different files for it (`--etcd-certfile`)" in reasons(made)["etcd"]
    assert not [file for file in made.host_files if file.component == "etcd"]


def test_files_of_a_secret_that_is_no_longer_mounted_are_not_remembered() -> None:
    before = found(on_kubeadm(*stacked()), own_certificate=True).to_record()
    made = found(cluster(kubeadm(), unread=UNREAD), remembered=before)
    assert urls(made)["etcd"] == ["http://127.0.0.1:2381/metrics"]
