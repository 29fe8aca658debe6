"""Nothing that looks like a secret leaves the parser; nothing that is none is hidden."""

import copy
import json
import pickle
import re

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ddhelm.masking import Masked, Masker, constant, secret_looking, secret_shaped

MASKER = Masker(b"k" * 32)
PLANTED = "pl4nted-s3cret-value"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
API_KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "DB_PASSWORD",
        "dbPassword",
        "passwd",
        "PASS",
        "pwd",
        "secret",
        "clientSecret",
        "token",
        "DD_CLUSTER_AGENT_AUTH_TOKEN",
        "api_key",
        "apiKey",
        "DD_API_KEY",
        "app-key",
        "accessKey",
        "aws_access_key_id",
        "private_key",
        "authorization",
        "bearer_token",
        "cookie",
        "credentials",
        "connectionString",
        "dsn",
        "jwt",
        "license_key",
        "snmp_community_string",
        "checksum/clusteragent_token",
        "authKey",
        "privKey",
        "auth_key",
        "priv_key",
        "PWD_DB",
        "DB_PW",
        "PW_X",
        "dbPw",
        "AUTH",
        "REDIS_AUTH",
        "basic_auth",
        "PGPASS",
        "DBPASS",
        "USERPASS",
        "CREDS",
        "API_CRED",
        "ENCRYPTION_SALT",
        "basicAuth",
        "SNMP_COMMUNITY",
        "community",
        "SLACK_WEBHOOK",
        "slackWebhookUrl",
        "MS_TEAMS_WEBHOOK_URL",
    ],
)
def test_these_keys_look_secret(key: str) -> None:
    assert secret_looking(key)


@pytest.mark.parametrize(
    "key",
    [
        "bearer_token_path",
        "bearer_token_auth",
        "token_file",
        "secretName",
        "tokenExistingSecret",
        "apiKeyExistingSecret",
        "tokenSecretName",
        "DD_CLUSTER_AGENT_TOKEN_NAME",
        "DD_AUTH_TOKEN_FILE_PATH",
        "DD_SECRET_BACKEND_COMMAND",
        "secret_backend_timeout",
        "key",
        "name",
        "site",
        "tls_cert",
        "prometheus_url",
        "keyspace",
        "monkey",
        "compass",
        "bypass",
        "SURPASS",
        "salt",
        "sacred",
        "credit",
        "author",
        "tokenExpirationSeconds",
        "DD_SECRET_BACKEND_ARGUMENTS",
        "DD_SECRET_BACKEND_OUTPUT_MAX_SIZE",
        "DD_SECRET_AUDIT_FILE_MAX_SIZE",
        "secret-annotation",
        "AUTHOR",
        "AUTHORITY",
        "OAUTH",
        "auth",
        "auth_type",
        "AUTH_TYPE",
        "http_auth_enabled",
        "communities",
        "community_size",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_PORT_443_TCP_ADDR",
        "OLDPWD",
        "PWD_FILE",
        "pwrite64",
        "webhook",
        "DD_ADMISSION_CONTROLLER_WEBHOOK_NAME",
    ],
)
def test_these_keys_do_not(key: str) -> None:
    assert not secret_looking(key)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Basic czNjcjN0OnM=", "Basic ***"),
        (
            "https://b.blob.core.windows.net/x?sv=1&sig=abcDEF%2B1234&se=2",
            "https://b.blob.core.windows.net/x?sv=1&sig=***&se=2",
        ),
        ("https://s3/x?X-Amz-Signature=0123456789abcdef00", "https://s3/x?X-Amz-Signature=***"),
        ("Basic authentication is off", "Basic authentication is off"),
        ("https://b/x?sig=%%env_SIGNATURE%%", "https://b/x?sig=%%env_SIGNATURE%%"),
    ],
)
def test_a_signed_address_and_a_password_in_a_header_are_secrets_by_their_shape(text: str, shown: str) -> None:
    found = MASKER.text(text)
    assert re.sub(r"\*\*\*[0-9a-f]{12}", "***", found) == shown
    assert MASKER.text(found) == found


