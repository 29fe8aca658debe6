"""The user's files and flags: what they become, and how everything that is wrong with them is said at once."""

import time
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest

from ddhelm import tree, uservalues
from ddhelm.errors import ConfigError
from ddhelm.uservalues import Source
from ddhelm.values import build
from ddhelm.views import errors

API_KEY = "0123456789abcdef0123456789abcdef"
APP_KEY = API_KEY + "01234567"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n"


def file(text: str | bytes, name: str = "prod.yaml") -> Source:
    return Source("file", name, text)


def flags(kind: Any, *arguments: str) -> list[Source]:
    return [Source(kind, argument) for argument in arguments]


def parsed(*sources: Source) -> Any:
    return uservalues.parse(sources).tree


def problems(*sources: Source) -> tuple[str, ...]:
    """All lines of the error, its hint included."""
    with pytest.raises(ConfigError) as caught:
        uservalues.parse(sources)
    error = caught.value
    return error.details or (f"{error.message} ({error.hint})",)


# what they become ----------------------------------------------------------------------------------------------------


def test_files_merge_from_left_to_right() -> None:
    assert parsed(file("a: {b: 1, c: 1}\nl: [1, 2]"), file("a: {c: 2}\nl: [3]")) == {"a": {"b": 1, "c": 2}, "l": [3]}


