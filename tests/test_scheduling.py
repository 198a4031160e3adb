"""Which tests run beside which, and that each has one result, however the run ends."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from time import monotonic
from typing import Any

import pytest
from django.db import connection

from smoketest import SmokeTest, isolation, optional, runner, scheduling, serial, stopping, timeout
from smoketest.exceptions import Refused
from smoketest.options import Options
from smoketest.results import Report, TestResult
from smoketest.scheduling.pace import workers_for
from tests.conftest import MakeApp, Outside
from tests.testapp.models import Item

AT_ONCE = 10.0
"""Seconds after which something that should happen at once is taken to hang."""


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """No test of the scheduler leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    _join("smoketest", before)
    if set(threading.enumerate()) - before:
        gc.collect()  # asgiref's thread of an async test ends as its executor is forgotten
        _join("ThreadPoolExecutor", before)
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()


def _join(kind: str, before: set[threading.Thread]) -> None:
    """Wait for the threads of a kind that were not there before, and for those they start."""
    while new := [t for t in set(threading.enumerate()) - before if t.name.startswith(kind)]:
        for thread in new:
            thread.join(AT_ONCE)
            assert not thread.is_alive(), thread.name


class Gate(threading.Event):
    """Where tests wait; whoever waits at it in vain fails."""

    def pass_through(self) -> None:
        assert self.wait(AT_ONCE), "nobody opened the gate"


@contextmanager
def opened_at_the_end(*gates: Gate) -> Iterator[None]:
    try:
        yield
    finally:
        for gate in gates:
            gate.set()


def run(
    *classes: type[SmokeTest],
    seconds: float = AT_ONCE,
    on_result: Callable[[TestResult], None] = lambda result: None,
    **options: Any,
) -> Report:
    """Run the tests of ``classes`` with a deadline in ``seconds``."""
    tests = [cls(name) for cls in classes for name in sorted(dir(cls)) if name.startswith("test_")]
    chosen = Options(deadline=seconds, **options)
    found, interrupted = scheduling.execute(
        scheduling.Run(tests, chosen, monotonic() + seconds, on_result)
    )
    return Report.from_results(found, selected=len(tests), interrupted=interrupted)


def outcomes(report: Report) -> list[str]:
    return [f"{result.id.rpartition('.')[2]} {result.label}" for result in report.results]


# -- beside one another


def test_results_are_in_discovery_order_whatever_order_the_tests_end_in() -> None:
    gates = [Gate() for _ in range(4)]
    ended: list[str] = []

    class OrderTest(SmokeTest):
        def test_0(self) -> None:
            gates[1].pass_through()

        def test_1(self) -> None:
            gates[2].pass_through()
            gates[1].set()

        def test_2(self) -> None:
            gates[3].pass_through()
            gates[2].set()

        def test_3(self) -> None:
            gates[3].set()

    report = run(OrderTest, on_result=lambda result: ended.append(result.id))
    assert outcomes(report) == [f"test_{number} passed" for number in range(4)]
    assert sorted(ended) == [result.id for result in report.results]


def test_as_many_tests_run_at_the_same_time_as_allowed_and_no_more() -> None:
    meeting = threading.Barrier(3)
    lock = threading.Lock()
    now: list[int] = [0, 0]

    def meet(self: SmokeTest) -> None:
        with lock:
            now[0] += 1
            now[1] = max(now)
        meeting.wait(AT_ONCE)
        with lock:
            now[0] -= 1

    cls = type("MeetingTest", (SmokeTest,), {f"test_{number:02}": meet for number in range(12)})
    assert run(cls, parallel=3).counts.passed == 12
    assert now[1] == 3


@pytest.mark.parametrize(
    ("ages", "contested", "workers"),
    [
        ([0.0001], False, 0),  # brief: it is over sooner than a thread is started
        ([0.001], False, 4),
        ([0.001, 0.001, 0.0001], False, 8),
        ([0.001], True, 0),  # it may have waited for the interpreter only
        ([0.1], True, 2),
    ],
)
def test_workers_are_wanted_for_as_many_tests_as_take_long(
    ages: list[float], contested: bool, workers: int
) -> None:
    assert workers_for(ages, contested) == workers


