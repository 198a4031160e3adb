"""The command ends although a test holds the interpreter lock, and says what is known."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from smoketest import supervision, watchdog
from smoketest.results import Outcome, TestResult
from tests.projects import Project

HOLDS_THE_LOCK = "sum(range(10**12))"

SMOKE = f"""
    from smoketest import SmokeTest, serial

    class T(SmokeTest):
        def test_a_passes(self): pass
        def test_b_fails(self): self.fail("no")

        @serial
        def test_hog(self): {HOLDS_THE_LOCK}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_test_that_holds_the_lock_ends_the_command_with_3_and_its_stack(
    project: Project,
) -> None:
    project.smoke(SMOKE)
    done = project.command("--deadline", "1")
    assert done.returncode == 3
    assert "Tests that ended before: 1 passed, 1 failed.\n" in done.stderr
    assert "    failed: shop.smoke.T.test_b_fails\n" in done.stderr
    assert "    not ended: shop.smoke.T.test_hog\n" in done.stderr
    assert "test_a_passes" not in done.stderr
    assert "in test_hog\n" in done.stderr
    assert "With --isolate" in " ".join(done.stderr.split())


def test_what_had_ended_before_is_told_although_nobody_could_take_note_of_it(
    project: Project,
) -> None:
    """The test that holds the lock begins at once, on the same thread."""
    project.smoke(f"""
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_a_passes(self): pass
            def test_b_fails(self): self.fail("no")
            def test_hog(self): {HOLDS_THE_LOCK}
    """)
    done = project.command("--deadline", "0.5", "--parallel", "1")
    assert "Tests that ended before: 1 passed, 1 failed.\n" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_a_stream_that_is_closed_does_not_blind_the_watchdog(project: Project, closed: str) -> None:
    project.smoke(SMOKE)
    done = under_a_shell(project, f'exec "$@" {closed}', "--deadline", "1")
    assert done.returncode == 3
    assert "    not ended: shop.smoke.T.test_hog\n" in done.stderr
    assert "in test_hog\n" in done.stderr


def under_a_shell(project: Project, line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command by the shell's ``line``, in which it is ``"$@"``."""
    return subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, "-m", "django", "smoketest", *arguments],
        env=project.environment(),
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def test_an_import_that_hangs_is_a_result_of_the_command(project: Project) -> None:
    project.smoke("import threading\nthreading.Event().wait()")
    done = project.command("--deadline", "1")
    assert (done.returncode, done.stderr) == (1, "")
    assert "errored: shop.smoke\n" in done.stdout
    assert 'shop/smoke.py", line 2, in <module>' in done.stdout


def test_an_import_that_holds_the_lock_ends_the_command_with_3(project: Project) -> None:
    project.smoke(HOLDS_THE_LOCK)
    done = project.command("--deadline", "0.2")
    assert done.returncode == 3
    assert "With --isolate" not in done.stderr
    assert "No test had begun" in done.stderr
    assert 'shop/smoke.py", line 1 in <module>' in done.stderr


def test_a_run_that_ends_by_itself_hears_nothing_of_the_watchdog(project: Project) -> None:
    project.smoke("from smoketest import SmokeTest\nclass T(SmokeTest):\n def test(self): pass")
    done = project.command("--deadline", "0.5")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_statuses_of_the_command_are_passed_through(project: Project) -> None:
    project.smoke(SMOKE)
    assert project.command("-k", "test_b_fails").returncode == 1
    assert project.command("no_such_label").returncode == 2


def started_and_stuck(project: Project, tmp_path: Path) -> subprocess.Popen[str]:
    """The command, in a test that waits for ever and has said so."""
    fifo = tmp_path / "says"
    os.mkfifo(fifo)
    project.smoke(f"""
        import threading
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_waits(self):
                open({str(fifo)!r}, "w").close()
                threading.Event().wait()
    """)
    process = project.start("django", "smoketest", "--deadline", "60", "--timeout", "60")
    fifo.open().close()  # returns when the test opens it
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_end_gives_a_report_and_3(
    project: Project, tmp_path: Path, number: signal.Signals
) -> None:
    with started_and_stuck(project, tmp_path) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "The run was interrupted before its end." in out
    assert "in test_waits" in out
    assert err == ""


def test_quitting_prints_the_stacks_at_once(project: Project, tmp_path: Path) -> None:
    with started_and_stuck(project, tmp_path) as process:
        process.send_signal(signal.SIGQUIT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "in test_waits\n" in err


def test_the_command_keeps_its_terminal(project: Project) -> None:
    """The run is in the process that the shell has started, and not in a child of it."""
    project.smoke("""
        import os
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_terminal(self):
                self.assertEqual(os.tcgetpgrp(0), os.getpgrp())
    """)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.folder)
        command = [sys.executable, "-m", "django", "smoketest"]
        os.execve(sys.executable, command, project.environment())
    said = b""
    try:
        while chunk := os.read(terminal, 65536):
            said += chunk
    except OSError:  # that is how Linux tells that the other end is closed
        pass
    finally:
        os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0, said.decode()


