"""Plans as text: a patch that `patch` takes, and markdown that a pull request takes."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddhelm.manifest import ObjectRef
from ddhelm.plan import Action, ObjectChange, Restart, Step, StepKind
from ddhelm.release import Release, Role
from ddhelm.tree import diff as difference
from ddhelm.values import Layer, build
from ddhelm.views import diff, markdown

RELEASE = Release(Role.WORKER, "worker-node-ddagent", "datadog")
CONFIGMAP = ObjectRef("v1", "ConfigMap", "datadog", "confd")
HOW = diff.How()
VALUES = {RELEASE.name: build([Layer("prod.yaml", {"datadog": {"site": "datadoghq.eu", "conf": "a\nB\nc"}})])}
LAYERS: diff.Layers = {RELEASE.name: {("datadog", "site"): "prod.yaml", ("datadog", "conf"): "prod.yaml"}}
CHANGED = Step(
    StepKind.UPGRADE,
    RELEASE,
    values_changes=difference(
        {"ddhelm": {"v": 1}, "datadog": {"conf": "a\nb\nc", "old": 1}},
        {"ddhelm": {"v": 2}, "datadog": {"conf": "a\nB\nc", "site": "datadoghq.eu"}},
    ),
)
COMMENT = 65_536
"""Characters that GitHub takes."""

texts = st.text(max_size=30)
bodies = st.dictionaries(
    texts,
    st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda of: st.lists(of, max_size=3)),
    max_size=4,
)


def updated(before: dict[str, Any], after: dict[str, Any], name: str = "confd") -> ObjectChange:
    ref = ObjectRef("v1", "ConfigMap", "datadog", name)
    return ObjectChange(ref, Action.UPDATE, difference(before, after), (), before, after)


def step(*changes: ObjectChange) -> Step:
    return Step(StepKind.UPGRADE, RELEASE, objects=changes)


def written(folder: Path, body: dict[str, Any] | None, name: str) -> str:
    if body is None:
        return ""
    file = folder / "datadog" / "ConfigMap" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("".join(f"{line}\n" for line in diff.yaml_lines(body)).encode())
    return file.read_text()


@settings(deadline=None, max_examples=30)  # each starts a process
@given(before=st.none() | bodies, after=st.none() | bodies, context=st.integers(0, 4))
def test_patch_makes_the_new_object_of_the_old_one(
    before: dict[str, Any] | None, after: dict[str, Any] | None, context: int
) -> None:
    action = Action.CREATE if before is None else Action.DELETE if after is None else Action.UPDATE
    changes = difference(before, after) if before is not None and after is not None else ()
    if before == after and not changes:
        return
    text = "".join(
        f"{line}\n" for line in diff.patch([step(ObjectChange(CONFIGMAP, action, changes, (), before, after))], context)
    )
    if not text:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, before, "confd")
        command = ["patch", "--strip=1", "--remove-empty-files", "--binary", "--silent"]
        done = subprocess.run(command, cwd=folder, input=text.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        file = folder / "datadog" / "ConfigMap" / "confd.yaml"
        if after is None:
            assert not file.exists()
        else:
            assert file.read_bytes().decode() == "".join(f"{line}\n" for line in diff.yaml_lines(after))


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ("a\nb\n", "a\nb", "LF → LF, none after the last line"),
        ("a", "a\n", "none after the last line → LF"),
        ("a\nb\n", "a\r\nb\r\n", "LF → CRLF"),
        ("a\r\nb\n", "a\nb\n", "CRLF, LF → LF"),
        ("a\n\nb", "a\n\x0cb", "LF, none after the last line → LF, '\\x0c', none after the last line"),
    ],
)
def test_line_ends_that_alone_differ_are_told(before: str, after: str, ends: str) -> None:
    found = difference({"f.yaml": before}, {"f.yaml": after})
    assert list(diff.fields(found)) == [("change", rf"f\.yaml: only the line ends differ: {ends}")]


def plan_of(*steps: Step, problems: int = 0, how: diff.How = HOW) -> str:
    data = {
        "changes": True,
        "cluster": {"distribution": "kubeadm", "version": "v1.36.3", "server": "https://127.0.0.1"},
        "chart": {"name": "datadog", "version": "3.240.0", "digest": "0" * 64},
        "namespace": {"name": "datadog", "create": False, "label": None},
        "coverage": {"nodes": 8, "exactlyOne": 8, "accepted": 0, "transient": 0, "exceptions": [], "pools": []},
        **{key: [] for key in ("steps", "secretKeys", "changedInCluster", "checks", "leftOut", "lostCrds", "notices")},
        "problems": [{"text": "a | <b>", "details": ["x" * 200]}] * problems,
    }
    return markdown.plan({"data": data}, steps, VALUES, how)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Title and unfolded lines of each block; fails where one is not closed."""
    assert text.count("<details>") == text.count("</details>")
    for found in re.finditer(r"<summary>(.*?)</summary>\n\n(`{3,})diff\n(.*?)\n\2\n\n</details>", text, re.DOTALL):
        yield found[1], found[3]


def lines_of(count: int, width: int = 60) -> dict[str, Any]:
    return {"data": {f"key-{number:05}": "x" * width for number in range(count)}}


def test_a_plan_that_fits_is_whole() -> None:
    text = plan_of(step(updated({}, lines_of(700))))
    ((title, body),) = blocks(text)
    assert title == "worker-node-ddagent: ConfigMap datadog/confd (update)"
    assert body.count("\n") + 1 >= 700
    assert "cut" not in text


