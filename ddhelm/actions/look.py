"""One look at the workloads: how far they are, and, bounded at any size, which pods are behind and why.

Never all agent pods: 3,400 of them are 224 MB of JSON and 10 s. Workloads are read by name; pods that do not run by
field selector with a limit; agents that run and are not ready by paging through a few at a time, and by the nodes that
are down (kubelets there cannot report, their pods stay ``Running``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from msgspec import Struct
from msgspec.structs import replace

from ddhelm.reads import NODES
from ddhelm.rollout import Reading
from ddhelm.workloads import Event, Pod, Workload, event, node_down, pod, without_leftovers, workload

if TYPE_CHECKING:
    from ddhelm.kubectl import Answer
    from ddhelm.manifest import Manifest

PAGE = 25
"""Pods a page: about 66 KB each with the real chart."""
SAMPLES = 3
"""Pods and nodes whose own events or state are asked for in one look."""
NODES_AGAIN = 10
"""Every so many looks all nodes are read to find those that are down; 21 MB at 5,000 nodes, 0.9 s."""
DOWN_LIMIT = 10
EVENTS = 50
_RUNNING = "status.phase=Running"
_FAILED = "status.phase=Failed"
_FIRST = {"DaemonSet": ("status.phase!=Running",), "Deployment": ("status.phase=Pending", _RUNNING, _FAILED)}
"""What is listed first. A Deployment's failed pods may have piled up for weeks: they have a page of their own."""


class Reads(Protocol):
    """What is asked of kubectl: several GETs at once."""

    def raws(self, paths: Sequence[str]) -> "tuple[Answer, ...]":
        """One answer a path, in order; a failure stands in the answer."""


class Target(Struct, frozen=True):
    """A workload to look at, and the release that it belongs to. ``kind`` is DaemonSet or Deployment."""

    release: str
    kind: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/{self.kind.lower()}s/{self.name}"


def targets(manifests: Mapping[str, "Manifest"]) -> tuple[Target, ...]:
    """Every DaemonSet and Deployment of rendered manifests (release name to manifest), in their order."""
    return tuple(
        Target(release, obj.ref.kind, obj.ref.namespace, obj.ref.name)
        for release, manifest in manifests.items()
        for obj in manifest.of_kind("DaemonSet", "Deployment")
    )