def test_a_mask_says_nothing_but_equality() -> None:
    short, same, long = MASKER.value("a"), MASKER.value("a"), MASKER.value("b" * 5000)
    assert short == same != long
    assert len(short) == len(long) == 15
    assert short.startswith("***")
    assert Masker(b"x" * 32).value("a") != short
    assert not MASKER.same_key(Masker(b"x" * 32))


@pytest.mark.parametrize("shape", [repr, str, json.dumps, pickle.dumps, lambda m: f"{m!r} {m} {m.__reduce_ex__(4)}"])
def test_no_form_of_a_mask_or_masker_gives_the_secret_back(shape: object) -> None:
    assert callable(shape)
    assert PLANTED.encode() not in (
        out if isinstance(out := shape(MASKER.value(PLANTED)), bytes) else str(out).encode()
    )
    assert "kkk" not in repr(Masker(b"k" * 32, [PLANTED]))
    assert PLANTED not in repr(Masker(b"k" * 32, [PLANTED]))


def test_a_copied_mask_is_the_same_mask() -> None:
    mask = MASKER.value(PLANTED)
    for copied in (copy.deepcopy(mask), pickle.loads(pickle.dumps(mask))):
        assert copied == mask
        assert isinstance(copied, Masked)
    assert json.loads(json.dumps({"a": mask})) == {"a": str(mask)}


def pod(**container: object) -> dict[str, object]:
    spec = {"containers": [{"name": "agent", **container}]}
    return {"kind": "DaemonSet", "metadata": {"name": "a"}, "spec": {"template": {"spec": spec}}}


