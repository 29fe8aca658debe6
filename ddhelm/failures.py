"""What helm and kubectl say when they fail, as one table of patterns.

Both end with 1 whatever happened; only their words differ, between majors too. A row turns a text into an error class,
a message, a hint and an anchor of the errors page. The first row that matches wins, so a narrow text stands before a
broad one it contains: a terminating namespace says "is forbidden", a dead webhook "connection refused". What no row
knows is shown in the tool's own last line.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath

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
from ddhelm.run import Completed

_LONGEST_LINE = 300
_MOST_DETAILS = 20

# Lines that say nothing about the failure: log lines (klog's `E1124 …`, Helm 4's `level=WARN …`, which repeats the
# error escaped), deprecations, Helm 3's coalescing warnings, kubectl's advice after a conflict.
_NOISE = re.compile(
    r"""^(?:
        [EWI]\d{4}\ \d\d:\d\d:\d\d | (?:time=\S+\ )?level=\w+\ | \d{4}/\d\d/\d\d\ \d\d:\d\d:\d\d\  |
        (?:coalesce|warnings|table|values)\.go:\d+ | Flag\ --\S+\ has\ been\ deprecated | Warning:\ |
        walk\.go:\d+ | Pulled:\ | Digest:\ | .*returned\ non-bool\ value
    )""",
    re.VERBOSE,
)
_PREFIX = re.compile(
    r"^(?:Error|error)(?: from server(?: \(\w+\))?)?: "
    r"(?:(?:INSTALLATION|UPGRADE|ROLLBACK) FAILED: )?(?:(?:release name check|cluster reachability check) failed: )?"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One way to fail.

    ``pattern`` is searched in the text without noise; its named groups fill ``message`` and ``hint``, beside ``tool``,
    ``doing`` (``helm upgrade``), ``where`` (the cluster), ``release`` and ``namespace``. ``more`` makes further lines.
    """

    name: str
    pattern: re.Pattern[str]
    error: type[DdhelmError]
    message: str
    hint: str
    anchor: str
    more: Callable[[str], Iterable[str]] | None = None


def error(
    done: Completed, *, doing: str = "", where: str = "", release: str = "", namespace: str = "", timeout: float = 0
) -> DdhelmError:
    """The error that a process which did not end well stands for.

    ``where`` names the cluster in words, ``timeout`` is the limit in seconds that ``done`` may have run into.
    """
    tool = PurePath(done.argv[0]).name
    facts = defaultdict(str, tool=tool, where=where or "the cluster", release=release, namespace=namespace)
    facts["doing"] = doing or _doing(done.argv)
    if done.timed_out:
        return ClusterError(
            f"`{facts['doing']}` did not end within {timeout or done.seconds:.0f} s and was stopped",
            hint="ddhelm status",
            anchor="timed-out",
            details=_own_words(done.err, tool),
        )
    return explain(done.err, facts)


def explain(text: str, facts: defaultdict[str, str]) -> DdhelmError:
    """The error that a text stands for; ``facts`` fill the rows' words (see ``Row``)."""
    essence = without_noise(text)
    for row in ROWS:
        found = row.pattern.search(essence)
        if found:
            words = defaultdict(str, facts)
            words.update({name: value.strip() for name, value in found.groupdict().items() if value})
            details = tuple(row.more(essence)) if row.more else _own_words(text, facts["tool"])
            return row.error(
                _one_line(row.message.format_map(words)),
                hint=row.hint.format_map(words).strip(),
                anchor=row.anchor,
                details=details[:_MOST_DETAILS],
            )
    return ToolError(
        f"`{facts['doing']}` failed: {last_line(text) or 'it said nothing'}",
        hint=f"ddhelm --verbose shows what {facts['tool']} was asked",
        anchor="tool-failed",
    )


def without_noise(text: str) -> str:
    """The text without log lines and warnings; where nothing else is left, the text itself."""
    kept = "\n".join(line for line in text.splitlines() if line.strip() and not _NOISE.match(line))
    return kept or text


