"""What a test says of itself: attributes of its class, and decorators of its methods."""

from __future__ import annotations

import inspect
import math
import unittest
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeVar

from smoketest.options import ROLES
from smoketest.recorder import relative_path
from smoketest.spelling import did_you_mean

Subject = TypeVar("Subject", bound=type | Callable[..., Any])


class Spec(NamedTuple):
    """What a test says of itself: its class's attributes and its method's decorators."""

    timeout: float | None
    tags: tuple[str, ...]
    optional: bool
    serial: bool
    runs_on: frozenset[str]
    """The roles of the processes where it runs."""
    runbook: str
    description: str
    file: str
    line: int


def spec_of_class(test: unittest.TestCase) -> Spec:
    """Return what the class of ``test``, a ``SmokeTest``, says of all its tests.

    Raises ``TypeError`` or ``ValueError`` where an attribute cannot be used.
    """
    cls: Any = type(test)
    if isinstance(test, unittest.IsolatedAsyncioTestCase):
        raise TypeError(
            f"{cls.__qualname__} is an IsolatedAsyncioTestCase, too, whose asyncSetUp and loop "
            "have no place in a smoke test. A SmokeTest awaits what is async by itself. Derive "
            "from SmokeTest alone, and write async def setUp."
        )
    _check_nothing_is_ignored(cls)
    return Spec(
        timeout=_seconds(cls.timeout, test),
        tags=tuple(sorted(_words(cls.tags, test))),
        optional=bool(cls.optional),
        serial=bool(cls.serial),
        runs_on=_roles(cls.runs_on, test),
        runbook=str(cls.runbook or ""),
        description="",
        file="",
        line=0,
    )


_OF_UNITTEST = {"asyncSetUp": "setUp", "asyncTearDown": "tearDown"}


def _check_nothing_is_ignored(cls: type) -> None:
    """Raise ``TypeError`` for what other test cases of unittest and Django would go by."""
    for name, instead in _OF_UNITTEST.items():
        if hasattr(cls, name):
            raise TypeError(
                f"{cls.__qualname__} has {name}, which a SmokeTest never calls: it awaits setUp "
                f"and tearDown instead. Write async def {instead}."
            )
    if (names := getattr(cls, "fixtures", None)) and isinstance(names, list | tuple):
        raise TypeError(
            f"{cls.__qualname__} has fixtures = {names!r}, which a SmokeTest never loads: a live "
            "database has its rows already. Make the rows that a test needs in setUpTestData, or "
            "call loaddata there."
        )


def spec_of(test: unittest.TestCase, of_class: Spec) -> Spec:
    """Return what ``test`` says of itself, where its class says ``of_class`` of all its tests.

    Raises ``TypeError`` or ``ValueError`` where a decorator's attribute cannot be used.
    """
    method = getattr(type(test), test._testMethodName)
    function = method
    timeout, tags, optional, serial, runs_on, runbook, *_ = of_class
    if getattr(method, "__dict__", True):  # a plain function without a decorator has an empty one
        limit = getattr(method, "timeout", None)
        timeout = timeout if limit is None else _seconds(limit, test)
        tags = tuple(sorted({*tags, *_words(getattr(method, "tags", ()), test)}))
        optional = bool(optional or getattr(method, "optional", False))
        serial = bool(serial or getattr(method, "serial", False))
        runs_on = _roles(getattr(method, "runs_on", runs_on), test)
        function = inspect.unwrap(method)
    code = getattr(function, "__code__", None)
    return Spec(
        timeout,
        tags,
        optional,
        serial,
        runs_on,
        runbook,
        description=test.shortDescription() or "",
        file=relative_path(code.co_filename) if code else "",
        line=code.co_firstlineno if code else 0,
    )


def _seconds(value: Any, subject: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"The timeout of {subject} is {value!r}, which is no number. "
            "A limit is a number of seconds. Write timeout = 3, or @timeout(3)."
        )
    if not math.isfinite(value) or value <= 0:
        raise ValueError(
            f"The timeout of {subject} is {value!r}. "
            "A test without a positive limit could hang the run. Name the seconds it may take."
        )
    return float(value)


def _words(value: Any, subject: object) -> frozenset[str]:
    if not is_collection_of_words(value):
        raise TypeError(
            f"The tags of {subject} are {value!r}, which is no list of words. "
            'Write tags = {"a", "b"}, or @tag("a", "b").'
        )
    return frozenset(value)


def _roles(value: Any, subject: object) -> frozenset[str]:
    if not is_collection_of_words(value):
        raise TypeError(
            f"runs_on of {subject} is {value!r}, which is no set of words. "
            'Write runs_on = {"worker"}, or @runs_on("worker").'
        )
    if not value:
        raise ValueError(
            f"runs_on of {subject} is empty, so it would run nowhere. "
            f"Name one of {', '.join(map(repr, ROLES))}, or leave it out to run everywhere."
        )
    for word in sorted(value):
        if word not in ROLES:
            raise ValueError(
                f"runs_on of {subject} names {word!r}, which is no role that a process can have."
                f"{did_you_mean(word.lower(), ROLES)}"
                f" Name one of {', '.join(map(repr, ROLES))}, or both."
            )
    return frozenset(value)


def is_collection_of_words(value: Any) -> bool:
    """Whether ``value`` is a set or a list of strings, and no string itself."""
    if isinstance(value, str) or not isinstance(value, Collection):
        return False
    return all(isinstance(word, str) for word in value)


# -- decorators


def tag(*tags: str) -> Callable[[Subject], Subject]:
    """Give a test method or a class ``tags`` to select it by; Django's own works the same."""

    def decorate(subject: Subject) -> Subject:
        subject.tags = frozenset(getattr(subject, "tags", ())) | _words(tags, subject)  # type: ignore[union-attr]
        return subject

    return decorate


def timeout(seconds: float) -> Callable[[Subject], Subject]:
    """Limit a test method, or each test of a class, to ``seconds`` for setUp, test and tearDown.

    Raises ``TypeError`` or ``ValueError`` where ``seconds`` is no positive number.
    """
    limit = _seconds(seconds, "a test")

    def decorate(subject: Subject) -> Subject:
        subject.timeout = limit  # type: ignore[union-attr]
        return subject

    return decorate


def runs_on(*roles: str) -> Callable[[Subject], Subject]:
    """Let a test method, or each test of a class, run in processes with these ``roles`` only.

    Roles are ``"web"`` and ``"worker"``. Raises ``TypeError`` or ``ValueError`` for others.
    """
    wanted = _roles(roles, "a test")

    def decorate(subject: Subject) -> Subject:
        subject.runs_on = wanted  # type: ignore[union-attr]
        return subject

    return decorate


def optional(subject: Subject) -> Subject:
    """Mark a test method or a class: its failure is a warning and does not fail the run."""
    _mark(subject, "optional")
    return subject


def serial(subject: Subject) -> Subject:
    """Mark a test method or a class: it never runs beside another test."""
    _mark(subject, "serial")
    return subject


def _mark(subject: Any, name: str) -> None:
    if not callable(subject):
        raise TypeError(
            f"@{name} was given {subject!r}. It takes no arguments. "
            f"Write @{name} alone on the line above the class or the method."
        )
    setattr(subject, name, True)
