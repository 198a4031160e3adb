"""Installed apps to tests: what there is to run, and what should be there but will not load.

Whatever cannot be loaded becomes a test that errors, so that it is seen. A missing
``smoke`` module and a broken one are never confused.
"""

from __future__ import annotations

import inspect
import os
import pkgutil
import sys
import types
import unittest
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.utils.module_loading import module_has_submodule

from smoketest.exceptions import CannotLoad
from smoketest.options import Probe
from smoketest.selection import Candidate
from smoketest.spelling import nearest
from smoketest.testcases import SmokeTest
from smoketest.unloadable import (
    Broken,
    StandIn,
    address_of,
    attempt,
    foreign,
    idle_fixture,
    ignored_protocol,
    is_idle,
    unimportable,
    unloadable_probe,
    unusable,
)

Load = Callable[[str], types.ModuleType]
"""Imports a module by its name."""


def discover(
    skip_apps: Collection[str] = (), probes: Sequence[Probe] = (), load: Load = import_module
) -> list[Candidate]:
    """Return every test of the installed apps and the ``probes``, each ready to run once.

    Apps come in the order of ``INSTALLED_APPS``, modules by name, classes as they are
    defined, methods as unittest sorts them, probes last. A class runs once, however
    many modules import it. Classes that have the same address by accident are told
    apart by a number behind the name of all but the first: ``shop.smoke.Made-2``.
    What ``load`` raises becomes the error of a test.
    """
    builder = _Builder()
    return [one for find in _found(skip_apps, probes, load) for one in builder.candidates(find)]


def app_labels() -> list[str]:
    """Return the words that name an installed app: labels, and module paths."""
    configs = list(apps.get_app_configs())
    return list(dict.fromkeys([c.label for c in configs] + [c.name for c in configs]))


def is_named(config: AppConfig, word: str) -> bool:
    """Whether ``word`` is the app's label, its module path or the path of its ``AppConfig``."""
    if word in (config.label, config.name):
        return True
    module, _, name = word.rpartition(".")
    cls = type(config)
    # By identity, for a package may re-export the class that another module defines.
    return cls is not AppConfig and getattr(sys.modules.get(module), name, None) is cls


# -- what there is: each class once, with the places where it was met


_Subject = type[SmokeTest] | Broken


@dataclass(slots=True)
class _Find:
    subject: _Subject
    apps: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)


def _found(skip_apps: Collection[str], probes: Sequence[Probe], load: Load) -> list[_Find]:
    """Return what there is, each thing once, where it was first met."""
    finds: dict[object, _Find] = {}
    for subject, app, module in _met(skip_apps, load):
        # The same foreign class, seen from two modules, is one thing that is broken.
        key = subject.address if isinstance(subject, Broken) else subject
        find = finds.setdefault(key, _Find(subject))
        if app not in find.apps:
            find.apps.append(app)
        if module not in find.modules:
            find.modules.append(module)
    for subject in (_probe(probe, load) for probe in probes):
        finds.setdefault(subject, _Find(subject))
    return list(finds.values())


def _met(skip_apps: Collection[str], load: Load) -> Iterator[tuple[_Subject, str, str]]:
    """Yield what each app's smoke modules have, with the app's label and the module."""
    for config in apps.get_app_configs():
        if not any(is_named(config, word) for word in skip_apps) and _has_smoke(config):
            for subject, module in _tree(f"{config.name}.smoke", load):
                yield subject, config.label, module


def _has_smoke(config: AppConfig) -> bool:
    if f"{config.name}.smoke" in sys.modules:
        return True
    return module_has_submodule(config.module, "smoke")


def _tree(name: str, load: Load) -> Iterator[tuple[_Subject, str]]:
    """Yield what the module ``name`` has, then what its public submodules have."""
    subjects, children = _opened(name, load)
    for subject in subjects:
        yield subject, name
    for child in children:
        yield from _tree(f"{name}.{child}", load)


def _opened(name: str, load: Load) -> tuple[list[_Subject], list[str]]:
    """Import a module; return what it has, and the names of its submodules."""

    def contents() -> tuple[list[_Subject], list[str]]:
        module = load(name)
        return list(_subjects(module, name)), _children(module)

    def stand_in(error: BaseException) -> tuple[list[_Subject], list[str]]:
        return [unimportable(name, error)], []

    return attempt(contents, stand_in)


def _subjects(module: types.ModuleType, name: str) -> Iterator[_Subject]:
    if callable(vars(module).get("load_tests")):
        yield ignored_protocol(name, module)
    for fixture in ("setUpModule", "tearDownModule"):
        if is_idle(vars(module).get(fixture)):
            yield idle_fixture(name, module, fixture)
    for cls in dict.fromkeys(filter(_is_test_class, list(vars(module).values()))):
        if _is_abstract(cls):
            continue
        if issubclass(cls, SmokeTest):
            yield cls
        elif _method_names(cls):
            # Without test methods it is a base class that somebody imported.
            yield foreign(cls)


def _is_test_class(value: object) -> bool:
    # Not isinstance(value, type): that asks a lazy object for its class, which wakes it.
    return issubclass(type(value), type) and issubclass(value, unittest.TestCase)  # type: ignore[arg-type]


def _is_abstract(cls: type) -> bool:
    return cls.__name__.startswith("_") or bool(vars(cls).get("abstract", False))


def _children(module: types.ModuleType) -> list[str]:
    """Return the names of the public submodules and sub-packages, if there are any."""
    path = list(getattr(module, "__path__", ()))
    names = {info.name for info in pkgutil.iter_modules(path)}
    names.update(name for folder in path for name in _folders(folder))
    return sorted(name for name in names if not name.startswith("_"))


