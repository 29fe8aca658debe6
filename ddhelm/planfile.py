"""A plan as a file: what was reviewed, and fingerprints of everything that it was made from.

The file holds no secret: manifests and objects are there as digests, made with every secret field replaced by a
constant, and as the masked changes that were shown. ``apply`` makes the plan anew and compares fingerprints; what
differs is named, not guessed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, convert, to_builtins

from ddhelm import settings, tree
from ddhelm.coverage import Coverage
from ddhelm.errors import ConfigError
from ddhelm.managedfields import was_scaled
from ddhelm.manifest import Identity, Manifest, Object
from ddhelm.masking import constant
from ddhelm.plan import Plan
from ddhelm.workloads import REPLICAS

KIND = "PlanFile"
API_VERSION = "ddhelm/v1"
VALID = 24 * 3600
"""Seconds for which a plan may be applied."""

_LIVE_NOISE = ("managedFields", "resourceVersion", "generation", "selfLink")
_PARTS: tuple[tuple[tree.Path, type | tuple[type, ...]], ...] = (
    *(((key,), str) for key in ("created", "expires")),
    (("expiresAt",), (int, float)),
    (("bound", "namespace"), str),
    *((("bound", key), dict) for key in ("settings", "releases", "objects", "nodes", "tools")),
    *((("bound", "chart", key), str) for key in ("name", "version", "digest")),
    *((("bound", "request", key), bool) for key in ("labelNamespace", "deleteCrds", "forceConflicts")),
    *(
        (("bound", "request", key), kind)
        for key, kind in (("allowUnknownValues", bool), ("chart", str), ("skip", list))
    ),
    (("bound", "steps"), list),
    (("bound", "writes"), list),
    *((("plan", key), dict) for key in ("cluster", "namespace", "chart", "coverage")),
    *((("plan", key), list) for key in ("steps", "secretKeys", "changedInCluster", "checks", "problems")),
    *((("plan", key), list) for key in ("leftOut", "lostCrds", "notices")),
)
"""What a plan file is read for, and of which type each part is."""
_TYPES: Mapping[str, Any] = {
    "releases": dict[str, dict[str, Any]],
    "objects": dict[str, dict[str, Any] | None],
    "nodes": dict[str, list[str]],
    "tools": dict[str, str],
    "writes": list[str],
}
_BOUND = (
    "cluster",
    "namespace",
    "chart",
    "settings",
    "request",
    "releases",
    "objects",
    "nodes",
    "tools",
    "steps",
    "writes",
)


class PlanFile(Struct, frozen=True):
    """``bound`` is what must be found again (see ``moved``), ``shown`` the plan's own document for people.

    ``created`` and ``expires`` are RFC 3339 texts; ``expires_at`` is Unix seconds.
    """

    created: str
    expires: str
    expires_at: float
    bound: tree.Tree
    shown: tree.Tree


def text(file: PlanFile) -> str:
    """The file's text, with a checksum over its content so that damage shows."""
    content = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "created": file.created,
        "expires": file.expires,
        "expiresAt": file.expires_at,
        "bound": file.bound,
        "plan": file.shown,
    }
    return _json({**content, "checksum": digest(content)}, indent=2) + "\n"


