"""A local HTTPS server that answers as Datadog documents it, with a CA of its own, and misbehaves when told to.

Validation (`/api/v1/validate`, `/api/v2/validate_keys`), the metric query (`/api/v1/query`) and the host list
(`/api/v1/hosts`). Every question that came is kept, so that a test can say what was sent, and to which host.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ddhelm.settings import SITES
from tests.sandbox.certificates import issue, make_authority
from tests.sandbox.pki import Authority

API_KEY_FORM, APP_KEY_FORM = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{40}")
Answer = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that came: ``host`` as the client named it, ``query`` with the last value of each parameter."""

    host: str
    path: str
    query: Mapping[str, str]
    api_key: str
    app_key: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens instead of an answer.

    ``status``, ``headers`` and ``body`` are sent as they are; ``wait`` seconds pass before the first byte, ``drip``
    between any two of the body; ``cut`` closes the connection without a word. Only paths below ``path`` are concerned,
    ``times`` questions (0: all).
    """

    status: int = 0
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    drip: float = 0.0
    cut: bool = False
    path: str = "/"
    times: int = 0


@dataclass
class State:
    """What this Datadog knows. ``api_keys`` and ``app_keys`` None: every key of the right form is valid.

    ``homes`` maps an API key to the one site that knows it. ``metrics`` maps a metric to its points (tags, unix
    seconds, value); ``hosts`` are entries of the host list.
    """

    api_keys: set[str] | None = None
    app_keys: set[str] | None = None
    homes: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[frozenset[str], float, float]]] = field(default_factory=dict)
    hosts: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)


class DatadogApi:
    """A running server; ``url`` is its address, ``ca`` the file of its CA. ``state`` may be changed at any time."""

    def __init__(self, port: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ddhelm-datadog-"))
        self.state = State()
        authority = Authority(self.folder / "ca.crt", self.folder / "ca.key")
        make_authority(authority, "datadog-api-of-the-tests")
        names = ("localhost", *(f"api.{site}" for site in SITES))
        certificate, key = issue(authority, "datadog-api", names=names, addresses=("127.0.0.1",))
        (self.folder / "server.pem").write_bytes(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem")
        self._server = _Server(("127.0.0.1", port), _handler(self))
        # the handshake belongs to the thread of the connection: a client that never ends it must not stop the others
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def asked(self) -> list[Asked]:
        return self.state.asked

    def environment(self) -> dict[str, str]:
        """What a ddhelm must be given to ask this server, and nobody else; helm and kubectl see no difference."""
        here = "127.0.0.1,localhost"
        return {
            "DDHELM_API_URL": self.url,
            "REQUESTS_CA_BUNDLE": str(self.ca),
            "NO_PROXY": here,
            "no_proxy": here,
        }

    @contextmanager
    def faulty(self, **fault: Any) -> Iterator[None]:
        """Misbehave within the block."""
        one = Fault(**fault)
        self.state.faults.append(one)
        try:
            yield
        finally:
            if one in self.state.faults:
                self.state.faults.remove(one)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fault(self, path: str) -> Fault | None:
        """The fault that meets a question to this path; one that is limited in number is used up."""
        for one in list(self.state.faults):
            if path.startswith(one.path):
                if one.times:
                    self.state.faults.remove(one)
                    if one.times > 1:
                        self.state.faults.append(Fault(**{**_fields(one), "times": one.times - 1}))
                return one
        return None

    def answer(self, asked: Asked) -> Answer:
        """What Datadog answers, by its documentation."""
        valid_key = self._valid(asked)
        valid_app = APP_KEY_FORM.fullmatch(asked.app_key) is not None
        if self.state.app_keys is not None:
            valid_app = asked.app_key in self.state.app_keys
        if asked.path == "/api/v1/validate":
            return (200, {"valid": True}) if valid_key else _FORBIDDEN
        routes: dict[str, Callable[[Mapping[str, str]], Answer]] = {
            "/api/v2/validate_keys": lambda _query: (200, {"status": "ok"}),
            "/api/v1/query": self._query,
            "/api/v1/hosts": self._hosts,
        }
        if asked.path not in routes:
            return 404, {"errors": ["Not Found"]}
        return routes[asked.path](asked.query) if valid_key and valid_app else _FORBIDDEN

    def _valid(self, asked: Asked) -> bool:
        home = self.state.homes.get(asked.api_key)
        if home is not None:
            return asked.host.split(":")[0] == f"api.{home}"
        if self.state.api_keys is not None:
            return asked.api_key in self.state.api_keys
        return API_KEY_FORM.fullmatch(asked.api_key) is not None

    def _query(self, query: Mapping[str, str]) -> Answer:
        found = re.fullmatch(r"(\w+):([\w.]+)\{([^}]*)\}(?: by \{([^}]*)\})?", query.get("query", ""))
        if found is None or not {"from", "to"} <= query.keys():
            return 400, {"errors": ["Error parsing query: unable to parse"]}
        metric, scope = found[2], found[3]
        wanted = set() if scope == "*" else {part.strip() for part in scope.split(",")}
        groups = [part.strip() for part in (found[4] or "").split(",") if part.strip()]
        first, last = float(query["from"]), float(query["to"])
        series: dict[tuple[str, ...], list[list[float]]] = {}
        for tags, moment, value in self.state.metrics.get(metric, ()):
            if wanted <= tags and first <= moment <= last:
                group = tuple(sorted(tag for tag in tags if tag.partition(":")[0] in groups))
                series.setdefault(group, []).append([moment * 1000, value])
        found_series = [
            {"metric": metric, "scope": ",".join(group) or scope, "tag_set": list(group), "pointlist": points}
            for group, points in series.items()
        ]
        return 200, {"status": "ok", "res_type": "time_series", "query": query["query"], "series": found_series}

    def _hosts(self, query: Mapping[str, str]) -> Answer:
        start, count = int(query.get("start", 0)), min(int(query.get("count", 100)), 1000)
        words = query.get("filter", "")
        matching = [host for host in self.state.hosts if words in json.dumps(host)]
        page = matching[start : start + count]
        return 200, {"host_list": page, "total_matching": len(matching), "total_returned": len(page)}


_FORBIDDEN: Answer = (403, {"errors": ["Forbidden"]})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that do not trust the certificate, or go away: what the tests are about."""


def _handler(api: DatadogApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                self.headers.get("Host", ""),
                parts.path,
                {name: values[-1] for name, values in parse_qs(parts.query).items()},
                self.headers.get("DD-API-KEY", ""),
                self.headers.get("DD-APPLICATION-KEY", ""),
                dict(self.headers.items()),
            )
            api.state.asked.append(asked)
            fault = api.fault(parts.path)
            if fault is None:
                status, body = api.answer(asked)
                self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json"}, 0)
                return
            time.sleep(fault.wait)
            if fault.cut:
                self.close_connection = True
            elif fault.status:
                self._send(fault.status, fault.body, fault.headers, fault.drip)
            else:
                status, body = api.answer(asked)
                self._send(status, json.dumps(body).encode(), fault.headers, fault.drip)

        def _send(self, status: int, body: bytes, headers: Mapping[str, str], drip: float) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for at in range(0, len(body), 1 if drip else max(len(body), 1)):
                self.wfile.write(body[at : at + 1] if drip else body)
                time.sleep(drip)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _fields(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in Fault.__slots__}
