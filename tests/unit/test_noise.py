"""What is folded away is noise, and nothing else is."""

import pytest

from ddhelm.manifest import from_objects
from ddhelm.masking import Masker
from ddhelm.noise import NOISE, noise_at, without_noise

TREE = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "x", "labels": {"helm.sh/chart": "datadog-1", "app": "x"}, "annotations": {"checksum/a": "1"}},
    "spec": {
        "selector": {"matchLabels": {"chart": "kept"}},
        "template": {
            "metadata": {
                "labels": {"app.kubernetes.io/version": "7", "app": "x"},
                "annotations": {"checksum/b": "2", "own": "3"},
            }
        },
    },
}


def test_noise_goes_from_the_object_and_its_pod_template_and_nothing_else_does() -> None:
    obj = from_objects([TREE], "a", Masker(b"k" * 32)).of_kind("DaemonSet")[0]
    quiet = without_noise(obj)
    assert quiet["metadata"] == {"name": "x", "labels": {"app": "x"}, "annotations": {}}
    assert quiet["spec"] == {
        "selector": {"matchLabels": {"chart": "kept"}},
        "template": {"metadata": {"labels": {"app": "x"}, "annotations": {"own": "3"}}},
    }
    assert obj.body["metadata"]["labels"]["helm.sh/chart"] == "datadog-1"


@pytest.mark.parametrize(
    ("kind", "path", "noisy"),
    [
        ("Service", ("metadata", "labels", "chart"), True),
        ("Service", ("metadata", "labels", "app.kubernetes.io/managed-by"), True),
        ("Service", ("spec", "selector", "chart"), False),
        ("DaemonSet", ("spec", "template", "metadata", "annotations", "checksum/confd-config"), True),
        ("DaemonSet", ("spec", "template", "metadata", "annotations"), False),
        ("DaemonSet", ("spec", "labels", "chart"), False),
        ("ConfigMap", ("data", "install_id"), True),
        ("ConfigMap", ("data", "install_time"), True),
        ("ConfigMap", ("data", "etcd.yaml"), False),
        ("Secret", ("data", "install_id"), False),
        ("ConfigMap", ("x", "data", "install_id"), False),
        ("ConfigMap", ("data",), False),
        ("ConfigMap", (), False),
    ],
)
def test_a_path_is_noise_only_where_the_list_says(kind: str, path: tuple[str, ...], noisy: bool) -> None:
    assert (noise_at(kind, path) is not None) is noisy


def test_every_entry_says_what_and_where() -> None:
    assert all(noise.what and noise.where for noise in NOISE)
