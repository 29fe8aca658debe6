"""Whoever keeps a Secret up to date is named by what it leaves in the Secret's metadata."""

from typing import Any

import pytest

from ddhelm.keeper import keeper


def owned(kind: str) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": kind, "name": "dd"}]}


@pytest.mark.parametrize(
    ("metadata", "who"),
    [
        ({}, ""),
        (owned("ExternalSecret"), "External Secrets (ExternalSecret `dd`)"),
        (owned("SealedSecret"), "Sealed Secrets (SealedSecret `dd`)"),
        (owned("Robot"), "Robot `dd`"),
        (
            {**owned("ReplicaSet"), "labels": {"secrets-store.csi.k8s.io/managed": "true"}},
            "the Secrets Store CSI driver",
        ),
        ({"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}, "Sealed Secrets"),
        ({"annotations": {"meta.helm.sh/release-name": "secrets"}}, "Helm (release `secrets`)"),
        ({"labels": {"app": "x"}}, ""),
    ],
)
def test_the_keeper(metadata: dict[str, Any], who: str) -> None:
    assert keeper(metadata) == who
