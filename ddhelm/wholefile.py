"""Reads a file that was named, and writes one whole or not at all: nobody finds a half of it under its name."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})


def path(name: str) -> Path:
    """The path of that name, with `~` and `~USER` as a shell reads them; raises OSError for a user that is not known.

    A container's user is often a number alone, with neither HOME nor an entry among the users.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError:
        user = name.partition("/")[0].removeprefix("~")
        why = f"there is no user {user}" if user else "no HOME is set, and this user has no folder"
        raise FileNotFoundError(errno.ENOENT, why) from None


def spelled(name: str) -> str:
    """That path for a command to type, where a quoted `~` is only a letter; the name where there is no such user."""
    with suppress(OSError):
        return str(path(name))
    return name


def missing(path: Path) -> bool:
    """Whether nothing stands there. What may not be looked at counts as there: who opens it is told why not."""
    try:
        path.stat()
    except OSError as error:
        return error.errno in _NOTHING
    return False


def read(name: str, limit: int) -> bytes:
    """At most ``limit`` bytes of the file of that name, or of standard input for ``-``; raises OSError."""
    if name == "-":
        return sys.stdin.buffer.read(limit)
    with path(name).open("rb") as stream:
        return stream.read(limit)


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of ``path``, for its owner only; raises OSError, and then what stood there stands."""
    with _written_beside(path, data) as beside:
        beside.replace(path)


def create(path: Path, data: bytes) -> None:
    """Put ``data`` under a name that is free, for its owner only; raises OSError (FileExistsError where it is not)."""
    with _written_beside(path, data) as beside:
        try:
            os.link(beside, path)  # unlike a rename it never replaces
        except OSError as error:
            if error.errno not in _NO_LINKS or os.path.lexists(path):
                raise
            beside.rename(path)  # a memory stick's file system knows no links


@contextmanager
def _written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """The content in a file of its own in that folder, flushed to the disk; what is left of it goes in the end."""
    import tempfile  # here: most runs only read

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield Path(name)
    finally:
        with suppress(OSError):
            Path(name).unlink()
