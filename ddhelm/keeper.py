"""Who keeps a Secret up to date, by its metadata: then a change belongs there, and is overwritten anywhere else."""

from collections.abc import Mapping
from typing import Any

_OWNERS = {
    "ExternalSecret": "External Secrets",
    "ClusterExternalSecret": "External Secrets",
    "SealedSecret": "Sealed Secrets",
    "SecretProviderClassPodStatus": "the Secrets Store CSI driver",
    "VaultStaticSecret": "the Vault Secrets Operator",
    "VaultDynamicSecret": "the Vault Secrets Operator",
    "OnePasswordItem": "the 1Password operator",
    "InfisicalSecret": "the Infisical operator",
}
# label or annotation to whom it tells of; values do not matter
_MARKS = {
    "secrets-store.csi.k8s.io/managed": "the Secrets Store CSI driver",
    "reconcile.external-secrets.io/managed": "External Secrets",
    "reconcile.external-secrets.io/data-hash": "External Secrets",
    "sealedsecrets.bitnami.com/managed": "Sealed Secrets",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
}


def keeper(metadata: Mapping[str, Any]) -> str:
    """`External Secrets (ExternalSecret `x`)`, `Argo CD` …; empty where the object names nobody.

    Owner references first, then the labels and annotations by which these programs know their own.
    """
    for reference in metadata.get("ownerReferences") or ():
        kind, name = str(reference.get("kind")), str(reference.get("name"))
        if kind in _OWNERS:
            return f"{_OWNERS[kind]} ({kind} `{name}`)"
    marks = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    for mark, who in _MARKS.items():
        if mark in marks:
            named = f" (release `{marks[mark]}`)" if who == "Helm" else ""
            return f"{who}{named}"
    return next(
        (f"{each.get('kind')} `{each.get('name')}`" for each in metadata.get("ownerReferences") or ()),
        "",
    )
