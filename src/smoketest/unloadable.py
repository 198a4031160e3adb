"""What stands in the place of tests that cannot be loaded: a test that says why."""

from __future__ import annotations

import inspect
import sys
import traceback
import types
import unittest
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from smoketest.exceptions import CannotLoad
from smoketest.marks import Spec
from smoketest.recorder import relative_path
from smoketest.testcases import SmokeTest

T = TypeVar("T")

__unittest = True  # frames of this module are left out of tracebacks, as unittest's own are


@dataclass(frozen=True, slots=True, eq=False)
class Broken:
    """Something that should have given tests."""

    address: str
    message: str
    cause: BaseException | None = None
    file: str = ""
    line: int = 0
    skipped: bool = False
    """Whether a module raised ``SkipTest``: then it was left out on purpose."""


class StandIn(SmokeTest):
    """Errors when it is run, under the address of what is broken."""

    databases: Collection[str] = ()

    def __init__(self, broken: Broken) -> None:
        super().__init__("_tell")
        self._broken = broken

    def id(self) -> str:
        """Return the address of what is broken: a module, a class, a probe's path."""
        return self._broken.address

    def __str__(self) -> str:
        return self._broken.address

    def spec(self) -> Spec:
        """Return the place of what is broken."""
        return super().spec()._replace(file=self._broken.file, line=self._broken.line)

    def _tell(self) -> None:
        if self._broken.skipped:
            raise unittest.SkipTest(self._broken.message)
        raise CannotLoad(self._broken.message) from self._broken.cause


def attempt(load: Callable[[], T], instead: Callable[[BaseException], T]) -> T:
    """Return what ``load`` makes, or what ``instead`` makes of its error.

    ``SystemExit`` is an error here like any other: there is a report, whatever a
    user's module or class does.
    """
    try:
        return load()
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - it becomes the error of a test
        return instead(error)


def address_of(cls: type) -> str:
    """Return the dotted path of ``cls``, which its tests' ids begin with."""
    return f"{cls.__module__}.{cls.__qualname__}"


# -- the kinds of what is broken


def unimportable(name: str, error: BaseException) -> Broken:
    """Return what stands for the smoke module ``name``, whose import raised ``error``."""
    if isinstance(error, unittest.SkipTest):
        return Broken(name, str(error), skipped=True)
    return _explained(
        name,
        error,
        f"{name} cannot be imported",
        "Repair it, or leave its app out with SMOKETEST_SKIP_APPS.",
    )


def unusable(address: str, error: BaseException) -> Broken:
    """Return what stands for a test class that could not be made ready to run."""
    return _explained(
        address,
        error,
        f"{address} cannot be made ready to run",
        "Repair its __init__ or the attribute, or begin its name with an underscore if"
        " it is only a base for others.",
    )


def unloadable_probe(path: str, error: BaseException) -> Broken:
    """Return what stands for a class that ``SMOKETEST_PROBES`` names, and that is none."""
    return _explained(
        path,
        error,
        f"SMOKETEST_PROBES names {path!r}, which cannot be used",
        "Repair the setting, or what it names.",
    )


def foreign(cls: type[unittest.TestCase]) -> Broken:
    """Return what stands for a test class that is no ``SmokeTest``."""
    address = address_of(cls)
    message = (
        f"{address} is a unittest.TestCase and no SmokeTest, so it did not run: what it"
        " writes to a database would not be rolled back. Derive it from"
        " smoketest.SmokeTest, or do not import it into a smoke module."
    )
    line = getattr(cls, "__firstlineno__", 0)  # there from Python 3.13 on
    return Broken(address, message, file=_file(sys.modules.get(cls.__module__)), line=line)


def ignored_protocol(name: str, module: types.ModuleType) -> Broken:
    """Return what stands for the tests that a module's ``load_tests`` would have added."""
    address = f"{name}.load_tests"
    message = (
        f"{address} is not called, and the tests that it would add would be missed: every"
        " test class of a smoke module is run, and nothing else. Make the classes when"
        " the module is imported, and remove load_tests."
    )
    code = getattr(vars(module)["load_tests"], "__code__", None)
    return Broken(address, message, file=_file(module), line=code.co_firstlineno if code else 0)


def is_idle(function: object) -> bool:
    """Whether a call of ``function`` runs none of its lines: unittest awaits no module fixture."""
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    )


def idle_fixture(name: str, module: types.ModuleType, fixture: str) -> Broken:
    """Return what stands for a module's ``fixture`` that is ``async`` or a generator."""
    address = f"{name}.{fixture}"
    message = (
        f"{address} is an async def or a generator, and unittest calls it as a plain function:"
        " calling it runs none of its lines. Make it a plain function, which may use"
        " async_to_sync, or move it into setUpClass, which may be async."
    )
    line = vars(module)[fixture].__code__.co_firstlineno
    return Broken(address, message, file=_file(module), line=line)


def _file(module: types.ModuleType | None) -> str:
    return relative_path(getattr(module, "__file__", None) or "")


# -- what an error says, and where in the user's own code it was


def _explained(address: str, error: BaseException, what: str, remedy: str) -> Broken:
    error = error.with_traceback(_without_machinery(error.__traceback__))
    file, line = _place(error)
    own = isinstance(error, CannotLoad)  # then its text is the reason, and nobody's code failed
    reason = str(error) if own else _said(error)
    where = f" ({file}, line {line})" if file else ""
    message = f"{what}: {reason.removesuffix('.')}{where}. None of its tests could run. {remedy}"
    return Broken(address, message, None if own else error, file, line)


def _said(error: BaseException) -> str:
    """Return the type and the text of ``error``, without a syntax error's source lines."""
    lines = traceback.format_exception_only(error)
    return next((line for line in lines if not line.startswith("  ")), lines[-1]).strip()


def _place(error: BaseException) -> tuple[str, int]:
    """Return file and line where the import, or the making of the class, went wrong."""
    frame = error.__traceback__
    if frame is not None:
        return relative_path(frame.tb_frame.f_code.co_filename), frame.tb_lineno
    if isinstance(error, SyntaxError) and error.filename:
        return relative_path(error.filename), error.lineno or 0
    return "", 0


_MACHINERY = ("importlib", "smoketest", "django.test", "unittest")


def _without_machinery(tb: types.TracebackType | None) -> types.TracebackType | None:
    """Drop the leading frames, which are those of the import and not of the module."""
    while tb is not None:
        name = str(tb.tb_frame.f_globals.get("__name__"))
        if not any(name == one or name.startswith(f"{one}.") for one in _MACHINERY):
            break
        tb = tb.tb_next
    return tb