def parse(name: str, data: str) -> PlanFile:
    """The plan in a file's text; ConfigError where it is damaged, of another kind or version, or lacks a part."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise bad(name, f"is no JSON: {error}") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise bad(name, "is no plan of ddhelm's")
    if content.get("apiVersion") != API_VERSION:
        raise bad(name, f"is of version `{content.get('apiVersion')}`; this ddhelm reads `{API_VERSION}`")
    checksum = content.pop("checksum", None)
    if checksum != digest(content):
        raise bad(name, "is damaged: its checksum is not that of its content")
    lacking = [tree.show(path) for path, kind in _PARTS if not isinstance(tree.get(content, path), kind)]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise bad(name, f"was not written by this version of ddhelm: it has no `{lacking[0]}`{more}")
    try:
        _read(content["bound"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise bad(name, f"was edited, and holds what no plan does: {error}") from None
    return PlanFile(
        str(content["created"]),
        str(content["expires"]),
        float(content["expiresAt"]),
        content["bound"],
        content["plan"],
    )


def _read(bound: tree.Tree) -> None:
    """Raises where a part is not of the type that it is read as: the checksum of an edited file may be right."""
    if not tree.is_utf8(bound):
        raise ValueError("a text that is not UTF-8")
    stored = settings.from_record(bound["settings"], "the plan file")
    convert(to_builtins(stored), settings.Settings)
    for key, kind in _TYPES.items():
        convert(bound[key], kind)
    convert(bound["request"]["skip"], list[str])


def file_digest(data: str) -> str:
    """SHA-256 of a file's text: what ``plan --out`` prints and ``apply --digest`` asks for."""
    return hashlib.sha256(data.encode()).hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of a JSON tree, whatever the order of its maps, with every masked field taken as equal."""
    plain = _json(constant(value), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(plain.encode()).hexdigest()


def _json(value: Any, **how: Any) -> str:
    """JSON that can be written as UTF-8: the name of a file that a notice names need not be, and JSON escapes it."""
    return json.dumps(value, ensure_ascii=False, **how).encode("utf-8", "backslashreplace").decode()


def of_shown(document: Mapping[str, Any]) -> str:
    """The digest of a plan as it is shown to people: what the history names. Where it was read from has no part."""
    cluster = {key: value for key, value in document["cluster"].items() if key not in ("server", "context")}
    return digest({**{key: value for key, value in document.items() if key != "digest"}, "cluster": cluster})


def of_manifest(manifest: Manifest) -> str:
    """The digest of a manifest: its objects by identity, secret fields constant, order without meaning."""
    return digest({str(obj.ref): obj.body for obj in manifest.objects.values()})


def of_object(obj: Object) -> tree.Tree:
    """The fingerprint of a live object: uid and a digest without status and managedFields.

    Replicas stand beside it, unless they were scaled: an autoscaler does that all day. A Secret is known by uid and
    resourceVersion only: no digest of its content is ever made.
    """
    metadata: Mapping[str, Any] = obj.body.get("metadata") or {}
    if obj.ref.kind == "Secret":
        return {"uid": metadata.get("uid"), "resourceVersion": metadata.get("resourceVersion")}
    own = {key: value for key, value in metadata.items() if key not in _LIVE_NOISE}
    body = {key: value for key, value in obj.body.items() if key != "status"}
    replicas = tree.get(body, REPLICAS)
    counted = {} if replicas is None or was_scaled(obj.body) else {"replicas": replicas}
    return {"uid": metadata.get("uid"), "digest": digest({**tree.drop(body, REPLICAS), "metadata": own}), **counted}


def of_objects(wanted: Mapping[Identity, Object], standing: Mapping[Identity, Object]) -> tree.Tree:
    """Fingerprints of the live objects of manifests, by their name as shown; null where there is none."""
    return {
        str(obj.ref): of_object(standing[identity]) if identity in standing else None
        for identity, obj in sorted(wanted.items())
    }


def of_nodes(coverage: Coverage) -> tree.Tree:
    """Which nodes get which agents: names of releases, or none, to the nodes.

    Without those that get none only because of a taint that goes by itself: that comes and goes while a plan waits.
    """
    found: dict[str, list[str]] = {}
    for verdict in coverage.verdicts:
        if verdict.transient:
            continue
        found.setdefault(", ".join(sorted(verdict.releases)), []).append(verdict.node)
    return {releases: sorted(nodes) for releases, nodes in sorted(found.items())}


def moved(planned: tree.Tree, found: tree.Tree) -> tuple[str, ...]:
    """What is no longer as it was when the plan was made, one line each; empty when everything is."""
    if planned.get("cluster") != found.get("cluster"):  # nothing else of the plan is there then
        return tuple(_moved("cluster", planned.get("cluster"), found.get("cluster")))
    lines: list[str] = []
    for part in _BOUND:
        lines += _moved(part, planned.get(part), found.get(part))
    return tuple(lines)


def _moved(part: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if part == "objects" and isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            if _without_scaled(old.get(name), new.get(name)) != new.get(name):
                yield f"{name} {_how(old.get(name), new.get(name))}"
    elif part == "releases" and isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _release(name, old.get(name) or {}, new.get(name) or {})
    elif part == "nodes" and isinstance(old, dict) and isinstance(new, dict):
        yield from _nodes(_by_node(old), _by_node(new))
    elif part == "steps" and isinstance(old, list) and isinstance(new, list):
        yield f"what would be done: was {_listed(old)}; is {_listed(new)}"
    elif part == "writes" and isinstance(old, list) and isinstance(new, list):
        yield f"what would be written besides the releases: was {_listed(old)}; is {_listed(new)}"
    else:
        word = "the version of ddhelm or helm" if part == "tools" else f"the {part}"
        yield f"{word}: was {_short(old)}, is {_short(new)}"


def _without_scaled(old: Any, new: Any) -> Any:
    """The fingerprint of an object then, without the replicas that were scaled since."""
    return tree.drop(old, ("replicas",)) if old and new and "replicas" not in new else old


def _by_node(nodes: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    return {node: releases for releases, names in nodes.items() for node in names}


def _nodes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Nodes that would not get what was reviewed. One that went, or came and gets one agent, changes no answer:
    clusters grow and shrink by themselves.
    """
    for node, releases in sorted(new.items()):
        gets = f"gets {_agents(releases)}"
        if node in old and old[node] != releases:
            yield f"node {node} was to get {_agents(old[node])}, {gets}"
        elif node not in old and (not releases or ", " in releases):
            yield f"node {node} is new and {gets}"


