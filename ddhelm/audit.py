"""What is kept of a run that changed a cluster: who did it, from where, by which plan, to what end.

An entry is one line of JSON, in the cluster and on the machine that ran. Its size is bounded whatever a tool has said,
so that a ring of them stays far below what a ConfigMap may hold. Lines that this version cannot read are kept as they
are: a newer ddhelm wrote them.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

COUNT = 64
"""Entries that the cluster keeps."""
SIZE = 128 * 1024
"""Bytes of them, at most; a ConfigMap may hold eight times as much."""
LINE = 8 * 1024
"""Bytes of one entry, at most."""

Outcome = Literal["running", "done", "failed", "interrupted"]

_TEXT = 200
_MESSAGE = 500
_PARTS = 12
_VERSION = 1


class Who(Struct, frozen=True):
    """Who ran it: the operating system's user and host, the name that the API server gave them, a CI job's address.

    What could not be known is empty.
    """

    user: str
    host: str
    name: str = ""
    job: str = ""


class Change(Struct, frozen=True):
    """One thing that was begun: a step of a release, or ``what`` else was written or removed.

    ``revision`` is the one that a step made, None where it made none or did not end; ``target`` the one it went to.
    """

    what: str
    release: str = ""
    revision: int | None = None
    target: int | None = None


class Entry(Struct, frozen=True):
    """One run. Times are RFC 3339 texts, ``ended`` empty while it runs.

    ``cluster`` is kube-system's UID, ``plan`` the digest of the plan that was shown (SHA-256, hex), ``exit_code`` that
    of the table, ``message`` one line about what went wrong.
    """

    id: str
    verb: str
    began: str
    who: Who
    cluster: str = ""
    context: str = ""
    server: str = ""
    namespace: str = ""
    plan: str = ""
    changes: tuple[Change, ...] = ()
    ended: str = ""
    outcome: Outcome = "running"
    exit_code: int | None = None
    message: str = ""
    ddhelm: str = ""


def line(entry: Entry) -> str:
    """The entry as one line of JSON without its newline, at most ``LINE`` bytes: long texts are cut."""
    for text, parts in ((_TEXT, _PARTS), (_TEXT // 4, _PARTS), (_TEXT // 4, 2)):
        made = _dumped(to_json(_cut(entry, text, parts)))
        if len(made.encode()) <= LINE:
            return made
    return _dumped(to_json(_cut(entry, 10, 1)))


def to_json(entry: Entry) -> dict[str, Any]:
    """The entry as a tree; what is empty is left out, so that a line stays short."""
    return _short({**complete(entry), "changes": [_short(_change(each)) for each in entry.changes]})


def complete(entry: Entry) -> dict[str, Any]:
    """The entry as a tree with all of its fields."""
    return {
        "version": _VERSION,
        "id": entry.id,
        "verb": entry.verb,
        "began": entry.began,
        "ended": entry.ended,
        "outcome": entry.outcome,
        "exitCode": entry.exit_code,
        "message": entry.message,
        "user": entry.who.user,
        "host": entry.who.host,
        "name": entry.who.name,
        "job": entry.who.job,
        "cluster": entry.cluster,
        "context": entry.context,
        "server": entry.server,
        "namespace": entry.namespace,
        "plan": entry.plan,
        "changes": [_change(each) for each in entry.changes],
        "ddhelm": entry.ddhelm,
    }


def read(text: str) -> Entry | None:
    """The entry of a line; None where it is none, or one that this version does not know."""
    try:
        tree = json.loads(text)
    except ValueError:
        return None
    if not isinstance(tree, dict) or tree.get("version") != _VERSION or not tree.get("id"):
        return None
    outcome, code, changes = (tree.get(key) for key in ("outcome", "exitCode", "changes"))
    return Entry(
        id=_text(tree, "id"),
        verb=_text(tree, "verb"),
        began=_text(tree, "began"),
        who=Who(_text(tree, "user"), _text(tree, "host"), _text(tree, "name"), _text(tree, "job")),
        cluster=_text(tree, "cluster"),
        context=_text(tree, "context"),
        server=_text(tree, "server"),
        namespace=_text(tree, "namespace"),
        plan=_text(tree, "plan"),
        changes=tuple(
            _changed(each) for each in (changes if isinstance(changes, list) else ()) if isinstance(each, dict)
        ),
        ended=_text(tree, "ended"),
        outcome=outcome if outcome in ("running", "done", "failed", "interrupted") else "failed",
        exit_code=code if isinstance(code, int) else None,
        message=_text(tree, "message"),
        ddhelm=_text(tree, "ddhelm"),
    )


def ring(lines: Iterable[str], new: str, *, count: int = COUNT, size: int = SIZE) -> str:
    """The lines with ``new`` at their end, as one text; the oldest go where there are too many or too much."""
    kept: list[str] = []
    left = size
    for each in reversed([*(text for text in lines if text.strip()), new]):
        left -= len(each.encode()) + 1
        if kept and (left < 0 or len(kept) == count):
            break
        kept.append(each)
    return "".join(f"{each}\n" for each in reversed(kept))


def entries(lines: Iterable[str]) -> tuple[Entry, ...]:
    """The entries of the lines, oldest first. Of several with one id the one that ended counts, else the last."""
    found: dict[str, Entry] = {}
    for text in lines:
        entry = read(text)
        if entry is not None and (entry.ended or entry.id not in found):
            found[entry.id] = entry
    return tuple(sorted(found.values(), key=lambda each: (each.began, each.id)))


def one_line(text: str, limit: int = _MESSAGE) -> str:
    """A text as one line of at most ``limit`` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _cut(entry: Entry, text: int, parts: int) -> Entry:
    """The entry with no text longer than ``text`` (the message: two and a half times that) and ``parts`` changes."""

    def cut(value: str) -> str:
        return one_line(value, text)

    changes: Sequence[Change] = entry.changes
    if len(changes) > parts:
        changes = (*changes[: parts - 1], Change(f"and {len(changes) - parts + 1} more"))
    return replace(
        entry,
        id=cut(entry.id),
        verb=cut(entry.verb),
        began=one_line(entry.began, _TEXT),
        ended=one_line(entry.ended, _TEXT),
        who=Who(cut(entry.who.user), cut(entry.who.host), cut(entry.who.name), cut(entry.who.job)),
        cluster=cut(entry.cluster),
        context=cut(entry.context),
        server=cut(entry.server),
        namespace=cut(entry.namespace),
        plan=cut(entry.plan),
        message=one_line(entry.message, text * _MESSAGE // _TEXT),
        changes=tuple(replace(each, what=cut(each.what), release=cut(each.release)) for each in changes),
        ddhelm=cut(entry.ddhelm),
    )


def _change(change: Change) -> dict[str, Any]:
    return {
        "what": change.what,
        "release": change.release,
        "revision": change.revision,
        "target": change.target,
    }


def _short(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if value not in ("", None, [])}


def _changed(tree: dict[str, Any]) -> Change:
    revision, target = tree.get("revision"), tree.get("target")
    return Change(
        _text(tree, "what"),
        _text(tree, "release"),
        revision if isinstance(revision, int) else None,
        target if isinstance(target, int) else None,
    )


def _text(tree: dict[str, Any], key: str) -> str:
    value = tree.get(key)
    return value if isinstance(value, str) else ""


def _dumped(tree: dict[str, Any]) -> str:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
