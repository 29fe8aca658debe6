"""The way back: what helm deletes in it, also where it starts from a revision that failed."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ddhelm import tree
from ddhelm.actions import drift as action
from ddhelm.actions import prepare, revisions, rollback
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.claim import Claim, Result, Severity
from ddhelm.commands import drift as command
from ddhelm.commands import onboard
from ddhelm.coverage import Coverage
from ddhelm.drift import Change, Drift, Fate, FieldDrift, ObjectDrift
from ddhelm.errors import PreflightFailed
from ddhelm.plan import Action, LiveChange, Plan, Problem, StepKind
from ddhelm.record import Record
from ddhelm.steps import steps_for
from tests.adapters.apiserver import ApiServer, items
from tests.unit.test_plan import (
    RELEASE,
    configmap,
    crd,
    daemonset,
    deployed,
    desired,
    manifest,
    met,
    ref_of,
    waiting_for_deletion,
)

SESSION = cast(Session, SimpleNamespace(access=SimpleNamespace(namespace="datadog")))
EXTRA = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "extra"}, "spec": {}}


def failed_above(
    monkeypatch: pytest.MonkeyPatch,
    *added: dict[str, Any],
    agents: dict[str, Any] = daemonset(),  # noqa: B008 - nobody changes it
    problems: tuple[Problem, ...] = (),
) -> None:
    """Revision 3 stands, 4 failed once it had added objects; the plan is of a way back to 3."""
    records = {
        RELEASE.name: tuple(
            Record(RELEASE.name, "datadog", number, status, "datadog", "3.240.0", "7", "", "", "", {}, "")
            for number, status in ((3, "deployed"), (4, "failed"))
        )
    }
    base = (agents, configmap())
    state = replace(deployed(*base, status="failed", revision=4), unfinished=manifest(*base, *added))
    wanted = desired(*base)
    results = tuple(Result(_claim(each.text.partition(":")[0]), ok=False) for each in problems)
    plan = Plan(tuple(steps_for(wanted, state, met(*base, *added))), Coverage(()), results, problems=problems)
    none = cast(Any, None)
    made = Prepared(plan, none, none, none, none, (RELEASE,), (wanted,), {RELEASE.name: state})
    monkeypatch.setattr(revisions, "read", lambda _session: records)
    monkeypatch.setattr(prepare, "of_records", lambda *_given: made)


def _claim(name: str) -> Claim:
    return Claim(name, "x", Severity.FATAL, "", name, lambda _context: iter(()))


def reverted(request: Request = Request()) -> Prepared:  # noqa: B008 - it cannot change
    """A plan to set back a ConfigMap that somebody edited."""
    field = FieldDrift(("data", "x"), Change.ALTERED, "1", "2", (), Fate.OVERWRITTEN)
    return rollback.revert(SESSION, request, Drift((ObjectDrift(RELEASE.name, ref_of(configmap()), fields=(field,)),)))


def rolled_back(request: Request = Request()) -> Prepared:  # noqa: B008 - it cannot change
    return rollback.make(SESSION, request, rollback.Way({RELEASE.name: 3}, revisions.read(SESSION)))


def test_a_revert_over_a_failed_revision_shows_what_of_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was shown as the one ConfigMap; helm compares with the head and deletes the rest too (3.22, 4.3)."""
    failed_above(monkeypatch, EXTRA)
    (step,) = reverted().plan.steps
    assert (step.kind, step.target) == (StepKind.REPAIR, 3)
    assert [(each.action, each.ref.name) for each in step.objects] == [
        (Action.RESTORE, "confd"),
        (Action.DELETE, "extra"),
    ]
    assert step.why.endswith("what others added stays; revision 4 is `failed`, and what it added goes")


