"""Every claim holds on a right pair, and each breaks on the one thing that it is there for."""

import shlex
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from ddhelm import proof, setflags
from ddhelm.actions.agents import other_daemonsets
from ddhelm.address import NODE_ADDRESS
from ddhelm.claim import ChartView
from ddhelm.errors import ConfigError
from ddhelm.etcd import OWN
from ddhelm.manifest import ObjectRef
from ddhelm.nodes import Node
from ddhelm.notices import broken_claims
from ddhelm.podsecurity import Default
from ddhelm.proof import CLAIMS, ForeignAgent, LiveObject, LiveWebhook, ProofContext, Result, Severity
from ddhelm.steps import lost_crds
from ddhelm.taints import parse_toleration
from ddhelm.tree import Tree
from tests.unit.clusters import CONTROL, CONTROL_PLANE, HOSTNAME, OS, WORKER, control_plane, expression, node
from tests.unit.pairs import (
    CA,
    CLUSTER_AGENT,
    ETCD,
    FULL,
    NAMESPACE,
    change,
    context,
    control_plane_objects,
    manifest,
    worker_objects,
)

POD = ("spec", "template", "spec")
AGENT = (*POD, "containers", 0)
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "monitors.datadoghq.com"},
    "spec": {"group": "datadoghq.com", "names": {"kind": "Monitor"}, "versions": [{"name": "v1"}]},
}


def result(name: str, of: ProofContext) -> Result:
    return next(r for r in proof.run(of) if r.claim.name == name)


def worker(which: str, path: tuple[str | int, ...], value: Any) -> ProofContext:
    return context(change(worker_objects(), which, path, value))


def control(which: str, path: tuple[str | int, ...], value: Any) -> ProofContext:
    return context(None, change(control_plane_objects(), which, path, value))


def with_object(tree: Tree, *, both: bool = False, **more: Any) -> ProofContext:
    in_control = {**control_plane_objects(), **({"more": tree} if both else {})}
    return context({**worker_objects(), "more": tree}, in_control, **more)


def standing(ref: ObjectRef, **more: Any) -> dict[str, Any]:
    """A live state in which one object of ours stands already, by default as nobody's."""
    return {"objects": {ref.identity: LiveObject(**{"ref": ref, "labels": {}, "annotations": {}, **more})}}


SERVICE = ObjectRef("v1", "Service", NAMESPACE, CLUSTER_AGENT)
HELM = {"app.kubernetes.io/managed-by": "Helm"}


STRANGER = ForeignAgent("Deployment", "a", "b", "nobody known")


def owned(release: str, namespace: str = NAMESPACE) -> dict[str, str]:
    return {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}


def mounted(host: str, kind: str, at: str) -> ProofContext:
    """The control-plane release with its CA mounted in another way."""
    objects = change(control_plane_objects(), "agent", (*POD, "volumes", 2, "hostPath"), {"path": host, "type": kind})
    return context(None, change(objects, "agent", (*AGENT, "volumeMounts", 1, "mountPath"), at))


def kept(running: dict[str, frozenset[str]]) -> ProofContext:
    """Two nodes that a taint closed after the install, and the releases whose agent was seen there."""
    return context(nodes=CLOSED, installed=True, running=running)


def listening() -> dict[str, Tree]:
    """The control-plane release, its agents listening for DogStatsD."""
    port = {"containerPort": 8125, "protocol": "UDP"}
    return change(control_plane_objects(), "agent", (*AGENT, "ports"), [port])


def statsd(port: Tree | None = None, *, image: str = "statsd", mounts: Sequence[Tree] = (), **pod: Any) -> Tree:
    """A DaemonSet of somebody else's that takes 8125/udp on every node."""
    ports = [{"containerPort": 8125, "hostPort": 8125, "protocol": "UDP", **(port or {})}]
    containers = [{"name": "s", "image": image, "ports": ports, "volumeMounts": list(mounts)}]
    spec = {"containers": containers, "tolerations": [{"operator": "Exists"}], **pod}
    return {"metadata": {"name": "statsd", "namespace": "default"}, "spec": {"template": {"spec": spec}}}


def neighbours(*daemonsets: Tree) -> Any:
    return other_daemonsets({"items": list(daemonsets)}, NAMESPACE, (WORKER, CONTROL))


def crowded(**container: Any) -> ProofContext:
    """A node that is control plane and worker in one, and a worker release that does not leave it alone."""
    ours, theirs = change(worker_objects(), "agent", (*POD, "affinity"), {}), control_plane_objects()
    for key, value in container.items():
        ours, theirs = (change(objects, "agent", (*AGENT, key), value) for objects in (ours, theirs))
    return context(ours, theirs, nodes=(node("k3s", labels={CONTROL_PLANE: ""}),))


def upgrade_from(stored: dict[str, Tree], **more: Any) -> ProofContext:
    found = context(**more)
    first, *rest = found.releases
    before = manifest(stored)
    lost = lost_crds(before, first.manifest)
    return replace(found, releases=(replace(first, stored=before, lost_crds=lost), *rest))


def sized(size: int) -> ProofContext:
    found = context()
    return replace(found, releases=tuple(replace(r, record_size=size) for r in found.releases))


