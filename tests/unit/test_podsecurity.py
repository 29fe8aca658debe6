"""A namespace's pod security level forbids what Kubernetes forbids there (pod-security-admission 1.36)."""

from typing import Any

import pytest

from ddhelm.podsecurity import level_of, violations

GOOD: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"]},
}


def template(context: dict[str, Any] | None = None, *, annotations: dict[str, str] | None = None, **pod: Any) -> Any:
    container = {"name": "a", "securityContext": {**GOOD, **(context or {})}}
    return {"metadata": {"annotations": annotations or {}}, "spec": {"containers": [container], **pod}}


def container(**fields: Any) -> Any:
    return template(containers=[{"name": "a", "securityContext": GOOD, **fields}])


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (template(hostNetwork=True), "host namespaces (hostNetwork=true)"),
        (template(hostPID=True), "host namespaces (hostPID=true)"),
        (template(hostIPC=True), "host namespaces (hostIPC=true)"),
        (template(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "hostPath volumes"),
        (container(ports=[{"containerPort": 1, "hostPort": 8125}]), "hostPort (8125)"),
        (template({"privileged": True}), "privileged"),
        (template({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}), "non-default capabilities (SYS_ADMIN)"),
        (template({"procMount": "Unmasked"}), "procMount"),
        (template({"seccompProfile": {"type": "Unconfined"}}), "seccompProfile (Unconfined)"),
        (template({"appArmorProfile": {"type": "Unconfined"}}), "forbidden AppArmor profile (Unconfined)"),
        (
            template(annotations={"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}),
            "forbidden AppArmor profile (unconfined)",
        ),
        (template({"seLinuxOptions": {"type": "spc_t"}}), "seLinuxOptions"),
        (template({"seLinuxOptions": {"user": "x"}}), "seLinuxOptions"),
        (template(securityContext={"windowsOptions": {"hostProcess": True}}), "hostProcess"),
        (template(securityContext={"sysctls": [{"name": "kernel.msgmax"}]}), "forbidden sysctls (kernel.msgmax)"),
        (container(livenessProbe={"httpGet": {"host": "h"}}), "probe or lifecycle host"),
        (container(lifecycle={"preStop": {"tcpSocket": {"host": "h"}}}), "probe or lifecycle host"),
    ],
)
def test_baseline_and_restricted_forbid(pod: Any, words: str) -> None:
    assert words in violations(pod, "baseline")
    assert words in violations(pod, "restricted")
    assert violations(pod, "privileged") == ()


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (template({"allowPrivilegeEscalation": None}), "allowPrivilegeEscalation != false"),
        (template({"runAsNonRoot": None}), "runAsNonRoot != true"),
        (template({"runAsUser": 0}), "runAsUser=0"),
        (template(securityContext={"runAsUser": 0}), "runAsUser=0"),
        (template({"seccompProfile": None}), "seccompProfile"),
        (template({"capabilities": {}}), "unrestricted capabilities"),
        (template({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}), "unrestricted capabilities"),
        (template(volumes=[{"name": "v", "nfs": {}}]), "restricted volume types (nfs)"),
        (template(initContainers=[{"name": "i"}]), "runAsNonRoot != true"),
    ],
)
def test_only_restricted_forbids(pod: Any, words: str) -> None:
    assert violations(pod, "baseline") == ()
    assert words in violations(pod, "restricted")


@pytest.mark.parametrize(
    "pod",
    [
        template(),
        template({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}),
        template({"seccompProfile": None}, securityContext={"seccompProfile": {"type": "Localhost"}}),
        template({"runAsNonRoot": None}, securityContext={"runAsNonRoot": True}),
        template(volumes=[{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"secretName": "s"}}]),
        container(ports=[{"containerPort": 80}], livenessProbe={"httpGet": {"port": 80}}),
        template(annotations={"container.apparmor.security.beta.kubernetes.io/a": "localhost/x"}),
        template(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}),
    ],
)
def test_restricted_lets_in_what_is_careful(pod: Any) -> None:
    assert violations(pod, "restricted") == ()


def test_a_violation_is_named_once_and_an_unknown_level_forbids_nothing() -> None:
    pod = template(volumes=[{"name": n, "hostPath": {"path": "/"}} for n in "ab"])
    assert violations(pod, "baseline") == ("hostPath volumes",)
    assert violations(pod, "lenient") == ()
    assert level_of({}) == "privileged"
    assert level_of({"pod-security.kubernetes.io/enforce": "baseline"}) == "baseline"
