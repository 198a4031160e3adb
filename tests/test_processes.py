"""``--isolate``: a test class in a process of its own, and what becomes of one that must die."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from smoketest import processes, runner, scheduling
from smoketest.exceptions import CannotIsolate
from smoketest.options import Options
from smoketest.results import Outcome
from tests.conftest import Databases, Outside
from tests.projects import Project
from tests.test_hangs import sessions, settled
from tests.test_isolation import made
from tests.test_supervision import HOLDS_THE_LOCK


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class Run:
    """What ``smoketest --isolate`` reported on a smoke module."""

    def __init__(self, project: Project, smoke: str, *arguments: str) -> None:
        project.smoke(smoke)
        done = project.command("--isolate", "--format", "json", *arguments)
        assert done.stdout, done.stderr
        self.status, self.err = done.returncode, done.stderr
        self.report = json.loads(done.stdout)
        self.ids = [one["id"].removeprefix("shop.smoke.") for one in self.report["results"]]
        self._by_id = dict(zip(self.ids, self.report["results"], strict=True))

    def __getitem__(self, name: str) -> Any:
        return self._by_id[name]

    def outcomes(self) -> dict[str, str]:
        return {name: self[name]["outcome"] for name in self.ids}


def test_a_test_that_holds_the_lock_is_killed_alone_and_its_stack_is_told(
    project: Project,
) -> None:
    smoke = f"""
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_1(self): pass
            def test_2(self):
                {HOLDS_THE_LOCK}
            def test_3(self): pass

        class B(SmokeTest):
            def test_it(self): self.fail("no")
    """
    run = Run(project, smoke, "--timeout", "0.5")
    assert run.outcomes() == {
        "A.test_1": "passed", "A.test_2": "errored", "A.test_3": "passed", "B.test_it": "failed",
    }  # fmt: skip
    assert run.status == 1
    assert run["A.test_2"]["timed_out"]
    assert "limit of 0.5 s" in run["A.test_2"]["message"]
    first, *_, last = run["A.test_2"]["traceback"].splitlines()
    assert first == "Stack at that moment (most recent call last):"
    assert last.strip() == HOLDS_THE_LOCK
    assert run["A.test_2"]["duration"] >= 0.5


def test_what_can_be_cut_off_is_cut_off_by_its_own_process(project: Project) -> None:
    smoke = """
        import threading
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_waits(self): threading.Event().wait()
            def test_x(self): pass
    """
    run = Run(project, smoke, "--timeout", "0.3")
    assert run.outcomes() == {"A.test_waits": "errored", "A.test_x": "passed"}
    assert "did not react" not in run["A.test_waits"]["message"]


@pytest.mark.parametrize(
    ("crash", "told"),
    [
        ("os._exit(7)", "ended with exit status 7"),
        ("signal.raise_signal(11)", "was ended by SIGSEGV (Segmentation fault)"),
        ("os._exit(0)", "ended with exit status 0"),
    ],
)
def test_a_process_that_dies_is_an_error_that_says_how(
    project: Project, crash: str, told: str
) -> None:
    smoke = f"""
        import os, signal
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_1(self): pass
            def test_2(self): {crash}
            def test_3(self): pass
    """
    run = Run(project, smoke)
    assert run.outcomes() == {"A.test_1": "passed", "A.test_2": "errored", "A.test_3": "passed"}
    assert told in run["A.test_2"]["message"]
    assert not run["A.test_2"]["timed_out"]


def test_the_tests_of_a_class_share_a_process_and_its_fixtures(project: Project) -> None:
    smoke = """
        import os
        from smoketest import SmokeTest

        class A(SmokeTest):
            @classmethod
            def setUpClass(cls): cls.pid = os.getpid()
            def test_1(self): self.assertEqual(self.pid, os.getpid())
            def test_2(self): self.fail(str(os.getpid()))

        class B(SmokeTest):
            def test_it(self): self.fail(str(os.getpid()))
    """
    run = Run(project, smoke)
    assert run["A.test_1"]["outcome"] == "passed"
    pids = {run["A.test_2"]["message"], run["B.test_it"]["message"], str(run.report["pid"])}
    assert len(pids) == 3


def test_a_class_fixture_that_holds_the_lock_takes_its_tests_along(project: Project) -> None:
    smoke = f"""
        from smoketest import SmokeTest

        class A(SmokeTest):
            @classmethod
            def setUpClass(cls): {HOLDS_THE_LOCK}
            def test_1(self): pass
            def test_2(self): pass

        class B(SmokeTest):
            @classmethod
            def tearDownClass(cls): {HOLDS_THE_LOCK}
            def test_it(self): pass

        class C(SmokeTest):
            def test_it(self): pass
    """
    run = Run(project, smoke, "--timeout", "0.5")
    assert run.outcomes() == {
        "A.test_1": "errored", "A.test_2": "errored",
        "B.test_it": "passed", "B.tearDownClass": "errored", "C.test_it": "passed",
    }  # fmt: skip
    assert "in setUpClass" in run["A.test_1"]["traceback"]
    assert "in tearDownClass" in run["B.tearDownClass"]["traceback"]


def test_a_module_fixture_that_is_killed_is_no_warning_because_the_last_test_is_optional(
    project: Project,
) -> None:
    smoke = f"""
        from smoketest import SmokeTest, optional

        def tearDownModule(): {HOLDS_THE_LOCK}

        class A(SmokeTest):
            def test_it(self): pass

        class B(SmokeTest):
            @optional
            def test_it(self): "Of that test alone."
    """
    run = Run(project, smoke, "--timeout", "0.5")
    assert run.status == 1
    assert run.outcomes() == {
        "A.test_it": "passed",
        "B.test_it": "passed",
        "tearDownModule": "errored",
    }
    assert run["tearDownModule"]["description"] == ""
    assert run["tearDownModule"]["duration"] >= 0.5


def test_at_the_deadline_the_report_is_complete(project: Project) -> None:
    smoke = f"""
        import threading
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_hog(self): {HOLDS_THE_LOCK}

        class B(SmokeTest):
            def test_late(self): pass
    """
    run = Run(project, smoke, "--deadline", "1", "--parallel", "1")
    assert run.status == 3
    assert run.outcomes() == {"A.test_hog": "errored", "B.test_late": "errored"}
    assert "deadline of 1 s was reached while it was running" in run["A.test_hog"]["message"]
    assert "Not started before the deadline" in run["B.test_late"]["message"]
    assert all(one["cut_off"] for one in run.report["results"])


@pytest.mark.usefixtures("postgresql")  # on SQLite there is nothing beside
def test_failfast_ends_what_runs_beside(project: Project, tmp_path: Path) -> None:
    fifo = tmp_path / "runs"
    os.mkfifo(fifo)
    smoke = f"""
        import threading
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_waits(self):
                open({str(fifo)!r}, "w").close()
                threading.Event().wait()

        class B(SmokeTest):
            def test_fails(self):
                open({str(fifo)!r}).close()
                self.fail("no")

        class C(SmokeTest):
            serial = True
            def test_late(self): pass
    """
    run = Run(project, smoke, "--failfast", "--timeout", "20")
    assert run["B.test_fails"]["outcome"] == "failed"
    assert "stopped at its first failure" in run["A.test_waits"]["message"]
    assert "C.test_late" not in run.ids


def test_failfast_does_not_lose_the_tests_of_a_class_that_is_killed(project: Project) -> None:
    smoke = """
        import os
        from smoketest import SmokeTest

        class A(SmokeTest):
            @classmethod
            def setUpClass(cls): os._exit(7)
            def test_1(self): pass
            def test_2(self): pass
    """
    run = Run(project, smoke, "--failfast")
    assert run.outcomes() == {"A.test_1": "errored", "A.test_2": "errored"}


def test_a_copy_of_the_process_that_a_test_lets_go_on_tells_nothing(
    project: Project, tmp_path: Path
) -> None:
    project.smoke(f"""
        import os, pathlib
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_1(self):
                if pid := os.fork():
                    os.waitpid(pid, 0)
            def test_2(self):
                pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch()
    """)
    done = project.command("--isolate", "--format", "ndjson", "-k", "A")
    ids = [json.loads(line).get("id") for line in done.stdout.splitlines()]
    assert ids == ["shop.smoke.A.test_1", "shop.smoke.A.test_2", None]
    assert len([one for one in tmp_path.iterdir() if one.name.isdigit()]) == 1


def test_an_import_that_hangs_keeps_no_other_test_from_running(project: Project) -> None:
    project.write("shop/smoke/__init__.py", "")
    project.write("shop/smoke/hangs.py", "import threading\nthreading.Event().wait()\n")
    project.write(
        "shop/smoke/works.py",
        "from smoketest import SmokeTest\nclass A(SmokeTest):\n    def test_it(self): pass\n",
    )
    done = project.command("--isolate", "--format", "json", "--timeout", "0.5")
    assert done.stdout, done.stderr
    results = {one["id"]: one for one in json.loads(done.stdout)["results"]}
    assert results["shop.smoke.works.A.test_it"]["outcome"] == "passed"
    assert "still being imported" in results["shop.smoke.hangs"]["message"]


def test_where_the_exit_statuses_of_processes_are_not_kept_the_report_is_whole(
    project: Project,
) -> None:
    """Some programs start others with SIGCHLD ignored; then nobody learns how a child ended."""
    Project(project.folder, "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    smoke = """
        import os
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_1(self): os._exit(7)
            def test_2(self): pass
    """
    run = Run(project, smoke)
    assert run.outcomes() == {"A.test_1": "errored", "A.test_2": "passed"}
    assert "SIGCHLD" in run["A.test_1"]["message"]


def test_ctrl_c_ends_every_process_and_gives_a_report(project: Project, tmp_path: Path) -> None:
    fifo = tmp_path / "says"
    os.mkfifo(fifo)
    project.smoke(f"""
        import os
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_hog(self):
                with open({str(fifo)!r}, "w") as file:
                    file.write(str(os.getpid()))
                {HOLDS_THE_LOCK}
    """)
    with project.start("django", "smoketest", "--isolate") as process:
        child = int(fifo.read_text())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "The run was interrupted before its end." in out
    assert "in test_hog" in out
    assert not Path(f"/proc/{child}").exists()
    assert err == ""


def test_when_the_command_is_killed_its_processes_end(project: Project, tmp_path: Path) -> None:
    fifo = tmp_path / "says"
    os.mkfifo(fifo)
    project.smoke(f"""
        import os
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_hog(self):
                with open({str(fifo)!r}, "w") as file:
                    file.write(str(os.getpid()))
                {HOLDS_THE_LOCK}
    """)
    with project.start("django", "smoketest", "--isolate") as process:
        child = int(fifo.read_text())
        process.kill()
    assert ended(child)


def test_what_a_killed_test_has_started_is_ended_with_it(project: Project, tmp_path: Path) -> None:
    smoke = f"""
        import pathlib, subprocess
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_hog(self):
                process = subprocess.Popen(["sleep", "1000"])
                pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(process.pid))
                {HOLDS_THE_LOCK}
    """
    Run(project, smoke, "--timeout", "0.5")
    assert ended(int((tmp_path / "pid").read_text()))


def ended(pid: int) -> bool:
    """Whether the process ends within half a minute; where nobody reaps it, it is a zombie."""
    status = Path(f"/proc/{pid}/stat")
    until = monotonic() + 30
    while monotonic() < until:
        try:
            if status.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        os.sched_yield()
    return False


def test_what_a_test_prints_comes_once(project: Project) -> None:
    project.smoke("""
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_it(self): print("one word", end="")

        class B(SmokeTest):
            def test_it(self): pass
    """)
    done = project.command("--isolate")
    assert done.stderr.count("one word") == 1
    assert "one word" not in done.stdout


# -- databases


def test_a_killed_process_leaves_no_row_no_lock_and_no_session(
    vendor: str, project: Project, outside: Outside
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('before')")
    smoke = f"""
        from smoketest import SmokeTest
        from tests.testapp.models import Item

        class A(SmokeTest):
            def test_hog(self):
                Item.objects.update(name="changed")
                Item.objects.create(name="new")
                {HOLDS_THE_LOCK}
    """
    before = sessions(vendor, outside)
    run = Run(project, smoke, "--timeout", "0.5")
    assert "was killed" in run["A.test_hog"]["message"]
    assert settled(lambda: sessions(vendor, outside) <= before)
    assert outside("SELECT name FROM testapp_item") == [("before",)]
    outside("UPDATE testapp_item SET name = 'free'")
    assert outside("SELECT name FROM testapp_item") == [("free",)]


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_a_test_that_lost_a_lock_to_another_process_runs_once_more(
    request: pytest.FixtureRequest, server: str, project: Project, tmp_path: Path
) -> None:
    databases: Databases = request.getfixturevalue(server)
    databases["default"].execute("INSERT INTO testapp_item (name) VALUES ('shared')")
    has, lost = tmp_path / "has_the_lock", tmp_path / "lost_it"
    os.mkfifo(has)
    os.mkfifo(lost)
    smoke = f"""
        from smoketest import SmokeTest
        from tests.testapp.models import Item

        first_time = {str(tmp_path / "first_time")!r}

        class A(SmokeTest):
            def test_holds(self):
                Item.objects.update(name="a")
                open({str(has)!r}, "w").close()
                open({str(lost)!r}).close()

        class B(SmokeTest):
            def test_waits(self):
                try:
                    open(first_time, "x").close()
                except FileExistsError:
                    pass
                else:
                    open({str(has)!r}).close()
                    self.addCleanup(lambda: open({str(lost)!r}, "w").close())
                Item.objects.update(name="b")
    """
    Project(project.folder, "SMOKETEST_LOCK_TIMEOUT = 1")
    run = Run(project, smoke)
    assert run.outcomes() == {"A.test_holds": "passed", "B.test_waits": "passed"}
    assert [one["retried"] for one in run.report["results"]] == [False, True]


def test_on_sqlite_one_process_runs_at_a_time(project: Project, tmp_path: Path) -> None:
    log = tmp_path / "log"
    classes = "\n".join(f"class T{number}(Base):\n    def test(self): pass" for number in range(6))
    project.write(
        "shop/smoke.py",
        f"""
