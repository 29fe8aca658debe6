"""The user's own values: ``-f`` files and ``--set`` flags, read with Helm's semantics, all problems reported at once.

Order and precedence are Helm's and do not follow the command line: files, then ``--set-json``, ``--set``,
``--set-string``, ``--set-file``. Refused, each with file and line: what Helm reads otherwise than its writer, several
documents in one file (Helm 3 and 4 differ), and values that look like secrets. No message shows a value that does.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from ddhelm import secretvalues, setflags, yamltext
from ddhelm.errors import ConfigError
from ddhelm.settings import RECORD_KEY
from ddhelm.tree import Path, Tree, is_utf8, leaves, merge, show
from ddhelm.values import Layer

ORDER: tuple[setflags.Kind, ...] = ("set-json", "set", "set-string", "set-file")
NAME = "user values"
_SHOWN = 50


class Source(Struct, frozen=True):
    """One file or flag, as it was given.

    A file: its name (``-`` for stdin) and content; bytes are checked to be UTF-8. A flag: its whole argument as the
    name, and in ``flag`` what it is called where that is not ``--KIND``. For ``set-file`` the content of the file it
    names is ``text``, or, where it names several, ``files``.
    """

    kind: Literal["file", "set", "set-string", "set-json", "set-file"]
    name: str
    text: str | bytes = ""
    files: Mapping[str, str] = {}
    flag: str = ""


class Problem(Struct, frozen=True):
    """What is wrong at a ``line`` of a file (0: a flag has none) and how to mend it."""

    line: int
    text: str
    hint: str
    kind: Literal["reading", "secret", "unknown"] = "reading"


class Part(Struct, frozen=True):
    """One file or flag as it was read: what it alone sets, the line of each key (none for a flag), what is wrong."""

    name: str
    tree: Tree = {}
    lines: Mapping[Path, int] = {}
    problems: tuple[Problem, ...] = ()

    def line(self, path: Path) -> int:
        """The line that sets ``path``, or the nearest key above it; 0 in a flag."""
        return next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), 0)

    def where(self, line: int) -> str:
        """A place in this part, as a message names it: ``prod.yaml:3``, ``--set``."""
        return f"{self.name}:{line}" if line else self.name


class UserValues(Struct, frozen=True):
    """The user's layer, and sentences about what was read as meant but deserves a line (``prod.yaml:3: …``).

    ``parts`` are the files and flags that it was made of, lowest first. Where one of them has problems the layer is
    what could be read.
    """

    layer: Layer
    notes: tuple[str, ...]
    parts: tuple[Part, ...]


def parse(sources: Sequence[Source]) -> Layer:
    """The user's layer; its reasons say where each key was set. Raises ConfigError with every problem at once."""
    return read(sources).layer


def read(sources: Sequence[Source]) -> UserValues:
    """As ``parse``, with the notes."""
    found = gather(sources)
    if any(part.problems for part in found.parts):
        raise error(found.parts)
    return found


def gather(sources: Sequence[Source]) -> UserValues:
    """As ``read``, but what is wrong stands in the parts, for a caller who has more to say about them."""
    reader = _Reader()
    for source in sources:
        if source.kind == "file":
            reader.file(source)
    for kind, source in _flags(sources):
        reader.flag(kind, source)
    return UserValues(Layer(NAME, reader.tree, reader.reasons), tuple(reader.notes), tuple(reader.parts))


def onto(stored: Tree, sources: Sequence[Source]) -> Tree:
    """``stored`` with these flags on top, as Helm applies them to a file, and none of them is a file.

    What stands where a flag wants a map or a list (null, a text) gives way to it. ConfigError where the two make a
    secret together, such as the value of an environment variable that has its name already.
    """
    parts = []
    for kind, source in _flags(sources):
        files = _files(source) if kind == "set-file" else {}
        alone = setflags.apply(kind, source.name, {}, files)
        try:
            applied = setflags.apply(kind, source.name, stored, files)
        except setflags.SetError:
            applied = merge(stored, alone)
        parts.append(Part(source.flag or f"--{kind}", alone, problems=_secrets(alone, applied, stored)))
        stored = applied
    if any(part.problems for part in parts):
        raise error(parts)
    return stored


def _flags(sources: Sequence[Source]) -> Iterator[tuple[setflags.Kind, Source]]:
    """The sources that are flags, in the order in which Helm heeds them."""
    return ((kind, source) for kind in ORDER for source in sources if source.kind == kind)


def _secrets(alone: Tree, applied: Tree, before: Tree) -> tuple[Problem, ...]:
    """What looks like a secret of a flag ``alone``, or once it is ``applied`` to what was there ``before``."""
    before, applied = ({key: tree[key] for key in alone if key in tree} for tree in (before, applied))
    known = dict(secretvalues.find(before))
    found = {path: hint for path, hint in secretvalues.find(applied) if path not in known}
    return tuple(_secret(0, path, hint) for path, hint in (dict(secretvalues.find(alone)) | found).items())


