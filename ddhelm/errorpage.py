"""The page of errors, which ships with ddhelm: what each one means, for whoever has a terminal and no checkout."""

import re
from collections.abc import Mapping
from pathlib import Path
from posixpath import normpath

from ddhelm.errors import ConfigError

_HEADING = re.compile(r"^### `(?P<name>[a-z0-9-]+)`\n", re.MULTILINE)
_LINK = re.compile(r"\[(?P<words>[^\]]+)\]\((?P<file>[^)#\s]*)(?:#(?P<heading>[^)\s]*))?\)")
_FOLDER = "docs/reference"


def load() -> Mapping[str, str]:
    """Name of an error → its section in Markdown: the page inside the package of a wheel, that of ``docs/`` else.

    Raises ConfigError for an installation without it.
    """
    here = Path(__file__).parent
    inside = here / "pages" / "errors.md"
    file = inside if inside.is_file() else here.parent / _FOLDER / "errors.md"
    try:
        return sections(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"ddhelm's own page `{file}` cannot be read: {error}", hint="install ddhelm again", anchor="broken-layer"
        ) from error


def sections(page: str) -> Mapping[str, str]:
    """The sections of the page, by the name in their heading; instead of each link stands where it leads."""
    places = list(_HEADING.finditer(page))
    found = {}
    for at, place in enumerate(places):
        end = places[at + 1].start() if at + 1 < len(places) else len(page)
        section, _, _ = page[place.end() : end].partition("\n## ")
        found[place["name"]] = _LINK.sub(_told, section).strip() + "\n"
    return found


def _told(link: re.Match[str]) -> str:
    if not link["file"]:
        return f"`ddhelm explain {link['heading']}`"
    return f"{link['words']} ({normpath(f'{_FOLDER}/' + link['file'])})"