def stored_in(version: str) -> ProofContext:
    ref = ObjectRef("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "monitors.datadoghq.com")
    state = standing(ref, labels=HELM, annotations=owned(WORKER), stored_versions=("v1", version))
    return with_object(CRD, state=state)


HOSTILE = "x; touch /tmp/pwn #"
HOSTILE_OWNERS: dict[str, dict[str, Any]] = {
    "a release": standing(SERVICE, annotations=owned(HOSTILE, "$(id)")),
    "an Argo CD application": standing(SERVICE, annotations={"argocd.argoproj.io/tracking-id": f"{HOSTILE}:/x"}),
    "an owner": standing(SERVICE, owners=(f"Datadog {HOSTILE}",)),
    "another agent": {
        "agents": (ForeignAgent("DaemonSet", "dd", "x", f"Helm release `{HOSTILE}` in namespace `$(id)`", 7),)
    },
}


@pytest.mark.parametrize("state", HOSTILE_OWNERS.values(), ids=HOSTILE_OWNERS)
def test_what_an_annotation_says_cannot_end_a_command_to_type(state: dict[str, Any]) -> None:
    hints = [hint for result in proof.run(context(state=state)) for hint in result.hints if "touch" in hint]
    assert hints
    for hint in hints:
        words = shlex.split(hint)
        assert any(word.endswith(HOSTILE) for word in words)
        assert "touch" not in words


ETCD_CA = CA.removeprefix("/host")
BROKEN: dict[str, tuple[str, Callable[[], ProofContext], str]] = {
    "one object in both releases": ("no-shared-object", lambda: with_object(CRD, both=True), "monitors.datadoghq.com"),
    "one object twice": (
        "no-duplicate",
        lambda: context({**worker_objects(), "again": worker_objects()["role"]}),
        "ClusterRole",
    ),
    "no DaemonSet": (
        "agents-rendered",
        lambda: context({k: v for k, v in worker_objects().items() if k != "agent"}),
        WORKER,
    ),
    "two Cluster Agents": (
        "one-cluster-agent",
        lambda: with_object({**worker_objects()["cluster-agent"], "metadata": {"name": "second"}}),
        "second",
    ),
    "no Cluster Agent": (
        "one-cluster-agent",
        lambda: context({k: v for k, v in worker_objects().items() if k != "cluster-agent"}),
        "clusterAgent.enabled",
    ),
    "two admission controllers": (
        "one-webhook",
        lambda: context(None, {**control_plane_objects(), "more": worker_objects()["cluster-agent"]}),
        CONTROL,
    ),
    "somebody's webhook": (
        "one-webhook",
        lambda: context(state={"webhooks": (LiveWebhook("datadog-webhook", "old", "agent"),)}),
        "old/agent",
    ),
    "CRDs in both": ("one-set-of-crds", lambda: with_object(CRD, both=True), CONTROL),
    "operators in both": (
        "one-set-of-crds",
        lambda: with_object(
            change(worker_objects(), "cluster-agent", AGENT, {"name": "operator"})["cluster-agent"], both=True
        ),
        "Operator",
    ),
    "another token": (
        "one-token",
        lambda: control("agent", (*AGENT, "env", 1, "valueFrom", "secretKeyRef", "name"), "other"),
        "`other`, key `token`",
    ),
    "another name of the cluster": (
        "one-cluster-name",
        lambda: control("agent", (*AGENT, "env", 0), {"name": "DD_CLUSTER_NAME", "value": "other"}),
        "say `other`",
    ),
    "a Service that is not there": (
        "cluster-agent-joined",
        lambda: control("agent", (*AGENT, "env", 2, "value"), "nobody"),
        "`nobody`",
    ),
    "a Service without pods": (
        "cluster-agent-joined",
        lambda: worker("service", ("spec", "selector"), {"app": "x"}),
        "chooses no",
    ),
    "a URL without TLS": (
        "cluster-agent-joined",
        lambda: control("agent", (*AGENT, "env", 3, "value"), f"http://{CLUSTER_AGENT}:5005"),
        "https only",
    ),
    "a URL elsewhere": (
        "cluster-agent-joined",
        lambda: control("agent", (*AGENT, "env", 3, "value"), f"https://{CLUSTER_AGENT}.other.svc:5005"),
        "no Service of",
    ),
    "a URL with a wrong port": (
        "cluster-agent-joined",
        lambda: control("agent", (*AGENT, "env", 3, "value"), f"https://{CLUSTER_AGENT}:5006"),
        "port 5006",
    ),
    "agents told of nobody": ("cluster-agent-joined", lambda: control("agent", (*AGENT, "env"), []), "not told"),
    "nothing keeps them apart": (
        "agents-apart",
        lambda: worker("agent", (*POD, "affinity", "podAntiAffinity"), {}),
        FULL[WORKER],
    ),
    "a Cluster Agent of somebody else's": (
        "one-cluster-agent",
        lambda: context(state={"cluster_agents": (STRANGER,)}),
        f"Deployment `b/a`, owned by nobody known: a Cluster Agent beside {CLUSTER_AGENT}",
    ),
    "no node for the Cluster Agent": (
        "cluster-agent-finds-a-node",
        lambda: context(nodes=(control_plane("c1"),)),
        "node-role.kubernetes.io/control-plane:NoSchedule",
    ),
    "no node with the label of the Cluster Agent": (
        "cluster-agent-finds-a-node",
        lambda: context(nodes=(replace(node("w"), labels={}),)),
        "no node has the label `kubernetes.io/os=linux`",
    ),
    "what Argo CD marked as it once did": (
        "objects-are-ours",
        lambda: context(state=standing(SERVICE, labels={"app.kubernetes.io/instance": "shop"})),
        "Argo CD application `shop`",
    ),
    "nodes not read": ("nodes-known", lambda: context(nodes=()), "the cluster has no nodes"),
    "two agents on a node": ("one-agent-per-node", crowded, "k3s"),
    "a node without an agent": (
        "no-node-without-agent",
        lambda: context(nodes=(node("g", "gpu=1:NoSchedule"), node("w"))),
        "(g)",
    ),
    "an agent until its restart": (
        "agents-survive-restart",
        lambda: kept({"g": frozenset({WORKER}), "h": frozenset()}),
        "(g)",
    ),
    "one port for two": (
        "host-ports-free",
        lambda: crowded(ports=[{"containerPort": 8125, "hostPort": 8125, "protocol": "UDP"}]),
        "8125/udp",
    ),
    "a port that another workload takes": (
        "host-ports-free",
        lambda: context(None, listening(), state={"daemonsets": neighbours(statsd())}),
        "DaemonSet `default/statsd` takes 8125/udp on 1 node where",
    ),
    "one path for two": ("host-paths-apart", crowded, "/var/run/datadog"),
    "a Secret that is not there": ("secrets-exist", lambda: context(state={"secrets": {}}), "Secret `ddhelm`"),
    "a key that is not there": (
        "secrets-exist",
        lambda: context(state={"secrets": {"ddhelm": frozenset({"token"})}}),
        "key `api-key` of Secret `ddhelm`",
    ),
    "a file that is not mounted": ("check-files-readable", lambda: control("agent", (*AGENT, "volumeMounts"), []), CA),
    "a check file that is no YAML": (
        "check-files-readable",
        lambda: control("confd", ("data", "etcd.yaml"), "instances:\n- a: [1\n"),
        "line 3",
    ),
    "a file of the wrong type": ("host-files-are-files", lambda: mounted(ETCD_CA, "", CA), "a folder is made"),
    "a whole folder": (
        "host-files-are-files",
        lambda: mounted("/etc/kubernetes/pki/etcd", "Directory", CA.rpartition("/")[0]),
        "whole folder",
    ),
    "a folder of keys": (
        "no-key-folder",
        lambda: mounted("/etc/kubernetes/pki/etcd", "Directory", "/x"),
        "/etc/kubernetes/pki/etcd",
    ),
    "the key of a CA": ("no-key-folder", lambda: mounted("/etc/kubernetes/pki/ca.key", "File", "/x"), "ca.key"),
    "loopback in a network of the pod's own": (
        "checks-reach-loopback",
        lambda: control("agent", (*POD, "hostNetwork"), False),
        "`etcd.yaml` asks localhost",
    ),
    "a component that is found twice": (
        "components-collected-once",
        lambda: control("agent", (*AGENT, "env", 4, "value"), "redisdb"),
        "collect from etcd by a file",
    ),
    "another container that sees the key for etcd": (
        "etcd-key-in-one-container",
        lambda: control(
            "agent",
            (*POD, "containers"),
            [
                {"name": name, "volumeMounts": [{"mountPath": OWN["tls_private_key"]}]}
                for name in ("agent", "trace-agent")
            ],
        ),
        "container `trace-agent`",
    ),
    "an expired certificate": (
        "etcd-certificate-valid",
        lambda: replace(context(), certificates={"mine": -1}),
        "in Secret `mine` has expired",
    ),
    "a certificate that ends today": (
        "etcd-certificate-lasts",
        lambda: replace(context(), certificates={"mine": 0}),
        "ends in less than a day",
    ),
    "a certificate of the last month": (
        "etcd-certificate-lasts",
        lambda: replace(context(), certificates={"mine": 29}),
        "ends in 29 days",
    ),
    "a strict namespace": (
        "pods-admitted",
        lambda: context(state={"namespace_labels": {"pod-security.kubernetes.io/enforce": "baseline"}}),
        "hostNetwork",
    ),
    "another Helm release's": (
        "objects-are-ours",
        lambda: context(state=standing(SERVICE, labels=HELM, annotations=owned("datadog", "monitoring"))),
        "Helm release `datadog` in namespace `monitoring`",
    ),
    "our release elsewhere": (
        "objects-are-ours",
        lambda: context(state=standing(SERVICE, labels=HELM, annotations=owned(WORKER, "other"))),
        "namespace `other`",
    ),
    "Argo CD's by label": (
        "objects-are-ours",
        lambda: context(state=standing(SERVICE, labels={"argocd.argoproj.io/instance": "dd"})),
        "Argo CD application `dd`",
    ),
    "Argo CD's by annotation": (
        "objects-are-ours",
        lambda: context(
            state=standing(SERVICE, annotations={"argocd.argoproj.io/tracking-id": "dd:/Service:datadog/x"})
        ),
        "Argo CD application `dd`",
    ),
    "Flux's, although helm made it": (
        "objects-are-ours",
        lambda: context(
            state=standing(SERVICE, labels={**HELM, "helm.toolkit.fluxcd.io/name": "dd"}, annotations=owned(WORKER))
        ),
        "Flux HelmRelease `dd`",
    ),
    "the operator's": (
        "objects-are-ours",
        lambda: context(state=standing(SERVICE, owners=("DatadogAgent datadog",))),
        "DatadogAgent datadog, which made it",
    ),
    "something's by label": (
        "objects-are-ours",
        lambda: context(state=standing(SERVICE, labels={"app.kubernetes.io/managed-by": "terraform"})),
        "`terraform`",
    ),
    "nobody's": ("objects-are-ours", lambda: context(state=standing(SERVICE)), "nobody"),
    "ours without helm's label": (
        "objects-are-ours",
        lambda: context(state=standing(SERVICE, annotations=owned(WORKER))),
        "lost the label",
    ),
    "a namespace that is being deleted": (
        "nothing-terminating",
        lambda: context(state={"namespace_terminating": True, "objects": None}),
        "namespace `datadog` is being deleted",
    ),
    "an object on its way out": (
        "nothing-terminating",
        lambda: context(state=standing(SERVICE, labels=HELM, annotations=owned(WORKER), terminating=True)),
        "being deleted",
    ),
    "another agent": (
        "no-other-agent",
        lambda: context(
            state={
                "agents": (ForeignAgent("DaemonSet", "dd", "default", "Helm release `dd` in namespace `default`", 7),)
            }
        ),
        "`default/dd` on 7 nodes",
    ),
    "an API that is gone": (
        "api-versions-served",
        lambda: with_object({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": {"name": "x"}}),
        "policy/v1beta1",
    ),
    "a kind that is gone": (
        "api-versions-served",
        lambda: context(state={"kinds": frozenset({"apps/v1/DaemonSet"})}),
        "Service",
    ),
    "a name that is too long": (
        "names-fit",
        lambda: worker("service", ("metadata", "name"), "a" * 64),
        "64 characters",
    ),
    "a Service that begins with a digit": ("names-fit", lambda: worker("service", ("metadata", "name"), "1a"), "1a"),
    "a label that is too long": (
        "names-fit",
        lambda: worker("agent", ("metadata", "labels"), {"a": "b" * 64}),
        "label `a`",
    ),
    "another selector": (
        "selectors-unchanged",
        lambda: context(
            change(worker_objects(), "agent", ("spec", "selector", "matchLabels"), {"app": "x"}), installed=True
        ),
        "cannot be changed",
    ),
    "a selector that misses its pods": (
        "selectors-unchanged",
        lambda: worker("agent", ("spec", "selector", "matchLabels"), {"app": "x"}),
        "does not choose its own pods",
    ),
    "CRDs that would go": (
        "crds-stay",
        lambda: upgrade_from({**worker_objects(), "crd": CRD}),
        "monitors.datadoghq.com",
    ),
    "a stored API that is gone": (
        "stored-api-versions-served",
        lambda: upgrade_from(
            {**worker_objects(), "old": {"apiVersion": "policy/v1beta1", "kind": "X", "metadata": {"name": "x"}}}
        ),
        "upgrade and uninstall would both fail",
    ),
    "another chart": ("chart-version", lambda: context(chart=ChartView("agent", "1.0.0")), "`agent`"),
    "a Secret that the distribution needs": (
        "requirements",
        lambda: context(requirements=[{"kind": "secret", "spec": "etcd-metric-client", "why": "etcd asks for it"}]),
        "`etcd-metric-client`",
    ),
    "a record that is too big": ("record-fits", lambda: sized(1_048_577), "1,048,577"),
    "a CRD version that is dropped": ("crd-versions-kept", lambda: stored_in("v1alpha1"), "v1alpha1"),
}


@pytest.mark.parametrize("installed", [False, True])
def test_every_claim_holds_on_a_right_pair(installed: bool) -> None:
    results = proof.run(context(installed=installed))
    assert [(r.claim.name, r.details) for r in results if not r.ok] == []
    assert [r.claim.name for r in results if r.unknown] == ["no-host-installed-agent"]
    assert proof.broken(results) == ()


@pytest.mark.parametrize(("name", "make", "words"), BROKEN.values(), ids=BROKEN)
def test_a_claim_breaks_on_what_it_is_there_for(name: str, make: Callable[[], ProofContext], words: str) -> None:
    found = result(name, make())
    assert not found.ok
    assert words in " ".join(found.details)
    assert found.hints or found.claim.hint


def test_every_claim_can_fail() -> None:
    broken = {name for name, _, _ in BROKEN.values()}
    undecidable = {"no-host-installed-agent"}
    assert broken | undecidable == {claim.name for claim in CLAIMS}


def test_claims_are_named_once_and_say_everything() -> None:
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    assert all(c.claim and c.hint and c.anchor and c.severity in set(Severity) for c in CLAIMS)
    assert not [c.claim for c in CLAIMS if c.claim.endswith(".") or "\n" in c.claim]


NOT_READ = {
    "secrets": "secrets-exist",
    "namespace_labels": "pods-admitted",
    "agents": "no-other-agent",
    "daemonsets": "host-ports-free",
    "cluster_agents": "one-cluster-agent",
    "objects": "objects-are-ours",
    "api_versions": "api-versions-served",
}


@pytest.mark.parametrize(("field", "name"), NOT_READ.items())
def test_what_was_not_read_leaves_a_claim_undecided_and_stops_nothing(field: str, name: str) -> None:
    results = proof.run(context(state={field: None}))
    found = next(r for r in results if r.claim.name == name)
    assert found.ok
    assert "not read" in found.unknown
    assert proof.broken(results) == ()


def test_a_claim_that_is_skipped_is_not_run_and_a_wrong_name_is_an_error() -> None:
    found = context(state={"secrets": {}})
    (skipped,) = [r for r in proof.run(found, ["secrets-exist"]) if r.skipped]
    assert (skipped.claim.name, skipped.ok, skipped.details) == ("secrets-exist", True, ())
    with pytest.raises(ConfigError, match="did you mean `secrets-exist`") as error:
        proof.run(found, ["secret-exists"])
    assert error.value.anchor == "unknown-check"


def test_a_gap_is_a_warning_until_coverage_is_required_or_the_gap_accepted() -> None:
    nodes = (node("g", "gpu=1:NoSchedule", labels={"p": "1"}), node("w"))
    loose = result("no-node-without-agent", context(nodes=nodes))
    assert loose.claim.severity is Severity.WARNING
    assert loose.hints == ("--tolerate gpu=1:NoSchedule",)
    strict = proof.run(context(nodes=nodes, require_coverage=True))
    assert [r.claim.name for r in proof.broken(strict)] == ["no-node-without-agent"]
    accepted = result("no-node-without-agent", context(nodes=nodes, accept=("p=1",), require_coverage=True))
    assert accepted.ok


OF_NODES = (
    "one-agent-per-node", "no-node-without-agent", "agents-survive-restart", "host-ports-free", "host-paths-apart"
)  # fmt: skip


@pytest.mark.parametrize(("why", "unknown"), [("nodes is forbidden", "the nodes were not read"), ("", "no nodes")])
def test_without_a_node_nothing_is_proven_of_nodes(why: str, unknown: str) -> None:
    results = {r.claim.name: r for r in proof.run(context(nodes=(), nodes_unread=why, installed=True))}
    assert {results[name].unknown for name in OF_NODES} == {unknown}
    assert proof.broken(results.values()) == ()
    strict = proof.run(context(nodes=(), nodes_unread=why, installed=True, require_coverage=True))
    (broken,) = proof.broken(strict)
    assert broken.claim.name == "no-node-without-agent"
    assert broken.details == (f"the nodes were not read: {why}" if why else "the cluster has no nodes",)


def test_a_taint_that_goes_by_itself_is_said_and_breaks_nothing() -> None:
    found = result(
        "no-node-without-agent", context(nodes=(node("n", "node.kubernetes.io/not-ready:NoSchedule"), node("w")))
    )
    assert found.ok
    assert "for now (n)" in found.details[0]


HERE, NOWHERE = frozenset({WORKER}), frozenset[str]()
CLOSED = (node("g", "late:NoSchedule"), node("h", "late:NoSchedule"), node("w"))


@pytest.mark.parametrize(
    ("running", "told"),
    [
        ({"g": HERE, "h": HERE}, ["agents that still run on 2 nodes do not come back after a restart (g, h): taint"]),
        ({"g": NOWHERE, "h": HERE}, ["an agent that still runs on 1 node does not come back after a restart (h): ta"]),
        ({"g": NOWHERE, "h": NOWHERE}, []),
        (
            {"h": HERE},
            ["an agent that still runs on 1 node does not", "the same may be so on 1 node that was not looked at: g"],
        ),
    ],
)
def test_only_an_agent_that_runs_can_be_lost(running: dict[str, frozenset[str]], told: list[str]) -> None:
    found = result("agents-survive-restart", kept(running))
    assert found.ok is not bool(told)
    assert [line[: len(start)] for line, start in zip(found.details, told, strict=True)] == told


def test_where_no_pod_could_be_read_nothing_is_said_of_a_restart() -> None:
    found = result("agents-survive-restart", kept({}))
    assert (found.ok, found.unknown) == (True, "the pods on 2 nodes were not read: g, h")


def test_a_taint_that_goes_by_itself_or_was_accepted_takes_no_agent() -> None:
    nodes = (node("g", "karpenter.sh/disrupted:NoSchedule"), node("h", "x:NoSchedule", labels={"p": "1"}), node("w"))
    found = context(nodes=nodes, installed=True, accept=("p=1",), running={"g": HERE, "h": HERE})
    assert result("agents-survive-restart", found).details == ()


def test_the_cluster_agent_may_wait_for_a_node_to_become_ready() -> None:
    found = result("cluster-agent-finds-a-node", context(nodes=(node("n", "node.kubernetes.io/not-ready:NoSchedule"),)))
    assert found.ok
    assert "waits" in found.details[0]
    assert result("cluster-agent-finds-a-node", context(nodes=())).unknown == "no node was read"


INFRA = (
    control_plane("c1"),
    node("w1"),
    node("i1", "infra:NoSchedule", "own=1:NoExecute", "soft:PreferNoSchedule", labels={"pool": "infra"}),
    node("i2", "infra:NoSchedule", "third:NoSchedule", "fourth:NoSchedule", labels={"pool": "infra"}),
)


def placed_by(hint: str) -> list[Tree]:
    """The Cluster Agent's tolerations once somebody has typed the hint."""
    words = shlex.split(hint)
    assert words[:3] == ["ddhelm", "onboard", "--worker-set"]
    tolerations: list[Tree] = setflags.apply("set", words[3], {})["clusterAgent"]["tolerations"]
    return tolerations


def test_a_cluster_agent_bound_to_tainted_nodes_is_told_their_taints_and_a_flag_that_reaches_it() -> None:
    bound = change(worker_objects(), "cluster-agent", (*POD, "nodeSelector"), {OS: "linux", "pool": "infra"})
    found = result("cluster-agent-finds-a-node", context(bound, nodes=INFRA[:3], tolerate=("infra",)))
    assert found.details == (f"no node can take {CLUSTER_AGENT}; taints: infra:NoSchedule, own=1:NoExecute",)
    found = result("cluster-agent-finds-a-node", context(bound, nodes=INFRA))
    (hint,) = found.hints
    healed = change(bound, "cluster-agent", (*POD, "tolerations"), placed_by(hint))
    assert result("cluster-agent-finds-a-node", context(healed, nodes=INFRA)).ok


def test_a_cluster_agent_that_no_node_is_right_for_is_told_no_toleration() -> None:
    nodes = (node("a", labels={"pool": "infra"}), node("b", "x:NoSchedule", labels={"zone": "1"}))
    bound = change(worker_objects(), "cluster-agent", (*POD, "nodeSelector"), {"pool": "infra", "zone": "1"})
    found = result("cluster-agent-finds-a-node", context(bound, nodes=nodes))
    assert found.details == (f"no node is all that {CLUSTER_AGENT} is bound to",)
    assert "--tolerat" not in found.hints[0]


def test_where_tolerate_reaches_the_cluster_agent_the_hint_repeats_what_is_stored() -> None:
    nodes = (node("a", "old:NoSchedule", "new:NoSchedule"),)
    stored = change(worker_objects(), "cluster-agent", (*POD, "tolerations"), [parse_toleration("old:NoSchedule")])

    def hint(objects: dict[str, Tree], nodes: tuple[Node, ...] = nodes) -> str:
        whole = context(objects, nodes=nodes, tolerate=("old:NoSchedule",))
        alone = replace(whole, releases=[release for release in whole.releases if release.role == "worker"])
        return result("cluster-agent-finds-a-node", alone).hints[0]

    assert hint(stored) == "ddhelm onboard --tolerate old:NoSchedule --tolerate new:NoSchedule"
    theirs = change(worker_objects(), "cluster-agent", (*POD, "tolerations"), [{"key": "mine", "operator": "Exists"}])
    assert [each["key"] for each in placed_by(hint(theirs))] == ["old", "new"]
    bound = change(stored, "cluster-agent", (*POD, "nodeSelector"), {"pool": "infra"})
    assert placed_by(hint(bound, (node("w"), node("i", "x:NoSchedule", labels={"pool": "infra"}))))


def test_one_node_gets_two_agents_and_two_get_them() -> None:
    assert result("one-agent-per-node", crowded()).details[0].startswith("1 node gets an agent of ")


def test_many_nodes_are_one_line() -> None:
    nodes = tuple(node(f"n{i}", "x:NoSchedule") for i in range(9))
    (line,) = result("no-node-without-agent", context(nodes=nodes)).details
    assert line.startswith("9 nodes without an agent (n0, n1, n2, n3, n4 and 4 more): taint `x:NoSchedule`")


@pytest.mark.parametrize(
    ("switch", "name", "make"),
    [
        (
            "allow_second_agent",
            "no-other-agent",
            lambda **m: context(state={"agents": (ForeignAgent("DaemonSet", "a", "b", "nobody known"),)}, **m),
        ),
        (
            "label_namespace",
            "pods-admitted",
            lambda **m: context(state={"namespace_labels": {"pod-security.kubernetes.io/enforce": "restricted"}}, **m),
        ),
        ("missing_namespace", "pods-admitted", lambda **m: context(state={"namespace_labels": None}, **m)),
        ("delete_crds", "crds-stay", lambda **m: upgrade_from({**worker_objects(), "crd": CRD}, **m)),
    ],
)
def test_who_insists_is_told_and_not_stopped(switch: str, name: str, make: Callable[..., ProofContext]) -> None:
    before, after = result(name, make()), result(name, make(**{switch: True}))
    assert not before.ok or before.unknown
    assert after.ok
    assert not after.unknown


@pytest.mark.parametrize(
    ("pod", "port", "where"),
    [
        ({}, {}, "c1"),  # no toleration that ours has not: the control plane, where ours is on the host network
        ({"nodeSelector": {HOSTNAME: "w1"}}, {}, ""),
        ({"tolerations": []}, {}, ""),
        ({}, {"protocol": "TCP"}, ""),
        ({}, {"hostPort": 8127}, ""),
        ({}, {"hostIP": "10.0.0.1"}, "c1"),
        ({"hostNetwork": True}, {"hostPort": None}, "c1"),
        ({}, {"hostPort": None}, ""),
    ],
)
def test_a_port_is_taken_as_the_scheduler_counts_it(pod: Tree, port: Tree, where: str) -> None:
    others = neighbours(statsd(port, **pod))
    found = result("host-ports-free", context(None, listening(), state={"daemonsets": others}))
    assert [line.rpartition(": ")[2] for line in found.details] == ([where] if where else [])
    assert found.hints == (("--control-plane-set datadog.dogstatsd.port=8126",) if where else ())


def test_a_second_agent_that_is_let_be_is_warned_of_where_it_shares_paths() -> None:
    run = {"name": "run", "hostPath": {"path": "/var/run/datadog/"}}
    mount = {"name": "run", "mountPath": "/run/dd"}
    second = statsd({"hostPort": None}, image="datadog/agent:7", mounts=[mount], volumes=[run])
    looks = statsd({"hostPort": None}, image="datadog/agent:7", mounts=[{**mount, "readOnly": True}], volumes=[run])
    found = result("host-paths-apart", context(state={"daemonsets": neighbours(second)}, allow_second_agent=True))
    assert (found.ok, found.claim.severity) == (False, Severity.WARNING)
    assert found.details[0].startswith(f"DaemonSet `default/statsd` and `{WORKER}` both write to /var/run/datadog on 2")
    assert result("host-paths-apart", context(state={"daemonsets": neighbours(looks)}, allow_second_agent=True)).ok
    assert result("host-paths-apart", context(state={"daemonsets": neighbours(second)})).ok
    assert proof.broken(proof.run(context(state={"daemonsets": neighbours(second)}, allow_second_agent=True))) == ()


def test_an_agent_in_a_daemonset_counts_where_deployments_could_not_be_read() -> None:
    found = result("no-other-agent", context(state={"agents": (STRANGER,), "cluster_agents": None}))
    assert (found.ok, found.unknown) == (False, "")
    assert "Deployments" in result("no-other-agent", context(state={"cluster_agents": None})).unknown


def test_a_cluster_agent_that_the_user_lets_be_is_a_warning() -> None:
    found = result("one-cluster-agent", context(state={"cluster_agents": (STRANGER,)}, allow_second_agent=True))
    assert (found.ok, found.claim.severity) == (False, Severity.WARNING)


def test_what_this_run_writes_counts_as_there() -> None:
    writes = {"ddhelm": frozenset({"api-key", "token"})}
    assert result("secrets-exist", context(state={"secrets": {}}, writes=writes)).ok
    assert result("secrets-exist", context(state={"secrets": None}, writes=writes, missing_namespace=True)).ok
    assert not result("secrets-exist", context(state={"secrets": {}}, writes={"ddhelm": frozenset()})).ok


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        (("etcd-ca.crt", "etcd-client.crt", "etcd-client.key"), "ddhelm certs import --dir DIR --secret nope"),
        (("api-key",), f"kubectl -n {NAMESPACE} create secret generic nope --from-file=api-key=FILE"),
        ((), f"kubectl -n {NAMESPACE} create secret generic nope --from-file=KEY=FILE"),
    ],
)
def test_a_secret_that_is_missed_is_told_once_with_what_makes_it(keys: tuple[str, ...], hint: str) -> None:
    volume = {"name": "own", "secret": {"secretName": "nope", "items": [{"key": key, "path": key} for key in keys]}}
    found = result("secrets-exist", worker("agent", (*POD, "volumes"), [volume]))
    assert [text.startswith("Secret `nope` is not there; ") for text in found.details] == [True]
    assert [text.startswith(hint) for text in found.hints] == [True]


NEED: Tree = {
    "kind": "secret",
    "spec": "copied",
    "keys": ["tls.crt", "tls.key"],
    "why": "w",
    "hint": "oc get secret copied -n from -o yaml | sed 's/from/NAMESPACE/' | oc create -f -",
}
COPIED = f"oc get secret copied -n from -o yaml | sed 's/from/{NAMESPACE}/' | oc create -f -"


@pytest.mark.parametrize(
    ("state", "lacks", "hint"),
    [
        (
            None,
            f"Secret `copied` is not in namespace `{NAMESPACE}`",
            f"kubectl create namespace {NAMESPACE} && {COPIED}",
        ),
        ({}, f"Secret `copied` is not in namespace `{NAMESPACE}`", COPIED),
        (
            {"copied": frozenset()},
            f"Secret `copied` in namespace `{NAMESPACE}` has no key `tls.crt` and no key `tls.key`",
            f"kubectl -n {NAMESPACE} delete secret copied && {COPIED}",
        ),
        (
            {"copied": frozenset({"tls.crt"})},
            f"Secret `copied` in namespace `{NAMESPACE}` has no key `tls.key`",
            f"kubectl -n {NAMESPACE} delete secret copied && {COPIED}",
        ),
    ],
)
def test_a_secret_to_be_copied_has_one_way_to_come_which_works(state: Any, lacks: str, hint: str) -> None:
    objects = change(worker_objects(), "agent", (*POD, "volumes"), [{"name": "s", "secret": {"secretName": "copied"}}])
    secrets = {"ddhelm": frozenset({"api-key", "token"}), **(state or {})}
    found = context(objects, state={"secrets": secrets}, requirements=[NEED], missing_namespace=state is None)
    results = proof.run(found)
    needed = next(r for r in results if r.claim.name == "requirements")
    assert (needed.details, needed.hints) == ((f"{lacks}: w",), (hint,))
    assert next(r for r in results if r.claim.name == "secrets-exist").hints in {(hint,), ()}
    assert [problem.hint for problem in broken_claims(results) if problem.hint] == [hint]


def test_an_empty_secret_is_no_secret_for_a_pod_that_mounts_it() -> None:
    objects = change(worker_objects(), "agent", (*POD, "volumes"), [{"name": "s", "secret": {"secretName": "mine"}}])
    secrets = {"ddhelm": frozenset({"api-key", "token"}), "mine": frozenset[str]()}
    found = result("secrets-exist", context(objects, state={"secrets": secrets}))
    assert found.details == (f"Secret `mine` is empty; DaemonSet {NAMESPACE}/{FULL[WORKER]} needs it",)


def test_the_namespace_is_made_before_a_secret_in_it() -> None:
    objects = change(worker_objects(), "agent", (*POD, "volumes"), [{"name": "s", "secret": {"secretName": "mine"}}])
    secrets = {"ddhelm": frozenset({"api-key", "token"})}
    found = result("secrets-exist", context(objects, state={"secrets": secrets}, missing_namespace=True))
    made = f"kubectl -n {NAMESPACE} create secret generic mine --from-file=KEY=FILE"
    assert found.hints == (f"kubectl create namespace {NAMESPACE} && {made}",)


def test_a_secret_that_the_chart_renders_or_a_pod_can_do_without_is_not_missed() -> None:
    path = (*AGENT, "env", 0, "valueFrom", "secretKeyRef")
    optional = {"name": "gone", "key": "x", "optional": True}
    assert result("secrets-exist", worker("agent", path, optional)).ok
    rendered = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "data": {"k": "eA=="}}
    objects = change(worker_objects(), "agent", path, {"name": "own", "key": "k"})
    assert result("secrets-exist", context({**objects, "secret": rendered})).ok
    assert not result("secrets-exist", context(objects)).ok


