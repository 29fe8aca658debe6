"""Why `kubectl exec` brought no status, in words: what kubectl, the kubelet, the runtime and the agent say."""

import re

from ddhelm.checkerrors import Meaning, row
from ddhelm.pasting import typed
from ddhelm.toolwords import last_line, without_noise

STARTING = "starting"
FORBIDDEN = re.compile(r'pods/exec"? is forbidden|cannot (?:create|get) resource "pods/exec"', re.IGNORECASE)
"""The user may not exec; true of every pod, so that nobody asks the next one."""

ROWS = (
    row(
        STARTING,
        r"make sure the agent is running|could not reach agent|auth_token|ipc.*not (?:found|exist)",
        "the agent's process does not answer yet",
        "kubectl -n {namespace} logs {pod} -c {container}",
    ),
    row("gone", r"\(NotFound\)|pods? .* not found", "the pod is gone: another one took its place", "ddhelm verify"),
    row(
        "no-container",
        r"container not found|container .* is not valid for pod|container .* (?:is )?not (?:running|found)",
        "container `{container}` does not run in the pod",
        "kubectl -n {namespace} describe pod {pod}",
    ),
    row(
        "no-agent",
        r"executable file not found|no such file or directory|exit code 12[67]|exit status 12[67]",
        "there is no program `{program}` in container `{container}`",
        "kubectl -n {namespace} get pod {pod} -o yaml shows which image this is",
    ),
    row(
        "kubelet",
        r"error dialing backend|unable to upgrade connection|tls: internal error|certificate signed by unknown",
        "the API server does not reach the kubelet of the node",
        "kubectl -n {namespace} logs {pod} -c {container} fails in the same way; a firewall on port 10250, "
        "konnectivity, or serving certificates that nobody approved: kubectl get csr",
    ),
    row(
        "admission",
        r"admission webhook|denied the request|policy",
        "a policy of the cluster refuses `kubectl exec`: {last}",
        "ask its owner to let namespace `{namespace}` pass",
    ),
)


def why(err: str, *, pod: str, container: str, program: str, namespace: str) -> Meaning:
    """What a failed exec says; what no row knows is quoted by its last line."""
    last = last_line(without_noise(err)) or "no word of kubectl or of the agent"
    fields = {"pod": pod, "container": container, "program": program, "namespace": namespace, "last": last}
    for each in ROWS:
        if each.pattern.search(err):
            return Meaning(each.kind, each.line.format_map(fields), typed(each.hint, **fields))
    return Meaning(
        "exec-failed",
        f"`{program} status` failed: {last}",
        f"kubectl -n {namespace} exec {pod} -c {container} -- {program} status",
    )


def silent(seconds: float, *, pod: str, container: str, namespace: str) -> Meaning:
    """An exec that had to be stopped."""
    return Meaning(
        "timeout",
        f"no answer within {seconds:.0f} s",
        f"kubectl -n {namespace} logs {pod} -c {container}; is the node overloaded? --timeout waits longer",
    )


def garbage(words: str, *, pod: str, container: str, program: str, namespace: str) -> Meaning:
    """An answer that is no status."""
    return Meaning(
        "no-status",
        f"`{program} status --json` printed something else: {words}",
        f"kubectl -n {namespace} exec {pod} -c {container} -- {program} status --json",
    )
