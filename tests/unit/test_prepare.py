"""What a run starts from: the releases that stand, and the settings that those before it have left."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddhelm.actions import prepare, reading
from ddhelm.actions.choosing import Choice
from ddhelm.actions.proving import left_standing
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.commands import upgrade
from ddhelm.errors import PreflightFailed
from ddhelm.masking import Masker
from ddhelm.profile import Profile
from ddhelm.record import Record
from ddhelm.release import NAMES, Role
from ddhelm.settings import FORMAT, RECORD_KEY, Settings, to_record
from ddhelm.steps import steps_for
from tests.unit.test_plan import desired, met

WORKER, CONTROL_PLANE = NAMES[Role.WORKER], NAMES[Role.CONTROL_PLANE]
SESSION = cast(Session, SimpleNamespace(access=SimpleNamespace(namespace="datadog"), masker=Masker(b"k" * 32)))
CONFIGMAP = "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"


def revision(name: str, status: str, wanted: Settings) -> Record:
    config = {RECORD_KEY: {"format": FORMAT, **to_record(wanted), "facts": {}}}
    return Record(name, "datadog", 3, status, "datadog", "3.240.0", "7", "", "", "", config, CONFIGMAP)


def decided(
    monkeypatch: pytest.MonkeyPatch, *stored: Record, request: Request | None = None, daemonsets: Any = None
) -> Choice:
    """What a request means where Helm has these newest revisions."""
    records = {each.name: (each,) for each in stored}
    cluster = reading.Cluster(cast(Any, None), None, records, daemonsets, None, None)
    for module in (prepare, reading):
        monkeypatch.setattr(module, "read", lambda _session: cluster)
    return prepare._decided(SESSION, request or Request(), 0)[2]


def test_of_a_release_that_was_uninstalled_only_the_settings_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """`helm uninstall --keep-history`: its record has a chart and a manifest, of which nothing stands."""
    wanted = Settings(site="datadoghq.eu")
    gone = [revision(name, "uninstalled", wanted) for name in (WORKER, CONTROL_PLANE)]
    choice = decided(monkeypatch, *gone)
    assert (choice.deployed, choice.settings.site) == ({}, "datadoghq.eu")
    assert reading.installed(SESSION) is None, "nothing to upgrade"
    assert [*decided(monkeypatch, gone[0], revision(CONTROL_PLANE, "deployed", wanted)).deployed] == [CONTROL_PLANE]
    managed = cast(Profile, SimpleNamespace(managed=True))
    assert left_standing(managed, choice.deployed, Request()) == []
    (step,) = steps_for(desired(), choice.deployed.get(WORKER), met())
    assert step.kind == "install"


def test_the_pair_may_have_moved_to_another_namespace_since(monkeypatch: pytest.MonkeyPatch) -> None:
    image = {"image": "gcr.io/datadoghq/agent:7"}
    annotations = {"meta.helm.sh/release-name": WORKER, "meta.helm.sh/release-namespace": "elsewhere"}
    body = {
        "metadata": {"namespace": "elsewhere", "name": WORKER, "annotations": annotations},
        "spec": {"template": {"spec": {"containers": [image]}}},
    }
    with pytest.raises(PreflightFailed, match="installed in namespace `elsewhere`"):
        decided(monkeypatch, revision(WORKER, "uninstalled", Settings()), daemonsets={"items": [body]})


@pytest.mark.parametrize("asked", [{"chart": "datadog-3.240.0.tgz"}, {"given": {"chart": "datadog-3.240.0.tgz"}}])
def test_a_chart_of_this_folder_is_remembered_by_its_whole_path(
    asked: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From a flag or a settings file: a later run from another folder finds it too."""
    monkeypatch.chdir(tmp_path)
    choice = decided(monkeypatch, request=Request(**asked))
    assert choice.settings.chart == str(tmp_path / "datadog-3.240.0.tgz")


@pytest.mark.parametrize(
    ("asked", "chart"),
    [
        ({}, "https://charts.example/remembered"),
        ({"reset_settings": True}, Settings().chart),
        ({"given": {"chart": "https://charts.example/file"}, "reset_settings": True}, "https://charts.example/file"),
        ({"given": {"chart": "https://charts.example/file"}, "chart": "oci://x/flag"}, "oci://x/flag"),
    ],
)
def test_an_upgrade_asks_for_versions_where_its_chart_comes_from(
    asked: Any, chart: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = revision(WORKER, "deployed", Settings(chart="https://charts.example/remembered"))
    request = Request(**asked)
    assert decided(monkeypatch, stored, request=request).settings.chart == chart
    installed = reading.installed(SESSION)
    assert installed is not None
    assert upgrade._chart(installed, request) == chart
