"""Nodes in protobuf come to what their JSON comes to; adapters/test_apiproxy.py asks a real API server for both."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddhelm import facts
from ddhelm.facts import Answers
from ddhelm.nodeproto import nodes_of
from ddhelm.nodes import Node


def number(value: int) -> bytes:
    """A varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def text(field: int, value: str | bytes) -> bytes:
    """A field of bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return number(field << 3 | 2) + number(len(raw)) + raw


def pairs(field: int, entries: Mapping[str, str]) -> bytes:
    return b"".join(text(field, text(1, key) + text(2, value)) for key, value in entries.items())


def node(one: Mapping[str, Any]) -> bytes:
    """A Node of the API (JSON) as an API server writes it in protobuf, with fields around it that nobody looks at."""
    meta, spec, status = one["metadata"], one["spec"], one["status"]
    info = status["nodeInfo"]
    metadata = text(1, meta["name"]) + text(2, "") + text(5, "uid" * 60) + number(7 << 3) + number(1 << 40)
    metadata += pairs(11, meta["labels"]) + pairs(12, meta["annotations"]) + text(17, b"x" * 300)
    taints = b"".join(text(5, text(1, t["key"]) + text(2, t["value"]) + text(3, t["effect"])) for t in spec["taints"])
    specification = text(3, spec["providerID"]) + number(4 << 3) + number(spec["unschedulable"]) + taints + text(7, "")
    state = pairs(1, {"cpu": "8"}) + text(3, "")
    state += b"".join(text(4, text(1, c["type"]) + text(2, c["status"]) + text(5, "why")) for c in status["conditions"])
    state += b"".join(text(5, text(1, a["type"]) + text(2, a["address"])) for a in status["addresses"])
    names = ("osImage", "containerRuntimeVersion", "kubeletVersion", "kubeProxyVersion", "operatingSystem")
    facts_ = (text(field, info.get(name, "")) for field, name in enumerate((*names, "architecture"), start=5))
    state += text(7, text(1, "machine") + b"".join(facts_))
    return text(1, metadata) + text(2, specification) + text(3, state) + b"\x25\1\2\3\4" + b"\x29" + bytes(8)


def enveloped(nodes: bytes, kind: str = "NodeList") -> bytes:
    return b"k8s\0" + text(1, text(1, "v1") + text(2, kind)) + text(2, nodes) + text(3, "") + text(4, "")


def written(items: list[dict[str, Any]]) -> bytes:
    """A list as an API server writes it."""
    return enveloped(text(1, text(1, "") + text(2, "7")) + b"".join(text(2, node(item)) for item in items))


def in_pieces(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def from_json(items: list[dict[str, Any]]) -> tuple[Node, ...]:
    return facts.parse(Answers({"nodes": json.dumps({"items": items})})).nodes


words = st.text(max_size=6)
some = st.dictionaries(words, st.text(max_size=300), max_size=3)
items = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"name": words, "labels": some, "annotations": some}),
        "spec": st.fixed_dictionaries(
            {
                "providerID": words,
                "unschedulable": st.booleans(),
                "taints": st.lists(st.fixed_dictionaries({"key": words, "value": words, "effect": words}), max_size=2),
            }
        ),
        "status": st.fixed_dictionaries(
            {
                "conditions": st.lists(
                    st.fixed_dictionaries(
                        {
                            "type": st.sampled_from(["Ready", "MemoryPressure", "ReadyToo"]),
                            "status": st.sampled_from(["True", "False", "Unknown"]),
                        }
                    ),
                    max_size=3,
                ),
                "addresses": st.lists(
                    st.fixed_dictionaries(
                        {
                            "type": st.sampled_from(["InternalIP", "Hostname", "InternalDNS"]),
                            "address": st.sampled_from(["10.0.0.1", "fd00::1", "a" * 200]),
                        }
                    ),
                    max_size=3,
                ),
                "nodeInfo": st.fixed_dictionaries(
                    {}, optional={"osImage": words, "kubeletVersion": words, "architecture": words}
                ),
            }
        ),
    }
)


@given(st.lists(items, max_size=4), st.integers(1, 400))
def test_a_list_in_protobuf_comes_to_what_its_json_comes_to(found: list[dict[str, Any]], size: int) -> None:
    assert nodes_of(in_pieces(written(found), size)) == from_json(found)


@given(st.lists(items, max_size=2), st.integers(1, 400))
def test_json_is_read_too(found: list[dict[str, Any]], size: int) -> None:
    head = {"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}}
    whole = json.dumps({**head, "items": found}, separators=(",", ":")).encode()

    assert nodes_of(in_pieces(whole, size)) == from_json(found)


NODE = {
    "metadata": {"name": "n-1", "labels": {"a": "b"}, "annotations": {"example.com/api-key": "0123"}},
    "spec": {"providerID": "aws:///i-1", "unschedulable": True, "taints": []},
    "status": {"conditions": [], "addresses": [], "nodeInfo": {"osImage": "Talos"}},
}


def test_what_looks_like_a_secret_in_an_annotation_is_masked() -> None:
    (read,) = nodes_of([written([NODE])])

    assert dict(read.annotations) == {"example.com/api-key": "***"}


WHOLE = written([NODE, NODE])
LIST = WHOLE.index(b"\n\0\x12\x017")


@pytest.mark.parametrize("at", [*range(4), LIST - 3, LIST, LIST + 60, len(WHOLE) - 10])
def test_a_list_that_was_cut_short_is_refused_and_never_half_a_list(at: int) -> None:
    with pytest.raises(ValueError, match=r"cut short|as the API server writes it|no envelope"):
        nodes_of(in_pieces(WHOLE[:at], 7))


@pytest.mark.parametrize(
    "whole",
    [
        b"",
        b"<html>",
        enveloped(text(2, node(NODE)), kind="PodList"),
        b"k8s\0\x08\1",
        enveloped(text(2, text(1, b"\x0a\xff"))),
        enveloped(text(2, text(1, b"\x0a\x7f"))),
        enveloped(text(2, text(1, b"\x0b"))),
        enveloped(text(2, text(1, b"\x0a\1\xff"))),
        enveloped(text(2, text(1, b"\x85"))),
    ],
)
def test_what_is_no_list_of_nodes_is_refused(whole: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        nodes_of(in_pieces(whole, 3))
