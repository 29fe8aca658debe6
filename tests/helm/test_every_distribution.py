"""Every topology planned without a cluster, on the chart under test: proven, or refused with the version that will do.

On a chart that `DDHELM_TEST_CHART` names, one that is too old for a distribution's values may refuse.
"""

import json
import re
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from ddhelm import chart as chart_
from ddhelm import facts, proof
from ddhelm.actions import offline, wrongvalues
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.request import Request, UserSources
from ddhelm.errors import ConfigError
from ddhelm.facts import version_of
from ddhelm.nodes import Taint
from ddhelm.release import Role
from ddhelm.settings import Settings, UserLayers
from ddhelm.uservalues import Source
from tests.charts import chart, is_stand_in
from tests.helm.toy import MAJORS
from tests.sandbox import build, topology
from tests.unit.factsets import found
from tests.unit.test_distribution_checks import read

APIS = frozenset(
    {
        "v1", "apps/v1", "policy/v1", "batch/v1", "autoscaling/v2", "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1",
        "apiextensions.k8s.io/v1", "admissionregistration.k8s.io/v1", "apiregistration.k8s.io/v1",
        "scheduling.k8s.io/v1", "networking.k8s.io/v1",
    }
)  # fmt: skip
"""What every Kubernetes serves, as far as a chart may use it."""
NAMES = [name for name in topology.names() if name != "large"]
UNCOVERED = {"eks-fargate": 3, "aks": 2, "managed": 2}
"""Topology → nodes that no Linux agent may run on, or whose taint nobody was told to tolerate."""
TOO_OLD = re.compile(r"--version (\S+) or later")


def written(name: str, folder: Path) -> Path:
    """The facts of a topology in a file, as `ddhelm detect -o json` writes them."""
    read_facts = read(name)
    whole = replace(read_facts, api_groups=read_facts.api_groups | APIS)
    target = folder / "facts.json"
    target.write_text(json.dumps(facts.to_json(whole)))
    return target


def planned(name: str, folder: Path, request: Request | None = None) -> Prepared:
    """The plan for a topology, made by the helm on PATH."""
    request = request or Request(chart=str(chart()))
    return offline.plan_offline(offline.session(None), lambda: request, str(written(name, folder)), None)


