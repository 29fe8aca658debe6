"""Where the four control-plane components answer on their own node, and how the Agent's checks must ask them.

First what the static pods' command lines say, then what kubeadm's ConfigMap says, then what the release remembers from
an earlier run, last what the distribution documents; each instance says which. A check that would fail on some of its
nodes is left out with the reason.

The keys are those of the four checks' legacy OpenMetrics base. Two of its rules shape what is written: a CA turns
verification on even beside ``ssl_verify: false``, and verification against a name that is not in the URL works only
through the Host header.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ddhelm.address import is_local, reachable, split
from ddhelm.distribution import COMPONENTS, Client, Distribution, Endpoint, EtcdCluster
from ddhelm.facts import ClusterFacts, Node
from ddhelm.signals import Look
from ddhelm.staticpods import StaticPod
from ddhelm.tree import Tree

SERVICE_ACCOUNT_CA = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
APISERVER_NAME = "kubernetes.default.svc"
_PURPOSES = {
    "tls_ca_cert": "the CA of etcd",
    "tls_cert": "a client certificate for etcd",
    "tls_private_key": "the key of that client certificate",
}
_ETCD_PORT = 2379


@dataclass(frozen=True, slots=True)
class Server:
    """A component with a secure port of its own: its static pod and the defaults of its flags in Kubernetes' source."""

    pod: str
    port: int
    old_port: int = 0


SERVERS: Mapping[str, Server] = {
    "kube_apiserver_metrics": Server("kube-apiserver", 6443),
    "kube_scheduler": Server("kube-scheduler", 10259, 10251),
    "kube_controller_manager": Server("kube-controller-manager", 10257, 10252),
}