def _folders(path: str) -> list[str]:
    """Return the folders in ``path``: without an ``__init__.py`` they are packages, too."""
    try:
        with os.scandir(path) as entries:
            return [one.name for one in entries if one.name.isidentifier() and one.is_dir()]
    except OSError:  # in an archive, say, where pkgutil alone knows the way
        return []


def _method_names(cls: type[unittest.TestCase]) -> Sequence[str]:
    # As unittest's loader finds them, which asks each of some 200 attributes in turn.
    found = [name for name in _attributes(cls) if name.startswith("test")]
    names = sorted(name for name in found if callable(getattr(cls, name)))
    if not names and hasattr(cls, "runTest") and not issubclass(cls, unittest.FunctionTestCase):
        return ["runTest"]
    return names


_WITHOUT_TESTS = frozenset(SmokeTest.__mro__)


def _attributes(cls: type) -> Collection[str]:
    """Return the names of what ``cls`` has, without those that every test case has."""
    if type(cls).__dir__ is not type.__dir__:
        return dir(cls)  # of a metaclass that makes attributes when they are asked for
    return {name for base in cls.__mro__ if base not in _WITHOUT_TESTS for name in vars(base)}


# -- classes that the settings name


def _probe(probe: Probe, load: Load) -> _Subject:
    path, attributes = (probe, None) if isinstance(probe, str) else probe
    return attempt(
        lambda: _probe_class(path, attributes, load), lambda error: unloadable_probe(path, error)
    )


def _probe_class(path: str, attributes: Mapping[str, Any] | None, load: Load) -> _Subject:
    cls: type[SmokeTest] = _imported(path, load)
    if not (_is_test_class(cls) and issubclass(cls, SmokeTest)):
        raise CannotLoad(f"it is {cls!r}, and no class derived from smoketest.SmokeTest")
    if attributes is None and _is_abstract(cls):
        raise CannotLoad("it is abstract, so it needs attributes: (path, {attribute: value})")
    if attributes is not None:
        cls = _configured(cls, attributes)
    # Asked last: a class may make its tests from its attributes.
    if not _method_names(cls):
        raise CannotLoad("it has no test methods")
    return cls


def _imported(path: str, load: Load) -> Any:
    module_path, _, name = path.rpartition(".")
    if not module_path:
        raise CannotLoad("it is no dotted path to a class")
    module = load(module_path)
    if not hasattr(module, name):
        public = [one for one in vars(module) if not one.startswith("_")]
        raise CannotLoad(f"{module_path} has no {name!r}{_hint(name, public)}")
    return getattr(module, name)


def _configured(cls: type[SmokeTest], attributes: Mapping[str, Any]) -> type[SmokeTest]:
    """Return a subclass of the same address, with ``attributes``."""
    known = _settable(cls)
    for name in attributes:
        if name not in known:
            raise CannotLoad(f"it has no attribute {name!r} to set{_hint(name, known)}")
    return _subclass(cls, cls.__qualname__, attributes)


def _settable(cls: type) -> list[str]:
    """Return the public attributes of ``cls`` that are data, or declared with a type."""
    declared = {name for base in cls.__mro__ for name in inspect.get_annotations(base)}
    data = {name for name in dir(cls) if not inspect.isroutine(inspect.getattr_static(cls, name))}
    return sorted(name for name in declared | data if not name.startswith("_"))


def _subclass(
    cls: type[SmokeTest], qualname: str, attributes: Mapping[str, Any]
) -> type[SmokeTest]:
    names = {"__module__": cls.__module__, "__qualname__": qualname, "__doc__": cls.__doc__}
    return types.new_class(
        cls.__name__, (cls,), exec_body=lambda body: body.update({**attributes, **names})
    )


def _hint(word: str, known: Sequence[str]) -> str:
    meant = nearest(word, known)
    return f"; did you mean {meant!r}?" if meant else ""


# -- from classes to tests


class _Builder:
    """Makes candidates, and sees to it that no two things have one address."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def candidates(self, find: _Find) -> list[Candidate]:
        subject = find.subject
        if isinstance(subject, Broken):
            suffix = self._suffix(subject.address)
            return [_stand_in(find, replace(subject, address=subject.address + suffix))]
        suffix = self._suffix(address_of(subject))
        return attempt(
            lambda: _tests(find, _renamed(subject, suffix)),
            lambda error: [_stand_in(find, unusable(address_of(subject) + suffix, error))],
        )

    def _suffix(self, address: str) -> str:
        """Return what tells this one from those that had ``address`` before it."""
        self._taken[address] += 1
        number = self._taken[address]
        return f"-{number}" if number > 1 else ""


def _renamed(cls: type[SmokeTest], suffix: str) -> type[SmokeTest]:
    return _subclass(cls, cls.__qualname__ + suffix, {}) if suffix else cls


def _tests(find: _Find, cls: type[SmokeTest]) -> list[Candidate]:
    places = tuple(find.apps), tuple(find.modules)
    tests = [cls(name) for name in _method_names(cls)]
    return [_candidate(test, *places) for test in tests]


_NO_TAGS: frozenset[str] = frozenset()


def _candidate(test: SmokeTest, apps: tuple[str, ...], modules: tuple[str, ...]) -> Candidate:
    spec = test.spec()
    tags = frozenset(spec.tags) if spec.tags else _NO_TAGS
    return Candidate(test.id(), test, apps, modules, tags, runs_on=spec.runs_on)


def _stand_in(find: _Find, broken: Broken) -> Candidate:
    places = tuple(find.apps), tuple(find.modules)
    return Candidate(broken.address, StandIn(broken), *places, frozenset(), broken=True)
