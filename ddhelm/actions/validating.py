"""Asks Datadog about keys before anything is written: of which site they are, whether they belong together.

A verdict of Datadog's is worth stopping for. Where it cannot be asked (no way to the internet, a limit, an outage),
the keys are taken as they are and that is said: agents may well have a way that this machine has not.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from msgspec import Struct

from ddhelm import arrivals
from ddhelm.actions.keys import Key, checked
from ddhelm.datadog import Datadog, Reply
from ddhelm.errors import DdhelmError, PreflightFailed
from ddhelm.release import API_KEY, APP_KEY
from ddhelm.settings import SITES, Settings

LIMIT = 5.0
"""Seconds that a question may take: a machine without a network must not wait for long."""

_NO_WAY = "HTTPS_PROXY=http://proxy:3128 leads to the others where this machine needs a proxy"

WORDS = {API_KEY: "API key", APP_KEY: "application key"}


def validate(
    url: str,
    site: str,
    keys: Mapping[str, Key],
    *,
    api_key: Key | None = None,
    require: bool = False,
    find_site: bool = False,
) -> tuple[str, ...]:
    """Warnings about keys (by their names in the Secret) that could not be validated; nothing where all are valid.

    ``api_key`` is the one that an application key goes with, where ``keys`` holds none. ``require`` makes an error of
    a warning; ``find_site`` sends a refused API key to Datadog's other sites. Raises PreflightFailed.
    """
    whole = keys.get(API_KEY) or api_key
    if whole is None:
        return _unasked(keys, "there is no API key to ask with", "", require) if APP_KEY in keys else ()
    if API_KEY in keys:
        reply = Datadog(url, api_key=whole.reveal()).validate(limit=LIMIT)
        if not reply.answered:
            return _unasked(keys, reply.reason, reply.hint, require)
        if not reply.ok:
            raise _refused(site, keys[API_KEY], reply, find_site=find_site)
    if APP_KEY in keys:
        reply = Datadog(url, api_key=whole.reveal(), app_key=keys[APP_KEY].reveal()).validate_keys(limit=LIMIT)
        if not reply.answered:
            return _unasked({APP_KEY: keys[APP_KEY]}, reply.reason, reply.hint, require)
        if not reply.ok:
            raise PreflightFailed(
                f"Datadog refuses the application key from {keys[APP_KEY].origin}: {reply.reason}",
                hint=f"it must be of the organisation that the API key belongs to: {arrivals.app(site)}"
                "/organization-settings/application-keys",
                anchor="key-refused",
            )
    return ()


class Stored(Struct, frozen=True):
    """Keys as their Secrets hold them, and why the others could not be read: reason and hint, by the key's name."""

    keys: Mapping[str, Key] = {}
    unread: Mapping[str, tuple[str, str]] = {}


class ReadsSecrets(Protocol):
    """The part of ``kubectl.Kubectl`` that is needed here."""

    def secret_value(self, name: str, key: str) -> str | None:
        """The text of a Secret's key, hidden from every output from now on."""


def stored(kubectl: ReadsSecrets, settings: Settings, names: Sequence[str]) -> Stored:
    """The keys of these names out of the Secrets of the settings; ConfigError for what cannot be a key at all."""
    found, unread = {}, {}
    for name, secret in ((API_KEY, settings.api_key_secret), (APP_KEY, settings.app_key_secret)):
        if name not in names or secret is None:
            continue
        origin = f"Secret `{secret.name}`"
        try:
            text = kubectl.secret_value(secret.name, secret.key)
        except DdhelmError as error:
            unread[name] = (f"{origin} cannot be read: {error.message}", error.hint)
            continue
        if text:
            found[name] = Key(origin, checked(WORDS[name], text, origin), stored=True)
        else:
            unread[name] = (f"{origin} has no key `{secret.key}`", "")
    return Stored(found, unread)


def unread(found: Stored, names: Sequence[str], *, require: bool) -> tuple[str, ...]:
    """Warnings about those of these keys that could not be read, one for each reason; PreflightFailed with ``require``.

    Not to know is no verdict: whoever installs need not be one who may read Secrets.
    """
    reasons: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if name in found.unread:
            reasons.setdefault(found.unread[name], []).append(name)
    return tuple(line for (why, hint), keys in reasons.items() for line in _unasked(keys, why, hint, require))


def homes(key: Key, but: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Datadog's sites that know an API key, and those that could not be asked; ``but`` is left out.

    It sends the key to every site: only on request.
    """
    sites = [site for site in SITES if site != but]

    def ask(site: str) -> Reply:
        return Datadog(f"https://api.{site}", api_key=key.reveal()).validate(limit=LIMIT)

    with ThreadPoolExecutor(len(sites)) as pool:
        replies = dict(zip(sites, pool.map(ask, sites), strict=True))
    return (
        tuple(site for site, reply in replies.items() if reply.ok),
        tuple(site for site, reply in replies.items() if not reply.answered),
    )


def _refused(site: str, key: Key, reply: Reply, *, find_site: bool) -> PreflightFailed:
    message = f"site `{site}` refuses the API key from {key.origin}: {reply.reason}"
    if not find_site:
        hint = "a key belongs to one site: --find-site tries the others; ddhelm onboard --site SITE names yours"
        if key.stored:  # it cannot be rotated first: the site that it would be held against is still the old one
            hint += "; another site's key goes into a Secret of its own: --api-key-secret NAME"
        return PreflightFailed(message, hint=hint, anchor="key-refused")
    known, unasked = homes(key, site)
    details = [f"could not be asked: {', '.join(unasked)}"] if unasked else []
    if known:
        return PreflightFailed(
            f"the API key from {key.origin} belongs to site `{known[0]}`, not to `{site}`",
            hint=f"--site {known[0]}",
            anchor="key-refused",
            details=details,
        )
    anew = f"copy it anew from {arrivals.app(site)}/organization-settings/api-keys"
    if len(unasked) == len([each for each in SITES if each != site]):
        details, hint = ["none of the other sites could be asked"], f"{_NO_WAY}; or {anew}"
    elif unasked:
        hint = f"no other site that could be asked knows it: {anew}; {_NO_WAY}"
    else:
        hint = f"no other site knows it either: {anew}"
    return PreflightFailed(message, hint=hint, anchor="key-refused", details=details)


def _unasked(keys: Iterable[str], reason: str, hint: str, require: bool) -> tuple[str, ...]:
    what = " and ".join(WORDS[name] for name in keys)
    text = f"the {what} could not be validated: {reason}"
    if require:
        raise PreflightFailed(text, hint=hint or "leave --require-validation out", anchor="key-not-validated")
    return (text + (f" ({hint})" if hint else ""),)