@pytest.fixture(params=MAJORS)
def helm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """One helm on PATH, with a home of its own."""
    version = str(request.param)
    monkeypatch.setenv("PATH", f"{build.helm(version).parent}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    return version


@pytest.mark.parametrize(("name", "helm"), [(name, MAJORS[at % 2]) for at, name in enumerate(NAMES)], indirect=["helm"])
def test_a_topology_is_proven_or_refused_with_the_version_that_will_do(name: str, helm: str, tmp_path: Path) -> None:
    if name == "gke-autopilot" and is_stand_in():
        with pytest.raises(ConfigError, match="GKE Autopilot"):  # its shape is the real chart's alone
            planned(name, tmp_path)
        return

    made = planned(name, tmp_path)

    for broken in proof.broken(made.plan.results):
        assert broken.claim.name == "requirements", broken
        needed = [match[1] for hint in broken.hints if (match := TOO_OLD.match(hint))]
        assert needed, broken
        assert all(version_of(made.chart.version) < version_of(version) for version in needed)
    assert [step.release.name for step in made.plan.steps] == [release.name for release in made.releases]
    assert len(made.releases) == 1 + found(read(name)).control_plane_release
    assert made.plan.coverage.counts()["doubled"] == 0
    assert made.plan.coverage.counts()["uncovered"] == UNCOVERED.get(name, 0)
    assert next(found.ok for found in made.plan.results if found.claim.name == "components-collected-once")


OLD = """\
agents:
  tolerations: [{key: team, operator: Exists}]
  volumes: [{name: ca, configMap: {name: corp-ca}}]
  volumeMounts: [{name: ca, mountPath: /etc/corp, readOnly: true}]
"""


def test_lists_of_an_earlier_release_take_neither_agents_nor_files_away(helm: str, tmp_path: Path) -> None:
    user = UserSources(both=(Source("file", "datadog-values.yaml", OLD),))
    made = planned("kops", tmp_path, Request(chart=str(chart()), user=user))
    assert proof.broken(made.plan.results) == ()
    assert made.plan.coverage.counts()["uncovered"] == 0


def test_a_new_taint_on_every_node_is_hinted_with_what_is_tolerated_already(helm: str, tmp_path: Path) -> None:
    known, taints = read("managed"), (Taint("old", effect="NoSchedule"), Taint("new", effect="NoSchedule"))
    nodes = tuple(replace(each, taints=taints) for each in known.nodes)
    target = tmp_path / "facts.json"
    target.write_text(json.dumps(facts.to_json(replace(known, api_groups=known.api_groups | APIS, nodes=nodes))))
    request = Request(chart=str(chart()), given={"tolerate": ("old",)})
    made = offline.plan_offline(offline.session(None), lambda: request, str(target), None)
    (broken,) = [each for each in proof.broken(made.plan.results) if each.claim.name == "cluster-agent-finds-a-node"]
    assert broken.hints == ("ddhelm onboard --tolerate old --tolerate new:NoSchedule",)


def test_what_is_meant_for_a_release_that_is_not_there_is_said(helm: str, tmp_path: Path) -> None:
    request = Request(chart=str(chart()), given={"drop_checks": ("etcd",)})
    (said,) = [
        notice for notice in planned("eks-fargate", tmp_path, request).plan.notices if "no control-plane rel" in notice
    ]
    assert said == "--drop-check: kept, but without effect while there is no control-plane release"
    assert not any("without effect" in notice for notice in planned("kubeadm", tmp_path, request).plan.notices)


def test_a_plan_without_a_cluster_of_one_release_is_proven_with_the_other(helm: str, tmp_path: Path) -> None:
    made = planned("kubeadm", tmp_path, Request(chart=str(chart()), only=Role.WORKER))
    assert [step.release.role for step in made.plan.steps] == [Role.WORKER]
    assert made.plan.coverage.counts()["uncovered"] == 0
    made = planned("kubeadm", tmp_path, Request(chart=str(chart()), only=Role.CONTROL_PLANE))
    assert [step.release.role for step in made.plan.steps] == [Role.CONTROL_PLANE]


def test_a_plan_without_a_cluster_refuses_keys_that_the_chart_does_not_know(helm: str, tmp_path: Path) -> None:
    misspelt = UserSources(both=(Source("set", "clusterAgnt.enabled=true"),))
    with pytest.raises(ConfigError, match=r"--set: chart datadog .* does not know `clusterAgnt`"):
        planned("kubeadm", tmp_path, Request(chart=str(chart()), user=misspelt))


MIX = """\
agents: {imag: {}}
datadog:
  site: no
  apiKey: 0123456789abcdef0123456789abcdef
agnets: {}
"""


def test_every_problem_of_the_values_is_said_at_once_with_its_place(helm: str, tmp_path: Path) -> None:
    sources = UserSources(
        both=(Source("file", "mix.yaml", MIX), Source("file", "b.yaml", "x: 1\nagnets: {}\n")),
        worker=(Source("set", "agents.imag.tag=7", flag="--worker-set"),),
    )
    with pytest.raises(ConfigError) as caught:
        planned("kubeadm", tmp_path, Request(chart=str(chart()), user=sources))
    said = [re.sub(r" \(.*", "", re.sub(r"datadog [0-9.]+ ", "", line)) for line in caught.value.details]
    assert said == [
        "mix.yaml:1: chart does not know `agents.imag`",
        "mix.yaml:3: `datadog.site`: `no` is false for Helm",
        "mix.yaml:4: `datadog.apiKey` looks like a secret",
        "mix.yaml:5: chart does not know `agnets`",
        "b.yaml:1: chart does not know `x`",
        "b.yaml:2: chart does not know `agnets`",
        "--worker-set: chart does not know `agents.imag`",
    ]
    assert "did you mean `agents.image`?" in caught.value.details[0]


def test_a_chart_that_cannot_be_had_hides_no_problem_of_the_values(helm: str, tmp_path: Path) -> None:
    sources = UserSources(both=(Source("file", "mix.yaml", MIX),))
    with pytest.raises(ConfigError) as caught:
        planned("kubeadm", tmp_path, Request(chart=str(tmp_path / "none"), user=sources))
    *said, last = caught.value.details
    assert [line.split(": ")[0] for line in said] == ["mix.yaml:3", "mix.yaml:4"]
    assert last.startswith("whether the chart knows the keys was not looked at: there is no chart at")


def test_an_unknown_key_of_an_earlier_run_says_where_it_is_kept() -> None:
    kept = Settings(user=UserLayers(worker={"agnets": {}}), origins={"user": "stored with `datadog` revision 3"})
    with pytest.raises(ConfigError, match=r"worker values stored with `datadog` revision 3: chart .* `agnets`"):
        wrongvalues.refuse_unfit(chart_.read(chart()), Request(), kept)
    replaced = Request(user=UserSources(worker=(Source("file", "v.yaml", "agents: {}\n"),)))
    wrongvalues.refuse_unfit(chart_.read(chart()), replaced, kept)
    wrongvalues.refuse_unfit(chart_.read(chart()), Request(allow_unknown_values=True), kept)


@pytest.mark.parametrize(("kind", "word"), [("set", "no"), ("set", "off"), ("set", "Yes"), ("set-string", "false")])
def test_a_text_where_the_chart_has_true_or_false_is_refused(kind: Literal["set", "set-string"], word: str) -> None:
    given = Request(user=UserSources((Source(kind, f"datadog.logs.enabled={word},datadog.tags[0]=no,a=no"),)))
    given = replace(given, allow_unknown_values=True)
    with pytest.raises(ConfigError, match=f"^--{kind}: `datadog.logs.enabled`: `{word}` is text, which counts as true"):
        wrongvalues.refuse_unfit(chart_.read(chart()), given, Settings())


def test_a_quoted_no_in_a_file_is_refused_with_its_line_and_a_boolean_is_none() -> None:
    def of(text: str) -> Request:
        return Request(user=UserSources((Source("file", "v.yaml", text),)))

    with pytest.raises(ConfigError, match=r"^v.yaml:2: `datadog.logs.enabled`: `false` is text"):
        wrongvalues.refuse_unfit(chart_.read(chart()), of('datadog:\n  logs: {enabled: "false"}\n'), Settings())
    right = "datadog: {logs: {enabled: false}, tags: ['no'], clusterName: 'off'}\n"
    wrongvalues.refuse_unfit(chart_.read(chart()), of(right), Settings())
    kept = Settings(user=UserLayers({"datadog": {"logs": {"enabled": "no"}}}))  # from before this was refused
    wrongvalues.refuse_unfit(chart_.read(chart()), Request(), kept)
