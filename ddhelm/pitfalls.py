"""Unquoted words and numbers of YAML that mean something else to Helm than to the person who wrote them.

An error is what Helm certainly reads otherwise than it looks; a note is what depends on the template that uses it, or
on who reads the file besides Helm. Facts about Helm's reading: ``goyaml``, which is held against the real helm.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from ddhelm import goyaml
from ddhelm.masking import secret_looking, secret_shaped
from ddhelm.tree import Path, show

Severity = Literal["error", "note"]


class Pitfall(Struct, frozen=True):
    """What is to be said about one word, and what to write instead."""

    text: str
    hint: str
    severity: Severity = "error"


def meaning(text: str) -> Any:
    """What Helm makes of an unquoted word; infinities, which it refuses, stay text."""
    try:
        return goyaml.scalar(text)
    except goyaml.YamlError:
        return text


def key_pitfall(text: str) -> Pitfall | None:
    """What is to be said about an unquoted key, or None."""
    value = meaning(text)
    if isinstance(value, bool) and text.lower() not in _PLAIN_BOOLEANS:
        return Pitfall(f"the key `{text}` is `{_word(value)}` for Helm", f'write `"{text}":`')
    if isinstance(value, int | float) and not isinstance(value, bool) and str(value) != text:
        return Pitfall(f"the key `{text}` is the number {value} for Helm", f'write `"{text}":`')
    return None


def pitfall(text: str, path: Path) -> Pitfall | None:
    """What is to be said about an unquoted value at ``path``, or None.

    The message shows the word itself unless its key or form looks like a secret's.
    """
    value = meaning(text)
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    hidden = secret_looking(name) or secret_shaped(text)
    said = f"`{show(path)}`: " + ("what stands there" if hidden else f"`{text}`")
    quoted = "quote it" if hidden else f'write `"{text}"`'
    if isinstance(value, bool):
        if text.lower() in _PLAIN_BOOLEANS:
            return None
        return Pitfall(f"{said} is {_word(value)} for Helm", f"write `{_word(value)}`; for the text, {quoted}")
    if isinstance(value, int | float):
        return _number(said, quoted, _Number(text, value, name, _meant_as_text(path)), hidden=hidden)
    if isinstance(value, str) and _BASE_60.fullmatch(text):
        return Pitfall(f"{said} is text for Helm and a number for other readers of YAML", quoted, "note")
    return None


def text_pitfall(text: str, path: Path) -> Pitfall | None:
    """What is to be said about a text that stands where the chart has true or false, or None.

    Templates ask `if`, and every text but the empty one counts as true there: `no`, `off` and `false` too.
    """
    value = meaning(text)
    if not isinstance(value, bool) or text.lower() == "true":
        return None
    said = f"`{show(path)}`: `{text}` is text, which counts as true where the chart has true or false"
    return Pitfall(said, f"give `{_word(value)}`, unquoted and not as --set-string")


def _meant_as_text(path: Path) -> bool:
    """Whether Kubernetes wants a text at ``path``: an environment variable, a label, an annotation, a node selector."""
    if path[-1:] == ("value",):  # env: [{name: …, value: …}]
        return path[-3:-2] == ("env",)
    return len(path) > 1 and bool(_TEXTS.search(str(path[-2])))


# What charts call their free maps of such texts: `envDict`, `podLabels`, `deploymentAnnotations`, `nodeSelector`.
_TEXTS = re.compile(r"(envDict|[lL]abels|[aA]nnotations|nodeSelector)$")
_PLAIN_BOOLEANS = frozenset({"true", "false"})
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


def _word(value: bool) -> str:
    return "true" if value else "false"


class _Number(Struct, frozen=True):
    """An unquoted word that Helm takes for a number, the key that it stands under, and whether text belongs there."""

    text: str
    value: int | float
    key: str
    is_text: bool = False

    @property
    def digits(self) -> str:
        return self.text.lstrip("+-").lower()

    @property
    def leading_zero(self) -> bool:
        return len(self.digits) > 1 and self.digits[0] == "0" and self.digits[1] != "."

    @property
    def is_version(self) -> bool:
        return bool(re.search(r"(tag|version)$", self.key, re.IGNORECASE))


_EXACT = 1 << 53  # Helm keeps numbers of files as 64-bit floats: whole numbers above this lose digits
_SHORT = 1_000_000  # from here on Go prints such a float as 1e+06


def _octal_mode(number: _Number) -> bool:
    """`defaultMode: 0644` is octal for whoever writes it, and for Helm."""
    return number.digits.strip("01234567") == "" and bool(re.search(r"mode$", number.key, re.IGNORECASE))


def _loses_digits(number: _Number) -> bool:
    if isinstance(number.value, int) and "." not in number.digits:
        return abs(number.value) > _EXACT
    return Decimal(number.text) != Decimal(repr(float(number.text)))


# The first rule that fits decides; None: it is what it looks like.
_RULES: tuple[tuple[Callable[[_Number], bool], Severity | None], ...] = (
    (lambda n: n.is_text and n.leading_zero, "error"),  # 0o17 is 15
    (lambda n: n.leading_zero and (n.digits[1] == "o" or _octal_mode(n)), None),
    (lambda n: n.leading_zero, "error"),  # 0123 is 83, 08 is 8, 0x1F is 31
    (lambda n: n.text.startswith("+") or "_" in n.text or "e" in n.digits, "error"),  # +49, 2024_01, 1e3
    (_loses_digits, "error"),
    (lambda n: "." in n.digits and n.digits.endswith((".", "0")), "note"),  # 7.60 is 7.6; below, for a tag
    (lambda n: isinstance(n.value, int) and abs(n.value) >= _SHORT, "note"),
)


def _number(said: str, quoted: str, number: _Number, *, hidden: bool) -> Pitfall | None:
    severity = next((severity for fits, severity in _RULES if fits(number)), None)
    if severity is None:
        return None
    if severity == "note" and "." not in number.digits:
        printed = _as_go_prints(number.value)
        if number.is_text:
            return Pitfall(f"{said} becomes the text " + ("of another form" if hidden else printed), quoted)
        return Pitfall(f"{said} is printed by some templates as {printed}", f"where text is meant, {quoted}", "note")
    if number.is_version or number.is_text:
        severity = "error"
    shown = number.value if abs(number.value) <= _EXACT else _as_go_prints(number.value)
    is_number = "is another number" if hidden else f"is the number {shown}"
    return Pitfall(f"{said} {is_number} for Helm", quoted, severity)


def _as_go_prints(value: float) -> str:
    """A number of a million and more as ``{{ .Values.x }}`` prints it, because Helm holds it as a 64-bit float."""
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    first, *rest = map(str, digits)
    fraction = f".{''.join(rest)}" if rest else ""
    return f"{'-' if sign else ''}{first}{fraction}e+{len(rest) + int(exponent):02}"
