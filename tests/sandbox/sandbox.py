"""A running control plane and what tests do with it. Start here: `Sandbox.start()`, then `use("kubeadm")`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.sandbox import access, audit, build, control, kwok, population, reset, supervisor
from tests.sandbox import topology as topologies
from tests.sandbox.api import Api, ApiError, Json
from tests.sandbox.audit import LOADER
from tests.sandbox.components import (
    API_SERVER,
    BUILT,
    CONTROLLER_MANAGER,
    ETCD,
    FRONT,
    KWOK,
    NAMES,
    SCHEDULER,
    Cluster,
    Ports,
)
from tests.sandbox.layout import Layout, default_folder, remove_if_empty
from tests.sandbox.pki import Pki
from tests.sandbox.waiting import wait_for

START_TIMEOUT = 90.0
PORT_ATTEMPTS = 4
NOWHERE = "https://127.0.0.1:9"
"""Where programs under test find Datadog's API: nobody listens. Who wants an answer puts tests.datadog_api there."""


class SandboxError(Exception):
    """The sandbox cannot do what was asked; where a component ended, its last lines are in the text."""


class AlreadyUp(SandboxError):
    """There is a running sandbox in that folder."""


class _PortTaken(Exception):
    """A component lost the race for its port."""


class Sandbox:
    """One control plane in one folder. `start` makes one, `attach` finds a running one."""

    def __init__(self, layout: Layout, ports: Ports) -> None:
        self.layout = layout
        self.dir = layout.root
        self.ports = ports
        self.pki = Pki(layout.pki)
        self.kubeconfig = layout.kubeconfig
        """Of the administrator, who may do everything."""
        self.exec_bin = layout.exec_bin
        """Programs put here answer `kubectl exec POD -- PROGRAM`."""
        self.host = layout.host
        """What hostPath volumes of simulated nodes show: `host / "etc/kubernetes/pki/etcd/ca.crt"`."""
        self.topology = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._baseline: set[str] = set()
        self._audit_start = 0
        self._access = access.Access(layout, ports.apiserver)
        self._api: dict[str, Api] = {}

    # -- life ---------------------------------------------------------------------------------------------------------

    @classmethod
    def start(cls, folder: Path | None = None, topology: str | Path = "", detach: bool = False) -> Sandbox:
        """A new control plane in `folder` (made, and removed at the end), with that topology or ready for `use`.

        It ends with this process, however that ends; with `detach`, once all is ready, it runs until `stop`.
        Raises AlreadyUp, SandboxError, and build.BuildError.
        """
        tools = {name: build.tool(name) for name in (*BUILT, "kubectl")}
        layout = Layout((folder or default_folder()).resolve())
        with control.claimed(layout.root):
            if control.alive(layout).get("supervisor"):
                raise AlreadyUp(f"a sandbox is up already in `{layout.root}`")
            if layout.foreign:
                raise SandboxError(f"`{layout.root}` holds other files and is not a sandbox")
            sandbox = cls._on_free_ports(layout, tools)
            try:
                if topology:
                    sandbox.use(topology)
                if detach:
                    control.ask(layout, "detach")
            except BaseException:
                sandbox.stop()
                raise
        return sandbox

    @classmethod
    def _on_free_ports(cls, layout: Layout, tools: Mapping[str, Path]) -> Sandbox:
        for _ in range(PORT_ATTEMPTS):
            sandbox = cls(layout, Ports.free())
            try:
                sandbox._bring_up(tools)
                return sandbox
            except _PortTaken:
                sandbox.stop(keep_folder=True)
            except BaseException:
                sandbox.stop()
                raise
        raise SandboxError(f"in {PORT_ATTEMPTS} attempts someone else took a port each time")

    @classmethod
    def attach(cls, folder: Path | None = None) -> Sandbox:
        """The running sandbox in that folder. Raises SandboxError if there is none."""
        layout = Layout((folder or default_folder()).resolve())
        try:
            control.ask(layout, "status")
            state = json.loads(layout.state.read_text())
        except (control.NotRunning, FileNotFoundError):
            raise SandboxError(f"no sandbox is up in `{layout.root}`") from None
        sandbox = cls(layout, Ports(**state["ports"]))
        sandbox.topology = state["topology"]
        sandbox._baseline = set(state["baseline"])
        sandbox._audit_start = state["audit_start"]
        return sandbox

    def stop(self, keep_folder: bool = False) -> None:
        """Ends all processes and removes the folder; an ended sandbox may be stopped again."""
        for api in self._api.values():
            api.close()
        control.stop(self.layout)
        if self._process is not None:
            self._process.wait(control.STOP_TIMEOUT)
        if keep_folder:
            self.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            remove_if_empty(self.dir.parent)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _bring_up(self, tools: Mapping[str, Path]) -> None:
        self._clear()
        self.layout.make()
        from tests.sandbox import certificates  # slow to import, and most processes only attach

        certificates.make(self.layout.pki)
        self._write_configuration(tools)
        self._process = control.launch(self.layout)
        wait_for(lambda: control.recorded(self.layout), START_TIMEOUT, "the supervisor")
        for name in (ETCD, API_SERVER):
            control.ask(self.layout, "start", name=name)
        self._await(API_SERVER, "/readyz", START_TIMEOUT)
        for name in (CONTROLLER_MANAGER, SCHEDULER, KWOK, FRONT):
            control.ask(self.layout, "start", name=name)
        for name in (CONTROLLER_MANAGER, SCHEDULER, KWOK, FRONT):
            self._await(name, "/healthz", START_TIMEOUT)
        population.prepare(self.loader)
        # The controllers have begun to work when these are there; only then is the baseline complete.
        for path in ("/api/v1/namespaces/default/serviceaccounts/default", _ROOT_CA, *_LEADERS):
            wait_for(lambda path=path: self.loader.find(path), START_TIMEOUT, path)  # type: ignore[misc]
        self._baseline = {found.identity for found in reset.inventory(self.loader)}
        control.ask(self.layout, "settle")
        self._remember()

    def _clear(self) -> None:
        """Removes what a killed sandbox left in this folder."""
        for name, (pid, started) in control.recorded(self.layout).items():
            if not supervisor.kill_recorded(pid, started, (signal.SIGKILL,), 10):
                raise SandboxError(f"process {pid} (`{name}`) does not end")
        for path in self.dir.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _write_configuration(self, tools: Mapping[str, Path]) -> None:
        users = {
            "admin": ("kubernetes-admin", ["system:masters"]),
            LOADER: (LOADER, ["system:masters"]),
            KWOK: ("kwok", ["system:masters"]),
            CONTROLLER_MANAGER: ("system:kube-controller-manager", []),
            SCHEDULER: ("system:kube-scheduler", []),
        }
        for file, (user, groups) in users.items():
            self._access.write(file, user, groups)
        self.layout.kwok_config.write_text(kwok.config(self.layout.pod_log, self.layout.pod_cwd))
        population.write_pod_log(self.layout.pod_log)
        (self.dir / "audit-policy.yaml").write_text(json.dumps(audit.POLICY))
        cluster = Cluster(self.layout, self.pki, self.ports, tools)
        self.layout.components.write_text(json.dumps(cluster.specifications(), indent=1))

    def _await(self, name: str, path: str, timeout: float) -> None:
        """Waits until the component answers 200; tells apart a lost port and any other end."""

        def answered() -> bool:
            status = control.ask(self.layout, "status")
            ended = [other for other in status if status[other]["pid"] is None]
            if ended:
                log = self.log(ended[0])
                if "address already in use" in log:
                    raise _PortTaken(ended[0])
                raise SandboxError(f"`{ended[0]}` ended (exit {status[ended[0]]['exit_code']}):\n{_tail(log)}")
            return self.health(name, path)

        try:
            wait_for(answered, timeout, f"{name} {path}")
        except TimeoutError as error:
            raise SandboxError(f"{error}\n{_tail(self.log(name))}") from None

    def _remember(self) -> None:
        state = {
            "ports": asdict(self.ports),
            "topology": self.topology,
            "baseline": sorted(self._baseline),
            "audit_start": self._audit_start,
        }
        scratch = self.layout.state.with_suffix(".new")
        scratch.write_text(json.dumps(state))
        scratch.replace(self.layout.state)

    # -- topologies ---------------------------------------------------------------------------------------------------

    def use(self, name: str | Path) -> Sandbox:
        """Empties the cluster and fills it with that topology: nodes Ready, static pods Running.

        Everything that tests left is gone afterwards: objects of any kind, private home, programs for exec, paused and
        killed components. Raises topology.TopologyError, SandboxError.
        """
        wanted = topologies.load(name, self.ports.placeholders)
        self.heal()
        self.topology = ""
        self._remember()
        reset.empty(self.loader, self._baseline)
        for folder in (self.layout.home, self.layout.exec_bin, self.layout.host, self.layout.pod_cwd):
            shutil.rmtree(folder)
        self.layout.make()
        population.write_host_files(wanted, self.pki, self.host)
        population.write_pod_log(self.layout.pod_log)
        population.settle(self.loader, wanted)
        self.topology = wanted.name
        self._audit_start = audit.size(self.layout.audit_log)
        self._remember()
        return self

    def heal(self) -> None:
        """Every component runs again and answers, whatever a test did to it."""
        for name, status in control.ask(self.layout, "status").items():
            if status["paused"]:
                self.resume(name)
            if status["pid"] is None:
                self.restart(name)
        for name in NAMES:
            path = "/readyz" if name == API_SERVER else "/healthz"
            wait_for(lambda name=name, path=path: self.health(name, path), START_TIMEOUT, name)  # type: ignore[misc]

    # -- components ---------------------------------------------------------------------------------------------------

    def pause(self, component: str) -> None:
        """Freezes a component (SIGSTOP): its port accepts connections and nobody answers."""
        control.ask(self.layout, "signal", name=component, signal=int(signal.SIGSTOP))

    def resume(self, component: str) -> None:
        control.ask(self.layout, "signal", name=component, signal=int(signal.SIGCONT))

    def kill(self, component: str) -> None:
        """Ends a component (SIGKILL); it stays away until `restart`."""
        control.ask(self.layout, "kill", name=component)

    def restart(self, component: str, timeout: float = START_TIMEOUT) -> None:
        """Starts a component again, whether it runs or not, and waits until it answers."""
        control.ask(self.layout, "kill", name=component)
        if lease := _LEASES.get(component):
            # Otherwise the new process waits 15 s for the old one's lease to run out.
            with contextlib.suppress(ApiError, OSError):
                self.loader.delete(lease)
        control.ask(self.layout, "start", name=component)
        path = "/readyz" if component == API_SERVER else "/healthz"
        wait_for(lambda: self.health(component, path), timeout, component)

    def health(self, component: str, path: str = "/healthz") -> bool:
        """Whether the component answers 200 there now."""
        port = {
            ETCD: self.ports.etcd_metrics, API_SERVER: self.ports.apiserver, SCHEDULER: self.ports.scheduler,
            CONTROLLER_MANAGER: self.ports.controller_manager, KWOK: self.ports.kwok,
            FRONT: self.ports.kubelet,
        }[component]  # fmt: skip
        if component == ETCD:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            path = "/health"
        else:
            context = ssl.create_default_context(cafile=str(self.pki.cluster.certificate))
            if component in {SCHEDULER, CONTROLLER_MANAGER}:  # they sign their own
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=context)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def status(self) -> dict[str, Json]:
        """Component -> pid (None: not running), paused, restarts, exit_code."""
        answer: dict[str, Json] = control.ask(self.layout, "status")
        return answer

    def log(self, component: str) -> str:
        """Everything the component printed so far."""
        return (self.layout.logs / f"{component}.log").read_text(errors="replace")

    # -- the API ------------------------------------------------------------------------------------------------------

    @property
    def api(self) -> Api:
        """The API as the administrator; its writes stand in the audit log."""
        return self._api_of("admin")

    @property
    def loader(self) -> Api:
        """The API for preparing a test; its writes do not stand in the audit log."""
        return self._api_of(LOADER)

    def _api_of(self, user: str) -> Api:
        if user not in self._api:
            self._api[user] = self._access.api(user)
        return self._api[user]

    def api_get(self, path: str) -> Json:
        """The object at this path of the API. Raises ApiError."""
        return self.api.get(path)

    def writes(self) -> list[Json]:
        """What programs under test wrote, or tried to, since the last `use`: see audit.writes."""
        return audit.writes(self.layout.audit_log, self._audit_start)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """What kubectl prints. Raises subprocess.CalledProcessError with stderr in its notes."""
        try:
            answer = subprocess.run(
                [build.tool("kubectl"), *arguments],
                env={**self.environment(), "GOGC": "400"},  # what lives for 50 ms need not collect garbage
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
            )
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr)
            raise
        return answer.stdout

    def environment(self, helm: str = "4.3") -> dict[str, str]:
        """The environment for a program under test: this cluster, this helm, a home of its own, nothing of the user's.

        PATH has the folders of helm and kubectl first, and then the caller's.
        """
        home = self.layout.home
        # PYTHON…: a machine that forbids bytecode would have every ddhelm compiled anew, a quarter of its time.
        foreign = ("DD_", "HELM_", "DDHELM_", "KUBE", "XDG_", "DATADOG_", "PYTHON")
        # But PYTHONPATH says which checkout is meant: without it a worktree would test the one that is installed.
        kept = {k: v for k, v in os.environ.items() if k == "PYTHONPATH" or not k.startswith(foreign)}
        path = [str(build.helm(helm).parent), str(build.tool("kubectl").parent), kept.get("PATH", "/usr/bin:/bin")]
        own = {
            "PATH": os.pathsep.join(path),
            "HOME": str(home),
            "KUBECONFIG": str(self.kubeconfig),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local" / "share"),
            "XDG_STATE_HOME": str(home / ".local" / "state"),
            "XDG_RUNTIME_DIR": str(home / ".run"),
            "DDHELM_API_URL": NOWHERE,
        }
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            Path(own[name]).mkdir(mode=0o700, parents=True, exist_ok=True)
        return kept | own

    def simulate(self, node: str, **behaviour: str | None) -> None:
        """What pods bound to this node from now on do: `ready_after`, `never_ready`, `message`, `event`, `stop_after`,
        `complete_after`; what the node does: `not_ready`. None takes a behaviour back. README.md says more.
        A node where pods are `never_ready` is cordoned: those that a DaemonSet is given come, no Deployment's does by
        chance.
        """
        annotations = {f"{kwok.PREFIX}/{name.replace('_', '-')}": value for name, value in behaviour.items()}
        if unknown := set(annotations) - {*kwok.POD_ANNOTATIONS, kwok.NOT_READY}:
            raise TypeError(f"unknown behaviour: {', '.join(sorted(unknown))}")
        metadata = {"labels": {kwok.SIMULATE: ""}, "annotations": annotations}
        cordon = {"spec": {"unschedulable": bool(behaviour["never_ready"])}} if "never_ready" in behaviour else {}
        self.loader.merge(f"/api/v1/nodes/{node}", {"metadata": metadata, **cordon})

    def user_kubeconfig(self, name: str, rules: Sequence[Json], namespace: str = "") -> Path:
        """A kubeconfig of a new user who may do what `rules` (RBAC PolicyRules) say, in one namespace or everywhere."""
        access.grant(self.loader, name, rules, namespace)
        return self._access.write(f"user-{name}", name)


_ROOT_CA = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
_LEASES = {
    name: f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}"
    for name in (CONTROLLER_MANAGER, SCHEDULER)
}
_LEADERS = tuple(_LEASES.values())


def _tail(log: str, lines: int = 15) -> str:
    return "\n".join(log.splitlines()[-lines:])
