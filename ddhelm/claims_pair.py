"""Claims on the two releases as a pair: nothing twice, one Cluster Agent, and the agents find it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from ddhelm.claim import (
    LOOK_AT_WORKLOADS,
    NO_WORKLOADS,
    Caution,
    Claim,
    Finding,
    ProofContext,
    ReleaseView,
    Remark,
    Severity,
    Undecided,
    containers,
    environment,
    names,
    pod_spec,
    pod_template,
)
from ddhelm.coverage import OS, agent_placements, schedulable
from ddhelm.manifest import Object
from ddhelm.nodes import Node
from ddhelm.pasting import typed
from ddhelm.release import Role
from ddhelm.scheduling import rules
from ddhelm.taints import parse_toleration, show, transient
from ddhelm.tree import Tree, get

_OPERATOR_CONTAINER = "operator"
_TOKEN = "DD_CLUSTER_AGENT_AUTH_TOKEN"  # noqa: S105 - the name of a variable
_CLUSTER_NAME = "DD_CLUSTER_NAME"
_URL, _SERVICE = "DD_CLUSTER_AGENT_URL", "DD_CLUSTER_AGENT_KUBERNETES_SERVICE_NAME"
_WEBHOOK, _WEBHOOK_NAME = "DD_ADMISSION_CONTROLLER_ENABLED", "DD_ADMISSION_CONTROLLER_WEBHOOK_NAME"
_WEBHOOKS = "mutatingwebhookconfiguration,validatingwebhookconfiguration"
_WEBHOOK_SERVICE = "DD_ADMISSION_CONTROLLER_SERVICE_NAME"


def no_shared_object(context: ProofContext) -> Iterator[Finding]:
    for one, other in combinations(context.releases, 2):
        for identity, obj in one.manifest.objects.items():
            if identity in other.manifest.objects:
                yield Finding(f"{obj.ref} is in `{one.name}` and in `{other.name}`")


def no_duplicate(context: ProofContext) -> Iterator[Finding]:
    for release in context.releases:
        for ref in release.manifest.duplicates:
            hint = f"the chart or the values name two things alike: ddhelm values {release.role}"
            yield Finding(f"{ref} stands more than once in `{release.name}`", hint)


def agents_rendered(context: ProofContext) -> Iterator[Finding]:
    for release in context.releases:
        if not release.agents():
            yield Finding(f"`{release.name}` renders no DaemonSet with an agent")


def one_cluster_agent(context: ProofContext) -> Iterator[Finding]:
    """The releases and the cluster have one Cluster Agent together, and it is the worker release's."""
    found = [(release, obj) for release in context.releases for obj in release.cluster_agents()]
    if len(found) > 1:
        owners = ", ".join(f"{obj.ref.name} in `{release.name}`" for release, obj in found)
        yield Finding(f"{len(found)} Cluster Agents: {owners}")
    others = context.live.cluster_agents
    if len(found) == 1 and others is None:
        raise Undecided(NO_WORKLOADS, LOOK_AT_WORKLOADS)
    for other in others or () if found else ():
        kind = Caution if context.allow_second_agent else Finding
        yield kind(f"{other}: a Cluster Agent beside {found[0][1].ref.name}", other.removal)
    if not found and context.of_role(Role.WORKER):
        yield Finding("no Cluster Agent: `clusterAgent.enabled` of the worker release is off")


def one_webhook(context: ProofContext) -> Iterator[Finding]:
    """No admission webhook configuration of the Cluster Agent's name calls a Service that is not ours.

    The Cluster Agent makes the configuration itself, under a name for the whole cluster, so the last one wins.
    """
    owners = []
    for release, variables in _cluster_agent_variables(context):
        if str(_value(variables, _WEBHOOK)).lower() != "true":
            continue
        owners.append(release.name)
        name = _value(variables, _WEBHOOK_NAME) or "datadog-webhook"
        ours = (context.namespace, _value(variables, _WEBHOOK_SERVICE))
        for hook in context.live.webhooks or ():
            if hook.name == name and ours[1] and (hook.namespace, hook.service) != ours:
                yield Finding(
                    f"webhook configuration `{name}` calls Service `{hook.namespace}/{hook.service}`, not ours",
                    typed("kubectl delete {kinds} {name}", kinds=_WEBHOOKS, name=name),
                )
    if len(owners) > 1:
        yield Finding(f"`{'` and `'.join(owners)}` each run an admission controller")


