"""The command line: declares the commands, turns an error into words and an exit code.

Every command is a few lines of sense: make a request of the flags, let an action answer it, let a view show it.
Imports happen inside the commands: ``ddhelm --version`` must cost what a bare Typer program costs.
"""

from __future__ import annotations  # a flag is looked at where its command runs

import contextlib
import signal
import sys
import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from ddhelm import __version__, cli_certs, completing, flaggroups, flags
from ddhelm.errors import DdhelmError, Interrupted, Reported
from ddhelm.flaggroups import (
    Asking,
    Back,
    Changing,
    Cluster,
    Doing,
    Drifted,
    Inputs,
    Options,
    Rotating,
    Running,
    Shown,
    takes,
)
from ddhelm.helppage import App
from ddhelm.interrupts import BEGUN, undisturbed
from ddhelm.release import Role, Rotatable

if TYPE_CHECKING:
    from types import ModuleType

    from ddhelm.actions.session import Session
    from ddhelm.calls import Calls

app = App(
    name="ddhelm",
    help="Put a Kubernetes cluster under Datadog with Helm, the control plane included.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Shell = StrEnum("Shell", ["bash", "zsh", "fish"])

USAGE = 64
BUG = 70
INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ddhelm {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Put a Kubernetes cluster under Datadog with Helm, the control plane included."""


@app.command()
@takes(Cluster, Inputs, Changing, Doing)
def onboard(options: Options, dry_run: flags.DryRun = False, output: flags.Output = "table") -> None:
    """Install or update both releases: look, plan, ask, do, watch, report."""
    session = _planning(options)
    from ddhelm.commands import onboard as command

    raise typer.Exit(command.onboard(session, options, output, dry_run=dry_run))


plan_app = App(invoke_without_command=True)
app.add_typer(plan_app, name="plan")

_Detailed = Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 2 where anything would change.")]
_DiffOutput = Annotated[str, flags.output("table, json, yaml, markdown or unified.", completing.diff_formats)]
_ShownOutput = Annotated[str, flags.output("table, json, yaml or markdown.", completing.shown_formats)]


@plan_app.callback()
@takes(Cluster, Inputs, Changing, Shown, formats=flaggroups.DIFF_FORMATS)
def plan(
    options: Options,
    ctx: typer.Context,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the plan, for `apply FILE`.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no cluster: plan from --facts.")] = False,
    facts: Annotated[
        str | None, typer.Option("--facts", metavar="FILE", help="With --offline: what `detect -o json` printed.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="FILE", help="With --offline: saved manifests to compare with.")
    ] = None,
    detailed_exitcode: _Detailed = False,
    output: _DiffOutput = "table",
) -> None:
    """Show what onboard would do, and change nothing."""
    if ctx.invoked_subcommand is not None:
        return
    flaggroups.plan_flags(options, offline, facts, against, out)
    if facts is not None:
        from ddhelm.commands import plan as command

        raise typer.Exit(command.without_cluster(options, facts, against, output, detailed=detailed_exitcode))
    session = _planning(options)
    from ddhelm.commands import plan as command

    raise typer.Exit(command.show(session, options, output, detailed=detailed_exitcode, limit=12, out=out))


@plan_app.command("show")
@takes(formats=(*flaggroups.FORMATS, "markdown"))
def plan_show(
    options: Options,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A plan file.")],
    output: _ShownOutput = "table",
) -> None:
    """Show a plan file; needs no cluster."""
    from ddhelm.commands import diff as command

    command.show_file(file, output)


diff_app = App(invoke_without_command=True)
app.add_typer(diff_app, name="diff")


@diff_app.callback()
@takes(Cluster, Inputs, Changing, Shown, formats=flaggroups.DIFF_FORMATS)
def diff(
    options: Options, ctx: typer.Context, detailed_exitcode: _Detailed = False, output: _DiffOutput = "table"
) -> None:
    """Show every changed field of what onboard would do."""
    if ctx.invoked_subcommand is None:
        session = _planning(options)
        from ddhelm.commands import plan as command

        code = command.show(session, options, output, detailed=detailed_exitcode, limit=None, out=None)
        raise typer.Exit(code)


@diff_app.command("revision")
@takes(Cluster, Shown)
def diff_revision(
    options: Options,
    old: Annotated[int, typer.Argument(metavar="A", help="A revision.")],
    new: Annotated[int, typer.Argument(metavar="B", help="Another one.")],
    detailed_exitcode: _Detailed = False,
) -> None:
    """Show how two revisions of the releases differ."""
    from ddhelm.commands import diff as command

    raise typer.Exit(command.revisions(_session(options), options, old, new, detailed=detailed_exitcode))


@diff_app.command("versions")
@takes(Cluster, Inputs, Shown)
def diff_versions(
    options: Options,
    old: Annotated[str, typer.Argument(metavar="V1", help="A chart version, or a chart.")],
    new: Annotated[str, typer.Argument(metavar="V2", help="Another one.")],
    detailed_exitcode: _Detailed = False,
) -> None:
    """Show how two chart versions differ under your own values."""
    from ddhelm.commands import diff as command

    raise typer.Exit(command.versions(_session(options), options, old, new, detailed=detailed_exitcode))


@diff_app.command("values")
@takes(Cluster, Inputs, Changing)
def diff_values(options: Options, detailed_exitcode: _Detailed = False) -> None:
    """Show which values differ from the stored ones, by layer."""
    from ddhelm.commands import diff as command

    raise typer.Exit(command.values(_session(options), options, detailed=detailed_exitcode))


@app.command()
@takes(Cluster, Inputs, Changing, Doing)
def apply(
    options: Options,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A plan file; without one: onboard.")] = None,
    digest: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Refuse any other file than the one reviewed.")
    ] = None,
    output: flags.Output = "table",
) -> None:
    """Carry out exactly the plan that was reviewed, or nothing; without FILE the same as onboard."""
    if file is None:
        flaggroups.digest_of_nothing(digest)
        session = _planning(options)
        from ddhelm.commands import onboard as without_file

        raise typer.Exit(without_file.onboard(session, options, output, dry_run=False))
    from ddhelm.commands import apply as command

    command.refuse_flags(options, Cluster, Inputs, Changing, Doing)
    raise typer.Exit(command.apply(_session(options), options, file, digest, output))


@app.command()
@takes(Cluster, Inputs, Changing, Doing)
def upgrade(
    options: Options,
    latest: Annotated[bool, typer.Option("--latest", help="The newest chart version of the repository.")] = False,
    dry_run: flags.DryRun = False,
    output: flags.Output = "table",
) -> None:
    """Upgrade existing releases as one unit; keeps the installed chart where no version is given."""
    session = _planning(options)
    from ddhelm.commands import upgrade as command

    raise typer.Exit(command.upgrade(session, options, output, latest=latest, dry_run=dry_run))


@app.command()
@takes(Cluster, Back, Doing)
def rollback(
    options: Options,
    revision: Annotated[
        int | None,
        typer.Argument(
            metavar="[REVISION]", min=1, help="Of both releases. Default: as both stood before the last change."
        ),
    ] = None,
    dry_run: flags.DryRun = False,
    output: flags.Output = "table",
) -> None:
    """Bring both releases back to what Helm has stored, settings included: shown, asked for, watched."""
    from ddhelm.commands import rollback as command

    raise typer.Exit(command.rollback(_session(options), options, revision, output, dry_run=dry_run))


@app.command()
@takes(Cluster)
def history(options: Options, output: flags.Output = "table") -> None:
    """Both releases in one timeline: which run made which revisions, of which chart, when."""
    from ddhelm.commands import history as command

    command.history(_session(options), output)


@app.command()
@takes(Cluster, Drifted, Running)
def drift(
    options: Options,
    revert: Annotated[bool, typer.Option("--revert", help="Set back every field that the manifests set.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Make values of what a value of the chart can make.")] = False,
    output: flags.Output = "table",
) -> None:
    """Show what was changed in the cluster since it was deployed, and by whom; exit 2 for any."""
    session = _reading(options)
    from ddhelm.commands import drift as command

    code = command.drift(session, options, output, revert=revert, adopt=adopt)
    raise typer.Exit(code)


@app.command()
@takes(Cluster, Rotating)
def rotate(
    options: Options,
    what: Annotated[Rotatable, typer.Argument(metavar="WHAT", help="api-key, app-key or token.")],
    restart_only: Annotated[
        bool, typer.Option("--restart-only", help="Write nothing; restart what has not been since the last change.")
    ] = False,
    dry_run: flags.DryRun = False,
    output: flags.Output = "table",
) -> None:
    """Put a new key into the Secret and restart what reads it; says when the old one may be revoked."""
    from ddhelm.commands import rotate as command

    code = command.rotation(_session(options), options, what, output, restart_only=restart_only, dry_run=dry_run)
    raise typer.Exit(code)


@app.command()
@takes(Cluster)
def unlock(
    options: Options,
    force: Annotated[bool, typer.Option("--force", help="Take the lock away from a living run too.")] = False,
    yes: flags.Yes = False,
) -> None:
    """Show who holds the lock of the cluster, and take it away from a run that died."""
    from ddhelm.commands import unlock as command

    command.unlock(_session(options), force=force, yes=yes)


@app.command()
@takes(Cluster, Inputs, Changing)
def check(
    options: Options,
    list_: Annotated[bool, typer.Option("--list", help="List the checks and exit.")] = False,
    output: flags.Output = "table",
) -> None:
    """Prove that the pair fits this cluster; exit 3 if a fatal claim fails."""
    from ddhelm.commands import check as command

    raise typer.Exit(command.claims(output) if list_ else command.check(_session(options), options, output))


@app.command()
@takes(Cluster)
def status(options: Options, output: flags.Output = "table") -> None:
    """Releases, workloads and which node runs an agent; exit 4 where something is not as promised."""
    session = _reading(options)
    from ddhelm.commands import status as command

    raise typer.Exit(command.status(session, output))


@app.command()
@takes(Cluster, Asking)
def verify(
    options: Options,
    only: flags.Only = None,
    wait: Annotated[
        str | None, typer.Option("--wait", metavar="DURATION", help="For the first collection, such as 2m.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="For each agent's answer. Default: 30s.")
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=100, help="Agents asked at the same time.")
    ] = 10,
    output: flags.Output = "table",
) -> None:
    """Ask every agent whether its checks report, and Datadog whether the data came; exit 6 where not."""
    session = _reading(options)
    from ddhelm.commands import verify as command

    code = command.verify(
        session,
        options,
        output,
        only=only,
        wait=flaggroups.seconds(wait, "--wait") or 0,
        timeout=flaggroups.seconds(timeout, "--timeout"),
        concurrency=concurrency,
    )
    raise typer.Exit(code)


@app.command()
@takes(Cluster, Inputs)
def values(
    options: Options,
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="worker or control-plane.")],
    explain: Annotated[bool, typer.Option("--explain", help="Say for each key which layer set it and why.")] = False,
) -> None:
    """Print the values that helm would be sent, as YAML."""
    from ddhelm.commands import values as command

    command.values(_session(options), options, role, explain=explain)


@app.command()
@takes(Cluster)
def detect(options: Options, distribution: flags.Distribution = None, output: flags.Output = "table") -> None:
    """Say which distribution this is, by which evidence, and what follows from it."""
    from ddhelm.reads import READS

    session = _session(options)
    session.begin(tuple(READS.values()))  # while the command is loaded
    from ddhelm.commands import detect as command

    command.detect(session, distribution, output)


@app.command()
@takes(Cluster)
def uninstall(
    options: Options,
    delete_secrets: Annotated[
        bool, typer.Option("--delete-secrets", help="Delete the Secrets, history and Lease of ddhelm too.")
    ] = False,
    delete_namespace: Annotated[
        bool, typer.Option("--delete-namespace", help="Delete the namespace too, if ddhelm made it and it is empty.")
    ] = False,
    timeout: flags.Timeout = None,
    lock_timeout: flags.LockTimeout = None,
    yes: flags.Yes = False,
    dry_run: flags.DryRun = False,
    output: flags.Output = "table",
) -> None:
    """Remove both releases, control plane first; shows what goes and what stays, and asks."""
    from ddhelm.commands import uninstall as command

    code = command.uninstall(
        _session(options),
        delete_secrets=delete_secrets,
        delete_namespace=delete_namespace,
        timeout=flaggroups.seconds(timeout, "--timeout"),
        lock_timeout=flaggroups.seconds(lock_timeout, "--lock-timeout") or 0,
        yes=yes,
        dry_run=dry_run,
        output=output,
    )
    raise typer.Exit(code)


@app.command("version", hidden=True)
def version_() -> None:
    """The same as --version, for hands that know helm."""
    _version(True)


@app.command("help", hidden=True)
def help_(words: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND]")] = None) -> None:
    """The same as --help behind the command, for hands that know helm."""
    raise typer.Exit(run([*(words or ()), "--help"]))


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print the completion script of a shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    typer.echo(get_completion_script(prog_name="ddhelm", complete_var="_DDHELM_COMPLETE", shell=shell))


@app.command()
def explain(
    error: Annotated[
        str | None,
        typer.Argument(
            metavar="[ERROR]", autocompletion=completing.errors, help="The name behind `see:`. Default: list all."
        ),
    ] = None,
) -> None:
    """Say more about an error than its one line: what it means and what to do."""
    from ddhelm.commands import explain as command

    command.explain(error)


@app.command("support-dump")
@takes(Cluster)
def support_dump(
    options: Options,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-f", metavar="FILE", help="Where to write it. Default: ddhelm-support-TIME.tar.gz here."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Gather what helps somebody else to help, secrets masked, in one file to read before it is sent."""
    from ddhelm.commands import support_dump as command

    raise typer.Exit(command.support_dump(lambda: _session(options), out, force=force))


app.add_typer(cli_certs.app, name="certs")


def _reading(options: Options) -> Session:
    """The session of a command that reads the cluster first: kubectl comes up while the command is loaded."""
    session = _session(options)
    session.begin()
    return session


def _planning(options: Options) -> Session:
    """The session of a command that begins with a plan: what that needs is read while the command is loaded."""
    from ddhelm.reads import before_a_plan

    session = _session(options)
    session.begin(tuple(before_a_plan(session.access.namespace).values()))
    return session


def _session(options: Options) -> Session:
    from ddhelm.commands import opened

    return opened.session(options)


def main() -> None:
    """Entry point: run a command, show an error as one line with a hint, exit with the code of the table."""
    from ddhelm.views import streams

    streams.prepare()
    sys.unraisablehook = _unraised
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = INTERRUPTED
    with contextlib.suppress(KeyboardInterrupt), completing.serving_bash():  # ^C once more, while the first is told
        code = run(sys.argv[1:])
    streams.end(code)


def _unraised(lost: sys.UnraisableHookArgs) -> None:
    """A ^C that comes during a callback, where Python drops what is raised, comes again behind it."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        again = threading.Timer(0.01, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


def run(arguments: list[str]) -> int:
    """Run one command line in this process; gives its exit code and never raises."""
    from ddhelm.views import pasted

    pasted.at(pasted.NOWHERE)
    BEGUN.clear()
    arguments = flaggroups.behind(arguments)
    code = _run(arguments)
    if (opened := _opened()) is not None:
        opened.close()
    for log in _calls():
        log.end(next((word for word in arguments if not word.startswith("-")), ""), code)
    return code


def _opened() -> ModuleType | None:
    """What opens sessions; a run without one has not even loaded it."""
    return sys.modules.get("ddhelm.commands.opened")


def _calls() -> list[Calls]:
    """The logs of the sessions that were opened."""
    opened = _opened()
    return opened.calls if opened is not None else []


def _run(arguments: list[str]) -> int:
    try:
        flaggroups.no_contradiction(arguments)
        code = app.serving(arguments)(arguments or ["--help"], prog_name="ddhelm", standalone_mode=False)
    except Interrupted as error:
        return _interrupted(error if error.details or BEGUN.is_set() else _interruption())
    except DdhelmError as error:
        return _tell(error, arguments)
    except TyperException as error:
        from ddhelm.views import errors as view

        first = next(iter(arguments), "")
        named = f"ddhelm {first}" if first.isalpha() else "ddhelm"  # Typer tells some mistakes without the command
        command = getattr(getattr(error, "ctx", None), "command_path", named)
        view.usage(error.format_message(), command, arguments)
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(_interruption())
    except Exception as error:  # the one place where a bug becomes a report instead of a traceback
        from ddhelm.views import errors as view

        view.bug(error, arguments, _hide)
        return BUG
    if code == INTERRUPTED:  # Typer has turned ^C at a question into an exit code
        code = _interrupted(_interruption())
    return code if isinstance(code, int) else 0


def _interrupted(told: Interrupted) -> int:
    """Tell it without being disturbed by the next ^C: this one has been heard."""
    with undisturbed():
        return _tell(told)


def _interruption() -> Interrupted:
    """What is told of a ^C that met no write."""
    if BEGUN.is_set():
        return Interrupted("interrupted after changes had begun", hint="ddhelm status", anchor="interrupted")
    return Interrupted("interrupted before anything was changed", anchor="interrupted")


def _hide(text: str) -> str:
    """The text without the secrets of this run; one that started no program has been told of none."""
    run = sys.modules.get("ddhelm.run")
    return run.hide(text) if run is not None else text


def _tell(error: Reported, arguments: Sequence[str] = ()) -> int:
    from ddhelm import masking
    from ddhelm.views import errors as view

    view.show(error, arguments)
    for log in _calls():
        log.error = masking.untold(error.message, arguments)
    return error.exit_code


if __name__ == "__main__":
    main()
