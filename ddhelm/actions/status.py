"""Where both releases stand: Helm's records, the workloads, and which node runs an agent.

One parallel round of reads answers it on a healthy cluster, whatever its size: release Secrets by label (never
``helm list``, which decodes every revision of every release), DaemonSets, Deployments and nodes raw. Pods are only
looked for where a workload lacks some. A node that no DaemonSet wants is silent to Helm and to the DaemonSet; here it
is named, because the pod templates are held against all nodes by the scheduler's own rules.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ddhelm import coverage as coverage_
from ddhelm import facts, record
from ddhelm import pools as pools_
from ddhelm.actions import agents, certexpiry, look, promises, revisions
from ddhelm.actions.certexpiry import Expiry
from ddhelm.actions.promises import Problem, ReleaseLine, WorkloadLine
from ddhelm.causes import explain
from ddhelm.coverage import Coverage
from ddhelm.errors import ConfigError, DdhelmError
from ddhelm.facts import Unread
from ddhelm.manifest import Manifest, from_objects, parse
from ddhelm.nodes import Node
from ddhelm.pools import Pool
from ddhelm.reads import DAEMONSETS, READS, records
from ddhelm.record import Record
from ddhelm.release import SECRET, Release, Role, pair
from ddhelm.rollout import Reading
from ddhelm.settings import RECORD_KEY, Settings
from ddhelm.symptoms import find
from ddhelm.tree import Tree
from ddhelm.workloads import is_agent, workload

if TYPE_CHECKING:
    from ddhelm.actions.session import Session
    from ddhelm.kubectl import Answer
    from ddhelm.proof import ForeignAgent

NOT_AS_PROMISED = 4
UNREADABLE = 1


class Status(Struct, frozen=True):
    """The answer; ``coverage`` is None where nodes could not be read, ``unread`` says why."""

    context: str
    server: str
    namespace: str
    distribution: str
    releases: tuple[ReleaseLine, ...]
    workloads: tuple[WorkloadLine, ...]
    coverage: Coverage | None
    pools: tuple[Pool, ...] = ()
    others: "tuple[ForeignAgent, ...]" = ()
    problems: tuple[Problem, ...] = ()
    unread: tuple[Unread, ...] = ()
    certificate: Expiry | None = None

    @property
    def nodes(self) -> int:
        """How many nodes the cluster has."""
        return len(self.coverage.verdicts) if self.coverage else 0

    @property
    def running(self) -> int:
        """Nodes that run exactly one agent: wanted by one release, less the agents that are not ready."""
        live = [line.live for line in self.workloads if line.live and line.agents]
        late = sum(max(each.desired - each.ready, 0) for each in live)
        return max(len(self.coverage.exactly_one) - late, 0) if self.coverage else 0

    @property
    def healthy(self) -> bool:
        """Whether everything was read and is as promised."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 healthy, 4 a workload or the coverage is not as promised, 1 the answer could not be read in full."""
        if any(problem.fatal for problem in self.problems):
            return NOT_AS_PROMISED
        return UNREADABLE if self.unread else 0


class _Read(Struct):
    """What one round of reads gave; None or empty where it could not be read (then ``unread`` says so)."""

    records: Mapping[str, tuple[Record, ...]] = {}
    nodes: tuple[Node, ...] | None = None
    objects: Mapping[tuple[str, str, str], Tree] = {}
    others: "tuple[ForeignAgent, ...]" = ()
    unread: list[Unread] = []
    notes: list[Problem] = []
    secret_gone: bool = False

    @property
    def blind(self) -> frozenset[str]:
        """Kinds of which nothing is known: whether what a release promises is there cannot be said."""
        kinds = {"daemonsets": "DaemonSet", "deployments": "Deployment"}
        return frozenset(kinds[each.name] for each in self.unread if each.name in kinds)


def of_session(session: "Session", *, accept: Sequence[str] | None = None) -> Status:
    """The status of the pair in the session's namespace; ``accept`` None takes the stored ``--accept-uncovered``.

    Raises ClusterError or ToolError where nothing could be read at all.
    """
    releases = pair(session.access.namespace, control_plane=True)
    read = _read(session.kubectl, releases)
    lines, stored, distribution, needed = _releases(releases, read)
    if Role.CONTROL_PLANE not in needed and not distribution and _shows_control_plane(session, read):
        needed |= {Role.CONTROL_PLANE}
    shown = "etcd" not in stored.drop_checks
    known = _facts(read)
    certificate = certexpiry.of(session.kubectl, stored.etcd_secret, known) if shown else None
    promised = {
        release.name: parse(read.records[release.name][-1].manifest, release.namespace, session.masker)
        for release in releases
        if release.name in read.records
    }
    workloads = _workloads(read, releases, promised)
    if "releases" in (unread := {each.name for each in read.unread}):
        needed = frozenset()  # not seen is not the same as not there
    expected = [release for release in releases if release.role in needed and "daemonsets" not in unread]
    accept = stored.accept_uncovered if accept is None else accept
    covered = _coverage(session, read, releases, accept, expected, stored.tolerate)
    labels = known.get("controlPlaneLabels") or ()
    pools = pools_.pools(covered, read.nodes, labels) if covered is not None and read.nodes is not None else ()
    problems = [
        *promises.of_releases(lines, needed, read.others),
        *promises.of_workloads(workloads, covered=promises.all_covered(pools)),
        *_why_behind(session.kubectl, workloads, read),
        *(promises.of_coverage(pools) if any(line.installed for line in lines) else ()),
        *promises.of_others(read.others, allowed=stored.allow_second_agent),
        *([certificate.problem] if certificate and certificate.problem else ()),
        *(promises.of_secret(promised.values()) if read.secret_gone else ()),
        *read.notes,
    ]
    return Status(
        context=session.access.context,
        server=session.access.server,
        namespace=session.access.namespace,
        distribution=distribution,
        releases=tuple(line for line in lines if line.installed or line.release.role in needed),
        workloads=workloads,
        coverage=covered,
        pools=tuple(pools),
        others=read.others,
        problems=tuple(dict.fromkeys(problems)),
        unread=tuple(read.unread),
        certificate=certificate,
    )


