"""The commands page names every command and flag there is, and no page names one that there is not."""

import re

import pytest

from tests.docs.commandline import Verb, verbs
from tests.docs.pages import Command, Page, anchor, every_page, page

COMMANDS = "docs/reference/commands.md"
VERBS = verbs()
EVERYWHERE = {"--help", "-h"}


def documented(name: str) -> set[str]:
    """The flags in the tables of a command's section and of the sections that it sends the reader to."""
    commands = page(COMMANDS)
    section = commands.section(f"ddhelm {name}")
    shared = [
        heading for heading in commands.headings if f"](#{anchor(heading)})" in section and heading[:7] != "ddhelm "
    ]
    texts = [section, *(commands.section(heading) for heading in shared)]
    return {flag for text in texts for flag in flags_in_tables(text)}


def flags_in_tables(text: str) -> list[str]:
    first_cells = re.findall(r"^\| *(`-[^|]*)\|", text, re.MULTILINE)
    return [flag for cell in first_cells for flag in re.findall(r"`(-[^`]+)`", cell)]


@pytest.mark.parametrize("verb", [verb for verb in VERBS.values() if verb.name], ids=lambda verb: verb.name)
def test_every_command_and_each_of_its_flags_has_help_and_stands_on_the_page(verb: Verb) -> None:
    assert verb.help, "no help"
    assert all(flag.help for flag in verb.flags), [flag.names for flag in verb.flags if not flag.help]
    if verb.stands_alone:
        assert documented(verb.name) == set(verb.spellings) - EVERYWHERE


def test_no_heading_of_the_page_is_a_command_that_does_not_exist() -> None:
    headings = {heading.removeprefix("ddhelm ") for heading in page(COMMANDS).headings if heading.startswith("ddhelm ")}
    assert headings == {name for name, verb in VERBS.items() if name and verb.stands_alone}


def test_the_table_on_top_of_the_page_has_every_command() -> None:
    text = page(COMMANDS).text
    rows = set(re.findall(r"^\| \[`([a-z -]+)`\]\(#ddhelm-", text, re.MULTILINE))
    headings = {heading.removeprefix("ddhelm ") for heading in page(COMMANDS).headings if heading.startswith("ddhelm ")}
    assert rows >= {heading for heading in headings if " " not in heading}


def problem(command: Command) -> str:
    """What is wrong with a command line of ddhelm in the docs; empty if nothing is."""
    words = command.words
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if not words or words[0] != "ddhelm":
        return ""
    name, rest = "", words[1:]
    while rest and rest[0] in VERBS[name].verbs:
        name, rest = f"{name} {rest[0]}".strip(), rest[1:]
    if not name and not (rest and (rest[0].startswith("-") or rest[0].isupper())):
        return f"no command `{' '.join(words[:2])}`"
    known = VERBS[name].spellings
    for word in rest:
        if word in {"|", "&&", "||", ">", ";"}:
            break
        flag = word.partition("=")[0]
        if flag.startswith("-") and flag != "-" and flag not in known and flag not in EVERYWHERE:
            return f"`ddhelm {name}` has no flag `{flag}`"
    return ""


@pytest.mark.parametrize("page", every_page(), ids=lambda page: page.name)
def test_every_ddhelm_command_in_the_docs_exists_with_its_flags(page: Page) -> None:
    found = {f"{page.name}:{command.line}": problem(command) for command in page.commands}
    assert not {place: what for place, what in found.items() if what}


OTHERS = {
    "--authentication-kubeconfig": "kube-scheduler, kube-controller-manager",
    "--authorization-kubeconfig": "kube-scheduler, kube-controller-manager",
    "--enable-worker": "k0s controller",
}
"""Flags of other programs that the docs speak of."""


def test_flags_in_running_text_are_flags_of_ddhelm_or_of_a_tool_on_the_list() -> None:
    ours = {name for verb in VERBS.values() for name in verb.spellings} | EVERYWHERE
    named: set[str] = set()
    for found in every_page():
        for words in re.findall(r"`(ddhelm [^`]+)`", found.prose):
            assert not problem(Command(words, 0)), f"{found.name}: {words}"
        named |= set(re.findall(r"`(--[a-z-]+)", found.prose))
    assert named - ours == set(OTHERS)