def set_file_paths(argument: str) -> tuple[str, ...]:
    """The files that a ``--set-file`` argument names, for the caller to read. Raises ConfigError."""
    try:
        return setflags.file_paths(argument)
    except setflags.SetError as wrong:
        raise error([Part("--set-file", problems=(Problem(0, str(wrong), _SPELLING),))]) from None


_SPELLING = "KEY=VALUE[,KEY=VALUE…]; a comma or a dot that belongs to a name or value is written `\\,` or `\\.`"
_BIG = 1_000_000


class _Reader:
    """Takes the sources in Helm's order and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.tree: Tree = {}
        self.reasons: dict[Path, str] = {}
        self.parts: list[Part] = []
        self.notes: list[str] = []

    def file(self, source: Source) -> None:
        name = "standard input" if source.name == "-" else source.name
        document = yamltext.read(source.text)
        tree, lines = document.tree, document.lines
        if RECORD_KEY in tree:
            said = f"`{RECORD_KEY}` is ddhelm's own record of a release and is left out"
            self.notes.append(f"{name}:{lines[RECORD_KEY,]}: {said}")
            tree = {key: value for key, value in tree.items() if key != RECORD_KEY}
        part = Part(name, tree, lines)
        problems = []
        for finding in document.findings:
            if finding.severity == "error":
                problems.append(Problem(finding.line, finding.text, finding.hint))
            else:
                self.notes.append(f"{part.where(finding.line)}: {finding.text}; {finding.hint}")
        problems += [_secret(part.line(path) or 1, path, hint) for path, hint in secretvalues.find(tree)]
        self.parts.append(Part(name, tree, lines, tuple(problems)))
        self.tree = merge(self.tree, tree)
        self.reasons |= {path: part.where(line) for path, line in lines.items() if path[0] != RECORD_KEY}

    def flag(self, kind: setflags.Kind, source: Source) -> None:
        flag = source.flag or f"--{kind}"
        try:
            files = _files(source) if kind == "set-file" else {}
            alone = setflags.apply(kind, source.name, {}, files)
            applied = setflags.apply(kind, source.name, self.tree, files)
            problems = _secrets(alone, applied, self.tree)
        except setflags.SetError as wrong:
            self.parts.append(Part(flag, problems=(Problem(0, str(wrong), _SPELLING),)))
            return
        if not is_utf8(alone):
            hint = "put it into a values file, which is UTF-8: --values FILE"
            self.parts.append(Part(flag, problems=(Problem(0, "is not UTF-8", hint),)))
            return
        if RECORD_KEY in alone:
            problems += (Problem(0, f"`{RECORD_KEY}` is ddhelm's own record of a release", "leave it out"),)
        self.parts.append(Part(flag, alone, problems=problems))
        self.tree = applied
        if kind == "set-json":
            self.notes += [
                f"{flag}: `{name}` has no JSON and is null for Helm" for name in setflags.without_json(source.name)
            ]
        for path, value in leaves(alone):
            named = path[: next((at for at, step in enumerate(path) if isinstance(step, int)), len(path))]
            self.reasons[named] = f"{flag} {show(named)}"
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _BIG and kind == "set":
                said = f"{flag}: `{show(path)}` reaches the chart as a float and is printed by some templates as such"
                self.notes.append(f"{said}; use --set-string")


def _files(source: Source) -> Mapping[str, str]:
    if source.files:
        return source.files
    paths = setflags.file_paths(source.name)
    if len(set(paths)) > 1:
        raise setflags.SetError("names several files")
    text = source.text if isinstance(source.text, str) else source.text.decode("utf-8", "replace")
    return dict.fromkeys(paths, text)


def _secret(line: int, path: Path, hint: str) -> Problem:
    return Problem(line, f"`{show(path)}` looks like a secret", hint, "secret")


def error(parts: Sequence[Part], remark: str = "") -> ConfigError:
    """All problems of these files and flags: one is the message, several are details of a message that counts them.

    ``remark`` is a further line about what was not looked at.
    """
    problems = [(part.where(p.line), p) for part in parts for p in sorted(part.problems, key=lambda p: p.line)]
    said, hint = f"{len(problems)} problems in your values", "mend the lines above; each says how"
    lines = [f"{where}: {p.text}" + (f" ({p.hint})" if p.hint else "") for where, p in problems[:_SHOWN]]
    secrets = sum(problem.kind == "secret" for _, problem in problems)
    only_unknown = all(problem.kind == "unknown" for _, problem in problems)
    if len(problems) == 1:
        ((where, problem),) = problems
        said, lines = f"{where}: {problem.text}", []
        hint = problem.hint or "values files are YAML, read as Helm reads it"
    elif secrets:
        said += f", {secrets} of them look like a secret" if secrets > 1 else ", one of them looks like a secret"
    if len(problems) > _SHOWN:
        lines.append(f"… and {len(problems) - _SHOWN} more")
    return ConfigError(
        said,
        hint=hint,
        anchor="secret-in-values" if secrets else "unknown-value" if only_unknown else "values-file",
        details=[*lines, *([remark] if remark else [])],
    )