def test_precedence_is_helms_and_not_the_order_of_the_command_line() -> None:
    sources = [
        Source("set-file", "a=x", "from file"),
        *flags("set-string", "a=string,b=string"),
        *flags("set", "a=set,b=set,c=set"),
        *flags("set-json", 'a="json",b="json",c="json",d="json"'),
        file("{a: f, b: f, c: f, d: f, e: f}"),
    ]
    assert parsed(*sources) == {"a": "from file", "b": "string", "c": "set", "d": "json", "e": "f"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a=1", {"a": 1}),
        ("a=-1,b=+2", {"a": -1, "b": 2}),
        ("a=0123,b=0x1F,c=1.5,d=1e3", {"a": "0123", "b": "0x1F", "c": "1.5", "d": "1e3"}),
        ("a=true,b=FALSE,c=null,d=yes", {"a": True, "b": False, "c": None, "d": "yes"}),
        ("a=9223372036854775807,b=9223372036854775808", {"a": 9223372036854775807, "b": "9223372036854775808"}),
        ("a=", {"a": ""}),
        ("a=,b=x", {"a": "", "b": "x"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1,", {"a": 1}),
        (r"a\.b=c\,d", {"a.b": "c,d"}),
        (r"nodeSelector.kubernetes\.io/role=master", {"nodeSelector": {"kubernetes.io/role": "master"}}),
        ("a={1,x,true}", {"a": [1, "x", True]}),
        ("a={}", {"a": [""]}),
        ("a={1,2},b=3", {"a": [1, 2], "b": 3}),
        ("a[0].b=1,a[0].c=2,a[1]=x", {"a": [{"b": 1, "c": 2}, "x"]}),
        ("a[2]=x", {"a": [None, None, "x"]}),
        ("a[0][1]=x", {"a": [[None, "x"]]}),
        ("a.b.c=1,a.b.d=2", {"a": {"b": {"c": 1, "d": 2}}}),
        ("a=ä\U0001f415", {"a": "ä\U0001f415"}),
    ],
)
def test_set(expression: str, expected: Any) -> None:
    assert tree.same(parsed(*flags("set", expression)), expected)


def test_set_goes_into_what_the_files_gave() -> None:
    assert parsed(file("a: [{b: 1, c: 1}, {b: 2}]"), *flags("set", "a[1].b=9")) == {"a": [{"b": 1, "c": 1}, {"b": 9}]}


def test_set_string_leaves_every_value_text() -> None:
    assert parsed(*flags("set-string", "a=1,b=true,c=null,d={1,2}")) == {
        "a": "1",
        "b": "true",
        "c": "null",
        "d": ["1", "2"],
    }


def test_set_json_takes_values_and_whole_objects() -> None:
    sources = flags("set-json", 'a={"b": [1, null]} ,c= ,d="x,y"', '{"a": {"e": 1.5}, "c": true}')
    assert parsed(*sources) == {"a": {"b": [1, None], "e": 1.5}, "c": True, "d": "x,y"}


def test_set_file_takes_the_content_as_text() -> None:
    assert parsed(Source("set-file", r"datadog.confd.redis\.yaml=redis.yaml", "init_config: 1\n")) == {
        "datadog": {"confd": {"redis.yaml": "init_config: 1\n"}}
    }
    two = Source("set-file", "a=x,b=y", files={"x": "1", "y": "2"})
    assert parsed(two) == {"a": "1", "b": "2"}
    assert uservalues.set_file_paths("a=x,b={y,z}") == ("x", "y", "z")


def test_a_null_stays_for_helm_to_delete_the_charts_default() -> None:
    assert parsed(file("a: {b: null}"), *flags("set", "c=null")) == {"a": {"b": None}, "c": None}


def test_an_empty_file_says_nothing() -> None:
    for text in ("", "\n", "# only a comment\n", "---\n", "null\n", "\ufeff"):
        assert parsed(file(text)) == {}


def test_anchors_and_merge_keys_mean_what_they_mean_to_helm() -> None:
    assert parsed(file("b: &b {x: 1, z: 2}\nu:\n  <<: *b\n  x: 3\n")) == {"b": {"x": 1, "z": 2}, "u": {"x": 3, "z": 2}}


def test_every_key_says_where_it_was_set() -> None:
    layer = uservalues.parse(
        [
            file("a:\n  b: 1\n  c: 1\n", "one.yaml"),
            file("a:\n  c: 2\n", "two.yaml"),
            *flags("set", "d.e=1,l[0].x=2"),
        ]
    )
    found = build([layer])
    said = {tree.show(path): origin.reason for path, origin in found.origins.items()}
    assert said == {"a.b": "one.yaml:2", "a.c": "two.yaml:2", "d.e": "--set d.e", "l": "--set l"}


def test_ddhelms_own_record_in_a_dump_is_left_out_and_said() -> None:
    read = uservalues.read([file("a: 1\nddhelm:\n  format: 1\n")])
    assert read.layer.tree == {"a": 1}
    assert read.notes == ("prod.yaml:2: `ddhelm` is ddhelm's own record of a release and is left out",)
    assert "ddhelm" in problems(*flags("set", "ddhelm.format=2"))[0]


# what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("a", "`a` has no value"),
        ("a,b=1", "`a` has no value"),
        ("a.b", "`a.b` has no value"),
        ("=1", "empty name"),
        ("a.=1", "empty name below `a`"),
        ("a[0", "not closed"),
        ("a[0]", "`a[0]` has no value"),
        ("a[x]=1", "whole number"),
        ("a[-1]=1", "not negative"),
        ("a[65537]=1", "greatest index is 65536"),
        ("a[99999999999999999999]=1", "greatest index"),
        ("a[0]b=1", "between `a[0]` and its value"),
        ("a={1,2", "not closed"),
        ("a=1,a.b=2", "`a` is no map"),
        ("a=1,a[0]=2", "`a` is no list"),
        (".".join("a" * 32) + "=1", "30 levels"),
    ],
)
def test_a_flag_that_helm_refuses_or_half_ignores(expression: str, said: str) -> None:
    (line,) = problems(*flags("set", expression))
    assert said in line
    assert line.startswith("--set: ")


def test_a_name_may_have_thirty_levels_below_the_first() -> None:
    assert parsed(*flags("set", ".".join("a" * 31) + "=1"))


@pytest.mark.parametrize("expression", ["a=[1", 'a={"b"', "a=NaN", "a=1e999", "{", '{"a": 1} x', "a=" + "[" * 100_000])
def test_json_that_is_none(expression: str) -> None:
    (line,) = problems(*flags("set-json", expression))
    assert "JSON" in line


