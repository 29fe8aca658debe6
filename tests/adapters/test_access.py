"""Cluster and namespace are found once, each with its origin; what helm would get wrong silently is an error."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ddhelm.access import Access, contexts, resolve
from ddhelm.errors import ClusterError, ConfigError

SECRET = "0123456789abcdef0123456789abcdef"


def kubeconfig(folder: Path, name: str, *contexts: str, current: str | None = None, **extra: Any) -> Path:
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current if current is not None else (contexts[0] if contexts else ""),
        "contexts": [{"name": each, "context": {"cluster": f"{each}-cluster", "user": "u"}} for each in contexts],
        "clusters": [{"name": f"{each}-cluster", "cluster": {"server": f"https://{each}.{name}"}} for each in contexts],
        "users": [{"name": "u", "user": {"token": SECRET}}],
        **extra,
    }
    path = folder / name
    path.write_text(json.dumps(tree))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".kube").mkdir()
    return tmp_path


def found(home: Path, environ: Mapping[str, str] | None = None, **flags: Any) -> Access:
    return resolve(environ={"HOME": str(home), **(environ or {})}, token_file=str(home / "token"), **flags)


class TestKubeconfig:
    def test_the_flag_comes_first(self, home: Path) -> None:
        flag, env = kubeconfig(home, "flag", "f"), kubeconfig(home, "env", "e")
        kubeconfig(home / ".kube", "config", "d")
        access = found(home, {"KUBECONFIG": str(env)}, kubeconfig=str(flag))
        assert (access.kubeconfig, access.context, access.server) == (str(flag), "f", "https://f.flag")
        assert access.origins["kubeconfig"] == "--kubeconfig"

    def test_then_the_variable_then_the_home_folder(self, home: Path) -> None:
        usual = kubeconfig(home / ".kube", "config", "d")
        assert found(home).kubeconfig == str(usual)
        assert found(home).origins["kubeconfig"] == "default"
        env = kubeconfig(home, "env", "e")
        access = found(home, {"KUBECONFIG": str(env)})
        assert (access.context, access.origins["kubeconfig"]) == ("e", "KUBECONFIG")

    def test_a_relative_path_becomes_absolute(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = kubeconfig(home, "flag", "f")
        monkeypatch.chdir(home)
        assert found(home, kubeconfig="flag").kubeconfig == str(path)
        assert found(home, {"KUBECONFIG": "flag"}).kubeconfig == str(path)

    def test_of_several_files_the_first_that_has_an_entry_wins(self, home: Path) -> None:
        one = kubeconfig(home, "one", "a", "shared", current="")
        two = kubeconfig(home, "two", "shared", "b", current="shared")
        access = found(home, {"KUBECONFIG": f"{one}:{two}"})
        assert (access.context, access.server) == ("shared", "https://shared.one")
        assert found(home, {"KUBECONFIG": f"{one}:{two}"}, context="b").server == "https://b.two"

    def test_of_two_contexts_of_one_name_the_first_counts(self, home: Path) -> None:
        one = kubeconfig(home, "one", "a", "b", contexts=[{"name": "same", "context": {"cluster": "a-cluster"}}])
        two = kubeconfig(home, "two", "a", "b", contexts=[{"name": "same", "context": {"cluster": "b-cluster"}}])
        both = {"KUBECONFIG": f"{one}:{two}"}
        assert found(home, both, context="same").server == "https://a.one"

    def test_several_files_go_by_the_environment_and_one_by_its_flag(self, home: Path) -> None:
        one, two = kubeconfig(home, "one", "a"), kubeconfig(home, "two", "b")
        several = found(home, {"KUBECONFIG": f"{one}:{two}"})
        assert several.environment() == {"KUBECONFIG": f"{one}:{two}"}
        assert several.kubectl_flags() == ("--context", "a")
        single = found(home, {"KUBECONFIG": str(one)})
        assert single.environment() == {}
        assert single.kubectl_flags() == ("--kubeconfig", str(one), "--context", "a")
        assert single.helm_flags() == ("--kubeconfig", str(one), "--kube-context", "a", "--namespace", "datadog")
        assert single.helm_context() == single.helm_flags()[:4]

    def test_the_flag_is_one_file_whatever_its_name(self, home: Path) -> None:
        """kubectl and helm take the flag as one path (tried), and an ARN as a folder's name is full of colons."""
        folder = home / "arn:aws:eks:x"
        folder.mkdir()
        path = str(kubeconfig(folder, "config", "a"))
        access = found(home, kubeconfig=path)
        assert (access.kubeconfig, access.context, access.environment()) == (path, "a", {})
        assert access.kubectl_flags() == ("--kubeconfig", path, "--context", "a")
        assert contexts(path, {"HOME": str(home)}) == ("a",)
        with pytest.raises(ClusterError) as caught:
            found(home, kubeconfig=str(kubeconfig(folder, "broken", "a", clusters=[])))
        assert caught.value.hint == f"kubectl config view --kubeconfig {folder}/broken"

    def test_missing_files_of_a_list_are_skipped(self, home: Path) -> None:
        there = kubeconfig(home, "there", "a")
        assert found(home, {"KUBECONFIG": f"/nope::{there}"}).kubeconfig == str(there)

    @pytest.mark.parametrize("value", ["/nope", "/nope:/neither"])
    def test_a_variable_that_names_nothing_is_an_error_and_not_localhost(self, home: Path, value: str) -> None:
        kubeconfig(home / ".kube", "config", "d")
        with pytest.raises(ClusterError, match=r"`/nope.*`, which does not exist") as caught:
            found(home, {"KUBECONFIG": value})
        assert caught.value.anchor == "unreadable-kubeconfig"

    def test_a_flag_that_names_nothing_is_an_error(self, home: Path) -> None:
        with pytest.raises(ClusterError, match="`/nope` does not exist"):
            found(home, kubeconfig="/nope")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("just a line", "is not a kubeconfig"),
            ("- a\n- list\n", "is not a kubeconfig"),
            ("", "holds no context"),
            ("contexts: 7\n", "holds no context"),
            (f"users:\n\ttoken: {SECRET}\n", "no YAML at line 2"),
            (f"users:\n- token: {SECRET}\x1b\n", "no YAML at line 2"),
            ("users: " + "[" * 5000 + "]" * 5000, "cannot be read: no YAML"),
        ],
    )
    def test_broken_files_are_errors_and_not_localhost(self, home: Path, text: str, words: str) -> None:
        (home / ".kube" / "config").write_text(text)
        with pytest.raises(ClusterError, match=words) as caught:
            found(home)
        assert SECRET not in f"{caught.value.message}{caught.value.details}"
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    def test_a_folder_in_place_of_the_file_is_an_error(self, home: Path) -> None:
        (home / ".kube" / "config").mkdir()
        with pytest.raises(ClusterError, match="cannot be read: Is a directory"):
            found(home)

    @pytest.mark.parametrize("named", ["flag", "list", "usual"])
    def test_a_file_in_a_folder_that_may_not_be_entered_is_an_error(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, named: str
    ) -> None:
        path = home / ".kube" / "config"

        def shut(_path: Path, *_args: object, **_more: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "stat", shut)
        monkeypatch.setattr(Path, "read_bytes", shut)
        with pytest.raises(ClusterError, match=f"kubeconfig `{path}` cannot be read: Permission denied") as caught:
            found(
                home,
                {"KUBECONFIG": str(path)} if named == "list" else {},
                kubeconfig=str(path) if named == "flag" else None,
            )
        assert (caught.value.anchor, caught.value.hint) == ("unreadable-kubeconfig", f"ls -l {path}")

    def test_entries_of_an_unknown_shape_are_passed_over(self, home: Path) -> None:
        odd = [{"name": "a"}, {"context": {}}, "text", {"name": "b", "context": {"cluster": "a-cluster"}}]
        path = kubeconfig(home, "odd", "a", contexts=odd)
        assert found(home, kubeconfig=str(path), context="b").server == "https://a.odd"


