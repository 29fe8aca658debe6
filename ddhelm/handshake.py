"""Asks an etcd over TLS as the agent's check would, and tells what either side did not like.

The pair reaches OpenSSL through pipes: its only other way in is a file with the private key.
"""

import http.client
import os
import queue
import socket
import ssl
import threading
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from ddhelm import certificates
from ddhelm.certificates import Pair
from ddhelm.errors import UsageError

LARGEST = 64 * 1024 * 1024
"""Bytes of an answer; a big etcd's metrics are a few hundred kilobytes."""
_CHUNK = 256 * 1024
_MARGIN = 0.5
"""Seconds after which silence would have been told by the connection itself."""

Trouble = Literal[
    "unreachable",
    "name",
    "address",
    "expired",
    "not-yet",
    "untrusted",
    "refused",
    "plain",
    "tls",
    "unloadable",
    "cut-off",
    "too-large",
]
_BY_CODE: dict[int, Trouble] = {
    9: "not-yet", 10: "expired", 18: "untrusted", 19: "untrusted", 20: "untrusted", 21: "untrusted",
    62: "name", 64: "address",
}  # fmt: skip
# OpenSSL's names (ssl.SSLError.reason) of the alerts by which a server turns a client certificate down.
_ALERTS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a client certificate and got none",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the CA that signed the client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it calls the client certificate bad",
    "TLSV1_ALERT_BAD_CERTIFICATE": "it calls the client certificate bad",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "by its clock the client certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the client certificate was revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept the client certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it cannot use this kind of client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it does not accept what the client offers",
    "TLSV1_ALERT_ACCESS_DENIED": "it denies access",
    "TLSV1_ALERT_DECRYPT_ERROR": "it cannot check the client certificate's signature",
}


class Failed(Exception):
    """The question could not be asked. ``words`` say it in the other side's sense; ``server``: its certificate, DER."""

    def __init__(self, trouble: Trouble, words: str, server: bytes | None = None) -> None:
        super().__init__(words)
        self.trouble = trouble
        self.words = words
        self.server = server


class Reply(Struct, frozen=True):
    """An HTTP answer; ``server`` is the certificate that came with it (DER), None for plain HTTP."""

    status: int
    body: bytes
    server: bytes | None


def address(endpoint: str) -> tuple[str, str, int]:
    """Scheme, host and port of an endpoint; UsageError for what is none, without showing a password in it."""
    if "@" in endpoint:
        raise UsageError(
            "the endpoint of etcd has a user or a password in it, which etcd's metrics do not take",
            hint="--endpoint https://HOST:2379; a client certificate says who asks",
            anchor="certs-flags",
        )
    none = UsageError(f"`{endpoint}` is no endpoint of etcd", hint="--endpoint https://HOST:2379", anchor="certs-flags")
    try:
        parts = urlsplit(endpoint)  # raises for brackets without an IPv6 address in them
        port = parts.port or 2379
    except ValueError:
        raise none from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/", "/metrics"}:
        raise none
    return parts.scheme, parts.hostname, port


def get(endpoint: str, path: str, pair: Pair | None, *, timeout: float = 10) -> Reply:
    """GET a path; raises Failed. Without a ``pair`` no client certificate is shown; plain HTTP never shows one.

    ``timeout`` bounds the silence of the other side as well as the whole exchange, in seconds.
    """
    scheme, host, port = address(endpoint)
    answers: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_get(scheme, host, port, path, pair, timeout))
        except Exception as error:  # whatever it is belongs to the caller
            answers.put(error)

    # in a thread of its own: a server that sends a byte a second never runs into a timeout of the connection
    threading.Thread(target=ask, daemon=True).start()
    try:
        told = answers.get(timeout=timeout + _MARGIN)
    except queue.Empty:
        raise Failed("unreachable", f"its answer was not complete after {timeout:.0f} s") from None
    if isinstance(told, Exception):
        raise told
    return told