@pytest.mark.parametrize(
    "volume",
    [
        {"secret": {"secretName": "gone"}},
        {"secret": {"secretName": "ddhelm", "items": [{"key": "gone", "path": "x"}]}},
        {"projected": {"sources": [{"secret": {"name": "gone"}}]}},
    ],
)
def test_a_secret_named_by_a_volume_is_needed_too(volume: Tree) -> None:
    found = result("secrets-exist", worker("agent", (*POD, "volumes", 1), {"name": "s", **volume}))
    assert not found.ok
    assert "gone" in found.details[0]


@pytest.mark.parametrize(
    ("volume", "mount", "problem"),
    [
        (
            {"secret": {"secretName": "ddhelm"}},
            {"mountPath": CA.rpartition("/")[0]},
            "Secret `ddhelm` has no key `ca.crt`",
        ),
        ({"secret": {"secretName": "ddhelm"}}, {"mountPath": CA, "subPath": "token"}, ""),
        (
            {"secret": {"secretName": "ddhelm", "items": [{"key": "token", "path": "ca.crt"}]}},
            {"mountPath": CA.rpartition("/")[0]},
            "",
        ),
        (
            {"secret": {"secretName": "ddhelm", "items": [{"key": "token", "path": "x"}]}},
            {"mountPath": CA.rpartition("/")[0]},
            "without `ca.crt`",
        ),
        ({"configMap": {"name": f"{FULL[CONTROL]}-confd"}}, {"mountPath": CA, "subPath": "no"}, "has no key `no`"),
        ({"configMap": {"name": f"{FULL[CONTROL]}-confd"}}, {"mountPath": CA, "subPath": "etcd.yaml"}, ""),
        ({"configMap": {"name": "kube-root-ca.crt"}}, {"mountPath": CA, "subPath": "ca.crt"}, ""),
        ({"emptyDir": {}}, {"mountPath": CA.rpartition("/")[0]}, "empty at start"),
        ({"projected": {"sources": []}}, {"mountPath": CA.rpartition("/")[0]}, ""),
        ({"hostPath": {"path": "/x", "type": "File"}}, {"mountPath": f"{CA}x"}, "no volume is mounted there"),
    ],
)
def test_a_path_is_covered_by_what_the_volume_really_holds(volume: Tree, mount: Tree, problem: str) -> None:
    objects = change(control_plane_objects(), "agent", (*POD, "volumes", 2), {"name": "ca", **volume})
    objects = change(objects, "agent", (*AGENT, "volumeMounts", 1), {"name": "ca", **mount})
    found = result("check-files-readable", context(None, objects))
    assert found.ok is (problem == "")
    assert problem in " ".join(found.details)


