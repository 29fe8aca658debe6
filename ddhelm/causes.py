"""Why pods do not come up, in words: findings about pods and workloads become causes with a sentence and a hint.

Each sort of cause is one row of ``KINDS``: its words, its hint, and for how many seconds it may last without any
progress before waiting longer makes no sense. A grace of 0 means that only a change by hand helps; ``math.inf`` that
only the roll-out's own timeout ends it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from msgspec import Struct

from ddhelm.pasting import typed
from ddhelm.reserved import Reserved

_DETAIL_LIMIT = 300
_EXAMPLES = 3
_UNSURE_GRACE = 30.0  # a ReplicaSet repeats its old failure until it tries again: back-off of 10 to 20 s, measured


class Kind(Struct, frozen=True):
    """One sort of cause: ``text`` and ``hint`` are format strings over the fields of a finding (see ``Finding``)."""

    reason: str
    grace: float
    text: str
    hint: str


class Finding(Struct, frozen=True):
    """One observation before grouping.

    ``reason`` is a row of ``KINDS``, ``subject`` the thing at fault (a path, a Secret, an image), ``detail`` what
    Kubernetes said about it. ``sure`` is False where the words may be left from before this roll-out.
    """

    reason: str
    workload: str
    subject: str = ""
    detail: str = ""
    pod: str = ""
    node: str = ""
    container: str = ""
    sure: bool = True


class Cause(Reserved, frozen=True):
    """Why pods of a workload are not ready: one sentence, something to type, and the pods and nodes it was seen on.

    ``grace`` is in seconds. Equal ``key`` means the same cause in two readings.
    """

    unshown: ClassVar[tuple[str, ...]] = ("subject",)

    reason: str
    text: str
    hint: str
    workload: str
    pods: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    grace: float = math.inf
    subject: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same cause next time; pods are replaced under new names and do not count."""
        return (self.reason, self.workload, self.subject)


KINDS: Mapping[str, Kind] = {
    kind.reason: kind
    for kind in (
        Kind(
            "PodSecurity",
            0,
            "namespace `{namespace}` enforces pod security `{subject}`: pods of `{workload}` are forbidden: {detail}",
            "ddhelm onboard --label-namespace",
        ),
        Kind(
            "SecurityContext",
            0,
            "no SecurityContextConstraints admit the pods of `{workload}`: {detail}",
            "kubectl get scc; the chart's `agents.podSecurity.securityContextConstraints.create` makes one",
        ),
        Kind(
            "NamespaceGoing",
            0,
            "namespace `{namespace}` is being deleted: no pod of `{workload}` can be created",
            "kubectl get namespace {namespace} -o yaml shows what holds it; onboard again when it is gone",
        ),
        Kind(
            "Webhook",
            10,
            "admission webhook `{subject}` refuses the pods of `{workload}`: {detail}",
            "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o wide; ask its owner to let "
            "namespace `{namespace}` pass",
        ),
        Kind(
            "WebhookDown",
            30,
            "admission webhook `{subject}` does not answer and blocks the pods of `{workload}`: {detail}",
            "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations; its Service has no living pod",
        ),
        Kind(
            "Quota",
            30,
            "quota `{subject}` is used up: {detail}",
            "kubectl -n {namespace} describe quota {subject}",
        ),
        Kind(
            "PriorityClass",
            15,
            "PriorityClass `{subject}` does not exist: pods of `{workload}` cannot be created",
            "kubectl get priorityclass",
        ),
        Kind(
            "ServiceAccount",
            15,
            "ServiceAccount `{subject}` does not exist: pods of `{workload}` cannot be created",
            "ddhelm onboard repairs objects that are gone",
        ),
        Kind(
            "FailedCreate",
            30,
            "pods of `{workload}` cannot be created: {detail}",
            "kubectl -n {namespace} get events --field-selector reason=FailedCreate",
        ),
        Kind(
            "Secret",
            20,
            "`{workload}` names a Secret or a key of it that is missing, seen {where}: {detail}",
            "kubectl -n {namespace} describe secret {subject}; ddhelm onboard asks for the keys that it manages",
        ),
        Kind(
            "ConfigMap",
            20,
            "`{workload}` names a ConfigMap or a key of it that is missing, seen {where}: {detail}",
            "ddhelm onboard repairs objects that are gone",
        ),
        Kind(
            "ContainerConfig",
            20,
            "container `{container}` of `{workload}` cannot be configured: {detail}",
            "kubectl -n {namespace} describe pod {pod}",
        ),
        Kind(
            "HostFile",
            20,
            "no {detail} `{subject}` {where}",
            "ddhelm onboard --drop-check {check} (or put the file there)",
        ),
        Kind(
            "Mount",
            60,
            "a volume of `{workload}` cannot be mounted {where}: {detail}",
            "kubectl -n {namespace} describe pod {pod}",
        ),
        Kind(
            "ImagePull",
            60,
            "image `{subject}` cannot be pulled {where}: {detail}",
            "check that the nodes reach the registry, and the tag; kubectl -n {namespace} describe pod {pod}",
        ),
        Kind(
            "RunContainer",
            30,
            "container `{container}` of `{workload}` cannot be started {where}: {detail}",
            "kubectl -n {namespace} describe pod {pod}",
        ),
        Kind(
            "CrashLoop",
            60,
            "container `{container}` of `{workload}` ends again and again {where}: {detail}",
            "kubectl -n {namespace} logs {pod} -c {container} --previous",
        ),
        Kind(
            "Refused",
            60,
            "the kubelet refuses pods of `{workload}` {where}: {detail}",
            "kubectl -n {namespace} describe pod {pod}",
        ),
        Kind(
            "Sandbox",
            90,
            "the network or sandbox of pods of `{workload}` cannot be set up {where}: {detail}",
            "kubectl -n {namespace} describe pod {pod}",
        ),
        Kind(
            "HostPorts",
            60,
            "no free host port for `{workload}` {where}: {detail}",
            "another pod of that node holds the port; kubectl get pods -A --field-selector spec.nodeName={node}",
        ),
        Kind(
            "Taint",
            60,
            "`{workload}` tolerates no node that it may use: {detail}",
            "ddhelm onboard --tolerate KEY[=VALUE][:EFFECT]",
        ),
        Kind(
            "PodLimit",
            60,
            "nodes run as many pods as they may, and `{workload}` has no room {where}: {detail}",
            "move a pod to another node, or raise `maxPods` of the node's kubelet",
        ),
        Kind(
            "Resources",
            60,
            "nodes have no room for `{workload}` {where}: {detail}",
            "lower the requests (`agents.containers.agent.resources`), or free the node",
        ),
        Kind(
            "AntiAffinity",
            120,
            "`{workload}` waits for the other release's agent to leave {where}",
            "kubectl -n {namespace} get pods --field-selector spec.nodeName={node}",
        ),
        Kind(
            "Unschedulable",
            60,
            "no node takes the pods of `{workload}`: {detail}",
            "kubectl -n {namespace} describe pod {pod}",
        ),
        Kind(
            "NodeNotReady",
            60,
            "node {nodes} not ready: the agent there cannot follow and holds up `{workload}`",
            "bring the node back, or take it out for good: kubectl delete node {node}",
        ),
        Kind(
            "DeadlineExceeded",
            60,
            "Deployment `{workload}` made no progress for its own deadline: {detail}",
            "kubectl -n {namespace} describe deployment {workload}",
        ),
        Kind(
            "Paused",
            10,
            "Deployment `{workload}` is paused: it makes no new pods",
            "kubectl -n {namespace} rollout resume deployment/{workload}",
        ),
        Kind(
            "Missing",
            10,
            "`{workload}` does not exist any more: someone deleted it during the roll-out",
            "ddhelm onboard repairs objects that are gone",
        ),
        Kind(
            "Terminating",
            math.inf,
            "old pods of `{workload}` are still stopping {where}",
            "kubectl -n {namespace} describe pod {pod}",
        ),
        Kind(
            "NotReady",
            math.inf,
            "container `{container}` of `{workload}` runs and is not ready {where}",
            "kubectl -n {namespace} logs {pod} -c {container}",
        ),
    )
}


