"""Which ways lead to etcd's metrics in this cluster, the one to take first, and what each lets its holder do."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ddhelm import profile
from ddhelm.actions import certs
from ddhelm.actions.reading import all_known, earlier, read, standing
from ddhelm.actions.session import Session
from ddhelm.controlplane import LeftOut
from ddhelm.etcd import CLUSTER_TAG, FILES
from ddhelm.profile import Profile
from ddhelm.settings import Settings
from ddhelm.tree import Tree

Name = Literal["listener", "files", "own", "none"]

_ROOT = "whoever holds an etcd client certificate reads and writes everything in the cluster"
_MEANS: dict[Name, str] = {
    "listener": "on 127.0.0.1 it answers metrics and health to processes of the node, and nothing else",
    "files": f"{_ROOT}; these are on the nodes already, and the agents see them too",
    "own": f"{_ROOT}; one more of them, in a Secret: whoever may read Secrets in that namespace holds it",
    "none": "nothing is asked, nothing can leak; etcd's dashboard stays empty",
}
TITLES: dict[Name, str] = {
    "listener": "plaintext metrics listener",
    "files": "certificates on the nodes",
    "own": "certificate of your own, in a Secret",
    "none": "no check of etcd",
}


class Way(Struct, frozen=True):
    """One way. ``here``: whether this cluster has it; ``found`` says where by what, or why not.

    ``command`` is what to type for it, empty where no command chooses it. ``files`` are those of the nodes that the
    agents would be given, as paths there.
    """

    name: Name
    here: bool
    found: tuple[str, ...]
    means: str
    command: str
    recommended: bool = False
    used: bool = False
    files: tuple[str, ...] = ()


class Ways(Struct, frozen=True):
    """All ways, the recommended one first; ``why_none`` where the control plane is not visible at all."""

    distribution: str
    ways: tuple[Way, ...]
    why_none: str = ""


def look(session: Session) -> Ways:
    """Reads the cluster and says which ways there are; writes nothing."""
    cluster = read(session)
    known = all_known(session, cluster)
    left = earlier(known)
    stored = left.settings

    def by(*, own: bool = False, listener: bool = True) -> Profile:
        return profile.of(
            cluster.facts,
            session.library.distributions(),
            node_kinds=session.library.node_kinds(),
            override=stored.distribution,
            remembered=left.facts,
            own_certificate=own,
            without_listener=not listener,
        )

    usual = by()
    if usual.managed:
        return Ways(usual.title, (), usual.why_managed)
    used: Name | None = None
    if standing(known):
        used = "none" if "etcd" in stored.drop_checks else "own" if stored.etcd_secret else _kind(usual)
    return Ways(usual.title, of(usual, by(listener=False), by(own=True), used, stored))


def of(usual: Profile, without_listener: Profile, own: Profile, used: Name | None, stored: Settings) -> tuple[Way, ...]:
    """The ways, from what etcd is asked by each of them; ``used``: the one that the releases take now.

    ``stored``: what they remember, which the commands keep or take back.
    """
    secret = certs.SUGGESTED
    own_steps = (
        "ddhelm certs issue --csr-only --out etcd-certs; signed by etcd's CA: ddhelm certs import --dir etcd-certs "
        f"--cert CERT --ca CA --secret {secret}; ddhelm onboard --etcd-secret {secret}{_asked_again(stored)}"
    )
    back = f"ddhelm onboard{' --no-etcd-secret' if stored.etcd_secret else ''}{_asked_again(stored)}"
    others = "".join(f" --drop-check {check}" for check in stored.drop_checks if check != "etcd")
    listener = _way("listener", usual, back, used)
    ways = [
        listener,
        # no command: the agents take the files only where there is no listener
        _way("files", without_listener, "" if listener.here else back, used),
        _way("own", own, own_steps, used),
        Way("none", True, (), _MEANS["none"], f"ddhelm onboard --drop-check etcd{others}", used=used == "none"),
    ]
    best = next(way.name for way in ways if way.here)
    marked = [replace(way, recommended=way.name == best) for way in ways]
    return tuple(sorted(marked, key=lambda way: (not way.recommended, not way.here)))


def _asked_again(stored: Settings) -> str:
    """The flags that take back `--drop-check etcd`, and no other check that is left out."""
    if "etcd" not in stored.drop_checks:
        return ""
    others = [check for check in stored.drop_checks if check != "etcd"]
    return "".join(f" --drop-check {check}" for check in others or ["none"])


def _way(name: Name, by: Profile, command: str, used: Name | None) -> Way:
    instances = [one for one in by.instances if one.component == "etcd" and _is(name, one.instance.get("tls_cert"))]
    reasons = [one.reason for one in by.left_out if isinstance(one, LeftOut) and one.component == "etcd"]
    found = [
        f"{one.instance['prometheus_url'].removesuffix('/metrics')}{_which(one.instance)} ({one.source})"
        for one in instances
    ]
    files = [one.instance[key] for one in instances for key in FILES if name == "files" and one.instance.get(key)]
    missing = "etcd shows none" if name == "listener" else "none is known here"
    return Way(
        name,
        bool(instances),
        tuple(found or reasons or [missing]),
        _MEANS[name],
        command,
        used=used == name,
        files=tuple(dict.fromkeys(files)),
    )


def _which(instance: Tree) -> str:
    """`, etcd events` where there are several etcds, by the tag that tells their metrics apart."""
    tags = instance.get("tags") or ()
    return next((f", etcd {tag.removeprefix(CLUSTER_TAG)}" for tag in tags if tag.startswith(CLUSTER_TAG)), "")


def _is(name: Name, certificate: object) -> bool:
    return bool(certificate) is (name != "listener")


def _kind(usual: Profile) -> Name:
    instances = [one for one in usual.instances if one.component == "etcd"]
    if not instances:
        return "none"
    return "files" if any(one.instance.get("tls_cert") for one in instances) else "listener"
