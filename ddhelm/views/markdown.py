"""A plan as markdown for a pull request: a summary that always fits, then each object, folded.

GitHub refuses a comment of more than 65,536 characters. Where a plan would be longer, every object is still named and
the longest are cut, each with the number of lines that are missing; the last line says how to see them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddhelm import tree
from ddhelm.plan import Action, ObjectChange, Step, StepKind, matters
from ddhelm.values import Values
from ddhelm.views import diff, outcomes
from ddhelm.views.console import counted

LIMIT = 65_000
"""Characters; below GitHub's 65,536 by room for what a bot adds around it."""


def plan(document: tree.Tree, steps: Sequence[Step], values: Mapping[str, Values], how: diff.How) -> str:
    """The markdown of a plan: ``document`` is its JSON envelope, ``steps`` give the changes in full.

    ``values`` are those that helm would be sent, by the name of the release.
    """
    head = document_text(document["data"])
    blocks = [block for step in steps if step.kind is not StepKind.NOTHING for block in _blocks(step, how)]
    return _fit(head, [*_values(steps, values, how), *_outcomes(document["data"]), *blocks])


def document(shown: tree.Tree) -> str:
    """The markdown of a plan that was read from a file: its summary and its fields."""
    blocks = []
    for step in shown["steps"]:
        for each in step["objects"]:
            if each["fields"]:
                title = f"{step['release']}: {each['kind']} {each['name']} ({each['action']})"
                blocks.append(Block(title, tuple(_stored_fields(each))))
    return _fit(document_text(shown), [*_outcomes(shown), *blocks])


def document_text(data: tree.Tree) -> str:
    """The part that always fits: cluster, chart, a row a step, coverage, what stops it."""
    cluster, chart, covered = data["cluster"], data["chart"], data["coverage"]
    lines = [
        f"### ddhelm plan: {'changes' if data['changes'] else 'nothing to do'}",
        "",
        f"{cluster['distribution']} {cluster['version']} at `{cluster['server']}`, "
        f"namespace `{data['namespace']['name']}`, "
        f"chart {chart['name']} {chart['version']} (`sha256:{chart['digest'][:12]}`)",
        "",
        "| release | step | objects | pods |",
        "|---|---|---|---|",
        *(f"| {s['release']} | {s['kind']} | {_counts(s)} | {_restarts(s)} |" for s in data["steps"]),
        "",
        f"{covered['exactlyOne']} of {covered['nodes']} nodes get exactly one agent.",
    ]
    for problem in data["problems"]:
        lines += ["", f"**Stops it:** {_escaped(problem['text'])}", *(f"- {_escaped(d)}" for d in problem["details"])]
    return "\n".join(lines) + "\n"


def _values(steps: Sequence[Step], values: Mapping[str, Values], how: diff.How) -> "Iterator[Block]":
    for step in steps:
        changes = diff.values_changes(step)
        if changes and step.release.name in values:
            found = diff.values_lines(changes, values[step.release.name], how)
            yield Block(f"{step.release.name}: {counted(len(changes), 'value')} changed", tuple(_marked(found)))


def _marked(lines: Iterable[diff.Line]) -> Iterator[str]:
    """Lines as GitHub colours a diff: by what they begin with."""
    for style, text in lines:
        bare = text.removeprefix("  ")
        yield f"! {bare}" if style == "change" and not bare.startswith("~") else bare


def _outcomes(data: tree.Tree) -> "Iterator[Block]":
    changed = data.get("changedInCluster") or ()
    if changed:
        found = (text.removeprefix("  ") for style, text in outcomes.stored_lines(changed) if style != "head")
        yield Block(f"{outcomes.HEADING}: {len(changed)} objects", tuple(found))


def _blocks(step: Step, how: diff.How) -> "Iterator[Block]":
    created = [change for change in step.objects if change.action is Action.CREATE]
    if created:
        names = tuple(f"+ {change.ref}" for change in created)
        yield Block(f"{step.release.name}: {len(created)} objects to create", names)
    for change in step.objects:
        if change.action is not Action.CREATE and (matters(change) or (how.noise and change.noise)):
            yield Block(f"{step.release.name}: {change.ref} ({change.action})", tuple(_lines(change, how)))


