"""A release that ddhelm did not write: its hand-made values become the user's layer, minus what ddhelm must own.

Without those exceptions the pair cannot hold: two Cluster Agents, agents on each other's nodes, keys in the release
history. Each is listed before anything is confirmed.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from ddhelm import secretvalues, tree
from ddhelm.joinedlists import MOUNTS, VOLUMES
from ddhelm.release import Role

_BOTH: tuple[tree.Path, ...] = (
    ("datadog", "apiKey"),
    ("datadog", "appKey"),
    ("datadog", "apiKeyExistingSecret"),
    ("datadog", "appKeyExistingSecret"),
    ("clusterAgent", "token"),
    ("clusterAgent", "tokenExistingSecret"),
    ("existingClusterAgent",),
    ("agents", "affinity", "nodeAffinity"),
    ("datadog", "operator", "enabled"),
    ("operator", "datadogCRDs", "keepCrds"),
)
OWNED: Mapping[Role, tuple[tree.Path, ...]] = {
    Role.WORKER: (*_BOTH, ("clusterAgent", "enabled")),
    Role.CONTROL_PLANE: (
        *_BOTH,
        ("clusterAgent",),
        ("clusterChecksRunner", "enabled"),
        ("agents", "useHostNetwork"),
        ("agents", "tolerations"),
        ("agents", "nodeSelector"),
        ("datadog", "kubeStateMetricsEnabled"),
        ("datadog", "kubeStateMetricsCore"),
        ("datadog", "confd", "etcd.yaml"),
        ("datadog", "confd", "kube_apiserver_metrics.yaml"),
        ("datadog", "confd", "kube_scheduler.yaml"),
        ("datadog", "confd", "kube_controller_manager.yaml"),
    ),
}
"""Keys whose hand-made value would break the pair, per role (reasons: docs, "how ddhelm decides")."""

_SECRET: Mapping[tree.Path, str] = {
    ("datadog", "apiKey"): "api-key",
    ("datadog", "appKey"): "app-key",
    ("clusterAgent", "token"): "token",
}
_ELSEWHERE: Mapping[tree.Path, str] = {
    ("datadog", "apiKeyExistingSecret"): "api-key",
    ("datadog", "appKeyExistingSecret"): "app-key",
}


class Adopted(Struct, frozen=True):
    """``user`` is the layer that stays, ``dropped`` what ddhelm sets itself, ``keys`` the secret texts found there.

    ``keys`` maps `api-key`, `app-key`, `token` to their text; it is written to the Secret and nowhere else.
    ``secrets`` maps `api-key`, `app-key` to the Secret in which they stand already.
    """

    user: tree.Tree
    dropped: tuple[tree.Path, ...]
    keys: Mapping[str, str]
    secrets: Mapping[str, str]
    refused: tuple[tree.Path, ...] = ()
    """Further values that look like secrets: they are not stored anew and stand in no Secret yet."""
    unread: tuple[tree.Path, ...] = ()
    """Mounts, and their volumes, whose files only a check file read that is among ``dropped``."""


def adopt(config: tree.Tree, role: Role) -> Adopted:
    """Split the user-supplied values of a hand-made release into what stays and what ddhelm must own."""
    user = config
    dropped: list[tree.Path] = []
    keys: dict[str, str] = {}
    for path in OWNED[role]:
        value = tree.get(config, path)
        if value is None:
            continue
        user = tree.drop(user, path)
        dropped.append(path)
    for path, key in _SECRET.items():
        value = tree.get(config, path)
        if isinstance(value, str) and value:
            keys[key] = value
    gone = [tree.get(config, path) for path in dropped if path[:2] == ("datadog", "confd")]
    unread = _unread(user, [text for text in gone if isinstance(text, str)])
    for path in reversed(unread):
        user = tree.drop(user, path)
    refused = tuple(path for path, _ in secretvalues.find(user))
    for path in reversed(refused):  # of a list the last one first: what goes moves those behind it
        user = tree.drop(user, path)
    secrets = {key: str(name) for path, key in _ELSEWHERE.items() if (name := tree.get(config, path))}
    return Adopted(_without_emptied(user, config), tuple(dropped), keys, secrets, refused, unread)


def _unread(user: tree.Tree, gone: Iterable[str]) -> tuple[tree.Path, ...]:
    """What nobody reads any more: often the folder with etcd's keys, as Datadog's page on kubeadm mounts it."""
    mounts, volumes = (found if isinstance(found := tree.get(user, path), list) else [] for path in (MOUNTS, VOLUMES))
    rest = tree.drop(tree.drop(user, MOUNTS), VOLUMES)
    texts = [value for _, value in tree.leaves(rest) if isinstance(value, str)]
    idle = [i for i, each in enumerate(mounts) if _read_by(gone, each) and not _read_by(texts, each)]
    names = {mounts[i].get("name") for i in idle}
    names -= {*texts, *(each.get("name") for i, each in enumerate(mounts) if i not in idle and isinstance(each, dict))}
    empty = [i for i, each in enumerate(volumes) if isinstance(each, dict) and each.get("name") in names]
    return (*((*VOLUMES, i) for i in empty), *((*MOUNTS, i) for i in idle))


def _read_by(texts: Iterable[str], mount: Any) -> bool:
    """Whether one of the texts names the mounted path or one below it."""
    at = str(mount.get("mountPath") or "").rstrip("/") if isinstance(mount, dict) else ""
    return bool(at) and any(re.search(rf"(?<![\w./-]){re.escape(at)}(?![\w.-])", text) for text in texts)


def notice(
    release: str,
    dropped: tuple[tree.Path, ...],
    refused: tuple[tree.Path, ...] = (),
    unread: tuple[tree.Path, ...] = (),
) -> str:
    """The sentence that tells what of a hand-made release is not kept; empty where all is."""
    told = f"release `{release}` was made without ddhelm: its values become your layer"
    if dropped:
        told += f", except {_names(dropped)}, which ddhelm sets"
    if unread:
        told += f", and {_names(unread)}, which only those check files read"
    if refused:
        told += f"; {_names(refused)} looks like a secret and is left out: put it into a Kubernetes Secret instead"
    return told


def _names(paths: tuple[tree.Path, ...]) -> str:
    return ", ".join(f"`{tree.show(path)}`" for path in paths)


def _without_emptied(values: tree.Tree, original: tree.Tree) -> tree.Tree:
    """The tree without the maps and lists that dropping has emptied; those that were empty before stay."""
    kept = {}
    for key, value in values.items():
        inner = _without_emptied(value, original[key]) if isinstance(value, dict) else value
        if inner not in ({}, []) or original[key] == inner:
            kept[key] = inner
    return kept
