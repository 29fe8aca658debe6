"""Client certificates for etcd: made from a CA or for one elsewhere, checked, and put into a Secret or a folder.

A private key goes from memory into one file of the user's choice or into one Secret, and nowhere else.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from ddhelm import certificates
from ddhelm.actions import certfiles
from ddhelm.actions.events import Wrote
from ddhelm.actions.session import Observer, Session, silent
from ddhelm.answers import CERTIFICATE_ENDS, CERTIFICATE_SHA256, SecretKeys
from ddhelm.certificates import Authority, Certificate, Pair
from ddhelm.errors import ConfigError, PreflightFailed
from ddhelm.expiry import RENEW, lasting
from ddhelm.release import MANAGED_BY, OURS
from ddhelm.run import Secrets
from ddhelm.tree import Tree

SUGGESTED = "ddhelm-etcd-client"
MANAGER = "ddhelm-certs"
"""Field manager of the Secret's three keys, which are always written together."""
_MANAGED = {MANAGED_BY: OURS}
CA_POWER = (
    "this CA's key can make certificates with which anybody reads and writes everything in the cluster; it is used "
    "here once and kept nowhere"
)


class Made(Struct, frozen=True):
    """A certificate that was made or taken in; where it went, and what to do or know about it."""

    certificate: Certificate
    where: str
    notes: tuple[str, ...] = ()
    secret: str = ""
    files: tuple[str, ...] = ()


class Requested(Struct, frozen=True):
    """A key and a CSR that were written, for a CA elsewhere."""

    files: tuple[str, ...]


class Wanted(Struct, frozen=True):
    """What a new certificate shall be; ``days`` from now on."""

    common_name: str = certificates.COMMON_NAME
    days: int = certificates.DAYS
    key_type: str = certificates.KEY_TYPES[0]


class CaFiles(Struct, frozen=True):
    """The files of a CA. ``ask`` gets the password of an encrypted key from a person; None: there is nobody."""

    certificate: str
    key: str
    password_file: str | None = None
    ask: Callable[[str], str] | None = None