@pytest.mark.parametrize(
    "source",
    [
        Source("set", "datadog.tags[0]=team:\udce9"),
        Source("set", "a.\udce9=1"),
        Source("set-string", "a=\udce9"),
        Source("set-file", "a.\udce9=file", "text"),
    ],
)
def test_what_is_not_utf8_on_the_command_line_is_refused(source: Source) -> None:
    """Neither helm's input nor a plan file can hold it."""
    (line,) = problems(source)
    assert line.startswith(f"--{source.kind}: is not UTF-8")


def test_a_file_that_a_flag_names_may_have_any_name() -> None:
    assert parsed(Source("set-file", "a=\udce9.txt", "text")) == {"a": "text"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: yes\n", 1, "`yes` is true for Helm"),
        ("\na: off\n", 2, "`off` is false for Helm"),
        ("a:\n  - y\n", 2, "`a[0]`: `y` is true"),
        ("country: NO\n", 1, "`NO` is false"),
        ("on: 1\n", 1, "the key `on` is `true`"),
        ("a: {n: 1}\n", 1, "the key `n` is `false`"),
        ("1.10: x\n", 1, "the key `1.10` is the number 1.1"),
        ("a: 0123\n", 1, "`0123` is the number 83"),
        ("a: 0644\n", 1, "`0644` is the number 420"),
        ("a: 08\n", 1, "`08` is the number 8"),
        ("a: 0x1F\n", 1, "the number 31"),
        ("a: 1e3\n", 1, "`1e3` is the number 1000"),
        ("a: 12e7\n", 1, "the number 120000000"),
        ("a: +49123\n", 1, "the number 49123"),
        ("a: 2024_01\n", 1, "the number 202401"),
        ("tag: 7.60\n", 1, "`7.60` is the number 7.6"),
        ("datadog: {envDict: {V: 1.10}}\n", 1, "`datadog.envDict.V`: `1.10` is the number 1.1"),
        ("datadog: {envDict: {V: 0o17}}\n", 1, "`0o17` is the number 15"),
        ("datadog: {envDict: {V: 2500000}}\n", 1, "`2500000` becomes the text 2.5e+06"),
        ("env: [{name: V, value: 1.10}]\n", 1, "`env[0].value`: `1.10` is the number 1.1"),
        ("agents: {podLabels: {version: 0o17}}\n", 1, "the number 15"),
        ("a: {podAnnotations: {b: 7.0}}\n", 1, "the number 7 "),
        ("a: {nodeSelector: {b: 1.0}}\n", 1, "the number 1 "),
        ("a: 9007199254740993\n", 1, "for Helm"),
        ("a: 0.12345678901234567890\n", 1, "for Helm"),
        ("a: 1\nb: 2\na: 3\n", 3, "`a` stands on line 1 too"),
        ("a:\n  b: 1\n  b: 2\n", 3, "`a.b` stands on line 2 too"),
        ('"true": 1\nyes: 2\n', 2, "`true` stands on line 1 too"),
        ("a: 1\n\tb: 2\n", 2, "a tab"),
        ("a:\n\tb: 2\n", 2, "a tab"),
        ("- a\n- b\n", 1, "is a list"),
        ("hello\n", 1, "one word or number"),
        ("a:b\n", 1, "space behind the colon"),
        ("a: 1\n---\nb: 2\n", 3, "Helm 3 leaves it out, Helm 4 merges it"),
        ("a: [1\n", 1, "is no YAML"),
        ("a: b: c\n", 1, "a text with a colon"),
        ("a: %x\n", 1, "begins with `%`"),
        ("a: {{ x }}\n", 1, "begins with `{{`"),
        ("a: *x\n", 1, "unknown anchor"),
        ("a: .inf\n", 1, "`.inf` cannot be written as JSON"),
        ("a: .nan\nb: 1\nc: -.Inf\n", 3, "`-.Inf` cannot be written as JSON"),
        ("a: !!int x\nb: !!binary '#'\n", 2, "invalid base64"),
        ("? [a]\n: 1\n", 1, "a key must be"),
        ("a: " + "[" * 100_000, 1, "nested more than 200 levels"),
        ("a: 1\nü: \x00\n", 2, "control characters are not allowed (U+0000)"),
        (b"a: 1\nb: \xff\n", 2, "is not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "is not UTF-8"),
    ],
)  # fmt: skip
def test_a_line_that_helm_reads_otherwise_than_its_writer(text: str | bytes, line: int, said: str) -> None:
    lines = problems(file(text))
    assert any(one.startswith(f"prod.yaml:{line}: ") and said in one for one in lines), lines


