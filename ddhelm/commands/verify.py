"""verify: ask the agents how their checks go, and Datadog whether their data arrived; show it."""

import time

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import arrivals
from ddhelm.actions import revisions, rotate
from ddhelm.actions import verify as action
from ddhelm.actions.keys import Key, checked
from ddhelm.actions.session import Observer, Session
from ddhelm.actions.verify import Verification
from ddhelm.arrivals import Arrivals
from ddhelm.flaggroups import Options
from ddhelm.release import API_KEY, APP_KEY, SECRET, Role, Rotatable
from ddhelm.settings import SecretKey
from ddhelm.tree import Tree
from ddhelm.views import arrival as arrival_view
from ddhelm.views import console, envelope
from ddhelm.views import rotate as rotate_view
from ddhelm.views import verify as view

FIRST_COLLECTION = 120.0

_VARIABLES = {API_KEY: "DD_API_KEY", APP_KEY: "DD_APP_KEY"}


class _Skipped(Struct, frozen=True):
    """Why Datadog was not asked, and how it is."""

    reason: str
    hint: str


def verify(
    session: Session,
    options: Options,
    output: str,
    *,
    only: Role | None,
    wait: float,
    timeout: float | None,
    concurrency: int,
) -> int:
    """Print what the agents and Datadog say.

    0 all is well, 6 a check does not report or its data did not arrive, 4 pods are not ready, 1 not all could be asked.
    """
    began = time.monotonic()
    keys = _given(session, options)  # a wrong file is said before anything is asked
    with view.observer(console.err()) as observer:
        found = action.verify(
            session.kubectl,
            only=only,
            wait=wait,
            timeout=timeout or action.TIMEOUT,
            concurrency=concurrency,
            observer=observer,
        )
        if options["keys_from_secret"]:
            named = {name: key for name, key in keys.items() if _by_flag(name, options)}
            keys = {**keys, **_stored(session, found), **named}  # what the environment has fills gaps only
        arrived = _arrived(session, options, found, keys, max(wait - (time.monotonic() - began), 0), observer)
    pages = arrivals.links(found.site, found.promised, found.cluster)
    rotating = rotate.unfinished(session)
    if output == "table":
        _show(found, arrived, pages)
        if rotating:
            rotate_view.unfinished(rotating, console.out())
    else:
        datadog = (
            arrival_view.skipped_data(arrived.reason) if isinstance(arrived, _Skipped) else arrival_view.data(arrived)
        )
        document = view.json(found, pages, datadog, _code(found, arrived), rotating)
        print(envelope.text(document, output), end="")  # noqa: T201
    return _code(found, arrived)


def _code(found: Verification, arrived: Arrivals | _Skipped) -> int:
    """The agents' verdict first: data of a check that fails cannot arrive."""
    return found.exit_code or (0 if isinstance(arrived, _Skipped) else arrived.exit_code)


def _show(found: Verification, arrived: Arrivals | _Skipped, pages: tuple[arrivals.Link, ...]) -> None:
    screen = console.out()
    view.table(found, screen)
    if isinstance(arrived, Arrivals):
        arrival_view.table(arrived, screen)
    arrival_view.links(pages, screen)
    if isinstance(arrived, _Skipped):
        arrival_view.skipped(arrived.reason, arrived.hint, screen)


def _given(session: Session, options: Options) -> dict[str, Key]:
    from ddhelm.commands.onboard import given_keys

    return dict(given_keys(session, options))


def _by_flag(name: str, options: Options) -> bool:
    """Whether a flag says where a key comes from."""
    return any(options[f"{name.replace('-', '_')}_{kind}"] is not None for kind in ("file", "command"))


def _stored(session: Session, found: Verification) -> dict[str, Key]:
    """The keys out of the Secrets that the agents get them from, because the user asked for that.

    Where the pods that were asked are not those that get a key, the settings of the releases name its Secret. Raises
    ConfigError for what cannot be a key at all.
    """
    named = {name: secret for group in found.groups for name, secret in group.keys.items()}
    kept = None
    stored = {}
    for name, variable in _VARIABLES.items():
        if (secret := named.get(variable)) is None:
            kept = kept or revisions.settings(revisions.read(session, superseded=False))
            wanted = kept.api_key_secret if name == API_KEY else kept.app_key_secret
            secret = wanted or SecretKey(SECRET, name)
        text = session.kubectl.secret_value(secret.name, secret.key)
        if text:
            origin = f"Secret `{secret.name}`"
            stored[name] = Key(origin, checked(Rotatable(name).words, text, origin), stored=True)
    return stored


def _arrived(
    session: Session,
    options: Options,
    found: Verification,
    keys: dict[str, Key],
    wait: float,
    observer: Observer,
) -> Arrivals | _Skipped:
    if APP_KEY not in keys:
        return _skipped("there is no application key", options)
    if API_KEY not in keys:
        return _skipped("there is no API key to go with the application key", options)
    from ddhelm.actions import arrival
    from ddhelm.datadog import Datadog, address
    from ddhelm.settings import changed

    stored = replace(revisions.settings(revisions.read(session, superseded=False)), site=found.site)
    url = address(changed(stored, {"api_url": options["api_url"]}, "the command line"))
    api = Datadog(url, api_key=keys[API_KEY].reveal(), app_key=keys[APP_KEY].reveal())
    return arrival.look(
        api,
        site=found.site,
        cluster=found.cluster,
        checks=found.promised,
        agents=found.agents,
        wait=wait,
        observer=observer,
    )


def _skipped(reason: str, options: Options) -> _Skipped:
    """The hint names no flag that was given in vain."""
    given = "DD_APP_KEY and DD_API_KEY, or --app-key-file and --api-key-file"
    if options["keys_from_secret"]:
        return _Skipped(f"{reason}, in the Secrets of the agents neither", given)
    return _Skipped(reason, given.replace(", or", ",") + ", or --keys-from-secret")


def close(session: Session, document: Tree, output: str) -> int:
    """Verify at the end of a run that changed the releases; what was found is added to its document.

    Agents that were just started are given two minutes for their first collection. Datadog is not asked: data shows
    there minutes later.
    """
    with view.observer(console.err()) as observer:
        found = action.verify(session.kubectl, wait=FIRST_COLLECTION, observer=observer)
    pages = arrivals.links(found.site, found.promised, found.cluster)
    if output == "table":
        screen = console.out()
        screen.print("")
        view.table(found, screen)
        arrival_view.links(pages, screen)
    document["data"]["verification"] = view.data(found, pages)
    return found.exit_code
