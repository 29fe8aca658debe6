"""What Kubernetes says about pods that do not come up, read for what is at fault.

Helm's own text never has the cause (`context deadline exceeded`); it stands in conditions, container states and
events. The patterns below are over texts of kube-controller-manager, kube-scheduler and kubelet 1.29 to 1.36.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from ddhelm.causes import KINDS, Finding
from ddhelm.workloads import Event, Pod, Waiting, Workload

_CREATION: Sequence[tuple[str, re.Pattern[str]]] = (
    ("NamespaceGoing", re.compile(r"in namespace (?P<subject>\S+) because it is being terminated")),
    ("PodSecurity", re.compile(r'violates PodSecurity "(?P<subject>[^"]+)": ?(?P<detail>.*)', re.DOTALL)),
    (
        "SecurityContext",
        re.compile(r"(?P<detail>unable to validate against any security context constraint.*)", re.DOTALL),
    ),
    ("Quota", re.compile(r"exceeded quota: (?P<subject>[^,\s]+),? ?(?P<detail>.*)", re.DOTALL)),
    ("Quota", re.compile(r"failed quota: (?P<subject>[^:,\s]+):? ?(?P<detail>.*)", re.DOTALL)),
    ("Webhook", re.compile(r'admission webhook "(?P<subject>[^"]+)" denied the request:? ?(?P<detail>.*)', re.DOTALL)),
    ("WebhookDown", re.compile(r'failed calling webhook "(?P<subject>[^"]+)": ?(?P<detail>.*)', re.DOTALL)),
    ("ServiceAccount", re.compile(r'serviceaccount "(?P<subject>[^"]+)" not found')),
    ("PriorityClass", re.compile(r"no PriorityClass with name (?P<subject>\S+) was found")),
)
_SCHEDULING: Sequence[tuple[str, re.Pattern[str]]] = (
    ("AntiAffinity", re.compile(r"didn't (match|satisfy) (existing )?pods? anti-affinity rules")),
    ("HostPorts", re.compile(r"didn't have free ports")),
    ("PodLimit", re.compile(r"Too many pods|Insufficient pods")),
    ("Resources", re.compile(r"Insufficient \S+")),
    ("Taint", re.compile(r"untolerated taint")),
)
_HOST_PATH = re.compile(r"hostPath type check failed: (?P<path>.+?) is not an? (?P<what>[\w ]+?)\s*$")
_NOT_FOUND = re.compile(r"""(?P<kind>secrets?|configmaps?)\s+"(?P<name>[^"]+)"\s+not found""", re.IGNORECASE)
_NO_KEY = re.compile(r"couldn't find key \S+ in (?P<kind>Secret|ConfigMap) (?:[^/\s]+/)?(?P<name>\S+)", re.IGNORECASE)
_IMAGE = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)


def find(
    workloads: Iterable[Workload],
    *,
    missing: Iterable[str] = (),
    pods: Iterable[Pod] = (),
    events: Sequence[Event] = (),
    nodes_down: Iterable[str] = (),
) -> Iterator[Finding]:
    """One finding a pod that is not ready, and those of workloads that cannot make their pods.

    ``events`` should only hold what belongs to this roll-out; pods of workloads that are settled are left out.
    """
    down = frozenset(nodes_down)
    behind = {each.name: each for each in workloads if not each.settled}
    yield from (Finding("Missing", name) for name in missing)
    for each in behind.values():
        yield from _of_workload(each, events)
    for pod in pods:
        if pod.owner in behind and not pod.ready:
            yield from _of_pod(pod, [event for event in events if event.name == pod.name], pod.node in down)


