"""Reads what a support dump needs beyond what other commands show, and writes the archive.

Secrets are not listed: Helm's own records are read, and objects of the releases by name, masked by type.
"""

import contextlib
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ddhelm import __version__, audit, journal, reads, wholefile
from ddhelm.actions import audit as recording
from ddhelm.actions import revisions
from ddhelm.errors import ConfigError, DdhelmError
from ddhelm.manifest import Manifest, parse
from ddhelm.record import Record
from ddhelm.tree import Tree

if TYPE_CHECKING:
    from ddhelm.actions.session import Session

_PAGE = 500
_TIMEOUT = 15
_SERVER_FIELDS = ("managedFields", "selfLink")


class Reads:
    """What one dump reads of a cluster; each thing once."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def probe(self) -> None:
        """Raises where the API server does not answer at all, so that nothing else has to wait for it."""
        try:
            self._session.kubectl_within(_TIMEOUT).raw("/version")
        except DdhelmError as error:
            if error.anchor != "forbidden":
                raise

    @cached_property
    def records(self) -> Mapping[str, tuple[Record, ...]]:
        """Release name to the revisions that Helm has kept."""
        return revisions.read(self._session)

    def releases(self) -> Tree:
        """What Helm has stored of each revision, the values that were given included, manifests left out."""
        return {name: [self._revision(each) for each in kept] for name, kept in self.records.items()}

    def _revision(self, record: Record) -> Tree:
        return {
            "revision": record.revision,
            "status": record.status,
            "chart": f"{record.chart_name}-{record.chart_version}",
            "appVersion": record.app_version,
            "firstDeployed": record.first_deployed,
            "lastDeployed": record.last_deployed,
            "description": self._session.masker.text(record.description),
            "applyMethod": record.apply_method,
            "bytes": record.size,
            "values": self._session.masker.body(record.config),
        }

    @cached_property
    def manifests(self) -> Mapping[str, Manifest]:
        """Release name to the manifest of its newest revision, masked."""
        space, masker = self._session.access.namespace, self._session.masker
        return {name: parse(kept[-1].manifest, space, masker) for name, kept in self.records.items()}

    def deployed(self) -> Tree:
        """The objects of the newest manifests."""
        return {name: [_short(obj.body) for obj in each.objects.values()] for name, each in self.manifests.items()}

    def live(self) -> Tree:
        """The same objects as they stand in the cluster; those that do not stand are named."""
        found: Tree = {}
        for name, manifest in self.manifests.items():
            objects = list(manifest.objects.values())
            standing = self._session.kubectl.get_many([obj.placed() for obj in objects])
            found[name] = [
                {"missing": str(obj.ref)} if body is None else _short(self._session.masker.body(body))
                for obj, body in zip(objects, standing, strict=True)
            ]
        return found

    def namespace(self) -> Tree:
        """The namespace and the lock."""
        space = self._session.access.namespace
        paths = {"namespace": f"/api/v1/namespaces/{space}", "lease": reads.lease(space)}
        return {name: self._object(path) for name, path in paths.items()}

    def events(self) -> Tree:
        """The namespace's events, no more than one page."""
        return self._items("events", lambda _item: True)

    def pods(self) -> Tree:
        """Those pods of the namespace that are not ready, of its first page."""
        return self._items("pods", lambda item: not _ready(item))

    def _items(self, plural: str, wanted: Callable[[Tree], bool]) -> Tree:
        tree = self._session.kubectl.tree(f"/api/v1/namespaces/{self._session.access.namespace}/{plural}?limit={_PAGE}")
        page = tree or {}
        left = (page.get("metadata") or {}).get("remainingItemCount") or 0
        items = [_short(self._session.masker.body(each)) for each in page.get("items") or () if wanted(each)]
        return {"notLookedAt": left, "items": items}

    def _object(self, path: str) -> Tree | None:
        tree = self._session.kubectl.tree(path)
        return None if tree is None else _short(self._session.masker.body(tree))


def versions(session: "Session | None") -> Tree:
    """Versions of everything that takes part; where one cannot be told, why."""
    found: Tree = {
        "ddhelm": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if session is None:
        return found
    for name, ask in (
        ("helm", lambda: {"path": session.helm.path, "version": ".".join(map(str, session.helm.version))}),
        ("kubectl", lambda: {"path": session.kubectl.path, "version": session.kubectl.version()}),
        ("server", lambda: session.kubectl_within(_TIMEOUT).tree("/version")),
    ):
        try:
            found[name] = ask()
        except DdhelmError as error:
            found[name] = {"error": session.masker.text(error.message)}
    return found


def access(session: "Session") -> Tree:
    """Which cluster, and how it was chosen."""
    found = session.access
    return {
        "kubeconfig": found.kubeconfig,
        "context": found.context,
        "server": found.server,
        "namespace": found.namespace,
        "origins": dict(found.origins),
    }


def runs(session: "Session | None") -> str:
    """The runs that this machine remembers of this cluster (of all, where there is no session), a line each."""
    entries = recording.here()
    if session is not None:
        server = session.masker.text(session.access.server)
        entries = tuple(each for each in entries if each.server == server)
    return "".join(f"{audit.line(each)}\n" for each in entries)


def calls(session: "Session | None") -> str:
    """The helm and kubectl calls of the last runs on this cluster; of all, where there is no session."""
    lines = journal.lines(journal.CALLS)
    if session is None:
        return "".join(f"{each}\n" for each in lines)
    wanted, kept = False, []
    for each in lines:
        if not each.startswith(" "):
            wanted = f" on {session.access.server} " in f"{each} "
        if wanted:
            kept.append(f"{each}\n")
    return "".join(kept)


def reserve(name: str, *, force: bool) -> Path:
    """Make sure, before anything is read, that the archive can be written; ConfigError where it cannot."""
    try:
        path = wholefile.path(name)
        if not force:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        elif path.is_dir() or not os.access(path.parent, os.W_OK):
            raise IsADirectoryError(21, "it is a folder" if path.is_dir() else "its folder cannot be written")
    except FileExistsError:
        raise ConfigError(
            f"`{name}` exists already", hint="name another file with --out, or add --force", anchor="dump-file"
        ) from None
    except OSError as error:
        raise _unwritable(name, error) from None
    return path


def release(path: Path, *, force: bool) -> None:
    """Take the place back that ``reserve`` made, where no archive came into it."""
    with contextlib.suppress(OSError):
        if not force and path.stat().st_size == 0:
            path.unlink()


def write(path: Path, data: bytes) -> None:
    """Put the archive in its place, whole and for its owner only; ConfigError where that fails."""
    try:
        wholefile.replace(path, data)
    except OSError as error:
        raise _unwritable(str(path), error) from None


def _unwritable(name: str, error: OSError) -> ConfigError:
    return ConfigError(
        f"the dump cannot be written to `{name}`: {error.strerror}",
        hint="name another file: --out FILE",
        anchor="dump-file",
    )


def _ready(pod: Tree) -> bool:
    conditions: Sequence[Tree] = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _short(body: Tree) -> Tree:
    """An object without what only fills pages: field owners, and the schemas of custom resource definitions."""
    metadata = {key: value for key, value in (body.get("metadata") or {}).items() if key not in _SERVER_FIELDS}
    if body.get("kind") == "CustomResourceDefinition":
        return {"apiVersion": body.get("apiVersion"), "kind": body["kind"], "metadata": metadata}
    return {**body, "metadata": metadata}
