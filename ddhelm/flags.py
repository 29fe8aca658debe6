"""The flags that several commands share, in helm's and kubectl's own words, and the request that they make together."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ddhelm import completing
from ddhelm.errors import ConfigError, UsageError
from ddhelm.release import Role

if TYPE_CHECKING:
    from ddhelm.actions.request import Request, UserSources
    from ddhelm.uservalues import Source

CLUSTER, KEYS, DATADOG, NODES = "Cluster", "Keys", "Datadog", "Nodes"
VALUES, CHART, RUN, OUTPUT = "Values", "Chart", "Run", "Output"
"""The groups that the help shows flags in."""

Kubeconfig = Annotated[str | None, typer.Option(metavar="FILE", help="Kubeconfig file.", rich_help_panel=CLUSTER)]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        "--kube-context",
        metavar="NAME",
        help="Kubeconfig context.",
        autocompletion=completing.contexts,
        rich_help_panel=CLUSTER,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Namespace of both releases. Default: HELM_NAMESPACE, else datadog.",
        rich_help_panel=CLUSTER,
    ),
]
Distribution = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Say which distribution this is instead of detecting it.",
        autocompletion=completing.distributions,
        rich_help_panel=CLUSTER,
    ),
]
Chart = Annotated[
    str | None,
    typer.Option(
        metavar="CHART",
        help="Repository URL, oci://…, folder or .tgz. Default: the installed one, else https://helm.datadoghq.com.",
        rich_help_panel=CHART,
    ),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version", metavar="VERSION", help="Chart version. Default: the installed one.", rich_help_panel=CHART
    ),
]
Only = Annotated[Role | None, typer.Option("--only", help="Work on one of the two releases.", rich_help_panel=CHART)]
Site = Annotated[
    str | None,
    typer.Option(
        metavar="SITE",
        help="Datadog site, such as datadoghq.eu.",
        autocompletion=completing.sites,
        rich_help_panel=DATADOG,
    ),
]
ApiUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Where ddhelm asks Datadog's API. Default: the site's own.", rich_help_panel=DATADOG
    ),
]
AgentProxy = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Proxy of the agents, http://HOST:PORT; `env`: HTTPS_PROXY and NO_PROXY of this machine.",
        rich_help_panel=DATADOG,
    ),
]
AgentNoProxy = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST", help="Host, domain or network that agents reach directly (repeatable).", rich_help_panel=DATADOG
    ),
]
ClusterName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of this cluster in Datadog.", rich_help_panel=DATADOG)
]
ValuesFile = Annotated[
    list[str] | None,
    typer.Option(
        "--values", "-f", metavar="FILE", help="Values file for both releases (repeatable).", rich_help_panel=VALUES
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Value for both releases (repeatable).", rich_help_panel=VALUES),
]
SetString = Annotated[
    list[str] | None,
    typer.Option("--set-string", metavar="KEY=VALUE", help="The same, always text.", rich_help_panel=VALUES),
]
SetJson = Annotated[
    list[str] | None,
    typer.Option("--set-json", metavar="KEY=JSON", help="The same, as JSON.", rich_help_panel=VALUES),
]
SetFile = Annotated[
    list[str] | None,
    typer.Option("--set-file", metavar="KEY=FILE", help="The same, from a file.", rich_help_panel=VALUES),
]
WorkerValues = Annotated[
    list[str] | None,
    typer.Option("--worker-values", metavar="FILE", help="Values file for the worker release.", rich_help_panel=VALUES),
]
WorkerSet = Annotated[
    list[str] | None,
    typer.Option("--worker-set", metavar="KEY=VALUE", help="Value for the worker release.", rich_help_panel=VALUES),
]
ControlPlaneValues = Annotated[
    list[str] | None,
    typer.Option(
        "--control-plane-values",
        metavar="FILE",
        help="Values file for the control-plane release.",
        rich_help_panel=VALUES,
    ),
]
ControlPlaneSet = Annotated[
    list[str] | None,
    typer.Option(
        "--control-plane-set",
        metavar="KEY=VALUE",
        help="Value for the control-plane release.",
        rich_help_panel=VALUES,
    ),
]
AllowUnknownValues = Annotated[
    bool,
    typer.Option("--allow-unknown-values", help="Accept keys that this chart does not know.", rich_help_panel=VALUES),
]
Logs = Annotated[
    bool | None, typer.Option("--logs/--no-logs", help="Collect container logs. Default: yes.", rich_help_panel=DATADOG)
]
Processes = Annotated[
    bool | None,
    typer.Option("--processes/--no-processes", help="Collect processes. Default: yes.", rich_help_panel=DATADOG),
]
Apm = Annotated[
    bool | None, typer.Option("--apm/--no-apm", help="APM on workers. Default: yes.", rich_help_panel=DATADOG)
]
ApmControlPlane = Annotated[
    bool | None,
    typer.Option(
        "--apm-control-plane/--no-apm-control-plane",
        help="APM on control-plane nodes too; its container sees the etcd key. Default: no.",
        rich_help_panel=DATADOG,
    ),
]
Tolerate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY[=VALUE][:EFFECT]",
        help="Taint that worker agents tolerate (repeatable; replaces the stored ones).",
        rich_help_panel=NODES,
    ),
]
AcceptUncovered = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SELECTOR",
        help="Nodes that may go without an agent, as a label selector (repeatable).",
        rich_help_panel=NODES,
    ),
]
RequireCoverage = Annotated[
    bool | None,
    typer.Option(
        "--require-coverage/--no-require-coverage",
        help="Stop where a node would go without an agent.",
        rich_help_panel=NODES,
    ),
]
AllowSecondAgent = Annotated[
    bool | None,
    typer.Option(
        "--allow-second-agent/--no-allow-second-agent",
        help="Go on although another Datadog agent runs in the cluster.",
        rich_help_panel=NODES,
    ),
]
DropChecks = Annotated[
    list[str] | None,
    typer.Option(
        "--drop-check",
        metavar="CHECK",
        help="Leave out a control-plane check: etcd, … (repeatable); `none` takes it back.",
        autocompletion=completing.checks,
        rich_help_panel=DATADOG,
    ),
]
ResetSettings = Annotated[
    bool, typer.Option("--reset-settings", help="Forget the settings stored with the releases.", rich_help_panel=VALUES)
]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Settings file (ddhelm.yaml).", rich_help_panel=VALUES)
]
LabelNamespace = Annotated[
    bool,
    typer.Option(
        "--label-namespace",
        help="Let the namespace admit the agents (pod-security level privileged).",
        rich_help_panel=RUN,
    ),
]
DeleteCrds = Annotated[
    bool,
    typer.Option(
        "--delete-crds", help="Let an upgrade delete CRDs together with all their objects.", rich_help_panel=RUN
    ),
]
AllowDowngrade = Annotated[
    bool, typer.Option("--allow-downgrade", help="Let a release get an older chart.", rich_help_panel=RUN)
]
ForceConflicts = Annotated[
    bool,
    typer.Option("--force-conflicts", help="Overwrite fields that another manager owns (Helm 4).", rich_help_panel=RUN),
]
NoRollback = Annotated[
    bool, typer.Option("--no-rollback", help="Keep a release that failed or stalled.", rich_help_panel=RUN)
]
Timeout = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="For the roll-out, such as 10m. Default: by nodes.", rich_help_panel=RUN),
]
LockTimeout = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Wait for another run. Default: do not wait.", rich_help_panel=RUN),
]
SkipCheck = Annotated[
    list[str] | None,
    typer.Option(
        "--skip",
        metavar="CHECK",
        help="Skip one of `ddhelm check --list`.",
        autocompletion=completing.claims,
        rich_help_panel=RUN,
    ),
]
ApiKeyFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="File with the API key, `-` for standard input.", rich_help_panel=KEYS),
]
AppKeyFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="File with the application key, `-` for standard input.", rich_help_panel=KEYS),
]
ApiKeyCommand = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND", help="Program that prints the API key: a password manager's.", rich_help_panel=KEYS
    ),
]
AppKeyCommand = Annotated[
    str | None,
    typer.Option(metavar="COMMAND", help="Program that prints the application key.", rich_help_panel=KEYS),
]
ApiKeySecret = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Existing Secret with key `api-key`, left as it is.", rich_help_panel=KEYS),
]
AppKeySecret = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Existing Secret with key `app-key`, left as it is.", rich_help_panel=KEYS),
]
EtcdSecret = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Secret with a client certificate for etcd (ddhelm certs).",
        rich_help_panel=KEYS,
    ),
]
NoEtcdSecret = Annotated[
    bool,
    typer.Option("--no-etcd-secret", help="Ask etcd without that Secret again.", rich_help_panel=KEYS),
]
KeysFromSecret = Annotated[
    bool,
    typer.Option(
        "--keys-from-secret", help="Ask Datadog with the keys of the Secrets in the cluster.", rich_help_panel=KEYS
    ),
]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="At the end, ask the agents whether their checks report.", rich_help_panel=RUN),
]
RequireValidation = Annotated[
    bool,
    typer.Option(
        "--require-validation", help="Stop where Datadog cannot be asked about a new key.", rich_help_panel=KEYS
    ),
]
FindSite = Annotated[
    bool,
    typer.Option(
        "--find-site",
        help="Where the site refuses the API key, try it on Datadog's other sites.",
        rich_help_panel=KEYS,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen and change nothing.")]
DiffForm = Annotated[
    str,
    typer.Option(
        "--diff",
        metavar="FORM",
        help="structural, unified or summary.",
        autocompletion=completing.forms,
        rich_help_panel=OUTPUT,
    ),
]
ContextLines = Annotated[
    int,
    typer.Option(
        "-C", "--context-lines", metavar="N", min=0, help="Unchanged lines around a change.", rich_help_panel=OUTPUT
    ),
]
ShowNoise = Annotated[
    bool,
    typer.Option("--show-noise", help="Show version labels, checksums and random ids too.", rich_help_panel=OUTPUT),
]
Crds = Annotated[
    str,
    typer.Option(
        "--crds",
        metavar="summary|full",
        help="How much of CRDs is shown.",
        autocompletion=completing.crds,
        rich_help_panel=OUTPUT,
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FORMAT",
        help="table, json or yaml.",
        autocompletion=completing.formats,
        rich_help_panel=OUTPUT,
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show every helm and kubectl call.", rich_help_panel=OUTPUT)
]


class Cluster:
    """Which cluster and namespace."""

    context: Context = None
    kubeconfig: Kubeconfig = None
    namespace: Namespace = None
    verbose: Verbose = False


class Inputs:
    """What decides the values of both releases."""

    distribution: Distribution = None
    chart: Chart = None
    version: Version = None
    only: Only = None
    site: Site = None
    api_url: ApiUrl = None
    agent_proxy: AgentProxy = None
    agent_no_proxy: AgentNoProxy = None
    cluster_name: ClusterName = None
    values: ValuesFile = None
    set_: Set = None
    set_string: SetString = None
    set_json: SetJson = None
    set_file: SetFile = None
    worker_values: WorkerValues = None
    worker_set: WorkerSet = None
    control_plane_values: ControlPlaneValues = None
    control_plane_set: ControlPlaneSet = None
    allow_unknown_values: AllowUnknownValues = False
    logs: Logs = None
    processes: Processes = None
    apm: Apm = None
    apm_control_plane: ApmControlPlane = None
    drop_checks: DropChecks = None
    tolerate: Tolerate = None
    accept_uncovered: AcceptUncovered = None
    require_coverage: RequireCoverage = None
    allow_second_agent: AllowSecondAgent = None
    api_key_secret: ApiKeySecret = None
    app_key_secret: AppKeySecret = None
    etcd_secret: EtcdSecret = None
    no_etcd_secret: NoEtcdSecret = False
    config: Config = None
    reset_settings: ResetSettings = False


class Changing:
    """How far a change may go."""

    label_namespace: LabelNamespace = False
    delete_crds: DeleteCrds = False
    allow_downgrade: AllowDowngrade = False
    force_conflicts: ForceConflicts = False
    skip: SkipCheck = None


class Doing:
    """How a change is carried out."""

    api_key_file: ApiKeyFile = None
    app_key_file: AppKeyFile = None
    api_key_command: ApiKeyCommand = None
    app_key_command: AppKeyCommand = None
    require_validation: RequireValidation = False
    find_site: FindSite = False
    no_rollback: NoRollback = False
    timeout: Timeout = None
    lock_timeout: LockTimeout = None
    verify: Verify = False
    yes: Yes = False


class Asking:
    """With which keys Datadog is asked."""

    api_key_file: ApiKeyFile = None
    app_key_file: AppKeyFile = None
    api_key_command: ApiKeyCommand = None
    app_key_command: AppKeyCommand = None
    keys_from_secret: KeysFromSecret = False
    api_url: ApiUrl = None


class Running:
    """How a change that needs no key is carried out."""

    no_rollback: NoRollback = False
    timeout: Timeout = None
    lock_timeout: LockTimeout = None
    yes: Yes = False


class Rotating:
    """How a rotation is carried out."""

    api_key_file: ApiKeyFile = None
    app_key_file: AppKeyFile = None
    api_key_command: ApiKeyCommand = None
    app_key_command: AppKeyCommand = None
    require_validation: RequireValidation = False
    find_site: FindSite = False
    timeout: Timeout = None
    lock_timeout: LockTimeout = None
    yes: Yes = False


class Back:
    """How far a way back may go."""

    only: Only = None
    delete_crds: DeleteCrds = False
    force_conflicts: ForceConflicts = False
    skip: SkipCheck = None


class Shown:
    """How a diff is shown."""

    form: DiffForm = "structural"
    context_lines: ContextLines = 3
    show_noise: ShowNoise = False
    crds: Crds = "summary"


Options = Mapping[str, Any]
"""The parameters of a command, by name, as Typer parsed them."""


def defaults(*groups: type) -> Mapping[str, Any]:
    """What the flags of these groups are where they are not given."""
    return {name: getattr(group, name) for group in groups for name in group.__annotations__}


def typed(name: str, value: Any, *groups: type) -> str:
    """The flag of one of these groups as it was typed to have this value: `--no-apm` for a switch turned off."""
    annotation = next(group.__annotations__[name] for group in groups if name in group.__annotations__)
    on, _, off = _spelled(name, annotation).partition("/")
    return off if value is False and off else on


def takes(*groups: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of these groups; it is called with ``options`` and its own parameters by name.

    Each flag is declared once above, whatever the number of commands that share it.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command).parameters.values() if p.name != "options"]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(group, name), annotation=annotation)
            for group in groups
            for name, annotation in group.__annotations__.items()
        ]
        spelled = {p.name: _spelled(p.name, p.annotation) for p in (*own, *shared)}
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

        def wrapped(**given: Any) -> None:
            _refuse_empty(given, spelled)
            _refuse_two_on_stdin(given, spelled)
            _refuse_both(given, spelled)
            for name in _DURATIONS & given.keys():
                seconds(given[name], spelled[name])
            command({name: given[name] for name in given}, **{p.name: given[p.name] for p in own})

        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        wrapped.__signature__ = inspect.Signature([*keyword, *shared])  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in [*keyword, *shared]}
        return wrapped

    return decorate


def _spelled(name: str, annotation: Any) -> str:
    """How a parameter is written on the command line, its long form where it has one."""
    for found in getattr(annotation, "__metadata__", ()):
        if isinstance(found, typer.models.ArgumentInfo):
            return str(found.metavar or name.upper()).strip("[]")
        # in Annotated, Typer takes the first spelling for the default until it looks closer
        words = (getattr(found, "default", None), *(getattr(found, "param_decls", None) or ()))
        if long := [word for word in words if isinstance(word, str) and word.startswith("--")]:
            return long[0]
    return f"--{name.replace('_', '-')}"


def _texts(value: Any) -> list[str]:
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _refuse_empty(given: Mapping[str, Any], spelled: Mapping[str, str]) -> None:
    """UsageError for a flag with an empty value: a script's unset variable, which would quietly mean the default."""
    for name, value in given.items():
        if any(not text.strip() for text in _texts(value)):
            raise UsageError(
                f"`{spelled[name]}` is given an empty value",
                hint=f"leave {spelled[name]} out, or check the variable that it comes from",
                anchor="empty-value",
            )


