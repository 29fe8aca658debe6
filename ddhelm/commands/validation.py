"""Lets Datadog judge keys before anything is written, and says what could not be judged."""

from collections.abc import Mapping, Sequence

from ddhelm.actions import validating
from ddhelm.actions.keys import Key, looks_wrong
from ddhelm.actions.session import Session
from ddhelm.datadog import address
from ddhelm.flaggroups import Options
from ddhelm.release import API_KEY, APP_KEY
from ddhelm.settings import SITES, Settings
from ddhelm.views import console


def validated(
    session: Session, options: Options, settings: Settings, keys: Mapping[str, Key], *, stored: Sequence[str] = ()
) -> None:
    """Raise PreflightFailed for a key that Datadog refuses; one line on stderr for what could not be asked.

    ``keys`` are those that will be written, ``stored`` the names of further ones, which are read from their Secrets.
    """
    require = bool(options.get("require_validation"))
    asked = {name: key for name, key in keys.items() if name in {API_KEY, APP_KEY}}
    more = [name for name in stored if name not in asked]
    if not asked and not more:
        return
    read = more if API_KEY in asked else [API_KEY, *more]  # an application key is judged together with an API key
    found = validating.stored(session.kubectl, settings, read)
    for name in more:
        if name in found.keys and (warning := looks_wrong(validating.WORDS[name], found.keys[name])):
            console.problem(console.err(), warning)
    warnings = [
        *validating.unread(found, more, require=require),
        *validating.validate(
            address(settings),
            settings.site or SITES[0],
            asked | {name: found.keys[name] for name in more if name in found.keys},
            api_key=found.keys.get(API_KEY),
            require=require,
            find_site=bool(options.get("find_site")),
        ),
    ]
    for line in warnings:
        console.problem(console.err(), line)
