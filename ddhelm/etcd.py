"""The check of etcd: its plaintext metrics listener where there is one, otherwise its client port with a certificate.

A metrics listener answers metrics and health and nothing else. A client certificate of etcd can read and write the
whole state of the cluster, so it is the second choice, and only its three files are mounted.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ddhelm.address import is_local, reachable, split
from ddhelm.controlplane import KUBEADM_CONFIG, CheckInstance, ControlPlane, Found, LeftOut, listed
from ddhelm.distribution import Client, Endpoint, EtcdCluster
from ddhelm.servers import scattered
from ddhelm.staticpods import StaticPod
from ddhelm.tree import Tree

FILES: Mapping[str, str] = {
    "tls_ca_cert": "the CA of etcd",
    "tls_cert": "a client certificate for etcd",
    "tls_private_key": "the key of that client certificate",
}
CLUSTER_TAG = "etcd_cluster:"
CERTS = "/etc/datadog-agent/certs"
OWN: Mapping[str, str] = {
    "tls_ca_cert": f"{CERTS}/etcd-ca.crt",
    "tls_cert": f"{CERTS}/etcd-client.crt",
    "tls_private_key": f"{CERTS}/etcd-client.key",
}
"""Where the agents find the files of `--etcd-secret`; ``charts-values/etcd-secret.yaml`` mounts them there."""
_CLIENT_PORT, _METRICS_PORT = 2379, 2381
_DIALLED = "`--etcd-servers` of kube-apiserver"
_OWN_CERTIFICATE = (
    "etcd is asked with the client certificate of your Secret, which can read and write everything in the cluster: "
    "who may read that Secret or enter the control-plane agents is as strong as an administrator"
)
_CERTIFIED = (
    "etcd is asked with a client certificate, and any client certificate of etcd can read and write everything in the "
    "cluster; a plaintext metrics listener on 127.0.0.1 would spare the agents that key"
)
_CERTIFIED_ELSEWHERE = (
    "etcd is asked with a client certificate, and any client certificate of etcd can read and write everything in the "
    "cluster: who may enter the control-plane agents is as strong as an administrator"
)
_OWN_WAY = "a client certificate of your own: `ddhelm certs plan` says how, `ddhelm onboard --etcd-secret NAME` uses it"
OF_ASKING = frozenset({_OWN_CERTIFICATE, _CERTIFIED, _CERTIFIED_ELSEWHERE})
"""Notes that are true only while the check of etcd is not left out."""


class Stores(Struct, frozen=True):
    """etcd as the API servers dial it: resource path ("" for all others) → URLs, and the files they show there.

    ``client``: None where their files cannot be mounted on each control-plane node that was seen; ``without`` says why.
    ``differing``: they are others on other nodes.
    """

    urls: Mapping[str, tuple[str, ...]]
    client: Client | None
    without: str
    differing: bool


def checks(plane: ControlPlane, endpoint: Endpoint) -> Found:
    """The instances for every etcd cluster, tagged by cluster where there are several, or why there are none."""
    if plane.unreadable and not any(plane.pods(cluster.pod) for cluster in endpoint.clusters if cluster.pod):
        if (recalled := _recalled(plane)) is not None:
            return recalled
        if configured := _configured_external(plane):
            return configured
    stores = _stores(plane)
    clusters = _clusters(plane, endpoint, stores)
    found = [(cluster.name, _cluster(plane, cluster, stores)) for cluster in clusters]
    refused = [one for _, one in found if isinstance(one, LeftOut)]
    kept = [(name, one) for name, one in found if not isinstance(one, LeftOut)]
    if not kept:
        return refused[0] if refused else LeftOut("etcd", "no etcd cluster is known")
    plane.notes += [f"etcd: {one.reason}" for one in refused]
    if len(clusters) == 1:
        return kept[0][1]
    return [
        CheckInstance("etcd", _tagged(one.instance, f"{CLUSTER_TAG}{name}"), one.source, one.claimed)
        for name, instances in kept
        for one in instances
    ]


def _clusters(plane: ControlPlane, endpoint: Endpoint, stores: Stores | None) -> list[EtcdCluster]:
    """The clusters that the API servers really use; all documented ones where no command line could be read."""
    if stores is None:
        return list(endpoint.clusters)
    known = [c for c in endpoint.clusters if c.resource in stores.urls or (c.pod and plane.pods(c.pod))]
    named = {cluster.resource for cluster in known}
    return known + [
        EtcdCluster(resource.strip("/").replace("/", ".") or "main", pod="", resource=resource)
        for resource in stores.urls
        if resource not in named
    ]


def _cluster(plane: ControlPlane, cluster: EtcdCluster, stores: Stores | None) -> Found:
    pods = plane.pods(cluster.pod) if cluster.pod else {}
    urls = stores.urls.get(cluster.resource, ()) if stores else ()
    if not pods and stores and urls and not any(map(_is_own, urls)):
        return _elsewhere(plane, urls, stores.client, _DIALLED, stores.without)
    if pods and (left_out := plane.missing("etcd", pods, cluster.pod) or plane.apart("etcd", pods, cluster.pod)):
        return left_out
    if cluster.pod and not pods and not urls and plane.seen and not plane.unreadable:
        return LeftOut(
            "etcd", f"no control-plane node shows a static pod of {cluster.pod} or an API server that dials it"
        )
    if plane.own_certificate:
        return _with_own_certificate(plane, cluster, pods, urls)
    listener = None if plane.without_listener else _listener(plane, cluster, pods)
    return listener or _with_certificate(plane, cluster, stores, urls)


# --- the plaintext listener ------------------------------------------------------------------------------------------


def _listener(plane: ControlPlane, cluster: EtcdCluster, pods: Mapping[str, StaticPod]) -> Found | None:
    if not pods:
        return _documented_listener(plane, cluster)
    found = {node: _listener_of(plane, cluster, pod) for node, pod in pods.items()}
    urls = {node: url for node, (url, _) in found.items()}
    url = plane.agreed(f"the metrics listener of {cluster.pod}", urls)
    if not url:
        return None
    source = next(source for at, source in found.values() if at == url)
    claimed = plane.claimed and source == plane.documented
    return scattered("etcd", url, set(urls.values())) or [_plain(url, source, claimed=claimed)]


def _documented_listener(plane: ControlPlane, cluster: EtcdCluster) -> Found | None:
    # Where other static pods are seen and etcd's is not, etcd is not what the distribution documents. A process of
    # the host is never seen.
    if cluster.listener is None or (cluster.pod and plane.seen and not plane.unreadable):
        return None
    extra = plane.kubeadm("etcd", "local", "extraArgs").get("listen-metrics-urls")
    if extra and (url := _nearest(str(extra), "")):
        return [_plain(url, KUBEADM_CONFIG)]
    return [_plain(cluster.listener, plane.documented, claimed=plane.claimed)]


def _listener_of(plane: ControlPlane, cluster: EtcdCluster, pod: StaticPod) -> tuple[str, str]:
    """Base URL of one pod's plaintext listener, empty if it has none, and where that is written."""
    flags = pod.flags
    for text, source in (
        (flags.get("listen-metrics-urls"), f"`--listen-metrics-urls` of {pod.component}"),
        (pod.variable("ETCD_LISTEN_METRICS_URLS"), f"`ETCD_LISTEN_METRICS_URLS` of {pod.component}"),
    ):
        if text and (url := _nearest(text, plane.address(pod))):
            return url, source
    if "config-file" in flags or pod.variable("ETCD_CONFIG_FILE"):
        # RKE2 writes etcd's settings into a file that the API does not show.
        return cluster.listener or "", plane.documented
    return "", ""


