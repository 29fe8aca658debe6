"""A plan as markdown for a pull request: a summary that always fits, then each object, folded.

GitHub refuses a comment of more than 65,536 characters. Where a plan would be longer, every object is still named and
the longest are cut, each with the number of lines that are missing; the last line says how to see them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ddhelm import tree
from ddhelm.plan import Action, ObjectChange, Step, StepKind
from ddhelm.steps import matters
from ddhelm.values import Values
from ddhelm.views import coverage, diff, drift, outcomes, stored
from ddhelm.views import plan as plan_view
from ddhelm.views.console import counted

LIMIT = 65_000
"""Characters; below GitHub's 65,536 by room for what a bot adds around it."""
_DETAILS = 5
"""Findings shown of one check."""


def plan(document: tree.Tree, steps: Sequence[Step], values: Mapping[str, Values], how: diff.How) -> str:
    """The markdown of a plan: ``document`` is its JSON envelope, ``steps`` give the changes in full.

    ``values`` are those that helm would be sent, by the name of the release.
    """
    return _whole(document["data"], steps, diff.layers_of(steps, values), how)


def document(shown: tree.Tree) -> str:
    """The markdown of a plan that was read from a file: its summary, its values and its fields."""
    return _whole(shown, stored.steps(shown), stored.layers(shown), diff.How(crds=True))


def _whole(data: tree.Tree, steps: Sequence[Step], layers: diff.Layers, how: diff.How) -> str:
    blocks = [block for step in steps if step.kind is not StepKind.NOTHING for block in _blocks(step, how)]
    return _fit(document_text(data, steps), [*_values(steps, layers, how), *_outcomes(data), *blocks])


def document_text(data: tree.Tree, steps: Sequence[Step]) -> str:
    """The part that always fits: cluster, chart, a row a step, coverage, what does not hold, what stops it, notes."""
    cluster, chart, space = data["cluster"], data["chart"], data["namespace"]
    agents = plan_view.agents_of(stored.pools(data))
    lines = [
        f"### ddhelm plan: {'changes' if data['changes'] else 'nothing to do'}",
        "",
        f"{cluster['distribution']} {cluster['version']} at `{cluster['server']}`, "
        f"namespace `{space['name']}`{_escaped(plan_view.namespace(space['create'], space['label']))}, "
        f"chart {chart['name']} {chart['version']} (`sha256:{chart['digest'][:12]}`)",
        "",
        "| release | step | objects | pods |",
        "|---|---|---|---|",
        *(_row(step, agents) for step in steps),
        "",
        f"{coverage.stored_sentence(data['coverage'])}.",
        f"{plan_view.how_many_hold(data['checks'])}.",
    ]
    if data["secretKeys"]:
        lines.append(f"Secret `ddhelm`: writes {', '.join(data['secretKeys'])}.")
    for problem in data["problems"]:
        lines += ["", f"**Stops it:** {_escaped(problem['text'])}", *(f"- {_escaped(d)}" for d in problem["details"])]
    return "\n".join([*lines, *_remarks(data)]) + "\n"


def _remarks(data: tree.Tree) -> Iterator[str]:
    """A list of what a reader should know besides: checks that do not hold, what is left out or lost, notes."""
    told = {problem["text"].partition(":")[0] for problem in data["problems"]}
    broken = [
        row for row in data["checks"] if not (row["ok"] or row["skipped"] or row["unknown"] or row["name"] in told)
    ]
    remarks = [
        *(f"**DELETES** {_escaped(crd)} and every object of that kind (--delete-crds)" for crd in data["lostCrds"]),
        *(_escaped("; ".join([f"{r['name']}: not so: {r['claim']}", *r["details"][:_DETAILS]])) for r in broken),
        *(_escaped(f"check `{left['check']}` is left out: {left['reason']}") for left in data["leftOut"]),
        *map(_escaped, data["notices"]),
    ]
    if remarks:
        yield from ("", "Besides:", "", *(f"- {remark}" for remark in remarks))


def _values(steps: Sequence[Step], layers: diff.Layers, how: diff.How) -> "Iterator[Block]":
    for step in steps:
        if changes := diff.values_changes(step):
            found = diff.values_lines(changes, layers.get(step.release.name, {}), how)
            yield Block(f"{step.release.name}: {counted(len(changes), 'value')} changed", tuple(_marked(found)))


def _marked(lines: Iterable[diff.Line], indent: str = "  ") -> Iterator[str]:
    """Lines as GitHub colours a diff: by what they begin with."""
    for style, text in lines:
        bare = text.removeprefix(indent)
        yield f"! {bare.removeprefix('~ ')}" if style == "change" else bare


def _outcomes(data: tree.Tree) -> "Iterator[Block]":
    changed = stored.changed_in_cluster(data)
    if changed:
        found = [line for each in changed for line in _marked(drift.lines(each), "    ")]
        yield Block(f"{outcomes.HEADING}: {counted(len(changed), 'object')}", tuple(found))


def _blocks(step: Step, how: diff.How) -> "Iterator[Block]":
    created = [change for change in step.objects if change.action is Action.CREATE]
    if created:
        names = tuple(f"+ {change.ref}" for change in created)
        yield Block(f"{step.release.name}: {counted(len(created), 'object')} to create", names)
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


class Block(Struct, frozen=True):
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


def _row(step: Step, agents: Mapping[str, int]) -> str:
    cells = (step.release.name, plan_view.doing(step), plan_view.counts(step), plan_view.pods(step, agents))
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: Any) -> str:
    return str(text).replace("&", "&amp;").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
