"""Users of a cluster: client certificates, kubeconfigs and their rights."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.api import Api, Json
from tests.sandbox.layout import Layout
from tests.sandbox.pki import Pki
from tests.sandbox.waiting import wait_for

CONTEXT = "ddhelm-sandbox"
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Access:
    """Makes users of one cluster."""

    layout: Layout
    port: int

    @property
    def pki(self) -> Pki:
        return Pki(self.layout.pki)

    def api(self, file: str) -> Api:
        """The API as the user whose kubeconfig `write` called by this name."""
        certificate, key = self.pki.pair(f"users/{file}")
        return Api(self.port, self.pki.cluster.certificate, certificate, key)

    def write(self, file: str, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig `file`.conf with a new certificate of this user in it."""
        from tests.sandbox import certificates  # slow to import, and most processes only attach

        certificate, key = certificates.issue(self.pki.cluster, user, groups)
        for path, content in zip(self.pki.pair(f"users/{file}"), (certificate, key), strict=True):
            path.parent.mkdir(exist_ok=True)
            _write_private(path, content)
        cluster = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority-data": _base64(self.pki.cluster.certificate.read_bytes()),
        }
        credentials = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
            "current-context": CONTEXT,
        }
        path = self.layout.kubeconfigs / f"{file}.conf"
        _write_private(path, json.dumps(kubeconfig, indent=1).encode())
        return path


def grant(api: Api, user: str, rules: Sequence[Json], namespace: str) -> None:
    """Lets the user do what `rules` (RBAC PolicyRules) say, in one namespace or, if that is "", everywhere."""
    name = f"sandbox-user-{user}"
    kind = "Role" if namespace else "ClusterRole"
    path = f"/apis/{_RBAC}/v1/{f'namespaces/{namespace}/' if namespace else ''}{kind.lower()}"
    head = {"apiVersion": f"{_RBAC}/v1", "metadata": {"name": name}}
    binding = {
        **head,
        "kind": f"{kind}Binding",
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
    }
    api.apply(f"{path}s/{name}", {**head, "kind": kind, "rules": list(rules)})
    api.apply(f"{path}bindings/{name}", binding)
    wait_for(_allowed(api, user, rules, namespace), 10, f"the rights of `{user}`")


def _allowed(api: Api, user: str, rules: Sequence[Json], namespace: str) -> Callable[[], bool]:
    """Asks whether the API server's authorizer has seen the last rule yet: it learns of rules by a watch."""
    rule = next((rule for rule in reversed(rules) if rule.get("resources")), None)
    if rule is None:
        return lambda: True
    plural, _, subresource = rule["resources"][0].partition("/")
    attributes = {
        "namespace": namespace,
        "verb": rule["verbs"][0],
        "group": rule["apiGroups"][0],
        "resource": plural,
        "subresource": subresource,
        "name": (rule.get("resourceNames") or [""])[0],
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return lambda: bool(api.post(path, review)["status"]["allowed"])


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