def _refuse_two_on_stdin(given: Mapping[str, Any], spelled: Mapping[str, str]) -> None:
    """UsageError where two flags would read standard input: the second one would find nothing."""
    reading = [
        spelled[name]
        for name, value in given.items()
        for text in _texts(value)
        if text == "-" or (name == "set_file" and text.endswith("=-"))
    ]
    if len(reading) > 1:
        raise UsageError(
            f"`{reading[0]}` and `{reading[1]}` would both read standard input",
            hint=f"put one of them into a file: {reading[0]} FILE",
            anchor="standard-input-twice",
        )


_DURATIONS = {"timeout", "lock_timeout", "wait"}
_EXCLUSIVE = {
    ("etcd_secret", "no_etcd_secret"): "give one of them",
    ("latest", "version"): "give one of them",
    ("revert", "adopt"): "give one of them: --revert sets fields back, --adopt makes values of them",
}


def _refuse_both(given: Mapping[str, Any], spelled: Mapping[str, str]) -> None:
    """UsageError for two flags of which one undoes the other."""
    for (one, other), hint in _EXCLUSIVE.items():
        if given.get(one) and given.get(other):
            raise UsageError(
                f"`{spelled[one]}` and `{spelled[other]}` cannot be meant together",
                hint=hint,
                anchor="contradicting-flags",
            )


