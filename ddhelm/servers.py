"""The checks of kube-apiserver, kube-scheduler and kube-controller-manager: one secure port each.

The API server is verified with the CA that every pod is given. The two others make their serving certificate
themselves, so it cannot be; their token goes over TLS only.
"""

from collections.abc import Mapping

from msgspec import Struct

from ddhelm.address import is_local, reachable
from ddhelm.controlplane import KUBEADM_CONFIG, CheckInstance, ControlPlane, Found, LeftOut
from ddhelm.distribution import Endpoint
from ddhelm.staticpods import StaticPod
from ddhelm.tree import Tree

SERVICE_ACCOUNT_CA = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
#: In every serving certificate of an API server; 127.0.0.1 is not.
APISERVER_NAME = "kubernetes.default.svc"
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - the default of a flag; nothing is bound here


class Server(Struct, frozen=True):
    """A component: its static pod, its section in kubeadm's ConfigMap, and its flags' defaults in Kubernetes' source.

    ``plain_port`` is what `--port` was until 1.22, 0 where there was none.
    """

    pod: str
    section: str
    port: int
    plain_port: int = 0


SERVERS: Mapping[str, Server] = {
    "kube_apiserver_metrics": Server("kube-apiserver", "apiServer", 6443),
    "kube_scheduler": Server("kube-scheduler", "scheduler", 10259, 10251),
    "kube_controller_manager": Server("kube-controller-manager", "controllerManager", 10257, 10252),
}


def checks(plane: ControlPlane, component: str, endpoint: Endpoint) -> Found:
    """The check of one of ``SERVERS``, or why it is left out; ``endpoint`` is what the distribution documents."""
    server = SERVERS[component]
    pods = plane.pods(server.pod)
    if not pods:
        return _unseen(plane, component, endpoint)
    if left_out := plane.missing(component, pods, server.pod) or plane.apart(component, pods, server.pod):
        return left_out
    urls: dict[str, str] = {}
    for node, pod in sorted(pods.items()):
        url = _url(plane, component, pod)
        if isinstance(url, LeftOut):
            return url
        urls[node] = url
    url = plane.agreed(f"the address of {server.pod}", urls)
    if left_out := scattered(component, url, set(urls.values())):
        return left_out
    agree, all_ = sum(its == url for its in urls.values()), len(urls)
    where = (
        f"{all_} control-plane node{'s' * (all_ > 1)}" if agree == all_ else f"{agree} of {all_} control-plane nodes"
    )
    source = f"command line of {server.pod} on {where}"
    return [_check(component, url, endpoint, source)]


def _unseen(plane: ControlPlane, component: str, endpoint: Endpoint) -> Found:
    if plane.unreadable and (recalled := plane.recall(component)) is not None:
        return recalled
    if plane.seen and not plane.unreadable:
        return LeftOut(component, f"no control-plane node shows a static pod of {SERVERS[component].pod}")
    return [_documented(plane, component, endpoint)]


def scattered(component: str, url: str, urls: set[str]) -> LeftOut | None:
    """Refuses an address that is neither loopback nor the node's own and differs from node to node."""
    if len(urls) == 1 or is_local(url.partition("://")[2].rpartition(":")[0]):
        return None
    return LeftOut(
        component, f"it listens on another address on each node (such as `{url}`), which is not the node's own"
    )


def _url(plane: ControlPlane, component: str, pod: StaticPod) -> str | LeftOut:
    """Base URL at which one static pod answers an agent on its node."""
    server, flags = SERVERS[component], pod.flags
    scheme, port, bind = "https", flags.get("secure-port", str(server.port)), flags.get("bind-address", _EVERYWHERE)
    if port == "0":
        scheme, port, bind = "http", flags.get("port", str(server.plain_port)), flags.get("address", _EVERYWHERE)
        if port == "0" or plane.facts.version >= (1, 23, 0):
            return LeftOut(component, f"{pod.component} on `{pod.node}` runs with `--secure-port=0`: it serves nothing")
    host = reachable(bind, plane.address(pod))
    if host is None or not port.isdecimal():
        return LeftOut(
            component, f"the address of {pod.component} on `{pod.node}` cannot be told from `{bind}` and port `{port}`"
        )
    if scheme == "https" and component != "kube_apiserver_metrics" and not _checks_tokens(flags):
        return LeftOut(
            component,
            f"{pod.component} on `{pod.node}` runs without `--authentication-kubeconfig` and "
            "`--authorization-kubeconfig`, so it answers 403 to every token",
            "give it both flags (the kubeconfig it already uses will do)",
        )
    return f"{scheme}://{host}:{port}"


def _checks_tokens(flags: Mapping[str, str]) -> bool:
    """Whether the process can have a token checked, or lets everybody read /metrics."""
    if "/metrics" in flags.get("authorization-always-allow-paths", "").split(","):
        return True
    return {"authentication-kubeconfig", "authorization-kubeconfig"} <= flags.keys()


def _documented(plane: ControlPlane, component: str, endpoint: Endpoint) -> CheckInstance:
    extra = plane.kubeadm(SERVERS[component].section, "extraArgs")
    host = reachable(str(extra.get("bind-address", endpoint.bind)), "") or "127.0.0.1"
    url = f"{endpoint.scheme}://{host}:{extra.get('secure-port', endpoint.port)}"
    if extra.keys() & {"secure-port", "bind-address"}:
        return _check(component, url, endpoint, KUBEADM_CONFIG)
    return _check(component, url, endpoint, plane.documented, claimed=plane.claimed)


def _check(component: str, url: str, endpoint: Endpoint, source: str, *, claimed: bool = False) -> CheckInstance:
    tree: Tree = {"prometheus_url": f"{url}/metrics"}
    if component == "kube_apiserver_metrics":
        # its `tls_only` is younger than the check; the URL is https whatever happens
        tree["bearer_token_auth"] = True
        if endpoint.verify:
            # A CA turns verification on whatever else is said, and only the Host header changes the name it asks for.
            tree |= {"tls_verify": True, "tls_ca_cert": SERVICE_ACCOUNT_CA}
            tree |= {"tls_use_host_header": True, "extra_headers": {"Host": APISERVER_NAME}}
        else:
            tree["ssl_verify"] = False
    elif url.startswith("https:"):
        # `ssl_verify`, not `tls_verify`: the check's health question honours only the old key
        tree |= {"bearer_token_auth": "tls_only", "ssl_verify": False}
    return CheckInstance(component, tree, source, claimed)