class TestContext:
    def test_the_flag_beats_the_variable_beats_the_file(self, home: Path) -> None:
        kubeconfig(home / ".kube", "config", "a", "b", "c")
        assert found(home).context == "a"
        assert found(home).origins["context"] == f"current-context of `{home}/.kube/config`"
        by_variable = found(home, {"HELM_KUBECONTEXT": "b"})
        assert (by_variable.context, by_variable.origins["context"]) == ("b", "HELM_KUBECONTEXT")
        by_flag = found(home, {"HELM_KUBECONTEXT": "b"}, context="c")
        assert (by_flag.context, by_flag.origins["context"]) == ("c", "--context")

    def test_an_unknown_one_is_told_with_its_origin_and_the_nearest(self, home: Path) -> None:
        kubeconfig(home / ".kube", "config", "staging", "production")
        with pytest.raises(ClusterError, match=r"`prodution` \(--context\) is not in") as caught:
            found(home, context="prodution")
        assert caught.value.hint == "--context production"
        assert caught.value.details == ("context staging", "context production")
        assert caught.value.anchor == "unknown-context"

    def test_none_is_an_error_and_not_localhost(self, home: Path) -> None:
        kubeconfig(home / ".kube", "config", *(f"c{n}" for n in range(12)), current="")
        with pytest.raises(ClusterError, match="has no current-context") as caught:
            found(home)
        assert caught.value.hint == "--context c0"
        assert caught.value.details[-1] == "and 2 more"

    def test_its_name_is_one_word_of_the_hint(self, home: Path) -> None:
        kubeconfig(home / ".kube", "config", "my cluster", current="")
        for context in (None, "my clustr"):
            with pytest.raises(ClusterError) as caught:
                found(home, context=context)
            assert caught.value.hint == "--context 'my cluster'"

    def test_one_without_a_server_is_an_error(self, home: Path) -> None:
        kubeconfig(home / ".kube", "config", "a", clusters=[])
        with pytest.raises(ClusterError, match="names the cluster `a-cluster`, which has no server"):
            found(home)


