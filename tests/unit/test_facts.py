"""Facts are what the API said; what it did not say stays unread."""

import json
import string
import tracemalloc
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ddhelm import facts, nodes
from ddhelm.errors import ClusterError
from ddhelm.facts import Answers, ClusterFacts, Failure, Unread
from ddhelm.nodes import Node, Taint, nodes_of
from ddhelm.reads import READS
from ddhelm.staticpods import StaticPod

NODE: dict[str, Any] = {
    "metadata": {
        "name": "cp-1",
        "labels": {"node-role.kubernetes.io/control-plane": ""},
        "annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/x.sock", "long": "a" * 1000},
        "managedFields": [{"manager": "kubelet"}],
    },
    "spec": {
        "providerID": "aws:///eu-west-1a/i-1",
        "unschedulable": True,
        "taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
    },
    "status": {
        "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
        "addresses": [{"type": "Hostname", "address": "cp-1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
        "images": [{"names": ["x"], "sizeBytes": 1}],
        "nodeInfo": {
            "osImage": "Ubuntu 24.04",
            "containerRuntimeVersion": "containerd://2.1.4",
            "kubeletVersion": "v1.36.3",
            "architecture": "amd64",
            "operatingSystem": "linux",
        },
    },
}


def answers(**documents: Any) -> Answers:
    """Answers with every read that is not named answered emptily."""
    empty: dict[str, Any] = {
        "version": {"gitVersion": "v1.36.3"},
        "groups": {"groups": []},
        "kube-system": {"metadata": {"uid": "3f1c"}},
        "nodes": {"items": []},
        "static-pods": {"items": []},
        "static-pods-by-app": {"items": []},
        "kubeadm-config": Failure('Error from server (NotFound): configmaps "kubeadm-config" not found'),
    }
    given_documents = {name.replace("_", "-"): document for name, document in documents.items()}
    return Answers(
        {
            name: document if isinstance(document, str | bytes | Failure) else json.dumps(document)
            for name, document in (empty | given_documents).items()
        }
    )


def test_a_node_is_reduced_to_what_decides() -> None:
    read = facts.parse(answers(nodes={"items": [NODE]}))

    assert read.nodes == (
        Node(
            name="cp-1",
            labels={"node-role.kubernetes.io/control-plane": ""},
            annotations={"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/x.sock", "long": "a" * 256},
            taints=(Taint("node-role.kubernetes.io/control-plane", "", "NoSchedule"),),
            unschedulable=True,
            provider_id="aws:///eu-west-1a/i-1",
            os_image="Ubuntu 24.04",
            container_runtime="containerd://2.1.4",
            kubelet_version="v1.36.3",
            architecture="amd64",
            operating_system="linux",
            ready=True,
            address="10.0.0.1",
        ),
    )


def test_secrets_in_annotations_are_masked_alike_in_every_run_and_before_they_are_cut() -> None:
    key = "0123456789abcdef" * 2
    notes = {
        "example.com/api-key": "hunter-two",
        "example.com/note": f"joined with {key}",
        "example.com/long": '{"password": "' + "x" * 400 + '"}',
        "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/x.sock",
    }
    item = {"metadata": {"name": "n", "annotations": notes}}
    first, second = (facts.parse(answers(nodes={"items": [item]})).nodes[0] for _ in range(2))
    assert first.annotations == second.annotations
    assert dict(first.annotations) == {
        "example.com/api-key": "***",
        "example.com/note": "joined with ***",
        "example.com/long": '{"password": "***"}',
        "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/x.sock",
    }


def test_version_uid_and_groups_are_read() -> None:
    groups = {"groups": [{"name": "apps", "versions": [{"groupVersion": "apps/v1"}, {"groupVersion": "apps/v1beta1"}]}]}

    read = facts.parse(answers(groups=groups, version={"gitVersion": "v1.29.4+rke2r1"}))

    assert (read.uid, read.server_version, read.version) == ("3f1c", "v1.29.4+rke2r1", (1, 29, 4))
    assert read.api_groups == {"v1", "apps/v1", "apps/v1beta1"}
    assert read.unread == ()


def test_bytes_are_as_good_as_text() -> None:
    read = facts.parse(answers(nodes=json.dumps({"items": [NODE]}).encode()))

    assert [node.name for node in read.nodes] == ["cp-1"]


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}])
def test_the_list_is_read_however_it_is_laid_out(layout: dict[str, Any]) -> None:
    document = json.dumps({"kind": "NodeList", "metadata": {"resourceVersion": "7"}, "items": [NODE, NODE]}, **layout)

    assert len(facts.parse(answers(nodes=document)).nodes) == 2


