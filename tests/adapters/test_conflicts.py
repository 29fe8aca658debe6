"""Field conflicts, in kubectl's words and in Helm 4's, name object, fields and manager."""

from ddhelm.conflicts import NOBODY, Conflict, parse

ADVICE = """\
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
"""

HELM = """\
Error: UPGRADE FAILED: conflict occurred while applying object datadog/a-datadog apps/v1, Kind=DaemonSet: Apply failed \
with 2 conflicts: conflicts with "kubectl-set" using apps/v1:
- .spec.template.spec.containers[name="agent"].image
- .spec.template.spec.containers[name="agent"].env[name="DD_LOG_LEVEL"].value && conflict occurred while applying \
object datadog/a-datadog-cluster-agent apps/v1, Kind=Deployment: Apply failed with 1 conflict: conflict with \
"kubectl" with subresource "scale" using apps/v1: .spec.replicas
"""


def test_kubectl_with_one_conflict() -> None:
    text = 'error: Apply failed with 1 conflict: conflict with "kubectl-patch" using v1: .data.k\n' + ADVICE
    assert parse(text) == (Conflict(NOBODY, "kubectl-patch", (".data.k",), "", "v1"),)


def test_kubectl_with_several_fields_and_managers() -> None:
    text = (
        'error: Apply failed with 3 conflicts: conflicts with "kubectl-patch" using v1:\n- .data.j\n- .data.k\n'
        'conflicts with "ann" using v1:\n- .data.l\n' + ADVICE
    )
    assert [(each.manager, each.fields) for each in parse(text)] == [
        ("kubectl-patch", (".data.j", ".data.k")),
        ("ann", (".data.l",)),
    ]


def test_a_manager_that_is_being_applied_has_no_version() -> None:
    text = 'Apply failed with 1 conflict: conflict with "ddhelm": .data.k\n' + ADVICE
    assert parse(text) == (Conflict(NOBODY, "ddhelm", (".data.k",)),)


def test_helm_names_each_object() -> None:
    assert parse(HELM) == (
        Conflict(
            ("apps", "DaemonSet", "datadog", "a-datadog"),
            "kubectl-set",
            (
                '.spec.template.spec.containers[name="agent"].image',
                '.spec.template.spec.containers[name="agent"].env[name="DD_LOG_LEVEL"].value',
            ),
            "",
            "apps/v1",
        ),
        Conflict(
            ("apps", "Deployment", "datadog", "a-datadog-cluster-agent"),
            "kubectl",
            (".spec.replicas",),
            "scale",
            "apps/v1",
        ),
    )


def test_core_and_cluster_scoped_objects() -> None:
    text = (
        "conflict occurred while applying object datadog/cm /v1, Kind=ConfigMap: Apply failed with 1 conflict: "
        'conflict with "x" using v1: .data.a && conflict occurred while applying object reader '
        'rbac.authorization.k8s.io/v1, Kind=ClusterRole: Apply failed with 1 conflict: conflict with "x" using '
        "rbac.authorization.k8s.io/v1: .rules"
    )
    assert [each.object for each in parse(text)] == [
        ("", "ConfigMap", "datadog", "cm"),
        ("rbac.authorization.k8s.io", "ClusterRole", "", "reader"),
    ]


def test_words_for_people() -> None:
    assert [each.words() for each in parse(HELM)][1] == (
        "Deployment datadog/a-datadog-cluster-agent: .spec.replicas belongs to `kubectl` (subresource scale)"
    )
    assert Conflict(NOBODY, "x", (".data.k",)).words() == ".data.k belongs to `x`"


def test_text_without_conflicts() -> None:
    assert parse("Error: something else\n") == ()
