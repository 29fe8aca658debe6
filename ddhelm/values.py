"""From layers to the one tree that helm is given for a release, each leaf with the layer that set it and why.

The layers, lowest first: common, role, pair, distribution, facts of this cluster, settings, the user's own, lists of
the user's with ddhelm's entries behind theirs, and ddhelm's record of its inputs. Whatever a person could want to read
or change stands in ``charts-values/``; only what follows from this cluster or these settings is made here.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import etcd, joinedlists
from ddhelm.checkfiles import check_file, file_name, mounted, volumes, without_templates
from ddhelm.coverage import schedulable
from ddhelm.nodes import Node
from ddhelm.placeholders import fill, placeholders
from ddhelm.profile import CheckInstance, HostFile, Profile, ValuesPart
from ddhelm.release import Release, Role
from ddhelm.settings import RECORD_KEY, Settings, UserLayers
from ddhelm.taints import parse_toleration, transient
from ddhelm.tree import Path, Tree, get, merge, put


class Layer(Struct, frozen=True):
    """One source of values. ``reasons`` holds a sentence for some of its keys; a key without one has its parent's.

    ``decided`` names the setting, with its origin, of each leaf that the layer only passes on.
    """

    name: str
    tree: Tree
    reasons: Mapping[Path, str] = {}
    decided: Mapping[Path, str] = {}

    def reason(self, path: Path) -> str:
        """Why this layer sets ``path``: its own reason or that of the nearest key above."""
        return next((self.reasons[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.reasons), "")

    def origin(self, path: Path) -> "Origin":
        """Who decided about ``path``: the setting that was filled in, otherwise this layer; and why."""
        setting, reason = self.decided.get(path), self.reason(path)
        if setting is None:
            return Origin(self.name, reason)
        return Origin("settings", f"{setting}; {reason}" if reason else setting)


class Origin(Struct, frozen=True):
    """Which layer set a value (``settings`` where one filled it in), and why ("" where it does not say)."""

    layer: str
    reason: str


class Values(Struct, frozen=True):
    """What helm is given for one release, and the layers it was made of, lowest first."""

    tree: Tree
    layers: tuple[Layer, ...]

    def origin(self, path: Path) -> Origin:
        """Who set the value at ``path``. A list is one value: Helm replaces lists whole.

        Raises KeyError for a path that no layer sets.
        """
        whole = path[: next((at for at, step in enumerate(path) if isinstance(step, int)), len(path))]
        layer = _top(self.layers, whole)
        if layer is None:
            raise KeyError(path)
        return layer.origin(whole)

    @property
    def origins(self) -> Mapping[Path, Origin]:
        """The origin of every leaf, in the order of the tree."""
        return {path: self.origin(path) for path in _leaves(self.tree)}


_ABSENT = object()

FILLING = {
    "site": "--site",
    "cluster_name": "--cluster-name",
    "api_key_secret": "--api-key-secret",
    "app_key_secret": "--app-key-secret",
    "etcd_secret": "--etcd-secret",
}
"""The placeholders that are settings, with the flag that sets them."""


def _leaves(tree: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    elif path:
        yield path


def build(layers: Sequence[Layer]) -> Values:
    """The layers laid on one another as Helm lays ``-f`` files: later ones win, lists are replaced, null stays."""
    return Values(reduce(merge, (layer.tree for layer in layers), {}), tuple(layers))


class Library(Protocol):
    """The part of ``library.Library`` that is needed here; the real one opens files."""

    def layer(self, name: str) -> Tree:
        """Values of a layer."""

    def reasons(self, name: str) -> Mapping[Path, str]:
        """Comments of a layer or a distribution."""


def layers_for(
    role: Role,
    *,
    releases: Sequence[Release],
    settings: Settings,
    profile: Profile,
    library: Library,
    nodes: Sequence[Node] = (),
    user: Sequence[Layer] | None = None,
    record: Tree | None = None,
) -> tuple[Layer, ...]:
    """The layers of one release, lowest first.

    ``releases`` is the whole pair, also where only one of it is rendered. ``nodes`` decide where the Cluster Agent can
    run. ``user`` are the user's layers where their reasons are known (this run's files and flags), otherwise those of
    the settings are taken. ``record`` is stored under ``ddhelm``; it must not hold a secret.
    """
    names = placeholders(releases, settings)
    files = ["common", role.value]
    if role is Role.WORKER and names["control_plane_fullname"]:
        files.append("pair")
    if role is Role.CONTROL_PLANE and settings.etcd_secret and _shows_own_certificate(profile, settings):
        files.append(_ETCD_SECRET)
    layers = [_filled(name, library, names, settings) for name in files]
    layers += [_distribution(part, library) for part in profile.values_of(role)]
    below = next((layer.tree for layer in layers if layer.name == _ETCD_SECRET), {})
    layers.append(_facts(role, profile, settings, nodes, below, has_pair=len(releases) > 1))
    layers.append(_from_settings(role, settings, build(layers).tree))
    own = user_layers(role, settings.user) if user is None else user
    layers += (*own, _joined(role, settings, layers, own))
    kept = [replace(layer, tree=_without_record(layer.tree)) for layer in layers if layer.tree]
    if record is not None:
        kept.append(Layer("ddhelm", {RECORD_KEY: record}, {(RECORD_KEY,): "what ddhelm starts from on the next run"}))
    return tuple(kept)


_ETCD_SECRET = "etcd-secret"  # noqa: S105 - the name of a layer


def _shows_own_certificate(profile: Profile, settings: Settings) -> bool:
    """Whether a check reads the files of ``--etcd-secret``; where none does, nobody needs to see them."""
    return "etcd" not in settings.drop_checks and any(
        one.instance.get(key) == path for one in profile.instances for key, path in etcd.OWN.items()
    )


def user_layers(role: Role, user: UserLayers) -> list[Layer]:
    """The user's values for both releases, and over them those for this one."""
    own = user.worker if role is Role.WORKER else user.control_plane
    return [Layer("user values", user.both), Layer(f"user values, {role.value} only", own)]


