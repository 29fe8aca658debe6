"""Which of the revisions that Helm keeps is the one that counts."""

import pytest

from ddhelm.actions.revisions import standing
from ddhelm.record import Record


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
        ((), None),
    ],
)
def test_the_one_that_counts(statuses: tuple[str, ...], number: int | None) -> None:
    found = standing(kept(*statuses))
    assert (found and found.revision) == number
