"""Reads how both releases stand and holds that against what was deployed; adopts what a value can make.

One parallel round for the objects as they stand and as a forced apply of the *deployed* manifest would leave them, a
dry run that writes nothing. Somebody who may only read gets an answer too, from the owners of fields alone.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from ddhelm import adoption, drift, reads
from ddhelm import tree as tree_
from ddhelm.actions import live, revisions
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.reading import not_busy
from ddhelm.actions.request import Request, UserSources
from ddhelm.actions.session import Session
from ddhelm.adoption import Adoption, Refusal
from ddhelm.applying import identity
from ddhelm.drift import Drift, Method, ObjectDrift, Standing
from ddhelm.errors import PreflightFailed, ReleaseError
from ddhelm.kubectl import Answer
from ddhelm.managedfields import entries
from ddhelm.manifest import Object, from_objects, parse
from ddhelm.record import Record
from ddhelm.release import Role, pair
from ddhelm.settings import RECORD_KEY

_ADMISSION = "/apis/admissionregistration.k8s.io"
_POLICIES = {
    "MutatingWebhookConfiguration": ("v1", "mutatingwebhookconfigurations"),
    "MutatingAdmissionPolicy": ("v1", "mutatingadmissionpolicies"),
}


def read(session: Session, *, to_change: bool = False, now: Callable[[], float] = time.time) -> Drift:
    """The drift of both releases; ReleaseError where none stands, ClusterError where the cluster cannot be read.

    ``to_change``: also PlanStale or ReleaseError where another writer may be at work, whose changes would look like it.
    """
    records = revisions.read(session, superseded=False)
    revisions.existing(session, records)
    if to_change:
        not_busy(records, session.kubectl.tree(reads.lease(session.access.namespace)), now())
    deployed = {name: base for name, found in records.items() if (base := revisions.standing(found)) is not None}
    if not deployed:
        raise ReleaseError(
            "no release stands at a deployed revision, so there is nothing to compare with",
            hint="ddhelm status",
            anchor="no-deployed-release",
        )
    methods: dict[str, Method] = {name: _method(session, base) for name, base in deployed.items()}
    standing, unread = _standing(session, deployed)
    whole = [(each, one) for one in standing if (each := drift.of_object(one, methods[one.release])) is not None]
    found, notes = _without_the_platforms(session, deployed, whole)
    return Drift(
        tuple(found),
        methods,
        unread,
        (*_heads(records, deployed), *notes, *_admission(session, found)),
    )


def adopt(
    session: Session, found: Drift, request: Request
) -> tuple[Request, tuple[Adoption, ...], tuple[Refusal, ...]]:
    """The request that makes values of what can be one, what these are, and what is refused; PreflightFailed for none.

    ``request`` is what is asked for besides.
    """
    from ddhelm.uservalues import Source

    releases = {release.name: release for release in pair(session.access.namespace, control_plane=True)}
    judged = [each for one in found.objects for each in adoption.of_object(one)]
    adopted = tuple(each for each in judged if isinstance(each, Adoption))
    refused = tuple(each for each in judged if isinstance(each, Refusal))
    if not adopted:
        raise PreflightFailed(
            "nothing of the drift can be adopted: no value of the chart makes exactly these fields",
            hint="ddhelm drift --revert sets back what the manifests set",
            anchor="not-adoptable",
            details=[refusal_line(each) for each in refused],
        )
    slots: dict[Role, list[Source]] = {Role.WORKER: [], Role.CONTROL_PLANE: []}
    for each in adopted:
        slots[releases[each.drift.release].role].append(Source("set", each.option, ""))
    user = UserSources((), tuple(slots[Role.WORKER]), tuple(slots[Role.CONTROL_PLANE]))
    return replace(request, user=user), adopted, refused


def proven(prepared: Prepared, adopted: Sequence[Adoption]) -> None:
    """Raises PreflightFailed unless the plan's manifests hold each adopted field as it stands live."""
    manifests = {one.release.name: one.manifest for one in prepared.desired}
    for each in adopted:
        obj = manifests[each.drift.release].get(each.drift.ref.identity)
        made = None if obj is None else tree_.get(obj.body, each.field.path)
        if made != each.field.live:
            raise PreflightFailed(
                f"`{each.option}` does not make `{tree_.show(each.field.path)}` of {each.drift.ref} what it is: "
                f"the chart would render {json.dumps(made)}",
                hint="ddhelm drift --revert, or another chart version",
                anchor="not-adoptable",
            )


def refusal_line(refusal: Refusal) -> str:
    """One line about what is not adopted."""
    where = f"{refusal.drift.ref}" + (f": `{tree_.show(refusal.path)}`" if refusal.path else "")
    return f"{where}: {refusal.reason}" + (f"; the value is `{refusal.value}`" if refusal.value else "")


