"""What is masked where values are shown is refused where they are given, and what stands for a secret is not."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ddhelm import secretvalues, tree, uservalues
from ddhelm.errors import ConfigError
from ddhelm.masking import Masker
from ddhelm.uservalues import Source

MASKER = Masker(b"k" * 32)
PLANTED = "planted-s3cret"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
STRANGERS = """\
datadog:
  env:
    - name: DD_EXTRA
      value: "--password=planted-argpw"
    - {name: CONN, value: "Server=db;Uid=u;Pwd=planted-connpw;"}
  confd:
    snmp.yaml: |
      instances:
        - community_string: planted-snmp
    snmp3.yaml: |
      instances:
        - user: u
          authKey: planted-authkey
          privKey: planted-privkey
"""


def refused(values: dict[str, Any]) -> list[str]:
    return [tree.show(path) for path, _ in secretvalues.find(values)]


def test_all_that_hides_in_arguments_connection_strings_check_files_and_tags_is_named_with_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        uservalues.parse([Source("file", "v.yaml", STRANGERS), Source("set", "datadog.tags[0]=token:planted-tagtok")])
    error = caught.value
    assert [line.partition(" looks like a secret (")[0] for line in error.details] == [
        "v.yaml:4: `datadog.env[0].value`",
        "v.yaml:5: `datadog.env[1].value`",
        r"v.yaml:7: `datadog.confd.snmp\.yaml`",
        r"v.yaml:10: `datadog.confd.snmp3\.yaml`",
        "--set: `datadog.tags[0]`",
    ]
    assert all("secretKeyRef" in line for line in error.details)
    assert "planted" not in "\n".join([error.message, error.hint, *error.details])


@pytest.mark.parametrize(
    "values",
    [
        {"datadog": {"env": [{"name": "DSN", "value": f"{PLANTED}"}]}},
        {"datadog": {"envDict": {"DB_PWD": PLANTED}}},
        {"datadog": {"envDict": {"PWD_DB": PLANTED}}},
        {"datadog": {"env": [{"name": "SNMP_COMMUNITY", "value": PLANTED}]}},
        {"datadog": {"envDict": {"HOOK": f"https://hooks.slack.com/services/T0/B0/{PLANTED}"}}},
        {"datadog": {"confd": {"x.yaml": f"instances:\n- basic_auth: [u, {PLANTED}]\n"}}},
        {"agents": {"containers": {"agent": {"args": ["--user", "a", "--password", PLANTED]}}}},
        {"agents": {"containers": {"agent": {"command": ["sh", "-c", f"run --token {PLANTED}"]}}}},
        {"datadog": {"confd": {"x.yaml": f"headers:\n  Authorization: Bearer {PLANTED}\n"}}},
        {"datadog": {"confd": {"x.yaml": f"client_secret: |\n  {PLANTED}\n"}}},
        {"datadog": {"confd": {"x.json": f'{{"instances": [{{"auth_key": "{PLANTED}"}}]}}'}}},
        {"datadog": {"podAnnotations": {"a": f'{{"priv_key": "{PLANTED}"}}'}}},
        {
            "datadog": {
                "env": [{"name": "PROFILES", "value": f'[{{"env":[{{"name":"DB_PASSWORD","value":"{PLANTED}"}}]}}]'}]
            }
        },
        {"datadog": {"confd": {"x.yaml": f"env:\n- name: DB_PASSWORD\n  value: {PLANTED}\n"}}},
        {"extra": [{"kind": "Secret", "stringData": {"x": PLANTED}}]},
        {"kind": "ClusterRole", "rules": {"password": PLANTED}},
        {"kind": "Secret", "data": {"uid": COMMIT}},
        {"a": {"name": "x", "value": {"password": PLANTED}}},
        {"a": {"tag": f"password={PLANTED}"}},
        {"a": {"b": f"{{token: ENC[x]{PLANTED}}}"}},
        {"a": {"tag": f"{COMMIT} token={PLANTED}"}},
        {"a": {"password": 123456}},
        {"a": {"b": COMMIT.upper()}},
    ],
    ids=str,
)
def test_what_is_masked_is_refused(values: dict[str, Any]) -> None:
    assert len(refused(values)) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"datadog": {"env": [{"name": "DD_SECRET_BACKEND_ARGUMENTS", "value": "/etc/secret-volume"}]}},
        {"datadog": {"env": [{"name": "DD_SECRET_BACKEND_OUTPUT_MAX_SIZE", "value": "1024"}]}},
        {"datadog": {"env": [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/google/key.json"}]}},
        {"datadog": {"env": [{"name": "X_TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "token"}}}]}},
        {"datadog": {"secretBackend": {"roles": [{"namespace": "a", "secrets": ["db", "proxy"]}]}}},
        {"datadog": {"secretAnnotations": {"secret-annotation": "x"}, "tags": ["team:secret-agents"]}},
        {"datadog": {"confd": {"x.yaml": "password: ENC[k8s_secret@ns/db/password]\nauthKey: '%%env_AUTH%%'\n"}}},
        {"datadog": {"confd": {"x.yaml": "headers:\n  Authorization: Bearer %%env_TOKEN%%  # from a Secret\n"}}},
        {"datadog": {"confd": {"x.yaml": "# password: <PASSWORD>\n## @param token - string - optional\ntoken:\n"}}},
        {"datadog": {"confd": {"x.yaml": "auth_token:\n  reader:\n    type: file\n    path: /var/run/token\n"}}},
        {"datadog": {"confd": {"x.yaml": "tls_private_key: /etc/tls.d/tls.key\nurl: http://%%host%%:%%port%%/x\n"}}},
        {"datadog": {"otelCollector": {"config": "api:\n  api_key: ${env:DD_API_KEY}\n"}}},
        {"datadog": {"confd": {"x.yaml": "basic_auth: [u, '%%env_PW%%']\nauth_type: basic\n"}}},
        {"datadog": {"envDict": {"AUTHOR": "me", "PWD": "/home", "AUTH": "basic"}}},
        {"datadog": {"env": [{"name": "PROFILES", "value": '[{"env":[{"name":"DB_PASSWORD","value":"$(PW)"}]}]'}]}},
        {"agents": {"image": {"tag": COMMIT, "pullSecrets": [{"name": "regcred"}]}}},
    ],
    ids=str,
)
def test_what_says_where_a_secret_is_or_is_none_is_accepted(values: dict[str, Any]) -> None:
    assert refused(values) == []


KEYS = st.sampled_from(
    ["password", "authKey", "privKey", "token", "tags", "args", "name", "value", "kind", "data", "tag", "x.yaml", "uid"]
)
TEXTS = st.sampled_from(["Secret", "a", "", f"token:{PLANTED}", f"Pwd={PLANTED};", "--password", PLANTED, COMMIT]) | (
    st.dictionaries(KEYS, st.sampled_from([PLANTED, "ENC[a]", "%%env_A%%", "x"]), max_size=3).map(yaml.safe_dump)
)
TREES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
)


def hidden(shown: Any, given_: Any, path: tree.Path = ()) -> list[tree.Path]:
    if isinstance(shown, dict) and isinstance(given_, dict):
        return [one for key in given_ for one in hidden(shown[key], given_[key], (*path, key))]
    if isinstance(shown, list):
        return [one for at, item in enumerate(given_) for one in hidden(shown[at], item, (*path, at))]
    return [path] if shown != given_ and given_ not in ("", COMMIT) else []


@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_whatever_the_masker_hides_of_a_layer_is_refused(values: dict[str, Any]) -> None:
    found = {path for path, _ in secretvalues.find(values)}
    assert set(hidden(MASKER.values(values), values)) <= found
    assert set(hidden(MASKER.body(values), values)) <= found  # as a plan and `ddhelm values` show it
