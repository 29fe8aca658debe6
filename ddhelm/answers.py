"""What kubectl is asked with and what it answers in: values in, JSON documents out."""

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.json import decode

from ddhelm.errors import DdhelmError
from ddhelm.reserved import Reserved
from ddhelm.run import Completed
from ddhelm.tree import Tree

CERTIFICATE_ENDS = "ddhelm.dev/certificate-ends"
"""Annotation of a Secret that ddhelm wrote a certificate into: when it ends, in RFC 3339."""
CERTIFICATE_SHA256 = "ddhelm.dev/certificate-sha256"
"""Annotation beside it: of which certificate that is true (SHA-256 of its DER form, in hexadecimal digits)."""
CLIENT_CERTIFICATE = "etcd-client.crt"
"""The key of a Secret under which a certificate for etcd stands: public, and the one value that is read here."""

KEY_NAMES = (
    "go-template={{.metadata.uid}} {{.metadata.resourceVersion}}{{range $key, $value := .data}}\n"
    "{{$key}} {{len $value}}"
    f'{{{{if eq $key "{CLIENT_CERTIFICATE}"}}}}\n!{{{{$value}}}}{{{{end}}}}{{{{end}}}}'
    "{{range $key, $value := .metadata.labels}}\n{{$key}}={{$value}}{{end}}"
    "{{range $key, $value := .metadata.annotations}}"
    f'{{{{if eq $key "{CERTIFICATE_ENDS}"}}}}\n@{{{{$value}}}}{{{{end}}}}'
    f'{{{{if eq $key "{CERTIFICATE_SHA256}"}}}}\n#{{{{$value}}}}{{{{end}}}}{{{{end}}}}'
)
"""Prints uid and resourceVersion of a Secret, each key with the *length* of its value, labels, and two annotations.

The value of one key alone is printed, the public certificate's. No other annotation: kubectl's own may hold the whole
Secret.
"""
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


Piecewise = Callable[[Iterable[bytes]], object]
"""Makes something of a body while it arrives; ValueError where it is not what it should be."""


class Answer(Reserved, frozen=True):
    """What a GET came to: ``body`` is None where nothing is there (404), and where it failed (see ``failure``).

    ``made`` is what a ``Piecewise`` made of the body while it arrived; ``body`` is None then too.
    """

    unshown: ClassVar[tuple[str, ...]] = (
        "body",
        "made",
    )

    path: str
    body: bytes | None
    failure: DdhelmError | None = None
    made: Any = None

    @property
    def found(self) -> bool:
        """Whether there is something to read."""
        return self.body is not None

    def tree(self) -> Tree:
        """The answer's JSON; ``{}`` where nothing was found."""
        tree: Tree = decode(self.body) if self.body else {}
        return tree


class SecretKeys(Struct, frozen=True):
    """What may be known of a Secret: the names of its keys, which of them are empty, and one public certificate.

    ``certificate`` is the first one under ``CLIENT_CERTIFICATE`` as PEM, empty for none. ``certificate_ends`` is RFC
    3339 text, empty unless it was noted of this very certificate: others may have replaced it since.
    """

    name: str
    keys: frozenset[str]
    empty: frozenset[str]
    uid: str
    resource_version: str
    labels: Mapping[str, str] = {}
    certificate: bytes = b""
    certificate_ends: str = ""

    @classmethod
    def read(cls, name: str, text: str) -> "SecretKeys | None":
        """Read what ``KEY_NAMES`` printed; None for nothing."""
        if not text.strip():
            return None
        first, *rest = text.splitlines()
        uid, version = first.split()
        marked = {line[0]: line[1:] for line in rest if line[:1] in {"!", "@", "#"}}
        rest = [line for line in rest if line[:1] not in marked]
        keys = dict(line.split(" ") for line in rest if "=" not in line and line)
        labels = dict(line.split("=", 1) for line in rest if "=" in line)
        empty = frozenset(key for key, size in keys.items() if size == "0")
        certificate, ends = _certificate(marked)
        return cls(name, frozenset(keys), empty, uid, version, labels, certificate, ends)


def _certificate(marked: Mapping[str, str]) -> tuple[bytes, str]:
    """The certificate alone, for a file may hold its key too, which goes no further; and its end, where it is noted."""
    with suppress(ValueError):
        found = _CERTIFICATE.search(b64decode(marked.get("!", "")))
        if found:
            return found.group(), marked.get("@", "") if _sha256(found.group(1)) == marked.get("#") else ""
    return b"", ""


def _sha256(body: bytes) -> str:
    """The fingerprint of a PEM certificate; empty where it is broken."""
    with suppress(ValueError):
        return hashlib.sha256(b64decode(b"".join(body.split()), validate=True)).hexdigest()
    return ""


class Right(Struct, frozen=True):
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


class RightAnswer(Struct, frozen=True):
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
            tree = decode(each.stdout)
            found.extend(tree["items"] if tree.get("kind") == "List" else [tree])
    return tuple(found)