def test_a_value_that_helm_refuses_hides_no_other_problem_and_no_secret_shows() -> None:
    key = "0123456789abcdef" * 2
    lines = problems(file(f"a: .inf\ndatadog:\n  apiKey: {key}\n  appKey: !!int {key}xyz\nb: yes\n"))
    assert sorted(line.partition(" (")[0] for line in lines) == [
        "prod.yaml:1: `.inf` cannot be written as JSON",
        "prod.yaml:3: `datadog.apiKey` looks like a secret",
        "prod.yaml:4: `datadog.appKey` looks like a secret",
        "prod.yaml:4: cannot decode what stands here as a !!int",
        "prod.yaml:5: `b`: `yes` is true for Helm",
    ]
    assert key not in "".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "a: true\nb: False\nc: null\nd: ~\ne:\n",
        'a: "yes"\nb: \'no\'\nc: "0123"\nd: "1e3"\n"on": 1\n',
        "a: |\n  yes\n  0123\n",
        "defaultMode: 0644\nitems: [{mode: 0400}]\n",
        "a: 0\nb: -1\nc: 0.5\nd: 1.25\ne: 8125\nf: 999999\n",
        "8125: x\n",
        "a: 10.0.0.1\nb: v1.2.3\nc: 2024-01-02\nd: 1.2.3\n",
        "a: !!str 123e4\nb: !!bool yes\n",
        "yesterday: nope\n",
        '{\n\t"a": 1\n}\n',
        "a: 1\n---\n# nothing more\n",
        "tag: 7.61\n",
        "datadog: {envDict: {RATE: 0.5, PORT: 8125, LEVEL: 1.25, SHOUT: 'yes', BIG: '1000000'}}\n",
        "resources: {limits: {cpu: 0.5}}\nlabelsAsTags: {pods: {a: b}}\nmode: 0o644\n",
    ],
)
def test_what_means_what_it_looks_like_is_not_mentioned(text: str) -> None:
    assert uservalues.read([file(text)]).notes == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1:30\n", "`1:30` is text for Helm"),
        ("a: 1000000\n", "printed by some templates as 1e+06"),
        ("a: -12345678\n", "as -1.2345678e+07"),
        ("a: 7.60\n", "`7.60` is the number 7.6"),
    ],
)
def test_what_depends_on_the_template_is_a_note(text: str, said: str) -> None:
    (note,) = uservalues.read([file(text)]).notes
    assert note.startswith("prod.yaml:1: ")
    assert said in note


def test_a_big_number_in_set_is_a_note_because_it_goes_to_helm_as_json() -> None:
    (note,) = uservalues.read(flags("set", "a.b=1000000,c=5")).notes
    assert "`a.b`" in note
    assert "--set-string" in note


def test_json_that_is_not_there_is_null_for_helm_and_noted() -> None:
    read = uservalues.read(flags("set-json", "datadog.tags=", "a[0]= ,b=null,c=1", '{"d": null}'))
    assert read.notes == (
        "--set-json: `datadog.tags` has no JSON and is null for Helm",
        "--set-json: `a[0]` has no JSON and is null for Helm",
    )


