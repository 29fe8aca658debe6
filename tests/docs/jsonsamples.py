"""Documents of every kind, as the views make them, that have a value for each of their fields."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from ddhelm import arrivals, verdicts, workloads
from ddhelm.access import Access
from ddhelm.actions import carry_out, certplan, certrotate, certs, certverify, events, removal, rotate, uninstall
from ddhelm.actions.certexpiry import Expiry
from ddhelm.actions.history import History
from ddhelm.actions.leftovers import Leftover, Unlisted
from ddhelm.actions.look import Target
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.promises import Problem, ReleaseLine, WorkloadLine
from ddhelm.actions.reading import Cluster
from ddhelm.actions.restart import Running
from ddhelm.actions.status import Status
from ddhelm.actions.verify import Verification
from ddhelm.actions.watch import Watched
from ddhelm.agentstatus import AgentStatus, CheckRun, Dispatch, Leadership, Link
from ddhelm.arrivals import Arrival, Arrivals, Seen
from ddhelm.audit import Change as Changed
from ddhelm.audit import Entry, Who
from ddhelm.certificates import Certificate
from ddhelm.chart import Chart
from ddhelm.controlplane import HostFile, LeftOut
from ddhelm.coverage import Blame, Coverage, Verdict
from ddhelm.distribution import Requirement
from ddhelm.drift import Change, Drift, Fate, FieldDrift, ObjectDrift
from ddhelm.errors import ClusterError, PreflightFailed
from ddhelm.facts import Unread
from ddhelm.managedfields import Writer
from ddhelm.manifest import ObjectRef
from ddhelm.nodes import Node, Taint
from ddhelm.plan import Action, ObjectChange, Plan, Restart, Step, StepKind
from ddhelm.plan import Problem as Stopped
from ddhelm.pools import pools
from ddhelm.proof import CLAIMS, ForeignAgent, Result
from ddhelm.record import Record
from ddhelm.release import Release, Role, Rotatable
from ddhelm.rollout import Complete
from ddhelm.settings import SecretKey, Settings
from ddhelm.timeline import Told
from ddhelm.tree import Change as FieldChange
from ddhelm.verdicts import AgentPod, Kind
from ddhelm.views import arrival as arrival_view
from ddhelm.views import certs as certs_view
from ddhelm.views import check, detect, drift, envelope, history, plan, status, verify
from ddhelm.views import rotate as rotate_view
from ddhelm.views import uninstall as uninstall_view
from tests.unit import apitrees as api
from tests.unit.factsets import cluster, found, kubeadm, stacked, workers

NOW = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
WORKER = Release(Role.WORKER, "worker-node-ddagent", "datadog")
CONFIGMAP = ObjectRef("v1", "ConfigMap", "datadog", "confd")
DAEMONSET = ObjectRef("apps/v1", "DaemonSet", "datadog", api.WORKER)

NODES = (
    *kubeadm(1),
    *workers(2),
    Node("odd", {"x": "y"}, {}, taints=(Taint("dedicated", "gpu", "NoSchedule"),), provider_id="aws:///i-1"),
)
FACTS = replace(
    cluster(list(NODES), pods=[replace(each, environment={"A": "b"}) for each in stacked(["cp-1"])]),
    kubeadm_config={"kind": "ClusterConfiguration"},
    unread=(Unread("groups", "the API groups", "forbidden"),),
)
_GPU = Blame("taint", "taint `dedicated=gpu:NoSchedule`, not tolerated", "--tolerate dedicated=gpu:NoSchedule")
COVERED = Coverage(
    (
        *(Verdict(node.name, (WORKER.name,)) for node in NODES[2:-1]),
        Verdict(NODES[0].name, (WORKER.name, "control-plane-ddagent")),
        Verdict("odd", (), (WORKER.name,), _GPU),
    )
)
PROFILE = replace(
    found(FACTS),
    notes=("a note",),
    left_out=(LeftOut("kube_scheduler", "it listens on 127.0.0.1 only", "--drop-check"),),
    host_files=(HostFile("/etc/kubernetes/pki/etcd/ca.crt", "file", "CA of etcd", "etcd"),),
    requirements=(Requirement("chart", ">=3.60", "older ones cannot"),),
    admission=(("spec", "hostNetwork"),),
)

_FIELD = FieldDrift(("data", "a"), Change.ALTERED, "1", "2", (Writer("kubectl-edit", time="2026"),), Fate.CONFLICT)
OBJECT = ObjectDrift(WORKER.name, CONFIGMAP, fields=(_FIELD,))
DRIFT = Drift((OBJECT,), {WORKER.name: "ssa"}, ("a",), ("b",))

STEP = Step(
    StepKind.UPGRADE,
    WORKER,
    "because",
    objects=(
        ObjectChange(
            CONFIGMAP,
            Action.UPDATE,
            (FieldChange(("data", "a"), "replace", "1", "2"),),
            (FieldChange(("metadata", "labels", "v"), "replace", "1", "2"),),
        ),
    ),
    restarts=(Restart(DAEMONSET, ("image",)), Restart(DAEMONSET, ("image",), on_delete=True)),
    agents=frozenset({(DAEMONSET.kind, DAEMONSET.name)}),
    target=1,
    values_changes=(FieldChange(("datadog", "site"), "replace", "x", "y"),),
    gone=(CONFIGMAP,),
)
ACCESS = Access("kubeconfig", "prod", "datadog", "https://10.0.0.1:6443")


def _prepared() -> Prepared:
    results = (
        Result(CLAIMS[0], ok=False, details=("it is not",), hints=("do it",)),
        Result(CLAIMS[1], ok=True, unknown="offline"),
    )
    made = Plan(
        (STEP,),
        COVERED,
        results,
        lost_crds=(CONFIGMAP,),
        labels_namespace={"a": "b"},
        writes=("api-key",),
        notices=("a notice",),
        problems=(Stopped("stopped", "do it", "anchor", ("detail",)),),
    )
    chart = Chart(Path("datadog"), "datadog", "3.240.0", "7", "0" * 64)
    read = Cluster(FACTS, None, {}, None, None, None)
    return Prepared(made, read, PROFILE, Settings(), chart, (WORKER,), (), {}, outcomes=(OBJECT,))


PREPARED = _prepared()

STATUS = Status(
    context="prod",
    server="https://10.0.0.1:6443",
    namespace="datadog",
    distribution="kubeadm",
    releases=(ReleaseLine(WORKER, True, 3, "deployed", 3, "datadog-3.240.0", "7", "2026", "Upgrade complete"),),
    workloads=(WorkloadLine(WORKER.name, "DaemonSet", api.WORKER, workloads.workload(api.daemonset())),),
    coverage=COVERED,
    pools=pools(COVERED, NODES),
    certificate=Expiry("ddhelm-etcd-client", "2027-01-01T00:00:00Z", 38),
    others=(ForeignAgent("DaemonSet", "other", "datadog", "helm", 2),),
    problems=(Problem("x", "y"),),
    unread=(Unread("pods", "the pods", "forbidden"),),
)
GONE = replace(
    STATUS, workloads=(WorkloadLine(WORKER.name, "DaemonSet", "gone", None),), coverage=None, pools=(), certificate=None
)

_LINK = Link("https://10.0.0.1:5005", "7.81.1")
_PODS = (
    verdicts.of_status(
        AgentPod("cp-pod", "cp-1", "control-plane-ddagent", Kind.NODE),
        AgentStatus("7.81.1", checks=(CheckRun("etcd", "etcd:1", 3, error="refused"),), link=_LINK),
        {"etcd": 1},
        "datadog",
    ),
    verdicts.of_status(
        AgentPod("dca-pod", "worker-1", WORKER.name, Kind.CLUSTER),
        AgentStatus("7.81.1", leadership=Leadership("Running", "dca-pod"), dispatch=Dispatch(leads=True, active=True)),
        {},
        "datadog",
    ),
    verdicts.not_ready(AgentPod("late-pod", "worker-9", WORKER.name, Kind.NODE, False, "Pending"), "datadog"),
)
VERIFICATION = Verification("prod", "datadog", _PODS, verdicts.findings(_PODS, "datadog"), ("etcd",))
LINKS = arrivals.links("datadoghq.eu", ("etcd",), "prod")
ARRIVED = Arrivals(
    "datadoghq.eu",
    "prod",
    2,
    (Arrival("etcd", "etcd.server.has_leader", Seen.ARRIVED, 21.4, 1),),
    Arrival("agents", arrivals.AGENTS, Seen.ARRIVED, 9, hosts=2),
    LINKS,
)

_RECORD = Record(WORKER.name, "datadog", 1, "deployed", "datadog", "3.240.0", "7", "2026", "2026", "", {}, "Install")
_ENTRY = Entry("id", "onboard", "2026-11-24T03:00:00Z", Who("anna", "laptop"), changes=(Changed("step", "w", 2, 1),))
RUNS = (
    Told(replace(_ENTRY, ended="2026-11-24T03:01:00Z", outcome="done", exit_code=0), (_RECORD,)),
    Told(None, (_RECORD,)),
)

_RUNNING = Running(
    Target(WORKER.name, "DaemonSet", "datadog", api.WORKER), cast("Any", workloads.workload(api.daemonset()))
)
ROTATION = rotate.Rotation(
    Rotatable.API_KEY, SecretKey("ddhelm", "api-key"), Settings(), ((_RUNNING,),), (_RUNNING,), "", False, "uid", {}
)
REMOVAL = removal.Removal(
    "datadog",
    "uid",
    (removal.Going(WORKER, 3, "deployed", 36, ("a.datadoghq.com",)),),
    (Leftover("mutatingwebhookconfiguration", "datadog-webhook", why="its Service goes"),),
    kept=(removal.Kept("secret `ddhelm`", "written by ddhelm", "ddhelm uninstall --delete-secrets"),),
    unread=(Unlisted("mutatingwebhookconfigurations", "User `x` cannot list them"),),
)
CERTIFICATE = Certificate(
    "CN=ddhelm", "CN=etcd-ca", NOW, NOW + datetime.timedelta(days=365), False, True, (), "0" * 64, b""
)
WAYS = certplan.Ways(
    "kubeadm",
    (certplan.Way("own", True, ("in a Secret",), "means", "ddhelm certs issue", files=("/a",)),),
    "it is managed",
)
ROTATING = certrotate.Rotating(cast("Any", SecretKey("ddhelm-etcd-client", "")), NOW, (_RUNNING,), (), "uid", {})
WATCHED = Watched(Complete(), (_RUNNING.workload,), 41.4)


def _outcome() -> dict[str, Any]:
    done = (events.StepDone(STEP, 2, 1.5),)
    failure = PreflightFailed("stopped", hint="do it", anchor="anchor", details=("detail",))
    held = workloads.Workload("DaemonSet", "datadog", "agents", desired=1, on_delete=True)
    seen = Watched(Complete(), (held,), 1.0)
    result = carry_out.Outcome(done, ("Secret",), seen, undone={WORKER.name: 1}, failure=failure)
    document = plan.outcome_json(PREPARED, result)
    document["data"]["status"] = status.json(STATUS)["data"]
    document["data"]["verification"] = verify.data(VERIFICATION, LINKS)
    return document


def documents() -> list[dict[str, Any]]:
    """All of them, as a program reads them."""
    made = [
        plan.json(ACCESS, PREPARED),
        _outcome(),
        plan.nothing_json(PREPARED),
        drift.json(DRIFT),
        history.json(History((WORKER,), RUNS, {WORKER.name: 1}, "not read")),
        status.json(STATUS),
        status.json(GONE),
        verify.json(VERIFICATION, LINKS, arrival_view.data(ARRIVED), 6, "token"),
        verify.json(VERIFICATION, LINKS, arrival_view.skipped_data("there is no application key")),
        check.json(PREPARED),
        check.claims_json(CLAIMS),
        detect.json(FACTS, PROFILE),
        detect.json(FACTS, None, ClusterError("unknown distribution", details=["it is not kubeadm"])),
        rotate_view.json(ROTATION),
        rotate_view.json(ROTATION, rotate.Rotated(True, (_RUNNING,), (WATCHED,))),
        uninstall_view.json(REMOVAL),
        uninstall_view.json(
            uninstall.Removed(("release `a`",), REMOVAL.kept, REMOVAL.kept, PreflightFailed("stopped", hint="do it"))
        ),
        certs_view.ways_json(WAYS),
        certs_view.verified_json(
            certverify.Verified("https://e:2379", "3.6", 9, True, True, "yes", CERTIFICATE, CERTIFICATE, ("note",)), NOW
        ),
        certs_view.verified_json(certverify.Verified("http://e:2381", "", 9, None, True, "yes"), NOW),
        certs_view.rotating_json(ROTATING, certrotate.Rotated(CERTIFICATE, WATCHED), NOW),
        certs_view.rotating_json(ROTATING, None, NOW),
        certs_view.made_json(certs.Made(CERTIFICATE, "Secret", ("note",), "own", ("file",)), NOW),
        certs_view.made_json(certs.Requested(("key", "request")), NOW),
    ]
    return [json.loads(envelope.text(document, "json")) for document in made]
