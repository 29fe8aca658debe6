"""What would happen: reads the cluster and the releases, builds values and manifests, proves them, makes the plan.

Everything that shows or does a change (onboard, plan, check, values) starts here, so that none can disagree with
another about what the cluster is or what is wanted. Nothing here writes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddhelm import chart as chart_
from ddhelm import claim, coverage, facts, plan, profile, proof, record, taints, tree, values
from ddhelm import settings as settings_
from ddhelm.actions import adopt, agents, live, lock, rights
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.errors import ConfigError, PlanStale, PreflightFailed, ReleaseError
from ddhelm.facts import ClusterFacts
from ddhelm.helm import Render
from ddhelm.kubectl import Answer
from ddhelm.manifest import Identity, Manifest, Object, ObjectRef, parse
from ddhelm.plan import Deployed, Desired, Head, Plan
from ddhelm.profile import Profile
from ddhelm.record import Record
from ddhelm.release import API_KEY, APP_KEY, NAMES, SECRET, TOKEN, Release, Role, only, pair
from ddhelm.settings import FORMAT, RECORD_KEY, SecretKey, Settings, UserLayers
from ddhelm.source import source
from ddhelm.workloads import Workload

if TYPE_CHECKING:
    from ddhelm.uservalues import Source

BUSY = 660
"""Seconds for which the writer of a pending head without a Lease may still live: twice helm's 5 minutes, and one."""