def _facts(read: _Read) -> Tree:
    """What the newest revisions remember of the cluster."""
    kept = [entries[-1].config.get(RECORD_KEY) for entries in read.records.values() if entries]
    return next((dict(each.get("facts") or {}) for each in kept if isinstance(each, dict)), {})


def _read(kubectl: look.Reads, releases: Sequence[Release]) -> _Read:
    namespace, names = releases[0].namespace, tuple(release.name for release in releases)
    paths = {
        "releases": records(namespace, names, superseded=False),
        "nodes": READS["nodes"],
        "deployments": f"/apis/apps/v1/namespaces/{namespace}/deployments",
        "daemonsets": DAEMONSETS,
        "secret": f"/api/v1/namespaces/{namespace}/secrets/{SECRET}",
        "namespace": f"/api/v1/namespaces/{namespace}",
    }
    answers = dict(zip(paths, kubectl.raws(list(paths.values())), strict=True))
    secret, space = answers.pop("secret"), answers.pop("namespace")
    failures = [answer.failure for answer in answers.values() if answer.failure is not None]
    if len(failures) == len(answers):
        raise failures[0]
    read = _Read()
    if answers["daemonsets"].failure is not None:  # rights to one namespace only: enough for our own
        read.notes.append(_not_looked_for(answers["daemonsets"].failure))
        (answers["daemonsets"],) = kubectl.raws([f"/apis/apps/v1/namespaces/{namespace}/daemonsets"])
    read.unread = [
        Unread(name, what, failure.message)
        for name, what in _ESSENTIAL.items()
        if (failure := answers[name].failure) is not None
    ]
    daemonsets = _tree(answers["daemonsets"])
    read.objects = {
        (kind, str(item["metadata"].get("namespace")), str(item["metadata"].get("name"))): {"kind": kind, **item}
        for kind, document in (("DaemonSet", daemonsets), ("Deployment", _tree(answers["deployments"])))
        for item in (document or {}).get("items") or ()
    }
    read.others = agents.foreign_agents(daemonsets, None, namespace, names)  # a DatadogAgent runs by DaemonSets
    read.records = _records(_tree(answers["releases"]), read)
    owners = {_owner(each)[0] for each in read.objects.values()}
    # its objects stand and no record that counts: the deployed one was deleted, or helm was killed at its last writes
    if lost := [name for name in revisions.without_base(read.records) if name in owners]:
        (answer,) = kubectl.raws([records(namespace, lost, superseded=True)])
        read.records = {**read.records, **_records(_tree(answer), read)}
    read.secret_gone = not secret.found and secret.failure is None
    if space.found and "deletionTimestamp" in (space.tree().get("metadata") or {}):
        text = f"namespace `{namespace}` is being deleted: everything in it goes, and nothing can be made in it"
        read.notes.append(Problem(text, f"kubectl get namespace {namespace} -o yaml"))
    nodes = answers.pop("nodes")
    if nodes.body is not None:
        read.nodes = facts.parse(facts.Answers({"nodes": nodes.body})).nodes
    return read


_ESSENTIAL = {
    "releases": "Helm's release Secrets",
    "nodes": "the nodes",
    "deployments": "the Deployments of the namespace",
    "daemonsets": "the DaemonSets of the namespace",
}


def _not_looked_for(failure: DdhelmError) -> Problem:
    text = f"other Datadog agents were not looked for outside this namespace: {failure.message}"
    return Problem(text, failure.hint, fatal=False)


def _records(document: Tree | None, read: _Read) -> Mapping[str, tuple[Record, ...]]:
    found: dict[str, list[Record]] = {}
    for item in (document or {}).get("items") or ():
        try:
            entry = record.decode(item)
        except DdhelmError as error:
            read.unread.append(Unread("releases", "a release Secret", error.message))
            continue
        found.setdefault(entry.name, []).append(entry)
    return {name: tuple(sorted(entries, key=lambda each: each.revision)) for name, entries in found.items()}


def _tree(answer: "Answer") -> Tree | None:
    return answer.tree() if answer.found else None


