"""What would change the live process for everybody is refused inside a smoke test.

Settings, modules and the clock belong to the process, not to the test: while
``override_settings``, ``unittest.mock.patch`` or freezegun's ``freeze_time`` is active,
every request that the process serves sees the change. The block's end is no help:
another thread that reads any setting at the wrong moment gets an ``AttributeError``,
because Django empties the settings' cache before it swaps them. Django's own test client
connects the process's signals, and takes errors of live requests for those of its own.

The refusals are hooks around a handful of methods of Django and the standard library,
and of the libraries that change the clock, as soon as somebody imports one. They are put
in place when the first smoke test begins, stay for the life of the process, and are the
original itself wherever no smoke test is under way: in other threads, between runs, and
in a project's own test suite around a run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from functools import cache, wraps
from types import FunctionType, ModuleType, TracebackType
from typing import Any, NoReturn
from unittest import mock

from django.conf import LazySettings
from django.db.backends.base.creation import BaseDatabaseCreation
from django.test import AsyncClient, Client, utils

from smoketest.arrivals import Arrived, when_imported
from smoketest.exceptions import Refused

_test: ContextVar[str | None] = ContextVar("smoketest_current_test", default=None)
_note: ContextVar[Callable[[BaseException], None] | None] = ContextVar(
    "smoketest_note_refusal", default=None
)
_installing = threading.Lock()
_is_expendable = threading.Event()
_scopes: list[Callable[[], Any]] = [lambda: None]
"""The last one returns the test that a thread of its own belongs to, or ``None``."""

NameOfUse = Callable[..., str | None]
"""Names what a hooked call does, from its arguments; ``None`` lets the call through."""

_SETTINGS = (
    "It would change the settings of the live process for every request that is served "
    "meanwhile. Pass the value to the code under test instead, or move the test into the "
    "project's own test suite."
)
_REGISTRIES = (
    "It would replace a registry of the live process for every request that is served "
    "meanwhile. Move the test into the project's own test suite."
)
_DATABASES = (
    "It would name another database in the settings of the live process, or remove one, which "
    "may be the site's. Use the site's databases here: what a smoke test writes is rolled back."
)
_OBJECTS = (
    "It would replace an object of the live process for every request that is served "
    "meanwhile. Pass the replacement to the code under test instead, or move the test into "
    "the project's own test suite."
)
_CLOCK = (
    "It would change the clock of the live process for every request that is served "
    "meanwhile. Pass the time to the code under test instead, or move the test into the "
    "project's own test suite."
)
_SIGNALS = (
    "It connects signals of the live process for each request, and raises the errors of every "
    "request that is served meanwhile as its own. Use self.client or self.async_client, or make "
    "another with self.client_class(); force_login() and headers= stand in for what other "
    "clients add."
)
_PROCESS = (
    "It would end the live process for everybody, and a run without a report, perhaps with the "
    "status of a pass. Run it in a process of its own, with subprocess for example."
)


class refused_inside:  # noqa: N801 - used as a function, like override_settings
    """A context manager: inside its block, in this context, the refusals are in force.

    ``test_id`` is named in their messages. The block must be left in the context that
    entered it. Blocks nest: the innermost names the test.
    """

    __slots__ = ("_test_id", "_token")

    def __init__(self, test_id: str) -> None:
        _install()
        self._test_id = test_id

    def __enter__(self) -> None:
        self._token: Token[str | None] = _test.set(self._test_id)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _test.reset(self._token)


def refuse_from_here(test_id: str, note: Callable[[BaseException], None] | None = None) -> None:
    """Put the refusals in force for the rest of this context, which is the test's own.

    ``note`` is called with each, for the code of the test may swallow it.
    """
    _install()
    _test.set(test_id)
    _note.set(note)


def know_threads(scope: Callable[[], Any]) -> None:
    """Ask ``scope`` for the test that code belongs to which is on a thread of its own."""
    _scopes.append(scope)


def let_process_end() -> None:
    """Refuse no end of this process from now on: it is for tests alone, and its end is told."""
    _is_expendable.set()


def current_test() -> str | None:
    """The id of the smoke test that this context is inside of; ``None`` outside of any."""
    return _test.get()


@cache
def _install() -> None:
    """Put the hooks in place; the first call does, whatever comes at the same time."""
    with _installing:
        for owner, method, name, consequence in _HOOKS:
            _hook(owner, method, name, consequence)
        for module, class_name, name in _CLOCKS:
            when_imported(module, _hooking_start(class_name, name))
        for name_of_end in ("_exit", "execv", "execve"):  # what all others of their kind call
            if hasattr(os, name_of_end):
                setattr(os, name_of_end, _refusing_to_end(getattr(os, name_of_end)))
        if hasattr(os, "register_at_fork"):
            # A process that a test has forked is nobody's but its own.
            os.register_at_fork(after_in_child=_let_process_of_test_end)


def _hook(owner: type, method: str, name: NameOfUse, consequence: str) -> None:
    original = owner.__dict__[method]
    if not isinstance(original, _Hooked):
        setattr(owner, method, _Hooked(original, name, consequence))


def _hooking_start(class_name: str, name: NameOfUse) -> Arrived:
    """Return what hooks the method ``start`` of the class, in a module of somebody else's."""

    def hook(module: ModuleType) -> None:
        cls = getattr(module, class_name, None)
        if cls is not None and "start" in vars(cls):  # a release that we do not know may differ
            _hook(cls, "start", name, _CLOCK)

    return hook


