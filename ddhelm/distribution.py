"""The shape of ``charts-values/distributions/*.yaml``: what a distribution is recognised by and what it implies.

A distribution is data. Nothing in the code knows a distribution by name; this module only knows which keys such a file
has, and refuses others, so that a contributor's typing mistake does not silently recognise nothing.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from ddhelm.errors import ConfigError
from ddhelm.podsecurity import LEVELS, Default
from ddhelm.tree import Path, Tree

Confidence = Literal["high", "med", "low"]
CONFIDENCES: tuple[Confidence, ...] = ("high", "med", "low")
COMPONENTS = ("kube_apiserver_metrics", "kube_scheduler", "kube_controller_manager", "etcd")
PARTS = ("both", "worker", "control-plane")

#: What a signal or a condition may look at.
FIELDS = (
    "node.label", "node.annotation", "node.taint", "node.name", "node.providerID", "node.osImage", "node.runtime",
    "node.kubeletVersion", "server.gitVersion", "api.group", "configmap", "control-plane-nodes", "worker-nodes",
    "static-pods", "kubernetes",
)  # fmt: skip
_CHOICES = {
    "control-plane-nodes": ("some", "none", "several"),
    "worker-nodes": ("some", "none"),
    "static-pods": ("some", "none"),
    "configmap": ("kubeadm-config",),
}
_VERSION_SPEC = re.compile(r"(>=|<)\d+\.\d+(\.\d+)?")


class Row(Struct, frozen=True):
    """One thing a cluster may show. ``pattern`` is a glob that knows only ``*``; ``everywhere``: on each node."""

    field: str
    pattern: str
    everywhere: bool = False


class Signals(Struct, frozen=True):
    """What speaks for a distribution: one decisive row and all required ones; none that contradicts."""

    decisive: tuple[Row, ...] = ()
    required: tuple[Row, ...] = ()
    supporting: tuple[Row, ...] = ()
    contradicting: tuple[Row, ...] = ()


class Client(Struct, frozen=True):
    """etcd's client port and the certificate to show there, as paths on the node."""

    url: str
    ca: str
    cert: str
    key: str


class EtcdCluster(Struct, frozen=True):
    """One etcd cluster of a distribution.

    ``pod`` is its static pod, empty where etcd is a process of the host; ``resource`` its path in the API server's
    ``--etcd-servers-overrides``; ``listener`` the plaintext metrics listener it has by default.
    """

    name: str
    pod: str = "etcd"
    resource: str = ""
    listener: str | None = None
    client: Client | None = None


class Endpoint(Struct, frozen=True):
    """Where a component answers, if its own command line does not say: one alternative of a component."""

    when: tuple[Row, ...] = ()
    runs_on: str = ""
    leave_out: str = ""
    fix: str = ""
    port: int = 0
    bind: str = ""
    scheme: str = "https"
    verify: bool = True
    clusters: tuple[EtcdCluster, ...] = ()


class Variant(Struct, frozen=True):
    """Values that hold only under conditions; ``index`` finds their comments in the file."""

    index: int
    when: tuple[Row, ...]
    note: str
    values: Mapping[str, Tree]


class Requirement(Struct, frozen=True):
    """Something that must be so before the values can work: a chart or Kubernetes version, a Secret with ``keys``.

    In ``hint`` the word ``NAMESPACE`` stands for that of the releases.
    """

    kind: Literal["chart", "kubernetes", "secret"]
    spec: str
    why: str
    hint: str = ""
    when: tuple[Row, ...] = ()
    keys: tuple[str, ...] = ()


class Note(Struct, frozen=True):
    """A sentence for the user, under conditions."""

    text: str
    when: tuple[Row, ...] = ()


