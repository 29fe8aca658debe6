"""Claims on what the pods need: Secrets with their keys, files that check configurations name, and being let in."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import basename, normpath

from ddhelm import goyaml, podsecrets, secretneeds
from ddhelm.claim import (
    Caution,
    Claim,
    Finding,
    ProofContext,
    ReleaseView,
    Remark,
    Severity,
    Undecided,
    pod_spec,
    pod_template,
)
from ddhelm.etcd import OWN
from ddhelm.manifest import Object
from ddhelm.pasting import typed
from ddhelm.podsecurity import LABEL, level_of, violations
from ddhelm.release import SECRET
from ddhelm.tree import Tree, get

PATH_KEYS = (
    "tls_ca_cert", "tls_cert", "tls_private_key", "ssl_ca_cert", "ssl_cert", "ssl_private_key", "bearer_token_path",
)  # fmt: skip
"""Keys of check instances that name files (datadog_checks_base, HTTP and OpenMetrics options)."""

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Public CAs of the agent's own image (gcr.io/datadoghq/agent 7, an Ubuntu), and those that its Python brings.
_OF_THE_IMAGE = ("/etc/ssl/certs/", "/usr/share/ca-certificates/", "/opt/datadog-agent/embedded/")
_ACCOUNT_FILES = frozenset({"token", "ca.crt", "namespace"})
# Where distributions keep the keys of the control plane (their documentation and sources; datadog distribution layers).
_KEY_FOLDERS = (
    "/etc/kubernetes",
    "/etc/kubernetes/pki",
    "/srv/kubernetes",
    "/var/lib/rancher/rke2/server/tls",
    "/var/lib/rancher/k3s/server/tls",
    "/var/lib/k0s/pki",
    "/var/snap/microk8s/current/certs",
    "/var/snap/microk8s/current/credentials",
    "/system/secrets",
    "/etc/ssl/etcd",
    "/etc/etcd",
    "/var/lib/minikube/certs",
)
_CA_KEY = re.compile(r"(^|/)(ca|sa|[\w-]*-ca|service-account|service\.current|service)\.key$")
_WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet", "Job")


def secrets_exist(context: ProofContext) -> Iterator[Finding]:
    """Each Secret and key that a pod needs, and that is not optional, is there or is written before the releases.

    The kubelet does not start a container without it (``CreateContainerConfigError``), and says so in an event only.
    """
    if context.live.secrets is None and not context.missing_namespace:
        raise Undecided("the Secrets of the namespace were not read")
    known = {name: set(keys) for name, keys in (context.live.secrets or {}).items()}
    for name, keys in context.writes.items():
        if keys:
            known.setdefault(name, set()).update(keys)
    for release in context.releases:
        for obj in release.manifest.of_kind("Secret"):
            data = {**(obj.body.get("data") or {}), **(obj.body.get("stringData") or {})}
            known.setdefault(obj.ref.name, set()).update(data)
    missing: dict[tuple[str, str], list[str]] = {}
    for release in context.releases:
        for obj in release.manifest.of_kind(*_WORKLOADS):
            for use in podsecrets.uses(pod_spec(obj)):
                if not use.optional and not _there(use, known):
                    missing.setdefault((use.name, use.key), []).append(str(obj.ref))
    for name in dict.fromkeys(name for name, _ in missing):
        read_by = {key: users for (of, key), users in missing.items() if of == name}
        need = secretneeds.of(name, context)
        # of a Secret that the distribution needs, `requirements` knows where it comes from: one way, not two
        if name not in known:
            who = _in_need(user for users in read_by.values() for user in users)
            way = secretneeds.way(need, context) if need else _made_by(context, name, [*read_by])
            yield Finding(f"Secret `{name}` is not there; {who}", way)
            continue
        for key, users in read_by.items():
            who = _in_need(users)
            look = typed("kubectl -n {space} describe secret {name}", space=context.namespace, name=name)
            lacks = f"key `{key}` of Secret `{name}` is not there" if key else f"Secret `{name}` is empty"
            yield Finding(f"{lacks}; {who}", secretneeds.way(need, context) if need else look)


def _in_need(users: Iterable[str]) -> str:
    """`DaemonSet a needs it`, `DaemonSet a, Deployment b need it`."""
    named = tuple(dict.fromkeys(users))
    return f"{', '.join(named)} {'need' if named[1:] else 'needs'} it"


def _there(use: podsecrets.Use, known: Mapping[str, set[str]]) -> bool:
    """Whether the Secret has the key; where no key is named, whether it has any."""
    return use.key in known.get(use.name, ()) if use.key else bool(known.get(use.name))


def _made_by(context: ProofContext, name: str, keys: Sequence[str]) -> str:
    """What makes a Secret that is not there."""
    if name == SECRET:
        return "ddhelm onboard"
    if set(keys) <= {basename(path) for path in OWN.values()}:
        return typed("ddhelm certs import --dir DIR --secret {name}", name=name)
    # without a file the Secret would be empty, and this claim green
    files = "".join(f" --from-file={key or 'KEY'}=FILE" for key in [key for key in keys if key] or [""])
    made_first = secretneeds.made_first(context)
    return f"{made_first}kubectl -n {context.namespace} create secret generic {name}{files}"


def check_files_readable(context: ProofContext) -> Iterator[Finding]:
    for release in context.releases:
        for agent in release.agents():
            for file, path in named_paths(release, agent):
                if isinstance(path, Finding):
                    yield path
                elif problem := _not_covered(agent, path, context, release):
                    yield Finding(f"`{file}` of `{release.name}` names `{path}`: {problem}")


def host_files(context: ProofContext) -> Iterator[Finding]:
    """Each file that a check reads from the host is mounted alone, with a type that does not make a folder of it.

    ``DirectoryOrCreate`` makes one, and so do container runtimes where the type is left out (Kubernetes: hostPath
    volume types). Whether the file is there is a remark: the API does not show it.
    """
    for release in context.releases:
        for agent in release.agents():
            seen = set()
            for file, path in named_paths(release, agent):
                mounted = None if isinstance(path, Finding) else mounted_at(agent, str(path))
                if mounted is None or not mounted[1].get("hostPath") or path in seen:
                    continue
                seen.add(path)
                mount, volume = mounted
                host, kind = str(volume["hostPath"].get("path")), str(volume["hostPath"].get("type") or "")
                if normpath(str(mount.get("mountPath"))) != path:
                    yield Finding(f"`{file}` reads `{path}` from a whole folder of the host, `{host}`")
                elif not _is_one_file(volume, context):
                    yield Finding(
                        f"`{host}` is mounted with type `{kind}`: where there is no such file, a folder is made"
                    )
                else:
                    yield Remark(f"`{host}` on the nodes of `{release.name}`: unverified")


def _is_one_file(volume: Tree, context: ProofContext) -> bool:
    source = volume.get("hostPath") or {}
    return source.get("type") in {"File", "Socket", "CharDevice"} or source.get("path") in context.untyped_files


def no_key_folder(context: ProofContext) -> Iterator[Finding]:
    """No pod mounts a folder in which a distribution keeps private keys, or the key of a CA."""
    for release in context.releases:
        for obj in release.manifest.of_kind(*_WORKLOADS):
            for volume in pod_spec(obj).get("volumes") or ():
                host = normpath(str(get(volume, ("hostPath", "path")) or "/"))
                if host == "/":
                    continue
                single = _is_one_file(volume, context)
                if not single and any(host == f or host.startswith(f"{f}/") for f in _KEY_FOLDERS):
                    yield Finding(f"{obj.ref} mounts the folder `{host}` of the host, with the keys in it")
                if single and _CA_KEY.search(host):
                    yield Finding(f"{obj.ref} mounts `{host}`, with which anybody can be signed into the cluster")


def pods_admitted(context: ProofContext) -> Iterator[Finding]:
    """The namespace's Pod Security level (``enforce``) admits each pod template; what is read is ``podsecurity``.

    Where it has no label, that is the level of the distribution. Whether one that only some of its clusters enforce
    is enforced here shows once a release is installed.
    """
    labels = context.live.namespace_labels
    if labels is None:
        if context.missing_namespace:
            return
        raise Undecided(f"the labels of namespace `{context.namespace}` were not read")
    default = None if LABEL in labels else context.pod_security
    if default is not None and context.namespace in default.exempt:
        return
    level = default.level if default else level_of(labels)
    whose = f", which {default.by or 'this distribution'} enforces in a namespace without a label," if default else ""
    kind = Remark if context.label_namespace else Caution if default and default.by else Finding
    by_hand = f"kubectl label namespace {context.namespace} --overwrite {LABEL}=privileged"
    for release in context.releases:
        if kind is Caution and release.stored is not None:
            continue
        for obj in release.manifest.of_kind(*_WORKLOADS):
            found = violations(pod_template(obj), level)
            if found:
                text = f"`{level}`{whose} forbids the pods of {obj.ref}: {', '.join(found)}"
                yield kind(text, f"--label-namespace, or by hand: {by_hand}")


def named_paths(
    release: ReleaseView, agent: Object, keys: Sequence[str] = PATH_KEYS
) -> Iterator[tuple[str, str | Finding]]:
    """Each path that a check file of the agent's pods names in one of ``keys``, with the file.

    A Finding stands for a file that is no YAML.
    """
    for file, found in instances(release, agent):
        if isinstance(found, Finding):
            yield file, found
            continue
        for key in keys:
            value = found.get(key)
            if isinstance(value, str) and value and "%%" not in value:
                yield file, normpath(value)


def instances(release: ReleaseView, agent: Object) -> Iterator[tuple[str, Tree | Finding]]:
    """Each instance of a check file of the agent's pods, with the file; not masked, so no text of it may be shown that
    could hold a secret. A Finding stands for a file that is no YAML.
    """
    volumes = {get(volume, ("configMap", "name")) for volume in pod_spec(agent).get("volumes") or ()}
    for obj in release.manifest.of_kind("ConfigMap"):
        if obj.ref.name not in volumes:
            continue
        # Unmasked, because a mask is no YAML.
        for file, text in (obj.unmasked().get("data") or {}).items():
            if not isinstance(text, str) or not str(file).endswith((".yaml", ".yml")) or "instances" not in text:
                continue
            try:
                tree = goyaml.load(text)
            except goyaml.YamlError as error:
                problem = f"`{file}` of `{release.name}` is no YAML: line {error.line}: {error.problem}"
                yield str(file), Finding(problem)
                continue
            found = get(tree, ("instances",)) or []
            if not isinstance(found, list):
                yield str(file), Finding(f"`{file}` of `{release.name}`: `instances` is no list")
                continue
            yield from ((str(file), instance) for instance in found if isinstance(instance, dict))


def _not_covered(agent: Object, path: str, context: ProofContext, release: ReleaseView) -> str:
    """Why a path is not in the agent's container, or nothing."""
    folder, _, name = path.rpartition("/")
    if folder == _ACCOUNT and name in _ACCOUNT_FILES:
        off = pod_spec(agent).get("automountServiceAccountToken") is False
        return "the pod mounts no service account token" if off and mounted_at(agent, path) is None else ""
    mounted = mounted_at(agent, path)
    if mounted is None:
        return "" if path.startswith(_OF_THE_IMAGE) else "no volume is mounted there"
    mount, volume = mounted
    below = path.removeprefix(normpath(str(mount.get("mountPath")))).strip("/")
    inside = "/".join(part for part in (str(mount.get("subPath") or ""), below) if part)
    if "hostPath" in volume:
        return ""
    for source, kind in ((volume.get("secret"), "Secret"), (volume.get("configMap"), "ConfigMap")):
        if source is not None:
            return _not_in_source(source, kind, inside, context, release)
    if "projected" in volume or "csi" in volume or "persistentVolumeClaim" in volume:
        return ""
    return "the volume mounted there is empty at start"