@pytest.mark.parametrize(
    ("path", "ok"),
    [
        ("/etc/ssl/certs/ca-certificates.crt", True),
        ("/opt/datadog-agent/embedded/ssl/cert.pem", True),
        ("/etc/ssl/mine.pem", False),
    ],
)
def test_the_public_cas_of_the_agents_image_are_there_without_a_volume(path: str, ok: bool) -> None:
    assert result("check-files-readable", control("confd", ("data", "etcd.yaml"), ETCD.replace(CA, path))).ok is ok


def test_what_the_other_release_of_the_pair_owns_is_never_cured_by_its_uninstall() -> None:
    """Its CRDs may hold objects."""
    found = result("objects-are-ours", context(state=standing(SERVICE, labels=HELM, annotations=owned(CONTROL))))
    assert not found.ok
    assert f"belongs to `{CONTROL}`" in found.details[0]
    assert "--worker-set" in found.hints[0]
    assert "uninstall" not in found.hints[0]


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("https://[::1]:2379/metrics", False),
        ("https://user:pl4nted@127.0.0.1:2379/metrics", False),
        (f"https://{NODE_ADDRESS}:2379/metrics", True),
        ("https://etcd.example.com/metrics?of=127.0.0.1", True),
    ],
)
def test_only_what_listens_on_loopback_needs_the_network_of_the_node(url: str, ok: bool) -> None:
    objects = change(control_plane_objects(), "agent", (*POD, "hostNetwork"), False)
    text = ETCD.replace("https://localhost:2379/metrics", f"'{url}'")
    found = result("checks-reach-loopback", context(None, change(objects, "confd", ("data", "etcd.yaml"), text)))
    assert found.ok is ok
    assert "pl4nted" not in str(found)
    other = {"haproxy.yaml": ETCD}
    assert result("checks-reach-loopback", context(None, change(objects, "confd", ("data",), other))).ok