def last_line(text: str) -> str:
    """The tool's own last word, without its prefixes."""
    lines = [line for line in without_noise(text).splitlines() if line.strip()]
    return _one_line(_PREFIX.sub("", lines[-1])) if lines else ""


def _own_words(text: str, tool: str) -> tuple[str, ...]:
    line = last_line(text)
    return (f"{tool}: {line}",) if line else ()


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"


def _doing(argv: tuple[str, ...]) -> str:
    return " ".join((PurePath(argv[0]).name, *(word for word in argv[1:2] if not word.startswith("-"))))


def _each_forbidden(text: str) -> Iterable[str]:
    seen = dict.fromkeys(found.group(0) for found in _FORBIDDEN.finditer(text))
    return tuple(_one_line(each) for each in seen) or (last_line(text),)


def _each_conflict(text: str) -> Iterable[str]:
    return tuple(conflict.words() for conflict in conflicts.parse(text))


def _below(marker: str) -> Callable[[str], Iterable[str]]:
    """All lines after the one with the marker."""

    def lines(text: str) -> Iterable[str]:
        _, _, rest = text.partition(marker)
        return tuple(_one_line(line) for line in rest.splitlines()[1:] if line.strip())

    return lines


def _chart_words(text: str) -> Iterable[str]:
    """A chart's own message may fill a screen; its first line is in the message already."""
    _, _, words = text.partition("execution error at (")
    return tuple(line.strip() for line in words.splitlines()[1:] if line.strip())


_FORBIDDEN = re.compile(
    r'(?P<what>[\w.-]+)(?: "(?P<name>[^"]*)")? is forbidden: User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource '
    r'"(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'(?P<scope> in the namespace "(?P<space>[^"]*)"| at the cluster scope)?'
)


def _row(
    name: str,
    pattern: str | re.Pattern[str],
    error: type[DdhelmError],
    message: str,
    hint: str,
    *,
    anchor: str = "",
    more: Callable[[str], Iterable[str]] | None = None,
) -> Row:
    compiled = re.compile(pattern, re.IGNORECASE) if isinstance(pattern, str) else pattern
    return Row(name, compiled, error, message, hint, anchor or name, more)


