"""`python -m tests.sandbox`: a control plane for people, running until `down`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.sandbox import build, control, topology
from tests.sandbox.layout import Layout, default_folder, remove_if_empty
from tests.sandbox.sandbox import AlreadyUp, Sandbox, SandboxError


def main(arguments: list[str] | None = None) -> int:
    """0, or 1 with one line on stderr; `status` also answers 1 where nothing runs."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (SandboxError, build.BuildError, topology.TopologyError, control.NotRunning, control.NotASandbox) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def up(options: argparse.Namespace) -> int:
    folder = _folder(options)
    try:
        sandbox = Sandbox.start(folder, options.topology or "kubeadm", detach=True)
    except AlreadyUp:
        sandbox = Sandbox.attach(folder)
        if options.topology and options.topology != sandbox.topology:
            sandbox.use(options.topology)
            print(f"up already in {folder}, now with topology {sandbox.topology}")
        else:
            print(f"up already in {folder} (topology {sandbox.topology or 'none'})")
    else:
        print(f"up in {folder} (topology {sandbox.topology})")
    print(f"export KUBECONFIG={sandbox.kubeconfig}")
    return 0


def down(options: argparse.Namespace) -> int:
    layout = Layout(_folder(options))
    if not layout.root.exists():
        print(f"nothing is up in {layout.root}")
        return 0
    control.stop(layout)
    remove_if_empty(layout.root.parent)
    print(f"down: {layout.root}")
    return 0


def status(options: argparse.Namespace) -> int:
    layout = Layout(_folder(options))
    try:
        components = control.ask(layout, "status")
    except control.NotRunning:
        left = control.alive(layout)
        print(f"nothing is up in {layout.root}" + (f", but these still run: {left}" if left else ""))
        return 1
    try:
        sandbox = Sandbox.attach(layout.root)
    except SandboxError:
        print(f"starting in {layout.root}")
        return 1
    print(f"up in {layout.root} (topology {sandbox.topology or 'none'})")
    for name, component in components.items():
        state = "paused" if component["paused"] else "healthy" if sandbox.health(name) else "no answer"
        if component["pid"] is None:
            state = "not running"
        print(f"  {name:24} {state:12} pid {component['pid'] or '-':<8} restarts {component['restarts']}")
    return 0


def kubeconfig(options: argparse.Namespace) -> int:
    print(Sandbox.attach(_folder(options)).kubeconfig)
    return 0


def build_programs(_: argparse.Namespace) -> int:
    for name, path in build.build_all().items():
        print(f"{name:24} {path}")
    return 0


def _folder(options: argparse.Namespace) -> Path:
    folder: Path = options.dir or default_folder()
    return folder.resolve()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="up | down | status | kubeconfig | build")
    for run, text in (
        (up, "start it, or say that it is up"),
        (down, "end every process and remove every file"),
        (status, "what runs"),
        (kubeconfig, "print the path of the administrator's kubeconfig"),
    ):
        command = commands.add_parser(run.__name__, help=text, description=text)
        command.add_argument("--dir", type=Path, help=f"its folder (default: {default_folder()})")
        command.set_defaults(run=run)
        if run is up:
            command.add_argument("--topology", choices=topology.names(), help="the nodes (default: kubeadm)")
    text = "build the programs now instead of with the first `up`"
    commands.add_parser("build", help=text, description=text).set_defaults(run=build_programs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