def explain(
    findings: Iterable[Finding], *, namespaces: Mapping[str, str], checks: Mapping[str, str]
) -> tuple[Cause, ...]:
    """The causes behind findings, grouped by the thing at fault, the surest and widest first.

    ``namespaces`` maps workload to namespace; ``checks`` maps paths on the host to the check that reads them.
    """
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.reason, finding.workload, finding.subject), []).append(finding)
    causes = [_cause(group, namespaces, checks) for group in groups.values()]
    return tuple(sorted(causes, key=lambda cause: (cause.grace, -len(cause.pods), cause.key)))


def _cause(group: Sequence[Finding], namespaces: Mapping[str, str], checks: Mapping[str, str]) -> Cause:
    first, kind = group[0], KINDS[group[0].reason]
    pods = tuple(dict.fromkeys(each.pod for each in group if each.pod))
    nodes = tuple(dict.fromkeys(each.node for each in group if each.node))
    fields = {
        "namespace": namespaces.get(first.workload, ""),
        "workload": first.workload,
        "subject": first.subject,
        "detail": shorten(first.detail),
        "where": f"on {listed(nodes)}" if nodes else "anywhere",
        "nodes": f"{listed(nodes)} {'is' if len(nodes) == 1 else 'are'}",
        "pod": first.pod or "POD",
        "node": first.node or "NODE",
        "container": first.container,
        "check": check_of(first.subject, checks),
    }
    return Cause(
        reason=kind.reason,
        text=" ".join(kind.text.format_map(fields).split()).rstrip(": "),
        hint=typed(kind.hint, **fields),
        workload=first.workload,
        pods=pods,
        nodes=nodes,
        grace=kind.grace if any(each.sure for each in group) else max(kind.grace, _UNSURE_GRACE),
        subject=first.subject,
    )


def check_of(path: str, checks: Mapping[str, str]) -> str:
    """The check that reads a path on the host, the longest given prefix winning; `NAME` where none is known."""
    fitting = [each for each in checks if path == each or path.startswith(each.rstrip("/") + "/")]
    return checks[max(fitting, key=len)] if fitting else "NAME"


def listed(names: Sequence[str], examples: int = _EXAMPLES) -> str:
    """Names in backticks, the first few of many: "`a`, `b`, `c` and 44 more"."""
    shown = ", ".join(f"`{name}`" for name in names[:examples])
    rest = len(names) - examples
    return f"{shown} and {rest} more" if rest > 0 else shown


def shorten(text: str, limit: int = _DETAIL_LIMIT) -> str:
    """One line of at most ``limit`` characters; a PodSecurity violation names each volume and runs over 2 KB."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
