"""What the ``${name}`` in ddhelm's layers stand for, so that the layers stay plain YAML that a person can read."""

from collections.abc import Mapping, Sequence
from typing import Any

from ddhelm.errors import ConfigError
from ddhelm.release import SECRET, Release, Role
from ddhelm.settings import Settings
from ddhelm.tree import Path, show

NOT_PROXIED = (
    "127.0.0.1",
    "localhost",
    "::1",
    "169.254.169.254",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    ".svc",
    ".cluster.local",
)
"""What checks ask directly: the node itself, the private networks of nodes and pods, Services, the cloud's metadata.

Agents use their proxy for checks too (datadog_checks.base, `RequestsWrapper`), for those on 127.0.0.1 as well.
"""


def placeholders(releases: Sequence[Release], settings: Settings) -> dict[str, Any]:
    """Name → value for these releases and settings; None where there is nothing to say."""
    by_role = {release.role: release for release in releases}
    worker, control_plane = by_role[Role.WORKER], by_role.get(Role.CONTROL_PLANE)
    return {
        "namespace": worker.namespace,
        "cluster_name": settings.cluster_name,
        "site": settings.site,
        "api_key_secret": settings.api_key_secret.name,
        "app_key_secret": settings.app_key_secret.name if settings.app_key_secret else None,
        "token_secret": SECRET,
        "proxy": settings.agent_proxy or None,
        "no_proxy": " ".join(dict.fromkeys((*NOT_PROXIED, *settings.agent_no_proxy))) if settings.agent_proxy else None,
        "etcd_secret": settings.etcd_secret,
        "worker_release": worker.name,
        "worker_fullname": worker.fullname,
        "control_plane_release": control_plane.name if control_plane else None,
        "control_plane_fullname": control_plane.fullname if control_plane else None,
        "cluster_agent_service": worker.cluster_agent,
    }


_ABSENT = object()


def fill(tree: Any, names: Mapping[str, Any]) -> Any:
    """``tree`` with each ``${name}`` replaced; a text that is one placeholder and nothing else becomes its value.

    A key whose text holds a placeholder without a value (None) is left out, and so is a list element, and a map
    of which nothing else is left.
    An unknown name raises ConfigError: it is a mistake in a layer.
    """
    filled = _fill(tree, names, ())
    return {} if filled is _ABSENT else filled


def _fill(value: Any, names: Mapping[str, Any], path: Path) -> Any:
    if isinstance(value, dict):
        below = ((key, _fill(item, names, (*path, key))) for key, item in value.items())
        filled = {key: item for key, item in below if item is not _ABSENT}
        return filled if filled or not value else _ABSENT
    if isinstance(value, list):
        items = (_fill(item, names, (*path, index)) for index, item in enumerate(value))
        return [item for item in items if item is not _ABSENT]
    return _filled_text(value, names, path) if isinstance(value, str) and "${" in value else value


def _filled_text(text: str, names: Mapping[str, Any], path: Path) -> Any:
    out, rest = "", text
    while "${" in rest:
        before, _, after = rest.partition("${")
        name, _, rest = after.partition("}")
        if name not in names:
            raise ConfigError(
                f"ddhelm's own layer names the unknown placeholder `{name}` at `{show(path)}`",
                hint=f"placeholders are {', '.join(sorted(names))}",
                anchor="broken-layer",
            )
        value = names[name]
        if value is None:
            return _ABSENT
        if text == f"${{{name}}}":
            return value
        out += f"{before}{value}"
    return out + rest
