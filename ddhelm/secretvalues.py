"""Values that look like secrets, and the safe way for each.

What helm is given is kept in the release's history, readable to everyone who may read Secrets of the namespace, shown
by ``helm get values`` and printed by its dry runs; with ``--set`` it stands in the process list as well. So a value
that looks like a secret is refused, by the name of its key or by its form. Masking (``masking``) is generous with what
it hides; this must not refuse what is none, and is held against every key of Datadog's own values.yaml.
"""

import re
from collections.abc import Iterator
from typing import Any

from ddhelm.masking import secret_shaped
from ddhelm.tree import Path

_KEY = re.compile(
    r"(apikey|appkey|applicationkey|password|passwd|passphrase|token|secretkey|privatekey|clientsecret|accesskey"
    r"|connectionstring)$"
)
_HEX = re.compile(r"(?<![0-9A-Za-z])([0-9a-fA-F]{32}|[0-9a-fA-F]{40})(?![0-9A-Za-z])")
# Under these a text of 32 or 40 hex digits is what it looks like: a commit, a checksum.
_DIGEST_KEY = re.compile(
    r"(tag|image|commit|sha|sha1|sha256|revision|digest|checksum|hash|md5|fingerprint|uuid|uid|id)$"
)
_REFERENCE = re.compile(r"%%[^%\s]+%%|ENC\[[^\]]+\]|\$\([\w.-]+\)|\$\{[\w.-]+\}|\{\{.*\}\}")
_PATH = re.compile(r"/[\w.@+-]+(/[\w.@+-]+)*")
_LINE = re.compile(
    r"""^[ \t]*(?:-[ \t]+)?["']?(?P<key>[A-Za-z_][\w.-]*)["']?[ \t]*[:=][ \t]*(?P<value>\S.*?)[ \t]*$""", re.MULTILINE
)
_EMPTY = frozenset({"", "null", "~", "true", "false", '""', "''", "|", ">", "|-", ">-", "none", "[]", "{}"})

API_KEY = (
    "take the key out; it comes from DD_API_KEY or `--api-key-file FILE`, or name your Secret with `--api-key-secret`"
)
APP_KEY = "take the key out; it comes from `--app-key-file FILE`, or name your Secret with `--app-key-secret`"
TOKEN = "take it out; ddhelm makes the Cluster Agent's token itself and keeps it in a Secret"  # noqa: S105 - a hint
OTHER = (
    "keep it in a Secret: `valueFrom.secretKeyRef` in an `env` list, or `datadog.envFrom` and `%%env_NAME%%` in a check"
)


def find(tree: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each value that looks like a secret: its path and the hint. The value itself is never part of the answer."""
    if isinstance(tree, dict):
        name = tree.get("name")
        for key, value in tree.items():
            named = name if key == "value" and isinstance(name, str) else key  # environment: {name: …, value: …}
            if isinstance(value, dict | list):
                yield from find(value, (*path, key))
            elif _is_secret(named, value):
                yield (*path, key), hint((*path, named))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            if isinstance(value, dict | list):
                yield from find(value, (*path, index))
            elif _is_secret(next((step for step in reversed(path) if isinstance(step, str)), ""), value):
                yield (*path, index), hint((*path, index))


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


def _is_secret(key: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return False
    text = str(value).strip()
    if _KEY.search(_plain(key)) and not _is_harmless(text):
        return True
    if not isinstance(value, str):
        return False
    return _has_secret_form(_plain(key), text) or ("\n" in text and _has_secret_line(text))


def _is_harmless(text: str) -> bool:
    """Nothing, a reference to where the secret is, or a path."""
    unquoted = text.strip("\"'")
    return text.lower() in _EMPTY or bool(_REFERENCE.fullmatch(unquoted) or _PATH.fullmatch(unquoted))


def _has_secret_form(key: str, text: str) -> bool:
    hexadecimal = bool(_HEX.search(text))
    if hexadecimal and _DIGEST_KEY.search(key):
        return False
    return hexadecimal or secret_shaped(text)


def _has_secret_line(text: str) -> bool:
    """A check file or script inside a value: ``password: hunter2``."""
    return any(
        _KEY.search(_plain(found["key"])) and not _is_harmless(found["value"].split(" #")[0].strip())
        for found in _LINE.finditer(text)
    )
