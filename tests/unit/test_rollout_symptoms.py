"""What the controllers', scheduler's and kubelet's own words are read as."""

from typing import Any

import pytest

from ddhelm import causes, symptoms, workloads
from ddhelm.causes import Cause
from tests.unit import apitrees as api

CHECKS = {"/etc/kubernetes/pki/etcd": "etcd", "/etc/kubernetes/pki/etcd/ca.crt": "etcd-by-file"}
PREEMPTION = (
    " no new claims to deallocate, preemption: 0/8 nodes are available: 1 No preemption victims found for incoming "
    "pod, 7 Preemption is not helpful for scheduling."
)
ELSEWHERE = ", 7 node(s) didn't satisfy plugin(s) [NodeAffinity]."
OLD, NEW, NEWER = (f"2026-11-24T03:00:0{second}Z" for second in range(3))
EVICTED = ("Evicted", "The node was low on resource: memory.")


def explained(*, pods: list[Any] | None = None, events: list[Any] | None = None, **status: Any) -> tuple[Cause, ...]:
    workload = workloads.workload(api.daemonset(**{"available": 0, **status}))
    found = symptoms.find(
        [workload],
        pods=[workloads.pod(tree, api.WORKER) for tree in pods or ()],
        events=[workloads.event(tree) for tree in events or ()],
    )
    return causes.explain(found, namespaces={api.WORKER: api.NAMESPACE}, checks=CHECKS)


@pytest.mark.parametrize("kind", [kind for kind in causes.KINDS.values() if "{subject}" in kind.hint])
def test_words_of_an_event_are_one_word_of_the_command_to_type(kind: causes.Kind) -> None:
    found = causes.Finding(kind.reason, api.WORKER, subject="x; touch /tmp/pwn #")
    (cause,) = causes.explain([found], namespaces={api.WORKER: api.NAMESPACE}, checks=CHECKS)
    assert "'x; touch /tmp/pwn #'" in cause.hint


def only(found: tuple[Cause, ...]) -> Cause:
    (cause,) = found
    return cause


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        (
            'Error creating: pods "a-" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=3, limited: 3',
            "Quota",
            "quota `pods` is used up: requested: pods=1, used: pods=3, limited: 3",
        ),
        (
            'Error creating: admission webhook "policy.example.com" denied the request: no host network here',
            "Webhook",
            f"admission webhook `policy.example.com` refuses the pods of `{api.WORKER}`: no host network here",
        ),
        (
            'Error creating: Internal error occurred: failed calling webhook "datadog.webhook.lib.injection": failed '
            'to call webhook: Post "https://x.datadog.svc:443/injectlib": service "x" not found',
            "WebhookDown",
            "admission webhook `datadog.webhook.lib.injection` does not answer",
        ),
        (
            'Error creating: pods "a-" is forbidden: error looking up service account datadog/worker-node: '
            'serviceaccount "worker-node" not found',
            "ServiceAccount",
            "ServiceAccount `worker-node` does not exist",
        ),
        (
            'Error creating: pods "a-" is forbidden: no PriorityClass with name agents was found',
            "PriorityClass",
            "PriorityClass `agents` does not exist",
        ),
        (
            'Error creating: pods "a-" is forbidden: unable to create new content in namespace datadog because it is '
            "being terminated",
            "NamespaceGoing",
            "namespace `datadog` is being deleted",
        ),
        (
            'Error creating: pods "a-" is forbidden: unable to validate against any security context constraint: [x]',
            "SecurityContext",
            "no SecurityContextConstraints admit",
        ),
        ("Error creating: something new", "FailedCreate", "cannot be created: something new"),
    ],
)
def test_why_a_pod_cannot_be_created(message: str, reason: str, words: str) -> None:
    happened = api.event("FailedCreate", message, kind="DaemonSet", name=api.WORKER)
    cause = only(explained(events=[happened], scheduled=0))
    assert cause.reason == reason
    assert words in cause.text


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (f"0/8 nodes are available: 1 node(s) didn't match pod anti-affinity rules{ELSEWHERE}", "AntiAffinity"),
        (
            f"0/8 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules{ELSEWHERE}",
            "AntiAffinity",
        ),
        (
            f"0/8 nodes are available: 1 node(s) didn't have free ports for the requested pod ports{ELSEWHERE}",
            "HostPorts",
        ),
        (f"0/8 nodes are available: 1 Insufficient memory{ELSEWHERE}", "Resources"),
        (f"0/8 nodes are available: 1 Too many pods{ELSEWHERE}", "PodLimit"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: x}.", "Taint"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint(s).", "Taint"),
        (f"0/8 nodes are available: 1 node(s) were unschedulable{ELSEWHERE}", "Unschedulable"),
    ],
)
def test_why_a_pod_finds_no_node(message: str, reason: str) -> None:
    cause = only(explained(pods=[api.pod("p", "w-3", unschedulable=message + PREEMPTION)]))
    assert cause.reason == reason
    assert cause.nodes == ("w-3",), "a DaemonSet's pod is pinned to its node before it is bound"
    assert "preemption" not in cause.text


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (api.waiting("CreateContainerConfigError", 'secret "ddhelm" not found'), "Secret", 'secret "ddhelm" not found'),
        (
            api.waiting("CreateContainerConfigError", "couldn't find key api-key in Secret datadog/ddhelm"),
            "Secret",
            "couldn't find key api-key",
        ),
        (api.waiting("CreateContainerConfigError", 'configmap "x" not found'), "ConfigMap", 'configmap "x" not found'),
        (
            api.waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            "ContainerConfig",
            "runAsNonRoot",
        ),
        (
            api.waiting("ErrImagePull", "dial tcp: lookup gcr.io: no such host"),
            "ImagePull",
            "image `gcr.io/datadoghq/agent:7.81.2` cannot be pulled on `w-1`: dial tcp: lookup gcr.io: no such host",
        ),
        (api.waiting("RunContainerError", "failed to create containerd task"), "RunContainer", "containerd task"),
        (
            api.waiting("CrashLoopBackOff", "back-off 5m0s", restarts=7, last={"exitCode": 137, "reason": "OOMKilled"}),
            "CrashLoop",
            "OOMKilled with exit code 137, 7 restarts",
        ),
        (
            {"name": "agent", "restartCount": 1, "state": {"terminated": {"exitCode": 2, "reason": "Error"}}},
            "CrashLoop",
            "Error with exit code 2, 1 restarts",
        ),
        (
            api.running(restarts=3, last={"exitCode": 2, "reason": "Error"}),
            "CrashLoop",
            "Error with exit code 2, 3 restarts",
        ),
        (api.running(), "NotReady", "runs and is not ready"),
    ],
)
def test_why_a_container_does_not_run(status: Any, reason: str, words: str) -> None:
    cause = only(explained(pods=[api.pod("p", containers=[status])]))
    assert cause.reason == reason
    assert words in cause.text


