"""A release's record is as big as a plan says, and one that would not fit into its Secret is refused by the plan."""

import base64
import json
import os
from pathlib import Path

import pytest

from ddhelm import chart, recordsize
from ddhelm.manifest import parse
from ddhelm.masking import Masker
from tests.charts import chart as chart_under_test
from tests.cluster.driver import Ddhelm
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.records import record
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox


def records_are_as_forecast(sandbox: Sandbox) -> None:
    """Those of the first revisions."""
    files = chart.read(chart_under_test()).files
    for name in (WORKER, CONTROL_PLANE):
        path = f"/api/v1/namespaces/datadog/secrets/sh.helm.release.v1.{name}.v1"
        size = len(base64.b64decode(sandbox.api_get(path)["data"]["release"]))
        stored = record(sandbox, name, 1)
        manifest = parse(stored["manifest"], "datadog", Masker(b"k" * 32))
        told = recordsize.forecast(stored["config"], manifest, None, lambda: files)
        assert abs(told - size) < max(size * 0.03, recordsize._REST), (name, told, size)


def one_that_would_not_fit_is_refused(ddhelm: Ddhelm, folder: Path) -> None:
    big = folder / "big.json"
    big.write_text(
        json.dumps({"datadog": {"confd": {"big.yaml": f"# {base64.b64encode(os.urandom(640_000)).decode()}"}}})
    )
    refused = ddhelm("plan", "-f", str(big), code=3)
    assert "record-fits" in refused.err
    assert "a Secret holds 1,048,576" in refused.out


@pytest.mark.matrix  # test_plan_file.py asks both of releases that it has
@each_helm("3.22", "4.3")
def test_a_record_is_as_big_as_was_forecast_and_one_that_would_not_fit_is_refused(
    cluster: Clusters, helm_version: str, tmp_path: Path
) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    ddhelm.onboard()
    records_are_as_forecast(sandbox)
    one_that_would_not_fit_is_refused(ddhelm, tmp_path)
