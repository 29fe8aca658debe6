"""Keys and the token are in one Secret and nowhere else: no argv, environment, file, log, output, release or object."""

import base64
from pathlib import Path

import pytest

from tests.cluster.by_hand import helm
from tests.cluster.driver import Ddhelm
from tests.cluster.names import CONTROL_PLANE, WORKER
from tests.cluster.witness import Witness, cluster_texts, forms
from tests.sandbox.fixtures import Clusters
from tests.sandbox.sandbox import Sandbox

API_KEY = "a51f00dfacade00dabad1deadec0de77"
APP_KEY = "b0b5c0ffee1badd00dfeedfacecafe1dea5eed99"
OURS = "secrets datadog/ddhelm"


def token(sandbox: Sandbox) -> str:
    return base64.b64decode(sandbox.api_get("/api/v1/namespaces/datadog/secrets/ddhelm")["data"]["token"]).decode()


def data(sandbox: Sandbox, name: str) -> dict[str, str]:
    """The texts that a Secret holds."""
    found = sandbox.api_get(f"/api/v1/namespaces/datadog/secrets/{name}")["data"]
    return {key: base64.b64decode(value).decode() for key, value in found.items()}


def assert_kept(witness: Witness, sandbox: Sandbox, *allowed: str) -> None:
    """Nothing was seen of the keys and the token, and in the cluster only the ``allowed`` objects hold any of them."""
    secrets = {"API key": API_KEY, "application key": APP_KEY, "token": token(sandbox)}
    assert witness.hits(secrets) == []
    holders = {
        place
        for place, text in cluster_texts(sandbox).items()
        if any(form in text for secret in secrets.values() for form in forms(secret))
    }
    assert holders == set(allowed)
    assert witness.calls, "the stand-ins saw nothing"
    assert {
        line for _, environment in witness.calls.values() for line in environment if line.startswith("DD_")
    } == set()
    programs = {str(witness.folder / "bin" / tool) for tool in ("helm", "kubectl")}
    assert witness.audited("start") - {"/bin/sh"} == programs, "besides the shell that a proxy is tethered to"
    ours = tuple(f"{sandbox.layout.home}/{place}/ddhelm/" for place in (".cache", ".local/state"))
    written = {file for file in witness.audited("write") if not file.startswith((*ours, "/dev/"))}
    assert written == set()
    assert list((witness.folder / "tmp").iterdir()) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "witness").mkdir()
    return tmp_path / "witness"


@pytest.mark.matrix  # test_secrets_everywhere gives them in the environment too
def test_keys_from_the_environment_are_seen_in_no_command(cluster: Clusters, folder: Path) -> None:
    sandbox = cluster("kubeadm")
    witness = Witness(Ddhelm(sandbox, "4.3"), folder)
    witness.ddhelm.environment |= {"DD_API_KEY": API_KEY, "DD_APP_KEY": APP_KEY, "DD_SITE": "datadoghq.eu"}
    chart = witness.ddhelm.chart()
    witness.run("plan", "-o", "json", *chart, "--verbose")
    done = witness.run("onboard", "--yes", *chart, "--verbose")
    assert " apply " in done.err, "the log shows the calls"
    assert data(sandbox, "ddhelm").keys() == {"api-key", "app-key", "token"}
    assert data(sandbox, "ddhelm")["api-key"] == API_KEY
    for line in (
        ["status", "-o", "json"],
        ["values", "worker", "--explain"],
        ["values", "control-plane", "--explain"],
        ["detect", "-o", "json"],
        ["check", "-o", "json"],
        ["plan", "-o", "json", "--site", "us5.datadoghq.com"],
    ):
        witness.run(*line, "--verbose")
    witness.run("onboard", "--yes", "--site", "us5.datadoghq.com", "--verbose")
    sandbox.kubectl("delete", "secret", "ddhelm", "-n", "datadog", "--wait")
    before = witness.run("onboard", "--yes", "--verbose")
    assert "ddhelm" in before.out
    assert_kept(witness, sandbox, OURS)
    witness.run("uninstall", "--yes", "--verbose")
    assert_kept(witness, sandbox, OURS)


