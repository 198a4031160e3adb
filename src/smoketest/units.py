"""The parts of a run that one thread runs through: one test, or tests that share a fixture."""

from __future__ import annotations

import sys
import threading
import unittest
from collections.abc import Iterable
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from time import monotonic
from typing import NamedTuple, Protocol

from smoketest import isolation, refusals, timeouts
from smoketest.exceptions import TimedOut
from smoketest.options import Options
from smoketest.recorder import Problem, Recorder
from smoketest.results import Outcome, TestResult
from smoketest.testcases import SmokeTest

_FIXTURE_NAMES = ("setUpModule", "tearDownModule")


Place = tuple[int, int]
"""Where a result stands in the report: the number of its test in discovery order, and 0;
for an error that comes after that test, 1 if it is its class's, and 2 if its module's."""


@dataclass(slots=True)
class Unit:
    """Tests that run one after another on one thread."""

    tests: list[tuple[int, SmokeTest]]
    """With their numbers in discovery order."""
    fixtures: bool = False
    """Whether a class or module fixture stands around them."""
    serial: bool = False
    """Whether it must run alone."""

    def id(self) -> str:
        """Return a name for the fixtures around the tests."""
        owner = _fixture_owner(type(self.tests[0][1]))
        name = _class_name(owner) if isinstance(owner, type) else getattr(owner, "__name__", "")
        return f"A fixture of {name}"


def divide(tests: Iterable[tuple[int, SmokeTest]]) -> list[Unit]:
    """Divide the numbered ``tests`` into as many parts as may run beside one another."""
    owners: dict[type[SmokeTest], object] = {}  # it takes a while to find one

    def owner_of(item: tuple[int, SmokeTest]) -> object:
        cls = type(item[1])
        if cls not in owners:
            owners[cls] = _fixture_owner(cls)
        return owners[cls]

    units = []
    for owner, group in groupby(tests, owner_of):
        if owner is None:
            units += [Unit([item], serial=item[1].spec().serial) for item in group]
        else:
            together = list(group)
            serial = any(test.spec().serial for _, test in together)
            units.append(Unit(together, fixtures=True, serial=serial))
    return units


def _fixture_owner(cls: type[SmokeTest]) -> object:
    """What the tests of ``cls`` share a fixture through: its module, itself, or nothing."""
    module = sys.modules.get(cls.__module__)
    if any(hasattr(module, name) for name in _FIXTURE_NAMES):
        return module
    return cls if cls.has_class_fixtures() else None


class Delivery(NamedTuple):
    """A result on its way to the report."""

    place: Place
    result: TestResult
    lost_a_lock: bool = False


class Host(Protocol):
    """Who lets units run, and is told of it."""

    def begin(self, stretch: timeouts.Stretch) -> None:
        """Take note that something begins that has a limit."""

    def deliver(self, stretch: timeouts.Stretch | None, *deliveries: Delivery) -> bool:
        """Take results of ``stretch``; false if the verdict on it was claimed meanwhile."""


