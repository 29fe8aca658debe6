"""Who keeps an object up to date, by its metadata: then a change belongs there, and is overwritten anywhere else."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ddhelm.pasting import typed

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
_ARGO_LABEL, _ARGO_TRACKING = "argocd.argoproj.io/instance", "argocd.argoproj.io/tracking-id"
_FLUX = {
    "helm.toolkit.fluxcd.io/name": ("HelmRelease", "helm.toolkit.fluxcd.io/namespace"),
    "kustomize.toolkit.fluxcd.io/name": ("Kustomization", "kustomize.toolkit.fluxcd.io/namespace"),
}
# label or annotation to whom it tells of; values do not matter
_MARKS = {
    "secrets-store.csi.k8s.io/managed": "the Secrets Store CSI driver",
    "reconcile.external-secrets.io/managed": "External Secrets",
    "reconcile.external-secrets.io/data-hash": "External Secrets",
    "sealedsecrets.bitnami.com/managed": "Sealed Secrets",
    _ARGO_TRACKING: "Argo CD",
    _ARGO_LABEL: "Argo CD",
    **dict.fromkeys(_FLUX, "Flux"),
    "meta.helm.sh/release-name": "Helm",
}


class Delivery(Struct, frozen=True):
    """Who applies an object out of a repository again and again, in words; ``stop`` is what to type against that."""

    who: str
    stop: str


def delivery(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Delivery | None:
    """Argo CD or Flux, by the marks that they put on what is theirs (Argo CD 3.2, Flux 2); None for neither."""
    if _ARGO_LABEL in labels or _ARGO_TRACKING in annotations:
        app = labels.get(_ARGO_LABEL) or str(annotations[_ARGO_TRACKING]).split(":")[0]
        return Delivery(f"Argo CD application `{app}`", typed("argocd app delete {app} --cascade=false", app=app))
    for label, (kind, namespace) in _FLUX.items():
        if label in labels:
            name, where = labels[label], labels.get(namespace, "flux-system")
            stop = typed("flux suspend {kind} {name} -n {where}", kind=kind.lower(), name=name, where=where)
            return Delivery(f"Flux {kind} `{name}`", stop)
    return None


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