def _not_in_source(source: Tree, kind: str, inside: str, context: ProofContext, release: ReleaseView) -> str:
    name = str(source.get("secretName") or source.get("name"))
    items = source.get("items")
    if items:
        files = {str(item.get("path")) for item in items}
        return "" if inside in files else f"{kind} `{name}` is mounted there without `{inside}`"
    if kind == "Secret":
        keys = (context.live.secrets or {}).get(name)
        return f"Secret `{name}` has no key `{inside}`" if keys is not None and inside not in keys else ""
    maps = [obj for obj in release.manifest.of_kind("ConfigMap") if obj.ref.name == name]
    missing = maps and inside not in (maps[0].body.get("data") or {})
    return f"ConfigMap `{name}` has no key `{inside}`" if missing else ""


def mounted_at(agent: Object, path: str) -> tuple[Tree, Tree] | None:
    """The mount of the agent's container that holds a path (the longest one), and its volume."""
    pod = pod_spec(agent)
    volumes = {volume.get("name"): volume for volume in pod.get("volumes") or ()}
    best: tuple[Tree, Tree] | None = None
    for container in pod.get("containers") or ():
        if container.get("name") != "agent":
            continue
        for mount in container.get("volumeMounts") or ():
            at = normpath(str(mount.get("mountPath")))
            holds = path == at or path.startswith(f"{at}/")
            if holds and mount.get("name") in volumes and (best is None or len(at) > len(best[0]["mountPath"])):
                best = (mount, volumes[mount.get("name")])
    return best


CLAIMS = (
    Claim(
        "secrets-exist",
        "every Secret that a pod names is there, with the key",
        Severity.FATAL,
        "kubectl create secret, or name another one with --api-key-secret",
        "secret-missing",
        secrets_exist,
    ),
    Claim(
        "check-files-readable",
        "every file that a check names is mounted into the agent",
        Severity.FATAL,
        "mount it: `agents.volumes` and `agents.volumeMounts`, single file, hostPath with `type: File`",
        "check-file-not-mounted",
        check_files_readable,
    ),
    Claim(
        "host-files-are-files",
        "host files are mounted one by one, as files",
        Severity.FATAL,
        "mount the single file, with `hostPath.type: File`",
        "host-file-type",
        host_files,
    ),
    Claim(
        "no-key-folder",
        "no folder with the control plane's keys is mounted",
        Severity.FATAL,
        "mount the single files that a check reads, with `hostPath.type: File`",
        "key-folder-mounted",
        no_key_folder,
    ),
    Claim(
        "pods-admitted",
        "the namespace's pod security level lets the pods in",
        Severity.FATAL,
        "--label-namespace",
        "pod-security",
        pods_admitted,
    ),
)
