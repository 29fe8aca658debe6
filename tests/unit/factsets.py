"""Clusters as small sets of facts: nodes, static pods with the command lines that distributions really write."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from ddhelm import library, profile
from ddhelm.distribution import Distribution, NodeKind
from ddhelm.facts import ClusterFacts, Unread
from ddhelm.nodes import Node, Taint
from ddhelm.staticpods import StaticPod

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
MASTER = "node-role.kubernetes.io/master"
ETCD = "node-role.kubernetes.io/etcd"
CRI_SOCKET = "kubeadm.alpha.kubernetes.io/cri-socket"
PKI = "/etc/kubernetes/pki"
TOKENS = ("--authentication-kubeconfig=/etc/kubernetes/x.conf", "--authorization-kubeconfig=/etc/kubernetes/x.conf")
FORBIDDEN = 'pods is forbidden: User "reader" cannot list resource "pods" in the namespace "kube-system"'


@cache
def distributions() -> tuple[Distribution, ...]:
    """The distributions that ship with ddhelm."""
    return library.load().distributions()


@cache
def node_kinds() -> tuple[NodeKind, ...]:
    """The kinds of nodes that ship with ddhelm."""
    return library.load().node_kinds()


def node(name: str, labels: Mapping[str, str] | Iterable[str] = (), **more: Any) -> Node:
    """A node; labels may be keys only. Its address is made of the digits in its name."""
    pairs = dict(labels) if isinstance(labels, Mapping) else dict.fromkeys(labels, "")
    digits = "".join(filter(str.isdigit, name)) or "9"
    return Node(
        name,
        {"kubernetes.io/os": "linux", **pairs},
        more.pop("annotations", {}),
        container_runtime=more.pop("runtime", "containerd://2.1.4"),
        address=more.pop("address", f"10.0.0.{digits}"),
        **more,
    )


def control_planes(count: int = 3, labels: Iterable[str] = (CONTROL_PLANE,), **more: Any) -> list[Node]:
    """Tainted control-plane nodes cp-1 …"""
    taints = (Taint(CONTROL_PLANE, "", "NoSchedule"),)
    return [node(f"cp-{i}", labels, taints=taints, **more) for i in range(1, count + 1)]


def workers(count: int = 2, labels: Iterable[str] = (), **more: Any) -> list[Node]:
    """Nodes w-11 … without a role."""
    return [node(f"w-{10 + i}", labels, **more) for i in range(1, count + 1)]


def cluster(
    nodes: Sequence[Node],
    version: str | None = "v1.36.3",
    *,
    pods: Iterable[StaticPod] = (),
    groups: Iterable[str] = (),
    kubeadm: dict[str, Any] | None = None,
    unread: Mapping[str, str] | None = None,
) -> ClusterFacts:
    """Facts; ``unread`` maps names of reads to why they failed."""
    return ClusterFacts(
        uid="3f1c",
        server_version=version,
        api_groups=frozenset({"v1", "apps/v1", *groups}),
        nodes=tuple(sorted(nodes, key=lambda n: n.name)),
        static_pods=tuple(pods),
        kubeadm_config=kubeadm,
        unread=tuple(Unread(name, name, why) for name, why in (unread or {}).items()),
    )


def pod(component: str, host: str, *args: str, **more: Any) -> StaticPod:
    """A static pod whose command line is the component and ``args``."""
    return StaticPod(component, host, f"{component}-{host}", args=(component, *args), **more)


def apiserver(host: str, *args: str, port: int = 6443, etcd: str = "https://127.0.0.1:2379", **more: Any) -> StaticPod:
    """kube-apiserver as kubeadm starts it; ``args`` come last and so win."""
    return pod(
        "kube-apiserver",
        host,
        f"--etcd-cafile={PKI}/etcd/ca.crt",
        f"--etcd-certfile={PKI}/apiserver-etcd-client.crt",
        f"--etcd-keyfile={PKI}/apiserver-etcd-client.key",
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        *args,
        mounts=more.pop("mounts", ((PKI, PKI),)),
        **more,
    )


def scheduler(host: str, *args: str, **more: Any) -> StaticPod:
    """kube-scheduler as kubeadm starts it."""
    return pod("kube-scheduler", host, "--bind-address=127.0.0.1", *TOKENS, *args, **more)


def controller_manager(host: str, *args: str, **more: Any) -> StaticPod:
    """kube-controller-manager as kubeadm starts it."""
    return pod("kube-controller-manager", host, "--bind-address=127.0.0.1", *TOKENS, *args, **more)


def etcd(host: str, *args: str, listener: str = "http://127.0.0.1:2381", **more: Any) -> StaticPod:
    """etcd as kubeadm starts it."""
    metrics = (f"--listen-metrics-urls={listener}",) if listener else ()
    return pod("etcd", host, "--listen-client-urls=https://127.0.0.1:2379", *metrics, *args, **more)


def stacked(hosts: Iterable[str] = ("cp-1", "cp-2", "cp-3")) -> list[StaticPod]:
    """All four components on each host."""
    return [make(host) for host in hosts for make in (apiserver, scheduler, controller_manager, etcd)]


def kubeadm(count: int = 3, **more: Any) -> list[Node]:
    """The nodes of a kubeadm cluster."""
    mark = {CRI_SOCKET: "unix:///run/containerd/containerd.sock"}
    return [*control_planes(count, annotations=mark, **more), *workers(2, annotations=mark, **more)]


def found(facts: ClusterFacts, **more: Any) -> profile.Profile:
    """The profile of a cluster by what ships with ddhelm."""
    return profile.of(facts, distributions(), node_kinds=node_kinds(), **more)


def urls(made: profile.Profile) -> dict[str, list[str]]:
    """Component → where it is asked."""
    at: dict[str, list[str]] = {}
    for one in made.instances:
        at.setdefault(one.component, []).append(one.instance["prometheus_url"])
    return at


def reasons(made: profile.Profile) -> dict[str, str]:
    """Component → why it is left out."""
    return {one.component: one.reason for one in made.left_out}
