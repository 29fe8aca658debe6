"""Values of the wrong type: named before anything reads them, and never a traceback behind that."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ddhelm import shapes
from ddhelm.coverage import schedulable
from ddhelm.errors import ConfigError
from ddhelm.proof import run as prove
from ddhelm.release import Role
from ddhelm.steps import object_changes, restarts
from ddhelm.tree import Path, Tree, show
from tests.unit.clusters import CONTROL, WORKER
from tests.unit.pairs import NODES, change, context, control_plane_objects, manifest, worker_objects

AGENT: Path = ("spec", "template", "spec")
PLANTED: tuple[Any, ...] = (5, True, "x", [5], [None], [[]], {"x": 5}, None)
PROFILES = {"seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "RuntimeDefault"}}
SECRET = {"secretKeyRef": {"name": "ddhelm", "key": "api-key", "optional": True}}
RICH = {
    "name": "init",
    "restartPolicy": "Always",
    "command": ["sh"],
    "args": ["-c"],
    "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": SECRET}],
    "envFrom": [{"secretRef": {"name": "ddhelm", "optional": True}}],
    "ports": [{"containerPort": 8125, "hostPort": 8125, "hostIP": "127.0.0.1", "protocol": "UDP"}],
    "volumeMounts": [{"name": "run", "mountPath": "/var/run/datadog", "subPath": "a", "readOnly": False}],
    "securityContext": {
        "privileged": True,
        "procMount": "Default",
        "runAsUser": 0,
        "runAsNonRoot": False,
        "allowPrivilegeEscalation": False,
        "seLinuxOptions": {"type": "container_t"},
        "capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]},
        "windowsOptions": {"hostProcess": False},
        **PROFILES,
    },
    "livenessProbe": {"httpGet": {"host": "a", "port": 1}, "tcpSocket": {"host": "a"}},
    "lifecycle": {"preStop": {"httpGet": {"host": "a"}}},
}
VOLUMES = [
    {"name": "s", "secret": {"secretName": "ddhelm", "items": [{"key": "token", "path": "t"}], "optional": True}},
    {"name": "p", "projected": {"sources": [{"secret": {"name": "ddhelm", "items": [{"key": "token"}]}}]}},
]
POD = {
    "initContainers": [RICH],
    "securityContext": {"sysctls": [{"name": "a", "value": "b"}], "runAsUser": 1, "runAsNonRoot": True, **PROFILES},
    "hostPID": True,
    "automountServiceAccountToken": False,
    "tolerations": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}],
}


def rich(objects: dict[str, Tree], which: str) -> dict[str, Tree]:
    """The objects with more of the fields that something looks at."""
    pod = {**objects[which]["spec"]["template"]["spec"], **copy.deepcopy(POD)}
    pod["volumes"] = [*pod.get("volumes", []), *copy.deepcopy(VOLUMES)]
    changed = change(objects, which, AGENT, pod)
    changed = change(changed, which, ("metadata", "annotations"), {"a": "b"})
    return change(changed, which, ("spec", "template", "metadata", "annotations"), {"a": "b"})


WORKER_OBJECTS, CONTROL_OBJECTS = rich(worker_objects(), "agent"), control_plane_objects()


def paths(tree: Any, path: Path = ()) -> Iterator[Path]:
    """Every path of a tree below its name, inner ones too."""
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in below:
        if (*path, key)[0] not in ("apiVersion", "kind") and (*path, key) not in (("metadata",), ("metadata", "name")):
            yield (*path, key)
            yield from paths(value, (*path, key))


def everything(worker: dict[str, Tree], control: dict[str, Tree]) -> None:
    """All that the core makes of two rendered releases."""
    state = {"namespace_labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    made = context(worker, control, installed=True, state=state)
    prove(made)
    for release in made.releases:
        assert release.stored is not None
        object_changes(release.stored, release.manifest)
        restarts(release.stored, release.manifest)
        for obj in release.cluster_agents():
            schedulable(obj.body["spec"]["template"]["spec"], NODES)


def refused(objects: dict[str, Tree], name: str = WORKER) -> list[str]:
    """The lines of the refusal, none where there is none."""
    try:
        shapes.refuse_wrong([(Role.WORKER, name, manifest(objects))])
    except ConfigError as error:
        return list(error.details) or [error.message]
    return []


def test_what_the_chart_renders_is_not_refused() -> None:
    assert refused(WORKER_OBJECTS) == refused(CONTROL_OBJECTS) == []
    everything(WORKER_OBJECTS, CONTROL_OBJECTS)


@pytest.mark.parametrize(
    ("which", "objects", "run"),
    [
        ("agent", WORKER_OBJECTS, lambda planted: everything(planted, CONTROL_OBJECTS)),
        ("cluster-agent", WORKER_OBJECTS, lambda planted: everything(planted, CONTROL_OBJECTS)),
        ("service", WORKER_OBJECTS, lambda planted: everything(planted, CONTROL_OBJECTS)),
        ("agent", CONTROL_OBJECTS, lambda planted: everything(WORKER_OBJECTS, planted)),
        ("confd", CONTROL_OBJECTS, lambda planted: everything(WORKER_OBJECTS, planted)),
    ],
    ids=["worker-agent", "cluster-agent", "service", "control-plane-agent", "confd"],
)
def test_whatever_stands_anywhere_is_named_or_harmless(
    which: str, objects: dict[str, Tree], run: Callable[[dict[str, Tree]], None]
) -> None:
    broken: dict[str, str] = {}
    for path in paths(objects[which]):
        for value in PLANTED:
            planted = change(objects, which, path, value)
            if refused(planted):
                continue
            try:
                run(planted)
            except Exception as error:
                broken.setdefault(f"{show(path)}: {value!r}", f"{type(error).__name__}: {error}")
    assert not broken


@pytest.mark.parametrize(
    ("which", "path", "value", "says"),
    [
        ("agent", (*AGENT, "tolerations"), 3, "`spec.template.spec.tolerations` of DaemonSet {name} is a whole number"),
        ("agent", (*AGENT, "tolerations", 0), None, "`spec.template.spec.tolerations[0]` of DaemonSet {name} is null"),
        ("agent", (*AGENT, "priorityClassName"), 3, "`spec.template.spec.priorityClassName` of DaemonSet {name} is a"),
        ("cluster-agent", ("spec", "replicas"), "abc", "`spec.replicas` of Deployment {name} is a text, not a whole"),
        ("role", ("metadata", "labels"), ["x"], "`metadata.labels` of ClusterRole {name} is a list, not a map"),
    ],
)
def test_a_wrong_type_is_named_with_release_object_and_field(which: str, path: Path, value: Any, says: str) -> None:
    planted = change(WORKER_OBJECTS, which, path, value)
    with pytest.raises(ConfigError) as raised:
        shapes.refuse_wrong([(Role.WORKER, WORKER, manifest(planted)), (Role.CONTROL_PLANE, CONTROL, manifest({}))])
    (obj,) = (o for o in manifest(planted).objects.values() if o.ref.name == planted[which]["metadata"]["name"]
              and o.ref.kind == planted[which]["kind"])  # fmt: skip
    assert raised.value.message.startswith(f"release `{WORKER}`: {says.format(name=str(obj.ref).split()[1])}")
    assert (raised.value.exit_code, raised.value.anchor) == (3, "wrong-type")
    assert "ddhelm values worker --explain" in raised.value.hint


def test_all_wrong_fields_of_both_releases_are_listed_and_no_value_is_shown() -> None:
    worker = change(WORKER_OBJECTS, "agent", ("metadata", "annotations", "a"), 31415926)
    control = change(CONTROL_OBJECTS, "confd", ("data",), 31415926)
    with pytest.raises(ConfigError) as raised:
        shapes.refuse_wrong([(Role.WORKER, WORKER, manifest(worker)), (Role.CONTROL_PLANE, CONTROL, manifest(control))])
    assert len(raised.value.details) == 2
    assert raised.value.message.endswith("(2 such fields)")
    assert "31415926" not in raised.value.message + "".join(raised.value.details)
