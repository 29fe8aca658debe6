"""What a plan is proven by: the nodes that get an agent once it is carried out."""

from types import SimpleNamespace
from typing import Any

import pytest

from ddhelm.actions.proving import covered_after
from ddhelm.library import load
from ddhelm.plan import Deployed, Desired, Head
from ddhelm.release import Release, Role
from ddhelm.settings import Settings
from ddhelm.values import Layer, build
from tests.unit.clusters import CONTROL, CONTROL_PLANE, WORKER, control_plane, node
from tests.unit.pairs import control_plane_objects, manifest, worker_objects


@pytest.mark.parametrize(
    ("control_plane_release", "status", "fix"),
    [
        (True, "", "ddhelm onboard"),
        (True, "uninstalled", "ddhelm onboard"),
        (True, "deployed", None),
        (False, "", f"--accept-uncovered {CONTROL_PLANE}="),
    ],
)
def test_a_plan_of_one_release_does_not_offer_the_others_nodes_for_acceptance(
    control_plane_release: bool, status: str, fix: str | None
) -> None:
    """`onboard --only worker`: what is accepted is stored, and would hide the loss of the control-plane agents."""
    worker, other = Release(Role.WORKER, WORKER, "datadog"), Release(Role.CONTROL_PLANE, CONTROL, "datadog")
    manifests = {WORKER: manifest(worker_objects()), CONTROL: manifest(control_plane_objects())}
    stands = Deployed(other, Head(3, status), 3 if status == "deployed" else None, manifests[CONTROL], {})
    made: Any = SimpleNamespace(
        desired=(Desired(worker, build([Layer("x", {})]), manifests[WORKER], "3.240.0"),),
        deployed={CONTROL: stands} if status else {},
        profile=SimpleNamespace(control_plane_release=control_plane_release),
        settings=Settings(),
        cluster=SimpleNamespace(facts=SimpleNamespace(nodes=(control_plane("c"), node("w")))),
    )
    session: Any = SimpleNamespace(access=SimpleNamespace(namespace="datadog"), library=load())
    gaps = covered_after(session, made).uncovered
    assert [(each.node, each.fix) for each in gaps] == ([("c", fix)] if fix else [])