def test_the_longest_objects_are_cut_and_every_object_is_named() -> None:
    small = updated({"data": {"a": "1"}}, {"data": {"a": "2"}}, "small")
    text = plan_of(step(updated({}, lines_of(3000), "big"), small, updated({}, lines_of(2500), "bigger")))
    assert markdown.LIMIT - 500 < len(text) <= markdown.LIMIT
    found = dict(blocks(text))
    assert [title.rpartition("/")[2] for title in found] == ["big (update)", "small (update)", "bigger (update)"]
    (kept,) = (body for title, body in found.items() if "small" in title)
    assert "! data.a: 1 → 2" in kept
    for name, total in (("big ", 3000), ("bigger", 2500)):
        (body,) = (body for title, body in found.items() if f"/{name}" in title)
        *shown, last = body.splitlines()
        more = re.fullmatch(r"… (\d+) more lines", last)
        assert more is not None
        assert len(shown) + int(more[1]) >= total
    assert "long objects are cut here: `ddhelm diff`" in text


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 1500), min_size=1, max_size=20), st.integers(1, 120), st.integers(0, 400))
def test_no_comment_is_ever_too_long_or_left_open(sizes: list[int], width: int, problems: int) -> None:
    changes = [updated({}, lines_of(size, width), f"c{number}") for number, size in enumerate(sizes)]
    text = plan_of(step(*changes), problems=problems)
    assert len(text) <= markdown.LIMIT < COMMENT
    assert len(list(blocks(text))) == len(sizes)


def test_where_not_even_the_names_fit_their_number_is_said() -> None:
    changes = [updated({}, {"a": "b"}, f"{'n' * 150}{number}") for number in range(600)]
    text = plan_of(step(*changes))
    assert len(text) <= markdown.LIMIT
    named = len(list(blocks(text)))
    assert f"{600 - named} objects are not even named" in text


def test_a_fence_or_a_tag_in_a_value_stays_inside() -> None:
    ref = ObjectRef("v1", "ConfigMap", "datadog", "<b>|&amp;")
    change = ObjectChange(ref, Action.UPDATE, difference({"a": "x"}, {"a": "```\n</details>\n````\n"}), (), {}, {})
    text = plan_of(step(change))
    assert "<summary>worker-node-ddagent: ConfigMap datadog/&lt;b>\\|&amp;amp; (update)</summary>" in text
    assert "\n`````diff\n" in text


def test_markdown_says_of_pods_what_the_table_says() -> None:
    agents = ObjectRef("apps/v1", "DaemonSet", "datadog", RELEASE.fullname)
    shown = Step(
        StepKind.UPGRADE,
        RELEASE,
        objects=(updated({}, {"data": {"a": "b"}}),),
        restarts=(Restart(agents, ("label-a", "label-b", "image", "label-c")),),
        unchanged=20,
        agents=frozenset({(agents.kind, agents.name), ("Deployment", RELEASE.cluster_agent)}),
    )
    assert (
        f"| {RELEASE.name} | upgrade | 1 update, 20 unchanged | "
        "rolls the node agents (image, label-a, label-b …), Cluster Agent not restarted |"
    ) in plan_of(shown)


def test_markdown_has_the_values_that_change_folded() -> None:
    ((title, text),) = blocks(plan_of(CHANGED))
    assert title == f"{RELEASE.name}: 3 values changed"
    assert "+ datadog.site: datadoghq.eu\n    set by prod.yaml" in text
    assert "- datadog.old: 1" in text
    assert "! datadog.conf:" in text


def test_a_value_that_goes_or_that_no_layer_sets_has_none() -> None:
    """What keeps CRDs is given by a step, not by a layer."""
    assert diff.layers_of([CHANGED], VALUES) == LAYERS
    given = Step(
        StepKind.UPGRADE, RELEASE, values_changes=difference({}, {"operator": {"datadogCRDs": {"keepCrds": True}}})
    )
    assert diff.layers_of([given], VALUES) == {}


def test_a_summary_counts_values_and_names_none() -> None:
    lines = list(diff.of_values([CHANGED], LAYERS, diff.How("summary")))
    assert [text for _, text in lines] == [f"{RELEASE.name} values", "  ~ values: 1 added, 1 changed, 1 removed"]
    assert "datadoghq.eu" not in plan_of(CHANGED, how=diff.How("summary"))
    assert "new" not in plan_of(step(updated({"a": "old"}, {"a": "new"})), how=diff.How("summary"))


def test_values_have_as_many_unchanged_lines_around_as_are_asked_for() -> None:
    def around(context: int) -> list[str]:
        lines = diff.of_values([CHANGED], LAYERS, diff.How(context=context))
        return [text.strip() for style, text in lines if style == "plain"]

    assert around(0) == []
    assert around(1) == ["a", "c"]


def test_a_list_of_which_only_the_order_changed_is_told_by_names() -> None:
    env = [{"name": name, "value": "x" * 40} for name in ("DD_TAGS", "TEAM")]
    tolerations = [{"key": key, "operator": "Exists"} for key in "ab"]
    found = difference(
        {"env": env, "tolerations": tolerations}, {"env": env[::-1], "tolerations": tolerations[::-1]}, ordered=True
    )
    assert [text for _, text in diff.fields(found)] == [
        "env: only the order changed",
        "  @@ -1,2 +1,2 @@",
        "  +TEAM",
        "   DD_TAGS",
        "  -TEAM",
        "tolerations: only the order changed",
        "  @@ -1,2 +1,2 @@",
        '  +{"key": "b", "operator": "Exists"}',
        '   {"key": "a", "operator": "Exists"}',
        '  -{"key": "b", "operator": "Exists"}',
    ]
    (changed,) = difference(
        {"initContainers": [{"name": "a", "env": env}]},
        {"initContainers": [{"name": "a", "env": env[::-1]}]},
        ordered=True,
    )
    assert next(text for _, text in diff.fields([changed])) == "initContainers[name=a].env: only the order changed"
