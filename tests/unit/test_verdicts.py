"""What is promised must run and bring samples; what is wrong is said once for all its nodes."""

import pytest
from msgspec.structs import replace

from ddhelm import execwords, verdicts
from ddhelm.agentstatus import AgentStatus, CheckRun, Dispatch, Leadership, Link
from ddhelm.verdicts import AgentPod, Kind, PodVerdict, State

POD = AgentPod("agent-x", "cp-1", "control-plane-ddagent", Kind.NODE, account="sa")
PROMISED = {"etcd": 2, "kube_scheduler": 1}
REFUSED = "HTTPSConnectionPool(host='127.0.0.1', port=1): … [Errno 111] Connection refused"
GOOD = (
    CheckRun("etcd", "etcd:1", 3, metrics=5),
    CheckRun("etcd", "etcd:2", 3, metrics=5),
    CheckRun("kube_scheduler", "kube_scheduler:1", 3, metrics=9),
    CheckRun("cpu", "cpu", 3, metrics=4),
)
LINKED = Link("https://10.0.0.1:5005", "7.81.1")


def judged(*checks: CheckRun, pod: AgentPod = POD, **keys: object) -> PodVerdict:
    status = AgentStatus("7.81.1", checks=checks, unloaded={}, refused={}, link=LINKED)
    return verdicts.of_status(pod, replace(status, **keys), PROMISED, "datadog")


def states(verdict: PodVerdict) -> dict[str, State]:
    return {each.check: each.state for each in verdict.checks}


def test_all_well() -> None:
    verdict = judged(*GOOD)
    assert verdict.state is State.OK
    assert states(verdict) == {"etcd": State.OK, "kube_scheduler": State.OK, "cpu": State.OK}
    assert not verdict.waits
    assert verdicts.findings([verdict], "datadog") == ()


def test_the_promised_come_first_and_one_bad_instance_is_enough() -> None:
    verdict = judged(GOOD[3], GOOD[2], GOOD[0], replace(GOOD[1], error=REFUSED))
    assert [each.check for each in verdict.checks] == ["etcd", "kube_scheduler", "cpu"]
    assert verdict.state is State.FAILING
    assert verdict.checks[0].why is not None
    assert verdict.checks[0].why.kind == "refused"


@pytest.mark.parametrize(
    ("checks", "kind"),
    [
        (GOOD[1:], "not-running"),
        (GOOD[2:], "not-running"),
        ((replace(GOOD[0], metrics=0), replace(GOOD[1], metrics=0), *GOOD[2:]), "empty"),
    ],
)
def test_a_promise_that_does_not_run_or_brings_nothing(checks: tuple[CheckRun, ...], kind: str) -> None:
    (finding,) = verdicts.findings([judged(*checks)], "datadog")
    assert (finding.subject, finding.why.kind, finding.fatal) == ("etcd", kind, True)


def test_what_was_not_loaded_or_could_not_be_read_fails() -> None:
    verdict = judged(*GOOD[2:], unloaded={"etcd": "no such file: /x"})
    assert states(verdict)["etcd"] is State.FAILING
    assert verdict.checks[0].why is not None
    assert verdict.checks[0].why.line.startswith("not loaded: there is no file")
    assert states(judged(*GOOD[:3], refused={"mine": "yaml: line 1"}))["mine"] is State.FAILING


def test_nothing_collected_yet_is_no_failure() -> None:
    for verdict in (judged(), judged(*(replace(each, runs=0) for each in GOOD))):
        assert verdict.state is State.WAITING
        assert verdict.waits
        assert {each.state for each in verdicts.findings([verdict], "datadog")} == {State.WAITING}
    failing = judged(replace(GOOD[0], error=REFUSED), replace(GOOD[1], runs=0), *GOOD[2:])
    assert failing.state is State.FAILING


def test_a_failing_ntp_is_a_warning_and_any_other_check_is_not() -> None:
    ntp, disk = CheckRun("ntp", "ntp", 3, error="i/o timeout"), CheckRun("disk", "disk", 3, error="i/o timeout")
    verdict = judged(*GOOD, ntp)
    assert verdict.state is State.OK
    (warning,) = verdicts.findings([verdict], "datadog")
    assert not warning.fatal
    assert judged(*GOOD, disk).state is State.FAILING