_ANYWHERE = ("--context", "--kube-context", "--kubeconfig", "--namespace", "-n")


def behind(arguments: list[str]) -> list[str]:
    """The command line with what names the cluster behind the command, where helm and kubectl take it before too."""
    rest, moved = list(arguments), []
    while rest and rest[0].partition("=")[0] in _ANYWHERE:
        moved += [rest.pop(0)]
        if "=" not in moved[-1] and rest:
            moved.append(rest.pop(0))
    if not rest or rest[0].startswith("-"):
        return arguments
    return [*rest, *moved]


def seconds(text: str | None, flag: str) -> float | None:
    """Seconds from helm's spelling of a duration (`90s`, `10m`, `1h30m`); UsageError for anything else."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    total, number = 0.0, ""
    for char in text:
        if char.isdigit() or char == ".":
            number += char
        elif char in units and number.count(".") <= 1 and number.strip("."):
            total += float(number) * units[char]
            number = ""
        else:
            number = "?"
            break
    if number or total <= 0:
        raise UsageError(f"`{flag} {text}` is no duration", hint=f"{flag} 10m", anchor="bad-duration")
    return total


def output(text: str, formats: Sequence[str] = ("table", "json", "yaml")) -> str:
    """The output format; UsageError for one that the command does not have."""
    if text not in formats:
        raise UsageError(
            f"there is no output format `{text}`", hint=f"-o {'|'.join(formats)}", anchor="unknown-output-format"
        )
    return text


def user_sources(options: Options) -> "UserSources":
    """The user's value flags of a command, with every file read; ConfigError for one that cannot be read."""
    from ddhelm.actions.request import UserSources

    both = (
        *_files(options.get("values")),
        *_plain("set-json", options.get("set_json")),
        *_plain("set", options.get("set_")),
        *_plain("set-string", options.get("set_string")),
        *_set_files(options.get("set_file")),
    )
    return UserSources(
        both,
        (*_files(options.get("worker_values")), *_plain("set", options.get("worker_set"))),
        (*_files(options.get("control_plane_values")), *_plain("set", options.get("control_plane_set"))),
    )


