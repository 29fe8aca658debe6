"""Asks the API server through kubectl: typed question in, typed answer out.

Through kubectl and not a client library, so that credential plugins, proxies and contexts work as users know them. Big
answers come by ``get --raw``: kubectl's printing costs ten times as much as the answer itself.
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec.json import decode, encode
from msgspec.structs import replace

from ddhelm import failures, record, resources
from ddhelm.access import Access
from ddhelm.answers import (
    KEY_NAMES,
    Answer,
    Piecewise,
    Right,
    RightAnswer,
    SecretKeys,
    answered,
    bare,
    documents,
    listed,
)
from ddhelm.applying import ApplyResult, Attribution, identity
from ddhelm.conflicts import Conflict, Identity
from ddhelm.errors import DdhelmError
from ddhelm.record import Record, ReleaseRow
from ddhelm.run import Command, Completed, Ended, RunnerLike, environment
from ddhelm.tree import Tree

if TYPE_CHECKING:
    from ddhelm.apiproxy import Ahead, Proxy, Question
    from ddhelm.resources import Resource

NOTHING: Mapping[str, Piecewise] = MappingProxyType({})
ALL = "*"
"""In place of a namespace: all of them."""

MANAGER = "ddhelm"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation of `kubectl rollout restart`: every tool knows it, and no upgrade takes it away."""

_NOT_ABOUT_OBJECTS = frozenset(
    (
        "unreachable",
        "unauthorized",
        "certificate",
        "exec-plugin",
        "unknown-context",
        "unreadable-kubeconfig",
        "timed-out",
    )
)
# A login in the browser (OIDC plugins) may stand between the question and the answer.
_LOGIN = 180.0
_A_RUN = 7 * 24 * 3600.0
"""Longer than any: the proxy of a run ends with it."""
_LAST_APPLIED = "/last-applied-configuration"
_MANY = 3
_SILENT = "Unable to connect to the server: context deadline exceeded\n"
"""What kubectl says of a server that takes the connection and is silent."""
_NOT_FOUND = re.compile(r"^Error from server \(NotFound\): ", re.MULTILINE)
_TAKEN = re.compile(r"^Error from server \((?:AlreadyExists|Conflict|NotFound)\): ", re.MULTILINE)
_NO_KIND = re.compile(r'no matches for kind "(?P<kind>[^"]+)" in version "(?P<version>[^"]+)"')


