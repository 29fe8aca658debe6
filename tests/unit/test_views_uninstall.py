"""How an uninstall looks: what goes and what stays before it, what is gone during it, what is left after it."""

from inline_snapshot import snapshot

from ddhelm.actions.leftovers import Leftover, Unlisted
from ddhelm.actions.removal import Going, Kept, Removal
from ddhelm.actions.uninstall import Finished, Removed, Started
from ddhelm.release import Release, Role
from ddhelm.views import console, uninstall

HOOK = Leftover(
    "mutatingwebhookconfiguration.admissionregistration.k8s.io",
    "datadog-webhook",
    why="its Service goes with the release",
)
HOOKS_UNREAD = Unlisted("mutatingwebhookconfigurations", "User `x` cannot list them")
SECRET = Kept("secret `ddhelm`", "written by ddhelm: keys, token or certificates", "ddhelm uninstall --delete-secrets")
NAMESPACE = Kept("namespace `datadog`", "ddhelm did not make it")
REMOVAL = Removal(
    "datadog",
    "uid",
    releases=(
        Going(Release(Role.CONTROL_PLANE, "control-plane-ddagent", "datadog"), 2, "deployed", 9),
        Going(Release(Role.WORKER, "worker-node-ddagent", "datadog"), 3, "uninstalling", 36, ("a.datadoghq.com",)),
    ),
    hooks=(HOOK,),
    kept=(SECRET, NAMESPACE),
)


def test_what_goes_and_what_stays_is_told_before() -> None:
    screen = console.fixed(width=140)
    uninstall.table(REMOVAL, screen)
    assert console.text(screen) == snapshot("""\
Goes:
- release `control-plane-ddagent`                 revision 2, deployed, 9 objects
- release `worker-node-ddagent`                   revision 3, uninstalling, 36 objects, 1 of them empty CRDs
- mutatingwebhookconfiguration `datadog-webhook`  its Service goes with the release
Stays:
- secret `ddhelm` (written by ddhelm: keys, token or certificates)
    ddhelm uninstall --delete-secrets
- namespace `datadog` (ddhelm did not make it)\
""")


def test_nothing_to_remove_is_said_with_what_stays() -> None:
    screen = console.fixed(width=140)
    uninstall.table(Removal("datadog", "uid", kept=(SECRET,), unread=(HOOKS_UNREAD,)), screen)
    assert console.text(screen) == snapshot("""\
Nothing to remove: no release of ddhelm's in namespace `datadog`.
Stays:
- secret `ddhelm` (written by ddhelm: keys, token or certificates)
    ddhelm uninstall --delete-secrets
! mutatingwebhookconfigurations could not be looked at: User `x` cannot list them\
""")


def test_each_thing_is_told_when_it_is_gone() -> None:
    screen = console.fixed()
    tell = uninstall.observer(screen)
    for event in (Started("release `a`"), Finished("release `a`", 2.4), Finished("lease `b`", 0), "another event"):
        tell(event)
    assert console.text(screen) == snapshot("""\
  removing release `a` …
✓ release `a` is gone (2 s)
✓ lease `b` is gone\
""")


def test_after_it_only_what_is_new_is_told() -> None:
    screen = console.fixed(width=140)
    late = Kept("Cluster Agent pods", "still there after 300 s", "kubectl -n datadog get pods -l app=x")
    grown = Kept("namespace `datadog`", "it holds what is not ours: ConfigMap `mine`")
    removed = Removed(("release `a`",), (SECRET, grown), (late,))
    uninstall.done(removed, screen, announced=(SECRET,))
    assert removed.exit_code == 4
    assert console.text(screen) == snapshot("""\
Stays:
- namespace `datadog` (it holds what is not ours: ConfigMap `mine`)
✗ Cluster Agent pods: still there after 300 s
  hint: kubectl -n datadog get pods -l app=x\
""")


def test_programs_get_before_and_after() -> None:
    assert uninstall.json(REMOVAL) == snapshot(
        {
            "apiVersion": "ddhelm/v1",
            "kind": "Removal",
            "data": {
                "namespace": "datadog",
                "releases": [
                    {"name": "control-plane-ddagent", "revision": 2, "status": "deployed", "objects": 9, "crds": []},
                    {
                        "name": "worker-node-ddagent",
                        "revision": 3,
                        "status": "uninstalling",
                        "objects": 36,
                        "crds": ["a.datadoghq.com"],
                    },
                ],
                "objects": [
                    {
                        "kind": "mutatingwebhookconfiguration.admissionregistration.k8s.io",
                        "namespace": "",
                        "name": "datadog-webhook",
                    }
                ],
                "deleteNamespace": False,
                "kept": [
                    {
                        "what": "secret `ddhelm`",
                        "why": "written by ddhelm: keys, token or certificates",
                        "command": "ddhelm uninstall --delete-secrets",
                    },
                    {"what": "namespace `datadog`", "why": "ddhelm did not make it", "command": ""},
                ],
                "unread": [],
            },
        }
    )
    assert uninstall.json(Removed(("release `a`",), (SECRET,))) == snapshot(
        {
            "apiVersion": "ddhelm/v1",
            "kind": "Removed",
            "data": {
                "exitCode": 0,
                "removed": ["release `a`"],
                "kept": [
                    {
                        "what": "secret `ddhelm`",
                        "why": "written by ddhelm: keys, token or certificates",
                        "command": "ddhelm uninstall --delete-secrets",
                    }
                ],
                "problems": [],
                "failure": None,
            },
        }
    )
