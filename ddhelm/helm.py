"""Asks helm: typed question in, typed answer out, the flags by the version found.

Helm 3.13 to 4.x. Values go in as JSON on standard input (YAML 1.1 would turn ``y`` and ``on`` into booleans), charts by
path, cluster and namespace by flags; nothing of the user's ``HELM_*`` reaches it.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from msgspec import Struct

from ddhelm.access import Access
from ddhelm.errors import DdhelmError, ToolError
from ddhelm.run import Command, Completed, Later, RunnerLike, cache_folder, environment
from ddhelm.source import Shelf, Source, exact
from ddhelm.tree import Tree

OLDEST = (3, 13, 0)
HISTORY = 10
"""Revisions that are kept, Helm's own default said aloud: HELM_MAX_HISTORY is not passed on."""

# helm asks the API server without a limit of its own; a dead one makes it run 57 s past its --timeout.
BEYOND_TIMEOUT = 60.0
_FETCH = 180.0
_RENDER = 120.0
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
# client-go logs what the API server warns of: plain in Helm 3.13, quoted and escaped since
_WARNING = re.compile(r'warnings\.go:\d+\] (?:"Warning: (?P<quoted>.*)"|(?P<plain>.*))$')
_COMPARED_WITH_NOTHING = re.compile(r"metadata\.resourceVersion: Invalid value: \w+: must be specified for an update")
_PROGRAM_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


class Offline(Struct, frozen=True):
    """What the cluster would have said: ``v1.36.3``, and ``apps/v1``, ``apps/v1/Deployment`` …"""

    kube_version: str
    api_versions: tuple[str, ...] = ()


class Render(Struct, frozen=True):
    """A release to render; ``is_upgrade`` also leaves out the check whose objects they are, one request each."""

    release: str
    chart: Path
    is_upgrade: bool = False


