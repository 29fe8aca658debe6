"""Claims against what stands in the cluster already: owners, other agents, API versions, names, fixed fields, sizes."""

import re
from collections.abc import Iterator, Mapping

from ddhelm import recordsize, selector
from ddhelm.claim import (
    LOOK_AT_WORKLOADS,
    NO_WORKLOADS,
    Claim,
    Finding,
    LiveObject,
    ProofContext,
    ReleaseView,
    Remark,
    Severity,
    Undecided,
    names,
    pod_template,
)
from ddhelm.keeper import delivery
from ddhelm.manifest import Manifest, Object, ObjectRef
from ddhelm.pasting import typed
from ddhelm.release import NAMES
from ddhelm.tree import Tree, get, same

_RELEASE, _NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")


def ours(context: ProofContext) -> Iterator[Finding]:
    if context.live.objects is None:
        raise Undecided("the objects in the cluster were not read")
    for release in context.releases:
        for identity, obj in release.manifest.objects.items():
            live = context.live.objects.get(identity)
            if live is not None:
                yield from _foreign(live, obj.ref, release.name, context.namespace)


def _foreign(live: LiveObject, ref: ObjectRef, release: str, namespace: str) -> Iterator[Finding]:
    owner, hint = _other_manager(live)
    at = (live.annotations.get(_RELEASE), live.annotations.get(_NAMESPACE))
    if owner:
        yield Finding(f"{ref} belongs to {owner}", hint)
    elif at == (release, namespace):
        if live.labels.get("app.kubernetes.io/managed-by") != "Helm":
            fix = f"kubectl{_in(ref)} label {_kind(ref)} {ref.name} --overwrite app.kubernetes.io/managed-by=Helm"
            yield Finding(f"{ref} lost the label by which Helm knows its own", fix)
    elif at[0] in NAMES.values() and at[1] == namespace:  # with an uninstall, objects of a CRD would go
        yield Finding(
            f"{ref} belongs to `{at[0]}`",
            "give what brings it to one release alone: --worker-set or --control-plane-set instead of --set",
        )
    elif at[0]:
        where = f" in namespace `{at[1]}`" if at[1] else ""
        remove = typed("helm uninstall {name} -n {namespace}", name=at[0], namespace=at[1] or namespace)
        yield Finding(f"{ref} belongs to Helm release `{at[0]}`{where}", remove)
    else:
        managed, instance = (live.labels.get(f"app.kubernetes.io/{label}") for label in ("managed-by", "instance"))
        known = "nobody"
        if managed and managed != "Helm":
            known = f"`{managed}` (its label says)"
        elif instance and not managed:  # by this label alone Argo CD tracked what is its own before 3.0
            known = f"nobody, or to Argo CD application `{instance}` (label `app.kubernetes.io/instance`)"
        adopt = f"{_kind(ref)} {ref.name} {_RELEASE}={release} {_NAMESPACE}={namespace}"
        yield Finding(
            f"{ref} stands in the cluster and belongs to {known}",
            f"delete it, or adopt it: kubectl{_in(ref)} annotate {adopt} && "
            f"kubectl{_in(ref)} label {_kind(ref)} {ref.name} --overwrite app.kubernetes.io/managed-by=Helm",
        )


def _other_manager(live: LiveObject) -> tuple[str, str]:
    """Who else writes this object, in words, and what to do; empty where nobody is seen."""
    if live.owners:
        owner = live.owners[0]
        return f"{owner}, which made it", typed("kubectl get {owner} -A", owner=owner.replace(" ", "/", 1))
    delivered = delivery(live.labels, live.annotations)
    return (delivered.who, delivered.stop) if delivered else ("", "")


def nothing_terminating(context: ProofContext) -> Iterator[Finding]:
    """No object that would be written, and not the namespace, has a ``deletionTimestamp``.

    The API server takes a write to such an object and deletes it all the same once its finalizers are cleared.
    """
    if context.live.namespace_terminating:
        gone = f"kubectl wait --for=delete namespace/{context.namespace}"
        yield Finding(f"namespace `{context.namespace}` is being deleted with all that is in it", gone)
        return
    if context.live.objects is None:
        raise Undecided("the objects in the cluster were not read")
    for release in context.releases:
        for identity, obj in release.manifest.objects.items():
            live = context.live.objects.get(identity)
            if live is not None and live.terminating:
                show = f"kubectl{_in(obj.ref)} get {_kind(obj.ref)} {obj.ref.name} -o jsonpath={{.metadata.finalizers}}"
                yield Finding(f"{obj.ref} is being deleted; `{release.name}` would lose it again", show)


