"""A plan before it is confirmed, and its outcome: the summary first, then each object, path by path."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ddhelm import planfile, tree
from ddhelm.access import Access
from ddhelm.actions.prepared import Prepared
from ddhelm.claim import Result
from ddhelm.controlplane import LeftOut
from ddhelm.notices import outdated
from ddhelm.plan import WORKLOADS, Action, Restart, Step, StepKind
from ddhelm.planfile import PlanFile
from ddhelm.pools import Pool
from ddhelm.steps import matters
from ddhelm.views import console, diff, envelope, outcomes, pasted, stored
from ddhelm.views import coverage as coverage_view
from ddhelm.views import drift as drift_view

if TYPE_CHECKING:
    from ddhelm.actions.carry_out import Outcome

_LINES = 12
"""Fields shown of one object, and details of one check; the rest is counted (`ddhelm diff` has all fields)."""
_SHORT = diff.How(limit=_LINES, context=1)

_SCREEN = 50
"""Lines of changes that a plan shows at most where it need not show all."""


def table(access: Access, prepared: Prepared, screen: Console, how: diff.How = _SHORT) -> None:
    """The whole plan for people."""
    plan = prepared.plan
    _grid(_heading(access, prepared), screen)
    for note in plan.taken_over:
        screen.print(f"! {pasted.sentence(note)}", style="yellow", markup=False)
    screen.print()
    pools_ = prepared.pools
    steps(plan.steps, screen, agents_of(pools_))
    lines(_changes(prepared, how), screen)
    lines(outcomes.lines(prepared.outcomes), screen)
    screen.print()
    screen.print(coverage_view.sentence(plan.coverage), markup=False)
    coverage_view.table(pools_, screen)
    checks(check_rows(plan.results), screen)
    for left in prepared.profile.left_out:
        _left_out(left, screen)
    if prepared.profile.managed:
        screen.print(f"• one release: {prepared.profile.why_managed}", markup=False)
    for note in (prepared.profile.claimed, *prepared.profile.notes, *plan.notices):
        if note:
            screen.print(f"• {pasted.sentence(note)}", markup=False)
    for ref in plan.lost_crds:
        _lost(str(ref), screen)


def _changes(prepared: Prepared, how: diff.How) -> list[diff.Line]:
    """What changes of values and objects, told as fully as fits on a screen where not all was asked for."""
    forms = [how]
    if how.limit is not None and how.form == "structural":
        forms += [replace(how, limit=4), replace(how, limit=1), replace(how, form="summary")]
    every = prepared.plan.steps
    layers = diff.layers_of(every, prepared.values)
    found: list[diff.Line] = []
    for form in forms:
        found = [*diff.of_values(every, layers, form), *diff.of_steps(every, form)]
        if len(found) <= _SCREEN:
            break
    if form is not how:
        back = all(step.kind in {StepKind.ROLLBACK, StepKind.NOTHING} for step in every)
        more = "" if back else ", so has `ddhelm diff` with the flags of a plan"
        found.append(("dim", f"  (shortened: `-o json` has every field{more})"))
    return found


def steps(every: Sequence[Step], screen: Console, agents: Mapping[str, int] | None = None) -> None:
    """A row for each step; ``agents`` is how many node agents each release has, where that is known."""
    grid = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("RELEASE", "STEP", "OBJECTS", "PODS"):
        grid.add_column(column, overflow="fold")
    for step in every:
        grid.add_row(step.release.name, _kind(step), counts(step), escape(pods(step, agents or {})))
    screen.print(grid)


def agents_of(pools_: Iterable[Pool]) -> Mapping[str, int]:
    """How many node agents each release has on the nodes of these pools."""
    found: Counter[str] = Counter()
    for pool in pools_:
        found.update(dict.fromkeys(pool.releases, pool.nodes))
    return found


def counts(step: Step) -> str:
    """`25 create`, `2 update, 23 unchanged`."""
    found = Counter(change.action for change in step.objects if matters(change))
    words = [f"{found[action]} {action}" for action in Action if found[action]]
    noise = sum(not matters(change) for change in step.objects)
    if noise:
        words.append(f"{noise} with noise only")
    if step.unchanged and (words or step.kind is StepKind.INSTALL):
        words.append(f"{step.unchanged} unchanged")
    if words:
        return ", ".join(words)
    if step.kind is StepKind.UPGRADE or (step.kind is StepKind.ROLLBACK and step.values_changes):
        return "values only" if diff.values_changes(step) else "settings remembered only"
    return "none"


def json(access: Access, prepared: Prepared) -> tree.Tree:
    """The versioned document of a plan; its ``digest`` is the one that the history names."""
    data = _data(access, prepared)
    return envelope.wrap("Plan", {**data, "digest": planfile.of_shown(data)})


def _data(access: Access, prepared: Prepared) -> tree.Tree:
    plan = prepared.plan
    layers = diff.layers_of(plan.steps, prepared.values)
    return {
        "cluster": {
            "server": access.server,
            "context": access.context,
            "uid": prepared.cluster.facts.uid,
            "version": prepared.cluster.facts.server_version,
            "distribution": prepared.profile.distribution,
        },
        "namespace": {"name": access.namespace, "create": plan.creates_namespace, "label": plan.labels_namespace},
        "chart": {
            "name": prepared.chart.name,
            "version": prepared.chart.version,
            "digest": prepared.chart.digest,
        },
        "changes": plan.changes,
        "secretKeys": list(plan.writes),
        "steps": [_step_json(step, layers.get(step.release.name, {})) for step in plan.steps],
        "changedInCluster": [drift_view.object_json(each) for each in prepared.outcomes],
        "coverage": coverage_view.json(plan.coverage, prepared.pools),
        "checks": check_rows(plan.results),
        "problems": [
            {"text": p.text, "hint": p.hint, "anchor": p.anchor, "details": list(p.details)} for p in plan.problems
        ],
        "leftOut": [
            {"check": left.component, "reason": left.reason, "fix": left.fix} for left in prepared.profile.left_out
        ],
        "lostCrds": [str(ref) for ref in plan.lost_crds],
        "notices": [*plan.taken_over, *plan.notices, *prepared.profile.notes],
    }


def document(file: PlanFile, screen: Console) -> None:
    """A plan that was read from a file, without a cluster: what ``table`` shows, as far as its document holds it."""
    shown = file.shown
    screen.print(f"[bold]Plan of {file.created}[/], expires {file.expires}", highlight=False)
    _grid(_stored_heading(shown), screen)
    screen.print()
    every, pools_ = stored.steps(shown), stored.pools(shown)
    steps(every, screen, agents_of(pools_))
    how = diff.How(crds=True, context=1)
    lines([*diff.of_values(every, stored.layers(shown), how), *diff.of_steps(every, how)], screen)
    lines(outcomes.lines(stored.changed_in_cluster(shown)), screen)
    screen.print()
    screen.print(coverage_view.stored_sentence(shown["coverage"]), markup=False)
    coverage_view.table(pools_, screen)
    checks(shown["checks"], screen)
    for left in shown["leftOut"]:
        _left_out(LeftOut(left["check"], left["reason"], left["fix"]), screen)
    for note in shown["notices"]:
        screen.print(f"• {pasted.sentence(note)}", markup=False)
    for crd in shown["lostCrds"]:
        _lost(crd, screen)
    screen.print(f"digest {planfile.of_shown(shown)[:12]}, as `ddhelm history` will name it", markup=False)


def outcome(result: "Outcome", screen: Console) -> None:
    """What was done, one line a step."""
    screen.print()
    for done in result.done:
        what = f"{done.step.release.name}: {done.step.kind}, revision {done.revision or 'unknown'}"
        screen.print(f"[green]✓[/] {what} ({done.seconds:.1f} s)")
    for note in _outdated(result):
        screen.print(f"! {note}", style="yellow", markup=False)
    screen.print()


def _outdated(result: "Outcome") -> list[str]:
    return list(outdated(result.watched.workloads if result.watched is not None else ()))


def outcome_json(prepared: Prepared, result: "Outcome") -> tree.Tree:
    """The versioned document of what happened; what is read only afterwards is null in it."""
    return envelope.wrap(
        "Outcome",
        {
            "wrote": list(result.wrote),
            "steps": [
                {
                    "release": done.step.release.name,
                    "kind": str(done.step.kind),
                    "revision": done.revision,
                    "seconds": round(done.seconds, 3),
                }
                for done in result.done
            ],
            "chart": prepared.chart.version,
            "rolledBack": dict(result.undone),
            "notices": _outdated(result),
            "failure": envelope.failure(result.failure),
            "status": None,
            "verification": None,
        },
    )


def nothing_json(prepared: Prepared) -> tree.Tree:
    """The outcome of a run that had nothing to do."""
    data: tree.Tree = {"wrote": [], "steps": [], "chart": prepared.chart.version, "rolledBack": {}}
    data |= {"notices": list(outdated(prepared.workloads)), "failure": None}
    return envelope.wrap("Outcome", {**data, "status": None, "verification": None})


def _heading(access: Access, prepared: Prepared) -> Iterable[tuple[str, str]]:
    facts, chart, plan = prepared.cluster.facts, prepared.chart, prepared.plan
    yield "Cluster", f"{prepared.profile.title}, Kubernetes {facts.server_version} at {access.server}"
    if access.context:
        yield "Context", f"{access.context} ({access.origins.get('context', '')})"
    yield "Namespace", access.namespace + namespace(plan.creates_namespace, plan.labels_namespace)
    origin = f"sha256 {chart.digest[:12]}" if chart.digest else "as Helm stored it"
    yield "Chart", f"{chart.name} {chart.version} (app {chart.app_version}, {origin})"
    if plan.writes:
        yield "Secret", "ddhelm: writes " + ", ".join(plan.writes)


def _stored_heading(shown: tree.Tree) -> Iterable[tuple[str, str]]:
    cluster, chart, space = shown["cluster"], shown["chart"], shown["namespace"]
    yield "Cluster", f"{cluster['distribution']}, Kubernetes {cluster['version']} at {cluster['server']}"
    if cluster["context"]:
        yield "Context", cluster["context"]
    yield "Namespace", space["name"] + namespace(space["create"], space["label"])
    origin = f"sha256 {chart['digest'][:12]}" if chart["digest"] else "as Helm stored it"
    yield "Chart", f"{chart['name']} {chart['version']} ({origin})"
    if shown["secretKeys"]:
        yield "Secret", "ddhelm: writes " + ", ".join(shown["secretKeys"])


def namespace(create: bool, label: Mapping[str, str] | None) -> str:
    """What is done to the namespace, in brackets; empty for nothing."""
    if create:
        return " (is made, pod-security level privileged)"
    return " (is labelled " + ", ".join(f"{k}={v}" for k, v in label.items()) + ")" if label else ""


def _grid(rows: Iterable[tuple[str, str]], screen: Console) -> None:
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in rows:
        grid.add_row(f"[bold]{name}[/]", escape(text))
    screen.print(grid)


def _left_out(left: LeftOut, screen: Console) -> None:
    screen.print(f"• check `{left.component}` is left out: {pasted.sentence(str(left))}", markup=False)


def _lost(crd: str, screen: Console) -> None:
    screen.print(f"[bold red]DELETES[/] {escape(crd)} and every object of that kind (--delete-crds)")


def _kind(step: Step) -> str:
    style = {StepKind.NOTHING: "dim", StepKind.UNINSTALL: "red", StepKind.ROLLBACK: "yellow"}.get(step.kind, "bold")
    return f"[{style}]{doing(step)}[/]"


def doing(step: Step) -> str:
    """`upgrade`, `rollback to 2`."""
    return f"{step.kind} to {step.target}" if step.target else str(step.kind)


_VERBS = {Action.CREATE: "starts", Action.DELETE: "ends"}


def pods(step: Step, agents: Mapping[str, int]) -> str:
    """What becomes of the pods: `rolls 47 node agents (image), Cluster Agent not restarted`."""
    anew = step.kind is StepKind.INSTALL and not (step.restarts or step.unchanged)
    if anew or step.kind in {StepKind.NOTHING, StepKind.UNINSTALL}:
        return ""
    come_and_go = [each for each in step.objects if each.ref.kind in WORKLOADS and each.action in _VERBS]
    if not step.restarts and not come_and_go:
        return "none restarted" if step.kind is not StepKind.ROLLBACK else ""
    words = [f"{_VERBS[each.action]} {each.ref.kind} {each.ref.name}" for each in come_and_go]
    for restart in step.restarts:
        because = sorted(restart.because, key=lambda each: each != "image")  # what most want to know first
        why = ", ".join(because[:3]) + (" …" if because[3:] else "")
        count = agents.get(step.release.name)
        ours = (restart.ref.kind, restart.ref.name) in step.agents
        node_agents = ours and restart.ref.kind == "DaemonSet"
        which = f"{'the' if count is None else count} node agent{'s' * (count != 1)}"
        if restart.on_delete:
            pods_ = which if node_agents else f"pods of {restart.ref.kind} {restart.ref.name}"
            one = node_agents and count == 1
            words.append(f"{pods_} {'stays as it is' if one else 'stay as they are'} until deleted (OnDelete: {why})")
        elif node_agents:
            words.append(f"rolls {which} ({why})")
        elif ours:
            words.append(f"restarts the Cluster Agent ({why})")
        else:
            words.append(f"restarts {restart.ref.kind} {restart.ref.name} ({why})")
    refs = [*(each.ref for each in step.restarts), *(each.ref for each in come_and_go)]
    told = {(ref.kind, ref.name) for ref in refs}
    cluster_agents = {each for each in step.agents if each[0] == "Deployment"}
    recovers = step.kind is StepKind.ROLLBACK and not step.restarts  # what restarts then, the step after it tells
    if cluster_agents and not cluster_agents & told and not recovers:
        words.append("Cluster Agent not restarted")
    return ", ".join(words)


_RICH = {"add": "green", "remove": "red", "change": "yellow", "dim": "dim", "head": "bold", "plain": ""}


def lines(found: Iterable[diff.Line], screen: Console) -> None:
    """Lines of a diff, coloured where the terminal has colours."""
    for style, text in found:
        if style == "head":
            screen.print()
        # never folded here: what is to be pasted must stay one line
        screen.print(text, style=_RICH[style], markup=False, highlight=False, soft_wrap=True)


def check_rows(results: Sequence[Result]) -> list[tree.Tree]:
    """Every check with its verdict, as a document has it."""
    return [
        {
            "name": result.claim.name,
            "claim": result.claim.claim,
            "severity": result.claim.severity,
            "ok": result.ok,
            "skipped": bool(result.skipped),
            "unknown": result.unknown,
            "details": list(result.details),
        }
        for result in results
    ]


def checks(rows: Sequence[tree.Tree], screen: Console) -> None:
    """How many checks hold, and a line for each that does not, was skipped, or could not be decided."""
    screen.print(how_many_hold(rows))
    for row in rows:
        if row["skipped"]:
            screen.print(f"  - {row['name']}: skipped", markup=False, style="dim")
        elif row["unknown"]:
            why = row["unknown"] if row["severity"] != "note" else pasted.sentence("a note, see `ddhelm check`")
            screen.print(f"  ? {row['name']}: {why}", markup=False, style="dim")
        elif not row["ok"]:
            style = {"fatal": "bold red", "warning": "yellow"}.get(row["severity"], "dim")
            mark = console.BAD if row["severity"] == "fatal" else console.WARN
            screen.print(f"  {mark} {row['name']}: not so: {row['claim']}", markup=False, style=style)
            for detail in row["details"][:_LINES]:
                screen.print(f"      {detail}", markup=False)


def how_many_hold(rows: Sequence[tree.Tree]) -> str:
    """`40 of 42 checks hold, 1 could not be decided`."""
    holds = sum(row["ok"] and not row["skipped"] and not row["unknown"] for row in rows)
    unknown = sum(bool(row["unknown"]) for row in rows)
    return f"{holds} of {len(rows)} checks hold" + (f", {unknown} could not be decided" if unknown else "")


def _step_json(step: Step, layers: Mapping[tree.Path, str]) -> tree.Tree:
    return {
        "release": step.release.name,
        "role": str(step.release.role),
        "kind": str(step.kind),
        "why": step.why,
        "target": step.target,
        "objects": [
            {
                "action": str(change.action),
                "kind": change.ref.kind,
                "namespace": change.ref.namespace,
                "name": change.ref.name,
                "noise": [tree.show(each.path) for each in change.noise],
                "fields": [_field_json(each) for each in change.changes],
            }
            for change in step.objects
        ],
        "restarts": [_restart_json(each) for each in step.restarts if not each.on_delete],
        "onDelete": [_restart_json(each) for each in step.restarts if each.on_delete],
        "agents": [{"kind": kind, "name": name} for kind, name in sorted(step.agents)],
        "unchanged": step.unchanged,
        "gone": [str(ref) for ref in step.gone],
        "values": [{**_field_json(each), "layer": layers.get(each.path, "")} for each in diff.values_changes(step)],
    }


def _restart_json(restart: Restart) -> tree.Tree:
    return {"kind": restart.ref.kind, "name": restart.ref.name, "because": list(restart.because)}


def _field_json(change: tree.Change) -> tree.Tree:
    return {"path": tree.show(change.path), "op": change.op, "old": change.old, "new": change.new}
