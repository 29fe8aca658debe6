"""What the simulated kubelets do: the stages, exec and logs that kwok is configured with.

kwok has no stages of its own; without these it exits. Ours are shorter than its samples and add what roll-out tests
need: pods that start late, never, or stop slowly, by annotation (README.md lists them). Written as JSON, which is YAML.

The selectors of one kind exclude each other: where two stages match, kwok throws dice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PREFIX = "sandbox.ddhelm.dev"
READY_AFTER = f"{PREFIX}/ready-after"
NEVER_READY = f"{PREFIX}/never-ready"
MESSAGE = f"{PREFIX}/message"
EVENT = f"{PREFIX}/event"
STOP_AFTER = f"{PREFIX}/stop-after"
COMPLETE_AFTER = f"{PREFIX}/complete-after"
NOT_READY = f"{PREFIX}/not-ready"
SIMULATE = f"{PREFIX}/simulate"
POD_ANNOTATIONS = (READY_AFTER, NEVER_READY, MESSAGE, EVENT, STOP_AFTER, COMPLETE_AFTER)

Json = dict[str, Any]


def _annotation(name: str) -> str:
    return f'.metadata.annotations["{name}"]'


def _exists(path: str) -> Json:
    return {"jq": {"key": path, "operator": "Exists"}}


def _absent(path: str) -> Json:
    return {"jq": {"key": path, "operator": "DoesNotExist"}}


def _holds(expression: str) -> Json:
    return {"jq": {"key": expression, "operator": "In", "values": ["true"]}}


def _stage(kind: str, name: str, when: Sequence[Json], steps: Sequence[Json], delay: str = "") -> Json:
    spec: Json = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": list(when)},
        "steps": list(steps),
    }
    if delay:
        source = {"jq": {"expression": _annotation(delay)}}
        spec["delay"] = {"durationMilliseconds": 0, "durationFrom": source}
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def _status(template: str) -> Json:
    return {"patch": {"subresource": "status", "root": "status", "template": template}}


_NODE = """
addresses:
- {type: InternalIP, address: {{ NodeIP | Quote }}}
- {type: Hostname, address: {{ NodeName | Quote }}}
daemonEndpoints: {kubeletEndpoint: {Port: {{ NodePort }}}}
phase: Running
conditions:
"""
# nodeInfo is left to the topology. (A template that repeats it must quote it: an unquoted kernelVersion of 6.8 becomes
# a number, and the node stays Unknown for ever.)
_NODE_READY = (
    _NODE
    + """
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ Now | Quote }}
{{ end }}
"""
)
_NODE_NOT_READY = (
    _NODE
    + f"""
- type: Ready
  status: "False"
  reason: KubeletNotReady
  message: {{{{ or (index .metadata.annotations "{NOT_READY}") "container runtime network not ready" | Quote }}}}
  lastHeartbeatTime: {{{{ Now | Quote }}}}
  lastTransitionTime: {{{{ Now | Quote }}}}
"""
)

_POD = """
startTime: {{ or .status.startTime Now | Quote }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
hostIPs: [{ip: {{ NodeIPWith .spec.nodeName | Quote }}}]
"""
# Init containers that always restart are sidecars: they keep running.
_POD_RUNNING = (
    _POD
    + """
phase: Running
{{ $ip := PodIPWith .spec.nodeName (or .spec.hostNetwork false) .metadata.uid .metadata.name .metadata.namespace }}
podIP: {{ $ip | Quote }}
podIPs: [{ip: {{ $ip | Quote }}}]
conditions:
- {type: PodReadyToStartContainers, status: "True", lastTransitionTime: {{ Now | Quote }}}
- {type: Initialized, status: "True", reason: "", message: "", lastTransitionTime: {{ Now | Quote }}}
- {type: Ready, status: "True", reason: "", message: "", lastTransitionTime: {{ Now | Quote }}}
- {type: ContainersReady, status: "True", reason: "", message: "", lastTransitionTime: {{ Now | Quote }}}
{{ range .spec.readinessGates }}
- {type: {{ .conditionType | Quote }}, status: "True", lastTransitionTime: {{ Now | Quote }}}
{{ end }}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: true
  restartCount: 0
  {{ if eq (or .restartPolicy "") "Always" }}
  started: true
  state: {running: {startedAt: {{ Now | Quote }}}}
  {{ else }}
  started: false
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ Now | Quote }}, finishedAt: {{ Now | Quote }}}}
  {{ end }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ Now | Quote }}}, waiting: null}
{{ end }}
"""
)
# The kubelet tells a failed mount in an Event only: the container says ContainerCreating, without a message.
_POD_WAITING = (
    _POD
    + f"""
