"""What the user may do where no dry run can tell: objects of a namespace that does not exist yet, and deletions.

Asked of the API server itself (SelfSubjectAccessReview), for every kind that the manifests have and that ddhelm writes.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from ddhelm.answers import Right, RightAnswer
from ddhelm.errors import ClusterError, DdhelmError
from ddhelm.manifest import Manifest
from ddhelm.steps import kept

_IRREGULAR = {"Endpoints": "endpoints", "NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


class Asks(Protocol):
    """What is asked of kubectl."""

    def can_i(self, rights: Sequence[Right]) -> tuple[RightAnswer, ...]:
        """Whether the user holds each right."""


def missing(kubectl: Asks, manifests: Mapping[str, Manifest], namespace: str) -> tuple[str, ...]:
    """The rights that are missing to make the namespace and what goes into it, as sentences."""
    needed = [
        Right("create", "namespaces"),
        Right("create", "secrets", "", namespace),
        Right("create", "leases", "coordination.k8s.io", namespace),
        *(
            Right("create", plural(kind), group, namespace)
            for group, kind in dict.fromkeys(
                (obj.ref.group, obj.ref.kind)
                for manifest in manifests.values()
                for obj in manifest.objects.values()
                if obj.ref.namespace
            )
        ),
    ]
    return tuple(words(answer.right) for answer in kubectl.can_i(needed) if not answer.allowed)


def require(kubectl: Asks, needed: Iterable[Right], what: str) -> None:
    """Raises ClusterError where the user lacks one of these rights, for ``what`` would break off in the middle.

    Where the API server does not say, nothing is known to be missing.
    """
    denied: tuple[str, ...] = ()
    with suppress(DdhelmError):
        answers = kubectl.can_i(tuple(dict.fromkeys(needed)))
        denied = tuple(words(answer.right) for answer in answers if not answer.allowed)
    if denied:
        raise ClusterError(
            f"{what} needs a right that you do not have: {denied[0]}",
            hint=commands(denied),
            anchor="forbidden",
            details=[f"and {each}" for each in denied[1:]],
        )


def to_delete(manifests: Iterable[Manifest], namespace: str) -> tuple[Right, ...]:
    """What helm deletes with a release: the objects of its manifest, those that it keeps apart, and its records."""
    kinds = {
        (obj.ref.group, obj.ref.kind, bool(obj.ref.namespace)): None
        for manifest in manifests
        for obj in manifest.objects.values()
        if not kept(obj)
    }
    return (
        Right("delete", "secrets", "", namespace),
        *(Right("delete", plural(kind), group, namespace if inside else "") for group, kind, inside in kinds),
    )


def plural(kind: str) -> str:
    """The resource of a kind, by Kubernetes' naming rule (right for every kind of the chart up to 3.240)."""
    if kind in _IRREGULAR:
        return _IRREGULAR[kind]
    lower = kind.lower()
    if lower.endswith("s"):
        return f"{lower}es"
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}s"


def words(right: Right) -> str:
    """`create daemonsets.apps in namespace datadog`."""
    resource = f"{right.resource}.{right.group}" if right.group else right.resource
    return f"{right.verb} {resource}" + (f" in namespace {right.namespace}" if right.namespace else "")


def commands(denied: Iterable[str]) -> str:
    """The command that asks the same of the API server, for the first of them."""
    first = next(iter(denied))
    verb, resource, *rest = first.split()
    return f"kubectl auth can-i {verb} {resource}" + (f" -n {rest[-1]}" if rest else "")