def test_an_init_container_speaks_before_the_containers_that_wait_for_it() -> None:
    starting = api.waiting("PodInitializing")
    failing = api.waiting("ImagePullBackOff", "x", name="init-volume")
    cause = only(explained(pods=[api.pod("p", init=[failing], containers=[starting])]))
    assert "init-volume" in cause.text


def test_containers_that_are_being_created_are_no_cause() -> None:
    assert explained(pods=[api.pod("p", containers=[api.waiting("ContainerCreating")])]) == ()


@pytest.mark.parametrize(
    ("path", "what", "check"),
    [
        ("/etc/kubernetes/pki/etcd/healthcheck-client.key", "file", "etcd"),
        ("/etc/kubernetes/pki/etcd/ca.crt", "file", "etcd-by-file"),
        ("/run/containerd/containerd.sock", "socket file", "NAME"),
        ("/opt/with space/x", "directory", "NAME"),
    ],
)
def test_a_host_path_of_the_wrong_type_names_path_node_and_the_switch(path: str, what: str, check: str) -> None:
    message = f'MountVolume.SetUp failed for volume "etcd" : hostPath type check failed: {path} is not a {what}'
    starting = api.pod("p", "cp-1", containers=[api.waiting("ContainerCreating")])
    cause = only(explained(pods=[starting], events=[api.event("FailedMount", message)]))
    assert cause.reason == "HostFile"
    assert cause.text == f"no {what} `{path}` on `cp-1`"
    assert f"--drop-check {check} " in cause.hint


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("FailedMount", 'MountVolume.SetUp failed for volume "c" : secret "etcd-client" not found', "Secret"),
        ("FailedMount", 'MountVolume.SetUp failed for volume "c" : configmap "checks" not found', "ConfigMap"),
        ("FailedMount", "Unable to attach or mount volumes: timed out waiting for the condition", "Mount"),
        ("FailedCreatePodSandBox", "plugin type=calico failed (add): no IP", "Sandbox"),
    ],
)
def test_events_explain_a_pod_that_says_nothing_itself(reason: str, message: str, expected: str) -> None:
    starting = api.pod("p", containers=[api.waiting("ContainerCreating")])
    assert only(explained(pods=[starting], events=[api.event(reason, message)])).reason == expected