def test_the_hint_against_collecting_twice_keeps_what_is_left_alone_already() -> None:
    found = result("components-collected-once", control("agent", (*AGENT, "env", 4, "value"), "redisdb"))
    assert found.hints == ("ddhelm onboard --control-plane-set 'datadog.ignoreAutoConfig={redisdb,etcd}'",)
    elsewhere = {"name": "DD_IGNORE_AUTOCONF", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}
    assert result("components-collected-once", control("agent", (*AGENT, "env", 4), elsewhere)).ok
    assert not result("components-collected-once", control("agent", (*AGENT, "env", 4, "name"), "X")).ok


def test_an_untyped_file_is_a_file_only_where_the_distribution_says_so() -> None:
    untyped = mounted(ETCD_CA, "", CA)
    meant = replace(untyped, untyped_files=frozenset({ETCD_CA}))
    for name in ("host-files-are-files", "no-key-folder"):
        assert not result(name, untyped).ok
        assert result(name, meant).ok


def test_the_token_of_the_service_account_is_there_unless_it_is_turned_off() -> None:
    found = result("check-files-readable", control("agent", (*POD, "automountServiceAccountToken"), False))
    assert not found.ok
    assert "service account token" in found.details[0]


def test_a_host_file_is_said_to_be_unverified() -> None:
    found = result("host-files-are-files", context())
    assert found.ok
    assert found.details == (f"`{ETCD_CA}` on the nodes of `{CONTROL}`: unverified",)


