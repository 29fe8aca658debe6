"""Hints, pasted, act where the run acted: on the cluster and in the namespace that its flags named."""

import json
import shlex
from collections.abc import Callable
from contextvars import copy_context

import pytest

from ddhelm.access import Access
from ddhelm.actions import certfiles, configfile, keys, offline, planning
from ddhelm.commands import requests
from ddhelm.errors import ConfigError
from ddhelm.pasting import Place, complete, complete_quoted, typed
from ddhelm.run import Secrets
from ddhelm.views import envelope, pasted

NOWHERE = Place()


def access(**origins: str) -> Access:
    found = {"kubeconfig": "KUBECONFIG", "context": "current-context of `x`", "namespace": "default", **origins}
    return Access("/home/me/my clusters", "prod", "monitoring", "https://prod", found)


FLAGS = access(kubeconfig="--kubeconfig", context="--context", namespace="--namespace").place
KUBECONFIG = "--kubeconfig '/home/me/my clusters'"
OURS = f"-n monitoring --context prod {KUBECONFIG}"


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("ddhelm status", f"ddhelm status {OURS}"),
        ("ddhelm onboard repairs objects that are gone", f"ddhelm onboard {OURS} repairs objects that are gone"),
        ("ddhelm onboard --drop-check etcd (or not)", f"ddhelm onboard {OURS} --drop-check etcd (or not)"),
        ("`ddhelm onboard --yes` does it", f"`ddhelm onboard --yes {OURS}` does it"),
        ("ddhelm apply plan.json", f"ddhelm apply --context prod {KUBECONFIG} plan.json"),
        ("ddhelm diff revision 1 2", f"ddhelm diff revision {OURS} 1 2"),
        ("ddhelm history, then ddhelm rollback 3", f"ddhelm history {OURS}, then ddhelm rollback {OURS} 3"),
        ("ddhelm onboard, or name another --namespace", f"ddhelm onboard {OURS}, or name another --namespace"),
        ("helm history worker", f"helm history -n monitoring --kube-context prod {KUBECONFIG} worker"),
        ("helm uninstall old -n other", f"helm uninstall --kube-context prod {KUBECONFIG} old -n other"),
        (
            "helm mapkubeapis worker --namespace mon",
            f"helm mapkubeapis --kube-context prod {KUBECONFIG} worker --namespace mon",
        ),
        ("kubectl drain node-1", f"kubectl --context prod {KUBECONFIG} drain node-1"),
        ("kubectl get nodes; without it", f"kubectl --context prod {KUBECONFIG} get nodes; without it"),
        ("kubectl -n datadog get pods", f"kubectl --context prod {KUBECONFIG} -n datadog get pods"),
        ("kubectl config view", f"kubectl {KUBECONFIG} config view"),
        ("kubectl config view --kubeconfig FILE", "kubectl config view --kubeconfig FILE"),
    ],
)
def test_a_command_gets_the_flags_that_the_user_gave(hint: str, shown: str) -> None:
    assert complete(hint, FLAGS) == shown


@pytest.mark.parametrize(
    "text",
    [
        "ddhelm onboard --help",
        "install ddhelm again",
        "unset KUBECONFIG",
        "ddhelm makes the token itself",
        "name cluster and identity with --kubeconfig",
        "the kubectl call that failed",
        "run it again and read the plan",
    ],
)
def test_what_is_no_command_on_a_cluster_stays_as_it_is(text: str) -> None:
    assert complete(text, FLAGS) == text


@pytest.mark.parametrize("text", ["ddhelm status", "kubectl get nodes", "`ddhelm onboard` again"])
def test_nothing_is_added_where_the_same_place_is_found_again_without_flags(text: str) -> None:
    assert complete(text, access(namespace="HELM_NAMESPACE").place) == text
    assert complete(text, NOWHERE) == text


def test_helm_is_always_told_the_namespace_which_is_not_its_default() -> None:
    assert complete("helm history x", access().place) == "helm history -n monitoring x"


def test_kubectl_is_told_the_context_that_only_helm_reads_from_the_environment() -> None:
    place = access(context="HELM_KUBECONTEXT").place
    assert complete("kubectl get nodes, ddhelm status", place) == "kubectl --context prod get nodes, ddhelm status"
    assert complete("helm history x -n y", place) == "helm history x -n y"


def test_a_sentence_is_completed_in_its_backticks_only() -> None:
    place = access(context="--context").place
    text = "ddhelm status: release `x` is kept, `helm upgrade` failed; to undo it: `helm rollback x 3`"
    assert complete_quoted(text, place) == text.replace("x 3", "x 3 -n monitoring --kube-context prod")


def test_programs_get_the_commands_that_people_get() -> None:
    undo = "release `w` is left as it is; to undo it: `helm rollback w 7`"
    failure = {"message": "stalled", "hint": "ddhelm status", "details": [undo, "  hint: ddhelm verify"]}
    field = {"toRemove": "kubectl -n x label pod y z-", "fix": "ddhelm onboard"}
    tree = {"failure": failure, "notices": [undo], "fields": [field], "wrote": ["helm rollback w 7"]}

    def told() -> str:
        pasted.at(access(context="--context").place)
        return envelope.text(tree, "json")

    shown = json.loads(copy_context().run(told))
    completed = undo.replace("w 7", "w 7 -n monitoring --kube-context prod")
    assert shown == {
        "failure": {
            "message": "stalled",
            "hint": "ddhelm status --context prod",
            "details": [completed, "  hint: ddhelm verify --context prod"],
        },
        "notices": [completed],
        "fields": [{"toRemove": "kubectl --context prod -n x label pod y z-", "fix": "ddhelm onboard --context prod"}],
        "wrote": ["helm rollback w 7"],
    }


@pytest.mark.parametrize("name", ["x; touch /tmp/pwn #", "$(id)", "`id`", "a | b", "it's, 'so' (or not)", "one\ntwo"])
def test_what_a_cluster_wrote_is_one_word_of_a_command(name: str) -> None:
    command = complete(typed("helm uninstall {name} -n {space}", name=name, space=name), access().place)
    assert shlex.split(command) == ["helm", "uninstall", name, "-n", name]


def test_a_plain_name_is_typed_as_it_is_and_a_missing_one_not_at_all() -> None:
    assert typed("kubectl get {kind}/{name} {more}", kind="role", name="a-b.c", more="") == "kubectl get role/a-b.c "


ODD = "no such & file's; x.yaml"
FAILS: tuple[Callable[[], object], ...] = (
    lambda: requests.user_sources({"values": [ODD]}),
    lambda: requests.user_sources({"set_file": [f"a={ODD}"]}),
    lambda: keys.read("API key", variable="X", file=ODD, hider=Secrets(), environ={}),
    lambda: planning.read(ODD),
    lambda: configfile.read(ODD),
    lambda: offline._document(ODD),
    lambda: certfiles.read(ODD),
)


@pytest.mark.parametrize("fails", FAILS)
def test_the_name_of_a_file_is_one_word_of_a_command(fails: Callable[[], object]) -> None:
    with pytest.raises(ConfigError) as caught:
        fails()
    assert shlex.split(caught.value.hint) == ["ls", "-l", ODD]


def test_an_address_is_one_word_of_a_command() -> None:
    """A shell would have taken all behind `&` for another command, and curl into the background."""
    with pytest.raises(ConfigError) as caught:
        requests.user_sources({"values": ["https://example.com/v.yaml?a=1&b=2"]})
    assert caught.value.hint == "curl -fsSLO 'https://example.com/v.yaml?a=1&b=2'"