def test_test_that_keeps_the_interpreter_does_not_keep_others_from_starting() -> None:
    begun = Gate()

    class BusyTest(SmokeTest):
        def test_1(self) -> None:
            until = monotonic() + AT_ONCE
            while not begun.is_set():
                assert monotonic() < until, "the other test did not start"

        def test_2(self) -> None:
            begun.set()

    assert run(BusyTest, parallel=2).passed


@pytest.mark.usefixtures("vendor")
def test_who_waits_for_a_connection_keeps_nobody_who_needs_none() -> None:
    held, over = Gate(), Gate()

    class Holds(SmokeTest):
        def test_holds(self) -> None:
            Item.objects.count()
            held.set()
            over.pass_through()

    class Waits(SmokeTest):
        def wait(self) -> None:
            held.pass_through()
            Item.objects.count()

        test_1 = test_2 = test_3 = test_4 = test_5 = wait

    class NeedsNone(SmokeTest):
        def test_free(self) -> None:
            over.set()

    with opened_at_the_end(held, over):
        report = run(Holds, Waits, NeedsNone, parallel=2, max_connections=1)
    assert report.passed, report.results


@pytest.mark.usefixtures("sqlite")
def test_when_it_has_its_connection_no_more_run_than_allowed() -> None:
    held, over, seen = Gate(), Gate(), Gate()

    class Holds(SmokeTest):
        def test_holds(self) -> None:
            Item.objects.count()
            held.set()
            over.pass_through()

    class Waits(SmokeTest):
        def test_waits(self) -> None:
            held.pass_through()
            Item.objects.count()
            until = monotonic() + AT_ONCE
            while len([one for one in threading.enumerate() if one.name == "smoketest"]) > 2:
                assert monotonic() < until, "there are more than two workers"
                seen.wait(0.001)
            seen.set()

    def goes_on(self: SmokeTest) -> None:
        over.set()
        seen.wait(0.05)

    rest = {f"test_{number:03}": goes_on for number in range(400)}
    beside = type("Beside", (SmokeTest,), {**rest, "__test__": False})
    with opened_at_the_end(held, over, seen):
        report = run(Holds, Waits, beside, parallel=2, max_connections=1, seconds=3 * AT_ONCE)
    assert report.passed, report.results
    assert seen.is_set()


def test_one_at_a_time_runs_them_in_their_order_on_one_thread() -> None:
    order: list[tuple[str, int]] = []

    def note(self: SmokeTest) -> None:
        order.append((self._testMethodName, threading.get_ident()))

    cls = type("OrderTest", (SmokeTest,), {f"test_{number:02}": note for number in range(20)})
    assert run(cls, parallel=1).passed
    assert [name for name, _ in order] == [f"test_{number:02}" for number in range(20)]
    assert len({thread for _, thread in order}) == 1
    assert order[0][1] != threading.get_ident()


def test_more_tests_than_threads_all_have_one_result() -> None:
    told: list[str] = []
    cls = type("ManyTest", (SmokeTest,), {f"test_{n:03}": lambda self: None for n in range(300)})
    report = run(cls, parallel=7, on_result=lambda result: told.append(result.id))
    assert (report.counts.passed, len(report.results)) == (300, 300)
    assert sorted(told) == sorted(set(told)) == [result.id for result in report.results]


def test_class_with_fixtures_stays_on_one_thread() -> None:
    threads: list[int] = []

    class FixtureTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            threads.append(threading.get_ident())

        def note(self) -> None:
            threads.append(threading.get_ident())

        test_1 = test_2 = test_3 = note

        @classmethod
        def tearDownClass(cls) -> None:
            threads.append(threading.get_ident())

    assert run(FixtureTest).counts.passed == 3
    assert len(threads) == 5
    assert len(set(threads)) == 1


