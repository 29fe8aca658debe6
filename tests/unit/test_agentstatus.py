"""An agent's own words, of several generations, and words that are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddhelm import agentstatus
from ddhelm.agentstatus import CheckRun, Dispatch, Leadership, Link, NotAStatus, parse

TRACE = 'Traceback (most recent call last):\n  File "base.py", line 1\nrequests.HTTPError: 403 Client Error\n'
PYTHON_ERROR = json.dumps([{"message": "403 Client Error:\n Forbidden", "traceback": TRACE}])
STATS = {"CheckName": "etcd", "CheckID": "etcd:1f", "TotalRuns": 3, "MetricSamples": 106, "LastError": ""}


def status(**keys: object) -> str:
    return json.dumps({"version": "7.81.1", **keys})


def checks(found: object) -> str:
    return status(runnerStats={"Checks": found})


def test_checks_stand_by_name_and_instance() -> None:
    source = "file:/etc/datadog-agent/conf.d/etcd.yaml"
    other = {**STATS, "CheckID": "etcd:2f", "CheckConfigSource": source, "LastWarnings": ["slow"]}
    found = parse(checks({"etcd": {"etcd:1f": STATS, "etcd:2f": other}}))
    assert found.version == "7.81.1"
    assert found.checks == (
        CheckRun("etcd", "etcd:1f", 3, metrics=106),
        CheckRun("etcd", "etcd:2f", 3, metrics=106, warnings=("slow",), source=source),
    )


def test_agents_before_6_3_list_instances_alone() -> None:
    bare = {key: value for key, value in STATS.items() if key != "CheckName"}
    for stats in (STATS, bare):
        (run,) = parse(checks({"etcd:1f": stats})).checks
        assert (run.name, run.id, run.runs) == ("etcd", "etcd:1f", 3)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (PYTHON_ERROR, "403 Client Error: Forbidden"),
        (
            "dial tcp 10.0.0.1:10250: connect: connection refused\n",
            "dial tcp 10.0.0.1:10250: connect: connection refused",
        ),
        ("[1] is no list of messages", "[1] is no list of messages"),
        ("[]", "[]"),
        ('["text"]', '["text"]'),
        ("", ""),
    ],
)
def test_an_error_is_one_line_whoever_wrote_it(said: str, line: str) -> None:
    (run,) = parse(checks({"etcd": {"1": {**STATS, "LastError": said}}})).checks
    assert run.error == line


def test_checks_that_were_not_loaded_say_why() -> None:
    python = f"could not configure check instance: could not invoke 'etcd' python check constructor:\n{TRACE}"
    found = parse(
        status(
            checkSchedulerStats={
                "LoaderErrors": {
                    "etcd": {"Core Check Loader": "Check etcd not found in Catalog", "Python Check Loader": python},
                    "nosuch": {"Core Check Loader": "Check nosuch not found in Catalog"},
                }
            },
            pyLoaderStats={"ConfigureErrors": {"disk": ["bad value"], "etcd": ["ignored: said better above"]}},
            autoConfigStats={"ConfigErrors": {"kube_scheduler": "yaml: line 2: did not find\nexpected node"}},
            adConfigErrors={},
        )
    )
    assert found.unloaded == {
        "etcd": "requests.HTTPError: 403 Client Error",
        "nosuch": "Check nosuch not found in Catalog",
        "disk": "bad value",
    }
    assert found.refused == {"kube_scheduler": "yaml: line 2: did not find expected node"}
    assert found.started


def test_the_cluster_agent_as_a_node_sees_it() -> None:
    assert parse(status()).link is None
    assert parse(status(clusterAgentStatus={"Endpoint": "https://x:5005", "Version": "7.81.1"})).link == Link(
        "https://x:5005", "7.81.1"
    )
    refused = parse(status(clusterAgentStatus={"Endpoint": "https://x:5005", "ConnectionError": "refused"})).link
    assert refused == Link("https://x:5005", error="refused")
    assert parse(status(clusterAgentStatus={"DetectionError": "none"})).link == Link(error="none")


def test_a_cluster_agent_says_who_leads_and_what_it_dispatches() -> None:
    found = parse(
        status(
            leaderelection={"status": "Running", "leaderName": "dca-1", "transitions": "1 transitions"},
            clusterchecks={
                "Leader": True, "Active": True, "NodeCount": 5, "DanglingConfigs": 1, "TotalConfigs": 3
            },
        )
    )  # fmt: skip
    assert found.leadership == Leadership("Running", "dca-1")
    assert found.dispatch == Dispatch(leads=True, active=True, nodes=5, configs=3, dangling=1)
    failing = parse(status(leaderelection={"status": "Failing", "error": "no lease"})).leadership
    assert failing == Leadership("Failing", error="no lease")


def test_what_the_agent_logs_before_the_document_is_skipped() -> None:
    noise = "2026-11-27 01:00:00 UTC | CORE | WARN | unknown key {x} in config\n"
    assert parse(noise + checks({"etcd": {"1": STATS}})).checks[0].name == "etcd"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing at all"),
        (" \n", "nothing at all"),
        ("===\nAgent (v7)\n===", "it begins `=== Agent (v7) ===`"),
        ('{"version": "7', "cut or no JSON"),
        ("[1, 2]", "cut or no JSON"),
        ('{"a": 1}', "without any of an agent's statistics"),
    ],
)
def test_other_texts_are_told_apart(text: str, words: str) -> None:
    with pytest.raises(NotAStatus, match=words.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[")):
        parse(text)


@pytest.mark.parametrize("odd", ['"LastWarnings": 5', '"MetricSamples": 1e999', '"TotalRuns": NaN'])
def test_an_odd_value_makes_it_no_status(odd: str) -> None:
    with pytest.raises(NotAStatus, match="a status with an odd value in it"):
        parse(f'{{"runnerStats": {{"Checks": {{"cpu": {{"cpu": {{"CheckName": "cpu", {odd}}}}}}}}}}}')


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
KEYS = (
    "runnerStats", "checkSchedulerStats", "pyLoaderStats", "autoConfigStats", "adConfigErrors", "clusterAgentStatus",
    "leaderelection", "clusterchecks", "agent_metadata", "version",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), ANY | st.fixed_dictionaries({"Checks": ANY, "LoaderErrors": ANY})))
def test_no_shape_makes_it_fall_over(document: dict[str, object]) -> None:
    try:
        parse(json.dumps(document))
    except NotAStatus:
        return


@given(st.text(max_size=40))
def test_no_text_makes_it_fall_over(text: str) -> None:
    with pytest.raises(NotAStatus):
        parse(text)
    agentstatus.message(text)
