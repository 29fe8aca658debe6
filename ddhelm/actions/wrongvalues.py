"""All that is wrong with the user's values at once: what their reading finds, and what the chart has to say of them.

The chart is asked for its keys last, because it may have to be pulled. Where a file is wrong by itself it is asked
all the same: whoever mends one problem of a file wants to see the others.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ddhelm import tree
from ddhelm.actions.charts import chart_of
from ddhelm.actions.request import Request, UserSources
from ddhelm.actions.session import Session
from ddhelm.chart import Chart
from ddhelm.errors import DdhelmError
from ddhelm.settings import Settings

if TYPE_CHECKING:
    from ddhelm.plan import Deployed
    from ddhelm.uservalues import Part, Problem


def refuse_misread(session: Session, request: Request, base: Settings, deployed: "Mapping[str, Deployed]") -> None:
    """ConfigError where files or flags are wrong by themselves, with what the chart has to say of them besides.

    ``base`` are the settings before this run's. Where the chart cannot be had the error says so.
    """
    parts = request.user.parts
    if not any(part.problems for part in parts):
        return
    from ddhelm import uservalues

    remark = ""
    try:
        wanted = replace(base, chart=request.given.get("chart") or base.chart)
        parts = _held_against(chart_of(session, request, wanted, deployed), request, ())
    except DdhelmError as error:
        remark = f"whether the chart knows the keys was not looked at: {error.message}"
    raise uservalues.error(parts, remark)


def refuse_unfit(chart: Chart, request: Request, base: Settings) -> None:
    """ConfigError with all of the user's values that do not fit this chart: keys of stored ones that it does not know,
    and of those of this run also texts where it has true or false.
    """
    stored = _stored(base, request.user)
    if not stored and not request.user.parts:
        return
    found = _held_against(chart, request, stored)
    if any(part.problems for part in found):
        from ddhelm import uservalues

        raise uservalues.error(found)


def _held_against(chart: Chart, request: Request, stored: "Sequence[Part]") -> "tuple[Part, ...]":
    """The stored parts and those of this run with a problem more for each value that does not fit the chart."""
    parts = [*stored, *_with_problems(request.user.parts, _texts_for_truths(chart, request.user.parts))]
    return tuple(parts if request.allow_unknown_values else _with_problems(parts, _unknown_keys(chart, parts)))


def _with_problems(parts: "Sequence[Part]", more: "Sequence[Sequence[Problem]]") -> "list[Part]":
    return [replace(part, problems=(*part.problems, *new)) for part, new in zip(parts, more, strict=True)]


def _unknown_keys(chart: Chart, parts: "Sequence[Part]") -> "list[list[Problem]]":
    from ddhelm import chartkeys
    from ddhelm.uservalues import Problem

    known = chartkeys.standing(chart.text("values.yaml"))
    for templates in (False, True):  # what takes longer is looked at only for a key that has not been found
        if any(chartkeys.unknown(part.tree, known) for part in parts):
            known = chartkeys.known(chart.files, templates=templates)
    return [
        [
            Problem(
                part.line(key.path),
                f"chart {chart.name} {chart.version} does not know `{tree.show(key.path)}`",
                f"did you mean `{key.suggestion}`? {_OTHERWISE}" if key.suggestion else _OTHERWISE,
                "unknown",
            )
            for key in chartkeys.unknown(part.tree, known)
        ]
        for part in parts
    ]


_OTHERWISE = "--allow-unknown-values sends it as it is"


def _texts_for_truths(chart: Chart, parts: "Sequence[Part]") -> "list[list[Problem]]":
    """Texts such as `no`, where the chart's own value is a boolean; it is read only if there is such a text at all."""
    from ddhelm import chartkeys, pitfalls
    from ddhelm.uservalues import Problem

    found = [
        [
            (path, pitfall)
            for path, value in tree.leaves(part.tree)
            if isinstance(value, str) and (pitfall := pitfalls.text_pitfall(value, path))
        ]
        for part in parts
    ]
    defaults = chartkeys.defaults(chart.text("values.yaml")) if any(found) else {}
    return [
        [
            Problem(part.line(path), pitfall.text, pitfall.hint)
            for path, pitfall in texts
            if isinstance(tree.get(defaults, path), bool)
        ]
        for part, texts in zip(parts, found, strict=True)
    ]


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
