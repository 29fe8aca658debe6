"""Which of the revisions that Helm keeps is the one that counts."""

from collections.abc import Mapping

import pytest

from ddhelm.actions.revisions import settings, standing
from ddhelm.actions.rollback import OF_DRIFT, on_the_way_back
from ddhelm.claim import Claim, Result, Severity
from ddhelm.coverage import Coverage
from ddhelm.manifest import ObjectRef
from ddhelm.notices import conflict_problems
from ddhelm.plan import Conflict, Plan, Problem, Step, StepKind
from ddhelm.record import Record
from ddhelm.release import Release, Role


def kept(*statuses: str) -> list[Record]:
    return [
        Record("r", "datadog", number, status, "datadog", "3.240.0", "7", "", "", "", {}, "")
        for number, status in enumerate(statuses, 1)
    ]


@pytest.mark.parametrize(
    ("statuses", "number"),
    [
        (("superseded", "deployed"), 2),
        (("superseded", "deployed", "failed"), 2),
        (("superseded", "superseded", "failed"), 2),
        (("superseded", "failed", "pending-rollback"), 1),
        (("failed",), None),
        (("superseded", "uninstalled"), None),
        (("superseded", "uninstalling"), None),
        (("deployed", "uninstalling"), None),  # the failed one above the deployed one is what helm deletes
        (("deployed", "uninstalled"), None),
        ((), None),
    ],
)
def test_the_one_that_counts(statuses: tuple[str, ...], number: int | None) -> None:
    found = standing(kept(*statuses))
    assert (found and found.revision) == number


def wrote(
    release: str, revision: int, stamp: str, tolerate: str, description: str = "", status: str = "deployed"
) -> Record:
    kept_ = {"ddhelm": {"settings": {"tolerate": [tolerate]}}}
    return Record(release, "d", revision, status, "datadog", "3.240.0", "7", "", stamp, description, kept_, "")


OLD, NEW = "2026-12-01T08:00:00Z", "2026-12-01T09:00:00Z"


@pytest.mark.parametrize(
    ("found", "tolerate"),
    [
        ({"w": [wrote("w", 2, NEW, "new")], "c": [wrote("c", 1, OLD, "old")]}, ("new",)),
        ({"w": [wrote("w", 1, OLD, "old")], "c": [wrote("c", 2, NEW, "new")]}, ("new",)),
        ({"w": [wrote("w", 3, NEW, "back", "Rollback to 1")], "c": [wrote("c", 2, OLD, "new")]}, ("new",)),
        ({"w": [wrote("w", 1, OLD, "old"), wrote("w", 2, NEW, "failed", status="failed")]}, ("old",)),
        ({"w": kept("deployed")}, ()),
        ({}, ()),
    ],
)
def test_the_settings_that_count_are_those_of_the_newest_upgrade_that_stands(
    found: Mapping[str, list[Record]], tolerate: tuple[str, ...]
) -> None:
    assert settings(found).tolerate == tolerate


@pytest.mark.parametrize(
    ("hint", "fits"),
    [
        ("take the token out of your values", False),
        ("kubectl -n datadog delete daemonset a", True),
        ("--tolerate dedicated=gpu:NoExecute", False),
        ("--delete-crds, or keep them", True),
    ],
)
def test_values_of_a_revision_cannot_be_changed_so_no_hint_asks_for_it(hint: str, fits: bool) -> None:
    claim = Claim("one-token", "all read one token", Severity.FATAL, hint, "one-token", lambda _context: iter(()))
    problems = (Problem("one-token: not so: all read one token", hint), Problem("the lock is held", "ddhelm unlock"))
    told = list(on_the_way_back(Plan((), Coverage(()), (Result(claim, ok=False),), problems=problems)))
    assert (told[0].hint == hint) is fits
    assert fits or "--skip one-token" in told[0].hint
    assert told[1] == problems[1]


def test_a_flag_that_drift_does_not_take_is_named_with_the_command_that_does() -> None:
    conflict = Conflict(ObjectRef("apps/v1", "Deployment", "datadog", "dca"), ".spec.replicas", "someone")
    step = Step(StepKind.UPGRADE, Release(Role.WORKER, "worker", "datadog"), "", conflicts=(conflict,))
    plan = Plan((), Coverage(()), (), problems=conflict_problems([step]))
    assert next(on_the_way_back(plan, OF_DRIFT)).hint == (
        "give them back (kubectl), or overwrite them with ddhelm onboard --force-conflicts and the values that you want"
    )
    assert next(on_the_way_back(plan)) == plan.problems[0], "a rollback takes it"