def test_serial_test_runs_beside_no_other() -> None:
    running: set[str] = set()
    overlaps: list[set[str]] = []
    meeting = threading.Barrier(2)

    def note(self: SmokeTest, meet: bool = False) -> None:
        running.add(self.id())
        if meet:  # so that two of the others are beside each other for sure
            meeting.wait(AT_ONCE)
        if self.spec().serial:
            overlaps.append(set(running))
        running.discard(self.id())

    class OtherTest(SmokeTest):
        test_1 = test_2 = test_3 = test_4 = lambda self: note(self, meet=True)

    class MixedTest(SmokeTest):
        @serial
        def test_1(self) -> None:
            note(self)

        @serial
        def test_2(self) -> None:
            note(self)

        test_3 = test_4 = lambda self: note(self, meet=True)

    @serial
    class SerialTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None: ...

        test_1 = test_2 = note

    assert run(MixedTest, SerialTest, OtherTest).counts.passed == 10
    assert [len(running_then) for running_then in overlaps] == [1, 1, 1, 1]


def test_results_are_told_on_the_callers_thread() -> None:
    threads: set[int] = set()

    class SomeTest(SmokeTest):
        test_1 = test_2 = lambda self: None

    run(SomeTest, on_result=lambda result: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_nothing_to_run_is_a_report_that_does_not_pass() -> None:
    report = run()
    assert (report.results, report.exit_status) == ((), 3)


# -- what does not end


def hanging(gate: Gate) -> Any:
    return lambda self: gate.pass_through()


def test_test_that_hangs_is_cut_off_at_its_limit_and_the_others_run() -> None:
    gate = Gate()

    class HangingTest(SmokeTest):
        test_1 = timeout(0.05)(hanging(gate))
        test_2 = test_3 = lambda self: None

    with opened_at_the_end(gate):
        report = run(HangingTest, parallel=1)
    assert outcomes(report) == ["test_1 errored", "test_2 passed", "test_3 passed"]
    cut = report.results[0]
    assert cut.timed_out
    assert not cut.cut_off
    assert cut.message.startswith("Timed out: still running at its limit of 0.05 s.")
    assert "nobody opened the gate" in cut.traceback
    assert 0.05 <= cut.duration < 5
    assert report.exit_status == 1


@pytest.mark.parametrize("where", ["setUp", "tearDown", "cleanup"])
def test_limit_holds_for_all_that_belongs_to_the_test(where: str) -> None:
    gate = Gate()

    class HangingTest(SmokeTest):
        timeout = 0.05

        def setUp(self) -> None:
            if where == "setUp":
                gate.pass_through()
            if where == "cleanup":
                self.addCleanup(gate.pass_through)

        def tearDown(self) -> None:
            if where == "tearDown":
                gate.pass_through()

        def test_it(self) -> None: ...

    with opened_at_the_end(gate):
        [result] = run(HangingTest).results
    assert result.timed_out


def test_async_test_that_hangs_is_cut_off_where_it_awaits() -> None:
    import asyncio

    class HangingTest(SmokeTest):
        @timeout(0.05)
        async def test_it(self) -> None:
            await asyncio.Event().wait()  # for ever

    [result] = run(HangingTest).results
    assert result.timed_out
    assert "asyncio.Event().wait()  # for ever" in result.traceback


def test_optional_test_that_hangs_is_a_warning() -> None:
    gate = Gate()

    class HangingTest(SmokeTest):
        test_1 = optional(timeout(0.05)(hanging(gate)))
        test_2 = lambda self: None  # noqa: E731

    with opened_at_the_end(gate):
        report = run(HangingTest)
    assert (outcomes(report), report.passed) == (["test_1 warned", "test_2 passed"], True)


def test_rest_of_a_class_runs_with_its_fixtures_after_one_that_hangs(
    vendor: str, outside: Outside
) -> None:
    gate = Gate()
    set_up: list[str] = []

    class HangingTest(SmokeTest):
        item: Item

        @classmethod
        def setUpTestData(cls) -> None:
            set_up.append("again")
            cls.item = Item.objects.create(name=f"shared {len(set_up)}")

        def look(self) -> None:
            self.assertEqual(Item.objects.get(), self.item)

        test_1 = test_3 = look

        @timeout(1)
        def test_2(self) -> None:
            self.look()
            gate.pass_through()

    # Once it may go on again, what it holds has been taken from it.
    with opened_at_the_end(gate):
        report = run(HangingTest, lock_timeout=5)
    expected = ["test_1 passed", "test_2 errored", "test_3 passed"]
    assert outcomes(report) == expected, report.results[2].traceback
    assert report.results[1].timed_out
    assert set_up == ["again", "again"]
    assert outside("SELECT name FROM testapp_item") == []


@pytest.mark.parametrize("fixture", ["setUpClass", "tearDownClass"])
def test_class_fixture_that_hangs_is_cut_off(fixture: str) -> None:
    gate = Gate()
    namespace = {
        fixture: classmethod(hanging(gate)),
        "test_1": lambda self: None,
        "test_2": lambda self: None,
    }

    class OtherTest(SmokeTest):
        test_1 = lambda self: None  # noqa: E731

    with opened_at_the_end(gate):
        report = run(type("HangingTest", (SmokeTest,), namespace), OtherTest, timeout=0.1)
    hung = "errored" if fixture == "setUpClass" else "passed"
    late = ["tearDownClass errored"] if fixture == "tearDownClass" else []
    assert outcomes(report) == [f"test_1 {hung}", f"test_2 {hung}", *late, "test_1 passed"]
    assert all(result.timed_out for result in report.labelled("errored"))
    assert "nobody opened the gate" in report.labelled("errored")[0].traceback


@pytest.mark.parametrize("fixture", ["setUpModule", "tearDownModule"])
def test_module_fixture_that_hangs_is_cut_off(make_app: MakeApp, fixture: str) -> None:
    smoke = f"""
        import threading
        from smoketest import SmokeTest
        gate = threading.Event()
        def {fixture}(): gate.wait({AT_ONCE})

        class HangingTest(SmokeTest):
            def test_1(self): pass
        """
    make_app("shop", {"smoke.py": dedent(smoke)})
    report = runner.run(options=Options(timeout=0.1))
    sys.modules["shop.smoke"].gate.set()
    hung = "test_1 errored" if fixture == "setUpModule" else "tearDownModule errored"
    assert outcomes(report)[-1] == hung
    assert report.results[-1].timed_out


def test_test_that_is_stuck_is_not_started_again_until_it_has_ended() -> None:
    gate = Gate()
    started: list[int] = []

    class StuckTest(SmokeTest):
        @timeout(0.05)
        def test_it(self) -> None:
            started.append(1)
            threads.append(threading.current_thread())
            gate.pass_through()

    threads: list[threading.Thread] = []
    with opened_at_the_end(gate):
        assert run(StuckTest).results[0].message.startswith("Timed out")
        [second] = run(StuckTest).results
        assert (second.label, second.timed_out) == ("errored", True)
        assert second.message.startswith("Still running since")
        assert len(started) == 1
    threads[0].join(AT_ONCE)
    [third] = run(StuckTest).results
    assert (third.label, len(started)) == ("passed", 2)


def test_class_whose_fixture_is_stuck_is_not_started_again_until_it_has_ended() -> None:
    gate = Gate()
    threads: list[threading.Thread] = []

    class StuckTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None:
            threads.append(threading.current_thread())
            gate.pass_through()

        test_1 = lambda self: None  # noqa: E731

    with opened_at_the_end(gate):
        assert run(StuckTest, timeout=0.05).results[0].message.startswith("Timed out")
        [second] = run(StuckTest, timeout=0.05).results
        assert second.message.startswith("Still running since")
    threads[0].join(AT_ONCE)
    assert (run(StuckTest).passed, len(threads)) == (True, 2)


# -- the deadline


@pytest.mark.parametrize("parallel", [1, 16])
def test_deadline_cuts_off_what_runs_and_starts_nothing_more(parallel: int) -> None:
    gate = Gate()
    told: list[str] = []

    class LateTest(SmokeTest):
        test_1 = lambda self: None  # noqa: E731
        test_2 = test_3 = hanging(gate)

        @serial
        def test_4(self) -> None:
            raise AssertionError("it ran")

    with opened_at_the_end(gate):
        begun = monotonic()
        report = run(
            LateTest,
            seconds=1.0,
            parallel=parallel,
            on_result=lambda result: told.append(result.id),
        )
        assert monotonic() - begun < 5
    assert outcomes(report) == [
        "test_1 passed",
        *(f"test_{number} errored" for number in (2, 3, 4)),
    ]
    assert [result.cut_off for result in report.results] == [False, True, True, True]
    assert not any(result.timed_out for result in report.results)  # of their own limit
    assert report.results[1].message.startswith("The run's deadline of 1 s was reached while")
    assert report.results[3].message.startswith("Not started before the deadline.")
    assert sorted(told) == [result.id for result in report.results]
    assert (report.passed, report.exit_status) == (False, 3)


def test_failure_before_the_deadline_is_a_failure() -> None:
    gate = Gate()

    class LateTest(SmokeTest):
        test_1 = lambda self: self.fail()  # noqa: E731
        test_2 = hanging(gate)

    with opened_at_the_end(gate):
        assert run(LateTest, seconds=1.0).exit_status == 1


def test_deadline_holds_although_results_come_faster_than_they_are_taken() -> None:
    pause = threading.Event()

    def wait(self: SmokeTest) -> None:
        pause.wait(0.001)

    cls = type("ManyTest", (SmokeTest,), {f"test_{n:04}": wait for n in range(1000)})
    report = run(cls, seconds=0.2, parallel=1, on_result=lambda result: slowly(pause))
    assert len(report.results) == 1000
    assert report.exit_status == 3


def slowly(pause: threading.Event) -> None:
    pause.wait(0.002)


def test_run_whose_deadline_is_over_starts_nothing() -> None:
    class LateTest(SmokeTest):
        def test_1(self) -> None: ...

    report = run(LateTest, seconds=0)
    assert report.exit_status in (0, 3)
    assert len(report.results) == 1


# -- a run that ends early


@pytest.mark.parametrize("inline", [False, True])
def test_failfast_starts_nothing_after_the_first_failure(
    monkeypatch: pytest.MonkeyPatch, inline: bool
) -> None:
    monkeypatch.setattr(isolation, "must_run_inline", lambda: inline)
    ran: list[str] = []

    class FailingTest(SmokeTest):
        def setUp(self) -> None:
            ran.append(self._testMethodName)

        test_1 = lambda self: None  # noqa: E731
        test_2 = optional(lambda self: self.fail())
        test_3 = test_4 = lambda self: self.fail()

    report = run(FailingTest, parallel=1, failfast=True)
    assert outcomes(report) == ["test_1 passed", "test_2 warned", "test_3 failed"]
    assert ran == ["test_1", "test_2", "test_3"]
    assert report.exit_status == 1


def test_failfast_ends_the_run_at_a_test_that_is_cut_off() -> None:
    over = threading.Event()

    class HangingTest(SmokeTest):
        test_1 = timeout(0.05)(optional(lambda self: over.wait()))
        test_2 = test_3 = timeout(0.05)(lambda self: over.wait())

    try:
        report = run(HangingTest, parallel=1, failfast=True)
    finally:
        over.set()
    assert outcomes(report) == ["test_1 warned", "test_2 errored"]


@pytest.mark.parametrize("inline", [False, True])
def test_failfast_ends_a_class_with_fixtures_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, inline: bool
) -> None:
    monkeypatch.setattr(isolation, "must_run_inline", lambda: inline)

    class FailingTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None: ...

        test_1 = lambda self: self.fail()  # noqa: E731

        def test_2(self) -> None: ...

    report = run(FailingTest, failfast=True)
    assert report.results[0].label == "failed"
    assert report.exit_status == 1
    assert not inline or len(report.results) == 1


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("fixtures", [False, True])
def test_exception_of_on_result_comes_out_and_nothing_goes_on(
    monkeypatch: pytest.MonkeyPatch, inline: bool, fixtures: bool
) -> None:
    monkeypatch.setattr(isolation, "must_run_inline", lambda: inline)
    gate = Gate()
    ran: list[str] = []
    told: list[str] = []

    def body(self: SmokeTest) -> None:
        ran.append(self._testMethodName)
        if ran[0] != self._testMethodName:
            gate.pass_through()

    namespace: dict[str, Any] = {f"test_{number}": body for number in range(9)}
    if fixtures:
        namespace["setUpClass"] = classmethod(lambda cls: None)

    def break_off(result: TestResult) -> None:
        told.append(result.id)
        raise BrokenPipeError("nobody listens")

    with opened_at_the_end(gate), pytest.raises(BrokenPipeError):
        run(type("ManyTest", (SmokeTest,), namespace), parallel=2, on_result=break_off)
    assert len(told) == 1
    assert len(ran) <= 3


