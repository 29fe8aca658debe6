"""Who wrote what: the API server's audit log, kept to what programs under test do.

"Nothing changed" is a claim that only the API server can settle; this is its answer.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.sandbox.api import Json

LOADER = "sandbox-loader"
"""The user that prepares topologies; its writes are not in the audit log."""
_CLUSTER = (
    LOADER,
    "kwok",
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
)
POLICY: Json = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {"level": "None", "users": list(_CLUSTER)},
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system", "system:nodes"]},
        {"level": "Metadata"},
    ],
}
_QUESTIONS = {"authentication.k8s.io", "authorization.k8s.io"}
"""Groups whose objects are asked by creating them; nothing is stored."""


def size(log: Path) -> int:
    """Where the log ends now, for `writes`."""
    return log.stat().st_size if log.exists() else 0


def writes(log: Path, start: int) -> list[Json]:
    """The audit events since that place of everything that was stored or should have been.

    Dry runs and questions (SubjectAccessReview, TokenReview) are left out, attempts that failed are not. Each event has
    `verb`, `requestURI`, `user.username`, `objectRef` and `responseStatus.code`.
    """
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(start)
        text = file.read()
    events = [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]
    return [event for event in events if "dryRun=" not in event["requestURI"] and not _asks(event)]


def _asks(event: Json) -> bool:
    return event.get("objectRef", {}).get("apiGroup") in _QUESTIONS
