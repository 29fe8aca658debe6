"""Who decided about each of the user's own values: the file with its line and comment, the flag, or an earlier run."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ddhelm import library, values
from ddhelm.actions.request import UserSources
from ddhelm.masking import Masker
from ddhelm.release import Role
from ddhelm.settings import Settings
from ddhelm.tree import Path, Tree

if TYPE_CHECKING:
    from ddhelm.uservalues import Part, Source, UserValues


def user_layers(role: Role, base: Settings, wanted: Settings, user: UserSources, masker: Masker) -> list[values.Layer]:
    """The user's layers of a release with a reason for each value; ``base`` are the settings before this run's.

    Comments are masked: nobody expects a secret in one, so nothing refuses it there.
    """
    stored = (base.user.both, base.user.worker if role is Role.WORKER else base.user.control_plane)
    own = 1 if role is Role.WORKER else 2
    origin = base.origins.get("user", "values of the release")
    return [
        replace(layer, reasons=_reasons(below, origin, user.slots[slot], user.values[slot], masker))
        for layer, below, slot in zip(values.user_layers(role, wanted.user), stored, (0, own), strict=True)
    ]


def _reasons(
    stored: Tree, origin: str, sources: "tuple[Source, ...]", read: "UserValues | None", masker: Masker
) -> Mapping[Path, str]:
    """A slot's reasons; what is stored stays where no file replaces it."""
    kept: dict[Path, str] = (
        {(key,): origin for key in stored} if not any(source.kind == "file" for source in sources) else {}
    )
    if read is None:
        return kept
    given = dict(read.layer.reasons)
    files = [source for source in sources if source.kind == "file"]  # parts begin with the files, in this order
    for source, part in zip(files, read.parts, strict=False):
        for path, comment in _comments(source, part):
            if given.get(path) == (where := part.where(part.line(path))):
                given[path] = f"{where}: {masker.text(comment)}"
    return kept | given


def _comments(source: "Source", part: "Part") -> Iterator[tuple[Path, str]]:
    """The comment of each key, or of the nearest key above it that has one.

    A comment at a top key is for that key alone: what stands there is mostly the title of the file.
    """
    from ruamel.yaml.error import YAMLError

    text = source.text if isinstance(source.text, str) else source.text.decode("utf-8-sig")
    try:
        found = library.reasons(text)
    except (YAMLError, ValueError):  # ruamel reads another version of YAML than Helm, and makes dates of texts
        return
    for path in part.lines:
        nearest = (path, *(path[:end] for end in range(len(path) - 1, 1, -1)))
        comment = next((found[each] for each in nearest if each in found), "")
        if comment:
            yield path, comment
