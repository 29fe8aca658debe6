"""The table of what helm and kubectl say when they fail, each with the error that it stands for.

The first row that matches wins, so a narrow text stands before a broad one it contains: a terminating namespace says
"is forbidden", a dead webhook "connection refused".
"""

import re
from collections.abc import Callable, Iterable

from msgspec import Struct

from ddhelm import conflicts
from ddhelm.errors import (
    ClusterError,
    ConfigError,
    DdhelmError,
    PreflightFailed,
    ReleaseError,
    RolloutFailed,
    ToolError,
)
from ddhelm.toolwords import last_line, one_line


class Row(Struct, frozen=True):
    """One way to fail.

    ``pattern`` (case does not matter) is searched in the text without noise; its named groups fill ``message`` and
    ``hint``, beside ``tool``, ``doing`` (``helm upgrade``), ``where`` (the cluster), ``release`` and ``namespace``.
    ``more`` makes further lines.
    """

    name: str
    pattern: str
    error: type[DdhelmError]
    message: str
    hint: str
    anchor: str = ""
    more: Callable[[str], Iterable[str]] | None = None


def _each_forbidden(text: str) -> Iterable[str]:
    seen = dict.fromkeys(found.group(0) for found in re.finditer(_FORBIDDEN, text))
    return tuple(one_line(each) for each in seen) or (last_line(text),)


def _each_conflict(text: str) -> Iterable[str]:
    return tuple(conflict.words() for conflict in conflicts.parse(text))


def _each_wrong_type(text: str) -> Iterable[str]:
    """Field and expected type; what was found is left out, it may be a secret in the wrong place."""
    found = re.finditer(r"(?P<field>\.[^\s:][^\n]*?): expected (?P<wanted>[^,\n]+), got", text)
    return tuple(f"`{each['field']}`: expected {each['wanted']}" for each in found)


def _each_duplicate(text: str) -> Iterable[str]:
    found = re.finditer(r"(?P<field>\.[^\s:][^\n]*?): duplicate entries for key \[(?P<key>[^\]\n]+)\]", text)
    lines = tuple(f"`{each['field']}`: {each['key']}" for each in found)
    return lines if lines[1:] else ()


def _below(marker: str) -> Callable[[str], Iterable[str]]:
    """All lines after the one with the marker."""

    def lines(text: str) -> Iterable[str]:
        _, _, rest = text.partition(marker)
        return tuple(one_line(line) for line in rest.splitlines()[1:] if line.strip())

    return lines


def _chart_words(text: str) -> Iterable[str]:
    """A chart's own message may fill a screen; its first line is in the message already."""
    _, _, words = text.partition("execution error at (")
    return tuple(line.strip() for line in words.splitlines()[1:] if line.strip())


def _innermost(text: str) -> Iterable[str]:
    """Where the template failed: the last frame of the stack; those before it only say who included whom."""
    *_, last = re.finditer(_FRAME, text)
    return (one_line(f"{last['place']}: {last['at']}"),)


# Helm 3 puts a template's stack on one line, with the reason at its end. Helm 4 takes three lines for a frame, but one
# line for all where it does not know the reason.
_FRAME = r'(?P<place>[^\s:]+:\d+:\d+):?\s+executing "[^"]*" at <(?P<at>[^\n]*?)>:\s+'
_FORBIDDEN = (
    r'(?P<what>[\w.-]+)(?: "(?P<name>[^"]*)")? is forbidden: User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource '
    r'"(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'(?: (?P<scope>in the namespace "(?P<space>[^"]*)"|at the cluster scope))?'
)