SETTING_FLAGS = (
    "site",
    "api_url",
    "agent_proxy",
    "agent_no_proxy",
    "cluster_name",
    "distribution",
    "logs",
    "processes",
    "apm",
    "apm_control_plane",
    "tolerate",
    "accept_uncovered",
    "require_coverage",
    "allow_second_agent",
    "drop_checks",
    "etcd_secret",
)


def request(options: Options) -> "Request":
    """One request from the options of a command (a mapping of its parameters), settings file included."""
    from ddhelm import settings
    from ddhelm.actions import configfile
    from ddhelm.actions.request import Request

    given = configfile.read(options["config"]) if options.get("config") else {}
    for name in SETTING_FLAGS:
        value = options.get(name)
        if value is not None:
            given[name] = tuple(value) if isinstance(value, list) else value
    if options.get("no_etcd_secret"):
        given["etcd_secret"] = ""
    if given.get("site") is not None:
        given["site"] = settings.site_of(given["site"])
    if given.get("agent_proxy") == "env":
        given |= _proxy_of_this_machine()
    for flag, key in (("api_key_secret", "api-key"), ("app_key_secret", "app-key")):
        if options.get(flag):
            given[flag] = settings.SecretKey(options[flag], key)
    if options.get("app_key_file") or options.get("app_key_command") or options.get("app_key_in_environment"):
        given.setdefault("app_key_secret", settings.DEFAULT_APP_KEY_SECRET)
    return Request(
        given=given,
        user=user_sources(options),
        chart=options.get("chart"),
        version=options.get("version"),
        only=options.get("only"),
        reset_settings=bool(options.get("reset_settings")),
        label_namespace=bool(options.get("label_namespace")),
        delete_crds=bool(options.get("delete_crds")),
        force_conflicts=bool(options.get("force_conflicts")),
        allow_unknown_values=bool(options.get("allow_unknown_values")),
        allow_downgrade=bool(options.get("allow_downgrade")),
        skip=tuple(options.get("skip") or ()),
    )