class Helm:
    """helm at ``path``, bound to one cluster and namespace; ``cache`` keeps fetched charts and the version found.

    Every method raises the error of ``failures`` that helm's words stand for.
    """

    def __init__(self, runner: RunnerLike, path: str, access: Access, cache: Path | None = None) -> None:
        self.access = access
        self.path = path
        self._runner = runner
        self._given = cache

    @cached_property
    def _cache(self) -> Path:
        return self._given if self._given is not None else cache_folder()

    @cached_property
    def version(self) -> tuple[int, int, int]:
        """Helm's version; asked once per helm binary, then remembered in the cache folder.

        Raises ToolError (anchor ``tool-too-old``) outside 3.13 to 4.x.
        """
        key = _identity(self.path)
        known = self._remembered()
        text = known.get(key, "") if key else ""
        if not text:
            # a version bent by a shell wrapper is asked each time; a program's own cannot change without the file
            text = self._done(self._command("version", "--template", "{{.Version}}", timeout=30)).out.strip()
            if key:
                self._remember({key: text})
        found = _VERSION.match(text)
        version = (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)
        if version < OLDEST or version[0] > 4:
            raise ToolError(
                f"`{self.path}` is Helm {text or 'of no version'}; ddhelm works with 3.13 to 4.x",
                hint="https://helm.sh/docs/intro/install",
                anchor="tool-too-old",
            )
        return version

    @property
    def major(self) -> int:
        """3 or 4."""
        return self.version[0]

    # -- charts

    def pull(self, where: Source, version: str | None = None) -> Path:
        """The chart as a path: the user's own, or the archive in the cache.

        Without an exact version the repository is asked each time; a known exact version needs no network.
        """
        if (here := self.at_hand(where, version)) is not None:
            return here
        shelf, wanted = Shelf(self._cache / "charts"), exact(version)
        with shelf.desk() as desk:
            chosen = ("--version", wanted or version) if version else ()
            repo = ("--repo", where.repo) if where.repo else ()
            args = ("pull", where.chart, *repo, *chosen, "--destination", str(desk))
            # an empty folder to stand in: --repo prefers ./CHART to the repository
            done = self._runner.run(self._command(*args, timeout=_FETCH, cwd=str(desk), env=self._fetching()))
            if not done.ok:
                raise self._unfetched(done, where, shelf)
            archives = sorted(desk.glob("*.t*gz"))
            if len(archives) != 1:
                raise ToolError(f"`helm pull {where.chart}` brought no chart", hint="helm pull", anchor="tool-failed")
            return shelf.put(where, archives[0])

    def at_hand(self, where: Source, version: str | None = None) -> Path | None:
        """The chart where ``pull`` would fetch nothing."""
        if where.kind == "path":
            return Path(where.chart)
        wanted = exact(version)
        return Shelf(self._cache / "charts").find(where, wanted) if wanted else None

    def versions(self, where: Source) -> tuple[str, ...]:
        """The versions that a repository offers, newest first; () for other kinds of source."""
        if where.kind != "repo":
            return ()
        with Shelf(self._cache / "charts").desk() as desk:
            env = {**self._fetching(), "HELM_REPOSITORY_CONFIG": str(desk / "repositories.yaml")}
            add = self._command("repo", "add", "it", where.repo, timeout=_FETCH, cwd=str(desk), env=env)
            self._done(add, fetching=True)
            args = ("search", "repo", f"it/{where.chart}", "--versions", "-o", "json")
            search = self._command(*args, timeout=_FETCH, cwd=str(desk), env=env)
            found = json.loads(self._done(search, fetching=True).out)
        return tuple(str(each["version"]) for each in found if each["name"] == f"it/{where.chart}")

    # -- releases

    def templates(
        self,
        renders: Sequence[Render],
        values: Callable[[], Mapping[str, Tree]],
        *,
        offline: Offline | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Mapping[str, str]:
        """Several manifests, by release, rendered at the same time; ``meanwhile`` is done while helm does so.

        ``values`` (by release) are asked for when helm has been started, which needs as long to come up as to render
        (50 ms, Helm 3.22 and 4.3); what they leave out is not rendered. With the cluster's own answers (lookups,
        versions, APIs), measured equal to what an upgrade stores; or from what ``offline`` says, asking nobody.
        """
        inputs = {render.release: Later() for render in renders}

        def give() -> None:
            for release, tree in values().items():
                inputs[release].give(json.dumps(tree))
            meanwhile()

        commands = [self._template(render, inputs[render.release], offline) for render in renders]
        done = dict(zip(inputs, self._runner.run_all(commands, give), strict=True))
        rendered = {release: each for release, each in done.items() if inputs[release].given}
        for release, each in rendered.items():
            if not each.ok:
                raise self._error(each, "template", release)
        return {release: each.out for release, each in rendered.items()}

    def upgrade(
        self,
        release: str,
        chart: Path,
        values: Tree,
        *,
        timeout: int = 300,
        force_conflicts: bool = False,
        description: str = "",
        on_warning: Callable[[str], None] | None = None,
    ) -> Completed:
        """Install or upgrade, without waiting for pods and without a rollback of helm's own.

        ``timeout`` (seconds) bounds hooks. ``force_conflicts`` takes fields back from other managers (Helm 4 only,
        which is then told to apply server-side). ``on_warning`` hears at once what the API server warns of, such as
        pods that the namespace's pod security level would reject: helm itself goes on and reports success.
        """
        flags = [*self.access.helm_flags(), "--reset-values", "--history-max", str(HISTORY), "--timeout", f"{timeout}s"]
        flags += self._force(force_conflicts)
        if description:
            flags += ["--description", description]
        command = self._command(
            *("upgrade", "--install", release, str(chart), "--values", "-", *flags),
            stdin=json.dumps(values),
            timeout=timeout + BEYOND_TIMEOUT,
            on_stderr=_warnings_to(on_warning) if on_warning else None,
            grace=30.0,
        )
        return self._done(command, release)

    def rollback(self, release: str, revision: int, *, timeout: int = 300, server_side: bool) -> Completed:
        """Roll back to a revision, by number: without one helm takes the one before, even if that had failed.

        ``server_side``: whether it is applied so, which takes fields back from other managers. Helm 3 cannot; Helm 4 is
        told which, for by itself it does as the revision was made that it goes to, not as the release is changed else
        (``pkg/action/rollback.go``, 4.3).

        ^C lets it finish: killed, it leaves ``pending-rollback``. Client-side, Helm (3.22 and 4.3) compares an object
        that stands but is not in the newest revision, as a CRD that was kept, with nothing: its patch is refused. The
        revision that failed of it has the object, so a second try is right; both stay in Helm's history.
        """
        flags = (*self.access.helm_flags(), "--history-max", str(HISTORY), "--timeout", f"{timeout}s")
        args = ("rollback", release, str(revision), *flags, *(self._force(server_side) or self._client_side()))
        command = self._command(*args, timeout=timeout + BEYOND_TIMEOUT, shielded=True, grace=30.0)
        done = self._runner.run(command)
        if done.ok:
            return done
        if _COMPARED_WITH_NOTHING.search(done.err):
            return self._done(command, release)
        raise self._error(done, "rollback", release)

    def uninstall(self, release: str, *, timeout: int = 300, wait: bool = True) -> Completed:
        """Uninstall; with ``wait`` until the objects are gone. A release that is not there is no error.

        ^C lets it finish: killed, it leaves ``uninstalling``.
        """
        waits = ("--wait",) if wait else ()
        flags = (*self.access.helm_flags(), "--ignore-not-found", "--timeout", f"{timeout}s", *waits)
        command = self._command(
            *("uninstall", release, *flags), timeout=timeout + BEYOND_TIMEOUT, shielded=True, grace=30.0
        )
        return self._done(command, release)

    # -- inside

    def _template(self, render: Render, values: Later, offline: Offline | None) -> Command:
        flags = ["--values", "-", "--no-hooks", *(["--is-upgrade"] if render.is_upgrade else [])]
        if offline is not None:
            flags += ["--namespace", self.access.namespace, "--kube-version", _three_parts(offline.kube_version)]
            flags += ["--api-versions", ",".join(offline.api_versions)] if offline.api_versions else []
        else:
            # Helm 3 keeps its compiled-in capabilities without --validate; Helm 4 refuses both together.
            # The OpenAPI check finds nothing on a server of today and doubles the cost.
            flags += [*(["--validate"] if self.major == 3 else []), "--dry-run=server", "--disable-openapi-validation"]
            flags += self.access.helm_flags()
        return self._command(*("template", render.release, str(render.chart), *flags), stdin=values, timeout=_RENDER)

    def _force(self, force_conflicts: bool) -> list[str]:
        if not force_conflicts or self.major < 4:
            return []
        return ["--server-side=true", "--force-conflicts"]

    def _client_side(self) -> list[str]:
        return ["--server-side=false"] if self.major >= 4 else []

    def _command(
        self,
        *args: str,
        stdin: str | Later | None = None,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        grace: float = 10.0,
        shielded: bool = False,
        on_stderr: Callable[[str], None] | None = None,
    ) -> Command:
        if env is None:
            # a broken plugin of the user's prints a line on every call
            ours = {"HELM_DRIVER": "secret", "HELM_NO_PLUGINS": "1", "NO_COLOR": "1"}
            env = {**environment(), **self.access.environment(), **ours}
        return Command(
            (self.path, *args),
            stdin=stdin,
            timeout=timeout,
            env=env,
            cwd=cwd,
            grace=grace,
            shielded=shielded,
            reads=args[0] in _READING,
            on_stderr=on_stderr,
        )

    def _fetching(self) -> dict[str, str]:
        """Repositories of our own; the user's plugins (s3://) and registry logins stay in force."""
        place = self._cache / "helm"
        ours = {
            "HELM_REPOSITORY_CONFIG": str(place / "repositories.yaml"),
            "HELM_REPOSITORY_CACHE": str(place / "repository"),
            "HELM_CONTENT_CACHE": str(place / "content"),
        }
        logins = os.environ.get("HELM_REGISTRY_CONFIG") or (
            str(Path(os.environ["HELM_CONFIG_HOME"]) / "registry" / "config.json")
            if os.environ.get("HELM_CONFIG_HOME")
            else ""
        )
        return {**environment(), **ours, **({"HELM_REGISTRY_CONFIG": logins} if logins else {})}

    def _done(self, command: Command, release: str = "", *, fetching: bool = False) -> Completed:
        done = self._runner.run(command)
        if not done.ok:
            raise self._error(done, command.argv[1], release, fetching=fetching)
        return done

    def _error(self, done: Completed, verb: str, release: str = "", *, fetching: bool = False) -> DdhelmError:
        from ddhelm import failures  # here: helm is started sooner, and it seldom fails

        return failures.error(
            done,
            doing=f"helm {verb} {release}".strip(),
            where=self.access.where,
            release=release,
            namespace=self.access.namespace,
            fetching=fetching,
        )

    def _unfetched(self, done: Completed, where: Source, shelf: Shelf) -> DdhelmError:
        error = self._error(done, "pull", fetching=True)
        kept = shelf.versions(where)
        if kept and isinstance(error, ToolError):
            error.hint = f"--version {kept[-1]} is in the cache and needs no network"
        return error

    def _remembered(self) -> Mapping[str, str]:
        try:
            known = json.loads((self._cache / "helm-versions.json").read_bytes())
        except (OSError, ValueError, ToolError):
            return {}
        return known if isinstance(known, dict) else {}

    def _remember(self, known: Mapping[str, str]) -> None:
        try:
            target = self._cache / "helm-versions.json"
            written = target.with_suffix(f".{os.getpid()}")
            self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            written.write_text(json.dumps({**self._remembered(), **known}))
            written.replace(target)
        except (OSError, ToolError):
            return  # it costs 35 ms the next time


_READING = {"version", "template", "pull", "show", "search", "repo"}


def _identity(path: str) -> str:
    """A key that changes whenever the program may have; ``""`` where that cannot be told.

    Version managers put a script or their own program under helm's name, which runs another helm in each folder.
    """
    real = Path(path).resolve()
    try:
        with real.open("rb") as stream:
            program = stream.read(4) in _PROGRAM_MAGIC
        facts = real.stat()
    except OSError:
        return ""
    if not program or not real.name.startswith("helm"):
        return ""
    return f"{real} {facts.st_size} {facts.st_mtime_ns}"


def _three_parts(version: str) -> str:
    """Helm 3 completes ``1.29`` to ``v1.29.0``, Helm 4 does not, and templates compare versions."""
    return f"{version}.0" if re.fullmatch(r"v?\d+\.\d+", version) else version


def _warnings_to(hear: Callable[[str], None]) -> Callable[[str], None]:
    def line(text: str) -> None:
        found = _WARNING.search(text)
        if found:
            hear((found["quoted"] or "").replace('\\"', '"') or found["plain"])

    return line