def no_other_agent(context: ProofContext) -> Iterator[Finding]:
    if context.live.agents is None:
        raise Undecided("the DaemonSets of the cluster were not read", "kubectl get daemonsets -A")
    if not context.live.agents and context.live.cluster_agents is None:
        raise Undecided(NO_WORKLOADS, LOOK_AT_WORKLOADS)
    kind = Remark if context.allow_second_agent else Finding
    for agent in context.live.agents:
        yield kind(str(agent), agent.removal)


def api_versions_served(context: ProofContext) -> Iterator[Finding]:
    """Discovery offers every group, version and kind of the rendered manifests."""
    for release in context.releases:
        for version, kind, refs in _unserved(release.manifest, context):
            text = f"`{release.name}` has {names(refs)}: this cluster serves no {kind} in `{version}`"
            wrong = f"is this cluster `{context.doubted}`? ddhelm detect shows what speaks against it"
            yield Finding(text, wrong if context.doubted else "")


def stored_versions_served(context: ProofContext) -> Iterator[Finding]:
    """Discovery offers those of the deployed records too.

    helm 3 and 4 build each object of the stored manifest before an upgrade and an uninstall: ``no matches for kind``.
    """
    for release in context.releases:
        for version, kind, refs in _unserved(release.stored, context) if release.stored else ():
            text = (
                f"the deployed record of `{release.name}` has {names(refs)} in `{version}`, {kind} is not served there"
            )
            fix = f"helm mapkubeapis {release.name} --namespace {context.namespace}"
            yield Finding(
                f"{text}: upgrade and uninstall would both fail",
                f"the plugin mapkubeapis rewrites the record: {fix}; never try uninstall as a cure",
            )


def _unserved(manifest: Manifest, context: ProofContext) -> Iterator[tuple[str, str, list[str]]]:
    """API version and kind that the cluster does not serve, with the objects that need it."""
    served, kinds = context.live.api_versions, context.live.kinds
    if served is None:
        raise Undecided("the API groups of the cluster were not read")
    own = {
        (get(obj.body, ("spec", "group")), get(obj.body, ("spec", "names", "kind")))
        for obj in (manifest.of_kind("CustomResourceDefinition") if _has_custom(manifest, served) else ())
    }
    missing: dict[tuple[str, str], list[str]] = {}
    for obj in manifest.objects.values():
        ref = obj.ref
        known = ref.api_version in served | {"v1"} and (kinds is None or f"{ref.api_version}/{ref.kind}" in kinds)
        if not known and (ref.group, ref.kind) not in own:
            missing.setdefault((ref.api_version, ref.kind), []).append(str(ref))
    for (version, kind), refs in missing.items():
        yield version, kind, refs


def _has_custom(manifest: Manifest, served: frozenset[str]) -> bool:
    """Whether anything is not served, so that the CRDs in the same manifest have to be looked into."""
    return any(obj.ref.api_version not in served | {"v1"} for obj in manifest.objects.values())


def names_fit(context: ProofContext) -> Iterator[Finding]:
    """Names and label values are ones that Kubernetes takes.

    A Service is a DNS label of 63 characters, all else a DNS subdomain of 253, RBAC names may hold more (Kubernetes:
    Object Names and IDs; Labels and Selectors).
    """
    for release in context.releases:
        for obj in release.manifest.objects.values():
            ref = obj.ref
            limit, form = (63, _SERVICE_NAME) if ref.kind == "Service" else (253, _OBJECT_NAME)
            if len(ref.name) > limit:
                yield Finding(f"{ref}: the name has {len(ref.name)} characters, {limit} are allowed")
            elif not form.fullmatch(ref.name) and "rbac" not in ref.group:
                yield Finding(f"{ref}: this is no name of a {ref.kind} for Kubernetes")
        for obj in release.manifest.of_kind(*_WORKLOADS):
            labels = {**(get(obj.body, ("metadata", "labels")) or {}), **_pod_labels(obj)}
            for key, value in labels.items():
                problem = selector.key_problem(str(key)) or selector.value_problem(str(value))
                if problem:
                    yield Finding(f"{obj.ref}: label `{key}`: {problem}")


def selectors_unchanged(context: ProofContext) -> Iterator[Finding]:
    """``spec.selector`` of an apps/v1 workload is what stands (it is immutable) and chooses the template's pods."""
    for release in context.releases:
        for obj in release.manifest.of_kind(*_WORKLOADS):
            wanted = _selector(get(obj.body, ("spec", "selector")))
            standing = _standing_selector(context, release, obj.ref)
            if standing is not None and not same(wanted, _selector(standing)):
                # not --cascade=orphan: nothing would ever end pods that the new selector does not choose
                fix = f"kubectl{_in(obj.ref)} delete {_kind(obj.ref)} {obj.ref.name}"
                yield Finding(
                    f"{obj.ref}: the selector cannot be changed from {_words(standing)} to {_words(wanted)}", fix
                )
            labels = _pod_labels(obj)
            if not all(labels.get(key) == value for key, value in (wanted.get("matchLabels") or {}).items()):
                yield Finding(f"{obj.ref}: the selector {_words(wanted)} does not choose its own pods")