def test_every_problem_of_every_source_is_said_at_once() -> None:
    lines = problems(
        file("a: yes\nb: 0123\n", "one.yaml"),
        file("a: [\n", "two.yaml"),
        file(b"\xff", "three.yaml"),
        file("a: no\n", "-"),
        *flags("set", "x", "y[=1"),
        *flags("set-json", "z={"),
    )
    assert [line.split(": ")[0] for line in lines] == [
        "one.yaml:1", "one.yaml:2", "two.yaml:1", "three.yaml:1", "standard input:1", "--set-json", "--set", "--set",
    ]  # fmt: skip


def test_a_thousand_problems_are_counted_and_fifty_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        uservalues.parse([file("".join(f"k{i}: yes\n" for i in range(1000)))])
    assert caught.value.message.startswith("1000 problems")
    assert len(caught.value.details) == 51
    assert caught.value.exit_code == 3


def test_the_hint_says_where_the_problems_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        uservalues.parse([file("a: yes\nb: yes\n")])
    errors.show(caught.value)
    before, _, hint = capsys.readouterr().err.partition("hint:")
    assert all(detail in before for detail in caught.value.details)
    assert "the lines above" in hint


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "x" * 10_000_000,
        "".join(f"key{i}: some value of a key\n" for i in range(400_000)),
        "[" * 10_000_000,
        "a: yes\n" * 1_500_000,
    ],
    ids=["one line", "many keys", "brackets", "many problems"],
)
def test_ten_megabytes_are_refused_in_no_time(text: str) -> None:
    started = time.process_time()
    tracemalloc.start()
    (line,) = problems(file(text.encode()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "at most 4 MiB are read" in line
    assert time.process_time() - started < 2
    assert peak < 30_000_000


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
        ),
        "a: " + "[" * 3_000_000,
        "a: " + "{a: " * 500_000,
        "- " * 1_500_000,
        "? " * 1_500_000,
    ],
    ids=["a billion laughs", "brackets", "braces", "dashes", "question marks"],
)  # fmt: skip
def test_a_hostile_file_ends_soon(text: str) -> None:
    started = time.process_time()
    assert problems(file(text))
    assert time.process_time() - started < 10


# secrets -------------------------------------------------------------------------------------------------------------

SECRETS: Sequence[tuple[str, str]] = [
    (f"datadog:\n  apiKey: {API_KEY}\n", "prod.yaml:2: `datadog.apiKey`"),
    (f"datadog:\n  apiKey: {API_KEY.upper()}\n", "`datadog.apiKey`"),
    ("datadog:\n  apiKey: abc\n", "`datadog.apiKey`"),
    (f"datadog:\n  appKey: {APP_KEY}\n", "`datadog.appKey`"),
    (f"a:\n  b: {API_KEY}\n", "`a.b`"),
    (f"a:\n  b: {APP_KEY}\n", "`a.b`"),
    (f"a:\n  - {API_KEY}\n", "`a[0]`"),
    ("clusterAgent:\n  token: abcdefghijklmnopqrstuvwxyzabcdef\n", "`clusterAgent.token`"),
    ("x:\n  dbPassword: hunter2\n", "`x.dbPassword`"),
    ("x:\n  password: 123456\n", "`x.password`"),
    ("x:\n  clientSecret: s3cr3t\n", "`x.clientSecret`"),
    (f"datadog:\n  env:\n    - name: DD_API_KEY\n      value: {API_KEY}\n", "prod.yaml:4: `datadog.env[0].value`"),
    ("datadog:\n  env:\n    - {name: PG_PASSWORD, value: hunter2}\n", "`datadog.env[0].value`"),
    ("datadog:\n  envDict:\n    MY_TOKEN: hunter2\n", "`datadog.envDict.MY_TOKEN`"),
    ("a:\n  b: |\n    " + PEM.replace("\n", "\n    ") + "\n", "`a.b`"),
    ("a:\n  proxy: http://user:hunter2@proxy:3128\n", "`a.proxy`"),
    (
        "datadog:\n  confd:\n    postgres.yaml: |\n      instances:\n        - host: x\n          password: hunter2\n",
        r"`datadog.confd.postgres\.yaml`",
    ),
]


