"""A support dump: parts as files of one archive, each masked once more, with a page that says what is in it.

Whatever made a part, its texts pass through the masks of this run before they are put in. A part that could not be
read is there too: as a file that says why.
"""

import io
import tarfile
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ddhelm.masking import Masked, Masker

README = "README.md"
SIZE = 32 * 1024 * 1024
"""Bytes of one part, at most; a longer one is cut and says so."""


class Part(Struct, frozen=True):
    """A file of the archive: its ``name`` there, what it is ``about``, and its text, or why there is none (``error``).

    ``details`` are further lines of the error.
    """

    name: str
    about: str
    text: str = ""
    error: str = ""
    details: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The name in the archive; one that could not be read says so."""
        return f"{self.name}.not-read.txt" if self.error else self.name

    @property
    def content(self) -> str:
        """What stands in the file."""
        if not self.error:
            return self.text if len(self.text) <= SIZE else f"{self.text[:SIZE]}\n… cut here by ddhelm\n"
        return "\n".join([self.error, *(f"  {each}" for each in self.details)]) + "\n"


def leaves(tree: Any, masker: Masker, key: str = "") -> Any:
    """The tree with each of its texts masked by the ``key`` above it and by its form; what is masked stays as it is.

    Texts in a list have no key: a list of the names of keys holds none.
    """
    if isinstance(tree, Masked):
        return tree
    if isinstance(tree, str):
        return masker.keyed(key, tree)
    if isinstance(tree, dict):
        name = tree.get("name")
        named = name if isinstance(name, str) else "value"
        return {each: leaves(value, masker, named if each == "value" else str(each)) for each, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [leaves(each, masker) for each in tree]
    return tree


def readme(parts: Sequence[Part], version: str, made: str) -> str:
    """The page that comes first in the archive."""
    width = max((len(part.file) for part in parts), default=0)
    rows = [f"    {part.file.ljust(width)}  {'NOT READ: ' if part.error else ''}{part.about}" for part in parts]
    return "\n".join(
        [
            "# Support dump of ddhelm",
            "",
            f"Made by ddhelm {version} at {made}. It was written to a file and sent nowhere. Read it before you",
            "pass it on: every file is plain text.",
            "",
            "What looks like a secret is masked (`***` and twelve hex digits; equal secrets have equal masks within",
            "this archive): all that Secrets hold, what stands beside the name of a key, password or token, and what",
            "has the form of a Datadog key, a JWT or a private key. No kubeconfig, no environment and no private key",
            "was read. Names of nodes, namespaces and images, and addresses, are left as they are. A secret that looks",
            "like none, in a place where none is expected, cannot be recognised: that is why to read it first.",
            "",
            *rows,
            "",
        ]
    )


def archive(folder: str, parts: Sequence[Part], first: str, seconds: int) -> bytes:
    """A tar.gz of ``folder``: the page ``first``, then the parts; ``seconds`` (Unix) is the time of all files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=6) as tar:
        for name, text in ((README, first), *((part.file, part.content) for part in parts)):
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), seconds, 0o600
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()
