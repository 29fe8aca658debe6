"""``ddhelm.yaml``: the settings of the command line in a file, read only where ``--config`` names it.

Keys are the flags without their dashes. Every problem of the file is reported at once, with its line.
"""

import difflib
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import yaml

from ddhelm import goyaml, settings, wholefile
from ddhelm.errors import ConfigError
from ddhelm.pasting import typed

TEXTS = (
    "site",
    "cluster-name",
    "distribution",
    "api-url",
    "agent-proxy",
    "chart",
    "api-key-secret",
    "app-key-secret",
    "etcd-secret",
)
SWITCHES = ("logs", "processes", "apm", "apm-control-plane", "require-coverage", "allow-second-agent")
LISTS = ("agent-no-proxy", "tolerate", "accept-uncovered", "drop-checks")
_LIMIT = 1024 * 1024


class Read(NamedTuple):
    """What a file says, by field name of ``Settings``, and where it says it (``ddhelm.yaml:3``)."""

    given: dict[str, Any]
    origins: dict[str, str]


def read(name: str) -> Read:
    """The settings of a file; raises ConfigError with all problems, file and line."""
    spelled = wholefile.spelled(name)
    look = typed("ls -l {path}", path=spelled)
    try:
        path = wholefile.path(name)
        with path.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"settings file `{name}` cannot be read: {error.strerror}", hint=look, anchor="settings-file"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"settings file `{name}` is no UTF-8 text",
            hint=typed("file {path}", path=spelled),
            anchor="settings-file",
        ) from None
    if len(data) > _LIMIT:
        raise ConfigError(f"settings file `{name}` is larger than 1 MiB", hint=look, anchor="settings-file")
    found = parse(name, text)
    chart = found.given.get("chart")
    if isinstance(chart, str) and chart.startswith(("./", "../")):  # beside the file, from wherever it is named
        found.given["chart"] = os.path.normpath(path.absolute().parent / chart)
    return found


def parse(name: str, text: str) -> Read:
    """The settings of a file's text; see ``read``."""
    try:
        document = goyaml.compose(text)
    except goyaml.YamlError as error:
        raise _wrong(name, [f"{name}:{error.line}: {error.problem}"]) from None
    if document is None:
        return Read({}, {})
    if not isinstance(document, yaml.MappingNode):
        raise _wrong(name, [f"{name}:{document.start_mark.line + 1}: the file must be a map of settings"])
    found = Read({}, {})
    lines: dict[str, int] = {}
    problems: list[tuple[int, str]] = []
    for key, node in document.value:
        line = key.start_mark.line + 1
        word = str(key.value)
        if word not in TEXTS + SWITCHES + LISTS:
            close = difflib.get_close_matches(word, TEXTS + SWITCHES + LISTS, n=1)
            problems.append(
                (line, f"there is no setting `{word}`" + (f"; did you mean `{close[0]}`?" if close else ""))
            )
            continue
        if _field(word) in found.given:
            problems.append((line, f"`{word}` stands twice"))
            continue
        value, problem = _value(word, node)
        if problem:
            problems.append((line, problem))
        found.given[_field(word)] = value
        found.origins[_field(word)] = f"{name}:{line}"
        lines[_field(word)] = line
    if problems:
        # values that are wrong are found again with the flags, but what is reported here must be all of the file
        problems += [(lines[field], text) for field, text in settings.wrong(found.given)]
        problems.sort(key=lambda each: each[0])
        raise _wrong(name, [f"{name}:{line}: {text}" for line, text in problems])
    return found


def _field(word: str) -> str:
    return word.replace("-", "_")


def _value(word: str, node: yaml.Node) -> tuple[Any, str]:
    plain = goyaml.scalar(node.value) if isinstance(node, yaml.ScalarNode) and not node.style else None
    if word in SWITCHES:
        return plain, "" if isinstance(plain, bool) else f"`{word}` must be true or false"
    if word in LISTS:
        if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
            return tuple(str(item.value) for item in node.value), ""
        return (), f"`{word}` must be a list of texts"
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        return None, f"`{word}` must be a text"
    if word.endswith("-key-secret"):
        return settings.SecretKey(node.value, word.removesuffix("-secret")), ""
    return node.value, ""


def _wrong(name: str, problems: Iterable[str]) -> ConfigError:
    problems = list(problems)
    return ConfigError(
        problems[0] if len(problems) == 1 else f"settings file `{name}` has {len(problems)} problems",
        hint="the settings are listed in docs/reference/settings.md",
        anchor="settings-file",
        details=problems if len(problems) > 1 else (),
    )
