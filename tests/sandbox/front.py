"""Stands before kwok's server, so that a program behind `kubectl exec` knows which pod it plays.

kwok starts the program with the same environment for every pod. The path of the request says which container is meant:
`/exec/NAMESPACE/POD/CONTAINER?command=…`. The front puts `env SANDBOX_POD=… SANDBOX_CONTAINER=…` before the command,
and passes everything else on as it is.

Started by `python -I front.py PORT BEHIND CERTIFICATE KEY`; standard library only, like the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from urllib.parse import quote, unquote

POD, CONTAINER = "SANDBOX_POD", "SANDBOX_CONTAINER"
"""Variables of a program behind `kubectl exec`: `NAMESPACE/NAME` of its pod, and the container's name."""


def main(port: int, behind: int, certificate: str, key: str) -> None:
    """Serves until it is killed."""
    outside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    outside.load_cert_chain(certificate, key)
    inside = ssl.create_default_context()
    inside.check_hostname, inside.verify_mode = False, ssl.CERT_NONE  # kwok, with the same certificate, on loopback
    asyncio.run(_serve(port, behind, outside, inside))


async def _serve(port: int, behind: int, outside: ssl.SSLContext, inside: ssl.SSLContext) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await _pass_on(reader, writer, behind, inside)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=outside, backlog=1024)
    async with server:
        await server.serve_forever()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behind: int, inside: ssl.SSLContext
) -> None:
    # The API server dials anew for every exec: only the first request of a connection can be one.
    head = await reader.readuntil(b"\r\n\r\n")
    there, back = await asyncio.open_connection("127.0.0.1", behind, ssl=inside)
    line, _, rest = head.partition(b"\r\n")
    back.write(with_pod(line.decode()).encode() + b"\r\n" + rest)
    copies = [asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(there, writer))]
    await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    for copy in copies:
        copy.cancel()
    await asyncio.gather(*copies, return_exceptions=True)
    back.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while block := await source.read(65536):
        target.write(block)
        await target.drain()


def with_pod(line: str) -> str:
    """A request line with the pod before the command; one that starts nothing stays as it is."""
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    path, _, query = target.partition("?")
    parts = path.split("/")
    if len(parts) < 5 or parts[1] != "exec":
        return line
    namespace, pod, container = unquote(parts[2]), unquote(parts[3]), unquote(parts[-1])
    words = ("env", f"{POD}={namespace}/{pod}", f"{CONTAINER}={container}")
    commands = "&".join(f"command={quote(word, safe='')}" for word in words)
    return f"{method} {path}?{commands}&{query} {version}"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5])
