"""Two revisions side by side, and the values of a plan: what counts as a difference, and what is told of it."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm.actions import prepare
from ddhelm.actions.session import Session
from ddhelm.commands import diff, requests
from ddhelm.flaggroups import Options
from ddhelm.plan import Desired, Live
from ddhelm.record import Record
from ddhelm.release import NAMES, Release, Role
from ddhelm.steps import steps_for
from ddhelm.values import Layer, build
from tests.unit.test_plan import MASKER, RELEASE, configmap, deployed, desired, manifest

HOW = cast(Options, {"form": "structural", "context_lines": 3, "show_noise": False, "crds": "summary"})
KEY = "0123456789abcdef0123456789abcdef"


def record(revision: int, config: dict[str, Any], *objects: dict[str, Any]) -> Record:
    text = "".join(f"---\n{json.dumps(each)}\n" for each in objects or (configmap(),))
    return Record(RELEASE.name, "datadog", revision, "superseded", "datadog", "3.240.0", "7", "", "", "", config, text)


def compared(monkeypatch: pytest.MonkeyPatch, *records: Record) -> int:
    found = {(each.name, each.revision): each for each in records}
    kubectl = SimpleNamespace(records=lambda wanted: tuple(map(found.get, wanted)))
    access = SimpleNamespace(namespace="datadog")
    session = cast(Session, SimpleNamespace(access=access, kubectl=kubectl, masker=MASKER))
    return diff.revisions(session, HOW, 1, 2, detailed=True)


def test_revisions_of_other_values_differ_though_their_objects_do_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = {"datadog": {"site": "a", "apiKey": KEY}}
    assert compared(monkeypatch, record(1, first), record(2, {"datadog": {"site": "b", "apiKey": KEY[::-1]}})) == 2
    told = capsys.readouterr().out
    assert "values only" in told
    assert "datadog.site: a → b" in told
    assert "datadog.apiKey: ***" in told
    assert KEY not in told
    assert KEY[::-1] not in told
    assert f"{RELEASE.name} upgrade" not in told, "a heading with nothing below it"


def test_revisions_that_remember_other_settings_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(monkeypatch, record(1, {"ddhelm": {"v": 1}}), record(2, {"ddhelm": {"v": 2}})) == 2
    assert "only what the release remembers" in capsys.readouterr().out


def test_revisions_that_say_the_same_do_not_differ(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(monkeypatch, record(1, {"a": [1]}), record(2, {"a": [1]})) == 0
    assert "nothing" in capsys.readouterr().out
    assert compared(monkeypatch, record(1, {"a": 1}), record(2, {"a": 1}, configmap(x="y"))) == 2
    assert "revision 1 to 2" in capsys.readouterr().out


@pytest.mark.parametrize("new", [True, False])
def test_values_of_a_release_still_to_be_installed_are_a_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], new: bool
) -> None:
    worker, control_plane = NAMES.values()
    second = Release(Role.CONTROL_PLANE, control_plane, "datadog")
    quiet = steps_for(desired(configmap()), deployed(configmap()), Live({}))
    wanted = Desired(second, build([Layer("x", {"a": 1})]), manifest(configmap()), "3.240.0")
    installs = steps_for(wanted, None, Live({})) if new else []
    made = SimpleNamespace(
        plan=SimpleNamespace(steps=(*quiet, *installs)),
        deployed={worker: deployed(configmap())},
        values={worker: build([Layer("x", {"a": 1})])},
    )
    monkeypatch.setattr(prepare, "prepare", lambda *_given: made)
    monkeypatch.setattr(requests, "request", lambda _options: None)
    session = cast(Session, SimpleNamespace(access=SimpleNamespace(namespace="datadog")))
    assert diff.values(session, HOW, detailed=True) == (2 if new else 0)
    told = capsys.readouterr().out
    assert ("No value differs" in told) is not new
    assert (f"{control_plane}: the release is still to be installed" in told) is new
