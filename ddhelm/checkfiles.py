"""The check files of the control-plane agents, and the host files that they name.

A static check file runs on every agent that has it, which is why the control plane has a release of its own. Each
host file is mounted alone and read-only: the folder around an etcd client key holds the key of etcd's CA as well.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ddhelm.tree import Tree

# An empty type is no check: Talos' kubelet looks for the path in its own mount namespace and would not find it.
_TYPES = {"file": "File", "socket": "Socket", "untyped": ""}


class HostFile(Protocol):
    """What is mounted: the path on the node and whether it is a ``file``, a ``socket``, or ``untyped``."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...


def file_name(component: str) -> str:
    """Name of the file in the agent's ``conf.d``: the check's name, which the agent takes from it."""
    return f"{component}.yaml"


def check_file(component: str, instances: Sequence[Tree]) -> str:
    """The text of one check's file: ``init_config`` (which has to be there, empty) and the instances in their order.

    The same instances always give the same text: its checksum is an annotation of the pods, and a new one restarts
    them. ``component`` is only said in the first line, for the person who finds the file in a ConfigMap.
    """
    import yaml

    dumped = yaml.safe_dump(
        [dict(instance) for instance in instances],
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
        width=1_000_000,
    )
    indented = "".join(f"  {line}\n" for line in dumped.splitlines())
    return f"# {component}, written by ddhelm\ninit_config:\ninstances:\n{indented}"


def without_templates(text: str) -> str:
    """``text`` for ``datadog.confd``, which the chart runs through ``tpl``: what looks like a template stays as it is.

    The agent's own ``%%env_NAME%%`` passes untouched.
    """
    return text.replace("{{", '{{ "{{" }}')


def mount_path(host_path: str) -> str:
    """Where a file of the node is found in the agent's containers."""
    return f"/host{host_path}"


def mounted(instance: Any, host_paths: Iterable[str]) -> Any:
    """``instance`` with every text that is one of ``host_paths`` replaced by its place in the container."""
    paths = set(host_paths)
    if isinstance(instance, dict):
        return {key: mounted(value, paths) for key, value in instance.items()}
    if isinstance(instance, list):
        return [mounted(value, paths) for value in instance]
    return mount_path(instance) if isinstance(instance, str) and instance in paths else instance


def volumes(files: Sequence[HostFile]) -> tuple[list[Tree], list[Tree]]:
    """Volumes and read-only mounts for the files, by path, each once.

    The type says File: without it the runtime makes an empty directory on the node where the file is missing, and
    the agent starts and fails for another reason; with it the pod waits with an event that names the path.
    """
    unique = {file.path: file for file in sorted(files, key=lambda file: file.path)}
    names = {path: _volume_name(path) for path in unique}
    return (
        [{"name": names[path], "hostPath": {"path": path, "type": _TYPES[file.kind]}} for path, file in unique.items()],
        [{"name": names[path], "mountPath": mount_path(path), "readOnly": True} for path in unique],
    )


def _volume_name(path: str) -> str:
    """A DNS label that says which file it is; the digest keeps files of one name in two folders apart."""
    words = re.sub(r"[^a-z0-9]+", "-", path.rsplit("/", 1)[-1].lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(path.encode()).hexdigest()[:8]
    return f"host-{words}-{digest}" if words else f"host-{digest}"
