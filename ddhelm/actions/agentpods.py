"""Finds the pods of agents and asks each of them how its checks go: `agent status --json` through `kubectl exec`.

Pods are listed a page at a time and only what is needed of each is kept: a pod is 66 KB, and there may be thousands.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from msgspec import Struct

from ddhelm import agentstatus, execwords, verdicts
from ddhelm.errors import ClusterError
from ddhelm.tree import Tree
from ddhelm.verdicts import AgentPod, Kind, PodVerdict, State
from ddhelm.workloads import pod as read_pod

if TYPE_CHECKING:
    from ddhelm.access import Access
    from ddhelm.kubectl import Answer
    from ddhelm.run import Completed
    from ddhelm.settings import SecretKey

PAGE = 50
_PROGRAM = {Kind.NODE: "agent", Kind.RUNNER: "agent", Kind.CLUSTER: "datadog-cluster-agent"}
_CONTAINER = {Kind.NODE: "agent", Kind.RUNNER: "agent", Kind.CLUSTER: "cluster-agent"}
_CHECK_FILES = "/conf.d"
_ENDED = frozenset({"Failed", "Succeeded"})
"""An evicted pod is kept until the garbage collector of the control plane takes it, by default at 12,500 of them."""


class Execs(Protocol):
    """What is asked of kubectl."""

    access: "Access"

    def raws(self, paths: Sequence[str]) -> "tuple[Answer, ...]":
        """Several GETs at once; a failure stands in the answer."""

    def execs(
        self,
        wanted: Sequence[tuple[str, str, Sequence[str]]],
        ended: "Callable[[int, Completed], None]",
        *,
        limit: int,
        namespace: str | None = None,
        timeout: float = 60,
    ) -> None:
        """Run a program in each of many places."""


class Group(Struct, frozen=True):
    """A workload whose pods run agents: how they are selected, how many there should be, which files it installs.

    ``promised`` maps a check to its number of instances. ``site`` and ``cluster`` are what the agents send to and call
    themselves, ``keys`` the Secrets that they get their keys from (by the variable's name).
    """

    release: str
    kind: Kind
    name: str
    selector: str
    desired: int
    promised: Mapping[str, int]
    site: str = ""
    cluster: str = ""
    keys: "Mapping[str, SecretKey]" = {}


def groups(kubectl: Execs, releases: Sequence[str]) -> tuple[Group, ...]:
    """The workloads of these releases that run agents, DaemonSets first; raises what a read raised."""
    namespace = kubectl.access.namespace
    base = f"/apis/apps/v1/namespaces/{quote(namespace)}/"
    found = []
    for answer in _read(kubectl, [base + "daemonsets", base + "deployments"]):
        for item in answer.tree().get("items") or ():
            annotations = item["metadata"].get("annotations") or {}
            release, kind = annotations.get("meta.helm.sh/release-name"), _kind(item, answer.path)
            if release in releases and kind is not None:
                found.append((str(release), kind, item))
    files = dict.fromkeys(name for _, _, item in found for name in _config_maps(item))
    answers = _read(kubectl, [f"/api/v1/namespaces/{quote(namespace)}/configmaps/{quote(name)}" for name in files])
    promised = {name: _promises(answer) for name, answer in zip(files, answers, strict=True)}
    return tuple(_group(release, kind, item, promised) for release, kind, item in found)


def _read(kubectl: Execs, paths: Sequence[str]) -> "tuple[Answer, ...]":
    """Several GETs at once; raises the first failure: taken for nothing there, it would be nothing to ask for."""
    answers = kubectl.raws(paths)
    for answer in answers:
        if answer.failure is not None:
            raise answer.failure
    return answers


def _kind(item: Tree, path: str) -> Kind | None:
    names = {each["name"] for each in item["spec"]["template"]["spec"]["containers"]}
    if path.endswith("daemonsets"):
        return Kind.NODE if "agent" in names else None
    return Kind.CLUSTER if "cluster-agent" in names else Kind.RUNNER if "agent" in names else None


def _group(release: str, kind: Kind, item: Tree, promised: Mapping[str, Mapping[str, int]]) -> Group:
    labels = item["spec"]["selector"].get("matchLabels") or {}
    status = item.get("status") or {}
    desired = status.get("desiredNumberScheduled") if kind is Kind.NODE else item["spec"].get("replicas")
    checks = {check: count for name in _config_maps(item) for check, count in promised[name].items()}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    name, texts, keys = str(item["metadata"]["name"]), *_environment(item, _CONTAINER[kind])
    site, cluster = texts.get("DD_SITE", ""), texts.get("DD_CLUSTER_NAME", "")
    return Group(release, kind, name, selector, int(desired or 0), checks, site, cluster, keys)


def _environment(item: Tree, container: str) -> "tuple[dict[str, str], dict[str, SecretKey]]":
    """The variables of a container that are plain text, and those that come out of Secrets."""
    from ddhelm.settings import SecretKey

    texts: dict[str, str] = {}
    keys: dict[str, SecretKey] = {}
    for each in item["spec"]["template"]["spec"]["containers"]:
        for variable in each.get("env") or () if each["name"] == container else ():
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if reference:
                keys[variable["name"]] = SecretKey(str(reference["name"]), str(reference["key"]))
            else:
                texts[variable["name"]] = str(variable.get("value") or "")
    return texts, keys


def _config_maps(item: Tree) -> Iterator[str]:
    """The ConfigMaps whose files an init container copies into the agent's ``conf.d``."""
    spec = item["spec"]["template"]["spec"]
    mounts = {
        mount["name"]
        for container in spec.get("initContainers") or ()
        for mount in container.get("volumeMounts") or ()
        if mount.get("mountPath") == _CHECK_FILES
    }
    for volume in spec.get("volumes") or ():
        if volume["name"] in mounts and "configMap" in volume:
            yield str(volume["configMap"]["name"])


def _promises(answer: "Answer") -> dict[str, int]:
    """Check to number of instances; a file that is no YAML is promised all the same: the agent says what is wrong."""
    from ddhelm import goyaml

    found = {}
    for file, text in (answer.tree().get("data") or {}).items() if answer.found else ():
        try:
            tree = goyaml.load(text, [])
            # a template for autodiscovery runs where its container is, a cluster check on any one agent
            elsewhere = "ad_identifiers" in tree or tree.get("cluster_check")
            instances = [] if elsewhere else tree.get("instances") or []
            count = len(instances) if isinstance(instances, list) else 0
        except (goyaml.YamlError, TypeError, AttributeError):
            count = 1
        if count:
            found[file.removesuffix(".yaml").removesuffix(".yml")] = count
    return found


def pods(kubectl: Execs, group: Group) -> Iterator[AgentPod]:
    """The pods of a workload, those that are going or have ended left out; raises what a read raised."""
    base = f"/api/v1/namespaces/{quote(kubectl.access.namespace)}/pods?"
    token = ""
    while True:
        query = {"labelSelector": group.selector, "limit": PAGE, **({"continue": token} if token else {})}
        (answer,) = _read(kubectl, [base + urlencode(query)])
        page = answer.tree()
        for item in page.get("items") or ():
            ended = (item.get("status") or {}).get("phase") in _ENDED
            if not (ended or item["metadata"].get("deletionTimestamp")):
                yield _pod(item, group)
        token = str((page.get("metadata") or {}).get("continue") or "")
        if not token:
            return


def _pod(item: Tree, group: Group) -> AgentPod:
    spec, status = item["spec"], item.get("status") or {}
    conditions: list[dict[str, Any]] = status.get("conditions") or []
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
    return AgentPod(
        name=str(item["metadata"]["name"]),
        node=str(spec.get("nodeName") or ""),
        release=group.release,
        kind=group.kind,
        ready=ready,
        reason="" if ready else _reason(item),
        account=str(spec.get("serviceAccountName") or "default"),
    )


def _reason(item: Tree) -> str:
    found = read_pod(item)
    if found.waiting:
        first = found.waiting[0]
        return f"container `{first.container}`: {first.message or first.reason}"
    return found.unschedulable or "not ready yet"


def ask(
    kubectl: Execs,
    wanted: Iterable[tuple[AgentPod, Mapping[str, int]]],
    told: Callable[[PodVerdict], None],
    *,
    limit: int,
    timeout: float,
) -> None:
    """Ask each pod (with the checks that it is promised to run); ``told`` gets each verdict as it comes.

    A pod that is not ready is not asked. Raises ClusterError where the user may not exec into any pod.
    """
    ready: list[tuple[AgentPod, Mapping[str, int]]] = []
    namespace = kubectl.access.namespace
    for pod, promised in wanted:
        if pod.ready:
            ready.append((pod, promised))
        else:
            told(verdicts.not_ready(pod, namespace))

    def ended(index: int, done: "Completed") -> None:
        told(_verdict(*ready[index], done, namespace, timeout))

    programs = [(pod.name, _CONTAINER[pod.kind], (_PROGRAM[pod.kind], "status", "--json")) for pod, _ in ready]
    kubectl.execs(programs, ended, limit=limit, timeout=timeout)


def _verdict(
    pod: AgentPod, promised: Mapping[str, int], done: "Completed", namespace: str, timeout: float
) -> PodVerdict:
    container, program = _CONTAINER[pod.kind], _PROGRAM[pod.kind]
    if done.timed_out:
        why = execwords.silent(timeout, pod=pod.name, container=container, namespace=namespace)
        return PodVerdict(pod, State.UNREADABLE, why=why)
    if not done.ok:
        if execwords.FORBIDDEN.search(done.err):
            raise forbidden(namespace)
        why = execwords.why(done.err, pod=pod.name, container=container, program=program, namespace=namespace)
        state = State.WAITING if why.kind == execwords.STARTING else State.UNREADABLE
        return PodVerdict(pod, state, why=why)
    try:
        status = agentstatus.parse(done.out)
    except agentstatus.NotAStatus as error:
        why = execwords.garbage(str(error), pod=pod.name, container=container, program=program, namespace=namespace)
        return PodVerdict(pod, State.UNREADABLE, why=why)
    return verdicts.of_status(pod, status, promised, namespace)


def forbidden(namespace: str) -> ClusterError:
    """You may read the pods and may not exec into them."""
    return ClusterError(
        f"you may not exec into pods of namespace `{namespace}`, and only an agent knows how its checks go",
        hint=f"kubectl auth can-i create pods/exec -n {namespace}; ddhelm status needs no such right",
        anchor="exec-forbidden",
    )