def _joined(role: Role, settings: Settings, below: Sequence[Layer], user: Sequence[Layer]) -> Layer:
    """The user's lists with ddhelm's entries behind theirs; the reason names both."""
    tolerate = map(parse_toleration, settings.tolerate)
    tree: Tree = {}
    reasons: dict[Path, str] = {}
    for path, items in joinedlists.joined(role, build(below).tree, settings.user, tolerate).items():
        tree = put(tree, path, items)
        setters = [_top(layers, path) for layers in (user, below)]
        told = [f"{layer.name}: {layer.reason(path)}".removesuffix(": ") for layer in setters if layer is not None]
        reasons[path] = "; then ".join(told)
    return Layer("user values and ddhelm's", tree, reasons)


def _top(layers: Sequence[Layer], path: Path) -> Layer | None:
    return next((layer for layer in reversed(layers) if get(layer.tree, path, _ABSENT) is not _ABSENT), None)


def _without_record(tree: Tree) -> Tree:
    """A dump of a release's values used as a file brings ddhelm's record of another run along."""
    return {key: value for key, value in tree.items() if key != RECORD_KEY}


def _filled(name: str, library: Library, names: Mapping[str, Any], settings: Settings) -> Layer:
    """A layer with its placeholders filled; what a setting filled says which one, and where that came from."""
    raw = library.layer(name)
    decided = {
        path: f"{flag} ({settings.origins.get(field, 'default')})"
        for path in _leaves(raw)
        for field, flag in FILLING.items()
        if f"${{{field}}}" in str(get(raw, path))
    }
    return Layer(name, fill(raw, names), library.reasons(name), decided)


class _Below(Mapping[Path, str]):
    """Reasons of a file as seen from one key of it."""

    def __init__(self, reasons: Mapping[Path, str], at: Path) -> None:
        self.reasons = reasons
        self.at = at

    def __getitem__(self, path: Path) -> str:
        return self.reasons[(*self.at, *path)]

    def __iter__(self) -> Iterator[Path]:
        return (path[len(self.at) :] for path in self.reasons if path[: len(self.at)] == self.at)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _distribution(part: ValuesPart, library: Library) -> Layer:
    name = part.file if part.file == "node-kinds" else f"distributions/{part.file}"
    return Layer(name, part.tree, _Below(library.reasons(part.file), part.at))


# What follows from this cluster --------------------------------------------------------------------------------------

