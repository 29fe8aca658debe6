"""Writes a file whole or not at all: what a reader finds under a name is never a half of it."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of ``path``, for its owner only; raises OSError, and then what stood there stands."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(beside).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(beside).unlink()
        raise
