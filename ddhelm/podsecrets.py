"""Which Secrets a pod reads, and which of their keys: by environment, by volume, whole or key by key."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from ddhelm.tree import Tree, get


class Use(Struct, frozen=True):
    """One place of a pod that names a Secret; ``key`` is empty where the whole Secret is meant.

    ``optional``: the pod starts without it too.
    """

    name: str
    key: str
    optional: bool = False

    def reads(self, name: str, key: str) -> bool:
        """Whether a change of this key of this Secret concerns the pod."""
        return self.name == name and self.key in {"", key}


def uses(pod: Mapping[str, Any]) -> Iterator[Use]:
    """Every use of a Secret in a pod's ``spec``, init containers included."""
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        for item in container.get("env") or ():
            yield from _reference(get(item, ("valueFrom", "secretKeyRef")))
        for item in container.get("envFrom") or ():
            yield from _reference(item.get("secretRef"))
    for volume in pod.get("volumes") or ():
        sources = [volume.get("secret"), *(s.get("secret") for s in get(volume, ("projected", "sources")) or ())]
        for source in sources:
            if source:
                name, optional = str(source.get("secretName") or source.get("name")), bool(source.get("optional"))
                keys = [str(item.get("key")) for item in source.get("items") or ()] or [""]
                yield from (Use(name, key, optional) for key in keys)


def _reference(reference: Tree | None) -> Iterator[Use]:
    if reference:
        yield Use(str(reference.get("name")), str(reference.get("key") or ""), bool(reference.get("optional")))