def _nearest(text: str, node_address: str) -> str | None:
    """Of a list of listen URLs the plaintext one that is nearest: loopback before the node's address before others."""
    urls = []
    for each in text.split(","):
        parts = split(each, _METRICS_PORT)
        host = reachable(parts[1], node_address) if parts and parts[0] == "http" else None
        if parts and host:
            urls.append(f"http://{host}:{parts[2]}")
    return min(urls, key=lambda url: (not _is_own(url), "%%" in url, url), default=None)


def _plain(url: str, source: str, *, claimed: bool = False) -> CheckInstance:
    # A metrics listener does not serve the call by which the check looks for the leader.
    return CheckInstance("etcd", {"prometheus_url": f"{url}/metrics", "leader_tag": False}, source, claimed)


# --- the client port -------------------------------------------------------------------------------------------------


def _stores(plane: ControlPlane) -> Stores | None:
    """None where no API server's command line could be read."""
    pods = {n: pod for n, pod in sorted(plane.pods("kube-apiserver").items()) if pod.flags.get("etcd-servers")}
    if not pods:
        return None
    dialled = {n: _servers(pod) for n, pod in pods.items()}
    resources = dict.fromkeys(resource for servers in dialled.values() for resource in servers)
    members = {resource: _members(plane, pods, resource, dialled) for resource in resources}
    urls = {resource: those for resource, those in members.items() if those}
    flags = ("etcd-cafile", "etcd-certfile", "etcd-keyfile")
    paths = {flag: {n: _on_host(pod, pod.flags.get(flag, "")) for n, pod in pods.items()} for flag in flags}
    differing = [flag for flag in flags if len(set(paths[flag].values())) > 1]
    files = [next(iter(paths[flag].values())) for flag in flags]
    unmounted = [
        pod.flags[flag] for flag in flags for n, pod in pods.items() if pod.flags.get(flag) and not paths[flag][n]
    ]
    if differing:  # a file that a node lacks keeps its agent from starting
        without = f"the control-plane nodes have different files for it ({listed([f'--{flag}' for flag in differing])})"
    elif not all(files):
        without = _no_certificate(list(dict.fromkeys(unmounted)))
    elif plane.seen - set(plane.pods("kube-apiserver")):
        without = "not every control-plane node runs an API server, whose files they are"
    else:
        without = ""
    return Stores(urls, None if without else Client("", *files), without, bool(differing))


