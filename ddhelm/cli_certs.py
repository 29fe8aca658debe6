"""The commands below ``ddhelm certs``: client certificates for etcd."""

from __future__ import annotations  # a flag is looked at where its command runs

from typing import Annotated

import typer

from ddhelm import flags
from ddhelm.flaggroups import Cluster, Options, takes
from ddhelm.helppage import App

app = App(
    name="certs",
    help="Client certificates for etcd: which way there is, make, import, try and renew one.",
    no_args_is_help=True,
)

CaCert = Annotated[str | None, typer.Option("--ca-cert", metavar="FILE", help="Certificate of etcd's CA.")]
CaKey = Annotated[str | None, typer.Option("--ca-key", metavar="FILE", help="Key of that CA.")]
CaKeyPassword = Annotated[
    str | None,
    typer.Option(
        "--ca-key-password-file",
        metavar="FILE",
        help="Password of an encrypted CA key, `-` for standard input. Default: ask.",
    ),
]
CommonName = Annotated[
    str | None,
    typer.Option("--common-name", metavar="NAME", help="Whom it names. Default: ddhelm-etcd-client."),
]
Days = Annotated[
    int | None,
    typer.Option("--days", metavar="NUMBER", min=1, max=3650, help="How long it is valid. Default: 365."),
]
KeyType = Annotated[
    str | None,
    typer.Option("--key-type", metavar="TYPE", help="ec, rsa or ed25519. Default: ec (P-256)."),
]
CertFile = Annotated[str | None, typer.Option("--cert", metavar="FILE", help="The client certificate.")]
KeyFile = Annotated[str | None, typer.Option("--key", metavar="FILE", help="Its private key.")]
CaFile = Annotated[
    str | None,
    typer.Option("--ca", metavar="FILE", help="The CA that signed etcd's own certificate."),
]
Folder = Annotated[
    str | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="Folder with etcd-client.key, etcd-client.crt and etcd-ca.crt, where not named one by one.",
    ),
]
ToFolder = Annotated[
    str | None,
    typer.Option("--out", metavar="DIR", help="Write key and certificate (or its request) there."),
]
ToSecret = Annotated[
    str | None,
    typer.Option("--secret", metavar="NAME", help="Write this new Secret, such as ddhelm-etcd-client."),
]


@app.command()
@takes(Cluster)
def plan(options: Options, output: flags.Output = "table") -> None:
    """Say which ways lead to etcd's metrics here, the recommended one first, and what each lets its holder do."""
    from ddhelm.commands import certs as command

    command.plan(options, output)


@app.command()
@takes(Cluster)
def issue(
    options: Options,
    csr_only: Annotated[
        bool, typer.Option("--csr-only", help="Make a key and a request, for a CA that is elsewhere.")
    ] = False,
    ca_cert: CaCert = None,
    ca_key: CaKey = None,
    ca_key_password_file: CaKeyPassword = None,
    out: ToFolder = None,
    secret: ToSecret = None,
    common_name: CommonName = None,
    days: Days = None,
    key_type: KeyType = None,
    output: flags.Output = "table",
) -> None:
    """Make a client certificate for etcd, or with --csr-only a key and a request for its CA."""
    from ddhelm.commands import certs as command

    command.issue(
        options,
        command.Given(ca_cert, ca_key, ca_key_password_file, out, secret, common_name, days, key_type),
        output,
        csr_only=csr_only,
    )


@app.command("import")
@takes(Cluster)
def import_(
    options: Options,
    dir_: Folder = None,
    cert: CertFile = None,
    key: KeyFile = None,
    ca: CaFile = None,
    secret: ToSecret = None,
    output: flags.Output = "table",
) -> None:
    """Put a certificate that etcd's CA made into the Secret that the control-plane agents mount."""
    from ddhelm.commands import certs as command

    command.import_(options, command.Files(dir_, cert, key, ca), secret, output)


@app.command()
@takes(Cluster)
def verify(
    options: Options,
    endpoint: Annotated[
        str, typer.Option("--endpoint", metavar="URL", help="Where etcd answers, such as https://HOST:2379.")
    ],
    dir_: Folder = None,
    cert: CertFile = None,
    key: KeyFile = None,
    ca: CaFile = None,
    secret: Annotated[
        str | None, typer.Option("--secret", metavar="NAME", help="Take the pair of this Secret.")
    ] = None,
    output: flags.Output = "table",
) -> None:
    """Show a client certificate to etcd and read its metrics; exit 6 where that does not work."""
    from ddhelm.commands import certs as command

    code = command.verify(options, endpoint, command.Files(dir_, cert, key, ca), secret, output)
    raise typer.Exit(code)


@app.command()
@takes(Cluster)
def rotate(
    options: Options,
    restart_only: Annotated[
        bool, typer.Option("--restart-only", help="Write nothing; restart what has not been since the last change.")
    ] = False,
    ca_cert: CaCert = None,
    ca_key: CaKey = None,
    ca_key_password_file: CaKeyPassword = None,
    dir_: Folder = None,
    cert: CertFile = None,
    key: KeyFile = None,
    ca: CaFile = None,
    new_ca: Annotated[
        bool, typer.Option("--new-ca", help="Take a certificate of another CA than the one in the Secret.")
    ] = False,
    common_name: CommonName = None,
    days: Days = None,
    key_type: KeyType = None,
    timeout: flags.Timeout = None,
    lock_timeout: flags.LockTimeout = None,
    yes: flags.Yes = False,
    dry_run: flags.DryRun = False,
    output: flags.Output = "table",
) -> None:
    """Give the agents a new certificate: the Secret, then the pods, one node at a time unless your values say more."""
    from ddhelm.commands import certrotate as command

    command.rotate(
        options,
        command.Given(ca_cert, ca_key, ca_key_password_file, None, None, common_name, days, key_type),
        command.Files(dir_, cert, key, ca),
        command.how(timeout, lock_timeout),
        output,
        restart_only=restart_only,
        new_ca=new_ca,
        dry_run=dry_run,
        yes=yes,
    )
