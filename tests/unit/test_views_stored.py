"""A plan file shows what the plan showed, to people and to a pull request."""

import json
from typing import Any

from msgspec.structs import replace

from ddhelm.drift import Change, Fate, FieldDrift, ObjectDrift
from ddhelm.managedfields import Writer
from ddhelm.manifest import ObjectRef
from ddhelm.plan import Action, ObjectChange, Restart, Step, StepKind
from ddhelm.planfile import PlanFile
from ddhelm.tree import Change as FieldChange
from ddhelm.tree import Named, Path
from ddhelm.views import console, diff, markdown, plan
from tests.docs.jsonsamples import ACCESS, CONFIGMAP, PREPARED, WORKER

DAEMONSET = ObjectRef("apps/v1", "DaemonSet", "datadog", WORKER.fullname)
ENV: Path = ("spec", "template", "spec", "containers", Named("name=agent"), "env", Named("name=DD_LOGS_ENABLED"))
SHOWN = "spec.template.spec.containers[name=agent].env[name=DD_LOGS_ENABLED].value"
LABEL = ("metadata", "labels", "foo")
BY = (Writer("kubectl-edit", "Update", "2026-11-24T03:00:00Z"),)
DRIFTED = ObjectDrift(
    WORKER.name,
    DAEMONSET,
    fields=(
        FieldDrift((*ENV, "value"), Change.ALTERED, "true", "false", BY, Fate.OVERWRITTEN),
        FieldDrift(LABEL, Change.ADDED, None, "bar", BY, Fate.KEPT, undo="kubectl label daemonset x foo-"),
    ),
)
STEPS = (
    Step(
        StepKind.UPGRADE,
        WORKER,
        "because",
        objects=(
            ObjectChange(
                DAEMONSET,
                Action.UPDATE,
                (FieldChange((*ENV, "value"), "replace", "false", "true"), FieldChange(LABEL, "add", None, "bar")),
            ),
            ObjectChange(CONFIGMAP, Action.UPDATE, (), (FieldChange(("data", "install_id"), "replace", "1", "2"),)),
        ),
        restarts=(
            Restart(DAEMONSET, ("env DD_LOGS_ENABLED",)),
            Restart(replace(DAEMONSET, name="other"), ("image",), on_delete=True),
        ),
        values_changes=(FieldChange(("datadog", "logs"), "add", None, "x"), FieldChange(("ddhelm",), "add", None, 1)),
        unchanged=23,
        gone=(DAEMONSET,),
        agents=frozenset({(DAEMONSET.kind, DAEMONSET.name)}),
    ),
    Step(StepKind.INSTALL, WORKER, objects=(ObjectChange(replace(CONFIGMAP, name="new"), Action.CREATE),)),
)
MADE = replace(
    PREPARED,
    plan=replace(PREPARED.plan, steps=STEPS, creates_namespace=True, labels_namespace=None, taken_over=("taken over",)),
    outcomes=(DRIFTED,),
)
DATA: dict[str, Any] = json.loads(json.dumps(plan.json(ACCESS, MADE)["data"]))
HOW = diff.How(crds=True, context=1)


def texts() -> tuple[str, str]:
    """What `plan` shows, and what `plan show` does."""
    first, second = console.fixed(width=200), console.fixed(width=200)
    plan.table(ACCESS, MADE, first, HOW)
    plan.document(PlanFile("2026-01-01", "2026-01-02", 1.0, {}, DATA), second)
    return console.text(first), console.text(second)


def test_a_plan_file_shows_every_line_of_the_plan() -> None:
    shown, stored = texts()
    lacking = [line for line in shown.splitlines() if line not in stored.splitlines()]
    # where the context came from and the chart's app version are not in the document, and notes stand in one place
    assert [line.split()[0] for line in lacking] == ["Context", "Chart", "!"]
    assert "taken over" in stored


def test_a_plan_file_says_what_restarts_what_is_written_and_what_does_not_hold() -> None:
    _, stored = texts()
    for said in (
        "1 update, 1 with noise only, 23 unchanged",
        "rolls 4 node agents (env DD_LOGS_ENABLED)",
        "pods of DaemonSet other stay as they are until deleted (OnDelete: image)",
        "datadog (is made, pod-security level privileged)",
        "ddhelm: writes api-key",
        f"not so: {MADE.plan.results[0].claim.claim}",
        "it is not",
        "a notice",
        "+ datadog.logs: x",
    ):
        assert said in stored
    assert "+ ddhelm" not in stored


def test_what_others_changed_is_shown_by_its_name_as_a_plan_shows_it() -> None:
    for text in (texts()[1], markdown.document(DATA)):
        assert f"{SHOWN}: true → false" in text
        assert "+ metadata.labels.foo: bar" in text
        assert f"DaemonSet datadog/{WORKER.fullname}" in text
        assert "None" not in text
        assert "\\" not in text


def test_the_markdown_of_a_plan_file_is_that_of_the_plan() -> None:
    whole = markdown.plan({"data": DATA}, STEPS, {}, HOW)
    stored = markdown.document(DATA)
    assert [line for line in whole.splitlines() if line not in stored.splitlines()] == []
    assert "+ ConfigMap datadog/new" in stored
    assert "+ datadog.logs: x" in stored
    for said in ("is made", "writes api-key", "it is not", "a notice", "taken over"):
        assert said in stored