def _servers(pod: StaticPod) -> Mapping[str, tuple[str, ...]]:
    """Resource path ("" for all others) → the URLs that one API server dials, as `group/resource#URL;URL` has them."""
    overrides = (entry.partition("#") for entry in pod.flags.get("etcd-servers-overrides", "").split(","))
    texts = {resource.strip(): servers.split(";") for resource, _, servers in overrides if servers}
    texts = {"": pod.flags["etcd-servers"].split(","), **texts}
    return {resource: tuple(sorted(map(str.strip, servers))) for resource, servers in texts.items()}


def _members(
    plane: ControlPlane,
    pods: Mapping[str, StaticPod],
    resource: str,
    dialled: Mapping[str, Mapping[str, tuple[str, ...]]],
) -> tuple[str, ...]:
    """One etcd's URLs as an agent beside the API server would write them, or as all API servers do.

    Empty where most API servers do not dial it.
    """
    what = f"`--etcd-servers-overrides` of kube-apiserver for `{resource}`" if resource else _DIALLED
    named = {n: servers[resource] for n, servers in dialled.items() if resource in servers}
    near = {n: sorted({_from_node(url, plane.address(pods[n])) for url in urls}) for n, urls in named.items()}
    own = {n: ",".join(filter(_is_own, urls)) for n, urls in near.items()}
    # Each API server may name its own node first: neither the order nor the node's own address is a difference.
    if all(own.values()):
        found = plane.agreed(what, own)
    elif len(set(named.values())) == 1:
        found = ",".join(next(iter(named.values())))
    else:
        found = plane.agreed(what, {n: ",".join(urls) for n, urls in near.items()})
    if len(named) < len(pods):
        found = plane.agreed(what, {n: found if n in named else "" for n in pods})
    return tuple(found.split(",")) if found else ()


def _from_node(url: str, node_address: str) -> str:
    """A URL as an agent on that node would write it."""
    parts = split(url, _CLIENT_PORT)
    host = reachable(parts[1], node_address) if parts else None
    return f"{parts[0]}://{host}:{parts[2]}" if parts and host else url.strip()


def _on_host(pod: StaticPod, path: str) -> str:
    """A path of the container on the node, empty if it is none. A pod that tells no mounts is taken at its word."""
    return (pod.host_path(path) or "") if path and pod.mounts else path


def _with_certificate(plane: ControlPlane, cluster: EtcdCluster, stores: Stores | None, urls: Sequence[str]) -> Found:
    own = next((url for url in urls if _is_own(url)), None)
    if own and own.startswith("http:"):
        return [CheckInstance("etcd", {"prometheus_url": f"{own}/metrics"}, _DIALLED)]
    if own and stores and stores.client:
        source = "`--etcd-servers` and `--etcd-certfile` of kube-apiserver"
        found = CheckInstance("etcd", {"prometheus_url": f"{own}/metrics", **_keys(stores.client)}, source)
    elif cluster.client and not (stores and stores.differing):
        tree = {"prometheus_url": f"{cluster.client.url}/metrics", **_keys(cluster.client)}
        found = CheckInstance("etcd", tree, plane.documented, plane.claimed)
    else:
        why = (stores.without if stores else "") or _no_certificate(())
        without = why if plane.without_listener else f"it has no plaintext metrics listener, and {why}"
        return LeftOut("etcd", without, _OWN_WAY)
    _note_once(plane, _CERTIFIED)
    return [found]


def _no_certificate(unmounted: Sequence[str]) -> str:
    if not unmounted:
        return "no client certificate for it is known"
    return f"no hostPath volume of kube-apiserver tells where {listed(unmounted)} is on the node"


def _keys(client: Client) -> Tree:
    return {"tls_verify": True, "tls_ca_cert": client.ca, "tls_cert": client.cert, "tls_private_key": client.key}


# --- a certificate of our own ----------------------------------------------------------------------------------------


