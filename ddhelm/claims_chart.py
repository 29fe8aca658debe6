"""Claims on the chart itself: its version can carry two releases, and is new enough for what the values ask of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from ddhelm import secretneeds
from ddhelm.claim import Claim, Finding, ProofContext, Severity, Undecided
from ddhelm.facts import version_of


def usable_version(context: ProofContext) -> Iterator[Finding]:
    """Rows of `charts-values/chart-versions.yaml` that hold this version."""
    if context.chart is None:
        raise Undecided("the chart was not read")
    if context.chart.name != "datadog":
        yield Finding(
            f"the chart is called `{context.chart.name}`, not `datadog`", "--chart https://helm.datadoghq.com"
        )
        return
    version = version_of(context.chart.version)
    for row in context.chart.refused:
        if version_of(str(row["first"])) <= version <= version_of(str(row["last"])):
            yield Finding(f"{context.chart.version}: {row['why']}", f"--version {row['use']}")


def requirements(context: ProofContext) -> Iterator[Finding]:
    """What the distribution's values need of chart, Kubernetes and Secrets (`requires` in its layer)."""
    for need in context.requirements:
        missing = _missing(need, context)
        if missing:
            hint = secretneeds.way(need, context) if need["kind"] == "secret" else str(need.get("hint") or "")
            yield Finding(f"{missing}: {need['why']}", hint)


def _missing(need: Mapping[str, Any], context: ProofContext) -> str:
    kind, spec = need["kind"], str(need["spec"])
    if kind == "secret":
        return secretneeds.missing(need, context)
    found = context.chart.version if kind == "chart" and context.chart else context.kubernetes
    wanted = spec.removeprefix(">=")
    if kind in {"chart", "kubernetes"} and found and version_of(found) < version_of(wanted):
        return f"{'chart' if kind == 'chart' else 'Kubernetes'} {found} is older than {wanted}"
    return ""


CLAIMS = (
    Claim(
        "chart-version",
        "this chart version can carry two releases",
        Severity.FATAL,
        "--version with another version",
        "chart-version-refused",
        usable_version,
    ),
    Claim(
        "requirements",
        "chart, Kubernetes and Secrets are what the distribution's values need",
        Severity.FATAL,
        "ddhelm detect",
        "requirement-missing",
        requirements,
    ),
)
