"""From where a component listens to the address at which an agent on the same node reaches it.

The control-plane agents run on the host network, so loopback reaches what binds to loopback or to every address. What
binds to the node's own address only is asked there through the variable that the chart puts into each agent
(``status.hostIP``); the Agent fills ``%%env_…%%`` in static check files but never adds the brackets of IPv6.
"""

import ipaddress
from urllib.parse import urlsplit

NODE_ADDRESS = "%%env_DD_KUBERNETES_KUBELET_HOST%%"


def reachable(bind: str, node_address: str) -> str | None:
    """The host part of a URL for something bound to ``bind`` on a node, None if that cannot be told.

    ``bind`` is what a flag says (``0.0.0.0``, ``::``, ``127.0.0.1``, ``[::1]``, ``localhost``, an address, empty for
    every address, ``node`` for the node's own); another literal address comes back as it is.
    """
    host = bind.strip().removeprefix("[").removesuffix("]")
    if host in {"", "localhost"}:
        return "127.0.0.1"
    if host == "node":
        return bracketed(NODE_ADDRESS, node_address)
    address = _address(host)
    if address is None:
        return None
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    if not address.is_loopback and address == _address(node_address):
        return bracketed(NODE_ADDRESS, node_address)
    return str(address) if address.version == 4 else f"[{address}]"


def is_local(host: str) -> bool:
    """Whether a URL's host part means the agent's own node, wherever that is."""
    address = _address(host.strip("[]"))
    return NODE_ADDRESS in host or host == "localhost" or (address is not None and address.is_loopback)


def bracketed(host: str, node_address: str) -> str:
    """``host`` in brackets if the node's address is IPv6."""
    return f"[{host}]" if ":" in node_address else host


def split(url: str, port: int) -> tuple[str, str, int] | None:
    """Scheme, host without brackets and port (``port`` where the URL names none); None for text that is no URL."""
    try:
        parts = urlsplit(url.strip())
        found = parts.scheme, parts.hostname or "", parts.port or port
    except ValueError:
        return None
    return found if found[0] in {"http", "https"} else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
