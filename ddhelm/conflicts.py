"""Reads field conflicts out of what server-side apply says, in kubectl's words and in Helm 4's.

Both tell the same story in prose; who owns which field of which object is what an operator decides by.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

Identity = tuple[str, str, str, str]
"""(API group, kind, namespace, name): the same object whatever its version. Empty strings where there is none."""

NOBODY: Identity = ("", "", "", "")


class Conflict(Struct, frozen=True):
    """Fields of one object that another manager owns, as ``.spec.replicas`` paths.

    ``object`` is ``NOBODY`` where the text does not name it (kubectl's never does).
    """

    object: Identity
    manager: str
    fields: tuple[str, ...]
    subresource: str = ""
    api_version: str = ""

    def words(self) -> str:
        """One line for people."""
        _, kind, namespace, name = self.object
        where = f"{kind} {namespace + '/' if namespace else ''}{name}: " if name else ""
        how = f" (subresource {self.subresource})" if self.subresource else ""
        return f"{where}{', '.join(self.fields)} belongs to `{self.manager}`{how}"


# conflict occurred while applying object datadog/a-datadog apps/v1, Kind=DaemonSet: Apply failed with 2 conflicts: …
_HELM_OBJECT = re.compile(
    r"conflict occurred while applying object (?P<object>\S+) (?P<group_version>\S*), Kind=(?P<kind>\w+): "
)
# conflicts with "kubectl" with subresource "scale" using apps/v1: .spec.replicas   (several: `- .path` lines)
_MANAGER = re.compile(
    r'conflicts? with "(?P<manager>[^"]*)"(?: with subresource "(?P<subresource>[^"]*)")?'
    r"(?: using (?P<version>\S+?))?:(?P<rest>[^\n]*(?:\n- [^\n]*)*)"
)
_ADVICE = re.compile(r"\nPlease review the fields above.*?(?=\nerror:|\nError|\Z)", re.DOTALL)


def parse(text: str) -> tuple[Conflict, ...]:
    """All conflicts in a text of helm or kubectl, in its order; () when there is none."""
    text = _ADVICE.sub("", text)
    heads = list(_HELM_OBJECT.finditer(text))
    if not heads:
        return tuple(_managers(text, NOBODY))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return tuple(
        conflict
        for head, end in zip(heads, ends, strict=True)
        for conflict in _managers(text[head.end() : end], _identity(head))
    )


def _identity(head: re.Match[str]) -> Identity:
    namespace, _, name = head["object"].rpartition("/")
    # core objects: "/v1, Kind=ConfigMap"; others "apps/v1, Kind=DaemonSet"
    group = head["group_version"].rpartition("/")[0]
    return (group, head["kind"], namespace, name)


def _managers(text: str, of: Identity) -> Iterator[Conflict]:
    for found in _MANAGER.finditer(text):
        # the next object of Helm's joined text follows on the same line
        first, *others = found["rest"].split("\n- ")
        fields = tuple(each.split(" && ")[0].strip() for each in (first, *others) if each.strip())
        yield Conflict(of, found["manager"], fields, found["subresource"] or "", found["version"] or "")