def one_set_of_crds(context: ProofContext) -> Iterator[Finding]:
    owners = [release.name for release in context.releases if release.manifest.of_kind("CustomResourceDefinition")]
    if len(owners) > 1:
        yield Finding(f"`{'` and `'.join(owners)}` both hold CRDs")
    operators = [release.name for release in context.releases if _operators(release)]
    if len(operators) > 1:
        yield Finding(f"`{'` and `'.join(operators)}` both run the Datadog Operator")


def crds_stay(context: ProofContext) -> Iterator[Finding]:
    """No upgrade deletes a CRD, and with it every object of its kind."""
    kind = Remark if context.delete_crds else Finding
    for release in context.releases:
        for ref in release.lost_crds:
            if any(ref.identity in other.manifest.objects for other in context.releases):
                continue
            count = (context.live.crd_objects or {}).get(ref.name)
            objects = "with all its objects" if count is None else f"with its {count} objects"
            yield kind(f"upgrading `{release.name}` deletes the CRD `{ref.name}` {objects}")


def one_token(context: ProofContext) -> Iterator[Finding]:
    """All agents and the Cluster Agent read the token from one key of one Secret."""
    found: dict[tuple[str, str], list[str]] = {}
    for release in context.releases:
        for obj in (*release.agents(), *release.cluster_agents()):
            for container in containers(pod_spec(obj)):
                reference = get(environment(container).get(_TOKEN, {}), ("valueFrom", "secretKeyRef"))
                if reference:
                    key = (str(reference.get("name")), str(reference.get("key")))
                    found.setdefault(key, []).append(obj.ref.name)
    if len(found) > 1:
        for place, users in found.items():
            yield Finding(f"{names(list(dict.fromkeys(users)))} read the token from `{place[0]}`, key `{place[1]}`")


def one_cluster_name(context: ProofContext) -> Iterator[Finding]:
    """All agents say one cluster name, or leave it to the cloud's metadata."""
    found: dict[str, list[str]] = {}
    for release in context.releases:
        for obj in (*release.agents(), *release.cluster_agents()):
            variables = [environment(each).get(_CLUSTER_NAME) for each in containers(pod_spec(obj))]
            if any(each and "value" not in each for each in variables):
                continue  # it comes from elsewhere, and nobody can say what it is
            given = next((str(each["value"]) for each in variables if each), "")
            found.setdefault(given, []).append(obj.ref.name)
    if len(found) > 1:
        told = (f"{names(users)} say `{name}`" if name else f"{names(users)} say none" for name, users in found.items())
        yield Finding("; ".join(told))


def joined(context: ProofContext) -> Iterator[Finding]:
    """Every agent is told of a Service, by name or by address, that leads to the worker release's Cluster Agent.

    Raises Undecided where the worker release is not rendered.
    """
    worker = context.of_role(Role.WORKER)
    if worker is None:
        raise Undecided("the worker release is not part of this run")
    services = {obj.ref.name: obj for obj in worker.manifest.of_kind("Service")}
    for release in context.releases:
        for obj in release.agents():
            for container in pod_spec(obj).get("containers") or ():
                variables = environment(container)
                if not {_URL, _SERVICE} & variables.keys():
                    continue
                yield from _reaches(f"`{release.name}`", variables, services, worker, context.namespace)
                break
            else:
                yield Finding(f"the agents of `{release.name}` are not told of any Cluster Agent")


def _reaches(
    who: str, variables: Mapping[str, Tree], services: Mapping[str, Object], worker: ReleaseView, namespace: str
) -> Iterator[Finding]:
    service = _value(variables, _SERVICE)
    if service and service not in services:
        yield Finding(f"{who} looks for Service `{service}`, which `{worker.name}` does not have")
    elif service and not _leads_to(services[service], worker):
        yield Finding(f"{who} looks for Service `{service}`, which chooses no Cluster Agent")
    url = _value(variables, _URL)
    if not url:
        return
    parts = urlsplit(url)
    host, _, rest = (parts.hostname or "").partition(".")
    if parts.scheme != "https":
        yield Finding(f"{who} is given `{url}`; the Cluster Agent speaks https only")
    if host not in services or rest.split(".")[0] not in ("", namespace):
        yield Finding(f"{who} is given `{url}`, which is no Service of `{worker.name}` in `{namespace}`")
    elif parts.port is not None and parts.port not in _ports(services[host]):
        yield Finding(f"{who} is given port {parts.port} of Service `{host}`, which has {_ports(services[host])}")


