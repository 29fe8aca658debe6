"""Sees all that a run of ddhelm leaves or shows: processes with argv and environment, files, output, the cluster.

Programs on PATH are stood in for by scripts that write down how they were started and become the real ones; an audit
hook in ddhelm's own interpreter sees which programs it starts and which files it opens for writing, however it does it.
"""

import base64
import gzip
import json
import os
import shlex
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

from tests.cluster.driver import Ddhelm, Result
from tests.sandbox import reset
from tests.sandbox.api import ApiError
from tests.sandbox.sandbox import Sandbox

_HOOK = """
import os, sys
_busy = False
def _note(line):
    # opened each time: a child closes every file between fork and exec, and the hook sees that exec too
    global _busy
    _busy = True
    log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, f"{{line}}\\n".encode())
    os.close(log)
    _busy = False
def _hook(event, args):
    if _busy:
        return
    if event in ("os.exec", "os.posix_spawn", "subprocess.Popen", "os.system", "pty.spawn"):
        _note(f"start {{os.fsdecode(args[0])}}")
    elif event == "open" and isinstance(args[0], (str, bytes)) and isinstance(args[2], int):
        if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _note(f"write {{os.path.abspath(os.fsdecode(args[0]))}}")
sys.addaudithook(_hook)
"""


@dataclass
class Witness:
    """What was seen, as texts by where they were seen; ``forms`` of a secret are looked for in them afterwards."""

    ddhelm: Ddhelm
    folder: Path
    seen: dict[str, bytes] = field(default_factory=dict)
    _runs: int = 0
    _read: dict[Path, tuple[int, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("bin", "hook", "tmp", "calls"):
            (self.folder / name).mkdir()
        path = self.ddhelm.environment["PATH"]
        for tool in ("helm", "kubectl"):
            real = which(tool, path=path)
            assert real is not None
            self._stand_in(tool, real)
        (self.folder / "hook" / "sitecustomize.py").write_text(_HOOK.format(log=str(self.folder / "audit")))
        self.ddhelm.environment |= {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{path}",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self.folder / "hook"), os.environ.get("PYTHONPATH")])),
            "PYTHONDONTWRITEBYTECODE": "1",  # else the interpreter itself writes files
            "TMPDIR": str(self.folder / "tmp"),
        }

    def _stand_in(self, tool: str, real: str) -> None:
        script = self.folder / "bin" / tool
        calls = shlex.quote(str(self.folder / "calls"))
        script.write_text(
            "#!/bin/sh\n"
            f"{{ printf '%s\\n' {tool} \"$@\" '-- environment'; env; }} > {calls}/$$\n"
            f'exec {shlex.quote(real)} "$@"\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    @property
    def _places(self) -> tuple[Path, ...]:
        return self.folder / "tmp", self.ddhelm.sandbox.layout.home, self.ddhelm.sandbox.kubeconfig.parent

    def run(self, *arguments: str, **options: object) -> Result:
        """Run a command line; its output and every file that stood in its folders meanwhile are kept."""
        with self._polled():
            result = self.ddhelm(*arguments, **options)  # type: ignore[arg-type]
        self._runs += 1
        self.seen[f"run {self._runs}, output of {arguments[0]}"] = (result.out + result.err).encode()
        self._files()
        return result

    @contextmanager
    def _polled(self) -> Iterator[None]:
        ended = threading.Event()

        def poll() -> None:
            while not ended.wait(0.1):
                self._files()

        thread = threading.Thread(target=poll)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _files(self) -> None:
        # walk, unlike rglob, goes on where a folder has gone meanwhile: that of a proxy's socket comes and goes
        folders = (found for place in self._places for found in os.walk(place))
        for file in (Path(folder, name) for folder, _, names in folders for name in names):
            with suppress(OSError):
                found = file.stat()
                mark = (found.st_ino, found.st_mtime_ns, found.st_size)
                if stat.S_ISREG(found.st_mode) and found.st_size < 1_000_000 and self._read.get(file) != mark:
                    content, before = file.read_bytes(), self.seen.get(f"file {file}", b"")
                    self._read[file] = mark
                    if content not in before:
                        self.seen[f"file {file}"] = before + content

    # -- what was seen

    @property
    def calls(self) -> dict[str, tuple[list[str], list[str]]]:
        """Process to its argv and the lines of its environment."""
        found = {}
        for file in (self.folder / "calls").iterdir():
            argv, _, environment = file.read_text().partition("-- environment\n")
            found[file.name] = (argv.splitlines(), environment.splitlines())
        return found

    def audited(self, what: str) -> set[str]:
        """Programs that ddhelm's interpreter started (``start``), or files that it opened for writing (``write``)."""
        lines = (self.folder / "audit").read_text().splitlines()
        return {line.removeprefix(f"{what} ") for line in lines if line.startswith(f"{what} ")}

    def hits(self, secrets: Mapping[str, str]) -> list[str]:
        """Where any of the secrets (name to text) was seen, in any of its forms."""
        texts = dict(self.seen)
        for process, (argv, environment) in self.calls.items():
            texts[f"argv of {argv[0]} {argv[1]} ({process})"] = "\n".join(argv).encode()
            texts[f"environment of {argv[0]} {argv[1]} ({process})"] = "\n".join(environment).encode()
        return [
            f"{name} in {place}"
            for place, text in texts.items()
            for name, secret in secrets.items()
            if any(form in text for form in forms(secret))
        ]


def forms(secret: str) -> set[bytes]:
    """The text itself, and its base64 form at each of the three places that it can have inside of a longer text."""
    found = {secret.encode()}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret.encode()).rstrip(b"=")
        found.add(encoded[4 if shift else 0 : -1])  # the characters that neighbours cannot change
    return found


def cluster_texts(sandbox: Sandbox) -> dict[str, bytes]:
    """Every object of every kind of the cluster as its JSON, releases of Helm unpacked; by ``kind namespace/name``."""
    texts: dict[str, bytes] = {}
    for kind in [*reset.kinds(sandbox.loader), reset.Kind("", "events", "/api/v1/events", True)]:
        try:
            items = sandbox.loader.get(kind.path)["items"] or []
        except ApiError as error:
            if error.status in {404, 405, 503}:
                continue
            raise
        for item in items:
            metadata = item["metadata"]
            name = f"{kind.plural} {metadata.get('namespace', '')}/{metadata['name']}"
            texts[name] = json.dumps(item).encode()
            if kind.plural == "secrets" and item.get("type") == "helm.sh/release.v1":
                packed = base64.b64decode(base64.b64decode(item["data"]["release"]))
                texts[name] += gzip.decompress(packed)
    return texts
