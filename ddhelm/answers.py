"""What kubectl is asked with and what it answers in: values in, JSON documents out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ddhelm.errors import DdhelmError
from ddhelm.run import Completed
from ddhelm.tree import Tree

CERTIFICATE_ENDS = "ddhelm.dev/certificate-ends"
"""Annotation of a Secret that ddhelm wrote a certificate into: when it ends, in RFC 3339."""

KEY_NAMES = (
    "go-template={{.metadata.uid}} {{.metadata.resourceVersion}}{{range $key, $value := .data}}\n"
    "{{$key}} {{len $value}}{{end}}{{range $key, $value := .metadata.labels}}\n{{$key}}={{$value}}{{end}}"
    '{{range $key, $value := .metadata.annotations}}{{if eq $key "'
    + CERTIFICATE_ENDS
    + '"}}\n@{{$value}}{{end}}{{end}}'
)
"""Prints uid and resourceVersion of a Secret, each key with the *length* of its value, labels, and one annotation.

No other annotation: kubectl's own may hold the whole Secret.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a GET came to: ``body`` is None where nothing is there (404), and where it failed (see ``failure``)."""

    path: str
    body: bytes | None = field(repr=False)
    failure: DdhelmError | None = None

    @property
    def found(self) -> bool:
        """Whether there is something to read."""
        return self.body is not None

    def tree(self) -> Tree:
        """The answer's JSON; ``{}`` where nothing was found."""
        tree: Tree = json.loads(self.body) if self.body else {}
        return tree


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """What may be known of a Secret: the names of its keys, and which of them are empty; never a value.

    ``certificate_ends`` is RFC 3339 text, empty where ddhelm wrote no certificate into it.
    """

    name: str
    keys: frozenset[str]
    empty: frozenset[str]
    uid: str
    resource_version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    certificate_ends: str = ""

    @classmethod
    def read(cls, name: str, text: str) -> "SecretKeys | None":
        """Read what ``KEY_NAMES`` printed; None for nothing."""
        if not text.strip():
            return None
        first, *rest = text.splitlines()
        uid, version = first.split()
        ends = next((line[1:] for line in rest if line.startswith("@")), "")
        rest = [line for line in rest if not line.startswith("@")]
        keys = dict(line.split(" ") for line in rest if "=" not in line and line)
        labels = dict(line.split("=", 1) for line in rest if "=" in line)
        empty = frozenset(key for key, size in keys.items() if size == "0")
        return cls(name, frozenset(keys), empty, uid, version, labels, ends)


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource, as RBAC means them; ``namespace`` ``""`` asks for the whole cluster."""

    verb: str
    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def review(self) -> Tree:
        """The question as an object for the API server, whose answer is its ``status``."""
        attributes = {
            "verb": self.verb,
            "group": self.group,
            "resource": self.resource,
            "subresource": self.subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
        }


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """Whether the right is held, and the server's reason if it gave one."""

    right: Right
    allowed: bool
    reason: str = ""


def listed(objects: Sequence[Tree]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def bare(obj: Tree) -> Tree:
    """Enough of an object to find it."""
    metadata = obj.get("metadata") or {}
    names = {key: metadata[key] for key in ("name", "namespace") if metadata.get(key)}
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": names}


def documents(text: str) -> list[Tree]:
    """JSON documents one after the other, as ``kubectl create -o json`` prints several objects."""
    decoder = json.JSONDecoder()
    documents, at, text = [], 0, text.strip()
    while at < len(text):
        document, end = decoder.raw_decode(text, at)
        documents.append(document)
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return documents


def answered(done: Sequence[Completed]) -> tuple[Tree, ...]:
    """The objects in kubectl's JSON: one as it is, several in a List, none as nothing at all."""
    found: list[Tree] = []
    for each in done:
        if each.stdout.strip():
            tree = json.loads(each.stdout)
            found.extend(tree["items"] if tree.get("kind") == "List" else [tree])
    return tuple(found)