def written(items: list[dict[str, Any]]) -> bytes:
    """A list of nodes as the API server writes it."""
    head = {"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}}
    return json.dumps({**head, "items": items}, separators=(",", ":")).encode() + b"\n"


def named(name: str, **annotations: str) -> dict[str, Any]:
    return NODE | {"metadata": {**NODE["metadata"], "name": name, "annotations": annotations}}


@given(st.integers(0, 12), st.integers(1, 2000))
def test_a_list_that_arrives_in_pieces_comes_to_the_same(count: int, size: int) -> None:
    tricky = '},{"metadata":{"name":"x"}]}'
    text = written([named(f"n-{i:02}", note=tricky, more="\\" + tricky) for i in reversed(range(count))])
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    with mock.patch.object(nodes, "_AT_ONCE", 1500):
        read = nodes_of(pieces)

    assert read == facts.parse(answers(nodes=text)).nodes
    assert facts.parse(Answers({}, nodes=read)).nodes == read


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b'{"kind":"Status","items":[]}',
        b'{"kind":"NodeList","items":null}',
        b'{"kind":"NodeList","items":[],"metadata":{}}',
        json.dumps({"kind": "NodeList", "items": [NODE]}).encode(),
        written([named("a"), named("b")])[:-5],
        written([named("a"), named("b") | {"parts": [{}, {"metadata": {"name": "inner"}}, {}]}]),
    ],
)
def test_what_cannot_be_read_in_pieces_is_refused_and_never_misread(text: bytes) -> None:
    with (
        mock.patch.object(nodes, "_AT_ONCE", 1),
        pytest.raises(ValueError, match=r"as the API server writes it|JSON|truncated"),
    ):
        nodes_of(text[at : at + 1] for at in range(len(text)))


def test_of_many_nodes_in_pieces_the_text_is_never_held() -> None:
    images = [{"names": [f"registry.example.com/image-{i}@sha256:{'0' * 64}"], "sizeBytes": i} for i in range(50)]
    text = written([named(f"n-{i:04}") | {"status": NODE["status"] | {"images": images}} for i in range(500)])
    tracemalloc.start()

    read = nodes_of(text[at : at + 64 * 1024] for at in range(0, len(text), 64 * 1024))

    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(read) == 500
    assert len(text) > 3_000_000
    assert peak < kept + 1_500_000


@pytest.mark.parametrize("items", ["[]", "null", "[ ]"])
def test_zero_nodes_are_no_failure(items: str) -> None:
    read = facts.parse(answers(nodes=f'{{"kind":"NodeList","items":{items}}}'))

    assert read.nodes == ()
    assert read.has("nodes")


def test_a_bare_node_has_no_labels_and_is_not_ready() -> None:
    read = facts.parse(answers(nodes={"items": [{"metadata": {"name": "x"}}, {}, {"spec": {"taints": None}}]}))

    assert [node.name for node in read.nodes] == ["", "", "x"]
    assert all(node.labels == {} and not node.ready for node in read.nodes)


