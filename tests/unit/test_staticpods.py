"""What a component listens on is read from its command line, however that is wrapped."""

from typing import Any

import pytest

from ddhelm import staticpods
from ddhelm.staticpods import flags


def mirror(component: str, container: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{component}-cp-1",
            "labels": more.pop("labels", {"component": component}),
            "annotations": {"kubernetes.io/config.mirror": "8d2f"},
        },
        "spec": {
            "nodeName": "cp-1",
            "hostNetwork": True,
            "containers": [container],
            "volumes": more.pop("volumes", []),
        },
        "status": {"hostIP": "10.0.0.1"},
    }


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param(["kube-scheduler", "--bind-address=127.0.0.1"], {"bind-address": "127.0.0.1"}, id="equals sign"),
        pytest.param(["kube-scheduler", "--secure-port", "10259"], {"secure-port": "10259"}, id="a word of its own"),
        pytest.param(["kube-scheduler", "--leader-elect", "--v=2"], {"leader-elect": "true", "v": "2"}, id="bare flag"),
        pytest.param(["/app/renamed", "-name", "a"], {"name": "a"}, id="a program of another name"),
        pytest.param(["kube-scheduler", "--secure_port=1"], {"secure-port": "1"}, id="underscores are dashes"),
        pytest.param(["kube-scheduler", "--v=1", "--v=2"], {"v": "2"}, id="the last of two wins"),
        pytest.param(["kube-scheduler", "--config="], {"config": ""}, id="an empty value is a value"),
        pytest.param(["kube-scheduler", "--a=b=c"], {"a": "b=c"}, id="only the first equals sign splits"),
        pytest.param(["kube-scheduler", "--", "--v=2"], {}, id="nothing counts after the double dash"),
        pytest.param(["/hyperkube", "kube-scheduler", "--v=2"], {"v": "2"}, id="hyperkube"),
        pytest.param([], {}, id="no command line at all"),
        pytest.param(["-", "--", ""], {}, id="only dashes"),
    ],
)
def test_flags_are_read_as_the_component_reads_them(args: list[str], expected: dict[str, str]) -> None:
    assert flags(args, "kube-scheduler") == expected


def test_etcd_servers_given_twice_add_up() -> None:
    line = ["kube-apiserver", "--etcd-servers=https://a:2379", "--etcd-servers=https://b:2379"]

    assert flags(line, "kube-apiserver")["etcd-servers"] == "https://a:2379,https://b:2379"


def test_flags_of_kops_go_runner_do_not_count_as_the_components() -> None:
    line = [
        "/go-runner",
        "--log-file=/var/log/x.log",
        "--also-stdout",
        "/usr/local/bin/kube-apiserver",
        "--secure-port=443",
    ]

    assert flags(line, "kube-apiserver") == {"secure-port": "443"}


def test_a_shell_wrapper_is_looked_into_up_to_its_redirection() -> None:
    script = (
        "mkfifo /tmp/pipe; (tee -a /var/log/etcd.log < /tmp/pipe & ) ; exec /ko-app/etcd-manager --v=6 "
        "--client-urls=https://__name__:4001 --volume-tag='k8s.io/role control-plane' > /tmp/pipe 2>&1"
    )

    assert flags(["/bin/sh", "-c", script], "etcd-manager-main") == {
        "v": "6",
        "client-urls": "https://__name__:4001",
        "volume-tag": "k8s.io/role control-plane",
    }


def test_a_shell_script_with_an_open_quote_is_still_read() -> None:
    assert flags(["sh", "-c", "exec kube-scheduler --secure-port=7 --x='"], "kube-scheduler")["secure-port"] == "7"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param(
            ["--listen-metrics-urls=http://127.0.0.1:2381", "--data-dir=/var/lib/etcd"],
            {"listen-metrics-urls": "http://127.0.0.1:2381", "data-dir": "/var/lib/etcd"},
            id="arguments alone",
        ),
        pytest.param(
            ["/usr/local/bin/etcd-3.5", "--v=1", "--data-dir=/var/lib/etcd"],
            {"v": "1", "data-dir": "/var/lib/etcd"},
            id="a program of another name",
        ),
        pytest.param(
            ["--v=1", "--data-dir", "/var/lib/etcd", "--x=2"],
            {"v": "1", "data-dir": "/var/lib/etcd", "x": "2"},
            id="a word of its own",
        ),
        pytest.param(
            ["/go-runner", "--log-file=/var/log/etcd", "--", "/usr/local/bin/etcd", "--v=1"], {"v": "1"}, id="a wrapper"
        ),
    ],
)
def test_a_value_that_ends_in_the_components_name_is_not_its_program(args: list[str], expected: dict[str, str]) -> None:
    assert flags(args, "etcd") == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("etcd --v=1\necho --v=9\n", {"v": "1"}, id="another command after it"),
        pytest.param("etcd --v=1;\necho --v=9\n", {"v": "1"}, id="a semicolon before the newline"),
        pytest.param("mkdir -p /var/lib/etcd\nexec etcd --v=1 --x\n", {"v": "1", "x": "true"}, id="one before it"),
        pytest.param("set -e\nexec /etcd-3.5 --v=1 --x", {"v": "1", "x": "true"}, id="a program of another name"),
        pytest.param("mkfifo /p; exec /etcd-3.5 --v=1", {"v": "1"}, id="a program of another name on one line"),
        pytest.param("exec etcd \\\n  --v=1 \\\n  --x \\\n  2\n", {"v": "1", "x": "2"}, id="a line that goes on"),
        pytest.param("# now start etcd, don't wait\n etcd --v=1", {"v": "1"}, id="a comment"),
        pytest.param("etcd --x='a\nb' --v=1", {"x": "a\nb", "v": "1"}, id="a newline in quotes"),
    ],
)
def test_a_line_of_a_shell_script_is_a_command(script: str, expected: dict[str, str]) -> None:
    assert flags(["/bin/sh", "-c", script], "etcd") == expected


