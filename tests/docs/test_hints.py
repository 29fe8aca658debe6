"""A hint is something to type: every command and flag of ddhelm in it exists."""

import ast
import re
from collections.abc import Iterator

from ddhelm import checkerrors, execwords, failurerows, pasting, proof
from tests.docs.commandline import verbs
from tests.docs.pages import ROOT

VERBS = verbs()
OURS = {name for verb in VERBS.values() for name in verb.spellings} | {"--help"}
OTHER_TOOLS = re.compile(r"\b(?:kubectl|helm|kops|oc) [^;,()]*")


def hints() -> Iterator[tuple[str, str]]:
    """(place, hint) of every hint in the source; what is filled in at run time is left out of the text."""
    for row in (*failurerows.ROWS, *failurerows.FETCHING):
        yield f"row {row.name}", row.hint
    for meaning in (*checkerrors.ROWS, *execwords.ROWS):
        yield f"kind {meaning.kind}", meaning.hint
    yield from ((f"etcd {kind}", hint) for kind, hint in checkerrors.ETCD.items())
    for claim in proof.CLAIMS:
        yield f"claim {claim.name}", claim.hint
    for path in sorted((ROOT / "ddhelm").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                yield f"{path.relative_to(ROOT)}:{node.value.lineno}", _text(node.value)


def _text(node: ast.expr) -> str:
    """The constant parts of a string expression, in order; `…` where something is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.IfExp(body=body, orelse=other):
            return f"{_text(body)} ; {_text(other)}"
        case ast.Call(func=ast.Name(id="typed"), args=[template, *_]):
            return _text(template)
        case ast.BinOp(left=left, right=right):
            return _text(left) + _text(right)
    return "…"


def test_every_flag_in_a_hint_is_a_flag_of_ddhelm_unless_it_is_for_another_tool() -> None:
    wrong = {}
    for place, hint in hints():
        flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", OTHER_TOOLS.sub("", hint)))
        if flags - OURS:
            wrong[place] = flags - OURS
    assert not wrong


def test_every_command_in_a_hint_exists() -> None:
    found = {place: re.findall(r"(?:^|[`:;] ?)ddhelm ([a-z]+)\b", hint) for place, hint in hints()}
    assert not {place: names for place, names in found.items() if set(names) - set(VERBS)}


def test_hints_complete_every_command_that_takes_the_flags_of_a_cluster() -> None:
    takes = {name for name, verb in VERBS.items() if name and "--context" in verb.spellings}
    assert set(pasting.VERBS) == takes, "ddhelm/pasting.py lists the commands whose hints get --context and -n"
