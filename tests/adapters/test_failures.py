"""Every way to fail that helm and kubectl were made to show becomes the right error."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddhelm import errors, failurerows, failures
from ddhelm.errors import ClusterError, DdhelmError, ToolError
from ddhelm.failurerows import FETCHING, ROWS
from ddhelm.run import Completed
from ddhelm.toolwords import last_line, one_line, without_noise

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "failures.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Said:
    """One captured text and what it must become."""

    case: str
    by: str
    text: str
    error: str
    anchor: str
    message: str
    fetching: bool

    @property
    def tool(self) -> str:
        return "kubectl" if self.by == "kubectl" else "helm"


def said() -> Iterator[Said]:
    for case in CASES:
        for each in case["said"]:
            yield Said(case=case["case"], fetching=case.get("fetching", False), **each)


def becomes(text: str, *, tool: str = "helm", fetching: bool = False, code: int = 1) -> DdhelmError:
    done = Completed((f"/usr/bin/{tool}", "upgrade"), code, b"", text)
    return failures.error(done, where="context `edge`", release="agent", namespace="datadog", fetching=fetching)


@pytest.mark.parametrize("text", list(said()), ids=lambda each: f"{each.case}-{each.by.replace(' ', '-')}")
def test_captured_texts_become_errors_with_words_and_an_anchor(text: Said) -> None:
    error = becomes(text.text, tool=text.tool, fetching=text.fetching)
    assert (type(error).__name__, error.anchor, error.message) == (text.error, text.anchor, text.message)
    assert error.hint
    assert "\n" not in error.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_the_tools_say_it_differently_but_it_is_one_error(case: dict[str, Any]) -> None:
    assert len({(each["error"], each["anchor"]) for each in case["said"]}) == 1


@pytest.mark.parametrize("row", [*ROWS, *FETCHING], ids=lambda row: row.name)
def test_each_row_is_there_because_of_a_captured_text(row: failurerows.Row) -> None:
    rows = FETCHING if row in FETCHING else ROWS
    of_table = [each for each in said() if each.fetching == (rows is FETCHING)]
    assert any(_first_row(each, rows) is row for each in of_table)


def _first_row(each: Said, rows: tuple[failurerows.Row, ...]) -> failurerows.Row | None:
    essence = without_noise(each.text)
    flags = re.IGNORECASE | re.MULTILINE
    return next((row for row in rows if re.search(row.pattern, essence, flags)), None)


def test_both_majors_of_helm_were_heard_on_everything_helm_can_say() -> None:
    heard = {case["case"]: {tool for each in case["said"] for tool in each["by"].split()} for case in CASES}
    only_one = {
        case
        for case, tools in heard.items()
        if any(tool.startswith("helm-3") for tool in tools) != any(tool.startswith("helm-4") for tool in tools)
    }
    # Helm 3 applies client-side: it has no conflicts and warns of unknown fields; 3.22 rolls back where 3.13 cannot
    assert only_one == {
        "conflict",
        "unknown-field",
        "connection-lost",
        "rollback-from-a-revision-without-the-object",
    }


def test_unknown_words_are_shown_in_the_tools_own_last_line() -> None:
    error = becomes('level=WARN msg="noise"\nError: UPGRADE FAILED: something nobody has seen\n')
    assert isinstance(error, ToolError)
    assert error.message == "`helm upgrade` failed: something nobody has seen"
    assert error.anchor == "tool-failed"


def test_silence_is_told_as_such() -> None:
    assert becomes("").message == "`helm upgrade` failed: it said nothing"


def test_a_process_that_ran_out_of_time_is_told_as_such_whatever_it_said() -> None:
    done = Completed(("helm", "upgrade"), -2, b"", "Error: context canceled", seconds=360.4, timed_out=True)
    error = failures.error(done, doing="helm upgrade agent")
    assert isinstance(error, ClusterError)
    assert error.message == "`helm upgrade agent` did not end within 360 s and was stopped"
    assert error.anchor == "timed-out"
    assert error.details == ("helm: context canceled",)


def test_every_forbidden_object_is_named_once() -> None:
    line = (
        'configmaps is forbidden: User "bob" cannot create resource "configmaps" in API group "" in the namespace "x"'
    )
    other = line.replace("configmaps", "secrets")
    error = becomes(f"Error: 3 errors occurred:\n\t* {line}\n\t* {line}\n\t* {other}\n")
    assert error.details == (line, other)


@pytest.mark.parametrize(
    ("scope", "asks"),
    [
        ('in the namespace "datadog"', "kubectl auth can-i list secrets -n datadog"),
        ("at the cluster scope", "kubectl auth can-i list secrets"),
    ],
)
def test_the_hint_asks_for_the_right_where_it_is_missing(scope: str, asks: str) -> None:
    denied = 'secrets is forbidden: User "bob" cannot list resource "secrets" in API group ""'
    text = f"Error from server (Forbidden): {denied} {scope}"
    assert becomes(text, tool="kubectl").hint == asks


def test_a_screenful_of_details_is_cut() -> None:
    lines = "\n".join(f"- at '/key{n}': got string, want boolean" for n in range(99))
    error = becomes(f"Error: values don't meet the specifications of the schema(s) in the following chart(s):\n{lines}")
    assert len(error.details) == 20


def test_the_charts_own_words_are_shown_whole() -> None:
    error = becomes("Error: execution error at (datadog/templates/NOTES.txt:9:4): first\nsecond\n\nthird\n")
    assert (error.message, error.details) == ("the chart refuses these values: first", ("second", "third"))


@pytest.mark.parametrize("text", [each for each in said() if each.case == "template-stack"], ids=lambda each: each.by)
def test_of_a_templates_stack_only_the_place_that_failed_is_told(text: Said) -> None:
    at = 'datadog/templates/_helpers.tpl:114:7: semverCompare ">=7.81.0-0" (include "get-agent-version" .)'
    assert becomes(text.text).details == (at,)


def test_conflicts_name_object_field_and_manager() -> None:
    (text,) = [each.text for each in said() if each.case == "conflict"]
    assert becomes(text).details == (
        "ConfigMap edge/cf43: .data.a, .data.k belongs to `kubectl-patch`",
        'Deployment edge/cf43: .spec.template.spec.containers[name="c"].image belongs to `kubectl-set`',
    )


def test_anchors_are_words_of_a_heading() -> None:
    assert all((row.anchor or row.name).replace("-", "").isalnum() for row in (*ROWS, *FETCHING))


def test_braces_in_a_tools_words_are_only_words() -> None:
    error = becomes('Error: admission webhook "w" denied the request: {"a": {b}}')
    assert error.message.endswith('{"a": {b}}')


def test_rows_use_the_errors_of_the_tree() -> None:
    assert all(getattr(errors, row.error.__name__) is row.error for row in (*ROWS, *FETCHING))


class TestWords:
    def test_noise_alone_is_better_than_nothing(self) -> None:
        assert without_noise('level=ERROR msg="unknown driver"') == 'level=ERROR msg="unknown driver"'

    def test_log_lines_and_advice_are_left_out(self) -> None:
        text = (
            "WARNING: Kubernetes configuration file is group-readable.\n"
            "dependencies.go:64: Warning: Condition path 'a.b' for chart c returned non-bool value\n"
            "Flag --atomic has been deprecated, use --rollback-on-failure instead\n"
            "2026/11/24 03:13:30 warning: skipped value for a: Not a table.\n"
            "Error: it broke\n\nUse --debug flag to render out invalid YAML\n"
        )
        assert without_noise(text) == "Error: it broke"
        assert last_line(text) == "it broke"

    def test_a_list_of_errors_ends_in_its_last_item(self) -> None:
        assert last_line("Error: 1 error occurred:\n\t* Service is wrong\n\n\n") == "Service is wrong"

    def test_long_lines_are_cut(self) -> None:
        assert one_line("word " * 100) == ("word " * 100)[:299] + "…"


def test_words_of_the_cluster_are_one_word_of_the_command_to_type() -> None:
    error = becomes("Error from server (Forbidden): exceeded quota: x; touch /tmp/pwn #, requested: pods=1")
    assert error.hint == "kubectl describe quota 'x; touch /tmp/pwn #' -n datadog"