def test_command_and_args_are_one_command_line() -> None:
    read = staticpods.parse(mirror("etcd", {"name": "etcd", "command": ["etcd"], "args": ["--config-file=/c"]}))

    assert read is not None
    assert read.args == ("etcd", "--config-file=/c")
    assert read.flags == {"config-file": "/c"}


def test_a_pod_that_is_no_mirror_pod_is_none_of_the_control_plane() -> None:
    pod = mirror("etcd", {"name": "etcd", "command": ["etcd"]})
    pod["metadata"]["annotations"] = {}

    assert staticpods.parse(pod) is None


def test_the_container_named_like_the_component_is_read_not_the_one_beside_it() -> None:
    pod = mirror("kube-apiserver", {"name": "healthcheck", "command": ["/healthcheck", "--secure-port=1"]})
    pod["spec"]["containers"].append({"name": "kube-apiserver", "command": ["kube-apiserver", "--secure-port=443"]})

    read = staticpods.parse(pod)

    assert read is not None
    assert read.flags == {"secure-port": "443"}


def test_variables_in_the_command_line_are_filled_in() -> None:
    container = {
        "name": "etcd",
        "command": ["etcd", "--listen-metrics-urls=http://$(HOST_IP):$(PORT)", "--data-dir=$(UNSET)"],
        "env": [
            {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "PORT", "value": "2381"},
        ],
    }

    read = staticpods.parse(mirror("etcd", container))

    assert read is not None
    assert read.flags == {"listen-metrics-urls": "http://10.0.0.1:2381", "data-dir": "$(UNSET)"}


def test_only_variables_about_listening_are_kept() -> None:
    container = {
        "name": "etcd-manager",
        "command": ["/etcd-manager"],
        "env": [
            {"name": "ETCD_LISTEN_METRICS_URLS", "value": "http://0.0.0.0:8081"},
            {"name": "DIGITALOCEAN_ACCESS_TOKEN", "value": "dop_v1_secret"},
        ],
    }

    read = staticpods.parse(mirror("etcd-manager-main", container, labels={"k8s-app": "etcd-manager-main"}))

    assert read is not None
    assert read.component == "etcd-manager-main"
    assert read.variable("ETCD_LISTEN_METRICS_URLS") == "http://0.0.0.0:8081"
    assert read.variable("DIGITALOCEAN_ACCESS_TOKEN") is None
    assert "dop_v1_secret" not in repr(read)


@pytest.mark.parametrize(
    "words",
    [
        ["--initial-cluster-token=hush"],
        ["--bootstrap-token", "hush"],
        ["--experimental-password=hush", "--v=2"],
    ],
)
def test_values_of_secret_looking_flags_are_not_kept(words: list[str]) -> None:
    read = staticpods.parse(mirror("etcd", {"name": "etcd", "command": ["etcd", *words]}))

    assert read is not None
    assert "hush" not in repr(read)
    assert "***" in repr(read)


def test_a_path_of_a_key_is_no_secret() -> None:
    read = staticpods.parse(
        mirror("etcd", {"name": "etcd", "command": ["etcd", "--token-auth-file=/a", "--key-file=/b"]})
    )

    assert read is not None
    assert read.flags == {"token-auth-file": "/a", "key-file": "/b"}


def test_paths_of_the_container_are_told_as_paths_of_the_node() -> None:
    container = {
        "name": "kube-apiserver",
        "command": ["kube-apiserver"],
        "volumeMounts": [
            {"name": "all", "mountPath": "/etc"},
            {"name": "pki", "mountPath": "/etc/pki/"},
            {"name": "config", "mountPath": "/config"},
            {"name": "part", "mountPath": "/part", "subPath": "x"},
        ],
    }
    volumes = [
        {"name": "all", "hostPath": {"path": "/host-etc"}},
        {"name": "pki", "hostPath": {"path": "/srv/pki"}},
        {"name": "part", "hostPath": {"path": "/somewhere"}},
        {"name": "config", "configMap": {"name": "x"}},
    ]

    read = staticpods.parse(mirror("kube-apiserver", container, volumes=volumes))

    assert read is not None
    assert read.host_path("/etc/pki/ca.crt") == "/srv/pki/ca.crt"
    assert read.host_path("/etc/hosts") == "/host-etc/hosts"
    assert read.host_path("/etcetera/x") is None
    assert read.host_path("/config/x") is None
    assert read.host_path("/part/x") is None


@pytest.mark.parametrize(
    "pod",
    [
        {},
        {"metadata": None},
        mirror("etcd", {}),
        mirror("", {"name": None, "command": "etcd", "args": None, "env": [None, {"name": "x"}]}),
        {
            "metadata": {"annotations": {"kubernetes.io/config.mirror": ""}},
            "spec": {"containers": [], "volumes": [None]},
        },
    ],
)
def test_a_crooked_pod_does_not_break_reading(pod: dict[str, Any]) -> None:
    staticpods.parse(pod)
