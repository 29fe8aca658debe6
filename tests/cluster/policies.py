"""Admission policies as teams run them: a rule and the binding that puts it in force."""

from typing import Any

from tests.sandbox.sandbox import Sandbox

GROUP = "admissionregistration.k8s.io/v1"


def put(sandbox: Sandbox, kind: str, name: str, spec: dict[str, Any], **binding: Any) -> None:
    """Make a policy of this kind (``MutatingAdmissionPolicy``) and bind it; it takes a moment until it is in force."""
    for made, plural, body in (
        (kind, f"{kind.removesuffix('y')}ies", spec),
        (f"{kind}Binding", f"{kind}Bindings", {"policyName": name, **binding}),
    ):
        obj = {"apiVersion": GROUP, "kind": made, "metadata": {"name": name}, "spec": body}
        sandbox.loader.post(f"/apis/{GROUP}/{plural.lower()}", obj)
