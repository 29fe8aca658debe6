"""Label selectors as kubectl reads them (``-l``): ``pool=gpu``, ``tier in (a, b)``, ``!spot``, ``cores>4``.

Grammar and matching are those of Kubernetes' ``labels.Parse``, with one difference: an empty selector is an error here,
because it would accept every node of the cluster.
"""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ddhelm.errors import ConfigError

_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_SYMBOLS = frozenset({"==", "!=", "=", "!", "(", ")", ",", "<", ">"})
_OPERATORS = {"=": "In", "==": "In", "!=": "NotIn", "in": "In", "notin": "NotIn", ">": "Gt", "<": "Lt"}


class Requirement(Struct, frozen=True):
    """One condition on a label; ``operator`` is one of In, NotIn, Exists, DoesNotExist, Gt, Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether Kubernetes would take it; a term of a node affinity with one that is not valid matches nothing."""
        if self.operator in {"In", "NotIn"}:
            return bool(self.values)
        if self.operator in {"Exists", "DoesNotExist"}:
            return not self.values
        return self.operator in {"Gt", "Lt"} and len(self.values) == 1 and whole(self.values[0]) is not None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it; NotIn is also met where the label is missing."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        have, bound = whole(value or ""), whole(self.values[0]) if self.values else None
        if have is None or bound is None:
            return False
        return have > bound if self.operator == "Gt" else have < bound

    def __str__(self) -> str:
        one = len(self.values) == 1
        match self.operator:
            case "In":
                return f"{self.key}={self.values[0]}" if one else f"{self.key} in ({', '.join(self.values)})"
            case "NotIn":
                return f"{self.key}!={self.values[0]}" if one else f"{self.key} notin ({', '.join(self.values)})"
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
        return f"{self.key}{'>' if self.operator == 'Gt' else '<'}{''.join(self.values)}"


class Selector(Struct, frozen=True):
    """Requirements that must all be met."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether every requirement is met."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def whole(text: str) -> int | None:
    """The text as Go's 64-bit decimal integer, or None."""
    value = int(text) if _INTEGER.fullmatch(text) else None
    return value if value is not None and -(1 << 63) <= value < 1 << 63 else None


def key_problem(key: str) -> str:
    """Why ``key`` can be no key of a label or taint, or nothing."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not _PREFIX.fullmatch(prefix) or len(prefix) > 253):
        return f"`{prefix}` is no DNS name in lower case"
    if not _NAME.fullmatch(name):
        return f"`{name}` must be 1 to 63 letters, digits, `-`, `_`, `.`, with a letter or digit at both ends"
    return ""


def value_problem(value: str) -> str:
    """Why ``value`` can be no value of a label or taint, or nothing."""
    return key_problem(value) if value and "/" not in value else f"`{value}` holds a `/`" if value else ""


def parse(text: str) -> Selector:
    """A selector from its text; ConfigError (anchor `bad-selector`) names what is wrong with it."""
    try:
        return Selector(tuple(_Parser(_tokens(text)).requirements()))
    except ValueError as error:
        raise ConfigError(
            f"`{text}` is no label selector: {error}",
            hint="write it as for `kubectl get nodes -l`: `pool=gpu`, `pool in (a,b)`, `!spot`",
            anchor="bad-selector",
        ) from None


def _tokens(text: str) -> list[str]:
    tokens = _TOKEN.findall(text)
    if not tokens:
        raise ValueError("it is empty and would match every node")
    return tokens


class _Parser:
    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = [*tokens, ""]
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found = [self._requirement()]
        while self._peek():
            if self._take() != ",":
                raise ValueError(f"expected `,` before `{self._tokens[self._at - 1]}`")
            found.append(self._requirement())
        return found

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _take(self) -> str:
        token = self._tokens[self._at]
        self._at += bool(token)
        return token

    def _requirement(self) -> Requirement:
        negated = self._peek() == "!" and bool(self._take())
        key = self._take()
        if not key or key in _SYMBOLS:
            raise ValueError(f"expected a label key, found `{key or 'the end'}`")
        if problem := key_problem(key):
            raise ValueError(problem)
        if negated or self._peek() in {"", ","}:
            return Requirement(key, "DoesNotExist" if negated else "Exists")
        sign = self._take()
        if sign not in _OPERATORS:
            raise ValueError(f"expected one of = == != in notin > <, found `{sign}`")
        values = self._several() if sign in {"in", "notin"} else (self._value(),)
        requirement = Requirement(key, _OPERATORS[sign], values)
        for value in values:
            if problem := value_problem(value):
                raise ValueError(problem)
        if not requirement.valid:
            raise ValueError(f"`{sign}` needs a whole number, found `{values[0]}`")
        return requirement

    def _value(self) -> str:
        if self._peek() in _SYMBOLS:
            if self._peek() == ",":
                return ""
            raise ValueError(f"expected a value, found `{self._peek()}`")
        return self._take()

    def _several(self) -> tuple[str, ...]:
        if self._take() != "(":
            raise ValueError("expected `(` after `in` or `notin`")
        values = []
        while True:
            values.append("" if self._peek() in {",", ")"} else self._value())
            if self._take() != ",":
                break
        if self._tokens[self._at - 1] != ")":
            raise ValueError("expected `)` at the end of the values")
        return tuple(values)