@dataclass(frozen=True, slots=True)
class UserSources:
    """The user's value flags, per slot; a slot with a file replaces the stored layer, one without goes on top of it."""

    both: "tuple[Source, ...]" = ()
    worker: "tuple[Source, ...]" = ()
    control_plane: "tuple[Source, ...]" = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What a command line asks for; ``given`` holds the settings whose flags were used (None: not used)."""

    given: Mapping[str, Any] = field(default_factory=dict)
    user: UserSources = UserSources()
    chart: str | None = None
    version: str | None = None
    only: Role | None = None
    reset_settings: bool = False
    label_namespace: bool = False
    delete_crds: bool = False
    force_conflicts: bool = False
    allow_unknown_values: bool = False
    allow_downgrade: bool = False
    skip: tuple[str, ...] = ()
    exactly: Settings | None = None
    """Settings to take as they are, whatever is stored (a plan file's)."""


@dataclass(frozen=True, slots=True)
class Cluster:
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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan and everything it was made from."""

    plan: Plan
    cluster: Cluster
    profile: Profile
    settings: Settings
    chart: Chart
    releases: tuple[Release, ...]
    desired: tuple[Desired, ...]
    deployed: Mapping[str, Deployed]
    workloads: tuple[Workload, ...] = ()
    standing: Mapping[Identity, Object] = field(default_factory=dict, repr=False)
    """Every live object of the desired manifests, masked."""
    carried_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Keys that stood in the values of a hand-made release, on their way into the Secret."""


def prepare(session: Session, request: Request, *, now: Callable[[], float] = time.time) -> Prepared:
    """Read, decide, build, prove, plan; raises whatever of ``errors`` applies, problems of the plan are in the plan."""
    cluster = read(session)
    deployed = _all_deployed(session, cluster)
    _not_busy(session, deployed, cluster.lease, now())
    stored, remembered, notices, carried = _stored(deployed)
    wanted = request.exactly or settings_of(Settings() if request.reset_settings else stored, request)
    found = recognise(session, cluster.facts, wanted, remembered)
    releases = _releases(session, found, wanted, request, deployed)
    chart = _chart(session, request, wanted, deployed)
    if request.chart is not None:
        where = source(request.chart)
        wanted = replace(wanted, chart=where.chart if where.kind == "path" else request.chart)
    built = build(session, cluster.facts, found, wanted, releases)
    notices = (*notices, *value_notes(request))
    if not request.allow_unknown_values and wanted.user != UserLayers():
        _known_keys(chart, wanted)
    desired, keep = _render(session, chart, releases, built, deployed, request)
    return _planned(
        session,
        request,
        Prepared(
            Plan((), coverage.compute((), ()), ()),
            cluster,
            found,
            wanted,
            chart,
            releases,
            desired,
            deployed,
            carried_keys=carried,
        ),
        keep,
        notices,
    )


def of_records(
    session: Session, request: Request, targets: Mapping[str, Record], *, now: Callable[[], float] = time.time
) -> Prepared:
    """The same for revisions that Helm has stored (release name to revision): nothing is rendered, the rest is proven.

    The steps of the plan are those of an upgrade to these manifests; how a revision is brought back is the caller's.
    """
    cluster = read(session)
    deployed = _all_deployed(session, cluster)
    _not_busy(session, deployed, cluster.lease, now())
    goals = {
        release.name: state
        for release in pair(session.access.namespace, control_plane=True)
        if release.name in targets and (state := _deployed(session, release, [targets[release.name]])) is not None
    }
    stored, remembered, notices, _ = _stored(goals)
    first = next(iter(targets.values()))
    made = Prepared(
        Plan((), coverage.compute((), ()), ()),
        cluster,
        recognise(session, cluster.facts, stored, remembered),
        stored,
        Chart(Path(), first.chart_name, first.chart_version, first.app_version, ""),
        tuple(goal.release for goal in goals.values()),
        tuple(
            Desired(
                goal.release,
                values.build([values.Layer(f"revision {goal.head.revision}", goal.config)]),
                goal.manifest,
                goal.chart_version,
                goal.app_version,
            )
            for goal in goals.values()
        ),
        deployed,
    )
    return _planned(session, replace(request, allow_downgrade=True), made, {}, notices)


def read(session: Session) -> Cluster:
    """Everything that is asked of the cluster first, in one parallel round."""
    namespace = session.access.namespace
    names = "%2C".join(NAMES.values())
    paths = {
        **facts.READS,
        "namespace": f"/api/v1/namespaces/{namespace}",
        "releases": f"/api/v1/namespaces/{namespace}/secrets"
        f"?labelSelector=owner%3Dhelm%2Cname%20in%20%28{names}%29%2Cstatus%21%3Dsuperseded",
        "daemonsets": agents.DAEMONSETS,
        "datadog-agents": agents.DATADOG_AGENTS,
        "lease": lock.path(namespace),
        "webhooks": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "secret": f"/api/v1/namespaces/{namespace}/secrets/{SECRET}",
    }
    answers = dict(zip(paths, session.kubectl.raws(list(paths.values())), strict=True))
    failure = answers["version"].failure
    if failure is not None:
        raise failure
    if (failure := answers["releases"].failure) is not None:
        raise failure
    documents = {name: _document(answers.pop(name)) for name in facts.READS}
    read_facts = facts.parse(facts.Answers(documents))
    records: dict[str, list[Record]] = {}
    for item in (answers["releases"].tree() if answers["releases"].found else {}).get("items") or ():
        entry = record.decode(item)
        records.setdefault(entry.name, []).append(entry)
    return Cluster(
        read_facts,
        _tree(answers["namespace"]),
        {name: tuple(sorted(entries, key=lambda e: e.revision)) for name, entries in records.items()},
        _tree(answers["daemonsets"]),
        _tree(answers["datadog-agents"]),
        _tree(answers["lease"]),
        _filled_keys(_tree(answers["secret"])),
        _tree(answers["webhooks"]),
    )


@dataclass(frozen=True, slots=True)
class Installed:
    """What stands before an upgrade: the chart's source and version."""

    chart: str
    version: str


def installed(session: Session) -> Installed | None:
    """The chart of the installed releases; None where there is none."""
    deployed = _all_deployed(session, read(session))
    if not deployed:
        return None
    stored, _, _, _ = _stored(deployed)
    return Installed(stored.chart, max((s.chart_version for s in deployed.values()), key=facts.version_of))


def facts_of(session: Session) -> ClusterFacts:
    """The facts alone, in one parallel round; raises where the API server cannot be asked for its version."""
    answers = dict(zip(facts.READS, session.kubectl.raws(list(facts.READS.values())), strict=True))
    if (failure := answers["version"].failure) is not None:
        raise failure
    return facts.parse(facts.Answers({name: _document(answers.pop(name)) for name in facts.READS}))


def values_only(
    session: Session, request: Request
) -> tuple[tuple[tuple[Release, values.Values], ...], Profile, Settings]:
    """The values of each release as helm would be sent them, without a chart; the profile and settings behind them."""
    cluster = read(session)
    deployed = _all_deployed(session, cluster)
    stored, remembered, _, _ = _stored(deployed)
    wanted = settings_of(Settings() if request.reset_settings else stored, request)
    found = recognise(session, cluster.facts, wanted, remembered)
    releases = pair(session.access.namespace, control_plane=found.control_plane_release)
    built = build(session, cluster.facts, found, wanted, releases)
    return tuple((release, built[release.name]) for release in releases), found, wanted


def recognise(
    session: Session, read_facts: ClusterFacts, wanted: Settings, remembered: Mapping[str, Any] | None
) -> Profile:
    """The profile of the cluster; ClusterError where it is unknown or ambiguous and `--distribution` was not given."""
    return profile.of(
        read_facts,
        session.library.distributions(),
        node_kinds=session.library.node_kinds(),
        override=wanted.distribution,
        remembered=remembered,
    )


def build(
    session: Session, read_facts: ClusterFacts, found: Profile, wanted: Settings, releases: Sequence[Release]
) -> Mapping[str, values.Values]:
    """The values of each release, by name, with ddhelm's own record under the key ``ddhelm``."""
    whole = pair(session.access.namespace, control_plane=found.control_plane_release)
    kept = {"format": FORMAT, **settings_.to_record(wanted), "facts": found.to_record()}
    return {
        release.name: values.build(
            values.layers_for(
                release.role,
                releases=whole,
                settings=wanted,
                profile=found,
                library=session.library,
                nodes=read_facts.nodes,
                record=kept,
            )
        )
        for release in releases
    }


def _document(answer: Answer) -> str | bytes | facts.Failure:
    if answer.body is not None:
        return answer.body
    return facts.Failure(answer.failure.message if answer.failure else "NotFound")


def _filled_keys(secret: tree.Tree | None) -> frozenset[str] | None:
    return None if secret is None else frozenset(key for key, value in (secret.get("data") or {}).items() if value)


def _tree(answer: Answer) -> tree.Tree | None:
    return answer.tree() if answer.found else None


def _all_deployed(session: Session, cluster: Cluster) -> Mapping[str, Deployed]:
    return {
        release.name: state
        for release in pair(session.access.namespace, control_plane=True)
        if (state := _deployed(session, release, cluster.records.get(release.name, ()))) is not None
    }


def _deployed(session: Session, release: Release, records: Sequence[Record]) -> Deployed | None:
    if not records:
        return None
    head = records[-1]
    base = max((entry for entry in records if entry.status == "deployed"), key=lambda e: e.revision, default=None)
    shown = base or head
    return Deployed(
        release,
        Head(head.revision, head.status, int(_seconds(head.last_deployed))),
        base.revision if base else None,
        parse(shown.manifest, release.namespace, session.masker),
        shown.config,
        f"{shown.chart_name}-{shown.chart_version}",
        shown.chart_version,
        shown.app_version,
        shown.last_deployed,
        shown.apply_method,
        shown.size,
    )


def _not_busy(session: Session, deployed: Mapping[str, Deployed], lease: tree.Tree | None, now: float) -> None:
    """Raises where another writer may be at work: a living Lease, or a young pending head without one."""
    holder = lock.holder(lease)
    if holder is not None and holder.alive(now) and any(state.head.pending for state in deployed.values()):
        raise PlanStale(
            f"another run is at work: {holder.who}, since {holder.since}",
            hint="wait for it, then run this again",
            anchor="lock-held",
        )
    for name, state in deployed.items():
        age = now - state.head.modified
        ended = lock.given_back(lease) > state.head.modified
        if state.head.pending and holder is None and not ended and age < BUSY:
            raise ReleaseError(
                f"release `{name}` is busy: revision {state.head.revision} is `{state.head.status}` since {int(age)} s",
                hint=f"its helm may still be at work; run this again in {int(BUSY - age)} s and it is recovered",
                anchor="release-busy",
            )


def _stored(
    deployed: Mapping[str, Deployed],
) -> tuple[Settings, Mapping[str, Any] | None, tuple[str, ...], Mapping[str, str]]:
    """Settings and facts that earlier runs left, notices about hand-made releases, and keys found in their values."""
    notices: list[str] = []
    keys: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    trees: dict[Role, tree.Tree] = {}
    for state in deployed.values():
        kept = state.config.get(RECORD_KEY)
        if isinstance(kept, dict):
            return (
                settings_.from_record(kept, f"stored with `{state.release.name}` revision {state.base}"),
                kept.get("facts"),
                (),
                {},
            )
        adopted = adopt.adopt(state.config, state.release.role)
        trees[state.release.role] = adopted.user
        keys |= adopted.keys
        elsewhere |= adopted.secrets
        notices.append(adopt.notice(state.release.name, adopted.dropped, adopted.refused))
    found = Settings(user=UserLayers({}, trees.get(Role.WORKER, {}), trees.get(Role.CONTROL_PLANE, {})))
    if API_KEY in elsewhere:
        found = replace(found, api_key_secret=SecretKey(elsewhere[API_KEY], API_KEY))
    if APP_KEY in elsewhere or APP_KEY in keys:
        found = replace(found, app_key_secret=SecretKey(elsewhere.get(APP_KEY, SECRET), APP_KEY))
    return found, None, tuple(notices), keys


def settings_of(base: Settings, request: Request) -> Settings:
    """``base`` (stored settings, or the defaults) changed by what the command line gives; raises ConfigError."""
    user = UserLayers(
        *(
            _layer(stored, sources)
            for stored, sources in (
                (base.user.both, request.user.both),
                (base.user.worker, request.user.worker),
                (base.user.control_plane, request.user.control_plane),
            )
        )
    )
    problems = [
        error
        for text in request.given.get("tolerate") or ()
        if (error := _problem(taints.parse_toleration, text)) is not None
    ]
    if problems:
        raise problems[0]
    return settings_.changed(replace(base, user=user), request.given, "the command line")


def _problem(check: Callable[[str], object], text: str) -> ConfigError | None:
    try:
        check(text)
    except ConfigError as error:
        return error
    return None


def value_notes(request: Request) -> tuple[str, ...]:
    """Remarks on the values of the command line that are read as meant, but worth a line."""
    sources = (*request.user.both, *request.user.worker, *request.user.control_plane)
    if not sources:
        return ()
    from ddhelm import uservalues

    return uservalues.read(sources).notes


def _layer(stored: tree.Tree, sources: "Sequence[Source]") -> tree.Tree:
    """A slot of the user's values: a file says all of it; without a file the flags go on top of what is stored."""
    if not sources:
        return stored
    from ddhelm import uservalues

    given = uservalues.parse(sources).tree
    return given if any(part.kind == "file" for part in sources) else tree.merge(stored, given)


def _releases(
    session: Session, found: Profile, wanted: Settings, request: Request, deployed: Mapping[str, Deployed]
) -> tuple[Release, ...]:
    releases = pair(session.access.namespace, control_plane=found.control_plane_release)
    return only(releases, request.only, worker_exists=NAMES[Role.WORKER] in deployed)


def _chart(session: Session, request: Request, wanted: Settings, deployed: Mapping[str, Deployed]) -> Chart:
    """The chart that was asked for, else the installed one, else the newest of Datadog's repository."""
    installed = {state.chart_version for state in deployed.values() if state.base is not None}
    version = request.version
    if version is None and request.chart is None and installed:
        version = max(installed, key=facts.version_of)
    where = source(request.chart or wanted.chart)
    if where.kind == "path" and not Path(where.chart).expanduser().exists():
        hint = "ddhelm onboard --chart PATH|oci://…|https://helm.datadoghq.com"
        if request.chart is None:
            raise ConfigError(
                f"the chart `{where.chart}`, from which the releases were installed, is gone",
                hint=hint,
                anchor="chart-not-found",
            )
        raise ConfigError(f"there is no chart at `{where.chart}`", hint=hint, anchor="chart-not-found")
    return chart_.read(session.helm.pull(where, version))


def _known_keys(chart: Chart, wanted: Settings) -> None:
    from ddhelm import chartkeys

    known = chartkeys.known(chart.files)
    slots = {"values": wanted.user.both, "worker values": wanted.user.worker}
    slots["control-plane values"] = wanted.user.control_plane
    problems = [
        f"{slot}: `{tree.show(key.path)}`" + (f", did you mean `{key.suggestion}`?" if key.suggestion else "")
        for slot, layer in slots.items()
        for key in chartkeys.unknown(layer, known)
    ]
    if problems:
        raise ConfigError(
            f"chart {chart.name} {chart.version} does not know {len(problems)} of your keys",
            hint="mend them, or give --allow-unknown-values",
            anchor="unknown-value",
            details=problems,
        )


def _render(
    session: Session,
    chart: Chart,
    releases: Sequence[Release],
    built: Mapping[str, values.Values],
    deployed: Mapping[str, Deployed],
    request: Request,
) -> tuple[tuple[Desired, ...], Mapping[str, Desired]]:
    """The desired state of each release, and per release the state that keeps CRDs which would be lost."""
    desired = _desired(session, chart, releases, built, deployed)
    if request.delete_crds:
        return desired, {}
    losing = [
        one
        for one in desired
        if (state := deployed.get(one.release.name)) and plan.lost_crds(state.manifest, one.manifest)
    ]
    if not losing:
        return desired, {}
    keep = {("datadog", "operator", "enabled"): True, ("operator", "datadogCRDs", "keepCrds"): True}
    with_operator = {}
    for one in losing:
        kept = one.values.tree
        for path, value in keep.items():
            kept = tree.put(kept, path, value)
        with_operator[one.release.name] = replace(one.values, tree=kept)
    keepers = _desired(session, chart, [one.release for one in losing], with_operator, deployed)
    return desired, {one.release.name: one for one in keepers}


def manifests_of(
    session: Session, chart: Chart, built: Mapping[Release, values.Values], *, is_upgrade: bool
) -> Mapping[Release, Manifest]:
    """What a chart makes of values in this cluster, for each release."""
    renders = [Render(release.name, chart.path, each.tree, is_upgrade=is_upgrade) for release, each in built.items()]
    return {
        release: parse(text, release.namespace, session.masker)
        for release, text in zip(built, session.helm.templates(renders), strict=True)
    }


def _desired(
    session: Session,
    chart: Chart,
    releases: Sequence[Release],
    built: Mapping[str, values.Values],
    deployed: Mapping[str, Deployed],
) -> tuple[Desired, ...]:
    renders = [
        Render(release.name, chart.path, built[release.name].tree, is_upgrade=release.name in deployed)
        for release in releases
    ]
    texts = session.helm.templates(renders)
    return tuple(
        Desired(
            release,
            built[release.name],
            parse(text, release.namespace, session.masker),
            chart.version,
            chart.app_version,
        )
        for release, text in zip(releases, texts, strict=True)
    )


def _planned(
    session: Session, request: Request, made: Prepared, keep: Mapping[str, Desired], notices: Sequence[str]
) -> Prepared:
    cluster, wanted = made.cluster, made.settings
    namespace = session.access.namespace
    manifests = {one.release.name: one.manifest for one in made.desired}
    others = {name: state.manifest for name, state in made.deployed.items() if name not in manifests}
    server_side = session.helm.major >= 4 and any(_server_side(made.deployed.get(name)) for name in manifests)
    standing = live.read(
        session.kubectl,
        manifests,
        namespace,
        session.masker,
        namespaced=cluster.namespace is not None,
        conflicts=server_side,
    )
    placements = [
        placement
        for release, manifest in {**manifests, **others}.items()
        for placement in coverage.agent_placements(manifest, release, _role_of(release))
    ]
    kinds = session.library.node_kinds()
    covered = coverage.compute(
        cluster.facts.nodes,
        placements,
        accept=wanted.accept_uncovered,
        kind_of=lambda node: profile.kind_of(node, kinds),
    )
    steps = [
        step
        for one in made.desired
        for step in plan.steps_for(
            one, made.deployed.get(one.release.name), standing.live, keep=keep.get(one.release.name)
        )
    ]
    if made.profile.managed and NAMES[Role.CONTROL_PLANE] in made.deployed and request.only is None:
        notices = [*notices, _stray_control_plane()]
    secrets, writes = _secrets(session, wanted, made)
    unforced = [
        step
        for step in steps
        if server_side and not request.force_conflicts and _server_side(made.deployed.get(step.release.name))
    ]
    results = proof.run(_context(session, request, made, standing, covered, secrets, writes, keep), skip=request.skip)
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    result = Plan(
        tuple(steps),
        covered,
        results,
        lost_crds=_lost(made, keep, request),
        creates_namespace=cluster.namespace is None,
        labels_namespace=labels if request.label_namespace and not _privileged(cluster.namespace) else None,
        writes=writes,
        notices=(*notices, *([_NOT_FORECAST] if cluster.namespace is None else [])),
        problems=(
            *plan.broken_claims(results),
            *plan.conflict_problems(unforced),
            *_refused(standing, relabels=request.label_namespace),
            *(() if request.allow_downgrade else _downgrades(made)),
            *(_denied(session, manifests) if cluster.namespace is None else ()),
        ),
    )
    return replace(made, plan=result, workloads=standing.workloads, standing=standing.standing)


_NOT_FORECAST = (
    "objects in the namespace are not forecast: it does not exist yet; rights were asked for, "
    "and everything is forecast once more when it has been made"
)


def _server_side(state: Deployed | None) -> bool:
    """Whether Helm 4 changes this release by server-side apply; releases that Helm 3 ever wrote stay client-side."""
    return state is None or state.apply_method == "ssa"


def _refused(standing: live.Read, *, relabels: bool) -> tuple[plan.Problem, ...]:
    """Objects that the API server refuses, one problem for each reason."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for refusal in standing.refusals:
        error = refusal.error
        if not (relabels and error.anchor == "pod-security"):
            key = (error.message, error.hint, error.anchor or "forecast-refused")
            reasons.setdefault(key, []).append(f"{refusal.object[1]} {refusal.object[3]}")
    return tuple(
        plan.Problem(f"the API server would refuse {', '.join(objects)}: {message}", hint, anchor)
        for (message, hint, anchor), objects in reasons.items()
    )


def _downgrades(made: Prepared) -> tuple[plan.Problem, ...]:
    """Releases that would get an older chart than they have; CRDs can go with that (3.240.0 to 3.157.2: three)."""
    older = [
        f"`{one.release.name}` has {state.chart_version}"
        for one in made.desired
        if (state := made.deployed.get(one.release.name)) is not None
        and facts.version_of(one.chart_version) < facts.version_of(state.chart_version)
    ]
    if not older:
        return ()
    text = f"chart {made.chart.version} is older than the installed one: {', '.join(older)}"
    return (plan.Problem(text, "give --allow-downgrade, or ddhelm rollback", anchor="chart-downgrade"),)


def _denied(session: Session, manifests: Mapping[str, Manifest]) -> tuple[plan.Problem, ...]:
    """What of the rights for a namespace that is still to be made is missing; objects in it cannot be forecast."""
    denied = rights.missing(session.kubectl, manifests, session.access.namespace)
    if not denied:
        return ()
    text = f"this user may not: {denied[0]}" if len(denied) == 1 else f"this user lacks {len(denied)} rights"
    return (plan.Problem(text, rights.commands(denied), "forbidden", denied if len(denied) > 1 else ()),)


def _lost(made: Prepared, keep: Mapping[str, Desired], request: Request) -> tuple[ObjectRef, ...]:
    """The CRDs that go with ``--delete-crds``; without it PreflightFailed where this chart cannot keep them."""
    lost: list[ObjectRef] = []
    for one in made.desired:
        state = made.deployed.get(one.release.name)
        before = keep[one.release.name].manifest if one.release.name in keep else state.manifest if state else None
        lost += plan.lost_crds(before, one.manifest)
    if lost and not request.delete_crds:
        raise PreflightFailed(
            f"{len(lost)} CRDs would be deleted with all their objects, and this chart cannot keep them",
            hint="give --delete-crds if nothing in the cluster uses them",
            anchor="crds-lost",
            details=[str(ref) for ref in lost],
        )
    return tuple(lost)


def _secrets(
    session: Session, wanted: Settings, made: Prepared
) -> tuple[Mapping[str, frozenset[str]], tuple[str, ...]]:
    """Keys present in the Secrets that matter, and the keys of Secret `ddhelm` that this run would write."""
    names = {wanted.api_key_secret.name}
    if wanted.app_key_secret:
        names.add(wanted.app_key_secret.name)
    for one in made.desired:
        names |= set(named_secrets(one.manifest))
    names |= {need.spec for need in made.profile.requirements if need.kind == "secret"}
    present: dict[str, frozenset[str]] = {}
    if made.cluster.secret_keys is not None:
        present[SECRET] = made.cluster.secret_keys
    if made.cluster.namespace is not None:
        for name in sorted(names - {SECRET}):
            found = session.kubectl.secret_keys(name)
            if found is not None:
                present[name] = found.keys - found.empty
    needed = [TOKEN]
    if wanted.api_key_secret.name == SECRET:
        needed.insert(0, API_KEY)
    if wanted.app_key_secret and wanted.app_key_secret.name == SECRET:
        needed.append(APP_KEY)
    return present, tuple(key for key in needed if key not in present.get(SECRET, frozenset()))


def named_secrets(manifest: Manifest) -> tuple[str, ...]:
    """Names of the Secrets that the pods of a manifest name in their environment or volumes."""
    found: list[str] = []
    for obj in manifest.of_kind("DaemonSet", "Deployment"):
        for path, value in tree.leaves(tree.get(obj.body, ("spec", "template", "spec"), {})):
            if isinstance(value, str) and (
                path[-2:] in {("secretKeyRef", "name"), ("secretRef", "name"), ("secret", "name")}
                or path[-2:] == ("secret", "secretName")
            ):
                found.append(value)
    return tuple(dict.fromkeys(found))


def _context(
    session: Session,
    request: Request,
    made: Prepared,
    standing: live.Read,
    covered: coverage.Coverage,
    secrets: Mapping[str, frozenset[str]],
    writes: Sequence[str],
    keep: Mapping[str, Desired],
) -> claim.ProofContext:
    cluster = made.cluster
    labels = ((cluster.namespace or {}).get("metadata") or {}).get("labels") or {}
    return claim.ProofContext(
        namespace=session.access.namespace,
        releases=tuple(
            claim.ReleaseView(
                one.release.role,
                one.release.name,
                one.manifest,
                state.manifest if (state := made.deployed.get(one.release.name)) else None,
                state.record_size if state else None,
            )
            for one in made.desired
        ),
        coverage=covered,
        nodes=cluster.facts.nodes,
        live=claim.LiveState(
            objects=standing.objects,
            secrets=secrets,
            namespace_labels=labels if cluster.namespace is not None else None,
            agents=agents.foreign_agents(
                cluster.daemonsets, cluster.datadog_agents, session.access.namespace, tuple(NAMES.values())
            ),
            api_versions=cluster.facts.api_groups or None,
            webhooks=agents.webhooks(cluster.webhooks),
        ),
        require_coverage=made.settings.require_coverage,
        writes={SECRET: frozenset(writes)},
        missing_namespace=cluster.namespace is None,
        allow_second_agent=made.settings.allow_second_agent,
        delete_crds=request.delete_crds,
        keeps_crds=bool(keep),
        label_namespace=request.label_namespace,
        chart=claim.ChartView(made.chart.name, made.chart.version, session.library.refused_charts()),
        kubernetes=cluster.facts.server_version or "",
        untyped_files=frozenset(file.path for file in made.profile.host_files if file.kind == "untyped"),
        requirements=[
            {"kind": need.kind, "spec": need.spec, "why": need.why, "hint": need.hint}
            for need in made.profile.requirements
        ],
    )


def _privileged(namespace: tree.Tree | None) -> bool:
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return labels.get("pod-security.kubernetes.io/enforce") == "privileged"


def _stray_control_plane() -> str:
    name = NAMES[Role.CONTROL_PLANE]
    return f"release `{name}` stands although no control-plane node is visible: `helm uninstall {name}` removes it"


def _role_of(release: str) -> Role:
    return next(role for role, name in NAMES.items() if name == release)


def _seconds(stamp: str) -> float:
    return lock.seconds(stamp)
