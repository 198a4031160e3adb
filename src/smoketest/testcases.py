"""SmokeTest: a test case that is safe to run in production, under any runner."""

from __future__ import annotations

import functools
import os
import sys
import unittest
from collections.abc import Callable, Collection, Sequence
from contextvars import copy_context
from traceback import walk_tb
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, ParamSpec, TypeVar
from weakref import WeakSet

from django.db import DEFAULT_DB_ALIAS, connections
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from django.test.testcases import TestData  # type: ignore[attr-defined]
from django.utils.functional import cached_property

from smoketest import asserts, coroutines, declared, isolation, marks, queries, refusals, returned
from smoketest.client import NOT_RECORDED, SmokeAsyncClient, SmokeClient
from smoketest.exceptions import FixtureFailed, Refused
from smoketest.options import ROLES
from smoketest.recorder import relative_path

P = ParamSpec("P")
T = TypeVar("T")


class SmokeTest(SimpleTestCase):
    """A test of the running system. What it writes to any database is rolled back.

    It is a ``unittest.TestCase`` with Django's assertions. Files, mail, caches,
    queues and calls to other systems are *not* undone.
    """

    databases: Collection[str] | Literal["__all__"] = "__all__"  # type: ignore[assignment]
    """Aliases that the test may use; another one is an error that names it.

    ``"replica:ro"`` is the alias ``replica``, and the server refuses to write to it.
    """
    timeout: float | None = None
    """Seconds for setUp, test and tearDown together; ``None`` is ``SMOKETEST_TIMEOUT``."""
    tags: Collection[str] = frozenset()
    """For selection."""
    optional: bool = False
    """Whether a failure is reported as a warning and does not fail the run."""
    serial: bool = False
    """Whether the test never runs beside another."""
    runs_on: Collection[str] = frozenset(ROLES)
    """Roles of the processes where the test runs: ``{"web"}``, ``{"worker"}`` or both."""
    runbook: str = ""
    """URL shown beside a failure."""
    abstract: bool = False
    """Set in a class's own body: the class itself is not run, its subclasses are."""

    client_class = SmokeClient
    async_client_class = SmokeAsyncClient

    if TYPE_CHECKING:  # Django's, and not in its stubs
        _overridden_settings: ClassVar[Any]
        _modified_settings: ClassVar[Any]

    _specs: ClassVar[dict[str, marks.Spec]] = {}
    """By the name of the method; the class's own has an empty one."""
    call: coroutines.Call | None = None
    """The ``async def`` that is awaited now, or was last."""
    _fixtures: ClassVar[WeakSet[isolation.Rollback]]
    """What rolls back the fixtures of the class: one while its tests run, and one more for
    each thread that hangs in one of them while another runs the rest."""
    _address = ""
    _rollback: isolation.Rollback | None = None
    """What rolls back the test, while it runs."""
    _over: bool
    """Whether nothing but cleanups is left to do."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._specs = {}
        cls._fixtures = WeakSet()
        declared.mark(cls)
        for name in ("setUpClass", "tearDownClass"):
            # A mixin's too; inspect.getattr_static takes ten times as long.
            fixture = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
            if not isinstance(fixture, _SafeClassFixture):
                setattr(cls, name, _SafeClassFixture(name, fixture))

    @cached_property
    def client(self) -> SmokeClient:  # type: ignore[override]
        """Django's test client, made safe for a live process."""
        return self.client_class()

    @cached_property
    def async_client(self) -> SmokeAsyncClient:  # type: ignore[override]
        """Django's asynchronous test client, made safe for a live process."""
        return self.async_client_class()

    def spec(self) -> marks.Spec:
        """Return what the test says of itself.

        Raises ``TypeError`` or ``ValueError`` where an attribute cannot be used.
        """
        spec = self._specs.get(self._testMethodName)
        if spec is None:
            of_class = self._specs.get("") or self._specs.setdefault("", marks.spec_of_class(self))
            spec = self._specs[self._testMethodName] = marks.spec_of(self, of_class)
        return spec

    # -- running: whoever calls, the databases are rolled back

    def __call__(self, result: unittest.TestResult | None = None) -> None:
        """Run the test; Django's own set-up for a test database has no place here."""
        self.run(result)

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test, report to ``result``, and leave nothing in any database."""
        return self._safely(unittest.TestCase.run, self, result)

    def debug(self) -> None:
        """Run the test without collecting errors, and leave nothing in any database."""
        self._safely(unittest.TestCase.debug, self)

    def _safely(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` in a context of its own, and roll back everywhere in the end.

        In a context of its own, so that an activated language or time zone does
        not reach the next test.
        """
        return copy_context().run(self._in_this_context, function, *args, **kwargs)

    def _in_this_context(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        name = self.id()
        try:
            with isolation.rolled_back(name, declared.usable(self.databases)) as self._rollback:
                refusals.refuse_from_here(name, self._rollback.note)
                return function(*args, **kwargs)
        finally:
            self._rollback = None  # it would live for as long as the test

    def id(self) -> str:
        """Return the address of the test: ``shop.smoke.CatalogueTest.test_can_read``."""
        if not self._address:
            self._address = super().id()
        return self._address

    def _callSetUp(self) -> None:
        self._over = True
        self.spec()
        if asserts.are_removed():
            asserts.check(self)
        declared.check(self)
        self._finish(self.setUp(), "setUp")  # type: ignore[func-returns-value]
        self._over = False

    def _callTestMethod(self, method: Callable[[], Any]) -> None:
        name, process = self._testMethodName, os.getpid()
        try:
            returned.refuse(self._finish(method(), name), name)
        finally:
            if os.getpid() != process:
                _end_fork()

    def _callTearDown(self) -> None:
        try:
            self._finish(self.tearDown(), "tearDown")  # type: ignore[func-returns-value]
        finally:
            self._over = True

    def doCleanups(self) -> None:  # noqa: N802 - unittest names it
        """Run the cleanups, then tell what was hidden, and roll back: its error is the test's."""
        super().doCleanups()
        rollback = self._rollback
        if self._over and rollback is not None and (rollback.begun or rollback.noted):
            self.addCleanup(rollback.undo)
            if self._is_passing():
                self.addCleanup(self._tell_what_was_hidden, rollback.noted)
            super().doCleanups()

    def _is_passing(self) -> bool:
        outcome: Any = self._outcome  # type: ignore[attr-defined]
        return bool(outcome.success and not outcome.expectedFailure)

    def _tell_what_was_hidden(self, noted: Sequence[BaseException]) -> None:
        """Raise what the test would have seen if nothing had swallowed it.

        That is a refusal, for what was to be tested has not happened; and what the test's own
        code raised on a thread.
        """
        for error in noted:
            if isinstance(error, Refused) or self._is_own(error):
                raise error

    def _is_own(self, error: BaseException) -> bool:
        """Whether an error of a thread is of this test: of an assertion, or of its own module."""
        own = self.spec().file
        places = (frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__))
        return isinstance(error, self.failureException) or own in map(relative_path, places)

    def _callCleanup(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        self._finish(function(*args, **kwargs), None)

    def _finish(self, value: Any, name: str | None) -> Any:
        """Return ``value``, or what comes of it where it has to be awaited."""
        if value is not None:
            self.call = returned.call_of(value, name)
            if self.call is not None:
                self.call.run()
                return self.call.value
        return value

    # -- assertions that Django has for test databases only

    assertQuerySetEqual = TransactionTestCase.assertQuerySetEqual  # noqa: N815
    captureOnCommitCallbacks = TestCase.captureOnCommitCallbacks  # noqa: N815

    def assertNumQueries(  # noqa: N802
        self,
        num: int,
        func: Callable[..., Any] | None = None,
        *args: Any,
        using: str = DEFAULT_DB_ALIAS,
        **kwargs: Any,
    ) -> queries.NumQueries | None:
        """Fail unless ``func``, or the block of the returned context, executes ``num`` queries."""
        counted = queries.NumQueries(self, num, connections[using])
        if func is None:
            return counted
        with counted:
            func(*args, **kwargs)
        return None

    # -- assertions that would need another process

    def assertTemplateUsed(self, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: N802
        """Refused, see the message."""
        raise Refused(
            f"assertTemplateUsed or assertTemplateNotUsed was used in {self.id()}. Which "
            f"templates are rendered is {NOT_RECORDED}"
        )

    assertTemplateNotUsed = assertTemplateUsed  # noqa: N815

    # -- fixtures of a class

    @classmethod
    def setUpClass(cls) -> None:
        """Prepare what all tests of the class share; it is rolled back after the last one."""
        before = dict(cls.__dict__)
        returned.finish(cls.setUpTestData(), "setUpTestData")
        for name, value in list(cls.__dict__.items()):
            if value is not before.get(name):
                # Each test gets its own copy, as in Django's TestCase.
                setattr(cls, name, TestData(name, value))

    @classmethod
    def tearDownClass(cls) -> None:
        """Undo by hand what setUpClass did outside of the databases."""

    @classmethod
    def setUpTestData(cls) -> None:
        """Make rows that all tests of the class share; they are rolled back after the last one."""

    @classmethod
    def has_class_fixtures(cls) -> bool:
        """Whether the tests of this class must run one after another on one thread."""
        return any(
            getattr(getattr(cls, name), "__func__", None) is not getattr(SmokeTest, name).__func__
            for name in ("setUpClass", "tearDownClass", "setUpTestData")
        ) or bool(cls._overridden_settings or cls._modified_settings)

    @classmethod
    def addClassCleanup(  # noqa: N802 - unittest names it
        cls, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Add a cleanup of the class, which may be an ``async def``."""
        super().addClassCleanup(returned.finished, function, *args, **kwargs)

    @classmethod
    def doClassCleanups(cls) -> None:  # noqa: N802 - unittest names it
        """Run the cleanups of the class, and then roll back what its fixtures did."""
        super().doClassCleanups()
        try:
            cls._end_fixture()
        except Exception:  # noqa: BLE001 - unittest reports what is in that list
            cls.tearDown_exceptions.append(sys.exc_info())  # type: ignore[attr-defined]

    @classmethod
    def _begin_fixture(cls, subject: str) -> None:
        if cls._current_fixture() is not None:
            return  # a subclass's setUpClass that calls its parent's
        if cls._overridden_settings or cls._modified_settings:
            raise Refused(
                f"@override_settings or @modify_settings was used on {subject.rpartition('.')[0]}. "
                "It would change the settings of the live process for every request that is "
                "served meanwhile. Pass the value to the code under test instead, or move the "
                "test into the project's own test suite."
            )
        fixture = isolation.rolled_back(subject, declared.usable(cls.databases), lasting=True)
        fixture.__enter__()
        cls._fixtures.add(fixture)

    @classmethod
    def _tell_what_was_refused(cls) -> None:
        """Raise what a class fixture was refused, and has swallowed."""
        fixture = cls._current_fixture()
        for error in () if fixture is None else fixture.noted:
            if isinstance(error, Refused):
                raise error

    @classmethod
    def _current_fixture(cls) -> isolation.Rollback | None:
        """The one of :attr:`_fixtures` that this code is inside of."""
        frame = isolation.current()
        while isinstance(frame, isolation.Rollback):
            if frame in cls._fixtures:
                return frame
            frame = frame.around
        return None

    @classmethod
    def _end_fixture(cls) -> None:
        fixture = cls._current_fixture()
        if fixture is not None:
            cls._fixtures.discard(fixture)
            fixture.__exit__()


def _end_fork() -> NoReturn:
    """End a process that a test has forked, and that has come back from the test.

    It would run the other tests a second time, and roll back on its parent's connections.
    Its status says whether it came back with an error.
    """
    os._exit(1 if sys.exception() else 0)


class _SafeClassFixture:
    """Takes the place of a class's own setUpClass or tearDownClass, and rolls it back.

    It does so as the class is made, because a setUpClass that forgets to call its
    parent's must not write to production either.
    """

    def __init__(self, name: str, fixture: Any) -> None:
        self._name = name
        self._fixture = fixture

        @functools.wraps(getattr(fixture, "__func__", fixture))
        def safely(cls: type[SmokeTest]) -> None:
            self._run(cls)

        self._safely = safely

    def __get__(self, instance: object, owner: type[SmokeTest]) -> MethodType:
        return MethodType(self._safely, owner)

    def _run(self, cls: type[SmokeTest]) -> None:
        subject = f"{cls.__module__}.{cls.__qualname__}.{self._name}"
        with refusals.refused_inside(subject):
            cls._begin_fixture(subject)
            try:
                returned.finish(self._fixture.__get__(None, cls)(), self._name)
            except SystemExit as error:  # unittest would let it end the run
                raise FixtureFailed(f"{subject} called sys.exit({error.code!r}).") from error
            cls._tell_what_was_refused()


refusals.know_threads(isolation.current)

# Every class has the fixtures of this one at least.
SmokeTest.setUpClass = _SafeClassFixture("setUpClass", SmokeTest.__dict__["setUpClass"])  # type: ignore[method-assign, assignment]
SmokeTest.tearDownClass = _SafeClassFixture("tearDownClass", SmokeTest.__dict__["tearDownClass"])  # type: ignore[method-assign, assignment]