INTERRUPTED = """
    import signal, sys, threading
    import django
    django.setup()
    # A process that a script starts in the background ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from smoketest import SmokeTest, runner, scheduling
    from smoketest.options import Options
    from time import monotonic

    class InterruptedTest(SmokeTest):
        def test_1(self): pass
        def test_2(self):
            main = threading.main_thread().ident
            signal.pthread_kill(main, signal.SIGINT)
            threading.Event().wait()
        def test_3(self): raise AssertionError("it ran")

    tests = [InterruptedTest(f"test_{n}") for n in (1, 2, 3)]
    results, interrupted = scheduling.execute(
        scheduling.Run(tests, Options(parallel=1), monotonic() + 60)
    )
    from smoketest.results import Report
    report = Report.from_results(results, selected=3, interrupted=interrupted)
    print([r.label for r in results], report.interrupted, report.passed, report.exit_status)
    print(results[-1].message)
    """


def test_ctrl_c_ends_the_run_with_a_report_and_the_process_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", dedent(INTERRUPTED)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=Path(__file__).parent.parent,
    )
    verdict, message = done.stdout.splitlines()
    assert verdict == "['passed', 'errored'] True False 3"
    assert message.startswith("The run was interrupted while it was running")
    assert (done.returncode, done.stderr) == (0, "")


