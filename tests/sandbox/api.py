"""Speaks to an API server over one kept connection: what bulk work needs and kubectl is too slow for.

Making 5,000 nodes with kubectl would start a process or print 20 MB; this is a few lines over `http.client`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

Json = dict[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class ApiError(Exception):
    """The API server answered with a status of 400 or more."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        with contextlib.suppress(ValueError):
            body = json.loads(body).get("message", body)
        super().__init__(f"{method} {path}: {status} {body[:2000]}")
        self.status = status
        self.message = body


class Api:
    """An API server and a client certificate; keeps its connections, as many as were in use at once."""

    def __init__(self, port: int, authority: Path, certificate: Path, key: Path, timeout: float = 60.0) -> None:
        self.port = port
        self.timeout = timeout
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._tls.load_cert_chain(certificate, key)
        self._idle: deque[http.client.HTTPSConnection] = deque()

    def get(self, path: str, accept: str = "application/json") -> Json:
        """The object at this path. Raises ApiError, and OSError where nothing answers."""
        answer: Json = json.loads(self.request("GET", path, accept=accept))
        return answer

    def find(self, path: str) -> Json | None:
        """The object at this path, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def text(self, path: str) -> str:
        return self.request("GET", path, accept="*/*").decode()

    def post(self, path: str, body: Json) -> Json:
        answer: Json = json.loads(self.request("POST", path, body))
        return answer

    def put(self, path: str, body: Json) -> Json:
        answer: Json = json.loads(self.request("PUT", path, body))
        return answer

    def apply(self, path: str, body: Json) -> Json:
        """Server-side apply, taking over conflicting fields."""
        path = f"{path}?fieldManager=ddhelm-sandbox&force=true"
        answer: Json = json.loads(self.request("PATCH", path, body, content=APPLY))
        return answer

    def merge(self, path: str, body: Json) -> Json:
        """JSON merge patch: a null removes its field."""
        answer: Json = json.loads(self.request("PATCH", path, body, content=MERGE))
        return answer

    def delete(self, path: str, grace: int | None = None) -> None:
        """Asks for the deletion; an object that is already gone is fine."""
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self.request("DELETE", path, options)
        except ApiError as error:
            if error.status not in {404, 409}:
                raise

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        accept: str = "application/json",
        content: str = "application/json",
    ) -> bytes:
        payload = None if body is None else json.dumps(body).encode()
        headers = {"Accept": accept, "User-Agent": "ddhelm-sandbox"}
        if payload is not None:
            headers["Content-Type"] = content
        while True:
            kept = self._kept()
            connection = kept or self._connect()
            try:
                connection.request(method, path, payload, headers)
                response = connection.getresponse()
                answer = response.read()
            except BaseException as error:
                connection.close()
                # The server closed a kept connection meanwhile: once more over another one.
                if kept and isinstance(error, (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError)):
                    continue
                raise
            self._idle.append(connection)
            if response.status >= 400:
                raise ApiError(method, path, response.status, answer.decode(errors="replace"))
            return answer

    def _kept(self) -> http.client.HTTPSConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=self.timeout, context=self._tls)

    def close(self) -> None:
        """Closes the kept connections; the next request opens a new one."""
        while connection := self._kept():
            connection.close()


def at_once(work: Callable[[Item], Result], items: Iterable[Item], connections: int = 8) -> list[Result]:
    """The results of `work` on every item, several at a time; the first error is raised when all are through."""
    with ThreadPoolExecutor(connections) as pool:
        return list(pool.map(work, items))
