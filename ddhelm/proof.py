"""The proof: every claim on the pair, run on one context, each with its verdict.

Nothing is written to a cluster while a fatal claim is broken. A claim can be skipped by name; one that could not be
decided says what was not read, and neither stops anything nor counts as proven.
"""

import difflib
from collections.abc import Collection, Iterable

from msgspec.structs import replace

from ddhelm import claims_certs, claims_chart, claims_checks, claims_cluster, claims_nodes, claims_pair, claims_pods
from ddhelm.claim import (
    Caution,
    Claim,
    ForeignAgent,
    LiveObject,
    LiveState,
    LiveWebhook,
    OtherDaemonSet,
    ProofContext,
    ReleaseView,
    Remark,
    Result,
    Severity,
    Undecided,
)
from ddhelm.errors import ConfigError

__all__ = [
    "CLAIMS", "Claim", "ForeignAgent", "LiveObject", "LiveState", "LiveWebhook", "OtherDaemonSet", "ProofContext",
    "ReleaseView", "Result", "Severity", "broken", "run",
]  # fmt: skip

CLAIMS = (
    *claims_chart.CLAIMS,
    *claims_pair.CLAIMS,
    *claims_nodes.CLAIMS,
    *claims_pods.CLAIMS,
    *claims_checks.CLAIMS,
    *claims_certs.CLAIMS,
    *claims_cluster.CLAIMS,
)
_STRICT = "no-node-without-agent"


def run(context: ProofContext, skip: Collection[str] = ()) -> tuple[Result, ...]:
    """Every claim with its verdict, in the order of ``CLAIMS``.

    With ``require_coverage`` an uncovered node is fatal. Raises ConfigError (anchor `unknown-check`) for a name in
    ``skip`` that is no claim's.
    """
    _known(skip)
    return tuple(
        Result(claim, True, skipped=True) if claim.name in skip else _prove(claim, context) for claim in CLAIMS
    )


def broken(results: Iterable[Result]) -> tuple[Result, ...]:
    """The fatal claims that do not hold."""
    return tuple(result for result in results if not result.ok and result.claim.severity is Severity.FATAL)


def _prove(claim: Claim, context: ProofContext) -> Result:
    if claim.name == _STRICT and context.require_coverage:
        claim = replace(claim, severity=Severity.FATAL)
    try:
        findings = list(claim.function(context))
    except Undecided as error:
        return Result(claim, True, unknown=str(error), hints=(error.hint,) if error.hint else ())
    against = [finding for finding in findings if not isinstance(finding, Remark)]
    if claim.severity is Severity.FATAL and against and all(isinstance(finding, Caution) for finding in against):
        claim = replace(claim, severity=Severity.WARNING)
    return Result(
        claim,
        not against,
        details=tuple(finding.text for finding in [*against, *(f for f in findings if isinstance(f, Remark))]),
        hints=tuple(dict.fromkeys(finding.hint for finding in against if finding.hint)),
    )


def _known(skip: Collection[str]) -> None:
    names = [claim.name for claim in CLAIMS]
    unknown = [name for name in skip if name not in names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, n=1)
        raise ConfigError(
            f"there is no check `{unknown[0]}`" + (f"; did you mean `{near[0]}`?" if near else ""),
            hint="ddhelm check --list",
            anchor="unknown-check",
        )