@pytest.mark.parametrize(
    ("left", "named"),
    [
        ("ThreadPoolExecutor(thread_name_prefix='stuck').submit(wait)", "'stuck_0'"),
        ("atexit.register(wait)", "no other thread"),
    ],
)
def test_what_a_test_leaves_for_the_exit_does_not_keep_the_process(
    project: Project, left: str, named: str
) -> None:
    project.smoke(f"""
        import atexit, threading
        from concurrent.futures import ThreadPoolExecutor
        from smoketest import SmokeTest

        wait = threading.Event().wait

        class T(SmokeTest):
            def test_passes(self): {left}
            def test_fails(self): self.fail("no")
    """)
    done = project.command("--timeout", "0.5", "-k", "test_passes")
    assert done.returncode == 0
    assert done.stdout.startswith("PASS")
    assert "did not exit within 0.5 s after its report" in done.stderr
    assert named in done.stderr
    assert project.command("--timeout", "0.5").returncode == 1


def test_no_watchdog_outlives_the_command(project: Project, tmp_path: Path) -> None:
    with started_and_stuck(project, tmp_path) as process:
        (dog,) = children_of(process.pid)
        process.kill()
    until = monotonic() + 30
    while Path(f"/proc/{dog}/cmdline").exists() and monotonic() < until:
        os.sched_yield()
    assert not Path(f"/proc/{dog}").exists()


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_python_code_that_calls_the_command_is_not_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a project's code calls must not take its signals, nor end its process."""
    from django.core.management import call_command

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGQUIT)
    monkeypatch.setattr(
        supervision, "supervised", lambda seconds: pytest.fail("the command was supervised")
    )
    with pytest.raises(SystemExit):
        call_command("smoketest")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGQUIT)) == before


def test_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGQUIT)
    with supervision.supervised(60):
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGQUIT)) == before


def test_where_no_process_can_be_started_the_run_goes_on_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with supervision.supervised(60) as watched:
        watched.on_start(["a"])
    assert "not watched from outside" in caplog.text


def test_where_no_file_can_be_written_the_run_goes_on_and_the_log_says_so(
    project: Project,
) -> None:
    project.smoke("from smoketest import SmokeTest\nclass T(SmokeTest):\n def test(self): pass")
    done = under_a_shell(project, 'ulimit -f 0; exec "$@"')  # files in memory have it as well
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "PASS: 1 of 1 test passed")
    assert "not watched from outside ([Errno 27] File too large)" in done.stderr


# -- the journal


@pytest.fixture
def journal() -> watchdog.Journal:
    return watchdog.Journal(os.memfd_create("journal"))


def result(name: str, outcome: Outcome, *, optional: bool = False) -> TestResult:
    return TestResult(id=name, outcome=outcome, optional=optional)


def test_the_journal_knows_what_became_of_each_test(journal: watchdog.Journal) -> None:
    journal.expect(["a", "b", "c\nd", "e\ud800"])
    journal.note("b", "warned")
    journal.note("c\nd", "skipped")
    journal.note("unknown", "failed")
    assert journal.results() == [
        ("a", ""), ("b", "warned"), ("c d", "skipped"), ("e\\ud800", ""),
    ]  # fmt: skip


def test_what_runs_again_has_not_ended(journal: watchdog.Journal) -> None:
    journal.expect(["a", "b"])
    journal.note("a", "passed")
    journal.note("b", "failed")
    journal.expect(["b"])
    assert journal.results() == [("a", "passed"), ("b", "")]


def test_a_journal_without_tests_can_be_read(journal: watchdog.Journal) -> None:
    journal.set_deadline(5)
    assert journal.results() == []
    journal.expect([])
    assert journal.results() == []
    assert journal.deadline()[1] == 5


def test_a_further_run_has_its_whole_deadline(journal: watchdog.Journal) -> None:
    watched = supervision._Journalled(journal, 30.0)
    journal.set_deadline(-30.0)
    watched.on_start([])
    assert journal.deadline()[0] > monotonic() + 29


def test_the_account_lists_twenty_and_counts_the_rest() -> None:
    told = watchdog.account(25.0, [(f"t{number}", "") for number in range(23)])
    assert "not ended: t19\n    not ended: 3 more\n" in told
    assert "t20" not in told
