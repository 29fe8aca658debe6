"""What speaks against a plan: claims, refusals of the API server, missing rights, downgrades."""

from collections.abc import Collection, Mapping, Sequence

from ddhelm import claim, coverage, facts, profile, recordsize, tree
from ddhelm.actions import agents, live, reading, rights
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.reading import Cluster
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.answers import CLIENT_CERTIFICATE
from ddhelm.chart import Chart
from ddhelm.coverage import picking_none
from ddhelm.keeper import keeper
from ddhelm.manifest import Manifest
from ddhelm.nodes import Node
from ddhelm.plan import Desired, Problem, Step, StepKind
from ddhelm.profile import Profile
from ddhelm.release import API_KEY, APP_KEY, NAMES, SECRET, TOKEN, Role, pair
from ddhelm.settings import SITES, Settings

_NAMED = 5
"""Objects that a line names; more of them stand below it."""


def refused(standing: live.Read, *, relabels: bool, told: Sequence[Problem] = ()) -> tuple[Problem, ...]:
    """Objects that the API server refuses, one problem for each reason; not those that ``told`` names for the same.

    Nor those that are refused because the namespace is being deleted, where ``told`` says that.
    """
    reasons: dict[tuple[str, str, str], list[str]] = {}
    anchors = {one.anchor for one in told}
    for refusal in standing.refusals:
        error = refusal.error
        known = any(
            one.anchor == error.anchor and any(f"{refusal.object[3]}:" in line for line in one.details) for one in told
        )
        known = known or (error.anchor == "namespace-terminating" and "object-terminating" in anchors)
        if not known and not (relabels and error.anchor == "pod-security"):
            key = (error.message, error.hint, error.anchor or "forecast-refused")
            reasons.setdefault(key, []).append(f"{refusal.object[1]} {refusal.object[3]}")
    return tuple(
        Problem(
            f"the API server would refuse {claim.names(objects, _NAMED)}: {message}",
            hint,
            anchor,
            tuple(objects) if len(objects) > _NAMED else (),
        )
        for (message, hint, anchor), objects in reasons.items()
    )


def downgrades(made: Prepared) -> tuple[Problem, ...]:
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
    return (Problem(text, "give --allow-downgrade, or ddhelm rollback", anchor="chart-downgrade"),)


def denied(session: Session, manifests: Mapping[str, Manifest]) -> tuple[Problem, ...]:
    """What of the rights for a namespace that is still to be made is missing; objects in it cannot be forecast."""
    denied = rights.missing(session.kubectl, manifests, session.access.namespace)
    if not denied:
        return ()
    text = f"this user may not: {denied[0]}" if len(denied) == 1 else f"this user lacks {len(denied)} rights"
    return (Problem(text, rights.commands(denied), "forbidden", denied if len(denied) > 1 else ()),)


def secrets_of(
    session: Session, wanted: Settings, made: Prepared
) -> tuple[Mapping[str, frozenset[str]], tuple[str, ...], Mapping[str, int | None]]:
    """Keys present in the Secrets that matter, and the keys of Secret `ddhelm` that this run would write.

    And the days until the client certificate in one of them ends; None where what stands there is none.
    """
    names = {wanted.api_key_secret.name}
    if wanted.app_key_secret:
        names.add(wanted.app_key_secret.name)
    for one in made.desired:
        names |= set(named_secrets(one.manifest))
    names |= {need.spec for need in made.profile.requirements if need.kind == "secret"}
    present: dict[str, frozenset[str]] = {}
    days: dict[str, int | None] = {}
    if made.cluster.secret_keys is not None:
        present[SECRET] = made.cluster.secret_keys
    if made.cluster.namespace is not None:
        for name in sorted(names - {SECRET}):
            found = session.kubectl.secret_keys(name)
            if found is not None:
                present[name] = found.keys - found.empty
                if CLIENT_CERTIFICATE in present[name]:
                    from ddhelm.actions import certs

                    days[name] = certs.days_left(found)
    needed = [TOKEN]
    if wanted.api_key_secret.name == SECRET:
        needed.insert(0, API_KEY)
    if wanted.app_key_secret and wanted.app_key_secret.name == SECRET:
        needed.append(APP_KEY)
    return present, tuple(key for key in needed if key not in present.get(SECRET, frozenset())), days


