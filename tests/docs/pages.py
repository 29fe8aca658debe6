"""Reads the documentation: pages, headings, links, and the commands that a reader would paste."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^(?P<fence>```+)(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words behind its fence (`console`, `sh`, …), its text and its first line's number."""

    info: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command line as the reader would paste it, without the prompt, with continued lines joined."""

    text: str
    line: int

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file of the repository."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def blocks(self) -> list[Block]:
        text = self.text
        return [
            Block(found["info"].strip(), found["text"], text.count("\n", 0, found.start()) + 2)
            for found in _FENCE.finditer(text)
        ]

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def headings(self) -> list[str]:
        return re.findall(r"^#+ +(.+?) *$", self.prose, re.MULTILINE)

    @property
    def anchors(self) -> set[str]:
        """What a link may name behind `#`, by GitHub's rule."""
        return {anchor(heading) for heading in self.headings}

    @property
    def links(self) -> list[str]:
        return [found["target"] for found in _LINK.finditer(self.prose)]

    def section(self, heading: str) -> str:
        """The text below a heading, down to the next heading of the same or a higher level."""
        lines = self.text.splitlines()
        starts = [n for n, line in enumerate(lines) if re.fullmatch(rf"#+ +{re.escape(heading)} *", line)]
        if not starts:
            raise KeyError(f"{self.name} has no heading {heading!r}")
        level = len(lines[starts[0]]) - len(lines[starts[0]].lstrip("#"))
        end = next((n for n in range(starts[0] + 1, len(lines)) if re.match(rf"#{{1,{level}}} ", lines[n])), len(lines))
        return "\n".join(lines[starts[0] + 1 : end])

    @property
    def commands(self) -> list[Command]:
        """The commands in the page's `console` blocks (lines with a prompt) and `sh` blocks (all lines)."""
        return [
            command
            for block in self.blocks
            if block.info.split()[:1] in (["console"], ["sh"])
            for command in _read(block)
        ]


def _read(block: Block) -> Iterator[Command]:
    lines = enumerate(block.text.splitlines(), block.line)
    for number, line in lines:
        if block.info.startswith("console"):
            if not line.startswith(_PROMPT):
                continue
            line = line.removeprefix(_PROMPT)  # noqa: PLW2901
        elif not line.strip() or line.startswith("#"):
            continue
        while line.endswith("\\"):
            line = line[:-1].rstrip() + " " + next(lines)[1].strip()  # noqa: PLW2901
        yield Command(line.strip(), number)


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading: lower case, no punctuation, blanks as hyphens."""
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.replace(" ", "-")


def every_page() -> list[Page]:
    """All Markdown files that a reader of the project sees."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return [Page(path) for path in sorted(found)]


def page(name: str) -> Page:
    return Page(ROOT / name)