def agents_apart(context: ProofContext) -> Iterator[Finding]:
    """The node affinities of the two releases exclude each other, also while a node changes its labels."""
    placements = [
        placed
        for release in context.releases
        for placed in agent_placements(release.manifest, release.name, release.role)
    ]
    for one, other in combinations(placements, 2):
        if one.release != other.release and not one.excludes(other):
            yield Finding(f"nothing keeps `{one.name}` and `{other.name}` apart while a node changes its role")


def cluster_agent_finds_a_node(context: ProofContext) -> Iterator[Finding]:
    """Node selector, affinity and tolerations of the Cluster Agent fit a node.

    A remark where one only has to lose what goes by itself: a cordon, ``not-ready``, the taints of a starting node.
    """
    if not context.nodes:
        raise Undecided("no node was read")
    for release in context.releases:
        for obj in release.cluster_agents():
            pod = pod_spec(obj)
            if schedulable(pod, context.nodes):
                continue
            wants = pod.get("nodeSelector") or {}
            if none := [f"{key}={value}" for key, value in wants.items() if not _labelled(context.nodes, key, value)]:
                label = typed("kubectl label node NODE {label}", label=none[0])
                yield Finding(f"no node has the label `{none[0]}` that {obj.ref.name} is bound to", label)
                continue
            settled = [_settled(node) for node in context.nodes]
            if schedulable(pod, settled):
                yield Remark(f"{obj.ref.name} waits until a node is free of cordons and taints that go by themselves")
                continue
            yield _no_place(context, obj, settled)


def _no_place(context: ProofContext, cluster_agent: Object, settled: Sequence[Node]) -> Finding:
    """``settled``: the nodes without what goes by itself. Only those that the pod may choose have a say in the hint."""
    name, pod = cluster_agent.ref.name, pod_spec(cluster_agent)
    chosen = rules(pod, daemon=False)
    near = [(node, chosen.untolerated(node.taints)) for node in settled if chosen.missed(node) == ()]
    if not near:
        return Finding(
            f"no node is all that {name} is bound to", "what binds it, and who said so: ddhelm values worker --explain"
        )
    found = f"no node can take {name}; taints: {names(sorted({show(t) for _, taints in near for t in taints}))}"
    node, taints = min(near, key=lambda pair: (len(pair[1]), pair[0].name))
    if _heeds_tolerate(context, pod, settled):
        every = dict.fromkeys((*context.tolerate, *map(show, taints)))
        return Finding(found, "ddhelm onboard " + " ".join(typed("--tolerate {taint}", taint=taint) for taint in every))
    # one key each: a toleration of everything keeps a pod on a node that is gone, and no other one is made
    keys = dict.fromkeys(taint.key for taint in node.taints if taint.effect != "PreferNoSchedule")
    at = "clusterAgent.tolerations[{}].key={},clusterAgent.tolerations[{}].operator=Exists"
    given = ",".join(at.format(number, key, number) for number, key in enumerate(keys))
    return Finding(found, typed("ddhelm onboard --worker-set {given}", given=given))


def _heeds_tolerate(context: ProofContext, pod: Mapping[str, Any], settled: Sequence[Node]) -> bool:
    """Whether `--tolerate` reaches the Cluster Agent (``values.cluster_agent_tolerations``): only where no node takes a
    bare pod and no control plane is seen, and while no tolerations of the user's stand in their place.
    """
    theirs = [one for one in pod.get("tolerations") or () if one not in [*map(parse_toleration, context.tolerate)]]
    bare = schedulable({"nodeSelector": {OS: "linux"}}, settled)
    return not theirs and not bare and context.of_role(Role.CONTROL_PLANE) is None


def _labelled(nodes: Iterable[Node], key: str, value: str) -> bool:
    return any(node.labels.get(key) == value for node in nodes)


def _settled(node: Node) -> Node:
    """The node as it will be once what goes by itself is gone, cordons included."""
    return replace(node, taints=tuple(t for t in node.taints if not transient(t)), unschedulable=False)


