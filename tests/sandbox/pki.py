"""Where the keys and certificates of one sandbox are; who only reads them does not load what makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign; `certificate` and `key` are its PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Pki:
    """The files under one pki folder."""

    root: Path

    @property
    def cluster(self) -> Authority:
        return Authority(self.root / "ca.crt", self.root / "ca.key")

    @property
    def etcd(self) -> Authority:
        return Authority(self.root / "etcd" / "ca.crt", self.root / "etcd" / "ca.key")

    @property
    def front_proxy(self) -> Authority:
        return Authority(self.root / "front-proxy-ca.crt", self.root / "front-proxy-ca.key")

    @property
    def etcd_client(self) -> tuple[Path, Path]:
        """Certificate and key that etcd's client port accepts (kubeadm's healthcheck-client)."""
        return self.pair("etcd/healthcheck-client")

    def pair(self, name: str) -> tuple[Path, Path]:
        """The certificate and key files of that name."""
        return self.root / f"{name}.crt", self.root / f"{name}.key"
