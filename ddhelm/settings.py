"""What the user wants, each setting with its origin, and how it is kept between runs.

Settings and the user's layer are stored in each release's own values under the key ``ddhelm``, which the chart
ignores (rendered with and without it: identical from chart 3.60 to 3.240), so they roll back with the revision.
Secrets are never part of them: values only name the Secret.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ddhelm.errors import ConfigError
from ddhelm.release import API_KEY, APP_KEY, DEFAULT_REPOSITORY, SECRET, Role
from ddhelm.tree import Tree, is_utf8, merge

FORMAT = 1
RECORD_KEY = "ddhelm"
CHECKS = ("kube_apiserver_metrics", "kube_scheduler", "kube_controller_manager", "etcd")
SITES = (
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "datadoghq.eu",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "uk1.datadoghq.com",
    "ddog-gov.com",
    "us2.ddog-gov.com",
)
CLUSTER_NAME = re.compile(r"([a-z0-9]([a-z0-9\-_]*[a-z0-9])?\.)*([a-z0-9]([a-z0-9\-_]*[a-z0-9])?)")
CLUSTER_NAME_LIMIT = 80
_REGION = re.compile(r"(^|\.)[a-z]{2,3}[0-9]+\.$")
"""How Datadog names the part of the world in front of a domain, such as `us5.` or `app.ap1.`."""
_NOWHERE: Mapping[str, str] = MappingProxyType({})
_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class SecretKey(Struct, frozen=True):
    """One key of one Secret in the releases' namespace."""

    name: str
    key: str


class UserLayers(Struct, frozen=True):
    """The user's own values: for both releases and for one."""

    both: Tree = {}
    worker: Tree = {}
    control_plane: Tree = {}

    def of(self, role: Role) -> Tree:
        """The values for one release; those for one release go over those for both."""
        return merge(self.both, self.worker if role is Role.WORKER else self.control_plane)


class Settings(Struct, frozen=True):
    """Everything a user can decide, without secrets. ``origins`` says where each field that is no default came from."""

    site: str | None = None
    cluster_name: str | None = None
    distribution: str | None = None
    logs: bool = True
    processes: bool = True
    apm: bool = True
    apm_control_plane: bool = False
    tolerate: tuple[str, ...] = ()
    accept_uncovered: tuple[str, ...] = ()
    require_coverage: bool = False
    allow_second_agent: bool = False
    drop_checks: tuple[str, ...] = ()
    api_url: str | None = None
    agent_proxy: str | None = None
    agent_no_proxy: tuple[str, ...] = ()
    api_key_secret: SecretKey = SecretKey(SECRET, API_KEY)
    app_key_secret: SecretKey | None = None
    etcd_secret: str | None = None
    chart: str = DEFAULT_REPOSITORY
    user: UserLayers = UserLayers()
    origins: Mapping[str, str] = {}


_PLAIN = tuple(
    name for name in Settings.__struct_fields__ if name not in {"user", "origins", "api_key_secret", "app_key_secret"}
)
_LISTS = ("agent_no_proxy", "tolerate", "accept_uncovered", "drop_checks")
_NONE = "none"
_TAKE_BACK = {"etcd_secret": "", "agent_proxy": _NONE}
"""What a flag says to have nothing again; a list says `none` alone. A cluster may be called `none`."""


def to_record(settings: Settings) -> Tree:
    """The tree that is stored with a release; only what differs from the defaults, so that defaults can improve."""
    default = Settings()
    plain = {
        name: list(value) if isinstance(value, tuple) else value
        for name in _PLAIN
        if (value := getattr(settings, name)) != getattr(default, name)
    }
    if settings.api_key_secret != default.api_key_secret:
        plain["api_key_secret"] = _secret_tree(settings.api_key_secret)
    if settings.app_key_secret is not None:
        plain["app_key_secret"] = _secret_tree(settings.app_key_secret)
    user = {
        "both": settings.user.both,
        "worker": settings.user.worker,
        "control-plane": settings.user.control_plane,
    }
    return {"settings": plain, "user": {slot: tree for slot, tree in user.items() if tree}}