# -- locks


def test_test_that_loses_a_deadlock_runs_once_more_alone(vendor: str, outside: Outside) -> None:
    if vendor == "sqlite":
        pytest.skip("SQLite locks the whole file, and a run has one connection to it")
    for name in "ab":
        outside(f"INSERT INTO testapp_item (name) VALUES ('{name}')")
    meeting = threading.Barrier(2)
    tries: list[str] = []

    def lock(self: SmokeTest) -> None:
        names = ["a", "b"] if self._testMethodName == "test_1" else ["b", "a"]
        first_time = self._testMethodName not in tries
        tries.append(self._testMethodName)
        for name in names:
            Item.objects.select_for_update().get(name=name)
            if first_time and name == names[0]:
                meeting.wait(AT_ONCE)

    cls = type("LockTest", (SmokeTest,), {"test_1": lock, "test_2": lock})
    report = run(cls, lock_timeout=5)
    assert outcomes(report) == ["test_1 passed", "test_2 passed"], report.results
    assert sorted(result.retried for result in report.results) == [False, True]
    assert len(tries) == 3
    assert report.counts.run == 2


CIRCLE = {
    "circle": """
import threading
barrier, seen = threading.Barrier(2), set()
def meet(name):
    if name in seen:
        return False
    seen.add(name)
    barrier.wait(10)
    return True
""",
    "circle_one": """
import circle
if circle.meet("one"):
    from circle_two import name
name = 1
""",
    "circle_two": """
import circle
if circle.meet("two"):
    from circle_one import name
name = 1
""",
}
"""Two modules that import each other the first time, when both are under way."""


