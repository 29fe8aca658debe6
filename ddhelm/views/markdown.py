"""A plan as markdown for a pull request: a summary that always fits, details folded, whole objects left out last.

GitHub cuts a comment at 65,536 characters and shows nothing of what does not fit; so the text is kept below that and
says what it left out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from ddhelm import tree
from ddhelm.plan import Action, ObjectChange, Step, StepKind, matters
from ddhelm.views import diff, outcomes

LIMIT = 65_000
"""Characters; below GitHub's 65,536 by room for what a bot adds around it."""


def plan(document: tree.Tree, steps: Sequence[Step], how: diff.How) -> str:
    """The markdown of a plan: ``document`` is its JSON envelope, ``steps`` give the changes in full."""
    head = document_text(document["data"])
    blocks = [block for step in steps if step.kind is not StepKind.NOTHING for block in _blocks(step, how)]
    return _fit(head, [*_outcomes(document["data"]), *blocks])


def document(shown: tree.Tree) -> str:
    """The markdown of a plan that was read from a file: its summary and its fields."""
    blocks = [
        _folded(f"{step['release']}: {each['kind']} {each['name']} ({each['action']})", list(_stored_fields(each)))
        for step in shown["steps"]
        for each in step["objects"]
        if each["fields"]
    ]
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


def _outcomes(data: tree.Tree) -> Iterator[str]:
    changed = data.get("changedInCluster") or ()
    if changed:
        found = [text.removeprefix("  ") for style, text in outcomes.stored_lines(changed) if style != "head"]
        yield _folded(f"{outcomes.HEADING}: {len(changed)} objects", found)


def _blocks(step: Step, how: diff.How) -> Iterator[str]:
    created = [change for change in step.objects if change.action is Action.CREATE]
    if created:
        names = [f"+ {change.ref}" for change in created]
        yield _folded(f"{step.release.name}: {len(created)} objects to create", names)
    for change in step.objects:
        if change.action is not Action.CREATE and (matters(change) or (how.noise and change.noise)):
            yield _folded(f"{step.release.name}: {change.ref} ({change.action})", list(_lines(change, how)))


def _lines(change: ObjectChange, how: diff.How) -> Iterator[str]:
    if how.form == "unified":
        yield from (text for _, text in diff.unified(change, how.context))
        return
    if change.ref.kind == diff.CRD and not how.crds:
        yield f"{len(change.changes)} fields changed (--crds full)"
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


def _folded(title: str, lines: Sequence[str]) -> str:
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    body = "\n".join(lines)
    return f"<details><summary>{_escaped(title)}</summary>\n\n{fence}diff\n{body}\n{fence}\n\n</details>\n"


def _fit(head: str, blocks: Sequence[str]) -> str:
    text = head if len(head) <= LIMIT // 2 else head[: LIMIT // 2] + "\n… (cut)\n"
    left = 0
    for block in blocks:
        if len(text) + len(block) + 200 > LIMIT:
            left += 1
        else:
            text += "\n" + block
    if left:
        text += (
            f"\n{left} objects are left out here, because a comment holds 65,536 characters: `ddhelm diff` has all.\n"
        )
    return text


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
    return str(text).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
