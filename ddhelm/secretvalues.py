"""Values that look like secrets, and the safe way for each.

What helm is given is kept in the release's history, readable to everyone who may read Secrets of the namespace, shown
by ``helm get values`` and printed by its dry runs; with ``--set`` it stands in the process list as well. So a value
that looks like a secret is refused: all that would be masked where values are shown (``masking``), but for digests.
A mask over what is no secret is mended there, not here; the rules are held against every key of Datadog's values.yaml.
"""

import re
import secrets
from collections.abc import Iterator
from typing import Any

from ddhelm.masking import Masked, Masker
from ddhelm.tree import Path, Tree

_HEX = re.compile(r"(?<![0-9A-Za-z])([0-9a-fA-F]{32}|[0-9a-fA-F]{40})(?![0-9A-Za-z])")
# Under these a text of 32 or 40 hex digits is what it looks like: a commit, a checksum.
_DIGEST_KEY = re.compile(
    r"(tag|image|commit|sha|sha1|sha256|revision|digest|checksum|hash|md5|fingerprint|uuid|uid|id)$"
)
_MASKER = Masker(secrets.token_bytes(32))

API_KEY = (
    "take the key out; it comes from DD_API_KEY or `--api-key-file FILE`, or name your Secret with `--api-key-secret`"
)
APP_KEY = "take the key out; it comes from `--app-key-file FILE`, or name your Secret with `--app-key-secret`"
TOKEN = "take it out; ddhelm makes the Cluster Agent's token itself and keeps it in a Secret"  # noqa: S105 - a hint
OTHER = (
    "keep it in a Secret: `valueFrom.secretKeyRef` in an `env` list, or `datadog.envFrom` and `%%env_NAME%%` in a check"
)


def find(tree: Tree) -> Iterator[tuple[Path, str]]:
    """Each value that looks like a secret: its path and the hint. The value itself is never part of the answer."""
    yield from _find(tree, _MASKER.values(tree), ())


def _find(tree: Any, masked: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """``masked`` has the form of ``tree``, but for what is one mask whatever it held."""
    if isinstance(tree, dict):
        name = tree.get("name")
        for key, value in tree.items():
            named = name if key == "value" and isinstance(name, str) else key  # environment: {name: …, value: …}
            yield from _at(value, masked[key], named, (*path, key), hint((*path, named)))
    elif isinstance(tree, list):
        near = next((step for step in reversed(path) if isinstance(step, str)), "")
        for index, value in enumerate(tree):
            yield from _at(value, masked[index], near, (*path, index), hint((*path, index)))


def _at(value: Any, masked: Any, key: str, path: Path, safe_way: str) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict | list) and isinstance(masked, dict | list):
        yield from _find(value, masked, path)
    elif _is_secret(key, value, masked):
        yield path, safe_way


def hint(path: Path) -> str:
    """The safe way for what stands at ``path``."""
    words = [_plain(step) for step in path if isinstance(step, str)]
    last = words[-1] if words else ""
    if last.endswith("apikey"):
        return API_KEY
    if last.endswith(("appkey", "applicationkey")):
        return APP_KEY
    return TOKEN if words[-2:] == ["clusteragent", "token"] else OTHER


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


def _is_secret(key: str, value: Any, masked: Any) -> bool:
    if isinstance(masked, Masked):
        return bool(value != "")
    if not isinstance(value, str):
        return False
    if _DIGEST_KEY.search(_plain(key)):
        value = _HEX.sub("", value)
        masked = _MASKER.keyed(key, value)
    return bool(masked != value or _HEX.search(value))