def _with_own_certificate(
    plane: ControlPlane, cluster: EtcdCluster, pods: Mapping[str, StaticPod], urls: Sequence[str]
) -> Found:
    """The client port with the Secret's files: as the API server dials it, as etcd listens, or as documented."""
    listening = {
        node: _client_port(pod.flags.get("listen-client-urls", ""), plane.address(pod)) for node, pod in pods.items()
    }
    own = next((url for url in urls if _is_own(url) and url.startswith("https:")), None)
    if own:
        url, source = own, _DIALLED
    elif listening and (url := plane.agreed(f"the client port of {cluster.pod}", listening)):
        source = f"`--listen-client-urls` of {cluster.pod}"
    elif cluster.client:
        url, source = cluster.client.url, plane.documented
    else:
        return LeftOut(
            "etcd", "nothing is known about its client port, at which the Secret's certificate would be shown"
        )
    claimed = plane.claimed and source == plane.documented
    _note_once(plane, _OWN_CERTIFICATE)
    return [CheckInstance("etcd", {"prometheus_url": f"{url}/metrics", "tls_verify": True, **OWN}, source, claimed)]


def _client_port(text: str, node_address: str) -> str:
    """Of a list of listen URLs the encrypted one that is nearest, empty where there is none."""
    urls = []
    for each in filter(None, text.split(",")):
        parts = split(each, _CLIENT_PORT)
        host = reachable(parts[1], node_address) if parts and parts[0] == "https" else None
        if parts and host:
            urls.append(f"https://{host}:{parts[2]}")
    return min(urls, key=lambda url: (not _is_own(url), "%%" in url, url), default="")


def _recalled(plane: ControlPlane) -> Found | None:
    """What an earlier run found, with the files that are mounted now; None where those of a Secret are no more."""
    recalled = plane.recall("etcd")
    if recalled is None or isinstance(recalled, LeftOut):
        return recalled
    if not plane.own_certificate:
        return None if any(OWN.items() <= one.instance.items() for one in recalled) else recalled
    return [replace(one, instance={**one.instance, **OWN}) if "tls_cert" in one.instance else one for one in recalled]


# --- etcd outside the cluster ----------------------------------------------------------------------------------------


def _configured_external(plane: ControlPlane) -> Found | None:
    external = plane.kubeadm("etcd", "external")
    endpoints = [str(url) for url in external.get("endpoints") or ()]
    files = [str(external.get(key) or "") for key in ("caFile", "certFile", "keyFile")]
    client = Client("", *files) if all(files) else None
    return _elsewhere(plane, endpoints, client, KUBEADM_CONFIG, _no_certificate(())) if endpoints else None


def _elsewhere(plane: ControlPlane, urls: Sequence[str], client: Client | None, source: str, without: str) -> Found:
    """Checks of members that do not stand beside each agent; ``without``: why there is no client certificate."""
    hosts = {(split(url, _CLIENT_PORT) or ("", "", 0))[1] for url in urls}
    inside = hosts & {node.address for node in plane.nodes}
    where = "on some control-plane nodes only" if inside else "outside the cluster"
    if plane.own_certificate:
        client = Client("", OWN["tls_ca_cert"], OWN["tls_cert"], OWN["tls_private_key"])
    found = []
    for url in urls:
        parts = split(url, _CLIENT_PORT)
        if parts is None:
            return LeftOut("etcd", f"etcd runs {where}, and `{url}` of {source} is no URL")
        if parts[0] == "https" and client is None:
            return LeftOut("etcd", f"etcd runs {where} ({listed(urls)}), and {without}", _OWN_WAY)
        member = f"[{parts[1]}]:{parts[2]}" if ":" in parts[1] else f"{parts[1]}:{parts[2]}"
        tree: Tree = {"prometheus_url": f"{parts[0]}://{member}/metrics"}
        if parts[0] == "https" and client:
            tree |= _keys(client)
        found.append(CheckInstance("etcd", _tagged(tree, f"etcd_endpoint:{member}"), source))
    if len(plane.nodes) > 1:
        plane.notes.append(
            f"etcd runs {where}: each of the {len(plane.nodes)} control-plane agents asks all "
            f"{len(found)} members, so each member is reported once a node (the tag `etcd_endpoint` tells them apart)"
        )
    if any("tls_cert" in one.instance for one in found):
        _note_once(plane, _OWN_CERTIFICATE if plane.own_certificate else _CERTIFIED_ELSEWHERE)
    return found


def _note_once(plane: ControlPlane, note: str) -> None:
    """Says what a client certificate can do, once for all etcds of a cluster."""
    if OF_ASKING.isdisjoint(plane.notes):
        plane.notes.append(note)


def _is_own(url: str) -> bool:
    return is_local(url.partition("://")[2].rpartition(":")[0])


def _tagged(instance: Tree, tag: str) -> Tree:
    return {**instance, "tags": [*instance.get("tags", ()), tag]}