class _Hooked:
    """Takes the place of a method: the original itself outside of a smoke test.

    Inside of one it is a function that refuses. A wrapper in both places would be a
    stack frame more, and Django goes by the stack when it decides whom a warning is for:
    https://github.com/django/django/blob/6.1/django/conf/__init__.py
    """

    __slots__ = ("_original", "_refuse")

    def __init__(self, original: FunctionType, name: NameOfUse, consequence: str) -> None:
        self._original = original
        self._refuse = _refusing(original, name, consequence)

    def __get__(self, instance: object, owner: type) -> Callable[..., Any]:
        method = self._original if _test.get() is None else self._refuse
        bound: Callable[..., Any] = method.__get__(instance, owner)
        return bound


def _refusing(original: FunctionType, name: NameOfUse, consequence: str) -> FunctionType:
    """``original``, but raising ``Refused`` for a call that ``name`` has a name for."""

    @wraps(original)
    def refuse_or_pass(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (use := name(self, *args, **kwargs)) is None:
            return original(self, *args, **kwargs)
        _refuse(use, consequence)

    return refuse_or_pass  # type: ignore[return-value]


def _refusing_to_end(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, which ends the process, but raising ``Refused`` inside of a smoke test."""

    @wraps(function)
    def refuse_or_end(*args: Any, **kwargs: Any) -> Any:
        if _is_inside() and not _is_expendable.is_set():
            _refuse(f"os.{function.__name__} was called", _PROCESS)
        return function(*args, **kwargs)

    return refuse_or_end


def _is_inside() -> bool:
    """Whether this is code of a test, on whichever thread it runs."""
    return _test.get() is not None or _scopes[-1]() is not None


def _let_process_of_test_end() -> None:
    if _is_inside():
        let_process_end()


def _refuse(use: str, consequence: str) -> NoReturn:
    scope = _scopes[-1]()
    error = Refused(f"{use} in {_test.get() or scope.subject}. {consequence}")
    if _test.get() is None:
        scope.note(error)
    if (note := _note.get()) is not None:
        note(error)
    raise error


def _class_was_used(instance: Any) -> str:
    return f"{type(instance).__name__} was used"


def _client_was_used(client: Any, **request: object) -> str:
    cls = type(client)
    return f"{cls.__module__}.{cls.__qualname__}, a test client made by hand, was used"


def _patch_was_used(patcher: Any) -> str:
    return f"unittest.mock.patch of {patcher.attribute!r} was used"


def _patch_dict_was_used(patcher: Any) -> str:
    return "unittest.mock.patch.dict was used"


def _setting_was_set(settings: LazySettings, setting: str, value: object) -> str | None:
    # Django itself assigns _wrapped: when it loads the settings, and when a block of
    # override_settings that began outside of the test ends inside of it.
    return None if setting == "_wrapped" else f"settings.{setting} was assigned"


def _setting_was_deleted(settings: LazySettings, setting: str) -> str:
    return f"settings.{setting} was deleted"


def _test_database_was(done: str) -> NameOfUse:
    def name(creation: BaseDatabaseCreation, *args: object, **kwargs: object) -> str:
        return f"A test database of {creation.connection.alias!r} was {done}"

    return name


def _freeze_time_was_used(freezer: Any) -> str:
    return "freezegun.freeze_time was used"


def _travel_was_used(travel: Any) -> str:
    return "time_machine.travel was used"


# Of each, the innermost method that all of its forms come through: decorator of a
# function, of a coroutine and of a class, context manager, start() and enable().
# modify_settings is a subclass of override_settings and ends in its enable().
_HOOKS: tuple[tuple[type, str, NameOfUse, str], ...] = (
    (utils.override_settings, "enable", _class_was_used, _SETTINGS),
    (LazySettings, "__setattr__", _setting_was_set, _SETTINGS),
    (LazySettings, "__delattr__", _setting_was_deleted, _SETTINGS),
    (utils.override_system_checks, "enable", _class_was_used, _REGISTRIES),
    (utils.isolate_apps, "enable", _class_was_used, _REGISTRIES),
    (BaseDatabaseCreation, "create_test_db", _test_database_was("created"), _DATABASES),
    (BaseDatabaseCreation, "clone_test_db", _test_database_was("cloned"), _DATABASES),
    (BaseDatabaseCreation, "destroy_test_db", _test_database_was("destroyed"), _DATABASES),
    (Client, "request", _client_was_used, _SIGNALS),
    (AsyncClient, "request", _client_was_used, _SIGNALS),
    (mock._patch, "__enter__", _patch_was_used, _OBJECTS),
    (mock._patch_dict, "_patch_dict", _patch_dict_was_used, _OBJECTS),
)

# Libraries that a project may have or not: of each the class whose start() all of its forms
# come through.
_CLOCKS: tuple[tuple[str, str, NameOfUse], ...] = (
    ("freezegun.api", "_freeze_time", _freeze_time_was_used),
    ("time_machine", "travel", _travel_was_used),
)
