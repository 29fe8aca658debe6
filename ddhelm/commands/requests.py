"""The request that the flags of a command make together, with every file that they name read."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ddhelm import wholefile
from ddhelm.errors import ConfigError
from ddhelm.flaggroups import Options
from ddhelm.pasting import typed

if TYPE_CHECKING:
    from ddhelm.actions.request import Request, UserSources
    from ddhelm.uservalues import Source


def user_sources(options: Options) -> "UserSources":
    """The user's value flags of a command, with every file read; ConfigError for one that cannot be read."""
    from ddhelm.actions.request import UserSources

    both = (
        *_files(options.get("values")),
        *_plain("set-json", options.get("set_json")),
        *_plain("set", options.get("set_")),
        *_plain("set-string", options.get("set_string")),
        *_set_files(options.get("set_file")),
    )
    return UserSources(
        both,
        (*_files(options.get("worker_values")), *_plain("set", options.get("worker_set"), "--worker-set")),
        (
            *_files(options.get("control_plane_values")),
            *_plain("set", options.get("control_plane_set"), "--control-plane-set"),
        ),
    )


SETTING_FLAGS = (
    "site",
    "api_url",
    "agent_proxy",
    "agent_no_proxy",
    "cluster_name",
    "distribution",
    "logs",
    "processes",
    "apm",
    "apm_control_plane",
    "tolerate",
    "accept_uncovered",
    "require_coverage",
    "allow_second_agent",
    "drop_checks",
    "etcd_secret",
)


def request(options: Options) -> "Request":
    """One request from the options of a command (a mapping of its parameters), settings file included."""
    from ddhelm import settings
    from ddhelm.actions.request import Request

    given: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if options.get("config"):
        from ddhelm.actions import configfile

        given, origins = configfile.read(options["config"])
    for name in SETTING_FLAGS:
        value = options.get(name)
        if value is not None:
            given[name] = tuple(value) if isinstance(value, list) else value
            origins.pop(name, None)
    if options.get("no_etcd_secret"):
        given["etcd_secret"] = ""
        origins.pop("etcd_secret", None)
    if given.get("site") is not None:
        given["site"] = settings.site_of(given["site"])
    if given.get("agent_proxy") == "env":
        proxy, left_out = _proxy_of_this_machine()
        given["agent_proxy"] = proxy
        if given.get("agent_no_proxy") != ("none",):
            given["agent_no_proxy"] = tuple(dict.fromkeys((*given.get("agent_no_proxy", ()), *left_out)))
            origins.pop("agent_no_proxy", None)  # those of a settings file were found to be right there
    for flag, key in (("api_key_secret", "api-key"), ("app_key_secret", "app-key")):
        if options.get(flag):
            given[flag] = settings.SecretKey(options[flag], key)
            origins.pop(flag, None)
    return Request(
        given=given,
        origins=origins,
        user=user_sources(options),
        chart=options.get("chart"),
        version=options.get("version"),
        only=options.get("only"),
        app_key=any(map(options.get, ("app_key_file", "app_key_command", "app_key_in_environment"))),
        reset_settings=bool(options.get("reset_settings")),
        label_namespace=bool(options.get("label_namespace")),
        delete_crds=bool(options.get("delete_crds")),
        force_conflicts=bool(options.get("force_conflicts")),
        allow_unknown_values=bool(options.get("allow_unknown_values")),
        allow_downgrade=bool(options.get("allow_downgrade")),
        skip=tuple(options.get("skip") or ()),
    )


def of_onboard(options: Options) -> "Request":
    """The same for `onboard` and for what shows what it would do: `DD_APP_KEY` counts as a key that is given."""
    return request({**options, "app_key_in_environment": bool(os.environ.get("DD_APP_KEY"))})


def _proxy_of_this_machine() -> tuple[str, tuple[str, ...]]:
    """The proxy of this machine, and what it leaves out; ConfigError where it has none."""
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if not proxy:
        raise ConfigError(
            "`--agent-proxy env` takes HTTPS_PROXY of this machine, and it is not set",
            hint="--agent-proxy http://HOST:PORT",
            anchor="wrong-setting",
        )
    left_out = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return proxy, tuple(left_out.replace(",", " ").split())


def _files(names: Sequence[str] | None) -> "list[Source]":
    if not names:
        return []
    from ddhelm.uservalues import Source

    return [Source("file", name, _read(name)) for name in names]


def _plain(
    kind: 'Literal["set", "set-string", "set-json"]', arguments: Sequence[str] | None, flag: str = ""
) -> "list[Source]":
    if not arguments:
        return []
    from ddhelm.uservalues import Source

    return [Source(kind, argument, flag=flag) for argument in arguments]


def _set_files(arguments: Sequence[str] | None) -> "list[Source]":
    if not arguments:
        return []
    from ddhelm.uservalues import Source, set_file_paths

    return [
        Source("set-file", argument, files={path: _text(path) for path in set_file_paths(argument)})
        for argument in arguments
    ]


_LIMIT = 20 * 1024 * 1024


def _text(name: str) -> str:
    try:
        return _read(name).decode()
    except UnicodeDecodeError:
        raise ConfigError(
            f"`{name}` is not UTF-8 text", hint=typed("file {name}", name=name), anchor="values-file"
        ) from None


def _read(name: str) -> bytes:
    """A file's bytes, or those of standard input; what they hold is judged where they are parsed."""
    if "://" in name:
        raise ConfigError(
            f"`{name}` is a URL; values come from files",
            hint=typed("curl -fsSLO {name}", name=name),
            anchor="values-from-url",
        )
    try:
        return wholefile.read(name, _LIMIT)
    except OSError as error:
        raise ConfigError(
            f"values file `{name}` cannot be read: {error.strerror}",
            hint=typed("ls -l {path}", path=wholefile.spelled(name)),
            anchor="values-file",
        ) from None
