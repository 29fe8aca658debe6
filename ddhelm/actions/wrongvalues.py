"""All that is wrong with the user's values at once: what their reading finds, and what the chart has to say of them.

The chart is asked for its keys last, because it may have to be pulled. Where a file is wrong by itself it is asked
all the same: whoever mends one problem of a file wants to see the others.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ddhelm import tree
from ddhelm.actions.rendering import chart_of
from ddhelm.actions.request import Request, UserSources
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.errors import DdhelmError
from ddhelm.plan import Deployed
from ddhelm.settings import Settings

if TYPE_CHECKING:
    from ddhelm.uservalues import Part


def refuse_misread(session: Session, request: Request, base: Settings, deployed: Mapping[str, Deployed]) -> None:
    """ConfigError where files or flags are wrong by themselves, with the keys that the chart does not know besides.

    ``base`` are the settings before this run's. Where the chart cannot be had the error says so.
    """
    parts = request.user.parts
    if not any(part.problems for part in parts):
        return
    from ddhelm import uservalues

    remark = ""
    if not request.allow_unknown_values:
        try:
            wanted = replace(base, chart=request.given.get("chart") or base.chart)
            parts = held_against(chart_of(session, request, wanted, deployed), parts)
        except DdhelmError as error:
            remark = f"whether the chart knows the keys was not looked at: {error.message}"
    raise uservalues.error(parts, remark)


def refuse_unknown_keys(chart: Chart, request: Request, base: Settings) -> None:
    """ConfigError with every key of the user's values, the stored ones included, that this chart does not know."""
    parts = (*_stored(base, request.user), *request.user.parts)
    if request.allow_unknown_values or not parts:
        return
    found = held_against(chart, parts)
    if any(part.problems for part in found):
        from ddhelm import uservalues

        raise uservalues.error(found)


def held_against(chart: Chart, parts: "Sequence[Part]") -> "tuple[Part, ...]":
    """The parts with a problem more for each key that the chart does not know."""
    from ddhelm import chartkeys
    from ddhelm.uservalues import Problem

    known = chartkeys.known(chart.files, templates=False)
    if any(chartkeys.unknown(part.tree, known) for part in parts):
        known = chartkeys.known(chart.files)
    return tuple(
        replace(
            part,
            problems=(
                *part.problems,
                *(
                    Problem(
                        part.line(key.path),
                        f"chart {chart.name} {chart.version} does not know `{tree.show(key.path)}`",
                        f"did you mean `{key.suggestion}`? {_OTHERWISE}" if key.suggestion else _OTHERWISE,
                        "unknown",
                    )
                    for key in chartkeys.unknown(part.tree, known)
                ),
            ),
        )
        for part in parts
    )


_OTHERWISE = "--allow-unknown-values sends it as it is"


def _stored(base: Settings, user: UserSources) -> "tuple[Part, ...]":
    """What earlier runs left and this one does not replace by a file."""
    kept = {
        "values": base.user.both,
        "worker values": base.user.worker,
        "control-plane values": base.user.control_plane,
    }
    if not any(kept.values()):
        return ()
    from ddhelm.uservalues import Part

    origin = base.origins.get("user", "")
    return tuple(
        Part(f"{name} {origin}".strip(), layer)
        for (name, layer), sources in zip(kept.items(), user.slots, strict=True)
        if layer and not any(source.kind == "file" for source in sources)
    )
