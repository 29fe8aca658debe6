"""Lets Datadog judge new keys before anything is written, and says what could not be judged."""

from collections.abc import Mapping

from ddhelm.actions import validating
from ddhelm.actions.keys import Key
from ddhelm.actions.session import Session
from ddhelm.datadog import address
from ddhelm.flaggroups import Options
from ddhelm.release import API_KEY, APP_KEY
from ddhelm.settings import SITES, Settings
from ddhelm.views import console


def validated(session: Session, options: Options, settings: Settings, keys: Mapping[str, Key]) -> None:
    """Raise PreflightFailed for a key that Datadog refuses; one line on stderr for what could not be asked."""
    asked = {name: key for name, key in keys.items() if name in {API_KEY, APP_KEY}}
    if not asked:
        return
    stored = None
    if API_KEY not in asked:
        secret = settings.api_key_secret
        text = session.kubectl.secret_value(secret.name, secret.key)
        stored = Key(f"Secret `{secret.name}`", text) if text else None
    warnings = validating.validate(
        address(settings),
        settings.site or SITES[0],
        asked,
        api_key=stored,
        require=bool(options.get("require_validation")),
        find_site=bool(options.get("find_site")),
    )
    for line in warnings:
        console.problem(console.err(), line)
