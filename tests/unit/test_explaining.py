"""Each of the user's own values says who set it: a file with its line and comment, a flag, an earlier run."""

from ddhelm import tree
from ddhelm.actions import explaining
from ddhelm.actions.request import Request, UserSources, settings_of
from ddhelm.masking import Masker
from ddhelm.release import Role
from ddhelm.settings import Settings, UserLayers
from ddhelm.uservalues import Source
from ddhelm.values import build

MASKER = Masker(b"0" * 32)
FILE = """\
# values of production
datadog:
  tags: [env:prod]  # Finance asks for it
  # the collector is
  # behind a firewall
  logs:
    enabled: true
    containerCollectAll: false  # password=planted-comment
agents: {image: {tag: "7"}}
"""


def explained(role: Role, base: Settings, user: UserSources) -> dict[str, str]:
    wanted = settings_of(base, Request(user=user))
    origins = build(explaining.user_layers(role, base, wanted, user, MASKER)).origins
    return {tree.show(path): f"{origin.layer}: {origin.reason}" for path, origin in origins.items()}


def test_a_file_is_named_with_line_and_comment_and_a_flag_by_its_key() -> None:
    both = (Source("file", "p.yaml", FILE.encode()), Source("file", "b.yaml", "agents: {image: {tag: '8'}}\n"))
    said = explained(
        Role.WORKER,
        Settings(),
        UserSources((*both, Source("set", "datadog.site=x")), (Source("set", "a.b=1", flag="--worker-set"),)),
    )
    secret = said.pop("datadog.logs.containerCollectAll")
    assert secret.startswith("user values: p.yaml:8: password=***")
    assert "planted-comment" not in secret
    assert said == {
        "datadog.tags": "user values: p.yaml:3: Finance asks for it",
        "datadog.logs.enabled": "user values: p.yaml:7: the collector is behind a firewall",
        "agents.image.tag": "user values: b.yaml:1",
        "datadog.site": "user values: --set datadog.site",
        "a.b": "user values, worker only: --worker-set a.b",
    }


def test_what_an_earlier_run_left_says_so_until_a_file_replaces_it() -> None:
    origins = {"user": "stored with `datadog` revision 3"}
    base = Settings(user=UserLayers({"a": {"b": 1}}, control_plane={"c": 1}), origins=origins)
    said = explained(Role.CONTROL_PLANE, base, UserSources((Source("set", "a.d=2"),)))
    assert said == {
        "a.b": "user values: stored with `datadog` revision 3",
        "a.d": "user values: --set a.d",
        "c": "user values, control-plane only: stored with `datadog` revision 3",
    }
    replaced = UserSources((Source("file", "v.yaml", "e: 1\n"),))
    assert explained(Role.WORKER, base, replaced) == {"e": "user values: v.yaml:1"}


def test_a_file_that_ruamel_does_not_read_is_named_without_comments() -> None:
    user = UserSources((Source("file", "v.yaml", "a: {b: 2024-13-45}  # no date for Helm\n"),))
    assert explained(Role.WORKER, Settings(), user) == {"a.b": "user values: v.yaml:1"}