def test_a_path_with_a_template_variable_and_a_file_without_instances_are_left_alone() -> None:
    text = ETCD.replace(CA, "/x/%%env_NODE%%.crt")
    assert result("check-files-readable", control("confd", ("data", "etcd.yaml"), text)).ok
    assert result("check-files-readable", control("confd", ("data", "note.yaml"), "a: [1")).ok


def test_a_secret_in_a_check_file_does_not_hide_its_paths() -> None:
    text = ETCD.replace(CA, "/nowhere") + "  password: pl4nted-s3cret\n"
    found = result("check-files-readable", control("confd", ("data", "etcd.yaml"), text))
    assert "/nowhere" in found.details[0]
    assert "pl4nted" not in str(found)


def test_an_api_that_the_release_brings_itself_is_served() -> None:
    own = {"apiVersion": "datadoghq.com/v1", "kind": "Monitor", "metadata": {"name": "x"}}
    assert not result("api-versions-served", with_object(own)).ok
    assert result("api-versions-served", context({**worker_objects(), "crd": CRD, "own": own})).ok


def test_a_crd_that_is_kept_or_moves_to_the_other_release_is_not_lost() -> None:
    kept = {**CRD, "metadata": {"name": "k", "annotations": {"helm.sh/resource-policy": "keep"}}}
    assert result("crds-stay", upgrade_from({**worker_objects(), "crd": kept})).ok
    moved = upgrade_from({**worker_objects(), "crd": CRD}, control={**control_plane_objects(), "crd": CRD})
    assert result("crds-stay", moved).ok
    counted = upgrade_from({**worker_objects(), "crd": CRD}, state={"crd_objects": {"monitors.datadoghq.com": 3}})
    assert "3 objects" in result("crds-stay", counted).details[0]