phase: Pending
{{{{ $reason := or (index .metadata.annotations "{NEVER_READY}") "ContainerCreating" }}}}
{{{{ if eq $reason "true" }}}}{{{{ $reason = "ContainerCreating" }}}}{{{{ end }}}}
{{{{ $message := or (index .metadata.annotations "{MESSAGE}") "" }}}}
"""
    + """
{{ $unready := "containers with unready status: [" }}
{{ range $index, $item := .spec.containers }}
{{ if $index }}{{ $unready = printf "%s " $unready }}{{ end }}
{{ $unready = printf "%s%s" $unready .name }}
{{ end }}
{{ $unready = printf "%s]" $unready }}
conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ Now | Quote }}}
- {type: Ready, status: "False", reason: ContainersNotReady, message: {{ $unready | Quote }}, lastTransitionTime: {{ Now | Quote }}}
- {type: ContainersReady, status: "False", reason: ContainersNotReady, message: {{ $unready | Quote }}, lastTransitionTime: {{ Now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: false
  started: false
  restartCount: 0
  state:
    waiting:
      reason: {{ $reason | Quote }}
      {{ if and $message (ne $reason "ContainerCreating") }}message: {{ $message | Quote }}{{ end }}
{{ end }}
"""  # noqa: E501 - a line of the template is one line of YAML
)
_POD_EVENT = f"""
apiVersion: v1
kind: Event
metadata:
  name: {{{{ printf "%s.sandbox" .metadata.name | Quote }}}}
  namespace: {{{{ .metadata.namespace | Quote }}}}
type: Warning
reason: {{{{ or (index .metadata.annotations "{EVENT}") "FailedMount" | Quote }}}}
message: {{{{ index .metadata.annotations "{MESSAGE}" | Quote }}}}
count: 1
firstTimestamp: {{{{ Now | Quote }}}}
lastTimestamp: {{{{ Now | Quote }}}}
reportingComponent: kubelet
reportingInstance: {{{{ .spec.nodeName | Quote }}}}
source: {{component: kubelet, host: {{{{ .spec.nodeName | Quote }}}}}}
involvedObject:
  apiVersion: v1
  kind: Pod
  name: {{{{ .metadata.name | Quote }}}}
  namespace: {{{{ .metadata.namespace | Quote }}}}
  uid: {{{{ .metadata.uid | Quote }}}}
"""
_POD_SUCCEEDED = """
phase: Succeeded
conditions:
- {type: Ready, status: "False", reason: PodCompleted, lastTransitionTime: {{ Now | Quote }}}
- {type: ContainersReady, status: "False", reason: PodCompleted, lastTransitionTime: {{ Now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: false
  started: false
  restartCount: 0
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ Now | Quote }}, finishedAt: {{ Now | Quote }}}}
{{ end }}
"""


def stages() -> list[Json]:
    """The life of nodes and pods.

    Node: made ──► Ready ◄──(not-ready)──► not Ready.
    Pod: Pending ──► Running, or by way of waiting; Running ──► Succeeded unless it always restarts; deleted ──► gone.
    """
    ready = '.status.conditions.[] | select(.type == "Ready") | .status'
    alive = _absent(".metadata.deletionTimestamp")
    pending = {"jq": {"key": ".status.phase", "operator": "In", "values": ["Pending"]}}
    running = {"jq": {"key": ".status.phase", "operator": "In", "values": ["Running"]}}
    late = f"({_annotation(NEVER_READY)} // {_annotation(READY_AFTER)}) != null"
    seen_waiting = "(.status.containerStatuses != null)"
    to_run = [alive, pending, _absent(_annotation(NEVER_READY)), _holds(f"(({late}) | not) or {seen_waiting}")]
    to_wait = [alive, pending, _holds(late), _absent(".status.containerStatuses.[].name")]
    return [
        _stage(
            "Node",
            "node-ready",
            [_absent(_annotation(NOT_READY)), {"jq": {"key": ready, "operator": "NotIn", "values": ["True"]}}],
            [_status(_NODE_READY)],
        ),
        _stage(
            "Node",
            "node-not-ready",
            [_exists(_annotation(NOT_READY)), {"jq": {"key": ready, "operator": "NotIn", "values": ["False"]}}],
            [_status(_NODE_NOT_READY)],
        ),
        _stage("Pod", "pod-running", to_run, [_status(_POD_RUNNING)], delay=READY_AFTER),
        _stage("Pod", "pod-waiting", [*to_wait, _absent(_annotation(MESSAGE))], [_status(_POD_WAITING)]),
        _stage(
            "Pod",
            "pod-waiting-with-event",
            [*to_wait, _exists(_annotation(MESSAGE))],
            [{"apply": {"template": _POD_EVENT}}, _status(_POD_WAITING)],
        ),
        _stage(
            "Pod",
            "pod-succeeded",
            [alive, running, _holds('.spec.restartPolicy != "Always"')],
            [_status(_POD_SUCCEEDED)],
            delay=COMPLETE_AFTER,
        ),
        _stage("Pod", "pod-gone", [_exists(".metadata.deletionTimestamp")], [{"delete": True}], delay=STOP_AFTER),
    ]


def config(pod_log: Path, work_folder: Path) -> str:
    """The whole configuration file: the stages, and exec and logs for every container of every pod.

    `kubectl exec` runs the command on this machine, in `work_folder`, found in kwok's own PATH; `kubectl logs` shows
    `pod_log`, a file in the container runtime's format.
    """
    exec_target = {"local": {"workDir": str(work_folder)}}
    log = {"logsFile": str(pod_log), "previousLogsFile": str(pod_log), "follow": False}
    documents = [
        *stages(),
        _cluster_wide("ClusterExec", {"execs": [exec_target]}),
        _cluster_wide("ClusterLogs", {"logs": [log]}),
    ]
    return "".join(f"---\n{json.dumps(document, indent=1)}\n" for document in documents)


def _cluster_wide(kind: str, spec: Json) -> Json:
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": {"name": "everywhere"}, "spec": spec}
