"""Which cluster and which namespace, found once and passed explicitly to every process.

Left to themselves helm and kubectl answer the same question differently: they read other variables, and with a broken
kubeconfig or an empty current-context they quietly talk to ``localhost:8080``. Here each answer carries its origin, and
what cannot be answered is an error before anything starts.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from msgspec import Struct

from ddhelm import wholefile
from ddhelm.errors import ClusterError, ConfigError
from ddhelm.pasting import Place, typed
from ddhelm.release import DEFAULT_NAMESPACE

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST_LABEL = 63
_LIST = "KUBECONFIG"
_TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path


class Access(Struct, frozen=True):
    """The cluster and the namespace of this run.

    ``kubeconfig`` is an absolute path, or several joined as in ``KUBECONFIG``, or None in a pod. ``context`` is ``""``
    in a pod. ``origins`` says where ``kubeconfig``, ``context`` and ``namespace`` were found, in words.
    """

    kubeconfig: str | None
    context: str
    namespace: str
    server: str
    origins: Mapping[str, str] = {}

    @property
    def in_cluster(self) -> bool:
        """Whether the pod's own service account is used."""
        return self.kubeconfig is None

    @property
    def where(self) -> str:
        """The cluster in words, for messages."""
        return f"context `{self.context}` ({self.server})" if self.context else f"the cluster ({self.server})"

    def helm_flags(self) -> tuple[str, ...]:
        """The flags that name cluster and namespace to helm."""
        return (*self.helm_context(), "--namespace", self.namespace)

    def helm_context(self) -> tuple[str, ...]:
        """The flags that name the cluster to helm."""
        return self._flags("--kube-context")

    def kubectl_flags(self) -> tuple[str, ...]:
        """The flags that name the cluster to kubectl; the namespace differs by question."""
        return self._flags("--context")

    def environment(self) -> dict[str, str]:
        """What a flag cannot carry: a list of kubeconfig files."""
        return {_LIST: self.kubeconfig} if self.kubeconfig and self._is_list() else {}

    @property
    def place(self) -> Place:
        """What a command needs, pasted, to act where this run acts; what it would find by itself is left out."""
        file = (("--kubeconfig", self.kubeconfig or ""),) if self.origins.get("kubeconfig") == "--kubeconfig" else ()
        told = self.origins.get("context")
        context = (("--context", self.context),)
        ours = context if told == "--context" else ()
        space = (("-n", self.namespace),)
        return Place(
            ddhelm=(*(space if self.origins.get("namespace") == "--namespace" else ()), *ours, *file),
            helm=(*space, *((("--kube-context", self.context),) if ours else ()), *file),
            kubectl=(*(context if told in ("--context", "HELM_KUBECONTEXT") else ()), *file),
        )

    def _flags(self, context: str) -> tuple[str, ...]:
        if self.kubeconfig is None:
            return ()
        file = () if self._is_list() else ("--kubeconfig", self.kubeconfig)
        return (*file, context, self.context)

    def _is_list(self) -> bool:
        return self.kubeconfig is not None and len(_paths(self.kubeconfig, self.origins.get("kubeconfig"))) > 1


class _Found(Struct, frozen=True):
    value: str
    origin: str


def resolve(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    namespace: str | None = None,
    environ: Mapping[str, str] | None = None,
    token_file: str = _TOKEN_FILE,
) -> Access:
    """Find kubeconfig (flag, ``KUBECONFIG``, ``~/.kube/config``, the pod's account), context and namespace.

    The arguments are what the flags said, None if they were not given. Raises ConfigError for a variable that would
    make helm look elsewhere, ClusterError if there is no usable kubeconfig or context.
    """
    source = os.environ if environ is None else environ
    refuse_foreign_variables(source)
    space = _space(namespace, source)
    files = _files(kubeconfig, source)
    if files is None:
        return _in_cluster(source, space, context, token_file)
    merged = _merge(files)
    chosen = _first(
        (context, "--context"),
        (source.get("HELM_KUBECONTEXT"), "HELM_KUBECONTEXT"),
        (merged.current, f"current-context of `{files.value}`"),
    )
    if chosen is None:
        raise ClusterError(
            f"`{files.value}` has no current-context",
            hint=typed("--context {name}", name=next(iter(merged.contexts), "NAME")),
            anchor="unknown-context",
            details=_listed(merged.contexts),
        )
    return Access(
        kubeconfig=files.value,
        context=chosen.value,
        namespace=space.value,
        server=_server(merged, chosen, files),
        origins={"kubeconfig": files.origin, "context": chosen.origin, "namespace": space.origin},
    )