_NODE_TERMS = ("agents", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")


def _facts(
    role: Role, profile: Profile, settings: Settings, nodes: Sequence[Node], lower: Tree, *, has_pair: bool
) -> Layer:
    """``lower`` is a layer with volumes of its own: a list is replaced whole, so ours must hold them too."""
    tree: Tree = {}
    reasons: dict[Path, str] = {}
    if has_pair:
        tree = merge(
            tree, {"agents": {"affinity": {"nodeAffinity": node_affinity(role, profile.control_plane_labels)}}}
        )
        reasons[_NODE_TERMS] = (
            "only nodes without any control-plane label"
            if role is Role.WORKER
            else "only nodes with a control-plane label: the toleration alone would not keep it off the workers"
        )
    if role is Role.CONTROL_PLANE:
        below, why = _checks(profile, set(settings.drop_checks), lower)
        return Layer("facts", merge(tree, below), reasons | why)
    tolerations = cluster_agent_tolerations(nodes, profile, settings.tolerate)
    if tolerations:
        tree = merge(tree, {"clusterAgent": {"tolerations": tolerations}})
        reasons["clusterAgent", "tolerations"] = "every node is tainted, so the Cluster Agent would have no place"
    return Layer("facts", tree, reasons)


def node_affinity(role: Role, labels: Sequence[str]) -> Tree:
    """Required node affinity, the exact complement in the two releases.

    Terms are ORed and expressions ANDed: a worker carries none of the labels, a control-plane node at least one.
    Raises ValueError without labels: one release would then run nowhere, the other everywhere.
    """
    if not labels:
        raise ValueError("two releases need at least one control-plane label to keep apart")
    if role is Role.WORKER:
        terms = [{"matchExpressions": [{"key": label, "operator": "DoesNotExist"} for label in labels]}]
    else:
        terms = [{"matchExpressions": [{"key": label, "operator": "Exists"}]} for label in labels]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def _checks(profile: Profile, dropped: set[str], lower: Tree) -> tuple[Tree, dict[Path, str]]:
    """Check files, and the volumes of the host files that they name, with reasons."""
    tree: Tree = {}
    reasons: dict[Path, str] = {}
    files = [file for file in profile.host_files if file.component not in dropped]
    by_component: dict[str, list[CheckInstance]] = {}
    for instance in profile.instances:
        if instance.component not in dropped:
            by_component.setdefault(instance.component, []).append(instance)
    confd = {}
    for component, instances in by_component.items():
        name = file_name(component)
        bodies = [mounted(instance.instance, (file.path for file in files)) for instance in instances]
        confd[name] = without_templates(check_file(component, bodies))
        reasons["datadog", "confd", name] = "; ".join(dict.fromkeys(instance.source for instance in instances))
    if confd:
        tree = {"datadog": {"confd": confd}}
    if files:
        named, mounts = volumes(files)
        named = [*get(lower, ("agents", "volumes"), []), *named]
        mounts = [*get(lower, ("agents", "volumeMounts"), []), *mounts]
        tree = merge(tree, {"agents": {"volumes": named, "volumeMounts": mounts}})
        why = "; ".join(dict.fromkeys(f"{file.path}: {file.purpose}" for file in _by_path(files)))
        reasons["agents", "volumes"] = f"single files of the node, read-only: {why}"
        reasons["agents", "volumeMounts"] = reasons["agents", "volumes"]
    return tree, reasons


def _by_path(files: Sequence[HostFile]) -> list[HostFile]:
    return sorted(files, key=lambda file: file.path)


_CLUSTER_AGENT_POD: Tree = {"nodeSelector": {"kubernetes.io/os": "linux"}}  # the chart's own, in every version


def _at_rest(node: Node) -> Node:
    """The node without what goes by itself: a cordon for maintenance must not change values."""
    return replace(node, unschedulable=False, taints=tuple(taint for taint in node.taints if not transient(taint)))


def cluster_agent_tolerations(nodes: Sequence[Node], profile: Profile, tolerate: Sequence[str]) -> list[Tree]:
    """What the Cluster Agent must tolerate to find a place: nothing where any node takes it as it is.

    Otherwise (one tainted node, all nodes control planes) the taints of the control-plane nodes; where every worker
    is tainted too and there are no control-plane nodes, what the user lets the worker agents tolerate. Where the nodes
    were not read it is what the last run found, else nothing. The chart gives the Cluster Agent no toleration of its
    own (2.30 to 3.240).
    """
    if not nodes:
        return list(profile.tolerations)
    if any(schedulable(_CLUSTER_AGENT_POD, (_at_rest(node),)) for node in nodes):
        return []
    on_control_planes = (n.taints for n in nodes if any(label in n.labels for label in profile.control_plane_labels))
    wanted = {(taint.key, taint.effect) for taints in on_control_planes for taint in taints if not transient(taint)}
    if wanted:
        return [{"key": key, "operator": "Exists", "effect": effect} for key, effect in sorted(wanted)]
    return [parse_toleration(text) for text in tolerate]


# What follows from the settings --------------------------------------------------------------------------------------


def _from_settings(role: Role, settings: Settings, so_far: Tree) -> Layer:
    """Only what differs from the layers below, so that `--explain` shows what the user decided.

    Helm replaces lists whole, so what ``so_far`` tolerates already is repeated.
    """
    tree: Tree = {}
    reasons: dict[Path, str] = {}

    def decide(setting: str, flag: str, below: Tree, at: Path) -> None:
        nonlocal tree
        tree = merge(tree, below)
        origin = settings.origins.get(setting, "")
        reasons[at] = f"{flag} ({origin})" if origin else flag

    if not settings.logs:
        off = {"enabled": False, "containerCollectAll": False}
        decide("logs", "--no-logs", {"datadog": {"logs": off}}, ("datadog", "logs"))
    if not settings.processes:
        off = {"processCollection": False}
        decide("processes", "--no-processes", {"datadog": {"processAgent": off}}, ("datadog", "processAgent"))
    if role is Role.WORKER and not settings.apm:
        off = {"socketEnabled": False, "portEnabled": False}
        decide("apm", "--no-apm", {"datadog": {"apm": off}}, ("datadog", "apm"))
    if role is Role.CONTROL_PLANE and settings.apm_control_plane:
        on = {"socketEnabled": True}
        decide("apm_control_plane", "--apm-control-plane", {"datadog": {"apm": on}}, ("datadog", "apm"))
    if role is Role.WORKER and settings.tolerate:
        tolerations = [*get(so_far, ("agents", "tolerations"), ()), *map(parse_toleration, settings.tolerate)]
        decide("tolerate", "--tolerate", {"agents": {"tolerations": tolerations}}, ("agents", "tolerations"))
    return Layer("settings", tree, reasons)
