"""Which flags go together, and how a command takes them: what no command could mean is refused before it runs."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import typer

from ddhelm import flags, lean
from ddhelm.errors import UsageError
from ddhelm.pasting import typed as pastable


class Cluster:
    """Which cluster and namespace."""

    context: flags.Context = None
    kubeconfig: flags.Kubeconfig = None
    namespace: flags.Namespace = None
    verbose: flags.Verbose = False


class Inputs:
    """What decides the values of both releases."""

    distribution: flags.Distribution = None
    chart: flags.Chart = None
    version: flags.Version = None
    only: flags.Only = None
    site: flags.Site = None
    api_url: flags.ApiUrl = None
    agent_proxy: flags.AgentProxy = None
    agent_no_proxy: flags.AgentNoProxy = None
    cluster_name: flags.ClusterName = None
    values: flags.ValuesFile = None
    set_: flags.Set = None
    set_string: flags.SetString = None
    set_json: flags.SetJson = None
    set_file: flags.SetFile = None
    worker_values: flags.WorkerValues = None
    worker_set: flags.WorkerSet = None
    control_plane_values: flags.ControlPlaneValues = None
    control_plane_set: flags.ControlPlaneSet = None
    allow_unknown_values: flags.AllowUnknownValues = False
    logs: flags.Logs = None
    processes: flags.Processes = None
    apm: flags.Apm = None
    apm_control_plane: flags.ApmControlPlane = None
    drop_checks: flags.DropChecks = None
    tolerate: flags.Tolerate = None
    accept_uncovered: flags.AcceptUncovered = None
    require_coverage: flags.RequireCoverage = None
    allow_second_agent: flags.AllowSecondAgent = None
    api_key_secret: flags.ApiKeySecret = None
    app_key_secret: flags.AppKeySecret = None
    etcd_secret: flags.EtcdSecret = None
    no_etcd_secret: flags.NoEtcdSecret = False
    config: flags.Config = None
    reset_settings: flags.ResetSettings = False


class Changing:
    """How far a change may go."""

    label_namespace: flags.LabelNamespace = False
    delete_crds: flags.DeleteCrds = False
    allow_downgrade: flags.AllowDowngrade = False
    force_conflicts: flags.ForceConflicts = False
    skip: flags.SkipCheck = None


class Sources:
    """Where keys come from."""

    api_key_file: flags.ApiKeyFile = None
    app_key_file: flags.AppKeyFile = None
    api_key_command: flags.ApiKeyCommand = None
    app_key_command: flags.AppKeyCommand = None


class NewKeys(Sources):
    """Keys that go into the Secret once Datadog has taken them."""

    require_validation: flags.RequireValidation = False
    find_site: flags.FindSite = False


class Asking(Sources):
    """With which keys Datadog is asked."""

    keys_from_secret: flags.KeysFromSecret = False
    api_url: flags.ApiUrl = None


class Kept:
    """Whether what failed stays."""

    no_rollback: flags.NoRollback = False


class Waiting:
    """How long is waited, and whether anybody is asked."""

    timeout: flags.Timeout = None
    lock_timeout: flags.LockTimeout = None
    yes: flags.Yes = False


class Running(Kept, Waiting):
    """How a change that needs no key is carried out."""


class Doing(NewKeys, Running):
    """How a change is carried out."""

    verify: flags.Verify = False


class Rotating(NewKeys, Waiting):
    """How a rotation is carried out."""


class Back:
    """How far a way back may go."""

    only: flags.Only = None
    delete_crds: flags.DeleteCrds = False
    force_conflicts: flags.ForceConflicts = False
    skip: flags.SkipCheck = None


class Drifted:
    """How far a change of what drifted may go."""

    delete_crds: flags.DeleteCrds = False
    skip: flags.SkipCheck = None


class Shown:
    """How a diff is shown."""

    form: flags.DiffForm = "structural"
    context_lines: flags.ContextLines = 3
    show_noise: flags.ShowNoise = False
    crds: flags.Crds = "summary"


Options = Mapping[str, Any]
"""The parameters of a command, by name, as Typer parsed them."""


def defaults(*groups: type) -> Mapping[str, Any]:
    """What the flags of these groups are where they are not given."""
    return {name: getattr(group, name) for group in groups for name in _declared(group)}


def typed(name: str, value: Any, *groups: type) -> str:
    """The flag of one of these groups as it was typed to have this value: `--no-apm` for a switch turned off."""
    annotation = next(declared[name] for declared in map(_declared, groups) if name in declared)
    on, _, off = _spelled(name, annotation).partition("/")
    return off if value is False and off else on


def _declared(group: type) -> Mapping[str, Any]:
    """The flags of a group and of those that it is made of, these first: help lists them in that order."""
    found: dict[str, Any] = {}
    for base in group.__bases__:
        found |= _declared(base)
    return found | inspect.get_annotations(group)


FORMATS = ("table", "json", "yaml")
DIFF_FORMATS = (*FORMATS, "markdown", "unified")
FORMS = ("structural", "unified", "summary")
CRDS = ("summary", "full")


def takes(*groups: type, formats: Sequence[str] = FORMATS) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of these groups; it is called with ``options`` and its own parameters by name.

    Each flag is declared once above, whatever the number of commands that share it. ``formats`` are those of
    ``--output``, where the command has it.
    """
    return lambda command: _Taking(command, groups, formats)


