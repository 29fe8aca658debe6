"""What others changed in the cluster and what a plan makes of it, for a terminal and a pull request alike."""

from collections.abc import Iterator, Sequence

from ddhelm.drift import ObjectDrift
from ddhelm.views import diff, drift

HEADING = "changed in the cluster by others"


def lines(found: Sequence[ObjectDrift]) -> Iterator[diff.Line]:
    """A heading, then each object with its fields: deployed → live, by whom, kept or overwritten or in conflict."""
    if found:
        yield "head", HEADING
    for each in found:
        for style, text in drift.lines(each):
            yield style, f"  {text}"
