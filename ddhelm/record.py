"""Reads Helm's own records: the Secrets in which it stores a release, without asking helm.

``helm list`` decodes every revision of every release (seconds, hundreds of MiB); a label table and one Secret answer
the same question in a tenth of a second.
"""

import datetime
import zlib
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from msgspec import Struct, json

from ddhelm.errors import ReleaseError
from ddhelm.pasting import typed
from ddhelm.reserved import Reserved

Tree = dict[str, Any]

SIZE_LIMIT = 1_048_576
"""Bytes of data that the API server takes in one Secret."""

_SECRET_TYPE = "helm.sh/release.v1"  # noqa: S105 - a type name
# A release unpacks to a few MiB; more than this is a bomb, not a release.
_UNPACKED_LIMIT = 256 * 1024 * 1024
_PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")


class ReleaseRow(Struct, frozen=True):
    """One revision as its Secret's labels tell it; ``modified`` is in unix seconds.

    Helm touches ``modified`` also when a revision is superseded: it is not the time of the deployment.
    """

    namespace: str
    name: str
    revision: int
    status: str
    modified: int | None = None

    @property
    def pending(self) -> bool:
        """Whether an operation of helm is under way at this revision, or was when helm died."""
        return self.status in _PENDING


class Record(Reserved, frozen=True):
    """A release as Helm stored it.

    Times are RFC 3339 text in the zone of whoever installed. ``config`` is what the user gave, not the chart's
    defaults. ``apply_method`` is how the next ``auto`` upgrade of Helm 4 applies: Helm 3 leaves no mark (``csa``).
    ``size`` is the Secret's data in bytes, to be held against ``SIZE_LIMIT``.
    """

    unshown: ClassVar[tuple[str, ...]] = (
        "config",
        "manifest",
    )

    name: str
    namespace: str
    revision: int
    status: str
    chart_name: str
    chart_version: str
    app_version: str
    first_deployed: str
    last_deployed: str
    description: str
    config: Tree
    manifest: str
    apply_method: Literal["ssa", "csa"] = "csa"
    rollback_revision: int | None = None
    size: int = 0
    uid: str = ""
    resource_version: str = ""
    deleted: str = ""
    """When its uninstall began."""

    @property
    def rolled_back(self) -> bool:
        """Whether it is an earlier revision that was brought back; before Helm 4.3 only the description tells."""
        return self.rollback_revision is not None or self.description.startswith("Rollback to ")


def recency(rolled_back: bool, stamp: str) -> tuple[bool, float]:
    """Sorts revisions by whose settings count: the newest upgrade's (``stamp``: RFC 3339).

    A rollback brings old settings back and says nothing about what was wanted.
    """
    return not rolled_back, seconds(stamp)


def seconds(stamp: str) -> float:
    """Unix seconds of a time as the API and Helm write it (RFC 3339, any zone, nanoseconds); 0 where there is none."""
    try:
        return datetime.datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


def secret_name(release: str, revision: int) -> str:
    """The name of the Secret that holds a revision."""
    return f"sh.helm.release.v1.{release}.v{revision}"


def rows(table: str, namespace: str | None) -> tuple[ReleaseRow, ...]:
    """Read kubectl's table of release Secrets, sorted by namespace, name and revision.

    ``table`` is what ``kubectl get secret --no-headers -l owner=helm -L name,status,version,modifiedAt`` prints;
    without a ``namespace`` its first column names it (``-A``).
    """
    found = []
    for line in table.splitlines():
        words = line.split()
        space = namespace if namespace is not None else words.pop(0) if words else ""
        # NAME TYPE DATA AGE, then the labels; the last is empty until the Secret is first updated
        if len(words) >= 7 and words[1] == _SECRET_TYPE and words[6].isdigit():
            found.append(_row(space, words[4], words[5], words[6], words[7] if len(words) > 7 else ""))
    return _in_order(found)


def rows_of(secrets: Iterable[Mapping[str, Any]]) -> tuple[ReleaseRow, ...]:
    """Read the same out of the metadata of these Secrets; those that no release has are left out."""
    found = []
    for metadata in secrets:
        labels = metadata.get("labels") or {}
        name, revision, modified = (labels.get(key, "") for key in ("name", "version", "modifiedAt"))
        if revision.isdigit() and metadata.get("name") == secret_name(name, int(revision)):
            found.append(_row(metadata["namespace"], name, labels.get("status", ""), revision, modified))
    return _in_order(found)


def _row(namespace: str, name: str, status: str, revision: str, modified: str) -> ReleaseRow:
    return ReleaseRow(namespace, name, int(revision), status, int(modified) if modified.isdigit() else None)


def _in_order(found: Iterable[ReleaseRow]) -> tuple[ReleaseRow, ...]:
    return tuple(sorted(found, key=lambda row: (row.namespace, row.name, row.revision)))


def head(of: Iterable[ReleaseRow], name: str) -> ReleaseRow | None:
    """The newest revision of a release, whatever its status."""
    return max((row for row in of if row.name == name), key=lambda row: row.revision, default=None)


def decode(secret: Tree) -> Record:
    """Read the release out of its Secret (as JSON tree): base64 of base64 of gzip of JSON.

    Raises ReleaseError (anchor ``unreadable-release``).
    """
    metadata = secret.get("metadata") or {}
    try:
        packed = secret["data"]["release"]
        release = json.decode(_unpack(b64decode(b64decode(packed))))
        return _record(release, metadata, len(packed) * 3 // 4)
    except (KeyError, TypeError, AttributeError, ValueError, zlib.error) as error:
        raise ReleaseError(
            f"the release Secret `{metadata.get('name', '')}` cannot be read: {type(error).__name__}",
            hint=typed(
                "helm history -n {namespace} {name}",
                namespace=str(metadata.get("namespace", "NAMESPACE")),
                name=_release_of(metadata),
            ),
            anchor="unreadable-release",
        ) from None


def _release_of(metadata: Tree) -> str:
    return str((metadata.get("labels") or {}).get("name", "NAME"))


def _unpack(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data  # Helm 3 still reads records from before it packed them
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    text = unpacker.decompress(data, _UNPACKED_LIMIT)
    if unpacker.unconsumed_tail:
        raise ValueError("unpacks to too much")
    return text


def _record(release: Tree, metadata: Tree, size: int) -> Record:
    info = release["info"]
    chart = (release.get("chart") or {}).get("metadata") or {}
    return Record(
        name=release["name"],
        namespace=release.get("namespace", ""),
        revision=release["version"],
        status=info["status"],
        chart_name=chart.get("name", ""),
        chart_version=chart.get("version", ""),
        app_version=chart.get("appVersion", ""),
        first_deployed=info.get("first_deployed", ""),
        last_deployed=info.get("last_deployed", ""),
        description=info.get("description", ""),
        config=release.get("config") or {},
        manifest=release.get("manifest", ""),
        apply_method="ssa" if release.get("apply_method") == "ssa" else "csa",
        rollback_revision=info.get("rollback_revision") or None,
        size=size,
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        deleted=info.get("deleted") or "",
    )
