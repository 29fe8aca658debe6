"""What the API server refuses is told once, whether a claim has said it before or not."""

from ddhelm.actions.live import Read
from ddhelm.actions.proving import refused
from ddhelm.applying import Refusal
from ddhelm.errors import ConfigError, PreflightFailed
from ddhelm.plan import Live, Problem

SELECTOR = Refusal(
    ("apps", "DaemonSet", "datadog", "agent"),
    PreflightFailed("`agent` exists with another selector", hint="delete it", anchor="immutable-field"),
)
FIELD = Refusal(("", "ConfigMap", "datadog", "confd"), ConfigError("there is no field `x`", anchor="unknown-field"))
CLAIM = Problem("selectors-unchanged", anchor="immutable-field", details=("DaemonSet datadog/agent: the selector",))


def test_objects_with_one_reason_are_one_problem() -> None:
    other = Refusal(("", "ConfigMap", "datadog", "other"), FIELD.error)
    (found,) = refused(Read(Live({}), {}, (FIELD, other)), relabels=False)
    assert found.text == "the API server would refuse ConfigMap confd, ConfigMap other: there is no field `x`"


def test_many_objects_stand_below_a_line_that_can_be_read() -> None:
    many = [Refusal(("", "ConfigMap", "datadog", f"c{at}"), FIELD.error) for at in range(24)]
    (found,) = refused(Read(Live({}), {}, tuple(many)), relabels=False)
    assert found.text.endswith("ConfigMap c4 and 19 more: there is no field `x`")
    assert len(found.details) == 24


def test_that_the_namespace_is_being_deleted_is_told_once() -> None:
    gone = Refusal(
        FIELD.object, ConfigError("the namespace `datadog` is being deleted", anchor="namespace-terminating")
    )
    standing = Read(Live({}), {}, (gone,))
    assert len(refused(standing, relabels=False)) == 1
    assert refused(standing, relabels=False, told=[Problem("nothing-terminating", anchor="object-terminating")]) == ()


def test_what_a_claim_has_named_for_the_same_reason_is_not_told_again() -> None:
    standing = Read(Live({}), {}, (SELECTOR, FIELD))
    assert [found.anchor for found in refused(standing, relabels=False, told=[CLAIM])] == ["unknown-field"]
    elsewhere = Problem("selectors-unchanged", anchor="immutable-field", details=("DaemonSet datadog/x: the selector",))
    assert len(refused(standing, relabels=False, told=[elsewhere])) == 2
