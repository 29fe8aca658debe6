"""`make demo`: ddhelm's main job on a real control plane that runs on this machine, and how to look around afterwards.

Everything stands in one folder (`.demo`), so that `make demo-down` has one thing to remove. The user's own kubeconfig,
Helm folders and keys are neither read nor written, and nothing is sent to Datadog: no container runs on
the simulated nodes; behind `kubectl exec` a program of ours plays the agent, collects once and says how it went.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddhelm.datadog import ADDRESS
from tests.agent.install import install
from tests.datadog_api.server import DatadogApi
from tests.demo.chart import choose
from tests.sandbox import build, control
from tests.sandbox.layout import Layout
from tests.sandbox.sandbox import AlreadyUp, Sandbox, SandboxError

ROOT = Path(__file__).resolve().parents[2]
TOPOLOGY = "kubeadm"
HELM = "4.3"
KEY = "0" * 32
"""Made up; it has the form of a Datadog API key and belongs to nobody."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The paths of one demo."""

    folder: Path

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def programs(self) -> Path:
        return self.folder / "bin"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def port(self) -> Path:
        """Where Datadog's API was."""
        return self.folder / "api-port"

    @property
    def onboarded(self) -> Path:
        """A mark that this cluster was onboarded once."""
        return self.folder / "onboarded"

    def shown(self, path: Path) -> str:
        """The path as one pastes it in the folder where one is."""
        here = Path.cwd()
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    def command(self, program: str, *arguments: str) -> str:
        """A command line that works as it stands, whatever the reader's environment is."""
        words = [self.shown(self.programs / program), *arguments, "--kubeconfig", self.shown(self.kubeconfig)]
        return shlex.join(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """0, the exit code of the ddhelm that failed, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("do", choices=("up", "down"))
    parser.add_argument("--dir", type=Path, default=ROOT / ".demo", help="its folder (default: .demo)")
    parser.add_argument("--chart", help="a packaged chart instead of the one that is pulled")
    options = parser.parse_args(arguments)
    demo = Demo(options.dir.resolve())
    try:
        return up(demo, options.chart or os.environ.get("DDHELM_TEST_CHART")) if options.do == "up" else down(demo)
    except (SandboxError, control.NotASandbox, build.BuildError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; `make demo` goes on, `make demo-down` removes everything", file=sys.stderr)
        return 130


def up(demo: Demo, chart: str | None) -> int:
    """Starts the cluster, onboards it, says how to look around. On a cluster that is up already: onboards it again."""
    say("A Kubernetes control plane on this machine: 3 control-plane nodes, 5 workers, all simulated")
    sandbox = start(demo)
    print(f"  Kubernetes {build.KUBERNETES}, its real programs, in {demo.shown(demo.cluster)}")

    say("The chart")
    environ = environment(demo, sandbox)
    chosen = choose(demo.folder / "chart", chart, environ)
    print(f"  {chosen.sentence}")

    say("ddhelm, with a made-up key, valid for an API on this machine; nothing is sent to Datadog")
    api = datadog(demo)
    named = ("--cluster-name", "demo", "--api-url", api.url)
    onboard = ("onboard", "--yes", "--verify", "--chart", demo.shown(chosen.path), *named)
    environ |= {name: value for name, value in api.environment().items() if name != ADDRESS}
    code = run(f"DD_API_KEY={KEY} {demo.command('ddhelm', *onboard)}", environ)
    if code == 0 and demo.onboarded.exists():  # nothing was to be done, so onboard had no outcome to show
        code = run(demo.command("ddhelm", "status"), environ)
    api.close()
    if code == 0:
        demo.onboarded.touch()
        print(farewell(demo))
    return code


def datadog(demo: Demo) -> DatadogApi:
    """Datadog's API for the time of `up`, always at the port that the releases remember."""
    remembered = int(demo.port.read_text()) if demo.port.exists() else 0
    try:
        api = DatadogApi(remembered)
    except OSError:  # somebody else has it now
        api = DatadogApi()
    demo.port.write_text(str(api.port))
    return api


def start(demo: Demo) -> Sandbox:
    """The demo's control plane, running until `down`, with the programs and the kubeconfig beside it."""
    try:
        sandbox = Sandbox.start(demo.cluster, detach=True)
    except AlreadyUp:
        sandbox = Sandbox.attach(demo.cluster)
    if sandbox.topology != TOPOLOGY:  # it is new, or an earlier demo was interrupted
        demo.onboarded.unlink(missing_ok=True)
        sandbox.use(TOPOLOGY)
    install(sandbox)
    shutil.copy(sandbox.kubeconfig, demo.kubeconfig)
    demo.programs.mkdir(exist_ok=True)
    for program, target in (("helm", build.helm(HELM)), ("kubectl", build.tool("kubectl"))):
        link = demo.programs / program
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    # A copy, not a link: ddhelm looks for helm and kubectl beside the file that was started.
    shutil.copy(Path(sys.executable).parent / "ddhelm", demo.programs / "ddhelm")
    return sandbox


def environment(demo: Demo, sandbox: Sandbox) -> dict[str, str]:
    """What the demo's programs get: the sandbox's own home, and the demo's programs first on PATH."""
    environ = {name: value for name, value in sandbox.environment(HELM).items() if name != ADDRESS}
    return environ | {"PATH": f"{demo.programs}{os.pathsep}{environ['PATH']}"}


def run(line: str, environ: Mapping[str, str]) -> int:
    """Runs a command line as a person would, on this terminal, and shows it; returns its exit code."""
    print(f"\n  $ {line}\n", flush=True)
    return subprocess.run(["/bin/sh", "-c", line], env=dict(environ), check=False).returncode


def farewell(demo: Demo) -> str:
    """How to look around: every line with a `$` works as it stands."""
    ways = (
        ("is all as promised?", demo.command("ddhelm", "status")),
        (
            "do the checks report? An agent of ours plays in the pods, and really collects",
            demo.command("ddhelm", "verify"),
        ),
        ("what was found, and by which evidence", demo.command("ddhelm", "detect")),
        (
            "what helm was sent, with the reason of each key",
            demo.command("ddhelm", "values", "control-plane", "--explain"),
        ),
        ("again: nothing to do", demo.command("ddhelm", "onboard", "--yes")),
        ("the releases are Helm's own", demo.command("helm", "list", "-n", "datadog")),
        (
            "the agents, one on each node",
            demo.command("kubectl", "get", "pods", "-n", "datadog", "-o", "wide"),
        ),
        ("take it all away again", demo.command("ddhelm", "uninstall", "--yes")),
        ("stop the cluster and remove every file", "make demo-down"),
    )
    lines = [f"Look around (kubeconfig: {demo.shown(demo.kubeconfig)}):", ""]
    for what, command in ways:
        lines += [f"  # {what}", f"  $ {command}", ""]
    return "\n" + "\n".join(lines)


def down(demo: Demo) -> int:
    """Ends every process and removes every file of the demo."""
    if not demo.folder.exists():
        print(f"nothing to stop: there is no {demo.shown(demo.folder)}")
        return 0
    control.stop(Layout(demo.cluster))
    shutil.rmtree(demo.folder)
    print(f"stopped, and removed {demo.shown(demo.folder)}")
    return 0


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