def _method(session: Session, base: Record) -> Method:
    """How the next upgrade applies: Helm 4 keeps to what the release was made with, Helm 3 knows one way only."""
    return "ssa" if session.helm.major >= 4 and base.apply_method == "ssa" else "csa"


def _standing(session: Session, deployed: Mapping[str, Record]) -> tuple[list[Standing], tuple[str, ...]]:
    """Every object of the deployed manifests in its three forms, and what could not be forecast."""
    namespace, masker = session.access.namespace, session.masker
    wanted: list[tuple[str, Object, tree_.Tree]] = [
        (name, obj, live.applied(obj, name, namespace))
        for name, base in deployed.items()
        for obj in parse(base.manifest, base.namespace or namespace, masker).objects.values()
    ]
    bodies = [body for _, _, body in wanted]
    found, result = session.kubectl.standing_and_forecast(bodies, manager=live.MANAGER, conflicts=False)
    forecast = from_objects(result.objects, namespace, masker).objects
    known = {refusal.object: refusal.error for refusal in result.refusals}
    standing, unread = [], []
    for (name, obj, body), raw in zip(wanted, found, strict=True):
        ahead = forecast.get(obj.ref.identity)
        if ahead is None and raw is not None:
            error = known.get(identity(body))
            unread.append(f"{obj.ref}: {error.message if error else 'the server forecast nothing'}")
        standing.append(
            Standing(
                name,
                obj.ref,
                masker.body(body),
                None if raw is None else masker.body(raw),
                None if ahead is None else ahead.body,
                entries(((raw or {}).get("metadata") or {}).get("managedFields")),
            )
        )
    return standing, tuple(unread)


def _heads(records: Mapping[str, Sequence[Record]], deployed: Mapping[str, Record]) -> tuple[str, ...]:
    """Notes about heads that are not what is compared with."""
    notes = []
    for name, found in records.items():
        head, base = found[-1], deployed.get(name)
        if base is None and head.status.startswith("uninstall"):
            notes.append(f"`{name}`: not compared, revision {head.revision} is `{head.status}`")
        elif base is None:
            notes.append(f"`{name}`: no revision was ever deployed (revision {head.revision} is `{head.status}`)")
        elif head is base and base.status == "superseded":
            notes.append(
                f"`{name}`: what was deployed last is recorded nowhere; compared with revision {base.revision}, the "
                "newest that Helm has kept"
            )
        elif head.revision != base.revision:
            notes.append(
                f"`{name}`: compared with revision {base.revision}, the last one that stood; "
                f"revision {head.revision} is `{head.status}`, and what it changed shows as drift written by helm"
            )
    return tuple(notes)


def _without_the_platforms(
    session: Session, deployed: Mapping[str, Record], whole: Sequence[tuple[ObjectDrift, Standing]]
) -> tuple[list[ObjectDrift], tuple[str, ...]]:
    """The drift without what the platform's own admission writes, and a note about how much that was."""
    names = {tree_.get(base.config, (RECORD_KEY, "facts", "distribution")) for base in deployed.values()}
    known = session.library.distributions() if whole else ()
    platform = next((one for one in known if one.name in names and one.admission), None)
    if platform is None:
        return [each for each, _ in whole], ()
    kept = [drift.without_expected(each, platform.admission, one.entries) for each, one in whole]
    found = [each for each in kept if each is not None]
    count = sum(len(each.fields) for each, _ in whole) - sum(len(each.fields) for each in found)
    note = f"left out: {count} fields that {platform.title} itself writes on the way in"
    return found, (note,) if count else ()


def _admission(session: Session, found: Sequence[ObjectDrift]) -> tuple[str, ...]:
    """Which webhooks and policies may have changed what nobody owns; asked only where there is such a field."""
    keys = {str(field.path[-1]).rpartition("=")[2] for each in found for field in each.fields if field.admission}
    if not keys:
        return ()
    answers = session.kubectl.raws([f"{_ADMISSION}/{version}/{plural}" for version, plural in _POLICIES.values()])
    every: list[str] = []
    naming: list[str] = []
    for kind, answer in zip(_POLICIES, answers, strict=True):
        for item in _items(answer):
            name = f"{kind} `{(item.get('metadata') or {}).get('name')}`"
            every.append(name)
            text = json.dumps(item.get("spec") or item.get("webhooks") or "")
            if any(key in text for key in keys):
                naming.append(name)
    if naming:
        return (f"admission: {', '.join(naming)} names what nobody owns",)
    candidates = ", ".join(every) or "none that can be read"
    return (f"admission: what nobody owns was changed on its way in; mutating are {candidates}",)


def _items(answer: Answer) -> Sequence[tree_.Tree]:
    return (answer.tree().get("items") or ()) if answer.found else ()