def test_test_that_gets_half_a_module_runs_once_more_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python lets one of two threads go on that import from both ends of a circle."""
    for name, source in CIRCLE.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))

    class ImportTest(SmokeTest):
        def test_1(self) -> None:
            self.assertEqual(import_module("circle_one").name, 1)

        def test_2(self) -> None:
            self.assertEqual(import_module("circle_two").name, 1)

    try:
        report = run(ImportTest)
    finally:
        for name in CIRCLE:
            sys.modules.pop(name, None)
    assert outcomes(report) == ["test_1 passed", "test_2 passed"], report.results
    assert any(result.retried for result in report.results)


class Deadlock(Exception):
    sqlstate = "40P01"


def test_test_that_loses_a_lock_twice_is_told_of_its_second_time() -> None:
    times: list[int] = []
    told: list[TestResult] = []

    class LosingTest(SmokeTest):
        def test_1(self) -> None:
            times.append(1)
            raise Deadlock(len(times))

        def test_2(self) -> None: ...

    report = run(LosingTest, on_result=told.append)
    assert outcomes(report) == ["test_1 errored", "test_2 passed"]
    assert report.results[0].retried
    assert "Deadlock: 2" in report.results[0].message
    assert len(told) == 2


def test_second_time_that_is_cut_off_is_told_as_the_second() -> None:
    gate, times = Gate(), list[int]()

    class LosingTest(SmokeTest):
        def test_1(self) -> None:
            times.append(1)
            if len(times) == 1:
                raise Deadlock
            gate.pass_through()

        def test_2(self) -> None: ...

    with opened_at_the_end(gate):
        report = run(LosingTest, timeout=0.3)
    assert outcomes(report) == ["test_1 errored", "test_2 passed"]
    assert report.results[0].timed_out
    assert report.results[0].retried


@pytest.mark.parametrize("parallel", [1, 16])
def test_test_that_loses_a_lock_alone_does_not_run_again(parallel: int) -> None:
    class LosingTest(SmokeTest):
        def test_1(self) -> None:
            raise Deadlock

    [result] = run(LosingTest, parallel=parallel).results
    assert (result.label, result.retried) == ("errored", False)


def test_test_that_lost_a_lock_keeps_its_result_if_there_is_no_time_for_another() -> None:
    gate = Gate()

    class LosingTest(SmokeTest):
        def test_1(self) -> None:
            raise Deadlock("first")

        test_2 = hanging(gate)

    with opened_at_the_end(gate):
        report = run(LosingTest, seconds=0.3)
    assert "Deadlock: first" in report.results[0].message
    assert not report.results[0].retried


# -- on the caller's thread


@pytest.mark.django_db
def test_tests_see_what_the_callers_transaction_has_and_leave_nothing_in_it() -> None:
    Item.objects.create(name="of the caller")
    threads: set[int] = set()

    class SeeingTest(SmokeTest):
        def look(self) -> None:
            threads.add(threading.get_ident())
            self.assertEqual(Item.objects.get().name, "of the caller")
            Item.objects.create(name="of the test")
            Item.objects.filter(name="of the caller").delete()

        test_1 = test_2 = look

    assert run(SeeingTest).passed
    assert threads == {threading.get_ident()}
    assert [item.name for item in Item.objects.all()] == ["of the caller"]
    assert connection.in_atomic_block


@pytest.mark.django_db
def test_what_is_late_on_the_callers_thread_does_not_start() -> None:
    class LateTest(SmokeTest):
        @classmethod
        def setUpClass(cls) -> None: ...

        def test_1(self) -> None:
            threading.Event().wait(0.2)

        def test_2(self) -> None:
            raise AssertionError("it ran")

    report = run(LateTest, seconds=0.1)
    assert outcomes(report) == ["test_1 passed", "test_2 errored"]
    assert report.results[1].cut_off
    assert report.exit_status == 3


@pytest.mark.django_db
def test_run_on_the_callers_thread_ends_where_the_process_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class StoppedTest(SmokeTest):
        def test_1(self) -> None:
            monkeypatch.setattr(stopping, "seconds_left", lambda: 0.0)

        def test_2(self) -> None:
            raise AssertionError("it ran")

    monkeypatch.setattr(stopping, "INTERVAL", 0.0)
    report = run(StoppedTest)
    assert outcomes(report) == ["test_1 passed"]
    assert (report.interrupted, report.passed) == (True, False)


MEMORY = """
    import django
    from django.conf import settings
    settings.configure(
        INSTALLED_APPS=["tests.testapp"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    from django.db import connection
    from smoketest import SmokeTest, scheduling
    from smoketest.options import Options
    from tests.testapp.models import Item
    from time import monotonic

    class MemoryTest(SmokeTest):
        def test_1(self):
            Item.objects.create(name="smoke")
        def test_2(self):
            self.assertEqual(Item.objects.get().name, "there")

    with connection.schema_editor() as editor:
        editor.create_model(Item)
    Item.objects.create(name="there")
    tests = [MemoryTest("test_1"), MemoryTest("test_2")]
    results, _ = scheduling.execute(scheduling.Run(tests, Options(), monotonic() + 60))
    print([r.label for r in results], [i.name for i in Item.objects.all()])
    """


def test_tests_see_a_database_in_memory_and_leave_nothing_in_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", dedent(MEMORY)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
        env={key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"},
    )
    assert done.stdout == "['passed', 'passed'] ['there']\n", done.stderr


def test_run_inside_of_a_smoke_test_is_refused() -> None:
    class InnerTest(SmokeTest):
        def test_1(self) -> None: ...

    class OuterTest(SmokeTest):
        def test_1(self) -> None:
            with self.assertRaisesMessage(Refused, "A run was started inside a smoke test."):
                run(InnerTest)

    assert run(OuterTest).passed


# -- what a run leaves


def test_no_thread_is_left_after_a_run() -> None:
    class SomeTest(SmokeTest):
        test_1 = test_2 = test_3 = lambda self: None

    before = set(threading.enumerate())
    run(SomeTest)
    assert set(threading.enumerate()) <= before


def test_connection_of_the_caller_is_as_it_was(vendor: str) -> None:
    connection.ensure_connection()
    driver = connection.connection

    class WritingTest(SmokeTest):
        def test_1(self) -> None:
            Item.objects.create(name="smoke")

    assert run(WritingTest).passed
    assert connection.connection is driver
    assert type(connection._connections["default"]).__name__ == "DatabaseWrapper"  # type: ignore[attr-defined]


def test_races_at_the_limit_give_each_test_one_result() -> None:
    """Tests that end just when their time is up have one verdict, and it is theirs."""
    pause = threading.Event()

    def wait(self: SmokeTest) -> None:
        pause.wait(0.004)

    names = [f"test_{number:03}" for number in range(200)]
    for fixtures in ({}, {"setUpClass": classmethod(lambda cls: None)}):
        namespace = {**dict.fromkeys(names, wait), **fixtures, "timeout": 0.004}
        told: list[str] = []
        report = run(
            type("RacingTest", (SmokeTest,), namespace),
            parallel=4,
            on_result=lambda result, told=told: told.append(result.id),  # type: ignore[misc]
        )
        assert [result.id.rpartition(".")[2] for result in report.results] == names
        assert len(told) == len(names)
        assert all(r.timed_out for r in report.labelled("errored")), report.labelled("errored")