FETCHING: tuple[Row, ...] = (
    Row(
        "chart-version-not-found",
        r'chart "(?P<chart>[^"]+)" version "(?P<version>[^"]*)" not found in (?P<repo>\S+) repository',
        ConfigError,
        "the repository `{repo}` has no chart `{chart}` in version `{version}`",
        "--version X.Y.Z, or none for the newest",
    ),
    Row(
        "chart-not-found",
        r'chart "(?P<chart>[^"]+)" not found in (?P<repo>\S+) repository',
        ConfigError,
        "the repository `{repo}` has no chart `{chart}`",
        "--chart takes a path, a .tgz, oci://… or the address of a repository",
    ),
    Row(
        "chart-not-there",
        r"^Error: failed to fetch (?P<url>\S+) : 404|source: (?P<tag>\S+): not found|^Error: (?P<old>\S+): not found|"
        r'GET "(?P<tags>[^"]+)/tags/list": [^\n]*status code 404',
        ConfigError,
        "there is no chart `{url}{tag}{old}{tags}`",
        "--chart takes a path, a .tgz, oci://… or the address of a repository",
        "chart-not-found",
    ),
    Row(
        "repository-unauthorized",
        r"basic credential not found|401 Unauthorized|403 Forbidden|unauthorized: |denied: ",
        ToolError,
        "the repository does not hand out the chart without a login",
        "helm registry login HOST",
    ),
    Row(
        "repository-unreachable",
        r'looks like "(?P<url>[^"]+)" is not a valid chart repository or cannot be reached: (?P<reason>[^\n]*)',
        ToolError,
        "the chart repository `{url}` cannot be reached: {reason}",
        "--chart PATH takes a packaged chart from disk",
    ),
    Row(
        "registry-unreachable",
        r'(?:Get|Head|failed to do request: \w+) "(?P<url>https?://[^"]+)": (?P<reason>[^\n]*)',
        ToolError,
        "`{url}` cannot be reached: {reason}",
        "--chart PATH takes a packaged chart from disk",
        "repository-unreachable",
    ),
)
"""What helm says while it fetches a chart."""

