"""Planted keys over every command there is: a new command has no line here, and that is a failure."""

import datetime
import tarfile
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.agent.install import install
from tests.charts import chart, is_stand_in
from tests.cluster.driver import SMALL, Ddhelm
from tests.cluster.test_secrets import API_KEY, APP_KEY, OURS, data
from tests.cluster.witness import Witness, cluster_texts, forms
from tests.docs.commandline import verbs
from tests.sandbox.fixtures import Clusters, each_helm
from tests.sandbox.sandbox import Sandbox

PASSWORD = "planted-password-of-the-ca"
BEARER = "planted-token-of-a-kubeconfig-user"
VARIABLE = "planted-in-a-variable-of-datadogs"
ISSUED = "ddhelm-etcd-client"
NEW_API_KEY = "5ca1ab1e" * 4
NEW_APP_KEY = "5ca1ab1e" * 5


@dataclass(frozen=True)
class Places:
    """Files that the commands read and write; none lies in a folder that the witness looks through."""

    folder: Path

    @property
    def plan(self) -> str:
        return str(self.folder / "plan.json")

    @property
    def dump(self) -> str:
        return str(self.folder / "dump.tar.gz")

    @property
    def certs(self) -> str:
        return str(self.folder / "certs")

    @property
    def ca(self) -> list[str]:
        paths = (self.folder / name for name in ("ca.crt", "ca.key", "ca.password"))
        flags = ("--ca-cert", "--ca-key", "--ca-key-password-file")
        return [word for flag, path in zip(flags, paths, strict=True) for word in (flag, str(path))]

    @property
    def written(self) -> tuple[str, ...]:
        """Where what was asked for may be written, with the temporary file beside it."""
        names = ("plan.json", ".plan.json.", "dump.tar.gz", ".dump.tar.gz.", "certs")
        return tuple(str(self.folder / name) for name in names)


def lines(places: Places, etcd: int = 2379) -> list[tuple[str, list[str]]]:
    """Every command in an order in which each has something to do; a command may stand several times.

    ``etcd`` is the port of an etcd.
    """
    named = ["--chart", str(chart())]
    version = "3.999.0" if is_stand_in() else chart().stem.removeprefix("datadog-")
    return [
        ("completion", ["bash"]),
        ("explain", ["no-key"]),
        ("detect", ["-o", "json"]),
        ("plan", ["--out", places.plan, *named]),
        ("plan show", [places.plan]),
        ("apply", [places.plan]),
        ("certs issue", [*places.ca, "--out", places.certs]),
        ("certs issue", [*places.ca, "--secret", ISSUED]),
        ("certs import", ["--dir", places.certs, "--ca", str(places.folder / "ca.crt"), "--secret", "imported"]),
        ("certs plan", ["-o", "json"]),
        ("onboard", ["--yes", "--site", "us5.datadoghq.com", "--etcd-secret", ISSUED]),
        ("certs verify", ["--endpoint", f"https://127.0.0.1:{etcd}", "--secret", ISSUED]),
        ("certs rotate", [*places.ca, "--yes"]),
        ("diff", ["--set", "datadog.tags={a:b}", "-o", "unified"]),
        ("diff values", ["--set", "datadog.tags={a:b}"]),
        ("diff revision", ["1", "2"]),
        ("diff versions", [version, version, *named]),
        ("values", ["worker", "--explain"]),
        ("values", ["control-plane"]),
        ("check", ["-o", "json"]),
        ("status", ["-o", "json"]),
        ("verify", ["-o", "json"]),
        ("rotate", ["api-key", "--yes", "--api-key-file", str(places.folder / "new.api")]),
        ("rotate", ["app-key", "--yes", "--app-key-command", f"cat {places.folder / 'new.app'}"]),
        ("rotate", ["token", "--yes"]),
        ("upgrade", ["--yes", "--only", "control-plane", "--set", "datadog.tags={a:b}"]),
        ("drift", ["-o", "json"]),
        ("rollback", ["--yes"]),
        ("unlock", ["--yes"]),
        ("history", ["-o", "json"]),
        ("support-dump", ["--out", places.dump]),
        ("uninstall", ["--yes"]),
    ]


