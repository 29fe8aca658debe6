"""Which cluster this is: the UID of kube-system, which a cluster keeps for its whole life and no other one has."""

from typing import Protocol

from ddhelm.errors import PlanStale
from ddhelm.tree import Tree

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


class Reads(Protocol):
    """What is asked of kubectl."""

    def tree(self, path: str) -> Tree | None:
        """GET one path."""


def uid(kubectl: Reads) -> str:
    """The cluster's UID; empty where it has none to show."""
    metadata = (kubectl.tree(KUBE_SYSTEM) or {}).get("metadata")
    return str(metadata.get("uid") or "") if isinstance(metadata, dict) else ""


def unchanged(kubectl: Reads, planned: str | None) -> None:
    """PlanStale where this is another cluster than the one that was ``planned`` for; None is not known and passes."""
    if planned is not None and (found := uid(kubectl)) != planned:
        raise PlanStale(
            "the context leads to another cluster than a moment ago "
            f"(kube-system UID `{found}` instead of `{planned}`)",
            hint="run it again, and read what it shows",
            anchor="another-cluster",
        )
