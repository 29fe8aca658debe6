"""What the user may do where no dry run can tell: objects of a namespace that does not exist yet.

Asked of the API server itself (SelfSubjectAccessReview), for every kind that the manifests have and that ddhelm writes.
"""

from collections.abc import Iterable, Mapping

from ddhelm.kubectl import Kubectl, Right
from ddhelm.manifest import Manifest

_IRREGULAR = {"Endpoints": "endpoints", "NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


def missing(kubectl: Kubectl, manifests: Mapping[str, Manifest], namespace: str) -> tuple[str, ...]:
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