ROWS: tuple[Row, ...] = (
    # -- the way to the API server; a dead webhook uses the same words
    Row(
        "webhook-unreachable",
        r'failed calling webhook "(?P<webhook>[^"]+)": (?P<reason>[^\n]*)',
        ClusterError,
        "the admission webhook `{webhook}` does not answer, so the API server refuses the object",
        "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",
    ),
    Row(
        "exec-plugin",
        r"getting credentials: (?:exec: executable (?P<program>\S+) )?(?P<reason>[^\n]*)",
        ClusterError,
        "the kubeconfig's credential program fails: {program} {reason}",
        "kubectl get --raw /version",
    ),
    Row(
        "certificate",
        r"x509: (?P<reason>[^\n]*)",
        ClusterError,
        "the certificate of {where} is not trusted: {reason}",
        "kubectl config view, and compare `server` and `certificate-authority`",
    ),
    Row(
        "unauthorized",
        r"asked for the client to provide credentials|must be logged in to the server|^error: EOF$|"
        r'User "system:anonymous"|could not get apiVersions from Kubernetes: unknown',
        ClusterError,
        "{where} does not accept the credentials of the kubeconfig (none, wrong, or expired)",
        "kubectl auth whoami",
    ),
    Row(
        "unknown-context",
        r'context "(?P<context>[^"]+)" does not exist|'
        r"context was not found for specified context: (?P<context2>\S+)",
        ClusterError,
        "the kubeconfig has no context `{context}{context2}`",
        "kubectl config get-contexts",
    ),
    Row(
        "unreadable-kubeconfig",
        r"(?P<reason>unable to read client-[^,\n\]]*|error loading config file[^\n]*)|"
        r"invalid configuration: \[?(?P<reason2>[^\n,\]]*)",
        ClusterError,
        "the kubeconfig cannot be used: {reason}{reason2}",
        "kubectl config view",
    ),
    Row(
        "api-overloaded",
        r"unable to return a response in the time allotted|request did not complete within requested timeout|"
        r"etcdserver: (?:request timed out|leader changed)|stream error: .*INTERNAL_ERROR",
        ClusterError,
        "the API server of {where} answers, but its store does not in time",
        "kubectl get --raw /readyz?verbose",
        "unreachable",
    ),
    Row(
        "unreachable",
        r"kubernetes cluster unreachable: (?:\w+ \"[^\"]+\": )?(?P<reason>[^\n]*)|"
        r"Unable to connect to the server: (?P<reason2>[^\n]*)|"
        r"The connection to the server \S+ was (?P<reason3>refused)|"
        r"(?P<reason4>connection refused|no such host|TLS handshake timeout|i/o timeout|network is unreachable|"
        r"no route to host|connection reset by peer|client connection lost|client rate limiter Wait returned|"
        r"Client\.Timeout exceeded while awaiting headers|"
        r"server gave HTTP response to HTTPS client|server rejected our request for an unknown reason)",
        ClusterError,
        "{where} cannot be reached: {reason}{reason2}{reason3}{reason4}",
        "kubectl get --raw /version --request-timeout=5s",
    ),
    # -- what the API server refuses; "is forbidden" stands in all of these texts
    Row(
        "namespace-terminating",
        r"unable to create new content in namespace (?P<space>\S+) because it is being terminated",
        ClusterError,
        "the namespace `{space}` is being deleted",
        "kubectl wait --for=delete namespace/{space}",
    ),
    Row(
        "quota",
        r"exceeded quota: (?P<quota>[^,\n]+), (?P<reason>requested: [^\n]*)",
        ClusterError,
        "the quota `{quota}` is used up: {reason}",
        "kubectl describe quota {quota} -n {namespace}",
    ),
    Row(
        "pod-security",
        r'violates? PodSecurity "(?P<level>[^"]+)": (?P<reason>[^\n]*)',
        ClusterError,
        "the namespace's pod security level `{level}` rejects the agents: {reason}",
        "ddhelm onboard --label-namespace",
    ),
    Row(
        "admission-denied",
        r'admission webhook "(?P<who>[^"]+)" denied the request: (?P<reason>[^\n]*)|'
        r"ValidatingAdmissionPolicy '(?P<who2>[^']+)' [^\n]*?denied request: (?P<reason2>[^\n]*)",
        ClusterError,
        "the policy `{who}{who2}` denies the object: {reason}{reason2}",
        "kubectl get validatingadmissionpolicies,validatingwebhookconfigurations",
    ),
    Row(
        "forbidden",
        _FORBIDDEN,
        ClusterError,
        "`{user}` may not {verb} {resource} {scope}",
        "kubectl auth can-i {verb} {resource} -n {space}",
        more=_each_forbidden,
    ),
    Row(
        "forbidden-otherwise",
        r"is forbidden: (?P<reason>[^\n]*)|\(Forbidden\): (?:forbidden: )?(?P<reason2>[^\n]*)",
        ClusterError,
        "{where} forbids it: {reason}{reason2}",
        "kubectl auth can-i --list -n {namespace}",
        "forbidden",
    ),
    Row(
        "namespace-missing",
        r'namespaces "(?P<space>[^"]+)" not found',
        ClusterError,
        "the namespace `{space}` does not exist",
        "kubectl create namespace {space}",
    ),
    # -- the state of a release
    Row(
        "release-busy",
        r"another operation \(install/upgrade/rollback\) is in progress|"
        r"^Error: (?:\w+ FAILED: )?release: already exists",
        ReleaseError,
        "release `{release}` is busy: another helm is at work on it, or died at it",
        "ddhelm status",
    ),
    Row(
        "no-deployed-release",
        r'"(?P<name>[^"]+)" has no deployed releases',
        ReleaseError,
        "release `{name}` has no deployed revision",
        "helm history {name} -n {namespace}",
    ),
    Row(
        "name-in-use",
        r"cannot re-?use a name that is still in use",
        ReleaseError,
        "release `{release}` exists already",
        "ddhelm status",
    ),
    Row(
        "no-release",
        r"release: not found",
        ReleaseError,
        "there is no release `{release}`",
        "ddhelm status",
    ),
    Row(
        "no-revision",
        r"release has no (?P<revision>\d+) version",
        ReleaseError,
        "release `{release}` has no revision {revision}",
        "helm history {release} -n {namespace}",
    ),
    Row(
        "rollback-impossible",
        r'no (?P<kind>\w+) with the name "(?P<object>[^"]+)" found',
        ReleaseError,
        "this Helm cannot roll back to {kind} `{object}`: it is in the cluster, but not in the newest revision",
        "use a newer Helm (3.22 can), or delete the object first",
    ),
    Row(
        "object-too-big",
        r'(?P<kind>\w+) "(?P<object>(?!sh\.helm\.release\.)[^"]+)" is invalid: \S+ Too long: '
        r"(?:must have at most|may not be more than) 1048576 bytes",
        ReleaseError,
        "{kind} `{object}` is too big: the API server keeps 1 MiB of it",
        "take large files out of your values (`datadog.confd`, `datadog.checksd`), or mount them from a volume",
    ),
    Row(
        "release-too-big",
        r"Too long: (?:must have at most|may not be more than) 1048576 bytes|request (?:entity )?(?:is )?too large",
        ReleaseError,
        "release `{release}` is too big for the Secret in which Helm keeps it (1 MiB)",
        "turn off what you do not need, for example `--set datadog.operator.enabled=false`",
    ),
    # -- single objects
    Row(
        "owned-elsewhere",
        r'(?P<kind>\w+) "(?P<object>[^"]+)" in namespace "(?P<space>[^"]*)" exists and cannot be imported into the '
        r'current release: invalid ownership metadata[^\n]*"meta\.helm\.sh/release-name" must equal "[^"]*": '
        r'current value is "(?P<owner>[^"]+)"',
        PreflightFailed,
        "{kind} `{object}` belongs to release `{owner}`",
        "kubectl get {kind} {object} -n {space} -o yaml",
    ),
    Row(
        "owned-by-nobody",
        r'(?P<kind>\w+) "(?P<object>[^"]+)" in namespace "(?P<space>[^"]*)" exists and cannot be imported into the '
        r"current release: invalid ownership metadata",
        PreflightFailed,
        "{kind} `{object}` exists and was not made by Helm",
        "kubectl get {kind} {object} -n {space} -o yaml",
        "owned-elsewhere",
    ),
    Row(
        "field-conflict",
        r"Apply failed with \d+ conflicts?",
        ReleaseError,
        "fields were changed by somebody else",
        "--force-conflicts takes them back",
        more=_each_conflict,
    ),
    Row(
        "immutable-field",
        r'(?:(?P<kind>[\w.]+) "(?P<object>[^"]+)" is invalid: (?P<field>[\w.\[\]]+): Invalid value: [^\n]*)?'
        r"field is immutable",
        ReleaseError,
        "{kind} `{object}` exists with another value in `{field}`, which cannot change",
        "delete the object, then run this again",
    ),
    Row(
        "unknown-field",
        r'(?P<field>\.[\w.\[\]=",-]+): field not declared in schema|unknown field "(?P<field2>[^"]+)"',
        ReleaseError,
        "the API server does not know the field `{field}{field2}`",
        "kubectl explain KIND --recursive",
    ),
    Row(
        "name-too-long",
        r'(?P<kind>[\w.]+) "(?P<object>[^"]+)" is invalid: (?P<field>[\w.\[\]]+): Invalid value: "[^"]*": '
        r"must be no more than (?P<most>\d+) (?:characters|bytes)",
        ConfigError,
        "{field} of {kind} `{object}` holds more than {most} characters",
        "shorten the release's or the cluster's name",
    ),
    Row(
        "bad-release-name",
        r"release name is invalid: (?P<name>\S+)|invalid release name",
        ConfigError,
        "`{name}` cannot be the name of a release",
        "lower case letters, digits and `-`, at most 53 characters",
        "name-too-long",
    ),
    Row(
        "unknown-kind",
        r'no matches for kind "(?P<kind>[^"]+)" in version "(?P<version>[^"]+)"|'
        r"the server doesn't have a resource type \"(?P<kind2>[^\"]+)\"",
        ReleaseError,
        "the cluster does not know the kind `{kind}{kind2}` {version}",
        "kubectl api-resources",
    ),
    # -- the chart
    Row(
        "chart-not-found",
        r'path "(?P<chart>[^"]+)" not found',
        ConfigError,
        "there is no chart at `{chart}`",
        "--chart takes a path, a .tgz, oci://… or the address of a repository",
    ),
    Row(
        "bad-chart",
        r"file '(?P<chart>[^']+)' does not appear to be a gzipped archive|Chart\.yaml file is missing",
        ConfigError,
        "`{chart}` is not a chart",
        "helm show chart {chart}",
    ),
    Row(
        "chart-refuses",
        r"execution error at \((?P<file>[^)]*)\): (?P<words>[^\n]*)",
        ConfigError,
        "the chart refuses these values: {words}",
        "ddhelm values worker --explain, with the same flags",
        more=_chart_words,
    ),
    Row(
        "chart-incompatible",
        r"chart requires kubeVersion: (?P<wanted>[^\n]*?) which is incompatible with Kubernetes (?P<found>\S+)",
        ConfigError,
        "the chart needs Kubernetes {wanted}; the cluster has {found}",
        "--version X.Y.Z of the chart",
    ),
    Row(
        "values-schema",
        r"values don't meet the specifications of the schema",
        ConfigError,
        "the chart's schema does not allow these values",
        "ddhelm values worker --explain, with the same flags",
        more=_below("values don't meet the specifications of the schema"),
    ),
    Row(
        "chart-template",
        rf"\A(?s:.*){_FRAME}(?P<reason>\S(?s:.*))",
        ConfigError,
        "the chart cannot be rendered with these values: {reason}",
        "ddhelm values worker --explain, with the same flags",
        "chart-refuses",
        more=_innermost,
    ),
    Row(
        "chart-broken",
        r"(?P<reason>(?:YAML parse error on|error converting YAML to JSON|parse error at|template: )[^\n]*)",
        ConfigError,
        "the chart cannot be rendered with these values: {reason}",
        "ddhelm values worker --explain, with the same flags",
        "chart-refuses",
    ),
    # -- a value of the wrong type, as server-side apply, an update and the conversion of an object say it
    Row(
        "field-wrong-type",
        r"failed to create typed patch object \((?P<object>[^;)]*); [^)]*Kind=(?P<kind>\w+)\): (?:errors:\s+)?"
        r"(?P<field>\.[^\n]+?): expected (?P<wanted>[^,\n]+), got",
        ReleaseError,
        "the API server refuses {kind} `{object}`: `{field}` has the wrong type, expected {wanted}",
        "ddhelm values worker --explain, with the same flags",
        "object-refused",
        more=_each_wrong_type,
    ),
    Row(
        "duplicate-entries",
        r"failed to create typed patch object \((?P<object>[^;)]*); [^)]*Kind=(?P<kind>\w+)\): (?:errors:\s+)?"
        r"(?P<field>\.[^\n]+?): duplicate entries for key \[(?P<key>[^\]\n]+)\]",
        ReleaseError,
        "{kind} `{object}` has two entries with {key} in `{field}`",
        "take it out of the list in your values that repeats it (`datadog.env`), and use the chart's own value for it",
        "duplicate-entries",
        more=_each_duplicate,
    ),
    Row(
        "value-wrong-type",
        r'(?P<kind>\w+) in version "[^"]*" cannot be handled as an? \w+: json: cannot unmarshal (?P<found>\w+) into '
        r"Go struct field \w+\.(?P<field>[\w.]+) of type (?P<wanted>[\w.]+)",
        ReleaseError,
        "the API server refuses a {kind}: `{field}` is a {found}, expected {wanted}",
        "ddhelm values worker --explain, with the same flags",
        "object-refused",
    ),
    Row(
        "object-unreadable",
        r'(?P<kind>\w+) in version "[^"]*" cannot be handled as an? \w+: (?P<reason>[^\n]*)',
        ReleaseError,
        "the API server refuses a {kind}: {reason}",
        "ddhelm values worker --explain, with the same flags",
        "object-refused",
    ),
    Row(
        "object-unconvertible",
        r"failed to convert new object \((?P<object>[^;)]*); [^)]*Kind=(?P<kind>\w+)\) to proper version: "
        r"(?:unable to convert unstructured object to [^:\n]*: )?(?P<reason>[^\n]*)",
        ReleaseError,
        "the API server refuses {kind} `{object}`: {reason}",
        "ddhelm values worker --explain, with the same flags",
        "object-refused",
    ),
    Row(
        "object-refused",
        r'(?P<kind>[\w.]+) "(?P<object>[^"]*)" is invalid: (?P<reason>[^\n]*)',
        ReleaseError,
        "the API server refuses {kind} `{object}`: {reason}",
        "ddhelm values worker --explain, with the same flags",
    ),
    # -- how helm ended
    Row(
        "hook-timed-out",
        r"context deadline exceeded|timed out waiting for the condition",
        RolloutFailed,
        "release `{release}`: helm ran out of time",
        "--timeout 15m",
        "timed-out",
    ),
    Row(
        "interrupted-helm",
        r"context canceled|has been cancelled",
        ReleaseError,
        "release `{release}`: helm was interrupted",
        "ddhelm status",
    ),
    Row(
        "unknown-flag",
        r"unknown (?:shorthand )?flag: (?P<flag>[^\n]+)",
        ToolError,
        "this {tool} does not know `{flag}`",
        "{tool} version",
        "tool-too-old",
    ),
)
"""What helm and kubectl say when they speak to the cluster."""
