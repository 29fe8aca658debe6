"""A running control plane and what tests do with it. Start here: `Sandbox.start()`, then `use("kubeadm")`."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.sandbox import build, certificates, control, kwok, population, reset
from tests.sandbox import topology as topologies
from tests.sandbox.api import Api, ApiError, Json
from tests.sandbox.certificates import Pki
from tests.sandbox.components import (
    API_SERVER,
    AUDIT_POLICY,
    CONTROLLER_MANAGER,
    ETCD,
    KWOK,
    LOADER,
    NAMES,
    SCHEDULER,
    Cluster,
    Ports,
)
from tests.sandbox.layout import Layout, default_folder, remove_if_empty

Answer = TypeVar("Answer")
START_TIMEOUT = 90.0
PORT_ATTEMPTS = 4
CONTEXT = "ddhelm-sandbox"


class SandboxError(Exception):
    """The sandbox cannot do what was asked; where a component ended, its last lines are in the text."""


class AlreadyUp(SandboxError):
    """There is a running sandbox in that folder."""


class _PortTaken(Exception):
    """A component lost the race for its port."""


def wait_for(
    predicate: Callable[[], Answer], timeout: float = 30.0, what: str = "", every: float = 0.05
) -> Answer:
    """The first true answer of `predicate`, asked every `every` seconds. Raises TimeoutError after `timeout` seconds.

    Errors of the API and refused connections count as "not yet"; the last one is named when time is up.
    """
    end = time.monotonic() + timeout
    last: object = "false"
    while True:
        try:
            answer = predicate()
            if answer:
                return answer
            last = answer
        except (ApiError, OSError, http.client.HTTPException) as error:
            last = error
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout:g} s: {what or predicate}; last: {last!r}"[:2000])
        time.sleep(every)


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
        self._api: dict[str, Api] = {}

    # -- life ---------------------------------------------------------------------------------------------------------

    @classmethod
    def start(cls, folder: Path | None = None, topology: str | Path = "", detach: bool = False) -> Sandbox:
        """A new control plane in `folder` (made, and removed at the end), with that topology or ready for `use`.

        It ends with this process, however that ends; with `detach`, once all is ready, it runs until `stop`.
        Raises AlreadyUp, SandboxError, and build.BuildError.
        """
        tools = {name: build.tool(name) for name in (*NAMES, "kubectl")}
        layout = Layout((folder or default_folder()).resolve())
        with _claimed(layout.root):
            if control.alive(layout).get("supervisor"):
                raise AlreadyUp(f"a sandbox is up already in `{layout.root}`")
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
        certificates.make(self.layout.pki)
        self._write_configuration(tools)
        self._process = control.launch(self.layout)
        wait_for(lambda: control.recorded(self.layout), START_TIMEOUT, "the supervisor")
        for name in (ETCD, API_SERVER):
            control.ask(self.layout, "start", name=name)
        self._await(API_SERVER, "/readyz", START_TIMEOUT)
        for name in (CONTROLLER_MANAGER, SCHEDULER, KWOK):
            control.ask(self.layout, "start", name=name)
        for name in (CONTROLLER_MANAGER, SCHEDULER, KWOK):
            self._await(name, "/healthz", START_TIMEOUT)
        population.prepare(self.loader)
        # The controllers have begun to work when these are there; only then is the baseline complete.
        for path in ("/api/v1/namespaces/default/serviceaccounts/default", _ROOT_CA, *_LEADERS):
            wait_for(lambda path=path: self.loader.find(path), START_TIMEOUT, path)  # type: ignore[misc]
        self._baseline = {found.identity for found in reset.inventory(self.loader)}
        control.ask(self.layout, "settle")
        self._remember()

    def _clear(self) -> None:
        """Removes what a killed sandbox left in this folder; refuses a folder that holds anything else."""
        entries = {path.name for path in self.dir.iterdir()}
        if entries and not entries & {"pki", "processes.json", "logs"}:
            raise SandboxError(f"`{self.dir}` holds other files: {', '.join(sorted(entries)[:5])}")
        for name, (pid, started) in control.recorded(self.layout).items():
            if not control.supervisor.kill_recorded(pid, started, (signal.SIGKILL,), 10):
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
            self._write_kubeconfig(file, user, groups)
        self.layout.kwok_config.write_text(kwok.config(self.layout.pod_log, self.layout.pod_cwd))
        population.write_pod_log(self.layout.pod_log)
        (self.dir / "audit-policy.yaml").write_text(json.dumps(AUDIT_POLICY))
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
        state = {"ports": _ports_of(self.ports), "topology": self.topology, "baseline": sorted(self._baseline)}
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
            CONTROLLER_MANAGER: self.ports.controller_manager, KWOK: self.ports.kubelet,
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
            certificate, key = self.pki.pair(f"users/{user}")
            self._api[user] = Api(self.ports.apiserver, self.pki.cluster.certificate, certificate, key)
        return self._api[user]

    def api_get(self, path: str) -> Json:
        """The object at this path of the API. Raises ApiError."""
        return self.api.get(path)

    def writes(self) -> list[Json]:
        """The audit events of every write by the programs under test since the cluster was last empty.

        Each has `verb`, `requestURI`, `user.username`, `objectRef`, `responseStatus.code`.
        """
        text = self.layout.audit_log.read_text() if self.layout.audit_log.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - subprocess's own word
        """What kubectl prints. Raises subprocess.CalledProcessError with stderr in its notes."""
        try:
            answer = subprocess.run(
                [build.tool("kubectl"), *arguments],
                env=self.environment(),
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
        foreign = ("DD_", "HELM_", "DDHELM_", "KUBE", "XDG_", "DATADOG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
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
        }
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            Path(own[name]).mkdir(mode=0o700, parents=True, exist_ok=True)
        return kept | own

    def user_kubeconfig(self, name: str, rules: Sequence[Json], namespace: str = "") -> Path:
        """A kubeconfig of a new user who may do what `rules` (RBAC PolicyRules) say, in one namespace or everywhere."""
        label = f"sandbox-user-{name}"
        path = f"/apis/rbac.authorization.k8s.io/v1/{f'namespaces/{namespace}/' if namespace else ''}"
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": label}
        version = {"apiVersion": "rbac.authorization.k8s.io/v1"}
        role = {**version, "kind": kind, "metadata": metadata, "rules": list(rules)}
        binding = {
            **version,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": label},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        }
        self.loader.apply(f"{path}{kind.lower()}s/{label}", role)
        self.loader.apply(f"{path}{kind.lower()}bindings/{label}", binding)
        kubeconfig = self._write_kubeconfig(f"user-{name}", name, [])
        answers = self._review(name, rules, namespace)
        wait_for(answers, 10, f"the rights of `{name}`")
        return kubeconfig

    def _review(self, user: str, rules: Sequence[Json], namespace: str) -> Callable[[], bool]:
        """Asks whether the API server's authorizer has seen the new rules yet: it learns of them by a watch."""
        asked = [(rule, verb) for rule in rules if rule.get("resources") for verb in rule["verbs"][:1]]
        if not asked:
            return lambda: True
        rule, verb = asked[-1]
        plural, _, subresource = rule["resources"][0].partition("/")
        attributes = {"namespace": namespace, "verb": verb, "group": rule["apiGroups"][0], "resource": plural}
        if subresource:
            attributes["subresource"] = subresource
        if rule.get("resourceNames"):
            attributes["name"] = rule["resourceNames"][0]
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return lambda: bool(self.loader.post(path, body)["status"]["allowed"])

    def _write_kubeconfig(self, file: str, user: str, groups: Sequence[str]) -> Path:
        certificate, key = certificates.issue(self.pki.cluster, user, groups)
        for path, content in zip(self.pki.pair(f"users/{file}"), (certificate, key), strict=True):
            path.parent.mkdir(exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(content)
        authority = self.pki.cluster.certificate.read_bytes()
        cluster = {
            "server": f"https://127.0.0.1:{self.ports.apiserver}",
            "certificate-authority-data": base64.b64encode(authority).decode(),
        }
        credentials = {
            "client-certificate-data": base64.b64encode(certificate).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        }
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
            "current-context": CONTEXT,
        }
        path = self.layout.kubeconfigs / f"{file}.conf"
        path.touch(mode=0o600)
        path.write_text(json.dumps(kubeconfig, indent=1))
        return path


_ROOT_CA = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
_LEASES = {
    name: f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}"
    for name in (CONTROLLER_MANAGER, SCHEDULER)
}
_LEADERS = tuple(_LEASES.values())


def _ports_of(ports: Ports) -> dict[str, int]:
    return {name.removesuffix("_port"): int(value) for name, value in ports.placeholders.items()}


def _tail(log: str, lines: int = 15) -> str:
    return "\n".join(log.splitlines()[-lines:])


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Holds the folder for one starter; whoever comes second waits and then finds what the first one made."""
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), folder.stat()):
                    yield
                    return
        finally:
            os.close(handle)
        # The folder that we waited for was removed meanwhile: claim the new one.
