"""Writes a plan file, and makes its plan again to hold it against what stands now."""

import datetime
import time
from collections.abc import Callable
from typing import Any

from ddhelm import __version__, planfile, settings, wholefile
from ddhelm import tree as tree_
from ddhelm.actions import live
from ddhelm.actions.prepare import prepare
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.errors import ConfigError, PlanStale
from ddhelm.pasting import typed
from ddhelm.planfile import PlanFile
from ddhelm.release import Role

_LIMIT = 64 * 1024 * 1024
_ANEW = "ddhelm plan … --out FILE, with the same flags, and review it again"
_ANOTHER_CHART = ("chart-not-found", "chart-version-not-found", "bad-chart")


def make(session: Session, prepared: Prepared, request: Request, shown: tree_.Tree, now: float) -> PlanFile:
    """The plan as a file's content; ``shown`` is its document for people, ``now`` Unix seconds."""
    return PlanFile(
        _stamp(now), _stamp(now + planfile.VALID), now + planfile.VALID, bound(session, prepared, request), shown
    )


def bound(session: Session, prepared: Prepared, request: Request) -> tree_.Tree:
    """Fingerprints of everything that the plan depends on."""
    old = {
        identity: obj
        for state in prepared.deployed.values()
        for identity, obj in {**state.newest.objects, **state.manifest.objects}.items()
    }
    new = {identity: obj for one in prepared.desired for identity, obj in one.manifest.objects.items()}
    rest = [obj for identity, obj in old.items() if identity not in new]
    standing = dict(prepared.standing)
    if prepared.cluster.namespace is not None:
        standing |= live.stand(session.kubectl, rest, session.access.namespace, session.masker)
    deployed = prepared.deployed
    return {
        "cluster": prepared.cluster.facts.uid,
        "namespace": session.access.namespace,
        "chart": {"name": prepared.chart.name, "version": prepared.chart.version, "digest": prepared.chart.digest},
        "settings": settings.to_record(prepared.settings),
        "request": _request(request, prepared),
        "releases": {
            one.release.name: {
                "revision": deployed[one.release.name].head.revision if one.release.name in deployed else None,
                "status": deployed[one.release.name].head.status if one.release.name in deployed else None,
                "values": planfile.digest(one.values.tree),
                "manifest": planfile.of_manifest(one.manifest),
            }
            for one in prepared.desired
        },
        "objects": planfile.of_objects({**old, **new}, standing),
        "nodes": planfile.of_nodes(prepared.plan.coverage),
        "tools": {"ddhelm": __version__, "helm": ".".join(map(str, session.helm.version))},
        "steps": planfile.steps([(s.release.name, str(s.kind), s.target) for s in prepared.plan.steps]),
        "writes": planfile.writes(prepared.plan),
    }


def request_of(file: PlanFile) -> Request:
    """The request that made the plan: settings and user's layer as stored, the same limits."""
    stored = settings.from_record(file.bound["settings"], "the plan file")
    kept = file.bound["request"]
    return Request(
        chart=kept["chart"],
        version=file.bound["chart"]["version"],
        only=Role(kept["only"]) if kept.get("only") else None,
        label_namespace=kept["labelNamespace"],
        delete_crds=kept["deleteCrds"],
        force_conflicts=kept["forceConflicts"],
        allow_unknown_values=kept["allowUnknownValues"],
        allow_downgrade=True,
        skip=tuple(kept["skip"]),
        exactly=stored,
    )


def again(session: Session, file: PlanFile, *, now: Callable[[], float] = time.time) -> tuple[Prepared, Request]:
    """The plan made anew; PlanStale (5), with what moved, unless it is exactly the one of the file."""
    if now() >= file.expires_at:
        raise PlanStale(
            f"the plan expired at {file.expires}",
            hint="ddhelm plan … --out FILE, with the same flags, makes a new one",
            anchor="plan-expired",
        )
    request = request_of(file)
    try:
        prepared = prepare(session, request, now=now)
    except ConfigError as error:
        if error.anchor not in _ANOTHER_CHART:
            raise
        raise _stale(file, (f"the chart: {error.message}",), _ANEW) from None
    found = bound(session, prepared, request)
    if moved := planfile.moved(file.bound, found):
        elsewhere = found["cluster"] != file.bound["cluster"]
        raise _stale(file, moved, "ddhelm apply FILE --context NAME, of the plan's cluster" if elsewhere else _ANEW)
    return prepared, request


def _stale(file: PlanFile, moved: tuple[str, ...], hint: str) -> PlanStale:
    things = "1 thing" if len(moved) == 1 else f"{len(moved)} things"
    return PlanStale(
        f"{things} moved since the plan of {file.created} was made; nothing was changed",
        hint=hint,
        anchor="plan-stale",
        details=moved,
    )


def write(name: str, data: str) -> None:
    """Write a plan file: readable by its owner only, whole or not at all; ConfigError where it cannot be written."""
    try:
        wholefile.replace(wholefile.path(name), data.encode())
    except OSError as error:
        raise ConfigError(
            f"the plan cannot be written to `{name}`: {error.strerror}", hint="name another file", anchor="plan-file"
        ) from None


def read(name: str, wanted: str | None = None) -> PlanFile:
    """Read a plan file, or standard input for ``-``; ConfigError where it cannot be read or is none.

    PlanStale where it is not the one with digest ``wanted``.
    """
    try:
        data = wholefile.read(name, _LIMIT).decode()
    except OSError as error:
        raise ConfigError(
            f"the plan `{name}` cannot be read: {error.strerror}",
            hint=typed("ls -l {path}", path=wholefile.spelled(name)),
            anchor="plan-file",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"`{name}` is no text", hint="ddhelm plan --out FILE", anchor="bad-plan-file") from None
    found = planfile.file_digest(data)
    if wanted is not None and found != wanted.removeprefix("sha256:").lower():
        raise PlanStale(
            f"`{name}` is not the plan that was reviewed: its SHA-256 is {found}",
            hint="sha256sum FILE tells which is which: apply the one whose SHA-256 was printed with the plan",
            anchor="plan-digest",
        )
    return planfile.parse(name, data)


def _request(request: Request, prepared: Prepared) -> dict[str, Any]:
    return {
        "chart": prepared.settings.chart,
        "only": str(request.only) if request.only else None,
        "labelNamespace": request.label_namespace,
        "deleteCrds": request.delete_crds,
        "forceConflicts": request.force_conflicts,
        "allowUnknownValues": request.allow_unknown_values,
        "skip": list(request.skip),
    }


def _stamp(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