class Distribution(Struct, frozen=True):
    """One file of ``charts-values/distributions``; fields as in the file, empty where the file is silent."""

    name: str
    title: str
    also: tuple[str, ...] = ()
    extends: str = ""
    over: tuple[str, ...] = ()
    confidence: Confidence = "high"
    claimed: str = ""
    managed: str = ""
    pod_security: str = ""
    pod_security_default: Default | None = None
    files_untyped: bool = False
    admission: tuple[tuple[str, ...], ...] = ()
    docs: str = ""
    signals: Signals = Signals()
    control_plane_labels: tuple[str, ...] = ()
    lone_control_plane_labels: tuple[str, ...] = ()
    components: Mapping[str, tuple[Endpoint, ...]] = {}
    values: Mapping[str, Tree] = {}
    variants: tuple[Variant, ...] = ()
    requires: tuple[Requirement, ...] = ()
    notes: tuple[Note, ...] = ()


class NodeKind(Struct, frozen=True):
    """A kind of node found on many distributions: Windows, Fargate, Flatcar. ``agent`` is false where none can run."""

    name: str
    title: str
    match: tuple[Row, ...]
    agent: bool
    advice: str
    docs: str = ""
    when: tuple[Row, ...] = ()
    values: Mapping[str, Tree] = {}


class ValuesPart(Struct, frozen=True):
    """Values out of one of the files: ``at`` is their place in it, for the comments beside the keys."""

    file: str
    at: Path
    role: str
    tree: Tree


def parse(name: str, tree: object) -> Distribution:
    """A distribution out of its file's tree; raises ConfigError with every problem at once."""
    reader = _Reader(f"charts-values/distributions/{name}.yaml")
    root = reader.keys(tree, "", _KEYS, {"title"})
    signals = reader.keys(root.get("signals"), "signals", set(_SIGNALS), set())
    found = Distribution(
        name=name,
        title=reader.text(root, "title"),
        also=reader.texts(root, "also"),
        extends=reader.text(root, "extends"),
        over=reader.texts(root, "over"),
        confidence=reader.choice(root.get("confidence", "high"), "confidence"),
        claimed=reader.text(root, "claimed"),
        managed=reader.text(root, "managed"),
        pod_security=reader.text(root, "pod-security"),
        pod_security_default=reader.level(root.get("pod-security-default"), "pod-security-default"),
        files_untyped=root.get("files-untyped") is True,
        admission=tuple(reader.pattern(entry) for entry in reader.list(root.get("admission"), "admission")),
        docs=reader.text(root, "docs"),
        signals=Signals(*(reader.rows(signals.get(kind), f"signals.{kind}") for kind in _SIGNALS)),
        control_plane_labels=reader.texts(root, "control-plane-labels"),
        lone_control_plane_labels=reader.texts(root, "lone-control-plane-labels"),
        components={
            component: tuple(
                reader.endpoint(entry, f"components.{component}[{index}]")
                for index, entry in enumerate(entries if isinstance(entries, list) else [entries])
            )
            for component, entries in reader.keys(root.get("components"), "components", set(COMPONENTS), set()).items()
        },
        values=reader.values(root.get("values"), "values"),
        variants=tuple(
            reader.variant(index, entry) for index, entry in enumerate(reader.list(root.get("variants"), "variants"))
        ),
        requires=tuple(reader.requirement(entry) for entry in reader.list(root.get("requires"), "requires")),
        notes=tuple(reader.note(entry) for entry in reader.list(root.get("notes"), "notes")),
    )
    reader.finish()
    return found


def parse_node_kinds(tree: object) -> tuple[NodeKind, ...]:
    """The kinds of nodes out of ``charts-values/node-kinds.yaml``, in the file's order; raises ConfigError."""
    reader = _Reader("charts-values/node-kinds.yaml")
    kinds = []
    for name, entry in reader.keys(tree, "", None, set()).items():
        kind = reader.keys(entry, name, {"title", "match", "agent", "advice", "docs", "when", "values"}, {"title"})
        kinds.append(
            NodeKind(
                name=name,
                title=reader.text(kind, "title"),
                match=reader.rows(kind.get("match"), f"{name}.match"),
                agent=kind.get("agent", True) is True,
                advice=reader.text(kind, "advice"),
                docs=reader.text(kind, "docs"),
                when=reader.rows(kind.get("when"), f"{name}.when"),
                values=reader.values(kind.get("values"), f"{name}.values"),
            )
        )
    reader.finish()
    return tuple(kinds)


