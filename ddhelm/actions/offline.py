"""A plan without a cluster: from facts that ``ddhelm detect -o json`` wrote down, for the gate of a pull request.

What only the live cluster knows (owners, conflicts, Secrets, other agents) is not asked; checks that need it say so.
Little is loaded before helm is started: it comes up while the values are made, and renders while the rest is loaded.
"""

import json
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddhelm import wholefile
from ddhelm.access import Access, namespace_of
from ddhelm.actions.session import Session
from ddhelm.errors import ConfigError
from ddhelm.helm import Offline, Render
from ddhelm.pasting import typed
from ddhelm.release import pair
from ddhelm.run import Secrets
from ddhelm.source import source
from ddhelm.tree import is_utf8

if TYPE_CHECKING:
    from ddhelm.actions.choosing import Choice
    from ddhelm.actions.prepared import Prepared
    from ddhelm.actions.request import Request
    from ddhelm.facts import ClusterFacts

_OF_THE_CHART = ("chart-refuses", "values-schema")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_LIMIT = 256 * 1024 * 1024


def session(namespace: str | None) -> Session:
    """A session that knows no cluster; helm is still needed to render."""
    access = Access(None, "", namespace_of(namespace), "(offline)", {})
    return Session(access, Secrets())


def plan_offline(
    without: Session,
    request: "Callable[[], Request]",
    facts_file: str,
    against: str | None,
    *,
    chart: str | None = None,
    version: str | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> "Prepared":
    """The plan for the cluster of ``facts_file``; without ``against`` (saved manifests) everything is new.

    ``request`` is made, and all that decides is loaded, when helm has been started; so ``chart`` and ``version`` say
    what it asks for of these. ``meanwhile`` is done while helm renders.

    Raises ConfigError for files that cannot be read or are something else.
    """
    document = _document(facts_file)
    saved = "" if against is None else _text(against)
    choice = cache(lambda: _choice(without, request(), _facts(facts_file, document)))
    offline, path = _shown(document), _at_hand(without, chart, version)
    if offline is None or path is None:
        offline, path = _offline(choice().facts), choice().chart_path
    possible = pair(without.access.namespace, control_plane=True)

    def load() -> None:
        from ddhelm.actions import offline_judging  # noqa: F401 - only loaded

        meanwhile()

    try:
        texts = without.helm.templates(
            [Render(each.name, path, is_upgrade=against is not None) for each in possible],
            lambda: {name: each.tree for name, each in choice().values.items()},
            offline=offline,
            meanwhile=load,
        )
    except ConfigError as error:
        if error.anchor not in _OF_THE_CHART:
            raise
        look = typed("helm show values {chart}", chart=str(path))  # `ddhelm values` asks a cluster
        raise ConfigError(error.message, hint=look, anchor=error.anchor, details=error.details) from None
    from ddhelm.actions import offline_judging

    return offline_judging.planned(choice(), texts, facts_file, against, saved)


def _choice(session: Session, asked: "Request", read: "ClusterFacts") -> "Choice":
    """What the request makes of the facts; ConfigError with all that is wrong with the user's values."""
    from ddhelm.actions import wrongvalues
    from ddhelm.actions.choosing import Choice
    from ddhelm.actions.request import settings_of
    from ddhelm.settings import Settings

    wrongvalues.refuse_misread(session, asked, Settings(), {})
    return Choice(session, asked, read, settings_of(Settings(), asked))


def _at_hand(session: Session, chart: str | None, version: str | None) -> Path | None:
    """The chart that was named, where it need not be fetched."""
    here = session.helm.at_hand(source(chart), version) if chart else None
    return here if here is not None and os.access(here, os.R_OK) else None


def _document(name: str) -> Any:
    """The JSON of the facts, whatever it holds; ConfigError where it is none."""
    text = _text(name)
    try:
        tree: Any = json.loads(text)
        if _HALF.search(text) and not is_utf8(tree):
            raise ValueError("half a character is in it")
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"`{name}` is no JSON: {error}", hint="ddhelm detect -o json > FILE", anchor="bad-facts-file"
        ) from None
    document = tree.get("data", tree) if isinstance(tree, dict) else {}
    return document.get("facts", document) if isinstance(document, dict) else {}


def _shown(document: Any) -> Offline | None:
    """What helm has to know of the cluster, so that it need not wait; None where the facts have to be looked at."""
    shown = document if isinstance(document, dict) else {}
    version, groups = shown.get("serverVersion"), shown.get("apiGroups")
    if not isinstance(version, str) or not version.startswith("v") or not isinstance(groups, list):
        return None
    return Offline(version, tuple(sorted(set(groups)))) if all(isinstance(each, str) for each in groups) else None


def _offline(facts: "ClusterFacts") -> Offline:
    """What the chart makes of the values where the API offers what the facts say."""
    return Offline(facts.server_version or "", tuple(sorted(facts.api_groups)))


def _facts(name: str, document: Any) -> "ClusterFacts":
    from ddhelm import facts

    try:
        read = facts.from_json(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f"`{name}` holds no facts of a cluster", hint="ddhelm detect -o json > FILE", anchor="bad-facts-file"
        ) from None
    if read.version == (0, 0, 0):
        raise ConfigError(
            f"`{name}` does not say which Kubernetes version the cluster has (`serverVersion`)",
            hint="ddhelm detect -o json > FILE",
            anchor="bad-facts-file",
        )
    return read


def _text(name: str) -> str:
    """What stands in a file, or comes on standard input for ``-``."""
    try:
        return wholefile.read(name, _LIMIT).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"`{name}` cannot be read: {error.strerror}",
            hint=typed("ls -l {path}", path=wholefile.spelled(name)),
            anchor="facts-file",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"`{name}` is no UTF-8 text", hint=typed("file {name}", name=name), anchor="facts-file"
        ) from None
