"""Secrets never come further than the parser: what looks like one is replaced by a mask as soon as it is read.

A mask is a short hash keyed with a random key of this run: equal secrets stay visibly equal inside one run, and
there is no length, no plain text and, without the key, nothing to guess against. What counts as a secret is decided
by type (a Secret's data), by the name of the key beside it, and by shape (Datadog keys, JWTs, private keys).
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

_SECRET_WORDS = re.compile(
    # `secret_backend_…` and its like say where secrets are kept; what looks like one in their values is still masked.
    r"passw(or)?d|passphrase|(^|[^a-z])(pw|pwd)([^a-z]|$)|token|credential|creds$|"
    # glued to what it opens; `bypass` and `compass` are none
    r"(^|[^a-z]|pg|db|sql|user|admin|root|redis|mongo|smtp|ftp|ldap|http|proxy|app|svc|service|login|key|store)pass$|"
    r"(^|[^a-z])cred$|[^a-z]salt$|"
    r"secret(?![^a-z]?(backend|refresh|audit|scope|allowed|image)([^a-z]|$))|"
    r"(api|app|application|access|auth|priv|private|license|encryption|signing|session|client|shared|account|master)"
    r"[^a-z]?key|authorization|bearer|cookie|(^|[^a-z])(dsn|jwt|sas)$|connection[^a-z]?string|"
    r"(^|[^a-z])community([^a-z]?string|$)|(slack|teams|discord)[^a-z]?webhook([^a-z]?ur[il])?$"
)
# A user and password in one. `…_auth` otherwise says how somebody proves who he is; in the environment it is the proof.
_BASIC_AUTH = re.compile(r"(^|[^a-z])basic[^a-z]?auth$")
_AUTH_VARIABLE = re.compile(r"([A-Z0-9]+_)*AUTH")
_AUTH_KINDS = frozenset(
    {
        "0",
        "1",
        "on",
        "off",
        "yes",
        "no",
        "y",
        "n",
        "enabled",
        "disabled",
        "required",
        "optional",
        "plain",
        "login",
        "trust",
    }
    | {"basic", "bearer", "digest", "ntlm", "kerberos", "ldap", "oauth", "oauth2", "oidc", "iam", "md5", "tls", "mtls"}
)
# What stands beside such a word and makes the value harmless: where the secret is kept, not what it is.
_HARMLESS_ENDING = re.compile(
    r"(name|path|file|dir|directory|auth|enabled|type|ttl|timeout|interval|refresh|command|provider|namespace|"
    r"selector|version|mode|audience|expiration|seconds|existing[^a-z]?secret|count|checks?|ref|size|limit|"
    r"annotations?|labels?)$"
)
_PATH_KEY = re.compile(r"((priv(ate)?|client)[^a-z]?key|credentials?)$")
_PATH = re.compile(r"/[\w.@+-]+(/[\w.@+-]+)+")
_REFERENCE = re.compile(
    r"(?:(?:[Bb]earer|[Bb]asic|[Tt]oken)[ \t]+)?"
    r"(?:\$\([\w.-]+\)|\$\{(?:env:)?[\w.-]+\}|%%[^%\s]+%%|ENC\[[^\]\n]+\]|\{\{[-\s]*[.$(][^{}]*\}\}|<[A-Z][A-Z0-9_ ]*>)"
)
_MAP = re.compile(r"""\{[ \t]*["']?[A-Za-z_][\w./-]*["']?[ \t]*:[ \t]""")  # each key in it is judged by itself
# What YAML and shells write for nothing, and where a block, list or map begins.
_EMPTY = frozenset({"true", "false", "null", "~", "none", "[]", "{}", "|", ">", "|-", ">-", "|+", ">+", "#"})
_COMMENT = re.compile(r"(?:^|[ \t])#[ \t].*")
_MASK = re.compile(r"\*\*\*[0-9a-f]{12}")
# A password in an address that stands for one.
_STAND_IN = r"(?:%%[^%\s]{1,99}%%|ENC\[[^\]\s]{1,299}\]|<[A-Z0-9_]{1,99}>)@"
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    # A password may hold `@` and `/`; what stands before a path with `@` in it is a port.
    rf"|(?<=://)(?!\[)[^/\s:@]*:(?!{_STAND_IN})"
    r"(?:(?![0-9]{1,5}[/?#]|[%$<{]|ENC\[|port\b)[^\s@\"'<>\\]{1,199}+(?=@)|[^/\s@]+)"
    r"(?:@[^/\s@?#,;&\"'<>\\]+)*(?=@)"
    r"|(?<![0-9A-Za-z])(?:[0-9a-f]{40}|[0-9a-f]{32})(?![0-9A-Za-z])"  # Datadog application and API key
    r"|(?<=[Bb]asic )(?=[A-Za-z+/]*[0-9=])[A-Za-z0-9+/]{8,}={0,2}(?![A-Za-z0-9+/=])"
    r"|(?:(?<=[?&]sig=)|(?<=[?&]X-Amz-Signature=)|(?<=[?&]X-Goog-Signature=)|(?<=[?&]Signature=))"
    r"(?!\*\*\*|%%|[$<{])[^\s&\"'<>\\]{8,}"  # whoever has the signed address may do what it says
    r"|\bdd(?:app|api|pat)_\w{20,}|\bAKIA[0-9A-Z]{16}\b|\bgh[a-z]_\w{30,}|\bxox[a-z]-[\w-]{10,}",
    re.DOTALL,
)
_TYPED = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32})(?![0-9A-Za-z])")
# Whoever knows the path may post; the host stays readable.
_WEBHOOK = re.compile(
    r"""((?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks"""
    r"""|\.webhook\.office\.com/webhookb2|outlook\.office(?:365)?\.com/webhook)/)([^\s"'<>\\]+)"""
)
# Those that are seldom needed are text, compiled on first use: a start pays for all others.
# How Go names a database: `user:password@tcp(host:3306)/name`.
_GO_DSN = (
    rf"""((?<![^\s"'`=(,;])[^\s"'`=(,;:@/]{{1,99}}+:)(?!{_STAND_IN})([^\s"'`]{{1,199}}?)(?=@(?:tcp|udp|unix)[46]?\()"""
)
# Docker's logins, in a text that has `auths`: user and password in base64.
_DOCKER_AUTH = r"""((?<![\w./-])\\?["']?auth\\?["']?[ \t]*:\s*\\?["']?)(?=[a-z+/]*[A-Z0-9=])([A-Za-z0-9+/]{8,}={0,2})"""
# Prose: `the token abc123def`. A word without a digit goes on with the sentence, a path says where the token is.
_SPOKEN = re.compile(
    r"""((?<![\w./-])(?:[Tt]oken|TOKEN|[Bb]earer|BEARER|[Pp]assword|PASSWORD)[ \t]+["'`]?)"""
    r"""(?=[\w.~+=/-]{0,99}[0-9])([\w~+=][\w.~+=/-]{5,}+)"""
)
_QUOTES = frozenset("\\\"'")
_SHORTEST_SHAPE = 15
_OFTEN = 64
"""Texts up to this length come again and again in objects (labels, names, paths): each is read once."""
_LONGEST_CHAIN = 100  # a=b=c=…: one call within the other for each, and Python allows a thousand
_KEY = r"[A-Za-z_][\w./-]{0,99}+"
# In a string of JSON, and in one inside that, a line break is `\\n`, `\\\\n` …: a value ends there, a key begins there.
_BEGIN = r"(?:(?<![\w./\\])|(?<=\\n)|(?<=\\)(?!n))"
_BACKSLASH = rf"""\\(?!\\{{0,15}}(?:["']|n(?:["'\s\\#-]|\Z|{_KEY}[ \t]*[:=])))"""
_CONTINUED = r"\\(?:\n|(?:\\{2}|\\{5}|\\{11})n)"  # a shell goes on in the next line
_QUOTED = r""""(?:\\.|[^"\\\n])*"|'[^'\n]*'"""
_ESCAPED = r"""(?P<escape>\\{1,15})"[^"\n]*?(?P=escape)\""""
_SCHEME = r"(?:[Bb]earer|[Bb]asic|[Tt]oken)[ \t]+"
_ALONE = (
    r"""(?:ENC\[[^\]\n]{0,299}\]|<[A-Z][A-Z0-9_ ]{0,99}>|\$\{(?:env:)?[\w.-]{1,99}\})"""
    rf"""(?![^\s,;&"'}}\]\\]|{_BACKSLASH})"""
)
_VALUE = (
    # A map or list that begins here is judged by the keys inside it: `instance: {password: …}`.
    rf"""(?P<value>[{{\[]+(?=[ \t]*["']?{_KEY}["']?[ \t]*[:=])"""
    rf"""|{_QUOTED}|{_ESCAPED}|{_SCHEME}(?:[^\s"',;\\]|{_BACKSLASH})+|\[[^\[\]{{}}\n]{{0,299}}\]|{_ALONE}"""
    # `connect(password='…')`: the quotes belong to the call, or nobody would look into them
    rf"""|(?:[^\s,;&"'}}\]\\]++|{_BACKSLASH}|(?<=[:=])(?:{_QUOTED}))++)"""
)
_PAIR = re.compile(
    rf"""(?P<head>(?P<quote>\\{{0,15}}["']?){_BEGIN}(?P<key>{_KEY})(?P=quote)"""
    rf"""[ \t]*[:=](?:[ \t]|{_CONTINUED})*+){_VALUE}"""
)
# `{"name": "DB_PASSWORD", "value": …}`, as of an environment, is judged by the name; in one map, and in either order.
_GAP = r"""(?:[\s,;]|\\n)(?:(?:(?!-[ \t]|name\b)[^{}\[\]<>]){0,99}?(?:[\s,;]|\\n))??"""
_NAME = rf"""(?P<mark>\\?["']?){_BEGIN}name(?P=mark)[ \t]*[:=][ \t]*(?P<quote>\\?["']?)(?P<key>{_KEY})(?P=quote)"""
_NAME_VALUE = rf"(?P<head>{_NAME}{_GAP}(?P=mark)value(?P=mark)[ \t]*[:=][ \t]*){_VALUE}(?P<tail>)"
_VALUE_NAME = (
    rf"""(?P<head>(?P<before>\\?["']?){_BEGIN}value(?P=before)[ \t]*[:=][ \t]*)"""
    rf"""(?P<value>{_QUOTED}|{_ESCAPED}|{_ALONE}|(?:{_SCHEME})?[^\s,;&"'{{}}\[\]\\]{{1,199}}+)(?P<tail>{_GAP}{_NAME})"""
)
_NAME_LINE = r"""(?P<lead>[ \t]*(?:-[ \t]+)*)(?P<key>name|value)[ \t]*(?::(?=[ \t]|$)|=)[ \t]*(?P<value>.*)"""
_ELEMENT = (
    r"(?P<head><(?:[\w.-]{1,99}:)?(?P<key>[A-Za-z_][\w.-]{0,99}+)(?:\s[^<>]{0,299})?>\s*+(?:<!\[CDATA\[)?)"
    r"(?P<value>[^<\s][^<]*?)(?P<tail>(?:\]\]>)?</(?:[\w.-]{1,99}:)?(?P=key)>)"
)
_LINE = re.compile(
    rf"""(?P<lead>[ \t]*(?:-[ \t]+)*)(?P<head>["']?(?P<key>{_KEY})["']?[ \t]*[:=][ \t]*)(?P<value>\S.*)"""
)
_STRING = re.compile(r'''(?<!\\)"((?:[^"\\\n]++|\\.)++)"''')
# YAML's long form of a key and its value: `? password`, and `: …` below.
_ASKED = rf"""[ \t]*(?:-[ \t]+)*\?[ \t]+["']?(?P<key>{_KEY})["']?[ \t]*"""
_ANSWER = r"(?P<lead>[ \t]*)(?P<head>:[ \t]+)(?P<value>\S.*)"
_BARE = re.compile(rf"""(?P<lead>[ \t]*(?:-[ \t]+)*)["']?(?P<key>{_KEY})["']?[ \t]*:[ \t]*""")
_ITEM = re.compile(r"(?P<lead>[ \t]*)(?P<dash>-[ \t]+)?(?!.*:(?:\s|$))(?P<value>[^\s#{}\[\]|>&*!?-].*)")
_OPTION = re.compile(
    r"(?P<head>(?<![\w-])--?(?P<key>[A-Za-z][\w.-]{0,99}+)"
    rf"(?:[ \t]|{_CONTINUED})++)(?P<value>{_MASK.pattern}|(?:[^\s\\-]|{_BACKSLASH})(?:[^\s\\]++|{_BACKSLASH})*+)"
)
_HINT = re.compile(
    r"(?i)pass|pw(?![a-ce-z])|secret|token|cred|salt|key|auth|bearer|cookie|dsn|jwt|sas|string|community|hook"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Nine tenths of a render: schemas, prose and rules, which have no place for a secret below their metadata.
_PLAIN_KINDS = frozenset(
    {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"}
)
_NAMES_OF_SECRETS = re.compile(r"(^|[pP]ull)[sS]ecrets$")  # a list of texts below: what Secrets are called
_WORKLOAD_PARTS = frozenset({"command", "args"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Masked(str):
    """What is shown instead of a secret: ``***`` and twelve hex digits. The secret itself is nowhere in it."""

    __slots__ = ()


@lru_cache(maxsize=4096)
def secret_looking(key: str) -> bool:
    """Whether a value under this key is to be masked: ``DD_API_KEY``, ``dbPassword``, ``token``; not ``token_path``."""
    if _AUTH_VARIABLE.fullmatch(key) or _basic_auth(key):
        return True
    words = _words(key)
    return bool(_SECRET_WORDS.search(words)) and not _HARMLESS_ENDING.search(words)


def secret_shaped(value: str) -> bool:
    """Whether a value is a secret by its form, whatever its key: Datadog keys, JWTs, private keys, URLs with one."""
    return bool(_SHAPES.search(value) or _WEBHOOK.search(value) or re.search(_GO_DSN, value))


def untold(text: str, words: Iterable[str] = ()) -> str:
    """The text with ``***`` for what is a secret by its form, also in capitals, and for secrets in ``words``.

    For messages that quote a command line: a key may have been typed in the wrong place.
    """
    masker = Masker(b"")
    for word in words:
        for part in (word, word.partition("=")[2] if word.startswith("--") else ""):
            if (masked := masker.text(part)) != part:
                text = text.replace(part, _MASK.sub("***", masked))
    return _TYPED.sub("***", _SHAPES.sub("***", text))


class Masker:
    """Replaces secrets by masks; one for a run, so that equal secrets stay equal everywhere.

    ``key`` is random (32 bytes); ``literals`` are secrets known by their value, wherever they turn up in a text.
    """

    __slots__ = ("_key", "_known", "_literals")

    def __init__(self, key: bytes, literals: Iterable[str] = ()) -> None:
        self._key = key
        self._known: dict[str, str] = {}
        known = {literal for literal in literals if literal}
        known |= {b64encode(literal.encode()).decode() for literal in known}
        longest_first = sorted(known, key=len, reverse=True)
        self._literals = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def __repr__(self) -> str:
        return "Masker(***)"

    def same_key(self, other: "Masker") -> bool:
        """Whether the masks of the two can be compared."""
        return self._key == other._key

    def value(self, secret: Any) -> Masked:
        """The mask of one value; a mask stays what it is."""
        if isinstance(secret, Masked):
            return secret
        data = secret if isinstance(secret, str) else repr(secret)
        digest = hashlib.blake2b(data.encode("utf-8", "surrogatepass"), key=self._key, digest_size=6)
        return Masked(f"***{digest.hexdigest()}")

    def keyed(self, key: str, value: Any) -> Any:
        """The value that stands under ``key``: masked whole if the key looks secret, else as ``text`` does."""
        if not isinstance(value, str):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return self.value(value) if number and secret_looking(key) else value
        return self.value(value) if secret_looking(key) and not _harmless(key, value) else self.text(value)

    def text(self, text: str) -> str:
        """Any text with what looks like a secret in it masked: check files, arguments, helm's stderr, events."""
        if isinstance(text, Masked):
            return text
        if len(text) > _OFTEN:
            return self._read(text)
        if (known := self._known.get(text)) is None:
            known = self._known[text] = self._read(text)
        return known

    def _read(self, text: str) -> str:
        if self._literals is not None:
            text = self._literals.sub(lambda found: self.value(found[0]), text)
        if len(text) >= _SHORTEST_SHAPE:
            text = _SHAPES.sub(lambda found: self.value(found[0]), text)
            if "@" in text and "(" in text:
                text = re.sub(_GO_DSN, self._behind, text)
        if _HINT.search(text):
            if "/" in text:
                text = _WEBHOOK.sub(self._behind, text)
            if "</" in text:
                text = re.sub(_ELEMENT, self._beside, text)
            if "auths" in text:
                text = re.sub(_DOCKER_AUTH, self._behind, text)
            text = self._lines(text)
            if '"' in text:
                text = _STRING.sub(self._string, text)
            if "name" in text and "value" in text:
                text = re.sub(_NAME_VALUE, self._beside, text)
                text = re.sub(_VALUE_NAME, self._beside, text)
            text = _PAIR.sub(self._pair, text)
            text = _OPTION.sub(self._pair, text)
            text = _SPOKEN.sub(self._behind, text)
        return text

    def _behind(self, found: re.Match[str]) -> str:
        """The second group masked behind the first."""
        return (
            found[0] if _MASK.fullmatch(found[2]) or _REFERENCE.fullmatch(found[2]) else found[1] + self.value(found[2])
        )

    def _lines(self, text: str) -> str:
        """The text with the values of YAML and INI lines masked to their end, what is indented below them included."""
        lines = text.split("\n")
        named = _named(lines) if "? " in text or ("name" in text and "value" in text) else {}
        out: list[str] = []
        at = 0
        while at < len(lines):
            key, found = named.get(at, ""), None
            if key:
                found = _LINE.fullmatch(lines[at]) or re.fullmatch(_ANSWER, lines[at])
            elif _HINT.search(lines[at]) and (found := _LINE.fullmatch(lines[at])):
                key = found["key"]
            at += 1
            if found is None or not secret_looking(key):
                out.append(lines[at - 1])
                below = self._items(lines, at)
                out += below
                at += len(below)
                continue
            deeper = at
            while deeper < len(lines) and (
                _indent(lines[deeper]) > len(found["lead"]) or lines[deeper - 1].endswith("\\")
            ):
                deeper += 1
            while deeper > at and not lines[deeper - 1].strip():
                deeper -= 1
            value = "\n".join([found["value"], *lines[at:deeper]]).rstrip()
            # what is a comment behind `=` depends on who reads it: there it may be the secret
            spoken = found["value"] if found["head"].rstrip().endswith("=") else _COMMENT.sub("", found["value"])
            alone = _unquoted(spoken.strip())[1].strip()
            if deeper == at and _harmless(key, alone):
                out.append(lines[at - 1])
            else:
                quote, inner = _unquoted(value)
                out.append(f"{found['lead']}{found['head']}{quote}{self.value(inner)}{quote}")
            at = deeper
        return "\n".join(out)

    def _string(self, found: re.Match[str]) -> str:
        """A string of JSON, masked as the text that it stands for: lines, and JSON again."""
        text = inner = found[1]
        if not _HINT.search(inner):
            return found[0]
        if escaped := "\\" in inner:
            try:
                text = json.loads(found[0], strict=False)
            except ValueError:  # a shell's, say
                return found[0]
        masked = self._read(text)
        if masked == text:
            return found[0]
        return json.dumps(masked, ensure_ascii=inner.isascii()) if escaped else f'"{masked}"'

    def _items(self, lines: list[str], at: int) -> list[str]:
        """The lines from ``at`` that are values of the key alone on the line before, masked if it looks secret."""
        above = _BARE.fullmatch(lines[at - 1]) if _HINT.search(lines[at - 1]) else None
        out: list[str] = []
        if above is None or not secret_looking(above["key"]) or _NAMES_OF_SECRETS.search(above["key"]):
            return out
        for index in range(at, len(lines)):
            item = _ITEM.fullmatch(lines[index])
            if item is None or len(item["lead"]) + bool(item["dash"]) <= len(above["lead"]):
                break
            quote, inner = _unquoted(item["value"].rstrip())
            alone = _unquoted(_COMMENT.sub("", item["value"]).strip())[1].strip()
            shown = inner if _harmless(above["key"], alone) else self.value(inner)
            out.append(f"{item['lead']}{item['dash'] or ''}{quote}{shown}{quote}")
        return out

    def _beside(self, found: re.Match[str]) -> str:
        """The value masked whose name stands somewhere beside it."""
        if not secret_looking(found["key"]) or _harmless(found["key"], _unquoted(found["value"].strip())[1]):
            return found[0]
        quote, inner = _unquoted(found["value"])
        return f"{found['head']}{quote}{self.value(inner)}{quote}{found['tail']}"

    def _pair(self, found: re.Match[str]) -> str:
        quote, inner = _unquoted(found["value"])
        if not secret_looking(found["key"]):
            if not quote and inner.count("=") + inner.count(":") > _LONGEST_CHAIN:
                return f"{found['head']}{self.value(inner)}"
            return found["head"] + _PAIR.sub(self._pair, found["value"])
        if _harmless(found["key"], inner):
            return found[0]
        if inner.startswith("["):
            return f'{found["head"]}["{self.value(inner)}"]'  # JSON stays JSON
        return f"{found['head']}{quote}{self.value(inner)}{quote}"

    def body(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of an object with its secrets masked by type: nothing of a Secret's data, of keys that look secret
        in ConfigMaps, environments, annotations and arguments is left. Masking twice is masking once.
        """
        kind = tree.get("kind")
        if isinstance(kind, str) and kind in _PLAIN_KINDS:
            metadata = tree.get("metadata")
            return {**tree, "metadata": self._walk("metadata", metadata)} if metadata else dict(tree)
        return self.values(tree)

    def values(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of a tree of Helm's values, of whatever kind it calls itself; objects inside it are masked by type."""
        return {key: self._walk(key, value, tree.get("kind")) for key, value in tree.items()}

    def _walk(self, key: str, value: Any, kind: Any = None) -> Any:
        if isinstance(value, str):
            if key == _LAST_APPLIED:  # the whole object as one text, Secrets included
                return self.value(value)
            return self.keyed(key, value)
        if isinstance(value, dict):
            return self._map(key, value, kind)
        if not isinstance(value, list):
            return self.keyed(key, value)
        if key in _WORKLOAD_PARTS:
            return self._arguments(value)
        named = "" if _NAMES_OF_SECRETS.search(key) else key
        return [self._walk(named, item) for item in value]

    def _map(self, key: str, tree: dict[str, Any], kind: Any) -> dict[str, Any]:
        if (kind == "Secret" and key in ("data", "stringData")) or (kind == "ConfigMap" and key == "binaryData"):
            return {k: None if v is None else self.value(v) for k, v in tree.items()}
        name = tree.get("name")
        if isinstance(name, str) and "value" in tree:  # environment, HTTP headers
            return {k: self._walk(name if k == "value" else k, v) for k, v in tree.items()}
        return self.values(tree)

    def _arguments(self, items: list[Any]) -> list[Any]:
        out: list[Any] = []
        option = ""
        for item in items:
            if isinstance(item, str):
                out.append(self.keyed(option, item))
                option = item.lstrip("-") if item.startswith("-") and "=" not in item else ""
            else:
                out.append(self._walk("", item))
        return out


def constant(tree: Any) -> Any:
    """The tree with every mask replaced by ``***``: masks differ from run to run, digests must not."""
    if isinstance(tree, str):
        return _MASK.sub("***", tree) if "***" in tree else str(tree)
    if isinstance(tree, dict):
        return {key: constant(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [constant(item) for item in tree]
    return tree


def _unquoted(value: str) -> tuple[str, str]:
    """The quotes around a value and what is between them."""
    if value[:1] not in _QUOTES:
        return "", value
    escapes = len(value) - len(value.lstrip("\\"))
    for quote in ("\\" * escapes + '"', "'"):
        if len(value) >= 2 * len(quote) and value.startswith(quote) and value.endswith(quote):
            return quote, value[len(quote) : -len(quote)]
    return "", value


def _named(lines: list[str]) -> dict[int, str]:
    """By the number of its line: what a value is of, told by another line of its map.

    `- name: DB_PASSWORD` and `value: …` in either order, `? password` and `: …` below it.
    """
    found: dict[int, str] = {}
    last: dict[int, tuple[int, re.Match[str]]] = {}  # by column
    for at, line in enumerate(lines):
        if asked := re.fullmatch(_ASKED, line):
            found[at + 1] = asked["key"]
        if (this := re.fullmatch(_NAME_LINE, line)) is None:
            continue
        column = len(this["lead"])
        before, other = last.get(column, (0, None))
        last[column] = at, this
        if other is None or other["key"] == this["key"] or "-" in this["lead"]:
            continue
        if all(_indent(between) >= column for between in lines[before + 1 : at]):
            here, name = (at, other) if this["key"] == "value" else (before, this)
            found[here] = _unquoted(_COMMENT.sub("", name["value"]).strip())[1]
    return found


def _indent(line: str) -> float:
    return len(line) - len(line.lstrip()) if line.strip() else float("inf")


def _words(key: str) -> str:
    """The words of a key in small letters: `dbPassword` is `db_password`."""
    return _CAMEL.sub("_", key).lower()


def _basic_auth(key: str) -> bool:
    return bool(_BASIC_AUTH.search(_words(key)))


def _harmless(key: str, value: str) -> bool:
    if (
        not value
        or value.lower() in _EMPTY
        or not value.strip("[{")
        or _MASK.fullmatch(value)
        or _REFERENCE.fullmatch(value)
    ):
        return True
    if value[0] == "[" and value[-1] == "]":
        items = [_unquoted(item.strip())[1] for item in value[1:-1].split(",")]
        of_user = len(items) == 2 and bool(items[1]) and _basic_auth(key)  # [user, password]
        return all(_harmless(key, item) for item in (items[1:] if of_user else items))
    if (basic := _basic_auth(key)) or _AUTH_VARIABLE.fullmatch(key):
        return value.lower() in _AUTH_KINDS or bool(basic and _MAP.match(value))
    if key == "PWD" and value[0] == "/":  # the shell's working directory
        return True
    return bool(_PATH_KEY.search(_words(key)) and _PATH.fullmatch(value))
