"""Asks Datadog's API over HTTPS: typed question in, typed answer out; the only module that speaks HTTP.

Proxies come from ``HTTPS_PROXY`` and ``NO_PROXY``, certificate authorities from ``REQUESTS_CA_BUNDLE``,
``CURL_CA_BUNDLE`` (both as in requests), ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, the first that is set, else from the
system as for helm and kubectl. Keys go into headers and nowhere else: redirects are
not followed (requests would take the keys along), ``.netrc`` is not read, no exception of the library is passed on.
"""

import json
import logging
import os
import queue
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

from ddhelm import __version__, wholefile
from ddhelm.arrivals import ODD, ODD_HINT
from ddhelm.errors import ConfigError
from ddhelm.settings import SITES, Settings, api_of, api_problem
from ddhelm.tree import Tree

if TYPE_CHECKING:
    import requests

log = logging.getLogger("ddhelm.datadog")

LIMIT = 30.0
"""Seconds that one question may take, name resolution and a dripping answer included."""
_CONNECT, _READ = 3.05, 20.0
_BODY_LIMIT = 32 * 1024 * 1024
_CHUNK = 65536
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_RESET_HEADERS = ("X-RateLimit-Reset", "Retry-After")


class Trouble(StrEnum):
    """Why there is no usable answer."""

    REFUSED = "refused"
    """401 or 403, or a key that is said to be invalid."""
    LIMITED = "limited"
    """429: too many questions; ``Reply.reset`` says how long to wait."""
    BROKEN = "broken"
    """5xx."""
    UNREADABLE = "unreadable"
    """Anything that the documentation does not know: another status, a redirect, no JSON object."""
    NAME = "name"
    """The host's name cannot be resolved."""
    UNREACHABLE = "unreachable"
    """Nobody listens, no route, or the connection was cut."""
    TIMEOUT = "timeout"
    TLS = "tls"
    PROXY = "proxy"


