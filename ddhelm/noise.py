"""The one list of fields that change without meaning anything, so that a diff shows what matters.

Found by rendering the chart twice, and chart 3.221 against 3.240 (datadog chart, default values). Folded fields are
counted, and can be shown. They are noise for a reader only: a checksum in a pod template restarts pods, so what
restarts is always computed from the real ``spec.template``.
"""

from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from ddhelm.manifest import Object
from ddhelm.tree import Path, Tree


class Noise(Struct, frozen=True):
    """A field without meaning: ``key`` (a glob) in a ``section`` of objects of ``kinds`` (empty: all kinds)."""

    section: str
    key: str
    what: str
    where: str
    kinds: tuple[str, ...] = ()


NOISE = (
    Noise("labels", "helm.sh/chart", "names the chart version", "_helpers.tpl, on every object"),
    Noise("labels", "chart", "names the chart version", "agent-services.yaml, on the Services"),
    Noise("labels", "app.kubernetes.io/version", "names the app version", "_helpers.tpl, on every object"),
    Noise("labels", "app.kubernetes.io/managed-by", "added by Helm itself", "_helpers.tpl; Helm, on what it applies"),
    Noise(
        "annotations",
        "checksum/*",
        "repeats a change of another object",
        "pod templates and ConfigMaps",
    ),
    Noise("data", "install_id", "random in each render", "kpi-telemetry-configmap.yaml", ("ConfigMap",)),
    Noise("data", "install_time", "the time of the render", "kpi-telemetry-configmap.yaml", ("ConfigMap",)),
    Noise("data", "install_info", "names the chart version", "install_info-configmap.yaml", ("ConfigMap",)),
)
_METADATA = ("labels", "annotations")


def noise_at(kind: str, path: Path) -> Noise | None:
    """The entry of the list that makes a change at ``path`` of an object of ``kind`` meaningless, or None.

    Labels and annotations count wherever they are metadata: on the object and on a pod template.
    """
    if len(path) < 2:
        return None
    section, key = path[-2], path[-1]
    at_metadata = section in _METADATA and len(path) > 2 and path[-3] == "metadata"
    if not at_metadata and not (section == "data" and len(path) == 2):
        return None
    for noise in NOISE:
        if noise.section == section and (not noise.kinds or kind in noise.kinds) and fnmatchcase(str(key), noise.key):
            return noise
    return None


def without_noise(obj: Object) -> Tree:
    """The object's masked body without the fields of the list, for comparing; the body itself is left alone."""
    kind = obj.ref.kind
    return {key: _strip(kind, value, (key,)) for key, value in obj.body.items()}


def _strip(kind: str, value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return {
            key: _strip(kind, below, (*path, key))
            for key, below in value.items()
            if noise_at(kind, (*path, key)) is None
        }
    return [_strip(kind, item, (*path, at)) for at, item in enumerate(value)] if isinstance(value, list) else value
