"""The user's own values: ``-f`` files and ``--set`` flags, read with Helm's semantics, all problems reported at once.

Order and precedence are Helm's and do not follow the command line: files, then ``--set-json``, ``--set``,
``--set-string``, ``--set-file``. Refused, each with file and line: what Helm reads otherwise than its writer, several
documents in one file (Helm 3 and 4 differ), and values that look like secrets. No message shows a value that does.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from ddhelm import secretvalues, setflags, yamltext
from ddhelm.errors import ConfigError
from ddhelm.settings import RECORD_KEY
from ddhelm.tree import Path, Tree, leaves, merge, show
from ddhelm.values import Layer

ORDER: tuple[setflags.Kind, ...] = ("set-json", "set", "set-string", "set-file")
NAME = "user values"
_SHOWN = 50


class Source(Struct, frozen=True):
    """One file or flag, as it was given.

    A file: its name (``-`` for stdin) and content; bytes are checked to be UTF-8. A flag: its whole argument as the
    name. For ``set-file`` the content of the file it names is ``text``, or, where it names several, ``files``.
    """

    kind: Literal["file", "set", "set-string", "set-json", "set-file"]
    name: str
    text: str | bytes = ""
    files: Mapping[str, str] = {}


class UserValues(Struct, frozen=True):
    """The user's layer, and sentences about what was read as meant but deserves a line (``prod.yaml:3: …``)."""

    layer: Layer
    notes: tuple[str, ...]


class _Problem(Struct, frozen=True):
    where: str
    text: str
    hint: str
    is_secret: bool = False


def parse(sources: Sequence[Source]) -> Layer:
    """The user's layer; its reasons say where each key was set. Raises ConfigError with every problem at once."""
    return read(sources).layer


def read(sources: Sequence[Source]) -> UserValues:
    """As ``parse``, with the notes."""
    reader = _Reader()
    for source in sources:
        if source.kind == "file":
            reader.file(source)
    for kind in ORDER:
        for source in sources:
            if source.kind == kind:
                reader.flag(kind, source)
    if reader.problems:
        raise _error(reader.problems)
    return UserValues(Layer(NAME, reader.tree, reader.reasons), tuple(reader.notes))


def set_file_paths(argument: str) -> tuple[str, ...]:
    """The files that a ``--set-file`` argument names, for the caller to read. Raises ConfigError."""
    try:
        return setflags.file_paths(argument)
    except setflags.SetError as error:
        raise _error([_Problem("--set-file", str(error), _SPELLING)]) from None


def secrets_in(tree: Tree, where: str) -> None:
    """Raises ConfigError where values from another place (a settings file) look like secrets."""
    problems = [_secret(where, path, hint) for path, hint in secretvalues.find(tree)]
    if problems:
        raise _error(problems)


_SPELLING = "KEY=VALUE[,KEY=VALUE…]; a comma or a dot that belongs to a name or value is written `\\,` or `\\.`"
_BIG = 1_000_000


class _Reader:
    """Takes the sources in Helm's order and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.tree: Tree = {}
        self.reasons: dict[Path, str] = {}
        self.problems: list[_Problem] = []
        self.notes: list[str] = []

    def file(self, source: Source) -> None:
        name = "standard input" if source.name == "-" else source.name
        document = yamltext.read(source.text)
        for finding in document.findings:
            where = f"{name}:{finding.line}"
            if finding.severity == "error":
                self.problems.append(_Problem(where, finding.text, finding.hint))
            else:
                self.notes.append(f"{where}: {finding.text}; {finding.hint}")
        tree = document.tree
        if RECORD_KEY in tree:
            line = document.lines[(RECORD_KEY,)]
            self.notes.append(f"{name}:{line}: `{RECORD_KEY}` is ddhelm's own record of a release and is left out")
            tree = {key: value for key, value in tree.items() if key != RECORD_KEY}
        for path, hint in secretvalues.find(tree):
            line = next(
                (document.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in document.lines), 1
            )
            self.problems.append(_secret(f"{name}:{line}", path, hint))
        self.tree = merge(self.tree, tree)
        self.reasons |= {path: f"{name}:{line}" for path, line in document.lines.items() if path[0] != RECORD_KEY}

    def flag(self, kind: setflags.Kind, source: Source) -> None:
        flag = f"--{kind}"
        try:
            files = _files(source) if kind == "set-file" else {}
            alone = setflags.apply(kind, source.name, {}, files)
            secrets = [_secret(flag, path, hint) for path, hint in secretvalues.find(alone)]
            applied = setflags.apply(kind, source.name, self.tree, files)
        except setflags.SetError as error:
            self.problems.append(_Problem(flag, str(error), _SPELLING))
            return
        self.problems += secrets
        if RECORD_KEY in alone:
            self.problems.append(_Problem(flag, f"`{RECORD_KEY}` is ddhelm's own record of a release", "leave it out"))
        self.tree = applied
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


def _secret(where: str, path: Path, hint: str) -> _Problem:
    return _Problem(where, f"`{show(path)}` looks like a secret", hint, is_secret=True)


def _error(problems: Sequence[_Problem]) -> ConfigError:
    """One problem is the message; several are details of a message that counts them."""
    secrets = sum(problem.is_secret for problem in problems)
    if len(problems) == 1:
        (problem,) = problems
        return ConfigError(
            f"{problem.where}: {problem.text}",
            hint=problem.hint or "values files are YAML, read as Helm reads it",
            anchor="secret-in-values" if secrets else "values-file",
        )
    lines = [f"{p.where}: {p.text}" + (f" ({p.hint})" if p.hint else "") for p in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"… and {len(problems) - _SHOWN} more")
    said = f"{len(problems)} problems in your values"
    if secrets:
        said += f", {secrets} of them look like a secret" if secrets > 1 else ", one of them looks like a secret"
    return ConfigError(
        said,
        hint="mend the lines above; each says how",
        anchor="secret-in-values" if secrets else "values-file",
        details=lines,
    )
