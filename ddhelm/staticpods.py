"""Static pods of the control plane and the flags of the processes in them.

What a component's own command line says about ports, addresses and certificates is the truth; what a distribution
documents is only the second best. The command lines come wrapped: kOps starts components under ``/go-runner``, its
etcd under ``/bin/sh -c "mkfifo …; exec /etcd-manager … > /tmp/pipe"``, RKE2 splits command and args.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from itertools import dropwhile, groupby
from typing import Any

from msgspec import Struct

_SHELLS = {"sh", "bash", "dash", "ash", "busybox"}
_OPERATORS = set("();<>|&\n")
# go-runner's flags without a value: what follows them is the program.
_SWITCHES = {"--also-stdout", "--redirect-stderr"}
_COMMENT = re.compile(r"(?m)^[ \t]*#.*")
_ROUGHLY = re.compile(r"\n|\S+")
# pflag's slice flags: given twice they add up; any other flag given twice takes its last value.
_ADDING_UP = {"etcd-servers", "etcd-servers-overrides", "authorization-always-allow-paths"}
# The few variables that say where a component listens. Others may hold cloud credentials (etcd-manager's do).
_VARIABLES = ("ETCD_LISTEN_METRICS_URLS", "ETCD_LISTEN_CLIENT_URLS", "ETCD_CONFIG_FILE")
_SECRET_FLAG = re.compile(r"(?i)^--?[a-z-]*(token|password|secret)[a-z-]*(?<!-file)(=|$)")
_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class StaticPod(Struct, frozen=True):
    """One mirror pod of a control-plane component.

    ``component`` is the value of its ``component`` or ``k8s-app`` label (``kube-apiserver``, ``etcd-manager-events``),
    ``args`` the whole command line with ``$(VARIABLE)`` filled in, ``mounts`` pairs of container path and host path,
    ``address`` the node's IP as the pod's status tells it.
    """

    component: str
    node: str
    name: str = ""
    image: str = ""
    args: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    mounts: tuple[tuple[str, str], ...] = ()
    host_network: bool = True
    address: str = ""

    @property
    def flags(self) -> Mapping[str, str]:
        """Flag name without dashes → value; a bare flag is ``true``; of flags given twice see ``flags``."""
        return flags(self.args, self.component)

    def variable(self, name: str) -> str | None:
        """The value of an environment variable, None where it is not set or not one of those that are kept."""
        return (self.environment or {}).get(name)

    def host_path(self, path: str) -> str | None:
        """The path on the node that ``path`` in the container stands for, None where no hostPath volume covers it."""
        best: tuple[int, str] | None = None
        for inside, outside in self.mounts:
            if path == inside or path.startswith(inside.rstrip("/") + "/"):
                found = (len(inside), outside.rstrip("/") + path[len(inside.rstrip("/")) :])
                best = max(best, found) if best else found
        return best[1] if best else None


def flags(args: Iterable[str], component: str) -> dict[str, str]:
    """The flags of ``component`` in a command line: `--name=value`, `--name value`, `-name=value`, bare `--name`.

    Underscores count as dashes, as in Kubernetes' own parsing. What stands before the component's binary (a wrapper
    and the wrapper's flags) and after a shell operator is not the component's.
    """
    found: dict[str, str] = {}
    for name, value in _pairs(_own_words(list(args), component)):
        key = name.replace("_", "-").lstrip("-")
        found[key] = f"{found[key]},{value}" if key in _ADDING_UP and key in found else value
    return found


def parse(pod: Mapping[str, Any]) -> StaticPod | None:
    """A pod as the API gives it, None if it is no mirror pod (an operator's own etcd in kube-system is none)."""
    metadata = _mapping(pod.get("metadata"))
    if "kubernetes.io/config.mirror" not in _mapping(metadata.get("annotations")):
        return None
    labels = _mapping(metadata.get("labels"))
    spec, status = _mapping(pod.get("spec")), _mapping(pod.get("status"))
    component = str(labels.get("component") or labels.get("k8s-app") or "")
    container = _container(spec, component)
    address = str(status.get("hostIP") or "")
    variables = _variables(container, address)
    words = [*_strings(container.get("command")), *_strings(container.get("args"))]
    return StaticPod(
        component=component,
        node=str(spec.get("nodeName") or ""),
        name=str(metadata.get("name") or ""),
        image=str(container.get("image") or ""),
        args=tuple(_without_secrets(_REFERENCE.sub(lambda m: variables.get(m[1], m[0]), word) for word in words)),
        environment={name: variables[name] for name in _VARIABLES if name in variables} or None,
        mounts=_mounts(spec, container),
        host_network=spec.get("hostNetwork") is True,
        address=address,
    )


def _container(spec: Mapping[str, Any], component: str) -> Mapping[str, Any]:
    # kOps' kube-apiserver pod has a health-check proxy beside it, so the first container is not always the one.
    containers = [c for c in spec.get("containers") or () if isinstance(c, Mapping)]
    names = {component, component.removesuffix("-main").removesuffix("-events")}
    return next((c for c in containers if c.get("name") in names), containers[0] if containers else {})


def _variables(container: Mapping[str, Any], address: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for variable in container.get("env") or ():
        if not isinstance(variable, Mapping):
            continue
        field = _mapping(_mapping(variable.get("valueFrom")).get("fieldRef")).get("fieldPath")
        if field in {"status.hostIP", "status.podIP"}:  # the same for a pod on the host network
            values[str(variable.get("name"))] = address
        elif isinstance(variable.get("value"), str):
            values[str(variable.get("name"))] = variable["value"]
    return values


def _mounts(spec: Mapping[str, Any], container: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    paths = {
        volume.get("name"): str(_mapping(volume.get("hostPath")).get("path"))
        for volume in spec.get("volumes") or ()
        if isinstance(volume, Mapping) and _mapping(volume.get("hostPath")).get("path")
    }
    return tuple(
        sorted(
            (str(mount["mountPath"]), paths[mount.get("name")])
            for mount in container.get("volumeMounts") or ()
            if isinstance(mount, Mapping)
            and mount.get("name") in paths
            and mount.get("mountPath")
            # a subPath mount shows another part of the volume: nothing of ours uses one
            and not mount.get("subPath")
        )
    )


def _without_secrets(words: Iterable[str]) -> Iterator[str]:
    hide_next = False
    for word in words:
        if hide_next and not word.startswith("-"):
            yield "***"
            hide_next = False
        elif match := _SECRET_FLAG.match(word):
            hide_next = match[2] == ""
            yield word if hide_next else f"{word[: match.end()]}***"
        else:
            hide_next = False
            yield word


def _own_words(words: list[str], component: str) -> list[str]:
    """The words after the component's binary, up to a shell operator; of several such commands the one with most flags.

    Of a program of another name all words count, the program's own too.
    """
    if words and words[0].rpartition("/")[2] in _SHELLS:
        scripts = dropwhile(lambda word: word.startswith("-"), words[1:])
        words = [part for word in scripts for part in _shell_words(word)]
    commands = [list(group) for operator, group in groupby(words, key=_is_operator) if not operator]
    binaries = {component, "etcd-manager"} if component.startswith("etcd-manager") else {component}
    own = [
        command[index + 1 :]
        for command in commands
        for index, word in enumerate(command)
        if word.rpartition("/")[2] in binaries and not _is_of_a_flag(command, index)
    ]
    # A script names the component before it starts it, too: `mkdir -p /var/lib/etcd`.
    return max(own or commands, key=lambda command: sum(word.startswith("-") for word in command), default=[])


def _is_of_a_flag(words: list[str], index: int) -> bool:
    """Whether a word that ends like a program may be a flag or its value: `--data-dir=/var/lib/etcd`."""
    before = words[index - 1] if index else ""
    takes_it = before.startswith("-") and "=" not in before and before not in {"--", *_SWITCHES}
    return words[index].startswith("-") or takes_it


def _is_operator(word: str) -> bool:
    return bool(word) and set(word) <= _OPERATORS


def _shell_words(script: str) -> list[str]:
    script = _COMMENT.sub("", script).replace("\\\n", "")
    lexer = shlex.shlex(script, posix=True, punctuation_chars="".join(sorted(_OPERATORS)))
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:  # a quote that is never closed: still better read roughly than not at all
        return _ROUGHLY.findall(script)


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word == "--":
            return
        name = word.lstrip("-")
        if not word.startswith("-") or not name:
            continue
        if "=" in name:
            name, _, value = name.partition("=")
            yield name, value
        elif index < len(words) and not words[index].startswith("-"):
            yield name, words[index]
            index += 1
        else:
            yield name, "true"


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
