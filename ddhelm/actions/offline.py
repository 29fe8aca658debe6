"""A plan without a cluster: from facts that ``ddhelm detect -o json`` wrote down, for the gate of a pull request.

What only the live cluster knows (owners, conflicts, Secrets, other agents) is not asked; checks that need it say so.
Little is loaded before helm is started: it comes up while the values are made, and renders while the rest is loaded.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddhelm import facts, wholefile
from ddhelm import settings as settings_
from ddhelm.access import Access, namespace_of
from ddhelm.actions import charts, wrongvalues
from ddhelm.actions.choosing import Choice
from ddhelm.actions.request import Request, settings_of
from ddhelm.actions.session import Session
from ddhelm.errors import ConfigError
from ddhelm.facts import ClusterFacts
from ddhelm.helm import Offline, Render
from ddhelm.pasting import typed
from ddhelm.release import pair
from ddhelm.run import Secrets
from ddhelm.settings import Settings
from ddhelm.tree import is_utf8

if TYPE_CHECKING:
    from ddhelm.actions.prepared import Prepared

_OF_THE_CHART = ("chart-refuses", "values-schema")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_LIMIT = 256 * 1024 * 1024


def session(namespace: str | None) -> Session:
    """A session that knows no cluster; helm is still needed to render."""
    access = Access(None, "", namespace_of(namespace), "(offline)", {})
    return Session(access, Secrets())


def plan_offline(
    without: Session,
    request: Request,
    facts_file: str,
    against: str | None,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> "Prepared":
    """The plan for the cluster of ``facts_file``; without ``against`` (saved manifests) everything is new.

    ``meanwhile`` is done while helm renders.

    Raises ConfigError for files that cannot be read or are something else.
    """
    read = _facts(facts_file)
    saved = "" if against is None else _text(against)

    @cache
    def choice() -> Choice:
        wrongvalues.refuse_misread(without, request, Settings(), {})
        return Choice(without, request, read, settings_of(Settings(), request))

    chart = _at_hand(without, request) or choice().chart_path
    possible = pair(without.access.namespace, control_plane=True)

    def load() -> None:
        from ddhelm.actions import offline_judging  # noqa: F401 - only loaded

        meanwhile()

    try:
        texts = without.helm.templates(
            [Render(each.name, chart, is_upgrade=against is not None) for each in possible],
            lambda: {name: each.tree for name, each in choice().values.items()},
            # what the chart makes of the values where the API offers what the facts say
            offline=Offline(read.server_version or "", tuple(sorted(read.api_groups))),
            meanwhile=load,
        )
    except ConfigError as error:
        if error.anchor not in _OF_THE_CHART:
            raise
        look = typed("helm show values {chart}", chart=str(chart))  # `ddhelm values` asks a cluster
        raise ConfigError(error.message, hint=look, anchor=error.anchor, details=error.details) from None
    from ddhelm.actions import offline_judging

    return offline_judging.planned(choice(), texts, facts_file, against, saved)


def _at_hand(session: Session, request: Request) -> Path | None:
    """The chart, found without a look at the user's values, which take as long to read as helm to come up."""
    try:
        wanted = settings_.changed(Settings(), request.given, "the command line", origins=request.origins)
    except ConfigError:
        return None  # it is said with all else that is wrong
    here = charts.at_hand(session, request, wanted, {})
    return here if here is not None and here.exists() else None


def _facts(name: str) -> ClusterFacts:
    text = _text(name)
    try:
        tree: Any = json.loads(text)
        if _HALF.search(text) and not is_utf8(tree):
            raise ValueError("half a character is in it")
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"`{name}` is no JSON: {error}", hint="ddhelm detect -o json > FILE", anchor="bad-facts-file"
        ) from None
    try:
        document = tree.get("data", tree)
        read = facts.from_json(document.get("facts", document))
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
            f"`{name}` cannot be read: {error.strerror}", hint=typed("ls -l {name}", name=name), anchor="facts-file"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(
            f"`{name}` is no UTF-8 text", hint=typed("file {name}", name=name), anchor="facts-file"
        ) from None
