"""The checks of a control plane: each component by the first alternative of the distribution that applies.

A check that would fail on some of its nodes is left out with the reason, never given to them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from ddhelm import etcd, servers
from ddhelm.controlplane import CheckInstance, ControlPlane, Found, HostFile, LeftOut
from ddhelm.distribution import COMPONENTS, Distribution, Endpoint
from ddhelm.nodes import Node
from ddhelm.signals import Look


class Derived(Struct, frozen=True):
    """The checks, those left out, the files of the node that they read, and sentences for the user."""

    instances: tuple[CheckInstance, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    host_files: tuple[HostFile, ...] = ()
    notes: tuple[str, ...] = ()


def derive(
    distribution: Distribution,
    look: Look,
    nodes: Sequence[Node],
    remembered: Mapping[str, Any] | None = None,
    *,
    own_certificate: bool = False,
    without_listener: bool = False,
) -> Derived:
    """The checks for the control-plane ``nodes``; ``remembered`` is what an earlier run wrote down, or None.

    The switches are those of ``ControlPlane``.
    """
    plane = ControlPlane(distribution, look.facts, nodes, remembered or {}, own_certificate, without_listener)
    found = [
        (component, _component(plane, component, distribution.components.get(component, ()), look))
        for component in COMPONENTS
    ]
    instances = [one for _, those in found if not isinstance(those, LeftOut) for one in those]
    left_out = tuple(one for _, one in found if isinstance(one, LeftOut))
    files = host_files(instances, untyped=distribution.files_untyped)
    return Derived(tuple(instances), left_out, files, tuple(plane.notes))


def host_files(instances: Sequence[CheckInstance], *, untyped: bool) -> tuple[HostFile, ...]:
    """The files of the node that the instances name, each once, by path."""
    kind: Literal["file", "untyped"] = "untyped" if untyped else "file"
    files = {
        path: HostFile(path, kind, purpose, one.component)
        for one in instances
        for key, purpose in etcd.FILES.items()
        if (path := one.instance.get(key)) and path != servers.SERVICE_ACCOUNT_CA and path not in etcd.OWN.values()
    }
    return tuple(files[path] for path in sorted(files))


def _component(plane: ControlPlane, component: str, alternatives: Sequence[Endpoint], look: Look) -> Found:
    if not plane.facts.has("nodes") and (recalled := plane.recall(component)) is not None:
        return recalled  # conditions on nodes cannot be judged either
    endpoint = next((one for one in alternatives if look.all_hold(one.when)), None)
    if endpoint is None:
        return LeftOut(component, f"nothing is known about where it answers on {plane.distribution.title}")
    if endpoint.leave_out:
        return LeftOut(component, endpoint.leave_out, endpoint.fix)
    if endpoint.runs_on:
        plane.note_elsewhere(component, endpoint.runs_on)
        if left_out := plane.unlabelled(component, endpoint):
            return left_out
    return etcd.checks(plane, endpoint) if component == "etcd" else servers.checks(plane, component, endpoint)