def now() -> datetime.datetime:
    """The time of this machine, whole seconds, in UTC."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def authority(files: CaFiles, hider: Secrets, moment: datetime.datetime) -> Authority:
    """The CA of the files; raises ConfigError where it cannot or must not sign."""
    certificate, key = certfiles.read(files.certificate), certfiles.read(files.key)
    _hide(hider, key)
    names = (f"`{files.certificate}`", f"`{files.key}`")
    password = None
    if certificates.encrypted(key):
        certificates.check_authority(certificates.read_certificate(certificate, names[0]), names[0], moment)
        password = _password(files, hider)
    return certificates.authority(certificate, key, now=moment, names=names, password=password)


def pair(signer: Authority, wanted: Wanted, hider: Secrets, moment: datetime.datetime) -> Pair:
    """A new key and its client certificate."""
    key = certificates.new_key(wanted.key_type)
    _hide(hider, key)
    csr = certificates.request(key, wanted.common_name)
    return Pair(signer.issue(csr, now=moment, days=wanted.days), key, signer.certificate.pem)


def issue_to_folder(files: CaFiles, wanted: Wanted, folder: str, hider: Secrets) -> Made:
    """Make a pair and write it to a folder; ConfigError, and then nothing is written."""
    moment = now()
    signer = authority(files, hider, moment)
    made = pair(signer, wanted, hider, moment)
    return _in_folder(made, folder, remarks(signer, wanted, moment))


def issue_to_secret(session: Session, files: CaFiles, wanted: Wanted, name: str, observer: Observer = silent) -> Made:
    """Make a pair and write it to a new Secret; ConfigError, PreflightFailed where the Secret exists."""
    moment = now()
    signer = authority(files, session.secrets, moment)
    made = pair(signer, wanted, session.secrets, moment)
    return _new_secret(session, name, made, remarks(signer, wanted, moment), observer)


def request_to_folder(wanted: Wanted, folder: str, hider: Secrets) -> Requested:
    """Make a key and a CSR for a CA elsewhere; the key stays in the folder."""
    certfiles.free(folder, {certfiles.KEY: b"", certfiles.REQUEST: b""})
    key = certificates.new_key(wanted.key_type)
    _hide(hider, key)
    files = {certfiles.KEY: key, certfiles.REQUEST: certificates.request(key, wanted.common_name)}
    return Requested(tuple(str(path) for path in certfiles.write(folder, files)))


def read_pair(certificate: str, key: str, ca: str, hider: Secrets, password: bytes | None = None) -> Pair:
    """A pair from files, its key without a password; ConfigError for what cannot be read."""
    key_data = certfiles.read(key)
    _hide(hider, key_data)
    plain = certificates.plain_key(key_data, f"`{key}`", password)
    _hide(hider, plain)
    own = certfiles.read(certificate)
    certificates.read_certificates(own, f"`{certificate}`")
    authorities = certfiles.read(ca) if ca else b""
    if ca:
        certificates.read_certificates(authorities, f"`{ca}`")
    return Pair(own, plain, authorities)


def import_to_secret(session: Session, given: Pair, name: str, observer: Observer = silent) -> Made:
    """Put a pair that some CA made into a new Secret; PreflightFailed where it could not be shown to etcd."""
    return _new_secret(session, name, given, usable(given), observer)


def usable(given: Pair) -> tuple[str, ...]:
    """Remarks on a pair that can be shown to etcd; raises PreflightFailed with every reason why it cannot.

    ConfigError where what is given as etcd's CA is none, or holds several that the certificate does not come from.
    """
    moment = now()
    found = certificates.problems(given, moment)
    if (own := read(given)).ca:
        found.append(f"the certificate `{own.subject}` is itself a CA, whose private key has no place in a cluster")
    authorities = certificates.read_certificates(given.ca, "the CA file") if given.ca else ()
    found += [f"the CA `{one.subject}` expired on {one.ends:%Y-%m-%d}" for one in authorities if moment >= one.ends]
    if found:
        raise PreflightFailed(
            found[0] if len(found) == 1 else f"{len(found)} things are wrong with this certificate",
            hint="ddhelm certs issue --csr-only --out DIR makes a key and a request that fit",
            anchor="certificate-unusable",
            details=found if len(found) > 1 else (),
        )
    return _of_authorities(given, authorities)


def _of_authorities(given: Pair, authorities: Sequence[Certificate]) -> tuple[str, ...]:
    """Remarks on the CAs by which the agents will trust etcd."""
    for one in authorities:
        certificates.refuse_no_ca(one, "the CA file")
    weak = tuple(filter(None, map(certificates.weak, authorities)))
    strangers = certificates.strangers(given.certificate, given.ca) if given.ca else ()
    if not strangers:
        return weak
    names = ", ".join(f"`{one.subject}`" for one in strangers)
    if len(strangers) < len(authorities):
        return (*weak, f"the agents will trust an etcd of {names} too; that is right only while etcd changes its CA")
    issuer = read(given).issuer
    if len(strangers) > 1:
        raise ConfigError(
            f"the CA file holds {len(strangers)} certificates, and the client certificate (issued by `{issuer}`) comes "
            "from none of them; which one is etcd's CA cannot be told",
            hint="put the CA of etcd's server certificate alone into a file",
            anchor="several-certificates",
            details=[f"{at}: {one.subject}, issued by {one.issuer}" for at, one in enumerate(strangers, 1)],
        )
    return (
        *weak,
        f"the client certificate was issued by `{issuer}`, not by the CA that is given ({names}); that is right only "
        "where etcd serves and accepts by different CAs, or where another CA stands in between",
    )


def same_authority(stored: bytes, given: Pair) -> bool:
    """Whether a pair goes with the CAs of etcd that are stored: it brings them all, or their key signed it too.

    A CA that was renewed with its old key is the same one; several in one file are for the time in which etcd changes
    its CA. Raises ConfigError where a certificate cannot be read.
    """
    known, brought = (
        {one.fingerprint for one in certificates.read_certificates(each, "the CA")} for each in (stored, given.ca)
    )
    return known <= brought or all(certificates.signed_by(given.certificate, each) for each in (stored, given.ca))


def beside(stored: bytes, given: Pair, moment: datetime.datetime) -> tuple[Certificate, ...]:
    """The CAs that are stored beside those of a pair: of another key than signed it, and not ended at a moment.

    Raises ConfigError where a certificate cannot be read.
    """
    brought = {one.fingerprint for one in certificates.read_certificates(given.ca, "the CA")}
    return tuple(
        one
        for one in certificates.read_certificates(stored, "the CA")
        if one.fingerprint not in brought
        and one.ends > moment
        and not certificates.signed_by(given.certificate, one.pem)
    )


def secret_object(namespace: str, name: str, given: Pair) -> Tree:
    """The Secret of a pair: three keys, and when the certificate ends, so that nobody has to read it for that."""
    from base64 import b64encode

    shown = certificates.read_certificates(given.certificate, "the certificate")[0]
    files = {certfiles.CA: given.ca, certfiles.CERTIFICATE: given.certificate, certfiles.KEY: given.key}
    annotations = {
        CERTIFICATE_ENDS: shown.ends.isoformat().replace("+00:00", "Z"),
        CERTIFICATE_SHA256: shown.fingerprint,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(_MANAGED), "annotations": annotations},
        "data": {key: b64encode(data).decode() for key, data in files.items()},
    }


def replace_secret(session: Session, name: str, given: Pair) -> None:
    """Put a new pair into a Secret that ddhelm wrote: all three keys at once, or none."""
    body = secret_object(session.access.namespace, name, given)
    _hide(session.secrets, given.key)
    session.kubectl.apply([body], manager=MANAGER, force=True).raise_first()


def read(given: Pair) -> Certificate:
    """What the certificate of a pair says."""
    return certificates.read_certificates(given.certificate, "the client certificate")[0]


def ours(known: SecretKeys) -> bool:
    """Whether ddhelm wrote a Secret."""
    return all(known.labels.get(key) == value for key, value in _MANAGED.items())


def ends(known: SecretKeys | None) -> datetime.datetime | None:
    """When the certificate that stands in a Secret ends; None where there is none, or a broken one.

    A note of it spares the loading of what reads certificates.
    """
    if known is None or not known.certificate:
        return None
    with suppress(ValueError):
        if (noted := datetime.datetime.fromisoformat(known.certificate_ends)).tzinfo is not None:
            return noted
    with suppress(ConfigError):
        return certificates.read_certificates(known.certificate, f"Secret `{known.name}`")[0].ends
    return None


def days_left(known: SecretKeys | None) -> int | None:
    """Whole days until the certificate of a Secret ends, negative once it has; None where it cannot be read."""
    end = ends(known)
    return None if end is None else (end - now()) // datetime.timedelta(days=1)


def refuse_name(name: str) -> None:
    """Raises ConfigError for what cannot be the name of a Secret."""
    from ddhelm.settings import Settings, changed

    # judged where all settings are
    hint = f"--secret {SUGGESTED}: lower-case letters, digits, `-` and dots, a letter or digit at each end"
    changed(Settings(), {"etcd_secret": name}, "the command line", hint=hint)


def _new_secret(session: Session, name: str, given: Pair, notes: tuple[str, ...], observer: Observer) -> Made:
    refuse_name(name)
    if not given.ca:
        raise ConfigError(
            "the Secret needs the CA of etcd too: the check trusts etcd by it",
            hint="--ca FILE: the CA of etcd's server certificate",
            anchor="certificate-file",
        )
    body = secret_object(session.access.namespace, name, given)
    _hide(session.secrets, given.key)
    free = session.kubectl.secret_keys(name) is None
    if free:
        observer(Wrote(f"Secret `{name}` with a client certificate for etcd"))
    if not free or session.kubectl.create(body) is None:
        raise PreflightFailed(
            f"Secret `{name}` exists in `{session.access.namespace}` and is not overwritten",
            hint=f"choose another name; where agents show it already, this renews it: {RENEW}",
            anchor="certificate-secret-exists",
        )
    shown = certificates.read_certificates(given.certificate, "the certificate")[0]
    return Made(shown, f"Secret `{name}` in `{session.access.namespace}`", notes, secret=name)


def _in_folder(made: Pair, folder: str, notes: tuple[str, ...]) -> Made:
    files: Mapping[str, bytes] = {
        certfiles.KEY: made.key, certfiles.CERTIFICATE: made.certificate, certfiles.CA: made.ca
    }  # fmt: skip
    paths = certfiles.write(folder, files)
    shown = certificates.read_certificate(made.certificate, "the new certificate")
    return Made(shown, f"`{folder}`", notes, files=tuple(str(path) for path in paths))


def remarks(signer: Authority, wanted: Wanted, moment: datetime.datetime) -> tuple[str, ...]:
    """What to know about a certificate that a CA's key makes: the power of that key, its weakness, an early end."""
    ca = signer.certificate
    found = [CA_POWER, certificates.weak(ca)]
    if moment + datetime.timedelta(days=wanted.days) > ca.ends:
        found.append(f"the CA itself ends in {lasting(ca.ends - moment)}, and so does the certificate")
    return tuple(filter(None, found))


def _password(files: CaFiles, hider: Secrets) -> bytes:
    named = files.password_file
    if named is not None:
        import sys

        data = sys.stdin.buffer.read(4096) if named == "-" else certfiles.read(named)
        text = data.decode("utf-8", "replace").rstrip("\r\n")
    elif files.ask is not None:
        text = files.ask(f"Password of the key in {files.key}")
    else:
        raise ConfigError(
            f"the key in `{files.key}` is encrypted, and there is no terminal to ask for its password",
            hint="--ca-key-password-file FILE (`-` reads standard input)",
            anchor="key-encrypted",
        )
    hider.add(text)
    return text.encode()


def _hide(hider: Secrets, key: bytes) -> None:
    hider.add(*certificates.secret_texts(key))