def test_a_selector_is_compared_with_the_record_where_the_cluster_was_not_read() -> None:
    objects = change(worker_objects(), "agent", ("spec", "selector", "matchLabels"), {"app": "x"})
    assert (
        "cannot be changed"
        in result("selectors-unchanged", context(objects, installed=True, state={"objects": None})).details[0]
    )
    odd = change(worker_objects(), "agent", ("spec", "selector", "matchExpressions"), [expression("a", "Exists")])
    assert not result("selectors-unchanged", context(odd, installed=True)).ok


def test_the_control_plane_alone_needs_no_cluster_agent_of_its_own() -> None:
    whole = context()
    alone = replace(whole, releases=whole.releases[1:])
    assert result("one-cluster-agent", alone).ok
    assert result("cluster-agent-joined", alone).unknown


def test_a_forbidding_level_is_lifted_by_a_command_that_names_the_namespace() -> None:
    forbidding = {"namespace_labels": {"pod-security.kubernetes.io/enforce": "baseline"}}
    (hint,) = result("pods-admitted", context(state=forbidding)).hints
    assert "kubectl label namespace datadog --overwrite" in hint


UNLABELLED = {"namespace_labels": {"kubernetes.io/metadata.name": "datadog"}}


def test_the_distributions_own_level_counts_where_a_namespace_has_no_label() -> None:
    enforced = replace(context(state=UNLABELLED), pod_security=Default("baseline", exempt=("kube-system",)))
    found = result("pods-admitted", enforced)
    assert not found.ok
    assert found.claim.severity is Severity.FATAL
    assert "`baseline`, which this distribution enforces in a namespace without a label, forbids" in found.details[0]
    assert "--label-namespace" in found.hints[0]
    assert result("pods-admitted", replace(enforced, label_namespace=True)).ok
    for admitting in (
        context(state=UNLABELLED),  # OpenShift among them: its own constraints decide
        replace(context(), pod_security=enforced.pod_security),
        replace(enforced, namespace="kube-system"),
    ):
        assert result("pods-admitted", admitting).details == ()
    unread = replace(context(state={"namespace_labels": None}), pod_security=enforced.pod_security)
    assert result("pods-admitted", unread).unknown