def test_a_key_that_was_given_in_the_wrong_place_is_not_repeated(cluster: Clusters, folder: Path) -> None:
    """It is in argv or a file already; ddhelm must not spread it: not to children, output, files or the cluster."""
    sandbox = cluster("kubeadm")
    witness = Witness(Ddhelm(sandbox, "4.3"), folder)
    witness.ddhelm.environment |= {"DD_API_KEY": API_KEY}
    chart = witness.ddhelm.chart()
    broken, listed, named = (folder / name for name in ("broken.yaml", "listed.yaml", "values.yaml"))
    broken.write_text(f"datadog:\n  apiKey: {API_KEY} bad: [\n")
    listed.write_text(f"datadog:\n  env:\n    - name: DD_API_KEY\n      value: {API_KEY}\n")
    named.write_text(f"datadog:\n  appKey: {APP_KEY}\n")
    spaced = folder / "spaced"
    spaced.write_text(f"{API_KEY} {APP_KEY}\n")
    for line in (
        ["-f", str(broken)],
        ["-f", str(listed)],
        ["-f", str(named)],
        ["--set", f"datadog.apiKey={API_KEY}"],
        ["--set", f"datadog.env[0].name=DD_API_KEY,datadog.env[0].value={API_KEY}"],
        ["--set-string", f"clusterAgent.token={APP_KEY}"],
        ["--api-key-file", str(spaced)],
        ["--cluster-name", API_KEY * 4],
        ["--no-such-flag", API_KEY],
    ):
        result = witness.ddhelm("onboard", "--yes", *chart, *line, "--verbose", code=_refusal(line))
        witness.seen[f"refusal of {line[0]}"] = (result.out + result.err).encode()
    assert sandbox.writes() == []
    assert witness.hits({"API key": API_KEY, "application key": APP_KEY}) == []


def _refusal(line: list[str]) -> int:
    return 64 if line[0] == "--no-such-flag" else 3


@pytest.mark.parametrize(
    ("helm_version", "source"),
    [
        ("4.3", "standard input"),
        ("3.22", "Secret"),
        *(  # of files test_secrets_everywhere.py gives one to `rotate`
            pytest.param(version, source, marks=pytest.mark.matrix)
            for version, source in (("3.22", "files"), ("4.3", "files"), ("3.22", "standard input"), ("4.3", "Secret"))
        ),
    ],
)
def test_keys_from_elsewhere_are_seen_nowhere_either(
    cluster: Clusters, folder: Path, helm_version: str, source: str
) -> None:
    sandbox = cluster("kubeadm")
    witness = Witness(Ddhelm(sandbox, helm_version), folder)
    chart = witness.ddhelm.chart()
    stdin = None
    if source == "files":
        for name, key in (("api", API_KEY), ("app", APP_KEY)):
            (folder / name).write_text(f"{key}\n")
        flags = ["--api-key-file", str(folder / "api"), "--app-key-file", str(folder / "app")]
    elif source == "standard input":
        flags, stdin = ["--api-key-file", "-"], f"{API_KEY}\n"
    else:
        sandbox.kubectl("create", "namespace", "datadog")
        sandbox.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")
        literals = f"--from-literal=api-key={API_KEY}", f"--from-literal=app-key={APP_KEY}"
        sandbox.kubectl("create", "secret", "generic", "mine", "-n", "datadog", *literals)
        flags = ["--api-key-secret", "mine", "--app-key-secret", "mine"]
    witness.run("onboard", "--yes", *chart, *flags, "--verbose", stdin=stdin)
    keys = {"files": {"api-key", "app-key", "token"}, "standard input": {"api-key", "token"}, "Secret": {"token"}}
    assert data(sandbox, "ddhelm").keys() == keys[source]
    assert_kept(witness, sandbox, OURS, *(["secrets datadog/mine"] if source == "Secret" else []))


def test_keys_in_the_values_of_a_hand_made_release_move_into_the_secret_and_show_nowhere(
    cluster: Clusters, folder: Path
) -> None:
    sandbox = cluster("kubeadm")
    chart = Ddhelm.chart()[1]
    given = ["--set", f"datadog.apiKey={API_KEY},datadog.appKey={APP_KEY},datadog.operator.enabled=false"]
    helm(sandbox, "4.3", "install", WORKER, chart, "-n", "datadog", "--create-namespace", *given)
    sandbox.kubectl("label", "namespace", "datadog", "pod-security.kubernetes.io/enforce=privileged")
    witness = Witness(Ddhelm(sandbox, "4.3"), folder)
    witness.run("plan", "-o", "json", "--chart", chart, "--verbose")
    witness.run("plan", "--chart", chart)
    witness.run("values", "worker", "--explain")
    witness.ddhelm.environment["DD_API_KEY"] = "f" * 32
    done = witness.run("onboard", "--yes", "--chart", chart, "--verbose")
    assert "the API key from `DD_API_KEY` differs from the one in the hand-made release's values" in done.out
    assert data(sandbox, "ddhelm")["api-key"] == API_KEY, "another key under running agents is a step of its own"
    assert data(sandbox, "ddhelm")["app-key"] == APP_KEY
    by_hand = f"secrets datadog/sh.helm.release.v1.{WORKER}.v1"  # history that ddhelm does not rewrite
    assert_kept(witness, sandbox, OURS, by_hand)
    assert f"secrets datadog/sh.helm.release.v1.{CONTROL_PLANE}.v1" in cluster_texts(sandbox)
