"""A cluster in which releases stand as Helm stores them, for actions that read these and what stands of them."""

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from ddhelm import reads
from ddhelm.kubectl import Right, RightAnswer
from ddhelm.release import NAMES
from tests.adapters.apiserver import ApiServer, items

SPACE = "datadog"
Tree = dict[str, Any]


def owned(release: str, **annotations: str) -> Tree:
    """The metadata that Helm gives an object of a release."""
    named = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": SPACE}
    return {"annotations": {**named, **annotations}}


def revision(release: str, number: int, status: str, *objects: Tree, written: str = "") -> Tree:
    """The Secret of a revision; ``written`` is RFC 3339."""
    manifest = "".join(f"---\n{json.dumps(each)}\n" for each in objects)
    info = {"status": status, "last_deployed": written}
    record = {"name": release, "namespace": SPACE, "version": number, "info": info, "manifest": manifest}
    data = b64encode(b64encode(gzip.compress(json.dumps(record).encode()))).decode()
    metadata = {"name": f"sh.helm.release.v1.{release}.v{number}", "labels": {"name": release}}
    return {"metadata": metadata, "data": {"release": data}}


class Stored(ApiServer):
    """Revisions, oldest first, and the objects that stand, by kind and name; empty discovery but for what is served."""

    def __init__(self, *revisions: Tree, standing: Mapping[tuple[str, str], Tree]) -> None:
        super().__init__()
        self.standing = standing
        self.access = SimpleNamespace(namespace=SPACE)
        self.asked_rights: list[Right] = []
        listed = [each for each in revisions if _of(each)["info"]["status"] != "superseded"]
        self.serve(_plain(reads.records(SPACE, NAMES.values(), superseded=False)), items(*listed))
        for names in (tuple(NAMES.values()), *((name,) for name in NAMES.values())):
            theirs = [each for each in revisions if _of(each)["name"] in names]
            self.serve(_plain(reads.records(SPACE, names, superseded=True)), items(*theirs))

    def tree(self, path: str) -> Tree | None:
        (answer,) = self.raws([path])
        if answer.failure is not None:
            raise answer.failure
        return answer.tree() if answer.found else None

    def get_many(self, objects: Sequence[Tree]) -> tuple[Tree | None, ...]:
        return tuple(self.standing.get((each["kind"], each["metadata"]["name"])) for each in objects)

    def can_i(self, rights: Sequence[Right]) -> tuple[RightAnswer, ...]:
        self.asked_rights += rights
        return tuple(RightAnswer(right, True, "") for right in rights)


def _of(secret: Tree) -> Tree:
    return dict(json.loads(gzip.decompress(b64decode(b64decode(secret["data"]["release"])))))


def _plain(path: str) -> str:
    return unquote(path)