def test_a_cold_kubelet_cache_is_no_missing_secret() -> None:
    message = 'MountVolume.SetUp failed for volume "c" : object "datadog"/"checks" not registered'
    assert explained(pods=[api.pod("p")], events=[api.event("FailedMount", message)]) == ()


def test_events_of_other_pods_are_not_held_against_a_pod() -> None:
    message = "hostPath type check failed: /x is not a file"
    assert explained(pods=[api.pod("p")], events=[api.event("FailedMount", message, name="gone")]) == ()


def test_pods_that_the_kubelet_refuses_say_why() -> None:
    cause = only(explained(pods=[api.pod("p", failed=EVICTED)]))
    assert cause.reason == "Refused"
    assert "Evicted: The node was low on resource: memory" in cause.text


@pytest.mark.parametrize(
    ("beside", "kept", "why"),
    [
        ([api.pod("new", made=NEWER)], ["new"], "its replacement pulls an image"),
        ([api.pod("new", phase="Running", ready=True, made=NEWER)], ["new"], "its replacement runs"),
        ([api.pod("new", made=NEWER, unschedulable="0/8 nodes")], ["new"], "its replacement finds no node"),
        ([api.pod("new", made=NEWER, started=False)], ["failed", "new"], "the next one may be refused as well"),
        ([api.pod("old", phase="Running", ready=True, made=OLD)], ["failed", "old"], "a new pod is refused"),
        (
            [api.pod("other", failed=("OutOfcpu", ""), made=NEWER)],
            ["failed", "other"],
            "one after the other is refused",
        ),
        ([], ["failed"], "there is no other"),
    ],
)
def test_a_failed_pod_of_a_deployment_counts_until_it_is_replaced(beside: list[Any], kept: list[str], why: str) -> None:
    pods = [workloads.pod(tree) for tree in [api.pod("failed", failed=EVICTED, made=NEW), *beside]]
    assert [each.name for each in workloads.without_leftovers(pods)] == kept, why


def test_pods_that_only_stop_are_no_reason_to_give_up() -> None:
    cause = only(explained(pods=[api.pod("p", phase="Running", deleting=True)]))
    assert cause.reason == "Terminating"
    assert cause.grace == float("inf")


def test_a_paused_deployment_says_so() -> None:
    paused = workloads.workload(api.deployment(updated=0, paused=True))
    found = symptoms.find([paused])
    cause = only(causes.explain(found, namespaces={paused.name: api.NAMESPACE}, checks={}))
    assert cause.hint == f"kubectl -n datadog rollout resume deployment/{api.CLUSTER_AGENT}"


def test_the_same_fault_on_many_nodes_is_one_cause() -> None:
    pods = [api.pod(f"p{i}", f"w-{i}", containers=[api.waiting("ErrImagePull", "no route")]) for i in range(12)]
    cause = only(explained(desired=12, pods=pods))
    assert "on `w-0`, `w-1`, `w-2` and 9 more" in cause.text
    assert len(cause.nodes) == 12


def test_different_images_are_different_causes() -> None:
    pods = [
        api.pod("p1", containers=[api.waiting("ErrImagePull", name="agent")]),
        api.pod("p2", containers=[api.waiting("ErrImagePull", name="trace-agent")]),
    ]
    assert len(explained(pods=pods)) == 2


def test_a_violation_that_names_each_volume_is_cut_to_one_line() -> None:
    message = 'violates PodSecurity "baseline:latest": ' + "volumes\n" * 400
    cause = only(explained(events=[api.event("FailedCreate", message, kind="DaemonSet", name=api.WORKER)], scheduled=0))
    assert "\n" not in cause.text
    assert len(cause.text) < 450


def test_pods_and_workloads_that_are_fine_have_no_causes() -> None:
    fine = workloads.workload(api.daemonset())
    late = workloads.pod(api.pod("p", containers=[api.waiting("ErrImagePull")]), api.WORKER)
    assert list(symptoms.find([fine], pods=[late])) == []


def test_a_selector_with_expressions_reads_as_kubectl_writes_it() -> None:
    selector = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["x", "y"]},
            {"key": "old", "operator": "DoesNotExist"},
            {"key": "new", "operator": "Exists"},
            {"key": "zone", "operator": "NotIn", "values": ["z"]},
        ],
    }
    assert workloads.selector_text(selector) == "a=1,b=2,tier in (x,y),!old,new,zone notin (z)"


def test_events_counted_in_series_are_counted() -> None:
    tree = {"involvedObject": {"name": "p"}, "series": {"count": 9}, "reason": "FailedMount"}
    assert workloads.event(tree).count == 9
