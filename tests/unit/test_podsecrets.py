"""What a pod reads of Secrets: every way of naming one, whole or by key."""

from ddhelm.podsecrets import Use, uses

POD = {
    "initContainers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "init"}}}]}],
    "containers": [
        {
            "env": [
                {"name": "B", "value": "plain"},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "api-key", "optional": True}}},
            ],
            "envFrom": [{"secretRef": {"name": "whole"}}, {"configMapRef": {"name": "no"}}],
        }
    ],
    "volumes": [
        {"name": "v", "secret": {"secretName": "etcd", "items": [{"key": "tls.crt"}, {"key": "tls.key"}]}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "no"}}]}},
        {"name": "e", "emptyDir": {}},
    ],
}


def test_every_use_is_found() -> None:
    assert list(uses(POD)) == [
        Use("s", "init"),
        Use("s", "api-key", optional=True),
        Use("whole", ""),
        Use("etcd", "tls.crt"),
        Use("etcd", "tls.key"),
        Use("projected", ""),
    ]
    assert list(uses({})) == []


def test_a_whole_secret_is_read_with_each_of_its_keys() -> None:
    assert Use("whole", "").reads("whole", "anything")
    assert Use("s", "api-key").reads("s", "api-key")
    assert not Use("s", "api-key").reads("s", "token")
    assert not Use("s", "api-key").reads("other", "api-key")
