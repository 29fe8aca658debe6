"""What stands before anything is decided: the cluster, the releases, the settings that earlier runs left."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import facts, reads, record, tree
from ddhelm import settings as settings_
from ddhelm.actions import adopt, agents, lock, revisions
from ddhelm.actions.session import Session
from ddhelm.answers import Answer
from ddhelm.errors import PlanStale, ReleaseError
from ddhelm.facts import ClusterFacts
from ddhelm.manifest import parse
from ddhelm.plan import Deployed, Head
from ddhelm.reads import READS, WORKLOADS, before_a_plan
from ddhelm.record import Record
from ddhelm.release import API_KEY, APP_KEY, SECRET, Release, Role, Rotatable, pair, rotating
from ddhelm.settings import RECORD_KEY, SecretKey, Settings, UserLayers

BUSY = 660
"""Seconds for which the writer of a pending head may live that held no Lease: twice helm's 5 minutes, and one."""


class Cluster(Struct, frozen=True):
    """All that was read of the cluster before anything was decided."""

    facts: ClusterFacts
    namespace: tree.Tree | None
    records: Mapping[str, tuple[Record, ...]]
    daemonsets: tree.Tree | None
    datadog_agents: tree.Tree | None
    lease: tree.Tree | None
    secret_keys: frozenset[str] | None = None
    """Keys of Secret `ddhelm` that hold something; None where there is no such Secret."""
    webhooks: tree.Tree | None = None
    workloads: tuple[agents.DatadogWorkload, ...] | None = None
    """Deployments and StatefulSets that run Datadog's images; None where not both were read."""
    rotating: Rotatable | None = None
    """The key of Secret `ddhelm` whose rotation has begun and not ended."""


def read(session: Session) -> Cluster:
    """Everything that is asked of the cluster first, in one parallel round.

    Raises what a read failed with on which it hangs what is written: "could not be read" is never "is not there".
    """
    paths = before_a_plan(session.access.namespace)
    answers = dict(zip(paths, session.ask(list(paths.values())), strict=True))
    for name in ("version", "releases", "secret"):
        if (failure := answers[name].failure) is not None:
            raise failure
    # whoever only plans needs no right to the Lease; whoever does not have it cannot take the lock either
    if (failure := answers["lease"].failure) is not None and failure.anchor != "forbidden":
        raise failure
    read_facts = _parsed(answers)
    records = revisions.by_name(answers["releases"].tree())
    if lost := revisions.without_base(records):
        (answer,) = session.ask([reads.records(session.access.namespace, lost, superseded=True)])
        if answer.failure is not None:
            raise answer.failure
        records |= revisions.by_name(answer.tree())
    return Cluster(
        read_facts,
        _namespace(answers["namespace"], session.access.namespace, stands=bool(records)),
        records,
        _tree(answers["daemonsets"]),
        _tree(answers["datadog-agents"]),
        _tree(answers["lease"]),
        _filled_keys(_tree(answers["secret"])),
        _tree(answers["webhooks"]),
        _workloads(answers),
        rotating((_tree(answers["secret"]) or {}).get("metadata") or {}),
    )


class Installed(Struct, frozen=True):
    """What stands before an upgrade: the chart's source and version."""

    chart: str
    version: str


def installed(session: Session) -> Installed | None:
    """The chart of the installed releases; None where there is none."""
    known = all_known(session, read(session))
    deployed = standing(known)
    if not deployed:
        return None
    return Installed(
        earlier(known).settings.chart, max((s.chart_version for s in deployed.values()), key=facts.version_of)
    )


def facts_of(session: Session) -> ClusterFacts:
    """The facts alone, in one parallel round; raises where the API server cannot be asked for its version."""
    answers = dict(zip(READS, session.ask(list(READS.values())), strict=True))
    if (failure := answers["version"].failure) is not None:
        raise failure
    return _parsed(answers)


def _parsed(answers: dict[str, Answer]) -> ClusterFacts:
    """The facts in the answers to ``READS``, which are taken out."""
    nodes = answers["nodes"].made
    return facts.parse(facts.Answers({name: _document(answers.pop(name)) for name in READS}, nodes=nodes))


def _document(answer: Answer) -> str | bytes | facts.Failure:
    if answer.body is not None:
        return answer.body
    return facts.Failure(answer.failure.message if answer.failure else "NotFound")


def _filled_keys(secret: tree.Tree | None) -> frozenset[str] | None:
    return None if secret is None else frozenset(key for key, value in (secret.get("data") or {}).items() if value)


def _workloads(answers: Mapping[str, Answer]) -> tuple[agents.DatadogWorkload, ...] | None:
    read = [agents.datadog_workloads(kind, answers[kind].body) for kind in WORKLOADS]
    return None if None in read else tuple(one for some in read for one in some or ())


def _namespace(answer: Answer, name: str, *, stands: bool) -> tree.Tree | None:
    """The namespace; where it may not be looked at, releases in it show that it is there, and its labels are None."""
    if answer.failure is None:
        return _tree(answer)
    if stands and answer.failure.anchor == "forbidden":
        return {"metadata": {"name": name, "labels": None}}
    raise answer.failure


def _tree(answer: Answer) -> tree.Tree | None:
    return answer.tree() if answer.found else None


def all_known(session: Session, cluster: Cluster) -> Mapping[str, Deployed]:
    """The releases that Helm has records of, by name: also those of which no more than these is left."""
    return {
        release.name: state
        for release in pair(session.access.namespace, control_plane=True)
        if (state := deployed_of(session, release, cluster.records.get(release.name, ()))) is not None
    }


