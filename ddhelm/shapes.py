"""Whether rendered objects have the types that Kubernetes gives their fields, before anything reads them.

A chart copies the user's values into its objects as they are: ``agents.tolerations: 3`` becomes ``tolerations: 3``,
which the API server would refuse at the first write. Only fields that ddhelm itself looks at are held against a type;
what it does not know is left to the API server. Source: the Go types of Kubernetes 1.36 (core/v1, apps/v1).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ddhelm.errors import ConfigError
from ddhelm.manifest import Manifest, Object
from ddhelm.release import Role
from ddhelm.tree import Path, show

TEXT, NUMBER, FLAG = "a text", "a whole number", "true or false"
_WORDS = {bool: FLAG, str: TEXT, int: NUMBER, float: "a number", list: "a list", dict: "a map"}
_EACH: Final = "*"
"""The key of a map whose keys are free: labels, data."""

Shape = str | list[Any] | dict[str, Any]
"""A word for a scalar, a list with the shape of its elements, or a map with the shapes of the keys that matter."""

_TEXTS: Shape = {_EACH: TEXT}
_METADATA: Shape = {"labels": _TEXTS, "annotations": _TEXTS}
_EXPRESSIONS: Shape = [{"key": TEXT, "operator": TEXT, "values": [TEXT]}]
_SELECTOR: Shape = {"matchLabels": _TEXTS, "matchExpressions": _EXPRESSIONS}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PROFILE: Shape = {"type": TEXT}
_CONTEXT: Shape = {
    "seLinuxOptions": _TEXTS, "seccompProfile": _PROFILE, "appArmorProfile": _PROFILE,
    "windowsOptions": {"hostProcess": FLAG}, "runAsUser": NUMBER, "runAsNonRoot": FLAG, "privileged": FLAG,
    "allowPrivilegeEscalation": FLAG, "procMount": TEXT, "capabilities": {"add": [TEXT], "drop": [TEXT]},
    "sysctls": [{"name": TEXT, "value": TEXT}],
}  # fmt: skip
_HANDLER: Shape = {"httpGet": {"host": TEXT}, "tcpSocket": {"host": TEXT}}
_REFERENCE: Shape = {"name": TEXT, "key": TEXT, "optional": FLAG}
_CONTAINER: Shape = {
    "name": TEXT, "image": TEXT, "command": [TEXT], "args": [TEXT], "restartPolicy": TEXT,
    "env": [{"name": TEXT, "value": TEXT, "valueFrom": {"secretKeyRef": _REFERENCE, "configMapKeyRef": _REFERENCE}}],
    "envFrom": [{"secretRef": _REFERENCE, "configMapRef": _REFERENCE}],
    "ports": [{"name": TEXT, "hostPort": NUMBER, "containerPort": NUMBER, "protocol": TEXT, "hostIP": TEXT}],
    "volumeMounts": [{"name": TEXT, "mountPath": TEXT, "subPath": TEXT, "readOnly": FLAG}],
    "securityContext": _CONTEXT, "lifecycle": {"postStart": _HANDLER, "preStop": _HANDLER},
    "livenessProbe": _HANDLER, "readinessProbe": _HANDLER, "startupProbe": _HANDLER,
}  # fmt: skip
_FILES: Shape = [{"key": TEXT, "path": TEXT}]
_SOURCE: Shape = {"name": TEXT, "secretName": TEXT, "items": _FILES, "optional": FLAG}
_VOLUME: Shape = {
    "name": TEXT, "hostPath": {"path": TEXT, "type": TEXT}, "secret": _SOURCE, "configMap": _SOURCE,
    "projected": {"sources": [{"secret": _SOURCE, "configMap": _SOURCE}]},
}  # fmt: skip
_POD: Shape = {
    "containers": [_CONTAINER], "initContainers": [_CONTAINER], "volumes": [_VOLUME], "nodeSelector": _TEXTS,
    "nodeName": TEXT, "priorityClassName": TEXT, "serviceAccountName": TEXT, "hostNetwork": FLAG, "hostPID": FLAG,
    "hostIPC": FLAG, "automountServiceAccountToken": FLAG, "imagePullSecrets": [{"name": TEXT}],
    "tolerations": [{"key": TEXT, "operator": TEXT, "value": TEXT, "effect": TEXT}],
    "affinity": {
        "nodeAffinity": {
            _REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": _EXPRESSIONS, "matchFields": _EXPRESSIONS}]}
        },
        "podAntiAffinity": {_REQUIRED: [{"labelSelector": _SELECTOR, "topologyKey": TEXT}]},
    },
    "securityContext": _CONTEXT,
}  # fmt: skip
_WORKLOAD: Shape = {
    "metadata": _METADATA,
    "spec": {"replicas": NUMBER, "selector": _SELECTOR, "template": {"metadata": _METADATA, "spec": _POD}},
}
_KINDS: Mapping[str, Shape] = {
    **dict.fromkeys(("DaemonSet", "Deployment", "StatefulSet", "Job"), _WORKLOAD),
    "ConfigMap": {"metadata": _METADATA, "data": _TEXTS, "binaryData": _TEXTS},
    "Secret": {"metadata": _METADATA, "data": _TEXTS, "stringData": _TEXTS},
    "Service": {"metadata": _METADATA, "spec": {"selector": _TEXTS, "ports": [{"name": TEXT, "port": NUMBER}]}},
}
# Nine tenths of a render, never parsed for this: no value of the user's reaches them.
_UNREAD = frozenset({"CustomResourceDefinition"})
_OTHER: Shape = {"metadata": _METADATA}


def refuse_wrong(manifests: Iterable[tuple[Role, str, Manifest]]) -> None:
    """ConfigError with every field of the rendered releases (role, name, manifest) that has the wrong type."""
    found = [(role, f"release `{name}`: {line}") for role, name, manifest in manifests for line in wrong(manifest)]
    if not found:
        return
    role, first = found[0]
    raise ConfigError(
        first + (f" ({len(found)} such fields)" if len(found) > 1 else ""),
        hint=f"mend the value behind it; ddhelm values {role} --explain shows who set what",
        anchor="wrong-type",
        details=[line for _, line in found] if len(found) > 1 else (),
    )


def wrong(manifest: Manifest) -> Iterator[str]:
    """A line for each field of a wrong type: which object, which field, what it is, what it should be.

    The value itself is not shown: it may stand in the wrong place because it is a secret.
    """
    for obj in manifest.objects.values():
        for path, value, shape in _misfits(obj):
            yield f"`{show(path)}` of {obj.ref} is {_kind_of(value)}, not {_wanted(shape)}"


def _misfits(obj: Object) -> Iterator[tuple[Path, Any, Shape]]:
    if obj.ref.kind not in _UNREAD:
        yield from _walk(obj.unmasked(), _KINDS.get(obj.ref.kind, _OTHER), ())


def _walk(value: Any, shape: Shape, path: Path) -> Iterator[tuple[Path, Any, Shape]]:
    """What does not fit; null is nothing, as in the API, but no element of a list of maps."""
    if value is None and not (isinstance(shape, dict) and path and isinstance(path[-1], int)):
        return
    if isinstance(shape, dict) and isinstance(value, dict):
        every = shape.get(_EACH)
        for key, below in value.items():
            inner = every or shape.get(key)
            # most values are scalars of the right type: no call for them
            if inner is not None and _WORDS.get(type(below)) != inner:
                yield from _walk(below, inner, (*path, key))
    elif isinstance(shape, list) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, shape[0], (*path, index))
    elif not isinstance(shape, str) or not _fits(value, shape):
        yield path, value, shape


def _fits(value: Any, word: str) -> bool:
    if word == NUMBER and isinstance(value, float):
        return value.is_integer()
    return _kind_of(value) == word


def _kind_of(value: Any) -> str:
    return _WORDS.get(type(value), "null")


def _wanted(shape: Shape) -> str:
    return shape if isinstance(shape, str) else "a list" if isinstance(shape, list) else "a map"