class Baseline(Struct, frozen=True):
    """Events that were there before: event uid to how often it had happened."""

    counts: Mapping[str, int] = {}

    def new(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """Those that happened since, for the first time or again."""
        return tuple(each for each in events if each.count > self.counts.get(each.uid, 0))


def baseline(kubectl: Reads, watched: Sequence[Target]) -> Baseline:
    """The events about workloads as they stand now; take it before the change whose roll-out is to be watched."""
    answers = kubectl.raws([_workload_events(each.namespace, each.kind, each.name) for each in watched])
    return Baseline({each.uid: each.count for answer in answers for each in _events(answer)})


def look(kubectl: Reads, watched: Sequence[Target], *, nodes_down: Iterable[str] = ()) -> Reading:
    """One whole look, events of any age included; raises what a read of a workload raised."""
    looker = Looker(kubectl, watched, since=Baseline())
    return looker.deep(looker.quick(), nodes_down=nodes_down)


class Looker:
    """Looks again and again; remembers how far it has paged and which pods it suspects."""

    def __init__(self, kubectl: Reads, watched: Sequence[Target], *, since: Baseline | None = None) -> None:
        """Without ``since`` the first deep look decides which events are old."""
        self._kubectl = kubectl
        self._targets = tuple(watched)
        self._since = since
        self._tokens: dict[tuple[str, str], str] = {}
        self._suspects: dict[str, tuple[str, ...]] = {}
        self._deep_looks = 0

    def quick(self) -> Reading:
        """The workloads alone: one small read each, all at once; raises the first failure."""
        found: list[Workload] = []
        missing: list[str] = []
        for target, answer in zip(
            self._targets, self._kubectl.raws([each.path for each in self._targets]), strict=True
        ):
            if answer.failure is not None:
                raise answer.failure
            if answer.found:
                found.append(workload({"kind": target.kind, **answer.tree()}))
            else:
                missing.append(target.name)
        return Reading(workloads=tuple(found), missing=tuple(missing), diagnosed=False)

    def deep(self, reading: Reading, *, nodes_down: Iterable[str] = ()) -> Reading:
        """The same reading with the pods that are behind, what happened to them, and which of their nodes are down.

        What cannot be read (rights to events, say) is left out: then fewer causes are known.
        """
        behind = [each for each in reading.workloads if not each.settled]
        down = set(nodes_down)
        pods, events = self._first_round(behind)
        if self._unexplained(behind, pods):
            pods |= self._running(behind, pods)
        if self._unexplained(behind, pods):
            down |= self._nodes_down() if not down and self._deep_looks % NODES_AGAIN == 0 else set()
            pods |= self._on_nodes(behind, sorted(down)[:DOWN_LIMIT])
        if behind:
            self._deep_looks += 1
        kept = tuple(each for each in pods.values() if not each.ready)
        own, own_down = self._second_round(kept, down, {each.name: each.namespace for each in behind})
        fresh = self._fresh(events)
        return replace(reading, pods=kept, events=(*fresh, *own), nodes_down=frozenset(down | own_down), diagnosed=True)

    def _first_round(self, behind: Sequence[Workload]) -> tuple[dict[str, Pod], list[Event]]:
        lacking = [each for each in behind if each.kind == "DaemonSet" and each.scheduled < each.desired]
        asked = [(each, fields) for each in behind for fields in _FIRST[each.kind]]
        paths = [self._next_page(*one) if one[1] == _FAILED else pods_path(*one, limit=PAGE) for one in asked]
        paths += [_workload_events(each.namespace, each.kind, each.name) for each in lacking]
        answers = self._kubectl.raws(paths) if paths else ()
        found: dict[str, list[Pod]] = {each.name: [] for each in behind}
        for (owner, fields), answer in zip(asked, answers, strict=False):
            found[owner.name] += _parse_pods(answer, owner.name)
            if fields == _FAILED:
                self._turn_page(owner, fields, answer)
        pods = {each.name: each for owner in behind for each in _in_question(owner, found[owner.name])}
        uids = {each.uid for each in lacking}
        events = [
            each for answer in answers[len(asked) :] for each in _events(answer) if not each.about or each.about in uids
        ]
        return pods, events

    def _running(self, behind: Sequence[Workload], known: Mapping[str, Pod]) -> dict[str, Pod]:
        """Pods that run and are not ready: those suspected before, and one more page of each workload."""
        found: dict[str, Pod] = {}
        open_ = [each for each in behind if _count(known, each.name) < each.unready]
        suspects = [(each, name) for each in open_ for name in self._suspects.get(each.name, ())]
        paths = [f"/api/v1/namespaces/{each.namespace}/pods/{name}" for each, name in suspects]
        paths += [self._next_page(each, _RUNNING) for each in open_]
        answers = self._kubectl.raws(paths) if paths else ()
        for (owner, _), answer in zip(suspects, answers, strict=False):
            if answer.found:
                each = pod(answer.tree(), owner.name)
                found[each.name] = each
        for owner, answer in zip(open_, answers[len(suspects) :], strict=True):
            self._turn_page(owner, _RUNNING, answer)
            found |= {each.name: each for each in _parse_pods(answer, owner.name)}
        found = {name: each for name, each in found.items() if not each.ready}
        for owner in open_:
            self._suspects[owner.name] = tuple(name for name, each in found.items() if each.owner == owner.name)[
                :SAMPLES
            ]
        return found

    def _next_page(self, owner: Workload, fields: str) -> str:
        return pods_path(owner, fields, PAGE, self._tokens.get((owner.name, fields), ""))

    def _turn_page(self, owner: Workload, fields: str, answer: "Answer") -> None:
        page = answer.tree() if answer.found else {}
        self._tokens[owner.name, fields] = str((page.get("metadata") or {}).get("continue") or "")

    def _nodes_down(self) -> set[str]:
        (answer,) = self._kubectl.raws([NODES])
        items = answer.tree().get("items") or () if answer.found else ()
        return {str(each["metadata"]["name"]) for each in items if node_down(each)}

    def _on_nodes(self, behind: Sequence[Workload], nodes: Sequence[str]) -> dict[str, Pod]:
        asked = [(each, node) for each in behind if each.kind == "DaemonSet" for node in nodes]
        paths = [pods_path(each, f"spec.nodeName={node}", limit=PAGE) for each, node in asked]
        answers = self._kubectl.raws(paths) if paths else ()
        return {
            found.name: found
            for (owner, _), answer in zip(asked, answers, strict=False)
            for found in _parse_pods(answer, owner.name)
        }

    def _second_round(
        self, pods: Sequence[Pod], down: set[str], namespaces: Mapping[str, str]
    ) -> tuple[list[Event], set[str]]:
        """Events of a few pods that say nothing themselves, and whether the nodes of a few others are down.

        ``namespaces``: of each workload, by name.
        """
        silent = [each for each in pods if each.silent and not each.deleting and each.node not in down][:SAMPLES]
        unsure = [each.node for each in pods if each.node and each.node not in down and each.phase == "Running"]
        nodes = list(dict.fromkeys(unsure))[:SAMPLES]
        paths = [_happened_to(namespaces[each.owner], each.name) for each in silent]
        paths += [f"/api/v1/nodes/{name}" for name in nodes]
        answers = self._kubectl.raws(paths) if paths else ()
        events = [each for answer in answers[: len(silent)] for each in _events(answer)]
        states = zip(nodes, answers[len(silent) :], strict=True)
        return events, {name for name, answer in states if answer.found and node_down(answer.tree())}

    def _fresh(self, events: Sequence[Event]) -> tuple[Event, ...]:
        if self._since is None:
            self._since = Baseline({each.uid: each.count for each in events})
        return self._since.new(events)

    @staticmethod
    def _unexplained(behind: Sequence[Workload], pods: Mapping[str, Pod]) -> bool:
        return any(_count(pods, each.name) < each.unready for each in behind if each.current)


def _count(pods: Mapping[str, Pod], owner: str) -> int:
    return sum(each.owner == owner for each in pods.values())


def _in_question(owner: Workload, pods: Sequence[Pod]) -> list[Pod]:
    standing = without_leftovers(pods) if owner.kind == "Deployment" else pods
    return [each for each in standing if not each.ready]


def _parse_pods(answer: "Answer", owner: str) -> list[Pod]:
    items: Sequence[Mapping[str, Any]] = answer.tree().get("items") or () if answer.found else ()
    return [pod(item, owner) for item in items]


def _events(answer: "Answer") -> list[Event]:
    items: Sequence[Mapping[str, Any]] = answer.tree().get("items") or () if answer.found else ()
    return [event(item) for item in items]


def pods_path(owner: Workload, fields: str, limit: int, token: str = "") -> str:
    """Where the API lists those pods of a workload that the field selector ``fields`` picks, ``limit`` a page."""
    query = {"labelSelector": owner.selector, "fieldSelector": fields, "limit": str(limit)}
    if token:
        query["continue"] = token
    return f"/api/v1/namespaces/{owner.namespace}/pods?{urlencode(query, quote_via=quote)}"


def _workload_events(namespace: str, kind: str, name: str) -> str:
    return _event_list(namespace, f"involvedObject.kind={kind},involvedObject.name={name},reason=FailedCreate")


def _happened_to(namespace: str, name: str) -> str:
    return _event_list(namespace, f"involvedObject.kind=Pod,involvedObject.name={name},type=Warning")


def _event_list(namespace: str, fields: str) -> str:
    query = urlencode({"fieldSelector": fields, "limit": str(EVENTS)}, quote_via=quote)
    return f"/api/v1/namespaces/{namespace}/events?{query}"