def standing(known: Mapping[str, Deployed]) -> Mapping[str, Deployed]:
    """Those that are not uninstalled; of one whose history was kept the settings are remembered, and nothing stands."""
    return {name: state for name, state in known.items() if state.head.status != "uninstalled"}


def deployed_of(session: Session, release: Release, records: Sequence[Record]) -> Deployed | None:
    """How a release stands by the revisions that Helm has kept of it; None where there is none."""
    if not records:
        return None
    head, base = records[-1], revisions.standing(records)
    shown = base or head
    return Deployed(
        release,
        _head(head),
        base.revision if base else None,
        parse(shown.manifest, release.namespace, session.masker),
        shown.config,
        f"{shown.chart_name}-{shown.chart_version}",
        shown.chart_version,
        shown.app_version,
        shown.last_deployed,
        shown.apply_method,
        shown.rolled_back,
        shown.description,
        None if shown is head else parse(head.manifest, release.namespace, session.masker),
    )


def _head(newest: Record) -> Head:
    """The newest revision; an uninstall leaves its time of deployment as it was (3.22, 4.3)."""
    return Head(newest.revision, newest.status, int(record.seconds(newest.deleted or newest.last_deployed)))


def not_busy(records: Mapping[str, Sequence[Record]], lease: tree.Tree | None, now: float) -> None:
    """Raises where another writer may be at work: a living Lease, or a young pending head that no dead holder left.

    ``records``: each release's revisions, oldest first. A holder wrote only what is of the time of its Lease.
    """
    heads = {name: _head(found[-1]) for name, found in records.items()}
    holder = lock.holder(lease)
    if holder is not None and holder.alive(now) and any(head.pending for head in heads.values()):
        raise PlanStale(
            f"a run died at its work and still holds the lock: {holder.who}, since {holder.since}"
            if holder.ended
            else f"another run is at work: {holder.who}, since {holder.since}",
            hint="ddhelm unlock, then run this again" if holder.ended else "wait for it, then run this again",
            anchor="lock-held",
        )
    taken, ended = lock.term(lease)
    for name, head in heads.items():
        age = now - head.modified
        left = BUSY - age
        if int(taken) <= head.modified < ended:
            left = min(left, ended - now)  # more than 0 where `unlock` took it from a dead run before it expired
        if head.pending and left > 0:
            raise ReleaseError(
                f"release `{name}` is busy: revision {head.revision} is `{head.status}` since {int(age)} s",
                hint=f"its helm may still be at work; run this again in {math.ceil(left)} s and it counts as dead",
                anchor="release-busy",
            )


class Earlier(Struct, frozen=True):
    """What earlier runs left: settings, the facts kept with them, notices about hand-made releases, keys in values."""

    settings: Settings
    facts: Mapping[str, Any] | None = None
    taken_over: tuple[str, ...] = ()
    keys: Mapping[str, str] = {}
    notices: tuple[str, ...] = ()


def earlier(deployed: Mapping[str, Deployed]) -> Earlier:
    """What earlier runs left with the releases.

    Where the two remember different settings (`--only`, or a run that ended between them), those of the newest upgrade
    count.
    """
    kept = {name: state.config[RECORD_KEY] for name, state in deployed.items() if _recorded(state)}
    if not kept:
        return _taken_over(deployed)
    newest = max(kept, key=lambda name: record.recency(deployed[name].rolled_back, deployed[name].updated))
    agreed = {name: {**record_, "facts": None} for name, record_ in kept.items()}
    where = f"`{newest}` revision {deployed[newest].base or deployed[newest].head.revision}"
    notice = f"the releases remember different settings; those of {where}, the newest upgrade, are taken"
    found = Earlier(
        settings_.from_record(kept[newest], f"stored with {where}"),
        kept[newest].get("facts"),
        notices=() if all(each == agreed[newest] for each in agreed.values()) else (notice,),
    )
    return _with_hand_made(found, {name: state for name, state in deployed.items() if name not in kept})


def _with_hand_made(found: Earlier, others: Mapping[str, Deployed]) -> Earlier:
    """With the values of a release that lost ddhelm's record: somebody upgraded that one of the two by hand."""
    if not others:
        return found
    theirs = _taken_over(others)
    user, given = found.settings.user, theirs.settings.user
    layers = UserLayers(
        user.both, tree.merge(user.worker, given.worker), tree.merge(user.control_plane, given.control_plane)
    )
    return replace(found, settings=replace(found.settings, user=layers), taken_over=theirs.taken_over, keys=theirs.keys)


def _recorded(state: Deployed) -> bool:
    return isinstance(state.config.get(RECORD_KEY), dict)


def _taken_over(deployed: Mapping[str, Deployed]) -> Earlier:
    """What hand-made values say."""
    notices: list[str] = []
    keys: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    trees: dict[Role, tree.Tree] = {}
    for state in deployed.values():
        adopted = adopt.adopt(state.config, state.release.role)
        trees[state.release.role] = adopted.user
        keys |= adopted.keys
        elsewhere |= adopted.secrets
        notices.append(adopt.notice(state.release.name, adopted.dropped, adopted.refused, adopted.unread))
    found = Settings(user=UserLayers({}, trees.get(Role.WORKER, {}), trees.get(Role.CONTROL_PLANE, {})))
    if API_KEY in elsewhere:
        found = replace(found, api_key_secret=SecretKey(elsewhere[API_KEY], API_KEY))
    if APP_KEY in elsewhere or APP_KEY in keys:
        found = replace(found, app_key_secret=SecretKey(elsewhere.get(APP_KEY, SECRET), APP_KEY))
    return Earlier(found, None, tuple(notices), keys)
