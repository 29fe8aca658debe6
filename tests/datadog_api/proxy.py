"""A proxy on loopback that takes CONNECT: it leads every host to one local port and remembers which was asked for."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """``asked`` holds the `host:port` of every CONNECT; with ``password`` (`user:word`) it wants to be told it."""

    port: int
    asked: list[str] = field(default_factory=list)
    password: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.password}@127.0.0.1:{self.port}" if self.password else f"http://127.0.0.1:{self.port}"


@contextmanager
def proxy(leads_to: int, *, password: str = "", refuses: str = "") -> Iterator[Proxy]:
    """A proxy within the block; ``refuses`` is a status line that it answers with, `403 Forbidden`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Proxy(listener.getsockname()[1], password=password)

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_serve, args=(client, found, leads_to, refuses), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield found
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _serve(client: socket.socket, found: Proxy, leads_to: int, refuses: str) -> None:
    with client, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head and (read := client.recv(4096)):
            head += read
        lines = head.decode("latin-1").split("\r\n")
        found.asked.append(lines[0].split(" ")[1])
        wanted = "Proxy-Authorization: Basic " + base64.b64encode(found.password.encode()).decode()
        if found.password and wanted not in lines:
            refuses = "407 Proxy Authentication Required"
        if refuses:
            client.sendall(f"HTTP/1.1 {refuses}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        with socket.create_connection(("127.0.0.1", leads_to)) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