ROWS: tuple[Row, ...] = (
    # -- whose words contain those of broader rows below
    _row(
        "repository-unreachable",
        r'looks like "(?P<url>[^"]+)" is not a valid chart repository or cannot be reached: (?P<reason>[^\n]*)',
        ToolError,
        "the chart repository `{url}` cannot be reached: {reason}",
        "--chart PATH takes a packaged chart from disk",
    ),
    _row(
        "registry-unreachable",
        r'failed to do request: \w+ "(?P<url>https?://[^"]+)": (?P<reason>[^\n]*)',
        ToolError,
        "the registry cannot be reached: `{url}`: {reason}",
        "--chart PATH takes a packaged chart from disk",
        anchor="repository-unreachable",
    ),
    _row(
        "registry-unauthorized",
        r"(?P<url>\S+): (?:unauthorized|denied)\b|response status code 40[13]\b",
        ToolError,
        "the registry refuses to hand out the chart {url}",
        "helm registry login HOST",
        anchor="repository-unauthorized",
    ),
    _row(
        "webhook-unreachable",
        r'failed calling webhook "(?P<webhook>[^"]+)": (?P<reason>[^\n]*)',
        ClusterError,
        "the admission webhook `{webhook}` does not answer, so the API server refuses the object",
        "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",
    ),
    # -- the way to the API server
    _row(
        "exec-plugin",
        r"exec: executable (?P<program>\S+) (?P<reason>not found|failed with exit code \d+)",
        ClusterError,
        "the kubeconfig's credential program `{program}` {reason}",
        "{program} --version",
    ),
    _row(
        "exec-plugin-other",
        r"getting credentials: (?P<reason>[^\n]*)",
        ClusterError,
        "the kubeconfig's credential program failed: {reason}",
        "kubectl get --raw /version",
        anchor="exec-plugin",
    ),
    _row(
        "certificate",
        r"x509: (?P<reason>[^\n]*)",
        ClusterError,
        "the certificate of {where} is not trusted: {reason}",
        "check the server address and `certificate-authority` of the kubeconfig",
    ),
    _row(
        "unauthorized",
        r"asked for the client to provide credentials|must be logged in to the server|^error: EOF$",
        ClusterError,
        "{where} does not accept the credentials of the kubeconfig (wrong, or expired)",
        "kubectl auth whoami",
    ),
    _row(
        "unknown-context",
        r'context "(?P<context>[^"]+)" does not exist|'
        r"context was not found for specified context: (?P<context2>\S+)",
        ClusterError,
        "the kubeconfig has no context `{context}{context2}`",
        "kubectl config get-contexts",
    ),
    _row(
        "unreadable-kubeconfig",
        r"unable to read client-\w+ (?P<file>\S+) for|error loading config file|invalid configuration: (?P<why>[^\n]*)",
        ClusterError,
        "the kubeconfig cannot be used: {file}{why}",
        "kubectl config view",
    ),
    _row(
        "api-overloaded",
        r"unable to return a response in the time allotted|request did not complete within requested timeout|"
        r"etcdserver: (?:request timed out|leader changed)|stream error: .*INTERNAL_ERROR",
        ClusterError,
        "the API server of {where} answers, but its store does not in time",
        "kubectl get --raw /readyz?verbose",
    ),
    _row(
        "unreachable",
        r"(?P<reason>connection refused|no such host|TLS handshake timeout|i/o timeout|network is unreachable|"
        r"no route to host|connection reset by peer|client connection lost|"
        r"Client\.Timeout exceeded while awaiting headers|"
        r"server gave HTTP response to HTTPS client|server rejected our request for an unknown reason)",
        ClusterError,
        "{where} cannot be reached: {reason}",
        "kubectl get --raw /version --request-timeout=5s",
    ),
    # -- what the API server refuses; "is forbidden" is in all of these texts
    _row(
        "namespace-terminating",
        r"unable to create new content in namespace (?P<space>\S+) because it is being terminated",
        ClusterError,
        "the namespace `{space}` is being deleted",
        "kubectl wait --for=delete namespace/{space}",
    ),
    _row(
        "quota",
        r"exceeded quota: (?P<quota>[^,\n]+), (?P<reason>requested: [^\n]*)",
        ClusterError,
        "the quota `{quota}` is used up: {reason}",
        "kubectl describe quota -n {namespace}",
    ),
    _row(
        "pod-security",
        r'violates? PodSecurity "(?P<level>[^"]+)": (?P<reason>[^\n]*)',
        ClusterError,
        "the namespace's pod security level `{level}` rejects the agents: {reason}",
        "--label-namespace",
    ),
    _row(
        "admission-denied",
        r'admission webhook "(?P<who>[^"]+)" denied the request: (?P<reason>[^\n]*)|'
        r"ValidatingAdmissionPolicy '(?P<who2>[^']+)' .*?denied request: (?P<reason2>[^\n]*)",
        ClusterError,
        "`{who}{who2}` denies the object: {reason}{reason2}",
        "ask who runs that policy",
    ),
    _row(
        "forbidden",
        _FORBIDDEN,
        ClusterError,
        "`{user}` may not {verb} {resource}{scope}",
        "kubectl auth can-i {verb} {resource}",
        more=_each_forbidden,
    ),
    _row(
        "forbidden-other",
        r'\(Forbidden\): (?P<reason>[^\n]*)|forbidden: (?P<reason2>User "[^\n]*)|is forbidden: (?P<reason3>[^\n]*)',
        ClusterError,
        "{where} forbids it: {reason}{reason2}{reason3}",
        "kubectl auth can-i --list",
        anchor="forbidden",
    ),
    _row(
        "namespace-missing",
        r'namespaces "(?P<space>[^"]+)" not found',
        ClusterError,
        "the namespace `{space}` does not exist",
        "kubectl create namespace {space}",
    ),
    # -- the state of a release
    _row(
        "release-busy",
        r"another operation \(install/upgrade/rollback\) is in progress|"
        r"Error: (?:\w+ FAILED: )?release: already exists",
        ReleaseError,
        "release `{release}` is busy: another helm is at work, or died at it",
        "ddhelm status",
    ),
    _row(
        "no-deployed-release",
        r'"(?P<name>[^"]+)" has no deployed releases',
        ReleaseError,
        "release `{name}` has no deployed revision",
        "helm history {name} -n {namespace}",
    ),
    _row(
        "name-in-use",
        r"cannot re-?use a name that is still in use",
        ReleaseError,
        "release `{release}` exists already",
        "ddhelm status",
    ),
    _row(
        "no-release",
        r"release: not found|Release not loaded",
        ReleaseError,
        "there is no release `{release}`",
        "ddhelm status",
    ),
    _row(
        "no-revision",
        r"release has no (?P<revision>\d+) version",
        ReleaseError,
        "release `{release}` has no revision {revision}",
        "helm history {release} -n {namespace}",
    ),
    _row(
        "release-too-big",
        r"Too long: must have at most 1048576 bytes|Too long: may not be more than 1048576 bytes|"
        r"request is too large|Request entity too large",
        ReleaseError,
        "release `{release}` is too big for the Secret in which Helm keeps it (1 MiB)",
        "turn off what you do not need, for example the operator with its CRDs",
    ),
    # -- single objects
    _row(
        "owned-elsewhere",
        r'(?P<kind>\w+) "(?P<object>[^"]+)" in namespace "(?P<space>[^"]*)" exists and cannot be imported into the '
        r'current release: invalid ownership metadata(?:.*?"meta\.helm\.sh/release-name" must equal "[^"]*": '
        r'current value is "(?P<owner>[^"]+)")?',
        PreflightFailed,
        "{kind} `{object}` exists and belongs to somebody else: {owner}",
        "kubectl get {kind} {object} -o yaml",
    ),
    _row(
        "field-conflict",
        r"Apply failed with \d+ conflicts?",
        ReleaseError,
        "fields were changed by somebody else",
        "--force-conflicts takes them back",
        more=_each_conflict,
    ),
    _row(
        "immutable-field",
        r"(?:(?P<field>[\w.\[\]]+): Invalid value: [^\n]*)?field is immutable",
        ReleaseError,
        "an object exists with another value in a field that cannot change: {field}",
        "delete the object, then run this again",
    ),
    _row(
        "unknown-field",
        r'(?P<field>\.[\w.\[\]=",-]+): field not declared in schema|unknown field "(?P<field2>[^"]+)"',
        ReleaseError,
        "the API server does not know the field `{field}{field2}`",
        "kubectl explain KIND --recursive",
    ),
    _row(
        "name-too-long",
        r'(?:(?P<field>[\w.\[\]]+): Invalid value: "(?P<value>[^"]*)": )?'
        r"must be no more than (?P<most>\d+) (?:characters|bytes)|exceeds max length of (?P<most2>\d+)",
        ConfigError,
        "a name is longer than {most}{most2} characters: {field} `{value}`",
        "shorten the release's or the cluster's name",
    ),
    _row(
        "bad-release-name",
        r'invalid release name|release name "(?P<name>[^"]*)" is invalid|release name is invalid',
        ConfigError,
        "`{name}{release}` cannot be the name of a release",
        "lower case letters, digits and `-`, at most 53 characters",
        anchor="name-too-long",
    ),
    _row(
        "unknown-kind",
        r'no matches for kind "(?P<kind>[^"]+)" in version "(?P<version>[^"]+)"|'
        r"the server doesn't have a resource type \"(?P<kind2>[^\"]+)\"",
        ReleaseError,
        "the cluster does not know `{kind}{kind2}` {version}",
        "kubectl api-resources",
    ),
    # -- the chart
    _row(
        "chart-not-found",
        r'path "(?P<chart>[^"]+)" not found|repo (?P<repo>\S+) not found|failed to fetch (?P<url>\S+) : 404',
        ConfigError,
        "there is no chart `{chart}{repo}{url}`",
        "--chart takes a path, a .tgz, oci://… or the address of a repository",
    ),
    _row(
        "chart-version-not-found",
        r'chart "(?P<chart>[^"]+)" (?:version|matching) "?(?P<version>[^"\s]*?)"? not found in|'
        r"no chart version found for (?P<chart2>[\w./-]+)",
        ConfigError,
        "the repository has no chart `{chart}{chart2}` in version `{version}`",
        "--version X.Y.Z, or none for the newest",
    ),
    _row(
        "chart-missing-in-repository",
        r'chart "(?P<chart>[^"]+)" not found in (?P<repo>\S+) repository',
        ConfigError,
        "the repository `{repo}` has no chart `{chart}`",
        "--chart takes a path, a .tgz, oci://… or the address of a repository",
        anchor="chart-not-found",
    ),
    _row(
        "oci-not-found",
        r'(?:failed to perform "FetchReference" on source: )?(?P<chart>[\w.-]+(?::\d+)?/[\w./-]+:[\w.-]+): not found|'
        r"unable to locate any tags in provided repository: (?P<chart2>\S+)",
        ConfigError,
        "the registry has no chart `{chart}{chart2}`",
        "--chart oci://HOST/PATH/datadog --version X.Y.Z",
        anchor="chart-not-found",
    ),
    _row(
        "chart-refuses",
        r"execution error at \((?P<file>[^)]*)\): (?P<words>[^\n]*)",
        ConfigError,
        "the chart refuses these values: {words}",
        "ddhelm values worker --explain",
        more=_chart_words,
    ),
    _row(
        "chart-incompatible",
        r"chart requires kubeVersion: (?P<wanted>[^\n]*?) which is incompatible with Kubernetes (?P<found>\S+)",
        ConfigError,
        "the chart needs Kubernetes {wanted}; the cluster has {found}",
        "--version X.Y.Z of the chart",
    ),
    _row(
        "values-schema",
        r"values don't meet the specifications of the schema",
        ConfigError,
        "the chart's schema does not allow these values",
        "ddhelm values worker --explain",
        more=_below("values don't meet the specifications of the schema"),
    ),
    _row(
        "chart-broken",
        r"(?P<reason>(?:YAML parse error on|error converting YAML to JSON|parse error at|template: )[^\n]*)",
        ConfigError,
        "the chart cannot be rendered with these values: {reason}",
        "ddhelm values worker --explain",
        anchor="chart-refuses",
    ),
    _row(
        "object-refused",
        r'(?P<kind>[\w.]+) "(?P<object>[^"]*)" is invalid: (?P<reason>[^\n]*)',
        ReleaseError,
        "the API server refuses {kind} `{object}`: {reason}",
        "ddhelm values worker --explain",
    ),
    # -- how helm ended
    _row(
        "wait-timed-out",
        r"context deadline exceeded|timed out waiting for the condition",
        RolloutFailed,
        "release `{release}`: helm ran out of time",
        "--timeout 15m",
        anchor="timed-out",
    ),
    _row(
        "interrupted-helm",
        r"context canceled|has been cancelled",
        ReleaseError,
        "release `{release}`: helm was interrupted",
        "ddhelm status",
    ),
    _row(
        "unknown-flag",
        r"unknown (?:shorthand )?flag: (?P<flag>[^\n]+)",
        ToolError,
        "this {tool} does not know `{flag}`",
        "{tool} version",
        anchor="tool-too-old",
    ),
)