class TestNamespace:
    def test_the_flag_beats_the_variable_beats_datadog(self, home: Path) -> None:
        kubeconfig(home / ".kube", "config", "a")
        assert (found(home).namespace, found(home).origins["namespace"]) == ("datadog", "default")
        assert found(home, {"HELM_NAMESPACE": "x"}).namespace == "x"
        assert found(home, {"HELM_NAMESPACE": "x"}, namespace="y").namespace == "y"

    def test_the_contexts_own_is_not_used(self, home: Path) -> None:
        contexts = [{"name": "a", "context": {"cluster": "a-cluster", "namespace": "other"}}]
        kubeconfig(home / ".kube", "config", "a", contexts=contexts)
        assert found(home).namespace == "datadog"


IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


class TestInACluster:
    def test_the_pods_own_account_is_used_without_flags(self, home: Path) -> None:
        (home / "token").write_text(SECRET)
        access = found(home, IN_A_POD)
        assert access.in_cluster
        assert (access.server, access.context) == ("https://10.96.0.1:443", "")
        assert access.kubectl_flags() == ()
        assert access.helm_flags() == ("--namespace", "datadog")
        assert access.where == "the cluster (https://10.96.0.1:443)"

    def test_an_ipv6_service_address_is_bracketed(self, home: Path) -> None:
        (home / "token").write_text(SECRET)
        assert found(home, {"KUBERNETES_SERVICE_HOST": "fd00::1"}).server == "https://[fd00::1]:443"

    def test_a_kubeconfig_comes_first(self, home: Path) -> None:
        (home / "token").write_text(SECRET)
        kubeconfig(home / ".kube", "config", "a")
        assert not found(home, IN_A_POD).in_cluster

    def test_a_context_cannot_be_chosen_there(self, home: Path) -> None:
        (home / "token").write_text(SECRET)
        with pytest.raises(ClusterError, match="context `a` needs a kubeconfig"):
            found(home, IN_A_POD, context="a")

    def test_without_either_it_is_an_error_with_a_hint(self, home: Path) -> None:
        with pytest.raises(ClusterError, match="no kubeconfig") as caught:
            found(home)
        assert (caught.value.hint, caught.value.anchor) == ("--kubeconfig FILE", "no-kubeconfig")


class TestForeignVariables:
    @pytest.mark.parametrize(
        "name",
        ["HELM_KUBETOKEN", "HELM_KUBEAPISERVER", "HELM_KUBEASUSER", "HELM_KUBEASGROUPS", "HELM_KUBECAFILE"],
    )
    def test_another_cluster_or_identity_is_refused_by_name(self, home: Path, name: str) -> None:
        with pytest.raises(ConfigError, match=f"`{name}` in the environment") as caught:
            found(home, {name: SECRET})
        assert caught.value.exit_code == 3
        assert caught.value.anchor == "unsupported-environment"
        assert SECRET not in f"{caught.value.message}{caught.value.hint}{caught.value.details}"

    def test_another_store_is_refused(self, home: Path) -> None:
        with pytest.raises(ConfigError, match="`HELM_DRIVER`") as caught:
            found(home, {"HELM_DRIVER": "configmap"})
        assert caught.value.details == ("HELM_DRIVER is `configmap`; ddhelm reads releases from Secrets only",)

    def test_all_are_named_at_once(self, home: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            found(home, {"HELM_DRIVER": "sql", "HELM_KUBETOKEN": SECRET})
        assert "`HELM_KUBETOKEN HELM_DRIVER`" in caught.value.message

    @pytest.mark.parametrize(
        ("name", "value"),
        [("HELM_DRIVER", "secret"), ("HELM_DRIVER", "secrets"), ("HELM_KUBETOKEN", ""), ("HELM_X", "1")],
    )
    def test_what_means_the_same_is_taken(self, home: Path, name: str, value: str) -> None:
        kubeconfig(home / ".kube", "config", "a")
        assert found(home, {name: value}).context == "a"


@pytest.mark.parametrize("name", ["Datadog", "data_dog", "-x", "x-", "a.b", "x" * 64, "daten-hündchen", "a b", "../x"])
def test_a_name_that_no_namespace_can_have_is_refused_with_its_origin(tmp_path: Path, name: str) -> None:
    for flag, environ, origin in ((name, {}, "--namespace"), (None, {"HELM_NAMESPACE": name}, "HELM_NAMESPACE")):
        with pytest.raises(ConfigError) as caught:
            resolve(namespace=flag, environ={**environ, "HOME": str(tmp_path)})
        assert f"`{name}` ({origin})" in caught.value.message
        assert caught.value.hint.startswith("-n ")


@pytest.mark.parametrize("name", ["a", "x" * 63, "1-a", "kube-system"])
def test_names_that_a_namespace_can_have_go_on_to_the_kubeconfig(tmp_path: Path, name: str) -> None:
    with pytest.raises(ClusterError, match="no kubeconfig"):
        resolve(namespace=name, environ={"HOME": str(tmp_path)})
