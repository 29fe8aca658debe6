"""Taints in words: which go by themselves, how kubectl writes them, and what `--tolerate` means."""

from ddhelm import selector
from ddhelm.errors import ConfigError
from ddhelm.nodes import Taint
from ddhelm.scheduling import NO_EXECUTE, NO_SCHEDULE
from ddhelm.tree import Tree

EFFECTS = (NO_SCHEDULE, "PreferNoSchedule", NO_EXECUTE)

# Taints that come and go by themselves: Kubernetes' own conditions, cloud providers at start and stop of a node,
# autoscalers that remove it, network and storage plug-ins that are not up yet. A node with one is no gap.
_TRANSIENT_PREFIXES = (
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "aws-node-termination-handler/",
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
)
_TRANSIENT = frozenset(
    {
        "ToBeDeletedByClusterAutoscaler",
        "DeletionCandidateOfClusterAutoscaler",
        "cloud.google.com/impending-node-termination",
        "ebs.csi.aws.com/agent-not-ready",
        "efs.csi.aws.com/agent-not-ready",
        "fsx.csi.aws.com/agent-not-ready",
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "karpenter.sh/unregistered",
        "node.cilium.io/agent-not-ready",
        "node.cluster.x-k8s.io/uninitialized",
    }
)
_LASTING = frozenset({"node.kubernetes.io/os"})
"""Set by GKE and AKS on Windows nodes for as long as they live."""


def parse_toleration(text: str) -> Tree:
    """The toleration that ``KEY[=VALUE][:EFFECT]`` asks for, as it stands in values.

    Without a value any value is tolerated, without an effect every effect. ConfigError (anchor `bad-toleration`).
    """
    body, colon, effect = text.strip().partition(":")
    key, equals, value = body.partition("=")
    problem = selector.key_problem(key) or (selector.value_problem(value) if value else "")
    if colon and effect not in EFFECTS:
        problem = problem or f"the effect `{effect}` is none of {', '.join(EFFECTS)}"
    if problem:
        raise ConfigError(
            f"`--tolerate {text}` is no toleration: {problem}",
            hint="write KEY[=VALUE][:EFFECT], for example `--tolerate dedicated=gpu:NoSchedule`",
            anchor="bad-toleration",
        )
    found: Tree = {"key": key, "operator": "Equal", "value": value} if equals else {"key": key, "operator": "Exists"}
    return {**found, "effect": effect} if effect else found


def transient(taint: Taint) -> bool:
    """Whether a taint goes by itself, so that a node without an agent because of it is no gap."""
    if taint.key in _LASTING:
        return False
    return taint.key in _TRANSIENT or taint.key.startswith(_TRANSIENT_PREFIXES)


def show(taint: Taint) -> str:
    """The taint as kubectl writes it."""
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