def from_record(record: Mapping[str, Any], origin: str) -> Settings:
    """The settings that ``to_record`` stored, each field given ``origin``.

    Unknown fields are ignored (a newer ddhelm wrote them); a record of a newer format raises ConfigError.
    """
    if int(record.get("format", FORMAT)) > FORMAT:
        raise ConfigError(
            f"the settings stored with the release have format {record['format']}, this ddhelm reads up to {FORMAT}",
            hint="upgrade ddhelm to the version that wrote them",
            anchor="newer-record",
        )
    stored = record.get("settings") or {}
    given: dict[str, Any] = {
        name: tuple(value) if name in _LISTS else value for name in _PLAIN if (value := stored.get(name)) is not None
    }
    for name in ("api_key_secret", "app_key_secret"):
        if secret := stored.get(name):
            given[name] = SecretKey(secret["name"], secret["key"])
    user = record.get("user") or {}
    layers = UserLayers(user.get("both") or {}, user.get("worker") or {}, user.get("control-plane") or {})
    return Settings(**given, user=layers, origins=dict.fromkeys([*given, *(["user"] if user else [])], origin))


def changed(
    base: Settings,
    given: Mapping[str, Any],
    origin: str,
    *,
    origins: Mapping[str, str] = _NOWHERE,
    hint: str = "ddhelm onboard --help",
) -> Settings:
    """``base`` with the fields of ``given`` that are not None, which take ``origin``; raises ConfigError.

    ``origins`` says of some of them that they stand elsewhere (a file and its line), which a problem names.

    A list given replaces the stored list: the command line says what shall be, not what is added; ``none`` alone is
    the empty one. ``hint`` is that of the error.
    """
    new = _meant(given)
    settings = replace(base, **new, origins={**base.origins, **{name: origins.get(name, origin) for name in new}})
    problems = [f"{origins[name]}: {text}" if name in origins else text for name, text in _problems(settings)]
    if problems:
        raise ConfigError(
            problems[0] if len(problems) == 1 else f"{len(problems)} settings are wrong",
            hint=hint,
            anchor="wrong-setting",
            details=() if len(problems) == 1 else problems,
        )
    return settings


