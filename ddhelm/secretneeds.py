"""Secrets that a distribution's values need: what is missing of one, and the command that brings it."""

from collections.abc import Mapping
from typing import Any

from ddhelm.claim import ProofContext

_PLACEHOLDER = "NAMESPACE"


def missing(need: Mapping[str, Any], context: ProofContext) -> str:
    """What is missing of the Secret that a requirement names, in words; empty where it is there or was not read."""
    name, secrets = str(need["spec"]), context.live.secrets
    if secrets is None:
        return ""
    if name not in secrets:
        return f"Secret `{name}` is not in namespace `{context.namespace}`"
    lacks = [str(key) for key in need.get("keys") or () if key not in secrets[name]]
    if not lacks and secrets[name]:
        return ""
    what = f"has no key `{'` and no key `'.join(lacks)}`" if lacks else "is empty"
    return f"Secret `{name}` in namespace `{context.namespace}` {what}"


def way(need: Mapping[str, Any], context: ProofContext) -> str:
    """The requirement's hint for this namespace: made first where it is missing, an incomplete Secret deleted first."""
    hint, name = str(need.get("hint") or "").replace(_PLACEHOLDER, context.namespace), str(need["spec"])
    if not hint:
        return ""
    if name in (context.live.secrets or {}):
        return f"kubectl -n {context.namespace} delete secret {name} && {hint}"
    return f"{made_first(context)}{hint}"


def made_first(context: ProofContext) -> str:
    """What stands before a command that makes something in a namespace which is not there yet."""
    return f"kubectl create namespace {context.namespace} && " if context.missing_namespace else ""


def of(name: str, context: ProofContext) -> Mapping[str, Any] | None:
    """The requirement that names this Secret and is not met, or None."""
    needs = (need for need in context.requirements if need["kind"] == "secret" and need["spec"] == name)
    return next((need for need in needs if missing(need, context)), None)
