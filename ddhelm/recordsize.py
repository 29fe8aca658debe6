"""How big the record of a release will be, before Helm tries to store it.

Helm keeps chart (without its sub-charts), values and manifest in one Secret as JSON, packed by gzip and then written as
base64; a Secret holds 1 MiB. Packing costs time, so it is done only where a bound says that it may matter. Held against
records that Helm 3.22 and 4.3 stored: within two in a hundred.
"""

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Mapping

from ddhelm.manifest import Manifest
from ddhelm.tree import Tree

LIMIT = 1024 * 1024
NEAR = LIMIT * 9 // 10
"""From here on a record is worth a line."""
_MOST = 2.25
"""Bytes of a record for each byte of a packed chart, at most: 2.07 to 2.21 with sub-charts, from 3.60 to 3.240."""
_UNPACKED = 5
"""Bytes of a record for each character that is not packed, at most: three of UTF-8, and base64 makes four of three."""
_REST = 3000
"""Bytes of what else is in a record: name, notes, times."""


def forecast(values: Tree, manifest: Manifest, archive: int | None, files: Callable[[], Mapping[str, str]]) -> int:
    """Bytes of the record, not less than they will be where that is below ``NEAR``.

    ``archive`` is the size of the packed chart, None for a folder; ``files`` gives text by path in the chart.
    """
    texts = [json.dumps(values), *(obj.text or json.dumps(obj.unmasked()) for obj in manifest.objects.values())]
    if archive is not None:
        most = round(archive * _MOST) + _REST
        if (unpacked := most + sum(map(len, texts)) * _UNPACKED) < NEAR:
            return unpacked
    own = _packed(texts)
    if archive is not None and most + own < NEAR:
        return most + own
    own += _REST
    chart = (_kept(name, text) for name, text in files().items() if not name.startswith("charts/"))
    return _packed(chart) + own


def _kept(name: str, text: str) -> str:
    """A chart's file as a record has it: its values parsed, without the comments, the others as base64."""
    if name == "values.yaml":
        return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


def _packed(texts: Iterable[str]) -> int:
    packer = zlib.compressobj(6)
    size = sum(len(packer.compress(text.encode("utf-8", "replace"))) for text in texts)
    return (size + len(packer.flush())) * 4 // 3