class UnitRunner:
    """Runs units on the thread that calls it, one after another."""

    def __init__(self, host: Host, session: isolation.Session, options: Options) -> None:
        self.unit = Unit([])
        """What it runs, or ran last."""
        self.stretch: timeouts.Stretch | None = None
        """What is under way; ``None`` before and after a unit."""
        self._host = host
        self._session = session
        self._options = options
        self._thread = threading.get_ident()
        self._numbers: dict[int, int] = {}
        """The numbers of the unit's tests, by the ids of the objects."""
        self._left: dict[int, SmokeTest] = {}
        """The tests that have no result yet, by their numbers."""
        self._recorder = self._new_recorder()
        self.is_abandoned = False
        """Whether it must do no more: the verdict on what it did last is not its own."""
        self._end: BaseException | None = None
        """What the host raised when it was given a result: it ends the run, and no test."""

    def _new_recorder(self) -> Recorder:
        return Recorder(
            self._emit,
            on_start=self._begin_test,
            lost_a_lock=isolation.lost_a_lock,
            advice=isolation.advice,
        )

    def run(self, unit: Unit) -> None:
        """Run to the end, or until :meth:`abandon`; every test has a result then.

        What the host raises comes out of here, after the test that is under way.
        """
        self.unit = unit
        try:
            if unit.fixtures:
                self._numbers = {id(test): number for number, test in unit.tests}
                self._left = dict(unit.tests)
                self._run_with_fixtures()
            else:
                [(number, test)] = unit.tests
                self._numbers, self._left = {id(test): number}, {number: test}
                self._run_alone(test)
        finally:
            self.stretch = None
        if self._end is not None:
            raise self._end

    def abandon(self) -> None:
        """Run no further test, and deliver nothing more; from any thread."""
        self.is_abandoned = True
        self._recorder.stop()

    def rest(self) -> list[tuple[int, SmokeTest]]:
        """The tests of the unit that have no result yet."""
        return list(self._left.items())

    # -- one test

    def _run_alone(self, test: SmokeTest) -> None:
        reason = timeouts.reason_not_to_start(test.id(), self._limit(test))
        if self._is_over():
            return
        if reason is not None:
            self._deliver(None, self._delivery(test, _not_started(test, reason)))
            return
        escaped: BaseException | None = None
        try:
            test(self._recorder)
        except BaseException as error:
            if _is_ctrl_c(error):
                raise
            escaped = error
        if self._numbers[id(test)] in self._left and not self._is_over():
            self._deliver_without_outcome(test, escaped)

    def _begin_test(self, test: SmokeTest, start: float, started_at: datetime) -> None:
        limit = self._limit(test)
        self._begin(timeouts.Stretch(test, limit, start, started_at, self._thread))

    def _limit(self, test: SmokeTest) -> float:
        """Return the seconds that ``test`` may take."""
        limit = test.spec().timeout or self._options.timeout
        ceiling = self._options.timeout_ceiling
        return limit if ceiling is None else min(limit, ceiling)

    def _begin_fixture(self) -> None:
        limit = self._options.timeout
        self._begin(
            timeouts.Stretch(self.unit, limit, monotonic(), datetime.now(UTC), self._thread)
        )

    def _begin(self, stretch: timeouts.Stretch) -> None:
        if self.stretch is not None and not self.stretch.take():
            self.abandon()  # the fixture before it was over its time
        self.stretch = self._session.clock = stretch
        if self.is_abandoned:  # looked at after the stretch can be seen: see Worker.let_go
            raise TimedOut
        self._host.begin(stretch)

    def _is_over(self) -> bool:
        return self.is_abandoned or self._end is not None

    def _emit(self, test: SmokeTest, result: TestResult) -> None:
        number, stretch = self._numbers[id(test)], self.stretch
        if self._is_over() or number not in self._left:
            return  # it has its verdict: it was let go, or has a run() that runs it twice
        if stretch and (waited := stretch.waited()):
            result = replace(result, duration=max(0.0, result.duration - waited))
        if result.outcome is Outcome.PASSED and stretch and monotonic() > stretch.expires:
            result = _passed_too_late(result, stretch)
        # What may use no database stands for a module whose import has lost a lock.
        lost_a_lock = self._recorder.lost_a_lock and bool(test.databases)
        self._deliver(stretch, Delivery((number, 0), result, lost_a_lock))
        if self.unit.fixtures and not self._is_over():
            self._begin_fixture()

    def _deliver(self, stretch: timeouts.Stretch | None, *deliveries: Delivery) -> None:
        try:
            if not self._host.deliver(stretch, *deliveries):
                self.abandon()
                return
        except BaseException as error:  # noqa: BLE001 - raised by run(), outside of unittest
            self._end = error
            self._recorder.stop()
        self.stretch = None
        for delivery in deliveries:
            self._left.pop(delivery.place[0], None)

    def _delivery(self, test: SmokeTest, result: TestResult, lost_a_lock: bool = False) -> Delivery:
        return Delivery((self._numbers[id(test)], 0), result, lost_a_lock)

    def _deliver_without_outcome(self, test: SmokeTest, escaped: BaseException | None) -> None:
        """What even unittest lets through: an error of a ``run`` of the test's own, say."""
        problem = self._escaped_problem(escaped, test)
        if self.stretch is None:
            result = Recorder.make(test, problem, datetime.now(UTC), 0.0)
        else:
            result = self.stretch.result(test, problem)
        self._deliver(self.stretch, self._delivery(test, result))

    # -- tests with a fixture around them

    def _run_with_fixtures(self) -> None:
        self._leave_out_what_is_stuck()
        if self._is_over():
            return
        self._recorder = self._new_recorder()  # unittest keeps the last class in it
        self._begin_fixture()
        escaped: BaseException | None = None
        try:
            # In a context of its own: a language that a fixture activates is its tests' alone.
            copy_context().run(self._run_suite)
        except BaseException as error:
            if _is_ctrl_c(error):
                raise
            escaped = error
        if not self._is_over():
            self._deliver(self.stretch, *self._accounts_of_fixtures(escaped))

    def _run_suite(self) -> None:
        subject = f"{type(self.unit.tests[0][1]).__module__}.setUpModule"
        suite = unittest.TestSuite(test for _, test in self.rest())
        with refusals.refused_inside(subject), isolation.rolled_back(subject, lasting=True):
            suite.run(self._recorder)

    def _leave_out_what_is_stuck(self) -> None:
        fixture = timeouts.reason_not_to_start(self.unit.id(), self._options.timeout)
        for _, test in self.rest():
            reason = fixture or timeouts.reason_not_to_start(test.id(), self._limit(test))
            if reason is not None and not self._is_over():
                self._deliver(None, self._delivery(test, _not_started(test, reason)))

    def _accounts_of_fixtures(self, escaped: BaseException | None) -> list[Delivery]:
        """Results for tests that a fixture kept from running, and for fixtures that came after."""
        late = {k: v for k, v in self._recorder.fixtures.items() if k.startswith("tearDown")}
        if escaped is not None and not self._left:
            _, test = self.unit.tests[-1]
            late.setdefault(_last_fixture(self.unit), self._escaped_problem(escaped, test))
        return [
            *(self._kept_from_running(test, escaped) for _, test in self.rest()),
            *(_late_delivery(self.unit, *_parse(name), problem) for name, problem in late.items()),
        ]

    def _kept_from_running(self, test: SmokeTest, escaped: BaseException | None) -> Delivery:
        fixtures, cls = self._recorder.fixtures, type(test)
        problem = (
            fixtures.get(f"setUpModule ({cls.__module__})")
            or fixtures.get(f"setUpClass ({_class_name(cls)})")
            or self._escaped_problem(escaped, test)
        )
        result = Recorder.make(test, problem, datetime.now(UTC), 0.0)
        return self._delivery(test, result, self._recorder.lost_a_lock)

    def _escaped_problem(self, escaped: BaseException | None, test: SmokeTest) -> Problem:
        if escaped is None:
            message = (
                "The test did not run: it has a run() of its own, or is part of a suite that "
                "had stopped. Nothing was verified. Let run() call the one of SmokeTest."
            )
            return Problem(Outcome.ERRORED, message, "", "", 0)
        exc_info = (type(escaped), escaped, escaped.__traceback__)
        return self._recorder.problem(Outcome.ERRORED, exc_info, test)


