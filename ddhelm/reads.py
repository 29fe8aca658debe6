"""What is asked of every cluster first, by names: apart from its parsing, to be asked before that is loaded."""

from collections.abc import Mapping
from types import MappingProxyType

_STATIC_PODS = "/api/v1/namespaces/kube-system/pods?resourceVersion=0&labelSelector="
_COMPONENTS = "kube-apiserver,kube-scheduler,kube-controller-manager,etcd"
_ETCD_MANAGERS = "etcd-manager-main,etcd-manager-events,etcd-manager-leases,etcd-manager-cilium"

#: Name of a read → path for ``kubectl get --raw``. Label selectors keep the pods of a large cluster out of the answer:
#: kubeadm, RKE2 and Anthos label their static pods ``component``, kOps and Talos ``k8s-app``.
READS: Mapping[str, str] = MappingProxyType(
    {
        "version": "/version",
        "groups": "/apis",
        "kube-system": "/api/v1/namespaces/kube-system",
        "nodes": "/api/v1/nodes?resourceVersion=0",
        "static-pods": f"{_STATIC_PODS}component%20in%20({_COMPONENTS})",
        "static-pods-by-app": f"{_STATIC_PODS}k8s-app%20in%20({_COMPONENTS},{_ETCD_MANAGERS})",
        "kubeadm-config": "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
    }
)

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
