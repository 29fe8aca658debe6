"""What a claim is, and what it is proven on: the rendered releases, the nodes, and what stands in the cluster.

A claim is a record, so that it can be listed, skipped by name and documented. Its function looks at the context and
yields what speaks against it; what could not be read is said as such, never taken for a yes or a no.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from posixpath import normpath
from typing import Any

from msgspec import Struct

from ddhelm.coverage import Coverage, Placement
from ddhelm.manifest import Identity, Manifest, Object, ObjectRef
from ddhelm.nodes import Node
from ddhelm.pasting import typed
from ddhelm.podsecurity import Default
from ddhelm.release import Role
from ddhelm.tree import Tree, get
from ddhelm.workloads import is_agent, is_cluster_agent


class Severity(StrEnum):
    """What a broken claim means: nothing is written, it is said, or it is mentioned."""

    FATAL = "fatal"
    WARNING = "warning"
    NOTE = "note"


class Undecided(Exception):
    """Raised by a claim's function when what it needs was not read; the text says what.

    ``hint``: how to find out by hand, where that depends on the releases (empty: the claim's own hint).
    """

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class Finding(Struct, frozen=True):
    """One thing that speaks against a claim, and what to type about it (empty: the claim's own hint)."""

    text: str
    hint: str = ""


class Remark(Finding, frozen=True):
    """Something to say that does not break the claim."""


class Caution(Finding, frozen=True):
    """Speaks against a claim that the user waived, or perhaps: where nothing else does, the claim is a warning."""


class ForeignAgent(Struct, frozen=True):
    """A Datadog agent that is not ours. ``what``: its kind (DaemonSet …); ``nodes``: how many it wants."""

    what: str
    name: str
    namespace: str
    owner: str
    nodes: int = 0

    @property
    def removal(self) -> str:
        """What to do about it, by a command where its owner tells one."""
        found = re.match(r"Helm release `([^`]+)` in namespace `([^`]+)`", self.owner)
        if found:
            remove = "helm uninstall {name} -n {namespace}, or --allow-second-agent"
            return typed(remove, name=found[1], namespace=found[2])
        return "remove it, or insist with --allow-second-agent"

    def __str__(self) -> str:
        where = f" on {self.nodes} nodes" if self.nodes else ""
        return f"{self.what} `{self.namespace}/{self.name}`{where}, owned by {self.owner}"


class OtherDaemonSet(Struct, frozen=True):
    """A DaemonSet that is not ours: where its pods may run, and the paths of the host that they write to.

    ``agent``: whether it runs a Datadog agent.
    """

    name: str
    namespace: str
    placement: Placement
    written: frozenset[str] = frozenset()
    agent: bool = False

    def __str__(self) -> str:
        return f"DaemonSet `{self.namespace}/{self.name}`"


class LiveObject(Struct, frozen=True):
    """What stands in the cluster under the identity of one of our objects. ``owners``: "Kind name" of its owners."""

    ref: ObjectRef
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owners: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    selector: Tree | None = None
    terminating: bool = False
    stored_versions: tuple[str, ...] = ()
    """Of a CRD: the versions in which objects are stored (``status.storedVersions``)."""


class LiveWebhook(Struct, frozen=True):
    """A webhook configuration of the cluster and the Service that it calls."""

    name: str
    namespace: str
    service: str


class LiveState(Struct, frozen=True):
    """What was read of the cluster; None everywhere means "not read", never "none".

    ``secrets``: names in the releases' namespace to the keys that hold something. ``kinds``: "apps/v1/DaemonSet".
    ``crd_objects``: how many objects there are of a CRD, by its name. ``daemonsets``: those of others that take a host
    port or run an agent. ``cluster_agents``: those of others, None where Deployments and StatefulSets were not read.
    """

    objects: Mapping[Identity, LiveObject] | None = None
    secrets: Mapping[str, frozenset[str]] | None = None
    namespace_labels: Mapping[str, str] | None = None
    namespace_terminating: bool = False
    agents: Sequence[ForeignAgent] | None = None
    cluster_agents: Sequence[ForeignAgent] | None = None
    daemonsets: Sequence[OtherDaemonSet] | None = None
    api_versions: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    webhooks: Sequence[LiveWebhook] | None = None
    crd_objects: Mapping[str, int] | None = None


class ReleaseView(Struct, frozen=True):
    """One release: what it shall be and what is deployed. ``record_size``: bytes that its record will have.

    ``lost_crds``: those that its upgrade deletes.
    """

    role: str
    name: str
    manifest: Manifest
    stored: Manifest | None = None
    record_size: int | None = None
    lost_crds: tuple[ObjectRef, ...] = ()

    def agents(self) -> tuple[Object, ...]:
        """The DaemonSets of its node agents: those with a container called ``agent``."""
        return tuple(obj for obj in self.manifest.of_kind("DaemonSet") if is_agent(obj.body))

    def cluster_agents(self) -> tuple[Object, ...]:
        """Its Cluster Agents: Deployments with a container called ``cluster-agent``."""
        return tuple(obj for obj in self.manifest.of_kind("Deployment") if is_cluster_agent(obj.body))


class ChartView(Struct, frozen=True):
    """The chart: name, version, and the rows of `charts-values/chart-versions.yaml` (first, last, why, use)."""

    name: str
    version: str
    refused: Sequence[Mapping[str, Any]] = ()


class ProofContext(Struct, frozen=True):
    """All that the claims are proven on.

    ``nodes_unread``: why the nodes could not be read, else empty. ``running``: of the nodes that would not get an
    agent again, those that were looked at, to the releases whose agent runs there now. ``writes``: Secret to keys that
    this run will write. ``certificates``: Secret to the days until the client certificate in it ends, negative once it
    has; None where what stands there is none.
    ``missing_namespace``: it is not there and will be made with the label it needs.
    The other switches are the user's insistence: ``--require-coverage``, ``--allow-second-agent``, ``--delete-crds``,
    ``--label-namespace``. ``tolerate``: what ``--tolerate`` says. ``requirements``: rows of kind (chart, kubernetes,
    secret), spec, why, hint, and of a Secret its keys.
    ``pod_security``: the level that the distribution enforces in a namespace without a label, None for Kubernetes' own.
    ``doubted``: the distribution that ``--distribution`` named against what the cluster shows.
    ``untyped_files``: files of the host that the kubelet cannot look at, so that a type would keep the pod waiting.
    """

    namespace: str
    releases: Sequence[ReleaseView]
    coverage: Coverage
    nodes: Sequence[Node]
    nodes_unread: str = ""
    live: LiveState = LiveState()
    require_coverage: bool = False
    running: Mapping[str, frozenset[str]] = {}
    writes: Mapping[str, frozenset[str]] = {}
    certificates: Mapping[str, int | None] = {}
    missing_namespace: bool = False
    allow_second_agent: bool = False
    delete_crds: bool = False
    label_namespace: bool = False
    tolerate: Sequence[str] = ()
    chart: ChartView | None = None
    kubernetes: str = ""
    requirements: Sequence[Mapping[str, Any]] = ()
    untyped_files: frozenset[str] = frozenset()
    pod_security: Default | None = None
    doubted: str = ""

    def of_role(self, role: Role) -> ReleaseView | None:
        """The release of that role, where this run has one."""
        return next((release for release in self.releases if release.role == role), None)


NO_WORKLOADS = "the Deployments and StatefulSets of the cluster were not read"
LOOK_AT_WORKLOADS = "kubectl get deployments,statefulsets -A -o wide"

Prove = Callable[[ProofContext], Iterator[Finding]]


class Claim(Struct, frozen=True):
    """A sentence that must hold. ``anchor`` is a heading of the errors page."""

    name: str
    claim: str
    severity: Severity
    hint: str
    anchor: str
    function: Prove


class Result(Struct, frozen=True):
    """A claim's verdict. ``ok``: nothing speaks against it; ``details`` may still hold remarks.

    ``unknown``: why it could not be decided, else empty. ``hints``: what to type about the findings, each once.
    """

    claim: Claim
    ok: bool
    details: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    skipped: bool = False
    unknown: str = ""

    def ways(self, told: set[str]) -> list[str]:
        """What to type, the claim's own hint where no finding has one; without those ``told``, which it joins."""
        ways = [hint for hint in self.hints or (self.claim.hint,) if hint and hint not in told]
        told.update(ways)
        return ways


def pod_template(obj: Object) -> Tree:
    """The pod template of a workload, masked."""
    return get(obj.body, ("spec", "template")) or {}


def pod_spec(obj: Object) -> Tree:
    """The pod spec of a workload, masked."""
    return get(obj.body, ("spec", "template", "spec")) or {}


def containers(pod: Mapping[str, Any]) -> list[Tree]:
    """The containers of a pod spec, init containers first, as they run."""
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]


def written_paths(pod: Mapping[str, Any]) -> frozenset[str]:
    """The paths of the host that a pod's containers may write to, as its volumes name them."""
    volumes = {v.get("name"): v["hostPath"].get("path") for v in pod.get("volumes") or () if v.get("hostPath")}
    return frozenset(
        normpath(str(volumes[mount.get("name")]))
        for container in containers(pod)
        for mount in container.get("volumeMounts") or ()
        if not mount.get("readOnly") and volumes.get(mount.get("name"))
    )


def environment(container: Mapping[str, Any]) -> Mapping[str, Tree]:
    """The variables of a container by name; of two with one name the last counts, as in Kubernetes."""
    return {str(item.get("name")): item for item in container.get("env") or ()}


def names(some: Sequence[str], shown: int = 5) -> str:
    """The first few names, and how many more there are."""
    rest = len(some) - shown
    return ", ".join(some[:shown]) + (f" and {rest} more" if rest > 0 else "")