def test_odd_characters_survive() -> None:
    odd = {"metadata": {"name": "ü-节点", "annotations": {"a": '"]}{[\\u0000\n👾', "b": "[bold]"}}}

    node = facts.parse(answers(nodes=json.dumps({"items": [odd]}, ensure_ascii=False).encode())).nodes[0]

    assert node.name == "ü-节点"
    assert node.annotations == {"a": '"]}{[\\u0000\n👾', "b": "[bold]"}


def test_a_forbidden_read_is_unread_and_the_rest_is_still_read() -> None:
    read = facts.parse(answers(nodes=Failure("nodes is forbidden"), static_pods=Failure("pods is forbidden")))

    assert [(unread.name, unread.why) for unread in read.unread] == [
        ("nodes", "nodes is forbidden"),
        ("static-pods", "pods is forbidden"),
    ]
    assert not read.has("nodes")
    assert read.has("version")
    assert read.server_version == "v1.36.3"


def test_a_read_that_was_not_made_is_unread() -> None:
    read = facts.parse(Answers({}))

    assert {unread.name for unread in read.unread} == set(READS)
    assert (read.uid, read.server_version, read.version, read.nodes) == (None, None, (0, 0, 0), ())


def test_no_kubeadm_config_is_an_answer_but_a_forbidden_one_is_not() -> None:
    absent = facts.parse(answers())
    forbidden = facts.parse(answers(kubeadm_config=Failure("configmaps is forbidden")))

    assert absent.has("kubeadm-config")
    assert not forbidden.has("kubeadm-config")


def test_the_cluster_configuration_of_kubeadm_is_read() -> None:
    text = "apiServer: {extraArgs: [{name: secure-port, value: '7443'}]}\ncertificatesDir: /pki\ncreated: 2026-01-01"

    read = facts.parse(answers(kubeadm_config={"data": {"ClusterConfiguration": text}}))

    assert read.kubeadm_config == {
        "apiServer": {"extraArgs": [{"name": "secure-port", "value": "7443"}]},
        "certificatesDir": "/pki",
        "created": "2026-01-01",
    }


DEEP = "a: " + "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    "data", [{}, *({"ClusterConfiguration": text} for text in ("a: [b", "- a", "a: \x1b", DEEP)), None]
)
def test_a_kubeadm_config_that_says_nothing_still_exists(data: object) -> None:
    assert facts.parse(answers(kubeadm_config={"metadata": {}, "data": data})).kubeadm_config == {}


def test_a_static_pod_with_both_labels_counts_once() -> None:
    pod = {
        "metadata": {
            "name": "etcd-cp-1",
            "labels": {"component": "etcd", "k8s-app": "etcd"},
            "annotations": {"kubernetes.io/config.mirror": "x"},
        },
        "spec": {"nodeName": "cp-1", "containers": [{"name": "etcd", "command": ["etcd"]}]},
    }

    read = facts.parse(answers(static_pods={"items": [pod]}, static_pods_by_app={"items": [pod]}))

    assert [(pod.component, pod.node) for pod in read.static_pods] == [("etcd", "cp-1")]


@pytest.mark.parametrize(
    "body", ["", "<html>", '{"items":[{"a":', '{"items":[{} {}', '{"kind":"Status"}', '{"items": {}}', '{"items":[x]}']
)
def test_a_broken_answer_names_the_path_to_look_at(body: str) -> None:
    with pytest.raises(ClusterError) as caught:
        facts.parse(answers(nodes=body))

    assert caught.value.anchor == "unreadable-answer"
    assert "/api/v1/nodes" in caught.value.hint


def test_a_taken_answer_is_let_go() -> None:
    given_answers = answers(nodes={"items": []})

    assert isinstance(given_answers.take("nodes"), str)
    assert given_answers.take("nodes") == Failure("it was not asked for")