def test_one_finding_for_all_nodes_with_the_widest_first() -> None:
    pods = [
        judged(*GOOD[:2], replace(GOOD[2], error=REFUSED), pod=replace(POD, name=f"a{n}", node=f"cp-{n}"))
        for n in range(9)
    ]
    late = verdicts.not_ready(replace(POD, name="late", node="cp-9", ready=False, reason="Pending"), "datadog")
    first, second = verdicts.findings([late, *pods], "datadog")
    assert (first.subject, len(first.nodes)) == ("kube_scheduler", 9)
    assert first.where == "on `cp-0`, `cp-1`, `cp-2` and 6 more"
    assert (second.state, second.nodes) == (State.NOT_READY, ("cp-9",))


@pytest.mark.parametrize(
    ("link", "kind", "words"),
    [
        (Link("https://x:5005", error='unexpected response from "/version": 403 Forbidden'), "token", "tokens"),
        (Link("https://x:5005", error="dial tcp: connect: connection refused"), "unlinked", "connection refused"),
        (Link(error="temporary failure in clusterAgentClient"), "unlinked", "clusterAgentClient"),
    ],
)  # fmt: skip
def test_a_cluster_agent_that_is_not_reached(link: Link, kind: str, words: str) -> None:
    (finding,) = verdicts.findings([judged(*GOOD, link=link)], "datadog")
    assert (finding.subject, finding.why.kind, finding.fatal) == ("cluster agent", kind, True)
    assert words in finding.why.line
    assert judged(*GOOD, link=link).waits == (kind == "unlinked"), "a link comes up, a token is read only at start"


def dca(leadership: Leadership | None, dispatch: Dispatch | None = None) -> PodVerdict:
    pod = AgentPod("dca-1", "w-1", "worker-node-ddagent", Kind.CLUSTER)
    return verdicts.of_status(pod, AgentStatus("7", leadership=leadership, dispatch=dispatch), {}, "datadog")


def test_who_leads_and_what_is_left_over() -> None:
    leads = Leadership("Running", "dca-1")
    assert verdicts.findings([dca(leads), dca(None)], "datadog") == ()
    assert verdicts.findings([dca(Leadership("Disabled"))], "datadog") == ()
    (failing,) = verdicts.findings([dca(Leadership("Failing", error="no Lease"))], "datadog")
    assert "no Lease" in failing.why.line
    (early,) = verdicts.findings([dca(Leadership("Running"))], "datadog")
    assert early.state is State.WAITING
    (left,) = verdicts.findings([dca(leads, Dispatch(True, True, nodes=0, configs=3, dangling=2))], "datadog")
    assert left.why.line == "2 of 3 cluster checks run nowhere: 0 agents take them"


@pytest.mark.parametrize(
    ("err", "kind"),
    [
        ("env: 'agent': No such file or directory\ncommand terminated with exit code 127", "no-agent"),
        ('OCI runtime exec failed: exec: "agent": executable file not found in $PATH: unknown', "no-agent"),
        ('Error from server (NotFound): pods "agent-x" not found', "gone"),
        ("error: unable to upgrade connection: container not found (\"agent\")", "no-container"),
        ("Error from server: error dialing backend: dial tcp 10.0.0.5:10250: i/o timeout", "kubelet"),
        ("Error from server: error dialing backend: remote error: tls: internal error", "kubelet"),
        ("Could not reach agent: dial tcp 127.0.0.1:5001: refused\nMake sure the agent is running", "starting"),
        ('admission webhook "validate.x" denied the request: no exec here', "admission"),
        ("something new", "exec-failed"),
        ("", "exec-failed"),
    ],
)  # fmt: skip
def test_why_an_agent_could_not_be_asked(err: str, kind: str) -> None:
    found = execwords.why(err, pod="agent-x", container="agent", program="agent", namespace="datadog")
    assert found.kind == kind
    assert "{" not in found.line + found.hint


@pytest.mark.parametrize(
    "err",
    [
        'Error from server (Forbidden): pods "a" is forbidden: User "u" cannot create resource "pods/exec"',
        'Error from server (Forbidden): pods "a" is forbidden: User "u" cannot get resource "pods/exec"',
    ],
)
def test_a_missing_right_is_known(err: str) -> None:
    assert execwords.FORBIDDEN.search(err)
