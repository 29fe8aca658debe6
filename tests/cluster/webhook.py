"""A mutating admission webhook as teams run them: a program that the API server asks, over HTTPS on loopback."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.sandbox.sandbox import Sandbox

NAME = "team-x"
LABEL = "billing"
MIRROR = "mirror.example/"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@contextmanager
def webhook(sandbox: Sandbox, namespace: str) -> Iterator[None]:
    """While it lasts, each ConfigMap of the namespace gets a label and each DaemonSet its images from a mirror."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*sandbox.pki.pair("apiserver"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Reviewer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    sandbox.loader.post(CONFIGURATIONS, _configuration(sandbox, server.server_port, namespace))
    try:
        yield
    finally:
        sandbox.loader.delete(f"{CONFIGURATIONS}/{NAME}")
        server.shutdown()
        server.server_close()
        thread.join()


def _configuration(sandbox: Sandbox, port: int, namespace: str) -> dict[str, Any]:
    authority = base64.b64encode(sandbox.pki.cluster.certificate.read_bytes()).decode()
    rule = {"apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}
    return {
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": "label.team-x.example",
                "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": authority},
                "rules": [
                    {**rule, "apiGroups": [""], "resources": ["configmaps"]},
                    {**rule, "apiGroups": ["apps"], "resources": ["daemonsets"]},
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
            }
        ],
    }


class _Reviewer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        patch = base64.b64encode(json.dumps(_patch(request["object"])).encode()).decode()
        response = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
        body = json.dumps(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test's output is about the test."""


def _patch(obj: dict[str, Any]) -> list[dict[str, Any]]:
    if obj["kind"] == "ConfigMap":
        labels = {**(obj["metadata"].get("labels") or {}), LABEL: NAME}
        return [{"op": "add", "path": "/metadata/labels", "value": labels}]
    return [
        {"op": "replace", "path": f"/spec/template/spec/containers/{at}/image", "value": MIRROR + each["image"]}
        for at, each in enumerate(obj["spec"]["template"]["spec"]["containers"])
        if not each["image"].startswith(MIRROR)
    ]
