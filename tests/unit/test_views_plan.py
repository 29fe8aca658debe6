"""The plan for people: whatever it counts it also names."""

import pytest
from msgspec.structs import replace

from ddhelm.claim import LiveState, ProofContext
from ddhelm.proof import run
from ddhelm.views import console, plan
from tests.unit.pairs import context


@pytest.mark.parametrize("made", [context(), replace(context(), live=LiveState())], ids=["live", "offline"])
def test_every_check_that_could_not_be_decided_is_named(made: ProofContext) -> None:
    results = run(made)
    unknown = [result.claim.name for result in results if result.unknown]
    screen = console.fixed(width=200)
    plan.checks(plan.check_rows(results), screen)
    shown = console.text(screen)
    assert unknown
    assert f"{len(unknown)} could not be decided" in shown
    assert [name for name in unknown if f"? {name}: " in shown] == unknown