def late_delivery(unit: Unit, problem: Problem) -> Delivery:
    """Return what becomes of the last fixture of ``unit``, which ends with ``problem``."""
    return _late_delivery(unit, *_parse(_last_fixture(unit)), problem)


def _last_fixture(unit: Unit) -> str:
    """The fixture that is the last to be under way, in unittest's words."""
    _, test = unit.tests[-1]
    cls = type(test)
    if _fixture_owner(cls) in (cls, None):
        return f"tearDownClass ({_class_name(cls)})"
    return f"tearDownModule ({cls.__module__})"


def _late_delivery(unit: Unit, method: str, owner: str, problem: Problem) -> Delivery:
    """The error of a tearDown, whose tests have their results already.

    It is a warning only where all of these tests are optional.
    """
    tests = [
        (number, test)
        for number, test in unit.tests
        if owner in (_class_name(type(test)), type(test).__module__)
    ]
    number, test = tests[-1]
    made = Recorder.make(test, problem, datetime.now(UTC), 0.0)
    result = replace(
        made,
        id=f"{owner}.{method}",
        description="",
        tags=(),
        optional=all(test.spec().optional for _, test in tests),
    )
    return Delivery((number, 1 if method == "tearDownClass" else 2), result)


def _passed_too_late(result: TestResult, stretch: timeouts.Stretch) -> TestResult:
    """Return ``result`` as no pass, for the test ended after its limit.

    That is so where nothing could cut it off: on the thread of the run itself, or
    while it kept every other thread from running.
    """
    message = (
        f"Timed out: it ended {stretch.elapsed():.3g} s after it began, and its limit is "
        f"{stretch.limit:g} s. It was not cut off there, because nothing could run beside "
        "it. If it may take so long, give it more time with @timeout(seconds)."
    )
    return replace(result, outcome=Outcome.ERRORED, message=message, timed_out=True)


def _not_started(test: SmokeTest, reason: str) -> TestResult:
    problem = Problem(Outcome.ERRORED, reason, "", "", 0)
    return Recorder.make(test, problem, datetime.now(UTC), 0.0, timed_out=True)


def _class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _parse(name: str) -> tuple[str, str]:
    """``"tearDownClass (shop.smoke.Test)"``, unittest's name for it, into its two parts."""
    method, _, owner = name.partition(" (")
    return method, owner.removesuffix(")")


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether a person stopped the process; on any other thread a test has raised it itself."""
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(error, KeyboardInterrupt) and is_main