def _get(scheme: str, host: str, port: int, path: str, pair: Pair | None, timeout: float) -> Reply:
    connection = _connection(scheme, host, port, pair, timeout)
    try:
        connection.connect()
    except OSError as error:
        raise _not_connected(error, host, port, timeout) from None
    try:
        server = connection.sock.getpeercert(binary_form=True) if isinstance(connection.sock, ssl.SSLSocket) else None
        connection.request("GET", path, headers={"Accept": "text/plain, application/json"})
        with connection.getresponse() as answer:
            return Reply(answer.status, _body(answer), server)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, ssl.SSLError) and error.reason in _ALERTS:
            raise _turned_down(error) from None
        raise _dropped(error, scheme, host, port, pair, timeout) from None
    finally:
        connection.close()


def _body(answer: http.client.HTTPResponse) -> bytes:
    body = bytearray()
    while chunk := answer.read(_CHUNK):
        body += chunk
        if len(body) > LARGEST:
            raise Failed("too-large", f"it answers with more than {LARGEST // 1024 // 1024} MiB")
    return bytes(body)


def _connection(scheme: str, host: str, port: int, pair: Pair | None, timeout: float) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=_context(pair))


def _context(pair: Pair | None) -> ssl.SSLContext:
    # the certificates alone: text around them may be in any encoding
    known = certificates.read_certificates(pair.ca, "the CA file") if pair and pair.ca else ()
    authorities = "".join(one.pem.decode("ascii") for one in known) or None
    context = ssl.create_default_context(cadata=authorities)
    # as the agent's check verifies: newer Pythons are stricter about a CA's form, and laxer about chains
    context.verify_flags = ssl.VERIFY_DEFAULT | ssl.VERIFY_X509_TRUSTED_FIRST
    if pair and pair.certificate:
        with _piped(pair.certificate) as certificate, _piped(pair.key) as key:
            try:
                context.load_cert_chain(certificate.path, key.path)
            except ssl.SSLError as error:
                raise Failed("unloadable", _words(error)) from None
    return context


class _piped:  # noqa: N801 - used as a function
    """A text under a path that only this process can read, and only once; nothing of it is on disk."""

    def __init__(self, data: bytes) -> None:
        if len(data) > 60_000:  # what a pipe takes without a reader
            raise Failed("tls", "the certificate or its key is larger than any that is in use")
        self._read, write = os.pipe()
        with os.fdopen(write, "wb") as stream:
            stream.write(data)
        self.path = f"/dev/fd/{self._read}"

    def __enter__(self) -> "_piped":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._read)


def _not_connected(error: OSError, host: str, port: int, timeout: float) -> Failed:
    if isinstance(error, ssl.SSLCertVerificationError):
        trouble = _BY_CODE.get(error.verify_code, "untrusted")
        return Failed(trouble, error.verify_message, _server(host, port, timeout))
    if isinstance(error, ssl.SSLError):
        if error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
            return Failed("plain", "it does not speak TLS there")
        return _turned_down(error)
    if isinstance(error, socket.gaierror):
        return Failed("unreachable", f"there is no host `{host}`")
    if isinstance(error, TimeoutError):
        return Failed("unreachable", f"no answer within {timeout:.0f} s")
    return Failed("unreachable", error.strerror or str(error))


def _turned_down(error: ssl.SSLError) -> Failed:
    reason = error.reason or ""
    if reason in _ALERTS:
        return Failed("refused", _ALERTS[reason])
    return Failed("tls", _words(error))


def _words(error: ssl.SSLError) -> str:
    return (error.reason or "").replace("_", " ").lower() or str(error)


def _dropped(error: Exception, scheme: str, host: str, port: int, pair: Pair | None, timeout: float) -> Failed:
    """What is behind a connection that ended early: an alert may have been lost with it, so listen for one."""
    if scheme == "https" and not isinstance(error, TimeoutError):
        try:
            with (
                socket.create_connection((host, port), timeout=timeout) as plain,
                _context(pair).wrap_socket(plain, server_hostname=host) as connection,
            ):
                connection.settimeout(min(timeout, 2))
                connection.recv(1)
        except ssl.SSLError as told:
            return _turned_down(told)
        except OSError:
            pass
    if isinstance(error, TimeoutError):
        return Failed("unreachable", f"no answer within {timeout:.0f} s")
    words = str(error) or type(error).__name__
    return Failed("cut-off", f"the connection ended before an answer came ({words})")


def _server(host: str, port: int, timeout: float) -> bytes | None:
    """The certificate of a server that is not trusted, to say what is wrong with it; ours is not shown to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection((host, port), timeout=timeout) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return connection.getpeercert(binary_form=True)
    return None