def kept_elsewhere(session: Session, wanted: Settings, present: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """A notice for each key that stands in somebody else's Secret: where, and who keeps it."""
    notices = []
    for what, secret in (("API key", wanted.api_key_secret), ("application key", wanted.app_key_secret)):
        if secret is None or secret.name == SECRET or secret.name not in present:
            continue
        who = keeper(session.kubectl.secret_metadata(secret.name) or {})
        by = f", which {who} keeps" if who else ""
        notices.append(f"the {what} is `{secret.key}` of Secret `{secret.name}`{by}; ddhelm never writes it")
    return tuple(notices)


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


def context(
    session: Session,
    request: Request,
    made: Prepared,
    standing: live.Read,
    steps: Sequence[Step],
    covered: coverage.Coverage,
    running: Mapping[str, frozenset[str]],
    secrets: Mapping[str, frozenset[str]],
    writes: Sequence[str],
    certificates: Mapping[str, int | None],
) -> claim.ProofContext:
    """All that the claims may look at, of what was read, computed and planned.

    ``running``: node to the releases whose agents were seen there; ``secrets``: name to its keys; ``writes``: keys that
    this run puts into Secret `ddhelm`; ``certificates``: Secret to days left.
    """
    cluster = made.cluster
    return claim.ProofContext(
        namespace=session.access.namespace,
        releases=_release_views(made, steps),
        coverage=covered,
        nodes=cluster.facts.nodes,
        nodes_unread=next((unread.why for unread in cluster.facts.unread if unread.name == "nodes"), ""),
        live=_live_state(session.access.namespace, cluster, standing, secrets),
        running=running,
        require_coverage=made.settings.require_coverage,
        writes={SECRET: frozenset(writes)},
        certificates=certificates,
        missing_namespace=cluster.namespace is None,
        allow_second_agent=made.settings.allow_second_agent,
        delete_crds=request.delete_crds,
        label_namespace=request.label_namespace,
        tolerate=made.settings.tolerate,
        chart=claim.ChartView(made.chart.name, made.chart.version, session.library.refused_charts()),
        kubernetes=cluster.facts.server_version or "",
        untyped_files=untyped_files(made.profile),
        pod_security=made.profile.pod_security_default,
        doubted=made.profile.doubted,
        requirements=requirements(made.profile),
    )


def _release_views(made: Prepared, steps: Sequence[Step]) -> tuple[claim.ReleaseView, ...]:
    stored = {step.release.name for step in steps if step.kind in {StepKind.INSTALL, StepKind.UPGRADE}}
    return tuple(
        claim.ReleaseView(
            one.release.role,
            one.release.name,
            one.manifest,
            state.manifest if (state := made.deployed.get(one.release.name)) else None,
            record_size(made.chart, one) if one.release.name in stored else None,
            tuple(
                ref
                for step in steps
                if step.release == one.release and step.kind is StepKind.UPGRADE
                for ref in step.deleted_crds
            ),
        )
        for one in made.desired
    )


def _live_state(
    namespace: str, cluster: Cluster, standing: live.Read, secrets: Mapping[str, frozenset[str]]
) -> claim.LiveState:
    metadata = (cluster.namespace or {}).get("metadata") or {}
    labels = metadata.get("labels", {})
    ours = tuple(NAMES.values())
    return claim.LiveState(
        objects=standing.objects,
        secrets=secrets,
        namespace_labels=labels if cluster.namespace is not None else None,
        namespace_terminating="deletionTimestamp" in metadata,
        agents=None
        if cluster.daemonsets is None
        else agents.foreign_agents(
            cluster.daemonsets, cluster.datadog_agents, namespace, ours, cluster.workloads or ()
        ),
        cluster_agents=agents.foreign_cluster_agents(cluster.workloads, namespace, ours),
        daemonsets=agents.other_daemonsets(cluster.daemonsets, namespace, ours),
        api_versions=cluster.facts.api_groups or None,
        webhooks=agents.webhooks(cluster.webhooks),
    )


def covered_after(session: Session, made: Prepared) -> coverage.Coverage:
    """Which agents each node gets once the plan is carried out, those of releases that it leaves alone too.

    A release of the pair that is not there then either is told as the reason of its nodes: to accept these would hide
    their loss once it is.
    """
    manifests = {one.release.name: one.manifest for one in made.desired}
    others = reading.standing(made.deployed)
    manifests |= {name: state.manifest for name, state in others.items() if name not in manifests}
    whole = pair(session.access.namespace, control_plane=made.profile.control_plane_release)
    absent = [release.name for release in whole if release.name not in manifests]
    return covered_by(session, made.cluster.facts.nodes, made.settings, manifests, absent)


def covered_by(
    session: Session,
    nodes: Sequence[Node],
    wanted: Settings,
    manifests: Mapping[str, Manifest],
    absent: Sequence[str] = (),
) -> coverage.Coverage:
    """Which agents each node gets of the releases' manifests (release name to manifest).

    ``absent``: releases that should be there too and are not, by name.
    """
    roles = {name: role for role, name in NAMES.items()}
    placements = [
        placement
        for release, manifest in manifests.items()
        for placement in coverage.agent_placements(manifest, release, roles[release])
    ]
    kinds = profile.Kinds(session.library.node_kinds())
    found = coverage.compute(
        nodes, placements, accept=wanted.accept_uncovered, kind_of=kinds, wherever=True, absent=absent
    )
    return found.fixed_together(wanted.tolerate, wanted.accept_uncovered)


def record_size(chart: Chart, one: Desired) -> int | None:
    """Bytes that the release's record will have; None where the chart is not at hand (a way back)."""
    if not chart.digest:
        return None
    archive = None if chart.path.is_dir() else chart.path.stat().st_size
    return recordsize.forecast(one.values.tree, one.manifest, archive, lambda: chart.files)


def untyped_files(found: Profile) -> frozenset[str]:
    """The host files that the distribution wants mounted without a type."""
    return frozenset(file.path for file in found.host_files if file.kind == "untyped")


def requirements(found: Profile) -> list[tree.Tree]:
    """What the distribution's values need, as the claim about it reads them."""
    return [
        {"kind": need.kind, "spec": need.spec, "keys": list(need.keys), "why": need.why, "hint": need.hint}
        for need in found.requirements
    ]


def without_effect(found: Profile, wanted: Settings, nodes: Sequence[Node]) -> list[str]:
    """Lines about settings that do nothing here: of a release that there is not, for nodes that there are not."""
    idle = [
        f"--accept-uncovered '{text}' picks none of the {len(nodes)} nodes; it is kept for nodes to come"
        for text in picking_none(wanted.accept_uncovered, nodes)
    ]
    return [*idle, *_of_no_release(found, wanted)]


def left_standing(found: Profile, deployed: Collection[str], request: Request) -> list[str]:
    """A line about a control-plane release (of those ``deployed``, by name) in a cluster that gets none any more."""
    name = NAMES[Role.CONTROL_PLANE]
    if not found.managed or name not in deployed or request.only is not None:
        return []
    return [f"release `{name}` stands although no control-plane node is visible: `helm uninstall {name}` removes it"]


def unknown_site(wanted: Settings) -> list[str]:
    """A line about a site that Datadog's documentation does not list, which may be a new one or mistyped."""
    if wanted.site is None or wanted.site in SITES:
        return []
    return [f"`{wanted.site}` is none of Datadog's sites that are known here ({', '.join(SITES)}); it is used as it is"]


def two_sites(wanted: Settings) -> list[str]:
    """A line about a site among the user's own values that is another than the setting: agents go where it says."""
    if wanted.site is None:
        return []
    flags = {
        "--set": wanted.user.both,
        "--worker-set": wanted.user.worker,
        "--control-plane-set": wanted.user.control_plane,
    }
    given = {flag: tree.get(layer, ("datadog", "site"), wanted.site) for flag, layer in flags.items()}
    # null takes out what ddhelm set too, and agents that are told no site go to the first
    others = {
        flag: str(site or f"null, so {SITES[0]}") for flag, site in given.items() if (site or SITES[0]) != wanted.site
    }
    if not others:
        return []
    same = " ".join(f"{flag} datadog.site={wanted.site}" for flag in others)
    return [
        f"your value `datadog.site` ({'; '.join(sorted(set(others.values())))}) is another site than "
        f"--site {wanted.site}, and the agents heed the value: change it with {same}"
    ]


def _of_no_release(found: Profile, wanted: Settings) -> list[str]:
    if not found.managed:
        return []
    given = {
        "--control-plane-values or --control-plane-set": wanted.user.control_plane,
        "--drop-check": wanted.drop_checks,
        "--etcd-secret": wanted.etcd_secret,
        "--apm-control-plane": wanted.apm_control_plane,
    }
    flags = [flag for flag, value in given.items() if value]
    return [f"{', '.join(flags)}: kept, but without effect while there is no control-plane release"] if flags else []
