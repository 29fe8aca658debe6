"""Where everything of one sandbox stands: one folder, so that `down` has one thing to remove."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


def runtime_folder() -> Path:
    """The user's own folder for running sandboxes, private to them; made if it is missing.

    Raises PermissionError if someone else made a folder of that name in a shared temp folder.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    parent = Path(base) if base and os.access(base, os.W_OK) else Path(tempfile.gettempdir())
    folder = parent / f"ddhelm-sandbox-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"`{folder}` belongs to someone else")
    return folder


def default_folder() -> Path:
    """Where `python -m tests.sandbox up` puts its sandbox unless told otherwise."""
    return runtime_folder() / "default"


def remove_if_empty(folder: Path) -> None:
    """Removes the user's runtime folder when the last sandbox in it has gone; any other folder is left alone."""
    if folder.name == f"ddhelm-sandbox-{os.getuid()}":
        with contextlib.suppress(OSError):
            folder.rmdir()


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths inside a sandbox's folder."""

    root: Path

    @property
    def marker(self) -> Path:
        """Says that this folder is a sandbox's: nothing without it is ever removed."""
        return self.root / ".ddhelm-sandbox"

    @property
    def foreign(self) -> bool:
        """Whether the folder holds something and is not a sandbox's."""
        return not self.marker.exists() and self.root.exists() and any(self.root.iterdir())

    @property
    def state(self) -> Path:
        """Ports and topology, written once the control plane is ready."""
        return self.root / "state.json"

    @property
    def processes(self) -> Path:
        """Every process that was started, with its start time: written by the supervisor alone."""
        return self.root / "processes.json"

    @property
    def components(self) -> Path:
        """The command lines that the supervisor may start."""
        return self.root / "components.json"

    @property
    def kubeconfigs(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def kubeconfig(self) -> Path:
        return self.kubeconfigs / "admin.conf"

    @property
    def pki(self) -> Path:
        """Certificates and keys, named as kubeadm names them in `/etc/kubernetes/pki`."""
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pod_log(self) -> Path:
        return self.logs / "pod.log"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def etcd_data(self) -> Path:
        return self.root / "etcd"

    @property
    def exec_bin(self) -> Path:
        """Programs that `kubectl exec` finds."""
        return self.root / "exec-bin"

    @property
    def host(self) -> Path:
        """What a hostPath volume of a simulated node would show: `host/etc/kubernetes/…`."""
        return self.root / "host"

    @property
    def home(self) -> Path:
        """HOME of the programs under test."""
        return self.root / "home"

    @property
    def pod_cwd(self) -> Path:
        return self.root / "exec-cwd"

    @property
    def kwok_config(self) -> Path:
        return self.root / "kwok.yaml"

    def make(self) -> None:
        """Makes what is missing of the folder."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.marker.touch()
        for folder in (
            self.kubeconfigs, self.pki, self.logs, self.etcd_data, self.exec_bin, self.host, self.home, self.pod_cwd,
        ):  # fmt: skip
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
