"""What a command line asks for, and the settings that it makes of those that are stored."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import settings as settings_
from ddhelm import taints
from ddhelm.errors import ConfigError
from ddhelm.release import Role
from ddhelm.settings import Settings, UserLayers
from ddhelm.tree import Tree

if TYPE_CHECKING:
    from ddhelm.uservalues import Part, Source, UserValues


class UserSources(Struct, frozen=True, dict=True):
    """The user's value flags, per slot; a slot with a file replaces the stored layer, one without goes on top of it."""

    both: "tuple[Source, ...]" = ()
    worker: "tuple[Source, ...]" = ()
    control_plane: "tuple[Source, ...]" = ()

    @property
    def slots(self) -> "tuple[tuple[Source, ...], ...]":
        """In the order of the fields of ``settings.UserLayers``."""
        return self.both, self.worker, self.control_plane

    @cached_property
    def values(self) -> "tuple[UserValues | None, ...]":
        """What each slot says, read once; None for one without flags. Their problems stand in their parts."""
        if not any(self.slots):
            return (None,) * len(self.slots)
        from ddhelm import uservalues

        return tuple(uservalues.gather(sources) if sources else None for sources in self.slots)

    @property
    def parts(self) -> "tuple[Part, ...]":
        """Every file and flag as it was read."""
        return tuple(part for read in self.values if read for part in read.parts)


class Request(Struct, frozen=True):
    """What a command line asks for; ``given`` holds the settings whose flags were used (None: not used)."""

    given: Mapping[str, Any] = {}
    origins: Mapping[str, str] = {}
    """Where those of a settings file stand there; the others are of the command line."""
    user: UserSources = UserSources()
    chart: str | None = None
    version: str | None = None
    only: Role | None = None
    app_key: bool = False
    """Whether an application key is given: Secret `ddhelm` is to hold it, unless the settings name a Secret."""
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
    if any(part.problems for part in request.user.parts):
        from ddhelm import uservalues

        raise uservalues.error(request.user.parts)
    problems = [
        error
        for text in request.given.get("tolerate") or ()
        if (error := _problem(taints.parse_toleration, text)) is not None
    ]
    if problems:
        where, first = request.origins.get("tolerate"), problems[0]
        raise ConfigError(f"{where}: {first.message}", hint=first.hint, anchor=first.anchor) if where else first
    base = replace(base, user=_layers(base.user, request.user))
    given = request.given
    if request.app_key and base.app_key_secret is None:
        given = {"app_key_secret": settings_.DEFAULT_APP_KEY_SECRET, **given}
    return settings_.changed(base, given, "the command line", origins=request.origins)


def _problem(check: Callable[[str], object], text: str) -> ConfigError | None:
    try:
        check(text)
    except ConfigError as error:
        return error
    return None


def value_notes(request: Request) -> tuple[str, ...]:
    """Remarks on the values of the command line that are read as meant, but worth a line."""
    return tuple(note for read in request.user.values if read for note in read.notes)


def idle_values(user: UserSources, only: Role | None) -> tuple[str, ...]:
    """A line about values for the release that this run leaves alone: they do nothing now, but may be kept."""
    if only is None:
        return ()
    other = Role.CONTROL_PLANE if only is Role.WORKER else Role.WORKER
    sources = user.control_plane if only is Role.WORKER else user.worker
    flags = dict.fromkeys(source.flag or f"--{other}-values" for source in sources)
    if not flags:
        return ()
    return (f"{' and '.join(flags)}: without effect on the {only} release, and this run is about no other",)


def _layers(stored: UserLayers, user: UserSources) -> UserLayers:
    """The user's values: in each slot a file says all of it; without a file the flags go on top of what is stored."""
    return UserLayers(*map(_layer, (stored.both, stored.worker, stored.control_plane), user.slots, user.values))


def _layer(stored: Tree, sources: "tuple[Source, ...]", read: "UserValues | None") -> Tree:
    if read is None:
        return stored
    if any(source.kind == "file" for source in sources):
        return read.layer.tree
    from ddhelm import uservalues

    return uservalues.onto(stored, sources)