from smoketest import SmokeTest

def say(word):
    with open({str(log)!r}, "a") as file:
        file.write(word + "\\n")

class Base(SmokeTest):
    abstract = True
    def setUp(self): say("begin")
    def tearDown(self): say("end")

{classes}
""",
    )
    assert project.command("--isolate").returncode == 0
    assert log.read_text().split() == ["begin", "end"] * 6


# -- what it costs the machine

SCRIPT = """
    import os
    import django
    django.setup()
    from smoketest import runner
    from smoketest.options import Options

    def held():
        return sorted(os.listdir("/proc/self/fd"))

    before = held()
    report = runner.run(options=Options(isolate=True, timeout=0.5, parallel=2))
    assert held() == before, (before, held())
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print(report.counts.passed, report.counts.errored)
"""


def test_no_process_and_no_descriptor_is_left(project: Project) -> None:
    project.smoke(f"""
        import os
        from smoketest import SmokeTest

        class A(SmokeTest):
            def test_it(self): pass

        class B(SmokeTest):
            def test_it(self): os._exit(1)

        class C(SmokeTest):
            def test_it(self): {HOLDS_THE_LOCK}
    """)
    project.write("script.py", SCRIPT)
    with project.start("script") as process:
        out, err = process.communicate(timeout=60)
    assert (out, err) == ("1 2\n", "")


def test_where_the_machine_has_no_process_left_the_tests_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread()])
    monkeypatch.setattr(os, "fork", no_more)
    before = len(list(Path("/proc/self/fd").iterdir()))
    test = made(test_it=lambda self: None)("test_it")
    [result], _ = processes.execute(scheduling.Run([test], Options(), monotonic() + 10))
    assert result.outcome is Outcome.ERRORED
    assert "Cannot allocate memory" in result.message
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def no_more() -> int:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


# -- where no process may be started


def test_python_code_cannot_ask_the_command_for_processes() -> None:
    with pytest.raises(CommandError, match="called from Python"):
        call_command("smoketest", isolate=True)


def test_a_process_with_threads_does_not_fork() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="of the site")
    thread.start()
    try:
        with pytest.raises(CannotIsolate, match=r"other threads .*'of the site'"):
            runner.run(options=Options(isolate=True))
    finally:
        over.set()
        thread.join()


@pytest.mark.django_db
def test_inside_a_transaction_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread()])
    with pytest.raises(CannotIsolate, match="inside a transaction"):
        processes.execute(scheduling.Run([], Options(), monotonic() + 1))
