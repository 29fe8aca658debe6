"""Small clusters and agents for tests of coverage and proof: nodes, DaemonSets, the two releases."""

from collections.abc import Mapping, Sequence
from typing import Any

from ddhelm.coverage import Placement, placement
from ddhelm.manifest import Object, from_objects
from ddhelm.masking import Masker
from ddhelm.nodes import Node, Taint
from ddhelm.tree import Tree

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
OS, ARCH, HOSTNAME = "kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/hostname"
WORKER, CONTROL = "worker-node-ddagent", "control-plane-ddagent"
MASKER = Masker(b"k" * 32)


def taint(text: str) -> Taint:
    """``key=value:Effect``, as kubectl writes it."""
    body, _, effect = text.partition(":")
    key, _, value = body.partition("=")
    return Taint(key, value, effect)


def node(name: str, *taints: str, labels: Mapping[str, str | None] | None = None, unschedulable: bool = False) -> Node:
    """A Linux node; a label of None is left out."""
    found = {OS: "linux", ARCH: "amd64", HOSTNAME: name, **(labels or {})}
    return Node(
        name,
        {key: value for key, value in found.items() if value is not None},
        {},
        tuple(map(taint, taints)),
        unschedulable=unschedulable,
        operating_system="linux",
        architecture="amd64",
    )


def control_plane(name: str, *taints: str) -> Node:
    """A control-plane node as kubeadm makes it."""
    return node(name, *(taints or (f"{CONTROL_PLANE}:NoSchedule",)), labels={CONTROL_PLANE: ""})


def affinity(*terms: Sequence[Tree], fields: Sequence[Sequence[Tree]] = ()) -> Tree:
    """A required node affinity: each term a list of match expressions, then terms of match fields."""
    found: list[Tree] = [{"matchExpressions": list(term)} for term in terms]
    found += [{"matchFields": list(term)} for term in fields]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": found}}}


def expression(key: str, operator: str, *values: str) -> Tree:
    """One match expression."""
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def daemonset(name: str = "x", **pod: Any) -> Object:
    """A DaemonSet with one container called ``agent``; ``pod`` are fields of its pod spec."""
    spec = {"containers": [{"name": "agent"}], **pod}
    labels = {"app": name}
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    return from_objects([body], "datadog", MASKER).of_kind("DaemonSet")[0]


def placed(release: str = WORKER, name: str = "x", **pod: Any) -> Placement:
    """The placement of such a DaemonSet."""
    return placement(daemonset(name, **pod), release, "worker" if release == WORKER else "control-plane")


def pair(**worker: Any) -> tuple[Placement, Placement]:
    """The placements of the two releases as ddhelm makes them: exclusive affinities, the control plane on the host."""
    absent, present = expression(CONTROL_PLANE, "DoesNotExist"), expression(CONTROL_PLANE, "Exists")
    linux = {OS: "linux"}
    return (
        placed(WORKER, "w", **{"affinity": affinity([absent]), "nodeSelector": linux, **worker}),
        placed(
            CONTROL,
            "c",
            affinity=affinity([present]),
            nodeSelector=linux,
            tolerations=[{"operator": "Exists"}],
            hostNetwork=True,
        ),
    )
