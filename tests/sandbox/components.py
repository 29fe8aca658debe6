"""The command lines of the control plane: one cluster as kubeadm would start it, moved to free ports on loopback.

The differences from kubeadm, each with its reason, are next to the flag.
"""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tests.sandbox import front
from tests.sandbox.layout import Layout
from tests.sandbox.pki import Pki

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"
FRONT = "front"
NAMES = (ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER, KWOK, FRONT)
BUILT = tuple(name for name in NAMES if name != FRONT)
"""Those whose programs are built; the front is ours."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each program listens on 127.0.0.1; all https, except the two that say otherwise."""

    etcd: int
    etcd_peer: int
    etcd_metrics: int
    """Plain http: kubeadm's `--listen-metrics-urls`."""
    apiserver: int
    controller_manager: int
    scheduler: int
    kubelet: int
    """Of all nodes: the front, which passes on to kwok."""
    kwok: int

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody listens on now. Someone may take one before it is used: the starter then chooses anew.

        They lie below the range from which the kernel takes ports for outgoing connections.
        """
        found: list[int] = []
        while len(found) < len(fields(cls)):
            port = random.randrange(20000, 32000)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if port not in found:
                found.append(port)
        return cls(*found)

    @property
    def placeholders(self) -> dict[str, str]:
        """`apiserver_port`, `etcd_metrics_port` … -> number, for topologies."""
        return {f"{name}_port": str(port) for name, port in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the command lines are made of."""

    layout: Layout
    pki: Pki
    ports: Ports
    tools: Mapping[str, Path]

    def specifications(self) -> dict[str, dict[str, Any]]:
        """Component -> argv, environment and log file, as the supervisor reads them."""
        arguments = {
            ETCD: self._etcd(),
            API_SERVER: self._api_server(),
            CONTROLLER_MANAGER: self._controller_manager(),
            SCHEDULER: self._scheduler(),
            KWOK: self._kwok(),
        }
        built = {
            name: [str(self.tools[name]), *(f"--{flag}={value}" for flag, value in flags.items())]
            for name, flags in arguments.items()
        }
        return {name: self._specification(name, argv) for name, argv in {**built, FRONT: self._front()}.items()}

    def _specification(self, name: str, argv: list[str]) -> dict[str, Any]:
        # Only kwok looks programs up, for `kubectl exec`. Nothing else of the caller's environment: proxies, GODEBUG.
        environment = {
            "PATH": f"{self.layout.exec_bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.layout.home),
            "GOGC": "400",  # collecting garbage was a fifth of the API server's time under tests
        }
        return {"argv": argv, "environment": environment, "log": str(self.layout.logs / f"{name}.log")}

    def _etcd(self) -> dict[str, object]:
        client = f"https://127.0.0.1:{self.ports.etcd}"
        peer = f"https://127.0.0.1:{self.ports.etcd_peer}"
        return {
            "name": "sandbox",
            "data-dir": self.layout.etcd_data,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"sandbox={peer}",
            "listen-metrics-urls": f"http://127.0.0.1:{self.ports.etcd_metrics}",
            "client-cert-auth": "true",
            **self._pair("etcd/server", "cert-file", "key-file"),
            "trusted-ca-file": self.pki.etcd.certificate,
            "peer-client-cert-auth": "true",
            **self._pair("etcd/peer", "peer-cert-file", "peer-key-file"),
            "peer-trusted-ca-file": self.pki.etcd.certificate,
            # The data is thrown away: no waiting for the disk, and room for 5,000 nodes.
            "unsafe-no-fsync": "true",
            "quota-backend-bytes": 8 * 1024**3,
            "log-level": "warn",
        }

    def _api_server(self) -> dict[str, object]:
        return {
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": self.ports.apiserver,
            # There is no pod network in which the service's endpoint could be reached.
            "endpoint-reconciler-type": "none",
            "etcd-servers": f"https://127.0.0.1:{self.ports.etcd}",
            "etcd-cafile": self.pki.etcd.certificate,
            **self._pair("apiserver-etcd-client", "etcd-certfile", "etcd-keyfile"),
            **self._pair("apiserver", "tls-cert-file", "tls-private-key-file"),
            "client-ca-file": self.pki.cluster.certificate,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            # It taints every new node until a controller has seen it Ready. Ours are Ready when they are made, and two
            # writes more for each of 5,000 nodes are the difference between seconds and minutes.
            "disable-admission-plugins": "TaintNodesByCondition",
            "delete-collection-workers": 8,
            "allow-privileged": "true",
            "service-cluster-ip-range": "10.96.0.0/12",
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": self.pki.root / "sa.pub",
            "service-account-signing-key-file": self.pki.root / "sa.key",
            "requestheader-client-ca-file": self.pki.front_proxy.certificate,
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-username-headers": "X-Remote-User",
            **self._pair("front-proxy-client", "proxy-client-cert-file", "proxy-client-key-file"),
            **self._pair("apiserver-kubelet-client", "kubelet-client-certificate", "kubelet-client-key"),
            "kubelet-certificate-authority": self.pki.cluster.certificate,
            "kubelet-preferred-address-types": "InternalIP",
            "audit-policy-file": self.layout.root / "audit-policy.yaml",
            "audit-log-path": self.layout.audit_log,
            # What a Secret was when a pod started can be read to the end: see tests/agent/started.py.
            "etcd-compaction-interval": "0",
            # 5,000 simulated nodes and the eight connections that make them.
            "max-requests-inflight": 2000,
            "max-mutating-requests-inflight": 1000,
        }

    def _controller_manager(self) -> dict[str, object]:
        return {
            **self._delegating(CONTROLLER_MANAGER, self.ports.controller_manager),
            "cluster-name": "ddhelm-sandbox",
            "cluster-signing-cert-file": self.pki.cluster.certificate,
            "cluster-signing-key-file": self.pki.cluster.key,
            "root-ca-file": self.pki.cluster.certificate,
            "service-account-private-key-file": self.pki.root / "sa.key",
            "controllers": "*,bootstrapsigner,tokencleaner",
            # Without it RBAC denies the controllers everything, and DaemonSets stay at 0 for ever.
            "use-service-account-credentials": "true",
            # A test that waits for an autoscaler need not wait for the 15 s at which it looks.
            "horizontal-pod-autoscaler-sync-period": "3s",
            # The simulated kubelets send no heartbeats: a node is what its Ready condition says.
            "node-monitor-grace-period": "8760h",
        }

    def _scheduler(self) -> dict[str, object]:
        return self._delegating(SCHEDULER, self.ports.scheduler)

    def _delegating(self, name: str, port: int) -> dict[str, object]:
        """Flags of a component that asks the API server who may read its metrics."""
        kubeconfig = self.layout.kubeconfigs / f"{name}.conf"
        flags: dict[str, object] = {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": port,
            "leader-elect": "true",
            "kube-api-qps": 1000,
            "kube-api-burst": 2000,
        }
        if name == CONTROLLER_MANAGER:
            flags["client-ca-file"] = self.pki.cluster.certificate
            flags["requestheader-client-ca-file"] = self.pki.front_proxy.certificate
        return flags

    def _kwok(self) -> dict[str, object]:
        return {
            "kubeconfig": self.layout.kubeconfigs / "kwok.conf",
            "config": self.layout.kwok_config,
            "manage-all-nodes": "true",
            "node-ip": "127.0.0.1",
            "node-port": self.ports.kubelet,  # what the nodes say; there the front listens
            "server-address": f"127.0.0.1:{self.ports.kwok}",
            **self._pair("kubelet", "tls-cert-file", "tls-private-key-file"),
            # No leases: on 5,000 nodes their renewal alone would be 500 writes a second.
            "node-lease-duration-seconds": 0,
        }

    def _front(self) -> list[str]:
        certificate, key = self.pki.pair("kubelet")
        program = str(Path(front.__file__).resolve())
        return [
            sys.executable,
            "-I",
            program,
            str(self.ports.kubelet),
            str(self.ports.kwok),
            str(certificate),
            str(key),
        ]

    def _pair(self, name: str, certificate_flag: str, key_flag: str) -> dict[str, object]:
        certificate, key = self.pki.pair(name)
        return {certificate_flag: certificate, key_flag: key}
