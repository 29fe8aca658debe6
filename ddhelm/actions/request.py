"""What a command line asks for, and the settings that it makes of those that are stored."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import settings as settings_
from ddhelm import taints, tree
from ddhelm.errors import ConfigError
from ddhelm.release import Role
from ddhelm.settings import Settings, UserLayers

if TYPE_CHECKING:
    from ddhelm.uservalues import Source


class UserSources(Struct, frozen=True):
    """The user's value flags, per slot; a slot with a file replaces the stored layer, one without goes on top of it."""

    both: "tuple[Source, ...]" = ()
    worker: "tuple[Source, ...]" = ()
    control_plane: "tuple[Source, ...]" = ()


class Request(Struct, frozen=True):
    """What a command line asks for; ``given`` holds the settings whose flags were used (None: not used)."""

    given: Mapping[str, Any] = {}
    origins: Mapping[str, str] = {}
    """Where those of a settings file stand there; the others are of the command line."""
    user: UserSources = UserSources()
    chart: str | None = None
    version: str | None = None
    only: Role | None = None
    reset_settings: bool = False
    label_namespace: bool = False
    delete_crds: bool = False
    force_conflicts: bool = False
    allow_unknown_values: bool = False
    allow_downgrade: bool = False
    skip: tuple[str, ...] = ()
    exactly: Settings | None = None
    """Settings to take as they are, whatever is stored (a plan file's)."""


def settings_of(base: Settings, request: Request) -> Settings:
    """``base`` (stored settings, or the defaults) changed by what the command line gives; raises ConfigError."""
    user = UserLayers(
        *(
            _layer(stored, sources)
            for stored, sources in (
                (base.user.both, request.user.both),
                (base.user.worker, request.user.worker),
                (base.user.control_plane, request.user.control_plane),
            )
        )
    )
    problems = [
        error
        for text in request.given.get("tolerate") or ()
        if (error := _problem(taints.parse_toleration, text)) is not None
    ]
    if problems:
        where, first = request.origins.get("tolerate"), problems[0]
        raise ConfigError(f"{where}: {first.message}", hint=first.hint, anchor=first.anchor) if where else first
    return settings_.changed(replace(base, user=user), request.given, "the command line", origins=request.origins)


def _problem(check: Callable[[str], object], text: str) -> ConfigError | None:
    try:
        check(text)
    except ConfigError as error:
        return error
    return None


def value_notes(request: Request) -> tuple[str, ...]:
    """Remarks on the values of the command line that are read as meant, but worth a line."""
    sources = (*request.user.both, *request.user.worker, *request.user.control_plane)
    if not sources:
        return ()
    from ddhelm import uservalues

    return uservalues.read(sources).notes


def _layer(stored: tree.Tree, sources: "Sequence[Source]") -> tree.Tree:
    """A slot of the user's values: a file says all of it; without a file the flags go on top of what is stored."""
    if not sources:
        return stored
    from ddhelm import uservalues

    given = uservalues.parse(sources).tree
    return given if any(part.kind == "file" for part in sources) else tree.merge(stored, given)