def _proxy_of_this_machine() -> dict[str, Any]:
    """The settings that give agents the proxy of this machine; ConfigError where it has none."""
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if not proxy:
        raise ConfigError(
            "`--agent-proxy env` takes HTTPS_PROXY of this machine, and it is not set",
            hint="--agent-proxy http://HOST:PORT",
            anchor="wrong-setting",
        )
    left_out = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return {"agent_proxy": proxy, "agent_no_proxy": tuple(left_out.replace(",", " ").split())}


def _files(names: Sequence[str] | None) -> "list[Source]":
    from ddhelm.uservalues import Source

    return [Source("file", name, _read(name)) for name in names or ()]


def _plain(kind: 'Literal["set", "set-string", "set-json"]', arguments: Sequence[str] | None) -> "list[Source]":
    from ddhelm.uservalues import Source

    return [Source(kind, argument) for argument in arguments or ()]


def _set_files(arguments: Sequence[str] | None) -> "list[Source]":
    from ddhelm.uservalues import Source, set_file_paths

    return [
        Source("set-file", argument, files={path: _text(path) for path in set_file_paths(argument)})
        for argument in arguments or ()
    ]


_LIMIT = 20 * 1024 * 1024


def _text(name: str) -> str:
    try:
        return _read(name).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"`{name}` is not UTF-8 text", hint=f"file {name}", anchor="values-file") from None


def _read(name: str) -> bytes:
    """A file's bytes, or those of standard input; what they hold is judged where they are parsed."""
    if "://" in name:
        raise ConfigError(
            f"`{name}` is a URL; values come from files", hint=f"curl -fsSLO {name}", anchor="values-from-url"
        )
    try:
        if name == "-":
            return sys.stdin.buffer.read(_LIMIT)
        with Path(name).expanduser().open("rb") as stream:
            return stream.read(_LIMIT)
    except OSError as error:
        raise ConfigError(
            f"values file `{name}` cannot be read: {error.strerror}", hint=f"ls -l {name}", anchor="values-file"
        ) from None


def no_contradiction(arguments: Sequence[str]) -> None:
    """UsageError where a switch is given both ways: which of them was meant must not depend on their order."""
    given = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for word in given:
        if word.startswith("--no-") and (opposite := f"--{word.removeprefix('--no-')}") in given:
            raise UsageError(
                f"`{opposite}` and `{word}` cannot be meant together",
                hint="give one of them",
                anchor="contradicting-flags",
            )