def _cluster_agent_variables(context: ProofContext) -> Iterator[tuple[ReleaseView, Mapping[str, Tree]]]:
    for release in context.releases:
        for obj in release.cluster_agents():
            for container in pod_spec(obj).get("containers") or ():
                if container.get("name") == "cluster-agent":
                    yield release, environment(container)


def _operators(release: ReleaseView) -> list[Object]:
    return [
        obj
        for obj in release.manifest.of_kind("Deployment")
        for container in pod_spec(obj).get("containers") or ()
        if container.get("name") == _OPERATOR_CONTAINER
    ]


def _value(variables: Mapping[str, Tree], name: str) -> str:
    return str(variables.get(name, {}).get("value") or "")


def _leads_to(service: Object, worker: ReleaseView) -> bool:
    chosen = get(service.body, ("spec", "selector")) or {}
    for obj in worker.cluster_agents():
        labels = get(pod_template(obj), ("metadata", "labels")) or {}
        if chosen and all(labels.get(key) == value for key, value in chosen.items()):
            return True
    return False


def _ports(service: Object) -> list[int]:
    return [int(port["port"]) for port in get(service.body, ("spec", "ports")) or () if port.get("port")]


CLAIMS = (
    Claim(
        "no-shared-object",
        "no object belongs to two releases",
        Severity.FATAL,
        "turn it off in one of them: `--control-plane-set KEY=false`; chart 3.146.4 to 3.147.0 cannot be used",
        "shared-object",
        no_shared_object,
    ),
    Claim(
        "no-duplicate",
        "no object stands twice in one release",
        Severity.FATAL,
        "the chart or the values name two things alike: ddhelm values worker",
        "duplicate-object",
        no_duplicate,
    ),
    Claim(
        "agents-rendered",
        "every release has a DaemonSet of agents",
        Severity.FATAL,
        "the chart leaves it out without a word when no API key is named, or with `agents.enabled: false`",
        "no-daemonset",
        agents_rendered,
    ),
    Claim(
        "one-cluster-agent",
        "exactly one Deployment or StatefulSet runs a Cluster Agent",
        Severity.FATAL,
        "it belongs to the worker release; take `clusterAgent` and `existingClusterAgent` out of your values",
        "one-cluster-agent",
        one_cluster_agent,
    ),
    Claim(
        "one-webhook",
        "one admission controller owns the webhook",
        Severity.FATAL,
        "--control-plane-set clusterAgent.admissionController.enabled=false",
        "one-webhook",
        one_webhook,
    ),
    Claim(
        "one-set-of-crds",
        "CRDs and the operator belong to one release at most",
        Severity.FATAL,
        "--control-plane-set datadog.operator.enabled=false",
        "one-set-of-crds",
        one_set_of_crds,
    ),
    Claim(
        "crds-stay",
        "no CRD is deleted together with its objects",
        Severity.FATAL,
        "keep them: `operator.datadogCRDs.keepCrds: true` in an upgrade before; or insist with --delete-crds",
        "crds-lost",
        crds_stay,
    ),
    Claim(
        "one-token",
        "agents and Cluster Agent read the same token",
        Severity.FATAL,
        "take `clusterAgent.token*` and `existingClusterAgent.tokenSecretName` out of your values",
        "one-token",
        one_token,
    ),
    Claim(
        "one-cluster-name",
        "all agents call the cluster by one name",
        Severity.WARNING,
        "ddhelm onboard --worker-set datadog.clusterName=NAME --control-plane-set datadog.clusterName=NAME",
        "one-cluster-name",
        one_cluster_name,
    ),
    Claim(
        "cluster-agent-joined",
        "all agents are told where the worker release's Cluster Agent is",
        Severity.FATAL,
        "take `existingClusterAgent` and DD_CLUSTER_AGENT_URL out of your values",
        "cluster-agent-not-joined",
        joined,
    ),
    Claim(
        "agents-apart",
        "no node runs two agents while it changes its role",
        Severity.WARNING,
        "take `agents.affinity` out of your values, or repeat ddhelm's podAntiAffinity there",
        "agents-apart",
        agents_apart,
    ),
    Claim(
        "cluster-agent-finds-a-node",
        "some node can take the Cluster Agent",
        Severity.FATAL,
        "ddhelm onboard --worker-set 'clusterAgent.tolerations[0].key=KEY,clusterAgent.tolerations[0].operator=Exists'",
        "cluster-agent-no-node",
        cluster_agent_finds_a_node,
    ),
)
