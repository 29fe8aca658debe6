"""certs: make or import a client certificate for etcd."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from ddhelm import wholefile
from ddhelm.actions import certfiles, certplan, certverify
from ddhelm.actions import certs as action
from ddhelm.actions.session import silent
from ddhelm.certificates import COMMON_NAME, DAYS, KEY_TYPES, Pair
from ddhelm.commands import asking, opened, recording
from ddhelm.errors import ConfigError, UsageError, VerifyFailed
from ddhelm.flaggroups import Options
from ddhelm.run import Secrets
from ddhelm.views import certs as view
from ddhelm.views import console, envelope


class Given(Struct, frozen=True):
    """The flags of a command that can make a certificate."""

    ca_cert: str | None = None
    ca_key: str | None = None
    ca_key_password_file: str | None = None
    out: str | None = None
    secret: str | None = None
    common_name: str | None = None
    days: int | None = None
    key_type: str | None = None

    @property
    def wanted(self) -> action.Wanted:
        """What the certificate shall be; UsageError for a type of key that there is not."""
        if self.key_type is not None and self.key_type not in KEY_TYPES:
            raise UsageError(
                f"there is no key type `{self.key_type}`",
                hint=f"--key-type {'|'.join(KEY_TYPES)}",
                anchor="certs-flags",
            )
        return action.Wanted(self.common_name or COMMON_NAME, self.days or DAYS, self.key_type or KEY_TYPES[0])

    @property
    def authority(self) -> action.CaFiles:
        """The CA that was named; UsageError where half of it is."""
        if self.ca_cert is None or self.ca_key is None:
            raise UsageError(
                "a CA is a certificate and its key",
                hint="--ca-cert FILE --ca-key FILE; or --csr-only --out DIR, where the CA's key is elsewhere",
                anchor="certs-flags",
            )
        return action.CaFiles(self.ca_cert, self.ca_key, self.ca_key_password_file, asker(self.ca_key_password_file))


class Files(Struct, frozen=True):
    """The files of a pair as the flags name them; what is not named is looked for in the folder."""

    folder: str | None = None
    certificate: str | None = None
    key: str | None = None
    ca: str | None = None

    @property
    def named(self) -> bool:
        """Whether any of it was given."""
        return any((self.folder, self.certificate, self.key, self.ca))

    def read(self, hider: Secrets) -> Pair:
        """The pair; UsageError where a file is not named, ConfigError where one cannot be read."""
        certificate = self._at(self.certificate, certfiles.CERTIFICATE, "--cert FILE")
        key = self._at(self.key, certfiles.KEY, "--key FILE")
        return action.read_pair(certificate, key, self._at(self.ca, certfiles.CA, "--ca FILE"), hider)

    def _at(self, named: str | None, usual: str, flag: str) -> str:
        if named is None and self.folder is None:
            raise UsageError(
                "a certificate, its key and the CA of etcd belong together",
                hint=f"{flag}, or --dir DIR with `{usual}` in it",
                anchor="certs-flags",
            )
        if named is not None:
            return named
        path = Path(self.folder or "") / usual
        if _lacks(path):
            raise ConfigError(
                f"there is no `{usual}` in `{self.folder}`", hint=f"{flag} names it", anchor="certificate-file"
            )
        return str(path)


def _lacks(path: Path) -> bool:
    """Whether the folder is there and the file is not; of one that may not be looked into tells who reads the file."""
    with suppress(OSError):
        place = wholefile.path(str(path))
        return place.parent.is_dir() and not os.path.lexists(place)
    return False


def plan(options: Options, output: str) -> None:
    """Show the ways to etcd's metrics."""
    found = certplan.look(opened.session(options))
    if output == "table":
        view.ways(found, console.out())
    else:
        print(envelope.text(view.ways_json(found), output), end="")  # noqa: T201


def issue(options: Options, given: Given, output: str, *, csr_only: bool) -> None:
    """Make a pair, or a key and a CSR, and say where it went and what comes next."""
    if csr_only:
        if given.ca_cert or given.ca_key or given.secret or given.out is None or given.days:
            raise UsageError(
                "`--csr-only` makes a key and a request in a folder; the CA says the rest",
                hint="ddhelm certs issue --csr-only --out DIR",
                anchor="certs-flags",
            )
        opened.none(options)
        _show(action.request_to_folder(given.wanted, given.out, Secrets()), output)
        return
    if (given.out is None) == (given.secret is None):
        raise UsageError(
            "say where the certificate goes: into a folder or into a Secret"
            if given.out is None
            else "`--out` and `--secret` cannot be meant together: the certificate goes into a folder or into a Secret",
            hint=f"--out DIR, or --secret {action.SUGGESTED}",
            anchor="certs-flags",
        )
    files, wanted = given.authority, given.wanted
    if given.out is not None:
        opened.none(options)
        made = action.issue_to_folder(files, wanted, given.out, Secrets())
    else:
        session, name = opened.session(options), given.secret or ""
        with recording.recorded(session, "certs issue") as run:
            made = action.issue_to_secret(session, files, wanted, name, run.watching(silent))
    _show(made, output)


def import_(options: Options, files: Files, secret: str | None, output: str) -> None:
    """Put a pair from files into a new Secret."""
    if not secret:
        raise UsageError("say which Secret it goes into", hint=f"--secret {action.SUGGESTED}", anchor="certs-flags")
    session = opened.session(options)
    pair = files.read(session.secrets)
    with recording.recorded(session, "certs import") as run:
        made = action.import_to_secret(session, pair, secret, run.watching(silent))
    _show(made, output)


def verify(options: Options, endpoint: str, files: Files, secret: str | None, output: str) -> int:
    """Try a pair on etcd; 6 where etcd answers and the dashboards would stay empty, VerifyFailed where it does not."""
    if secret and files.named:
        raise UsageError("a pair comes from files or from a Secret", hint="--secret NAME", anchor="certs-flags")
    if endpoint.startswith("http:"):
        pair = None
    elif secret:
        pair = certverify.of_secret(opened.session(options), secret)
    else:
        pair = files.read(Secrets())
    found = certverify.verify(endpoint, pair)
    if output == "table":
        view.verified(found, action.now(), console.out())
    else:
        print(envelope.text(view.verified_json(found, action.now()), output), end="")  # noqa: T201
    return 0 if found.dashboards else VerifyFailed.exit_code


def asker(password_file: str | None) -> Callable[[str], str] | None:
    """Asks a person for a password, without echo; None where there is nobody, or a file has it."""
    if password_file is not None or not asking.terminal():
        return None
    import getpass

    return lambda question: getpass.getpass(f"{question} (hidden): ", stream=sys.stderr)


def _show(result: action.Made | action.Requested, output: str) -> None:
    if output == "table":
        view.made(result, action.now(), console.out())
    else:
        print(envelope.text(view.made_json(result, action.now()), output), end="")  # noqa: T201