def authority(folder: Path) -> str:
    """A CA with an encrypted key in the folder; gives a line of the key as it is without the password."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "etcd-ca")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=900))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encrypted = serialization.BestAvailableEncryption(PASSWORD.encode())
    pkcs8, pem = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(made.public_bytes(pem))
    (folder / "ca.key").write_bytes(key.private_bytes(pem, pkcs8, encrypted))
    (folder / "ca.password").write_text(f"{PASSWORD}\n")
    return secret_line(key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode())


def secret_line(pem: str) -> str:
    """A line of a private key that no certificate has: the first full one holds the type, the second the number."""
    return pem.splitlines()[2]


def kubeconfig(sandbox: Sandbox, folder: Path) -> str:
    """The administrator's, with the token of another user in it."""
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    config["users"].append({"name": "other", "user": {"token": BEARER}})
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return str(file)


def made(sandbox: Sandbox, places: Places) -> dict[str, str]:
    """The secrets that the commands have made by now: the token, and a line of every private key."""
    found = {}
    for file in Path(places.certs).glob("*.key"):
        found[f"key of {file}"] = secret_line(file.read_text())
    for name in ("ddhelm", ISSUED, "imported"):
        if sandbox.api.find(f"/api/v1/namespaces/datadog/secrets/{name}"):
            for key, text in data(sandbox, name).items():
                if "PRIVATE KEY" in text:
                    line = secret_line(text)
                    found[f"key {line[:4]} of Secret {name}"] = line
                elif key == "token":
                    found[f"token {text[:4]}"] = text
    return found


def test_every_command_has_a_line_here(tmp_path: Path) -> None:
    known = {name for name, verb in verbs().items() if name and verb.stands_alone}
    assert {name for name, _ in lines(Places(tmp_path))} == known, "how is the new command run with planted secrets?"


@each_helm("4.3", matrix=["3.22"])
def test_no_command_shows_or_leaves_a_secret(cluster: Clusters, tmp_path: Path, helm_version: str) -> None:
    sandbox = cluster(SMALL)
    install(sandbox)
    (tmp_path / "witness").mkdir()
    witness = Witness(Ddhelm(sandbox, helm_version), tmp_path / "witness")
    places = Places(tmp_path)
    planted = {"DD_API_KEY": API_KEY, "DD_APP_KEY": APP_KEY, "DD_ANYTHING": VARIABLE}
    witness.ddhelm.environment |= {**planted, "KUBECONFIG": kubeconfig(sandbox, tmp_path)}
    secrets = {"API key": API_KEY, "application key": APP_KEY, "password of the CA": PASSWORD, "bearer": BEARER}
    secrets |= {"variable": VARIABLE, "key of the CA": authority(tmp_path)}
    secrets |= {"new API key": NEW_API_KEY, "new application key": NEW_APP_KEY}
    (tmp_path / "new.api").write_text(NEW_API_KEY)
    (tmp_path / "new.app").write_text(NEW_APP_KEY)
    known = verbs()
    for name, arguments in lines(places, sandbox.ports.etcd):
        more = ["--verbose"] if "--verbose" in known[name].spellings else []
        codes = {"verify": None, "drift": None, "certs verify": None}
        unread = name == "rotate" and arguments[0] == "app-key" and not is_stand_in()  # no pod of older charts reads it
        done = witness.run(*name.split(), *arguments, *more, code=None if unread else codes.get(name, 0))
        assert done.code == 0 or not unread or "is read by no pod of the releases" in done.err, done
        secrets |= made(sandbox, places)
    assert sum(each.startswith("key ") for each in secrets) >= 5, "of the CA, a folder, two Secrets, a rotation"
    with tarfile.open(places.dump) as tar:
        for entry in tar.getmembers():
            content = tar.extractfile(entry)
            assert content is not None
            witness.seen[f"dump: {entry.name}"] = content.read()
    witness.seen["plan file"] = Path(places.plan).read_bytes()

    assert witness.hits(secrets) == []
    told = {line for _, environment in witness.calls.values() for line in environment}
    assert not [line for line in told if line.startswith("DD_")], "children get no variable of Datadog's"
    holders = {
        place
        for place, text in cluster_texts(sandbox).items()
        if any(form in text for secret in secrets.values() for form in forms(secret))
    }
    assert holders == {OURS, f"secrets datadog/{ISSUED}", "secrets datadog/imported"}
    home = sandbox.layout.home
    allowed = (f"{home}/.cache/ddhelm/", f"{home}/.local/state/ddhelm/", "/dev/", *places.written)
    assert {file for file in witness.audited("write") if not file.startswith(allowed)} == set()
    for kept in ("history.jsonl", "calls.log"):
        assert f"file {home}/.local/state/ddhelm/{kept}" in witness.seen, "what is remembered was looked through"
    assert list((witness.folder / "tmp").iterdir()) == []
