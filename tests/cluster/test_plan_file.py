"""What was reviewed is what is applied, or nothing is: plan files on a real control plane."""

import stat
from pathlib import Path

from tests.charts import chart, is_stand_in, package
from tests.cluster.driver import API_KEY, WORKER, Ddhelm, agents_by_node, generations, revisions
from tests.sandbox.fixtures import Clusters, each_helm

KEY = {"DD_API_KEY": API_KEY}


@each_helm("3.22", "4.3")
def test_a_plan_is_applied_once_and_only_unchanged(cluster: Clusters, helm_version: str, tmp_path: Path) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    file = tmp_path / "plan.json"
    made = ddhelm("plan", *ddhelm.chart(), "--cluster-name", "prod", "--out", str(file))
    assert sandbox.writes() == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    digest = made.err.split("sha256 ")[1].split()[0]

    shown = ddhelm("plan", "show", str(file), environment={"KUBECONFIG": "/nonexistent"})
    assert "install" in shown.out
    refused = ddhelm("apply", str(file), "--digest", "0" * 64, environment=KEY, code=5)
    assert digest in refused.err
    refused = ddhelm("apply", str(file), "--site", "eu", environment=KEY, code=64)
    assert "--site" in refused.err
    assert sandbox.writes() == []

    done = ddhelm("apply", str(file), "--digest", digest, environment=KEY)
    assert "8 of 8 nodes run exactly one agent" in done.out
    assert all(len(found) == 1 for found in agents_by_node(sandbox).values())
    assert "clusterName: prod" in ddhelm("values", "worker").out
    again = ddhelm("apply", str(file), environment=KEY, code=5)
    assert f"release {WORKER}" in again.err

    assert "Nothing to do" in ddhelm.onboard(key=None).out


def test_a_plan_is_stale_after_any_object_moved_and_says_which(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    file = tmp_path / "plan.json"
    ddhelm("plan", "--set", "datadog.tags={a:b}", "--out", str(file))
    before = revisions(sandbox), generations(sandbox)
    sandbox.kubectl("annotate", "serviceaccount", f"{WORKER}-datadog", "-n", "datadog", "touched=yes")
    stale = ddhelm("apply", str(file), code=5)
    assert f"ServiceAccount datadog/{WORKER}-datadog was changed since" in stale.err
    assert (revisions(sandbox), generations(sandbox)) == before
    file.write_text(file.read_text().replace("a:b", "a:c"))
    damaged = ddhelm("apply", str(file), code=3)
    assert "damaged" in damaged.err


def test_a_plan_shows_exactly_what_is_stored_after_it_is_applied(cluster: Clusters, tmp_path: Path) -> None:
    """The manifest that Helm stores equals the planned one; after it the plan is empty."""
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    ddhelm.onboard()
    flags = ("--set", "datadog.tags={team:infra}", "--no-logs")
    changed = ddhelm("plan", *flags, "-o", "json", "--detailed-exitcode", code=2).json["data"]
    assert [step["kind"] for step in changed["steps"]] == ["upgrade", "upgrade"]
    patch = ddhelm("diff", *flags, "-o", "unified").out
    assert "+++ b/datadog/DaemonSet/worker-node-ddagent-datadog.yaml" in patch
    markdown = ddhelm("diff", *flags, "-o", "markdown").out
    assert "<details>" in markdown
    assert len(markdown) < 65_536
    ddhelm.onboard(*flags, key=None)
    assert ddhelm("plan", "--detailed-exitcode", "-o", "json").json["data"]["changes"] is False


def test_an_upgrade_moves_both_releases_and_a_downgrade_must_be_meant(cluster: Clusters, tmp_path: Path) -> None:
    if not is_stand_in():
        newer = chart()
        older = newer
    else:
        older, newer = (package(tmp_path, version) for version in ("3.998.0", "3.999.0"))
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "3.22")
    refused = ddhelm("upgrade", "--yes", code=64)
    assert "ddhelm onboard" in refused.err
    ddhelm("onboard", "--yes", "--chart", str(older), environment=KEY)
    ddhelm("upgrade", "--yes", "--chart", str(newer))
    if older != newer:
        assert {rows[-1] for rows in revisions(sandbox).values()} == {(2, "deployed")}
        back = ddhelm("upgrade", "--yes", "--chart", str(older), code=3)
        assert "--allow-downgrade" in back.err
        assert {rows[-1] for rows in revisions(sandbox).values()} == {(2, "deployed")}
