"""Answers for programs: every JSON or YAML document says which version of which kind it is.

``{"apiVersion": "ddhelm/v1", "kind": "Status", "data": {…}}``. Fields are only added within a version.
"""

import json
from typing import Any, Literal

from ddhelm.errors import Reported
from ddhelm.views import pasted

API_VERSION = "ddhelm/v1"
FORMATS = ("json", "yaml")

Kind = Literal[
    "Certificate",
    "CertificateRequest",
    "CertificateRotation",
    "Check",
    "Checks",
    "Detection",
    "Drift",
    "EtcdVerification",
    "EtcdWays",
    "History",
    "Outcome",
    "Plan",
    "Removal",
    "Removed",
    "Rotated",
    "Rotation",
    "Status",
    "Verification",
]
"""Every kind of document; docs/reference/json.md has the fields of each."""

Tree = dict[str, Any]


def wrap(kind: Kind, data: Tree) -> Tree:
    """The envelope around an answer's data."""
    return {"apiVersion": API_VERSION, "kind": kind, "data": data}


def failure(error: Reported | None) -> Tree | None:
    """How a run failed, or null where it did not."""
    if error is None:
        return None
    return {"message": error.message, "hint": error.hint, "anchor": error.anchor, "details": list(error.details)}


def text(tree: Tree, output: str) -> str:
    """A tree as JSON or YAML text with its commands completed, ending in a newline; ValueError for another format."""
    tree = pasted.tree(tree)
    if output == "json":
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    if output == "yaml":
        return _yaml(tree)
    raise ValueError(output)


def _yaml(tree: Tree) -> str:
    import yaml

    # A round trip through JSON drops str subclasses (masks, enums) that the C dumper refuses.
    plain = json.loads(json.dumps(tree))
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(
        yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)
    )