def _releases(
    releases: Sequence[Release], read: _Read
) -> tuple[tuple[ReleaseLine, ...], Settings, str, frozenset[Role]]:
    """A line a release, the stored settings, the distribution, and the roles that this cluster needs."""
    lines, distribution = [], ""
    needed = {Role.WORKER}
    for release in releases:
        entries = read.records.get(release.name, ())
        if not entries:
            lines.append(ReleaseLine(release))
            continue
        head = entries[-1]
        base = revisions.standing(entries)
        lines.append(
            ReleaseLine(
                release,
                installed=True,
                revision=head.revision,
                status=head.status,
                deployed=None if base is None else base.revision,
                chart=f"{head.chart_name}-{head.chart_version}",
                app_version=head.app_version,
                updated=head.last_deployed,
                description=head.description,
            )
        )
        kept: Any = head.config.get(RECORD_KEY)
        if isinstance(kept, dict):
            known = kept.get("facts") or {}
            distribution = distribution or str(known.get("distribution") or "")
            if not known.get("managed"):
                needed.add(Role.CONTROL_PLANE)
    return tuple(lines), _settings(read), distribution, frozenset(needed)


def _shows_control_plane(session: "Session", read: _Read) -> bool:
    """Whether a node is labelled as some distribution labels its control plane; asked where no run left a fact."""
    from ddhelm.recognition import role_keys

    keys = set(role_keys(session.library.distributions()))
    return any(keys & node.labels.keys() for node in read.nodes or ())


def _settings(read: _Read) -> Settings:
    try:
        return revisions.settings(read.records)
    except ConfigError as error:
        read.unread.append(Unread("releases", "the stored settings", error.message))
        return Settings()


def _workloads(read: _Read, releases: Sequence[Release], promised: Mapping[str, Manifest]) -> tuple[WorkloadLine, ...]:
    """What the newest manifests promise; without records, what stands in the cluster under our releases' names.

    Kinds that could not be read are left out.
    """
    expected = [each for each in look.targets(promised) if each.kind not in read.blind] or tuple(
        look.Target(release.name, kind, namespace, name)
        for release in releases
        for (kind, namespace, name), obj in read.objects.items()
        if _owner(obj) == (release.name, release.namespace)
    )
    live = [read.objects.get((each.kind, each.namespace, each.name)) for each in expected]
    return tuple(
        WorkloadLine(
            each.release,
            each.kind,
            each.name,
            None if found is None else workload(found),
            agents=each.kind == "DaemonSet" and found is not None and is_agent(found),
        )
        for each, found in zip(expected, live, strict=True)
    )


def _owner(obj: Tree) -> tuple[str, str]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get("meta.helm.sh/release-name")), str(annotations.get("meta.helm.sh/release-namespace"))


def _coverage(
    session: "Session",
    read: _Read,
    releases: Sequence[Release],
    accept: Sequence[str],
    expected: Sequence[Release],
    tolerate: Sequence[str],
) -> Coverage | None:
    """The pod templates of the live DaemonSets against all nodes; None where either could not be read.

    ``expected``: the releases that should have a DaemonSet; ``tolerate``: the taints that they are to tolerate.
    """
    if read.nodes is None or "DaemonSet" in read.blind:
        return None
    placements = [
        placement
        for release in releases
        for placement in coverage_.agent_placements(
            from_objects(
                [
                    {"apiVersion": "apps/v1", **tree}
                    for (kind, _, _), tree in read.objects.items()
                    if kind == "DaemonSet" and _owner(tree) == (release.name, release.namespace)
                ],
                release.namespace,
                session.masker,
            ),
            release.name,
            str(release.role),
        )
    ]
    placed = {placement.release for placement in placements}
    absent = tuple(release.name for release in expected if release.name not in placed)
    covered = coverage_.compute(read.nodes, placements, accept=accept, kind_of=_kinds(session), absent=absent)
    return covered.fixed_together(tolerate, accept)


def _kinds(session: "Session") -> Callable[[Node], coverage_.KindOfNode | None]:
    """What is known of kinds of nodes without an agent; read when the first node is asked about (most never are)."""

    def kind_of(node: Node) -> coverage_.KindOfNode | None:
        from ddhelm.profile import kind_of as known

        return known(node, session.library.node_kinds())

    return kind_of


def _why_behind(kubectl: look.Reads, lines: Sequence[WorkloadLine], read: _Read) -> list[Problem]:
    """What keeps workloads from being complete; pods are only looked for here, and only where some are lacking."""
    behind = tuple(line.live for line in lines if line.live is not None and not line.live.settled)
    if not behind:
        return []
    down = frozenset(node.name for node in read.nodes or () if not node.ready)
    looker = look.Looker(kubectl, (), since=look.Baseline())
    reading = looker.deep(Reading(workloads=behind), nodes_down=down)
    findings = find(reading.workloads, pods=reading.pods, events=reading.events, nodes_down=reading.nodes_down)
    causes = explain(findings, namespaces={each.name: each.namespace for each in behind}, checks={})
    return promises.of_causes(causes, behind)
