"""Claims on the four check files of the control-plane agents: each asks where its component answers, and alone."""

from collections.abc import Iterator, Sequence

from ddhelm.address import NODE_ADDRESS, is_local, split
from ddhelm.checkfiles import file_name
from ddhelm.claim import Claim, Finding, ProofContext, ReleaseView, Severity, environment, names, pod_spec
from ddhelm.claims_pods import instances
from ddhelm.manifest import Object
from ddhelm.pasting import typed
from ddhelm.release import Role
from ddhelm.settings import CHECKS
from ddhelm.tree import Tree, leaves
from ddhelm.workloads import AGENT_CONTAINER

_FILES = {file_name(check): check for check in CHECKS}
_IGNORED = "DD_IGNORE_AUTOCONF"


def on_host_network(context: ProofContext) -> Iterator[Finding]:
    """Agents whose check files ask 127.0.0.1 are on the host network: in a network of their own nobody answers there.

    The node's address (``address.NODE_ADDRESS``) is mostly reached from a pod as well, so it is no reason.
    """
    for release, agent in _control_plane_agents(context):
        asked = {file: host for file, instance in _of_components(release, agent) if (host := _loopback(instance))}
        if asked and not pod_spec(agent).get("hostNetwork"):
            told = names([f"`{file}` asks {host}" for file, host in asked.items()])
            yield Finding(f"{agent.ref} of `{release.name}` is not on the host network, and {told}")


def collected_once(context: ProofContext) -> Iterator[Finding]:
    """What a file collects from is left alone by autodiscovery, whose own file for the same check is in the image."""
    for release, agent in _control_plane_agents(context):
        files = dict(_of_components(release, agent))
        with_file = [check for file, check in _FILES.items() if file in files]
        containers = pod_spec(agent).get("containers") or ()
        container = next(each for each in containers if each.get("name") == AGENT_CONTAINER)
        variable = environment(container).get(_IGNORED, {})
        if "valueFrom" in variable:
            continue  # it comes from elsewhere, and nobody can say what it is
        ignored = str(variable.get("value") or "").split()
        if found := [check for check in with_file if check not in ignored]:
            every = f"datadog.ignoreAutoConfig={{{','.join([*ignored, *found])}}}"
            yield Finding(
                f"the agents of `{release.name}` collect from {names(found)} by a file, and find it by themselves too",
                typed("ddhelm onboard --control-plane-set {every}", every=every),
            )


def _control_plane_agents(context: ProofContext) -> Iterator[tuple[ReleaseView, Object]]:
    release = context.of_role(Role.CONTROL_PLANE)
    yield from ((release, agent) for agent in release.agents()) if release else ()


def _of_components(release: ReleaseView, agent: Object) -> Sequence[tuple[str, Tree]]:
    """The instances of the four files; one that is no YAML is said by `check-files-readable`."""
    return [
        (file, found) for file, found in instances(release, agent) if file in _FILES and not isinstance(found, Finding)
    ]


def _loopback(instance: Tree) -> str:
    """The first host on loopback among an instance's URLs, or nothing; a whole URL may hold a password."""
    for _, value in leaves(instance):
        parts = split(value, 0) if isinstance(value, str) and NODE_ADDRESS not in value else None
        if parts and is_local(parts[1]):
            return parts[1]
    return ""


CLAIMS = (
    Claim(
        "checks-reach-loopback",
        "agents whose checks ask 127.0.0.1 are on the network of their node",
        Severity.FATAL,
        "ddhelm onboard --control-plane-set agents.useHostNetwork=true",
        "checks-off-host-network",
        on_host_network,
    ),
    Claim(
        "components-collected-once",
        "no component that a check file collects from is discovered as well",
        Severity.WARNING,
        "name them in `datadog.ignoreAutoConfig` of your values for the control-plane release",
        "collected-twice",
        collected_once,
    ),
)