class _Taking:
    """A command with the flags of its groups.

    What Typer asks of it is made when it asks: of one command of thirty, where a command line was given.
    """

    def __init__(self, command: Callable[..., None], groups: Sequence[type], formats: Sequence[str]) -> None:
        self.__name__, self.__doc__ = command.__name__, command.__doc__
        self._command, self._groups, self._formats = command, groups, formats

    def __call__(self, **given: Any) -> None:
        # it takes from there what `typing` has too, from 3.11 on (msgspec 0.23): 4 ms of each command
        lean.without("typing_extensions", "msgspec")
        spelled = {p.name: _spelled(p.name, p.annotation) for p in self._parameters}
        _refuse_empty(given, spelled)
        _refuse_two_on_stdin(given, spelled)
        _refuse_both(given, spelled)
        for name in _DURATIONS & given.keys():
            seconds(given[name], spelled[name])
        _refuse_unknown(given, self._formats)
        self._command(given, **{p.name: given[p.name] for p in self._own})

    @cached_property
    def _own(self) -> Sequence[inspect.Parameter]:
        parameters = inspect.signature(self._command, eval_str=True).parameters.values()
        return [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters if p.name != "options"]

    @cached_property
    def _parameters(self) -> Sequence[inspect.Parameter]:
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(group, name), annotation=annotation)
            for group in self._groups
            for name, annotation in _declared(group).items()
        ]
        return [*self._own, *shared]

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.Signature(self._parameters)

    def __getattr__(self, name: str) -> Any:
        if name == "__annotations__":  # a property of this name would be that of the class
            return {p.name: p.annotation for p in self._parameters}
        raise AttributeError(name)


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


def _refuse_unknown(given: Mapping[str, Any], formats: Sequence[str]) -> None:
    """UsageError for a word that is none of those that the flag takes; before a cluster is asked for anything."""
    output = given.get("output", formats[0])
    if output not in formats:
        raise UsageError(
            f"there is no output format `{output}`", hint=f"-o {'|'.join(formats)}", anchor="unknown-output-format"
        )
    for name, flag, words in (("form", "--diff", FORMS), ("crds", "--crds", CRDS)):
        if name in given and given[name] not in words:
            raise UsageError(
                f"`{flag} {given[name]}` is not known", hint=f"{flag} {'|'.join(words)}", anchor="bad-diff-form"
            )


def plan_flags(options: Options, offline: bool, facts: str | None, against: str | None, out: str | None) -> None:
    """UsageError for flags that make sense together only: --offline with --facts, --against with both.

    Neither --out nor a cluster goes with it; and ``-`` is no file for a plan, which ``apply`` must find again.
    """
    if offline and facts is None:
        raise UsageError(
            "`--offline` needs the facts of the cluster",
            hint="--facts FILE (ddhelm detect -o json)",
            anchor="offline-flags",
        )
    if not offline and (facts is not None or against is not None):
        raise UsageError("`--facts` and `--against` go with `--offline`", hint="--offline", anchor="offline-flags")
    if offline and out is not None:
        raise UsageError(
            "a plan made offline cannot be applied: it has seen no live object",
            hint="leave `--out` or `--offline` out",
            anchor="offline-flags",
        )
    named = next((flag for flag in ("context", "kubeconfig") if options[flag] is not None), None)
    if offline and named is not None:
        raise UsageError(
            f"`--{named}` names a cluster, and `--offline` asks none",
            hint=f"leave `--{named}` or `--offline` out",
            anchor="offline-flags",
        )
    if out == "-":
        raise UsageError(
            "`--out -`: a plan is written to a file, which `apply` reads again",
            hint="--out FILE; `-o json` prints what it says",
            anchor="plan-file",
        )


def digest_of_nothing(digest: str | None) -> None:
    """UsageError for a digest without the file that it is of: what nobody reviewed would be applied."""
    if digest is not None:
        raise UsageError(
            "`--digest` is of a plan file, and none is named",
            hint=pastable("ddhelm apply FILE --digest {digest}", digest=digest),
            anchor="plan-digest",
        )


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
