"""`run` against real programs: ones that hang, ignore signals, print a lot, or leave children behind."""

import logging
import os
import signal
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from ddhelm.errors import Interrupted, ToolError
from ddhelm.interrupts import interruptible
from ddhelm.run import Command, Completed, Later, Runner, Secrets, cache_folder, environment, find

SECRET = "0123456789abcdef0123456789abcdef"


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *arguments)


def shell(code: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", code)


def gone(pid: int, within: float = 5.0) -> bool:
    """Whether a process ends in time; one that no parent reaps yet counts as ended."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except FileNotFoundError:
            return True
        threading.Event().wait(0.02)
    return False


def test_output_errors_and_code_come_back() -> None:
    done = Runner().run(Command(shell("echo out; echo err >&2; exit 3")))
    assert (done.out, done.err, done.code, done.ok, done.timed_out) == ("out\n", "err\n", 3, False, False)


def test_a_program_that_ends_well_is_ok() -> None:
    assert Runner().run(Command(shell("exit 0"))).ok


def test_standard_input_is_empty_unless_text_is_given() -> None:
    assert Runner().run(Command(("/bin/cat",))).out == ""
    assert Runner().run(
        Command(python("import os; print(os.path.samestat(os.fstat(0), os.stat('/dev/null')))"))
    ).out == ("True\n")


@pytest.mark.parametrize("size", [1, 4096, 4097, 2_000_000])
def test_text_arrives_whole_on_standard_input(size: int) -> None:
    text = ("ä" + "x" * 61) * (size // 62 + 1)
    assert Runner().run(Command(("/bin/cat",), stdin=text)).out == text


def test_input_that_comes_later_reaches_a_program_that_has_begun() -> None:
    later = Later()
    (done,) = Runner().run_all([Command(("/bin/cat",), stdin=later)], lambda: later.give("at last"))
    assert (done.out, done.code) == ("at last", 0)


def test_a_program_that_gets_no_input_after_all_is_ended() -> None:
    given, never = Later(), Later()
    first, second = Runner().run_all(
        [Command(("/bin/cat",), stdin=given), Command(python("import time; time.sleep(60)"), stdin=never)],
        lambda: given.give("x"),
    )
    assert (first.out, second.ok) == ("x", False)
    assert second.seconds < 20


def test_input_that_cannot_be_made_ends_the_programs_that_wait_for_it() -> None:
    def fail() -> None:
        raise ValueError("no input")

    with pytest.raises(ValueError, match="no input"):
        Runner().run_all([Command(("/bin/cat",), stdin=Later()) for _ in range(2)], fail)


def test_a_program_that_never_reads_its_input_does_not_hang_us() -> None:
    assert Runner().run(Command(shell("exit 4"), stdin="x" * 1_000_000, timeout=20)).code == 4


def test_ten_megabytes_on_both_streams_arrive_whole() -> None:
    code = "import sys\nfor s in (sys.stdout, sys.stderr):\n s.write('0123456789' * 1_000_000)"
    done = Runner().run(Command(python(code)))
    assert done.stdout == b"0123456789" * 1_000_000
    assert len(done.err) == 10_000_000


def test_output_that_is_not_utf8_is_kept_as_bytes_and_readable_as_text() -> None:
    done = Runner().run(Command(shell(r"printf 'a\377b'; printf '\377' >&2")))
    assert (done.stdout, done.out, done.err) == (b"a\xffb", "a\ufffdb", "\ufffd")


def test_a_hanging_program_is_asked_by_sigint_first() -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (print('cleaned up', flush=True), sys.exit(7)))\n"
        "time.sleep(60)"
    )
    done = Runner().run(Command(python(code), timeout=1.0))
    assert (done.out, done.code, done.timed_out, done.ok) == ("cleaned up\n", 7, True, False)


def test_a_program_that_ignores_sigint_gets_sigterm() -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(8))\n"
        "time.sleep(60)"
    )
    done = Runner().run(Command(python(code), timeout=1.0, grace=0.3))
    assert (done.code, done.timed_out) == (8, True)


def test_only_a_program_that_ignores_both_is_killed() -> None:
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "time.sleep(60)"
    )
    done = Runner().run(Command(python(code), timeout=1.0, grace=0.3))
    assert (done.code, done.timed_out) == (-signal.SIGKILL, True)
    assert 1.5 < done.seconds < 20


def test_a_grandchild_that_holds_the_output_does_not_hang_us() -> None:
    done = Runner().run(Command(shell("echo begun; sleep 60 & echo $! >&2; exit 0")))
    try:
        assert (done.out, done.code) == ("begun\n", 0)
        assert done.seconds < 20
    finally:
        os.kill(int(done.err), signal.SIGKILL)


def test_a_stopped_program_takes_its_children_along() -> None:
    done = Runner().run(Command(shell("trap 'exit 5' INT; sleep 60 & echo $! >&2; wait"), timeout=0.5))
    assert done.timed_out
    assert gone(int(done.err))


def test_children_live_in_their_own_session() -> None:
    done = Runner().run(Command(python("import os; print(os.getpid() == os.getsid(0) == os.getpgid(0))")))
    assert done.out == "True\n"


def test_children_have_no_terminal_to_colour_for() -> None:
    assert Runner().run(Command(python("import sys; print(sys.stdout.isatty(), sys.stderr.isatty())"))).out == (
        "False False\n"
    )


def test_several_run_at_the_same_time_and_answer_in_order() -> None:
    began = time.monotonic()
    done = Runner().run_all([Command(shell(f"sleep {1 - n / 10}; echo {n}")) for n in range(5)])
    assert [each.out for each in done] == [f"{n}\n" for n in range(5)]
    assert time.monotonic() - began < 3


def test_something_else_is_done_while_they_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    waiting = Command(shell(f"until [ -e {made} ]; do sleep 0.05; done; echo seen"), timeout=20)
    assert [done.out for done in Runner().run_all([waiting, waiting], made.touch)] == ["seen\n", "seen\n"]


def test_an_error_in_what_is_done_meanwhile_stops_them_and_is_passed_on(tmp_path: Path) -> None:
    mark = tmp_path / "pid"

    def fail() -> None:
        while not (mark.exists() and mark.read_text()):
            time.sleep(0.05)
        raise ValueError("meanwhile")

    with pytest.raises(ValueError, match="meanwhile"):
        Runner().run_all([Command(shell(f"echo $$ >{mark}; exec sleep 60"))], fail)
    assert gone(int(mark.read_text()))


def test_a_server_that_inherited_to_ignore_sigint_ends_at_once() -> None:
    server = Runner().serve(Command(shell("trap '' INT; exec sleep 60"), grace=30))
    began = time.monotonic()
    server.close()
    assert not server.running
    assert time.monotonic() - began < 15


def test_no_more_than_the_limit_run_at_once(tmp_path: Path) -> None:
    code = f"cd {tmp_path}; touch $$; ls | wc -l; sleep 0.2; rm $$"
    done = Runner(limit=2).run_all([Command(shell(code)) for _ in range(6)])
    assert max(int(each.out) for each in done) <= 2


def test_nothing_to_run_is_no_work() -> None:
    assert Runner().run_all([]) == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_reaches_the_child_and_waits_for_it(number: signal.Signals) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: (time.sleep(0.3), sys.exit(9)))\n"
        "print('ready', file=sys.stderr, flush=True); time.sleep(60)"
    )
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        Runner().run(Command(python(code), on_stderr=lambda _: os.kill(os.getpid(), number)))
    assert caught.value.exit_code == 130
    assert caught.value.details[0].endswith("ended with 9")
    assert signal.getsignal(number) == before


def test_an_interrupt_names_what_was_never_started() -> None:
    code = "import sys, time\nprint('ready', file=sys.stderr, flush=True); time.sleep(60)"
    first = Command(python(code), on_stderr=lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        Runner(limit=1).run_all([first, Command(("/bin/echo", "second"))])
    assert caught.value.details[1:] == ("`echo second` was not started",)


def test_an_interrupt_names_nothing_that_only_read() -> None:
    code = "import sys, time\nprint('ready', file=sys.stderr, flush=True); time.sleep(60)"
    first = Command(python(code), reads=True, on_stderr=lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        Runner(limit=1).run_all([first, Command(("/bin/echo", "read"), reads=True), Command(("/bin/echo", "write"))])
    assert caught.value.details == ("`echo write` was not started",)


def test_a_shielded_program_is_let_finish_at_the_first_interrupt() -> None:
    ready = _interrupt_times(1)
    with pytest.raises(Interrupted) as caught:
        Runner().run(Command(shell("echo ready >&2; sleep 0.5; exit 6"), shielded=True, on_stderr=ready))
    assert caught.value.details[0].endswith("ended with 6")


def test_a_shielded_program_is_stopped_at_the_second_interrupt() -> None:
    ready = _interrupt_times(2)
    with pytest.raises(Interrupted) as caught:
        Runner().run(Command(shell("echo ready >&2; echo ready >&2; exec sleep 60"), shielded=True, on_stderr=ready))
    assert caught.value.details[0].endswith("was ended by SIGINT before it was through")


def test_impatience_alone_never_kills() -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(5): print('ready', file=sys.stderr, flush=True); time.sleep(0.1)\n"
        "sys.exit(11)"
    )
    with pytest.raises(Interrupted) as caught:
        Runner().run(Command(python(code), on_stderr=_interrupt_times(5), grace=60))
    assert caught.value.details[0].endswith("ended with 11")


def _interrupt_times(times: int) -> Callable[[str], None]:
    """Send ^C for each line, and wait until the main thread has seen it: two at once would count as one."""
    seen: list[str] = []

    def interrupt(line: str) -> None:
        if len(seen) < times:
            seen.append(line)
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(0.05)

    return interrupt


def test_handlers_that_ignore_interrupts_stay_in_force() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = Runner().run(Command(shell("echo x >&2"), on_stderr=lambda _: os.kill(os.getpid(), signal.SIGHUP)))
        assert done.ok
    finally:
        signal.signal(signal.SIGHUP, before)


def test_lines_on_stderr_are_seen_while_the_program_runs() -> None:
    lines: list[tuple[str, bool]] = []

    def line(text: str) -> None:
        pid, word = text.split()
        lines.append((word, Path(f"/proc/{pid}").exists()))
        os.kill(int(pid), signal.SIGTERM)

    done = Runner().run(Command(shell("echo $$ warning >&2; exec sleep 60"), on_stderr=line))
    assert lines == [("warning", True)]
    assert done.code == -signal.SIGTERM
    assert done.err.endswith("warning\n")


def test_an_error_in_the_callback_is_not_lost() -> None:
    def broken(_: str) -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        Runner().run(Command(shell("echo one >&2; echo two >&2"), on_stderr=broken))


def test_an_invitation_to_log_in_is_passed_on_while_the_program_waits_for_it() -> None:
    invitation = "To sign in, open the page https://login.example/device and enter the code ABC"
    seen: list[str] = []

    def notice(line: str) -> None:
        seen.append(line)
        logged_in.set()

    logged_in = threading.Event()
    others = ("Unable to connect to https://x", 'E1124 03:10 memcache.go "Get https://x"', "plain words")
    lines = [*others, invitation]
    code = f"import sys, time\nfor line in {lines!r}: print(line, file=sys.stderr, flush=True)\ntime.sleep(60)"
    ended: list[Completed] = []
    command = Command(python(code), timeout=5)
    thread = threading.Thread(target=lambda: ended.append(Runner(notice=notice).run(command)))
    thread.start()
    assert logged_in.wait(5)
    assert not ended
    thread.join()
    assert seen == [invitation]
    assert ended[0].err.splitlines()[: len(others)] == list(others)


def test_a_missing_program_is_a_tool_error() -> None:
    with pytest.raises(ToolError, match="`/nope/helm` cannot be started") as caught:
        Runner().run(Command(("/nope/helm", "--set", f"key={SECRET}")))
    assert SECRET not in str(caught.value)
    assert caught.value.anchor == "tool-not-started"


def test_a_program_of_the_wrong_format_is_a_tool_error(tmp_path: Path) -> None:
    broken = tmp_path / "helm"
    broken.write_bytes(b"\x7fELF not really")
    broken.chmod(0o755)
    with pytest.raises(ToolError, match=r"cannot be started: Exec format error$") as caught:
        Runner().run(Command((str(broken), f"key={SECRET}")))
    assert SECRET not in f"{caught.value.message}{caught.value.hint}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_one_that_cannot_start_does_not_leave_the_others_behind(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    other = Command(shell(f"echo $$ > {mark}; exec sleep 60"))
    with pytest.raises(ToolError):
        Runner().run_all([other, Command(("/nope",))])
    if mark.exists():  # it may have been stopped before its first line
        assert gone(int(mark.read_text()))


class TestSecrets:
    def test_known_values_are_hidden_in_errors_lines_and_log(self, caplog: pytest.LogCaptureFixture) -> None:
        secrets = Secrets()
        secrets.add(SECRET)
        lines: list[str] = []
        with caplog.at_level(logging.DEBUG):
            done = Runner(secrets).run(Command(shell(f"echo key {SECRET} >&2"), on_stderr=lines.append))
        assert done.err == "key ***\n"
        assert lines == ["key ***"]
        assert "key ***" in caplog.text
        assert SECRET not in caplog.text

    def test_standard_input_is_never_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(1):
            Runner().run(Command(("/bin/cat",), stdin="apiKey: not-known-as-secret"))
        assert "not-known" not in caplog.text
        assert "apiKey" not in caplog.text

    def test_neither_command_nor_result_show_text_when_printed(self) -> None:
        command = Command(("/bin/cat",), stdin=SECRET, env={"KEY": SECRET})
        assert SECRET not in repr(command)
        assert SECRET not in repr(Completed(("a",), 0, SECRET.encode()))

    def test_the_base64_form_is_hidden_too(self) -> None:
        secrets = Secrets()
        secrets.add(SECRET)
        encoded = b64encode(SECRET.encode()).decode()
        assert secrets.hide(f'{{"api-key":"{encoded}"}}') == '{"api-key":"***"}'

    def test_a_value_within_another_does_not_leave_its_rest(self) -> None:
        secrets = Secrets()
        secrets.add("abcdef", "abcdefghij")
        assert secrets.hide("x abcdefghij y abcdef") == "x *** y ***"

    def test_a_key_with_a_line_end_is_hidden_without_it(self) -> None:
        secrets = Secrets()
        secrets.add(SECRET + "\n")
        assert secrets.hide(f"got {SECRET}.") == "got ***."

    def test_short_values_do_not_mask_ordinary_words(self) -> None:
        secrets = Secrets()
        secrets.add("", "on", " \n")
        assert secrets.hide("one of none") == "one of none"


def test_the_log_line_can_be_pasted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="ddhelm"):
        Runner().run(Command(("/bin/echo", "two words", "$HOME")))
    assert [record.name for record in caplog.records] == ["ddhelm.run"]
    assert caplog.messages[0].startswith("/bin/echo 'two words' '$HOME'  # exit 0, ")


def test_children_see_neither_helm_nor_datadog_variables() -> None:
    seen = environment(
        {"HELM_DEBUG": "1", "DD_API_KEY": SECRET, "PATH": "/bin", "HTTPS_PROXY": "p"}, HELM_DRIVER="secret"
    )
    assert {name: value for name, value in seen.items() if not name.startswith("GO")} == {
        "PATH": "/bin",
        "HTTPS_PROXY": "p",
        "HELM_DRIVER": "secret",
    }


def test_children_collect_less_garbage_unless_the_user_says_how_much() -> None:
    assert environment({})["GOGC"] == "800"
    assert environment({"GOGC": "50"})["GOGC"] == "50"


class TestServe:
    def test_it_runs_until_it_is_closed(self) -> None:
        started = threading.Event()
        pids: list[int] = []

        def told(line: str) -> None:
            pids.append(int(line))
            started.set()

        server = Runner().serve(Command(shell("echo $$ >&2; exec sleep 60"), on_stderr=told))
        assert started.wait(10)
        for _ in range(2):
            assert server.ask(lambda going: going())
        assert not gone(pids[0])
        server.close()
        assert gone(pids[0])
        assert not server.running
        server.close()

    def test_the_work_is_told_when_the_server_ends_by_itself(self) -> None:
        def work(going: Callable[[], bool]) -> str:
            while going():
                threading.Event().wait(0.01)
            return "told"

        server = Runner().serve(Command(shell("exit 3")))
        assert server.ask(work) == "told"
        assert not server.running
        server.close()

    def test_an_interrupt_ends_the_work_and_the_server(self) -> None:
        def work(going: Callable[[], bool]) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            while going():
                threading.Event().wait(0.01)

        server = Runner().serve(Command(shell("exec sleep 60")))
        with pytest.raises(Interrupted):
            server.ask(work)
        assert not server.running

    def test_work_that_fails_leaves_the_server_for_the_next(self) -> None:
        def work(_going: Callable[[], bool]) -> None:
            raise ValueError("the work failed")

        server = Runner().serve(Command(shell("exec sleep 60")))
        with pytest.raises(ValueError, match="the work failed"):
            server.ask(work)
        assert server.ask(lambda going: going())
        server.close()


def test_without_an_environment_the_child_gets_the_cleaned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_API_KEY", SECRET)
    monkeypatch.setenv("KEPT", "yes")
    out = Runner().run(Command(("/usr/bin/env",))).out
    assert "KEPT=yes" in out
    assert SECRET not in out


class TestFind:
    @pytest.fixture
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
        on_path, beside = tmp_path / "path", tmp_path / "beside"
        for folder in (on_path, beside):
            folder.mkdir()
        monkeypatch.setenv("PATH", str(on_path))
        monkeypatch.setattr(sys, "argv", [str(beside / "ddhelm")])
        return on_path, beside

    @staticmethod
    def program(folder: Path) -> str:
        path = folder / "kubectl"
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return str(path)

    def test_path_comes_first(self, folders: tuple[Path, Path]) -> None:
        self.program(folders[1])
        expected = self.program(folders[0])
        assert find("kubectl") == expected

    def test_then_the_folder_of_our_own_executable(self, folders: tuple[Path, Path]) -> None:
        expected = self.program(folders[1])
        assert find("kubectl") == expected

    def test_a_relative_path_entry_becomes_absolute(
        self, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = self.program(folders[0])
        monkeypatch.chdir(folders[0].parent)
        monkeypatch.setenv("PATH", "path")
        assert find("kubectl") == expected

    @pytest.mark.usefixtures("folders")
    def test_nowhere_is_a_tool_error_with_the_way_to_install_it(self) -> None:
        with pytest.raises(ToolError, match="`helm` is not on PATH") as caught:
            find("helm")
        assert caught.value.anchor == "tool-not-found"
        assert "helm.sh" in caught.value.hint


def test_the_cache_follows_the_xdg_rule() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/ddhelm")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache/ddhelm"


def test_calls_from_another_thread_work() -> None:
    answers: list[Completed] = []
    thread = threading.Thread(target=lambda: answers.append(Runner().run(Command(("/bin/echo", "x")))))
    thread.start()
    thread.join()
    assert answers[0].out == "x\n"


def test_what_is_run_while_an_error_is_handled_runs_to_its_end() -> None:
    """A lock is given back, and a state read, in the very `except` and `finally` that follow a failure."""
    try:
        raise ValueError
    except ValueError:
        done = Runner().run(Command(shell("sleep 0.2; echo done")))
    assert (done.code, done.out) == (0, "done\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_between_two_programs_a_signal_is_an_interruption_as_well(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted), interruptible():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before
