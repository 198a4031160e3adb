"""unittest reports to it what happens; it makes a TestResult of each test."""

from __future__ import annotations

import functools
import linecache
import os
import sys
import textwrap
import traceback
import unittest
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import dropwhile
from pathlib import Path
from time import monotonic
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from smoketest.results import Outcome, TestResult, new_result

MESSAGE_LIMIT = 20_000
TRACEBACK_LIMIT = 60_000
"""Characters; a failing comparison of two huge values must not become a huge report."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
_GROUP_DEPTH = 10
"""Levels of groups in groups that a message tells; as many as a traceback shows."""
_MACHINERY = frozenset({"asgiref", "asyncio", "concurrent", "threading", "unittest"})
"""Packages whose frames stand between the runner and a test."""
_ENGINE = frozenset(
    {
        f"{__package__}.{name}"
        for name in ("coroutines", "loops", "returned", "scheduling.worker", "testcases", "units")
    }
)
"""Our own modules of that kind; a ready-made test is no machinery."""


class Problem(NamedTuple):
    """One thing that went wrong, in words."""

    outcome: Outcome
    message: str
    traceback: str
    file: str
    line: int


class Recorder(unittest.TestResult):
    """Hands a :class:`~smoketest.results.TestResult` to ``emit`` as each test ends.

    What a class or module fixture raises belongs to no test; it is kept in
    ``fixtures``, under unittest's name for it, such as ``setUpClass (shop.smoke.Test)``.
    """

    def __init__(
        self,
        emit: Callable[[Any, TestResult], None],
        *,
        on_start: Callable[[Any, float, datetime], None] = lambda test, start, started_at: None,
        lost_a_lock: Callable[[BaseException], bool] = lambda error: False,
        advice: Callable[[BaseException], str] = lambda error: "",
    ) -> None:
        super().__init__()
        self._emit = emit
        self._on_start = on_start
        self._lost_a_lock = lost_a_lock
        self._advice = advice
        self.fixtures: dict[str, Problem] = {}
        self.lost_a_lock = False
        """Whether the test that ended last lost a deadlock or a lock wait."""
        self._started = False

    # -- unittest's protocol

    def startTest(self, test: Any) -> None:
        self._started = True
        self._problems: list[Problem] = []
        self.lost_a_lock = False
        self._passed = False
        self._skips: list[tuple[Any, str]] = []
        self._subtests_passed = 0
        self._around = sys.exception()  # what the caller may be handling, which is not ours
        self._started_at = datetime.now(UTC)
        self._start = monotonic()
        self._on_start(test, self._start, self._started_at)

    def addSuccess(self, test: Any) -> None:
        self._passed = True

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self._passed = True

    def addUnexpectedSuccess(self, test: Any) -> None:
        message = "Unexpected success: the test is marked @expectedFailure, and it passed."
        self._problems.append(Problem(Outcome.FAILED, message, "", "", 0))

    def addSkip(self, test: Any, reason: str) -> None:
        if _is_fixture(test):
            self._add_of_fixture(test.id(), _skip([str(reason)]))
            return
        if not self._started:
            # Python 3.12.1 forgets to say so: https://github.com/python/cpython/issues/106584
            self.startTest(test)
        self._skips.append((test, str(reason)))

    def addFailure(self, test: Any, err: Any) -> None:
        self._problems.append(self.problem(Outcome.FAILED, err, test))

    def addError(self, test: Any, err: Any) -> None:
        problem = self.problem(Outcome.ERRORED, err, test)
        if _is_fixture(test):
            self._add_of_fixture(test.id(), problem)
        else:
            self._problems.append(problem)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is None:
            self._subtests_passed += 1
            return
        failed = issubclass(err[0], test.failureException)
        problem = self.problem(Outcome.FAILED if failed else Outcome.ERRORED, err, test)
        name = subtest.id().removeprefix(test.id()).strip()
        self._problems.append(problem._replace(message=f"{name}: {problem.message}"))

    def _add_of_fixture(self, name: str, problem: Problem) -> None:
        before = self.fixtures.get(name)
        self.fixtures[name] = problem if before is None else _merged([before, problem])

    def addDuration(self, test: Any, elapsed: float) -> None:
        pass  # measured here, from startTest to stopTest, with the rollback

    def stopTest(self, test: Any) -> None:
        duration = monotonic() - self._start
        self._started = False
        problems = self._problems
        error = sys.exception()
        if error is not None and error is not self._around:
            problems = self._with_what_escapes(test, error)
        problem = _merged(problems) if problems else self._harmless(test)
        self._emit(test, self.make(test, problem, self._started_at, duration))

    # -- from what happened to a value

    def _with_what_escapes(self, test: Any, error: BaseException) -> list[Problem]:
        """What went wrong, with what unittest lets through on its way: a KeyboardInterrupt."""
        exc_info = (type(error), error, error.__traceback__)
        return [*self._problems, self.problem(Outcome.ERRORED, exc_info, test)]

    def _harmless(self, test: Any) -> Problem:
        """What became of a test in which nothing went wrong."""
        if self._passed:
            return _NOTHING
        if reasons := [reason for subject, reason in self._skips if subject is test]:
            return _skip(reasons[:1])
        if self._skips and not self._subtests_passed:
            return _skip([reason for _, reason in self._skips])
        if self._subtests_passed:
            return _NOTHING
        return Problem(Outcome.ERRORED, "The test ended without an outcome.", "", "", 0)

    @staticmethod
    def make(
        test: Any, problem: Problem, started_at: datetime, duration: float, **values: Any
    ) -> TestResult:
        """Return the result of ``test``: what it says of itself, and what became of it."""
        spec = test.spec()
        return new_result(
            test.id(),
            problem.outcome,
            spec.optional,
            duration,
            started_at,
            spec.description,
            spec.tags,
            problem.message,
            problem.traceback,
            file=problem.file or spec.file,
            line=problem.line or spec.line,
            runbook=spec.runbook,
            **values,
        )

    def problem(self, outcome: Outcome, err: ExcInfo, test: Any) -> Problem:
        """Put an exception into words: its message, its traceback, and where in the test it was."""
        exctype, value, tb = err
        tb = _without_machinery(tb)
        try:
            self.lost_a_lock |= self._lost_a_lock(value)
            return self._worded(outcome, (exctype, value, tb), test)
        except Exception as error:  # noqa: BLE001 - it is told, and must not end the whole run
            return _unspeakable(outcome, exctype, tb, test, error)

    def _worded(self, outcome: Outcome, err: ExcInfo, test: Any) -> Problem:
        exctype, value, tb = err
        # unittest's placeholder for a fixture has None there.
        failure = issubclass(exctype, getattr(test, "failureException", None) or AssertionError)
        if failure and tb is not None:
            # The frames of assertEqual and the like say nothing about the test.
            self._remove_unittest_tb_frames(tb)  # type: ignore[attr-defined]
        told = traceback.TracebackException(exctype, value, tb, compact=True)
        file, line = _place(told.stack, test)
        words = (_cut(_message(told, failure), MESSAGE_LIMIT), self._advice(value))
        return Problem(
            outcome,
            "\n".join(filter(None, words)),
            _cut("".join(told.format()), TRACEBACK_LIMIT),
            file,
            line,
        )


def _unspeakable(
    outcome: Outcome, exctype: type, tb: TracebackType | None, test: Any, error: Exception
) -> Problem:
    """Return what can be said of an exception that answers a question by another, ``error``."""
    name = f"{exctype.__module__}.{exctype.__qualname__}"
    message = f"{name}, which cannot be shown: looking at it raised {type(error).__name__}."
    stack = traceback.extract_tb(tb)
    words = ["Traceback (most recent call last):\n", *stack.format(), f"{name}\n"]
    return Problem(outcome, message, _cut("".join(words), TRACEBACK_LIMIT), *_place(stack, test))


_NOTHING = Problem(Outcome.PASSED, "", "", "", 0)


def _skip(reasons: Sequence[str]) -> Problem:
    return Problem(Outcome.SKIPPED, _cut("; ".join(reasons), MESSAGE_LIMIT), "", "", 0)


def _merged(problems: Sequence[Problem]) -> Problem:
    """Fold all that went wrong into one; what came first gives its kind, and a skip hides none."""
    bad = [problem for problem in problems if problem.outcome is not Outcome.SKIPPED] or problems
    if len(bad) == 1:
        return bad[0]
    return bad[0]._replace(
        message=_cut("\n".join(problem.message for problem in bad), MESSAGE_LIMIT),
        traceback=_cut("\n".join(problem.traceback for problem in bad), TRACEBACK_LIMIT),
    )


def _is_fixture(test: Any) -> bool:
    """Whether unittest put a placeholder in the place of a test."""
    return not isinstance(test, unittest.TestCase)


def _without_machinery(tb: TracebackType | None) -> TracebackType | None:
    """Drop the leading frames, which are the same for every test."""
    first = tb
    while first is not None:
        if not _is_machinery(first.tb_frame):
            return first
        first = first.tb_next
    return tb


def _is_machinery(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__") or ""
    return name in _ENGINE or name.partition(".")[0] in _MACHINERY


def stack_of(frames: Iterable[FrameType]) -> str:
    """Return where ``frames`` stand, outermost first, as a traceback is written.

    It begins with the test: what leads to it is left out.
    """
    frames = list(frames)
    # A cleanup that is written in C has no frame, so that nothing but machinery is there.
    shown = list(dropwhile(_is_machinery, frames)) or frames[-1:]
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in shown)
    return "Stack at that moment (most recent call last):\n" + "".join(summary.format())


def _message(told: traceback.TracebackException, failure: bool) -> str:
    message = _words(told)
    if not failure:
        return message
    name, _, text = message.partition(":")
    if name.rpartition(".")[2] != "AssertionError":
        return message
    # A plain assert has no message of its own, and that of self.fail() is "None".
    return text.strip() if text.strip() not in ("", "None") else _failing_line(told)


def _words(told: traceback.TracebackException, depth: int = 0) -> str:
    """The type and the text; below a group's, those of what is in it."""
    words = "".join(told.format_exception_only()).rstrip("\n")
    if depth < _GROUP_DEPTH:
        for one in told.exceptions or ():
            words += "\n" + textwrap.indent(_words(one, depth + 1), "  ")
    return words


def _failing_line(told: traceback.TracebackException) -> str:
    """The source of the statement that raised: it says what did not hold."""
    if not told.stack:
        return "AssertionError"
    frame = told.stack[-1]
    first = frame.lineno or 0
    lines = range(first, (frame.end_lineno or first) + 1)
    source = "".join(linecache.getline(frame.filename, number) for number in lines)
    return textwrap.dedent(source).strip() or (
        f"AssertionError in {relative_path(frame.filename)}, line {first}"
    )


def _place(stack: traceback.StackSummary, test: Any) -> tuple[str, int]:
    """The innermost line of the test's own file that the exception went through."""
    spec = getattr(test, "spec", None)
    if spec is None:
        return "", 0
    own = spec().file
    for frame in reversed(stack):
        if relative_path(frame.filename) == own:
            return own, frame.lineno or 0
    return "", 0


@functools.cache
def relative_path(path: str) -> str:
    """Return ``path`` from the working directory on, where it is below it."""
    with suppress(OSError):  # a deploy may have removed the working directory of old processes
        return path.removeprefix(f"{Path.cwd()}{os.sep}")
    return path


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} characters more)"