def _lines(change: ObjectChange, how: diff.How) -> Iterator[str]:
    if how.form == "unified":
        yield from (text for _, text in diff.unified(change, how.context))
        return
    if change.ref.kind == diff.CRD and not how.crds:
        yield f"{counted(len(change.changes), 'field')} changed (--crds full)"
        return
    if how.form == "summary":
        yield f"{counted(len(change.changes), 'field')} changed"
        return
    changes = (*change.changes, *(change.noise if how.noise else ()))
    for style, text in diff.fields(changes, how.context):
        yield f"! {text}" if style == "change" else text.removeprefix("  ")


def _stored_fields(each: tree.Tree) -> Iterator[str]:
    for field in each["fields"]:
        old, new = field["old"], field["new"]
        if field["op"] == "add":
            yield f"+ {field['path']}: {new}"
        elif field["op"] == "remove":
            yield f"- {field['path']}: {old}"
        else:
            yield f"! {field['path']}: {old} → {new}"


@dataclass(frozen=True, slots=True)
class Block:
    """One object: a title that is always seen, and lines that unfold."""

    title: str
    lines: tuple[str, ...]

    def text(self, limit: int | None = None) -> str:
        """The markdown in at most ``limit`` characters, lines left out at the end; its title whatever the limit."""
        whole = _folded(self.title, self.lines)
        if limit is None or len(whole) <= limit:
            return whole
        room = limit - len(_folded(self.title, [_missing(len(self.lines))]))
        kept: list[str] = []
        for line in self.lines:
            room -= len(line) + 1
            if room < 0:
                break
            kept.append(line)
        return _folded(self.title, [*kept, _missing(len(self.lines) - len(kept))])


def _missing(count: int) -> str:
    return f"… {count} more lines"


def _folded(title: str, lines: Sequence[str]) -> str:
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    body = "\n".join(lines)
    return f"<details><summary>{_escaped(title)}</summary>\n\n{fence}diff\n{body}\n{fence}\n\n</details>\n"


def _fit(head: str, blocks: Sequence[Block]) -> str:
    """All of it, or the longest blocks cut to one length, the greatest at which everything fits."""
    text = head if len(head) <= LIMIT // 2 else head[: LIMIT // 2] + "\n… (cut)\n"
    whole = [block.text() for block in blocks]
    if len(text) + sum(1 + len(each) for each in whole) <= LIMIT:
        return text + "".join(f"\n{each}" for each in whole)
    sizes = [(len(each), len(block.text(0))) for each, block in zip(whole, blocks, strict=True)]
    room = LIMIT - _ROOM - len(text) - len(blocks)
    low, high = 0, LIMIT
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(min(size, max(middle, least)) for size, least in sizes) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    unnamed = 0
    for block in blocks:
        piece = "\n" + block.text(low)
        if len(text) + len(piece) + _ROOM <= LIMIT:
            text += piece
        else:
            unnamed += 1
    left = f", {unnamed} objects are not even named" if unnamed else ""
    return (
        f"{text}\nA comment holds 65,536 characters, so long objects are cut here{left}: "
        "`ddhelm diff` shows everything.\n"
    )


_ROOM = 200
"""Characters kept free for the sentence that says what was cut."""


def _counts(step: tree.Tree) -> str:
    found: dict[str, int] = {}
    for each in step["objects"]:
        if each["fields"] or each["action"] != "update":
            found[each["action"]] = found.get(each["action"], 0) + 1
    return ", ".join(f"{count} {action}" for action, count in found.items()) or "none"


def _restarts(step: tree.Tree) -> str:
    words = [f"{each['kind']} `{each['name']}` ({', '.join(each['because'][:3])})" for each in step["restarts"]]
    return _escaped("; ".join(words)) or "none restarted"


def _escaped(text: Any) -> str:
    return str(text).replace("&", "&amp;").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
