"""What others changed in the cluster and what a plan makes of it, for a terminal and a pull request alike."""

from collections.abc import Iterator, Sequence

from ddhelm.drift import Change, ObjectDrift
from ddhelm.tree import Tree
from ddhelm.views import diff, drift

HEADING = "changed in the cluster by others"


def lines(found: Sequence[ObjectDrift]) -> Iterator[diff.Line]:
    """A heading, then each object with its fields: deployed → live, by whom, kept or overwritten or in conflict."""
    if found:
        yield "head", HEADING
    for each in found:
        for style, text in drift.lines(each):
            yield style, f"  {text}"


def stored_lines(objects: Sequence[Tree]) -> Iterator[diff.Line]:
    """The same of a document's ``changedInCluster``."""
    if objects:
        yield "head", HEADING
    for each in objects:
        yield "change", f"  ~ {each['kind']} {each['name']}"
        for field in each["fields"]:
            by = ", ".join(writer["manager"] for writer in field["by"]) or "admission, or unknown"
            owned = field["change"] == Change.OWNED
            stands = "as deployed, but no longer helm's alone" if owned else f"{field['deployed']} → {field['live']}"
            yield "plain", f"      {field['path']}: {stands}"
            yield "dim", f"        by {by}; {field['nextUpgrade']}"