def wrong(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Of settings as a file gives them: each field that ``changed`` would refuse, and what is wrong with it."""
    known = _meant(given)
    if "site" in known:
        known["site"] = site_of(known["site"])
    if known.get("agent_proxy") == "env":
        del known["agent_proxy"]
    return tuple(_problems(Settings(**known)))


def _meant(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, by field, with the words that take back what there was as what they mean."""
    new = {name: value for name, value in given.items() if value is not None}
    new |= {name: () for name in _LISTS if new.get(name) == (_NONE,)}
    return new | {name: None for name, word in _TAKE_BACK.items() if new.get(name) == word}


def api_of(settings: Settings) -> str:
    """Where Datadog's API answers: `--api-url`, else the host that Datadog documents for the site."""
    return settings.api_url or f"https://api.{settings.site or SITES[0]}"


def unproven(before: Settings | None, now: Settings) -> tuple[str, ...]:
    """The keys, by their names in a Secret, that Datadog never saw as they are used now; ``before``: None, all of them.

    A key is another one where its Secret is, and says nothing where Datadog is asked at another address.
    """
    anew = before is None or api_of(before) != api_of(now)
    found = []
    if anew or before is None or before.api_key_secret != now.api_key_secret:
        found.append(API_KEY)
    if now.app_key_secret is not None and (anew or before is None or before.app_key_secret != now.app_key_secret):
        found.append(APP_KEY)
    return tuple(found)


def api_problem(url: str) -> str:
    """What is wrong with the address of an API; empty if nothing is. Keys go there: it must be HTTPS."""
    if re.fullmatch(r"https://[^\s/@?#]+(/[^\s@?#]*)?", url) and _names_a_host(url):
        return ""
    return f"`{re.sub(r'//[^/]*@', '//***@', url)}` is no address of an API: `https://HOST[:PORT][/PATH]`"


def _names_a_host(url: str) -> bool:
    """Whether a host and, if any, a port that can be is in it: `[::1` and `host:port` look like addresses, too."""
    from urllib.parse import urlsplit  # here: few runs name an address

    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def proxy_problem(url: str) -> str:
    """What is wrong with a proxy for the agents; empty if nothing is. Values are no place for its password."""
    if re.fullmatch(r"https?://[^\s/@?#]+/?", url) and _names_a_host(url):
        return ""
    if "@" in url:
        return (
            "a proxy with a user and a password is a secret, and values are kept in the release's history: put "
            "`DD_PROXY_HTTPS` into a Secret of yours and name it in `datadog.envFrom` and `clusterAgent.envFrom`"
        )
    return f"`{url}` is no proxy: `http://HOST:PORT`"


def site_of(text: str) -> str:
    """A Datadog site from what people paste: `https://app.datadoghq.eu/…`, `us5.datadoghq.com`, `EU`, `gov`.

    Sites, short names and custom domains of organisations (`demo.datadoghq.com`): Datadog's documentation, "Getting
    started with Datadog sites". What is named like a site that is not known here (`us7.datadoghq.com`) stays as it is.
    """
    short = {"us": SITES[0], "us1": SITES[0], "us3": SITES[1], "us5": SITES[2], "eu": SITES[3], "eu1": SITES[3]}
    short |= {
        "ap1": SITES[4],
        "ap2": SITES[5],
        "uk1": SITES[6],
        "gov": SITES[7],
        "us1-fed": SITES[7],
        "us2-fed": SITES[8],
    }
    text = text.strip().lower()
    if text in short:
        return short[text]
    host = re.sub(r"^[a-z]+://", "", text).split("/")[0].split(":")[0].rstrip(".")
    for site in sorted(SITES, key=len, reverse=True):
        before = host.removesuffix(site)
        if host == site or (before != host and before.endswith(".") and not _REGION.search(before)):
            return site
    return host or text


def _problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """The field and what is wrong with it."""
    if broken := [name for name in _PLAIN if not is_utf8(getattr(settings, name))]:
        yield from ((name, f"`{name.replace('_', '-')}` is not UTF-8") for name in broken)
        return
    if settings.cluster_name is not None and (problem := _cluster_name_problem(settings.cluster_name)):
        yield "cluster_name", problem
    if settings.site is not None and not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", settings.site):
        yield "site", f"`{settings.site}` is no Datadog site; sites are {', '.join(SITES)}"
    for field in ("etcd_secret", "api_key_secret", "app_key_secret"):
        secret = getattr(settings, field)
        name = secret.name if isinstance(secret, SecretKey) else secret
        if name is not None and not re.fullmatch(_OBJECT_NAME, name):
            yield field, f"`{name}` cannot be the name of a Secret"
    if settings.agent_proxy is not None and (problem := proxy_problem(settings.agent_proxy)):
        yield "agent_proxy", problem
    for host in settings.agent_no_proxy:
        if not re.fullmatch(r"[\w.*:/-]+", host):
            yield "agent_no_proxy", f"`{host}` is no host, domain or network that a proxy can be left out for"
    if settings.api_url is not None and (problem := api_problem(settings.api_url)):
        yield "api_url", problem
    yield from _list_problems(settings)


def _list_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    for field in _LISTS:
        if _NONE in (given := getattr(settings, field)) and len(given) > 1:
            yield field, f"`none` takes back every `{field.replace('_', '-')}` and stands alone"
    for check in settings.drop_checks:
        if check not in {*CHECKS, _NONE}:
            yield "drop_checks", f"`{check}` is no control-plane check; checks are {', '.join(CHECKS)}"


def _cluster_name_problem(name: str) -> str:
    if len(name) > CLUSTER_NAME_LIMIT:
        return f"the cluster name `{name[:20]}…` has {len(name)} characters, the chart takes {CLUSTER_NAME_LIMIT}"
    if CLUSTER_NAME.fullmatch(name):
        return ""
    return (
        f"the chart refuses the cluster name `{name}`: lower-case letters, digits, `-`, `_` and dots, "
        "each part beginning and ending with a letter or digit"
    )


def _secret_tree(secret: SecretKey) -> Tree:
    return {"name": secret.name, "key": secret.key}


DEFAULT_APP_KEY_SECRET = SecretKey(SECRET, APP_KEY)