class Reply(Struct, frozen=True):
    """An answer of the API, or why there is none.

    ``status`` is 0 where no HTTP answer came. ``reason`` is a phrase for people (`api.datadoghq.eu` answered 403 …),
    ``hint`` something to try, both without keys; ``reset`` the seconds until the next question may be asked (429).
    """

    status: int = 0
    body: Tree = {}
    trouble: Trouble | None = None
    reason: str = ""
    hint: str = ""
    reset: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the question was answered as documented."""
        return self.trouble is None

    @property
    def answered(self) -> bool:
        """Whether Datadog gave a verdict; otherwise nothing is known."""
        return self.trouble in {None, Trouble.REFUSED}


class Datadog:
    """Datadog's API at ``url`` (``https://api.datadoghq.com``), with the keys of one organisation.

    Nothing is raised for what happens on the way: every outcome is a ``Reply``. One question at a time.
    """

    def __init__(self, url: str, *, api_key: str, app_key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.host = urlsplit(self.url).netloc
        self._keys = {"DD-API-KEY": api_key, **({"DD-APPLICATION-KEY": app_key} if app_key else {})}
        self._session: requests.Session | None = None

    def validate(self, *, limit: float = LIMIT) -> Reply:
        """Whether the API key is one of this site's; REFUSED where it is not."""
        return _expect(self.get("/api/v1/validate", limit=limit), "valid", True)

    def validate_keys(self, *, limit: float = LIMIT) -> Reply:
        """Whether API key and application key belong together; REFUSED where they do not."""
        return _expect(self.get("/api/v2/validate_keys", limit=limit), "status", "ok")

    def get(self, path: str, params: Mapping[str, str] | None = None, *, limit: float = LIMIT) -> Reply:
        """GET a path of the API; ends after ``limit`` seconds whatever the other side and the resolver do."""
        began = time.monotonic()
        answers: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        deadline = began + limit
        # in a thread of its own: neither name resolution nor an answer that drips can be given a timeout
        threading.Thread(target=lambda: answers.put(self._get(path, params, deadline)), daemon=True).start()
        try:
            reply = answers.get(timeout=limit)
        except queue.Empty:
            self._session = None  # the thread may still use it
            reply = Reply(trouble=Trouble.TIMEOUT, reason=f"`{self.host}` did not answer within {limit:.0f} s")
        outcome = reply.trouble or "ok"
        log.debug("GET %s%s  # %s %s, %.2f s", self.url, path, reply.status or "-", outcome, time.monotonic() - began)
        return reply

    def _get(self, path: str, params: Mapping[str, str] | None, deadline: float) -> Reply:
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.auth = lambda request: request  # none, and none from .netrc
            self._session.headers.update({"Accept": "application/json", "User-Agent": f"ddhelm/{__version__}"})
        authorities = _authorities()
        if isinstance(authorities, Reply):
            return authorities
        left = max(deadline - time.monotonic(), 0.1)
        try:
            with self._session.get(
                f"{self.url}{path}",
                params=params,
                headers=self._keys,
                timeout=(min(_CONNECT, left), min(_READ, left)),
                verify=authorities,
                allow_redirects=False,
                stream=True,
            ) as answer:
                return self._judged(answer, _read(answer, deadline))
        except Exception as error:  # whatever the library says may quote a header; only our own words leave this place
            return self._failed(error)

    def _judged(self, answer: "requests.Response", content: bytes | None) -> Reply:
        status = answer.status_code
        said = f"`{self.host}` answered {status}"
        if content is None:
            return Reply(status, trouble=Trouble.UNREADABLE, reason=f"{said} with more than it should, or too slowly")
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        tree: Tree = body if isinstance(body, dict) else {}
        if status in {401, 403} and not isinstance(body, dict):
            # Datadog refuses in JSON; the page of a proxy is no verdict
            return Reply(status, tree, Trouble.UNREADABLE, f"{said}{_NOT_JSON}", _LOGIN_HINT)
        words, reset, hint = self._hidden(_errors(tree)), 0.0, ""
        trouble = Trouble.UNREADABLE
        if status in {401, 403}:
            trouble = Trouble.REFUSED
        elif status == 429:
            trouble, reset = Trouble.LIMITED, _reset(answer.headers)
            words = ": too many requests" + (f"; it may be asked again in {reset:.0f} s" if reset else "")
        elif status >= 500:
            trouble, hint = Trouble.BROKEN, self._status_page()
        elif 300 <= status < 400:
            words = ", a redirect, which is not followed with keys"
        elif status == 200 and tree.get("status") == "error":
            hint = self._status_page()
        elif status == 200 and isinstance(body, dict):
            return Reply(status, tree)
        elif status == 200:
            words, hint = _NOT_JSON, _LOGIN_HINT
        return Reply(status, tree, trouble, f"{said}{words}", hint, reset)

    def _failed(self, error: Exception) -> Reply:
        """What an exception of requests, urllib3 or ssl stands for."""
        chain = list(_chain(error))
        names = {type(each).__name__ for each in chain}
        proxy = _proxy(self.url)
        through = f" through the proxy `{proxy}`" if proxy else ""
        if proxy and names & _PROXY_ERRORS:
            why = next((words for each in chain if (words := _proxy_words(each))), "it cannot be used")
            return Reply(
                trouble=Trouble.PROXY,
                reason=f"the proxy `{proxy}` does not lead to `{self.host}`: {why}",
                hint="HTTPS_PROXY and NO_PROXY say which hosts go through a proxy",
            )
        if broken := _broken_authorities():
            return broken
        certificate = next((each for each in chain if isinstance(each, ssl.SSLError)), None)
        if certificate is not None or "SSLError" in names:
            words = getattr(certificate, "verify_message", "") or getattr(certificate, "reason", "") or "no TLS"
            return _untrusted(f"`{self.host}` cannot be trusted{through}: {str(words).replace('_', ' ').lower()}")
        if names & {"NameResolutionError", "gaierror"}:
            return Reply(trouble=Trouble.NAME, reason=f"the name `{self.host}` cannot be resolved", hint=_NETWORK_HINT)
        if names & {"ConnectTimeout", "ConnectTimeoutError", "ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
            return Reply(trouble=Trouble.TIMEOUT, reason=f"`{self.host}` did not answer in time{through}")
        system = next((each.strerror for each in chain if isinstance(each, OSError) and each.strerror), "")
        why = f": {system.lower()}" if system else ""
        return Reply(
            trouble=Trouble.UNREACHABLE, reason=f"`{self.host}` cannot be reached{through}{why}", hint=_NETWORK_HINT
        )

    def _status_page(self) -> str:
        return status_page(self.host.removeprefix("api."))

    def _hidden(self, text: str) -> str:
        for key in self._keys.values():
            text = text.replace(key, "***")
        return text


_PROXY_ERRORS = frozenset(
    ("ProxyError", "InvalidProxyURL", "InvalidSchema", "InvalidURL", "ProxySchemeUnknown", "LocationParseError")
)
ADDRESS = "DDHELM_API_URL"
"""Variable with an address of the API that goes before any setting, for one machine; it is stored nowhere."""
_NETWORK_HINT = "does this machine reach the internet only through a proxy? HTTPS_PROXY=http://proxy:3128"


def address(settings: Settings) -> str:
    """Where to ask: ``DDHELM_API_URL``, else what the settings say; raises ConfigError for no HTTPS address.

    Settings too are looked at: an earlier ddhelm kept addresses that are none.
    """
    given = os.environ.get(ADDRESS)
    found = given or api_of(settings)
    if problem := api_problem(found):
        text, hint = (
            (f"{ADDRESS}: {problem}", f"unset {ADDRESS}") if given else (problem, "ddhelm onboard --api-url URL")
        )
        raise ConfigError(text, hint=hint, anchor="wrong-setting")
    return found


def status_page(site: str) -> str:
    """Where Datadog tells of troubles of this site, or where it links to the pages of all.

    Each site's page is at `status.SITE`; under that name of uk1 Datadog answers 404 (September 2026).
    """
    return f"https://status.{site if site in SITES and site != 'uk1.datadoghq.com' else SITES[0]}"


def _expect(reply: Reply, key: str, value: object) -> Reply:
    """``reply`` where it says what the documentation calls success."""
    if not reply.ok or reply.body.get(key) == value:
        return reply
    if key in reply.body:
        return Reply(reply.status, reply.body, Trouble.REFUSED, f"it says `{key}`: {json.dumps(reply.body[key])[:40]}")
    return Reply(reply.status, reply.body, Trouble.UNREADABLE, ODD, ODD_HINT)


_NOT_JSON = " with something that is not Datadog's JSON"
_LOGIN_HINT = "does a proxy or a login page answer in its place?"


def _read(answer: "requests.Response", deadline: float) -> bytes | None:
    """The body; None where it is too large or comes too slowly."""
    content = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        content += chunk
        if len(content) > _BODY_LIMIT or time.monotonic() > deadline:
            return None
    return bytes(content)


def _errors(body: Tree) -> str:
    """`: Forbidden` from ``{"errors": ["Forbidden"]}`` (v1) or ``{"errors": [{"title": …}]}`` (v2)."""
    errors = body.get("errors")
    listed = errors if isinstance(errors, list) else [body.get("error")]
    found = [each.get("title") or each.get("detail") if isinstance(each, dict) else each for each in listed]
    text = " ".join(str(each) for each in found if each)
    return f": {' '.join(text.split())[:200]}" if text else ""


def _reset(headers: Mapping[str, str]) -> float:
    """Seconds until the limit is reset (Datadog's rate-limit headers); 0 where nothing readable says it."""
    for name in _RESET_HEADERS:
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return 0.0


def _authorities() -> str | bool | Reply:
    """The file or folder of trusted CAs; True for those that the library brings, where the system has none."""
    if variable := _ca_variable():
        path = os.environ[variable]
        if wholefile.missing(Path(path)):
            reason = f"`{variable}` names `{path}`, which does not exist"
            return Reply(trouble=Trouble.TLS, reason=reason, hint=_ca_hint())
        return path
    paths = ssl.get_default_verify_paths()
    if paths.cafile and Path(paths.cafile).exists():
        return paths.cafile
    if paths.capath and Path(paths.capath).is_dir() and any(Path(paths.capath).iterdir()):
        return paths.capath
    return True


def _ca_variable() -> str:
    """The variable that says which CAs are trusted; empty where none does."""
    return next((variable for variable in _CA_VARIABLES if os.environ.get(variable)), "")


def _ca_hint() -> str:
    """How to trust another CA: by the variable that is in force, for one behind it would change nothing."""
    variable = _ca_variable()
    if not variable:
        return "name your CA's file with SSL_CERT_FILE=/path/to/ca.pem"
    behind = [each for each in _CA_VARIABLES[_CA_VARIABLES.index(variable) + 1 :] if os.environ.get(each)]
    before = f"; it goes before {' and '.join(behind)}" if behind else ""
    return f"name a file with your CA by {variable}, or unset it{before}"


def _untrusted(reason: str) -> Reply:
    variable = _ca_variable()
    by = f" (trusted are the CAs in `{os.environ[variable]}`, by `{variable}`)" if variable else ""
    return Reply(trouble=Trouble.TLS, reason=f"{reason}{by}", hint=_ca_hint())


def _broken_authorities() -> Reply | None:
    """Why the file of CAs that a variable names cannot be used; None where it can."""
    variable = _ca_variable()
    if not variable:
        return None
    try:
        if not Path(os.environ[variable]).is_dir():
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(os.environ[variable])
    except OSError as error:  # ssl.SSLError too
        why = "holds no certificate that can be read" if isinstance(error, ssl.SSLError) else "cannot be read"
        reason = f"`{variable}` names `{os.environ[variable]}`, which {why}"
        return Reply(trouble=Trouble.TLS, reason=reason, hint=_ca_hint())
    return None


def _proxy(url: str) -> str:
    """Host and port of the proxy that the environment wants for ``url``, without its credentials; empty for none."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url)) or ""
    return proxy.rpartition("@")[2].rpartition("//")[2].partition("/")[0]  # by hand: it may be no URL at all


def _proxy_words(error: BaseException) -> str:
    """What a proxy said, or the system about it; never a text that quotes the proxy's URL."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error)
    if "Tunnel connection failed: " in text and type(error).__name__ == "OSError":
        return text.partition("Tunnel connection failed: ")[2]
    if "SOCKS support" in text:
        return "SOCKS proxies are not supported"
    if isinstance(error, ssl.SSLError):
        return "its certificate cannot be trusted"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it was made of; libraries keep them in several places."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [getattr(each, "reason", None), each.__cause__, each.__context__, *each.args]
