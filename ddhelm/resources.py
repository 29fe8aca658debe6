"""Where the API keeps an object: its path, by what the API itself says of its kinds.

The API calls a kind by another word in its paths (`DaemonSet`, `daemonsets`), and only it knows which ones have no
namespace. What it says of one group and version is small, and every Kubernetes says it in the same form.
"""

from urllib.parse import quote

from msgspec import Struct

from ddhelm.tree import Tree


class Resource(Struct, frozen=True):
    """A kind as the API's paths know it: ``plural`` is its word there (`daemonsets`)."""

    kind: str
    plural: str
    namespaced: bool
    listable: bool


def group_path(api_version: str) -> str:
    """Where the API tells its kinds of a group and version (`v1`, `apps/v1`)."""
    return f"{'/apis' if '/' in api_version else '/api'}/{quote(api_version)}"


def read(document: Tree) -> tuple[Resource, ...]:
    """The resources in the `APIResourceList` at ``group_path``; subresources are left out."""
    return tuple(
        Resource(
            str(each.get("kind") or ""),
            str(each["name"]),
            namespaced=bool(each.get("namespaced")),
            listable="list" in (each.get("verbs") or ()),
        )
        for each in document.get("resources") or ()
        if "/" not in str(each["name"])
    )


def object_path(obj: Tree, resource: Resource, namespace: str) -> str:
    """The path of one object; ``namespace`` is that of an object that names none."""
    metadata = obj.get("metadata") or {}
    space = f"/namespaces/{quote(str(metadata.get('namespace') or namespace))}" if resource.namespaced else ""
    name = quote(str(metadata.get("name") or ""), safe="")
    return f"{group_path(str(obj.get('apiVersion') or ''))}{space}/{resource.plural}/{name}"