@dataclass(frozen=True, slots=True)
class CheckInstance:
    """One instance of a check, in the check's own keys; ``claimed``: documented somewhere, but seen by nobody here.

    Paths in it are paths on the node, but for the service account's CA, which every pod has.
    """

    component: str
    instance: Tree
    source: str
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A check that is not given to the control-plane agents, why, and what would change that."""

    component: str
    reason: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class HostFile:
    """One file of the node that a check reads. ``untyped``: the kubelet cannot look there, the runtime can (Talos)."""

    path: str
    kind: Literal["file", "socket", "untyped"]
    purpose: str
    component: str


@dataclass(frozen=True, slots=True)
class Derived:
    """The checks of a control plane."""

    instances: tuple[CheckInstance, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    host_files: tuple[HostFile, ...] = ()
    notes: tuple[str, ...] = ()


def derive(
    distribution: Distribution, look: Look, nodes: Sequence[Node], remembered: Mapping[str, Any] | None = None
) -> Derived:
    """The checks for the control-plane ``nodes``; ``remembered`` is what an earlier run wrote down, or None."""
    reading = _Reading(distribution, look.facts, nodes, remembered or {})
    instances: list[CheckInstance] = []
    left_out: list[LeftOut] = []
    for component in COMPONENTS:
        found = _component(reading, component, distribution.components.get(component, ()), look)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            instances.extend(found)
    return Derived(
        tuple(instances), tuple(left_out), _host_files(instances, distribution.files_untyped), tuple(reading.notes)
    )


_Found = list[CheckInstance] | LeftOut


@dataclass(slots=True)
class _Reading:
    """The static pods of the control-plane nodes and what else is known about them."""

    distribution: Distribution
    facts: ClusterFacts
    nodes: Sequence[Node]
    remembered: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    by_component: dict[str, dict[str, StaticPod]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {node.name for node in self.nodes}
        for pod in self.facts.static_pods:
            if pod.node in names or not self.facts.has("nodes"):
                self.by_component.setdefault(pod.component, {})[pod.node] = pod

    def pods(self, component: str) -> Mapping[str, StaticPod]:
        """Node → static pod of that component, on the control-plane nodes."""
        return self.by_component.get(component, {})

    @property
    def running(self) -> set[str]:
        """Nodes of which any static pod was seen: of the others nothing is known."""
        return {node for pods in self.by_component.values() for node in pods}

    @property
    def unreadable(self) -> str:
        """Why static pods could not be read, empty if they could."""
        return next((u.why for u in self.facts.unread if u.name.startswith("static-pods")), "")

    def address(self, pod: StaticPod) -> str:
        """The node's own address."""
        return pod.address or next((node.address for node in self.nodes if node.name == pod.node), "")

    @property
    def documented(self) -> str:
        return f"documented for {self.distribution.title}"

    @property
    def claimed(self) -> bool:
        return self.distribution.confidence != "high"

    def kubeadm(self, section: str, *more: str) -> Mapping[str, Any]:
        """A map in kubeadm's ClusterConfiguration, empty where there is none."""
        found: Any = self.facts.kubeadm_config or {}
        for key in (section, *more):
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, list):  # extraArgs since v1beta4
            found = {e.get("name"): e.get("value") for e in found if isinstance(e, Mapping)}
        return found if isinstance(found, Mapping) else {}

    def agreed(self, what: str, by_node: Mapping[str, str]) -> str:
        """The value that most nodes have; a note names the others. Of equally many, the first in sort order."""
        counts = Counter(by_node.values())
        winner = min(counts, key=lambda value: (-counts[value], value))
        for value in sorted(set(by_node.values()) - {winner}):
            others = listed(sorted(node for node, its in by_node.items() if its == value))
            self.notes.append(
                f"{what} differs between control-plane nodes: `{value or 'none'}` on {others}, "
                f"`{winner or 'none'}` on {counts[winner]} of {len(by_node)}; the majority is used"
            )
        return winner

    def missing(self, component: str, pods: Mapping[str, StaticPod], name: str) -> LeftOut | None:
        """A reason to leave the check out where some control-plane nodes do not run the component."""
        absent = sorted(self.running - set(pods))
        if not absent:
            return None
        return LeftOut(
            component,
            f"{name} runs on {len(pods)} of {len(self.running)} control-plane nodes, not on {listed(absent)}, "
            "where the check would fail",
        )

    def recall(self, component: str) -> _Found | None:
        """What an earlier run found, for when it cannot be read now."""
        if self.remembered.get("distribution") != self.distribution.name:
            return None
        checks = self.remembered.get("checks")
        known = checks.get(component) if isinstance(checks, Mapping) else None
        if not isinstance(known, Mapping):
            return None
        if reason := known.get("leftOut"):
            return LeftOut(component, f"{reason} (remembered from the last run: {self.unreadable})")
        source = f"remembered from the last run; the static pods could not be read now: {self.unreadable}"
        return [CheckInstance(component, dict(i), source) for i in known.get("instances") or ()] or None


