"""How a verification looks: few agents each on a line, many grouped; one line an error."""

from inline_snapshot import snapshot
from msgspec.structs import replace

from ddhelm import verdicts
from ddhelm.actions.verify import Verification
from ddhelm.agentstatus import AgentStatus, CheckRun, Dispatch, Leadership, Link
from ddhelm.verdicts import AgentPod, Kind, PodVerdict
from ddhelm.views import console, verify

REFUSED = "HTTPSConnectionPool(host='127.0.0.1', port=1): Max retries exceeded … [Errno 111] Connection refused"
PROMISED = {"etcd": 1, "kube_apiserver_metrics": 1}
LINK = Link("https://10.0.0.1:5005", "7.81.1")


def agent(number: int, error: str = "", *, control_plane: bool = False) -> PodVerdict:
    name = "control-plane" if control_plane else "worker"
    pod = AgentPod(f"{name}-pod-{number}", f"{name}-{number}", f"{name}-ddagent", Kind.NODE)
    promised = PROMISED if control_plane else {}
    checks = [CheckRun(check, f"{check}:1", 3, metrics=9) for check in (*promised, "cpu", "disk")]
    checks[0] = replace(checks[0], error=error)
    return verdicts.of_status(pod, AgentStatus("7.81.1", checks=tuple(checks), link=LINK), promised, "datadog")


DCA = verdicts.of_status(
    AgentPod("dca-pod", "worker-1", "worker-ddagent", Kind.CLUSTER),
    AgentStatus(
        "7.81.1",
        checks=(CheckRun("kubernetes_state_core", "k", 1, metrics=3),),
        leadership=Leadership("Running", "dca-pod"),
        dispatch=Dispatch(leads=True, active=True, nodes=2),
    ),
    {},
    "datadog",
)
LATE = verdicts.not_ready(AgentPod("late-pod", "worker-9", "worker-ddagent", Kind.NODE, False, "Pending"), "datadog")


def shown(*pods: PodVerdict, width: int = 100) -> str:
    found = Verification("prod", "datadog", pods, verdicts.findings(pods, "datadog"), tuple(PROMISED))
    screen = console.fixed(width=width)
    verify.table(found, screen)
    return console.text(screen)


def test_few_agents_have_a_line_each() -> None:
    masters = (agent(1, control_plane=True), agent(2, REFUSED, control_plane=True))
    assert shown(*masters, agent(1), DCA, LATE) == snapshot("""\
context `prod`, namespace `datadog`

NODE             AGENT                   ETCD       APISERVER  OTHER CHECKS
control-plane-1  7.81.1                  ✓          ✓          2 ok
control-plane-2  7.81.1                  ✗ refused  ✓          2 ok
worker-1         7.81.1                  -          -          2 ok
worker-1         7.81.1 (cluster agent)  -          -          1 ok
worker-9         not ready               -          -          -

✗ agent on `worker-9`: the pod is not ready: Pending
  hint: ddhelm status; kubectl -n datadog describe pod late-pod
✗ `etcd` on `control-plane-2`: nobody listens at `127.0.0.1:1`: connection refused
  hint: is the component up, and is this its port and bind address? ddhelm detect; kubectl get pods -n kube-system
✗ 3 of 5 agents report, one check fails; Cluster Agent `dca-pod` leads\
""")


def test_many_agents_are_grouped_by_what_they_say() -> None:
    pods = [agent(n, control_plane=True) for n in range(3)] + [agent(n) for n in range(400)]
    assert shown(*pods, agent(400, REFUSED), agent(401, REFUSED), DCA) == snapshot("""\
context `prod`, namespace `datadog`

NODE                                     AGENT                   ETCD  APISERVER  OTHER CHECKS
control-plane-0, control-plane-1 and 1   7.81.1                  ✓     ✓          2 ok
more
worker-0, worker-1 and 398 more          7.81.1                  -     -          2 ok
worker-400, worker-401                   7.81.1                  -     -          1 ok, cpu: refused
worker-1                                 7.81.1 (cluster agent)  -     -          1 ok

✗ `cpu` on `worker-400`, `worker-401`: nobody listens at `127.0.0.1:1`: connection refused
  hint: is the component up, and is this its port and bind address? ddhelm detect; kubectl get pods -n kube-system
✗ 404 of 406 agents report, 2 checks fail; Cluster Agent `dca-pod` leads\
""")


def test_programs_get_every_check_of_every_pod() -> None:
    pods = (agent(1, REFUSED, control_plane=True), DCA)
    found = Verification("prod", "datadog", pods, verdicts.findings(pods, "datadog"), tuple(PROMISED))
    told = verify.json(found)
    assert (told["apiVersion"], told["kind"]) == ("ddhelm/v1", "Verification")
    data = told["data"]
    assert data["exitCode"] == 6
    first, second = data["agents"]
    assert (first["node"], first["state"], first["version"]) == ("control-plane-1", "failing", "7.81.1")
    assert [(each["name"], each["state"], each["kind"], each["promised"]) for each in first["checks"]] == [
        ("etcd", "failing", "refused", True),
        ("kube_apiserver_metrics", "ok", "", True),
        ("cpu", "ok", "", False),
        ("disk", "ok", "", False),
    ]
    assert second["leaderElection"] == {"state": "Running", "leader": "dca-pod"}
    assert [(each["subject"], each["kind"], each["nodes"]) for each in data["findings"]] == [
        ("etcd", "refused", ["control-plane-1"])
    ]
