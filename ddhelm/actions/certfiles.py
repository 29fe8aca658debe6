"""Reads and writes the files of certificates and keys.

A key is written for its owner alone, never over something that stands there, and whole or not at all: a full disk or a
read-only folder leaves nothing behind.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ddhelm import wholefile
from ddhelm.answers import CLIENT_CERTIFICATE
from ddhelm.errors import ConfigError
from ddhelm.pasting import typed

LIMIT = 1024 * 1024
"""No certificate or key comes near this many bytes."""

CERTIFICATE, KEY, CA, REQUEST = CLIENT_CERTIFICATE, "etcd-client.key", "etcd-ca.crt", "etcd-client.csr"


def read(name: str) -> bytes:
    """A file's bytes; ConfigError for one that is missing, a folder, unreadable, or too large for a certificate."""
    spelled = wholefile.spelled(name)
    look = typed("ls -l {path}", path=spelled)
    try:
        path = wholefile.path(name)
        if stat.S_ISDIR(path.stat().st_mode):
            raise ConfigError(f"`{name}` is a folder", hint=typed("ls {path}", path=spelled), anchor="certificate-file")
        with path.open("rb") as stream:
            data = stream.read(LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"`{name}` cannot be read: {error.strerror}", hint=look, anchor="certificate-file") from None
    if len(data) > LIMIT:
        raise ConfigError(f"`{name}` is larger than 1 MiB: no certificate or key", hint=look, anchor="certificate-file")
    return data


def free(folder: str, files: Mapping[str, bytes]) -> None:
    """ConfigError where one of the files could not be written; called before anything is made."""
    place = _folder(folder)
    taken = [name for name in files if not _may_stand(place / name, files[name])]
    if taken:
        raise ConfigError(
            f"`{Path(folder) / taken[0]}` exists and is not overwritten",
            hint="name another folder, or move it away",
            anchor="certificate-file-exists",
            details=[f"`{name}` exists" for name in taken] if len(taken) > 1 else (),
        )


def write(folder: str, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write all of the files (0600) or none; a file that already holds the same bytes is left as it is."""
    free(folder, files)
    place = _folder(folder)
    made: list[Path] = []
    try:
        for name, data in files.items():
            if not (place / name).exists():
                wholefile.create(place / name, data)
                made.append(place / name)
    except OSError as error:
        for path in made:
            with suppress(OSError):
                path.unlink()
        hint = typed("df -h {place}; ls -ld {place}", place=str(place))
        raise ConfigError(
            f"nothing was written to `{folder}`: {error.strerror}", hint=hint, anchor="certificate-folder"
        ) from None
    return tuple(place / name for name in files)


def _folder(name: str) -> Path:
    try:
        place = wholefile.path(name)
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        why = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigError(
            f"the folder `{name}` cannot be used: {why}",
            hint=typed("ls -ld {above}", above=str(Path(wholefile.spelled(name)).parent)),
            anchor="certificate-folder",
        ) from None
    return place


def _may_stand(path: Path, data: bytes) -> bool:
    try:
        return not os.path.lexists(path) or (path.suffix == ".crt" and path.read_bytes() == data)
    except OSError:
        return False
