"""What a release is made of: rendered text, or the text stored with a revision, as objects by identity.

Text comes first: two renders of the same chart share most documents to the letter, so documents are cut and named
without parsing, compared as text, and parsed (and masked) only when somebody looks inside. Rendering 3.240 with the
operator gives 800 KB, nine tenths of it CRDs that nobody looks into.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from ddhelm import goyaml
from ddhelm.errors import ConfigError
from ddhelm.masking import Masker
from ddhelm.tree import Tree, same

Identity = tuple[str, str, str, str]
"""Group, kind, namespace (empty: cluster-scoped), name: the version of the API does not make another object."""

_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_SOURCE = re.compile(r"^#[ \t]*Source:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_LEAD = re.compile(r"(?:[ \t]*(?:#[^\n]*)?(?:\n|\Z))*")
_API_VERSION = re.compile(r"^apiVersion: ([\"']?)([a-z][a-z0-9./-]*)\1[ \t]*$", re.MULTILINE)
_KIND = re.compile(r"^kind: ([\"']?)([A-Z][A-Za-z0-9]*)\1[ \t]*$", re.MULTILINE)
_METADATA = re.compile(r"^metadata:[ \t]*\n((?:[ \t]+[^\n]*\n|[ \t]*(?:#[^\n]*)?\n)+)", re.MULTILINE)
_NAME = r"^{indent}{field}: ([\"']?)([a-z](?:[a-z0-9.-]*[a-z0-9])?)\1[ \t]*$"
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})

# Group and kind of what has no namespace. Kubernetes 1.36's own API, and what Datadog's charts and their neighbours
# render; held against a real server's discovery by the cluster tests.
_CLUSTER_SCOPED = {
    "": "Namespace Node PersistentVolume ComponentStatus",
    "admissionregistration.k8s.io": "MutatingWebhookConfiguration ValidatingWebhookConfiguration "
    "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding MutatingAdmissionPolicy MutatingAdmissionPolicyBinding",
    "apiextensions.k8s.io": "CustomResourceDefinition",
    "apiregistration.k8s.io": "APIService",
    "authentication.k8s.io": "TokenReview SelfSubjectReview",
    "authorization.k8s.io": "SubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview",
    "auto.gke.io": "AllowlistSynchronizer WorkloadAllowlist AllowlistedWorkload AllowlistedV2Workload",
    "certificates.k8s.io": "CertificateSigningRequest ClusterTrustBundle",
    "cilium.io": "CiliumClusterwideNetworkPolicy",
    "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
    "internal.apiserver.k8s.io": "StorageVersion",
    "networking.k8s.io": "IngressClass IPAddress ServiceCIDR",
    "node.k8s.io": "RuntimeClass",
    "policy": "PodSecurityPolicy",
    "extensions": "PodSecurityPolicy",
    "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding",
    "resource.k8s.io": "DeviceClass ResourceSlice DeviceTaintRule",
    "scheduling.k8s.io": "PriorityClass",
    "security.openshift.io": "SecurityContextConstraints",
    "storage.k8s.io": "StorageClass CSIDriver CSINode VolumeAttachment VolumeAttributesClass",
    "storagemigration.k8s.io": "StorageVersionMigration",
}
CLUSTER_SCOPED = frozenset((group, kind) for group, kinds in _CLUSTER_SCOPED.items() for kind in kinds.split())


class ObjectRef(Struct, frozen=True, order=True):
    """Which object: ``namespace`` is empty for what is cluster-scoped."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def identity(self) -> Identity:
        """What makes it this object and no other."""
        return (self.group, self.kind, self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Object:
    """One object of a manifest. ``body`` is masked, made on first use and to be left alone.

    ``text`` is the document without comments around it: compared, never shown, since nothing is masked in it.
    """

    __slots__ = ("_body", "_masker", "_raw", "ref", "source", "text")

    def __init__(self, ref: ObjectRef, masker: Masker, *, text: str = "", raw: Tree | None = None, source: str = ""):
        self.ref = ref
        self.source = source
        self.text = text
        self._raw = raw
        self._masker = masker
        self._body: Tree | None = None

    def __repr__(self) -> str:
        return f"Object({self.ref})"

    @property
    def body(self) -> Tree:
        """The object as a JSON tree, secrets masked. Raises ConfigError when the text is no YAML."""
        if self._body is None:
            self._body = self._masker.body(self.unmasked())
        return self._body

    @property
    def metadata(self) -> Tree:
        """Its metadata alone, masked, without managed fields: a tenth of what masking a whole live object takes."""
        body = self.unmasked()
        metadata = {key: value for key, value in (body.get("metadata") or {}).items() if key != "managedFields"}
        shown: Tree = self._masker.body({"kind": body.get("kind"), "metadata": metadata})["metadata"]
        return shown

    def unmasked(self) -> Tree:
        """The object as helm would send it: for the standard input of kubectl, and for nothing that is shown."""
        return _tree(self.text, self.source) if self._raw is None else self._raw

    def placed(self) -> Tree:
        """The same in the namespace of ``ref``, as the API server answers; for kubectl, as ``unmasked``.

        A manifest may name a namespace for what is cluster-scoped. Helm sends it, and the server drops it at every
        write (k8s.io/apiserver, EnsureObjectNamespaceMatchesRequestNamespace).
        """
        body = self.unmasked()
        metadata = {key: value for key, value in (body.get("metadata") or {}).items() if key != "namespace"}
        if self.ref.namespace:
            metadata["namespace"] = self.ref.namespace
        return {**body, "metadata": metadata}

    def differs(self, other: "Object") -> bool:
        """Whether the two say different things; equal texts are not parsed for it."""
        if self.text and self.text == other.text:
            return False
        return not same(self.unmasked(), other.unmasked())


class Manifest:
    """Objects by identity, in the order of the text. ``duplicates``: objects that stand in the text more than once."""

    __slots__ = ("duplicates", "masker", "objects")

    def __init__(self, objects: Iterable[Object], masker: Masker) -> None:
        found: dict[Identity, Object] = {}
        twice: list[ObjectRef] = []
        for obj in objects:
            if obj.ref.identity in found:
                twice.append(obj.ref)
            found[obj.ref.identity] = obj  # as in Helm, the last one is what stands in the cluster
        self.objects: Mapping[Identity, Object] = MappingProxyType(found)
        self.duplicates = tuple(twice)
        self.masker = masker

    def __repr__(self) -> str:
        return f"Manifest({len(self.objects)} objects)"

    def __len__(self) -> int:
        return len(self.objects)

    def get(self, identity: Identity) -> Object | None:
        """The object of that identity, if the manifest has it."""
        return self.objects.get(identity)

    def of_kind(self, *kinds: str) -> tuple[Object, ...]:
        """The objects of these kinds, in order."""
        return tuple(obj for obj in self.objects.values() if obj.ref.kind in kinds)


class Comparison(Struct, frozen=True):
    """Two manifests side by side: how many objects are the same, and the pairs that are not (None: not there)."""

    unchanged: int
    pairs: tuple[tuple[Object | None, Object | None], ...]


def cluster_scoped(group: str, kind: str) -> bool:
    """Whether objects of this kind have no namespace, as far as the table of known kinds goes."""
    return (group, kind) in CLUSTER_SCOPED


def parse(text: str, namespace: str, masker: Masker, *, cluster_scoped: Iterable[tuple[str, str]] = ()) -> Manifest:
    """The objects of rendered or stored text; what names no namespace gets ``namespace`` if its kind has one.

    ``cluster_scoped``: further (group, kind) pairs without a namespace, from the cluster's discovery.
    Raises ConfigError for a document that is no object; broken YAML below that is found when the object is used.
    """
    return Manifest(_Reader(namespace, masker, CLUSTER_SCOPED.union(cluster_scoped)).objects(text), masker)


def from_objects(
    trees: Iterable[Tree], namespace: str, masker: Masker, *, cluster_scoped: Iterable[tuple[str, str]] = ()
) -> Manifest:
    """The same for objects that came as trees (live ones)."""
    reader = _Reader(namespace, masker, CLUSTER_SCOPED.union(cluster_scoped))
    return Manifest((obj for tree in trees for obj in reader.from_tree(tree)), masker)


def compare(old: Manifest, new: Manifest) -> Comparison:
    """What differs between two manifests of one run, in the order of the old one, additions last."""
    if not old.masker.same_key(new.masker):
        raise ValueError("manifests masked with different keys cannot be compared")
    pairs: list[tuple[Object | None, Object | None]] = []
    for identity, before in old.objects.items():
        after = new.objects.get(identity)
        if after is None or before.differs(after):
            pairs.append((before, after))
    unchanged = len(old.objects) - len(pairs)
    pairs += [(None, after) for identity, after in new.objects.items() if identity not in old.objects]
    return Comparison(unchanged, tuple(pairs))


class _Reader(Struct, frozen=True):
    namespace: str
    masker: Masker
    scope: frozenset[tuple[str, str]]

    def objects(self, text: str) -> Iterator[Object]:
        for document in _SEPARATOR.split(text.replace("\r\n", "\n")):
            lead = _LEAD.match(document)
            start = lead.end() if lead else 0
            body = document[start:].rstrip()
            if not body:
                continue
            body += "\n"  # without it a block scalar at the end of the document would lose its last line break
            found = _SOURCE.search(document, 0, start)
            source = found[1] if found else ""
            ref = self.scan(body)
            if ref is not None:
                yield Object(ref, self.masker, text=body, source=source)
            elif tree := _tree(body, source):
                yield from self.from_tree(tree, body, source)

    def scan(self, body: str) -> ObjectRef | None:
        """The identity read off the text; None when the text is not plain enough to be sure without parsing."""
        versions, kinds, blocks = _API_VERSION.findall(body), _KIND.findall(body), _METADATA.findall(body)
        if len(versions) != 1 or len(kinds) != 1 or len(blocks) != 1 or kinds[0][1].endswith("List"):
            return None
        block: str = blocks[0]
        indent = next((line[: len(line) - len(line.lstrip())] for line in block.splitlines() if line.strip()), "")
        names = re.findall(_NAME.format(indent=indent, field="name"), block, re.MULTILINE)
        spaces = re.findall(_NAME.format(indent=indent, field="namespace"), block, re.MULTILINE)
        mentioned = len(re.findall(rf"^{indent}[\"']?namespace\b", block, re.MULTILINE))
        if len(names) != 1 or len(spaces) != mentioned or mentioned > 1:
            return None
        if any(not quote and value in _WORDS for quote, value in [*names, *spaces]):
            return None
        return self.ref(versions[0][1], kinds[0][1], spaces[0][1] if spaces else "", names[0][1])

    def from_tree(self, tree: Tree, text: str = "", source: str = "") -> Iterator[Object]:
        version, kind, metadata = tree.get("apiVersion"), tree.get("kind"), tree.get("metadata")
        if isinstance(kind, str) and kind.endswith("List") and isinstance(tree.get("items"), list):
            for item in tree["items"]:
                if not isinstance(item, dict):
                    raise _bad(f"a {kind} of the manifest has an item that is no object", source)
                named = item.get("kind") or item.get("apiVersion")  # k8s.io/apimachinery: else both are the list's
                own = item if named else {**item, "apiVersion": version, "kind": kind.removesuffix("List")}
                yield from self.from_tree(own, "", source)
            return
        metadata = metadata if isinstance(metadata, dict) else {}
        name = metadata.get("name")
        for field, value in (("apiVersion", version), ("kind", kind), ("metadata.name", name)):
            if not isinstance(value, str) or not value:
                raise _bad(f"a document of the manifest has no {field}", source)
        ref = self.ref(str(version), str(kind), str(metadata.get("namespace") or ""), str(name))
        yield Object(ref, self.masker, text=text, raw=tree, source=source)

    def ref(self, version: str, kind: str, namespace: str, name: str) -> ObjectRef:
        scoped = (version.rpartition("/")[0], kind) in self.scope
        return ObjectRef(version, kind, "" if scoped else namespace or self.namespace, name)


@lru_cache(maxsize=256)  # most documents stand in the deployed manifest and in the new one
def _tree(text: str, source: str) -> Tree:
    try:
        tree: Any = goyaml.load(text)
    except goyaml.YamlError as error:
        where = f"line {error.line} of the document" if error.line else ""
        raise _bad(f"the manifest holds a document that is no YAML: {error.problem}", source, where) from None
    if tree is not None and not isinstance(tree, dict):
        raise _bad("a document of the manifest is no object", source)
    return tree or {}


def _bad(problem: str, source: str, detail: str = "") -> ConfigError:
    return ConfigError(
        problem + (f" (`{source}`)" if source else ""),
        hint="helm template shows the document; the fault is in the chart or in the values given to it",
        anchor="bad-manifest",
        details=(detail,) if detail else (),
    )
