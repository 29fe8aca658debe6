"""Restarts workloads of the releases as `kubectl rollout restart` does, and watches them to the end.

For what pods read once, when they start: a key, a token, a certificate. The caller holds the Lease, since a Secret is
mostly written in the same breath. The annotation is no drift, survives every upgrade and is no reason for one.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote

from msgspec import Struct

from ddhelm.actions import lock, look, revisions, watch
from ddhelm.actions.carry_out import How
from ddhelm.actions.look import Target
from ddhelm.actions.session import Observer, Session, silent
from ddhelm.actions.watch import Watched
from ddhelm.errors import ClusterError, PreflightFailed, ToolError
from ddhelm.kubectl import RESTARTED_AT
from ddhelm.managedfields import changed
from ddhelm.manifest import parse
from ddhelm.podsecrets import Use, uses
from ddhelm.record import Record
from ddhelm.release import owned
from ddhelm.tree import Path, Tree, get
from ddhelm.workloads import Workload, is_cluster_agent, workload

_HOW = How()
_MARK: Path = ("spec", "template", "metadata", "annotations", RESTARTED_AT)


class Running(Struct, frozen=True):
    """A workload of a release as it stands; ``restarted`` is the API server's time of its last restart, or empty."""

    target: Target
    workload: Workload
    uses: tuple[Use, ...] = ()
    restarted: str = ""
    made: str = ""
    """When it, or the template that its pods are made from now, was made, by the API server's clock."""
    cluster_agent: bool = False
    """Whether it is the Cluster Agent's Deployment."""

    def newer_than(self, moment: str) -> bool:
        """Whether its pods are made anew since this time (RFC 3339, the API server's) or later; they may yet follow."""
        return max(self.restarted, self.made) >= moment

    def reads(self, secret: str, *keys: str) -> bool:
        """Whether its pods read one of these keys of this Secret."""
        return any(use.reads(secret, key) for use in self.uses for key in keys)


class Restarting(Struct, frozen=True):
    """Told to the observer: the pods of these workloads are about to be replaced."""

    targets: tuple[Target, ...]


def running(session: Session, records: Mapping[str, Sequence[Record]] | None = None) -> tuple[Running, ...]:
    """Every DaemonSet and Deployment of the releases that stands, worker release first; None: their records are read.

    Raises ReleaseError where no release stands, PreflightFailed where one of a newest revision was deleted.
    """
    if records is None:
        records = revisions.read(session, superseded=False)
    revisions.existing(session, records)
    listed: dict[Target, bool] = {}
    """To whether the newest revision of its release has it."""
    for name, found in records.items():
        for each in revisions.alive(found):
            for target in look.targets({name: parse(each.manifest, each.namespace, session.masker)}):
                listed.setdefault(target, each is found[-1])
    targets = tuple(listed)
    space = f"/apis/apps/v1/namespaces/{quote(session.access.namespace)}"
    templates = [f"{space}/controllerrevisions", f"{space}/replicasets"]
    *answers, daemons, replicas = session.kubectl.raws([*(target.path for target in targets), *templates])
    made = {**_newest(daemons.tree(), _revision), **_newest(replicas.tree(), _rank)}
    for target, answer in zip(targets, answers, strict=True):
        if answer.failure:
            raise answer.failure
        if not answer.found and listed[target]:
            raise PreflightFailed(
                f"{target.kind} `{target.name}` of release `{target.release}` does not exist",
                hint="ddhelm onboard brings it back",
                anchor="cannot-restart",
            )
    standing = [(target, answer.tree()) for target, answer in zip(targets, answers, strict=True)]
    return tuple(
        _running(target, tree, made)
        for target, tree in standing
        if listed[target] or owned(tree.get("metadata") or {}, target.release, session.access.namespace)
    )


def late(workloads: Sequence[Running], since: str) -> tuple[Running, ...]:
    """Those that were not restarted since a moment (RFC 3339, the API server's); all where it is not known."""
    return tuple(each for each in workloads if not since or not each.newer_than(since))


def refuse(workloads: Sequence[Running]) -> None:
    """Raises PreflightFailed where Kubernetes would not replace pods; call it before anything is written."""
    for each in workloads:
        name, kind = each.target.name, each.target.kind.lower()
        if each.workload.paused:
            raise PreflightFailed(
                f"{each.target.kind} `{name}` is paused: its pods would not be replaced",
                hint=f"kubectl -n {each.target.namespace} rollout resume {kind}/{name}",
                anchor="cannot-restart",
            )
        if each.workload.on_delete:
            raise PreflightFailed(
                f"{each.target.kind} `{name}` has the update strategy `OnDelete`: its pods are replaced only by hand",
                hint="ddhelm onboard --set agents.updateStrategy.type=RollingUpdate",
                anchor="cannot-restart",
            )


def restart(
    session: Session,
    workloads: Sequence[Running],
    *,
    also: Sequence[Running] = (),
    lease: lock.Lock,
    how: How = _HOW,
    observer: Observer = silent,
) -> Watched:
    """Replace every pod of these workloads, by their own update strategy, and wait until the last one is ready.

    ``also`` are watched with them and left alone, such as those that an earlier run restarted. What stalls is
    explained as after an upgrade, in ``Watched``; nothing can be undone by a restart, so nothing is.
    Raises PreflightFailed where a workload is paused or replaces no pods, PlanStale where the Lease was lost.
    """
    refuse(workloads)
    restarted = tuple(each.target for each in workloads)
    targets = tuple(dict.fromkeys([*restarted, *(each.target for each in also)]))
    observer(Restarting(restarted))
    since = look.baseline(session.kubectl, targets)
    lease.renew()
    moment = datetime.datetime.fromtimestamp(how.now(), datetime.UTC)
    stamp = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    session.kubectl.restart([(each.kind, each.name) for each in restarted], stamp)

    def watching(event: object) -> None:
        with suppress(ClusterError, ToolError):  # how long the API server may be silent is the watch's to say
            lease.renew()
        observer(event)

    return watch.watch(
        session.kubectl,
        targets,
        deadlines=watch.Deadlines(how.timeout),
        observer=watching,
        clock=how.clock,
        since=since,
    )


def _newest(listed: Tree, rank: Callable[[Tree], int]) -> Mapping[str, str]:
    """Uid of a workload to when the newest of its templates was made; empty where they could not be read.

    One that a rollback took up again is older than it looks: then a restart too many, never one too few.
    """
    found: dict[str, tuple[int, str]] = {}
    for item in listed.get("items") or ():
        metadata = item["metadata"]
        one = (rank(item), str(metadata.get("creationTimestamp") or ""))
        for owner in metadata.get("ownerReferences") or ():
            found[owner["uid"]] = max(one, found.get(owner["uid"], one))
    return {uid: made for uid, (_, made) in found.items()}


def _revision(item: Tree) -> int:
    return int(item.get("revision") or 0)


def _rank(item: Tree) -> int:
    return int((item["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision") or 0)


def _running(target: Target, tree: Tree, made: Mapping[str, str]) -> Running:
    metadata = tree.get("metadata") or {}
    return Running(
        target,
        workload({"kind": target.kind, **tree}),
        tuple(dict.fromkeys(uses(get(tree, ("spec", "template", "spec"), {})))),
        changed(metadata, _MARK) if get(tree, _MARK) else "",
        max(str(metadata.get("creationTimestamp") or ""), made.get(str(metadata.get("uid")), "")),
        target.kind == "Deployment" and is_cluster_agent(tree),
    )
