"""Completes the commands in a hint, so that pasted they act on the cluster and namespace that this run acted on.

A hint is written where neither is known (`ddhelm status`, ``helm rollback NAME 3``). What this run was told by flags
the next one must be told too; helm and kubectl besides know nothing of ddhelm's default namespace, and kubectl nothing
of ``HELM_KUBECONTEXT``. Flags go behind the verb, since prose may follow the command; in backticks, which end it, they
go last. One that is there stays.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

VERBS = (
    "apply",
    "certs import",
    "certs issue",
    "certs plan",
    "certs rotate",
    "certs verify",
    "check",
    "detect",
    "diff",
    "diff revision",
    "diff values",
    "diff versions",
    "drift",
    "history",
    "onboard",
    "plan",
    "rollback",
    "rotate",
    "status",
    "support-dump",
    "uninstall",
    "unlock",
    "upgrade",
    "values",
    "verify",
)
"""The commands of ddhelm that take the flags of a cluster; a test holds them against the command line."""

_HELM = "get history list mapkubeapis rollback status uninstall"  # of a plugin's flags helm takes these itself
_KUBECTL = (
    "-n annotate api-resources auth config cordon cp create delete describe drain edit events exec explain get label "
    "logs patch rollout scale taint uncordon version wait"
)
_LONGEST_FIRST = sorted(VERBS, key=len, reverse=True)
_COMMAND = re.compile(
    rf"(?<![\w/.`-])`?(?:(?P<ddhelm>ddhelm (?:{'|'.join(_LONGEST_FIRST)}))"
    rf"|(?P<helm>helm (?:{_HELM.replace(' ', '|')}))"
    rf"|(?P<kubectl>kubectl)(?= (?:{_KUBECTL.replace(' ', '|')})(?![\w-])))(?![\w-])"
    r"(?P<rest>(?:(?<=[\s=])'[^']*'(?:\"'\"'[^']*')*|[^;,()`|])*)"
)
_QUOTED = re.compile(r"`[^`]+`")
_SAME = {
    "-n": ("-n", "--namespace"),
    "--context": ("--context", "--kube-context"),
    "--kube-context": ("--context", "--kube-context"),
    "--kubeconfig": ("--kubeconfig",),
}


def typed(template: str, /, **words: str) -> str:
    """A command to type: the template with its fields filled in, each quoted for a shell where that is needed.

    For whatever a cluster or a tool wrote: an annotation is any text, and the hint that shows it will be pasted.
    """
    return template.format_map(quoted(words))


def quoted(words: Mapping[str, str]) -> dict[str, str]:
    """The fields of a command, each as one word for a shell; an empty one stays empty."""
    return {name: _quoted(word) if word else "" for name, word in words.items()}


class Place(NamedTuple):
    """The flags, as (flag, value), that bring each tool to the cluster and namespace of this run."""

    ddhelm: tuple[tuple[str, str], ...] = ()
    helm: tuple[tuple[str, str], ...] = ()
    kubectl: tuple[tuple[str, str], ...] = ()


def complete(text: str, place: Place) -> str:
    """The text of a hint with every command of ddhelm, helm and kubectl in it brought to that place."""

    def completed(found: re.Match[str]) -> str:
        tool = next(name for name, command in found.groupdict().items() if command)
        given = found["rest"].split()
        if "--help" in given:
            return found[0]
        flags = [
            f"{flag} {_quoted(value)}"
            for flag, value in getattr(place, tool)
            if not any(word.split("=")[0] in _SAME[flag] for word in given)
            and not (tool == "kubectl" and flag == "--context" and given[0] == "config")
            # a plan file says itself where it belongs
            and not (found[0].startswith("ddhelm apply ") and flag == "-n")
        ]
        added = "".join(f" {flag}" for flag in flags)
        if found[0].startswith("`"):
            return found[0] + added
        return f"{found[tool]}{added}{found['rest']}"

    return _COMMAND.sub(completed, text)


def complete_quoted(text: str, place: Place) -> str:
    """The same for a sentence, where only what stands in backticks is a command."""
    return _QUOTED.sub(lambda found: complete(found[0], place), text)


def has_command(text: str) -> bool:
    """Whether something stands in a text that would be pasted."""
    return _COMMAND.search(text) is not None


def _quoted(value: str) -> str:
    import shlex  # here: only a hint that is completed pays for it

    return shlex.quote(value)