def _standing_selector(context: ProofContext, release: ReleaseView, ref: ObjectRef) -> Tree | None:
    live = (context.live.objects or {}).get(ref.identity)
    if live is not None:
        return live.selector
    stored = release.stored.get(ref.identity) if release.stored and context.live.objects is None else None
    return get(stored.body, ("spec", "selector")) if stored else None


def _selector(tree: Tree | None) -> Tree:
    tree = tree or {}
    return {key: tree[key] for key in ("matchLabels", "matchExpressions") if tree.get(key)}


def _words(tree: Tree) -> str:
    labels = tree.get("matchLabels") or {}
    return "`" + ",".join(f"{key}={value}" for key, value in sorted(labels.items())) + "`"


def _pod_labels(obj: Object) -> Mapping[str, str]:
    return get(pod_template(obj), ("metadata", "labels")) or {}


def record_fits(context: ProofContext) -> Iterator[Finding]:
    """The records, compressed as helm does, fit into a Secret of 1 MiB; a remark where one is near."""
    for release in context.releases:
        size = release.record_size
        if size is None or size < recordsize.NEAR:
            continue
        said = f"the record of `{release.name}` will have about {size:,} bytes, a Secret holds {recordsize.LIMIT:,}"
        yield Finding(said) if size > recordsize.LIMIT else Remark(said)


def crd_versions_kept(context: ProofContext) -> Iterator[Finding]:
    """A CRD keeps each of its ``status.storedVersions``; the API server refuses one that drops such a version."""
    for release in context.releases:
        for obj in release.manifest.of_kind("CustomResourceDefinition"):
            live = (context.live.objects or {}).get(obj.ref.identity)
            if live is None or not live.stored_versions:
                continue
            offered = {str(version.get("name")) for version in get(obj.body, ("spec", "versions")) or ()}
            gone = [version for version in live.stored_versions if version not in offered]
            if gone:
                yield Finding(
                    f"CRD {obj.ref.name}: objects may be stored in {', '.join(gone)}, which the new one drops"
                )


def _in(ref: ObjectRef) -> str:
    return f" -n {ref.namespace}" if ref.namespace else ""


def _kind(ref: ObjectRef) -> str:
    return f"{ref.kind.lower()}.{ref.group}" if ref.group else ref.kind.lower()


CLAIMS = (
    Claim(
        "objects-are-ours",
        "nothing that would be written belongs to somebody else",
        Severity.FATAL,
        "the owner has to give it up first",
        "owned-elsewhere",
        ours,
    ),
    Claim(
        "nothing-terminating",
        "nothing that would be written is being deleted",
        Severity.FATAL,
        "wait until it is gone, or clear its finalizers",
        "object-terminating",
        nothing_terminating,
    ),
    Claim(
        "no-other-agent",
        "no other DaemonSet, Deployment, StatefulSet or DatadogAgent runs a Datadog agent",
        Severity.FATAL,
        "remove it, or insist with --allow-second-agent",
        "another-agent",
        no_other_agent,
    ),
    Claim(
        "api-versions-served",
        "the cluster serves every API that the releases use",
        Severity.FATAL,
        "choose a chart version for this Kubernetes: ddhelm onboard --version VERSION",
        "api-version-not-served",
        api_versions_served,
    ),
    Claim(
        "stored-api-versions-served",
        "the cluster serves every API of the deployed records",
        Severity.FATAL,
        "helm's plugin mapkubeapis rewrites the record; never try uninstall as a cure",
        "stored-api-version-not-served",
        stored_versions_served,
    ),
    Claim(
        "names-fit",
        "every name and label is one that Kubernetes takes",
        Severity.FATAL,
        "a shorter name: take `fullnameOverride` and `nameOverride` out of your values, or shorten them",
        "name-too-long",
        names_fit,
    ),
    Claim(
        "selectors-unchanged",
        "no selector of an installed workload changes",
        Severity.FATAL,
        "take `agents.podLabels`, `clusterAgent.podLabels` and `fullnameOverride` out of your values",
        "immutable-field",
        selectors_unchanged,
    ),
    Claim(
        "record-fits",
        "the release records fit into a Secret",
        Severity.FATAL,
        "smaller values: Helm stores chart, values and manifest in one Secret",
        "release-too-big",
        record_fits,
    ),
    Claim(
        "crd-versions-kept",
        "CRDs keep every version in which objects are stored",
        Severity.FATAL,
        "migrate the objects first; the chart's notes for that version say how",
        "crd-stored-version",
        crd_versions_kept,
    ),
)
