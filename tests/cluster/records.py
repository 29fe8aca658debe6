"""Helm's own records of a release, unpacked and packed again: to make a revision look as old as a test needs it."""

import base64
import datetime
import gzip
import json
from typing import Any

from tests.sandbox.sandbox import Sandbox


def age(sandbox: Sandbox, release: str, revision: int, *, seconds: float) -> None:
    """Have the revision been written that long ago."""
    path = _path(release, revision)
    record = _unpacked(sandbox, path)
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    record["info"]["last_deployed"] = then.isoformat()
    again = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(record).encode()))).decode()
    labels = {"modifiedAt": str(int(then.timestamp()))}
    sandbox.loader.merge(path, {"data": {"release": again}, "metadata": {"labels": labels}})


def record(sandbox: Sandbox, release: str, revision: int) -> dict[str, Any]:
    """All that Helm keeps of the revision."""
    return _unpacked(sandbox, _path(release, revision))


def status(sandbox: Sandbox, release: str, revision: int) -> str:
    """What the record itself says of the revision, whatever its label says."""
    return str(_unpacked(sandbox, _path(release, revision))["info"]["status"])


def _path(release: str, revision: int) -> str:
    return f"/api/v1/namespaces/datadog/secrets/sh.helm.release.v1.{release}.v{revision}"


def _unpacked(sandbox: Sandbox, path: str) -> dict[str, Any]:
    packed = base64.b64decode(base64.b64decode(sandbox.api_get(path)["data"]["release"]))
    return dict(json.loads(gzip.decompress(packed)))
