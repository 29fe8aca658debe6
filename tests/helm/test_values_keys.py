"""The chart under test (the stand-in, or the real one that DDHELM_TEST_CHART names) knows every key that it documents.

It also knows every key that ddhelm sends, but for those that came with a later version: unknown to an older chart,
and ignored by it.
"""

from collections.abc import Iterator

import pytest

from ddhelm import chart as charts
from ddhelm import chartkeys, library, secretvalues, tree, yamltext
from ddhelm.facts import version_of
from ddhelm.placeholders import fill, placeholders
from ddhelm.release import pair
from ddhelm.settings import SecretKey, Settings
from tests.charts import STAND_IN_VERSION, chart

# Key that ddhelm may send → first chart version that knows it (the history of Datadog's chart, by its tags).
NEWER = {
    "datadog-crds.crds.datadogPodAutoscalers": "3.69.2",
    "providers.talos": "3.83.0",
    "datadog.discovery": "3.85.0",
    "datadog.kubelet.podResourcesSocketDir": "3.92.0",
    "providers.eks.controlPlaneMonitoring": "3.152.0",
    "providers.openshift": "3.152.0",
    "datadog.operator": "3.157.0",
    "operator": "3.157.0",
    "operator.datadogCRDs.keepCrds": "3.174.0",
    "datadog-crds.crds.datadogPodAutoscalerClusterProfiles": "3.209.0",
    "datadog.orchestratorExplorer.rbac": "3.217.1",
    "datadog-crds.crds.datadogInstrumentations": "3.221.0",
}
# What Datadog's own example files set and no template of any version reads: mistakes, and rightly unknown.
MISTAKES = {
    "agents.rbac.enabled",
    "agents.kubelet",
    "clusterAgent.admissionController.targets",
    "clusterAgent.wpaController",
    "datadog.fips",
    "securityAgent",
}


@pytest.fixture(scope="module")
def read() -> charts.Chart:
    return charts.read(chart())


@pytest.fixture(scope="module")
def known(read: charts.Chart) -> chartkeys.KeyTree:
    return chartkeys.known(read.files)


def test_every_key_of_values_yaml_is_known(read: charts.Chart, known: chartkeys.KeyTree) -> None:
    assert chartkeys.unknown(yamltext.read(read.files["values.yaml"]).tree, known) == ()


def test_the_charts_own_values_hold_no_secret_and_no_pitfall(read: charts.Chart) -> None:
    document = yamltext.read(read.files["values.yaml"])
    assert [tree.show(path) for path, _ in secretvalues.find(document.tree)] == []
    assert [finding for finding in document.findings if finding.severity == "error"] == []


def test_no_right_key_of_the_charts_example_files_is_refused(read: charts.Chart, known: chartkeys.KeyTree) -> None:
    examples = {name: text for name, text in read.files.items() if name.startswith("ci/") and name.endswith(".yaml")}
    refused = {
        tree.show(key.path) for text in examples.values() for key in chartkeys.unknown(yamltext.read(text).tree, known)
    }
    assert refused <= MISTAKES


def sent() -> Iterator[tree.Tree]:
    """Everything that ddhelm's layers can send."""
    own = library.load()
    settings = Settings(cluster_name="c", site="s", app_key_secret=SecretKey("a", "app-key"))
    names = placeholders(pair("datadog", control_plane=True), settings)
    for name in library.LAYERS:
        yield fill(own.layer(name), names)
    for one in own.distributions():
        yield from one.values.values()
        for variant in one.variants:
            yield from variant.values.values()
    below = "requiredDuringSchedulingIgnoredDuringExecution"
    yield {"agents": {"affinity": {"nodeAffinity": {below: {}}}, "volumes": [], "volumeMounts": [], "tolerations": []}}
    yield {"clusterAgent": {"tolerations": []}, "datadog": {"confd": {"etcd.yaml": ""}}, "ddhelm": {"format": 1}}


def test_every_key_that_ddhelm_sends_is_known_or_newer_than_the_chart(
    read: charts.Chart, known: chartkeys.KeyTree
) -> None:
    unknown = {tree.show(key.path) for values in sent() for key in chartkeys.unknown(values, known)}
    ours = version_of("999.0.0" if read.version == STAND_IN_VERSION else read.version)
    newer = {key for key, since in NEWER.items() if version_of(since) > ours}
    assert unknown <= newer


def test_a_misspelt_key_is_unknown_with_the_right_one(known: chartkeys.KeyTree) -> None:
    values = {"dataDog": {"site": "x"}, "agents": {"toleration": []}, "apiKeyExistingSecret": "x"}
    assert {tree.show(key.path): key.suggestion for key in chartkeys.unknown(values, known)} == {
        "dataDog": "datadog",
        "agents.toleration": "agents.tolerations",
        "apiKeyExistingSecret": "datadog.apiKeyExistingSecret",
    }