@pytest.mark.parametrize(("text", "said"), SECRETS)
def test_a_value_that_looks_like_a_secret_is_refused_and_never_shown(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        uservalues.parse([file(text)])
    error = caught.value
    assert error.anchor == "secret-in-values"
    everything = "\n".join([error.message, error.hint, *error.details])
    assert said in everything
    assert error.hint
    for secret in (API_KEY, API_KEY.upper(), APP_KEY, "hunter2", "s3cr3t", "abcdefgh", "MIIE", "123456"):
        assert secret not in everything


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("set", f"datadog.apiKey={API_KEY}"),
        ("set-string", "datadog.appKey=abc"),
        ("set-json", f'datadog={{"apiKey": "{API_KEY}"}}'),
        ("set-json", '{"x": {"password": "hunter2"}}'),
        ("set", "env[0].name=DB_PASSWORD,env[0].value=hunter2"),
    ],
)
def test_a_secret_in_a_flag_is_refused_and_never_shown(kind: str, argument: str) -> None:
    (line,) = problems(*flags(kind, argument))
    assert line.startswith(f"--{kind}: `")
    assert API_KEY not in line
    assert "hunter2" not in line


def test_a_secret_in_a_file_of_set_file_is_refused() -> None:
    (line,) = problems(Source("set-file", "a.key=tls.key", PEM))
    assert "`a.key` looks like a secret" in line


def test_a_broken_line_below_a_secret_key_does_not_show_it() -> None:
    lines = "\n".join(problems(file("password: 0123456\nx: {apiKey: yes}\ntoken: 1e3\n")))
    for secret in ("0123456", "42798", "1e3", "1000", "`yes`"):
        assert secret not in lines


@pytest.mark.parametrize("argument", [f"datadog.apiKey={API_KEY},x", f"a[{API_KEY}", f"a={{{API_KEY}"])
def test_a_broken_flag_does_not_show_its_values(argument: str) -> None:
    (line,) = problems(*flags("set", argument))
    assert API_KEY not in line


@pytest.mark.parametrize(
    "text",
    [
        "datadog:\n  apiKeyExistingSecret: mine\n  appKeyExistingSecret: mine\n",
        "clusterAgent:\n  tokenExistingSecret: mine\n",
        "datadog:\n  apiKey:\n  appKey: null\n",
        "a:\n  token: ''\n  password: '%%env_PG_PASSWORD%%'\n  apiKey: ENC[vault]\n",
        "a:\n  automountServiceAccountToken: true\n",
        "a:\n  bearer_token_path: /var/run/secrets/token\n  privateKey: /host/etc/tls.key\n",
        "agents:\n  image:\n    tag: 0123456789abcdef0123456789abcdef01234567\n",
        "a:\n  gitCommit: 0123456789abcdef0123456789abcdef01234567\n",
        "a:\n  x: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
        "datadog:\n  env:\n    - name: PG_PASSWORD\n      valueFrom: {secretKeyRef: {name: pg, key: password}}\n",
        "confd:\n  pg.yaml: |\n    instances:\n      - password: '%%env_PG%%'\n        bearer_token_auth: true\n",
        "a:\n  url: https://example.com/x?y=z\n",
    ],
)  # fmt: skip
def test_a_name_a_reference_or_a_digest_is_no_secret(text: str) -> None:
    assert parsed(file(text))


def test_the_hint_for_an_api_key_names_the_safe_ways() -> None:
    with pytest.raises(ConfigError) as caught:
        uservalues.parse(flags("set", f"datadog.apiKey={API_KEY}"))
    for way in ("DD_API_KEY", "--api-key-file", "--api-key-secret"):
        assert way in caught.value.hint


def test_a_secret_that_two_flags_make_together_is_refused() -> None:
    (told,) = problems(*flags("set", "datadog.env[0].name=DB_PASSWORD", "datadog.env[0].value=hunter2hunter2"))
    assert told.startswith("--set: `datadog.env[0].value` looks like a secret")
    assert "hunter2" not in told
