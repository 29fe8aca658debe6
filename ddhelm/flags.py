"""The flags that several commands share, each declared once, in helm's and kubectl's own words."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from ddhelm import completing
from ddhelm.release import Role

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
        help="Proxy of the agents, http://HOST:PORT; `env`: that of this machine; `none` takes it back.",
        rich_help_panel=DATADOG,
    ),
]
AgentNoProxy = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST",
        help="Host, domain or network that agents reach directly (repeatable); `none` takes them back.",
        rich_help_panel=DATADOG,
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
        help="Taint that worker agents tolerate (repeatable; replaces the stored ones); `none` takes them back.",
        rich_help_panel=NODES,
    ),
]
AcceptUncovered = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SELECTOR",
        help="Nodes that may go without an agent, as a label selector (repeatable); `none` takes them back.",
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
        "--delete-crds", help="Let a change delete CRDs together with all their objects.", rich_help_panel=RUN
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
    typer.Option(metavar="DURATION", help="For the pods, such as 10m. Default: by nodes.", rich_help_panel=RUN),
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
        help="Skip one of `ddhelm check --list` (repeatable).",
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
    typer.Option("--require-validation", help="Stop where Datadog cannot be asked about a key.", rich_help_panel=KEYS),
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


def output(help: str, names: Callable[[str], list[str]]) -> Any:
    """The option of an output format: its words for people, and those that a shell completes."""
    return typer.Option("--output", "-o", metavar="FORMAT", help=help, autocompletion=names, rich_help_panel=OUTPUT)


Output = Annotated[str, output("table, json or yaml.", completing.formats)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show every helm and kubectl call.", rich_help_panel=OUTPUT)
]
