"""What was reviewed is what is applied, or nothing is: plan files on a real control plane."""

import stat
import subprocess
from pathlib import Path

from tests.charts import chart, is_stand_in, package
from tests.cluster.by_hand import helm
from tests.cluster.driver import API_KEY, SMALL, Ddhelm, agents_by_node, generations, read_facts, revisions
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.test_record_size import one_that_would_not_fit_is_refused, records_are_as_forecast
from tests.sandbox.fixtures import Clusters, each_helm

KEY = {"DD_API_KEY": API_KEY}
RELEASES = (WORKER, CONTROL_PLANE)


@each_helm("3.22", matrix=["4.3"])
def test_a_plan_is_applied_once_and_only_unchanged(cluster: Clusters, helm_version: str, tmp_path: Path) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, helm_version)
    file = tmp_path / "plan.json"
    chart = Path(ddhelm.chart()[1])  # named as the shell stands that makes the plan; it is applied in another folder
    here = ("--chart", f"./{chart.name}")
    made = ddhelm("plan", *here, "--cluster-name", "prod", "--out", str(file), cwd=chart.parent)
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
    shown = ddhelm("plan", "show", str(file), "-o", "json").json["data"]["digest"]
    assert ddhelm("history", "-o", "json").json["data"]["runs"][-1]["audit"]["plan"] == shown
    assert "8 of 8 nodes run exactly one agent" in done.out
    assert all(len(found) == 1 for found in agents_by_node(sandbox).values())
    assert "clusterName: prod" in ddhelm("values", "worker").out
    again = ddhelm("apply", str(file), environment=KEY, code=5)
    assert f"release {WORKER}" in again.err

    assert "Nothing to do" in ddhelm.onboard(key=None).out


def test_a_plan_is_stale_while_any_object_has_moved_says_which_and_stands_when_one_is_scaled(
    cluster: Clusters, tmp_path: Path
) -> None:
    """An autoscaler scales all day; client-side, where Helm meets no conflict about it."""
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "3.22")
    ddhelm.onboard()
    file, copy = tmp_path / "plan.json", tmp_path / "copy.json"
    ddhelm("plan", "--set", "datadog.tags={a:b}", "--out", str(file))
    before = revisions(sandbox), generations(sandbox)
    sandbox.kubectl("taint", "node", "worker-2", "gpu=true:NoSchedule")
    stale = ddhelm("apply", str(file), code=5)
    assert f"node worker-2 was to get the agent of {WORKER}, gets no agent" in stale.err
    sandbox.kubectl("taint", "node", "worker-2", "gpu-")
    account = ("annotate", "serviceaccount", f"{WORKER}-datadog", "-n", "datadog")
    sandbox.kubectl(*account, "touched=yes")
    stale = ddhelm("apply", str(file), code=5)
    assert f"ServiceAccount datadog/{WORKER}-datadog was changed since" in stale.err
    assert (revisions(sandbox), generations(sandbox)) == before
    copy.write_text(file.read_text().replace("a:b", "a:c"))
    damaged = ddhelm("apply", str(copy), code=3)
    assert "damaged" in damaged.err

    sandbox.kubectl(*account, "touched-")
    sandbox.kubectl("scale", "deployment", f"{WORKER}-datadog-cluster-agent", "-n", "datadog", "--replicas=2")
    ddhelm("apply", str(file))
    assert [status for _, status in revisions(sandbox)[WORKER]] == ["superseded", "deployed"]


def test_a_plan_shows_exactly_what_is_stored_and_revisions_versions_and_values_can_be_compared(
    cluster: Clusters, tmp_path: Path
) -> None:
    """The manifest that Helm stores equals the planned one, its record is as big as was forecast; after it the plan
    is empty.
    """
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "4.3")
    for nothing in (("values", *ddhelm.chart()), ("revision", "1", "2")):
        assert "there is no release" in ddhelm("diff", *nothing, "--detailed-exitcode", code=1).err
    ddhelm.onboard()
    records_are_as_forecast(sandbox)
    one_that_would_not_fit_is_refused(ddhelm, tmp_path)
    flags = ("--set", "datadog.tags={team:infra}", "--no-logs")
    changed = ddhelm("plan", *flags, "-o", "json", "--detailed-exitcode", code=2).json
    assert [step["kind"] for step in changed["data"]["steps"]] == ["upgrade", "upgrade"]
    patch = ddhelm("diff", *flags, "-o", "unified").out
    assert "+++ b/datadog/DaemonSet/worker-node-ddagent-datadog.yaml" in patch
    markdown = ddhelm("diff", *flags, "-o", "markdown").out
    assert "<details>" in markdown
    assert len(markdown) < 65_536
    assert "set by" in ddhelm("diff", "values", *flags, "--detailed-exitcode", code=2).out
    assert "No value differs" in ddhelm("diff", "values").out

    done = ddhelm("onboard", "--yes", *flags, "-o", "json").json
    assert [step["revision"] for step in done["data"]["steps"]] == [2, 2]
    assert ddhelm("plan", "--detailed-exitcode", "-o", "json").json["data"]["changes"] is False
    shown = ddhelm("diff", "revision", "1", "2", "--detailed-exitcode", code=2)
    assert "DD_LOGS_ENABLED" in shown.out
    assert "no release" in ddhelm("diff", "revision", "1", "9", code=1).err
    chart = ddhelm.chart()[1]
    assert "name both charts" in ddhelm("diff", "versions", "3.1.0", "3.2.0", code=3).err
    assert "nothing" in ddhelm("diff", "versions", chart, chart).out


