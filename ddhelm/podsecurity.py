"""Whether the pod security level of a namespace lets a pod in: Kubernetes' own rules, applied before anything is made.

With too strict a level helm succeeds and no pod is ever made; the reason is only in the events of the DaemonSet.
Source of the rules: the Pod Security Standards as in pod-security-admission of Kubernetes 1.36, newest version of each.
Kinds of violation are named as the API server names them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from ddhelm.tree import Tree, get

LABEL = "pod-security.kubernetes.io/enforce"
LEVELS = ("privileged", "baseline", "restricted")
_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SYSCTLS = frozenset(
    [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    ]
)
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_RESTRICTED_VOLUMES = frozenset(
    [
        "configMap",
        "downwardAPI",
        "emptyDir",
        "projected",
        "secret",
        "csi",
        "persistentVolumeClaim",
        "ephemeral",
        "image",
    ]
)
_PROFILES = frozenset({"RuntimeDefault", "Localhost"})
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


class Default(Struct, frozen=True):
    """The level that a distribution enforces in a namespace without a label, other than Kubernetes' `privileged`.

    ``by``: which of its clusters do so, in words, where not all do and the API does not show which; ``exempt``: the
    namespaces that it admits everything into.
    """

    level: str
    by: str = ""
    exempt: tuple[str, ...] = ()


def violations(template: Mapping[str, Any], level: str) -> tuple[str, ...]:
    """What in a pod template the level forbids, each once; empty: the pod is admitted. Unknown levels admit all."""
    if level not in LEVELS[1:]:
        return ()
    pod: Tree = template.get("spec") or {}
    annotations = get(template, ("metadata", "annotations")) or {}
    found = list(_baseline(pod, annotations))
    if level == "restricted":
        found += _restricted(pod)
    return tuple(dict.fromkeys(found))


def level_of(labels: Mapping[str, str]) -> str:
    """The level that a namespace enforces, as far as its labels say (a cluster may set another ``Default``)."""
    return labels.get(LABEL, "privileged")


def _baseline(pod: Tree, annotations: Mapping[str, str]) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield f"host namespaces ({name}=true)"
    for volume in pod.get("volumes") or ():
        if "hostPath" in volume:
            yield "hostPath volumes"
    for sysctl in get(pod, ("securityContext", "sysctls")) or ():
        if sysctl.get("name") not in _SYSCTLS:
            yield f"forbidden sysctls ({sysctl.get('name')})"
    for key, value in annotations.items():
        if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/"):
            yield f"forbidden AppArmor profile ({value})"
    yield from _contexts(pod)
    for container in _containers(pod):
        yield from _container(container)


def _contexts(pod: Tree) -> Iterator[str]:
    """Rules that hold for the pod's security context and for each container's."""
    for holder in (pod, *_containers(pod)):
        context = holder.get("securityContext") or {}
        selinux = context.get("seLinuxOptions") or {}
        if str(selinux.get("type") or "") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
            yield "seLinuxOptions"
        for field, words in (("seccompProfile", "seccompProfile"), ("appArmorProfile", "forbidden AppArmor profile")):
            kind = get(context, (field, "type"))
            if kind is not None and kind not in _PROFILES:
                yield f"{words} ({kind})"
        if get(context, ("windowsOptions", "hostProcess")):
            yield "hostProcess"


def _container(container: Tree) -> Iterator[str]:
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "privileged"
    for name in get(context, ("capabilities", "add")) or ():
        if name not in _CAPABILITIES:
            yield f"non-default capabilities ({name})"
    if context.get("procMount") not in (None, "", "Default"):
        yield "procMount"
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield f"hostPort ({port['hostPort']})"
    handlers = [container.get(name) or {} for name in _PROBES]
    handlers += [get(container, ("lifecycle", name)) or {} for name in ("postStart", "preStop")]
    if any(get(handler, (kind, "host")) for handler in handlers for kind in ("httpGet", "tcpSocket")):
        yield "probe or lifecycle host"


def _restricted(pod: Tree) -> Iterator[str]:
    shared = pod.get("securityContext") or {}
    for volume in pod.get("volumes") or ():
        for kind in volume.keys() - {"name"} - _RESTRICTED_VOLUMES:
            yield f"restricted volume types ({kind})"
    if shared.get("runAsUser") == 0:
        yield "runAsUser=0"
    for container in _containers(pod):
        context = container.get("securityContext") or {}
        if context.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation != false"
        own = context.get("runAsNonRoot")
        if (shared.get("runAsNonRoot") if own is None else own) is not True:
            yield "runAsNonRoot != true"
        if context.get("runAsUser") == 0:
            yield "runAsUser=0"
        if get(context, ("seccompProfile", "type"), get(shared, ("seccompProfile", "type"))) not in _PROFILES:
            yield "seccompProfile"
        capabilities = context.get("capabilities") or {}
        added = set(capabilities.get("add") or ())
        if "ALL" not in (capabilities.get("drop") or ()) or added - {"NET_BIND_SERVICE"}:
            yield "unrestricted capabilities"


def _containers(pod: Tree) -> list[Tree]:
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in pod.get(kind) or ()]