def _of_workload(workload: Workload, events: Sequence[Event]) -> Iterator[Finding]:
    if workload.paused:
        yield Finding("Paused", workload.name)
    failure = workload.condition("ReplicaFailure")
    if failure is not None and failure.status == "True":
        yield replace(_creation(workload.name, failure.message), sure=False)
    stopped = workload.condition("Progressing")
    if stopped is not None and stopped.status == "False" and stopped.reason == "ProgressDeadlineExceeded":
        yield Finding("DeadlineExceeded", workload.name, detail=stopped.message)
    if workload.current and workload.scheduled >= workload.desired:
        return  # every pod exists: failures to create one are past
    for event in events:
        if event.kind == workload.kind and event.name == workload.name and event.reason.startswith("FailedCreate"):
            yield _creation(workload.name, event.message)


def _creation(workload: str, message: str) -> Finding:
    for reason, pattern in _CREATION:
        if found := pattern.search(message):
            groups = found.groupdict()
            return Finding(reason, workload, groups.get("subject") or "", groups.get("detail") or "")
    return Finding("FailedCreate", workload, detail=message.removeprefix("Error creating: "))


def _of_pod(pod: Pod, events: Sequence[Event], node_down: bool) -> Iterator[Finding]:
    if node_down:
        yield Finding("NodeNotReady", pod.owner, pod=pod.name, node=pod.node)
    elif pod.failed:
        yield Finding("Refused", pod.owner, detail=pod.failed, pod=pod.name, node=pod.node)
    elif pod.deleting:
        yield Finding("Terminating", pod.owner, pod=pod.name, node=pod.node)
    elif pod.unschedulable:
        yield _scheduling(pod, pod.unschedulable)
    elif pod.waiting:
        yield _container(pod, pod.waiting[0])
    else:
        found = [each for each in (_happened(pod, event) for event in events) if each is not None]
        if found:
            yield min(found, key=lambda finding: KINDS[finding.reason].grace)
        elif pod.unready:
            yield Finding("NotReady", pod.owner, pod=pod.name, node=pod.node, container=pod.unready[0])


def _scheduling(pod: Pod, message: str) -> Finding:
    reason = next((reason for reason, pattern in _SCHEDULING if pattern.search(message)), "Unschedulable")
    short = re.split(r"\.\s+(?:no new claims|preemption:)", message)[0]
    return Finding(reason, pod.owner, detail=short, pod=pod.name, node=pod.node)


def _container(pod: Pod, waiting: Waiting) -> Finding:
    reason, subject, detail = "RunContainer", waiting.container, waiting.message or waiting.reason
    if waiting.reason in _IMAGE:
        reason, subject = "ImagePull", waiting.image
    elif waiting.reason == "CrashLoopBackOff":
        reason, detail = "CrashLoop", _last_end(waiting)
    elif waiting.reason == "CreateContainerConfigError":
        reason, subject = _reference(waiting.message) or ("ContainerConfig", waiting.container)
    return Finding(reason, pod.owner, subject, detail, pod.name, pod.node, waiting.container)


def _last_end(waiting: Waiting) -> str:
    ended = waiting.last_reason or "ended"
    code = "" if waiting.exit_code is None else f" with exit code {waiting.exit_code}"
    times = f", {waiting.restarts} restarts" if waiting.restarts else ""
    return f"{ended}{code}{times}"


def _reference(message: str) -> tuple[str, str] | None:
    """Which Secret or ConfigMap a kubelet's message says is missing: (reason, name)."""
    found = _NOT_FOUND.search(message) or _NO_KEY.search(message)
    if found is None:
        return None
    return ("Secret" if found["kind"].lower().startswith("secret") else "ConfigMap", found["name"])


def _happened(pod: Pod, event: Event) -> Finding | None:
    if event.reason == "FailedScheduling":
        return _scheduling(pod, event.message)
    if event.reason == "FailedCreatePodSandBox":
        return Finding("Sandbox", pod.owner, detail=event.message, pod=pod.name, node=pod.node)
    if event.reason != "FailedMount" or "not registered" in event.message:  # the kubelet's cache is warming up
        return None
    if found := _HOST_PATH.search(event.message):
        return Finding("HostFile", pod.owner, found["path"], found["what"], pod.name, pod.node)
    reason, subject = _reference(event.message) or ("Mount", "")
    return Finding(reason, pod.owner, subject, event.message, pod.name, pod.node)
