"""A certificate whose rotation breaks off, one that is there already, and what of all that is recorded."""

from pathlib import Path

from tests.cluster.driver import SMALL, Ddhelm, generations, recorded
from tests.cluster.test_certs import SECRET, ca, certificate, namespace, pods
from tests.cluster.test_rotate import words
from tests.cluster.test_rotate_broken import without
from tests.sandbox.fixtures import Clusters, each_helm


@each_helm("3.22", matrix=["4.3"])
def test_an_import_is_recorded_a_rotation_that_breaks_off_is_finished_and_the_same_pair_restarts_nothing(
    cluster: Clusters, helm_version: str, tmp_path: Path
) -> None:
    sandbox = cluster(SMALL)
    ddhelm = Ddhelm(sandbox, helm_version)
    folder = tmp_path / "pair"
    namespace(sandbox)
    ddhelm("certs", "issue", *ca(sandbox), "--out", str(folder), "--days", "20")
    files = ("--dir", str(folder), "--ca", str(sandbox.pki.etcd.certificate))
    known = len(recorded(sandbox))
    unwritable = without(sandbox, "no-secrets", "secrets", verbs=("patch", "create"))
    assert "forbidden" in words(ddhelm("certs", "import", *files, "--secret", SECRET, *unwritable, code=1))
    ddhelm("certs", "import", *files, "--secret", SECRET)
    assert "is not overwritten" in words(ddhelm("certs", "import", *files, "--secret", SECRET, code=3))
    runs = recorded(sandbox)[known:]
    assert [(run["verb"], run["outcome"]) for run in runs] == [("certs import", "failed"), ("certs import", "done")]
    assert all(SECRET in run["changes"][0]["what"] for run in runs)

    ddhelm.onboard("--etcd-secret", SECRET)
    mark, before = generations(sandbox), pods(sandbox)
    for flags in (files, ("--restart-only",)):
        assert "Nothing to do" in words(ddhelm("certs", "rotate", *flags, "--yes"))
        told = ddhelm("certs", "rotate", *flags, "--yes", "-o", "json")
        assert told.json["data"]["restarted"] is None
    assert (generations(sandbox), pods(sandbox)) == (mark, before)

    old = certificate(sandbox)
    nobody = without(sandbox, "restarts-nothing", "daemonsets")
    broken = ddhelm("certs", "rotate", *ca(sandbox), "--yes", *nobody, code=1)
    assert f"Secret `{SECRET}` holds the certificate that ends on" in words(broken)
    assert "agents that were not restarted show the old certificate" in words(broken)
    assert f"ddhelm certs rotate {' '.join(nobody)} --restart-only" in words(broken)
    assert certificate(sandbox) != old
    assert pods(sandbox) == before
    run = recorded(sandbox)[-1]
    assert (run["verb"], run["outcome"]) == ("certs rotate", "failed")
    assert run["changes"][0]["what"].startswith(f"Secret `{SECRET}`")

    ddhelm("certs", "rotate", "--restart-only", "--yes")
    assert not set(pods(sandbox).values()) & set(before.values())
    assert "Nothing to do" in words(ddhelm("certs", "rotate", "--restart-only", "--yes"))

    standing = certificate(sandbox)
    refused = ddhelm("certs", "rotate", *ca(sandbox), "--yes", *unwritable, code=1)
    assert "holds the certificate" not in words(refused)
    assert "Nothing to do" in words(ddhelm("certs", "rotate", "--restart-only", "--yes")), "nothing was changed"
    assert certificate(sandbox) == standing
