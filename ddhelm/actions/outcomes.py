"""Of what others changed in the cluster: what becomes of it when the steps of a plan are carried out.

No further question to the API server: a plan has read every object, and how a forced apply would leave it.
"""

from collections.abc import Iterator, Mapping, Sequence

from ddhelm import fates
from ddhelm.actions import live
from ddhelm.actions.session import Session
from ddhelm.drift import HELM, Method, ObjectDrift, Standing
from ddhelm.managedfields import STATUS, entries
from ddhelm.plan import Deployed, Desired, Step, StepKind
from ddhelm.steps import server_side
from ddhelm.tree import Tree

_FORCED = {StepKind.REPAIR, StepKind.ROLLBACK}
_HELM_APPLIES = {StepKind.UPGRADE, *_FORCED}


def of_steps(
    session: Session,
    steps: Sequence[Step],
    desired: Sequence[Desired],
    deployed: Mapping[str, Deployed],
    standing: live.Read,
    *,
    forced: bool,
) -> tuple[ObjectDrift, ...]:
    """Every object that somebody else changed and a step touches, with the fate of each field.

    ``forced``: conflicts are overwritten in upgrades too; in repairs and rollbacks they always are.
    """
    kinds: dict[str, set[StepKind]] = {}
    for step in steps:
        kinds.setdefault(step.release.name, set()).add(step.kind)
    found: list[ObjectDrift] = []
    for one in desired:
        done, state = kinds[one.release.name], deployed.get(one.release.name)
        if state is not None and done & _HELM_APPLIES:
            method: Method = "ssa" if server_side(session.helm.major, state) else "csa"
            touched = _touched(session, one, state, standing)
            found += fates.coming(touched, method, forced=forced or bool(done & _FORCED))
    return tuple(found)


def _touched(session: Session, one: Desired, state: Deployed, standing: live.Read) -> Iterator[tuple[Standing, Tree]]:
    namespace, masker = session.access.namespace, session.masker
    for identity, obj in one.manifest.objects.items():
        before, now = state.manifest.objects.get(identity), standing.standing.get(identity)
        if before is None or now is None:
            continue
        owners = entries((now.body.get("metadata") or {}).get("managedFields"))
        others = any(each.writer.manager != HELM and each.writer.subresource != STATUS for each in owners)
        if not others and identity not in standing.live.changes:
            continue
        # The forecast is of the manifest to come: it answers for the deployed one where the two say the same.
        ahead = None if before.differs(obj) else standing.forecast.get(identity)
        deployed = masker.body(live.applied(before, one.release.name, namespace))
        yield (
            Standing(one.release.name, obj.ref, deployed, now.body, None if ahead is None else ahead.body, owners),
            masker.body(live.applied(obj, one.release.name, namespace)),
        )