@pytest.mark.parametrize("missing", [False, True])
def test_a_revert_says_which_pods_only_a_deletion_replaces(missing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    failed_above(monkeypatch, agents=waiting_for_deletion("agent:7"))
    image = FieldDrift(("spec", "template", "spec", "image"), Change.ALTERED, "a", "b", (), Fate.OVERWRITTEN)
    found = ObjectDrift(RELEASE.name, ref_of(daemonset()), missing, () if missing else (image,))
    (step,) = rollback.revert(SESSION, Request(), Drift((found,))).plan.steps
    assert [each.on_delete for each in step.restarts] == [not missing]


def test_a_rollback_from_a_failed_revision_shows_what_of_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    failed_above(monkeypatch, EXTRA)
    (step,) = rolled_back().plan.steps
    assert (step.kind, step.target) == (StepKind.ROLLBACK, 3)
    assert [(each.action, each.ref.name) for each in step.objects] == [(Action.DELETE, "extra")]


@pytest.mark.parametrize("way", [reverted, rolled_back])
def test_a_crd_that_a_failed_revision_added_goes_only_where_that_was_said(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_above(monkeypatch, crd())
    with pytest.raises(PreflightFailed, match="1 CRDs would be deleted") as raised:
        way()
    assert "--delete-crds" in raised.value.hint
    assert [ref.name for ref in way(Request(delete_crds=True)).plan.lost_crds] == ["monitors.datadoghq.com"]


@pytest.mark.parametrize("way", [reverted, rolled_back])
def test_one_that_somebody_annotated_to_be_kept_stays(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failed_above(monkeypatch, crd())
    made = replace(prepare.of_records(SESSION, Request(), {}), keeps={ref_of(crd()).identity: True})
    monkeypatch.setattr(prepare, "of_records", lambda *_given: made)
    (step,) = way().plan.steps
    assert (step.objects[-1].action, step.deleted) == (Action.KEEP, ())


@pytest.mark.parametrize("way", [reverted, rolled_back])
def test_what_stops_a_way_back_is_passed_with_flags_that_the_command_takes(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = "remove it, or insist with --allow-second-agent"
    failed_above(monkeypatch, problems=(Problem("no-other-agent: not so: x", hint),))
    (problem,) = way().plan.problems
    assert (
        problem.hint == "ddhelm onboard with the values that you want; or the same command with --skip no-other-agent"
    )


@pytest.mark.parametrize("adopt", [False, True], ids=["revert", "adopt"])
def test_drift_takes_the_flags_that_its_hints_name(adopt: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    failed_above(monkeypatch, problems=(Problem("no-other-agent: not so: x", "--allow-second-agent"),))
    field = FieldDrift(("data", "x"), Change.ALTERED, "1", "2", (), Fate.OVERWRITTEN)
    found = Drift((ObjectDrift(RELEASE.name, ref_of(configmap()), fields=(field,)),))
    made, asked = prepare.of_records(SESSION, Request(), {}), list[Request]()
    told = list[Prepared]()

    def planned(_session: Session, request: Request, *_found: Drift) -> Prepared:
        asked.append(request)
        return made

    def carried(_session: Session, _options: Any, prepared: Prepared, *_given: Any, **_how: Any) -> int:
        told.append(prepared)
        return 0

    monkeypatch.setattr(action, "read", lambda _session, **_how: found)
    monkeypatch.setattr(action, "adopt", lambda _session, _found, request: (request, (), ()))
    monkeypatch.setattr(prepare, "prepare", planned)
    monkeypatch.setattr(rollback, "revert", planned)
    monkeypatch.setattr(onboard, "carry_on", carried)
    options = {"delete_crds": True, "skip": ["no-other-agent"], "timeout": None, "lock_timeout": None}
    command.drift(SESSION, {**options, "no_rollback": False}, "json", revert=not adopt, adopt=adopt)
    assert [(each.skip, each.delete_crds) for each in asked] == [(("no-other-agent",), True)]
    assert not adopt or "--skip no-other-agent" in told[0].plan.problems[0].hint


def test_so_does_one_that_an_upgrade_would_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    failed_above(monkeypatch, crd())
    made = prepare.of_records(SESSION, Request(), {})
    assert [step.kind for step in made.plan.steps] == [StepKind.ROLLBACK, StepKind.NOTHING]
    with pytest.raises(PreflightFailed, match="1 CRDs would be deleted"):
        made.heeding_crds(delete=False)


def of_a_broken_install(objects: int) -> tuple[Session, Prepared]:
    """A first install that was killed, with a CRD of which ``objects`` exist; the chart has it again."""
    names = {"group": "datadoghq.com", "names": {"plural": "monitors"}, "versions": [{"name": "v1", "served": True}]}
    definition = {**crd(), "spec": names}
    state = deployed(daemonset(), definition, status="pending-install", revision=1, base=None)
    wanted = desired(daemonset(), definition)
    steps = tuple(steps_for(wanted, state, met()))
    assert [step.kind for step in steps] == [StepKind.UNINSTALL, StepKind.INSTALL]
    none = cast(Any, None)
    plan = Plan(steps, Coverage(()), ())
    made = Prepared(plan, none, none, none, none, (RELEASE,), (wanted,), {RELEASE.name: state})
    server = ApiServer()
    server.serve("/apis/datadoghq.com/v1/monitors?limit=1", items(*[{"metadata": {"name": "m"}}] * objects))
    return cast(Session, SimpleNamespace(kubectl=server)), made


def test_a_broken_install_is_not_removed_while_its_crds_hold_objects() -> None:
    """The chart would make the CRD again, and not the objects in it."""
    session, made = of_a_broken_install(1)
    with pytest.raises(PreflightFailed, match="together with the objects in them") as raised:
        prepare._stop_at_objects(session, made.heeding_crds(delete=False), Request())
    assert raised.value.details == ("CRD `monitors.datadoghq.com` holds 1 object",)
    assert f"delete secret sh.helm.release.v1.{RELEASE.name}.v1" in raised.value.hint
    prepare._stop_at_objects(session, made, Request(delete_crds=True))
    session, made = of_a_broken_install(0)
    prepare._stop_at_objects(session, made, Request())


def test_a_rollback_past_the_revision_that_stood_is_one_step_with_all_that_it_sets_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What only the failed head altered or others did was told by a recovery that is no step of its own here."""
    same, other = configmap(), daemonset()
    state = replace(
        deployed(same, other, status="failed", revision=4), unfinished=manifest(configmap(x="2"), other, EXTRA)
    )
    wanted = desired(same, daemonset("agent:6"))
    changed = LiveChange(ref_of(same), missing=False, changes=(tree.Change(("data", "x"), "remove", "2", None),))
    failed_above(monkeypatch)
    made = prepare.of_records(SESSION, Request(), {})
    steps = tuple(steps_for(wanted, state, met(same, other, EXTRA, changes=[changed])))
    assert [step.kind for step in steps] == [StepKind.ROLLBACK, StepKind.UPGRADE]
    made = replace(made, plan=replace(made.plan, steps=steps), desired=(wanted,), deployed={RELEASE.name: state})
    monkeypatch.setattr(prepare, "of_records", lambda *_given: made)
    (step,) = rolled_back().plan.steps
    assert [(each.action, each.ref.name) for each in step.objects] == [
        (Action.UPDATE, "w"),
        (Action.UPDATE, "confd"),
        (Action.DELETE, "extra"),
    ]
    assert ([each.ref.name for each in step.restarts], step.unchanged) == (["w"], 0)
