"""The ``assert`` statements of smoke tests, which Python removes where it runs with ``-O``.

A test that verifies by them would verify nothing there, and pass. Which tests have some is
read in their source; where that is not there, it cannot be known, and that is no pass either.
"""

from __future__ import annotations

import ast
import inspect
import sys
import unittest
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from smoketest.exceptions import AssertsRemoved
from smoketest.recorder import relative_path

_MOST_LINES = 5
"""Lines that a message names."""
_NOT_OF_TESTS = sys.stdlib_module_names | {"django", "smoketest"}
"""Packages whose assert statements are their own matter: no test verifies by them."""


class Assert(NamedTuple):
    """One statement."""

    line: int
    test: str
    """The class and the method that it is in, such as ``CatalogueTest.test_can_read``; empty
    where any test of the module may come by: in a function, in setUp, in a method that is none."""


def are_removed() -> bool:
    """Whether this Python was started with ``-O``, ``-OO`` or ``PYTHONOPTIMIZE``."""
    return bool(sys.flags.optimize)


def check(test: unittest.TestCase) -> None:
    """Raise ``AssertsRemoved`` if ``test`` verifies by assert statements, or may do so.

    To be called where :func:`are_removed` alone. Looked at are the test's own method, what
    is no test in the modules of its classes, and what these import from their own ``smoke``
    package.
    """
    own = _names(test)
    for name in _modules(type(test).__mro__):
        asserts = _of_module(name)
        if asserts is None:
            raise AssertsRemoved(_unknown(test.id(), name))
        if lines := [one.line for one in asserts if not one.test or one.test in own]:
            raise AssertsRemoved(_removed(test.id(), name, lines))


def _removed(test_id: str, module: str, lines: list[int]) -> str:
    file = relative_path(getattr(sys.modules[module], "__file__", None) or module)
    return (
        f"{test_id} verifies by assert statements ({file}, {in_words(lines)}), and Python was "
        "started with -O or PYTHONOPTIMIZE, which removes them. So it would verify nothing, and "
        "pass. Run it without -O, or write self.assertTrue(…) and the like instead."
    )


def _unknown(test_id: str, module: str) -> str:
    return (
        f"Python was started with -O or PYTHONOPTIMIZE, which removes assert statements, and the "
        f"source of {module} is not there. So it cannot be known whether {test_id} had any; then "
        "it would verify nothing, and pass. Install the source beside the compiled module, or "
        "run it without -O."
    )


def in_words(lines: list[int]) -> str:
    """Return ``lines`` as a message names them: ``line 3``, or ``lines 3, 5 and 2 more``."""
    shown = ", ".join(map(str, lines[:_MOST_LINES]))
    more = f" and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else ""
    return f"{'lines' if len(lines) > 1 else 'line'} {shown}{more}"


# -- where the code of a test is


def _names(test: unittest.TestCase) -> set[str]:
    """Return the test's name in each of its classes, and those that its functions were given."""
    name = test._testMethodName
    names = {f"{cls.__name__}.{name}" for cls in type(test).__mro__}
    for function in _functions(test):
        names.add(".".join(function.__qualname__.split(".")[-2:]))
    return names


def _functions(test: unittest.TestCase) -> Iterator[FunctionType]:
    """Yield what its method is made of: in each class, for one may call the one below it."""
    for cls in type(test).__mro__:
        function: Any = vars(cls).get(test._testMethodName)
        function = inspect.unwrap(getattr(function, "__func__", function))
        if isinstance(function, FunctionType):
            yield function


@cache
def _modules(classes: tuple[type, ...]) -> tuple[str, ...]:
    """Return the modules of ``classes``, and those of what these have from their package."""
    found: dict[str, None] = {}
    waiting = [cls.__module__ for cls in classes]
    while waiting:
        name = waiting.pop(0)
        if name in found or name.partition(".")[0] in _NOT_OF_TESTS:
            continue
        found[name] = None
        if (module := sys.modules.get(name)) is not None:
            waiting += _from_its_package(module)
    return tuple(found)


def _from_its_package(module: ModuleType) -> Iterator[str]:
    """Yield the modules of the same ``smoke`` package that ``module`` has something of."""
    parts = module.__name__.split(".")
    if "smoke" not in parts:
        return
    package = ".".join(parts[: parts.index("smoke") + 1])
    for value in list(vars(module).values()):
        # By its type, for a lazy object would wake at any question.
        if issubclass(type(value), (FunctionType, type, ModuleType)):
            name = str(value.__name__ if isinstance(value, ModuleType) else value.__module__)
            if name == package or name.startswith(f"{package}."):
                yield name


# -- what is in a source


@cache
def _of_module(name: str) -> tuple[Assert, ...] | None:
    """Return the assert statements of a module; ``None`` where its source is not there."""
    try:
        return tuple(in_source(inspect.getsource(sys.modules[name])))
    except (KeyError, OSError, TypeError, SyntaxError, ValueError):
        return None  # a module without a file, of C, or of another release than what is on disk


def in_source(source: str) -> list[Assert]:
    """Return the assert statements of ``source``; raises ``SyntaxError`` where it is none."""
    return sorted(_below(ast.parse(source), "", ""))


def _below(node: ast.AST, owner: str, test: str) -> Iterator[Assert]:
    """Yield those below ``node``: the body of the class ``owner``, or the inside of ``test``."""
    for child in ast.iter_child_nodes(node):
        inside, cls = test, ""
        match child:
            case ast.Assert():
                yield Assert(child.lineno, test)
            case ast.ClassDef():
                cls = child.name
            case ast.FunctionDef() | ast.AsyncFunctionDef() if owner and _is_test(child.name):
                inside = test or f"{owner}.{child.name}"
        yield from _below(child, cls, inside)


def _is_test(name: str) -> bool:
    return name.startswith("test") or name == "runTest"


def places(smoke: str) -> Iterator[str]:
    """Yield where the ``smoke`` module of that name, or its package, has assert statements.

    It is not imported; that its source is not there is a place, too.
    """
    spec = find_spec(smoke)
    if spec is None:
        return
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    if not folders and spec.origin:
        files = [Path(spec.origin)]
    for file in files:
        if (place := _place(file)) is not None:
            yield place
    if not files:
        yield f"{smoke}, whose source is not there"


def _place(file: Path) -> str | None:
    """Return where ``file`` has assert statements, or that it cannot be known."""
    shown = relative_path(str(file))
    try:
        lines = [one.line for one in in_source(file.read_text(encoding="utf-8"))]
    except (OSError, SyntaxError, ValueError):
        return f"{shown}, which is no source that can be read"
    return f"{shown}, {in_words(lines)}" if lines else None