@pytest.mark.parametrize(
    "tree",
    [
        {"kind": "Secret", "data": {"api-key": PLANTED, "harmless": PLANTED}},
        {"kind": "Secret", "stringData": {"x": PLANTED}},
        {"kind": "ConfigMap", "data": {"db-password": PLANTED}},
        {"kind": "ConfigMap", "binaryData": {"x": PLANTED}},
        {"kind": "ConfigMap", "data": {"postgres.yaml": f"instances:\n- host: db\n  password: {PLANTED}\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"- password: '{PLANTED}'\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"client_secret: |\n  {PLANTED}\n  {PLANTED}\nport: 1\n"}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps({"token": PLANTED, "port": 1})}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps({"nested": json.dumps({"token": PLANTED})})}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"a:\n- password: one {PLANTED}\n    {PLANTED}\n  port: 1\n"}},
        {"kind": "ConfigMap", "data": {"snmp.yaml": f"instances:\n- authKey: {PLANTED}\n  privKey: '{PLANTED}'\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"instances: [{{host: a, x: {{password: {PLANTED}}}}}]\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"headers: {{Authorization: Bearer {PLANTED}}}\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"auth: [{{ token : {PLANTED}}}]\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"community_strings:\n- {PLANTED}\n- '{PLANTED}'\nport: 1\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"- password:\n    {PLANTED}\n  port: 1\n"}},
        {"kind": "List", "items": [{"kind": "Secret", "data": {"x": PLANTED}}]},
        {"kind": "Foo", "spec": {"name": "a", "value": {"password": PLANTED}}},
        pod(args=[{"password": PLANTED}]),
        {"kind": "ConfigMap", "data": {"x.ini": f"[a]\npassword = {PLANTED}\nport=1"}},
        {"kind": "ConfigMap", "data": {"x": f"postgres://user:{PLANTED}@db/x"}},
        {"kind": "ConfigMap", "data": {"x": f"-----BEGIN PRIVATE KEY-----\n{PLANTED}\n-----END PRIVATE KEY-----"}},
        {"kind": "ConfigMap", "data": {"x": f"Authorization: Bearer {PLANTED}"}},
        {"kind": "ClusterRole", "metadata": {"annotations": {"own/token": PLANTED}}},
        {"kind": "CustomResourceDefinition", "metadata": {"annotations": {"own/token": PLANTED}}},
        {"kind": "Secret", "metadata": {"annotations": {LAST_APPLIED: f'{{"data":{{"x":"{PLANTED}"}}}}'}}},
        {"kind": "DatadogAgent", "spec": {"global": {"credentials": {"apiKey": PLANTED}}}},
        pod(env=[{"name": "DB_PASSWORD", "value": PLANTED}]),
        pod(env=[{"name": "OPTIONS", "value": f"--user=a --password={PLANTED}"}]),
        pod(args=["--user", "a", "--password", PLANTED]),
        pod(args=[f"--token={PLANTED}"]),
        pod(command=["sh", "-c", f"run --token {PLANTED} --port 1"]),
        pod(livenessProbe={"httpGet": {"httpHeaders": [{"name": "Authorization", "value": PLANTED}]}}),
        {"kind": "ConfigMap", "data": {"x": f"key {API_KEY}"}} | {"x": PLANTED[:0]},
        *[
            pod(env=[{"name": name, "value": PLANTED}])
            for name in ("PWD_DB", "PWD", "PW_X", "AUTH", "REDIS_AUTH", "SNMP_COMMUNITY", "SLACK_WEBHOOK")
        ],
        pod(env=[{"name": "HOOK", "value": f"https://hooks.slack.com/services/T0/B0/{PLANTED}"}]),
        pod(env=[{"name": "HOOK", "value": f"https://discord.com/api/webhooks/1234/{PLANTED}"}]),
        pod(args=[f"--to=https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/{PLANTED}/c"]),
        {"kind": "ConfigMap", "data": {"x.yaml": f"instances:\n- basic_auth: [u, {PLANTED}]\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"- basic_auth:\n  - u\n  - {PLANTED}\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"- basic_auth: {{username: u, password: {PLANTED}}}\n"}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps({"basic_auth": ["u", PLANTED], "port": 1})}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps({"a": 1, "passwords": [PLANTED, "b"]})}},
        {"kind": "Foo", "spec": {"basicAuth": ["u", PLANTED]}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"community: {PLANTED}\nport: 161\n"}},
        {"kind": "Event", "message": f"cannot log in with token {PLANTED}, giving up"},
        {"kind": "Event", "message": f'Bearer "{PLANTED}" was refused'},
        pod(command=["sh", "-c", f"agent run \\\n  --password \\\n  {PLANTED}"]),
        pod(command=["sh", "-c", f"TOKEN=\\\n{PLANTED} run"]),
        pod(env=[{"name": "PROFILES", "value": json.dumps([{"env": [{"name": "DB_PASSWORD", "value": PLANTED}]}])}]),
        pod(env=[{"name": "PROFILES", "value": json.dumps([{"value": PLANTED, "name": "DB_PASSWORD"}])}]),
        pod(env=[{"name": "X", "value": json.dumps([{"name": "TOKEN", "value": PLANTED}], indent=2)}]),
        pod(env=[{"name": "X", "value": json.dumps({"a": json.dumps([{"name": "TOKEN", "value": PLANTED}])})}]),
        {"kind": "ConfigMap", "data": {"x.yaml": f"env:\n  - name: DB_PASSWORD\n    value: two {PLANTED}\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"- value: |\n    a\n    {PLANTED}\n  name: 'DB_PASSWORD' # of db\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"headers: [{{name: Authorization, value: Bearer {PLANTED}}}]\n"}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps({"cfg": f"user: a\npassword: {PLANTED}\n"})}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps({"cfg": f"user: a\npwd: {PLANTED}\ntoken: {PLANTED}"})}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps({"cfg": f"password: two {PLANTED}"})}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps({"cfg": f"password: |\n  {PLANTED}\n  {PLANTED}\nb: 1"})}},
        {"kind": "ConfigMap", "data": {"x.json": json.dumps([json.dumps({"cfg": f"tokens:\n- two {PLANTED}\nb: 1"})])}},
        {"kind": "ConfigMap", "data": {"x.xml": f"<a>\n  <db:password type='x'> {PLANTED}\n  </db:password>\n</a>"}},
        {"kind": "ConfigMap", "data": {"x.xml": f"<password><![CDATA[{PLANTED}]]></password>"}},
        {"kind": "ConfigMap", "data": {"x.xml": f'<property name="db.password" value="{PLANTED}"/>'}},
        {"kind": "ConfigMap", "data": {"x.yaml": f"- ? password\n  : |\n    {PLANTED}\n  port: 1\n"}},
        {"kind": "ConfigMap", "data": {"x.py": f"c = connect(host='h', password='{PLANTED}')\n"}},
        {"kind": "ConfigMap", "data": {"x.py": f"c = connect(password='{PLANTED} x')\n"}},
        {"kind": "ConfigMap", "data": {"x": f'OPTIONS=--password="{PLANTED}"'}},
        {"kind": "ConfigMap", "data": {"x": f"url: datadog:{PLANTED}@tcp(db:3306)/x"}},
        {"kind": "ConfigMap", "data": {"x": f"postgres://user:a/{PLANTED}@db/x"}},
        {"kind": "ConfigMap", "data": {"x": f"postgres://user:a@{PLANTED}@db/x"}},
        {"kind": "ConfigMap", "data": {"x": json.dumps({"auths": {"r.io": {"auth": "dXNlcjpwbDRudGVk"}}})}},
        {
            "kind": "ConfigMap",
            "data": {"x": f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{PLANTED}\n-----END PGP PRIVATE KEY BLOCK-----"},
        },
    ],
    ids=lambda tree: str(tree)[:60],
)
def test_a_planted_secret_does_not_survive(tree: dict[str, object]) -> None:
    masked = json.dumps(MASKER.body(tree))
    assert PLANTED not in masked
    assert API_KEY not in masked
    assert "dXNlcjpwbDRudGVk" not in masked
    assert "***" in masked
    assert MASKER.body(MASKER.body(tree)) == json.loads(masked)


@pytest.mark.parametrize(
    "tree",
    [
        {
            "kind": "ConfigMap",
            "data": {
                "etcd.yaml": "instances:\n- prometheus_url: https://localhost:2379/metrics\n"
                "  tls_ca_cert: /host/etc/kubernetes/pki/ca.crt\n  tls_private_key: /host/etc/kubernetes/pki/peer.key\n"
                "  bearer_token_auth: true\n  bearer_token_path: /var/run/secrets/kubernetes.io/serviceaccount/token\n"
            },
        },
        {"kind": "ConfigMap", "data": {"x.yaml": 'password: ENC[db/password]\ntoken: "%%env_TOKEN%%"\n'}},
        {"kind": "ConfigMap", "data": {"x.yaml": "a:\n  password: '%%env_PG%%'  # of a Secret\n  token:  # none\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": "h: {Authorization: Bearer %%env_T%%, X-Token: ENC[my handle]}\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": "# password: <PASSWORD>\ntoken: ~\nurl: http://u:%%env_PW%%@h/x\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": "headers:\n  api_key: ${env:DD_API_KEY}\n"}},
        pod(env=[{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/google/key.json"}]),
        pod(env=[{"name": "DD_KUBELET_CLIENT_KEY", "value": "/var/lib/kubelet/client.key"}]),
        {
            "kind": "ConfigMap",
            "data": {"x.yaml": "auth_token:\n  reader:\n    type: file\npasswords:\n- '%%env_A%%'\n"},
        },
        {"kind": "ConfigMap", "data": {"x.yaml": "secrets:\n- db\ntoken:\nport: 1\ncookie:\n- type: a\n  b: c\n"}},
        {"secretBackend": {"roles": [{"namespace": "a", "secrets": ["db", "proxy"]}]}, "pullSecrets": ["regcred"]},
        pod(env=[{"name": "DD_API_KEY", "valueFrom": {"secretKeyRef": {"name": "ddhelm", "key": "api-key"}}}]),
        pod(
            env=[
                {"name": "PASSWORD", "value": "$(OTHER)"},
                {"name": "DD_TOKEN_ENABLED", "value": "yes"},
                {"name": "TOKEN", "value": ""},
                {"name": "PWD", "value": "/home"},
                {"name": "AUTH", "value": "basic"},
                {"name": "SMTP_AUTH", "value": "true"},
                {"name": "AUTHOR", "value": "somebody"},
                {"name": "KUBERNETES_SERVICE_HOST", "value": "10.96.0.1"},
                {"name": "HOOK", "value": "https://hooks.slack.com/services/%%env_SLACK%%"},
                {"name": "SLACK_WEBHOOK", "value": "$(FROM_A_SECRET)"},
            ]
        ),
        {
            "kind": "ConfigMap",
            "data": {"x.yaml": "- basic_auth: [u, '%%env_PW%%']\n  auth_type: basic\n  auth: none\n"},
        },
        {"kind": "ConfigMap", "data": {"x.yaml": "- basic_auth: {username: u, password: '%%env_PW%%'}\n"}},
        {
            "kind": "ConfigMap",
            "data": {"x.yaml": "basic_auth:\n  username: u\n  password: ENC[x]\ncommunities: [a, b]\n"},
        },
        {"kind": "Event", "message": "the token has expired: token request for /var/run/secrets/token of 3 failed"},
        {
            "kind": "Event",
            "message": 'token "default-token" for service account was not found; password authentication',
        },
        {"kind": "ConfigMap", "data": {"x.yaml": "- name: DB_PASSWORD\n  valueFrom: a\n- name: PORT\n  value: 8080\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": "- name: TOKEN\n  value: '%%env_TOKEN%%'  # of a Secret\n"}},
        {"kind": "ConfigMap", "data": {"x.yaml": "- name: TOKEN\nname: x\nvalue: y\n? port\n: 80\n"}},
        pod(env=[{"name": "X", "value": '[{"name": "TOKEN", "valueFrom": {"b": 1}}, {"name": "A", "value": "b"}]'}]),
        pod(env=[{"name": "X", "value": '[{"name": "A", "value": "b"}, {"name": "TOKEN", "value": "$(T)"}]'}]),
        pod(env=[{"name": "X", "value": json.dumps({"a": "password: ENC[x]\ntoken: '%%env_T%%'\nauth: basic\n"})}]),
        pod(env=[{"name": "X", "value": json.dumps([json.dumps({"a": "token:\npassword: ENC[x]\nb: C:\\new"})])}]),
        pod(command=["sh", "-c", "agent run \\\n  --password-stdin \\\n  --token \\\n  $(TOKEN) --port 1"]),
        {"kind": "ConfigMap", "data": {"x.xml": "<password>\n  </password><token>%%env_T%%</token><pass/>a</b>"}},
        {"kind": "ConfigMap", "data": {"x.xml": '<p name="port" value="8080"/>\n<p name="token"/>'}},
        {
            "kind": "ConfigMap",
            "data": {"x": "http://h:8080/a@b http://[::1]:80/a@b http://%%host%%:%%port%%/a@b h:p@x"},
        },
        {"kind": "ConfigMap", "data": {"x": "datadog:%%env_PW%%@tcp(db:3306)/x"}},
        {"kind": "ConfigMap", "data": {"x": '{"oauths": {"auth": "basicbasic"}}'}},
        pod(args=["--bearer-token-auth", "true", "--port", "8125", "-config=/etc/datadog-agent/datadog.yaml"]),
        pod(image="registry/agent@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        {"kind": "ServiceAccount", "automountServiceAccountToken": False, "secrets": [{"name": "a"}]},
        {
            "kind": "ClusterRole",
            "rules": [{"resources": ["secrets"], "resourceNames": ["datadogtoken"], "verbs": ["get"]}],
        },
        {
            "kind": "Deployment",
            "spec": {
                "template": {
                    "spec": {
                        "automountServiceAccountToken": True,
                        "volumes": [
                            {
                                "name": "t",
                                "projected": {
                                    "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]
                                },
                            }
                        ],
                    }
                }
            },
        },
    ],
    ids=lambda tree: str(tree)[:60],
)
def test_what_is_no_secret_stays_readable(tree: dict[str, object]) -> None:
    assert MASKER.body(tree) == tree


def test_a_number_is_a_secret_under_such_a_key_and_nowhere_else() -> None:
    masked = MASKER.body(
        {"snmp": {"password": 20240117, "port": 161}, "tokens": [7, 8], "token_ttl": 5, "secret": True}
    )
    assert masked["snmp"]["password"] == MASKER.value("20240117")
    assert masked["tokens"] == [MASKER.value("7"), MASKER.value("8")]
    assert (masked["snmp"]["port"], masked["token_ttl"], masked["secret"]) == (161, 5, True)


def test_what_stands_around_a_secret_stays_readable() -> None:
    text = MASKER.text(f'{{"user":"joe","password":"{PLANTED}","port":5432}}')
    assert json.loads(text) == {"user": "joe", "password": str(MASKER.value(PLANTED)), "port": 5432}
    found = yaml.safe_load(MASKER.text(f"a: 1\npassword: '{PLANTED}'\nb: 2\n"))
    assert found == {"a": 1, "password": str(MASKER.value(PLANTED)), "b": 2}


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    "text",
    [
        f"a: C:\\new\npassword: {PLANTED}\nb: 2\n",
        f"- name: DB_PASSWORD\n  value: {PLANTED}\n- name: PORT\n  value: 80",
        f"run \\\n --password \\\n  {PLANTED}",
        f'x: y\ntoken: "{PLANTED}"\n',
        f"communities: []\npasswords:\n- {PLANTED}\n- '{PLANTED}'\nport: 1\n",
    ],
)
def test_a_text_inside_json_is_masked_as_it_would_be_alone(text: str, depth: int) -> None:
    shown = packed = text
    for _ in range(depth):
        packed = json.dumps({"cfg": packed})
    shown = MASKER.text(packed)
    for _ in range(depth):
        shown = json.loads(shown)["cfg"]
    assert shown == MASKER.text(text) == text.replace(PLANTED, MASKER.value(PLANTED))


def test_a_known_secret_is_found_anywhere_also_in_base64() -> None:
    masker = Masker(b"k" * 32, ["hunter2", "hunter2-long"])
    assert masker.text("it was hunter2-long, aHVudGVyMg== and hunter2!").count("***") == 3
    assert "hunter" not in masker.text("it was hunter2-long and hunter2!")


def test_equal_secrets_are_visibly_equal_across_objects() -> None:
    one = MASKER.body({"kind": "Secret", "data": {"a": "x", "b": "x", "c": "y", "d": None}})["data"]
    assert one["a"] == one["b"] != one["c"]
    assert one["d"] is None


def test_masks_are_constant_where_digests_are_made() -> None:
    tree = {"kind": "ConfigMap", "data": {"password": PLANTED, "x.yaml": f"a: 1\ntoken: {PLANTED}\n"}}
    one, other = MASKER.body(tree), Masker(b"z" * 32).body(tree)
    assert one != other
    assert (
        constant(one)
        == constant(other)
        == {"kind": "ConfigMap", "data": {"password": "***", "x.yaml": "a: 1\ntoken: ***\n"}}
    )
    assert all(type(value) is str for value in constant(one)["data"].values())


@pytest.mark.parametrize(
    "value", [API_KEY, API_KEY + "01234567", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln", "https://a:b@c/d"]
)
def test_these_values_are_secrets_whatever_their_key(value: str) -> None:
    assert secret_shaped(value)
    assert value not in MASKER.text(f"x {value} y")


keys = st.sampled_from(
    [
        "AUTH",
        "basic_auth",
        "PW_X",
        "SNMP_COMMUNITY",
        "password",
        "token",
        "api_key",
        "name",
        "command",
        "args",
        "data",
        "value",
        "x.yaml",
        "-",
    ]
)
texts = st.text("ab01:=-'\" \n{}|>/*\\", max_size=30) | st.sampled_from(
    [
        PLANTED, f"password: {PLANTED}\n", API_KEY, "--token abc", f"the token {PLANTED}.",
        f"basic_auth: [u, {PLANTED}]", f'{{"basic_auth": ["u", "{PLANTED}"]}}',
        f"https://hooks.slack.com/services/{PLANTED}", "AUTH=[a", "AUTH: [[b]",
        f"- name: TOKEN\n  value: {PLANTED}\n", f'{{"value":"{PLANTED}","name":"TOKEN"}}', f"? token\n: {PLANTED}",
        f'{{"a":"b: c\\ntoken: {PLANTED}\\n"}}', f"<token>{PLANTED}</token>", f"f(token='{PLANTED}')", "--token \\\na",
        f"x://u:a/{PLANTED}@b@c/d", f"u:{PLANTED}@tcp(h)/d", '{"auths":{"auth":"dXNlcjpwbDRudGVk"}}',
    ]
)  # fmt: skip
trees = st.recursive(
    texts | st.none() | st.booleans() | st.integers(),
    lambda b: st.lists(b, max_size=3) | st.dictionaries(keys, b, max_size=4),
)


@given(st.dictionaries(keys, trees, max_size=4), st.sampled_from(["Secret", "ConfigMap", "DaemonSet", "Foo"]))
def test_masking_twice_is_masking_once(tree: dict[str, object], kind: str) -> None:
    once = MASKER.body({**tree, "kind": kind})
    assert MASKER.body(once) == once


@example({"password": "# 11111111"})
@example({"AUTH": "{aaaaaaaa"})
@example({"AUTH": "[aaaaaaaa,]"})
@example({"basic_auth": "[aaaaaaaa,]"})
@given(
    st.dictionaries(
        st.sampled_from(["password", "token", "apiKey", "DB_PASS", "PWD_DB", "AUTH", "basic_auth"]),
        st.text("abcXYZ123!#' :=-{}[],\"\\\\", min_size=8),
        min_size=1,
    )
)
def test_no_value_under_a_secret_key_survives_in_any_notation(secrets: dict[str, str]) -> None:
    in_list = yaml.safe_dump({"instances": [secrets, {"port": 1}]})
    for text in (
        json.dumps(secrets),
        yaml.safe_dump(secrets),
        in_list,
        "\n".join(f"{k} = {v}" for k, v in secrets.items()),
    ):
        masked = MASKER.text(text)
        assert not [v for v in secrets.values() if {w for w in v.split() if len(w) > 7} & set(masked.split())]
        assert not [v for v in secrets.values() if v.strip() in masked]


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a-",
        "-a",
        "a.",
        "password",
        "://",
        '"',
        "password:",
        "a: {",
        "a=",
        "token:\n- ",
        "token:\n",
        "://:ENC[",
        "eyJ",
        "0",
        " \n",
        "key='",
        "AUTH: [",
        "token a",
        "basic_auth: [a, ",
        "hooks.slack.com/services/",
        "name: a, value: ",
        "(value:",
        '"value":"\\',
        "- name: token\n",
        "  name: x\nvalue: y\n",
        "<password> ",
        "? token\n",
        "\\",
        "\\n",
        '\\"',
        "-a \\\n",
        "a='",
        "://a:b/",
        "://a:@b@",
        "(a:b@tcp",
        "auths auth: a",
    ],
)
def test_a_megabyte_of_anything_costs_no_more_than_a_moment(piece: str) -> None:
    MASKER.text(piece * (500_000 // len(piece)) + " password: x name value auths </password> @tcp( ?")
