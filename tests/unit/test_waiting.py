"""A run waits for another one only as long as it was told to, and for nothing else."""

import pytest

from ddhelm.commands import waiting
from ddhelm.errors import ClusterError, DdhelmError, PlanStale, ReleaseError


class Busy:
    """Somebody who is at work for so many tries."""

    def __init__(self, tries: int, error: DdhelmError) -> None:
        self.left, self.error, self.moment = tries, error, 0.0

    def make(self) -> str:
        if self.left == 0:
            return "made"
        self.left -= 1
        raise self.error

    def sleep(self, seconds: float) -> None:
        self.moment += seconds

    def planned(self, seconds: float) -> str:
        return waiting.until_free(self.make, seconds, clock=lambda: self.moment, sleep=self.sleep)


HELD = PlanStale("another run is at work: anna@host", anchor="lock-held")
PENDING = ReleaseError("release `w` is busy", anchor="release-busy")


@pytest.mark.parametrize("error", [HELD, PENDING])
def test_it_is_waited_for_and_said_once(error: DdhelmError, capsys: pytest.CaptureFixture[str]) -> None:
    assert Busy(3, error).planned(60) == "made"
    assert capsys.readouterr().err == f"• waiting, 60 s at most: {error.message}\n"


def test_after_the_time_that_was_given_its_error_is_raised() -> None:
    busy = Busy(99, HELD)
    with pytest.raises(PlanStale, match="anna@host"):
        busy.planned(12)
    assert busy.moment == 12


def test_without_the_flag_nothing_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    busy = Busy(1, HELD)
    with pytest.raises(PlanStale):
        busy.planned(0)
    assert (busy.moment, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("error", [PlanStale("moved", anchor="plan-stale"), ClusterError("gone", anchor="lock-held")])
def test_another_failure_is_none_that_passes(error: DdhelmError) -> None:
    with pytest.raises(type(error)):
        Busy(1, error).planned(60)