def namespace_of(namespace: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """The namespace alone: what the flag said, HELM_NAMESPACE, `datadog`; ConfigError for one that cannot be."""
    return _space(namespace, os.environ if environ is None else environ).value


def _space(namespace: str | None, environ: Mapping[str, str]) -> _Found:
    found = _first((namespace, "--namespace"), (environ.get("HELM_NAMESPACE"), "HELM_NAMESPACE"))
    space = found or _Found(DEFAULT_NAMESPACE, "default")
    _refuse_bad_namespace(space)
    return space


def contexts(kubeconfig: str | None = None, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The names of all contexts that ``resolve`` could choose from; ClusterError for a broken kubeconfig."""
    files = _files(kubeconfig, os.environ if environ is None else environ)
    return tuple(_merge(files).contexts) if files else ()


def refuse_foreign_variables(environ: Mapping[str, str]) -> None:
    """Raise ConfigError for variables that send helm to another cluster, identity or store than the one shown.

    They are not passed on to helm, so going on without them would act on the wrong one.
    """
    bad = [
        f"{name} is set"
        for name, value in sorted(environ.items())
        if name.startswith("HELM_KUBE") and name != "HELM_KUBECONTEXT" and value
    ]
    driver = environ.get("HELM_DRIVER", "")
    if driver not in ("", "secret", "secrets"):
        bad.append(f"HELM_DRIVER is `{driver}`; ddhelm reads releases from Secrets only")
    if bad:
        names = " ".join(each.split()[0] for each in bad)
        raise ConfigError(
            f"`{names}` in the environment cannot be honoured",
            hint=f"unset {names}  (name cluster and identity with --kubeconfig and --context)",
            anchor="unsupported-environment",
            details=bad if len(bad) > 1 or driver else (),
        )


def _refuse_bad_namespace(space: _Found) -> None:
    """ConfigError for a name that the API server would refuse (a DNS label, RFC 1123)."""
    if len(space.value) <= _LONGEST_LABEL and _LABEL.fullmatch(space.value):
        return
    meant = re.sub(r"[^a-z0-9]+", "-", space.value.lower()).strip("-")[:_LONGEST_LABEL].strip("-")
    raise ConfigError(
        f"`{space.value}` ({space.origin}) cannot be the name of a namespace: up to {_LONGEST_LABEL} "
        "lower-case letters, digits and `-`, with a letter or digit at both ends",
        hint=f"-n {meant or DEFAULT_NAMESPACE}",
        anchor="bad-namespace",
    )


class _Merged(Struct, frozen=True):
    current: str
    contexts: Mapping[str, str]  # context → cluster
    servers: Mapping[str, str]  # cluster → server


def _first(*candidates: tuple[str | None, str]) -> _Found | None:
    for value, origin in candidates:
        if value:
            return _Found(value, origin)
    return None


def _files(flag: str | None, environ: Mapping[str, str]) -> _Found | None:
    """Paths that exist, absolute, joined as in KUBECONFIG; None without any."""
    if flag:
        if wholefile.missing(Path(flag)):
            raise ClusterError(
                f"kubeconfig `{flag}` does not exist", hint="--kubeconfig FILE", anchor="unreadable-kubeconfig"
            )
        return _Found(str(Path(flag).absolute()), "--kubeconfig")
    listed = [path for path in environ.get(_LIST, "").split(os.pathsep) if path]
    if listed:
        # client-go skips missing files of the list too
        there = [str(Path(path).absolute()) for path in listed if not wholefile.missing(Path(path))]
        if not there:
            raise ClusterError(
                f"KUBECONFIG names `{os.pathsep.join(listed)}`, which does not exist",
                hint="--kubeconfig FILE, or unset KUBECONFIG",
                anchor="unreadable-kubeconfig",
            )
        return _Found(os.pathsep.join(there), _LIST)
    with suppress(OSError):
        usual = Path(environ.get("HOME") or wholefile.path("~")) / ".kube" / "config"
        return None if wholefile.missing(usual) else _Found(str(usual), "default")
    return None


def _in_cluster(environ: Mapping[str, str], space: _Found, context: str | None, token_file: str) -> Access:
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or wholefile.missing(Path(token_file)):
        raise ClusterError(
            "no kubeconfig: `~/.kube/config` does not exist and KUBECONFIG is not set",
            hint="--kubeconfig FILE",
            anchor="no-kubeconfig",
        )
    if context:
        raise ClusterError(
            f"context `{context}` needs a kubeconfig, and there is none in this pod",
            hint="--kubeconfig FILE",
            anchor="unknown-context",
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    pod = "the pod's service account"
    return Access(None, "", space.value, server, {"kubeconfig": pod, "context": pod, "namespace": space.origin})


def _read(path: str) -> Mapping[str, Any]:
    from ddhelm import goyaml  # here: commands that ask no cluster do not pay for it

    try:
        tree = goyaml.load(Path(path).read_bytes(), [])
    except (OSError, goyaml.YamlError) as error:
        look = "ls -l {path}" if isinstance(error, OSError) else "kubectl config view --kubeconfig {path}"
        raise ClusterError(
            f"kubeconfig `{path}` cannot be read: {_reason(error)}",
            hint=typed(look, path=path),
            anchor="unreadable-kubeconfig",
        ) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ClusterError(
            f"kubeconfig `{path}` is not a kubeconfig: no `clusters:` and `contexts:` in it",
            hint="--kubeconfig FILE",
            anchor="unreadable-kubeconfig",
        )
    return tree


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    # never the error's own text: it may quote a token
    line = getattr(error, "line", 0)
    return f"no YAML at line {line}" if line else "no YAML"


def _paths(kubeconfig: str, origin: str | None) -> list[str]:
    """The files: only the variable holds a list, `--kubeconfig` is one path to kubectl and helm, colons and all."""
    return kubeconfig.split(os.pathsep) if origin == _LIST else [kubeconfig]


def _merge(files: _Found) -> _Merged:
    """As client-go merges: for each name, and for current-context, the first file that has it wins."""
    current = ""
    contexts: dict[str, str] = {}
    servers: dict[str, str] = {}
    for tree in map(_read, _paths(files.value, files.origin)):
        current = current or _text(tree.get("current-context"))
        for name, body in _entries(tree, "contexts", "context"):
            contexts.setdefault(name, _text(body.get("cluster")))
        for name, body in _entries(tree, "clusters", "cluster"):
            servers.setdefault(name, _text(body.get("server")))
    if not contexts:
        raise ClusterError(
            f"kubeconfig `{files.value}` holds no context", hint="--kubeconfig FILE", anchor="unreadable-kubeconfig"
        )
    return _Merged(current, contexts, servers)


def _entries(tree: Mapping[str, Any], group: str, key: str) -> list[tuple[str, Mapping[str, Any]]]:
    entries = tree.get(group)
    return [
        (str(entry["name"]), entry[key])
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and "name" in entry and isinstance(entry.get(key), dict)
    ]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _server(merged: _Merged, chosen: _Found, files: _Found) -> str:
    if chosen.value not in merged.contexts:
        close = get_close_matches(chosen.value, merged.contexts, n=1)
        raise ClusterError(
            f"context `{chosen.value}` ({chosen.origin}) is not in `{files.value}`",
            hint=typed("--context {name}", name=(close or list(merged.contexts))[0]),
            anchor="unknown-context",
            details=_listed(merged.contexts),
        )
    cluster = merged.contexts[chosen.value]
    server = merged.servers.get(cluster, "")
    if not server:
        raise ClusterError(
            f"context `{chosen.value}` names the cluster `{cluster}`, which has no server in `{files.value}`",
            hint=typed("KUBECONFIG={files} kubectl config view", files=files.value)
            if files.origin == _LIST
            else typed("kubectl config view --kubeconfig {file}", file=files.value),
            anchor="unreadable-kubeconfig",
        )
    return server


def _listed(contexts: Mapping[str, str]) -> tuple[str, ...]:
    shown = [f"context {name}" for name in list(contexts)[:10]]
    return (*shown, f"and {len(contexts) - 10} more") if len(contexts) > 10 else tuple(shown)