def test_a_level_that_is_only_possible_is_a_warning_until_a_release_is_installed() -> None:
    possible = Default("restricted", "a server with `profile: cis`")
    found = result("pods-admitted", replace(context(state=UNLABELLED), pod_security=possible))
    assert found.claim.severity is Severity.WARNING
    assert "`restricted`, which a server with `profile: cis` enforces" in found.details[0]
    assert "--label-namespace" in found.hints[0]
    installed = replace(context(state=UNLABELLED, installed=True), pod_security=possible)
    assert result("pods-admitted", installed).details == ()


def test_a_wrongly_named_distribution_is_blamed_for_apis_that_are_not_there() -> None:
    own = {"apiVersion": "security.openshift.io/v1", "kind": "SecurityContextConstraints", "metadata": {"name": "x"}}
    (hint,) = result("api-versions-served", replace(with_object(own), doubted="openshift")).hints
    assert "`openshift`" in hint
    assert "ddhelm detect" in hint
    assert result("api-versions-served", with_object(own)).hints == ()


def test_a_record_near_its_limit_is_said() -> None:
    found = result("record-fits", sized(1_000_000))
    assert found.ok
    assert "about 1,000,000 bytes, a Secret holds 1,048,576" in found.details[0]


def test_ports_that_a_host_installed_agent_would_hold_are_named() -> None:
    unknown = result("no-host-installed-agent", context()).unknown
    assert f"`{CONTROL}` takes 5000/tcp, 5001/tcp, 5555/tcp" in unknown
    moved = control("agent", (*AGENT, "env", 3), {"name": "DD_EXPVAR_PORT", "value": "6000"})
    assert "6000/tcp" in result("no-host-installed-agent", moved).unknown
    (hint,) = result("no-host-installed-agent", moved).hints
    assert hint == "on a node: ss -lntup | grep -E ':(5001|5555|6000)\\b'"
    inside = control("agent", (*POD, "hostNetwork"), False)
    assert result("no-host-installed-agent", inside).unknown == ""


CERTIFICATE_CLAIMS = ("etcd-certificate-valid", "etcd-certificate-lasts")


def showing(volume: Tree, certificates: dict[str, int | None]) -> ProofContext:
    """The control-plane release with an etcd check that shows a client certificate out of a volume."""
    objects = control_plane_objects()
    objects["confd"]["data"]["etcd.yaml"] += f"  tls_cert: {OWN['tls_cert']}\n"
    pod = objects["agent"]["spec"]["template"]["spec"]
    pod["volumes"].append({"name": "own", **volume})
    mount = {"name": "own", "mountPath": OWN["tls_cert"], "subPath": "etcd-client.crt", "readOnly": True}
    pod["containers"][0]["volumeMounts"].append(mount)
    secrets = {"ddhelm": frozenset({"api-key", "token"}), "mine": frozenset({"etcd-client.crt", "tls.crt"})}
    return context(None, objects, state={"secrets": secrets}, certificates=certificates)


SECRET = {"secret": {"secretName": "mine"}}
HOST_FILE = {"hostPath": {"path": "/pki/etcd.crt", "type": "File"}}


@pytest.mark.parametrize(
    ("days", "broken", "said"),
    [
        (30, [], ""),
        (29, ["etcd-certificate-lasts"], "ends in 29 days"),
        (-1, [*CERTIFICATE_CLAIMS], "has expired"),
        (None, [*CERTIFICATE_CLAIMS], "Secret `mine`"),
    ],
)
def test_a_certificate_of_a_secret_is_held_against_the_clock(days: int | None, broken: list[str], said: str) -> None:
    results = proof.run(showing(SECRET, {"mine": days}))
    assert [r.claim.name for r in results if not r.ok] == broken
    assert all(said in line for r in results if not r.ok for line in r.details)
    assert [r.unknown for r in results if r.claim.name in CERTIFICATE_CLAIMS] == ["", ""]


@pytest.mark.parametrize(
    ("volume", "where"),
    [
        (HOST_FILE, f"`/pki/etcd.crt` on the nodes of `{CONTROL}`"),
        (SECRET, f"`{OWN['tls_cert']}` out of Secret `mine`"),
    ],
)
def test_of_a_certificate_that_nobody_can_see_nothing_is_claimed(volume: Tree, where: str) -> None:
    for name in CERTIFICATE_CLAIMS:
        found = result(name, showing(volume, {}))
        assert (found.ok, found.unknown) == (True, f"{where}: unknown, see `ddhelm certs verify`")
    assert not result("etcd-certificate-valid", showing(HOST_FILE, {"mine": -1})).ok
