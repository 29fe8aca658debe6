"""Claims on the chart: versions that cannot carry two releases are refused with the nearest good one."""

from typing import Any

import pytest

from ddhelm import claims_chart, library
from ddhelm.claim import ChartView, Finding, LiveState, ProofContext, Undecided
from ddhelm.coverage import Coverage
from ddhelm.facts import version_of

ROWS = library.load().refused_charts()


def context(version: str = "3.240.0", name: str = "datadog", **given: Any) -> ProofContext:
    return ProofContext("datadog", (), Coverage(()), (), chart=ChartView(name, version, ROWS), **given)


def versions(version: str) -> list[Finding]:
    return list(claims_chart.usable_version(context(version)))


@pytest.mark.parametrize(
    "version", ["2.30.0", "3.60.0", "3.90.1", "3.147.1", "3.151.1", "3.157.2", "3.157.4", "3.240.0"]
)
def test_good_versions_pass(version: str) -> None:
    assert versions(version) == []


@pytest.mark.parametrize(
    ("version", "use"),
    [
        ("2.9.7", "2.30.0"),
        ("3.146.4", "3.147.1"),
        ("3.149.0", "3.150.0"),
        ("3.157.1", "3.157.2"),
        ("3.157.3", "3.157.4"),
    ],
)
def test_bad_versions_are_refused_with_the_nearest_good_one(version: str, use: str) -> None:
    (finding,) = versions(version)
    assert version in finding.text
    assert finding.hint == f"--version {use}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["first"]))
def test_every_advised_version_is_itself_good_and_the_next_one_up(row: dict[str, Any]) -> None:
    assert versions(str(row["use"])) == []
    assert version_of(str(row["first"])) <= version_of(str(row["last"])) < version_of(str(row["use"]))


def test_a_chart_of_another_name_is_refused() -> None:
    (finding,) = claims_chart.usable_version(context(name="nginx"))
    assert "`nginx`" in finding.text


def test_without_a_chart_nothing_is_claimed() -> None:
    with pytest.raises(Undecided):
        list(claims_chart.usable_version(ProofContext("datadog", (), Coverage(()), ())))


def need(kind: str, spec: str) -> dict[str, Any]:
    return {"kind": kind, "spec": spec, "why": "because", "hint": "do it"}


@pytest.mark.parametrize(
    ("row", "broken"),
    [
        (need("chart", ">=3.152.0"), False),
        (need("chart", ">=3.241.0"), True),
        (need("kubernetes", ">=1.28"), False),
        (need("kubernetes", ">=1.37"), True),
        (need("secret", "there"), False),
        (need("secret", "gone"), True),
    ],
)
def test_requirements_hold_or_are_named_with_their_reason(row: dict[str, Any], broken: bool) -> None:
    live = LiveState(secrets={"there": frozenset({"k"})})
    found = list(claims_chart.requirements(context(requirements=[row], kubernetes="v1.36.3", live=live)))
    assert bool(found) is broken
    assert all("because" in finding.text and finding.hint == "do it" for finding in found)
