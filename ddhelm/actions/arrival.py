"""Asks Datadog whether the data of this cluster arrived in the last minutes."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from ddhelm.actions.session import Observer, silent
from ddhelm.arrivals import ABSENT, AGENTS, INTEGRATIONS, WINDOW, Arrival, Arrivals, Seen, answer, links, query
from ddhelm.datadog import Reply, Trouble, status_page

PATIENCE = 60.0
"""Seconds that a rate limit may cost in all: its window is longer only for organisations that ask all the time."""


ANSWERING = 60.0
"""Seconds that Datadog may take for all answers of one round; of a slow one the rest is not asked."""
_QUESTION = 30.0
_INTERVAL = 15.0


class Asks(Protocol):
    """What is asked of Datadog."""

    def get(self, path: str, params: dict[str, str] | None = None, *, limit: float = 30.0) -> Reply:
        """GET a path of the API."""


class Pausing(Struct, frozen=True):
    """Told to the observer: Datadog is asked again in ``seconds``."""

    seconds: float


class Clock(Struct, frozen=True):
    """Unix time, and how it passes."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


_SLOW = Reply(
    trouble=Trouble.TIMEOUT, reason=f"not asked any more: Datadog took {ANSWERING:.0f} s for the questions before"
)


class _Budget(Struct):
    left: float


def look(
    api: Asks,
    *,
    site: str,
    cluster: str,
    checks: Sequence[str],
    agents: int,
    wait: float = 0,
    observer: Observer = silent,
    clock: Clock | None = None,
) -> Arrivals:
    """Ask for one metric of each check and for the agents; ``agents`` is how many there should be.

    For at most ``wait`` seconds again while something has not arrived: new data shows after a minute or two. Nothing is
    raised: what could not be asked is in the answer, with the reason.
    """
    clock, budget = clock or Clock(), _Budget(PATIENCE)
    deadline = clock.now() + wait
    while True:
        found = _once(api, site, cluster, checks, agents, observer, clock, budget)
        if found.exit_code != ABSENT or clock.now() + _INTERVAL > deadline:
            return found
        observer(Pausing(_INTERVAL))
        clock.sleep(_INTERVAL)


def _once(
    api: Asks,
    site: str,
    cluster: str,
    checks: Sequence[str],
    agents: int,
    observer: Observer,
    clock: Clock,
    budget: _Budget,
) -> Arrivals:
    """One round of questions. After a refusal nothing more is asked: the same key would be refused again."""
    asked = [(each.check, each.metric, "") for each in INTEGRATIONS if each.check in checks]
    found: list[Arrival] = []
    refused: Reply | None = None
    took = 0.0
    for subject, metric, by in (*asked, ("agents", AGENTS, "host")):
        reply, seconds = refused or _SLOW, 0.0
        if refused is None and ANSWERING - took >= 1:
            limit = min(_QUESTION, ANSWERING - took)
            reply, seconds = _ask(api, query(metric, cluster, by=by), limit, observer, clock, budget)
        took += seconds
        if reply.ok:
            found.append(answer(subject, metric, reply.body, clock.now()))
            continue
        if reply.trouble is Trouble.REFUSED:
            refused = reply
        found.append(Arrival(subject, metric, Seen.UNKNOWN, why=reply.reason, hint=_hint(reply, site)))
    return Arrivals(site, cluster, agents, tuple(found[:-1]), found[-1], links(site, checks, cluster))


def _ask(api: Asks, text: str, limit: float, observer: Observer, clock: Clock, budget: _Budget) -> tuple[Reply, float]:
    """One query, and the seconds that its answer took; once more after the pause that Datadog asks for at its limit."""
    while True:
        now = clock.now()
        params = {"from": str(int(now) - WINDOW), "to": str(int(now)), "query": text}
        reply = api.get("/api/v1/query", params, limit=limit)
        if reply.trouble is not Trouble.LIMITED or not 0 < reply.reset <= budget.left:
            return reply, clock.now() - now
        budget.left -= reply.reset
        observer(Pausing(reply.reset))
        clock.sleep(reply.reset)


def _hint(reply: Reply, site: str) -> str:
    if reply.trouble is Trouble.REFUSED:
        return (
            f"do both keys belong to `{site}`, and to one organisation? The application key needs the scope "
            "`timeseries_query`; a key of another site is refused in the same way: --site"
        )
    if reply.trouble is Trouble.LIMITED:
        return "the organisation asks too much; ddhelm verify later"
    if reply is _SLOW:
        return f"ddhelm verify later; {status_page(site)}"
    return reply.hint
