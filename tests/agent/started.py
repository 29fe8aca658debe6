"""What a container got when it started: a Secret as it stood then, whatever has become of it since.

Nothing runs in a simulated pod that could remember a value. etcd does: the last write to a pod that is ready is the one
that made it so, its resourceVersion is etcd's revision of that moment, and the API server reads older revisions (the
sandbox's never forgets one, see `tests.sandbox.components`).
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from tests.sandbox.sandbox import Sandbox


def secret(sandbox: Sandbox, pod: dict[str, Any], name: str) -> dict[str, bytes] | None:
    """The keys of a Secret as this pod found them at its start; None where there was no such Secret."""
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets"
    began = pod["metadata"]["resourceVersion"]
    found = sandbox.loader.find(f"{path}/{quote(name)}")
    if found is None or int(found["metadata"]["resourceVersion"]) > int(began):
        exactly = f"?fieldSelector=metadata.name%3D{quote(name)}&resourceVersion={began}&resourceVersionMatch=Exact"
        found = next(iter(sandbox.loader.get(path + exactly)["items"]), None)
    return None if found is None else {key: base64.b64decode(text) for key, text in (found.get("data") or {}).items()}
