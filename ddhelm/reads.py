"""What is asked of every cluster first, by names: apart from its parsing, to be asked before that is loaded."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ddhelm.release import LEASE, NAMES, SECRET

_STATIC_PODS = "/api/v1/namespaces/kube-system/pods?resourceVersion=0&labelSelector="
_COMPONENTS = "kube-apiserver,kube-scheduler,kube-controller-manager,etcd"
_ETCD_MANAGERS = "etcd-manager-main,etcd-manager-events,etcd-manager-leases,etcd-manager-cilium"

NODES = "/api/v1/nodes?resourceVersion=0"
#: Name of a read → path for ``kubectl get --raw``. Label selectors keep the pods of a large cluster out of the answer:
#: kubeadm, RKE2 and Anthos label their static pods ``component``, kOps and Talos ``k8s-app``.
READS: Mapping[str, str] = MappingProxyType(
    {
        "version": "/version",
        "groups": "/apis",
        "kube-system": "/api/v1/namespaces/kube-system",
        "nodes": NODES,
        "static-pods": f"{_STATIC_PODS}component%20in%20({_COMPONENTS})",
        "static-pods-by-app": f"{_STATIC_PODS}k8s-app%20in%20({_COMPONENTS},{_ETCD_MANAGERS})",
        "kubeadm-config": "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
    }
)

DAEMONSETS = "/apis/apps/v1/daemonsets?resourceVersion=0"
DATADOG_AGENTS = "/apis/datadoghq.com/v2alpha1/datadogagents"
WORKLOADS: Mapping[str, str] = MappingProxyType(
    {
        "Deployment": "/apis/apps/v1/deployments?resourceVersion=0",
        "StatefulSet": "/apis/apps/v1/statefulsets?resourceVersion=0",
    }
)
"""Kinds other than DaemonSet in which people run an agent → where the API lists them."""


def lease(namespace: str) -> str:
    """Where the Lease of an apply is read."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}"


def records(namespace: str, names: Iterable[str], *, superseded: bool) -> str:
    """Where the API server lists the Secrets of these releases' revisions.

    Superseded ones left out, a pair that went well has two.
    """
    chosen = "%2C".join(names)
    left_out = "" if superseded else "%2Cstatus%21%3Dsuperseded"
    return f"/api/v1/namespaces/{namespace}/secrets?labelSelector=owner%3Dhelm%2Cname%20in%20%28{chosen}%29{left_out}"


def before_a_plan(namespace: str) -> Mapping[str, str]:
    """Everything that is asked before a plan is made, the facts among it: name → path."""
    place = f"/api/v1/namespaces/{namespace}"
    return {
        **READS,
        "namespace": place,
        "releases": records(namespace, NAMES.values(), superseded=False),
        "daemonsets": DAEMONSETS,
        "datadog-agents": DATADOG_AGENTS,
        **WORKLOADS,
        "lease": lease(namespace),
        "webhooks": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "secret": f"{place}/secrets/{SECRET}",
    }


WORDS: Mapping[str, str] = MappingProxyType(
    {
        "version": "the Kubernetes version",
        "groups": "the API groups",
        "kube-system": "the namespace kube-system",
        "nodes": "the nodes",
        "static-pods": "the static pods in kube-system",
        "static-pods-by-app": "the static pods in kube-system (k8s-app)",
        "kubeadm-config": "the ConfigMap kube-system/kubeadm-config",
    }
)
