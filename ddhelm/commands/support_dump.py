"""support-dump: everything that helps somebody else to help, masked, in one file that can be read before it is sent."""

import datetime
import traceback
from collections.abc import Callable, Iterator
from functools import cached_property

from msgspec.structs import replace

from ddhelm import __version__
from ddhelm import dump as core
from ddhelm.actions import building, drift, history, prepare, reading, status
from ddhelm.actions import dump as action
from ddhelm.actions.prepared import Prepared
from ddhelm.actions.request import Request
from ddhelm.actions.session import Session
from ddhelm.dump import Part
from ddhelm.errors import DdhelmError, Interrupted
from ddhelm.masking import Masker
from ddhelm.pasting import typed
from ddhelm.settings import Settings
from ddhelm.tree import Tree
from ddhelm.values import Values
from ddhelm.views import console, envelope
from ddhelm.views import detect as detect_view
from ddhelm.views import drift as drift_view
from ddhelm.views import history as history_view
from ddhelm.views import plan as plan_view
from ddhelm.views import status as status_view
from ddhelm.views import values as values_view

_Make = Callable[[], Tree | str]
_FRAMES = 12


def support_dump(open_session: Callable[[], Session], out: str | None, *, force: bool) -> int:
    """Write the archive; 0 whatever could not be read of the cluster. ConfigError where the file cannot be written."""
    now = datetime.datetime.now(datetime.UTC)
    folder = f"ddhelm-support-{now:%Y%m%d-%H%M%S}"
    path = action.reserve(out or f"{folder}.tar.gz", force=force)
    try:
        parts = _parts(open_session)
        page = core.readme(parts, __version__, f"{now:%Y-%m-%dT%H:%M:%SZ}")
        action.write(path, core.archive(folder, parts, page, int(now.timestamp())))
    finally:
        action.release(path, force=force)
    _tell(str(path), path.stat().st_size, parts)
    return 0


def _parts(open_session: Callable[[], Session]) -> list[Part]:
    """Every part; without a usable cluster those of this machine, and why there are no others."""
    session, failure = None, None
    try:
        session = open_session()
        action.Reads(session).probe()
    except Interrupted:
        raise
    except DdhelmError as error:
        failure = error
    parts = list(_made(session, _here(session)))
    if session is None:
        return [
            *parts,
            _failed("cluster", "which cluster, and what it says", failure or DdhelmError(""), _masker(None)),
        ]
    if failure is not None:
        return [*parts, *(_failed(name, about, failure, _masker(session)) for name, about, _ in _there(session))]
    return [*parts, *_made(session, _there(session))]


def _here(session: Session | None) -> list[tuple[str, str, _Make]]:
    """What needs no answer of the cluster."""
    found: list[tuple[str, str, _Make]] = [
        ("versions.json", "ddhelm, helm, kubectl, the API server, Python", lambda: action.versions(session)),
        ("logs/calls.log", "helm and kubectl calls of the last runs on this machine", lambda: action.calls(session)),
        ("logs/runs.jsonl", "runs that changed something, as this machine remembers", lambda: action.runs(session)),
    ]
    if session is not None:
        found.append(("access.json", "which cluster, and how it was chosen", lambda: action.access(session)))
    return found


class _Seen:
    """Answers that several parts are made of."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @cached_property
    def prepared(self) -> Prepared:
        return prepare.prepare(self._session, Request())

    def facts(self) -> Tree:
        read = reading.facts_of(self._session)
        try:
            found = building.recognise(self._session, read, Settings(), None)
        except DdhelmError as error:
            return detect_view.json(read, None, error)
        return detect_view.json(read, found)

    def values(self) -> str:
        """The values of each release, with the layer and the reason of each, secrets masked."""
        texts = []
        for one in self.prepared.desired:
            shown: Values = replace(one.values, tree=self._session.masker.body(one.values.tree))
            texts.append(f"# {one.release.name}\n{values_view.text(shown, explain=True)}")
        return "---\n".join(texts)


def _there(session: Session) -> list[tuple[str, str, _Make]]:
    """What the cluster is asked for."""
    reads, seen = action.Reads(session), _Seen(session)
    return [
        ("facts.json", "the cluster, as `ddhelm detect -o json` tells it", seen.facts),
        ("status.json", "`ddhelm status -o json`", lambda: status_view.json(status.of_session(session))),
        ("plan.json", "`ddhelm plan -o json`", lambda: plan_view.json(session.access, seen.prepared)),
        ("values.yaml", "the values of both releases, with the layer of each", seen.values),
        ("drift.json", "`ddhelm drift -o json`", lambda: drift_view.json(drift.read(session))),
        ("history.json", "`ddhelm history -o json`", lambda: history_view.json(history.read(session))),
        ("releases.json", "every revision that Helm has kept, with the values it was given", reads.releases),
        ("objects/deployed.yaml", "the objects of the newest manifests", reads.deployed),
        ("objects/live.yaml", "the same objects as they stand", reads.live),
        ("objects/namespace.yaml", "the namespace and the lock", reads.namespace),
        ("objects/pods-not-ready.yaml", "pods of the namespace that are not ready", reads.pods),
        ("objects/events.yaml", "events of the namespace", reads.events),
    ]


def _made(session: Session | None, wanted: list[tuple[str, str, _Make]]) -> Iterator[Part]:
    screen = console.err()
    for name, about, make in wanted:
        screen.print(f"  {name}", style="dim", markup=False)
        masker = _masker(session)
        try:
            yield Part(name, about, _text(session, name, make(), masker))
        except Interrupted:
            raise
        except DdhelmError as error:
            yield _failed(name, about, error, masker)
        except Exception as error:  # a bug must not cost the rest of the dump: it is what the dump is for
            frames = masker.text("".join(traceback.format_exception(error)[-_FRAMES:]))
            bug = DdhelmError(f"a bug in ddhelm: {type(error).__name__}", details=frames.splitlines())
            yield _failed(name, about, bug, masker)


def _text(session: Session | None, name: str, made: Tree | str, masker: Masker) -> str:
    if isinstance(made, str):
        text = made if name.endswith(".yaml") else masker.text(made)
    else:
        text = envelope.text(core.leaves(made, masker), name.rpartition(".")[2])
    return session.secrets.hide(text) if session is not None else text


def _failed(name: str, about: str, error: DdhelmError, masker: Masker) -> Part:
    hint = (f"hint: {error.hint}",) if error.hint else ()
    return Part(
        name, about, "", masker.text(error.message), tuple(masker.text(each) for each in (*error.details, *hint))
    )


def _masker(session: Session | None) -> Masker:
    return session.masker if session is not None else Masker(b"no session")


def _tell(path: str, size: int, parts: list[Part]) -> None:
    screen = console.out()
    unread = [part for part in parts if part.error]
    screen.print(
        f"Wrote `{path}`, {size / 1024:.0f} KiB: {len(parts)} parts, {len(unread)} of them not read.", markup=False
    )
    for reason in dict.fromkeys(part.error for part in unread):
        names = ", ".join(part.name for part in unread if part.error == reason)
        console.problem(screen, f"{names}: {reason}")
    read = typed("Secrets are masked, and nothing was sent anywhere. Read it first: tar xzf {path}", path=path)
    screen.print(read, markup=False, soft_wrap=True)
