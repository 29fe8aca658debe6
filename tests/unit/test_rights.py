"""Rights are asked for before what would break off in the middle without them."""

from collections.abc import Sequence

import pytest

from ddhelm.actions import rights
from ddhelm.errors import ClusterError, ToolError
from ddhelm.kubectl import Right, RightAnswer
from ddhelm.manifest import parse
from ddhelm.masking import Masker

MANIFEST = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: another}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kept.datadoghq.com, annotations: {helm.sh/resource-policy: keep}}
"""


NEEDED = (Right("delete", "secrets", "", "datadog"), Right("delete", "clusterroles", "rbac.authorization.k8s.io"))


class Asked:
    """An API server that grants all rights but those of ``verbs``; or that does not answer."""

    def __init__(self, *verbs: str, silent: bool = False) -> None:
        self.verbs, self.silent = verbs, silent

    def can_i(self, wanted: Sequence[Right]) -> tuple[RightAnswer, ...]:
        if self.silent:
            raise ToolError("kubectl does not answer")
        return tuple(RightAnswer(each, each.verb not in self.verbs) for each in wanted)


def test_helm_deletes_what_it_does_not_keep_and_its_own_records() -> None:
    needed = rights.to_delete([parse(MANIFEST, "datadog", Masker(b"k"))], "datadog")
    assert [rights.words(each) for each in needed] == [
        "delete secrets in namespace datadog",
        "delete daemonsets.apps in namespace datadog",
        "delete clusterroles.rbac.authorization.k8s.io",
        "delete networkpolicies.networking.k8s.io in namespace datadog",
    ]


def test_what_is_missing_is_named_with_the_command_that_asks_for_it() -> None:
    needed = (*NEEDED, NEEDED[0], Right("get", "nodes"))
    with pytest.raises(ClusterError) as raised:
        rights.require(Asked("delete"), needed, "an uninstall")
    error = raised.value
    assert error.message == "an uninstall needs a right that you do not have: delete secrets in namespace datadog"
    assert error.details == ("and delete clusterroles.rbac.authorization.k8s.io",)
    assert (error.hint, error.anchor) == ("kubectl auth can-i delete secrets -n datadog", "forbidden")


@pytest.mark.parametrize("server", [Asked(), Asked("delete", silent=True)], ids=["all are there", "nobody says"])
def test_nothing_is_missing(server: Asked) -> None:
    rights.require(server, NEEDED, "an uninstall")