def _agents(releases: str) -> str:
    return f"the agent of {releases}" if releases else "no agent"


def _listed(steps: list[Any]) -> str:
    return ", ".join(map(str, steps)) or "nothing"


def _release(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    stood, stands = (each.get("revision") is not None for each in (old, new))
    if stood != stands:
        yield f"release {name} {'is gone' if stood else 'was made'} since"
        return
    words = {
        "revision": "revision",
        "status": "status",
        "values": "digest of its new values",
        "manifest": "digest of its new manifest",
    }
    for key, word in words.items():
        if old.get(key) != new.get(key):
            yield f"release {name}: its {word} was {_short(old.get(key))}, is {_short(new.get(key))}"


def _how(old: Any, new: Any) -> str:
    if old is None:
        return "was made since"
    if new is None:
        return "was deleted since"
    if old.get("uid") != new.get("uid"):
        return "was deleted and made again since"
    return "was changed since"


def _short(value: Any) -> str:
    plain = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return f"`{plain}`" if len(plain) <= 60 else f"`{plain[:57]}…`"


def bad(name: str, why: str) -> ConfigError:
    """The error of a file that is no plan, ``why`` goes on with its name."""
    return ConfigError(f"`{name}` {why}", hint="ddhelm plan --out FILE", anchor="bad-plan-file")


def writes(plan: Plan) -> list[str]:
    """What a plan writes besides its releases, in the form that is compared."""
    label = [f"label {key}={value} of the namespace" for key, value in (plan.labels_namespace or {}).items()]
    return [*["the namespace"] * plan.creates_namespace, *label, *(f"key {name} of the Secret" for name in plan.writes)]


def steps(kinds: Sequence[tuple[str, str, int | None]]) -> list[str]:
    """Steps in the form that is compared: `worker-node-ddagent upgrade`, with the target of a rollback."""
    return [f"{release} {kind}" + (f" to {target}" if target else "") for release, kind, target in kinds]