_SIGNALS = ("decisive", "required", "supporting", "contradicting")
_KEYS = {
    "title", "also", "extends", "over", "confidence", "claimed", "managed", "pod-security", "pod-security-default",
    "files-untyped", "admission", "docs", "signals", "control-plane-labels", "lone-control-plane-labels", "components",
    "values", "variants", "requires", "notes",
}  # fmt: skip


class _Reader:
    """Reads trees and collects what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[str] = []

    def finish(self) -> None:
        if self.problems:
            raise ConfigError(
                f"`{self.file}` is not as a distribution must be: {self.problems[0]}",
                hint="compare it with charts-values/distributions/kubeadm.yaml",
                anchor="wrong-distribution-file",
                details=self.problems,
            )

    def keys(self, tree: object, where: str, known: set[str] | None, needed: set[str]) -> Mapping[str, Any]:
        if tree is None and not needed:
            return {}
        if not isinstance(tree, Mapping):
            self.problems.append(f"{where or 'the file'} must be a map")
            return {}
        self.problems += [f"{where}: `{key}` is missing" for key in sorted(needed - set(tree))]
        if known is not None:
            self.problems += [f"{where}: `{key}` is no key of it" for key in tree if key not in known]
        return tree

    def list(self, value: object, where: str) -> Sequence[Any]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self.problems.append(f"{where} must be a list")
            return ()
        return value

    def text(self, tree: Mapping[str, Any], key: str) -> str:
        value = tree.get(key)
        if value is not None and not isinstance(value, str):
            self.problems.append(f"`{key}` must be text, not {value!r}")
        return " ".join(value.split()) if isinstance(value, str) else ""

    def number(self, tree: Mapping[str, Any], key: str) -> int:
        value = tree.get(key, 0)
        if not isinstance(value, int):
            self.problems.append(f"`{key}` must be a number, not {value!r}")
            return 0
        return value

    def texts(self, tree: Mapping[str, Any], key: str) -> tuple[str, ...]:
        values = self.list(tree.get(key), key)
        if any(not isinstance(value, str) for value in values):
            self.problems.append(f"`{key}` must be a list of texts")
        return tuple(str(value) for value in values)

    def choice(self, value: object, key: str) -> Confidence:
        for known in CONFIDENCES:
            if value == known:
                return known
        self.problems.append(f"`{key}` is one of {', '.join(CONFIDENCES)}, not {value!r}")
        return "low"

    def level(self, value: object, where: str) -> Default | None:
        if value is None:
            return None
        tree = self.keys(value, where, {"level", "by", "exempt"}, {"level"})
        if tree.get("level") not in LEVELS[1:]:
            self.problems.append(f"{where}: `level` is one of {', '.join(LEVELS[1:])}, not {tree.get('level')!r}")
        return Default(self.text(tree, "level"), self.text(tree, "by"), self.texts(tree, "exempt"))

    def rows(self, value: object, where: str) -> tuple[Row, ...]:
        return tuple(self.row(entry, f"{where}[{index}]") for index, entry in enumerate(self.list(value, where)))

    def row(self, entry: object, where: str) -> Row:
        tree = self.keys(entry, where, {*FIELDS, "nodes"}, set())
        named = [key for key in tree if key != "nodes"]
        if len(named) != 1:
            self.problems.append(f"{where}: a row looks at one thing, not at {len(named)}")
            return Row("", "")
        pattern = tree[named[0]]
        if not isinstance(pattern, str) or not pattern:
            self.problems.append(f"{where}: `{named[0]}` needs a text, not {pattern!r}")
        elif pattern not in _CHOICES.get(named[0], (pattern,)):
            self.problems.append(f"{where}: `{named[0]}` is one of {', '.join(_CHOICES[named[0]])}, not `{pattern}`")
        elif named[0] == "kubernetes" and not _VERSION_SPEC.fullmatch(pattern):
            self.problems.append(f"{where}: `kubernetes` is a version such as `>=1.28`, not `{pattern}`")
        if tree.get("nodes", "all") != "all":
            self.problems.append(f"{where}: `nodes` knows only `all`")
        return Row(named[0], str(pattern), everywhere="nodes" in tree)

    def endpoint(self, entry: object, where: str) -> Endpoint:
        known = {"when", "runs-on", "leave-out", "fix", "port", "bind", "scheme", "verify", "clusters", "certificates"}
        tree = self.keys(entry, where, known, set())
        if not tree.keys() & {"leave-out", "port", "clusters"}:
            self.problems.append(f"{where}: one of `port`, `clusters`, `leave-out` is needed")
        return Endpoint(
            when=self.rows(tree.get("when"), f"{where}.when"),
            runs_on=self.text(tree, "runs-on"),
            leave_out=self.text(tree, "leave-out"),
            fix=self.text(tree, "fix"),
            port=self.number(tree, "port"),
            bind=self.text(tree, "bind"),
            scheme=self.text(tree, "scheme") or "https",
            verify=tree.get("verify", True) is True,
            clusters=tuple(
                self.cluster(name, cluster, tree.get("certificates"), f"{where}.clusters.{name}")
                for name, cluster in self.keys(tree.get("clusters"), f"{where}.clusters", None, set()).items()
            ),
        )

    def cluster(self, name: str, entry: object, certificates: object, where: str) -> EtcdCluster:
        tree = self.keys(entry, where, {"pod", "resource", "listener", "url"}, set())
        client = None
        if "url" in tree:
            files = ("ca", "cert", "key")
            paths = self.keys(certificates, f"{where}: certificates", set(files), set(files))
            client = Client(self.text(tree, "url"), *(self.text(paths, key) for key in files))
        return EtcdCluster(
            name=name,
            pod="" if tree.get("pod") == "none" else self.text(tree, "pod") or "etcd",
            resource=self.text(tree, "resource"),
            listener=self.text(tree, "listener") or None,
            client=client,
        )

    def values(self, value: object, where: str) -> Mapping[str, Tree]:
        parts = self.keys(value, where, set(PARTS), set())
        return {part: dict(self.keys(tree, f"{where}.{part}", None, set())) for part, tree in parts.items()}

    def variant(self, index: int, entry: object) -> Variant:
        where = f"variants[{index}]"
        tree = self.keys(entry, where, {"when", "note", "values"}, {"when", "values"})
        return Variant(
            index,
            self.rows(tree.get("when"), f"{where}.when"),
            self.text(tree, "note"),
            self.values(tree.get("values"), f"{where}.values"),
        )

    def requirement(self, entry: object) -> Requirement:
        tree = self.keys(entry, "requires", {"chart", "kubernetes", "secret", "keys", "why", "hint", "when"}, {"why"})
        when = self.rows(tree.get("when"), "requires.when")
        why, hint = self.text(tree, "why"), self.text(tree, "hint")
        if "secret" in tree:
            return Requirement("secret", self.text(tree, "secret"), why, hint, when, self.texts(tree, "keys"))
        if "chart" in tree:
            return Requirement("chart", self.text(tree, "chart"), why, hint, when)
        return Requirement("kubernetes", self.text(tree, "kubernetes"), why, hint, when)

    def pattern(self, entry: object) -> tuple[str, ...]:
        steps = self.list(entry, "a field of admission")
        if not steps or any(not isinstance(step, str) for step in steps):
            self.problems.append(f"admission: a field is a list of steps, not {entry!r}")
        return tuple(str(step) for step in steps)

    def note(self, entry: object) -> Note:
        if isinstance(entry, str):
            return Note(" ".join(entry.split()))
        tree = self.keys(entry, "notes", {"text", "when"}, {"text"})
        return Note(self.text(tree, "text"), self.rows(tree.get("when"), "notes.when"))