class Kubectl:
    """kubectl at ``path``, bound to one cluster. ``request_timeout`` (seconds) bounds each request to the API server.

    Every method raises the error of ``failures`` that kubectl's words stand for (ClusterError mostly), unless it says
    otherwise. ``namespace`` None means the one of ``access``, ``""`` that the object has none.
    """

    def __init__(
        self, runner: RunnerLike, path: str, access: Access, request_timeout: int = 30, *, proxied: bool = False
    ) -> None:
        """With ``proxied``, the first round of many reads starts a ``kubectl proxy`` that answers all later ones too.

        It runs until ``close`` (see ``apiproxy``).
        """
        self.access = access
        self.path = path
        self._runner = runner
        self._request_timeout = request_timeout
        self._proxied = proxied
        self._proxy: Proxy | None = None
        self._reads_ahead: Ahead | None = None
        self._forecast_ahead: Ahead | None = None
        self._kinds: dict[str, Mapping[str, Resource]] = {}

    def start(self, paths: Sequence[str] = (), piecewise: Mapping[str, Piecewise] = NOTHING) -> None:
        """Start the proxy ahead of the first round of reads: it comes up while the caller loads what it needs.

        ``paths`` are asked for as soon as it is up, and what it answers is kept for the first round, if that names the
        same ``piecewise``.
        """
        if self._proxied:
            from ddhelm.apiproxy import Question

            proxy = self._proxy_of_run()
            proxy.start()
            if paths:
                self._reads_ahead = proxy.ahead(
                    lambda: [Question(path, piecewise=piecewise.get(path)) for path in paths],
                    timeout=self._request_timeout,
                )

    @contextmanager
    def expecting(self, objects: Callable[[], Sequence[Tree]], *, manager: str, conflicts: bool) -> Iterator[None]:
        """Ask ``standing_and_forecast`` of these objects now, beside whatever the block does.

        The first such call within the block asks only for what it does not find among the answers.
        """

        def questions() -> "Sequence[Question]":
            trees = objects()
            return (self._questions(trees, manager, force=not conflicts) if trees else None) or ()

        if self._proxied:
            self._forecast_ahead = self._proxy_of_run().ahead(questions, timeout=self._request_timeout)
        try:
            yield
        finally:
            self._forecast_ahead = None

    def within(self, seconds: int) -> "Kubectl":
        """The same with another limit for each request; the proxy of this one, while it runs, answers its reads."""
        other = Kubectl(self._runner, self.path, self.access, seconds)
        other._proxy = self._proxy
        return other

    def close(self) -> None:
        """End the proxy, where there is one."""
        if self._proxy is not None:
            self._proxy.close()

    # -- reading

    def raw(self, path: str) -> bytes | None:
        """GET a path of the API; None where nothing is there (404)."""
        answer = self.raws((path,))[0]
        if answer.failure:
            raise answer.failure
        return answer.body

    def raws(self, paths: Sequence[str], piecewise: Mapping[str, Piecewise] = NOTHING) -> tuple[Answer, ...]:
        """GET several paths at the same time; a failure is part of its answer, none is raised.

        ``piecewise`` (by path) makes something of a big answer while it arrives, where that comes through the proxy.
        """
        many = self._proxied and len(paths) >= _MANY
        known = self._through_a_proxy(paths, piecewise) if many or (self._proxy and self._proxy.runs) else {}
        left = [path for path in dict.fromkeys(paths) if path not in known]
        done = self._runner.run_all([self._command("get", "--raw", path) for path in left])
        known |= {path: self._answer(path, each) for path, each in zip(left, done, strict=True)}
        return tuple(known[path] for path in paths)

    def tree(self, path: str) -> Tree | None:
        """GET a path of the API as JSON; None where nothing is there (404)."""
        body = self.raw(path)
        return None if body is None else dict(decode(body))

    def release_rows(self, namespace: str | None = None) -> tuple[ReleaseRow, ...]:
        """All revisions of all releases of a namespace (``ALL``: of the cluster), without reading any release.

        A row's status is its label's, which may differ from the record's: see ``heads``.
        """
        space = self._space(namespace)
        told = self._labelled_secrets(space, "owner=helm") if self._proxied and space != ALL else None
        if told is not None:
            return record.rows_of(told)
        scope = ("-A",) if space == ALL else ("-n", space)
        columns = ("-l", "owner=helm", "-L", "name,status,version,modifiedAt", "--no-headers")
        done = self._done("get", "secret", *scope, *columns)
        return record.rows(done.out, None if space == ALL else space)

    def heads(self, names: Sequence[str], namespace: str | None = None) -> dict[str, ReleaseRow]:
        """The newest revision of each of these releases, with the status of its record; without those that are gone.

        Not the label's: an interrupted install of Helm 3 may leave `deployed` there and `failed` in the record, and
        helm goes by the record.
        """
        rows = self.release_rows(namespace)
        newest = [row for name in names if (row := record.head(rows, name)) is not None]
        told = self.records([(row.name, row.revision) for row in newest], namespace)
        return {row.name: replace(row, status=each.status) for row, each in zip(newest, told, strict=True) if each}

    def record(self, name: str, revision: int, namespace: str | None = None) -> Record | None:
        """One revision of a release; None where it is gone."""
        return self.records([(name, revision)], namespace)[0]

    def records(self, wanted: Sequence[tuple[str, int]], namespace: str | None = None) -> tuple[Record | None, ...]:
        """Several revisions (name, number) at the same time, in the order asked."""
        base = f"/api/v1/namespaces/{quote(self._space(namespace))}/secrets/"
        answers = self.raws([base + quote(record.secret_name(name, revision)) for name, revision in wanted])
        for answer in answers:
            if answer.failure:
                raise answer.failure
        return tuple(record.decode(answer.tree()) if answer.found else None for answer in answers)

    def get_many(self, objects: Sequence[Tree]) -> tuple[Tree | None, ...]:
        """The live state (with ``managedFields``) of each object, None where it is not there; one process at most."""
        if not objects:
            return ()
        if (asked := self._asked(objects)) is not None:
            return asked[0]
        return self._standing(objects, self._runner.run_all(self._gets(objects)))

    def can_i(self, rights: Sequence[Right]) -> tuple[RightAnswer, ...]:
        """Whether the user of the kubeconfig holds each right; one process for all."""
        if not rights:
            return ()
        reviews = listed([right.review() for right in rights])
        done = self._done(*_REVIEW, "-o", "json", stdin=reviews)
        statuses = [document.get("status") or {} for document in documents(done.out)]
        return tuple(
            RightAnswer(right, bool(status.get("allowed")), str(status.get("reason") or ""))
            for right, status in zip(rights, statuses, strict=True)
        )

    def version(self) -> str:
        """Kubectl's own version, ``v1.36.3``."""
        done = self._done("version", "--client", "-o", "json")
        return str(decode(done.out)["clientVersion"]["gitVersion"])

    # -- server-side apply

    def apply(
        self, objects: Sequence[Tree], *, manager: str = MANAGER, force: bool = False, dry_run: bool = False
    ) -> ApplyResult:
        """Server-side apply; conflicts and refusals are in the result, object by object.

        The other objects are applied even if some fail. ``objects`` of the result are as the server answered, () if any
        failed (kubectl prints none then).
        """
        if not objects:
            return ApplyResult()
        done = self._runner.run_all(self._applies(objects, manager, "-o", "json", *_how(force, dry_run)))
        if all(each.ok for each in done):
            return ApplyResult(answered(done))
        self._raise_unless_about_objects(done)
        return self._attributed(objects, manager, force)

    def forecast(self, objects: Sequence[Tree], *, manager: str) -> ApplyResult:
        """What a server-side apply would do: all objects as a *forced* apply would leave them, and the conflicts.

        Objects that the server refuses are in ``refusals`` and not in ``objects``. Nothing is written.
        """
        return self.standing_and_forecast(objects, manager=manager, standing=False)[1]

    def standing_and_forecast(
        self, objects: Sequence[Tree], *, manager: str, standing: bool = True, conflicts: bool = True
    ) -> tuple[tuple[Tree | None, ...], ApplyResult]:
        """``get_many`` and ``forecast`` in one parallel round; without ``conflicts`` none are looked for."""
        if not objects:
            return (), ApplyResult()
        if (asked := self._asked(objects, manager, standing=standing, force=not conflicts)) is not None:
            return asked
        reads = self._gets(objects) if standing else []
        applies = self._applies(objects, manager, "-o", "json", *_how(force=not conflicts, dry_run=True))
        done = self._runner.run_all([*reads, *applies])
        found = self._standing(objects, done[: len(reads)]) if standing else ()
        if all(each.ok for each in done[len(reads) :]):
            return found, ApplyResult(answered(done[len(reads) :]))
        self._raise_unless_about_objects(done[len(reads) :])
        return found, self._despite(objects, manager, conflicts)

    # -- writing

    def create(self, obj: Tree) -> Tree | None:
        """Create an object; None if one of that name exists."""
        return self._written("create", obj, "--field-manager", MANAGER)

    def replace(self, obj: Tree) -> Tree | None:
        """Replace an object; None if it is gone or has another ``resourceVersion`` than ``obj`` says."""
        return self._written("replace", obj, "--field-manager", MANAGER)

    def restart(self, workloads: Sequence[tuple[str, str]], stamp: str, *, namespace: str | None = None) -> None:
        """Have the pods of workloads (kind, name) replaced as `kubectl rollout restart` does; all at the same time.

        ``stamp`` is the RFC 3339 time of the annotation in the pod template; another one than there is, or no pod is
        replaced. Raises the first failure once all have been tried.
        """
        marks = {"metadata": {"annotations": {RESTARTED_AT: stamp}}}
        patch = encode({"spec": {"template": marks}}).decode()
        flags = ("--type=strategic", "--patch-file=/dev/stdin", "--field-manager", f"{MANAGER}-restart", "-o", "name")
        commands = [
            self._command("patch", kind.lower(), name, *self._scope(namespace), *flags, stdin=patch)
            for kind, name in workloads
        ]
        for done in self._runner.run_all(commands):
            if not done.ok:
                raise self._error(done, "patch")

    def delete(
        self, kind: str, name: str, *, namespace: str | None = None, wait: bool = False, timeout: int = 120
    ) -> bool:
        """Delete an object, with ``wait`` until it is gone or ``timeout`` seconds passed; False if there was none."""
        args = ("delete", kind, name, *self._scope(namespace), "--ignore-not-found", "-o", "name")
        if wait:  # no limit per request: the wait is one long request
            done = self._runner.run(self._command(*args, "--wait=true", f"--timeout={timeout}s", timeout=timeout + 60))
            if not done.ok:
                raise self._error(done, "delete")
        else:
            done = self._done(*args, "--wait=false")
        return bool(done.out.strip())

    def label(self, kind: str, name: str, labels: Mapping[str, str | None], *, namespace: str | None = None) -> None:
        """Set labels; None as value removes one."""
        self._mark("label", kind, name, labels, namespace)

    def annotate(
        self, kind: str, name: str, annotations: Mapping[str, str | None], *, namespace: str | None = None
    ) -> None:
        """Set annotations; None as value removes one."""
        self._mark("annotate", kind, name, annotations, namespace)

    def execs(
        self,
        wanted: Sequence[tuple[str, str, Sequence[str]]],
        ended: Ended,
        *,
        limit: int,
        namespace: str | None = None,
        timeout: float = 60,
    ) -> None:
        """Run a program in each of many places (pod, container, argv), ``limit`` at a time; see ``Runner.run_each``."""
        commands = (self._exec(pod, container, argv, namespace, timeout) for pod, container, argv in wanted)
        self._runner.run_each(commands, ended, limit=limit)

    def _exec(self, pod: str, container: str, argv: Sequence[str], namespace: str | None, timeout: float) -> Command:
        return self._command("exec", *self._scope(namespace), pod, "-c", container, "--", *argv, timeout=timeout)

    # -- Secrets: names are read, values only pass through

    def secret_keys(self, name: str, namespace: str | None = None) -> SecretKeys | None:
        """The names of a Secret's keys; None where there is no such Secret."""
        scope = self._scope(namespace)
        done = self._done("get", "secret", name, *scope, "--ignore-not-found", "-o", KEY_NAMES)
        return SecretKeys.read(name, done.out)

    def secret_metadata(self, name: str, namespace: str | None = None) -> Tree | None:
        """A Secret's metadata with ``managedFields``, without any value; None where there is no such Secret.

        The annotation ``last-applied-configuration`` is left out: it repeats the values.
        """
        flags = ("--ignore-not-found", "--show-managed-fields", "-o", "jsonpath={.metadata}")
        done = self._done("get", "secret", name, *self._scope(namespace), *flags)
        if not done.out.strip():
            return None
        found = dict(decode(done.out))
        notes = {k: v for k, v in (found.get("annotations") or {}).items() if not k.endswith(_LAST_APPLIED)}
        return {**found, "annotations": notes}

    def secret_equals(self, name: str, key: str, value: str, namespace: str | None = None) -> bool | None:
        """Whether a Secret's key holds this value; None where Secret or key are missing. The value is not kept."""
        tree = self.tree(f"/api/v1/namespaces/{quote(self._space(namespace))}/secrets/{quote(name)}")
        stored = ((tree or {}).get("data") or {}).get(key)
        return None if stored is None else hmac.compare_digest(b64decode(stored), value.encode())

    def secret_value(self, name: str, key: str, namespace: str | None = None) -> str | None:
        """The text of a Secret's key, for a header or a comparison; hidden from every output from now on."""
        tree = self.tree(f"/api/v1/namespaces/{quote(self._space(namespace))}/secrets/{quote(name)}")
        stored = ((tree or {}).get("data") or {}).get(key)
        if stored is None:
            return None
        text = b64decode(stored).decode("utf-8", "replace").strip()
        self._runner.secrets.add(text)
        return text

    def write_secret(
        self,
        name: str,
        values: Mapping[str, str],
        *,
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        force: bool = False,
    ) -> None:
        """Write keys of a Secret; its other keys stay. ``force`` takes keys over that somebody else wrote.

        Each key has a field manager of its own (``ddhelm-KEY``): with one for all, applying a part of the keys would
        remove the others.
        """
        self._runner.secrets.add(*values.values())
        metadata = {"name": name, "namespace": self._space(namespace), "labels": dict(labels or {})}
        for key, value in values.items():
            data = {key: b64encode(value.encode()).decode()}
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
            self.apply([body], manager=f"{MANAGER}-{key}", force=force).raise_first()

    # -- inside

    def _space(self, namespace: str | None) -> str:
        return self.access.namespace if namespace is None else namespace

    def _scope(self, namespace: str | None) -> tuple[str, ...]:
        space = self._space(namespace)
        return ("-n", space) if space else ()

    def _command(self, *args: str, stdin: str | None = None, timeout: float | None = None) -> Command:
        flags = (*self.access.kubectl_flags(), f"--request-timeout={self._request_timeout}s")
        if timeout is not None:
            flags = self.access.kubectl_flags()
        # kuberc: a user's own defaults (an interactive delete, a dry run) are not ours
        env = {**environment(), **self.access.environment(), "KUBERC": "off", "KUBECTL_KUBERC": "false"}
        limit = self._request_timeout + _LOGIN if timeout is None else timeout
        reads = args[0] in _READING or "--dry-run=server" in args or args[:4] == _REVIEW
        return Command((self.path, *flags, *args), stdin=stdin, timeout=limit, env=env, grace=2, reads=reads)

    def _done(self, *args: str, stdin: str | None = None) -> Completed:
        done = self._runner.run(self._command(*args, stdin=stdin))
        if not done.ok:
            raise self._error(done, args[0])
        return done

    def _error(self, done: Completed, verb: str) -> DdhelmError:
        where, space = self.access.where, self.access.namespace
        return failures.error(done, doing=f"kubectl {verb}", where=where, namespace=space)

    def _through_a_proxy(self, paths: Sequence[str], piecewise: Mapping[str, Piecewise]) -> dict[str, Answer]:
        """The answers that are there and those that say that nothing is; a frozen server is not asked twice."""
        from ddhelm.apiproxy import TIMED_OUT, Question

        questions = [Question(path, piecewise=piecewise.get(path)) for path in paths]
        ahead, self._reads_ahead = self._reads_ahead, None
        got = self._proxy_of_run().ask(questions, timeout=self._request_timeout, ahead=ahead)
        known: dict[str, Answer] = {}
        for path, each in zip(paths, got, strict=True):
            if each is None:
                continue
            if each.status == TIMED_OUT:
                known[path] = self._answer(path, self._silent(path))
            else:
                body = each.body if each.status == 200 and each.made is None else None
                known[path] = Answer(path, body, made=each.made)
        return known

    def _labelled_secrets(self, namespace: str, selector: str) -> "Sequence[Tree] | None":
        """The metadata of Secrets with such labels, without their data; None where kubectl must be asked."""
        from ddhelm.apiproxy import TIMED_OUT, Question

        path = f"/api/v1/namespaces/{quote(namespace)}/secrets?labelSelector={quote(selector)}"
        (got,) = self._proxy_of_run().ask([Question(path, bare=True)], timeout=self._request_timeout)
        if got is not None and got.status == TIMED_OUT:
            raise self._error(self._silent(path), "get")
        if got is None or got.status != 200:
            return None
        return [item.get("metadata") or {} for item in decode(got.body).get("items") or ()]

    def _proxy_of_run(self) -> "Proxy":
        from ddhelm.apiproxy import Proxy

        if self._proxy is None:
            self._proxy = Proxy(self._runner, self._serving)
        return self._proxy

    def _asked(
        self, objects: Sequence[Tree], manager: str = "", *, standing: bool = True, force: bool = False
    ) -> tuple[tuple[Tree | None, ...], ApplyResult] | None:
        """The live state and, with a ``manager``, the forecast of objects, through the proxy.

        None where kubectl must be asked: without a proxy, for kinds that the API does not know (yet), and where any
        object would be refused or conflict, which kubectl puts into words.
        """
        if not self._proxied:
            return None
        self.start()
        questions = self._questions(objects, manager, standing=standing, force=force)
        if questions is None:
            return None
        from ddhelm.apiproxy import TIMED_OUT

        ahead = self._forecast_ahead
        if manager:
            self._forecast_ahead = None
        got = self._proxy_of_run().ask(questions, timeout=self._request_timeout, ahead=ahead)
        reads = len(objects) if standing else 0
        answers = [each for each in got if each is not None]
        if any(each.status == TIMED_OUT for each in answers):
            raise self._error(self._silent(questions[0].path), "get")
        if len(answers) < len(got) or any(each.status == 404 for each in answers[reads:]):
            return None
        found = tuple(None if each.status == 404 else dict(decode(each.body)) for each in answers[:reads])
        forecast = tuple(dict(decode(each.body)) for each in answers[reads:])
        for tree in forecast:  # as kubectl prints it
            tree["metadata"].pop("managedFields", None)
        return found, ApplyResult(forecast)

    def _questions(
        self, objects: Sequence[Tree], manager: str, *, standing: bool = True, force: bool
    ) -> "list[Question] | None":
        """First how each object stands, then what applying it would make of it, both where they are wanted."""
        from ddhelm.apiproxy import Question

        places = self._places(objects)
        if places is None:
            return None
        reads = [Question(place) for place in places] if standing else []
        applies = [
            Question.forecast(place, encode(each), manager=manager, force=force)
            for place, each in zip(places, objects, strict=True)
            if manager
        ]
        return [*reads, *applies]

    def _places(self, objects: Sequence[Tree]) -> list[str] | None:
        """The path of each object; None where the API does not tell all of them."""
        versions = [str(each.get("apiVersion") or "") for each in objects]
        unknown = [version for version in dict.fromkeys(versions) if version not in self._kinds]
        for version, answer in zip(unknown, self.raws([resources.group_path(each) for each in unknown]), strict=True):
            if not answer.found:
                return None
            self._kinds[version] = {each.kind: each for each in resources.read(answer.tree())}
        places = []
        for version, obj in zip(versions, objects, strict=True):
            resource = self._kinds[version].get(str(obj.get("kind") or ""))
            if resource is None:
                return None
            places.append(resources.object_path(obj, resource, self.access.namespace))
        return places

    def _silent(self, path: str) -> Completed:
        return Completed(self._command("get", "--raw", path).argv, 1, b"", _SILENT)

    def _serving(self, *args: str) -> Command:
        return self._command(*args, timeout=_A_RUN)

    def _answer(self, path: str, done: Completed) -> Answer:
        if done.ok:
            return Answer(path, done.stdout)
        if not done.timed_out and _NOT_FOUND.search(done.err):
            return Answer(path, None)
        return Answer(path, None, self._error(done, "get"))

    def _written(self, verb: str, obj: Tree, *flags: str) -> Tree | None:
        args = (verb, "-f", "-", "-o", "json", "--validate=false", *flags)
        done = self._runner.run(self._command(*args, stdin=encode(obj).decode()))
        if done.ok:
            return dict(decode(done.out))
        if not done.timed_out and _TAKEN.search(done.err) and "namespaces " not in done.err:
            return None
        raise self._error(done, verb)

    def _mark(self, verb: str, kind: str, name: str, marks: Mapping[str, str | None], namespace: str | None) -> None:
        words = [f"{key}-" if value is None else f"{key}={value}" for key, value in marks.items()]
        flags = ("--overwrite", "--field-manager", MANAGER)
        self._done(verb, kind, name, *words, *self._scope(namespace), *flags)

    def _groups(self, objects: Sequence[Tree]) -> list[tuple[str, list[Tree]]]:
        """Objects by the namespace that kubectl must be given: it refuses a document that names another one."""
        groups: dict[str, list[Tree]] = {}
        for obj in objects:
            groups.setdefault(identity(obj)[2] or self.access.namespace, []).append(obj)
        return list(groups.items())

    def _gets(self, objects: Sequence[Tree]) -> list[Command]:
        flags = ("-f", "-", "-o", "json", "--ignore-not-found", "--show-managed-fields")
        return [
            self._command("get", "-n", space, *flags, stdin=listed([bare(each) for each in group]))
            for space, group in self._groups(objects)
        ]

    def _standing(self, objects: Sequence[Tree], done: Sequence[Completed]) -> tuple[Tree | None, ...]:
        if not all(each.ok for each in done):
            # a kind that the cluster does not know spoils the whole answer
            unknown = {found.group("kind") for each in done for found in _NO_KIND.finditer(each.err)}
            known = [each for each in objects if each.get("kind") not in unknown]
            if len(known) == len(objects):
                raise self._error(next(each for each in done if not each.ok), "get")
            rest = iter(self.get_many(known))
            return tuple(None if each.get("kind") in unknown else next(rest) for each in objects)
        found = {identity(each): each for each in answered(done)}
        return tuple(found.get(self._there(each)) or found.get(identity(each)) for each in objects)

    def _there(self, obj: Tree) -> Identity:
        group, kind, namespace, name = identity(obj)
        return (group, kind, namespace or self.access.namespace, name)

    def _applies(self, objects: Sequence[Tree], manager: str, *flags: str) -> list[Command]:
        # --validate=false: kubectl's own check stops at the first unknown field, the server names each
        fixed = ("--server-side", "--validate=false", "--field-manager", manager, "-f", "-")
        return [
            self._command("apply", "-n", space, *fixed, *flags, stdin=listed(group))
            for space, group in self._groups(objects)
        ]

    def _despite(self, objects: Sequence[Tree], manager: str, conflicts: bool) -> ApplyResult:
        """The forecast where something fails: what fails, and the rest as a forced apply would leave it."""
        forced = self._applies(objects, manager, "-o", "json", *_how(force=True, dry_run=True))
        plain = self._applies(objects, manager, *_how(force=not conflicts, dry_run=True))
        done = self._runner.run_all([*forced, *plain])
        result = self._attributed(objects, manager, force=not conflicts, plain=done[len(forced) :])
        if all(each.ok for each in done[: len(forced)]):
            return ApplyResult(answered(done[: len(forced)]), result.conflicts, result.refusals)
        # kubectl prints no object at all if one of them fails
        refused = {refusal.object for refusal in result.refusals}
        rest = [each for each in objects if identity(each) not in refused]
        again = self._runner.run_all(self._applies(rest, manager, "-o", "json", *_how(force=True, dry_run=True)))
        left = answered(again) if all(each.ok for each in again) else ()
        return ApplyResult(left, result.conflicts, result.refusals)

    def _raise_unless_about_objects(self, done: Sequence[Completed]) -> None:
        """Raise where the cluster itself did not answer: asking for each object again would only take long."""
        for each in done:
            if not each.ok and (error := self._error(each, "apply")).anchor in _NOT_ABOUT_OBJECTS:
                raise error

    def _attributed(
        self, objects: Sequence[Tree], manager: str, force: bool, plain: Sequence[Completed] | None = None
    ) -> ApplyResult:
        """Which object each complaint belongs to; asked by dry runs, because kubectl does not say."""
        how = _how(force, dry_run=True)
        if plain is None:
            plain = self._runner.run_all(self._applies(objects, manager, *how))
        found = Attribution()
        for (_, group), done in zip(self._groups(objects), plain, strict=True):
            alone = found.take(group, done)
            single = self._runner.run_all([command for obj in alone for command in self._applies([obj], manager, *how)])
            for obj, each in zip(alone, single, strict=True):
                found.one(obj, each)
        return ApplyResult((), tuple(found.conflicts), tuple(found.refusals(self._error)))


_READING = {"get", "version", "exec"}
_REVIEW = ("create", "-f", "-", "--validate=false")  # a review is asked by creating it; nothing is stored


def _how(force: bool, dry_run: bool) -> tuple[str, ...]:
    return (*(("--force-conflicts",) if force else ()), *(("--dry-run=server",) if dry_run else ()))


__all__ = [
    "ALL",
    "MANAGER",
    "RESTARTED_AT",
    "Answer",
    "ApplyResult",
    "Conflict",
    "Identity",
    "Kubectl",
    "Right",
    "RightAnswer",
    "SecretKeys",
]