def listed(names: Sequence[str], limit: int = 5) -> str:
    """`a`, `b` and 3 more."""
    shown = ", ".join(f"`{name}`" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _component(reading: _Reading, component: str, alternatives: Sequence[Endpoint], look: Look) -> _Found:
    endpoint = next((one for one in alternatives if look.all_hold(one.when)), None)
    if endpoint is None:
        return LeftOut(component, f"nothing is known about where it answers on {reading.distribution.title}")
    if endpoint.leave_out:
        return LeftOut(component, endpoint.leave_out, endpoint.fix)
    if endpoint.runs_on:
        bare = sorted(node.name for node in reading.nodes if endpoint.runs_on not in node.labels)
        if bare:
            return LeftOut(
                component,
                f"{len(bare)} of {len(reading.nodes)} control-plane nodes lack the label `{endpoint.runs_on}` "
                f"({listed(bare)}), where the check would fail",
            )
    return _etcd(reading, endpoint) if component == "etcd" else _server(reading, component, endpoint)


# --- kube-apiserver, kube-scheduler, kube-controller-manager ---------------------------------------------------------


def _server(reading: _Reading, component: str, endpoint: Endpoint) -> _Found:
    server = SERVERS[component]
    pods = reading.pods(server.pod)
    if pods:
        if left_out := reading.missing(component, pods, server.pod):
            return left_out
        urls = {node: _server_url(reading, component, pod) for node, pod in pods.items()}
        if refusals := sorted({url for url in urls.values() if isinstance(url, LeftOut)}, key=lambda r: r.reason):
            return refusals[0]
        url = reading.agreed(f"the address of {server.pod}", {n: u for n, u in urls.items() if isinstance(u, str)})
        source = f"command line of {server.pod} on {len(pods)} control-plane node{'s' * (len(pods) > 1)}"
        return _local(component, url, len(set(urls.values())), [_server_check(component, url, endpoint, source, False)])
    if reading.unreadable:
        return reading.recall(component) or [_documented(reading, component, endpoint)]
    if reading.running:
        return LeftOut(component, f"no control-plane node shows a static pod of {server.pod}")
    return [_documented(reading, component, endpoint)]


def _local(component: str, url: str, variants: int, found: list[CheckInstance]) -> _Found:
    """Refuses an address that is neither loopback nor the node's own where it differs from node to node."""
    parts = split(url, 0)
    if variants > 1 and parts and not is_local(url.partition("://")[2].rpartition(":")[0]):
        return LeftOut(component, f"it listens on another address on each node (such as `{url}`), none of them its own")
    return found


def _server_url(reading: _Reading, component: str, pod: StaticPod) -> str | LeftOut:
    """Base URL at which one static pod answers on its own node."""
    server, flags = SERVERS[component], pod.flags
    port = flags.get("secure-port", str(server.port))
    scheme, bind = "https", flags.get("bind-address", "0.0.0.0")  # noqa: S104 - the flag's default, nothing is bound here
    if port == "0":
        # Until 1.22 an insecure port could stand in for it (`--port`, `--address`).
        port, scheme = flags.get("port", "0" if server.old_port == 0 else str(server.old_port)), "http"
        bind = flags.get("address", "0.0.0.0")  # noqa: S104
        if port == "0" or (reading.facts.version >= (1, 23, 0)):
            return LeftOut(
                component, f"{pod.component} on `{pod.node}` runs with `--secure-port=0`: it serves no metrics"
            )
    host = reachable(bind, reading.address(pod))
    if host is None or not port.isdecimal():
        return LeftOut(
            component, f"the address of {pod.component} on `{pod.node}` cannot be told from `{bind}` and port `{port}`"
        )
    if scheme == "https" and component != "kube_apiserver_metrics" and not _asks_apiserver(flags):
        return LeftOut(
            component,
            f"{pod.component} on `{pod.node}` runs without `--authentication-kubeconfig` and "
            "`--authorization-kubeconfig`, so it answers 403 to every token",
            "give it both flags (the kubeconfig it already uses will do)",
        )
    return f"{scheme}://{host}:{port}"


def _asks_apiserver(flags: Mapping[str, str]) -> bool:
    """Whether the process can have a token checked, or lets everybody read /metrics."""
    if "/metrics" in flags.get("authorization-always-allow-paths", "").split(","):
        return True
    return {"authentication-kubeconfig", "authorization-kubeconfig"} <= flags.keys()


def _documented(reading: _Reading, component: str, endpoint: Endpoint) -> CheckInstance:
    section = {"kube_apiserver_metrics": "apiServer", "kube_scheduler": "scheduler"}.get(component, "controllerManager")
    extra = reading.kubeadm(section, "extraArgs")
    port = str(extra.get("secure-port", endpoint.port))
    host = reachable(str(extra.get("bind-address", endpoint.bind)), "")
    url = f"{endpoint.scheme}://{host or '127.0.0.1'}:{port}"
    if extra.keys() & {"secure-port", "bind-address"}:
        return _server_check(component, url, endpoint, "the ConfigMap kube-system/kubeadm-config", False)
    return _server_check(component, url, endpoint, reading.documented, reading.claimed)


def _server_check(component: str, url: str, endpoint: Endpoint, source: str, claimed: bool) -> CheckInstance:
    tree: Tree = {"prometheus_url": f"{url}/metrics"}
    if url.startswith("https:"):
        if component == "kube_apiserver_metrics" and endpoint.verify:
            tree |= {
                "bearer_token_auth": True,
                "tls_verify": True,
                "tls_ca_cert": SERVICE_ACCOUNT_CA,
                # the serving certificate always holds this name, 127.0.0.1 not always
                "tls_use_host_header": True,
                "extra_headers": {"Host": APISERVER_NAME},
            }
        else:
            tree |= {"bearer_token_auth": True if component == "kube_apiserver_metrics" else "tls_only"}
            tree |= {"ssl_verify": False}
    return CheckInstance(component, tree, source, claimed)


# --- etcd ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stores:
    """etcd as the kube-apiservers dial it: resource path ("" for everything else) → URLs; and their client files."""

    urls: Mapping[str, tuple[str, ...]]
    client: Client | None
    everywhere: bool


def _etcd(reading: _Reading, endpoint: Endpoint) -> _Found:
    if reading.unreadable and not any(reading.pods(c.pod) for c in endpoint.clusters if c.pod):
        if (recalled := reading.recall("etcd")) is not None:
            return recalled
        if external := _configured_external(reading):
            return external
    stores = _stores(reading)
    clusters = _clusters(reading, endpoint, stores)
    found = [(cluster, _etcd_cluster(reading, cluster, stores)) for cluster in clusters]
    kept = [(cluster, one) for cluster, one in found if not isinstance(one, LeftOut)]
    refused = [one for _, one in found if isinstance(one, LeftOut)]
    if not kept:
        return refused[0] if refused else LeftOut("etcd", "no etcd cluster is known")
    reading.notes += [f"etcd: {one.reason}" for one in refused]
    if len(clusters) == 1:
        return kept[0][1]
    return [
        CheckInstance("etcd", {**i.instance, "tags": [f"etcd_cluster:{cluster.name}"]}, i.source, i.claimed)
        for cluster, instances in kept
        for i in instances
    ]


def _clusters(reading: _Reading, endpoint: Endpoint, stores: _Stores | None) -> list[EtcdCluster]:
    """The clusters that the API servers really use; all documented ones where no command line could be read."""
    if stores is None:
        return list(endpoint.clusters)
    known = [c for c in endpoint.clusters if c.resource in stores.urls or (c.pod and reading.pods(c.pod))]
    named = {cluster.resource for cluster in known}
    return known + [
        EtcdCluster(resource.strip("/").replace("/", "."), pod="", resource=resource)
        for resource in stores.urls
        if resource not in named
    ]


def _etcd_cluster(reading: _Reading, cluster: EtcdCluster, stores: _Stores | None) -> _Found:
    pods = reading.pods(cluster.pod) if cluster.pod else {}
    urls = stores.urls.get(cluster.resource, ()) if stores else ()
    if not pods and urls and _external(reading, urls):
        source = "`--etcd-servers` of kube-apiserver"
        return _external_checks(reading, urls, stores.client if stores else None, source)
    if pods and (left_out := reading.missing("etcd", pods, cluster.pod)):
        return left_out
    if listener := _listener(reading, cluster, pods):
        return listener
    return _with_certificate(reading, cluster, stores, urls)


def _listener(reading: _Reading, cluster: EtcdCluster, pods: Mapping[str, StaticPod]) -> _Found | None:
    """The plaintext metrics listener: it needs no certificate and answers nothing but metrics and health."""
    if not pods:
        # A static pod that should be there and is not says nothing about a listener; a host process never shows.
        if cluster.listener is None or (cluster.pod and not reading.unreadable and reading.running):
            return None
        extra = reading.kubeadm("etcd", "local", "extraArgs").get("listen-metrics-urls")
        url = _nearest(str(extra), "") if extra else None
        source = "the ConfigMap kube-system/kubeadm-config" if url else reading.documented
        return [_plain_check(url or cluster.listener, source, url is None and reading.claimed)]
    seen = {node: _listener_of(reading, cluster, pod) for node, pod in pods.items()}
    url = reading.agreed(f"the metrics listener of {cluster.pod}", {node: at for node, (at, _) in seen.items()})
    if not url:
        return None
    source = next(source for at, source in seen.values() if at == url)
    claimed = reading.claimed and source == reading.documented
    return _local("etcd", url, len({at for at, _ in seen.values()}), [_plain_check(url, source, claimed)])


def _listener_of(reading: _Reading, cluster: EtcdCluster, pod: StaticPod) -> tuple[str, str]:
    """Base URL of one pod's plaintext listener, empty if it has none, and where that is written."""
    flags = pod.flags
    for text, source in (
        (flags.get("listen-metrics-urls"), f"`--listen-metrics-urls` of {pod.component}"),
        (pod.variable("ETCD_LISTEN_METRICS_URLS"), f"`ETCD_LISTEN_METRICS_URLS` of {pod.component}"),
    ):
        if text and (url := _nearest(text, reading.address(pod))):
            return url, source
    if "config-file" in flags or pod.variable("ETCD_CONFIG_FILE"):
        # RKE2 writes etcd's settings into a file that the API does not show.
        return cluster.listener or "", reading.documented
    return "", ""


def _nearest(text: str, node_address: str) -> str | None:
    """Of a list of listen URLs the plaintext one that is nearest: loopback before anything else."""
    urls = []
    for url in text.split(","):
        parts = split(url, 2381)
        host = reachable(parts[1], node_address) if parts and parts[0] == "http" else None
        if parts and host:
            urls.append(f"http://{host}:{parts[2]}")
    return min(urls, key=lambda url: (not is_local(url[7:].rpartition(":")[0]), "%%" in url, url), default=None)


def _stores(reading: _Reading) -> _Stores | None:
    """None where no kube-apiserver's command line could be read."""
    pods = reading.pods("kube-apiserver")
    by_node = {node: pod.flags for node, pod in pods.items() if "etcd-servers" in pod.flags}
    if not by_node:
        return None

    def agreed(flag: str, value: Callable[[str], str]) -> str:
        return reading.agreed(f"`--{flag}` of kube-apiserver", {n: value(f.get(flag, "")) for n, f in by_node.items()})

    # Each API server may name its own node: the order and the node's own address are no difference.
    own = {node: reading.address(pods[node]) for node in by_node}
    main = reading.agreed(
        "`--etcd-servers` of kube-apiserver",
        {n: ",".join(sorted(_own(u, own[n]) for u in f["etcd-servers"].split(","))) for n, f in by_node.items()},
    )
    urls = {"": tuple(main.split(","))}
    for entry in filter(None, agreed("etcd-servers-overrides", str.strip).split(",")):
        resource, _, servers = entry.partition("#")
        urls[resource] = tuple(servers.split(";"))
    first = next(iter(by_node))
    files = [pods[first], *pods.values()][0]
    paths = [_on_host(files, agreed(flag, str.strip)) for flag in ("etcd-cafile", "etcd-certfile", "etcd-keyfile")]
    client = Client("", *(path for path in paths if path)) if all(paths) else None
    return _Stores(urls, client, everywhere=not reading.running - set(pods))


def _own(url: str, node_address: str) -> str:
    parts = split(url, _ETCD_PORT)
    host = reachable(parts[1], node_address) if parts else None
    return f"{parts[0]}://{host}:{parts[2]}" if parts and host else url.strip()


def _on_host(pod: StaticPod, path: str) -> str | None:
    """A path of the container on the node. A pod that tells no mounts is taken at its word."""
    if not path:
        return None
    return pod.host_path(path) if pod.mounts else path


def _external(reading: _Reading, urls: Sequence[str]) -> bool:
    """Whether none of the URLs is on a control-plane node."""
    own = {node.address for node in reading.nodes}
    hosts = [url.partition("://")[2].rpartition(":")[0] for url in urls]
    return not any(is_local(host) or host.strip("[]") in own for host in hosts)


def _configured_external(reading: _Reading) -> list[CheckInstance] | None:
    external = reading.kubeadm("etcd", "external")
    endpoints = [str(url) for url in external.get("endpoints") or ()]
    if not endpoints:
        return None
    files = [str(external.get(key) or "") for key in ("caFile", "certFile", "keyFile")]
    client = Client("", *files) if all(files) else None
    found = _external_checks(reading, endpoints, client, "the ConfigMap kube-system/kubeadm-config")
    return None if isinstance(found, LeftOut) else found


def _external_checks(reading: _Reading, urls: Sequence[str], client: Client | None, source: str) -> _Found:
    found = []
    for url in urls:
        parts = split(url, _ETCD_PORT)
        if parts is None or (parts[0] == "https" and client is None):
            return LeftOut("etcd", f"etcd runs outside (`{url}`) and no client certificate for it is known")
        host = f"[{parts[1]}]" if ":" in parts[1] else parts[1]
        tree: Tree = {"prometheus_url": f"{parts[0]}://{host}:{parts[2]}/metrics"}
        if parts[0] == "https" and client:
            tree |= _client_keys(client)
        found.append(CheckInstance("etcd", {**tree, "tags": [f"etcd_endpoint:{host}:{parts[2]}"]}, source))
    if len(reading.nodes) > 1:
        reading.notes.append(
            f"etcd runs outside the cluster: each of the {len(reading.nodes)} control-plane agents asks all "
            f"{len(found)} members, so each member is reported once a node (tag `etcd_endpoint` tells them apart)"
        )
    return found


def _with_certificate(reading: _Reading, cluster: EtcdCluster, stores: _Stores | None, urls: Sequence[str]) -> _Found:
    """The client port of etcd, with the certificate that kube-apiserver itself shows there."""
    own = [url for url in urls if is_local(url.partition("://")[2].rpartition(":")[0])]
    if own and own[0].startswith("http:"):
        return [CheckInstance("etcd", {"prometheus_url": f"{own[0]}/metrics"}, "`--etcd-servers` of kube-apiserver")]
    if own and stores and stores.client and stores.everywhere:
        source = "`--etcd-servers` and `--etcd-certfile` of kube-apiserver"
        tree = {"prometheus_url": f"{own[0]}/metrics", **_client_keys(stores.client)}
        return _certified(reading, [CheckInstance("etcd", tree, source)])
    if cluster.client is None:
        return LeftOut("etcd", "it has no plaintext metrics listener and no client certificate for it is known")
    tree = {"prometheus_url": f"{cluster.client.url}/metrics", **_client_keys(cluster.client)}
    return _certified(reading, [CheckInstance("etcd", tree, reading.documented, reading.claimed)])


def _certified(reading: _Reading, found: list[CheckInstance]) -> list[CheckInstance]:
    note = (
        "etcd is asked with a client certificate, and any client certificate of etcd can read and write everything in "
        "the cluster; a plaintext metrics listener on 127.0.0.1 would spare the agents that key"
    )
    if note not in reading.notes:
        reading.notes.append(note)
    return found


def _client_keys(client: Client) -> Tree:
    return {"tls_verify": True, "tls_ca_cert": client.ca, "tls_cert": client.cert, "tls_private_key": client.key}


def _plain_check(url: str, source: str, claimed: bool) -> CheckInstance:
    # A metrics listener does not serve the call by which the check finds the leader.
    return CheckInstance("etcd", {"prometheus_url": f"{url}/metrics", "leader_tag": False}, source, claimed)


def _host_files(instances: Sequence[CheckInstance], untyped: bool) -> tuple[HostFile, ...]:
    kind: Literal["file", "untyped"] = "untyped" if untyped else "file"
    files = {
        path: HostFile(path, kind, purpose, one.component)
        for one in instances
        for key, purpose in _PURPOSES.items()
        if (path := one.instance.get(key)) and path != SERVICE_ACCOUNT_CA
    }
    return tuple(files[path] for path in sorted(files))