def test_five_hundred_real_looking_nodes_cost_little_more_than_their_text() -> None:
    images = [{"names": [f"registry.example.com/image-{i}@sha256:{'0' * 64}"], "sizeBytes": i} for i in range(50)]
    items = [
        NODE | {"metadata": NODE["metadata"] | {"name": f"n-{i}"}, "status": NODE["status"] | {"images": images}}
        for i in range(500)
    ]
    given_answers = answers(nodes={"items": items})
    tracemalloc.start()

    read = facts.parse(given_answers)

    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(read.nodes) == 500
    assert kept < 2_000_000
    assert peak < 3_000_000  # the text was there before; all items decoded at once would be 10 MB


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v1.29.4+rke2r1", (1, 29, 4)),
        ("1.30", (1, 30, 0)),
        ("v1.11.0+d4cacc0", (1, 11, 0)),
        ("", (0, 0, 0)),
        ("x", (0, 0, 0)),
    ],
)
def test_versions(text: str, expected: tuple[int, int, int]) -> None:
    assert facts.version_of(text) == expected


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_maps = st.dictionaries(_texts, _texts, max_size=3)
_nodes = st.builds(
    Node,
    name=_texts,
    labels=_maps,
    annotations=_maps,
    taints=st.lists(st.builds(Taint, _texts, _texts, _texts), max_size=2).map(tuple),
    unschedulable=st.booleans(),
    provider_id=_texts,
    os_image=_texts,
    container_runtime=_texts,
    kubelet_version=_texts,
    architecture=_texts,
    operating_system=_texts,
    ready=st.booleans(),
    address=_texts,
)
_pods = st.builds(
    StaticPod,
    component=_texts,
    node=_texts,
    name=_texts,
    image=_texts,
    args=st.lists(_texts, max_size=3).map(tuple),
    environment=st.none() | _maps,
    mounts=st.lists(st.tuples(_texts, _texts), max_size=2).map(tuple),
    host_network=st.booleans(),
    address=_texts,
)
_trees: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=5,
)
_facts = st.builds(
    ClusterFacts,
    uid=st.none() | _texts,
    server_version=st.none() | _texts,
    api_groups=st.frozensets(_texts, max_size=3),
    nodes=st.lists(_nodes, max_size=3).map(tuple),
    static_pods=st.lists(_pods, max_size=3).map(tuple),
    kubeadm_config=st.none() | st.dictionaries(_texts, _trees, max_size=3),
    unread=st.lists(st.builds(Unread, _texts, _texts, _texts), max_size=2).map(tuple),
)


@given(_facts)
def test_facts_written_as_json_are_read_back_equal(these: ClusterFacts) -> None:
    assert facts.from_json(json.loads(json.dumps(facts.to_json(these)))) == these


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("nodes", 0, "taints"), [{"key": 1}]),
        (("nodes", 0, "taints"), [{"key": None}]),
        (("nodes", 0, "kubelet_version"), None),
        (("nodes", 0, "labels"), {"a": 1}),
        (("nodes",), {}),
        (("serverVersion",), 1),
        (("apiGroups",), "v1"),
        (("staticPods",), [{"component": "etcd"}]),
        (("kubeadmConfig",), []),
    ],
)
def test_facts_of_the_wrong_shape_are_refused(path: tuple[Any, ...], wrong: Any) -> None:
    """A person may have edited them; what is wrong is found here and not when it is used."""
    tree = facts.to_json(ClusterFacts("u", "v1.36.3", frozenset({"v1"}), (Node("n", {"a": "b"}, {}),), (), None))
    at: Any = tree
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = wrong
    with pytest.raises((ValueError, TypeError, KeyError)):
        facts.from_json(json.loads(json.dumps(tree)))


@given(
    st.lists(st.text(string.printable, max_size=10), max_size=6), st.sampled_from(["kube-apiserver", "etcd-manager-x"])
)
@example(["-_"], "kube-apiserver")
def test_no_command_line_breaks_reading(args: list[str], component: str) -> None:
    direct = StaticPod(component, "n", args=(component, *args))
    wrapped = StaticPod(component, "n", args=("/bin/sh", "-c", " ".join(args)))

    assert all(not name.startswith("-") for pod in (direct, wrapped) for name in pod.flags)