def test_an_upgrade_moves_both_releases_and_a_downgrade_must_be_meant(cluster: Clusters, tmp_path: Path) -> None:
    if not is_stand_in():
        newer = chart()
        older = newer
    else:
        older, newer = (package(tmp_path, version) for version in ("3.998.0", "3.999.0"))
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, "3.22")
    refused = ddhelm("upgrade", "--yes", code=1)
    assert "ddhelm onboard" in refused.err
    ddhelm("onboard", "--yes", "--chart", str(older), environment=KEY)
    ddhelm("upgrade", "--yes", "--chart", str(newer))
    if older != newer:
        assert {rows[-1] for rows in revisions(sandbox).values()} == {(2, "deployed")}
        back = ddhelm("upgrade", "--yes", "--chart", str(older), code=3)
        assert "--allow-downgrade" in back.err
        assert {rows[-1] for rows in revisions(sandbox).values()} == {(2, "deployed")}


def test_a_plan_without_a_cluster_says_what_the_one_with_it_says(cluster: Clusters, tmp_path: Path) -> None:
    sandbox = cluster("kubeadm")
    ddhelm = Ddhelm(sandbox, "4.3")
    facts, saved = tmp_path / "facts.json", tmp_path / "saved.yaml"
    facts.write_text(ddhelm("detect", "-o", "json").out)
    offline = {"KUBECONFIG": "/nonexistent"}
    flags = ("plan", "--offline", "--facts", str(facts), *ddhelm.chart(), "--detailed-exitcode", "-o", "json")
    sites = ("--site", "datadoghq.eu", "--set", "datadog.site=datadog.example")
    new = ddhelm(*flags, *sites, code=2, environment=offline).json["data"]
    live = ddhelm("plan", *ddhelm.chart(), *sites, "-o", "json").json["data"]
    assert [step["objects"] for step in new["steps"]] == [step["objects"] for step in live["steps"]]
    (two,) = [each for each in new["notices"] if "is another site than --site" in each]
    assert two in live["notices"]
    ddhelm.onboard()
    saved.write_text("".join(helm(sandbox, "4.3", "get", "manifest", r, "-n", "datadog").stdout for r in RELEASES))
    assert ddhelm(*flags, "--against", str(saved), environment=offline).json["data"]["changes"] is False
    ddhelm(*flags, "--against", str(saved), "--no-logs", code=2, environment=offline)
    left = ddhelm(*flags, "--against", str(saved), "--distribution", "aks", code=2, environment=offline).json["data"]
    live = ddhelm("plan", "--distribution", "aks", "-o", "json").json["data"]
    assert [each["objects"] for each in left["steps"]] == [each["objects"] for each in live["steps"]]
    (standing,) = [each for each in left["notices"] if "stands although no control-plane node" in each]
    completed = standing.replace(
        "`helm uninstall control-plane-ddagent`", "`helm uninstall control-plane-ddagent -n datadog`"
    )
    assert completed in live["notices"], "where a cluster is known, its commands are completed"
    empty = saved.with_name("empty.yaml")
    for text, code in (("---\n# nothing yet\n", 2), ("{}\n", 3)):
        empty.write_text(text)
        ddhelm(*flags, "--against", str(empty), code=code, environment=offline)
    swapped = ddhelm(*flags, "--against", str(facts), code=3, environment=offline)
    assert f"`{facts}` holds no manifests" in swapped.err
    piped = ("-" if each == str(facts) else each for each in flags)
    assert ddhelm(*piped, "--against", str(saved), stdin=facts.read_text(), environment=offline).code == 0
    ddhelm("plan", "--facts", str(facts), code=64)
    refused = ddhelm(*flags, "--set", "datadog.clusterName=Not_A_Name", code=3, environment=offline)
    assert "hint: helm show values" in refused.err
    where = {**offline, "HELM_NAMESPACE": "monitoring"}
    assert ddhelm(*flags, code=2, environment=where).json["data"]["namespace"]["name"] == "monitoring"
    assert "bad-namespace" in ddhelm(*flags, "-n", "Not_A_Name", code=3, environment=offline).err
    facts.write_text(facts.read_text().replace(read_facts(sandbox).server_version or "", "banana"))
    assert "does not say which Kubernetes version" in ddhelm(*flags, code=3, environment=offline).err


def test_a_patch_makes_the_manifests_and_keeps_them_up_to_date(cluster: Clusters, tmp_path: Path) -> None:
    """As the page about CI does it: what was applied is what the next plan is compared with."""
    ddhelm = Ddhelm(cluster("kubeadm"), "3.22")
    facts, saved, kept = tmp_path / "facts.json", tmp_path / "saved.txt", tmp_path / "kept"
    facts.write_text(ddhelm("detect", "-o", "json").out)
    kept.mkdir()
    plan = ("plan", "--offline", "--facts", str(facts), *ddhelm.chart())

    def patched(*flags: str) -> int:
        patch = ddhelm(*plan, *flags, "-o", "unified").out
        subprocess.run(
            ["git", "apply", "--allow-empty", "--whitespace=nowarn"], cwd=kept, input=patch, text=True, check=True
        )
        files = sorted(kept.rglob("*.yaml"))
        saved.write_text("".join(f"---\n{file.read_text()}" for file in files))
        return len(files)

    objects = sum(len(step["objects"]) for step in ddhelm(*plan, "-o", "json").json["data"]["steps"])
    assert patched() == objects
    against = ("--against", str(saved))
    ddhelm(*plan, *against, "--detailed-exitcode")
    ddhelm(*plan, *against, "--no-logs", "--detailed-exitcode", code=2)
    assert patched(*against, "--no-logs") == objects
    ddhelm(*plan, *against, "--no-logs", "--detailed-exitcode")
    assert patched(*against, "--no-logs") == objects, "nothing changed since"
